#include "lib/addr.h"

#include <string.h>
#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn addr_test_suite;

static void test_mac(void)
{
    static const char *const bad[] = { "", "52:54:00:00:00", "52:54:00:00:00:0", "52:54:00:00:00:001", "52:54:00:00:00:01 ", "52-54-00-00-00-01",
                                       "52:54:00:00:00:0g", "5254.0000.0001", ":52:54:00:00:00:01", "52:54:00:00:00:01:" };
    struct mac m;
    char text[MAC_STRLEN];
    CU_ASSERT(mac_parse("52:54:00:aB:Cd:01", &m) && mac_u64(m) == UINT64_C(0x525400abcd01));
    CU_ASSERT_STRING_EQUAL(mac_format(m, text), "52:54:00:ab:cd:01");
    CU_ASSERT_FALSE(mac_is_multicast(m));
    CU_ASSERT(mac_parse("01:00:5e:00:00:01", &m) && mac_is_multicast(m));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CU_ASSERT_FALSE(mac_parse(bad[i], &m));
    }
}

static void test_ip(void)
{
    static const struct { const char *in, *out; } good[] = {
        { "0.0.0.0", "0.0.0.0" }, { "255.255.255.255", "255.255.255.255" }, { "::", "::" }, { "::1", "::1" },
        { "FD00:1::11", "fd00:1::11" }, { "2001:db8:0:0:8:800:200c:417a", "2001:db8::8:800:200c:417a" },
        { "::ffff:10.0.0.1", "10.0.0.1" }, { "64:ff9b::1.2.3.4", "64:ff9b::102:304" }, { "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
    };
    static const char *const bad[] = { "", "10", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.01", "10.0.0.1.", " 10.0.0.1", "10.0.0.1 ", "0x0a.0.0.1",
                                       ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "fe80::1%eth0", "[::1]", "::1/64", "g::",
                                       "1:2:3:4:5:6:7:8::", "::1.2.3", "1.2.3.4::" };
    struct ip ip;
    char text[IP_STRLEN];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CU_ASSERT_TRUE(ip_parse(good[i].in, &ip));
        CU_ASSERT_STRING_EQUAL(ip_format(&ip, text), good[i].out);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (ip_parse(bad[i], &ip)) {
            printf("accepted \"%s\"\n", bad[i]);
            CU_FAIL("accepted a bad address");
        }
    }
    CU_ASSERT(ip_parse("10.1.2.3", &ip) && ip_is_v4(&ip) && ip_v4(&ip) == 0x0a010203);
    CU_ASSERT(ip_parse("::10.1.2.3", &ip) && !ip_is_v4(&ip));
}

static void test_arithmetic(void)
{
    struct ip a, b, sum;
    struct mac m = mac_from_u64(UINT64_C(0x525400000001));
    ip_parse("fe80::5054:ff:fe00:1", &a);
    b = ip_link_local_eui64(m);
    CU_ASSERT_TRUE(ip_equal(&a, &b));
    ip_parse("10.0.0.255", &a);
    ip_parse("10.0.1.4", &b);
    sum = ip_add(&a, 5);
    CU_ASSERT_TRUE(ip_equal(&sum, &b));
    ip_parse("255.255.255.255", &a);
    ip_parse("0.0.0.0", &b);
    sum = ip_add(&a, 1);
    CU_ASSERT(ip_equal(&sum, &b) && ip_is_v4(&sum));
    ip_parse("fd00::ffff:ffff:ffff:ffff", &a);
    ip_parse("fd00::1", &b);
    sum = ip_add(&a, 2);
    CU_ASSERT_TRUE(ip_equal(&sum, &b));
    CU_ASSERT_FALSE(ip_equal(&a, &b));
}

static struct ip random_ip(struct rng *r)
{
    struct ip ip;
    if (rng_below(r, 2)) {
        return ip_from_v4((uint32_t) rng_u64(r) & (rng_below(r, 2) ? 0xff0000ff : 0xffffffff));
    }
    for (int i = 0; i < 16; i++) {
        ip.b[i] = rng_below(r, 2) ? 0 : (uint8_t) rng_u64(r);
    }
    return ip;
}

static void test_round_trip(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (int i = 0; i < 20000; i++) {
        struct ip a = random_ip(&r), b;
        struct mac m = mac_from_u64(rng_u64(&r) & UINT64_C(0xffffffffffff)), n;
        char text[IP_STRLEN], mac[MAC_STRLEN];
        CU_ASSERT(ip_parse(ip_format(&a, text), &b) && ip_equal(&a, &b));
        CU_ASSERT(mac_parse(mac_format(m, mac), &n) && mac_u64(n) == mac_u64(m));
    }
}

static void test_prefix(void)
{
    static const char *const good[] = { "0.0.0.0/0", "10.0.0.0/24", "10.0.0.1/32", "10.128.0.0/9", "::/0", "fd00:1::/64", "fd64:706f:6c64::/48", "::1/128" };
    static const char *const bad[] = { "", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/0x8", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ",
                                       "10.0.0.1/24", "10.0.0.0/6", "/8", "fd00::/129", "fd00::1/64", "::ffff:0:0/96", "::ffff:10.0.0.0/104", "10.0.0.0/24/24",
                                       "10.0.0.0/255.0.0.0", "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/64" };
    struct prefix p, q;
    struct ip ip;
    char text[PREFIX_STRLEN];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CU_ASSERT_TRUE(prefix_parse(good[i], &p));
        CU_ASSERT_STRING_EQUAL(prefix_format(&p, text), good[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (prefix_parse(bad[i], &p)) {
            printf("accepted \"%s\"\n", bad[i]);
            CU_FAIL("accepted a bad prefix");
        }
    }
    prefix_parse("::/0", &p);
    prefix_parse("0.0.0.0/0", &q);
    ip_parse("10.0.0.1", &ip);
    CU_ASSERT(!prefix_contains(&p, &ip) && prefix_contains(&q, &ip) && !prefix_overlaps(&p, &q));
}

static unsigned bit(const struct ip *ip, unsigned i)
{
    return ip->b[i / 8] >> (7 - i % 8) & 1;
}

/* Containment and overlap, bit by bit. */
static void test_prefix_twin(void)
{
    struct rng r;
    unsigned contained = 0, overlapping = 0;
    rng_seed(&r, unit_seed());
    for (int i = 0; i < 20000; i++) {
        struct prefix p[2];
        for (int j = 0; j < 2; j++) {
            p[j].ip = j && rng_below(&r, 2) ? p[0].ip : random_ip(&r);
            p[j].is_v4 = ip_is_v4(&p[j].ip);
            p[j].len = (uint8_t) rng_below(&r, p[j].is_v4 ? 33 : 129);
            for (unsigned k = (p[j].is_v4 ? 96u : 0) + p[j].len; k < 128; k++) {
                p[j].ip.b[k / 8] &= (uint8_t) ~(0x80 >> k % 8);
            }
            struct prefix back;
            char text[PREFIX_STRLEN];
            if (p[j].is_v4 == ip_is_v4(&p[j].ip)) {
                CU_ASSERT(prefix_parse(prefix_format(&p[j], text), &back) && back.len == p[j].len && ip_equal(&back.ip, &p[j].ip));
            }
        }
        struct ip ip = rng_below(&r, 2) ? random_ip(&r) : ip_add(&p[0].ip, rng_below(&r, 300));
        unsigned from = p[0].is_v4 ? 96 : 0, shorter = from + MIN(p[0].len, p[1].len);
        bool in = ip_is_v4(&ip) == p[0].is_v4, over = p[0].is_v4 == p[1].is_v4;
        for (unsigned k = from; k < from + p[0].len; k++) {
            in = in && bit(&ip, k) == bit(&p[0].ip, k);
        }
        for (unsigned k = from; k < shorter; k++) {
            over = over && bit(&p[0].ip, k) == bit(&p[1].ip, k);
        }
        CU_ASSERT_EQUAL(prefix_contains(&p[0], &ip), in);
        CU_ASSERT_EQUAL(prefix_overlaps(&p[0], &p[1]), over);
        contained += in;
        overlapping += over;
    }
    CU_ASSERT(contained > 1000 && contained < 19000 && overlapping > 1000 && overlapping < 19000);
}

void addr_test_suite(void)
{
    UNIT_SUITE("addr", { "MAC", test_mac }, { "IP", test_ip }, { "arithmetic", test_arithmetic }, { "round trip", test_round_trip },
               { "prefix", test_prefix }, { "prefix against its twin", test_prefix_twin });
}
