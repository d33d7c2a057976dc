/* Groups and meters of a virtual switch: limits, physical ids, and what an unconfirmed modify may have to bring back.  See vsw.h. */
#include "controller/vsw.h"

#include <stdlib.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/fabric_impl.h"
#include "controller/vsw_counters.h"

static uint32_t id_hash(uint32_t id) { return (uint32_t) hash_mix64(id); }

/* --- Groups --- */

static void content_set(struct group_content *c, const struct group *g)
{
    *c = (struct group_content) { .type = g->type, .n = g->n_buckets, .buckets = xcalloc(g->n_buckets + 1, sizeof *c->buckets) };
    for (unsigned i = 0; i < g->n_buckets; i++) {
        of_bucket_copy(&c->buckets[i], &g->buckets[i]);
    }
}

static void content_fini(struct group_content *c)
{
    if (c->buckets) {
        of_buckets_free(c->buckets, c->n);
    }
    *c = (struct group_content) { 0 };
}

static struct of_error check_buckets(const struct vsw *vsw, const struct group *g)
{
    struct of_error error = OF_OK;
    for (unsigned i = 0; of_ok(error) && i < g->n_buckets; i++) {
        error = vsw_check_actions(vsw, &g->buckets[i].actions, false);
    }
    return error;
}

static struct of_error group_insert(struct group *g, void *aux)
{
    struct vsw *vsw = aux;
    struct of_error error = check_buckets(vsw, g);
    if (!of_ok(error)) {
        return error;
    }
    if (!vsw->undoing && (group_table_count(vsw->groups) >= vsw->network->quota.groups
                          || vsw->usage->groups >= network_tenant(vsw->network)->quota.groups || id_pool_empty(&vsw->fabric->group_ids))) {
        return OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_GROUPS);
    }
    struct vgroup *vgroup = XNEW(struct vgroup);
    vgroup->group = g;
    vgroup->physical = id_pool_get(&vsw->fabric->group_ids);
    vgroup->change = vsw->current;
    content_set(&vgroup->now, g);
    g->aux = vgroup;
    hmap_insert(&vsw->group_ids, &vgroup->node, id_hash(vgroup->physical));
    vsw->usage->groups++;
    vsw->n_ff_groups += g->type == OFPGT_FF;
    compile_group_put(vsw, g);
    return OF_OK;
}

static struct of_error group_modify(struct group *g, void *aux)
{
    struct vsw *vsw = aux;
    struct vgroup *vgroup = g->aux;
    struct of_error error = check_buckets(vsw, g);
    if (!of_ok(error)) {
        return error;
    }
    vsw->n_ff_groups += g->type == OFPGT_FF;
    vsw->n_ff_groups -= vgroup->now.type == OFPGT_FF;
    bool pending = vgroup->change >= vsw->first_change;
    if (vsw->undoing || pending) {                      /* The base to go back to is what was last confirmed. */
        content_fini(&vgroup->now);
    } else {
        content_fini(&vgroup->former);
        vgroup->former = vgroup->now;
    }
    content_set(&vgroup->now, g);
    vgroup_counters_reset(vgroup);
    vgroup->change = vsw->undoing ? 0 : vsw->current;
    compile_group_put(vsw, g);
    return OF_OK;
}

static void group_remove(struct group *g, void *aux)
{
    struct vsw *vsw = aux;
    struct vgroup *vgroup = g->aux;
    vsw->n_ff_groups -= vgroup->now.type == OFPGT_FF;
    compile_group_gone(vsw, g);
    vsw->usage->groups--;
    hmap_remove(&vsw->group_ids, &vgroup->node);
    id_pool_put(&vsw->fabric->group_ids, vgroup->physical);
    content_fini(&vgroup->now);
    content_fini(&vgroup->former);
    vgroup_counters_fini(vgroup);
    free(vgroup);
    g->aux = NULL;
}

uint32_t vsw_physical_group(const struct vsw *vsw, uint32_t id)
{
    const struct group *g = group_table_find(vsw->groups, id);
    return g ? ((const struct vgroup *) g->aux)->physical : 0;
}

struct vgroup *vsw_find_group(const struct vsw *vsw, uint32_t physical)
{
    struct vgroup *vgroup;
    HMAP_FOR_EACH_WITH_HASH (vgroup, node, id_hash(physical), &vsw->group_ids) {
        if (vgroup->physical == physical) {
            return vgroup;
        }
    }
    return NULL;
}

/* --- Meters --- */

static struct of_error meter_insert(struct meter *m, void *aux)
{
    struct vsw *vsw = aux;
    if (!vsw->undoing && (vsw->meter_ids.n >= vsw->network->quota.meters || vsw->usage->meters >= network_tenant(vsw->network)->quota.meters
                          || id_pool_empty(&vsw->fabric->meter_ids))) {
        return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_METERS);
    }
    struct vmeter *vmeter = XNEW(struct vmeter);
    vmeter->meter = m;
    vmeter->physical = id_pool_get(&vsw->fabric->meter_ids);
    vmeter->change = vsw->current;
    m->aux = vmeter;
    hmap_insert(&vsw->meter_ids, &vmeter->node, id_hash(vmeter->physical));
    vsw->usage->meters++;
    compile_meter_put(vsw, m);
    return OF_OK;
}

static struct of_error meter_modify(struct meter *m, void *aux)
{
    struct vsw *vsw = aux;
    struct vmeter *vmeter = m->aux;
    vmeter->change = vsw->current;
    vmeter_counters_reset(vmeter);
    compile_meter_put(vsw, m);
    return OF_OK;
}

static void meter_remove(struct meter *m, void *aux)
{
    struct vsw *vsw = aux;
    struct vmeter *vmeter = m->aux;
    compile_meter_gone(vsw, m);
    vsw->usage->meters--;
    hmap_remove(&vsw->meter_ids, &vmeter->node);
    id_pool_put(&vsw->fabric->meter_ids, vmeter->physical);
    vmeter_counters_fini(vmeter);
    free(vmeter);
    m->aux = NULL;
}

uint32_t vsw_physical_meter(const struct vsw *vsw, uint32_t id)
{
    const struct meter *m = meter_table_find(vsw->meters, id);
    return m ? ((const struct vmeter *) m->aux)->physical : 0;
}

struct vmeter *vsw_find_meter(const struct vsw *vsw, uint32_t physical)
{
    struct vmeter *vmeter;
    HMAP_FOR_EACH_WITH_HASH (vmeter, node, id_hash(physical), &vsw->meter_ids) {
        if (vmeter->physical == physical) {
            return vmeter;
        }
    }
    return NULL;
}

/* --- Life --- */

#define MAX_OBJECTS (1u << 20)  /* Quotas are the limit. */

void vsw_groups_init(struct vsw *vsw)
{
    static const struct group_ops group_ops = { group_insert, group_modify, group_remove };
    static const struct meter_ops meter_ops = { meter_insert, meter_modify, meter_remove, vsw_counters_meter };
    hmap_init(&vsw->group_ids);
    hmap_init(&vsw->meter_ids);
    vsw->packet_in_meter = id_pool_empty(&vsw->fabric->meter_ids) ? 0 : id_pool_get(&vsw->fabric->meter_ids);
    vsw->groups = group_table_new(MAX_OBJECTS, vsw->controller->clock, &group_ops, vsw);
    vsw->meters = meter_table_new(MAX_OBJECTS, vsw->controller->clock, &meter_ops, vsw);
}

void vsw_groups_fini(struct vsw *vsw)
{
    group_table_free(vsw->groups);
    meter_table_free(vsw->meters);
    if (vsw->packet_in_meter) {
        id_pool_put(&vsw->fabric->meter_ids, vsw->packet_in_meter);
    }
    hmap_fini(&vsw->group_ids);
    hmap_fini(&vsw->meter_ids);
}
