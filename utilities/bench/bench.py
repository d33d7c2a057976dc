#!/usr/bin/python3
"""make bench: measures vswitchd beside Open vSwitch with DPDK and dpdk-testpmd.

    utilities/bench/bench.py [OPTION…] [CASE…]      CASE: mac, mac/100k, *-latency …; see -l
    utilities/bench/bench.py --rules FILE --traffic FILE [OPTION…] [CASE…]      your own rules and traffic (own.py)

For each rule set all switches are started and given the same entries.  Then, line by line and round by round, each is measured in turn on the same CPU while the others are
stopped; the table has the medians of the rounds and their ratios.  README.md explains the columns.  Exit status: 0 done, 1 something failed or a frame came back damaged,
2 wrong usage; with --targets also 1 when a target of issue 5 is missed.
"""
import argparse
import json
import os
import statistics
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP)
sys.dont_write_bytecode = True

from utilities.bench import cases, cores, own, peers, report, rules     # noqa: E402
from utilities.bench.flowmods import FlowMods               # noqa: E402
from utilities.lab.cleanup import LabError                  # noqa: E402
from utilities.lab.host import Lab                          # noqa: E402


def generator():
    build = os.environ.get("POLDER_BUILD") or os.environ.get("POLDER_BUILDDIR") or TOP
    path = os.path.join(build, "utilities/bench/gen")
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is not built; run make utilities/bench/gen, or set POLDER_BUILD to the build directory")
    return path


class Bench:
    """One run.  results: a list of dictionaries, one per measurement."""

    def __init__(self, lab, options, chosen):
        self.lab, self.options, self.chosen, self.results = lab, options, chosen, []
        names = [name for name in options.switches if not peers.ALL[name].missing()]
        for name in options.switches:
            if name not in names:
                print(f"without {name}: {peers.ALL[name].missing()}", flush=True)
        self.names = names
        hugetlbfs = None if options.no_hugepages else lab.hugepages(sum(peers.HUGEPAGES_MB[n] for n in names) + 256 + cores.HUGEPAGES_MB * any(c.cores > 1 for c in chosen))
        self.setup = peers.Setup(lab, options.switch_cpu, options.gen_cpu, hugetlbfs)
        self.files = os.path.join(lab.dir, "bench")
        os.mkdir(self.files)

    def run(self):
        lines = [case for case in self.chosen if case.rules == own.NAME]
        if lines:
            self.run_own(lines)
        for name in dict.fromkeys(case.rules for case in self.chosen if case.rules != own.NAME):
            lines = [case for case in self.chosen if case.rules == name]
            rule_set = rules.make(name, self.options.seed, self.options.scale)
            entries, flows = (os.path.join(self.files, f"{name}.{kind}") for kind in ("entries", "flows"))
            rules.write(entries, rule_set.entries)
            rules.write(flows, rule_set.flows(max(case.flows for case in lines), self.options.seed))
            self.run_lines([case for case in lines if case.cores == 1], flows, lambda switch, e=entries, n=len(rule_set.entries): switch.load(e, n))
            for case in lines:
                if case.cores > 1:
                    self.run_cores(case, rule_set)

    def run_own(self, lines):
        """A user's rules and traffic."""
        mine, counts = self.options.own, {}
        groups, entries = (os.path.join(self.files, f"{own.NAME}.{kind}") for kind in ("groups", "entries"))
        rules.write(groups, mine.groups)
        rules.write(entries, mine.entries)

        def load(switch):
            counts[switch.name] = switch.load_own(mine.meters, groups if mine.groups else None, entries)
        self.run_lines(lines, mine.traffic, load)
        if len({count for count in counts.values() if count is not None}) > 1:
            print(f"the switches hold different numbers of entries: {counts}", flush=True)

    def run_cores(self, case, rule_set):
        """vswitchd with one polling thread and with several, in turn."""
        if "vswitchd" not in self.names:
            return
        if len(os.sched_getaffinity(0)) < case.cores:
            print(f"{case.name}: left out, needs {case.cores} CPUs", flush=True)
            return
        path, flows = os.path.join(self.files, f"{case.rules}.cores"), list(rule_set.flows(case.flows, self.options.seed))
        entries, switches = cores.entries(rule_set), []
        rules.write(path, entries)
        for threads in (1, case.cores):
            switch = cores.Vswitch(self.setup, case.rules, threads, flows)
            switches.append(switch)
            switch.load(path, len(entries))
            switch.pause()
        for round_ in range(self.options.rounds):
            for switch in switches:
                switch.resume()
                result = switch.measure(self.options.seconds)
                switch.pause()
                result.update(case=case.name, switch=switch.name if switch.threads > 1 else report.ONE_CORE, round=round_, rss_mb=switch.resident_mb(),
                              load_s=switch.load_s, flow_mods=0)
                self.results.append(result)
        for switch in switches:
            switch.stop()
        self.tell(case, (report.ONE_CORE, "vswitchd"))

    def run_lines(self, lines, flows, load):
        switches = []
        if not lines:
            return
        try:
            for name in self.names:
                switch = peers.ALL[name](self.setup, lines[0].rules)
                switches.append(switch)
                load(switch)
                switch.pause()
            for case in lines:
                for round_ in range(self.options.rounds):
                    for switch in switches:
                        switch.resume()
                        switch.schedule(self.is_realtime(case))
                        self.measure(case, round_, switch, flows)
                        switch.pause()
                self.tell(case)
        finally:
            for switch in switches:
                switch.resume()
        for switch in switches:
            switch.stop()

    def is_realtime(self, case):
        """Never with flow-mods: the control threads share the generator's CPU, and would starve."""
        return self.options.realtime and not case.flow_mods

    def warmup(self, case):
        """Seconds, the same for all switches: each flow should have come by several times even where it is slow to learn, 1 µs a packet."""
        return max(self.options.warmup, 4 * case.flows * 1e-6 if not self.options.quick else 0)

    def shape(self, case):
        """How many flows of the file, in frames of what size: of a capture all, as they are."""
        return [] if case.rules == own.NAME and self.options.own.is_capture else ["--limit", str(case.flows), "--size", case.size]

    def measure(self, case, round_, switch, flows):
        o = self.options
        tid = switch.polling_thread()
        argv = [generator(), "--tx", switch.sockets[0], "--rx", switch.sockets[1], "--flows", flows, *self.shape(case),
                "--seconds", str(o.seconds), "--warmup", str(self.warmup(case)), "--cpu", str(o.gen_cpu), "--perf", str(tid),
                *(["--rate", str(case.rate)] if case.rate else []), *(["--fresh"] if case.fresh else []), *(["--realtime"] if self.is_realtime(case) else []),
                *(["--hugepages"] if self.setup.hugetlbfs else []), *(["--virtio", o.virtio] if o.virtio else [])]
        record = os.path.join(self.files, "perf.data")
        if o.profile and not round_:
            argv = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4000", "-t", str(tid), "-o", record, "--", *argv]
        mods = 0
        if case.flow_mods and switch.management:
            with FlowMods(switch.management, case.flow_mods, o.gen_cpu) as stream:
                answer = self.lab.execute(argv, timeout=o.seconds + self.warmup(case) + 60, merge=False)
            mods = stream.sent
        else:
            answer = self.lab.execute(argv, timeout=o.seconds + self.warmup(case) + 60, merge=False)
        result = json.loads(answer.output)
        if o.profile and not round_:
            self.keep_profile(case, switch, record)
        result.update(case=case.name, switch=switch.name, round=round_, rss_mb=switch.resident_mb(), load_s=switch.load_s, flow_mods=mods)
        self.results.append(result)

    def keep_profile(self, case, switch, record):
        """Where the polling thread spends its time, next to the other results: by program and library, then by function (libraries without symbols have none)."""
        perf = ["perf", "report", "-q", "--stdio", "--percent-limit", "0.3", "-i", record, "--sort"]
        places, functions = (self.lab.execute([*perf, key], merge=False).output for key in ("dso", "dso,symbol"))
        named = [line for line in functions.splitlines() if "[.] 0x" not in line and line.strip()]
        os.makedirs(self.options.out, exist_ok=True)
        name = f"profile-{case.name.replace('/', '-')}-{switch.name}.txt"
        with open(os.path.join(self.options.out, name), "w", encoding="utf-8") as file:
            file.write(places.strip("\n") + "\n\n" + "\n".join(named) + "\n")

    def tell(self, case, names=None):
        """A line of progress."""
        words = []
        for name in names or self.names:
            rates = [self.rate(r) / 1e6 for r in self.results if r["case"] == case.name and r["switch"] == name]
            words.append(f"{name} {statistics.median(rates):.2f} ({min(rates):.2f}–{max(rates):.2f})")
        print(f"{case.name}: " + ", ".join(words) + " Mpps", flush=True)

    def rate(self, result):
        return result["window_p90_pps" if self.options.noisy and not result["offered_pps"] else "received_pps"]

    def latency(self, result, percentile):
        return result["latency_ns"][f"part_{percentile}" if self.options.noisy else percentile]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*")
    parser.add_argument("-l", "--list", action="store_true", help="list the cases")
    parser.add_argument("--quick", action="store_true", help="a smoke test: few lines, small rule sets, one short round")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--seconds", type=float, help="of each measurement, default 2")
    parser.add_argument("--warmup", type=float, help="before each, default 1")
    parser.add_argument("--switches", default=",".join(peers.ALL), help="default: %(default)s, those that are installed")
    parser.add_argument("--out", default="bench-results", help="folder for measurements.csv, summary.csv and plot.svg (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of rule sets and flows, default 1")
    parser.add_argument("--scale", type=float, help="shrinks the rule sets")
    parser.add_argument("--gen-cpu", type=int, help="for the generator and the switches' control threads (default: the first)")
    parser.add_argument("--switch-cpu", type=int, help="for the switches' polling threads (default: the last)")
    parser.add_argument("--no-hugepages", action="store_true", help="everything on ordinary memory")
    parser.add_argument("--realtime", action="store_true", help="generator (once warm) and polling threads go before everything else on their CPUs")
    parser.add_argument("--noisy", action="store_true", help="take the ninth decile of 5 ms windows instead of the mean, and the median of 50 ms windows' latencies: the machine is used by others")
    parser.add_argument("--profile", action="store_true", help="list where the polling threads spend their time (perf), in the first round")
    parser.add_argument("--virtio", help="parameters of the generator's devices (gen --help)")
    parser.add_argument("--rules", metavar="FILE", help="your own flow entries (as for ovs-ofctl add-flows; groups and meters, too): the line `own`; needs --traffic")
    parser.add_argument("--traffic", metavar="FILE", help="what runs through them: flows (flows.h) or a capture (pcap) of Ethernet frames; it enters by port 1 and has to leave by 2")
    parser.add_argument("--targets", action="store_true", help="compare with the targets of issue 5")
    options = parser.parse_args()
    if bool(options.rules) != bool(options.traffic):
        parser.error("--rules and --traffic go together")
    try:
        options.own = own.Own(options.rules, options.traffic) if options.rules else None
    except ValueError as error:
        parser.error(str(error))
    quick = options.quick
    for name, usual, short in (("rounds", 3, 1), ("seconds", 2.0, 0.3), ("warmup", 1.0, 0.2), ("scale", 1.0, 0.05)):
        if getattr(options, name) is None:
            setattr(options, name, short if quick else usual)
    cpus = sorted(os.sched_getaffinity(0))
    options.gen_cpu = cpus[0] if options.gen_cpu is None else options.gen_cpu
    options.switch_cpu = cpus[-1] if options.switch_cpu is None else options.switch_cpu
    options.switches = options.switches.split(",")
    for name in options.switches:
        if name not in peers.ALL:
            parser.error(f"--switches: there is no {name}, only {', '.join(peers.ALL)}")
    if options.switch_cpu == options.gen_cpu:
        print("one CPU only: generator and switch take turns, and the figures say little", flush=True)
    return parser, options


def main():
    parser, options = arguments()
    mine = options.own.cases() if options.own else []
    usual = cases.QUICK if options.quick else cases.CASES
    known = mine + usual + cases.EXTRA
    try:
        chosen = cases.choose(options.case or [case.name for case in mine[:1] or usual], known)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        print("\n".join(map(str, known)))
        return 0
    if os.geteuid() != 0:
        print("make bench makes network namespaces and adds hugepages: run it as root", file=sys.stderr)
        return 2
    try:
        generator()
        with Lab() as lab:
            bench = Bench(lab, options, chosen)
            bench.run()
    except (LabError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    summary = report.summarise(bench.results, chosen, bench.rate, bench.latency)
    print(report.table(summary, bench.names, options.targets))
    report.write(options.out, bench.results, summary)
    print(f"measurements.csv, summary.csv and plot.svg are in {options.out}")
    damaged = [r for r in bench.results if r["damaged"] or r["lost"] < 0]
    for r in damaged:
        print(f"bench: {r['case']} on {r['switch']}: {r['damaged']} of {r['checked']} frames damaged, {r['lost']} lost", file=sys.stderr)
    missed = options.targets and any(line.missed for line in summary)
    return 1 if damaged or missed else 0


if __name__ == "__main__":
    sys.exit(main())
