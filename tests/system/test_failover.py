"""The fabric fails: established traffic goes on by itself, without controllerd where a port says so, and by missed LLDP where none does.

A mesh of fabric switches with redundant cables, two edges with an endpoint each.  While one sends a numbered frame every millisecond, a cable of the path is cut; how many frames are lost is
for how many milliseconds nothing came.
"""
import copy
import json
import os
import signal
import struct
import threading
import time

from tests.system import frames as f
from tests.system.site import Endpoint, Site
from utilities.lab.daemons import Controllerd, Vswitchd, merge
from utilities.lab.host import say
from utilities.lab.ovs import Ovs

MAC_A, MAC_B = "52:54:00:00:00:01", "52:54:00:00:00:02"
MOST_SECONDS = 60       # A stream ends by itself then.
LIMIT = 50              # Frames, and so milliseconds.
CTL = {"lldp": {"interval_ms": 400, "keepalive_ms": 400}, "fabric": {"restore_hold_ms": 2000}}

# Edges are e1 and e2, the rest is fabric.
RING = [("e1", "f1"), ("f1", "f2"), ("f2", "f3"), ("f3", "f4"), ("f4", "f1"), ("f3", "e2")]
LEAF_SPINE = [("e1", "l1"), ("e1", "l2"), ("l1", "s1"), ("l1", "s2"), ("l2", "s1"), ("l2", "s2"), ("l3", "s1"), ("l3", "s2"), ("l4", "s1"), ("l4", "s2"), ("e2", "l3"), ("e2", "l4")]
SQUARE = [("e1", "f1"), ("f1", "f2"), ("f2", "e2"), ("e1", "f3"), ("f3", "f4"), ("f4", "e2")]


class OvsEdge:
    """Open vSwitch in an edge's place."""

    def __init__(self, site, host, dpid, devices):
        self.host, self.name = host, host.name
        self.ovs = Ovs(host)
        self.ovs.bridge("br0", dpid=dpid, controller=site.ctl.openflow)
        for n, device in enumerate(devices):
            self.ovs.port("br0", device, ofport=n + 1)

    def drops(self):
        return {}


class Mesh(Site):
    """Two edges over fabric switches of one kind; with "ovs" all are bridges of one Open vSwitch."""

    def __init__(self, lab, cables, fabric, edge="vswitchd", ctl_extra=None):
        # Not Site's own: its hosts are joined otherwise.
        self.lab, self.fabric_kind, self.edge_kind, self.cables = lab, fabric, edge, cables
        self.hosts = [lab.host("e1"), lab.host("e2")]
        self.ctl = Controllerd(lab.host("control"), extra=merge(copy.deepcopy(CTL), ctl_extra))
        self.edge_extra = None
        self.edges, self.endpoints = [], []
        self.fabric_names = sorted({name for cable in cables for name in cable} - {"e1", "e2"})
        middle = lab.host("middle") if fabric == "ovs" else None
        self.box = {name: middle or lab.host(name) for name in self.fabric_names} | {host.name: host for host in self.hosts}
        self.interfaces = {name: [] for name in self.box}
        self.more_devices = {}
        for a, b in cables:
            ends = self.ends(a, b)
            lab.link(self.box[a], ends[a], self.box[b], ends[b])
            self.interfaces[a].append(ends[a])
            self.interfaces[b].append(ends[b])
        self.a = Endpoint(self, "red", "a", self.hosts[0], MAC_A, ["10.0.0.11"], {})
        self.b = Endpoint(self, "red", "b", self.hosts[1], MAC_B, ["10.0.0.12"], {})
        self.endpoints = [self.a, self.b]
        self.start()

    @staticmethod
    def ends(a, b):
        return {a: f"{a}-{b}", b: f"{b}-{a}"}

    def devices(self, host):
        return self.interfaces[host.name] + [e.device for e in self.endpoints if e.host is host]

    def start_edge(self, i):
        if self.edge_kind == "ovs":
            return OvsEdge(self, self.hosts[i], i + 1, self.devices(self.hosts[i]))
        return super().start_edge(i)

    def start(self, apply=True):
        self.edges = [self.start_edge(i) for i in range(2)]
        if self.fabric_kind == "ovs":
            ovs = Ovs(self.box[self.fabric_names[0]])
            for i, name in enumerate(self.fabric_names):
                ovs.bridge(name, dpid=0xf0 + i, controller=self.ctl.openflow)
                for n, interface in enumerate(self.interfaces[name]):
                    ovs.port(name, interface, ofport=n + 1)
        else:
            for i, name in enumerate(self.fabric_names):
                Vswitchd(self.box[name], dpid=0xf0 + i, uplinks=self.interfaces[name], controllers=[self.ctl.openflow])
        self.apply(self.substrate())
        self.wait_links(len(self.cables))
        self.apply(self.document(), wait=self.edge_kind != "ovs")
        self.wait_synced()
        return self

    def substrate(self):
        return {"edges": [{"name": host.name, "datapath_id": f"{i + 1:016x}"} for i, host in enumerate(self.hosts)],
                "fabric_switches": [{"name": name, "datapath_id": f"{0xf0 + i:016x}"} for i, name in enumerate(self.fabric_names)]}

    # --- What the traffic takes ---

    def counts(self):
        """Frames received by the interfaces of the mesh."""
        found = {}
        for box in set(self.box.values()):
            links = json.loads(box.run(["ip", "-j", "-s", "link"], merge=False).output)
            received = {link["ifname"]: link["stats64"]["rx"]["packets"] for link in links}
            found.update({(name, interface): received[interface] for name in self.box if self.box[name] is box for interface in self.interfaces[name]})
        return found

    def path(self):
        """The cables that carry from a to b, found by sending 300 frames: [(sending end, receiving end)], as names of switches."""
        before = self.counts()
        for n in range(300):
            self.a.send(numbered(n))
            time.sleep(0.0005)
        time.sleep(0.2)
        after = self.counts()
        return [(a, b) for x, y in self.cables for a, b in ((x, y), (y, x))
                if after[(b, self.ends(a, b)[b])] - before[(b, self.ends(a, b)[b])] >= 250]

    def link(self, a, b):
        ends = {a, b}
        return next(item for item in self.ctl.json("get", "links")["items"] if {item["status"]["a"]["switch"], item["status"]["b"]["switch"]} == ends)

    def state(self, a, b):
        return self.link(a, b)["status"]["state"]

    def set_cable(self, a, b, state):
        self.box[a].run(["ip", "link", "set", self.ends(a, b)[a], state])

    def deafen(self, a, b, deaf=True):
        """What a sends to b is lost, and neither port notices: a's kernel takes it for sent."""
        self.box[a].run(["tc", "qdisc", *(["replace"] if deaf else ["del"]), "dev", self.ends(a, b)[a], "root", *(["blackhole"] if deaf else [])])

    def wait_synced(self, seconds=20):
        """Open vSwitch as an edge refuses a VPC's answers to neighbour solicitations (they rewrite icmpv6_type); all else it takes."""
        done = ("in-sync", "failed") if self.edge_kind == "ovs" else ("in-sync",)
        self.lab.wait_for("the switches to hold their rules", lambda: all(state in done for state in self.switch_states().values()), seconds)


def numbered(n):
    return f.ethernet(MAC_B, MAC_A, f.EXPERIMENT, struct.pack("!I", n) + bytes(60))


class Stream:
    """A numbered frame each millisecond from a to b, until stop(); who arrived, and when."""

    def __init__(self, site):
        self.site, self.sent, self.seen, self.ended = site, [], set(), False
        site.b.listen()
        self.threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        for thread in self.threads:
            thread.start()
        time.sleep(0.3)

    def _send(self):
        begun = time.monotonic()
        while not self.ended and time.monotonic() < begun + MOST_SECONDS:
            self.site.a.send(numbered(len(self.sent)))
            self.sent.append(time.monotonic())
            time.sleep(max(0, begun + len(self.sent) * 0.001 - time.monotonic()))

    def _receive(self):
        quiet = 0
        while not self.ended or quiet < 3:
            frame = self.site.b.tap.receive(0.1)
            quiet = 0 if frame else quiet + 1
            if frame and frame[12:14] == b"\x88\xb5":
                self.seen.add(struct.unpack("!I", frame[14:18])[0])

    def stop(self):
        """Returns (frames lost, the longest time for which nothing arrived in ms, by when it was sent)."""
        time.sleep(0.3)
        self.ended = True
        for thread in self.threads:
            thread.join()
        lost = [n for n in range(len(self.sent)) if n not in self.seen]
        gap, last = 0, self.sent[0]
        for n in sorted(self.seen):
            gap = max(gap, self.sent[n] - last)
            last = self.sent[n]
        assert self.sent[-1] - last < 0.1, f"nothing arrives any more: the last is number {max(self.seen)} of {len(self.sent)}, now by {self.site.path()}"
        return len(lost), gap * 1000


def outage(site, what, act):
    stream = Stream(site)
    try:
        act()
    finally:
        lost, gap = stream.stop()
    say(f" {what}: {lost} lost, {gap:.0f} ms;")
    return lost


# --- A port says that it is dead ---

def port_loss(site, within):
    """Cuts every cable of the path that has another way round, each with controllerd stopped; the path comes back by policy."""
    lab, pid = site.lab, site.ctl.process.popen.pid
    path = site.path()
    assert path and path[-1][1] == "e2" and path[0][0] == "e1", path
    degree = {name: len(interfaces) for name, interfaces in site.interfaces.items()}
    cuts = [(a, b) for a, b in path if degree[a] > 1 and degree[b] > 1]
    assert cuts, path
    for a, b in cuts:
        site.wait_synced()
        os.kill(pid, signal.SIGSTOP)
        try:
            lost = outage(site, f"{a}-{b} cut", lambda a=a, b=b: site.set_cable(a, b, "down"))
            assert lost < within, f"{lost} frames lost when {a}-{b} was cut"
        finally:
            os.kill(pid, signal.SIGCONT)
        lab.wait_for("the cut to be known", lambda a=a, b=b: site.state(a, b) == "down", 5)
        site.wait_synced()
        assert (a, b) not in site.path()
        # Mended, it is not used at once; and when it is, nothing is lost but what was on its way.
        def mend(a=a, b=b):
            site.set_cable(a, b, "up")
            lab.wait_for("the mended cable to be held", lambda: site.state(a, b) == "held", 5)
            lab.wait_for("the mended cable to be used", lambda: site.state(a, b) == "up", 20)
            site.wait_synced()
        assert outage(site, f"{a}-{b} mended", mend) < within
    assert site.path() == path


def test_port_loss_ring_of_open_vswitch(lab):
    port_loss(Mesh(lab, RING, "ovs"), LIMIT)


def test_port_loss_leaf_spine_of_open_vswitch(lab):
    port_loss(Mesh(lab, LEAF_SPINE, "ovs"), LIMIT)


def test_port_loss_over_vswitchd(lab):
    port_loss(Mesh(lab, SQUARE, "vswitchd"), LIMIT)


def test_port_loss_open_vswitch_edges(lab):
    port_loss(Mesh(lab, SQUARE, "ovs", edge="ovs"), LIMIT)


def test_restore_by_hand(lab):
    """fabric.restore manual: vpcctl shows both ways, and a mended cable waits for its word."""
    site = Mesh(lab, SQUARE, "ovs", ctl_extra={"fabric": {"restore": "manual"}})
    before = site.ctl.json("path", "e1", "e2")
    ways = {tuple(before["primary"]), tuple(before["backup"])}
    assert ways == {("e1", "f1", "f2", "e2"), ("e1", "f3", "f4", "e2")} and before["reachable"], before
    a, b = before["primary"][1:3]
    site.set_cable(a, b, "down")
    lab.wait_for("the cut to be known", lambda: site.state(a, b) == "down", 5)
    assert site.ctl.json("path", "e1", "e2")["primary"] == before["backup"]
    site.set_cable(a, b, "up")
    lab.wait_for("the mended cable to be held", lambda: site.state(a, b) == "held", 5)
    time.sleep(3)
    assert site.state(a, b) == "held" and site.ctl.json("path", "e1", "e2")["primary"] == before["backup"]
    assert site.ctl.metrics()["polder_path_links_held"] == 2
    assert site.ctl.vpcctl("restore", "nowhere:1-f1:1", check=False).rc == 3
    site.ctl.vpcctl("restore", site.link(a, b)["name"])
    assert site.state(a, b) == "up" and site.ctl.json("path", "e1", "e2") == before
    site.wait_synced()
    assert outage(site, "restored", lambda: None) == 0


def test_cut_is_known_at_once(lab):
    """Of an interface that looks like hardware to it (its own number is its lower one's) the kernel tells up to a second late, or never: the switch looks by itself."""
    a, b = lab.host("a"), lab.host("b")
    lab.execute(["ip", "link", "add", "name", "fab0", "index", "77", "netns", a.namespace, "type", "veth",
                 "peer", "name", "fab0", "index", "77", "netns", b.namespace])
    for host in (a, b):
        host.run(["ip", "link", "set", "fab0", "up"])
    switch = Vswitchd(a, dpid=1, uplinks=["fab0"])
    lab.wait_for("the cable", lambda: switch.json("ports")["ports"][0]["link"] == "up", 10)
    times = []
    for n in range(3):
        b.run(["ip", "link", "set", "fab0", "down"])
        begun = time.monotonic()
        lab.wait_for("the cut", lambda n=n: switch.process.log_text().count("link down") > n, 5)
        times.append(time.monotonic() - begun)
        b.run(["ip", "link", "set", "fab0", "up"])
        lab.wait_for("the mended cable", lambda n=n: switch.process.log_text().count("link up") > n, 5)
    say(" ".join(f"{t * 1000:.0f} ms" for t in times))
    assert max(times) < 0.2, times


# --- No port says anything ---

def silent_loss(site, both):
    """A cable of the path swallows frames, in one direction or both, and its ports stay up."""
    degree = {name: len(interfaces) for name, interfaces in site.interfaces.items()}
    a, b = next((a, b) for a, b in site.path() if degree[a] > 1 and degree[b] > 1)
    for first, second in ((a, b), (b, a)):
        def act(first=first, second=second):
            site.deafen(first, second)
            if both:
                site.deafen(second, first)
            site.lab.wait_for("LLDP to be missed", lambda: site.state(a, b) == ("down" if both else "one-way"), 10)
        lost = outage(site, f"{first} unheard by {second}", act)
        # Three and a half intervals of 400 ms, and what this machine takes.  Frames from a to b do not suffer when only b is unheard.
        assert lost < 4000, f"{lost} frames lost"
        assert both or (first, second) == (a, b) or lost < LIMIT, f"{lost} frames lost\n" + site.ctl.process.log_tail(60)
        assert (a, b) not in site.path()
        site.deafen(first, second, False)
        if both:
            site.deafen(second, first, False)
        site.lab.wait_for("the cable to be used again", lambda: site.state(a, b) == "up", 30)
        site.wait_synced()


def test_silent_loss(lab):
    silent_loss(Mesh(lab, RING, "ovs"), True)


def test_one_way_loss(lab):
    silent_loss(Mesh(lab, RING, "ovs"), False)


for test in (test_port_loss_ring_of_open_vswitch, test_port_loss_leaf_spine_of_open_vswitch, test_port_loss_over_vswitchd, test_port_loss_open_vswitch_edges,
             test_silent_loss, test_one_way_loss):
    test.seconds = 180
