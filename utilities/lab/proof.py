"""What a capture of the fabric must not hold: a tenant's MAC or IP address, anywhere in any frame.

The reader knows the classic pcap format (draft-ietf-opsawg-pcap) in both byte orders, with micro- or nanoseconds.
"""
import ipaddress
import struct

MAGIC = {0xa1b2c3d4: 1000, 0xa1b23c4d: 1}           # to nanoseconds per unit of the second time field
LINKTYPE_ETHERNET = 1


class PcapError(Exception):
    """The file is not a whole pcap file of Ethernet frames."""


class Frame:
    """number counts from 1, as Wireshark does."""

    def __init__(self, number, time_ns, data):
        self.number, self.time_ns, self.data = number, time_ns, data


def frames(path):
    """Yields the Frames of a pcap file.  A frame that was cut short is an error: it could hide what is looked for."""
    with open(path, "rb") as file:
        header = file.read(24)
        if len(header) < 24:
            raise PcapError(f"{path}: no pcap header")
        order = next((o for o in "<>" if struct.unpack(o + "I", header[:4])[0] in MAGIC), None)
        if order is None:
            raise PcapError(f"{path}: not a classic pcap file")
        magic, _, _, _, _, _, linktype = struct.unpack(order + "IHHiIII", header)
        if linktype & 0xffff != LINKTYPE_ETHERNET:
            raise PcapError(f"{path}: link type {linktype} is not Ethernet")
        number = 0
        while record := file.read(16):
            number += 1
            if len(record) < 16:
                raise PcapError(f"{path}: ends inside the header of frame {number}")
            seconds, fraction, kept, size = struct.unpack(order + "IIII", record)
            data = file.read(kept)
            if len(data) < kept:
                raise PcapError(f"{path}: ends inside frame {number}")
            if kept < size:
                raise PcapError(f"{path}: only {kept} of {size} bytes of frame {number} were kept")
            yield Frame(number, seconds * 10**9 + fraction * MAGIC[magic], data)


def mac_bytes(text):
    parts = bytes(int(part, 16) for part in text.split(":"))
    if len(parts) != 6:
        raise ValueError(f"{text} is not a MAC address")
    return parts


def address_bytes(text):
    """6, 4 or 16 bytes of a MAC, IPv4 or IPv6 address."""
    try:
        return ipaddress.ip_address(text.split("/")[0]).packed
    except ValueError:
        return mac_bytes(text)


class Hit:
    """Where an address was found."""

    def __init__(self, frame, offset, address):
        self.frame, self.offset, self.address = frame, offset, address

    def __str__(self):
        return f"{self.address} in frame {self.frame.number} at byte {self.offset}: {self.frame.data[:64].hex()}"


def find_address(path, addresses):
    """Looks for each of `addresses` (text) in every frame.  Returns (number of frames, the first Hit or None)."""
    needles = [(text, address_bytes(text)) for text in addresses]
    count = 0
    for frame in frames(path):
        count = frame.number
        for text, needle in needles:
            offset = frame.data.find(needle)
            if offset >= 0:
                return count, Hit(frame, offset, text)
    return count, None
