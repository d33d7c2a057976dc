/* News from the kernel that some interface's link may have changed, so that a cut cable is known at once and not at the next look. Control thread. */
#ifndef VSWITCH_DEVICE_LINK_H
#define VSWITCH_DEVICE_LINK_H 1

#include <stdbool.h>

/* A descriptor that becomes readable with such news; -errno when the kernel gives none (then only polling tells). */
int link_watch_open(void);
/* Takes the news that are there; true if there were any. */
bool link_watch_take(int fd);

#endif
