"""What a slice's machines send arrives byte for byte, of every ethertype, over every pair of edge kinds: host1 and host3 are vswitchds, host2 an Open vSwitch, with a fabric switch between them.

What may differ is not Polder's: Open vSwitch keeps a tag's DEI bit for itself, and af_packet makes an outer tag 0x88a8 a 0x8100.  So neither is sent.
"""
import struct
import time

from tests.system import frames as f
from tests.system import isolation
from tests.system.slice_site import SliceSite
from tests.system.test_site import exchange, group_frames, payload, unicast_frames
from tests.system.test_slice_topology import OvsEdge

MAC = [f"52:54:00:00:00:0{n + 1}" for n in range(3)]
IP, IP6 = [f"10.0.0.{n + 11}" for n in range(3)], [f"fd00::{n + 11:x}" for n in range(3)]
SNAP = bytes.fromhex("aaaa03000000")
MPLS, RARP = 0x8847, 0x8035
HOP, ROUTING, FRAGMENT, ESP, AH, DESTINATION = 0, 43, 44, 50, 51, 60
NAMED = {"PPPoE discovery": 0x8863, "PPPoE session": 0x8864, "EAPOL": 0x888e, "PTP": 0x88f7, "FCoE": 0x8906, "FIP": 0x8914, "MACsec": 0x88e5, "PBB": 0x88e7, "RoCE": 0x8915,
         "ECTP": 0x9000, "IPX": 0x8137, "AppleTalk": 0x809b, "NSH": 0x894f, "TRILL": 0x22f3, "profinet": 0x8892, "no type, and no length": 1501, "first type": 1536, "last type": 0xffff}


class ThreeHosts(SliceSite):
    def __init__(self, lab, **kwargs):
        super().__init__(lab, n_hosts=3, fabric="ovs", **kwargs)

    def start_edge(self, i):
        return OvsEdge(self, self.hosts[i], i + 1, self.devices(self.hosts[i])) if i == 1 else super().start_edge(i)


def chain(*headers):
    """IPv6 extension headers as (next header, body of 8n - 2 bytes)."""
    return b"".join(bytes([after, (len(body) + 2) // 8 - 1]) + body for after, body in headers)


def ip_frames(a, b):
    """What unicast_frames() leaves out: more headers, and those that only an unchecked port may send."""
    v4, v6 = (a.ipv4, b.ipv4), (a.ipv6, b.ipv6)

    def ip4(name, protocol, body, **kwargs):
        return f"IPv4 {name}", f.ethernet(b.mac, a.mac, f.IPV4, f.ipv4(*v4, protocol, body, **kwargs))

    def ip6(name, protocol, body, tags=()):
        return f"IPv6 {name}", f.ethernet(b.mac, a.mac, f.IPV6, f.ipv6(*v6, protocol, body), tags)
    original = f.ipv4(b.ipv4, a.ipv4, f.UDP, f.udp(b.ipv4, a.ipv4, b"too late")[:8])
    yield ip4("SCTP", 132, struct.pack("!HHII", 1, 2, 3, 0x12345678) + payload(20, 40))
    yield ip4("UDP-Lite", 136, struct.pack("!HHHH", 1, 2, 8, 0x9999) + payload(20, 41))
    yield ip4("GRE", 47, bytes.fromhex("00000800") + original)
    yield ip4("IP in IP", 4, original)
    yield ip4("ICMP with what it is about", f.ICMP, bytes.fromhex("0303abcd00000000") + original)
    yield ip4("ICMP redirect to the provider's pool", f.ICMP, bytes.fromhex("0500abcd") + f.ip("100.64.16.1") + original)
    yield ip4("a record of routes", f.UDP, f.udp(*v4, payload(30, 42)), options=bytes.fromhex("070b08") + f.ip(a.ipv4) + f.ip(b.ipv4) + b"\0")
    for name, protocol, body in (("TCP", f.TCP, f.tcp(*v4, payload(80, 43))), ("UDP", f.UDP, f.udp(*v4, payload(80, 44))), ("ICMP", f.ICMP, f.icmp_echo(payload(80, 45))),
                                 ("SCTP", 132, payload(80, 46))):
        yield ip4(f"{name}, first fragment", protocol, body, fragment=0x2000)
        yield ip4(f"{name}, later fragment", protocol, payload(88, 47), fragment=0x200b)
        yield ip4(f"{name}, last fragment", protocol, payload(21, 48), fragment=0x0016)
        yield ip4(f"{name}, a short first fragment", protocol, body[:8], fragment=0x2000)
    for tag in (0, 1):
        for name, protocol, body in (("TCP", f.TCP, f.tcp(*v6, payload(80, 50))), ("UDP", f.UDP, f.udp(*v6, payload(80, 51))),
                                     ("echo", f.ICMPV6, f.icmpv6(*v6, bytes.fromhex("8000000000010001") + payload(72, 52)))):
            where = [(f.VLAN, 100)] * tag
            for kind, field in (("first", 1), ("later", 89), ("last", 88), ("only", 0)):
                yield ip6(f"{name}, {kind} fragment{', tagged' * tag}", FRAGMENT, bytes([protocol, 0]) + struct.pack("!HI", field, 7) + body, where)
            yield ip6(f"{name} behind destination options", DESTINATION, chain((protocol, bytes.fromhex("010400000000"))) + body, where)
            yield ip6(f"{name} behind all headers", HOP, chain((ROUTING, bytes.fromhex("010400000000")), (DESTINATION, bytes.fromhex("0400") + bytes(4) + f.ip(b.ipv6)),
                                                               (protocol, bytes.fromhex("010400000000"))) + body, where)
            yield ip6(f"{name} to be routed on", ROUTING, bytes([protocol, 2, 0, 1]) + bytes(4) + f.ip(b.ipv6) + body, where)
    yield ip6("UDP without checksum", f.UDP, f.udp(*v6, payload(40, 53), none=True))
    yield ip6("ESP", ESP, payload(60, 54))
    yield ip6("AH", AH, bytes([f.UDP, 4]) + bytes(22) + f.udp(*v6, payload(40, 55)))
    yield ip6("ICMPv6 with what it is about", f.ICMPV6, f.icmpv6(*v6, bytes.fromhex("0104000000000000") + f.ipv6(b.ipv6, a.ipv6, f.UDP, payload(8, 56))))
    yield ip6("a listener's report", f.ICMPV6, f.icmpv6(*v6, bytes.fromhex("8f00000000000001") + bytes.fromhex("04000000") + f.ip("ff02::1:3")))
    for kind, option in ((133, 1), (135, 1), (136, 2), (137, 2)):
        body = bytes([kind, 0, 0, 0]) + bytes(4) + (f.ip(b.ipv6) if kind > 133 else b"") + (f.ip(a.ipv6) if kind == 137 else b"")
        yield ip6(f"ND {kind} with a link-layer address", f.ICMPV6, f.icmpv6(*v6, body + bytes([option, 1]) + f.mac(a.mac)))
        yield ip6(f"ND {kind} with another's link-layer address, tagged", f.ICMPV6, f.icmpv6(*v6, body + bytes([option, 1]) + f.mac(b.mac)), [(f.VLAN, 6)])


def odd_frames(a, b):
    """ARP of all kinds, other protocols, tags, and what is no proper IP."""
    def plain(name, ethertype, body, tags=()):
        return name, f.ethernet(b.mac, a.mac, ethertype, body, tags)
    zero = "00:00:00:00:00:00"
    for op in (0, 1, 2, 3, 4, 8, 9, 255, 256, 511, 65535):
        yield plain(f"ARP {op}", f.ARP, f.arp(op, a.mac, a.ipv4, b.mac, b.ipv4))
    yield plain("ARP of foreign hardware addresses", f.ARP, f.arp(2, "00:16:3e:00:00:01", a.ipv4, "00:16:3e:00:00:02", b.ipv4))
    yield plain("ARP of nobody's", f.ARP, f.arp(1, zero, "0.0.0.0", zero, "0.0.0.0"))
    yield plain("ARP with the addresses changed about", f.ARP, f.arp(2, b.mac, b.ipv4, a.mac, a.ipv4))
    yield plain("ARP, tagged twice", f.ARP, f.arp(2, a.mac, a.ipv4, b.mac, b.ipv4), [(f.VLAN, 5), (f.VLAN, 6)])
    yield plain("ARP with a trailer", f.ARP, f.arp(1, a.mac, a.ipv4, zero, b.ipv4) + payload(100, 60))
    yield plain("ARP of another hardware", f.ARP, struct.pack("!HHBBH", 6, f.IPV4, 6, 4, 1) + payload(20, 61))
    yield plain("ARP that is cut", f.ARP, f.arp(1, a.mac, a.ipv4, zero, b.ipv4)[:20])
    for op in (3, 4):
        yield plain(f"RARP {op}", RARP, f.arp(op, a.mac, a.ipv4, b.mac, b.ipv4))
    for name, ethertype in NAMED.items():
        yield plain(name, ethertype, payload(60, ethertype & 0xff))
        yield plain(f"{name}, tagged", ethertype, payload(60, ethertype & 0xff), [(f.VLAN, 0x6064)])
    inside = f.ipv4(a.ipv4, b.ipv4, f.UDP, f.udp(a.ipv4, b.ipv4, payload(40, 62)))
    for n in (1, 2, 4):
        labels = b"".join(struct.pack("!I", (100 + i) << 12 | (i == n - 1) << 8 | 64) for i in range(n))
        yield plain(f"MPLS, {n} labels", MPLS, labels + inside)
        yield plain(f"MPLS, {n} labels, tagged", 0x8848, labels + inside, [(f.VLAN, 0x2001)])
    for tags in ([(f.VLAN, 0x6005)], [(f.VLAN, 0)], [(f.VLAN, 1), (f.VLAN, 2)], [(f.VLAN, 1), (0x88a8, 2)], [(f.VLAN, 1), (f.VLAN, 2), (f.VLAN, 3)]):
        yield plain(f"IPv4, {len(tags)} tags {tags}", f.IPV4, inside, tags)
        yield plain(f"IPv6, {len(tags)} tags {tags}", f.IPV6, f.ipv6(a.ipv6, b.ipv6, f.UDP, f.udp(a.ipv6, b.ipv6, payload(33, 63))), tags)
        yield plain(f"type 88b5, {len(tags)} tags {tags}", f.EXPERIMENT, payload(46, 64), tags)
    for name, llc in (("STP", bytes.fromhex("424203") + payload(35, 65)), ("NetBIOS", bytes.fromhex("f0f003") + payload(20, 66)), ("IPX, raw", b"\xff\xff" + payload(28, 67)),
                      ("SNAP, CDP", bytes.fromhex("aaaa0300000c2000") + payload(60, 68)), ("SNAP, IPv4", SNAP + b"\x08\0" + inside), ("SNAP, ARP", SNAP + b"\x08\x06" + f.arp(2, a.mac, a.ipv4, b.mac, b.ipv4))):
        yield plain(f"802.3 {name}", len(llc), llc)
        yield plain(f"802.3 {name}, tagged", len(llc), llc, [(f.VLAN, 77)])
    yield plain("IPv4 that says to be longer than it is", f.IPV4, inside[:-30])
    yield plain("IPv4 with a long trailer", f.IPV4, inside + payload(600, 73))
    yield plain("IPv6 that says to be longer than it is", f.IPV6, f.ipv6(a.ipv6, b.ipv6, f.UDP, f.udp(a.ipv6, b.ipv6, payload(40, 74)))[:-9])
    for value in (0, 1, 0xfffe, 0xffff):
        segment = f.tcp(a.ipv4, b.ipv4, payload(40, 75))
        segment = segment[:16] + struct.pack("!H", value) + segment[18:]
        header = f.ipv4(a.ipv4, b.ipv4, f.TCP, b"")[:20]
        yield plain(f"TCP with checksum {value:04x}", f.IPV4, f.ipv4(a.ipv4, b.ipv4, f.TCP, segment))
        yield plain(f"IPv4 with checksum {value:04x}", f.IPV4, header[:10] + struct.pack("!H", value) + header[12:])
        yield plain(f"TCP over IPv6 with checksum {value:04x}", f.IPV6, f.ipv6(a.ipv6, b.ipv6, f.TCP, segment))
    yield plain("IPv4 with padding", f.IPV4, f.ipv4(a.ipv4, b.ipv4, f.UDP, f.udp(a.ipv4, b.ipv4, b"")) + payload(120, 69))
    yield plain("IPv4, version 6", f.IPV4, bytes([0x65]) + inside[1:])
    yield plain("IPv4, header of 16 bytes", f.IPV4, bytes([0x44]) + inside[1:])
    yield plain("IPv4 that is cut in its header", f.IPV4, inside[:17])
    yield plain("IPv6 that is cut in its header", f.IPV6, f.ipv6(a.ipv6, b.ipv6, 59, b"")[:39])
    yield plain("IPv6, version 4", f.IPV6, b"\x40" + f.ipv6(a.ipv6, b.ipv6, 59, b"")[1:])
    pool = "100.64.16.1"
    yield plain("IPv4 inside of the provider's pool", f.IPV4, f.ipv4(pool, "100.64.32.2", f.TCP, f.tcp(pool, "100.64.32.2", b"x")))
    yield plain("ARP inside of the provider's pool", f.ARP, f.arp(1, a.mac, pool, zero, "100.64.32.2"))


def groups(a):
    yield from group_frames(a)
    yield "gratuitous ARP by RARP", f.ethernet(f.BROADCAST, a.mac, RARP, f.arp(3, a.mac, "0.0.0.0", a.mac, "0.0.0.0"))
    yield "EAPOL", f.ethernet("01:80:c2:00:00:03", a.mac, 0x888e, payload(46, 70))
    yield "PTP of peers", f.ethernet("01:80:c2:00:00:0e", a.mac, 0x88f7, payload(50, 71))
    yield "a pause", f.ethernet("01:80:c2:00:00:01", a.mac, 0x8808, payload(46, 72))
    target, target_mac = f.solicited(a.ipv6)
    yield "ND solicitation", f.neighbour_solicitation(a, a.ipv6)
    yield "ND advertisement to all", f.ethernet("33:33:00:00:00:01", a.mac, f.IPV6, f.ipv6(a.ipv6, "ff02::1", f.ICMPV6, f.icmpv6(
        a.ipv6, "ff02::1", bytes.fromhex("8800000020000000") + f.ip(a.ipv6) + b"\2\1" + f.mac(a.mac)), 255))
    yield "duplicate address detection", f.ethernet(target_mac, a.mac, f.IPV6, f.ipv6("::", target, f.ICMPV6, f.icmpv6("::", target, bytes.fromhex("8700000000000000") + f.ip(a.ipv6)), 255))


def three_hosts(lab, tenants=("red", "blue"), **kwargs):
    site = ThreeHosts(lab, **kwargs)
    for tenant in tenants:
        for i, name in enumerate("abc"):
            site.endpoint(tenant, name, i, MAC[i], IP[i], IP6[i])
    return site.start()


def paced(sends):
    """Open vSwitch loses what comes faster than it sets up flows."""
    for send in sends:
        yield send
        time.sleep(0.002)


def on_the_wire(site):
    """Between vswitchds every address is the provider's; where an Open vSwitch takes part, the frame's own are."""
    a, b, c = site.of("red")
    for source, target in ((a, c), (a, b), (b, c)):
        wire = f.Tap(target.host.namespace, "fab0")
        source.send(f.ethernet(target.mac, source.mac, f.IPV4, f.ipv4(source.ipv4, target.ipv4, f.UDP, f.udp(source.ipv4, target.ipv4, b"on the wire"))))
        frame = next(frame for frame in iter(lambda: wire.receive(5), None) if b"on the wire" in frame)
        wire.close()
        assert frame[0] == 2 and f.mac(source.mac) not in frame and f.mac(target.mac) not in frame, frame.hex()
        assert (frame[26:34] == f.ip(source.ipv4) + f.ip(target.ipv4)) == (b in (source, target)), frame.hex()
    for e in site.endpoints:
        e.heard()


def test_every_ethertype(lab):
    """From each of three edges to each: by an entry of the tenant's, and flooded; the same from both tenants at once."""
    site = three_hosts(lab)
    red, blue = site.of("red"), site.of("blue")
    for tenant in ("red", "blue"):
        for e in site.of(tenant):
            site.ofctl(tenant, "add-flow", f"priority=10,dl_dst={e.mac},actions=output:{e.number}")
        site.ofctl(tenant, "add-flow", "priority=1,actions=flood")
    for n, source in enumerate(red):
        for m, target in enumerate(red):
            if source is not target:
                named = [*unicast_frames(source, target), *ip_frames(source, target), *odd_frames(source, target)]
                names, frames = [(frame, name) for name, frame in named], [frame for _, frame in named]
                exchange(site, paced((e, frame) for frame in frames for e in (source, blue[n])), {target: frames, blue[m]: frames}, names)
    for _ in range(2):
        for n, source in enumerate(red):
            names, frames = [(frame, name) for name, frame in groups(source)], [frame for _, frame in groups(source)]
            exchange(site, paced((e, frame) for frame in frames for e in (source, blue[n])), {e: frames for e in site.endpoints if e not in (source, blue[n])}, names)
    on_the_wire(site)
    isolation.check(site.ctl, site.edge_tools())


class Twins(ThreeHosts):
    """In each of two tenants two virtual switches have machines of the same addresses, on the same hosts and on others, and a link joins the two; a third one's have provider addresses."""

    PORTS = {"s1": "abc", "s2": "def", "s3": "gh"}

    def __init__(self, lab):
        super().__init__(lab, switches=Twins.shape)
        for tenant in ("red", "blue"):
            for i, name in enumerate("abcdef"):
                self.endpoint(tenant, name, i % 3, MAC[i % 3], IP[i % 3], IP6[i % 3])
            for i, name in enumerate("gh"):
                self.endpoint(tenant, name, i, MAC[i], IP[i], IP6[i])
        self.start()

    def at(self, tenant, names):
        return [e for e in self.of(tenant) if e.name in names]

    def shape(self, tenant):
        switches = []
        for name, ports in self.PORTS.items():
            switches.append({"name": name, "edges": [host.name for host in self.hosts], "ports": []})
            for n, e in enumerate(self.at(tenant, ports), 1):
                switches[-1]["ports"].append(self.switch_port(e, n))
                e.full_name = f"{tenant}/lab/{name}/{e.name}"
        return switches, [{"name": "l", "ends": [{"switch": "s1", "port": "x", "number": 9, "edge": "host1"}, {"switch": "s2", "port": "x", "number": 9, "edge": "host2"}]}]

    def take_provider_addresses(self):
        """The third switches' machines have those that the fabric has for red's first two, and in blue the same."""
        status = {item["name"]: item["status"] for item in self.ctl.json("get", "switch-ports")["items"]}
        for tenant in ("red", "blue"):
            for e, other in zip(self.at(tenant, "gh"), self.at("red", "ab")):
                e.mac = status[other.full_name]["provider_mac"]
                e.ips = [address["provider"] for address in status[other.full_name]["addresses"]][:2]
                e.ipv4, e.ipv6 = (next(ip for ip in e.ips if (":" in ip) == is_v6) for is_v6 in (False, True))
        self.apply(self.document())
        self.wait_synced()


def test_clashes(lab):
    """One address on two of a tenant's virtual switches, the same in another tenant, and the provider's own as a machine's: all at once, both ways, to each its own."""
    site = Twins(lab)
    site.take_provider_addresses()
    for tenant in ("red", "blue"):
        for switch, ports in site.PORTS.items():
            for e in site.at(tenant, ports):
                site.ofctl(tenant, "add-flow", f"priority=10,dl_dst={e.mac},actions=output:{e.number}", switch=switch)
            site.ofctl(tenant, "add-flow", "priority=1,actions=flood", switch=switch)
            site.ofctl(tenant, "add-flow", "priority=20,in_port=9,dl_type=0x88b6,actions=output:3", switch=switch)
            site.ofctl(tenant, "add-flow", "priority=20,in_port=3,dl_type=0x88b6,actions=output:9", switch=switch)
    sends, expected, names = [], {}, []
    for tenant in ("red", "blue"):
        for ports in ("ab", "ba", "ac", "de", "ed", "fd", "gh", "hg"):
            source, target = (site.at(tenant, name)[0] for name in ports)
            named = [(name, frame) for name, frame in [*unicast_frames(source, target), *ip_frames(source, target), *odd_frames(source, target)] if len(frame) < 1500]
            frames = [frame + f"{tenant} {ports}".encode() for _, frame in named]       # Each says at its end who sent it.
            names += [(frame, f"{tenant} {ports}: {name}") for frame, (name, _) in zip(frames, named)]
            expected.setdefault(target, []).extend(frames)
            sends.append([(source, frame) for frame in frames])
    exchange(site, paced(send for sends_at_once in zip(*sends, strict=True) for send in sends_at_once), expected, names)
    # From one switch to the twin on the other, which has the same address as the sender, and back.
    crossing, expected = [], {}
    for tenant in ("red", "blue"):
        c, twin = site.at(tenant, "c") + site.at(tenant, "f")
        for source, target in ((c, twin), (twin, c)):
            frames = [f.ethernet(dst, source.mac, 0x88b6, f"{tenant} {source.name} {n}".encode()) for n in range(20) for dst in (target.mac, MAC[0], f.BROADCAST)]
            crossing.append([(source, frame) for frame in frames])
            expected[target] = frames
    exchange(site, paced(send for at_once in zip(*crossing, strict=True) for send in at_once), expected, [])
    isolation.check(site.ctl, site.edge_tools())
