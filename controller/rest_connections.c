#define LOG_MODULE "rest"
#include "controller/rest_connections.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "lib/hmap.h"
#include "lib/log.h"

enum { N_LISTENERS = 2 };       /* Local and remote. */

struct rest_connections {
    struct clock clock;
    unsigned n, max;
    int ex_index;
    struct list conns;
    struct { struct evconnlistener *l; bool remote; } listeners[N_LISTENERS];
    unsigned n_listeners;
    struct event *tick;
};

struct connection {
    struct list node;
    struct rest_connections *owner;     /* NULL: gone before. */
    SSL *ssl;
    uint64_t since_ns;          /* When it was accepted, or had its last answer. */
    bool busy;
};

static void update(struct rest_connections *c)
{
    for (unsigned i = 0; i < c->n_listeners; i++) {
        bool rest = c->listeners[i].remote && c->n >= c->max;
        if ((rest ? evconnlistener_disable : evconnlistener_enable)(c->listeners[i].l)) {
            LOG_RATE(LOG_ERROR, 5, "the API's listener cannot be %s", rest ? "paused" : "resumed");
        }
    }
}

static void on_ssl_free(void *parent UNUSED, void *conn_, CRYPTO_EX_DATA *ad UNUSED, int index UNUSED, long argl UNUSED, void *argp UNUSED)
{
    struct connection *conn = conn_;
    if (conn) {
        struct rest_connections *c = conn->owner;
        list_remove(&conn->node);
        if (c) {
            c->n--;
            update(c);
        }
        free(conn);
    }
}

static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *c_)
{
    struct rest_connections *c = c_;
    uint64_t now = clock_now_ns(&c->clock);
    struct connection *conn;
    LIST_FOR_EACH (conn, node, &c->conns) {
        if (!conn->busy && now - conn->since_ns > REST_ASK_LIMIT_S * UINT64_C(1000000000)) {
            /* evhttp hears of it as the peer's end.  That there is nothing to shut down any more is fine. */
            (void) shutdown(SSL_get_fd(conn->ssl), SHUT_RDWR);
        }
    }
    update(c);                  /* Also for those that rest because of an error. */
}

/* No descriptor is to be had, usually.  The argument is evhttp's. */
static void on_error(struct evconnlistener *l, void *bound UNUSED)
{
    LOG_RATE(LOG_WARN, 5, "cannot accept a connection to the API: %s", strerror(errno));
    if (evconnlistener_disable(l)) {
        LOG_RATE(LOG_ERROR, 5, "the API's listener cannot be paused");
    }
}

struct rest_connections *rest_connections_new(struct event_base *base, struct clock clock, unsigned max)
{
    static const struct timeval second = { .tv_sec = 1 };
    struct rest_connections *c = XNEW(struct rest_connections);
    c->clock = clock;
    c->max = max;
    list_init(&c->conns);
    c->ex_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_free);
    c->tick = event_new(base, -1, EV_PERSIST, on_tick, c);
    if (c->ex_index < 0 || !c->tick || event_add(c->tick, &second)) {
        LOG(LOG_ERROR, "no memory for the API's connections");
        abort();
    }
    return c;
}

void rest_connections_free(struct rest_connections *c)
{
    struct connection *conn;
    if (c) {
        LIST_FOR_EACH (conn, node, &c->conns) {
            list_remove(&conn->node);
            conn->owner = NULL;
        }
        for (unsigned i = 0; i < c->n_listeners; i++) {
            evconnlistener_set_error_cb(c->listeners[i].l, NULL);
        }
        event_free(c->tick);
        free(c);
    }
}

void rest_connections_listener(struct rest_connections *c, struct evhttp_bound_socket *bound, bool remote)
{
    struct evconnlistener *l = evhttp_bound_socket_get_listener(bound);
    c->listeners[c->n_listeners].l = l;
    c->listeners[c->n_listeners++].remote = remote;
    evconnlistener_set_error_cb(l, on_error);
}

struct bufferevent *rest_connections_accept(struct rest_connections *c, struct event_base *base, SSL_CTX *context)
{
    struct connection *conn = XNEW(struct connection);
    conn->owner = c;
    conn->since_ns = clock_now_ns(&c->clock);
    conn->ssl = SSL_new(context);
    if (!conn->ssl || !SSL_set_ex_data(conn->ssl, c->ex_index, conn)) {
        goto no_memory;
    }
    list_push_back(&c->conns, &conn->node);
    c->n++;
    struct bufferevent *b = bufferevent_openssl_socket_new(base, -1, conn->ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!b) {
        goto no_memory;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(b, 1);
    update(c);
    return b;

no_memory:
    LOG(LOG_ERROR, "no memory for a TLS connection");   /* Without a bufferevent of ours evhttp would serve it in plain text. */
    abort();
}

void rest_connections_busy(struct rest_connections *c, struct evhttp_request *http, bool busy)
{
    struct evhttp_connection *ec = evhttp_request_get_connection(http);
    struct bufferevent *b = ec ? evhttp_connection_get_bufferevent(ec) : NULL;
    SSL *ssl = b ? bufferevent_openssl_get_ssl(b) : NULL;
    struct connection *conn = ssl ? SSL_get_ex_data(ssl, c->ex_index) : NULL;
    if (conn) {
        conn->busy = busy;
        conn->since_ns = clock_now_ns(&c->clock);
    }
}
