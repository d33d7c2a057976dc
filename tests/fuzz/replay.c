/*
 * main() for a fuzz target without a fuzzer: replays the corpus, every prefix of each small file, and random mutations.
 *
 * FOO_replay looks for $srcdir/tests/fuzz/corpus/FOO ("make check" exports srcdir), or takes directories and files as
 * arguments and runs those unmutated.  An input that crashes is left in FOO.crash in the current directory for the next
 * run. With clang the same target is a real fuzzer, see tests/fuzz/campaign: POLDER_LIBFUZZER leaves main() to
 * libFuzzer.
 */
#ifndef POLDER_LIBFUZZER
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { MUTATIONS = 4000, MAX_PREFIXES = 1024, BUDGET_S = 4 };

struct input { uint8_t *data; size_t size; };

/* What runs now, for the crash handler: a signal handler can be told only through a global. */
static struct input current;
static char crash_file[128];

static void save_current(void)
{
    FILE *f = fopen(crash_file, "w");           /* Not async-signal-safe, but all is lost anyway. */
    if (f) {
        fwrite(current.data, 1, current.size, f);
        fclose(f);
        fprintf(stderr, "the input is in %s\n", crash_file);
    }
}

static void on_crash(int sig)
{
    save_current();
    signal(sig, SIG_DFL);
    raise(sig);
}

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_death_callback(void (*)(void));
#endif

static void watch_for_crashes(void)
{
#ifdef __SANITIZE_ADDRESS__                     /* Reports SIGSEGV better than we could. */
    __sanitizer_set_death_callback(save_current);
#else
    signal(SIGSEGV, on_crash);
#endif
    signal(SIGABRT, on_crash);
}

/* Each input gets an allocation of its exact size, so that sanitizers see reads past its end. */
static void run(const uint8_t *data, size_t size)
{
    current = (struct input) { xmalloc(size), size };
    if (size) {
        memcpy(current.data, data, size);
    }
    if (LLVMFuzzerTestOneInput(current.data, size)) {
        fprintf(stderr, "the target did not return 0\n");
        abort();
    }
    free(current.data);
}

static struct input load(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st)) {
        perror(path);
        exit(99);
    }
    struct input in = { xmalloc((size_t) st.st_size), (size_t) st.st_size };
    if (fread(in.data, 1, in.size, f) != in.size) {
        perror(path);
        exit(99);
    }
    fclose(f);
    return in;
}

static size_t mutate(struct rng *r, const struct input *in, const struct input *other, uint8_t *out)
{
    size_t size = in->size;
    memcpy(out, in->data, size);
    for (unsigned n = 1 + rng_below(r, 4); n--; ) {
        uint32_t at = size ? rng_below(r, (uint32_t) size) : 0;
        switch (rng_below(r, 6)) {
        case 0: if (size) { out[at] ^= (uint8_t) (1 << rng_below(r, 8)); } break;
        case 1: if (size) { out[at] = (uint8_t) rng_u64(r); } break;
        case 2: if (size) { out[at] = (uint8_t) (rng_below(r, 2) ? 0xff : 0); } break;
        case 3: size = at; break;
        case 4:                                 /* Drops a few bytes. */
            if (size) {
                size_t drop = 1 + rng_below(r, 8);
                drop = MIN(drop, size - at);
                memmove(out + at, out + at + drop, size - at - drop);
                size -= drop;
            }
            break;
        default:                                /* A piece of another input over this one. */
            if (other->size && size) {
                size_t from = rng_below(r, (uint32_t) other->size), piece = MIN(other->size - from, size - at);
                memcpy(out + at, other->data + from, piece);
            }
        }
    }
    return size;
}

static size_t load_dir(const char *dir, struct input **inputs)
{
    struct dirent **names;
    size_t n_inputs = 0;
    int n = scandir(dir, &names, NULL, alphasort);
    if (n < 0) {
        perror(dir);
        exit(99);
    }
    *inputs = xcalloc((size_t) n, sizeof **inputs);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            char *path = xasprintf("%s/%s", dir, names[i]->d_name);
            (*inputs)[n_inputs++] = load(path);
            free(path);
        }
        free(names[i]);
    }
    free(names);
    return n_inputs;
}

static int run_corpus(const char *dir)
{
    struct input *inputs;
    size_t n = load_dir(dir, &inputs), max = 0, variants = 0;
    const char *seed_text = getenv("POLDER_TEST_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t) time(NULL);
    time_t end = time(NULL) + BUDGET_S;
    struct rng r;
    if (!n) {
        fprintf(stderr, "%s holds no inputs\n", dir);
        return 99;
    }
    printf("seed: POLDER_TEST_SEED=%llu\n", (unsigned long long) seed);
    rng_seed(&r, seed);
    for (size_t i = 0; i < n; i++) {
        run(inputs[i].data, inputs[i].size);
        max = MAX(max, inputs[i].size);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t size = 0; size < inputs[i].size && size < MAX_PREFIXES && time(NULL) < end; size++, variants++) {
            run(inputs[i].data, size);
        }
    }
    uint8_t *out = xmalloc(max);
    for (size_t i = 0; i < MUTATIONS && time(NULL) < end; i++, variants++) {
        size_t other = rng_below(&r, (uint32_t) n);
        run(out, mutate(&r, &inputs[i % n], &inputs[other], out));
    }
    free(out);
    for (size_t i = 0; i < n; i++) {
        free(inputs[i].data);
    }
    free(inputs);
    printf("%s: %zu inputs, %zu variants of them\n", dir, n, variants);
    printf("unit: %zu passed, 0 failed\n", n);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0], *srcdir = getenv("srcdir");
    size_t len = strlen(name);
    len -= len > 7 && !strcmp(name + len - 7, "_replay") ? 7 : 0;
    snprintf(crash_file, sizeof crash_file, "%.*s.crash", (int) MIN(len, (size_t) 100), name);
    watch_for_crashes();
    for (int i = 1; i < argc; i++) {
        struct stat st;
        struct input *inputs;
        bool dir = !stat(argv[i], &st) && S_ISDIR(st.st_mode);
        struct input one = dir ? (struct input) { NULL, 0 } : load(argv[i]);
        size_t n = dir ? load_dir(argv[i], &inputs) : (inputs = &one, 1);
        for (size_t j = 0; j < n; j++) {
            run(inputs[j].data, inputs[j].size);
            free(inputs[j].data);
        }
        if (dir) {
            free(inputs);
        }
    }
    if (argc > 1) {
        return 0;
    }
    char *corpus = xasprintf("%s/tests/fuzz/corpus/%.*s", srcdir ? srcdir : ".", (int) len, name);
    int status = run_corpus(corpus);
    free(corpus);
    return status;
}

#else
typedef int replay_is_not_used;
#endif
