"""The bench: vswitchd beside its peers, measured with one generator, in one run.

Read in this order:
    README.md    how to run it and how to read what it says
    rules.py     rule sets and the flows that go with them, from a seed
    peers.py     the switches: vswitchd, Open vSwitch with DPDK, dpdk-testpmd
    flowmods.py  a stream of flow-mods that have nothing to do with the traffic
    cases.py     which rule set, traffic and frame size make a line of the table
    own.py       a user's own rules and traffic
    cores.py     one polling thread beside two, without a generator
    bench.py     the runner: rounds, medians, ratios
    report.py    the table, CSV and the plot
    gen*.c       the generator (gen.h says how it works)
"""
