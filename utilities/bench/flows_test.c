#include "utilities/bench/flows.h"

#include <unistd.h>

#include "lib/buf.h"
#include "lib/util.h"
#include "tests/unit.h"
#include "utilities/bench/probe.h"

void flows_test_suite(void);

#define FLOW "52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 10.0.0.2 "

static void test_frames(void)
{
    static const struct { const char *line; unsigned l3; uint8_t proto; uint32_t weight; } cases[] = {
        { FLOW "17 1024 80", 14, 17, 1 }, { FLOW "6 1024 80 weight=7", 14, 6, 7 }, { FLOW "17 1 2 vlan=5", 18, 17, 1 },
        { "  " FLOW " 6   1\t2 weight=65535 vlan=4094", 18, 6, 65535 }, { FLOW "1 2048 0", 14, 1, 1 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t head[FLOWS_HEAD];
        uint32_t weight;
        struct err err = ERR_INIT;
        CU_ASSERT_FATAL(flows_parse(cases[i].line, head, &weight, &err));
        CU_ASSERT_EQUAL(weight, cases[i].weight);
        CU_ASSERT_EQUAL(probe_l3(head, FLOWS_HEAD), cases[i].l3);
        CU_ASSERT_EQUAL(head[cases[i].l3 + 9], cases[i].proto);
        CU_ASSERT_EQUAL(wire_get48(head), UINT64_C(0x525400000002));
        CU_ASSERT_EQUAL(wire_get32(head + cases[i].l3 + 16), 0x0a000002);
        flows_set_size(head, 1514);
        CU_ASSERT_EQUAL(wire_get16(head + cases[i].l3 + 2), 1514 - cases[i].l3);
        CU_ASSERT(flows_ip_checksum_ok(head, cases[i].l3));
        head[cases[i].l3 + 8]--;
        CU_ASSERT(!flows_ip_checksum_ok(head, cases[i].l3));
    }
}

static void test_bad_lines(void)
{
    static const struct { const char *line, *field; } cases[] = {
        { FLOW "17 1024", "" }, { FLOW "17 1 2 3", "3" }, { FLOW "256 1 2", "PROTO" }, { FLOW "17 65536 2", "L4_SRC" }, { FLOW "17 1 -2", "L4_DST" },
        { FLOW "17 1 2 vlan=0", "vlan" }, { FLOW "17 1 2 vlan=4095", "vlan" }, { FLOW "17 1 2 weight=0", "weight" },
        { "52:54:00:00:00 52:54:00:00:00:02 10.0.0.1 10.0.0.2 17 1 2", "ETH_SRC" }, { FLOW "17 1 2 a b c d e f g", "" },
        { "52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 fd00::1 17 1 2", "IP_DST" }, { "52:54:00:00:00:01 52:54:00:00:00:02 10.0.0 10.0.0.2 17 1 2", "IP_SRC" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t head[FLOWS_HEAD];
        uint32_t weight;
        struct err err = ERR_INIT;
        CU_ASSERT(!flows_parse(cases[i].line, head, &weight, &err));
        CU_ASSERT_STRING_EQUAL(err.field, cases[i].field);
        CU_ASSERT_EQUAL(err.code, ERR_INVALID);
    }
}

static void test_probe(void)
{
    static const char *const lines[] = { FLOW "17 1024 80", FLOW "6 1024 80", FLOW "6 1 2 vlan=5" };
    struct rng rng;
    unsigned unnoticed = 0;
    rng_seed(&rng, unit_seed());
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t head[FLOWS_HEAD];
        uint32_t weight;
        struct err err = ERR_INIT;
        struct probe in = { (uint32_t) rng_u64(&rng), (uint32_t) rng_u64(&rng), (uint32_t) rng_u64(&rng) }, out = { .flow = 0 };
        CU_ASSERT_FATAL(flows_parse(lines[i % 3], head, &weight, &err));
        unsigned l3 = probe_l3(head, FLOWS_HEAD), len = i % 3 == 2 ? 64 : 60;
        flows_set_size(head, len);
        probe_write(head, l3, &in);
        CU_ASSERT(flows_ip_checksum_ok(head, l3));              /* The probe lies behind the IP header. */
        CU_ASSERT_EQUAL(wire_get16(head + l3 + 20), i % 3 == 2 ? 1 : 1024);
        CU_ASSERT_FATAL(probe_read(head, len, &out));
        CU_ASSERT(out.flow == in.flow && out.seq == in.seq && out.stamp == in.stamp);
        CU_ASSERT(!probe_read(head, len - 1, &out));
        /* A flipped bit goes unnoticed once in 65536 times. */
        unsigned at = (i & 1 ? probe_part_a(head, l3) + rng_below(&rng, 8) : l3 + PROBE_IPV4 + 20 + rng_below(&rng, 6));
        head[at] ^= (uint8_t) (1u << rng_below(&rng, 8));
        unnoticed += probe_read(head, len, &out);
    }
    CU_ASSERT(unnoticed <= 3);
}

static void test_fill(void)
{
    uint8_t frame[1514] = { 0 };
    flows_fill(frame, sizeof frame);
    CU_ASSERT(flows_fill_ok(frame, sizeof frame));
    for (unsigned i = FLOWS_HEAD; i < sizeof frame; i += 97) {
        frame[i] ^= 0x10;
        CU_ASSERT(!flows_fill_ok(frame, sizeof frame));
        frame[i] ^= 0x10;
    }
}

/* A file in a directory of the test's own; the caller unlinks it. */
static char *file_with(const char *text)
{
    char *path = xstrdup("/tmp/polder-bench-test-XXXXXX");
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    close(fd);
    return path;
}

static void test_file(void)
{
    struct flows f;
    struct err err = ERR_INIT;
    char *path = file_with("# two flows\n\n" FLOW "17 1 2 weight=3 # thrice\n" FLOW "17 3 4\r\n" FLOW "6 5 6 weight=2");
    CU_ASSERT_FATAL(flows_load(&f, path, 0, &err));
    CU_ASSERT_EQUAL_FATAL(f.n, 3);
    CU_ASSERT_FATAL(flows_make_schedule(&f, false, 1, &err));
    CU_ASSERT_EQUAL_FATAL(f.n_schedule, 6);
    unsigned count[3] = { 0 };
    for (unsigned i = 0; i < 6; i++) {
        count[f.schedule[i]]++;
    }
    CU_ASSERT(count[0] == 3 && count[1] == 1 && count[2] == 2);
    flows_fini(&f);
    CU_ASSERT_FATAL(flows_load(&f, path, 2, &err));
    CU_ASSERT_EQUAL(f.n, 2);
    flows_fini(&f);
    unlink(path);
    free(path);

    path = file_with(FLOW "17 1 2\n" FLOW "17 1\n");
    CU_ASSERT(!flows_load(&f, path, 0, &err));
    CU_ASSERT_STRING_EQUAL(err.field, "line 2");
    unlink(path);
    CU_ASSERT(!flows_load(&f, path, 0, &err));
    free(path);
    path = file_with("# nothing\n");
    CU_ASSERT(!flows_load(&f, path, 0, &err));
    unlink(path);
    free(path);
}

/* --- Captures --- */

static struct buf pcap_of(uint32_t linktype, const uint32_t (*lengths)[2], unsigned n)
{
    struct buf b = BUF_INIT;
    const uint32_t head[6] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65535, linktype };
    buf_put(&b, head, sizeof head);
    for (unsigned i = 0; i < n; i++) {
        uint8_t frame[2000];
        const uint32_t record[4] = { i, 0, lengths[i][0], lengths[i][1] };
        memset(frame, (int) i + 1, sizeof frame);
        buf_put(&b, record, sizeof record);
        buf_put(&b, frame, lengths[i][0]);
    }
    return b;
}

static bool load_capture(struct flows *f, uint32_t linktype, const uint32_t (*lengths)[2], unsigned n, size_t limit, size_t cut, struct err *err)
{
    struct buf b = pcap_of(linktype, lengths, n);
    char *path = xstrdup("/tmp/polder-bench-test-XXXXXX");
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, b.data, b.size - cut), (ssize_t) (b.size - cut));
    close(fd);
    CU_ASSERT(flows_is_capture(path));
    bool ok = flows_load_capture(f, path, limit, err);
    unlink(path);
    free(path);
    buf_fini(&b);
    return ok;
}

static void test_capture(void)
{
    static const uint32_t lengths[][2] = { { 60, 60 }, { 1514, 1514 }, { 14, 14 } };
    struct flows f;
    struct err err = ERR_INIT;
    CU_ASSERT_FATAL(load_capture(&f, 1, lengths, 3, 0, 0, &err));
    CU_ASSERT_EQUAL_FATAL(f.n, 3);
    CU_ASSERT_PTR_NULL(f.head);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(f.start[i + 1] - f.start[i], lengths[i][0]);
        CU_ASSERT_EQUAL(f.bytes[f.start[i]], i + 1);
        CU_ASSERT_EQUAL(f.bytes[f.start[i + 1] - 1], i + 1);
    }
    CU_ASSERT(flows_make_schedule(&f, true, 1, &err) && f.n_schedule == 3);
    flows_fini(&f);
    CU_ASSERT_FATAL(load_capture(&f, 1, lengths, 3, 2, 0, &err));
    CU_ASSERT_EQUAL(f.n, 2);
    flows_fini(&f);
}

static void test_bad_captures(void)
{
    static const struct { uint32_t linktype; uint32_t length[2]; unsigned n; size_t cut; const char *field; } cases[] = {
        { 1, { 60, 61 }, 1, 0, "frame 1" }, { 1, { 1515, 1515 }, 1, 0, "frame 1" }, { 1, { 13, 13 }, 1, 0, "frame 1" }, { 101, { 60, 60 }, 1, 0, "capture" },
        { 1, { 60, 60 }, 1, 1, "capture" }, { 1, { 60, 60 }, 0, 0, "capture" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct flows f;
        struct err err = ERR_INIT;
        CU_ASSERT(!load_capture(&f, cases[i].linktype, &cases[i].length, cases[i].n, 0, cases[i].cut, &err));
        CU_ASSERT_STRING_EQUAL(err.field, cases[i].field);
    }
    char *path = file_with(FLOW "17 1 2\n");
    CU_ASSERT(!flows_is_capture(path));
    unlink(path);
    CU_ASSERT(!flows_is_capture(path));
    free(path);
}

void flows_test_suite(void)
{
    UNIT_SUITE("flows", { "frames", test_frames }, { "bad lines", test_bad_lines }, { "probe", test_probe }, { "fill", test_fill }, { "file and schedule", test_file },
               { "capture", test_capture }, { "bad captures", test_bad_captures });
}
