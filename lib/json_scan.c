#define _GNU_SOURCE 1          /* qsort_r */
#include "lib/json_scan.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/util.h"

struct key { size_t offset, size; const char *at; };    /* `size` bytes of scan.key_bytes from `offset`; `at` in the text. */

struct scan {
    const char *start, *p, *end;
    struct buf key_bytes;       /* Unescaped keys of all objects that are open; a stack. */
    struct buf keys;            /* struct key, likewise. */
    struct json_scan_error *error;
};

static bool fail_at(struct scan *s, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool value(struct scan *, unsigned depth);

static bool fail_at(struct scan *s, const char *at, const char *format, ...)
{
    va_list args;
    struct json_scan_error *e = s->error;
    e->line = e->column = 1;
    for (const char *p = s->start; p < at; p++) {
        e->column = *p == '\n' ? 1 : e->column + 1;
        e->line += *p == '\n';
    }
    va_start(args, format);
    vsnprintf(e->what, sizeof e->what, format, args);
    va_end(args);
    return false;
}

static bool fail(struct scan *s, const char *expected)
{
    if (s->p == s->end) {
        return fail_at(s, s->p, "the text ends where %s should be", expected);
    }
    unsigned char c = (unsigned char) *s->p;
    return c > 0x20 && c < 0x7f ? fail_at(s, s->p, "'%c' where %s should be", c, expected)
                                : fail_at(s, s->p, "byte 0x%02x where %s should be", c, expected);
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r')) {
        s->p++;
    }
}

static bool accept(struct scan *s, char c)
{
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return true;
    }
    return false;
}

static bool literal(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t) (s->end - s->p) < n || memcmp(s->p, word, n)) {
        return fail(s, "a value");
    }
    s->p += n;
    return true;
}

/* The four digits after "\u". */
static bool hex4(struct scan *s, uint32_t *out)
{
    char digits[5] = "";
    uint64_t x;
    memcpy(digits, s->p, MIN((size_t) (s->end - s->p), (size_t) 4));
    if (strlen(digits) != 4 || !str_to_hex(digits, 4, &x)) {
        return fail_at(s, s->p, "\\u needs four hexadecimal digits");
    }
    s->p += 4;
    *out = (uint32_t) x;
    return true;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_put_u8(out, (uint8_t) c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = { 0, 0xc0, 0xe0, 0xf0 };
    buf_put_u8(out, (uint8_t) (lead[more] | c >> (6 * more)));
    while (more--) {
        buf_put_u8(out, (uint8_t) (0x80 | (c >> (6 * more) & 0x3f)));
    }
}

/* After the backslash. */
static bool escape(struct scan *s, struct buf *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *at = s->p - 1, *name = s->p < s->end && *s->p ? strchr(names, *s->p) : NULL;
    if (name) {
        buf_put_u8(out, (uint8_t) values[name - names]);
        s->p++;
        return true;
    }
    if (!accept(s, 'u')) {
        return fail_at(s, at, "an escape that JSON does not have");
    }
    uint32_t c, low;
    if (!hex4(s, &c)) {
        return false;
    }
    if (c >= 0xd800 && c < 0xdc00) {
        if (!accept(s, '\\') || !accept(s, 'u') || !hex4(s, &low) || low < 0xdc00 || low > 0xdfff) {
            return fail_at(s, at, "half of a surrogate pair");
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return fail_at(s, at, "half of a surrogate pair");
    } else if (!c) {
        return fail_at(s, at, "the character U+0000 is not allowed");
    }
    put_utf8(out, c);
    return true;
}

/* Appends the unescaped string to `out`. */
static bool string(struct scan *s, struct buf *out)
{
    const char *open = s->p;
    if (!accept(s, '"')) {
        return fail(s, "a string");
    }
    for (;;) {
        const char *run = s->p;
        while (s->p < s->end && (unsigned char) *s->p >= 0x20 && *s->p != '"' && *s->p != '\\') {
            s->p++;
        }
        if (!utf8_valid(run, (size_t) (s->p - run))) {
            return fail_at(s, run, "this string is not valid UTF-8");
        }
        buf_put(out, run, (size_t) (s->p - run));
        if (s->p == s->end) {
            return fail_at(s, open, "this string never ends");
        }
        if (accept(s, '"')) {
            return true;
        }
        if (!accept(s, '\\')) {
            return fail_at(s, s->p, "control characters in strings must be escaped");
        }
        if (!escape(s, out)) {
            return false;
        }
    }
}

static size_t digits(struct scan *s)
{
    const char *first = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        s->p++;
    }
    return (size_t) (s->p - first);
}

/* Zeros in front say where the point is, no more. */
static size_t significant_digits(const char *p, const char *end)
{
    size_t n = 0;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        n += *p >= '0' && *p <= '9' && (n || *p != '0');
    }
    return n;
}

static bool number(struct scan *s)
{
    const char *start = s->p;
    bool whole = true;
    accept(s, '-');
    if (!accept(s, '0') && !digits(s)) {
        return fail(s, "a digit");
    }
    if (accept(s, '.')) {
        if (!digits(s)) {
            return fail(s, "a digit");
        }
        whole = false;
    }
    if (accept(s, 'e') || accept(s, 'E')) {
        if (!accept(s, '+')) {
            accept(s, '-');
        }
        if (!digits(s)) {
            return fail(s, "a digit");
        }
        whole = false;
    }
    /* cJSON copies numbers into 64 bytes and reads them as doubles: whatever that would change is refused. */
    char text[64];
    size_t size = (size_t) (s->p - start);
    if (size >= sizeof text || (!whole && significant_digits(start, s->p) > 17)) {
        return fail_at(s, start, "this number has too many digits");
    }
    memcpy(text, start, size);
    text[size] = '\0';
    uint64_t u;
    double d = strtod(text, NULL), limit = 9007199254740992.0;
    bool fits = whole ? str_to_u64(text + (*text == '-'), UINT64_C(1) << 53, &u) : d > -limit && d < limit;
    return fits || fail_at(s, start, "this number is beyond 2^53; write it as a string");
}

static int compare_keys(const void *a_, const void *b_, void *bytes)
{
    const struct key *a = a_, *b = b_;
    const char *base = bytes;
    int c = memcmp(base + a->offset, base + b->offset, MIN(a->size, b->size));
    return c ? c : a->size != b->size ? (a->size < b->size ? -1 : 1) : a->at < b->at ? -1 : a->at > b->at;
}

/* Of the keys from number `first` on. */
static bool keys_unique(struct scan *s, size_t first)
{
    struct key *keys = (struct key *) (void *) s->keys.data + first;
    const char *bytes = s->key_bytes.size ? (const char *) s->key_bytes.data : "";       /* Empty keys have no bytes at all. */
    size_t n = s->keys.size / sizeof *keys - first;
    if (n < 2) {
        return true;
    }
    qsort_r(keys, n, sizeof *keys, compare_keys, (void *) (uintptr_t) bytes);
    for (size_t i = 1; i < n; i++) {
        const struct key *a = &keys[i - 1], *b = &keys[i];
        if (a->size == b->size && !memcmp(bytes + a->offset, bytes + b->offset, a->size)) {
            return fail_at(s, b->at, "duplicate key \"%.*s\"", (int) MIN(b->size, (size_t) 100), bytes + b->offset);
        }
    }
    return true;
}

static bool object(struct scan *s, unsigned depth)
{
    size_t bytes_before = s->key_bytes.size, keys_before = s->keys.size;
    s->p++;
    skip_space(s);
    if (accept(s, '}')) {
        return true;
    }
    do {
        struct key k = { .offset = s->key_bytes.size };
        skip_space(s);
        k.at = s->p;
        if (s->p < s->end && *s->p != '"') {
            return fail(s, "a key in double quotes");
        }
        if (!string(s, &s->key_bytes)) {
            return false;
        }
        k.size = s->key_bytes.size - k.offset;
        buf_put(&s->keys, &k, sizeof k);
        skip_space(s);
        if (!accept(s, ':')) {
            return fail(s, "':'");
        }
        if (!value(s, depth)) {
            return false;
        }
    } while (accept(s, ','));
    if (!accept(s, '}')) {
        return fail(s, "',' or '}'");
    }
    if (!keys_unique(s, keys_before / sizeof(struct key))) {
        return false;
    }
    s->key_bytes.size = bytes_before;
    s->keys.size = keys_before;
    return true;
}

static bool array(struct scan *s, unsigned depth)
{
    s->p++;
    skip_space(s);
    if (accept(s, ']')) {
        return true;
    }
    do {
        if (!value(s, depth)) {
            return false;
        }
    } while (accept(s, ','));
    return accept(s, ']') || fail(s, "',' or ']'");
}

/* A value and the white space around it; `depth` levels are open around it. */
static bool value(struct scan *s, unsigned depth)
{
    bool ok;
    skip_space(s);
    char c = s->p < s->end ? *s->p : '\0';
    if ((c == '{' || c == '[') && depth == JSON_MAX_DEPTH) {
        return fail_at(s, s->p, "more than %d levels deep", JSON_MAX_DEPTH);
    }
    switch (c) {
    case '{': ok = object(s, depth + 1); break;
    case '[': ok = array(s, depth + 1); break;
    case '"': {
        size_t before = s->key_bytes.size;      /* Only checked: the bytes are dropped at once. */
        ok = string(s, &s->key_bytes);
        s->key_bytes.size = before;
        break;
    }
    case 't': ok = literal(s, "true"); break;
    case 'f': ok = literal(s, "false"); break;
    case 'n': ok = literal(s, "null"); break;
    default: ok = c == '-' || (c >= '0' && c <= '9') ? number(s) : fail(s, "a value"); break;
    }
    skip_space(s);
    return ok;
}

bool json_scan(const char *text, size_t size, struct json_scan_error *error)
{
    struct scan s = { .start = text, .p = text, .end = text + size, .error = error };
    bool ok = value(&s, 0);
    if (ok && s.p < s.end) {
        ok = fail_at(&s, s.p, "more text after the end of the document");
    }
    buf_fini(&s.key_bytes);
    buf_fini(&s.keys);
    return ok;
}
