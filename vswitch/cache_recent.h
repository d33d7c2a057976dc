/*
 * What was noted of late (cache.h, "Validity"), for a thread to ask before it looks the notes up one by one.
 *
 * While rules change a thousand times a second and flows are many, every entry is met again some ten changes later, and cache_still_right() has to look up all
 * its notes, in tables that the second-level cache holds at best: 15 ns of the 115 that a frame through six tables then takes.  So each thread keeps the latest
 * notes in two small tables of bytes of its own, by the same numbers and places: where none is set that concerns the entry, no note does.  The notes come
 * from a log that the control thread writes and that nobody waits for.  A thread whose notes have become too many begins anew with the latest of them, so only entries
 * that were not met for that long are looked up as before.  When nothing has changed for a while it begins with none: each entry is looked up once, and is of the newest
 * generation.
 *
 * Asking is 8 % of a frame's time through six tables then, 5.6 % since a mask of one word of the key is apart from others; sets of bits in place of bytes gained nothing.
 *
 * An entry found untouched is of the newest generation, so of few flows each is asked about once after a burst of changes.  Of many flows each is asked about at every
 * visit, and its line is written back to be read again; keeping those lines clean was no faster.
 */
#ifndef VSWITCH_CACHE_RECENT_H
#define VSWITCH_CACHE_RECENT_H 1

#include "vswitch/cache.h"

#define CACHE_RECENT_NOTES 128u         /* In a thread's tables, */
#define CACHE_RECENT_KEPT 64u           /* and those that stay when there are more. */
#define CACHE_RECENT_IDLE_NS UINT64_C(20000000)

/* --- The control thread's side, called by cache_plan.c --- */
void cache_log_all(struct cache_plan *, uint32_t gen);
void cache_log_id(struct cache_plan *, uint32_t gen, uint32_t id);
void cache_log_added(struct cache_plan *, uint32_t gen, unsigned change, uint32_t slot);

/* --- [poll] --- */
/* Takes over what has been logged, so that all notes of generation `gen`, just read from the plan, are there. */
void cache_recent_read(struct cache_recent *, const struct cache_plan *, uint32_t gen, uint64_t now_ns);

static inline void cache_recent_catch_up(struct cache_recent *r, const struct cache_plan *plan, uint32_t gen, uint64_t now_ns)
{
    if (__builtin_expect(r->gen != gen || r->n_notes, 0)) {
        cache_recent_read(r, plan, gen, now_ns);
    }
}

/* Of added rules that ask for more than one word of the key, or for the port. */
bool cache_untouched_by_wide(const struct cache_recent *, const struct cache_plan *, const struct cache_entry *);

/* True: no note since the entry's generation concerns it.  False: perhaps one does, ask cache_still_right(). */
static inline bool cache_untouched(const struct cache_recent *r, const struct cache_plan *plan, const struct cache_entry *e)
{
    if (e->gen < r->from) {
        return false;
    }
    const uint32_t *ids = cache_ids(plan, e);
    uint8_t met = 0;
    for (unsigned i = 0; i < e->n_rules; i++) {
        met |= r->ids[ids[i] % CACHE_RECENT_IDS];
    }
    for (unsigned i = 0; i < r->n_narrow; i++) {
        if (e->visited & r->narrow[i].visits) {
            met |= r->added[cache_change_place(cache_mix((e->key[r->narrow[i].word] & r->narrow[i].mask) ^ r->narrow[i].seeds[0], r->narrow[i].seeds[1]))];
        }
    }
    return !met && (!r->n_wide || cache_untouched_by_wide(r, plan, e));
}

#endif
