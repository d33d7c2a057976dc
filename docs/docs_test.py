#!/usr/bin/env python3
"""The documentation against the sources and the built programs.

Run by "make check" in the build tree.  What is compared: configurations that are shown, with --check; names of keys,
commands, options, drop reasons and routes, with where the sources define them; links, with the files.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = {"vswitchd": "vswitch/vswitchd", "controllerd": "controller/controllerd", "vswctl": "utilities/vswctl", "vpcctl": "tenants/vpcctl"}
PAGES = {"vswitchd": "docs/vswitchd.8", "controllerd": "docs/controllerd.8", "vswctl": "docs/vswctl.8", "vpcctl": "docs/vpcctl.1"}


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def page(program):
    """A manual page's source without roff's quoting: words only, and what looks like one word is."""
    text = re.sub(r"\\f[BIRP]", "", read(PAGES[program]))
    return text.replace("\\-", "-").replace("\\(dq", '"').replace("\\&", "")


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def configurations():
    """(daemon, where, text) of each whole configuration that is shown."""
    for daemon in ("vswitchd", "controllerd"):
        yield daemon, f"examples/{daemon}.json", read(f"examples/{daemon}.json")
        blocks = re.findall(r"^\.nf\n(\{\n.*?^\})\n\.fi", page(daemon), re.S | re.M)
        assert blocks, f"{PAGES[daemon]} shows no configuration"
        for text in blocks:
            yield daemon, PAGES[daemon], text


class Docs(unittest.TestCase):
    maxDiff = None

    def test_configurations_are_valid(self):
        for daemon, where, text in configurations():
            with self.subTest(where), tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                config = json.loads(text)
                config.pop("cpus", None)        # This machine may have others.
                json.dump(config, file)
                file.flush()
                result = run(PROGRAMS[daemon], "--config", file.name, "--check")
                self.assertEqual(result.returncode, 0, result.stderr)
                config["surplus"] = 1           # And --check does look.
                file.seek(0)
                file.truncate()
                json.dump(config, file)
                file.flush()
                self.assertEqual(run(PROGRAMS[daemon], "--config", file.name, "--check").returncode, 1)

    def test_configuration_keys(self):
        for daemon, source in (("vswitchd", "vswitch/config.c"), ("controllerd", "controller/config.c")):
            keys = set(re.findall(r'\b(?:json_\w+|read_path|read_cpus|read_pool)\([^,()]*, "(\w+)"', read(source)))
            self.assertGreater(len(keys), 15)
            for key in sorted(keys):
                with self.subTest(daemon, key=key):
                    self.assertTrue(re.search(rf"^\.[A-Z]+ .*\b{key}\b", page(daemon), re.M), f"{key} is not in {PAGES[daemon]}")

    def test_drop_reasons(self):
        rows = re.findall(r'X\(\d+,\s*\w+,\s*"([a-z-]+)",\s*"([^"]*)"\)', read("ofproto/polder.h"))
        table = page("vswctl").split(".SH DROP REASONS")[1].split(".TE")[0]
        self.assertEqual(re.findall(r"^([a-z-]+)\tT\{\n(.*)\nT\}$", table, re.M), rows)

    def test_commands(self):
        shown = set(re.findall(r"^\.(?:B|BR) \"?([a-z-]+)", page("vswctl").split(".SH COMMANDS")[1].split(".SH DROP")[0], re.M))
        shown -= {"pcap-filter", "vswitchd"} | {word for word in shown if word.startswith("-")}
        commands = set(re.findall(r'\{ "([a-z-]+)", (?:cmd_\w+|capture_command) \}', read("utilities/vswctl.c")))
        self.assertEqual(shown, commands)
        completed = read("utilities/vswctl.bash")
        self.assertEqual([c for c in sorted(commands) if not re.search(rf"\b{c}\b", completed)], [])
        commands = set(re.findall(r'\{ "([a-z]+)", command_\w+,', read("tenants/vpcctl.c")))
        part = page("vpcctl").split(".SH COMMANDS")[1].split(".SH OPTIONS")[0]
        self.assertEqual(set(re.findall(r"^\.T[PQ]\n([a-z]+)", part, re.M)), commands)
        self.assertEqual([c for c in sorted(commands) if not re.search(rf"\b{c}\b", read("tenants/vpcctl.bash"))], [])

    def test_options(self):
        for program in PROGRAMS:
            result = run(PROGRAMS[program], "--help")
            self.assertEqual(result.returncode, 0)
            options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", result.stdout))
            if program == "vpcctl":
                options |= {f"--{name}" for name in re.findall(r'\[OPT_\w+\] = \{ "([a-z0-9-]+)"', read("tenants/vpcctl.c"))}
            for option in sorted(options):
                with self.subTest(program, option=option):
                    self.assertTrue(option in page(program), f"{option} is not in {PAGES[program]}")

    def test_routes_and_metrics(self):
        text = read("docs/REST.md")
        for method, path in re.findall(r"\{ EVHTTP_REQ_(\w+), \"([^\"]+)\"", read("controller/rest_routes.c")):
            names = {"/v1/": "KIND", "/v1/restore/": "LINK"}
            path = path + names.get(path, "ADDRESS" if path.endswith("/") else "")
            self.assertTrue(f"{method} {path}" in text, f"{method} {path} is not in docs/REST.md")
        controllers = "".join(read(p) for p in glob.glob("controller/*.c", root_dir=TOP) if not p.endswith("_test.c"))
        documented = set(re.findall(r"\bpolder_[a-z_]+", text))
        self.assertGreater(len(documented), 15)
        for name in sorted(documented):
            whole = name in controllers
            row = re.fullmatch(r"polder_(?:switch|intern|stats|tenant)_(\w+?)(?:_total)?", name)
            self.assertTrue(whole or (row and (f'"{row[1]}"' in controllers or f'"{row[1]}_total"' in controllers)), name)

    def test_links(self):
        for path in ("README.md", "docs/ARCHITECTURE.md", "docs/REST.md"):
            for target in re.findall(r"\]\(([^)#:]+)\)", read(path)):
                with self.subTest(path, target=target):
                    self.assertTrue(os.path.exists(os.path.join(TOP, os.path.dirname(path), target)))

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_pages_are_well_formed(self):
        result = run("mandoc", "-T", "lint", "-W", "warning", *(os.path.join(TOP, p) for p in PAGES.values()))
        self.assertEqual(result.stdout + result.stderr, "")


if __name__ == "__main__":
    unittest.main(verbosity=1)
