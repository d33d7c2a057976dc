"""Random programs, as ovs-ofctl text: flow entries in several tables, and groups.

A list of actions is made for the packets of its match: what is known of them (Ethernet type, tag, protocol) decides which fields it may set.  Groups and jumps only lead forward (to
higher tables, to lower group numbers), so every program ends; `cost` bounds how many frames one packet can become.
README.md says what is left out, and why.
"""
import ipaddress

from . import packets as p
from .channel import meter_mod

MAX_COST = 120
REGISTERS = ["reg0", "reg1", "reg2", "reg3", "reg7", "reg15"]
NX = {f"reg{n}": f"NXM_NX_REG{n}" for n in range(16)} | {"xreg1": "OXM_OF_PKT_REG1", "metadata": "OXM_OF_METADATA", "tun_id": "NXM_NX_TUN_ID", "pkt_mark": "NXM_NX_PKT_MARK"}

ANY, IP = "any", ("ipv4", "ipv6")
# name: (bits, class of value, where it exists, maskable in a match, settable, name in moves and loads)
FIELDS = {
    "eth_dst": (48, "mac", ANY, True, True, "NXM_OF_ETH_DST"),
    "eth_src": (48, "mac", ANY, True, True, "NXM_OF_ETH_SRC"),
    "vlan_vid": (12, "vid", "vlan", False, True, None),
    "vlan_pcp": (3, "small", "vlan", False, True, "OXM_OF_VLAN_PCP"),
    "ip_dscp": (6, "dscp", IP, False, True, "OXM_OF_IP_DSCP"),
    "nw_ecn": (2, "small", IP, False, True, "NXM_NX_IP_ECN"),
    "nw_ttl": (8, "ttl", IP, False, True, "NXM_NX_IP_TTL"),
    "ip_frag": (2, "frag", IP, False, False, None),
    "nw_src": (32, "ipv4", "ipv4", True, True, "NXM_OF_IP_SRC"),
    "nw_dst": (32, "ipv4", "ipv4", True, True, "NXM_OF_IP_DST"),
    "ipv6_src": (128, "ipv6", "ipv6", True, True, "NXM_NX_IPV6_SRC"),
    "ipv6_dst": (128, "ipv6", "ipv6", True, True, "NXM_NX_IPV6_DST"),
    "ipv6_label": (20, "flabel", "ipv6", True, True, "NXM_NX_IPV6_LABEL"),
    "tcp_src": (16, "port", "tcp", True, True, "NXM_OF_TCP_SRC"),
    "tcp_dst": (16, "port", "tcp", True, True, "NXM_OF_TCP_DST"),
    "tcp_flags": (12, "tcp_flags", "tcp", True, False, None),
    "udp_src": (16, "port", "udp", True, True, "NXM_OF_UDP_SRC"),
    "udp_dst": (16, "port", "udp", True, True, "NXM_OF_UDP_DST"),
    "sctp_src": (16, "port", "sctp", True, True, "OXM_OF_SCTP_SRC"),
    "sctp_dst": (16, "port", "sctp", True, True, "OXM_OF_SCTP_DST"),
    "icmp_type": (8, "icmp", "icmp", False, True, "NXM_OF_ICMP_TYPE"),
    "icmp_code": (8, "small", "icmp", False, True, "NXM_OF_ICMP_CODE"),
    "icmpv6_type": (8, "icmp6", "icmpv6", False, True, "NXM_NX_ICMPV6_TYPE"),
    "icmpv6_code": (8, "small", "icmpv6", False, True, "NXM_NX_ICMPV6_CODE"),
    "nd_target": (128, "ipv6", "nd", True, True, "NXM_NX_ND_TARGET"),
    "nd_sll": (48, "mac", "nd_ns", True, True, "NXM_NX_ND_SLL"),
    "nd_tll": (48, "mac", "nd_na", True, True, "NXM_NX_ND_TLL"),
    "arp_op": (16, "arp_op", "arp", False, True, None),
    "arp_spa": (32, "ipv4", "arp", True, True, "NXM_OF_ARP_SPA"),
    "arp_tpa": (32, "ipv4", "arp", True, True, "NXM_OF_ARP_TPA"),
    "arp_sha": (48, "mac", "arp", True, True, "NXM_NX_ARP_SHA"),
    "arp_tha": (48, "mac", "arp", True, True, "NXM_NX_ARP_THA"),
    "mpls_label": (20, "label", "mpls", False, True, "OXM_OF_MPLS_LABEL"),
    "mpls_tc": (3, "small", "mpls", False, True, "OXM_OF_MPLS_TC"),
    "mpls_ttl": (8, "ttl", "mpls", False, True, "NXM_NX_MPLS_TTL"),
    "mpls_bos": (1, "small", "mpls", False, False, None),
}
PIPELINE = {"metadata": 64, "tun_id": 64, "pkt_mark": 32, "xreg1": 64, **{r: 32 for r in REGISTERS}}
POOLS = {"mac": p.MACS, "vid": p.VIDS, "dscp": p.DSCPS, "ttl": p.TTLS, "ipv4": p.IPV4S, "ipv6": p.IPV6S, "flabel": p.FLABELS, "port": p.PORTS,
         "icmp": p.ICMP_TYPES, "icmp6": p.ICMP6_TYPES, "label": p.LABELS, "arp_op": [1, 2, 3], "small": [0, 1, 2, 3], "frag": [0, 1, 3], "tcp_flags": [2, 0x10, 0x12, 0x18]}

# Kinds of packets: (text of the match, what is known).
STACKS = [
    ("", ()), ("", ()), ("dl_type=0x88b6", ("other",)), ("dl_type=0x05ff", ("other",)), ("arp", ("arp",)), ("ip", ("ipv4",)), ("ipv6", ("ipv6",)),
    ("tcp", ("ipv4", "tcp")), ("udp", ("ipv4", "udp")), ("sctp", ("ipv4", "sctp")), ("icmp", ("ipv4", "icmp")), ("ip,nw_proto=47", ("ipv4",)),
    ("tcp6", ("ipv6", "tcp")), ("udp6", ("ipv6", "udp")), ("sctp6", ("ipv6", "sctp")), ("icmp6", ("ipv6", "icmpv6")),
    ("icmp6,icmpv6_type=135", ("ipv6", "icmpv6", "nd", "nd_ns")), ("icmp6,icmpv6_type=136", ("ipv6", "icmpv6", "nd", "nd_na")),
    ("mpls", ("mpls",)), ("mplsm", ("mpls",)),
]
L2_STACKS = [s for s in STACKS if set(s[1]) <= {"other"}]


def written(kind, value, bits):
    """A value as ovs-ofctl reads it."""
    if kind == "mac":
        return ":".join(f"{b:02x}" for b in value.to_bytes(6, "big"))
    if kind in ("ipv4", "ipv6"):
        return ipaddress.ip_address(value.to_bytes(bits // 8, "big")).exploded
    return f"{value:#x}" if bits > 8 else str(value)


def number(value):
    return int.from_bytes(value, "big") if isinstance(value, bytes) else value


def edits_addresses(lines):
    return any(f"->{name}" in line for line in lines for f in ("nw_src", "nw_dst", "ipv6_src", "ipv6_dst") for name in (f, FIELDS[f][5], f.replace("nw", "ip")))


def edits_nd_options(lines):
    return any(f"->{name}" in line for line in lines for f in ("nd_sll", "nd_tll") for name in (f, FIELDS[f][5]))


KBPS, PKTPS, BURST, STATS = 1, 2, 4, 8


class Meter:
    """One that drops nothing, whatever the time (README.md)."""

    def __init__(self, rng, number):
        self.number = number
        # Open vSwitch reckons a millisecond's refill in 32 bits: a rate that is too high drops there.
        self.bands = [(rng.randint(100_000, 200_000), 10**6) for _ in range(rng.randint(1, 3))]
        self.flags = rng.choice((KBPS, PKTPS)) | BURST | rng.choice((0, STATS))

    def __str__(self):
        return f"meter={self.number},flags={self.flags:#x},bands that drop (rate, burst): {self.bands}"

    def mod(self, command=0):
        return meter_mod(command, self.number, self.flags, self.bands)


TAGS = (None, None, "vlan", "vlan", "push mpls", "pop mpls", "pop last mpls")


class Joined:
    """Ports 1 to n_devices are devices, and links lead to other switches: what came in by link N may leave by the links onward[N].

    Links have no loop if no circle of these leads back; so only an entry that matches in_port sends to links.  What switches share: whether ICMPv6 types change on the way.
    """

    def __init__(self, n_devices, onward, sets_icmpv6, max_cost=16):
        self.n_devices, self.onward, self.sets_icmpv6, self.max_cost = n_devices, onward, sets_icmpv6, max_cost
        self.n_ports = n_devices + len(onward)

    def output(self, rng, in_port):
        """in_port: what the entry matches, None: any; 0: for a bucket."""
        devices = [f"output:{n}" for n in range(1, self.n_devices + 1)]
        if in_port == 0:
            return rng.choice(devices * 2 + ["controller:65535"])
        if in_port is None or in_port > self.n_devices:
            links = [f"output:{n}" for n in self.onward.get(in_port, ())]
            return rng.choice(devices * 2 + links * 6 + ["controller:65535"])
        return rng.choice(devices * 3 + [f"output:{n}" for n in self.onward] * 4 + ["in_port", "all", "flood", "controller:65535"])


class Program:
    """One random program.

    tags: what it may push and pop, one of TAGS; l2: it looks at and changes nothing behind the tags (for malformed packets); spent: TTLs run out in it, so it is one table without groups.
    plain: nothing but OpenFlow 1.3 itself, as tenants' controllers speak it: no registers, moves, loads, clones, resubmits.
    joined: the switch is one of several that are joined by links, a Joined.  selects: it may have groups of type select; metered: meters.
    """

    def __init__(self, rng, tags=None, l2=False, spent=False, plain=False, joined=None, selects=True, metered=False):
        self.plain, self.joined = plain, joined
        self.n_ports, self.max_cost = (joined.n_ports, joined.max_cost) if joined else (p.N_PORTS, MAX_COST)
        self.in_port = None             # What the entry at work is known to match.
        self.pipeline = {"metadata": 64} if plain else PIPELINE
        self.rng, self.tags, self.l2, self.spent = rng, tags, l2, spent
        self.n_tables = 1 if spent else rng.randint(1, 5)
        self.max_packet_tags = {None: 2, "vlan": 1, "push mpls": 0, "pop mpls": 1, "pop last mpls": 1}[tags]
        self.labels = {"push mpls": (1, 2), "pop mpls": (2, 3), "pop last mpls": (1,)}.get(tags, (1, 1, 1, 2, 2, 3))
        # Where one tag or label at most is pushed, or a label popped, on a packet's way (README.md): in one table's lists, in the action set, or in one group.
        self.push_site = rng.choice((0, self.n_tables - 1, "set", "group")) if tags else None
        # Write-actions, or else buckets that resubmit; labels are popped, pushed ones too, before there is an action set (README.md).
        late = self.push_site in range(1, self.n_tables)
        self.writes = not spent and rng.random() < 0.5 and not (tags in ("pop mpls", "pop last mpls") and late)
        self.pops_pushed = not (self.writes and late)
        self.set_pops_label = tags in ("pop mpls", "pop last mpls") and self.push_site == "set"
        # Not with what makes Open vSwitch process a packet in several rounds (README.md).
        self.clones = not plain and tags in (None, "vlan") and rng.random() < 0.7
        self.selects = not self.clones and rng.random() < 0.5 and selects       # Or else resubmits.
        self.groups, self.flows, self.entries, self.n_conjunctions = [], [], [], 0     # entries: (table, priority, match, what is known, in_port)
        self.group_costs, self.table_costs = {}, {}
        self.matches = True             # The entry at work matches something: only such use meters, since a meter's end is theirs (README.md).
        self.meters = [Meter(rng, n) for n in range(1, rng.choice((1, 1, 3, 4)))] if metered else []
        self.usable = list(self.meters)
        # It sets ICMPv6 types and codes, or looks at neighbour discovery: what becomes of that when they change is seen differently (README.md).
        self.sets_icmpv6 = joined.sets_icmpv6 if joined else rng.random() < 0.4
        self._stacks = L2_STACKS if l2 else [s for s in STACKS if not (self.sets_icmpv6 and "nd" in s[1])]
        for table in reversed(range(self.n_tables)):
            self.table_costs[table] = self._table(table) if table else 1
        for group in range(1, (0 if spent else rng.randint(0, 4)) + 1):
            self._group(group)
        # Table 0 is made last: it may lead everywhere.
        self.table_costs[0] = self._table(0)
        self.cost = self.table_costs[0]
        # Whether it changes an IP address, which Open vSwitch does to later fragments as if they had a layer-4 header (README.md).
        self.edits_addresses = edits_addresses(self.groups + self.flows)
        # And an option of neighbour discovery, which Open vSwitch then has matched in messages without it (README.md).
        self.edits_nd_options = edits_nd_options(self.groups + self.flows)
        # Whether it tells the protocols over IPv6 apart, where the two differ about later fragments (README.md).
        self.matches_ipv6_l4 = any(name in line for line in self.flows for name in ("tcp6", "udp6", "sctp6", "icmp6"))

    # --- Values ---

    def _value(self, kind, bits):
        if kind in POOLS and (kind == "arp_op" or self.rng.random() < 0.9):
            return number(self.rng.choice(POOLS[kind])) & (1 << bits) - 1
        return self.rng.getrandbits(bits)

    def _mask(self, kind, bits):
        """A prefix, one bit, a part, or anything."""
        ones, rng = (1 << bits) - 1, self.rng
        how = rng.random()
        if kind == "ipv6" and how >= 0.35:
            return 0xf << 124 | rng.getrandbits(124)        # ovs-ofctl takes a leading decimal digit for a prefix's length.
        if how < 0.35:
            return ones & ~((1 << rng.randint(0, bits - (4 if kind == "ipv6" else 1))) - 1)
        if how < 0.6:
            return 1 << rng.randrange(bits)
        if how < 0.8:
            return ones >> rng.randint(0, bits - 1)
        return rng.getrandbits(bits) or 1

    def _has(self, where, known):
        return where == ANY or (any(w in known for w in where) if isinstance(where, tuple) else where in known)

    def _fields(self, known, settable=False):
        return [f for f, row in FIELDS.items() if self._has(row[2], known) and (row[4] or not settable) and not (self.l2 and row[2] not in (ANY, "vlan"))
                and not (self.plain and row[1] in ("ttl", "frag"))
                and not (row[2] == "icmpv6" and ("nd" in known or (settable and not self.sets_icmpv6)))]

    # --- Matches ---

    def _match(self, table):
        """(text, what is known)."""
        rng = self.rng
        text, known = rng.choice(self._stacks)
        parts, known = [text] if text else [], set(known)
        self.matches = True
        self.in_port = rng.randint(1, self.n_ports) if rng.random() < (0.7 if self.joined else 0.3) else None
        if self.in_port:
            parts.append(f"in_port={self.in_port}")
        vlan = rng.random()
        if vlan < 0.1:
            parts.append("vlan_vid=0")
            known.add("untagged")
        elif vlan < 0.35:
            parts.append("vlan_vid=0x1000/0x1000")
            known.add("vlan")
        elif vlan < 0.45:
            parts.append(f"vlan_vid={0x1000 | self._value('vid', 12):#x}")
            known.add("vlan")
        elif vlan < 0.5:
            mask = 0x1000 | rng.getrandbits(12)
            parts.append(f"vlan_vid={(0x1000 | self._value('vid', 12)) & mask:#x}/{mask:#x}")
            known.add("vlan")
        candidates = [f for f in self._fields(known) if f != "vlan_vid"]
        for field in rng.sample(candidates, min(len(candidates), rng.choice((0, 1, 1, 2, 3)))):
            bits, kind, _, maskable, _, _ = FIELDS[field]
            value = self._value(kind, bits)
            if field == "ip_frag":
                later = ("later",) * (not known & {"tcp", "udp", "sctp", "icmp", "icmpv6"})
                parts.append("ip_frag=" + rng.choice(("no", "yes", "first", "not_later") + later))
            elif field == "tcp_flags":
                mask = self._mask(kind, bits)
                parts.append(f"tcp_flags={value & mask:#x}/{mask:#x}")
            elif maskable and rng.random() < 0.5:
                mask = self._mask(kind, bits)
                parts.append(f"{field}={written(kind, value & mask, bits)}/{written(kind, mask, bits)}")
            else:
                parts.append(f"{field}={written(kind, value, bits)}")
        if table and self.writes and not self.plain and rng.random() < 0.08:
            parts.append(f"actset_output={rng.choice((1, 2, 3, 4, 5, 'unset'))}")
        if table and rng.random() < 0.4:
            field = rng.choice(list(self.pipeline))
            bits = self.pipeline[field]
            mask = self._mask(None, bits) if rng.random() < 0.8 else (1 << bits) - 1
            parts.append(f"{field}={rng.getrandbits(bits) & mask if rng.random() < 0.5 else 0:#x}/{mask:#x}")
        self.matches = bool(parts)
        return ",".join(parts), known

    # --- Actions ---

    def _ports(self):
        rng = self.rng
        if self.joined:
            return self.joined.output(rng, self.in_port)
        return rng.choices((f"output:{rng.randint(1, self.n_ports)}", "in_port", "all", "flood", "controller:65535"), (80, 6, 3, 3, 2))[0]

    def _cost_of(self, output):
        return self.n_ports if output in ("all", "flood") else 1

    def _set(self, known, in_set=False):
        """A set-field, load, move or a TTL action; None when nothing fits."""
        rng = self.rng
        how = rng.random()
        fields = [f for f in self._fields(known, settable=True) if not in_set or (FIELDS[f][1] != "ttl" and (f != "vlan_vid" or not self.tags))]
        if how < 0.15 and not self.plain:
            field = rng.choice(list(PIPELINE))
            bits = PIPELINE[field]
            value = rng.getrandbits(bits)
            if rng.random() < 0.5:
                n = rng.randint(1, bits)
                at = rng.randint(0, bits - n)
                return f"load:{value & (1 << n) - 1:#x}->{NX[field]}[{at}..{at + n - 1}]"
            mask = self._mask(None, bits)
            return f"set_field:{value & mask:#x}/{mask:#x}->{field}"
        # A set drops an action that a later one overwrites: what a move between them would have read is gone (README.md).
        if how < 0.35 and not self.plain and not (in_set and self.writes):
            return self._move(fields)
        if how < 0.5 and self._has(IP, known) and not self.l2:
            return rng.choice(("dec_ttl", f"mod_nw_ttl:{rng.choice(p.TTLS)}" if not in_set else "dec_ttl"))
        if how < 0.6 and "mpls" in known and not self.l2:
            return rng.choice(("dec_mpls_ttl", f"set_mpls_ttl:{rng.choice(p.TTLS)}")[in_set and self.set_pops_label:])
        field = rng.choice(fields)
        bits, kind, _, maskable, _, name = FIELDS[field]
        value = self._value(kind, bits)
        if field == "vlan_vid":
            return f"set_field:{0x1000 | value:#x}->vlan_vid"
        if kind == "ttl":
            value = max(value, p.TTLS[0])
        elif not self.plain and rng.random() < 0.2 and name and bits <= 64:
            n = rng.randint(1, bits)
            at = rng.randint(0, bits - n)
            return f"load:{value >> at & (1 << n) - 1:#x}->{name}[{at}..{at + n - 1}]"
        if maskable and not self.plain and rng.random() < 0.3:
            mask = self._mask(kind, bits)
            return f"set_field:{written(kind, value & mask, bits)}/{written(kind, mask, bits)}->{field}"
        return f"set_field:{written(kind, value, bits)}->{field}"

    def _move(self, fields):
        """Between packet fields and pipeline fields of any kind."""
        rng = self.rng
        movable = [(FIELDS[f][5], FIELDS[f][0]) for f in fields if FIELDS[f][5] and FIELDS[f][1] != "ttl"]
        pipeline = [(NX[f], bits) for f, bits in PIPELINE.items()]
        src = rng.choice(movable if movable and rng.random() < 0.7 else pipeline)
        dst = rng.choice(movable if movable and rng.random() < 0.5 else pipeline)
        if src[0] == dst[0]:
            dst = rng.choice([f for f in pipeline if f[0] != src[0]])
        n = rng.choice((min(src[1], dst[1]), rng.randint(1, min(src[1], dst[1]))))
        at, to = rng.randint(0, src[1] - n), rng.randint(0, dst[1] - n)
        return f"move:{src[0]}[{at}..{at + n - 1}]->{dst[0]}[{to}..{to + n - 1}]"

    def _tags(self, known, may_push, in_set=False):
        """Pushes and pops: (text or None, what is known behind it).  may_push: a tag, or pop a label."""
        rng = self.rng
        if self.tags == "vlan":
            what = rng.choice(["push"] * may_push + ["pop"] * ("vlan" in known) or [None])
            if what == "push":
                # The new tag's VID and priority are set at once (README.md).
                return (f"push_vlan:{rng.choice(('0x8100', '0x88a8'))},set_field:{0x1000 | self._value('vid', 12):#x}->vlan_vid,"
                        f"set_field:{rng.randrange(8)}->vlan_pcp"), known - {"untagged"} | {"vlan"}
            return ("pop_vlan", known - {"vlan"}) if what else (None, known)
        if not may_push:
            return None, known
        if self.tags == "push mpls":
            text = f"push_mpls:{rng.choice(('0x8847', '0x8848'))},set_field:{self._value('label', 20)}->mpls_label," \
                   f"set_field:{rng.randrange(8)}->mpls_tc,set_mpls_ttl:{rng.choice(p.TTLS)}"
            how, was = 1 if in_set else rng.random(), {"ipv4": "0x0800", "ipv6": "0x86dd", "arp": "0x0806"}
            kind = next((k for k in was if k in known), None)
            if how < 0.25 and self.pops_pushed and kind and "mpls" not in known:
                return f"{text},pop_mpls:{was[kind]}", known & {kind}
            if how < 0.5:
                return f"{text},push_vlan:0x8100,set_field:0x1005->vlan_vid,set_field:3->vlan_pcp,pop_vlan", {"mpls"}
            return text, {"mpls"}
        if "mpls" not in known:
            return None, known
        types = [(0x8847, "mpls"), (0x8848, "mpls")]
        if self.tags == "pop last mpls":
            types = [(0x0800, "ipv4"), (0x0800, "ipv4"), (0x88b6, "other")]
        ether_type, kind = rng.choice(types)
        return f"pop_mpls:{ether_type:#06x}", (known & {"vlan", "untagged"}) | {kind}

    def _apply(self, table, known, depth=0, pushed=False):
        """An apply-actions list: (actions, cost, what is known behind it).  pushed: it has its VLAN tag already."""
        rng, actions, cost = self.rng, [], 0
        budget = self.max_cost // 4
        for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 6))):
            how = rng.random()
            if how < 0.35:
                output = self._ports()
                actions.append(output)
                cost += self._cost_of(output)
            elif how < 0.7:
                actions.append(self._set(known))
            elif how < 0.78 and self.tags:
                text, known = self._tags(known, table == self.push_site and not pushed)
                if text:
                    actions.append(text)
                    pushed |= text != "pop_vlan"
            elif how < 0.84 and table + 1 < self.n_tables and not self.tags and not self.selects and not self.plain:
                to = rng.randint(table + 1, self.n_tables - 1)
                if cost + self.table_costs[to] <= budget:
                    port = rng.choice(("", "", "", str(rng.randint(1, self.n_ports))))
                    actions.append(f"resubmit({port},{to})")
                    cost += self.table_costs[to]
            elif how < 0.9 and self.group_costs and table == 0:
                group = rng.choice(list(self.group_costs))
                if cost + self.group_costs[group] <= budget:
                    actions.append(f"group:{group}")
                    cost += self.group_costs[group]
            elif how < 0.94 and depth < 2 and self.clones:
                inner, n, _ = self._apply(table, known, depth + 1, pushed)
                if inner:
                    actions.append(f"clone({','.join(inner)})")
                    cost += n + self.writes * budget        # It runs the action set, too.
            elif self.plain:
                actions.append(self._ports())
                cost += self._cost_of(actions[-1])
            elif how < 0.95:
                actions.append(rng.choice((f"set_queue:{rng.choice((0, 1, 7, 0xfffffffe))}", "pop_queue")))
            elif how < 0.98:
                register = rng.choice(REGISTERS)
                actions.append(f"load:{rng.randint(1, self.n_ports)}->{NX[register]}[]")
                actions.append(f"output:{NX[register]}[]")
                cost += 1
            elif how < 0.99:
                actions.append(f"load:{rng.randint(0, p.N_PORTS)}->NXM_OF_IN_PORT[]")
            else:
                # Not behind a popped label, where Open vSwitch would begin anew (README.md).
                actions.append("note:01.02.03.04.05.06" if self.tags in (None, "vlan") else "pop_queue")
        return actions, cost, known

    def _written(self, known):
        """A write-actions list: (actions, cost)."""
        rng, actions, cost = self.rng, [], 1
        if self.tags and rng.random() < 0.3 and (text := self._tags(known, self.push_site == "set", in_set=True)[0]):
            actions.append(text)
            known = known & {"vlan"} if "pop_vlan" not in actions else set()    # In a set, tags change before fields do.
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            actions.append(self._set(known, in_set=True))
        if not self.plain and rng.random() < 0.1:
            actions.append(f"set_queue:{rng.choice((0, 1, 7))}")
        how = rng.random()
        if how < 0.75:
            output = self._ports()
            actions.append(output)
            cost = self._cost_of(output)
        elif self.group_costs:
            group = rng.choice(list(self.group_costs))
            actions.append(f"group:{group}")
            cost = self.group_costs[group]
        rng.shuffle(actions)
        return actions, cost

    def _instructions(self, table, known):
        rng = self.rng
        parts, cost, known = self._apply(table, known)
        parts = list(parts)
        if rng.random() < 0.12:
            parts.append("clear_actions")
        if self.writes and rng.random() < 0.5:
            actions, n = self._written(known)
            if actions:
                parts.append(f"write_actions({','.join(actions)})")
                cost += n
        if rng.random() < 0.2:
            parts.append(f"write_metadata:{rng.getrandbits(64):#x}/{self._mask(None, 64):#x}")
        if table + 1 < self.n_tables and rng.random() < 0.6:
            to = rng.randint(table + 1, self.n_tables - 1)
            if cost + self.table_costs[to] <= self.max_cost:
                parts.append(f"goto_table:{to}")
                cost += self.table_costs[to]
        text = ",".join(parts)
        meter = rng.choice(self.usable) if self.usable and self.matches and rng.random() < 0.15 else None
        if meter:               # Something is sent behind it, always: README.md.
            text = f"meter:{meter.number},controller:65535{',' * bool(text)}{text}"
        return text or "drop", cost

    def instructions(self, table, known):
        """Of an entry that comes later: for packets of its match, of which this is known; in_port is set."""
        return self._instructions(table, known)[0]

    # --- Entries ---

    def _table(self, table):
        """The entries of one table; the most frames that a packet can become in it."""
        rng, most = self.rng, 1
        n = rng.choice((2, 5, 10, 20, 40))
        # Distinct priorities: which of two overlapping entries of one priority counts is undefined (section 5.3).
        for priority in rng.sample(range(1, 60000), n):
            match, known = self._match(table)
            instructions, cost = self._instructions(table, known)
            self._add(table, priority, match, instructions)
            self.entries.append((table, priority, match, known, self.in_port))
            most = max(most, cost)
        for _ in range(0 if self.plain else rng.choice((0, 0, 1, 2))):
            most = max(most, self._conjunction(table))
        # With an action set about, no table is without a table-miss entry (README.md).
        self.in_port, self.matches = None, False
        if self.writes or rng.random() < 0.85:
            instructions, cost = self._instructions(table, set())
            self._add(table, 0, "", instructions)
            most = max(most, cost)
        return most

    def _conjunction(self, table):
        """Two or three dimensions at one priority, and the entries that it leads to; the most frames that a packet can become."""
        rng, most = self.rng, 1
        self.n_conjunctions += 1
        number, n = self.n_conjunctions, rng.choice((2, 2, 3))
        # Apart from those of ordinary entries (which are below 60000): where conjunctions of one priority overlap, the outcome is undefined.
        priority = 60000 + number
        taken = {f"{line.split(',', 3)[1]}|{line.split('priority=', 1)[1].split(',', 1)[1].split('actions=', 1)[0]}" for line in self.flows}
        for k in range(1, n + 1):
            matches = rng.choice((lambda: {f"in_port={rng.randint(1, self.n_ports)}" for _ in range(6)}, lambda: {s[0] for s in rng.sample(self._stacks, min(8, len(self._stacks)))},
                                  lambda: {self._match(table)[0] for _ in range(rng.randint(1, 6))}))()
            for match in sorted(matches):
                key = f"table={table}|{match},"
                if match and key not in taken:      # A match that an ordinary entry has, too, hides it from Open vSwitch's second search (README.md).
                    taken.add(key)
                    self._add(table, priority, match, f"conjunction({number},{k}/{n})")
        for lower in rng.sample((1, 2), rng.choice((0, 1, 1, 2))):
            match, known = self._match(table) if lower == 1 else ("", set())
            instructions, cost = self._instructions(table, known)
            self._add(table, priority - 30000 * rng.randint(0, 1) - lower, f"conj_id={number}{',' if match else ''}{match}", instructions)
            most = max(most, cost)
        return most

    def _add(self, table, priority, match, instructions):
        cookie = len(self.flows) + 1
        told = "send_flow_rem," if self.plain and cookie % 3 else ""
        self.flows.append(f"cookie={cookie:#x},{told}table={table},priority={priority}{',' if match else ''}{match},actions={instructions}")

    def _group(self, group):
        rng, may_push = self.rng, group == 1 and self.push_site == "group"
        self.in_port = 0
        kind = rng.choice(("all", "all", "indirect", "ff") + ("select",) * self.selects)
        n = {"all": rng.randint(0, 3), "indirect": 1, "select": 1, "ff": rng.randint(1, 3)}[kind]
        buckets, costs = [], []
        for _ in range(n):
            actions, cost = [], 1
            for _ in range(rng.choice((0, 0, 1, 2, 3))):
                if self.tags and rng.random() < 0.2 and (text := self._tags(set(), may_push, in_set=True)[0]):
                    actions.append(text)
                    may_push &= text == "pop_vlan"
                else:
                    actions.append(self._set({"ipv4", "tcp"} if rng.random() < 0.5 and not self.l2 else set(), in_set=True))
            how = rng.random()
            if how < 0.2 and self.group_costs:
                to = rng.choice(list(self.group_costs))
                actions.append(f"group:{to}")
                cost = self.group_costs[to]
            elif how < 0.35 and self.n_tables > 1 and not self.writes and not self.tags and not self.plain:
                to = rng.randint(1, self.n_tables - 1)
                actions.append(f"resubmit(,{to})")
                cost = self.table_costs[to]
            elif how < 0.95:
                actions.append(self._ports())
                cost = self._cost_of(actions[-1])
            watch = f"watch_port:{rng.choice((1, 2, 3, 4) if self.joined else (1, 2, 3, 4, 5, 6, 6, 6))}," if kind == "ff" else ""
            buckets.append(f"bucket={watch}actions={','.join(actions) or 'drop'}")
            costs.append(cost)
        cost = sum(costs) if kind == "all" else max(costs, default=0)
        if cost > self.max_cost // 4:
            return
        self.groups.append(f"group_id={group},type={kind}" + "".join("," + b for b in buckets))
        self.group_costs[group] = cost
