/* See cache_recent.h. */
#include "vswitch/cache_recent.h"

#include <string.h>

/* A note in the log: its generation, what it is of, and where. */
enum note_kind { NOTE_ALL, NOTE_ID, NOTE_ADDED };
#define NOTE(GEN, KIND, CHANGE, PLACE) ((uint64_t) (GEN) << 32 | (uint64_t) (KIND) << 30 | (uint64_t) (CHANGE) << 20 | (uint64_t) (PLACE))
_Static_assert(CACHE_ID_SLOTS <= UINT32_C(1) << 20 && CACHE_CHANGE_SLOTS <= UINT32_C(1) << 20 && CACHE_MAX_CHANGES <= 1 << 10, "a note is 32 bits");

static inline uint32_t note_gen(uint64_t note) { return (uint32_t) (note >> 32); }
static inline enum note_kind note_kind(uint64_t note) { return (enum note_kind) (note >> 30 & 3); }
static inline unsigned note_change(uint64_t note) { return note >> 20 & 0x3ff; }
static inline uint32_t note_place(uint64_t note) { return note & 0xfffff; }

/* --- Control --- */

/* Whoever reads an overwritten note must see, too, that so many have been written: hence both stores are a release. */
static void put(struct cache_plan *p, uint64_t note)
{
    uint32_t n = atomic_load_explicit(&p->n_log, memory_order_relaxed);
    atomic_store_explicit(&p->log[n % CACHE_LOG], note, memory_order_release);
    atomic_store_explicit(&p->n_log, n + 1, memory_order_release);
}

void cache_log_all(struct cache_plan *p, uint32_t gen) { put(p, NOTE(gen, NOTE_ALL, 0, 0)); }

void cache_log_id(struct cache_plan *p, uint32_t gen, uint32_t id) { put(p, NOTE(gen, NOTE_ID, 0, id % CACHE_ID_SLOTS)); }

void cache_log_added(struct cache_plan *p, uint32_t gen, unsigned change, uint32_t slot) { put(p, NOTE(gen, NOTE_ADDED, change, slot)); }

/* --- [poll] --- */

/* The bit of its table in an entry's `visited`. */
static inline uint32_t visits(const struct cache_change *ch) { return UINT32_C(1) << (ch->table & 31); }

bool cache_untouched_by_wide(const struct cache_recent *r, const struct cache_plan *plan, const struct cache_entry *e)
{
    uint8_t met = 0;
    for (unsigned i = 0; i < r->n_wide; i++) {
        if (e->visited & visits(r->wide[i])) {
            met |= r->added[cache_change_slot(plan, r->wide[i], e->key, e->in_port)];
        }
    }
    return !met;
}

/* Begins with the notes from `first` on, still to be read.  Some of them may not be published yet: they are here all the same. */
static void begin(struct cache_recent *r, const struct cache_plan *plan, uint32_t first)
{
    memset(r, 0, sizeof *r);
    r->seen = first;
    r->from = note_gen(atomic_load_explicit(&plan->log[(first - 1) % CACHE_LOG], memory_order_acquire));      /* 0: there was none. */
}

static bool among(const struct cache_change *const changes[], unsigned n, const struct cache_change *ch)
{
    unsigned i = 0;
    while (i < n && changes[i] != ch) {
        i++;
    }
    return i < n;
}

static void add_change(struct cache_recent *r, const struct cache_plan *plan, unsigned change)
{
    const struct cache_change *ch = atomic_load_explicit(&plan->changes[change], memory_order_acquire);
    const bool narrow = ch->n == 1 && !ch->in_port;
    if (narrow ? among(r->narrow_of, r->n_narrow, ch) : among(r->wide, r->n_wide, ch)) {
        return;
    }
    if ((narrow ? r->n_narrow : r->n_wide) == CACHE_RECENT_CHANGES) {
        r->from = UINT32_MAX;           /* Too many masks to go over: nobody can ask until this begins anew. */
    } else if (narrow) {
        const unsigned i = r->n_narrow++, word = ch->at[0];
        r->narrow_of[i] = ch;
        r->narrow[i].visits = visits(ch);
        r->narrow[i].word = word;
        r->narrow[i].mask = ch->mask[word];
        r->narrow[i].seeds[0] = plan->seeds[word + 1];
        r->narrow[i].seeds[1] = plan->seeds[word + 2];
    } else {
        r->wide[r->n_wide++] = ch;
    }
}

static void add(struct cache_recent *r, const struct cache_plan *plan, uint64_t note)
{
    uint32_t place = note_place(note);
    if (note_kind(note) == NOTE_ID) {
        r->ids[place % CACHE_RECENT_IDS] = 1;
    } else if (note_kind(note) == NOTE_ADDED) {
        r->added[place] = 1;
        add_change(r, plan, note_change(note));
    } else if (note_gen(note) > r->from) {
        r->from = note_gen(note);
    }
}

void cache_recent_read(struct cache_recent *r, const struct cache_plan *plan, uint32_t gen, uint64_t now_ns)
{
    const uint32_t n = atomic_load_explicit(&plan->n_log, memory_order_acquire);
    if (r->gen == gen && n == r->seen) {
        if (now_ns - r->latest_ns >= CACHE_RECENT_IDLE_NS) {
            begin(r, plan, n);
            r->gen = gen;
        }
        return;
    }
    if (r->n_notes + (n - r->seen) > CACHE_RECENT_NOTES) {
        begin(r, plan, n - CACHE_RECENT_KEPT);
    }
    const uint32_t first = r->seen;
    for (; r->seen != n; r->seen++) {
        add(r, plan, atomic_load_explicit(&plan->log[r->seen % CACHE_LOG], memory_order_relaxed));
        r->n_notes++;
    }
    atomic_thread_fence(memory_order_acquire);
    const uint32_t now = atomic_load_explicit(&plan->n_log, memory_order_relaxed);
    if (now - first >= CACHE_LOG) {
        begin(r, plan, now);            /* The control thread has come round meanwhile. */
    }
    r->gen = gen;
    r->latest_ns = now_ns;
}
