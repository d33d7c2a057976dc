/*
 * The order towards one destination, ear by ear. See paths.h for what it is good for.
 *
 * `placed` nodes have their place; at first only the destination. An ear is a path p, x, …, q with p ≠ q placed and all
 * between unplaced; these are put between p and q, in the order of the path, so each of them has a neighbour below and
 * one above. x is the nearest unplaced node to the destination, p the next hop of one of its shortest paths: what is
 * nearer than x is placed already. When no ear is left, each component of unplaced nodes hangs on one placed node c, a
 * cut vertex: a cycle through c, or a single cable, opens a block of its own with c as the root; then ears again.
 *
 * So that edges do not carry what fabric switches can carry, ears over fabric switches alone come first.
 *
 * Labels are 64-bit numbers with room between them; where the room is used up, the block is labelled anew.
 */
#include "controller/paths_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

#define LABEL_TOP UINT64_MAX
#define LOOK_FURTHER 2          /* How many hops longer an ear may be to lie on the better side. */

struct builder {
    struct paths *p;
    struct order *o;
    unsigned to;
    const uint32_t *cost;
    uint32_t *by_cost; unsigned n_by_cost;      /* Nodes with a path, nearest first. */
    bool *placed;
    uint32_t *above, *below;    /* Neighbours in the block's list; NO_NODE at its ends. */
    uint32_t *short_len[N_COLOURS];             /* How long the ways by ears are, of each colour; a guess that steers. */
    uint32_t *from;             /* Search: whence a node was reached. */
    uint32_t *depth;            /* Search: hops; valid where seen == round. */
    uint32_t *seen, *stuck, round, pass;
    uint32_t *queue;
    uint32_t *bottom, *top; unsigned n_blocks;  /* First and last node of each block, in opening order. */
    uint32_t *block;            /* By node: its block's number. */
};

int order_colour(const struct order *o, const struct arc *a)
{
    if (o->root[a->from] == NO_NODE) {
        return -1;              /* The destination sends on nothing. */
    }
    if (a->to == o->root[a->from]) {
        return o->root_above[a->from] ? BLUE : RED;
    }
    if (o->root[a->to] != o->root[a->from]) {
        return -1;
    }
    return o->label[a->to] < o->label[a->from] ? RED : BLUE;
}

/* --- Places --- */

static void relabel(struct builder *b, unsigned block)
{
    uint64_t n = 1, i = 1;
    for (uint32_t x = b->bottom[block]; x != NO_NODE; x = b->above[x]) {
        n++;
    }
    for (uint32_t x = b->bottom[block]; x != NO_NODE; x = b->above[x]) {
        b->o->label[x] = LABEL_TOP / n * i++;
    }
}

/* Puts the n nodes, ascending, between two neighbours in that block's list; NO_NODE: its end. */
static void insert_between(struct builder *b, unsigned block, uint32_t below, uint32_t above, const uint32_t *nodes, unsigned n)
{
    uint64_t low = below == NO_NODE ? 0 : b->o->label[below], high = above == NO_NODE ? LABEL_TOP : b->o->label[above];
    uint64_t gap = (high - low) / (n + 1);
    for (unsigned i = 0; i < n; i++) {
        b->below[nodes[i]] = i ? nodes[i - 1] : below;
        b->above[nodes[i]] = i + 1 < n ? nodes[i + 1] : above;
        b->o->label[nodes[i]] = low + gap * (i + 1);
        b->block[nodes[i]] = block;
    }
    *(below == NO_NODE ? &b->bottom[block] : &b->above[below]) = nodes[0];
    *(above == NO_NODE ? &b->top[block] : &b->below[above]) = nodes[n - 1];
    if (!gap) {
        relabel(b, block);
    }
}

static uint32_t one_further(const struct builder *b, uint32_t node, enum colour c)
{
    uint32_t before = node == NO_NODE ? 0 : b->short_len[c][node];
    uint32_t step = node == NO_NODE ? 1 : paths_step_cost(b->p, node, b->to);
    return before > COST_NONE - 1 - step ? COST_NONE - 1 : before + step;
}

/* The nodes of a new ear, ascending, lie between low and high of that block; NO_NODE is the root. At its low end, or at its high one (near_high). */
static void place(struct builder *b, unsigned block, uint32_t root, const uint32_t *nodes, unsigned n, uint32_t low, uint32_t high, bool near_high)
{
    for (unsigned i = 0; i < n; i++) {
        const uint32_t up = nodes[i], down = nodes[n - 1 - i];
        b->placed[up] = true;
        b->o->root[up] = root;
        b->short_len[RED][up] = one_further(b, i ? nodes[i - 1] : low, RED);
        b->short_len[BLUE][down] = one_further(b, i ? nodes[n - i] : high, BLUE);
    }
    b->o->root_above[nodes[n - 1]] = high == NO_NODE && (n > 1 || low != NO_NODE);
    if (near_high) {
        insert_between(b, block, high == NO_NODE ? b->top[block] : b->below[high], high, nodes, n);
    } else {
        insert_between(b, block, low, low == NO_NODE ? b->bottom[block] : b->above[low], nodes, n);
    }
}

/* --- Search --- */

struct hit { uint32_t p, last, q; unsigned hops; };             /* Ear p, x, …, last, q. */

static bool may_pass(const struct builder *b, uint32_t node, bool fabric_only)
{
    return !b->placed[node] && b->cost[node] != COST_NONE && !(fabric_only && b->p->is_edge[node]);
}

static bool is_parent(const struct builder *b, uint32_t x, uint32_t p)
{
    return b->placed[p] && b->cost[p] + paths_step_cost(b->p, p, b->to) == b->cost[x];
}

/* The side of the neighbour p on which its child should lie, so that the short way stays on one colour. */
static enum colour short_colour(const struct builder *b, uint32_t p)
{
    return b->short_len[BLUE][p] < b->short_len[RED][p] ? BLUE : RED;
}

/* q is on the side of p that suits: above p when p's short way is red. The root is where it is wanted. */
static bool suits(const struct builder *b, uint32_t root, uint32_t p, uint32_t q)
{
    if (p == root || q == root) {
        return true;
    }
    return (b->o->label[q] > b->o->label[p]) == (short_colour(b, p) == RED);
}

/* The block of an ear between p and q: that of the one which is not its root. */
static uint32_t ear_root(const struct builder *b, uint32_t p, uint32_t q)
{
    uint32_t rp = b->o->root[p], rq = b->o->root[q];
    if (rp == q || rq == NO_NODE) {
        return q;
    }
    if (rq == p || rp == NO_NODE) {
        return p;
    }
    assert(rp == rq);
    return rp;
}

/* All of x's parents against this end; keeps the better of hits. */
static bool try_end(struct builder *b, uint32_t x, uint32_t last, uint32_t q, struct hit *best, bool *best_suits)
{
    for (unsigned i = b->p->first[x]; i < b->p->first[x + 1]; i++) {
        uint32_t p = b->p->arcs[i].to;
        if (!is_parent(b, x, p) || p == q) {
            continue;
        }
        bool good = suits(b, ear_root(b, p, q), p, q);
        if (best->p == NO_NODE || (good && !*best_suits)) {
            *best = (struct hit) { p, last, q, b->depth[last] };
            *best_suits = good;
        }
    }
    return *best_suits;
}

static bool has_parent(const struct builder *b, uint32_t x)
{
    for (unsigned i = b->p->first[x]; i < b->p->first[x + 1]; i++) {
        if (is_parent(b, x, b->p->arcs[i].to)) {
            return true;
        }
    }
    return false;
}

static void search_begin(struct builder *b, uint32_t x, unsigned *n)
{
    b->round++;
    b->seen[x] = b->round;
    b->depth[x] = 0;
    b->from[x] = NO_NODE;
    b->queue[0] = x;
    *n = 1;
}

static void search_push(struct builder *b, uint32_t at, uint32_t next, bool fabric_only, unsigned *n)
{
    if (b->seen[next] != b->round && may_pass(b, next, fabric_only)) {
        b->seen[next] = b->round;
        b->from[next] = at;
        b->depth[next] = b->depth[at] + 1;
        b->queue[(*n)++] = next;
    }
}

/* Breadth first from x over unplaced nodes to a placed one other than p. */
static bool find_ear(struct builder *b, uint32_t x, bool fabric_only, struct hit *best)
{
    unsigned n;
    bool good = false;
    best->p = NO_NODE;
    search_begin(b, x, &n);
    for (unsigned i = 0; i < n && !good; i++) {
        uint32_t at = b->queue[i];
        if (best->p != NO_NODE && b->depth[at] > best->hops + LOOK_FURTHER) {
            break;
        }
        for (unsigned j = b->p->first[at]; j < b->p->first[at + 1] && !good; j++) {
            uint32_t next = b->p->arcs[j].to;
            if (b->placed[next]) {
                good = try_end(b, x, at, next, best, &good);
            } else {
                search_push(b, at, next, fabric_only, &n);
            }
        }
    }
    for (unsigned i = 0; best->p == NO_NODE && i < n; i++) {    /* All of these hang on one node: no need to look again in this pass. */
        b->stuck[b->queue[i]] = b->pass;
    }
    return best->p != NO_NODE;
}

/* The nodes from x to `last`, or the other way round; returns how many. */
static unsigned collect(struct builder *b, uint32_t last, bool x_first, uint32_t *out)
{
    unsigned n = b->depth[last] + 1, i = 0;
    for (uint32_t at = last; at != NO_NODE; at = b->from[at], i++) {
        out[x_first ? n - 1 - i : i] = at;
    }
    return n;
}

static bool try_ear(struct builder *b, uint32_t x, bool fabric_only)
{
    struct hit hit;
    if (!may_pass(b, x, fabric_only) || b->stuck[x] == b->pass || !has_parent(b, x) || !find_ear(b, x, fabric_only, &hit)) {
        return false;
    }
    uint32_t root = ear_root(b, hit.p, hit.q);
    unsigned block = b->block[hit.p == root ? hit.q : hit.p];
    bool p_below;
    if (hit.p == root) {
        p_below = true;
    } else if (hit.q == root) {
        p_below = short_colour(b, hit.p) == RED;
    } else {
        p_below = b->o->label[hit.p] < b->o->label[hit.q];
    }
    uint32_t low = p_below ? hit.p : hit.q, high = p_below ? hit.q : hit.p;
    uint32_t *nodes = xmalloc((b->depth[hit.last] + 1) * sizeof *nodes);
    unsigned n = collect(b, hit.last, p_below, nodes);
    place(b, block, root, nodes, n, low == root ? NO_NODE : low, high == root ? NO_NODE : high, !p_below);
    free(nodes);
    return true;
}

/* --- Blocks --- */

/* From x over unplaced nodes back to c by another node: its last one, or x. */
static uint32_t find_cycle(struct builder *b, uint32_t x, uint32_t c, bool fabric_only)
{
    unsigned n;
    search_begin(b, x, &n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t at = b->queue[i];
        for (unsigned j = b->p->first[at]; j < b->p->first[at + 1]; j++) {
            uint32_t next = b->p->arcs[j].to;
            if (next == c && at != x) {
                return at;
            }
            search_push(b, at, next, fabric_only, &n);
        }
    }
    return x;
}

/* True when unplaced nodes hang on what was opened. */
static bool open_block(struct builder *b, uint32_t x)
{
    uint32_t c = NO_NODE;
    for (unsigned i = b->p->first[x]; i < b->p->first[x + 1] && c == NO_NODE; i++) {
        c = is_parent(b, x, b->p->arcs[i].to) ? b->p->arcs[i].to : NO_NODE;
    }
    assert(c != NO_NODE);
    uint32_t last = find_cycle(b, x, c, true);
    if (last == x) {
        last = find_cycle(b, x, c, false);
    }
    uint32_t *nodes = xmalloc((b->depth[last] + 1) * sizeof *nodes);
    unsigned n = collect(b, last, true, nodes);
    b->bottom[b->n_blocks] = b->top[b->n_blocks] = NO_NODE;
    place(b, b->n_blocks++, c, nodes, n, NO_NODE, NO_NODE, false);
    bool more = false;
    for (unsigned i = 0; i < n && !more; i++) {
        for (unsigned j = b->p->first[nodes[i]]; j < b->p->first[nodes[i] + 1] && !more; j++) {
            more = !b->placed[b->p->arcs[j].to];
        }
    }
    free(nodes);
    return more;
}

static bool add_ears(struct builder *b, bool fabric_only)
{
    bool any = false;
    b->pass++;
    for (unsigned i = 0; i < b->n_by_cost; i++) {
        any |= try_ear(b, b->by_cost[i], fabric_only);
    }
    return any;
}

static void place_all(struct builder *b)
{
    bool more = false;
    for (unsigned i = 0; i < b->n_by_cost; i++) {
        if (b->placed[b->by_cost[i]]) {
            continue;
        }
        more |= open_block(b, b->by_cost[i]);
        while (more && (add_ears(b, true) || add_ears(b, false))) {
        }
        more = false;
    }
}

/* --- Life --- */

struct by_cost { uint32_t cost, node; };

static int compare_cost(const void *a_, const void *b_)
{
    const struct by_cost *a = a_, *b = b_;
    int d = (a->cost > b->cost) - (a->cost < b->cost);
    return d ? d : (a->node > b->node) - (a->node < b->node);
}

static void sort_by_cost(struct builder *b)
{
    struct by_cost *v = xmalloc((b->p->n + 1) * sizeof *v);
    unsigned n = 0;
    for (uint32_t i = 0; i < b->p->n; i++) {
        if (b->cost[i] != COST_NONE && i != b->to) {
            v[n++] = (struct by_cost) { b->cost[i], i };
        }
    }
    qsort(v, n, sizeof *v, compare_cost);
    for (unsigned i = 0; i < n; i++) {
        b->by_cost[i] = v[i].node;
    }
    b->n_by_cost = n;
    free(v);
}

static void list_by_block(const struct builder *b)
{
    for (unsigned i = 0; i < b->n_blocks; i++) {
        for (uint32_t x = b->bottom[i]; x != NO_NODE; x = b->above[x]) {
            b->o->by_block[b->o->n++] = x;
        }
    }
}

void order_init(struct order *o, struct paths *p, unsigned to)
{
    const unsigned n = p->n + 1;
    struct builder b = { .p = p, .o = o, .to = to, .cost = paths_costs(p, to) };
    uint32_t **arrays[] = {
        &b.by_cost, &b.above, &b.below, &b.short_len[RED], &b.short_len[BLUE], &b.from, &b.depth, &b.seen, &b.stuck, &b.queue, &b.bottom, &b.top, &b.block,
    };
    for (unsigned i = 0; i < ARRAY_SIZE(arrays); i++) {
        *arrays[i] = xcalloc(n, sizeof **arrays[i]);
    }
    b.placed = xcalloc(n, sizeof *b.placed);
    o->root = xmalloc(n * sizeof *o->root);
    memset(o->root, 0xff, n * sizeof *o->root);
    o->label = xcalloc(n, sizeof *o->label);
    o->root_above = xcalloc(n, sizeof *o->root_above);
    o->by_block = xcalloc(n, sizeof *o->by_block);
    o->n = 0;
    b.placed[to] = true;
    sort_by_cost(&b);
    place_all(&b);
    list_by_block(&b);
    for (unsigned i = 0; i < ARRAY_SIZE(arrays); i++) {
        free(*arrays[i]);
    }
    free(b.placed);
}

void order_fini(struct order *o)
{
    free(o->root);
    free(o->label);
    free(o->root_above);
    free(o->by_block);
}
