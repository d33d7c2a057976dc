/* See counter_sum.h. */
#include "controller/counter_sum.h"

#include <stdlib.h>

#include "lib/util.h"

static struct reading *reading_of(struct counter_sum *sum, uint16_t edge)
{
    for (unsigned i = 0; i < sum->n_last; i++) {
        if (sum->last[i].edge == edge) {
            return &sum->last[i];
        }
    }
    sum->last = xrealloc(sum->last, (sum->n_last + 1) * sizeof *sum->last);
    sum->last[sum->n_last] = (struct reading) { .edge = edge };
    return &sum->last[sum->n_last++];
}

void counter_sum_read(struct counter_sum *sum, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns)
{
    struct reading *last = reading_of(sum, edge);
    bool restarted = packets < last->packets || bytes < last->bytes;
    uint64_t more = restarted ? packets : packets - last->packets;

    sum->packets += more;
    sum->bytes += restarted ? bytes : bytes - last->bytes;
    sum->used_ns = more ? now_ns : sum->used_ns;
    last->packets = packets;
    last->bytes = bytes;
}

void counter_sum_read_numbered(struct counter_sum *sum, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns, uint64_t reading)
{
    uint64_t packets_were = sum->packets, bytes_were = sum->bytes;
    counter_sum_read(sum, edge, packets, bytes, now_ns);
    if (reading <= sum->before.reading) {
        sum->before.packets += sum->packets - packets_were;
        sum->before.bytes += sum->bytes - bytes_were;
    }
}

void counter_sum_restarted(struct counter_sum *sum, uint16_t edge)
{
    for (unsigned i = 0; i < sum->n_last; i++) {
        if (sum->last[i].edge == edge) {
            sum->last[i] = sum->last[--sum->n_last];
        }
    }
}

void counter_sum_final(struct counter_sum *sum, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns, uint64_t reading)
{
    counter_sum_read_numbered(sum, edge, packets, bytes, now_ns, reading);
    counter_sum_restarted(sum, edge);
}

void counter_sum_fini(struct counter_sum *sum)
{
    free(sum->last);
    *sum = (struct counter_sum) { 0 };
}

void counter_sum_reset(struct counter_sum *sum, uint64_t reading)
{
    sum->before.packets = sum->packets;
    sum->before.bytes = sum->bytes;
    sum->before.reading = reading;
}

