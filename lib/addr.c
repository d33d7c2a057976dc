#include "lib/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "lib/wire.h"

static const uint8_t v4_mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool mac_parse(const char *s, struct mac *out)
{
    struct mac m;
    for (int i = 0; i < 6; i++, s += 3) {
        size_t size = 1;
        char pair[3] = { s[0], s[0] ? s[1] : '\0', '\0' };
        if (!hex_to_bytes(pair, &m.b[i], &size) || size != 1 || s[2] != (i < 5 ? ':' : '\0')) {
            return false;
        }
    }
    *out = m;
    return true;
}

char *mac_format(struct mac m, char out[MAC_STRLEN])
{
    snprintf(out, MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", m.b[0], m.b[1], m.b[2], m.b[3], m.b[4], m.b[5]);
    return out;
}

bool ip_parse(const char *s, struct ip *out)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, s, &v4) == 1) {
        *out = ip_from_v4(ntohl(v4.s_addr));
        return true;
    }
    if (inet_pton(AF_INET6, s, &v6) == 1) {
        memcpy(out->b, &v6, sizeof out->b);
        return true;
    }
    return false;
}

char *ip_format(const struct ip *ip, char out[IP_STRLEN])
{
    if (ip_is_v4(ip)) {
        snprintf(out, IP_STRLEN, "%u.%u.%u.%u", ip->b[12], ip->b[13], ip->b[14], ip->b[15]);
    } else {
        inet_ntop(AF_INET6, ip->b, out, IP_STRLEN);
    }
    return out;
}

bool ip_is_v4(const struct ip *ip)
{
    return !memcmp(ip->b, v4_mapped, sizeof v4_mapped);
}

uint32_t ip_v4(const struct ip *ip)
{
    return wire_get32(ip->b + 12);
}

struct ip ip_from_v4(uint32_t host_order)
{
    struct ip ip;
    memcpy(ip.b, v4_mapped, sizeof v4_mapped);
    wire_put32(ip.b + 12, host_order);
    return ip;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return !memcmp(a->b, b->b, sizeof a->b);
}

/* "...inserting two octets, with hexadecimal values of 0xFF and 0xFE, in the middle of the 48-bit MAC"; the modified
 * EUI-64 format inverts the universal/local bit. */
struct ip ip_link_local_eui64(struct mac m)
{
    return (struct ip) { { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, m.b[0] ^ 2, m.b[1], m.b[2], 0xff, 0xfe, m.b[3], m.b[4], m.b[5] } };
}

struct ip ip_add(const struct ip *ip, uint64_t n)
{
    struct ip sum = *ip;
    if (ip_is_v4(ip)) {
        wire_put32(sum.b + 12, (uint32_t) (wire_get32(ip->b + 12) + n));
    } else {
        wire_put64(sum.b + 8, wire_get64(ip->b + 8) + n);
    }
    return sum;
}

/* Length counted from the start of the 16 bytes. */
static unsigned full_len(const struct prefix *p)
{
    return p->is_v4 ? p->len + 96u : p->len;
}

/* True if the first `len` bits of a and b agree. */
static bool same_bits(const struct ip *a, const struct ip *b, unsigned len)
{
    unsigned bytes = len / 8, bits = len % 8;
    return !memcmp(a->b, b->b, bytes) && (!bits || !((a->b[bytes] ^ b->b[bytes]) >> (8 - bits)));
}

bool prefix_parse(const char *s, struct prefix *out)
{
    const char *slash = strchr(s, '/');
    char text[IP_STRLEN];
    struct prefix p;
    uint64_t len;
    if (!slash || (size_t) (slash - s) >= sizeof text || slash[1] < '0' || slash[1] > '9') {
        return false;
    }
    str_copy(text, (size_t) (slash - s) + 1, s);
    p.is_v4 = !strchr(text, ':');
    if (!ip_parse(text, &p.ip) || (!p.is_v4 && ip_is_v4(&p.ip))) {
        return false;           /* ::ffff:0:0/96 as an IPv6 prefix would contain addresses that are IPv4 here. */
    }
    if (slash[1] == '0' && slash[2]) {
        return false;           /* Neither "/0x10" nor "/08". */
    }
    if (!str_to_u64(slash + 1, p.is_v4 ? 32 : 128, &len)) {
        return false;
    }
    p.len = (uint8_t) len;
    unsigned first = full_len(&p);
    for (unsigned i = first; i < 128; i++) {
        if (p.ip.b[i / 8] & (0x80 >> i % 8)) {
            return false;
        }
    }
    *out = p;
    return true;
}

char *prefix_format(const struct prefix *p, char out[PREFIX_STRLEN])
{
    char ip[IP_STRLEN];
    snprintf(out, PREFIX_STRLEN, "%s/%u", ip_format(&p->ip, ip), p->len);
    return out;
}

bool prefix_contains(const struct prefix *p, const struct ip *ip)
{
    return p->is_v4 == ip_is_v4(ip) && same_bits(&p->ip, ip, full_len(p));
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
    return a->is_v4 == b->is_v4 && same_bits(&a->ip, &b->ip, MIN(full_len(a), full_len(b)));
}
