"""What controllers of many kinds say to a switch when they come, in any order; and several controllers that the switch calls.  A big switch over a vswitchd and an Open vSwitch."""
import socket
import struct

from tests.system import frames as f
from tests.system import robust as of
from tests.system.test_slice_topology import IS_SECONDARY, MixedSite, PACKET_IN, PRIMARY, ROLE_REPLY, SECONDARY, call, connections, role, told_of

GET_CONFIG, GET_CONFIG_REPLY, QUEUE_GET, QUEUE_GET_REPLY, ASYNC, ASYNC_REPLY = 7, 8, 22, 23, 26, 27
STATS_10, STATS_REPLY_10, BARRIER_10, BARRIER_REPLY_10, QUEUE_10, QUEUE_REPLY_10 = 16, 17, 18, 19, 20, 21
ASKED = of.scaled(6)


def site_of(lab):
    site = MixedSite(lab)
    site.endpoint("red", "a", 0, "52:54:00:00:00:01", "10.0.0.1")
    site.endpoint("red", "b", 1, "52:54:00:00:00:02", "10.0.0.2")
    site.slice("red", [site.switch("s", [0, 1], {"a": 1, "b": 2}, listen=["ptcp:7001:127.0.0.1"], datapath_id="00000000000000a1")])
    return site


def multipart(number, body=b"", kind=of.MULTIPART_REQUEST, version=4):
    head = struct.pack("!HH", number, 0) + (b"\0" * 4 if version == 4 else b"")
    return kind, head + body


# What is asked, as (type, body), and the type that answers; None: nothing does.  13 is port-desc, 12 table-features without a body: a question.
QUESTIONS = {
    4: [((of.FEATURES_REQUEST, b""), of.FEATURES_REPLY), ((of.SET_CONFIG, struct.pack("!HH", 0, 128)), None), ((GET_CONFIG, b""), GET_CONFIG_REPLY),
        ((of.ECHO_REQUEST, b"ryu"), of.ECHO_REPLY), ((QUEUE_GET, struct.pack("!Ixxxx", of.ANY)), QUEUE_GET_REPLY), ((QUEUE_GET, struct.pack("!Ixxxx", 1)), QUEUE_GET_REPLY),
        ((ASYNC, b""), ASYNC_REPLY), ((24, struct.pack("!IxxxxQ", 0, 0)), ROLE_REPLY), ((of.BARRIER_REQUEST, b""), of.BARRIER_REPLY),
        (multipart(1, struct.pack("!BxxxIIxxxxQQ", 0xff, of.ANY, of.ANY, 0, 0) + of.match()), of.MULTIPART_REPLY),
        (multipart(2, struct.pack("!BxxxIIxxxxQQ", 0xff, of.ANY, of.ANY, 0, 0) + of.match()), of.MULTIPART_REPLY),
        (multipart(4, struct.pack("!Ixxxx", of.ANY)), of.MULTIPART_REPLY), (multipart(5, struct.pack("!II", of.ANY, of.ANY)), of.MULTIPART_REPLY),
        (multipart(6, struct.pack("!Ixxxx", 0xfffffffc)), of.MULTIPART_REPLY), (multipart(9, struct.pack("!Ixxxx", of.ANY)), of.MULTIPART_REPLY),
        (multipart(10, struct.pack("!Ixxxx", of.ANY)), of.MULTIPART_REPLY), *[(multipart(n), of.MULTIPART_REPLY) for n in (0, 3, 7, 8, 11, 12, 13)]],
    1: [((of.FEATURES_REQUEST, b""), of.FEATURES_REPLY), ((of.SET_CONFIG, struct.pack("!HH", 0, 0xffff)), None), ((GET_CONFIG, b""), GET_CONFIG_REPLY),
        ((of.ECHO_REQUEST, b"pox"), of.ECHO_REPLY), ((QUEUE_10, struct.pack("!Hxx", 1)), QUEUE_REPLY_10), ((BARRIER_10, b""), BARRIER_REPLY_10),
        *[(multipart(n, body, STATS_10, 1), STATS_REPLY_10) for n, body in (
            (0, b""), (1, struct.pack("!I36xBxH", 0x3fffff, 0xff, 0xffff)), (2, struct.pack("!I36xBxH", 0x3fffff, 0xff, 0xffff)), (3, b""),
            (4, struct.pack("!H6x", 0xffff)), (5, struct.pack("!HxxI", 0xfffc, 0xffffffff)))]],
}


def session(site, rng, version):
    """All questions in some order, as a burst: each gets one answer (of so many parts), in the order in which they were asked."""
    questions = rng.sample(QUESTIONS[version], len(QUESTIONS[version]))
    data = b"".join(of.header(kind, 8 + len(body), 1000 + n, version) + body for n, ((kind, body), _) in enumerate(questions))
    with call_as(site, version) as peer:
        peer.send(data + of.header(of.ECHO_REQUEST, 8, 0xec0, version))
        got = []
        while True:
            kind, xid, body = peer.receive()
            if xid == 0xec0:
                break
            if not got or got[-1] != (kind, xid):
                got.append((kind, xid))
            if kind == of.FEATURES_REPLY:
                assert struct.unpack("!Q", body[:8])[0] == 0xa1, body
    wanted = [(answer, 1000 + n) for n, (_, answer) in enumerate(questions) if answer is not None]
    assert got == wanted, f"asked {questions}: {got} instead of {wanted}"


class OldPeer(of.Peer):
    """Says hello as a controller of OpenFlow 1.0 does."""

    def __init__(self, sock):
        super().__init__(sock=sock, hello=False)
        self.send(of.header(of.HELLO, 8, 1, 1))
        assert self.receive()[0] == of.HELLO


def call_as(site, version):
    if version == 4:
        return call(site, 7001)
    with f.inside(site.ctl.host.namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.connect(("127.0.0.1", 7001))
    return OldPeer(sock)


def test_questions(lab):
    site, rng = site_of(lab), of.seeded()
    site.start()
    for _ in range(ASKED):
        session(site, rng, 4)
        session(site, rng, 1)


class Called:
    """A controller that waits for the switch."""

    def __init__(self, site, port):
        with f.inside(site.ctl.host.namespace):
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen()
        self.listener.settimeout(15)

    def accept(self):
        return of.Peer(sock=self.listener.accept()[0])


def test_called(lab):
    """Two controllers that are called and one that calls; the leader is lost, the follower leads, and whoever comes back is an equal with nothing of what it was."""
    site = site_of(lab)
    a = site.endpoints[0]
    first, second = Called(site, 6801), Called(site, 6802)
    site.start()
    site.apply({"slices": [{"name": "lab", "tenant": "red", "controllers": ["tcp:127.0.0.1:6801", "tcp:127.0.0.1:6802"]}]})
    entry = of.flow_mod(instructions=of.apply_actions(of.output(0xfffffffd)))
    with second.accept() as follower, call(site, 7001) as caller:
        with first.accept() as leader:
            assert [kind for kind, _, _ in leader.answer(role(PRIMARY, 1) + entry)] == [ROLE_REPLY]
            assert [kind for kind, _, _ in follower.answer(role(SECONDARY, 1))] == [ROLE_REPLY] and follower.error(entry) == IS_SECONDARY
            assert sorted(connections(site, "red/lab/s")) == [(False, "equal", "up"), (True, "master", "up"), (True, "slave", "up")], connections(site, "red/lab/s")
            a.send(f.ethernet(f.BROADCAST, a.mac, f.EXPERIMENT, b"one"))
            for peer in (leader, caller):
                lab.wait_for("a packet-in", lambda peer=peer: told_of(peer, PACKET_IN), 10)
            assert not told_of(follower, PACKET_IN)
        assert [kind for kind, _, _ in follower.answer(role(PRIMARY, 2))] == [ROLE_REPLY] and not follower.answer(entry)
        with first.accept() as leader:                  # It is called again, after a while.
            assert not leader.answer(entry)
            lab.wait_for("an equal", lambda: sorted(connections(site, "red/lab/s")) == [(False, "equal", "up"), (True, "equal", "up"), (True, "master", "up")], 5)
            assert [kind for kind, _, _ in leader.answer(role(PRIMARY, 1))] == [of.ERROR]
            a.send(f.ethernet(f.BROADCAST, a.mac, f.EXPERIMENT, b"two"))
            for peer in (leader, follower, caller):
                lab.wait_for("a packet-in", lambda peer=peer: told_of(peer, PACKET_IN), 10)
            # Only what is no longer named is left.
            site.apply({"slices": [{"name": "lab", "tenant": "red", "controllers": ["tcp:127.0.0.1:6802"]}]})
            assert leader.is_closed() and not follower.answer(b"") and not caller.answer(b"")
