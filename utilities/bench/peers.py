"""The switches that are compared, each as a process with two vhost-user sockets on which it listens.

Each object is one process for one rule set.  All of them get the same CPU, so only one may run at a time: the others are stopped (SIGSTOP) while it is measured.  They have the same memory (hugepages or not), the same rings
and the same rules, loaded with ovs-ofctl from one file.
"""
import glob
import os
import re
import shutil
import signal
import time

from utilities.lab import ovs
from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd

PORTS = ("p1", "p2")
HUGEPAGES_MB = {"vswitchd": 384, "ovs": 1024, "testpmd": 512}


class Setup:
    """What the run gives every switch."""

    def __init__(self, lab, switch_cpu, control_cpu, hugetlbfs=None, queues=1):
        self.lab, self.switch_cpu, self.control_cpu, self.hugetlbfs, self.queues = lab, switch_cpu, control_cpu, hugetlbfs, queues


class Switch:
    """What the runner needs of one.  Subclasses set process, sockets and thread (a pattern of the polling thread's name)."""

    name = thread = ofctl_target = management = None

    def __init__(self, setup):
        self.setup, self.load_s, self.paused = setup, 0.0, False

    @property
    def pid(self):
        return self.process.pid

    def polling_thread(self):
        """Id of the thread that moves the frames."""
        for path in glob.glob(f"/proc/{self.pid}/task/*/comm"):
            with open(path, encoding="ascii") as file:
                if file.read().startswith(self.thread):
                    return int(path.split("/")[4])
        raise LabError(f"{self.name} has no thread {self.thread}")

    def resident_mb(self):
        """Resident memory with hugepages, MB."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return sum(int(fields[key].split()[0]) for key in ("VmRSS", "HugetlbPages") if key in fields) / 1024

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self):
        if self.paused:
            os.kill(self.pid, signal.SIGCONT)
            self.paused = False

    def schedule(self, realtime):
        """The polling thread's class."""
        os.sched_setscheduler(self.polling_thread(), os.SCHED_RR if realtime else os.SCHED_OTHER, os.sched_param(1 if realtime else 0))

    def ofctl(self, command, *args):
        return self.setup.lab.execute(["ovs-ofctl", "-O", "OpenFlow13", command, self.ofctl_target, *args], env=self.env, timeout=300).output

    def load(self, path, count=None):
        """Adds the entries of a file and returns how many the switch then has; LabError unless they are `count`, where it is known."""
        begun = time.monotonic()
        self.ofctl("add-flows", path)
        self.load_s = time.monotonic() - begun
        answer = self.ofctl("dump-aggregate")
        found = re.search(r"flow_count=(\d+)", answer)
        if not found or int(found[1]) != (int(found[1]) if count is None else count):
            raise LabError(f"{self.name} was given {count} entries, and says: {answer.strip()}")
        return int(found[1])

    def load_own(self, meters, groups, entries):
        """A user's: meters, then files of groups (None: there are none) and of entries, which may name them."""
        for meter in meters:
            self.ofctl("add-meter", meter)
        if groups:
            self.ofctl("add-groups", groups)
        return self.load(entries)

    def stop(self):
        self.resume()
        self.process.stop()
        self.setup.lab.forget(self.process)

    env = {}


class Vswitch(Switch):
    name, thread = "vswitchd", "poll-1"

    def __init__(self, setup, rules):
        super().__init__(setup)
        host = setup.lab.host(f"polder-{rules}")
        self.sockets = [host.path(f"{port}.sock") for port in PORTS]
        ports = [{"name": port, "type": "vhost-user", "role": "server", "path": path, "ofport": i + 1, "queues": setup.queues}
                 for i, (port, path) in enumerate(zip(PORTS, self.sockets))]
        self.daemon = Vswitchd(host, 1, ports=ports, poll=setup.switch_cpu, extra={
            "dpdk": {"hugepages": "on" if setup.hugetlbfs else "off", "eal_args": ["--huge-dir", setup.hugetlbfs] if setup.hugetlbfs else []},
            # A CPU whose thread sleeps between two measurements is where the kernel puts the machine's other work; the peers' threads never sleep.
            "cpus": {"control": str(setup.control_cpu)}, "idle_sleep": False, "log_level": "warn"})
        self.process, self.management = self.daemon.process, self.daemon.openflow_socket
        self.ofctl_target = f"unix:{self.management}"

    @staticmethod
    def missing():
        return None


class OvsDpdk(Switch):
    name, thread = "ovs", "pmd-c"

    def __init__(self, setup, rules):
        super().__init__(setup)
        host = setup.lab.host(f"ovs-{rules}")
        self.ovs = ovs.Ovs(host, dpdk=True, memory_mb=1024 if setup.hugetlbfs else 512, hugetlbfs=setup.hugetlbfs)
        self.ovs.vsctl("set", "Open_vSwitch", ".", f"other_config:pmd-cpu-mask={1 << setup.switch_cpu:#x}")
        self.ovs.bridge("br0", dpid=1)
        self.sockets = [f"{self.ovs.dir}/{port}" for port in PORTS]
        for i, path in enumerate(self.sockets):
            self.ovs.vhost_port("br0", PORTS[i], path, i + 1, server=True)
        self.process, self.env = self.ovs.daemon, self.ovs.env
        self.management, self.ofctl_target = f"{self.ovs.dir}/br0.mgmt", "br0"

    def stop(self):
        super().stop()
        for process in [p for p in self.setup.lab.processes if p.name == "ovsdb-server"]:
            process.stop()
            self.setup.lab.forget(process)

    @staticmethod
    def missing():
        return None if os.path.exists(ovs.DPDK) else "openvswitch-switch-dpdk is not installed"


class Testpmd(Switch):
    """Moves every frame from the one port to the other and looks at none: the ceiling.  Has no rules."""

    name, thread = "testpmd", "rte-worker"

    def __init__(self, setup, rules):
        super().__init__(setup)
        host = setup.lab.host(f"testpmd-{rules}")
        self.sockets = [host.path(f"{port}.sock") for port in PORTS]
        memory = ["--in-memory", "--huge-dir", setup.hugetlbfs] if setup.hugetlbfs else ["--no-huge", "--no-shconf", "--single-file-segments"]
        devices = [f"--vdev=net_vhost{i},iface={path},queues={setup.queues}" for i, path in enumerate(self.sockets)]
        self.process = host.spawn("testpmd", [
            "dpdk-testpmd", "--lcores", f"0@{setup.control_cpu},1@{setup.switch_cpu}", *memory, "-m", "512", "--no-pci", "--no-telemetry",
            f"--file-prefix={host.namespace}", *devices, "--", "--nb-cores=1", "--total-num-mbufs=16384", "--forward-mode=io", "--auto-start",
            # Without a period it would end when it cannot read from a terminal.
            f"--rxq={setup.queues}", f"--txq={setup.queues}", "--burst=64", "--rxd=1024", "--txd=1024", "--stats-period=3600"])
        setup.lab.wait_for("dpdk-testpmd", lambda: all(os.path.exists(path) for path in self.sockets), of=[self.process])

    def load(self, path, count=None):
        return count

    def load_own(self, meters, groups, entries):
        return None

    @staticmethod
    def missing():
        return None if shutil.which("dpdk-testpmd") else "dpdk-dev (dpdk-testpmd) is not installed"


ALL = {"vswitchd": Vswitch, "ovs": OvsDpdk, "testpmd": Testpmd}
