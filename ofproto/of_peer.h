/* For tests: one end of a connection that records what it gets, and the loop that both ends live in.  Real sockets, on loopback. */
#ifndef OFPROTO_OF_PEER_H
#define OFPROTO_OF_PEER_H 1

#include "ofproto/of_conn.h"

struct event_base;

enum { PEER_KEEP = 64 };

struct of_peer {
    struct of_conn *conn;       /* NULL when the test or a callback closed it. */
    unsigned n_up, n_down, n_drained, n_messages;
    char why[200];              /* Of the last `down`. */
    /* The last messages, oldest first; of_peer_take() removes them. */
    struct of_msg got[PEER_KEEP];
    unsigned n_got;
    /* Counted and dropped instead of kept. */
    unsigned n_multipart, n_elements, n_more, n_packet_ins;
    bool keep_packet_ins;       /* As any other message. */
    bool close_on_up, close_on_message, close_on_down;
};

extern const struct of_conn_ops of_peer_ops;
struct of_peer *of_peer_new(void);
void of_peer_free(struct of_peer *);            /* Closes. */
/* The oldest message that was kept, which the caller finis; fails the test when there is none within a few seconds. */
struct of_msg of_peer_take(struct event_base *, struct of_peer *);
/* Takes the oldest message, and checks that it is this error. */
void of_peer_expect_error(struct event_base *, struct of_peer *, uint16_t type, uint16_t code);

/* Runs the loop until *what reaches `at_least`; false after a few seconds. */
bool loop_until(struct event_base *, const unsigned *what, unsigned at_least);
void loop_for(struct event_base *, unsigned ms);

/* A blocking socket to a loopback port, for bytes that of_conn would not send. */
int raw_connect(unsigned port);
void raw_send_hex(int fd, const char *hex);
/* Reads what is there, running the loop, until `size` bytes have come or the peer has closed; returns how many. */
size_t raw_read(struct event_base *, int fd, uint8_t *out, size_t size);

#endif
