#!/usr/bin/python3
"""make bench-control: measures what controllerd puts between a tenant's controller and its switches.

    utilities/control-bench/bench.py [OPTION…] [CASE…]        CASE: one, ten, neighbour, thousand; -l lists them

Switches and tenants' controllers are simulated (control-sim); controllerd is the real one, on a CPU of its own.  Each figure stands beside that of a direct connection
from the same tenant to the same kind of switch, measured in turns in the same run.  README.md explains the table.  Exit status: 0 done, 1 something failed,
2 wrong usage; with --targets also 1 when a target of issue 4 is missed.
"""
import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[0:0] = [TOP, HERE]
sys.dont_write_bytecode = True

import table                                    # noqa: E402
from scenes import Scene                        # noqa: E402
from utilities.lab.cleanup import LabError      # noqa: E402
from utilities.lab.daemons import Controllerd   # noqa: E402
from utilities.lab.host import Lab              # noqa: E402


def one(options):
    """A tenant with a switch on an edge: latency while rules grow, throughput, packet-ins."""
    samples, seconds = (300, 1) if options.quick else (3000, 4)
    fills = (1000,) if options.quick else (1000, 10000, 100000)
    phases = ["connect", f"latency={samples}"]
    for n in fills:
        phases += [f"fill={n}", f"latency={samples}"]
    phases += ["clear", f"rate={seconds}", "clear", f"packet-in={seconds}", f"packet-out={seconds}", f"packet-in-latency={samples}"]
    return Scene(), phases


def ten(options):
    """Ten tenants with five switches each, on five edges; what one of them sees of it."""
    samples, seconds = (300, 1) if options.quick else (3000, 4)
    return Scene(n_tenants=10, n_edges=5, switches=5), ["connect", "program=100", f"latency={samples}", f"rate={seconds}"]


def thousand(options):
    """A thousand tenants, each with a big switch over two of a hundred edges; from apply to all programmed."""
    return Scene(n_tenants=100 if options.quick else 1000, n_edges=20 if options.quick else 100, span=2), ["go", "program=20", "idle=1"]


def neighbour(options):
    """A tenant's latency while another one, with the usual quotas, floods controllerd, reads nothing, sends garbage or reconnects in a loop."""
    pairs = 2 if options.quick else options.pairs
    return Scene(n_tenants=3, limited=(1,), listening=(1, 2), vswitchd=True), ["connect"] + [f"flood-{flood}={pairs}" for flood in options.flood or table.FLOODS]


REAL_TIME = 1   # Priority of both: what else runs on their CPUs waits. A nice value is not enough: a task that wakes up may still have to wait for another's slice to end.
CASES = {"one": one, "ten": ten, "neighbour": neighbour, "thousand": thousand}


def simulator():
    build = os.environ.get("POLDER_BUILD") or os.environ.get("POLDER_BUILDDIR") or TOP
    path = os.path.join(build, "utilities/control-bench/control-sim")
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is not built; run make utilities/control-bench/control-sim, or set POLDER_BUILD to the build directory")
    return path


class Run:
    """One case in a lab of its own: controllerd, and control-sim beside it."""

    def __init__(self, lab, options, name):
        self.lab, self.options, self.name = lab, options, name
        self.scene, self.phases = CASES[name](options)
        self.host = lab.host("control")
        self.metrics = {}       # Of tenants that flood, after the last phase.
        self.ctl = Controllerd(self.host, extra={"log_level": "warn"})
        self.pid = self.ctl.process.popen.pid
        os.sched_setaffinity(self.pid, {options.controller_cpu})
        os.sched_setscheduler(self.pid, os.SCHED_FIFO, os.sched_param(REAL_TIME))       # Of the loop's thread; the store's was there before.

    def apply(self, document):
        path = self.host.path("apply.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        begun = time.monotonic()
        self.ctl.vpcctl("apply", "-f", path, timeout=300)
        return time.monotonic() - begun

    def memory_mb(self, key="VmRSS"):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key + ":"))

    def run(self):
        """[result of a phase, …]"""
        slices = self.scene.tenants()
        self.apply(self.scene.substrate())
        started = "go" in self.phases
        if not started:
            self.apply(slices)
        argv = [simulator(), "--openflow", self.ctl.openflow, *self.scene.arguments(), *self.phases]
        errors = open(self.host.path("control-sim.log"), "w+", encoding="utf-8")
        with errors, self.lab.signals.hold():
            sim = self.lab.popen(self.host._inside(["chrt", "--fifo", str(REAL_TIME), "taskset", "-c", str(self.options.sim_cpu), *argv]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=errors, text=True)
        results, apply_seconds, begun = [], 0, time.monotonic()
        try:
            if started:
                self.settle()
                sim.stdin.write("\n")
                sim.stdin.flush()
                results.append(json.loads(sim.stdout.readline()))
                apply_seconds = self.apply(slices)
            for line in sim.stdout:
                results.append(json.loads(line))
                results[-1]["memory_mb"] = self.memory_mb()
                if results[-1]["phase"].startswith("flood-"):
                    self.note_flood(results[-1])
                print(line if self.options.verbose else f"{time.monotonic() - begun:4.0f} s  {self.name}: {results[-1]['phase']}\n", end="", file=sys.stderr, flush=True)
            if sim.wait(timeout=20):
                with open(errors.name, encoding="utf-8") as file:
                    raise LabError(file.read().strip() or f"control-sim ended with status {sim.returncode}")
        finally:
            sim.kill()
            sim.wait()
        for result in results:
            result.update(case=self.name, apply_seconds=apply_seconds, peak_mb=self.memory_mb("VmHWM"))
        return results

    def note_flood(self, result):
        """What controllerd took of a flood, by its own count."""
        tenant = "t2" if result["phase"] == "flood-unlimited" else "t1"
        now = {name: value for name, value in self.ctl.metrics().items() if f'tenant="{tenant}"' in name}

        def grown(name):
            key = f'polder_tenant_{name}{{tenant="{tenant}"}}'
            return now[key] - self.metrics.get(key, 0)
        name = "packet_ins_total" if result["phase"] in ("flood-packet-ins", "flood-unmetered") else "changes_total"
        result["taken_per_second"] = grown(name) / result["flooding_seconds"]
        result["busy"] = grown("busy_seconds_total") / result["flooding_seconds"]
        self.metrics.update(now)

    def settle(self):
        """Until every switch is connected and all of its cables are known: what is measured is the tenants' coming."""
        n = self.scene.n_edges if self.scene.wiring == "star" else 0

        def is_settled():
            links = self.ctl.json("get", "links")["items"]
            return len([link for link in links if link["status"]["state"] == "up"]) == n
        self.lab.wait_for(f"{n} links", is_settled, 60)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", help="one, ten, neighbour or thousand; all without")
    parser.add_argument("-l", "--list", action="store_true", help="list the cases")
    parser.add_argument("--quick", action="store_true", help="does it still run? Small numbers, a few seconds")
    parser.add_argument("--out", default="bench-results", help="folder for control.json and control.csv (default bench-results)")
    parser.add_argument("--controller-cpu", type=int, help="for controllerd (default: the last)")
    parser.add_argument("--sim-cpu", type=int, help="for the simulated switches and tenants (default: the first)")
    parser.add_argument("--flood", action="append", choices=list(table.FLOODS), help="for neighbour: this flood only; may be given again")
    parser.add_argument("--pairs", type=int, default=100, help="for neighbour: windows of each kind (default 100; more make the intervals narrower)")
    parser.add_argument("--targets", action="store_true", help="make a missed target of issue 4 an error")
    parser.add_argument("--verbose", action="store_true", help="print each phase's result as it comes, to standard error")
    options = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    options.sim_cpu = cpus[0] if options.sim_cpu is None else options.sim_cpu
    options.controller_cpu = cpus[-1] if options.controller_cpu is None else options.controller_cpu
    for name in options.case:
        if name not in CASES:
            parser.error(f"no case is called {name}; there are: {' '.join(CASES)}")
    if options.sim_cpu == options.controller_cpu:
        print("one CPU only: controllerd and the simulation take turns, and the figures say little", flush=True)
    return options


def main():
    options = arguments()
    if options.list:
        print("\n".join(f"{name:10}{function.__doc__}" for name, function in CASES.items()))
        return 0
    if os.geteuid() != 0:
        print("make bench-control makes a network namespace: run it as root", file=sys.stderr)
        return 2
    results = []
    try:
        for name in options.case or CASES:
            with Lab() as lab:
                results += Run(lab, options, name).run()
    except LabError as error:
        print(f"bench-control: {error}", file=sys.stderr)
        return 1
    lines = table.lines(results)
    print(table.text(lines))
    table.write(options.out, results, lines)
    print(f"control.json and control.csv are in {options.out}")
    return 1 if options.targets and any(line.missed for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
