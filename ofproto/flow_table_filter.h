/* Which entries a non-strict request or a statistics filter selects (OpenFlow 1.3.5 sections 6.4 and 7.3.5.2), on the compressed matches. */
#ifndef OFPROTO_FLOW_TABLE_FILTER_H
#define OFPROTO_FLOW_TABLE_FILTER_H 1

#include "ofproto/flow_table.h"

/* As match_subsumes() and match_overlaps(). */
bool minimatch_subsumes(const struct minimatch *a, const struct minimatch *b);
bool minimatch_overlaps(const struct minimatch *, const struct minimatch *);

/* The cookie (mask 0: any), out_port and out_group of a filter; table and match are the caller's. */
/* Whether the actions name the port and the group (OFPP_ANY, OFPG_ANY: any or none). */
bool instructions_lead_to(const struct instructions *, uint32_t out_port, uint32_t out_group);
bool flow_entry_passes(const struct flow_entry *, uint64_t cookie, uint64_t cookie_mask, uint32_t out_port, uint32_t out_group);

#endif
