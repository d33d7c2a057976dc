/*
 * A learning table for fail-standalone (section 6.3.3) and OFPP_NORMAL, and the ports that a flood goes to.
 *
 * Fixed size, four places per hash, which are one cache line.  A place is one word of MAC address (48 bits) and port (16), and beside it the
 * second of its latest frame.  Every thread reads and writes with relaxed atomics; a lost update costs a flooded frame,
 * and a time that meets another thread's new word costs nothing, since both are of now.
 */
#include "vswitch/dp_private.h"

#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

#define MAX_AGE_S 300
_Static_assert(DP_MAX_PORTS <= UINT16_MAX + 1, "a port fits in 16 bits");

static bool is_fresh(const struct station *s, uint32_t now_s)
{
    return now_s - atomic_load_explicit(&s->used_s, memory_order_relaxed) <= MAX_AGE_S;
}

struct station_set *dp_stations_new(void)
{
    const size_t size = DP_STATION_SETS * sizeof(struct station_set);
    struct station_set *sets = aligned_alloc(_Alignof(struct station_set), size);
    if (!sets) {
        abort();
    }
    memset(sets, 0, size);
    return sets;
}

static struct station_set *find_set(const struct dp *dp, uint64_t mac)
{
    return &dp->stations[hash_mix64(mac) % DP_STATION_SETS];
}

static void note_station(struct dp *dp, uint64_t mac, uint32_t port, uint32_t now_s)
{
    struct station *set = find_set(dp, mac)->at, *place = NULL;
    uint64_t word = mac << 16 | port;
    for (unsigned i = 0; i < DP_STATION_WAYS; i++) {
        uint64_t old = atomic_load_explicit(&set[i].word, memory_order_relaxed);
        if (old >> 16 == mac) {
            place = &set[i];
            break;
        }
        if (!place && (!old || !is_fresh(&set[i], now_s))) {
            place = &set[i];
        }
    }
    if (!place) {
        place = &set[mac % DP_STATION_WAYS];
    }
    /* Written only when they change, so that a busy station's line is not passed from core to core. */
    if (atomic_load_explicit(&place->word, memory_order_relaxed) != word) {
        atomic_store_explicit(&place->word, word, memory_order_relaxed);
    }
    if (atomic_load_explicit(&place->used_s, memory_order_relaxed) != now_s) {
        atomic_store_explicit(&place->used_s, now_s, memory_order_relaxed);
    }
}

void dp_learn(struct dp *dp, struct mac src, uint32_t in_port, uint64_t now_ns)
{
    if (!mac_is_multicast(src) && in_port && in_port < DP_MAX_PORTS) {
        note_station(dp, mac_u64(src), in_port, (uint32_t) (now_ns / 1000000000));
    }
}

uint32_t dp_station(const struct dp *dp, struct mac dst, uint64_t now_ns)
{
    uint32_t now_s = (uint32_t) (now_ns / 1000000000);
    if (mac_is_multicast(dst)) {
        return OFPP_FLOOD;
    }
    uint64_t mac = mac_u64(dst);
    const struct station *set = find_set(dp, mac)->at;
    for (unsigned i = 0; i < DP_STATION_WAYS; i++) {
        uint64_t word = atomic_load_explicit(&set[i].word, memory_order_relaxed);
        uint32_t port = word & UINT16_MAX;
        if (word && word >> 16 == mac && is_fresh(&set[i], now_s) && dp_port_state(dp, port) & PORT_PRESENT) {
            return port;
        }
    }
    return OFPP_FLOOD;
}

uint32_t dp_flood_next(const struct dp *dp, const struct port_list *list, unsigned *at, uint32_t ingress, uint32_t excluded)
{
    while (list && *at < list->n) {
        uint32_t port = list->ports[(*at)++], state = dp_port_state(dp, port);
        if (port != ingress && state & PORT_PRESENT && !(state & (OFPPC_PORT_DOWN | OFPPC_NO_FWD | excluded))) {
            return port;
        }
    }
    return 0;
}
