/*
 * A space of small numbers, of which the lowest free one is handed out: ports' and landings' numbers on an edge,
 * address slots, edges' indexes.
 *
 * One bit a number, and a hint below which no word has a free bit, so that filling a space of n numbers costs O(n) in
 * all. Loop thread only.
 */
#ifndef TENANTS_NUMBERS_H
#define TENANTS_NUMBERS_H 1

#include <stdbool.h>
#include <stdint.h>

struct numbers {
    uint64_t *words;            /* Bit set: taken. */
    uint32_t n_words;
    uint32_t first_word;        /* Words below have no free bit. */
    uint32_t max;               /* Numbers are 1..max. */
    uint32_t n_taken;
};

void numbers_init(struct numbers *, uint32_t max);
void numbers_fini(struct numbers *);
uint32_t numbers_alloc(struct numbers *);                       /* The lowest free number, now taken; 0 when all are. */
bool numbers_take(struct numbers *, uint32_t n);                /* False if n is taken already or out of range. */
void numbers_release(struct numbers *, uint32_t n);             /* n must be taken. */
bool numbers_taken(const struct numbers *, uint32_t n);

#endif
