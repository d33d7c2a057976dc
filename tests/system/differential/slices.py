"""A tenant's virtual switch in the place of vswitchd: the same programs and packets through controllerd's pipeline on one edge, or on three as a big switch.

The tenant's side is a connection to the virtual switch like any other; frames go in by its packet-outs and come out of the edges' ports, in files.  On several edges, frames for one port
overtake each other (each edge sends on its own, and a pair of addresses that is new on the fabric has to be interned first), so there only what comes out of each port is compared, not its order.
The cables between the edges are veth, where DPDK's af_packet driver makes an outer tag 0x88a8 a 0x8100: there both count as the same.
"""
import json
import os
import time

from utilities.lab.daemons import Controllerd, Vswitchd
from utilities.lab.ovs import Ovs

from . import channel
from .bench import DOWN_PORT, N_PORTS, Bench, Side, pcap_port
from .edges import OvsEdge, edge_ports, edge_trace

LISTEN = 7001
FABRIC_DPID = 0xfa
LATE_S = 3                      # What is not there then does not come.
PLENTY = 1000000
HELD = 16                       # Frames that controllerd keeps while a pair of addresses is being interned (controller/intern.c); the others of a burst are lost.


class SliceSide(Side):
    """The virtual switch over several edges: one sentinel from each of them, and no order."""

    def __init__(self, name, path, pcaps, edge_ports):
        """edge_ports: a port of each edge."""
        super().__init__(name, path, pcaps)
        self.edge_ports, self.wanted, self._n_more = edge_ports, None, 0

    def without_sentinels(self, port, numbers):
        """Without those that the other switch has not sent."""
        n = self._n_more if port <= N_PORTS else 0
        return numbers[0], numbers[1] - n, numbers[2], numbers[3] - n * len(self.sentinel or b"")

    def start(self, packets, serial):
        self.expect(serial)
        self._n_more += len(self.edge_ports) - 1
        table = channel.action_output(channel.OFPP_TABLE)
        self.channel.send(*[channel.packet_out(in_port, table, frame) for in_port, frame in packets])
        for mine in self.edge_ports:
            to = [channel.OFPP_IN_PORT if port == mine else port for port in range(1, N_PORTS + 1)]
            self.channel.send(channel.packet_out(mine, b"".join(channel.action_output(p) for p in [*to, channel.OFPP_CONTROLLER]), self.sentinel))
        self._late = None

    def poll(self):
        """All sentinels are out, and as much else as the other switch gave; or it is too late for that."""
        self.channel.poll()
        for i, tail in enumerate(self.tails):
            self._frames[i] += tail.read()
        counts = [frames.count(self.sentinel) for frames in (*self._frames, [p[4] for p in self.channel.packet_ins])]
        if any(n < len(self.edge_ports) for n in counts):
            return False
        self._late = self._late or time.monotonic() + LATE_S
        frames, ins = self._without_sentinels()
        enough = self.wanted is None or (all(len(f) >= n for f, n in zip(frames, self.wanted[0])) and len(ins) >= self.wanted[1])
        return enough or time.monotonic() > self._late

    def missing(self):
        return f"{[frames.count(self.sentinel) for frames in self._frames]} on the ports, {sum(p[4] == self.sentinel for p in self.channel.packet_ins)} packet-ins"

    def _without_sentinels(self):
        return [[f for f in frames if f != self.sentinel] for frames in self._frames], [p for p in self.channel.packet_ins if p[4] != self.sentinel]

    def outcome(self):
        frames, ins = self._without_sentinels()
        self.channel.packet_ins = []
        return [sorted(map(as_carried, f)) for f in frames], sorted(ins, key=in_order)


def as_carried(frame):
    """A frame as af_packet gives it on."""
    return frame[:12] + b"\x81\x00" + frame[14:] if frame[12:14] == b"\x88\xa8" else frame


def in_order(packet_in):
    """Packet-ins without their order: by what was in them."""
    return packet_in[4], packet_in[3], packet_in[0], packet_in[1]


class SliceBench(Bench):
    """controllerd with one or three edges, and Open vSwitch."""

    ours = "the slice"

    def __init__(self, lab, n_edges=1, ovs_edge=None):
        """ovs_edge: the index of one that is an Open vSwitch."""
        self.n_edges, self.ovs_edge = n_edges, ovs_edge
        if n_edges > 1:
            self.burst = HELD
        super().__init__(lab)

    def edge_of(self, port):
        return (port - 1) * self.n_edges // DOWN_PORT

    def _our_side(self):
        lab = self.lab
        self.ctl = Controllerd(lab.host("control"), extra={"lldp": {"interval_ms": 1000}, "intern": {"pairs_per_network": PLENTY, "idle_s": 3600}})
        hosts = [lab.host(f"host{i + 1}") for i in range(self.n_edges)]
        self._apply(hosts)
        if self.n_edges > 1:
            middle = lab.host("middle")
            for i, host in enumerate(hosts):
                lab.link(host, "fab0", middle, f"to{i + 1}")
            fabric = Ovs(middle)
            fabric.bridge("br0", dpid=FABRIC_DPID, controller=self.ctl.openflow)
            for i in range(self.n_edges):
                fabric.port("br0", f"to{i + 1}", ofport=i + 1)
        where = {n: hosts[self.edge_of(n)] for n in range(1, DOWN_PORT + 1)}
        self.edges = [self._edge(i, host, [n for n in where if where[n] is host]) for i, host in enumerate(hosts)]
        lab.wait_for("the edges", self._is_ready, 30)
        pcaps = [path for n in range(1, N_PORTS + 1) for path in edge_ports(self.edges[self.edge_of(n)], where[n], [n])]
        path = self.ctl.host.namespace, LISTEN
        if self.n_edges == 1:
            return Side(self.ours, path, pcaps)
        return SliceSide(self.ours, path, pcaps, [next(n for n in where if where[n] is host) for host in hosts])

    def _edge(self, i, host, numbers):
        uplinks = ["fab0"] if self.n_edges > 1 else []
        if i == self.ovs_edge:
            return OvsEdge(host, i + 1, self.ctl.openflow, numbers, uplinks)
        return Vswitchd(host, dpid=i + 1, uplinks=uplinks, controllers=[self.ctl.openflow], ports=[pcap_port(host, n, f"d{n}") for n in numbers])

    def _apply(self, hosts):
        """Before the edges come: from the first moment their ports are known to be the tenant's, and no discovery frame leaves them."""
        quota = {"packet_in_rate": PLENTY, "flow_mod_rate": PLENTY}
        ports = [{"name": f"p{n}", "number": n, "edge": hosts[self.edge_of(n)].name, "ofport_of": f"d{n}", "admin_down": n == DOWN_PORT}
                 for n in range(1, DOWN_PORT + 1)]
        doc = {"edges": [{"name": host.name, "datapath_id": f"{i + 1:016x}"} for i, host in enumerate(hosts)],
               "tenants": [{"name": "red", "quota": quota}],
               "slices": [{"name": "lab", "tenant": "red", "edges": [host.name for host in hosts], "switches": [
                   {"name": "big", "datapath_id": f"{1:016x}", "edges": [host.name for host in hosts], "listen": [f"ptcp:{LISTEN}:127.0.0.1"], "ports": ports,
                    "quota": quota}]}]}
        if len(hosts) > 1:
            doc["fabric_switches"] = [{"name": "middle", "datapath_id": f"{FABRIC_DPID:016x}"}]
        path = os.path.join(self.lab.dir, "apply.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(doc, file)
        self.ctl.vpcctl("apply", "-f", path)

    def _is_ready(self):
        """Every switch holds its rules, every cable is known."""
        kinds = ("edges", "fabric-switches") if self.n_edges > 1 else ("edges",)
        states = [item["status"]["state"] for kind in kinds for item in self.ctl.json("get", kind)["items"]]
        links = [item for item in self.ctl.json("get", "links")["items"] if item["status"]["state"] == "up"]
        return all(state == "in-sync" for state in states) and len(links) == (self.n_edges if self.n_edges > 1 else 0)

    def run(self, packets):
        if self.n_edges == 1:
            return super().run(packets)
        ours, theirs = self.sides
        self._serial += 1
        theirs.start(packets, self._serial)
        self._wait([theirs], f"{len(packets)} packets")
        frames, ins = theirs.outcome()
        ours.wanted = [len(f) for f in frames], len(ins)
        ours.start(packets, self._serial)
        self._wait([ours], f"{len(packets)} packets")
        return [ours.outcome(), ([sorted(map(as_carried, f)) for f in frames], sorted(ins, key=in_order))]

    def traces(self, in_port, frame):
        return edge_trace(self.edges[self.edge_of(in_port)], in_port, frame) + self.ovs.appctl("ofproto/trace", "br0", f"in_port={in_port}", frame.hex())

    def story(self):
        return "".join(f"{edge.name} drops {edge.drops()}\n  " for edge in self.edges)
