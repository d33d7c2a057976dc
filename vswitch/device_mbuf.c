#include "vswitch/device_mbuf.h"

#include <rte_errno.h>
#include <string.h>

#define SMALL_CACHE 256
#define JUMBO_SHARE 32          /* One jumbo buffer for so many small ones. */
#define JUMBO_MIN 64

bool mbuf_pools_init(struct mbuf_pools *pools, unsigned n_mbufs, struct err *err)
{
    unsigned n_jumbo = RTE_MAX(n_mbufs / JUMBO_SHARE, (unsigned) JUMBO_MIN);
    pools->small = rte_pktmbuf_pool_create("mbufs", n_mbufs, SMALL_CACHE, sizeof(struct mbuf_priv), RTE_PKTMBUF_HEADROOM + MBUF_ROOM, SOCKET_ID_ANY);
    pools->jumbo = pools->small ? rte_pktmbuf_pool_create("jumbo", n_jumbo, 0, sizeof(struct mbuf_priv),
                                                          RTE_PKTMBUF_HEADROOM + MBUF_JUMBO_ROOM, SOCKET_ID_ANY) : NULL;
    if (!pools->jumbo) {
        err_set(err, ERR_FAILED, "dpdk.mbufs", "cannot make the packet buffers: %s", rte_strerror(rte_errno));
        err_hint(err, "raise dpdk.memory_mb or lower dpdk.mbufs");
        mbuf_pools_fini(pools);
        return false;
    }
    return true;
}

void mbuf_pools_fini(struct mbuf_pools *pools)
{
    rte_mempool_free(pools->small);
    rte_mempool_free(pools->jumbo);
    pools->small = pools->jumbo = NULL;
}

struct rte_mbuf *mbuf_alloc(const struct mbuf_pools *pools, uint32_t size)
{
    if (size > MBUF_JUMBO_ROOM) {
        return NULL;
    }
    return rte_pktmbuf_alloc(size <= MBUF_ROOM ? pools->small : pools->jumbo);
}

struct packet *mbuf_copy_packet(const struct mbuf_pools *pools, const struct packet *p)
{
    struct rte_mbuf *m = mbuf_alloc(pools, p->len);
    if (!m) {
        return NULL;
    }
    memcpy(rte_pktmbuf_mtod(m, void *), p->data, p->len);
    m->data_len = (uint16_t) p->len;
    m->pkt_len = p->len;
    struct packet *copy = mbuf_to_packet(m, p->in_port);
    copy->l2_len = p->l2_len;
    copy->l3_ofs = p->l3_ofs;
    copy->l4_ofs = p->l4_ofs;
    return copy;
}

struct rte_mbuf *mbuf_linearise(const struct mbuf_pools *pools, struct rte_mbuf *m)
{
    if (m->nb_segs == 1) {
        return m;
    }
    struct rte_mbuf *whole = mbuf_alloc(pools, m->pkt_len);
    if (whole) {
        uint8_t *to = rte_pktmbuf_mtod(whole, uint8_t *);
        for (const struct rte_mbuf *s = m; s; s = s->next) {
            memcpy(to, rte_pktmbuf_mtod(s, const void *), s->data_len);
            to += s->data_len;
        }
        whole->data_len = (uint16_t) m->pkt_len;
        whole->pkt_len = m->pkt_len;
    }
    rte_pktmbuf_free(m);
    return whole;
}

static bool is_vlan(uint16_t ethertype)
{
    return ethertype == 0x8100 || ethertype == 0x88a8;
}

bool mbuf_fits_tagged(const struct rte_mbuf *m, unsigned mtu)
{
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t l2 = MBUF_L2;
    while (l2 + 4 <= m->data_len && is_vlan(wire_get16(frame + l2 - 2))) {
        l2 += 4;
    }
    return m->data_len <= mtu + l2;
}
