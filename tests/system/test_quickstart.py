"""./quickstart as a user runs it: its proofs hold, and nothing of it is left behind, whenever it is stopped."""
import glob
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid

from utilities.lab import cleanup
from utilities.lab.daemons import program
from utilities.lab.image import TOP, cache_dir

MARK = "POLDER_QUICKSTART_TEST"
SECONDS = 60            # what a run may take on a machine where everything is installed and built
OURS = re.compile(r"polder|dpdk|rte|vhost|qemu|ovs|openvswitch|policy-rc", re.IGNORECASE)
PLACES = (cleanup.NETNS_DIR, "/sys/class/net", "/tmp", "/run", "/var/tmp", "/dev/shm", "/dev/hugepages", "/run/dpdk",
          "/run/polder", "/usr/sbin")


class Machine:
    """What a run could leave behind.  What belongs to other runs, whose owners are alive, is not counted."""

    def __init__(self, lab):
        self.folder = lab.dir + "/q"
        os.mkdir(self.folder)
        self.mark = uuid.uuid4().hex

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if name not in ("RUNTIME_DIRECTORY", cleanup.MARK)}
        return {**kept, "TMPDIR": self.folder, MARK: self.mark, "POLDER_CACHE": cache_dir()}

    def processes(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                with open(path, "rb") as file, open(path.replace("environ", "cmdline"), "rb") as command:
                    if f"{MARK}={self.mark}".encode() in file.read().split(b"\0"):
                        found.append(command.read().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                pass        # ended meanwhile
        return found

    def snapshot(self):
        alive = cleanup.living_runs()
        found = {place: os.listdir(place) for place in PLACES if os.path.isdir(place)}
        with open("/proc/self/mounts", encoding="utf-8") as file:
            found["mounts"] = [line for line in file if self.folder in line or "hugetlbfs" in line]
        found["hugepages"] = [str(cleanup.read_hugepages() - cleanup.hugepages_added(alive))]
        alive |= cleanup.living_runs()
        theirs = tuple(text for path in alive for text in (os.path.basename(path), cleanup.namespace_prefix(path)))
        ours = {what: sorted(name for name in names
                             if (what not in PLACES or OURS.search(name)) and not any(text in name for text in theirs))
                for what, names in found.items()}
        return {**ours, "folder": sorted(os.listdir(self.folder)), "processes": self.processes()}

    def unchanged_since(self, before, what):
        now = self.snapshot()
        changed = {key: (before[key], now[key]) for key in before if before[key] != now[key]}
        assert not changed, f"{what}: left behind (before, after): {changed}"


def start(lab, machine, *args):
    """In a session of its own, as from a terminal: a Ctrl-C goes to everything that runs in the foreground.

    ./quickstart builds in the source folder; when the programs were built elsewhere, only what it does after that is run.
    """
    built_here = program("vswitchd").startswith(TOP + "/vswitch/")
    script = [TOP + "/quickstart"] if built_here else [sys.executable, "-m", "utilities.lab.quickstart"]
    with open(lab.dir + "/quickstart.out", "wb") as out:
        return subprocess.Popen([*script, *args], cwd=TOP, env=machine.environment(), stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT, start_new_session=True,
                                preexec_fn=cleanup.dying_with_parent(os.getpid()))


def said(lab):
    with open(lab.dir + "/quickstart.out", encoding="utf-8", errors="replace") as file:
        return file.read()


def end(lab, process, seconds):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        raise AssertionError(f"quickstart did not end within {seconds} s:\n{said(lab)}") from None


def test_check(lab):
    machine = Machine(lab)
    before = machine.snapshot()
    begun = time.monotonic()
    status = end(lab, start(lab, machine, "--check"), 150)
    took = time.monotonic() - begun
    assert status == 0, f"exit status {status}\n{said(lab)}"
    text = said(lab)
    assert "every proof held" in text and "NO " not in text and len(re.findall(r"^ +yes ", text, re.MULTILINE)) >= 15, text
    assert took < SECONDS, f"{took:.0f} s\n{text}"
    machine.unchanged_since(before, "after --check")


test_check.seconds = 200


def test_interrupted(lab):
    """Ctrl-C at three moments: while it is building the scene, while it is proving, while it stays up, as chance has it."""
    seed = int(os.environ.get("POLDER_TEST_SEED") or time.time())
    chance = random.Random(seed)
    moments = [chance.uniform(0, 4), chance.uniform(2, 12), chance.uniform(8, 40)]
    print(f" seed {seed}, SIGINT after {', '.join(f'{moment:.2f} s' for moment in moments)} …", end="", flush=True)
    machine = Machine(lab)
    before = machine.snapshot()
    for moment in moments:
        process = start(lab, machine)
        try:
            process.wait(moment)
            raise AssertionError(f"it ended by itself with {process.returncode}:\n{said(lab)}")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
        status = end(lab, process, 60)
        # Ctrl-C is the way to end it, so once everything is up it is no failure.
        assert status in (130, -signal.SIGINT) or (status == 0 and "stays up" in said(lab)), \
            f"SIGINT after {moment:.2f} s: exit status {status}\n{said(lab)}"
        assert "Traceback" not in said(lab), said(lab)
        machine.unchanged_since(before, f"SIGINT after {moment:.2f} s")


test_interrupted.seconds = 200
