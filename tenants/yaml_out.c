#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/util.h"
#include "tenants/yaml.h"

/* Also what YAML 1.1 readers take for something else. */
static bool is_plain(const char *s)
{
    static const char *const words[] = { "true", "false", "null", "yes", "no", "on", "off", "y", "n" };
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcasecmp(s, words[i])) {
            return false;
        }
    }
    return *s && strchr(letters, *s) && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/.")] == '\0';
}

static void put_string(struct buf *out, const char *s)
{
    if (is_plain(s)) {
        buf_puts(out, s);
        return;
    }
    cJSON *node = cJSON_CreateString(s);
    char *text = json_text(node, false);        /* A JSON string is a YAML double-quoted one. */
    buf_puts(out, text);
    free(text);
    cJSON_Delete(node);
}

static void put(struct buf *out, const cJSON *v, unsigned indent, bool in_list)
{
    bool object = cJSON_IsObject(v);
    for (const cJSON *c = v->child; c; c = c->next) {
        if (!in_list || c != v->child) {
            buf_printf(out, "%*s", (int) indent, "");
        }
        if (object) {
            put_string(out, c->string);
            buf_puts(out, ":");
        } else {
            buf_puts(out, "-");
        }
        if ((cJSON_IsObject(c) || cJSON_IsArray(c)) && c->child) {
            buf_puts(out, object ? "\n" : " ");
            put(out, c, indent + 2, !object);
            continue;
        }
        buf_puts(out, " ");
        if (cJSON_IsString(c)) {
            put_string(out, c->valuestring);
        } else {
            char *text = json_text(c, false);
            buf_puts(out, text);
            free(text);
        }
        buf_puts(out, "\n");
    }
}

void yaml_write(struct buf *out, const cJSON *v)
{
    put(out, v, 0, false);
}
