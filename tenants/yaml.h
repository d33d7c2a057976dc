/*
 * Apply documents from YAML 1.2 into the same cJSON trees that JSON gives.
 *
 * Events of libfyaml, not its documents, so that what people's files may do is bounded here: depth as JSON's, aliases
 * by number and by what they copy, no tags, no keys but strings, no key twice. Plain scalars resolve by YAML's core
 * schema; a number that would not survive as a number (leading zeros as in datapath ids, more than 53 bits, fractions)
 * is an error that says to quote it. Several documents in one text are one: their lists are concatenated. Errors say
 * file:line:column. Places remember where each node came from, so that a server's error about
 * "vpcs[0].networks[1].subnet" can be shown with its line.
 */
#ifndef TENANTS_YAML_H
#define TENANTS_YAML_H 1

#include <stdbool.h>
#include <stddef.h>
#include <cjson/cJSON.h>
#include "lib/buf.h"
#include "lib/err.h"

#define YAML_MAX_SIZE (16u << 20)
#define YAML_MAX_ALIASES 1000
#define YAML_MAX_COPIED 100000          /* Nodes that aliases may copy in one text. */
#define YAML_MAX_KEYS 1000              /* Of one mapping. */

struct yaml_places;
struct yaml_places *yaml_places_new(void);
void yaml_places_free(struct yaml_places *);
/* Where a node (or the nearest one around the path that exists) was written: "FILE:LINE" into out, or false. */
bool yaml_place(const struct yaml_places *, const cJSON *root, const char *path, char *out, size_t size);

/* An object, the caller's; NULL and err otherwise. `places` may be NULL. */
cJSON *yaml_load(const char *text, size_t size, const char *file, struct yaml_places *places, struct err *);
/* Moves what `from` has into `into` (lists are concatenated) and deletes `from`. False when both have something that is no list under one key. */
bool yaml_merge(cJSON *into, cJSON *from, struct err *);
/* Block-style YAML, every string quoted that some reader could take for something else. */
void yaml_write(struct buf *, const cJSON *);

#endif
