/*
 * The configuration of a port's queues: {"rate_mbps": N, "queues": [{"id", "min_rate", "max_rate"}]}, in a port's
 * object and in port-queues' parameters.
 *
 * Checked here: ids differ, rates are 1 to 1000 (1/10 % of the port's speed) with min_rate not above max_rate, and the
 * minimum rates together are no more than the port.
 */
#ifndef VSWITCH_CONFIG_QOS_H
#define VSWITCH_CONFIG_QOS_H 1

#include <stdbool.h>
#include <stdint.h>
#include "lib/json.h"

#define CONFIG_MAX_PORT_QUEUES 64
#define CONFIG_MAX_RATE_MBPS 400000

struct config_queue { uint32_t id; uint16_t min_rate, max_rate; };      /* OF_RATE_NONE: not configured. */
struct config_qos {
    unsigned rate_mbps;         /* Of the port as a whole; 0: no ceiling. */
    unsigned n;
    struct config_queue v[CONFIG_MAX_PORT_QUEUES];      /* By ascending id. */
};

/* The members "rate_mbps" and "queues" of an object, which the caller ends; errors are the reader's. */
void config_qos_read(struct json_reader *, struct config_qos *);
bool config_qos_equal(const struct config_qos *, const struct config_qos *);

#endif
