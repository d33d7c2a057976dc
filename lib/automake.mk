noinst_LIBRARIES += lib/libpolder.a
lib_libpolder_a_SOURCES = \
	lib/addr.c lib/addr.h \
	lib/buf.c lib/buf.h \
	lib/codec.c \
	lib/err.c lib/err.h \
	lib/hmap.c lib/hmap.h \
	lib/json.c lib/json.h \
	lib/json_read.c \
	lib/json_scan.c lib/json_scan.h \
	lib/log.c lib/log.h \
	lib/loop.c lib/loop.h \
	lib/policer.c lib/policer.h \
	lib/stream.c lib/stream.h \
	lib/stream_accept.h \
	lib/stream_listener.c \
	lib/target.c lib/target.h \
	lib/tls.c lib/tls.h \
	lib/util.c lib/util.h \
	lib/wire.h

check_PROGRAMS += lib/lib_test
TESTS += lib/lib_test
lib_lib_test_SOURCES = \
	lib/lib_test.c \
	lib/addr_test.c \
	lib/buf_test.c \
	lib/codec_test.c \
	lib/err_test.c \
	lib/hmap_test.c \
	lib/json_test.c \
	lib/log_test.c \
	lib/loop_test.c \
	lib/policer_test.c \
	lib/stream_test.c lib/stream_test.h \
	lib/stream_tls_test.c \
	lib/util_test.c \
	tests/unit.h
lib_lib_test_LDADD = lib/libpolder.a $(CUNIT_LIBS) $(POLDER_LIBS) -lm
