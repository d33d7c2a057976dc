/*
 * MAC and IP addresses and prefixes: parse, print, compare.  Pure; any thread.
 *
 * An IP is stored in 16 bytes in wire order; IPv4 sits in the last four bytes behind the ::ffff:0:0/96 prefix, so one
 * type serves both families. Text forms accepted are exactly those of RFC 4291 section 2.2 and dotted quads (no leading
 * zeros).
 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mac { uint8_t b[6]; };
struct ip { uint8_t b[16]; };
struct prefix { struct ip ip; uint8_t len; bool is_v4; };      /* len counts the family's own bits: 0..32 or 0..128. */

#define MAC_STRLEN 18
#define IP_STRLEN 46
#define PREFIX_STRLEN 50

bool mac_parse(const char *, struct mac *);
char *mac_format(struct mac, char out[MAC_STRLEN]);            /* Returns out. */
static inline uint64_t mac_u64(struct mac m) { uint64_t x = 0; for (int i = 0; i < 6; i++) { x = x << 8 | m.b[i]; } return x; }
static inline struct mac mac_from_u64(uint64_t x) { struct mac m; for (int i = 5; i >= 0; i--, x >>= 8) { m.b[i] = (uint8_t) x; } return m; }
static inline bool mac_is_multicast(struct mac m) { return m.b[0] & 1; }

bool ip_parse(const char *, struct ip *);                      /* Either family. */
char *ip_format(const struct ip *, char out[IP_STRLEN]);
bool ip_is_v4(const struct ip *);
uint32_t ip_v4(const struct ip *);                             /* Host order. */
struct ip ip_from_v4(uint32_t host_order);
bool ip_equal(const struct ip *, const struct ip *);
struct ip ip_link_local_eui64(struct mac);                     /* fe80::/64, RFC 4291 appendix A. */
struct ip ip_add(const struct ip *, uint64_t);                 /* Adds within the low 64 (v6) or 32 (v4) bits; no carry beyond. */

/* "10.0.0.0/24"; false if malformed or if bits beyond the prefix length are set (host bits must be zero). */
bool prefix_parse(const char *, struct prefix *);
char *prefix_format(const struct prefix *, char out[PREFIX_STRLEN]);
bool prefix_contains(const struct prefix *, const struct ip *);
bool prefix_overlaps(const struct prefix *, const struct prefix *);

#endif
