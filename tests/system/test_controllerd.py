"""controllerd through restarts, drift, damage and abuse."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import time

from tests.system import frames as f
from tests.system.site import Site, all_heard, drop_delta
from tests.system.test_vpcctl import GOOD, OPERATOR, TENANT_RED, apply, expect, remote, vpcctl
from tests.system.tls import Authority
from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Controllerd, Vswitchd, program

def tenant_site(lab, fabric=None, **kwargs):
    site = Site(lab, fabric=fabric, **kwargs)
    for i, name in enumerate("abcd"):
        site.endpoint("red", name, i % 2, f"52:54:00:00:00:0{i + 1}", f"10.0.0.{11 + i}", f"fd00::{11 + i}")
    return site


def flows(edge):
    """{(table, priority, match): seconds that it has been there}"""
    found = {}
    for line in edge.ofctl("dump-flows").splitlines():
        if match := re.search(r"duration=([\d.]+)s, table=(\d+),.*?priority=(\d+)[,]?(\S*) actions=", line):
            found[match[2], match[3], match[4]] = float(match[1])
        elif match := re.search(r"duration=([\d.]+)s,(?: table=(\d+),)?.* (\S*) ?actions=", line):
            found[match[2] or "0", "", match[3]] = float(match[1])
    return found


def sent(ctl, edge):
    """Flow entries that controllerd has sent to the switch since it started: (added or changed, deleted)."""
    metrics = ctl.metrics()
    return tuple(metrics[f'polder_switch_flow_{what}_total{{switch="{edge.name}"}}'] for what in ("adds", "deletes"))


def identities(ctl):
    return [(item["name"], item["spec"], {key: item["status"].get(key) for key in ("id", "device", "landing", "provider_mac", "addresses")})
            for item in ctl.json("get", "ports")["items"]]


# --- Restarts ---

def pings_some_time(a, others):
    """As pings_all(), in the best of three tries: where this machine stands still a ring may overflow. What needs controllerd fails in all of them."""
    for n in range(3):
        try:
            a.pings_all(others)
            return
        except LabError:
            if n == 2:
                raise


def restart_of_controllerd(lab, signum):
    site = tenant_site(lab).start()
    ctl, (a, b, c, d) = site.ctl, site.endpoints
    for e in site.endpoints:
        e.configure()
    a.pings_all([b, c])
    before, rules = identities(ctl), [flows(edge) for edge in site.edges]
    assert all(len(r) > 40 for r in rules), rules
    # A ping that lasts over the whole outage: nothing of it may be lost.
    lasting = a.box.spawn("lasting-ping", ["ping", "-i", "0.05", "-W", "1", "-w", "60", b.ipv4])
    ctl.stop(signum)
    time.sleep(1)
    pings_some_time(a, [b, d])                  # the edges go on by themselves
    ctl.start()
    site.wait_links()
    site.wait_synced()
    answers = lambda: [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", lasting.log_text())]
    so_far = len(answers())
    lab.wait_for("the ping to go on", lambda: len(answers()) >= max(40, so_far + 10))
    lasting.stop(signum=signal.SIGINT)
    lab.forget(lasting)
    # None is missing before the last answer; what was sent after it may have been under way.
    assert answers() == list(range(1, len(answers()) + 1)), lasting.log_tail()
    assert identities(ctl) == before
    for edge, old in zip(site.edges, rules):
        now = flows(edge)
        assert set(now) == set(old), f"{edge.name}: gone {set(old) - set(now)}, new {set(now) - set(old)}"
        assert all(now[key] > old[key] for key in old), f"{edge.name}: rules were sent again"
        assert sent(ctl, edge) == (0, 0)
    # And it goes on to work: a new port gets a new id.
    site.apply({"vpcs": [{"name": "main", "tenant": "red", "networks": [{"name": "web", "ports": [{"name": "new", "edge": "host1"}]}]}]})
    assert max(status["id"] for _, _, status in before) < ctl.json("get", "port", "red/main/web/new")["status"]["id"]


def test_restart_of_controllerd(lab):
    restart_of_controllerd(lab, signal.SIGTERM)


def test_kill_of_controllerd(lab):
    restart_of_controllerd(lab, signal.SIGKILL)


def test_restart_keeps_what_was_promised(lab):
    """Killed between two changes, again and again: what vpcctl said is done is there, ids are never used twice."""
    ctl = Controllerd(lab.host("control"))
    expect(apply(ctl, GOOD), 0)
    seen = set()
    for i in range(5):
        expect(vpcctl(ctl, "create", "port", f"red/main/web/n{i}"), 0)
        ctl.restart(signal.SIGKILL)
        port = ctl.json("get", "port", f"red/main/web/n{i}")["status"]["id"]
        assert port not in seen
        seen.add(port)
        expect(vpcctl(ctl, "delete", "port", f"red/main/web/n{i}"), 0)
        ctl.restart(signal.SIGKILL)
        expect(vpcctl(ctl, "get", "port", f"red/main/web/n{i}"), 3)


def restart_of_vswitchd(lab, signum):
    site = tenant_site(lab).start()
    a, b, c, d = site.endpoints
    extra = {"vpcs": [{"name": "main", "tenant": "red", "networks": [{"name": "web", "ports": [{"name": "vm", "edge": "host1"}]}]}]}
    site.apply(extra)
    device = site.ctl.json("get", "port", "red/main/web/vm")["status"]["device"]
    for e in site.endpoints:
        e.configure()
    a.pings_all([b])
    edge = site.edges[0]
    rules = set(flows(edge))
    edge.stop(signum)
    lab.wait_for("the loss to be seen", lambda: site.switch_states()["host1"] == "disconnected")
    edge.start()
    site.wait_links()
    site.wait_synced()
    assert set(flows(edge)) == rules
    assert device in {port["name"] for port in edge.json("ports")["ports"]}
    a.pings_all([b, c, d])
    # A frame to a group: the pair of before is still good, or given again.
    frame = f.ethernet("03:00:00:00:00:77", a.mac, f.EXPERIMENT, b"after the restart")
    b.listen()
    a.send(frame)
    assert frame in b.heard(1)


def test_restart_of_vswitchd(lab):
    restart_of_vswitchd(lab, signal.SIGTERM)


def test_kill_of_vswitchd(lab):
    restart_of_vswitchd(lab, signal.SIGKILL)


def test_group_frames_after_restart(lab):
    """Interned pairs are not kept over a restart of controllerd; frames to groups pass again all the same."""
    site = tenant_site(lab).start()
    a, b, c, d = site.endpoints
    groups = [f.ethernet(f"03:00:00:00:02:{i:02x}", a.mac, f.EXPERIMENT, bytes([i]) * 50) for i in range(6)]
    def pass_all():
        for e in site.endpoints:
            e.listen()
        a.send(*groups)
        heard = all_heard(site.endpoints, {e: len(groups) for e in (b, c, d)})
        assert all(sorted(heard[e]) == sorted(groups) for e in (b, c, d)) and not heard[a], {e: len(heard[e]) for e in heard}
    pass_all()
    pass_all()
    site.ctl.restart(signal.SIGKILL)
    site.wait_links()
    site.wait_synced()
    pass_all()
    pass_all()


# --- Drift ---

def test_drift_is_repaired(lab):
    """What others changed on a switch is put right on reconnect, by the smallest number of messages."""
    site = tenant_site(lab).start()
    ctl, (a, b, _, _) = site.ctl, site.endpoints
    edge, other = site.edges
    rules = flows(edge)
    ctl.stop()
    lost = next(key for key in rules if key[0] == "18" and b.mac in key[2])
    edge.host.run(["ovs-ofctl", "-O", "OpenFlow13", "--strict", "del-flows", f"unix:{edge.openflow_socket}", f"table={lost[0]},priority={lost[1]},{lost[2]}"])
    edge.ofctl("add-flow", "table=0,priority=65000,dl_type=0x88b5,actions=drop")
    edge.ofctl("add-flow", "table=99,priority=1,actions=output:1")
    changed = next(key for key in rules if key[0] == "18" and a.mac in key[2])
    edge.ofctl("add-flow", f"table={changed[0]},priority={changed[1]},{changed[2]},actions=drop")
    drifted = flows(edge)
    assert lost not in drifted and len(drifted) == len(rules) + 1, set(drifted) ^ set(rules)
    ctl.start()
    site.wait_links()
    site.wait_synced()
    now = flows(edge)
    assert set(now) == set(rules), set(now) ^ set(rules)
    untouched = set(rules) - {lost, changed}
    assert all(now[key] > rules[key] for key in untouched), "rules that were right were sent again"
    assert sent(ctl, edge) == (2, 2) and sent(ctl, other) == (0, 0), (sent(ctl, edge), sent(ctl, other))
    for e in site.endpoints:
        e.configure()
    a.pings_all([b])
    # A group that was deleted takes the rules that use it along (OpenFlow 1.3.5, section 6.7).
    ctl.stop()
    edge.ofctl("del-groups")
    gone = len(rules) - len(flows(edge))
    assert gone >= 1
    ctl.start()
    site.wait_links()
    site.wait_synced()
    assert set(flows(edge)) == set(rules) and sent(ctl, edge) == (gone, 0), (gone, sent(ctl, edge))


# --- Coming and going ---

def vhost(edge):
    return {port["name"]: port.get("path") for port in edge.json("ports")["ports"] if port["type"] == "vhost-user"}


def tenant_rules(edge):
    """Rules and groups that name a virtual switch."""
    return [line for line in edge.ofctl("dump-flows").splitlines() if "reg0" in line] + re.findall(r"group_id=\d+", edge.ofctl("dump-groups"))


def test_deleted_means_gone(lab):
    site = tenant_site(lab)
    site.start(apply=False)
    site.apply(site.substrate())
    site.wait_links()
    site.wait_synced()
    empty = [flows(edge) for edge in site.edges]
    site.apply(site.document())
    ports = [{"name": f"vm{i}", "edge": f"host{i % 2 + 1}", "vhost": {"role": "server" if i < 2 else "client"}} for i in range(4)]
    site.apply({"vpcs": [{"name": "main", "tenant": "red", "networks": [{"name": "web", "ports": ports}]}]})
    ctl, edge = site.ctl, site.edges[0]
    status = {i: ctl.json("get", "port", f"red/main/web/vm{i}")["status"] for i in range(4)}
    assert vhost(edge) == {status[i]["device"]: status[i]["vhost_socket"] for i in (0, 2)}, vhost(edge)
    lab.wait_for("the server's socket", lambda: os.path.exists(status[0]["vhost_socket"]))
    expect(vpcctl(ctl, "delete", "port", "red/main/web/vm0", "--wait=installed"), 0)
    lab.wait_for("the port to go", lambda: status[0]["device"] not in vhost(edge))
    assert not os.path.exists(status[0]["vhost_socket"])
    # A port that moves leaves nothing behind either.
    site.apply({"vpcs": [{"name": "main", "tenant": "red", "networks": [{"name": "web", "ports": [{"name": "vm2", "edge": "host2"}]}]}]})
    lab.wait_for("the port to move", lambda: status[2]["device"] in vhost(site.edges[1]) and status[2]["device"] not in vhost(edge))
    for item in ctl.json("get", "ports")["items"]:
        expect(vpcctl(ctl, "delete", "port", item["name"]), 0)
    for kind, name in (("network", "red/main/web"), ("vpc", "red/main"), ("tenant", "red")):
        expect(vpcctl(ctl, "delete", kind, name, "--wait=installed"), 0)
    for e, before in zip(site.edges, empty):
        lab.wait_for("ports to go", lambda e=e: not vhost(e))
        assert set(flows(e)) == set(before), set(flows(e)) ^ set(before)
        # The pipeline's own rules move registers; none of them names a network.
        assert not [line for line in tenant_rules(e) if "reg0=" in line or "group_id" in line], tenant_rules(e)
        assert not [name for name in os.listdir(e.run_dir) if re.fullmatch(r"p\d+\.sock", name)], os.listdir(e.run_dir)
    for name in ("host1", "host2"):
        expect(vpcctl(ctl, "delete", "edge", name), 0)
    # They are strangers now, and not touched any more.
    lab.wait_for("both edges to be strangers", lambda: len(ctl.json("get", "edges")["unknown"]) == 2)
    assert ctl.json("get", "edges")["items"] == []


# --- The store ---

def refuses_to_start(lab, ctl, *said):
    """Starts controllerd, which must end with an error that says so."""
    result = ctl.host.run([program("controllerd"), "--config", ctl.config_path], check=False, timeout=20)
    assert result.rc not in (0, 2) and all(text in result.output for text in said), f"wanted {said}\n{result!r}"
    assert not os.path.exists(ctl.socket)


def test_damaged_store(lab):
    ctl = Controllerd(lab.host("control"))
    expect(apply(ctl, GOOD), 0)
    ctl.stop()
    path = ctl.config["store"]
    with open(path, "rb") as file:
        good = file.read()
    def restored(change=None):
        for end in ("", "-wal", "-shm"):
            if os.path.exists(path + end):
                os.unlink(path + end)
        with open(path, "wb") as file:
            file.write(good)
        if change:
            with contextlib.closing(sqlite3.connect(path)) as db, db:
                db.execute(change)
    restored("UPDATE meta SET value = '99' WHERE key = 'schema'")
    refuses_to_start(lab, ctl, path, "schema 99", "later version")
    restored("UPDATE meta SET value = 'many' WHERE key = 'revision'")
    refuses_to_start(lab, ctl, path, "revision", "many")
    restored("UPDATE objects SET record = '{\"mac\":' WHERE kind = 'port'")
    refuses_to_start(lab, ctl, path, "red/main/web/a")
    restored("DELETE FROM objects WHERE kind = 'vpc'")
    refuses_to_start(lab, ctl, path, "red/main")
    restored("PRAGMA application_id = 7")
    refuses_to_start(lab, ctl, path, "not a Polder store")
    for text in (b"this is no database at all, and long enough to be looked at as one " * 20, good[:16] + bytes(len(good) - 16), good[:len(good) // 2]):
        restored()
        with open(path, "wb") as file:
            file.write(text)
        refuses_to_start(lab, ctl, path)
        with open(path, "rb") as file:
            assert file.read() == text, "the damaged store was changed"
    restored()
    ctl.start()
    assert len(ctl.json("get", "ports")["items"]) == 2
    # A second controllerd on the same store is refused, and the first one is not disturbed.
    second = {**ctl.config, "run_dir": ctl.host.path("second"), "openflow": {"listen": [f"punix:{ctl.host.path('second')}/of.sock"]}}
    other = ctl.host.path("second.json")
    with open(other, "w", encoding="utf-8") as file:
        json.dump(second, file)
    result = ctl.host.run([program("controllerd"), "--config", other], check=False, timeout=20)
    assert result.rc == 1 and "another controllerd" in result.output, result
    expect(vpcctl(ctl, "create", "tenant", "still-here"), 0)


# --- The API over the network ---

def test_api_over_tls(lab):
    authority, extra = remote(lab)
    ctl = Controllerd(lab.host("control"), extra=extra)
    blue = "tenants: [{name: blue}]\nvpcs: [{name: main, tenant: blue, networks: [{name: web, subnet: 10.0.0.0/24, ports: [{name: x}]}]}]\n"
    expect(apply(ctl, GOOD), 0)
    expect(apply(ctl, blue), 0)
    def at(token, *args, stdin="", ca=authority.ca):
        return vpcctl(ctl, "--ca", ca, *(["--token", token] if token else []), *args, stdin=stdin, server="https://127.0.0.1:8443")
    assert "blue/main/web/x" in expect(at(OPERATOR, "get", "ports"), 0).output
    assert "host1" in expect(at(OPERATOR, "get", "edges"), 0).output
    shown = expect(at(TENANT_RED, "get", "ports", "-o", "json"), 0).output
    assert "red/main/web/a" in shown and "blue" not in shown and "02:00" not in shown and "provider" not in shown, shown
    own = "vpcs: [{name: main, tenant: red, networks: [{name: db, ports: [{name: new}]}]}]\n"
    expect(at(TENANT_RED, "apply", "-f", "-", stdin=own), 0, "port red/main/db/new created")
    expect(at(TENANT_RED, "delete", "port", "red/main/db/new"), 0)
    for args, stdin in ((("get", "edges"), ""), (("get", "links"), ""), (("whois", "02:00:01:00:00:01"), ""), (("delete", "edge", "host1"), ""),
                        (("apply", "-f", "-"), blue), (("apply", "-f", "-"), own.replace("red", "blue")),
                        (("apply", "-f", "-"), "edges: [{name: mine, datapath_id: \"0000000000000009\"}]\n"), (("create", "tenant", "green"), "")):
        expect(at(TENANT_RED, *args, stdin=stdin), 5)
    # What is another tenant's does not exist for this one.
    for args in (("get", "port", "blue/main/web/x"), ("delete", "port", "blue/main/web/x"), ("trace", "blue/main/web/x", "--to", "10.0.0.1")):
        expect(at(TENANT_RED, *args), 3)
    for token in (None, "", "wrong-token-0123456789abcdef", OPERATOR[:-1], OPERATOR + "0", OPERATOR.upper()):
        expect(at(token, "get", "ports"), 5, "token")
    # The client believes only the site's own authority.
    expect(at(OPERATOR, "get", "ports", ca=Authority(lab, "stranger").ca), 7)
    # A token that was taken away is refused after SIGHUP.
    with open(extra["rest"]["tokens"], "w", encoding="ascii") as file:
        json.dump([{"token": TENANT_RED, "name": "rita", "role": "tenant", "tenant": "red"}], file)
    ctl.process.popen.send_signal(signal.SIGHUP)
    lab.wait_for("the tokens to be read", lambda: at(OPERATOR, "get", "ports").rc == 5)
    expect(at(TENANT_RED, "get", "ports"), 0)
    # Without TLS there is no answer on that port.
    plain = ctl.host.run(["python3", "-c", "import socket; s = socket.create_connection(('127.0.0.1', 8443)); s.settimeout(5); "
                          "s.sendall(b'GET /v1/ports HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(b'items' in s.recv(65536))"], check=False)
    assert "True" not in plain.output, plain


def test_openflow_over_tls(lab):
    """Switches and controllerd know each other by certificates; who has none of the site's gets nowhere."""
    ours, strangers = Authority(lab, "site"), Authority(lab, "stranger")
    control, host1, host2 = lab.host("control"), lab.host("host1"), lab.host("host2")
    for i, host in enumerate((host1, host2)):
        lab.link(control, f"to{i}", host, "mgmt")
        for box, interface, address in ((control, f"to{i}", f"10.255.{i}.1/30"), (host, "mgmt", f"10.255.{i}.2/30")):
            box.run(["ip", "link", "set", interface, "arp", "on"])
            box.run(["ip", "addr", "add", address, "dev", interface])
    ctl = Controllerd(control, extra={"openflow": {"listen": ["ptls:6653:0.0.0.0"], "tls": ours.issue("controllerd")}})
    expect(apply(ctl, 'edges: [{name: host1, datapath_id: "0000000000000001"}, {name: host2, datapath_id: "0000000000000002"}]\n'), 0)
    Vswitchd(host1, dpid=1, controllers=["tls:10.255.0.1:6653"], extra={"openflow": {"tls": ours.issue("host1")}})
    forged = {**strangers.issue("host2"), "ca_certificate": ours.ca}
    Vswitchd(host2, dpid=2, controllers=["tls:10.255.1.1:6653"], extra={"openflow": {"tls": forged}})
    lab.wait_for("host1", lambda: ctl.json("get", "edge", "host1")["status"]["state"] == "in-sync")
    assert ctl.json("get", "edge", "host1")["status"]["rules"] > 10
    time.sleep(3)           # several attempts of host2's
    assert ctl.json("get", "edge", "host2")["status"]["state"] == "disconnected"
    assert "host2" not in str(ctl.json("get", "edges")["unknown"]) and not ctl.json("get", "edges")["unknown"]


def test_certificate_is_for_a_switch(lab):
    """A host's certificate says which datapath ids it may be; one that says nothing may be any, until that is asked for."""
    site = Authority(lab, "site")
    control = lab.host("control")
    hosts = [lab.host(f"host{i}") for i in range(1, 5)]
    for i, host in enumerate(hosts):
        lab.link(control, f"to{i}", host, "mgmt")
        for box, interface, address in ((control, f"to{i}", f"10.255.{i}.1/30"), (host, "mgmt", f"10.255.{i}.2/30")):
            box.run(["ip", "link", "set", interface, "arp", "on"])
            box.run(["ip", "addr", "add", address, "dev", interface])
    keys = [site.issue("host1", "URI:dpid:0000000000000001"), site.issue("host2", "URI:dpid:0000000000000001", "URI:dpid:00000000000000ff"),
            site.issue("dpid:0000000000000003"), site.issue("host4")]
    tls = site.issue("controllerd")
    ctl = Controllerd(control, extra={"openflow": {"listen": ["ptls:6653:0.0.0.0"], "tls": tls}})
    expect(apply(ctl, "edges: [" + ", ".join(f'{{name: host{i}, datapath_id: "{i:016x}"}}' for i in range(1, 5)) + "]\n"), 0)
    for i, host in enumerate(hosts):
        Vswitchd(host, dpid=i + 1, controllers=[f"tls:10.255.{i}.1:6653"], extra={"openflow": {"tls": keys[i]}})

    def states():
        return [ctl.json("get", "edge", f"host{i}")["status"]["state"] for i in range(1, 5)]

    def refused(reason):
        return ctl.metrics()[f'polder_switch_certificates_refused_total{{reason="{reason}"}}']
    lab.wait_for("those who may", lambda: states() == ["in-sync", "disconnected", "in-sync", "in-sync"])
    lab.wait_for("host2 to be refused again and again", lambda: refused("other-datapath") > 1)
    assert states()[1] == "disconnected" and refused("no-datapath") == 0 and not ctl.json("get", "edges")["unknown"]
    assert "datapath id 0000000000000002, and its certificate is for dpid:0000000000000001, dpid:00000000000000ff" in ctl.process.log_text()
    ctl.stop()
    ctl = Controllerd(control, extra={"openflow": {"listen": ["ptls:6653:0.0.0.0"], "tls": {**tls, "require_datapath_id": True}}})
    lab.wait_for("those who are named", lambda: states() == ["in-sync", "disconnected", "in-sync", "disconnected"])
    lab.wait_for("host4 to be refused", lambda: refused("no-datapath") > 0)
    assert "has no name dpid:0000000000000004, which openflow.tls.require_datapath_id asks for" in ctl.process.log_text()


# --- Abuse ---

def resident_kb(process):
    """Memory of the daemon: the namespace wrapper has become it by exec."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def test_api_abuse(lab):
    ctl = Controllerd(lab.host("control"))
    expect(apply(ctl, GOOD), 0)
    for _ in range(3):
        ctl.request("GET", "/v1/ports")
    memory = resident_kb(ctl.process)

    def raw(data, wait=5, shut=False):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(wait)
            s.connect(ctl.socket)
            try:
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
                return s.recv(65536)
            except (TimeoutError, ConnectionError):
                return b""

    def serves():
        begun = time.monotonic()
        status, _, body = ctl.request("GET", "/v1/ports")
        assert status == 200 and "red/main/web/a" in body and time.monotonic() - begun < 1, (status, time.monotonic() - begun)

    # Garbage and half requests.
    for data in (b"\0" * 1000, b"\xff" * 70000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" * 50,
                 b"GET /v1/ports HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n", b"POST /v1/apply HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
                 b"POST /v1/apply HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}", b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n"):
        answer = raw(data, shut=True)
        assert b" 200 " not in answer.split(b"\r\n")[0], (data[:40], answer[:80])
        serves()
    # Too much: refused before it is stored anywhere.
    answer = raw(b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b" " * (1 << 20))
    assert re.match(rb"HTTP/1.1 (413|400)", answer) or not answer, answer[:80]
    serves()
    for depth, code in ((100000, 400), (5, 400)):
        status, _, text = ctl.request("POST", "/v1/apply", "[" * depth + "]" * depth)
        assert status == code and json.loads(text)["error"]["code"] == "invalid", (depth, text[:200])
    status, _, text = ctl.request("POST", "/v1/apply", json.dumps({"tenants": [{"name": "x" * 100000}]}))
    assert status == 400 and len(text) < 2000, text[:200]
    for method, path, code in (("PUT", "/v1/ports", 405), ("POST", "/v1/ports", 405), ("GET", "/v2/ports", 404), ("GET", "/v1/ports/%00", 400), ("GET", "/v1/ports/%ff%fe", 400),
                               ("GET", "/v1/ports?colour=red", 400), ("GET", "/v1/installed?revision=99", 400), ("GET", "/v1/installed?timeout_ms=-1", 400), ("GET", "/../../etc/passwd", 404)):
        status, _, text = ctl.request(method, path)
        assert status == code and json.loads(text)["error"]["message"], (method, path, status, text)
    # Two hundred clients that never finish: the others are served.
    slow = []
    for i in range(200):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(ctl.socket)
        s.sendall(b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{" if i % 2 else b"GET /v1/po")
        slow.append(s)
        if i % 50 == 0:
            serves()
    expect(vpcctl(ctl, "create", "tenant", "meanwhile"), 0)
    serves()
    # Clients that ask to wait and go away.
    for _ in range(50):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(ctl.socket)
            s.sendall(b"GET /v1/installed?timeout_ms=2000 HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in slow:
        s.close()
    time.sleep(2.5)
    serves()
    assert resident_kb(ctl.process) < memory + 60000, (memory, resident_kb(ctl.process))
    expect(vpcctl(ctl, "get", "ports"), 0)
    assert ctl.stop() == 0


# --- Discovery ---

def genuine_lldp(tap, lab):
    return lab.wait_for("an LLDP frame", lambda: (frame := tap.receive(1)) and frame[12:14] == b"\x88\xcc" and frame, 10)


def test_forged_lldp_makes_no_link(lab):
    """Neither a tenant's port, nor a device that is nobody's, can pretend to be a cable."""
    site = tenant_site(lab, "vswitchd")
    stray_box = lab.host("stray")
    lab.link(site.hosts[0], "spare", stray_box, "eth0")
    site.more_devices["host1"].append("spare")
    site.start()
    ctl, (a, b, c, _) = site.ctl, site.endpoints
    links = sorted(site.links_up())
    assert len(links) == 2, links
    stray, fabric = f.Tap(stray_box.namespace, "eth0"), f.Tap(site.hosts[1].namespace, "fab0")
    # Discovery asks on the stray's device, for it could be a cable: it is given the frames of another one.
    replay = genuine_lldp(fabric, lab)
    own = genuine_lldp(stray, lab)
    forged = [
        ("stale", replay),
        ("forged", replay[:-1] + bytes([replay[-1] ^ 1]) if replay[-1] else replay[:-12] + bytes([replay[-12] ^ 1]) + replay[-11:]),
        ("forged", own.replace(b"of:0000000000000001", b"of:0000000000000002")),
        ("malformed", replay[:-2] + b"\x07\xff"),
    ]
    def refused():
        return {key: value for key, value in ctl.metrics().items() if key.startswith("polder_lldp_refused_total")}
    for reason, frame in forged:
        key = f'polder_lldp_refused_total{{reason="{reason}"}}'
        before = refused()[key]
        stray.send(frame)
        lab.wait_for(f"the {reason} frame to be refused", lambda key=key, before=before: refused()[key] == before + 1, 5)
        assert sorted(site.links_up()) == links
    # From a tenant's port the frame is the tenant's: its peers hear it, also those for whom it is interned, and discovery does not.
    counts = refused()
    for e in (b, c):
        e.listen()
    fresh = genuine_lldp(fabric, lab)
    mine = fresh[:6] + f.mac(a.mac) + fresh[12:]
    a.send(mine)
    assert c.heard(1) == [mine] and b.heard(1) == [mine]
    time.sleep(1)
    assert sorted(site.links_up()) == links and refused() == counts


def link_cut(lab, fabric):
    site = tenant_site(lab, fabric).start()
    a, b, c, _ = site.endpoints
    for e in site.endpoints:
        e.configure()
    a.pings_all([b])
    n = len(site.links_up())
    for box, interface in ((site.hosts[0], "fab0"), (site.middle, "to2") if fabric else (site.hosts[1], "fab0")):
        box.run(["ip", "link", "set", interface, "down"])
        site.wait_links(n - 1, seconds=10)
        assert a.ping(b.ipv4, 1) == 0
        a.pings_all([c])
        assert drop_delta(site.edges[0], lambda: a.ping(b.ipv4, 1), (a.device, "no-path")) >= 1, a.host_story()
        box.run(["ip", "link", "set", interface, "up"])
        site.wait_links(n, seconds=10)
        site.wait_synced()
        a.pings_all([b])


def test_link_cut_joined(lab):
    link_cut(lab, None)


def test_link_cut_over_open_vswitch(lab):
    link_cut(lab, "ovs")
