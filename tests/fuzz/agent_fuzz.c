/*
 * Framing, negotiation and the agent: a peer that connects and sends any bytes is answered by whole OpenFlow messages
 * or left alone, and by the same ones however its bytes are cut on their way.
 *
 * The input is what the peer sends.  It is sent twice, each time to a switch of its own (an agent on a unix socket over
 * the fake backend): at once, and in pieces whose size the input's last byte gives.  What the switch answers is framed
 * and decoded here; what was answered before the connection ended has to be the same.  Time stands still (the fake's
 * clock, which nothing moves): how fast the machine is must not matter.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <event2/event.h>
#include "lib/log.h"
#include "lib/util.h"
#include "ofproto/agent.h"
#include "ofproto/agent_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { MAX_INPUT = 8192, QUIET_TURNS = 4 };

struct bench { struct event_base *base; struct fake fake; int fd; bool ended; char path[80]; };

static void start(struct bench *b)
{
    static unsigned n;
    char *target;
    struct of_agent_config config = { .n_listen = 1, .versions = 1u << OF10_VERSION | 1u << OF13_VERSION | 1u << OF14_VERSION, .max_connections = 2 };
    struct err err = ERR_INIT;
    log_set_level(LOG_ERROR);
    snprintf(b->path, sizeof b->path, "/tmp/agent-fuzz-%d-%u.sock", (int) getpid(), n++);
    target = xasprintf("punix:%s", b->path);
    config.listen = (const char **) &target;
    b->base = event_base_new();
    fake_init(&b->fake, 64, 16);
    b->fake.agent = of_agent_new(b->base, &config, b->fake.clock, &fake_meter_ops, &b->fake, &err);
    assert(b->fake.agent);
    free(target);

    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    str_copy(sa.sun_path, sizeof sa.sun_path, b->path);
    b->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int rc = connect(b->fd, (struct sockaddr *) &sa, sizeof sa);
    assert(!rc);
    fcntl(b->fd, F_SETFL, O_NONBLOCK);
    b->ended = false;
}

static void end(struct bench *b)
{
    close(b->fd);
    of_agent_free(b->fake.agent);
    fake_release(&b->fake);
    fake_fini(&b->fake);
    event_base_free(b->base);
    unlink(b->path);
}

/* Runs the switch until it has nothing more to say. */
static void listen_to(struct bench *b, struct buf *answer)
{
    for (unsigned quiet = 0; quiet < QUIET_TURNS && !b->ended; ) {
        event_base_loop(b->base, EVLOOP_NONBLOCK);
        uint8_t *p = buf_put_uninit(answer, 65536);
        ssize_t n = recv(b->fd, p, 65536, 0);
        answer->size -= 65536 - (n > 0 ? (size_t) n : 0);
        b->ended = !n || (n < 0 && errno != EAGAIN);
        quiet = n > 0 ? 0 : quiet + 1;
    }
}

static void talk(const uint8_t *data, size_t size, size_t piece, struct buf *answer)
{
    struct bench b;
    start(&b);
    listen_to(&b, answer);
    for (size_t sent = 0; sent < size && !b.ended; ) {
        ssize_t n = send(b.fd, data + sent, MIN(piece, size - sent), MSG_NOSIGNAL);
        sent += n > 0 ? (size_t) n : 0;
        b.ended = n < 0 && errno != EAGAIN;
        listen_to(&b, answer);
    }
    end(&b);
}

/* Whole messages, each one that decodes. */
static void check_answer(const struct buf *answer)
{
    for (size_t at = 0; at < answer->size; ) {
        struct of_msg msg;
        unsigned length = of_frame_length(answer->data + at, answer->size - at);
        assert(length >= OF_HEADER_SIZE && length <= answer->size - at);
        struct of_error error = of_decode(answer->data + at, length, &msg);
        assert(of_ok(error));
        of_msg_fini(&msg);
        at += length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    if (!size || size > MAX_INPUT) {
        return 0;
    }
    talk(data, size, size, &whole);
    talk(data, size, 1 + data[size - 1] % 61, &pieces);
    check_answer(&whole);
    check_answer(&pieces);
    assert(whole.size == pieces.size && !memcmp(whole.data, pieces.data, whole.size));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
