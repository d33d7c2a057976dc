/*
 * Integers in wire (network) byte order, as types of their own.
 *
 * A `be32` is not a `uint32_t`: assigning one to the other without a conversion does not compile.  Structures that
 * mirror wire bytes use these members; everything else holds host-order integers.  All helpers are pure.
 */
#ifndef LIB_WIRE_H
#define LIB_WIRE_H 1

#include <stdint.h>
#include <string.h>

typedef struct { uint16_t v; } __attribute__((packed)) be16;
typedef struct { uint32_t v; } __attribute__((packed)) be32;
typedef struct { uint64_t v; } __attribute__((packed)) be64;

static inline uint16_t be16_get(be16 x) { return __builtin_bswap16(x.v); }
static inline uint32_t be32_get(be32 x) { return __builtin_bswap32(x.v); }
static inline uint64_t be64_get(be64 x) { return __builtin_bswap64(x.v); }
static inline be16 be16_put(uint16_t x) { return (be16) { __builtin_bswap16(x) }; }
static inline be32 be32_put(uint32_t x) { return (be32) { __builtin_bswap32(x) }; }
static inline be64 be64_put(uint64_t x) { return (be64) { __builtin_bswap64(x) }; }

/* Unaligned big-endian loads and stores at `p`. */
static inline uint16_t wire_get16(const void *p) { uint16_t x; memcpy(&x, p, 2); return __builtin_bswap16(x); }
static inline uint32_t wire_get32(const void *p) { uint32_t x; memcpy(&x, p, 4); return __builtin_bswap32(x); }
static inline uint64_t wire_get64(const void *p) { uint64_t x; memcpy(&x, p, 8); return __builtin_bswap64(x); }
static inline uint64_t wire_get48(const void *p) { return ((uint64_t) wire_get16(p) << 32) | wire_get32((const char *) p + 2); }
static inline void wire_put16(void *p, uint16_t x) { x = __builtin_bswap16(x); memcpy(p, &x, 2); }
static inline void wire_put32(void *p, uint32_t x) { x = __builtin_bswap32(x); memcpy(p, &x, 4); }
static inline void wire_put64(void *p, uint64_t x) { x = __builtin_bswap64(x); memcpy(p, &x, 8); }
static inline void wire_put48(void *p, uint64_t x) { wire_put16(p, (uint16_t) (x >> 32)); wire_put32((char *) p + 2, (uint32_t) x); }

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Polder is built for little-endian hosts");

#endif
