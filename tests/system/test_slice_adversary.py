"""Tenant red does what it can to reach tenant blue, which has the same addresses on the same hosts: blue's frames, rules and counters are as if red were not there.

After each attack every physical rule is held to one tenant by an oracle of its own (isolation.py).
"""
import random
import struct
import time

from tests.system import frames as f
from tests.system import isolation
from tests.system.slice_site import SliceSite
from utilities.lab.cleanup import LabError

MACS, IPS = ("52:54:00:00:00:01", "52:54:00:00:00:02"), ("10.0.0.11", "10.0.0.12")
IPS6 = ("fd00::11", "fd00::12")
EXCHANGE = 20
PATIENCE = 20                   # s, for a machine that has much else to do.
MARK = b"blue's own frame "


class Scene:
    """Red and blue with ports 1 and 2 on two hosts.  Blue's program is fixed, and so is what it sends: all of it is counted."""

    def __init__(self, lab):
        self.lab = lab
        self.site = SliceSite(lab, fabric="ovs")
        for tenant in ("red", "blue"):
            for i, name in enumerate("ab"):
                self.site.endpoint(tenant, name, i, MACS[i], IPS[i], IPS6[i])
        self.site.start()
        self.ra, self.rb, self.ba, self.bb = self.site.endpoints
        self.site.ofctl("blue", "add-flow", "cookie=0xb1,priority=10,in_port=1,actions=output:2")
        self.site.ofctl("blue", "add-flow", "cookie=0xb2,priority=10,in_port=2,actions=output:1")
        self.sent = 0
        self.serial = 0
        self.exchange()
        self.before = self.snapshot()
        self.provider = {item["name"]: item["status"] for item in self.site.ctl.json("get", "switch-ports")["items"]}

    def snapshot(self):
        site = self.site
        groups = [sorted(line for line in edge.ofctl("dump-groups").splitlines() if any(f"REG0={n}" in line for n in site.ids("blue"))) for edge in site.edges]
        return sorted(site.flows("blue")), [site.physical(edge, "blue") for edge in site.edges], groups

    def exchange(self):
        """Blue's machines exchange frames, and hear nothing else."""
        for e in (self.ba, self.bb):
            e.listen()
        wanted = {self.ba: [], self.bb: []}
        for _ in range(EXCHANGE):
            for here, there in ((self.ba, self.bb), (self.bb, self.ba)):
                self.serial += 1
                frame = f.ethernet(there.mac, here.mac, f.EXPERIMENT, MARK + struct.pack("!I", self.serial))
                wanted[there].append(frame)
                here.send(frame)
        self.sent += EXCHANGE
        for e, expected in wanted.items():
            heard = e.heard(len(expected), seconds=PATIENCE)
            if heard != expected:
                raise LabError(f"{e} heard {len(heard)} frames instead of {len(expected)}: {[frame.hex() for frame in heard if frame not in expected][:3]}")

    def unharmed(self, what):
        """Nothing of blue's has changed."""
        heard = [frame for e in (self.ba, self.bb) for frame in e.heard(0, quiet=0.1)]
        if heard:
            raise LabError(f"{what}: blue hears {[frame.hex() for frame in heard[:3]]}")
        self.exchange()
        now = self.snapshot()
        if now != self.before:
            raise LabError(f"{what}: blue's rules were\n{self.before}\nand are\n{now}")
        counters = self.lab.wait_for("blue's counters", lambda: self.exact(), PATIENCE)
        assert counters, what
        isolation.check(self.site.ctl, self.site.edge_tools())

    def exact(self):
        """Blue's counters are what it sent, no more; None while they are less."""
        found = self.site.flows("blue")
        if any(packets > self.sent for packets in found.values()):
            raise LabError(f"blue's machines sent {self.sent} frames each, and its entries count {found}")
        return found if all(packets == self.sent for packets in found.values()) else None

    def red(self, *flows):
        """Red's whole program."""
        self.site.ofctl("red", "del-flows")
        for flow in flows:
            self.site.ofctl("red", "add-flow", flow)


def test_programs(lab):
    """What red's controller says."""
    scene = Scene(lab)
    site, blue_b = scene.site, scene.provider["blue/lab/big/b"]
    scene.red("priority=65535,actions=drop")
    scene.unharmed("match-all drop")
    site.ofctl("red", "del-flows")
    assert not site.flows("red")
    scene.unharmed("delete-all")
    scene.red("priority=65535,in_port=1,actions=output:2", "priority=65535,in_port=2,actions=output:1", "priority=65535,in_port=77,actions=flood")
    scene.unharmed("in_port only")
    frame = f.ethernet(MACS[1], MACS[0], f.EXPERIMENT, b"red's")
    for what, actions in (("to blue's addresses", f"set_field:{MACS[1]}->eth_dst,set_field:{MACS[0]}->eth_src,flood"),
                          ("to blue's provider address", f"set_field:{blue_b['provider_mac']}->eth_dst,flood"),
                          ("out of each port", ",".join(f"output:{n}" for n in range(1, 9))),
                          ("with every tag", "push_vlan:0x88a8,set_field:4097->vlan_vid,push_vlan:0x8100,flood")):
        scene.red(f"priority=65535,actions={actions}")
        for e in (scene.ra, scene.rb):
            e.listen()
            e.send(frame)
        assert scene.rb.heard(1, seconds=PATIENCE), what
        scene.unharmed(f"rewriting {what}")
    scene.red()
    for error, flow in (("OFPBAC_", "actions=load:2->NXM_NX_REG0[],output:2"), ("OFPBAC_", "actions=set_field:2->reg0,output:2"), ("OFPBAC_", "actions=resubmit(,240)"),
                        ("OFPBAC_", "actions=load:1->NXM_NX_REG2[],resubmit(,240)"), ("OFPBMC_", "reg0=2,actions=drop"), ("TABLE_ID", "table=240,actions=drop"),
                        ("TABLE_ID", "actions=goto_table:240")):
        site.refuses("red", error, "add-flow", flow)
    assert not site.flows("red")
    for group in (1, 2, 0x80000000 | next(iter(site.ids("blue")))):        # The last would be the number of blue's own flood group.
        result = site.ofctl("red", "add-group", f"group_id={group},type=all,bucket=output:1,bucket=output:2", check=False)
        if not result.rc:
            site.ofctl("red", "add-flow", f"priority=9,in_port=1,actions=group:{group}")
        scene.unharmed(f"group {group:#x}")
    site.ofctl("red", "del-groups")
    scene.unharmed("deleting all groups")


test_programs.seconds = 180


def wire_frames(scene):
    """{what: frames} that red's machine types, and that would mean something to somebody else."""
    blue_a, blue_b = scene.provider["blue/lab/big/a"], scene.provider["blue/lab/big/b"]
    here, there = MACS
    data = f.udp(IPS[0], IPS[1], b"hop")
    plain = f.ipv4(IPS[0], IPS[1], f.UDP, data)
    provider_ip = {item["ip"]: item["provider"] for item in blue_b["addresses"]}
    tags = {"a tag": [(0x8100, 1)], "two tags": [(0x8100, 1), (0x8100, 2)], "a service tag": [(0x88a8, 1), (0x8100, 0)], "a priority tag": [(0x8100, 0xe000)]}
    found = {what: [f.ethernet(there, here, f.IPV4, plain, tags=stack), f.ethernet(f.BROADCAST, here, f.IPV4, plain, tags=stack)] for what, stack in tags.items()}
    found["fragments"] = [f.ethernet(there, here, f.IPV4, f.ipv4(IPS[0], IPS[1], f.UDP, data, fragment=n)) for n in (0x2000, 0x0001, 0x2001, 0x1fff)]
    found["blue's provider MAC"] = [f.ethernet(blue_b["provider_mac"], here, f.IPV4, plain), f.ethernet(there, blue_a["provider_mac"], f.IPV4, plain),
                                    f.ethernet(blue_b["provider_mac"], blue_a["provider_mac"], f.IPV4, plain)]
    for ip, mine in ((IPS[1], IPS[0]), (IPS6[1], IPS6[0])):
        to = provider_ip[ip]
        packet = (f.ipv6 if ":" in to else f.ipv4)(mine, to, f.UDP, f.udp(mine, to, b"provider"))
        found[f"blue's provider address {to}"] = [f.ethernet(there, here, f.IPV6 if ":" in to else f.IPV4, packet),
                                                  f.ethernet(blue_b["provider_mac"], here, f.IPV6 if ":" in to else f.IPV4, packet)]
    lldp = bytes.fromhex("0207076f663a") + b"0000000000000001" + bytes.fromhex("040207310602000a")
    forged = lldp + struct.pack("!H", 127 << 9 | 44) + bytes.fromhex("02504c01") + bytes(8) + random.Random(1).randbytes(32) + b"\0\0"
    found["forged LLDP"] = [f.ethernet(f.LLDP_MAC, here, f.LLDP, body) for body in (lldp + b"\0\0", forged)]
    return found


def as_received(frame):
    """af_packet gives the switch an outer tag apart from the frame, and DPDK's driver writes it back as 0x8100 whatever it was."""
    return frame[:12] + b"\x81\x00" + frame[14:] if frame[12:14] == b"\x88\xa8" else frame


def test_frames(lab):
    """What red's machine types, while red's controller floods all of it."""
    scene = Scene(lab)
    site = scene.site
    links, tap = sorted(site.links_up()), f.Tap(site.hosts[0].namespace, "fab0")
    scene.red("priority=1,actions=flood")
    real = lab.wait_for("a real discovery frame", lambda: next((frame for frame in (tap.receive(0.5),) if frame and frame[12:14] == b"\x88\xcc"), None), 10)
    tap.close()
    scene.rb.listen()
    for what, frames in [*wire_frames(scene).items(), ("a replayed discovery frame", [real])]:
        scene.ra.send(*frames)
        heard = scene.rb.heard(len(frames), seconds=PATIENCE)
        if "discovery" not in what:             # That is a tenant's frame like any other, but for the controller's own tests of it.
            assert sorted(heard) == sorted(map(as_received, frames)), (what, [frame.hex() for frame in heard])
        scene.unharmed(what)
        assert sorted(site.links_up()) == links, what


test_frames.seconds = 180


def test_scans(lab):
    """Red looks for machines that are not there: no address is interned for that, of red's nor of blue's."""
    scene = Scene(lab)
    site, rng = scene.site, random.Random(7)

    def pairs():
        return {item["name"]: item["status"]["interned_pairs"] for item in site.ctl.json("get", "switches")["items"]}
    scene.red("priority=10,dl_dst=" + MACS[1] + ",actions=output:2", "priority=0,actions=controller:65535")
    before = pairs()
    for n in range(400):
        mac = "52:54:00:" + ":".join(f"{b:02x}" for b in rng.randbytes(3))
        scene.ra.send(f.arp_request(scene.ra, f"10.0.{n // 200}.{n % 200 + 20}"), f.ethernet(mac, MACS[0], f.EXPERIMENT, b"scan"))
    scene.unharmed("scans")
    assert pairs() == before, (before, pairs())


def test_flooded_scan(lab):
    """The same through tables that flood whatever they do not know, as a learning switch does: each frame arrives, none takes an id, and pairs that are answered get theirs meanwhile."""
    scene = Scene(lab)
    site, rng = scene.site, random.Random(8)

    def pairs(tenant="red"):
        return site.ctl.json("get", "switch", f"{tenant}/lab/big")["status"]["interned_pairs"]
    scene.red("priority=0,actions=flood")
    scene.rb.listen()
    probes = [f.ethernet("52:54:00:" + ":".join(f"{b:02x}" for b in rng.randbytes(3)), MACS[0], f.EXPERIMENT, b"scan") for _ in range(300)]
    groups = [f.ethernet(f"33:33:ff:00:{n // 256:02x}:{n % 256:02x}", MACS[0], f.IPV6, b"scan by neighbour solicitation") for n in range(50) for _ in range(3)]
    for n, frame in enumerate(probes + groups):
        scene.ra.send(frame)
        time.sleep(0.002)                       # Under the rate at which controllerd carries them.
    heard = scene.rb.heard(len(probes + groups), seconds=PATIENCE)
    assert heard == probes + groups, (len(heard), len(probes + groups))
    assert pairs() == 0
    scene.unharmed("a flooded scan")
    # Faster than it carries: what is too much is lost, and machines that no port names still find each other.
    x, y = "00:16:3e:00:00:01", "00:16:3e:00:00:02"
    call, answer, more = f.ethernet(f.BROADCAST, x, f.EXPERIMENT, b"call"), f.ethernet(x, y, f.EXPERIMENT, b"answer"), f.ethernet(y, x, f.EXPERIMENT, b"more")
    scene.ra.send(*(f.ethernet("52:54:01:" + ":".join(f"{b:02x}" for b in rng.randbytes(3)), MACS[0], f.EXPERIMENT, b"scan") for _ in range(5000)))
    for here, there, frame in ((scene.ra, scene.rb, call), (scene.rb, scene.ra, answer), (scene.ra, scene.rb, more)):
        def arrives(here=here, there=there, frame=frame):
            here.send(frame)
            return frame in there.heard(1, seconds=1)
        lab.wait_for("a machine's frame", arrives, PATIENCE)
    assert 0 < pairs() <= 3, pairs()
    assert site.ctl.metrics()["polder_intern_interned_total"] == pairs()
    assert pairs("blue") == 0
    scene.unharmed("a fast flooded scan")


SPOOFER = """
import random, socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
to, rng, end = bytes.fromhex(sys.argv[1]), random.Random(9), time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for _ in range(50):
        s.send(to + b"\\x52\\x54\\x02" + rng.randbytes(3) + b"\\x88\\xb5" + b"spoofed" * 8)
    time.sleep(0.01)
"""


def test_spoofed_sources(lab):
    """A machine of red's writes a new source address on each frame, some thousands a second: no id is taken for them, and the first frames of other machines, of red's and of
    blue's on the same host, arrive all the same, and get ids."""
    site = SliceSite(lab, fabric="ovs", ctl_extra={"intern": {"pairs_per_network": 64, "idle_s": 300}})
    spoofer, mate, peer = (site.endpoint("red", name, i // 2, f"52:54:00:00:01:{i:02x}", f"10.0.1.{i + 1}") for i, name in enumerate(("x", "a", "b")))
    blue_a, blue_b = (site.endpoint("blue", name, i, MACS[i], IPS[i]) for i, name in enumerate("ab"))
    site.start()
    for tenant in ("red", "blue"):
        site.ofctl(tenant, "add-flow", "priority=0,actions=flood")

    def metric(name):
        return site.ctl.metrics()[f"polder_intern_{name}_total"]
    before = metric("relayed"), metric("unrelayed")
    seconds = 40
    spoofer.box.spawn("spoofer", ["python3", "-c", SPOOFER, peer.mac.replace(":", ""), str(seconds)])
    lab.wait_for("the flood", lambda: metric("relayed") + metric("unrelayed") > sum(before) + 1000, 20)
    begun, n = time.monotonic(), 0
    for round_ in range(10):
        for here, there in ((mate, peer), (blue_a, blue_b)):
            one, other = f"00:16:3e:00:{round_:02x}:01", f"00:16:3e:00:{round_:02x}:02"
            for e in (here, there):
                e.listen()
            for sender, receiver, frame in ((here, there, f.ethernet(other, one, f.EXPERIMENT, b"call")), (there, here, f.ethernet(one, other, f.EXPERIMENT, b"answer")),
                                            (here, there, f.ethernet(other, one, f.EXPERIMENT, b"more"))):
                sender.send(frame)
                lab.wait_for(f"{sender}'s frame {round_}", lambda receiver=receiver, frame=frame: frame in receiver.heard(1, seconds=0.2, quiet=0), 5)
                n += 1
    assert time.monotonic() - begun < seconds - 5, "the flood is over"
    carried = metric("relayed")
    assert carried > before[0] + 1000, (before, carried)
    pairs = {item["name"]: item["status"]["interned_pairs"] for item in site.ctl.json("get", "switches")["items"]}
    assert pairs == {"red/lab/big": 20, "blue/lab/big": 20}, pairs
    isolation.check(site.ctl, site.edge_tools())


test_spoofed_sources.seconds = 120
