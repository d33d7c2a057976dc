/* Instructions: OpenFlow 1.3.5 section 7.2.4. */
#include "ofproto/action.h"

#include "lib/util.h"

enum {                          /* ofp_instruction_type */
    OFPIT_GOTO_TABLE = 1, OFPIT_WRITE_METADATA, OFPIT_WRITE_ACTIONS, OFPIT_APPLY_ACTIONS, OFPIT_CLEAR_ACTIONS, OFPIT_METER,
    OFPIT_EXPERIMENTER = 0xffff,
};

static struct of_error bad_instruction(uint16_t code)
{
    return OF_ERROR(OFPET_BAD_INSTRUCTION, code);
}

void instructions_init(struct instructions *is)
{
    *is = (struct instructions) { .has_apply = false };
}

void instructions_fini(struct instructions *is)
{
    actions_fini(&is->apply);
    actions_fini(&is->write);
    instructions_init(is);
}

void instructions_copy(struct instructions *dst, const struct instructions *src)
{
    *dst = *src;
    actions_copy(&dst->apply, &src->apply);
    actions_copy(&dst->write, &src->write);
}

bool instructions_equal(const struct instructions *a, const struct instructions *b)
{
    return a->clear == b->clear
        && a->has_goto == b->has_goto && (!a->has_goto || a->goto_table == b->goto_table)
        && a->has_meter == b->has_meter && (!a->has_meter || a->meter == b->meter)
        && a->has_metadata == b->has_metadata
        && (!a->has_metadata || (a->metadata == b->metadata && a->metadata_mask == b->metadata_mask))
        && actions_equal(&a->apply, &b->apply) && actions_equal(&a->write, &b->write);
}

/* "maximum of one instruction of each type" (section 5.9); the specification has no error code of its own for a second one. */
static struct of_error once(bool *seen)
{
    if (*seen) {
        return bad_instruction(OFPBIC_UNSUP_INST);
    }
    *seen = true;
    return OF_OK;
}

static struct of_error decode_actions(struct cursor body, bool *seen, struct actions *out)
{
    cursor_skip(&body, 4);
    if (body.failed) {
        return bad_instruction(OFPBIC_BAD_LEN);
    }
    struct of_error e = once(seen);
    return of_ok(e) ? actions_decode(body, out) : e;
}

static struct of_error decode_metadata(struct cursor *body, struct instructions *is)
{
    cursor_skip(body, 4);
    uint64_t metadata = cursor_be64(body);
    is->metadata_mask = cursor_be64(body);
    is->metadata = metadata & is->metadata_mask;
    return once(&is->has_metadata);
}

/* Fixed-size instructions and the size of each, type and length included. */
static unsigned fixed_size(uint16_t type)
{
    switch (type) {
    case OFPIT_GOTO_TABLE: case OFPIT_METER: case OFPIT_CLEAR_ACTIONS: return 8;
    case OFPIT_WRITE_METADATA: return 24;
    default: return 0;
    }
}

static struct of_error decode_one(struct cursor *c, struct instructions *is)
{
    uint16_t type = cursor_be16(c), len = cursor_be16(c);
    if (c->failed || len < 8 || len % 8) {
        return bad_instruction(OFPBIC_BAD_LEN);
    }
    struct cursor body = cursor_sub(c, len - 4u);
    if (c->failed || (fixed_size(type) && fixed_size(type) != len)) {
        return bad_instruction(OFPBIC_BAD_LEN);
    }
    switch (type) {
    case OFPIT_GOTO_TABLE:
        is->goto_table = cursor_u8(&body);
        return once(&is->has_goto);
    case OFPIT_WRITE_METADATA:
        return decode_metadata(&body, is);
    case OFPIT_WRITE_ACTIONS:
        return decode_actions(body, &is->has_write, &is->write);
    case OFPIT_APPLY_ACTIONS:
        return decode_actions(body, &is->has_apply, &is->apply);
    case OFPIT_CLEAR_ACTIONS:
        return once(&is->clear);
    case OFPIT_METER:
        is->meter = cursor_be32(&body);
        return once(&is->has_meter);
    case OFPIT_EXPERIMENTER:
        return bad_instruction(OFPBIC_BAD_EXPERIMENTER);
    default:
        return bad_instruction(OFPBIC_UNKNOWN_INST);
    }
}

struct of_error instructions_decode(struct cursor c, struct instructions *is)
{
    struct of_error e = OF_OK;

    instructions_init(is);
    while (of_ok(e) && cursor_left(&c)) {
        e = decode_one(&c, is);
    }
    if (!of_ok(e)) {
        instructions_fini(is);
    }
    return e;
}

static void put_header(struct buf *b, uint16_t type, uint16_t len)
{
    buf_put_be16(b, type);
    buf_put_be16(b, len);
}

static void put_actions(struct buf *b, uint16_t type, const struct actions *as)
{
    size_t start = b->size;
    put_header(b, type, 0);
    buf_put_zeros(b, 4);
    actions_encode(as, b);
    buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
}

/* In the order in which a switch executes them (section 5.9). */
void instructions_encode(const struct instructions *is, struct buf *b)
{
    if (is->has_meter) {
        put_header(b, OFPIT_METER, 8);
        buf_put_be32(b, is->meter);
    }
    if (is->has_apply) {
        put_actions(b, OFPIT_APPLY_ACTIONS, &is->apply);
    }
    if (is->clear) {
        put_header(b, OFPIT_CLEAR_ACTIONS, 8);
        buf_put_zeros(b, 4);
    }
    if (is->has_write) {
        put_actions(b, OFPIT_WRITE_ACTIONS, &is->write);
    }
    if (is->has_metadata) {
        put_header(b, OFPIT_WRITE_METADATA, 24);
        buf_put_zeros(b, 4);
        buf_put_be64(b, is->metadata);
        buf_put_be64(b, is->metadata_mask);
    }
    if (is->has_goto) {
        put_header(b, OFPIT_GOTO_TABLE, 8);
        buf_put_u8(b, is->goto_table);
        buf_put_zeros(b, 3);
    }
}
