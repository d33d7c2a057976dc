"""An oracle over physical rules: no rule of an edge reaches two tenants.

It reads what a switch says it holds (ovs-ofctl dump-flows, dump-groups) and knows of the model only whose a network's id and whose a switch port is.  What controllerd intends is not asked: the
pipeline of controller/edge_tables.h is taken as a claim, and each rule is held to it alone.

    problems = isolation.problems(flows_text, groups_text, Owners({network id: tenant}, {port number: tenant}))

Why this is enough: only tables 0 and 1 give a frame its network (reg0), each rule there from a device port or a landing of the same tenant; every other rule of a tenant's matches exactly one
network, cannot write reg0 but to give a frame to another switch of the same tenant, and sends to device ports of its tenant only.  So by induction over the pipeline a frame stays its tenant's.
"""
import re

T_CLASSIFY, T_LANDING, T_VIRT, T_VIRT_LAST, T_DELIVER, T_FABRIC = 0, 1, 16, 239, 240, 245
SUBSTRATE_TABLES = {0, 1, 2, 3, 4, 5, 6, T_DELIVER, 241, 242, 243, 244, 245, 246}      # Where rules of no network may be.
FLOW = re.compile(r"cookie=(0x[0-9a-f]+|0), duration=\S+, table=(\d+), .*?(?:priority=(\d+))?,?(\S*) actions=(.*)$")
GROUP = re.compile(r"group_id=(\d+),(.*)$")
REG0_LOAD = re.compile(r"(?:load:(0x[0-9a-f]+|\d+)->NXM_NX_REG0\[\](?!\d))|(?:set_field:(0x[0-9a-f]+|\d+)(/\S+?)?->reg0\b)")
REG0_ANY = re.compile(r"NXM_NX_REG0\[|->reg0\b|PKT_REG0\[|->xreg0\b|XXREG0\[|->xxreg0\b")


class Owners:
    """networks: {id: tenant}; ports: {switch port number: tenant}, only those that tenants' ports are bound to."""

    def __init__(self, networks, ports):
        self.networks, self.ports = networks, ports


class Rule:
    def __init__(self, cookie, table, match, actions):
        self.cookie, self.table, self.match, self.actions = cookie, table, match, actions
        self.network = cookie >> 32
        # A note may hold anything.
        self.plain = re.sub(r"note:[0-9a-f.]+", "", actions)
        self.reg0 = re.search(r"(?:^|,)reg0=(0x[0-9a-f]+|\d+)(/\S+)?(?:,|$)", match)
        self.loads = {int(found[0] or found[1], 0) for found in REG0_LOAD.findall(self.plain)}
        self.outputs = {int(n) for n in re.findall(r"\boutput:(\d+)", self.plain)}
        self.groups = {int(n) for n in re.findall(r"\bgroup:(\d+)", self.plain)}
        self.resubmits = {int(n) for n in re.findall(r"\bresubmit\(\d*,(\d+)\)", self.plain)}

    def __str__(self):
        return f"cookie={self.cookie:#x},table={self.table},{self.match} actions={self.actions}"


def rules(text):
    found = []
    for line in text.splitlines():
        if "actions=" in line:
            parts = FLOW.search(line)
            if not parts:
                raise ValueError(f"a flow entry that this oracle cannot read: {line}")
            match = parts[4] if parts[3] is not None else parts[4] or ""
            found.append(Rule(int(parts[1], 0), int(parts[2]), match, parts[5]))
    return found


def groups(text):
    """{id: Rule-like view of all its buckets}"""
    found = {}
    for line in text.splitlines():
        if parts := GROUP.search(line):
            found[int(parts[1])] = Rule(0, -1, "", parts[2])
    return found


def _match_in_port(rule):
    found = re.search(r"(?:^|,)in_port=(\d+)(?:,|$)", rule.match)
    return int(found[1]) if found else None


def _of_network(rule, owners):
    """What is wrong with a rule that bears a network's cookie."""
    tenant = owners.networks.get(rule.network)
    if tenant is None:
        yield "of a network that is not there"
        return
    named = {rule.network} | rule.loads | ({int(rule.reg0[1], 0)} if rule.reg0 else set())
    if {owners.networks.get(n) for n in named} != {tenant}:
        yield f"names networks of several tenants: {sorted(named)}"
    if rule.table == T_CLASSIFY and re.search(r"(?:^|,)in_port=(CONTROLLER|4294967293)(?:,|$)", rule.match):
        # A packet-out, which no tenant's frame can be: controllerd has set reg0, and the rule only leads on.
        if not rule.reg0 or rule.reg0[2] or int(rule.reg0[1], 0) != rule.network or REG0_ANY.search(rule.plain):
            yield "takes packet-outs that are not its network's"
    elif rule.table in (T_CLASSIFY, T_LANDING):
        if rule.loads != {rule.network}:
            yield "gives a frame to another network than its own"
        if rule.table == T_CLASSIFY and owners.ports.get(_match_in_port(rule)) != tenant:
            yield "takes frames from a port that is not its tenant's"
    elif not rule.reg0 or rule.reg0[2] or int(rule.reg0[1], 0) != rule.network:
        yield "does not match its network exactly"
    if T_VIRT <= rule.table <= T_VIRT_LAST:
        if REG0_ANY.search(rule.plain):
            yield "a tenant's entry touches the register that says whose a frame is"
        if rule.resubmits - {T_DELIVER}:
            yield f"a tenant's entry jumps to table {rule.resubmits}"
    elif len(re.findall(REG0_ANY, rule.plain)) != len(re.findall(REG0_LOAD, rule.plain)):
        yield "writes a part of reg0"
    if wrong := {port for port in rule.outputs if owners.ports.get(port) != tenant}:
        yield f"sends to ports {wrong} that are not its tenant's"


def _of_substrate(rule, owners):
    if rule.table not in SUBSTRATE_TABLES:
        yield f"a rule of no network in table {rule.table}"
    if REG0_ANY.search(rule.plain):
        yield "a rule of no network gives frames to one"
    if wrong := rule.outputs & set(owners.ports):
        yield f"a rule of no network sends to tenants' ports {wrong}"


def problems(flows_text, groups_text, owners):
    """[text]; empty when no rule reaches two tenants."""
    found, users = [], {}
    all_groups = groups(groups_text)
    for rule in rules(flows_text):
        check = _of_network if rule.network else _of_substrate
        found += [f"{what}: {rule}" for what in check(rule, owners)]
        tenant = owners.networks.get(rule.network) if rule.network else None
        reached, waiting = set(), list(rule.groups)
        while waiting:                          # Through chained groups.
            group = waiting.pop()
            if group not in reached:
                reached.add(group)
                waiting += all_groups[group].groups if group in all_groups else []
        for group in reached:
            users.setdefault(group, set()).add(tenant)
    for group, tenants in users.items():
        view = all_groups.get(group)
        if view is None:
            found.append(f"group {group} is used and not there")
        elif len(tenants) > 1:
            found.append(f"group {group} is used by {sorted(map(str, tenants))}")
        else:
            tenant = next(iter(tenants))
            if any(owners.ports.get(port) != tenant for port in view.outputs) if tenant else view.outputs & set(owners.ports):
                found.append(f"group {group} of {tenant} sends to ports {view.outputs} that are not its tenant's: {view.actions}")
            if any(owners.networks.get(n) != tenant for n in view.loads):
                found.append(f"group {group} of {tenant} gives frames to networks {view.loads}: {view.actions}")
    return found


def owners_of(ctl):
    """{edge: Owners} of all edges, as the API tells it."""
    networks, ports = {}, {}
    for kind in ("networks", "switches"):
        for item in ctl.json("get", kind)["items"]:
            networks[int(item["status"]["id"])] = item["name"].split("/")[0]
    for kind in ("ports", "switch-ports"):
        for item in ctl.json("get", kind)["items"]:
            if item["status"].get("edge_port"):
                ports.setdefault(item["spec"]["edge"], {})[item["status"]["edge_port"]] = item["name"].split("/")[0]
    return {item["name"]: Owners(networks, ports.get(item["name"], {})) for item in ctl.json("get", "edges")["items"]}


def check(ctl, edges):
    """edges: {name: function(ovs-ofctl command) -> text}.  AssertionError that shows what is wrong."""
    owners = owners_of(ctl)
    for name, ofctl in edges.items():
        wrong = problems(ofctl("dump-flows"), ofctl("dump-groups"), owners[name])
        assert not wrong, f"{name}: {len(wrong)} rules reach further than their tenant:\n" + "\n".join(wrong[:10])
