/*
 * The OpenFlow message codec: whatever bytes come, decoding gives an error or a message that encodes; and what was
 * encoded decodes, and encodes to the same bytes again (the first encoding may differ from the input in padding and in
 * the spelling of fields).
 */
#include <assert.h>
#include <stdlib.h>
#include "ofproto/of_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* The segments of a long multipart reply are messages of their own: only the first is compared. */
static void again(const struct buf *first)
{
    struct of_msg msg;
    struct buf second = BUF_INIT;
    unsigned length = of_frame_length(first->data, first->size);
    struct of_error error = of_decode(first->data, length, &msg);
    assert(of_ok(error));
    of_encode(&msg, &second);
    assert(second.size == length && !memcmp(first->data, second.data, length));
    of_msg_fini(&msg);
    buf_fini(&second);
}

static void try(const uint8_t *data, size_t size)
{
    struct of_msg msg;
    struct buf out = BUF_INIT;
    struct of_error error = of_decode(data, size, &msg);
    if (of_ok(error)) {
        of_msg_format(&msg, &out);
        assert(out.size);
        buf_clear(&out);
        of_encode(&msg, &out);
        again(&out);
        of_msg_fini(&msg);
    } else if (size >= OF_HEADER_SIZE) {
        of_error_encode(error, data, size, &out);
        if (!of_has_form(out.data[0], OFPT_FLOW_MOD)) {
            out.data[0] = OF13_VERSION;         /* As of_conn does for a version that nobody speaks. */
        }
        again(&out);
    }
    buf_fini(&out);
}

/* As it is, and with a header that says each version and the right length, so that bodies are reached. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t versions[] = { OF10_VERSION, OF13_VERSION, OF14_VERSION };
    try(data, size);
    for (unsigned i = 0; i < sizeof versions && size >= OF_HEADER_SIZE && size <= OF_MAX_MESSAGE; i++) {
        struct buf patched = BUF_INIT;
        buf_put(&patched, data, size);
        patched.data[0] = versions[i];
        buf_set_be16(&patched, 2, (uint16_t) size);
        try(patched.data, size);
        buf_fini(&patched);
    }
    return 0;
}
