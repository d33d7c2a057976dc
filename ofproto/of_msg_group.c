/* Group-mod and meter-mod bodies with their buckets and bands (OpenFlow 1.3.5 sections 7.3.4.2 and 7.3.4.4). */
#include "ofproto/of_msg_codec.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"

#define BUCKET_SIZE 16u
#define BAND_SIZE 16u

void of_bucket_copy(struct of_bucket *dst, const struct of_bucket *src)
{
    *dst = *src;
    actions_copy(&dst->actions, &src->actions);
}

void of_buckets_free(struct of_bucket *buckets, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        actions_fini(&buckets[i].actions);
    }
    free(buckets);
}

static void actions_each_group(const struct actions *actions, void (*fn)(uint32_t group, void *aux), void *aux)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        if (a->type == ACTION_GROUP) {
            fn(a->group, aux);
        } else if (a->type == ACTION_CLONE) {
            actions_each_group(&a->nested, fn, aux);
        }
    }
}

void of_buckets_each_group(const struct of_bucket *buckets, unsigned n, void (*fn)(uint32_t group, void *aux), void *aux)
{
    for (unsigned i = 0; i < n; i++) {
        actions_each_group(&buckets[i].actions, fn, aux);
        if (buckets[i].watch_group != OFPG_ANY) {
            fn(buckets[i].watch_group, aux);
        }
    }
}

struct of_error of_buckets_get(struct cursor *c, struct of_bucket **buckets, unsigned *n)
{
    if (cursor_left(c) > OF_MAX_ACTION_BYTES) {
        return OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_BUCKETS);
    }
    size_t room = 0;
    while (cursor_left(c)) {
        size_t length = cursor_left(c) >= BUCKET_SIZE ? wire_get16(c->p) : 0;
        struct cursor in = cursor_sub(c, length);
        if (length < BUCKET_SIZE || length % 8 || in.failed) {
            return OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_BAD_BUCKET);
        }
        if (*n == room) {
            room = room ? 2 * room : 4;
            *buckets = xrealloc(*buckets, room * sizeof **buckets);
        }
        struct of_bucket *b = &(*buckets)[*n];
        cursor_skip(&in, 2);
        b->weight = cursor_be16(&in);
        b->watch_port = cursor_be32(&in);
        b->watch_group = cursor_be32(&in);
        b->watch_unset = false;         /* Only a group table says otherwise. */
        cursor_skip(&in, 4);
        struct of_error error = actions_decode(in, &b->actions);
        if (!of_ok(error)) {
            return error;
        }
        ++*n;
    }
    return OF_OK;
}

void of_buckets_put(struct buf *b, const struct of_bucket *buckets, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        size_t start = b->size;
        buf_put_be16(b, 0);
        buf_put_be16(b, buckets[i].weight);
        buf_put_be32(b, buckets[i].watch_unset ? 0 : buckets[i].watch_port);
        buf_put_be32(b, buckets[i].watch_unset ? 0 : buckets[i].watch_group);
        buf_put_zeros(b, 4);
        actions_encode(&buckets[i].actions, b);
        assert(b->size - start <= UINT16_MAX);
        buf_set_be16(b, start, (uint16_t) (b->size - start));
    }
}

struct of_error of_group_mod_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_group_mod *gm = &msg->group_mod;
    uint16_t command = cursor_be16(c);
    gm->type = cursor_u8(c);
    cursor_skip(c, 1);
    gm->group_id = cursor_be32(c);
    if (command > OFPGC_DELETE) {
        return OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_BAD_COMMAND);
    }
    gm->command = (enum of_group_command) command;
    return of_buckets_get(c, &gm->buckets, &gm->n_buckets);
}

void of_group_mod_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_group_mod *gm = &msg->group_mod;
    buf_put_be16(b, (uint16_t) gm->command);
    buf_put_u8(b, gm->type);
    buf_put_zeros(b, 1);
    buf_put_be32(b, gm->group_id);
    of_buckets_put(b, gm->buckets, gm->n_buckets);
}

struct of_error of_bands_get(struct cursor *c, struct of_meter_band **bands, unsigned *n)
{
    if (cursor_left(c) % BAND_SIZE) {
        return OF_BAD_LEN;
    }
    unsigned count = (unsigned) (cursor_left(c) / BAND_SIZE);
    *bands = count ? xcalloc(count, sizeof **bands) : NULL;
    for (; *n < count; ++*n) {
        struct of_meter_band *band = &(*bands)[*n];
        band->type = cursor_be16(c);
        if (cursor_be16(c) != BAND_SIZE) {
            return OF_BAD_LEN;
        }
        if (band->type != OFPMBT_DROP && band->type != OFPMBT_DSCP_REMARK) {
            return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_BAD_BAND);
        }
        band->rate = cursor_be32(c);
        band->burst_size = cursor_be32(c);
        band->prec_level = cursor_u8(c);
        cursor_skip(c, 3);
        if (band->type == OFPMBT_DROP) {
            band->prec_level = 0;       /* Padding there. */
        }
    }
    return OF_OK;
}

void of_bands_put(struct buf *b, const struct of_meter_band *bands, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_put_be16(b, bands[i].type);
        buf_put_be16(b, BAND_SIZE);
        buf_put_be32(b, bands[i].rate);
        buf_put_be32(b, bands[i].burst_size);
        buf_put_u8(b, bands[i].prec_level);
        buf_put_zeros(b, 3);
    }
}

struct of_error of_meter_mod_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_meter_mod *mm = &msg->meter_mod;
    uint16_t command = cursor_be16(c);
    mm->flags = cursor_be16(c);
    mm->meter_id = cursor_be32(c);
    if (command > OFPMC_DELETE) {
        return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_BAD_COMMAND);
    }
    mm->command = (enum of_meter_command) command;
    if (mm->flags & ~(OFPMF_KBPS | OFPMF_PKTPS | OFPMF_BURST | OFPMF_STATS)) {
        return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_BAD_FLAGS);
    }
    return of_bands_get(c, &mm->bands, &mm->n_bands);
}

void of_meter_mod_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_meter_mod *mm = &msg->meter_mod;
    buf_put_be16(b, (uint16_t) mm->command);
    buf_put_be16(b, mm->flags);
    buf_put_be32(b, mm->meter_id);
    of_bands_put(b, mm->bands, mm->n_bands);
}
