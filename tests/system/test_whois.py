"""vpcctl whois for every kind of provider address, as they are seen on the cable between two hosts."""
import json
import time

from tests.system import frames as f
from tests.system.slices import SliceSite
from tests.system.test_vpcctl import expect, vpcctl
from utilities.lab.cleanup import LabError

MAC_A, MAC_B, STRANGE = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:99:99:99"


def text(mac):
    return mac.hex(":")


class Cable:
    """What host1 sends into the fabric, and what whois says of it."""

    def __init__(self, site):
        self.site, self.tap = site, f.Tap(site.middle.namespace, "to1")

    def whois(self, address):
        return self.site.ctl.json("whois", address)

    def sees(self, marker, send, what=""):
        """The first frame with these bytes in it, to what whois says these words of."""
        self.tap.drain()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            send()
            heard = time.monotonic() + 0.5
            while time.monotonic() < heard:
                frame = self.tap.receive(0.1)
                if frame and marker in frame and what in self.whois(text(frame[:6]))["what"]:
                    return frame
        raise LabError(f"no frame with {marker} has come by")


def test_kinds(lab):
    """Ports, floods, links and interned pairs of a slice; addresses; what is nothing's."""
    site = SliceSite(lab, fabric="ovs")
    a = site.endpoint("red", "a", 0, MAC_A, "10.0.0.1", "fd00::1")
    b = site.endpoint("red", "b", 1, MAC_B, "10.0.0.2", "fd00::2")
    for e in (a, b):
        e.spec.update(mac=e.mac, ips=list(e.ips))
    site.slice("red", [site.switch("s", [0, 1], {"a": 1, "b": 2}, listen=["ptcp:7001:127.0.0.1"]), site.switch("t", [1], {})],
               [("l", {"switch": "s", "port": "x", "edge": "host1"}, "t/y")])
    site.start()
    site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "tcp:127.0.0.1:7001", "priority=1,actions=flood"])
    site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "tcp:127.0.0.1:7001", "priority=2,dl_type=0x0800,in_port=1,actions=output:2"])
    site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "add-flow", "tcp:127.0.0.1:7001", "priority=2,dl_type=0x86dd,in_port=1,actions=output:2"])
    cable = Cable(site)
    # Between two ports: the destination is b's landing, the source a's id; so are the IP addresses.
    for version, source in ((4, a.ipv4), (6, a.ipv6)):
        build = {4: lambda: f.ethernet(MAC_B, MAC_A, f.IPV4, f.ipv4(a.ipv4, b.ipv4, f.UDP, f.udp(a.ipv4, b.ipv4, b"whois-4"))),
                 6: lambda: f.ethernet(MAC_B, MAC_A, f.IPV6, f.ipv6(a.ipv6, b.ipv6, f.UDP, f.udp(a.ipv6, b.ipv6, b"whois-6")))}[version]
        frame = cable.sees(b"whois-%d" % version, lambda make=build: a.send(make()))
        answer = cable.whois(text(frame[:6]))
        assert (answer["edge"], answer["tenant"], answer["slice"], answer["switch"], answer["port"], answer["mac"]) == (
            "host2", "red", "red/lab", "red/lab/s", "red/lab/s/b", MAC_B) and "landing" in answer["what"], answer
        answer = cable.whois(text(frame[6:12]))
        assert (answer["edge"], answer["port"], answer["mac"]) == ("host1", "red/lab/s/a", MAC_A) and "source" in answer["what"], answer
        at = 26 if version == 4 else 22
        size = 4 if version == 4 else 16
        for start, port, ip in ((at, "red/lab/s/a", source), (at + size, "red/lab/s/b", b.ipv4 if version == 4 else b.ipv6)):
            raw = frame[start:start + size]
            address = ".".join(map(str, raw)) if version == 4 else raw.hex(":", 2)
            answer = cable.whois(address)
            assert (answer["port"], answer["ip"]) == (port, ip) and "address of a port" in answer["what"], (address, answer)
    # A flood: the landing is the virtual switch's, and the source a's to whatever it is.
    frame = cable.sees(b"whois-flood", lambda: a.send(f.ethernet(f.BROADCAST, MAC_A, f.EXPERIMENT, b"whois-flood")), "flood landing")
    answers = [cable.whois(text(frame[at:at + 6])) for at in (0, 6)]
    assert all("red/lab/s" == answer["switch"] for answer in answers) and answers[1]["port"] == "red/lab/s/a", answers
    # A source that is no port's: a pair has an id, and both addresses are told.
    a.send(f.ethernet(MAC_A, STRANGE, f.EXPERIMENT, b"hello"))
    frame = cable.sees(b"whois-pair", lambda: [a.send(f.ethernet(MAC_B, STRANGE, f.EXPERIMENT, b"whois-pair")) for _ in range(6)])
    answer = cable.whois(text(frame[6:12]))
    pair = {"tenant": "red", "switch": "red/lab/s", "source": STRANGE, "destination": MAC_B}
    assert answer["what"].startswith("interned pair") and answer["edge"] == "host1" and answer["pairs"] == [pair], answer
    shown = expect(vpcctl(site.ctl, "whois", text(frame[6:12])), 0).output
    assert f"pairs: tenant=red,switch=red/lab/s,source={STRANGE},destination={MAC_B}" in " ".join(shown.split()), shown
    assert len({line.index(line.split(":", 1)[1].strip()) for line in shown.splitlines()}) == 1, shown      # A column.
    # A link's end.
    link = site.ctl.json("get", "switch-port", "red/lab/t/y")["status"]["provider_mac"]
    answer = cable.whois(link)
    assert (answer["link"], answer["port"], answer["switch"]) == ("red/lab/l", "red/lab/t/y", "red/lab/t"), answer
    # Nothing's: of an edge that is there, of none, and no provider address at all.
    assert cable.whois(text(frame[6:9]) + ":ff:ff:ff")["pairs"] == []
    assert "nothing" in cable.whois(link[:-5] + "7f:ff")["what"]
    expect(vpcctl(site.ctl, "whois", "02:00:77:00:00:01"), 3, "edge number")
    expect(vpcctl(site.ctl, "whois", "50:54:00:00:00:01"), 3, "not a provider address")
    expect(vpcctl(site.ctl, "whois", "10.0.0.1"), 3, "not in the provider's pool")
    assert json.loads(expect(vpcctl(site.ctl, "whois", link, "-o", "json"), 0).output)["link"] == "red/lab/l"
