#include "tests/unit.h"

unit_suite_fn flows_test_suite, latency_test_suite;

UNIT_MAIN(flows_test_suite, latency_test_suite)
