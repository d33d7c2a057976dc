/*
 * What the text parsers share: tokens, key-argument pairs, ports, subfields.  Private to text*.c.
 *
 * ovs-ofctl's language is a list of tokens, separated by commas or blanks outside brackets; a token is KEY, KEY=ARG,
 * KEY:ARG or KEY(ARG).  The helpers work in place on a private copy of the text.
 */
#ifndef OFPROTO_TEXT_H
#define OFPROTO_TEXT_H 1

#include "ofproto/action.h"

/* The next token, terminated in place, or NULL at the end; *rest advances.  Brackets that do not balance end up in one token, which its parser refuses. */
char *text_next(char **rest);
/* Splits at the first of ':', '(' and '='.  *arg NULL: none.  False (and err) for "key(…" without its closing bracket at the end. */
bool text_split(char *token, char **arg, struct err *);
bool text_number(const char *key, const char *arg, uint64_t max, uint64_t *out, struct err *);
/* "7", "LOCAL", "in_port" …; formats to a name for reserved ports. */
bool text_port_parse(const char *, uint32_t *port);
void text_port_format(uint32_t port, char *out, size_t size);
/* NXM_NX_REG0[0..15], NXM_NX_REG0[3], NXM_OF_ETH_SRC[], reg0. */
bool text_subfield_parse(char *, struct subfield *, struct err *);
void text_subfield_format(const struct subfield *, struct buf *);

/* Of packet-ins, by number: OFPR_* (OpenFlow 1.4.1 section 7.4.1). */
#define TEXT_N_REASONS 6
extern const char *const text_reason_names[TEXT_N_REASONS];

/* One token of an action list.  *drop is set for the word "drop", which must stand alone. */
bool text_action_token(char *token, struct actions *, unsigned depth, bool *drop, struct err *);
/* What was parsed must fit one message; `write` may be NULL. */
bool text_fits(const struct actions *apply, const struct actions *write, struct err *);
/* A whole list, in place. */
bool text_actions(char *text, struct actions *, unsigned depth, struct err *);

#endif
