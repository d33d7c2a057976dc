/*
 * OpenFlow messages, decoded and encoded.
 *
 * `struct of_msg` is one message of any version, host byte order, owning what hangs off it (of_msg_fini).  of_decode() is pure: bytes in, a
 * message or an OpenFlow error out.  of_encode() appends one whole message (header length patched).  One row per message type (versions, minimum length, codec, name)
 * drives both.  OpenFlow 1.0, 1.3.5 and 1.4 (wire versions 1, 4 and 5) share these structs; what a version cannot say is left out when it is encoded (of10_match.c and
 * of10_action.c tell what that is).  Messages that travel inside experimenter messages (Nicira's, and the ONF's for 1.3) have types of their own here (of_msg_ext.c).
 */
#ifndef OFPROTO_OF_MSG_H
#define OFPROTO_OF_MSG_H 1

#include <stdbool.h>
#include <stdint.h>
#include "lib/addr.h"
#include "lib/buf.h"
#include "ofproto/action.h"
#include "ofproto/error.h"
#include "ofproto/match.h"

#define OF10_VERSION 1
#define OF13_VERSION 4
#define OF14_VERSION 5
#define OF_HEADER_SIZE 8
#define OF_MAX_MESSAGE 65535

enum of_type {                  /* OFPT_*, 1.3 numbering (section 7.1.1). */
    OFPT_HELLO = 0, OFPT_ERROR, OFPT_ECHO_REQUEST, OFPT_ECHO_REPLY, OFPT_EXPERIMENTER, OFPT_FEATURES_REQUEST, OFPT_FEATURES_REPLY,
    OFPT_GET_CONFIG_REQUEST, OFPT_GET_CONFIG_REPLY, OFPT_SET_CONFIG, OFPT_PACKET_IN, OFPT_FLOW_REMOVED, OFPT_PORT_STATUS, OFPT_PACKET_OUT,
    OFPT_FLOW_MOD, OFPT_GROUP_MOD, OFPT_PORT_MOD, OFPT_TABLE_MOD, OFPT_MULTIPART_REQUEST, OFPT_MULTIPART_REPLY, OFPT_BARRIER_REQUEST,
    OFPT_BARRIER_REPLY, OFPT_QUEUE_GET_CONFIG_REQUEST, OFPT_QUEUE_GET_CONFIG_REPLY, OFPT_ROLE_REQUEST, OFPT_ROLE_REPLY,
    OFPT_GET_ASYNC_REQUEST, OFPT_GET_ASYNC_REPLY, OFPT_SET_ASYNC, OFPT_METER_MOD,
    /* From 1.4 on; bundles in 1.3 by the ONF's extension 230. */
    OFPT_ROLE_STATUS, OFPT_TABLE_STATUS, OFPT_REQUESTFORWARD, OFPT_BUNDLE_CONTROL, OFPT_BUNDLE_ADD_MESSAGE,
    OF_N_WIRE_TYPES,
    /* Nicira's, without a type number of their own on the wire. */
    OFPT_NX_SET_FLOW_FORMAT = OF_N_WIRE_TYPES, OFPT_NX_FLOW_MOD_TABLE_ID, OFPT_NX_SET_PACKET_IN_FORMAT, OFPT_NX_SET_CONTROLLER_ID,
    OFPT_NX_MONITOR_CANCEL, OFPT_NX_MONITOR_PAUSED, OFPT_NX_MONITOR_RESUMED,
    OF_N_TYPES
};
enum of_multipart {             /* OFPMP_* */
    OFPMP_DESC = 0, OFPMP_FLOW, OFPMP_AGGREGATE, OFPMP_TABLE, OFPMP_PORT_STATS, OFPMP_QUEUE, OFPMP_GROUP, OFPMP_GROUP_DESC, OFPMP_GROUP_FEATURES,
    OFPMP_METER, OFPMP_METER_CONFIG, OFPMP_METER_FEATURES, OFPMP_TABLE_FEATURES, OFPMP_PORT_DESC,
    OFPMP_TABLE_DESC, OFPMP_QUEUE_DESC, OFPMP_FLOW_MONITOR,     /* 1.4; FLOW_MONITOR also as Nicira's in 1.0 and the ONF's in 1.3. */
    OFPMP_EXPERIMENTER = 0xffff,
};
#define OFPMPF_MORE 1

enum of_flow_command { OFPFC_ADD, OFPFC_MODIFY, OFPFC_MODIFY_STRICT, OFPFC_DELETE, OFPFC_DELETE_STRICT };
enum { OFPFF_SEND_FLOW_REM = 1, OFPFF_CHECK_OVERLAP = 2, OFPFF_RESET_COUNTS = 4, OFPFF_NO_PKT_COUNTS = 8, OFPFF_NO_BYT_COUNTS = 16 };
struct of_flow_mod {
    uint64_t cookie, cookie_mask;
    uint8_t table_id;
    enum of_flow_command command;
    uint16_t idle_timeout, hard_timeout, priority, flags, importance;
    uint32_t buffer_id, out_port, out_group;
    struct match match;
    struct instructions instructions;
};

enum of_group_command { OFPGC_ADD, OFPGC_MODIFY, OFPGC_DELETE };
enum of_group_type { OFPGT_ALL, OFPGT_SELECT, OFPGT_INDIRECT, OFPGT_FF };
struct of_bucket {
    uint16_t weight;
    uint32_t watch_port, watch_group;
    bool watch_unset;           /* Came with 0 in both, which a group table takes for "any"; goes out as it came. */
    struct actions actions;
};
struct of_group_mod {
    enum of_group_command command;
    uint8_t type;
    uint32_t group_id;
    struct of_bucket *buckets;  /* Owned. */
    unsigned n_buckets;
};

enum of_meter_command { OFPMC_ADD, OFPMC_MODIFY, OFPMC_DELETE };
enum { OFPMF_KBPS = 1, OFPMF_PKTPS = 2, OFPMF_BURST = 4, OFPMF_STATS = 8 };
enum { OFPMBT_DROP = 1, OFPMBT_DSCP_REMARK = 2 };
struct of_meter_band { uint16_t type; uint32_t rate, burst_size; uint8_t prec_level; };
struct of_meter_mod { enum of_meter_command command; uint16_t flags; uint32_t meter_id; struct of_meter_band *bands; unsigned n_bands; };

enum { OFPPC_PORT_DOWN = 1, OFPPC_NO_RECV = 4, OFPPC_NO_FWD = 0x20, OFPPC_NO_PACKET_IN = 0x40 };
/* 1.0 alone has these; the last two ask nothing of a switch without a spanning tree of its own (section 5.2.1 there). */
enum { OFPPC10_NO_FLOOD = 0x10, OFPPC10_NO_STP = 2, OFPPC10_NO_RECV_STP = 8 };
#define OFPPC_ALL ((uint32_t) (OFPPC_PORT_DOWN | OFPPC_NO_RECV | OFPPC_NO_FWD | OFPPC_NO_PACKET_IN))
enum { OFPPS_LINK_DOWN = 1, OFPPS_BLOCKED = 2, OFPPS_LIVE = 4 };
struct of_port { uint32_t port_no; struct mac hw_addr; char name[16]; uint32_t config, state, curr, advertised, supported, peer, curr_speed, max_speed; };
struct of_port_mod { uint32_t port_no; struct mac hw_addr; uint32_t config, mask, advertise; };
struct of_port_stats {
    uint32_t port_no;
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, rx_errors, tx_errors, rx_frame_err, rx_over_err, rx_crc_err, collisions;
    uint32_t duration_sec, duration_nsec;
};

/* The last three are 1.4's, which tells more closely what 1.3 calls OFPR_ACTION. */
enum of_packet_in_reason { OFPR_NO_MATCH, OFPR_ACTION, OFPR_INVALID_TTL, OFPR_ACTION_SET, OFPR_GROUP, OFPR_PACKET_OUT };
/* Not on the wire: a miss where no table-miss entry is.  Only 1.0 wants to hear of it, as OFPR_NO_MATCH; later versions drop (1.3.5 section 5.4). */
#define OFPR_IMPLICIT_MISS 0x80
enum { NX_PACKET_IN_STANDARD, NX_PACKET_IN_NXM, NX_PACKET_IN_NXT2 };    /* NXT_SET_PACKET_IN_FORMAT. */
struct of_packet_in {
    uint32_t buffer_id;
    uint16_t total_len;
    uint8_t reason, table_id;
    uint64_t cookie;
    struct match match;         /* Pipeline fields of the packet: in_port, in_phy_port, metadata, tunnel_id and registers. */
    uint8_t *data;              /* Owned. */
    unsigned size;
    /* NXT_PACKET_IN2 only. */
    uint8_t format;             /* NX_PACKET_IN_*; how it is, or is to be, on the wire. */
    uint8_t *userdata;          /* Owned; of the controller action. */
    unsigned userdata_size;
    uint16_t controller_id;     /* Not on the wire: whom it is for. */
};
struct of_packet_out { uint32_t buffer_id, in_port; struct actions actions; uint8_t *data; unsigned size; };

enum of_flow_removed_reason { OFPRR_IDLE_TIMEOUT, OFPRR_HARD_TIMEOUT, OFPRR_DELETE, OFPRR_GROUP_DELETE, OFPRR_METER_DELETE, OFPRR_EVICTION };
struct of_flow_removed {
    uint64_t cookie; uint16_t priority; uint8_t reason, table_id; uint32_t duration_sec, duration_nsec; uint16_t idle_timeout, hard_timeout;
    uint64_t packet_count, byte_count; struct match match;
};
struct of_flow_stats {
    uint8_t table_id; uint32_t duration_sec, duration_nsec; uint16_t priority, idle_timeout, hard_timeout, flags, importance;
    uint64_t cookie, packet_count, byte_count; struct match match; struct instructions instructions;
};
struct of_flow_filter { uint8_t table_id; uint32_t out_port, out_group; uint64_t cookie, cookie_mask; struct match match; };
struct of_aggregate { uint64_t packet_count, byte_count; uint32_t flow_count; };
struct of_table_stats { uint8_t table_id; uint32_t active_count; uint64_t lookup_count, matched_count; uint32_t max_entries; /* 1.0 */ };
enum { OFPTC_EVICTION = 4, OFPTC_VACANCY_EVENTS = 8 };          /* ofp_table_config, 1.4. */
enum { OFPTMPEF_OTHER = 1, OFPTMPEF_IMPORTANCE = 2, OFPTMPEF_LIFETIME = 4 };
/* Table-mod, one table of OFPMP_TABLE_DESC, table-status; the properties are 1.4's. */
struct of_table_config {
    uint8_t table_id;
    uint32_t config;
    bool has_eviction, has_vacancy;
    uint32_t eviction_flags;
    uint8_t vacancy_down, vacancy_up, vacancy;          /* Per cent. */
};
enum { OFPTR_VACANCY_DOWN = 3, OFPTR_VACANCY_UP = 4 };
/* Flow monitors: 1.4's numbers; the other forms are mapped. */
enum of_monitor_command { OFPFMC_ADD, OFPFMC_MODIFY, OFPFMC_DELETE };
enum { OFPFMF_INITIAL = 1, OFPFMF_ADD = 2, OFPFMF_REMOVED = 4, OFPFMF_MODIFY = 8, OFPFMF_INSTRUCTIONS = 16, OFPFMF_NO_ABBREV = 32, OFPFMF_ONLY_OWN = 64 };
enum of_monitor_event { OFPFME_INITIAL, OFPFME_ADDED, OFPFME_REMOVED, OFPFME_MODIFIED, OFPFME_ABBREV, OFPFME_PAUSED, OFPFME_RESUMED };
struct of_monitor { uint32_t id, out_port, out_group; uint16_t flags; uint8_t table_id, command; struct match match; };
struct of_monitor_update {
    uint8_t event, table_id, reason;    /* reason: REMOVED. */
    uint16_t idle_timeout, hard_timeout, priority;
    uint32_t xid;                       /* ABBREV */
    uint64_t cookie;
    struct match match;
    struct instructions instructions;   /* Empty unless they were asked for. */
};
struct of_bucket_counter { uint64_t packet_count, byte_count; };
struct of_group_stats {
    uint32_t group_id, ref_count; uint64_t packet_count, byte_count; uint32_t duration_sec, duration_nsec;
    struct of_bucket_counter *buckets; unsigned n_buckets;      /* Owned. */
};
struct of_group_desc { uint8_t type; uint32_t group_id; struct of_bucket *buckets; unsigned n_buckets; };
struct of_group_features { uint32_t types, capabilities, max_groups[4], actions[4]; };
struct of_meter_stats { uint32_t meter_id, flow_count; uint64_t packet_in_count, byte_in_count; uint32_t duration_sec, duration_nsec;
                        struct of_bucket_counter *bands; unsigned n_bands; };
struct of_meter_features { uint32_t max_meter, band_types, capabilities; uint8_t max_bands, max_color; };
struct of_desc { char mfr[256], hw[256], sw[256], serial[32], dp[256]; };
struct of_features {
    uint64_t datapath_id; uint32_t n_buffers, capabilities; uint8_t n_tables, auxiliary_id;
    /* 1.0 only. */
    struct of_port *ports; unsigned n_ports;                    /* Owned by the message. */
};
enum { OFPC_FLOW_STATS = 1, OFPC_TABLE_STATS = 2, OFPC_PORT_STATS = 4, OFPC_GROUP_STATS = 8, OFPC_IP_REASM = 32, OFPC_QUEUE_STATS = 64, OFPC_PORT_BLOCKED = 256 };
enum of_role { OFPCR_ROLE_NOCHANGE, OFPCR_ROLE_EQUAL, OFPCR_ROLE_MASTER, OFPCR_ROLE_SLAVE };
/* [0] master/equal, [1] slave; bit per reason.  The second line is 1.4's. */
struct of_async {
    uint32_t packet_in[2], port_status[2], flow_removed[2];
    uint32_t role_status[2], table_status[2], requestforward[2];
#define OF_ASYNC_ALL 0xfff
    uint16_t given;             /* 1.4: which of the twelve masks the message has, bit per property type.  Its set-async leaves the others as they were. */
};
enum { OFPCRR_MASTER_REQUEST, OFPCRR_CONFIG };
enum { OFPRFR_GROUP_MOD, OFPRFR_METER_MOD };
enum of_bundle_type {
    OFPBCT_OPEN_REQUEST, OFPBCT_OPEN_REPLY, OFPBCT_CLOSE_REQUEST, OFPBCT_CLOSE_REPLY, OFPBCT_COMMIT_REQUEST, OFPBCT_COMMIT_REPLY,
    OFPBCT_DISCARD_REQUEST, OFPBCT_DISCARD_REPLY,
};
enum { OFPBF_ATOMIC = 1, OFPBF_ORDERED = 2 };

#define OFPQ_ALL UINT32_C(0xffffffff)
#define OF_RATE_NONE UINT16_C(0xffff)   /* Section 7.2.2: a rate above 1000 is not configured. */
struct of_queue {
    uint32_t port_no, id;
    uint16_t min_rate, max_rate;        /* In 1/10 % of the port's speed; OF_RATE_NONE. */
    uint64_t tx_bytes, tx_packets, tx_errors;
    uint32_t duration_sec, duration_nsec;
};

/* A multipart message carries one array (or one struct) of its kind. */
struct of_multipart_msg {
    uint16_t type, flags;
    union {
        struct of_flow_filter filter;                           /* Requests: FLOW, AGGREGATE. */
        uint32_t id;                                            /* Requests: PORT_STATS (port), GROUP, METER, METER_CONFIG. */
        struct { uint32_t port_no, queue_id; } queue;           /* Requests: QUEUE, QUEUE_DESC. */
        struct { struct of_monitor *v; unsigned n; } monitors;  /* Request: FLOW_MONITOR; more than one in Nicira's form only. */
        struct { struct of_monitor_update *v; unsigned n; } updates;
        struct { struct of_table_config *v; unsigned n; } table_descs;
        struct of_desc *desc;
        struct of_aggregate aggregate;
        struct { struct of_flow_stats *v; unsigned n; } flows;
        struct { struct of_table_stats *v; unsigned n; } tables;
        struct { struct of_port_stats *v; unsigned n; } port_stats;
        struct { struct of_port *v; unsigned n; } ports;
        struct { struct of_group_stats *v; unsigned n; } groups;
        struct { struct of_group_desc *v; unsigned n; } group_descs;
        struct of_group_features group_features;
        struct { struct of_meter_stats *v; unsigned n; } meters;
        struct { struct of_meter_mod *v; unsigned n; } meter_configs;
        struct of_meter_features meter_features;
        struct { struct of_queue *v; unsigned n; } queues;      /* Replies: QUEUE (its counters), QUEUE_DESC (its rates). */
        struct { uint8_t *v; unsigned n; } raw;                 /* TABLE_FEATURES, EXPERIMENTER: body bytes. */
    };
};

struct of_msg {
    uint8_t version;
    bool is_reply;              /* Multipart: request or reply is told by `type`; this is set for OFPT_MULTIPART_REPLY. */
    bool nicira;                /* In 1.0: the form with NXM matches (NXT_FLOW_MOD, NXST_FLOW …) instead of the standard one. */
    enum of_type type;
    uint32_t xid;
    union {
        struct { uint32_t version_bitmap; bool has_bitmap; } hello;
        struct { struct of_error error; uint8_t *data; unsigned size; } error;
        struct { uint8_t *data; unsigned size; } echo;
        struct { uint32_t experimenter, exp_type; uint8_t *data; unsigned size; } experimenter;
        struct of_features features;
        struct { uint16_t flags, miss_send_len; } config;
        struct of_packet_in packet_in;
        struct of_flow_removed flow_removed;
        struct { uint8_t reason; struct of_port port; } port_status;    /* OFPPR_ADD 0, DELETE 1, MODIFY 2 */
        struct of_packet_out packet_out;
        struct of_flow_mod flow_mod;
        struct of_group_mod group_mod;
        struct of_port_mod port_mod;
        struct of_table_config table_mod;
        struct of_multipart_msg multipart;
        struct { uint32_t port; struct of_queue *v; unsigned n; } queue_config;        /* Request: the port alone. Reply: rates. */
        struct { uint32_t role; uint64_t generation_id; } role;
        struct of_async async;
        struct of_meter_mod meter_mod;
        struct { uint32_t role; uint8_t reason; uint64_t generation_id; } role_status;
        struct { uint8_t reason; struct of_table_config table; } table_status;
        struct { uint8_t *data; unsigned size; } requestforward;        /* The request, header included. */
        struct { uint32_t id; uint16_t type, flags; } bundle;
        struct { uint32_t id; uint16_t flags; uint8_t *data; unsigned size; } bundle_add;       /* The message, header included. */
        uint32_t nx_value;      /* OFPT_NX_*: format, on or off, controller id, monitor id. */
    };
};
enum { OFPPR_ADD, OFPPR_DELETE, OFPPR_MODIFY };

/* Length of the message at data (header's own claim) once ≥ 8 bytes are there, else 0. */
static inline unsigned of_frame_length(const uint8_t *data, size_t size) { return size < OF_HEADER_SIZE ? 0 : wire_get16(data + 2); }
/* One whole message of `size` bytes.  On error `msg` holds version, type and xid only, and needs no fini. */
struct of_error of_decode(const uint8_t *data, size_t size, struct of_msg *msg);
/* Appends; msg->version must be one that has the message (of_has_form). Multipart replies larger than 64 KB are split into segments with OFPMPF_MORE by this function. */
void of_encode(const struct of_msg *msg, struct buf *);
bool of_has_form(uint8_t version, enum of_type);        /* Whether the version can say that. */
void of_msg_fini(struct of_msg *);
/* Zeroed message with inits done (matches, lists). */
void of_msg_init(struct of_msg *, enum of_type, uint32_t xid);
/* OFPT_ERROR that answers `request` (at least its first 64 bytes are copied, section 7.4.4), numbered as the request's version numbers it (of_error_wire.c). */
void of_error_encode(struct of_error, const uint8_t *request, size_t size, struct buf *);
const char *of_type_name(enum of_type);
/* One line of text for logs and `vswctl`. */
void of_msg_format(const struct of_msg *, struct buf *);

void of_flow_mod_init(struct of_flow_mod *);     /* ADD, table 0, priority 0x8000, any port/group, no buffer, matches all. */
void of_flow_filter_init(struct of_flow_filter *);       /* All tables, any port/group, no cookie mask, matches all. */
void of_bucket_copy(struct of_bucket *dst, const struct of_bucket *src);
void of_buckets_free(struct of_bucket *, unsigned n);
/* fn for every group that the buckets forward to or watch, as often as they do. */
void of_buckets_each_group(const struct of_bucket *, unsigned n, void (*fn)(uint32_t group, void *aux), void *aux);

#endif
