#include "tests/oracle/slice_audit.h"

#include <stddef.h>

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"

struct audit { struct vsw *const *vsws; unsigned n_vsws, n, n_bad; };

static bool is_ours(const struct audit *audit, uint32_t network)
{
    for (unsigned i = 0; i < audit->n_vsws; i++) {
        if (audit->vsws[i]->id == network) {
            return true;
        }
    }
    return false;
}

/* Registers that an action list writes (bit i: reg i); false when reg0 gets anything but a switch of this slice. */
static bool written(const struct audit *audit, const struct actions *actions, unsigned *regs)
{
    bool ok = true;
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        const struct field *dst = a->type == ACTION_LOAD ? a->load.dst.field : a->type == ACTION_MOVE ? a->move.dst.field
                                  : a->type == ACTION_SET_FIELD ? a->set_field.field : NULL;
        if (a->type == ACTION_CLONE) {
            ok &= written(audit, &a->nested, regs);
        }
        for (unsigned r = 0; dst && r < FLOW_N_REGS; r++) {
            unsigned start = offsetof(struct flow, regs) + 4 * r;
            *regs |= dst->offset < start + 4 && dst->offset + dst->size > start ? 1u << r : 0;
        }
        ok &= !dst || dst != field_row(R_VSW) || (a->type == ACTION_LOAD && a->load.dst.n_bits == 32 && is_ours(audit, (uint32_t) a->load.value));
        ok &= a->type != ACTION_RESUBMIT || a->resubmit.table >= T_VIRT;
    }
    return ok;
}

/* A tenant's entry matches its switch, and writes nothing of the context but the out-port (and whose output it is); only LANDING, and links, choose the switch. */
static void audit_rule(uint8_t table, uint16_t priority UNUSED, const struct match *m, uint64_t cookie, const struct instructions *in, uint32_t owner, void *audit_)
{
    struct audit *audit = audit_;
    unsigned regs = 0;
    bool ok = written(audit, &in->apply, &regs) & written(audit, &in->write, &regs);
    if (owner == OWNER_SUBSTRATE) {
        return;                                         /* site_test looks at these. */
    }
    uint32_t network = OWNER_NETWORK(owner), id = (uint32_t) cookie;
    bool exact = be32_get(m->mask.flow.regs[0]) == UINT32_MAX && be32_get(m->value.flow.regs[0]) == network;
    audit->n++;
    ok &= cookie >> 32 == network && is_ours(audit, network);
    if (owner != network) {
        ok &= table >= T_VIRT && table <= T_VIRT_LAST && exact && id >= COOKIE_FIRST_VFLOW;
        ok &= !(regs & ~(1u << (R_OUT - FIELD_REG0) | 1u << (R_ENTRY - FIELD_REG0)));
        ok &= !in->has_goto || (in->goto_table > table && in->goto_table <= T_VIRT_LAST);
    } else {
        bool entry = table == T_CLASSIFY || table == T_LANDING, link = table == T_DELIVER || table == T_LAND;
        ok &= (table < T_VIRT || table > T_VIRT_LAST) && (id < COOKIE_FIRST_VFLOW || id > COOKIE_LAST_VFLOW) && (entry || exact);
        ok &= entry || link || !(regs & 1);
        ok &= !in->has_goto || in->goto_table == T_VIRT || in->goto_table < T_VIRT || in->goto_table > T_VIRT_LAST;
    }
    audit->n_bad += !ok;
}

static void audit_group(uint32_t id, enum of_group_type type UNUSED, const struct of_bucket *buckets, unsigned n, uint32_t owner, void *audit_)
{
    struct audit *audit = audit_;
    for (unsigned i = 0; owner != OWNER_SUBSTRATE && i < n; i++) {
        unsigned regs = 0;
        bool ok = written(audit, &buckets[i].actions, &regs) && !(regs & 1);
        audit->n_bad += !ok || (owner != OWNER_NETWORK(owner) && id > TENANT_GROUP_MAX && id != ALIVE_GROUP(OWNER_NETWORK(owner)));
    }
}

unsigned slice_audit(const struct site *site, struct vsw *const *vsws, unsigned n_vsws, unsigned *n_rules)
{
    struct audit audit = { .vsws = vsws, .n_vsws = n_vsws };
    for (unsigned i = 0; i < site->n_edges; i++) {
        ruleset_each(site->controller.rulesets, i + 1, audit_rule, &audit);
        ruleset_each_group(site->controller.rulesets, i + 1, audit_group, &audit);
    }
    *n_rules = audit.n;
    return audit.n_bad;
}
