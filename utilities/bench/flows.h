/*
 * The generator's traffic: a file of flows, each made into the first 64 bytes of its frames once, and the order in which they are sent.
 *
 * The file is text, one flow a line, "#" starts a comment:
 *
 *     ETH_SRC ETH_DST IP_SRC IP_DST PROTO L4_SRC L4_DST [vlan=VID] [weight=N]
 *     52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 10.0.0.2 17 1024 80 weight=3
 *
 * Addresses are IPv4; PROTO is 6, 17 or another number (which then bears no ports: the words say what its first four bytes are).
 *
 * Rates per flow.  A flow gets weight / (sum of weights) of the frames.  The schedule names each flow as often as its weight says, and is walked round and round: the
 * worst order for any cache, since a flow comes back only after all others.  It is shuffled once, with a seed, when weights differ or when asked to.
 *
 * Frames leave in one cache line: a 60-byte frame needs no more, and longer ones go on with flows_fill().  Read-only after loading; any thread.
 *
 * A capture (pcap or pcapng, of Ethernet) may take the file's place: its frames are sent as they are, one after the other, whatever they are.  Then there are no
 * heads, and nothing is hidden in the frames, so they are only counted when they come back.
 */
#ifndef BENCH_FLOWS_H
#define BENCH_FLOWS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

#define FLOWS_HEAD 64
#define FLOWS_MAX_WEIGHT 65535
#define FLOWS_MAX_SCHEDULE (1u << 26)
#define FLOWS_MAX_FRAME 1514

struct flows {
    size_t n;
    uint8_t (*head)[FLOWS_HEAD];        /* n, aligned to their size. IP length is set by flows_set_size(). NULL: a capture's. */
    uint8_t *bytes;                     /* A capture's frames, one behind the other, */
    size_t *start;                      /* n + 1: where each begins, and the end. */
    uint32_t *weight;                   /* n */
    uint32_t *schedule;                 /* Flow numbers. */
    size_t n_schedule;
};

/* At most `limit` flows of the file (0: all).  False and `err` (field "LINE n") when it cannot be read. */
bool flows_load(struct flows *, const char *path, size_t limit, struct err *);
/* Whether a file is a capture, by its first bytes; one that cannot be read is none. */
bool flows_is_capture(const char *path);
/* The same for a capture.  Field "frame n" when a frame is cut off, too long for the generator or no frame at all. */
bool flows_load_capture(struct flows *, const char *path, size_t limit, struct err *);
/* One line (without its end) into a head and weight; false and `err`. */
bool flows_parse(const char *line, uint8_t head[FLOWS_HEAD], uint32_t *weight, struct err *);
/* Makes the schedule; shuffled when weights differ or `shuffle`. */
bool flows_make_schedule(struct flows *, bool shuffle, uint64_t seed, struct err *);
void flows_fini(struct flows *);

/* Writes the IPv4 (and UDP) length of a frame of `size` bytes and the IPv4 checksum. */
void flows_set_size(uint8_t head[FLOWS_HEAD], unsigned size);
/* What a frame holds from byte 64 on, the same for all flows, so that a buffer is filled once. */
void flows_fill(uint8_t *frame, unsigned size);
bool flows_fill_ok(const uint8_t *frame, unsigned size);
/* Whether the IPv4 header's checksum is right. `l3`: its offset. */
bool flows_ip_checksum_ok(const uint8_t *frame, unsigned l3);

#endif
