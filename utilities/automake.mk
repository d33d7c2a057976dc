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
