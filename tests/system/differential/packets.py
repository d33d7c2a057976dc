"""Random packets.

Values come from small pools that the programs' matches use too, so that packets hit entries; now and then from the whole range.  `Packets.next()` gives (in_port, frame).
README.md says which packets are left out, and why.
"""
import struct

MACS = [bytes.fromhex(m) for m in ("020000000001", "020000000002", "0200000000f1", "52540a0b0c0d", "ffffffffffff", "01005e000001", "333300000001")]
IPV4S = [bytes(a) for a in ((10, 0, 0, 1), (10, 0, 0, 2), (10, 0, 1, 1), (192, 168, 7, 9), (224, 0, 0, 251), (172, 16, 255, 254))]
IPV6S = [bytes.fromhex(a) for a in ("20010db8000000000000000000000001", "20010db8000000000000000000000002", "20010db80001000000000000000000ff",
                                    "fe800000000000000000000000000001", "ff0200000000000000000001ff000001")]
PORTS = [80, 53, 443, 4789, 0x1234, 40000]
VIDS = [1, 2, 100, 4095]
LABELS = [16, 17, 1000, 0xfffff]
TTLS = [64, 65, 128, 255]       # From the least that none of our programs can spend; SPENT for those that shall.
SPENT = [0, 1, 2, 3]
DSCPS = [0, 10, 46, 63]
FLABELS = [0, 1, 0x12345, 0xfffff]
ICMP_TYPES = [0, 3, 8, 11]
ICMP6_TYPES = [1, 128, 129, 133, 134, 137]
ETH_TYPES = [0x88b6, 0x9000, 0x0842, 0x22f0]
N_PORTS = 5

ICMP, TCP, UDP, SCTP, ICMPV6 = 1, 6, 17, 132, 58
HOPOPTS, ROUTING, FRAGMENT, AH, NONE, DSTOPTS = 0, 43, 44, 51, 59, 60


def checksum(data):
    """RFC 1071."""
    total = int.from_bytes(data + b"\0" if len(data) % 2 else data, "big")
    return ~(total % 0xffff or (0xffff if total else 0)) & 0xffff


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    crc = 0xffffffff
    for b in data:
        crc = CRC_TABLE[(crc ^ b) & 0xff] ^ crc >> 8
    return ~crc & 0xffffffff


class Packets:
    """A stream of packets from one random.Random.

    malformed: also frames that are cut off or lie about their lengths.  max_tags: VLAN tags.  later_l4: later fragments may be of TCP, UDP and ICMPv6;
    later_ipv6: there are such of IPv6; llc: frames with an 802.2 header; labels: how many an MPLS
    packet may have; spent: TTLs are about to run out; least: bytes of a frame;
    under_labels: what an MPLS packet carries; bare_nd: there is neighbour discovery without options.
    """

    def __init__(self, rng, malformed=False, max_tags=2, later_l4=True, later_ipv6=True, llc=True, labels=(1,), spent=False, least=14,
                 under_labels=("ipv4", "ipv4", "ipv6", "other"), bare_nd=True):
        self.kinds = {"ipv4": 36, "ipv6": 26, "arp": 10, "mpls": 14, "other": 6} | ({"llc": 3, "snap": 2} if llc else {})
        self.labels, self.spent, self.least, self.under_labels, self.bare_nd = labels, spent, least, under_labels, bare_nd
        self.rng, self.malformed, self.max_tags, self.later_l4, self.later_ipv6 = rng, malformed, max_tags, later_l4, later_ipv6

    def pick(self, pool, n_bytes=None):
        """From the pool, or one time in twelve any value at all (n_bytes long, or below 2 ** -n_bytes bits)."""
        if self.rng.random() < 0.92:
            return self.rng.choice(pool)
        if isinstance(pool[0], bytes):
            return self.rng.randbytes(len(pool[0]))
        return self.rng.getrandbits(n_bytes)

    def next(self):
        frame = self._frame()
        if self.malformed and self.rng.random() < 0.5:
            frame = self._spoil(frame)
        return self.rng.randint(1, N_PORTS), frame

    # --- Layers, from the outside in ---

    def _frame(self):
        rng = self.rng
        kind = rng.choices(list(self.kinds), self.kinds.values())[0]
        src = self.pick(MACS) if rng.random() < 0.9 else rng.randbytes(6)
        head = self.pick(MACS) + bytes([src[0] & 0xfe]) + src[1:]
        n_tags = min(self.max_tags, rng.choices((0, 1, 2), (6, 4, 2))[0])
        for i in range(n_tags):
            tpid = 0x8100 if rng.random() < 0.6 else 0x88a8
            head += struct.pack("!HH", tpid, rng.choice((0, 0, 3, 7)) << 13 | self.pick(VIDS, 12))
        if kind == "llc":
            payload = bytes([0x42, 0x42, 3]) + rng.randbytes(rng.randint(77, 120))
            return head + struct.pack("!H", len(payload)) + payload
        if kind == "snap":
            ether_type, body = self._network(rng.choice(("ipv4", "ipv6", "arp", "other")))
            payload = bytes.fromhex("aaaa03000000") + struct.pack("!H", ether_type) + body
            return head + struct.pack("!H", min(len(payload), 1500)) + payload.ljust(78, b"\0")
        ether_type, body = self._network(kind)
        frame = head + struct.pack("!H", ether_type) + body
        # Long enough that no pop makes it shorter than Ethernet's least; or shorter than that from the start.
        if len(frame) < 100 and (n_tags or kind == "mpls" or self.least > 60 or rng.random() < 0.7):
            frame = frame.ljust(100, b"\0")
        elif len(frame) < 60:
            frame = frame.ljust(rng.choice((len(frame), 46, 59)), b"\0")
        elif len(frame) < 100:
            frame = frame.ljust(100, b"\0")
        return frame

    def _network(self, kind):
        if kind == "ipv4":
            return 0x0800, self._ipv4()
        if kind == "ipv6":
            return 0x86dd, self._ipv6()
        if kind == "arp":
            return 0x0806, self._arp()
        if kind == "mpls":
            return (0x8847 if self.rng.random() < 0.7 else 0x8848), self._mpls()
        return self.rng.choice(ETH_TYPES), self.rng.randbytes(self.rng.randint(32, 90))

    def _arp(self):
        rng = self.rng
        return struct.pack("!HHBBH", 1, 0x0800, 6, 4, rng.choice((1, 1, 2, 2, 3, 4))) + self.pick(MACS) + self.pick(IPV4S) + self.pick(MACS) + self.pick(IPV4S)

    def _mpls(self):
        rng = self.rng
        n, stack = rng.choice(self.labels), b""
        for i in range(n):
            stack += struct.pack("!I", self.pick(LABELS, 20) << 12 | rng.randrange(8) << 9 | (i == n - 1) << 8 | self._ttl())
        return stack + self._network(rng.choice(self.under_labels))[1]

    def _ttl(self):
        return self.rng.choice(SPENT) if self.spent else max(TTLS[0], self.pick(TTLS, 8))

    def _ipv4(self):
        rng = self.rng
        src, dst = self.pick(IPV4S), self.pick(IPV4S)
        protocol = rng.choices((TCP, UDP, SCTP, ICMP, 47, 89), (10, 10, 4, 6, 1, 1))[0]
        fragment = rng.choices((0, 0x4000, 0x2000, 0x2000 | rng.randint(1, 100), rng.randint(1, 8000)), (12, 6, 2, 1, 1))[0]
        if fragment & 0x3fff and protocol == SCTP:
            fragment = 0                # A checksum that covers what is in other fragments.
        if fragment & 0x1fff and (protocol == ICMP or not self.later_l4):
            protocol = rng.choice((47, 89))
        payload = self._transport(protocol, src, dst, struct.pack("!HH", protocol, 0), fragment & 0x1fff)
        options = b""
        if rng.random() < 0.15:
            options = bytes([7, 4 * rng.randint(1, 10) - 1, 4]).ljust(4 * rng.randint(1, 10), b"\1")
        tos = self.pick(DSCPS, 6) << 2 | rng.choice((0, 0, 1, 2, 3))
        head = struct.pack("!BBHHHBB", 0x45 + len(options) // 4, tos, 20 + len(options) + len(payload), rng.getrandbits(16), fragment, self._ttl(), protocol)
        sum_ = checksum(head + src + dst + options)
        if rng.random() < 0.03:
            sum_ = rng.randrange(0xffff)            # 0xffff stays as it is in vswitchd (README.md).
        return head + struct.pack("!H", sum_) + src + dst + options + payload

    def _ipv6(self):
        rng = self.rng
        src, dst = self.pick(IPV6S), self.pick(IPV6S)
        protocol = rng.choices((TCP, UDP, SCTP, ICMPV6, NONE, 47), (8, 8, 3, 10, 1, 1))[0]
        fragment, headers = 0, []
        if rng.random() < 0.3:
            headers = rng.sample((HOPOPTS, ROUTING, FRAGMENT, AH, DSTOPTS), rng.randint(1, 3))
            headers.sort(key=(HOPOPTS, DSTOPTS, ROUTING, FRAGMENT, AH).index)
        if FRAGMENT in headers:
            fragment = rng.choice((1, 1) + (0,) * self.later_l4 + (8 * rng.randint(1, 8000) | rng.randint(0, 1),) * self.later_ipv6)
        if protocol == SCTP and fragment:
            protocol = UDP              # As above.
        if fragment >> 3 and (protocol == ICMPV6 or not self.later_l4):
            protocol = 47
        payload = self._transport(protocol, src, dst, struct.pack("!HH", 0, protocol), fragment >> 3)
        chain = headers + [protocol]
        extension = b""
        for i, kind in enumerate(headers):
            follows = chain[i + 1]
            if kind == FRAGMENT:
                extension += struct.pack("!BBHI", follows, 0, fragment, rng.getrandbits(32))
            elif kind == AH:
                extension += struct.pack("!BBHII", follows, 4, 0, 1, 2) + rng.randbytes(12)
            else:
                n = rng.randint(0, 2)
                # A routing header with no segments left; options as one PadN.
                extension += bytes([follows, n]) + (bytes([0, 0, 0, 0, 0, 0]) if kind == ROUTING else bytes([1, 4 + 8 * n, 0, 0, 0, 0])) + bytes(8 * n)
        first = 6 << 28 | (self.pick(DSCPS, 6) << 2 | rng.choice((0, 0, 1, 2, 3))) << 20 | self.pick(FLABELS, 20)
        return struct.pack("!IHBB", first, len(extension) + len(payload), chain[0], self._ttl()) + src + dst + extension + payload

    def _transport(self, protocol, src, dst, proto_words, later):
        """The payload of an IP packet; of a later fragment any bytes."""
        rng = self.rng
        body = rng.randbytes(rng.choice((0, 1, 8, 17, 40, 64)))
        if later:
            return rng.randbytes(8 * rng.randint(3, 12))
        good = rng.random() < 0.95
        if protocol == SCTP:
            head = struct.pack("!HHI", self.pick(PORTS, 16), self.pick(PORTS, 16), rng.getrandbits(32))
            chunk = struct.pack("!BBH", 0, 3, 4 + len(body)) + body.ljust((len(body) + 3) // 4 * 4, b"\0")
            crc = crc32c(head + bytes(4) + chunk) if good else rng.getrandbits(32)
            return head + struct.pack("<I", crc) + chunk
        if protocol == TCP:
            words = rng.choice((5, 5, 5, 6, 8))
            head = struct.pack("!HHIIHHHH", self.pick(PORTS, 16), self.pick(PORTS, 16), rng.getrandbits(32), rng.getrandbits(32),
                               words << 12 | rng.choice((2, 0x10, 0x12, 0x18, 0x11, 4, rng.getrandbits(9))), 1000, 0, 0) + bytes([1]) * (4 * words - 20)
            at = 16
        elif protocol == UDP:
            head, at = struct.pack("!HHHH", self.pick(PORTS, 16), self.pick(PORTS, 16), 8 + len(body), 0), 6
            if rng.random() < 0.1 and len(src) == 4:
                return head + body
        elif protocol == ICMP:
            head, at = struct.pack("!BBHI", self.pick(ICMP_TYPES, 8), rng.choice((0, 0, 1, 3)), 0, rng.getrandbits(32)), 2
        elif protocol == ICMPV6:
            head, at = self._icmpv6(), 2
        else:
            return rng.randbytes(24) if protocol != NONE else b""
        packet = head + body
        if protocol == ICMPV6 and packet[0] in (135, 136):
            packet = head               # What follows would be options.
        covered = packet if protocol == ICMP else src + dst + struct.pack("!I" if len(src) == 16 else "!H", len(packet)) + proto_words + packet
        value = checksum(covered) if good else rng.randrange(0xffff)
        if protocol == UDP and not value:
            value = 0xffff
        return packet[:at] + struct.pack("!H", value) + packet[at + 2:]

    def _icmpv6(self):
        rng = self.rng
        if rng.random() < 0.5:
            return struct.pack("!BBHI", self.pick(ICMP6_TYPES, 7), rng.choice((0, 0, 1, 3)), 0, rng.getrandbits(32))
        kind = rng.choice((135, 136))
        head = struct.pack("!BBHI", kind, 0, 0, rng.choice((0, 0x20000000, 0xe0000000, 0x60000000))) + self.pick(IPV6S)
        if rng.random() < 0.8 or not self.bare_nd:
            head += bytes([1 if kind == 135 else 2, 1]) + self.pick(MACS)
        return head

    # --- Malformed ---

    def _spoil(self, frame):
        rng = self.rng
        if rng.random() < 0.5:
            size = rng.randint(14, len(frame))
            # Not a frame that a pop would take below Ethernet's least.
            return frame[:size if size < 56 else max(size, min(len(frame), 76))]
        spoilt = bytearray(frame)
        for _ in range(rng.randint(1, 4)):
            at = rng.choice([a for a in range(12, min(len(frame), 70)) if a not in (14, 18)])      # Not the DEI bits (README.md).
            spoilt[at] = rng.choice((0, 0xff, rng.getrandbits(8), spoilt[at] ^ 1 << rng.randrange(8)))
        return bytes(spoilt)
