"""Meters end to end: what ovs-ofctl says and reads back, and what then passes on a wire."""
import re
import time

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd

from . import frames

RATE, DEPTH, SECONDS = 200, 20, 2       # Packets a second, packets, and for how long five times the rate is sent.


def expect(what, holds):
    if not holds:
        raise LabError(what)


def dscp(frame):
    return frame[15] >> 2


def flood(tap, frame):
    """Sends five times the rate: (sent, heard, seconds until the last was sent, seconds until the last was heard)."""
    begun, sent, heard = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - begun) < SECONDS:
        if sent < elapsed * 5 * RATE:
            tap.send(frame)
            sent += 1
        else:
            time.sleep(0.001)
    last = elapsed
    while tap.receive(0.3) is not None:
        heard += 1
        last = time.monotonic() - begun
    return sent, heard, elapsed, last


def test_meters(lab):
    host, peer = lab.host("switch"), lab.host("peer")
    lab.link(host, "x1", peer, "x1")
    switch = Vswitchd(host, dpid=1, uplinks=["x1"])
    tap = frames.Tap(peer.namespace, "x1")
    af21 = frames.ethernet("02:00:00:00:00:02", "02:00:00:00:00:01", frames.IPV4,
                           frames.ipv4("10.0.0.1", "10.0.0.2", frames.UDP, frames.udp("10.0.0.1", "10.0.0.2", bytes(20))))
    af21 = af21[:15] + bytes([18 << 2]) + af21[16:]

    expect("a flow named a meter that is not there", "INVALID_METER" in switch.ofctl("add-flow", "in_port=1,actions=meter:1,IN_PORT", check=False))
    switch.ofctl("add-meter", f"meter=1,pktps,burst,stats,bands=type=drop,rate={RATE},burst_size={DEPTH}")
    switch.ofctl("add-meter", "meter=2,pktps,burst,bands=type=dscp_remark,rate=1,burst_size=1,prec_level=2")
    expect("a meter was added twice", "METER_EXISTS" in switch.ofctl("add-meter", "meter=1,kbps,bands=type=drop,rate=1", check=False))
    config = switch.ofctl("dump-meters")
    expect(config, re.search(rf"meter=1 pktps burst stats bands=\s*type=drop rate={RATE} burst_size={DEPTH}\s", config))
    expect(config, re.search(r"meter=2 pktps burst bands=\s*type=dscp_remark rate=1 burst_size=1 prec_level=2\s", config))
    switch.ofctl("add-flow", "in_port=1,actions=meter:1,IN_PORT")

    all_sent = all_heard = 0
    for _ in range(5):          # Never more than the meter gives; not less in the best of five tries, for this machine may stand still.
        sent, heard, elapsed, last = flood(tap, af21)
        all_sent, all_heard = all_sent + sent, all_heard + heard
        expect(f"{heard} of {sent} packets passed in {last:.2f} s", heard <= DEPTH + RATE * last + 2)
        if heard >= 0.9 * (DEPTH + RATE * elapsed):
            break
    expect(f"{heard} of {sent} packets passed in {elapsed:.2f} s", heard >= 0.9 * (DEPTH + RATE * elapsed))
    stats = switch.ofctl("meter-stats", "meter=1")
    numbers = re.search(r"flow_count:1 packet_in_count:(\d+) byte_in_count:(\d+) .*0: packet_count:(\d+) byte_count:(\d+)", stats, re.S)
    lost = all_sent - all_heard
    expect(stats, numbers and [int(n) for n in numbers.groups()] == [all_sent, all_sent * len(af21), lost, lost * len(af21)])
    expect(f"drops {switch.drops()}", switch.drops() == {("x1", "meter"): lost})

    # Modify in place: the entry meets the new rate; then the other kind of band.
    switch.ofctl("mod-meter", "meter=1,pktps,bands=type=drop,rate=1000000")
    for _ in range(100):
        tap.send(af21)
    expect("a meter that was raised still drops", all(tap.receive(1) for _ in range(100)))
    switch.ofctl("add-flow", "in_port=1,actions=meter:2,IN_PORT")
    for _ in range(3):
        tap.send(af21)
    marks = [dscp(tap.receive(1)) for _ in range(3)]
    expect(f"code points {marks}", marks == [18, 22, 22])
    switch.ofctl("del-meter", "meter=2")
    expect("an entry outlived its meter", "in_port" not in switch.ofctl("dump-flows"))
    tap.close()
