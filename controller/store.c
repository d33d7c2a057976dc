#define LOG_MODULE "store"
#include "controller/store.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "lib/hmap.h"
#include "lib/log.h"

#define SCHEMA_VERSION 2        /* 2: slices, virtual switches, their ports, virtual links; and network ids that go in a circle. */
#define OLDEST_SCHEMA 1         /* What this one takes over, as it is. */
#define APPLICATION_ID 0x504f4c44      /* "POLD", in the file's header: PRAGMA application_id. */

struct row { char *kind, *name, *record; };     /* record NULL: delete. */
struct job {
    struct list node;           /* In store.todo, then in store.done. */
    uint64_t revision;
    struct row *rows;
    unsigned n;
    uint32_t next_port_id, next_network_id;     /* The port's: at least. 0: nothing of the kind was created. */
    struct err err;
    void (*fn)(const struct err *, void *aux);
    void *aux;
};

/* Written by the loop's thread before `thread` starts, then by `thread` alone: db.  Behind `lock`: todo, done, stop. */
struct store {
    sqlite3 *db;
    char *path;
    struct event *done_event;
    int done_fd;                /* eventfd: something is in `done`. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list todo, done;
    bool stop, started;
};

static bool fail(struct store *s, struct err *err, const char *what)
{
    int code = sqlite3_errcode(s->db);
    err_set(err, ERR_FAILED, "store", "%s: %s: %s", s->path, what, sqlite3_errmsg(s->db));
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        err_hint(err, "the file is damaged: restore it from a backup, or move it away and apply everything again");
    } else if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
        err_hint(err, "another controllerd has it open: stop that one first");
    } else if (code == SQLITE_FULL || code == SQLITE_IOERR) {
        err_hint(err, "check the disk and its free space");
    } else if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM) {
        err_hint(err, "the directory must exist, and controllerd must be allowed to write to it");
    }
    return false;
}

static bool exec(struct store *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(s, err, sql);
}

/* One value of a one-row query, malloc'd; NULL when there is no row (err untouched) or it failed (err set). */
static char *query_text(struct store *s, const char *sql, const char *argument, struct err *err)
{
    sqlite3_stmt *q = NULL;
    char *text = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK
        || (argument && sqlite3_bind_text(q, 1, argument, -1, SQLITE_STATIC) != SQLITE_OK)) {
        fail(s, err, sql);
    } else {
        int rc = sqlite3_step(q);
        if (rc == SQLITE_ROW && sqlite3_column_text(q, 0)) {
            text = xstrdup((const char *) sqlite3_column_text(q, 0));
        } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            fail(s, err, sql);
        }
    }
    sqlite3_finalize(q);
    return text;
}

static bool put_meta(struct store *s, const char *key, const char *value, struct err *err)
{
    static const char sql[] = "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value";
    sqlite3_stmt *q = NULL;
    bool ok = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK
              && sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC) == SQLITE_OK
              && sqlite3_bind_text(q, 2, value, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(q) == SQLITE_DONE;
    if (!ok) {
        fail(s, err, "meta");
    }
    sqlite3_finalize(q);
    return ok;
}

static bool put_meta_u64(struct store *s, const char *key, uint64_t value, struct err *err)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long) value);
    return put_meta(s, key, text, err);
}

/* A number of meta; `dflt` when absent. */
static bool get_meta_u64(struct store *s, const char *key, uint64_t max, uint64_t dflt, uint64_t *out, struct err *err)
{
    *out = dflt;
    char *text = query_text(s, "SELECT value FROM meta WHERE key = ?1", key, err);
    if (!text) {
        return err->code == ERR_NONE;
    }
    bool ok = str_to_u64(text, max, out);
    if (!ok) {
        err_set(err, ERR_FAILED, "store", "%s: meta %s is '%s', which is no number up to %llu", s->path, key, text, (unsigned long long) max);
        err_hint(err, "restore the file from a backup");
    }
    free(text);
    return ok;
}

static bool create_schema(struct store *s, struct err *err)
{
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", APPLICATION_ID);
    if (!exec(s, "BEGIN IMMEDIATE", err)) {
        return false;
    }
    if (exec(s, "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID", err)
        && exec(s, "CREATE TABLE objects(kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, record TEXT NOT NULL,"
                   " PRIMARY KEY(kind, name)) WITHOUT ROWID", err)
        && put_meta_u64(s, "schema", SCHEMA_VERSION, err) && put_meta_u64(s, "revision", 0, err)
        && exec(s, pragma, err) && exec(s, "COMMIT", err)) {
        return true;
    }
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);          /* The first error is in err; after a failed COMMIT this may have nothing to do. */
    return false;
}

/* A file without tables is new; one of another program, or of a later schema, is left alone. */
static bool check_schema(struct store *s, struct err *err)
{
    char *tables = query_text(s, "SELECT count(*) FROM sqlite_master", NULL, err);
    char *id = tables ? query_text(s, "PRAGMA application_id", NULL, err) : NULL;
    bool is_new = tables && !strcmp(tables, "0"), ours = id && (uint64_t) strtoull(id, NULL, 10) == APPLICATION_ID;
    bool ok = tables && id;
    free(tables);
    free(id);
    if (!ok) {
        return false;
    }
    if (is_new) {
        return create_schema(s, err);
    }
    if (!ours) {
        err_set(err, ERR_FAILED, "store", "%s is a database, but not a Polder store", s->path);
        return err_hint(err, "name another file in \"store\"");
    }
    uint64_t schema;
    if (!get_meta_u64(s, "schema", UINT32_MAX, 0, &schema, err)) {
        return false;
    }
    if (schema < OLDEST_SCHEMA || schema > SCHEMA_VERSION) {
        err_set(err, ERR_FAILED, "store", "%s has schema %llu, and this controllerd reads schemas %d to %d", s->path, (unsigned long long) schema, OLDEST_SCHEMA,
                SCHEMA_VERSION);
        return err_hint(err, schema > SCHEMA_VERSION ? "it was written by a later version: install that one, or restore a backup made before"
                                                     : "restore the file from a backup");
    }
    char *check = query_text(s, "PRAGMA quick_check(1)", NULL, err);
    ok = check && !strcmp(check, "ok");
    if (check && !ok) {
        err_set(err, ERR_FAILED, "store", "%s is damaged: %s", s->path, check);
        err_hint(err, "restore it from a backup, or move it away and apply everything again");
    }
    free(check);
    /* An older controllerd must not open it once it holds what that one does not know. */
    return ok && (schema == SCHEMA_VERSION || put_meta_u64(s, "schema", SCHEMA_VERSION, err));
}

/* --- The thread --- */

static bool write_rows(struct store *s, const struct job *j, struct err *err)
{
    static const char put_sql[] = "INSERT INTO objects(kind, name, revision, record) VALUES(?1, ?2, ?3, ?4)"
                                  " ON CONFLICT(kind, name) DO UPDATE SET revision = excluded.revision, record = excluded.record";
    static const char delete_sql[] = "DELETE FROM objects WHERE kind = ?1 AND name = ?2";
    sqlite3_stmt *put = NULL, *delete = NULL;
    bool ok = sqlite3_prepare_v2(s->db, put_sql, -1, &put, NULL) == SQLITE_OK
              && sqlite3_prepare_v2(s->db, delete_sql, -1, &delete, NULL) == SQLITE_OK;
    for (unsigned i = 0; ok && i < j->n; i++) {
        const struct row *r = &j->rows[i];
        sqlite3_stmt *q = r->record ? put : delete;
        ok = sqlite3_bind_text(q, 1, r->kind, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_bind_text(q, 2, r->name, -1, SQLITE_STATIC) == SQLITE_OK
             && (!r->record || (sqlite3_bind_int64(q, 3, (sqlite3_int64) j->revision) == SQLITE_OK
                                && sqlite3_bind_text(q, 4, r->record, -1, SQLITE_STATIC) == SQLITE_OK))
             && sqlite3_step(q) == SQLITE_DONE && sqlite3_reset(q) == SQLITE_OK;
    }
    if (!ok) {
        fail(s, err, "objects");
    }
    sqlite3_finalize(put);
    sqlite3_finalize(delete);
    return ok;
}

static bool raise_next_id(struct store *s, const char *key, uint32_t at_least, struct err *err)
{
    uint64_t now;
    if (!at_least) {
        return true;
    }
    return get_meta_u64(s, key, UINT32_MAX, 1, &now, err) && (now >= at_least || put_meta_u64(s, key, at_least, err));
}

static void run_job(struct store *s, struct job *j)
{
    if (!exec(s, "BEGIN IMMEDIATE", &j->err)) {
        return;
    }
    if (write_rows(s, j, &j->err) && put_meta_u64(s, "revision", j->revision, &j->err)
        && raise_next_id(s, "next_port_id", j->next_port_id, &j->err)
        && (!j->next_network_id || put_meta_u64(s, "next_network_id", j->next_network_id, &j->err)) && exec(s, "COMMIT", &j->err)) {
        return;
    }
    if (!sqlite3_get_autocommit(s->db)) {
        struct err ignored = ERR_INIT;
        if (!exec(s, "ROLLBACK", &ignored)) {
            LOG(LOG_ERROR, "%s: %s", s->path, ignored.message);
        }
    }
}

static void *store_thread(void *s_)
{
    struct store *s = s_;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (list_empty(&s->todo) && !s->stop) {
            pthread_cond_wait(&s->work, &s->lock);
        }
        if (list_empty(&s->todo)) {
            break;
        }
        struct job *j = CONTAINER_OF(s->todo.next, struct job, node);
        list_remove(&j->node);
        pthread_mutex_unlock(&s->lock);
        run_job(s, j);
        pthread_mutex_lock(&s->lock);
        list_push_back(&s->done, &j->node);
        uint64_t one = 1;
        if (write(s->done_fd, &one, sizeof one) != sizeof one) {
            LOG(LOG_ERROR, "eventfd: %s", strerror(errno));      /* Only at 2^64 - 1 unread: the loop will look anyway. */
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- The loop's side --- */

static void job_free(struct job *j)
{
    for (unsigned i = 0; i < j->n; i++) {
        free(j->rows[i].kind);
        free(j->rows[i].name);
        free(j->rows[i].record);
    }
    free(j->rows);
    free(j);
}

static void deliver(struct store *s)
{
    for (;;) {
        pthread_mutex_lock(&s->lock);
        struct job *j = list_empty(&s->done) ? NULL : CONTAINER_OF(s->done.next, struct job, node);
        if (j) {
            list_remove(&j->node);
        }
        pthread_mutex_unlock(&s->lock);
        if (!j) {
            return;
        }
        j->fn(j->err.code == ERR_NONE ? NULL : &j->err, j->aux);
        job_free(j);
    }
}

static void on_done(evutil_socket_t fd, short what UNUSED, void *s)
{
    uint64_t n;
    if (read(fd, &n, sizeof n) < 0 && errno != EAGAIN && errno != EINTR) {
        LOG(LOG_ERROR, "eventfd: %s", strerror(errno));
    }
    deliver(s);
}

static bool open_file(struct store *s, struct err *err)
{
    int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);       /* SQLite itself would make it 0644. */
    if (fd < 0) {
        err_set(err, ERR_FAILED, "store", "%s: %s", s->path, strerror(errno));
        return err_hint(err, "the directory must exist, and controllerd must be allowed to write to it");
    }
    close(fd);
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK) {
        return fail(s, err, "open");
    }
    sqlite3_extended_result_codes(s->db, 0);
    sqlite3_busy_timeout(s->db, 2000);
    /* Exclusive before WAL: one controllerd at a time, and the WAL index in our own memory.  FULL: a commit is on the disk when it returns. */
    if (!exec(s, "PRAGMA locking_mode = EXCLUSIVE", err)) {
        return false;
    }
    char *mode = query_text(s, "PRAGMA journal_mode = WAL", NULL, err);
    bool ok = mode && !strcmp(mode, "wal");
    if (mode && !ok) {
        err_set(err, ERR_FAILED, "store", "%s: this file system cannot hold a write-ahead log (journal mode is %s)", s->path, mode);
    }
    free(mode);
    return ok && exec(s, "PRAGMA synchronous = FULL", err) && check_schema(s, err);
}

struct store *store_open(const char *path, struct event_base *base, struct err *err)
{
    struct store *s = XNEW(struct store);
    s->path = xstrdup(path);
    s->done_fd = -1;
    list_init(&s->todo);
    list_init(&s->done);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    if (!open_file(s, err)) {
        store_close(s);
        return NULL;
    }
    s->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->done_event = s->done_fd < 0 ? NULL : event_new(base, s->done_fd, EV_READ | EV_PERSIST, on_done, s);
    if (!s->done_event || event_add(s->done_event, NULL)) {
        err_set(err, ERR_FAILED, "store", "eventfd: %s", strerror(errno));
        store_close(s);
        return NULL;
    }
    int rc = pthread_create(&s->thread, NULL, store_thread, s);
    if (rc) {
        err_set(err, ERR_FAILED, "store", "thread: %s", strerror(rc));
        store_close(s);
        return NULL;
    }
    s->started = true;
    return s;
}

void store_close(struct store *s)
{
    if (!s) {
        return;
    }
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        deliver(s);
    }
    if (s->done_event) {
        event_free(s->done_event);
    }
    if (s->done_fd >= 0) {
        close(s->done_fd);
    }
    if (sqlite3_close(s->db) != SQLITE_OK) {
        LOG(LOG_ERROR, "%s: %s", s->path, sqlite3_errmsg(s->db));
    }
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

static bool load_row(struct store *s, struct model *m, enum model_kind kind, sqlite3_stmt *q, struct err *err)
{
    const char *name = (const char *) sqlite3_column_text(q, 0), *record = (const char *) sqlite3_column_text(q, 2);
    size_t size = (size_t) sqlite3_column_bytes(q, 2);
    cJSON *tree = name && record ? json_parse(record, size, 1 << 20, err) : NULL;
    bool ok = tree && model_load(m, kind, name, (uint64_t) sqlite3_column_int64(q, 1), tree, err);
    cJSON_Delete(tree);
    if (!ok) {
        struct err why = *err;
        err_set(err, ERR_FAILED, "store", "%s: %s %s: %s%s%s", s->path, kind_name(kind), name ? name : "", why.field, *why.field ? ": " : "", why.message);
        err_hint(err, "the store contradicts itself: restore it from a backup");
    }
    return ok;
}

static bool load_kind(struct store *s, struct model *m, enum model_kind kind, struct err *err)
{
    static const char sql[] = "SELECT name, revision, record FROM objects WHERE kind = ?1 ORDER BY name";
    sqlite3_stmt *q = NULL;
    bool ok = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_bind_text(q, 1, kind_name(kind), -1, SQLITE_STATIC) == SQLITE_OK;
    int rc = SQLITE_DONE;
    if (!ok) {
        fail(s, err, sql);
    }
    while (ok && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        ok = load_row(s, m, kind, q, err);
    }
    if (ok && rc != SQLITE_DONE) {
        ok = fail(s, err, sql);
    }
    sqlite3_finalize(q);
    return ok;
}

bool store_load(struct store *s, struct model *m, struct err *err)
{
    uint64_t revision, next_port, next_network;
    for (unsigned i = 0; i < N_KINDS; i++) {
        if (!load_kind(s, m, model_load_order[i], err)) {
            return false;
        }
    }
    if (!get_meta_u64(s, "revision", INT64_MAX, 0, &revision, err) || !get_meta_u64(s, "next_port_id", UINT32_MAX, 1, &next_port, err)
        || !get_meta_u64(s, "next_network_id", UINT32_MAX, 1, &next_network, err)) {
        return false;
    }
    model_loaded(m, revision, (uint32_t) next_port, (uint32_t) next_network);
    return true;
}

char *store_meta_get(struct store *s, const char *key)
{
    struct err err = ERR_INIT;
    char *value = query_text(s, "SELECT value FROM meta WHERE key = ?1", key, &err);
    if (err.code != ERR_NONE) {
        LOG(LOG_ERROR, "%s", err.message);
    }
    return value;
}

bool store_meta_set(struct store *s, const char *key, const char *value, struct err *err) { return put_meta(s, key, value, err); }

/* The id that the model gave to a new port or network is in its record. */
static uint32_t id_after(const struct model_change *c)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(c->record, "id");
    return cJSON_IsNumber(id) && id->valuedouble > 0 && id->valuedouble < UINT32_MAX ? (uint32_t) id->valuedouble + 1 : 0;
}

void store_commit(struct store *s, uint64_t revision, const struct model_change *changes, unsigned n,
                  void (*fn)(const struct err *, void *aux), void *aux)
{
    struct job *j = XNEW(struct job);
    *j = (struct job) { .revision = revision, .n = n, .rows = xcalloc(n + 1, sizeof *j->rows), .fn = fn, .aux = aux };
    for (unsigned i = 0; i < n; i++) {
        const struct model_change *c = &changes[i];
        bool deletes = c->action == MODEL_DELETE;
        j->rows[i] = (struct row) { xstrdup(kind_name(c->kind)), xstrdup(c->name), deletes ? NULL : json_text(c->record, false) };
        if (c->action == MODEL_CREATE && (c->kind == KIND_PORT || c->kind == KIND_SWITCH_PORT)) {
            j->next_port_id = MAX(j->next_port_id, id_after(c));
        } else if (c->action == MODEL_CREATE && (c->kind == KIND_NETWORK || c->kind == KIND_SWITCH)) {
            j->next_network_id = id_after(c);   /* They go in a circle: the last one is where it stands. */
        }
    }
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->todo, &j->node);
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}
