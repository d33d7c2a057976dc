# Manual pages, the documents behind them, and examples of both daemons' configurations.
dist_man_MANS += docs/vpcctl.1
dist_man_MANS += docs/controllerd.8
dist_man_MANS += docs/vswitchd.8 docs/vswctl.8
dist_doc_DATA += README.md docs/ARCHITECTURE.md docs/REST.md
dist_doc_DATA += examples/controllerd.json examples/vswitchd.json

# What they say, against the sources and the built programs.
TESTS += docs/docs_test.py
EXTRA_DIST += docs/docs_test.py
