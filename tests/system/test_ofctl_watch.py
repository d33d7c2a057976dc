"""ovs-ofctl as a client of vswitchd: flow monitors, eviction and vacancy events, what bundles may hold."""
import re

from utilities.lab.daemons import Vswitchd

from .test_ofctl import RINGS, VERSIONS, expect


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
        lab.wait_for("the narrow one is there", lambda: sum(c["state"] == "up" for c in switch.json("show")["controllers"]) >= 2, 10, of=[narrow])
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
