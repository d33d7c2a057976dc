"""Slices by vpcctl, as an operator and a tenant type it, against real daemons."""
import json
import os

from tests.system.slices import SliceSite
from tests.system.test_vpcctl import OPERATOR, TENANT_RED, expect, remote, vpcctl
from utilities.lab.daemons import Controllerd

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "examples")
MAC_A, MAC_B = "52:54:00:00:00:01", "52:54:00:00:00:02"


def two_hosts(lab):
    """Two hosts behind a fabric switch, with a device each and no slice yet."""
    site = SliceSite(lab, fabric="ovs")
    a, b = site.endpoint("red", "a", 0, MAC_A, "10.0.0.1"), site.endpoint("red", "b", 1, MAC_B, "10.0.0.2")
    site.start(apply=False)
    site.apply({**site.substrate(), "tenants": [{"name": "red"}]})
    site.wait_links()
    return site, a, b


def ofctl(site, port, *args):
    return site.ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", args[0], f"tcp:127.0.0.1:{port}", *args[1:]]).output


def trace(ctl, port, to, rc):
    return json.loads(expect(vpcctl(ctl, "trace", port, "--to", to, "-o", "json"), rc).output)


def cookies(site):
    """Network ids that the edges' rules are of."""
    found = set()
    for edge in site.edges:
        for line in edge.ofctl("dump-flows").splitlines():
            if "cookie=" in line:
                found.add(int(line.split("cookie=")[1].split(",")[0], 0) >> 32)
    return found - {0}


def test_slice_life(lab):
    """From the preset over ports, a trace over the virtual link and a move to the delete, which leaves nothing."""
    site, a, b = two_hosts(lab)
    ctl = site.ctl
    expect(vpcctl(ctl, "create", "slice", "red/lab", "--topology", "mirror", "--edges", "host1,host2", "--wait=installed"), 0,
           "slice red/lab created", "switch red/lab/host1 created", "virtual-link red/lab/host1--host2 created", "installed")
    expect(vpcctl(ctl, "create", "slice", "red/lab"), 4, "exists already")
    ports = {"slices": [{"name": "lab", "tenant": "red", "switches": [
        {"name": host, "listen": [f"ptcp:{port}:127.0.0.1"], "ports": [{"name": e.name, "number": 7, "mac": e.mac, "ofport_of": e.device}]}
        for host, port, e in (("host1", 7001, a), ("host2", 7002, b))]}]}
    site.apply(ports)
    lines = expect(vpcctl(ctl, "get", "switch-ports"), 0, "red/lab/host1/to-host2", "red/lab/host2/b").output.splitlines()
    assert lines[1].split() == ["red/lab/host1/a", "7", "host1", "up", "-"], lines
    assert lines[2].split()[3:] == ["up", "red/lab/host2/to-host1"], lines
    expect(vpcctl(ctl, "get", "virtual-links"), 0, "host1/to-host2,host2/to-host1", "up", "host1,middle,host2")
    assert ctl.json("get", "switch", "red/lab/host1")["status"]["ports_up"] == 2

    link = ctl.json("get", "switch-port", "red/lab/host1/to-host2")
    answer = ctl.json("whois", link["status"]["provider_mac"])
    assert (answer["slice"], answer["switch"], answer["port"], answer["link"]) == (
        "red/lab", "red/lab/host1", "red/lab/host1/to-host2", "red/lab/host1--host2"), answer

    verdict = trace(ctl, "red/lab/host1/a", MAC_B, 1)["verdict"]        # Nobody has programmed it.
    assert verdict in ("dropped", "controller"), verdict
    out = link["spec"]["number"]
    ofctl(site, 7001, "add-flow", f"in_port=7,actions=output:{out}")
    ofctl(site, 7001, "add-flow", f"in_port={out},actions=output:7")
    ofctl(site, 7002, "add-flow", "actions=flood")
    assert trace(ctl, "red/lab/host1/a", MAC_B, 1)["verdict"] == "interns"      # No frame between the two has crossed the fabric.
    expect(vpcctl(ctl, "trace", "red/lab/host1/to-host2", "--to", MAC_B), 4, "end of a virtual link")
    a.configure()
    b.configure()
    for e in (a, b):
        e.box.run(["ethtool", "-K", "eth0", "tx", "off"], check=False)
    assert a.ping(b.ipv4) == 3
    answer = trace(ctl, "red/lab/host1/a", MAC_B, 0)
    assert answer["to"] == "red/lab/host2/b", answer
    where = [step["where"] for step in answer["steps"]]
    assert where.index("edge") < where.index("fabric") < where.index("landing") and where.count("virtual") >= 3, answer

    renumber = {"slices": [{"name": "lab", "tenant": "red", "switches": [{"name": "host1", "ports": [{"name": "a", "number": 8}]}]}]}
    result = site.apply(renumber, check=False)
    expect(result, 4, "keeps it while it lives", "ports[0].number")
    expect(vpcctl(ctl, "delete", "switch-port", "red/lab/host1/to-host2"), 4, "red/lab/host1--host2", "delete the link")
    expect(vpcctl(ctl, "delete", "edge", "host2"), 4, "red/lab")
    expect(vpcctl(ctl, "delete", "virtual-link", "red/lab/host1--host2", "--wait=installed"), 0, "switch-port red/lab/host2/to-host1 deleted")
    assert a.ping(b.ipv4, 1) == 0
    expect(vpcctl(ctl, "create", "virtual-link", "red/lab/again", "--ends", "host1/x,host2/x", "--wait=installed"), 0, "switch-port red/lab/host1/x created")
    assert len(cookies(site)) == 2, cookies(site)
    expect(vpcctl(ctl, "delete", "slice", "red/lab", "--wait=installed"), 0, "switch red/lab/host1 deleted")
    assert not cookies(site), cookies(site)
    for kind in ("slices", "switches", "switch-ports", "virtual-links"):
        assert ctl.json("get", kind)["items"] == []
    expect(vpcctl(ctl, "delete", "edge", "host2"), 0)


def test_examples(lab):
    """What examples/slice says, applied, shown, and applied again from what is shown."""
    ctl = Controllerd(lab.host("control"))
    ctl.host.run(["ip", "link", "set", "lo", "up"])
    files = [os.path.join(EXAMPLES, name) for name in ("quickstart", "slice/big-switch.yaml", "slice/line.yaml")]
    expect(vpcctl(ctl, "apply", *(arg for name in files for arg in ("-f", name))), 0, "switch blue/line/s3 created", "virtual-link blue/line/l13 created")
    expect(vpcctl(ctl, "create", "slice", "red/ring", "--topology", os.path.join(EXAMPLES, "slice/ring-topology.yaml"), "--edges", "host1"), 0,
           "virtual-link red/ring/l31 created")
    expect(vpcctl(ctl, "create", "switch", "red/ring/s4", "--edges", "host1,host2", "--listen", "ptcp:7004:127.0.0.1"), 0)
    expect(vpcctl(ctl, "create", "switch-port", "red/ring/s4/a", "--number", "1", "--edge", "host2"), 0)
    expect(vpcctl(ctl, "create", "virtual-link", "red/ring/l14", "--ends", "s1/up,s4/down"), 0)
    shown = ctl.host.run(["ovs-ofctl", "-O", "OpenFlow13", "show", "tcp:127.0.0.1:7004"]).output
    assert "1(a)" in shown and "2(down)" in shown, shown
    expect(vpcctl(ctl, "create", "switch", "red/ring/s5", "--edges", "host1", "--edges", "host2"), 2, "--edges", "twice", "commas")
    expect(vpcctl(ctl, "create", "switch-port", "red/ring/s4/b", "--edge", "host1", "--edge", "host2"), 2, "--edge", "twice")
    expect(vpcctl(ctl, "trace", "red/ring/s4/none", "--to", MAC_A), 3, "get switch-ports")
    assert json.loads(expect(vpcctl(ctl, "version", "-o", "json"), 0).output).keys() == {"vpcctl", "controllerd"}
    for kind in ("tenants", "slices", "switches", "switch-ports", "virtual-links"):
        document = expect(vpcctl(ctl, "get", kind, "-o", "yaml"), 0).output
        expect(vpcctl(ctl, "apply", "-f", "-", stdin=document), 0, "nothing to do")
        expect(vpcctl(ctl, "get", kind, "-o", "wide"), 0)
    bad = os.path.join(lab.dir, "bad.yaml")
    with open(bad, "w", encoding="ascii") as file:
        file.write("switches:\n- name: s1\n- name: s2\nlinks:\n- name: l1\n  ends: [s1/a, s3/a]\n")
    expect(vpcctl(ctl, "create", "slice", "red/bad", "--topology", bad, "--edges", "host1"), 1, f"{bad}:6", "there is no switch red/bad/s3")
    expect(vpcctl(ctl, "get", "slice", "red/bad"), 3)
    ctl.stop()                                  # And all of it is there again.
    again = Controllerd(ctl.host)
    expect(vpcctl(again, "apply", *(arg for name in files for arg in ("-f", name))), 0, "nothing to do")
    assert len(again.json("get", "switches")["items"]) == 8


def test_tenant(lab):
    """A tenant's token makes, sees and deletes its own slices, and nothing of the physical network or of others."""
    authority, extra = remote(lab)
    ctl = Controllerd(lab.host("control"), extra=extra)
    ctl.host.run(["ip", "link", "set", "lo", "up"])

    def red(*args, stdin=""):
        return vpcctl(ctl, "--ca", authority.ca, "--token", TENANT_RED, *args, stdin=stdin, server="https://127.0.0.1:8443")

    def operator(*args, stdin=""):
        return vpcctl(ctl, "--ca", authority.ca, "--token", OPERATOR, *args, stdin=stdin, server="https://127.0.0.1:8443")

    expect(operator("apply", "-f", os.path.join(EXAMPLES, "quickstart"), "-f", os.path.join(EXAMPLES, "slice", "line.yaml")), 0)
    expect(red("create", "slice", "red/mine", "--topology", "one-switch", "--edges", "host1", "--controller", "tcp:127.0.0.1:6699"), 0, "switch red/mine/s1 created")
    expect(red("create", "switch-port", "red/mine/s1/a"), 0)
    expect(red("create", "slice", "blue/mine"), 5)
    expect(red("create", "slice", "red/other", "--controller", "unix:/run/x"), 5, "--controller")
    expect(red("create", "switch", "red/mine/s2", "--edges", "host1", "--listen", "ptcp:80"), 5, "--listen")
    expect(red("get", "slice", "blue/line"), 3)
    expect(red("delete", "switch", "blue/line/s1"), 3)
    expect(red("trace", "blue/line/s1/a", "--to", MAC_A), 3)
    assert "blue" not in red("get", "switches", "-o", "json").output
    expect(operator("apply", "-f", "-", stdin="tenants: [{name: red, quota: {switches: 1, links: 0}}]"), 0)
    expect(red("create", "switch", "red/mine/s2", "--edges", "host1"), 4, "may have 1 virtual switches")
    expect(red("create", "virtual-link", "red/mine/l", "--ends", "s1/x,s1/y"), 4, "may have 0 virtual links")
    expect(red("delete", "slice", "red/mine"), 0, "switch-port red/mine/s1/a deleted")
