"""Rule sets and the traffic that runs through them, from a seed.

A rule set is a list of flow entries as ovs-ofctl writes them, so every switch is given the very same text, and a function that yields flows.  All of a set's flows leave by port 2
when they enter by port 1: what does not come back was lost, not denied.  (Denying rules are in the sets, with masks like the others, for addresses or ports that the traffic
leaves out.)

    port    one rule, port to port
    mac     10,000 entries on eth_dst
    host    16,384 entries on a whole ip_dst
    acl     2,000 entries with 100 different masks over addresses, protocol and ports, and a default
    six     six tables as a virtual private cloud has them: port, anti-spoofing, ACL, route with rewriting, ACL, L2
    vlans   a router between 100 VLANs: the tag popped, 5,000 routes that rewrite MACs and the TTL, another tag pushed
    masks   4,000 entries on ip_dst, each under a mask of its own of bits here and there, and a default
    normal  OFPP_NORMAL, behind an access list of 200 entries: 2,000 stations send to 2,000 that have not been heard of, so to all ports, of which there is one

Random numbers come from Python's generator with the set's name and the seed, so two runs with one seed have one set.
"""
import ipaddress
import random

SETS = {}
DENIED_PORTS = 0xf000                   # Denying rules are for L4 destination ports from here on; the traffic stays below.
UDP, TCP = 17, 6


def rule_set(make):
    SETS[make.__name__] = make
    return make


class RuleSet:
    """entries: lines for ovs-ofctl; flow(): one random flow as a line for the generator; tables: how many are used."""

    def __init__(self, name, entries, flow, tables=1):
        # Of two entries with one match and priority the switch would keep the last.
        self.name, self.tables, self._flow = name, tables, flow
        self.entries = list({entry.split("actions=")[0]: entry for entry in entries}.values())

    def flows(self, count, seed):
        """`count` different flows."""
        rng = random.Random(f"{self.name} flows {seed}")
        seen = set()
        while len(seen) < count:
            line = self._flow(rng, len(seen))
            if line not in seen:
                seen.add(line)
                yield line


def make(name, seed=1, scale=1.0):
    """The rule set of that name; `scale` shrinks it for a quick look."""
    return SETS[name](random.Random(f"{name} {seed}"), scale)


def mac(number, first=0x52):
    """A unicast MAC for a number below 2^40."""
    return ":".join(f"{byte:02x}" for byte in [first, *number.to_bytes(5, "big")])


def ip(number):
    return str(ipaddress.IPv4Address(number))


def line(src_mac, dst_mac, src, dst, proto, sport, dport):
    return f"{src_mac} {dst_mac} {ip(src)} {ip(dst)} {proto} {sport} {dport}"


def ports(rng):
    return rng.choice((UDP, TCP)), rng.randrange(1024, 65536), rng.randrange(1, DENIED_PORTS)


def random_ip(rng):
    """Anything in 10.0.0.0/8."""
    return 0x0a000000 | rng.getrandbits(24)


@rule_set
def port(_rng, _scale):
    def flow(r, i):
        return line(mac(i), mac(i, 0x56), random_ip(r), random_ip(r), *ports(r))
    return RuleSet("port", ["in_port=1,actions=output:2"], flow)


@rule_set
def mac_rules(rng, scale):
    macs = [mac(n) for n in rng.sample(range(1 << 40), max(1, int(10000 * scale)))]
    entries = [f"priority=100,dl_dst={m},actions=output:2" for m in macs]

    def flow(r, i):
        return line(mac(i, 0x56), r.choice(macs), random_ip(r), random_ip(r), *ports(r))
    return RuleSet("mac", entries, flow)


@rule_set
def host(rng, scale):
    hosts = [0x0a000000 | n for n in rng.sample(range(1 << 24), max(1, int(16384 * scale)))]
    entries = [f"priority=100,ip,nw_dst={ip(h)},actions=output:2" for h in hosts]

    def flow(r, i):
        return line(mac(i), mac(1, 0x56), random_ip(r), r.choice(hosts), *ports(r))
    return RuleSet("host", entries, flow)


# --- Access lists ---

class Access:
    """An access list of `count` entries over `n_masks` masks, for one table."""

    def __init__(self, rng, count, n_masks, table, permit):
        """permit: the actions of entries that let through (the default, too)."""
        self.rules = []
        self.entries = [f"table={table},priority=1,actions={permit}"]
        kinds = self._kinds(rng, n_masks)
        for n in range(count):
            kind = kinds[n % len(kinds)]
            deny = kind["dport"] and rng.random() < 0.3
            rule = self._rule(rng, kind, deny)
            if not deny:
                self.rules.append(rule)
            self.entries.append(f"table={table},priority={rng.randrange(100, 60000)},{self._text(rule)},actions={'drop' if deny else permit}")

    @staticmethod
    def _kinds(rng, count):
        """Shapes of rules; each has a mask of its own.  Ports are whole: OpenFlow 1.3 has no masks for them."""
        every = [{"src": src, "dst": dst, "proto": proto, "sport": sport, "dport": dport}
                 for src in (0, 12, 16, 20, 24, 28, 32) for dst in (0, 12, 16, 20, 24, 28, 32) for proto in (False, True)
                 for sport in (False, True) for dport in (False, True)
                 if (src or dst) and (proto or not (sport or dport))]
        return rng.sample(every, count)

    @staticmethod
    def _rule(rng, kind, deny):
        rule = {"proto": rng.choice((UDP, TCP)) if kind["proto"] else None, "sport": None, "dport": None}
        for side in ("src", "dst"):
            bits = kind[side]
            mask = (0xffffffff << (32 - bits)) & 0xffffffff
            rule[side] = (random_ip(rng) & mask, bits)
        if kind["sport"]:
            rule["sport"] = rng.randrange(1024, 65536)
        if kind["dport"]:
            rule["dport"] = rng.randrange(DENIED_PORTS, 65536) if deny else rng.randrange(1, DENIED_PORTS)
        return rule

    @staticmethod
    def _text(rule):
        words = [{None: "ip", UDP: "udp", TCP: "tcp"}[rule["proto"]]]
        for side in ("src", "dst"):
            address, bits = rule[side]
            if bits:
                words.append(f"nw_{side}={ip(address)}/{bits}")
        words += [f"tp_{side}={rule[key]}" for side, key in (("src", "sport"), ("dst", "dport")) if rule[key] is not None]
        return ",".join(words)

    def packet(self, r):
        """(src, dst, proto, sport, dport) of a random packet: half are meant for some rule, half are anything."""
        proto, sport, dport = ports(r)
        src, dst = random_ip(r), random_ip(r)
        if self.rules and r.random() < 0.5:
            rule = r.choice(self.rules)
            src, dst = (self._inside(r, *rule[side]) for side in ("src", "dst"))
            proto = rule["proto"] or proto
            sport = sport if rule["sport"] is None else rule["sport"]
            dport = dport if rule["dport"] is None else rule["dport"]
        return src, dst, proto, sport, dport

    @staticmethod
    def _inside(r, address, bits):
        return address | r.getrandbits(32) & (0xffffffff >> bits) if bits else random_ip(r)


@rule_set
def acl(rng, scale):
    access = Access(rng, max(10, int(2000 * scale)), max(5, int(100 * scale)), 0, "output:2")

    def flow(r, i):
        src, dst, *rest = access.packet(r)
        return line(mac(i & 0xfff), mac(1, 0x56), src, dst, *rest)
    return RuleSet("acl", access.entries, flow)


# --- Six tables ---

SIX_PORTS = 500                         # Other ports of the switch; only 1 and 2 are there.
SIX_ADDRESSES = 64                      # That port 1 may use.
SIX_ROUTES = 256


@rule_set
def six(rng, scale):
    router = mac(0xfe)
    entries = [f"table=0,priority=10,in_port={p},actions=write_metadata:{p % 7 + 1},goto_table:1" for p in range(1, SIX_PORTS)]
    own = [(mac(n), 0x0a010000 + n) for n in range(1, SIX_ADDRESSES + 1)]
    entries += [f"table=1,priority=10,in_port=1,dl_src={m},ip,nw_src={ip(a)},actions=goto_table:2" for m, a in own]
    entries += [f"table=1,priority=10,in_port={p},dl_src={mac(0x10000 + p)},ip,nw_src={ip(0x0a020000 + p)},actions=goto_table:2" for p in range(2, SIX_PORTS)]
    first = Access(rng, max(10, int(200 * scale)), 20, 2, "goto_table:3")
    second = Access(rng, max(10, int(200 * scale)), 20, 4, "goto_table:5")
    entries += first.entries + second.entries
    routes = {}
    while len(routes) < SIX_ROUTES:
        bits = rng.choice((16, 20, 24, 24, 24, 28))
        routes.setdefault(((0x0a000000 | rng.getrandbits(24)) >> (32 - bits) << (32 - bits), bits), mac(0x20000 + len(routes)))
    for (address, bits), hop in routes.items():
        entries.append(f"table=3,priority={bits * 100},ip,nw_dst={ip(address)}/{bits},"
                       f"actions=set_field:{router}->eth_src,set_field:{hop}->eth_dst,dec_ttl,goto_table:4")
        entries.append(f"table=5,priority=10,dl_dst={hop},actions=output:2")
    known = list(routes)

    def flow(r, _i):
        src_mac, src = r.choice(own)
        address, bits = r.choice(known)
        _, _, proto, sport, dport = first.packet(r)
        return line(src_mac, router, src, address | r.getrandbits(32 - bits), proto, sport, dport)
    return RuleSet("six", entries, flow, tables=6)


# --- Unlike the others ---

@rule_set
def vlans(_rng, scale):
    count, subnets, router = max(2, int(100 * scale)), 50, mac(0xfe)
    entries = [f"table=0,priority=10,in_port=1,dl_vlan={v + 1},actions=pop_vlan,write_metadata:{v + 1},goto_table:1" for v in range(count)]
    entries += [f"table=1,priority=24,metadata={v + 1},ip,nw_dst=10.{v}.{n}.0/24,actions=set_field:{router}->eth_src,set_field:{mac(n)}->eth_dst,dec_ttl,"
                f"push_vlan:0x8100,set_field:{0x1000 + 200 + n}->vlan_vid,output:2" for v in range(count) for n in range(subnets)]

    def flow(r, i):
        v = r.randrange(count)
        return line(mac(i), router, random_ip(r), 0x0a000000 | v << 16 | r.randrange(subnets) << 8 | r.randrange(256), *ports(r)) + f" vlan={v + 1}"
    return RuleSet("vlans", entries, flow, tables=2)


@rule_set
def masks(rng, scale):
    asked = []
    for _ in range(max(20, int(4000 * scale))):
        mask = rng.getrandbits(32) | rng.getrandbits(32)
        asked.append((rng.getrandbits(32) & mask, mask))
    entries = [f"priority={60000 - n},ip,nw_dst={ip(value)}/{ip(mask)},actions=output:2" for n, (value, mask) in enumerate(asked)] + ["priority=1,actions=output:2"]

    def flow(r, i):
        value, mask = r.choice(asked)
        return line(mac(i & 0xfff), mac(1, 0x56), random_ip(r), value | r.getrandbits(32) & ~mask, *ports(r))
    return RuleSet("masks", entries, flow)


@rule_set
def normal(rng, scale):
    access, stations = Access(rng, max(10, int(200 * scale)), 20, 0, "goto_table:1"), max(2, int(2000 * scale))

    def flow(r, _i):
        return line(mac(r.randrange(stations)), mac(r.randrange(stations), 0x56), *access.packet(r))
    return RuleSet("normal", [*access.entries, "table=1,actions=NORMAL"], flow, tables=2)


SETS["mac"] = SETS.pop("mac_rules")


def write(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{each}\n" for each in lines)
