"""The lines of the table: rule set, number of flows, frames, and what issue 5 asks of vswitchd.

A name is CASE/FLOWS (mac/100k).  `share` is the wanted part of the ceiling, `ratio` the wanted multiple of Open vSwitch's throughput; None where nothing is asked.
"""
from fnmatch import fnmatch

UNITS = {"k": 1000, "M": 1000000}
LATENCY_PPS = 1e6
FLOW_MODS = 1000
CORES = 2
CORES_RATIO = 1.8


def number(text):
    """100k → 100000."""
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


class Case:
    def __init__(self, name, rules, flows, size="60", rate=0, fresh=False, flow_mods=0, cores=1, share=None, ratio=None, pps=None):
        self.name, self.rules, self.flows_text, self.size, self.rate = f"{name}/{flows}", rules, flows, size, rate
        self.fresh, self.flow_mods, self.share, self.ratio, self.pps = fresh, flow_mods, share, ratio, pps
        self.flows, self.cores = number(flows), cores

    @property
    def at_rest(self):
        """The name of the same line without flow-mods."""
        return self.name.replace("-mods/", "/")

    def __repr__(self):
        return self.name


def throughput(name, rules, *lines):
    return [Case(name, rules, flows, share=share, ratio=ratio) for flows, share, ratio in lines]


# Lines with flow-mods come right behind the same at rest: a million flows leave a larger cache behind.
CASES = [
    *throughput("port", "port", ("1", .85, 1.2), ("1k", .85, 1.2), ("100k", .85, 1.2), ("1M", .85, 1.2)),
    *throughput("mac", "mac", ("1k", .75, 1.4), ("100k", .60, 2.5)),
    Case("mac-mods", "mac", "100k", flow_mods=FLOW_MODS),
    *throughput("mac", "mac", ("1M", .50, 2.5)),
    *throughput("host", "host", ("1k", .75, 1.7), ("100k", .60, 4), ("1M", .50, 3)),
    *throughput("acl", "acl", ("1k", .70, 1.8), ("10k", .60, 100)),
    Case("acl-mods", "acl", "10k", flow_mods=FLOW_MODS),
    *throughput("acl", "acl", ("100k", .45, None), ("1M", .35, None)),
    *throughput("six", "six", ("1k", .60, 2), ("100k", .45, 20)),
    Case("six-mods", "six", "100k", flow_mods=FLOW_MODS),
    *throughput("six", "six", ("1M", .35, None)),
    Case("fresh", "six", "100k", fresh=True, ratio=20, pps=2e6),
    Case("port-latency", "port", "1k", rate=LATENCY_PPS),
    Case("six-latency", "six", "1k", rate=LATENCY_PPS),
    Case("port-1500", "port", "1k", size="1500", ratio=1),
    Case("port-imix", "port", "1k", size="imix", ratio=1),
    Case("six-1500", "six", "1k", size="1500", ratio=1),
    Case("six-imix", "six", "1k", size="imix", ratio=1),
    Case("mac-cores", "mac", "1k", cores=CORES),
    Case("acl-cores", "acl", "1k", cores=CORES),
]
# Measured when they are named.
EXTRA = [
    *throughput("vlans", "vlans", ("1k", None, None), ("100k", None, None)),
    *throughput("masks", "masks", ("1k", None, None), ("100k", None, None)),
    *throughput("normal", "normal", ("1k", None, None), ("100k", None, None)),
]
QUICK = [
    Case("port", "port", "1"),
    Case("six", "six", "1k"),
    Case("six-mods", "six", "1k", flow_mods=FLOW_MODS),
    Case("six-imix", "six", "1k", size="imix"),
    Case("six-latency", "six", "1k", rate=50e3),
    Case("mac-cores", "mac", "1k", cores=CORES),
]


def choose(patterns, cases):
    """The cases that match one of the patterns (CASE, CASE/FLOWS or with * and ?); all without patterns.  ValueError for a pattern that fits none."""
    chosen = []
    for pattern in patterns:
        fits = [c for c in cases if fnmatch(c.name, pattern) or fnmatch(c.name.split("/")[0], pattern)]
        if not fits:
            raise ValueError(f"no case is called {pattern}; there are: {' '.join(map(str, cases))}")
        chosen += [c for c in fits if c not in chosen]
    return sorted(chosen, key=cases.index) if patterns else list(cases)
