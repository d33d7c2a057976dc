noinst_LIBRARIES += ofproto/libofproto.a
# The model: fields, matches, actions, text.
ofproto_libofproto_a_SOURCES = \
	ofproto/action.c ofproto/action.h ofproto/action_row.h \
	ofproto/action_check.c \
	ofproto/action_codec.c \
	ofproto/action_nx.c \
	ofproto/error.c ofproto/error.h \
	ofproto/field.c ofproto/field.h \
	ofproto/flow.h \
	ofproto/instruction.c \
	ofproto/match.c ofproto/match.h \
	ofproto/oxm.c \
	ofproto/polder.c ofproto/polder.h \
	ofproto/text.c ofproto/text.h \
	ofproto/text_action.c \
	ofproto/text_action_format.c \
	ofproto/text_field.c \
	ofproto/text_instruction.c \
	ofproto/text_match.c

check_PROGRAMS += ofproto/ofproto_test
TESTS += ofproto/ofproto_test
ofproto_ofproto_test_SOURCES = \
	ofproto/ofproto_test.c \
	ofproto/action_test.c \
	ofproto/action_check_test.c \
	ofproto/field_test.c \
	ofproto/match_test.c \
	ofproto/oxm_test.c \
	ofproto/random_model.c ofproto/random_model.h \
	ofproto/text_test.c \
	tests/unit.h
ofproto_ofproto_test_LDADD = ofproto/libofproto.a lib/libpolder.a $(CUNIT_LIBS) $(POLDER_LIBS)

# Fuzz targets of the model (see tests/automake.mk).
check_PROGRAMS += tests/fuzz/oxm_replay
TESTS += tests/fuzz/oxm_replay
tests_fuzz_oxm_replay_SOURCES = tests/fuzz/oxm_fuzz.c tests/fuzz/replay.c
tests_fuzz_oxm_replay_LDADD = ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)
check_PROGRAMS += tests/fuzz/action_replay
TESTS += tests/fuzz/action_replay
tests_fuzz_action_replay_SOURCES = tests/fuzz/action_fuzz.c tests/fuzz/replay.c
tests_fuzz_action_replay_LDADD = ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)
check_PROGRAMS += tests/fuzz/flowtext_replay
TESTS += tests/fuzz/flowtext_replay
tests_fuzz_flowtext_replay_SOURCES = tests/fuzz/flowtext_fuzz.c tests/fuzz/replay.c
tests_fuzz_flowtext_replay_LDADD = ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)

# Messages, connections, table semantics, the agent.
ofproto_libofproto_a_SOURCES += \
	ofproto/agent.c ofproto/agent.h ofproto/agent_private.h \
	ofproto/agent_bundle.c \
	ofproto/agent_change.c \
	ofproto/agent_features.c \
	ofproto/agent_message.c \
	ofproto/agent_monitor.c \
	ofproto/agent_multipart.c \
	ofproto/agent_queue.c \
	ofproto/agent_nicira.c \
	ofproto/agent_role.c \
	ofproto/flow_heap.c ofproto/flow_heap.h \
	ofproto/flow_table.c ofproto/flow_table.h ofproto/flow_table_private.h \
	ofproto/flow_table_config.c \
	ofproto/flow_table_filter.c ofproto/flow_table_filter.h \
	ofproto/flow_table_refs.c ofproto/flow_table_refs.h \
	ofproto/group_table.c \
	ofproto/meter_bands.c ofproto/meter_bands.h \
	ofproto/meter_table.c ofproto/meter_table.h \
	ofproto/of_conn.c ofproto/of_conn.h ofproto/of_conn_impl.h \
	ofproto/of_conn_turn.c \
	ofproto/of_share.h \
	ofproto/nxm.c ofproto/nxm.h \
	ofproto/of10.h ofproto/of10_action.c ofproto/of10_match.c ofproto/of10_msg.c ofproto/of10_stats.c \
	ofproto/of_error_wire.c \
	ofproto/of_monitor.c \
	ofproto/of_msg.c ofproto/of_msg.h ofproto/of_msg_codec.h ofproto/of_property.h \
	ofproto/of_msg_14.c \
	ofproto/of_msg_ext.c \
	ofproto/of_msg_flow.c \
	ofproto/of_msg_format.c \
	ofproto/of_msg_group.c \
	ofproto/of_msg_port.c \
	ofproto/of_multipart.c ofproto/of_multipart_codec.h \
	ofproto/of_multipart_group.c \
	ofproto/of_multipart_reply.c \
	ofproto/of_queue.c

ofproto_ofproto_test_SOURCES += \
	ofproto/agent_fake.c ofproto/agent_fake.h \
	ofproto/agent_async_test.c \
	ofproto/agent_bundle_test.c \
	ofproto/agent_monitor_test.c \
	ofproto/agent_others_test.c \
	ofproto/agent_table_test.c \
	ofproto/flow_table_config_test.c \
	ofproto/agent_rig_test.c ofproto/agent_rig.h \
	ofproto/agent_test.c \
	ofproto/flow_table_test.c \
	ofproto/group_table_test.c \
	ofproto/meter_table_test.c \
	ofproto/agent_meter_test.c \
	ofproto/of_conn_test.c \
	ofproto/of_share_test.c \
	ofproto/of_msg_test.c \
	ofproto/of_peer_test.c ofproto/of_peer.h

check_PROGRAMS += tests/fuzz/of_msg_replay
TESTS += tests/fuzz/of_msg_replay
tests_fuzz_of_msg_replay_SOURCES = tests/fuzz/of_msg_fuzz.c tests/fuzz/replay.c
tests_fuzz_of_msg_replay_LDADD = ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)

EXTRA_DIST += tests/golden/of10 tests/golden/of13 tests/golden/of14
check_PROGRAMS += tests/fuzz/agent_replay
TESTS += tests/fuzz/agent_replay
tests_fuzz_agent_replay_SOURCES = tests/fuzz/agent_fuzz.c tests/fuzz/replay.c ofproto/agent_fake.c ofproto/agent_fake.h
tests_fuzz_agent_replay_LDADD = ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)
