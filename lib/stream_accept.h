/* What stream.c offers to stream_listener.c only. */
#ifndef LIB_STREAM_ACCEPT_H
#define LIB_STREAM_ACCEPT_H 1

#include "lib/stream.h"
#include "lib/target.h"

/* Parses the text and makes its socket, non-blocking and not connected yet; -1 and err when it cannot be, or speaks TLS and has no configuration for it. */
int stream_socket(const char *text, bool listener, const struct tls_config *, struct target *, struct err *);
/* Takes the connected, non-blocking `fd` over.  `peer` is whom accept() named; peer->tls says whether TLS is spoken.  The
 * stream reads nothing before stream_set_ops(). */
struct stream *stream_new_accepted(struct event_base *, int fd, const struct target *peer, struct tls_config *);

#endif
