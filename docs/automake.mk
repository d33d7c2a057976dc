# Manual pages.
dist_man_MANS += docs/vpcctl.1
dist_man_MANS += docs/controllerd.8
dist_man_MANS += docs/vswitchd.8 docs/vswctl.8
