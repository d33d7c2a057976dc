"""The topology that a tenant's controller sees is the slice's, exactly, over edges of vswitchd and of Open vSwitch, and what changes is told by legal messages only.

The controller is os-ken with its own topology discovery: it finds links by LLDP that it sends itself.
"""
import json
import os
import signal
import socket
import ssl
import struct

from tests.system import frames as f
from tests.system import robust as of
from tests.system.slices import SliceSite
from tests.system.test_failover import SQUARE, Mesh, Stream
from tests.system.tls import Authority
from utilities.lab.cleanup import LabError
from utilities.lab.ovs import Ovs

HERE = os.path.dirname(os.path.abspath(__file__))
DOWN = {"1.0": 1, "1.3": 1}             # OFPPS_LINK_DOWN in both.
TLS_PORT, SWITCH_PORT = 6699, 6698


class OvsEdge:
    """Open vSwitch in an edge's place."""

    def __init__(self, site, host, dpid, devices):
        self.host, self.name, self.ovs = host, host.name, Ovs(host)
        self.ovs.bridge("br0", dpid=dpid, controller=site.ctl.openflow)
        for n, device in enumerate(devices, 1):
            self.ovs.port("br0", device, ofport=n)

    def drops(self):
        return {}

    def ofctl(self, command, *args):
        return self.ovs.ofctl(command, "br0", *args)


class MixedSite(SliceSite):
    """host1 is a vswitchd, host2 an Open vSwitch, with a fabric switch between them."""

    def __init__(self, lab, **kwargs):
        super().__init__(lab, fabric="ovs", **kwargs)

    def start_edge(self, i):
        return OvsEdge(self, self.hosts[i], i + 1, self.devices(self.hosts[i])) if i else super().start_edge(i)

    def cut(self, state):
        self.middle.run(["ip", "link", "set", "to2", state])


class Watched:
    """What os-ken has found and been told since it began."""

    def __init__(self, site, version="1.3"):
        self.site, self.path, self.version = site, site.lab.dir + "/watcher", version
        self.taken = 0
        site.osken("red", "watcher", "--observe-links", WATCHER_LOG=self.path, WATCHER_VERSION=version)

    def lines(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="ascii") as file:
            return [tuple(json.loads(line)) for line in file if line.endswith("\n")]

    def links(self):
        """Those that it believes in: {(dpid, port, dpid, port)}, each in both directions."""
        found = set()
        for what, *ends in self.lines():
            if what == "link":
                found.add(tuple(ends))
            elif what == "unlink":
                found.discard(tuple(ends))
        return found

    def wait_links(self, *links, seconds=40):
        wanted = {link for a, b in links for link in ((*a, *b), (*b, *a))}
        try:
            self.site.lab.wait_for("the links that the tenant has", lambda: self.links() == wanted, seconds)
        except LabError as error:
            raise LabError(f"{error}: found {sorted(self.links())}, wanted {sorted(wanted)}") from None

    def told(self, n, seconds=15):
        """The next n messages on ports: [(dpid, reason, number, down)].  More than these, or an error message, is a failure at the next call."""
        def port_lines():
            return [line for line in self.lines() if line[0] in ("port", "error")]
        self.site.lab.wait_for(f"{n} port-status", lambda: len(port_lines()) >= self.taken + n, seconds)
        new = port_lines()[self.taken:]
        self.taken += len(new)
        assert all(line[0] == "port" for line in new), new
        return sorted((dpid, reason, number, bool(state & DOWN[self.version])) for _, dpid, reason, number, _, state in new)

    def quiet(self):
        assert self.told(0) == []


def line(site, version="1.3"):
    """Switches 1 and 3 on host1, 2 on host2; a link over the fabric, one inside host1, and a big switch over both with a link to each."""
    site.endpoint("red", "a", 0, "52:54:00:00:00:01", "10.0.0.1")
    site.endpoint("red", "b", 1, "52:54:00:00:00:02", "10.0.0.2")
    site.slice("red", [site.switch("s1", [0], {"a": 11}, datapath_id="00000000000000a1"), site.switch("s2", [1], {"b": 12}, datapath_id="00000000000000a2"),
                       site.switch("s3", [0], {}, datapath_id="00000000000000a3"), site.switch("big", [0, 1], {}, datapath_id="00000000000000a4")],
               [("l12", {"switch": "s1", "port": "right", "number": 2}, {"switch": "s2", "port": "left", "number": 1}),
                ("l13", {"switch": "s1", "port": "down", "number": 3}, {"switch": "s3", "port": "up", "number": 1}),
                ("l4", {"switch": "big", "port": "x", "number": 1, "edge": "host2"}, {"switch": "s3", "port": "x", "number": 2})])
    site.start()
    watched = Watched(site, version)
    site.wait_controllers("red")
    return watched


L12, L13, L4 = ((0xa1, 2), (0xa2, 1)), ((0xa1, 3), (0xa3, 1)), ((0xa4, 1), (0xa3, 2))


def slice_document(*, switches=(), links=()):
    return {"slices": [{"name": "lab", "tenant": "red", "switches": list(switches), "links": list(links)}]}


def discovery(lab, version):
    """LLDP finds the slice's links and no other; cut, the links' ends go down and come back; added and removed, each port is told of once."""
    site = MixedSite(lab)
    seen = line(site, version)
    seen.wait_links(L12, L13, L4)
    seen.quiet()
    # No path is left: both ends of the two links that cross the fabric go down, and b's own port does not.
    site.cut("down")
    crossing = [(dpid, number) for link in (L12, L4) for dpid, number in link]
    assert seen.told(4) == sorted((*end, True) for end in ((dpid, "modify", number) for dpid, number in crossing))
    assert {link["name"]: link["status"]["state"] for link in site.ctl.json("get", "virtual-links")["items"]} == {
        "red/lab/l12": "down", "red/lab/l13": "up", "red/lab/l4": "down"}
    seen.wait_links(L13)
    site.cut("up")
    assert seen.told(4, 30) == sorted((dpid, "modify", number, False) for dpid, number in crossing)
    seen.wait_links(L12, L13, L4)
    seen.quiet()
    # A new link: two ports appear, and it is found; then it goes, and so do they.
    site.apply(slice_document(links=[{"name": "l23", "ends": [{"switch": "s2", "port": "y", "number": 7}, {"switch": "s3", "port": "y", "number": 8}]}]))
    told = seen.told(2)
    assert [line[:3] for line in told] == [(0xa2, "add", 7), (0xa3, "add", 8)] and not any(line[3] for line in told), told
    seen.wait_links(L12, L13, L4, ((0xa2, 7), (0xa3, 8)))
    site.ctl.vpcctl("delete", "virtual-link", "red/lab/l23", "--wait=installed")
    assert [line[:3] for line in seen.told(2)] == [(0xa2, "delete", 7), (0xa3, "delete", 8)]
    seen.wait_links(L12, L13, L4)
    # A link taken down by the operator, and up again: both ends say so.
    for down in (True, False):
        site.apply(slice_document(links=[{"name": "l13", "admin_down": down}]))
        told = seen.told(2)
        assert [line[:3] for line in told] == [(0xa1, "modify", 3), (0xa3, "modify", 1)] and all(line[3] == down for line in told), told
    # An end that moves to another edge is the same port to the tenant.
    site.apply(slice_document(switches=[{"name": "big", "ports": [{"name": "x", "edge": "host1"}]}]))
    seen.wait_links(L12, L13, L4)
    seen.quiet()
    # A switch more, and one less.
    site.apply(slice_document(switches=[{"name": "s5", "edges": ["host2"], "datapath_id": "00000000000000a5"}],
                              links=[{"name": "l25", "ends": [{"switch": "s2", "port": "z", "number": 9}, {"switch": "s5", "port": "z", "number": 1}]}]))
    lab.wait_for("the new switch", lambda: ("enter", 0xa5, [1]) in seen.lines(), 15)
    assert [line[:3] for line in seen.told(1)] == [(0xa2, "add", 9)]
    seen.wait_links(L12, L13, L4, ((0xa2, 9), (0xa5, 1)))
    site.ctl.vpcctl("delete", "virtual-link", "red/lab/l25", "--wait=installed")
    site.ctl.vpcctl("delete", "switch", "red/lab/s5", "--wait=installed")
    lab.wait_for("the switch to leave", lambda: ("leave", 0xa5) in seen.lines(), 15)
    assert (0xa2, "delete", 9) in [line[:3] for line in seen.told(1)]
    seen.wait_links(L12, L13, L4)
    assert [line for line in seen.lines() if line[0] == "leave"] == [("leave", 0xa5)]        # No connection was lost meanwhile.


def test_discovery(lab):
    discovery(lab, "1.3")


def test_discovery_10(lab):
    discovery(lab, "1.0")


test_discovery.seconds = test_discovery_10.seconds = 240


# --- Several controllers, TLS ---

PORT_STATUS, PACKET_IN, ROLE_REQUEST, ROLE_REPLY = 12, 10, 24, 25
EQUAL, PRIMARY, SECONDARY = 1, 2, 3
IS_SECONDARY, STALE = (1, 10), (11, 0)          # Error types and codes.


def call(site, port):
    with f.inside(site.ctl.host.namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect(("127.0.0.1", port))
    return of.Peer(sock=sock)


def role(wanted, generation):
    return of.message(ROLE_REQUEST, struct.pack("!IxxxxQ", wanted, generation))


def told_of(peer, kind):
    return sum(what == kind for what, _, _ in peer.answer(b""))


def test_roles(lab):
    """Three controllers of one switch: one leads, one follows, one is equal; another takes over; whoever was late is told so."""
    site = SliceSite(lab, fabric="ovs")
    a = site.endpoint("red", "a", 0, "52:54:00:00:00:01", "10.0.0.1")
    site.endpoint("red", "b", 1, "52:54:00:00:00:02", "10.0.0.2")
    site.slice("red", [site.switch("s1", [0, 1], {"a": 1, "b": 2}, listen=["ptcp:7001:127.0.0.1"])])
    site.start()
    flow = of.flow_mod(instructions=of.apply_actions(of.output(0xfffffffd)))
    with call(site, 7001) as first, call(site, 7001) as second, call(site, 7001) as third:
        assert [kind for kind, _, _ in first.answer(role(PRIMARY, 5))] == [ROLE_REPLY]
        assert [kind for kind, _, _ in second.answer(role(SECONDARY, 5))] == [ROLE_REPLY]
        assert second.error(flow) == IS_SECONDARY and not first.answer(flow) and not third.answer(flow)
        roles = sorted(role for outgoing, role, state in connections(site) if not outgoing and state == "up")
        assert len(set(roles)) == 3, roles
        a.send(f.ethernet(f.BROADCAST, a.mac, f.EXPERIMENT, b"to whom?"))
        lab.wait_for("a packet-in", lambda: told_of(first, PACKET_IN), 10)
        lab.wait_for("a packet-in", lambda: told_of(third, PACKET_IN), 10)
        assert not told_of(second, PACKET_IN)
        site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s1", "ports": [{"name": "b", "admin_down": True}]}]}]})
        for peer in (first, second, third):
            lab.wait_for("port-status", lambda peer=peer: told_of(peer, PORT_STATUS), 10)
        assert [kind for kind, _, _ in second.answer(role(PRIMARY, 6))] == [ROLE_REPLY]
        assert first.error(flow) == IS_SECONDARY and not second.answer(flow)
        assert first.error(role(PRIMARY, 5)) == STALE
        assert sorted(role for outgoing, role, state in connections(site) if not outgoing and state == "up") == roles


def ports_told(peer, book):
    """Takes what port-status say into {number: state}."""
    for kind, _, body in peer.answer(b""):
        if kind == PORT_STATUS:
            book[struct.unpack("!I", body[8:12])[0]] = struct.unpack("!I", body[8 + 36:8 + 40])[0]
    return book


def test_edge_lost(lab):
    """An edge that stays away takes the links down that end there, at both ends, and no device's port; back, they are up."""
    site = SliceSite(lab, fabric="ovs")
    site.endpoint("red", "a", 0, "52:54:00:00:00:01", "10.0.0.1")
    site.endpoint("red", "b", 1, "52:54:00:00:00:02", "10.0.0.2")
    site.slice("red", [site.switch("s1", [0], {"a": 1}, listen=["ptcp:7001:127.0.0.1"]), site.switch("s2", [1], {"b": 1}, listen=["ptcp:7002:127.0.0.1"])],
               [("l", {"switch": "s1", "port": "x", "number": 2}, {"switch": "s2", "port": "y", "number": 3})])
    site.start()
    with call(site, 7001) as first, call(site, 7002) as second:
        near, far = {}, {}
        edge = site.edges[0]
        edge.stop(signal.SIGKILL)
        lab.wait_for("both ends to be down", lambda: (ports_told(first, near), ports_told(second, far)) == ({2: 1}, {3: 1}), 60)
        edge.start()
        lab.wait_for("both ends to be up", lambda: (ports_told(first, near), ports_told(second, far)) == ({2: 4}, {3: 4}), 30)


def connections(site, name="red/lab/s1"):
    return [(c["outgoing"], c["role"], c["state"]) for c in site.switch_status(name)["controllers"]]


def tls_site(lab, authority, switches):
    """Switches and tenants have authorities of their own.  A switch may come by TLS, too."""
    ctl = {"openflow": {"listen": [f"punix:{lab.dir}/control/ctl/openflow.sock", f"ptls:{SWITCH_PORT}:127.0.0.1"], "tls": switches.issue("controllerd")}, "slices": {"tls": authority.issue("slices")}}
    site = SliceSite(lab, ctl_extra=ctl)
    site.endpoint("red", "a", 0, "52:54:00:00:00:01", "10.0.0.1")
    site.endpoint("red", "b", 1, "52:54:00:00:00:02", "10.0.0.2")
    site.slice("red", [site.switch("s1", [0, 1], {"a": 1, "b": 2}, listen=[f"ptls:{TLS_PORT}:127.0.0.1"])])
    return site


def refused(site):
    """How many connections of red's were refused because of their certificate."""
    return next(int(line.split()[1]) for line in site.ctl.request("GET", "/metrics")[2].splitlines()
                if line.startswith('polder_tenant_certificates_refused_total{tenant="red"}'))


def shakes(site, keys, authority):
    """Whether the port for switches says hello to who has these keys."""
    with f.inside(site.ctl.host.namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.ca)
    context.load_cert_chain(keys["certificate"], keys["private_key"])
    with sock:
        sock.connect(("127.0.0.1", SWITCH_PORT))
        try:
            of.Peer(sock=context.wrap_socket(sock)).socket.close()
            return True
        except (of.Closed, OSError):
            return False


def test_tls(lab):
    """A tenant's controller over TLS, called and calling; a stranger's certificate, another tenant's, and plain TCP get nowhere."""
    authority, stranger = Authority(lab, "site"), Authority(lab, "stranger")
    mine, foreign, other = authority.issue("red"), stranger.issue("red"), authority.issue("blue")
    switches = Authority(lab, "switches")
    site = tls_site(lab, authority, switches)
    site.start()
    port = site.port_of("red") + 100
    site.apply({"slices": [{"name": "lab", "tenant": "red", "controllers": [f"tls:127.0.0.1:{port}"]}]})

    def listener(keys, number):
        return site.ctl.host.spawn(f"testcontroller-{number}", [
            "ovs-testcontroller", f"pssl:{port}:127.0.0.1", f"--unixctl={lab.dir}/testcontroller-{number}", "-vstream_ssl:info", f"--private-key={keys['private_key']}", f"--certificate={keys['certificate']}",
            f"--ca-cert={keys['ca_certificate']}"])

    def ofctl(target, keys, *args):
        return site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", f"--private-key={keys['private_key']}", f"--certificate={keys['certificate']}",
                                  f"--ca-cert={authority.ca}", "--timeout=5", args[0], target, *args[1:]], check=False)
    target = f"ssl:127.0.0.1:{TLS_PORT}"
    assert "1(a)" in ofctl(target, mine, "show").output
    assert ofctl(target, foreign, "show").rc and ofctl(f"tcp:127.0.0.1:{TLS_PORT}", mine, "show").rc
    # No tenant passes for a switch, nor a switch for a tenant.
    switch = switches.issue("host3")
    assert ofctl(target, switch, "show").rc and not shakes(site, mine, switches) and shakes(site, switch, switches)
    # Of those that the authority has signed, the tenant and the slice may come in, and nobody else; who tried is told of.
    assert "1(a)" in ofctl(target, authority.issue("lab.red"), "show").output
    before = refused(site)
    assert ofctl(target, other, "show").rc and ofctl(target, authority.issue("lab.blue"), "show").rc and ofctl(target, authority.issue("red.lab"), "show").rc
    lab.wait_for("three refusals", lambda: refused(site) - before == 3, 10)
    assert "red/lab/s1: controller tls:127.0.0.1:" in site.ctl.process.log_text() and "its name is not red or lab.red" in site.ctl.process.log_text()
    for n, keys in enumerate((foreign, other)):
        wrong = listener(keys, n)
        lab.wait_for("the stranger to be called, and left", lambda process=wrong: "SSL" in process.log_text(), 20)
        assert wrong.alive() and not any(state == "up" for _, _, state in connections(site))
        wrong.stop()
        lab.forget(wrong)
    assert f"red/lab/s1: controller tls:127.0.0.1:{port}: TLS: the peer's certificate is refused: its name is not red or lab.red" in site.ctl.process.log_text()
    listener(mine, 2)
    lab.wait_for("the connection out", lambda: (True, "equal", "up") in connections(site), 30)
    a, b = site.endpoints
    for e in (a, b):
        e.configure()
        e.box.run(["ethtool", "-K", "eth0", "tx", "off"], check=False)
    lab.wait_for("a ping", lambda: a.ping(b.ipv4, 1), 20)


# --- Another way ---

class SliceMesh(Mesh):
    """A slice over a square of fabric switches: a switch on each edge, and a link that must pass a given one."""

    def slice(self, *via):
        return {"slices": [{"name": "lab", "tenant": "red", "switches": [
            {"name": name, "edges": [e.host.name], "listen": [f"ptcp:{port}:127.0.0.1"], "ports": [{"name": e.name, "number": 1, "mac": e.mac, "ofport_of": e.device}]}
            for name, e, port in (("s1", self.a, 7001), ("s2", self.b, 7002))],
            "links": [{"name": "l", "ends": [{"switch": s, "port": "l", "number": 2} for s in ("s1", "s2")], "via": list(via)}]}]}

    def document(self):
        self.ctl.host.run(["ip", "link", "set", "lo", "up"])
        return {**self.substrate(), "tenants": [{"name": "red"}], **self.slice("f1", "f2")}


def test_reroute(lab):
    """A link's way is changed while traffic flows: the frames take it, none is lost, and the tenant hears nothing; cut, they go another way, and back."""
    site = SliceMesh(lab, SQUARE, "ovs")
    for port in (7001, 7002):
        site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", f"tcp:127.0.0.1:{port}", "in_port=1,actions=output:2"])
        site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", f"tcp:127.0.0.1:{port}", "in_port=2,actions=output:1"])
    upper, lower = [("e1", "f1"), ("f1", "f2"), ("f2", "e2")], [("e1", "f3"), ("f3", "f4"), ("f4", "e2")]
    with call(site, 7001) as peer:
        lab.wait_for("the upper way", lambda: site.path() == upper, 10)
        stream = Stream(site)
        site.apply(site.slice("f3", "f4"))
        lost, _ = stream.stop()
        assert lost <= 5, f"{lost} frames were lost"         # A millisecond each: what was under way may be overtaken, and a tap may drop.
        assert site.path() == lower, site.path()
        shown = next(link["status"] for link in site.ctl.json("get", "virtual-links")["items"])
        assert shown["state"] == "up" and "f3" in str(shown["path"]), shown
        site.set_cable("f3", "f4", "down")
        lab.wait_for("the way round", lambda: site.path() == upper, 10)
        site.set_cable("f3", "f4", "up")
        lab.wait_for("the way back", lambda: site.path() == lower, 20)
        assert not told_of(peer, PORT_STATUS)
