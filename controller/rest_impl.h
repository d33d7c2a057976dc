/* What rest.c (server, authentication, replies), rest_routes.c (routes) and api_json.c (bodies) share. */
#ifndef CONTROLLER_REST_IMPL_H
#define CONTROLLER_REST_IMPL_H 1

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include "controller/auth.h"
#include "controller/rest.h"
#include "controller/rest_connections.h"
#include "lib/buf.h"
#include "lib/hmap.h"
#include "lib/json.h"

#define REST_MAX_HEADERS (16 << 10)
#define REST_MAX_BODY (16 << 20)
#define REST_TIMEOUT_S 30
#define REST_MAX_CONNECTIONS 4096       /* Remote ones at a time. */
#define REST_MAX_WAIT_MS 600000u        /* Of installed?timeout_ms. */

struct rest_request;
struct rest_route {
    enum evhttp_cmd_type method;
    const char *path;           /* Ends with '/': a prefix. */
    const char *label;          /* For metrics. */
    bool operator_only;
    void (*handle)(struct rest_request *);
    const char *query;          /* Names of query parameters, each followed by a space. */
};
extern const struct rest_route rest_routes[];
extern const unsigned rest_n_routes;

struct rest_counter { const char *label; int code; uint64_t n; };

struct rest {
    struct controller *controller;
    struct evhttp *local, *remote;
    struct rest_connections *connections;
    struct tls_config *tls;
    struct tokens *tokens;
    bool socket_made;           /* The unix socket is ours to unlink. */
    struct list requests;
    struct rest_counter *counters; unsigned n_counters;
};

/* One request, from its arrival to its reply; rest_reply*() ends and frees it. */
struct rest_request {
    struct list node;           /* In rest.requests. */
    struct rest *rest;
    struct evhttp_request *http;
    const char *label;
    struct principal who;
    char *path;                 /* Decoded. */
    const char *tail;           /* Of path, behind the route's prefix. */
    struct evkeyvalq query;
    cJSON *body, *answer;       /* As the route needs them while it waits. */
};

/* rest.c */
static inline struct controller *rest_controller(const struct rest_request *r) { return r->rest->controller; }
static inline const char *rest_tenant(const struct rest_request *r) { return *r->who.tenant ? r->who.tenant : NULL; }    /* NULL: operator. */
const char *rest_query(const struct rest_request *, const char *name);         /* NULL when absent. */
bool rest_query_u64(struct rest_request *, const char *name, uint64_t max, uint64_t dflt, uint64_t *out, struct err *);
void rest_reply_json(struct rest_request *, cJSON *taken);                     /* 200. */
void rest_reply_object(struct rest_request *, cJSON *taken, uint64_t revision);/* 200 with an ETag. */
void rest_reply_text(struct rest_request *, const char *type, struct buf *);   /* 200. */
void rest_reply_err(struct rest_request *, const struct err *);
void rest_metrics(const struct rest *, struct buf *);

/* api_json.c */
cJSON *api_object(struct controller *, enum model_kind, const void *object, bool for_operator);
cJSON *api_changes(const struct model_change *, unsigned n);

#endif
