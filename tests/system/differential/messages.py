"""A program under change, message by message: flow-mods and group-mods of every command, some of them wrong, what each switch answers, what it says that it holds then, and what flow-removed tell.

The same bytes go to both switches, so replies and errors are compared by type and content; of flow-removed and entries all but durations are.
"""
import struct
import time

from utilities.lab.cleanup import LabError
from utilities.lab.host import say

from . import channel
from .channel import METER_ALL, message
from .programs import Meter

SETTLED_S = 5                   # Open vSwitch tells of deletions some time after the barrier's reply.
UNKNOWN_GROUP, UNKNOWN_METER = 77, 99


def modified_flows(rng, program, n):
    """Lines for `ovs-ofctl add-flows`."""
    lines, checked = [], set()
    for i in range(n if program.entries else 0):
        table, priority, match, known, in_port = rng.choice(program.entries)
        how = rng.random()
        program.in_port, program.matches = in_port, bool(match)
        strict = f"table={table},priority={priority}{',' * bool(match)}{match}"
        loose = f"table={table}{',' * bool(match)}{match}"
        flags = rng.choice(("", "reset_counts,", "send_flow_rem,"))
        if how < 0.2:
            lines.append(f"modify {loose},actions={program.instructions(table, known)}")
        elif how < 0.4:
            lines.append(f"modify_strict {strict},actions={program.instructions(table, known)}")
        elif how < 0.5:
            lines.append(f"modify cookie={rng.randint(0, 15):#x}/0xf,{loose},actions={program.instructions(table, known)}")
        elif how < 0.6 and (table, priority) in checked:
            continue            # Which of two overlapping entries of one priority counts is undefined (section 5.3).
        elif how < 0.6:
            lines.append(f"add cookie={0x10000 + i:#x},{flags}{strict},actions={program.instructions(table, known)}")
        elif how < 0.65 and match and (table, priority) not in checked:
            checked.add((table, priority))
            lines.append(f"add check_overlap,cookie={0x20000 + i:#x},table={table},priority={priority},actions=drop")       # Not itself again: README.md.
        elif how < 0.7:
            wrong = rng.choice((f"group:{UNKNOWN_GROUP}", f"meter:{UNKNOWN_METER}", "output:0xfffffff5"))
            lines.append(f"add {strict},actions={wrong}")
        elif match:             # Else no table-miss entry would stay (README.md).
            out = rng.choice(("", "", f",out_port={rng.randint(1, program.n_ports)}", ",out_group=1", f",cookie={rng.randint(0, 7):#x}/0x7"))
            lines.append(f"delete {loose}{out}" if how < 0.85 else f"delete_strict {strict}")
    return lines


def modified_groups(rng, program):
    """Lines for `ovs-ofctl add-groups`."""
    lines = []
    for line in program.groups:
        how = rng.random()
        if how < 0.3:
            lines.append("add " + line)         # It exists.
        elif how < 0.6:
            lines.append("modify " + line)
    return lines + [f"modify group_id={UNKNOWN_GROUP},type=all,bucket=actions=output:1",
                    f"add group_id={UNKNOWN_GROUP + 1},type=ff,bucket=watch_port:1,actions=output:1", f"delete group_id={UNKNOWN_GROUP + 1}"]


def modified_meters(rng, program):
    """[(text, message)]"""
    made = []
    for meter in program.meters:
        how = rng.random()
        if how < 0.2:
            made.append((f"add {meter}", meter.mod()))                          # It exists.
        elif how < 0.5:
            other = Meter(rng, meter.number)
            made.append((f"modify {other}", other.mod(1)))
        elif how < 0.65:
            made.append((f"delete {meter}", channel.meter_mod(2, meter.number)))    # And with it the entries that use it.
            program.usable.remove(meter)
    one = [(1000, 1000)]
    wrong = [(1, UNKNOWN_METER, 1, one), (2, UNKNOWN_METER, 0, ()), (0, UNKNOWN_METER, 3, one), (0, 0, 1, one), (0, 0xffff0001, 1, one), (9, 1, 1, one),
             (1, METER_ALL, 1, one), (0, METER_ALL, 1, one), (0, UNKNOWN_METER, 0x21, one)]
    return made + [(f"meter-mod {w}", channel.meter_mod(*w)) for w in rng.sample(wrong, 3)]


def odd_requests():
    """What no controller should send, and what every one may."""
    flow_mod = struct.pack("!QQBBHHHIIIH2xHHI", 0, 0, 0, 9, 0, 0, 0, channel.NO_BUFFER, channel.OFPP_ANY, channel.OFPP_ANY, 0, 1, 4, 0)
    table_all = struct.pack("!QQBBHHHIIIH2xHHI", 0, 0, 0xff, 0, 0, 0, 0, channel.NO_BUFFER, channel.OFPP_ANY, channel.OFPP_ANY, 0, 1, 4, 0)
    return [
        message(99, b"12345678"), message(18, struct.pack("!HH4x", 77, 0)), message(14, flow_mod), message(14, table_all), message(15, struct.pack("!HBxI", 9, 0, 1)),
        message(15, struct.pack("!HBxI", 0, 0, 0xfffffffc)), message(14, flow_mod[:20]), message(24, struct.pack("!I4xQ", 9, 0)), message(29, struct.pack("!HHI", 1, 0, UNKNOWN_METER)),
        message(16, struct.pack("!I6s2xIII4x", 77, bytes(6), 0, 0, 0)), message(13, struct.pack("!IIH6x", 0x123, 1, 0)), message(9, b""),
    ]


class Change:
    """What is to become of a program: lines for ovs-ofctl, and whether odd requests follow."""

    def __init__(self, rng, program):
        self.meters = modified_meters(rng, program) if program.plain else []
        self.groups, self.flows, self.odd = modified_groups(rng, program), modified_flows(rng, program, rng.randint(5, 20)), rng.random() < 0.3
        self.modified_meters = {f"{text.split()[1].split(',')[0]}," for text, _ in self.meters if text.startswith("modify ")}
        self.modified_groups = {line.split()[1].split(",")[0] + "," for line in self.groups if line.startswith("modify ")}


def change(planned, recorder, channels):
    """Changes the program on both switches: (how many were refused, how many lines).  LabError on any difference."""
    groups, flows = list(planned.groups), list(planned.flows)
    messages = [m for _, m in planned.meters] + recorder.encode("add-groups", groups) + recorder.encode("add-flows", flows)
    lines = [text for text, _ in planned.meters] + groups + flows
    if planned.odd:
        odd = odd_requests()
        messages += odd
        lines += [m.hex() for m in odd]
    ours, theirs = [c.install(messages) for c in channels]
    different = [f"{lines[i]}\n      {channels[0].name}: {ours.get(i, 'accepts')}, {channels[1].name}: {theirs.get(i, 'accepts')} (error type, code)"
                 for i in sorted(set(ours) | set(theirs)) if ours.get(i) != theirs.get(i)]
    if different:
        raise LabError("\n".join(different) + "\n  all of them:\n" + "\n".join(f"    {n} {line}" for n, line in enumerate(lines)) + f"\n  refused by both: {ours}")
    return len(ours), len(lines)


def compare_contents(channels):
    """What both say that they hold: entries, groups, meters."""
    for what, (ours, theirs) in (("entries", [c.entries() for c in channels]), ("groups", [c.group_descs() for c in channels]), ("meters", [c.meter_configs() for c in channels])):
        for key in sorted(set(ours) | set(theirs), key=str):
            if ours.get(key) != theirs.get(key):
                like = [k for k in theirs if k not in ours]
                raise LabError(f"{what}: {key}\n      {channels[0].name}: {ours.get(key)}\n      {channels[1].name}: {theirs.get(key)}; it alone has {like[:3]}")


def never_told(ours, theirs):
    """Open vSwitch 3.1 tells of an entry once nothing refers to it any more, which after some packets is never: one entry that had packets, alone (README.md)."""
    more = [r for r in ours if r not in theirs]
    return more if len(more) == 1 and len(ours) == len(theirs) + 1 and more[0][6] else []


def compare_removed(channels, with_bytes):
    """Flow-removed since the last time: their number.  Call it when nothing more is under way."""
    deadline = time.monotonic() + SETTLED_S
    while True:
        told = [sorted((*r[:4], *r[5:8], *r[8 if with_bytes else 9:]) for r in c.removed) for c in channels]
        if told[0] == told[1] or time.monotonic() > deadline:
            break
        for c in channels:
            c.poll(0.02)
    for c in channels:
        c.removed = []
    untold = never_told(*told)
    if untold:
        say(f"     {channels[1].name} does not tell of {untold[0]}")
    elif told[0] != told[1]:
        different = [r for r in told[0] if r not in told[1]][:3], [r for r in told[1] if r not in told[0]][:3]
        raise LabError(f"flow-removed (cookie, priority, reason, table, idle, hard, packets, bytes, match): only {channels[0].name} has {different[0]} of {len(told[0])}, "
                       f"only {channels[1].name} has {different[1]} of {len(told[1])}")
    return len(told[0])
