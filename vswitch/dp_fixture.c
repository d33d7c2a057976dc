#include "vswitch/dp_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <CUnit/CUnit.h>
#include "lib/util.h"

static struct packet *new_packet(struct fixture *fx, const void *data, uint32_t len)
{
    struct packet *p = xmalloc(sizeof *p + 2 * FIXTURE_ROOM + len);
    *p = (struct packet) { .data = (uint8_t *) (p + 1) + FIXTURE_ROOM, .len = len, .headroom = FIXTURE_ROOM, .tailroom = FIXTURE_ROOM };
    memcpy(p->data, data, len);
    fx->n_live++;
    return p;
}

static void output(struct dp_thread *t UNUSED, struct packet *p, uint32_t port, void *fx_)
{
    struct fixture *fx = fx_;
    assert(p->len <= sizeof fx->out[0].data);
    if (fx->n_out++ < FIXTURE_MAX) {
        struct fixture_out *o = &fx->out[fx->n_out - 1];
        o->port = port;
        o->queue = p->queue;
        o->len = p->len;
        memcpy(o->data, p->data, p->len);
    }
    fx->n_live--;
    free(p);
}

static void output_batch(struct dp_thread *t, struct packet **packets, unsigned n, uint32_t port, void *fx)
{
    ((struct fixture *) fx)->n_batches++;
    for (unsigned i = 0; i < n; i++) {
        output(t, packets[i], port, fx);
    }
}

static struct packet *copy(struct dp_thread *t UNUSED, const struct packet *p, void *fx_)
{
    struct fixture *fx = fx_;
    if (fx->fail_copies) {
        fx->fail_copies--;
        return NULL;
    }
    fx->n_copies++;
    return new_packet(fx, p->data, p->len);
}

static void free_packet(struct dp_thread *t UNUSED, struct packet *p, void *fx_)
{
    ((struct fixture *) fx_)->n_live--;
    free(p);
}

static bool packet_in(struct dp_thread *t UNUSED, const struct packet *p, const struct flow *flow, uint64_t cookie, uint8_t table, uint8_t reason,
                      const struct dp_controller *controller, void *fx_)
{
    struct fixture *fx = fx_;
    if (fx->refuse_packet_ins) {
        return false;
    }
    struct fixture_packet_in *in = &fx->in[fx->n_in++ % FIXTURE_MAX];
    *in = (struct fixture_packet_in) { .flow = *flow, .cookie = cookie, .table = table, .reason = reason, .max_len = controller->max_len, .id = controller->id,
                                       .userdata_size = controller->userdata_size, .len = p->len };
    if (controller->userdata_size) {
        memcpy(in->userdata, controller->userdata, controller->userdata_size);
    }
    if (fx->on_packet_in) {
        fx->on_packet_in(fx);
    }
    return true;
}

static void defer(void (*fn)(void *), void *arg, void *fx UNUSED)
{
    fn(arg);
}

static void flow_removed(struct flow_entry *e UNUSED, uint8_t reason, void *fx_)
{
    struct fixture *fx = fx_;
    fx->n_removed++;
    fx->removed_reason = reason;
}

static uint64_t now(void *fx)
{
    return ((struct fixture *) fx)->now_ns;
}

void fixture_init(struct fixture *fx)
{
    static const struct dp_ops ops = { .output = output, .output_batch = output_batch, .copy = copy, .free = free_packet, .packet_in = packet_in, .defer = defer,
                                       .flow_removed = flow_removed };
    memset(fx, 0, sizeof *fx);
    fx->now_ns = 1000000000;
    fx->dp = dp_new(2, 100000, 1000, (struct clock) { now, fx }, &ops, fx);
    dp_set_cache(fx->dp, 1000, true);
    for (uint32_t port = 1; port <= 4; port++) {
        dp_port_set(fx->dp, port, 0, true);
    }
}

uint64_t fixture_hits(struct fixture *fx)
{
    struct dp_cache_stats stats;
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.mismatches, 0);
    return stats.hits;
}

void fixture_fini(struct fixture *fx)
{
    CU_ASSERT_EQUAL(fx->n_live, 0);
    fixture_hits(fx);
    dp_free(fx->dp);
}

static const char *take_number(const char *text, const char *key, uint64_t *value)
{
    size_t n = strlen(key);
    if (!strncmp(text, key, n)) {
        char *end;
        *value = strtoull(text + n, &end, 0);
        return end + (*end == ',');
    }
    return text;
}

void fixture_flow(struct fixture *fx, enum of_flow_command command, uint16_t flags, const char *text, struct of_error *error)
{
    struct of_flow_mod fm;
    struct err err = ERR_INIT;
    uint64_t table = 0, priority = 0x8000, cookie = 0, idle = 0;
    of_flow_mod_init(&fm);
    text = take_number(text, "table=", &table);
    text = take_number(text, "priority=", &priority);
    text = take_number(text, "cookie=", &cookie);
    text = take_number(text, "idle_timeout=", &idle);
    const char *actions = strstr(text, "actions=");
    char *match = xmemdup0(text, actions ? (size_t) (actions - text) : strlen(text));
    size_t n = strlen(match);
    if (n && match[n - 1] == ',') {
        match[n - 1] = '\0';
    }
    fm.command = command;
    fm.flags = flags;
    fm.table_id = (uint8_t) table;
    fm.priority = (uint16_t) priority;
    fm.cookie = cookie;
    fm.idle_timeout = (uint16_t) idle;
    bool parsed = match_parse(match, &fm.match, &err) && (!actions || instructions_parse(actions + 8, &fm.instructions, &err));
    if (!parsed) {
        fprintf(stderr, "fixture: %s: %s\n", text, err.message);
        abort();
    }
    struct of_error result = flow_tables_mod(dp_flows(fx->dp), &fm);
    if (error) {
        *error = result;
    } else if (!of_ok(result)) {
        char scratch[32];
        fprintf(stderr, "fixture: %s: %s\n", text, of_error_name(result, scratch));
        CU_ASSERT_FALSE(true);
    }
    instructions_fini(&fm.instructions);
    free(match);
}

void fixture_add(struct fixture *fx, const char *text)
{
    fixture_flow(fx, OFPFC_ADD, 0, text, NULL);
}

void fixture_group(struct fixture *fx, enum of_group_command command, uint32_t id, enum of_group_type type, const char *const *buckets, unsigned n, struct of_error *error)
{
    struct of_group_mod gm = { .command = command, .group_id = id, .type = (uint8_t) type, .n_buckets = n };
    gm.buckets = xcalloc(n ? n : 1, sizeof gm.buckets[0]);
    for (unsigned i = 0; i < n; i++) {
        char weight[16], port[16], group[16];
        int used = 0;
        struct err err = ERR_INIT;
        int got = sscanf(buckets[i], "%15[^|]|%15[^|]|%15[^|]|%n", weight, port, group, &used);
        assert(got == 3 && used);
        struct of_bucket *b = &gm.buckets[i];
        b->weight = (uint16_t) (weight[0] == '-' ? 0 : atoi(weight));
        b->watch_port = port[0] == '-' ? OFPP_ANY : (uint32_t) atoi(port);
        b->watch_group = group[0] == '-' ? OFPG_ANY : (uint32_t) atoi(group);
        actions_init(&b->actions);
        if (!actions_parse(buckets[i] + used, &b->actions, &err)) {
            fprintf(stderr, "fixture: bucket %s: %s\n", buckets[i], err.message);
            abort();
        }
    }
    struct of_error result = group_table_mod(dp_groups(fx->dp), &gm);
    if (error) {
        *error = result;
    } else {
        CU_ASSERT_TRUE(of_ok(result));
    }
    of_buckets_free(gm.buckets, gm.n_buckets);
}

struct packet *fixture_packet(struct fixture *fx, const void *data, uint32_t len)
{
    return new_packet(fx, data, len);
}

void fixture_compose(const char *text, struct buf *b)
{
    struct match m;
    struct err err = ERR_INIT;
    if (!match_parse(text, &m, &err)) {
        fprintf(stderr, "fixture: %s: %s\n", text, err.message);
        abort();
    }
    packet_compose(&m.value.flow, b, 20);
}

static void forget(struct fixture *fx)
{
    fx->n_out = fx->n_in = fx->n_copies = fx->n_batches = 0;
}

void fixture_receive(struct fixture *fx, uint32_t in_port, const void *data, uint32_t len)
{
    struct packet *p = new_packet(fx, data, len);
    forget(fx);
    dp_receive(dp_thread(fx->dp, 1), &p, 1, in_port, fx->now_ns);
}

void fixture_receive_flow(struct fixture *fx, uint32_t in_port, const char *match)
{
    struct buf b = BUF_INIT;
    fixture_compose(match, &b);
    fixture_receive(fx, in_port, b.data, (uint32_t) b.size);
    buf_fini(&b);
}

void fixture_execute(struct fixture *fx, uint32_t in_port, const char *text, const char *match)
{
    struct buf b = BUF_INIT;
    struct actions actions;
    struct err err = ERR_INIT;
    fixture_compose(match, &b);
    if (!actions_parse(text, &actions, &err)) {
        fprintf(stderr, "fixture: %s: %s\n", text, err.message);
        abort();
    }
    struct packet *p = new_packet(fx, b.data, (uint32_t) b.size);
    forget(fx);
    dp_execute(dp_thread(fx->dp, 0), p, in_port, &actions, fx->now_ns);
    actions_fini(&actions);
    buf_fini(&b);
}

const char *fixture_ports(struct fixture *fx)
{
    static char text[FIXTURE_MAX * 6];
    char *p = text;
    *p = '\0';
    for (unsigned i = 0; i < fx->n_out && i < FIXTURE_MAX; i++) {
        p += sprintf(p, "%s%u", i ? "," : "", fx->out[i].port);
    }
    return text;
}

const char *fixture_drop(struct fixture *fx)
{
    const char *name = "";
    unsigned n = 0;
    for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
        uint64_t drops = dp_drops(fx->dp, 0, reason);
        n += (unsigned) drops;
        if (drops) {
            name = drop_reason_name(reason);
        }
    }
    for (uint32_t port = 0; port < 6; port++) {
        dp_drops_clear(fx->dp, port);
    }
    return n > 1 ? "?" : name ? name : "unnamed";
}
