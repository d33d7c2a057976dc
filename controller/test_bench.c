#include "controller/test_bench.h"

#include <string.h>
#include "controller/store.h"
#include "tests/unit.h"

static void heard_up(struct sw *sw, void *h_) { struct heard *h = h_; h->ups++; h->last = sw; CU_ASSERT_TRUE(sw->connected && sw->conn && sw->edge); }
static void heard_down(struct sw *sw, void *h_) { struct heard *h = h_; h->downs++; CU_ASSERT_TRUE(!sw->connected && !sw->conn && sw->edge); }
static void heard_ports(struct sw *sw UNUSED, void *h) { ((struct heard *) h)->ports++; }
static void heard_links(void *h) { ((struct heard *) h)->links++; }
static void heard_packet(struct sw *sw UNUSED, struct of_packet_in *in UNUSED, void *h) { ((struct heard *) h)->packet_ins++; }
static void heard_reach(void *h) { ((struct heard *) h)->reach++; }
static bool heard_reply(struct sw *sw UNUSED, struct of_msg *msg UNUSED, void *h) { ((struct heard *) h)->replies++; return true; }

void bench_init(struct bench *b, const char *document)
{
    static const struct substrate_ops ops = { heard_up, heard_down, heard_ports, heard_links, heard_packet, heard_reply, heard_reach };
    static char listen[140];    /* Lives as long as the config that points to it. */
    static char *listeners[1] = { listen };
    struct err err = ERR_INIT;
    char path[128];
    memset(b, 0, sizeof *b);
    fixture_init(&b->f);
    fixture_path(&b->f, "db", path);
    b->f.c.store = store_open(path, b->f.c.base, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->f.c.store);
    fixture_apply(&b->f, document);
    snprintf(listen, sizeof listen, "punix:%s/of", b->f.dir);
    snprintf(b->target, sizeof b->target, "unix:%s/of", b->f.dir);
    b->f.c.config.openflow_listen = listeners;
    b->f.c.config.n_openflow_listen = 1;
    b->f.c.substrate = substrate_new(&b->f.c, &ops, &b->heard, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->f.c.substrate);
    CU_ASSERT_TRUE_FATAL(substrate_listen(b->f.c.substrate, &err));
}

void bench_connect(struct bench *b, struct fake *k) { fake_connect(k, b->f.c.base, b->target); }

/* Moves the clock in steps, with loop turns and ticks in between. */
void advance(struct bench *b, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 100) {
        b->f.now_ns += 100000000;
        substrate_tick(b->f.c.substrate);
        fixture_turn(&b->f, 6);
    }
}

unsigned wait_ups(struct bench *b, unsigned n)
{
    for (unsigned i = 0; b->heard.ups < n && i < 2000; i++) {
        fixture_turn(&b->f, 1);
    }
    return b->heard.ups;
}

static void count_up(const struct link *l, void *n) { *(unsigned *) n += l->up; }

unsigned links_up(struct bench *b)
{
    unsigned n = 0;
    substrate_each_link(b->f.c.substrate, count_up, &n);
    return n;
}

struct sw *sw_of(struct bench *b, uint64_t datapath_id) { return substrate_find(b->f.c.substrate, datapath_id); }

void finish(struct bench *b, struct fake *k, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fake_close(&k[i]);
    }
    fixture_fini(&b->f);
}
