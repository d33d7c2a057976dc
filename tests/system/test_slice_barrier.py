"""A barrier is answered when every edge of the virtual switch has confirmed, and nobody waits for an edge that is not its own."""
import struct
import threading
import time

from tests.system import robust as of
from tests.system.slices import SliceSite
from tests.system.slow import SlowRelay
from tests.system.test_slice_topology import call
from utilities.lab.daemons import Vswitchd

DELAY_S = 0.6                   # Each way, of host2's connection.
ETH_DST = 3


class SlowSite(SliceSite):
    """host2 is connected by a relay."""

    def __init__(self, lab):
        super().__init__(lab, fabric="ovs")
        self.relay = SlowRelay(lab.dir + "/slow.sock", self.ctl.openflow.removeprefix("unix:"))

    def start_edge(self, i):
        target = f"unix:{self.relay.path}" if i else self.ctl.openflow
        return Vswitchd(self.hosts[i], dpid=i + 1, uplinks=self.devices(self.hosts[i]), controllers=[target])


def flow(n, **kwargs):
    return of.flow_mod([of.oxm(ETH_DST, struct.pack("!HI", 0x0200, n))], of.apply_actions(of.output(1)), cookie=n, **kwargs)


def has(edge, n):
    return f"dl_dst=02:00:00:00:00:{n:02x}" in edge.ofctl("dump-flows", "table=16")


def seconds(peer, data):
    begun = time.monotonic()
    assert not peer.answer(data)
    return time.monotonic() - begun


def test_slow_edge(lab):
    """The change is on every edge when its barrier is answered; others' barriers, and the same tenant's on another switch, are answered meanwhile."""
    site = SlowSite(lab)
    shapes = {"red": [("s", [0, 1], "ab", 7001), ("s1", [0], "c", 7002)], "blue": [("s", [0], "a", 7003)], "green": [("s", [1], "b", 7004)]}
    for tenant, switches in shapes.items():
        for name, host in (("a", 0), ("b", 1), ("c", 0)):
            if any(name in ports for _, _, ports, _ in switches):
                site.endpoint(tenant, name, host, f"52:54:00:00:00:0{ord(name) - 0x60}", f"10.0.0.{ord(name) - 0x60}")
        site.slice(tenant, [site.switch(name, hosts, {port: n for n, port in enumerate(ports, 1)}, listen=[f"ptcp:{port}:127.0.0.1"])
                            for name, hosts, ports, port in switches])
    with site.relay:
        site.start()
        with call(site, 7001) as big, call(site, 7002) as small, call(site, 7003) as blue, call(site, 7004) as green:
            assert seconds(big, flow(1)) < DELAY_S and has(site.edges[0], 1) and has(site.edges[1], 1)
            site.relay.delay_s = DELAY_S
            for n, command in ((2, {}), (2, {"command": 4})):           # Added, and deleted.
                took = []
                thread = threading.Thread(target=lambda data=flow(n, **command): took.append(seconds(big, data)))
                thread.start()
                others = []
                while len(others) < 10:
                    others += [seconds(blue, flow(len(others) + 1)), seconds(small, flow(len(others) + 1))]
                assert not took and sorted(others)[len(others) // 2] < DELAY_S / 4, (took, others)
                assert has(site.edges[0], n) == (not command) and has(site.edges[1], n) == bool(command)        # On its way.
                thread.join(20)
                assert took and took[0] >= 2 * DELAY_S, took
                assert has(site.edges[0], n) == has(site.edges[1], n) == (not command)
            assert seconds(green, flow(3)) >= 2 * DELAY_S               # The slow edge alone.
            assert seconds(big, b"") < 4 * DELAY_S and seconds(blue, b"") < DELAY_S / 4
            # An edge that has gone keeps nobody waiting: it cannot forward either.
            site.edges[1].stop()
            assert seconds(big, flow(4)) < 4 * DELAY_S + 5 and has(site.edges[0], 4)
