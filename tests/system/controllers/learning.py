"""An os-ken application: a learning switch, in OpenFlow 1.0, 1.3 or 1.4 (LEARNING_VERSION), such as every tutorial has one."""
import os

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_0, ofproto_v1_3, ofproto_v1_4

VERSIONS = {"1.0": ofproto_v1_0.OFP_VERSION, "1.3": ofproto_v1_3.OFP_VERSION, "1.4": ofproto_v1_4.OFP_VERSION}
VERSION = VERSIONS[os.environ["LEARNING_VERSION"]]


class Learning(app_manager.OSKenApp):
    OFP_VERSIONS = [VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ports = {}

    def add(self, dp, priority, match, actions):
        ofp, parser = dp.ofproto, dp.ofproto_parser
        if VERSION == VERSIONS["1.0"]:
            mod = parser.OFPFlowMod(dp, match=match, cookie=0, command=ofp.OFPFC_ADD, priority=priority, flags=ofp.OFPFF_SEND_FLOW_REM, actions=actions)
        else:
            apply = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
            mod = parser.OFPFlowMod(datapath=dp, priority=priority, match=match, instructions=apply)
        dp.send_msg(mod)

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def on_features(self, event):
        dp = event.msg.datapath
        if VERSION != VERSIONS["1.0"]:
            miss = [dp.ofproto_parser.OFPActionOutput(dp.ofproto.OFPP_CONTROLLER, dp.ofproto.OFPCML_NO_BUFFER)]
            self.add(dp, 0, dp.ofproto_parser.OFPMatch(), miss)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def on_packet_in(self, event):
        msg, dp = event.msg, event.msg.datapath
        ofp, parser = dp.ofproto, dp.ofproto_parser
        in_port = msg.in_port if VERSION == VERSIONS["1.0"] else msg.match["in_port"]
        eth = packet.Packet(msg.data).get_protocol(ethernet.ethernet)
        self.ports[dp.id, eth.src] = in_port
        out = self.ports.get((dp.id, eth.dst), ofp.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out)]
        if out != ofp.OFPP_FLOOD:
            match = parser.OFPMatch(in_port=in_port, dl_dst=eth.dst) if VERSION == VERSIONS["1.0"] else parser.OFPMatch(in_port=in_port, eth_dst=eth.dst)
            self.add(dp, 1, match, actions)
        dp.send_msg(parser.OFPPacketOut(datapath=dp, buffer_id=ofp.OFP_NO_BUFFER, in_port=in_port, actions=actions, data=msg.data))
