/* What tables and groups can do, as replies to OFPMP_TABLE_FEATURES and OFPMP_GROUP_FEATURES (OpenFlow 1.3.5 sections 7.3.5.5 and 7.3.5.9). */
#include "ofproto/agent_private.h"

#include <stdio.h>
#include "ofproto/of_property.h"

enum {                          /* ofp_table_feature_prop_type; the _MISS ones may be left out when they are the same. */
    OFPTFPT_INSTRUCTIONS = 0, OFPTFPT_NEXT_TABLES = 2, OFPTFPT_WRITE_ACTIONS = 4, OFPTFPT_APPLY_ACTIONS = 6, OFPTFPT_MATCH = 8,
    OFPTFPT_WILDCARDS = 10, OFPTFPT_WRITE_SETFIELD = 12, OFPTFPT_APPLY_SETFIELD = 14,
};

enum { OFPAT_SET_QUEUE = 21, OFPIT_GOTO_TABLE = 1, OFPIT_CLEAR_ACTIONS = 5, OFPIT_METER = 6 };

enum {                          /* ofp_group_capabilities */
    OFPGFC_SELECT_WEIGHT = 1, OFPGFC_SELECT_LIVENESS = 2, OFPGFC_CHAINING = 4, OFPGFC_CHAINING_CHECKS = 8,
};

/* OFPAT_* of every action of OpenFlow 1.3. */
static const uint8_t action_types[] = { 0, 11, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27 };

#define OXM_CLASS_OPENFLOW_BASIC 0x8000u
#define OXM_HAS_MASK 0x100u

static struct of_limits limits_of(struct of_agent *agent)
{
    struct of_limits limits = { .flows = UINT32_MAX, .groups = UINT32_MAX, .meters = UINT32_MAX };
    if (agent->ops->limits) {
        agent->ops->limits(agent->aux, &limits);
    }
    return limits;
}

uint32_t agent_table_max(struct of_agent *agent, uint8_t table)
{
    return MIN(flow_tables_table_max(agent->ops->flows(agent->aux), table), limits_of(agent).flows);
}

static void put_instructions(struct of_agent *agent, uint8_t table, struct buf *b)
{
    size_t start = of_property_open(b, OFPTFPT_INSTRUCTIONS);
    unsigned last = agent->ops->meters ? OFPIT_METER : OFPIT_CLEAR_ACTIONS;
    for (unsigned type = table + 1 < agent->n_tables ? OFPIT_GOTO_TABLE : OFPIT_GOTO_TABLE + 1; type <= last; type++) {
        buf_put_be16(b, (uint16_t) type);
        buf_put_be16(b, 4);
    }
    of_property_close(b, start);
}

static void put_next_tables(struct of_agent *agent, uint8_t table, struct buf *b)
{
    size_t start = of_property_open(b, OFPTFPT_NEXT_TABLES);
    for (unsigned next = table + 1u; next < agent->n_tables; next++) {
        buf_put_u8(b, (uint8_t) next);
    }
    of_property_close(b, start);
}

static void put_actions(const struct of_limits *limits, uint16_t property, struct buf *b)
{
    size_t start = of_property_open(b, property);
    for (unsigned i = 0; i < ARRAY_SIZE(action_types); i++) {
        if (action_types[i] != OFPAT_SET_QUEUE || !limits->no_queues) {
            buf_put_be16(b, action_types[i]);
            buf_put_be16(b, 4);
        }
    }
    of_property_close(b, start);
}

/* Fields by header; `masks`: with the mask bit where a mask may be used. */
static void put_fields(const struct of_limits *limits, uint16_t property, bool settable_only, bool masks, struct buf *b)
{
    size_t start = of_property_open(b, property);
    for (unsigned i = 0; i < N_FIELDS; i++) {
        const struct field *f = field_row((enum field_id) i);
        if (f->oxm >> 16 == OXM_CLASS_OPENFLOW_BASIC && (!settable_only || f->settable) && (!limits->has_field || limits->has_field(f, settable_only))) {
            bool masked = masks && f->maskable;
            buf_put_be32(b, f->oxm | (masked ? OXM_HAS_MASK | 2u * f->wire_size : f->wire_size));
        }
    }
    of_property_close(b, start);
}

static void put_table(struct of_agent *agent, const struct of_limits *limits, uint8_t table, struct buf *b)
{
    char name[32] = "";
    size_t start = b->size;
    buf_put_be16(b, 0);
    buf_put_u8(b, table);
    buf_put_zeros(b, 5);
    snprintf(name, sizeof name, "table%u", table);
    buf_put(b, name, sizeof name);
    buf_put_be64(b, UINT64_MAX);        /* metadata_match, metadata_write */
    buf_put_be64(b, UINT64_MAX);
    buf_put_be32(b, 0);
    buf_put_be32(b, agent_table_max(agent, table));
    put_instructions(agent, table, b);
    put_next_tables(agent, table, b);
    put_actions(limits, OFPTFPT_WRITE_ACTIONS, b);
    put_actions(limits, OFPTFPT_APPLY_ACTIONS, b);
    put_fields(limits, OFPTFPT_MATCH, false, true, b);
    put_fields(limits, OFPTFPT_WILDCARDS, false, false, b);
    put_fields(limits, OFPTFPT_WRITE_SETFIELD, true, false, b);
    put_fields(limits, OFPTFPT_APPLY_SETFIELD, true, false, b);
    buf_set_be16(b, start, (uint16_t) (b->size - start));
}

void agent_table_features(struct of_agent *agent, struct buf *b)
{
    const struct of_limits limits = limits_of(agent);
    for (unsigned table = 0; table < agent->n_tables; table++) {
        put_table(agent, &limits, (uint8_t) table, b);
    }
}

void agent_group_features(struct of_agent *agent, struct of_group_features *gf)
{
    const struct of_limits limits = limits_of(agent);
    uint32_t actions = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(action_types); i++) {
        actions |= action_types[i] == OFPAT_SET_QUEUE && limits.no_queues ? 0 : 1u << action_types[i];
    }
    gf->types = 1 << OFPGT_ALL | 1 << OFPGT_SELECT | 1 << OFPGT_INDIRECT | 1 << OFPGT_FF;
    gf->capabilities = OFPGFC_SELECT_WEIGHT | OFPGFC_SELECT_LIVENESS | OFPGFC_CHAINING | OFPGFC_CHAINING_CHECKS;
    for (unsigned i = 0; i < 4; i++) {
        gf->max_groups[i] = MIN(group_table_max(agent->ops->groups(agent->aux)), limits.groups);
        gf->actions[i] = actions;
    }
}

void agent_meter_features(struct of_agent *agent, struct of_meter_features *mf)
{
    if (agent->ops->meters) {
        meter_table_features(agent->ops->meters(agent->aux), mf);
        mf->max_meter = MIN(mf->max_meter, limits_of(agent).meters);
    }
}
