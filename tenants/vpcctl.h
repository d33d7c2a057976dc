/*
 * vpcctl: the operator's and the tenants' command line, a client of controllerd's REST API.
 *
 * A command reads its arguments from `struct args`, talks through api_call(), prints what it has to say on stdout, and
 * returns true, or false with `err` filled: main() prints the error on stderr and turns its code into the exit code.
 * `exit_code` is for what is no error but no success either (differences found, a packet dropped).
 */
#ifndef TENANTS_VPCCTL_H
#define TENANTS_VPCCTL_H 1

#include <stdbool.h>
#include <cjson/cJSON.h>
#include "lib/buf.h"
#include "lib/err.h"

enum option {
    OPT_SERVER, OPT_TOKEN, OPT_TOKEN_FILE, OPT_CA, OPT_OUTPUT, OPT_FILE, OPT_WAIT, OPT_TIMEOUT, OPT_DRY_RUN, OPT_TENANT, OPT_SUBNET, OPT_SUBNET6, OPT_MAC, OPT_IP, OPT_EDGE, OPT_TO,
    OPT_IF_REVISION, OPT_HELP, N_OPTIONS
};
struct args {
    const char *values[N_OPTIONS];      /* The last one given. */
    const char **files, **ips;          /* All -f and --ip, in order. */
    unsigned n_files, n_ips;
    const char **words;                 /* The others, the command left out. */
    unsigned n_words;
};
enum output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_YAML };
struct vpcctl {
    const char *server;
    char *token;                        /* Or NULL. */
    const char *ca;
    enum output output;
    bool wait;
    unsigned timeout_ms;
    const char *tenant;
    const struct args *args;
    int exit_code;
};

/* --- vpcctl_http.c --- */
/* One request.  `path` begins with "/v1/"; the body may be NULL.  The answer (NULL: none wanted) is the caller's.  The server's errors come back as they are. */
bool api_call(const struct vpcctl *, const char *method, const char *path, const cJSON *body, const char *if_match, unsigned timeout_ms, cJSON **answer, struct err *);
/* A path from literal text and a name whose bytes are escaped, slashes kept; free(). */
char *api_path(const char *prefix, const char *name);
bool read_token_file(const char *path, char **token, struct err *);

/* --- Commands --- */
bool command_apply(struct vpcctl *, struct err *);
bool command_diff(struct vpcctl *, struct err *);
bool command_create(struct vpcctl *, struct err *);
bool command_delete(struct vpcctl *, struct err *);
bool command_get(struct vpcctl *, struct err *);
bool command_trace(struct vpcctl *, struct err *);
bool command_whois(struct vpcctl *, struct err *);
bool command_path(struct vpcctl *, struct err *);
bool command_restore(struct vpcctl *, struct err *);
bool command_version(struct vpcctl *, struct err *);
bool command_completion(struct vpcctl *, struct err *);

/* --- Shared by commands --- */
const char *json_get(const cJSON *, const char *dotted);                 /* A string member, "" when absent. */
const cJSON *json_at(const cJSON *, const char *dotted);                 /* Any member, or NULL. */
void put_value(struct buf *, const cJSON *);                             /* For people: strings bare, lists with commas. */
void print_json(const cJSON *, enum output);                             /* As JSON or YAML. */
bool print_changes(const cJSON *answer);                                 /* A line each; true if there were any. */
bool wait_installed(const struct vpcctl *, const char *revision, struct err *);
/* The table of a kind (plural), with what items have. */
void print_table(const char *plural, const cJSON *items, bool wide);
/* Items as an apply document. */
cJSON *document_of(const char *plural, const cJSON *items);

#endif
