/*
 * Any bytes as a frame, and edits that the bytes choose: no read or write outside the frame, a key that a second parse
 * confirms, edits that say no and change nothing, and set-field there and back giving the same bytes.
 *
 * Input: one byte n, n edits of three bytes (what, field, value), then the frame.
 */
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"
#include "vswitch/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void require_true_key(const struct packet *p, const struct flow *f)
{
    struct packet view = *p;
    struct flow fresh = *f;
    packet_extract(&view, &fresh);
    require(!memcmp(&fresh, f, sizeof fresh));
    require(p->l2_len <= p->len && p->l3_ofs <= p->len && p->l4_ofs <= p->len);
    require(!p->l4_ofs || (p->l3_ofs && p->l4_ofs > p->l3_ofs));
    require(!p->l3_ofs || p->l3_ofs >= p->l2_len);
}

static bool set_field(struct packet *p, struct flow *f, const struct field *field, uint8_t seed)
{
    union field_value v, old, all = field_mask_all(field);
    memset(&v, seed, sizeof v);
    for (unsigned i = 0; i < 2; i++) {
        v.w[i] &= all.w[i];
    }
    enum field_id id = field_id_of(field);
    bool moves_others = id == FIELD_ETH_TYPE || id == FIELD_IP_PROTO || id == FIELD_ND_OPTIONS_TYPE;
    uint8_t *before = xmalloc(p->len + 1);
    memcpy(before, p->data, p->len);
    field_get(field, f, &old);
    bool done = packet_set_field(p, f, field, &v);
    if (done && !moves_others) {
        require_true_key(p, f);
        require(packet_set_field(p, f, field, &old));
        require(!memcmp(before, p->data, p->len));
        require(packet_set_field(p, f, field, &v));
    } else if (!done) {
        require(!memcmp(before, p->data, p->len));
    }
    free(before);
    return done;
}

static bool edit(struct packet *p, struct flow *f, const uint8_t *how)
{
    const struct field *field = field_row((enum field_id) (how[1] % N_FIELDS));
    switch (how[0] % 12) {
    case 0: return packet_push_vlan(p, f, how[1] & 1 ? ETH_TYPE_VLAN : ETH_TYPE_QINQ);
    case 1: return packet_pop_vlan(p, f);
    case 2: return packet_push_mpls(p, f, how[1] & 1 ? ETH_TYPE_MPLS : ETH_TYPE_MPLS_MCAST);
    case 3: return packet_pop_mpls(p, f, (uint16_t) (how[1] << 8 | how[2]));
    case 4: return packet_push_pbb(p, f, ETH_TYPE_PBB);
    case 5: return packet_pop_pbb(p, f);
    case 6: return packet_copy_ttl_out(p, f);
    case 7: return packet_copy_ttl_in(p, f);
    default: return field->settable && field->offset >= offsetof(struct flow, eth_dst) && set_field(p, f, field, how[2]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ROOM = 40 };
    if (!size) {
        return 0;
    }
    size_t n_edits = MIN(data[0] % 8u, (size - 1) / 3);
    const uint8_t *edits = data + 1, *frame = edits + 3 * n_edits;
    size_t len = size - 1 - 3 * n_edits;
    /* Headroom or none, and the frame's end is the memory's. */
    size_t headroom = data[0] & 0x80 ? 0 : ROOM;
    uint8_t *memory = xmalloc(headroom + len + 1);
    memcpy(memory + headroom, frame, len);
    memory = xrealloc(memory, headroom + len ? headroom + len : 1);
    struct packet p = { .data = memory + headroom, .len = (uint32_t) len, .headroom = (uint32_t) headroom };
    struct flow f;
    flow_init(&f);
    packet_extract(&p, &f);
    require_true_key(&p, &f);
    for (size_t i = 0; i < n_edits; i++) {
        edit(&p, &f, edits + 3 * i);
        require_true_key(&p, &f);
    }
    free(memory);
    return 0;
}
