/* The recorder: a walk as steps.  Writes are held back until an output needs them, so several become one and those behind the last output none. */
#include "vswitch/exec_record.h"

#include <string.h>
#include "vswitch/exec.h"
#include "vswitch/packet.h"

void recorder_init(struct recorder *r, uint64_t shape)
{
    memset(r, 0, offsetof(struct recorder, rules));
    memset(&r->program, 0, sizeof *r - offsetof(struct recorder, program));
    r->cacheable = r->plain = true;
    r->shape = shape;
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

static void write_down_ttl(struct recorder *r)
{
    struct cache_step *s = r->ttl_pending ? add_cells(r, 1) : NULL;
    if (s) {
        *s = (struct cache_step) { .code = r->ttl_code, .n = r->ttl_pending, .port = r->ttl_at };
        r->ttl_pending = 0;
    }
}

static unsigned ttl_ofs(const struct packet *p, const struct flow *f, bool mpls)
{
    return mpls ? p->l2_len + 3u : p->l3_ofs + (be16_get(f->eth_type) == ETH_TYPE_IPV4 ? 8u : 7u);
}

/* In the packet as it came; 0: no byte there decides whether the TTL expires. */
static unsigned original_ttl_ofs(const struct recorder *r, unsigned at, bool mpls)
{
    return mpls && r->n_label_pushes ? r->label_ttl_ofs : at - (unsigned) r->moved;
}

void recorder_ttl(struct recorder *r, const struct packet *p, const struct flow *f, bool mpls)
{
    unsigned at = ttl_ofs(p, f, mpls), original = original_ttl_ofs(r, at, mpls);
    if (r->ttl_pending && at != r->ttl_at) {
        write_down_ttl(r);
    }
    if (r->inner || r->tainted || (r->ttl && original && original != r->ttl_ofs)) {
        r->plain = false;
    }
    if (original) {
        r->ttl_ofs = (uint16_t) original;
        r->ttl++;
    }
    r->ttl_at = (uint16_t) at;
    r->ttl_code = mpls ? STEP_MPLS_TTL : STEP_TTL;
    r->ttl_pending++;
}

/* --- Other edits --- */

/* For a step that changes the packet: a copy's changes are not the packet's. What is below a popped header may not be there in others. */
static struct cache_step *edit_cells(struct recorder *r, unsigned n)
{
    write_down_ttl(r);
    if (r->inner || r->tainted) {
        r->plain = false;
    }
    return add_cells(r, n);
}

/* Where a field is: in so many words of 16 bits, `shift` bits above their end.  `sums`: STEP_BITS_*. */
struct place { unsigned ofs, n_words, shift, sums; };

static unsigned l4_sum(const struct packet *p, const struct flow *f)
{
    if (!p->l4_ofs) {
        return 0;
    }
    return f->ip_proto == IPPROTO_TCP_ ? STEP_BITS_IN_TCP : f->ip_proto == IPPROTO_UDP_ ? STEP_BITS_IN_UDP : f->ip_proto == IPPROTO_ICMPV6_ ? STEP_BITS_IN_ICMPV6 : 0;
}

/* As packet_write.c has them; n_words 0: a field without a place of its own. */
static struct place place_of(enum field_id id, const struct packet *p, const struct flow *f)
{
    bool v4 = be16_get(f->eth_type) == ETH_TYPE_IPV4;
    unsigned l3 = p->l3_ofs, ip = v4 ? STEP_BITS_IN_IPV4 : 0, l4 = l4_sum(p, f);
    switch (id) {
    case FIELD_VLAN_VID: return (struct place) { ETH_HEADER_SIZE, 1, 0, 0 };
    case FIELD_VLAN_PCP: return (struct place) { ETH_HEADER_SIZE, 1, 13, 0 };
    case FIELD_MPLS_LABEL: return (struct place) { p->l2_len, 2, 12, 0 };
    case FIELD_MPLS_TC: return (struct place) { p->l2_len, 2, 9, 0 };
    case FIELD_MPLS_BOS: return (struct place) { p->l2_len, 2, 8, 0 };
    case FIELD_MPLS_TTL: return (struct place) { p->l2_len, 2, 0, 0 };
    case FIELD_ARP_OP: return (struct place) { l3 + 6, 1, 0, 0 };
    case FIELD_ARP_SHA: return (struct place) { l3 + 8, 3, 0, 0 };
    case FIELD_ARP_SPA: return (struct place) { l3 + 14, 2, 0, 0 };
    case FIELD_ARP_THA: return (struct place) { l3 + 18, 3, 0, 0 };
    case FIELD_ARP_TPA: return (struct place) { l3 + 24, 2, 0, 0 };
    case FIELD_IP_DSCP: return (struct place) { l3, 1, v4 ? 2 : 6, ip };
    case FIELD_IP_ECN: return (struct place) { l3, 1, v4 ? 0 : 4, ip };
    case FIELD_NW_TTL: return v4 ? (struct place) { l3 + 8, 1, 8, ip } : (struct place) { l3 + 6, 1, 0, 0 };
    case FIELD_IPV4_SRC: return (struct place) { l3 + 12, 2, 0, ip | l4 };
    case FIELD_IPV4_DST: return (struct place) { l3 + 16, 2, 0, ip | l4 };
    case FIELD_IPV6_SRC: return (struct place) { l3 + 8, 8, 0, l4 };
    case FIELD_IPV6_DST: return (struct place) { l3 + 24, be16_get(f->ipv6_exthdr) & OFPIEH_ROUTER ? 0 : 8, 0, l4 };
    case FIELD_IPV6_FLABEL: return (struct place) { l3, 2, 0, 0 };
    case FIELD_TCP_SRC: case FIELD_UDP_SRC: return (struct place) { 0, 1, 0, STEP_BITS_L4 | l4 };
    case FIELD_TCP_DST: case FIELD_UDP_DST: return (struct place) { 2, 1, 0, STEP_BITS_L4 | l4 };
    default: return (struct place) { 0, 0, 0, 0 };
    }
}

/* The words of a field's value or mask, the last one at the end, shifted up to where the field is. */
static void words_of(const union field_value *v, const struct place *at, uint16_t words[8])
{
    for (unsigned i = 0; i < 8; i++) {
        words[i] = wire_get16(v->b + 2 * i);
    }
    if (at->shift) {                    /* At most two words. */
        uint32_t x = (uint32_t) (words[6] << 16 | words[7]) << at->shift;
        words[6] = (uint16_t) (x >> 16);
        words[7] = (uint16_t) x;
    }
}

bool recorder_field(struct recorder *r, const struct packet *p, const struct field *f, const struct flow *after, const union field_value *mask)
{
    union field_value value;
    uint16_t values[8], masks[8];
    struct place at = place_of(field_id_of(f), p, after);
    field_get(f, after, &value);
    words_of(&value, &at, values);
    words_of(mask, &at, masks);
    if (field_id_of(f) == FIELD_VLAN_VID) {
        masks[7] &= 0xfff;              /* A tag has no bit that says that it is there. */
    }
    for (unsigned i = 8 - at.n_words; i < 8; i++) {
        struct cache_step *s = masks[i] ? edit_cells(r, 2) : NULL;
        if (s) {
            uint16_t bits[2] = { values[i] & masks[i], masks[i] };
            s[0] = (struct cache_step) { .code = STEP_BITS, .n = (uint8_t) at.sums, .port = (uint16_t) (at.ofs + 2 * (i + at.n_words - 8)) };
            memcpy(&s[1], bits, sizeof bits);
        }
    }
    return at.n_words;
}

void recorder_push_vlan(struct recorder *r, uint16_t tpid, bool copies)
{
    struct cache_step *s = edit_cells(r, 1);
    if (s) {
        *s = (struct cache_step) { .code = STEP_PUSH_VLAN, .n = copies, .port = tpid };
        r->program.pushes = (uint8_t) (r->program.pushes + 4);
    }
    r->moved = (int16_t) (r->moved + 4);
}

/* The key has the second tag (cache_key.c), but not the third, nor how much padding a frame gets. */
void recorder_pop_vlan(struct recorder *r, const struct packet *before)
{
    struct cache_step *s = edit_cells(r, 1);
    if (s) {
        *s = (struct cache_step) { .code = STEP_POP_VLAN };
    }
    r->moved = (int16_t) (r->moved - 4);
    r->tainted = r->tainted || (r->n_pops++ && before->l2_len > ETH_HEADER_SIZE + 4);
    r->cacheable = r->cacheable && !(r->shape & SHAPE_CUT);
}

/* What the new label has is in the key as far as anybody matches it, or copied by the step. */
void recorder_push_mpls(struct recorder *r, const struct packet *before, const struct flow *f, uint16_t ethertype)
{
    struct cache_step *s = edit_cells(r, 1);
    uint16_t type = be16_get(f->eth_type);
    bool label = eth_type_is_mpls(type) && before->len - before->l2_len >= 4, ip = before->l3_ofs && (type == ETH_TYPE_IPV4 || type == ETH_TYPE_IPV6);
    unsigned n = label ? STEP_LABEL_COPY : !ip ? 0 : type == ETH_TYPE_IPV4 ? STEP_LABEL_TTL_V4 : STEP_LABEL_TTL_V6;
    if (s) {
        n |= !label || f->vlan_vid.v ? STEP_LABEL_BOTTOM : 0;
        *s = (struct cache_step) { .code = STEP_PUSH_MPLS, .n = (uint8_t) n, .port = ethertype };
        r->program.pushes = (uint8_t) (r->program.pushes + 4);
    }
    r->label_ttl_ofs = (uint16_t) (label || ip ? original_ttl_ofs(r, ttl_ofs(before, f, label), label) : 0);
    r->n_label_pushes++;
    r->moved = (int16_t) (r->moved + 4);
}

/* What is below the label is in the key when it is the next of few labels, or the IP header behind the last one.  Of a type that nobody parses there is nothing to know. */
void recorder_pop_mpls(struct recorder *r, uint16_t ethertype)
{
    struct cache_step *s = edit_cells(r, 1);
    unsigned depth = ++r->n_label_pops, n_labels = r->shape >> SHAPE_LABELS_SHIFT & 3, n = 0;
    bool v4 = ethertype == ETH_TYPE_IPV4, v6 = ethertype == ETH_TYPE_IPV6, mpls = eth_type_is_mpls(ethertype);
    bool known = v4 || v6 ? depth == n_labels : mpls ? depth < n_labels : ethertype != ETH_TYPE_ARP && ethertype != ETH_TYPE_PBB && !eth_type_is_vlan(ethertype);
    r->tainted = r->tainted || !known || r->n_label_pushes || r->inner;        /* Of a copy's labels nobody keeps count. */
    r->cacheable = r->cacheable && !(r->shape & SHAPE_CUT);
    if (!r->tainted && r->shape & (v4 ? SHAPE_V4_BEHIND : v6 ? SHAPE_V6_BEHIND : 0)) {
        n = STEP_BEHIND_L3 | (v6 ? STEP_BEHIND_V6 : 0u) | (r->shape & SHAPE_L4_BEHIND ? STEP_BEHIND_L4 : 0u);
    }
    if (s) {
        *s = (struct cache_step) { .code = STEP_POP_MPLS, .n = (uint8_t) n, .port = ethertype };
    }
    r->moved = (int16_t) (r->moved - 4);
}

void recorder_queue(struct recorder *r, uint32_t queue)
{
    struct cache_step *s = edit_cells(r, 1);
    if (s) {
        *s = (struct cache_step) { .code = STEP_QUEUE, .port = (uint16_t) queue };
    }
    r->plain = r->plain && queue <= UINT16_MAX;
}

/* `code`: STEP_OUTPUT or STEP_NORMAL. */
static void leave(struct recorder *r, enum cache_step_code code, uint32_t port)
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
    write_down_ttl(r);
    s = add_cells(r, 1);
    if (s) {
        *s = (struct cache_step) { .code = code, .port = (uint16_t) port };
        r->sent_cells = r->program.n_cells;
        r->takes = true;
    }
}

void recorder_output(struct recorder *r, uint32_t port) { leave(r, STEP_OUTPUT, port); }

void recorder_normal(struct recorder *r, bool alone)
{
    leave(r, STEP_NORMAL, CACHE_NORMAL);
    r->plain = r->plain && alone && !r->inner;
}

/* Counters of groups are behind those of rules, so "all so far" has a number only as long as there are none. */
void recorder_meter(struct recorder *r, struct meter_slot *slot, bool sent, bool noted)
{
    struct cache_step *s = add_cells(r, 1 + CACHE_METER_CELLS);
    if (s) {
        r->plain = r->plain && !r->inner && !r->n_counts && !r->program.meter && !noted;
        *s = (struct cache_step) { .code = STEP_METER, .n = (uint8_t) r->n_rules, .port = sent };
        memcpy(s + 1, &slot, sizeof slot);
        r->program.meter = (uint8_t) (s - r->program.cells + 1);
        r->sent_cells = r->program.n_cells;
        r->takes = false;
    }
}

void recorder_finish(struct recorder *r, bool sent, uint8_t drop)
{
    struct cache_program *p = &r->program;
    memset(p->cells + r->sent_cells, 0, (size_t) (p->n_cells - r->sent_cells) * sizeof p->cells[0]);      /* Nobody sees what was done behind the last output. */
    p->n_cells = r->sent_cells;
    p->takes = r->takes;
    p->drop = sent || r->takes ? CACHE_SENT : drop;
    p->port = p->takes ? p->cells[p->n_cells - 1].port : 0;
    p->ttl = r->ttl;
    p->plain = p->takes && p->n_cells == 1 && p->port != CACHE_NORMAL && !p->ttl && !p->pushes;
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
