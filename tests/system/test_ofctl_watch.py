"""ovs-ofctl as a client of vswitchd: flow monitors, eviction and vacancy events, what bundles may hold."""
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
