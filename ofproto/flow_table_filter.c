#include "ofproto/flow_table_filter.h"

static unsigned index_of(const struct minimatch *m, unsigned word)
{
    return (unsigned) __builtin_popcountll(m->map & ((UINT64_C(1) << word) - 1));
}

bool minimatch_subsumes(const struct minimatch *a, const struct minimatch *b)
{
    if (a->map & ~b->map) {
        return false;
    }
    const uint64_t *am = minimatch_masks(a), *av = minimatch_values(a), *bm = minimatch_masks(b), *bv = minimatch_values(b);
    unsigned i = 0;
    for (uint64_t left = a->map; left; left &= left - 1, i++) {
        unsigned j = index_of(b, (unsigned) __builtin_ctzll(left));
        if ((am[i] & ~bm[j]) || ((av[i] ^ bv[j]) & am[i])) {
            return false;
        }
    }
    return true;
}

bool minimatch_overlaps(const struct minimatch *a, const struct minimatch *b)
{
    const uint64_t *am = minimatch_masks(a), *av = minimatch_values(a), *bm = minimatch_masks(b), *bv = minimatch_values(b);
    for (uint64_t left = a->map & b->map; left; left &= left - 1) {
        unsigned word = (unsigned) __builtin_ctzll(left), i = index_of(a, word), j = index_of(b, word);
        if ((av[i] ^ bv[j]) & am[i] & bm[j]) {
            return false;
        }
    }
    return true;
}

static bool names(const struct actions *actions, enum action_type type, uint32_t id)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        if (a->type == ACTION_CLONE ? names(&a->nested, type, id)
            : a->type == type && (type == ACTION_OUTPUT ? a->output.port : a->group) == id) {
            return true;
        }
    }
    return false;
}

static bool uses(const struct instructions *is, enum action_type type, uint32_t id)
{
    return names(&is->apply, type, id) || names(&is->write, type, id);
}

bool instructions_lead_to(const struct instructions *is, uint32_t out_port, uint32_t out_group)
{
    return (out_port == OFPP_ANY || uses(is, ACTION_OUTPUT, out_port)) && (out_group == OFPG_ANY || uses(is, ACTION_GROUP, out_group));
}

bool flow_entry_passes(const struct flow_entry *e, uint64_t cookie, uint64_t cookie_mask, uint32_t out_port, uint32_t out_group)
{
    return !((e->cookie ^ cookie) & cookie_mask) && instructions_lead_to(&e->instructions, out_port, out_group);
}
