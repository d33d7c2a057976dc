/* Uniqueness of keys within a scope, across an open transaction; see model_impl.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

static uint32_t claim_hash(enum claim_type type, const void *scope, const void *key, uint8_t size)
{
    return hash_bytes(key, size, (uint32_t) hash_mix64((uintptr_t) scope + type));
}

/* The first claim on the key whose state is in `states` (bits). */
static struct claim *find(const struct model *m, enum claim_type type, const void *scope, const void *key, uint8_t size, unsigned states)
{
    struct claim *c;
    HMAP_FOR_EACH_WITH_HASH (c, node, claim_hash(type, scope, key, size), &m->claims) {
        if (c->type == type && c->scope == scope && c->size == size && !memcmp(c->key, key, size) && (states >> c->state & 1)) {
            return c;
        }
    }
    return NULL;
}

struct claim *claim_find(const struct model *m, enum claim_type type, const void *scope, const void *key, uint8_t size)
{
    return find(m, type, scope, key, size, 1u << CLAIM_HELD | 1u << CLAIM_COMING);
}

struct claim *claim_find_committed(const struct model *m, enum claim_type type, const void *scope, const void *key, uint8_t size)
{
    return find(m, type, scope, key, size, 1u << CLAIM_HELD | 1u << CLAIM_LEAVING);
}

bool claim_free_for_all(const struct model *m, enum claim_type type, const void *scope, const void *key, uint8_t size)
{
    return !find(m, type, scope, key, size, ~0u);
}

static void log_claim(struct model_txn *t, struct claim *c)
{
    GROW(t->claims, t->n_claims, t->claims_allocated);
    t->claims[t->n_claims++] = c;
}

bool claim_add(struct model *m, struct model_txn *t, enum claim_type type, const void *scope, struct object *owner, const void *key, uint8_t size, struct object **other)
{
    struct claim *c = claim_find(m, type, scope, key, size);
    if (c) {
        *other = c->owner;
        return false;
    }
    c = xmalloc(sizeof *c + size);
    *c = (struct claim) { .type = type, .state = t ? CLAIM_COMING : CLAIM_HELD, .scope = scope, .owner = owner, .size = size };
    memcpy(c->key, key, size);
    hmap_insert(&m->claims, &c->node, claim_hash(type, scope, key, size));
    if (t) {
        log_claim(t, c);
    }
    return true;
}

void claim_drop(struct model_txn *t, enum claim_type type, const void *scope, struct object *owner, const void *key, uint8_t size)
{
    struct claim *c = find(t->model, type, scope, key, size, 1u << CLAIM_HELD);
    assert(c && c->owner == owner);
    c->state = CLAIM_LEAVING;
    log_claim(t, c);
}

void claims_end(struct model_txn *t, bool commit)
{
    for (unsigned i = 0; i < t->n_claims; i++) {
        struct claim *c = t->claims[i];
        if (c->state == (commit ? CLAIM_COMING : CLAIM_LEAVING)) {
            c->state = CLAIM_HELD;
            continue;
        }
        hmap_remove(&t->model->claims, &c->node);
        if (c->type == CLAIM_IP) {
            struct ip ip;
            memcpy(ip.b, c->key, sizeof ip.b);
            network_address_freed((struct network_object *) c->scope, &ip);
        }
        free(c);
    }
    free(t->claims);
}
