/*
 * Incremental checksums that never heal and never harm.
 *
 * A translated frame has to come out at the other end byte for byte as it went in, whatever its checksum was. So
 * checksums are updated, never recomputed (RFC 1624), and the update has to be a bijection: adding a change and later
 * taking it back gives the original 16 bits. Ones' complement has two zeros, and RFC 1624's formula loses which one it
 * was; here one of them is set aside as a fixed point and arithmetic is modulo 65535 on the remaining 65535 values:
 *  - UDP (any IP version): 0 means "no checksum" (RFC 768) and stays; 0xffff stands for zero.
 *  - all others: 0xffff, which no sender computes (the data is never all zeros), stays; 0 stands for zero.
 * A delta is the sum of (old word + ~new word), kept below 2^32; any alignment of the change within the checksummed
 * bytes is by weight (256 for even offsets, 1 for odd).
 *
 * SCTP has a CRC32c (RFC 9260 appendix A), which is linear over XOR: the CRC changes by the CRC (without preset) of the
 * change, followed by the bytes behind it.
 *
 * Pure; any thread; no allocation.
 */
#ifndef VSWITCH_CHECKSUM_H
#define VSWITCH_CHECKSUM_H 1

#include <stddef.h>
#include <stdint.h>
#include "lib/wire.h"

/* The delta of `n` bytes (at most 4096) that begin at an even (odd = 0) or odd offset of what is checksummed. */
static inline uint32_t checksum_delta(const void *old_bytes, const void *new_bytes, size_t n, unsigned odd)
{
    const uint8_t *a = old_bytes, *b = new_bytes;
    uint32_t delta = 0;
    size_t i = 0;
    if (!odd) {
        for (; i + 2 <= n; i += 2) {
            delta += (uint32_t) wire_get16(a + i) + (0xffff - wire_get16(b + i));
        }
    }
    for (; i < n; i++) {
        uint32_t weight = (i + odd) & 1 ? 1 : 256;
        delta += weight * a[i] + (0xffff - weight * b[i]);
    }
    return delta;
}

/* The checksum field `c` (host order) after a change. */
static inline uint16_t checksum_update(uint16_t c, uint32_t delta)
{
    return c == 0xffff ? c : (uint16_t) ((c + delta % 0xffff) % 0xffff);
}

/* The same for a change below 0xffff, without a division. */
static inline uint16_t checksum_update_small(uint16_t c, uint16_t delta)
{
    uint32_t sum = (uint32_t) c + delta;
    return c == 0xffff ? c : (uint16_t) (sum >= 0xffff ? sum - 0xffff : sum);
}

static inline uint16_t checksum_update_udp(uint16_t c, uint32_t delta)
{
    if (!c) {
        return c;
    }
    uint32_t x = (c + delta % 0xffff) % 0xffff;
    return x ? (uint16_t) x : 0xffff;
}

/* What XOR turns the CRC32c of a message into that of one where the four bytes at `offset` change by `diff` (old XOR new, memory order), `after` bytes from the message's end. */
uint32_t checksum_crc32c_delta(const uint8_t diff[4], size_t after);
/* CRC32c of n bytes as SCTP wants it (preset and final complement included), for building frames and for tests. */
uint32_t checksum_crc32c(const void *, size_t n);
/* The Internet checksum of n bytes plus a starting sum, complemented, for building frames and for tests. */
uint16_t checksum_full(const void *, size_t n, uint32_t sum);

#endif
