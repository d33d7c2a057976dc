#define _GNU_SOURCE 1           /* nftw */
#include "controller/test_fixture.h"

#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "controller/store.h"
#include "controller/substrate.h"
#include "lib/json.h"
#include "lib/log.h"
#include "tests/unit.h"

static uint64_t fixture_now(void *now_ns) { return *(uint64_t *) now_ns; }

void fixture_init(struct fixture *f)
{
    const char *tmp = getenv("TMPDIR");
    memset(f, 0, sizeof *f);
    signal(SIGPIPE, SIG_IGN);   /* As main() does. */
    log_set_level(getenv("POLDER_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
    snprintf(f->dir, sizeof f->dir, "%.40s/polder-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(f->dir)) {
        perror(f->dir);
        exit(99);
    }
    f->now_ns = 1000000000000;
    f->c.base = controller_base_new();
    f->c.clock = (struct clock) { fixture_now, &f->now_ns };
    rng_seed(&f->c.rng, unit_seed());
    f->c.config.run_dir = f->dir;
    f->c.config.lldp_interval_ms = 1000;
    CU_ASSERT_TRUE_FATAL(prefix_parse("100.64.0.0/10", &f->c.config.provider.v4));
    CU_ASSERT_TRUE_FATAL(prefix_parse("fd64:706f:6c64::/48", &f->c.config.provider.v6));
    f->c.model = model_new(&f->c.config.provider);
}

static int remove_entry(const char *path, const struct stat *st UNUSED, int flag UNUSED, struct FTW *ftw UNUSED) { return remove(path); }

void fixture_fini(struct fixture *f)
{
    substrate_free(f->c.substrate);
    store_close(f->c.store);
    if (f->c.model) {
        model_free(f->c.model);
    }
    event_base_free(f->c.base);
    CU_ASSERT_EQUAL(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void fixture_path(const struct fixture *f, const char *name, char out[128]) { snprintf(out, 128, "%s/%s", f->dir, name); }

char *fixture_quote(const char *text)
{
    char *copy = xstrdup(text);
    for (char *p = copy; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return copy;
}

void fixture_apply(struct fixture *f, const char *document)
{
    struct err err = ERR_INIT;
    char *text = fixture_quote(document);
    cJSON *tree = json_parse(text, strlen(text), 1 << 24, &err);
    struct model_txn *txn = tree ? model_apply(f->c.model, tree, NULL, &err) : NULL;
    if (!txn) {
        fprintf(stderr, "%s: %s %s\n", document, err.field, err.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
    model_txn_commit(txn);
    cJSON_Delete(tree);
    free(text);
}

static uint64_t real_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

bool fixture_run(struct fixture *f, const bool *done, unsigned seconds)
{
    for (uint64_t end = real_ms() + 1000 * seconds; !*done && real_ms() < end;) {
        fixture_turn(f, 1);
    }
    return *done;
}

void fixture_turn(struct fixture *f, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        event_base_loop(f->c.base, EVLOOP_NONBLOCK);
        usleep(500);
    }
}

void fixture_write(const struct fixture *f, const char *name, const char *text)
{
    char path[128];
    fixture_path(f, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t n = strlen(text);
    CU_ASSERT_EQUAL_FATAL(write(fd, text, n), (ssize_t) n);
    close(fd);
}
