"""Three hosts with vswitchd in a ring, virtual machines at the ends: three tenants with identical machines and learning controllers of their own, while cables are cut and mended."""
import json
import os
import time

from tests.system import isolation
from utilities.lab import image
from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd, Vswitchd
from utilities.lab.vm import VM, Nic

HERE = os.path.dirname(os.path.abspath(__file__))
N = 3
SHAPES = {"red": "big", "blue": "chain", "green": "big"}
CONTROLLER, GREETING = 6701, 7
WAIT = 20                   # Seconds for the cables,
HOLD, MAX_HOLD = 1, 32      # and for one that is held; it doubles five times (controller/substrate_paths.c).


class Ring:
    def __init__(self, lab):
        self.lab = lab
        self.hosts = [lab.host(f"host{i}") for i in range(1, N + 1)]
        self.ctl = Controllerd(lab.host("control"), extra={"lldp": {"interval_ms": 200}, "fabric": {"restore_hold_ms": HOLD * 1000}})
        for i, host in enumerate(self.hosts):
            there = self.hosts[(i + 1) % N]
            lab.link(host, f"to-{there.name}", there, f"to-{host.name}")
        self.edges = [Vswitchd(host, dpid=i, uplinks=[f"to-{other.name}" for other in self.hosts if other is not host], controllers=[self.ctl.openflow])
                      for i, host in enumerate(self.hosts, 1)]
        self.cut = set()
        for number, tenant in enumerate(SHAPES):
            self.ctl.host.spawn(f"osken-{tenant}", ["osken-manager", os.path.join(HERE, "controllers", "learning.py"), "--ofp-listen-host", "127.0.0.1",
                                                    "--ofp-tcp-listen-port", str(CONTROLLER + number)], env={"LEARNING_VERSION": "1.3"})
        self.apply()
        self.machines = self.boot()

    # --- The model ---

    def port(self, i, number):
        return {"name": "vm", "number": number, "edge": f"host{i}", "mac": f"52:54:00:00:00:0{i}", "ips": [f"10.0.0.{i}"]}

    def slice(self, number, tenant):
        everywhere = [host.name for host in self.hosts]
        if SHAPES[tenant] == "big":
            switches = [{"name": "big", "edges": everywhere, "ports": [{**self.port(i, i), "name": f"vm{i}"} for i in range(1, N + 1)]}]
            links = []
        else:
            switches = [{"name": f"m{i}", "edges": [f"host{i}"], "ports": [{**self.port(i, 1), "name": f"vm{i}"}]} for i in range(1, N + 1)]
            links = [{"name": f"l{i}", "ends": [f"m{i}/next", f"m{i + 1}/prev"]} for i in range(1, N)]
        return {"name": "lab", "tenant": tenant, "edges": everywhere, "controllers": [f"tcp:127.0.0.1:{CONTROLLER + number}"],
                "switches": switches, "links": links}

    def apply(self):
        path = os.path.join(self.lab.dir, "apply.yaml")
        doc = {"edges": [{"name": host.name, "datapath_id": f"{i:016x}"} for i, host in enumerate(self.hosts, 1)],
               "tenants": [{"name": tenant} for tenant in SHAPES], "slices": [self.slice(n, tenant) for n, tenant in enumerate(SHAPES)]}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(doc, file)
        self.ctl.vpcctl("apply", "-f", path, "--wait=installed", "--timeout", "30s")
        self.wait_cables()

    # --- Machines ---

    def boot(self):
        guest = image.prepare(say=lambda line: None)
        sockets = {(item["name"].split("/")[0], item["name"].rsplit("/", 1)[1]): item["status"]["vhost_socket"] for item in self.ctl.json("get", "switch-ports")["items"]
                   if item["name"].rsplit("/", 1)[1].startswith("vm")}
        machines = {(tenant, i): VM(self.hosts[i - 1], f"{tenant}{i}", guest, [Nic(f"52:54:00:00:00:0{i}", sockets[tenant, f"vm{i}"])]).start()
                    for tenant in SHAPES for i in range(1, N + 1)}
        for (tenant, i), machine in machines.items():
            machine.wait_boot(120)
            machine.configure("eth0", f"10.0.0.{i}/24")
            machine.run(f"nc -ll -p {GREETING} -e echo {tenant}{i} > /dev/null 2>&1 &", check=True)
        return machines

    def check(self):
        """Everybody reaches everybody of the same tenant, and who answers says so."""
        for tenant in SHAPES:
            for a in range(1, N + 1):
                for b in range(1, N + 1):
                    if a != b:
                        self.reaches(tenant, a, b)

    def reaches(self, tenant, a, b, seconds=20):
        machine, deadline = self.machines[tenant, a], time.monotonic() + seconds
        while not (got := machine.ping(f"10.0.0.{b}", 1)):
            if time.monotonic() > deadline:
                raise LabError(f"{tenant}{a} does not reach 10.0.0.{b}: {[edge.drops() for edge in self.edges]}")
        _, said = machine.run(f"for i in 1 2 3 4 5; do nc -w 3 10.0.0.{b} {GREETING} && break; done", timeout=30)
        if got != 1 or said != f"{tenant}{b}\n":
            raise LabError(f"{tenant}{a} pings 10.0.0.{b}: {got} replies; asked who it is, it says {said!r}")

    # --- Cables ---

    def wait_cables(self):
        """
        As many are up as are not cut.  Where the machine is so busy that LLDP comes late controllerd takes that for a failure, as it must, and holds the cable back when
        it is there again, longer each time: as long as it says is waited for, and 20 s for everything else.
        """
        begun = time.monotonic()
        deadline = begun + WAIT
        while True:
            statuses = [item["status"] for item in self.ctl.json("get", "links")["items"]]
            if sum(status["state"] == "up" for status in statuses) == N - len(self.cut):
                return
            now = time.monotonic()
            deadline = min(max([deadline] + [now + status["held_s"] + WAIT for status in statuses if status["state"] == "held"]), begun + MAX_HOLD + WAIT)
            if now > deadline:
                raise LabError(f"waited {now - begun:.0f} s for the cables in vain: {statuses}\n{self.ctl.process.log_tail()}")
            time.sleep(0.1)

    def set_cable(self, i, up):
        """Between host i and the next."""
        here, there = self.hosts[i], self.hosts[(i + 1) % N]
        here.run(["ip", "link", "set", f"to-{there.name}", "up" if up else "down"])
        self.cut = (self.cut - {i}) if up else (self.cut | {i})
        self.wait_cables()


def test_ring_with_machines(lab):
    ring = Ring(lab)
    tools = {edge.host.name: edge.ofctl for edge in ring.edges}
    ring.check()
    isolation.check(ring.ctl, tools)
    for i in (0, 2):
        ring.set_cable(i, False)
        ring.check()
        ring.set_cable(i, True)
    ring.check()
    isolation.check(ring.ctl, tools)


test_ring_with_machines.seconds = 360
