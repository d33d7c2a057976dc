/* Mbufs and packets: views, write-back, copies, frames in several segments. EAL without hugepages, devices or files. */
#include "vswitch/device_mbuf.h"

#include <rte_eal.h>
#include <rte_mempool.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/unit.h"
#include "vswitch/device_mbuf_test.h"

unit_suite_fn device_mbuf_test_suite, device_mbuf_end_test_suite;

static struct mbuf_pools pools;

static unsigned free_buffers(void)
{
    return rte_mempool_avail_count(pools.small) + rte_mempool_avail_count(pools.jumbo);
}

static struct rte_mbuf *make(uint32_t size, uint8_t first)
{
    struct rte_mbuf *m = mbuf_alloc(&pools, size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    uint8_t *p = (uint8_t *) rte_pktmbuf_append(m, (uint16_t) size);
    for (uint32_t i = 0; i < size; i++) {
        p[i] = (uint8_t) (first + i);
    }
    return m;
}

struct rte_mbuf *mbuf_test_make(uint32_t size)
{
    return make(size, 0);
}

static void test_view(void)
{
    struct rte_mbuf *m = make(100, 0);
    struct packet *p = mbuf_to_packet(m, 7);
    CU_ASSERT_EQUAL(p->in_port, 7);
    CU_ASSERT_EQUAL(p->len, 100);
    CU_ASSERT_EQUAL(p->headroom, RTE_PKTMBUF_HEADROOM);
    CU_ASSERT_TRUE(p->tailroom >= MBUF_ROOM - 100);
    CU_ASSERT_PTR_EQUAL(mbuf_of_packet(p), m);
    p->data -= 4;               /* What a pushed VLAN tag does. */
    p->len += 4;
    p->headroom -= 4;
    CU_ASSERT_PTR_EQUAL(mbuf_from_packet(p), m);
    CU_ASSERT_EQUAL(m->pkt_len, 104);
    CU_ASSERT_EQUAL(m->data_len, 104);
    CU_ASSERT_EQUAL(rte_pktmbuf_mtod(m, uint8_t *)[4], 0);
    rte_pktmbuf_free(m);
}

static void test_copy(void)
{
    static const uint32_t sizes[] = { 14, 60, MBUF_ROOM, MBUF_ROOM + 1, MBUF_JUMBO_ROOM };
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct rte_mbuf *m = make(sizes[i], 3);
        struct packet *p = mbuf_to_packet(m, 9);
        p->l3_ofs = 14;
        struct packet *copy = mbuf_copy_packet(&pools, p);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        CU_ASSERT_PTR_NOT_EQUAL(copy->data, p->data);
        CU_ASSERT_EQUAL(copy->len, sizes[i]);
        CU_ASSERT_EQUAL(copy->in_port, 9);
        CU_ASSERT_EQUAL(copy->l3_ofs, 14);
        CU_ASSERT_EQUAL(memcmp(copy->data, p->data, sizes[i]), 0);
        CU_ASSERT_EQUAL(mbuf_of_packet(copy)->nb_segs, 1);
        rte_pktmbuf_free(mbuf_of_packet(copy));
        rte_pktmbuf_free(m);
    }
    CU_ASSERT_PTR_NULL(mbuf_alloc(&pools, MBUF_JUMBO_ROOM + 1));
}

static void test_linearise(void)
{
    unsigned before = free_buffers();
    struct rte_mbuf *one = make(60, 1);
    CU_ASSERT_PTR_EQUAL(mbuf_linearise(&pools, one), one);
    rte_pktmbuf_free(one);

    struct rte_mbuf *chain = make(2000, 0);
    for (unsigned i = 1; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(chain, make(2000, (uint8_t) (2000 * i))), 0);
    }
    struct rte_mbuf *whole = mbuf_linearise(&pools, chain);
    CU_ASSERT_PTR_NOT_NULL_FATAL(whole);
    CU_ASSERT_EQUAL(whole->nb_segs, 1);
    CU_ASSERT_EQUAL(whole->pkt_len, 8000);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 8000; i++) {
        wrong += rte_pktmbuf_mtod(whole, uint8_t *)[i] != (uint8_t) i;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    rte_pktmbuf_free(whole);

    chain = make(2000, 0);      /* Longer than any buffer: given up, and freed. */
    for (unsigned i = 1; i < 6; i++) {
        CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(chain, make(2000, 0)), 0);
    }
    CU_ASSERT_PTR_NULL(mbuf_linearise(&pools, chain));
    CU_ASSERT_EQUAL(free_buffers(), before);
}

/* Whatever a burst is made of, each buffer goes back to its pool, once. */
static void test_free_burst(void)
{
    unsigned before = free_buffers();
    struct rte_mbuf *burst[32];
    for (unsigned kind = 0; kind < 5; kind++) {
        for (unsigned i = 0; i < ARRAY_SIZE(burst); i++) {
            burst[i] = make(kind == 1 && i == 31 ? MBUF_ROOM + 1 : 60, 0);
        }
        if (kind == 2) {
            CU_ASSERT_EQUAL(rte_pktmbuf_chain(burst[7], make(100, 0)), 0);
        }
        if (kind == 3) {
            rte_mbuf_refcnt_update(burst[9], 1);
        }
        struct rte_mbuf *kept = burst[9];
        mbuf_free_burst(burst, kind == 4 ? 1 : ARRAY_SIZE(burst));
        if (kind == 3) {
            CU_ASSERT_EQUAL(free_buffers(), before - 1);
            rte_pktmbuf_free(kept);
        }
        if (kind == 4) {
            mbuf_free_burst(burst + 1, ARRAY_SIZE(burst) - 1);
        }
        CU_ASSERT_EQUAL(free_buffers(), before);
    }
}

static bool fits(uint16_t size, const uint16_t *ethertypes, unsigned n)
{
    struct rte_mbuf *m = mbuf_alloc(&pools, size);
    uint8_t *frame = (uint8_t *) rte_pktmbuf_append(m, size);
    memset(frame, 0, size);
    for (unsigned i = 0; i < n; i++) {
        wire_put16(frame + 12 + 4 * i, ethertypes[i]);
    }
    bool ok = mbuf_fits_mtu(m, 1500);
    rte_pktmbuf_free(m);
    return ok;
}

static void test_mtu(void)
{
    static const uint16_t tags[] = { 0x88a8, 0x8100 };
    CU_ASSERT_TRUE(fits(1514, NULL, 0));
    CU_ASSERT_FALSE(fits(1515, NULL, 0));
    CU_ASSERT_TRUE(fits(1518, tags, 1));
    CU_ASSERT_FALSE(fits(1519, tags, 1));
    CU_ASSERT_TRUE(fits(1522, tags, 2));
    CU_ASSERT_FALSE(fits(1523, tags, 2));
}

static void test_start(void)
{
    char prefix[64];
    struct err err = ERR_INIT;
    snprintf(prefix, sizeof prefix, "--file-prefix=unit-%d", (int) getpid());
    char *argv[] = { "vswitch_test", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "--iova-mode=va", "--log-level=4", "-m", "64", prefix, NULL };
    CU_ASSERT_TRUE_FATAL(rte_eal_init((int) ARRAY_SIZE(argv) - 1, argv) >= 0);
    CU_ASSERT_TRUE_FATAL(mbuf_pools_init(&pools, 1024, &err));
}

static void test_end(void)
{
    CU_ASSERT_EQUAL(free_buffers(), 1024 + 64);         /* Nothing leaked in between. */
    mbuf_pools_fini(&pools);
    char *dir = xstrdup(rte_eal_get_runtime_dir());
    CU_ASSERT_EQUAL(rte_eal_cleanup(), 0);
    rmdir(dir);                 /* Made by EAL although it keeps nothing there. */
    free(dir);
}

void device_mbuf_test_suite(void)
{
    UNIT_SUITE("mbuf", { "EAL without hugepages", test_start }, { "view and write-back", test_view }, { "copies", test_copy },
               { "segments", test_linearise }, { "MTU and VLAN tags", test_mtu }, { "bursts are freed", test_free_burst });
}

void device_mbuf_end_test_suite(void)
{
    UNIT_SUITE("mbuf end", { "nothing leaked", test_end });
}
