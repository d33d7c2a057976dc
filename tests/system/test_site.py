"""Whole sites: two tenants with the same addresses, over each kind of fabric."""
from tests.system import frames as f
from tests.system.site import Site, drop_delta
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
    yield ip6("TCP, tagged", f.TCP, f.tcp(*v6, payload(40, 22)), tags=[(f.VLAN, 0xf001)])
    yield ip4("UDP, tagged twice", f.UDP, f.udp(*v4, payload(40, 23)), tags=[(f.VLAN, 7), (f.VLAN, 8)])
    yield "ARP reply", f.ethernet(b.mac, a.mac, f.ARP, f.arp(2, a.mac, a.ipv4, b.mac, b.ipv4))
    yield "ARP reply, tagged", f.ethernet(b.mac, a.mac, f.ARP, f.arp(2, a.mac, a.ipv4, b.mac, b.ipv4), [(f.VLAN, 9)])
    yield "ARP reply that names another target", f.ethernet(b.mac, a.mac, f.ARP, f.arp(2, a.mac, a.ipv4, "52:54:00:aa:bb:cc", "10.9.9.9"))
    for ethertype in (f.EXPERIMENT, 0x8847, 0x88f7, 0x0842, 0x8906, 0xffff):
        yield f"ethertype {ethertype:04x}", f.ethernet(b.mac, a.mac, ethertype, payload(70, ethertype & 0xff))
    yield "ethertype 88b5, tagged", f.ethernet(b.mac, a.mac, f.EXPERIMENT, payload(46, 24), [(f.VLAN, 0x3fff)])
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
    for e in site.endpoints:
        want = expected.get(e, [])
        got = e.heard(len(want))
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
