/* Polder requests (ofproto/polder.h) on a connection: sent, matched with their replies by xid, ended once: by a reply, an error, the time or the connection's end. */
#include "controller/substrate_impl.h"

#include <stdlib.h>
#include <string.h>
#include "lib/json.h"
#include "ofproto/polder.h"

#define POLDER_REPLY_MAX (16u << 20)

void polder_request_send(struct sb_conn *sb, const char *method, cJSON *params,
                         void (*fn)(const cJSON *, const struct err *, void *), void *aux)
{
    cJSON *body = cJSON_CreateObject();
    json_add_string(body, "method", method);
    if (params) {
        cJSON_AddItemToObject(body, "params", params);
    }
    char *text = json_text(body, false);
    cJSON_Delete(body);
    struct of_msg msg;
    of_msg_init(&msg, OFPT_EXPERIMENTER, of_conn_next_xid(sb->conn));
    msg.experimenter.experimenter = POLDER_EXPERIMENTER;
    msg.experimenter.exp_type = POLDER_REQUEST;
    msg.experimenter.data = (uint8_t *) text;
    msg.experimenter.size = (unsigned) strlen(text);
    struct polder_request *r = XNEW(struct polder_request);
    *r = (struct polder_request) { .xid = of_conn_send(sb->conn, &msg), .deadline_ns = substrate_now(sb->substrate) + POLDER_TIMEOUT_NS, .fn = fn, .aux = aux };
    list_push_back(&sb->requests, &r->node);
    of_msg_fini(&msg);
}

struct polder_request *polder_request_take(struct sb_conn *sb, uint32_t xid)
{
    struct polder_request *r;
    LIST_FOR_EACH(r, node, &sb->requests) {
        if (r->xid == xid) {
            list_remove(&r->node);
            return r;
        }
    }
    return NULL;
}

void polder_request_end(struct polder_request *r, const cJSON *result, const struct err *err)
{
    r->fn(result, err, r->aux);
    free(r);
}

void polder_requests_fail(struct sb_conn *sb, enum err_code code, const char *why)
{
    while (!list_empty(&sb->requests)) {
        struct polder_request *r = CONTAINER_OF(sb->requests.next, struct polder_request, node);
        struct err err = ERR_INIT;
        list_remove(&r->node);
        err_set(&err, code, NULL, "%s", why);
        polder_request_end(r, NULL, &err);
    }
}

void polder_request_reply(struct polder_request *r, const uint8_t *data, unsigned size)
{
    struct err err = ERR_INIT;
    cJSON *reply = json_parse((const char *) data, size, POLDER_REPLY_MAX, &err);
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "result");
    if (reply && !result && !json_to_err(reply, &err)) {
        err_set(&err, ERR_FAILED, NULL, "the switch's reply has neither a result nor an error");
    }
    polder_request_end(r, result, result ? NULL : &err);
    cJSON_Delete(reply);
}

struct deferred { void (*fn)(const cJSON *, const struct err *, void *); void *aux; };

static void on_deferred(evutil_socket_t fd UNUSED, short what UNUSED, void *d_)
{
    struct deferred *d = d_;
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNREACHABLE, NULL, "the switch is not connected");
    d->fn(NULL, &err, d->aux);
    free(d);
}

void sw_polder_request(struct sw *sw, const char *method, cJSON *params, void (*fn)(const cJSON *result, const struct err *, void *aux), void *aux)
{
    struct sw_impl *impl = sw_impl_of(sw);
    if (impl->sb) {
        polder_request_send(impl->sb, method, params, fn, aux);
        return;
    }
    cJSON_Delete(params);
    struct deferred *d = XNEW(struct deferred);
    *d = (struct deferred) { fn, aux };
    struct timeval now = { 0 };
    if (event_base_once(impl->substrate->controller->base, -1, EV_TIMEOUT, on_deferred, d, &now)) {
        on_deferred(-1, 0, d);
    }
}

void polder_requests_expire(struct sb_conn *sb)
{
    const uint64_t now = substrate_now(sb->substrate);
    struct polder_request *r;
    struct list late;
    list_init(&late);
    LIST_FOR_EACH(r, node, &sb->requests) {
        if (now >= r->deadline_ns) {
            list_remove(&r->node);
            list_push_back(&late, &r->node);
        }
    }
    while (!list_empty(&late)) {
        r = CONTAINER_OF(late.next, struct polder_request, node);
        struct err err = ERR_INIT;
        list_remove(&r->node);
        err_set(&err, ERR_TIMEOUT, NULL, "the switch did not answer within %u s", (unsigned) (POLDER_TIMEOUT_NS / 1000000000));
        polder_request_end(r, NULL, &err);
    }
}
