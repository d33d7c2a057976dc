"""Every error of OpenFlow 1.3.5 section 7.4.4, 1.4's new ones and 1.0's: each is produced here, or is in NEVER with the reason why this switch has no use for it.

A row is what to send first (each must succeed) and the request that is refused; the answer must have the row's type and code and the request's first 64 bytes.  The codes come
from ofproto/error.h, so that a new one without a row fails the test.
"""
import os
import re
import socket
import struct

from utilities.lab.daemons import Vswitchd
from utilities.lab.image import TOP

from .test_ofctl import RINGS, expect

LIMITS = {"flows": 9, "table_flows": 6, "groups": 3, "meters": 2, "connections": 8, "monitors": 1, "bundles": 1, "bundle_mb": 1}
NO_BUFFER = ANY = 0xffffffff
XID, SETUP_XID, BARRIER_XID = 0x01020304, 0x500, 0x600
ONF, NICIRA, POLDER = 0x4f4e4600, 0x2320, 0x00504f4c
HELLO, EXPERIMENTER, SET_CONFIG, PACKET_OUT, FLOW_MOD, GROUP_MOD, PORT_MOD, TABLE_MOD, MULTIPART, BARRIER = 0, 4, 9, 13, 14, 15, 16, 17, 18, 20
QUEUE_CONFIG, ROLE, SET_ASYNC, METER_MOD, BUNDLE, BUNDLE_ADD = 22, 24, 28, 29, 33, 34
BARRIER10 = 18
FRAME = bytes(60)


# --- Messages ---

def message(kind, body, version=4, xid=XID):
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def pad8(data):
    return data + bytes(-len(data) % 8)


def match(*fields, kind=1, length=None):
    data = b"".join(fields)
    return pad8(struct.pack("!HH", kind, 4 + len(data) if length is None else length) + data)


def oxm(number, value, mask=b"", oxm_class=0x8000):
    return struct.pack("!HBB", oxm_class, number << 1 | bool(mask), len(value) + len(mask)) + value + mask


IN_PORT = oxm(0, struct.pack("!I", 1))
ETH_IP = oxm(5, b"\x08\x00")


def action(kind, rest):
    return struct.pack("!HH", kind, 4 + len(rest)) + rest


def output(port):
    return action(0, struct.pack("!IH6x", port, 0))


def group(number):
    return action(22, struct.pack("!I", number))


def set_field(field):
    return struct.pack("!HH", 25, len(pad8(bytes(4) + field))) + pad8(bytes(4) + field)[4:]


def instruction(kind, rest):
    return struct.pack("!HH", kind, 4 + len(rest)) + rest


def apply(*actions):
    return instruction(4, bytes(4) + b"".join(actions))


def flow(what=match(), instructions=b"", command=0, table=0, flags=0, buffer=NO_BUFFER, priority=5, version=4, importance=0):
    return message(FLOW_MOD, struct.pack("!QQBBHHHIIIHH", 0, 0, table, command, 0, 0, priority, buffer, ANY, ANY, flags, importance) + what + instructions, version)


def flow_with(*actions, what=match()):
    return flow(what, apply(*actions))


def port_flow(port, table=0):
    return flow(match(oxm(0, struct.pack("!I", port))), table=table)


def bucket(*actions, weight=0, watch_port=ANY, watch_group=ANY):
    data = b"".join(actions)
    return struct.pack("!HHII4x", 16 + len(data), weight, watch_port, watch_group) + data


def group_mod(number, *buckets, command=0, kind=0):
    return message(GROUP_MOD, struct.pack("!HBxI", command, kind, number) + b"".join(buckets))


def band(kind=1, rate=10, level=0):
    return struct.pack("!HHIIB3x", kind, 16, rate, 0, level)


def meter_mod(number, *bands, command=0, flags=1):
    return message(METER_MOD, struct.pack("!HHI", command, flags, number) + b"".join(bands))


def packet_out(*actions, buffer=NO_BUFFER, port=0xfffffffd, data=FRAME):
    actions = b"".join(actions)
    return message(PACKET_OUT, struct.pack("!IIH6x", buffer, port, len(actions)) + actions + data)


def port_mod(port, mac, config=0, mask=0, advertise=0):
    return message(PORT_MOD, struct.pack("!I4x6s2xIII4x", port, mac, config, mask, advertise))


def table_mod(table, config):
    return message(TABLE_MOD, struct.pack("!B3xI", table, config))


def table_mod14(*properties, table=0, config=0):
    return message(TABLE_MOD, struct.pack("!B3xI", table, config) + b"".join(properties), 5)


def multipart(kind, body=b"", flags=0, version=4):
    return message(MULTIPART, struct.pack("!HH4x", kind, flags) + body, version)


def flow_stats(table):
    return multipart(1, struct.pack("!B3xII4xQQ", table, ANY, ANY, 0, 0) + match())


def experimenter(vendor, kind, body=b""):
    return message(EXPERIMENTER, struct.pack("!II", vendor, kind) + body)


def role(number, generation=0):
    return message(ROLE, struct.pack("!I4xQ", number, generation))


def set_async14(*properties):
    return message(SET_ASYNC, b"".join(properties), 5)


def prop(kind, body, length=None):
    return pad8(struct.pack("!HH", kind, 4 + len(body) if length is None else length) + body)


def monitor(number, flags=2, table=255, port=ANY, out_group=ANY, command=0):
    return multipart(16, struct.pack("!IIIHBB", number, port, out_group, flags, table, command) + match(), version=5)


def bundle(number, kind, flags=0):
    return message(BUNDLE, struct.pack("!IHH", number, kind, flags), 5)


def bundle_add(number, inner, flags=0):
    return message(BUNDLE_ADD, struct.pack("!I2xH", number, flags) + bytes([5]) + inner[1:], 5)


OPEN, CLOSE, COMMIT = 0, 2, 4
LONG_CHAIN = set_field(oxm(4, b"\x02\0\0\0\0\1")) * 4000        # 64 kB: more than one entry may have.

# --- What produces each code ---

PRODUCED = {
    # Before anything else; the answer's data is text there, as section 7.4.4 suggests.
    "OFPHFC_INCOMPATIBLE": [message(HELLO, b"", 2)],
    "OFPBRC_BAD_VERSION": [message(BARRIER, b"", 3)],
    "OFPBRC_BAD_TYPE": [message(99, b"")],
    "OFPBRC_BAD_MULTIPART": [multipart(0x0fff)],
    "OFPBRC_BAD_EXPERIMENTER": [experimenter(0x123456, 1)],
    "OFPBRC_BAD_EXP_TYPE": [experimenter(POLDER, 999)],
    "OFPBRC_EPERM": [experimenter(NICIRA, 16, struct.pack("!I", 77))],
    "OFPBRC_BAD_LEN": [message(FLOW_MOD, bytes(20))],
    "OFPBRC_BUFFER_UNKNOWN": [packet_out(output(1), buffer=7)],
    "OFPBRC_BAD_TABLE_ID": [flow_stats(254)],
    "OFPBRC_IS_SLAVE": [role(3), flow()],
    "OFPBRC_BAD_PORT": [packet_out(output(1), port=0)],
    "OFPBRC_BAD_PACKET": [packet_out(output(1), data=b"short")],
    "OFPBRC_MULTIPART_BUFFER_OVERFLOW": [multipart(13, flags=1)],
    "OFPBAC_BAD_TYPE": [flow_with(action(500, bytes(4)))],
    "OFPBAC_BAD_LEN": [flow_with(action(0, bytes(4)))],
    "OFPBAC_BAD_EXPERIMENTER": [flow_with(action(0xffff, struct.pack("!I8x", 0x123456)))],
    "OFPBAC_BAD_EXP_TYPE": [flow_with(action(0xffff, struct.pack("!IH6x", NICIRA, 999)))],
    "OFPBAC_BAD_OUT_PORT": [flow_with(output(0))],
    "OFPBAC_BAD_ARGUMENT": [flow_with(action(17, struct.pack("!H2x", 0x1234)))],
    "OFPBAC_TOO_MANY": [flow_with(LONG_CHAIN[:61000 // 16 * 16])],
    "OFPBAC_BAD_QUEUE": [flow_with(action(21, b"\xff\xff\xff\xff"))],
    "OFPBAC_BAD_OUT_GROUP": [flow_with(group(99))],
    "OFPBAC_MATCH_INCONSISTENT": [flow_with(set_field(oxm(11, bytes([10, 0, 0, 1]))))],
    "OFPBAC_BAD_SET_TYPE": [flow_with(set_field(oxm(100, bytes(4))))],
    "OFPBAC_BAD_SET_LEN": [flow_with(set_field(oxm(4, bytes(4))))],
    "OFPBAC_BAD_SET_ARGUMENT": [flow_with(set_field(oxm(6, b"\xff\xff")))],
    "OFPBIC_UNKNOWN_INST": [flow(instructions=instruction(77, bytes(4)))],
    "OFPBIC_UNSUP_INST": [flow(instructions=apply() + apply())],
    "OFPBIC_BAD_TABLE_ID": [flow(instructions=instruction(1, bytes(4)))],
    "OFPBIC_BAD_EXPERIMENTER": [flow(instructions=instruction(0xffff, struct.pack("!I", 0x123456)))],
    "OFPBIC_BAD_LEN": [flow(instructions=instruction(1, bytes(12)))],
    "OFPBMC_BAD_TYPE": [flow(match(kind=0))],
    "OFPBMC_BAD_LEN": [flow(match(length=100))],
    "OFPBMC_BAD_WILDCARDS": [flow(match(oxm(3, b"\1\0\0\0\0\1", b"\xff\0\0\0\0\0")))],
    "OFPBMC_BAD_FIELD": [flow(match(oxm(100, bytes(4))))],
    "OFPBMC_BAD_VALUE": [flow(match(oxm(6, b"\xff\xff")))],
    "OFPBMC_BAD_MASK": [flow(match(oxm(5, b"\x08\0", b"\xff\0")))],
    "OFPBMC_BAD_PREREQ": [flow(match(oxm(11, bytes([10, 0, 0, 1]))))],
    "OFPBMC_DUP_FIELD": [flow(match(IN_PORT, IN_PORT))],
    "OFPFMFC_TABLE_FULL": [*(port_flow(i) for i in range(1, 7)), port_flow(7)],
    "OFPFMFC_BAD_TABLE_ID": [flow(table=254)],
    "OFPFMFC_OVERLAP": [flow(match(IN_PORT)), flow(match(ETH_IP), flags=2)],
    "OFPFMFC_BAD_COMMAND": [flow(command=5)],
    "OFPFMFC_BAD_FLAGS": [flow(flags=0x80)],
    "OFPGMFC_GROUP_EXISTS": [group_mod(1), group_mod(1)],
    "OFPGMFC_INVALID_GROUP": [group_mod(1, kind=2)],
    "OFPGMFC_OUT_OF_GROUPS": [group_mod(1), group_mod(2), group_mod(3), group_mod(4)],
    "OFPGMFC_OUT_OF_BUCKETS": [group_mod(1, bucket() * 3800)],
    "OFPGMFC_WATCH_UNSUPPORTED": [group_mod(1, bucket(watch_port=1))],
    "OFPGMFC_LOOP": [group_mod(1, bucket(group(1)))],
    "OFPGMFC_UNKNOWN_GROUP": [group_mod(1, command=1)],
    "OFPGMFC_CHAINED_GROUP": [group_mod(1), group_mod(2, bucket(group(1))), group_mod(1, command=2)],
    "OFPGMFC_BAD_TYPE": [group_mod(1, kind=9)],
    "OFPGMFC_BAD_COMMAND": [group_mod(1, command=9)],
    "OFPGMFC_BAD_BUCKET": [group_mod(1, bytes(16))],
    "OFPGMFC_BAD_WATCH": [group_mod(1, bucket(watch_group=99), kind=3)],
    "OFPPMFC_BAD_PORT": [port_mod(99, bytes(6))],
    "OFPPMFC_BAD_HW_ADDR": [port_mod(1, bytes(6))],
    "OFPPMFC_BAD_CONFIG": [lambda mac: port_mod(1, mac, 2, 2)],
    "OFPPMFC_BAD_ADVERTISE": [lambda mac: port_mod(1, mac, advertise=1)],
    "OFPTMFC_BAD_TABLE": [table_mod(254, 0)],
    "OFPTMFC_BAD_CONFIG": [table_mod(0, 4)],
    "OFPQOFC_BAD_PORT": [message(QUEUE_CONFIG, struct.pack("!I4x", 99))],
    "OFPQOFC_BAD_QUEUE": [multipart(5, struct.pack("!II", 1, 77))],
    "OFPSCFC_BAD_FLAGS": [message(SET_CONFIG, struct.pack("!HH", 9, 128))],
    "OFPRRFC_STALE": [role(2, 10), role(2, 9)],
    "OFPRRFC_BAD_ROLE": [role(9)],
    "OFPMMFC_METER_EXISTS": [meter_mod(1, band()), meter_mod(1, band())],
    "OFPMMFC_INVALID_METER": [meter_mod(0, band())],
    "OFPMMFC_UNKNOWN_METER": [meter_mod(1, band(), command=1)],
    "OFPMMFC_BAD_COMMAND": [meter_mod(1, band(), command=9)],
    "OFPMMFC_BAD_FLAGS": [meter_mod(1, band(), flags=3)],
    "OFPMMFC_BAD_RATE": [meter_mod(1, band(rate=0))],
    "OFPMMFC_BAD_BAND": [meter_mod(1, band(kind=9))],
    "OFPMMFC_OUT_OF_METERS": [meter_mod(1, band()), meter_mod(2, band()), meter_mod(3, band())],
    "OFPMMFC_OUT_OF_BANDS": [meter_mod(1, *[band()] * 17)],
    "OFPTFFC_BAD_LEN": [multipart(12, struct.pack("!H", 70) + bytes(62))],
    "OFPTFFC_EPERM": [multipart(12, struct.pack("!HB", 64, 1) + bytes(61))],
    # From here on in OpenFlow 1.4.
    "OFPBPC_BAD_TYPE": [table_mod14(prop(9, bytes(4)))],
    "OFPBPC_BAD_LEN": [table_mod14(prop(2, bytes(12)))],
    "OFPBPC_BAD_VALUE": [table_mod14(prop(3, bytes([50, 20, 0, 0])))],
    "OFPBPC_DUP_TYPE": [set_async14(prop(0, bytes(4)), prop(0, bytes(4)))],
    "OFPBPC_BAD_EXPERIMENTER": [table_mod14(prop(0xffff, bytes(8)))],
    "OFPACFC_INVALID": [set_async14(prop(1, struct.pack("!I", 0x1000)))],
    "OFPMOFC_UNKNOWN": [monitor(1), monitor(2)],
    "OFPMOFC_MONITOR_EXISTS": [monitor(1), monitor(1)],
    "OFPMOFC_UNKNOWN_MONITOR": [monitor(1, command=1)],
    "OFPMOFC_BAD_COMMAND": [monitor(1, command=9)],
    "OFPMOFC_BAD_FLAGS": [monitor(1, flags=0x1000)],
    "OFPMOFC_BAD_TABLE_ID": [monitor(1, table=254)],
    "OFPMOFC_BAD_OUT": [monitor(1, port=0)],
    "OFPBFC_BAD_ID": [bundle(7, COMMIT)],
    "OFPBFC_BUNDLE_EXIST": [bundle(7, OPEN), bundle(7, OPEN)],
    "OFPBFC_BUNDLE_CLOSED": [bundle(7, OPEN), bundle(7, CLOSE), bundle_add(7, flow())],
    "OFPBFC_OUT_OF_BUNDLES": [bundle(7, OPEN), bundle(8, OPEN)],
    "OFPBFC_BAD_TYPE": [bundle(7, 99)],
    "OFPBFC_BAD_FLAGS": [bundle(7, OPEN, 8)],
    "OFPBFC_MSG_BAD_LEN": [bundle(7, OPEN), bundle_add(7, message(FLOW_MOD, bytes(40))[:40])],
    "OFPBFC_MSG_BAD_XID": [bundle(7, OPEN), bundle_add(7, message(FLOW_MOD, bytes(40), xid=9))],
    "OFPBFC_MSG_UNSUP": [bundle(7, OPEN), bundle_add(7, message(BARRIER, b""))],
    "OFPBFC_MSG_CONFLICT": [bundle(7, OPEN, 1), bundle_add(7, message(PORT_MOD, bytes(24)), 1)],
    "OFPBFC_MSG_TOO_MANY": [bundle(7, OPEN), *[bundle_add(7, packet_out(output(1), data=bytes(60000)))] * 17, bundle_add(7, packet_out(output(1), data=bytes(60000)))],
    "OFPBFC_MSG_FAILED": [bundle(7, OPEN), bundle_add(7, flow_with(group(99))), bundle(7, COMMIT)],
}

PERMISSION = "a connection that is accepted may do everything; a slave's requests are OFPBRC_IS_SLAVE"
NEVER = {
    "OFPHFC_EPERM": "who may connect is decided before OpenFlow begins: TLS, the listening address, the socket's mode",
    "OFPBRC_BUFFER_EMPTY": "no packet is buffered, so that every buffer is unknown",
    "OFPBAC_UNSUPPORTED_ORDER": "action lists are carried out in any order, and a set has its own",
    "OFPBAC_BAD_TAG": "a tag that does not fit the match is OFPBAC_MATCH_INCONSISTENT",
    "OFPBIC_UNSUP_METADATA": "all 64 bits of the metadata can be written",
    "OFPBIC_UNSUP_METADATA_MASK": "with any mask",
    "OFPBIC_BAD_EXP_TYPE": "there are no experimenter instructions at all: OFPBIC_BAD_EXPERIMENTER",
    "OFPBMC_BAD_TAG": "a tag that does not fit is OFPBMC_BAD_VALUE or OFPBMC_BAD_PREREQ",
    "OFPBMC_BAD_DL_ADDR_MASK": "Ethernet addresses take any mask",
    "OFPBMC_BAD_NW_ADDR_MASK": "network addresses take any mask",
    "OFPFMFC_UNKNOWN": "every cause has a code of its own",
    "OFPFMFC_BAD_TIMEOUT": "all timeouts are supported",
    "OFPGMFC_WEIGHT_UNSUPPORTED": "select groups take any weights; elsewhere a weight is OFPGMFC_INVALID_GROUP",
    "OFPGMFC_CHAINING_UNSUPPORTED": "groups may forward to groups",
    "OFPRRFC_UNSUP": "all roles are supported",
    "OFPSCFC_BAD_LEN": "any miss_send_len is taken; a message of the wrong length is OFPBRC_BAD_LEN",
    "OFPMMFC_UNKNOWN": "every cause has a code of its own",
    "OFPMMFC_BAD_BURST": "any burst is taken",
    "OFPMMFC_BAD_BAND_DETAIL": "any precedence level is taken: beyond the third drop precedence there is none",
    "OFPTFFC_BAD_TABLE": "tables' features cannot be set: OFPTFFC_EPERM",
    "OFPTFFC_BAD_METADATA": "likewise",
    "OFPTFFC_BAD_TYPE": "likewise",
    "OFPTFFC_BAD_ARGUMENT": "likewise",
    "OFPBPC_TOO_MANY": "a property that may not be repeated is OFPBPC_DUP_TYPE",
    "OFPBPC_BAD_EXP_TYPE": "there are no experimenter properties at all: OFPBPC_BAD_EXPERIMENTER",
    "OFPBPC_BAD_EXP_VALUE": "likewise",
    "OFPACFC_UNSUPPORTED": "every mask that is valid is supported",
    "OFPMOFC_INVALID_MONITOR": "any number can be a monitor's",
    "OFPBFC_UNKNOWN": "every cause has a code of its own",
    "OFPBFC_TIMEOUT": "a bundle lives as long as its connection; what it may take is limited",
    "OFPBFC_BUNDLE_IN_PROGRESS": "a commit is done before the next message is read",
    **{f"{prefix}_EPERM": PERMISSION for prefix in ("OFPBAC", "OFPBIC", "OFPBMC", "OFPFMFC", "OFPGMFC", "OFPPMFC", "OFPTMFC", "OFPQOFC", "OFPSCFC", "OFPBPC",
                                                    "OFPACFC", "OFPBFC")},
}

# --- OpenFlow 1.0: its own numbers (section 5.4.4 there); 0xb0c2 is Nicira's vendor error, for what it has no number for ---


def flow10(command=0, actions=b"", flags=0, buffer=NO_BUFFER, wildcards=0x3fffff, port=0, idle=0):
    where = struct.pack("!IH", wildcards, port) + bytes(34)
    return message(FLOW_MOD, where + struct.pack("!QHHHHIHH", 0, command, idle, 0, 5, buffer, 0xffff, flags) + actions, 1)


def output10(port, length=8):
    return struct.pack("!HHHH", 0, length, port, 0)


def packet_out10(port=0xfffd, buffer=NO_BUFFER, actions=output10(1)):
    return message(PACKET_OUT, struct.pack("!IHH", buffer, port, len(actions)) + actions + FRAME, 1)


OF10 = {
    (0, 0): [message(HELLO, b"", 0)],
    (1, 0): [message(BARRIER10, b"", 3)],
    (1, 1): [message(99, b"", 1)],
    (1, 2): [message(16, struct.pack("!HH", 0x0fff, 0), 1)],
    (1, 3): [message(EXPERIMENTER, struct.pack("!II", 0x123456, 1), 1)],
    (1, 4): [message(EXPERIMENTER, struct.pack("!II", POLDER, 999), 1)],
    (1, 5): [message(EXPERIMENTER, struct.pack("!III", NICIRA, 10, 2), 1), flow10()],           # The role of a slave.
    (1, 6): [message(FLOW_MOD, bytes(20), 1)],
    (1, 8): [packet_out10(buffer=7)],
    (2, 0): [flow10(actions=struct.pack("!HHI", 500, 8, 0))],
    (2, 1): [flow10(actions=output10(1, 16) + bytes(8))],
    (2, 2): [flow10(actions=struct.pack("!HHI8x", 0xffff, 16, 0x123456))],
    (2, 3): [flow10(actions=struct.pack("!HHIH6x", 0xffff, 16, NICIRA, 999))],
    (2, 4): [flow10(actions=output10(0))],
    (2, 5): [flow10(actions=struct.pack("!HHH2x", 1, 8, 0x1234))],
    (2, 7): [flow10(actions=output10(1) * 7600)],
    (2, 8): [flow10(actions=struct.pack("!HHH6xI", 11, 16, 1, 0xffffffff))],
    (3, 0): [*(flow10(wildcards=0x3ffffe, port=i) for i in range(1, 7)), flow10(wildcards=0x3ffffe, port=7)],
    (3, 1): [flow10(wildcards=0x3ffffe, port=1), flow10(wildcards=0x3fffff, flags=2)],
    (3, 3): [flow10(flags=4, idle=9)],
    (3, 4): [flow10(command=9)],
    (4, 0): [message(15, struct.pack("!H6sIII4x", 99, bytes(6), 0, 0, 0), 1)],
    (4, 1): [message(15, struct.pack("!H6sIII4x", 1, bytes(6), 0, 0, 0), 1)],
    (5, 0): [message(20, struct.pack("!H2x", 99), 1)],
    (5, 1): [message(16, struct.pack("!HHH2xI", 5, 0, 1, 77), 1)],
    (0xb0c2, 0): [message(16, struct.pack("!HHIII", 0xffff, 0, NICIRA, 2, 0) + struct.pack("!IHHHB5x", 1, 0x1000, 0xffff, 0, 255), 1)],
}
NEVER10 = {
    (0, 1): NEVER["OFPHFC_EPERM"],
    (1, 7): NEVER["OFPBRC_BUFFER_EMPTY"],
    (2, 6): PERMISSION,
    (3, 2): PERMISSION,
    (3, 5): "action lists are carried out in any order (OFPFMFC_UNSUPPORTED)",
    (5, 2): PERMISSION,
}
N_CODES10 = {0: 2, 1: 9, 2: 9, 3: 6, 4: 2, 5: 3}


# --- The test ---

def known_codes():
    """Name → (type, code), from ofproto/error.h: the enumerations' prefixes stand in the order of their types."""
    with open(os.path.join(TOP, "ofproto", "error.h"), encoding="utf-8") as file:
        text = file.read()
    types = {"OFPHFC": 0, "OFPBRC": 1, "OFPBAC": 2, "OFPBIC": 3, "OFPBMC": 4, "OFPFMFC": 5, "OFPGMFC": 6, "OFPPMFC": 7, "OFPTMFC": 8, "OFPQOFC": 9, "OFPSCFC": 10,
             "OFPRRFC": 11, "OFPMMFC": 12, "OFPTFFC": 13, "OFPBPC": 14, "OFPACFC": 15, "OFPMOFC": 16, "OFPBFC": 17}
    codes = {}
    for body in re.findall(r"enum \{([^}]*)\};", text):
        names = re.findall(r"\b(OFP[A-Z]+C)_([A-Z_]+)", body)
        for code, (prefix, name) in enumerate(names):
            codes[f"{prefix}_{name}"] = types[prefix], code
    return codes


class Peer:
    def __init__(self, path, version):
        self.version, self.data = version, b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(path)

    def send(self, request, xid):
        request = request[:4] + struct.pack("!I", xid) + request[8:]
        if self.version == 5 and request[1] == BUNDLE_ADD and request[20:24] == struct.pack("!I", XID):
            request = request[:20] + struct.pack("!I", xid) + request[24:]      # "must be identical"; the row that says otherwise has another one.
        self.socket.sendall(request)
        return request

    def receive(self):
        while len(self.data) < 8 or len(self.data) < struct.unpack("!H", self.data[2:4])[0]:
            more = self.socket.recv(65536)
            if not more:
                return None
            self.data += more
        size = struct.unpack("!H", self.data[2:4])[0]
        got, self.data = self.data[:size], self.data[size:]
        return got

    def until(self, wanted):
        """The next message for which that holds."""
        while (got := self.receive()) is not None:
            if wanted(got):
                return got
        return None


def xid_of(got):
    return struct.unpack("!I", got[4:8])[0]


def produce(switch, version, rows, mac):
    """The type and code that the last of the rows is answered with; the others must succeed."""
    peer = Peer(switch.openflow_socket, version)
    first = rows[0](mac) if callable(rows[0]) else rows[0]
    try:
        if first[1] != HELLO:
            peer.send(message(HELLO, b"", version), 1)
            peer.until(lambda got: got[1] == HELLO)
        for n, row in enumerate(rows[:-1]):
            peer.send(row, SETUP_XID + n)
        if len(rows) > 1:
            peer.send(message(BARRIER10 if version == 1 else BARRIER, b"", version), BARRIER_XID)
            while xid_of(got := peer.receive()) != BARRIER_XID:
                expect(f"a message that leads up to it: {got.hex()}", got[1] != 1)
        request = peer.send(rows[-1](mac) if callable(rows[-1]) else rows[-1], XID)
        got = peer.until(lambda got: got[1] == 1 and xid_of(got) == XID)
        expect("no answer", got is not None)
        error, data = struct.unpack("!HH", got[8:12]), got[12:]
        if error[0] == 0xb0c2:
            data = data[8:]
        if first[1] != HELLO:
            expect(f"{error}: data {data.hex()} of {request[:80].hex()}", data == request[:len(data)] and len(data) >= min(64, len(request)))
        else:
            expect(data, b"version" in data)
        return error
    finally:
        peer.socket.close()


def clear(switch):
    switch.ofctl("del-flows", version="OpenFlow13")
    switch.ofctl("del-groups", version="OpenFlow13")
    switch.ofctl("del-meters", version="OpenFlow13")


def test_every_code(lab):
    switch = Vswitchd(lab.host("switch"), 1, ports=RINGS, extra={"openflow": {"limits": LIMITS}})
    mac = bytes.fromhex(re.search(r"1\(r1\): addr:([0-9a-f:]+)", switch.ofctl("show", version="OpenFlow10")).group(1).replace(":", ""))
    codes, wrong = known_codes(), []
    expect("codes without a row", not set(codes) ^ (set(PRODUCED) | set(NEVER)) and not set(PRODUCED) & set(NEVER))
    for name, rows in PRODUCED.items():
        last = rows[-1](mac) if callable(rows[-1]) else rows[-1]
        error = produce(switch, 5 if codes[name][0] >= 14 or last[0] == 5 else 4, rows, mac)
        wrong += [f"{name}: got {error}, not {codes[name]}"] if error != codes[name] else []
        clear(switch)
    expect("codes of 1.0 without a row", set(OF10) | set(NEVER10) == {(t, c) for t, n in N_CODES10.items() for c in range(n)} | {(0xb0c2, 0)})
    for code, rows in OF10.items():
        error = produce(switch, 1, rows, mac)
        wrong += [f"1.0's {code}: got {error}"] if error != code else []
        clear(switch)
    expect("\n".join(wrong), not wrong)
