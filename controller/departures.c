#include "controller/departures.h"

#include <stdlib.h>

#include "lib/util.h"

#define NS_PER_S UINT64_C(1000000000)

static uint32_t number_hash(uint32_t number) { return (uint32_t) hash_mix64(number); }

void departures_init(struct departures *ds)
{
    hmap_init(&ds->by_number);
    list_init(&ds->by_deadline);
}

void departures_fini(struct departures *ds)
{
    while (!list_empty(&ds->by_deadline)) {
        free(departures_end(ds, CONTAINER_OF(ds->by_deadline.next, struct departure, by_deadline)));
    }
    hmap_fini(&ds->by_number);
}

static struct of_flow_removed *message(const struct flow_entry *entry, uint8_t reason, uint64_t now_ns)
{
    struct of_flow_removed *msg = XNEW(struct of_flow_removed);
    uint64_t age_ns = now_ns - entry->created_ns;
    *msg = (struct of_flow_removed) {
        .cookie = entry->cookie, .priority = entry->priority, .reason = reason, .table_id = entry->table_id,
        .duration_sec = (uint32_t) (age_ns / NS_PER_S), .duration_nsec = (uint32_t) (age_ns % NS_PER_S),
        .idle_timeout = entry->idle_timeout, .hard_timeout = entry->hard_timeout,
    };
    minimatch_expand(entry->match, &msg->match);
    return msg;
}

struct departure *departures_add(struct departures *ds, const struct flow_entry *entry, uint32_t number, struct counter_sum *sum, int reason, unsigned n_edges, uint64_t now_ns)
{
    struct departure *d = XNEW(struct departure);
    d->number = number;
    d->table = entry->table_id;
    d->sum = *sum;
    *sum = (struct counter_sum) { 0 };
    d->n_left = n_edges;
    d->deadline_ns = now_ns + DEPART_TIMEOUT_NS;
    d->msg = reason < 0 ? NULL : message(entry, (uint8_t) reason, now_ns);
    hmap_insert(&ds->by_number, &d->node, number_hash(number));
    list_push_back(&ds->by_deadline, &d->by_deadline);
    return d;
}

struct departure *departures_find(const struct departures *ds, uint32_t number)
{
    struct departure *d;
    HMAP_FOR_EACH_WITH_HASH (d, node, number_hash(number), &ds->by_number) {
        if (d->number == number) {
            return d;
        }
    }
    return NULL;
}

struct departure *departures_overdue(const struct departures *ds, uint64_t now_ns)
{
    struct departure *d = list_empty(&ds->by_deadline) ? NULL : CONTAINER_OF(ds->by_deadline.next, struct departure, by_deadline);
    return d && now_ns >= d->deadline_ns ? d : NULL;
}

struct of_flow_removed *departures_end(struct departures *ds, struct departure *d)
{
    struct of_flow_removed *msg = d->msg;
    if (msg) {
        msg->packet_count = d->sum.packets - d->sum.before.packets;
        msg->byte_count = d->sum.bytes - d->sum.before.bytes;
    }
    hmap_remove(&ds->by_number, &d->node);
    list_remove(&d->by_deadline);
    counter_sum_fini(&d->sum);
    free(d);
    return msg;
}
