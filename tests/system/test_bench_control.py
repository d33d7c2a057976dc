"""The bench of the control plane in its quick form: everything runs and has its figures.  No threshold: a busy machine is slow."""
import csv
import json
import os
import subprocess
import sys

from utilities.lab.image import TOP

BENCH = os.path.join(TOP, "utilities", "control-bench", "bench.py")
LANES = ("direct", "slice")


def test_quick(lab):
    # Its own Labs make and remove what it needs.
    out = os.path.join(lab.dir, "out")
    ran = subprocess.run([sys.executable, BENCH, "--quick", "--out", out], capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with open(os.path.join(out, "control.json"), encoding="utf-8") as file:
        results = json.load(file)
    phases = [(r["case"], r["phase"]) for r in results]
    for wanted in [("one", p) for p in ("connect", "latency", "fill", "rate", "packet-in", "packet-out", "packet-in-latency", "clear")] \
            + [("ten", "program"), ("ten", "rate"), ("thousand", "go"), ("thousand", "program")] \
            + [("neighbour", f"flood-{kind}") for kind in ("flow-mods", "unlimited", "packet-ins", "unmetered", "stall", "garbage", "reconnect")]:
        assert wanted in phases, (wanted, phases)
    for r in results:
        if r["phase"] == "latency":
            for lane in LANES:
                for kind in ("to_switch_us", "to_barrier_us"):
                    assert 0 < r[lane][kind]["p50"] <= r[lane][kind]["p99"] <= r[lane][kind]["max"], r
                assert r[lane]["to_switch_us"]["p50"] <= r[lane]["to_barrier_us"]["p50"], r
        elif r["phase"] in ("rate", "packet-in", "packet-out"):
            assert all(r[lane]["count"] > 1000 and not r[lane].get("unanswered") for lane in LANES), r
        elif r["phase"] == "fill":
            assert all(r[lane]["at_switches"] == r["n"] for lane in LANES), r
        elif r["phase"].startswith("flood-"):
            for lane in LANES:
                for p in ("p50", "p99"):
                    assert 0 < r[lane][p]["low"] <= r[lane][p]["ratio"] <= r[lane][p]["high"], r
            if r["phase"] in ("flood-flow-mods", "flood-unlimited", "flood-garbage", "flood-stall"):
                assert r["offered_per_second"] > 900000, r
            if r["phase"] not in ("flood-stall", "flood-reconnect"):
                assert r["taken_per_second"] > 1000, r
        elif r["phase"] == "program":
            # Every entry is on each edge of its switch.
            assert r["entries_at_switches"] == r["virtual_switches"] * r["n"] * (2 if r["case"] == "thousand" else 1), r
    with open(os.path.join(out, "control.csv"), encoding="utf-8") as file:
        figures = [row["figure"] for row in csv.DictReader(file)]
    assert all(figure in ran.stdout for figure in figures) and len(figures) > 15, figures
