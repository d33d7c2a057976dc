/* The unit tests of ofproto. */
#include "tests/unit.h"

extern unit_suite_fn field_test_suite, oxm_test_suite, match_test_suite, action_test_suite, action_check_test_suite, text_test_suite;
extern unit_suite_fn of_msg_test_suite, flow_table_test_suite, group_table_test_suite, of_conn_test_suite, agent_test_suite, agent_async_test_suite;
extern unit_suite_fn agent_bundle_test_suite, meter_table_test_suite, agent_meter_test_suite, agent_monitor_test_suite, agent_table_test_suite, agent_others_test_suite;
extern unit_suite_fn flow_table_config_test_suite, of_share_test_suite;

UNIT_MAIN(field_test_suite, oxm_test_suite, match_test_suite, action_test_suite, action_check_test_suite, text_test_suite,
          of_msg_test_suite, flow_table_test_suite, group_table_test_suite, of_conn_test_suite, agent_test_suite, agent_async_test_suite,
          meter_table_test_suite, agent_meter_test_suite, agent_bundle_test_suite, agent_monitor_test_suite, flow_table_config_test_suite,
          agent_table_test_suite, agent_others_test_suite, of_share_test_suite)
