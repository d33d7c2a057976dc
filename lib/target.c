#include "lib/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "lib/addr.h"
#include "lib/stream.h"
#include "lib/util.h"

static bool bad(const char *text, bool listener, struct err *err, const char *why)
{
    err_set(err, ERR_INVALID, NULL, "\"%.150s\": %s", text, why);
    return err_hint(err, "%s", listener ? "use ptcp:PORT[:IP], ptls:PORT[:IP] or punix:PATH"
                                        : "use tcp:IP:PORT, tls:IP:PORT or unix:PATH");
}

static bool set_path(struct target *t, const char *path)
{
    struct sockaddr_un *un = (struct sockaddr_un *) (void *) &t->addr;
    size_t n = strlen(path);
    if (!n || n >= sizeof un->sun_path) {
        return false;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, n + 1);
    t->addr_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n + 1);
    return true;
}

static void set_ip(struct target *t, const struct ip *ip, bool v6, uint64_t port)
{
    if (v6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) (void *) &t->addr;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t) port);
        memcpy(&in6->sin6_addr, ip->b, sizeof ip->b);
        t->addr_len = sizeof *in6;
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *) (void *) &t->addr;
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t) port);
        in->sin_addr.s_addr = htonl(ip_v4(ip));
        t->addr_len = sizeof *in;
    }
}

/* A dotted quad, an IPv6 address in brackets, or "localhost". */
static bool parse_host(const char *host, struct ip *ip, bool *v6)
{
    char inside[IP_STRLEN];
    size_t n = strlen(host);
    if (!strcmp(host, "localhost")) {
        *ip = ip_from_v4(INADDR_LOOPBACK);
        *v6 = false;
        return true;
    }
    *v6 = host[0] == '[';
    if (!*v6) {
        return !strchr(host, ':') && ip_parse(host, ip);
    }
    if (n < 2 || n - 2 >= sizeof inside || host[n - 1] != ']') {
        return false;
    }
    str_copy(inside, n - 1, host + 1);
    return strchr(inside, ':') && ip_parse(inside, ip);
}

static bool parse_ip_target(const char *text, const char *rest, bool listener, struct target *t, struct err *err)
{
    char host[64] = "0.0.0.0", port_text[8];
    const char *port = rest, *colon = listener ? strchr(rest, ':') : strrchr(rest, ':');
    const char *port_end = rest + strlen(rest);
    struct ip ip;
    bool v6;
    uint64_t number;

    if (!listener && !colon) {
        return bad(text, listener, err, "the port is missing");
    }
    if (listener && colon) {
        port_end = colon;
        str_copy(host, sizeof host, colon + 1);
    } else if (!listener) {
        port = colon + 1;
        str_copy(host, MIN(sizeof host, (size_t) (colon - rest) + 1), rest);
    }
    if ((size_t) (port_end - port) >= sizeof port_text) {
        return bad(text, listener, err, "the port is not a number from 1 to 65535");
    }
    str_copy(port_text, (size_t) (port_end - port) + 1, port);
    if (strspn(port_text, "0123456789") != strlen(port_text) || !str_to_u64(port_text, 65535, &number)
        || (!number && !listener)) {
        return bad(text, listener, err, "the port is not a number from 1 to 65535");
    }
    if (!parse_host(host, &ip, &v6)) {
        return bad(text, listener, err, "the host is not an address (names are not resolved; IPv6 goes in brackets)");
    }
    set_ip(t, &ip, v6, number);
    return true;
}

bool target_parse(const char *text, bool listener, struct target *t, struct err *err)
{
    static const struct { const char *scheme; bool listener, tls, path; } schemes[] = {
        { "tcp:", false, false, false }, { "tls:", false, true, false }, { "ssl:", false, true, false },
        { "unix:", false, false, true },
        { "ptcp:", true, false, false }, { "ptls:", true, true, false }, { "pssl:", true, true, false },
        { "punix:", true, false, true },
    };
    *t = (struct target) { .tls = false };
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t n = strlen(schemes[i].scheme);
        if (schemes[i].listener != listener || strncmp(text, schemes[i].scheme, n)) {
            continue;
        }
        t->tls = schemes[i].tls;
        if (!schemes[i].path) {
            return parse_ip_target(text, text + n, listener, t, err);
        }
        return set_path(t, text + n) || bad(text, listener, err, "the path must have 1 to 107 bytes");
    }
    return bad(text, listener, err, listener ? "not a place to listen on" : "not a target to connect to");
}

unsigned target_port(const struct target *t)
{
    return t->addr.ss_family == AF_INET ? ntohs(((const struct sockaddr_in *) (const void *) &t->addr)->sin_port)
         : t->addr.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *) (const void *) &t->addr)->sin6_port) : 0;
}

char *target_format(const struct target *t, char out[TARGET_STRLEN])
{
    char ip[INET6_ADDRSTRLEN] = "";
    const char *scheme = t->tls ? "tls" : "tcp";
    if (t->addr.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *) (const void *) &t->addr;
        bool named = t->addr_len > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0];
        snprintf(out, TARGET_STRLEN, "unix:%.108s", named ? un->sun_path : "(client)");
    } else if (t->addr.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) (const void *) &t->addr)->sin6_addr, ip, sizeof ip);
        snprintf(out, TARGET_STRLEN, "%s:[%s]:%u", scheme, ip, target_port(t));
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *) (const void *) &t->addr)->sin_addr, ip, sizeof ip);
        snprintf(out, TARGET_STRLEN, "%s:%s:%u", scheme, ip, target_port(t));
    }
    return out;
}

bool stream_target_valid(const char *text, bool listener, struct err *err)
{
    struct target t;
    return target_parse(text, listener, &t, err);
}
