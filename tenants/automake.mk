noinst_LIBRARIES += tenants/libtenants.a
tenants_libtenants_a_SOURCES = \
	tenants/claim.c \
	tenants/delete.c \
	tenants/load.c \
	tenants/model.c tenants/model.h tenants/model_impl.h \
	tenants/numbers.c tenants/numbers.h \
	tenants/plan.c \
	tenants/plan_slice.c \
	tenants/topology.c \
	tenants/txn.c \
	tenants/validate.c \
	tenants/validate_link.c \
	tenants/validate_room.c \
	tenants/validate_port.c \
	tenants/validate_slice.c \
	tenants/view.c \
	tenants/whois.c

# Only vpcctl reads YAML, so yaml.c is not in the library and controllerd does not link libfyaml.
bin_PROGRAMS += tenants/vpcctl
tenants_vpcctl_SOURCES = \
	tenants/vpcctl.c tenants/vpcctl.h \
	tenants/vpcctl_apply.c \
	tenants/vpcctl_create.c \
	tenants/vpcctl_get.c \
	tenants/vpcctl_http.c \
	tenants/vpcctl_misc.c \
	tenants/vpcctl_table.c \
	tenants/yaml.c tenants/yaml.h \
	tenants/yaml_out.c
nodist_tenants_vpcctl_SOURCES = tenants/vpcctl_bash.h
tenants_vpcctl_CFLAGS = $(AM_CFLAGS) $(FYAML_CFLAGS) $(CURL_CFLAGS)
tenants_vpcctl_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)
tenants_vpcctl_LDADD = tenants/libtenants.a lib/libpolder.a $(FYAML_LIBS) $(CURL_LIBS) $(POLDER_LIBS)

# The completion script, as a C string for "vpcctl completion bash".
tenants/vpcctl_bash.h: tenants/vpcctl.bash
	@$(MKDIR_P) tenants
	$(AM_V_GEN)sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $(srcdir)/tenants/vpcctl.bash >$@.tmp && mv $@.tmp $@
BUILT_SOURCES += tenants/vpcctl_bash.h
CLEANFILES += tenants/vpcctl_bash.h
EXTRA_DIST += tenants/vpcctl.bash

check_PROGRAMS += tenants/tenants_test
TESTS += tenants/tenants_test
tenants_tenants_test_SOURCES = \
	tenants/tenants_test.c \
	tenants/model_test.c \
	tenants/model_random_test.c \
	tenants/numbers_test.c \
	tenants/slice_random_test.c \
	tenants/slice_test.c \
	tenants/validate_room_test.c \
	tenants/whois_test.c \
	tenants/yaml_test.c \
	tenants/model_fixture_test.c tenants/model_fixture.h \
	tenants/yaml.c tenants/yaml.h \
	tenants/yaml_out.c \
	tests/unit.h
tenants_tenants_test_CFLAGS = $(AM_CFLAGS) $(FYAML_CFLAGS)
tenants_tenants_test_LDADD = tenants/libtenants.a lib/libpolder.a $(FYAML_LIBS) $(CUNIT_LIBS) $(POLDER_LIBS)

# Runs the built vpcctl against a small server of its own.
TESTS += tenants/vpcctl_test.py
EXTRA_DIST += tenants/vpcctl_test.py

check_PROGRAMS += tests/fuzz/apply_replay
TESTS += tests/fuzz/apply_replay
tests_fuzz_apply_replay_SOURCES = tests/fuzz/apply_fuzz.c tests/fuzz/replay.c
tests_fuzz_apply_replay_LDADD = tenants/libtenants.a lib/libpolder.a $(POLDER_LIBS)

EXTRA_DIST += \
	examples/quickstart/blue.yaml \
	examples/quickstart/red.yaml \
	examples/quickstart/substrate.yaml \
	examples/slice/big-switch.yaml \
	examples/slice/line.yaml \
	examples/slice/ring-topology.yaml
