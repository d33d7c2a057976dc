"""The adversary: malformed and hostile peers, endurance.  Whatever comes, the daemons stay up, forward, answer others in time, hold no more memory, and end clean.

Sizes grow with POLDER_ROBUST_SCALE (default 1: under four minutes in all).  With a build made by --enable-sanitizers (POLDER_BUILD) every
test is a memory test, too: a daemon that reports anything fails in clean().
"""
import glob
import http.client
import json
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from tests.system import frames as f
from tests.system.site import FABRIC_DPID, Site
from tests.system.test_vswitch import MAC, Bench, patch, port, two_vms, vhost, wait_link
from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd, Vswitchd, program

SCALE = float(os.environ.get("POLDER_ROBUST_SCALE", "1"))
SEED = int(os.environ.get("POLDER_ROBUST_SEED", "0")) or random.randrange(1, 1 << 32)
CORPUS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz", "corpus", "of_msg")
REPORTS = ("runtime error:", "ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer")

# OpenFlow 1.3.5, section 7.1 and 7.4.4
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, FEATURES_REQUEST, FEATURES_REPLY = range(7)
SET_CONFIG, PACKET_IN, FLOW_REMOVED, PORT_STATUS, PACKET_OUT, FLOW_MOD = 9, 10, 11, 12, 13, 14
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 18, 19, 20, 21
BAD_REQUEST, BAD_ACTION, BAD_INSTRUCTION, BAD_MATCH, FLOW_MOD_FAILED, HELLO_FAILED = 1, 2, 3, 4, 5, 0
POLDER = 0x00504f4c
NO_BUFFER, ANY = 0xffffffff, 0xffffffff


def scaled(n):
    return max(1, int(n * SCALE))


def seeded():
    print(f" (seed {SEED}) ", end="", flush=True)
    return random.Random(SEED)


def sanitized():
    """Memory figures mean nothing with AddressSanitizer's quarantine or ThreadSanitizer's shadow."""
    with open(program("vswitchd"), "rb") as file:
        return re.search(b"__[at]san_init", file.read()) is not None


def rss_kb(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def grown(daemon, before, limit_mb, what):
    grew = (rss_kb(daemon) - before) / 1024
    assert sanitized() or grew < limit_mb, f"{what}: {daemon.name} grew by {grew:.0f} MB"


def clean(*daemons):
    """They are still the processes that were started, and end without a word from a sanitizer."""
    for daemon in daemons:
        assert daemon.process.alive(), daemon.process.log_tail(60)
        process = daemon.process
        status = daemon.stop()
        text = process.log_text()
        at = min((text.find(word) for word in REPORTS if word in text), default=-1)
        assert at < 0, text[at:at + 6000]
        assert status == 0, f"{daemon.name} ended with {status}\n{process.log_tail()}"


# --- OpenFlow by hand ---

def header(kind, size, xid=1, version=4):
    return struct.pack("!BBHI", version, kind, size, xid)


def message(kind, body=b"", xid=1):
    return header(kind, 8 + len(body), xid) + body


def oxm(field, value, has_mask=False, oxm_class=0x8000):
    return struct.pack("!HBB", oxm_class, field << 1 | has_mask, len(value)) + value


def match(*fields):
    body = struct.pack("!HH", 1, 4 + sum(map(len, fields))) + b"".join(fields)
    return body + bytes(-len(body) % 8)


def flow_mod(fields=(), instructions=b"", table=0, command=0, priority=1, flags=0, xid=1, out_port=ANY, cookie=0, buffer_id=NO_BUFFER):
    body = struct.pack("!QQBBHHHIIIHxx", cookie, 0, table, command, 0, 0, priority, buffer_id, out_port, ANY, flags) + match(*fields) + instructions
    return message(FLOW_MOD, body, xid)


def apply_actions(*actions):
    body = b"".join(actions)
    return struct.pack("!HHxxxx", 4, 8 + len(body)) + body


def output(port_no, max_len=0xffff):
    return struct.pack("!HHIH6x", 0, 16, port_no, max_len)


FLOW_STATS = struct.pack("!HHxxxxBxxxIIxxxxQQ", 1, 0, 0xff, ANY, ANY, 0, 0) + match()


class Closed(Exception):
    """The other side closed the connection."""


class Peer:
    """A side of an OpenFlow connection that sends any bytes."""

    def __init__(self, path=None, hello=True, sock=None):
        self.socket = sock or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(15)
        self._received = b""
        if path:
            self.socket.connect(path)
        if hello:
            self.send(message(HELLO))
            kind, _, body = self.receive()
            assert kind == HELLO, (kind, body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive(self, seconds=15):
        """(type, xid, body)"""
        while len(self._received) < 8 or len(self._received) < struct.unpack("!H", self._received[2:4])[0]:
            self.socket.settimeout(seconds)
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed
            self._received += data
        _, kind, size, xid = struct.unpack("!BBHI", self._received[:8])
        body, self._received = self._received[8:size], self._received[size:]
        return kind, xid, body

    def answer(self, data):
        """Sends bytes and gives what comes before the answer to a barrier: [(type, xid, body)]."""
        self.send(data + message(BARRIER_REQUEST, xid=0xba44))
        got = []
        while True:
            kind, xid, body = self.receive()
            if kind == BARRIER_REPLY and xid == 0xba44:
                return got
            if kind == ECHO_REQUEST:
                self.send(message(ECHO_REPLY, body, xid))
            else:
                got.append((kind, xid, body))

    def error(self, data):
        """The one error that the bytes get: (type, code)."""
        errors = [struct.unpack("!HH", body[:4]) for kind, _, body in self.answer(data) if kind == ERROR]
        return errors[0] if len(errors) == 1 else errors

    def is_closed(self, seconds=15):
        try:
            while True:
                self.receive(seconds)
        except Closed:
            return True
        except TimeoutError:
            return False


def corpus():
    return {os.path.basename(path): open(path, "rb").read() for path in sorted(glob.glob(CORPUS + "/*"))}


def forwards(bench, text):
    for tap in bench.taps:
        tap.drain()
    bench.taps[0].send(bench.frame(text))
    bench.expect([bench.frame(text)])


def refresh(bench):
    """The two entries and port states that mutated messages may have changed."""
    sw = bench.sw
    sw.ofctl("del-flows")
    sw.ofctl("del-groups")
    for name in ("p0", "p1"):
        for word in ("up", "forward", "receive"):
            sw.ofctl("mod-port", name, word)
    patch(sw, 1, 2)


# --- The switch and its controllers ---

def test_malformed_openflow(lab):
    bench = Bench(lab)
    patch(bench.sw, 1, 2)
    path = bench.sw.openflow_socket
    in_port, eth_type = oxm(0, struct.pack("!I", 1)), oxm(5, struct.pack("!H", 0x0800))
    cases = [
        ("unknown type", message(30), (BAD_REQUEST, 1)),
        ("a reply", message(FEATURES_REPLY, bytes(24)), (BAD_REQUEST, 1)),
        ("unknown experimenter", message(EXPERIMENTER, struct.pack("!II", 0x123456, 1)), (BAD_REQUEST, 3)),
        ("unknown experimenter type", message(EXPERIMENTER, struct.pack("!II", POLDER, 77)), (BAD_REQUEST, 4)),
        ("an experimenter without a head", message(EXPERIMENTER, b"1234"), (BAD_REQUEST, 6)),
        ("wrong version", header(BARRIER_REQUEST, 8, 5, version=1), (BAD_REQUEST, 0)),
        ("a barrier too long", message(BARRIER_REQUEST, b"x"), (BAD_REQUEST, 6)),
        ("a flow-mod too short", message(FLOW_MOD, bytes(10)), (BAD_REQUEST, 6)),
        ("a match longer than the message", message(FLOW_MOD, flow_mod()[8:48] + struct.pack("!HH", 1, 400) + bytes(4)), None),
        ("an OXM cut off", flow_mod([struct.pack("!HBB", 0x8000, 0, 200)]), (BAD_MATCH, 1)),
        ("an OXM of a wrong length", flow_mod([oxm(0, b"12")]), (BAD_MATCH, 1)),
        ("an unknown OXM field", flow_mod([oxm(99, b"12")]), (BAD_MATCH, 6)),
        ("a field twice", flow_mod([in_port, in_port]), (BAD_MATCH, 10)),
        ("IPv4 without its ethertype", flow_mod([oxm(11, b"1234")]), (BAD_MATCH, 9)),
        ("a bit outside of its mask", flow_mod([eth_type, oxm(11, b"\x01\2\3\4\0\0\0\0", True)]), (BAD_MATCH, 5)),
        ("a table that is not there", flow_mod(table=254, instructions=struct.pack("!HHB3x", 1, 8, 3)), None),
        ("goto backwards", flow_mod(table=5, instructions=struct.pack("!HHB3x", 1, 8, 3)), (BAD_INSTRUCTION, 2)),
        ("unknown instruction", flow_mod(instructions=struct.pack("!HHxxxx", 77, 8)), (BAD_INSTRUCTION, 0)),
        ("an instruction of length 0", flow_mod(instructions=struct.pack("!HHxxxx", 4, 0)), (BAD_INSTRUCTION, 7)),
        ("an instruction too long", flow_mod(instructions=struct.pack("!HHxxxx", 4, 64)), (BAD_INSTRUCTION, 7)),
        ("unknown action", flow_mod(instructions=apply_actions(struct.pack("!HHxxxx", 777, 8))), (BAD_ACTION, 0)),
        ("an action of length 0", flow_mod(instructions=apply_actions(struct.pack("!HHxxxx", 0, 0))), (BAD_ACTION, 1)),
        ("an action too long", flow_mod(instructions=apply_actions(struct.pack("!HHxxxx", 0, 800))), (BAD_ACTION, 1)),
        ("output to port 0", flow_mod(instructions=apply_actions(output(0))), (BAD_ACTION, 4)),
        ("a group that is not there", flow_mod(instructions=apply_actions(struct.pack("!HHI", 22, 8, 5))), (BAD_ACTION, 9)),
        ("a buffer that is not there", flow_mod(buffer_id=7), (BAD_REQUEST, 8)),
        ("unknown command", flow_mod(command=9), (FLOW_MOD_FAILED, 6)),
        ("unknown statistics", message(MULTIPART_REQUEST, struct.pack("!HHxxxx", 200, 0)), (BAD_REQUEST, 2)),
        ("statistics without a body", message(MULTIPART_REQUEST, struct.pack("!HHxxxx", 1, 0)), (BAD_REQUEST, 6)),
        ("packet-out, actions too long", message(PACKET_OUT, struct.pack("!IIH6x", NO_BUFFER, 1, 400)), None),
        ("as many actions as fit a message", flow_mod([in_port], apply_actions(*[output(2)] * 4080)), (BAD_ACTION, 7)),
        ("an error", message(ERROR, struct.pack("!HH", 1, 1)), []),
        ("garbage called an error", message(ERROR, b"1"), []),
    ]
    with Peer(path) as peer:
        for name, data, wanted in cases:
            got = peer.error(data)
            assert got == wanted if wanted is not None else isinstance(got, tuple), f"{name}: error {got}, not {wanted}"
        # Sections 6.3.1 and 7.1: what breaks the framing ends the connection, with an error before it.
        peer.send(header(BARRIER_REQUEST, 7))
        kind, _, body = peer.receive()
        assert (kind, struct.unpack("!HH", body[:4])) == (ERROR, (BAD_REQUEST, 6))
        assert peer.is_closed()
    for first in (header(HELLO, 8, version=0), header(HELLO, 8, version=0xff), header(BARRIER_REQUEST, 8), b"GET / HTTP/1.1\r\n\r\n", header(HELLO, 3),
                  message(HELLO, struct.pack("!HH", 1, 400)), message(HELLO, struct.pack("!HHI", 1, 8, 2)), bytes(64), b"\xff" * 64):
        with Peer(path, hello=False) as peer:
            peer.send(first)
            kinds = []
            try:
                while True:
                    kinds.append(peer.receive(5)[0])
            except Closed:
                pass
            except TimeoutError:
                # 0xff is a newer version's hello, and ours is spoken then (section 6.3.1); the others must have ended.
                assert first[0] == 0xff and first[1] == 0, first
            assert kinds[0] == HELLO and set(kinds[1:]) <= {ERROR, ECHO_REQUEST}, (first, kinds)
    refresh(bench)
    forwards(bench, "after the cases")
    clean(bench.sw)


def test_every_byte_of_every_message(lab):
    """Each byte of each message changed, and each message cut; the switch answers a barrier behind each batch, and forwards."""
    bench, rng, n, most = Bench(lab), seeded(), 0, scaled(12000)
    patch(bench.sw, 1, 2)
    messages = [m for m in corpus().values() if len(m) <= 400]
    jobs = [(m, i) for m in messages for i in range(len(m)) if i not in (2, 3)]     # The length has cases of its own.
    rng.shuffle(jobs)
    peer = Peer(bench.sw.openflow_socket)
    for at in range(0, min(most, len(jobs)), 100):
        batch = []
        for m, i in jobs[at:at + 100]:
            changed = bytearray(m)
            changed[i] = rng.choice([0, 0xff, 0x80, changed[i] ^ 1, rng.randrange(256)])
            batch.append(bytes(changed))
            cut = m[:max(8, i)]
            batch.append(m[:2] + struct.pack("!H", len(cut)) + cut[4:])
        n += len(batch)
        try:
            peer.answer(b"".join(batch))
        except Closed:
            raise AssertionError(f"closed on one of {[b.hex() for b in batch]}") from None
        if at % 2000 == 0:
            peer.socket.close()
            refresh(bench)
            forwards(bench, f"after {n}")
            peer = Peer(bench.sw.openflow_socket)
    peer.socket.close()
    for _ in range(scaled(200)):            # No framing at all.
        with Peer(bench.sw.openflow_socket, hello=rng.random() < 0.8) as garbage:
            try:
                garbage.send(b"\4" + rng.randbytes(rng.randrange(1, 3000)))
            except Closed:
                pass
    refresh(bench)
    forwards(bench, "at the end")
    assert n > 1000
    clean(bench.sw)


def test_peers_that_do_not_read(lab):
    """Statistics of many flows asked for and not taken; flow-removed messages not taken."""
    bench = Bench(lab)
    sw, n = bench.sw, scaled(20000)
    patch(sw, 1, 2)
    with Peer(sw.openflow_socket) as writer:
        for k in range(0, n, 1000):
            mods = [flow_mod([oxm(0, struct.pack("!I", 1)), oxm(3, struct.pack("!Q", 0x020000000000 + i)[2:])], apply_actions(output(2)), table=1, flags=1)
                    for i in range(k, k + 1000)]
            assert writer.answer(b"".join(mods)) == []
        before = rss_kb(sw)
        lazy = [Peer(sw.openflow_socket) for _ in range(8)]
        for peer in lazy:
            peer.socket.setblocking(False)
            try:
                for _ in range(2000):
                    peer.socket.send(message(MULTIPART_REQUEST, FLOW_STATS))
            except BlockingIOError:
                pass
        time.sleep(1)
        grown(sw, before, 64, "eight peers that read no statistics")
        forwards(bench, "while peers do not read")
        # Flow-removed messages cannot be held back by not reading from the peer; who does not take them is let go.
        for _ in range(scaled(5)):
            writer.answer(flow_mod(table=1, command=3))
            for k in range(0, n, 1000):
                mods = [flow_mod([oxm(0, struct.pack("!I", 1)), oxm(3, struct.pack("!Q", 0x020000000000 + i)[2:])], apply_actions(output(2)), table=1, flags=1)
                        for i in range(k, k + 1000)]
                writer.answer(b"".join(mods))
        grown(sw, before, 100, "eight peers that read no flow-removed")
        forwards(bench, "and now")
        for peer in lazy:
            peer.socket.close()
    with Peer(sw.openflow_socket) as peer:
        assert peer.answer(b"") == []
    clean(sw)


def test_too_many_connections(lab):
    """Half-open ones, and more than there may be; each place is free again when its holder leaves."""
    bench = Bench(lab, extra={"openflow": {"limits": {"connections": 20}}})
    patch(bench.sw, 1, 2)
    path, before = bench.sw.openflow_socket, rss_kb(bench.sw)
    held = [Peer(path) for _ in range(20)]
    with Peer(path, hello=False) as refused:
        assert refused.is_closed(5)
    for _ in range(scaled(3000)):
        with Peer(path, hello=False):
            pass
    forwards(bench, "under connects")
    assert held[0].answer(b"") == []        # Who is in stays in.
    for peer in held:
        peer.socket.close()
    half = [Peer(path, hello=False) for _ in range(15)]
    with Peer(path) as peer:
        assert peer.answer(b"") == []
    assert all(peer.is_closed(15) for peer in half)     # No hello within the time.
    grown(bench.sw, before, 16, "connections")
    clean(bench.sw)


def certificates(lab):
    """A CA, a server and a client that it signed, and a stranger's pair: {name: (key, certificate)}."""
    def ssl_run(*args):
        lab.execute(["openssl", *args])
    made = {}
    for ca, names in (("ca", ("server", "client")), ("otherca", ("stranger",))):
        ca_key, ca_cert = lab.dir + f"/{ca}.key", lab.dir + f"/{ca}.pem"
        ssl_run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca_key, "-out", ca_cert, "-days", "2", "-subj", f"/CN={ca}")
        made[ca] = (ca_key, ca_cert)
        for name in names:
            key, request, cert = (f"{lab.dir}/{name}.{end}" for end in ("key", "csr", "pem"))
            ssl_run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
            ssl_run("x509", "-req", "-in", request, "-CA", ca_cert, "-CAkey", ca_key, "-CAcreateserial", "-out", cert, "-days", "2")
            made[name] = (key, cert)
    return made


def tls_peer(made, name, connect, hello=True):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(made["ca"][1])
    if name:
        context.load_cert_chain(made[name][1], made[name][0])
    raw = connect()
    try:
        return Peer(hello=hello, sock=context.wrap_socket(raw))
    except (ssl.SSLError, ConnectionError, OSError):
        raw.close()
        raise Closed from None


def test_wrong_tls(lab):
    made = certificates(lab)
    tls = {"private_key": made["server"][0], "certificate": made["server"][1], "ca_certificate": made["ca"][1]}
    host = lab.host("host1")
    sw = Vswitchd(host, 1, extra={"openflow": {"listen": [f"punix:{host.path('of.sock')}", "ptls:6654:127.0.0.1"], "tls": tls}})

    def connect():
        with f.inside(host.namespace):
            return socket.create_connection(("127.0.0.1", 6654), 15)
    with tls_peer(made, "client", connect) as peer:
        assert peer.answer(b"") == []
    for name in (None, "stranger"):
        try:
            with tls_peer(made, name, connect) as peer:
                peer.answer(b"")
            raise AssertionError(f"accepted {name or 'no certificate'}")
        except (Closed, ssl.SSLError):
            pass
    for data in (message(HELLO), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(65535), b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\xff" * 100):
        with Peer(hello=False, sock=connect()) as peer:
            try:
                peer.send(data)
                assert peer.is_closed(12), data[:10]
            except Closed:
                pass
    with Peer(host.path("of.sock"), hello=False) as peer:       # TLS to a plain listener
        peer.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
        assert peer.is_closed(12)
    with tls_peer(made, "client", connect) as peer:
        assert peer.answer(b"") == []
    clean(sw)


# --- The controller and its switches ---

class Switch(Peer):
    """An OpenFlow switch as far as controllerd's handshake goes, in a thread of its own: answers what must be answered, counts the rest."""

    def __init__(self, ctl, dpid, n_ports=2):
        self.dpid, self.n_ports, self.flow_mods, self.ended = dpid, n_ports, 0, False
        super().__init__(ctl.openflow.removeprefix("unix:"))
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __exit__(self, *_):
        self.ended = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join()
        self.socket.close()

    @staticmethod
    def port(number, name=None):
        return struct.pack("!I4x6s2x16s", number, struct.pack("!Q", 0x0a0000000000 + number)[2:], (name or f"e{number}").encode()) + bytes(32)

    def send(self, data):
        if not hasattr(self, "_lock"):
            return super().send(data)
        with self._lock:
            super().send(data)

    def _serve(self):
        try:
            while not self.ended:
                try:
                    self._serve_one(*self.receive(1))
                except TimeoutError:
                    pass
        except (Closed, OSError):
            self.ended = True

    def _serve_one(self, kind, xid, body):
        if kind == FEATURES_REQUEST:
            self.send(message(FEATURES_REPLY, struct.pack("!QIBBxxII", self.dpid, 0, 254, 0, 0x47, 0), xid))
        elif kind == ECHO_REQUEST:
            self.send(message(ECHO_REPLY, body, xid))
        elif kind == BARRIER_REQUEST:
            self.send(message(BARRIER_REPLY, b"", xid))
        elif kind == EXPERIMENTER:
            self.send(message(ERROR, struct.pack("!HH", BAD_REQUEST, 3), xid))
        elif kind == MULTIPART_REQUEST:
            part = struct.unpack("!H", body[:2])[0]
            for answer in self.parts(part):
                self.send(message(MULTIPART_REPLY, answer, xid))
        elif kind == FLOW_MOD:
            self.flow_mods += 1

    def parts(self, part):
        """OFPMP_AGGREGATE 2, OFPMP_PORT_DESC 13; everything else is empty."""
        body = bytes(24) if part == 2 else b"".join(self.port(i + 1) for i in range(self.n_ports)) if part == 13 else b""
        yield struct.pack("!HHxxxx", part, 0) + body


class PortFlood(Switch):
    """Tells of ports without an end."""

    def parts(self, part):
        if part != 13:
            yield from super().parts(part)
            return
        for k in range(0, self.n_ports, 1000):
            more = k + 1000 < self.n_ports
            yield struct.pack("!HHxxxx", 13, more) + b"".join(self.port(i + 1) for i in range(k, min(k + 1000, self.n_ports)))


def small_network(name="quick", n_ports=1, tenant="red", edges=("host1", "host2"), network="net", first=1):
    """A document with a network of ports that vswitchd makes for it."""
    ports = [{"name": f"{name}{i}", "edge": edges[i % len(edges)]} for i in range(n_ports)]
    return {"tenants": [{"name": tenant}], "vpcs": [{"name": "test", "tenant": tenant, "networks": [{"name": network, "subnet": f"10.{first}.0.0/16", "ports": ports}]}]}


def installed_in(site, name, first, seconds=60):
    """Applies a network with a port on each edge, and gives how long it takes until both edges have rules for both ports.

    `--wait=installed` waits for every switch, so also for one that misbehaves.
    """
    begun = time.monotonic()
    site.apply(small_network("p", len(site.hosts), network=name, first=first), wait=False)
    macs = [site.ctl.json("get", "port", f"red/test/{name}/p{i}")["spec"]["mac"] for i in range(len(site.hosts))]
    site.lab.wait_for(f"rules of {name}", lambda: all(mac in edge.ofctl("dump-flows") for edge in site.edges for mac in macs), seconds)
    took = time.monotonic() - begun
    site.lab.wait_for("the edges to be in sync", lambda: all(site.switch_states()[host.name] == "in-sync" for host in site.hosts), seconds)
    return took


def quiet_site(lab, **kwargs):
    site = Site(lab, **kwargs)
    a, b = (site.endpoint("red", name, i, MAC[i], f"10.0.0.{11 + i}", f"fd00::{11 + i}") for i, name in enumerate("ab"))
    site.start()
    return site, a, b


def carries(a, b, text="still there"):
    frame = f.ethernet(b.mac, a.mac, f.EXPERIMENT, text.encode())
    b.listen()
    a.send(frame)
    assert b.heard(1) == [frame], text


def test_switches_that_misbehave(lab):
    """Malformed replies, floods and a stolen datapath id do not keep controllerd from serving the others."""
    site, a, b = quiet_site(lab)
    ctl, rng = site.ctl, seeded()
    path = ctl.openflow.removeprefix("unix:")
    site.apply({"fabric_switches": [{"name": "rogue", "datapath_id": "00000000000000bb"}]}, wait=False)
    before = rss_kb(ctl)

    # Bytes, before and after a handshake.  Every corpus message, and each with bytes changed.
    for _ in range(scaled(200)):
        with Peer(path, hello=False) as peer:
            try:
                peer.send(rng.choice([b"", message(HELLO)]) + rng.randbytes(rng.randrange(1, 2000)))
            except Closed:
                pass
    messages = [m for m in corpus().values() if len(m) <= 400]
    def mutated():
        m = bytearray(rng.choice(messages))
        for _ in range(rng.randrange(0, 3)):
            i = rng.choice([i for i in range(len(m)) if i not in (0, 2, 3)])
            m[i] = rng.choice([0, 0xff, rng.randrange(256)])
        return bytes(m)
    left, times_in = scaled(6000), 0
    while left:
        with Switch(ctl, 0xbb) as rogue:
            lab.wait_for("the rogue's handshake", lambda: rogue.ended or site.switch_states().get("rogue") == "in-sync", 20)
            times_in += 1
            try:
                for left in range(left - 1, -1, -1):
                    rogue.send(mutated())
            except Closed:
                pass                        # Such as a features reply that says auxiliary connection.
    assert times_in < left + 100, times_in
    carries(a, b, "under malformed messages")
    took = installed_in(site, "net1", 1)
    assert took < 10 or sanitized(), f"a network takes {took:.1f} s"

    # A flood of packet-ins, of 10^5, while a network is installed elsewhere.
    data = f.ethernet("03:00:00:00:00:01", "52:54:00:00:00:77", f.EXPERIMENT, b"x")
    body = struct.pack("!IHBBQ", NO_BUFFER, len(data), 1, 0, 0) + match(oxm(0, struct.pack("!I", 1))) + b"\0\0" + data
    with Switch(ctl, 0xbb) as rogue:
        flood = message(PACKET_IN, body) * 100
        sent = []

        def pour():
            try:
                for _ in range(scaled(1000)):
                    rogue.send(flood)
                    sent.append(100)
            except Closed:
                pass
        thread = threading.Thread(target=pour, daemon=True)
        thread.start()
        took = installed_in(site, "net2", 2)
        assert took < (30 if sanitized() else 5), f"under a flood of packet-ins a network takes {took:.1f} s"
        thread.join(60)
        assert sum(sent) == 100 * scaled(1000), sum(sent)

    # Ports: too many in the description, then port-status for ever.
    with PortFlood(ctl, 0xbb, n_ports=scaled(100000)) as rogue:
        took = installed_in(site, "net3", 3)
        assert took < (30 if sanitized() else 5), f"under a flood of ports a network takes {took:.1f} s"
        site.links_up()
    with Switch(ctl, 0xbb) as rogue:
        try:
            for i in range(scaled(20000)):
                rogue.send(message(PORT_STATUS, struct.pack("!B7x", 0) + Switch.port(i + 1)))
        except Closed:
            pass
        took = installed_in(site, "net4", 4)
        assert took < (30 if sanitized() else 5), f"under a flood of port-status a network takes {took:.1f} s"

    # Unknown and stolen datapath ids.
    strangers = [Switch(ctl, 0x5000 + i) for i in range(100)]
    thieves = []
    for _ in range(3):                      # The real one comes back each time.
        thieves.append(Switch(ctl, 1))
        time.sleep(0.5)
    for peer in strangers + thieves:
        peer.__exit__()
    lab.wait_for("the real edge to be back", lambda: site.switch_states()["host1"] == "in-sync", 20)
    installed_in(site, "net5", 5)
    carries(a, b, "after all that")
    grown(ctl, before, 200, "misbehaving switches")
    clean(*site.edges, ctl)


test_switches_that_misbehave.seconds = 240


def test_slow_and_many_switches(lab):
    """Half-open connections, more than there may be; one that does not read while rules are sent to it."""
    site, a, b = quiet_site(lab)
    ctl = site.ctl
    path = ctl.openflow.removeprefix("unix:")
    site.apply({"fabric_switches": [{"name": "deaf", "datapath_id": "00000000000000bb"}]}, wait=False)
    half = [Peer(path, hello=False) for _ in range(400)]
    carries(a, b)
    site.edges[0].restart()                 # It finds no place, until the half-open ones have had their time.
    deaf = Switch(ctl, 0xbb)
    assert installed_in(site, "net1", 1) < 30
    lab.wait_for("the edge to be back", lambda: site.switch_states()["host1"] == "in-sync", 40)
    assert all(peer.is_closed(20) for peer in half)
    deaf.__exit__()
    carries(a, b)
    clean(*site.edges, ctl)


# --- Control socket, REST, command lines ---

def rpc(sock, line):
    """One request to the control socket: the answer, or None when the connection was closed."""
    try:
        sock.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            data = sock.recv(1 << 16)
            if not data:
                return None
            answer += data
        return json.loads(answer)
    except (BrokenPipeError, ConnectionResetError):
        return None


def control(sw):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(sw.socket)
    return sock


def test_garbage_on_the_control_socket(lab):
    bench, rng = Bench(lab), seeded()
    sw = bench.sw
    patch(sw, 1, 2)
    before = rss_kb(sw)
    deep = b'{"id":1,"method":"show","params":' + b'{"a":' * 20000 + b"1" + b"}" * 20000 + b"}\n"
    lines = [b"garbage\n", b"{}\n", b"[]\n", b"null\n", b"1\n", b'"x"\n', b'{"id":1}\n', b'{"id":-1,"method":"show"}\n', b'{"id":1e300,"method":"show"}\n',
             b'{"id":1,"method":7}\n', b'{"id":1,"method":"show","params":7}\n', b'{"id":1,"method":"show","params":{"x":1}}\n', b'{"id":1,"method":"sh\\u0000ow"}\n',
             b'{"id":1,"method":"show","id":2}\n', b'{"id":1,"method":"show"} trailing\n', b"\xff\xfe\xfd\n", b'{"id":1,"method":"\xff"}\n', deep,
             b'{"id":1,"method":"' + b"x" * 500000 + b'"}\n', b'{"id":1,"method":"capture","params":{"port":"p0","snaplen":-1}}\n',
             b'{"id":1,"method":"trace","params":{"flow":"' + b"a=" * 9000 + b'"}}\n', b'{"id":1,"method":"trace","params":{"packet":"zz"}}\n',
             b'{"id":1,"method":"flows","params":{"match":"' + b"(" * 9000 + b'"}}\n', b'{"id":1,"method":"port-add","params":{"name":"a"}}\n',
             b'{"id":1,"method":"port-add","params":{"name":"a","type":"vhost-user","path":"' + b"/x" * 200 + b'"}}\n',
             b'{"id":1,"method":"port-add","params":{"name":"a","type":"dpdk","devargs":"net_null0,--foo=1,,,=="}}\n',
             b'{"id":1,"method":"port-add","params":{"name":"a","type":"dpdk","devargs":"--vdev"}}\n',
             b'{"id":1,"method":"log-level","params":{}}\n', b'{"id":1,"method":"ports","params":{"name":7}}\n']
    with control(sw) as sock:
        for line in lines:
            answer = rpc(sock, line)
            assert answer and "error" in answer and answer["error"]["message"], (line[:100], answer)
        assert "result" in rpc(sock, b'{"id":1,"method":"show"}\n')
    with control(sw) as sock:               # A line too long ends the connection, and no memory is kept for it.
        assert rpc(sock, b"x" * (3 << 20)) is None
    for _ in range(scaled(300)):
        with control(sw) as sock:
            line = bytearray(rng.choice(lines[:16] + lines[19:]))
            for _ in range(3):
                line[rng.randrange(len(line))] = rng.randrange(256)
            try:
                sock.sendall(line)
            except BrokenPipeError:
                pass                        # The places of those before it are not free yet.
    many = []
    for _ in range(1000):
        many.append(control(sw))
    time.sleep(0.5)
    forwards(bench, "while a thousand are connected")
    for sock in many:
        sock.close()
    lab.wait_for("a place for vswctl", lambda: sw.vswctl("show", check=False).rc == 0, 5)
    slow = [control(sw) for _ in range(30)]
    for byte in b'{"id":1,"met':
        for sock in slow:
            sock.send(bytes([byte]))
        time.sleep(0.02)
    assert sw.vswctl("show").rc == 0
    for sock in slow:
        sock.close()
    with control(sw) as sock:               # Asks and does not listen.
        sock.setblocking(False)
        try:
            while True:
                sock.send(b'{"id":1,"method":"metrics"}\n' * 100)
        except BlockingIOError:
            pass
        time.sleep(0.5)
        assert sw.vswctl("show").rc == 0
    grown(sw, before, 32, "the control socket's clients")
    clean(sw)


def http_raw(connect, data, seconds=10):
    """The bytes that come back until the other side closes or nothing comes for the time."""
    with connect() as sock:
        sock.settimeout(seconds)
        answer = b""
        try:
            sock.sendall(data)
            while part := sock.recv(1 << 16):
                answer += part
                if re.search(rb"\r\n\r\n", answer) and (m := re.search(rb"Content-Length: (\d+)", answer)) and len(answer.split(b"\r\n\r\n", 1)[1]) >= int(m[1]):
                    break
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        return answer


def status_of(answer):
    m = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(m[1]) if m else None


def test_garbage_to_the_api(lab):
    ctl, rng = Controllerd(lab.host("control")), seeded()
    before = rss_kb(ctl)

    def connect():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(ctl.socket)
        return sock

    def post(body, path="/v1/apply"):
        return ctl.request("POST", path, body)
    deep = b'{"a":' * 100000 + b"1" + b"}" * 100000
    many = json.dumps({"tenants": [{"name": f"t{i}"} for i in range(2000)]}).encode()
    for body, wanted in [(b"", 400), (b"garbage", 400), (b"[]", 400), (b"null", 400), (b"{", 400), (deep, 400), (b"[" * 200000, 400), (b'{"tenants":{}}', 400),
                         (b'{"tenants":[7]}', 400), (b'{"tenants":[{"name":"' + b"x" * 100000 + b'"}]}', 400), (b'{"tenants":[{"name":"a\\u0000b"}]}', 400),
                         (b'{"tenants":[{"name":"red"}],"tenants":[]}', 400), (b'{"x":1}', 400), (b'\xff\xfe{}', 400), (b"{}", 200), (many, 200),
                         (b'{"edges":[{"name":"a","datapath_id":"1"},{"name":"b","datapath_id":"1"}]}', 400)]:
        status, _, text = post(body, "/v1/apply?dry_run=1")
        assert status == wanted, (body[:60], status, text[:300])
        answer = json.loads(text)
        assert status == 200 or answer["error"]["message"], text
    for path, wanted in [("/v1/ports/%00", 400), ("/v1/ports/%ff%fe", 400), ("/v1/nonsense", 404), ("/" + "x" * 8000, 404), ("/v1/ports/" + "a/" * 3000, 404), ("/v1/ports?x=1", 400),
                         ("/v1/ports?tenant=a&tenant=b", 400), ("/v1/installed?revision=-1", 400), ("/v1/installed?revision=99999999999999999999999", 400),
                         ("/v1/installed?timeout_ms=99999999999", 400), ("/v1/trace?port=" + "%2f" * 500 + "&to=1", 404), ("/v1/whois/1.2.3.4.5", 400), ("/v1/whois/%2e%2e", 400),
                         ("/v1/ports/../../etc/passwd", 404), ("//v1//ports", 404)]:
        status, _, text = ctl.request("GET", path)
        assert status == wanted, (path[:60], status, text[:300])
    for data in (b"garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"\0" * 5000, b"\xff" * 5000,
                 b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                 b"POST /v1/apply HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"POST /v1/apply HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                 b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        answer = http_raw(connect, data, 3)
        assert status_of(answer) in (None, 400, 404, 405, 413, 417, 431, 501), (data[:60], answer[:200])
    for _ in range(scaled(300)):
        data = bytearray(b'POST /v1/apply?dry_run=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 33\r\n\r\n{"tenants":[{"name":"red"}]}12345')
        for _ in range(3):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with connect() as sock:
            sock.sendall(bytes(data))
    # Askers who leave before the answer comes.
    for request in (b"GET /v1/installed?revision=0&timeout_ms=60000 HTTP/1.1\r\n\r\n", b"GET /v1/edges HTTP/1.1\r\n\r\n" * 50,
                    b'POST /v1/apply HTTP/1.1\r\nContent-Length: 28\r\n\r\n{"tenants":[{"name":"red"}]}'):
        for _ in range(20):
            with connect() as sock:
                sock.sendall(request)
                time.sleep(rng.random() * 0.01)
    held = [connect() for _ in range(1000)]
    for sock in held:
        sock.send(b"GET /v1/ver")
    begun = time.monotonic()
    assert ctl.request("GET", "/v1/version")[0] == 200
    assert time.monotonic() - begun < 3
    for sock in held:
        sock.close()
    grown(ctl, before, 100, "the API's clients")
    clean(ctl)


def test_api_over_tls_under_attack(lab):
    """Strangers can neither see anything nor use up the descriptors that switches need."""
    made, host = certificates(lab), lab.host("control")
    tokens = host.path("tokens.json")
    with open(tokens, "w", encoding="utf-8") as file:
        json.dump([{"token": "operator-token-0123456789", "name": "op", "role": "operator"}], file)
    os.chmod(tokens, 0o600)
    extra = {"rest": {"listen": "127.0.0.1:8443", "tls": {"private_key": made["server"][0], "certificate": made["server"][1]}, "tokens": tokens}}
    spawn = host.spawn
    host.spawn = lambda name, argv: spawn(name, ["prlimit", "--nofile=400:400", *argv])
    ctl = Controllerd(host, extra=extra)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(made["ca"][1])

    def connect(tls=True):
        with f.inside(host.namespace):
            sock = socket.create_connection(("127.0.0.1", 8443), 15)
        return context.wrap_socket(sock) if tls else sock

    def get(token):
        header = f"Authorization: {token}\r\n" if token is not None else ""
        return status_of(http_raw(connect, f"GET /v1/tenants HTTP/1.1\r\n{header}\r\n".encode()))
    good = "Bearer operator-token-0123456789"
    assert get(good) == 200
    for token in (None, "", "Bearer", "Bearer ", "Bearer x", "Basic b3A6b3A=", "Bearer operator-token-012345678", "Bearer operator-token-01234567890", "bearer " + "x" * 9000):
        assert get(token) == 401, token
    for data in (b"GET /v1/tenants HTTP/1.1\r\nAuthorization: " + good.encode() + b"\r\n\r\n", b"\xff" * 1000, b"\x16\x03\x01\xff\xff" + bytes(70000)):
        assert status_of(http_raw(lambda: connect(False), data, 3)) is None
    # More connections than there are descriptors: who only connects, or sends a byte now and then.
    log_before = os.path.getsize(ctl.process.log)
    with f.inside(host.namespace):
        held = [socket.socket() for _ in range(500)]
    for sock in held:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", 8443))
    time.sleep(1)
    with Switch(ctl, 0x77):                 # A switch still gets in, and so does the operator at the unix socket.
        lab.wait_for("the switch", lambda: "0000000000000077" in ctl.vpcctl("get", "edges", "-o", "json").output, 10)
    assert os.path.getsize(ctl.process.log) - log_before < 100000, "the log is flooded"
    for sock in held:
        sock.close()
    lab.wait_for("a place at the API", lambda: get(good) == 200, 20)
    clean(ctl)


def test_strange_files_and_arguments(lab):
    """vpcctl and vswctl with what nobody should give them: an exit status of the table and one message, in time."""
    ctl = Controllerd(lab.host("control"))
    sw = Vswitchd(lab.host("host1"), 1)
    rng, n = seeded(), 0

    def written(data):
        nonlocal n
        n += 1
        path = f"{lab.dir}/strange{n}.yaml"
        with open(path, "wb") as file:
            file.write(data)
        return path
    laughs = b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12))
    files = ["/dev/zero", "/dev/null", "/nonexistent", "/proc/self/mem", lab.dir + "/nothing/here", program("vpcctl"), written(laughs), written(b"[" * 100000), written(b"{a: " * 100000),
             written(b"a: &a [*a]"), written(b"- " * 50000), written(b"\xff\xfe\0\0"), written(b"tenants: !!python/object:os.system [x]"), written(b"? " * 1000), written(b"%YAML 9.9\n---\n"),
             written(b"a: 1\na: 2\n"), written(b"tenants:\n\t- x"), written(b"--- |\n" + b"x" * 1000000), written(b"tenants: *nobody"), written(b"<<: *x"), written(b"\0" * 1000),
             written(b"tenants: [{name: " + b"x" * 1000000 + b"}]")]
    files += [written(rng.randbytes(rng.randrange(1, 2000))) for _ in range(scaled(20))]
    for path in files:
        for command in (["apply", "-f", path], ["diff", "-f", path]):
            begun = time.monotonic()
            result = ctl.vpcctl(*command, check=False, timeout=30)
            # An empty document is a document.
            assert result.rc in ((0, 1, 2) if os.path.basename(path) == "null" else (1, 2)), (path, result)
            assert result.rc == 0 or len(result.errors) < 2000, result
            assert time.monotonic() - begun < 15, path
    os.mkdir(lab.dir + "/folder")
    assert ctl.vpcctl("apply", "-f", lab.dir + "/folder", check=False).rc in (1, 2)     # Nothing in it.
    os.mkfifo(lab.dir + "/folder/x.yaml.fifo")
    for args in (["get"], ["get", "nonsense"], ["get", "port", "x" * 5000], ["get", "port", "a\x01b"], ["get", "ports", "-o", "xml"], ["trace", "a", "--to", "b"], ["whois", "x" * 300], ["delete", "port"],
                 ["apply"], ["apply", "-f"], ["apply", "-f", files[-1], "--timeout", "-5s"], ["create", "tenant", "../x"], ["create", "port", "a/b/c/d", "--mac", "x"], ["--server", "unix:" + "x" * 300, "get", "ports"],
                 ["--server", "ftp://x", "get", "ports"], ["--server", "https://[::1", "get", "ports"], ["--token-file", "/dev/zero", "get", "ports"], ["--token-file", "/", "get", "ports"]):
        result = ctl.vpcctl(*args, check=False, timeout=30)
        assert result.rc in (1, 2, 3, 4, 5, 6, 7) and 0 < len(result.errors) < 7000, (args, result)
    for args in (["nonsense"], ["ports", "x" * 5000], ["flows", "table=999"], ["flows", "in_port=" + "9" * 500], ["flows", "(" * 5000], ["trace", "in_port=1"], ["trace", "in_port=p,packet"],
                 ["trace", "in_port=1", "--packet", "f" * 100001], ["trace", "in_port=1", "--packet", "xyz"], ["capture", "p0"], ["capture", "p0", "-w", "/nonexistent/x"],
                 ["capture", "p0", "-w", lab.dir], ["port-add", "a"], ["port-add", "a", "type=vhost-user", "path=" + "/x" * 100], ["port-add", "a", "type=vhost-user", "path=/nonexistent/a.sock", "role=server"],
                 ["port-add", "a", "type=dpdk", "devargs=net_af_packet9,iface=nosuch"], ["port-add", "a", "type=dpdk", "devargs=" + "x" * 5000], ["port-add", "../a", "type=vhost-user"], ["port-add", "a", "type=vhost-user", "ofport=0"],
                 ["port-add", "a", "type=vhost-user", "ofport=99999999999"], ["port-add", "a", "type=vhost-user", "mtu=5"], ["port-del", "nobody"], ["log-level", "loud"], ["-s", "/nonexistent", "show"],
                 ["-n", "../../x", "show"], ["-n", "x" * 300, "show"], ["-o", "xml", "show"]):
        result = sw.vswctl(*args, check=False, timeout=30)
        assert result.rc in (1, 2, 3, 4, 6, 7) and 0 < len(result.errors) < 7000, (args, result)
    for name, data in (("vswitchd", b"[" * 100000), ("vswitchd", rng.randbytes(3000)), ("controllerd", b'{"name":' * 5000), ("controllerd", b"\0"), ("controllerd", b"")):
        result = lab.hosts[0].run([program(name), "--config", written(data), "--check"], check=False)
        assert result.rc == 1, result
    for name in ("vswitchd", "controllerd"):
        for path in ("/dev/zero", "/", "/nonexistent"):
            result = lab.hosts[0].run([program(name), "--config", path, "--check"], check=False, timeout=20)
            assert result.rc in (1, 2) and len(result.output) < 2000, result
    clean(sw, ctl)


# --- Virtual machines ---

def test_machines_killed_under_traffic(lab):
    """QEMU goes, killed, at any moment, also during its boot; the other machine's port and the switch stay as they are."""
    sw, a, b = two_vms(lab)
    rng, before = seeded(), None
    b.run(f"while true; do frame send eth0 {f.ethernet(f.BROADCAST, MAC[1], f.EXPERIMENT, b'x' * 1000).hex()} 1000; done > /dev/null 2>&1 &", check=True)
    for i in range(scaled(5)):
        time.sleep(rng.uniform(0, 3))       # Somewhere between the socket's first message and traffic.
        a.stop()
        assert sw.json("show")["ports"] == 2
        a.start()
        if i == 1:
            before = rss_kb(sw)
    a.wait_boot().configure("eth0", "10.0.0.1/24")
    b.run("killall sh; killall frame")
    b.run("ip addr replace 10.0.0.2/24 dev eth0")
    assert a.ping("10.0.0.2", 3) == 3
    before and grown(sw, before, 16, "machines killed")
    for vm in (a, b):
        vm.stop()
    for name in ("vm1", "vm2"):
        wait_link(lab, sw, name, "down")
    clean(sw)


test_machines_killed_under_traffic.seconds = 90 + 15 * scaled(5)


def test_frames_of_a_hostile_machine(lab):
    """Runts, 64 KB, headers that lie about what follows."""
    sw, a, b = two_vms(lab)
    rng = seeded()
    a.run("ip link set eth0 mtu 65000", check=False)
    dst, src = f.mac(MAC[1]), f.mac(MAC[0])
    frames = [dst + src + b"\x88\xb5", dst + src + b"\x08\x00", dst + src + b"\x08\x00\x45", dst + src + b"\x08\x00\x4f" + bytes(19), dst + src + b"\x81\x00", dst + src + b"\x81\x00\x00\x01\x08\x00\x45",
              dst + src + b"\x81\x00\x00\x01" * 100, dst + src + b"\x86\xdd\x60", dst + src + b"\x86\xdd" + b"\x60" + bytes(5) + b"\0\xff" + bytes(32) + b"\0\xff" * 40,
              dst + src + b"\x88\x47" + bytes(3), dst + src + b"\x08\x06\0\1\x08\0\6\4", bytes(14), b"\xff" * 14, dst + src + b"\x05\xdc" + b"x",
              f.ethernet(MAC[1], MAC[0], f.IPV4, f.ipv4("10.0.0.1", "10.0.0.2", f.TCP, b"\0" * 7)), f.ethernet(MAC[1], MAC[0], f.IPV4, f.ipv4("10.0.0.1", "10.0.0.2", f.UDP, b"")),
              f.ethernet(MAC[1], MAC[0], f.IPV4, f.ipv4("10.0.0.1", "10.0.0.2", f.ICMP, b""), pad=0)]
    frames += [dst + src + rng.choice([b"\x08\x00\x45", b"\x86\xdd\x60", b"\x81\x00\x20", b"\x88\xa8", b"\x08\x06"]) + rng.randbytes(rng.randrange(60)) for _ in range(scaled(40))]
    # Every table that parses: entries that need the inner headers, and that rewrite what may not be there.
    for flow in ("priority=9,tcp,tp_dst=1,actions=drop", "priority=9,udp6,tp_src=1,actions=drop", "priority=9,arp,arp_tpa=1.2.3.4,actions=drop", "priority=9,icmp6,icmpv6_type=135,nd_target=::1,actions=drop",
                 "priority=8,ip,in_port=1,actions=set_field:10.9.9.9->ip_src,dec_ttl,output:2", "priority=8,ipv6,in_port=1,actions=set_field:fd00::9->ipv6_src,dec_ttl,output:2",
                 "priority=8,vlan_tci=0x1000/0x1000,in_port=1,actions=pop_vlan,output:2", "priority=8,arp,in_port=1,actions=set_field:1.1.1.1->arp_spa,output:2"):
        sw.ofctl("add-flow", flow)
    frames.sort(key=len)
    for at in range(0, len(frames), 12):
        a.run("\n".join(f"frame send eth0 {frame.hex()} 3" for frame in frames[at:at + 12]))
    for frame in frames:
        sw.vswctl("trace", "in_port=1", "--packet", frame.hex(), check=False)
    head = f.ethernet(MAC[1], MAC[0], f.EXPERIMENT, b"y", pad=0).hex()
    a.run(f"for n in 1500 2000 9000 16000 40000 60000; do frame send eth0 {head}$(head -c $((2 * n)) /dev/zero | tr '\\0' 0) 20; done")
    patch(sw, 1, 2)
    for kind in ("ip", "ipv6", "arp"):
        sw.ofctl("del-flows", kind + ",in_port=1")
    a.run("ip link set eth0 mtu 1500")
    assert a.ping("10.0.0.2", 3) == 3
    a.stop()
    b.stop()
    clean(sw)


test_frames_of_a_hostile_machine.seconds = 180


def test_sockets_in_strange_places(lab):
    """Paths too long, removed, taken or forbidden: an error that says so, and nothing is left half made."""
    host = lab.host("host1")
    sw = Vswitchd(host, 1)

    def add(*args):
        result = sw.vswctl("port-add", "a", "type=vhost-user", *args, check=False)
        return result.rc, result.errors
    for args, word in [((f"path={'/' + 'x' * 107}",), "path"), ((f"path={'/' + 'x' * 107}", "role=server"), "path"), (("path=relative.sock",), "path"), (("path=/nonexistent/a.sock", "role=server"), "/nonexistent"),
                       (("path=/proc/a.sock", "role=server"), "/proc/a.sock"), ((f"path={host.dir}", "role=server"), host.dir), ((f"path={sw.socket}", "role=server"), sw.socket), (("path=",), "path")]:
        rc, errors = add(*args)
        assert rc in (1, 2, 4) and word in errors, (args, rc, errors)
        assert sw.json("ports")["ports"] == []
    assert os.path.exists(sw.socket) and os.path.isdir(host.dir)
    with open(host.path("file"), "w", encoding="ascii") as file:
        file.write("mine")
    rc, errors = add(f"path={host.path('file')}", "role=server")
    assert rc in (1, 4), errors
    with open(host.path("file"), encoding="ascii") as file:
        assert file.read() == "mine"
    # A client port may wait for what is not there yet, or is no socket, or goes away.
    for path in ("/nonexistent/a.sock", host.path("file"), host.dir):
        rc, errors = add(f"path={path}")
        assert rc == 0, errors
        time.sleep(0.2)
        assert port(sw, "a")["link"] == "down"
        sw.vswctl("port-del", "a")
    rc, errors = add(f"path={host.path('a.sock')}", "role=server")
    assert rc == 0, errors
    os.unlink(host.path("a.sock"))
    sw.vswctl("port-del", "a")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(host.path("b.sock"))
    listener.listen()
    assert add(f"path={host.path('b.sock')}")[0] == 0
    for garbage in (b"", b"x", bytes(1000), b"\xff" * 1000, struct.pack("<III", 1, 1, 0xffffffff), struct.pack("<III", 9999, 1, 0), struct.pack("<IIIQ", 2, 1, 8, 2**64 - 1),
                    struct.pack("<IIIII", 8, 1, 8, 0, 0xffffffff), struct.pack("<IIIQ", 5, 1, 8, 8) + bytes(320)):
        listener.settimeout(10)
        connection, _ = listener.accept()       # It comes back each time.
        try:
            connection.sendall(garbage)
            connection.settimeout(0.3)
            connection.recv(1000)
        except (OSError, TimeoutError):
            pass
        connection.close()
    assert port(sw, "a")["link"] == "down"
    sw.vswctl("port-del", "a")
    listener.close()
    clean(sw)


# --- Endurance ---

def flow_count(sw):
    return sw.json("show")["flows"]


def test_networks_come_and_go(lab):
    site, a, b = quiet_site(lab)
    n_cycles, seen, before = scaled(25), set(), None
    base = [(flow_count(sw), sorted(p["name"] for p in sw.json("ports")["ports"]), sw.json("show")["groups"]) for sw in site.edges]
    vpc = {"tenants": [{"name": "red"}], "vpcs": [{"name": "test", "tenant": "red"}]}
    site.apply(vpc)
    for cycle in range(n_cycles):
        site.apply(small_network("p", 10))
        items = site.ctl.json("get", "ports")["items"]
        sockets = {item["status"]["vhost_socket"] for item in items if item["name"].startswith("red/test/")}
        assert len(sockets) == 10 and None not in sockets and "" not in sockets, items
        reused = sockets & seen
        assert not reused, f"cycle {cycle}: {reused} was another port's"
        seen |= sockets
        # The names are p<id>: ids are never used again.
        for sw in site.edges:
            names = sorted(p["name"] for p in sw.json("ports")["ports"] if p["type"] == "vhost-user")
            assert len(names) == 5 and all(any(path.endswith(f"/{name}.sock") for path in sockets) for name in names), (names, sockets)
        for i in range(10):
            site.ctl.vpcctl("delete", "port", f"red/test/net/p{i}")
        site.ctl.vpcctl("delete", "network", "red/test/net", "--wait=installed")
        if cycle == n_cycles // 5:
            before = [rss_kb(d) for d in (*site.edges, site.ctl)]
    site.lab.wait_for("ports to be gone", lambda: [sorted(p["name"] for p in sw.json("ports")["ports"]) for sw in site.edges] == [x[1] for x in base], 10)
    for sw, (flows, names, groups) in zip(site.edges, base):
        assert flow_count(sw) == flows and sw.json("show")["groups"] == groups, (flow_count(sw), flows)
        assert not glob.glob(sw.run_dir + "/p*.sock")
    for daemon, was in zip((*site.edges, site.ctl), before):
        grown(daemon, was, 2 + n_cycles / 50, f"{n_cycles} networks")
    carries(a, b, "at the end")
    clean(*site.edges, site.ctl)


test_networks_come_and_go.seconds = 60 + 4 * scaled(25)


def test_restarts_under_traffic(lab):
    """Both kinds of daemons stopped, killed and started again while frames flow; nothing is sent to a switch that has it."""
    site, a, b = quiet_site(lab)
    flows = [flow_count(sw) for sw in site.edges]
    for signum in (signal.SIGTERM, signal.SIGKILL) * scaled(1):
        process = site.ctl.process
        site.ctl.stop(signum)
        assert signum == signal.SIGKILL or not any(word in process.log_text() for word in REPORTS), process.log_tail(60)
        carries(a, b, "without a controller")
        site.ctl.start()
        site.wait_synced()
        carries(a, b, "with it")
        for i, sw in enumerate(site.edges):
            sw.stop(signum)
            sw.start()
            site.wait_synced(30)
            lab.wait_for("rules", lambda sw=sw, i=i: flow_count(sw) == flows[i], 20)
            lab.wait_for("links", lambda: len(site.links_up()) == 1, 20)
            site.wait_synced(30)
            carries(a, b, f"after the restart of {sw.name}")
    clean(*site.edges, site.ctl)


test_restarts_under_traffic.seconds = 180
