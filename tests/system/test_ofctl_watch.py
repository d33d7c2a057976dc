"""ovs-ofctl as a client of vswitchd: flow monitors, eviction and vacancy events, what bundles may hold."""
import re
import socket
import struct

from utilities.lab.daemons import Vswitchd

from . import frames
from .robust import grown, rss_kb
from .test_ofctl import RINGS, VERSIONS, bundle, expect


def spawn_monitor(host, switch, version, *args):
    return host.spawn(f"monitor-{version}-{args[0]}".replace(":", "-"), ["ovs-ofctl", "-O", version, "monitor", f"unix:{switch.openflow_socket}", *args],
                      env={"OVS_RUNDIR": host.path("")})


def test_monitor(lab):
    """What is there, then what others add, modify and delete, in each version's form of the flow monitor."""
    host = lab.host("switch")
    switch = Vswitchd(host, 1, ports=RINGS)
    for version in VERSIONS:
        switch.ofctl("del-flows", version=version)
        switch.ofctl("add-flow", "cookie=0x11,priority=5,ip,actions=output:1", version=version)
        # In 1.4 what ovs-ofctl calls "own" is OFPFMF_ONLY_OWN: "don't include other controllers".
        watch = spawn_monitor(host, switch, version, "watch:!own")
        narrow = spawn_monitor(host, switch, version, "watch:!own,!initial,!actions,udp,out_port=2")

        def heard(monitor, *words):
            lab.wait_for(f"{version}: {words}", lambda: any(all(w in line for w in words) for line in monitor.log_text().splitlines()), 10, of=[monitor])

        heard(watch, "event=INITIAL" if version == "OpenFlow14" else "event=ADDED", "cookie=0x11", "actions=output:1")
        lab.wait_for("the narrow one is there", lambda: sum(c["monitors"] for c in switch.json("show")["controllers"]) == 2, 10, of=[narrow])
        switch.ofctl("add-flow", "cookie=0x12,priority=6,udp,tp_dst=53,idle_timeout=60,actions=output:2", version=version)
        heard(watch, "event=ADDED", "cookie=0x12", "idle_timeout=60", "actions=output:2")
        heard(narrow, "event=ADDED", "cookie=0x12")
        switch.ofctl("mod-flows", "udp,actions=output:1", version=version)
        heard(watch, "event=MODIFIED", "cookie=0x12", "actions=output:1")
        heard(narrow, "event=MODIFIED", "cookie=0x12")         # It left by port 2 before.
        switch.ofctl("del-flows", "udp", version=version)
        heard(watch, "event=DELETED", "reason=delete", "cookie=0x12")
        switch.ofctl("add-flow", "cookie=0x13,udp,hard_timeout=1,actions=output:2", version=version)
        heard(watch, "event=DELETED", "reason=hard", "cookie=0x13")
        heard(narrow, "event=DELETED", "reason=hard", "cookie=0x13")
        expect(narrow.log_text(), "actions=" not in narrow.log_text() and "0x11" not in narrow.log_text() and narrow.log_text().count("cookie=0x12") == 2)
        for monitor in (watch, narrow):
            monitor.stop()
            lab.forget(monitor)


def test_tables(lab):
    """A table's limit, eviction and vacancy events, as OpenFlow 1.4 configures them."""
    host = lab.host("switch")
    switch = Vswitchd(host, 1, ports=RINGS, extra={"openflow": {"limits": {"table_flows": 4}}})
    of14 = "OpenFlow14"

    def heard(monitor, *words):
        lab.wait_for(str(words), lambda: all(w in monitor.log_text() for w in words), 10, of=[monitor])

    watch = spawn_monitor(host, switch, of14, "watch:!own")
    heard(watch, "OFPST_FLOW_MONITOR reply")
    switch.ofctl("mod-table", "0", "vacancy:30,60", version=of14)
    switch.ofctl("mod-table", "0", "evict", version=of14)       # ovs-ofctl asks for the table's description, and keeps the rest of it.
    desc = switch.ofctl("dump-table-desc", version=of14)
    expect(desc, re.search(r"table 0:\s+eviction=on eviction_flags=IMPORTANCE\|LIFETIME\s+vacancy=on vacancy_down=30% vacancy_up=60% vacancy=100%", desc))
    for port, importance in ((1, 7), (2, 5), (3, 6)):
        switch.ofctl("add-flow", f"send_flow_rem,importance={importance},in_port={port},actions=output:1", version=of14)
    heard(watch, "OFPT_TABLE_STATUS (OF1.4)", "reason=VACANCY_DOWN", "vacancy=25%")
    switch.ofctl("add-flow", "importance=6,in_port=4,actions=output:1", version=of14)
    full = switch.ofctl("add-flow", "importance=4,in_port=5,actions=output:1", version=of14, check=False)
    expect(full, "OFPFMFC_TABLE_FULL" in full)
    switch.ofctl("add-flow", "importance=5,in_port=5,actions=output:1", version=of14)
    heard(watch, "OFPT_FLOW_REMOVED (OF1.4)", "in_port=2 reason=eviction", "event=DELETED reason=eviction")
    metrics = switch.vswctl("metrics").output
    expect(metrics, "polder_vswitch_flow_evictions_total 1\n" in metrics and "polder_vswitch_flow_monitors 1\n" in metrics)
    left = switch.ofctl("dump-flows", version=of14)
    expect(left, "in_port=5" in left and ("in_port=2" not in left and "in_port=r2" not in left))
    switch.ofctl("del-flows", version=of14)
    heard(watch, "reason=VACANCY_UP", "vacancy=100%")
    switch.ofctl("mod-table", "ALL", "noevict", version=of14)
    for port in range(1, 5):
        switch.ofctl("add-flow", f"in_port={port},actions=output:1")
    expect("eviction is off", "OFPFMFC_TABLE_FULL" in switch.ofctl("add-flow", "in_port=5,actions=output:1", check=False))
    expect("another table has room", "OFPFMFC" not in switch.ofctl("add-flow", "table=1,in_port=5,actions=output:1", check=False))
    expect("max_entries", "max_entries=4" in switch.ofctl("dump-table-features"))


def test_reasons(lab):
    """Why a packet-in comes, as OpenFlow 1.4 tells it and as earlier versions do; and packet-outs in bundles."""
    host, box = lab.host("switch"), lab.host("box")
    lab.link(host, "p1", box, "eth0")
    switch = Vswitchd(host, 1, uplinks=["p1"])
    tap = frames.Tap(box.namespace, "eth0")
    switch.ofctl("add-group", "group_id=1,type=all,bucket=controller")
    for kind, actions in ((0, "controller"), (1, "write_actions(controller)"), (2, "group:1")):
        switch.ofctl("add-flow", f"table=0,priority=5,dl_type=0x{frames.EXPERIMENT:04x},dl_dst=02:00:00:00:00:0{kind},actions={actions}")
    switch.ofctl("add-flow", "table=0,priority=0,actions=controller")
    out = "02000000000902000000000188b5" + "00" * 46
    for version in ("OpenFlow14", "OpenFlow13"):
        of14 = version == "OpenFlow14"
        monitor = spawn_monitor(host, switch, version, "65534")
        reasons = ["action", "action_set" if of14 else "action", "group" if of14 else "action", "no_match"]
        for kind, reason in enumerate(reasons):
            frame = frames.ethernet(f"02:00:00:00:00:0{kind}", "02:00:00:00:00:01", frames.EXPERIMENT, b"hello", pad=60)

            def heard():
                tap.send(frame)
                found = re.findall(rf"\(via ([a-z_]+)\).*\n.*dl_dst=02:00:00:00:00:0{kind}", monitor.log_text())
                expect(found, all(via == reason for via in found))
                return found

            lab.wait_for(f"{version}: a packet-in for {reason}", heard, 10, of=[monitor])
        bundle(switch, host, version, [f"packet-out in_port=controller,packet={out},actions=controller"], command="bundle")
        lab.wait_for("the packet-out", lambda: re.search(r"\(via " + ("packet_out" if of14 else "action") + r"\).*\n.*dl_dst=02:00:00:00:00:09",
                                                        monitor.log_text()), 10, of=[monitor])
        monitor.stop()
        lab.forget(monitor)


def raw_peer(switch):
    """A controller of OpenFlow 1.4 that is up, with a small receive buffer."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(20)
    peer.connect(switch.openflow_socket)
    peer.sendall(struct.pack("!BBHI", 5, 0, 8, 1))
    return peer


def messages(peer, enough):
    """The messages that come until enough(message) holds."""
    data, got = b"", []
    while not got or not enough(got[-1]):
        more = peer.recv(1 << 20)
        expect("the switch closed the connection", more)
        data += more
        while len(data) >= 8 and len(data) >= (size := struct.unpack("!H", data[2:4])[0]):
            got.append(data[:size])
            data = data[size:]
    return got


def test_unread(lab):
    """A controller that does not read: its flow monitor is paused and catches up; flow-removed for it are bounded by limits.unread_mb."""
    host = lab.host("switch")
    switch = Vswitchd(host, 1, ports=RINGS, extra={"log_level": "debug", "openflow": {"limits": {"unread_mb": 4}}})
    many = host.path("many")
    with open(many, "w", encoding="ascii") as file:
        file.writelines(f"cookie={i},priority={i % 60000 + 1},dl_vlan={i % 4000},actions=output:1\n" for i in range(12000))
    peer = raw_peer(switch)
    # Wants no flow-removed (a property of masks, section 7.3.10); a monitor of everything.
    peer.sendall(struct.pack("!BBHIHHI", 5, 28, 16, 2, 5, 8, 0))
    peer.sendall(struct.pack("!BBHIHH4xIIIHBBHH4x", 5, 18, 40, 3, 16, 0, 1, 0xffffffff, 0xffffffff, 0x1f, 255, 0, 1, 4))
    messages(peer, lambda m: m[1] == 19)

    def churn(rounds):
        for _ in range(rounds):
            for command in (("add-flows", many), ("del-flows",)):
                try:
                    peer.sendall(struct.pack("!BBHI", 5, 2, 8, 0))      # It is alive: an echo request.
                except BrokenPipeError:
                    return
                switch.ofctl(*command)

    churn(1)                                            # What vswitchd needs for its entries is not what is asked here.
    before = rss_kb(switch)
    churn(4)
    switch.ofctl("add-flow", "cookie=0x77,tcp,actions=output:1")
    grown(switch, before, 16, "a monitor that is not read")
    unread = [c["unread_bytes"] for c in switch.json("show")["controllers"] if c["monitors"]]
    expect(unread, len(unread) == 1 and 1 << 19 < unread[0] < 4 << 20)
    got = messages(peer, lambda m: m[1] == 19 and m[16:20] == bytes([0, 8, 0, 6]))              # RESUMED
    expect("paused once", sum(m[16:20] == bytes([0, 8, 0, 5]) for m in got) == 1)
    expect("it caught up", any(struct.pack("!Q", 0x77) in m for m in got[-3:]))
    peer.close()

    peer = raw_peer(switch)                             # This one hears of every entry that is removed.
    lab.wait_for("it is up", lambda: sum(c["state"] == "up" for c in switch.json("show")["controllers"]) == 1, 10)
    with open(many, "w", encoding="ascii") as file:
        file.writelines(f"send_flow_rem,priority={i % 60000 + 1},dl_vlan={i % 4000},actions=output:1\n" for i in range(12000))
    before = rss_kb(switch)
    churn(8)
    lab.wait_for("it is let go", lambda: not switch.json("show")["controllers"], 10)
    grown(switch, before, 24, "flow-removed that are not read")
    expect("not for another reason", "down: the peer does not read what is sent to it" in switch.process.log_text())
    peer.close()


test_unread.seconds = 180
