/*
 * The strict front to cJSON.
 *
 * cJSON alone accepts trailing bytes, duplicate keys, bad UTF-8 and `\u0000`, and rounds integers above 2^53.
 * json_parse() refuses those (with line and column in the message), bounds depth and size, and everything after it
 * reads values through `struct json_reader`: a view of one value that knows its own path ("ports[2].devargs"), so that
 * each error names its field. An object reader notes which keys were asked for; json_end() turns a key that nobody
 * asked for into an error. The first error sticks in `err`; after it every getter returns its default, so a reader
 * checks once at the end. 64-bit integers may be JSON strings of decimal digits, and must be above 2^53. Not
 * thread-safe; readers live on the stack and die before the tree.
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>
#include "lib/addr.h"
#include "lib/err.h"

#define JSON_MAX_DEPTH 32

/* Parses exactly `size` bytes.  The caller frees with cJSON_Delete().  NULL and `err` on anything but one valid, strict document. */
cJSON *json_parse(const char *text, size_t size, size_t max_size, struct err *);
/* Reads and parses a file; the error names the file. */
cJSON *json_load(const char *path, size_t max_size, struct err *);
/* Compact (or indented) text, malloc'd (free()). */
char *json_text(const cJSON *, bool indented);
/* Builders that cannot fail. */
void json_add_u64(cJSON *object, const char *key, uint64_t);   /* Number up to 2^53, decimal string above. */
void json_add_string(cJSON *object, const char *key, const char *value);
void json_add_format(cJSON *object, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
void json_add_bool(cJSON *object, const char *key, bool);
cJSON *json_add_object(cJSON *object, const char *key);
cJSON *json_add_array(cJSON *object, const char *key);
cJSON *json_append_object(cJSON *array);
/* {"error":{code,field,message,hint}}, new tree. */
cJSON *json_from_err(const struct err *);
bool json_to_err(const cJSON *, struct err *);                 /* The inverse; false if it is no such object. */

struct json_reader {
    const cJSON *value;         /* NULL when absent. */
    struct err *err;            /* Shared by a whole read; the first error sticks. */
    char path[128];
    const char *asked[48];      /* Keys asked for, for json_end(). */
    unsigned n_asked;
    size_t n_elements;          /* Of an array; counted once. */
    size_t at_index;            /* json_element()'s place, so that walking an array in order is linear. */
    const cJSON *at;
};

void json_root(struct json_reader *, const cJSON *, struct err *);            /* Path "". */
bool json_is_object(struct json_reader *);                                    /* Error unless it is one. */
/* Member readers: false (and out cleared) when the key is absent and `required` is not set. */
bool json_member(struct json_reader *, const char *key, bool required, struct json_reader *out);
bool json_array(struct json_reader *, const char *key, bool required, struct json_reader *out);   /* Must be an array. */
size_t json_array_size(const struct json_reader *array);
void json_element(struct json_reader *array, size_t i, struct json_reader *out);
/* Scalars of an object: the default when absent.  Strings point into the tree. */
const char *json_string(struct json_reader *, const char *key, const char *dflt);          /* dflt NULL: required. */
const char *json_string_opt(struct json_reader *, const char *key);                        /* NULL when absent. */
uint64_t json_u64(struct json_reader *, const char *key, uint64_t min, uint64_t max, uint64_t dflt);
bool json_bool(struct json_reader *, const char *key, bool dflt);
const char *json_value_string(struct json_reader *);                                       /* The value itself. */
/* Error at key (NULL: at the value itself). Sticks like the others; returns false. */
bool json_fail(struct json_reader *, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends an object: unknown keys are an error.  Returns true when no error has stuck so far. */
bool json_end(struct json_reader *);

#endif
