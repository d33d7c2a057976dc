noinst_LIBRARIES += controller/libcontroller.a
# The body: configuration, store, API, southbound, discovery, paths.
controller_libcontroller_a_SOURCES = \
	controller/api_json.c \
	controller/auth.c controller/auth.h \
	controller/budget.h \
	controller/compile.c controller/compile.h \
	controller/compile_entry.c \
	controller/compile_switch.c \
	controller/config.c controller/config.h \
	controller/controller.c controller/controller.h \
	controller/counter_sum.c controller/counter_sum.h \
	controller/departures.c controller/departures.h \
	controller/edge_tables.h \
	controller/fabric.c controller/fabric.h controller/fabric_impl.h \
	controller/fabric_status.c \
	controller/fabric_pools.c \
	controller/gather.c controller/gather.h \
	controller/intern.c controller/intern_quota.c \
	controller/limits.c controller/limits.h \
	controller/link_routes.c controller/link_routes.h \
	controller/lldp.c controller/lldp.h \
	controller/neighbours.c \
	controller/paths.c controller/paths.h controller/paths_impl.h \
	controller/paths_bridges.c \
	controller/paths_order.c \
	controller/paths_route.c \
	controller/paths_trees.c \
	controller/port_sum.c controller/port_sum.h \
	controller/relay.c \
	controller/room.c controller/room.h \
	controller/reconcile.c controller/reconcile_impl.h \
	controller/reconcile_read.c \
	controller/reconcile_send.c \
	controller/reconcile_wait.c \
	controller/rest.c controller/rest.h controller/rest_impl.h \
	controller/rest_connections.c controller/rest_connections.h \
	controller/rest_routes.c \
	controller/ruleset.c controller/ruleset.h controller/ruleset_impl.h \
	controller/slice.c controller/slice.h \
	controller/southbound.c \
	controller/southbound_names.c \
	controller/southbound_ports.c \
	controller/southbound_request.c \
	controller/store.c controller/store.h \
	controller/substrate.c controller/substrate.h controller/substrate_impl.h \
	controller/substrate_json.c \
	controller/substrate_lldp.c \
	controller/substrate_paths.c \
	controller/sw_rules.c \
	controller/trace.c \
	controller/transport.c \
	controller/unix_socket.c controller/unix_socket.h \
	controller/vpc.c \
	controller/vsw.c controller/vsw.h \
	controller/vsw_agent.c \
	controller/vsw_changes.c \
	controller/vsw_groups.c \
	controller/vsw_hold.c controller/vsw_hold.h \
	controller/vsw_ports.c \
	controller/vsw_counters.c controller/vsw_counters.h \
	controller/vsw_stats.c controller/vsw_stats.h
controller_libcontroller_a_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)

CONTROLLER_LDADD = controller/libcontroller.a tenants/libtenants.a ofproto/libofproto.a lib/libpolder.a $(SQLITE_LIBS) $(POLDER_LIBS)

sbin_PROGRAMS += controller/controllerd
controller_controllerd_SOURCES = controller/main.c
controller_controllerd_LDADD = $(CONTROLLER_LDADD)

check_PROGRAMS += controller/controller_test
TESTS += controller/controller_test
controller_controller_test_SOURCES = \
	controller/controller_test.c \
	controller/config_test.c \
	controller/gather_test.c \
	controller/counter_sum_test.c \
	controller/intern_test.c \
	controller/limits_test.c \
	controller/link_routes_test.c \
	controller/lldp_test.c \
	controller/paths_test.c \
	controller/paths_trees_test.c \
	controller/port_sum_test.c \
	controller/reconcile_rig_test.c controller/reconcile_rig.h \
	controller/reconcile_test.c \
	controller/relay_test.c \
	controller/rest_slice_test.c \
	controller/rest_test.c \
	controller/ruleset_test.c \
	controller/room_test.c \
	controller/store_test.c \
	controller/substrate_paths_test.c \
	controller/substrate_test.c \
	controller/test_bench.c controller/test_bench.h \
	controller/test_fixture.c controller/test_fixture.h \
	controller/test_rest.c controller/test_rest.h \
	controller/test_switch.c controller/test_switch.h \
	controller/vsw_rig_test.c controller/vsw_rig.h \
	controller/vsw_hold_test.c controller/vsw_stats_test.c \
	controller/vsw_test.c \
	ofproto/of_peer_test.c ofproto/of_peer.h \
	ofproto/random_model.c ofproto/random_model.h \
	tests/unit.h
controller_controller_test_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
controller_controller_test_LDADD = controller/libcontroller.a tenants/libtenants.a ofproto/libofproto.a lib/libpolder.a $(CUNIT_LIBS) $(SQLITE_LIBS) $(POLDER_LIBS)

check_PROGRAMS += tests/fuzz/lldp_replay
TESTS += tests/fuzz/lldp_replay
tests_fuzz_lldp_replay_SOURCES = tests/fuzz/lldp_fuzz.c tests/fuzz/replay.c
tests_fuzz_lldp_replay_LDADD = controller/libcontroller.a lib/libpolder.a $(POLDER_LIBS)
