/*
 * What the parts of reconcile share: when what is done, and errors (reconcile.c), sending (reconcile_send.c), reading back (reconcile_read.c), waiting and
 * showing (reconcile_wait.c). Private to them.
 */
#ifndef CONTROLLER_RECONCILE_IMPL_H
#define CONTROLLER_RECONCILE_IMPL_H 1

#include "controller/gather.h"
#include "controller/ruleset_impl.h"

#define AUDIT_INTERVAL_NS (60 * UINT64_C(1000000000))

struct reconcile {
    struct controller *controller;
    struct gather work;         /* Sends batches and looks at waiters, once per loop turn. */
    struct event *tick;         /* Deadlines and audits. */
    struct list work_list;      /* struct sw_rules that have something to send, or whose vhost ports may need a request. */
    struct list waiters;
    struct buf out;             /* Empty but while a batch is encoded. */
};

/* reconcile_send.c */
void reconcile_send_batch(struct reconcile *, struct sw_rules *);       /* All that is to be sent now; the switch is SYNC_STEADY. */
bool reconcile_graves_wait(const struct sw_rules *);    /* Groups or meters can be deleted with the next batch. */

/* reconcile_read.c */
void reconcile_start_reading(struct reconcile *, struct sw_rules *, bool audit);
bool reconcile_read_reply(struct reconcile *, struct sw_rules *, const struct of_msg *);       /* Also the error that answers a read. True if taken. */

/* reconcile_wait.c */
void reconcile_check_waiters(struct reconcile *);
void reconcile_end_waiters(struct reconcile *);
/* What waited for the switch's generations up to this one has it. */
void reconcile_confirmed(struct sw_rules *, uint64_t generation);

#endif
