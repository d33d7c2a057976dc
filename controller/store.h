/*
 * The store: intent and allocations, durable. SQLite in WAL mode on a thread of its own; the loop never waits for a
 * disk.
 *
 * Schema: meta(key, value) — schema version, revision, next ids, LLDP key; objects(kind, name, revision, record JSON).
 * One transaction per model transaction, one revision each. The store is opened and read in full before the loop starts
 * (store_open, store_load, blocking); afterwards only store_commit() is used.
 */
#ifndef CONTROLLER_STORE_H
#define CONTROLLER_STORE_H 1

#include "tenants/model.h"

struct event_base;
struct store;
struct store *store_open(const char *path, struct event_base *, struct err *);
void store_close(struct store *);                               /* Finishes what was queued. */
bool store_load(struct store *, struct model *, struct err *);
/* Value of a meta key, malloc'd, NULL when absent; store_meta_set is durable on return. Before the loop runs only. */
char *store_meta_get(struct store *, const char *key);
bool store_meta_set(struct store *, const char *key, const char *value, struct err *);
/* Writes all changes as one transaction; fn on the loop when it is durable (err NULL) or failed. `changes` are copied before returning. */
void store_commit(struct store *, uint64_t revision, const struct model_change *changes, unsigned n,
                  void (*fn)(const struct err *, void *aux), void *aux);
#endif
