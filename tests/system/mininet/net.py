#!/usr/bin/python3
"""A Mininet network as a process: Open vSwitch switches s1…sN in a line or ring, and hosts; run by tests/system/mininet_site.py inside a namespace of the lab.

The first argument is a JSON object: {"switches": N, "ring": bool, "controller": port on 127.0.0.1, "hosts": [{"name", "switch" (from 1), "mac", "ip", "more": [ip]}]}.
It then answers one JSON object a line for each it reads:

    {"ping": [[host, ip], …], "count": n}           how many replies each got, all at the same time
    {"cable": [a, b], "up": bool}                   the cable between two switches (from 1) is cut or mended
    {"echoes": true}                                ICMP echo requests that each host has received so far
    {"run": host, "argv": […]}                      its exit status and output

It ends, and takes everything down, when its input does.
"""
import json
import re
import subprocess
import sys

from mininet.link import Link
from mininet.net import Mininet
from mininet.node import OVSSwitch, RemoteController


class Network:
    def __init__(self, plan):
        Mininet.inited = True           # Else it writes limits of the whole machine.
        self.net = Mininet(controller=None, switch=OVSSwitch, link=Link, autoSetMacs=False)
        self.net.addController("c0", controller=RemoteController, ip="127.0.0.1", port=plan["controller"])
        n = plan["switches"]
        switches = [self.net.addSwitch(f"s{i + 1}", dpid=f"{i + 1:016x}", datapath="user", protocols="OpenFlow13", failMode="secure") for i in range(n)]
        for i in range(n if plan["ring"] else n - 1):
            self.net.addLink(switches[i], switches[(i + 1) % n])
        self.ports, self.hosts = {}, {}
        for spec in plan["hosts"]:
            host = self.net.addHost(spec["name"], ip=None, mac=None)
            link = self.net.addLink(host, switches[spec["switch"] - 1])
            self.ports[spec["name"]] = link.intf2.name
            self.hosts[spec["name"]] = (host, spec)
        self.net.start()
        for host, spec in self.hosts.values():
            self.settle(host, spec)

    def inside(self, host, argv):
        return ["nsenter", "-t", str(host.pid), "--net", *argv]

    def settle(self, host, spec):
        """Addresses, and nothing on the wire that nobody asked for."""
        name = host.defaultIntf().name
        lines = [f"ip link set {name} down", f"ip link set {name} address {spec['mac']}", f"ip link set {name} up", f"ethtool -K {name} tx off"]
        lines += [f"ip addr add {ip}/24 dev {name}" for ip in (spec["ip"], *spec.get("more", ()))]
        quiet = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"
        subprocess.run(self.inside(host, ["sh", "-c", quiet + " && " + " && ".join(lines)]), check=True, stdout=subprocess.DEVNULL)

    def ping(self, pairs, count):
        running = [subprocess.Popen(self.inside(self.hosts[name][0], ["ping", "-n", "-q", "-c", str(count), "-i", "0.2", "-W", "1", ip]),
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for name, ip in pairs]
        outputs = [process.communicate()[0] for process in running]
        if any("DUP" in output or "duplicate" in output for output in outputs):
            raise RuntimeError("a ping was answered twice: " + "".join(outputs))
        return [int(found[1]) if (found := re.search(r"(\d+) received", output)) else 0 for output in outputs]

    def cable(self, a, b, up):
        self.net.configLinkStatus(f"s{a}", f"s{b}", "up" if up else "down")
        return True

    def echoes(self, _):
        counts = {}
        for name, (host, _) in self.hosts.items():
            text = subprocess.run(self.inside(host, ["cat", "/proc/net/snmp"]), check=True, capture_output=True, text=True).stdout
            names, values = [line.split() for line in text.splitlines() if line.startswith("Icmp:")]
            counts[name] = int(values[names.index("InEchos")])
        return counts

    def run(self, name, argv):
        done = subprocess.run(self.inside(self.hosts[name][0], argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        return {"rc": done.returncode, "output": done.stdout}


def answer(network, request):
    if "ping" in request:
        return network.ping(request["ping"], request.get("count", 1))
    if "cable" in request:
        return network.cable(*request["cable"], request["up"])
    if "echoes" in request:
        return network.echoes(request["echoes"])
    return network.run(request["run"], request["argv"])


def main():
    network = Network(json.loads(sys.argv[1]))
    try:
        print(json.dumps({"ports": network.ports}), flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(network, json.loads(line))), flush=True)
    finally:
        network.net.stop()


if __name__ == "__main__":
    main()
