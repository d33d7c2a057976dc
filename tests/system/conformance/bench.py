"""Where the suite runs: pairs of a tester (Open vSwitch) and a target (vswitchd), three cables between them, each pair in a namespace with a program.

    osken-manager ── tcp, loopback ──┬── tester, dpid 2, ports t1 t2 t3
                                     └── target, dpid 1, ports p1 p2 p3         t1─p1  t2─p2  t3─p3

Most of a run is waiting, so several pairs side by side share the files.
"""
import os
import time

from utilities.lab.daemons import Vswitchd
from utilities.lab.host import say
from utilities.lab.ovs import Ovs

from . import suite

PORT = 6653
LOADED = 0.97           # Of a throughput test's rate; with less its result says nothing of the switch.
START_S, SETUP_S = 2, 1 # What the program takes at least to start, and about what a throughput test takes besides sending.
STALL_S = 50            # The program says nothing for longer: it hangs, as it does when it trips over one of its own asserts.


class Pair:
    """A tester, a target, and one program at a time."""

    def __init__(self, lab, index, devargs, tester_caches):
        """devargs: the target's devices, with {n} for the port's number and {iface} for its interface."""
        self.lab, self.host = lab, lab.host(f"pair{index}")
        for n in (1, 2, 3):
            lab.link(self.host, f"t{n}", self.host, f"p{n}")
        ports = [{"name": f"p{n}", "type": "dpdk", "devargs": devargs.format(n=n, iface=f"p{n}"), "ofport": n} for n in (1, 2, 3)]
        target = f"tcp:127.0.0.1:{PORT}"
        self.target = Vswitchd(self.host, dpid=1, ports=ports, extra={
            "openflow": {"controllers": [{"target": target, "max_backoff_ms": 500}]}})
        self.tester = Ovs(self.host)
        self.tester.bridge("br0", dpid=2, controller=target)
        self.tester.vsctl("set", "controller", "br0", "max_backoff=1000")
        if not tester_caches:
            self.tester.vsctl("set", "Open_vSwitch", ".", "other_config:flow-limit=0")
        for n in (1, 2, 3):
            self.tester.port("br0", f"t{n}", ofport=n)
        self.program, self.files, self.n_runs = None, [], 0
        self.results, self.shortfalls = {}, {}

    def start(self, files):
        """Starts the program on these files; poll() tells when it is done."""
        self.files, self.results, self.shortfalls = list(files), {}, {}
        self._run()

    def _run(self):
        self.n_runs += 1
        folder = self.host.path(f"suite{self.n_runs}")
        os.mkdir(folder)
        for i, file in enumerate(self.files):
            os.symlink(file.path, os.path.join(folder, f"{i:03}.json"))
        self.program = self.host.spawn(f"osken-{self.n_runs}", [
            "osken-manager", "os_ken.tests.switch.tester", "--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(PORT),
            "--test-switch-dir", folder, "--test-switch-target", f"{1:016x}", "--test-switch-tester", f"{2:016x}",
            "--test-switch-target-version", "openflow13", "--test-switch-tester-version", "openflow13"], env={"PYTHONUNBUFFERED": "1", "EVENTLET_HUB": "selects"}, kill=True)
        self._size, self._heard, self._n_done, self._n_received = 0, time.monotonic(), 0, self.received()
        self._noted = self._heard + START_S

    def received(self):
        """Frames that the target got on port 1."""
        return self.target.json("ports", "p1")["ports"][0]["stats"]["rx_packets"]

    def _note_load(self):
        """After each throughput test: what part of the rate it wanted has come.  The program's timers slip, and its packets queue, when the machine is busy."""
        found = suite.results(self.program.log_text(), self.files)
        if len(found) == self._n_done:
            return
        name, test = list(found)[-1]
        received, now = self.received(), time.monotonic()
        wanted = next(file.pktps[test] for file in self.files if file.name == name)
        part = (received - self._n_received) / (now - self._noted - SETUP_S) / wanted
        if len(found) == self._n_done + 1 and part < LOADED:
            self.shortfalls[name, test] = part
        self._n_done, self._n_received, self._noted = len(found), received, now

    def poll(self):
        """False while there is work.  A program that hangs or dies is started again on the files that it did not reach."""
        if not self.program:
            return True
        size = os.path.getsize(self.program.log)
        if size != self._size:
            self._size, self._heard = size, time.monotonic()
            if self.files[0].pktps:
                self._note_load()
        if self.program.alive() and time.monotonic() - self._heard < STALL_S:
            return False
        done = not self.program.alive() and "---  Test end  ---" in self.program.log_text()
        self.program.kill()
        self.lab.forget(self.program)
        found = suite.results(self.program.log_text(), self.files)
        if not done:
            say(f"     {self.host.name}: the suite's program stopped after {len(found)} tests\n{self.program.log_tail(3)}")
        self.results.update(found)
        self.program = None
        if done or not self.n_left(found):
            return True
        self._run()
        return False

    def n_left(self, found):
        """Drops the files that were begun, with "not finished" for what they did not get to; the number of the rest."""
        begun = {name for name, _ in found}
        order = sorted(self.files, key=lambda f: f.title)       # The program's order.
        # It is in the first file that is not whole: with nothing found that is the first of all, and it is not tried again.
        stuck = next((f for f in order if any((f.name, t) not in found for t in f.tests)), None)
        for file in order:
            if file.name in begun or file is stuck:
                for test in file.tests:
                    self.results.setdefault((file.name, test), "not finished: the program hung or died")
        self.files = [f for f in order if f.name not in begun and f is not stuck]
        return len(self.files)


class Bench:
    """Pairs that stay for several runs."""

    def __init__(self, lab, n_pairs, devargs, tester_caches):
        """tester_caches: Open vSwitch answers a barrier before it has revalidated its flow cache, so tests of single packets want it without; those of
        throughput do not get theirs without."""
        self.lab = lab
        self.pairs = [Pair(lab, i + 1, devargs, tester_caches) for i in range(n_pairs)]

    def run(self, files, n_pairs):
        """Runs the files on the first n_pairs.  {(file, description): None or reason}, and the part of its rate that a test got when it was short of it."""
        found, shortfalls = {}, {}
        busy = list(zip(self.pairs, suite.shares(files, n_pairs)))
        for pair, share in busy:
            pair.start(share)
        while not all([pair.poll() for pair, _ in busy]):       # A list: each is to be polled.
            self.lab.signals.check()
            time.sleep(0.2)
        for pair, _ in busy:
            found.update(pair.results)
            shortfalls.update(pair.shortfalls)
        return found, shortfalls
