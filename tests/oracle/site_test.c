/*
 * The translate transport against what it promises (DESIGN.md, decisions 3 and 4).
 *
 * Random frames of random ports of networks with identical address plans. The generator knows, from the network's rules
 * alone, who must get the frame; the site must deliver exactly that, byte for byte, and nothing of a tenant's addresses
 * may be on the wire. The isolation oracle reads all rules of all switches.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "controller/edge_tables.h"
#include "lib/util.h"
#include "tests/oracle/site.h"
#include "tests/unit.h"

#define N_EDGES 3
#define N_NETWORKS 4
#define N_PORTS 6
#define N_FRAMES 30000

static struct rng rng;

static struct mac port_mac(unsigned i) { return mac_from_u64(UINT64_C(0x525400000001) + i); }
static uint32_t port_v4(unsigned i) { return 0x0a00000a + i; }
static struct ip port_v6(unsigned i) { struct ip ip = { { 0xfd } }; ip.b[15] = (uint8_t) (10 + i); return ip; }

/* Where each port of each network is; all networks have the same plan of addresses. */
static unsigned place[N_NETWORKS][N_PORTS];
static const char *const network_names[N_NETWORKS] = { "red/main/web", "blue/main/web", "red/second/db", "green/x/y" };

static void make_site(struct site *site)
{
    static const char *const tenants[] = { "red", "blue", "green" };
    static const struct { const char *vpc, *tenant, *network; } vpcs[N_NETWORKS] = {
        { "main", "red", "web" }, { "main", "blue", "web" }, { "second", "red", "db" }, { "x", "green", "y" },
    };
    struct buf doc = BUF_INIT;

    buf_puts(&doc, "{\"tenants\":[");
    for (unsigned i = 0; i < ARRAY_SIZE(tenants); i++) {
        buf_printf(&doc, "%s{\"name\":\"%s\"}", i ? "," : "", tenants[i]);
    }
    buf_puts(&doc, "],\"vpcs\":[");
    for (unsigned v = 0; v < N_NETWORKS; v++) {
        buf_printf(&doc, "%s{\"name\":\"%s\",\"tenant\":\"%s\",\"networks\":[", v ? "," : "", vpcs[v].vpc, vpcs[v].tenant);
        buf_printf(&doc, "{\"name\":\"%s\",\"subnet\":\"10.0.0.0/24\",\"subnet6\":\"fd00::/64\",\"ports\":[", vpcs[v].network);
        for (unsigned p = 0; p < N_PORTS; p++) {
            char mac[MAC_STRLEN];
            unsigned edge = place[v][p] = rng_below(&rng, N_EDGES);
            buf_printf(&doc, "%s{\"name\":\"p%u\",\"mac\":\"%s\",\"ips\":[\"10.0.0.%u\",\"fd00::%x\"],\"edge\":\"e%u\"}", p ? "," : "", p,
                       mac_format(port_mac(p), mac), 10 + p, 10 + p, edge + 1);
        }
        buf_puts(&doc, "]}]}");
    }
    buf_puts(&doc, "]}");
    site_apply(site, buf_cstr(&doc));
    buf_fini(&doc);
    site_sync(site);
}

/* --- Frames, and who must get them --- */

enum destination { TO_PORT, TO_ALL, TO_MULTICAST, TO_NOBODY, N_DESTINATIONS };

struct test_frame {
    struct site_frame frame;
    unsigned network, from;
    bool to[N_PORTS];
    bool reply;                 /* The edge answers: one frame back to the sender, not this one. */
};

static uint8_t any_byte(void)
{
    return (uint8_t) rng_u64(&rng);
}

static void put_random(struct test_frame *f, unsigned n)
{
    while (n--) {
        f->frame.data[f->frame.size++] = any_byte();
    }
}

static uint16_t odd_checksum(void)
{
    static const uint16_t edges[] = { 0, 0xffff, 1, 0xfffe };
    return rng_below(&rng, 4) ? (uint16_t) rng_u64(&rng) : edges[rng_below(&rng, 4)];
}

static uint32_t some_v4(unsigned registered)
{
    return rng_below(&rng, 4) ? port_v4(registered) : rng_below(&rng, 2) ? 0x0a0000ff : (uint32_t) rng_u64(&rng) | 0x80000000;
}

/* Whatever checksums: they must arrive as they were. */
static void put_l4(struct test_frame *f, uint8_t proto)
{
    unsigned start = f->frame.size, n = proto == 6 ? 20 : 8;
    put_random(f, n + rng_below(&rng, 60));
    uint8_t *l4 = f->frame.data + start;
    if (proto == 6) {
        l4[12] = 0x50;
        wire_put16(l4 + 16, odd_checksum());
    } else if (proto == 17) {
        wire_put16(l4 + 4, (uint16_t) (f->frame.size - start));
        wire_put16(l4 + 6, odd_checksum());
    } else if (proto == 58) {
        l4[0] = 128;
        wire_put16(l4 + 2, odd_checksum());
    }
}

static void put_ipv4(struct test_frame *f, uint32_t src, uint32_t dst)
{
    static const uint8_t protos[] = { 6, 17, 1, 132, 47 };
    unsigned start = f->frame.size, ihl = rng_below(&rng, 4) ? 5 : 6 + rng_below(&rng, 5);
    uint8_t proto = protos[rng_below(&rng, ARRAY_SIZE(protos))];

    put_random(f, 4 * ihl);
    uint8_t *ip = f->frame.data + start;
    ip[0] = (uint8_t) (0x40 | ihl);
    wire_put16(ip + 6, rng_below(&rng, 5) ? 0x4000 : rng_below(&rng, 2) ? 0x2000 : 0x2010);
    ip[9] = proto;
    wire_put32(ip + 12, src);
    wire_put32(ip + 16, dst);
    put_l4(f, proto);
    ip = f->frame.data + start;
    wire_put16(ip + 2, (uint16_t) (f->frame.size - start));
    wire_put16(ip + 10, odd_checksum());
}

static void put_ipv6(struct test_frame *f, struct ip src, struct ip dst)
{
    static const uint8_t protos[] = { 6, 17, 58, 59 };
    unsigned start = f->frame.size;
    uint8_t proto = protos[rng_below(&rng, ARRAY_SIZE(protos))];

    put_random(f, 40);
    uint8_t *ip = f->frame.data + start;
    ip[0] = 0x60;
    ip[6] = proto;
    memcpy(ip + 8, &src, 16);
    memcpy(ip + 24, &dst, 16);
    put_l4(f, proto);
    wire_put16(f->frame.data + start + 4, (uint16_t) (f->frame.size - start - 40));
}

static void put_arp(struct test_frame *f, uint16_t op, struct mac sha, uint32_t spa, struct mac tha, uint32_t tpa)
{
    uint8_t *arp = f->frame.data + f->frame.size;
    memcpy(arp, "\0\1\x08\0\6\4", 6);
    wire_put16(arp + 6, op);
    memcpy(arp + 8, sha.b, 6);
    wire_put32(arp + 14, spa);
    memcpy(arp + 18, tha.b, 6);
    wire_put32(arp + 24, tpa);
    f->frame.size += 28;
}

static void put_ethernet(struct test_frame *f, struct mac dst, struct mac src, uint16_t type)
{
    uint8_t *p = f->frame.data;
    memcpy(p, dst.b, 6);
    memcpy(p + 6, src.b, 6);
    p += 12;
    if (!rng_below(&rng, 5)) {
        wire_put16(p, 0x8100);
        wire_put16(p + 2, (uint16_t) rng_u64(&rng));
        p += 4;
    }
    wire_put16(p, type);
    f->frame.size = (unsigned) (p + 2 - f->frame.data);
}

static void random_frame(struct test_frame *f)
{
    static const struct mac broadcast = { { 255, 255, 255, 255, 255, 255 } };
    enum destination to = (enum destination) rng_below(&rng, N_DESTINATIONS);
    unsigned peer, spoof = rng_below(&rng, 12);         /* 0: the MAC is not the sender's; 1: the IP is not. */
    struct mac dst, src;

    memset(f, 0, sizeof *f);
    f->network = rng_below(&rng, N_NETWORKS);
    f->from = rng_below(&rng, N_PORTS);
    do {
        peer = rng_below(&rng, N_PORTS);
    } while (peer == f->from);
    struct mac multicast = { { 1, 0, 0x5e, 0, 0, (uint8_t) rng_below(&rng, 8) } };
    struct mac nobody = mac_from_u64(rng_below(&rng, 2) ? provider_landing_mac((uint16_t) (1 + rng_below(&rng, 3)), 0, (uint16_t) (1 + rng_below(&rng, 20)))
                                                        : (rng_u64(&rng) & UINT64_C(0xfcffffffffff)) | UINT64_C(0x080000000000));
    dst = to == TO_PORT ? port_mac(peer) : to == TO_ALL ? broadcast : to == TO_MULTICAST ? multicast : nobody;
    src = port_mac(spoof == 0 ? peer : f->from);
    for (unsigned i = 0; i < N_PORTS; i++) {
        f->to[i] = spoof != 0 && (to == TO_PORT ? i == peer : to != TO_NOBODY && i != f->from);
    }
    unsigned ip_owner = spoof == 1 ? peer : f->from;
    bool ip_spoofed = spoof == 1;
    switch (rng_below(&rng, 5)) {
    case 0:
        put_ethernet(f, dst, src, 0x0800);
        put_ipv4(f, port_v4(ip_owner), some_v4(peer));
        break;
    case 1: {
        put_ethernet(f, dst, src, 0x86dd);
        struct ip other = port_v6(peer);
        other.b[14] = rng_below(&rng, 3) ? 0 : 7;       /* Not registered. */
        put_ipv6(f, rng_below(&rng, 4) ? port_v6(ip_owner) : ip_link_local_eui64(port_mac(ip_owner)), other);
        break;
    }
    case 2:                                             /* An ARP reply, to one or to all. */
        put_ethernet(f, dst, src, 0x0806);
        put_arp(f, 2, src, port_v4(ip_owner), dst, port_v4(peer));
        break;
    case 3:                                             /* An ARP request: answered, or nobody's, or an announcement that all hear. */
        put_ethernet(f, broadcast, src, 0x0806);
        memset(f->to, 0, sizeof f->to);
        if (rng_below(&rng, 3) == 0) {
            put_arp(f, 1, src, port_v4(ip_owner), (struct mac) { { 0 } }, port_v4(f->from));
            for (unsigned i = 0; i < N_PORTS && spoof > 1; i++) {
                f->to[i] = i != f->from;
            }
        } else {
            bool known = rng_below(&rng, 2);
            put_arp(f, 1, src, port_v4(ip_owner), (struct mac) { { 0 } }, known ? port_v4(peer) : 0x0a0000c8);
            f->reply = known && spoof > 1;
        }
        break;
    default:
        ip_spoofed = false;
        put_ethernet(f, dst, src, (uint16_t) (0x88b5 + rng_below(&rng, 2)));
        put_random(f, rng_below(&rng, 1400));
    }
    if (ip_spoofed) {
        memset(f->to, 0, sizeof f->to);
    }
    if (f->frame.size < 60) {
        put_random(f, 60 - f->frame.size);              /* Padding is the tenant's, too. */
    }
}

static const struct port *find_port(const struct site *site, unsigned network, unsigned port)
{
    char name[MODEL_NAME_SIZE];
    snprintf(name, sizeof name, "%s/p%u", network_names[network], port);
    return model_find(site->controller.model, KIND_PORT, name);
}

/* Where what the transport translates ends: behind it the bytes are the tenant's own, and may be anything, an address of four bytes by chance, too. */
static size_t headers_end(const uint8_t *data, size_t size)
{
    size_t at = 12;
    while (at + 6 <= size && (wire_get16(data + at) == 0x8100 || wire_get16(data + at) == 0x88a8)) {
        at += 4;
    }
    uint16_t type = at + 2 <= size ? wire_get16(data + at) : 0;
    at += 2;
    size_t header = type == 0x0800 && at < size ? (data[at] & 15u) * 4u : type == 0x86dd ? 40 : type == 0x0806 ? 28 : 0;
    return at + header < size ? at + header : size;
}

static void check_wire(const struct site *site, const struct test_frame *sent)
{
    for (unsigned i = 0; i < site->n_wire; i++) {
        const struct site_frame *w = &site->wire[i];
        CU_ASSERT_EQUAL(w->data[0], 2);
        CU_ASSERT_EQUAL(w->data[6] & 3, 2);
        CU_ASSERT_EQUAL(w->size, sent->frame.size);
        for (unsigned p = 0; p < N_PORTS; p++) {
            struct mac mac = port_mac(p);
            uint8_t v4[4];
            struct ip v6 = port_v6(p);
            wire_put32(v4, port_v4(p));
            CU_ASSERT_PTR_NULL(memmem(w->data, w->size, mac.b, 6));
            CU_ASSERT_PTR_NULL(memmem(w->data, headers_end(w->data, w->size), v4, 4));
            CU_ASSERT_PTR_NULL(memmem(w->data, w->size, &v6, 16));
        }
    }
}

static void print_frame(const char *what, const struct site_frame *frame)
{
    char hex[2 * sizeof frame->data + 1];
    bytes_to_hex(frame->data, frame->size, hex);
    printf("\n  %s %s", what, hex);
}

static bool check_delivered(const struct site *site, const struct test_frame *sent)
{
    bool got[N_PORTS] = { false }, ok = true;

    if (sent->reply) {
        const struct port *port = find_port(site, sent->network, sent->from);
        return site->n_delivered == 1 && site->delivered[0].port_no == site_device(site, port)
               && site->delivered[0].edge == place[sent->network][sent->from] && site->n_wire == 0;
    }
    for (unsigned i = 0; i < site->n_delivered; i++) {
        const struct site_delivery *d = &site->delivered[i];
        unsigned p;
        for (p = 0; p < N_PORTS; p++) {
            if (place[sent->network][p] == d->edge && site_device(site, find_port(site, sent->network, p)) == d->port_no) {
                break;
            }
        }
        if (p == N_PORTS || got[p] || d->frame.size != sent->frame.size || memcmp(d->frame.data, sent->frame.data, d->frame.size)) {
            print_frame("delivered:", &d->frame);
            ok = false;
        } else {
            got[p] = true;
        }
    }
    return ok && !memcmp(got, sent->to, sizeof got);
}

static void test_exact(void)
{
    struct site *site;
    unsigned bad = 0;

    rng_seed(&rng, unit_seed());
    site = site_new(N_EDGES);
    make_site(site);
    for (unsigned i = 0; i < N_FRAMES && bad < 3; i++) {
        struct test_frame f;
        random_frame(&f);
        const struct port *port = find_port(site, f.network, f.from);
        site_send(site, place[f.network][f.from], site_device(site, port), f.frame.data, f.frame.size);
        for (unsigned again = 0; site->n_packet_in && again < 8; again++) {     /* A pair that is new, until it is known everywhere. */
            site_sync(site);
            site_send(site, place[f.network][f.from], site_device(site, port), f.frame.data, f.frame.size);
        }
        CU_ASSERT_EQUAL(site->n_packet_in, 0);
        check_wire(site, &f);
        if (!check_delivered(site, &f)) {
            printf("\n  frame %u of network %u port %u:", i, f.network, f.from);
            print_frame("sent:", &f.frame);
            bad++;
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
    site_free(site);
}

/* --- Isolation over all rules --- */

struct audit { unsigned n_tenant, n_bad; };

/* What an action list may write of the context: `own` the network's id, or 0 when reg0 may not be written at all. */
static bool writes_identity_only(const struct actions *actions, uint32_t own)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        const struct field *dst = a->type == ACTION_LOAD ? a->load.dst.field : a->type == ACTION_MOVE ? a->move.dst.field
                                  : a->type == ACTION_SET_FIELD ? a->set_field.field : NULL;
        if (a->type == ACTION_CLONE && !writes_identity_only(&a->nested, own)) {
            return false;
        }
        if (dst && dst->offset < offsetof(struct flow, regs) + 4 && dst->offset + dst->size > offsetof(struct flow, regs)
            && !(a->type == ACTION_LOAD && own && a->load.value == own)) {
            return false;
        }
    }
    return true;
}

static void audit_rule(uint8_t table, uint16_t priority, const struct match *match, uint64_t cookie, const struct instructions *in, uint32_t whose,
                       void *aux)
{
    struct audit *audit = aux;
    uint32_t owner = OWNER_NETWORK(whose);
    bool entry = table == T_CLASSIFY || table == T_LANDING, ok;

    (void) priority;
    if (owner == OWNER_SUBSTRATE) {
        ok = writes_identity_only(&in->apply, 0);
    } else {
        audit->n_tenant++;
        bool programmed = table >= T_VIRT && table <= T_VIRT_LAST;      /* Entries have owners of their own, and nothing else is theirs. */
        ok = programmed == (whose != owner) && cookie >> 32 == owner && writes_identity_only(&in->apply, entry ? owner : 0) && writes_identity_only(&in->write, 0);
        if (table == T_CLASSIFY) {
            ok &= be32_get(match->mask.flow.in_port) == UINT32_MAX && be32_get(match->value.flow.in_port) != SITE_UPLINK;
        } else if (table == T_LANDING) {
            ok &= mac_u64(match->mask.flow.eth_dst) == UINT64_C(0xffffff00ffff);
        } else {
            ok &= be32_get(match->mask.flow.regs[0]) == UINT32_MAX && be32_get(match->value.flow.regs[0]) == owner;
        }
    }
    audit->n_bad += !ok;
}

static void test_isolation(void)
{
    struct site *site;
    struct audit audit = { 0 };

    rng_seed(&rng, unit_seed());
    site = site_new(N_EDGES);
    make_site(site);
    for (unsigned i = 0; i < N_EDGES; i++) {
        ruleset_each(site->controller.rulesets, i + 1, audit_rule, &audit);
    }
    CU_ASSERT(audit.n_tenant > 500);
    CU_ASSERT_EQUAL(audit.n_bad, 0);
    site_free(site);
}

/* A frame on the fabric with another network's source, or with a landing that nobody has, is dropped for that reason. */
static void test_forged(void)
{
    struct site *site;
    uint8_t frame[64] = { 0 };

    rng_seed(&rng, unit_seed());
    site = site_new(N_EDGES);
    make_site(site);
    const struct port *red = find_port(site, 0, 0), *blue = NULL;
    for (unsigned p = 0; p < N_PORTS; p++) {
        blue = place[1][p] != place[0][0] ? find_port(site, 1, p) : blue;
    }
    wire_put16(frame + 12, 0x88b5);
    wire_put48(frame, provider_landing_mac(red->edge->index, 0, red->local));
    if (blue) {
        wire_put48(frame + 6, provider_source_mac(0, blue->edge->index, blue->local));
        site_send(site, place[0][0], SITE_UPLINK, frame, sizeof frame);
        CU_ASSERT_EQUAL(site->n_delivered, 0);
        CU_ASSERT_EQUAL(dp_drops(site->edges[place[0][0]].dp, SITE_UPLINK, DROP_FOREIGN_SOURCE), 1);
    }
    wire_put48(frame, provider_landing_mac(red->edge->index, 0, 0xfff0));
    site_send(site, place[0][0], SITE_UPLINK, frame, sizeof frame);
    CU_ASSERT_EQUAL(dp_drops(site->edges[place[0][0]].dp, SITE_UPLINK, DROP_FOREIGN_LANDING), 1);
    wire_put48(frame, UINT64_C(0x525400000001));
    site_send(site, place[0][0], SITE_UPLINK, frame, sizeof frame);
    CU_ASSERT_EQUAL(dp_drops(site->edges[place[0][0]].dp, SITE_UPLINK, DROP_NOT_PROVIDER), 1);
    CU_ASSERT_EQUAL(site->n_delivered, 0);
    site_free(site);
}

/* Nothing is left of a network whose ports and itself are deleted; a moved port's old edge forgets it. */
static void test_removal(void)
{
    struct site *site;
    struct err err = ERR_INIT;
    unsigned before[N_EDGES], n;

    rng_seed(&rng, unit_seed());
    site = site_new(N_EDGES);
    for (unsigned i = 0; i < N_EDGES; i++) {
        before[i] = ruleset_count(site->controller.rulesets, i + 1);
    }
    site_sync(site);
    for (unsigned i = 0; i < N_EDGES; i++) {
        before[i] = ruleset_count(site->controller.rulesets, i + 1);
    }
    make_site(site);
    struct model *model = site->controller.model;
    static const enum model_kind order[] = { KIND_PORT, KIND_NETWORK };
    for (unsigned k = 0; k < ARRAY_SIZE(order); k++) {
        while (model_count(model, order[k])) {
            char name[MODEL_NAME_SIZE];
            str_copy(name, sizeof name, object_name(order[k], model_at(model, order[k], 0)));
            struct model_txn *txn = model_delete(model, order[k], name, NULL, 0, &err);
            CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
            const uint32_t *ids = model_txn_networks(txn, &n);
            uint32_t id = n ? ids[0] : 0;
            model_txn_commit(txn);
            fabric_networks_changed(site->controller.fabric, &id, n ? 1 : 0);
        }
    }
    site_sync(site);
    for (unsigned i = 0; i < N_EDGES; i++) {
        CU_ASSERT_EQUAL(ruleset_count(site->controller.rulesets, i + 1), before[i]);
    }
    site_free(site);
}

static void suite(void)
{
    UNIT_SUITE("site", { "every frame exact, to whom it should go, nothing of tenants on the wire", test_exact },
               { "isolation over all rules", test_isolation }, { "forged fabric frames", test_forged },
               { "removal leaves no rule", test_removal });
}

UNIT_MAIN(suite)
