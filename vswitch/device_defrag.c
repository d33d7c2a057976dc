/*
 * A switch must not reassemble what it carries. DPDK's net_af_packet joins its sockets to a fanout group with
 * PACKET_FANOUT_FLAG_DEFRAG, and then the kernel hands it whole datagrams in place of IPv4 fragments (packet(7)): other
 * frames than those on the wire, and often too long to be sent on. The driver has no option against that, so this
 * definition takes the place of libc's for it (the program's own symbols come first for shared libraries), clears that
 * one flag, and passes everything else on as it is.
 */
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    int fanout;
    if (level == SOL_PACKET && name == PACKET_FANOUT && size == sizeof fanout) {
        memcpy(&fanout, value, sizeof fanout);
        fanout &= (int) ~((unsigned) PACKET_FANOUT_FLAG_DEFRAG << 16);     /* Bits 0 to 15 are the group's id. */
        value = &fanout;
    }
    return (int) syscall(SYS_setsockopt, fd, level, name, value, size);
}
