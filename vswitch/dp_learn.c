/*
 * A learning table for fail-standalone (section 6.3.3) and OFPP_NORMAL.
 *
 * Fixed size, four places per hash, each a single 64-bit word: MAC address (48), port (12), age (4, in units of 2^35 ns, about 34 s).  Every thread reads and writes with relaxed
 * atomics; a lost update costs a flooded frame.  A station that was silent for about five minutes is forgotten.
 */
#include "vswitch/dp_private.h"
#include "lib/util.h"

#define WAYS 4
#define AGE_SHIFT 35
#define MAX_AGE 9
_Static_assert(DP_MAX_PORTS <= 4096, "a port fits in 12 bits");

static bool is_fresh(uint64_t word, unsigned epoch)
{
    return word && ((epoch - (unsigned) word) & 15) <= MAX_AGE;
}

static _Atomic uint64_t *find_set(struct dp *dp, uint64_t mac)
{
    return &dp->stations[hash_mix64(mac) % (DP_N_STATIONS / WAYS) * WAYS];
}

static void note_station(struct dp *dp, uint64_t mac, uint32_t port, unsigned epoch)
{
    _Atomic uint64_t *set = find_set(dp, mac), *place = NULL;
    uint64_t word = mac << 16 | (uint64_t) port << 4 | epoch;
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t old = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (old == word) {
            return;
        }
        if (old >> 16 == mac) {
            place = &set[i];
            break;
        }
        if (!place && !is_fresh(old, epoch)) {
            place = &set[i];
        }
    }
    atomic_store_explicit(place ? place : &set[mac % WAYS], word, memory_order_relaxed);
}

uint32_t dp_learn(struct dp *dp, struct mac src, struct mac dst, uint32_t in_port, uint64_t now_ns)
{
    unsigned epoch = now_ns >> AGE_SHIFT & 15;
    if (!mac_is_multicast(src) && in_port && in_port < DP_MAX_PORTS) {
        note_station(dp, mac_u64(src), in_port, epoch);
    }
    if (!mac_is_multicast(dst)) {
        uint64_t mac = mac_u64(dst);
        _Atomic uint64_t *set = find_set(dp, mac);
        for (unsigned i = 0; i < WAYS; i++) {
            uint64_t word = atomic_load_explicit(&set[i], memory_order_relaxed);
            uint32_t port = word >> 4 & 0xfff;
            if (word >> 16 == mac && is_fresh(word, epoch) && dp_port_state(dp, port) & PORT_PRESENT) {
                return port;
            }
        }
    }
    return OFPP_FLOOD;
}
