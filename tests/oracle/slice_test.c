/*
 * Slices against what they promise: a tenant's program on virtual switches does what the same program does on real
 * ones.
 *
 * Random flow-mods, group-mods, frames and packet-outs go to virtual switches, compiled to the edges of a site
 * (tests/oracle/site.h), and to one reference datapath for each virtual switch, joined by wires where the slice has
 * virtual links. What leaves by which virtual port, byte for byte, and what comes as packet-in must be the same. And
 * the rules that were edited one by one must be those that compiling all at once gives.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/slice.h"
#include "tests/oracle/site.h"
#include "tests/oracle/slice_audit.h"
#include "tests/oracle/slice_program.h"
#include "tests/unit.h"

#define MAX_SWITCHES 3
#define MAX_PORTS 16
#define MAX_SEEN 2048
#define MAX_CROSSINGS 6         /* A frame that crosses more virtual links than this is in a loop, and not compared. */

static struct rng rng;

struct place { unsigned sw; uint32_t number; int edge; int peer; };     /* edge -1: a link's end, of which `peer` is the other's index. */
struct shape { const char *name, *document; unsigned n_switches, n_places; struct place places[MAX_PORTS]; };

/* What was seen of a frame; zeroed, so that it can be compared as bytes. */
struct seen {
    enum { SEEN_OUTPUT = 1, SEEN_PACKET_IN } kind;
    unsigned sw;
    uint32_t port, table, reason;
    uint64_t cookie, metadata;
    struct site_frame frame;
};
struct seen_list { struct seen *v; unsigned n; bool overflow; };

struct reference { struct world *world; unsigned sw; struct dp *dp; struct dp_ops ops; };
struct wire { unsigned place, crossings; struct site_frame frame; };
struct world {
    const struct shape *shape;
    struct site *site;
    struct vsw *vsws[MAX_SWITCHES];
    struct reference refs[MAX_SWITCHES];
    struct program programs[MAX_SWITCHES];
    uint32_t numbers[MAX_SWITCHES][MAX_PORTS];
    struct seen_list real, wanted;
    struct wire *wires; unsigned n_wires, crossings;
    unsigned n_run, n_loops, n_carried;
};

static void keep(struct site_frame *out, const void *data, unsigned size)
{
    assert(size <= sizeof out->data);
    memcpy(out->data, data, size);
    out->size = size;
}

static struct seen *see(struct seen_list *list)
{
    if (list->n == MAX_SEEN) {
        list->overflow = true;
        list->n--;
    }
    struct seen *seen = &list->v[list->n++];
    memset(seen, 0, sizeof *seen);
    return seen;
}

/* --- The reference: a datapath for each switch, and wires --- */

struct held { struct packet packet; uint8_t *buffer; };

static struct packet *packet_make(const void *data, unsigned size)
{
    struct held *held = XNEW(struct held);
    held->buffer = xcalloc(1, size + 512);
    held->packet.data = held->buffer + 256;
    held->packet.len = size;
    held->packet.headroom = held->packet.tailroom = 256;
    memcpy(held->packet.data, data, size);
    return &held->packet;
}

static void ref_free(struct dp_thread *thread UNUSED, struct packet *packet, void *aux UNUSED)
{
    struct held *held = CONTAINER_OF(packet, struct held, packet);
    free(held->buffer);
    free(held);
}

static struct packet *ref_copy(struct dp_thread *thread UNUSED, const struct packet *packet, void *aux UNUSED)
{
    return packet_make(packet->data, packet->len);
}

static int find_place(const struct shape *shape, unsigned sw, uint32_t number)
{
    for (unsigned i = 0; i < shape->n_places; i++) {
        if (shape->places[i].sw == sw && shape->places[i].number == number) {
            return (int) i;
        }
    }
    return -1;
}

static void ref_output(struct dp_thread *thread, struct packet *packet, uint32_t port_no, void *aux)
{
    struct reference *ref = aux;
    struct world *w = ref->world;
    int place = find_place(w->shape, ref->sw, port_no);
    if (place >= 0 && w->shape->places[place].edge >= 0) {
        struct seen *seen = see(&w->wanted);
        seen->kind = SEEN_OUTPUT;
        seen->sw = ref->sw;
        seen->port = port_no;
        keep(&seen->frame, packet->data, packet->len);
    } else if (place >= 0 && w->n_wires < MAX_SEEN && w->crossings < MAX_CROSSINGS) {
        struct wire *wire = &w->wires[w->n_wires++];
        wire->place = (unsigned) w->shape->places[place].peer;
        wire->crossings = w->crossings + 1;
        keep(&wire->frame, packet->data, packet->len);
    } else if (place >= 0) {
        w->wanted.overflow = true;
    }
    ref_free(thread, packet, aux);
}

static void ref_output_batch(struct dp_thread *thread, struct packet **packets, unsigned n, uint32_t port_no, void *aux)
{
    for (unsigned i = 0; i < n; i++) {
        ref_output(thread, packets[i], port_no, aux);
    }
}

static void note_packet_in(struct seen *seen, unsigned sw, const struct of_packet_in *pin, uint32_t in_port, uint64_t metadata)
{
    seen->kind = SEEN_PACKET_IN;
    seen->sw = sw;
    seen->port = in_port;
    /* From an action set: the table of the entry that wrote the output, where the reference tells the last one. */
    seen->table = pin->cookie == UINT64_MAX || pin->reason == OFPR_INVALID_TTL ? 0 : pin->table_id;
    seen->reason = pin->reason > OFPR_INVALID_TTL ? (uint32_t) OFPR_ACTION : pin->reason;    /* What 1.4 tells apart. */
    /* Whether a TTL ended in the action set or before is compiled away (controller/compile_entry.c). */
    seen->cookie = pin->reason == OFPR_INVALID_TTL ? 0 : pin->cookie;
    seen->metadata = metadata;
    keep(&seen->frame, pin->data, pin->size);
}

static bool ref_packet_in(struct dp_thread *thread UNUSED, const struct packet *packet, const struct flow *flow, uint64_t cookie, uint8_t table, uint8_t reason,
                          const struct dp_controller *controller UNUSED, void *aux)
{
    struct reference *ref = aux;
    struct of_packet_in pin = { .table_id = table, .reason = reason, .cookie = cookie, .data = packet->data, .size = packet->len };
    note_packet_in(see(&ref->world->wanted), ref->sw, &pin, be32_get(flow->in_port), be64_get(flow->metadata));
    return true;
}

static void ref_defer(void (*fn)(void *), void *arg, void *aux UNUSED) { fn(arg); }
static void ref_flow_removed(struct flow_entry *entry UNUSED, uint8_t reason UNUSED, void *aux UNUSED) { }

static void ref_receive(struct world *w, unsigned sw, uint32_t port, const void *data, unsigned size)
{
    struct packet *packet = packet_make(data, size);
    packet->in_port = port;
    dp_receive(dp_thread(w->refs[sw].dp, 1), &packet, 1, port, w->site->now_ns);
}

static void ref_carry(struct world *w)
{
    for (unsigned i = 0; i < w->n_wires; i++) {
        const struct wire wire = w->wires[i];
        const struct place *to = &w->shape->places[wire.place];
        w->crossings = wire.crossings;
        ref_receive(w, to->sw, to->number, wire.frame.data, wire.frame.size);
    }
    w->n_wires = w->crossings = 0;
}

/* --- The site --- */

static void on_packet_in(struct site_edge *edge, struct of_packet_in *pin, void *w_)
{
    struct world *w = w_;
    struct of_packet_in out;
    struct vsw *vsw = slice_packet_in_read(edge->site->controller.fabric, pin, &out);
    for (unsigned i = 0; vsw && i < w->shape->n_switches; i++) {
        if (w->vsws[i] == vsw) {
            note_packet_in(see(&w->real), i, &out, be32_get(out.match.value.flow.in_port), be64_get(out.match.value.flow.metadata));
        }
    }
}

static void read_deliveries(struct world *w)
{
    for (unsigned i = 0; i < w->site->n_delivered; i++) {
        const struct site_delivery *d = &w->site->delivered[i];
        struct seen *seen = see(&w->real);
        seen->kind = SEEN_OUTPUT;
        seen->sw = UINT32_MAX;                          /* Of no port of the slice: an error. */
        for (unsigned j = 0; j < w->shape->n_places; j++) {
            const struct place *p = &w->shape->places[j];
            const struct port *port = network_port_by_number(w->vsws[p->sw]->network, p->number);
            if (p->edge == (int) d->edge && site_device(w->site, port) == d->port_no) {
                seen->sw = p->sw;
                seen->port = p->number;
            }
        }
        keep(&seen->frame, d->frame.data, d->frame.size);
    }
}

/* --- Comparing --- */

static int compare_seen(const void *a, const void *b) { return memcmp(a, b, sizeof(struct seen)); }

static void print_seen(const char *which, const struct seen *s)
{
    printf("    %s: %s switch %u port %x table %u reason %u cookie %llx metadata %llx ", which, s->kind == SEEN_OUTPUT ? "output" : "packet-in", s->sw, s->port,
           s->table, s->reason, (unsigned long long) s->cookie, (unsigned long long) s->metadata);
    for (unsigned i = 0; i < MIN(s->frame.size, 64u); i++) {
        printf("%02x", s->frame.data[i]);
    }
    printf("\n");
}

static bool same(struct world *w)
{
    qsort(w->real.v, w->real.n, sizeof *w->real.v, compare_seen);
    qsort(w->wanted.v, w->wanted.n, sizeof *w->wanted.v, compare_seen);
    return w->real.n == w->wanted.n && !memcmp(w->real.v, w->wanted.v, w->real.n * sizeof *w->real.v);
}

static void print_difference(struct world *w)
{
    unsigned i = 0, j = 0;
    while (i < w->real.n || j < w->wanted.n) {
        int c = i == w->real.n ? 1 : j == w->wanted.n ? -1 : compare_seen(&w->real.v[i], &w->wanted.v[j]);
        if (c < 0) {
            print_seen("only the slice", &w->real.v[i]);
        } else if (c > 0) {
            print_seen("only the reference", &w->wanted.v[j]);
        }
        i += c <= 0;
        j += c >= 0;
    }
}

static void print_flow(struct flow_entry *e, void *sw)
{
    struct buf text = BUF_INIT;
    struct match m;
    minimatch_expand(e->match, &m);
    match_format(&m, &text);
    buf_puts(&text, " actions=");
    instructions_format(&e->instructions, &text);
    printf("      switch %u table=%u,priority=%u,cookie=%llx,%s\n", *(unsigned *) sw, e->table_id, e->priority, (unsigned long long) e->cookie, buf_cstr(&text));
    buf_fini(&text);
}

static void print_group(struct group *g, void *unused UNUSED)
{
    printf("      group %u type %u\n", g->id, g->type);
    for (unsigned i = 0; i < g->n_buckets; i++) {
        struct buf text = BUF_INIT;
        actions_format(&g->buckets[i].actions, &text);
        printf("        weight %u watch %x: %s\n", g->buckets[i].weight, g->buckets[i].watch_port, buf_cstr(&text));
        buf_fini(&text);
    }
}

static void print_programs(struct world *w)
{
    struct of_flow_filter all;
    of_flow_filter_init(&all);
    for (unsigned i = 0; i < w->shape->n_switches; i++) {
        flow_tables_each(w->vsws[i]->flows, &all, true, print_flow, &i);
        group_table_each(w->vsws[i]->groups, print_group, NULL);
    }
}

/*
 * Runs a frame, or a packet-out, in both. False when they differ. Two pairs of addresses that displace each other among
 * the candidates for an id (controller/relay.c) get none, and there is no connection here to carry their frames by.
 */
static bool run(struct world *w, unsigned place, const uint8_t *frame, unsigned size, const struct actions *packet_out, uint32_t in_port)
{
    const struct place *p = &w->shape->places[place];
    struct vsw *vsw = w->vsws[p->sw];
    w->wanted.n = 0;
    w->wanted.overflow = false;
    w->site->now_ns += UINT64_C(1000000000);            /* No packet-in is over the rate. */
    if (packet_out) {
        struct packet *packet = packet_make(frame, size);
        packet->in_port = in_port;
        dp_execute(dp_thread(w->refs[p->sw].dp, 0), packet, in_port, packet_out, w->site->now_ns);
    } else {
        ref_receive(w, p->sw, p->number, frame, size);
    }
    ref_carry(w);
    w->n_run++;
    if (w->wanted.overflow) {
        w->n_loops++;
        return true;
    }
    for (unsigned turn = 0; turn < 64; turn++) {        /* Again while pairs of addresses had to be interned: with their fifth frame, link after link. */
        w->real.n = 0;
        if (packet_out) {
            struct actions actions;
            const struct edge *edge;
            actions_init(&actions);
            vsw_packet_out(vsw, &(struct of_packet_out) { .in_port = in_port, .actions = *packet_out }, &edge, &actions);
            site_execute(w->site, edge->index - 1u, frame, size, &actions);
            actions_fini(&actions);
        } else {
            const struct port *port = network_port_by_number(vsw->network, p->number);
            site_send(w->site, (unsigned) p->edge, site_device(w->site, port), frame, size);
        }
        if (!w->site->n_packet_in) {
            break;
        }
        site_sync(w->site);
    }
    if (w->site->n_packet_in) {
        w->n_carried++;
        return true;
    }
    read_deliveries(w);
    return w->site->overflow || same(w);
}

/* --- Life --- */

static struct world *world_new(const struct shape *shape, bool terminal_sets)
{
    static const struct dp_ops ops = { .output = ref_output, .output_batch = ref_output_batch, .copy = ref_copy, .free = ref_free, .packet_in = ref_packet_in,
                                       .defer = ref_defer, .flow_removed = ref_flow_removed };
    struct world *w = XNEW(struct world);
    char name[40];
    w->shape = shape;
    w->site = site_new(3);
    w->site->controller.config.intern_pairs_per_network = 100000;
    w->site->slice_packet_in = on_packet_in;
    w->site->slice_aux = w;
    w->real.v = xcalloc(MAX_SEEN, sizeof *w->real.v);
    w->wanted.v = xcalloc(MAX_SEEN, sizeof *w->wanted.v);
    w->wires = xcalloc(MAX_SEEN, sizeof *w->wires);
    char *document = xstrdup(shape->document);
    for (char *c = document; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    site_apply(w->site, document);
    free(document);
    for (unsigned i = 0; i < shape->n_switches; i++) {
        struct reference *ref = &w->refs[i];
        ref->world = w;
        ref->sw = i;
        ref->ops = ops;
        ref->dp = dp_new(2, 100000, 1000, w->site->controller.clock, &ref->ops, ref);
        snprintf(name, sizeof name, "red/lab/s%u", i + 1);
        const struct network *network = model_find(w->site->controller.model, KIND_SWITCH, name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(network);
        w->vsws[i] = fabric_find_vsw(w->site->controller.fabric, network->id);
        CU_ASSERT_PTR_NOT_NULL_FATAL(w->vsws[i]);
        w->programs[i] = (struct program) { .rng = &rng, .ports = w->numbers[i], .terminal_sets = terminal_sets };
        for (unsigned j = 0; j < shape->n_places; j++) {
            if (shape->places[j].sw == i) {
                dp_port_set(ref->dp, shape->places[j].number, 0, true);
                w->numbers[i][w->programs[i].n_ports++] = shape->places[j].number;
            }
        }
    }
    site_sync(w->site);
    return w;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < w->shape->n_switches; i++) {
        dp_free(w->refs[i].dp);
    }
    site_free(w->site);
    free(w->real.v);
    free(w->wanted.v);
    free(w->wires);
    free(w);
}

static void delete_users(struct group *g, void *flows) { flow_tables_group_deleted(flows, g->id); }

/* As the agent does (ofproto/agent_message.c): entries go before their groups. */
static struct of_error group_mod(struct flow_tables *flows, struct group_table *groups, const struct of_group_mod *mod)
{
    struct of_group_mod copy = *mod;
    copy.buckets = xcalloc(mod->n_buckets + 1, sizeof *copy.buckets);
    for (unsigned i = 0; i < mod->n_buckets; i++) {
        of_bucket_copy(&copy.buckets[i], &mod->buckets[i]);
    }
    if (mod->command == OFPGC_DELETE && mod->group_id == OFPG_ALL) {
        group_table_each(groups, delete_users, flows);
    } else if (mod->command == OFPGC_DELETE) {
        flow_tables_group_deleted(flows, mod->group_id);
    }
    struct of_error error = group_table_mod(groups, &copy);
    of_buckets_free(copy.buckets, copy.n_buckets);
    return error;
}

static void change(struct world *w)
{
    unsigned i = rng_below(&rng, w->shape->n_switches);
    struct vsw *vsw = w->vsws[i];
    struct of_error real, wanted;
    vsw_change_begin(vsw, 1, (const uint8_t *) "01234567", 8);
    if (rng_below(&rng, 6)) {
        struct of_flow_mod mod;
        program_flow_mod(&w->programs[i], &mod);
        wanted = flow_tables_mod(dp_flows(w->refs[i].dp), &mod);
        real = vsw_flow_mod(vsw, &mod);
        instructions_fini(&mod.instructions);
    } else {
        struct of_group_mod mod;
        program_group_mod(&w->programs[i], &mod);
        wanted = group_mod(dp_flows(w->refs[i].dp), dp_groups(w->refs[i].dp), &mod);
        real = group_mod(vsw->flows, vsw->groups, &mod);
        of_buckets_free(mod.buckets, mod.n_buckets);
    }
    CU_ASSERT(real.type == wanted.type && real.code == wanted.code);
    if (real.type != wanted.type || real.code != wanted.code) {
        char a[32], b[32];
        printf("\n  errors: slice %s, reference %s\n", of_ok(real) ? "none" : of_error_name(real, a), of_ok(wanted) ? "none" : of_error_name(wanted, b));
    }
}

static void count_owned(uint8_t table UNUSED, uint16_t priority UNUSED, const struct match *m UNUSED, uint64_t cookie UNUSED, const struct instructions *in UNUSED,
                        uint32_t owner, void *n)
{
    *(unsigned *) n += owner != OWNER_SUBSTRATE;
}
static void count_groups(uint32_t id UNUSED, enum of_group_type type UNUSED, const struct of_bucket *b UNUSED, unsigned n_buckets UNUSED, uint32_t owner, void *n)
{
    *(unsigned *) n += owner != OWNER_SUBSTRATE;
}

/* A slice that goes leaves nothing anywhere. */
static void check_removal(struct world *w)
{
    struct controller *c = &w->site->controller;
    struct err err = ERR_INIT;
    unsigned n = 0, n_networks;
    struct model_txn *txn = model_delete(c->model, KIND_SLICE, "red/lab", NULL, 0, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
    const uint32_t *ids = model_txn_networks(txn, &n_networks);
    uint32_t *networks = xcalloc(n_networks + 1, sizeof *networks);
    memcpy(networks, ids, n_networks * sizeof *networks);
    model_txn_commit(txn);
    fabric_networks_changed(c->fabric, networks, n_networks);
    free(networks);
    site_sync(w->site);
    for (unsigned i = 0; i < w->site->n_edges; i++) {
        ruleset_each(c->rulesets, i + 1, count_owned, &n);
        ruleset_each_group(c->rulesets, i + 1, count_groups, &n);
    }
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_EQUAL(c->fabric->vsws.n, 0);
    CU_ASSERT_EQUAL(c->fabric->usages.n, 0);
}

/* What edits made of the rulesets is what a whole compile makes. */
static void check_edits(struct world *w)
{
    struct rulesets *rulesets = w->site->controller.rulesets;
    uint64_t before = ruleset_sequence(rulesets);
    for (unsigned i = 0; i < w->shape->n_switches; i++) {
        w->vsws[i]->dirty = true;
        fabric_entries_changed(w->vsws[i]);
        fabric_work(w->vsws[i]);
    }
    site_sync(w->site);
    CU_ASSERT_EQUAL(ruleset_sequence(rulesets), before);
}

static void audit(struct world *w)
{
    unsigned n_rules;
    CU_ASSERT_EQUAL(slice_audit(w->site, w->vsws, w->shape->n_switches, &n_rules), 0);
    CU_ASSERT(n_rules > 20);
}

static bool run_packet_out(struct world *w, unsigned place, const uint8_t *frame, unsigned size)
{
    struct actions actions;
    const struct place *p = &w->shape->places[place];
    program_packet_out(&w->programs[p->sw], &actions);
    bool ok = run(w, place, frame, size, &actions, rng_below(&rng, 2) ? p->number : (uint32_t) OFPP_CONTROLLER);
    if (!ok) {
        struct buf text = BUF_INIT;
        actions_format(&actions, &text);
        printf("\n  packet-out %s:\n", buf_cstr(&text));
        buf_fini(&text);
    }
    actions_fini(&actions);
    return ok;
}

static void check_shape(const struct shape *shape, unsigned n_rounds)
{
    unsigned n_bad = 0;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < n_rounds && n_bad < 3; round++) {
        struct world *w = world_new(shape, round % 4 == 3);
        for (unsigned step = 0; step < 12 && n_bad < 3; step++) {
            for (unsigned i = 0; i < 8; i++) {
                change(w);
            }
            site_sync(w->site);
            for (unsigned i = 0; i < 12 && n_bad < 3; i++) {
                uint8_t frame[400];
                unsigned size = program_frame(&rng, frame), place = rng_below(&rng, shape->n_places);
                bool device = shape->places[place].edge >= 0;
                bool ok = device && rng_below(&rng, 4) ? run(w, place, frame, size, NULL, 0) : run_packet_out(w, place, frame, size);
                if (!ok) {
                    printf("\n  %s, round %u, step %u: a frame of %u bytes at switch %u port %u\n", shape->name, round, step, size, shape->places[place].sw,
                           shape->places[place].number);
                    print_difference(w);
                    print_programs(w);
                    n_bad++;
                }
            }
        }
        CU_ASSERT(w->n_loops < w->n_run / 2);
        CU_ASSERT(w->n_carried < w->n_run / 8);
        check_edits(w);
        audit(w);
        check_removal(w);
        world_free(w);
    }
    CU_ASSERT_EQUAL(n_bad, 0);
}

/* --- Shapes --- */

#define PORT(N, EDGE) "{'name':'p" #N "','number':" #N ",'edge':'e" #EDGE "'}"
#define MAC_PORT(N, EDGE, MAC) "{'name':'p" #N "','number':" #N ",'edge':'e" #EDGE "','mac':'52:54:00:00:00:0" #MAC "','ips':['10.0.0." #MAC "']}"

static const struct shape big_switch = {
    .name = "big switch", .n_switches = 1, .n_places = 6,
    .places = { { 0, 1, 0, 0 }, { 0, 2, 0, 0 }, { 0, 3, 1, 0 }, { 0, 4, 1, 0 }, { 0, 500, 2, 0 }, { 0, 4000, 2, 0 } },
    .document = "{'tenants':[{'name':'red'}],'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':[{'name':'s1','edges':['e1','e2','e3'],'ports':["
        MAC_PORT(1, 1, 1) "," PORT(2, 1) "," MAC_PORT(3, 2, 2) "," PORT(4, 2) "," PORT(500, 3) "," MAC_PORT(4000, 3, 3) "]}]}]}",
};

static const struct shape line = {
    .name = "line", .n_switches = 3, .n_places = 10,
    .places = {
        { 0, 1, 0, 0 }, { 0, 2, 0, 0 }, { 0, 3, -1, 5 }, { 1, 1, 1, 0 }, { 1, 2, 1, 0 }, { 1, 3, -1, 2 }, { 1, 4, -1, 9 }, { 2, 1, 2, 0 }, { 2, 2, 2, 0 }, { 2, 3, -1, 6 },
    },
    .document = "{'tenants':[{'name':'red'}],'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':["
        "{'name':'s1','edges':['e1'],'ports':[" MAC_PORT(1, 1, 1) "," PORT(2, 1) "]},"
        "{'name':'s2','edges':['e2'],'ports':[" MAC_PORT(1, 2, 1) "," PORT(2, 2) "]},"
        "{'name':'s3','edges':['e3'],'ports':[" PORT(1, 3) "," MAC_PORT(2, 3, 2) "]}],'links':["
        "{'name':'l1','ends':[{'switch':'s1','port':'x','number':3},{'switch':'s2','port':'x','number':3}]},"
        "{'name':'l2','ends':[{'switch':'s2','port':'y','number':4},{'switch':'s3','port':'y','number':3}]}]}]}",
};

static const struct shape one_edge = {
    .name = "line on one edge", .n_switches = 3, .n_places = 10,
    .places = {
        { 0, 1, 0, 0 }, { 0, 2, 0, 0 }, { 0, 3, -1, 5 }, { 1, 1, 0, 0 }, { 1, 2, 0, 0 }, { 1, 3, -1, 2 }, { 1, 4, -1, 9 }, { 2, 1, 0, 0 }, { 2, 2, 0, 0 }, { 2, 3, -1, 6 },
    },
    .document = "{'tenants':[{'name':'red'}],'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':["
        "{'name':'s1','edges':['e1'],'ports':[" MAC_PORT(1, 1, 1) "," PORT(2, 1) "]},"
        "{'name':'s2','edges':['e1'],'ports':[" MAC_PORT(1, 1, 1) "," PORT(2, 1) "]},"
        "{'name':'s3','edges':['e1'],'ports':[" PORT(1, 1) "," PORT(2, 1) "]}],'links':["
        "{'name':'l1','ends':[{'switch':'s1','port':'x','number':3},{'switch':'s2','port':'x','number':3}]},"
        "{'name':'l2','ends':[{'switch':'s2','port':'y','number':4},{'switch':'s3','port':'y','number':3}]}]}]}",
};

static const struct shape ring = {
    .name = "ring on one edge", .n_switches = 3, .n_places = 12,
    .places = {
        { 0, 1, 0, 0 }, { 0, 2, 0, 0 }, { 0, 3, -1, 7 }, { 0, 4, -1, 10 }, { 1, 1, 0, 0 }, { 1, 2, 0, 0 }, { 1, 3, -1, 11 }, { 1, 4, -1, 2 },
        { 2, 1, 0, 0 }, { 2, 2, 0, 0 }, { 2, 3, -1, 3 }, { 2, 4, -1, 6 },
    },
    .document = "{'tenants':[{'name':'red'}],'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':["
        "{'name':'s1','edges':['e1'],'ports':[" MAC_PORT(1, 1, 1) "," PORT(2, 1) "]},"
        "{'name':'s2','edges':['e1'],'ports':[" MAC_PORT(1, 1, 1) "," PORT(2, 1) "]},"
        "{'name':'s3','edges':['e1'],'ports':[" PORT(1, 1) "," PORT(2, 1) "]}],'links':["
        "{'name':'l1','ends':[{'switch':'s1','port':'x','number':3},{'switch':'s2','port':'y','number':4}]},"
        "{'name':'l2','ends':[{'switch':'s2','port':'x','number':3},{'switch':'s3','port':'y','number':4}]},"
        "{'name':'l3','ends':[{'switch':'s3','port':'x','number':3},{'switch':'s1','port':'y','number':4}]}]}]}",
};

static const struct shape two_big = {
    .name = "two big switches", .n_switches = 2, .n_places = 8,
    .places = { { 0, 1, 0, 0 }, { 0, 2, 1, 0 }, { 0, 3, 2, 0 }, { 0, 4, -1, 7 }, { 1, 1, 0, 0 }, { 1, 2, 1, 0 }, { 1, 3, 2, 0 }, { 1, 4, -1, 3 } },
    .document = "{'tenants':[{'name':'red'}],'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':["
        "{'name':'s1','edges':['e1','e2','e3'],'ports':[" MAC_PORT(1, 1, 1) "," PORT(2, 2) "," PORT(3, 3) "]},"
        "{'name':'s2','edges':['e1','e2','e3'],'ports':[" PORT(1, 1) "," MAC_PORT(2, 2, 2) "," PORT(3, 3) "]}],'links':["
        "{'name':'l1','ends':[{'switch':'s1','port':'x','number':4,'edge':'e2'},{'switch':'s2','port':'x','number':4,'edge':'e3'}]}]}]}",
};

static void test_big_switch(void) { check_shape(&big_switch, 8); }
static void test_line(void) { check_shape(&line, 8); }
static void test_one_edge(void) { check_shape(&one_edge, 16); }
static void test_ring(void) { check_shape(&ring, 16); }
static void test_two_big(void) { check_shape(&two_big, 8); }

static void slice_test_suite(void)
{
    UNIT_SUITE("slice", { "big switch", test_big_switch }, { "line over edges", test_line }, { "line on one edge", test_one_edge }, { "ring on one edge", test_ring },
               { "two big switches", test_two_big });
}

UNIT_MAIN(slice_test_suite)
