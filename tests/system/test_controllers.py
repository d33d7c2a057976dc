"""Real controllers drive vswitchd: os-ken programs (switch, router, load balancer) and ovs-testcontroller, with real traffic between namespaces."""
import os

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 6653


class Site:
    """A switch with ports p1 to pN, at each a namespace with an address (its number in 10.0.0.0/24), and a controller beside the switch."""

    def __init__(self, lab, n, extra=None, address="10.0.0.{0}/24", queues=None):
        self.lab, self.host = lab, lab.host("switch")
        self.boxes = [lab.host(f"box{i}") for i in range(1, n + 1)]
        for i, box in enumerate(self.boxes, 1):
            lab.link(self.host, f"p{i}", box, "eth0")
            box.run(["ip", "addr", "add", address.format(i), "dev", "eth0"])
            box.run(["ip", "link", "set", "eth0", "arp", "on"])
            box.run(["ethtool", "-K", "eth0", "tx", "off"], check=False)
        self.host.run(["ip", "link", "set", "lo", "up"])
        ports = [f"p{i}" for i in range(1, n + 1)]
        self.switch = Vswitchd(self.host, 1, uplinks=ports, controllers=[f"tcp:127.0.0.1:{PORT}"], extra=extra)
        for port in ports if queues else ():
            self.switch.vswctl("port-queues", port, *[f"queue={q['id']},min_rate={q['min_rate']}" for q in queues["queues"]])

    def osken(self, name, **environment):
        return self.host.spawn("osken", ["osken-manager", os.path.join(HERE, "controllers", name + ".py"), "--ofp-listen-host", "127.0.0.1",
                                         "--ofp-tcp-listen-port", str(PORT)], env=environment)

    def ping(self, a, b):
        """From box a to an address, or to box b's in 10.0.0.0/24."""
        return self.boxes[a - 1].run(["ping", "-c", "1", "-W", "1", f"10.0.0.{b}" if isinstance(b, int) else b], check=False).rc == 0


def learning(lab, version):
    site = Site(lab, 3)
    if site.ping(1, 2):
        raise LabError("a ping got through before there was a controller (fail-secure)")
    controller = site.osken("learning", LEARNING_VERSION=version)
    lab.wait_for("a ping through the learning switch", lambda: site.ping(1, 2), 30, of=[controller])
    for a in (1, 2, 3):
        for b in (1, 2, 3):
            if a != b and not (site.ping(a, b) or site.ping(a, b)):
                raise LabError(f"box{a} does not reach box{b}")
    learned = [line for line in site.switch.ofctl("dump-flows").splitlines() if "priority=1," in line and "dl_dst=" in line]
    if len(learned) < 6:
        raise LabError(f"the controller's entries are not there: {learned}")


def test_learning_switch_10(lab):
    learning(lab, "1.0")


def test_learning_switch_13(lab):
    learning(lab, "1.3")


def test_learning_switch_14(lab):
    learning(lab, "1.4")


# --- A router ---

def test_router(lab):
    """Four tables: routing, next hops found by ARP, the TTL, and what the router answers itself."""
    site = Site(lab, 3, address="10.0.{0}.2/24")
    for i, box in enumerate(site.boxes, 1):
        box.run(["ip", "route", "add", "default", "via", f"10.0.{i}.1"])
    controller = site.osken("router")
    lab.wait_for("a ping through the router", lambda: site.ping(1, "10.0.2.2"), 30, of=[controller])
    for a in (1, 2, 3):
        for b in (1, 2, 3):
            output = site.boxes[a - 1].run(["ping", "-c", "3", "-i", "0.2", "-W", "2", f"10.0.{b}.2"], check=False).output
            if " 0% packet loss" not in output:
                raise LabError(f"box{a} to box{b}: {output}")
            if a != b and output.count("ttl=63") != 3:          # Once on the way there, once on the way back: each sees the other's 64 less one.
                raise LabError(f"the TTL is not decremented once: {output}")
        if not site.ping(a, f"10.0.{a}.1") or not site.ping(a, "10.0.3.1"):
            raise LabError(f"box{a} does not reach the router's own addresses")
    output = site.boxes[0].run(["ping", "-c", "1", "-t", "1", "-W", "2", "10.0.3.2"], check=False).output
    if "From 10.0.1.1" not in output or "Time to live exceeded" not in output:
        raise LabError(f"an expired TTL: {output}")
    output = site.boxes[0].run(["ping", "-c", "1", "-W", "2", "10.0.9.9"], check=False).output
    if "From 10.0.1.1" not in output or "Destination Host Unreachable" not in output:
        raise LabError(f"no route: {output}")
    # What is known is routed by the switch alone.
    controller.kill()
    if not site.ping(1, "10.0.3.2"):
        raise LabError("without its controller the switch no longer routes")


# --- A load balancer ---

SERVER = """
import socket, sys
s = socket.create_server(("", 80))
while True:
    c, _ = s.accept()
    c.recv(100)
    c.sendall(sys.argv[1].encode() * 3000)
    c.close()
"""
CLIENT = """
import collections, socket, sys
seen = collections.Counter()
for _ in range(int(sys.argv[1])):
    c = socket.create_connection(("10.0.0.100", 80), timeout=10)
    c.sendall(b"who?")
    data = b""
    while part := c.recv(65536):
        data += part
    assert len(data) == 3000 and len(set(data)) == 1, data[:100]
    seen[data[:1].decode()] += 1
print(" ".join(f"{name}={n}" for name, n in sorted(seen.items())))
"""


def test_load_balancer(lab):
    """A select group: every connection ends where it began, servers have their weights, and a server that is down has none."""
    site = Site(lab, 4)
    for i, box in enumerate(site.boxes, 1):
        box.run(["ip", "link", "set", "eth0", "address", f"02:00:00:00:00:{i:02x}"])
    servers = [site.boxes[i - 1].spawn("server", ["python3", "-c", SERVER, str(i)]) for i in (2, 3, 4)]
    controller = site.osken("balancer")
    connect = lambda n: site.boxes[0].run(["python3", "-c", CLIENT, str(n)], check=False, timeout=60)
    lab.wait_for("a connection to the service", lambda: connect(1).rc == 0, 40, of=[controller, *servers])

    def shares(n):
        result = connect(n)
        if result.rc:
            raise LabError(f"a connection broke: {result.errors}")
        return {int(k): int(v) for k, v in (word.split("=") for word in result.output.split())}

    seen = shares(400)
    # Ports of clients are hashed, so shares vary like 400 draws: four standard deviations.
    for server, expected, deviation in ((2, 100, 9), (3, 100, 9), (4, 200, 10)):
        if abs(seen.get(server, 0) - expected) > 4 * deviation:
            raise LabError(f"400 connections went to {seen}, the weights are 1, 1 and 2")
    site.host.run(["ip", "link", "set", "p4", "down"])
    lab.wait_for("the group without server 4", lambda: "output:\"p4\"" not in site.switch.ofctl("dump-groups") and "output:4" not in site.switch.ofctl("dump-groups"), 10)
    seen = shares(60)
    if set(seen) != {2, 3}:
        raise LabError(f"with server 4 down connections went to {seen}")
    site.host.run(["ip", "link", "set", "p4", "up"])
    lab.wait_for("server 4 again", lambda: 4 in shares(20), 10)


# --- Open vSwitch's own test controller ---

def testcontroller(lab, *options, **more):
    site = Site(lab, 3, **more)
    controller = site.host.spawn("ovs-testcontroller", ["ovs-testcontroller", "--unixctl=" + site.host.path("testcontroller.ctl"), "--pidfile=" + site.host.path("testcontroller.pid"),
                                                        "--log-file=/dev/null", *options, f"ptcp:{PORT}:127.0.0.1"], env={"OVS_RUNDIR": site.host.path("")})
    lab.wait_for("a ping through ovs-testcontroller's switch", lambda: site.ping(1, 2), 30, of=[controller])
    for a in (1, 2, 3):
        for b in (1, 2, 3):
            if a != b and not (site.ping(a, b) or site.ping(a, b)):
                raise LabError(f"box{a} does not reach box{b}")
    return site


def test_ovs_testcontroller(lab):
    """In OpenFlow 1.0: one exact entry per conversation, with an idle timeout."""
    site = testcontroller(lab, "-O", "OpenFlow10", "--max-idle=2")
    if "idle_timeout=2" not in site.switch.ofctl("dump-flows", version="OpenFlow10"):
        raise LabError("no entry of the controller's")
    lab.wait_for("entries to time out", lambda: "idle_timeout=2" not in site.switch.ofctl("dump-flows", version="OpenFlow10"), 10)
    if not site.ping(1, 3):
        raise LabError("no ping after the entries have gone")


def test_ovs_testcontroller_13(lab):
    testcontroller(lab, "-O", "OpenFlow13", "-w")


def test_ovs_testcontroller_hub(lab):
    """Every packet goes through the controller and is flooded."""
    site = testcontroller(lab, "-O", "OpenFlow13", "--hub", "--noflow")
    if "dl_src" in site.switch.ofctl("dump-flows"):
        raise LabError("a hub without entries made one")


def test_ovs_testcontroller_queue(lab):
    """It sends by enqueue; the switch has the queue."""
    site = testcontroller(lab, "-O", "OpenFlow10", "--queue=5", "--max-idle=permanent", queues={"queues": [{"id": 5, "min_rate": 100}]})
    for _ in range(3):
        site.ping(1, 2)
    if not any("enqueue" in line and int(line.split("n_packets=")[1].split(",")[0]) for line in site.switch.ofctl("dump-flows", version="OpenFlow10").splitlines() if "n_packets" in line):
        raise LabError("no entry with enqueue was hit: " + site.switch.ofctl("dump-flows", version="OpenFlow10"))
    sent = [q["tx_packets"] for p in site.switch.json("ports")["ports"] for q in p["qos"]["queues"]]
    if not all(int(n) for n in sent):
        raise LabError(f"frames through queue 5 of each port: {sent}")
