#include "controller/lldp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "lib/util.h"

/* IEEE 802.1AB-2016 section 8.4: a TLV's header is 7 bits of type and 9 of length. */
enum { TLV_END = 0, TLV_CHASSIS = 1, TLV_PORT = 2, TLV_TTL = 3, TLV_ORGANISATION = 127 };
#define SUBTYPE_LOCAL 7         /* Locally assigned, tables 8-2 and 8-3. */
static const uint8_t lldp_destination[6] = { 0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e };      /* Nearest bridge, table 7-1. */
static const uint8_t polder_tlv[4] = { 0x02, 0x50, 0x4c, 1 };  /* A locally administered OUI, and our subtype. */
#define HMAC_SIZE 32
#define POLDER_TLV_SIZE (sizeof polder_tlv + 8 + HMAC_SIZE)
#define CHASSIS_PREFIX "of:"
#define MIN_FRAME 60

static void sign(const struct lldp_key *key, const struct lldp_info *info, uint8_t out[HMAC_SIZE])
{
    struct buf b = BUF_INIT;
    buf_put(&b, "polder-lldp-1", 13);
    buf_put_be64(&b, info->datapath_id);
    buf_put_be32(&b, info->port);
    buf_put_be16(&b, info->ttl);
    buf_put_be64(&b, info->sequence);
    unsigned size = HMAC_SIZE;
    if (!HMAC(EVP_sha256(), key->b, (int) key->size, b.data, b.size, out, &size)) {
        fputs("lldp: OpenSSL has no memory for an HMAC\n", stderr);
        abort();                /* As xmalloc() does; an unsigned frame must never pass for a signed one. */
    }
    buf_fini(&b);
}

static void put_tlv(struct buf *b, unsigned type, const void *value, size_t size)
{
    buf_put_be16(b, (uint16_t) (type << 9 | size));
    buf_put(b, value, size);
}

void lldp_build(const struct lldp_key *key, const struct lldp_info *info, struct mac source, struct buf *out)
{
    size_t start = out->size;
    buf_put(out, lldp_destination, sizeof lldp_destination);
    buf_put(out, source.b, sizeof source.b);
    buf_put_be16(out, LLDP_ETHERTYPE);
    char text[40];
    int n = snprintf(text, sizeof text, "%c" CHASSIS_PREFIX "%016llx", SUBTYPE_LOCAL, (unsigned long long) info->datapath_id);
    put_tlv(out, TLV_CHASSIS, text, (size_t) n);
    n = snprintf(text, sizeof text, "%c%u", SUBTYPE_LOCAL, info->port);
    put_tlv(out, TLV_PORT, text, (size_t) n);
    uint8_t ttl[2];
    wire_put16(ttl, info->ttl);
    put_tlv(out, TLV_TTL, ttl, sizeof ttl);
    uint8_t tlv[POLDER_TLV_SIZE];
    memcpy(tlv, polder_tlv, sizeof polder_tlv);
    wire_put64(tlv + sizeof polder_tlv, info->sequence);
    sign(key, info, tlv + sizeof polder_tlv + 8);
    put_tlv(out, TLV_ORGANISATION, tlv, sizeof tlv);
    put_tlv(out, TLV_END, "", 0);
    if (out->size - start < MIN_FRAME) {
        buf_put_zeros(out, MIN_FRAME - (out->size - start));
    }
}

/* The text of a locally assigned id, without its subtype, as a C string. */
static bool local_text(struct cursor value, char *out, size_t size)
{
    if (cursor_u8(&value) != SUBTYPE_LOCAL || value.failed || cursor_left(&value) >= size) {
        return false;
    }
    size_t n = cursor_left(&value);
    cursor_copy(&value, out, n);
    out[n] = '\0';
    return strlen(out) == n;
}

static bool parse_chassis(struct cursor value, uint64_t *datapath_id)
{
    char text[40];
    const size_t prefix = sizeof CHASSIS_PREFIX - 1;
    return local_text(value, text, sizeof text) && !strncmp(text, CHASSIS_PREFIX, prefix) && strlen(text) == prefix + 16
           && str_to_hex(text + prefix, 16, datapath_id);
}

static bool parse_port(struct cursor value, uint32_t *port)
{
    char text[16];
    uint64_t x;
    if (!local_text(value, text, sizeof text) || !str_to_u64(text, UINT32_MAX, &x)) {
        return false;
    }
    *port = (uint32_t) x;
    return true;
}

static bool is_ours(struct cursor value)
{
    const uint8_t *p = cursor_take(&value, sizeof polder_tlv);
    return p && !memcmp(p, polder_tlv, sizeof polder_tlv);
}

/* The mandatory TLVs come first and in order (section 8.2), so a frame of ours is told only after them: until then a fault makes it somebody else's. */
enum lldp_verdict lldp_parse(const struct lldp_key *key, const uint8_t *frame, size_t size, struct lldp_info *info)
{
    struct cursor c = cursor_make(frame, size);
    struct lldp_info x = { 0 };
    const uint8_t *tag = NULL;
    bool bad = false;
    memset(info, 0, sizeof *info);
    cursor_skip(&c, 12);
    if (cursor_be16(&c) != LLDP_ETHERTYPE || c.failed) {
        return LLDP_FOREIGN;
    }
    for (unsigned i = 0; cursor_left(&c); i++) {
        uint16_t header = cursor_be16(&c);
        unsigned type = header >> 9;
        struct cursor value = cursor_sub(&c, header & 0x1ff);
        if (c.failed) {
            bad = true;
            break;
        }
        if (type == TLV_END) {
            break;
        }
        bad |= i < 3 && type != TLV_CHASSIS + i;
        if (type == TLV_CHASSIS) {
            bad |= i != 0 || !parse_chassis(value, &x.datapath_id);
        } else if (type == TLV_PORT) {
            bad |= i != 1 || !parse_port(value, &x.port);
        } else if (type == TLV_TTL) {
            bad |= i != 2 || cursor_left(&value) != 2;
            x.ttl = cursor_be16(&value);
        } else if (type == TLV_ORGANISATION && is_ours(value)) {
            bad |= i < 3 || tag || cursor_left(&value) != POLDER_TLV_SIZE;
            cursor_skip(&value, sizeof polder_tlv);
            x.sequence = cursor_be64(&value);
            const uint8_t *p = cursor_take(&value, HMAC_SIZE);
            tag = p ? p : frame;        /* Non-NULL: the TLV was there; a short one is bad already. */
        }
    }
    if (!tag) {
        return LLDP_FOREIGN;
    }
    if (bad) {
        return LLDP_MALFORMED;
    }
    uint8_t expected[HMAC_SIZE];
    sign(key, &x, expected);
    *info = x;
    return CRYPTO_memcmp(expected, tag, HMAC_SIZE) ? LLDP_FORGED : LLDP_OK;
}

void lldp_sent_init(struct lldp_sent *s, uint64_t first)
{
    *s = (struct lldp_sent) { .first = first, .last = first - 1, .accepted = first - 1 };
}

uint64_t lldp_sent_next(struct lldp_sent *s) { return ++s->last; }

bool lldp_fresh(struct lldp_sent *s, uint64_t sequence)
{
    /* Distances, so that a wrap of the counter is no matter. */
    uint64_t age = s->last - sequence, accepted_age = s->last - s->accepted;
    if (age >= LLDP_WINDOW || age >= accepted_age || sequence - s->first > s->last - s->first) {
        return false;
    }
    s->accepted = sequence;
    return true;
}
