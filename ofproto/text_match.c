/* Matches as ovs-ofctl writes them. */
#include <stdlib.h>

#include "lib/util.h"
#include "ofproto/text.h"

/* Words that stand for an Ethernet type and perhaps an IP protocol; -1: any.  The most telling come first. */
static const struct { const char *name; uint16_t eth_type; int ip_proto; } shorthands[] = {
    { "tcp", 0x0800, 6 }, { "tcp6", 0x86dd, 6 }, { "udp", 0x0800, 17 }, { "udp6", 0x86dd, 17 }, { "sctp", 0x0800, 132 }, { "sctp6", 0x86dd, 132 },
    { "icmp", 0x0800, 1 }, { "icmp6", 0x86dd, 58 }, { "ip", 0x0800, -1 }, { "ipv6", 0x86dd, -1 }, { "arp", 0x0806, -1 }, { "rarp", 0x8035, -1 },
    { "mpls", 0x8847, -1 }, { "mplsm", 0x8848, -1 },
    { "icmp4", 0x0800, 1 }, { "ipv4", 0x0800, -1 }, { "ip6", 0x86dd, -1 }, { "icmpv6", 0x86dd, 58 },       /* Read, never written. */
};

static const char *find_shorthand(const struct match *m, bool *covers_proto)
{
    uint16_t type = be16_get(m->value.flow.eth_type);
    if (be16_get(m->mask.flow.eth_type) != 0xffff) {
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(shorthands); i++) {
        int proto = shorthands[i].ip_proto;
        if (shorthands[i].eth_type == type && (proto < 0 || (m->mask.flow.ip_proto == 0xff && m->value.flow.ip_proto == proto))) {
            *covers_proto = proto >= 0;
            return shorthands[i].name;
        }
    }
    return NULL;
}

static void format_vlan(const union field_value *value, const union field_value *mask, struct buf *b)
{
    unsigned v = (unsigned) field_value_u64(value), m = (unsigned) field_value_u64(mask);
    if (m == 0x1fff && v & FLOW_VLAN_PRESENT) {
        buf_printf(b, "dl_vlan=%u", v & 0xfff);
    } else {
        buf_printf(b, "vlan_tci=0x%04x/0x%04x", v, m);
    }
}

/* In matches ovs-ofctl keeps the names of OpenFlow 1.0 (dl_src, nw_dst). */
static const char *match_name(const struct field *f)
{
    return f->alias && (!strncmp(f->alias, "dl_", 3) || !strncmp(f->alias, "nw_", 3)) ? f->alias : f->name;
}

void match_format(const struct match *m, struct buf *b)
{
    bool covers_proto = false;
    const char *shorthand = find_shorthand(m, &covers_proto);
    const char *separator = "";

    if (shorthand) {
        buf_puts(b, shorthand);
        separator = ",";
    }
    for (enum field_id id = 0; id < N_FIELDS; id++) {
        const struct field *f = field_row(id);
        union field_value value, mask;
        if (!match_get(m, id, &value, &mask) || (shorthand && id == FIELD_ETH_TYPE) || (covers_proto && id == FIELD_IP_PROTO)) {
            continue;
        }
        buf_puts(b, separator);
        separator = ",";
        if (id == FIELD_VLAN_VID) {
            format_vlan(&value, &mask, b);
            continue;
        }
        char text[100];
        field_format_value(f, &value, &mask, text, sizeof text);
        buf_printf(b, "%s=%s", match_name(f), text);
    }
    buf_puts(b, "");
}

struct parse {
    struct match *match;
    bool seen[N_FIELDS];        /* Set under the field's own name, so that its own prerequisite must hold. */
    struct err *err;
};

/* Sets part of the match; a second, different wish for the same bits is a contradiction. */
static bool put(struct parse *p, const char *key, enum field_id id, const union field_value *value, const union field_value *mask)
{
    union field_value used, before;
    field_get(field_row(id), &p->match->mask.flow, &used);
    field_get(field_row(id), &p->match->value.flow, &before);
    if ((used.w[0] || used.w[1]) && (memcmp(&used, mask, sizeof used) || memcmp(&before, value, sizeof before))) {
        return err_set(p->err, ERR_INVALID, key, "contradicts what the match says before; leave one out");
    }
    match_set(p->match, id, value, mask);
    return true;
}

static bool put_u64(struct parse *p, const char *key, enum field_id id, uint64_t value, uint64_t mask)
{
    union field_value v = field_value_from_u64(value), m = field_value_from_u64(mask);
    return put(p, key, id, &v, &m);
}

static bool parse_shorthand(struct parse *p, const char *key, bool *known)
{
    *known = false;
    for (unsigned i = 0; i < ARRAY_SIZE(shorthands); i++) {
        if (strcmp(key, shorthands[i].name)) {
            continue;
        }
        *known = true;
        return put_u64(p, key, FIELD_ETH_TYPE, shorthands[i].eth_type, 0xffff)
            && (shorthands[i].ip_proto < 0 || put_u64(p, key, FIELD_IP_PROTO, (uint64_t) shorthands[i].ip_proto, 0xff));
    }
    return true;
}

/* dl_vlan=N: that VID; dl_vlan=0xffff: no tag. */
static bool parse_dl_vlan(struct parse *p, const char *key, const char *arg)
{
    uint64_t vid;
    if (!text_number(key, arg, 0xffff, &vid, p->err)) {
        return false;
    }
    if (vid == 0xffff) {
        return put_u64(p, key, FIELD_VLAN_VID, 0, 0x1fff);
    }
    if (vid > 0xfff) {
        return err_set(p->err, ERR_INVALID, key, "\"%s\" is not a VLAN id from 0 to 4095, or 0xffff for no tag", arg);
    }
    return put_u64(p, key, FIELD_VLAN_VID, FLOW_VLAN_PRESENT | vid, 0x1fff);
}

/* vlan_tci=V[/M]: PCP, "present", VID as the tag holds them (bit 12 is "present"); 0 alone: no tag. */
static bool parse_vlan_tci(struct parse *p, const char *key, char *arg)
{
    uint64_t value, mask = 0xffff;
    char *slash = strchr(arg, '/');
    if (slash) {
        *slash = '\0';
    }
    if (!text_number(key, arg, 0xffff, &value, p->err) || (slash && !text_number(key, slash + 1, 0xffff, &mask, p->err))) {
        return false;
    }
    value &= mask;
    bool untagged = mask & FLOW_VLAN_PRESENT && !(value & FLOW_VLAN_PRESENT);
    if (untagged && value) {
        return err_set(p->err, ERR_INVALID, key, "a VLAN id or priority needs bit 0x1000 (tag present) set");
    }
    if (!untagged && (mask & 0xe000) && (mask & 0xe000) != 0xe000) {
        return err_set(p->err, ERR_INVALID, key, "the priority bits can be matched as a whole only (mask 0xe000)");
    }
    if (mask & 0x1fff && !put_u64(p, key, FIELD_VLAN_VID, value & 0x1fff, mask & 0x1fff)) {
        return false;
    }
    return untagged || !(mask & 0xe000) || put_u64(p, key, FIELD_VLAN_PCP, value >> 13, 7);
}

/* nw_tos=N: the DSCP in the upper six bits. */
static bool parse_nw_tos(struct parse *p, const char *key, const char *arg)
{
    uint64_t tos;
    if (!text_number(key, arg, 0xff, &tos, p->err)) {
        return false;
    }
    if (tos & 3) {
        return err_set(p->err, ERR_INVALID, key, "the low two bits are ECN and must be zero; match nw_ecn for them");
    }
    return put_u64(p, key, FIELD_IP_DSCP, tos >> 2, 0x3f);
}

static bool mask_allowed(const struct field *f, const union field_value *mask)
{
    union field_value all = field_mask_all(f);
    return f->maskable || f->nxm_maskable || !memcmp(mask, &all, sizeof all);
}

static bool parse_field(struct parse *p, const char *key, const char *arg)
{
    const struct field *f = field_from_name(key, strlen(key));
    union field_value value, mask;
    if (!f) {
        return err_set(p->err, ERR_INVALID, key, "is no match field");
    }
    if (!field_parse_value(f, arg, &value, &mask, p->err)) {
        return false;
    }
    if (!mask_allowed(f, &mask)) {
        return err_set(p->err, ERR_INVALID, key, "cannot be masked");
    }
    if (field_id_of(f) == FIELD_VLAN_VID) {
        uint64_t v = field_value_u64(&value);
        if (field_value_u64(&mask) & FLOW_VLAN_PRESENT && v && !(v & FLOW_VLAN_PRESENT)) {
            return err_set(p->err, ERR_INVALID, key, "a VLAN id needs bit 0x1000 (tag present) set; dl_vlan=%llu does it for you", (unsigned long long) v);
        }
    }
    /* Names that serve several protocols take whichever the match has. */
    bool shared = !strncmp(key, "tp_", 3) || !strncmp(key, "icmp_", 5);
    p->seen[field_id_of(f)] = !shared;
    return put(p, key, field_id_of(f), &value, &mask);
}

static bool parse_token(struct parse *p, char *token)
{
    char *arg;
    size_t len = strcspn(token, "=");
    bool known;

    arg = token[len] ? token + len + 1 : NULL;
    token[len] = '\0';
    if (!arg) {
        if (!parse_shorthand(p, token, &known)) {
            return false;
        }
        return known || err_set(p->err, ERR_INVALID, token, "is neither a protocol nor FIELD=VALUE");
    }
    if (!strcmp(token, "dl_vlan")) {
        return parse_dl_vlan(p, token, arg);
    }
    if (!strcmp(token, "vlan_tci")) {
        return parse_vlan_tci(p, token, arg);
    }
    if (!strcmp(token, "nw_tos")) {
        return parse_nw_tos(p, token, arg);
    }
    return parse_field(p, token, arg);
}

static const char *prereq_text(enum field_prereq prereq)
{
    static const char *const text[] = {
        [PREREQ_NONE] = "nothing", [PREREQ_VLAN] = "a VLAN tag (dl_vlan or vlan_tci=0x1000/0x1000)", [PREREQ_IP] = "ip or ipv6", [PREREQ_IPV4] = "ip",
        [PREREQ_IPV6] = "ipv6", [PREREQ_ARP] = "arp", [PREREQ_TCP] = "tcp or tcp6", [PREREQ_UDP] = "udp or udp6", [PREREQ_SCTP] = "sctp or sctp6",
        [PREREQ_ICMPV4] = "icmp", [PREREQ_ICMPV6] = "icmp6", [PREREQ_ND] = "icmp6 with icmpv6_type=135 or 136",
        [PREREQ_ND_NS] = "icmp6 with icmpv6_type=135", [PREREQ_ND_NA] = "icmp6 with icmpv6_type=136", [PREREQ_MPLS] = "mpls or mplsm",
        [PREREQ_PBB] = "dl_type=0x88e7", [PREREQ_IN_PORT] = "in_port",
    };
    return text[prereq];
}

static bool check_prereqs(const struct parse *p)
{
    for (enum field_id id = 0; id < N_FIELDS; id++) {
        const struct field *f = field_row(id);
        union field_value value, mask;
        bool used = match_get(p->match, id, &value, &mask);
        if ((p->seen[id] || used) && !match_has_prereq(p->match, f->prereq)) {
            return err_set(p->err, ERR_INVALID, f->name, "needs %s in the same match", prereq_text(f->prereq));
        }
        /* Again, because tp_src is sctp_src in the end where the match says so. */
        if (used && !mask_allowed(f, &mask)) {
            return err_set(p->err, ERR_INVALID, f->name, "cannot be masked");
        }
    }
    return true;
}

bool match_parse(const char *text, struct match *m, struct err *err)
{
    struct parse p = { .match = m, .err = err };
    char *copy = xstrdup(text), *rest = copy, *token;
    bool ok = true;

    match_init(m);
    while (ok && (token = text_next(&rest))) {
        ok = parse_token(&p, token);
    }
    ok = ok && check_prereqs(&p);
    free(copy);
    if (!ok) {
        match_init(m);
    }
    return ok;
}
