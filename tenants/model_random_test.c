/*
 * Random documents against a model that is too simple to be wrong: flat arrays, copied whole before each document,
 * searched from end to end. Both must agree on what is refused and on every field that results; and what holds for any
 * model (uniqueness, idempotence, abort, reload) is checked on the way.
 */
#include <string.h>

#include "lib/buf.h"
#include "tenants/model_fixture.h"
#include "tests/unit.h"

enum { N_NETWORKS = 3, N_PORTS = 6, N_EDGES = 3, MAX_IPS = 3, HOSTS = 14 };

/* --- The naive model: networks of tenants red and blue, each in a VPC of its own --- */

struct naive_port { bool exists, anti_spoofing; uint64_t mac; unsigned hosts[MAX_IPS], n_hosts; int edge; char device; uint32_t id; };
struct naive_network { bool exists; struct naive_port ports[N_PORTS]; };
struct naive { struct naive_network networks[N_NETWORKS]; uint32_t next_id; };

/* What a document says of a port. */
struct said { bool mac, ips, edge, anti_spoofing, device; struct naive_port port; };

/* The network's index gives its subnet, 10.I.0.0/28. */
static void write_port(struct buf *b, unsigned network, unsigned port, const struct said *s)
{
    buf_printf(b, "{'name':'p%c'", 'a' + (int) port);
    if (s->mac) {
        char text[MAC_STRLEN];
        buf_printf(b, ",'mac':'%s'", mac_format(mac_from_u64(s->port.mac), text));
    }
    if (s->ips) {
        buf_puts(b, ",'ips':[");
        for (unsigned i = 0; i < s->port.n_hosts; i++) {
            buf_printf(b, "%s'10.%u.0.%u'", i ? "," : "", network, s->port.hosts[i]);
        }
        buf_puts(b, "]");
    }
    if (s->edge && s->port.edge < 0) {
        buf_puts(b, ",'edge':null");
    } else if (s->edge) {
        buf_printf(b, ",'edge':'e%d'", s->port.edge);
    }
    if (s->anti_spoofing) {
        buf_printf(b, ",'anti_spoofing':%s", s->port.anti_spoofing ? "true" : "false");
    }
    if (s->device && s->port.device) {
        buf_printf(b, ",'ofport_of':'vm%c'", s->port.device);
    } else if (s->device) {
        buf_puts(b, ",'ofport_of':null");
    }
    buf_puts(b, "}");
}

static void say(struct rng *rng, struct said *s)
{
    *s = (struct said) { .mac = rng_below(rng, 2), .ips = rng_below(rng, 2), .edge = rng_below(rng, 2), .anti_spoofing = !rng_below(rng, 4), .device = !rng_below(rng, 6) };
    s->port.mac = UINT64_C(0x525400000000) + 1 + rng_below(rng, 25);
    s->port.n_hosts = rng_below(rng, MAX_IPS + 1);
    for (unsigned i = 0; i < s->port.n_hosts; i++) {
        s->port.hosts[i] = rng_below(rng, 40) ? 1 + rng_below(rng, HOSTS) : 15;         /* 15 is the broadcast address. */
    }
    s->port.edge = (int) rng_below(rng, N_EDGES + 1) - 1;
    s->port.anti_spoofing = rng_below(rng, 2);
    s->port.device = (char) (rng_below(rng, 3) ? 'x' + rng_below(rng, 2) : 0);
}

static bool naive_say(struct naive_port *p, const struct said *s)
{
    if (s->mac) {
        p->mac = s->port.mac;
    }
    if (s->ips) {
        p->n_hosts = s->port.n_hosts;
        memcpy(p->hosts, s->port.hosts, sizeof p->hosts);
    }
    p->edge = s->edge ? s->port.edge : p->edge;
    p->anti_spoofing = s->anti_spoofing ? s->port.anti_spoofing : p->anti_spoofing;
    p->device = s->device ? s->port.device : p->device;
    for (unsigned i = 0; i < p->n_hosts; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (p->hosts[i] == p->hosts[j]) {
                return false;
            }
        }
        if (p->hosts[i] > HOSTS) {
            return false;
        }
    }
    return !p->device || p->edge >= 0;
}

static bool has_host(const struct naive_network *n, unsigned host)
{
    for (unsigned i = 0; i < N_PORTS; i++) {
        for (unsigned j = 0; n->ports[i].exists && j < n->ports[i].n_hosts; j++) {
            if (n->ports[i].hosts[j] == host) {
                return true;
            }
        }
    }
    return false;
}

static bool has_mac(const struct naive_network *n, uint64_t mac)
{
    for (unsigned i = 0; i < N_PORTS; i++) {
        if (n->ports[i].exists && n->ports[i].mac == mac) {
            return true;
        }
    }
    return false;
}

static bool ports_clash(const struct naive_port *p, const struct naive_port *q, bool one_network)
{
    if (p->device && p->device == q->device && p->edge == q->edge) {
        return true;
    }
    for (unsigned i = 0; one_network && i < p->n_hosts; i++) {
        for (unsigned j = 0; j < q->n_hosts; j++) {
            if (p->hosts[i] == q->hosts[j]) {
                return true;
            }
        }
    }
    return one_network && p->mac && p->mac == q->mac;
}

static bool naive_valid(const struct naive *n)
{
    for (unsigned a = 0; a < N_NETWORKS * N_PORTS; a++) {
        for (unsigned b = 0; b < a; b++) {
            const struct naive_port *p = &n->networks[a / N_PORTS].ports[a % N_PORTS], *q = &n->networks[b / N_PORTS].ports[b % N_PORTS];
            if (p->exists && q->exists && ports_clash(p, q, a / N_PORTS == b / N_PORTS)) {
                return false;
            }
        }
    }
    return true;
}

/* Where a document's ports are, in its order. */
struct mention { unsigned network, port; struct said said; };

static bool naive_apply(struct naive *n, const struct mention *mentions, unsigned n_mentions)
{
    struct naive old = *n;
    for (unsigned i = 0; i < n_mentions; i++) {
        const struct mention *m = &mentions[i];
        struct naive_port *p = &n->networks[m->network].ports[m->port];
        if (!p->exists) {
            *p = (struct naive_port) { .exists = true, .anti_spoofing = true, .edge = -1, .id = n->next_id++ };
        }
        if (!naive_say(p, &m->said)) {
            *n = old;
            return false;
        }
    }
    bool ok = naive_valid(n);
    /* Automatic addresses avoid what is there before and what will be, so that nothing depends on the order of changes. */
    for (unsigned i = 0; i < n_mentions && ok; i++) {
        const struct mention *m = &mentions[i];
        struct naive_network *net = &n->networks[m->network];
        const struct naive_network *before = &old.networks[m->network];
        struct naive_port *p = &net->ports[m->port];
        if (before->ports[m->port].exists) {
            continue;
        }
        for (uint64_t k = p->id; !m->said.mac && !p->mac; k++) {
            uint64_t mac = UINT64_C(0x525400000000) + k;
            p->mac = has_mac(net, mac) || has_mac(before, mac) ? 0 : mac;
        }
        if (!m->said.ips) {
            unsigned host = 2;
            while (has_host(net, host) || has_host(before, host)) {
                host++;
            }
            p->hosts[0] = host;
            p->n_hosts = 1;
            ok = host <= HOSTS;
        }
    }
    if (!ok) {
        *n = old;
    }
    return ok;
}

/* --- Comparing --- */

static const char *const network_names[N_NETWORKS] = { "red/main/n0", "red/main/n1", "blue/main/n2" };

static void compare_port(const struct naive_port *q, const struct port *p, unsigned network)
{
    char device[33], want[33];
    CU_ASSERT_FATAL(!q->exists == !p);
    if (!p) {
        return;
    }
    CU_ASSERT_EQUAL_FATAL(mac_u64(p->mac), q->mac);
    CU_ASSERT_EQUAL_FATAL(p->id, q->id);
    CU_ASSERT_EQUAL_FATAL(p->n_ips, q->n_hosts + 1);
    for (unsigned i = 0; i < q->n_hosts; i++) {
        CU_ASSERT_EQUAL_FATAL(ip_v4(&p->ips[i].ip), 10u << 24 | network << 16 | q->hosts[i]);
    }
    CU_ASSERT_EQUAL_FATAL(p->edge ? p->edge->name[1] - '0' : -1, q->edge);
    CU_ASSERT_EQUAL_FATAL(p->anti_spoofing, q->anti_spoofing);
    if (q->device) {
        snprintf(want, sizeof want, "vm%c", q->device);
    } else {
        snprintf(want, sizeof want, "p%u", q->id);
    }
    CU_ASSERT_STRING_EQUAL_FATAL(port_device_name(p, device), want);
}

static void compare(const struct naive *n, const struct model *m)
{
    for (unsigned i = 0; i < N_NETWORKS; i++) {
        for (unsigned j = 0; j < N_PORTS; j++) {
            char name[MODEL_NAME_SIZE];
            snprintf(name, sizeof name, "%s/p%c", network_names[i], 'a' + (int) j);
            compare_port(&n->networks[i].ports[j], model_find(m, KIND_PORT, name), i);
        }
    }
}

static char *random_document(struct rng *rng, struct mention *mentions, unsigned *n_mentions)
{
    struct buf b = BUF_INIT;
    *n_mentions = 0;
    buf_puts(&b, "{'vpcs':[");
    for (unsigned tenant = 0; tenant < 2; tenant++) {
        buf_printf(&b, "%s{'name':'main','tenant':'%s','networks':[", tenant ? "," : "", tenant ? "blue" : "red");
        bool first_network = true;
        for (unsigned i = tenant ? 2 : 0; i < (tenant ? 3u : 2u); i++) {
            if (!rng_below(rng, 3)) {
                continue;
            }
            buf_printf(&b, "%s{'name':'n%u','ports':[", first_network ? "" : ",", i);
            first_network = false;
            unsigned n = 1 + rng_below(rng, 3), start = rng_below(rng, N_PORTS);
            for (unsigned j = 0; j < n; j++) {
                struct mention *m = &mentions[(*n_mentions)++];
                *m = (struct mention) { .network = i, .port = (start + j) % N_PORTS };
                say(rng, &m->said);
                buf_puts(&b, j ? "," : "");
                write_port(&b, i, m->port, &m->said);
            }
            buf_puts(&b, "]}");
        }
        buf_puts(&b, "]}");
    }
    buf_puts(&b, "]}");
    return buf_steal_cstr(&b);
}

static void start(struct model *m, struct test_store *store)
{
    cJSON *doc = test_json("{'edges':[{'name':'e0','datapath_id':'000000000000000a'},{'name':'e1','datapath_id':'000000000000000b'},"
        "{'name':'e2','datapath_id':'000000000000000c'}],"
                           "'tenants':[{'name':'red'},{'name':'blue'}],'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'n0','subnet':'10.0.0.0/28'},"
                           "{'name':'n1','subnet':'10.1.0.0/28'}]},{'name':'main','tenant':'blue','networks':[{'name':'n2','subnet':'10.2.0.0/28'}]}]}");
    struct err err;
    struct model_txn *t = model_apply(m, doc, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    test_store_txn(store, t);
    model_txn_commit(t);
    cJSON_Delete(doc);
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

/* Applies to both; now and then the transaction is aborted instead, and must leave no trace. */
static bool apply_both(struct model *m, struct naive *n, struct test_store *store, struct rng *rng)
{
    struct mention mentions[N_NETWORKS * 3];
    unsigned n_mentions, n_changes;
    char *text = random_document(rng, mentions, &n_mentions), *before = test_dump(m);
    cJSON *doc = test_json(text);
    struct err err;
    struct naive next = *n;
    bool want = naive_apply(&next, mentions, n_mentions), keep = rng_below(rng, 5);
    struct model_txn *t = model_apply(m, doc, NULL, &err);
    if (!t != !want) {
        fprintf(stderr, "\n%s\n%s%s", text, before, t ? "accepted\n" : err.field);
        fprintf(stderr, " %s\n", t ? "" : err.message);
    }
    CU_ASSERT_EQUAL_FATAL(!t, !want);
    if (t && keep) {
        test_store_txn(store, t);
        model_txn_commit(t);
        *n = next;
        t = model_apply(m, doc, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        model_txn_changes(t, &n_changes);
        CU_ASSERT_EQUAL_FATAL(n_changes, 0);            /* The same again changes nothing. */
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

static void delete_both(struct model *m, struct naive *n, struct test_store *store, struct rng *rng)
{
    unsigned i = rng_below(rng, N_NETWORKS), j = rng_below(rng, N_PORTS);
    char name[MODEL_NAME_SIZE];
    struct err err;
    snprintf(name, sizeof name, "%s/p%c", network_names[i], 'a' + (int) j);
    struct model_txn *t = model_delete(m, KIND_PORT, name, NULL, 0, &err);
    CU_ASSERT_EQUAL_FATAL(!t, !n->networks[i].ports[j].exists);
    if (t) {
        test_store_txn(store, t);
        model_txn_commit(t);
        n->networks[i].ports[j].exists = false;
    }
}

static void test_differential(void)
{
    unsigned accepted = 0, refused = 0;
    for (unsigned round = 0; round < 6; round++) {
        struct rng rng;
        struct naive n = { .next_id = 1 };
        struct test_store store;
        struct model *m = test_model_empty();
        rng_seed(&rng, unit_seed() + round);
        test_store_init(&store);
        start(m, &store);
        for (unsigned i = 0; i < 250; i++) {
            if (rng_below(&rng, 3)) {
                bool ok = apply_both(m, &n, &store, &rng);
                accepted += ok;
                refused += !ok;
            } else {
                delete_both(m, &n, &store, &rng);
            }
            compare(&n, m);
            test_invariants(m);
            if (i % 10 == 0) {
                check_reload(m, &store);
            }
        }
        test_store_fini(&store);
        model_free(m);
    }
    printf("\n    %u documents accepted, %u refused\n", accepted, refused);
    CU_ASSERT(accepted > 100 && refused > 100);
}

void model_random_test_suite(void);
void model_random_test_suite(void)
{
    UNIT_SUITE("model, random", { "differential", test_differential });
}
