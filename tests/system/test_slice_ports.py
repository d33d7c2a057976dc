"""A port's configuration (port-mod) is a tenant's own: what it does to the tenant's traffic, what is told of it, and that neither the switch's port nor another tenant's hears of it.

host1 is a vswitchd, host2 an Open vSwitch.  Each of two tenants has a big switch over both, and a second one behind a link; two controllers of OpenFlow 1.3, and one of 1.0.
"""
import re
import socket
import struct
import time

from tests.system import frames as f
from tests.system import robust as of
from tests.system.site import all_heard
from tests.system.test_slice_sessions import OldPeer
from tests.system.test_slice_topology import IS_SECONDARY, MixedSite, SECONDARY, call, role
from tests.system.test_slice_walk import CONTROLLER, PORT, PORT_DESC
from utilities.lab.cleanup import LabError

PORT_MOD, PORT_MOD_10, GROUP_MOD = 16, 15, 15
DOWN, NO_RECV, NO_FWD, NO_PACKET_IN, NO_FLOOD = 1, 4, 32, 64, 16
LINK_DOWN, LIVE = 1, 4
FLOOD, ALL = 0xfffffffb, 0xfffffffc
ETH_DST, ETH_TYPE = 3, 5
SENT, ASKED, MISSED = 0x88b6, 0x88b7, 0x88b8
NAMES = "abcd"
STEPS = of.scaled(16)


def port_desc(peer):
    """{number: (address, name, config, state)}, and what else came."""
    bodies, others = [], []
    for kind, xid, body in peer.answer(of.message(of.MULTIPART_REQUEST, struct.pack("!HHxxxx", PORT_DESC, 0), 0xa5)):
        if (kind, xid) == (of.MULTIPART_REPLY, 0xa5):
            bodies.append(body[8:])
        else:
            others.append((kind, xid, body))
    ports = [struct.unpack_from(PORT, body, at) for body in bodies for at in range(0, len(body), 64)]
    return {port[0]: port[1:] for port in ports}, others


class Controller:
    """One controller's connection to a virtual switch: what it is told."""

    def __init__(self, site, port):
        self.peer, self.packet_ins, self.statuses = call(site, port), [], []

    def ask(self, data=b""):
        for message in self.peer.answer(data):
            self.take(*message)

    def take(self, kind, _, body):
        if kind == of.PACKET_IN:
            length, = struct.unpack_from("!H", body, 18)
            self.packet_ins.append((struct.unpack_from("!I", body, 24)[0], body[16 + (length + 7) // 8 * 8 + 2:]))
        elif kind == of.PORT_STATUS:
            number, _, _, config, state = struct.unpack_from(PORT, body, 8)
            self.statuses.append((body[0], number, config, state))
        else:
            raise LabError(f"message {kind} {body} for nothing")

    def ports(self):
        found, others = port_desc(self.peer)
        for message in others:
            self.take(*message)
        return found

    def told(self, *wanted, seconds=5):
        """Exactly these port-status, in order: (reason, number, config, state)."""
        deadline = time.monotonic() + seconds
        while len(self.statuses) < len(wanted) and time.monotonic() < deadline:
            self.ask()
        got, self.statuses = self.statuses, []
        assert got == list(wanted), (got, wanted)


class Tenant:
    def __init__(self, site, name, first):
        self.site, self.name, self.ends = site, name, site.of(name)
        self.config = {n: 0 for n in range(1, len(NAMES) + 1)}
        self.controllers = [Controller(site, first), Controller(site, first)]
        with f.inside(site.ctl.host.namespace):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.connect(("127.0.0.1", first))
        self.old = OldPeer(sock)
        self.old.send(of.header(18, 8, 1, 1))           # A barrier: its hello is read.
        assert self.old.receive()[0] == 19
        self.behind = Controller(site, first + 1)
        self.macs = {number: port[0] for number, port in self.controllers[0].ports().items()}
        out = of.apply_actions
        self.controllers[0].ask(b"".join([
            *[of.flow_mod([of.oxm(ETH_DST, f.mac(e.mac))], out(of.output(n)), priority=10) for n, e in enumerate(self.ends, 1)],
            of.flow_mod([of.oxm(ETH_DST, f.mac(f.BROADCAST))], out(of.output(FLOOD)), priority=10),
            of.flow_mod([of.oxm(ETH_DST, f.mac("03:00:00:00:00:01"))], out(of.output(ALL)), priority=10),
            of.flow_mod([of.oxm(ETH_TYPE, struct.pack("!H", ASKED))], out(of.output(CONTROLLER)), priority=20),
            of.flow_mod([], out(of.output(CONTROLLER)), priority=0)]))

    # --- What it does ---

    def port_mod(self, number, config, mask):
        return of.message(PORT_MOD, struct.pack("!I4x6s2xIII4x", number, self.macs[number], config, mask, 0))

    def set(self, who, number, config):
        """By one of its controllers; both are told, once, if that is a change to be seen."""
        before, old = self.config[number], who == 2
        mask = NO_FLOOD if old else DOWN | NO_RECV | NO_FWD | NO_PACKET_IN
        self.config[number] = after = (before & ~mask) | (config & mask)
        if old:
            self.old.send(of.header(PORT_MOD_10, 32, 5, 1) + struct.pack("!H6sIII4x", number, self.macs[number], config & mask, mask, 0) + of.header(18, 8, 6, 1))
            done = [after == before, False]             # It is told; the barrier is answered.
            while not all(done):
                kind, xid, body = self.old.receive()
                assert kind in (of.PACKET_IN, of.PORT_STATUS) or xid == 6, (kind, xid, body)
                done[1] |= xid == 6
                done[0] |= kind == of.PORT_STATUS and struct.unpack_from("!H22xI", body, 8) == (number, after)
        else:
            self.controllers[who].ask(self.port_mod(number, config & mask, mask))
        seen = after & ~NO_FLOOD
        for controller in self.controllers:
            controller.told(*[(2, number, seen, 0 if after & DOWN else LIVE)] * (before & ~NO_FLOOD != seen))
            assert {n: port[2:] for n, port in controller.ports().items() if n in self.config} == {n: (c & ~NO_FLOOD, 0 if c & DOWN else LIVE) for n, c in self.config.items()}

    # --- What comes of it ---

    def sends(self):
        """(endpoint, frame, the numbers of the ports that hear it, whether it comes to the controllers)."""
        forwards = {n for n, c in self.config.items() if not c & (DOWN | NO_FWD)}
        floods = {n for n in forwards if not self.config[n] & NO_FLOOD}
        found = []
        for n, e in enumerate(self.ends, 1):
            config = self.config[n]
            receives = not config & (DOWN | NO_RECV)
            for m, other in enumerate(self.ends, 1):
                if m != n:
                    found.append((e, other.mac, SENT, {m} & forwards, False))
            found += [(e, f.BROADCAST, SENT, floods - {n}, False), (e, "03:00:00:00:00:01", SENT, forwards - {n}, False),
                      (e, "00:16:3e:00:00:01", ASKED, set(), True), (e, "00:16:3e:00:00:01", MISSED, set(), not config & NO_PACKET_IN)]
            found[-len(NAMES) - 3:] = [(e, dst, kind, heard if receives else set(), told and receives) for e, dst, kind, heard, told in found[-len(NAMES) - 3:]]
        return [(e, f.ethernet(dst, e.mac, kind, f"{self.name} {i}".encode()), heard, told) for i, (e, dst, kind, heard, told) in enumerate(found)]

    def counters(self):
        """{number: (received, sent)}"""
        text = self.site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "dump-ports", f"tcp:127.0.0.1:{self.controllers[0].peer.socket.getpeername()[1]}"]).output
        return {int(m[1]): (int(m[2]), int(m[3])) for m in re.finditer(r"port +(\d+): rx pkts=(\d+).*?tx pkts=(\d+)", text, re.S)}


def judge(tenants):
    """All of them send all they can, at once; each hears, is told and counts what its configuration says."""
    before, wanted, sends, out = {}, {}, [], {}
    for tenant in tenants:
        before[tenant] = tenant.counters()
        for controller in tenant.controllers:
            controller.packet_ins.clear()
        for e in tenant.ends:
            e.listen()
        sends.append(tenant.sends())
        flooded, every = (f.ethernet(f.BROADCAST, "00:16:3e:00:00:02", SENT, f"{tenant.name} {what}".encode()) for what in ("flooded", "to all"))
        for frame, to, config in ((flooded, FLOOD, DOWN | NO_FWD | NO_FLOOD), (every, ALL, DOWN | NO_FWD)):
            out[tenant] = out.get(tenant, b"") + of.message(of.PACKET_OUT, struct.pack("!IIH6x", of.NO_BUFFER, CONTROLLER, 16) + of.output(to) + frame)
            for n, e in enumerate(tenant.ends, 1):
                wanted.setdefault(e, []).extend([frame] * (not tenant.config[n] & config))
    for at_once in zip(*sends):
        for e, frame, hear, _ in at_once:
            e.send(frame)
            for n in hear:
                wanted[tenants[[s[0].tenant == e.tenant for s in at_once].index(True)].ends[n - 1]].append(frame)
    for tenant in tenants:
        tenant.controllers[1].ask(out[tenant])
    heard = all_heard([e for tenant in tenants for e in tenant.ends], {e: len(frames) for e, frames in wanted.items()})
    for tenant, sent in zip(tenants, sends):
        for n, e in enumerate(tenant.ends, 1):
            assert sorted(heard[e]) == sorted(wanted[e]), (e, tenant.config, [x for x in heard[e] if x not in wanted[e]], [x for x in wanted[e] if x not in heard[e]])
        told = sorted((tenant.ends.index(e) + 1, frame) for e, frame, _, tell in sent if tell)
        for controller in tenant.controllers:
            deadline = time.monotonic() + 5
            while len(controller.packet_ins) < len(told) and time.monotonic() < deadline:
                controller.ask()
            assert sorted(controller.packet_ins) == told, (tenant.name, tenant.config, controller.packet_ins, told)
        after = tenant.counters()
        for n, e in enumerate(tenant.ends, 1):
            moved = tuple(b - a for a, b in zip(before[tenant][n], after[n]))
            assert moved == (sum(e is source for source, *_ in sent), len(wanted[e])), (e, tenant.config, moved, len(wanted[e]))


def physical(site):
    """Configuration and state of every port of the edges."""
    return [re.findall(r"^ *(?:\d+\(.*|config: .*|state: .*)$", edge.ofctl("show") if i == 0 else edge.ofctl("dump-ports-desc"), re.M) for i, edge in enumerate(site.edges)]


def make(lab):
    site = MixedSite(lab)
    for tenant in ("red", "blue"):
        for i, name in enumerate(NAMES):
            site.endpoint(tenant, name, i % 2, f"52:54:00:00:00:0{i + 1}", f"10.0.0.{i + 1}")
    for tenant, first in (("red", 7001), ("blue", 7003)):
        site.slice(tenant, [site.switch("s", [0, 1], {name: n for n, name in enumerate(NAMES, 1)}, listen=[f"ptcp:{first}:127.0.0.1"]),
                            site.switch("t", [1], {}, listen=[f"ptcp:{first + 1}:127.0.0.1"])],
                   [("l", {"switch": "s", "port": "x", "number": 9, "edge": "host1"}, {"switch": "t", "port": "x", "number": 1})])
    return site.start()


def test_configuration(lab):
    """Each bit on a port of each kind of edge, then a walk of all of them on all ports by all controllers of both tenants."""
    site, rng = make(lab), of.seeded()
    tenants = red, blue = [Tenant(site, name, first) for name, first in (("red", 7001), ("blue", 7003))]
    ports = physical(site)
    judge(tenants)
    for config in (DOWN, NO_RECV, NO_FWD, NO_PACKET_IN, NO_FLOOD):
        for number in (1, 2):
            red.set(2 if config == NO_FLOOD else number - 1, number, config)
        judge(tenants)
        for number in (1, 2):
            red.set(2 if config == NO_FLOOD else 2 - number, number, 0)         # The other one takes it back.
    for _ in range(STEPS):
        tenant = rng.choice(tenants)
        for _ in range(rng.randint(1, 3)):
            tenant.set(rng.randrange(3), rng.randint(1, len(NAMES)), rng.getrandbits(7) & rng.getrandbits(7))
        judge(tenants)
        assert physical(site) == ports
    for tenant in tenants:
        for number in tenant.config:
            for who in (0, 2):
                tenant.set(who, number, 0)
    judge(tenants)
    for tenant in tenants:
        tenant.behind.told()


def bucket(port):
    """Of a fast-failover group: to the port, while it is live."""
    return struct.pack("!HHIIxxxx", 32, 0, port, of.ANY) + of.output(port)


def test_liveness(lab):
    """A port that is taken down leaves fast-failover groups on every edge, and the other end of its link goes down; what only forwards nothing does not.  Configuration outlives its controller."""
    site = make(lab)
    red, blue = Tenant(site, "red", 7001), Tenant(site, "blue", 7003)
    one, other = red.controllers
    a, b, c, d = red.ends
    one.ask(of.message(GROUP_MOD, struct.pack("!HBxI", 0, 3, 5) + b"".join(map(bucket, (3, 2, 4)))) +
            of.flow_mod([of.oxm(ETH_TYPE, struct.pack("!H", f.EXPERIMENT))], of.apply_actions(struct.pack("!HHI", 22, 8, 5)), priority=30))

    def goes(*hears):
        """Frames of a's and of d's, whose edge is the other one: who hears them."""
        for e in site.endpoints:
            e.listen()
        for n, (source, expected) in enumerate(zip((a, d), hears)):
            frame = f.ethernet(f.BROADCAST, source.mac, f.EXPERIMENT, bytes([n]) * 50)
            source.send(frame)
            heard = all_heard(site.endpoints, {expected: 1} if expected else {})
            assert {e: frames for e, frames in heard.items() if frames} == ({expected: [frame]} if expected else {}), (source, expected, heard)
    goes(c, c)
    red.set(0, 3, DOWN)
    goes(b, b)
    red.set(1, 2, DOWN)
    goes(d, None)                                       # To where it came from.
    red.set(0, 3, NO_FWD)                               # Alive, and dumb.
    goes(None, None)
    red.set(1, 3, 0)
    goes(c, c)
    red.set(0, 2, NO_FWD | NO_RECV)
    red.set(0, 3, DOWN | NO_RECV)
    goes(None, None)
    # Another group, made when it is so already.
    one.ask(of.message(GROUP_MOD, struct.pack("!HBxI", 1, 3, 5) + b"".join(map(bucket, (2, 4, 3)))))
    goes(None, None)
    one.ask(of.message(GROUP_MOD, struct.pack("!HBxI", 1, 3, 5) + b"".join(map(bucket, (3, 4, 2)))))
    goes(d, None)
    for number in (2, 3):
        red.set(1, number, 0)
    goes(c, c)

    # A link's end.
    nine, mac = one.ports()[9], red.macs[9]

    def nine_is(config, state):
        one.ask(of.message(PORT_MOD, struct.pack("!I4x6s2xIII4x", 9, mac, config, 0x7f & ~NO_FLOOD & ~2 & ~8, 0)))
        for controller in red.controllers:
            controller.told((2, 9, config, state))
    assert nine[2:] == (0, LIVE), nine
    nine_is(DOWN, 0)
    red.behind.told((2, 1, 0, LINK_DOWN))
    nine_is(NO_FWD, LIVE)
    red.behind.told((2, 1, 0, LIVE))
    nine_is(0, LIVE)
    red.behind.told()

    # What is wrong changes nothing, and is told to nobody.
    good = red.port_mod(1, DOWN, DOWN)
    for code, message in enumerate((good[:8] + struct.pack("!I", 7) + good[12:], good.replace(red.macs[1], red.macs[2]), red.port_mod(1, DOWN, 2), good[:-8] + struct.pack("!I4x", 1))):
        assert one.peer.error(message) == (7, code), (code, message)        # OFPPMFC_BAD_PORT, BAD_HW_ADDR, BAD_CONFIG, BAD_ADVERTISE
    assert one.peer.error(red.port_mod(1, NO_FLOOD, NO_FLOOD)) == (7, 2)
    assert [kind for kind, _, _ in other.peer.answer(role(SECONDARY, 1))] == [25]
    assert other.peer.error(good) == IS_SECONDARY
    for controller in red.controllers:
        controller.told()
    judge([blue])

    # It is the switch's: controllers leave, and the operator takes the port down and up.
    red.set(0, 2, NO_RECV)
    for controller in red.controllers:
        controller.peer.socket.close()
    red.controllers = [Controller(site, 7001), Controller(site, 7001)]
    assert red.controllers[0].ports()[2][2:] == (NO_RECV, LIVE)
    for down in (True, False):
        site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "ports": [{"name": "b", "admin_down": down}]}]}]})
        for controller in red.controllers:
            controller.told((2, 2, NO_RECV, LINK_DOWN if down else LIVE))
    red.set(1, 3, NO_FWD)
    b.listen()
    b.send(f.ethernet(c.mac, b.mac, SENT, b"not received"))
    a.send(f.ethernet(c.mac, a.mac, SENT, b"not sent"), f.ethernet(b.mac, a.mac, SENT, b"for b"))
    heard = all_heard([b, c], {b: 1})
    assert len(heard[b]) == 1 and not heard[c], heard
    for number in (2, 3):
        red.set(0, number, 0)
    goes(c, c)
    for controller in [*blue.controllers, blue.behind]:
        controller.told()
