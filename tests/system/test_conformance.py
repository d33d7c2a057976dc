"""The public OpenFlow 1.3 conformance suite against vswitchd: exactly the tests that conformance.md excuses may fail.

The functional part (match, action, set-field: 940 tests) is in every run.  Groups and meters are measured by throughput, 33 s a test: they run
with POLDER_CONFORMANCE_SLOW=1.  POLDER_CONFORMANCE_ONLY, a regular expression, picks files while one works on them.
"""
import os

from utilities.lab.cleanup import LabError
from utilities.lab.host import say

from .conformance import bench, suite

# net_af_packet loses the outer tag's ethertype (the kernel hands the tag over apart); libpcap puts the frame together as it was.
DEVARGS = os.environ.get("POLDER_CONFORMANCE_DEVARGS") or "net_pcap{n},rx_iface_in={iface},tx_iface={iface}"
MOST_AGAIN = 6          # Files.


def failures(results):
    return {test: reason for test, reason in results.items() if reason}


def judge(files, results, not_loaded):
    """Fails on a test that is not excused, on an excuse that is not needed any more, and when there is nothing to judge by."""
    expected = {(f.name, t) for f in files for t in f.tests}
    failed, excused = failures(results), suite.excused() & expected
    lines = [f"{name}: {test}\n    {reason}" for (name, test), reason in sorted(failed.items()) if (name, test) not in excused | not_loaded]
    lines += [f"{name}: {test}\n    passes; take it out of conformance.md" for name, test in sorted(excused - set(failed))]
    lines += [f"{name}: {test}\n    was not run" for name, test in sorted(expected - set(results))]
    say(f"\n     {len(results) - len(failed)} of {len(expected)} tests pass, {len(excused)} are excused, {len(not_loaded)} were not loaded by this machine")
    if path := os.environ.get("POLDER_CONFORMANCE_REPORT"):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{name}\t{test}\t{reason}\n" for (name, test), reason in sorted(failed.items()))
    if 2 * len(not_loaded) > len(expected):
        lines.append("this machine is too busy: most tests did not get their rate")
    if lines:
        raise LabError("\n".join(lines))


def conform(lab, kinds, n_pairs):
    files = suite.files(kinds, os.environ.get("POLDER_CONFORMANCE_ONLY"))
    switches = bench.Bench(lab, n_pairs, DEVARGS, tester_caches=kinds == suite.SLOW)
    results, shortfalls = switches.run(files, n_pairs)
    # A machine that is busy elsewhere loses a wait of the suite's 3 s now and then: what was not excused gets one more chance, alone.
    again = {name for name, test in failures(results) if (name, test) not in suite.excused() and (name, test) not in shortfalls}
    if 0 < len(again) <= MOST_AGAIN:
        say(f"\n     once more, alone: {' '.join(sorted(again))}")
        repeated, short = switches.run([f for f in files if f.name in again], 1)
        results.update(repeated)
        shortfalls = {test: part for test, part in shortfalls.items() if test not in repeated} | short
    not_loaded = set(shortfalls) & set(failures(results))
    for name, test in sorted(not_loaded):
        say(f"     not loaded: {name}: {test}: {shortfalls[name, test]:.0%} of its rate; {results[name, test]}")
    judge(files, results, not_loaded)


def test_functional(lab):
    conform(lab, suite.FUNCTIONAL, 3)


test_functional.seconds = 420

if os.environ.get("POLDER_CONFORMANCE_SLOW"):
    def test_groups_and_meters(lab):
        conform(lab, suite.SLOW, 1)

    test_groups_and_meters.seconds = 3600
