/* The action set (section 5.10). */
#include "vswitch/exec.h"

void action_set_copy(struct action_set *dst, const struct action_set *src)
{
    dst->used = src->used;
    dst->n = src->n;
    if (src->used) {
        memcpy(dst->single, src->single, sizeof src->single);
    }
    memcpy(dst->list, src->list, src->n * sizeof src->list[0]);
}

static bool same_target(const struct op *a, const struct op *b)
{
    if (a->code != b->code) {
        return false;
    }
    if (a->code == OP_WORD) {
        return a->word.index == b->word.index && a->word.mask == b->word.mask;
    }
    return a->code == OP_FIELD && a->set.field == b->set.field && !memcmp(&a->set.mask, &b->set.mask, sizeof a->set.mask);
}

/* "If an action of the same type … already exists … it is overwritten"; of set-fields, one per field. */
static void write_list(struct exec *e, const struct op *op)
{
    struct action_set *s = &e->set;
    unsigned kept = 0;
    for (unsigned i = 0; i < s->n; i++) {
        if (!same_target(s->list[i], op)) {
            s->list[kept++] = s->list[i];
        }
    }
    s->n = (uint16_t) kept;
    if (s->n == ACTION_SET_MAX) {
        exec_note(e, DROP_BAD_ACTION, RANK_WENT_WRONG);
        return;
    }
    s->list[s->n++] = op;
}

/* The ONF extension's actset_output: the port of the set's output, unset without one or with a group. */
static void note_output(struct exec *e)
{
    const struct action_set *s = &e->set;
    const struct op *op = s->used & 1u << SLOT_OUTPUT && !(s->used & 1u << SLOT_GROUP) ? s->single[SLOT_OUTPUT] : NULL;
    e->flow.flow.actset_output = be32_put(op && op->code == OP_OUTPUT ? op->output.port : OFPP_UNSET);
}

void exec_set_write(struct exec *e, const struct op *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i += 1u + ops[i].n_body) {
        const struct op *op = &ops[i];
        if (op->slot == SLOT_SETS || op->slot == SLOT_OTHERS) {
            write_list(e, op);
        } else {
            e->set.used |= 1u << op->slot;
            e->set.single[op->slot] = op;
        }
    }
    if (n) {
        note_output(e);
    }
}

void exec_set_clear(struct exec *e)
{
    action_set_clear(&e->set);
    note_output(e);
}

bool exec_set_run(struct exec *e, bool tail)
{
    const struct op *order[N_SET_SLOTS + ACTION_SET_MAX];
    unsigned n = 0;
    for (unsigned slot = 0; slot < SLOT_GROUP; slot++) {
        if (e->set.used & 1u << slot) {
            order[n++] = e->set.single[slot];
        }
        for (unsigned i = 0; (slot == SLOT_SETS || slot == SLOT_OTHERS) && i < e->set.n; i++) {
            if (e->set.list[i]->slot == slot) {
                order[n++] = e->set.list[i];
            }
        }
    }
    for (unsigned slot = SLOT_GROUP; slot <= SLOT_RESUBMIT; slot++) {
        if (e->set.used & 1u << slot) {
            order[n++] = e->set.single[slot];
            break;
        }
    }
    action_set_clear(&e->set);
    exec_event(e, &(struct exec_event) { .type = EVENT_ACTION_SET });
    exec_no_entry(e, OFPR_ACTION_SET);
    for (unsigned i = 0; i < n; i++) {
        if (!exec_op(e, order[i], tail && i + 1 == n)) {
            return false;
        }
    }
    return true;
}
