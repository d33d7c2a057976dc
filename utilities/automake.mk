# vswctl: looks into the local vswitchd.
sbin_PROGRAMS += utilities/vswctl
utilities_vswctl_SOURCES = \
	utilities/vswctl.c utilities/vswctl.h \
	utilities/vswctl_capture.c \
	utilities/vswctl_client.c \
	utilities/vswctl_print.c \
	utilities/vswctl_trace.c
utilities_vswctl_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
utilities_vswctl_LDADD = lib/libpolder.a $(PCAP_LIBS) $(POLDER_LIBS)
EXTRA_DIST += utilities/vswctl.bash
bashcompletiondir = $(datadir)/bash-completion/completions
nodist_bashcompletion_DATA = utilities/completion/vswctl
CLEANFILES += utilities/completion/vswctl
utilities/completion/vswctl: utilities/vswctl.bash
	$(AM_V_GEN)$(MKDIR_P) utilities/completion && cp $(srcdir)/utilities/vswctl.bash $@

# The bench (make bench): its generator is a DPDK program; the rest is Python.
noinst_PROGRAMS += utilities/bench/gen
utilities_bench_gen_SOURCES = \
	utilities/bench/flows.c utilities/bench/flows.h \
	utilities/bench/flows_capture.c \
	utilities/bench/gen.c utilities/bench/gen.h \
	utilities/bench/gen_perf.c utilities/bench/gen_perf.h \
	utilities/bench/gen_report.c \
	utilities/bench/gen_run.c \
	utilities/bench/latency.h utilities/bench/probe.h
utilities_bench_gen_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
utilities_bench_gen_CFLAGS = $(AM_CFLAGS) $(DPDK_CFLAGS)
utilities_bench_gen_LDADD = lib/libpolder.a $(DPDK_LIBS) $(PCAP_LIBS) $(POLDER_LIBS)
EXTRA_DIST += utilities/bench/README.md utilities/bench/__init__.py utilities/bench/bench.py utilities/bench/cases.py utilities/bench/cores.py utilities/bench/flowmods.py utilities/bench/own.py \
	utilities/bench/peers.py utilities/bench/report.py utilities/bench/rules.py

check_PROGRAMS += utilities/bench/bench_test
TESTS += utilities/bench/bench_test
utilities_bench_bench_test_SOURCES = \
	utilities/bench/bench_test.c \
	utilities/bench/flows.c utilities/bench/flows.h \
	utilities/bench/flows_capture.c \
	utilities/bench/flows_test.c \
	utilities/bench/latency_test.c utilities/bench/latency.h utilities/bench/probe.h \
	tests/unit.h
utilities_bench_bench_test_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
utilities_bench_bench_test_LDADD = lib/libpolder.a $(CUNIT_LIBS) $(PCAP_LIBS) $(POLDER_LIBS)

# The bench of the control plane (make bench-control): simulated switches and tenants' controllers.
noinst_PROGRAMS += utilities/control-bench/control-sim
utilities_control_bench_control_sim_SOURCES = \
	utilities/control-bench/control_sim.c utilities/control-bench/control_sim.h \
	utilities/control-bench/flood.c utilities/control-bench/flood.h \
	utilities/control-bench/paired.c utilities/control-bench/paired.h \
	utilities/control-bench/phase.h \
	utilities/control-bench/phase_flood.c \
	utilities/control-bench/phase_flow.c \
	utilities/control-bench/phase_packet.c \
	utilities/control-bench/phase_start.c \
	utilities/control-bench/sim.c utilities/control-bench/sim.h utilities/control-bench/sim_impl.h \
	utilities/control-bench/sim_pipeline.c \
	utilities/control-bench/sim_switch.c \
	utilities/control-bench/tenant.c utilities/control-bench/tenant.h \
	utilities/bench/latency.h
EXTRA_DIST += utilities/control-bench/README.md utilities/control-bench/bench.py utilities/control-bench/scenes.py utilities/control-bench/table.py
utilities_control_bench_control_sim_LDADD = ofproto/libofproto.a lib/libpolder.a $(POLDER_LIBS)

check_PROGRAMS += utilities/control-bench/sim_test
TESTS += utilities/control-bench/sim_test
utilities_control_bench_sim_test_SOURCES = \
	utilities/control-bench/sim_test.c \
	utilities/control-bench/paired.c utilities/control-bench/paired.h utilities/control-bench/paired_test.c \
	utilities/control-bench/sim.c utilities/control-bench/sim.h utilities/control-bench/sim_impl.h \
	utilities/control-bench/sim_pipeline.c \
	utilities/control-bench/sim_switch.c \
	utilities/control-bench/tenant.c utilities/control-bench/tenant.h \
	tests/unit.h
utilities_control_bench_sim_test_LDADD = ofproto/libofproto.a lib/libpolder.a $(CUNIT_LIBS) $(POLDER_LIBS)
