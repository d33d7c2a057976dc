/*
 * Topology presets: a slice's document says which shape, and this writes the switches and links that it does not give.
 *
 *   one-switch   one big switch "s1" over the slice's edges
 *   mirror       a switch for each edge, called like it, and a link for each two of them that are neighbours: joined by a
 *                physical link, or by a path over fabric switches only
 *
 * What is written is read as if it had been in the document, behind what was; so what a preset made is changed, deleted
 * and counted like anything else, and applying it again adds what has become possible since.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

void model_set_neighbours(struct model *m, model_neighbours_fn *fn, void *aux)
{
    m->neighbours = fn;
    m->neighbours_aux = aux;
}

static cJSON *array_of(cJSON *slice, const char *key)
{
    cJSON *array = cJSON_GetObjectItemCaseSensitive(slice, key);
    return array ? array : json_add_array(slice, key);
}

static cJSON *named(const cJSON *array, const char *name)
{
    cJSON *o;
    cJSON_ArrayForEach(o, array) {
        const char *has = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "name"));
        if (has && !strcmp(has, name)) {
            return o;
        }
    }
    return NULL;
}

static bool one_switch(struct json_reader *r, cJSON *slice)
{
    cJSON *switches = array_of(slice, "switches");
    int n = cJSON_GetArraySize(switches);
    if (n > 1) {
        return json_fail(r, "switches", "are %d, where the topology is one-switch", n);
    }
    if (cJSON_IsArray(switches) && !n) {
        json_add_string(json_append_object(switches), "name", "s1");
    }
    return true;
}

/* "PREFIX", and the names with "--" between; where that is too long or could be two others', a hash of them. */
static void join_names(char out[33], const char *prefix, const char *a, const char *b)
{
    char text[80];
    int n = snprintf(text, sizeof text, "%s%s%s%s", prefix, a, *b ? "--" : "", b);
    if (n > 32 || (*b && (strstr(a, "--") || strstr(b, "--")))) {
        snprintf(out, 33, "%sx%08x", prefix, hash_bytes(b, strlen(b), hash_bytes(a, strlen(a), 0)));
    } else {
        str_copy(out, 33, text);
    }
}

static void add_link(cJSON *links, const char *a, const char *b)
{
    char name[33], to_a[33], to_b[33], end[2 * 33];
    join_names(name, "", a, b);
    if (named(links, name)) {
        return;
    }
    join_names(to_a, "to-", a, "");
    join_names(to_b, "to-", b, "");
    cJSON *link = json_append_object(links);
    json_add_string(link, "name", name);
    cJSON *ends = json_add_array(link, "ends");
    snprintf(end, sizeof end, "%s/%s", a, to_b);
    cJSON_AddItemToArray(ends, cJSON_CreateString(end));
    snprintf(end, sizeof end, "%s/%s", b, to_a);
    cJSON_AddItemToArray(ends, cJSON_CreateString(end));
}

struct mirror { const struct edge *from; const cJSON *edges; cJSON *links; };

static bool has_string(const cJSON *array, const char *text)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array) {
        if (cJSON_IsString(item) && !strcmp(item->valuestring, text)) {
            return true;
        }
    }
    return false;
}

/* Each pair once, from the edge of the lower index. */
static void on_neighbour(const struct edge *e, void *mirror_)
{
    struct mirror *x = mirror_;
    if (e->index > x->from->index && has_string(x->edges, e->name)) {
        add_link(x->links, x->from->name, e->name);
    }
}

static bool mirror(struct reading *d, struct json_reader *r, cJSON *slice)
{
    const cJSON *edges = cJSON_GetObjectItemCaseSensitive(slice, "edges"), *edge;
    cJSON *switches = array_of(slice, "switches"), *links = array_of(slice, "links");
    if (!cJSON_GetArraySize(edges)) {
        json_fail(r, "edges", "is required");
        return err_hint(d->err, "the topology mirror has a switch for each edge that is named here");
    }
    if (!d->model->neighbours) {
        return json_fail(r, "topology", "mirror needs to know the physical links, and nothing here does");
    }
    if (!cJSON_IsArray(switches) || !cJSON_IsArray(links)) {
        return true;                            /* The reader will say so. */
    }
    cJSON_ArrayForEach(edge, edges) {
        const struct object *o = cJSON_IsString(edge) ? model_lookup(d->model, KIND_EDGE, edge->valuestring) : NULL;
        if (!o) {
            continue;                           /* Likewise. */
        }
        cJSON *s = named(switches, edge->valuestring);
        if (!s) {
            s = json_append_object(switches);
            json_add_string(s, "name", edge->valuestring);
        }
        if (!cJSON_GetObjectItemCaseSensitive(s, "edges")) {
            cJSON_AddItemToArray(json_add_array(s, "edges"), cJSON_CreateString(edge->valuestring));
        }
        struct mirror x = { object_public((struct object *) o), edges, links };
        d->model->neighbours(x.from, on_neighbour, &x, d->model->neighbours_aux);
    }
    return true;
}

bool topology_expand(struct reading *d, struct json_reader *r, cJSON **expanded)
{
    const char *text;
    enum doc_value v = doc_string(r, "topology", &text);
    *expanded = NULL;
    if (v == DOC_ABSENT || (v == DOC_STRING && !strcmp(text, "custom"))) {
        return !d->err->code;
    }
    bool one = v == DOC_STRING && !strcmp(text, "one-switch");
    if (!one && (v != DOC_STRING || strcmp(text, "mirror"))) {
        json_fail(r, "topology", "%.40s is none that is known", v == DOC_NULL ? "null" : text);
        return err_hint(d->err, "topologies are one-switch, mirror and custom");
    }
    *expanded = cJSON_Duplicate(r->value, true);
    bool ok = one ? one_switch(r, *expanded) : mirror(d, r, *expanded);
    r->value = ok ? *expanded : r->value;
    return ok;
}
