"""Open vSwitch as an edge of a slice: devices d1, d2… that write what they send into files, and what the benches ask of vswitchd."""
import os

from utilities.lab.cleanup import LabError
from utilities.lab.ovs import Ovs


class OvsEdge:
    def __init__(self, host, dpid, controller, numbers, uplinks=()):
        self.host, self.name = host, host.name
        self.ovs = Ovs(host, options=["--enable-dummy"])
        self.ovs.vsctl("set", "Open_vSwitch", ".", "other_config:flow-limit=0", "other_config:vlan-limit=0")
        self.ovs.bridge("br0", dpid=dpid)
        for n in numbers:
            self.ovs.vsctl("add-port", "br0", f"d{n}", "--", "set", "interface", f"d{n}", "type=dummy", f"ofport_request={n}",
                           f"options:tx_pcap={host.path(f'ovs{n}.pcap')}")
        for name in uplinks:
            self.ovs.port("br0", name)
        # Open vSwitch connects to no unix socket but its own folder's BRIDGE.controller.
        os.symlink(controller.removeprefix("unix:"), f"{self.ovs.dir}/br0.controller")
        self.ovs.vsctl("set-controller", "br0", f"unix:{self.ovs.dir}/br0.controller", "--", "set", "controller", "br0", "connection-mode=out-of-band", "inactivity_probe=0")

    def drops(self):
        return "(not told by Open vSwitch)"


def nothing_refused(ctl):
    """What a tenant may not do controllerd refuses by itself: no edge has refused anything, or held something else than controllerd thought."""
    if found := {name: n for name, n in ctl.metrics().items() if name.startswith(("polder_switch_errors_total", "polder_switch_repairs_total")) and n}:
        raise LabError(f"edges have refused rules, or held others: {found}")


def edge_ports(edge, host, numbers):
    """The files that devices of these numbers write."""
    return [host.path(f"ovs{n}.pcap" if isinstance(edge, OvsEdge) else f"vswitchd{n}.pcap") for n in numbers]


def edge_trace(edge, number, frame):
    """The edge's own trace of a frame that comes in by this device."""
    if isinstance(edge, OvsEdge):
        return edge.ovs.appctl("ofproto/trace", "br0", f"in_port=d{number}", frame.hex())
    return edge.vswctl("trace", f"in_port=d{number}", "--packet", frame.hex(), check=False).output
