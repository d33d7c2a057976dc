/* The recorder: a walk as steps.  Writes are held back until an output needs them, so several become one and those behind the last output none. */
#include "vswitch/exec_record.h"

#include <string.h>
#include "vswitch/exec.h"
#include "vswitch/packet.h"

void recorder_init(struct recorder *r)
{
    memset(r, 0, offsetof(struct recorder, rules));
    memset(&r->program, 0, sizeof *r - offsetof(struct recorder, program));
    r->cacheable = r->plain = true;
    r->visited = 1;                     /* Whoever stands alone has not asked table 0, but does so once it has rules. */
}

void recorder_rule(struct recorder *r, uint8_t table, uint32_t id)
{
    if (r->tainted || r->n_rules == CACHE_MAX_IDS) {
        r->cacheable = false;
        return;
    }
    r->visited |= UINT32_C(1) << (table & 31);
    r->rules[r->n_rules++] = id;
}

void recorder_count(struct recorder *r, uint32_t id)
{
    if (r->n_counts == CACHE_MAX_IDS) {
        r->cacheable = false;
        return;
    }
    r->counts[r->n_counts++] = id;
}

static struct cache_step *add_cells(struct recorder *r, unsigned n)
{
    struct cache_program *p = &r->program;
    if (p->n_cells + n > CACHE_STEPS) {
        r->plain = false;
        return NULL;
    }
    p->n_cells = (uint8_t) (p->n_cells + n);
    return &p->cells[p->n_cells - n];
}

void recorder_macs(struct recorder *r, const struct field *f, const union flow_words *after, const union field_value *mask)
{
    unsigned at = f->offset - (unsigned) offsetof(struct flow, eth_dst);
    const uint8_t *bytes = (const uint8_t *) &after->flow.eth_dst + at, *bits = mask->b + 16 - 6;
    for (unsigned i = 0; i < 6; i++) {
        r->value[at + i] = (uint8_t) ((r->value[at + i] & ~bits[i]) | (bytes[i] & bits[i]));
        r->mask[at + i] |= bits[i];
    }
    r->macs = true;
    r->plain = r->plain && !r->inner;
}

void recorder_ttl(struct recorder *r, const struct packet *p, const struct flow *f)
{
    uint16_t ofs = (uint16_t) (p->l3_ofs + (be16_get(f->eth_type) == ETH_TYPE_IPV4 ? 8 : 7));
    if (r->inner || (r->ttl && ofs != r->ttl_ofs)) {
        r->plain = false;
    }
    r->ttl_ofs = ofs;
    r->ttl++;
    r->ttl_pending++;
}

void recorder_output(struct recorder *r, uint32_t port)
{
    struct cache_step *s;
    if (r->macs && (s = add_cells(r, 1 + CACHE_MACS_CELLS))) {
        *s = (struct cache_step) { .code = STEP_MACS };
        memcpy(s + 1, r->value, 12);
        memcpy(s + 4, r->mask, 12);
        memset(r->value, 0, 12);
        memset(r->mask, 0, 12);
        r->macs = false;
    }
    if (r->ttl_pending && (s = add_cells(r, 1))) {
        *s = (struct cache_step) { .code = STEP_TTL, .n = r->ttl_pending, .port = r->ttl_ofs };
        r->ttl_pending = 0;
    }
    s = add_cells(r, 1);
    if (s) {
        *s = (struct cache_step) { .code = STEP_OUTPUT, .port = (uint16_t) port };
    }
}

void recorder_finish(struct recorder *r, bool sent, uint8_t drop)
{
    struct cache_program *p = &r->program;
    p->takes = p->n_cells;              /* Steps end with an output if there are any. */
    p->drop = sent ? CACHE_SENT : drop;
    p->plain = p->n_cells == 1;
    p->port = p->n_cells ? p->cells[p->n_cells - 1].port : 0;
    p->ttl = r->ttl;
    p->ttl_ofs = r->ttl_ofs;
    uint64_t words[sizeof *p / 8], h = 0;
    memcpy(words, p, sizeof *p);        /* The hash itself is zero still. */
    unsigned n = (unsigned) (offsetof(struct cache_program, cells) + p->n_cells * sizeof p->cells[0] + 7) / 8;
    for (unsigned i = 0; i < n; i++) {
        h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    p->hash = h;
}
