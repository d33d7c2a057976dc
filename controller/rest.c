#define LOG_MODULE "rest"
#include "controller/rest_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "controller/config.h"
#include "controller/unix_socket.h"
#include "lib/log.h"

/* --- Replies --- */

static void count(struct rest *rest, const char *label, int code)
{
    for (unsigned i = 0; i < rest->n_counters; i++) {
        if (rest->counters[i].code == code && !strcmp(rest->counters[i].label, label)) {
            rest->counters[i].n++;
            return;
        }
    }
    rest->counters = xrealloc(rest->counters, (rest->n_counters + 1) * sizeof *rest->counters);
    rest->counters[rest->n_counters++] = (struct rest_counter) { label, code, 1 };
}

void rest_metrics(const struct rest *rest, struct buf *out)
{
    buf_puts(out, "# HELP polder_rest_requests_total API requests answered.\n# TYPE polder_rest_requests_total counter\n");
    for (unsigned i = 0; i < rest->n_counters; i++) {
        buf_printf(out, "polder_rest_requests_total{route=\"%s\",code=\"%d\"} %llu\n", rest->counters[i].label, rest->counters[i].code,
                   (unsigned long long) rest->counters[i].n);
    }
}

static void set_header(struct rest_request *r, const char *name, const char *value)
{
    if (evhttp_add_header(evhttp_request_get_output_headers(r->http), name, value)) {
        LOG(LOG_ERROR, "header %s was not added", name);
    }
}

static void request_free(struct rest_request *r)
{
    list_remove(&r->node);
    evhttp_clear_headers(&r->query);
    cJSON_Delete(r->body);
    cJSON_Delete(r->answer);
    free(r->path);
    free(r);
}

/* Ends the request.  evhttp frees it, also when its connection is gone by now. */
static void reply(struct rest_request *r, int code, const char *type, const void *data, size_t size)
{
    struct evbuffer *body = evbuffer_new();
    if (!body || evbuffer_add(body, data, size)) {
        LOG(LOG_ERROR, "no memory for a reply of %zu bytes", size);
        abort();
    }
    set_header(r, "Content-Type", type);
    set_header(r, "Cache-Control", "no-store");
    set_header(r, "X-Content-Type-Options", "nosniff");
    count(r->rest, r->label, code);
    rest_connections_busy(r->rest->connections, r->http, false);
    evhttp_send_reply(r->http, code, NULL, body);
    evbuffer_free(body);
    request_free(r);
}

static void reply_tree(struct rest_request *r, int code, cJSON *tree)
{
    char *text = json_text(tree, false);
    cJSON_Delete(tree);
    reply(r, code, "application/json", text, strlen(text));
    free(text);
}

void rest_reply_json(struct rest_request *r, cJSON *tree) { reply_tree(r, HTTP_OK, tree); }

void rest_reply_object(struct rest_request *r, cJSON *tree, uint64_t revision)
{
    char etag[32];
    snprintf(etag, sizeof etag, "\"%llu\"", (unsigned long long) revision);
    set_header(r, "ETag", etag);
    reply_tree(r, HTTP_OK, tree);
}

void rest_reply_text(struct rest_request *r, const char *type, struct buf *text) { reply(r, HTTP_OK, type, buf_cstr(text), text->size); }

static int http_code(enum err_code code)
{
    switch (code) {
    case ERR_INVALID: case ERR_USAGE: return 400;
    case ERR_DENIED: return 403;
    case ERR_NOT_FOUND: return 404;
    case ERR_CONFLICT: return 409;
    case ERR_UNREACHABLE: return 503;
    case ERR_TIMEOUT: return 504;
    case ERR_NONE: case ERR_FAILED: break;
    }
    return 500;
}

static void reply_code(struct rest_request *r, int code, const struct err *err) { reply_tree(r, code, json_from_err(err)); }

void rest_reply_err(struct rest_request *r, const struct err *err) { reply_code(r, http_code(err->code), err); }

/* --- Queries --- */

const char *rest_query(const struct rest_request *r, const char *name) { return evhttp_find_header(&r->query, name); }

bool rest_query_u64(struct rest_request *r, const char *name, uint64_t max, uint64_t dflt, uint64_t *out, struct err *err)
{
    const char *text = rest_query(r, name);
    *out = dflt;
    return !text || str_to_u64(text, max, out)
           || err_set(err, ERR_INVALID, name, "%s is not a number up to %llu", text, (unsigned long long) max);
}

/* Every parameter must be one of the route's, and given once. */
static bool check_query(struct rest_request *r, const struct rest_route *route, struct err *err)
{
    struct evkeyval *kv, *other;
    TAILQ_FOREACH(kv, &r->query, next) {
        const char *at = route->query;
        size_t n = strlen(kv->key);
        bool known = false;
        for (; at && *at && !known; at = strchr(at, ' ') + 1) {
            known = !strncmp(at, kv->key, n) && at[n] == ' ';
        }
        if (!known) {
            return err_set(err, ERR_INVALID, kv->key, "unknown query parameter");
        }
        TAILQ_FOREACH(other, &r->query, next) {
            if (other != kv && !strcmp(other->key, kv->key)) {
                return err_set(err, ERR_INVALID, kv->key, "given twice");
            }
        }
    }
    return true;
}

/* --- Who --- */

static bool peer_is_operator(struct evhttp_request *http, struct principal *who)
{
    struct ucred cred;
    socklen_t size = sizeof cred;
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evhttp_request_get_connection(http)));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) || (cred.uid && cred.uid != geteuid())) {
        return false;
    }
    snprintf(who->name, sizeof who->name, "uid %u", cred.uid);
    return true;
}

static bool authenticate(struct rest_request *r, bool local)
{
    struct err err = ERR_INIT;
    if (local) {
        if (peer_is_operator(r->http, &r->who)) {
            return true;
        }
        err_set(&err, ERR_DENIED, NULL, "only root and controllerd's own user may use this socket");
        rest_reply_err(r, &err);
        return false;
    }
    const struct principal *p = tokens_find(r->rest->tokens, evhttp_find_header(evhttp_request_get_input_headers(r->http), "Authorization"));
    if (p) {
        r->who = *p;
        return true;
    }
    err_set(&err, ERR_DENIED, NULL, "no valid token");
    err_hint(&err, "send the header Authorization: Bearer TOKEN (vpcctl --token-file)");
    set_header(r, "WWW-Authenticate", "Bearer");
    reply_code(r, 401, &err);
    return false;
}

/* --- Dispatch --- */

static bool path_matches(const struct rest_route *route, const char *path)
{
    size_t n = strlen(route->path);
    return route->path[n - 1] == '/' ? !strncmp(path, route->path, n) && path[n] : !strcmp(path, route->path);
}

static bool decode_uri(struct rest_request *r, struct err *err)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->http);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL, *query = uri ? evhttp_uri_get_query(uri) : NULL;
    size_t size = 0;
    r->path = path ? evhttp_uridecode(path, 0, &size) : NULL;
    if (!r->path || strlen(r->path) != size || !utf8_valid(r->path, size)) {
        return err_set(err, ERR_INVALID, NULL, "the path is not valid");
    }
    if (query && evhttp_parse_query_str(query, &r->query)) {
        return err_set(err, ERR_INVALID, NULL, "the query is not valid");
    }
    return true;
}

static void route(struct rest_request *r)
{
    const struct rest_route *found = NULL;
    struct err err = ERR_INIT;
    bool other_method = false;
    for (unsigned i = 0; i < rest_n_routes && !found; i++) {
        if (path_matches(&rest_routes[i], r->path)) {
            found = rest_routes[i].method == evhttp_request_get_command(r->http) ? &rest_routes[i] : NULL;
            other_method |= !found;
        }
    }
    if (!found) {
        err_set(&err, other_method ? ERR_INVALID : ERR_NOT_FOUND, NULL, other_method ? "this method is not for this path" : "there is no such path");
        reply_code(r, other_method ? 405 : 404, &err);
        return;
    }
    r->label = found->label;
    r->tail = r->path + (found->path[strlen(found->path) - 1] == '/' ? strlen(found->path) : 0);
    if (found->operator_only && rest_tenant(r)) {
        err_set(&err, ERR_DENIED, NULL, "for operators only");
        rest_reply_err(r, &err);
    } else if (!check_query(r, found, &err)) {
        rest_reply_err(r, &err);
    } else {
        found->handle(r);
    }
}

static void on_request(struct evhttp_request *http, struct rest *rest, bool local)
{
    struct rest_request *r = XNEW(struct rest_request);
    struct err err = ERR_INIT;
    r->rest = rest;
    r->http = http;
    r->label = "other";
    TAILQ_INIT(&r->query);
    list_push_back(&rest->requests, &r->node);
    rest_connections_busy(rest->connections, http, true);
    if (!authenticate(r, local)) {
        return;
    }
    if (!decode_uri(r, &err)) {
        rest_reply_err(r, &err);
        return;
    }
    LOG(LOG_DEBUG, "%s: %s", r->who.name, r->path);
    route(r);
}

static void on_local(struct evhttp_request *http, void *rest) { on_request(http, rest, true); }
static void on_remote(struct evhttp_request *http, void *rest) { on_request(http, rest, false); }

/* --- Listeners --- */

static struct evhttp *new_http(struct rest *rest, void (*fn)(struct evhttp_request *, void *))
{
    struct evhttp *http = evhttp_new(rest->controller->base);
    if (http) {
        evhttp_set_max_headers_size(http, REST_MAX_HEADERS);
        evhttp_set_max_body_size(http, REST_MAX_BODY);
        evhttp_set_timeout(http, REST_TIMEOUT_S);
        /* All methods: a wrong one gets our answer, not evhttp's page. */
        evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH | EVHTTP_REQ_OPTIONS);
        evhttp_set_gencb(http, fn, rest);
    }
    return http;
}

/* Binds, listens, and hands the socket to evhttp. */
static bool listen_on(struct rest *rest, struct evhttp *http, const char *field, const struct sockaddr *address, socklen_t size, const char *text, struct err *err)
{
    int one = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_unix = address->sa_family == AF_UNIX;
    struct evhttp_bound_socket *bound = NULL;
    if (fd < 0 || (is_unix ? fchmod(fd, 0660) : setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)) || bind(fd, address, size)
        || listen(fd, 128) || !(bound = evhttp_accept_socket_with_handle(http, fd))) {
        err_set(err, ERR_FAILED, field, "%s: %s", text, strerror(errno));
        err_hint(err, is_unix ? "the directory must exist and be writable" : "the address must be this host's own, and free");
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    rest_connections_listener(rest->connections, bound, !is_unix);
    LOG(LOG_INFO, "the API is at %s%s", is_unix ? "unix:" : "https://", text);
    return true;
}

static bool listen_local(struct rest *rest, struct err *err)
{
    const char *path = rest->controller->config.rest_unix;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    str_copy(address.sun_path, sizeof address.sun_path, path);
    if (!unix_socket_claim(path, err)) {
        str_copy(err->field, sizeof err->field, "rest.unix");
        return false;
    }
    rest->local = new_http(rest, on_local);
    rest->socket_made = rest->local && listen_on(rest, rest->local, "rest.unix", (struct sockaddr *) &address, sizeof address, path, err);
    return rest->socket_made;
}

static struct bufferevent *new_tls(struct event_base *base, void *rest_)
{
    struct rest *rest = rest_;
    return rest_connections_accept(rest->connections, base, tls_config_ssl_ctx(rest->tls));
}

static bool listen_remote(struct rest *rest, struct err *err)
{
    const struct controller_config *c = &rest->controller->config;
    struct sockaddr_storage address;
    int size = sizeof address;
    if (!c->rest_listen) {
        return true;
    }
    if (evutil_parse_sockaddr_port(c->rest_listen, (struct sockaddr *) &address, &size)) {
        return err_set(err, ERR_INVALID, "rest.listen", "%s is not ADDRESS:PORT", c->rest_listen);
    }
    if (!config_rest_tls(c, &rest->tls, err) || !rest_reload(rest, err)) {
        return false;
    }
    rest->remote = new_http(rest, on_remote);
    if (!rest->remote) {
        return err_set(err, ERR_FAILED, "rest.listen", "no HTTP server can be had");
    }
    evhttp_set_bevcb(rest->remote, new_tls, rest);
    return listen_on(rest, rest->remote, "rest.listen", (struct sockaddr *) &address, (socklen_t) size, c->rest_listen, err);
}

bool rest_reload(struct rest *rest, struct err *err)
{
    const char *file = rest->controller->config.tokens_file;
    if (!file) {
        return true;
    }
    struct tokens *tokens = tokens_load(file, err);
    if (!tokens) {
        return err_prefix(err, "rest.tokens");
    }
    tokens_free(rest->tokens);
    rest->tokens = tokens;
    return true;
}

/* A part of the descriptors: switches need the others. */
static unsigned max_connections(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 4 * REST_MAX_CONNECTIONS ? REST_MAX_CONNECTIONS : (unsigned) (limit.rlim_cur / 4 + 1);
}

struct rest *rest_new(struct controller *c, struct err *err)
{
    struct rest *rest = XNEW(struct rest);
    rest->controller = c;
    list_init(&rest->requests);
    rest->connections = rest_connections_new(c->base, c->clock, max_connections());
    if (!listen_local(rest, err) || !listen_remote(rest, err)) {
        rest_free(rest);
        return NULL;
    }
    return rest;
}

void rest_free(struct rest *rest)
{
    if (!rest) {
        return;
    }
    while (!list_empty(&rest->requests)) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_UNREACHABLE, NULL, "controllerd is stopping");
        rest_reply_err(CONTAINER_OF(rest->requests.next, struct rest_request, node), &err);
    }
    rest_connections_free(rest->connections);
    if (rest->local) {
        evhttp_free(rest->local);
    }
    if (rest->remote) {
        evhttp_free(rest->remote);
    }
    if (rest->socket_made && unlink(rest->controller->config.rest_unix) && errno != ENOENT) {
        LOG(LOG_WARN, "%s: %s", rest->controller->config.rest_unix, strerror(errno));
    }
    tls_config_unref(rest->tls);
    tokens_free(rest->tokens);
    free(rest->counters);
    free(rest);
}
