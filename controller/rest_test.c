/* The API through real sockets: a whole controller in this process, a client that shares its loop. */
#include "controller/rest.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "controller/test_rest.h"
#include "tests/unit.h"

#define DOCUMENT "{'edges':[{'name':'e1','datapath_id':'0000000000000001'}],'tenants':[{'name':'red'},{'name':'blue'}]," \
    "'vpcs':[{'name':'v','tenant':'red','networks':[{'name':'n','subnet':'10.0.0.0/24','ports':[{'name':'a','mac':'52:54:00:00:00:01'}," \
    "{'name':'b'}]}]},{'name':'v','tenant':'blue','networks':[{'name':'n','subnet':'10.0.0.0/24','ports':[{'name':'a','mac':'52:54:00:00:00:01'}]}]}]}"

static void test_objects(void)
{
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "GET", "/v1/version", NULL, 200, "");
    struct response r = ask(&s, "POST", "/v1/apply?dry_run=1", DOCUMENT);
    CU_ASSERT_TRUE(r.code == 200 && n_items(&r, "changes") == 10 && !strcmp(revision_of(&r), "0"));
    response_fini(&r);
    r = ask(&s, "GET", "/v1/ports", NULL);
    CU_ASSERT_TRUE(r.code == 200 && n_items(&r, "items") == 0);
    response_fini(&r);
    r = ask(&s, "POST", "/v1/apply", DOCUMENT);
    CU_ASSERT_TRUE(r.code == 200 && n_items(&r, "changes") == 10 && !strcmp(revision_of(&r), "1") && !strcmp(r.etag, "\"1\""));
    response_fini(&r);
    r = ask(&s, "POST", "/v1/apply", DOCUMENT);
    CU_ASSERT_TRUE(r.code == 200 && n_items(&r, "changes") == 0 && !strcmp(revision_of(&r), "1"));
    response_fini(&r);
    r = ask(&s, "GET", "/v1/ports?tenant=red", NULL);
    CU_ASSERT_TRUE(r.code == 200 && n_items(&r, "items") == 2);
    response_fini(&r);
    r = ask(&s, "GET", "/v1/ports/red/v/n/a", NULL);
    const cJSON *mac = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r.body, "spec"), "mac");
    CU_ASSERT_TRUE(r.code == 200 && cJSON_IsString(mac) && !strcmp(mac->valuestring, "52:54:00:00:00:01") && !strcmp(r.etag, "\"1\""));
    response_fini(&r);
    r = ask(&s, "POST", "/v1/apply", "{'vpcs':[{'name':'v','tenant':'red','networks':[{'name':'n','ports':[{'name':'a','mac':'52:54:00:00:00:09'}]}]}]}");
    const cJSON *change = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(r.body, "changes"), 0);
    const cJSON *field = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(change, "fields"), 0);
    CU_ASSERT_EQUAL(n_items(&r, "changes"), 1);
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItemCaseSensitive(change, "action")->valuestring, "update");
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItemCaseSensitive(field, "field")->valuestring, "mac");
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItemCaseSensitive(field, "old")->valuestring, "52:54:00:00:00:01");
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItemCaseSensitive(field, "new")->valuestring, "52:54:00:00:00:09");
    response_fini(&r);
    server_fini(&s);
}

static void test_errors(void)
{
    static const struct { const char *method, *path, *body; int status; const char *code; } rows[] = {
        { "GET", "/", NULL, 404, "not_found" }, { "GET", "/v1/frogs", NULL, 404, "not_found" }, { "GET", "/v1/port", NULL, 404, "not_found" },
        { "GET", "/v1/ports/red/v/n/zzz", NULL, 404, "not_found" }, { "GET", "/v1/ports?colour=red", NULL, 400, "invalid" },
        { "GET", "/v1/ports?tenant=red&tenant=blue", NULL, 400, "invalid" }, { "GET", "/v1/apply", NULL, 404, "not_found" },
        { "PUT", "/v1/apply", "{}", 405, "invalid" }, { "POST", "/v1/apply", "", 400, "invalid" }, { "POST", "/v1/apply", "[]", 400, "invalid" },
        { "POST", "/v1/apply", "{'frogs':1}", 400, "invalid" }, { "POST", "/v1/apply", "{} {}", 400, "invalid" },
        { "POST", "/v1/apply", "{'edges':[],'edges':[]}", 400, "invalid" }, { "DELETE", "/v1/ports/red/v/n/zzz", NULL, 404, "not_found" },
        { "DELETE", "/v1/ports", NULL, 400, "invalid" }, { "DELETE", "/v1/links/x", NULL, 400, "invalid" },
        { "DELETE", "/v1/networks/red/v/n", NULL, 409, "conflict" }, { "GET", "/v1/installed?revision=99", NULL, 400, "invalid" },
        { "GET", "/v1/installed?timeout_ms=-1", NULL, 400, "invalid" }, { "GET", "/v1/whois/bananas", NULL, 400, "invalid" },
        { "GET", "/v1/path", NULL, 400, "invalid" }, { "GET", "/v1/path?from=nobody&to=e1", NULL, 404, "not_found" },
        { "POST", "/v1/restore/e1:1-e2:1", NULL, 404, "not_found" }, { "GET", "/v1/restore/e1:1-e2:1", NULL, 404, "not_found" },
        { "GET", "/v1/trace?port=red/v/n/a", NULL, 400, "invalid" }, { "GET", "/v1/trace?port=red/v/n/zzz&to=10.0.0.3", NULL, 404, "not_found" },
        { "GET", "/v1/%00", NULL, 400, "invalid" }, { "GET", "/v1/%ff%fe", NULL, 400, "invalid" }, { "GET", "/v1/links/x", NULL, 404, "not_found" },
        { "GET", "/v1/portsportsportsportsportsportsportsports", NULL, 404, "not_found" },
    };
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "POST", "/v1/apply", DOCUMENT, 200, "");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        expect(&s, rows[i].method, rows[i].path, rows[i].body, rows[i].status, rows[i].code);
    }
    struct response r = ask(&s, "POST", "/v1/apply", "{'vpcs':[{'name':'v','tenant':'red','networks':[{'name':'n','subnet':'10.0.0.0/33'}]}]}");
    CU_ASSERT_STRING_EQUAL(error_field(&r), "vpcs[0].networks[0].subnet");
    response_fini(&r);
    server_fini(&s);
}

static void test_if_match(void)
{
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "POST", "/v1/apply", DOCUMENT, 200, "");
    static const struct { const char *header; int status; } rows[] = {
        { "If-Match: \"7\"\r\n", 409 }, { "If-Match: 1\r\n", 400 }, { "If-Match: \"\"\r\n", 400 }, { "If-Match: \"1\r\n", 400 },
        { "If-Match: \"1\", \"2\"\r\n", 400 }, { "If-Match: \"99999999999999999999999999\"\r\n", 400 }, { "If-Match: \"1\"\r\n", 200 },
        { "If-Match: \"1\"\r\n", 404 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct response r = ask_with(&s, "DELETE", "/v1/ports/red/v/n/a", rows[i].header, NULL);
        CU_ASSERT_EQUAL(r.code, rows[i].status);
        response_fini(&r);
    }
    server_fini(&s);
}

static void test_restart(void)
{
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "POST", "/v1/apply", DOCUMENT, 200, "");
    struct response before = ask(&s, "GET", "/v1/ports", NULL);
    controller_stop(&s.f.c);
    server_start(&s);
    struct response after = ask(&s, "GET", "/v1/ports", NULL);
    CU_ASSERT_STRING_EQUAL(before.text, after.text);
    CU_ASSERT_EQUAL(n_items(&after, "items"), 3);
    response_fini(&before);
    response_fini(&after);
    server_fini(&s);
}

/* Many at once: each is one revision. */
static void test_concurrent(void)
{
    enum { N = 40 };
    struct server s;
    int fds[N];
    server_init(&s);
    server_start(&s);
    expect(&s, "POST", "/v1/apply", DOCUMENT, 200, "");
    for (unsigned i = 0; i < N; i++) {
        char body[64];
        snprintf(body, sizeof body, "{'tenants':[{'name':'t%u'}]}", i);
        fds[i] = client_open(&s);
        client_send(&s, fds[i], "POST", "/v1/apply", NULL, body);
    }
    bool seen[N + 2] = { false };
    for (unsigned i = 0; i < N; i++) {
        struct buf in = BUF_INIT;
        CU_ASSERT_TRUE(client_read(&s, fds[i], &in));
        close(fds[i]);
        struct response r = parse_response(&in);
        unsigned revision = (unsigned) atoi(revision_of(&r));
        CU_ASSERT_TRUE(r.code == 200 && revision >= 2 && revision < N + 2 && !seen[revision]);
        seen[revision < N + 2 ? revision : 0] = true;
        response_fini(&r);
        buf_fini(&in);
    }
    CU_ASSERT_EQUAL(model_revision(s.f.c.model), N + 1);
    server_fini(&s);
}

static void test_installed(void)
{
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "GET", "/v1/installed?timeout_ms=1000", NULL, 200, "");
    expect(&s, "POST", "/v1/apply", DOCUMENT, 200, "");
    expect(&s, "POST", "/v1/apply", "{'vpcs':[{'name':'v','tenant':'red','networks':[{'name':'n','ports':[{'name':'a','edge':'e1'}]}]}]}", 200, "");
    expect(&s, "GET", "/v1/installed?revision=2&timeout_ms=50", NULL, 504, "timeout");
    /* A client that leaves while it waits, and one that still waits when the daemon stops. */
    int leaves = client_open(&s), stays = client_open(&s);
    client_send(&s, leaves, "GET", "/v1/installed?timeout_ms=300", NULL, NULL);
    client_send(&s, stays, "GET", "/v1/installed?timeout_ms=60000", NULL, NULL);
    fixture_turn(&s.f, 20);
    close(leaves);
    fixture_turn(&s.f, 900);
    expect(&s, "GET", "/v1/version", NULL, 200, "");
    server_fini(&s);
    close(stays);
}

/* Whatever comes in, the next request is served. */
static void test_garbage(void)
{
    struct server s;
    struct rng rng;
    rng_seed(&rng, unit_seed());
    server_init(&s);
    server_start(&s);
    static const char valid[] = "POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n{\"tenants\":[]}";
    for (unsigned i = 0; i < 150; i++) {
        char bytes[sizeof valid + 200];
        size_t n = sizeof valid - 1;
        memcpy(bytes, valid, n);
        if (i % 3 == 0) {
            n = 1 + rng_below(&rng, sizeof bytes - 1);
            for (size_t j = 0; j < n; j++) {
                bytes[j] = (char) rng_u64(&rng);
            }
        } else if (i % 3 == 1) {
            for (unsigned j = 0; j < 4; j++) {
                bytes[rng_below(&rng, (uint32_t) n)] = (char) rng_u64(&rng);
            }
        } else {
            n = rng_below(&rng, (uint32_t) n);
        }
        int fd = client_open(&s);
        client_write(&s, fd, bytes, n);
        shutdown(fd, SHUT_WR);
        struct buf in = BUF_INIT;
        client_read(&s, fd, &in);
        buf_fini(&in);
        close(fd);
    }
    /* Beyond the limits. */
    char *long_header = xmalloc(40000);
    memset(long_header, 'a', 40000);
    memcpy(long_header, "GET /v1/version HTTP/1.1\r\nX: ", 29);
    int fd = client_open(&s);
    client_write(&s, fd, long_header, 40000);
    struct buf in = BUF_INIT;
    shutdown(fd, SHUT_WR);
    CU_ASSERT_TRUE(client_read(&s, fd, &in));
    struct response r = parse_response(&in);
    CU_ASSERT_NOT_EQUAL(r.code, 200);
    response_fini(&r);
    buf_fini(&in);
    close(fd);
    free(long_header);
    r = ask_with(&s, "POST", "/v1/apply", "Content-Length: 99999999999\r\n", NULL);
    CU_ASSERT_NOT_EQUAL(r.code, 200);
    response_fini(&r);
    expect(&s, "GET", "/v1/version", NULL, 200, "");
    server_fini(&s);
}

static void test_metrics(void)
{
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "POST", "/v1/apply", DOCUMENT, 200, "");
    expect(&s, "GET", "/v1/frogs", NULL, 404, "not_found");
    struct response r = ask(&s, "GET", "/metrics", NULL);
    CU_ASSERT_EQUAL(r.code, 200);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.text, "\npolder_objects{kind=\"port\"} 3\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.text, "\npolder_rest_requests_total{route=\"/v1/{kind}\",code=\"404\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.text, "\npolder_switch_connected{switch=\"e1\",role=\"edge\"} 0\n"));
    for (const char *line = r.text; *line; line = strchr(line, '\n') + 1) {    /* Text format 0.0.4: comments, or name{labels} value. */
        CU_ASSERT_PTR_NOT_NULL_FATAL(strchr(line, '\n'));
        CU_ASSERT_TRUE(!strncmp(line, "# HELP polder_", 14) || !strncmp(line, "# TYPE polder_", 14) || !strncmp(line, "polder_", 7));
    }
    response_fini(&r);
    server_fini(&s);
}

/* --- TLS and tokens --- */

static void make_certificate(struct server *s)
{
    char path[128];
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *) "localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    CU_ASSERT_TRUE_FATAL(X509_sign(x, key, EVP_sha256()) > 0);
    fixture_path(&s->f, "key.pem", path);
    FILE *file = fopen(path, "we");
    CU_ASSERT_EQUAL(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    fixture_path(&s->f, "cert.pem", path);
    file = fopen(path, "we");
    CU_ASSERT_EQUAL(PEM_write_X509(file, x), 1);
    fclose(file);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void on_tls_event(struct bufferevent *b UNUSED, short what, void *closed)
{
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
        *(bool *) closed = true;
    }
}

static struct response ask_tls(struct server *s, const char *listen, const char *token, const char *method, const char *path, const char *quoted_body)
{
    struct sockaddr_storage address;
    int size = sizeof address;
    bool closed = false;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    CU_ASSERT_EQUAL_FATAL(evutil_parse_sockaddr_port(listen, (struct sockaddr *) &address, &size), 0);
    struct bufferevent *b = bufferevent_openssl_socket_new(s->f.c.base, -1, SSL_new(ctx), BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_openssl_set_allow_dirty_shutdown(b, 1);
    bufferevent_setcb(b, NULL, NULL, on_tls_event, &closed);
    bufferevent_enable(b, EV_READ | EV_WRITE);
    char *body = fixture_quote(quoted_body ? quoted_body : "");
    evbuffer_add_printf(bufferevent_get_output(b), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", method, path);
    if (token) {
        evbuffer_add_printf(bufferevent_get_output(b), "Authorization: Bearer %s\r\n", token);
    }
    evbuffer_add_printf(bufferevent_get_output(b), "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    free(body);
    CU_ASSERT_EQUAL(bufferevent_socket_connect(b, (struct sockaddr *) &address, size), 0);
    CU_ASSERT_TRUE(fixture_run(&s->f, &closed, 10));
    struct buf in = BUF_INIT;
    size_t n = evbuffer_get_length(bufferevent_get_input(b));
    buf_put(&in, n ? evbuffer_pullup(bufferevent_get_input(b), -1) : NULL, n);
    struct response r = parse_response(&in);
    buf_fini(&in);
    bufferevent_free(b);
    SSL_CTX_free(ctx);
    return r;
}

#define OPERATOR "operator-0123456789"
#define RED "red-0123456789abcdef"

static int free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *) &a, &size), 0);
    close(fd);
    return ntohs(a.sin_port);
}

#define SLICE(TENANT, TEXT) "{'slices':[{'name':'lab','tenant':'" TENANT "'," TEXT "}]}"

static void test_tenants(void)
{
    struct server s;
    char key[128], cert[128], tokens[128], listen[32];
    server_init(&s);
    make_certificate(&s);
    char *text = fixture_quote("[{'token':'" OPERATOR "','name':'ops','role':'operator'},{'token':'" RED "','name':'ada','role':'tenant','tenant':'red'}]");
    fixture_write(&s.f, "tokens", text);
    free(text);
    fixture_path(&s.f, "key.pem", key);
    fixture_path(&s.f, "cert.pem", cert);
    fixture_path(&s.f, "tokens", tokens);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", free_port());
    s.f.c.config.rest_key = key;
    s.f.c.config.rest_cert = cert;
    s.f.c.config.tokens_file = tokens;
    s.f.c.config.rest_listen = listen;
    server_start(&s);
    static const struct { const char *token, *method, *path, *body; int status; } rows[] = {
        { NULL, "GET", "/v1/version", NULL, 401 }, { "wrong-0123456789abc", "GET", "/v1/version", NULL, 401 }, { "", "GET", "/v1/ports", NULL, 401 },
        { OPERATOR, "POST", "/v1/apply", DOCUMENT, 200 }, { OPERATOR, "GET", "/metrics", NULL, 200 }, { OPERATOR, "GET", "/v1/edges", NULL, 200 },
        { RED, "GET", "/v1/version", NULL, 200 }, { RED, "GET", "/metrics", NULL, 403 }, { RED, "GET", "/v1/edges", NULL, 403 },
        { RED, "GET", "/v1/links", NULL, 403 }, { RED, "GET", "/v1/edges/e1", NULL, 403 }, { RED, "GET", "/v1/whois/100.64.0.1", NULL, 403 },
        { RED, "GET", "/v1/path?from=e1&to=e1", NULL, 403 }, { RED, "POST", "/v1/restore/e1:1-e2:1", NULL, 403 },
        { RED, "GET", "/v1/ports/red/v/n/a", NULL, 200 }, { RED, "GET", "/v1/ports/blue/v/n/a", NULL, 404 }, { RED, "GET", "/v1/tenants/blue", NULL, 404 },
        { RED, "GET", "/v1/trace?port=blue/v/n/a&to=10.0.0.2", NULL, 404 },
        { RED, "DELETE", "/v1/ports/blue/v/n/a", NULL, 404 }, { RED, "DELETE", "/v1/edges/e1", NULL, 403 }, { RED, "DELETE", "/v1/tenants/red", NULL, 403 },
        { RED, "POST", "/v1/apply", "{'tenants':[{'name':'green'}]}", 403 }, { RED, "POST", "/v1/apply", "{'edges':[{'name':'e9','datapath_id':'0000000000000009'}]}", 403 },
        { RED, "POST", "/v1/apply", "{'vpcs':[{'name':'w','tenant':'blue'}]}", 403 }, { RED, "POST", "/v1/apply", "{'vpcs':[{'name':'w','tenant':'red'}]}", 200 },
        { RED, "DELETE", "/v1/ports/red/v/n/b", NULL, 200 },
        { RED, "POST", "/v1/apply", SLICE("blue", "'switches':[]"), 403 }, { RED, "POST", "/v1/apply", SLICE("red", "'controllers':['unix:/x']"), 403 },
        { RED, "POST", "/v1/apply", SLICE("red", "'switches':[{'name':'s','edges':['e1'],'ports':[{'name':'a'}]}],'links':[{'name':'l','ends':['s/b','s/c']}]"), 200 },
        { OPERATOR, "POST", "/v1/apply", SLICE("red", "'links':[{'name':'l','via':['e1']}]"), 200 },
        { OPERATOR, "POST", "/v1/apply", SLICE("blue", "'switches':[{'name':'s','edges':['e1'],'ports':[{'name':'a'}]}]"), 200 },
        { RED, "GET", "/v1/switches/red/lab/s", NULL, 200 }, { RED, "GET", "/v1/switches/blue/lab/s", NULL, 404 }, { RED, "GET", "/v1/slices/blue/lab", NULL, 404 },
        { RED, "DELETE", "/v1/switch-ports/blue/lab/s/a", NULL, 404 }, { RED, "DELETE", "/v1/slices/blue/lab", NULL, 404 },
        { RED, "DELETE", "/v1/switch-ports/red/lab/s/a", NULL, 200 }, { RED, "GET", "/v1/trace?port=blue/lab/s/a&to=10.0.0.2", NULL, 404 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct response r = ask_tls(&s, listen, rows[i].token, rows[i].method, rows[i].path, rows[i].body);
        if (r.code != rows[i].status) {
            fprintf(stderr, "row %u: %s %s: %d %s\n", i, rows[i].method, rows[i].path, r.code, r.text ? r.text : "");
        }
        CU_ASSERT_EQUAL(r.code, rows[i].status);
        response_fini(&r);
    }
    struct response r = ask_tls(&s, listen, RED, "GET", "/v1/ports", NULL);
    CU_ASSERT_EQUAL(n_items(&r, "items"), 1);
    CU_ASSERT_TRUE(r.text && !strstr(r.text, "provider") && !strstr(r.text, "blue"));
    response_fini(&r);
    r = ask_tls(&s, listen, RED, "GET", "/v1/virtual-links", NULL);
    CU_ASSERT_EQUAL(n_items(&r, "items"), 1);
    CU_ASSERT_TRUE(r.text && !strstr(r.text, "via") && !strstr(r.text, "path") && !strstr(r.text, "e1"));
    response_fini(&r);
    r = ask_tls(&s, listen, RED, "GET", "/v1/tenants", NULL);
    CU_ASSERT_EQUAL(n_items(&r, "items"), 1);
    response_fini(&r);
    /* Read again: what is bad changes nothing, what is good takes over. */
    struct err err = ERR_INIT;
    fixture_write(&s.f, "tokens", "[{]");
    CU_ASSERT_FALSE(rest_reload(s.f.c.rest, &err));
    r = ask_tls(&s, listen, RED, "GET", "/v1/version", NULL);
    CU_ASSERT_EQUAL(r.code, 200);
    response_fini(&r);
    fixture_write(&s.f, "tokens", "[]");
    err = ERR_INIT;
    CU_ASSERT_TRUE(rest_reload(s.f.c.rest, &err));
    r = ask_tls(&s, listen, RED, "GET", "/v1/version", NULL);
    CU_ASSERT_EQUAL(r.code, 401);
    response_fini(&r);
    server_fini(&s);
}

/* A dead daemon's socket is taken over, a living one's is not. */
static void test_socket(void)
{
    struct server s, second;
    struct err err = ERR_INIT;
    server_init(&s);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    str_copy(a.sun_path, sizeof a.sun_path, s.sock);
    CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    close(fd);                  /* The file stays. */
    server_start(&s);
    server_init(&second);
    second.f.c.config.rest_unix = s.sock;
    CU_ASSERT_FALSE(controller_start(&second.f.c, &err));
    CU_ASSERT_EQUAL(err.code, ERR_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.field, "rest.unix");
    controller_stop(&second.f.c);
    fixture_fini(&second.f);
    expect(&s, "GET", "/v1/version", NULL, 200, "");
    server_fini(&s);
}

void rest_test_suite(void);
void rest_test_suite(void)
{
    UNIT_SUITE("rest", { "objects", test_objects }, { "errors", test_errors }, { "If-Match", test_if_match }, { "restart", test_restart },
               { "many at once", test_concurrent }, { "installed", test_installed }, { "garbage", test_garbage }, { "metrics", test_metrics },
               { "tokens and tenants over TLS", test_tenants }, { "sockets left over", test_socket });
}
