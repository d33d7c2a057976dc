"""What a run says: the table, two CSV files and a plot, all from the list of measurements.

measurements.csv has a line per measurement, with all that the generator counted; summary.csv a line per line of the table; plot.svg bars of throughput, one group per line, drawn by
hand since a plotting library is more than a bench should need.
"""
import csv
import os
import statistics
from xml.sax.saxutils import escape

from utilities.bench.cases import CORES_RATIO

CEILING, PEER, OURS, ONE_CORE = "testpmd", "ovs", "vswitchd", "vswitchd, one thread"
COLOURS = {OURS: "#1f6f8b", PEER: "#e08e45", CEILING: "#b8b8b8"}
LATENCIES = ("p50", "p99", "p999")


class Line:
    """One case: medians over its rounds, by switch."""

    def __init__(self, case, results, rate, latency):
        self.case, self.missed = case, []
        self.switches = list(dict.fromkeys(r["switch"] for r in results))
        self.pps, self.spread, self.cpu_ns, self.cycles, self.instructions, self.lost, self.latency, self.rss_mb = ({} for _ in range(8))
        for name in self.switches:
            mine = [r for r in results if r["switch"] == name]
            rates = [rate(r) for r in mine]
            self.pps[name] = statistics.median(rates)
            self.spread[name] = (max(rates) - min(rates)) / self.pps[name] if self.pps[name] else 0
            self.lost[name] = statistics.median(max(0, r["lost"]) / r["sent"] for r in mine)
            self.rss_mb[name] = max(r["rss_mb"] for r in mine)
            for key, out in (("cpu_ns", self.cpu_ns), ("cycles", self.cycles), ("instructions", self.instructions)):
                out[name] = statistics.median(r[key] / max(1, r["received"]) for r in mine)
            self.latency[name] = {p: statistics.median(latency(r, p) for r in mine) for p in LATENCIES}

    def ratio(self, other):
        """Our throughput as a multiple of another's; None without one of the two."""
        return self.pps[OURS] / self.pps[other] if self.pps.get(other) and OURS in self.pps else None

    def judge(self, at_rest):
        """Fills `missed` with the targets of issue 5 that are not met; what could not be compared is not judged."""
        case, share, ratio = self.case, self.ratio(CEILING), self.ratio(PEER)
        if case.share and share is not None and share < case.share:
            self.missed.append(f"≥ {case.share:.0%} of the ceiling")
        if case.ratio and ratio is not None and ratio < case.ratio:
            self.missed.append(f"≥ {case.ratio:g} × ovs")
        if case.pps and self.pps.get(OURS, case.pps) < case.pps:
            self.missed.append(f"≥ {case.pps / 1e6:g} Mpps")
        if case.flow_mods and at_rest and OURS in self.pps and self.pps[OURS] < 0.9 * at_rest.pps[OURS]:
            self.missed.append("≥ 90 % of itself at rest")
        if case.cores > 1 and OURS in self.pps and self.ratio(ONE_CORE) < CORES_RATIO:
            self.missed.append(f"≥ {CORES_RATIO:g} × one thread")
        if case.rate and {OURS, PEER} <= self.latency.keys():
            self.missed += [f"{p} ≤ ovs's" for p in ("p50", "p999") if self.latency[OURS][p] > self.latency[PEER][p]]


def summarise(results, chosen, rate, latency):
    lines = [Line(case, mine, rate, latency) for case in chosen if (mine := [r for r in results if r["case"] == case.name])]
    by_name = {line.case.name: line for line in lines}
    for line in lines:
        line.judge(by_name.get(line.case.at_rest) if line.case.flow_mods else None)
    return lines


# --- The table ---

def _format(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) if i == 0 or i == len(row) - 1 else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows)


def _multiple(value, form):
    return "-" if value is None else form.format(value)


def _throughput(lines, names, targets):
    has_counters = any(line.cycles.get(OURS) for line in lines)
    head = ["line", *(f"{n} Mpps" for n in names), "of ceiling", "× ovs", *(f"{n} ns/f" for n in names)]
    if has_counters:
        head += ["cyc/f", "ins/f"]
    head += ["spread", "lost", "targets missed" if targets else ""]
    rows = [head]
    for line in lines:
        row = [line.case.name, *(f"{line.pps[n] / 1e6:.2f}" if n in line.pps else "-" for n in names)]
        row += [_multiple(line.ratio(CEILING), "{:.0%}"), _multiple(line.ratio(PEER), "{:.2f}")]
        row += [f"{line.cpu_ns[n]:.0f}" if line.cpu_ns.get(n) else "-" for n in names]
        if has_counters:
            row += [f"{line.cycles.get(OURS, 0):.0f}", f"{line.instructions.get(OURS, 0):.0f}"]
        row += [f"{max(line.spread.values()):.0%}", f"{line.lost.get(OURS, 0):.2%}", ", ".join(line.missed) if targets else ""]
        rows.append(row)
    return _format(rows)


def _latency(lines, names, targets):
    rows = [["latency, µs", "offered", *(f"{n} {p}" for n in names for p in LATENCIES), "lost", "targets missed" if targets else ""]]
    for line in lines:
        cells = [f"{line.latency[n][p] / 1e3:.1f}" if n in line.latency else "-" for n in names for p in LATENCIES]
        rows.append([line.case.name, f"{line.case.rate / 1e6:g} Mpps", *cells, f"{line.lost.get(OURS, 0):.2%}", ", ".join(line.missed) if targets else ""])
    return _format(rows)


def _cores(lines, targets):
    rows = [["polling threads", "one Mpps", "two Mpps", "ratio", "one ns/f", "two ns/f", "spread", "targets missed" if targets else ""]]
    for line in lines:
        both = (ONE_CORE, OURS)
        rows.append([line.case.name, *(f"{line.pps[n] / 1e6:.2f}" for n in both), f"{line.ratio(ONE_CORE):.2f}", *(f"{line.cpu_ns[n]:.0f}" for n in both),
                     f"{max(line.spread.values()):.0%}", ", ".join(line.missed) if targets else ""])
    return _format(rows)


def table(lines, names, targets=False):
    """The summary for people: throughput lines, then latency lines, then those of several cores."""
    several = [l for l in lines if l.case.cores > 1]
    at_full, offered = [l for l in lines if not l.case.rate and l not in several], [l for l in lines if l.case.rate]
    parts = [""]
    if at_full:
        parts.append(_throughput(at_full, names, targets))
    if offered:
        parts += ["", _latency(offered, names, targets)]
    if several:
        parts += ["", _cores(several, targets)]
    return "\n".join(parts)


# --- Files ---

def _flat(result):
    flat = {key: value for key, value in result.items() if key != "latency_ns"}
    return {**flat, **{f"latency_{key}": value for key, value in result["latency_ns"].items()}}


def _write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)


def _summary_row(line):
    row = {"case": line.case.name, "share_of_ceiling": line.ratio(CEILING), "times_ovs": line.ratio(PEER), "missed": "; ".join(line.missed)}
    for name in line.switches:
        row.update({f"{name}_pps": line.pps[name], f"{name}_cpu_ns_per_frame": line.cpu_ns[name], f"{name}_cycles_per_frame": line.cycles[name],
                    f"{name}_instructions_per_frame": line.instructions[name], f"{name}_lost": line.lost[name], f"{name}_rss_mb": line.rss_mb[name]})
        row.update({f"{name}_latency_{p}_ns": line.latency[name][p] for p in LATENCIES})
    return row


def plot(lines):
    """Bars of Mpps as an SVG document; None without a throughput line."""
    lines = [line for line in lines if not line.case.rate]
    if not lines:
        return None
    left, bar, gap, width = 130, 12, 14, 640
    top = max(value for line in lines for value in line.pps.values()) or 1
    names = list(dict.fromkeys(name for line in lines for name in line.switches))
    parts, y = [], 40
    for i, name in enumerate(names):
        parts += [f'<rect x="{left + 110 * i}" y="12" width="12" height="12" fill="{COLOURS.get(name, "#888")}"/>',
                  f'<text x="{left + 110 * i + 18}" y="22">{escape(name)}</text>']
    for line in lines:
        height = bar * len(line.switches)
        parts.append(f'<text x="{left - 8}" y="{y + height / 2 + 4:.0f}" text-anchor="end">{escape(line.case.name)}</text>')
        for name in line.switches:
            length = line.pps[name] / top * width
            parts += [f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS.get(name, "#888")}"/>',
                      f'<text x="{left + length + 5:.1f}" y="{y + bar - 3}" class="n">{line.pps[name] / 1e6:.2f}</text>']
            y += bar
        y += gap
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}" height="{y + 24}" font-family="sans-serif" font-size="12">\n'
            '<style>.n { font-size: 10px; fill: #444 }</style>\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts)
            + f'\n<text x="{left}" y="{y + 10}" class="n">million frames per second, medians; longer is better</text>\n</svg>\n')


def write(folder, results, lines):
    """The three files, into a folder that is made if need be."""
    os.makedirs(folder, exist_ok=True)
    _write_csv(os.path.join(folder, "measurements.csv"), [_flat(r) for r in results])
    _write_csv(os.path.join(folder, "summary.csv"), [_summary_row(line) for line in lines])
    svg = plot(lines)
    if svg:
        with open(os.path.join(folder, "plot.svg"), "w", encoding="utf-8") as file:
            file.write(svg)
