/*
 * Instructions and actions: decoding gives an error or a list that encodes in no more bytes than it came in, decodes to
 * itself, can be checked and copied, and, if a switch would take it, has a text that parses.
 */
#include <assert.h>
#include "ofproto/action.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void check_text(const struct instructions *is)
{
    struct instructions parsed;
    struct match any;
    struct buf b = BUF_INIT;
    struct err err = ERR_INIT;

    match_init(&any);
    struct of_error for_match = instructions_check(is, &any, 0);
    struct of_error e = instructions_check(is, NULL, 0);
    /* Conjunctions stand in entries only, which have a match. */
    assert(of_ok(e) || !of_ok(for_match) || (e.type == OFPET_NICIRA && e.code == NXE_BAD_CONJUNCTION));
    instructions_format(is, &b);
    assert(b.size);
    if (of_ok(e)) {
        bool ok = instructions_parse(buf_cstr(&b), &parsed, &err);
        assert(ok);
        instructions_fini(&parsed);
    }
    buf_fini(&b);
}

static void check(const struct instructions *is, size_t size)
{
    struct instructions again, copy;
    struct buf b = BUF_INIT;

    instructions_encode(is, &b);
    assert(b.size <= size);
    struct of_error e = instructions_decode(cursor_make(b.data, b.size), &again);
    assert(of_ok(e) && instructions_equal(is, &again));
    instructions_copy(&copy, &again);
    instructions_fini(&again);
    assert(instructions_equal(is, &copy));
    instructions_fini(&copy);
    buf_fini(&b);
    check_text(is);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct instructions is;
    struct cursor c = cursor_make(data, size);
    if (of_ok(instructions_decode(c, &is))) {
        check(&is, size);
        instructions_fini(&is);
    }
    /* The same bytes as a bare list, in the instruction that such a list would have come in. */
    instructions_init(&is);
    if (size <= 60000 && of_ok(actions_decode(c, &is.apply))) {
        is.has_apply = true;
        check(&is, size + 8);
    }
    instructions_fini(&is);
    return 0;
}
