"""A Mininet network under controllerd: a line or ring of Open vSwitch switches that are all edges, and tenants whose hosts are identical.

    site = MininetSite(lab, tenants=("red", "blue"), n=5, ring=True)
    site.start()                        # Mininet, switches, controllerd; edges are applied, cables are found
    site.apply(document)
    site.check()                        # every host reaches every other one of its tenant, and nobody else hears of it

Host i of each tenant (i from 1) is at switch i, has MAC 02:00:00:00:00:0i and address 10.0.0.i, and is called TENANTi.
"""
import json
import os
import select
import subprocess
import time

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd, merge
from utilities.lab.ovs import Ovs

HERE = os.path.dirname(os.path.abspath(__file__))
PORT, CONTROLLER = 6653, 6701    # Of controllerd, and of the first tenant's controller.


class MininetSite:
    def __init__(self, lab, tenants, n=5, ring=False, ctl_extra=None):
        self.lab, self.tenants, self.n, self.ring = lab, tenants, n, ring
        self.host = lab.host("mininet")
        self.ovs = Ovs(self.host)
        self.ctl = Controllerd(self.host, extra=merge({"lldp": {"interval_ms": 200}, "openflow": {"listen": [f"ptcp:{PORT}:127.0.0.1"]}}, ctl_extra))
        self.cables = [(i, i % n + 1) for i in range(1, n + 1 if ring else n)]
        self.process, self.ports, self.cut = None, {}, set()

    def name(self, tenant, i):
        return f"{tenant}{i}"

    def start(self):
        # Mininet waits for ever for a host whose namespaces cannot be made, in a chroot whose / is no mount point, say.
        self.lab.execute(["mnexec", "-n", "true"])
        hosts = [{"name": self.name(tenant, i), "switch": i, "mac": f"02:00:00:00:00:{i:02x}", "ip": f"10.0.0.{i}"}
                 for tenant in self.tenants for i in range(1, self.n + 1)]
        plan = {"switches": self.n, "ring": self.ring, "controller": PORT, "hosts": hosts}
        log = open(self.host.path("mininet.log"), "w", encoding="utf-8")
        with log, self.lab.signals.hold():
            self.process = self.lab.popen(self.host._inside(["/usr/bin/python3", os.path.join(HERE, "mininet", "net.py"), json.dumps(plan)]), env=self.ovs.env,
                                          folder=self.host.dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.ports = self._read(60)["ports"]
        self.apply({"edges": [{"name": f"s{i}", "datapath_id": f"{i:016x}"} for i in range(1, self.n + 1)]})
        self.wait_cables()
        return self

    def stop(self):
        """Takes the network down, as the end of the lab would, but says when it cannot."""
        self.process.stdin.close()
        if self.process.wait(30):
            raise LabError("Mininet failed:\n" + self._log())

    def _log(self):
        with open(self.host.path("mininet.log"), encoding="utf-8") as file:
            return file.read()

    def _read(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise LabError(f"Mininet is silent for {seconds} s\n" + self._log())
        line = self.process.stdout.readline()
        if not line:
            raise LabError("Mininet ended:\n" + self._log())
        return json.loads(line)

    def ask(self, seconds=60, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read(seconds)

    # --- controllerd ---

    def apply(self, document, *args, check=True, wait=True):
        path = self.host.path("apply.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        return self.ctl.vpcctl("apply", "-f", path, *(["--wait=installed", "--timeout", "30s"] if wait else []), *args, check=check)

    def links_up(self):
        return sum(item["status"]["state"] == "up" for item in self.ctl.json("get", "links")["items"])

    def wait_cables(self):
        n = len(self.cables) - len(self.cut)
        self.lab.wait_for(f"{n} links", lambda: self.links_up() == n, 20)

    def vpcs(self):
        """The hosts of each tenant on one network that Polder programs by itself."""
        ports = {tenant: [{"name": self.name(tenant, i), "mac": f"02:00:00:00:00:{i:02x}", "ips": [f"10.0.0.{i}"], "edge": f"s{i}",
                           "ofport_of": self.ports[self.name(tenant, i)]} for i in range(1, self.n + 1)] for tenant in self.tenants}
        return {"tenants": [{"name": tenant} for tenant in self.tenants],
                "vpcs": [{"name": "main", "tenant": tenant, "networks": [{"name": "web", "subnet": "10.0.0.0/24", "ports": ports[tenant]}]}
                         for tenant in self.tenants]}

    def slices(self, **shapes):
        """A slice for each tenant, TENANT="big" (one switch over all edges) or "chain" (one on each edge, each linked to the next); an os-ken learning switch controls it."""
        doc = {"tenants": [{"name": tenant} for tenant in shapes], "slices": []}
        for number, (tenant, shape) in enumerate(shapes.items()):
            port = CONTROLLER + number
            self.host.spawn(f"osken-{tenant}", ["osken-manager", os.path.join(HERE, "controllers", "learning.py"), "--ofp-listen-host", "127.0.0.1",
                                                "--ofp-tcp-listen-port", str(port)], env={"LEARNING_VERSION": "1.3"})
            switches, links = getattr(self, "_" + shape)(tenant)
            doc["slices"].append({"name": "lab", "tenant": tenant, "edges": [f"s{i}" for i in range(1, self.n + 1)],
                                  "controllers": [f"tcp:127.0.0.1:{port}"], "switches": switches, "links": links})
        return doc

    def _port(self, tenant, i, number):
        return {"name": self.name(tenant, i), "number": number, "edge": f"s{i}", "ofport_of": self.ports[self.name(tenant, i)],
                "mac": f"02:00:00:00:00:{i:02x}", "ips": [f"10.0.0.{i}"]}

    def _big(self, tenant):
        everywhere = range(1, self.n + 1)
        return [{"name": "big", "edges": [f"s{i}" for i in everywhere], "ports": [self._port(tenant, i, i) for i in everywhere]}], []

    def _chain(self, tenant):
        switches = [{"name": f"m{i}", "edges": [f"s{i}"], "ports": [self._port(tenant, i, 1)]} for i in range(1, self.n + 1)]
        return switches, [{"name": f"l{i}", "ends": [f"m{i}/next", f"m{i + 1}/prev"]} for i in range(1, self.n)]

    def edge_tools(self):
        """For isolation.check()."""
        return {f"s{i}": lambda *args, bridge=f"s{i}": self.ovs.ofctl(args[0], bridge, *args[1:]) for i in range(1, self.n + 1)}

    # --- cables ---

    def set_cable(self, a, b, up):
        self.ask(cable=[a, b], up=up)
        self.cut = (self.cut - {(a, b)}) if up else (self.cut | {(a, b)})
        self.wait_cables()

    def parts(self):
        """Switches that can reach one another, as a number for each."""
        part = {i: i for i in range(1, self.n + 1)}
        for _ in range(self.n):
            for a, b in self.cables:
                if (a, b) not in self.cut:
                    part[a] = part[b] = min(part[a], part[b])
        return part

    # --- what must hold ---

    def pings(self, tenants=None, count=1):
        """{(tenant, from, to): replies} of everybody to everybody of the same tenant, all at once."""
        wanted = [(tenant, a, b) for tenant in tenants or self.tenants for a in range(1, self.n + 1) for b in range(1, self.n + 1) if a != b]
        got = self.ask(ping=[[self.name(tenant, a), f"10.0.0.{b}"] for tenant, a, b in wanted], count=count)
        return dict(zip(wanted, got))

    def check(self, tenants=None, seconds=15):
        """Within the time, pings of every tenant get through exactly where cables lead; and in all that time no host hears a request of another tenant's."""
        for tenant in tenants or self.tenants:      # One after the other: whoever hears more than its own tenant's share hears another's.
            deadline = time.monotonic() + seconds
            while wrong := self._round(tenant):
                if time.monotonic() > deadline:
                    raise LabError(f"{tenant}: {wrong}")

    def _round(self, tenant):
        """What is not yet as it should be."""
        part, before = self.parts(), self.ask(echoes=True)
        got, after = self.pings([tenant], count=2), self.ask(echoes=True)
        heard = {name: after[name] - before[name] for name in after}
        share = {i: 2 * (sum(part[i] == part[j] for j in part) - 1) for i in part}
        if any(n for name, n in heard.items() if not name.startswith(tenant)):
            raise LabError(f"{tenant} pings, and hosts hear {heard}")
        if any(n and part[a] != part[b] for (_, a, b), n in got.items()):
            raise LabError(f"{tenant}'s pings get through where no cable leads: {got}")
        # More than its share: what was late in an earlier round.
        return {key: n for key, n in got.items() if n != 2 * (part[key[1]] == part[key[2]])} or \
            {i: heard[self.name(tenant, i)] for i in part if heard[self.name(tenant, i)] != share[i]}
