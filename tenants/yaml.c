#include "tenants/yaml.h"

#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hmap.h"
#include "lib/json.h"

/* --- Places --- */

struct place { struct hmap_node by_node; const cJSON *node; const char *file; unsigned line; };
struct yaml_places { struct hmap map; char **files; unsigned n_files; };

struct yaml_places *yaml_places_new(void)
{
    struct yaml_places *p = XNEW(struct yaml_places);
    hmap_init(&p->map);
    return p;
}

void yaml_places_free(struct yaml_places *p)
{
    struct place *place;
    HMAP_FOR_EACH (place, by_node, &p->map) {
        free(place);
    }
    hmap_fini(&p->map);
    for (unsigned i = 0; i < p->n_files; i++) {
        free(p->files[i]);
    }
    free(p->files);
    free(p);
}

static uint32_t node_hash(const cJSON *node)
{
    return (uint32_t) hash_mix64((uintptr_t) node);
}

static const struct place *place_find(const struct yaml_places *p, const cJSON *node)
{
    struct place *place;
    HMAP_FOR_EACH_WITH_HASH (place, by_node, node_hash(node), &p->map) {
        if (place->node == node) {
            return place;
        }
    }
    return NULL;
}

/* A node may sit where a deleted one was that has a place still. */
static void place_set(struct yaml_places *p, const cJSON *node, const char *file, unsigned line)
{
    struct place *place = (struct place *) place_find(p, node);
    if (!place) {
        place = XNEW(struct place);
        place->node = node;
        hmap_insert(&p->map, &place->by_node, node_hash(node));
    }
    place->file = file;
    place->line = line;
}

/* One step of a path, "name" or "[3]"; *path moves behind it.  NULL when there is no such child. */
static const cJSON *step(const cJSON *node, const char **path)
{
    if (**path == '[') {
        char *end;
        unsigned long i = strtoul(*path + 1, &end, 10);
        *path = *end == ']' ? end + 1 : end;
        return i <= INT32_MAX ? cJSON_GetArrayItem(node, (int) i) : NULL;
    }
    char key[80];
    *path += **path == '.';
    size_t n = strcspn(*path, ".[");
    str_copy(key, MIN(sizeof key, n + 1), *path);
    *path += n;
    return n ? cJSON_GetObjectItemCaseSensitive(node, key) : NULL;
}

bool yaml_place(const struct yaml_places *p, const cJSON *root, const char *path, char *out, size_t size)
{
    const struct place *best = NULL;
    for (const cJSON *node = root; node; node = *path ? step(node, &path) : NULL) {
        const struct place *here = node == root ? NULL : place_find(p, node);
        best = here ? here : best;
    }
    if (best) {
        snprintf(out, size, "%s:%u", best->file, best->line);
    }
    return best;
}

/* --- Reading --- */

struct anchor { struct anchor *next; char *name; const cJSON *node; };
struct loading {
    struct fy_parser *parser;
    const char *file;           /* Owned by places, if there are any. */
    struct yaml_places *places;
    struct anchor *anchors;
    unsigned n_aliases, n_copied;
    struct err *err;
};

static cJSON *fail(struct loading *l, const struct fy_event *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
static cJSON *fail(struct loading *l, const struct fy_event *event, const char *format, ...)
{
    const struct fy_mark *mark = event ? fy_event_start_mark((struct fy_event *) event) : NULL;
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (l->err->code == ERR_NONE) {
        err_set(l->err, ERR_INVALID, NULL, "%.120s:%d:%d: %s", l->file, mark ? mark->line + 1 : 1, mark ? mark->column + 1 : 1, message);
    }
    return NULL;
}

/* The next event, or NULL with the parser's own complaint in err. */
static struct fy_event *next(struct loading *l, struct fy_diag *diag)
{
    struct fy_event *event = fy_parser_parse(l->parser);
    void *iterator = NULL;
    if (event) {
        return event;
    }
    struct fy_diag_error *e = fy_diag_errors_iterate(diag, &iterator);
    if (l->err->code == ERR_NONE) {
        err_set(l->err, ERR_INVALID, NULL, "%.120s:%d:%d: %.200s", l->file, e ? e->line : 1, e ? e->column : 1, e && e->msg ? e->msg : "the text ends too early");
    }
    return NULL;
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (!strcmp(text, *words)) {
            return true;
        }
    }
    return false;
}

/* YAML 1.2.2, section 10.3.2: -?[0-9]+ and friends, fractions, exponents, .inf, .nan. */
static bool looks_like_number(const char *s)
{
    static const char *const special[] = { ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL };
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o') && s[2]) {
        return strspn(s + 2, s[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567") == strlen(s + 2);
    }
    s += *s == '-' || *s == '+';
    if (one_of(s, special)) {
        return true;
    }
    size_t whole = strspn(s, "0123456789"), fraction = 0;
    s += whole;
    if (*s == '.') {
        fraction = strspn(++s, "0123456789");
        s += fraction;
    }
    if (!whole && !fraction) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        return *s && strspn(s, "0123456789") == strlen(s);
    }
    return !*s;
}

static cJSON *plain(struct loading *l, const struct fy_event *event, const char *text)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL }, *const trues[] = { "true", "True", "TRUE", NULL },
        *const falses[] = { "false", "False", "FALSE", NULL };
    uint64_t x;
    if (one_of(text, nulls)) {
        return cJSON_CreateNull();
    }
    if (one_of(text, trues) || one_of(text, falses)) {
        return cJSON_CreateBool(one_of(text, trues));
    }
    if (!looks_like_number(text)) {
        return cJSON_CreateString(text);
    }
    bool negative = *text == '-';
    if ((text[negative] == '0' && text[negative + 1]) || !str_to_u64(text + negative, UINT64_C(1) << 53, &x)) {
        return fail(l, event, "%.60s reads as a number and would be changed by that: put it in quotes", text);
    }
    return cJSON_CreateNumber(negative ? -(double) x : (double) x);
}

/* The text of a scalar, malloc'd; NULL and an error if it has a NUL. */
static char *scalar_text(struct loading *l, struct fy_event *event)
{
    size_t n = 0;
    const char *text = fy_token_get_text(fy_event_get_token(event), &n);
    if (text && memchr(text, 0, n)) {
        fail(l, event, "a NUL character cannot be part of a text");
        return NULL;
    }
    return xmemdup0(text ? text : "", text ? n : 0);
}

static cJSON *scalar(struct loading *l, struct fy_event *event)
{
    char *text = scalar_text(l, event);
    if (!text) {
        return NULL;
    }
    struct fy_token *token = fy_event_get_token(event);
    bool is_plain = !token || fy_token_scalar_style(token) == FYSS_PLAIN;
    cJSON *node = is_plain ? plain(l, event, text) : cJSON_CreateString(text);
    free(text);
    return node;
}

static unsigned count(const cJSON *node)
{
    unsigned n = 1;
    for (const cJSON *c = node->child; c; c = c->next) {
        n += count(c);
    }
    return n;
}

static cJSON *alias(struct loading *l, struct fy_event *event)
{
    char *name = scalar_text(l, event);
    struct anchor *a = l->anchors;
    while (name && a && strcmp(a->name, name)) {
        a = a->next;
    }
    cJSON *copy = NULL;
    if (!a || !name) {
        fail(l, event, "there is no anchor %.60s before this, or it is not complete yet", name ? name : "");
    } else if (++l->n_aliases > YAML_MAX_ALIASES || (l->n_copied += count(a->node)) > YAML_MAX_COPIED) {
        fail(l, event, "aliases copy too much: at most %u of them, and %u values, are allowed", YAML_MAX_ALIASES, YAML_MAX_COPIED);
    } else {
        copy = cJSON_Duplicate(a->node, true);
    }
    free(name);
    return copy;
}

static cJSON *value(struct loading *l, struct fy_diag *diag, struct fy_event *event, unsigned depth);

static bool sequence(struct loading *l, struct fy_diag *diag, cJSON *array, unsigned depth)
{
    for (struct fy_event *event; (event = next(l, diag)); ) {
        bool end = event->type == FYET_SEQUENCE_END;
        cJSON *item = end ? NULL : value(l, diag, event, depth);
        fy_parser_event_free(l->parser, event);
        if (!item) {
            return end;
        }
        cJSON_AddItemToArray(array, item);
    }
    return false;
}

static bool mapping(struct loading *l, struct fy_diag *diag, cJSON *object, unsigned depth)
{
    unsigned n = 0;
    for (struct fy_event *event; (event = next(l, diag)); ) {
        char *key = NULL;
        cJSON *item = NULL;
        bool end = event->type == FYET_MAPPING_END;
        if (!end && event->type != FYET_SCALAR) {
            fail(l, event, "a key must be a plain text");
        } else if (!end && (key = scalar_text(l, event)) && cJSON_GetObjectItemCaseSensitive(object, key)) {
            fail(l, event, "the key %.60s is here twice", key);
        } else if (!end && ++n > YAML_MAX_KEYS) {
            fail(l, event, "more than %u keys in one mapping", YAML_MAX_KEYS);
        } else if (key) {
            struct fy_event *v = next(l, diag);
            item = v ? value(l, diag, v, depth) : NULL;
            fy_parser_event_free(l->parser, v);
        }
        fy_parser_event_free(l->parser, event);
        if (item) {
            cJSON_AddItemToObject(object, key, item);
        }
        free(key);
        if (!item) {
            return end;
        }
    }
    return false;
}

static void remember(struct loading *l, struct fy_event *event, cJSON *node)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (l->places && mark) {
        place_set(l->places, node, l->file, (unsigned) mark->line + 1);
    }
    struct fy_token *anchor = event->type == FYET_ALIAS ? NULL : fy_event_get_anchor_token(event);
    if (anchor) {
        struct anchor *a = XNEW(struct anchor);
        size_t n = 0;
        const char *name = fy_token_get_text(anchor, &n);
        *a = (struct anchor) { l->anchors, xmemdup0(name ? name : "", name ? n : 0), node };
        l->anchors = a;
    }
}

static cJSON *value(struct loading *l, struct fy_diag *diag, struct fy_event *event, unsigned depth)
{
    cJSON *node = NULL;
    if (event->type != FYET_ALIAS && fy_event_get_tag_token(event)) {
        return fail(l, event, "tags are not allowed");
    }
    if (depth > JSON_MAX_DEPTH) {
        return fail(l, event, "nested too deep; at most %d levels are allowed", JSON_MAX_DEPTH);
    }
    switch (event->type) {
    case FYET_SCALAR:
        node = scalar(l, event);
        break;
    case FYET_ALIAS:
        node = alias(l, event);
        break;
    case FYET_SEQUENCE_START:
        node = cJSON_CreateArray();
        if (!sequence(l, diag, node, depth + 1)) {
            cJSON_Delete(node);
            return NULL;
        }
        break;
    case FYET_MAPPING_START:
        node = cJSON_CreateObject();
        if (!mapping(l, diag, node, depth + 1)) {
            cJSON_Delete(node);
            return NULL;
        }
        break;
    default:
        return fail(l, event, "no value where one should be");
    }
    if (node) {
        remember(l, event, node);
    }
    return node;
}

static void forget_anchors(struct loading *l)
{
    while (l->anchors) {
        struct anchor *a = l->anchors;
        l->anchors = a->next;
        free(a->name);
        free(a);
    }
}

/* All documents of the stream into `root`. */
static bool stream(struct loading *l, struct fy_diag *diag, cJSON *root)
{
    for (struct fy_event *event; (event = next(l, diag)); ) {
        enum fy_event_type type = event->type;
        bool is_value = type == FYET_SCALAR || type == FYET_ALIAS || type == FYET_SEQUENCE_START || type == FYET_MAPPING_START;
        cJSON *document = is_value ? value(l, diag, event, 0) : NULL;
        bool ok = !is_value || document;
        if (document && !cJSON_IsObject(document) && !cJSON_IsNull(document)) {
            fail(l, event, "a document must be a mapping (edges:, tenants:, vpcs: …)");
            ok = false;
        }
        fy_parser_event_free(l->parser, event);
        if (document && ok && cJSON_IsObject(document)) {
            ok = yaml_merge(root, document, l->err);
        } else {
            cJSON_Delete(document);
        }
        if (type == FYET_DOCUMENT_END) {
            forget_anchors(l);
        }
        if (!ok || type == FYET_STREAM_END) {
            return ok;
        }
    }
    return false;
}

static const char *keep_name(struct yaml_places *p, const char *file)
{
    if (!p) {
        return file;
    }
    p->files = xrealloc(p->files, (p->n_files + 1) * sizeof *p->files);
    return p->files[p->n_files++] = xstrdup(file);
}

cJSON *yaml_load(const char *text, size_t size, const char *file, struct yaml_places *places, struct err *err)
{
    struct loading l = { .file = keep_name(places, file), .places = places, .err = err };
    *err = ERR_INIT;
    if (size > YAML_MAX_SIZE) {
        err_set(err, ERR_INVALID, NULL, "%.120s: longer than %u bytes", file, YAML_MAX_SIZE);
        return NULL;
    }
    if (!utf8_valid(text, size)) {
        err_set(err, ERR_INVALID, NULL, "%.120s: not valid UTF-8", file);
        return NULL;
    }
    /* YAML 1.2.2 section 5.1; libfyaml would take a zero byte for the end of the document. */
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char) text[i] < ' ' && !strchr("\t\n\r", text[i] ? text[i] : 1)) {
            err_set(err, ERR_INVALID, NULL, "%.120s: the control character 0x%02x at byte %zu is not allowed in YAML", file, text[i], i + 1);
            return NULL;
        }
    }
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = { .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE, .diag = diag };
    cJSON *root = cJSON_CreateObject();
    l.parser = diag ? fy_parser_create(&config) : NULL;
    if (!l.parser || fy_parser_set_string(l.parser, size ? text : " ", size ? size : 1)) {
        err_set(err, ERR_FAILED, NULL, "%.120s: libfyaml cannot start", file);
    } else {
        stream(&l, diag, root);
    }
    forget_anchors(&l);
    fy_parser_destroy(l.parser);
    fy_diag_destroy(diag);
    if (err->code != ERR_NONE) {
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

bool yaml_merge(cJSON *into, cJSON *from, struct err *err)
{
    bool ok = true;
    while (ok && from->child) {
        cJSON *item = cJSON_DetachItemViaPointer(from, from->child);
        cJSON *have = cJSON_GetObjectItemCaseSensitive(into, item->string);
        if (!have) {
            char *key = xstrdup(item->string);
            cJSON_AddItemToObject(into, key, item);
            free(key);
            continue;
        }
        if ((!cJSON_IsArray(have) && !cJSON_IsNull(have)) || (!cJSON_IsArray(item) && !cJSON_IsNull(item))) {
            ok = err_set(err, ERR_INVALID, item->string, "is given by two documents and is no list");
        } else if (cJSON_IsNull(have)) {
            char *key = xstrdup(item->string);
            cJSON_DeleteItemFromObjectCaseSensitive(into, key);
            cJSON_AddItemToObject(into, key, item);
            free(key);
            continue;
        }
        while (ok && item->child) {
            cJSON_AddItemToArray(have, cJSON_DetachItemViaPointer(item, item->child));
        }
        cJSON_Delete(item);
    }
    cJSON_Delete(from);
    return ok;
}
