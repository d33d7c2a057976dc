/*
 * Discovery frames: IEEE 802.1AB LLDPDUs that only this site's controllerd can make.
 *
 *   01:80:c2:00:00:0e | port's MAC | 88cc |
 *   chassis id (subtype 7, "of:" datapath id in 16 hex digits) | port id (subtype 7, the port number in decimal) | TTL |
 *   127: OUI 02-50-4c, subtype 1, sequence (64 bits), HMAC-SHA-256 over (label, datapath id, port, TTL, sequence) | end
 *
 * lldp_parse() says what a frame is and never who may have sent it on: LLDP_OK means that the site's key signed
 * (datapath, port, sequence); whether the sequence is fresh is lldp_fresh()'s, against the sender port's own record.
 * Pure; the key is the caller's.
 */
#ifndef CONTROLLER_LLDP_H
#define CONTROLLER_LLDP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/addr.h"
#include "lib/buf.h"

#define LLDP_ETHERTYPE 0x88cc
#define LLDP_KEY_MIN 16
#define LLDP_KEY_MAX 64

struct lldp_key { uint8_t b[LLDP_KEY_MAX]; size_t size; };

enum lldp_verdict {
    LLDP_OK,
    LLDP_FOREIGN,               /* No LLDP, or LLDP of somebody else's: no TLV of ours. */
    LLDP_MALFORMED,             /* Claims to be ours, but is not well formed. */
    LLDP_FORGED,                /* The HMAC is not the key's. */
};
struct lldp_info { uint64_t datapath_id; uint32_t port; uint16_t ttl; uint64_t sequence; };

/* Appends a frame (at least 60 bytes, without FCS). */
void lldp_build(const struct lldp_key *, const struct lldp_info *, struct mac source, struct buf *);
/* `info` is filled when the verdict is LLDP_OK or LLDP_FORGED. */
enum lldp_verdict lldp_parse(const struct lldp_key *, const uint8_t *frame, size_t size, struct lldp_info *info);

/* What the sender remembers of one port.  A sequence is fresh once, when it is one of the last LLDP_WINDOW that were sent. */
#define LLDP_WINDOW 3
struct lldp_sent { uint64_t first, last, accepted; };           /* Sequences: of this run's first frame, the last sent, the last accepted (first - 1: none). */
void lldp_sent_init(struct lldp_sent *, uint64_t first);
uint64_t lldp_sent_next(struct lldp_sent *);                    /* The sequence for the next frame. */
bool lldp_fresh(struct lldp_sent *, uint64_t sequence);         /* Accepts it if it is. */

#endif
