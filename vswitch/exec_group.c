/*
 * Groups (section 6.5 and 5.6.1): all, select, indirect, fast failover.
 *
 * Select hashes the Ethernet, IP, layer-4 and ARP fields of the key, so a flow sticks to its bucket and the shares follow the weights exactly.  A flow whose bucket is dead is
 * hashed again over the live ones, so flows of live buckets never move.  Ports count only for unfragmented packets: all fragments take one way.
 */
#include "vswitch/exec.h"

/* "A bucket that watches nothing" is live, except where liveness is the whole point.  A watched group's liveness is the control thread's to keep up (dp_group.c). */
bool exec_bucket_usable(const struct dp *dp, const struct dp_group *g, const struct dp_bucket *b)
{
    if (b->watch_port == OFPP_ANY && !b->watch_group) {
        return g->type != OFPGT_FF;
    }
    return dp_port_state(dp, b->watch_port) & PORT_LIVE || (b->watch_group && atomic_load_explicit(&b->watch_group->live, memory_order_relaxed));
}

static uint64_t flow_hash(const struct flow *f)
{
    uint64_t words[14] = {
        mac_u64(f->eth_src), mac_u64(f->eth_dst), (uint64_t) f->eth_type.v << 16 | f->vlan_vid.v, (uint64_t) f->ipv4_src.v << 32 | f->ipv4_dst.v,
        (uint64_t) f->arp_spa.v << 32 | f->arp_tpa.v, (uint64_t) f->ip_proto << 16 | f->arp_op.v, mac_u64(f->arp_sha), mac_u64(f->arp_tha),
    };
    memcpy(&words[8], &f->ipv6_src, 16);
    memcpy(&words[10], &f->ipv6_dst, 16);
    words[12] = f->ip_frag ? 0 : (uint64_t) f->tp_src.v << 16 | f->tp_dst.v;
    words[13] = f->mpls_label.v;
    uint64_t h = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        h = hash_mix64(h ^ words[i]) + i;
    }
    return h;
}

/* The bucket in whose share of the total weight the hash falls; of all buckets, or of those that are usable. */
static unsigned pick(const struct dp *dp, const struct dp_group *g, uint64_t hash, bool usable_only)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < g->n_buckets; i++) {
        total += !usable_only || exec_bucket_usable(dp, g, &g->buckets[i]) ? g->buckets[i].weight : 0;
    }
    uint64_t point = (uint64_t) ((unsigned __int128) hash * total >> 64);
    for (unsigned i = 0; i < g->n_buckets; i++) {
        uint64_t share = !usable_only || exec_bucket_usable(dp, g, &g->buckets[i]) ? g->buckets[i].weight : 0;
        if (point < share) {
            return i;
        }
        point -= share;
    }
    return g->n_buckets;
}

static unsigned select_bucket(const struct exec *e, const struct dp_group *g)
{
    uint64_t hash = flow_hash(&e->flow.flow);
    unsigned i = pick(e->dp, g, hash, false);
    if (i < g->n_buckets && exec_bucket_usable(e->dp, g, &g->buckets[i])) {
        return i;
    }
    return pick(e->dp, g, hash_mix64(hash + 1), true);
}

static unsigned first_live_bucket(const struct exec *e, const struct dp_group *g)
{
    unsigned i = 0;
    while (i < g->n_buckets && !exec_bucket_usable(e->dp, g, &g->buckets[i])) {
        i++;
    }
    return i;
}

static void count(const struct exec *e, struct counters *counters)
{
    if (e->rec) {
        recorder_count(e->rec, counters->id);
    }
    if (!e->observe) {
        count_packets(&e->thread->cells, counters->id, 1, e->len, e->now_ns);
    }
}

static void run_bucket(struct exec *e, const struct group_slot *slot, const struct dp_group *g, unsigned i, bool tail)
{
    const struct dp_bucket *b = &g->buckets[i];
    count(e, b->counters);
    exec_event(e, &(struct exec_event) { .type = EVENT_BUCKET, .group = slot->id, .bucket = i });
    uint64_t cookie = e->cookie;
    uint8_t origin = e->origin;
    exec_no_entry(e, OFPR_GROUP);
    exec_scoped(e, b->program->ops, b->program->n_apply, tail);
    e->cookie = cookie;
    e->origin = origin;
}

void exec_group(struct exec *e, struct group_slot *slot, bool tail)
{
    const struct dp_group *g = group_slot_read(slot, e->version);
    unsigned first = 0, last;
    if (g) {
        count(e, g->counters);
    }
    if (!g || !g->n_buckets) {
        exec_note(e, DROP_GROUP_DEAD, RANK_WENT_WRONG);
        return;
    }
    switch (g->type) {
    case OFPGT_SELECT:
        if (e->rec && e->rec->tainted) {        /* It hashes what other packets of the same key may not have. */
            exec_diverged(e);
        }
        first = last = select_bucket(e, g);
        break;
    case OFPGT_FF: first = last = first_live_bucket(e, g); break;
    default: last = g->n_buckets - 1; break;            /* ALL and INDIRECT. */
    }
    if (first == g->n_buckets) {
        exec_note(e, DROP_GROUP_DEAD, RANK_WENT_WRONG);
        return;
    }
    for (unsigned i = first; i <= last; i++) {
        run_bucket(e, slot, g, i, tail && i == last);
    }
}
