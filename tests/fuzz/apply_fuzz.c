/* An apply document from outside: whatever it says, it is refused with a reason or applied whole, and then says nothing new. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/json.h"
#include "lib/util.h"
#include "tenants/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define REQUIRE(COND) do { if (!(COND)) { abort(); } } while (0)

static const char start[] = "{\"edges\":[{\"name\":\"e1\",\"datapath_id\":\"0000000000000001\"},{\"name\":\"e2\",\"datapath_id\":\"0000000000000002\"}],"
    "\"tenants\":[{\"name\":\"red\",\"quota\":{\"ports\":20}}],"
    "\"vpcs\":[{\"name\":\"main\",\"tenant\":\"red\",\"networks\":[{\"name\":\"web\",\"subnet\":\"10.0.0.0/28\",\"subnet6\":\"fd00::/64\","
    "\"ports\":[{\"name\":\"a\",\"edge\":\"e1\"},{\"name\":\"b\"}]}]}],"
    "\"slices\":[{\"name\":\"lab\",\"tenant\":\"red\",\"controllers\":[\"tcp:192.0.2.1:6653\"],\"switches\":[{\"name\":\"s1\",\"edges\":[\"e1\"],"
    "\"listen\":[\"ptcp:7001\"],\"ports\":[{\"name\":\"a\"}]},{\"name\":\"s2\",\"edges\":[\"e1\"]}],\"links\":[{\"name\":\"l1\",\"ends\":[\"s1/up\",\"s2/up\"]}]}]}";

/* The two that are there from the start are next to each other. */
static void neighbours(const struct edge *from, void (*found)(const struct edge *, void *), void *found_aux, void *m)
{
    struct edge *other = from->index <= 2 ? model_edge_by_index(m, (uint16_t) (3 - from->index)) : NULL;
    if (other) {
        found(other, found_aux);
    }
}

static struct model *prepare(void)
{
    struct provider p;
    struct err err = ERR_INIT;
    REQUIRE(prefix_parse("100.64.0.0/10", &p.v4) && prefix_parse("fd64:706f:6c64::/48", &p.v6));
    struct model *m = model_new(&p);
    model_set_neighbours(m, neighbours, m);
    cJSON *doc = json_parse(start, sizeof start - 1, 4096, &err);
    struct model_txn *t = model_apply(m, doc, NULL, &err);
    REQUIRE(t);
    model_txn_commit(t);
    cJSON_Delete(doc);
    return m;
}

static unsigned apply(struct model *m, const cJSON *doc, const char *tenant, bool commit, bool *ok)
{
    struct err err;
    unsigned n = 0;
    struct model_txn *t = model_apply(m, doc, tenant, &err);
    *ok = t;
    if (!t) {
        REQUIRE(err.code != ERR_NONE && err.message[0]);
        return 0;
    }
    model_txn_changes(t, &n);
    if (commit) {
        model_txn_commit(t);
    } else {
        model_txn_abort(t);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    cJSON *doc = json_parse((const char *) data, size, 1 << 20, &err);
    bool ok, again;
    if (!doc) {
        return 0;
    }
    struct model *m = prepare();
    apply(m, doc, "red", false, &ok);
    unsigned tried = apply(m, doc, NULL, false, &ok);
    unsigned done = apply(m, doc, NULL, true, &again);
    REQUIRE(ok == again && tried == done);
    if (ok) {
        REQUIRE(apply(m, doc, NULL, true, &again) == 0 && again);
    }
    model_free(m);
    cJSON_Delete(doc);
    return 0;
}
