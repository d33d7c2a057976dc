#include "tests/unit.h"

unit_suite_fn config_test_suite, counter_sum_test_suite, gather_test_suite, intern_test_suite, limits_test_suite, link_routes_test_suite, lldp_test_suite,
    paths_test_suite, paths_trees_test_suite, port_sum_test_suite, reconcile_test_suite, relay_test_suite, rest_test_suite, rest_slice_test_suite, room_test_suite,
    ruleset_test_suite, store_test_suite, substrate_test_suite, substrate_paths_test_suite, vsw_test_suite, vsw_hold_test_suite, vsw_stats_test_suite;

UNIT_MAIN(config_test_suite, counter_sum_test_suite, gather_test_suite, intern_test_suite, limits_test_suite, link_routes_test_suite, lldp_test_suite,
          paths_test_suite, paths_trees_test_suite, port_sum_test_suite, reconcile_test_suite, relay_test_suite, rest_test_suite, rest_slice_test_suite, room_test_suite,
          ruleset_test_suite, store_test_suite, substrate_test_suite, substrate_paths_test_suite, vsw_test_suite, vsw_hold_test_suite, vsw_stats_test_suite)
