# Manual pages.
dist_man_MANS += docs/vpcctl.1
