/* The capture method: one line {"id","packet":{…}} per frame until the count, the port's end or the client's, then the result. */
#include "vswitch/control.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/util.h"
#include "vswitch/capture.h"
#include "vswitch/vswitch.h"

struct capture_job {
    struct control_job job;
    struct control_conn *conn;
    struct capture *capture;
    uint64_t id;
    const char *ended;          /* Why, once it has. */
};

static void on_frame(const struct capture_frame *f, void *job_)
{
    struct capture_job *job = job_;
    struct buf b = BUF_INIT;
    char *data = base64_encode(f->data, f->captured);
    buf_printf(&b, "{\"id\":%" PRIu64 ",\"packet\":{\"ts_ns\":\"%" PRIu64 "\",\"len\":%" PRIu32 ",\"dir\":\"%s\",\"data\":\"%s\"}}\n",
               job->id, f->ts_ns, f->len, f->is_tx ? "tx" : "rx", data);
    control_write(job->conn, buf_cstr(&b), b.size);
    free(data);
    buf_fini(&b);
}

static bool is_ready(void *job)
{
    return !control_backed_up(((struct capture_job *) job)->conn);
}

static void on_done(const char *why, void *job_)
{
    struct capture_job *job = job_;
    job->ended = why;
    control_later(job->conn);   /* Ends from resume(): this is called from within the capture. */
}

static void finish(struct capture_job *job)
{
    uint64_t captured, lost;
    cJSON *result = cJSON_CreateObject();
    capture_counts(job->capture, &captured, &lost);
    json_add_u64(result, "captured", captured);
    json_add_u64(result, "lost", lost);
    json_add_string(result, "ended", job->ended);
    capture_stop(job->capture);
    control_reply(job->conn, job->id, result);
    control_job_end(job->conn);
    free(job);
}

static void resume(struct control_job *job_)
{
    struct capture_job *job = CONTAINER_OF(job_, struct capture_job, job);
    if (!job->ended) {
        capture_resume(job->capture);
    } else {
        finish(job);
    }
}

static void cancel(struct control_job *job_)
{
    struct capture_job *job = CONTAINER_OF(job_, struct capture_job, job);
    capture_stop(job->capture);
    free(job);
}

static const struct capture_ops ops = { .frame = on_frame, .ready = is_ready, .done = on_done };

struct control_job *control_capture(struct control_conn *conn, uint64_t id, struct json_reader *params)
{
    struct capture_job *job = XNEW(struct capture_job);
    job->job = (struct control_job) { resume, cancel };
    job->conn = conn;
    job->id = id;
    job->capture = capture_start(control_vswitch(conn), params, &ops, job, params->err);
    if (!job->capture) {
        free(job);
        return NULL;
    }
    return &job->job;
}
