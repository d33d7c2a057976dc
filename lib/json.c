#include "lib/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json_scan.h"
#include "lib/util.h"

static const double two_53 = 9007199254740992.0;

/* cJSON returns NULL only without memory in what is used here. */
static cJSON *have(cJSON *item)
{
    if (!item) {
        fprintf(stderr, "out of memory (JSON)\n");
        abort();
    }
    return item;
}

cJSON *json_parse(const char *text, size_t size, size_t max_size, struct err *err)
{
    struct json_scan_error e;
    if (size > max_size) {
        err_set(err, ERR_INVALID, NULL, "a JSON text of %zu bytes is too long; at most %zu are allowed", size, max_size);
        return NULL;
    }
    if (!json_scan(text, size, &e)) {
        err_set(err, ERR_INVALID, NULL, "line %u, column %u: %s", e.line, e.column, e.what);
        return NULL;
    }
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, size, &end, false);
    if (!root) {
        err_set(err, ERR_FAILED, NULL, "cJSON refused a valid JSON text of %zu bytes", size);
    }
    return root;
}

cJSON *json_load(const char *path, size_t max_size, struct err *err)
{
    struct buf text = BUF_INIT;
    cJSON *root = NULL;
    FILE *f = fopen(path, "re");
    if (!f) {
        err_set(err, ERR_FAILED, NULL, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    size_t n;
    do {
        n = fread(buf_put_uninit(&text, 16384), 1, 16384, f);
        text.size -= 16384 - n;
    } while (n && text.size <= max_size);
    if (ferror(f)) {
        err_set(err, ERR_FAILED, NULL, "cannot read %s: %s", path, strerror(errno));
    } else if (text.size > max_size) {
        err_set(err, ERR_INVALID, NULL, "%s: longer than the %zu bytes that are allowed", path, max_size);
    } else if (!(root = json_parse((const char *) text.data, text.size, max_size, err))) {
        struct err inner = *err;
        err_set(err, inner.code, NULL, "%.180s: %.200s", path, inner.message);
    }
    fclose(f);
    buf_fini(&text);
    return root;
}

/* How many bytes the valid UTF-8 character at `s` has; 0 if there is none. */
static size_t utf8_char(const char *s)
{
    size_t left = strnlen(s, 4);
    for (size_t n = 1; n <= left; n++) {
        if (utf8_valid(s, n)) {
            return n;
        }
    }
    return 0;
}

static void put_string(struct buf *out, const char *s)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    buf_put_u8(out, '"');
    while (*s) {
        const char *e = strchr(escaped, *s);
        size_t n = utf8_char(s);
        if (e) {
            buf_printf(out, "\\%c", names[e - escaped]);
        } else if (!n) {
            buf_puts(out, "\\ufffd");                   /* Bytes from outside never make our own output invalid. */
        } else if ((unsigned char) *s < 0x20) {
            buf_printf(out, "\\u%04x", (unsigned char) *s);
        } else {
            buf_put(out, s, n);
        }
        s += n ? n : 1;
    }
    buf_put_u8(out, '"');
}

/* cJSON's own printer writes 10^15 as 1e+15, which many readers take for a float. */
static void put_number(struct buf *out, double d)
{
    char text[32];
    if (!isfinite(d)) {
        buf_puts(out, "null");
    } else if (d == floor(d) && fabs(d) <= two_53) {
        buf_printf(out, "%.0f", d == 0 ? 0.0 : d);
    } else {
        snprintf(text, sizeof text, "%.15g", d);
        if (strtod(text, NULL) != d) {
            snprintf(text, sizeof text, "%.17g", d);
        }
        buf_puts(out, text);
    }
}

static void put_break(struct buf *out, int indent)
{
    if (indent >= 0) {
        buf_printf(out, "\n%*s", indent * 2, "");
    }
}

/* `indent` is the level, -1 for compact text. */
static void put_value(struct buf *out, const cJSON *v, int indent)
{
    if (cJSON_IsObject(v) || cJSON_IsArray(v)) {
        bool object = cJSON_IsObject(v);
        int inner = indent < 0 ? -1 : indent + 1;
        buf_put_u8(out, object ? '{' : '[');
        for (const cJSON *child = v->child; child; child = child->next) {
            put_break(out, inner);
            if (object) {
                put_string(out, child->string);
                buf_puts(out, indent < 0 ? ":" : ": ");
            }
            put_value(out, child, inner);
            if (child->next) {
                buf_put_u8(out, ',');
            }
        }
        if (v->child) {
            put_break(out, indent);
        }
        buf_put_u8(out, object ? '}' : ']');
    } else if (cJSON_IsString(v)) {
        put_string(out, v->valuestring);
    } else if (cJSON_IsNumber(v)) {
        put_number(out, v->valuedouble);
    } else {
        buf_puts(out, cJSON_IsTrue(v) ? "true" : cJSON_IsFalse(v) ? "false" : cJSON_IsRaw(v) ? v->valuestring : "null");
    }
}

char *json_text(const cJSON *v, bool indented)
{
    struct buf out = BUF_INIT;
    put_value(&out, v, indented ? 0 : -1);
    return buf_steal_cstr(&out);
}

static cJSON *add(cJSON *object, const char *key, cJSON *item)
{
    have(item);
    if (!cJSON_AddItemToObject(object, key, item)) {
        have(NULL);
    }
    return item;
}

void json_add_u64(cJSON *object, const char *key, uint64_t x)
{
    if (x <= UINT64_C(1) << 53) {
        add(object, key, cJSON_CreateNumber((double) x));
    } else {
        json_add_format(object, key, "%llu", (unsigned long long) x);
    }
}

void json_add_string(cJSON *object, const char *key, const char *value)
{
    add(object, key, cJSON_CreateString(value));
}

void json_add_format(cJSON *object, const char *key, const char *format, ...)
{
    struct buf b = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&b, format, args);
    va_end(args);
    json_add_string(object, key, buf_cstr(&b));
    buf_fini(&b);
}

void json_add_bool(cJSON *object, const char *key, bool value)
{
    add(object, key, cJSON_CreateBool(value));
}

cJSON *json_add_object(cJSON *object, const char *key)
{
    return add(object, key, cJSON_CreateObject());
}

cJSON *json_add_array(cJSON *object, const char *key)
{
    return add(object, key, cJSON_CreateArray());
}

cJSON *json_append_object(cJSON *array)
{
    cJSON *item = have(cJSON_CreateObject());
    if (!cJSON_AddItemToArray(array, item)) {
        have(NULL);
    }
    return item;
}

/* On the wire the message repeats the field, so that a client that shows nothing else still names it. */
cJSON *json_from_err(const struct err *e)
{
    cJSON *root = have(cJSON_CreateObject()), *o = json_add_object(root, "error");
    json_add_string(o, "code", err_code_name(e->code));
    json_add_string(o, "field", e->field);
    json_add_format(o, "message", "%s%s%s", e->field, e->field[0] ? ": " : "", e->message);
    json_add_string(o, "hint", e->hint);
    return root;
}

static const char *string_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

bool json_to_err(const cJSON *root, struct err *e)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, "error");
    if (!cJSON_IsObject(o) || !string_of(o, "code")[0]) {
        return false;
    }
    const char *field = string_of(o, "field"), *message = string_of(o, "message");
    size_t n = strlen(field);
    if (n && !strncmp(message, field, n) && !strncmp(message + n, ": ", 2)) {
        message += n + 2;
    }
    err_set(e, err_code_from_name(string_of(o, "code")), field, "%s", message);
    err_hint(e, "%s", string_of(o, "hint"));
    return true;
}
