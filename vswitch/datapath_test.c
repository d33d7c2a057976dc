#include "tests/unit.h"

unit_suite_fn dp_bundle_test_suite;
unit_suite_fn checksum_test_suite, classifier_test_suite, conjunction_test_suite, counters_test_suite, dp_group_test_suite, dp_stress_test_suite, dp_test_suite, meter_test_suite;
unit_suite_fn cache_cliff_test_suite, cache_hostile_test_suite, cache_key_test_suite, cache_labels_test_suite, cache_normal_test_suite, cache_recent_test_suite, cache_test_suite;
unit_suite_fn packet_edit_test_suite, packet_test_suite, perf_test_suite;
unit_suite_fn queue_sched_test_suite, trace_test_suite;
unit_suite_fn value_classes_test_suite;

UNIT_MAIN(checksum_test_suite, value_classes_test_suite, perf_test_suite, packet_test_suite, packet_edit_test_suite, classifier_test_suite, conjunction_test_suite,
          counters_test_suite, dp_test_suite,
          dp_group_test_suite, dp_bundle_test_suite, meter_test_suite, queue_sched_test_suite, trace_test_suite, cache_key_test_suite, cache_test_suite, cache_hostile_test_suite,
          cache_recent_test_suite, cache_labels_test_suite, cache_normal_test_suite, cache_cliff_test_suite, dp_stress_test_suite)
