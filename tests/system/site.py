"""A site for tests: hosts with vswitchd, a fabric, controllerd, and endpoints that need no virtual machine.

An endpoint is a network namespace whose eth0 is a cable to a host; the host's vswitchd has the cable's other end as a device, and a tenant's port is bound to it (`ofport_of`).  So any frame
can be sent and heard byte by byte, with the very switch and controller that serve machines.
"""
import json
import subprocess

from utilities.lab import image
from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd, Vswitchd
from utilities.lab.ovs import Ovs


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


class Endpoint:
    """One tenant's port: a namespace with eth0."""

    def __init__(self, site, tenant, name, host, mac, ips):
        self.site, self.tenant, self.name, self.host, self.mac, self.ips = site, tenant, name, host, mac, ips
        self.device = f"{tenant}-{name}"
        self.full_name = f"{tenant}/main/web/{name}"
        self.box = site.lab.host(f"{tenant}{name}")
        site.lab.link(host, self.device, self.box, "eth0")
        self.box.run(["ip", "link", "set", "eth0", "address", mac])
        self._ears = None

    def configure(self):
        """Gives the namespace its addresses, so that its kernel talks."""
        self.box.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad"])
        self.box.run(["ip", "link", "set", "eth0", "arp", "on"])
        for ip in self.ips:
            self.box.run(["ip", "addr", "add", f"{ip}/{64 if ':' in ip else 24}", "dev", "eth0"])

    def ping(self, ip, count=3):
        """The number of replies."""
        out = self.box.run(["ping", "-c", str(count), "-i", "0.2", "-W", "2", ip], check=False).output
        return next((int(part.split()[0]) for part in out.split(",") if part.strip().endswith("received")), 0)

    def send(self, frame, count=1):
        self.box.run([self.site.frame, "send", "eth0", bytes(frame).hex(), str(count)])

    def listen(self):
        """Starts to collect what arrives; heard() ends it."""
        path = self.box.path("heard")
        self._ears = self.site.lab.start(f"ears-{self.device}", ["ip", "netns", "exec", self.box.namespace, self.site.frame, "recv", "eth0", "100"],
                                         log=path)
        self.site.lab.wait_for("frame recv", lambda: "listening" in self._ears.log_text(), of=[self._ears])
        return self

    def heard(self, at_least=0, seconds=3):
        """Waits for so many frames (or a moment for none), and returns all."""
        def lines():
            return [line for line in self._ears.log_text().splitlines() if line and all(c in "0123456789abcdef" for c in line)]
        try:
            self.site.lab.wait_for("frames", lambda: len(lines()) >= at_least, seconds)
        except LabError:
            pass                        # the caller sees what is there
        self._ears.kill()
        self.site.lab.forget(self._ears)
        with open(self._ears.log, "r+", encoding="utf-8") as file:
            text = file.read()
            file.truncate(0)
        return [bytes.fromhex(line) for line in text.splitlines() if line and all(c in "0123456789abcdef" for c in line)]


class Site:
    """Hosts host1…hostN in a star around a fabric switch ("ovs" or "vswitchd"), or two joined by a cable (fabric None)."""

    def __init__(self, lab, n_hosts=2, fabric=None, ctl_extra=None, edge_extra=None):
        self.lab, self.fabric_kind = lab, fabric
        self.frame = image.prepare(lambda line: None).frame
        self.hosts = [lab.host(f"host{i + 1}") for i in range(n_hosts)]
        self.ctl = Controllerd(lab.host("control"), extra=ctl_extra)
        self.edge_extra = edge_extra
        self.edges, self.endpoints, self.fabric = [], [], None
        self._static = {host.name: [] for host in self.hosts}
        if fabric:
            self.middle = lab.host("middle")
            for i, host in enumerate(self.hosts):
                lab.link(host, "fab0", self.middle, f"to{i + 1}")
        else:
            assert n_hosts == 2
            lab.link(self.hosts[0], "fab0", self.hosts[1], "fab0")

    def endpoint(self, tenant, name, host_index, mac, *ips):
        """Before start()."""
        host = self.hosts[host_index]
        e = Endpoint(self, tenant, name, host, mac, ips)
        self._static[host.name].append(e)
        self.endpoints.append(e)
        return e

    def start(self, apply=True):
        for i, host in enumerate(self.hosts):
            self.edges.append(Vswitchd(host, dpid=i + 1, uplinks=["fab0"] + [e.device for e in self._static[host.name]],
                                       controllers=[self.ctl.openflow], extra=self.edge_extra))
        if self.fabric_kind == "ovs":
            self.fabric = Ovs(self.middle)
            self.fabric.bridge("br0", dpid=0xfa, controller=self.ctl.openflow)
            for i in range(len(self.hosts)):
                self.fabric.port("br0", f"to{i + 1}", ofport=i + 1)
        elif self.fabric_kind == "vswitchd":
            self.fabric = Vswitchd(self.middle, dpid=0xfa, uplinks=[f"to{i + 1}" for i in range(len(self.hosts))],
                                   controllers=[self.ctl.openflow])
        if apply:
            self.apply(self.document())
            self.wait_links()
        return self

    def document(self):
        """What vpcctl apply gets: the substrate, and a network per tenant with its endpoints."""
        doc = {"edges": [{"name": host.name, "datapath_id": f"{i + 1:016x}"} for i, host in enumerate(self.hosts)]}
        if self.fabric_kind:
            doc["fabric_switches"] = [{"name": "middle", "datapath_id": f"{0xfa:016x}"}]
        tenants = sorted({e.tenant for e in self.endpoints})
        doc["tenants"] = [{"name": tenant} for tenant in tenants]
        doc["vpcs"] = [{"name": "main", "tenant": tenant, "networks": [{
            "name": "web", "subnet": "10.0.0.0/24", "subnet6": "fd00::/64",
            "ports": [{"name": e.name, "mac": e.mac, "ips": list(e.ips), "edge": e.host.name, "ofport_of": e.device}
                      for e in self.endpoints if e.tenant == tenant]}]} for tenant in tenants]
        return doc

    def apply(self, document, *args, check=True, wait=True):
        path = self.lab.dir + "/apply.yaml"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)   # JSON is YAML
        return self.ctl.vpcctl("apply", "-f", path, *(["--wait=installed", "--timeout", "30s"] if wait else []), *args, check=check)

    def wait_links(self, seconds=20):
        """Until discovery has found every cable in both directions, and its rules are in place."""
        n = 2 * len(self.hosts) if self.fabric_kind else 2
        self.lab.wait_for("links", lambda: sum(1 for link in self.links() if link["up"]) >= n, seconds)
        self.lab.wait_for("rules", lambda: all(e["status"]["rules"]["state"] == "in-sync" for e in self.ctl.json("get", "edges")["items"]), seconds)

    def links(self):
        return [item.get("status", item) for item in self.ctl.json("get", "links")["items"]]


def drop_delta(switch, act, keys, seconds=3):
    """Runs act() and returns which of keys (port, reason) were counted afterwards."""
    before = switch.drops()
    act()
    def counted():
        now = switch.drops()
        return [key for key in keys if now.get(key, 0) > before.get(key, 0)]
    try:
        return switch.host.lab.wait_for("a drop", counted, seconds)
    except LabError:
        return []


def shell(argv, **kwargs):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kwargs)
