#define LOG_MODULE "control"
#include "vswitch/control.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/buf.h"
#include "lib/hmap.h"
#include "lib/log.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "vswitch/rpc.h"
#include "vswitch/vswitch.h"

#define MAX_CONNECTIONS 64
#define HIGH_MARK (1 << 20)
#define LOW_MARK (256 << 10)

struct control {
    struct vswitch *vs;
    struct stream_listener *listener;
    struct list conns;
    unsigned n_conns;
};

struct control_conn {
    struct control *control;
    struct list node;
    struct stream *stream;
    struct buf in;              /* Requests not yet served. */
    struct control_job *job;
    struct event *later;
};

struct vswitch *control_vswitch(struct control_conn *conn)
{
    return conn->control->vs;
}

void control_write(struct control_conn *conn, const char *text, size_t size)
{
    stream_write(conn->stream, text, size);
}

bool control_backed_up(struct control_conn *conn)
{
    return stream_backlog(conn->stream) >= HIGH_MARK;
}

void control_later(struct control_conn *conn)
{
    event_active(conn->later, EV_TIMEOUT, 1);
}

static void write_tree(struct control_conn *conn, cJSON *tree)
{
    char *text = json_text(tree, false);
    stream_write(conn->stream, text, strlen(text));
    stream_write(conn->stream, "\n", 1);
    free(text);
    cJSON_Delete(tree);
}

void control_reply(struct control_conn *conn, uint64_t id, cJSON *result)
{
    cJSON *reply = cJSON_CreateObject();
    json_add_u64(reply, "id", id);
    cJSON_AddItemToObject(reply, "result", result);
    write_tree(conn, reply);
}

void control_reply_error(struct control_conn *conn, uint64_t id, const struct err *err)
{
    cJSON *reply = json_from_err(err);
    json_add_u64(reply, "id", id);
    write_tree(conn, reply);
}

void control_job_end(struct control_conn *conn)
{
    conn->job = NULL;
    control_later(conn);
}

static void conn_free(struct control_conn *conn)
{
    if (conn->job) {
        conn->job->cancel(conn->job);
    }
    event_free(conn->later);
    stream_close(conn->stream);
    buf_fini(&conn->in);
    list_remove(&conn->node);
    conn->control->n_conns--;
    free(conn);
}

static void start_job(struct control_conn *conn, control_job_fn *fn, uint64_t id, const cJSON *params)
{
    struct err err = ERR_INIT;
    struct json_reader r;
    cJSON *empty = params ? NULL : cJSON_CreateObject();
    json_root(&r, params ? params : empty, &err);
    json_is_object(&r);
    struct control_job *job = err.code ? NULL : fn(conn, id, &r);
    cJSON_Delete(empty);
    if (!job) {
        control_reply_error(conn, id, &err);
        return;
    }
    conn->job = job;
    control_later(conn);
}

static void serve(struct control_conn *conn, const char *line, size_t size)
{
    struct err err = ERR_INIT;
    struct rpc_request req;
    if (!rpc_parse(line, size, &req, &err)) {
        control_reply_error(conn, req.id, &err);
        return;
    }
    if (!strcmp(req.method, "flows")) {
        start_job(conn, control_flows, req.id, req.params);
    } else if (!strcmp(req.method, "capture")) {
        start_job(conn, control_capture, req.id, req.params);
    } else {
        cJSON *result = rpc_call(conn->control->vs, req.method, req.params, RPC_LOCAL, &err);
        if (result) {
            control_reply(conn, req.id, result);
        } else {
            control_reply_error(conn, req.id, &err);
        }
    }
    cJSON_Delete(req.tree);
}

/* Serves whole lines until a job runs or the client is behind. */
static void serve_lines(struct control_conn *conn)
{
    size_t from = 0;
    while (!conn->job && !control_backed_up(conn)) {
        const char *start = (const char *) conn->in.data + from;
        const char *end = conn->in.size > from ? memchr(start, '\n', conn->in.size - from) : NULL;
        if (!end) {
            break;
        }
        if (end > start) {
            serve(conn, start, (size_t) (end - start));
        }
        from += (size_t) (end - start) + 1;
    }
    buf_consume(&conn->in, from);
}

static void go_on(struct control_conn *conn)
{
    if (conn->job) {
        conn->job->resume(conn->job);
    } else {
        serve_lines(conn);
    }
}

static void on_later(evutil_socket_t fd, short what, void *conn)
{
    (void) fd;
    (void) what;
    go_on(conn);
}

static long on_readable(struct stream *s, const uint8_t *data, size_t size, void *conn_)
{
    struct control_conn *conn = conn_;
    (void) s;
    buf_put(&conn->in, data, size);
    serve_lines(conn);
    if (conn->in.size > RPC_MAX_REQUEST) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_INVALID, NULL, "a request is longer than %d bytes", RPC_MAX_REQUEST);
        LOG_RATE(LOG_WARN, 10, "%s", err.message);
        conn_free(conn);
        return -1;
    }
    return (long) size;
}

static void on_drained(struct stream *s, void *conn)
{
    (void) s;
    go_on(conn);
}

static void on_closed(struct stream *s, const char *why, void *conn)
{
    (void) s;
    LOG(LOG_DEBUG, "client left: %s", why);
    conn_free(conn);
}

static const struct stream_ops conn_ops = { .readable = on_readable, .drained = on_drained, .closed = on_closed };

static void on_accept(struct stream *s, void *control_)
{
    struct control *control = control_;
    if (control->n_conns >= MAX_CONNECTIONS) {
        LOG_RATE(LOG_WARN, 10, "more than %d clients of the control socket: one is refused", MAX_CONNECTIONS);
        stream_close(s);
        return;
    }
    struct control_conn *conn = XNEW(struct control_conn);
    conn->control = control;
    conn->stream = s;
    conn->later = event_new(control->vs->base, -1, 0, on_later, conn);
    list_push_back(&control->conns, &conn->node);
    control->n_conns++;
    stream_set_ops(s, &conn_ops, conn);
    stream_set_low_mark(s, LOW_MARK);
}

struct control *control_new(struct vswitch *vs, struct err *err)
{
    struct control *control = XNEW(struct control);
    control->vs = vs;
    list_init(&control->conns);
    char *target = xasprintf("punix:%s", vs->config.control_socket);
    control->listener = stream_listen(vs->base, target, NULL, on_accept, control, err);
    free(target);
    if (!control->listener) {
        str_copy(err->field, sizeof err->field, "control_socket");
        free(control);
        return NULL;
    }
    if (chmod(vs->config.control_socket, 0660)) {
        err_set(err, ERR_FAILED, "control_socket", "cannot set the mode of %s: %s", vs->config.control_socket, strerror(errno));
        control_free(control);
        return NULL;
    }
    return control;
}

void control_free(struct control *control)
{
    struct control_conn *conn;
    LIST_FOR_EACH (conn, node, &control->conns) {
        conn_free(conn);
    }
    stream_listener_close(control->listener);
    free(control);
}
