"""What a switch refuses comes back to the tenant that asked for it, as its own: its xid, its bytes; and its virtual switch is as if it had not asked.

host1 is a vswitchd, host2 an Open vSwitch; both have small tables.  A tenant is a raw OpenFlow 1.3 connection.
"""
import re
import struct

from tests.system import robust as of
from tests.system.test_slice_topology import MixedSite, call

FULL, VIRTUAL = 70, 16          # Entries that a table of a switch takes; the switches' table that is a virtual switch's table 0.
ETH_DST, IN_PORT = 3, 0
TABLE_FULL, BAD_ACTION_TYPE, BAD_OUT_GROUP = (5, 1), (2, 0), (2, 9)
GROUP_MOD, METER_MOD = 15, 29
PUSH_PBB = struct.pack("!HHHxx", 26, 8, 0x88e7)


class SmallSite(MixedSite):
    """Of host2's switch, Open vSwitch, the table is full with FULL entries, and host1's, too, if told so."""

    def __init__(self, lab, vswitchd_full=False):
        super().__init__(lab, edge_extra={"openflow": {"limits": {"table_flows": FULL}}} if vswitchd_full else None)

    def small(self):
        self.edges[1].ovs.vsctl("--", "--id=@t", "create", "Flow_Table", f"flow_limit={FULL}", "overflow_policy=refuse",
                                "--", "set", "Bridge", "br0", f"flow_tables:{VIRTUAL}=@t")

    def rules(self, edge):
        """Cookie of each rule in the table that holds the tenants'."""
        text = self.edges[edge].ofctl("dump-flows", f"table={VIRTUAL}")
        return sorted(re.findall(r"cookie=(0x[0-9a-f]+|0)", text))


def flow(n, *actions, xid=None, table=0, priority=1):
    destination = of.oxm(ETH_DST, struct.pack("!HI", 0x0200, n))
    return of.flow_mod([destination], of.apply_actions(*(actions or [of.output(1)])), table, priority=priority, xid=n if xid is None else xid, cookie=n)


def errors(got):
    """{xid: ((type, code), data)}, and nothing but errors has come."""
    assert all(kind == of.ERROR for kind, _, _ in got), got
    return {xid: (struct.unpack("!HH", body[:4]), body[4:]) for kind, xid, body in got}


def model(site, port):
    """Cookies of the entries that the tenant's virtual switch tells of."""
    text = site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", f"tcp:127.0.0.1:{port}"]).output
    return sorted(int(cookie, 0) for cookie in re.findall(r"cookie=(0x[0-9a-f]+)", text))


def make(lab, **kwargs):
    """red and blue have a switch over both hosts each, red also one on each host."""
    site = SmallSite(lab, **kwargs)
    shapes = {"red": [("s", [0, 1], "ab", 7001), ("s1", [0], "c", 7003), ("s2", [1], "d", 7004)], "blue": [("s", [0, 1], "ab", 7002)]}
    for tenant, switches in shapes.items():
        for i, name in enumerate("".join(ports for _, _, ports, _ in switches)):
            site.endpoint(tenant, name, i % 2, f"52:54:00:00:00:0{i + 1}", f"10.0.0.{i + 1}")
        site.slice(tenant, [site.switch(name, hosts, {port: n for n, port in enumerate(ports, 1)}, listen=[f"ptcp:{port}:127.0.0.1"])
                            for name, hosts, ports, port in switches])
    site.start()
    site.small()
    return site


def fill(site, edge, port, both):
    """Asks for more than fits, with a barrier; what is refused is told of exactly, and is nowhere; what is not told of is everywhere."""
    before = [site.rules(0), site.rules(1)]
    wanted = {n: flow(n) for n in range(1, FULL + 21)}
    with call(site, port) as peer:
        refused = errors(peer.answer(b"".join(wanted.values())))
    assert len(refused) == len(wanted) + len(before[edge]) - FULL, (len(refused), before[edge], site.rules(edge))
    for xid, (error, data) in refused.items():
        assert error == TABLE_FULL and wanted[xid].startswith(data) and len(data) >= 64, (xid, error, data)
    held = sorted(set(wanted) - set(refused))
    assert model(site, port) == held
    for i, rules in enumerate([site.rules(0), site.rules(1)]):
        assert len(rules) == len(before[i]) + (len(held) if both or i == edge else 0), (i, rules)
    return held, refused, wanted


def test_table_full_of_open_vswitch(lab):
    """A big switch whose one edge is full: what that edge refuses leaves the other one, too.  A change of what is there is taken; what made room is taken up."""
    site = make(lab)
    held, refused, wanted = fill(site, 1, 7001, True)
    with call(site, 7001) as peer, call(site, 7002) as blue:
        last = max(refused)
        # Full for the neighbour as well, and it is told of its own message only.
        assert errors(blue.answer(flow(9, xid=77))) == {77: (TABLE_FULL, flow(9, xid=77)[:64])} and not peer.answer(b"")
        assert model(site, 7002) == []
        assert not peer.answer(flow(held[0], of.output(2)))             # In the same place.
        assert len(errors(peer.answer(wanted[last]))) == 1
        gone = of.flow_mod([of.oxm(ETH_DST, struct.pack("!HI", 0x0200, held[1]))], command=4)
        assert not peer.answer(gone) and not peer.answer(wanted[last])
        assert model(site, 7001) == sorted(set(held) - {held[1]} | {last})
        # An entry that was there and is replaced by what is refused is there again.
        assert errors(peer.answer(flow(held[0], PUSH_PBB, xid=88)))[88][0] == BAD_ACTION_TYPE
        text = site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "tcp:127.0.0.1:7001", f"cookie={held[0]}/-1"]).output
        assert "output:2" in text and "pbb" not in text, text


def test_table_full_of_vswitchd(lab):
    """A switch on one edge.  Room that was made in front of a barrier is there behind it."""
    site = make(lab, vswitchd_full=True)
    held, refused, wanted = fill(site, 0, 7003, False)
    last = max(refused)
    with call(site, 7003) as peer:
        gone = of.flow_mod([of.oxm(ETH_DST, struct.pack("!HI", 0x0200, held[1]))], command=4)
        got = peer.answer(gone + of.message(of.BARRIER_REQUEST, xid=99) + wanted[last])
        assert got == [(of.BARRIER_REPLY, 99, b"")], got
        assert model(site, 7003) == sorted(set(held) - {held[1]} | {last})


def test_bad_action(lab):
    """An action that one edge cannot do, in an entry and in a group, before a barrier and without one."""
    site = make(lab)
    group = of.message(GROUP_MOD, struct.pack("!HBxI", 0, 0, 5) + struct.pack("!HHIIxxxx", 16 + 8 + 16, 0, of.ANY, of.ANY) + PUSH_PBB + of.output(1), 30)
    with call(site, 7001) as peer, call(site, 7003) as there:
        good, bad = flow(1), flow(2, PUSH_PBB, of.output(1))
        assert errors(peer.answer(good + bad)) == {2: (BAD_ACTION_TYPE, bad[:64])}
        assert model(site, 7001) == [1] and not there.answer(bad)       # vswitchd alone can do it.
        assert errors(peer.answer(group))[30][0] == BAD_ACTION_TYPE
        assert "group_id=5" not in site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "dump-groups", "tcp:127.0.0.1:7001"]).output
        using = flow(3, struct.pack("!HHI", 22, 8, 5))
        assert errors(peer.answer(using)) == {3: (BAD_OUT_GROUP, using[:64])}
        peer.send(bad)
        kind, xid, body = peer.receive()
        assert (kind, xid, body) == (of.ERROR, 2, struct.pack("!HH", *BAD_ACTION_TYPE) + bad[:64])
    site.wait_synced()


def test_quotas(lab):
    """Entries (in physical cost), groups, meters and tables of a virtual switch and of a tenant."""
    site = make(lab)
    site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "quota": {"flows": 10, "groups": 2, "meters": 2, "tables": 3}}]}]})

    def group(n):
        return of.message(GROUP_MOD, struct.pack("!HBxI", 0, 0, n), n)

    def meter(n):
        return of.message(METER_MOD, struct.pack("!HHIHHII4x", 0, 1, n, 1, 16, 1000, 0), n)
    with call(site, 7001) as peer:
        assert {xid: error for xid, (error, _) in errors(peer.answer(b"".join(map(flow, range(1, 8))))).items()} == {6: TABLE_FULL, 7: TABLE_FULL}     # Five on two edges each.
        assert {xid: error for xid, (error, _) in errors(peer.answer(group(1) + group(2) + group(3))).items()} == {3: (6, 3)}      # OFPGMFC_OUT_OF_GROUPS
        assert {xid: error for xid, (error, _) in errors(peer.answer(meter(1) + meter(2) + meter(3))).items()} == {3: (12, 10)}    # OFPMMFC_OUT_OF_METERS
        assert errors(peer.answer(flow(1, table=3)))[1][0] == (5, 2)    # OFPFMFC_BAD_TABLE_ID
        here = of.flow_mod([of.oxm(IN_PORT, struct.pack("!I", 1))], of.apply_actions(of.output(2)), xid=50)
        assert errors(peer.answer(here))[50][0] == TABLE_FULL
        gone = of.flow_mod([of.oxm(ETH_DST, struct.pack("!HI", 0x0200, 1))], command=4)
        assert not peer.answer(gone + here)                             # It costs one edge, as in_port is there only.
    site.apply({"tenants": [{"name": "red", "quota": {"flow_entries": 12, "groups": 3, "meters": 3}}]})
    with call(site, 7003) as peer:                      # Nine are used by the other switch.
        assert {xid: error for xid, (error, _) in errors(peer.answer(b"".join(map(flow, range(1, 6))))).items()} == {4: TABLE_FULL, 5: TABLE_FULL}
        assert set(errors(peer.answer(group(1) + group(2)))) == {2} and set(errors(peer.answer(meter(1) + meter(2)))) == {2}


def test_quotas_free_room(lab):
    """At each quota: what is refused is nowhere, what is there may be changed, and what leaves, by whatever way, makes exactly its own room."""
    site = make(lab)

    def quota(**numbers):
        site.apply({"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "s", "quota": numbers}]}]})

    def group(n, command=0, port=1):
        bucket = struct.pack("!HHIIxxxx", 32, 0, of.ANY, of.ANY) + of.output(port)
        return of.message(GROUP_MOD, struct.pack("!HBxI", command, 0, n) + (bucket if command < 2 else b""), n)

    def meter(n, command=0, rate=1000):
        band = struct.pack("!HHII4x", 1, 16, rate, 0) if command < 2 else b""
        return of.message(METER_MOD, struct.pack("!HHI", command, 1, n) + band, 100 + n & 0xffff)

    def through(n, *actions, meter=None):
        """An entry by a group or a meter."""
        by_meter = struct.pack("!HHI", 6, 8, meter) if meter else b""
        return of.flow_mod([of.oxm(ETH_DST, struct.pack("!HI", 0x0200, n))], by_meter + of.apply_actions(*actions), xid=n, cookie=n)

    def gone(n):
        return of.flow_mod([of.oxm(ETH_DST, struct.pack("!HI", 0x0200, n))], command=4)

    def refused(data):
        return {xid: error for xid, (error, _) in errors(peer.answer(data)).items()}

    def told(what):
        text = site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", what, "tcp:127.0.0.1:7001"]).output
        return sorted(int(n) for n in re.findall(r"(?:group_id|meter)=(\d+)", text))
    quota(flows=12, groups=2, meters=2, tables=3)
    empty = [site.rules(0), site.rules(1)]
    with call(site, 7001) as peer:
        assert refused(b"".join(group(n) for n in range(1, 5))) == {3: (6, 3), 4: (6, 3)} and told("dump-groups") == [1, 2]
        assert refused(b"".join(meter(n) for n in range(1, 5))) == {103: (12, 10), 104: (12, 10)} and told("dump-meters") == [1, 2]
        assert not refused(group(2, 1, 2) + meter(2, 1, 7))             # Modified in their places.
        assert refused(group(1) + meter(1)) == {1: (6, 0), 101: (12, 1)}
        # Two rules each: six fit.  Entries of a group and of a meter leave with it, and their room is there at once.
        to_one, to_two = struct.pack("!HHI", 22, 8, 1), struct.pack("!HHI", 22, 8, 2)
        assert refused(through(1, to_one) + through(2, to_one) + through(3, of.output(1), meter=1) + through(4, of.output(1), meter=2) + flow(5) + flow(6) + flow(7)) == {7: TABLE_FULL}
        assert model(site, 7001) == [1, 2, 3, 4, 5, 6]
        assert not refused(flow(5, of.output(2)) + through(6, to_two))  # In their places.
        assert refused(group(1, 2) + b"".join(map(flow, range(8, 12)))) == {10: TABLE_FULL, 11: TABLE_FULL}
        assert model(site, 7001) == [3, 4, 5, 6, 8, 9]
        assert refused(meter(1, 2) + flow(10) + flow(11)) == {11: TABLE_FULL} and model(site, 7001) == [4, 5, 6, 8, 9, 10]
        assert refused(group(3) + group(4) + meter(3) + meter(4)) == {4: (6, 3), 104: (12, 10)}
        assert told("dump-groups") == [2, 3] and told("dump-meters") == [2, 3]
        assert not refused(group(0xfffffffc, 2) + meter(0xffffffff, 2)) and model(site, 7001) == [5, 8, 9, 10]
        assert refused(b"".join(group(n) + meter(n) for n in range(1, 4))) == {3: (6, 3), 103: (12, 10)}
        # What the switch's own rules say: one for each entry and edge.
        assert [len(site.rules(i)) - len(empty[i]) for i in range(2)] == [4, 4]
        # Tables: what is beyond is no table, neither for an entry nor to go to; more and fewer of them at run time.
        jump = of.flow_mod([], struct.pack("!HHB3x", 1, 8, 3), xid=60)
        assert refused(flow(20, table=2)) == {} and refused(flow(21, table=3) + jump) == {21: (5, 2), 60: (3, 2)}
        assert model(site, 7001) == [5, 8, 9, 10, 20]
    quota(tables=4)
    with call(site, 7001) as peer:
        assert not refused(flow(21, table=3)) and refused(flow(22, table=4)) == {22: (5, 2)}
        assert not refused(of.flow_mod(command=3, table=0xff)) and model(site, 7001) == []
        assert [site.rules(0), site.rules(1)] == empty
        assert refused(b"".join(map(flow, range(1, 9)))) == {7: TABLE_FULL, 8: TABLE_FULL}
    # Less than is there takes nothing away, and more is room at once.
    quota(flows=4)
    with call(site, 7001) as peer:
        assert model(site, 7001) == [1, 2, 3, 4, 5, 6]
        assert not refused(b"".join(map(gone, range(1, 5)))) and refused(flow(1)) == {1: TABLE_FULL}
        assert not refused(gone(5)) and refused(flow(1) + flow(2)) == {2: TABLE_FULL}
    quota(flows=6)
    with call(site, 7001) as peer:
        assert refused(flow(2) + flow(3)) == {3: TABLE_FULL} and model(site, 7001) == [1, 2, 6]
    site.wait_synced()


def test_shares(lab):
    """A tenant takes all that nobody is guaranteed, and then no more; its neighbour's share is there; who has not come yet has nothing kept for it."""
    site = make(lab)

    def own():
        """Rules of host2 that are Polder's own."""
        return site.ctl.json("get", "edge", "host2")["status"]["own_entries"]

    def room(left, check=True, **guaranteed):
        """So many entries of host2's are for tenants."""
        return site.apply({"edges": [{"name": "host2", "datapath_id": f"{2:016x}", "flow_entries": left + own()}],
                           "tenants": [{"name": name, "quota": {"edge_entries": n}} for name, n in guaranteed.items()]}, check=check)

    def taken(peer, first, last):
        """How many of so many entries are not refused; the refused ones are the last."""
        refused = errors(peer.answer(b"".join(flow(n) for n in range(first, last))))
        assert all(error == TABLE_FULL for error, _ in refused.values()) and sorted(refused) == list(range(last - len(refused), last))
        return last - first - len(refused)

    def status():
        found = site.ctl.json("get", "edge", "host2")["status"]
        return found["tenant_entries"], found["guaranteed_entries"]
    room(50, red=10, blue=20)
    result = room(50, check=False, red=31)
    assert result.rc != 0 and "tenants[0].quota.edge_entries" in result.errors and "tenants would be guaranteed 51" in result.errors, result
    result = room(29, check=False)
    assert result.rc != 0 and "edges[0].flow_entries" in result.errors and f"takes {29 + own()} entries: {own()} are Polder's own" in result.errors, result
    assert "30/50" in next(line for line in site.ctl.vpcctl("get", "edges").output.splitlines() if line.startswith("host2 "))
    with call(site, 7001) as red, call(site, 7002) as blue, call(site, 7003) as elsewhere:
        assert taken(red, 1, 41) == 30 and status() == (30, 30)
        assert taken(elsewhere, 1, 41) == 40                            # host1 has room, and 7003's switch is there alone.
        assert taken(blue, 1, 41) == 20 and status() == (50, 30)
        assert not red.answer(flow(1, of.output(2)))                    # In the place of its own.
        assert not red.answer(of.flow_mod([of.oxm(ETH_DST, struct.pack("!HI", 0x0200, 1))], command=4))
        assert taken(blue, 41, 43) == 1                                 # What nobody is guaranteed is anybody's.
        assert not red.answer(of.flow_mod(command=3))                   # All of it.
        assert taken(blue, 50, 100) == 19 and status() == (40, 30)      # But ten of it are red's,
        assert taken(red, 1, 41) == 10                                  # still.
        room(52, red=10, blue=20)
        assert taken(red, 21, 41) == 2
        here = of.flow_mod([of.oxm(IN_PORT, struct.pack("!I", 1))], of.apply_actions(of.output(2)), xid=50)
        there = of.flow_mod([of.oxm(IN_PORT, struct.pack("!I", 2))], of.apply_actions(of.output(1)), xid=51)
        assert set(errors(red.answer(here + there))) == {51}            # Port 1 is on host1.
        before = own()
        site.ctl.vpcctl("delete", "slice", "blue/lab", "--wait=installed")
        assert own() < before                           # Polder's own went with it.
        room(52, red=10)
        assert taken(red, 100, 180) == 40 and status() == (52, 10)
    site.ctl.vpcctl("delete", "slice", "red/lab", "--wait=installed")
    assert status() == (0, 0)
