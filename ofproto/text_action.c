/* Actions as ovs-ofctl reads them; text_action_format.c writes them. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/util.h"
#include "ofproto/action_row.h"
#include "ofproto/of_msg.h"
#include "ofproto/polder.h"
#include "ofproto/text.h"

/* One keyword's parser: `arg` may be NULL; `param` is the word's own. */
struct word {
    const char *name;
    bool (*parse)(const struct word *, char *arg, struct actions *, unsigned depth, struct err *);
    enum action_type type;
    uint32_t param;             /* The largest number, or a field. */
};

static bool parse_plain(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    if (arg && *arg) {
        return err_set(err, ERR_INVALID, w->name, "takes no argument, but has \"%.80s\"", arg);
    }
    actions_add(as, w->type);
    return true;
}

static bool parse_number(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    uint64_t number;
    if (!text_number(w->name, arg, w->param, &number, err)) {
        return false;
    }
    if (!action_ethertype_valid(w->type, (uint16_t) number)) {
        return err_set(err, ERR_INVALID, w->name, "0x%llx is not a type of this tag", (unsigned long long) number);
    }
    struct action *a = actions_add(as, w->type);
    switch (w->type) {
    case ACTION_GROUP: a->group = (uint32_t) number; break;
    case ACTION_SET_QUEUE: a->queue = (uint32_t) number; break;
    case ACTION_SET_NW_TTL: case ACTION_SET_MPLS_TTL: a->ttl = (uint8_t) number; break;
    default: a->ethertype = (uint16_t) number; break;
    }
    return true;
}

static bool parse_port_word(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    if (arg) {
        return err_set(err, ERR_INVALID, w->name, "takes no argument, but has \"%.80s\"", arg);
    }
    actions_output(as, w->param);
    return true;
}

static bool parse_output(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    uint32_t port;
    if (!arg || !*arg) {
        return err_set(err, ERR_INVALID, w->name, "needs a port number, a port name or a field, as in output:1 or output:NXM_NX_REG0[]");
    }
    if (text_port_parse(arg, &port)) {
        actions_output(as, port);
        return true;
    }
    struct subfield src;
    if (!text_subfield_parse(arg, &src, err)) {
        return false;
    }
    if (src.n_bits > 32) {
        return err_set(err, ERR_INVALID, w->name, "a port has 32 bits, the field part has %u", src.n_bits);
    }
    struct action *a = actions_add(as, ACTION_OUTPUT_REG);
    a->output_reg.src = src;
    a->output_reg.max_len = UINT16_MAX;
    return true;
}

/* Hex bytes with dots between them. */
static bool parse_userdata(struct action *a, const char *arg, struct err *err)
{
    size_t size = 0, room = strlen(arg) + 1;
    uint8_t *bytes = xmalloc(room);
    for (const char *p = arg; *p; p += *p == '.') {
        char two[3] = { p[0], p[1], '\0' };
        uint64_t byte;
        if (!str_to_hex(two, 2, &byte) || !p[1] || (p[2] && p[2] != '.')) {
            free(bytes);
            return err_set(err, ERR_INVALID, "userdata", "must be hex bytes, as in userdata=01.02.03");
        }
        bytes[size++] = (uint8_t) byte;
        p += 2;
    }
    free(a->controller.userdata);
    a->controller.userdata = size ? bytes : NULL;
    a->controller.userdata_size = (uint16_t) size;
    if (!size) {
        free(bytes);
    }
    return size <= 60000 || err_set(err, ERR_INVALID, "userdata", "is longer than a message");
}

static bool controller_option(struct action *a, char *key, char *arg, struct err *err)
{
    uint64_t number;
    if (!strcmp(key, "userdata") && arg) {
        return parse_userdata(a, arg, err);
    }
    if (!strcmp(key, "reason") && arg) {
        for (unsigned i = 0; i < TEXT_N_REASONS; i++) {
            if (!strcmp(arg, text_reason_names[i])) {
                a->controller.reason = (uint8_t) i;
                return true;
            }
        }
    }
    static const struct { const char *name; uint32_t max; } numbers[] = {
        { "max_len", UINT16_MAX }, { "id", UINT16_MAX }, { "reason", UINT8_MAX }, { "meter_id", OFPM_MAX },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (strcmp(key, numbers[i].name)) {
            continue;
        }
        if (!text_number(key, arg, numbers[i].max, &number, err)) {
            return false;
        }
        switch (i) {
        case 0: a->controller.max_len = (uint16_t) number; break;
        case 1: a->controller.controller_id = (uint16_t) number; break;
        case 2: a->controller.reason = (uint8_t) number; break;
        case 3: a->controller.meter = (uint32_t) number; break;
        }
        return true;
    }
    return err_set(err, ERR_INVALID, "controller", "\"%.80s\" is no option; there are max_len, id, reason, meter_id, userdata", key);
}

/* "controller", "controller:128" are outputs (section 7.2.5); "controller(…)" is the Nicira action. */
static bool parse_controller_options(char *arg, struct actions *as, struct err *err)
{
    struct action *a = actions_add(as, ACTION_CONTROLLER);
    a->controller.max_len = UINT16_MAX;
    a->controller.reason = OFPR_ACTION;
    for (char *token; (token = text_next(&arg)); ) {
        char *value;
        if (!text_split(token, &value, err) || !controller_option(a, token, value, err)) {
            return false;
        }
    }
    return true;
}

static bool parse_set_field(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    char *arrow = arg ? strstr(arg, "->") : NULL;
    if (!arrow) {
        return err_set(err, ERR_INVALID, w->name, "must be VALUE[/MASK]->FIELD, as in set_field:10.0.0.1->ip_src");
    }
    *arrow = '\0';
    const struct field *f = field_from_name(arrow + 2, strlen(arrow + 2));
    if (!f || !f->settable) {
        return err_set(err, ERR_INVALID, w->name, "\"%.80s\" is no field that can be set", arrow + 2);
    }
    union field_value value, mask, all = field_mask_all(f);
    if (!field_parse_value(f, arg, &value, &mask, err)) {
        return false;
    }
    bool masked = memcmp(&mask, &all, sizeof all) != 0;
    if (masked && !f->maskable && !f->nxm_maskable) {
        return err_set(err, ERR_INVALID, f->name, "cannot be masked");
    }
    if (field_id_of(f) == FIELD_VLAN_VID && !masked && !(field_value_u64(&value) & FLOW_VLAN_PRESENT)) {
        return err_set(err, ERR_INVALID, f->name, "a VLAN id must be given with bit 0x1000 (tag present), as 4096 + id");
    }
    struct action *a = actions_add(as, ACTION_SET_FIELD);
    a->set_field.field = f;
    a->set_field.value = value;
    a->set_field.mask = mask;
    a->set_field.masked = masked;
    return true;
}

/* mod_dl_src:V and its kin, OpenFlow 1.0's set-fields. */
static bool parse_mod(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    const struct field *f = field_row((enum field_id) w->param);
    union field_value value, mask, all = field_mask_all(f);
    if (!arg) {
        return err_set(err, ERR_INVALID, w->name, "needs a value");
    }
    if (!field_parse_value(f, arg, &value, &mask, err)) {
        return false;
    }
    if (memcmp(&mask, &all, sizeof all)) {
        return err_set(err, ERR_INVALID, w->name, "takes no mask; set_field does");
    }
    struct action *a = actions_add(as, ACTION_SET_FIELD);
    a->set_field.field = f;
    a->set_field.value = value;
    a->set_field.mask = mask;
    return true;
}

static bool parse_load(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    char *arrow = arg ? strstr(arg, "->") : NULL;
    struct subfield dst;
    uint64_t value;
    if (!arrow) {
        return err_set(err, ERR_INVALID, w->name, "must be VALUE->FIELD[FIRST..LAST]");
    }
    *arrow = '\0';
    if (!text_number(w->name, arg, UINT64_MAX, &value, err) || !text_subfield_parse(arrow + 2, &dst, err)) {
        return false;
    }
    if (!dst.field->settable) {
        return err_set(err, ERR_INVALID, w->name, "%s cannot be set", dst.field->name);
    }
    if (dst.n_bits > 64 || (dst.n_bits < 64 && value >> dst.n_bits)) {
        return err_set(err, ERR_INVALID, w->name, "0x%llx into %u bits of %s: a load has at most 64 bits, and the value must fit", (unsigned long long) value,
                       dst.n_bits, dst.field->name);
    }
    struct action *a = actions_add(as, ACTION_LOAD);
    a->load.dst = dst;
    a->load.value = value;
    return true;
}

static bool parse_move(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    char *arrow = arg ? strstr(arg, "->") : NULL;
    struct subfield src, dst;
    if (!arrow) {
        return err_set(err, ERR_INVALID, w->name, "must be FIELD[FIRST..LAST]->FIELD[FIRST..LAST]");
    }
    *arrow = '\0';
    if (!text_subfield_parse(arg, &src, err) || !text_subfield_parse(arrow + 2, &dst, err)) {
        return false;
    }
    if (!dst.field->settable) {
        return err_set(err, ERR_INVALID, w->name, "%s cannot be set", dst.field->name);
    }
    if (src.n_bits != dst.n_bits) {
        return err_set(err, ERR_INVALID, w->name, "%u bits of %s do not fit %u bits of %s", src.n_bits, src.field->name, dst.n_bits, dst.field->name);
    }
    struct action *a = actions_add(as, ACTION_MOVE);
    a->move.src = src;
    a->move.dst = dst;
    return true;
}

/* resubmit:PORT, resubmit(PORT), resubmit([PORT],[TABLE]) */
static bool parse_resubmit(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    if (!arg) {
        return err_set(err, ERR_INVALID, w->name, "needs a port or a table, as in resubmit(,5)");
    }
    char *comma = strchr(arg, ',');
    uint32_t port = OFPP_IN_PORT;
    uint64_t table = RESUBMIT_CURRENT_TABLE;
    if (comma) {
        *comma = '\0';
    }
    if (*arg && !text_port_parse(arg, &port)) {
        return err_set(err, ERR_INVALID, w->name, "\"%.80s\" is no port", arg);
    }
    if (port >= 0xff00 && port < OFPP_MAX) {
        return err_set(err, ERR_INVALID, w->name, "port %u is above 65279, the highest this action can carry", port);
    }
    if (comma && comma[1] && !text_number(w->name, comma + 1, 255, &table, err)) {
        return false;
    }
    struct action *a = actions_add(as, ACTION_RESUBMIT);
    a->resubmit.in_port = port;
    a->resubmit.table = (uint8_t) table;
    return true;
}

static bool parse_clone(const struct word *w, char *arg, struct actions *as, unsigned depth, struct err *err)
{
    if (!arg) {
        return err_set(err, ERR_INVALID, w->name, "needs its actions, as in clone(output:1)");
    }
    return text_actions(arg, actions_clone(as), depth + 1, err);
}

static bool parse_note(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    const char *text = arg ? arg : "";
    /* The wire has room for 6 bytes, then for 8 more at a time; the rest is zeros, and part of the note. */
    uint8_t *bytes = xcalloc(1, strlen(text) / 2 + 8);
    unsigned n = 0;
    for (const char *p = text; *p; ) {
        char digits[3] = { p[0], p[1], '\0' };
        uint64_t byte;
        if (!p[1] || !str_to_hex(digits, 2, &byte)) {
            free(bytes);
            return err_set(err, ERR_INVALID, w->name, "\"%.80s\" is not bytes of two hexadecimal digits, as in note:01.ff", p);
        }
        bytes[n++] = (uint8_t) byte;
        p += p[2] == '.' && p[3] ? 3 : 2;
    }
    action_set_note(actions_add(as, ACTION_NOTE), bytes, n <= 6 ? 6 : 6 + ROUND_UP(n - 6, 8u));
    free(bytes);
    return true;
}

static bool parse_drop(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    uint64_t reason = 0;
    bool found = false;
    for (unsigned i = 0; i < DROP_N_REASONS && !found; i++) {
        if (arg && drop_reason_name(i) && !strcmp(arg, drop_reason_name(i))) {
            reason = i;
            found = true;
        }
    }
    if (!found && (!arg || !str_to_u64(arg, DROP_N_REASONS - 1, &reason))) {
        return err_set(err, ERR_INVALID, w->name, "\"%.80s\" is no drop reason, nor a number below %d", arg ? arg : "", DROP_N_REASONS);
    }
    actions_drop(as, (uint16_t) reason);
    return true;
}

/* conjunction(ID,K/N) */
static bool parse_conjunction(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    char *comma = arg ? strchr(arg, ',') : NULL, *slash = comma ? strchr(comma, '/') : NULL;
    uint64_t id, k, n;
    if (!slash) {
        return err_set(err, ERR_INVALID, w->name, "must be conjunction(ID,K/N)");
    }
    *comma = *slash = '\0';
    char *k_text = comma + 1 + strspn(comma + 1, " ");
    if (!text_number("conjunction", arg, UINT32_MAX, &id, err) || !text_number("conjunction", k_text, 64, &k, err)
        || !text_number("conjunction", slash + 1, 64, &n, err)) {
        return false;
    }
    if (n < 2 || !k || k > n) {
        return err_set(err, ERR_INVALID, w->name, "K/N must be 1 ≤ K ≤ N and 2 ≤ N ≤ 64");
    }
    struct action *a = actions_add(as, ACTION_CONJUNCTION);
    a->conjunction.id = (uint32_t) id;
    a->conjunction.clause = (uint8_t) (k - 1);
    a->conjunction.n_clauses = (uint8_t) n;
    return true;
}

/* 1.0's enqueue:PORT:QUEUE or enqueue(PORT,QUEUE). */
static bool parse_enqueue(const struct word *w, char *arg, struct actions *as, unsigned depth UNUSED, struct err *err)
{
    char *separator = arg ? strpbrk(arg, ":,") : NULL;
    uint64_t queue;
    uint32_t port;
    if (!separator) {
        return err_set(err, ERR_INVALID, w->name, "must be enqueue:PORT:QUEUE");
    }
    *separator = '\0';
    if (!text_port_parse(arg, &port)) {
        return err_set(err, ERR_INVALID, w->name, "\"%.80s\" is no port", arg);
    }
    if (!text_number(w->name, separator + 1, UINT32_MAX, &queue, err)) {
        return false;
    }
    actions_enqueue(as, port, (uint32_t) queue);
    return true;
}

static const struct word words[] = {
    { "output", parse_output, ACTION_OUTPUT, 0 },
    { "in_port", parse_port_word, ACTION_OUTPUT, OFPP_IN_PORT },
    { "table", parse_port_word, ACTION_OUTPUT, OFPP_TABLE },
    { "normal", parse_port_word, ACTION_OUTPUT, OFPP_NORMAL },
    { "flood", parse_port_word, ACTION_OUTPUT, OFPP_FLOOD },
    { "all", parse_port_word, ACTION_OUTPUT, OFPP_ALL },
    { "local", parse_port_word, ACTION_OUTPUT, OFPP_LOCAL },
    { "any", parse_port_word, ACTION_OUTPUT, OFPP_ANY },
    { "group", parse_number, ACTION_GROUP, UINT32_MAX },
    { "set_queue", parse_number, ACTION_SET_QUEUE, UINT32_MAX },
    { "set_field", parse_set_field, ACTION_SET_FIELD, 0 },
    { "push_vlan", parse_number, ACTION_PUSH_VLAN, 0xffff },
    { "pop_queue", parse_plain, ACTION_POP_QUEUE, 0 },
    { "enqueue", parse_enqueue, ACTION_SET_QUEUE, 0 },
    { "pop_vlan", parse_plain, ACTION_POP_VLAN, 0 },
    { "strip_vlan", parse_plain, ACTION_POP_VLAN, 0 },
    { "push_mpls", parse_number, ACTION_PUSH_MPLS, 0xffff },
    { "pop_mpls", parse_number, ACTION_POP_MPLS, 0xffff },
    { "push_pbb", parse_number, ACTION_PUSH_PBB, 0xffff },
    { "pop_pbb", parse_plain, ACTION_POP_PBB, 0 },
    { "mod_nw_ttl", parse_number, ACTION_SET_NW_TTL, 255 },
    { "set_nw_ttl", parse_number, ACTION_SET_NW_TTL, 255 },
    { "dec_ttl", parse_plain, ACTION_DEC_NW_TTL, 0 },
    { "dec_nw_ttl", parse_plain, ACTION_DEC_NW_TTL, 0 },
    { "set_mpls_ttl", parse_number, ACTION_SET_MPLS_TTL, 255 },
    { "dec_mpls_ttl", parse_plain, ACTION_DEC_MPLS_TTL, 0 },
    { "copy_ttl_out", parse_plain, ACTION_COPY_TTL_OUT, 0 },
    { "copy_ttl_in", parse_plain, ACTION_COPY_TTL_IN, 0 },
    { "resubmit", parse_resubmit, ACTION_RESUBMIT, 0 },
    { "move", parse_move, ACTION_MOVE, 0 },
    { "load", parse_load, ACTION_LOAD, 0 },
    { "clone", parse_clone, ACTION_CLONE, 0 },
    { "note", parse_note, ACTION_NOTE, 0 },
    { "drop", parse_drop, ACTION_DROP, 0 },
    { "conjunction", parse_conjunction, ACTION_CONJUNCTION, 0 },
    { "mod_dl_src", parse_mod, ACTION_SET_FIELD, FIELD_ETH_SRC },
    { "mod_dl_dst", parse_mod, ACTION_SET_FIELD, FIELD_ETH_DST },
    { "mod_nw_src", parse_mod, ACTION_SET_FIELD, FIELD_IPV4_SRC },
    { "mod_nw_dst", parse_mod, ACTION_SET_FIELD, FIELD_IPV4_DST },
    { "mod_vlan_pcp", parse_mod, ACTION_SET_FIELD, FIELD_VLAN_PCP },
};

static bool parse_controller(char *arg, bool options, struct actions *as, struct err *err)
{
    uint64_t max_len = OFPCML_NO_BUFFER;
    if (options) {
        return parse_controller_options(arg, as, err);
    }
    if (arg && !text_number("controller", arg, UINT16_MAX, &max_len, err)) {
        return false;
    }
    actions_output(as, OFPP_CONTROLLER);
    as->list[as->n - 1].output.max_len = (uint16_t) max_len;
    return true;
}

bool text_action_token(char *token, struct actions *as, unsigned depth, bool *drop, struct err *err)
{
    uint32_t port;
    char *arg;
    bool options = token[strcspn(token, ":(=")] == '(';

    if (str_to_u64(token, UINT32_MAX, &(uint64_t) { 0 }) && text_port_parse(token, &port)) {
        actions_output(as, port);
        return true;
    }
    if (!text_split(token, &arg, err)) {
        return false;
    }
    if (!strcasecmp(token, "drop") && !arg) {
        *drop = true;
        return true;
    }
    if (!strcasecmp(token, "controller")) {
        return parse_controller(arg, options, as, err);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcasecmp(token, words[i].name)) {
            return words[i].parse(&words[i], arg, as, depth, err);
        }
    }
    return err_set(err, ERR_INVALID, token, "is no action");
}

bool text_actions(char *text, struct actions *as, unsigned depth, struct err *err)
{
    bool drop = false, ok = true;
    unsigned n = 0;

    if (depth > ACTION_MAX_DEPTH) {
        return err_set(err, ERR_INVALID, "clone", "is nested more than %d deep", ACTION_MAX_DEPTH);
    }
    for (char *token; ok && (token = text_next(&text)); n++) {
        ok = text_action_token(token, as, depth, &drop, err);
    }
    if (ok && drop && n > 1) {
        ok = err_set(err, ERR_INVALID, "drop", "must stand alone; drop(REASON) is an action");
    }
    return ok;
}

/* Lengths on the wire have 16 bits, those of messages too; what is left is for a flow-mod's header and match. */
#define MAX_ENCODED 60000

bool text_fits(const struct actions *apply, const struct actions *write, struct err *err)
{
    struct buf b = BUF_INIT;
    actions_encode(apply, &b);
    if (write) {
        actions_encode(write, &b);
    }
    size_t size = b.size;
    buf_fini(&b);
    return size <= MAX_ENCODED || err_set(err, ERR_INVALID, "actions", "take %zu bytes, more than the %d of one message", size, MAX_ENCODED);
}

bool actions_parse(const char *text, struct actions *as, struct err *err)
{
    char *copy = xstrdup(text);
    actions_init(as);
    bool ok = text_actions(copy, as, 0, err) && text_fits(as, NULL, err);
    if (!ok) {
        actions_fini(as);
    }
    free(copy);
    return ok;
}
