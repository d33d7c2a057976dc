/* See vsw.h. */
#include "controller/vsw.h"

#include <stdlib.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/limits.h"
#include "controller/room.h"
#include "controller/vsw_stats.h"
#include "ofproto/agent.h"

/* --- What compile.c can carry --- */

/* Section 5.12's actions but for queues and the ports that need a host's stack. */
static struct of_error check_output(const struct vsw *vsw, uint32_t port, bool packet_out)
{
    bool ok = port <= OFPP_MAX || port == OFPP_IN_PORT || port == OFPP_FLOOD || port == OFPP_ALL || (port == OFPP_CONTROLLER && vsw->is_slice)
              || (port == OFPP_TABLE && packet_out);
    return ok ? OF_OK : OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_PORT);
}

/* The context lives in registers, and a tunnel's id is the fabric's. */
static bool is_ours(const struct field *f)
{
    enum field_id id = field_id_of(f);
    return f->offset < offsetof(struct flow, eth_dst) && id != FIELD_METADATA && id != FIELD_PBB_ISID;
}

bool vsw_has_field(const struct field *f, bool to_set) { return !is_ours(f) || (!to_set && field_id_of(f) == FIELD_IN_PORT); }

struct of_error vsw_check_actions(const struct vsw *vsw, const struct actions *actions, bool packet_out)
{
    struct of_error error;
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        switch (a->type) {
        case ACTION_OUTPUT:
            if (!of_ok(error = check_output(vsw, a->output.port, packet_out))) {
                return error;
            }
            break;
        case ACTION_GROUP:
            if (!vsw->is_slice || !vsw_physical_group(vsw, a->group)) {
                return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
            }
            break;
        case ACTION_SET_QUEUE:
            return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_QUEUE);
        case ACTION_SET_FIELD:
            if (is_ours(a->set_field.field)) {
                return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_SET_TYPE);
            }
            if (vsw->is_slice && a->set_field.masked) {
                return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_EXPERIMENTER);
            }
            break;
        case ACTION_RESUBMIT: case ACTION_OUTPUT_REG: case ACTION_CONTROLLER: case ACTION_CONJUNCTION:
            return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_EXPERIMENTER);
        case ACTION_MOVE: case ACTION_LOAD: case ACTION_CLONE: case ACTION_NOTE: case ACTION_DROP:
            /* Nicira's and ours: the VPC application's words. A tenant's switch is a plain one. */
            if (vsw->is_slice) {
                return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_EXPERIMENTER);
            }
            break;
        default:
            break;
        }
    }
    return OF_OK;
}

/* The words of a flow key before the frame's own fields; metadata, in_port and pbb_isid are the tenant's, too. */
#define PIPELINE_WORDS (offsetof(struct flow, eth_dst) / 8)
#define WORD_BIT(MEMBER) (UINT64_C(1) << offsetof(struct flow, MEMBER) / 8)

static struct of_error check_match(const struct flow_entry *entry)
{
    struct match match;
    uint64_t pipeline = entry->match->map & ((UINT64_C(1) << PIPELINE_WORDS) - 1) & ~WORD_BIT(metadata);
    if (!pipeline) {
        return OF_OK;
    }
    if (pipeline & ~(WORD_BIT(in_port) | WORD_BIT(pbb_isid))) {
        return OF_ERROR(OFPET_BAD_MATCH, OFPBMC_BAD_FIELD);
    }
    minimatch_expand(entry->match, &match);
    return match.mask.flow.in_phy_port.v || match.mask.flow.actset_output.v ? OF_ERROR(OFPET_BAD_MATCH, OFPBMC_BAD_FIELD) : OF_OK;
}

static struct of_error check(const struct vsw *vsw, const struct flow_entry *entry)
{
    const struct instructions *in = &entry->instructions;
    struct of_error error = vsw_check_actions(vsw, &in->apply, false);

    if (!of_ok(error) || !of_ok(error = vsw_check_actions(vsw, &in->write, false))) {
        return error;
    }
    if (entry->table_id >= VIRT_N_TABLES) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID);
    }
    if (in->has_goto && in->goto_table >= VIRT_N_TABLES) {
        return OF_ERROR(OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID);
    }
    if (in->has_meter && !vsw->is_slice) {
        return OF_ERROR(OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST);
    }
    return in->has_meter && !vsw_physical_meter(vsw, in->meter) ? OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER) : OF_OK;
}

/* --- Quotas --- */

static uint32_t cost_at(const struct vsw *vsw, uint32_t where)
{
    return where == ROOM_EVERYWHERE ? vsw->network->n_landings : where != ROOM_NOWHERE;
}

/* An entry that matches on no edge yet counts as one. */
static uint32_t counted(uint32_t cost) { return MAX(cost, 1); }

static void account(struct vsw *vsw, int64_t cost)
{
    vsw->cost += (uint64_t) cost;
    vsw->usage->entries += (uint64_t) cost;
}

/* In physical cost, and in its edges' room (room.h); an entry that takes another's place has that one's share. */
static bool over_quota(struct vsw *vsw, const struct flow_entry *entry, uint32_t where, uint32_t cost)
{
    uint64_t vsw_cost = vsw->cost + cost, tenant_cost = vsw->usage->entries + cost;
    uint64_t vsw_max = vsw->network->quota.flows, tenant_max = network_tenant(vsw->network)->quota.flow_entries;
    bool room = room_for(vsw, where);
    if (vsw_cost <= vsw_max && tenant_cost <= tenant_max && room) {
        return false;
    }
    struct match match;
    minimatch_expand(entry->match, &match);
    const struct flow_entry *old = flow_tables_find(vsw->flows, entry->table_id, entry->priority, &match);
    uint32_t share = old ? counted(((const struct vflow *) old->aux)->cost) : 0;
    return vsw_cost - share > vsw_max || tenant_cost - share > tenant_max || !(room || old);
}

/* --- The tables' owner --- */

static uint32_t number_hash(uint32_t number) { return (uint32_t) hash_mix64(number); }

struct vflow *vsw_find_number(const struct vsw *vsw, uint32_t number)
{
    struct vflow *vflow;
    HMAP_FOR_EACH_WITH_HASH (vflow, node, number_hash(number), &vsw->numbers) {
        if (vflow->number == number) {
            return vflow;
        }
    }
    return NULL;
}

/* Never that of an entry that lives: they may live long. */
static uint32_t next_number(struct vsw *vsw)
{
    do {
        vsw->numbers_again |= vsw->next_number == COOKIE_LAST_VFLOW;
        vsw->next_number = vsw->next_number == COOKIE_LAST_VFLOW ? COOKIE_FIRST_VFLOW : vsw->next_number + 1;
    } while (vsw->numbers_again && vsw_find_number(vsw, vsw->next_number));
    return vsw->next_number;
}

static bool writes_and_goes(const struct instructions *in) { return in->has_goto && (in->has_write || in->clear); }

/* A table that is in use counts, and drops, what it does not match, unless an entry of priority 0 may match the same. */
static void review_unmatched(struct vsw *vsw, uint8_t table)
{
    bool counts = !vsw->n_lowest[table] && (!table || vsw->n_entries[table] || vsw->n_gotos[table]);
    if (counts != vsw->counts_unmatched[table]) {
        vsw->counts_unmatched[table] = counts;
        compile_unmatched(vsw, table);
    }
}

/* Whether action sets are known at compile time (compile.c) is the whole switch's: all is compiled again when that changes. */
static void count_instructions(struct vsw *vsw, const struct instructions *in, int delta)
{
    if (vsw->is_slice && in->has_goto) {
        vsw->n_gotos[in->goto_table] += (unsigned) delta;
        review_unmatched(vsw, in->goto_table);
    }
    if (writes_and_goes(in)) {
        unsigned before = vsw->n_write_goto;
        vsw->n_write_goto += (unsigned) delta;
        if (!before || !vsw->n_write_goto) {
            fabric_entries_changed(vsw);
        }
    }
}

void vsw_review_cost(struct vsw *vsw, struct flow_entry *entry)
{
    struct vflow *vflow = entry->aux;
    uint32_t where = room_where(vsw, entry->match), cost = cost_at(vsw, where);
    account(vsw, (int64_t) counted(cost) - counted(vflow->cost));
    vflow->cost = cost;
    vflow->where = where;
    room_take(vsw, where, +1);
}

static void count_entry(struct vsw *vsw, const struct flow_entry *entry, int delta)
{
    uint8_t table = entry->table_id;
    vsw->n_entries[table] += (unsigned) delta;
    vsw->n_lowest[table] += entry->priority ? 0 : (unsigned) delta;
    review_unmatched(vsw, table);
}

/* The change is an edit of the edges' rulesets, unless all will be compiled in this turn anyway. begins: it takes no other's counters over. */
static void put(struct vsw *vsw, struct flow_entry *entry, bool begins)
{
    if (!vsw->is_slice) {
        fabric_entries_changed(vsw);
    } else if (!vsw->entries_dirty) {
        compile_entry_put(vsw, entry, begins);
    }
}

/* For the tenant: the rules go on counting (vsw_stats.h). */
static void reset_counts(struct vsw *vsw, struct vflow *vflow)
{
    counter_sum_reset(&vflow->sum, vsw_stats_next(vsw->fabric->stats, vsw));
    vsw->resets = true;
    fabric_work(vsw);
}

static void take_over(struct vsw *vsw, struct vflow *vflow, const struct flow_entry *replaced)
{
    struct vflow *old = replaced->aux;
    vflow->took_over = true;
    vflow->sum = old->sum;
    old->sum = (struct counter_sum) { 0 };
    if (vflow->change) {
        vsw_change_former(vsw, vflow, &replaced->instructions, replaced);
    }
    if (vflow->entry->resets) {
        reset_counts(vsw, vflow);
    }
}

static struct of_error insert(struct flow_entry *entry, void *aux)
{
    struct vsw *vsw = aux;
    const struct flow_entry *replaced = entry->replaces ? entry->replaces : entry->resets;
    struct of_error error = check(vsw, entry);
    uint32_t where = vsw->is_slice ? room_where(vsw, entry->match) : ROOM_NOWHERE, cost = cost_at(vsw, where);

    if (of_ok(error) && vsw->is_slice) {
        error = check_match(entry);
    }
    if (of_ok(error) && vsw->is_slice && !vsw->undoing && over_quota(vsw, entry, where, counted(cost))) {
        error = OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    }
    if (!of_ok(error)) {
        return error;
    }
    struct vflow *vflow = XNEW(struct vflow);
    vflow->entry = entry;
    vflow->number = next_number(vsw);
    vflow->kept = true;
    vflow->cost = cost;
    vflow->where = where;
    vflow->change = vsw->undoing ? 0 : vsw->current;
    entry->aux = vflow;
    hmap_insert(&vsw->numbers, &vflow->node, number_hash(vflow->number));
    count_instructions(vsw, &entry->instructions, +1);
    if (vsw->is_slice) {
        account(vsw, counted(cost));
        room_take(vsw, where, +1);
        if (replaced) {
            take_over(vsw, vflow, replaced);
        }
    }
    put(vsw, entry, !replaced);
    if (vsw->is_slice) {
        count_entry(vsw, entry, +1);
        vsw_stats_timeouts(vsw->fabric->stats, vsw, entry);
    }
    return OF_OK;
}

static struct of_error modify(struct flow_entry *entry, const struct instructions *old, bool reset, void *aux)
{
    struct vsw *vsw = aux;
    struct vflow *vflow = entry->aux;
    struct of_error error = check(vsw, entry);

    if (of_ok(error) && vsw->is_slice) {
        /* The message was checked against its own match; an edge gets the entry's, which says more. */
        struct match match;
        minimatch_expand(entry->match, &match);
        error = instructions_check(&entry->instructions, &match, entry->table_id);
    }
    if (!of_ok(error)) {
        return error;
    }
    count_instructions(vsw, &entry->instructions, +1);
    count_instructions(vsw, old, -1);
    if (vsw->is_slice && vsw->current && !vsw->undoing) {
        vsw_change_former(vsw, vflow, old, NULL);
        vflow->change = vsw->current;
    }
    if (vsw->is_slice && reset) {
        reset_counts(vsw, vflow);
    }
    put(vsw, entry, false);
    return OF_OK;
}

static void remove_entry(struct flow_entry *entry, int reason, void *aux)
{
    struct vsw *vsw = aux;
    struct vflow *vflow = entry->aux;
    count_instructions(vsw, &entry->instructions, -1);
    if (!vsw->is_slice) {
        fabric_entries_changed(vsw);
    } else {
        account(vsw, -(int64_t) counted(vflow->cost));
        room_take(vsw, vflow->where, -1);
        /* Else all will be compiled in this turn, and who has it tells, or the time is over. */
        unsigned n_told = vsw->entries_dirty ? vflow->cost : compile_entry_gone(vsw, entry);
        count_entry(vsw, entry, -1);
        vsw->gone_matched[entry->table_id] += vflow->sum.packets;
        bool wanted = reason >= 0 && entry->flags & OFPFF_SEND_FLOW_REM;
        if (!vsw->undoing && (wanted || (n_told && reason >= 0))) {
            vsw_stats_depart(vsw->fabric->stats, vsw, entry, vflow->number, &vflow->sum, wanted ? reason : -1, n_told);
        }
    }
    hmap_remove(&vsw->numbers, &vflow->node);
    vflow_forget_former(vflow);
    counter_sum_fini(&vflow->sum);
    free(vflow);
    entry->aux = NULL;
}

static void counters(const struct flow_entry *entry, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *aux UNUSED)
{
    const struct vflow *vflow = entry->aux;
    *packets = vflow ? vflow->sum.packets - vflow->sum.before.packets : 0;
    *bytes = vflow ? vflow->sum.bytes - vflow->sum.before.bytes : 0;
    *used_ns = vflow ? MAX(vflow->sum.used_ns, entry->created_ns) : entry->created_ns;
}

/* --- Life --- */

#define MAX_ENTRIES (1u << 24)  /* Quotas are the limit. */

struct vsw *vsw_new(struct fabric *fabric, struct network *network)
{
    static const struct flow_table_ops ops = { insert, modify, remove_entry, counters };
    struct vsw *vsw = XNEW(struct vsw);

    vsw->id = network->id;
    vsw->fabric = fabric;
    vsw->controller = fabric->controller;
    vsw->network = network;
    vsw->is_slice = network->slice != NULL;
    vsw->next_number = COOKIE_FIRST_VFLOW;
    vsw->next_pair = PROVIDER_FIRST_INTERNED;
    list_init(&vsw->pairs);
    list_init(&vsw->pair_holders);
    hmap_init(&vsw->pair_addresses);
    hmap_init(&vsw->pair_ids);
    list_init(&vsw->work);
    hmap_init(&vsw->numbers);
    hmap_init(&vsw->ports);
    vsw->flows = flow_tables_new(MAX_ENTRIES, fabric->controller->clock, &ops, vsw);
    vsw_changes_init(vsw);
    if (vsw->is_slice) {
        vsw->usage = fabric_usage_get(fabric, network_tenant(network)->name);
        vsw_groups_init(vsw);
        limits_vsw_init(vsw);
        vsw->counts_unmatched[0] = true;
    }
    return vsw;
}

void vsw_free(struct vsw *vsw)
{
    struct pair *pair;
    vsw->entries_dirty = vsw->undoing = true;           /* Its rules are withdrawn all together, and nobody hears of entries. */
    LIST_FOR_EACH (pair, node, &vsw->pairs) {
        list_remove(&pair->node);
        intern_quota_remove(vsw, pair);
        free(pair);
    }
    hmap_fini(&vsw->pair_addresses);
    hmap_fini(&vsw->pair_ids);
    free(vsw->port_keys);
    relay_forget(vsw, true);
    vsw->fabric->n_held -= vsw->hold_end_ns != 0;
    vsw_stats_vsw_gone(vsw->fabric->stats, vsw);
    flow_tables_free(vsw->flows);
    if (vsw->is_slice) {
        vsw_groups_fini(vsw);
        vsw_ports_fini(vsw);
        limits_vsw_fini(vsw);
        room_vsw_fini(vsw);
        fabric_usage_put(vsw->fabric, vsw->usage);
    }
    vsw_changes_fini(vsw);
    hmap_fini(&vsw->numbers);
    hmap_fini(&vsw->ports);
    list_remove(&vsw->work);
    for (unsigned i = 0; vsw->unmatched && i < VIRT_N_TABLES; i++) {
        counter_sum_fini(&vsw->unmatched[i]);
    }
    free(vsw->unmatched);
    free(vsw->edges);
    free(vsw);
}

struct of_error vsw_flow_mod(struct vsw *vsw, const struct of_flow_mod *mod)
{
    return flow_tables_mod(vsw->flows, mod);
}

bool vsw_has_edge(const struct vsw *vsw, const struct edge *edge)
{
    for (unsigned i = 0; i < vsw->network->n_landings; i++) {
        if (vsw->network->landings[i].edge == edge) {
            return true;
        }
    }
    return false;
}

bool vsw_in_port_on(const struct vsw *vsw, uint32_t number, const struct edge *edge)
{
    if (number > OFPP_MAX) {
        return true;
    }
    const struct port *port = network_port_by_number(vsw->network, number);
    return port && port->edge == edge;
}
