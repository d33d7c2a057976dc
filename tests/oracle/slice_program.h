/* Random OpenFlow programs and frames from few values, so that entries and frames meet. */
#ifndef TESTS_ORACLE_SLICE_PROGRAM_H
#define TESTS_ORACLE_SLICE_PROGRAM_H 1

#include "lib/util.h"
#include "ofproto/of_msg.h"

#define PROGRAM_TABLES 3
#define PROGRAM_GROUPS 6

/* ports: the switch's numbers. set_only: entries that write actions end the pipeline. */
struct program { struct rng *rng; const uint32_t *ports; unsigned n_ports; bool terminal_sets; };

void program_flow_mod(const struct program *, struct of_flow_mod *);            /* instructions_fini() */
void program_group_mod(const struct program *, struct of_group_mod *);          /* of_buckets_free() */
void program_packet_out(const struct program *, struct actions *);              /* actions_fini() */
/* A frame; returns its size, out ≥ 300 bytes. */
unsigned program_frame(struct rng *, uint8_t *out);
#define PROGRAM_N_MACS 6
struct mac program_mac(unsigned i);
#endif
