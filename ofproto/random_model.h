/* Random but valid matches, actions and instructions, for round-trip tests. */
#ifndef OFPROTO_RANDOM_MODEL_H
#define OFPROTO_RANDOM_MODEL_H 1

#include "lib/util.h"
#include "ofproto/action.h"

void random_value(struct rng *, const struct field *, union field_value *);
/* Ones in the field's bits at random, seldom all; never zero. */
void random_mask(struct rng *, const struct field *, union field_value *);
/* Prerequisites included, masks only where the wire allows them. */
void random_match(struct rng *, struct match *);
/* Whatever the wire can carry; with `text` only what text keeps too (max_len of plain ports, for one, has no spelling). */
void random_actions(struct rng *, struct actions *, bool text, unsigned depth);
void random_instructions(struct rng *, struct instructions *, bool text);

/* Appends the bytes of a hex string in which blanks may stand anywhere. */
void put_hex(struct buf *, const char *hex);

#endif
