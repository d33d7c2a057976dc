/* Tokens, numbers, ports and subfields of ovs-ofctl's language. */
#include "ofproto/text.h"

#include <stdio.h>
#include <strings.h>

#include "lib/util.h"

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

char *text_next(char **rest)
{
    char *p = *rest;
    while (is_separator(*p)) {
        p++;
    }
    if (!*p) {
        *rest = p;
        return NULL;
    }
    char *token = p;
    unsigned depth = 0;
    for (; *p && (depth || !is_separator(*p)); p++) {
        if (*p == '(' || *p == '[') {
            depth++;
        } else if ((*p == ')' || *p == ']') && depth) {
            depth--;
        }
    }
    *rest = *p ? p + 1 : p;
    *p = '\0';
    return token;
}

bool text_split(char *token, char **arg, struct err *err)
{
    *arg = NULL;
    char *p = token + strcspn(token, ":(=");
    if (!*p) {
        return true;
    }
    if (*p == '(') {
        size_t len = strlen(p);
        if (p[len - 1] != ')') {
            return err_set(err, ERR_INVALID, token, "the '(' has no matching ')' at the end");
        }
        p[len - 1] = '\0';
    }
    *p = '\0';
    *arg = p + 1;
    return true;
}

bool text_number(const char *key, const char *arg, uint64_t max, uint64_t *out, struct err *err)
{
    if (!arg) {
        return err_set(err, ERR_INVALID, key, "needs a number, as in %s:1", key);
    }
    if (!str_to_u64(arg, max, out)) {
        return err_set(err, ERR_INVALID, key, "\"%s\" is not a number from 0 to %llu", arg, (unsigned long long) max);
    }
    return true;
}

static const struct { uint32_t port; const char *name; } port_names[] = {
    { OFPP_IN_PORT, "IN_PORT" }, { OFPP_TABLE, "TABLE" }, { OFPP_NORMAL, "NORMAL" }, { OFPP_FLOOD, "FLOOD" }, { OFPP_ALL, "ALL" },
    { OFPP_CONTROLLER, "CONTROLLER" }, { OFPP_LOCAL, "LOCAL" }, { OFPP_ANY, "ANY" },
};

bool text_port_parse(const char *s, uint32_t *port)
{
    uint64_t number;
    if (str_to_u64(s, UINT32_MAX, &number)) {
        *port = (uint32_t) number;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(port_names); i++) {
        if (!strcasecmp(s, port_names[i].name)) {
            *port = port_names[i].port;
            return true;
        }
    }
    return false;
}

void text_port_format(uint32_t port, char *out, size_t size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(port_names); i++) {
        if (port == port_names[i].port) {
            str_copy(out, size, port_names[i].name);
            return;
        }
    }
    snprintf(out, size, "%u", port);
}

/* What stands between '[' and ']': nothing, a bit, or first..last. */
static bool parse_range(char *range, struct subfield *s, struct err *err, const char *name)
{
    uint64_t first = 0, last = s->field->bits - 1u;
    if (*range) {
        char *dots = strstr(range, "..");
        if (dots) {
            *dots = '\0';
        }
        bool ok = str_to_u64(range, 127, &first) && (!dots || str_to_u64(dots + 2, 127, &last));
        last = dots ? last : first;
        if (!ok || last < first || last >= s->field->bits) {
            return err_set(err, ERR_INVALID, name, "the bit range must be FIRST..LAST with LAST below %u", s->field->bits);
        }
    }
    s->ofs = (uint16_t) first;
    s->n_bits = (uint16_t) (last - first + 1);
    return true;
}

bool text_subfield_parse(char *text, struct subfield *s, struct err *err)
{
    size_t name_len = strcspn(text, "[");
    char *range = text + name_len;
    if (*range) {
        size_t len = strlen(range);
        if (range[len - 1] != ']') {
            return err_set(err, ERR_INVALID, text, "the '[' has no ']' at the end");
        }
        range[len - 1] = '\0';
        *range++ = '\0';
    }
    if (!strcmp(text, "NXM_OF_IN_PORT")) {
        /* The 16-bit port of OpenFlow 1.0 is the low half of in_port. */
        *s = (struct subfield) { field_row(FIELD_IN_PORT), 0, 16 };
        return !*range || (parse_range(range, s, err, text)
                           && (s->ofs + s->n_bits <= 16 || err_set(err, ERR_INVALID, text, "has 16 bits")));
    }
    s->field = field_from_name(text, name_len);
    if (!s->field) {
        return err_set(err, ERR_INVALID, text, "is no field (names are as in ovs-fields: reg0, NXM_NX_REG0, OXM_OF_ETH_SRC)");
    }
    return parse_range(range, s, err, text);
}

void text_subfield_format(const struct subfield *s, struct buf *b)
{
    buf_puts(b, s->field->nxm_name ? s->field->nxm_name : s->field->oxm_name);
    if (s->ofs == 0 && s->n_bits == s->field->bits) {
        buf_puts(b, "[]");
    } else if (s->n_bits == 1) {
        buf_printf(b, "[%u]", s->ofs);
    } else {
        buf_printf(b, "[%u..%u]", s->ofs, s->ofs + s->n_bits - 1u);
    }
}
