/*
 * The pipeline that controllerd compiles into an edge, table by table.
 *
 *            VM                                                  fabric
 *             |                                                     |
 *        +----v-------------------------------- 0 CLASSIFY ---------v----+     a bound port: load context, go to the tenant's tables;
 *        |                                                               |     a packet-out to a slice's tables: go there
 *        |  reg0 = virtual switch, reg1 = virtual in-port                |     an uplink: to LANDING;  LLDP: to the controller
 *        +----+-------------------------------------------------+--------+
 *             |                                                 |
 *             |                              1 LANDING  reg0, reg2 = out-port, reg3 = flags, eth_dst = the port's own MAC
 *             |                              2 R_SRC    eth_src (and, for a pair, eth_dst) given back
 *             |                              3 R_SIP    source IP given back, where the flag says it was replaced
 *             |                              4 R_DIP    destination IP likewise
 *             |                              5 R_ARP    ARP hardware addresses likewise
 *             |                              6 LAND     to the device port, or to every local port of the network (flood landing)
 *             |
 *        16 + t  VIRT: the tenant's table t, with the tenant's own addresses; every entry also matches reg0
 *             |          output:P is  reg2 = P, resubmit(,240)
 *             |
 *        240 DELIVER   local port: out;  remote port: xreg2 = the landing's provider MAC;  FLOOD: a group of both
 *        241 X_SRC     xreg3 = provider MAC for eth_src, or for the pair (eth_src, eth_dst);  unknown: to the controller, which carries or interns it, metered by port
 *        242 X_SIP     registered source IP to its provider IP, flag;  to and from an edge that is no vswitchd: to X_OUT
 *        243 X_DIP     registered destination IP to its provider IP, flag
 *        244 X_OUT     provider MACs into the frame, flags into the source MAC
 *        245 FABRIC    (edge, path class) of the destination MAC to the next hop, or to a group of next hops that fails
 *                      over by itself; the class that is better now; transit frames come here from LANDING
 *        246 CLEAR     empties the action set, for a clone that must not run it: resubmit(,246)
 *
 * A virtual link between two virtual switches of a slice is the way from the one's DELIVER (both ends on this edge) or
 * LAND (the frame came from the other end's edge, translated as the sender's virtual switch does) to the other's first
 * table: reg0 and reg1 are set to the peer's, metadata to zero, in_port to none (so that no output is taken for one to
 * where the frame came from). Behind a DELIVER that is done in a clone of its own: the first switch goes on with its
 * context as it was, and the second one's action set runs at the clone's end (both Open vSwitch and vswitchd do that).
 * Whoever has something in the action set gives it to no clone (compile_entry.c), so a virtual switch begins without.
 *
 * Isolation: only CLASSIFY and LANDING write reg0, and only from what a VM cannot choose (its device port) or from a
 * landing id, and virtual links, to another virtual switch of the same slice; every rule of tables 2 to 243 that belongs
 * to a network matches reg0. tests assert both over all rules (the isolation oracle).
 *
 * Why LANDING is a table of its own: a landing's rule is one per landing, whatever the number of uplinks, and does not
 * change when uplinks do.
 */
#ifndef CONTROLLER_EDGE_TABLES_H
#define CONTROLLER_EDGE_TABLES_H 1

#include "ofproto/field.h"

enum edge_table {
    T_CLASSIFY = 0, T_LANDING = 1, T_R_SRC = 2, T_R_SIP = 3, T_R_DIP = 4, T_R_ARP = 5, T_LAND = 6,
    T_VIRT = 16, T_VIRT_LAST = 239,
    T_DELIVER = 240, T_X_SRC = 241, T_X_SIP = 242, T_X_DIP = 243, T_X_OUT = 244, T_FABRIC = 245, T_CLEAR = 246,
};
#define VIRT_N_TABLES (T_VIRT_LAST - T_VIRT + 1)

/* Registers of the context. */
#define R_VSW FIELD_REG0                                /* Network id. */
#define R_IN ((enum field_id) (FIELD_REG0 + 1))         /* Virtual in-port. */
#define R_OUT ((enum field_id) (FIELD_REG0 + 2))        /* Virtual out-port, OFPP_FLOOD or OFPP_IN_PORT. */
#define R_FLAGS ((enum field_id) (FIELD_REG0 + 3))      /* PROVIDER_*. */
#define R_PDST ((enum field_id) (FIELD_XREG0 + 2))      /* Provider destination MAC, in the low 48 bits. */
#define R_ENTRY ((enum field_id) (FIELD_REG0 + 8))      /* Number of the entry that wrote output:CONTROLLER to the action set, or led to a group. */
#define R_PSRC ((enum field_id) (FIELD_XREG0 + 3))      /* Provider source MAC. */

/* Where the flags (6 bits) sit in the provider source MAC seen as a 48-bit number. */
#define PSRC_FLAGS_OFS 42

/* Cookies: who owns a rule, and for tenants' entries which one.  network id << 32 | number. */
#define COOKIE_SUBSTRATE UINT64_C(1)
#define COOKIE(NETWORK, NUMBER) ((uint64_t) (NETWORK) << 32 | (uint32_t) (NUMBER))
enum { COOKIE_TRANSPORT = 1, COOKIE_INTERN = 2, COOKIE_PAIR = 3, COOKIE_MISS = 4, COOKIE_FIRST_VFLOW = 16, COOKIE_LAST_VFLOW = 0x7fffffff };
/* Rules that deliver to a link's end (each has a kind), and those that count what no entry of a table matches. */
#define COOKIE_LINK(KIND, PORT) (UINT32_C(0x80000000) | (uint32_t) (KIND) << 16 | (PORT))
#define COOKIE_UNMATCHED(TABLE) (UINT32_C(0xc0000000) | (TABLE))

/* Where the path class (8 bits) and the edge (16) sit in a landing's provider MAC seen as a 48-bit number. */
#define LANDING_CLASS_OFS 16
#define LANDING_EDGE_OFS 24
/* Fast-failover groups of paths, numbered by a hash of what they hold. */
#define PATH_GROUP(HASH) (UINT32_C(0x40000000) | ((uint32_t) (HASH) & UINT32_C(0x3fffffff)))
/* Of a network on an edge: the flood group, and one that is always live, for buckets that watch what the edge does not have. Tenants' own groups are below. */
#define FLOOD_GROUP(NETWORK) (UINT32_C(0x80000000) | (NETWORK))
#define ALIVE_GROUP(NETWORK) (UINT32_C(0x20000000) | (NETWORK))
#define TENANT_GROUP_MAX UINT32_C(0x1fffffff)
/* Meters: tenants' own and those of their packet-ins, the same number on all edges; and on an edge that of each landing, for the frames
 * that came in by its port and have no id (0: numbers on an edge are small, and this one is not). Switches have some 65,000. */
#define TENANT_METER_MAX 40000u
#define LANDING_METER_LAST 25000u
#define LANDING_METER(LOCAL) ((LOCAL) <= LANDING_METER_LAST ? TENANT_METER_MAX + (LOCAL) : 0)

#endif
