"""Open vSwitch as an edge: a managed network's answers to ARP and neighbour discovery come from its tables, too."""
import json

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd
from utilities.lab.ovs import Ovs


def test_resolution(lab):
    host = lab.host("edge")
    ovs = Ovs(host)
    ctl = Controllerd(lab.host("control"))
    ovs.bridge("br0", dpid=1, controller=ctl.openflow)
    boxes = {}
    for i, name in enumerate("ab", 1):
        box = boxes[name] = lab.host(name)
        lab.link(host, f"to-{name}", box, "eth0")
        ovs.port("br0", f"to-{name}", ofport=i)
        box.run(["ip", "link", "set", "eth0", "address", f"52:54:00:00:00:0{i}"])
        box.run(["ethtool", "-K", "eth0", "tx", "off"], check=False)
        box.run(["sh", "-c", "cd /proc/sys/net/ipv6/conf/eth0 && echo 0 > accept_dad && echo 0 > disable_ipv6"])
        box.run(["ip", "link", "set", "eth0", "arp", "on"])
        box.run(["ip", "addr", "add", f"10.0.0.{i}/24", "dev", "eth0"])
        box.run(["ip", "addr", "add", f"fd00::{i}/64", "dev", "eth0"])
    ports = [{"name": name, "mac": f"52:54:00:00:00:0{i}", "ips": [f"10.0.0.{i}", f"fd00::{i}"], "edge": "e1", "ofport_of": f"to-{name}"}
             for i, name in enumerate("ab", 1)]
    path = lab.dir + "/apply.yaml"
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"edges": [{"name": "e1", "datapath_id": f"{1:016x}"}], "tenants": [{"name": "red"}], "vpcs": [{
            "name": "main", "tenant": "red", "networks": [{"name": "web", "subnet": "10.0.0.0/24", "subnet6": "fd00::/64", "ports": ports}]}]}, file)
    ctl.vpcctl("apply", "-f", path, "--wait=installed", "--timeout", "30s")         # Not one rule refused.
    for ip in ("10.0.0.2", "fd00::2"):
        if not any(boxes["a"].run(["ping", "-c", "1", "-W", "1", ip], check=False).rc == 0 for _ in range(5)):
            raise LabError(f"a does not reach {ip}\n{ovs.ofctl('dump-flows', 'br0')}")
    neighbour = boxes["a"].run(["ip", "-6", "neigh", "show", "fd00::2"]).output
    if "52:54:00:00:00:02" not in neighbour:
        raise LabError(f"the advertisement was not understood: {neighbour}")
