/*
 * Statistics and descriptions (OpenFlow 1.3.5 section 7.3.5).
 *
 * Lists that grow with the number of entries or groups are sent as a job: what is to be sent is gathered when the
 * request comes, and encoded in pieces while the peer takes them, with others' events between them, in turns of the
 * connection's share (of_share.h).  What leaves the tables meanwhile is skipped.
 */
#include "ofproto/agent_private.h"

#include <stdlib.h>

#define NS_PER_S UINT64_C(1000000000)

enum {
    MAX_REQUEST = 1 << 20,      /* Of a request in several segments. */
    JOB_CHUNK = 32,             /* Elements that are encoded at a time: some 20 us; */
    JOB_WHOLE = 64,             /* a list of no more than so many is one message, as most switches' are. */
};

static void reply_init(struct of_msg *reply, const struct of_msg *request)
{
    of_msg_init(reply, OFPT_MULTIPART_REPLY, request->xid);
    reply->version = request->version;
    reply->nicira = request->nicira;
    reply->multipart.type = request->multipart.type;
}

/* --- Jobs --- */

void agent_job_cancel(struct agent_conn *ac)
{
    struct stats_job *job = &ac->job;
    for (size_t i = job->next; job->flows && i < job->n; i++) {
        flow_entry_release(job->flows[i]);
    }
    free(job->flows);
    free(job->marks);
    free(job->ids);
    *job = (struct stats_job) { .active = false };
}

static void job_room(struct stats_job *job)
{
    if (job->n < job->room) {
        return;
    }
    job->room = job->room ? 2 * job->room : 64;
    if (job->type == OFPMP_FLOW || job->type == OFPMP_FLOW_MONITOR) {
        job->flows = xrealloc(job->flows, job->room * sizeof *job->flows);
        job->marks = xrealloc(job->marks, job->room);
    } else {
        job->ids = xrealloc(job->ids, job->room * sizeof *job->ids);
    }
}

void agent_job_add_flow(struct stats_job *job, struct flow_entry *e, uint8_t mark)
{
    job_room(job);
    job->marks[job->n] = mark;
    job->flows[job->n++] = flow_entry_hold(e);
}

static void job_add_flow(struct flow_entry *e, void *job)
{
    agent_job_add_flow(job, e, 0);
}

static void job_add_group(struct group *g, void *job_)
{
    struct stats_job *job = job_;
    job_room(job);
    job->ids[job->n++] = g->id;
}

static void job_add_meter(struct meter *m, void *job_)
{
    struct stats_job *job = job_;
    job_room(job);
    job->ids[job->n++] = m->id;
}

static unsigned chunk(const struct stats_job *job)
{
    return job->n <= JOB_WHOLE ? JOB_WHOLE : JOB_CHUNK;
}

/* Fills up to chunk() elements. */
static void chunk_flows(struct agent_conn *ac, struct of_multipart_msg *mp)
{
    struct stats_job *job = &ac->job;
    struct flow_tables *ft = ac->agent->ops->flows(ac->agent->aux);
    mp->flows.v = xcalloc(chunk(job), sizeof *mp->flows.v);
    while (job->next < job->n && mp->flows.n < chunk(job)) {
        struct flow_entry *e = job->flows[job->next++];
        if (!e->removed) {
            flow_entry_stats(ft, e, &mp->flows.v[mp->flows.n++]);
        }
        flow_entry_release(e);
    }
}

static bool group_stats(struct of_agent *agent, struct group *g, struct of_group_stats *gs)
{
    uint64_t age_ns = clock_now_ns(&agent->clock) - g->created_ns;
    *gs = (struct of_group_stats) { .group_id = g->id };
    if (!agent->ops->group_stats(agent->aux, g, gs)) {
        free(gs->buckets);
        return false;
    }
    gs->group_id = g->id;
    gs->ref_count = flow_tables_group_refs(agent->ops->flows(agent->aux), g->id) + g->n_users;
    gs->duration_sec = (uint32_t) (age_ns / NS_PER_S);
    gs->duration_nsec = (uint32_t) (age_ns % NS_PER_S);
    return true;
}

static void group_desc(const struct group *g, struct of_group_desc *gd)
{
    *gd = (struct of_group_desc) { .type = g->type, .group_id = g->id, .n_buckets = g->n_buckets };
    gd->buckets = xcalloc(g->n_buckets ? g->n_buckets : 1, sizeof *gd->buckets);
    for (unsigned i = 0; i < g->n_buckets; i++) {
        of_bucket_copy(&gd->buckets[i], &g->buckets[i]);
    }
}

static void chunk_groups(struct agent_conn *ac, struct of_multipart_msg *mp)
{
    struct stats_job *job = &ac->job;
    struct of_agent *agent = ac->agent;
    bool stats = job->type == OFPMP_GROUP;
    if (stats) {
        mp->groups.v = xcalloc(chunk(job), sizeof *mp->groups.v);
    } else {
        mp->group_descs.v = xcalloc(chunk(job), sizeof *mp->group_descs.v);
    }
    unsigned n = 0;
    while (job->next < job->n && n < chunk(job)) {
        struct group *g = group_table_find(agent->ops->groups(agent->aux), job->ids[job->next++]);
        if (g && stats) {
            n += group_stats(agent, g, &mp->groups.v[n]);
        } else if (g) {
            group_desc(g, &mp->group_descs.v[n++]);
        }
    }
    if (stats) {
        mp->groups.n = n;
    } else {
        mp->group_descs.n = n;
    }
}

static void chunk_meters(struct agent_conn *ac, struct of_multipart_msg *mp)
{
    struct stats_job *job = &ac->job;
    struct of_agent *agent = ac->agent;
    struct meter_table *meters = agent->ops->meters ? agent->ops->meters(agent->aux) : NULL;     /* NULL: the job is empty. */
    bool stats = job->type == OFPMP_METER;
    if (stats) {
        mp->meters.v = xcalloc(chunk(job), sizeof *mp->meters.v);
    } else {
        mp->meter_configs.v = xcalloc(chunk(job), sizeof *mp->meter_configs.v);
    }
    while (job->next < job->n && (stats ? mp->meters.n : mp->meter_configs.n) < chunk(job)) {
        const struct meter *m = meter_table_find(meters, job->ids[job->next++]);
        if (m && stats) {
            struct of_meter_stats *ms = &mp->meters.v[mp->meters.n++];
            meter_table_stats(meters, m, ms);
            ms->flow_count = flow_tables_meter_refs(agent->ops->flows(agent->aux), m->id);
        } else if (m) {
            meter_config(m, &mp->meter_configs.v[mp->meter_configs.n++]);
        }
    }
}

void agent_job_continue(struct agent_conn *ac)
{
    struct stats_job *job = &ac->job;
    if (job->active && of_conn_backlog(ac->conn) < AGENT_JOB_BACKLOG) {
        struct of_msg reply;
        of_msg_init(&reply, OFPT_MULTIPART_REPLY, job->xid);
        reply.nicira = job->nicira;
        reply.multipart.type = job->type;
        if (job->type == OFPMP_FLOW) {
            chunk_flows(ac, &reply.multipart);
        } else if (job->type == OFPMP_FLOW_MONITOR) {
            agent_monitor_chunk(ac, &reply.multipart, chunk(job));
        } else if (job->type == OFPMP_METER || job->type == OFPMP_METER_CONFIG) {
            chunk_meters(ac, &reply.multipart);
        } else {
            chunk_groups(ac, &reply.multipart);
        }
        bool last = job->next == job->n;
        reply.multipart.flags = last || job->unasked ? 0 : OFPMPF_MORE;
        of_conn_send(ac->conn, &reply);
        of_msg_fini(&reply);
        if (last) {
            agent_job_cancel(ac);
            agent_monitor_catch_up(ac);
        }
        if (job->active) {
            of_conn_again(ac->conn);
        }
    }
    agent_update_read(ac);
}

/* All meters or one; without support there are none, and naming one is an error as for any that is not there. */
static struct of_error gather_meters(struct of_agent *agent, uint32_t id, struct stats_job *job)
{
    struct meter_table *meters = agent->ops->meters ? agent->ops->meters(agent->aux) : NULL;
    struct meter *m = meters && id != OFPM_ALL ? meter_table_find(meters, id) : NULL;
    if (m) {
        job_add_meter(m, job);
    } else if (id != OFPM_ALL) {
        return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_UNKNOWN_METER);
    } else if (meters) {
        meter_table_each(meters, job_add_meter, job);
    }
    return OF_OK;
}

static struct of_error start_job(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_agent *agent = ac->agent;
    struct stats_job *job = &ac->job;
    const struct of_multipart_msg *mp = &msg->multipart;
    *job = (struct stats_job) { .active = true, .type = mp->type, .nicira = msg->nicira, .xid = msg->xid };
    if (mp->type == OFPMP_FLOW) {
        flow_tables_each(agent->ops->flows(agent->aux), &mp->filter, false, job_add_flow, job);
    } else if (mp->type == OFPMP_METER || mp->type == OFPMP_METER_CONFIG) {
        struct of_error error = gather_meters(agent, mp->id, job);
        if (!of_ok(error)) {
            agent_job_cancel(ac);
            return error;
        }
    } else {
        struct group_table *groups = agent->ops->groups(agent->aux);
        if (mp->type == OFPMP_GROUP_DESC || mp->id == OFPG_ALL) {
            group_table_each(groups, job_add_group, job);
        } else if (group_table_find(groups, mp->id)) {
            job_add_group(group_table_find(groups, mp->id), job);
        }
    }
    agent_job_continue(ac);
    return OF_OK;
}

/* --- Replies that are made at once --- */

struct totals { struct flow_tables *ft; struct of_aggregate sum; };

static void add_up(struct flow_entry *e, void *totals_)
{
    struct totals *t = totals_;
    struct of_flow_stats fs;
    flow_entry_stats(t->ft, e, &fs);
    t->sum.packet_count += fs.packet_count;
    t->sum.byte_count += fs.byte_count;
    t->sum.flow_count++;
    of_flow_stats_fini(&fs);
}

static void aggregate(struct of_agent *agent, const struct of_flow_filter *filter, struct of_multipart_msg *out)
{
    struct totals t = { .ft = agent->ops->flows(agent->aux) };
    flow_tables_each(t.ft, filter, false, add_up, &t);
    out->aggregate = t.sum;
}

static void table_stats(struct of_agent *agent, struct of_multipart_msg *out)
{
    out->tables.v = xcalloc(agent->n_tables, sizeof *out->tables.v);
    out->tables.n = agent->n_tables;
    for (unsigned i = 0; i < agent->n_tables; i++) {
        struct of_table_stats *ts = &out->tables.v[i];
        agent->ops->table_stats(agent->aux, (uint8_t) i, ts);
        ts->table_id = (uint8_t) i;
        ts->max_entries = agent_table_max(agent, (uint8_t) i);
        ts->active_count = flow_tables_count(agent->ops->flows(agent->aux), (uint8_t) i);
    }
}

struct port_list { struct of_port *v; unsigned n, room; };

static void add_port(const struct of_port *port, void *list_)
{
    struct port_list *l = list_;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->v = xrealloc(l->v, l->room * sizeof *l->v);
    }
    l->v[l->n++] = *port;
}

static struct of_error port_stats(struct of_agent *agent, uint32_t port_no, struct of_multipart_msg *out)
{
    struct port_list ports = { NULL, 0, 0 };
    struct of_error error = OF_OK;
    if (port_no == OFPP_ANY) {
        agent->ops->ports(agent->aux, add_port, &ports);
    } else {
        add_port(&(struct of_port) { .port_no = port_no }, &ports);
    }
    out->port_stats.v = ports.n ? xcalloc(ports.n, sizeof *out->port_stats.v) : NULL;
    for (unsigned i = 0; i < ports.n; i++) {
        struct of_port_stats *ps = &out->port_stats.v[out->port_stats.n];
        if (agent->ops->port_stats(agent->aux, ports.v[i].port_no, ps)) {
            ps->port_no = ports.v[i].port_no;
            out->port_stats.n++;
        } else if (port_no != OFPP_ANY) {
            error = OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_PORT);
        }
    }
    free(ports.v);
    return error;
}

void agent_ports(struct of_agent *agent, struct of_port **v, unsigned *n)
{
    struct port_list ports = { NULL, 0, 0 };
    agent->ops->ports(agent->aux, add_port, &ports);
    *v = ports.v;
    *n = ports.n;
}

static void table_features(struct of_agent *agent, struct of_multipart_msg *out)
{
    struct buf body = BUF_INIT;
    agent_table_features(agent, &body);
    out->raw.v = body.data;             /* Malloc'd, as raw.v is. */
    out->raw.n = (unsigned) body.size;
}

static void table_descs(struct of_agent *agent, struct of_multipart_msg *out)
{
    out->table_descs.v = xcalloc(agent->n_tables, sizeof *out->table_descs.v);
    out->table_descs.n = agent->n_tables;
    for (unsigned i = 0; i < agent->n_tables; i++) {
        flow_tables_config(agent->ops->flows(agent->aux), (uint8_t) i, &out->table_descs.v[i]);
    }
}

static struct of_error reply_at_once(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_agent *agent = ac->agent;
    const struct of_multipart_msg *mp = &msg->multipart;
    struct of_error error = OF_OK;
    struct of_msg reply;
    reply_init(&reply, msg);
    switch (mp->type) {
    case OFPMP_DESC:
        reply.multipart.desc = XNEW(struct of_desc);
        agent->ops->desc(agent->aux, reply.multipart.desc);
        break;
    case OFPMP_AGGREGATE:
        aggregate(agent, &mp->filter, &reply.multipart);
        break;
    case OFPMP_TABLE:
        table_stats(agent, &reply.multipart);
        break;
    case OFPMP_PORT_STATS:
        error = port_stats(agent, mp->id, &reply.multipart);
        break;
    case OFPMP_QUEUE_DESC:
    case OFPMP_QUEUE:
        error = agent_queues(agent, mp->queue.port_no, mp->queue.queue_id, &reply.multipart.queues.v, &reply.multipart.queues.n);
        break;
    case OFPMP_GROUP_FEATURES:
        agent_group_features(agent, &reply.multipart.group_features);
        break;
    case OFPMP_METER_FEATURES:
        agent_meter_features(agent, &reply.multipart.meter_features);
        break;
    case OFPMP_TABLE_FEATURES:
        table_features(agent, &reply.multipart);
        break;
    case OFPMP_PORT_DESC:
        agent_ports(agent, &reply.multipart.ports.v, &reply.multipart.ports.n);
        break;
    case OFPMP_TABLE_DESC:
        table_descs(agent, &reply.multipart);
        break;
    default:
        error = OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_EXPERIMENTER);
    }
    if (of_ok(error)) {
        of_conn_send(ac->conn, &reply);
    }
    of_msg_fini(&reply);
    return error;
}

/*
 * Segments of one request have its xid and type.  Only requests with an open body may have several; none of those is
 * supported with a body, so the bytes are counted and not kept.  True when the request is whole; `size` gets the size
 * of its body.
 */
static bool assemble(struct agent_conn *ac, const struct of_msg *msg, size_t *size, struct of_error *error)
{
    const struct of_multipart_msg *mp = &msg->multipart;
    bool open = mp->type == OFPMP_TABLE_FEATURES || mp->type == OFPMP_EXPERIMENTER, more = mp->flags & OFPMPF_MORE;
    if (!ac->request.active || ac->request.xid != msg->xid || ac->request.type != mp->type) {
        ac->request.active = true;
        ac->request.refused = false;
        ac->request.type = mp->type;
        ac->request.xid = msg->xid;
        ac->request.size = 0;
    }
    bool refused = ac->request.refused;
    ac->request.size += open ? mp->raw.n : 0;
    ac->request.active = more;
    *size = ac->request.size;
    *error = OF_OK;
    if (!refused && (ac->request.size > MAX_REQUEST || (more && !open))) {
        ac->request.refused = refused = true;
        *error = OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_MULTIPART_BUFFER_OVERFLOW);
    }
    return !more && !refused;
}

/* --- Counters that have to be fetched first --- */

struct refresh {
    struct agent_conn *ac;      /* NULL: gone meanwhile. */
    struct of_msg msg;          /* Of a type that owns nothing. */
    uint8_t raw[64];            /* What an error repeats of the request. */
    size_t size;
};

void agent_refresh_forget(struct agent_conn *ac)
{
    if (ac->refresh) {
        ac->refresh->ac = NULL;
        ac->refresh = NULL;
    }
}

static bool has_counters(uint16_t type)
{
    return type == OFPMP_FLOW || type == OFPMP_AGGREGATE || type == OFPMP_TABLE || type == OFPMP_PORT_STATS || type == OFPMP_QUEUE || type == OFPMP_GROUP
           || type == OFPMP_METER;
}

static struct of_error answer(struct agent_conn *ac, const struct of_msg *msg)
{
    switch (msg->multipart.type) {
    case OFPMP_FLOW: case OFPMP_GROUP: case OFPMP_GROUP_DESC: case OFPMP_METER: case OFPMP_METER_CONFIG:
        return start_job(ac, msg);
    case OFPMP_FLOW_MONITOR:
        return agent_monitor_request(ac, msg);
    default:
        return reply_at_once(ac, msg);
    }
}

static void refreshed(void *token)
{
    struct refresh *refresh = token;
    struct agent_conn *ac = refresh->ac;
    if (ac) {
        ac->refresh = NULL;
        struct of_error error = answer(ac, &refresh->msg);
        if (!of_ok(error)) {
            of_conn_send_error(ac->conn, error, refresh->raw, refresh->size);
        }
        agent_update_read(ac);
    }
    free(refresh);
}

static struct of_error refresh_and_answer(struct agent_conn *ac, const struct of_msg *msg, const uint8_t *raw, size_t size)
{
    struct refresh *refresh = XNEW(struct refresh);
    refresh->ac = ac;
    refresh->msg = *msg;
    refresh->size = MIN(size, sizeof refresh->raw);
    memcpy(refresh->raw, raw, refresh->size);
    ac->refresh = refresh;
    ac->agent->ops->refresh(ac->agent->aux, &refresh->msg.multipart, refreshed, refresh);
    if (ac->refresh) {
        agent_update_read(ac);
    }
    return OF_OK;
}

struct of_error agent_multipart(struct agent_conn *ac, const struct of_msg *msg, const uint8_t *raw, size_t raw_size)
{
    size_t size;
    struct of_error error;
    uint16_t type = msg->multipart.type;
    if (!assemble(ac, msg, &size, &error)) {
        return error;
    }
    if (type == OFPMP_TABLE_FEATURES && size) {     /* To configure them, not to ask. */
        return ac->role == OFPCR_ROLE_SLAVE ? OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE)
                                            : OF_ERROR(OFPET_TABLE_FEATURES_FAILED, OFPTFFC_EPERM);
    }
    if ((type == OFPMP_FLOW || type == OFPMP_AGGREGATE) && msg->multipart.filter.table_id != OFPTT_ALL && msg->multipart.filter.table_id >= ac->agent->n_tables) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_TABLE_ID);
    }
    return ac->agent->ops->refresh && has_counters(type) ? refresh_and_answer(ac, msg, raw, raw_size) : answer(ac, msg);
}
