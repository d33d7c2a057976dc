/* The life of virtual switches' agents.  See slice.h. */
#define LOG_MODULE "slice"
#include "controller/slice.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/config.h"
#include "controller/fabric_impl.h"
#include "controller/limits.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/stream.h"

#define MAX_CONNECTIONS 16      /* Per virtual switch. */
#define MAX_BACKOFF_MS 4000
#define MAX_UNREAD ((size_t) 8 << 20)           /* Bytes for a controller that does not read; then its connection ends. */
#define MAX_MONITORS 16         /* Flow monitors of a connection. */

/* What an agent is made from: what it tells of the switch… */
static char *identity_of(const struct network *network)
{
    return xasprintf("%016" PRIx64 " %u %u", network->datapath_id, network->quota.tables, network->quota.packet_in_rate);
}

/* …and whom it talks to; NULL when no controller is wanted. */
static char *targets_of(const struct network *network)
{
    struct buf text = BUF_INIT;
    if (!network->slice->n_controllers && !network->n_listen) {
        return NULL;
    }
    for (unsigned i = 0; i < network->slice->n_controllers; i++) {
        buf_printf(&text, " %s", network->slice->controllers[i]);
    }
    for (unsigned i = 0; i < network->n_listen; i++) {
        buf_printf(&text, " %s", network->listen[i]);
    }
    return buf_steal_cstr(&text);
}

/* All tenants' controllers have one authority: a certificate is good for the tenant that it names, or for one slice of it. */
static void require_names(const struct network *network, struct tls_config *tls)
{
    const char *tenant = network_tenant(network)->name;
    char *slice = xasprintf("%s.%s", network->slice->name + strlen(tenant) + 1, tenant);
    tls_config_require_name(tls, tenant);
    tls_config_require_name(tls, slice);
    free(slice);
}

/* A new agent, or, if there is one, its connections as they should be. */
static bool agent_make(struct vsw *vsw, struct err *err)
{
    const struct network *network = vsw->network;
    struct controller *c = vsw->controller;
    struct of_agent_config config = {
        .n_controllers = network->slice->n_controllers, .n_listen = network->n_listen, .listen = (const char **) network->listen,
        .max_connections = MAX_CONNECTIONS, .versions = 1u << OF10_VERSION | 1u << OF13_VERSION, .packet_in_rate = network->quota.packet_in_rate,
        .max_monitors = MAX_MONITORS, .max_unread = MAX_UNREAD, .share = &vsw->share,
    };
    if (!config_slice_tls(&c->config, &config.tls, err)) {
        return false;
    }
    if (config.tls) {
        require_names(network, config.tls);
    }
    config.controllers = xcalloc(config.n_controllers + 1, sizeof *config.controllers);
    for (unsigned i = 0; i < config.n_controllers; i++) {
        config.controllers[i].target = network->slice->controllers[i];
        config.controllers[i].max_backoff_ms = MAX_BACKOFF_MS;
    }
    bool ok;
    if (vsw->agent) {
        ok = of_agent_retarget(vsw->agent, &config, err);
    } else {
        vsw->agent = of_agent_new(c->base, &config, c->clock, &vsw_backend_ops, vsw, err);
        ok = vsw->agent != NULL;
    }
    free(config.controllers);
    tls_config_unref(config.tls);
    return ok;
}

void slice_agent_close(struct vsw *vsw)
{
    struct of_agent *agent = vsw->agent;
    vsw->agent = NULL;                                  /* Nothing is sent while it goes. */
    of_agent_free(agent);
    free(vsw->agent_targets);
    free(vsw->agent_identity);
    vsw->agent_targets = vsw->agent_identity = NULL;
}

void slice_agent_update(struct vsw *vsw)
{
    struct err err = ERR_INIT;
    char *targets = targets_of(vsw->network), *identity = identity_of(vsw->network);
    bool same = vsw->agent && !strcmp(identity, vsw->agent_identity);
    if (same && targets && !strcmp(targets, vsw->agent_targets)) {
        free(targets);
        free(identity);
        return;
    }
    if (!same || !targets) {
        slice_agent_close(vsw);
    }
    free(vsw->agent_targets);
    free(vsw->agent_identity);
    vsw->agent_targets = targets;
    vsw->agent_identity = identity;
    vsw->agent_error[0] = '\0';
    if (targets && !agent_make(vsw, &err)) {
        LOG_RATE(LOG_WARN, 10, "%s: %s: %s", vsw->network->name, err.field, err.message);
        slice_agent_close(vsw);                         /* slice_agent_retry() makes it anew. */
        str_copy(vsw->agent_error, sizeof vsw->agent_error, err.message);
    }
}

void slice_agent_retry(struct fabric *f)
{
    struct vsw *vsw;
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        if (vsw->is_slice && !vsw->agent) {
            slice_agent_update(vsw);
        }
    }
}

static void add_connection(const char *peer, const char *role, const struct of_conn_counters *c, bool outgoing, void *list)
{
    cJSON *json = cJSON_CreateObject();
    json_add_string(json, "peer", peer);
    json_add_string(json, "role", role);
    json_add_string(json, "state", c->state);
    json_add_bool(json, "outgoing", outgoing);
    json_add_u64(json, "received", c->rx_messages);
    json_add_u64(json, "sent", c->tx_messages);
    json_add_u64(json, "errors", c->rx_errors);
    json_add_u64(json, "packet_ins_dropped", c->packet_ins_dropped);
    cJSON_AddItemToArray(list, json);
}

void slice_status_json(const struct vsw *vsw, cJSON *json)
{
    cJSON *controllers = cJSON_AddArrayToObject(json, "controllers");
    if (vsw->agent) {
        of_agent_each_connection(vsw->agent, add_connection, controllers);
    }
    if (vsw->agent_error[0]) {
        json_add_string(json, "error", vsw->agent_error);
    }
    json_add_u64(json, "groups", group_table_count(vsw->groups));
    json_add_u64(json, "meters", vsw->meter_ids.n);
    json_add_u64(json, "physical_entries", vsw->cost);
    limits_status_json(vsw, json);
}
