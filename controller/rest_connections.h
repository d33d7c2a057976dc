/*
 * Connections of the API's listeners: how many there may be, and how long one may take to ask.
 *
 * evhttp bounds neither. Who can reach the TLS listener needs no token to connect, so without bounds a stranger takes
 * every descriptor that switches need. Here the remote listener rests while its connections are at the limit, and one
 * that has shown no whole request within REST_ASK_LIMIT_S (handshake and body included) is cut. A listener that finds
 * no descriptor rests for up to a second, instead of waking the loop for ever.
 *
 * A connection is known by its SSL object: libevent frees that with the connection, and its ex_data's destructor tells
 * us here. Loop thread only.
 */
#ifndef CONTROLLER_REST_CONNECTIONS_H
#define CONTROLLER_REST_CONNECTIONS_H 1

#include <event2/http.h>
#include <openssl/ssl.h>
#include "lib/util.h"

#define REST_ASK_LIMIT_S 60

struct rest_connections;

/* max: of TLS connections at a time. */
struct rest_connections *rest_connections_new(struct event_base *, struct clock, unsigned max);
/* Before evhttp_free(): nothing of libevent's is touched afterwards. */
void rest_connections_free(struct rest_connections *);
void rest_connections_listener(struct rest_connections *, struct evhttp_bound_socket *, bool remote);
struct bufferevent *rest_connections_accept(struct rest_connections *, struct event_base *, SSL_CTX *);
/* A connection with a request at work may take its time. */
void rest_connections_busy(struct rest_connections *, struct evhttp_request *, bool busy);

#endif
