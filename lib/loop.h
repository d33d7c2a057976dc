/*
 * Runs a libevent loop that looks for events for a moment before it sleeps.
 *
 * A CPU that sleeps takes some microseconds to wake up, in a virtual machine some tens of them: more than controllerd needs for a message. What it does is
 * mostly a step of a conversation whose next one comes at once (a packet-in, the flow-mod that answers it, the switch's barrier reply). So when the loop
 * has been woken up it does not sleep again for busy_poll_us. The price is bounded: as much CPU time for each time that it is woken up.
 */
#ifndef POLDER_LOOP_H
#define POLDER_LOOP_H 1

#include <stdbool.h>

struct event_base;

/* As event_base_dispatch(), until event_base_loopexit() or loopbreak(); false: the loop failed, or has nothing to wait for.  busy_poll_us 0: sleeps at once. */
bool loop_run(struct event_base *, unsigned busy_poll_us);

#endif
