"""A site for tests: hosts with vswitchd, a fabric, controllerd, and endpoints that need no virtual machine.

An endpoint is a network namespace whose eth0 is a cable to a host; the host's vswitchd has the cable's other end as a device, and a tenant's port is bound to it (`ofport_of`).  So any frame
can be sent and heard byte by byte, with the very switch and controller that serve machines.

    site = Site(lab, fabric="ovs")
    a = site.endpoint("red", "a", 0, MAC_A, "10.0.0.11", "fd00::11")    # on the first host
    b = site.endpoint("red", "b", 1, MAC_B, "10.0.0.12", "fd00::12")
    site.start()
    b.listen()
    a.send(frame)
    assert b.heard(1) == [frame]
"""
import json
import time

from tests.system.frames import Tap
from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd, Vswitchd, merge
from utilities.lab.ovs import Ovs

QUIET = 0.3             # s; how long nothing more comes before a listener believes it
FABRIC_DPID = 0xfa


class Endpoint:
    """One tenant's port: a namespace with eth0.  Its kernel is silent until configure()."""

    def __init__(self, site, tenant, name, host, mac, ips, spec):
        self.site, self.tenant, self.name, self.host, self.mac, self.ips, self.spec = site, tenant, name, host, mac, ips, spec
        self.ipv4 = next((ip for ip in ips if ":" not in ip), None)
        self.ipv6 = next((ip for ip in ips if ":" in ip), None)
        self.device = f"{tenant}-{name}"
        self.full_name = f"{tenant}/main/web/{name}"
        self.box = site.lab.host(f"{tenant}{name}")
        site.lab.link(host, self.device, self.box, "eth0")
        self.box.run(["ip", "link", "set", "eth0", "address", mac])
        self.tap = Tap(self.box.namespace, "eth0")
        self.bound = True       # False once its port is gone: discovery then tries whether the device is a cable, and that is not counted as heard.

    def __repr__(self):
        return self.full_name

    @property
    def switch(self):
        """The vswitchd of its host."""
        return next(edge for edge in self.site.edges if edge.host is self.host)

    def port(self):
        """What vpcctl gets for desired."""
        port = {"name": self.name, "mac": self.mac, "ips": list(self.ips), "edge": self.host.name, "ofport_of": self.device}
        return {**port, **self.spec}

    def configure(self):
        """Gives the namespace its addresses, so that its kernel talks."""
        self.box.run(["sh", "-c", "cd /proc/sys/net/ipv6/conf/eth0 && echo 0 > accept_dad && echo 0 > disable_ipv6"])
        self.box.run(["ip", "link", "set", "eth0", "arp", "on"])
        for ip in self.ips:
            self.box.run(["ip", "addr", "add", f"{ip}/{64 if ':' in ip else 24}", "dev", "eth0"])

    def ping(self, ip, count=3, wait=2):
        """The number of replies that come within `wait` seconds; a duplicate is an error."""
        out = self.box.run(["ping", "-c", str(count), "-i", "0.2", "-W", str(wait), ip], check=False).output
        if "DUP!" in out or "+" in out:
            raise LabError(f"{self} pings {ip}:\n{out}")
        return next((int(part.split()[0]) for part in out.split(",") if part.strip().endswith("received")), 0)

    def pings_all(self, others):
        """Fails unless every address of the others answers three times; late is good, too, for this machine may stand still."""
        for other in others:
            for ip in other.ips:
                got = self.ping(ip, wait=10)
                if got != 3:
                    raise LabError(f"{self} pings {other} at {ip}: {got} of 3 replies\n{self.host_story()}")

    def host_story(self):
        return "".join(f"{edge.name} drops {edge.drops()}\n" for edge in self.site.edges)

    def send(self, *frames):
        for frame in frames:
            self.tap.send(frame)

    def listen(self):
        """Forgets what came before."""
        self.tap.drain()

    def heard(self, at_least=0, seconds=5, quiet=QUIET):
        """Waits for so many frames, then until none comes for the quiet time; gives all of them.  Fewer are the caller's to judge."""
        frames, deadline = [], time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic() if len(frames) < at_least else quiet
            frame = self.tap.receive(max(0, left))
            if frame is None:
                return frames
            if self.bound or frame[12:14] != b"\x88\xcc":
                frames.append(frame)


def all_heard(endpoints, wanted):
    """What each endpoint heard, as {endpoint: frames}: waits for as many as are wanted ({endpoint: number}), then QUIET, once for all."""
    heard = {e: e.heard(wanted.get(e, 0), quiet=0) for e in endpoints}
    time.sleep(QUIET)
    return {e: heard[e] + e.heard(0, quiet=0) for e in endpoints}


class Site:
    """Hosts host1…hostN in a star around a fabric switch ("ovs" or "vswitchd"), or two joined by a cable (fabric None)."""

    def __init__(self, lab, n_hosts=2, fabric=None, ctl_extra=None, edge_extra=None):
        self.lab, self.fabric_kind = lab, fabric
        self.hosts = [lab.host(f"host{i + 1}") for i in range(n_hosts)]
        self.ctl = Controllerd(lab.host("control"), extra=merge({"lldp": {"interval_ms": 200}}, ctl_extra))
        self.edge_extra = edge_extra
        self.edges, self.endpoints, self.fabric = [], [], None
        self.more_devices = {host.name: [] for host in self.hosts}      # Names of interfaces that vswitchd has besides.
        if fabric:
            self.middle = lab.host("middle")
            for i, host in enumerate(self.hosts):
                lab.link(host, "fab0", self.middle, f"to{i + 1}")
        else:
            assert n_hosts == 2
            lab.link(self.hosts[0], "fab0", self.hosts[1], "fab0")

    def endpoint(self, tenant, name, host_index, mac, *ips, **spec):
        """Before start().  spec: more keys of the port."""
        self.endpoints.append(Endpoint(self, tenant, name, self.hosts[host_index], mac, ips, spec))
        return self.endpoints[-1]

    def of(self, tenant):
        return [e for e in self.endpoints if e.tenant == tenant]

    def devices(self, host):
        return ["fab0"] + [e.device for e in self.endpoints if e.host is host] + self.more_devices[host.name]

    def start_edge(self, i):
        return Vswitchd(self.hosts[i], dpid=i + 1, uplinks=self.devices(self.hosts[i]), controllers=[self.ctl.openflow], extra=self.edge_extra)

    def start(self, apply=True):
        self.edges = [self.start_edge(i) for i in range(len(self.hosts))]
        if self.fabric_kind == "ovs":
            self.fabric = Ovs(self.middle)
            self.fabric.bridge("br0", dpid=FABRIC_DPID, controller=self.ctl.openflow)
            for i in range(len(self.hosts)):
                self.fabric.port("br0", f"to{i + 1}", ofport=i + 1)
        elif self.fabric_kind == "vswitchd":
            self.fabric = Vswitchd(self.middle, dpid=FABRIC_DPID, uplinks=[f"to{i + 1}" for i in range(len(self.hosts))],
                                   controllers=[self.ctl.openflow])
        if apply:
            self.apply(self.substrate())
            self.wait_links()
            self.apply(self.document())
            self.wait_synced()
        return self

    def substrate(self):
        doc = {"edges": [{"name": host.name, "datapath_id": f"{i + 1:016x}"} for i, host in enumerate(self.hosts)]}
        if self.fabric_kind:
            doc["fabric_switches"] = [{"name": "middle", "datapath_id": f"{FABRIC_DPID:016x}"}]
        return doc

    def document(self):
        """The substrate, and a network per tenant with its endpoints."""
        tenants = sorted({e.tenant for e in self.endpoints})
        return {**self.substrate(), "tenants": [{"name": tenant} for tenant in tenants],
                "vpcs": [{"name": "main", "tenant": tenant, "networks": [{
                    "name": "web", "subnet": "10.0.0.0/24", "subnet6": "fd00::/64", "ports": [e.port() for e in self.of(tenant)]}]}
                    for tenant in tenants]}

    def apply(self, document, *args, check=True, wait=True):
        path = self.lab.dir + "/apply.yaml"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)   # JSON is YAML
        return self.ctl.vpcctl("apply", "-f", path, *(["--wait=installed", "--timeout", "30s"] if wait else []), *args, check=check)

    def wait_links(self, n=None, seconds=20):
        """Until discovery has found every cable in both directions, and no other."""
        if n is None:
            n = len(self.hosts) if self.fabric_kind else 1
        self.lab.wait_for(f"{n} links", lambda: len(self.links_up()) == n, seconds)

    def wait_synced(self, seconds=20):
        self.lab.wait_for("the switches to hold their rules", lambda: all(state == "in-sync" for state in self.switch_states().values()), seconds)

    def switch_states(self):
        return {item["name"]: item["status"]["state"] for kind in ("edges", "fabric-switches") for item in self.ctl.json("get", kind)["items"]}

    def links_up(self):
        return [item["name"] for item in self.ctl.json("get", "links")["items"] if item["status"]["state"] == "up"]


def drop_delta(switch, act, key, seconds=3):
    """Runs act() and returns by how many frames the drops of key (port, reason) grew."""
    before = switch.drops().get(key, 0)
    act()
    try:
        return switch.host.lab.wait_for(f"drop {key}", lambda: switch.drops().get(key, 0) - before, seconds)
    except LabError:
        return 0
