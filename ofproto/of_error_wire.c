/*
 * Errors as each version numbers them.
 *
 * Inside, errors have the numbers of OpenFlow 1.3.5 and 1.4 (error.h).  1.0 has fewer and other numbers; what it cannot say travels in Nicira's vendor error, with the numbers that
 * Open vSwitch publishes for it (ofp-errors.h).  1.3 has bundle and property errors as experimenter errors of the ONF (extension 230).
 */
#include "ofproto/of_msg_codec.h"

#include "lib/util.h"

enum { OFPET_EXPERIMENTER = 0xffff, NXET_VENDOR = 0xb0c2, NXVC_VENDOR_ERROR = 0 };
enum { ONF_BUNDLE_FAILED = 2300, ONF_BAD_PROPERTY = 4440 };     /* Plus the code. */
enum { NXBRC_UNENCODABLE_ERROR = 521 };

struct wire_error { bool nicira; uint16_t type, code; };

/* Where the code alone differs in number (or has none) in 1.0; other types by of10_type_of(). */
static const struct { uint16_t type, code; struct wire_error wire; } of10_errors[] = {
    { OFPET_BAD_REQUEST, OFPBRC_BAD_TABLE_ID, { true, 1, 512 } },
    { OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE, { false, 1, OFPBRC_EPERM } },
    { OFPET_BAD_REQUEST, OFPBRC_BAD_PORT, { true, 1, 514 } },
    { OFPET_BAD_REQUEST, OFPBRC_BAD_PACKET, { false, 1, OFPBRC_BAD_LEN } },
    { OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP, { false, 2, OFPBAC_BAD_ARGUMENT } },
    { OFPET_BAD_ACTION, OFPBAC_MATCH_INCONSISTENT, { true, 1, 522 } },
    { OFPET_BAD_ACTION, OFPBAC_BAD_SET_TYPE, { true, 1, 523 } },
    { OFPET_BAD_ACTION, OFPBAC_BAD_SET_LEN, { true, 1, 524 } },
    { OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT, { true, 1, 525 } },
    { OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST, { true, 2, 257 } },
    { OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID, { false, 2, OFPBAC_BAD_ARGUMENT } },
    { OFPET_BAD_MATCH, OFPBMC_BAD_LEN, { true, 1, 256 } },
    { OFPET_BAD_MATCH, OFPBMC_BAD_WILDCARDS, { true, 1, 262 } },
    { OFPET_BAD_MATCH, OFPBMC_BAD_FIELD, { true, 0, 263 } },      /* Type 0 is what Open vSwitch sends. */
    { OFPET_BAD_MATCH, OFPBMC_BAD_VALUE, { true, 1, 258 } },
    { OFPET_BAD_MATCH, OFPBMC_BAD_MASK, { true, 1, 259 } },
    { OFPET_BAD_MATCH, OFPBMC_BAD_PREREQ, { true, 1, 260 } },
    { OFPET_BAD_MATCH, OFPBMC_DUP_FIELD, { true, 1, 261 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL, { false, 3, 0 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_OVERLAP, { false, 3, 1 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_EPERM, { false, 3, 2 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TIMEOUT, { false, 3, 3 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_COMMAND, { false, 3, 4 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_FLAGS, { true, 3, 258 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID, { true, 5, 257 } },
    { OFPET_FLOW_MOD_FAILED, OFPFMFC_UNKNOWN, { false, 3, 5 } },
    { OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT, { false, 4, 0 } },
    { OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_HW_ADDR, { false, 4, 1 } },
    { OFPET_ROLE_REQUEST_FAILED, OFPRRFC_BAD_ROLE, { true, 1, 513 } },
    { OFPET_FLOW_MONITOR_FAILED, OFPMOFC_MONITOR_EXISTS, { true, 1, 517 } },
    { OFPET_FLOW_MONITOR_FAILED, OFPMOFC_BAD_FLAGS, { true, 1, 518 } },
    { OFPET_FLOW_MONITOR_FAILED, OFPMOFC_UNKNOWN_MONITOR, { true, 1, 519 } },
    { OFPET_FLOW_MONITOR_FAILED, OFPMOFC_BAD_TABLE_ID, { true, 1, 512 } },
    { OFPET_FLOW_MONITOR_FAILED, OFPMOFC_BAD_OUT, { true, 1, 514 } },
    { OFPET_NICIRA, NXE_BAD_CONJUNCTION, { true, 2, 526 } },
};

static struct wire_error to_of10(struct of_error e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(of10_errors); i++) {
        if (of10_errors[i].type == e.type && of10_errors[i].code == e.code) {
            return of10_errors[i].wire;
        }
    }
    if (e.type == OFPET_HELLO_FAILED || (e.type == OFPET_BAD_REQUEST && e.code <= OFPBRC_BUFFER_UNKNOWN)
        || (e.type == OFPET_BAD_ACTION && e.code <= OFPBAC_BAD_QUEUE)) {
        return (struct wire_error) { false, e.type, e.code };
    }
    if (e.type == OFPET_QUEUE_OP_FAILED) {
        return (struct wire_error) { false, 5, e.code };
    }
    return (struct wire_error) { true, 1, NXBRC_UNENCODABLE_ERROR };
}

static void put_experimenter(struct buf *b, uint16_t code, uint32_t experimenter)
{
    buf_put_be16(b, OFPET_EXPERIMENTER);
    buf_put_be16(b, code);
    buf_put_be32(b, experimenter);
}

static void put_of10(struct buf *b, struct of_error error)
{
    struct wire_error wire = to_of10(error);
    if (wire.nicira) {
        buf_put_be16(b, NXET_VENDOR);
        buf_put_be16(b, NXVC_VENDOR_ERROR);
        buf_put_be32(b, NX_VENDOR);
    }
    buf_put_be16(b, wire.type);
    buf_put_be16(b, wire.code);
}

/* 1.3's TABLE_FEATURES_FAILED had the property errors that 1.4 gave a type of their own; inside, tables use 1.3's. */
static struct of_error for_version(uint8_t version, struct of_error e)
{
    if (version >= OF14_VERSION && e.type == OFPET_TABLE_FEATURES_FAILED && e.code >= OFPTFFC_BAD_TYPE && e.code <= OFPTFFC_BAD_ARGUMENT) {
        return OF_ERROR(OFPET_BAD_PROPERTY, e.code - OFPTFFC_BAD_TYPE);
    }
    if (version < OF14_VERSION && e.type == OFPET_BAD_PROPERTY && e.code <= OFPBPC_BAD_VALUE) {
        return OF_ERROR(OFPET_TABLE_FEATURES_FAILED, e.code + OFPTFFC_BAD_TYPE);
    }
    return e;
}

void of_error_put(struct buf *b, uint8_t version, struct of_error error)
{
    if (version == OF10_VERSION) {
        put_of10(b, error);
        return;
    }
    error = for_version(version, error);
    if (error.type == OFPET_NICIRA) {
        put_experimenter(b, error.code, NX_VENDOR);
    } else if (version < OF14_VERSION && error.type == OFPET_BUNDLE_FAILED) {
        put_experimenter(b, (uint16_t) (ONF_BUNDLE_FAILED + error.code), ONF_VENDOR);
    } else if (version < OF14_VERSION && error.type == OFPET_BAD_PROPERTY) {
        put_experimenter(b, (uint16_t) (ONF_BAD_PROPERTY + error.code), ONF_VENDOR);
    } else if (version < OF14_VERSION && error.type == OFPET_FLOW_MONITOR_FAILED) {
        static const uint16_t codes[] = { [OFPMOFC_MONITOR_EXISTS] = 6, [OFPMOFC_BAD_FLAGS] = 7, [OFPMOFC_UNKNOWN_MONITOR] = 8 };
        put_experimenter(b, error.code < ARRAY_SIZE(codes) && codes[error.code] ? codes[error.code] : 10, NX_VENDOR);
    } else {
        buf_put_be16(b, error.type);
        buf_put_be16(b, error.code);
    }
}
