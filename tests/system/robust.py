"""What the adversary's tests share: hostile peers made by hand, and what is asked of a daemon afterwards.

Sizes grow with POLDER_ROBUST_SCALE (default 1: about four minutes in all on an idle machine); POLDER_ROBUST_SEED repeats a run.
"""
import glob
import os
import random
import socket
import ssl
import struct
import threading
import time

from tests.system import frames as f
from tests.system.site import Site
from tests.system.test_vswitch import MAC, patch
from utilities.lab.daemons import sanitized

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
    """Whole messages by name. What the fuzzer found (found-*) may be anything, also what ends a connection by right."""
    return {os.path.basename(path): open(path, "rb").read() for path in sorted(glob.glob(CORPUS + "/*")) if "/found-" not in path}


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


# --- The controller's switches and networks ---

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
