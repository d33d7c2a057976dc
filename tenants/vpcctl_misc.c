/* trace, whois, version, completion. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/util.h"
#include "tenants/vpcctl.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static void print_indented(const char *text, int indent)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        printf("%*s%.*s\n", indent, "", (int) n, text);
        text += n + (text[n] == '\n');
    }
}

static void print_trace(const cJSON *answer)
{
    const char *verdict = json_get(answer, "verdict"), *reason = json_get(answer, "reason"), *text = json_get(answer, "text");
    const char *where = "", *sw = "";
    const cJSON *step;
    printf("from %s to %s\n", json_get(answer, "from"), json_get(answer, "to"));
    cJSON_ArrayForEach(step, json_at(answer, "steps")) {
        const char *step_where = json_get(step, "where"), *step_switch = json_get(step, "switch");
        if (strcmp(where, step_where) || strcmp(sw, step_switch)) {
            printf("  %s%s%s\n", step_where, *step_switch ? " " : "", step_switch);
            where = step_where;
            sw = step_switch;
        }
        print_indented(json_get(step, "text"), 4);
    }
    printf("%s%s%s\n", verdict, *reason ? ": " : "", reason);
    if (*text) {
        print_indented(text, 2);
    }
}

bool command_trace(struct vpcctl *v, struct err *err)
{
    const char *to = v->args->values[OPT_TO];
    if (!to) {
        err_set(err, ERR_USAGE, "--to", "is missing");
        return err_hint(err, "usage: vpcctl trace PORT --to IP|MAC");
    }
    char *port = api_path("", v->args->words[0]), *address = api_path("", to);
    char *path = xasprintf("/v1/trace?port=%s&to=%s", port, address);
    cJSON *answer = NULL;
    bool ok = api_call(v, "GET", path, NULL, NULL, v->timeout_ms, &answer, err);
    if (ok) {
        const char *verdict = json_get(answer, "verdict");
        v->exit_code = strcmp(verdict, "delivered") && strcmp(verdict, "answered") ? 1 : 0;
        if (v->output == OUTPUT_JSON || v->output == OUTPUT_YAML) {
            print_json(answer, v->output);
        } else {
            print_trace(answer);
        }
    }
    cJSON_Delete(answer);
    free(path);
    free(port);
    free(address);
    return ok;
}

/* "key: value" a line, the keys aligned. */
static void print_members(const cJSON *o)
{
    const cJSON *item;
    size_t width = 0;
    cJSON_ArrayForEach(item, o) {
        width = MAX(width, strlen(item->string));
    }
    cJSON_ArrayForEach(item, o) {
        struct buf out = BUF_INIT;
        put_value(&out, item);
        printf("%s:%*s%s\n", item->string, (int) (width - strlen(item->string) + 1), "", buf_cstr(&out));
        buf_fini(&out);
    }
}

bool command_whois(struct vpcctl *v, struct err *err)
{
    char *path = api_path("/v1/whois/", v->args->words[0]);
    cJSON *answer = NULL;
    bool ok = api_call(v, "GET", path, NULL, NULL, v->timeout_ms, &answer, err);
    if (ok && (v->output == OUTPUT_JSON || v->output == OUTPUT_YAML)) {
        print_json(answer, v->output);
    } else if (ok) {
        print_members(answer);
    }
    cJSON_Delete(answer);
    free(path);
    return ok;
}

bool command_path(struct vpcctl *v, struct err *err)
{
    char *from = api_path("/v1/path?from=", v->args->words[0]), *path = api_path("&to=", v->args->words[1]), *both = xasprintf("%s%s", from, path);
    cJSON *answer = NULL;
    bool ok = api_call(v, "GET", both, NULL, NULL, v->timeout_ms, &answer, err);
    if (ok && (v->output == OUTPUT_JSON || v->output == OUTPUT_YAML)) {
        print_json(answer, v->output);
    } else if (ok) {
        print_members(answer);
    }
    cJSON_Delete(answer);
    free(from);
    free(path);
    free(both);
    return ok;
}

bool command_restore(struct vpcctl *v, struct err *err)
{
    char *path = api_path("/v1/restore/", v->args->words[0]);
    bool ok = api_call(v, "POST", path, NULL, NULL, v->timeout_ms, NULL, err);
    if (ok) {
        printf("link %s restored\n", v->args->words[0]);
    }
    free(path);
    return ok;
}

bool command_version(struct vpcctl *v, struct err *err)
{
    cJSON *answer = NULL;
    bool structured = v->output == OUTPUT_JSON || v->output == OUTPUT_YAML;
    if (!structured) {                  /* Its own even where there is no controllerd. */
        printf("vpcctl %s\n", PACKAGE_VERSION);
        fflush(stdout);
    }
    bool ok = api_call(v, "GET", "/v1/version", NULL, NULL, v->timeout_ms, &answer, err);
    if (ok && structured) {
        cJSON *versions = cJSON_CreateObject();
        json_add_string(versions, "vpcctl", PACKAGE_VERSION);
        json_add_string(versions, "controllerd", json_get(answer, "version"));
        print_json(versions, v->output);
        cJSON_Delete(versions);
    } else if (ok) {
        printf("controllerd %s\n", json_get(answer, "version"));
    }
    cJSON_Delete(answer);
    return ok;
}

bool command_completion(struct vpcctl *v, struct err *err)
{
    static const char script[] =
#include "tenants/vpcctl_bash.h"
        ;
    if (strcmp(v->args->words[0], "bash")) {
        return err_set(err, ERR_USAGE, v->args->words[0], "completion knows bash only");
    }
    fputs(script, stdout);
    return true;
}
