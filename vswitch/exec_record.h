/*
 * What a walk writes down, so that the cache can do without the next one.
 *
 * A recorder listens while the executor runs a packet that missed the cache.  It notes the rule of each lookup, and what was done in plain steps
 * as long as those can say it (`plain`); it says whether the walk may be cached at all (`cacheable`): not when something happened that other packets of
 * the same key may see otherwise:
 *
 *   - a lookup after an action that brought up fields which the original key does not have (what is below a fourth label, a third tag or a PBB header, what a new
 *     protocol number makes of the same bytes; cache.h says what it has): `tainted`;
 *   - a tag or label popped off a frame whose headers are cut off;
 *   - a meter that dropped this one (of others a step asks it), an expired TTL, a copy or a push for which there was no room, an action on a header that is not there.
 *
 * The other direction is the guide: the rules of a cached walk, in order, for an executor that runs live.  When that executor finds itself in one of
 * the situations above it throws the guide away and looks up for itself from there on.  So a guide is a hint that is right for as long as it is followed.
 */
#ifndef VSWITCH_EXEC_RECORD_H
#define VSWITCH_EXEC_RECORD_H 1

#include "vswitch/cache.h"

struct meter_slot;

struct recorder {
    bool cacheable, plain, tainted;
    uint8_t inner;                      /* Copies within copies that something follows. */
    uint8_t ttl;                        /* Times that the TTL was taken, */
    uint16_t ttl_ofs;                   /* there, in the packet as it came. */
    uint64_t shape;                     /* The frame's as it came (cache.h). */
    uint8_t n_pops;                     /* Of VLAN tags. */
    uint8_t n_label_pops, n_label_pushes;
    uint16_t label_ttl_ofs;             /* Where the TTL of a pushed label is from, in the packet as it came; 0: from nowhere. */
    int16_t moved;                      /* Bytes pushed less those popped. */
    uint8_t sent_cells;                 /* Of the program, up to its last output or meter. */
    bool takes;                         /* It was an output. */
    uint32_t visited;
    unsigned n_rules, n_counts;
    uint32_t rules[CACHE_MAX_IDS], counts[CACHE_MAX_IDS];
    struct cache_program program;
    /* Not written as steps yet. */
    uint8_t value[12], mask[12];
    bool macs;
    uint8_t ttl_pending, ttl_code;
    uint16_t ttl_at;
};

struct guide { const uint32_t *ids; unsigned n, pos; };

void recorder_init(struct recorder *, uint64_t shape);      /* shape: the key's word, 0 without one. */
void recorder_rule(struct recorder *, uint8_t table, uint32_t id);     /* id: the rule's counter, or the table itself for a miss. */
void recorder_count(struct recorder *, uint32_t id);
void recorder_macs(struct recorder *, const struct field *, const union flow_words *after, const union field_value *mask);
void recorder_ttl(struct recorder *, const struct packet *, const struct flow *, bool mpls);
/* Bits of a packet field have been written, which did not make the frame be parsed again.  False: no step says so. */
bool recorder_field(struct recorder *, const struct packet *, const struct field *, const struct flow *after, const union field_value *mask);
void recorder_push_vlan(struct recorder *, uint16_t tpid, bool copies);         /* copies: VID and priority. */
void recorder_pop_vlan(struct recorder *, const struct packet *before);
/* Before the label is pushed or popped. */
void recorder_push_mpls(struct recorder *, const struct packet *before, const struct flow *before_flow, uint16_t ethertype);
void recorder_pop_mpls(struct recorder *, uint16_t ethertype);
void recorder_queue(struct recorder *, uint32_t queue);
/* A meter that drops or does nothing.  sent: something has left before; `noted`: what became of the packet is said already, whether it drops or not. */
void recorder_meter(struct recorder *, struct meter_slot *, bool sent, bool noted);
void recorder_output(struct recorder *, uint32_t port);
/* alone: nothing was sent or went wrong before, and nothing follows. */
void recorder_normal(struct recorder *, bool alone);
/* No more steps; drop: the reason that was counted when nothing was sent. */
void recorder_finish(struct recorder *, bool sent, uint8_t drop);

#endif
