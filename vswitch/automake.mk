# vswitchd: devices, poll-mode threads, control socket.  The datapath core is vswitch/libdatapath.a.
sbin_PROGRAMS += vswitch/vswitchd
vswitch_vswitchd_SOURCES = \
	vswitch/backend.c vswitch/backend.h \
	vswitch/backend_punt.c \
	vswitch/capture.c vswitch/capture.h \
	vswitch/config.c vswitch/config.h \
	vswitch/config_qos.c vswitch/config_qos.h \
	vswitch/control.c vswitch/control.h \
	vswitch/control_capture.c \
	vswitch/control_flows.c \
	vswitch/device.h \
	vswitch/device_defrag.c \
	vswitch/device_ethdev.c \
	vswitch/device_link.c vswitch/device_link.h \
	vswitch/device_mbuf.c vswitch/device_mbuf.h \
	vswitch/device_vhost.c \
	vswitch/vhost_chain.c vswitch/vhost_chain.h \
	vswitch/vhost_ring.c vswitch/vhost_ring.h \
	vswitch/vhost_rings.c vswitch/vhost_rings.h \
	vswitch/eal.c vswitch/eal.h \
	vswitch/main.c \
	vswitch/metrics.c vswitch/metrics.h \
	vswitch/poll.c vswitch/poll.h \
	vswitch/poll_output.c \
	vswitch/port.c vswitch/port.h \
	vswitch/queue.c vswitch/queue.h \
	vswitch/rcu.c vswitch/rcu.h \
	vswitch/rpc.c vswitch/rpc.h \
	vswitch/rpc_flows.c \
	vswitch/rpc_perf.c \
	vswitch/rpc_ports.c \
	vswitch/vswitch.c vswitch/vswitch.h
vswitch_vswitchd_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
vswitch_vswitchd_CFLAGS = $(AM_CFLAGS) $(DPDK_CFLAGS)
vswitch_vswitchd_LDADD = vswitch/libdatapath.a ofproto/libofproto.a lib/libpolder.a $(DPDK_LIBS) $(PCAP_LIBS) $(POLDER_LIBS)

check_PROGRAMS += vswitch/vswitch_test
TESTS += vswitch/vswitch_test
vswitch_vswitch_test_SOURCES = \
	vswitch/vswitch_test.c \
	vswitch/config.c vswitch/config.h \
	vswitch/config_qos.c vswitch/config_qos.h \
	vswitch/config_test.c \
	vswitch/device_mbuf.c vswitch/device_mbuf.h \
	vswitch/device_mbuf_test.c vswitch/device_mbuf_test.h \
	vswitch/queue.c vswitch/queue.h \
	vswitch/queue_test.c \
	vswitch/rcu.c vswitch/rcu.h \
	vswitch/rcu_test.c \
	vswitch/vhost_chain.c vswitch/vhost_chain.h \
	vswitch/vhost_ring.c vswitch/vhost_ring.h \
	vswitch/vhost_ring_test.c \
	tests/unit.h
vswitch_vswitch_test_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
vswitch_vswitch_test_CFLAGS = $(AM_CFLAGS) $(DPDK_CFLAGS)
vswitch_vswitch_test_LDADD = vswitch/libdatapath.a ofproto/libofproto.a lib/libpolder.a $(DPDK_LIBS) $(PCAP_LIBS) $(CUNIT_LIBS) $(POLDER_LIBS)

# What rte_vhost makes of the same rings (tests/system/test_vhost.py).
noinst_PROGRAMS += vswitch/vhost_twin
vswitch_vhost_twin_SOURCES = vswitch/vhost_twin.c vswitch/device_mbuf.h
vswitch_vhost_twin_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
vswitch_vhost_twin_CFLAGS = $(AM_CFLAGS) $(DPDK_CFLAGS)
vswitch_vhost_twin_LDADD = $(DPDK_LIBS)

# The datapath core: no DPDK.
noinst_LIBRARIES += vswitch/libdatapath.a
vswitch_libdatapath_a_SOURCES = \
	vswitch/cache.c vswitch/cache.h \
	vswitch/cache_check.c \
	vswitch/cache_key.c \
	vswitch/cache_lanes.c \
	vswitch/cache_memory.c \
	vswitch/cache_plan.c \
	vswitch/cache_recent.c vswitch/cache_recent.h \
	vswitch/cache_record.c \
	vswitch/cache_run.c vswitch/cache_run.h \
	vswitch/cache_steps.c \
	vswitch/checksum.c vswitch/checksum.h \
	vswitch/classifier.c vswitch/classifier.h \
	vswitch/classifier_lookup.c \
	vswitch/counters.c vswitch/counters.h \
	vswitch/conjunction.c vswitch/conjunction.h \
	vswitch/dp.c vswitch/dp.h vswitch/dp_private.h \
	vswitch/dp_bundle.c \
	vswitch/dp_group.c \
	vswitch/dp_learn.c \
	vswitch/dp_receive.c \
	vswitch/exec.c vswitch/exec.h \
	vswitch/exec_group.c \
	vswitch/exec_output.c \
	vswitch/exec_record.h \
	vswitch/exec_set.c \
	vswitch/meter.c vswitch/meter.h \
	vswitch/packet.c vswitch/packet.h \
	vswitch/packet_compose.c \
	vswitch/packet_tags.c \
	vswitch/packet_write.c \
	vswitch/perf.c vswitch/perf.h \
	vswitch/program.c vswitch/program.h \
	vswitch/queue_sched.c vswitch/queue_sched.h \
	vswitch/trace.c \
	vswitch/value_classes.c vswitch/value_classes.h

check_PROGRAMS += vswitch/datapath_test
TESTS += vswitch/datapath_test
vswitch_datapath_test_SOURCES = \
	vswitch/datapath_test.c \
	vswitch/cache_cliff_test.c \
	vswitch/cache_hostile_test.c \
	vswitch/cache_key_test.c \
	vswitch/cache_labels_test.c \
	vswitch/cache_normal_test.c \
	vswitch/cache_recent_test.c \
	vswitch/cache_test.c \
	vswitch/checksum_test.c \
	vswitch/classifier_test.c \
	vswitch/conjunction_test.c \
	vswitch/counters_test.c \
	vswitch/dp_fixture.c vswitch/dp_fixture.h \
	vswitch/dp_bundle_test.c \
	vswitch/dp_group_test.c \
	vswitch/dp_stress_test.c \
	vswitch/dp_test.c \
	vswitch/meter_test.c \
	vswitch/packet_edit_test.c \
	vswitch/packet_random.c vswitch/packet_random.h \
	vswitch/packet_test.c \
	vswitch/perf_test.c \
	vswitch/queue_sched_test.c \
	vswitch/trace_test.c \
	vswitch/value_classes_test.c \
	tests/unit.h
vswitch_datapath_test_LDADD = vswitch/libdatapath.a ofproto/libofproto.a lib/libpolder.a $(CUNIT_LIBS) $(POLDER_LIBS) -lm

check_PROGRAMS += tests/fuzz/packet_replay
TESTS += tests/fuzz/packet_replay
tests_fuzz_packet_replay_SOURCES = tests/fuzz/packet_fuzz.c tests/fuzz/replay.c
tests_fuzz_packet_replay_LDADD = vswitch/libdatapath.a ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)

# Nanoseconds per packet of the core alone; built when asked for.
EXTRA_PROGRAMS += vswitch/dp_bench
vswitch_dp_bench_SOURCES = vswitch/dp_bench.c
vswitch_dp_bench_LDADD = vswitch/libdatapath.a ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)
