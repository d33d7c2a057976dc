/* Prometheus text (exposition format 0.0.4) of everything that vswitchd counts.  Control thread. */
#ifndef VSWITCH_METRICS_H
#define VSWITCH_METRICS_H 1

struct vswitch;
/* Malloc'd. */
char *metrics_text(struct vswitch *);

#endif
