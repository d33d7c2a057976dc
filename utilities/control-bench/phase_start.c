/* Phases about starting: who is connected, and how long it takes until everybody is programmed. */
#include "utilities/control-bench/control_sim.h"

#include <event2/event.h>
#include <unistd.h>

#include "lib/json.h"

#define NS_PER_S 1e9

static void on_line(evutil_socket_t fd, short what UNUSED, void *gone_)
{
    char c;
    bool *gone = gone_;
    if (read(fd, &c, 1) != 1 || c == '\n') {
        *gone = true;
    }
}

static bool is_set(struct bench *b UNUSED, void *flag)
{
    return *(bool *) flag;
}

bool phase_go(struct bench *b, uint64_t n UNUSED, cJSON *result, struct err *err)
{
    bool gone = false;
    struct event *line = event_new(b->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_line, &gone);
    if (event_add(line, NULL)) {        /* A file is no place to wait at. */
        event_free(line);
        return err_set(err, ERR_FAILED, NULL, "standard input is no pipe");
    }
    bool ok = bench_wait(b, is_set, &gone, 10 * WAIT_NS, false);
    event_free(line);
    json_add_u64(result, "switches_connected", sim_net_n_connected(b->net));
    b->started_ns = bench_now();
    return ok || err_set(err, ERR_TIMEOUT, NULL, "nobody said go");
}

static unsigned switches_wanted(const struct bench *b)
{
    return 1 + (b->o->openflow ? b->o->n_tenants * b->o->n_switches_each : 0);
}

static bool all_connected(struct bench *b, void *aux UNUSED)
{
    return b->tenants->n_ready >= switches_wanted(b) && (!b->o->openflow || sim_net_n_connected(b->net) == b->net->n_switches);
}

bool phase_connect(struct bench *b, uint64_t n UNUSED, cJSON *result, struct err *err)
{
    if (!bench_wait(b, all_connected, NULL, WAIT_NS, false)) {
        return err_set(err, ERR_TIMEOUT, NULL, "%u of %u switches are connected to controllerd, and %u of %u to tenants",
                       sim_net_n_connected(b->net), b->o->openflow ? b->net->n_switches : 0, b->tenants->n_ready, switches_wanted(b));
    }
    json_add_u64(result, "switches", b->net->n_switches);
    json_add_u64(result, "virtual_switches", b->tenants->n_ready - 1);
    cJSON_AddNumberToObject(result, "seconds", (double) (bench_now() - b->started_ns) / NS_PER_S);
    return true;
}

static bool all_programmed(struct bench *b, void *aux UNUSED)
{
    return b->n_programmed >= switches_wanted(b) - 1;
}

/* Those that are connected already get theirs now, the others as they come (on_ready). */
bool phase_program(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    const uint64_t before = b->n_changed[LANE_SLICE];
    b->program = (unsigned) n;
    b->n_programmed = 0;
    for (unsigned i = 0; i < b->tenants->n; i++) {
        struct tenant_conn *tc;
        LIST_FOR_EACH (tc, node, &b->tenants->v[i].conns) {
            if (tc->ready) {
                b->tenants->hooks->ready(tc, b);
            }
        }
    }
    bool ok = bench_wait(b, all_programmed, NULL, 2 * WAIT_NS, false);
    uint64_t now = bench_now();
    b->program = 0;
    if (!ok) {
        return err_set(err, ERR_TIMEOUT, NULL, "%u of %u virtual switches are programmed", b->n_programmed, switches_wanted(b) - 1);
    }
    json_add_u64(result, "virtual_switches", b->n_programmed);
    json_add_u64(result, "entries_at_switches", b->n_changed[LANE_SLICE] - before);
    json_add_u64(result, "rules_of_all_switches", sim_net_n_flows(b->net));
    cJSON_AddNumberToObject(result, "seconds", (double) (now - b->started_ns) / NS_PER_S);
    return true;
}

static bool is_later(struct bench *b UNUSED, void *until)
{
    return bench_now() >= *(uint64_t *) until;
}

bool phase_idle(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    uint64_t until = bench_now() + n * 1000000000;
    json_add_u64(result, "rules_of_all_switches", sim_net_n_flows(b->net));
    return bench_wait(b, is_later, &until, n * 1000000000 + WAIT_NS, false) || err_set(err, ERR_FAILED, NULL, "a switch is lost");
}
