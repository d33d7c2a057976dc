/* What fabric.c, intern.c and trace.c share. */
#ifndef CONTROLLER_FABRIC_IMPL_H
#define CONTROLLER_FABRIC_IMPL_H 1

#include "controller/controller.h"
#include "controller/fabric.h"
#include "controller/gather.h"
#include "controller/vsw.h"

/* Numbers that are given out and taken back; what came back last is given out last, so that a number is not reused while a switch may still know the former. */
struct id_pool { uint32_t next, max, n_fresh; uint32_t *freed; size_t n, head, room; };
void id_pool_init(struct id_pool *, uint32_t max);      /* Of 1 to max. */
/* Before any is given out: they begin with `first`. After a start of controllerd at random, as switches may still have what had numbers before. */
void id_pool_start(struct id_pool *, uint32_t first);
void id_pool_fini(struct id_pool *);
bool id_pool_empty(const struct id_pool *);
uint32_t id_pool_get(struct id_pool *);         /* Not when it is empty. */
void id_pool_put(struct id_pool *, uint32_t);

struct fabric {
    struct controller *controller;
    struct hmap vsws;           /* struct vsw by network id. */
    struct list work_list;      /* Those with something to do. */
    struct hmap usages;         /* struct usage by tenant. */
    struct id_pool group_ids, meter_ids;        /* Physical ids of tenants' groups and meters. */
    struct gather work;         /* Compiles what is dirty, once per loop turn. */
    struct event *retry;        /* Agents that could not be made; held entries. */
    unsigned n_held;            /* vsw_hold.h */
    bool switches_dirty;
    uint64_t *devices; unsigned n_devices;      /* Datapath ids of edges whose device ports changed. */
    uint64_t *known; unsigned n_known;  /* Datapath ids of the model's edges and fabric switches, as last seen. */
    uint64_t n_compiles, compile_ns, n_packet_ins, n_packet_ins_lost, n_packet_outs, n_packet_outs_lost;
    struct intern *intern;
    struct vsw_stats *stats;
    struct limits *limits;
    struct room *rooms; unsigned n_rooms;       /* By the edge's index. */
    uint64_t rooms_generation;
};

void fabric_schedule(struct fabric *);
void fabric_work(struct vsw *);                         /* It has something to do in this turn. */
void fabric_entries_changed(struct vsw *);              /* All of its entries, groups and meters are to be compiled. */
struct usage *fabric_usage_get(struct fabric *, const char *tenant);
void fabric_usage_put(struct fabric *, struct usage *);
struct vsw *fabric_find_vsw(const struct fabric *, uint32_t network_id);

/* intern.c: provider ids for address pairs that no port registered. */
struct intern *intern_new(struct fabric *);
void intern_free(struct intern *);
void intern_packet_in(struct intern *, struct sw *, struct of_packet_in *);
bool intern_reply(struct intern *, struct sw *, struct of_msg *);
void intern_tick(struct intern *);      /* What the timer does, every two seconds; tests call it. */
/* The network is new, or ports came, moved or left: pairs of senders on edges that are no longer in it go. */
void intern_network_changed(struct intern *, struct vsw *);
void intern_metrics(struct intern *, struct buf *);
/* Whether an id stands for this pair, from any edge. */
bool intern_has_pair(const struct vsw *, struct mac src, struct mac dst);

bool intern_is_port(const struct vsw *, struct mac);    /* The address is that of one of its ports. O(log ports). */

/* intern_quota.c: who has ids, and who may have more. */
enum pair_kind { PAIRS_ALL, PAIRS_UNANSWERED };
/* Whether one more pair may be made of what comes in by this port. *victim: what is to be drained for it, or NULL. */
bool intern_quota_allows(const struct vsw *, uint32_t in_port, bool unanswered, struct pair **victim);
bool intern_quota_pressed(const struct vsw *);          /* The next pair will need a victim. */
/* The pair is there, and in use; is drained, or in use again; goes. Counts it for its port. */
void intern_quota_add(struct vsw *, struct pair *, uint32_t in_port);
void intern_quota_used(struct pair *);
void intern_quota_drain(struct vsw *, struct pair *);
void intern_quota_revive(struct vsw *, struct pair *);
void intern_quota_remove(struct vsw *, struct pair *);

/* relay.c: frames of pairs that have no id. */
#define RELAY_PORT_RATE 500u    /* Frames a second, and at once, that are carried for a port; edges meter them likewise (transport.c). */
/* Whether the other side has sent to this one, or both are ports of the network or its slice. */
bool relay_answered(const struct vsw *, struct mac src, struct mac dst);
/* Counts a frame of a pair that came in by in_port and left this edge to the landing `pdst`; true when there have been enough for an id. */
bool relay_repeats(struct vsw *, uint32_t in_port, uint16_t edge, struct mac src, struct mac dst, uint64_t pdst);
/* Sends the frame, with the tenant's addresses, out of what `pdst` stands for. After relay_repeats(). False: no way leads there, or the rate is exceeded. */
bool relay_frame(struct vsw *, uint32_t in_port, const struct sw *from, uint64_t pdst, uint8_t *data, unsigned size);
/* Frees what has not been used for long, or (always) in any case. */
void relay_forget(struct vsw *, bool always);
#endif
