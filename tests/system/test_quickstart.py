"""./quickstart as a user runs it: its proofs hold, and nothing of it is left behind, whenever it is stopped."""
import fcntl
import glob
import os
import random
import re
import signal
import subprocess
import tempfile
import time
import uuid

from utilities.lab import cleanup
from utilities.lab.image import TOP, cache_dir

MARK = "POLDER_QUICKSTART_TEST"
SECONDS = 60            # what a run may take on a machine where everything is installed and built
OURS = re.compile(r"polder|dpdk|rte|vhost|qemu|ovs|openvswitch|policy-rc", re.IGNORECASE)


def has_owner(folder):
    """Another run's folder, whose owner is alive (see cleanup.py)."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return True         # gone meanwhile
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


class Machine:
    """What a run could leave behind.  Runs of others that are alive, and what is theirs, are not counted."""

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
        labs = glob.glob(f"{tempfile.gettempdir()}/{cleanup.FOLDER_PREFIX}*")
        alive = [path for path in labs if has_owner(path)]
        def foreign(name):
            return any(name.startswith(cleanup.namespace_prefix(path)) for path in alive)
        places = ("/tmp", "/run", "/var/tmp", "/dev/shm", "/dev/hugepages", "/run/dpdk", "/run/polder", "/usr/sbin")
        files = {place: sorted(name for name in os.listdir(place) if OURS.search(name) and os.path.join(place, name) not in alive and not foreign(name))
                 for place in places if os.path.isdir(place)}
        with open("/proc/self/mounts", encoding="utf-8") as file:
            mounts = sorted(line for line in file if self.folder in line or "hugetlbfs" in line)
        return {"processes": self.processes(), "links": sorted(os.listdir("/sys/class/net")), "mounts": mounts, "files": files,
                "namespaces": sorted(name for name in os.listdir(cleanup.NETNS_DIR) if not foreign(name)) if os.path.isdir(cleanup.NETNS_DIR) else [],
                "folder": sorted(os.listdir(self.folder)), "hugepages": cleanup.read_hugepages()}

    def unchanged_since(self, before, what):
        now = self.snapshot()
        changed = {key: (before[key], now[key]) for key in before if before[key] != now[key]}
        assert not changed, f"{what}: left behind (before, after): {changed}"


def start(lab, machine, *args):
    """In a session of its own, as from a terminal: a Ctrl-C goes to everything that runs in the foreground."""
    with open(lab.dir + "/quickstart.out", "wb") as out:
        return subprocess.Popen([TOP + "/quickstart", *args], env=machine.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                start_new_session=True, preexec_fn=cleanup.dying_with_parent(os.getpid()))


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
    """Ctrl-C at three moments: while it is building the scene, while it is proving, while it stays up, as chance will have it."""
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
        assert status == 130 or (status == 0 and "stays up" in said(lab)), f"SIGINT after {moment:.2f} s: exit status {status}\n{said(lab)}"
        assert "Traceback" not in said(lab), said(lab)
        machine.unchanged_since(before, f"SIGINT after {moment:.2f} s")


test_interrupted.seconds = 200
