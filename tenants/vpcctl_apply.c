/* apply and diff: documents from files, and what an answer says. */
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

bool input_load_file(struct input *in, const char *name, struct err *err)
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
        ok = ok && input_load_file(in, path, err);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return ok && (n || err_set(err, ERR_INVALID, NULL, "the directory %s has no *.yaml", name));
}

void input_init(struct input *in)
{
    in->document = cJSON_CreateObject();
    in->places = yaml_places_new();
}

static bool load_inputs(struct vpcctl *v, struct input *in, struct err *err)
{
    bool ok = true;
    if (!v->args->values[OPT_FILE]) {
        err_set(err, ERR_USAGE, "-f", "is missing");
        return err_hint(err, "name a YAML file, a directory of them, or - for standard input");
    }
    input_init(in);
    for (unsigned i = 0; i < v->args->n_given && ok; i++) {
        const char *name = v->args->given[i].value;
        struct stat st;
        if (v->args->given[i].option != OPT_FILE) {
            continue;
        }
        if (!strcmp(name, "-")) {
            ok = load_stream(in, stdin, "(stdin)", err);
        } else if (*name && !stat(name, &st) && S_ISDIR(st.st_mode)) {
            ok = load_directory(in, name, err);
        } else {
            ok = input_load_file(in, name, err);
        }
    }
    return ok;
}

void input_fini(struct input *in)
{
    cJSON_Delete(in->document);
    if (in->places) {
        yaml_places_free(in->places);
    }
}

void input_place_error(const struct input *in, struct err *err)
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

bool conclude(struct vpcctl *v, const cJSON *answer, struct err *err)
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
        input_place_error(&in, err);
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
        input_place_error(&in, err);
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
