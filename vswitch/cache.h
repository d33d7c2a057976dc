/*
 * The flow cache: one exact-match table in front of the whole pipeline, per poll-mode thread.
 *
 * What.  The walk through the tables is a function of the bits that it reads.  So whatever the rules, the cache has ONE mask (the plan's): the union of
 * all bits of the original packet that some table reachable from table 0 matches, or some action there reads.  Packets that agree under that mask
 * take the same walk; the walk's outcome is recorded once and replayed.  One mask means one probe: no tuple space, so no rule set and no traffic can
 * make lookups slow; they can only make flows many.  Rules for one port only leave no bits at all: then a whole batch has one entry.
 *
 * Where rules ask for addresses and ports, a key does not have their very values, but for each 16 bits one that stands for all those which the rules
 * answer alike (vswitch/value_classes.h).  So flows that differ only in what no rule tells apart, as in their source ports, are one flow here: what other
 * switches get from a tuple space of wildcarded flows, without its masks.  Bits that an action reads are left as they are.  Since it costs a load for
 * each 16 bits, this is done only while many packets miss (cache_lanes.c).
 *
 * What tags and labels hide.  A tag or a label that is popped brings up what was no field of the packet, so a plan whose rules pop has that in the key as well: the second
 * VLAN tag; of a labelled frame the bits that are read of the second and the third label, how many labels there are, and, in the words of layers 3 and 4 (which a labelled
 * frame does not use), the fields of the IPv4 or IPv6 header behind the last label.  Which of them is met depends on the Ethernet type that the action gives, not on the label's
 * bottom-of-stack bit (OpenFlow 1.3.5 section 7.2.5); what is in no key (a fourth label, labels taken for IP, ARP) makes a walk `tainted` (exec_record.h).  Popping may add
 * padding, which would look like the rest of a header that is cut off: such frames (SHAPE_CUT) are not cached where tags or labels are popped.
 *
 * Files.  cache_plan.c [control]: the mask, kept up as rules come and go, and what has changed of late.  cache_lanes.c [control]: which bits
 * have classes.  cache_memory.c [control]: the table's life.  cache_key.c [poll]: a batch's keys.  cache.c [poll]: the table.
 * exec_record.h, cache_record.c [poll]: what a walk writes down.  cache_steps.c [poll]: the rarer steps.  cache_run.c [poll]: batches through it all.
 * cache_recent.c [poll]: the latest changes, at a glance.  cache_check.c [poll]: the test mode.
 *
 * An entry has the packed key, the numbers of all counters that the walk moved (vswitch/counters.h; room for as many as there are tables, later for the longest
 * walk), and a program: a short list of plain steps (write MAC addresses, other headers, tags and labels, the TTL, a meter, output, where the learning table says,
 * drop).  Programs are shared by all entries that do the same, so they are few and hot, and frames of a batch that have one program leave together.  What plain steps cannot
 * say (packet-ins, meters that remark, NORMAL beside other outputs, changes to a copy of the packet …) is "guided": the executor runs as always, live, but is told the rule
 * of each lookup.  What depends on more than the key is not cached at all (exec_record.h).
 *
 * Validity.  Nothing is flushed when rules change.  The plan has a generation; an entry has the one in which it was last known to be right.  For each
 * change the control thread notes: of a rule that leaves or gets other actions, its counter's number; of a rule that comes, a hash of what it wants
 * of the original packet (bits that tables on the way there may have written are left out, so it wants less than it says: never too few are met).
 * Notes are generations in fixed tables, by hash, so they need no window and are never full: an entry that meets a newer generation in its place is
 * walked again.  The odds of doing so without need are those of a hash collision.  Ports, groups and meters change all entries at once.
 *
 * Order.  A change is (1) made, (2) noted with generation g + 2, (3) published by gen = g + 2; freeing waits for a grace period after (3).  A thread
 * reads gen, then walks: what it records is stamped with a generation that is not newer than what it saw.  While a bundle's version is published gen is
 * odd; a thread that sees that, or sees gen change while it reads the version, walks without the cache.  So a barrier (a grace period behind (3)) still
 * means that the next packet meets the new rules, and a bundle is seen whole.  Before a rule is made, the classes that it cuts are split; classes_seq is odd
 * meanwhile.  A thread reads it before it makes keys, and writes nothing down if it is another one after the walk: whoever has met the rule meets
 * the change, too.  Entries that were there are right for the part of the class that kept their key; the other part has keys that nobody had.
 *
 * Memory.  A thread's cache begins small (it should stay in the second-level cache when flows are few), and grows sixteenfold when flows that came back
 * had to make room, up to the configured number: two steps to a million.  The control thread makes the memory; the poll-mode thread begins anew in it.
 *
 * Admission.  While there is a free place every flow is recorded.  When somebody would have to make room, a flow has to have missed before: a small
 * table of the hashes that did so of late tells.  So traffic that never comes back (a scan, a flood of new flows) neither drives out flows that do, nor
 * makes the cache grow, nor pays for recording; a flow that does come back walks once more.
 *
 * Tried and dropped (vswitch/dp_bench and the bench, medians or single runs on a machine of two cores that others used):
 *   - Recording every miss: a new flow in each packet through six tables cost 0.9 to 1.2 us (an earlier report), 0.47 to 0.5 us with admission, of which the walk is 0.44.
 *   - Fourfold growth from 8,192 flows: four steps to a million, each of which walks everything again; 160 bytes a flow.  Now two, and under 128.
 *   - Admitting by tag whoever may be an entry that is out of date: 50 of 200,000 strangers came in, enough to make a small cache grow.
 *   - In classifier_lookup(), a look at the second slot before the second pass (ACL walk 285 to 265 ns, six tables 438 to 457), and hashing four words at a
 *     time (no gain that stood out of the noise).  The walk of six tables is 60 % classifier_lookup(): 22 subtables, of which the two ACL tables have 15.
 *   - Classes in all plans: new source ports through six tables 517 to 65 ns, but known flows 39 to 47 (dp_bench, medians of 7).  So they come when many packets miss.
 *   - Keys frame by frame: a batch of plain frames word by word takes 45.2 to 39.0 ns through six tables, 26.5 to 21.7 through an ACL, 26.3 to 18.1 through a table of hosts.
 *   - For a hit (six tables, 1,000 flows, dp_bench: 45 ns before, 37 now; the bench 8.86 and 9.32 Mpps, testpmd 13.8): what paid was one 16-byte store for packets and bytes
 *     (45.1 to 41.2), counters in one piece of address space in place of chunks to be looked up (41.2 to 39.6), the hit and the plain steps inlined and a checksum without
 *     divisions (40.0 to 37.6), asking for programs ahead (37.6 to 37.1).  What did not: 32-byte AVX2 counters (41.6 to 41.8, and 21.3 to 22.2 with one counter: setting the
 *     vector up costs what the third store does); two receive bursts and a transmit burst of 64 frames in a round (six 9.32 to 9.25, acl 10.39 to 10.21);
 *     prefetching the guest's descriptors and rings of the next burst, of the receive side (six 9.29 to 9.13, acl 10.31 to 10.25) or both (9.08, 10.10); their buffers
 *     were what to ask for (vhost_ring.h).
 *   - What it cost to receive and send was more than half of all that: vhost_ring.h.
 *   - Writes to layers 3 and 4, tags, labels and queues live (guided), one run each, the bench with a capture of 1,000 flows: a router between VLANs 3.5 Mpps, with steps
 *     10.5; NAT 5.4 and 12.2; a tag pushed 5.3 and 13.2 (of which about 3 are the rings').
 *   - NORMAL live and as a step, captures, medians of two rounds, Mpps (Open vSwitch beside it): 100 stations 8.6 and 15.5 (3.6), 2,000 stations 7.4 and 12.1 (1.4), behind
 *     200 ACL entries 6.2 and 9.9 (0.5).
 *   - Labels live and as steps, the bench with captures of 1,000 flows, one round each, Mpps (Open vSwitch beside it): pushed 6.1 and 11.0 (5.6), popped before an output 4.0
 *     and 10.6 (4.5), popped before a table of routes 3.5 and 9.1 (3.3), two of them 3.0 and 8.1 (3.2).  A meter that only drops: 7.2 to 7.4 and 10.0 to 12.8 (5.6).
 * The lines acl/1M and six/1M once had 14 and 9 % of the ceiling in vswitchd.  Growth, and the bench's warm-up (its generator's realtime class left the control
 * thread, which makes the larger caches, next to no time), were mended together; how much each did was not measured apart.
 *
 * Hash flooding: the hash is keyed with random numbers; a set that is full loses its own entries, never another's.
 */
#ifndef VSWITCH_CACHE_H
#define VSWITCH_CACHE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "ofproto/flow.h"
#include "vswitch/dp.h"
#include "vswitch/value_classes.h"

#define CACHE_MAX_WORDS 24              /* Of a key. A wider plan caches nothing. */
#define CACHE_USUAL_IDS 40              /* Counters of an entry, from as many tables; */
#define CACHE_MAX_IDS 128               /* when walks have been seen that are longer. */
#define CACHE_WAYS 8
#define CACHE_ID_SLOTS 32768u
#define CACHE_CHANGE_SLOTS 8192u
#define CACHE_MAX_CHANGES 128
#define CACHE_LOG 1024u                 /* Notes that threads can still read. */
#define CACHE_RECENT_IDS 8192u          /* Places in a thread's own picture of those notes. */
#define CACHE_RECENT_CHANGES 4          /* Masks of added rules that are asked about before the notes are. */
#define CACHE_GROUPS OF_N_TABLES        /* Groups' buckets count as one more table. */
#define CACHE_N_TABLES (OF_N_TABLES + 1)
#define CACHE_WORD_LANES 4              /* Parts of a word, of 16 bits. */
#define CACHE_MAX_LANES 24              /* Parts of a key with classes. */
#define CACHE_MAX_CLASSES 4096u         /* Of one part; with more of them it is left as it is. */

enum cache_depth { CACHE_DEPTH_NONE, CACHE_DEPTH_ETHERNET, CACHE_DEPTH_ALL };

/* Added rules of one table and mask. */
struct cache_change {
    uint8_t table;                      /* Immutable, as the mask. */
    bool in_port;
    uint8_t n, at[CACHE_MAX_WORDS];     /* Words of the key that the mask has bits of. */
    uint64_t mask[CACHE_MAX_WORDS];
    _Atomic uint32_t slots[CACHE_CHANGE_SLOTS];         /* Generation of the latest by hash of its value. */
};

struct cache_plan {
    /* Immutable. */
    uint64_t serial;
    enum cache_depth depth;             /* How far frames have to be parsed. */
    bool usable;
    bool shape;                         /* The key's last word says which headers are there, */
    bool inner;                         /* and what the second VLAN tag is: a rule pops the first. */
    bool labels;                        /* Labels are popped before lookups or edits: of labelled frames the words of layers 3 and 4 are those of the header behind the stack. */
    uint32_t label_mask;                /* What is read of labels, as they are on the wire; not 0: one more word has those of the second and third label. */
    uint8_t n_words, n_key;             /* Words of struct flow, and in all. */
    uint8_t n_ids;                      /* Room in an entry. */
    uint16_t stride;                    /* Bytes of an entry. */
    uint8_t index[CACHE_MAX_WORDS];
    uint64_t mask[CACHE_MAX_WORDS];
    uint8_t n_lanes;
    struct { uint8_t word, shift; const struct value_classes *classes; } lanes[CACHE_MAX_LANES];      /* By place in the key. */
    uint64_t seeds[CACHE_MAX_WORDS + 2];
    /* Written by the control thread, read by all. */
    _Atomic uint32_t gen, flush;        /* Entries older than `flush` are worth nothing. */
    _Atomic uint32_t classes_seq;       /* Odd: classes are being split. */
    _Atomic uint32_t ids[CACHE_ID_SLOTS];               /* By counter number: rules that left or changed. */
    _Atomic unsigned n_changes;
    _Atomic uint32_t latest[CACHE_MAX_CHANGES];
    _Atomic(struct cache_change *) changes[CACHE_MAX_CHANGES];
    _Atomic uint32_t n_log;             /* Notes ever, of which the latest are here, too (cache_recent.c). */
    _Atomic uint64_t log[CACHE_LOG];
};

/* In front of the key's n_key words, which are followed by the ids. */
struct cache_entry {
    uint32_t gen;
    uint32_t program;                   /* Index; CACHE_GUIDED: the executor's. */
    uint16_t in_port;
    uint8_t n_ids, n_rules;             /* Counters; the rules' come first, and they alone can change. */
    uint32_t visited;                   /* Bit (table & 31) for each table on the way. */
    uint64_t key[];
};
_Static_assert(sizeof(struct cache_entry) == 16, "sixteen bytes before the key");
#define CACHE_GUIDED 0u

/* --- Programs --- */
enum cache_step_code {
    STEP_OUTPUT,                        /* To `port`. */
    STEP_MACS,                          /* Six more cells: 12 bytes of value and of mask. */
    STEP_TTL,                           /* Taken `n` times, at offset `port`. */
    /* cache_steps.c: */
    STEP_MPLS_TTL,
    STEP_BITS,                          /* 16 bits at offset `port`, of the layer-4 header or of the frame; one more cell: value and mask. `n`: STEP_BITS_*. */
    STEP_PUSH_VLAN,                     /* `port`: the TPID; `n`: VID and priority are those of the tag that is there. */
    STEP_POP_VLAN,
    STEP_PUSH_MPLS,                     /* `port`: the Ethernet type; `n`: STEP_LABEL_*. */
    STEP_POP_MPLS,                      /* `port`: the Ethernet type; `n`: STEP_BEHIND_*. */
    STEP_QUEUE,                         /* `port`: its number. */
    STEP_NORMAL,                        /* To where the learning table says; always the last. Run by cache_run.c. */
    STEP_METER,                         /* Two more cells: its slot. `n`: rules met before; `port`: whether something was sent. Run by cache_run.c. */
};
enum { STEP_BITS_L4 = 1, STEP_BITS_IN_IPV4 = 2, STEP_BITS_IN_TCP = 4, STEP_BITS_IN_UDP = 8, STEP_BITS_IN_ICMPV6 = 16 };    /* IN: that checksum covers them. */
enum { STEP_LABEL_COPY = 1, STEP_LABEL_TTL_V4 = 2, STEP_LABEL_TTL_V6 = 4, STEP_LABEL_BOTTOM = 8 };    /* Where a new label's bits are from. */
enum { STEP_BEHIND_L3 = 1, STEP_BEHIND_V6 = 2, STEP_BEHIND_L4 = 4 };           /* Headers that a popped label brings up. */
struct cache_step { uint8_t code, n; uint16_t port; };
#define CACHE_STEPS 25
#define CACHE_MACS_CELLS 6
#define CACHE_METER_CELLS 2
#define CACHE_SENT 0xff
#define CACHE_NORMAL UINT16_MAX
_Static_assert(DP_MAX_PORTS <= CACHE_NORMAL, "no port's number");
struct cache_program {
    uint64_t hash;
    uint8_t n_cells;
    uint8_t drop;                       /* enum drop_reason when nothing is sent, else CACHE_SENT. */
    uint8_t ttl;                        /* The TTL must be above this, else the packet has to walk. */
    bool plain;                         /* One output and nothing else, of any packet. */
    uint16_t ttl_ofs;                   /* Where, when `ttl`. */
    uint16_t port;                      /* When it takes the packet; CACHE_NORMAL: where the learning table says. */
    bool takes;                         /* The last step is STEP_OUTPUT or STEP_NORMAL, which takes the packet. */
    uint8_t pushes;                     /* So much headroom is needed, else the packet has to walk. */
    uint8_t meter;                      /* Where the only meter is among the cells, and one more; 0: there is none. */
    uint8_t pad[5];
    struct cache_step cells[CACHE_STEPS + 1];
};
_Static_assert(sizeof(struct cache_program) == 128, "two cache lines");

/* --- A thread's cache --- */
#define CACHE_MAX_PROGRAMS 16384u
#define CACHE_MISSED (UINT32_C(1) << 19)        /* Places for hashes that missed, two bytes each. */

struct cache_memory {                   /* Immutable; what it points to is the poll-mode thread's. */
    size_t size, n_flows;
    uint8_t *at;
};

/* A thread's own picture of the latest notes: cache_recent.h.  All zero: of none yet, and there were none before. */
struct cache_recent {
    uint32_t from;                      /* All notes of newer generations than this are here: for entries that are not older. */
    uint32_t seen;                      /* So much of the log was read, */
    uint32_t gen;                       /* when the plan had this generation. */
    uint32_t n_notes;
    uint64_t latest_ns;                 /* When one came. */
    unsigned n_narrow, n_wide;          /* Masks of added rules: of one word of the key, and others. */
    struct { uint32_t visits; uint32_t word; uint64_t mask, seeds[2]; } narrow[CACHE_RECENT_CHANGES];      /* `visits`: the bit of its table. */
    const struct cache_change *narrow_of[CACHE_RECENT_CHANGES], *wide[CACHE_RECENT_CHANGES];
    uint8_t ids[CACHE_RECENT_IDS], added[CACHE_CHANGE_SLOTS];       /* 1: one of the notes is of that number, or place. */
};

struct cache_counters { _Atomic uint64_t hits, guided, misses, uncached, inserts, evictions, stale, resets, mismatches; };

struct cache {
    _Atomic(struct cache_memory *) memory;      /* Written by the control thread. NULL: none. */
    /* The poll-mode thread's own. */
    struct cache_memory *active;
    uint64_t serial;                    /* Of the plan that the entries have. */
    uint32_t n_buckets;
    uint8_t *entries;                   /* In the memory: entries, */
    uint16_t *tags;                     /* then CACHE_WAYS per bucket; 0: free. */
    uint16_t *missed;
    uint32_t hand;
    uint32_t n_programs, n_refused;     /* Made; and asked for when there was no room for more. */
    struct cache_program *programs;
    uint32_t *program_index;            /* Open addressing; 0: free. */
    struct cache_counters counters;     /* Read by the control thread, as */
    _Atomic uint32_t longest;           /* the counters of the longest walk that found no room in an entry of this plan; 0: none. */
    uint64_t seen_evictions;            /* Control. */
    struct cache_recent recent;
};

/* What the control thread knows of a table's rules.  Only ever grows, until it is counted again. */
struct cache_use {
    union flow_words match, reads, writes;
    bool pops, pops_labels, pushes_labels;      /* `pops`: VLAN tags. */
    bool looks_inside;                  /* Actions that ask for what is behind the Ethernet header and labels. */
    uint32_t targets[CACHE_N_TABLES / 32 + 1];
    bool resubmits;
};

struct dp_rule;
struct program;
struct minimatch;

/* Whether plans have lanes, and what speaks for it (cache_lanes.c). */
struct cache_lanes {
    bool on;
    uint64_t looked_ns, hits, misses;   /* When it was looked last, and what there had been by then. */
    uint64_t good_ns;                   /* When misses were last seen to be few. */
    uint64_t turned_ns, hold_ns;        /* When it was turned on or off; how long it stays on. */
};

struct cache_control {
    bool check;
    struct cache_lanes lanes;
    size_t max_flows;                   /* Per thread; 0: no cache. */
    uint64_t next_serial;
    uint64_t seeds[CACHE_MAX_WORDS + 2];
    struct cache_use use[CACHE_N_TABLES];
    struct value_classes *classes[FLOW_N_WORDS][CACHE_WORD_LANES];      /* NULL: no rule has asked, or */
    bool wide[FLOW_N_WORDS][CACHE_WORD_LANES];                          /* rules asked for too many values. */
    size_t n_asked, n_asked_counted;    /* Values told apart, now and when they were counted last. */
    struct value_classes *retiring[FLOW_N_WORDS * CACHE_WORD_LANES];    /* In no new plan. */
    unsigned n_retiring;
    bool reachable[CACHE_N_TABLES];
    union flow_words written[CACHE_N_TABLES];   /* Bits that may have changed before that table is reached. */
    bool port_written[CACHE_N_TABLES];          /* The in_port that is matched there may not be the packet's. */
    unsigned n_ids;                     /* That the longest walks want; 0: none was too long. */
    bool shrunk;                        /* Rules have left since `use` was counted. */
    uint64_t counted_ns, ticked_ns;
    size_t n_counted;                   /* Rules, by the count that is under way. */
    struct cache_plan *plan;            /* The one that is published. */
};

/* --- cache_plan.c [control] --- */
void cache_init(struct dp *);
void cache_fini(struct dp *);
/* A rule or a bucket that is about to be effective (made, not seen yet or not noted yet): the plan covers what it reads. */
void cache_cover_rule(struct dp *, uint8_t table, const struct minimatch *, const struct program *);
void cache_cover_bucket(struct dp *, const struct program *);
/* After the change and before anything is deferred. */
void cache_note_added(struct dp *, uint8_t table, const struct minimatch *);
void cache_note_id(struct dp *, uint32_t counter_id);
void cache_note_all(struct dp *);
/* Around the publication of a bundle's version; notes between the two are published by the second. */
void cache_bundle_begin(struct dp *);
void cache_bundle_end(struct dp *);
/* Rules may have left: what they read is not read any more. */
void cache_recount(struct dp *);
void cache_replan(struct dp *);         /* After `use` has changed. */
void cache_plan_free(void *);

/* --- cache_lanes.c [control] --- */
/* A rule is about to be made: whatever its match tells apart has classes of its own.  True: other parts of a key than before may have classes. */
bool cache_lanes_cover(struct dp *, const struct minimatch *);
/* A plan's lanes, for its words and mask; `reads`: bits that actions read. */
void cache_lanes_choose(const struct cache_control *, struct cache_plan *, const union flow_words *reads);
/* Whether classes should be worked out anew for what `n_rules` ask: many of those that asked are gone. */
bool cache_lanes_are_stale(const struct cache_control *, size_t n_rules);
/* No classes any more; a new plan has to follow. */
void cache_lanes_clear(struct cache_control *);
/* Once no new reader can come to classes that were given up, since a plan without them is published. */
void cache_lanes_free_retired(struct dp *);
void cache_lanes_init(struct cache_control *, uint64_t now_ns);
void cache_lanes_fini(struct cache_control *);
/* Now and then: lanes come when many packets miss.  In the test mode they are always there. */
void cache_lanes_tick(struct dp *, uint64_t now_ns);
/* Of the bits that a rule asks for in a word of the key, when not the whole of its mask, those that a key with classes can answer. */
uint64_t cache_lanes_answerable(const struct cache_plan *, unsigned word, uint64_t mask, uint64_t asks);

/* --- cache_key.c [poll] --- */
struct cache_key { uint64_t w[CACHE_MAX_WORDS]; };
/*
 * The word behind those of struct flow, when the plan has it: with the prerequisites' fields it says whether an action on any header applies, and what is left when tags go.
 *
 *     63         32   25  24  23  22  20   19    18     17 16 15       0
 *     | second tag |  L4  V6  V4  LABELS  CUT  SNAP  ROOM  L4 L3  l2_len |       (V4, V6 and L4 from bit 23 on: behind LABELS)
 */
#define SHAPE_L3 (UINT64_C(1) << 16)
#define SHAPE_L4 (UINT64_C(1) << 17)
#define SHAPE_ROOM (UINT64_C(1) << 18)          /* For a label or a PBB tag. */
#define SHAPE_SNAP (UINT64_C(1) << 19)          /* Labels can be neither pushed nor popped. */
#define SHAPE_CUT (UINT64_C(1) << 20)           /* Headers end with the frame: padding, which popped tags may bring about, would look like the rest of them. */
#define SHAPE_LABELS_SHIFT 21                   /* Two bits: how many labels there are; 0: none, or not known. */
#define SHAPE_V4_BEHIND (UINT64_C(1) << 23)
#define SHAPE_V6_BEHIND (UINT64_C(1) << 24)
#define SHAPE_L4_BEHIND (UINT64_C(1) << 25)
#define CACHE_MAX_LABELS 3u
/* n keys and hashes of a batch without runts from one port; the packets get their offsets. */
void cache_keys(const struct cache_plan *, struct packet **, unsigned n, uint32_t in_port, struct cache_key *, uint64_t *hashes);

/* --- cache.c [poll] --- */
/* Begins anew when plan or memory are others than before. False: there is no cache now. */
bool cache_ready(struct cache *, const struct cache_plan *);
static inline uint32_t cache_bucket1(const struct cache *c, uint64_t hash) { return (uint32_t) ((hash & UINT32_MAX) * c->n_buckets >> 32); }
static inline uint32_t cache_bucket2(const struct cache *c, uint64_t hash)
{
    return (uint32_t) (((hash * UINT64_C(0x9e3779b97f4a7c15) >> 32 ^ hash >> 16) & UINT32_MAX) * c->n_buckets >> 32);
}
static inline uint16_t cache_tag(uint64_t hash) { return (uint16_t) (hash >> 48 ? hash >> 48 : 1); }
static inline struct cache_entry *cache_at(const struct cache *c, const struct cache_plan *plan, uint32_t bucket, unsigned way)
{
    return (struct cache_entry *) (void *) (c->entries + ((size_t) bucket * CACHE_WAYS + way) * plan->stride);
}
static inline uint32_t *cache_ids(const struct cache_plan *plan, const struct cache_entry *e)
{
    return (uint32_t *) (uintptr_t) (e->key + plan->n_key);
}
/* The first entry with that tag, to be compared still; NULL. */
struct cache_entry *cache_candidate(const struct cache *, const struct cache_plan *, uint64_t hash);
/* Compares. */
struct cache_entry *cache_find(const struct cache *, const struct cache_plan *, const struct cache_key *, uint64_t hash, uint32_t in_port);
/* Whether nothing has changed that concerns the entry; then it is of generation `gen`. */
bool cache_still_right(const struct cache_plan *, struct cache_entry *, uint32_t gen);
/* Whether a flow that has just missed is worth recording.  Notes that it missed. */
bool cache_admits(struct cache *, const struct cache_plan *, const struct cache_key *, uint64_t hash, uint32_t in_port);
/* A place for a new entry, its key and in_port written; the old one if there is one with that key. */
struct cache_entry *cache_place(struct cache *, const struct cache_plan *, const struct cache_key *, uint64_t hash, uint32_t in_port, uint32_t gen);
/* The number of an equal program; CACHE_GUIDED when there is no room.  The cache begins anew when that has happened more often than it has places for flows. */
uint32_t cache_intern(struct cache *, const struct cache_program *);

static inline bool cache_key_equal(const struct cache_plan *plan, const struct cache_entry *e, const struct cache_key *key, uint32_t in_port)
{
    uint64_t diff = e->in_port ^ in_port;
    for (unsigned i = 0; i < plan->n_key; i++) {
        diff |= e->key[i] ^ key->w[i];
    }
    return !diff;
}

static inline uint64_t cache_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 x = (unsigned __int128) a * b;
    return (uint64_t) x ^ (uint64_t) (x >> 64);
}

static inline uint32_t cache_change_place(uint64_t h) { return (uint32_t) (h * UINT64_C(0x9e3779b97f4a7c15) >> 32) % CACHE_CHANGE_SLOTS; }

/* The slot of a key, or of an added rule's values, among the changes of one mask. */
static inline uint32_t cache_change_slot(const struct cache_plan *plan, const struct cache_change *ch, const uint64_t *key, uint32_t in_port)
{
    uint64_t h = ch->in_port ? in_port : 0;
    for (unsigned i = 0; i < ch->n; i++) {
        unsigned k = ch->at[i];
        h += cache_mix((key[k] & ch->mask[k]) ^ plan->seeds[k + 1], plan->seeds[k + 2]);
    }
    return cache_change_place(h);
}

/* --- cache_steps.c [poll] --- */
/* One step from STEP_MPLS_TTL on; returns how many more cells it has. */
unsigned cache_edit(struct packet *, const struct cache_step *);
/* Whether a program can be run on a packet; it has to walk when its TTL would expire or when there is no room to push tags. */
static inline bool cache_may_run(const struct cache_program *prog, const struct packet *p)
{
    return !(prog->ttl && p->data[prog->ttl_ofs] <= prog->ttl) && p->headroom >= prog->pushes;
}

/* --- cache_run.c [poll] --- */
struct exec;
/* A batch without runts from one port that takes frames; takes them all. */
void cache_run(struct dp_thread *, struct packet **, unsigned n, uint32_t in_port, uint64_t now_ns);

#endif
