/* Numbers and quotas that virtual switches share.  See fabric_impl.h. */
#include "controller/fabric_impl.h"
#include "controller/limits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* So many wait before the oldest is used again, unless there are no others. */
#define MIN_WAITING 4096u

void id_pool_init(struct id_pool *pool, uint32_t max)
{
    *pool = (struct id_pool) { .next = 1, .max = max, .n_fresh = max };
}

void id_pool_start(struct id_pool *pool, uint32_t first) { pool->next = first; }

void id_pool_fini(struct id_pool *pool)
{
    free(pool->freed);
}

bool id_pool_empty(const struct id_pool *pool)
{
    return !pool->n && !pool->n_fresh;
}

uint32_t id_pool_get(struct id_pool *pool)
{
    if (pool->n > MIN_WAITING || (pool->n && !pool->n_fresh)) {
        uint32_t id = pool->freed[pool->head];
        pool->head = (pool->head + 1) % pool->room;
        pool->n--;
        return id;
    }
    assert(pool->n_fresh);
    uint32_t id = pool->next;
    pool->next = id == pool->max ? 1 : id + 1;
    pool->n_fresh--;
    return id;
}

void id_pool_put(struct id_pool *pool, uint32_t id)
{
    if (pool->n == pool->room) {
        size_t room = pool->room ? 2 * pool->room : 64;
        uint32_t *freed = xcalloc(room, sizeof *freed);
        for (size_t i = 0; i < pool->n; i++) {
            freed[i] = pool->freed[(pool->head + i) % pool->room];
        }
        free(pool->freed);
        pool->freed = freed;
        pool->head = 0;
        pool->room = room;
    }
    pool->freed[(pool->head + pool->n++) % pool->room] = id;
}

static uint32_t tenant_hash(const char *tenant)
{
    uint64_t hash = 0;
    for (const char *p = tenant; *p; p++) {
        hash = hash_mix64(hash + (uint8_t) *p);
    }
    return (uint32_t) hash;
}

struct usage *fabric_usage_get(struct fabric *f, const char *tenant)
{
    struct usage *usage;
    HMAP_FOR_EACH_WITH_HASH (usage, node, tenant_hash(tenant), &f->usages) {
        if (!strcmp(usage->tenant, tenant)) {
            usage->n_refs++;
            return usage;
        }
    }
    usage = XNEW(struct usage);
    const struct tenant *known = model_find(f->controller->model, KIND_TENANT, tenant);
    usage->n_refs = 1;
    usage->guaranteed = known ? known->quota.edge_entries : 0;
    limits_tenant_init(f, usage);
    str_copy(usage->tenant, sizeof usage->tenant, tenant);
    hmap_insert(&f->usages, &usage->node, tenant_hash(tenant));
    return usage;
}

void fabric_usage_put(struct fabric *f, struct usage *usage)
{
    if (!--usage->n_refs) {
        hmap_remove(&f->usages, &usage->node);
        free(usage->shares);
        free(usage);
    }
}
