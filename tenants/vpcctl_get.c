/* get, and objects as documents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/util.h"
#include "tenants/vpcctl.h"

const struct api_kind api_kinds[] = {
    { "tenant", "tenants", true }, { "vpc", "vpcs", true }, { "network", "networks", true }, { "port", "ports", true },
    { "slice", "slices", true }, { "switch", "switches", true }, { "switch-port", "switch-ports", true }, { "virtual-link", "virtual-links", true },
    { "edge", "edges", true }, { "fabric-switch", "fabric-switches", true }, { "link", "links", false }, { NULL, NULL, false },
};

const struct api_kind *find_kind(const char *word)
{
    const struct api_kind *k = api_kinds;
    while (k->name && strcmp(word, k->name) && strcmp(word, k->plural)) {
        k++;
    }
    return k->name ? k : NULL;
}

/* --- Documents --- */

/* The element of the list `key` whose "name" (and "tenant", unless NULL) is this; made when absent.  Items come sorted by name, so it is the last if it is there. */
static cJSON *element(cJSON *o, const char *key, const char *name, const char *tenant)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(o, key);
    list = list ? list : json_add_array(o, key);
    for (cJSON *last = list->child ? list->child->prev : NULL; last; last = last == list->child ? NULL : last->prev) {
        if (!strcmp(json_get(last, "name"), name) && (!tenant || !strcmp(json_get(last, "tenant"), tenant))) {
            return last;
        }
        if (tenant == NULL) {
            break;
        }
    }
    cJSON *e = json_append_object(list);
    json_add_string(e, "name", name);
    if (tenant) {
        json_add_string(e, "tenant", tenant);
    }
    return e;
}

/* Members of the spec that the element has not yet. */
static void add_spec(cJSON *e, const cJSON *spec)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, spec) {
        if (!cJSON_GetObjectItemCaseSensitive(e, item->string)) {
            cJSON_AddItemToObject(e, item->string, cJSON_Duplicate(item, true));
        }
    }
}

/* The lists that lead to an object of a kind, one for each part of its name behind the tenant's. */
static const char *const *lists_of(const char *plural)
{
    static const struct { const char *plural; const char *lists[4]; } rows[] = {
        { "slices", { "slices" } }, { "switches", { "slices", "switches" } }, { "switch-ports", { "slices", "switches", "ports" } },
        { "virtual-links", { "slices", "links" } }, { "vpcs", { "vpcs" } }, { "networks", { "vpcs", "networks" } }, { "ports", { "vpcs", "networks", "ports" } },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(rows[i].plural, plural)) {
            return rows[i].lists;
        }
    }
    return NULL;
}

cJSON *document_of(const char *plural, const cJSON *items)
{
    const char *const *lists = lists_of(plural);
    cJSON *document = cJSON_CreateObject();
    const cJSON *item;
    cJSON_ArrayForEach(item, items) {
        char *name = xstrdup(json_get(item, "name")), *save = NULL;
        const cJSON *spec = json_at(item, "spec");
        if (!lists) {
            add_spec(element(document, !strcmp(plural, "fabric-switches") ? "fabric_switches" : plural, name, NULL), spec);
        } else {
            char *tenant = strtok_r(name, "/", &save), *part = strtok_r(NULL, "/", &save);
            cJSON *e = element(document, lists[0], part ? part : "", tenant ? tenant : "");
            for (unsigned i = 1; lists[i] && (part = strtok_r(NULL, "/", &save)); i++) {
                e = element(e, lists[i], part, NULL);
            }
            add_spec(e, spec);
        }
        free(name);
    }
    return document;
}

/* --- get --- */

static void print_items(const struct vpcctl *v, const char *plural, const cJSON *answer, const cJSON *items)
{
    if (v->output == OUTPUT_JSON) {
        print_json(answer, OUTPUT_JSON);
    } else if (v->output == OUTPUT_YAML && !strcmp(plural, "links")) {
        print_json(answer, OUTPUT_YAML);        /* Links are found, not applied. */
    } else if (v->output == OUTPUT_YAML) {
        cJSON *document = document_of(plural, items);
        print_json(document, OUTPUT_YAML);
        cJSON_Delete(document);
    } else {
        print_table(plural, items, v->output == OUTPUT_WIDE);
        const cJSON *unknown = json_at(answer, "unknown"), *u;
        cJSON_ArrayForEach(u, unknown) {
            struct buf out = BUF_INIT;
            put_value(&out, cJSON_IsObject(u) ? json_at(u, "datapath_id") : u);
            fprintf(stderr, "a switch with datapath id %s connects%s%s and is no edge or fabric switch yet\n", buf_cstr(&out),
                    json_get(u, "peer")[0] ? " from " : "", json_get(u, "peer"));
            buf_fini(&out);
        }
    }
}

bool command_get(struct vpcctl *v, struct err *err)
{
    const char *word = v->args->words[0], *name = v->args->n_words > 1 ? v->args->words[1] : NULL;
    const struct api_kind *kind = find_kind(word);
    if (!kind) {
        err_set(err, ERR_USAGE, word, "no such kind");
        return err_hint(err, "kinds: tenants, vpcs, networks, ports, slices, switches, switch-ports, virtual-links, edges, fabric-switches, links");
    }
    const char *plural = kind->plural;
    if (name && v->tenant) {
        return err_set(err, ERR_USAGE, "--tenant", "is for lists; the name %s says whose it is", name);
    }
    char prefix[40], *tail = api_path("", name ? name : v->tenant ? v->tenant : "");
    snprintf(prefix, sizeof prefix, "/v1/%s", plural);
    char *path = xasprintf("%s%s%s", prefix, name ? "/" : v->tenant ? "?tenant=" : "", tail);
    cJSON *answer = NULL;
    bool ok = api_call(v, "GET", path, NULL, NULL, v->timeout_ms, &answer, err);
    if (ok) {
        cJSON *list = cJSON_CreateArray();
        if (name) {
            cJSON_AddItemReferenceToArray(list, answer);
        }
        print_items(v, plural, answer, name ? list : json_at(answer, "items"));
        cJSON_Delete(list);
    }
    cJSON_Delete(answer);
    free(path);
    free(tail);
    return ok;
}
