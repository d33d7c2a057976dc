/*
 * One OpenFlow connection: framing, version negotiation (hello with bitmap, section 6.3.1), echo keep-alive, decode, encode, backpressure.
 *
 * Both sides use it: vswitchd towards controllers, controllerd towards switches and tenants' controllers.  Outgoing connections reconnect by themselves with exponential
 * backoff (jittered); accepted ones end for good.  Decode errors are answered with the OpenFlow error here and the connection lives, except where the specification closes it
 * (hello failed, a length below 8, garbage version before hello).  Loop thread only.
 */
#ifndef OFPROTO_OF_CONN_H
#define OFPROTO_OF_CONN_H 1

#include "lib/err.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "ofproto/of_msg.h"

struct of_conn;
struct of_share;
struct of_conn_ops {
    void (*up)(struct of_conn *, void *aux);                    /* Hello done; messages may be sent. */
    /* A decoded message, hello and echo excluded; the callee may move parts out of msg, the caller finis the rest. `raw` is the message's bytes (for error replies). */
    void (*message)(struct of_conn *, struct of_msg *, const uint8_t *raw, size_t size, void *aux);
    void (*down)(struct of_conn *, const char *why, void *aux); /* Outgoing: will retry. Accepted: the callee must of_conn_close() now or later. */
    void (*drained)(struct of_conn *, void *aux);               /* Output fell below the low mark; may be NULL. */
    void (*again)(struct of_conn *, void *aux);                 /* What of_conn_again() asked for; may be NULL when nothing does. */
};
struct of_conn_options {
    uint32_t versions;          /* Bitmap: 1 << wire version. */
    unsigned echo_interval_ms;  /* Idle time before an echo request; a second one without an answer means down. A peer that
                                   has said no hello for one and a half of these is gone, too. 0: 5000 */
    unsigned max_backoff_ms;    /* 0: 8000 */
    size_t max_backlog;         /* Above this reading from the peer stops until it drained. 0: 1 MiB */
    size_t max_unread;          /* Bytes that may wait for the peer; above that nothing is sent any more and the connection goes down, from the loop. 0: no limit. */
    struct clock clock;         /* Of all deadlines: retry, handshake, keep-alive. now_ns NULL: monotonic. */
    struct of_share *share;     /* What this and others may take of the loop (of_share.h); outlives the connection. NULL: all. */
};

struct of_conn *of_conn_connect(struct event_base *, const char *target, struct tls_config *, const struct of_conn_options *,
                                const struct of_conn_ops *, void *aux, struct err *);
struct of_conn *of_conn_accepted(struct event_base *, struct stream *, const struct of_conn_options *, const struct of_conn_ops *, void *aux);
void of_conn_close(struct of_conn *);                           /* Frees; may be called from callbacks. */

bool of_conn_peer_refused(const struct of_conn *);              /* In down(): because of the peer's certificate. */
bool of_conn_peer_names(const struct of_conn *, void (*fn)(const char *name, void *aux), void *aux);   /* As stream_peer_names(). */
bool of_conn_is_up(const struct of_conn *);
uint8_t of_conn_version(const struct of_conn *);                /* Negotiated. */
const char *of_conn_peer(const struct of_conn *);
uint32_t of_conn_next_xid(struct of_conn *);
/* Sends (version and, when msg->xid is 0 and the type is a request of ours, a new xid are filled in). Returns the xid. Dropped silently when not up. */
uint32_t of_conn_send(struct of_conn *, struct of_msg *);
/* The same for n whole messages of the connection's version, encoded by the caller and with xids by of_conn_next_xid(). */
void of_conn_send_encoded(struct of_conn *, const uint8_t *data, size_t size, unsigned n);
void of_conn_send_error(struct of_conn *, struct of_error, const uint8_t *raw, size_t size);
size_t of_conn_backlog(const struct of_conn *);
void of_conn_read_enable(struct of_conn *, bool);
/* There is more to do than should be done at once: again() is called soon, from the loop, when it has looked for others' events; beyond the connection's share,
 * in its next turn.  Its time counts as a message's.  Asked for several times it comes once, and never when the connection has gone down meanwhile. */
void of_conn_again(struct of_conn *);
void of_conn_resume(struct of_conn *);                          /* Its share is no longer held. */
struct of_conn_counters { uint64_t rx_messages, tx_messages, rx_errors, reconnects; const char *state; uint64_t up_since_ns;
                          /* The agent's: by its rate limit; bytes that wait for the peer; flow monitors. */
                          uint64_t packet_ins_dropped, unread_bytes, monitors; };
void of_conn_counters(const struct of_conn *, struct of_conn_counters *);

#endif
