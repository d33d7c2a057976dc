/*
 * vswitchd's configuration: strict JSON in, a plain struct out, or an error that names the field.
 *
 * Everything that can be known to be wrong before anything is started is found here: unknown keys, two ports with one
 * name or number, CPUs that the process may not use, TLS targets without TLS files.  The reader of one port is also the
 * reader of port-add's parameters, so that both take the same words and give the same errors.  Pure but for reading the
 * file; no DPDK.
 */
#ifndef VSWITCH_CONFIG_H
#define VSWITCH_CONFIG_H 1

#include <stdbool.h>
#include <stdint.h>
#include "lib/err.h"
#include "lib/json.h"
#include "lib/log.h"
#include "vswitch/config_qos.h"

#define CONFIG_MAX_POLL 16
#define CONFIG_MAX_CPUS 1024
#define CONFIG_PORT_NAME_SIZE 16        /* OpenFlow's OFP_MAX_PORT_NAME_LEN, with the terminator. */
#define CONFIG_MIN_MTU 68
#define CONFIG_MAX_MTU 9216
#define CONFIG_MAX_QUEUES 16

enum config_hugepages { HUGEPAGES_AUTO, HUGEPAGES_ON, HUGEPAGES_OFF };
enum config_port_type { PORT_DPDK, PORT_VHOST_USER };

struct config_port {
    char name[CONFIG_PORT_NAME_SIZE];
    enum config_port_type type;
    char *devargs;              /* DPDK only. */
    char *path;                 /* vhost-user only. */
    bool server;                /* vhost-user: this side listens; otherwise QEMU does and this side reconnects. */
    unsigned queues, mtu;
    uint32_t ofport;            /* 0: lowest free. */
    struct config_qos qos;
};

struct config_cpus { unsigned cpu[CONFIG_MAX_CPUS]; size_t n; };

struct config_controller { char *target; unsigned max_backoff_ms; };

struct config {
    char name[33];
    uint64_t datapath_id;
    char *run_dir, *control_socket, *vhost_dir;
    enum log_level log_level;

    enum config_hugepages hugepages;
    unsigned memory_mb, mbufs;
    char *file_prefix;
    char **eal_args;
    unsigned n_eal_args;

    struct config_cpus poll, control;   /* control.n == 0: unpinned. */
    bool idle_sleep;
    unsigned cache_flows;       /* Per poll-mode thread; 0: no flow cache. */
    bool cache_check;

    struct config_port *ports;
    unsigned n_ports;

    struct config_controller *controllers;
    unsigned n_controllers;
    char **listen;
    unsigned n_listen;
    bool standalone;            /* fail_mode. */
    char *tls_private_key, *tls_certificate, *tls_ca;   /* NULL without a "tls" member. */
    unsigned max_flows, max_groups, max_meters, max_connections;
    unsigned max_table_flows;   /* 0: as many as max_flows. */
    unsigned max_monitors, max_bundles, max_bundle_mb, max_unread_mb, packet_in_rate;   /* Per connection. */
};

/* The CPUs that this process may run on (sched_getaffinity). */
void config_allowed_cpus(struct config_cpus *);
/* Fills `c`; false and `err` otherwise, and `c` is empty then.  `allowed` is what cpus.* may name. */
bool config_read(const cJSON *, const struct config_cpus *allowed, struct config *c, struct err *);
/* Reads the file at `path` against the CPUs allowed. */
bool config_load(const char *path, struct config *c, struct err *);
void config_fini(struct config *);

/* One port object; ends the reader (unknown keys are errors).  `vhost_dir` gives the default path of vhost-user ports. */
bool config_port_read(struct json_reader *, const char *vhost_dir, struct config_port *);
void config_port_fini(struct config_port *);
void config_port_copy(struct config_port *dst, const struct config_port *src);
/* Name of the first parameter in which the two differ, NULL when equal. An ofport of 0 agrees with any. */
const char *config_port_difference(const struct config_port *, const struct config_port *);
/* 1..15 of [A-Za-z0-9._-], starting with a letter or digit. */
bool config_port_name_valid(const char *);

#endif
