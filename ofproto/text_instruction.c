/* Instructions as ovs-ofctl writes them: apply-actions are the bare actions, the others are words among them. */
#include <stdlib.h>

#include "lib/util.h"
#include "ofproto/text.h"

static void separate(struct buf *b, size_t start)
{
    if (b->size != start) {
        buf_puts(b, ",");
    }
}

void instructions_format(const struct instructions *is, struct buf *b)
{
    size_t start = b->size;
    if (is->has_meter) {
        buf_printf(b, "meter:%u", is->meter);
    }
    if (is->apply.n) {
        separate(b, start);
        actions_format(&is->apply, b);
    }
    if (is->clear) {
        separate(b, start);
        buf_puts(b, "clear_actions");
    }
    if (is->has_write) {
        separate(b, start);
        buf_puts(b, "write_actions(");
        actions_format(&is->write, b);
        buf_puts(b, ")");
    }
    if (is->has_metadata) {
        separate(b, start);
        buf_printf(b, "write_metadata:%#llx", (unsigned long long) is->metadata);
        if (is->metadata_mask != UINT64_MAX) {
            buf_printf(b, "/%#llx", (unsigned long long) is->metadata_mask);
        }
    }
    if (is->has_goto) {
        separate(b, start);
        buf_printf(b, "goto_table:%u", is->goto_table);
    }
    if (b->size == start) {
        buf_puts(b, "drop");
    }
}

struct parse {
    struct instructions *is;
    struct err *err;
    bool drop;
    unsigned n;                 /* Tokens. */
};

static bool once(struct parse *p, const char *word, bool *seen)
{
    if (*seen) {
        return err_set(p->err, ERR_INVALID, word, "stands twice; an entry has one of each instruction");
    }
    return *seen = true;
}

static bool parse_meter(struct parse *p, const char *word, char *arg)
{
    uint64_t id;
    if (!once(p, word, &p->is->has_meter) || !text_number(word, arg, OFPM_MAX, &id, p->err)) {
        return false;
    }
    p->is->meter = (uint32_t) id;
    return true;
}

static bool parse_goto(struct parse *p, const char *word, char *arg)
{
    uint64_t table;
    if (!once(p, word, &p->is->has_goto) || !text_number(word, arg, 254, &table, p->err)) {
        return false;
    }
    p->is->goto_table = (uint8_t) table;
    return true;
}

static bool parse_metadata(struct parse *p, const char *word, char *arg)
{
    uint64_t value, mask = UINT64_MAX;
    char *slash = arg ? strchr(arg, '/') : NULL;
    if (slash) {
        *slash = '\0';
    }
    if (!once(p, word, &p->is->has_metadata) || !text_number(word, arg, UINT64_MAX, &value, p->err)
        || (slash && !text_number(word, slash + 1, UINT64_MAX, &mask, p->err))) {
        return false;
    }
    p->is->metadata = value & mask;
    p->is->metadata_mask = mask;
    return true;
}

static bool parse_clear(struct parse *p, const char *word, char *arg)
{
    if (arg) {
        return err_set(p->err, ERR_INVALID, word, "takes no argument");
    }
    return once(p, word, &p->is->clear);
}

static bool parse_write(struct parse *p, const char *word, char *arg)
{
    if (!arg) {
        return err_set(p->err, ERR_INVALID, word, "needs its actions, as in write_actions(output:1)");
    }
    return once(p, word, &p->is->has_write) && text_actions(arg, &p->is->write, 0, p->err);
}

static bool parse_apply(struct parse *p, const char *word, char *arg)
{
    if (!arg) {
        return err_set(p->err, ERR_INVALID, word, "needs its actions, as in apply_actions(output:1)");
    }
    return once(p, word, &p->is->has_apply) && text_actions(arg, &p->is->apply, 0, p->err);
}

static const struct { const char *word; bool (*parse)(struct parse *, const char *word, char *arg); } words[] = {
    { "meter", parse_meter }, { "goto_table", parse_goto }, { "write_metadata", parse_metadata }, { "clear_actions", parse_clear },
    { "write_actions", parse_write }, { "apply_actions", parse_apply },
};

static bool parse_token(struct parse *p, char *token)
{
    size_t len = strcspn(token, ":(=");
    char *arg;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strlen(words[i].word) == len && !strncmp(token, words[i].word, len)) {
            return text_split(token, &arg, p->err) && words[i].parse(p, words[i].word, arg);
        }
    }
    unsigned before = p->is->apply.n;
    if (!text_action_token(token, &p->is->apply, 0, &p->drop, p->err)) {
        return false;
    }
    p->is->has_apply |= p->is->apply.n != before;
    return true;
}

bool instructions_parse(const char *text, struct instructions *is, struct err *err)
{
    struct parse p = { .is = is, .err = err };
    char *copy = xstrdup(text), *rest = copy;
    bool ok = true;

    instructions_init(is);
    for (char *token; ok && (token = text_next(&rest)); p.n++) {
        ok = parse_token(&p, token);
    }
    if (ok && p.drop && p.n > 1) {
        ok = err_set(err, ERR_INVALID, "drop", "must stand alone; drop(REASON) is an action");
    }
    ok = ok && text_fits(&is->apply, &is->write, err);
    if (!ok) {
        instructions_fini(is);
    }
    free(copy);
    return ok;
}
