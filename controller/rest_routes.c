/* The routes, each a row of the table at the end.  Every handler replies once, now or from a callback. */
#define LOG_MODULE "rest"
#include "controller/rest_impl.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include "controller/fabric.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"
#include "lib/log.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unreleased"
#endif

#define LINKS "links"

static void get_version(struct rest_request *r)
{
    cJSON *o = cJSON_CreateObject();
    json_add_string(o, "name", "controllerd");
    json_add_string(o, "version", PACKAGE_VERSION);
    json_add_string(o, "api", "v1");
    json_add_format(o, "revision", "%llu", (unsigned long long) model_revision(rest_controller(r)->model));
    rest_reply_json(r, o);
}

/* --- Objects --- */

/* "ports/red/main/web/a" into kind and name; name NULL for a list. */
static bool split_tail(struct rest_request *r, enum model_kind *kind, char plural[24], const char **name, struct err *err)
{
    const char *slash = strchr(r->tail, '/');
    size_t n = slash ? (size_t) (slash - r->tail) : strlen(r->tail);
    *name = slash && slash[1] ? slash + 1 : NULL;
    str_copy(plural, 24, r->tail);
    if (n < 24) {
        plural[n] = '\0';
    }
    if (!strcmp(plural, LINKS)) {
        return true;
    }
    if (n >= 24 || !kind_from_name(plural, kind) || strcmp(kind_plural(*kind), plural)) {
        return err_set(err, ERR_NOT_FOUND, NULL, "there is no kind %.60s", r->tail);
    }
    return true;
}

static bool is_substrate(enum model_kind kind) { return kind == KIND_EDGE || kind == KIND_FABRIC_SWITCH; }

/* Whether the asker may know of the object. */
static bool may_see(const struct rest_request *r, enum model_kind kind, const void *object)
{
    const char *tenant = rest_tenant(r), *owner = object_tenant(kind, object);
    return !tenant || (owner && !strcmp(owner, tenant));
}

static bool not_found(enum model_kind kind, const char *name, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, NULL, "there is no %s %s", kind_name(kind), name);
    return err_hint(err, "vpcctl get %s lists them", kind_plural(kind));
}

static void get_links(struct rest_request *r, const char *name)
{
    struct controller *c = rest_controller(r);
    cJSON *links = substrate_links_json(c->substrate), *link;
    if (!name) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToObject(o, "items", links);
        json_add_format(o, "revision", "%llu", (unsigned long long) model_revision(c->model));
        rest_reply_object(r, o, model_revision(c->model));
        return;
    }
    cJSON_ArrayForEach(link, links) {
        if (!strcmp(cJSON_GetObjectItemCaseSensitive(link, "name")->valuestring, name)) {
            rest_reply_json(r, cJSON_DetachItemViaPointer(links, link));
            cJSON_Delete(links);
            return;
        }
    }
    struct err err = ERR_INIT;
    err_set(&err, ERR_NOT_FOUND, NULL, "there is no link %.100s", name);
    cJSON_Delete(links);
    rest_reply_err(r, &err);
}

static void get_list(struct rest_request *r, enum model_kind kind)
{
    struct controller *c = rest_controller(r);
    const char *tenant = rest_query(r, "tenant");
    cJSON *o = cJSON_CreateObject(), *items = json_add_array(o, "items");
    for (unsigned i = 0, n = model_count(c->model, kind); i < n; i++) {
        const void *object = model_at(c->model, kind, i);
        const char *owner = object_tenant(kind, object);
        if (may_see(r, kind, object) && (!tenant || (owner && !strcmp(owner, tenant)))) {
            cJSON_AddItemToArray(items, api_object(c, kind, object, !rest_tenant(r)));
        }
    }
    if (is_substrate(kind)) {
        cJSON_AddItemToObject(o, "unknown", substrate_unknown_json(c->substrate));
    }
    json_add_format(o, "revision", "%llu", (unsigned long long) model_revision(c->model));
    rest_reply_object(r, o, model_revision(c->model));
}

static void get_objects(struct rest_request *r)
{
    struct err err = ERR_INIT;
    enum model_kind kind = KIND_TENANT;
    char plural[24];
    const char *name;
    if (!split_tail(r, &kind, plural, &name, &err)) {
        rest_reply_err(r, &err);
        return;
    }
    bool links = !strcmp(plural, LINKS);
    if (rest_tenant(r) && (links || is_substrate(kind))) {
        err_set(&err, ERR_DENIED, NULL, "%s are for operators only", plural);
        rest_reply_err(r, &err);
    } else if (links) {
        get_links(r, name);
    } else if (!name) {
        get_list(r, kind);
    } else {
        const void *object = model_find(rest_controller(r)->model, kind, name);
        if (!object || !may_see(r, kind, object)) {
            not_found(kind, name, &err);
            rest_reply_err(r, &err);
        } else {
            rest_reply_object(r, api_object(rest_controller(r), kind, object, !rest_tenant(r)), object_revision(kind, object));
        }
    }
}

/* --- Changes --- */

static void on_committed(const struct err *err, uint64_t revision, void *r_)
{
    struct rest_request *r = r_;
    if (err) {
        rest_reply_err(r, err);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_format(o, "revision", "%llu", (unsigned long long) revision);
    cJSON_AddItemToObject(o, "changes", r->answer);
    r->answer = NULL;
    rest_reply_object(r, o, revision);
}

static void commit(struct rest_request *r, struct model_txn *txn)
{
    unsigned n;
    const struct model_change *changes = model_txn_changes(txn, &n);
    r->answer = api_changes(changes, n);
    LOG(LOG_INFO, "%s%s%s: %u changes", r->who.name, rest_tenant(r) ? " of tenant " : "", r->who.tenant, n);
    controller_commit(rest_controller(r), txn, on_committed, r);
}

static void do_apply(void *r_)
{
    struct rest_request *r = r_;
    struct err err = ERR_INIT;
    struct model_txn *txn = model_apply(rest_controller(r)->model, r->body, rest_tenant(r), &err);
    if (!txn) {
        rest_reply_err(r, &err);
    } else if (rest_query(r, "dry_run") && strcmp(rest_query(r, "dry_run"), "0")) {
        unsigned n;
        const struct model_change *changes = model_txn_changes(txn, &n);
        cJSON *o = cJSON_CreateObject();
        json_add_format(o, "revision", "%llu", (unsigned long long) model_revision(rest_controller(r)->model));
        json_add_bool(o, "dry_run", true);
        cJSON_AddItemToObject(o, "changes", api_changes(changes, n));
        model_txn_abort(txn);
        rest_reply_json(r, o);
    } else {
        commit(r, txn);
    }
}

static void post_apply(struct rest_request *r)
{
    struct err err = ERR_INIT;
    struct evbuffer *in = evhttp_request_get_input_buffer(r->http);
    size_t size = evbuffer_get_length(in);
    const char *text = size ? (const char *) evbuffer_pullup(in, -1) : "";
    r->body = json_parse(text, size, REST_MAX_BODY, &err);
    if (!r->body) {
        rest_reply_err(r, &err);
        return;
    }
    controller_when_idle(rest_controller(r), do_apply, r);
}

/* If-Match (RFC 9110 section 13.1.1): one entity tag, or "*" for any.  0: any. */
static bool if_match(struct rest_request *r, uint64_t *revision, struct err *err)
{
    const char *text = evhttp_find_header(evhttp_request_get_input_headers(r->http), "If-Match");
    char digits[24];
    *revision = 0;
    if (!text || !strcmp(text, "*")) {
        return true;
    }
    size_t n = strlen(text);
    bool ok = n >= 3 && n - 2 < sizeof digits && text[0] == '"' && text[n - 1] == '"';
    if (ok) {
        str_copy(digits, sizeof digits, text + 1);
        digits[n - 2] = '\0';
    }
    return (ok && str_to_u64(digits, UINT64_MAX, revision) && *revision)
           || err_set(err, ERR_INVALID, "If-Match", "%.60s is not an ETag of this API", text);
}

static void do_delete(void *r_)
{
    struct rest_request *r = r_;
    struct err err = ERR_INIT;
    struct model *m = rest_controller(r)->model;
    enum model_kind kind = KIND_TENANT;
    char plural[24];
    const char *name;
    uint64_t revision;
    struct model_txn *txn = NULL;
    if (split_tail(r, &kind, plural, &name, &err) && if_match(r, &revision, &err)) {
        const void *object = name ? model_find(m, kind, name) : NULL;
        if (!name || !strcmp(plural, LINKS)) {
            err_set(&err, ERR_INVALID, NULL, name ? "links are discovered, not configured" : "name the object to delete");
        } else if (rest_tenant(r) && is_substrate(kind)) {
            err_set(&err, ERR_DENIED, NULL, "%s are for operators only", plural);
        } else if (!object || !may_see(r, kind, object)) {
            not_found(kind, name, &err);
        } else {
            txn = model_delete(m, kind, name, rest_tenant(r), revision, &err);
        }
    }
    if (txn) {
        commit(r, txn);
    } else {
        rest_reply_err(r, &err);
    }
}

static void delete_object(struct rest_request *r) { controller_when_idle(rest_controller(r), do_delete, r); }

/* --- Questions --- */

static void on_installed(const struct err *err, void *r_)
{
    struct rest_request *r = r_;
    if (err) {
        struct err e = *err;
        if (rest_tenant(r)) {   /* Which switches there are is not a tenant's to know. */
            err_set(&e, err->code, NULL, "not everything is installed yet");
            *e.hint = '\0';
        }
        rest_reply_err(r, &e);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_bool(o, "installed", true);
    json_add_format(o, "revision", "%llu", (unsigned long long) model_revision(rest_controller(r)->model));
    rest_reply_json(r, o);
}

static void get_installed(struct rest_request *r)
{
    struct err err = ERR_INIT;
    struct controller *c = rest_controller(r);
    uint64_t revision, timeout_ms;
    if (!rest_query_u64(r, "revision", UINT64_MAX, model_revision(c->model), &revision, &err)
        || !rest_query_u64(r, "timeout_ms", REST_MAX_WAIT_MS, 10000, &timeout_ms, &err)) {
        rest_reply_err(r, &err);
    } else if (revision > model_revision(c->model)) {
        err_set(&err, ERR_INVALID, "revision", "there is no revision %llu yet, the last one is %llu", (unsigned long long) revision,
                (unsigned long long) model_revision(c->model));
        rest_reply_err(r, &err);
    } else {
        struct evhttp_connection *connection = evhttp_request_get_connection(r->http);
        if (connection) {
            evhttp_connection_set_timeout(connection, (int) (timeout_ms / 1000) + REST_TIMEOUT_S);
        }
        reconcile_wait(c->reconcile, controller_sequence_before(c, revision), (unsigned) timeout_ms, on_installed, r);
    }
}

static void on_traced(cJSON *result, const struct err *err, void *r_)
{
    struct rest_request *r = r_;
    if (!result) {
        rest_reply_err(r, err);
        return;
    }
    cJSON *steps = cJSON_GetObjectItemCaseSensitive(result, "steps"), *step = steps ? steps->child : NULL;
    while (rest_tenant(r) && step) {            /* A tenant sees its own network's inside, not the substrate's. */
        cJSON *next = step->next;
        const char *where = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(step, "where"));
        if (!where || strcmp(where, "virtual")) {
            cJSON_Delete(cJSON_DetachItemViaPointer(steps, step));
        } else {
            cJSON_DeleteItemFromObjectCaseSensitive(step, "switch");
        }
        step = next;
    }
    rest_reply_json(r, result);
}

static void get_trace(struct rest_request *r)
{
    struct err err = ERR_INIT;
    const char *name = rest_query(r, "port"), *to = rest_query(r, "to");
    const struct model *m = rest_controller(r)->model;
    const void *port = name ? model_find(m, KIND_PORT, name) : NULL, *switch_port = name && !port ? model_find(m, KIND_SWITCH_PORT, name) : NULL;
    if (!name || !to) {
        err_set(&err, ERR_INVALID, name ? "to" : "port", "give port=TENANT/VPC/NETWORK/PORT, or TENANT/SLICE/SWITCH/PORT, and to=ADDRESS");
        rest_reply_err(r, &err);
    } else if (!(port && may_see(r, KIND_PORT, port)) && !(switch_port && may_see(r, KIND_SWITCH_PORT, switch_port))) {
        err_set(&err, ERR_NOT_FOUND, NULL, "there is no port %s", name);
        err_hint(&err, "vpcctl get ports and vpcctl get switch-ports list them");
        rest_reply_err(r, &err);
    } else {
        fabric_trace(rest_controller(r)->fabric, name, to, on_traced, r);
    }
}

static void get_whois(struct rest_request *r)
{
    struct err err = ERR_INIT;
    cJSON *o = model_whois(rest_controller(r)->model, r->tail, &err);
    if (o) {
        fabric_whois(rest_controller(r)->fabric, o);
        rest_reply_json(r, o);
    } else {
        rest_reply_err(r, &err);
    }
}

static void add_path(struct controller *c, cJSON *o, const char *key, const struct sw *from, const struct sw *to, uint8_t class)
{
    struct hop hops[64];
    cJSON *list = json_add_array(o, key);
    for (unsigned i = 0, n = substrate_path(c->substrate, from, to, class, hops, ARRAY_SIZE(hops)); i < n; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateString(hops[i].sw->edge->name));
    }
}

static struct sw *edge_of_query(struct rest_request *r, const char *key, struct err *err)
{
    struct controller *c = rest_controller(r);
    const char *name = rest_query(r, key);
    const struct edge *edge = name ? model_find(c->model, KIND_EDGE, name) : NULL;
    if (!name) {
        err_set(err, ERR_INVALID, key, "give %s=EDGE", key);
    } else if (!edge) {
        not_found(KIND_EDGE, name, err);
    }
    return edge ? substrate_find(c->substrate, edge->datapath_id) : NULL;
}

/* What frames from one edge to another take, and what they take when that fails. */
static void get_path(struct rest_request *r)
{
    struct err err = ERR_INIT;
    struct controller *c = rest_controller(r);
    const struct sw *from = edge_of_query(r, "from", &err), *to = from ? edge_of_query(r, "to", &err) : NULL;
    if (!to) {
        rest_reply_err(r, &err);
        return;
    }
    const uint8_t class = substrate_default_class(c->substrate, from, to);
    cJSON *o = cJSON_CreateObject();
    json_add_bool(o, "reachable", substrate_reachable(c->substrate, from, to));
    json_add_u64(o, "class", class);
    add_path(c, o, "primary", from, to, class);
    add_path(c, o, "backup", from, to, !class);
    rest_reply_json(r, o);
}

static void post_restore(struct rest_request *r)
{
    struct err err = ERR_INIT;
    if (substrate_restore(rest_controller(r)->substrate, r->tail, &err)) {
        cJSON *o = cJSON_CreateObject();
        json_add_string(o, "link", r->tail);
        json_add_bool(o, "restored", true);
        rest_reply_json(r, o);
    } else {
        rest_reply_err(r, &err);
    }
}

static void get_metrics(struct rest_request *r)
{
    struct controller *c = rest_controller(r);
    struct buf text = BUF_INIT;
    buf_puts(&text, "# HELP polder_build_info The running version.\n# TYPE polder_build_info gauge\npolder_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
    buf_puts(&text, "# HELP polder_objects Objects of the model.\n# TYPE polder_objects gauge\n");
    for (unsigned kind = 0; kind < N_KINDS; kind++) {
        buf_printf(&text, "polder_objects{kind=\"%s\"} %u\n", kind_name(kind), model_count(c->model, kind));
    }
    buf_puts(&text, "# HELP polder_revision The model's revision.\n# TYPE polder_revision gauge\n");
    buf_printf(&text, "polder_revision %llu\n", (unsigned long long) model_revision(c->model));
    substrate_metrics(c->substrate, &text);
    reconcile_metrics(c->reconcile, &text);
    fabric_metrics(c->fabric, &text);
    rest_metrics(r->rest, &text);
    rest_reply_text(r, "text/plain; version=0.0.4; charset=utf-8", &text);
    buf_fini(&text);
}

const struct rest_route rest_routes[] = {
    { EVHTTP_REQ_GET, "/v1/version", "/v1/version", false, get_version, NULL },
    { EVHTTP_REQ_POST, "/v1/apply", "/v1/apply", false, post_apply, "dry_run " },
    { EVHTTP_REQ_GET, "/v1/installed", "/v1/installed", false, get_installed, "revision timeout_ms " },
    { EVHTTP_REQ_GET, "/v1/trace", "/v1/trace", false, get_trace, "port to " },
    { EVHTTP_REQ_GET, "/v1/path", "/v1/path", true, get_path, "from to " },
    { EVHTTP_REQ_POST, "/v1/restore/", "/v1/restore", true, post_restore, NULL },
    { EVHTTP_REQ_GET, "/v1/whois/", "/v1/whois", true, get_whois, NULL },
    { EVHTTP_REQ_GET, "/metrics", "/metrics", true, get_metrics, NULL },
    { EVHTTP_REQ_GET, "/v1/", "/v1/{kind}", false, get_objects, "tenant " },
    { EVHTTP_REQ_DELETE, "/v1/", "/v1/{kind}", false, delete_object, NULL },
};
const unsigned rest_n_routes = ARRAY_SIZE(rest_routes);
