#include "tests/unit.h"

unit_suite_fn addr_test_suite, buf_test_suite, codec_test_suite, err_test_suite, hmap_test_suite, json_test_suite, log_test_suite, loop_test_suite,
    policer_test_suite, stream_test_suite, stream_tls_test_suite, util_test_suite;

UNIT_MAIN(err_test_suite, util_test_suite, codec_test_suite, buf_test_suite, hmap_test_suite, addr_test_suite, log_test_suite, loop_test_suite,
          json_test_suite, policer_test_suite, stream_test_suite, stream_tls_test_suite)
