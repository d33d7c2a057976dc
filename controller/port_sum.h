/*
 * What a virtual port has counted: the sum over the devices that it has been on, of what each counted while the port was there.
 *
 * A device has its own counters, which are older than the port (others had it before, and discovery has tried whether it is a
 * cable) and go on when the port has moved. So the first reading of a device is where the port begins, and the device that a
 * port leaves is read once more. Who calls sees to it that both questions reach the switch before the rules that let frames
 * pass, or no longer do.
 */
#ifndef CONTROLLER_PORT_SUM_H
#define CONTROLLER_PORT_SUM_H 1

#include <stdbool.h>
#include <stdint.h>

#include "ofproto/of_msg.h"

/* A device on an edge (the edge's index), by its name there; the number may be another after a restart. number 0: none. */
struct port_device {
    uint16_t edge;
    uint32_t number;
    char name[33];
    bool begun;                 /* `last` is a reading. */
    struct of_port_stats last;
};

/* Zeroed: has been nowhere. */
struct port_sum { struct of_port_stats total; struct port_device now, former; };

/* The port is on this device (number 0: on none); true: it was elsewhere until now, and `former` (number 0: nowhere) and `now` are to be read. */
bool port_sum_bind(struct port_sum *, uint16_t edge, uint32_t number, const char *name);
/* A reading of the edge's switch port in->port_no, whosever it is. A counter that the switch does not have (all ones) is not had by the port. */
void port_sum_read(struct port_sum *, uint16_t edge, const struct of_port_stats *in);

#endif
