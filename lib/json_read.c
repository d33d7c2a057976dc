/* The readers of lib/json.h: one view per value, which knows its path. */
#include "lib/json.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/util.h"

static void init(struct json_reader *r, const cJSON *value, struct err *err)
{
    *r = (struct json_reader) { .value = value, .err = err };
    if (cJSON_IsArray(value)) {
        r->n_elements = (size_t) cJSON_GetArraySize(value);
        r->at = value->child;
    }
}

void json_root(struct json_reader *r, const cJSON *value, struct err *err)
{
    init(r, value, err);
}

static void join(char *out, size_t size, const char *path, const char *key)
{
    size_t n = strlen(str_copy(out, size, path));
    n += strlen(str_copy(out + n, size - n, n && *key ? "." : ""));
    str_copy(out + n, size - n, key);
}

bool json_fail(struct json_reader *r, const char *key, const char *format, ...)
{
    if (r->err->code != ERR_NONE) {
        return false;
    }
    struct buf message = BUF_INIT;
    char field[sizeof r->err->field];
    va_list args;
    va_start(args, format);
    buf_vprintf(&message, format, args);
    va_end(args);
    join(field, sizeof field, r->path, key ? key : "");
    err_set(r->err, ERR_INVALID, field, "%s", buf_cstr(&message));
    buf_fini(&message);
    return false;
}

static const char *type_name(const cJSON *v)
{
    return cJSON_IsObject(v) ? "an object" : cJSON_IsArray(v) ? "an array" : cJSON_IsString(v) ? "a string"
         : cJSON_IsNumber(v) ? "a number" : cJSON_IsBool(v) ? "true or false" : "null";
}

static bool wrong_type(struct json_reader *r, const char *key, const char *wanted, const cJSON *v)
{
    return json_fail(r, key, "must be %s, not %s", wanted, type_name(v));
}

bool json_is_object(struct json_reader *r)
{
    if (!r->value) {
        return json_fail(r, NULL, "is required; give an object");
    }
    return cJSON_IsObject(r->value) || wrong_type(r, NULL, "an object", r->value);
}

/* The member, or NULL when it is absent, the reader's own value is absent, or an error has stuck. */
static const cJSON *find(struct json_reader *r, const char *key, bool required)
{
    for (unsigned i = 0; ; i++) {
        if (i == r->n_asked) {
            assert(r->n_asked < ARRAY_SIZE(r->asked));
            r->asked[r->n_asked++] = key;
            break;
        }
        if (!strcmp(r->asked[i], key)) {
            break;
        }
    }
    if (r->err->code != ERR_NONE || !r->value || !json_is_object(r)) {
        return NULL;
    }
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->value, key);
    if (!v && required) {
        json_fail(r, key, "is required");
    }
    return v;
}

bool json_member(struct json_reader *r, const char *key, bool required, struct json_reader *out)
{
    struct json_reader member;
    init(&member, find(r, key, required), r->err);
    join(member.path, sizeof member.path, r->path, key);
    *out = member;
    return out->value;
}

bool json_array(struct json_reader *r, const char *key, bool required, struct json_reader *out)
{
    if (json_member(r, key, required, out) && !cJSON_IsArray(out->value)) {
        wrong_type(r, key, "an array", out->value);
        init(out, NULL, r->err);
    }
    return out->value;
}

size_t json_array_size(const struct json_reader *array)
{
    return array->n_elements;
}

void json_element(struct json_reader *array, size_t i, struct json_reader *out)
{
    if (i < array->at_index && cJSON_IsArray(array->value)) {
        array->at = array->value->child;
        array->at_index = 0;
    }
    while (array->at && array->at_index < i) {
        array->at = array->at->next;
        array->at_index++;
    }
    struct json_reader e;
    init(&e, array->at, array->err);
    snprintf(e.path, sizeof e.path, "%.100s[%zu]", array->path, i);
    *out = e;
}

const char *json_string(struct json_reader *r, const char *key, const char *dflt)
{
    const cJSON *v = find(r, key, !dflt);
    if (v && cJSON_IsString(v)) {
        return v->valuestring;
    }
    if (v) {
        wrong_type(r, key, "a string", v);
    }
    return dflt ? dflt : "";            /* A required string that is missing: the error has stuck, and nobody meets NULL. */
}

const char *json_string_opt(struct json_reader *r, const char *key)
{
    const cJSON *v = find(r, key, false);
    if (v && !cJSON_IsString(v)) {
        wrong_type(r, key, "a string", v);
        return NULL;
    }
    return v ? v->valuestring : NULL;
}

uint64_t json_u64(struct json_reader *r, const char *key, uint64_t min, uint64_t max, uint64_t dflt)
{
    const cJSON *v = find(r, key, false);
    uint64_t x = 0;
    bool ok;
    if (!v) {
        return dflt;
    }
    if (cJSON_IsNumber(v)) {
        double d = v->valuedouble;
        ok = d >= 0 && d <= 9007199254740992.0 && d == floor(d);
        x = ok ? (uint64_t) d : 0;
    } else if (cJSON_IsString(v)) {
        const char *s = v->valuestring;
        ok = strspn(s, "0123456789") == strlen(s) && str_to_u64(s, UINT64_MAX, &x);
    } else {
        wrong_type(r, key, "a number", v);
        return dflt;
    }
    if (!ok || x < min || x > max) {
        json_fail(r, key, "must be a whole number from %llu to %llu", (unsigned long long) min, (unsigned long long) max);
        return dflt;
    }
    return x;
}

bool json_bool(struct json_reader *r, const char *key, bool dflt)
{
    const cJSON *v = find(r, key, false);
    if (v && !cJSON_IsBool(v)) {
        wrong_type(r, key, "true or false", v);
        return dflt;
    }
    return v ? cJSON_IsTrue(v) : dflt;
}

const char *json_value_string(struct json_reader *r)
{
    if (r->err->code != ERR_NONE) {
        return "";
    }
    if (!r->value) {
        json_fail(r, NULL, "is required; give a string");
        return "";
    }
    if (!cJSON_IsString(r->value)) {
        wrong_type(r, NULL, "a string", r->value);
        return "";
    }
    return r->value->valuestring;
}

static bool asked_for(const struct json_reader *r, const char *key)
{
    for (unsigned i = 0; i < r->n_asked; i++) {
        if (!strcmp(r->asked[i], key)) {
            return true;
        }
    }
    return false;
}

bool json_end(struct json_reader *r)
{
    if (r->err->code != ERR_NONE || !r->value || !json_is_object(r)) {
        return r->err->code == ERR_NONE;
    }
    for (const cJSON *v = r->value->child; v; v = v->next) {
        if (!asked_for(r, v->string)) {
            struct buf known = BUF_INIT;
            for (unsigned i = 0; i < r->n_asked; i++) {
                buf_printf(&known, "%s%s", i ? ", " : "", r->asked[i]);
            }
            json_fail(r, v->string, "unknown key");
            err_hint(r->err, "known keys: %s", known.size ? buf_cstr(&known) : "none");
            buf_fini(&known);
            return false;
        }
    }
    return true;
}
