/*
 * A strict check of JSON text (RFC 8259) that builds nothing: json.c runs it before cJSON may see the text.
 *
 * Refused besides bad syntax: trailing bytes, duplicate keys (compared after unescaping), bad UTF-8 and lone
 * surrogates, the character U+0000, a byte order mark, numbers beyond +-2^53 or with more digits than a double keeps,
 * and more than JSON_MAX_DEPTH levels. Memory is bounded by the text's size. Pure; any thread.
 */
#ifndef LIB_JSON_SCAN_H
#define LIB_JSON_SCAN_H 1

#include <stdbool.h>
#include <stddef.h>

struct json_scan_error {
    unsigned line, column;      /* From 1; the column counts bytes. */
    char what[160];
};

bool json_scan(const char *text, size_t size, struct json_scan_error *);

#endif
