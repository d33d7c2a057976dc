"""What random programs cannot compare frame by frame: select groups, whose hash is each switch's own; OFPP_NORMAL, which learns; entries that time out."""
import random
import struct
import time

from utilities.lab.cleanup import LabError
from utilities.lab.host import say

from . import packets as p
from .channel import message

CHUNK = 100


def udp(rng, serial, src, dst, **more):
    """A frame with its serial number as payload."""
    data = struct.pack("!I", serial).ljust(24, b"\0")
    sport, dport = more.get("ports") or (rng.randint(1024, 65535), rng.choice(p.PORTS))
    datagram = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    ip_src, ip_dst = more.get("ips") or (rng.randbytes(4), rng.choice(p.IPV4S[:4]))
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 1, 0, 64, p.UDP, 0, ip_src, ip_dst)
    header = header[:10] + struct.pack("!H", p.checksum(header)) + header[12:]
    return dst + src + b"\x08\x00" + header + datagram


def serial_of(frame):
    at = 14 + 4 * (frame[12:14] == b"\x81\x00") + 28
    return int.from_bytes(frame[at:at + 4], "big")


def by_serial(frames):
    """{serial: [(port, frame)]}."""
    found = {}
    for port, list_ in enumerate(frames, 1):
        for frame in list_:
            found.setdefault(serial_of(frame), []).append((port, frame))
    return found


def install(bench, groups, flows):
    messages = bench.recorder.encode("add-groups", list(groups)) + bench.recorder.encode("add-flows", list(flows))
    for side in bench.sides:
        if refused := side.channel.install(messages):
            raise LabError(f"{side.name} refuses {refused} of {groups + flows}")


def run_all(bench, batch):
    """Both sides' frames by serial."""
    ours, theirs = {}, {}
    for at in range(0, len(batch), CHUNK):
        for found, (frames, _) in zip((ours, theirs), bench.run(batch[at:at + CHUNK])):
            found.update(by_serial(frames))
    return ours, theirs


# --- Select groups ---

def random_bucket(rng, port):
    edits = rng.sample([f"set_field:02:00:00:00:0{port}:{rng.randrange(10)}{rng.randrange(10)}->eth_dst", "dec_ttl", f"set_field:{rng.randrange(64)}->ip_dscp",
                        f"set_field:10.9.{port}.1->ip_dst", f"set_queue:{port}"], rng.randint(0, 3))
    return ",".join(edits + [f"output:{port}"])


def select_groups(bench, seed, n_groups=6, n_flows=1500):
    """Each packet takes one bucket's way, always the same for one flow; the ways are those that a group of type all would show; shares follow weights as closely as the other's."""
    rng, serial = random.Random(f"{seed}/select"), 0
    for number in range(n_groups):
        ports = rng.sample(range(2, p.N_PORTS + 1), rng.randint(2, p.N_PORTS - 1))
        weights = [rng.choice((1, 1, 2, 3, 5)) for _ in ports]
        buckets = [random_bucket(rng, port) for port in ports]
        text = "".join(f",bucket=weight:{w},actions={b}" for w, b in zip(weights, buckets))
        every = "".join(f",bucket=actions={b}" for b in buckets)
        bench.fresh_channels()
        flows = [(rng.choice(p.MACS[:4]), rng.choice(p.MACS[:4]), (rng.randint(1024, 65535), rng.choice(p.PORTS)), (rng.randbytes(4), rng.choice(p.IPV4S[:4])))
                 for _ in range(n_flows)]
        rounds = []
        for kind in ("select", "select", "all"):
            install(bench, [f"group_id=1,type={kind}" + (text if kind == "select" else every)], ["priority=1,ip,actions=group:1"])
            batch = []
            for i, (src, dst, l4, l3) in enumerate(flows):
                batch.append((1, udp(rng, i, src, dst, ports=l4, ips=l3)))
            rounds.append(run_all(bench, batch))
            bench.clear()
        everything = rounds[2][1]
        if rounds[2][0] != everything:
            raise LabError(f"group {number} of seed {seed}: as a group of type all the switches differ: {every}")
        shares = []
        for side, name in enumerate(("vswitchd", "Open vSwitch")):
            first, second = rounds[0][side], rounds[1][side]
            if set(first) != set(range(n_flows)) or any(len(ways) != 1 for ways in first.values()):
                raise LabError(f"group {number} of seed {seed}: {name} sends some packets no way, or several: {text}")
            strange = [i for i, ways in first.items() if ways[0] not in everything[i]]
            if strange:
                raise LabError(f"group {number} of seed {seed}: {name} sends a packet as no bucket would: {first[strange[0]]}, buckets {everything[strange[0]]}")
            if moved := [i for i in first if first[i][0] != second[i][0]]:
                raise LabError(f"group {number} of seed {seed}: {name} sends {len(moved)} of {n_flows} flows another way the second time: {text}")
            shares.append([sum(ways[0][0] == port for ways in first.values()) / n_flows for port in ports])
        ideal = [w / sum(weights) for w in weights]
        # As many draws vary by sqrt(p (1 - p) / n): four of those.
        for got, want in zip(shares[0], ideal):
            if abs(got - want) > 4 * (want * (1 - want) / n_flows) ** 0.5:
                raise LabError(f"group {number} of seed {seed}: vswitchd's shares {shares[0]}, weights {weights}; Open vSwitch's {shares[1]}")
        serial += 3 * n_flows
    return serial


# --- OFPP_NORMAL ---

def normal(bench, seed, n=3000):
    """Stations that move about, seen in one order by both: the same floods, the same single ports."""
    rng = random.Random(f"{seed}/normal")
    prefix = rng.randbytes(3)
    stations = [b"\x02\x77" + prefix + bytes([i]) for i in range(24)]
    groups = [b"\xff" * 6, bytes.fromhex("01005e0a0b0c"), bytes.fromhex("333300010203")]
    bench.fresh_channels()
    install(bench, [], ["priority=1,actions=normal", "priority=2,udp,tp_dst=53,actions=set_field:9->reg1,normal,output:5"])
    where = {}
    batch = []
    for serial in range(n):
        src = rng.choice(stations)
        if src not in where or rng.random() < 0.05:
            where[src] = rng.randint(1, p.N_PORTS)
        dst = rng.choice([s for s in stations if s != src]) if rng.random() < 0.85 else rng.choice(groups)      # Not to itself: README.md.
        batch.append((where[src], udp(rng, serial, src, dst)))
    ours, theirs = run_all(bench, batch)
    bench.clear()
    for serial, (in_port, frame) in enumerate(batch):
        if sorted(ours.get(serial, [])) != sorted(theirs.get(serial, [])):
            raise LabError(f"OFPP_NORMAL, seed {seed}: packet {serial}, in_port {in_port}, {frame.hex()}\n"
                           f"  vswitchd: ports {[port for port, _ in ours.get(serial, [])]}, Open vSwitch: {[port for port, _ in theirs.get(serial, [])]}")
    floods = sum(len(ways) > 2 for ways in theirs.values())
    if not n // 20 < floods < n * 9 // 10:
        raise LabError(f"{floods} of {n} packets were flooded: this shows nothing")
    return n


# --- Timeouts ---

def expiry(bench, seed, n=120):
    """Entries of every kind of end: (entry, hit at the beginning, hit later)."""
    rng = random.Random(f"{seed}/expiry")
    bench.fresh_channels()
    kinds = [("hard_timeout=2", True, False), ("idle_timeout=2", True, False), ("idle_timeout=2", False, False), ("idle_timeout=3,hard_timeout=9", True, True),
             ("idle_timeout=6,hard_timeout=3", True, True), ("", True, True)]
    flows, first, later = [], [], []
    for i in range(n):
        timeouts, early, late = kinds[i % len(kinds)]
        address = f"10.{i}.{rng.randrange(256)}.7"
        flags = "send_flow_rem," if rng.random() < 0.9 else ""
        flows.append(f"cookie={i + 1:#x},{flags}{timeouts}{',' * bool(timeouts)}table=0,priority={100 + i},ip,nw_dst={address},actions=output:{rng.randint(1, p.N_PORTS)}")
        ips = (rng.randbytes(4), bytes(int(x) for x in address.split(".")))
        for batch, wanted in ((first, early), (later, late)):
            for _ in range(rng.randint(1, 3) if wanted else 0):
                batch.append((1, udp(rng, i, p.MACS[0], p.MACS[1], ips=ips)))
    install(bench, ["group_id=3,type=all,bucket=output:2"], flows + [f"cookie={n + 1:#x},send_flow_rem,priority=9,tcp,actions=group:3"])
    began = time.monotonic()
    for at in range(0, len(first), CHUNK):
        bench.run(first[at:at + CHUNK])
    time.sleep(max(0, began + 1.5 - time.monotonic()))
    for at in range(0, len(later), CHUNK):
        bench.run(later[at:at + CHUNK])
    if time.monotonic() > began + 1.9:
        say("     (too slow to tell timeouts apart: not compared)")
        bench.clear()
        return 0
    # Replacing says nothing of the old entry; deleting and deleting a group do.
    install(bench, [], [f"cookie={n + 5:#x},priority=105,ip,nw_dst={flows[5].split('nw_dst=')[1].split(',')[0]},actions=drop"])
    for side in bench.sides:
        side.channel.install([message(15, struct.pack("!HBxI", 2, 0, 3))])
    while time.monotonic() < began + 7:
        for side in bench.sides:
            side.channel.poll(0.1)
    bench.clear()
    # Open vSwitch tells of deletions some time after the barrier's reply.
    deadline = time.monotonic() + 5
    while len({len(side.channel.removed) for side in bench.sides}) > 1 and time.monotonic() < deadline:
        for side in bench.sides:
            side.channel.poll(0.1)
    removed = [sorted(side.channel.removed) for side in bench.sides]
    told = [[(r[0], r[1], r[2], r[3], *r[5:]) for r in side] for side in removed]
    if told[0] != told[1]:
        different = sorted(set(told[0]) ^ set(told[1]))
        raise LabError(f"flow-removed, seed {seed} (cookie, priority, reason, table, idle, hard, packets, bytes, match): {different[:6]}\n"
                       f"  vswitchd's {[r[:8] for r in told[0] if r in different][:6]}\n  entries {[flows[(r[0] - 1) % n] for r in different[:3]]}")
    for ours, theirs in zip(*removed):
        if abs(ours[4] - theirs[4]) > 1:
            raise LabError(f"durations of cookie {ours[0]:#x}: {ours[4]} s and {theirs[4]} s")
    reasons = {r[2] for r in removed[0]}
    if not reasons >= {0, 1, 2, 3}:
        raise LabError(f"reasons seen: {reasons}")
    return len(first) + len(later)
