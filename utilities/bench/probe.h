/*
 * The probe: what the generator hides in each frame to know it again, whatever a switch did to its headers.
 *
 * A 60-byte frame has little room behind its headers, and TCP's leaves six bytes.  So the probe has two parts, both in places that no switch rewrites:
 *
 *              UDP and others (l4 + 8 on)       TCP
 *     part A   payload bytes 0..7               sequence and acknowledgement numbers    flow number, sequence number
 *     part B   l4 + 20 .. l4 + 25               payload bytes 0..5                      time stamp, check
 *
 * The check covers flow, sequence and stamp, so a frame that a switch damaged, or that is not ours, does not count as received.  The places follow from the frame as
 * it arrives (one VLAN tag may have come or gone), so rules may push and pop tags, rewrite MAC addresses, TTLs and ports.
 *
 * The sequence number counts all frames of one queue: a gap is a loss, a step back a reordering.  The stamp is the low half of the TSC, good for latencies below a second.
 * Pure; host byte order, since the generator only ever reads what it wrote itself.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H 1

#include <stdbool.h>
#include <string.h>

#include "lib/wire.h"

#define PROBE_L2 14
#define PROBE_TAG 4
#define PROBE_IPV4 20
#define PROBE_END 26            /* From the start of the L4 header; so 60 bytes untagged, 64 tagged. */
#define PROBE_TCP 6

struct probe { uint32_t flow, seq, stamp; };

static inline uint16_t probe_check(const struct probe *p)
{
    uint64_t h = ((uint64_t) p->flow << 32 | p->seq) * UINT64_C(0x9e3779b97f4a7c15) + p->stamp;
    h ^= h >> 29;
    return (uint16_t) ((h * UINT64_C(0xbf58476d1ce4e5b9)) >> 48);
}

/* Offset of the IPv4 header; 0: not a frame of ours (neither IPv4 nor IPv4 behind one tag, or too short). */
static inline unsigned probe_l3(const uint8_t *frame, unsigned len)
{
    unsigned l3 = PROBE_L2;
    if (len < PROBE_L2 + PROBE_IPV4 + PROBE_END) {
        return 0;
    }
    uint16_t type = wire_get16(frame + 12);
    if (type == 0x8100 || type == 0x88a8) {
        l3 += PROBE_TAG;
        type = wire_get16(frame + 16);
    }
    return type == 0x0800 && frame[l3] == 0x45 && len >= l3 + PROBE_IPV4 + PROBE_END ? l3 : 0;
}

static inline unsigned probe_part_a(const uint8_t *frame, unsigned l3)
{
    return l3 + PROBE_IPV4 + (frame[l3 + 9] == PROBE_TCP ? 4 : 8);
}

static inline void probe_write(uint8_t *frame, unsigned l3, const struct probe *p)
{
    uint8_t *a = frame + probe_part_a(frame, l3), *b = frame + l3 + PROBE_IPV4 + 20;
    uint16_t check = probe_check(p);
    memcpy(a, &p->flow, 4);
    memcpy(a + 4, &p->seq, 4);
    memcpy(b, &p->stamp, 4);
    memcpy(b + 4, &check, 2);
}

/* False: damaged, or not a frame of ours. */
static inline bool probe_read(const uint8_t *frame, unsigned len, struct probe *p)
{
    unsigned l3 = probe_l3(frame, len);
    uint16_t check;
    if (!l3) {
        return false;
    }
    const uint8_t *a = frame + probe_part_a(frame, l3), *b = frame + l3 + PROBE_IPV4 + 20;
    memcpy(&p->flow, a, 4);
    memcpy(&p->seq, a + 4, 4);
    memcpy(&p->stamp, b, 4);
    memcpy(&check, b + 4, 2);
    return check == probe_check(p);
}

#endif
