#include "tests/unit.h"

unit_suite_fn lldp_test_suite, paths_test_suite, store_test_suite, substrate_test_suite;

UNIT_MAIN(lldp_test_suite, paths_test_suite, store_test_suite, substrate_test_suite)
