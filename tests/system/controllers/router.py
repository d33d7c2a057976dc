"""An os-ken application: an IPv4 router in four tables, OpenFlow 1.3.

Port N has the subnet 10.0.N.0/24, and the router is 10.0.N.1 there.  Table 0 sends ARP, and what is for the router itself, to the controller; table 1 is the routing table, longest prefix
first, and puts the next hop's port into metadata; table 2 decrements the TTL and writes the addresses of a known next hop; table 3 sends, by metadata.  ARP, echo replies, time exceeded
(an expired TTL is a packet-in of its own reason) and looking for next hops are the controller's.
"""
import ipaddress

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import arp, ethernet, icmp, ipv4, packet
from os_ken.ofproto import ofproto_v1_3

N_PORTS = 3
CLASSIFY, ROUTE, NEXT_HOP, SEND = range(4)
WAITING = 8                     # Packets that wait for a next hop, at most.


def address(port):
    return f"10.0.{port}.1"


def mac(port):
    return f"02:00:00:00:01:{port:02x}"


class Router(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.hops, self.waiting = {}, {}

    # --- Entries ---

    @staticmethod
    def add(dp, table, priority, match, actions=(), goto=None, metadata=None):
        ofp, parser = dp.ofproto, dp.ofproto_parser
        instructions = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, list(actions))] if actions else []
        if metadata is not None:
            instructions.append(parser.OFPInstructionWriteMetadata(metadata, 0xffffffff))
        if goto is not None:
            instructions.append(parser.OFPInstructionGotoTable(goto))
        dp.send_msg(parser.OFPFlowMod(datapath=dp, table_id=table, priority=priority, match=match, instructions=instructions))

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def on_features(self, event):
        dp = event.msg.datapath
        parser, ofp = dp.ofproto_parser, dp.ofproto
        to_us = [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)]
        self.add(dp, CLASSIFY, 30, parser.OFPMatch(eth_type=0x0806), to_us)
        for port in range(1, N_PORTS + 1):
            self.add(dp, CLASSIFY, 20, parser.OFPMatch(eth_type=0x0800, ipv4_dst=address(port)), to_us)
            self.add(dp, CLASSIFY, 10, parser.OFPMatch(in_port=port, eth_type=0x0800, eth_dst=mac(port)), goto=ROUTE)
            self.add(dp, ROUTE, 24, parser.OFPMatch(eth_type=0x0800, ipv4_dst=(f"10.0.{port}.0", "255.255.255.0")), goto=NEXT_HOP, metadata=port)
            self.add(dp, SEND, 1, parser.OFPMatch(metadata=(port, 0xffffffff)), [parser.OFPActionOutput(port)])
        self.add(dp, ROUTE, 8, parser.OFPMatch(eth_type=0x0800, ipv4_dst=("10.0.0.0", "255.0.0.0")), to_us)      # Inside, but nowhere: unreachable.
        self.add(dp, NEXT_HOP, 0, parser.OFPMatch(), to_us)

    def next_hop_known(self, dp, ip, hop):
        parser = dp.ofproto_parser
        port = int(ip.split(".")[2])
        self.hops[ip] = hop
        self.add(dp, NEXT_HOP, 1, parser.OFPMatch(eth_type=0x0800, ipv4_dst=ip),
                 [parser.OFPActionDecNwTtl(), parser.OFPActionSetField(eth_src=mac(port)), parser.OFPActionSetField(eth_dst=hop)], goto=SEND)
        dp.send_msg(parser.OFPBarrierRequest(dp))
        for in_port, data in self.waiting.pop(ip, []):
            self.out(dp, in_port, data, [parser.OFPActionOutput(dp.ofproto.OFPP_TABLE)])

    # --- Packets ---

    @staticmethod
    def out(dp, in_port, data, actions):
        dp.send_msg(dp.ofproto_parser.OFPPacketOut(datapath=dp, buffer_id=dp.ofproto.OFP_NO_BUFFER, in_port=in_port, actions=actions, data=data))

    def send(self, dp, port, *protocols):
        p = packet.Packet()
        for protocol in protocols:
            p.add_protocol(protocol)
        p.serialize()
        self.out(dp, dp.ofproto.OFPP_CONTROLLER, p.data, [dp.ofproto_parser.OFPActionOutput(port)])

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def on_packet_in(self, event):
        msg = event.msg
        dp, in_port, p = msg.datapath, msg.match["in_port"], packet.Packet(msg.data)
        a, ip = p.get_protocol(arp.arp), p.get_protocol(ipv4.ipv4)
        if a:
            self.on_arp(dp, in_port, a)
        elif ip and msg.reason == dp.ofproto.OFPR_INVALID_TTL:
            self.error(dp, in_port, p, icmp.ICMP_TIME_EXCEEDED, icmp.ICMP_TTL_EXPIRED_CODE)
        elif ip and msg.table_id == NEXT_HOP:
            self.look_for(dp, in_port, msg.match["metadata"], ip.dst, msg.data)
        elif ip and msg.table_id == ROUTE:
            self.error(dp, in_port, p, icmp.ICMP_DEST_UNREACH, icmp.ICMP_HOST_UNREACH_CODE)
        elif ip and p.get_protocol(icmp.icmp):
            self.on_echo(dp, in_port, p)

    def on_arp(self, dp, port, a):
        if a.opcode == arp.ARP_REQUEST and a.dst_ip == address(port):
            self.send(dp, port, ethernet.ethernet(a.src_mac, mac(port), 0x0806), arp.arp(opcode=arp.ARP_REPLY, src_mac=mac(port), src_ip=a.dst_ip, dst_mac=a.src_mac, dst_ip=a.src_ip))
        if ipaddress.ip_address(a.src_ip) in ipaddress.ip_network(f"10.0.{port}.0/24") and a.src_ip not in self.hops:
            self.next_hop_known(dp, a.src_ip, a.src_mac)

    def look_for(self, dp, in_port, port, ip, data):
        queue = self.waiting.setdefault(ip, [])
        if len(queue) < WAITING:
            queue.append((in_port, data))
        self.send(dp, port, ethernet.ethernet("ff:ff:ff:ff:ff:ff", mac(port), 0x0806),
                  arp.arp(opcode=arp.ARP_REQUEST, src_mac=mac(port), src_ip=address(port), dst_mac="00:00:00:00:00:00", dst_ip=ip))

    def on_echo(self, dp, port, p):
        eth, ip, echo = (p.get_protocol(x) for x in (ethernet.ethernet, ipv4.ipv4, icmp.icmp))
        if echo.type == icmp.ICMP_ECHO_REQUEST:
            self.send(dp, port, ethernet.ethernet(eth.src, mac(port), 0x0800), ipv4.ipv4(src=ip.dst, dst=ip.src, proto=1),
                      icmp.icmp(icmp.ICMP_ECHO_REPLY, 0, 0, echo.data))

    def error(self, dp, port, p, type_, code):
        eth, ip = p.get_protocol(ethernet.ethernet), p.get_protocol(ipv4.ipv4)
        original = p.data[14:14 + ip.header_length * 4 + 8]
        data = icmp.TimeExceeded(data_len=len(original), data=original) if type_ == icmp.ICMP_TIME_EXCEEDED else icmp.dest_unreach(data_len=len(original), data=original)
        self.send(dp, port, ethernet.ethernet(eth.src, mac(port), 0x0800), ipv4.ipv4(src=address(port), dst=ip.src, proto=1), icmp.icmp(type_, code, 0, data))
