/* When a connection's messages are handled: as they come, or with a share (of_share.h) in turns. */
#include "ofproto/of_conn_impl.h"

#include <event2/event.h>

static const struct timeval late = { .tv_usec = OF_SHARE_LATE_MS * 1000 };

static void yield(struct of_conn *c)
{
    static const struct timeval now = { 0 };
    c->yielded = true;
    /* What one who floods says and is told goes in small and in large pieces, as suits others. */
    const bool alone = of_share_alone(c->options.share->group, clock_now_ns(&c->options.clock));
    stream_cork(c->stream, !alone);
    stream_set_read_size(c->stream, alone ? SIZE_MAX : OF_SHARE_READ);
    c->options.share->group->n_waiting++;
    event_add(c->turn, &now);   /* A timer, so that the loop looks for others' events first. */
    c->late_ns = clock_now_ns(&c->options.clock) + OF_SHARE_LATE_MS * UINT64_C(1000000);
    event_add(c->late, &late);
}

void of_conn_end_yield(struct of_conn *c)
{
    if (c->yielded) {
        c->yielded = false;
        c->options.share->group->n_waiting--;
        event_del(c->turn);
        event_del(c->late);
    }
}

void of_conn_again(struct of_conn *c)
{
    static const struct timeval now = { 0 };
    const struct of_share *share = c->options.share;
    if (c->state != UP || c->dead || !c->ops->again) {
        return;
    }
    c->again = true;
    if (share && share->group->recent_ns >= share->group->quantum_ns && !c->yielded) {
        yield(c);
    } else if (!c->yielded) {
        event_add(c->resume, &now);
    }
}

void of_conn_run_again(struct of_conn *c)
{
    struct of_share_group *group = c->options.share ? c->options.share->group : NULL;
    const uint64_t begun = group ? clock_now_ns(&c->options.clock) : 0;
    c->again = false;
    c->ops->again(c, c->aux);
    if (group) {
        of_share_pass(group, begun);
        const uint64_t now = clock_now_ns(&c->options.clock);
        of_share_use(group, now - begun, now);
    }
}

/* Whole messages until there are no more, reading is paused, the connection ends, or `limit_ns` have been used; returns the bytes used. */
static size_t process_timed(struct of_conn *c, const uint8_t *data, size_t size, uint64_t now, uint64_t limit_ns)
{
    struct of_share_group *group = c->options.share->group;
    size_t used = 0, n = 1;
    for (uint64_t spent = 0; spent < limit_ns && n; ) {
        n = of_conn_process_one(c, data + used, size - used);
        used += n;
        uint64_t then = now;
        now = clock_now_ns(&c->options.clock);
        of_share_use(group, now - then, now);
        spent += now - then;
    }
    return used;
}

/* The same at the loop's usual priority, as much as the share has left. */
size_t of_conn_process(struct of_conn *c, const uint8_t *data, size_t size)
{
    size_t used = 0;
    if (c->options.share) {
        struct of_share_group *group = c->options.share->group;
        uint64_t now = clock_now_ns(&c->options.clock);
        of_share_pass(group, now);
        if (!c->yielded && group->recent_ns < group->quantum_ns) {
            used = process_timed(c, data, size, now, group->quantum_ns - group->recent_ns);
        }
        if (!c->yielded && group->recent_ns >= group->quantum_ns && c->stream && !c->dead && !of_conn_paused(c)) {
            yield(c);
        }
        return used;
    }
    for (size_t n; (n = of_conn_process_one(c, data + used, size - used)); ) {
        used += n;
    }
    return used;
}

static bool has_whole_message(const struct of_conn *c)
{
    if (c->in.size < OF_HEADER_SIZE) {
        return false;
    }
    unsigned length = of_frame_length(c->in.data, c->in.size);
    return length >= OF_HEADER_SIZE && length <= c->in.size;
}

static void take_turn(struct of_conn *c)
{
    struct of_share_group *group = c->options.share->group;
    const uint64_t now = clock_now_ns(&c->options.clock), share = group->quantum_ns / MAX(group->n_waiting, 1u);
    const uint64_t limit = of_share_alone(group, now) ? share : MIN(share, (uint64_t) OF_SHARE_TURN_NS);
    of_conn_end_yield(c);
    of_conn_enter(c);
    of_share_pass(group, now);
    group->n_turns++;
    if (c->stream && c->again) {
        of_conn_run_again(c);
    } else if (c->stream && c->in.size) {
        size_t used = process_timed(c, c->in.data, c->in.size, now, limit);
        if (c->stream) {
            buf_consume(&c->in, used);
        }
    }
    if (c->stream && !c->dead && !c->yielded && has_whole_message(c) && !of_conn_paused(c)) {
        yield(c);
    }
    if (c->stream && !c->yielded) {
        stream_cork(c->stream, false);
    }
    of_conn_set_reading(c);
    of_conn_leave(c);
}

/* A turn has come: the loop has nothing else to do … */
static void on_turn(evutil_socket_t fd UNUSED, short what UNUSED, void *c_)
{
    struct of_share *share = ((struct of_conn *) c_)->options.share;    /* Outlives the connection. */
    if (share->turn) {
        share->turn(share, true);
    }
    take_turn(c_);
    if (share->turn) {
        share->turn(share, false);
    }
}

/* … or has left no room for it.  The loop's time wakes up, the connection's clock says whether it is late. */
static void on_late(evutil_socket_t fd UNUSED, short what UNUSED, void *c_)
{
    struct of_conn *c = c_;
    if (clock_now_ns(&c->options.clock) < c->late_ns) {
        event_add(c->late, &late);
    } else {
        take_turn(c);
    }
}

/* What was held waits for a turn: it has been too much already. */
void of_conn_resume(struct of_conn *c)
{
    if (of_conn_set_reading(c) && !c->yielded && has_whole_message(c)) {
        yield(c);
        of_conn_set_reading(c);
    }
}

void of_conn_turns_init(struct of_conn *c)
{
    if (c->options.share) {
        c->turn = evtimer_new(c->base, on_turn, c);
        c->late = evtimer_new(c->base, on_late, c);
        event_priority_set(c->turn, event_base_get_npriorities(c->base) - 1);
    }
}

void of_conn_turns_fini(struct of_conn *c)
{
    if (c->turn) {
        event_free(c->turn);
        event_free(c->late);
    }
}
