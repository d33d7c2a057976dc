/* What stream.c offers to stream_listener.c only. */
#ifndef LIB_STREAM_ACCEPT_H
#define LIB_STREAM_ACCEPT_H 1

#include "lib/stream.h"
#include "lib/target.h"

/* Takes the connected, non-blocking `fd` over.  `peer` is whom accept() named; peer->tls says whether TLS is spoken.  The
 * stream reads nothing before stream_set_ops(). */
struct stream *stream_new_accepted(struct event_base *, int fd, const struct target *peer, struct tls_config *);

#endif
