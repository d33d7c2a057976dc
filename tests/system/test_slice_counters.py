"""What a tenant reads of its virtual switches' counters: sums over edges, exact, its own share only."""
import re
import time

from tests.system import frames as f
from tests.system.test_slice import MAC, configure, make_site

TARGET = "tcp:127.0.0.1:{}"


def listening(site, name, hosts, ports, number):
    return site.switch(name, hosts, ports, listen=[f"ptcp:{number}:127.0.0.1"])


class Tenant:
    """ovs-ofctl as the controller of one virtual switch."""

    def __init__(self, site, port):
        self.site, self.target = site, TARGET.format(port)

    def ofctl(self, command, *args, check=True):
        return self.site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", command, self.target, *args], check=check).output

    def packets(self):
        """Packets and bytes by (table, cookie)."""
        found = {}
        for line in self.ofctl("dump-flows").splitlines():
            m = re.search(r"cookie=(0x[0-9a-f]+),.* table=(\d+), n_packets=(\d+), n_bytes=(\d+)", line)
            if m:
                found[int(m[1], 16)] = (int(m[3]), int(m[4]))
        return found

    def number(self, text, pattern):
        return int(re.search(pattern, text, re.S)[1])


def frame(src, dst, n):
    return f.ethernet(MAC[dst], MAC[src], f.EXPERIMENT, n.to_bytes(2, "big") * 30)


def send(ends, src, dst, count):
    for n in range(count):
        ends[f"red/{src}"].send(frame(src, dst, n))


def start(lab, shape):
    site, ends = make_site(lab)
    shape(site)
    site.start()
    configure(site)
    return site, ends


def test_sums_over_edges(lab):
    """Flows, groups, meters, tables and ports of a big switch."""
    site, ends = start(lab, lambda s: s.slice("red", [listening(s, "s", [0, 1], {"a": 1, "b": 2, "c": 3, "d": 4}, 7001)]))
    t = Tenant(site, 7001)
    t.ofctl("add-meter", "meter=1,pktps,stats,bands=type=drop rate=1000000")
    t.ofctl("add-group", "group_id=5,type=all,bucket=output:2,bucket=output:4")
    t.ofctl("add-flow", f"cookie=0x11,priority=10,dl_type=0x88b5,dl_dst={MAC['b']},actions=output:2")
    t.ofctl("add-flow", f"cookie=0x12,priority=10,dl_type=0x88b5,dl_dst={MAC['c']},actions=meter:1,goto_table:3")
    t.ofctl("add-flow", f"cookie=0x13,table=3,priority=10,dl_dst={MAC['c']},actions=output:3")
    t.ofctl("add-flow", f"cookie=0x14,priority=10,dl_type=0x88b5,dl_dst={MAC['d']},actions=group:5")
    before = t.ofctl("dump-ports", "1")
    for src, dst, count in (("a", "b", 3), ("c", "b", 2), ("d", "b", 4), ("a", "c", 5), ("b", "c", 1), ("b", "d", 2), ("c", "d", 3)):
        send(ends, src, dst, count)
    time.sleep(0.3)
    flows = t.packets()
    size = len(frame("a", "b", 0))
    for cookie, count in ((0x11, 9), (0x12, 6), (0x13, 6), (0x14, 5)):
        assert flows[cookie] == (count, count * size), (hex(cookie), flows)
    text = t.ofctl("dump-group-stats", "group_id=5")
    assert t.number(text, r"group_id=5,.*?packet_count=(\d+)") == 5, text
    assert re.findall(r"bucket\d+:packet_count=(\d+)", text) == ["5", "5"], text
    text = t.ofctl("meter-stats", "meter=1")
    assert t.number(text, r"packet_in_count:(\d+)") == 6, text
    text = t.ofctl("dump-aggregate", "table=0")
    assert "packet_count=20 " in text, text
    after = t.ofctl("dump-ports", "1")
    sent = t.number(after, r"rx pkts=(\d+)") - t.number(before, r"rx pkts=(\d+)")
    assert 8 <= sent <= 40, (before, after)     # Eight of ours; the host adds some of its own.
    # What replaces an entry has its counters, unless it resets them.
    t.ofctl("add-flow", f"cookie=0x21,priority=10,dl_type=0x88b5,dl_dst={MAC['b']},actions=output:2,output:4")
    assert t.packets()[0x21] == flows[0x11], t.packets()
    t.ofctl("add-flow", f"cookie=0x31,priority=10,reset_counts,dl_type=0x88b5,dl_dst={MAC['b']},actions=output:2")
    assert t.packets()[0x31] == (0, 0), t.packets()
    send(ends, "a", "b", 2)
    send(ends, "d", "b", 1)
    time.sleep(0.3)
    assert t.packets()[0x31][0] == 3, t.packets()


def test_links_count(lab):
    """A link's ends count what crosses, whether it is inside of an edge or between two."""
    def shape(s):
        s.slice("red", [listening(s, "s1", [0], {"a": 1}, 7001), listening(s, "s2", [0], {"c": 1}, 7002), listening(s, "s3", [1], {"b": 1}, 7003)],
                [("l1", "s1/to2", "s2/to1"), ("l2", "s2/to3", "s3/to2")])
    site, ends = start(lab, shape)
    tenants = [Tenant(site, 7001 + i) for i in range(3)]
    ports = [{m[2]: int(m[1]) for m in re.finditer(r"(\d+)\(([^)]+)\)", t.ofctl("dump-ports-desc"))} for t in tenants]
    tenants[0].ofctl("add-flow", f"cookie=1,dl_type=0x88b5,actions=output:{ports[0]['to2']}")
    tenants[1].ofctl("add-flow", f"cookie=1,dl_type=0x88b5,in_port={ports[1]['to1']},actions=output:{ports[1]['to3']}")
    tenants[2].ofctl("add-flow", f"cookie=1,dl_type=0x88b5,actions=output:{ports[2]['b'] if 'b' in ports[2] else 1}")
    b = ends["red/b"]
    b.listen()
    send(ends, "a", "b", 7)
    assert len(b.heard(7)) == 7
    for i, (port, direction) in enumerate((("to2", "tx"), ("to3", "tx"), ("to2", "rx"))):
        text = tenants[i].ofctl("dump-ports", str(ports[i][port]))
        assert tenants[i].number(text, direction + r" pkts=(\d+)") == 7, (i, port, text)
    assert tenants[1].number(tenants[1].ofctl("dump-ports", str(ports[1]["to1"])), r"rx pkts=(\d+)") == 7
    # What a rule had counted when it left is counted, and what is dropped in its place is not.
    for t, i, port in ((tenants[0], 0, "to2"), (tenants[1], 1, "to3")):
        before = tenants[i].number(t.ofctl("dump-ports", str(ports[i][port])), r"tx pkts=(\d+)")
        send(ends, "a", "b", 4)
        assert len(b.heard(4)) == 4
        t.ofctl("mod-port", str(ports[i][port]), "no-forward")
        send(ends, "a", "b", 5)
        time.sleep(0.3)
        assert not b.heard(0)
        t.ofctl("mod-port", str(ports[i][port]), "forward")
        send(ends, "a", "b", 3)
        assert len(b.heard(3)) == 3
        assert tenants[i].number(t.ofctl("dump-ports", str(ports[i][port])), r"tx pkts=(\d+)") == before + 7, port


def test_links_lose(lab):
    """What is lost on the way was sent and not received; what an end counted stays when it moves to another edge, or next to the other end."""
    site, ends = make_site(lab)
    site.slice("red", [listening(site, "s1", [0], {"a": 1}, 7001), listening(site, "s2", [0, 1], {"b": 1}, 7002)],
               [("l", {"switch": "s1", "port": "x", "number": 2}, {"switch": "s2", "port": "y", "number": 3, "edge": "host2"})])
    site.start()
    near, far = Tenant(site, 7001), Tenant(site, 7002)
    for t, link in ((near, 2), (far, 3)):
        t.ofctl("add-flow", f"in_port=1,actions=output:{link}")
        t.ofctl("add-flow", f"in_port={link},actions=output:1")
    b = ends["red/b"]
    sent = 0

    def pass_on(count, arrive):
        nonlocal sent
        b.listen()
        send(ends, "a", "b", count)
        sent += count
        assert len(b.heard(arrive)) == arrive
    pass_on(10, 10)
    site.hosts[1].run(["ip", "link", "set", "fab0", "down"])
    lab.wait_for("the cut to be known", lambda: not site.links_up(), 10)
    pass_on(7, 0)
    site.hosts[1].run(["ip", "link", "set", "fab0", "up"])
    site.wait_links()
    site.wait_synced()
    pass_on(5, 5)
    arrived = 15
    for edge in ("host1", "host2"):
        site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s2", "ports": [{"name": "y", "edge": edge}]}]}]})
        pass_on(4, 4)
        arrived += 4
    assert near.number(near.ofctl("dump-ports", "2"), r"tx pkts=(\d+)") == sent
    assert far.number(far.ofctl("dump-ports", "3"), r"rx pkts=(\d+)") == arrived


def test_port_moves(lab):
    """A port counts what passed while it was on a device: not what the device had counted before, nor what others send there when it has moved, nor is anything of its own lost by that."""
    site, ends = make_site(lab)
    switch = listening(site, "s", [0, 1], {"a": 1, "b": 2}, 7001)
    site.slice("red", [switch])
    site.start()                                # The endpoints' kernels are silent: all frames are ours.
    t = Tenant(site, 7001)

    def counts(port):
        m = re.search(r"rx pkts=(\d+), bytes=(\d+), drop=0.*?tx pkts=(\d+), bytes=(\d+)", t.ofctl("dump-ports", str(port)), re.S)
        return tuple(map(int, m.groups()))

    def move(host, device):
        site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "ports": [{"name": "a", "edge": host, "ofport_of": device}]}]}]})
    size = len(frame("a", "b", 0))
    assert counts(1) == (0, 0, 0, 0) and counts(2) == (0, 0, 0, 0), (counts(1), counts(2))      # Discovery had tried the devices.
    t.ofctl("add-flow", "in_port=1,actions=output:2")
    t.ofctl("add-flow", "in_port=2,actions=output:1")
    b = ends["red/b"]
    b.listen()
    send(ends, "a", "b", 7)
    assert len(b.heard(7)) == 7
    move("host2", "red-d")                      # Nobody has asked meanwhile.
    send(ends, "a", "b", 100)
    time.sleep(0.3)
    assert counts(1) == (7, 7 * size, 0, 0), counts(1)
    b.listen()
    send(ends, "d", "b", 5)
    assert len(b.heard(5)) == 5
    ends["red/d"].listen()
    send(ends, "b", "a", 2)
    assert len(ends["red/d"].heard(2)) == 2
    assert counts(1) == (12, 12 * size, 2, 2 * size) and counts(2) == (2, 2 * size, 12, 12 * size), (counts(1), counts(2))
    move("host1", "red-a")
    send(ends, "d", "b", 100)
    b.listen()
    send(ends, "a", "b", 3)
    assert len(b.heard(3)) == 3
    assert counts(1) == (15, 15 * size, 2, 2 * size), counts(1)
    site.ctl.vpcctl("delete", "switch-port", "red/lab/s/a", "--wait=installed")
    site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "ports": [
        {"name": "new", "number": 1, "edge": "host1", "mac": MAC["a"], "ofport_of": "red-a"}]}]}]})
    assert counts(1) == (0, 0, 0, 0), counts(1)


def test_what_left_is_counted(lab):
    """Entries come and go under traffic on both edges, and nobody asks meanwhile: the table's counters are exactly what was sent, although no entry has asked for its end to be told."""
    site, ends = make_site(lab)
    site.slice("red", [listening(site, "s", [0, 1], {"a": 1, "b": 2, "c": 3, "d": 4}, 7001)])
    site.start()                                # The endpoints' kernels are silent: all frames are ours.
    t = Tenant(site, 7001)
    flows = (f"priority=10,dl_dst={MAC['b']},actions=output:2", f"priority=10,dl_dst={MAC['c']},actions=output:3", "priority=0,actions=drop")

    def table():
        m = re.search(r"table 0.*?lookup=(\d+), matched=(\d+)", t.ofctl("dump-tables"), re.S)
        return int(m[1]), int(m[2])
    lookups, matched = table()
    sent = in_force = 0
    for n in range(12):
        present = [flow for i, flow in enumerate(flows) if n >> i & 1]
        for flow in present:
            t.ofctl("add-flow", flow)
        for src, dst in (("a", "b"), ("d", "b"), ("a", "c"), ("b", "c")):
            send(ends, src, dst, 5)
            sent += 5
            in_force += 5 if flows[2] in present or any(MAC[dst] in flow for flow in present) else 0
        time.sleep(0.2)
        if n % 2:
            t.ofctl("del-flows")
        else:
            for flow in present:
                t.ofctl("del-flows", "--strict", flow.rsplit(",", 1)[0])
    # While they are deleted and put again at once the two together are what was sent.
    for _ in range(10):
        t.ofctl("add-flow", flows[0])
        send(ends, "a", "b", 10)
        t.ofctl("del-flows")
        send(ends, "d", "b", 10)
        sent += 20
    now = table()
    assert now[0] - lookups == sent, (now, lookups, sent)
    assert in_force <= now[1] - matched <= in_force + 200, (now, matched, in_force)
    # Resets, by adds and by modifies, that nobody reads before.
    t.ofctl("add-flow", "cookie=0x77," + flows[0])
    before, sent = table(), 0
    for n in range(10):
        send(ends, "a", "b", 10)
        send(ends, "d", "b", 3)
        sent += 13
        time.sleep(0.1 if n >= 8 else 0)
        t.ofctl(*(("add-flow", "cookie=0x77,reset_counts," + flows[0]) if n % 2 else ("mod-flows", "reset_counts," + flows[0].split(",", 1)[1])))
    send(ends, "a", "b", 4)
    send(ends, "d", "b", 1)
    time.sleep(0.2)
    assert t.packets()[0x77][0] == 5, t.packets()
    now = table()
    assert now[0] - before[0] == now[1] - before[1] == sent + 5, (now, before, sent)


def test_timeouts(lab):
    """An idle entry lives as long as traffic hits it on any edge; its end is told once, with all that it counted."""
    site, ends = start(lab, lambda s: s.slice("red", [listening(s, "s", [0, 1], {"a": 1, "b": 2, "c": 3, "d": 4}, 7001)]))
    t = Tenant(site, 7001)
    host = site.ctl.host
    monitor = host.spawn("monitor", ["ovs-ofctl", "-O", "OpenFlow13", "monitor", t.target], env={"OVS_RUNDIR": host.path("")})
    time.sleep(0.5)
    t.ofctl("add-flow", f"cookie=0x51,idle_timeout=2,send_flow_rem,priority=10,dl_type=0x88b5,dl_dst={MAC['b']},actions=output:2")
    t.ofctl("add-flow", f"cookie=0x52,hard_timeout=2,send_flow_rem,priority=10,dl_type=0x88b5,dl_dst={MAC['c']},actions=output:3")
    t.ofctl("add-flow", f"cookie=0x53,send_flow_rem,priority=10,dl_type=0x88b5,dl_dst={MAC['d']},actions=output:4")
    sent = 0
    begun = time.monotonic()
    while time.monotonic() - begun < 6:         # First on one edge, then on the other.
        send(ends, "a" if time.monotonic() - begun < 3 else "d", "b", 1)
        sent += 1
        time.sleep(0.5)
    send(ends, "a", "d", 2)
    send(ends, "b", "d", 3)
    time.sleep(0.2)
    assert 0x51 in t.packets() and 0x52 not in t.packets(), t.packets()
    t.ofctl("del-flows", "cookie=0x53/-1")
    lab.wait_for("the idle entry's end", lambda: 0x51 not in t.packets(), 8)
    time.sleep(0.5)
    text = monitor.log_text()
    removed = re.findall(r"reason=(\w+) .*?cookie:?=?(0x5\d).*?pkts(\d+)", text)
    assert sorted(removed, key=lambda r: r[1]) == [("idle", "0x51", str(sent)), ("hard", "0x52", "0"), ("delete", "0x53", "5")], text
