/*
 * Errors meant for people.
 *
 * A function that can fail for a reason a user can mend takes `struct err *` as its last parameter, which may not be
 * NULL, returns false (or NULL), and fills it once. `field` is the path of the offending input
 * ("vpcs[0].networks[1].subnet", "ports[2].devargs"), empty when no input is to blame. `message` is one line without
 * the field; `hint` says what to do next and may be empty. System-call style functions return 0 or -errno instead.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H 1

#include <stdbool.h>
#include <stdarg.h>

enum err_code {                 /* Also the exit code of vpcctl and vswctl, see err_exit_code(). */
    ERR_NONE = 0,
    ERR_FAILED,                 /* 1: something went wrong that is not the caller's fault. */
    ERR_INVALID,                /* 1: the input is not valid. */
    ERR_USAGE,                  /* 2 */
    ERR_NOT_FOUND,              /* 3 */
    ERR_CONFLICT,               /* 4: exists already, in use, quota, or a revision that is no longer current. */
    ERR_DENIED,                 /* 5 */
    ERR_TIMEOUT,                /* 6 */
    ERR_UNREACHABLE,            /* 7 */
};

struct err {
    enum err_code code;
    char field[160];
    char message[400];
    char hint[240];
};

#define ERR_INIT ((struct err) { .code = ERR_NONE })

/* Fills `e`; `field` may be NULL.  Always returns false, so that callers can `return err_set(...)`. */
bool err_set(struct err *e, enum err_code code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Sets the hint of an error that is already filled; returns false. */
bool err_hint(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prefixes the field of a filled error with `prefix`, joined by "." unless the field is empty or starts with '['. */
bool err_prefix(struct err *e, const char *prefix);

int err_exit_code(enum err_code);
const char *err_code_name(enum err_code);              /* "not_found" … */
enum err_code err_code_from_name(const char *name);    /* ERR_FAILED for unknown names. */
/* "field: message (hint)" into `out`, without the parts that are empty. Returns `out`. */
char *err_format(const struct err *, char *out, unsigned size);

#endif
