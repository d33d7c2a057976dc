/*
 * A frame from anywhere is refused or is what lldp_build() makes of the same fields, byte for byte in its signed part.
 * The input's own bytes as fields, signed with the key, are always accepted; with one bit of the signature wrong,
 * never.
 */
#include <stdlib.h>
#include <string.h>
#include "controller/lldp.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool same(const struct lldp_info *a, const struct lldp_info *b)
{
    return a->datapath_id == b->datapath_id && a->port == b->port && a->ttl == b->ttl && a->sequence == b->sequence;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lldp_key key = { .b = "a key for the corpus only", .size = 25 };
    struct lldp_info info, again;
    struct mac source = { { 2, 0, 0, 0, 0, 1 } };
    enum lldp_verdict verdict = lldp_parse(&key, data, size, &info);
    require(verdict == LLDP_OK || verdict == LLDP_FOREIGN || verdict == LLDP_MALFORMED || verdict == LLDP_FORGED);
    if (verdict == LLDP_FOREIGN || verdict == LLDP_MALFORMED) {
        struct cursor c = cursor_make(data, size);
        info = (struct lldp_info) { cursor_be64(&c), cursor_be32(&c), cursor_be16(&c), cursor_be64(&c) };
    }
    struct buf frame = BUF_INIT;
    lldp_build(&key, &info, source, &frame);
    require(lldp_parse(&key, frame.data, frame.size, &again) == LLDP_OK && same(&info, &again));
    frame.data[frame.size - 3] ^= 1;            /* The last byte before the end TLV. */
    require(lldp_parse(&key, frame.data, frame.size, &again) == LLDP_FORGED);
    buf_fini(&frame);
    return 0;
}
