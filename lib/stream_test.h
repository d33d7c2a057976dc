/* What the stream and TLS tests share: an end of a stream that keeps what happened to it, and a loop with a time limit. */
#ifndef LIB_STREAM_TEST_H
#define LIB_STREAM_TEST_H 1

#include <stdbool.h>
#include "lib/buf.h"
#include "lib/stream.h"

struct end {
    struct stream *s;
    struct buf got;             /* What was consumed. */
    size_t offered;             /* Size of the last offer. */
    size_t quantum;             /* Consumes multiples of this only; 0: everything. */
    bool connected, closed, close_in_readable, close_in_connected;
    unsigned n_drained, n_closed;
    char why[256];
};

struct rig {
    struct event_base *base;
    struct stream_listener *listener;
    struct end client, server;
};

extern const struct stream_ops end_ops;

/* Listens on `listen` and connects there: a listener "ptcp:0:127.0.0.1" is reached at "tcp:127.0.0.1:PORT". */
void rig_init(struct rig *, const char *listen, struct tls_config *server_tls);
bool rig_connect(struct rig *, struct tls_config *client_tls);
void rig_fini(struct rig *);
/* Runs the loop until *flag, at most five seconds; false when the time is up. */
bool rig_run_until(struct rig *, const bool *flag);
bool rig_run_until_got(struct rig *, struct end *, size_t bytes);
void rig_run_for(struct rig *, unsigned ms);

#endif
