/*
 * Who may use the API: bearer tokens, from the file that rest.tokens names.
 *
 * The file is a JSON array of {"token","name","role":"operator"|"tenant","tenant"}. Only SHA-256 digests of the tokens
 * are kept, and a lookup compares with all of them in constant time, so neither a core dump nor the time it takes tells
 * a token. Over the unix socket there are no tokens: the kernel says who is calling (SO_PEERCRED).
 */
#ifndef CONTROLLER_AUTH_H
#define CONTROLLER_AUTH_H 1

#include <stdbool.h>
#include "lib/err.h"

#define TOKEN_MIN 16
#define TOKEN_MAX 256

struct principal { char name[64]; char tenant[33]; };           /* tenant "": operator. */
struct tokens;

/* NULL and err (field of the file, the message names the file) when it cannot be read or used. */
struct tokens *tokens_load(const char *path, struct err *);
void tokens_free(struct tokens *);
/* By the value of an Authorization header ("Bearer TOKEN"), NULL when it is no valid one. */
const struct principal *tokens_find(const struct tokens *, const char *authorization);

#endif
