#include "tests/unit.h"

unit_suite_fn numbers_test_suite, model_test_suite, model_random_test_suite, slice_test_suite, slice_random_test_suite, validate_room_test_suite, whois_test_suite,
    yaml_test_suite;

UNIT_MAIN(numbers_test_suite, model_test_suite, model_random_test_suite, slice_test_suite, slice_random_test_suite, validate_room_test_suite, whois_test_suite,
          yaml_test_suite)
