/* See vsw.h. */
#include "controller/vsw.h"

#include <stdlib.h>

#include "controller/edge_tables.h"

/* What compile.c can carry: section 5.12's actions but for groups, meters, queues and the reserved ports that need a controller or a host stack. */
static struct of_error check_actions(const struct actions *actions)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        switch (a->type) {
        case ACTION_OUTPUT:
            if (a->output.port > OFPP_MAX && a->output.port != OFPP_IN_PORT && a->output.port != OFPP_FLOOD && a->output.port != OFPP_ALL) {
                return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_PORT);
            }
            break;
        case ACTION_GROUP:
            return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
        case ACTION_SET_QUEUE:
            return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_QUEUE);
        case ACTION_RESUBMIT: case ACTION_OUTPUT_REG: case ACTION_CONTROLLER:
            return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_TYPE);
        case ACTION_SET_FIELD:
            if (a->set_field.field == field_row(FIELD_IN_PORT)
                || (field_id_of(a->set_field.field) >= FIELD_REG0 && field_id_of(a->set_field.field) <= FIELD_XXREG3)) {
                return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_SET_TYPE);    /* The context lives in registers. */
            }
            break;
        default:
            break;
        }
    }
    return OF_OK;
}

static struct of_error insert(struct flow_entry *entry, void *aux)
{
    struct vsw *vsw = aux;
    const struct instructions *in = &entry->instructions;
    struct of_error error = check_actions(&in->apply);

    if (!of_ok(error) || !of_ok(error = check_actions(&in->write))) {
        return error;
    }
    if (entry->table_id >= VIRT_N_TABLES) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID);
    }
    if (in->has_goto && in->goto_table >= VIRT_N_TABLES) {
        return OF_ERROR(OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID);
    }
    if (in->has_meter) {
        return OF_ERROR(OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST);
    }
    struct vflow *vflow = XNEW(struct vflow);
    vflow->number = vsw->next_number++;
    vflow->kept = true;
    entry->aux = vflow;
    vsw->n_write_actions += in->has_write;
    vsw->changed(vsw, vsw->aux);
    return OF_OK;
}

static struct of_error modify(struct flow_entry *entry, const struct instructions *old, bool reset UNUSED, void *aux)
{
    struct vsw *vsw = aux;
    struct of_error error = check_actions(&entry->instructions.apply);

    if (!of_ok(error) || !of_ok(error = check_actions(&entry->instructions.write))) {
        return error;
    }
    vsw->n_write_actions += entry->instructions.has_write;
    vsw->n_write_actions -= old->has_write;
    vsw->changed(vsw, vsw->aux);
    return OF_OK;
}

static void remove_entry(struct flow_entry *entry, int reason UNUSED, void *aux)
{
    struct vsw *vsw = aux;
    vsw->n_write_actions -= entry->instructions.has_write;
    free(entry->aux);
    vsw->changed(vsw, vsw->aux);
}

/* Counters of virtual entries live on the edges; the VPC application has no use for them. */
static void counters(const struct flow_entry *entry, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *aux UNUSED)
{
    *packets = *bytes = 0;
    *used_ns = entry->created_ns;
}

struct vsw *vsw_new(struct network *network, struct clock clock, void (*changed)(struct vsw *, void *aux), void *aux)
{
    static const struct flow_table_ops ops = { insert, modify, remove_entry, counters };
    struct vsw *vsw = XNEW(struct vsw);

    vsw->id = network->id;
    vsw->network = network;
    vsw->next_number = COOKIE_FIRST_VFLOW;
    vsw->next_pair = PROVIDER_FIRST_INTERNED;
    vsw->changed = changed;
    vsw->aux = aux;
    list_init(&vsw->pairs);
    vsw->flows = flow_tables_new(1u << 20, clock, &ops, vsw);
    return vsw;
}

void vsw_free(struct vsw *vsw)
{
    struct pair *pair;
    LIST_FOR_EACH (pair, node, &vsw->pairs) {
        list_remove(&pair->node);
        free(pair);
    }
    flow_tables_free(vsw->flows);
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
