#include "vswitch/device_link.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

int link_watch_open(void)
{
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) {
        return -errno;
    }
    if (bind(fd, (struct sockaddr *) &addr, sizeof addr)) {
        int why = errno;
        close(fd);
        return -why;
    }
    return fd;
}

/* What the messages say does not matter: every port over a kernel interface is looked at anew. An overflow (ENOBUFS) is news, too. */
bool link_watch_take(int fd)
{
    char buffer[8192];
    bool any = false;
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0 || (n < 0 && (errno == EINTR || errno == ENOBUFS))) {
        any = true;
    }
    return any;
}
