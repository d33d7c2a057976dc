/*
 * Byte streams to peers on a libevent loop: tcp, tls and unix, outgoing and listening, behind one pair of types.
 *
 * Targets: "tcp:HOST:PORT", "tls:HOST:PORT" (also "ssl:"), "unix:PATH"; listeners "ptcp:PORT[:IP]", "ptls:PORT[:IP]"
 * ("pssl:"), "punix:PATH". HOST is an address (bracketed when IPv6) or localhost; names are not resolved. One thread:
 * the loop's. Backpressure: a stream reads only while its owner wants it (stream_read_enable) and the owner asks
 * stream_backlog() before it queues more; output is bounded by the owner's limit, and the `drained` callback says when
 * it fell below the low mark.
 */
#ifndef LIB_STREAM_H
#define LIB_STREAM_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/err.h"

struct event_base;
struct stream;
struct stream_listener;
struct tls_config;              /* Shared by reference count. */

struct stream_ops {             /* Called from the loop; aux is the owner's. A callback may stream_close() its own stream. */
    void (*connected)(struct stream *, void *aux);              /* Outgoing only: ready for use (TLS handshake done). */
    /* New bytes: returns how many of `size` were consumed (the rest is offered again with more), or -1 after closing the stream. */
    long (*readable)(struct stream *, const uint8_t *data, size_t size, void *aux);
    void (*drained)(struct stream *, void *aux);                /* May be NULL. */
    void (*closed)(struct stream *, const char *why, void *aux);/* Peer closed, error, or connect failed; stream still valid until stream_close(). */
};

/* Mutual TLS when ca is given: the peer must present a certificate signed by it.  PEM files. */
struct tls_config *tls_config_new(const char *private_key, const char *certificate, const char *ca, struct err *);
struct tls_config *tls_config_ref(struct tls_config *);
void tls_config_unref(struct tls_config *);
/* From now on a peer's certificate must also bear this name, or one of those given before: its subject's CN, or a DNS name of its subjectAltName; wildcards are
 * names of nobody.  For a configuration with a ca, before its first session. */
void tls_config_require_name(struct tls_config *, const char *name);
void *tls_config_ssl_ctx(struct tls_config *);                  /* SSL_CTX *, for evhttp. */

bool stream_target_valid(const char *target, bool listener, struct err *);
/* Never blocks.  NULL only when the target is malformed or no socket can be had (err). tls may be NULL unless the target is tls. */
struct stream *stream_connect(struct event_base *, const char *target, struct tls_config *tls,
                              const struct stream_ops *, void *aux, struct err *);
void stream_close(struct stream *);                             /* Frees; unsent output is dropped. No callback follows. */
void stream_set_ops(struct stream *, const struct stream_ops *, void *aux);
void stream_write(struct stream *, const void *, size_t);       /* Queues. */
size_t stream_backlog(const struct stream *);                   /* Bytes queued, not yet with the kernel. */
void stream_set_low_mark(struct stream *, size_t bytes);
void stream_cork(struct stream *, bool on);                     /* What is written gathers up to some KiB, or until it is off again. */
void stream_read_enable(struct stream *, bool);
void stream_set_read_size(struct stream *, size_t bytes);      /* At most so much is read in a turn of the loop; at least 1, at most (and without this) 64 KiB. */
const char *stream_peer(const struct stream *);                 /* "tcp:127.0.0.1:6653", "unix:/path", "unix:(client)". */
bool stream_peer_refused(const struct stream *);                /* TLS: it failed because of the peer's certificate. */
/* TLS: fn for each name of the peer's certificate, as tls_session_peer_names(). False, and no name, without TLS. */
bool stream_peer_names(const struct stream *, void (*fn)(const char *name, void *aux), void *aux);
bool stream_peer_uid(const struct stream *, unsigned *uid);     /* Unix sockets: SO_PEERCRED. */

typedef void stream_accept_fn(struct stream *, void *aux);      /* The callee owns the stream and sets its ops at once. */
struct stream_listener *stream_listen(struct event_base *, const char *target, struct tls_config *,
                                      stream_accept_fn *, void *aux, struct err *);
unsigned stream_listener_port(const struct stream_listener *);  /* TCP: bound port (for port 0). */
void stream_listener_pause(struct stream_listener *, unsigned ms);      /* Accepts nobody for that time: who comes waits in the kernel, or is not let in. */
void stream_listener_close(struct stream_listener *);           /* Unlinks a unix socket that it made. */

#endif
