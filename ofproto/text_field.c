/* Values and masks of one field as text, both ways, by the row's format. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/util.h"
#include "ofproto/text.h"

static const char *const tcp_flag_names[] = { "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns" };
#define TCP_NAMED_FLAGS 0x1ffu

/* ip_frag as Open vSwitch names it: (value, mask). */
static const struct { const char *name; uint8_t value, mask; } frag_names[] = {
    { "no", 0, FLOW_FRAG_ANY | FLOW_FRAG_LATER },
    { "yes", FLOW_FRAG_ANY, FLOW_FRAG_ANY },
    { "first", FLOW_FRAG_ANY, FLOW_FRAG_ANY | FLOW_FRAG_LATER },
    { "later", FLOW_FRAG_ANY | FLOW_FRAG_LATER, FLOW_FRAG_ANY | FLOW_FRAG_LATER },
    { "not_later", 0, FLOW_FRAG_LATER },
};

static bool value_equal(const union field_value *a, const union field_value *b)
{
    return a->w[0] == b->w[0] && a->w[1] == b->w[1];
}

/* The number of leading ones if the mask of `bits` width is a prefix, otherwise -1. */
static int prefix_length(const union field_value *mask, unsigned bits)
{
    unsigned ones = 0;
    while (ones < bits && mask->b[16 - bits / 8 + ones / 8] & (0x80 >> ones % 8)) {
        ones++;
    }
    for (unsigned i = ones; i < bits; i++) {
        if (mask->b[16 - bits / 8 + i / 8] & (0x80 >> i % 8)) {
            return -1;
        }
    }
    return (int) ones;
}

static void format_hex(const union field_value *v, char *out, size_t size)
{
    uint64_t high = wire_get64(v->b), low = wire_get64(v->b + 8);
    if (high) {
        snprintf(out, size, "0x%llx%016llx", (unsigned long long) high, (unsigned long long) low);
    } else {
        snprintf(out, size, "%#llx", (unsigned long long) low);
    }
}

/* A value on its own; `hex` for masked decimals, where bits count. */
static void format_one(const struct field *f, const union field_value *v, bool hex, char *out, size_t size)
{
    uint64_t low = field_value_u64(v);
    switch (f->format) {
    case FORMAT_MAC: {
        char mac[MAC_STRLEN];
        str_copy(out, size, mac_format(mac_from_u64(low), mac));
        break;
    }
    case FORMAT_IPV4:
        if (!inet_ntop(AF_INET, v->b + 12, out, (socklen_t) size)) {
            format_hex(v, out, size);
        }
        break;
    case FORMAT_IPV6:
        if (!inet_ntop(AF_INET6, v->b, out, (socklen_t) size)) {
            format_hex(v, out, size);
        }
        break;
    case FORMAT_PORT:
        text_port_format((uint32_t) low, out, size);
        break;
    case FORMAT_DECIMAL: case FORMAT_VLAN:
        if (!hex) {
            snprintf(out, size, "%llu", (unsigned long long) low);
            break;
        }
        __attribute__((fallthrough));
    case FORMAT_HEX: case FORMAT_TCP_FLAGS: case FORMAT_FRAG:
        format_hex(v, out, size);
        break;
    }
}

static void format_tcp_flags(uint64_t value, uint64_t mask, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < ARRAY_SIZE(tcp_flag_names) && used < size; i++) {
        if (mask >> i & 1) {
            used += (size_t) snprintf(out + used, size - used, "%c%s", value >> i & 1 ? '+' : '-', tcp_flag_names[i]);
        }
    }
}

/* The formats that have words for a pair of value and mask. */
static bool format_pair(const struct field *f, const union field_value *v, const union field_value *mask, char *out, size_t size)
{
    uint64_t value = field_value_u64(v), m = field_value_u64(mask);
    if (f->format == FORMAT_FRAG) {
        for (unsigned i = 0; i < ARRAY_SIZE(frag_names); i++) {
            if (value == frag_names[i].value && m == frag_names[i].mask) {
                str_copy(out, size, frag_names[i].name);
                return true;
            }
        }
    } else if (f->format == FORMAT_TCP_FLAGS && m && !(m & ~(uint64_t) TCP_NAMED_FLAGS)) {
        format_tcp_flags(value, m, out, size);
        return true;
    }
    return false;
}

void field_format_value(const struct field *f, const union field_value *v, const union field_value *mask, char *out, size_t size)
{
    union field_value all = field_mask_all(f);
    bool masked = mask && !value_equal(mask, &all);

    if (format_pair(f, v, mask ? mask : &all, out, size)) {
        return;
    }
    format_one(f, v, masked, out, size);
    if (!masked) {
        return;
    }
    size_t used = strlen(out);
    out[used++] = '/';
    int prefix = f->format == FORMAT_IPV4 || f->format == FORMAT_IPV6 ? prefix_length(mask, f->bits) : -1;
    if (prefix >= 0) {
        snprintf(out + used, size - used, "%d", prefix);
    } else if (f->format == FORMAT_PORT) {
        format_hex(mask, out + used, size - used);
    } else {
        format_one(f, mask, true, out + used, size - used);
    }
}

static bool parse_number(const char *s, union field_value *v)
{
    uint64_t low;
    if (str_to_u64(s, UINT64_MAX, &low)) {
        *v = field_value_from_u64(low);
        return true;
    }
    /* Hexadecimal beyond 64 bits. */
    size_t digits = strlen(s) > 2 && s[0] == '0' && (s[1] | 0x20) == 'x' ? strlen(s + 2) : 0;
    if (digits <= 16 || digits > 32) {
        return false;
    }
    char high_digits[17] = "";
    uint64_t high;
    memcpy(high_digits, s + 2, digits - 16);
    if (!str_to_hex(high_digits, 16, &high) || !str_to_hex(s + 2 + digits - 16, 16, &low)) {
        return false;
    }
    wire_put64(v->b, high);
    wire_put64(v->b + 8, low);
    return true;
}

static bool parse_one(const struct field *f, const char *s, union field_value *v)
{
    struct mac mac;
    struct ip ip;
    uint32_t port;

    memset(v, 0, sizeof *v);
    switch (f->format) {
    case FORMAT_MAC:
        if (!mac_parse(s, &mac)) {
            return false;
        }
        *v = field_value_from_u64(mac_u64(mac));
        return true;
    case FORMAT_IPV4:
        if (strchr(s, ':') || !ip_parse(s, &ip)) {
            return false;
        }
        memcpy(v->b + 12, ip.b + 12, 4);
        return true;
    case FORMAT_IPV6:
        if (!strchr(s, ':') || !ip_parse(s, &ip)) {
            return false;
        }
        memcpy(v->b, ip.b, 16);
        return true;
    case FORMAT_PORT:
        if (!text_port_parse(s, &port)) {
            return false;
        }
        *v = field_value_from_u64(port);
        return true;
    default:
        return parse_number(s, v);
    }
}

/* "/24", "/255.255.0.0", "/0xff00", as the field's format has it. */
static bool parse_mask(const struct field *f, const char *s, union field_value *mask)
{
    uint64_t len;
    if ((f->format == FORMAT_IPV4 || f->format == FORMAT_IPV6) && str_to_u64(s, f->bits, &len)) {
        union field_value zero = { .w = { 0, 0 } };
        *mask = field_mask_all(f);
        field_copy_bits(&zero, 0, mask, 0, f->bits - (unsigned) len);
        return true;
    }
    return f->format == FORMAT_PORT ? parse_number(s, mask) : parse_one(f, s, mask);
}

/* "+syn-ack" */
static bool parse_tcp_flags(const char *s, union field_value *value, union field_value *mask)
{
    uint64_t v = 0, m = 0;
    while (*s) {
        char sign = *s++;
        size_t len = strcspn(s, "+-");
        unsigned i = 0;
        while (i < ARRAY_SIZE(tcp_flag_names) && (strlen(tcp_flag_names[i]) != len || strncmp(tcp_flag_names[i], s, len))) {
            i++;
        }
        if ((sign != '+' && sign != '-') || i == ARRAY_SIZE(tcp_flag_names) || m >> i & 1) {
            return false;
        }
        m |= UINT64_C(1) << i;
        v |= (uint64_t) (sign == '+') << i;
        s += len;
    }
    *value = field_value_from_u64(v);
    *mask = field_value_from_u64(m);
    return m != 0;
}

static bool parse_words(const struct field *f, const char *s, union field_value *value, union field_value *mask)
{
    if (f->format == FORMAT_TCP_FLAGS && (*s == '+' || *s == '-')) {
        return parse_tcp_flags(s, value, mask);
    }
    for (unsigned i = 0; f->format == FORMAT_FRAG && i < ARRAY_SIZE(frag_names); i++) {
        if (!strcmp(s, frag_names[i].name)) {
            *value = field_value_from_u64(frag_names[i].value);
            *mask = field_value_from_u64(frag_names[i].mask);
            return true;
        }
    }
    return false;
}

static const char *expected(const struct field *f)
{
    switch (f->format) {
    case FORMAT_MAC: return "a MAC address, as in 02:00:00:00:00:01";
    case FORMAT_IPV4: return "an IPv4 address, as in 10.0.0.1 or 10.0.0.0/24";
    case FORMAT_IPV6: return "an IPv6 address, as in fd00::1 or fd00::/64";
    case FORMAT_PORT: return "a port number or name (LOCAL, CONTROLLER, IN_PORT)";
    case FORMAT_TCP_FLAGS: return "flags (+syn-ack) or a number";
    case FORMAT_FRAG: return "no, yes, first, later, not_later or a number";
    default: return "a number, decimal or 0x hexadecimal";
    }
}

bool field_parse_value(const struct field *f, const char *text, union field_value *value, union field_value *mask, struct err *err)
{
    char copy[128];
    const char *slash = strchr(text, '/');

    if (parse_words(f, text, value, mask)) {
        return true;
    }
    *mask = field_mask_all(f);
    bool fits = strlen(text) < sizeof copy;
    if (fits) {
        str_copy(copy, sizeof copy, text);
        if (slash) {
            copy[slash - text] = '\0';
        }
    }
    if (!fits || !parse_one(f, copy, value)) {
        return err_set(err, ERR_INVALID, f->name, "\"%.100s\" is not %s", text, expected(f));
    }
    if (slash && !parse_mask(f, copy + (slash - text) + 1, mask)) {
        return err_set(err, ERR_INVALID, f->name, "the mask in \"%.100s\" is neither a prefix length nor a mask", text);
    }
    if (!field_value_valid(f, value) || !field_value_valid(f, mask)) {
        return err_set(err, ERR_INVALID, f->name, "\"%.100s\" has more than the field's %u bits", text, f->bits);
    }
    value->w[0] &= mask->w[0];
    value->w[1] &= mask->w[1];
    return true;
}
