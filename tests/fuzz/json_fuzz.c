/*
 * Whatever json_parse() accepts, cJSON alone accepts as the same tree, it prints, and the print parses to the same
 * tree. Reading it as a configuration must end in an error with a field and a message, or in none.
 */
#include <stdlib.h>
#include <string.h>
#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void read_all(struct json_reader *r, unsigned depth)
{
    struct json_reader a, e;
    (void) json_string(r, "name", "none");
    (void) json_string_opt(r, "path");
    (void) json_u64(r, "n", 1, 1000, 1);
    (void) json_bool(r, "flag", true);
    json_array(r, "list", false, &a);
    for (size_t i = 0; i < json_array_size(&a) && depth < JSON_MAX_DEPTH; i++) {
        json_element(&a, i, &e);
        read_all(&e, depth + 1);
    }
    (void) json_end(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    cJSON *v = json_parse((const char *) data, size, 1 << 20, &err);
    if (!v) {
        require(err.code == ERR_INVALID && err.message[0]);
        return 0;
    }
    cJSON *lax = cJSON_ParseWithLength((const char *) data, size);
    require(lax && cJSON_Compare(v, lax, true));
    cJSON_Delete(lax);
    for (int indented = 0; indented <= 1; indented++) {
        char *text = json_text(v, indented);
        cJSON *back = json_parse(text, strlen(text), SIZE_MAX, &err);
        require(back && cJSON_Compare(v, back, true));
        cJSON_Delete(back);
        free(text);
    }
    struct json_reader r;
    json_root(&r, v, &err);
    read_all(&r, 0);
    require(err.code == ERR_NONE || err.message[0]);
    cJSON_Delete(v);
    return 0;
}
