"""A slice changes at random while its controllers look on: each message that they get is legal, and what they were told adds up to what they see when they ask.

host1 is a vswitchd, host2 an Open vSwitch.  Each virtual switch has a raw OpenFlow 1.3 connection that keeps a book of its ports, begun by a port-desc and carried on by port-status alone.
"""
import struct
import time

from tests.system import frames as f
from tests.system import robust as of
from tests.system.test_slice_topology import MixedSite, call
from utilities.lab.cleanup import LabError

STEPS = of.scaled(40)
ADD, DELETE, MODIFY = range(3)
PORT = "!I4x6s2x16sII24x"       # Number, address, name, config, state.
CONTROLLER, PORT_DESC = 0xfffffffd, 13
SEND_FLOW_REMOVED = 1


class Book:
    """One virtual switch as its controller knows it."""

    def __init__(self, site, name, port):
        self.name, self.peer, self.packet_ins, self.statuses = name, call(site, port), 0, 0
        self.datapath_id, self.ports = self.features(), self.port_desc()
        self.removable = 0              # Entries whose flow-removed is due.
        assert not self.ask(of.flow_mod(instructions=of.apply_actions(of.output(CONTROLLER)), priority=0))
        assert not self.ask(of.flow_mod([of.oxm(5, b"\x88\xb6")], of.apply_actions(of.output(0xfffffffb)), flags=SEND_FLOW_REMOVED, cookie=7))

    def ask(self, data):
        """Sends it and a barrier; judges what comes; gives the replies to the xid 0xa5."""
        replies = []
        for kind, xid, body in self.peer.answer(data):
            if xid == 0xa5 and kind in (of.FEATURES_REPLY, of.MULTIPART_REPLY):
                replies.append(body)
            else:
                self.judge(kind, body)
        return replies

    def features(self):
        return struct.unpack("!Q", self.ask(of.message(of.FEATURES_REQUEST, xid=0xa5))[0][:8])[0]

    def port_desc(self):
        body = b"".join(reply[8:] for reply in self.ask(of.message(of.MULTIPART_REQUEST, struct.pack("!HHxxxx", PORT_DESC, 0), 0xa5)))
        ports = [struct.unpack(PORT, body[at:at + 64]) for at in range(0, len(body), 64)]
        found = {port[0]: port[1:] for port in ports}
        assert len(found) == len(ports), f"{self.name}: a port is there twice: {ports}"
        return found

    def judge(self, kind, body):
        if kind == of.PORT_STATUS:
            self.statuses += 1
            reason, (number, *rest) = body[0], struct.unpack(PORT, body[8:])
            known = self.ports.get(number)
            assert (known is None) == (reason == ADD), f"{self.name}: port-status {reason} of port {number}, which is {known}"
            if reason == MODIFY:
                assert known[:2] == tuple(rest[:2]) and known != tuple(rest), f"{self.name}: port {number} was {known} and is {rest}"
            if reason == DELETE:
                del self.ports[number]
            else:
                self.ports[number] = tuple(rest)
        elif kind == of.PACKET_IN:
            self.packet_ins += 1
            match = body[16:]
            assert match[4:8] == b"\x80\x00\x00\x04", body
            number = struct.unpack("!I", match[8:12])[0]
            assert number in self.ports, f"{self.name}: a packet-in from port {number}, which is not there"
        elif kind == of.FLOW_REMOVED and self.removable and body[:8] == struct.pack("!Q", 7):
            self.removable -= 1
        else:
            raise LabError(f"{self.name}: message {kind} {body} for nothing")

    def settle(self):
        """Until what was told adds up to what is there.  It is the same switch."""
        deadline = time.monotonic() + 10
        while (seen := self.port_desc()) != self.ports:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name}: it has {seen}, and tells of {self.ports}")
        assert self.features() == self.datapath_id

    def close(self):
        """Its entries were never the walk's to remove."""
        self.removable += 1
        assert not self.ask(of.flow_mod(command=3))
        deadline = time.monotonic() + 5
        while self.removable:                   # Once every edge has told its counters.
            assert time.monotonic() < deadline and not self.ask(b""), f"{self.name}: no flow-removed"
        self.peer.socket.close()


class Walk:
    """What may be done next, and the names that are there."""

    def __init__(self, site, rng):
        self.site, self.rng, self.books, self.statuses = site, rng, {}, 0
        self.edges = {"s1": ["host1"], "s2": ["host2"], "big": ["host1", "host2"]}
        self.loose, self.links, self.down, self.n, self.cable = {}, {}, {}, 0, "up"

    def apply(self, switches=(), links=()):
        self.site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": list(switches), "links": list(links)}]}, wait=self.cable == "up")

    def name(self):
        self.n += 1
        return f"n{self.n}"

    def look_in(self, switch, port):
        self.books[switch] = Book(self.site, switch, port)

    def step_port_added(self):
        switch, name = self.rng.choice(sorted(self.edges)), self.name()
        edge = self.rng.choice([*self.edges[switch], None])
        self.apply([{"name": switch, "ports": [{"name": name, "edge": edge}]}])
        self.loose[name] = switch

    def step_port_removed(self):
        if self.loose:
            name = self.rng.choice(sorted(self.loose))
            self.site.ctl.vpcctl("delete", "switch-port", f"red/lab/{self.loose.pop(name)}/{name}")
            self.down.pop(name, None)

    def step_port_moved(self):
        if self.loose:
            name = self.rng.choice(sorted(self.loose))
            self.apply([{"name": self.loose[name], "ports": [{"name": name, "edge": self.rng.choice([*self.edges[self.loose[name]], None])}]}])

    def step_device_unplugged(self):
        """A port with a machine: taken from its device and given back, or down and up."""
        e = self.rng.choice(self.site.endpoints)
        switch = {"a": "s1", "b": "s2"}.get(e.name, "big")
        self.down[e.name] = not self.down.get(e.name)
        if self.rng.randrange(2):
            self.apply([{"name": switch, "ports": [{"name": e.name, "admin_down": self.down[e.name]}]}])
        else:
            e.box.run(["ip", "link", "set", "eth0", "down"])
            e.box.run(["ip", "link", "set", "eth0", "up"])
            self.down[e.name] = not self.down[e.name]
            try:
                e.send(b"\0" * 60)
            except OSError:
                pass                    # The socket tells once that its device was down.

    def step_link_added(self):
        if len(self.links) < 6:
            one, other = self.rng.sample(sorted(self.edges), 2) if self.rng.randrange(4) else [self.rng.choice(sorted(self.edges))] * 2
            name = self.name()
            self.apply(links=[{"name": name, "ends": [f"{one}/{name}x", f"{other}/{name}y"]}])
            self.links[name] = (one, other)

    def step_link_removed(self):
        if self.links:
            name = self.rng.choice(sorted(self.links))
            del self.links[name]
            self.site.ctl.vpcctl("delete", "virtual-link", f"red/lab/{name}")

    def step_link_changed(self):
        """Down or up by the operator, over a given switch or any way, or its end on another edge."""
        if self.links:
            name = self.rng.choice(sorted(self.links))
            what = self.rng.choice([{"admin_down": True}, {"admin_down": False}, {"via": ["middle"]}, {"via": []}])
            if self.links[name][0] == "big" and self.rng.randrange(2):
                self.apply([{"name": "big", "ports": [{"name": f"{name}x", "edge": self.rng.choice(self.edges["big"])}]}])
            elif "via" in what and len(set(self.links[name])) == 1:
                self.apply(links=[{"name": name, "admin_down": False}])
            else:
                result = self.site.apply({"slices": [{"name": "lab", "tenant": "red", "links": [{"name": name, **what}]}]}, wait=False, check=False)
                assert not result.rc or "via" in what, result      # There may be no such way.

    def step_switch_added(self):
        if len(self.edges) < 6:
            name, port = self.name(), 7100 + self.n
            self.edges[name] = [self.rng.choice(["host1", "host2"])]
            self.apply([{"name": name, "edges": self.edges[name], "listen": [f"ptcp:{port}:127.0.0.1"]}])
            self.look_in(name, port)

    def step_switch_removed(self):
        more = sorted(set(self.edges) - {"s1", "s2", "big"})
        if more:
            name = self.rng.choice(more)
            self.site.ctl.vpcctl("delete", "switch", f"red/lab/{name}")
            book = self.books.pop(name)
            assert book.peer.is_closed()
            self.statuses += book.statuses
            del self.edges[name]
            self.loose = {port: switch for port, switch in self.loose.items() if switch != name}
            self.links = {link: ends for link, ends in self.links.items() if name not in ends}

    def step_edges_changed(self):
        """A switch more or less wide."""
        more = sorted(set(self.edges) - {"s1", "s2", "big"})
        if more:
            name = self.rng.choice(more)
            self.edges[name] = sorted({*self.edges[name], "host1", "host2"})
            self.apply([{"name": name, "edges": self.edges[name]}])

    def step_cable(self):
        self.cable = "down" if self.cable == "up" else "up"
        self.site.cut(self.cable)
        if self.cable == "up":
            self.site.wait_links()

    def steps(self):
        return [getattr(self, name) for name in sorted(dir(self)) if name.startswith("step_")]


def test_messages(lab):
    site, rng = MixedSite(lab), of.seeded()
    for n, name in enumerate("abcd"):
        site.endpoint("red", name, n % 2, f"52:54:00:00:00:0{n + 1}", f"10.0.0.{n + 1}")
    site.slice("red", [site.switch(name, hosts, ports, listen=[f"ptcp:{7001 + n}:127.0.0.1"]) for n, (name, hosts, ports) in enumerate(
        [("s1", [0], {"a": 1}), ("s2", [1], {"b": 1}), ("big", [0, 1], {"c": 1, "d": 2})])])
    site.start()
    walk, done = Walk(site, rng), []
    for n, name in enumerate(("s1", "s2", "big")):
        walk.look_in(name, 7001 + n)
    for _ in range(STEPS):
        step = rng.choice(walk.steps())
        done.append(step.__name__)
        try:
            step()
            for e in site.endpoints:
                e.send(f.ethernet(f.BROADCAST, e.mac, f.EXPERIMENT, b"walk"), f.ethernet(f.BROADCAST, e.mac, 0x88b6, b"walk"))
            for book in walk.books.values():
                book.settle()
        except Exception as error:
            raise LabError(f"after {done}: {error}") from error
    for book in walk.books.values():
        book.settle()
    assert all(walk.books[name].packet_ins for name in ("s1", "s2", "big"))
    assert walk.statuses + sum(book.statuses for book in walk.books.values()) >= 3
    for book in walk.books.values():
        book.close()


test_messages.seconds = 240
