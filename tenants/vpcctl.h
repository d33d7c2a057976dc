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
    OPT_IF_REVISION, OPT_TOPOLOGY, OPT_EDGES, OPT_CONTROLLER, OPT_LISTEN, OPT_NUMBER, OPT_DATAPATH_ID, OPT_ENDS, OPT_HELP, N_OPTIONS
};
struct given { enum option option; const char *value; };
struct args {
    const char *values[N_OPTIONS];      /* The last one given. */
    struct given *given;                /* All options with a value, in order. */
    unsigned n_given;
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

/* --- vpcctl_apply.c --- */
struct yaml_places;
/* Documents from files, merged into one that remembers where each node was written. */
struct input { cJSON *document; struct yaml_places *places; };
void input_init(struct input *);
void input_fini(struct input *);
bool input_load_file(struct input *, const char *name, struct err *);
/* Tells where in the user's files the server's complaint points. */
void input_place_error(const struct input *, struct err *);
/* Prints what changed, waits if asked to, and ends with the revision. */
bool conclude(struct vpcctl *, const cJSON *answer, struct err *);

/* --- Shared by commands --- */
/* A kind by its singular or plural, or NULL; the end of the rows has a NULL name. */
struct api_kind { const char *name, *plural; bool deletable; };
extern const struct api_kind api_kinds[];
const struct api_kind *find_kind(const char *word);
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
