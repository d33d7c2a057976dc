/*
 * Flow monitors: OpenFlow 1.4 section 7.3.5.17, Nicira's extension to 1.0 and the ONF's to 1.3, by one mechanism; the
 * forms differ on the wire only (of_monitor.c).
 *
 * Holding back.  Updates are sent as changes are made, except while a connection is behind: when the peer does not read
 * (it is told so, PAUSED), and while the entries that it asked for at first, or missed, are still being sent.  Nothing
 * is queued for it then.  Changes are numbered (flow_tables_seq): `held_since` is the number of the last change that it
 * has been told of, and when it has caught up, the entries with a later number are sent as added or modified.  Removals
 * of entries that it may know are sent at once all the same, since nothing would be left to tell of them later.  This
 * repeats until nothing is new; then RESUMED.
 *
 * Both the initial entries and those that were missed are sent by the connection's job (agent_multipart.c), as fast as
 * the peer reads.
 */
#include "ofproto/agent_private.h"

#include <stdlib.h>
#include "ofproto/flow_table_filter.h"

#define FAILED(CODE) OF_ERROR(OFPET_FLOW_MONITOR_FAILED, CODE)

enum {
    PENDING = 64,               /* Updates that are gathered into one message. */
    EVENT_FLAGS = OFPFMF_INITIAL | OFPFMF_ADD | OFPFMF_REMOVED | OFPFMF_MODIFY,
    MARK_INSTRUCTIONS = 0x80,   /* A job's mark is an event, and this. */
};

struct monitor {
    struct monitor *next;
    struct of_monitor config;   /* Its `match` is not used: */
    struct minimatch *match;
    bool fresh;                 /* Of the request at hand. */
};

static struct monitor *find(struct agent_conn *ac, uint32_t id)
{
    struct monitor *m = ac->monitors.first;
    while (m && m->config.id != id) {
        m = m->next;
    }
    return m;
}

static void discard(struct agent_conn *ac, struct monitor *monitor)
{
    struct monitor **at = &ac->monitors.first;
    while (*at != monitor) {
        at = &(*at)->next;
    }
    *at = monitor->next;
    ac->monitors.n--;
    free(monitor->match);
    free(monitor);
}

static void pending_clear(struct agent_monitors *ms)
{
    for (unsigned i = 0; i < ms->n_pending; i++) {
        instructions_fini(&ms->pending[i].instructions);
    }
    ms->n_pending = 0;
}

void agent_monitors_discard(struct agent_conn *ac)
{
    while (ac->monitors.first) {
        discard(ac, ac->monitors.first);
    }
    pending_clear(&ac->monitors);
    free(ac->monitors.pending);
    ac->monitors = (struct agent_monitors) { .first = NULL };
}

/* Whether the entry, or what it was before, is one that the monitor looks at. */
static bool selects(const struct monitor *m, const struct flow_entry *e, const struct instructions *old)
{
    const struct of_monitor *c = &m->config;
    return (c->table_id == OFPTT_ALL || c->table_id == e->table_id)
           && (instructions_lead_to(&e->instructions, c->out_port, c->out_group) || (old && instructions_lead_to(old, c->out_port, c->out_group)))
           && minimatch_subsumes(m->match, e->match);
}

/* --- Sending --- */

static void send_pending(struct agent_conn *ac)
{
    struct agent_monitors *ms = &ac->monitors;
    if (ms->n_pending) {
        struct of_msg msg;
        of_msg_init(&msg, OFPT_MULTIPART_REPLY, 0);     /* "xid 0": nobody asked. */
        msg.multipart.type = OFPMP_FLOW_MONITOR;
        msg.multipart.updates.v = ms->pending;
        msg.multipart.updates.n = ms->n_pending;
        of_conn_send(ac->conn, &msg);
        pending_clear(ms);
    }
}

void agent_monitor_flush(struct agent_conn *ac)
{
    send_pending(ac);
    ac->monitors.abbreviated = false;
}

static struct of_monitor_update *pending_add(struct agent_conn *ac)
{
    struct agent_monitors *ms = &ac->monitors;
    if (!ms->pending) {
        ms->pending = xcalloc(PENDING, sizeof *ms->pending);
    } else if (ms->n_pending == PENDING) {
        send_pending(ac);
    }
    return &ms->pending[ms->n_pending++];
}

/* PAUSED or RESUMED, in the version's form. */
static void send_state(struct agent_conn *ac, uint8_t event)
{
    send_pending(ac);
    if (of_conn_version(ac->conn) >= OF14_VERSION) {
        *pending_add(ac) = (struct of_monitor_update) { .event = event };
        send_pending(ac);
    } else {
        struct of_msg msg;
        of_msg_init(&msg, event == OFPFME_PAUSED ? OFPT_NX_MONITOR_PAUSED : OFPT_NX_MONITOR_RESUMED, 0);
        of_conn_send(ac->conn, &msg);
    }
}

static void fill(struct agent_conn *ac, struct of_monitor_update *u, const struct flow_entry *e, uint8_t event, bool with_instructions, uint8_t reason)
{
    *u = (struct of_monitor_update) {
        .event = event, .table_id = e->table_id, .idle_timeout = e->idle_timeout, .hard_timeout = e->hard_timeout, .priority = e->priority, .cookie = e->cookie,
        .reason = event == OFPFME_REMOVED ? agent_removed_reason(of_conn_version(ac->conn), reason) : 0,
    };
    minimatch_expand(e->match, &u->match);
    if (with_instructions) {
        instructions_copy(&u->instructions, &e->instructions);
    }
}

/* --- Changes --- */

static void hold_back(struct agent_conn *ac, uint64_t since)
{
    if (!ac->monitors.held) {
        ac->monitors.held = true;
        ac->monitors.held_since = since;
    }
}

void agent_monitor_tell(struct agent_conn *ac, const struct agent_change *c)
{
    static const struct { uint16_t flag; uint8_t event; } kinds[] = {
        [FLOW_ADDED] = { OFPFMF_ADD, OFPFME_ADDED }, [FLOW_MODIFIED] = { OFPFMF_MODIFY, OFPFME_MODIFIED }, [FLOW_REMOVED] = { OFPFMF_REMOVED, OFPFME_REMOVED },
    };
    struct agent_monitors *ms = &ac->monitors;
    bool own = ac == c->by;
    unsigned flags = 0;
    for (const struct monitor *m = ms->first; m; m = m->next) {
        if (m->config.flags & kinds[c->what].flag && (own || !(m->config.flags & OFPFMF_ONLY_OWN)) && selects(m, c->entry, c->old)) {
            flags |= m->config.flags;
        }
    }
    if (!flags) {
        return;
    }
    if (!ms->held && of_conn_backlog(ac->conn) > AGENT_JOB_BACKLOG) {
        send_state(ac, OFPFME_PAUSED);
        ms->paused = true;
        hold_back(ac, c->seq - 1);
    }
    if (ms->held && (c->what != FLOW_REMOVED || c->entry->first_seq > ms->held_since)) {
        return;
    }
    if (own && !(flags & OFPFMF_NO_ABBREV) && !ms->held) {
        if (!ms->abbreviated || ms->abbreviated_xid != c->xid) {        /* One for all that a message has changed. */
            *pending_add(ac) = (struct of_monitor_update) { .event = OFPFME_ABBREV, .xid = c->xid };
            ms->abbreviated = true;
            ms->abbreviated_xid = c->xid;
        }
        return;
    }
    fill(ac, pending_add(ac), c->entry, kinds[c->what].event, flags & OFPFMF_INSTRUCTIONS, c->reason);
}

/* --- Entries at first, and those that were missed --- */

struct gathering { struct agent_conn *ac; bool initial; uint64_t since; };

static void gather(struct flow_entry *e, void *gathering_)
{
    const struct gathering *g = gathering_;
    uint16_t wanted = g->initial ? OFPFMF_INITIAL : e->added_seq > g->since ? OFPFMF_ADD | OFPFMF_MODIFY : e->changed_seq > g->since ? OFPFMF_MODIFY : 0;
    unsigned flags = 0;
    for (const struct monitor *m = g->ac->monitors.first; wanted && m; m = m->next) {
        if (m->config.flags & wanted && (!g->initial || m->fresh) && selects(m, e, NULL)) {
            flags |= m->config.flags & (wanted | OFPFMF_INSTRUCTIONS);
        }
    }
    if (flags & wanted) {
        uint8_t event = g->initial ? OFPFME_INITIAL : flags & OFPFMF_ADD ? OFPFME_ADDED : OFPFME_MODIFIED;
        agent_job_add_flow(&g->ac->job, e, (uint8_t) (event | (flags & OFPFMF_INSTRUCTIONS ? MARK_INSTRUCTIONS : 0)));
    }
}

static void gather_all(struct agent_conn *ac, bool initial)
{
    struct gathering g = { ac, initial, ac->monitors.held_since };
    struct of_flow_filter all;
    of_flow_filter_init(&all);
    flow_tables_each(ac->agent->ops->flows(ac->agent->aux), &all, false, gather, &g);
}

void agent_monitor_chunk(struct agent_conn *ac, struct of_multipart_msg *mp, unsigned max)
{
    struct stats_job *job = &ac->job;
    mp->updates.v = xcalloc(max, sizeof *mp->updates.v);
    for (; job->next < job->n && mp->updates.n < max; job->next++) {
        struct flow_entry *e = job->flows[job->next];
        uint8_t mark = job->marks[job->next];
        if (!e->removed) {
            fill(ac, &mp->updates.v[mp->updates.n++], e, mark & (uint8_t) ~MARK_INSTRUCTIONS, mark & MARK_INSTRUCTIONS, 0);
        }
        flow_entry_release(e);
    }
}

void agent_monitor_catch_up(struct agent_conn *ac)
{
    struct agent_monitors *ms = &ac->monitors;
    if (!ms->held || ac->job.active || (ms->paused && of_conn_backlog(ac->conn) >= AGENT_JOB_BACKLOG)) {
        return;
    }
    ac->job = (struct stats_job) { .active = true, .unasked = true, .type = OFPMP_FLOW_MONITOR };
    gather_all(ac, false);
    ms->held_since = flow_tables_seq(ac->agent->ops->flows(ac->agent->aux));
    if (ac->job.n) {
        return;
    }
    agent_job_cancel(ac);
    ms->held = false;
    if (ms->paused) {
        ms->paused = false;
        send_state(ac, OFPFME_RESUMED);
    }
}

/* --- Requests --- */

static struct of_error check(const struct of_agent *agent, const struct of_monitor *m)
{
    if (!(m->flags & EVENT_FLAGS)) {
        return FAILED(OFPMOFC_BAD_FLAGS);
    }
    if (m->table_id != OFPTT_ALL && m->table_id >= agent->n_tables) {
        return FAILED(OFPMOFC_BAD_TABLE_ID);
    }
    return !m->out_port || (m->out_group > OFPG_MAX && m->out_group != OFPG_ANY) ? FAILED(OFPMOFC_BAD_OUT) : OF_OK;
}

static void monitor_set(struct monitor *m, const struct of_monitor *config)
{
    free(m->match);
    m->config = *config;
    m->match = minimatch_new(&config->match);
    m->fresh = true;
}

static struct of_error carry_out(struct agent_conn *ac, const struct of_monitor *config)
{
    struct monitor *m = find(ac, config->id);
    struct of_error error = OF_OK;
    if (config->command == OFPFMC_ADD ? m != NULL : !m) {
        return FAILED(m ? OFPMOFC_MONITOR_EXISTS : OFPMOFC_UNKNOWN_MONITOR);
    }
    if (config->command == OFPFMC_DELETE) {
        discard(ac, m);
        return OF_OK;
    }
    error = check(ac->agent, config);
    if (!of_ok(error)) {
        return error;
    }
    if (!m) {
        if (ac->monitors.n >= ac->agent->max_monitors) {
            return FAILED(OFPMOFC_UNKNOWN);     /* There is no code for "too many". */
        }
        m = XNEW(struct monitor);
        m->next = ac->monitors.first;
        ac->monitors.first = m;
        ac->monitors.n++;
    }
    monitor_set(m, config);
    return OF_OK;
}

/* Of a request with several, all are added or none. */
static void take_back(struct agent_conn *ac)
{
    for (struct monitor *m = ac->monitors.first, *next; m; m = next) {
        next = m->next;
        if (m->fresh) {
            discard(ac, m);
        }
    }
}

struct of_error agent_monitor_request(struct agent_conn *ac, const struct of_msg *msg)
{
    const struct of_multipart_msg *mp = &msg->multipart;
    for (struct monitor *m = ac->monitors.first; m; m = m->next) {
        m->fresh = false;
    }
    for (unsigned i = 0; i < mp->monitors.n; i++) {
        struct of_error error = carry_out(ac, &mp->monitors.v[i]);
        if (!of_ok(error)) {
            take_back(ac);
            return error;
        }
    }
    ac->job = (struct stats_job) { .active = true, .type = OFPMP_FLOW_MONITOR, .nicira = msg->nicira, .xid = msg->xid };
    gather_all(ac, true);
    if (ac->job.n) {
        hold_back(ac, flow_tables_seq(ac->agent->ops->flows(ac->agent->aux)));
    }
    agent_job_continue(ac);
    return OF_OK;
}

struct of_error agent_monitor_cancel(struct agent_conn *ac, uint32_t id)
{
    struct monitor *m = find(ac, id);
    if (!m) {
        return FAILED(OFPMOFC_UNKNOWN_MONITOR);
    }
    discard(ac, m);
    return OF_OK;
}
