"""The bench in its quick form: everything runs, every line has its figures, no frame comes back damaged.  No threshold: a busy machine is slow."""
import csv
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from xml.etree import ElementTree

from utilities.bench import cases, rules
from utilities.bench.flowmods import FlowMods
from utilities.lab.daemons import Vswitchd
from utilities.lab.image import TOP

BENCH = os.path.join(TOP, "utilities", "bench", "bench.py")


def generator():
    build = os.environ.get("POLDER_BUILD") or os.environ.get("POLDER_BUILDDIR") or TOP
    return os.path.join(build, "utilities/bench/gen")


def test_quick(lab):
    # vswitchd and, if it is there, the ceiling; its own Lab makes and removes what it needs.
    switches = ["vswitchd"] + (["testpmd"] if shutil.which("dpdk-testpmd") else [])
    out = os.path.join(lab.dir, "out")
    ran = subprocess.run([sys.executable, BENCH, "--quick", "--no-hugepages", "--switches", ",".join(switches), "--out", out],
                         capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with open(os.path.join(out, "measurements.csv"), encoding="utf-8") as file:
        measured = list(csv.DictReader(file))
    several = ["vswitchd, one thread", "vswitchd"] if len(os.sched_getaffinity(0)) >= cases.CORES else []
    assert [(m["case"], m["switch"]) for m in measured] == [(c.name, s) for c in lab_order() for s in (switches if c.cores == 1 else several)]
    for m in measured:
        if "-cores/" in m["case"]:
            assert int(m["received"]) > 10000, m
            continue
        assert int(m["received"]) > 100 and int(m["checked"]) > 10 and m["damaged"] == m["reordered"] == "0", m
        assert (int(m["flow_mods"]) > 20) == ("-mods/" in m["case"] and m["switch"] == "vswitchd"), m
        assert 0 < float(m["latency_p50"]) <= float(m["latency_p99"]) <= float(m["latency_p999"]) <= float(m["latency_max"]), m
        assert 0 < float(m["latency_part_p50"]) <= float(m["latency_part_p99"]) <= float(m["latency_part_p999"]) <= float(m["latency_max"]), m
    with open(os.path.join(out, "summary.csv"), encoding="utf-8") as file:
        assert [row["case"] for row in csv.DictReader(file)] == [c.name for c in cases.QUICK if c.cores == 1 or several]
    bars = ElementTree.parse(os.path.join(out, "plot.svg")).getroot()
    assert len(list(bars.iter("{http://www.w3.org/2000/svg}text"))) > len(cases.QUICK)
    assert all(case.name in ran.stdout for case in cases.QUICK if case.cores == 1 or several)


def lab_order():
    """The cases as they are measured: rule set by rule set."""
    return [case for name in dict.fromkeys(c.rules for c in cases.QUICK) for case in cases.QUICK if case.rules == name]


def switch(lab):
    host = lab.host("host1")
    ports = [{"name": f"p{i}", "type": "vhost-user", "role": "server", "path": host.path(f"p{i}.sock"), "ofport": i} for i in (1, 2)]
    return host, Vswitchd(host, 1, ports=ports)


def generate(host, flows, *args, check=True):
    run = host.run([generator(), "--tx", host.path("p1.sock"), "--rx", host.path("p2.sock"), "--flows", flows, "--seconds", "0.3", "--warmup", "0.1", *args], check=check, merge=False)
    return json.loads(run.output) if check else run


def flows_file(host, lines):
    path = host.path("flows")
    rules.write(path, lines)
    return path


def test_weights_and_loss(lab):
    """Flows get frames by their weights; a rule that drops one flow shows as exactly its share of loss; damage is told from loss."""
    host, sw = switch(lab)
    lines = [f"52:54:00:00:00:0{i} 52:54:00:00:01:00 10.0.0.{i} 10.0.1.1 17 1000 {2000 + i} weight={w}" for i, w in ((1, 1), (2, 3), (3, 4))]
    flows, counts = flows_file(host, lines), host.path("counts.csv")
    sw.ofctl("add-flow", "priority=1,in_port=1,actions=output:2")

    def received():
        with open(counts, encoding="ascii") as file:
            return [int(row["received"]) for row in csv.DictReader(file)]
    result = generate(host, flows, "--rate", "20000", "--per-flow", counts)
    got = received()
    assert result["lost"] == 0 and result["damaged"] == 0 and sum(got) > 1000, (result, got)
    for i, weight in enumerate((1, 3, 4)):
        assert abs(got[i] / sum(got) - weight / 8) < 0.02, got

    sw.ofctl("add-flow", "priority=2,in_port=1,udp,udp_dst=2002,actions=drop")
    result = generate(host, flows, "--rate", "20000", "--per-flow", counts)
    got = received()
    assert got[1] == 0 and abs(result["lost"] / (result["lost"] + sum(got)) - 3 / 8) < 0.03, (result, got)

    # Twice the frames is a loss below zero; a changed TTL (checksum updated) is no damage, a label in front of the IP header is.
    sw.ofctl("del-flows")
    sw.ofctl("add-flow", "ip,in_port=1,actions=output:2,dec_ttl,output:2")
    result = generate(host, flows, "--rate", "20000")
    assert result["lost"] < 0 and result["damaged"] == 0 and result["reordered"] > 0, result
    sw.ofctl("add-flow", "ip,in_port=1,actions=push_mpls:0x8847,output:2")
    result = generate(host, flows, "--rate", "20000")
    assert result["damaged"] == result["checked"] > 0, result


def test_fresh_flows_and_sizes(lab):
    host, sw = switch(lab)
    flows = flows_file(host, ["52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 10.0.0.2 6 1 80"])
    # With --fresh the one flow's source port goes up from frame to frame, so it passes each of these.
    sw.ofctl("add-flow", "priority=1,in_port=1,actions=output:2")
    for port in (5, 500, 1000, 2000):
        sw.ofctl("add-flow", f"priority=9,in_port=1,tcp,tcp_src={port},actions=output:2")
    result = generate(host, flows, "--fresh", "--rate", "20000")
    assert result["damaged"] == 0 and result["lost"] == 0, result
    hit = [line for line in sw.ofctl("dump-flows").splitlines() if "priority=9" in line]
    assert len(hit) == 4 and all("n_packets=0," not in line for line in hit), hit
    for size, mean in (("60", 60), ("1500", 1500), ("imix", (7 * 60 + 4 * 590 + 1514) / 12)):
        result = generate(host, flows, "--size", size, "--rate", "12000")
        assert result["damaged"] == 0 and abs(result["received_bps"] / 8 / result["received_pps"] - mean) < 0.02 * mean, result


def test_fresh_flows_become_one(lab):
    """Flows that never come back are known by what the rules tell apart, within a second or two of them: vswitchd(8), cache."""
    host, sw = switch(lab)
    flows = flows_file(host, [f"52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.{i} 10.0.1.1 6 1 80" for i in range(1, 31)])
    sw.ofctl("add-flow", "priority=1,in_port=1,actions=output:2")
    sw.ofctl("add-flow", "priority=9,in_port=1,tcp,tcp_src=7,nw_src=10.9.9.9,actions=drop")

    def lanes():
        return int(next(line.split()[-1] for line in sw.vswctl("metrics").output.splitlines() if line.startswith("polder_vswitch_cache_lanes ")))
    assert lanes() == 0
    generate(host, flows, "--fresh", "--rate", "100000", "--seconds", "2")
    assert lanes() > 0


def test_no_way_through(lab):
    host, _ = switch(lab)
    flows = flows_file(host, ["52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 10.0.0.2 6 1 80"])
    run = generate(host, flows, check=False)
    assert run.rc == 6 and "no frame came back" in run.errors, run
    run = generate(host, host.path("nowhere"), check=False)
    assert run.rc == 1 and "nowhere" in run.errors, run


def bench(*args):
    return subprocess.run([sys.executable, BENCH, *args], capture_output=True, text=True, timeout=100, check=False)


def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            file.write(struct.pack("=IIII", 0, 0, len(data), len(data)) + data)


def test_own_rules_and_traffic(lab):
    """A user's groups, meters and entries; flows of a file, then a capture with IPv6 and ARP, of which the rules let only the IPv6 half through."""
    entries, flows, pcap, out = (os.path.join(lab.dir, name) for name in ("own.rules", "own.flows", "own.pcap", "own.out"))
    rules.write(entries, ["# mine", "meter=7,pktps,band=type=drop,rate=100000000", "group_id=3,type=indirect,bucket=output:2", "", "priority=9,ip,actions=meter:7,group:3  # to port 2",
                          "priority=9,ipv6,actions=group:3"])
    rules.write(flows, ["52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 10.0.0.2 17 1024 80 weight=3", "52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 10.0.0.3 6 1024 80"])
    ethernet = bytes.fromhex("525400000002525400000001")
    ipv6 = b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, 8, 17, 64) + bytes(32) + struct.pack("!HHHH", 1, 2, 8, 0)
    write_pcap(pcap, [ethernet + ipv6, ethernet + b"\x08\x06" + bytes(46)])
    quick = ["--quick", "--no-hugepages", "--switches", "vswitchd", "--out", out, "--rules", entries]
    for traffic, lines, rate in ((flows, ["own", "own-imix"], 1), (pcap, [], 0.5)):
        ran = bench(*quick, "--traffic", traffic, *lines)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        with open(os.path.join(out, "measurements.csv"), encoding="utf-8") as file:
            measured = list(csv.DictReader(file))
        assert [m["case"] for m in measured] == [f"{name}/2" for name in lines or ["own"]], measured
        for m in measured:
            assert int(m["received"]) > 100 and m["damaged"] == "0" and (int(m["checked"]) > 10) == bool(lines), m
            assert 0.8 * rate < int(m["received"]) / int(m["sent"]) < 1.2 * rate, m


def test_own_mistakes(lab):
    good, bad, empty, flows = (os.path.join(lab.dir, name) for name in ("good", "bad", "empty", "flows"))
    rules.write(good, ["actions=output:2"])
    rules.write(bad, ["actions=output:2", "priority=1,nonsense=3,actions=output:2"])
    rules.write(empty, ["# nothing"])
    rules.write(flows, ["52:54:00:00:00:01 52:54:00:00:00:02 10.0.0.1 10.0.0.2 17 1024 80"])
    for args, status, words in ((["--rules", good], 2, "go together"), (["--rules", empty, "--traffic", flows], 2, "holds no flow entry"),
                                (["--rules", good, "--traffic", empty], 2, "holds no flow"), (["--rules", good, "--traffic", flows + "?"], 2, "No such file"),
                                (["--rules", bad, "--traffic", flows, "--quick", "--no-hugepages", "--switches", "vswitchd"], 1, "nonsense")):
        ran = bench(*args)
        assert ran.returncode == status and words in ran.stderr, (args, ran.stdout, ran.stderr)


def test_flow_mods(lab):
    """They reach the switch at their rate, and none of them is left at the end."""
    _, sw = switch(lab)
    sw.ofctl("add-flow", "in_port=1,actions=output:2")

    def entries():
        return sw.ofctl("dump-flows").count("actions=")
    with FlowMods(sw.openflow_socket, 1000, min(os.sched_getaffinity(0))) as stream:
        time.sleep(1.5)
        assert 400 <= entries() <= 502, entries()
    assert 1000 < stream.sent < 1700, stream.sent
    assert entries() == 1, entries()
