# Fuzz targets.  Each foo_fuzz.c has LLVMFuzzerTestOneInput() and a corpus in tests/fuzz/corpus/foo/; foo_replay runs the
# corpus, and random mutations of it, in "make check".  replay.c finds the corpus by the program's name.
check_PROGRAMS += tests/fuzz/json_replay
TESTS += tests/fuzz/json_replay
tests_fuzz_json_replay_SOURCES = tests/fuzz/json_fuzz.c tests/fuzz/replay.c
tests_fuzz_json_replay_LDADD = lib/libpolder.a $(POLDER_LIBS)

EXTRA_DIST += tests/fuzz/corpus
