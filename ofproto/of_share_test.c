/* Connections that share a loop: what each message costs is told by a clock that only messages move. */
#include "ofproto/of_share.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>
#include "ofproto/of_peer.h"
#include "tests/unit.h"

unit_suite_fn of_share_test_suite;

enum { MESSAGE_NS = 5000, QUANTUM_NS = 20000, MAX_CONNS = 8 };

struct rig;
struct end { struct rig *rig; struct of_conn *conn; unsigned number, n_messages, n_pieces, pieces_left; int fd; };
struct rig {
    struct event_base *base;
    struct stream_listener *listener;
    uint64_t now_ns;
    struct of_share_group groups[MAX_CONNS];
    struct of_share shares[MAX_CONNS];
    unsigned group_of[MAX_CONNS];       /* Of the connections, in the order in which they come. */
    struct end ends[MAX_CONNS];
    unsigned n_ends, n_up;
    unsigned run, longest_run;          /* Messages of others in a row while connection 0 had one waiting. */
    bool waiting;
    bool in_turn;
    unsigned n_turns, n_in_turns;       /* Turns told of, and messages that were handled in them. */
    unsigned pieces;                    /* Each message of connection 1 causes as much work more. */
};

static uint64_t now_of(void *r) { return ((struct rig *) r)->now_ns; }

static void on_up(struct of_conn *conn UNUSED, void *end) { ((struct end *) end)->rig->n_up++; }
static void on_down(struct of_conn *conn UNUSED, const char *why UNUSED, void *end UNUSED) { }

static void on_message(struct of_conn *conn UNUSED, struct of_msg *msg UNUSED, const uint8_t *raw UNUSED, size_t size UNUSED, void *end_)
{
    struct end *end = end_;
    struct rig *r = end->rig;
    r->now_ns += MESSAGE_NS;
    end->n_messages++;
    r->n_in_turns += r->in_turn;
    if (!end->number) {
        r->longest_run = MAX(r->longest_run, r->run);
        r->waiting = false;
    } else if (r->waiting) {
        r->run++;
    }
    if (end->number == 1 && r->pieces) {
        end->pieces_left += r->pieces;
        of_conn_read_enable(end->conn, false);
        of_conn_again(end->conn);
    }
}

/* A piece costs what a message costs. */
static void on_again(struct of_conn *conn, void *end_)
{
    struct end *end = end_;
    struct rig *r = end->rig;
    r->now_ns += MESSAGE_NS;
    r->run += r->waiting;
    end->n_pieces++;
    if (--end->pieces_left) {
        of_conn_again(conn);
        of_conn_again(conn);            /* Comes once. */
    } else {
        of_conn_read_enable(conn, true);
    }
}

static void on_accept(struct stream *stream, void *r_)
{
    static const struct of_conn_ops ops = { .up = on_up, .message = on_message, .down = on_down, .again = on_again };
    struct rig *r = r_;
    struct end *end = &r->ends[r->n_ends];
    const struct of_conn_options options = { .versions = 1u << OF13_VERSION, .clock = { now_of, r }, .share = &r->shares[r->group_of[r->n_ends]] };
    end->rig = r;
    end->number = r->n_ends++;
    end->conn = of_conn_accepted(r->base, stream, &options, &ops, end);
}

static void connect_one(struct rig *r, unsigned group)
{
    unsigned number = r->n_ends;
    r->group_of[number] = group;
    int one = 1;
    r->ends[number].fd = raw_connect(stream_listener_port(r->listener));
    setsockopt(r->ends[number].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    raw_send_hex(r->ends[number].fd, "04 00 0008 00000001");
    CU_ASSERT_TRUE_FATAL(loop_until(r->base, &r->n_up, number + 1));
}

static void rig_init(struct rig *r, bool with_priorities)
{
    struct err err = ERR_INIT;
    memset(r, 0, sizeof *r);
    struct event_config *config = event_config_new();
    if (with_priorities) {
        event_config_set_max_dispatch_interval(config, NULL, 1, OF_SHARE_PRIORITIES - 1);
    }
    r->base = event_base_new_with_config(config);
    event_config_free(config);
    if (with_priorities) {
        event_base_priority_init(r->base, OF_SHARE_PRIORITIES);
    }
    r->now_ns = 1000000000;
    for (unsigned i = 0; i < MAX_CONNS; i++) {
        r->groups[i] = (struct of_share_group) { .quantum_ns = QUANTUM_NS, .at_ns = r->now_ns };
        r->shares[i].group = &r->groups[i];
    }
    r->listener = stream_listen(r->base, "ptcp:0:127.0.0.1", NULL, on_accept, r, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->listener);
}

static void rig_fini(struct rig *r)
{
    for (unsigned i = 0; i < r->n_ends; i++) {
        of_conn_close(r->ends[i].conn);
        close(r->ends[i].fd);
    }
    for (unsigned i = 0; i < MAX_CONNS; i++) {
        CU_ASSERT_EQUAL(r->groups[i].n_waiting, 0);
    }
    stream_listener_close(r->listener);
    event_base_free(r->base);
}

static void send_barriers(struct rig *r, unsigned number, unsigned n)
{
    uint8_t message[8] = { OF13_VERSION, OFPT_BARRIER_REQUEST, 0, 8, 0, 0, 0, 9 };
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT_EQUAL_FATAL(send(r->ends[number].fd, message, sizeof message, 0), sizeof message);
    }
}

/* Once around the loop. */
static void turn(struct rig *r) { event_base_loop(r->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); }

static unsigned turns_until(struct rig *r, unsigned number, unsigned n_messages)
{
    unsigned turns = 0;
    for (; r->ends[number].n_messages < n_messages && turns < 100000; turns++) {
        turn(r);
    }
    return turns;
}

/* Whatever others send, and however many connections they have, a message of a quiet one waits for a quantum at most. */
static void flood(bool with_priorities, unsigned n_flooders, bool one_group)
{
    struct rig r;
    rig_init(&r, with_priorities);
    connect_one(&r, 0);
    for (unsigned i = 1; i <= n_flooders; i++) {
        connect_one(&r, one_group ? 1 : i);
    }
    for (unsigned i = 1; i <= n_flooders; i++) {
        send_barriers(&r, i, 500);
    }
    for (unsigned i = 0; i < 10; i++) {                 /* Till they have used up what a group has at once. */
        turn(&r);
    }
    for (unsigned i = 1; i <= 50; i++) {
        r.now_ns += 100000;                             /* It sends ten thousand a second. */
        send_barriers(&r, 0, 1);
        r.waiting = true;
        r.run = 0;
        turns_until(&r, 0, i);
    }
    CU_ASSERT_EQUAL(r.ends[0].n_messages, 50);
    /* One turn that was due, and with several groups what each has at once when it has been quiet for a while. */
    unsigned bound = (one_group ? 2 : n_flooders + 1) * QUANTUM_NS / MESSAGE_NS;
    CU_ASSERT_TRUE(r.longest_run <= bound);
    for (unsigned i = 1; i <= n_flooders; i++) {
        turns_until(&r, i, 500);
        CU_ASSERT_EQUAL(r.ends[i].n_messages, 500);     /* Nothing is lost. */
    }
    rig_fini(&r);
}

static void test_flood(void)
{
    flood(true, 1, true);
    flood(true, 6, true);
    flood(true, 4, false);
    flood(false, 1, true);
}

static void on_turn(struct of_share *share, bool begins)
{
    struct rig *r = CONTAINER_OF(share, struct rig, shares[0]);
    CU_ASSERT(r->in_turn != begins);
    r->in_turn = begins;
    r->n_turns += begins;
}

/* Who owns the share is told of the turns that it is given, and of nothing that comes as it comes. */
static void test_told(void)
{
    struct rig r;
    rig_init(&r, true);
    r.shares[0].turn = on_turn;
    connect_one(&r, 0);
    send_barriers(&r, 0, 2);
    turns_until(&r, 0, 2);
    CU_ASSERT_EQUAL(r.n_turns, 0);
    send_barriers(&r, 0, 500);
    turns_until(&r, 0, 502);
    CU_ASSERT(r.n_turns > 0 && !r.in_turn);
    CU_ASSERT(r.n_in_turns > 250 && r.n_in_turns < 502);        /* Others at once: what a group has, and late ones. */
    rig_fini(&r);
}

/* A group that has been alone for a while has longer turns, until somebody else says something. */
static void test_alone(void)
{
    struct rig r;
    struct of_share_company company = { NULL, 0 };
    rig_init(&r, true);
    r.groups[0].company = r.groups[1].company = &company;
    r.shares[0].turn = on_turn;
    connect_one(&r, 0);
    connect_one(&r, 1);
    send_barriers(&r, 1, 1);
    turns_until(&r, 1, 1);
    send_barriers(&r, 0, 400);
    turns_until(&r, 0, 400);
    CU_ASSERT(r.n_turns > 300);
    send_barriers(&r, 0, 1);
    r.now_ns += OF_SHARE_ALONE_NS;
    turns_until(&r, 0, 401);
    r.n_turns = 0;
    send_barriers(&r, 0, 400);
    turns_until(&r, 0, 801);
    CU_ASSERT(r.n_turns < 150);
    send_barriers(&r, 1, 1);
    turns_until(&r, 1, 2);
    r.n_turns = 0;
    send_barriers(&r, 0, 400);
    turns_until(&r, 0, 1201);
    CU_ASSERT(r.n_turns > 300);
    rig_fini(&r);
}

/* What comes after too much waits for turns, until that is forgotten. */
static void test_exhausted(void)
{
    struct rig r;
    rig_init(&r, true);
    r.shares[0].turn = on_turn;
    connect_one(&r, 0);
    of_share_exhaust(&r.groups[0], r.now_ns);
    send_barriers(&r, 0, 1);
    turns_until(&r, 0, 1);
    CU_ASSERT_EQUAL(r.n_in_turns, 1);
    r.now_ns += 1000000;
    send_barriers(&r, 0, 1);
    turns_until(&r, 0, 2);
    CU_ASSERT_EQUAL(r.n_in_turns, 1);
    rig_fini(&r);
}

/* A message that causes much work keeps others waiting for a piece of it, and is charged for all. */
static void test_pieces(void)
{
    struct rig r;
    rig_init(&r, true);
    connect_one(&r, 0);
    connect_one(&r, 1);
    r.pieces = 200;
    send_barriers(&r, 1, 3);
    for (unsigned i = 1; i <= 50; i++) {
        r.now_ns += 100000;
        send_barriers(&r, 0, 1);
        r.waiting = true;
        r.run = 0;
        turns_until(&r, 0, i);
    }
    CU_ASSERT(r.longest_run <= 1 + QUANTUM_NS / MESSAGE_NS);
    turns_until(&r, 1, 3);
    for (unsigned i = 0; i < 10000 && r.ends[1].pieces_left; i++) {
        turn(&r);
    }
    CU_ASSERT_EQUAL(r.ends[1].n_pieces, 600);
    CU_ASSERT_EQUAL(r.groups[1].busy_ns, 603 * MESSAGE_NS);
    send_barriers(&r, 1, 1);            /* Gone in the middle of it. */
    turns_until(&r, 1, 4);
    of_conn_close(r.ends[1].conn);
    r.ends[1].conn = NULL;
    const unsigned before = r.ends[1].n_pieces;
    for (unsigned i = 0; i < 20; i++) {
        turn(&r);
    }
    CU_ASSERT_EQUAL(r.ends[1].n_pieces, before);
    rig_fini(&r);
}

/* Two groups that flood, one with three times as many connections, get the same. What is compared is time: a machine that does
 * something else meanwhile may spoil a try. */
static bool shares_are_equal(void)
{
    struct rig r;
    rig_init(&r, true);
    for (unsigned i = 0; i < 4; i++) {
        connect_one(&r, i ? 2 : 1);
        send_barriers(&r, i, 3000);
    }
    turns_until(&r, 0, 1500);
    double one = (double) r.groups[1].busy_ns, three = (double) r.groups[2].busy_ns;
    rig_fini(&r);
    return three > 0.6 * one && three < 1.7 * one;
}

static void test_equal_shares(void)
{
    bool equal = false;
    for (unsigned i = 0; i < 8 && !equal; i++) {
        equal = shares_are_equal();
    }
    CU_ASSERT_TRUE(equal);
}

static void test_held(void)
{
    struct rig r;
    rig_init(&r, true);
    connect_one(&r, 0);
    connect_one(&r, 1);
    r.shares[0].held = true;
    send_barriers(&r, 0, 20);
    send_barriers(&r, 1, 20);
    turns_until(&r, 1, 20);
    for (unsigned i = 0; i < 20; i++) {
        turn(&r);
    }
    CU_ASSERT_EQUAL(r.ends[0].n_messages, 0);
    CU_ASSERT_EQUAL(r.ends[1].n_messages, 20);
    r.shares[0].held = false;
    of_conn_resume(r.ends[0].conn);
    turns_until(&r, 0, 20);
    CU_ASSERT_EQUAL(r.ends[0].n_messages, 20);
    rig_fini(&r);
}

/* A connection that goes while it waits for its turn. */
static void test_close(void)
{
    struct rig r;
    rig_init(&r, true);
    connect_one(&r, 0);
    send_barriers(&r, 0, 200);
    for (unsigned i = 0; i < 1000 && !r.groups[0].n_waiting; i++) {
        turn(&r);
    }
    CU_ASSERT_EQUAL(r.groups[0].n_waiting, 1);
    of_conn_close(r.ends[0].conn);
    CU_ASSERT_EQUAL(r.groups[0].n_waiting, 0);
    r.ends[0].conn = NULL;
    rig_fini(&r);
}

/* When others never leave room, a turn comes late, but comes. */
struct busy { struct rig *rig; struct event *event; };

static void keep_busy(evutil_socket_t fd UNUSED, short what UNUSED, void *b_)
{
    static const struct timeval now = { 0 };
    struct busy *b = b_;
    b->rig->now_ns += 1000000;
    event_add(b->event, &now);
}

static void test_late(void)
{
    struct rig r;
    rig_init(&r, true);
    connect_one(&r, 0);
    struct busy busy = { .rig = &r };
    busy.event = evtimer_new(r.base, keep_busy, &busy);
    keep_busy(-1, 0, &busy);
    send_barriers(&r, 0, 40);
    CU_ASSERT_TRUE(loop_until(r.base, &r.ends[0].n_messages, 40));
    event_free(busy.event);
    rig_fini(&r);
}

void of_share_test_suite(void)
{
    UNIT_SUITE("of_share", { "a flood", test_flood }, { "turns are told of", test_told }, { "exhausted", test_exhausted },
               { "alone", test_alone },
               { "work in pieces", test_pieces }, { "equal shares", test_equal_shares }, { "held", test_held }, { "close", test_close },
               { "late", test_late });
}
