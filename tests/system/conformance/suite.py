"""The public OpenFlow 1.3 suite as data, what its program says, and what conformance.md excuses.  Pure: no process, no namespace.

A test is named by its file, relative to the suite's folder and without ".json", and by its description: ("match/00_IN_PORT", "ethernet/ipv4/…").
"""
import glob
import json
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
EXCUSES = os.path.join(os.path.dirname(HERE), "conformance.md")
FUNCTIONAL, SLOW = ("match", "action"), ("group", "meter")
RESULT = re.compile(r"^    (\S.*?) +(OK|ERROR)$")


def folder():
    """The suite's data: $POLDER_CONFORMANCE, else shared/conformance beside the checkout."""
    root = os.environ.get("POLDER_CONFORMANCE") or os.path.join(os.path.dirname(TOP), "shared", "conformance")
    path = os.path.join(root, "ryu-of13")
    if not os.path.isdir(path):
        raise FileNotFoundError(f"{path} is missing: set POLDER_CONFORMANCE to the folder that holds ryu-of13")
    return path


class File:
    """One file of the suite."""

    def __init__(self, path, root):
        self.path = path
        self.name = os.path.relpath(path, root)[:-len(".json")]
        with open(path, encoding="utf-8") as file:
            parts = json.load(file)
        self.title = parts[0]                   # What the program prints before the file's results.
        tests = parts[1:]
        self.tests = [test["description"] for test in tests]
        # Throughput tests: how many packets the program means to send in a second.
        self.pktps = {test["description"]: step["ingress"]["packets"].get("pktps", 1000)
                      for test in tests for step in test["tests"] if isinstance(step["ingress"], dict)}
        # A table-miss test sleeps for a second, a throughput test sends for thirty.
        self.seconds = sum(0.08 + sum(1 if "table-miss" in step else 33 * isinstance(step["ingress"], dict) for step in test["tests"])
                           for test in tests)


def files(kinds, only=None):
    """The files of these kinds (folders); `only`: a regular expression on their names."""
    root = folder()
    found = [File(path, root) for kind in kinds for path in glob.glob(os.path.join(root, kind, "**", "*.json"), recursive=True)]
    return sorted((f for f in found if not only or re.search(only, f.name)), key=lambda f: f.name)


def shares(all_files, n):
    """Splits files into n lists of about equal time, the longest first."""
    lists = [[] for _ in range(n)]
    for file in sorted(all_files, key=lambda f: -f.seconds):
        min(lists, key=lambda l: sum(f.seconds for f in l)).append(file)
    return [l for l in lists if l]


def results(log, some_files):
    """The program's log -> {(file, description): None when passed, else the reason}."""
    by_title = {file.title: file for file in some_files}
    found, file, last = {}, None, None
    for line in log.splitlines():
        if line.startswith("--- Test report ---"):
            break                               # It repeats what failed.
        if line in by_title:
            file, last = by_title[line], None
        elif file and (match := RESULT.match(line)) and match[1] in file.tests:
            last = (file.name, match[1])
            found[last] = None if match[2] == "OK" else "no reason given"
        elif last and found[last] and line.startswith("        "):
            found[last] = line.strip()
            last = None
    return found


def excused():
    """The tests that conformance.md lists: "### FILE" headings, and below each the descriptions as indented lines."""
    tests, name = set(), None
    with open(EXCUSES, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#"):
                name = line[4:].strip() if line.startswith("### ") else None
            elif name and line.startswith("    "):
                tests.add((name, line.strip()))
    return tests
