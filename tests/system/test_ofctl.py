"""ovs-ofctl as a client of vswitchd, in OpenFlow 1.0, 1.3 and 1.4: entries, groups, bundles, packet-outs, and a round trip of many random entries."""
import random
import re

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd

from . import frames

VERSIONS = ("OpenFlow10", "OpenFlow13", "OpenFlow14")
N_FLOWS, N_GROUPS, N_METERS = 10000, 400, 40
RINGS = [{"name": f"r{i}", "type": "dpdk", "devargs": f"net_ring{i}"} for i in (1, 2)]


def expect(what, holds):
    if not holds:
        raise LabError(str(what))


def flows(switch, version, *filters):
    """The dump without counters and durations."""
    lines = switch.ofctl("dump-flows", *filters, version=version)
    return sorted(re.sub(r"(duration|n_packets|n_bytes)=[^,]*, ", "", line).strip() for line in lines.splitlines() if "actions=" in line)


# --- Random entries ---

class Random:
    """Entries that ovs-ofctl can write in a version, each once."""

    def __init__(self, seed, version):
        self.r, self.of10, self.seen = random.Random(seed), version == "OpenFlow10", set()

    def mac(self):
        return ":".join(f"{self.r.randrange(256):02x}" for _ in range(6))

    def ip(self):
        return ".".join(str(self.r.randrange(1, 255)) for _ in range(4))

    def match(self):
        r, m = self.r, [f"priority={self.r.randrange(1, 60000)}"]
        m += [f"in_port={r.randrange(1, 100)}"] * (r.random() < .3) + [f"dl_src={self.mac()}"] * (r.random() < .3)
        m += [f"conj_id={r.getrandbits(32)}"] * (r.random() < .1)
        m += [f"dl_dst={self.mac()}"] * (r.random() < .3) + [f"dl_vlan={r.randrange(1, 4095)}"] * (r.random() < .2)
        return m + r.choice([
            lambda: ["arp", f"arp_op={r.randrange(1, 3)}", f"arp_tpa={self.ip()}"],
            lambda: ["tcp", f"nw_src={self.ip()}/{r.randrange(8, 33)}", f"tp_dst={r.randrange(65536)}"],
            lambda: ["udp", f"nw_dst={self.ip()}", f"tp_src={r.randrange(65536)}"],
            lambda: ["icmp", f"icmp_type={r.randrange(20)}", f"nw_tos={4 * r.randrange(64)}"],
            lambda: [f"dl_type=0x{r.randrange(0x9000, 0xa000):04x}"],
            lambda: ["tcp6", f"ipv6_dst=fd00::{r.randrange(1, 65536):x}", f"tp_dst={r.randrange(65536)}"],
            lambda: [f"reg{r.randrange(8)}={r.randrange(1 << 32)}", f"metadata=0x{r.randrange(65536):x}/0xffff", f"tun_id={r.randrange(1 << 24)}"],
        ])()

    def action(self, match):
        r, of10 = self.r, self.of10
        choices = [
            lambda: f"mod_dl_src:{self.mac()}" if of10 else f"set_field:{self.mac()}->eth_src",
            lambda: f"load:0x{r.randrange(65536):x}->NXM_NX_REG{r.randrange(8)}[0..15]",
            lambda: "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
            lambda: f"resubmit(,{r.randrange(20, 200)})",
            lambda: f"set_queue:{r.randrange(0xffffffff)}",
            lambda: "pop_queue",
            # Later versions send an enqueue as three actions, which ovs-ofctl does not take for one again.
            lambda: f"enqueue:{r.randrange(1, 100)}:{r.randrange(1000)}" if of10 else f"group:{r.randrange(N_GROUPS)}",
        ]
        if "tcp" in match:
            choices.append(lambda: f"mod_tp_dst:{r.randrange(65536)}" if of10 else f"set_field:{r.randrange(65536)}->tcp_dst")
        if "tcp" in match or "udp" in match or "icmp" in match:
            choices.append(lambda: f"mod_nw_src:{self.ip()}" if of10 else f"set_field:{self.ip()}->ip_src")
        if any(part.startswith("dl_vlan=") for part in match):
            choices.append(lambda: f"mod_vlan_vid:{r.randrange(4095)}" if of10 else f"set_field:{0x1000 + r.randrange(4095)}->vlan_vid")
        return r.choice(choices)()

    def conjunction(self):
        n = self.r.randrange(2, 65)
        return f"conjunction({self.r.getrandbits(32)},{self.r.randrange(1, n + 1)}/{n})"

    def group(self, number):
        """To lower numbers only, so that there is no loop."""
        r, kind = self.r, self.r.choice(("all", "select", "indirect", "ff"))
        buckets = []
        for i in range(1 if kind == "indirect" else r.randrange(4)):
            parts = [f"bucket_id:{i}"]
            parts += [f"weight:{r.randrange(1, 65536)}"] * (kind == "select") + [f"watch_port:{r.randrange(1, 100)}"] * (kind == "ff")
            actions = [r.choice((f"set_field:{self.mac()}->eth_dst", f"set_queue:{r.randrange(100)}", "pop_vlan", "dec_ttl"))] * r.randrange(2)
            actions.append(f"group:{r.randrange(number)}" if number and r.random() < .2 else f"output:{r.randrange(1, 100)}")
            buckets.append(f",bucket={','.join(parts)},actions={','.join(actions)}")
        return f"group_id={number},type={kind}{''.join(buckets)}"

    def meter(self, number):
        r = self.r
        bands = [f"type=drop rate={r.randrange(1, 1 << 32)} burst_size={r.randrange(1, 1 << 32)}",
                 f"type=dscp_remark rate={r.randrange(1, 1 << 32)} burst_size={r.randrange(1, 1 << 32)} prec_level={r.randrange(1, 8)}"]
        return f"meter={number} {r.choice(('kbps', 'pktps'))} burst stats bands={' '.join(r.sample(bands, r.randrange(1, 3)))}"

    def entry(self):
        while True:
            match = self.match()
            if ",".join(match) not in self.seen:
                break
        self.seen.add(",".join(match))
        if self.r.random() < .15:
            actions = [self.conjunction() for _ in range(self.r.randrange(1, 4))]
        else:
            actions = [f"meter:{self.r.randrange(1, N_METERS + 1)}"] * (not self.of10 and self.r.random() < .1)
            actions += [self.action(match) for _ in range(self.r.randrange(4))]
            actions.append(self.r.choice([f"output:{self.r.randrange(1, 100)}", "CONTROLLER:65535", "ALL", "IN_PORT", "FLOOD"]))
        timeout = f"idle_timeout={self.r.randrange(1000, 60000)}," if self.r.random() < .2 else ""
        return f"cookie=0x{self.r.getrandbits(63):x},{timeout}table={self.r.randrange(200)},{','.join(match)},actions={','.join(actions)}"


def dump(switch, command, version):
    """A reply's text without its first line, blanks between words alone."""
    return " ".join(switch.ofctl(command, version=version).split("\n", 1)[1].split())


def groups_and_meters(switch, host, entries, version):
    """What the entries refer to; it reads back as it was written, and what is read back can be written again."""
    path = host.path(f"groups-{version}")
    groups, meters = [entries.group(i) for i in range(N_GROUPS)], [entries.meter(i) for i in range(1, N_METERS + 1)]
    for command in ("del-groups", "del-meters"):
        switch.ofctl(command, version=version)
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(groups) + "\n")
    switch.ofctl("add-groups", path, version=version)
    for meter in meters:
        switch.ofctl("add-meter", meter.replace(" ", ","), version=version)
    found = sorted("meter=" + text.replace("bands= ", "bands=").strip() for text in dump(switch, "dump-meters", version).split("meter=")[1:])
    expect(found, found == sorted(meters))
    read_groups = lambda: [line.strip() for line in switch.ofctl("dump-groups", version=version).splitlines() if "group_id=" in line]
    first = read_groups()
    expect(version, len(first) == N_GROUPS)
    # In the order of numbers again, since a group comes after those that it forwards to.
    lines = sorted(first, key=lambda line: int(line.split("group_id=")[1].split(",")[0]))
    for written, read in zip(groups, lines):
        # 1.3 has no bucket ids (ovs-ofctl drops them), a select's weight of 1 goes without saying, and words have their own order.
        words = [sorted(re.sub(r"bucket_id:\d+,|weight:1,|actions=", "", text).replace("bucket=,", "bucket=").split(",")) for text in (written, read)]
        expect(f"{written} is {read}", words[0] == words[1])
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    switch.ofctl("del-groups", version=version)
    switch.ofctl("add-groups", path, version=version)
    expect(version, sorted(read_groups()) == sorted(first))


def test_round_trip(lab):
    host = lab.host("switch")
    switch = Vswitchd(host, 1, ports=RINGS)
    seed = random.SystemRandom().getrandbits(32)
    for version in VERSIONS:
        print(f"\n     {version}: seed {seed}", end="")
        path = host.path(f"flows-{version}")
        entries = Random(seed, version)
        with open(path, "w", encoding="ascii") as file:
            file.writelines(entries.entry() + "\n" for _ in range(N_FLOWS))
        switch.ofctl("del-flows", version=version)
        if version != "OpenFlow10":
            groups_and_meters(switch, host, entries, version)
        switch.ofctl("add-flows", path, version=version)
        expect(version, f"flow_count={N_FLOWS}" in switch.ofctl("dump-aggregate", version=version))
        expect(f"{version}: diff-flows", switch.ofctl("diff-flows", path, version=version) == "")
        # And that a difference is seen.
        switch.ofctl("add-flow", "table=5,priority=7,actions=1", version=version)
        expect(f"{version}: diff-flows saw nothing", "priority=7" in switch.ofctl("diff-flows", path, version=version, check=False))


# --- Commands ---

def test_entries(lab):
    switch = Vswitchd(lab.host("switch"), 1, ports=RINGS)
    for version in VERSIONS:
        switch.ofctl("del-flows", version=version)
        switch.ofctl("add-flow", "priority=5,tcp,nw_src=10.0.0.0/8,dl_vlan=3,actions=strip_vlan,output:2", version=version)
        switch.ofctl("add-flow", "table=3,priority=5,ip,actions=output:1", version=version)
        switch.ofctl("mod-flows", "table=3,ip,actions=output:2", version=version)
        found = flows(switch, version)
        expect(found, len(found) == 2 and found[1].endswith("table=3, priority=5,ip actions=output:2"))
        expect(found, "tcp,dl_vlan=3,nw_src=10.0.0.0/8" in found[0])
        expect(version, len(flows(switch, version, "table=3")) == 1 and len(flows(switch, version, "out_port=1")) == 0)
        switch.ofctl("del-flows", "table=3", version=version)
        expect(version, len(flows(switch, version)) == 1)
        # Without an entry to change, 1.0's modify adds one and later versions' does nothing.
        switch.ofctl("mod-flows", "priority=9,udp,actions=output:1", version=version)
        expect(version, len(flows(switch, version)) == (2 if version == "OpenFlow10" else 1))
        for command in ("show", "dump-ports", "dump-ports-desc", "dump-tables", "dump-desc", "get-frags", "queue-stats"):
            expect(f"{version} {command}", "error" not in switch.ofctl(command, version=version).lower().replace("errs", ""))
        expect(version, "OFPPMFC" not in switch.ofctl("mod-port", "r1", "no-forward", version=version))
        expect(version, "NO_FWD" in switch.ofctl("show", version=version))
        switch.ofctl("mod-port", "r1", "forward", version=version)
        expect(f"{version}: snoop on a bad group", version == "OpenFlow10" or
               "OFPBAC_BAD_OUT_GROUP" in switch.ofctl("add-flow", "actions=group:77", version=version, check=False))


def bundle(switch, host, version, lines, command="add-flows", check=True):
    path = host.path("bundle")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    where = f"unix:{switch.openflow_socket}"
    return host.run(["ovs-ofctl", "-O", version, *(["--bundle"] if command != "bundle" else []), command, where, path], check=check)


def test_bundles(lab):
    host = lab.host("switch")
    switch = Vswitchd(host, 1, ports=RINGS)
    for version in ("OpenFlow13", "OpenFlow14"):
        switch.ofctl("del-flows", version=version)
        bundle(switch, host, version, ["add table=1,priority=5,ip,actions=output:1", "add priority=6,ip,actions=goto_table:1", "delete table=1,ip",
                                       "add table=1,priority=5,ip,actions=output:2"])
        whole = flows(switch, version)
        expect(whole, len(whole) == 2 and whole[1].endswith("actions=output:2"))
        # The last one fails: nothing of the others stays, and the switch names message and error.
        failed = bundle(switch, host, version, ["delete", "add priority=9,udp,actions=1", "add priority=7,ip,actions=group:99"], check=False)
        expect(failed, failed.rc and "OFPBAC_BAD_OUT_GROUP" in failed.output and "OFPBFC_MSG_FAILED" in failed.output)
        expect(version, flows(switch, version) == whole)
        bundle(switch, host, version, ["group group_id=1,type=all,bucket=output:1", "flow add priority=3,udp,actions=group:1",
                                       "group mod group_id=1,type=all,bucket=output:2"], command="bundle")
        expect(version, "output:2" in switch.ofctl("dump-groups", version=version))
        expect(version, any("actions=group:1" in line for line in flows(switch, version)))
        failed = bundle(switch, host, version, ["group delete group_id=1", "flow add priority=3,tcp,actions=group:1"], command="bundle", check=False)
        expect(failed, failed.rc)
        expect(version, "group_id=1" in switch.ofctl("dump-groups", version=version) and any("group:1" in line for line in flows(switch, version)))
        bundle(switch, host, version, ["table=2,udp,actions=output:1"], command="replace-flows")
        expect(version, len(flows(switch, version)) == 1)
        switch.ofctl("del-groups", version=version)


def test_actions_of_10(lab):
    """What 1.0's actions do to packets: a tag where there was none, no prerequisites, ports of any transport."""
    host, boxes = lab.host("switch"), [lab.host(f"box{i}") for i in (1, 2)]
    for i, box in enumerate(boxes, 1):
        lab.link(host, f"p{i}", box, "eth0")
    switch = Vswitchd(host, 1, uplinks=["p1", "p2"])
    taps = [frames.Tap(box.namespace, "eth0") for box in boxes]
    a, b = "02:00:00:00:00:01", "02:00:00:00:00:02"
    udp = frames.ethernet(b, a, frames.IPV4, frames.ipv4("10.0.0.1", "10.0.0.2", frames.UDP, frames.udp("10.0.0.1", "10.0.0.2", bytes(20))))

    def through(actions):
        switch.ofctl("add-flow", f"in_port=1,actions={actions},output:2", version="OpenFlow10")
        taps[0].send(udp)
        got = taps[1].receive(5)
        expect(f"nothing came of {actions}", got is not None)
        return got

    got = through("mod_vlan_vid:7,mod_vlan_pcp:3")
    expect(got.hex(), got[12:16] == bytes([0x81, 0, 0x60, 7]) and got[16:18] == udp[12:14])
    expect("strip of what has no tag", through("strip_vlan")[12:14] == udp[12:14])
    got = through("mod_tp_dst:4660,mod_nw_dst:1.2.3.4")
    expect(got.hex(), got[36:38] == b"\x12\x34" and got[30:34] == bytes([1, 2, 3, 4]))
    switch.ofctl("packet-out", "CONTROLLER", "output:2", udp.hex(), version="OpenFlow10")
    expect("a packet-out of 1.0", taps[1].receive(5) == udp)
    # NO_FLOOD is 1.0's alone: FLOOD leaves the port out, ALL does not, and later versions do not see it.
    switch.ofctl("mod-port", "p2", "no-flood", version="OpenFlow10")
    expect("NO_FLOOD in 1.0", "config:     NO_FLOOD" in switch.ofctl("show", version="OpenFlow10") and "NO_FLOOD" not in switch.ofctl("show", version="OpenFlow13"))
    switch.ofctl("packet-out", "CONTROLLER", "flood", udp.hex(), version="OpenFlow10")
    switch.ofctl("packet-out", "CONTROLLER", "all", (udp + b"all").hex(), version="OpenFlow10")
    expect("FLOOD went to a port that has NO_FLOOD", taps[1].receive(5) == udp + b"all")
    switch.ofctl("mod-port", "p2", "flood", version="OpenFlow10")
    switch.ofctl("packet-out", "none", "flood", udp.hex(), version="OpenFlow13")
    expect("FLOOD again, in_port=ANY in 1.3", taps[1].receive(5) == udp)


def test_packet_in2(lab):
    """Packet-ins in every version's own form and in Nicira's, where userdata comes along."""
    host, box = lab.host("switch"), lab.host("box")
    lab.link(host, "p1", box, "eth0")
    switch = Vswitchd(host, 1, uplinks=["p1"])
    tap = frames.Tap(box.namespace, "eth0")
    frame = frames.ethernet("02:00:00:00:00:02", "02:00:00:00:00:01", frames.EXPERIMENT, b"hello", pad=60)
    switch.ofctl("add-flow", "cookie=0x77,actions=set_field:9->reg3,controller(userdata=01.02.03)")
    for version in VERSIONS:
        for form, words in (("standard", []), ("nxt_packet_in2", ["userdata=01.02.03", "reg3=0x9", "cookie=0x77"])):
            monitor = host.spawn(f"monitor-{version}-{form}", ["ovs-ofctl", "-O", version, "monitor", f"unix:{switch.openflow_socket}", "65534", "-P", form],
                                 env={"OVS_RUNDIR": host.path("")})

            def heard(monitor=monitor):
                tap.send(frame)
                return "data_len=60" in monitor.log_text()

            lab.wait_for(f"a packet-in, {version}, {form}", heard, 10, of=[monitor])
            expect(monitor.log_text(), all(word in monitor.log_text() for word in words))
            monitor.stop()
            lab.forget(monitor)
