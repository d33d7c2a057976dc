"""The adversary: malformed and hostile peers, endurance.  Whatever comes, the daemons stay up, forward, answer others in time, hold no more memory, and end clean.

With a build made by --enable-sanitizers (POLDER_BUILD) every test is a memory test, too: a daemon that reports anything fails in clean().
"""
import glob
import os
import signal
import socket
import ssl
import struct
import threading
import time

from tests.system import frames as f
from tests.system.robust import (BAD_ACTION, BAD_INSTRUCTION, BAD_MATCH, BAD_REQUEST, BARRIER_REQUEST, ECHO_REQUEST, ERROR, EXPERIMENTER,
                                 FEATURES_REPLY, FLOW_MOD, FLOW_MOD_FAILED, FLOW_STATS, HELLO, MULTIPART_REQUEST, NO_BUFFER, PACKET_IN, PACKET_OUT,
                                 POLDER, PORT_STATUS, REPORTS, Closed, Peer, PortFlood, Switch, apply_actions, carries, certificates, clean, corpus,
                                 flow_mod, forwards, grown, header, installed_in, match, message, output, oxm, quiet_site, refresh, rss_kb, sanitized,
                                 scaled, seeded, small_network, tls_peer)
from tests.system.test_vswitch import MAC, Bench, patch, port, two_vms, wait_link
from utilities.lab.daemons import Vswitchd

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
                    kinds.append(peer.receive(8)[0])    # Whoever is spoken to is asked after five seconds whether it is there.
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
    site.wait_links(seconds=40)
    lab.wait_for("the edge to be back", lambda: site.switch_states()["host1"] == "in-sync", 40)
    assert all(peer.is_closed(20) for peer in half)
    deaf.__exit__()
    carries(a, b)
    clean(*site.edges, ctl)


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
