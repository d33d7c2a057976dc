/* apply, diff, create, delete: what changes the model, or would. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/json.h"
#include "lib/util.h"
#include "tenants/vpcctl.h"
#include "tenants/yaml.h"

/* --- Documents from files --- */

struct input { cJSON *document; struct yaml_places *places; };

static bool load_stream(struct input *in, FILE *f, const char *name, struct err *err)
{
    struct buf text = BUF_INIT;
    size_t n;
    do {
        n = fread(buf_put_uninit(&text, 65536), 1, 65536, f);
        text.size -= 65536 - n;
    } while (n && text.size <= YAML_MAX_SIZE);
    cJSON *document = NULL;
    if (ferror(f)) {
        err_set(err, ERR_FAILED, NULL, "cannot read %s: %s", name, strerror(errno));
    } else {
        document = yaml_load(buf_cstr(&text), text.size, name, in->places, err);
    }
    buf_fini(&text);
    return document && yaml_merge(in->document, document, err);
}

static bool load_file(struct input *in, const char *name, struct err *err)
{
    FILE *f = fopen(name, "re");
    if (!f) {
        return err_set(err, ERR_FAILED, NULL, "cannot open %s: %s", name, strerror(errno));
    }
    bool ok = load_stream(in, f, name, err);
    fclose(f);
    return ok;
}

static int is_document(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static bool load_directory(struct input *in, const char *name, struct err *err)
{
    struct dirent **entries;
    int n = scandir(name, &entries, is_document, alphasort);
    bool ok = true;
    if (n < 0) {
        return err_set(err, ERR_FAILED, NULL, "cannot read the directory %s: %s", name, strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s%s%s", name, name[strlen(name) - 1] == '/' ? "" : "/", entries[i]->d_name);
        ok = ok && load_file(in, path, err);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return ok && (n || err_set(err, ERR_INVALID, NULL, "the directory %s has no *.yaml", name));
}

static bool load_inputs(struct vpcctl *v, struct input *in, struct err *err)
{
    bool ok = true;
    if (!v->args->n_files) {
        err_set(err, ERR_USAGE, "-f", "is missing");
        return err_hint(err, "name a YAML file, a directory of them, or - for standard input");
    }
    in->document = cJSON_CreateObject();
    in->places = yaml_places_new();
    for (unsigned i = 0; i < v->args->n_files && ok; i++) {
        const char *name = v->args->files[i];
        struct stat st;
        if (!strcmp(name, "-")) {
            ok = load_stream(in, stdin, "(stdin)", err);
        } else if (*name && !stat(name, &st) && S_ISDIR(st.st_mode)) {
            ok = load_directory(in, name, err);
        } else {
            ok = load_file(in, name, err);
        }
    }
    return ok;
}

static void input_fini(struct input *in)
{
    cJSON_Delete(in->document);
    if (in->places) {
        yaml_places_free(in->places);
    }
}

/* Tells where in the user's files the server's complaint points. */
static void place_error(const struct input *in, struct err *err)
{
    char place[100], field[sizeof err->field];
    if (in->document && err->field[0] && yaml_place(in->places, in->document, err->field, place, sizeof place)) {
        str_copy(field, sizeof field, err->field);
        snprintf(err->field, sizeof err->field, "%s: %.50s", place, field);
    }
}

/* --- What an answer says --- */

bool print_changes(const cJSON *answer)
{
    const cJSON *changes = json_at(answer, "changes"), *change;
    cJSON_ArrayForEach(change, changes) {
        const char *action = json_get(change, "action");
        printf("%s %s %s", json_get(change, "kind"), json_get(change, "name"),
               !strcmp(action, "create") ? "created" : !strcmp(action, "update") ? "updated" : !strcmp(action, "delete") ? "deleted" : action);
        const cJSON *field;
        struct buf out = BUF_INIT;
        const cJSON *fields = strcmp(action, "update") ? NULL : json_at(change, "fields");
        cJSON_ArrayForEach(field, fields) {
            buf_printf(&out, "%s%s: ", out.size ? "; " : "", json_get(field, "field"));
            put_value(&out, json_at(field, "old"));
            buf_puts(&out, " -> ");
            put_value(&out, json_at(field, "new"));
        }
        printf(out.size ? " (%s)\n" : "%s\n", buf_cstr(&out));
        buf_fini(&out);
    }
    return cJSON_GetArraySize(changes) > 0;
}

static unsigned long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long) t.tv_sec * 1000 + (unsigned long long) t.tv_nsec / 1000000;
}

/* Asks in slices, and says on stderr what is still missing whenever that changes. */
bool wait_installed(const struct vpcctl *v, const char *revision, struct err *err)
{
    unsigned long long end = now_ms() + v->timeout_ms;
    char last[sizeof err->message] = "";
    for (;;) {
        unsigned long long now = now_ms(), left = end > now ? end - now : 0;
        unsigned slice = (unsigned) MIN(left, 2000);
        char *path = xasprintf("/v1/installed?revision=%s&timeout_ms=%u", revision, slice);
        *err = ERR_INIT;
        bool ok = api_call(v, "GET", path, NULL, NULL, slice + 10000, NULL, err);
        free(path);
        if (ok || err->code != ERR_TIMEOUT || left <= slice) {
            return ok;
        }
        if (strcmp(last, err->message)) {
            fprintf(stderr, "waiting: %s\n", str_copy(last, sizeof last, err->message));
        }
    }
}

/* Prints what changed, waits if asked to, and ends with the revision. */
static bool conclude(struct vpcctl *v, const cJSON *answer, struct err *err)
{
    const cJSON *revision = json_at(answer, "revision");
    char text[24];
    if (cJSON_IsNumber(revision)) {
        snprintf(text, sizeof text, "%.0f", revision->valuedouble);
    } else {
        str_copy(text, sizeof text, json_get(answer, "revision"));
    }
    if (v->output == OUTPUT_JSON || v->output == OUTPUT_YAML) {
        print_json(answer, v->output);
    } else if (print_changes(answer)) {
        printf("revision %s\n", text);
    } else {
        printf("nothing to do, revision %s\n", text);
    }
    fflush(stdout);
    if (!v->wait) {
        return true;
    }
    if (!text[0]) {
        return err_set(err, ERR_FAILED, NULL, "the server's answer has no revision to wait for");
    }
    if (!wait_installed(v, text, err)) {
        return false;
    }
    if (v->output == OUTPUT_TABLE || v->output == OUTPUT_WIDE) {
        printf("installed\n");
    }
    return true;
}

bool command_apply(struct vpcctl *v, struct err *err)
{
    struct input in = { .document = NULL };
    cJSON *answer = NULL;
    bool dry_run = v->args->values[OPT_DRY_RUN];
    bool ok = load_inputs(v, &in, err);
    if (ok && dry_run && v->wait) {
        ok = err_set(err, ERR_USAGE, "--wait", "a dry run installs nothing");
    }
    if (ok && !api_call(v, "POST", dry_run ? "/v1/apply?dry_run=1" : "/v1/apply", in.document, NULL, v->timeout_ms, &answer, err)) {
        place_error(&in, err);
        ok = false;
    }
    ok = ok && conclude(v, answer, err);
    cJSON_Delete(answer);
    input_fini(&in);
    return ok;
}

/* --- diff --- */

static void print_member(const char *mark, const char *name, const cJSON *value)
{
    struct buf out = BUF_INIT;
    put_value(&out, value);
    printf("%s   %s: %s\n", mark, name, buf_cstr(&out));
    buf_fini(&out);
}

static void print_difference(const cJSON *change)
{
    const char *action = json_get(change, "action");
    const char *mark = !strcmp(action, "create") ? "+" : !strcmp(action, "delete") ? "-" : "~";
    const cJSON *field;
    printf("%s %s %s\n", mark, json_get(change, "kind"), json_get(change, "name"));
    cJSON_ArrayForEach(field, json_at(change, "fields")) {
        const char *name = json_get(field, "field");
        const cJSON *old = json_at(field, "old"), *new = json_at(field, "new");
        if (old && !cJSON_IsNull(old)) {
            print_member("-", name, old);
        }
        if (new && !cJSON_IsNull(new) && (*mark != '+' || strcmp(name, "name"))) {
            print_member("+", name, new);
        }
    }
}

bool command_diff(struct vpcctl *v, struct err *err)
{
    struct input in = { .document = NULL };
    cJSON *answer = NULL;
    bool ok = load_inputs(v, &in, err);
    if (ok && !api_call(v, "POST", "/v1/apply?dry_run=1", in.document, NULL, v->timeout_ms, &answer, err)) {
        place_error(&in, err);
        ok = false;
    }
    if (ok) {
        const cJSON *changes = json_at(answer, "changes"), *change;
        v->exit_code = cJSON_GetArraySize(changes) ? 1 : 0;
        if (v->output == OUTPUT_JSON || v->output == OUTPUT_YAML) {
            print_json(answer, v->output);
        } else {
            cJSON_ArrayForEach(change, changes) {
                print_difference(change);
            }
        }
    }
    cJSON_Delete(answer);
    input_fini(&in);
    return ok;
}

/* --- create --- */

static const struct { const char *kind, *plural; unsigned parts; unsigned options; } creatable[] = {
    { "tenant", "tenants", 1, 0 }, { "vpc", "vpcs", 2, 0 }, { "network", "networks", 3, 1u << OPT_SUBNET | 1u << OPT_SUBNET6 },
    { "port", "ports", 4, 1u << OPT_MAC | 1u << OPT_IP | 1u << OPT_EDGE },
};

static unsigned count_parts(const char *name)
{
    unsigned n = 1;
    for (; *name; name++) {
        n += *name == '/';
    }
    return n;
}

static void add_option(cJSON *o, const struct vpcctl *v, enum option option, const char *key)
{
    if (v->args->values[option]) {
        json_add_string(o, key, v->args->values[option]);
    }
}

/* The document that holds the one object, nested as deep as its name. */
static cJSON *create_document(const struct vpcctl *v, const char *name, unsigned parts)
{
    static const char *const lists[] = { "networks", "ports" };
    cJSON *document = cJSON_CreateObject(), *o = NULL;
    char *copy = xstrdup(name), *save = NULL, *part = strtok_r(copy, "/", &save);
    if (parts == 1) {
        o = json_append_object(json_add_array(document, "tenants"));
        json_add_string(o, "name", name);
    } else {
        o = json_append_object(json_add_array(document, "vpcs"));
        json_add_string(o, "tenant", part ? part : "");
        part = strtok_r(NULL, "/", &save);
        json_add_string(o, "name", part ? part : "");
        for (unsigned i = 2; i < parts; i++) {
            o = json_append_object(json_add_array(o, lists[i - 2]));
            part = strtok_r(NULL, "/", &save);
            json_add_string(o, "name", part ? part : "");
        }
    }
    free(copy);
    add_option(o, v, OPT_SUBNET, "subnet");
    add_option(o, v, OPT_SUBNET6, "subnet6");
    add_option(o, v, OPT_MAC, "mac");
    add_option(o, v, OPT_EDGE, "edge");
    cJSON *ips = v->args->n_ips ? json_add_array(o, "ips") : NULL;
    for (unsigned i = 0; i < v->args->n_ips; i++) {
        cJSON_AddItemToArray(ips, cJSON_CreateString(v->args->ips[i]));
    }
    return document;
}

/* apply would merge into what is there, or make the parents: create does neither. */
static bool check_absent(const struct vpcctl *v, unsigned kind, const char *name, struct err *err)
{
    char prefix[40];
    snprintf(prefix, sizeof prefix, "/v1/%s/", creatable[kind].plural);
    char *path = api_path(prefix, name), *slash = strrchr(name, '/');
    bool ok = api_call(v, "GET", path, NULL, NULL, v->timeout_ms, NULL, err);
    free(path);
    if (ok) {
        return err_set(err, ERR_CONFLICT, NULL, "%s %s exists already", creatable[kind].kind, name);
    }
    if (err->code != ERR_NOT_FOUND) {
        return false;
    }
    *err = ERR_INIT;
    if (kind < 2) {             /* A VPC's tenant: apply says if there is none. */
        return true;
    }
    char *parent = xmemdup0(name, (size_t) (slash - name));
    snprintf(prefix, sizeof prefix, "/v1/%s/", creatable[kind - 1].plural);
    path = api_path(prefix, parent);
    ok = api_call(v, "GET", path, NULL, NULL, v->timeout_ms, NULL, err);
    free(path);
    free(parent);
    return ok;
}

/* "vpcs[0].networks[0].subnet" was "--subnet" here. */
static void option_error(struct err *err)
{
    const char *last = strrchr(err->field, '.');
    char option[40];
    if (!last || strchr(last, ']')) {
        last = strstr(err->field, ".ips[");
        snprintf(option, sizeof option, "%s", last ? "--ip" : "");
    } else {
        snprintf(option, sizeof option, "%s%.30s", !strcmp(last, ".name") || !strcmp(last, ".tenant") ? "" : "--", last + 1);
    }
    str_copy(err->field, sizeof err->field, option);
}

bool command_create(struct vpcctl *v, struct err *err)
{
    const char *kind_name = v->args->words[0], *name = v->args->words[1];
    unsigned kind = 0;
    while (kind < ARRAY_SIZE(creatable) && strcmp(kind_name, creatable[kind].kind) && strcmp(kind_name, creatable[kind].plural)) {
        kind++;
    }
    if (kind == ARRAY_SIZE(creatable)) {
        err_set(err, ERR_USAGE, kind_name, "cannot be created so");
        return err_hint(err, "create knows tenant, vpc, network and port; apply knows all");
    }
    static const struct { enum option option; const char *name; } checked[] = {
        { OPT_SUBNET, "--subnet" }, { OPT_SUBNET6, "--subnet6" }, { OPT_MAC, "--mac" }, { OPT_IP, "--ip" }, { OPT_EDGE, "--edge" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(checked); i++) {
        if (v->args->values[checked[i].option] && !(creatable[kind].options >> checked[i].option & 1)) {
            return err_set(err, ERR_USAGE, checked[i].name, "is not for a %s", creatable[kind].kind);
        }
    }
    if (count_parts(name) != creatable[kind].parts || strstr(name, "//") || name[0] == '/' || !*name || name[strlen(name) - 1] == '/') {
        static const char *const forms[] = { "NAME", "TENANT/NAME", "TENANT/VPC/NAME", "TENANT/VPC/NETWORK/NAME" };
        err_set(err, ERR_USAGE, name, "is no name of a %s", creatable[kind].kind);
        return err_hint(err, "it must be %s", forms[kind]);
    }
    cJSON *document = create_document(v, name, creatable[kind].parts), *answer = NULL;
    bool ok = check_absent(v, kind, name, err);
    if (ok && !api_call(v, "POST", "/v1/apply", document, NULL, v->timeout_ms, &answer, err)) {
        option_error(err);
        ok = false;
    }
    ok = ok && conclude(v, answer, err);
    cJSON_Delete(answer);
    cJSON_Delete(document);
    return ok;
}

/* --- delete --- */

bool command_delete(struct vpcctl *v, struct err *err)
{
    static const char *const kinds[] = { "tenant", "vpc", "network", "port", "edge", "fabric-switch" };
    static const char *const plurals[] = { "tenants", "vpcs", "networks", "ports", "edges", "fabric-switches" };
    const char *kind = v->args->words[0], *name = v->args->words[1], *revision = v->args->values[OPT_IF_REVISION];
    uint64_t number;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kind, kinds[i]) && strcmp(kind, plurals[i])) {
            continue;
        }
        if (!*name) {
            return err_set(err, ERR_USAGE, "NAME", "is empty");
        }
        if (revision && !str_to_u64(revision, UINT64_MAX, &number)) {
            return err_set(err, ERR_USAGE, "--if-revision", "%s is no revision", revision);
        }
        cJSON *answer = NULL;
        char prefix[40];
        snprintf(prefix, sizeof prefix, "/v1/%s/", plurals[i]);
        char *path = api_path(prefix, name);
        bool ok = api_call(v, "DELETE", path, NULL, revision, v->timeout_ms, &answer, err) && conclude(v, answer, err);
        free(path);
        cJSON_Delete(answer);
        return ok;
    }
    err_set(err, ERR_USAGE, kind, "is no kind that can be deleted");
    return err_hint(err, "kinds: tenant, vpc, network, port, edge, fabric-switch");
}
