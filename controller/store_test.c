#include "controller/store.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "controller/test_fixture.h"
#include "lib/json.h"
#include "tests/unit.h"

struct outcome { bool done; struct err err; };

static void on_commit(const struct err *err, void *o_)
{
    struct outcome *o = o_;
    o->done = true;
    o->err = err ? *err : ERR_INIT;
}

static struct model_txn *begin(struct model *m, const char *document)
{
    struct err err = ERR_INIT;
    char *text = fixture_quote(document);
    cJSON *tree = json_parse(text, strlen(text), 1 << 20, &err);
    struct model_txn *txn = model_apply(m, tree, NULL, &err);
    if (!txn) {
        fprintf(stderr, "%s: %s\n", err.field, err.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
    cJSON_Delete(tree);
    free(text);
    return txn;
}

/* Stores and commits, as controller_commit() does. */
static void store_txn(struct fixture *f, struct model_txn *txn)
{
    struct outcome o = { false, ERR_INIT };
    unsigned n;
    const struct model_change *changes = model_txn_changes(txn, &n);
    store_commit(f->c.store, model_txn_revision(txn), changes, n, on_commit, &o);
    CU_ASSERT_TRUE_FATAL(fixture_run(f, &o.done, 20));
    CU_ASSERT_EQUAL(o.err.code, ERR_NONE);
    model_txn_commit(txn);
}

static bool open_store(struct fixture *f, const char *name, struct err *err)
{
    char path[128];
    fixture_path(f, name, path);
    *err = ERR_INIT;
    f->c.store = store_open(path, f->c.base, err);
    return f->c.store != NULL;
}

/* Closes the store and reads it into a fresh model. */
static void reload(struct fixture *f, const char *name)
{
    struct err err;
    store_close(f->c.store);
    model_free(f->c.model);
    f->c.model = model_new(&f->c.config.provider);
    CU_ASSERT_TRUE_FATAL(open_store(f, name, &err));
    bool loaded = store_load(f->c.store, f->c.model, &err);
    if (!loaded) {
        fprintf(stderr, "%s\n", err.message);
    }
    CU_ASSERT_TRUE_FATAL(loaded);
}

/* Everything that a reader could see of a model, as text. */
static char *picture(const struct model *m)
{
    cJSON *all = cJSON_CreateArray();
    for (unsigned kind = 0; kind < N_KINDS; kind++) {
        for (unsigned i = 0; i < model_count(m, kind); i++) {
            const void *object = model_at(m, kind, i);
            cJSON *o = json_append_object(all);
            json_add_string(o, "name", object_name(kind, object));
            json_add_u64(o, "revision", object_revision(kind, object));
            cJSON_AddItemToObject(o, "spec", model_spec_json(kind, object));
            cJSON_AddItemToObject(o, "alloc", model_alloc_json(m, kind, object));
        }
    }
    char *text = json_text(all, true);
    cJSON_Delete(all);
    return text;
}

#define BASE "'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}]," \
             "'tenants':[{'name':'red'},{'name':'blue'}]"
#define PORT(TENANT, NAME, EDGE) "{'vpcs':[{'name':'v','tenant':'" TENANT "','networks':[{'name':'n','subnet':'10.0.0.0/24'," \
             "'ports':[{'name':'" NAME "','edge':'" EDGE "'}]}]}]}"

#define SLICES "{'slices':[{'name':'lab','tenant':'red','controllers':['tcp:192.0.2.9:6653'],'switches':[" \
             "{'name':'s1','edges':['e1','e2'],'listen':['ptcp:7001:127.0.0.1'],'ports':[{'name':'a','edge':'e1','number':5},{'name':'b','edge':null}]}," \
             "{'name':'s2','edges':['e2']}],'links':[{'name':'l1','ends':['s1/up','s2/down'],'via':['e1']}]}]}"

static void test_round_trip(void)
{
    struct fixture f;
    struct err err;
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    store_txn(&f, begin(f.c.model, "{" BASE "}"));
    store_txn(&f, begin(f.c.model, PORT("red", "a", "e1")));
    store_txn(&f, begin(f.c.model, PORT("blue", "a", "e1")));
    store_txn(&f, begin(f.c.model, PORT("red", "b", "e2")));
    char *before = picture(f.c.model);
    reload(&f, "db");
    char *after = picture(f.c.model);
    CU_ASSERT_STRING_EQUAL(before, after);
    CU_ASSERT_EQUAL(model_revision(f.c.model), 4);
    free(before);
    free(after);
    /* The file is nobody else's to read. */
    char path[128];
    struct stat st;
    fixture_path(&f, "db", path);
    CU_ASSERT_TRUE(!stat(path, &st) && !(st.st_mode & 077));
    fixture_fini(&f);
}

/* An id is used once, even if the object that had the highest is deleted before a restart. */
static void test_ids_never_reused(void)
{
    struct fixture f;
    struct err err = ERR_INIT;
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    store_txn(&f, begin(f.c.model, "{" BASE "}"));
    store_txn(&f, begin(f.c.model, PORT("red", "a", "e1")));
    const struct port *p = model_find(f.c.model, KIND_PORT, "red/v/n/a");
    uint32_t port_id = p->id, network_id = p->network->id;
    static const struct { enum model_kind kind; const char *name; } doomed[] = { { KIND_PORT, "red/v/n/a" }, { KIND_NETWORK, "red/v/n" } };
    for (unsigned i = 0; i < ARRAY_SIZE(doomed); i++) {
        struct model_txn *txn = model_delete(f.c.model, doomed[i].kind, doomed[i].name, NULL, 0, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
        store_txn(&f, txn);
    }
    reload(&f, "db");
    CU_ASSERT_PTR_NULL(model_find(f.c.model, KIND_NETWORK, "red/v/n"));
    store_txn(&f, begin(f.c.model, PORT("red", "a", "e1")));
    p = model_find(f.c.model, KIND_PORT, "red/v/n/a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_TRUE(p->id > port_id);
    CU_ASSERT_TRUE(p->network->id > network_id);
    fixture_fini(&f);
}

static void sql(struct fixture *f, const char *name, const char *text)
{
    char path[128];
    sqlite3 *db = NULL;
    fixture_path(f, name, path);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Each is refused with words, and the file is as it was. */
static void test_refused(void)
{
    struct fixture f;
    struct err err = ERR_INIT;
    fixture_init(&f);
    fixture_write(&f, "text", "This is no database, and long enough that nobody could take it for an empty one. It goes on for a while: 0123456789 0123456789.");
    CU_ASSERT_FALSE(open_store(&f, "text", &err));
    CU_ASSERT_STRING_EQUAL(err.field, "store");
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "backup"));

    sql(&f, "other", "CREATE TABLE recipes(name TEXT); INSERT INTO recipes VALUES('soup')");
    CU_ASSERT_FALSE(open_store(&f, "other", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "not a Polder store"));

    CU_ASSERT_TRUE(open_store(&f, "newer", &err));
    store_close(f.c.store);
    sql(&f, "newer", "UPDATE meta SET value = '3' WHERE key = 'schema'");
    CU_ASSERT_FALSE(open_store(&f, "newer", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "schema 3"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "later version"));

    CU_ASSERT_TRUE(open_store(&f, "odd", &err));
    store_close(f.c.store);
    sql(&f, "odd", "INSERT INTO objects VALUES('port', 'red/v/n/a', 1, '{}')");
    CU_ASSERT_TRUE_FATAL(open_store(&f, "odd", &err));
    CU_ASSERT_FALSE(store_load(f.c.store, f.c.model, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "port red/v/n/a"));
    store_close(f.c.store);

    CU_ASSERT_FALSE(open_store(&f, "nowhere/db", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "directory"));
    fixture_fini(&f);
}

/* A store of schema 1: no slices, and tenants without their quotas. It is taken over, and then is schema 2's. */
static void test_older(void)
{
    struct fixture f;
    struct err err = ERR_INIT;
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    store_txn(&f, begin(f.c.model, "{" BASE "}"));
    store_txn(&f, begin(f.c.model, PORT("red", "a", "e1")));
    store_close(f.c.store);
    sql(&f, "db", "UPDATE meta SET value = '1' WHERE key = 'schema'; UPDATE objects SET record ="
                  " '{\"name\":\"red\",\"quota\":{\"ports\":7,\"networks\":8,\"vpcs\":9}}' WHERE kind = 'tenant' AND name = 'red'");
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    reload(&f, "db");
    const struct tenant *red = model_find(f.c.model, KIND_TENANT, "red");
    CU_ASSERT_FATAL(red && red->quota.ports == 7 && red->quota.slices == 10 && red->quota.flow_mod_rate);
    store_txn(&f, begin(f.c.model, SLICES));
    char *before = picture(f.c.model), *schema = store_meta_get(f.c.store, "schema");
    CU_ASSERT_STRING_EQUAL(schema, "2");
    reload(&f, "db");
    char *after = picture(f.c.model);
    CU_ASSERT_STRING_EQUAL(before, after);
    CU_ASSERT_EQUAL(model_count(f.c.model, KIND_LINK), 1);
    free(before);
    free(after);
    free(schema);
    fixture_fini(&f);
}

/* Where the circle of network ids stands survives a restart, also when that is below an id in use. */
static void test_network_circle(void)
{
    struct fixture f;
    struct err err = ERR_INIT;
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    store_txn(&f, begin(f.c.model, "{" BASE "}"));
    model_loaded(f.c.model, 0, 1, (1u << 24) - 1);
    store_txn(&f, begin(f.c.model, SLICES));
    reload(&f, "db");
    const struct network *s1 = model_find(f.c.model, KIND_SWITCH, "red/lab/s1"), *s2 = model_find(f.c.model, KIND_SWITCH, "red/lab/s2");
    CU_ASSERT_FATAL(s1 && s2 && s1->id == (1u << 24) - 1 && s2->id == 1);
    store_txn(&f, begin(f.c.model, PORT("red", "a", "e1")));
    const struct network *n = model_find(f.c.model, KIND_NETWORK, "red/v/n");
    CU_ASSERT(n && n->id == 2);
    fixture_fini(&f);
}

static void test_damaged(void)
{
    struct fixture f;
    struct err err;
    char path[128], junk[4096];
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    store_txn(&f, begin(f.c.model, "{" BASE "}"));
    store_close(f.c.store);
    f.c.store = NULL;
    memset(junk, 0x5a, sizeof junk);
    fixture_path(&f, "db", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    CU_ASSERT_TRUE_FATAL(size > 4096);
    for (off_t at = 4096; at < size; at += 4096) {      /* Every page but the first, which says that it is ours. */
        CU_ASSERT_EQUAL(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    }
    close(fd);
    bool opened = open_store(&f, "db", &err);
    CU_ASSERT_FALSE(opened);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "backup"));
    fixture_fini(&f);
}

static void test_locked(void)
{
    struct fixture f;
    struct err err = ERR_INIT;
    char path[128];
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    fixture_path(&f, "db", path);
    struct store *second = store_open(path, f.c.base, &err);
    CU_ASSERT_PTR_NULL(second);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "another controllerd"));
    fixture_fini(&f);
}

static void test_meta(void)
{
    struct fixture f;
    struct err err;
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    CU_ASSERT_PTR_NULL(store_meta_get(f.c.store, "colour"));
    CU_ASSERT_TRUE(store_meta_set(f.c.store, "colour", "red", &err));
    CU_ASSERT_TRUE(store_meta_set(f.c.store, "colour", "it's \"blue\"", &err));
    reload(&f, "db");
    char *value = store_meta_get(f.c.store, "colour");
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    CU_ASSERT_STRING_EQUAL(value, "it's \"blue\"");
    free(value);
    fixture_fini(&f);
}

/* Commits ports until killed; says on `fd` what was durable. */
static void child_commits(struct fixture *f, int fd)
{
    struct err err;
    f->c.model = model_new(&f->c.config.provider);
    if (!open_store(f, "db", &err) || !store_load(f->c.store, f->c.model, &err)) {
        _exit(2);
    }
    for (unsigned i = 0; i < 100000; i++) {
        char document[400];
        snprintf(document, sizeof document, PORT("red", "p%u", "e1"), i);
        struct outcome o = { false, ERR_INIT };
        unsigned n;
        struct model_txn *txn = begin(f->c.model, document);
        const struct model_change *changes = model_txn_changes(txn, &n);
        uint64_t revision = model_txn_revision(txn);
        store_commit(f->c.store, revision, changes, n, on_commit, &o);
        while (!o.done) {
            fixture_turn(f, 1);
        }
        model_txn_commit(txn);
        if (write(fd, &revision, sizeof revision) != sizeof revision) {
            _exit(3);
        }
    }
    _exit(4);
}

/* kill -9 at any moment: what was reported durable is there, nothing is there by halves. */
static void test_killed(void)
{
    struct fixture f;
    struct err err;
    struct rng rng;
    rng_seed(&rng, unit_seed());
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f, "db", &err));
    store_txn(&f, begin(f.c.model, "{" BASE ",'vpcs':[{'name':'v','tenant':'red','networks':[{'name':'n','subnet':'10.0.0.0/16'}]}]}"));
    store_close(f.c.store);
    f.c.store = NULL;
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        struct fixture child = f;
        event_reinit(child.c.base);
        child_commits(&child, fds[1]);
    }
    close(fds[1]);
    uint64_t durable = 0, seen;
    unsigned wanted = 3 + rng_below(&rng, 20);
    for (unsigned i = 0; i < wanted && read(fds[0], &seen, sizeof seen) == sizeof seen; i++) {
        durable = seen;
    }
    usleep(rng_below(&rng, 3000));
    kill(pid, SIGKILL);
    int status;
    waitpid(pid, &status, 0);
    CU_ASSERT_TRUE(WIFSIGNALED(status));
    while (read(fds[0], &seen, sizeof seen) == sizeof seen) {
        durable = seen;
    }
    close(fds[0]);
    reload(&f, "db");
    CU_ASSERT_TRUE(durable >= 3);
    CU_ASSERT_TRUE(model_revision(f.c.model) >= durable && model_revision(f.c.model) <= durable + 1);
    CU_ASSERT_EQUAL(model_count(f.c.model, KIND_PORT), model_revision(f.c.model) - 1);
    fixture_fini(&f);
}

void store_test_suite(void);
void store_test_suite(void)
{
    UNIT_SUITE("store", { "round trip", test_round_trip }, { "ids are never reused", test_ids_never_reused }, { "refused files", test_refused },
               { "older schema", test_older }, { "network ids go in a circle", test_network_circle },
               { "damaged file", test_damaged }, { "two daemons", test_locked }, { "meta", test_meta }, { "killed while committing", test_killed });
}
