/* Elements of multipart replies about groups and meters (OpenFlow 1.3.5 sections 7.3.5.6, 7.3.5.7, 7.3.5.10, 7.3.5.11). */
#include "ofproto/of_multipart_codec.h"

#include <stdlib.h>
#include "lib/util.h"

/* Bucket or band counters fill the rest of an element. */
static struct of_error counters_get(struct cursor *c, struct of_bucket_counter **v, unsigned *n)
{
    if (c->failed || cursor_left(c) % 16) {
        return OF_BAD_LEN;
    }
    *n = (unsigned) (cursor_left(c) / 16);
    *v = *n ? xcalloc(*n, sizeof **v) : NULL;
    for (unsigned i = 0; i < *n; i++) {
        (*v)[i].packet_count = cursor_be64(c);
        (*v)[i].byte_count = cursor_be64(c);
    }
    return OF_OK;
}

static void counters_put(const struct of_bucket_counter *v, unsigned n, struct buf *b)
{
    for (unsigned i = 0; i < n; i++) {
        buf_put_be64(b, v[i].packet_count);
        buf_put_be64(b, v[i].byte_count);
    }
}

struct of_error of_group_item_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_group_stats *gs = item;
    struct cursor c = of_element(all, 0, 40);
    cursor_skip(&c, 4);
    gs->group_id = cursor_be32(&c);
    gs->ref_count = cursor_be32(&c);
    cursor_skip(&c, 4);
    gs->packet_count = cursor_be64(&c);
    gs->byte_count = cursor_be64(&c);
    gs->duration_sec = cursor_be32(&c);
    gs->duration_nsec = cursor_be32(&c);
    return counters_get(&c, &gs->buckets, &gs->n_buckets);
}

void of_group_item_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_group_stats *gs = item;
    buf_put_zeros(b, 4);
    buf_put_be32(b, gs->group_id);
    buf_put_be32(b, gs->ref_count);
    buf_put_zeros(b, 4);
    buf_put_be64(b, gs->packet_count);
    buf_put_be64(b, gs->byte_count);
    buf_put_be32(b, gs->duration_sec);
    buf_put_be32(b, gs->duration_nsec);
    counters_put(gs->buckets, gs->n_buckets, b);
}

void of_group_item_fini(void *item)
{
    free(((struct of_group_stats *) item)->buckets);
}

struct of_error of_group_desc_item_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_group_desc *gd = item;
    struct cursor c = of_element(all, 0, 8);
    cursor_skip(&c, 2);
    gd->type = cursor_u8(&c);
    cursor_skip(&c, 1);
    gd->group_id = cursor_be32(&c);
    return c.failed ? OF_BAD_LEN : of_buckets_get(&c, &gd->buckets, &gd->n_buckets);
}

void of_group_desc_item_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_group_desc *gd = item;
    buf_put_be16(b, 0);
    buf_put_u8(b, gd->type);
    buf_put_zeros(b, 1);
    buf_put_be32(b, gd->group_id);
    of_buckets_put(b, gd->buckets, gd->n_buckets);
}

void of_group_desc_item_fini(void *item)
{
    struct of_group_desc *gd = item;
    of_buckets_free(gd->buckets, gd->n_buckets);
}

struct of_error of_meter_item_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_meter_stats *ms = item;
    struct cursor c = of_element(all, 4, 40);
    ms->meter_id = cursor_be32(&c);
    cursor_skip(&c, 8);
    ms->flow_count = cursor_be32(&c);
    ms->packet_in_count = cursor_be64(&c);
    ms->byte_in_count = cursor_be64(&c);
    ms->duration_sec = cursor_be32(&c);
    ms->duration_nsec = cursor_be32(&c);
    return counters_get(&c, &ms->bands, &ms->n_bands);
}

void of_meter_item_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_meter_stats *ms = item;
    buf_put_be32(b, ms->meter_id);
    buf_put_zeros(b, 8);
    buf_put_be32(b, ms->flow_count);
    buf_put_be64(b, ms->packet_in_count);
    buf_put_be64(b, ms->byte_in_count);
    buf_put_be32(b, ms->duration_sec);
    buf_put_be32(b, ms->duration_nsec);
    counters_put(ms->bands, ms->n_bands, b);
}

void of_meter_item_fini(void *item)
{
    free(((struct of_meter_stats *) item)->bands);
}

struct of_error of_meter_config_item_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_meter_mod *mm = item;
    struct cursor c = of_element(all, 0, 8);
    cursor_skip(&c, 2);
    mm->flags = cursor_be16(&c);
    mm->meter_id = cursor_be32(&c);
    return c.failed ? OF_BAD_LEN : of_bands_get(&c, &mm->bands, &mm->n_bands);
}

void of_meter_config_item_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_meter_mod *mm = item;
    buf_put_be16(b, 0);
    buf_put_be16(b, mm->flags);
    buf_put_be32(b, mm->meter_id);
    of_bands_put(b, mm->bands, mm->n_bands);
}

void of_meter_config_item_fini(void *item)
{
    free(((struct of_meter_mod *) item)->bands);
}
