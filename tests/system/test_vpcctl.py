"""vpcctl against a real controllerd: what users type, and what they are told."""
import json
import os

from tests.system.site import Site
from tests.system.tls import Authority
from utilities.lab.daemons import Controllerd, program

TENANT = "tenants: [{name: red}]\n"
GOOD = """\
edges:
  - {name: host1, datapath_id: "0000000000000001"}
tenants: [{name: red}]
vpcs:
  - name: main
    tenant: red
    networks:
      - name: web
        subnet: 10.0.0.0/24
        ports:
          - {name: a, mac: "52:54:00:00:00:01", ips: [10.0.0.11], edge: host1}
          - {name: b}
      - name: db
        subnet: 10.1.0.0/24
"""
OPERATOR, TENANT_RED = "operator-token-0123456789abcdef", "tenant-red-token-0123456789abcdef"


def vpcctl(ctl, *args, stdin="", server=None):
    """Runs vpcctl; the Result."""
    return ctl.host.run([program("vpcctl"), "--server", server or ctl.server, *args], check=False, merge=False, stdin=stdin)


def expect(result, rc, *said):
    """The exit code, and every text in what it printed (an error on stderr, else stdout)."""
    where = result.errors if rc not in (0, 1) or result.errors else result.output
    assert result.rc == rc and all(text in where for text in said), f"wanted {rc} and {said}\n{result!r}"
    return result


def apply(ctl, document, *args):
    return vpcctl(ctl, "apply", "-f", "-", *args, stdin=document)


def remote(lab):
    """What makes controllerd listen with TLS and tokens, and the authority for its clients."""
    authority = Authority(lab, "site")
    tokens = os.path.join(lab.dir, "tokens.json")
    with open(tokens, "w", encoding="ascii") as file:
        json.dump([{"token": OPERATOR, "name": "olga", "role": "operator"}, {"token": TENANT_RED, "name": "rita", "role": "tenant", "tenant": "red"}], file)
    os.chmod(tokens, 0o600)
    server = authority.issue("controllerd")
    tls = {key: server[key] for key in ("private_key", "certificate")}
    return authority, {"rest": {"listen": "127.0.0.1:8443", "tls": tls, "tokens": tokens}}


def test_exit_codes(lab):
    """The table of vpcctl(1), each code by a real case."""
    authority, extra = remote(lab)
    ctl = Controllerd(lab.host("control"), extra=extra)
    expect(apply(ctl, GOOD), 0, "network red/main/web created", "revision 1")
    expect(apply(ctl, GOOD.replace("10.1.0.0/24", "10.1.0.0/99")), 1, "is not a prefix")
    expect(vpcctl(ctl, "frobnicate"), 2, "frobnicate")
    expect(vpcctl(ctl, "get"), 2, "KIND")
    expect(vpcctl(ctl, "get", "rivers"), 2, "rivers", "networks")
    expect(vpcctl(ctl, "apply"), 2, "-f")
    expect(vpcctl(ctl, "get", "tenants", server="gopher://here"), 2, "--server")
    expect(vpcctl(ctl, "get", "port", "red/main/web/z"), 3, "red/main/web/z")
    expect(vpcctl(ctl, "delete", "tenant", "green"), 3, "green")
    expect(vpcctl(ctl, "delete", "network", "red/main/web"), 4, "port")
    expect(vpcctl(ctl, "create", "tenant", "red"), 4, "red")
    https = "https://127.0.0.1:8443"
    expect(vpcctl(ctl, "--ca", authority.ca, "--token", TENANT_RED, "delete", "edge", "host1", server=https), 5)
    expect(vpcctl(ctl, "--ca", authority.ca, "--token", "no-such-token-0123456789", "get", "ports", server=https), 5, "token")
    expect(apply(ctl, GOOD, "--wait=installed", "--timeout", "1s"), 6, "0000000000000001")
    expect(vpcctl(ctl, "get", "ports", server="unix:" + ctl.socket + ".not"), 7)
    expect(vpcctl(ctl, "--ca", authority.ca, "get", "ports", server="https://127.0.0.1:8444"), 7)
    expect(vpcctl(ctl, "get", "ports"), 0)


def test_messages(lab):
    """Wrong input is named by its field and place, and nothing of it is taken."""
    ctl = Controllerd(lab.host("control"))
    def network(text):
        return f"tenants: [{{name: red}}]\nvpcs: [{{name: main, tenant: red, networks: [{{name: web, subnet: 10.0.0.0/24}}, {text}]}}]\n"
    cases = [
        (network("{name: db, subnet: 10.0.0.0/33}"), "vpcs[0].networks[1].subnet: 10.0.0.0/33 is not a prefix"),
        (network("{name: db, subnet: 10.0.0.1/24}"), "vpcs[0].networks[1].subnet"),
        (network("{name: db, subnet: 10.0.0.0/25}"), "vpcs[0].networks[1].subnet", "overlaps"),
        (network("{name: db, subnet6: 10.3.0.0/24}"), "vpcs[0].networks[1].subnet6"),
        (network("{name: db}"), "vpcs[0].networks[1]"),
        (network("{name: DB, subnet: 10.1.0.0/24}"), "vpcs[0].networks[1].name"),
        (network("{name: web, subnet: 10.1.0.0/24}"), "vpcs[0].networks[1]", "twice"),
        (network("{name: db, subnet: 10.1.0.0/24, colour: red}"), "vpcs[0].networks[1].colour", "unknown key"),
        (network("{name: db, subnet: 10.1.0.0/24, ports: [{name: a, mac: 52:54}]}"), "vpcs[0].networks[1].ports[0].mac"),
        (network('{name: db, subnet: 10.1.0.0/24, ports: [{name: a, mac: "01:00:5e:00:00:01"}]}'), "vpcs[0].networks[1].ports[0].mac"),
        (network("{name: db, subnet: 10.1.0.0/24, ports: [{name: a, ips: [10.0.0.5]}]}"), "vpcs[0].networks[1].ports[0].ips[0]"),
        (network("{name: db, subnet: 10.1.0.0/24, ports: [{name: a, ips: [10.1.0.5]}, {name: b, ips: [10.1.0.5]}]}"), "vpcs[0].networks[1].ports[1].ips[0]", "already"),
        (network("{name: db, subnet: 10.1.0.0/24, ports: [{name: a, edge: nowhere}]}"), "vpcs[0].networks[1].ports[0].edge", "nowhere"),
        (network("{name: db, subnet: 10.1.0.0/24, ports: [{name: a, vhost: {role: both}}]}"), "vpcs[0].networks[1].ports[0].vhost.role"),
        (GOOD.replace("edge: host1", "edge: host1, anti_spoofing: maybe"), "vpcs[0].networks[0].ports[0].anti_spoofing"),
        ("tenants: [{name: red, quota: {ports: -1}}]", "tenants[0].quota.ports"),
        ("tenants: {name: red}", "tenants"),
        ("edges: [{name: e, datapath_id: 12}]", "edges[0].datapath_id"),
        ("edges: [{name: e, datapath_id: \"0000000000000001\"}, {name: f, datapath_id: \"0000000000000001\"}]", "edges[1].datapath_id", "already"),
        ("vpcs: [{name: main, tenant: nobody}]", "vpcs[0].tenant", "nobody"),
        ("tenants: [{name: x, name: y}]", "(stdin):1:21", "name", "twice"),
        ("tenants: [{name: x}]]", "(stdin):1"),
        ("tenants: [{name: x}\n", "(stdin)"),
        ("- 1\n- 2\n", "(stdin)"),
        ("tenants: &a [*a]", "(stdin)"),
        (GOOD.replace("ports", "\x00ports"), "(stdin)", "0x00"),
    ]
    for document, *said in cases:
        expect(apply(ctl, document), 4 if said[-1] in ("overlaps", "already") else 1, *said)
    expect(vpcctl(ctl, "apply", "-f", "/nonexistent.yaml"), 1, "/nonexistent.yaml")
    # The API itself, without YAML between.
    for body, said in (('{"tenants":[]} x', "end of the document"), ('{"tenants":[{"name":"q","name":"r"}]}', "duplicate"), ('{"tenants":[{"name":"q"}', "line 1"),
                       ('{"tenants":[{"name":"\\u0000"}]}', ""), ("", ""), ("[]", "")):
        status, _, text = ctl.request("POST", "/v1/apply", body)
        error = json.loads(text)["error"]
        assert status == 400 and error["code"] == "invalid" and said in error["message"], (body, status, text)
    for kind in ("tenants", "vpcs", "networks", "ports", "edges"):
        assert ctl.json("get", kind)["items"] == [], kind


def state(ctl):
    """Every object with its spec and revision."""
    return {kind: [(item["name"], item["spec"], item["revision"]) for item in ctl.json("get", kind)["items"]]
            for kind in ("tenants", "vpcs", "networks", "ports", "edges", "fabric-switches")}


def test_apply_is_all_or_nothing(lab):
    ctl = Controllerd(lab.host("control"))
    expect(apply(ctl, GOOD), 0, "revision 1")
    before = state(ctl)
    wrong = GOOD.replace("tenants: [{name: red}]", "tenants: [{name: aaa}, {name: red}]").replace("- {name: b}", "- {name: b}\n          - {name: z, ips: [10.9.0.1]}")
    expect(apply(ctl, wrong), 1, "vpcs[0].networks[0].ports[2].ips[0]")
    assert state(ctl) == before
    # The same again changes nothing, not even a revision.
    expect(apply(ctl, GOOD), 0, "nothing to do", "revision 1")
    assert state(ctl) == before
    # What is not mentioned stays.
    expect(apply(ctl, "tenants: [{name: blue}]\n"), 0, "tenant blue created", "revision 2")
    assert [entry for entry in state(ctl)["tenants"] if entry[0] != "blue"] == before["tenants"] and state(ctl)["ports"] == before["ports"]
    expect(apply(ctl, GOOD, "--dry-run"), 0)
    # Several files are one document, and so one transaction.
    folder = ctl.host.path("documents")
    os.mkdir(folder)
    for name, text in (("1.yaml", "tenants: [{name: green}]\n"), ("2.yaml", "vpcs: [{name: v, tenant: green}]\n"), ("README", "not read")):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    expect(vpcctl(ctl, "apply", "-f", folder), 0, "tenant green created", "vpc green/v created", "revision 3")


def test_diff(lab):
    ctl = Controllerd(lab.host("control"))
    expect(vpcctl(ctl, "diff", "-f", "-", stdin=GOOD), 1, "port red/main/web/a")
    assert state(ctl)["tenants"] == []
    expect(apply(ctl, GOOD), 0)
    assert expect(vpcctl(ctl, "diff", "-f", "-", stdin=GOOD), 0).output.strip() == ""
    shown = expect(vpcctl(ctl, "diff", "-f", "-", stdin=GOOD.replace("10.0.0.11", "10.0.0.99")), 1, "red/main/web/a", "10.0.0.11", "10.0.0.99").output
    assert "red/main/web/b" not in shown, shown
    expect(vpcctl(ctl, "diff", "-f", "-", stdin=GOOD.replace("10.0.0.11", "10.0.0")), 1, "ips[0]")


def test_create_and_delete(lab):
    ctl = Controllerd(lab.host("control"))
    expect(vpcctl(ctl, "create", "tenant", "red"), 0, "tenant red created")
    expect(vpcctl(ctl, "create", "vpc", "red/main"), 0, "vpc red/main created")
    expect(vpcctl(ctl, "create", "network", "red/main/web", "--subnet", "10.0.0.0/24", "--subnet6", "fd00::/64"), 0, "created")
    expect(vpcctl(ctl, "create", "port", "red/main/web/a", "--mac", "52:54:00:00:00:0a", "--ip", "10.0.0.9", "--ip", "fd00::9"), 0, "created")
    expect(vpcctl(ctl, "create", "port", "red/main/web/b"), 0, "created")
    ports = {name: spec for name, spec, _ in state(ctl)["ports"]}
    assert ports["red/main/web/a"]["ips"] == ["10.0.0.9", "fd00::9"] and ports["red/main/web/a"]["mac"] == "52:54:00:00:00:0a", ports
    # The lowest free host address of each subnet; the very first is a router's, one day.
    assert ports["red/main/web/b"]["ips"] == ["10.0.0.2", "fd00::2"], ports
    expect(vpcctl(ctl, "create", "port", "red/main/nowhere/b"), 3, "nowhere")
    expect(vpcctl(ctl, "create", "port", "red/main/web"), 2)
    for kind, name, still in (("tenant", "red", "red/main"), ("vpc", "red/main", "red/main/web"), ("network", "red/main/web", "red/main/web/")):
        expect(vpcctl(ctl, "delete", kind, name), 4, still)
    for kind, name in (("port", "red/main/web/a"), ("port", "red/main/web/b"), ("network", "red/main/web"), ("vpc", "red/main"), ("tenant", "red")):
        expect(vpcctl(ctl, "delete", kind, name), 0, f"{kind} {name} deleted")
        expect(vpcctl(ctl, "delete", kind, name), 3, name)
    assert not any(state(ctl).values())


def test_get_formats(lab):
    ctl = Controllerd(lab.host("control"))
    expect(apply(ctl, GOOD), 0)
    table = expect(vpcctl(ctl, "get", "ports"), 0).output.splitlines()
    assert table[0].split() == ["NAME", "MAC", "IPS", "EDGE", "STATE"], table
    assert table[1].split()[:4] == ["red/main/web/a", "52:54:00:00:00:01", "10.0.0.11", "host1"] and len(table) == 3, table
    wide = expect(vpcctl(ctl, "get", "ports", "-o", "wide"), 0).output.splitlines()
    assert set(table[0].split()) < set(wide[0].split()) and "ID" in wide[0].split(), wide
    items = json.loads(expect(vpcctl(ctl, "get", "ports", "-o", "json"), 0).output)["items"]
    assert [item["name"] for item in items] == ["red/main/web/a", "red/main/web/b"] and f"p{items[0]['status']['id']}" == items[0]["status"]["device"], items
    one = json.loads(expect(vpcctl(ctl, "get", "port", "red/main/web/a", "-o", "json"), 0).output)
    assert one == items[0], one
    for kind, name in (("tenants", "red"), ("vpcs", "red/main"), ("networks", "red/main/db"), ("edges", "host1")):
        for form in ("table", "wide", "json", "yaml"):
            assert name.rsplit("/", maxsplit=1)[-1] in expect(vpcctl(ctl, "get", kind, "-o", form), 0).output, (kind, form)
    expect(apply(ctl, "tenants: [{name: blue}]\nvpcs: [{name: main, tenant: blue}]\n"), 0)
    assert len(ctl.json("get", "vpcs")["items"]) == 2
    assert [item["name"] for item in ctl.json("get", "vpcs", "--tenant", "blue")["items"]] == ["blue/main"]
    expect(vpcctl(ctl, "get", "ports", "-o", "xml"), 2, "xml")


def test_what_get_gives_can_be_applied(lab):
    """apply(get -o yaml) is nothing to do where it came from, and the same site anywhere else."""
    ctl, other = Controllerd(lab.host("control")), Controllerd(lab.host("other"))
    document = GOOD.replace("edges:", "fabric_switches: [{name: fab1, datapath_id: \"00000000000000fa\"}]\nedges:").replace(
        "tenants: [{name: red}]", "tenants: [{name: red, quota: {ports: 7, networks: 5, vpcs: 3}}, {name: 'null'}]").replace(
        "- {name: b}", "- {name: b, anti_spoofing: false, vhost: {role: server, queues: 2}}\n          - {name: 'on', edge: host1, ofport_of: vm1}\n          - {name: '123'}")
    expect(apply(ctl, document), 0)
    text = [expect(vpcctl(ctl, "get", kind, "-o", "yaml"), 0).output for kind in ("edges", "fabric-switches", "tenants", "vpcs", "networks", "ports")]
    for part in text:
        expect(apply(ctl, part), 0, "nothing to do")
        expect(apply(other, part), 0, "created")
    def specs(c):
        return {kind: [(name, spec) for name, spec, _ in objects] for kind, objects in state(c).items()}
    assert specs(other) == specs(ctl), (specs(other), specs(ctl))


# --- With switches ---

def one_network(lab, fabric=None, **kwargs):
    site = Site(lab, fabric=fabric, **kwargs)
    for i, name in enumerate("ab"):
        site.endpoint("red", name, i % 2, f"52:54:00:00:00:0{i + 1}", f"10.0.0.{11 + i}", f"fd00::{11 + i}")
    return site.start()


def test_wait_installed(lab):
    """It returns when the switches hold every rule, and not before."""
    site = one_network(lab)
    for n in (40, 80):
        ports = [{"name": f"v{i}", "mac": f"52:54:00:01:00:{i:02x}", "edge": "host1"} for i in range(n - 40, n)]
        site.apply({"vpcs": [{"name": "main", "tenant": "red", "networks": [{"name": "web", "ports": ports}]}]})
        flows = [edge.ofctl("dump-flows") for edge in site.edges]
        for edge, text in zip(site.edges, flows):
            missing = [p["mac"] for p in ports if p["mac"] not in text]
            assert not missing, f"{edge.name} lacks rules of {missing}"
        status = site.ctl.json("get", "edge", "host1")["status"]
        assert status["rules"] == flows[0].count("cookie="), (status, flows[0].count("cookie="))
        devices = {port["name"] for port in site.edges[0].json("ports")["ports"]}
        wanted = {item["status"]["device"] for item in site.ctl.json("get", "ports")["items"] if item["spec"]["edge"] == "host1"}
        assert wanted <= devices and len(wanted) == n + 1, wanted - devices
    site.edges[1].stop()
    # A dead host keeps nobody waiting who did not ask anything of it.
    alone = {"tenants": [{"name": "green"}], "vpcs": [{"name": "main", "tenant": "green", "networks": [
        {"name": "web", "subnet": "10.0.0.0/24", "ports": [{"name": "x", "edge": "host1"}]}]}]}
    result = site.apply(alone, "--timeout", "10s", check=False)
    assert result.rc == 0, result
    more = {"vpcs": [{"name": "main", "tenant": "red", "networks": [{"name": "web", "ports": [{"name": "late", "edge": "host2"}]}]}]}
    result = site.apply(more, "--timeout", "1s", check=False, wait=False)
    assert result.rc == 0, result
    expect(vpcctl(site.ctl, "delete", "port", "red/main/web/late", "--wait=installed", "--timeout", "1s"), 6, "0000000000000002")


def test_trace_and_whois(lab):
    site = one_network(lab, "ovs")
    ctl, (a, b) = site.ctl, site.endpoints
    b.listen()
    for target in b.ips:
        shown = expect(vpcctl(ctl, "trace", a.full_name, "--to", target), 0, "delivered", "virtual", "fabric middle", "landing host2").output
        assert shown.index("edge host1") < shown.index("fabric middle") < shown.index("landing host2"), shown
        answer = ctl.json("trace", a.full_name, "--to", target)
        assert answer["verdict"] == "delivered" and answer["from"] == a.full_name and answer["to"] == b.full_name, answer
    answer = json.loads(expect(vpcctl(ctl, "trace", a.full_name, "--to", "10.0.0.77", "-o", "json"), 1).output)
    assert (answer["verdict"], answer["reason"]) == ("dropped", "unknown-target"), answer
    answer = json.loads(vpcctl(ctl, "trace", a.full_name, "--to", a.ipv6, "-o", "json").output)
    assert answer["verdict"] == "answered", answer
    expect(vpcctl(ctl, "trace", "red/main/web/z", "--to", "10.0.0.12"), 3, "red/main/web/z")
    expect(vpcctl(ctl, "trace", a.full_name, "--to", "10.0.0"), 1, "10.0.0")
    expect(vpcctl(ctl, "trace", a.full_name), 2, "--to")
    # A trace sends nothing.
    assert b.heard() == []
    site.middle.run(["ip", "link", "set", "to2", "down"])
    site.wait_links(1)
    answer = json.loads(expect(vpcctl(ctl, "trace", a.full_name, "--to", b.ipv4, "-o", "json"), 1).output)
    assert (answer["verdict"], answer["reason"]) == ("dropped", "no-path"), answer

    status = ctl.json("get", "port", b.full_name)["status"]
    answer = ctl.json("whois", status["provider_mac"])
    assert answer["port"] == b.full_name and answer["mac"] == b.mac and answer["edge"] == "host2", answer
    assert {address["ip"] for address in status["addresses"]} > set(b.ips), status
    for address in status["addresses"]:
        answer = ctl.json("whois", address["provider"])
        assert answer["port"] == b.full_name and answer["ip"] == address["ip"], answer
    expect(vpcctl(ctl, "whois", "192.0.2.1"), 3, "192.0.2.1")
    expect(vpcctl(ctl, "whois", "nonsense"), 1, "nonsense")


COMPLETE = """
source <(vpcctl completion bash)
complete -p vpcctl > /dev/null || exit 9
COMP_WORDS=(vpcctl --server "$SERVER" "$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
_vpcctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_completion(lab):
    ctl = Controllerd(lab.host("control"))
    expect(apply(ctl, GOOD), 0)
    script = ctl.host.path("vpcctl.bash")
    with open(script, "w", encoding="utf-8") as file:
        file.write(expect(vpcctl(ctl, "completion", "bash"), 0).output)
    ctl.host.run(["bash", "-n", script])
    environment = {"PATH": os.path.dirname(program("vpcctl")) + ":" + os.environ["PATH"], "SERVER": ctl.server}
    def complete(*words):
        return ctl.host.run(["bash", "-c", COMPLETE, "bash", *words], env=environment).output.split()
    assert complete("ap") == ["apply"]
    assert set(complete("get", "")) >= {"tenants", "vpcs", "networks", "ports", "edges", "fabric-switches", "links"}
    assert complete("get", "net") == ["networks"]
    assert complete("get", "ports", "red/main/web/") == ["red/main/web/a", "red/main/web/b"]
    assert complete("delete", "network", "") == ["red/main/db", "red/main/web"]
    assert complete("trace", "red/main/web/b") == ["red/main/web/b"]
    assert complete("get", "ports", "-o", "") == ["table", "wide", "json", "yaml"]
    expect(vpcctl(ctl, "completion", "fish"), 2, "fish")
