/* See vsw_hold.h. */
#define LOG_MODULE "vsw"
#include "controller/vsw_hold.h"

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/ruleset.h"
#include "lib/log.h"

#define NS_PER_S UINT64_C(1000000000)

void vsw_hold_begin(struct vsw *vsw)
{
    struct controller *c = vsw->controller;
    if (vsw->is_slice && c->config.slice_hold_s) {
        vsw->hold_end_ns = clock_now_ns(&c->clock) + c->config.slice_hold_s * NS_PER_S;
        vsw->next_number = vsw->first_number = COOKIE_FIRST_VFLOW + rng_below(&c->rng, COOKIE_LAST_VFLOW - COOKIE_FIRST_VFLOW);
        vsw->fabric->n_held++;
    }
}

void vsw_hold_connected(struct vsw *vsw, bool connected)
{
    vsw->hold_quiet_ns = connected ? clock_now_ns(&vsw->controller->clock) : 0;
}

void vsw_hold_touched(struct vsw *vsw)
{
    if (vsw_is_held(vsw)) {
        vsw->hold_quiet_ns = clock_now_ns(&vsw->controller->clock);
    }
}

static void end(struct vsw *vsw)
{
    vsw->hold_end_ns = 0;
    vsw->fabric->n_held--;
    fabric_entries_changed(vsw);                        /* What counts unmatched frames may have its place now. */
    for (unsigned i = 0; i < vsw->network->n_landings; i++) {
        reconcile_read_again(vsw->controller->reconcile, vsw->network->landings[i].edge->datapath_id);
    }
}

void vsw_hold_tick(struct fabric *f)
{
    uint64_t now = clock_now_ns(&f->controller->clock);
    struct vsw *vsw;
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        bool quiet = vsw->hold_quiet_ns && now >= vsw->hold_quiet_ns + HOLD_QUIET_NS;
        if (vsw_is_held(vsw) && (quiet || now >= vsw->hold_end_ns)) {
            LOG(LOG_INFO, "%s: what its controller has not written again since the start is taken away (%s)", vsw->network->name,
                quiet ? "the controller is connected, and quiet" : "the time is over");
            end(vsw);
        }
    }
}

/* The entry's number was given out since controllerd started. */
static bool is_of_this_life(const struct vsw *vsw, uint32_t number)
{
    const uint32_t span = COOKIE_LAST_VFLOW - COOKIE_FIRST_VFLOW + 1;
    uint32_t since = (number + span - vsw->first_number) % span, until = (vsw->next_number + span - vsw->first_number) % span;
    return number >= COOKIE_FIRST_VFLOW && number <= COOKIE_LAST_VFLOW && since && since <= until;
}

bool vsw_hold_keeps_flow(const struct fabric *f, uint8_t table, uint64_t cookie)
{
    if (!f || !f->n_held || table < T_VIRT || table > T_VIRT_LAST) {
        return false;
    }
    const struct vsw *vsw = fabric_find_vsw(f, (uint32_t) (cookie >> 32));
    return vsw && vsw_is_held(vsw) && !is_of_this_life(vsw, (uint32_t) cookie);
}

bool vsw_hold_keeps_others(const struct fabric *f) { return f && f->n_held; }
