/* A port that moves between devices which others use before and after: what it counted itself is what the sum says. */
#include "controller/port_sum.h"

#include <stdio.h>

#include "lib/util.h"
#include "tests/unit.h"

#define N_EDGES 3
#define N_DEVICES 2             /* On each. */

static struct of_port_stats reading(uint32_t number, uint64_t n)
{
    return (struct of_port_stats) { .port_no = number, .rx_packets = n, .tx_packets = 2 * n, .rx_bytes = 64 * n, .tx_bytes = 128 * n,
                                    .rx_dropped = n / 2, .collisions = UINT64_MAX };
}

static void test_moves(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 100; round++) {
        struct port_sum sum = { 0 };
        uint64_t counts[N_EDGES][N_DEVICES], total = 0;
        unsigned edge = 0, device = 0;
        bool bound = false;
        for (unsigned i = 0; i < N_EDGES; i++) {
            for (unsigned j = 0; j < N_DEVICES; j++) {
                counts[i][j] = rng_below(&rng, 1000);
            }
        }
        for (unsigned step = 0; step < 300; step++) {
            unsigned e = rng_below(&rng, N_EDGES), d = rng_below(&rng, N_DEVICES), more = rng_below(&rng, 50);
            char name[8];
            snprintf(name, sizeof name, "d%u", d);
            if (!rng_below(&rng, 4)) {                  /* To another device, which is read, as is the former one. */
                if (port_sum_bind(&sum, (uint16_t) e, d + 1, name)) {
                    CU_ASSERT_TRUE(!bound || edge != e || device != d);
                    CU_ASSERT_EQUAL(sum.former.number, bound ? device + 1 : 0);
                    struct of_port_stats now = reading(d + 1, counts[e][d]), last = reading(device + 1, counts[edge][device]);
                    port_sum_read(&sum, (uint16_t) e, &now);
                    if (bound) {
                        port_sum_read(&sum, (uint16_t) edge, &last);
                    }
                }
                edge = e;
                device = d;
                bound = true;
            }
            counts[e][d] += more;
            total += bound && e == edge && d == device ? more : 0;
            struct of_port_stats in = reading(d + 1, counts[e][d]);
            port_sum_read(&sum, (uint16_t) e, &in);
            CU_ASSERT_EQUAL(sum.total.rx_packets, total);
            CU_ASSERT_EQUAL(sum.total.tx_bytes, 128 * total);
            CU_ASSERT_EQUAL(sum.total.collisions, bound ? UINT64_MAX : 0);
        }
    }
}

static void test_restarts(void)
{
    struct port_sum sum = { 0 };
    struct of_port_stats in = reading(4, 100);
    CU_ASSERT_TRUE(port_sum_bind(&sum, 1, 4, "d"));
    port_sum_read(&sum, 1, &in);
    in = reading(4, 110);
    port_sum_read(&sum, 1, &in);
    CU_ASSERT_EQUAL(sum.total.rx_packets, 10);
    CU_ASSERT_FALSE(port_sum_bind(&sum, 1, 5, "d"));    /* The switch started again: the same device has another number, and counts from zero. */
    port_sum_read(&sum, 1, &in);                        /* Somebody else's now. */
    in = reading(5, 3);
    port_sum_read(&sum, 1, &in);
    CU_ASSERT_EQUAL(sum.total.rx_packets, 13);
    CU_ASSERT_TRUE(port_sum_bind(&sum, 0, 0, ""));      /* Off the edge: what it counted at last is taken. */
    CU_ASSERT_FALSE(port_sum_bind(&sum, 0, 0, ""));
    in = reading(5, 7);
    port_sum_read(&sum, 1, &in);
    in = reading(5, 9);
    port_sum_read(&sum, 1, &in);
    CU_ASSERT_EQUAL(sum.total.rx_packets, 17);
    CU_ASSERT_EQUAL(sum.total.collisions, UINT64_MAX);  /* Not counted there. */
}

void port_sum_test_suite(void);
void port_sum_test_suite(void)
{
    UNIT_SUITE("counters of ports", { "moves between devices", test_moves }, { "restarts", test_restarts });
}
