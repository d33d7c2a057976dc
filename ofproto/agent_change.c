/*
 * What follows from changes of the flow tables, whoever made them: flow monitors' updates and table-status.
 *
 * The tables tell of each change as it is made (flow_tables_watch).  Whose message caused it, and with which xid, is
 * noted around each message, so that monitors can tell a controller's own changes from others'.  While a bundle is
 * committed, changes are kept in order and passed on once it is certain that they stay.  Table-status comes at the end
 * of a message: an add that evicts, or one that replaces, does not make a table fuller.
 */
#include "ofproto/agent_private.h"

#include <stdlib.h>
#include <string.h>

static void pass_on(struct of_agent *agent, const struct agent_change *c)
{
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        agent_monitor_tell(ac, c);
    }
    agent->changes.touched[c->entry->table_id / 64] |= UINT64_C(1) << c->entry->table_id % 64;
}

static void on_change(struct flow_entry *e, enum flow_change what, int reason, const struct instructions *old, uint64_t seq, void *agent_)
{
    struct of_agent *agent = agent_;
    struct agent_changes *cs = &agent->changes;
    struct agent_change c = { .entry = e, .what = what, .reason = (uint8_t) MAX(reason, 0), .old = old, .seq = seq, .by = cs->by, .xid = cs->xid };
    if (cs->staging) {
        if (cs->n == cs->room) {
            cs->room = cs->room ? 2 * cs->room : 64;
            cs->v = xrealloc(cs->v, cs->room * sizeof *cs->v);
        }
        cs->v[cs->n++] = c;
        return;
    }
    pass_on(agent, &c);
    if (!cs->by) {              /* A timeout: no message whose end would do it. */
        agent_changes_flush(agent);
    }
}

void agent_changes_init(struct of_agent *agent)
{
    flow_tables_watch(agent->ops->flows(agent->aux), on_change, agent);
}

void agent_changes_fini(struct of_agent *agent)
{
    flow_tables_watch(agent->ops->flows(agent->aux), NULL, NULL);
    free(agent->changes.v);
}

void agent_changes_begin(struct of_agent *agent)
{
    agent->changes.staging = true;
}

void agent_changes_end(struct of_agent *agent, bool commit)
{
    struct agent_changes *cs = &agent->changes;
    cs->staging = false;
    for (size_t i = 0; commit && i < cs->n; i++) {
        pass_on(agent, &cs->v[i]);
    }
    free(cs->v);
    cs->v = NULL;
    cs->n = cs->room = 0;
}

/* Section 7.4.5. */
static void send_table_status(struct of_agent *agent, uint8_t table, uint8_t reason)
{
    struct of_msg msg;
    struct agent_conn *ac;
    of_msg_init(&msg, OFPT_TABLE_STATUS, 0);
    msg.table_status.reason = reason;
    flow_tables_config(agent->ops->flows(agent->aux), table, &msg.table_status.table);
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (of_conn_is_up(ac->conn) && of_conn_version(ac->conn) >= OF14_VERSION && agent_wants(ac, ac->async.table_status, reason)) {
            of_conn_send(ac->conn, &msg);
        }
    }
}

void agent_changes_flush(struct of_agent *agent)
{
    struct flow_tables *flows = agent->ops->flows(agent->aux);
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        agent_monitor_flush(ac);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(agent->changes.touched); i++) {
        for (uint64_t left = agent->changes.touched[i]; left; left &= left - 1) {
            uint8_t table = (uint8_t) (64 * i + (unsigned) __builtin_ctzll(left)), event;
            while ((event = flow_tables_vacancy_event(flows, table)) != 0) {
                send_table_status(agent, table, event);
            }
        }
        agent->changes.touched[i] = 0;
    }
}
