"""A restart of controllerd cuts no tenant's traffic, although nothing but the tenant's own controller knows its entries."""
import re
import signal
import time

from tests.system import isolation
from tests.system.slice_site import SliceSite

HOLD_S = 25
PROGRAM = [("add-group", "group_id=1,type=all,bucket=output:2"), ("add-flow", "priority=10,in_port=1,actions=group:1"),
           ("add-flow", "priority=10,in_port=2,actions=output:1")]


def tables(site):
    """The rules of red's tables on each edge (controller/edge_tables.h): pairs of addresses that were interned on the way do not count."""
    return [[line for line in site.physical(edge, "red") if 16 <= int((re.search(r"table=(\d+)", line) or [0, 0])[1]) < 32] for edge in site.edges]


def test_kill_of_controllerd(lab):
    site = SliceSite(lab, fabric="ovs", ctl_extra={"slices": {"hold_s": HOLD_S}})
    a = site.endpoint("red", "a", 0, "52:54:00:00:00:01", "10.0.0.11")
    b = site.endpoint("red", "b", 1, "52:54:00:00:00:02", "10.0.0.12")
    site.start()
    for command in PROGRAM:
        site.ofctl("red", *command)
    site.ofctl("red", "add-flow", "priority=5,dl_type=0x88b5,actions=drop")
    a.configure()
    b.configure()
    a.pings_all([b])
    site.wait_synced()
    before = tables(site)
    assert all(len(rules) > 2 for rules in before), before

    def has_stale():
        return any("0x88b5" in line for edge in site.edges for line in site.physical(edge, "red"))
    assert has_stale()
    lasting = a.box.spawn("lasting-ping", ["ping", "-i", "0.05", "-W", "1", "-w", "120", b.ipv4])
    site.ctl.stop(signal.SIGKILL)
    time.sleep(1)
    site.ctl.start()
    started = time.monotonic()
    site.wait_links()
    site.wait_synced()
    assert tables(site) == before, (before, tables(site))
    assert not site.flows("red")

    # The controller comes back, and writes all but one.
    for command in PROGRAM:
        site.ofctl("red", *command)
    assert has_stale()
    lab.wait_for("what the controller has not written again to go", lambda: not has_stale(), HOLD_S + 15)
    assert time.monotonic() - started > HOLD_S - 5
    time.sleep(1)
    lasting.stop(signum=signal.SIGINT)
    lab.forget(lasting)
    answers = [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", lasting.log_text())]
    assert len(answers) > 100 and answers == list(range(1, len(answers) + 1)), lasting.log_tail()
    assert len(site.flows("red")) == 2
    site.wait_synced()
    isolation.check(site.ctl, site.edge_tools())
    a.pings_all([b])


test_kill_of_controllerd.seconds = 120
