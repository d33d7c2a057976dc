/*
 * What only Polder's switch can do, as an experimenter extension: negotiated, never assumed.
 *
 * Messages (OFPT_EXPERIMENTER, experimenter POLDER_EXPERIMENTER): a request whose body is one JSON object as on the
 * control socket ({"method","params"}), and a reply with {"result"} or {"error"}, same xid. A switch that answers the
 * method "features" is a vswitchd; others answer OFPBRC_BAD_EXPERIMENTER. Drop with a reason: a published no-op, the
 * Nicira note action, whose six bytes are POLDER_DROP_NOTE and the reason. vswitchd counts the frame per port and
 * reason; any other switch ignores the note, sees an entry without an output, and drops. So one rule serves both, and
 * ovs-ofctl can print it.
 */
#ifndef OFPROTO_POLDER_H
#define OFPROTO_POLDER_H 1

#include <stdint.h>

#define POLDER_EXPERIMENTER UINT32_C(0x00504f4c)
enum polder_message { POLDER_REQUEST = 1, POLDER_REPLY = 2 };
#define POLDER_DROP_NOTE UINT32_C(0x504f4c00)            /* "POL\0" */

/* One row per reason: id (stable, on the wire), name (metrics, vswctl drops), what it means and what to do. */
#define DROP_REASONS(X) \
    X(0,  NO_MATCH,          "no-match",          "a table had no entry for the frame") \
    X(1,  NO_OUTPUT,         "no-output",         "the matched entries ended without an output") \
    X(2,  RUNT,              "runt",              "the frame was too short to hold an Ethernet header") \
    X(3,  PORT_DOWN,         "port-down",         "the output port is down or its VM is not connected") \
    X(4,  TX_FULL,           "tx-full",           "the output queue stayed full") \
    X(5,  TOO_LONG,          "too-long",          "the frame exceeds the output port's MTU") \
    X(6,  NO_MEMORY,         "no-memory",         "no packet buffer was free") \
    X(7,  DEPTH,             "pipeline-depth",    "resubmits or groups nested too deeply (a loop?)") \
    X(8,  TTL,               "ttl-expired",       "a TTL reached zero") \
    X(9,  IN_PORT,           "output-to-ingress", "the only output was the port the frame came from") \
    X(10, NO_PORT,           "no-port",           "the output port does not exist") \
    X(11, METER,             "meter",             "a meter's drop band was exceeded") \
    X(12, GROUP_DEAD,        "group-dead",        "no live bucket in a fast-failover group, or an empty group") \
    X(13, PACKET_IN_LIMIT,   "packet-in-limit",   "more packet-ins than the limit") \
    X(14, BAD_ACTION,        "bad-action",        "an action did not apply to this frame (no such header)") \
    X(15, PORT_CONFIG,       "port-config",       "the port is configured not to receive or forward") \
    X(16, QUEUE_FULL,        "queue-full",        "the output port's queue was full") \
    X(17, FRAGMENT,          "fragment",          "the frame was a fragment, and a controller has the switch drop those (OFPC_FRAG_DROP)") \
    /* Reasons that controllerd's rules give (from 32 on). */ \
    X(32, ANTI_SPOOF,        "anti-spoof",        "the frame's source MAC or IP is not one of its port's addresses") \
    X(33, UNKNOWN_UNICAST,   "unknown-unicast",   "the destination MAC is no port of this network") \
    X(34, UNKNOWN_TARGET,    "unknown-target",    "ARP or ND asks for an address that no port of this network has") \
    X(35, FOREIGN_LANDING,   "foreign-landing",   "a fabric frame names a landing that this edge does not have") \
    X(36, FOREIGN_SOURCE,    "foreign-source",    "a fabric frame's source is not of the landing's network") \
    X(37, NOT_PROVIDER,      "not-provider",      "a frame from the fabric without provider addresses") \
    X(38, UNBOUND_PORT,      "unbound-port",      "the switch port belongs to no tenant's port") \
    X(39, NO_PATH,           "no-path",           "no live path to the landing's edge") \
    X(40, ND_FILTERED,       "nd-filtered",       "neighbour discovery, MLD or router traffic that the edge answers itself") \
    X(43, RESTORE,           "restore",           "a provider address in a fabric frame has no tenant address")

enum drop_reason {
#define X(ID, SYMBOL, NAME, TEXT) DROP_##SYMBOL = ID,
    DROP_REASONS(X)
#undef X
    DROP_N_REASONS = 64
};

/* NULL for ids without a row. */
const char *drop_reason_name(unsigned reason);
const char *drop_reason_text(unsigned reason);

#endif
