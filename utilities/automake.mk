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
	utilities/bench/gen.c utilities/bench/gen.h \
	utilities/bench/gen_perf.c utilities/bench/gen_perf.h \
	utilities/bench/gen_report.c \
	utilities/bench/gen_run.c \
	utilities/bench/latency.h utilities/bench/probe.h
utilities_bench_gen_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
utilities_bench_gen_CFLAGS = $(AM_CFLAGS) $(DPDK_CFLAGS)
utilities_bench_gen_LDADD = lib/libpolder.a $(DPDK_LIBS) $(POLDER_LIBS)
EXTRA_DIST += utilities/bench/README.md utilities/bench/__init__.py utilities/bench/bench.py utilities/bench/cases.py utilities/bench/cores.py utilities/bench/flowmods.py \
	utilities/bench/peers.py utilities/bench/report.py utilities/bench/rules.py

check_PROGRAMS += utilities/bench/bench_test
TESTS += utilities/bench/bench_test
utilities_bench_bench_test_SOURCES = \
	utilities/bench/bench_test.c \
	utilities/bench/flows.c utilities/bench/flows.h \
	utilities/bench/flows_test.c \
	utilities/bench/latency_test.c utilities/bench/latency.h utilities/bench/probe.h \
	tests/unit.h
utilities_bench_bench_test_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
utilities_bench_bench_test_LDADD = lib/libpolder.a $(CUNIT_LIBS) $(POLDER_LIBS)
