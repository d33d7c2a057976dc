/* The configuration: defaults, and each thing that can be wrong with the field that the error must name. */
#include "vswitch/config.h"

#include <string.h>

#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn config_test_suite;

#define HEAD "{\"name\":\"host1\",\"datapath_id\":\"00000000000000ab\""

static const struct config_cpus four_cpus = { .cpu = { 0, 1, 2, 5 }, .n = 4 };

static bool read_text(const char *text, struct config *c, struct err *err)
{
    *err = ERR_INIT;
    cJSON *json = json_parse(text, strlen(text), 1 << 20, err);
    bool ok = json && config_read(json, &four_cpus, c, err);
    cJSON_Delete(json);
    return ok;
}

static void test_defaults(void)
{
    struct config c;
    struct err err;
    CU_ASSERT_FATAL(read_text(HEAD "}", &c, &err));
    CU_ASSERT_STRING_EQUAL(c.name, "host1");
    CU_ASSERT_EQUAL(c.datapath_id, 0xab);
    CU_ASSERT_STRING_EQUAL(c.run_dir, "/run/polder/host1");
    CU_ASSERT_STRING_EQUAL(c.control_socket, "/run/polder/host1/vswitchd.sock");
    CU_ASSERT_STRING_EQUAL(c.vhost_dir, "/run/polder/host1");
    CU_ASSERT_STRING_EQUAL(c.file_prefix, "polder-host1");
    CU_ASSERT_EQUAL(c.hugepages, HUGEPAGES_AUTO);
    CU_ASSERT_EQUAL(c.memory_mb, 256);
    CU_ASSERT_EQUAL(c.mbufs, 16384);
    CU_ASSERT_EQUAL(c.poll.n, 1);
    CU_ASSERT_EQUAL(c.poll.cpu[0], 5);
    CU_ASSERT_EQUAL(c.control.n, 0);
    CU_ASSERT_TRUE(c.idle_sleep);
    CU_ASSERT_EQUAL(c.cache_flows, 1000000);
    CU_ASSERT_FALSE(c.cache_check);
    CU_ASSERT_EQUAL(c.n_ports, 0);
    CU_ASSERT_EQUAL(c.n_listen, 1);
    CU_ASSERT_STRING_EQUAL(c.listen[0], "punix:/run/polder/host1/openflow.sock");
    CU_ASSERT_FALSE(c.standalone);
    CU_ASSERT_EQUAL(c.max_flows, 1000000);
    config_fini(&c);
}

static void test_everything(void)
{
    struct config c;
    struct err err;
    CU_ASSERT_FATAL(read_text(
        HEAD ",\"run_dir\":\"/tmp/r\",\"control_socket\":\"/tmp/c.sock\",\"vhost_dir\":\"/tmp/v\",\"log_level\":\"debug\","
        "\"dpdk\":{\"hugepages\":\"off\",\"memory_mb\":128,\"mbufs\":8192,\"file_prefix\":\"x\",\"eal_args\":[\"--no-pci\"]},"
        "\"cpus\":{\"poll\":\"1-2\",\"control\":\"0\"},\"idle_sleep\":false,\"cache\":{\"flows\":5000,\"check\":true},"
        "\"ports\":[{\"name\":\"up0\",\"type\":\"dpdk\",\"devargs\":\"net_null0\",\"ofport\":1},"
        "{\"name\":\"vm1\",\"type\":\"vhost-user\",\"role\":\"server\",\"queues\":2,\"mtu\":9000},"
        "{\"name\":\"vm2\",\"type\":\"vhost-user\",\"path\":\"/tmp/vm2.sock\",\"ofport\":10}],"
        "\"openflow\":{\"controllers\":[{\"target\":\"tcp:127.0.0.1:6653\",\"max_backoff_ms\":1000},{\"target\":\"tls:127.0.0.1:6653\"}],"
        "\"listen\":[\"ptcp:6654:127.0.0.1\"],\"fail_mode\":\"standalone\","
        "\"tls\":{\"private_key\":\"k\",\"certificate\":\"c\",\"ca_certificate\":\"a\"},"
        "\"limits\":{\"flows\":10,\"groups\":11,\"meters\":12,\"connections\":13,"
        "\"packet_in_rate\":18,\"table_flows\":5,\"monitors\":14,\"bundles\":15,\"bundle_mb\":16,\"unread_mb\":17}}}", &c, &err));
    CU_ASSERT_EQUAL(c.log_level, LOG_DEBUG);
    CU_ASSERT_EQUAL(c.hugepages, HUGEPAGES_OFF);
    CU_ASSERT_EQUAL(c.n_eal_args, 1);
    CU_ASSERT_EQUAL(c.poll.n, 2);
    CU_ASSERT_EQUAL(c.control.cpu[0], 0);
    CU_ASSERT_FALSE(c.idle_sleep);
    CU_ASSERT_EQUAL(c.cache_flows, 5000);
    CU_ASSERT_TRUE(c.cache_check);
    CU_ASSERT_EQUAL_FATAL(c.n_ports, 3);
    CU_ASSERT_EQUAL(c.ports[0].type, PORT_DPDK);
    CU_ASSERT_TRUE(c.ports[1].server);
    CU_ASSERT_EQUAL(c.ports[1].queues, 2);
    CU_ASSERT_EQUAL(c.ports[1].mtu, 9000);
    CU_ASSERT_EQUAL(c.ports[1].ofport, 0);
    CU_ASSERT_STRING_EQUAL(c.ports[1].path, "/tmp/v/vm1.sock");
    CU_ASSERT_FALSE(c.ports[2].server);
    CU_ASSERT_EQUAL(c.ports[2].ofport, 10);
    CU_ASSERT_EQUAL(c.n_controllers, 2);
    CU_ASSERT_EQUAL(c.controllers[0].max_backoff_ms, 1000);
    CU_ASSERT_EQUAL(c.controllers[1].max_backoff_ms, 8000);
    CU_ASSERT_STRING_EQUAL(c.listen[0], "ptcp:6654:127.0.0.1");
    CU_ASSERT_TRUE(c.standalone);
    CU_ASSERT_STRING_EQUAL(c.tls_ca, "a");
    CU_ASSERT_EQUAL(c.max_connections, 13);
    CU_ASSERT_TRUE(c.max_table_flows == 5 && c.max_monitors == 14 && c.max_bundles == 15 && c.max_bundle_mb == 16 && c.max_unread_mb == 17 && c.packet_in_rate == 18);
    config_fini(&c);
}

#define VM(NAME, MORE) "{\"name\":\"" NAME "\",\"type\":\"vhost-user\"" MORE "}"
#define PORTS(LIST) HEAD ",\"ports\":[" LIST "]}"

static void test_errors(void)
{
    static const struct { const char *text, *field; } rows[] = {
        { "{\"datapath_id\":\"0000000000000001\"}", "name" },
        { "{\"name\":\"UPPER\",\"datapath_id\":\"0000000000000001\"}", "name" },
        { "{\"name\":\"a\",\"datapath_id\":\"1\"}", "datapath_id" },
        { "{\"name\":\"a\",\"datapath_id\":\"0000000000000000\"}", "datapath_id" },
        { "{\"name\":\"a\",\"datapath_id\":\"000000000000000g\"}", "datapath_id" },
        { HEAD ",\"nonsense\":1}", "nonsense" },
        { HEAD ",\"run_dir\":\"relative\"}", "run_dir" },
        { HEAD ",\"log_level\":\"loud\"}", "log_level" },
        { HEAD ",\"idle_sleep\":1}", "idle_sleep" },
        { HEAD ",\"cache\":{\"flows\":-1}}", "cache.flows" },
        { HEAD ",\"cache\":{\"check\":1}}", "cache.check" },
        { HEAD ",\"dpdk\":{\"hugepages\":\"yes\"}}", "dpdk.hugepages" },
        { HEAD ",\"dpdk\":{\"memory_mb\":1}}", "dpdk.memory_mb" },
        { HEAD ",\"dpdk\":{\"memory_mb\":64,\"mbufs\":65536}}", "dpdk.mbufs" },
        { HEAD ",\"dpdk\":{\"file_prefix\":\"a/b\"}}", "dpdk.file_prefix" },
        { HEAD ",\"dpdk\":{\"eal_args\":[1]}}", "dpdk.eal_args[0]" },
        { HEAD ",\"cpus\":{\"poll\":\"3\"}}", "cpus.poll" },
        { HEAD ",\"cpus\":{\"poll\":\"1-\"}}", "cpus.poll" },
        { HEAD ",\"cpus\":{\"poll\":\"\"}}", "cpus.poll" },
        { HEAD ",\"cpus\":{\"control\":\"9\"}}", "cpus.control" },
        { HEAD ",\"ports\":{}}", "ports" },
        { PORTS("{\"type\":\"dpdk\"}"), "ports[0].name" },
        { PORTS("{\"name\":\"a\"}"), "ports[0].type" },
        { PORTS("{\"name\":\"a\",\"type\":\"tap\"}"), "ports[0].type" },
        { PORTS("{\"name\":\"a\",\"type\":\"dpdk\"}"), "ports[0].devargs" },
        { PORTS("{\"name\":\"a\",\"type\":\"dpdk\",\"devargs\":\",iface=x\"}"), "ports[0].devargs" },
        { PORTS("{\"name\":\"a\",\"type\":\"dpdk\",\"devargs\":\"net_null0\",\"path\":\"/x\"}"), "ports[0].path" },
        { PORTS(VM("a", ",\"devargs\":\"net_null0\"")), "ports[0].devargs" },
        { PORTS(VM("a", ",\"role\":\"both\"")), "ports[0].role" },
        { PORTS(VM("a", ",\"queues\":0")), "ports[0].queues" },
        { PORTS(VM("a", ",\"mtu\":60")), "ports[0].mtu" },
        { PORTS(VM("a", ",\"qos\":1")), "ports[0].qos" },
        { PORTS(VM("a", ",\"qos\":{\"rate_mbps\":0}")), "ports[0].qos.rate_mbps" },
        { PORTS(VM("a", ",\"qos\":{\"rate\":1}")), "ports[0].qos.rate" },
        { PORTS(VM("a", ",\"qos\":{\"queues\":[{\"min_rate\":1}]}")), "ports[0].qos.queues[0].id" },
        { PORTS(VM("a", ",\"qos\":{\"queues\":[{\"id\":4294967295}]}")), "ports[0].qos.queues[0].id" },
        { PORTS(VM("a", ",\"qos\":{\"queues\":[{\"id\":1},{\"id\":1}]}")), "ports[0].qos.queues[1].id" },
        { PORTS(VM("a", ",\"qos\":{\"queues\":[{\"id\":1,\"max_rate\":1001}]}")), "ports[0].qos.queues[0].max_rate" },
        { PORTS(VM("a", ",\"qos\":{\"queues\":[{\"id\":1,\"min_rate\":9,\"max_rate\":8}]}")), "ports[0].qos.queues[0].min_rate" },
        { PORTS(VM("a", ",\"qos\":{\"queues\":[{\"id\":1,\"min_rate\":501},{\"id\":2,\"min_rate\":500}]}")), "ports[0].qos.queues" },
        { PORTS(VM("a", ",\"ofport\":0")), "ports[0].ofport" },
        { PORTS(VM("a", ",\"ofport\":4096")), "ports[0].ofport" },
        { PORTS(VM("a", ",\"path\":\"x.sock\"")), "ports[0].path" },
        { PORTS(VM("sixteen-letters-", "")), "ports[0].name" },
        { PORTS(VM("a/b", "")), "ports[0].name" },
        { PORTS(VM("a", "") "," VM("a", "")), "ports[1].name" },
        { PORTS(VM("a", ",\"ofport\":3") "," VM("b", ",\"ofport\":3")), "ports[1].ofport" },
        { PORTS(VM("a", ",\"path\":\"/s\"") "," VM("b", ",\"path\":\"/s\"")), "ports[1].path" },
        { PORTS("{\"name\":\"a\",\"type\":\"dpdk\",\"devargs\":\"net_null0\"},{\"name\":\"b\",\"type\":\"dpdk\",\"devargs\":\"net_null0,x=1\"}"), "ports[1].devargs" },
        { HEAD ",\"openflow\":{\"fail_mode\":\"safe\"}}", "openflow.fail_mode" },
        { HEAD ",\"openflow\":{\"controllers\":[{}]}}", "openflow.controllers[0].target" },
        { HEAD ",\"openflow\":{\"controllers\":[{\"target\":\"127.0.0.1\"}]}}", "openflow.controllers[0].target" },
        { HEAD ",\"openflow\":{\"controllers\":[{\"target\":\"tls:127.0.0.1:6653\"}]}}", "openflow.controllers[0].target" },
        { HEAD ",\"openflow\":{\"controllers\":[{\"target\":\"unix:/x\",\"max_backoff_ms\":1}]}}", "openflow.controllers[0].max_backoff_ms" },
        { HEAD ",\"openflow\":{\"listen\":[\"ptls:6654\"]}}", "openflow.listen[0]" },
        { HEAD ",\"openflow\":{\"listen\":[\"unix:/x\"]}}", "openflow.listen[0]" },
        { HEAD ",\"openflow\":{\"tls\":{\"private_key\":\"k\"}}}", "openflow.tls.certificate" },
        { HEAD ",\"openflow\":{\"limits\":{\"flows\":0}}}", "openflow.limits.flows" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct config c;
        struct err err;
        bool ok = read_text(rows[i].text, &c, &err);
        if (ok || strcmp(err.field, rows[i].field)) {
            printf("\n%s: %s %s: %s\n", rows[i].text, ok ? "accepted" : "blames", err.field, err.message);
        }
        CU_ASSERT_FALSE(ok);
        CU_ASSERT_STRING_EQUAL(err.field, rows[i].field);
        CU_ASSERT_TRUE(*err.message);
        if (ok) {
            config_fini(&c);
        }
    }
}

static struct config_port port(const char *json)
{
    struct err err = ERR_INIT;
    struct config_port p;
    struct json_reader r;
    cJSON *tree = json_parse(json, strlen(json), 4096, &err);
    json_root(&r, tree, &err);
    CU_ASSERT_TRUE_FATAL(config_port_read(&r, "/v", &p));
    cJSON_Delete(tree);
    return p;
}

static void test_difference(void)
{
    static const struct { const char *json, *field; } rows[] = {
        { VM("a", ""), NULL }, { VM("a", ",\"ofport\":7"), NULL }, { VM("a", ",\"mtu\":1400"), "mtu" }, { VM("a", ",\"path\":\"/x\""), "path" },
        { VM("a", ",\"role\":\"server\""), "role" }, { VM("a", ",\"queues\":2"), "queues" },
        { "{\"name\":\"a\",\"type\":\"dpdk\",\"devargs\":\"net_null0\"}", "type" },
    };
    struct config_port a = port(VM("a", "")), b, copy;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        b = port(rows[i].json);
        const char *field = config_port_difference(&a, &b);
        CU_ASSERT_TRUE(field == rows[i].field || (field && rows[i].field && !strcmp(field, rows[i].field)));
        config_port_fini(&b);
    }
    config_port_copy(&copy, &a);
    CU_ASSERT_PTR_NULL(config_port_difference(&a, &copy));
    CU_ASSERT_PTR_NOT_EQUAL(a.path, copy.path);
    config_port_fini(&copy);
    config_port_fini(&a);
}

void config_test_suite(void)
{
    UNIT_SUITE("config", { "defaults", test_defaults }, { "every key", test_everything }, { "errors name the field", test_errors },
               { "port differences", test_difference });
}
