#include "lib/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/buf.h"

static void *checked(void *p, size_t size)
{
    if (!p) {
        fprintf(stderr, "out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    return p;
}

void *xmalloc(size_t size)
{
    return checked(malloc(size ? size : 1), size);
}

void *xcalloc(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size ? size : 1), n * size);
}

void *xrealloc(void *p, size_t size)
{
    return checked(realloc(p, size ? size : 1), size);
}

char *xstrdup(const char *s)
{
    return xmemdup0(s, strlen(s));
}

char *xmemdup0(const char *s, size_t n)
{
    char *copy = xmalloc(n + 1);
    if (n) {
        memcpy(copy, s, n);
    }
    copy[n] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    struct buf b = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&b, format, args);
    va_end(args);
    return buf_steal_cstr(&b);
}

/* Base 10 or 16; -1 if `c` is no such digit. */
static int digit_value(char c, unsigned base)
{
    int v = c >= '0' && c <= '9' ? c - '0'
          : c >= 'a' && c <= 'f' ? c - 'a' + 10
          : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    return v < (int) base ? v : -1;
}

static bool digits_to_u64(const char *s, unsigned base, uint64_t max, uint64_t *out)
{
    uint64_t x = 0;
    if (!*s) {
        return false;
    }
    for (; *s; s++) {
        int v = digit_value(*s, base);
        if (v < 0 || __builtin_mul_overflow(x, base, &x) || __builtin_add_overflow(x, (uint64_t) v, &x)) {
            return false;
        }
    }
    if (x > max) {
        return false;
    }
    *out = x;
    return true;
}

bool str_to_u64(const char *s, uint64_t max, uint64_t *out)
{
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        return digits_to_u64(s + 2, 16, max, out);
    }
    /* Other programs read "010" as octal, so it is refused instead of guessed at. */
    return (s[0] != '0' || s[1] == '\0') && digits_to_u64(s, 10, max, out);
}

bool str_to_hex(const char *s, unsigned max_digits, uint64_t *out)
{
    return strlen(s) <= max_digits && digits_to_u64(s, 16, UINT64_MAX, out);
}

bool name_valid(const char *s)
{
    size_t n = strlen(s);
    if (n < 1 || n > 32 || s[0] == '-' || s[n - 1] == '-') {
        return false;
    }
    return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

char *str_copy(char *out, size_t size, const char *in)
{
    if (size) {
        size_t n = strnlen(in, size - 1);
        memmove(out, in, n);
        out[n] = '\0';
    }
    return out;
}

uint32_t hash_bytes(const void *data, size_t n, uint32_t seed)
{
    const uint8_t *p = data;
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ hash_mix64(seed ^ ((uint64_t) n << 32));
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * UINT64_C(0x100000001b3);
        h ^= h >> 29;           /* FNV alone never carries high bits down. */
    }
    for (; n; n--, p++) {
        h = (h ^ *p) * UINT64_C(0x100000001b3);
    }
    return (uint32_t) hash_mix64(h);
}

static bool cpu_number(const char **s, unsigned *out)
{
    const char *p = *s;
    unsigned x = 0;
    if (!isdigit((unsigned char) *p)) {
        return false;
    }
    for (; isdigit((unsigned char) *p); p++) {
        x = x * 10 + (unsigned) (*p - '0');
        if (x > 65535) {        /* Linux knows at most 8192. */
            return false;
        }
    }
    *s = p;
    *out = x;
    return true;
}

static int compare_unsigned(const void *a_, const void *b_)
{
    const unsigned *a = a_, *b = b_;
    return *a < *b ? -1 : *a > *b;
}

bool cpulist_parse(const char *s, unsigned *out, size_t max, size_t *n_out)
{
    size_t n = 0;
    for (;;) {
        unsigned first, last;
        if (!cpu_number(&s, &first)) {
            return false;
        }
        last = first;
        if (*s == '-' && (s++, !cpu_number(&s, &last) || last < first)) {
            return false;
        }
        if (last - first >= max - n) {
            return false;
        }
        while (first <= last) {
            out[n++] = first++;
        }
        if (*s != ',') {
            break;
        }
        s++;
    }
    if (*s) {
        return false;
    }
    qsort(out, n, sizeof *out, compare_unsigned);
    size_t unique = 1;
    for (size_t i = 1; i < n; i++) {
        if (out[i] != out[unique - 1]) {
            out[unique++] = out[i];
        }
    }
    *n_out = unique;
    return true;
}

/* splitmix64, which the authors of xoshiro recommend for seeding it (never yields the forbidden all-zero state). */
void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ (z >> 31);
    }
}

void rng_seed_random(struct rng *r)
{
    ssize_t n = getrandom(r->s, sizeof r->s, 0);
    if (n != sizeof r->s || !(r->s[0] | r->s[1] | r->s[2] | r->s[3])) {
        fprintf(stderr, "getrandom() gave no random bytes\n");
        abort();
    }
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t result = rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotl(r->s[3], 45);
    return result;
}

static uint64_t monotonic_now_ns(void *aux UNUSED)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * UINT64_C(1000000000) + (uint64_t) ts.tv_nsec;
}

struct clock clock_monotonic(void)
{
    return (struct clock) { monotonic_now_ns, NULL };
}

int raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) {
        return -errno;
    }
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}
