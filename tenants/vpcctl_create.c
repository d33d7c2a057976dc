/* create and delete: one object, said in options. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/util.h"
#include "tenants/vpcctl.h"

/* What an option says of the object. */
enum form { FORM_TEXT, FORM_NUMBER, FORM_COMMAS /* A list in one option. */, FORM_MANY /* A list of options. */ };
static const struct { enum option option; const char *name, *key; enum form form; } members[] = {
    { OPT_SUBNET, "--subnet", "subnet", FORM_TEXT }, { OPT_SUBNET6, "--subnet6", "subnet6", FORM_TEXT }, { OPT_MAC, "--mac", "mac", FORM_TEXT },
    { OPT_IP, "--ip", "ips", FORM_MANY }, { OPT_EDGE, "--edge", "edge", FORM_TEXT }, { OPT_TOPOLOGY, "--topology", "topology", FORM_TEXT },
    { OPT_EDGES, "--edges", "edges", FORM_COMMAS }, { OPT_CONTROLLER, "--controller", "controllers", FORM_MANY },
    { OPT_LISTEN, "--listen", "listen", FORM_MANY }, { OPT_NUMBER, "--number", "number", FORM_NUMBER },
    { OPT_DATAPATH_ID, "--datapath-id", "datapath_id", FORM_TEXT }, { OPT_ENDS, "--ends", "ends", FORM_COMMAS },
};

#define BIT(OPTION) (1u << (OPTION))
struct creatable {
    const char *kind, *plural, *name_form;
    const char *lists[3];       /* Of the document, one for each part of the name (behind the tenant's, if there are several). */
    const char *parent;         /* The kind (plural) that must be there; NULL: apply says if there is no tenant. */
    unsigned options;
};
static const struct creatable creatable[] = {
    { "tenant", "tenants", "NAME", { "tenants" }, NULL, 0 },
    { "vpc", "vpcs", "TENANT/NAME", { "vpcs" }, NULL, 0 },
    { "network", "networks", "TENANT/VPC/NAME", { "vpcs", "networks" }, "vpcs", BIT(OPT_SUBNET) | BIT(OPT_SUBNET6) },
    { "port", "ports", "TENANT/VPC/NETWORK/NAME", { "vpcs", "networks", "ports" }, "networks", BIT(OPT_MAC) | BIT(OPT_IP) | BIT(OPT_EDGE) },
    { "slice", "slices", "TENANT/NAME", { "slices" }, NULL, BIT(OPT_TOPOLOGY) | BIT(OPT_EDGES) | BIT(OPT_CONTROLLER) },
    { "switch", "switches", "TENANT/SLICE/NAME", { "slices", "switches" }, "slices", BIT(OPT_EDGES) | BIT(OPT_DATAPATH_ID) | BIT(OPT_LISTEN) },
    { "switch-port", "switch-ports", "TENANT/SLICE/SWITCH/NAME", { "slices", "switches", "ports" }, "switches",
      BIT(OPT_MAC) | BIT(OPT_IP) | BIT(OPT_EDGE) | BIT(OPT_NUMBER) },
    { "virtual-link", "virtual-links", "TENANT/SLICE/NAME", { "slices", "links" }, "slices", BIT(OPT_ENDS) },
};

static unsigned count_parts(const char *name)
{
    unsigned n = 1;
    for (; *name; name++) {
        n += *name == '/';
    }
    return n;
}

/* --- The document --- */

static void add_commas(cJSON *array, const char *text)
{
    char *copy = xstrdup(text), *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        cJSON_AddItemToArray(array, cJSON_CreateString(part));
    }
    free(copy);
}

static bool add_options(cJSON *o, const struct vpcctl *v, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        const char *value = v->args->values[members[i].option];
        uint64_t number;
        if (!value || members[i].option == OPT_TOPOLOGY) {
            continue;
        }
        if (members[i].form == FORM_NUMBER) {
            if (!str_to_u64(value, UINT32_MAX, &number)) {
                return err_set(err, ERR_USAGE, members[i].name, "%.40s is no number", value);
            }
            json_add_u64(o, members[i].key, number);
        } else if (members[i].form == FORM_COMMAS) {
            add_commas(json_add_array(o, members[i].key), value);
        } else if (members[i].form == FORM_MANY) {
            cJSON *array = json_add_array(o, members[i].key);
            for (unsigned j = 0; j < v->args->n_given; j++) {
                if (v->args->given[j].option == members[i].option) {
                    cJSON_AddItemToArray(array, cJSON_CreateString(v->args->given[j].value));
                }
            }
        } else {
            json_add_string(o, members[i].key, value);
        }
    }
    return true;
}

/* A preset's name, or a file whose members become the slice's own. */
static bool add_topology(cJSON *slice, const char *topology, struct input *in, struct err *err)
{
    if (!topology) {
        return true;
    }
    if (!strcmp(topology, "one-switch") || !strcmp(topology, "mirror") || !strcmp(topology, "custom")) {
        json_add_string(slice, "topology", topology);
        return true;
    }
    input_init(in);
    if (!input_load_file(in, topology, err)) {
        return err_hint(err, "topologies are one-switch, mirror, or a file with switches and links");
    }
    if (cJSON_GetObjectItemCaseSensitive(in->document, "slices")) {
        err_set(err, ERR_USAGE, "--topology", "%.200s is a whole document", topology);
        return err_hint(err, "vpcctl apply -f takes it; a topology has switches and links at its top");
    }
    while (in->document->child) {
        cJSON *item = cJSON_DetachItemViaPointer(in->document, in->document->child);
        if (cJSON_GetObjectItemCaseSensitive(slice, item->string)) {
            err_set(err, ERR_INVALID, "--topology", "%.200s has \"%.40s\", which this command says itself", topology, item->string);
            cJSON_Delete(item);
            return false;
        }
        cJSON_AddItemToObject(slice, item->string, item);       /* The same nodes, so that their places are still known. */
    }
    return true;
}

/* The document that holds the one object, nested as deep as its name; *object is it. */
static cJSON *create_document(const struct creatable *kind, const char *name, cJSON **object)
{
    cJSON *document = cJSON_CreateObject(), *o = document;
    char *copy = xstrdup(name), *save = NULL, *tenant = strchr(name, '/') ? strtok_r(copy, "/", &save) : NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(kind->lists) && kind->lists[i]; i++) {
        const char *part = strtok_r(tenant || i ? NULL : copy, "/", &save);
        o = json_append_object(json_add_array(o, kind->lists[i]));
        json_add_string(o, "name", part ? part : "");
        if (tenant && !i) {
            json_add_string(o, "tenant", tenant);
        }
    }
    free(copy);
    *object = o;
    return document;
}

/* --- create --- */

/* apply would merge into what is there, or make the parents: create does neither. */
static bool check_absent(const struct vpcctl *v, const struct creatable *kind, const char *name, struct err *err)
{
    char prefix[40];
    snprintf(prefix, sizeof prefix, "/v1/%s/", kind->plural);
    char *path = api_path(prefix, name), *slash = strrchr(name, '/');
    bool ok = api_call(v, "GET", path, NULL, NULL, v->timeout_ms, NULL, err);
    free(path);
    if (ok) {
        return err_set(err, ERR_CONFLICT, NULL, "%s %s exists already", kind->kind, name);
    }
    if (err->code != ERR_NOT_FOUND) {
        return false;
    }
    *err = ERR_INIT;
    if (!kind->parent) {
        return true;
    }
    char *parent = xmemdup0(name, (size_t) (slash - name));
    snprintf(prefix, sizeof prefix, "/v1/%s/", kind->parent);
    path = api_path(prefix, parent);
    ok = api_call(v, "GET", path, NULL, NULL, v->timeout_ms, NULL, err);
    free(path);
    free(parent);
    return ok;
}

/* "vpcs[0].networks[0].subnet" was "--subnet" here, "slices[0].edges[1]" was "--edges". */
static void option_error(struct err *err)
{
    const char *last = strrchr(err->field, '.');
    char key[40] = "", option[40] = "";
    if (last) {
        str_copy(key, MIN(sizeof key, strcspn(last + 1, "[") + 1), last + 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (!strcmp(key, members[i].key)) {
            str_copy(option, sizeof option, members[i].name);
        }
    }
    bool of_name = !strcmp(key, "name") || !strcmp(key, "tenant");
    str_copy(err->field, sizeof err->field, of_name ? key : option);
}

static const struct creatable *find_creatable(const char *word, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(creatable); i++) {
        if (!strcmp(word, creatable[i].kind) || !strcmp(word, creatable[i].plural)) {
            return &creatable[i];
        }
    }
    err_set(err, ERR_USAGE, word, "cannot be created so");
    err_hint(err, "create knows tenant, vpc, network, port, slice, switch, switch-port and virtual-link; apply knows all");
    return NULL;
}

static bool check_arguments(const struct vpcctl *v, const struct creatable *kind, const char *name, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (v->args->values[members[i].option] && !(kind->options & BIT(members[i].option))) {
            return err_set(err, ERR_USAGE, members[i].name, "is not for a %s", kind->kind);
        }
    }
    if (count_parts(name) != count_parts(kind->name_form) || strstr(name, "//") || name[0] == '/' || !*name || name[strlen(name) - 1] == '/') {
        err_set(err, ERR_USAGE, name, "is no name of a %s", kind->kind);
        return err_hint(err, "it must be %s", kind->name_form);
    }
    return true;
}

bool command_create(struct vpcctl *v, struct err *err)
{
    const char *name = v->args->words[1];
    const struct creatable *kind = find_creatable(v->args->words[0], err);
    if (!kind || !check_arguments(v, kind, name, err)) {
        return false;
    }
    struct input in = { .document = NULL };
    cJSON *object, *document = create_document(kind, name, &object), *answer = NULL;
    bool ok = add_options(object, v, err) && add_topology(object, v->args->values[OPT_TOPOLOGY], &in, err) && check_absent(v, kind, name, err);
    if (ok && !api_call(v, "POST", "/v1/apply", document, NULL, v->timeout_ms, &answer, err)) {
        struct input whole = { document, in.places };
        char field[sizeof err->field];
        str_copy(field, sizeof field, err->field);
        if (in.places) {
            input_place_error(&whole, err);
        }
        if (!strcmp(field, err->field)) {
            option_error(err);
        }
        ok = false;
    }
    ok = ok && conclude(v, answer, err);
    cJSON_Delete(answer);
    cJSON_Delete(document);
    input_fini(&in);
    return ok;
}

/* --- delete --- */

bool command_delete(struct vpcctl *v, struct err *err)
{
    const char *name = v->args->words[1], *revision = v->args->values[OPT_IF_REVISION];
    const struct api_kind *kind = find_kind(v->args->words[0]);
    uint64_t number;
    if (!kind || !kind->deletable) {
        err_set(err, ERR_USAGE, v->args->words[0], "is no kind that can be deleted");
        return err_hint(err, "kinds: tenant, vpc, network, port, slice, switch, switch-port, virtual-link, edge, fabric-switch");
    }
    if (!*name) {
        return err_set(err, ERR_USAGE, "NAME", "is empty");
    }
    if (revision && !str_to_u64(revision, UINT64_MAX, &number)) {
        return err_set(err, ERR_USAGE, "--if-revision", "%s is no revision", revision);
    }
    cJSON *answer = NULL;
    char prefix[40];
    snprintf(prefix, sizeof prefix, "/v1/%s/", kind->plural);
    char *path = api_path(prefix, name);
    bool ok = api_call(v, "DELETE", path, NULL, revision, v->timeout_ms, &answer, err) && conclude(v, answer, err);
    free(path);
    cJSON_Delete(answer);
    return ok;
}
