/* Memory that cannot fail, arithmetic and string helpers that every folder needs.  Pure; any thread. */
#ifndef LIB_UTIL_H
#define LIB_UTIL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *) (void *) ((char *) (ptr) - offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROUND_UP(x, to) ((((x) + (to) - 1) / (to)) * (to))
#define UNUSED __attribute__((unused))

/* As malloc and friends, but abort with a line on stderr when memory is exhausted. */
void *xmalloc(size_t);
void *xcalloc(size_t n, size_t size);                   /* Zeroed. */
void *xrealloc(void *, size_t);
char *xstrdup(const char *);
char *xmemdup0(const char *, size_t);                   /* Copies n bytes and a '\0'. */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define XNEW(type) ((type *) xcalloc(1, sizeof(type)))

/* Strict decimal or 0x-hex parse of the whole string; false if malformed or > max. */
bool str_to_u64(const char *, uint64_t max, uint64_t *out);
bool str_to_hex(const char *, unsigned max_digits, uint64_t *out);      /* Only hex digits, 1..max_digits of them. */
bool hex_to_bytes(const char *hex, uint8_t *out, size_t *size /* in: room, out: used */);
void bytes_to_hex(const uint8_t *, size_t, char *out /* 2n+1 */);
char *base64_encode(const uint8_t *, size_t);           /* Malloc'd. */
bool base64_decode(const char *, uint8_t *out, size_t *size /* in: room, out: used */);
bool utf8_valid(const char *, size_t);
/* Object names: 1..32 of [a-z0-9-], not starting or ending with '-'. */
bool name_valid(const char *);
/* snprintf that always terminates and silently truncates; returns out. */
char *str_copy(char *out, size_t size, const char *in);

/* FNV-1a/murmur-finalised 32/64-bit hash of bytes; seed may be 0.  Not for adversaries who know the seed: pass a random one. */
uint32_t hash_bytes(const void *, size_t, uint32_t seed);
static inline uint64_t hash_mix64(uint64_t x)
{
    x ^= x >> 33; x *= UINT64_C(0xff51afd7ed558ccd); x ^= x >> 33; x *= UINT64_C(0xc4ceb9fe1a85ec53); x ^= x >> 33;
    return x;
}
/* CPU lists as in sysfs ("1,3-5") to an ascending array of CPU numbers; false on bad syntax or > max numbers. */
bool cpulist_parse(const char *, unsigned *out, size_t max, size_t *n);

/* Deterministic pseudo-random numbers (xoshiro256**); the seed is printed by tests, taken from getrandom() by daemons. */
struct rng { uint64_t s[4]; };
void rng_seed(struct rng *, uint64_t seed);
void rng_seed_random(struct rng *);
uint64_t rng_u64(struct rng *);
static inline uint32_t rng_below(struct rng *r, uint32_t n) { return (uint32_t) (((rng_u64(r) >> 32) * n) >> 32); }

/* Time is injected: daemons use clock_monotonic(), tests a variable they advance. */
struct clock { uint64_t (*now_ns)(void *aux); void *aux; };
static inline uint64_t clock_now_ns(const struct clock *c) { return c->now_ns(c->aux); }
struct clock clock_monotonic(void);

/* Raises the limit of descriptors to what the process may have; 0 or -errno. */
int raise_file_limit(void);

#endif
