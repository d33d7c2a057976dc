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
