"""OpenFlow 1.3 as this test needs it: a connection to a switch, and a listener that keeps what ovs-ofctl would have sent to one.

Programs are written as ovs-ofctl text, encoded once by ovs-ofctl, and the same bytes go to both switches.
"""
import os
import re
import select
import socket
import struct
import subprocess
import time

from tests.system.frames import inside
from utilities.lab.cleanup import LabError

VERSION = 4
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY = 0, 1, 2, 3
SET_CONFIG, PACKET_IN, FLOW_REMOVED, PACKET_OUT, FLOW_MOD, GROUP_MOD = 9, 10, 11, 13, 14, 15
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, SET_ASYNC, METER_MOD = 18, 19, 20, 21, 28, 29
OFPMP_FLOW, OFPMP_TABLE, OFPMP_PORT, OFPMP_GROUP, OFPMP_GROUP_DESC, OFPMP_METER, OFPMP_METER_CONFIG = 1, 3, 4, 6, 7, 9, 10
METER_ALL = 0xffffffff
OFPP_IN_PORT, OFPP_TABLE, OFPP_CONTROLLER, OFPP_ANY = 0xfffffff8, 0xfffffff9, 0xfffffffd, 0xffffffff
NO_BUFFER = 0xffffffff
FLAG_MORE = 1
RESET_COUNTS = 4
NO_COOKIE = 0xffffffffffffffff
WAIT_S = 20

# The pipeline fields of a packet-in that both switches report: OXM or NXM header without the mask bit, as class << 7 | field.
IN_PORT, METADATA = 0x8000 << 7, 0x8000 << 7 | 2
EXPERIMENTER = 0xffff
TCP_FLAGS = EXPERIMENTER << 7 | 42      # The ONF's name of it.
# What is under a mask, though OpenFlow 1.3's field is not maskable, has Nicira's name from Polder: layer-4 ports, neighbour discovery.
NXM = {9: 0x8000 << 7 | 13, 10: 0x8000 << 7 | 14, 11: 0x8000 << 7 | 15, 12: 0x8000 << 7 | 16,
       1 << 7 | 23: 0x8000 << 7 | 31, 1 << 7 | 24: 0x8000 << 7 | 32, 1 << 7 | 25: 0x8000 << 7 | 33, 1 << 7 | 34: TCP_FLAGS}
TUNNEL_ID = (0x8000 << 7 | 38, 1 << 7 | 16)


def message(kind, body=b"", xid=0):
    return struct.pack("!BBHI", VERSION, kind, 8 + len(body), xid) + body


def action_output(port, max_len=0xffff):
    return struct.pack("!HHIH6x", 0, 16, port, max_len)


def packet_out(in_port, actions, data):
    return message(PACKET_OUT, struct.pack("!IIH6x", NO_BUFFER, in_port, len(actions)) + actions + data)


def meter_mod(command, meter, flags=0, bands=()):
    """bands that drop: (rate, burst)."""
    return message(METER_MOD, struct.pack("!HHI", command, flags, meter) + b"".join(struct.pack("!HHIIxxxx", 1, 16, *band) for band in bands))


DELETE_FLOWS = message(FLOW_MOD, struct.pack("!QQBBHHHIIIH2xHHI", 0, 0, 0xff, 3, 0, 0, 0, NO_BUFFER, OFPP_ANY, OFPP_ANY, 0, 1, 4, 0))
DELETE_GROUPS = message(GROUP_MOD, struct.pack("!HBxI", 2, 0, 0xfffffffc))
DELETE_METERS = meter_mod(2, METER_ALL)


def split(buffer):
    """The whole messages at the front of a buffer, and the rest."""
    messages, at = [], 0
    while len(buffer) - at >= 8:
        size = int.from_bytes(buffer[at + 2:at + 4], "big")
        if size < 8:
            raise LabError(f"a message of {size} bytes: {buffer[at:at + 16].hex()}")
        if len(buffer) - at < size:
            break
        messages.append(bytes(buffer[at:at + size]))
        at += size
    return messages, buffer[at:]


def pipeline_fields(match):
    """The fields of a packet-in's match as a tuple: in_port, metadata, tunnel id, registers."""
    values, at, end = {}, 4, int.from_bytes(match[2:4], "big")
    while at < end:
        header = int.from_bytes(match[at:at + 4], "big")
        size = header & 0xff
        values[header >> 9] = int.from_bytes(match[at + 4:at + 4 + size], "big")
        at += 4 + size
    registers = tuple(values.get(1 << 7 | n, 0) for n in range(16))
    # A switch may report registers in pairs (OXM packet registers).
    pairs = {n: values.get(0x8001 << 7 | n, 0) for n in range(8)}
    registers = tuple(r | (pairs[n // 2] >> (0 if n % 2 else 32) & 0xffffffff) for n, r in enumerate(registers))
    return values.get(IN_PORT), values.get(METADATA, 0), max(values.get(t, 0) for t in TUNNEL_ID), registers


def packet_in(body):
    """(reason, table, cookie, fields, frame) of a PACKET_IN's body."""
    _, total, reason, table, cookie = struct.unpack_from("!IHBBQ", body)
    length = int.from_bytes(body[18:20], "big")
    frame = body[16 + (length + 7) // 8 * 8 + 2:]
    if len(frame) != total:
        raise LabError(f"a packet-in holds {len(frame)} of {total} bytes, though it was to be whole")
    return reason, table, cookie, pipeline_fields(body[16:16 + length]), frame


def fields(match):
    """The OXM fields of a match's body, in no order: each switch has its own."""
    found, at = [], 0
    while at < len(match):
        header, size = int.from_bytes(match[at:at + 4], "big"), match[at + 3]
        name = NXM.get(header >> 9, header >> 9) << 9 | header & 0x1ff
        own = 4 if header >> 16 == EXPERIMENTER else 0          # The experimenter's number.
        value = match[at + 4 + own:at + 4 + size]
        if name >> 9 == TCP_FLAGS and value[2:] == b"\x0f\xff":
            name, value = TCP_FLAGS << 9, value[:2]             # All of its twelve bits.
        found.append(f"{name & ~0xff:08x}{value.hex()}")
        at += 4 + size
    return " ".join(sorted(found))


def flow_removed(body):
    """(cookie, priority, reason, table, seconds, idle, hard, packets, bytes, match)."""
    cookie, priority, reason, table, seconds, _, idle, hard, packets, octets = struct.unpack_from("!QHBBIIHHQQ", body)
    return cookie, priority, reason, table, seconds, idle, hard, packets, octets, fields(body[44:40 + int.from_bytes(body[42:44], "big")])


def _instruction(data):
    """Without the bits of write-metadata that its mask leaves out (README.md)."""
    if data[:2] == b"\0\2":
        value, mask = struct.unpack_from("!QQ", data, 8)
        data = data[:8] + struct.pack("!QQ", value & mask, mask)
    return data.hex()


class Channel:
    """A controller's connection to one switch."""

    def __init__(self, name, path, fragments=0):
        """path: of a unix socket, or (namespace, port) on its loopback; fragments: ofp_config_flags."""
        self.name = name
        if isinstance(path, tuple):
            with inside(path[0]):
                self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            path = "127.0.0.1", path[1]
        else:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT_S)
        self.socket.connect(path)
        if self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)       # Else what is sent behind a first message waits for 40 ms (RFC 1122, 4.2.3.2).
        self._buffer, self._out, self._xid = b"", bytearray(), 1
        self.packet_ins, self.removed, self._replies, self.errors, self.error_data = [], [], {}, {}, {}
        self._parts = {}
        self.send(message(HELLO))
        # Every reason, for a connection of any kind; whole frames.  Open vSwitch asks for 1.4's reason 4 before it tells of a meter's entries.
        self.send(message(SET_ASYNC, struct.pack("!IIIIII", 7, 7, 0, 0, 31, 31)))
        self.send(message(SET_CONFIG, struct.pack("!HH", fragments, 0xffff)))
        self.barrier()

    def close(self):
        self.socket.close()

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def _take(self, m):
        kind, xid = m[1], int.from_bytes(m[4:8], "big")
        if kind == PACKET_IN:
            self.packet_ins.append(packet_in(m[8:]))
        elif kind == FLOW_REMOVED:
            self.removed.append(flow_removed(m[8:]))
        elif kind == ECHO_REQUEST:
            self.send(message(ECHO_REPLY, m[8:], xid))
        elif kind == ERROR:
            self.errors[xid] = struct.unpack_from("!HH", m, 8)
            self.error_data[xid] = m[12:]
        elif kind == MULTIPART_REPLY:
            self._parts.setdefault(xid, []).append(m[16:])
            if not int.from_bytes(m[10:12], "big") & FLAG_MORE:
                self._replies[xid] = b"".join(self._parts.pop(xid))
        elif kind == BARRIER_REPLY:
            self._replies[xid] = b""

    def poll(self, seconds=0.0):
        """Takes what has come; True when there was something."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return False
        data = self.socket.recv(1 << 18)
        if not data:
            raise LabError(f"{self.name} closed its OpenFlow connection")
        messages, self._buffer = split(self._buffer + data)
        for m in messages:
            self._take(m)
        return True

    def _request(self, kind, body=b""):
        self._xid += 1
        xid = self._xid
        self.send(message(kind, body, xid))
        deadline = time.monotonic() + WAIT_S
        while xid not in self._replies:
            self.poll(0.1)
            if xid in self.errors:
                raise LabError(f"{self.name} answers a request of type {kind} by error {self.errors[xid]}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} does not answer a request of type {kind} within {WAIT_S} s")
        return self._replies.pop(xid)

    def barrier(self):
        self._request(BARRIER_REQUEST)

    def install(self, messages):
        """Sends flow-mods and group-mods; {index: (type, code)} of those refused, each with the bytes that were (section 7.4.4: at least 64)."""
        numbered, sent = {}, []
        self.errors.clear()
        for i, m in enumerate(messages):
            self._xid += 1
            numbered[self._xid] = i
            sent.append(m[:4] + struct.pack("!I", self._xid) + m[8:])
            self.send(sent[-1])
        self.barrier()
        refused = {numbered[xid]: e for xid, e in self.errors.items() if xid in numbered}
        for xid, i in numbered.items():
            data = self.error_data.get(xid, b"")
            if i in refused and (len(data) < min(64, len(sent[i])) or data != sent[i][:len(data)]):
                raise LabError(f"{self.name}: the error {refused[i]} holds {data.hex()}, the message was {sent[i].hex()}")
        return refused

    # --- Statistics ---

    def flows(self):
        """{cookie: (packets, bytes)}."""
        body = struct.pack("!HH4x", OFPMP_FLOW, 0) + struct.pack("!B3xII4xQQHHI", 0xff, OFPP_ANY, OFPP_ANY, 0, 0, 1, 4, 0)
        reply, at, found = self._request(MULTIPART_REQUEST, body), 0, {}
        while at < len(reply):
            size, = struct.unpack_from("!H", reply, at)
            cookie, packets, octets = struct.unpack_from("!QQQ", reply, at + 24)
            found[cookie] = packets, octets
            at += size
        return found

    def entries(self):
        """{(table, priority, match): (cookie, idle, hard, flags, instructions in the order of their types)}."""
        body = struct.pack("!HH4x", OFPMP_FLOW, 0) + struct.pack("!B3xII4xQQHHI", 0xff, OFPP_ANY, OFPP_ANY, 0, 0, 1, 4, 0)
        reply, at, found = self._request(MULTIPART_REQUEST, body), 0, {}
        while at < len(reply):
            size, table, priority, idle, hard, flags, cookie = struct.unpack_from("!HBx8xHHHH4xQ", reply, at)
            length, = struct.unpack_from("!H", reply, at + 50)
            instructions, i = [], at + 48 + (length + 7) // 8 * 8
            while i < at + size:
                n, = struct.unpack_from("!H", reply, i + 2)
                instructions.append(_instruction(reply[i:i + n]))
                i += n
            found[table, priority, fields(reply[at + 52:at + 48 + length])] = cookie, idle, hard, flags & ~RESET_COUNTS, sorted(instructions)
            at += size
        return found

    def group_descs(self):
        """{group: the whole description}."""
        reply, at, found = self._request(MULTIPART_REQUEST, struct.pack("!HH4x", OFPMP_GROUP_DESC, 0)), 0, {}
        while at < len(reply):
            size, group = struct.unpack_from("!H2xI", reply, at)
            found[group] = reply[at:at + size].hex()
            at += size
        return found

    def groups(self):
        """{group: ((packets, bytes), [(packets, bytes) of each bucket])}."""
        reply = self._request(MULTIPART_REQUEST, struct.pack("!HH4xI4x", OFPMP_GROUP, 0, 0xfffffffc))
        at, found = 0, {}
        while at < len(reply):
            size, group = struct.unpack_from("!H2xI", reply, at)
            total = struct.unpack_from("!QQ", reply, at + 16)
            found[group] = total, [struct.unpack_from("!QQ", reply, i) for i in range(at + 40, at + size, 16)]
            at += size
        return found

    def meters(self):
        """{meter: (entries that use it, packets, bytes, packets of each band and its bytes)}."""
        reply, at, found = self._request(MULTIPART_REQUEST, struct.pack("!HH4xI4x", OFPMP_METER, 0, METER_ALL)), 0, {}
        while at < len(reply):
            meter, size, flows, packets, octets = struct.unpack_from("!IH6xIQQ", reply, at)
            found[meter] = flows, packets, octets, *struct.unpack_from(f"!{(size - 40) // 8}Q", reply, at + 40)
            at += size
        return found

    def meter_configs(self):
        """{meter: the whole configuration}."""
        reply, at, found = self._request(MULTIPART_REQUEST, struct.pack("!HH4xI4x", OFPMP_METER_CONFIG, 0, METER_ALL)), 0, {}
        while at < len(reply):
            size, _, meter = struct.unpack_from("!HHI", reply, at)
            found[meter] = reply[at:at + size].hex()
            at += size
        return found

    def ports(self):
        """{port: (packets received, sent, bytes received, sent)}."""
        reply = self._request(MULTIPART_REQUEST, struct.pack("!HH4xI4x", OFPMP_PORT, 0, OFPP_ANY))
        return {struct.unpack_from("!I", reply, at)[0]: struct.unpack_from("!QQQQ", reply, at + 8) for at in range(0, len(reply), 112)}

    def tables(self, n):
        """[(lookups, matches)] of the first n tables."""
        reply = self._request(MULTIPART_REQUEST, struct.pack("!HH4x", OFPMP_TABLE, 0))
        rows = {}
        for at in range(0, len(reply), 24):
            table, _, lookups, matches = struct.unpack_from("!B3xIQQ", reply, at)
            rows[table] = lookups, matches
        return [rows.get(t, (0, 0)) for t in range(n)]


class Recorder:
    """A socket that ovs-ofctl takes for a switch."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        self.refused = []
        self.path = os.path.join(folder, "recorder.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.listener.settimeout(WAIT_S)

    def encode(self, command, lines):
        """The messages of `ovs-ofctl COMMAND` for these lines; those that it refuses are taken out of the list."""
        if not lines:
            return []
        source = os.path.join(self.folder, "program.txt")
        with open(source, "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in lines)
        program = self.lab.popen(["ovs-ofctl", "--no-names", "-O", "OpenFlow13", command, "unix:" + self.path, source],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        messages = []
        try:
            while program.poll() is None:
                if select.select([self.listener], [], [], 0.002)[0]:
                    with self.listener.accept()[0] as peer:
                        messages += self._serve(peer)
        finally:
            program.kill()
            output, _ = program.communicate()
        if program.returncode:
            refused = re.search(r"program\.txt:(\d+): ", output)
            if not refused:
                raise LabError(f"ovs-ofctl {command}: {output.strip()}")
            self.refused.append(output.strip() + "\n  " + lines[int(refused[1]) - 1])
            del lines[int(refused[1]) - 1]
            return self.encode(command, lines)
        if len(messages) != len(lines):
            raise LabError(f"ovs-ofctl {command} sent {len(messages)} messages for {len(lines)} lines: {output.strip()}")
        return messages

    @staticmethod
    def _serve(peer):
        peer.settimeout(WAIT_S)
        peer.sendall(message(HELLO))
        buffer, kept = b"", []
        while data := peer.recv(1 << 16):
            messages, buffer = split(buffer + data)
            for m in messages:
                if m[1] in (FLOW_MOD, GROUP_MOD):
                    kept.append(m)
                elif m[1] == BARRIER_REQUEST:
                    peer.sendall(message(BARRIER_REPLY, b"", int.from_bytes(m[4:8], "big")))
                elif m[1] == ECHO_REQUEST:
                    peer.sendall(message(ECHO_REPLY, m[8:], int.from_bytes(m[4:8], "big")))
        return kept
