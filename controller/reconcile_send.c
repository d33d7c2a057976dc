/*
 * One batch to a switch: what is dirty, and what is to go, in an order in which no switch has a reason to refuse anything.
 *
 * meters, groups | flows deleted that have to tell what they counted before another takes their place, flows added or changed, other flows deleted |
 * groups and meters deleted | the closing barrier.  Each | is a barrier (sections 6.2 and 6.5).
 *
 * A group comes after those that its buckets forward to or watch. In that order none is missing, and none closes a ring with what another was before: all that it
 * leads to is by then as desired, and what is desired has no rings.
 *
 * A group (or meter) that is withdrawn is a grave until nothing on the switch can refer to it, which is one confirmed batch later: only then is it known that the
 * switch took everything that was to replace or delete what referred to it. A switch may refuse to delete a group that others refer to (vswitchd does:
 * OFPGMFC_CHAINED_GROUP), and the id, given out again, would find it there; it may take along the entries that do (section 6.5), or fail (Open vSwitch 3.1
 * aborts). So, when graves are opened, what the switch refused to change and may therefore hold as it was is emptied or deleted first, and so are groups about to
 * be deleted that may refer to others of them.
 */
#include "controller/reconcile_impl.h"

#include <stdlib.h>

#include "controller/substrate.h"

#define KEPT_OUT (1u << 20)     /* Bytes of memory that are kept for the next batch. */

/* The note for the message with this xid, to fill in. */
static struct sent *note_sent(struct batch *batch, uint32_t xid, enum desired_kind kind)
{
    unsigned i = xid - batch->first_xid;        /* Xids of a connection are given in a row. */
    if (i >= batch->room) {
        batch->room = MAX(2 * batch->room, i + 16);
        batch->sent = xrealloc(batch->sent, batch->room * sizeof *batch->sent);
    }
    while (batch->n < i) {
        batch->sent[batch->n++] = (struct sent) { .object = NULL };
    }
    batch->sent[i] = (struct sent) { .kind = kind };
    batch->n = i + 1;
    return &batch->sent[i];
}

/* A batch on its way out: its messages are gathered, and written at once. */
struct sender { struct sw_rules *s; struct batch *batch; struct buf *out; unsigned n; };

static void put_message(struct sender *to, struct of_msg *msg)
{
    msg->version = OF13_VERSION;                        /* The southbound one. */
    of_encode(msg, to->out);
    to->n++;
}

/* Notes what is sent of the object, whose latest xid is `*latest`; what is in flight with that one is out of date. */
static void note_object(struct sender *to, uint32_t *latest, uint32_t xid, struct sent sent)
{
    struct batch *batch;
    LIST_FOR_EACH (batch, node, &to->s->batches) {
        unsigned i = *latest - batch->first_xid;
        if (i < batch->n && batch->sent[i].object == sent.object) {     /* The number may be one of a former connection, and another's now. */
            batch->sent[i].replaced = true;
            batch->sent[i].object = NULL;
        }
    }
    *latest = xid;
    *note_sent(to->batch, xid, sent.kind) = sent;
}

static void init_group_mod(struct sender *to, struct of_msg *msg, uint32_t id, uint8_t type, enum of_group_command command)
{
    of_msg_init(msg, OFPT_GROUP_MOD, of_conn_next_xid(to->s->sw->conn));
    msg->group_mod.command = command;
    msg->group_mod.type = type;
    msg->group_mod.group_id = id;
}

static void send_group(struct sender *to, struct rule_group *group)
{
    struct of_msg msg;
    init_group_mod(to, &msg, group->id, (uint8_t) group->type, group->sent ? OFPGC_MODIFY : OFPGC_ADD);
    msg.group_mod.buckets = group->buckets;             /* Lent for the encoding. */
    msg.group_mod.n_buckets = group->n_buckets;
    note_object(to, &group->xid, msg.xid, (struct sent) {
        .object = group, .kind = DESIRED_GROUP, .is_add = !group->sent, .owner = group->owner, .number = group->id,
    });
    put_message(to, &msg);
    group->sent = true;
    group->chained |= buckets_refer(group->buckets, group->n_buckets);
    rule_set_failed(to->s, &group->failed, false);
}

/* What the group has is gone; what refers to it may stay. */
static void empty_group(struct sender *to, struct rule_group *group)
{
    struct of_msg msg;
    init_group_mod(to, &msg, group->id, OFPGT_ALL, OFPGC_MODIFY);
    note_sent(to->batch, msg.xid, DESIRED_GROUP)->is_delete = true;
    put_message(to, &msg);
    group->chained = false;
}

static void delete_group(struct sender *to, const struct rule_group *group)
{
    struct of_msg msg;
    init_group_mod(to, &msg, group->id, (uint8_t) group->type, OFPGC_DELETE);
    note_sent(to->batch, msg.xid, DESIRED_GROUP)->is_delete = true;
    put_message(to, &msg);
}

static void send_meter(struct sender *to, struct rule_meter *meter)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_METER_MOD, of_conn_next_xid(to->s->sw->conn));
    msg.meter_mod.command = meter->sent ? OFPMC_MODIFY : OFPMC_ADD;
    msg.meter_mod.meter_id = meter->id;
    msg.meter_mod.flags = meter->flags;
    msg.meter_mod.bands = meter->bands;                 /* Lent. */
    msg.meter_mod.n_bands = meter->n_bands;
    note_object(to, &meter->xid, msg.xid, (struct sent) {
        .object = meter, .kind = DESIRED_METER, .is_add = !meter->sent, .owner = meter->owner, .number = meter->id,
    });
    put_message(to, &msg);
    meter->sent = true;
    rule_set_failed(to->s, &meter->failed, false);
}

static void delete_meter(struct sender *to, const struct rule_meter *meter)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_METER_MOD, of_conn_next_xid(to->s->sw->conn));
    msg.meter_mod.command = OFPMC_DELETE;
    msg.meter_mod.meter_id = meter->id;
    note_sent(to->batch, msg.xid, DESIRED_METER)->is_delete = true;
    put_message(to, &msg);
}

/* msg: a flow-mod that is used again and again, since most of it is zeros. */
static void send_flow(struct sender *to, struct of_msg *msg, struct rule *rule, enum of_flow_command command)
{
    struct of_flow_mod *mod = &msg->flow_mod;
    msg->xid = of_conn_next_xid(to->s->sw->conn);
    mod->command = command;
    mod->table_id = rule->table;
    mod->priority = rule->priority;
    minimatch_expand(rule->match, &mod->match);
    if (command == OFPFC_ADD) {
        mod->cookie = rule->cookie;
        mod->flags = rule->flags | (rule->reset ? OFPFF_RESET_COUNTS : 0);
        mod->instructions = rule->instructions;         /* Lent. */
        note_object(to, &rule->xid, msg->xid, (struct sent) { .object = rule, .kind = DESIRED_RULE, .owner = rule->owner, .number = (uint32_t) rule->cookie });
        rule->reset = false;
        rule->there = true;
        rule_set_failed(to->s, &rule->failed, false);       /* It is tried again. */
        to->s->n_sent_adds++;
    } else {
        mod->cookie = 0;
        mod->flags = 0;
        instructions_init(&mod->instructions);
        to->s->n_sent_deletes++;
    }
    put_message(to, msg);
}

static uint32_t send_barrier(struct sender *to)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BARRIER_REQUEST, of_conn_next_xid(to->s->sw->conn));
    put_message(to, &msg);
    return msg.xid;
}

/* An identity that was withdrawn and put again before anything was sent: the switch still has what was there. */
static void revive(struct sw_rules *s)
{
    struct rule_group *dead_group;
    struct rule_meter *dead_meter;
    LIST_FOR_EACH (dead_group, dirty, &s->dead_groups) {
        struct rule_group *group = sw_rules_find_group(s, dead_group->id);
        if (group) {
            if (dead_group->sent && dead_group->chained) {
                s->refused_generation = s->generation;  /* Should the switch refuse what comes now, it has what was there: no grave that this may refer to is opened before. */
            }
            group->sent |= dead_group->sent;
            group->chained |= dead_group->chained;
            rule_group_free(s, dead_group);
        }
    }
    LIST_FOR_EACH (dead_meter, dirty, &s->dead_meters) {
        struct rule_meter *meter = sw_rules_find_meter(s, dead_meter->id);
        if (meter) {
            meter->sent |= dead_meter->sent;
            rule_meter_free(s, dead_meter);
        }
    }
}

/* --- Groups in order --- */

/* A group is pushed on the stack when it is met, stays there, opened, while those are on it that it refers to, and is sent when it is met again. */
struct walk { const struct sw_rules *s; struct rule_group **stack; unsigned n, room; };
#define MARK_OPEN(S) ((S)->mark)
#define MARK_DONE(S) ((S)->mark + 1)

static bool is_new(const struct walk *w, const struct rule_group *group)
{
    return group->mark != MARK_OPEN(w->s) && group->mark != MARK_DONE(w->s);
}

static void push(struct walk *w, struct rule_group *group)
{
    if (w->n == w->room) {
        w->room = w->room ? 2 * w->room : 16;
        w->stack = xrealloc(w->stack, w->room * sizeof(struct rule_group *));
    }
    w->stack[w->n++] = group;
}

static void push_referred(uint32_t id, void *walk_)
{
    struct walk *w = walk_;
    struct rule_group *group = sw_rules_find_group(w->s, id);
    if (group && is_new(w, group)) {
        push(w, group);
    }
}

/* Groups after those that they refer to. O(groups and references that the dirty ones lead to); not recursive, as a tenant may chain as many as it has. */
static void send_groups(struct sender *to)
{
    struct sw_rules *s = to->s;
    struct walk w = { .s = s };
    struct rule_group *root;

    s->mark += 2;
    LIST_FOR_EACH (root, dirty, &s->dirty_groups) {
        push(&w, root);
    }
    while (w.n) {
        struct rule_group *group = w.stack[w.n - 1];
        if (is_new(&w, group)) {
            group->mark = MARK_OPEN(s);
            of_buckets_each_group(group->buckets, group->n_buckets, push_referred, &w);
            continue;
        }
        w.n--;
        if (group->mark == MARK_OPEN(s)) {
            group->mark = MARK_DONE(s);
            if (!list_empty(&group->dirty)) {
                list_remove(&group->dirty);
                send_group(to, group);
            }
        }
    }
    free(w.stack);
}

static void send_groups_and_meters(struct sender *to)
{
    struct sw_rules *s = to->s;
    struct rule_meter *meter;
    bool any = !list_empty(&s->dirty_groups) || !list_empty(&s->dirty_meters);
    LIST_FOR_EACH (meter, dirty, &s->dirty_meters) {
        if (meter->foreign) {
            delete_meter(to, meter);
            meter->sent = meter->foreign = false;
            s->read_again = true;                       /* It takes along whatever named it. */
        }
        send_meter(to, meter);
        list_remove(&meter->dirty);
    }
    send_groups(to);
    if (any) {
        send_barrier(to);
    }
}

static void send_flows(struct sender *to)
{
    struct sw_rules *s = to->s;
    struct of_msg msg;
    struct rule *rule;

    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    LIST_FOR_EACH (rule, dirty, &s->dead) {
        /* A dead rule whose identity was put again later: the add would replace it, and what it counted would be gone without a word. */
        const struct rule *successor = rule->flags & OFPFF_SEND_FLOW_REM ? rule_successor(s, rule) : NULL;
        if (successor && successor->reset) {
            send_flow(to, &msg, rule, OFPFC_DELETE_STRICT);
            rule_free(s, rule);
        }
    }
    LIST_FOR_EACH (rule, dirty, &s->dirty) {
        send_flow(to, &msg, rule, OFPFC_ADD);
        list_remove(&rule->dirty);
    }
    LIST_FOR_EACH (rule, dirty, &s->dead) {
        if (!rule_successor(s, rule)) {
            send_flow(to, &msg, rule, OFPFC_DELETE_STRICT);
        }
        rule_free(s, rule);
    }
}

/* --- Graves --- */

static bool may_open(const struct sw_rules *s, uint64_t buried)
{
    return buried <= s->acked_generation && s->refused_generation <= s->acked_generation;
}

bool reconcile_graves_wait(const struct sw_rules *s)
{
    const struct rule_group *group;
    const struct rule_meter *meter;
    LIST_FOR_EACH (group, dirty, &s->dead_groups) {
        if (may_open(s, group->buried)) {
            return true;
        }
    }
    LIST_FOR_EACH (meter, dirty, &s->dead_meters) {
        if (may_open(s, meter->buried)) {
            return true;
        }
    }
    return false;
}

/* What the switch did not take, so that it may hold what was there before, which nobody wants: no longer. */
static void clear_refused(struct sender *to)
{
    struct sw_rules *s = to->s;
    struct rule_group *group;
    struct rule *rule;
    struct of_msg msg;

    if (!s->n_failed) {
        return;
    }
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    HMAP_FOR_EACH (rule, node, &s->rules) {
        if (rule->failed) {
            send_flow(to, &msg, rule, OFPFC_DELETE_STRICT);
        }
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        if (group->failed && group->sent) {
            empty_group(to, group);
        }
    }
}

static void open_graves(struct sender *to)
{
    struct sw_rules *s = to->s;
    struct rule_group *group;
    struct rule_meter *meter;

    if (!reconcile_graves_wait(s)) {
        return;
    }
    clear_refused(to);
    LIST_FOR_EACH (group, dirty, &s->dead_groups) {
        if (group->sent && group->chained) {            /* Whether its time has come or not: it may have what was refused to be changed. */
            empty_group(to, group);
        }
    }
    send_barrier(to);
    LIST_FOR_EACH (group, dirty, &s->dead_groups) {
        if (may_open(s, group->buried)) {
            if (group->sent) {
                delete_group(to, group);
            }
            rule_group_free(s, group);
        }
    }
    LIST_FOR_EACH (meter, dirty, &s->dead_meters) {
        if (may_open(s, meter->buried)) {
            if (meter->sent) {
                delete_meter(to, meter);
            }
            rule_meter_free(s, meter);
        }
    }
}

/* The lists are emptied but for graves: what the switch refuses comes back as an error, what is lost with the connection is found by the next reading. */
void reconcile_send_batch(struct reconcile *r, struct sw_rules *s)
{
    struct batch *batch = batch_new(s);
    struct sender to = { .s = s, .batch = batch, .out = &r->out };

    batch->first_xid = of_conn_next_xid(s->sw->conn);   /* Itself unused. */
    revive(s);
    send_groups_and_meters(&to);
    send_flows(&to);
    open_graves(&to);
    s->sent_generation = batch->generation = s->generation;
    note_sent(batch, send_barrier(&to), DESIRED_RULE);
    of_conn_send_encoded(s->sw->conn, r->out.data, r->out.size, to.n);
    buf_clear(&r->out);
    if (r->out.allocated > KEPT_OUT) {
        buf_fini(&r->out);
    }
}

