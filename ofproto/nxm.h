/*
 * Matches in Nicira's form: TLVs like OXM's, but with NXM numbers, without ofp_match's header, and with a few fields
 * that OXM has not (the whole VLAN TCI, the ToS byte, a 16-bit ingress port, the cookie).  OpenFlow 1.0 connections use
 * it (NXT_FLOW_MOD, NXST_FLOW, NXT_PACKET_IN); see Open vSwitch's nicira-ext.h.
 */
#ifndef OFPROTO_NXM_H
#define OFPROTO_NXM_H 1

#include "ofproto/match.h"

/* `size` bytes and their padding to 8 at the cursor.  The cookie TLV goes to cookie and mask; NULL: it may not stand there. */
struct of_error nxm_decode(struct cursor *, uint16_t size, struct match *, uint64_t *cookie, uint64_t *cookie_mask);
/* With padding; returns the size without it. cookie_mask 0: no cookie. */
uint16_t nxm_encode(const struct match *, uint64_t cookie, uint64_t cookie_mask, struct buf *);

#endif
