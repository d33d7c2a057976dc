"""An os-ken application: a load balancer of one select group, OpenFlow 1.3.

Clients at port 1 speak to 10.0.0.100; servers are 10.0.0.2, .3 and .4 at ports 2, 3 and 4, with the weights 1, 1 and 2.  A bucket writes the server's addresses and sends there; one entry
per server writes the service's back.  When a server's port goes down, the group is modified to do without it, and when it comes back, with it.
"""
from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import arp, ethernet, packet
from os_ken.ofproto import ofproto_v1_3

SERVICE, SERVICE_MAC, GROUP = "10.0.0.100", "02:00:00:00:00:64", 1
WEIGHTS = {2: 1, 3: 1, 4: 2}


def ip_of(port):
    return f"10.0.0.{port}"


def mac_of(port):
    return f"02:00:00:00:00:{port:02x}"


class Balancer(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.up = set(WEIGHTS)

    def group(self, dp, command):
        ofp, parser = dp.ofproto, dp.ofproto_parser
        buckets = [parser.OFPBucket(weight=WEIGHTS[port], watch_port=ofp.OFPP_ANY, watch_group=ofp.OFPG_ANY,
                                    actions=[parser.OFPActionSetField(eth_dst=mac_of(port)), parser.OFPActionSetField(ipv4_dst=ip_of(port)), parser.OFPActionOutput(port)])
                   for port in sorted(self.up)]
        dp.send_msg(parser.OFPGroupMod(dp, command, ofp.OFPGT_SELECT, GROUP, buckets))

    def flow(self, dp, priority, match, actions):
        parser = dp.ofproto_parser
        apply = [parser.OFPInstructionActions(dp.ofproto.OFPIT_APPLY_ACTIONS, actions)]
        dp.send_msg(parser.OFPFlowMod(datapath=dp, priority=priority, match=match, instructions=apply))

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def on_features(self, event):
        dp = event.msg.datapath
        ofp, parser = dp.ofproto, dp.ofproto_parser
        self.group(dp, ofp.OFPGC_ADD)
        self.flow(dp, 10, parser.OFPMatch(eth_type=0x0806), [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)])
        self.flow(dp, 10, parser.OFPMatch(in_port=1, eth_type=0x0800, ip_proto=6, ipv4_dst=SERVICE, tcp_dst=80), [parser.OFPActionGroup(GROUP)])
        for port in WEIGHTS:
            self.flow(dp, 10, parser.OFPMatch(in_port=port, eth_type=0x0800, ip_proto=6, ipv4_src=ip_of(port), tcp_src=80),
                      [parser.OFPActionSetField(eth_src=SERVICE_MAC), parser.OFPActionSetField(ipv4_src=SERVICE), parser.OFPActionOutput(1)])

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def on_port_status(self, event):
        dp, port = event.msg.datapath, event.msg.desc
        if port.port_no in WEIGHTS:
            down = port.state & dp.ofproto.OFPPS_LINK_DOWN or port.config & dp.ofproto.OFPPC_PORT_DOWN
            (self.up.discard if down else self.up.add)(port.port_no)
            self.group(dp, dp.ofproto.OFPGC_MODIFY)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def on_packet_in(self, event):
        """Answers for the service to the client, and for the client to the servers."""
        msg = event.msg
        dp, p = msg.datapath, packet.Packet(msg.data)
        a = p.get_protocol(arp.arp)
        known = {SERVICE: SERVICE_MAC, ip_of(1): mac_of(1)}
        if a and a.opcode == arp.ARP_REQUEST and a.dst_ip in known:
            reply = packet.Packet()
            reply.add_protocol(ethernet.ethernet(a.src_mac, known[a.dst_ip], 0x0806))
            reply.add_protocol(arp.arp(opcode=arp.ARP_REPLY, src_mac=known[a.dst_ip], src_ip=a.dst_ip, dst_mac=a.src_mac, dst_ip=a.src_ip))
            reply.serialize()
            dp.send_msg(dp.ofproto_parser.OFPPacketOut(datapath=dp, buffer_id=dp.ofproto.OFP_NO_BUFFER, in_port=dp.ofproto.OFPP_CONTROLLER,
                                                       actions=[dp.ofproto_parser.OFPActionOutput(msg.match["in_port"])], data=reply.data))
