/*
 * DPDK's environment: one call, once per process.
 *
 * Works with hugepages and without (guest memory is shared by the guest's own memfd either way); virtual addresses as
 * IOVA; no telemetry, no shared configuration files, PCI devices only as ports name them. lcore 0 is the control
 * thread, lcores 1.. are the poll-mode threads, each pinned to one CPU.
 */
#ifndef VSWITCH_EAL_H
#define VSWITCH_EAL_H 1

#include "vswitch/config.h"

struct eal {
    bool started, hugepages;
    unsigned lcores[CONFIG_MAX_POLL];
};

/* Initialises EAL in the calling thread, which becomes the control thread. */
bool eal_start(struct eal *, const struct config *, struct err *);
void eal_stop(struct eal *);
/* Free memory in hugepages of all sizes, in MB; 0 without a mounted hugetlbfs. */
unsigned eal_free_hugepages_mb(void);

#endif
