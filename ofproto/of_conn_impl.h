/* What of_conn.c (life, handshake, messages) and of_conn_turn.c (when messages are handled) share. */
#ifndef OFPROTO_OF_CONN_IMPL_H
#define OFPROTO_OF_CONN_IMPL_H 1

#include "ofproto/of_conn.h"
#include "ofproto/of_share.h"

enum state { BACKOFF, CONNECTING, HELLO, UP, CLOSING, DOWN };

struct of_conn {
    struct event_base *base;
    struct of_conn_options options;
    const struct of_conn_ops *ops;
    void *aux;
    char *target;               /* NULL: accepted. */
    char *peer;                 /* Of an accepted stream. */
    struct tls_config *tls;
    struct stream *stream;      /* NULL in BACKOFF and DOWN. */
    enum state state;
    uint8_t version;
    uint32_t last_xid;
    unsigned backoff_ms;
    struct rng rng;
    struct event *timer;
    struct event *resume;       /* What was kept is processed, or again() is called. */
    bool again;                 /* It was asked for. */
    uint64_t deadline_ns;       /* When what the timer stands for is due, by options.clock. */
    struct event *turn, *late;  /* The end of waiting for a turn: when nothing else is to be done, and at the latest. NULL without a share. */
    bool yielded;               /* It waits for a turn. */
    uint64_t late_ns;           /* And is late then, by options.clock. */
    struct buf in, out;
    bool read_wanted;           /* The owner's wish. */
    bool attempted;
    bool received, echo_pending;/* Since the last keep-alive turn. */
    size_t last_backlog;
    unsigned stalled;
    bool refused;               /* It went down because of the peer's certificate. */
    bool overflowed;            /* The peer has left more than max_unread unread. */
    unsigned depth;
    bool dead;
    struct of_conn_counters counters;
    char why[200];              /* Reason to give when CLOSING is over. */
};

/* of_conn.c.  Callbacks of the loop are between enter and leave; leave is false when the connection is gone. */
void of_conn_enter(struct of_conn *);
bool of_conn_leave(struct of_conn *);
bool of_conn_paused(const struct of_conn *);
/* Tells the stream whether bytes are wanted now; returns that. */
bool of_conn_set_reading(struct of_conn *);
/* Handles the first whole message, if reading is not paused; returns the bytes used, 0: there is none, or the connection ends. */
size_t of_conn_process_one(struct of_conn *, const uint8_t *raw, size_t size);

/* of_conn_turn.c */
void of_conn_turns_init(struct of_conn *);
void of_conn_turns_fini(struct of_conn *);
/* Whole messages, as many as may be handled now; returns the bytes used. */
size_t of_conn_process(struct of_conn *, const uint8_t *data, size_t size);
void of_conn_end_yield(struct of_conn *);
/* again() is called, and its time counted. */
void of_conn_run_again(struct of_conn *);

#endif
