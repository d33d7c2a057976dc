"""One campaign: programs and packets from a seed, both switches side by side, and a report of every difference."""
import random
import time

from utilities.lab.cleanup import LabError
from utilities.lab.host import say

from . import messages, packets, programs
from .bench import SENTINEL_FLOW
from .channel import NO_COOKIE

RING = 1500                     # Frames that vswitchd's control thread may have on their way to the ports.
BATCH = 100
PACKET_INS = 300                # vswitchd allows a connection 1000 at once, and as many a second.
PORT_PACKET_INS = 100           # And fewer from one port at once (PUNT_PORT_MAX in vswitch/backend_punt.c), the sentinel's among them.
MOST_SHOWN = 3
COUNT_S = 0.1


class Campaign:
    def __init__(self, bench, seed, n_packets, per_program=400, plain=False, whole=False, changes=False, rounds=True):
        """plain: programs of nothing but OpenFlow 1.3 itself; whole: no malformed packets (a kernel on the way drops what ends inside of a tag);
        changes: each program then changes, and is compared message by message; rounds: programs may have what Open vSwitch processes a packet in several rounds for."""
        self.plain, self.whole, self.changes, self.rounds = plain, whole, changes, rounds
        self.bench, self.seed, self.n_packets, self.per_program = bench, seed, n_packets, per_program
        self.n_since_fresh = 0          # Packet-ins on this connection.
        self.n_done = self.n_programs = self.n_frames = self.n_packet_ins = self.n_refused = self.n_conjunctive = self.n_changes = self.n_removed = 0
        self.failures = []

    def run(self):
        index = 0
        begun = time.monotonic()
        while self.n_done < self.n_packets:
            try:
                self._program(index)
            except LabError as error:
                raise LabError(f"program {index} of seed {self.seed}: {error}") from None
            index += 1
            if len(self.failures) >= MOST_SHOWN:
                break
        say(f"     seed {self.seed}: {self.n_done} packets through {self.n_programs} programs in {time.monotonic() - begun:.0f} s; "
            f"{self.n_frames} frames and {self.n_packet_ins} packet-ins came out the same, {self.n_conjunctive} hits were conjunctions', "
            f"{self.n_refused} entries were refused by both" + self.changes * f"; {self.n_changes} changes and {self.n_removed} flow-removed were the same")
        if (refused := self.bench.recorder.refused):
            say(f"     ovs-ofctl refused {len(refused)} lines, the first: {refused[0]}")
        if self.failures:
            raise LabError("\n\n".join(self.failures))

    def only(self, index):
        """One program of the campaign again."""
        self._program(index)
        if self.failures:
            raise LabError("\n\n".join(self.failures))

    def receive(self):
        """Fewer packets, which vswitchd also receives on its ports: by its poll-mode threads instead of its control thread."""
        index = 0
        while self.n_done < self.n_packets and not self.failures:
            program, batch, *_ = self._make(index)
            program.flows.append(SENTINEL_FLOW)
            self.bench.fresh_channels()
            if self._install(program, index):
                self._receive(index, batch, max(1, min(BATCH, RING // program.cost)))
            self.bench.clear()
            index += 1
        say(f"     seed {self.seed}: {self.n_done} packets received through {self.n_programs} programs; {self.n_frames} frames and {self.n_packet_ins} packet-ins "
            "came out the same")
        if self.failures:
            raise LabError("\n\n".join(self.failures))

    def _receive(self, index, batch, n):
        for port in range(1, packets.N_PORTS + 1):
            of_port = [(p, frame) for p, frame in batch if p == port]
            for part in (of_port[at:at + n] for at in range(0, len(of_port), n)):
                sent, theirs = self.bench.run(part)
                self._count(theirs)
                self._pause(len(theirs[1]))
                if len(sent[1]) > PORT_PACKET_INS:
                    continue                    # More at once than vswitchd would tell its controller.
                received = self.bench.receive(port, [frame for _, frame in part])
                self._count(received)
                self._pause(len(received[1]))
                if not same(sent, theirs) or sent != received:
                    self._fail(index, f"{len(part)} packets of port {port}\n  sent:\n{shown(sent, received)}  received:\n{shown(received, sent)}")
                    return
                self.n_done += len(part)
        self.n_programs += 1

    # --- One program ---

    def _make(self, index):
        """(program, packets, kind of tags, what is to become of the program), from the seed and the index alone."""
        rng = random.Random(f"{self.seed}/{index}")
        kind = rng.random()
        malformed, spent = kind < 0.15 and not self.whole, 0.15 <= kind < 0.2
        tags = None if spent else rng.choice((None, "vlan") if malformed or not self.rounds else programs.TAGS)
        program = programs.Program(rng, tags, l2=malformed, spent=spent, plain=self.plain, selects=self.rounds, metered=self.plain and self.rounds)
        planned = messages.Change(random.Random(f"{self.seed}/{index}/change"), program) if self.changes else None
        edits_addresses = program.edits_addresses or (planned and programs.edits_addresses(planned.flows))
        edits_nd_options = program.edits_nd_options or (planned and programs.edits_nd_options(planned.flows))
        # Why each of these is as it is: README.md.
        options = {"max_tags": program.max_packet_tags, "labels": program.labels, "later_l4": not edits_addresses, "later_ipv6": not program.matches_ipv6_l4,
                   "bare_nd": not edits_nd_options,
                   "llc": tags != "push mpls", "spent": spent, "least": 100 if tags else 14}
        if tags == "pop last mpls":
            options["under_labels"] = ("ipv4",)
        stream = packets.Packets(rng, malformed, **options)
        batch = [stream.next() for _ in range(self.per_program)]
        return program, batch, tags, planned

    def _program(self, index):
        program, batch, tags, planned = self._make(index)
        bench = self.bench
        bench.fresh_channels()
        if not self._install(program, index):
            return
        pair = [side.channel for side in bench.sides]
        part = len(batch) * 3 // 4 if planned else len(batch)
        if self._packets(index, program, batch[:part], tags) and planned:
            refused, sent = messages.change(planned, bench.recorder, pair)
            self.n_refused += refused
            self.n_changes += sent
            program.cost *= 2               # What it has instead may make more of a packet.
            if self._packets(index, program, batch[part:], tags, planned.modified_groups | planned.modified_meters):
                messages.compare_contents(pair)
        self.n_done += len(batch)
        self.n_programs += 1
        bench.clear()
        if planned and not self.failures:
            self.n_removed += messages.compare_removed(pair, with_bytes=not tags)

    def _packets(self, index, program, batch, tags, modified=()):
        """Whether all these do the same on both, and count the same."""
        before = self._counters(tags, program.n_tables)
        at, n, ratio = 0, min(10, self._most(program)), 1
        while at < len(batch):
            part = batch[at:at + n]
            at += n
            ours, theirs = self.bench.run(part)
            self._count(theirs)
            if not same(ours, theirs):
                self._narrow(index, program, part, ours, theirs)
                return False
            ratio = max(ratio, 100 * len(theirs[1]) // len(part))
            n = max(1, min(self._most(program), 100 * PACKET_INS // ratio))
            self._pause()
        return self._statistics(index, program, before, batch, tags, modified)

    def _most(self, program):
        """Packets at a time."""
        return max(1, min(BATCH, min(RING, self.bench.burst) // program.cost))

    def _pause(self, least=PACKET_INS + 1):
        """Lets vswitchd's budget of packet-ins recover."""
        if self.n_since_fresh > min(PACKET_INS, least):
            time.sleep(self.n_since_fresh / 1000)
            self.n_since_fresh = 0

    def _count(self, outcome):
        frames, ins = outcome
        self.n_frames += sum(len(f) for f in frames)
        self.n_packet_ins += len(ins)
        self.n_since_fresh += len(ins) + 1

    def _install(self, program, index):
        bench = self.bench
        self.n_since_fresh = 0
        messages = [m.mod() for m in program.meters] + bench.recorder.encode("add-groups", program.groups) + bench.recorder.encode("add-flows", program.flows)
        ours, theirs = [side.channel.install(messages) for side in bench.sides]
        lines = [*map(str, program.meters), *program.groups, *program.flows]
        self.n_refused += len(set(ours) & set(theirs))
        different = [f"{lines[i]}\n      {bench.ours}: {ours.get(i, 'accepts')}, Open vSwitch: {theirs.get(i, 'accepts')} (error type, code)"
                     for i in sorted(set(ours) | set(theirs)) if ours.get(i) != theirs.get(i)]
        if different:
            self._fail(index, "refused by one only, or by another error:\n" + "\n".join(different[:5]))
            bench.clear()
        return not different

    def _counters(self, tags, n_tables):
        """What both have counted, by name.  Bytes only where no tag comes or goes (README.md)."""
        found = []
        for side in self.bench.sides:
            channel = side.channel
            counters = {f"cookie={cookie:#x},": n if not tags else n[0] for cookie, n in channel.flows().items()}
            for group, (total, buckets) in channel.groups().items():
                if not any(b[0] for b in buckets):
                    continue                    # Whether a group without a live bucket counts what it drops (README.md).
                counters[f"group_id={group},"] = (total, buckets) if not tags else (total[0], [n[0] for n in buckets])
            counters.update({f"meter={meter},": n if not tags else (*n[:2], *n[3::2]) for meter, n in channel.meters().items()})
            counters.update({f"table {t}: lookups, matches": n for t, n in enumerate(channel.tables(n_tables))})
            counters.update({f"port {n}: packets received, sent, bytes received, sent": side.without_sentinels(n, numbers)
                             for n, numbers in channel.ports().items() if n <= packets.N_PORTS})
            found.append(counters)
        return found

    @staticmethod
    def _uneven(before, after):
        """The names of counters that moved differently."""
        def moved(side, name):
            old, new = before[side].get(name), after[side].get(name)
            return tuple(b - a for a, b in zip(old, new)) if old and new and name.startswith(("table", "port", "meter")) else new
        return [name for name in sorted(set(after[0]) | set(after[1])) if moved(0, name) != moved(1, name)]

    def _statistics(self, index, program, before, batch, tags, modified):
        """modified: groups and meters that begin to count anew in Open vSwitch (README.md)."""
        after, wrong = settled(lambda: self._counters(tags, program.n_tables), lambda after: [name for name in self._uneven(before, after) if name not in modified])
        for line in program.flows:
            if "conj_id=" in line:
                counted = after[0].get(line.split(",", 1)[0] + ",", 0)
                self.n_conjunctive += counted if isinstance(counted, int) else counted[0]
        if not wrong:
            return True
        lines = "\n".join(f"    {next((l for l in [*program.flows, *program.groups, *map(str, program.meters)] if l.startswith(name)), name)}\n"
                          f"      {self.bench.ours}: {after[0].get(name)}, Open vSwitch: {after[1].get(name)}" for name in wrong[:6])
        # The packet: where counters part that were even before.
        self.bench.fresh_channels()
        self.n_since_fresh = 0
        ratio = {name: (after[0].get(name), after[1].get(name)) for name in wrong}
        for in_port, frame in batch:
            self._count(self.bench.run([(in_port, frame)])[1])
            self._pause()
            now = self._counters(tags, program.n_tables)
            if any(_apart(now[0].get(name), now[1].get(name)) != _apart(*ratio[name]) for name in wrong if not name.startswith(("table", "port"))):
                lines += f"\n  in_port {in_port}, frame {frame.hex()}\n{self.bench.traces(in_port, frame)}"
                break
        self._fail(index, "counters differ:\n" + lines)
        return False

    def _narrow(self, index, program, part, ours, theirs):
        """Finds the packets that make the difference."""
        whole = "".join(f"  port {n + 1}: {len(a)} frames and {len(b)}; only one has {sorted(f.hex() for f in set(a) ^ set(b))[:2]}\n"
                        for n, (a, b) in enumerate(zip(ours[0], theirs[0])) if a != b) + f"  {len(ours[1])} packet-ins and {len(theirs[1])}\n"
        self.bench.fresh_channels()
        self.n_since_fresh = 0
        for in_port, frame in part:
            ours, theirs = self.bench.run([(in_port, frame)])
            self._count(theirs)
            self._pause()
            if not same(ours, theirs):
                self._fail(index, f"in_port {in_port}, frame {frame.hex()}\n  {self.bench.ours}:\n{shown(ours, theirs)}  Open vSwitch:\n{shown(theirs, ours)}"
                           + "".join(f"  {g}\n" for g in program.groups) + self.bench.traces(in_port, frame))
                return
        self._fail(index, f"a batch of {len(part)} packets differs, though none of them does alone:\n{whole}")

    def _fail(self, index, text):
        self.failures.append(f"program {index} of seed {self.seed}: {text}\n  {self.bench.story()}")


def settled(counters, wrong):
    """(counters, which of them are wrong).  A poll-mode thread counts what it has sent, which is in the file by then, so a first look may come too early."""
    found = counters()
    if wrong(found):
        time.sleep(COUNT_S)
        found = counters()
    return found, wrong(found)


def _apart(a, b):
    """How far two counters are from each other, through all their levels."""
    if isinstance(a, (tuple, list)):
        return [_apart(x, y) for x, y in zip(a, b)]
    return a - b


def same(ours, theirs):
    """Frames on each port in order, and packet-ins; table and cookie only where ours names an entry; a table-miss may be an action (README.md)."""
    def told(a, b):
        return (a[0] == b[0] or (a[0], b[0]) == (0, 1)) and a[3:] == b[3:] and (a[1:3] == b[1:3] or a[2] == NO_COOKIE)
    return ours[0] == theirs[0] and len(ours[1]) == len(theirs[1]) and all(map(told, ours[1], theirs[1]))


def shown(outcome, other):
    """What came out where the other's is not the same."""
    frames, ins = outcome
    if ins == other[1]:
        ins = []
    return "".join(f"    port {n + 1}: {f.hex()}\n" for n, port in enumerate(frames) if port != other[0][n] for f in port) \
        + "".join(f"    controller: reason {r} table {t} cookie {c:#x} fields {m} {f.hex()}\n" for r, t, c, m, f in ins)
