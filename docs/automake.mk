# Manual pages.
dist_man_MANS += docs/vpcctl.1
dist_man_MANS += docs/controllerd.8
