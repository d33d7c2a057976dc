/*
 * vswctl: looks into the vswitchd of this host.
 *
 * One command per run: a request to the control socket, its answer as a table (or raw, -o json). The files: vswctl.c
 * (options, commands), vswctl_client.c (the socket), vswctl_print.c (tables), vswctl_trace.c (a trace as a story),
 * vswctl_capture.c (pcap files).
 */
#ifndef UTILITIES_VSWCTL_H
#define UTILITIES_VSWCTL_H 1

#include <stdbool.h>
#include <stddef.h>
#include "lib/err.h"
#include "lib/json.h"

struct vswctl {
    int fd;                     /* The control socket. */
    bool json;                  /* -o json. */
    char *in;                   /* Received and not yet used. */
    size_t n_in, room;
};

/* Connects; `socket` or `name` may be NULL (then the only one under /run/polder). */
bool vswctl_connect(struct vswctl *, const char *socket, const char *name, struct err *);
void vswctl_close(struct vswctl *);
/* Sends a request; takes `params` (NULL: none). */
bool vswctl_send(struct vswctl *, const char *method, cJSON *params, struct err *);
/* Next line from vswitchd: {"result"} or {"packet"}; an {"error"} becomes `err`. The caller deletes. seconds 0: wait for ever (or a signal: NULL, err ERR_NONE). */
cJSON *vswctl_receive(struct vswctl *, unsigned seconds, struct err *);
/* Send, receive, and the "result" alone. */
cJSON *vswctl_call(struct vswctl *, const char *method, cJSON *params, struct err *);

/* Tables; each takes the result of the method of its name. */
void print_show(const cJSON *);
void print_ports(const cJSON *);
void print_queues(const cJSON *);
void print_port(const cJSON *);         /* One port, in full. */
void print_flows(const cJSON *);
void print_groups(const cJSON *);
void print_drops(const cJSON *);
void print_perf(const cJSON *before, const cJSON *after);
void print_trace(const cJSON *, const cJSON *ports);

/* The capture command; argv after the word "capture". */
bool capture_command(struct vswctl *, int argc, char **argv, struct err *);

/* Member of an object as text ("-" when absent; numbers as decimal), in one of a few static buffers. */
const char *text_of(const cJSON *object, const char *key);
unsigned long long number_of(const cJSON *object, const char *key);

#endif
