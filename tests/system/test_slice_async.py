"""Asynchronous messages: each of a switch's controllers gets exactly those that it has asked for in the role that it has, whatever the others have asked for (OpenFlow 1.3.5, 6.3.5, 6.3.6, 7.3.9, 7.3.10).

A big switch over a vswitchd and an Open vSwitch.  Two controllers change their roles and what they want at random; a third one makes things happen, and so do machines and the operator.
"""
import struct
import time

from tests.system import frames as f
from tests.system import robust as of
from tests.system.test_slice_sessions import ASYNC, ASYNC_REPLY
from tests.system.test_slice_topology import EQUAL, MixedSite, PRIMARY, ROLE_REPLY, SECONDARY, STALE, call, role
from tests.system.test_slice_walk import CONTROLLER

SET_ASYNC, GROUP_MOD = 28, 15
ROUNDS = of.scaled(5)
# Kinds in the order of the masks, with their reasons.
REASONS = {of.PACKET_IN: ("no match", "action", "invalid TTL"), of.PORT_STATUS: ("port added", "port deleted", "port modified"), of.FLOW_REMOVED: ("idle", "hard", "delete", "group delete")}
DEFAULT = (7, 0, 7, 7, 15, 0)
NO_CHANGE = 0
MISSED, ASKED, SPENT = 0x88b6, 0x88b7, f.IPV4
SEND_FLOW_REM = 1
ADD_GROUP, DELETE_GROUP = 0, 2


class Model:
    """What all connections have in common: the largest generation, and who leads."""

    def __init__(self):
        self.generation, self.controllers = None, []


class Controller:
    def __init__(self, site, model):
        self.peer, self.model, self.role, self.masks, self.got = call(site, 7001), model, EQUAL, DEFAULT, []
        model.controllers.append(self)
        self.agrees()

    def leave(self):
        self.peer.socket.close()
        self.model.controllers.remove(self)

    def ask(self, data=b"", wanted=None):
        """Sends it and a barrier; the body of the answer of the wanted type.  What is asynchronous is kept."""
        replies = []
        for kind, _, body in self.peer.answer(data):
            if kind in REASONS:
                reason = body[6] if kind == of.PACKET_IN else body[0] if kind == of.PORT_STATUS else body[10]
                self.got.append((REASONS[kind][reason], self._whose(kind, body)))
            else:
                replies.append((kind, body))
        assert [kind for kind, _ in replies] == [wanted] * (wanted is not None), (replies, wanted)
        return replies[0][1] if replies else None

    @staticmethod
    def _whose(kind, body):
        """Port or cookie."""
        return struct.unpack_from("!I", body, 24 if kind == of.PACKET_IN else 8)[0] if kind != of.FLOW_REMOVED else struct.unpack_from("!Q", body)[0]

    def agrees(self):
        """The switch says of this connection what it should."""
        assert struct.unpack("!6I", self.ask(of.message(ASYNC), ASYNC_REPLY)) == self.masks
        generation = 0xffffffffffffffff if self.model.generation is None else self.model.generation
        assert struct.unpack("!IxxxxQ", self.ask(role(NO_CHANGE, 0), ROLE_REPLY)) == (self.role, generation)

    def become(self, wanted, generation):
        if wanted != EQUAL and self.model.generation is not None and generation < self.model.generation:
            error = self.ask(role(wanted, generation), of.ERROR)
            assert struct.unpack("!HH", error[:4]) == STALE
            return
        if wanted != EQUAL:
            self.model.generation = generation
        if wanted == PRIMARY:
            for other in self.model.controllers:
                other.role = SECONDARY if other.role == PRIMARY else other.role
        self.role = wanted
        assert struct.unpack("!IxxxxQ", self.ask(role(wanted, generation), ROLE_REPLY))[0] == wanted

    def choose(self, masks):
        self.masks = masks
        self.ask(of.message(SET_ASYNC, struct.pack("!6I", *masks)))

    def wants(self, event):
        for i, reasons in enumerate(REASONS.values()):
            if event in reasons:
                return self.masks[2 * i + (self.role == SECONDARY)] >> reasons.index(event) & 1


def flow(cookie, fields, actions=b"", idle=0, hard=0, priority=10, command=0):
    """Tells of its end."""
    body = struct.pack("!QQBBHHHIIIHxx", cookie, 0, 0, command, idle, hard, priority, of.NO_BUFFER, of.ANY, of.ANY, SEND_FLOW_REM)
    return of.message(of.FLOW_MOD, body + of.match(*fields) + actions)


def ether_type(value):
    return of.oxm(5, struct.pack("!H", value))


def make(lab):
    site = MixedSite(lab)
    for i, name in enumerate("ab"):
        site.endpoint("red", name, i, f"52:54:00:00:00:0{i + 1}", f"10.0.0.{i + 1}")
    site.slice("red", [site.switch("s", [0, 1], {"a": 1, "b": 2}, listen=["ptcp:7001:127.0.0.1"])])
    site.start()
    doer = call(site, 7001)
    to_controller, ttl = of.output(CONTROLLER), struct.pack("!HHxxxx", 24, 8)
    setup = (of.message(SET_ASYNC, bytes(24)) + of.flow_mod([], of.apply_actions(to_controller), priority=0) + of.flow_mod([ether_type(ASKED)], of.apply_actions(to_controller), priority=20)
             + of.flow_mod([ether_type(SPENT)], of.apply_actions(ttl, of.output(1)), priority=20))
    assert not doer.answer(setup)
    return site, doer


def happenings(site, doer, n):
    """One of each, and what it is about."""
    events, first = [], 100 * n
    data = of.message(GROUP_MOD, struct.pack("!HBxI", ADD_GROUP, 0, n))
    for i, (event, idle, hard) in enumerate((("idle", 1, 0), ("hard", 0, 1), ("delete", 0, 0), ("group delete", 0, 0))):
        actions = of.apply_actions(struct.pack("!HHI", 22, 8, n)) if event == "group delete" else b""
        data += flow(first + i, [of.oxm(3, struct.pack("!HI", 0x0200, first + i))], actions, idle, hard)
        events.append((event, first + i))
    data += flow(0, [of.oxm(3, struct.pack("!HI", 0x0200, first + 2))], command=4) + of.message(GROUP_MOD, struct.pack("!HBxI", DELETE_GROUP, 0, n))
    assert not doer.answer(data)
    site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "ports": [{"name": "more", "number": 7, "edge": "host2"}]}]}]})
    site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "ports": [{"name": "b", "admin_down": True}]}]}]})
    site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "ports": [{"name": "b", "admin_down": False}]}]}]})
    site.ctl.vpcctl("delete", "switch-port", "red/lab/s/more", "--wait=installed")
    events += [("port added", 7), ("port modified", 2), ("port modified", 2), ("port deleted", 7)]
    for number, e in enumerate(site.endpoints, 1):
        spent = bytearray(f.ipv4("10.0.0.1", "10.0.0.2", f.UDP, b"spent"))
        spent[8] = 1
        e.send(f.ethernet(f.BROADCAST, e.mac, MISSED, b"missed"), f.ethernet(f.BROADCAST, e.mac, ASKED, b"asked"), f.ethernet(f.BROADCAST, e.mac, SPENT, bytes(spent)))
        events += [("no match", number), ("action", number), ("invalid TTL", number)]
    return events


def test_who_wants_what(lab):
    site, doer = make(lab)
    rng, model = of.seeded(), Model()
    controllers = [Controller(site, model), Controller(site, model)]
    for n in range(1, ROUNDS + 1):
        for c in controllers if n > 1 else []:
            generation = (model.generation or 0) + rng.choice((-1, 0, 0, 1, 5))
            c.become(rng.choice((EQUAL, PRIMARY, SECONDARY)), max(0, generation))
            if rng.random() < 0.8:
                c.choose(tuple(rng.getrandbits(bits) for bits in (3, 3, 3, 3, 4, 4)))
        if n == ROUNDS:
            controllers[0].leave()                      # Who comes anew is an equal that wants what the specification says.
            controllers[0] = Controller(site, model)
        for c in controllers:
            c.agrees()
        begun = time.monotonic()
        events = happenings(site, doer, n)
        wanted = [sorted(event for event in events if c.wants(event[0])) for c in controllers]
        while any(len(c.got) < len(w) for c, w in zip(controllers, wanted)) and time.monotonic() < begun + 8:
            for c in controllers:
                c.ask()
            time.sleep(0.05)
        time.sleep(max(0.5, begun + 3.5 - time.monotonic()))    # Nothing more comes, also not of timeouts.
        for c, w in zip(controllers, wanted):
            c.ask()
            assert sorted(c.got) == w, (c.role, c.masks, [e for e in c.got if e not in w], [e for e in w if e not in c.got])
            c.got = []
        assert not doer.answer(b"")
