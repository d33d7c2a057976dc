/* The message codec: golden bytes (packed by hand from the specification), truncation, errors, random round trips, segmentation, text. */
#include "ofproto/of_msg.h"

#include <dirent.h>
#include <string.h>
#include "ofproto/random_model.h"
#include "tests/unit.h"

unit_suite_fn of_msg_test_suite;

/* --- Golden files --- */

static bool load_golden_of(const char *version, const char *name, struct buf *b)
{
    char path[512], line[1024];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/golden/%s/%s", srcdir ? srcdir : ".", version, name);
    FILE *f = fopen(path, "r");
    if (!f) {
        return false;
    }
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#') {
            put_hex(b, line);
        }
    }
    fclose(f);
    return true;
}

static bool load_golden(const char *name, struct buf *b)
{
    return load_golden_of("of13", name, b);
}

/* Every one of them was read by Open vSwitch's decoder as well: the first line says how. */
static unsigned for_each_golden_of(const char *version, void (*fn)(const char *name, const struct buf *))
{
    char path[512];
    const char *srcdir = getenv("srcdir");
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/tests/golden/%s", srcdir ? srcdir : ".", version);
    DIR *dir = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    for (const struct dirent *d; (d = readdir(dir)) != NULL; ) {
        if (strstr(d->d_name, ".hex")) {
            struct buf b = BUF_INIT;
            CU_ASSERT_TRUE_FATAL(load_golden_of(version, d->d_name, &b) && b.size >= OF_HEADER_SIZE);
            fn(d->d_name, &b);
            buf_fini(&b);
            n++;
        }
    }
    closedir(dir);
    return n;
}

static void for_each_golden(void (*fn)(const char *name, const struct buf *))
{
    CU_ASSERT_TRUE(for_each_golden_of("of10", fn) >= 30);
    CU_ASSERT_TRUE(for_each_golden_of("of13", fn) >= 78);
    CU_ASSERT_TRUE(for_each_golden_of("of14", fn) >= 34);
}

static void golden_round_trip(const char *name, const struct buf *in)
{
    struct of_msg msg;
    struct buf out = BUF_INIT;
    struct of_error error = of_decode(in->data, in->size, &msg);
    if (!of_ok(error)) {
        char scratch[32];
        printf("%s: %s\n", name, of_error_name(error, scratch));
        CU_FAIL("golden message refused");
        return;
    }
    CU_ASSERT_EQUAL(msg.xid, 0x01020304);
    of_encode(&msg, &out);
    if (out.size != in->size || memcmp(out.data, in->data, in->size)) {
        printf("%s: %zu bytes became %zu\n", name, in->size, out.size);
        CU_FAIL("golden message changed");
    }
    buf_clear(&out);
    of_msg_format(&msg, &out);
    CU_ASSERT_EQUAL(strncmp(buf_cstr(&out), of_type_name(msg.type), strlen(of_type_name(msg.type))), 0);
    of_msg_fini(&msg);
    of_msg_fini(&msg);                  /* Twice is harmless. */
    buf_fini(&out);
}

static void test_golden(void)
{
    for_each_golden(golden_round_trip);
}

/* A message that was cut short and says so: an error, or still a whole message; never a read beyond it (ASan), never `fini` of garbage. */
static void golden_truncated(const char *name UNUSED, const struct buf *in)
{
    for (size_t size = OF_HEADER_SIZE; size < in->size; size++) {
        uint8_t *cut = xmalloc(size);
        memcpy(cut, in->data, size);
        wire_put16(cut + 2, (uint16_t) size);
        struct of_msg msg;
        struct of_error error = of_decode(cut, size, &msg);
        if (of_ok(error)) {
            of_msg_fini(&msg);
        } else {
            CU_ASSERT_EQUAL(msg.xid, 0x01020304);
            CU_ASSERT_TRUE(msg.type == in->data[1] || in->data[0] == OF10_VERSION || in->data[1] == OFPT_EXPERIMENTER);
        }
        free(cut);
    }
    struct of_msg msg;
    struct of_error error = of_decode(in->data, in->size - 1, &msg);
    CU_ASSERT_TRUE(error.type == OFPET_BAD_REQUEST && error.code == OFPBRC_BAD_LEN);
}

static void test_truncated(void)
{
    for_each_golden(golden_truncated);
}

/* --- Errors --- */

static void test_errors(void)
{
    static const struct { const char *hex; struct of_error error; } cases[] = {
        { "04 05 0008 00000001", { 0xffff, 0xffff } },
        { "04 05 0009 00000001 00", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 05 0007 00000001", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 1e 0008 00000001", { OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE } },
        { "04 ff 0008 00000001", { OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE } },
        { "02 05 0008 00000001", { OFPET_BAD_REQUEST, OFPBRC_BAD_VERSION } },
        { "01 05 0008 00000001", { 0xffff, 0xffff } },
        { "01 16 0008 00000001", { OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE } },
        { "05 16 0010 00000001 00000001 00000000", { OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE } },   /* Queue-get-config is gone from 1.4. */
        { "ff 05 0008 00000001", { OFPET_BAD_REQUEST, OFPBRC_BAD_VERSION } },
        { "ff 01 000c 00000001 0000 0000", { OFPET_BAD_REQUEST, OFPBRC_BAD_VERSION } },
        { "01 00 0008 00000001", { 0xffff, 0xffff } },                                      /* Hello of any version. */
        { "04 00 000c 00000001 0001 0004", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },         /* Bitmap without a bitmap. */
        { "04 00 000c 00000001 0001 0003", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 00 000c 00000001 0001 0010", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 00 0010 00000001 0077 0008 00000000", { 0xffff, 0xffff } },                   /* Unknown element: skipped. */
        { "04 12 0010 00000001 000e 0000 00000000", { OFPET_BAD_REQUEST, OFPBRC_BAD_MULTIPART } },
        { "04 12 0018 00000001 0000 0000 00000000 0000000000000000", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 12 0010 00000001 0001 0000 00000000", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 12 0018 00000001 000c 0000 00000000 0008000000000000", { OFPET_TABLE_FEATURES_FAILED, OFPTFFC_BAD_LEN } },
        { "04 13 0018 00000001 0003 0000 00000000 0000000000000000", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 0f 0010 00000001 0003 00 00 00000001", { OFPET_GROUP_MOD_FAILED, OFPGMFC_BAD_COMMAND } },
        { "04 0f 0018 00000001 0000 00 00 00000001 0008 0000 00000000", { OFPET_GROUP_MOD_FAILED, OFPGMFC_BAD_BUCKET } },
        { "04 0f 0020 00000001 0000 00 00 00000001 0018 0000 00000000 00000000 00000000", { OFPET_GROUP_MOD_FAILED, OFPGMFC_BAD_BUCKET } },
        { "04 0f 0028 00000001 0000 00 00 00000001 0018 0000 ffffffff ffffffff 00000000 0063 0008 00000000",
          { OFPET_BAD_ACTION, OFPBAC_BAD_TYPE } },
        { "04 1d 0010 00000001 0003 0001 00000001", { OFPET_METER_MOD_FAILED, OFPMMFC_BAD_COMMAND } },
        { "04 1d 0010 00000001 0000 0010 00000001", { OFPET_METER_MOD_FAILED, OFPMMFC_BAD_FLAGS } },
        { "04 1d 0020 00000001 0000 0001 00000001 0003 0010 00000001 00000001 00000000", { OFPET_METER_MOD_FAILED, OFPMMFC_BAD_BAND } },
        { "04 1d 0020 00000001 0000 0001 00000001 0001 0018 00000001 00000001 00000000", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
        { "04 0d 0018 00000001 ffffffff fffffffd 0008 000000000000", { OFPET_BAD_REQUEST, OFPBRC_BAD_LEN } },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT;
        struct of_msg msg;
        put_hex(&b, cases[i].hex);
        struct of_error error = of_decode(b.data, b.size, &msg);
        if (error.type != cases[i].error.type || error.code != cases[i].error.code) {
            printf("%s: got %u/%u\n", cases[i].hex, error.type, error.code);
            CU_FAIL("wrong error");
        }
        if (of_ok(error)) {
            of_msg_fini(&msg);
        }
        buf_fini(&b);
    }
}

/* The command and flags of a flow-mod, patched into a good one. */
static void test_flow_mod_errors(void)
{
    struct buf b = BUF_INIT;
    struct of_msg msg;
    CU_ASSERT_TRUE_FATAL(load_golden("flow_mod_add.hex", &b));
    b.data[25] = 5;
    struct of_error error = of_decode(b.data, b.size, &msg);
    CU_ASSERT_TRUE(error.type == OFPET_FLOW_MOD_FAILED && error.code == OFPFMFC_BAD_COMMAND);
    b.data[25] = 0;
    b.data[45] = 0x20;
    error = of_decode(b.data, b.size, &msg);
    CU_ASSERT_TRUE(error.type == OFPET_FLOW_MOD_FAILED && error.code == OFPFMFC_BAD_FLAGS);
    b.data[45] = 0;
    error = of_decode(b.data, b.size, &msg);
    CU_ASSERT_TRUE(of_ok(error));
    CU_ASSERT_EQUAL(msg.flow_mod.cookie, 0xc0ffee);
    CU_ASSERT_EQUAL(msg.flow_mod.table_id, 2);
    CU_ASSERT_EQUAL(msg.flow_mod.hard_timeout, 300);
    CU_ASSERT_EQUAL(msg.flow_mod.instructions.goto_table, 3);
    of_msg_fini(&msg);
    buf_fini(&b);
}

static void test_error_reply(void)
{
    uint8_t request[200];
    struct buf b = BUF_INIT;
    struct of_msg msg;
    for (unsigned i = 0; i < sizeof request; i++) {
        request[i] = (uint8_t) i;
    }
    request[0] = OF13_VERSION;
    of_error_encode(OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE), request, sizeof request, &b);
    CU_ASSERT_TRUE_FATAL(of_ok(of_decode(b.data, b.size, &msg)));
    CU_ASSERT_EQUAL(msg.xid, 0x04050607);
    CU_ASSERT_EQUAL(msg.error.error.type, OFPET_BAD_REQUEST);
    CU_ASSERT_EQUAL(msg.error.error.code, OFPBRC_IS_SLAVE);
    CU_ASSERT_EQUAL(msg.error.size, 64);
    CU_ASSERT_EQUAL(memcmp(msg.error.data, request, 64), 0);
    of_msg_fini(&msg);
    buf_fini(&b);
}

/* --- Random round trips --- */

static void random_buckets(struct rng *r, struct of_bucket **buckets, unsigned *n)
{
    *n = rng_below(r, 4);
    *buckets = *n ? xcalloc(*n, sizeof **buckets) : NULL;
    for (unsigned i = 0; i < *n; i++) {
        struct of_bucket *b = &(*buckets)[i];
        *b = (struct of_bucket) { .weight = (uint16_t) rng_u64(r), .watch_port = (uint32_t) rng_u64(r), .watch_group = (uint32_t) rng_u64(r) };
        random_actions(r, &b->actions, false, 0);
    }
}

static void random_flow(struct rng *r, struct of_flow_stats *fs)
{
    *fs = (struct of_flow_stats) { .table_id = (uint8_t) rng_u64(r), .duration_sec = (uint32_t) rng_u64(r), .priority = (uint16_t) rng_u64(r),
                                   .flags = (uint16_t) rng_below(r, 32), .cookie = rng_u64(r), .packet_count = rng_u64(r), .byte_count = rng_u64(r) };
    random_match(r, &fs->match);
    random_instructions(r, &fs->instructions, false);
}

static uint8_t *random_bytes(struct rng *r, unsigned *size)
{
    *size = rng_below(r, 100);
    uint8_t *data = xmalloc(*size + 1u);
    for (unsigned i = 0; i < *size; i++) {
        data[i] = (uint8_t) rng_u64(r);
    }
    return data;
}

static void random_message(struct rng *r, struct of_msg *msg)
{
    static const enum of_type types[] = { OFPT_PACKET_IN, OFPT_PACKET_OUT, OFPT_FLOW_MOD, OFPT_FLOW_REMOVED, OFPT_GROUP_MOD,
                                          OFPT_MULTIPART_REQUEST, OFPT_MULTIPART_REPLY };
    of_msg_init(msg, types[rng_below(r, ARRAY_SIZE(types))], (uint32_t) rng_u64(r));
    switch ((unsigned) msg->type) {
    case OFPT_PACKET_IN:
        random_match(r, &msg->packet_in.match);
        msg->packet_in.data = random_bytes(r, &msg->packet_in.size);
        msg->packet_in.cookie = rng_u64(r);
        break;
    case OFPT_PACKET_OUT:
        random_actions(r, &msg->packet_out.actions, false, 0);
        msg->packet_out.data = random_bytes(r, &msg->packet_out.size);
        break;
    case OFPT_FLOW_MOD:
        msg->flow_mod.command = (enum of_flow_command) rng_below(r, 5);
        msg->flow_mod.cookie = rng_u64(r);
        msg->flow_mod.flags = (uint16_t) rng_below(r, 32);
        random_match(r, &msg->flow_mod.match);
        random_instructions(r, &msg->flow_mod.instructions, false);
        break;
    case OFPT_FLOW_REMOVED:
        msg->flow_removed.packet_count = rng_u64(r);
        random_match(r, &msg->flow_removed.match);
        break;
    case OFPT_GROUP_MOD:
        msg->group_mod.group_id = (uint32_t) rng_u64(r);
        random_buckets(r, &msg->group_mod.buckets, &msg->group_mod.n_buckets);
        break;
    case OFPT_MULTIPART_REQUEST:
        msg->multipart.type = rng_below(r, 2) ? OFPMP_FLOW : OFPMP_AGGREGATE;
        of_flow_filter_init(&msg->multipart.filter);
        msg->multipart.filter.cookie_mask = rng_u64(r);
        random_match(r, &msg->multipart.filter.match);
        break;
    default:
        if (rng_below(r, 2)) {
            msg->multipart.type = OFPMP_FLOW;
            msg->multipart.flows.n = rng_below(r, 5);
            msg->multipart.flows.v = xcalloc(5, sizeof *msg->multipart.flows.v);
            for (unsigned i = 0; i < msg->multipart.flows.n; i++) {
                random_flow(r, &msg->multipart.flows.v[i]);
            }
        } else {
            msg->multipart.type = OFPMP_GROUP_DESC;
            msg->multipart.group_descs.n = rng_below(r, 5);
            msg->multipart.group_descs.v = xcalloc(5, sizeof *msg->multipart.group_descs.v);
            for (unsigned i = 0; i < msg->multipart.group_descs.n; i++) {
                struct of_group_desc *gd = &msg->multipart.group_descs.v[i];
                gd->group_id = (uint32_t) rng_u64(r);
                random_buckets(r, &gd->buckets, &gd->n_buckets);
            }
        }
    }
}

static void test_random(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 3000; i++) {
        struct of_msg msg, back;
        struct buf a = BUF_INIT, b = BUF_INIT;
        random_message(&r, &msg);
        of_encode(&msg, &a);
        CU_ASSERT_EQUAL_FATAL(of_frame_length(a.data, a.size), a.size);
        struct of_error error = of_decode(a.data, a.size, &back);
        if (!of_ok(error)) {
            char scratch[32];
            of_msg_format(&msg, &b);
            printf("%s: %s\n", buf_cstr(&b), of_error_name(error, scratch));
            CU_FAIL_FATAL("what was encoded does not decode");
        }
        if (msg.type == OFPT_FLOW_MOD) {
            CU_ASSERT_TRUE(match_equal(&msg.flow_mod.match, &back.flow_mod.match));
            CU_ASSERT_TRUE(instructions_equal(&msg.flow_mod.instructions, &back.flow_mod.instructions));
            CU_ASSERT_EQUAL(msg.flow_mod.cookie, back.flow_mod.cookie);
        }
        of_encode(&back, &b);
        CU_ASSERT_TRUE(a.size == b.size && !memcmp(a.data, b.data, a.size));
        of_msg_fini(&msg);
        of_msg_fini(&back);
        buf_fini(&a);
        buf_fini(&b);
    }
}

/* --- Segments --- */

/* Walks the messages in `b`; returns the number of elements, and how many messages there were. */
static unsigned count_elements(const struct buf *b, unsigned *n_segments)
{
    unsigned n = 0;
    *n_segments = 0;
    for (size_t at = 0; at < b->size; ++*n_segments) {
        struct of_msg msg;
        unsigned length = of_frame_length(b->data + at, b->size - at);
        CU_ASSERT_TRUE_FATAL(length >= 16 && length <= b->size - at);
        CU_ASSERT_TRUE_FATAL(of_ok(of_decode(b->data + at, length, &msg)));
        at += length;
        CU_ASSERT_EQUAL(msg.multipart.flags, at < b->size ? OFPMPF_MORE : 0);
        CU_ASSERT_EQUAL(msg.xid, 9);
        n += msg.multipart.raw.n;
        of_msg_fini(&msg);
    }
    return n;
}

static void test_segments(void)
{
    struct rng r;
    struct of_msg msg;
    struct buf b = BUF_INIT;
    unsigned n_segments;
    rng_seed(&r, unit_seed());
    of_msg_init(&msg, OFPT_MULTIPART_REPLY, 9);
    msg.multipart.type = OFPMP_FLOW;
    msg.multipart.flows.n = 3000;
    msg.multipart.flows.v = xcalloc(3000, sizeof *msg.multipart.flows.v);
    for (unsigned i = 0; i < msg.multipart.flows.n; i++) {
        random_flow(&r, &msg.multipart.flows.v[i]);
        msg.multipart.flows.v[i].cookie = i;
    }
    of_encode(&msg, &b);
    CU_ASSERT_EQUAL(count_elements(&b, &n_segments), 3000);
    CU_ASSERT_TRUE(n_segments >= b.size / OF_MAX_MESSAGE + 1 && n_segments > 2);
    of_msg_fini(&msg);
    buf_clear(&b);

    of_msg_init(&msg, OFPT_MULTIPART_REPLY, 9);         /* Exactly full: 1023 ports and the header are 65488 bytes; one more begins the second. */
    msg.multipart.type = OFPMP_PORT_DESC;
    msg.multipart.ports.n = 1023;
    msg.multipart.ports.v = xcalloc(1024, sizeof *msg.multipart.ports.v);
    of_encode(&msg, &b);
    CU_ASSERT_EQUAL(count_elements(&b, &n_segments), 1023);
    CU_ASSERT_EQUAL(n_segments, 1);
    buf_clear(&b);
    msg.multipart.ports.n = 1024;
    of_encode(&msg, &b);
    CU_ASSERT_EQUAL(count_elements(&b, &n_segments), 1024);
    CU_ASSERT_EQUAL(n_segments, 2);
    of_msg_fini(&msg);
    buf_clear(&b);

    of_msg_init(&msg, OFPT_MULTIPART_REPLY, 9);         /* Raw bytes of an experimenter: each segment repeats the 8-byte header. */
    msg.multipart.type = OFPMP_EXPERIMENTER;
    msg.multipart.raw.n = 8 + 100000;
    msg.multipart.raw.v = xcalloc(1, msg.multipart.raw.n);
    of_encode(&msg, &b);
    CU_ASSERT_EQUAL(count_elements(&b, &n_segments), 100000 + 2 * 8);
    CU_ASSERT_EQUAL(n_segments, 2);
    of_msg_fini(&msg);
    buf_fini(&b);
}

/* Port features have other bits in 1.0, which knows less. */
static void test_port_features(void)
{
    static const struct { uint32_t features, wire; } cases[] = {
        { 1u << 6 | 1u << 11, 1u << 6 | 1u << 7 },      /* 10 Gb/s, copper. */
        { 1u << 12 | 1u << 13, 1u << 8 | 1u << 9 }, { 1u << 14 | 1u << 15, 1u << 10 | 1u << 11 },
        { 1u << 7 | 1u << 10 | 1u << 5, 1u << 5 },      /* 40 Gb/s and "other" are not in it. */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct of_msg msg;
        struct buf b = BUF_INIT;
        of_msg_init(&msg, OFPT_PORT_STATUS, 1);
        msg.version = OF10_VERSION;
        msg.port_status.port = (struct of_port) { .port_no = 1, .curr = cases[i].features };
        of_encode(&msg, &b);
        CU_ASSERT_EQUAL_FATAL(b.size, 64);
        struct cursor c = cursor_make(b.data, b.size);
        cursor_skip(&c, 48);
        CU_ASSERT_EQUAL(cursor_be32(&c), cases[i].wire);
        CU_ASSERT_TRUE_FATAL(of_ok(of_decode(b.data, b.size, &msg)));
        CU_ASSERT_EQUAL(msg.port_status.port.curr, cases[i].features & ~(1u << 7 | 1u << 10));
        buf_fini(&b);
    }
}

/* A vendor message of 1.0 ends where it likes. */
static void test_vendor(void)
{
    static const uint8_t wire[] = { 1, OFPT_EXPERIMENTER, 0, 12, 0, 0, 0, 7, 0, 0, 0x12, 0x34 };
    struct of_msg msg;
    CU_ASSERT_TRUE_FATAL(of_ok(of_decode(wire, sizeof wire, &msg)));
    CU_ASSERT_TRUE(msg.type == OFPT_EXPERIMENTER && msg.experimenter.experimenter == 0x1234 && !msg.experimenter.exp_type && !msg.experimenter.size);
    of_msg_fini(&msg);
}

/* --- Text --- */

static void test_format(void)
{
    static const struct { const char *file, *text; } cases[] = {
        { "hello_bitmap.hex", "hello xid=0x1020304 version=4 bitmap=0x12" },
        { "error.hex", "error xid=0x1020304 OFPBMC_BAD_PREREQ" },
        { "flow_mod_delete.hex", "flow-mod xid=0x1020304 delete table=255 cookie=0xc0ffee/0xffff idle_timeout=10 hard_timeout=300 priority=32768 actions=drop" },
        { "role_request.hex", "role-request xid=0x1020304 role=master generation_id=0x8000000000000001" },
        { "mp_flow_reply.hex", "multipart-reply xid=0x1020304 flow more n=3" },
        { "group_mod_delete.hex", "group-mod xid=0x1020304 delete group=4294967292 type=0" },
        { "packet_out_no_data.hex", "packet-out xid=0x1020304 in_port=1 actions=FLOOD bytes=0" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT, text = BUF_INIT;
        struct of_msg msg;
        CU_ASSERT_TRUE_FATAL(load_golden(cases[i].file, &b));
        CU_ASSERT_TRUE_FATAL(of_ok(of_decode(b.data, b.size, &msg)));
        of_msg_format(&msg, &text);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), cases[i].text);
        if (strcmp(buf_cstr(&text), cases[i].text)) {
            printf("%s\n", buf_cstr(&text));
        }
        of_msg_fini(&msg);
        buf_fini(&b);
        buf_fini(&text);
    }
}

void of_msg_test_suite(void)
{
    UNIT_SUITE("of_msg", { "golden files", test_golden }, { "truncated", test_truncated }, { "errors", test_errors },
               { "flow-mod errors", test_flow_mod_errors }, { "error replies", test_error_reply }, { "random round trips", test_random },
               { "segments", test_segments }, { "port features", test_port_features }, { "vendor", test_vendor }, { "text", test_format });
}
