# Fuzz targets.  Each foo_fuzz.c has LLVMFuzzerTestOneInput() and a corpus in tests/fuzz/corpus/foo/; foo_replay runs the
# corpus, and random mutations of it, in "make check".  replay.c finds the corpus by the program's name.
check_PROGRAMS += tests/fuzz/json_replay
TESTS += tests/fuzz/json_replay
tests_fuzz_json_replay_SOURCES = tests/fuzz/json_fuzz.c tests/fuzz/replay.c
tests_fuzz_json_replay_LDADD = lib/libpolder.a $(POLDER_LIBS)

EXTRA_DIST += tests/fuzz/corpus tests/fuzz/campaign

# The translate transport against its promise: the real compiler and datapath cores of a whole site, with the test's own wires.
check_PROGRAMS += tests/oracle/site_test
TESTS += tests/oracle/site_test
tests_oracle_site_test_SOURCES = tests/oracle/site_test.c tests/oracle/site.c tests/oracle/site.h
tests_oracle_site_test_LDADD = controller/libcontroller.a vswitch/libdatapath.a tenants/libtenants.a ofproto/libofproto.a lib/libpolder.a \
	$(CUNIT_LIBS) $(SQLITE_LIBS) $(POLDER_LIBS)

check_PROGRAMS += tests/oracle/slice_test
TESTS += tests/oracle/slice_test
tests_oracle_slice_test_SOURCES = tests/oracle/slice_test.c \
	tests/oracle/slice_audit.c tests/oracle/slice_audit.h tests/oracle/slice_program.c tests/oracle/slice_program.h tests/oracle/site.c tests/oracle/site.h
tests_oracle_slice_test_LDADD = $(tests_oracle_site_test_LDADD)

# What system tests judge physical rules by.
TESTS += tests/system/isolation_test.py

# Whole sites of real daemons: make check-system.
EXTRA_DIST += tests/system tests/tsan.supp

# The conformance suite's throughput tests, half an hour (tests/system/conformance.md).
check-conformance-slow: all
	POLDER_CONFORMANCE_SLOW=1 POLDER_BUILDDIR="$(abs_top_builddir)" $(abs_top_srcdir)/tests/system/run groups_and_meters

# Ten thousand slices that come and go, and another tenant that notices nothing; minutes.
check-slice-cycles: all
	POLDER_SLICE_CYCLES=10000 POLDER_BUILDDIR="$(abs_top_builddir)" $(abs_top_srcdir)/tests/system/run slice_life.cycles

.PHONY: check-conformance-slow check-slice-cycles

# What a flow-mod costs controllerd, without sockets (utilities/control-bench/README.md).
noinst_PROGRAMS += tests/bench/vsw_bench
tests_bench_vsw_bench_SOURCES = tests/bench/vsw_bench.c utilities/bench/latency.h
tests_bench_vsw_bench_LDADD = controller/libcontroller.a tenants/libtenants.a ofproto/libofproto.a lib/libpolder.a $(SQLITE_LIBS) $(POLDER_LIBS)
