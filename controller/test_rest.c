#include "controller/test_rest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/unit.h"

void server_start(struct server *s)
{
    struct err err = ERR_INIT;
    bool ok = controller_start(&s->f.c, &err);
    if (!ok) {
        fprintf(stderr, "%s: %s\n", err.field, err.message);
    }
    CU_ASSERT_TRUE_FATAL(ok);
}

void server_init(struct server *s)
{
    fixture_init(&s->f);
    model_free(s->f.c.model);   /* controller_start() makes one. */
    s->f.c.model = NULL;
    s->f.c.clock = clock_monotonic();
    fixture_path(&s->f, "db", s->store);
    fixture_path(&s->f, "api", s->sock);
    s->f.c.config.store_path = s->store;
    s->f.c.config.rest_unix = s->sock;
    s->f.c.config.intern_pairs_per_network = 16;
    s->f.c.config.intern_idle_s = 60;
}

void server_fini(struct server *s)
{
    controller_stop(&s->f.c);
    CU_ASSERT_TRUE(access(s->sock, F_OK) && errno == ENOENT);
    fixture_fini(&s->f);
}

/* --- The client --- */

int client_open(const struct server *s)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    str_copy(a.sun_path, sizeof a.sun_path, s->sock);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *) &a, sizeof a), 0);
    return fd;
}

/* Everything that the server sends until it closes; false after 10 s. */
bool client_read(struct server *s, int fd, struct buf *out)
{
    for (unsigned i = 0; i < 20000; i++) {
        char bytes[65536];
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n > 0) {
            buf_put(out, bytes, (size_t) n);
        } else if (n == 0 || errno != EAGAIN) {
            buf_puts(out, "");
            return true;
        } else {
            fixture_turn(&s->f, 1);
        }
    }
    return false;
}

void client_write(struct server *s, int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            fixture_turn(&s->f, 1);
        } else if (n <= 0) {
            return;             /* The server closed: its answer is there to read. */
        } else {
            data += n;
            size -= (size_t) n;
        }
    }
}

void response_fini(struct response *r)
{
    cJSON_Delete(r->body);
    free(r->text);
    *r = (struct response) { .code = 0 };
}

struct response parse_response(struct buf *in)
{
    struct response r = { .code = 0 };
    struct err err = ERR_INIT;
    const char *text = buf_cstr(in), *body = strstr(text, "\r\n\r\n"), *etag = strstr(text, "\r\nETag: ");
    if (in->size > 12 && !strncmp(text, "HTTP/1.", 7)) {
        r.code = atoi(text + 9);
    }
    if (etag && etag < body) {
        snprintf(r.etag, sizeof r.etag, "%.*s", (int) strcspn(etag + 8, "\r"), etag + 8);
    }
    if (body) {
        r.text = xstrdup(body + 4);
        r.body = json_parse(r.text, strlen(r.text), 1 << 24, &err);
    }
    return r;
}

void client_send(struct server *s, int fd, const char *method, const char *path, const char *headers, const char *quoted_body)
{
    struct buf out = BUF_INIT;
    char *body = fixture_quote(quoted_body ? quoted_body : "");
    buf_printf(&out, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", method, path, headers ? headers : "", strlen(body), body);
    client_write(s, fd, buf_cstr(&out), out.size);
    buf_fini(&out);
    free(body);
}

struct response ask_with(struct server *s, const char *method, const char *path, const char *headers, const char *body)
{
    struct buf in = BUF_INIT;
    int fd = client_open(s);
    client_send(s, fd, method, path, headers, body);
    CU_ASSERT_TRUE(client_read(s, fd, &in));
    close(fd);
    struct response r = parse_response(&in);
    buf_fini(&in);
    return r;
}

struct response ask(struct server *s, const char *method, const char *path, const char *body) { return ask_with(s, method, path, NULL, body); }

const char *error_code(const struct response *r)
{
    const char *code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r->body, "error"), "code"));
    return code ? code : "";
}

const char *error_field(const struct response *r)
{
    const char *field = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r->body, "error"), "field"));
    return field ? field : "";
}

const char *revision_of(const struct response *r)
{
    const char *revision = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->body, "revision"));
    return revision ? revision : "";
}

int n_items(const struct response *r, const char *key) { return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(r->body, key)); }

/* Asks, and expects this status and error code. */
void expect(struct server *s, const char *method, const char *path, const char *body, int status, const char *code)
{
    struct response r = ask(s, method, path, body);
    if (r.code != status || strcmp(error_code(&r), code)) {
        fprintf(stderr, "%s %s: %d %s\n", method, path, r.code, r.text ? r.text : "");
    }
    CU_ASSERT_EQUAL(r.code, status);
    CU_ASSERT_STRING_EQUAL(error_code(&r), code);
    response_fini(&r);
}
