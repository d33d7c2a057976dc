/*
 * The control socket: JSON lines over a unix socket, for vswctl.
 *
 * One request per line, one reply per line, in order. A connection whose client does not read is not served further
 * until it does. Long answers are jobs: they write as the stream drains and give the loop back in between; while a job
 * runs, further requests of its connection wait.
 */
#ifndef VSWITCH_CONTROL_H
#define VSWITCH_CONTROL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/err.h"
#include "lib/json.h"

struct control;
struct control_conn;
struct vswitch;

struct control_job {
    void (*resume)(struct control_job *);       /* The output drained (or the job just began): write more. May end the job. */
    void (*cancel)(struct control_job *);       /* The connection is gone: free. Nothing may be written. */
};

struct control *control_new(struct vswitch *, struct err *);
void control_free(struct control *);            /* Cancels jobs, closes connections, unlinks the socket. */

/* For jobs. */
struct vswitch *control_vswitch(struct control_conn *);
void control_write(struct control_conn *, const char *text, size_t);
bool control_backed_up(struct control_conn *);                          /* Enough is queued; wait for resume(). */
void control_later(struct control_conn *);                              /* Calls resume() in the next turn of the loop. */
void control_reply(struct control_conn *, uint64_t id, cJSON *result);  /* Takes `result`. */
void control_reply_error(struct control_conn *, uint64_t id, const struct err *);
void control_job_end(struct control_conn *);    /* The job has written its reply and frees itself; the next request is served. */

/* Methods that are jobs: NULL and `err` when the parameters are not valid. */
typedef struct control_job *control_job_fn(struct control_conn *, uint64_t id, struct json_reader *params);
control_job_fn control_flows, control_capture;          /* control_flows.c, control_capture.c */

#endif
