"""What a run says: one line per figure, with what issue 4 asks and what peers reach on such a machine (README.md).

A result is a phase's JSON object, as control-sim prints it, with "case", "memory_mb" (controllerd's, after the phase), "peak_mb" and "apply_seconds"; a flood's also
with "taken_per_second" and "busy", the part of the loop's time that it got.
"""
import collections
import csv
import json
import os

# Measured once with the same method on a machine with two CPUs: FlowVisor 1.4, OpenVirteX (OpenFlow 1.3), Libera; 1 tenant × 1 switch.
PEERS = {
    "barrier p50": "FlowVisor 122 µs, OpenVirteX 283, Libera 217", "barrier p99": "FlowVisor 366 µs, OpenVirteX 692, Libera 5038",
    "rate": "FlowVisor 63 k/s, OpenVirteX 9.9 k, Libera 6.8 k", "packet-in": "FlowVisor 4.1 k/s, OpenVirteX 2.1 k, Libera 1.3 k",
    "memory": "OpenVirteX 501 MB for one tenant, 866 for ten",
}
MEBI_PER_GIB = 1024

Flood = collections.namedtuple("Flood", "what judged")
# By control-sim's phase.  What a switch without meters lets through fills the connection that both tenants' answers share: it is to be stood, no more.
FLOODS = {
    "flow-mods": Flood("sends flow-mods without end", True), "unlimited": Flood("sends flow-mods, and has no limit", False),
    "packet-ins": Flood("has a machine that causes packet-ins without end", True),
    "unmetered": Flood("has one at a switch without meters", False), "stall": Flood("asks and does not read", True),
    "garbage": Flood("sends garbage", True), "reconnect": Flood("reconnects in a loop", True),
}


class Line:
    """One figure.  `value` of the slice, `direct` beside it (None where there is none), `limit`: (sense, number) that the value has to keep, or None."""

    def __init__(self, name, unit, value, direct=None, added=None, limit=None, peers=""):
        self.name, self.unit, self.value, self.direct, self.added, self.limit, self.peers = name, unit, value, direct, added, limit, peers

    @property
    def missed(self):
        if not self.limit:
            return False
        judged = self.value if self.added is None else self.added
        return judged > self.limit[1] if self.limit[0] == "≤" else judged < self.limit[1]


def _latency(case, result):
    rules, lines = result["rules"], []
    for where, what in (("to_switch_us", "to the switch"), ("to_barrier_us", "and barrier")):
        for p, limit in (("p50", 50), ("p99", 200)):
            direct, mine = result["direct"][where][p], result["slice"][where][p]
            barrier = where == "to_barrier_us"
            lines.append(Line(f"{case}: flow-mod {what}, {rules} rules, {p}", "µs", mine, direct, mine - direct, None if barrier else ("≤", limit),
                              PEERS[f"barrier {p}"] if barrier and not rules else ""))
    return lines


def _rate(name, result, limit=None, peers=""):
    return Line(name, "1/s", result["slice"]["per_second"], result["direct"]["per_second"], None, limit and ("≥", limit), peers)


def _of(result):
    case, phase = result["case"], result["phase"]
    if phase == "latency":
        return _latency(case, result)
    if phase.startswith("flood-"):
        return _neighbour(result)
    if phase == "rate":
        return [_rate(f"{case}: flow-mods at the switch", result, 200000 if case == "one" else None, PEERS["rate"])]
    if phase == "fill":
        return [_rate(f"{case}: first {result['n']} flow-mods", result)]
    if phase == "packet-in":
        return [_rate(f"{case}: packet-ins answered by flow-mods", result, 50000, PEERS["packet-in"])]
    if phase == "packet-out":
        return [_rate(f"{case}: packet-ins answered by packet-outs", result, 50000)]
    if phase == "packet-in-latency":
        return [Line(f"{case}: packet-in to flow-mod at the switch, {p}", "µs", result["slice"]["round_trip_us"][p], result["direct"]["round_trip_us"][p],
                     result["slice"]["round_trip_us"][p] - result["direct"]["round_trip_us"][p]) for p in ("p50", "p99")]
    if phase == "program":
        n = result["virtual_switches"]
        lines = [Line(f"{case}: {n} switches connected and programmed", "s", result["seconds"], None, None, ("≤", 10) if case == "thousand" else None)]
        if case == "thousand":
            lines.append(Line(f"{case}: of that, vpcctl apply", "s", result["apply_seconds"]))
        lines.append(Line(f"{case}: memory of controllerd", "MiB", result["peak_mb"], None, None, ("≤", MEBI_PER_GIB), PEERS["memory"]))
        return lines
    return []


def _neighbour(result):
    """Windows with a flood beside the windows without one between them."""
    kind = result["phase"].removeprefix("flood-")
    what, judged = FLOODS[kind]
    mine, direct = result["slice"], result["direct"]

    def setup(key):
        return Line(f"neighbour: flow set up while another {what}, {key}", "µs", mine[key]["flood"], direct[key]["flood"], mine[key]["flood"] - direct[key]["flood"],
                    peers=f"at rest {_number(mine[key]['quiet'])}")

    def ratio(key, limit):
        return Line(f"neighbour: … {key} as a multiple of that at rest", "×", mine[key]["ratio"], direct[key]["ratio"], None, limit,
                    f"95 %: {mine[key]['low']:.3f} to {mine[key]['high']:.3f}")
    offered = Line("neighbour: … offered meanwhile (messages, frames or connections)", "1/s", result["offered_per_second"],
                   peers=f"{_number(result['taken_per_second'])} taken, {result['busy']:.0%} of controllerd's time")
    return [setup("p50"), setup("p99"), ratio("p50", None), ratio("p99", ("≤", 1.05) if judged else None), offered]


def lines(results):
    out = [line for result in results for line in _of(result)]
    by_rules = {}
    for result in results:
        if result["phase"] == "latency" and result["case"] == "one":
            by_rules[result["rules"]] = result["slice"]["to_switch_us"]["p50"] - result["direct"]["to_switch_us"]["p50"]
    if len(by_rules) > 1:
        few, many = min(by_rules), max(by_rules)
        out.append(Line(f"one: added latency with {many} rules, as a multiple of that with {few}", "×", by_rules[many] / max(by_rules[few], .001), None, None, ("≤", 1.5)))
    return out


def _number(value):
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def text(rows):
    cells = [["", "direct", "slice", "added", "unit", "target", "", "beside it"]]
    for line in rows:
        target = f"{line.limit[0]} {_number(line.limit[1])}" if line.limit else ""
        verdict = "" if not line.limit else "missed" if line.missed else "ok"
        cells.append([line.name, _number(line.direct), _number(line.value), _number(line.added), line.unit, target, verdict, line.peers])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(cell.rjust(w) if i in (1, 2, 3, 5) else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in cells)


def write(folder, results, rows):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "control.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    with open(os.path.join(folder, "control.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["figure", "unit", "direct", "slice", "added", "target", "missed"])
        for line in rows:
            writer.writerow([line.name, line.unit, line.direct, line.value, line.added, " ".join(map(str, line.limit or ())), int(line.missed)])
