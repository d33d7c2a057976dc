/*
 * Random slices against a model that is too simple to be wrong, as model_random_test.c does it for VPCs: flat arrays,
 * copied whole before each document, searched from end to end. Both must agree on what is refused, and on switches'
 * edges, ports' numbers, edges and links, and links' ends; idempotence, abort and reload are checked on the way.
 */
#include <string.h>

#include "lib/buf.h"
#include "tenants/model_fixture.h"
#include "tests/unit.h"

enum { N_SLICES = 2, N_SWITCHES = 3, N_PORTS = 5, N_LINKS = 3, N_EDGES = 3, UNBOUND = -1, ABSENT = -2 };

struct nport { bool exists, is_new, staged, doomed, changed, admin_down; unsigned number; int edge, link; };
struct nswitch { bool exists, edges_changed; unsigned edges; struct nport ports[N_PORTS]; };    /* edges: bits. */
struct nlink { bool exists, admin_down; int ends[2]; };         /* Switch * N_PORTS + port. */
struct nslice { bool exists; struct nswitch switches[N_SWITCHES]; struct nlink links[N_LINKS]; };
struct naive { struct nslice slices[N_SLICES]; };

static const char *const slice_names[N_SLICES] = { "red/lab", "blue/lab" };

/* --- Documents: what they say, and the same as text --- */

struct said_port { unsigned port, number; int edge, admin_down; };      /* 0 and ABSENT: not said. */
struct said_switch { unsigned which, n_ports; int edges; struct said_port ports[N_PORTS]; };
struct said_link { unsigned which; bool has_ends; int ends[2], admin_down; };
struct said { unsigned slice, n_switches, n_links; struct said_switch switches[N_SWITCHES]; struct said_link links[N_LINKS]; };

/* `n` different numbers below `max`, from a random place on. */
static unsigned some(struct rng *rng, unsigned max, unsigned *start)
{
    *start = rng_below(rng, max);
    return rng_below(rng, max + 1);
}

static void say(struct rng *rng, struct said *s)
{
    unsigned start;
    *s = (struct said) { .slice = rng_below(rng, N_SLICES) };
    s->n_switches = some(rng, N_SWITCHES, &start);
    for (unsigned i = 0; i < s->n_switches; i++) {
        struct said_switch *sw = &s->switches[i];
        unsigned first;
        *sw = (struct said_switch) { .which = (start + i) % N_SWITCHES, .edges = rng_below(rng, 2) ? 1 + (int) rng_below(rng, (1 << N_EDGES) - 1) : ABSENT };
        sw->n_ports = some(rng, N_PORTS, &first) / 2;
        for (unsigned j = 0; j < sw->n_ports; j++) {
            sw->ports[j] = (struct said_port) { .port = (first + j) % N_PORTS, .number = rng_below(rng, 3) ? 0 : 1 + rng_below(rng, 9),
                .edge = (int) rng_below(rng, N_EDGES + 4) - 2, .admin_down = rng_below(rng, 3) ? ABSENT : (int) rng_below(rng, 2) };
            sw->ports[j].edge = sw->ports[j].edge >= N_EDGES ? ABSENT : sw->ports[j].edge;
        }
    }
    s->n_links = rng_below(rng, 2) ? some(rng, N_LINKS, &start) : 0;
    for (unsigned i = 0; i < s->n_links; i++) {
        s->links[i] = (struct said_link) { .which = (start + i) % N_LINKS, .has_ends = rng_below(rng, 4), .admin_down = rng_below(rng, 3) ? ABSENT : (int) rng_below(rng, 2),
            .ends = { (int) rng_below(rng, N_SWITCHES * N_PORTS), (int) rng_below(rng, N_SWITCHES * N_PORTS) } };
    }
}

static void write_port(struct buf *b, const struct said_port *p)
{
    buf_printf(b, "{'name':'p%u'", p->port);
    if (p->number) {
        buf_printf(b, ",'number':%u", p->number);
    }
    if (p->edge == UNBOUND) {
        buf_puts(b, ",'edge':null");
    } else if (p->edge >= 0) {
        buf_printf(b, ",'edge':'e%d'", p->edge);
    }
    if (p->admin_down >= 0) {
        buf_printf(b, ",'admin_down':%s", p->admin_down ? "true" : "false");
    }
    buf_puts(b, "}");
}

static char *document(const struct said *s)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "{'slices':[{'name':'lab','tenant':'%s','switches':[", s->slice ? "blue" : "red");
    for (unsigned i = 0; i < s->n_switches; i++) {
        const struct said_switch *sw = &s->switches[i];
        buf_printf(&b, "%s{'name':'s%u'", i ? "," : "", sw->which);
        if (sw->edges >= 0) {
            buf_puts(&b, ",'edges':[");
            for (int e = N_EDGES - 1, n = 0; e >= 0; e--) {
                if (sw->edges >> e & 1) {
                    buf_printf(&b, "%s'e%d'", n++ ? "," : "", e);
                }
            }
            buf_puts(&b, "]");
        }
        buf_puts(&b, ",'ports':[");
        for (unsigned j = 0; j < sw->n_ports; j++) {
            buf_puts(&b, j ? "," : "");
            write_port(&b, &sw->ports[j]);
        }
        buf_puts(&b, "]}");
    }
    buf_puts(&b, "],'links':[");
    for (unsigned i = 0; i < s->n_links; i++) {
        const struct said_link *l = &s->links[i];
        buf_printf(&b, "%s{'name':'l%u'", i ? "," : "", l->which);
        if (l->has_ends) {
            buf_printf(&b, ",'ends':['s%d/p%d','s%d/p%d']", l->ends[0] / N_PORTS, l->ends[0] % N_PORTS, l->ends[1] / N_PORTS, l->ends[1] % N_PORTS);
        }
        if (l->admin_down >= 0) {
            buf_printf(&b, ",'admin_down':%s", l->admin_down ? "true" : "false");
        }
        buf_puts(&b, "}");
    }
    buf_puts(&b, "]}]}");
    return buf_steal_cstr(&b);
}

/* --- The naive model --- */

static struct nport *port_at(struct nslice *s, int i) { return &s->switches[i / N_PORTS].ports[i % N_PORTS]; }

/* Numbers of ports that are there, were there before, or will be. */
static bool number_taken(const struct nswitch *now, const struct nswitch *before, unsigned number)
{
    bool taken = false;
    for (unsigned i = 0; i < N_PORTS; i++) {
        taken |= (now->ports[i].exists && now->ports[i].number == number) || (before->ports[i].exists && before->ports[i].number == number);
    }
    return taken;
}

static bool say_port(struct nswitch *sw, const struct nswitch *before, const struct said_port *said)
{
    struct nport *p = &sw->ports[said->port];
    if (!p->exists) {
        *p = (struct nport) { .exists = true, .is_new = true, .changed = true, .edge = ABSENT, .link = -1 };
        if (said->number && number_taken(sw, before, said->number)) {
            return false;
        }
        p->number = said->number;
    } else if (said->number && said->number != p->number) {
        return false;
    }
    p->staged = true;
    p->changed |= (said->edge != ABSENT && said->edge != p->edge) || (said->admin_down >= 0 && said->admin_down != p->admin_down);
    p->edge = said->edge != ABSENT ? said->edge : p->edge;
    p->admin_down = said->admin_down >= 0 ? said->admin_down : p->admin_down;
    return true;
}

static bool say_switch(struct nswitch *sw, const struct nswitch *before, const struct said_switch *said)
{
    if (!sw->exists && said->edges < 0) {
        return false;
    }
    sw->exists = true;
    if (said->edges >= 0) {
        sw->edges_changed = sw->edges != (unsigned) said->edges;
        sw->edges = (unsigned) said->edges;
    }
    for (unsigned j = 0; j < said->n_ports; j++) {
        if (!say_port(sw, before, &said->ports[j])) {
            return false;
        }
    }
    return true;
}

static bool say_link(struct nslice *s, const struct said_link *said)
{
    struct nlink *l = &s->links[said->which];
    int old[2] = { l->exists ? l->ends[0] : -1, l->exists ? l->ends[1] : -1 };
    if (!l->exists && !said->has_ends) {
        return false;
    }
    if (!l->exists) {
        *l = (struct nlink) { .exists = true };
    }
    l->admin_down = said->admin_down >= 0 ? said->admin_down : l->admin_down;
    for (unsigned i = 0; said->has_ends && i < 2; i++) {
        struct nport *p = port_at(s, said->ends[i]);
        if (!s->switches[said->ends[i] / N_PORTS].exists) {
            return false;
        }
        if (!p->exists) {
            *p = (struct nport) { .exists = true, .is_new = true, .staged = true, .changed = true, .edge = ABSENT, .link = -1 };
        } else if (p->doomed || (p->link >= 0 && p->link != (int) said->which) || (!p->is_new && p->link < 0)) {
            return false;
        }
        p->link = (int) said->which;
        l->ends[i] = said->ends[i];
    }
    if (l->ends[0] == l->ends[1]) {
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (old[i] >= 0 && old[i] != l->ends[0] && old[i] != l->ends[1]) {
            if (port_at(s, old[i])->staged) {
                return false;
            }
            port_at(s, old[i])->doomed = true;
        }
    }
    return true;
}

static int first_edge(unsigned edges) { return __builtin_ctz(edges); }

/* Where ports are, once everything is said. */
static bool place(struct nslice *s)
{
    for (unsigned i = 0; i < N_SWITCHES * N_PORTS; i++) {
        const struct nswitch *sw = &s->switches[i / N_PORTS];
        struct nport *p = port_at(s, (int) i);
        if (!p->exists || p->doomed) {
            continue;
        }
        if (p->is_new && p->edge == ABSENT) {
            if (p->link < 0 && (sw->edges & (sw->edges - 1))) {
                return false;
            }
            p->edge = first_edge(sw->edges);
        }
        if ((p->link >= 0 && p->edge < 0) || ((p->changed || sw->edges_changed) && p->edge >= 0 && !(sw->edges >> p->edge & 1))) {
            return false;
        }
    }
    return true;
}

/* New ports without a number take the lowest free one, in the document's order. */
static void number_ports(struct nslice *s, const struct nslice *before, const struct said *said)
{
    int order[N_SWITCHES * N_PORTS + 2 * N_LINKS];
    unsigned n = 0;
    for (unsigned i = 0; i < said->n_switches; i++) {
        for (unsigned j = 0; j < said->switches[i].n_ports; j++) {
            order[n++] = (int) (said->switches[i].which * N_PORTS + said->switches[i].ports[j].port);
        }
    }
    for (unsigned i = 0; i < said->n_links; i++) {
        for (unsigned j = 0; said->links[i].has_ends && j < 2; j++) {
            order[n++] = said->links[i].ends[j];
        }
    }
    for (unsigned i = 0; i < n; i++) {
        struct nport *p = port_at(s, order[i]);
        const struct nswitch *now = &s->switches[order[i] / N_PORTS], *then = &before->switches[order[i] / N_PORTS];
        unsigned number = 1;
        while (number_taken(now, then, number)) {
            number++;
        }
        p->number = p->number ? p->number : number;
    }
}

static void settle(struct nslice *s)
{
    for (unsigned i = 0; i < N_SWITCHES * N_PORTS; i++) {
        struct nport *p = port_at(s, (int) i);
        p->exists = p->exists && !p->doomed;
        p->is_new = p->staged = p->doomed = p->changed = false;
    }
    for (unsigned i = 0; i < N_SWITCHES; i++) {
        s->switches[i].edges_changed = false;
    }
}

static bool naive_apply(struct nslice *s, const struct said *said)
{
    const struct nslice before = *s;
    bool ok = true;
    s->exists = true;
    for (unsigned i = 0; i < said->n_switches && ok; i++) {
        ok = say_switch(&s->switches[said->switches[i].which], &before.switches[said->switches[i].which], &said->switches[i]);
    }
    for (unsigned i = 0; i < said->n_links && ok; i++) {
        ok = say_link(s, &said->links[i]);
    }
    ok = ok && place(s);
    if (!ok) {
        *s = before;
        return false;
    }
    number_ports(s, &before, said);
    settle(s);
    return true;
}

static void naive_delete_link(struct nslice *s, struct nlink *l)
{
    for (unsigned i = 0; i < 2; i++) {
        port_at(s, l->ends[i])->exists = false;
    }
    l->exists = false;
}

static bool naive_delete(struct nslice *s, enum model_kind kind, unsigned a, unsigned b)
{
    struct nswitch *sw = &s->switches[a % N_SWITCHES];
    struct nlink *l = &s->links[a % N_LINKS];
    if (kind == KIND_SLICE) {
        bool existed = s->exists;
        memset(s, 0, sizeof *s);
        return existed;
    } else if (kind == KIND_LINK) {
        bool existed = l->exists;
        if (existed) {
            naive_delete_link(s, l);
        }
        return existed;
    } else if (kind == KIND_SWITCH_PORT) {
        bool there = sw->ports[b].exists && sw->ports[b].link < 0;
        sw->ports[b].exists &= !there;
        return there;
    }
    for (unsigned i = 0; i < N_LINKS; i++) {
        bool ends_here = s->links[i].exists && (s->links[i].ends[0] / N_PORTS == (int) (a % N_SWITCHES) || s->links[i].ends[1] / N_PORTS == (int) (a % N_SWITCHES));
        if (sw->exists && ends_here) {
            naive_delete_link(s, &s->links[i]);
        }
    }
    bool existed = sw->exists;
    memset(sw, 0, sizeof *sw);
    return existed;
}

/* --- Comparing --- */

static void *find(const struct model *m, enum model_kind kind, const char *slice, const char *format, unsigned a, unsigned b)
{
    char name[MODEL_NAME_SIZE], tail[32];
    snprintf(tail, sizeof tail, format, a, b);
    snprintf(name, sizeof name, "%s/%s", slice, tail);
    return model_find(m, kind, name);
}

static void compare_port(const struct nport *want, const struct port *p)
{
    CU_ASSERT_FATAL(!want->exists == !p);
    if (p) {
        CU_ASSERT_EQUAL_FATAL(p->number, want->number);
        CU_ASSERT_EQUAL_FATAL(p->edge ? p->edge->name[1] - '0' : UNBOUND, want->edge);
        CU_ASSERT_EQUAL_FATAL(p->admin_down, want->admin_down);
        CU_ASSERT_EQUAL_FATAL(p->link ? strrchr(p->link->name, '/')[2] - '0' : -1, want->link);
    }
}

static void compare(const struct naive *naive, const struct model *m)
{
    for (unsigned i = 0; i < N_SLICES; i++) {
        const struct nslice *s = &naive->slices[i];
        CU_ASSERT_EQUAL_FATAL(!s->exists, !model_find(m, KIND_SLICE, slice_names[i]));
        for (unsigned j = 0; j < N_SWITCHES; j++) {
            const struct network *n = find(m, KIND_SWITCH, slice_names[i], "s%u", j, 0);
            unsigned edges = 0;
            CU_ASSERT_FATAL(!s->switches[j].exists == !n);
            for (unsigned k = 0; n && k < n->n_edges; k++) {
                edges |= 1u << (n->edges[k]->name[1] - '0');
            }
            CU_ASSERT_EQUAL_FATAL(edges, n ? s->switches[j].edges : 0);
            for (unsigned k = 0; k < N_PORTS; k++) {
                compare_port(&s->switches[j].ports[k], find(m, KIND_SWITCH_PORT, slice_names[i], "s%u/p%u", j, k));
            }
        }
        for (unsigned j = 0; j < N_LINKS; j++) {
            const struct vlink *l = find(m, KIND_LINK, slice_names[i], "l%u", j, 0);
            CU_ASSERT_FATAL(!s->links[j].exists == !l);
            for (unsigned k = 0; l && k < 2; k++) {
                int end = s->links[j].ends[k];
                CU_ASSERT_PTR_EQUAL_FATAL(l->ends[k], find(m, KIND_SWITCH_PORT, slice_names[i], "s%u/p%u", (unsigned) end / N_PORTS, (unsigned) end % N_PORTS));
            }
            CU_ASSERT_FATAL(!l || l->admin_down == s->links[j].admin_down);
        }
    }
}

static void keep(struct model_txn *t, struct test_store *store)
{
    test_store_txn(store, t);
    model_txn_commit(t);
}

/* Applies to both; now and then the transaction is aborted instead, and must leave no trace. */
static bool apply_both(struct model *m, struct naive *naive, struct test_store *store, struct rng *rng)
{
    struct said said;
    struct err err;
    say(rng, &said);
    struct nslice next = naive->slices[said.slice];
    char *text = document(&said), *before = test_dump(m);
    cJSON *doc = test_json(text);
    bool want = naive_apply(&next, &said), abort = !rng_below(rng, 5);
    struct model_txn *t = model_apply(m, doc, NULL, &err);
    if (!t != !want) {
        fprintf(stderr, "\n%s\n%s%s: %s %s\n", text, before, t ? "accepted" : "refused", t ? "" : err.field, t ? "" : err.message);
    }
    CU_ASSERT_EQUAL_FATAL(!t, !want);
    if (t && !abort) {
        unsigned n;
        keep(t, store);
        naive->slices[said.slice] = next;
        t = model_apply(m, doc, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        model_txn_changes(t, &n);
        CU_ASSERT_EQUAL_FATAL(n, 0);                    /* The same again changes nothing. */
        model_txn_commit(t);
    } else {
        if (t) {
            model_txn_abort(t);
        }
        char *after = test_dump(m);
        CU_ASSERT_STRING_EQUAL_FATAL(before, after);
        free(after);
    }
    cJSON_Delete(doc);
    free(text);
    free(before);
    return want;
}

static void delete_both(struct model *m, struct naive *naive, struct test_store *store, struct rng *rng)
{
    static const enum model_kind kinds[] = { KIND_SLICE, KIND_SWITCH, KIND_SWITCH_PORT, KIND_SWITCH_PORT, KIND_LINK, KIND_LINK };
    static const char *const formats[] = { "", "/s%u", "/s%u/p%u", "/s%u/p%u", "/l%u", "/l%u" };
    unsigned slice = rng_below(rng, N_SLICES), kind = rng_below(rng, ARRAY_SIZE(kinds)), a = rng_below(rng, N_SWITCHES), b = rng_below(rng, N_PORTS);
    char name[MODEL_NAME_SIZE], tail[32];
    struct err err;
    if (!kind && rng_below(rng, 4)) {
        return;
    }
    snprintf(tail, sizeof tail, formats[kind], a, b);
    snprintf(name, sizeof name, "%s%s", slice_names[slice], tail);
    struct model_txn *t = model_delete(m, kinds[kind], name, NULL, 0, &err);
    CU_ASSERT_EQUAL_FATAL(!t, !naive_delete(&naive->slices[slice], kinds[kind], a, b));
    if (t) {
        keep(t, store);
    }
}

static void check_reload(const struct model *m, const struct test_store *store)
{
    struct err err;
    struct model *again = test_store_load(store, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    char *a = test_dump(m), *b = test_dump(again);
    CU_ASSERT_STRING_EQUAL_FATAL(a, b);
    free(a);
    free(b);
    test_invariants(again);
    model_free(again);
}

static void start(struct model *m, struct test_store *store)
{
    struct err err;
    cJSON *doc = test_json("{'edges':[{'name':'e0','datapath_id':'000000000000000a'},{'name':'e1','datapath_id':'000000000000000b'},"
                           "{'name':'e2','datapath_id':'000000000000000c'}],'tenants':[{'name':'red'},{'name':'blue'}]}");
    struct model_txn *t = model_apply(m, doc, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    keep(t, store);
    cJSON_Delete(doc);
}

static void test_differential(void)
{
    unsigned accepted = 0, refused = 0;
    for (unsigned round = 0; round < 8; round++) {
        struct rng rng;
        struct naive naive = { .slices = { { .exists = false } } };
        struct test_store store;
        struct model *m = test_model_empty();
        rng_seed(&rng, unit_seed() + round);
        test_store_init(&store);
        start(m, &store);
        for (unsigned i = 0; i < 300; i++) {
            if (rng_below(&rng, 5)) {
                bool ok = apply_both(m, &naive, &store, &rng);
                accepted += ok;
                refused += !ok;
            } else {
                delete_both(m, &naive, &store, &rng);
            }
            compare(&naive, m);
            test_invariants(m);
            if (i % 10 == 0) {
                check_reload(m, &store);
            }
        }
        test_store_fini(&store);
        model_free(m);
    }
    printf("\n    %u documents accepted, %u refused\n", accepted, refused);
    CU_ASSERT(accepted > 200 && refused > 200);
}

void slice_random_test_suite(void);
void slice_random_test_suite(void)
{
    UNIT_SUITE("slices, random", { "differential", test_differential });
}
