/*
 * frame: sends and receives raw Ethernet frames on one interface, for guests whose busybox has no packet tool.
 *
 *   frame send IF HEX [COUNT]   sends the frame COUNT times (default 1); HEX is the whole frame without FCS
 *   frame recv IF SECONDS       prints every frame that arrives in SECONDS, one line of hexadecimal digits each
 *
 * recv says "listening" on stderr once no frame can be missed any more.
 *
 * A received line is the frame as it was on the wire: the kernel hands an outer VLAN tag over apart from the frame
 * (packet(7), PACKET_AUXDATA), and it is put back here.  Frames that this host sends are not printed.
 * Linked statically into the initramfs, so it depends on libc alone and not on Polder's lib/.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

enum { MAX_FRAME = 65536, VLAN_OFFSET = 12, VLAN_SIZE = 4, MAX_SECONDS = 3600 };

static int fail(const char *what)
{
    fprintf(stderr, "frame: %s: %s\n", what, strerror(errno));
    return 1;
}

static int usage(void)
{
    fputs("usage: frame send IF HEX [COUNT] | frame recv IF SECONDS\n", stderr);
    return 2;
}

/* The value of a whole decimal argument between 1 and 'max', or -1. */
static long number(const char *text, long max)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno || end == text || *end || value < 1 || value > max ? -1 : value;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads 'hex' into 'frame'; gives the number of bytes, or -1 if it is not an even count of digits that fits. */
static int parse_hex(const char *hex, uint8_t frame[MAX_FRAME])
{
    size_t n = strlen(hex);
    if (n % 2 || n / 2 > MAX_FRAME) {
        return -1;
    }
    for (size_t i = 0; i < n / 2; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        frame[i] = (uint8_t) (high << 4 | low);
    }
    return (int) (n / 2);
}

/* A packet socket bound to 'ifname', or -1 with the message printed. */
static int open_interface(const char *ifname)
{
    struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
    address.sll_ifindex = (int) if_nametoindex(ifname);
    if (!address.sll_ifindex) {
        fail(ifname);
        return -1;
    }
    int fd = socket(AF_PACKET, SOCK_RAW, 0);        /* protocol 0: nothing is queued before bind() */
    if (fd < 0) {
        fail("socket");
        return -1;
    }
    int on = 1;
    if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) < 0
        || bind(fd, (struct sockaddr *) &address, sizeof address) < 0) {
        fail(ifname);
        close(fd);
        return -1;
    }
    return fd;
}

static int send_frames(int fd, const uint8_t *frame, int size, long count)
{
    for (long i = 0; i < count; i++) {
        if (send(fd, frame, (size_t) size, 0) != size) {
            return fail("send");
        }
    }
    return 0;
}

/* Puts the tag of 'aux' back behind the addresses; gives the new size. */
static size_t restore_tag(uint8_t *frame, size_t size, const struct tpacket_auxdata *aux)
{
    if (!(aux->tp_status & TP_STATUS_VLAN_VALID) || size < VLAN_OFFSET || size + VLAN_SIZE > MAX_FRAME) {
        return size;
    }
    uint16_t tpid = aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETH_P_8021Q;
    uint16_t tag[2] = { htons(tpid), htons(aux->tp_vlan_tci) };
    memmove(frame + VLAN_OFFSET + VLAN_SIZE, frame + VLAN_OFFSET, size - VLAN_OFFSET);
    memcpy(frame + VLAN_OFFSET, tag, sizeof tag);
    return size + VLAN_SIZE;
}

/* Receives one frame and prints it.  0, or 1 with the message printed. */
static int print_frame(int fd)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t frame[MAX_FRAME];
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))]; } control;
    struct sockaddr_ll from;
    struct iovec iov = { .iov_base = frame, .iov_len = sizeof frame };
    struct msghdr msg = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
                          .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t n = recvmsg(fd, &msg, 0);
    if (n < 0) {
        return errno == EINTR ? 0 : fail("recvmsg");
    }
    if (from.sll_pkttype == PACKET_OUTGOING) {
        return 0;
    }
    size_t size = (size_t) n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
            struct tpacket_auxdata aux;
            memcpy(&aux, CMSG_DATA(c), sizeof aux);
            size = restore_tag(frame, size, &aux);
        }
    }
    for (size_t i = 0; i < size; i++) {
        putchar(digits[frame[i] >> 4]);
        putchar(digits[frame[i] & 15]);
    }
    putchar('\n');
    return fflush(stdout) ? fail("write") : 0;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int receive_frames(int fd, long seconds)
{
    fputs("listening\n", stderr);
    int64_t end = now_ms() + seconds * 1000;
    for (int64_t left; (left = end - now_ms()) > 0;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = poll(&p, 1, (int) left);
        if (n < 0 && errno != EINTR) {
            return fail("poll");
        }
        if (n > 0 && print_frame(fd)) {
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && argc <= 5 && !strcmp(argv[1], "send")) {
        static uint8_t frame[MAX_FRAME];
        int size = parse_hex(argv[3], frame);
        long count = argc == 5 ? number(argv[4], 1000000) : 1;
        if (size < ETH_HLEN || count < 0) {
            fprintf(stderr, "frame: %s\n", count < 0 ? "COUNT is 1 to 1000000" : "HEX is a frame of 14 to 65536 bytes");
            return 2;
        }
        int fd = open_interface(argv[2]);
        return fd < 0 ? 1 : send_frames(fd, frame, size, count);
    }
    if (argc == 4 && !strcmp(argv[1], "recv")) {
        long seconds = number(argv[3], MAX_SECONDS);
        if (seconds < 0) {
            fprintf(stderr, "frame: SECONDS is 1 to %d\n", MAX_SECONDS);
            return 2;
        }
        int fd = open_interface(argv[2]);
        return fd < 0 ? 1 : receive_frames(fd, seconds);
    }
    return usage();
}
