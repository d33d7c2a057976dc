/* The rarer steps of programs: headers and tags, with the checksums that cover them.  The same bytes as packet_write.c and packet_tags.c leave, without a flow key. */
#include "vswitch/cache.h"

#include <string.h>
#include "lib/util.h"
#include "vswitch/checksum.h"
#include "vswitch/packet.h"

static void update(uint8_t *sum, uint32_t delta)
{
    wire_put16(sum, checksum_update(wire_get16(sum), delta));
}

static void write_bits(struct packet *p, const struct cache_step *s)
{
    uint16_t bits[2];
    uint8_t *l4 = p->data + p->l4_ofs, *at = (s->n & STEP_BITS_L4 ? l4 : p->data) + s->port;
    memcpy(bits, s + 1, sizeof bits);
    uint16_t old = wire_get16(at), new = (uint16_t) ((old & ~bits[1]) | bits[0]);
    uint32_t delta = old + (0xffffu - new);
    wire_put16(at, new);
    if (s->n & STEP_BITS_IN_IPV4) {
        update(p->data + p->l3_ofs + 10, delta);
    }
    if (s->n & STEP_BITS_IN_TCP) {
        update(l4 + 16, delta);
    } else if (s->n & STEP_BITS_IN_UDP) {
        wire_put16(l4 + 6, checksum_update_udp(wire_get16(l4 + 6), delta));
    } else if (s->n & STEP_BITS_IN_ICMPV6) {
        update(l4 + 2, delta);
    }
}

/* As packet_push_mpls() makes it. */
static void push_mpls(struct packet *p, const struct cache_step *s)
{
    uint32_t lse = s->n & STEP_LABEL_COPY ? wire_get32(p->data + p->l2_len) & ~UINT32_C(0x100)
        : s->n & STEP_LABEL_TTL_V4 ? p->data[p->l3_ofs + 8] : s->n & STEP_LABEL_TTL_V6 ? p->data[p->l3_ofs + 7] : 0;
    packet_insert_label(p, s->port, lse | (s->n & STEP_LABEL_BOTTOM ? 0x100 : 0));
}

static void pop_mpls(struct packet *p, const struct cache_step *s)
{
    packet_remove_label(p, s->port);
    if (s->n & STEP_BEHIND_L3) {
        const uint8_t *h = p->data + p->l2_len;
        p->l3_ofs = p->l2_len;
        if (s->n & STEP_BEHIND_L4 && s->n & STEP_BEHIND_V6) {
            struct ipv6_chain c;
            packet_walk_ipv6(h, MIN(p->len - p->l3_ofs, 40u + wire_get16(h + 4)), &c);
            p->l4_ofs = (uint16_t) (p->l3_ofs + c.l4_ofs);
        } else if (s->n & STEP_BEHIND_L4) {
            p->l4_ofs = (uint16_t) (p->l3_ofs + (h[0] & 15) * 4);
        }
    }
}

unsigned cache_edit(struct packet *p, const struct cache_step *s)
{
    switch (s->code) {
    case STEP_BITS:
        write_bits(p, s);
        return 1;
    case STEP_PUSH_VLAN:
        packet_insert_vlan(p, s->port, s->n ? wire_get16(p->data + ETH_HEADER_SIZE) & 0xefff : 0);      /* There is room: cache_may_run(). */
        return 0;
    case STEP_POP_VLAN:
        packet_remove_vlan(p);
        return 0;
    case STEP_PUSH_MPLS:
        push_mpls(p, s);
        return 0;
    case STEP_POP_MPLS:
        pop_mpls(p, s);
        return 0;
    case STEP_MPLS_TTL:
        p->data[s->port] = (uint8_t) (p->data[s->port] - s->n);
        return 0;
    default:
        p->queue = s->port;
        return 0;
    }
}
