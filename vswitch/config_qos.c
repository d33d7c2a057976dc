#include "vswitch/config_qos.h"

#include <stdlib.h>
#include <string.h>
#include "ofproto/of_msg.h"

#define FULL_RATE 1000

static uint16_t read_rate(struct json_reader *r, const char *key)
{
    return (uint16_t) json_u64(r, key, 1, FULL_RATE, OF_RATE_NONE);
}

static int by_id(const void *a_, const void *b_)
{
    const struct config_queue *a = a_, *b = b_;
    return (a->id > b->id) - (a->id < b->id);
}

void config_qos_read(struct json_reader *r, struct config_qos *out)
{
    struct json_reader array;
    unsigned sum = 0;
    memset(out, 0, sizeof *out);
    out->rate_mbps = (unsigned) json_u64(r, "rate_mbps", 1, CONFIG_MAX_RATE_MBPS, 0);
    if (!json_array(r, "queues", false, &array)) {
        return;
    }
    size_t n = json_array_size(&array);
    if (n > CONFIG_MAX_PORT_QUEUES) {
        json_fail(r, "queues", "are %zu, but a port has at most %u", n, CONFIG_MAX_PORT_QUEUES);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct json_reader e;
        json_element(&array, i, &e);
        json_is_object(&e);
        struct config_queue *q = &out->v[out->n++];
        q->id = (uint32_t) json_u64(&e, "id", 0, OFPQ_ALL - 1, OFPQ_ALL);
        q->min_rate = read_rate(&e, "min_rate");
        q->max_rate = read_rate(&e, "max_rate");
        if (q->id == OFPQ_ALL) {
            json_fail(&e, "id", "is missing");
        }
        for (size_t k = 0; k < i; k++) {
            if (out->v[k].id == q->id) {
                json_fail(&e, "id", "%u is also the id of queues[%zu]", q->id, k);
            }
        }
        if (q->min_rate != OF_RATE_NONE && q->min_rate > q->max_rate) {
            json_fail(&e, "min_rate", "%u is more than the queue's max_rate, %u", q->min_rate, q->max_rate);
        }
        sum += q->min_rate == OF_RATE_NONE ? 0 : q->min_rate;
        json_end(&e);
    }
    if (sum > FULL_RATE) {
        json_fail(r, "queues", "promise %u of the port's %u thousandths together", sum, FULL_RATE);
    }
    qsort(out->v, out->n, sizeof out->v[0], by_id);
}

bool config_qos_equal(const struct config_qos *a, const struct config_qos *b)
{
    return a->rate_mbps == b->rate_mbps && a->n == b->n && !memcmp(a->v, b->v, a->n * sizeof a->v[0]);
}
