#include "ofproto/of_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>
#include "ofproto/random_model.h"
#include "tests/unit.h"

enum { LIMIT_MS = 8000 };

static uint64_t now_ms(void)
{
    struct clock clock = clock_monotonic();
    return clock_now_ns(&clock) / 1000000;
}

static void turn(struct event_base *base)
{
    struct timeval tv = { 0, 2000 };
    event_base_loopexit(base, &tv);
    event_base_loop(base, EVLOOP_ONCE);
}

bool loop_until(struct event_base *base, const unsigned *what, unsigned at_least)
{
    for (uint64_t end = now_ms() + LIMIT_MS; *what < at_least; ) {
        if (now_ms() > end) {
            return false;
        }
        turn(base);
    }
    return true;
}

void loop_for(struct event_base *base, unsigned ms)
{
    for (uint64_t end = now_ms() + ms; now_ms() < end; ) {
        turn(base);
    }
}

static void close_peer(struct of_peer *p)
{
    of_conn_close(p->conn);
    p->conn = NULL;
}

static void on_up(struct of_conn *conn UNUSED, void *p_)
{
    struct of_peer *p = p_;
    p->n_up++;
    if (p->close_on_up) {
        close_peer(p);
    }
}

static void on_message(struct of_conn *conn UNUSED, struct of_msg *msg, const uint8_t *raw, size_t size, void *p_)
{
    struct of_peer *p = p_;
    CU_ASSERT_EQUAL(of_frame_length(raw, size), size);
    p->n_messages++;
    if (p->close_on_message) {
        close_peer(p);
        CU_ASSERT_EQUAL(raw[0], msg->version);  /* Still there. */
    }
    if (msg->type == OFPT_PACKET_IN && !p->keep_packet_ins) {
        p->n_packet_ins++;
    } else if (msg->type == OFPT_MULTIPART_REPLY && (msg->multipart.type == OFPMP_FLOW || msg->multipart.type == OFPMP_GROUP)) {
        p->n_multipart++;
        p->n_more += msg->multipart.flags & OFPMPF_MORE;
        p->n_elements += msg->multipart.raw.n;
    } else if (p->n_got < PEER_KEEP) {
        p->got[p->n_got++] = *msg;
        of_msg_init(msg, OFPT_ECHO_REPLY, 0);   /* Moved: nothing is left to free. */
    }
}

static void on_down(struct of_conn *conn UNUSED, const char *why, void *p_)
{
    struct of_peer *p = p_;
    p->n_down++;
    str_copy(p->why, sizeof p->why, why);
    if (p->close_on_down) {
        close_peer(p);
    }
}

static void on_drained(struct of_conn *conn UNUSED, void *p_)
{
    ((struct of_peer *) p_)->n_drained++;
}

const struct of_conn_ops of_peer_ops = { .up = on_up, .message = on_message, .down = on_down, .drained = on_drained };

struct of_peer *of_peer_new(void)
{
    return XNEW(struct of_peer);
}

void of_peer_free(struct of_peer *p)
{
    close_peer(p);
    for (unsigned i = 0; i < p->n_got; i++) {
        of_msg_fini(&p->got[i]);
    }
    free(p);
}

struct of_msg of_peer_take(struct event_base *base, struct of_peer *p)
{
    CU_ASSERT_TRUE_FATAL(loop_until(base, &p->n_got, 1));
    struct of_msg msg = p->got[0];
    memmove(p->got, p->got + 1, --p->n_got * sizeof p->got[0]);
    return msg;
}

void of_peer_expect_error(struct event_base *base, struct of_peer *p, uint16_t type, uint16_t code)
{
    struct of_msg msg = of_peer_take(base, p);
    CU_ASSERT_EQUAL(msg.type, OFPT_ERROR);
    if (msg.type == OFPT_ERROR && (msg.error.error.type != type || msg.error.error.code != code)) {
        char scratch[32];
        printf("got %s, not %u/%u\n", of_error_name(msg.error.error, scratch), type, code);
        CU_FAIL("wrong error");
    }
    of_msg_fini(&msg);
}

int raw_connect(unsigned port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_TRUE_FATAL(fd >= 0 && !connect(fd, (struct sockaddr *) &to, sizeof to));
    return fd;
}

void raw_send_hex(int fd, const char *hex)
{
    struct buf b = BUF_INIT;
    put_hex(&b, hex);
    CU_ASSERT_EQUAL(send(fd, b.data, b.size, MSG_NOSIGNAL), (ssize_t) b.size);
    buf_fini(&b);
}

size_t raw_read(struct event_base *base, int fd, uint8_t *out, size_t size)
{
    size_t n = 0;
    for (uint64_t end = now_ms() + LIMIT_MS; n < size && now_ms() < end; ) {
        ssize_t got = recv(fd, out + n, size - n, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            break;
        }
        if (got > 0) {
            n += (size_t) got;
        } else {
            turn(base);
        }
    }
    return n;
}
