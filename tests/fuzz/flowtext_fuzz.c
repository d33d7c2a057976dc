/*
 * The text of flows: whatever is typed, parsing gives an error that names something, or a model whose text and whose
 * wire bytes mean the same model again.
 */
#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"
#include "ofproto/action.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void check_match(const char *text)
{
    struct match m, again;
    struct err err = ERR_INIT;
    struct buf b = BUF_INIT;

    if (!match_parse(text, &m, &err)) {
        assert(err.code == ERR_INVALID && err.message[0]);
        return;
    }
    match_format(&m, &b);
    bool parsed = match_parse(buf_cstr(&b), &again, &err);
    assert(parsed && match_equal(&m, &again));
    buf_clear(&b);
    match_encode(&m, &b);
    struct cursor c = cursor_make(b.data, b.size);
    struct of_error e = match_decode(&c, &again);
    assert(of_ok(e) && match_equal(&m, &again));
    buf_fini(&b);
}

static void check_instructions(const char *text)
{
    struct instructions is, again;
    struct err err = ERR_INIT;
    struct buf b = BUF_INIT;

    if (!instructions_parse(text, &is, &err)) {
        assert(err.code == ERR_INVALID && err.message[0]);
        return;
    }
    instructions_format(&is, &b);
    bool parsed = instructions_parse(buf_cstr(&b), &again, &err);
    assert(parsed && instructions_equal(&is, &again));
    instructions_fini(&again);
    buf_clear(&b);
    instructions_encode(&is, &b);
    struct of_error e = instructions_decode(cursor_make(b.data, b.size), &again);
    assert(of_ok(e) && instructions_equal(&is, &again));
    instructions_fini(&again);
    instructions_fini(&is);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xmemdup0((const char *) data, size);
    struct actions as;
    struct err err = ERR_INIT;

    check_match(text);
    check_instructions(text);
    if (actions_parse(text, &as, &err)) {
        actions_fini(&as);
    }
    free(text);
    return 0;
}
