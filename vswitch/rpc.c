#define LOG_MODULE "rpc"
#include "vswitch/rpc.h"

#include <rte_version.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/util.h"
#include "vswitch/metrics.h"
#include "vswitch/vswitch.h"

static void add_connection(const char *peer, const char *role, const struct of_conn_counters *c, bool outgoing, void *array)
{
    cJSON *o = json_append_object(array);
    json_add_string(o, "peer", peer);
    json_add_string(o, "role", role);
    json_add_string(o, "state", c->state);
    json_add_bool(o, "outgoing", outgoing);
    json_add_u64(o, "rx_messages", c->rx_messages);
    json_add_u64(o, "tx_messages", c->tx_messages);
    json_add_u64(o, "rx_errors", c->rx_errors);
    json_add_u64(o, "reconnects", c->reconnects);
    json_add_u64(o, "packet_ins_dropped", c->packet_ins_dropped);
    json_add_u64(o, "unread_bytes", c->unread_bytes);
    json_add_u64(o, "monitors", c->monitors);
}

static cJSON *rpc_show(struct vswitch *vs, struct json_reader *p)
{
    if (!json_end(p)) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_string(o, "name", vs->config.name);
    json_add_format(o, "datapath_id", "%016llx", (unsigned long long) vs->config.datapath_id);
    json_add_string(o, "version", PACKAGE_VERSION);
    json_add_string(o, "dpdk", rte_version());
    json_add_u64(o, "pid", (uint64_t) getpid());
    json_add_u64(o, "uptime_s", (clock_now_ns(&vs->clock) - vs->started_ns) / 1000000000);
    json_add_bool(o, "hugepages", vs->eal.hugepages);
    json_add_string(o, "fail_mode", vs->config.standalone ? "standalone" : "secure");
    json_add_bool(o, "standalone", vs->standalone);
    json_add_u64(o, "ports", vs->ports.n);
    json_add_u64(o, "flows", flow_tables_count(dp_flows(vs->dp), OFPTT_ALL));
    json_add_u64(o, "groups", group_table_count(dp_groups(vs->dp)));
    cJSON *threads = json_add_array(o, "poll_threads");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        cJSON *t = json_append_object(threads);
        json_add_u64(t, "thread", i + 1);
        json_add_u64(t, "cpu", vs->poll.threads[i]->cpu);
        json_add_u64(t, "queues", atomic_load(&vs->poll.threads[i]->plan)->n);
    }
    of_agent_each_connection(vs->agent, add_connection, json_add_array(o, "controllers"));
    return o;
}

static cJSON *rpc_features(struct vswitch *vs, struct json_reader *p)
{
    if (!json_end(p)) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_string(o, "switch", "vswitchd");
    json_add_string(o, "version", PACKAGE_VERSION);
    json_add_string(o, "name", vs->config.name);
    json_add_string(o, "vhost_dir", vs->config.vhost_dir);
    cJSON *methods = json_add_array(o, "methods");
    static const char *const names[] = { "features", "port-add", "port-del", "port-queues", "ports", "drops", "trace", "metrics" };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        cJSON_AddItemToArray(methods, cJSON_CreateString(names[i]));
    }
    return o;
}

static cJSON *rpc_metrics(struct vswitch *vs, struct json_reader *p)
{
    if (!json_end(p)) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject();
    char *text = metrics_text(vs);
    json_add_string(o, "text", text);
    free(text);
    return o;
}

static cJSON *rpc_log_level(struct vswitch *vs, struct json_reader *p)
{
    enum log_level level;
    (void) vs;
    const char *text = json_string(p, "level", NULL);
    if (!log_level_parse(text, &level)) {
        json_fail(p, "level", "\"%s\" is not error, warn, info or debug", text);
    }
    if (!json_end(p)) {
        return NULL;
    }
    log_set_level(level);
    return cJSON_CreateObject();
}

static cJSON *rpc_stop(struct vswitch *vs, struct json_reader *p)
{
    if (!json_end(p)) {
        return NULL;
    }
    LOG(LOG_INFO, "stop was asked for on the control socket");
    vswitch_stop(vs);
    return cJSON_CreateObject();
}

static const struct { const char *name; rpc_fn *fn; unsigned who; } methods[] = {
    { "show", rpc_show, RPC_LOCAL },
    { "features", rpc_features, RPC_LOCAL | RPC_OPENFLOW },
    { "ports", rpc_ports, RPC_LOCAL | RPC_OPENFLOW },
    { "port-add", rpc_port_add, RPC_LOCAL },
    { "port-add", rpc_port_add_remote, RPC_OPENFLOW },
    { "port-del", rpc_port_del, RPC_LOCAL },
    { "port-del", rpc_port_del_remote, RPC_OPENFLOW },
    { "port-queues", rpc_port_queues, RPC_LOCAL | RPC_OPENFLOW },
    { "drops", rpc_drops, RPC_LOCAL | RPC_OPENFLOW },
    { "groups", rpc_groups, RPC_LOCAL },
    { "trace", rpc_trace, RPC_LOCAL | RPC_OPENFLOW },
    { "perf", rpc_perf, RPC_LOCAL },
    { "metrics", rpc_metrics, RPC_LOCAL | RPC_OPENFLOW },
    { "log-level", rpc_log_level, RPC_LOCAL },
    { "stop", rpc_stop, RPC_LOCAL },
};

cJSON *rpc_call(struct vswitch *vs, const char *method, const cJSON *params, enum rpc_origin origin, struct err *err)
{
    bool known = false;
    for (unsigned i = 0; i < ARRAY_SIZE(methods); i++) {
        if (strcmp(methods[i].name, method)) {
            continue;
        }
        known = true;
        if (!(methods[i].who & origin)) {
            continue;
        }
        struct json_reader r;
        cJSON *empty = params ? NULL : cJSON_CreateObject();
        json_root(&r, params ? params : empty, err);
        cJSON *result = json_is_object(&r) ? methods[i].fn(vs, &r) : NULL;
        cJSON_Delete(empty);
        return result;
    }
    err_set(err, known ? ERR_DENIED : ERR_NOT_FOUND, "method", known ? "\"%s\" may not be called from here" : "there is no method \"%s\"", method);
    return NULL;
}

bool rpc_parse(const char *json, size_t size, struct rpc_request *req, struct err *err)
{
    struct json_reader r, params;
    memset(req, 0, sizeof *req);
    req->tree = json_parse(json, size, RPC_MAX_REQUEST, err);
    if (!req->tree) {
        return false;
    }
    json_root(&r, req->tree, err);
    json_is_object(&r);
    req->id = json_u64(&r, "id", 0, UINT64_MAX, 0);
    req->method = json_string(&r, "method", NULL);
    if (json_member(&r, "params", false, &params)) {
        req->params = params.value;
    }
    if (!json_end(&r)) {
        cJSON_Delete(req->tree);
        req->tree = NULL;
        return false;
    }
    return true;
}

char *rpc_text(struct vswitch *vs, const char *json, size_t size, enum rpc_origin origin)
{
    struct err err = ERR_INIT;
    struct rpc_request req;
    cJSON *reply, *result = NULL;
    bool parsed = rpc_parse(json, size, &req, &err);
    if (parsed) {
        result = rpc_call(vs, req.method, req.params, origin, &err);
        cJSON_Delete(req.tree);
    }
    if (result) {
        reply = cJSON_CreateObject();
        cJSON_AddItemToObject(reply, "result", result);
    } else {
        reply = json_from_err(&err);
    }
    if (req.id) {
        json_add_u64(reply, "id", req.id);
    }
    char *text = json_text(reply, false);
    cJSON_Delete(reply);
    return text;
}
