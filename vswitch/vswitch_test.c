#include "tests/unit.h"

unit_suite_fn config_test_suite, device_mbuf_end_test_suite, device_mbuf_test_suite, queue_test_suite, rcu_test_suite, vhost_ring_test_suite;

UNIT_MAIN(config_test_suite, rcu_test_suite, device_mbuf_test_suite, queue_test_suite, vhost_ring_test_suite, device_mbuf_end_test_suite)
