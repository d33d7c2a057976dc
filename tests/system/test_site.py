"""Whole sites: two tenants with the same addresses, over each kind of fabric."""
import time

from tests.system import frames as f
from tests.system.site import Site, all_heard, drop_delta
from utilities.lab import proof

MAC = {name: f"52:54:00:00:00:0{i + 1}" for i, name in enumerate("abcd")}
TENANTS = ("red", "blue")


def two_tenants(lab, fabric, names="abcd", start=True, **kwargs):
    """a and c on host1, b and d on host2, the same in both tenants.  Gives (site, {"red/a": endpoint, …})."""
    site = Site(lab, fabric=fabric, **kwargs)
    found = {}
    for tenant in TENANTS:
        for name in names:
            i = "abcd".index(name)
            found[f"{tenant}/{name}"] = site.endpoint(tenant, name, i % 2, MAC[name], f"10.0.0.{11 + i}", f"fd00::{11 + i}")
    return (site.start() if start else site), found


# --- Ping, and what the fabric shows of it ---

def is_resolution(frame):
    """ARP, or ICMPv6 133 to 137: neighbour and router discovery."""
    ethertype = frame[12:14]
    return ethertype == b"\x08\x06" or (ethertype == b"\x86\xdd" and frame[20] == f.ICMPV6 and 133 <= frame[54] <= 137)


def check_fabric(path, addresses, at_least):
    count, hit = proof.find_address(path, addresses)
    assert not hit, f"the fabric shows {hit}"
    shown = [frame for frame in proof.frames(path) if is_resolution(frame.data)]
    assert not shown, f"{len(shown)} frames of ARP or ND on the fabric, the first {shown[0].data.hex()}"
    carried = sum(1 for frame in proof.frames(path) if frame.data[0] == 2 and frame.data[12:14] != b"\x88\xcc")
    assert carried >= at_least, f"only {carried} of {count} frames on the fabric are tenants'"


def ping(lab, fabric):
    site, ends = two_tenants(lab, fabric)
    capture = site.hosts[0].capture("fab0", lab.dir + "/fabric.pcap")
    for e in site.endpoints:
        e.configure()
    for tenant in TENANTS:
        a, b, c, d = (ends[f"{tenant}/{name}"] for name in "abcd")
        a.pings_all([b, c, d])
        d.pings_all([a])
    statuses = [site.ctl.json("get", "port", e.full_name)["status"] for e in site.endpoints]
    addresses = {e.mac for e in site.endpoints} | {a["ip"] for status in statuses for a in status["addresses"]}
    assert len(addresses) == 4 * (1 + 3), addresses     # MAC, IPv4, IPv6, link-local
    # a-b and a-d for both tenants, three echos and replies in two families, and d-a again.
    check_fabric(capture.stop(), sorted(addresses), 2 * 3 * 2 * 3 * 2)


def test_ping_joined(lab):
    ping(lab, None)


def test_ping_over_open_vswitch(lab):
    ping(lab, "ovs")


def test_ping_over_vswitchd(lab):
    ping(lab, "vswitchd")


# --- Frames, byte by byte ---

def payload(n, seed):
    return bytes((i * 7 + seed) & 0xff for i in range(n))


def unicast_frames(a, b):
    """Name and frame: everything that an anti-spoofed port may send to another one."""
    # Open vSwitch keeps a tag's DEI bit for itself and sends it as 0.
    dei = 0 if a.site.fabric_kind == "ovs" else 0x1000
    v4, v6 = (a.ipv4, b.ipv4), (a.ipv6, b.ipv6)
    def ip4(name, *args, tags=(), **kwargs):
        return f"IPv4 {name}", f.ethernet(b.mac, a.mac, f.IPV4, f.ipv4(*v4, *args, **kwargs), tags)
    def ip6(name, *args, tags=()):
        return f"IPv6 {name}", f.ethernet(b.mac, a.mac, f.IPV6, f.ipv6(*v6, *args), tags)
    yield ip4("UDP", f.UDP, f.udp(*v4, payload(40, 1)))
    yield ip4("UDP without checksum", f.UDP, f.udp(*v4, payload(40, 2), none=True))
    yield ip4("UDP, wrong checksum", f.UDP, f.udp(*v4, payload(41, 3), wrong=1))
    yield ip4("TCP", f.TCP, f.tcp(*v4, payload(99, 4)))
    yield ip4("TCP with options, wrong checksum", f.TCP, f.tcp(*v4, payload(9, 5), options=bytes.fromhex("020405b401010402"), wrong=0x1111))
    yield ip4("ICMP", f.ICMP, f.icmp_echo())
    yield ip4("protocol 200", 200, payload(30, 6))
    yield ip4("options", f.UDP, f.udp(*v4, payload(50, 7)), options=bytes.fromhex("94040000"))
    yield ip4("longest options", f.TCP, f.tcp(*v4, payload(50, 8)), options=b"\1" * 40)
    yield ip4("wrong header checksum", f.UDP, f.udp(*v4, payload(50, 9)), wrong=0x0101)
    yield ip4("first fragment", f.UDP, f.udp(*v4, payload(504, 10)), fragment=0x2000)
    yield ip4("middle fragment", f.UDP, payload(512, 11), fragment=0x2040)
    yield ip4("last fragment", f.UDP, payload(13, 12), fragment=0x0080)
    yield ip4("don't fragment", f.UDP, f.udp(*v4, payload(13, 13)), fragment=0x4000)
    yield "IPv4 to an address of nobody", f.ethernet(b.mac, a.mac, f.IPV4, f.ipv4(a.ipv4, "198.51.100.7", f.UDP, f.udp(a.ipv4, "198.51.100.7", b"x")))
    yield "IPv4 to a provider address", f.ethernet(b.mac, a.mac, f.IPV4, f.ipv4(a.ipv4, "100.64.16.1", f.UDP, f.udp(a.ipv4, "100.64.16.1", b"x")))
    yield ip6("UDP", f.UDP, f.udp(*v6, payload(60, 14)))
    yield ip6("UDP, wrong checksum", f.UDP, f.udp(*v6, payload(60, 15), wrong=77))
    yield ip6("TCP", f.TCP, f.tcp(*v6, payload(61, 16)))
    yield ip6("echo", f.ICMPV6, f.icmpv6(*v6, bytes.fromhex("8000000000010001") + payload(20, 17)))
    yield ip6("hop-by-hop options", 0, bytes([f.UDP, 0, 1, 4, 0, 0, 0, 0]) + f.udp(*v6, payload(30, 18)))
    yield ip6("first fragment", 44, bytes([f.UDP, 0, 0, 1, 0, 0, 0, 9]) + f.udp(*v6, payload(160, 19)))
    yield ip6("last fragment", 44, bytes([f.UDP, 0, 0, 168, 0, 0, 0, 9]) + payload(33, 20))
    yield ip6("no next header", 59, b"")
    yield ip4("UDP, tagged", f.UDP, f.udp(*v4, payload(40, 21)), tags=[(f.VLAN, 0x2005)])
    yield ip6("TCP, tagged", f.TCP, f.tcp(*v6, payload(40, 22)), tags=[(f.VLAN, 0xe001 | dei)])
    yield ip4("UDP, tagged twice", f.UDP, f.udp(*v4, payload(40, 23)), tags=[(f.VLAN, 7), (f.VLAN, 8)])
    yield "ARP reply", f.ethernet(b.mac, a.mac, f.ARP, f.arp(2, a.mac, a.ipv4, b.mac, b.ipv4))
    yield "ARP reply, tagged", f.ethernet(b.mac, a.mac, f.ARP, f.arp(2, a.mac, a.ipv4, b.mac, b.ipv4), [(f.VLAN, 9)])
    yield "ARP reply that names another target", f.ethernet(b.mac, a.mac, f.ARP, f.arp(2, a.mac, a.ipv4, "52:54:00:aa:bb:cc", "10.9.9.9"))
    for ethertype in (f.EXPERIMENT, 0x8847, 0x88f7, 0x0842, 0x8906, 0xffff):
        yield f"ethertype {ethertype:04x}", f.ethernet(b.mac, a.mac, ethertype, payload(70, ethertype & 0xff))
    yield "ethertype 88b5, tagged", f.ethernet(b.mac, a.mac, f.EXPERIMENT, payload(46, 24), [(f.VLAN, 0x2fff | dei)])
    yield "LLC (IEEE 802.3 length)", f.ethernet(b.mac, a.mac, 50, bytes.fromhex("424203") + payload(47, 25))
    for size in (60, 61, 64, 65, 127, 128, 511, 1023, 1024, 1499, 1500, 1513, 1514):
        yield f"{size} bytes", f.ethernet(b.mac, a.mac, f.EXPERIMENT, payload(size - 14, size & 0xff))
        yield f"IPv4 in {size} bytes", f.ethernet(b.mac, a.mac, f.IPV4, f.ipv4(*v4, f.UDP, f.udp(*v4, payload(max(0, size - 42), size & 0xff))))


def group_frames(a):
    """What goes to everybody."""
    yield "broadcast", f.ethernet(f.BROADCAST, a.mac, f.EXPERIMENT, payload(50, 30))
    yield "IPv4 broadcast", f.ethernet(f.BROADCAST, a.mac, f.IPV4, f.ipv4(a.ipv4, "255.255.255.255", f.UDP, f.udp(a.ipv4, "255.255.255.255", b"hello")))
    yield "IPv4 broadcast of the subnet", f.ethernet(f.BROADCAST, a.mac, f.IPV4, f.ipv4(a.ipv4, "10.0.0.255", f.UDP, f.udp(a.ipv4, "10.0.0.255", b"hello")))
    yield "gratuitous ARP request", f.ethernet(f.BROADCAST, a.mac, f.ARP, f.arp(1, a.mac, a.ipv4, "00:00:00:00:00:00", a.ipv4))
    yield "gratuitous ARP reply", f.ethernet(f.BROADCAST, a.mac, f.ARP, f.arp(2, a.mac, a.ipv4, f.BROADCAST, a.ipv4))
    yield "ARP probe of one's own address", f.ethernet(f.BROADCAST, a.mac, f.ARP, f.arp(1, a.mac, "0.0.0.0", "00:00:00:00:00:00", a.ipv4))
    yield "DHCP", f.ethernet(f.BROADCAST, a.mac, f.IPV4,
                             f.ipv4("0.0.0.0", "255.255.255.255", f.UDP, f.udp("0.0.0.0", "255.255.255.255", payload(240, 31), (68, 67))))
    yield "mDNS", f.ethernet("01:00:5e:00:00:fb", a.mac, f.IPV4, f.ipv4(a.ipv4, "224.0.0.251", f.UDP, f.udp(a.ipv4, "224.0.0.251", b"q", (5353, 5353))))
    yield "mDNS over IPv6", f.ethernet("33:33:00:00:00:fb", a.mac, f.IPV6, f.ipv6(a.ipv6, "ff02::fb", f.UDP, f.udp(a.ipv6, "ff02::fb", b"q", (5353, 5353))))
    yield "a bridge's BPDU", f.ethernet("01:80:c2:00:00:00", a.mac, 39, bytes.fromhex("424203") + payload(36, 32))
    yield "a tenant's own LLDP", f.ethernet(f.LLDP_MAC, a.mac, f.LLDP, bytes.fromhex("0207045254000000010404070303060200780000"))
    yield "multicast, tagged", f.ethernet("01:00:5e:01:02:03", a.mac, f.EXPERIMENT, payload(60, 33), [(f.VLAN, 0x0123)])
    yield "1514 bytes of multicast", f.ethernet("03:00:00:00:00:01", a.mac, f.EXPERIMENT, payload(1500, 34))


def exchange(site, sends, expected, what):
    """sends: (endpoint, frame) in order; expected: {endpoint: frames}.  Every endpoint must hear its frames, byte for byte, each once, and nothing else."""
    for e in site.endpoints:
        e.listen()
    for e, frame in sends:
        e.send(frame)
    heard = all_heard(site.endpoints, {e: len(frames) for e, frames in expected.items()})
    for e, got in heard.items():
        want = expected.get(e, [])
        missing, extra = list(want), []
        for frame in got:
            missing.remove(frame) if frame in missing else extra.append(frame)
        names = dict(what)
        assert not missing and not extra, (
            f"{e}: missing {len(missing)}: {', '.join(sorted({names.get(frame, '?') for frame in missing}))}\n"
            + "".join(f"    missing {frame[:80].hex()} ({len(frame)} bytes)\n" for frame in missing[:4])
            + "".join(f"    extra   {frame[:80].hex()} ({len(frame)} bytes)\n" for frame in extra[:4])
            + f"    {len(extra)} extra in all\n{e.host_story()}")


def frames_pass(lab, fabric):
    site, ends = two_tenants(lab, fabric)
    red, blue = ([ends[f"{tenant}/{name}"] for name in "abcd"] for tenant in TENANTS)
    a, b, c, d = red
    unicast = list(unicast_frames(a, b)) + [("back: " + name, frame) for name, frame in unicast_frames(d, a)]
    sends = [(a if frame[6:12] == f.mac(a.mac) else d, frame) for _, frame in unicast]
    expected = {b: [frame for e, frame in sends if e is a], a: [frame for e, frame in sends if e is d]}
    names = [(frame, name) for name, frame in unicast]
    exchange(site, sends, expected, names)
    local = list(unicast_frames(a, c))
    exchange(site, [(a, frame) for _, frame in local], {c: [frame for _, frame in local]}, [(frame, name) for name, frame in local])
    # Each first frame to a group is held until its pair has an id everywhere; once and again when it has one.
    for sender, others in ((a, (b, c, d)), (d, (a, b, c))):
        group = list(group_frames(sender))
        for _ in range(2):
            exchange(site, [(sender, frame) for _, frame in group], {e: [frame for _, frame in group] for e in others},
                     [(frame, name) for name, frame in group])
    # The same frames from both tenants at once: to each its own, and as many.
    both = list(unicast_frames(a, b)) + list(group_frames(a))
    every = [frame for _, frame in both]
    groups = [frame for _, frame in group_frames(a)]
    exchange(site, [(e, frame) for frame in every for e in (a, blue[0])],
             {b: every, blue[1]: every, **{e: groups for e in (c, d, blue[2], blue[3])}}, [(frame, name) for name, frame in both])


def test_frames_joined(lab):
    frames_pass(lab, None)


def test_frames_over_open_vswitch(lab):
    frames_pass(lab, "ovs")


def test_frames_over_vswitchd(lab):
    frames_pass(lab, "vswitchd")


# --- What the edge does by itself ---

def test_edge_answers(lab):
    """ARP requests and neighbour solicitations for the network's addresses are answered where they are asked."""
    site, ends = two_tenants(lab, None)
    a, b, c, d = (ends[f"red/{name}"] for name in "abcd")
    for asker in (a, d):
        for target in (a, b, c, d):
            if target is asker:
                continue
            reply = f.ethernet(asker.mac, target.mac, f.ARP, f.arp(2, target.mac, target.ipv4, asker.mac, asker.ipv4))
            exchange(site, [(asker, f.arp_request(asker, target.ipv4))], {asker: [reply]}, [])
            advertisement = f.neighbour_advertisement(asker, target.mac, target.ipv6)
            exchange(site, [(asker, f.neighbour_solicitation(asker, target.ipv6))], {asker: [advertisement]}, [])
    # Before it takes an address, a host may probe it (RFC 5227): it hears who has it.
    probe = f.arp_request(a, b.ipv4, spa="0.0.0.0")
    exchange(site, [(a, probe)], {a: [f.ethernet(a.mac, b.mac, f.ARP, f.arp(2, b.mac, b.ipv4, a.mac, "0.0.0.0"))]}, [])


def drops_at(site, switch, port, cases, send):
    """Each case (reason, name, frame): nobody hears the frame, and the switch counts the reason on that port, once."""
    for reason, name, frame in cases:
        for e in site.endpoints:
            e.listen()
        n = drop_delta(switch, lambda frame=frame: send(frame), (port, reason))
        assert n == 1, f"{name}: {n} drops for {reason} at {switch.name} {port}; it counts {switch.drops()}"
        heard = {e: frames for e, frames in all_heard(site.endpoints, {}).items() if frames}
        assert not heard, f"{name}: {heard}"


def test_drops_of_tenants_frames(lab):
    site, ends = two_tenants(lab, None, "abc")
    a, b = ends["red/a"], ends["red/b"]
    other_ip, other_ip6, other_mac = "10.0.0.99", "fd00::99", "52:54:00:00:00:99"
    def ip4(src, dst=b.ipv4, mac=a.mac, tags=()):
        return f.ethernet(b.mac, mac, f.IPV4, f.ipv4(src, dst, f.UDP, f.udp(src, dst, b"x")), tags)
    def ip6(src, next_header=f.UDP, mac=a.mac):
        body = f.udp(src, b.ipv6, b"x") if next_header == f.UDP else f.icmpv6(src, b.ipv6, bytes.fromhex("8000000000010001"))
        return f.ethernet(b.mac, mac, f.IPV6, f.ipv6(src, b.ipv6, next_header, body))
    spoofed = [
        ("a foreign MAC", f.ethernet(b.mac, other_mac, f.EXPERIMENT, b"x")),
        ("the MAC of another port", f.ethernet(b.mac, ends["red/c"].mac, f.EXPERIMENT, b"x")),
        ("a foreign MAC, tagged", f.ethernet(b.mac, other_mac, f.EXPERIMENT, b"x", [(f.VLAN, 5)])),
        ("a foreign IPv4 address", ip4(other_ip)),
        ("the IPv4 address of another port", ip4(ends["red/c"].ipv4)),
        ("a foreign IPv4 address, tagged", ip4(other_ip, tags=[(f.VLAN, 5)])),
        ("IPv4 with a foreign MAC", ip4(a.ipv4, mac=other_mac)),
        ("no IPv4 address, and not DHCP", ip4("0.0.0.0")),
        ("a foreign IPv6 address", ip6(other_ip6)),
        ("no IPv6 address, and not ICMPv6", ip6("::")),
        ("IPv6 with a foreign MAC", ip6(a.ipv6, mac=other_mac)),
        ("ARP for another sender", f.ethernet(f.BROADCAST, a.mac, f.ARP, f.arp(2, a.mac, other_ip, b.mac, b.ipv4))),
        ("ARP with another hardware address", f.ethernet(f.BROADCAST, a.mac, f.ARP, f.arp(2, other_mac, a.ipv4, b.mac, b.ipv4))),
    ]
    others = [
        ("unknown-unicast", "a MAC of nobody", f.ethernet(other_mac, a.mac, f.EXPERIMENT, b"x")),
        ("unknown-unicast", "a provider MAC", f.ethernet("02:00:02:00:00:01", a.mac, f.EXPERIMENT, b"x")),
        ("unknown-target", "ARP for nobody", f.arp_request(a, other_ip)),
        ("unknown-target", "neighbour solicitation for nobody", f.neighbour_solicitation(a, other_ip6)),
        ("nd-filtered", "duplicate address detection", f.neighbour_solicitation(a, a.ipv6, src="::")),
        ("nd-filtered", "a forged neighbour advertisement",
         f.ethernet(b.mac, a.mac, f.IPV6, f.ipv6(a.ipv6, b.ipv6, f.ICMPV6, f.icmpv6(a.ipv6, b.ipv6, bytes.fromhex("8800000060000000") + f.ip(other_ip6)), 255))),
        ("nd-filtered", "a forged router advertisement",
         f.ethernet("33:33:00:00:00:01", a.mac, f.IPV6, f.ipv6(a.ipv6, "ff02::1", f.ICMPV6, f.icmpv6(a.ipv6, "ff02::1", bytes.fromhex("86000000400007080000000000000000")), 255))),
    ]
    drops_at(site, site.edges[0], a.device, [("anti-spoof", name, frame) for name, frame in spoofed] + others, a.send)


def test_drops_of_fabric_frames(lab):
    """Whoever holds the fabric cannot reach a tenant with frames of his own making."""
    site, ends = two_tenants(lab, None, "ab", start=False)
    lab.link(site.hosts[0], "spare", lab.host("stray"), "eth0")
    site.more_devices["host1"].append("spare")
    site.start()
    stray, fabric, far = (f.Tap(host.namespace, interface) for host, interface in
                          ((lab.hosts[-1], "eth0"), (site.hosts[0], "fab0"), (site.hosts[1], "fab0")))
    a, b, blue_b = ends["red/a"], ends["red/b"], ends["blue/b"]
    landing = {e: f.mac(site.ctl.json("get", "port", e.full_name)["status"]["provider_mac"]) for e in (b, blue_b)}
    inside = f.ethernet(b.mac, a.mac, f.EXPERIMENT, b"to be stolen")
    b.listen()
    a.send(inside)
    assert (got := b.heard(1)) == [inside], f"{got}\n{b.host_story()}"
    out = next(frame for frame in iter(lambda: far.receive(0), None) if b"to be stolen" in frame)
    assert out[0] == 2 and out[1:3] == landing[b][1:3] and out[4:6] == landing[b][4:6] and f.mac(a.mac) not in out, out.hex()
    turned = landing[blue_b][:3] + out[3:4] + landing[blue_b][4:] + out[6:]
    cases = [
        ("foreign-source", "red's frame, turned to blue's landing", turned),
        ("foreign-source", "a source id that nobody has", out[:9] + b"\x00\xff\xf0" + out[12:]),
        ("foreign-source", "a source edge that does not exist", out[:7] + b"\x01\x02" + out[9:]),
        ("foreign-landing", "a landing that nobody has", out[:4] + b"\xff\xf0" + out[6:]),
        ("not-provider", "tenant addresses on the fabric", inside),
        ("not-provider", "broadcast on the fabric", f.ethernet(f.BROADCAST, a.mac, f.EXPERIMENT, b"x")),
        ("not-provider", "ARP on the fabric", f.arp_request(a, b.ipv4)),
        ("no-path", "an edge that does not exist", b"\x02\x01\x02\0\0\x01" + out[6:]),
    ]
    drops_at(site, site.edges[1], "fab0", cases, fabric.send)
    # The same frame as it was passes, so what was dropped above was not dropped for another reason.
    b.listen()
    fabric.send(out)
    assert (got := b.heard(1)) == [inside], f"{got}\n{b.host_story()}"
    drops_at(site, site.edges[0], "spare", [("unbound-port", "a device that is nobody's", inside), ("unbound-port", "and its broadcast", f.arp_request(a, b.ipv4))],
             stray.send)


# --- Ports without anti-spoofing, interning ---

def test_open_ports(lab):
    """A port that routes or bridges: any source, any destination its tables allow, frames that are no proper IP."""
    site = Site(lab)
    a, b, c = (site.endpoint("red", name, i % 2, MAC[name], f"10.0.0.{11 + i}", f"fd00::{11 + i}", anti_spoofing=False) for i, name in enumerate("abc"))
    other, group = "00:16:3e:77:00:01", "01:00:5e:7f:00:01"
    site.start()
    odd = [
        f.ethernet(b.mac, other, f.EXPERIMENT, payload(60, 1)),
        f.ethernet(b.mac, other, f.IPV4, f.ipv4("192.0.2.1", b.ipv4, f.UDP, f.udp("192.0.2.1", b.ipv4, b"routed"))),
        f.ethernet(b.mac, other, f.IPV4, f.ipv4(a.ipv4, b.ipv4, f.UDP, f.udp(a.ipv4, b.ipv4, b"known addresses"))),
        f.ethernet(b.mac, other, f.ARP, f.arp(2, other, "192.0.2.1", b.mac, b.ipv4)),
        f.ethernet(b.mac, other, f.ARP, f.arp(2, a.mac, a.ipv4, b.mac, b.ipv4)),
        f.ethernet(b.mac, a.mac, f.ARP, f.arp(2, other, a.ipv4, other, b.ipv4)),
        f.ethernet(b.mac, "02:00:01:00:00:01", f.EXPERIMENT, b"a source like the provider's"),
        f.ethernet(b.mac, a.mac, f.IPV4, bytes.fromhex("65000014") + bytes(16)),
        f.ethernet(b.mac, a.mac, f.IPV4, b"\x4f"),
        f.ethernet(b.mac, a.mac, f.IPV6, b"\x60"),
        f.ethernet(b.mac, a.mac, f.ARP, b"\0\1\x08\0\6\4"),
        f.ethernet(b.mac, a.mac, f.IPV4, f.ipv4("100.64.0.1", "100.64.0.2", f.UDP, f.udp("100.64.0.1", "100.64.0.2", b"the provider's own addresses"))),
    ]
    flooded = [
        f.ethernet(group, other, f.EXPERIMENT, b"any source to a group"),
        f.ethernet(f.BROADCAST, other, f.EXPERIMENT, b"and to all"),
        f.arp_request(a, "10.0.0.200"),
        f.ethernet(f.BROADCAST, other, f.ARP, f.arp(1, other, "192.0.2.1", "00:00:00:00:00:00", "192.0.2.2")),
    ]
    for _ in range(2):
        exchange(site, [(a, frame) for frame in odd + flooded], {b: odd + flooded, c: flooded}, [])


def test_intern_quota(lab):
    """A tenant's address pairs are bounded, groups have half of them, and nobody else is touched; the frames of others are carried."""
    site = Site(lab, ctl_extra={"intern": {"pairs_per_network": 4, "idle_s": 300}})
    a, b, blue_a, blue_b = (site.endpoint(tenant, name, i, MAC[name], f"10.0.0.{11 + i}", anti_spoofing=False) for tenant in TENANTS for i, name in enumerate("ab"))
    site.start()
    groups = [f.ethernet(f"03:00:00:00:01:{i:02x}", a.mac, f.EXPERIMENT, payload(50, i)) for i in range(5)]
    metrics = site.ctl.metrics

    def metric(name):
        return metrics()[f"polder_intern_{name}_total"]
    # Four times each is no repeating, and all arrive.
    for _ in range(4):
        exchange(site, [(a, frame) for frame in groups], {b: groups}, [])
    assert metric("interned") == 0 and metric("relayed") == 20 and metric("unrelayed") == 0, metrics()
    for _ in range(3):                  # Two of five get an id, and the others are carried as before.
        exchange(site, [(a, frame) for frame in groups], {b: groups}, [])
    assert metric("interned") == 2, metrics()
    for _ in range(5):
        exchange(site, [(blue_a, frame) for frame in groups[1:]], {blue_b: groups[1:]}, [])
    assert metric("interned") == 4, metrics()
    # Sources that are no port's, and that nobody answers, are carried as well, however often they come.
    others = [f.ethernet(b.mac, f"00:16:3e:00:00:{i:02x}", f.EXPERIMENT, payload(50, i)) for i in range(3)]
    for _ in range(6):
        exchange(site, [(a, frame) for frame in others], {b: others}, [])
    assert metric("over_quota") >= 3, metrics()

    # A group that is not used any more makes room for one of them, long before the idle time.
    def has_id():
        a.send(others[2])
        return metric("interned") > 4
    lab.wait_for("an idle pair to make room", has_id, 30)
    assert 1 <= metric("evicted") <= 4, metrics()
    time.sleep(1)
    b.heard(0)
    exchange(site, [(a, frame) for frame in others], {b: others}, [])


# --- More hosts, moving ports ---

def test_three_hosts(lab):
    """One copy for each host with ports of the network, none for a host without."""
    site = Site(lab, n_hosts=3, fabric="ovs")
    a, b, c, d = (site.endpoint("red", name, i % 3, MAC[name], f"10.0.0.{11 + i}", f"fd00::{11 + i}") for i, name in enumerate("abcd"))
    x, y = (site.endpoint("blue", name, i, MAC[name], f"10.0.0.{11 + i}", f"fd00::{11 + i}") for i, name in enumerate("ab"))
    site.start()
    for sender, others in ((a, (b, c, d)), (c, (a, b, d))):
        group, names = [frame for _, frame in group_frames(sender)], [(frame, name) for name, frame in group_frames(sender)]
        for _ in range(2):
            exchange(site, [(sender, frame) for frame in group], {e: group for e in others}, names)
    for source, target in ((a, c), (b, c), (c, a), (d, b), (b, d)):
        frames = [frame for _, frame in unicast_frames(source, target)]
        exchange(site, [(source, frame) for frame in frames], {target: frames}, [(frame, name) for name, frame in unicast_frames(source, target)])
    third = f.Tap(site.hosts[2].namespace, "fab0")
    frame = f.ethernet(f.BROADCAST, x.mac, f.EXPERIMENT, b"blue has no port on host3")
    exchange(site, [(x, frame)], {y: [frame]}, [])
    assert not [seen for seen in iter(lambda: third.receive(0), None) if b"no port on host3" in seen]


def test_port_moves(lab):
    """A port that is bound elsewhere takes its addresses along, and leaves nothing where it was."""
    site, ends = two_tenants(lab, None)
    a, b, c, d = (ends[f"red/{name}"] for name in "abcd")
    site.ctl.vpcctl("delete", "port", c.full_name)
    moved = {**b.port(), "edge": c.host.name, "ofport_of": c.device}
    site.apply({"vpcs": [{"name": "main", "tenant": "red", "networks": [{"name": "web", "ports": [moved]}]}]})
    b.bound = False
    for source in (a, d):
        frames = [frame for _, frame in unicast_frames(source, b)]
        names = [(frame, name) for name, frame in unicast_frames(source, b)]
        exchange(site, [(source, frame) for frame in frames], {c: frames}, names)
    back = [frame for _, frame in unicast_frames(b, d)]
    exchange(site, [(c, frame) for frame in back], {d: back}, [(frame, name) for name, frame in unicast_frames(b, d)])
    group = [frame for _, frame in group_frames(b)]
    exchange(site, [(c, frame) for frame in group], {a: group, d: group}, [(frame, name) for name, frame in group_frames(b)])
    drops_at(site, b.switch, b.device, [("unbound-port", "the device that the port left", frame) for frame in back[:1] + group[:1]], b.send)
