"""What controllers and conformance suites take for granted, byte by byte: that a switch gives back what was written into it, how roles and generation ids count, what a
bucket that leaves its fields at zero means, which defaults a new connection has.

Messages are built by hand (test_errors.py), because clients like ovs-ofctl fill in or leave out exactly what is looked at here.
"""
import random
import struct

from utilities.lab.daemons import Vswitchd

from . import frames as f
from .test_errors import (ANY, BARRIER, HELLO, IN_PORT, NO_BUFFER, Peer, action, apply, bucket, flow, flow_with, group, group_mod, instruction, match, message, multipart,
                          oxm, packet_out, port_mod, role, set_field, xid_of)
from .test_ofctl import expect

ERROR, ECHO, ECHO_REPLY, PACKET_IN, FLOW_REMOVED, MULTIPART_REPLY, BARRIER_REPLY, ROLE_REPLY, ASYNC, ASYNC_REPLY = 1, 2, 3, 10, 11, 19, 21, 25, 26, 27
DESC, FLOWS, AGGREGATE, GROUPS, GROUP_DESC, PORT_DESC = 0, 1, 2, 6, 7, 13
CONTROLLER, MAX_GROUP, ALL_GROUPS = 0xfffffffd, 0xffffff00, 0xfffffffc
ALL, SELECT, INDIRECT, FAST_FAILOVER = range(4)
NOCHANGE, EQUAL, MASTER, SLAVE = range(4)
NO_MATCH, BY_ACTION = 0, 1
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
N_PORTS = 4


def output(port, max_len=0):
    return action(0, struct.pack("!IH6x", port, max_len))


def to_controller(priority):
    return flow(match(), apply(output(CONTROLLER, 0xffff)), priority=priority)


def tcp(ports=(1234, 80), tags=()):
    return f.ethernet(MACS[1], MACS[0], f.IPV4, f.ipv4("192.168.0.1", "192.168.0.2", f.TCP, f.tcp("192.168.0.1", "192.168.0.2", b"hello", ports)), tags, 100)


class Controller(Peer):
    """A connection of OpenFlow 1.3 that remembers what came between an order and its barrier."""

    def __init__(self, path):
        super().__init__(path, 4)
        self.xid, self.kept = 100, []
        self.send(message(HELLO, b""), 1)
        self.until(lambda got: got[1] == HELLO)

    def ask(self, request):
        """The answer, or the error."""
        self.xid += 1
        self.send(request, self.xid)
        return self.until(lambda got: xid_of(got) == self.xid)

    def tell(self, *requests):
        """Sends; gives the errors that came up to the barrier."""
        self.xid += 1
        first = self.xid
        for request in requests:
            self.send(request, self.xid)
            self.xid += 1
        self.send(message(BARRIER, b""), self.xid)
        got, barrier = [], self.xid
        while xid_of(one := self.receive()) != barrier:
            (got if one[1] == ERROR and first <= xid_of(one) else self.kept).append(one)
        return [struct.unpack("!HH", one[8:12]) for one in got]

    def done(self, *requests):
        errors = self.tell(*requests)
        expect(f"errors {errors}", not errors)

    def stats(self, kind, body=b""):
        """The bodies of all segments."""
        whole, flags = b"", 1
        self.xid += 1
        self.send(multipart(kind, body), self.xid)
        while flags & 1:
            got = self.until(lambda got: xid_of(got) == self.xid)
            expect(f"multipart {kind}: {got[:16].hex()}", got[1] == MULTIPART_REPLY)
            flags = struct.unpack("!H", got[10:12])[0]
            whole += got[16:]
        return whole

    def next(self, kind, seconds):
        """The next message of that type, or None."""
        for i, one in enumerate(self.kept):
            if one[1] == kind:
                return self.kept.pop(i)
        self.socket.settimeout(seconds)
        try:
            return self.until(lambda got: got[1] == kind)
        except TimeoutError:
            return None
        finally:
            self.socket.settimeout(10)


class Bench:
    """A switch with four ports whose cables' other ends are held by taps, and a controller."""

    def __init__(self, lab):
        self.host = lab.host("switch")
        boxes = [lab.host(f"box{i}") for i in range(N_PORTS)]
        for i, box in enumerate(boxes):
            lab.link(self.host, f"p{i + 1}", box, "eth0")
        self.switch = Vswitchd(self.host, 0xab, uplinks=[f"p{i + 1}" for i in range(N_PORTS)])
        self.taps = {i + 1: f.Tap(box.namespace, "eth0") for i, box in enumerate(boxes)}
        self.controller = Controller(self.switch.openflow_socket)

    def clear(self):
        self.controller.done(flow(command=3, table=255), group_mod(ALL_GROUPS, command=2))
        self.controller.kept.clear()

    def heard(self, port, seconds=5):
        """The next frame of ours there (the kernel of the box has its own to say)."""
        while (got := self.taps[port].receive(seconds)) is not None:
            if got[6:12] == f.mac(MACS[0]):
                return got
        return None

    def passes(self, frame, out, want=None, into=1):
        """Goes in at one port and comes out at these, and at no other."""
        self.taps[into].send(frame)
        for port in out:
            got = self.heard(port)
            expect(f"at port {port}: {got and got.hex()}, not {(want or frame).hex()}", got == (want or frame))
        for port in set(self.taps) - set(out):
            expect(f"at port {port} too", self.heard(port, .05) is None)

    def packet_in(self, frame, reason, into=1):
        self.taps[into].send(frame)
        while (got := self.controller.next(PACKET_IN, 5)) is not None and not got.endswith(frame):
            pass
        expect("a packet-in", got is not None)
        expect(f"reason {got[14]}", got[14] == reason)
        return got


def entries(data):
    """Of flow statistics: table, durations apart, up to the end of the instructions."""
    while data:
        size = struct.unpack("!H", data[:2])[0]
        yield data[:size]
        data = data[size:]


ALL_FLOWS = struct.pack("!B3xII4xQQ", 255, ANY, ANY, 0, 0) + match()


# --- What was written is given back ---

def written(fm):
    """Of a flow-mod: table, priority, idle, hard, flags, cookie, and match with instructions."""
    cookie, _, table, _, idle, hard, priority, _, _, _, flags, _ = struct.unpack("!QQBBHHHIIIHH", fm[8:48])
    return table, priority, idle, hard, flags, cookie, fm[48:]


def given_back(entry):
    _, table, _, _, priority, idle, hard, flags, cookie, packets, _ = struct.unpack("!HBxIIHHHH4xQQQ", entry[:48])
    return (table, priority, idle, hard, flags, cookie, entry[48:]), packets


def timed(fm, idle, hard, cookie):
    return fm[:8] + struct.pack("!Q", cookie) + fm[16:26] + struct.pack("!HH", idle, hard) + fm[30:]


def check_entries(b):
    """"When a flow entry is inserted in a table, its flags field is set with the values from the message" (section 7.3.4.2): all of them."""
    c = b.controller
    sent = [timed(flow(match(oxm(0, struct.pack("!I", port)), oxm(6, struct.pack("!H", 0x1000 | port))), instruction(3, bytes(4) + output(port, 0xffff)),
                       priority=0x10 + port, flags=flags), 0x20 + port, 0x30 + port, port) for port, flags in ((1, 8), (2, 16), (3, 2), (4, 1))]
    c.done(*sent)
    got = sorted(given_back(entry)[0] for entry in entries(c.stats(FLOWS, ALL_FLOWS)))
    expect(f"{got} for {sorted(map(written, sent))}", got == sorted(map(written, sent)))


def check_overwrite(b):
    """The same match again: everything is the new message's but the counters, and nobody hears of a removal."""
    c = b.controller
    c.done(timed(flow(match(IN_PORT), apply(output(2)), priority=1000, flags=1), 2000, 1000, 0x1234))
    b.passes(tcp(), [2])
    new = timed(flow(match(IN_PORT), apply(output(3)), priority=1000), 4000, 3000, 0xabcd)
    c.done(new)
    expect("a flow-removed", c.next(FLOW_REMOVED, .2) is None)
    (entry,) = entries(c.stats(FLOWS, ALL_FLOWS))
    expect(entry.hex(), given_back(entry) == (written(new), 1))
    b.passes(tcp(), [3])


def check_groups_given_back(b):
    c = b.controller
    for number in (0, 10, MAX_GROUP):
        for kind, buckets in ((ALL, [bucket(set_field(oxm(13, b"\7\xd0")), output(n), watch_port=0, watch_group=0) for n in (1, 2)]), (ALL, []), (ALL, [bucket(output(1))]),
                              (SELECT, [bucket(output(n), weight=n, watch_port=0, watch_group=0) for n in (1, 2, 3)]), (SELECT, [bucket(output(2), weight=1)]),
                              (INDIRECT, [bucket(output(1, 5), watch_port=0, watch_group=0)]), (FAST_FAILOVER, [bucket(output(n), watch_port=n) for n in (1, 2)])):
            c.done(group_mod(number, *buckets, kind=kind))
            want = struct.pack("!HBxI", 8 + len(b"".join(buckets)), kind, number) + b"".join(buckets)
            got = c.stats(GROUP_DESC)
            expect(f"{got.hex()}, not {want.hex()}", got == want)
            got = c.stats(GROUPS, struct.pack("!I4x", number))
            expect(got.hex(), len(got) == 40 + 16 * len(buckets) and not any(got[12:32]) and not any(got[40:]))
            c.done(group_mod(number, command=2))
    expect("statistics of no group", c.stats(GROUPS, struct.pack("!I4x", 10)) == b"")


# --- Groups ---

def check_group_errors(b):
    c, one = b.controller, bucket(output(1), watch_port=0, watch_group=0)
    invalid, exists, unknown, loop = (6, 1), (6, 0), (6, 8), (6, 7)
    for request, want in ((group_mod(0, bucket(output(ANY), watch_port=0, watch_group=0)), (2, 4)), (group_mod(ALL_GROUPS, one), invalid),
                          (group_mod(MAX_GROUP + 1, one), invalid), (group_mod(0, one, command=1), unknown), (group_mod(0, command=2), None),
                          (group_mod(0, bucket(output(1), weight=1), kind=ALL), invalid), (group_mod(0, bucket(output(1), weight=1), kind=INDIRECT), invalid),
                          (group_mod(0, one, one, kind=INDIRECT), invalid), (group_mod(0, one), None), (group_mod(0, one), exists),
                          (group_mod(1, bucket(group(0), watch_port=0, watch_group=0)), None), (group_mod(2, bucket(group(1), watch_port=0, watch_group=0)), None),
                          (group_mod(0, bucket(group(2), watch_port=0, watch_group=0), command=1), loop), (group_mod(0, command=1), None),
                          (group_mod(ALL_GROUPS, one, command=1), invalid)):
        got = c.tell(request)
        expect(f"{request.hex()}: {got}, not {want}", got == ([want] if want else []))
    c.done(group_mod(ALL_GROUPS, command=2))
    expect("all are gone", c.stats(GROUP_DESC) == b"")


def check_unset_watch(b):
    """A bucket that leaves watch_port and watch_group at 0 watches nothing: there is no port 0, and no type but fast failover needs them (section 7.3.4.3)."""
    c = b.controller
    for kind, weight in ((ALL, 0), (INDIRECT, 0), (SELECT, 1)):
        c.done(group_mod(1, bucket(output(2), weight=weight, watch_port=0, watch_group=0), kind=kind), flow(match(), apply(group(1))))
        b.passes(tcp(), [2])
        b.clear()
    # And group 0 may go without taking along who did not mean it.
    c.done(group_mod(0, bucket(output(3))), group_mod(1, bucket(output(2), watch_port=0, watch_group=0)), flow(match(), apply(group(1))), group_mod(0, command=2))
    b.passes(tcp(), [2])


def check_select(b):
    c, r = b.controller, random.Random(1)
    c.done(group_mod(1, kind=SELECT), flow(match(), apply(output(2), group(1))))
    b.passes(tcp(), [2])
    b.clear()
    c.done(group_mod(1, *(bucket(output(n), weight=1) for n in (2, 3, 4)), kind=SELECT), flow(match(), apply(group(1))))
    counts = dict.fromkeys((2, 3, 4), 0)
    for i in range(300):
        frame = tcp((i, r.randrange(65536)))
        b.taps[1].send(frame)
        b.taps[1].send(frame)
    for port in counts:
        seen = []
        while (got := b.heard(port, 1)) is not None:
            seen.append(got)
        counts[port] = len(seen) // 2
        expect("a flow keeps its port", all(seen.count(one) == 2 for one in seen))
    expect(counts, sum(counts.values()) == 300 and all(70 <= n <= 130 for n in counts.values()))


def check_out_group(b):
    c = b.controller
    c.done(group_mod(1), group_mod(2), *(flow(match(ETH_IPV4, oxm(10, b"\6"), oxm(13, struct.pack("!H", port))), apply(*([group(g)] if g else []), output(1)))
                                         for port, g in ((1000, 1), (2000, 2), (3000, 2), (4000, 0))))
    got = c.stats(AGGREGATE, struct.pack("!B3xII4xQQ", 255, ANY, 2, 0, 0) + match())
    expect(got.hex(), struct.unpack("!QQI", got[:20])[2] == 2)


ETH_IPV4 = oxm(5, b"\x08\x00")


# --- Packet-ins, packet-outs ---

def check_packets(b):
    c = b.controller
    b.passes(tcp(), [])
    expect("a packet-in without an entry", c.next(PACKET_IN, .2) is None)
    for priority, reason in ((0, NO_MATCH), (1, BY_ACTION), (1000, BY_ACTION)):
        b.clear()
        c.done(to_controller(priority))
        for port in b.taps:
            got = b.packet_in(tcp(), reason, port)
            expect(got[24:40].hex(), match(oxm(0, struct.pack("!I", port))) == got[24:40])
    for port in b.taps:
        c.done(packet_out(output(port), data=tcp()))
        expect(f"packet-out to {port}", b.heard(port) == tcp())
    # SNAP has an Ethernet type; what has none is 0x05ff.
    snap = b"\xaa\xaa\x03\0\0\0\x08\x00" + tcp()[14:54]
    frames = {"ip": tcp(), "tagged": tcp(tags=[(f.VLAN, 0x6002)]), "snap": f.ethernet(MACS[1], MACS[0], len(snap), snap),
              "llc": f.ethernet(MACS[1], MACS[0], 17, b"\xaa\xab\x03")}
    for kind, hits in ((0x800, ("ip", "tagged", "snap")), (0x5ff, ("llc",))):
        b.clear()
        c.done(flow(match(oxm(5, struct.pack("!H", kind))), apply(output(2)), priority=1000), to_controller(1))
        for name, frame in frames.items():
            if name in hits:
                b.passes(frame, [2])
            else:
                b.packet_in(frame, BY_ACTION)


def check_actions(b):
    """Those after whose message the frame is a tagged one of a length that a controller expects; values of set-field as section 7.2.5 wants them."""
    c = b.controller
    vid, push, pop = set_field(oxm(6, struct.pack("!H", 0x1002))), action(17, b"\x81\0\0\0"), action(18, bytes(4))
    pcp = set_field(oxm(7, b"\3"))
    for actions, frame, want in (([push], tcp(), tcp(tags=[(f.VLAN, 0)])), ([push, vid], tcp(), tcp(tags=[(f.VLAN, 2)])), ([push, vid, pcp], tcp(), tcp(tags=[(f.VLAN, 0x6002)])),
                                 ([push, pcp], tcp(), tcp(tags=[(f.VLAN, 0x6000)])), ([pop], tcp(tags=[(f.VLAN, 7)]), tcp())):
        b.clear()
        tagged = [oxm(6, struct.pack("!H", 0x1007))] if frame != tcp() else []
        c.done(flow_with(*actions, output(2), what=match(IN_PORT, ETH_IPV4, *tagged)))
        want = want.ljust(len(want) if len(want) > 100 else 100, b"\0")
        b.taps[1].send(frame)
        got = b.heard(2)
        expect(f"{got and got.hex()}, not {want.hex()}", got is not None and got[:60] == want[:60])


# --- Roles ---

def ask_role(c, number, generation=0):
    got = c.ask(role(number, generation))
    return struct.unpack("!I4xQ", got[8:24]) if got[1] == ROLE_REPLY else ("error", *struct.unpack("!HH", got[8:12]))


def check_roles(b):
    for other in (SLAVE, MASTER):
        c = Controller(b.switch.openflow_socket)
        now, generation = ask_role(c, NOCHANGE)
        expect(now, now == EQUAL and ask_role(c, NOCHANGE) == (EQUAL, generation))
        for step in (0, 1, 2**63 - 1):
            generation = (generation + step) % 2**64
            got = ask_role(c, other, generation)
            expect(f"{got}, not {(other, generation)}", got == (other, generation))
            expect("back to equal", ask_role(c, EQUAL)[0] == EQUAL)
        for step in (-1, -2**63):
            got = ask_role(c, other, (generation + step) % 2**64)
            expect(got, got == ("error", 11, 0) and ask_role(c, NOCHANGE) == (EQUAL, generation))
        c.socket.close()


def check_permissions(b):
    """A slave's packet-out, flow-mod and group-mod are each refused as a slave's, whatever else may be said of them; a master may."""
    c = b.controller
    _, generation = ask_role(c, NOCHANGE)
    orders = packet_out(port=0, data=b""), flow(command=3), group_mod(ALL_GROUPS, command=2)
    for number, refused in ((EQUAL, False), (MASTER, False), (SLAVE, True), (EQUAL, False)):
        ask_role(c, number, generation)
        got = c.tell(*orders)
        expect(f"role {number}: {got}", got == [(1, 10)] * (3 if refused else 0))
    c.done(to_controller(0))
    for number in (MASTER, EQUAL, SLAVE, EQUAL):
        ask_role(c, number, generation)
        if number == SLAVE:
            b.taps[1].send(tcp())
            expect("a slave's packet-in", c.next(PACKET_IN, .3) is None)
        else:
            b.packet_in(tcp(), NO_MATCH)


# --- Defaults, ports ---

def check_defaults(b):
    c = b.controller
    for data in (b"", b"some bytes of the controller's"):
        expect("echo", c.ask(message(ECHO, data))[1:2] + c.ask(message(ECHO, data))[8:] == bytes([ECHO_REPLY]) + data)
    masks = struct.unpack("!6I", c.ask(message(ASYNC, b""))[8:32])
    expect(masks, masks[0] & 7 == 7 and masks[2] & 7 == 7 and masks[4] & 15 == 15)
    for kind, body in ((DESC, b""), (AGGREGATE, ALL_FLOWS), (8, b""), (11, b"")):
        got = c.ask(multipart(kind, body))
        expect(f"multipart {kind}", got[1] == MULTIPART_REPLY and got[10:12] == b"\0\0")


def check_port_mod(b):
    """A controller that writes back what it has read, with one bit of the configuration changed, is understood."""
    c = b.controller
    for _ in range(2):
        port = c.stats(PORT_DESC)[:64]
        number, mac, config, advertised = struct.unpack("!I4x6s2x16xIIII", port[:48])[:3] + struct.unpack("!I", port[44:48])
        c.done(port_mod(number, mac, config ^ 64, 64, advertised))
        expect("the bit", struct.unpack("!I", c.stats(PORT_DESC)[32:36])[0] == config ^ 64)


def test_what_is_taken_for_granted(lab):
    b, wrong = Bench(lab), []
    for check in (check_defaults, check_port_mod, check_entries, check_overwrite, check_groups_given_back, check_group_errors, check_unset_watch, check_select, check_out_group,
                  check_packets, check_actions, check_roles, check_permissions):
        b.clear()
        try:
            check(b)
        except Exception as error:      # pylint: disable=broad-except
            wrong.append(f"{check.__name__}: {error}")
    expect("\n".join(wrong), not wrong)
