"""Does a second polling thread double the throughput?  The lines `*-cores`.

A generator would need CPUs of its own, which small machines do not have, and its rings would hide what is asked here: whether polling threads get in each other's way by sharing
cache lines (counters, ports, tables, caches).  So the switch makes its own traffic: each of two ports plays a pcap file of flows from memory for ever (net_pcap), each sends to a port
that takes everything (net_null), and both pass the same entries.  One thread polls both ports, then two poll one each, in turn.

What is compared is frames per second of the threads' CPU time, so that what others do on the machine counts little.
"""
import os
import socket
import struct
import time

from utilities.bench import peers
from utilities.lab.cleanup import LabError
from utilities.lab.daemons import Vswitchd

SOURCES, SINKS = (1, 3), (2, 4)
LAST_TABLE = 9                          # Sends a frame to its source's sink.
FRAME = 60
HUGEPAGES_MB = 384                      # More than one vswitchd has: there are two.


def _address(text):
    return bytes(int(byte, 16) for byte in text.split(":"))


def _checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xffff) + (total >> 16)
    return 0xffff - ((total & 0xffff) + (total >> 16))


def frame(flow):
    """The frame of a line of a flow file (flows.h)."""
    src_mac, dst_mac, src, dst, proto, sport, dport = flow.split()[:7]
    l4 = struct.pack("!HHHH", int(sport), int(dport), FRAME - 34, 0) if int(proto) == 17 else struct.pack("!HHIIBBHHH", int(sport), int(dport), 1, 1, 0x50, 0x10, 1024, 0, 0)
    l4 = l4.ljust(FRAME - 34, b"\0")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(l4), 0, 0, 64, int(proto), 0, socket.inet_aton(src), socket.inet_aton(dst))
    ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
    return _address(dst_mac) + _address(src_mac) + b"\x08\x00" + ip + l4


def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            file.write(struct.pack("=IIII", 0, 0, len(data), len(data)) + data)


def entries(rule_set):
    """The set's entries for both sources: where they send to port 2, the last table decides."""
    return ([each.replace("output:2", f"goto_table:{LAST_TABLE}") for each in rule_set.entries]
            + [f"table={LAST_TABLE},in_port={source},actions=output:{sink}" for source, sink in zip(SOURCES, SINKS)])


class Vswitch(peers.Switch):
    """vswitchd with so many polling threads, at work from its first entry on."""

    name, thread = "vswitchd", "poll-"

    def __init__(self, setup, rules, threads, flows):
        super().__init__(setup)
        host = setup.lab.host(f"polder-{rules}-{threads}")
        pcap = host.path("flows.pcap")
        write_pcap(pcap, map(frame, flows))
        ports = [{"name": f"source{no}", "type": "dpdk", "devargs": f"net_pcap{no},rx_pcap={pcap},infinite_rx=1", "ofport": no} for no in SOURCES]
        ports += [{"name": f"sink{no}", "type": "dpdk", "devargs": f"net_null{no},no-rx=1", "ofport": no} for no in SINKS]
        cpus = sorted(os.sched_getaffinity(0))[-threads:]
        self.daemon = Vswitchd(host, 1, ports=ports, poll=",".join(map(str, cpus)), extra={
            "dpdk": {"hugepages": "on" if setup.hugetlbfs else "off", "eal_args": ["--huge-dir", setup.hugetlbfs] if setup.hugetlbfs else []}, "log_level": "warn"})
        self.process, self.ofctl_target, self.threads = self.daemon.process, f"unix:{self.daemon.openflow_socket}", threads

    def _cpu_ns(self):
        """CPU time of each polling thread so far, by its number."""
        used = {}
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/comm", encoding="ascii") as file:
                name = file.read().strip()
            if name.startswith(self.thread):
                with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as file:
                    used[int(name[len(self.thread):])] = int(file.read().split()[0])
        return used

    def _packets(self):
        return {t["thread"]: t["packets"] for t in self.daemon.json("perf")["poll_threads"]}

    def measure(self, seconds):
        """A measurement as the generator gives it, of the frames of all threads."""
        time.sleep(seconds / 4)
        packets, cpu = self._packets(), self._cpu_ns()
        time.sleep(seconds)
        packets = {no: n - packets[no] for no, n in self._packets().items()}
        cpu = {no: ns - cpu[no] for no, ns in self._cpu_ns().items()}
        if len(packets) != self.threads or not all(packets.values()) or not all(cpu.values()):
            raise LabError(f"of {self.threads} polling threads not all have frames: {packets}")
        received, rate = sum(packets.values()), sum(packets[no] / cpu[no] * 1e9 for no in packets)
        return {"sent": received, "received": received, "received_pps": rate, "window_p90_pps": rate, "offered_pps": 0, "lost": 0, "damaged": 0, "reordered": 0, "checked": 0,
                "cpu_ns": sum(cpu.values()), "cycles": 0, "instructions": 0, "latency_ns": {p: 0 for p in ("p50", "p99", "p999", "max", "part_p50", "part_p99", "part_p999")}}
