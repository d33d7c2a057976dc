"""An os-ken application: os-ken's own topology discovery, and what switches say of their ports, appended as lines of JSON to the file WATCHER_LOG.  Run with --observe-links."""
import json
import os

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import MAIN_DISPATCHER, set_ev_cls
from os_ken.ofproto import ofproto_v1_0, ofproto_v1_3
from os_ken.topology import event, switches

VERSION = {"1.0": ofproto_v1_0.OFP_VERSION, "1.3": ofproto_v1_3.OFP_VERSION}[os.environ.get("WATCHER_VERSION", "1.3")]
REASONS = ("add", "delete", "modify")


class Watcher(app_manager.OSKenApp):
    OFP_VERSIONS = [VERSION]
    _CONTEXTS = {"switches": switches.Switches}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log = open(os.environ["WATCHER_LOG"], "a", encoding="ascii", buffering=1)

    def say(self, what, *values):
        self.log.write(json.dumps([what, *values]) + "\n")

    @set_ev_cls(event.EventSwitchEnter)
    def on_enter(self, ev):
        self.say("enter", ev.switch.dp.id, sorted(port.port_no for port in ev.switch.ports))

    @set_ev_cls(event.EventSwitchLeave)
    def on_leave(self, ev):
        self.say("leave", ev.switch.dp.id)

    @set_ev_cls(event.EventLinkAdd)
    def on_link(self, ev):
        self.say("link", *self.ends(ev.link))

    @set_ev_cls(event.EventLinkDelete)
    def on_link_gone(self, ev):
        self.say("unlink", *self.ends(ev.link))

    @staticmethod
    def ends(link):
        return link.src.dpid, link.src.port_no, link.dst.dpid, link.dst.port_no

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)
    def on_port_status(self, ev):
        port = ev.msg.desc
        self.say("port", ev.msg.datapath.id, REASONS[ev.msg.reason], port.port_no, port.config, port.state)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    def on_error(self, ev):
        self.say("error", ev.msg.datapath.id, ev.msg.type, ev.msg.code)
