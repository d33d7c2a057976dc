"""Proves the lab by itself, without Polder's own programs:  python3 -m utilities.lab.selftest [TEST…]

    proof    the capture reader finds addresses, and refuses captures that are not whole
    guests   two guests on a private Open vSwitch with DPDK: ping, 8 MB over TCP, raw frames, both socket roles
    cleanup  a run that is interrupted at random moments (SIGINT, SIGTERM, SIGHUP, twice, in its teardown, SIGKILL)
             leaves no process, namespace, link, mount, hugepage or file behind

The moments come from POLDER_TEST_SEED, else from the clock; the seed is printed.  The last line counts.
"""
import glob
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

from . import cleanup, image, proof
from .host import Lab, say
from .ovs import Ovs
from .vm import VM, Nic, tcp_transfer

SELFTEST_MARK = "POLDER_SELFTEST"
MAC_A, MAC_B = "52:54:00:00:00:01", "52:54:00:00:00:02"


class Checks:
    """Counts what holds and what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def that(self, holds, what):
        self.passed += bool(holds)
        self.failed += not holds
        say(f"  {'ok    ' if holds else 'FAILED'} {what}")


# --- proof ---

def write_pcap(path, frames, order="<", magic=0xa1b2c3d4, cut=0):
    with open(path, "wb") as file:
        file.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            file.write(struct.pack(order + "IIII", 1, 5, len(data) - cut, len(data)) + data[:len(data) - cut])


def refused(path):
    try:
        list(proof.frames(path))
    except proof.PcapError:
        return True
    return False


def test_proof(check):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.pcap")
        clean = bytes(range(64, 124))
        needles = {"10.0.0.11": bytes([10, 0, 0, 11]), MAC_A: bytes.fromhex("525400000001"),
                   "fd00:1::b": bytes.fromhex("fd00000100000000000000000000000b")}
        for order in "<>":
            for magic in proof.MAGIC:
                write_pcap(path, [clean, clean], order, magic)
                check.that(proof.find_address(path, needles) == (2, None), f"nothing found where nothing is ({order}{magic:x})")
        for text, needle in needles.items():
            write_pcap(path, [clean, clean[:30] + needle + clean[30:], clean])
            _, hit = proof.find_address(path, needles)
            check.that(hit and (hit.frame.number, hit.offset, hit.address) == (2, 30, text), f"{text} found: {hit}")
        write_pcap(path, [clean], magic=0xa1b23c4d)
        check.that(next(proof.frames(path)).time_ns == 10**9 + 5, "nanoseconds are read as such")
        write_pcap(path, [clean], cut=1)
        check.that(refused(path), "a frame that was cut short is refused")
        write_pcap(path, [clean])
        os.truncate(path, os.path.getsize(path) - 1)
        check.that(refused(path), "a file that was cut short is refused")


# --- guests ---

def test_guests(check):
    guest = image.prepare(say)
    with Lab() as lab:
        host = lab.host("host1")
        ovs = Ovs(host, dpdk=True)
        ovs.bridge("br0", fail_mode="standalone")
        a_path, b_path = host.path("a.sock"), os.path.join(ovs.dir, "b")
        ovs.vhost_port("br0", "a", a_path)
        ovs.vhost_port("br0", "b", b_path, server=True)
        a = VM(host, "vm-a", guest, [Nic(MAC_A, a_path)]).start()
        b = VM(host, "vm-b", guest, [Nic(MAC_B, b_path, qemu_server=False)]).start()
        for vm in (a, b):
            vm.wait_boot()
        check.that(True, f"two guests booted ({a.accel})")

        noise = "\\001 1 0 3\\nabc\\001 2 0 0\\n"
        check.that(a.run(f"printf '{noise}'; exit 3") == (3, noise.encode().decode("unicode_escape")),
                   "output that looks like answers, and an exit status, come through")
        check.that(a.run("sleep 20", timeout=1)[0] == 137, "a command that takes too long is killed")
        check.that(a.run("echo still here") == (0, "still here\n"), "and the next one is served")
        check.that(len(a.run("head -c 100000 /dev/zero")[1]) == 100000, "100,000 bytes of output")
        a.run("usleep 500000 > /dev/null 2>&1 &")
        check.that(a.run("echo whole", timeout=5, pause=1.5) == (0, "whole\n"),
                   "a request that comes in two halves, while an earlier one's orphan ends, is served")

        a.configure("eth0", "10.0.0.1/24", "fd00:1::1/64")
        b.configure("eth0", "10.0.0.2/24", "fd00:1::2/64")
        check.that(a.ping("10.0.0.2") == 3, "IPv4 ping")
        check.that(b.ping("fd00:1::1") == 3, "IPv6 ping")
        check.that(a.ping("10.0.0.99", count=1) == 0, "ping to nobody gets no reply")
        check.that(tcp_transfer(a, b, "10.0.0.2"), "8 MB over TCP, checksums equal")
        check.that(tcp_transfer(b, a, "fd00:1::1", size=1 << 20), "1 MB over TCP and IPv6, checksums equal")
        check.that(not tcp_transfer(a, b, "10.0.0.99", size=1 << 10), "a transfer to nobody fails")

        frame = bytes.fromhex("525400000002" "525400000001" "8100" "0064" "88b5") + bytes(range(60))
        b.frame_listen("eth0", 30)
        a.frame_send("eth0", frame, 3)
        b.run("sleep 0.5")
        check.that(b.frames_heard().count(frame) == 3, "three raw VLAN frames arrive byte for byte")

        left, right = lab.host("left"), lab.host("right")
        lab.link(left, "fab0", right, "fab0")
        capture = right.capture("fab0", right.path("fab0.pcap"))
        time.sleep(1)
        left.run([guest.frame, "send", "fab0", frame.hex(), "2"])
        time.sleep(0.3)
        seen = [f.data for f in proof.frames(capture.stop())]
        check.that(seen == [frame, frame], "a link carries what is sent, and nothing speaks by itself")
        folder = lab.dir
    check.that(not os.path.exists(folder) and not cleanup.marked_processes(folder), "nothing is left of a run that ended")


# --- cleanup ---

def victim():
    """A run with one of everything, that waits to be interrupted."""
    with Lab() as lab:
        print("begun", flush=True)
        guest = image.prepare(say)
        lab.hugepages(8)
        a, b = lab.host("a"), lab.host("b")
        lab.link(a, "fab0", b, "fab0")
        a.capture("fab0", a.path("fab0.pcap"))
        ovs = Ovs(b)
        ovs.bridge("br0")
        ovs.port("br0", "fab0", ofport=1)
        vm = VM(a, "vm", guest).start()
        vm.wait_boot()
        print("ready", flush=True)
        vm.run("sleep 100", timeout=100)


class Remains:
    """What a run could leave behind on the machine; other runs that are alive are not counted."""

    def __init__(self, folder, mark):
        self.folder, self.mark = folder, f"{SELFTEST_MARK}={mark}".encode()

    def snapshot(self):
        alive = cleanup.living_runs()
        found = {"namespaces": set(os.listdir(cleanup.NETNS_DIR)) if os.path.isdir(cleanup.NETNS_DIR) else set(),
                 "hugepages": cleanup.read_hugepages() - cleanup.hugepages_added(alive),
                 "links": os.listdir("/sys/class/net"), "processes": self.processes(), "files": os.listdir(self.folder)}
        with open("/proc/self/mounts", encoding="utf-8") as file:
            found["mounts"] = [line for line in file if self.folder in line]
        prefixes = tuple(cleanup.namespace_prefix(path) for path in alive | cleanup.living_runs())
        found["namespaces"] = [name for name in found["namespaces"] if not name.startswith(prefixes)]
        return {what: sorted(names) if what != "hugepages" else names for what, names in found.items()}

    def processes(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                with open(path, "rb") as file:
                    if self.mark in file.read().split(b"\0"):
                        found.append(path)
            except OSError:
                pass                    # ended meanwhile
        return found


def start_victim(folder, mark):
    return subprocess.Popen([sys.executable, "-m", "utilities.lab.selftest", "--victim"],
                            cwd=image.TOP, start_new_session=True,
                            env={**os.environ, "TMPDIR": folder, SELFTEST_MARK: mark, "POLDER_CACHE": image.cache_dir(),
                                 "PYTHONDONTWRITEBYTECODE": "1"},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def difference(before, after):
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def test_cleanup(check):
    seed = int(os.environ.get("POLDER_TEST_SEED") or time.time())
    say(f"  seed: POLDER_TEST_SEED={seed}")
    rng = random.Random(seed)
    image.prepare(say)
    folder = tempfile.mkdtemp(prefix="polder-selftest-")
    mark = uuid.uuid4().hex
    remains = Remains(folder, mark)
    try:
        before = remains.snapshot()
        cases = [(f"{s.name} {delay:.2f} s after it began", [(delay, s)]) for s, delay in
                 [(rng.choice(cleanup.Signals.CAUGHT), rng.uniform(0, 3.5)) for _ in range(5)]]
        cases += [(f"SIGINT twice, {gap:.3f} s apart", [(2.5, signal.SIGINT), (gap, signal.SIGINT)])
                  for gap in (0, rng.uniform(0, 0.05), rng.uniform(0.05, 0.3))]
        for what, signals in cases:
            interrupted(check, remains, before, what, signals)
        killed(check, remains, before)
    finally:
        shutil.rmtree(folder)


def interrupted(check, remains, before, what, signals):
    process = start_victim(remains.folder, remains.mark.decode().split("=")[1])
    process.stdout.readline()
    for delay, signum in signals:
        time.sleep(delay)
        process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    status = process.returncode
    check.that(status == 128 + signals[0][1] and "Traceback" not in errors, f"{what}: exit status {status} {errors.strip()[-300:]}")
    check.that(not difference(before, after := remains.snapshot()), f"{what}: nothing left {difference(before, after)}")


def killed(check, remains, before):
    """After SIGKILL processes end by themselves; the rest goes at the beginning of the next run."""
    mark = remains.mark.decode().split("=")[1]
    process = start_victim(remains.folder, mark)
    while process.stdout.readline() not in ("ready\n", ""):
        pass
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 5
    while remains.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    check.that(not remains.processes(), "SIGKILL: no process is left")
    check.that(difference(before, remains.snapshot()), "SIGKILL: the rest is (or this test would prove nothing)")
    process = start_victim(remains.folder, mark)
    said = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    check.that("removing what an earlier run left" in said, f"SIGKILL: the next run says that it tidies up: {said.strip()}")
    check.that(not difference(before, after := remains.snapshot()), f"SIGKILL: and nothing is left {difference(before, after)}")


TESTS = {"proof": test_proof, "guests": test_guests, "cleanup": test_cleanup}


def main(argv):
    if argv == ["--victim"]:
        victim()
        return 0
    unknown = [name for name in argv if name not in TESTS]
    if unknown:
        print(f"selftest: no test {unknown[0]}; there are {', '.join(TESTS)}", file=sys.stderr)
        return 2
    check = Checks()
    for name in argv or TESTS:
        say(f"{name}:")
        try:
            TESTS[name](check)
        except Exception:               # a broken test counts, and the others still run
            traceback.print_exc()
            check.that(False, f"{name} ran to its end")
    say(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed or not check.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
