/*
 * Capture: copies of a port's frames for `vswctl capture`, at no cost when nobody captures.
 *
 * A port's tap is an immutable, RCU-published list of the captures on it, or NULL: poll-mode threads load it once per
 * batch. A thread runs each capture's filter (classic BPF, compiled by the client, validated here) over every frame,
 * and puts a truncated copy into the capture's ring; the control thread drains the ring into the client's stream. A
 * full ring, a slow client or no buffers lose copies, which are counted, never frames.
 */
#ifndef VSWITCH_CAPTURE_H
#define VSWITCH_CAPTURE_H 1

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

#include "lib/err.h"
#include "lib/json.h"

struct vswitch;
struct capture;
struct capture_tap;

enum capture_direction { CAPTURE_RX = 1, CAPTURE_TX = 2, CAPTURE_BOTH = 3 };

struct capture_frame { uint64_t ts_ns; uint32_t len, captured; bool is_tx; const uint8_t *data; };
struct capture_ops {            /* [control] */
    void (*frame)(const struct capture_frame *, void *aux);
    bool (*ready)(void *aux);                           /* False: the client is slow, keep frames in the ring. */
    void (*done)(const char *why, void *aux);           /* The count is reached or the port is gone; the owner calls capture_stop() then or later. */
};

/* [control] Starts a capture from its parameters ("port", "count", "direction", "snaplen", "filter": [[code,jt,jf,k]…]). */
struct capture *capture_start(struct vswitch *, struct json_reader *params, const struct capture_ops *, void *aux, struct err *);
void capture_stop(struct capture *);
void capture_resume(struct capture *);                  /* The client is ready again. */
void capture_counts(const struct capture *, uint64_t *captured, uint64_t *lost);
/* [control] Ends captures on a port that goes away. */
void capture_port_removed(struct vswitch *, uint32_t port_no);

/* [poll] */
void capture_run(const struct capture_tap *, struct rte_mbuf **, unsigned n, bool is_tx);

#endif
