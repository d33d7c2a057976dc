"""A ring of three virtual switches on one edge, and three bridges of one Open vSwitch that patch ports join in the same way: a program for each switch, packets into each.

Each switch has the devices 1 and 2 and the links 3 (to the next switch) and 4 (to the one before); programs send nothing round and round (programs.Joined).  A batch goes to one switch; its
sentinel is out before the other switches' are sent, so all that the batch made in them is out, too.  Which of a flood's copies goes first is each switch's own, and copies meet again in the
ring: order is not compared.
"""
import json
import os
import random
import time

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd, Vswitchd
from utilities.lab.host import say
from utilities.lab.ovs import Ovs

from . import channel, messages, packets, programs
from .bench import FRAG_NX_MATCH, PAUSE_S, Side, pcap_port
from .campaign import MOST_SHOWN, same, settled, shown
from .edges import OvsEdge, edge_ports, edge_trace
from .slices import LISTEN, PLENTY, in_order

N_SWITCHES, N_DEVICES = 3, 2
BATCH = 10
# What came from the next switch may go on to the one before, and the other way; but the third switch passes nothing on.
ONWARD = ({3: [4], 4: [3]}, {3: [4], 4: [3]}, {3: [], 4: []})


class RingBench:
    """controllerd with one edge, and Open vSwitch; sides[0] and sides[1] have a Side for each switch."""

    ours = "the slice"

    def __init__(self, lab, ovs_edge=False):
        self.lab, self.host, self._serial = lab, lab.host("diff"), 0
        self.sides = [self._slice(ovs_edge), self._bridges()]
        self.recorder = channel.Recorder(lab, self.host.dir)

    def _slice(self, ovs_edge):
        lab, host = self.lab, self.lab.host("host1")
        self.ctl = Controllerd(lab.host("control"), extra={"lldp": {"interval_ms": 1000}})
        quota = {"packet_in_rate": PLENTY, "flow_mod_rate": PLENTY}
        numbers = range(1, N_SWITCHES * N_DEVICES + 1)
        switches = [{"name": f"s{s}", "datapath_id": f"{s + 1:016x}", "edges": [host.name], "listen": [f"ptcp:{LISTEN + s}:127.0.0.1"], "quota": quota,
                     "ports": [{"name": f"p{n}", "number": n, "edge": host.name, "ofport_of": f"d{N_DEVICES * s + n}"} for n in range(1, N_DEVICES + 1)]}
                    for s in range(N_SWITCHES)]
        links = [{"name": f"l{s}", "ends": [{"switch": f"s{s}", "port": "next", "number": 3}, {"switch": f"s{(s + 1) % N_SWITCHES}", "port": "previous", "number": 4}]}
                 for s in range(N_SWITCHES)]
        path = os.path.join(lab.dir, "apply.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"edges": [{"name": host.name, "datapath_id": f"{1:016x}"}], "tenants": [{"name": "red", "quota": quota}], "slices": [
                {"name": "lab", "tenant": "red", "edges": [host.name], "switches": switches, "links": links}]}, file)
        self.ctl.vpcctl("apply", "-f", path)
        if ovs_edge:
            self.edge = OvsEdge(host, 1, self.ctl.openflow, numbers)
        else:
            self.edge = Vswitchd(host, dpid=1, controllers=[self.ctl.openflow], ports=[pcap_port(host, n, f"d{n}") for n in numbers])
        lab.wait_for("the edge", lambda: all(item["status"]["state"] == "in-sync" for item in self.ctl.json("get", "edges")["items"]), 30)
        pcaps = edge_ports(self.edge, host, numbers)
        return [Side(f"{self.ours}, switch {s}", (self.ctl.host.namespace, LISTEN + s), pcaps[N_DEVICES * s:N_DEVICES * (s + 1)]) for s in range(N_SWITCHES)]

    def _bridges(self):
        host = self.host
        self.ovs = Ovs(host, options=["--enable-dummy"])
        self.ovs.vsctl("set", "Open_vSwitch", ".", "other_config:flow-limit=0", "other_config:vlan-limit=0")
        sides = []
        for s in range(N_SWITCHES):
            self.ovs.bridge(f"br{s}", dpid=s + 1, datapath_type="dummy")
            for n in range(1, N_DEVICES + 1):
                self.ovs.vsctl("add-port", f"br{s}", f"p{s}{n}", "--", "set", "interface", f"p{s}{n}", "type=dummy", f"ofport_request={n}",
                               f"options:tx_pcap={host.path(f'ovs{s}{n}.pcap')}")
        for s in range(N_SWITCHES):
            after = (s + 1) % N_SWITCHES
            for bridge, n, name, peer in ((s, 3, f"next{s}", f"previous{after}"), (after, 4, f"previous{after}", f"next{s}")):
                self.ovs.vsctl("add-port", f"br{bridge}", name, "--", "set", "interface", name, "type=patch", f"ofport_request={n}", f"options:peer={peer}")
            sides.append(Side(f"Open vSwitch, bridge {s}", f"{self.ovs.dir}/br{s}.mgmt", [host.path(f"ovs{s}{n}.pcap") for n in range(1, N_DEVICES + 1)], FRAG_NX_MATCH))
        return sides

    def run(self, switch, batch):
        """Both sides' outcome of a batch into one switch: frames of all devices, packet-ins of each switch with its number."""
        self._serial += 1
        for side in self.sides:
            for s in range(N_SWITCHES):
                side[s].expect(self._serial)
            side[switch].start(batch, self._serial)
        self._wait([side[switch] for side in self.sides])
        others = [side[s] for side in self.sides for s in range(N_SWITCHES) if s != switch]
        for other in others:
            other.start([], self._serial)
        self._wait(others)
        outcomes = []
        for side in self.sides:
            parts = [one.outcome() for one in side]
            outcomes.append(([sorted(f) for frames, _ in parts for f in frames], [sorted(ins, key=in_order) for _, ins in parts]))
        return outcomes

    def _wait(self, sides):
        deadline = time.monotonic() + channel.WAIT_S
        while sides := [side for side in sides if not side.poll()]:
            self.lab.signals.check()
            if time.monotonic() > deadline:
                raise LabError(f"{sides[0].name}: the sentinel did not come out within {channel.WAIT_S} s: {sides[0].missing()}\n{self.story()}")
            time.sleep(PAUSE_S)

    def fresh_channels(self):
        for side in (*self.sides[0], *self.sides[1]):
            side.channel.close()
            side.connect()

    def clear(self):
        for side in (*self.sides[0], *self.sides[1]):
            side.channel.install([channel.DELETE_FLOWS, channel.DELETE_GROUPS, channel.DELETE_METERS])

    def traces(self, switch, in_port, frame):
        return edge_trace(self.edge, N_DEVICES * switch + in_port, frame) + self.ovs.appctl("ofproto/trace", f"br{switch}", f"in_port={in_port}", frame.hex())

    def story(self):
        return f"drops so far: {self.edge.drops()}"


def alike(ours, theirs):
    """Frames of each device, packet-ins of each switch."""
    return ours[0] == theirs[0] and all(paired(a, b) for a, b in zip(ours[1], theirs[1]))


def paired(ours, theirs):
    """Each packet-in of the one is one of the other's; those that name an entry choose first."""
    rest = list(theirs)
    for a in sorted(ours, key=lambda p: p[2] == channel.NO_COOKIE):
        b = next((b for b in rest if same(([], [a]), ([], [b]))), None)
        if b is None:
            return False
        rest.remove(b)
    return not rest


class RingCampaign:
    def __init__(self, bench, seed, n_packets, per_program=150):
        self.bench, self.seed, self.n_packets, self.per_program = bench, seed, n_packets, per_program
        self.selects = not isinstance(bench.edge, OvsEdge)      # Its edge's outputs are clones: README.md.
        self.n_done = self.n_programs = self.n_frames = self.n_packet_ins = self.n_refused = self.n_crossed = self.n_changes = self.n_removed = 0
        self.failures = []

    def run(self):
        index, begun = 0, time.monotonic()
        while self.n_done < self.n_packets and len(self.failures) < MOST_SHOWN:
            self.only(index)
            index += 1
        say(f"     seed {self.seed}: {self.n_done} packets through {self.n_programs} times {N_SWITCHES} programs in {time.monotonic() - begun:.0f} s; {self.n_frames} frames and "
            f"{self.n_packet_ins} packet-ins came out the same, {self.n_crossed} frames crossed links; "
            f"of {self.n_changes} changes {self.n_refused} were refused by both, {self.n_removed} flow-removed were the same")
        if self.failures:
            raise LabError("\n\n".join(self.failures))
        if self.n_crossed < self.n_done // 50:
            raise LabError(f"{self.n_crossed} of {self.n_done} packets crossed a link: this shows nothing")

    def _make(self, index):
        """(programs, [(switch, in_port, frame)], what is to become of each program)."""
        rng = random.Random(f"{self.seed}/{index}")
        malformed, sets_icmpv6 = rng.random() < 0.1, rng.random() < 0.4
        made = [programs.Program(rng, None, l2=malformed, plain=True, joined=programs.Joined(N_DEVICES, onward, sets_icmpv6), selects=self.selects, metered=self.selects) for onward in ONWARD]
        changes = [messages.Change(rng, program) for program in made]
        edits_addresses = any(m.edits_addresses for m in made) or any(programs.edits_addresses(c.flows) for c in changes)
        edits_nd_options = any(m.edits_nd_options for m in made) or any(programs.edits_nd_options(c.flows) for c in changes)
        stream = packets.Packets(rng, malformed, bare_nd=not edits_nd_options, max_tags=2, labels=(1, 1, 1, 2, 2, 3), later_l4=not edits_addresses,
                                 later_ipv6=not any(m.matches_ipv6_l4 for m in made), llc=True, spent=False, least=14)
        batch = [(rng.randrange(N_SWITCHES), rng.randint(1, N_DEVICES), stream.next()[1]) for _ in range(self.per_program)]
        return made, batch, changes

    def only(self, index):
        try:
            self._program(index)
        except LabError as error:
            raise LabError(f"program {index} of seed {self.seed}: {error}") from None

    def _program(self, index):
        made, batch, changes = self._make(index)
        part = len(batch) * 3 // 4
        self.bench.fresh_channels()
        pairs = [[side[s].channel for side in self.bench.sides] for s in range(N_SWITCHES)]
        if self._install(made, index):
            before = self._counters(made)
            if self._packets(index, made, batch[:part]) and self._statistics(index, made, before):
                for planned, pair in zip(changes, pairs):
                    refused, sent = messages.change(planned, self.bench.recorder, pair)
                    self.n_refused += refused
                    self.n_changes += sent
                before = self._counters(made)
                if self._packets(index, made, batch[part:]):
                    self._statistics(index, made, before, changes)
                for pair in pairs:
                    messages.compare_contents(pair)
        self.n_done += len(batch)
        self.n_programs += 1
        self.bench.clear()
        for pair in pairs:
            self.n_removed += messages.compare_removed(pair, with_bytes=True) if not self.failures else 0

    def _install(self, made, index):
        for s, program in enumerate(made):
            messages = [m.mod() for m in program.meters] + self.bench.recorder.encode("add-groups", program.groups) + self.bench.recorder.encode("add-flows", program.flows)
            ours, theirs = [side[s].channel.install(messages) for side in self.bench.sides]
            self.n_refused += len(set(ours) & set(theirs))
            if ours != theirs:
                lines = [*map(str, program.meters), *program.groups, *program.flows]
                i = min(i for i in set(ours) | set(theirs) if ours.get(i) != theirs.get(i))
                self._fail(index, f"switch {s}: {lines[i]}\n      {self.bench.ours}: {ours.get(i, 'accepts')}, Open vSwitch: {theirs.get(i, 'accepts')} (error type, code)")
                return False
        return True

    def _packets(self, index, made, batch):
        for s in range(N_SWITCHES):
            mine = [(in_port, frame) for switch, in_port, frame in batch if switch == s]
            for at in range(0, len(mine), BATCH):
                part = mine[at:at + BATCH]
                ours, theirs = self.bench.run(s, part)
                self.n_frames += sum(map(len, theirs[0]))
                self.n_packet_ins += sum(map(len, theirs[1]))
                if not alike(ours, theirs):
                    self._narrow(index, made, s, part)
                    return False
        return True

    def _narrow(self, index, made, s, part):
        for in_port, frame in part:
            ours, theirs = self.bench.run(s, [(in_port, frame)])
            if not alike(ours, theirs):
                text = "".join(f"  switch {n}, ours:\n{shown((ours[0] if not n else [], a), (theirs[0], b))}  Open vSwitch's:\n{shown((theirs[0] if not n else [], b), (ours[0], a))}"
                               for n, (a, b) in enumerate(zip(ours[1], theirs[1])))
                groups = "".join(f"  switch {n}: {g}\n" for n, program in enumerate(made) for g in program.groups)
                self._fail(index, f"switch {s}, in_port {in_port}, frame {frame.hex()}\n{text}{groups}{self.bench.traces(s, in_port, frame)}")
                return
        self._fail(index, f"a batch of {len(part)} packets into switch {s} differs, though none of them does alone")

    def _counters(self, made):
        """[ours, theirs]: {(switch, name): numbers}."""
        found = []
        for side in self.bench.sides:
            counters = {}
            for s, program in enumerate(made):
                channel_ = side[s].channel
                counters.update({(s, f"cookie={cookie:#x},"): n for cookie, n in channel_.flows().items()})
                counters.update({(s, f"group_id={g},"): (total, *buckets) for g, (total, buckets) in channel_.groups().items() if any(b[0] for b in buckets)})
                counters.update({(s, f"meter={meter},"): n for meter, n in channel_.meters().items()})
                counters.update({(s, f"table {t}: lookups, matches"): n for t, n in enumerate(channel_.tables(program.n_tables))})
                counters.update({(s, f"port {n}: packets received, sent, bytes received, sent"): numbers for n, numbers in channel_.ports().items() if n <= program.n_ports})
            found.append(counters)
        return found

    def _statistics(self, index, made, before, changes=()):
        """changes: groups and meters that these modified begin to count anew in Open vSwitch (README.md)."""
        modified = {(s, name) for s, planned in enumerate(changes) for name in planned.modified_groups | planned.modified_meters}

        def look():
            return [{name: n for name, n in side.items() if name not in modified} for side in self._counters(made)]

        def moved(after, side, name):
            old, new = before[side].get(name), after[side].get(name)
            return tuple(b - a for a, b in zip(old, new)) if old and name[1].startswith(("table", "port", "meter")) else new

        def uneven(after):
            return [name for name in sorted(set(after[0]) | set(after[1])) if moved(after, 0, name) != moved(after, 1, name)]
        after, wrong = settled(look, uneven)
        self.n_crossed += sum(moved(after, 1, (s, name))[0] for s, name in after[1] if name.startswith(("port 3", "port 4")))
        if wrong:
            self._fail(index, "counters differ:\n" + "\n".join(
                f"    switch {s}: {next((line for line in [*made[s].flows, *made[s].groups, *map(str, made[s].meters)] if line.startswith(name)), name)}\n"
                f"      {self.bench.ours}: {moved(after, 0, (s, name))}, Open vSwitch: {moved(after, 1, (s, name))}" for s, name in wrong[:8]))
        return not wrong

    def _fail(self, index, text):
        self.failures.append(f"program {index} of seed {self.seed}: {text}\n  {self.bench.story()}")
