"""Real controllers drive vswitchd: os-ken programs in every version, with pings between namespaces."""
import os

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 6653


class Site:
    """A switch with ports p1 to pN, at each a namespace with an address in 10.0.0.0/24, and a controller beside the switch."""

    def __init__(self, lab, n, extra=None):
        self.lab, self.host = lab, lab.host("switch")
        self.boxes = [lab.host(f"box{i}") for i in range(1, n + 1)]
        for i, box in enumerate(self.boxes, 1):
            lab.link(self.host, f"p{i}", box, "eth0")
            box.run(["ip", "addr", "add", f"10.0.0.{i}/24", "dev", "eth0"])
            box.run(["ip", "link", "set", "eth0", "arp", "on"])
            box.run(["ethtool", "-K", "eth0", "tx", "off"], check=False)
        self.host.run(["ip", "link", "set", "lo", "up"])
        self.switch = Vswitchd(self.host, 1, uplinks=[f"p{i}" for i in range(1, n + 1)], controllers=[f"tcp:127.0.0.1:{PORT}"], extra=extra)

    def osken(self, name, **environment):
        return self.host.spawn("osken", ["osken-manager", os.path.join(HERE, "controllers", name + ".py"), "--ofp-listen-host", "127.0.0.1",
                                         "--ofp-tcp-listen-port", str(PORT)], env=environment)

    def ping(self, a, b):
        return self.boxes[a - 1].run(["ping", "-c", "1", "-W", "1", f"10.0.0.{b}"], check=False).rc == 0


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
