/*
 * Methods: what the control socket and Polder's OpenFlow messages can ask of vswitchd.
 *
 * One row per method (name, function, who may call it). A method reads its parameters through a strict reader, and
 * gives a result object or an error that names the parameter. Methods whose answers are long (flows) or endless
 * (capture) are the control socket's alone, and streams.
 */
#ifndef VSWITCH_RPC_H
#define VSWITCH_RPC_H 1

#include "lib/json.h"

struct vswitch;
enum rpc_origin { RPC_LOCAL = 1, RPC_OPENFLOW = 2 };

/* The method's result (a new tree), or NULL and `err`. */
cJSON *rpc_call(struct vswitch *, const char *method, const cJSON *params, enum rpc_origin, struct err *);
/* One whole request text ({"id"?,"method","params"?}) to its reply text without a line end, malloc'd. */
char *rpc_text(struct vswitch *, const char *json, size_t size, enum rpc_origin);

struct rpc_request {
    cJSON *tree;                /* The caller deletes; method and params point into it. */
    uint64_t id;                /* 0 when the request has none (or could not be read). */
    const char *method;
    const cJSON *params;        /* NULL when absent. */
};
bool rpc_parse(const char *json, size_t size, struct rpc_request *, struct err *);

/* Rows' functions, by file.  Each reads its parameters from `p` and ends it (json_end), before it changes anything; NULL and *p->err otherwise. */
typedef cJSON *rpc_fn(struct vswitch *, struct json_reader *p);
rpc_fn rpc_ports, rpc_port_add, rpc_port_add_remote, rpc_port_del, rpc_port_del_remote, rpc_port_queues, rpc_drops;       /* rpc_ports.c */
rpc_fn rpc_groups, rpc_trace;                                   /* rpc_flows.c */
rpc_fn rpc_perf;                                                /* rpc_perf.c */

#define RPC_MAX_REQUEST (1 << 20)

#endif
