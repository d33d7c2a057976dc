#include "tenants/numbers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

void numbers_init(struct numbers *s, uint32_t max)
{
    *s = (struct numbers) { .max = max };
}

void numbers_fini(struct numbers *s)
{
    free(s->words);
    numbers_init(s, 0);
}

static void reach(struct numbers *s, uint32_t word)
{
    if (word < s->n_words) {
        return;
    }
    uint32_t n = MAX(word + 1, s->n_words * 2);
    s->words = xrealloc(s->words, n * sizeof *s->words);
    memset(s->words + s->n_words, 0, (n - s->n_words) * sizeof *s->words);
    if (!s->n_words) {
        s->words[0] = 1;        /* 0 is no number. */
    }
    s->n_words = n;
}

bool numbers_taken(const struct numbers *s, uint32_t n)
{
    return n / 64 < s->n_words && (s->words[n / 64] >> n % 64 & 1);
}

bool numbers_take(struct numbers *s, uint32_t n)
{
    if (!n || n > s->max || numbers_taken(s, n)) {
        return false;
    }
    reach(s, n / 64);
    s->words[n / 64] |= UINT64_C(1) << n % 64;
    s->n_taken++;
    return true;
}

uint32_t numbers_alloc(struct numbers *s)
{
    if (s->n_taken >= s->max) {
        return 0;
    }
    reach(s, 0);
    while (s->first_word < s->n_words && !~s->words[s->first_word]) {
        s->first_word++;
    }
    reach(s, s->first_word);
    uint32_t n = s->first_word * 64 + (uint32_t) __builtin_ctzll(~s->words[s->first_word]);
    return numbers_take(s, n) ? n : 0;
}

void numbers_release(struct numbers *s, uint32_t n)
{
    assert(n && numbers_taken(s, n));
    s->words[n / 64] &= ~(UINT64_C(1) << n % 64);
    s->n_taken--;
    s->first_word = MIN(s->first_word, n / 64);
}
