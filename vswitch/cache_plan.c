/*
 * The plan: which bits of a packet its walk can depend on, worked out from the rules.
 *
 * For each table it is known which bits its rules match, which its actions read and write, and which tables they lead to.  Adding a rule only ever adds to this, which is
 * cheap; so that it shrinks again, it is counted afresh now and then after rules have left (cache_tick).  A plan is built anew when its mask differs from the
 * published one's.  Pipeline fields are not in the mask: they begin alike in every packet, and in_port is kept apart.
 *
 * What a table matches is not what arrived: a rule for eth_dst behind a table that sets it says nothing of the packet's own eth_dst.  So for each table the bits
 * that may have been written on some way to it are worked out (`written`: the fixed point over all edges), and taken out of what a new rule there is
 * taken to ask of the original packet.
 */
#include "vswitch/cache_recent.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"

#define FIRST_PACKET_WORD (offsetof(struct flow, eth_dst) / 8)

/* --- What a program does --- */

static void add_field(union flow_words *w, const struct field *f)
{
    union field_value all = field_mask_all(f);
    union flow_words m;
    flow_init(&m.flow);
    field_set(f, &m.flow, &all);
    for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
        w->w[i] |= m.w[i];
    }
}

static void add_fields(union flow_words *w, const enum field_id *ids, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        add_field(w, field_row(ids[i]));
    }
}

static bool is_packet_field(const struct field *f)
{
    return f->offset >= offsetof(struct flow, eth_dst) || field_id_of(f) == FIELD_PBB_ISID;
}

static bool is_mac(const struct field *f)
{
    return field_id_of(f) == FIELD_ETH_DST || field_id_of(f) == FIELD_ETH_SRC;
}

/* Whether an action on it applies is told by these, and by the key's shape. */
static void add_prerequisites(union flow_words *reads, const struct field *f)
{
    static const enum field_id ids[] = { FIELD_ETH_TYPE, FIELD_VLAN_VID, FIELD_IP_PROTO, FIELD_IP_FRAG };
    static const enum field_id nd[] = { FIELD_ICMPV6_TYPE, FIELD_IPV6_EXTHDR };
    add_fields(reads, ids, ARRAY_SIZE(ids));
    if (f && f->prereq >= PREREQ_ICMPV4 && f->prereq <= PREREQ_ND_NA) {
        add_fields(reads, nd, ARRAY_SIZE(nd));
    }
}

static void write_all(union flow_words *w)
{
    memset(&w->w[FIRST_PACKET_WORD], 0xff, sizeof *w - FIRST_PACKET_WORD * sizeof w->w[0]);
    add_field(w, field_row(FIELD_PBB_ISID));
}

static bool is_inside(const struct field *f)
{
    return f->offset >= offsetof(struct flow, ip_proto);
}

static void write_field(struct cache_use *u, const struct field *f)
{
    u->looks_inside = u->looks_inside || is_inside(f);
    if (!is_packet_field(f)) {
        add_field(&u->writes, f);
        return;
    }
    if (!is_mac(f)) {
        add_prerequisites(&u->reads, f);
    }
    if (field_id_of(f) == FIELD_IPV6_DST) {
        add_field(&u->reads, field_row(FIELD_IPV6_EXTHDR));     /* Behind a routing header no checksum covers it. */
    }
    switch (field_id_of(f)) {
    case FIELD_ETH_TYPE: case FIELD_IP_PROTO: case FIELD_ICMPV4_TYPE: case FIELD_ICMPV6_TYPE: case FIELD_ICMPV4_CODE: case FIELD_ICMPV6_CODE:
    case FIELD_IPV6_ND_SLL: case FIELD_IPV6_ND_TLL: case FIELD_ND_OPTIONS_TYPE:
        write_all(&u->writes);          /* The frame is parsed again. */
        break;
    default:
        add_field(&u->writes, f);
        break;
    }
}

static void read_field(struct cache_use *u, const struct field *f)
{
    u->looks_inside = u->looks_inside || is_inside(f);
    if (is_packet_field(f)) {
        add_field(&u->reads, f);
        if (!is_mac(f)) {
            add_prerequisites(&u->reads, f);
        }
    }
}

static void lead_to(struct cache_use *u, unsigned table)
{
    u->targets[table / 32] |= UINT32_C(1) << (table % 32);
}

/* Select groups hash whole headers (exec_group.c). */
static void read_hashed(struct cache_use *u)
{
    static const enum field_id ids[] = {
        FIELD_ETH_SRC, FIELD_ETH_DST, FIELD_ETH_TYPE, FIELD_VLAN_VID, FIELD_IPV4_SRC, FIELD_IPV4_DST, FIELD_ARP_SPA, FIELD_ARP_TPA, FIELD_IP_PROTO, FIELD_ARP_OP,
        FIELD_ARP_SHA, FIELD_ARP_THA, FIELD_IPV6_SRC, FIELD_IPV6_DST, FIELD_IP_FRAG, FIELD_TCP_SRC, FIELD_TCP_DST, FIELD_MPLS_LABEL,
    };
    add_fields(&u->reads, ids, ARRAY_SIZE(ids));
}

static void add_op(struct cache_use *u, const struct op *op)
{
    static const enum field_id tag[] = { FIELD_VLAN_VID, FIELD_VLAN_PCP };
    switch ((enum op_code) op->code) {
    case OP_WORD:
        u->writes.w[op->word.index] |= op->word.mask;
        break;
    case OP_FIELD:
        write_field(u, op->set.field);
        break;
    case OP_MOVE:
        read_field(u, op->move.src.field);
        write_field(u, op->move.dst.field);
        break;
    case OP_OUTPUT_REG:
        read_field(u, op->output_reg.src.field);
        break;
    case OP_POP_VLAN:
        u->pops = true;
        /* Fall through. */
    case OP_TAG: case OP_PUSH_VLAN:
        add_prerequisites(&u->reads, NULL);
        add_fields(&u->writes, tag, ARRAY_SIZE(tag));
        u->writes.flow.vlan_tpid.v = UINT16_MAX;
        break;
    case OP_PUSH_MPLS: case OP_POP_MPLS:
        u->pushes_labels = u->pushes_labels || op->code == OP_PUSH_MPLS;
        u->looks_inside = u->looks_inside || op->code == OP_PUSH_MPLS;          /* For the TTL. */
        u->pops_labels = u->pops_labels || op->code == OP_POP_MPLS;
        /* Fall through. */
    case OP_PUSH_PBB: case OP_POP_PBB: case OP_SET_MPLS_TTL: case OP_DEC_MPLS_TTL: case OP_COPY_TTL_OUT: case OP_COPY_TTL_IN:
        add_prerequisites(&u->reads, NULL);
        write_all(&u->writes);
        break;
    case OP_SET_NW_TTL: case OP_DEC_NW_TTL:
        write_field(u, field_row(FIELD_NW_TTL));
        break;
    case OP_METER:
        write_field(u, field_row(FIELD_IP_DSCP));
        break;
    case OP_GROUP:
        lead_to(u, CACHE_GROUPS);
        u->resubmits = true;
        break;
    case OP_RESUBMIT:
        u->resubmits = true;
        if (op->resubmit.table < OF_N_TABLES) {
            lead_to(u, op->resubmit.table);
        }
        if (op->resubmit.in_port != OFPP_IN_PORT) {
            u->writes.flow.in_port.v = UINT32_MAX;
        }
        break;
    case OP_OUTPUT: case OP_CONTROLLER: case OP_CLONE: case OP_DROP: case OP_SET_QUEUE: case OP_CONJUNCTION: case OP_UNSUPPORTED: case N_OP_CODES:
        break;
    }
}

static void add_program(struct cache_use *u, const struct program *p)
{
    for (unsigned i = 0; i < p->n_apply + p->n_write; i++) {
        add_op(u, &p->ops[i]);
    }
    if (p->has_goto) {
        lead_to(u, p->goto_table);
    }
}

static void add_rule(struct cache_use *u, const struct minimatch *m, const struct program *p)
{
    unsigned k = 0;
    for (uint64_t map = m->map; map; map &= map - 1) {
        u->match.w[__builtin_ctzll(map)] |= minimatch_masks(m)[k++];
    }
    add_program(u, p);
}

/* --- The plan --- */

static void visit(struct cache_control *cc, unsigned table)
{
    if (!cc->reachable[table]) {
        cc->reachable[table] = true;
        for (unsigned t = 0; t < CACHE_N_TABLES; t++) {
            if (cc->use[table].targets[t / 32] & UINT32_C(1) << (t % 32)) {
                visit(cc, t);
            }
        }
    }
}

static bool or_words(union flow_words *dst, const union flow_words *src)
{
    uint64_t news = 0;
    for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
        news |= src->w[i] & ~dst->w[i];
        dst->w[i] |= src->w[i];
    }
    return news;
}

/*
 * Fixed point over the edges: what may be written before a table is reached.  A resubmit may come back with all that is written further on, so a table
 * with resubmits counts as writing whatever any reachable table does.
 */
static void find_written(struct cache_control *cc)
{
    union flow_words anywhere;
    flow_init(&anywhere.flow);
    memset(cc->written, 0, sizeof cc->written);
    for (unsigned t = 0; t < CACHE_N_TABLES; t++) {
        if (cc->reachable[t]) {
            or_words(&anywhere, &cc->use[t].writes);
        }
    }
    for (bool more = true; more; ) {
        more = false;
        for (unsigned t = 0; t < CACHE_N_TABLES; t++) {
            union flow_words w = cc->written[t];
            if (!cc->reachable[t]) {
                continue;
            }
            or_words(&w, cc->use[t].resubmits ? &anywhere : &cc->use[t].writes);
            for (unsigned to = 0; to < CACHE_N_TABLES; to++) {
                if (cc->use[t].targets[to / 32] & UINT32_C(1) << (to % 32)) {
                    more |= or_words(&cc->written[to], &w);
                }
            }
        }
    }
}

static enum cache_depth depth_of(const struct cache_plan *p)
{
    static const union flow_words addresses = { .flow = {
        .eth_dst = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } }, .eth_src = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } } } };
    enum cache_depth depth = p->n_key ? CACHE_DEPTH_ETHERNET : CACHE_DEPTH_NONE;
    for (unsigned k = 0; k < p->n_words; k++) {
        if (p->mask[k] & ~addresses.w[p->index[k]]) {
            depth = CACHE_DEPTH_ALL;
        }
    }
    return p->shape ? CACHE_DEPTH_ALL : depth;
}

/* Small entries never straddle lines; of larger ones memory counts more. */
static uint16_t stride_of(size_t size)
{
    return (uint16_t) (size <= 32 ? 32 : size <= 64 ? 64 : ROUND_UP(size, 16));
}

/* Which of what labels have is read, and whether what they hide is. */
static void cover_labels(const struct cache_control *cc, struct cache_plan *p, union flow_words *mask)
{
    bool pushes = false, pops = false, asks = false;
    for (unsigned t = 0; t < CACHE_N_TABLES; t++) {
        static const uint32_t nowhere[CACHE_N_TABLES / 32 + 1];
        const struct cache_use *u = &cc->use[t];
        if (cc->reachable[t]) {
            pushes = pushes || u->pushes_labels;
            pops = pops || u->pops_labels;
            asks = asks || u->resubmits || u->looks_inside || (u->pops_labels && memcmp(u->targets, nowhere, sizeof nowhere));
        }
    }
    if (pushes && mask->flow.mpls_ttl) {
        mask->flow.nw_ttl = UINT8_MAX;  /* Section 5.13: a new label's is that of the IP header. */
    }
    p->labels = pops && asks;
    if (p->labels) {
        p->label_mask = be32_get(mask->flow.mpls_label) << 12 | (uint32_t) mask->flow.mpls_tc << 9 | mask->flow.mpls_ttl;
    }
}

static struct cache_plan *plan_new(const struct cache_control *cc)
{
    union flow_words mask, reads;
    unsigned n_tables = 0;
    struct cache_plan *p = aligned_alloc(64, ROUND_UP(sizeof *p, 64));
    if (!p) {
        abort();
    }
    memset((void *) p, 0, sizeof *p);
    flow_init(&mask.flow);
    flow_init(&reads.flow);
    for (unsigned t = 0; t < CACHE_N_TABLES; t++) {
        if (cc->reachable[t]) {
            or_words(&mask, &cc->use[t].match);
            or_words(&reads, &cc->use[t].reads);
            p->inner = p->inner || cc->use[t].pops;
            n_tables++;
        }
    }
    or_words(&mask, &reads);
    cover_labels(cc, p, &mask);
    /* Actions on anything but MAC addresses read prerequisites, of which eth_type is always one. */
    p->shape = reads.flow.eth_type.v;
    p->usable = true;
    for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
        uint64_t m = mask.w[i];
        if (i < FIRST_PACKET_WORD) {
            union flow_words isid;
            flow_init(&isid.flow);
            add_field(&isid, field_row(FIELD_PBB_ISID));
            m &= isid.w[i];
        }
        if (!m) {
            continue;
        }
        if (p->n_words == CACHE_MAX_WORDS - 2) {
            p->usable = false;
            break;
        }
        p->index[p->n_words] = (uint8_t) i;
        p->mask[p->n_words++] = m;
    }
    p->n_key = (uint8_t) (p->n_words + p->shape + (p->label_mask != 0));
    p->depth = depth_of(p);
    cache_lanes_choose(cc, p, &reads);
    size_t size = sizeof(struct cache_entry) + p->n_key * sizeof(uint64_t), ids = MIN(n_tables + (n_tables > 1) * 2, CACHE_USUAL_IDS);
    p->stride = stride_of(size + MAX(ids, cc->n_ids) * sizeof(uint32_t));
    p->n_ids = (uint8_t) MIN((p->stride - size) / sizeof(uint32_t), CACHE_MAX_IDS);
    memcpy(p->seeds, cc->seeds, sizeof p->seeds);
    atomic_init(&p->gen, 2);
    return p;
}

static bool same_layout(const struct cache_plan *a, const struct cache_plan *b)
{
    return a->n_words == b->n_words && a->shape == b->shape && a->inner == b->inner && a->labels == b->labels && a->label_mask == b->label_mask
        && a->usable == b->usable && a->n_ids == b->n_ids && a->stride == b->stride
        && !memcmp(a->index, b->index, a->n_words) && !memcmp(a->mask, b->mask, a->n_words * sizeof a->mask[0])
        && a->n_lanes == b->n_lanes && !memcmp(a->lanes, b->lanes, a->n_lanes * sizeof a->lanes[0]);
}

void cache_plan_free(void *plan)
{
    struct cache_plan *p = plan;
    for (unsigned i = 0; i < CACHE_MAX_CHANGES; i++) {
        free((void *) atomic_load_explicit(&p->changes[i], memory_order_relaxed));
    }
    free(p);
}

static void publish(struct dp *dp, struct cache_plan *p)
{
    struct cache_control *cc = dp->cache;
    struct cache_plan *old = cc->plan;
    p->serial = ++cc->next_serial;
    if (old && atomic_load_explicit(&old->gen, memory_order_relaxed) & 1) {
        atomic_store_explicit(&p->gen, 3, memory_order_relaxed);        /* A bundle is being published. */
    }
    cc->plan = p;
    atomic_store_explicit(&dp->plan, p, memory_order_release);
    if (old) {
        dp_defer(cache_plan_free, old, dp);
    }
}

/* After `use` has changed. */
void cache_replan(struct dp *dp)
{
    struct cache_control *cc = dp->cache;
    memset(cc->reachable, 0, sizeof cc->reachable);
    visit(cc, 0);
    find_written(cc);
    struct cache_plan *p = plan_new(cc);
    if (cc->plan && same_layout(p, cc->plan)) {
        cache_plan_free(p);
    } else {
        publish(dp, p);
    }
    cache_lanes_free_retired(dp);
}

static bool use_differs(const struct cache_use *a, const struct cache_use *b)
{
    return memcmp(a, b, sizeof *a);
}

void cache_cover_rule(struct dp *dp, uint8_t table, const struct minimatch *m, const struct program *p)
{
    struct cache_use *u = &dp->cache->use[table], before = *u;
    add_rule(u, m, p);
    if (cache_lanes_cover(dp, m) || use_differs(u, &before)) {
        cache_replan(dp);
    }
}

void cache_cover_bucket(struct dp *dp, const struct program *p)
{
    struct cache_use *u = &dp->cache->use[CACHE_GROUPS], before = *u;
    read_hashed(u);
    add_program(u, p);
    u->resubmits = true;
    if (use_differs(u, &before)) {
        cache_replan(dp);
    }
}

/* --- Notes --- */

/* The generation that the notes at hand will be published as. */
static uint32_t next_gen(const struct cache_plan *p)
{
    uint32_t gen = atomic_load_explicit(&p->gen, memory_order_relaxed);
    return gen & 1 ? gen + 1 : gen + 2;
}

static void step(struct dp *dp)
{
    struct cache_plan *p = dp->cache->plan;
    uint32_t gen = atomic_load_explicit(&p->gen, memory_order_relaxed);
    if (gen & 1) {
        return;                         /* cache_bundle_end() does it. */
    }
    if (gen > UINT32_MAX - 8) {         /* A new plan begins at the beginning. */
        publish(dp, plan_new(dp->cache));
        return;
    }
    atomic_store_explicit(&p->gen, gen + 2, memory_order_release);
}

void cache_note_all(struct dp *dp)
{
    struct cache_plan *p = dp->cache->plan;
    atomic_store_explicit(&p->flush, next_gen(p), memory_order_relaxed);
    cache_log_all(p, next_gen(p));
    step(dp);
}

void cache_note_id(struct dp *dp, uint32_t id)
{
    struct cache_plan *p = dp->cache->plan;
    dp->cache->shrunk = true;
    atomic_store_explicit(&p->ids[id % CACHE_ID_SLOTS], next_gen(p), memory_order_relaxed);
    cache_log_id(p, next_gen(p), id);
    step(dp);
}

/* What a match asks of the original packet, in the plan's words. */
static void original_part(const struct cache_control *cc, uint8_t table, const struct minimatch *m, struct cache_change *ch, uint64_t *value)
{
    const struct cache_plan *p = cc->plan;
    const union flow_words *written = &cc->written[table];
    uint64_t masks[FLOW_N_WORDS] = { 0 }, whole[FLOW_N_WORDS] = { 0 }, values[FLOW_N_WORDS] = { 0 };
    unsigned k = 0;
    for (uint64_t map = m->map; map; map &= map - 1, k++) {
        unsigned i = (unsigned) __builtin_ctzll(map);
        whole[i] = minimatch_masks(m)[k];
        masks[i] = whole[i] & ~written->w[i];
        values[i] = minimatch_values(m)[k];
    }
    memset(ch->mask, 0, sizeof ch->mask);
    ch->table = table;
    for (unsigned i = 0; i < p->n_words; i++) {
        ch->mask[i] = cache_lanes_answerable(p, i, whole[p->index[i]], masks[p->index[i]]);
        value[i] = values[p->index[i]] & ch->mask[i];
    }
    union flow_words port;
    memcpy(port.w, masks, sizeof port.w);
    ch->in_port = port.flow.in_port.v == UINT32_MAX;
    memcpy(port.w, values, sizeof port.w);
    value[CACHE_MAX_WORDS] = be32_get(port.flow.in_port);
}

static int find_change(struct cache_plan *p, const struct cache_change *like)
{
    unsigned n = atomic_load_explicit(&p->n_changes, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++) {
        const struct cache_change *ch = atomic_load_explicit(&p->changes[i], memory_order_relaxed);
        if (ch->table == like->table && ch->in_port == like->in_port && !memcmp(ch->mask, like->mask, sizeof ch->mask)) {
            return (int) i;
        }
    }
    if (n == CACHE_MAX_CHANGES) {
        return -1;
    }
    struct cache_change *ch = XNEW(struct cache_change);
    ch->table = like->table;
    ch->in_port = like->in_port;
    memcpy(ch->mask, like->mask, sizeof ch->mask);
    for (unsigned k = 0; k < p->n_words; k++) {
        if (ch->mask[k]) {
            ch->at[ch->n++] = (uint8_t) k;
        }
    }
    atomic_store_explicit(&p->changes[n], ch, memory_order_release);
    atomic_store_explicit(&p->n_changes, n + 1, memory_order_release);
    return (int) n;
}

void cache_note_added(struct dp *dp, uint8_t table, const struct minimatch *m)
{
    struct cache_control *cc = dp->cache;
    struct cache_plan *p = cc->plan;
    if (!cc->reachable[table]) {
        return;
    }
    struct cache_change like;
    uint64_t value[CACHE_MAX_WORDS + 1];
    original_part(cc, table, m, &like, value);
    int at = find_change(p, &like);
    if (at < 0) {
        cache_note_all(dp);             /* More masks than are kept apart. */
        return;
    }
    struct cache_change *ch = atomic_load_explicit(&p->changes[at], memory_order_relaxed);
    uint32_t slot = cache_change_slot(p, ch, value, (uint32_t) value[CACHE_MAX_WORDS]);
    atomic_store_explicit(&ch->slots[slot], next_gen(p), memory_order_relaxed);
    atomic_store_explicit(&p->latest[at], next_gen(p), memory_order_relaxed);
    cache_log_added(p, next_gen(p), (unsigned) at, slot);
    step(dp);
}

void cache_bundle_begin(struct dp *dp)
{
    struct cache_plan *p = dp->cache->plan;
    atomic_store_explicit(&p->gen, atomic_load_explicit(&p->gen, memory_order_relaxed) + 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
}

void cache_bundle_end(struct dp *dp)
{
    struct cache_plan *p = dp->cache->plan;
    atomic_store_explicit(&p->gen, atomic_load_explicit(&p->gen, memory_order_relaxed) + 1, memory_order_release);
}

/* --- Counting again --- */

static void recount_entry(struct flow_entry *entry, void *dp_)
{
    struct dp *dp = dp_;
    const struct dp_rule *rule = entry->aux;
    add_rule(&dp->cache->use[entry->table_id], rule->cls.match, atomic_load_explicit(&rule->program, memory_order_relaxed));
    dp->cache->n_counted++;
}

static void recount_classes(struct flow_entry *entry, void *dp)
{
    cache_lanes_cover(dp, ((const struct dp_rule *) entry->aux)->cls.match);
}

static void recount_group(struct group *group, void *dp_)
{
    struct dp *dp = dp_;
    struct cache_use *u = &dp->cache->use[CACHE_GROUPS];
    const struct dp_group *g = group_slot_read(group->aux, CLS_NEVER);
    for (unsigned i = 0; g && i < g->n_buckets; i++) {
        read_hashed(u);
        add_program(u, g->buckets[i].program);
        u->resubmits = true;
    }
}

/* Rules that have left but that a late packet may still meet are not counted: they are out of every thread's reach once the grace period is over, before
 * which nothing that is recorded by them outlives a generation. */
void cache_recount(struct dp *dp)
{
    struct cache_control *cc = dp->cache;
    memset(cc->use, 0, sizeof cc->use);
    cc->n_counted = cc->n_ids = 0;
    struct of_flow_filter all;
    of_flow_filter_init(&all);
    flow_tables_each(dp->flows, &all, false, recount_entry, dp);
    group_table_each(dp->groups, recount_group, dp);
    if (cache_lanes_are_stale(cc, cc->n_counted)) {
        cache_lanes_clear(cc);
        flow_tables_each(dp->flows, &all, false, recount_classes, dp);
        cc->n_asked_counted = cc->n_asked;
    }
    cc->shrunk = false;
    cache_replan(dp);
}
