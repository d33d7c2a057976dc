/* See port_sum.h. */
#include "controller/port_sum.h"

#include <stddef.h>
#include <string.h>

#include "lib/util.h"

bool port_sum_bind(struct port_sum *sum, uint16_t edge, uint32_t number, const char *name)
{
    bool same = number && sum->now.number && sum->now.edge == edge && !strcmp(sum->now.name, name);
    if (same || (!number && !sum->now.number)) {
        sum->now.number = number;
        return false;
    }
    sum->former = sum->now;
    sum->now = (struct port_device) { .edge = edge, .number = number };
    str_copy(sum->now.name, sizeof sum->now.name, name);
    return true;
}

static const size_t counters[] = {
    offsetof(struct of_port_stats, rx_packets), offsetof(struct of_port_stats, tx_packets), offsetof(struct of_port_stats, rx_bytes),
    offsetof(struct of_port_stats, tx_bytes), offsetof(struct of_port_stats, rx_dropped), offsetof(struct of_port_stats, tx_dropped),
    offsetof(struct of_port_stats, rx_errors), offsetof(struct of_port_stats, tx_errors), offsetof(struct of_port_stats, rx_frame_err),
    offsetof(struct of_port_stats, rx_over_err), offsetof(struct of_port_stats, rx_crc_err), offsetof(struct of_port_stats, collisions),
};

static uint64_t *counter(struct of_port_stats *stats, unsigned i) { return (uint64_t *) ((char *) stats + counters[i]); }

/* Adds what grew; one that is below the last reading has started again. */
static void add(struct of_port_stats *total, struct port_device *device, struct of_port_stats in)
{
    for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
        uint64_t *sum = counter(total, i), last = *counter(&device->last, i), now = *counter(&in, i);
        if (now == UINT64_MAX) {
            *sum = UINT64_MAX;
        } else {
            *sum = *sum == UINT64_MAX ? 0 : *sum;
            *sum += device->begun ? now < last ? now : now - last : 0;
        }
    }
    device->last = in;
    device->begun = true;
}

void port_sum_read(struct port_sum *sum, uint16_t edge, const struct of_port_stats *in)
{
    if (sum->former.number == in->port_no && sum->former.edge == edge) {
        if (sum->former.begun) {
            add(&sum->total, &sum->former, *in);
        }
        sum->former.number = 0;
    }
    if (sum->now.number == in->port_no && sum->now.edge == edge) {
        add(&sum->total, &sum->now, *in);
    }
}
