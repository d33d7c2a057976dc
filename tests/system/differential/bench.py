"""The two switches with the same ports, and what a batch of packets does on each.

Frames go in by packet-out with output:TABLE, which gives both exactly the bytes and the ingress port that the test chose, whatever a kernel's devices do to tags and short frames.
They come out in files: DPDK's net_pcap and Open vSwitch's dummy devices both write what they send into a pcap file, so every byte is seen and no kernel is in between.
A sentinel frame behind each batch, on every port and to the controller, tells that all before it has come out.
"""
import os
import struct
import time

from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd
from utilities.lab.ovs import Ovs

from . import channel

N_PORTS = 5
DOWN_PORT = 6                   # There on both, administratively down: for fast failover.
SENTINEL_HEADER = bytes.fromhex("0e5e471e1000" "0e5e471e1001" "88b5")
SENTINEL_FLOW = "cookie=0xffffff,table=0,priority=65535,dl_type=0x88b5,eth_src=0e:5e:47:1e:10:01,actions=in_port,all,controller:65535"
PAUSE_S = 0.0005
FRAG_NX_MATCH = 3               # Open vSwitch's default hides the ports of first fragments from matches (README.md).


class PcapTail:
    """A pcap file that grows, read frame by frame."""

    def __init__(self, path):
        self.path = path
        self._file = open(path, "rb", buffering=0)
        self._buffer, self._started = b"", False

    def read(self):
        """The frames written since the last call."""
        frames, data = [], self._file.read(1 << 22)
        if data:
            self._buffer += data
        at = 0
        if not self._started:
            if len(self._buffer) < 24:
                return frames
            at, self._started = 24, True
        while len(self._buffer) - at >= 16:
            size, = struct.unpack_from("=I", self._buffer, at + 8)
            if len(self._buffer) - at - 16 < size:
                break
            frames.append(self._buffer[at + 16:at + 16 + size])
            at += 16 + size
        self._buffer = self._buffer[at:]
        return frames


class Side:
    """One switch: its channel and what came out."""

    def __init__(self, name, socket_path, pcaps, fragments=0):
        self.name = name
        self._target = name, socket_path, fragments
        self.connect()
        self.tails = [PcapTail(path) for path in pcaps]
        self.sentinel = None

    def connect(self):
        self.channel = channel.Channel(*self._target)

    def without_sentinels(self, port, numbers):
        """A port's (packets received, sent, bytes received, sent): both switches send as many sentinels."""
        return numbers

    def start(self, packets, serial):
        """Sends a batch of (in_port, frame) and the sentinel behind it."""
        self.expect(serial)
        table = channel.action_output(channel.OFPP_TABLE)
        everywhere = b"".join(channel.action_output(p) for p in [*range(1, len(self.tails) + 1), channel.OFPP_CONTROLLER])
        self.channel.send(*[channel.packet_out(in_port, table, frame) for in_port, frame in packets],
                          channel.packet_out(channel.OFPP_CONTROLLER, everywhere, self.sentinel))

    def expect(self, serial):
        """Begins a batch that ends with the sentinel of this number."""
        self.sentinel = SENTINEL_HEADER + struct.pack("!I", serial).ljust(46, b"\0")
        self._frames = [[] for _ in self.tails]
        self._done = [False] * len(self.tails)

    def poll(self):
        """True when the batch has come out whole."""
        try:
            self.channel.poll()
        except ConnectionError as error:
            raise LabError(f"{self.name} broke its OpenFlow connection ({error})") from None
        for i, tail in enumerate(self.tails):
            if not self._done[i]:
                self._frames[i] += tail.read()
                self._done[i] = bool(self._frames[i]) and self._frames[i][-1] == self.sentinel
        ins = self.channel.packet_ins
        return all(self._done) and bool(ins) and ins[-1][4] == self.sentinel

    def missing(self):
        return "missing on ports " + ", ".join(str(i + 1) for i, done in enumerate(self._done) if not done)

    def outcome(self):
        """([frames of each port], [packet-ins]) of the batch, without the sentinel."""
        ins, self.channel.packet_ins = self.channel.packet_ins[:-1], []
        return [frames[:-1] for frames in self._frames], ins


def pcap_port(host, n, name=None):
    """A port of vswitchd whose device writes what it sends into a file."""
    return {"name": name or f"p{n}", "type": "dpdk", "devargs": f"net_pcap{n},tx_pcap={host.path(f'vswitchd{n}.pcap')}", "ofport": n}


class Bench:
    """vswitchd and Open vSwitch in one namespace."""

    ours = "vswitchd"
    burst = 1 << 20             # Frames that may be under way.

    def __init__(self, lab):
        self.lab, host = lab, lab.host("diff")
        self.host, self._serial = host, 0
        self.sides = [self._our_side(), self._reference()]
        self.recorder = channel.Recorder(lab, host.dir)

    def _our_side(self):
        host = self.host
        self.vswitchd = Vswitchd(host, dpid=1, ports=[pcap_port(host, n) for n in range(1, DOWN_PORT + 1)])
        self.vswitchd.ofctl("mod-port", f"p{DOWN_PORT}", "down")
        return Side(self.ours, self.vswitchd.openflow_socket, [host.path(f"vswitchd{n}.pcap") for n in range(1, N_PORTS + 1)])

    def _reference(self):
        host = self.host
        self.ovs = Ovs(host, options=["--enable-dummy"])
        # vlan-limit=0: as many tags as Open vSwitch can parse, which is two.  flow-limit=0: no flow cache, which lags behind flow-mods.
        self.ovs.vsctl("set", "Open_vSwitch", ".", "other_config:flow-limit=0", "other_config:vlan-limit=0")
        self.ovs.bridge("br0", dpid=1, datapath_type="dummy")
        for n in range(1, DOWN_PORT + 1):
            self.ovs.vsctl("add-port", "br0", f"p{n}", "--", "set", "interface", f"p{n}", "type=dummy", f"ofport_request={n}",
                           f"options:tx_pcap={host.path(f'ovs{n}.pcap')}")
        self.ovs.ofctl("mod-port", "br0", f"p{DOWN_PORT}", "down")
        return Side("Open vSwitch", f"{self.ovs.dir}/br0.mgmt", [host.path(f"ovs{n}.pcap") for n in range(1, N_PORTS + 1)], FRAG_NX_MATCH)

    def traces(self, in_port, frame):
        """How each switch says that it comes to its result."""
        return self.vswitchd.vswctl("trace", f"in_port=p{in_port}", "--packet", frame.hex(), check=False).output \
            + self.ovs.appctl("ofproto/trace", "br0", f"in_port={in_port}", frame.hex())

    def story(self):
        """What else may help to understand a difference."""
        return f"vswitchd's drops so far: {self.vswitchd.drops()}"

    def run(self, packets):
        """Both switches' outcome of a batch."""
        self._serial += 1
        for side in self.sides:
            side.start(packets, self._serial)
        self._wait(self.sides, f"{len(packets)} packets")
        return [side.outcome() for side in self.sides]

    def _wait(self, sides, what):
        deadline = time.monotonic() + channel.WAIT_S
        waiting = list(sides)
        while waiting:
            waiting = [side for side in waiting if not side.poll()]
            if waiting:
                self.lab.signals.check()
                if time.monotonic() > deadline:
                    raise LabError(f"{waiting[0].name}: the sentinel behind {what} did not come out within {channel.WAIT_S} s: {waiting[0].missing()}\n{self.story()}")
                time.sleep(PAUSE_S)

    def receive(self, in_port, frames):
        """vswitchd's outcome of frames that a poll-mode thread receives: the port becomes one whose device has them in a file.  The program has SENTINEL_FLOW."""
        self._serial += 1
        side, name = self.sides[0], f"p{in_port}"
        paths = [self.host.path(f"received{self._serial}.{way}") for way in ("rx", "tx")]
        side.expect(self._serial)
        with open(paths[0], "wb") as file:
            file.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
            for frame in [*frames, side.sentinel]:
                file.write(struct.pack("=IIII", 0, 0, len(frame), len(frame)) + frame)
        self.vswitchd.vswctl("port-del", name)
        self.vswitchd.vswctl("port-add", name, "type=dpdk", f"devargs=net_pcap{100 + self._serial},rx_pcap={paths[0]},tx_pcap={paths[1]}", f"ofport={in_port}")
        side.tails[in_port - 1] = PcapTail(paths[1])
        self._wait([side], f"{len(frames)} received frames")
        return side.outcome()

    def fresh_channels(self):
        """New connections: vswitchd gives each one a budget of packet-ins."""
        for side in self.sides:
            side.channel.close()
            side.connect()

    def clear(self):
        for side in self.sides:
            side.channel.install([channel.DELETE_FLOWS, channel.DELETE_GROUPS, channel.DELETE_METERS])
