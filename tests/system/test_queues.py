"""Queues end to end: configured by vswctl, the configuration file and a controller, named by set_queue and enqueue, counted by OpenFlow, and measured on a wire."""
import re
import time

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd

from . import frames

MBPS, SECONDS = 4, 3


def expect(what, holds):
    if not holds:
        raise LabError(what)


def frame(port, size=1200):
    return frames.ethernet("02:00:00:00:00:02", "02:00:00:00:00:01", frames.IPV4,
                           frames.ipv4("10.0.0.1", "10.0.0.2", frames.UDP, frames.udp("10.0.0.1", "10.0.0.2", bytes(size), ports=(4000, port))))


def udp_port(data):
    return data[36] << 8 | data[37]


def bench(lab, **more):
    host, peer = lab.host("switch"), lab.host("peer")
    for name in ("x1", "x2"):
        lab.link(host, name, peer, name)
    switch = Vswitchd(host, dpid=1, uplinks=["x1", "x2"], **more)
    return switch, frames.Tap(peer.namespace, "x1"), frames.Tap(peer.namespace, "x2")


def flood(source, sink, ports, seconds):
    """Sends more than the port takes to each of the UDP ports, for so long, and waits for the last frame: (bytes that arrived, by port, and Mb/s until the last one)."""
    got, batch = dict.fromkeys(ports, 0), [frame(p) for p in ports]
    began = last = time.monotonic()
    end = began + seconds
    while time.monotonic() < end:
        for one in batch:
            source.send(one)
        while (data := sink.receive(0)) is not None:
            got[udp_port(data)] += len(data)
        time.sleep(0.001)
    while (data := sink.receive(0.5)) is not None:
        got[udp_port(data)] += len(data)
        last = time.monotonic()
    return got, sum(got.values()) * 8 / (last - began) / 1e6


def sent_bytes(switch):
    return {q["id"]: int(q["tx_bytes"]) for q in switch.json("ports", "x2")["ports"][0]["qos"]["queues"]}


def test_queues_share_a_port(lab):
    switch, a, b = bench(lab)
    for queue in (0, 1, 2):
        switch.ofctl("add-flow", f"in_port=1,udp,udp_dst={5000 + queue},actions=" + (f"set_queue:{queue}," if queue else "") + "output:2")
    a.send(frame(5001))
    expect("set_queue without queues lost a frame", b.receive(2) is not None)
    expect("there are queues", "0 queues" in switch.ofctl("queue-stats") and "BAD_QUEUE" in switch.ofctl("queue-stats", "2", "1", check=False))
    expect("port 9 has queues", "BAD_PORT" in switch.ofctl("queue-stats", "9", check=False))

    switch.vswctl("port-queues", "x2", f"rate_mbps={MBPS}", "queue=1,min_rate=600", "queue=2,min_rate=300,max_rate=900")
    expect("the port's speed", f"{MBPS} Mbps now" in switch.ofctl("dump-ports-desc", "2"))
    told = {1: 0, 2: 0}
    for _ in range(5):          # Never more than the port's rate; not less in the best of five tries, for this machine may stand still.
        got, rate = flood(a, b, (5001, 5002), SECONDS)
        expect(f"{rate:.2f} Mb/s went through a port of {MBPS}", rate < 1.1 * MBPS)
        before, told = told, sent_bytes(switch)
        if rate > 0.9 * MBPS:
            break
    expect(f"{rate:.2f} Mb/s went through a port of {MBPS}", rate > 0.9 * MBPS)
    drops = switch.drops()
    expect(f"drops: {drops}", drops.get(("x1", "queue-full"), 0) > 100)
    expect(f"queues sent {told}, before {before}, the wire had {got}", {i: told[i] - before[i] for i in told} == {1: got[5001], 2: got[5002]})


test_queues_share_a_port.seconds = 90


def measured(switch, source, ports, seconds=2):
    """Mb/s of each queue while frames for the UDP ports come faster than they go."""
    batch, before, began, end = [frame(p) for p in ports], None, 0.0, time.monotonic() + 1
    while time.monotonic() < end:
        for one in batch:
            source.send(one)
        time.sleep(0.001)
        if before is None and time.monotonic() > end - 0.2:     # By now they are full.
            before, began, end = sent_bytes(switch), time.monotonic(), time.monotonic() + seconds
    after, elapsed = sent_bytes(switch), time.monotonic() - began
    return {i: (after[i] - before[i]) * 8 / elapsed / 1e6 for i in after}


def agree(switch, source, ports, wanted):
    """The rates are as wanted (Mb/s by queue), within 10 % of the port; a busy machine has five tries, since neither we nor the switch may have run in time."""
    for _ in range(5):
        rates = measured(switch, source, ports)
        if all(abs(rates[i] - wanted[i]) < 0.1 * MBPS for i in wanted):
            return
    expect(f"rates {rates}, not {wanted}", False)


def test_shares_while_all_send(lab):
    """Minimum rates as shares, measured while every queue has frames; then a ceiling; then one alone."""
    switch, a, _ = bench(lab)
    switch.ofctl("add-flow", "in_port=1,udp,udp_dst=5001,actions=set_queue:1,output:2")
    switch.ofctl("add-flow", "in_port=1,udp,udp_dst=5002,actions=set_queue:2,output:2")
    switch.vswctl("port-queues", "x2", f"rate_mbps={MBPS}", "queue=1,min_rate=600", "queue=2,min_rate=200")
    agree(switch, a, (5001, 5002), {1: 0.75 * MBPS, 2: 0.25 * MBPS})
    switch.vswctl("port-queues", "x2", f"rate_mbps={MBPS}", "queue=1,min_rate=600", "queue=2,min_rate=200,max_rate=250")
    agree(switch, a, (5002,), {2: 0.25 * MBPS})
    agree(switch, a, (5001,), {1: MBPS})


test_shares_while_all_send.seconds = 90


def test_what_controllers_see(lab):
    """Descriptions and statistics in each version, 1.0's enqueue, and a switch that starts with queues."""
    switch, a, b = bench(lab)
    reply = switch.json("port-queues", "x2", "queue=7,min_rate=100", "queue=4294967294,max_rate=500")
    expect(f"port-queues: {reply}", reply == {})
    for version, command in (("OpenFlow10", "queue-get-config"), ("OpenFlow13", "queue-get-config"), ("OpenFlow14", "queue-get-config")):
        text = switch.ofctl(command, "2", version=version)
        expect(f"{version}: {text}", re.search(r"queue 7: min_rate:10(\.0)?%", text) and "queue 4294967294:" in text)
        expect(f"{version}: {text}", (re.search(r"queue 4294967294: max_rate:50(\.0)?%", text) is not None) == (version != "OpenFlow10"))
    switch.ofctl("add-flow", "in_port=1,actions=enqueue:2:7", version="OpenFlow10")
    expect("enqueue in 1.0", "enqueue:2:7" in switch.ofctl("dump-flows", version="OpenFlow10"))
    expect("enqueue in 1.3", "set_queue:7,output:2,pop_queue" in switch.ofctl("dump-flows").replace("output:\"x2\"", "output:2"))
    for _ in range(5):
        a.send(frame(5001))
    size = len(frame(5001))
    expect("frames through queue 7", all(b.receive(2) for _ in range(5)))
    for version in ("OpenFlow10", "OpenFlow13", "OpenFlow14"):
        text = switch.ofctl("queue-stats", "2", "7", version=version)
        expect(f"{version}: {text}", re.search(rf"port 2 queue 7: bytes={5 * size}, pkts=5, errors=0", text))
    expect("set_queue of all queues", "BAD_QUEUE" in switch.ofctl("add-flow", "actions=set_queue:4294967295,output:2", check=False))
    expect("metrics", f'polder_vswitch_queue_tx_bytes_total{{port="x2",ofport="2",queue="7"}} {5 * size}' in switch.vswctl("metrics").output)
    expect("vswctl queues", re.search(rf"x2\s+7\s+100\s+-\s+5\s+{5 * size}\s+0", switch.vswctl("queues").output))
    switch.vswctl("port-queues", "x2")
    expect("no queues any more", "0 queues" in switch.ofctl("queue-stats"))
    a.send(frame(5001))
    expect("a frame for a queue that is gone", b.receive(2) is not None)


def test_replaced_while_full(lab):
    """Frames that wait when the queues are replaced, or go, are sent and not lost."""
    switch, a, b = bench(lab)
    switch.ofctl("add-flow", "in_port=1,actions=set_queue:1,output:2")
    switch.vswctl("port-queues", "x2", "rate_mbps=1", "queue=1")
    for i in range(100):
        a.send(frame(6000 + i))
        time.sleep(0.001)
    time.sleep(0.3)
    switch.vswctl("port-queues", "x2", "rate_mbps=2", "queue=1,min_rate=5")
    time.sleep(0.3)
    switch.vswctl("port-queues", "x2")
    seen = []
    while (data := b.receive(1)) is not None:
        seen.append(udp_port(data))
    expect(f"{len(seen)} frames of 100: {seen}", sorted(seen) == list(range(6000, 6100)))
    switch.vswctl("port-queues", "x2", "rate_mbps=1", "queue=1")
    for i in range(100):
        a.send(frame(6000 + i))
    switch.vswctl("port-del", "x2")                             # With frames in its queues.
    expect("the switch lives", switch.json("show")["ports"] == 1)
