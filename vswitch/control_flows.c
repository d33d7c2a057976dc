/*
 * The flows method: flow entries as text, streamed.
 *
 * Formatting a hundred thousand entries takes longer than the loop may be away. So the first turn only notes which
 * entries pass the filter (table, priority and a copy of the match: an entry's identity, which stays meaningful when
 * the entry goes), and later turns look up and print some hundred each. What was removed in between is left out; what
 * was added is not shown.
 */
#include "vswitch/control.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/util.h"
#include "vswitch/vswitch.h"

#define FLOWS_PER_TURN 250

struct flow_ref { uint8_t table; uint16_t priority; struct minimatch *match; };

struct flows_job {
    struct control_job job;
    struct control_conn *conn;
    struct flow_ref *refs;
    size_t n, allocated, next;
    bool any;                   /* An element has been written. */
};

static struct minimatch *minimatch_copy(const struct minimatch *m)
{
    size_t size = sizeof *m + 2 * m->n * sizeof m->words[0];
    return memcpy(xmalloc(size), m, size);
}

static void note(struct flow_entry *e, void *job_)
{
    struct flows_job *job = job_;
    if (job->n == job->allocated) {
        job->allocated = job->allocated ? job->allocated * 2 : 256;
        job->refs = xrealloc(job->refs, job->allocated * sizeof *job->refs);
    }
    job->refs[job->n++] = (struct flow_ref) { e->table_id, e->priority, minimatch_copy(e->match) };
}

static void format_entry(struct vswitch *vs, const struct flow_entry *e, cJSON *o)
{
    struct of_flow_stats s;
    struct buf b = BUF_INIT;
    flow_entry_stats(dp_flows(vs->dp), e, &s);
    json_add_u64(o, "table", s.table_id);
    json_add_u64(o, "priority", s.priority);
    json_add_format(o, "cookie", "0x%" PRIx64, s.cookie);
    json_add_u64(o, "packets", s.packet_count);
    json_add_u64(o, "bytes", s.byte_count);
    json_add_format(o, "duration_s", "%u.%03u", s.duration_sec, s.duration_nsec / 1000000);
    if (s.idle_timeout) {
        json_add_u64(o, "idle_timeout", s.idle_timeout);
    }
    if (s.hard_timeout) {
        json_add_u64(o, "hard_timeout", s.hard_timeout);
    }
    match_format(&s.match, &b);
    json_add_string(o, "match", buf_cstr(&b));
    buf_clear(&b);
    instructions_format(&s.instructions, &b);
    json_add_string(o, "actions", buf_cstr(&b));
    buf_fini(&b);
    of_flow_stats_fini(&s);
}

static void job_free(struct flows_job *job)
{
    for (size_t i = job->next; i < job->n; i++) {
        free(job->refs[i].match);
    }
    free(job->refs);
    free(job);
}

static void write_next(struct flows_job *job)
{
    struct vswitch *vs = control_vswitch(job->conn);
    struct flow_ref *ref = &job->refs[job->next++];
    struct match match;
    minimatch_expand(ref->match, &match);
    free(ref->match);
    struct flow_entry *e = flow_tables_find(dp_flows(vs->dp), ref->table, ref->priority, &match);
    if (e) {
        cJSON *o = cJSON_CreateObject();
        format_entry(vs, e, o);
        char *text = json_text(o, false);
        control_write(job->conn, ",", job->any);
        control_write(job->conn, text, strlen(text));
        job->any = true;
        free(text);
        cJSON_Delete(o);
    }
}

static void resume(struct control_job *job_)
{
    struct flows_job *job = CONTAINER_OF(job_, struct flows_job, job);
    for (unsigned i = 0; i < FLOWS_PER_TURN && job->next < job->n; i++) {
        if (control_backed_up(job->conn)) {
            return;             /* resume() is called when it drained. */
        }
        write_next(job);
    }
    if (job->next < job->n) {
        control_later(job->conn);
        return;
    }
    control_write(job->conn, "]}}\n", 4);
    control_job_end(job->conn);
    job_free(job);
}

static void cancel(struct control_job *job)
{
    job_free(CONTAINER_OF(job, struct flows_job, job));
}

struct control_job *control_flows(struct control_conn *conn, uint64_t id, struct json_reader *params)
{
    char head[64];
    struct of_flow_filter filter = { .out_port = OFPP_ANY, .out_group = OFPG_ANY };
    filter.table_id = (uint8_t) json_u64(params, "table", 0, OF_N_TABLES - 1, OFPTT_ALL);
    const char *text = json_string_opt(params, "match");
    match_init(&filter.match);
    if (!json_end(params)) {
        return NULL;
    }
    if (text && *text && !match_parse(text, &filter.match, params->err)) {
        if (!*params->err->field) {
            str_copy(params->err->field, sizeof params->err->field, "match");
        }
        return NULL;
    }
    struct flows_job *job = XNEW(struct flows_job);
    job->job = (struct control_job) { resume, cancel };
    job->conn = conn;
    flow_tables_each(dp_flows(control_vswitch(conn)->dp), &filter, true, note, job);
    int n = snprintf(head, sizeof head, "{\"id\":%" PRIu64 ",\"result\":{\"flows\":[", id);
    control_write(conn, head, (size_t) n);
    return &job->job;
}
