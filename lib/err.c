#include "lib/err.h"

#include <stdio.h>
#include <string.h>

#include "lib/util.h"

static const struct { const char *name; int exit_code; } codes[] = {
    [ERR_NONE] = { "none", 0 },
    [ERR_FAILED] = { "failed", 1 },
    [ERR_INVALID] = { "invalid", 1 },
    [ERR_USAGE] = { "usage", 2 },
    [ERR_NOT_FOUND] = { "not_found", 3 },
    [ERR_CONFLICT] = { "conflict", 4 },
    [ERR_DENIED] = { "denied", 5 },
    [ERR_TIMEOUT] = { "timeout", 6 },
    [ERR_UNREACHABLE] = { "unreachable", 7 },
};

bool err_set(struct err *e, enum err_code code, const char *field, const char *format, ...)
{
    va_list args;
    e->code = code;
    str_copy(e->field, sizeof e->field, field ? field : "");
    e->hint[0] = '\0';
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    return false;
}

bool err_hint(struct err *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->hint, sizeof e->hint, format, args);
    va_end(args);
    return false;
}

bool err_prefix(struct err *e, const char *prefix)
{
    char old[sizeof e->field];
    str_copy(old, sizeof old, e->field);
    const char *dot = old[0] == '\0' || old[0] == '[' || prefix[0] == '\0' ? "" : ".";
    size_t n = strlen(str_copy(e->field, sizeof e->field, prefix));
    n += strlen(str_copy(e->field + n, sizeof e->field - n, dot));
    str_copy(e->field + n, sizeof e->field - n, old);
    return false;
}

int err_exit_code(enum err_code code)
{
    return (size_t) code < ARRAY_SIZE(codes) ? codes[code].exit_code : 1;
}

const char *err_code_name(enum err_code code)
{
    return (size_t) code < ARRAY_SIZE(codes) ? codes[code].name : codes[ERR_FAILED].name;
}

enum err_code err_code_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (!strcmp(codes[i].name, name)) {
            return (enum err_code) i;
        }
    }
    return ERR_FAILED;
}

char *err_format(const struct err *e, char *out, unsigned size)
{
    snprintf(out, size, "%s%s%s%s%s%s", e->field, e->field[0] ? ": " : "", e->message,
             e->hint[0] ? " (" : "", e->hint, e->hint[0] ? ")" : "");
    return out;
}
