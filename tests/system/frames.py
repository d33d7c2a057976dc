"""Frames built and taken apart byte by byte, and a socket that sends and hears them inside a namespace.

Builders take addresses as text and give bytes without FCS.  Checksums are right unless a wrong one is asked for.
"""
import contextlib
import ctypes
import ipaddress
import os
import select
import socket
import struct
import time

ARP, IPV4, IPV6, VLAN, LLDP, EXPERIMENT = 0x0806, 0x0800, 0x86dd, 0x8100, 0x88cc, 0x88b5
BROADCAST = "ff:ff:ff:ff:ff:ff"
LLDP_MAC = "01:80:c2:00:00:0e"
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    return ipaddress.ip_address(text).packed


def checksum(data):
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(dst, src, ethertype, payload, tags=(), pad=60):
    """tags: VLAN tags as (TPID, TCI), outermost first; pad: the least size of the frame."""
    tagged = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return (mac(dst) + mac(src) + tagged + struct.pack("!H", ethertype) + payload).ljust(pad, b"\0")


def ipv4(src, dst, protocol, payload, options=b"", fragment=0, wrong=0):
    """fragment: flags and offset (RFC 791); wrong: added to the header checksum."""
    def header(value):
        return struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 0x1234, fragment, 64, protocol,
                           value, ip(src), ip(dst)) + options
    return header((checksum(header(0)) + wrong) & 0xffff) + payload


def ipv6(src, dst, next_header, payload, hop_limit=64):
    return struct.pack("!IHBB", 0x60000000, len(payload), next_header, hop_limit) + ip(src) + ip(dst) + payload


def pseudo(src, dst, protocol, size):
    if ":" in src:
        return ip(src) + ip(dst) + struct.pack("!II", size, protocol)
    return ip(src) + ip(dst) + struct.pack("!HH", protocol, size)


def udp(src, dst, data, ports=(4000, 4001), wrong=0, none=False):
    """A UDP datagram; wrong: added to its checksum; none: checksum 0, which in IPv4 means that there is none."""
    head = struct.pack("!HHH", *ports, 8 + len(data))
    value = checksum(pseudo(src, dst, UDP, 8 + len(data)) + head + b"\0\0" + data) or 0xffff
    return head + struct.pack("!H", 0 if none else (value + wrong) & 0xffff) + data


def tcp(src, dst, data, ports=(4000, 4001), options=b"", wrong=0):
    def segment(value):
        return struct.pack("!HHIIBBHHH", *ports, 1, 2, (5 + len(options) // 4) << 4, 0x18, 65535, value, 0) + options + data
    plain = segment(0)
    return segment((checksum(pseudo(src, dst, TCP, len(plain)) + plain) + wrong) & 0xffff)


def icmp_echo(data=b"polder"):
    plain = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + data
    return plain[:2] + struct.pack("!H", checksum(plain)) + plain[4:]


def icmpv6(src, dst, body):
    """body: type, code, two zero bytes, the rest."""
    return body[:2] + struct.pack("!H", checksum(pseudo(src, dst, ICMPV6, len(body)) + body)) + body[4:]


def arp(op, sha, spa, tha, tpa):
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, op) + mac(sha) + ip(spa) + mac(tha) + ip(tpa)


def arp_request(e, target, spa=None):
    return ethernet(BROADCAST, e.mac, ARP, arp(1, e.mac, spa or e.ipv4, "00:00:00:00:00:00", target))


def solicited(target):
    """The solicited-node multicast address of RFC 4291, and its MAC of RFC 2464."""
    low = ip(target)[13:]
    return str(ipaddress.ip_address(b"\xff\x02" + bytes(9) + b"\x01\xff" + low)), "33:33:ff:" + low.hex(":")


def neighbour_solicitation(e, target, src=None):
    """RFC 4861 section 4.3; from the unspecified address (DAD) it bears no link-layer address."""
    src = src or e.ipv6
    group, group_mac = solicited(target)
    option = b"" if src == "::" else b"\1\1" + mac(e.mac)
    return ethernet(group_mac, e.mac, IPV6, ipv6(src, group, ICMPV6, icmpv6(src, group, struct.pack("!BBHI", 135, 0, 0, 0) + ip(target) + option), 255))


def neighbour_advertisement(to, target_mac, target):
    """What answers neighbour_solicitation(): section 7.2.4, solicited and overriding."""
    body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + ip(target) + b"\2\1" + mac(target_mac)
    return ethernet(to.mac, target_mac, IPV6, ipv6(target, to.ipv6, ICMPV6, icmpv6(target, to.ipv6, body), 255))


# --- Sockets ---

CLONE_NEWNET = 0x40000000
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
STATUS_VLAN_VALID, STATUS_TPID_VALID = 1 << 4, 1 << 6
ETH_P_ALL = 3
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(namespace):
    """What is opened in the block belongs to the namespace; this process stays where it is."""
    home, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)
        os.close(there)


class Tap:
    """A packet socket (packet(7)) on an interface of a namespace."""

    def __init__(self, namespace, interface):
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)     # protocol 0: nothing is queued before bind()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self._socket.bind((interface, ETH_P_ALL))

    def close(self):
        self._socket.close()

    def send(self, frame):
        self._socket.send(frame)

    def receive(self, seconds):
        """The next frame that came from outside, or None when `seconds` are over."""
        deadline = time.monotonic() + seconds
        while select.select([self._socket], [], [], max(0, deadline - time.monotonic()))[0]:
            data, control, _, address = self._socket.recvmsg(65536, 256)
            if address[2] != PACKET_OUTGOING:
                return self._with_tag(data, control)
        return None

    @staticmethod
    def _with_tag(data, control):
        """The kernel hands the outer VLAN tag over apart from the frame."""
        for level, kind, value in control:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
                if status & STATUS_VLAN_VALID:
                    return data[:12] + struct.pack("!HH", tpid if status & STATUS_TPID_VALID else VLAN, tci) + data[12:]
        return data

    def drain(self):
        while self.receive(0) is not None:
            pass
