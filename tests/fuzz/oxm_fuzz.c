/*
 * OXM matches: whatever bytes come, decoding gives an error or a match whose prerequisites hold, that encodes and
 * decodes to itself, and that its text means again.
 */
#include <assert.h>
#include <stdlib.h>
#include "ofproto/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void check(const struct match *m)
{
    struct match again;
    struct buf b = BUF_INIT;
    struct err err = ERR_INIT;

    assert(of_ok(match_check_prereqs(m)));
    match_encode(m, &b);
    struct cursor c = cursor_make(b.data, b.size);
    struct of_error e = match_decode(&c, &again);
    assert(of_ok(e) && !cursor_left(&c) && match_equal(m, &again));
    buf_clear(&b);
    match_format(m, &b);
    bool parsed = match_parse(buf_cstr(&b), &again, &err);
    assert(parsed && match_equal(m, &again));
    buf_fini(&b);

    struct minimatch *mini = minimatch_new(m);
    minimatch_expand(mini, &again);
    assert(match_equal(m, &again));
    free(mini);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct match m;
    struct cursor c = cursor_make(data, size);
    if (of_ok(match_decode_oxm(c, &m))) {
        check(&m);
    }
    if (of_ok(match_decode(&c, &m))) {
        check(&m);
    }
    return 0;
}
