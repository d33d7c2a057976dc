#include "vswitch/config.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "lib/stream.h"
#include "lib/util.h"
#include "vswitch/dp.h"

#define CONFIG_MAX_SIZE (4 << 20)

void config_allowed_cpus(struct config_cpus *out)
{
    cpu_set_t set;
    out->n = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set)) {
        return;
    }
    for (unsigned i = 0; i < CPU_SETSIZE && out->n < CONFIG_MAX_CPUS; i++) {
        if (CPU_ISSET(i, &set)) {
            out->cpu[out->n++] = i;
        }
    }
}

bool config_port_name_valid(const char *name)
{
    size_t n = strlen(name);
    if (!n || n >= CONFIG_PORT_NAME_SIZE || !isalnum((unsigned char) name[0])) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char) name[i]) && !strchr("._-", name[i])) {
            return false;
        }
    }
    return true;
}

void config_port_fini(struct config_port *p)
{
    free(p->devargs);
    free(p->path);
    memset(p, 0, sizeof *p);
}

void config_port_copy(struct config_port *dst, const struct config_port *src)
{
    *dst = *src;
    dst->devargs = src->devargs ? xstrdup(src->devargs) : NULL;
    dst->path = src->path ? xstrdup(src->path) : NULL;
}

const char *config_port_difference(const struct config_port *a, const struct config_port *b)
{
    if (a->type != b->type) {
        return "type";
    }
    if (a->ofport && b->ofport && a->ofport != b->ofport) {
        return "ofport";
    }
    if (a->mtu != b->mtu) {
        return "mtu";
    }
    if (!config_qos_equal(&a->qos, &b->qos)) {
        return "qos";
    }
    if (a->type == PORT_DPDK) {
        return strcmp(a->devargs, b->devargs) ? "devargs" : NULL;
    }
    return strcmp(a->path, b->path) ? "path" : a->server != b->server ? "role" : a->queues != b->queues ? "queues" : NULL;
}

/* "net_af_packet0,iface=…" or a PCI address: the part before the comma names the device and must be there. */
static bool devargs_valid(const char *s)
{
    size_t n = strcspn(s, ",");
    if (!n || n >= 64) {
        return false;
    }
    for (const char *p = s; *p; p++) {
        if (isspace((unsigned char) *p) || iscntrl((unsigned char) *p)) {
            return false;
        }
    }
    return true;
}

static void read_vhost_port(struct json_reader *r, const char *vhost_dir, struct config_port *p)
{
    const char *path = json_string_opt(r, "path");
    p->path = path ? xstrdup(path) : xasprintf("%s/%s.sock", vhost_dir, p->name);
    size_t room = sizeof ((struct sockaddr_un *) 0)->sun_path;
    if (p->path[0] != '/') {
        json_fail(r, "path", "\"%s\" is not an absolute path", p->path);
    } else if (strlen(p->path) >= room) {
        json_fail(r, "path", "\"%s\" is longer than the %zu bytes that a unix socket's path may have", p->path, room - 1);
    }
    const char *role = json_string(r, "role", "client");
    p->server = role && !strcmp(role, "server");
    if (role && !p->server && strcmp(role, "client")) {
        json_fail(r, "role", "\"%s\" is neither \"client\" (QEMU listens) nor \"server\" (vswitchd listens)", role);
    }
    p->queues = (unsigned) json_u64(r, "queues", 1, CONFIG_MAX_QUEUES, 1);
}

bool config_port_read(struct json_reader *r, const char *vhost_dir, struct config_port *p)
{
    memset(p, 0, sizeof *p);
    json_is_object(r);
    const char *name = json_string(r, "name", NULL), *type = json_string(r, "type", NULL);
    if (name && !config_port_name_valid(name)) {
        json_fail(r, "name", "\"%s\" is not a port name (1 to 15 letters, digits, '.', '_' or '-')", name);
    } else if (name) {
        str_copy(p->name, sizeof p->name, name);
    }
    p->mtu = (unsigned) json_u64(r, "mtu", CONFIG_MIN_MTU, CONFIG_MAX_MTU, 1500);
    p->ofport = (uint32_t) json_u64(r, "ofport", 1, DP_MAX_PORTS - 1, 0);
    struct json_reader qos;
    if (json_member(r, "qos", false, &qos)) {
        json_is_object(&qos);
        config_qos_read(&qos, &p->qos);
        json_end(&qos);
    }
    if (type && !strcmp(type, "vhost-user")) {
        p->type = PORT_VHOST_USER;
        read_vhost_port(r, vhost_dir, p);
    } else if (type && !strcmp(type, "dpdk")) {
        p->type = PORT_DPDK;
        p->queues = 1;
        const char *devargs = json_string(r, "devargs", NULL);
        if (devargs && !devargs_valid(devargs)) {
            json_fail(r, "devargs", "\"%s\" does not start with a device (a driver and number as net_af_packet0, or a PCI address)", devargs);
        }
        p->devargs = xstrdup(devargs ? devargs : "");
    } else if (type) {
        json_fail(r, "type", "\"%s\" is neither \"vhost-user\" nor \"dpdk\"", type);
    }
    if (!json_end(r)) {
        config_port_fini(p);
        return false;
    }
    return true;
}

static void read_cpus(struct json_reader *r, const char *key, const struct config_cpus *allowed, size_t max, struct config_cpus *out)
{
    const char *text = json_string_opt(r, key);
    out->n = 0;
    if (!text) {
        return;
    }
    if (!cpulist_parse(text, out->cpu, CONFIG_MAX_CPUS, &out->n) || !out->n) {
        json_fail(r, key, "\"%s\" is not a CPU list such as \"1,3-5\"", text);
        out->n = 0;
        return;
    }
    if (out->n > max) {
        json_fail(r, key, "names %zu CPUs, but at most %zu are used", out->n, max);
    }
    for (size_t i = 0; i < out->n; i++) {
        size_t k = 0;
        while (k < allowed->n && allowed->cpu[k] != out->cpu[i]) {
            k++;
        }
        if (k == allowed->n) {
            json_fail(r, key, "CPU %u does not exist here, or this process may not run on it", out->cpu[i]);
            return;
        }
    }
}

static void read_dpdk(struct json_reader *root, struct config *c)
{
    struct json_reader r;
    const char *huge = "auto", *prefix = NULL;
    c->memory_mb = 256;
    c->mbufs = 16384;
    if (json_member(root, "dpdk", false, &r)) {
        json_is_object(&r);
        huge = json_string(&r, "hugepages", "auto");
        c->memory_mb = (unsigned) json_u64(&r, "memory_mb", 64, 1 << 20, 256);
        c->mbufs = (unsigned) json_u64(&r, "mbufs", 1024, 1 << 24, 16384);
        /* An mbuf takes a little over 2.4 kB; the rest of the memory is for rings and the vhost library. */
        if ((uint64_t) c->mbufs * 2560 > ((uint64_t) c->memory_mb << 20) / 10 * 9) {
            json_fail(&r, "mbufs", "%u buffers do not fit in memory_mb %u (about 2.5 kB each)", c->mbufs, c->memory_mb);
        }
        prefix = json_string_opt(&r, "file_prefix");
        if (prefix && (!*prefix || strlen(prefix) > 60 || strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(prefix))) {
            json_fail(&r, "file_prefix", "\"%s\" is not 1 to 60 letters, digits, '.', '_' or '-'", prefix);
        }
        struct json_reader args;
        if (json_array(&r, "eal_args", false, &args)) {
            size_t n = json_array_size(&args);
            c->eal_args = xcalloc(n + 1, sizeof *c->eal_args);
            for (size_t i = 0; i < n; i++) {
                struct json_reader e;
                json_element(&args, i, &e);
                const char *s = json_value_string(&e);
                c->eal_args[c->n_eal_args++] = xstrdup(s ? s : "");
            }
        }
        if (huge && strcmp(huge, "auto") && strcmp(huge, "on") && strcmp(huge, "off")) {
            json_fail(&r, "hugepages", "\"%s\" is not \"auto\", \"on\" or \"off\"", huge);
        }
        json_end(&r);
    }
    c->hugepages = !huge || !strcmp(huge, "auto") ? HUGEPAGES_AUTO : !strcmp(huge, "on") ? HUGEPAGES_ON : HUGEPAGES_OFF;
    c->file_prefix = prefix ? xstrdup(prefix) : xasprintf("polder-%s", c->name);
}

static void read_ports(struct json_reader *root, struct config *c)
{
    struct json_reader array;
    if (!json_array(root, "ports", false, &array)) {
        return;
    }
    size_t n = json_array_size(&array);
    c->ports = xcalloc(n + 1, sizeof *c->ports);
    for (size_t i = 0; i < n; i++) {
        struct json_reader r;
        json_element(&array, i, &r);
        struct config_port *p = &c->ports[c->n_ports];
        if (!config_port_read(&r, c->vhost_dir, p)) {
            return;
        }
        c->n_ports++;
        for (struct config_port *q = c->ports; q < p; q++) {
            size_t k = (size_t) (q - c->ports);
            if (!strcmp(p->name, q->name)) {
                json_fail(&r, "name", "\"%s\" is also the name of ports[%zu]", p->name, k);
            } else if (p->ofport && p->ofport == q->ofport) {
                json_fail(&r, "ofport", "%u is also the number of ports[%zu]", p->ofport, k);
            } else if (p->path && q->path && !strcmp(p->path, q->path)) {
                json_fail(&r, "path", "\"%s\" is also the socket of ports[%zu]", p->path, k);
            } else if (p->devargs && q->devargs && strcspn(p->devargs, ",") == strcspn(q->devargs, ",")
                       && !strncmp(p->devargs, q->devargs, strcspn(p->devargs, ","))) {
                json_fail(&r, "devargs", "\"%s\" is also the device of ports[%zu]", p->devargs, k);
            }
        }
    }
}

/* Checks a target and whether it needs TLS files that are not given. */
static void check_target(struct json_reader *r, const char *key, const char *target, bool listener, const struct config *c)
{
    struct err err = ERR_INIT;
    if (!stream_target_valid(target, listener, &err)) {
        json_fail(r, key, "%s", err.message);
        return;
    }
    const char *t = target + (*target == 'p');
    if ((!strncmp(t, "tls:", 4) || !strncmp(t, "ssl:", 4)) && !c->tls_private_key) {
        json_fail(r, key, "\"%s\" needs openflow.tls (private_key, certificate, ca_certificate)", target);
    }
}

static void read_tls(struct json_reader *of, struct config *c)
{
    struct json_reader r;
    if (!json_member(of, "tls", false, &r)) {
        return;
    }
    json_is_object(&r);
    const char *key = json_string(&r, "private_key", NULL), *cert = json_string(&r, "certificate", NULL);
    const char *ca = json_string(&r, "ca_certificate", NULL);
    json_end(&r);
    c->tls_private_key = key ? xstrdup(key) : NULL;
    c->tls_certificate = cert ? xstrdup(cert) : NULL;
    c->tls_ca = ca ? xstrdup(ca) : NULL;
}

static void read_controllers(struct json_reader *of, struct config *c)
{
    struct json_reader array;
    if (!json_array(of, "controllers", false, &array)) {
        return;
    }
    size_t n = json_array_size(&array);
    c->controllers = xcalloc(n + 1, sizeof *c->controllers);
    for (size_t i = 0; i < n; i++) {
        struct json_reader r;
        json_element(&array, i, &r);
        json_is_object(&r);
        const char *target = json_string(&r, "target", NULL);
        struct config_controller *k = &c->controllers[c->n_controllers++];
        k->max_backoff_ms = (unsigned) json_u64(&r, "max_backoff_ms", 100, 600000, 8000);
        k->target = xstrdup(target ? target : "");
        if (target) {
            check_target(&r, "target", target, false, c);
        }
        json_end(&r);
    }
}

static void read_listen(struct json_reader *of, struct config *c)
{
    struct json_reader array;
    if (!of || !json_array(of, "listen", false, &array)) {
        c->listen = xcalloc(1, sizeof *c->listen);
        c->listen[c->n_listen++] = xasprintf("punix:%s/openflow.sock", c->run_dir);
        return;
    }
    size_t n = json_array_size(&array);
    c->listen = xcalloc(n + 1, sizeof *c->listen);
    for (size_t i = 0; i < n; i++) {
        struct json_reader e;
        json_element(&array, i, &e);
        const char *s = json_value_string(&e);
        c->listen[c->n_listen++] = xstrdup(s ? s : "");
        if (s) {
            check_target(&e, NULL, s, true, c);
        }
    }
}

static void read_openflow(struct json_reader *root, struct config *c)
{
    struct json_reader of, limits;
    c->max_flows = 1000000;
    c->max_groups = c->max_meters = 65536;
    c->max_connections = c->max_bundles = c->max_bundle_mb = c->max_unread_mb = 64;
    c->max_monitors = 1024;
    c->packet_in_rate = 10000;
    if (!json_member(root, "openflow", false, &of)) {
        read_listen(NULL, c);
        return;
    }
    json_is_object(&of);
    read_tls(&of, c);
    read_controllers(&of, c);
    read_listen(&of, c);
    const char *mode = json_string(&of, "fail_mode", "secure");
    c->standalone = mode && !strcmp(mode, "standalone");
    if (mode && !c->standalone && strcmp(mode, "secure")) {
        json_fail(&of, "fail_mode", "\"%s\" is neither \"secure\" nor \"standalone\"", mode);
    }
    if (json_member(&of, "limits", false, &limits)) {
        json_is_object(&limits);
        c->max_flows = (unsigned) json_u64(&limits, "flows", 1, 100000000, c->max_flows);
        c->max_groups = (unsigned) json_u64(&limits, "groups", 1, 10000000, c->max_groups);
        c->max_meters = (unsigned) json_u64(&limits, "meters", 0, 10000000, c->max_meters);
        c->max_table_flows = (unsigned) json_u64(&limits, "table_flows", 1, 100000000, 0);
        c->max_connections = (unsigned) json_u64(&limits, "connections", 1, 10000, c->max_connections);
        c->max_monitors = (unsigned) json_u64(&limits, "monitors", 1, 100000, c->max_monitors);
        c->max_bundles = (unsigned) json_u64(&limits, "bundles", 1, 10000, c->max_bundles);
        c->max_bundle_mb = (unsigned) json_u64(&limits, "bundle_mb", 1, 4096, c->max_bundle_mb);
        c->max_unread_mb = (unsigned) json_u64(&limits, "unread_mb", 2, 4096, c->max_unread_mb);
        c->packet_in_rate = (unsigned) json_u64(&limits, "packet_in_rate", 1, 10000000, c->packet_in_rate);
        json_end(&limits);
    }
    json_end(&of);
}

static char *read_path(struct json_reader *r, const char *key, char *dflt /* taken */)
{
    const char *s = json_string_opt(r, key);
    if (s && s[0] != '/') {
        json_fail(r, key, "\"%s\" is not an absolute path", s);
    }
    if (s) {
        free(dflt);
    }
    return s ? xstrdup(s) : dflt;
}

bool config_read(const cJSON *json, const struct config_cpus *allowed, struct config *c, struct err *err)
{
    struct json_reader r;
    memset(c, 0, sizeof *c);
    json_root(&r, json, err);
    json_is_object(&r);
    const char *name = json_string(&r, "name", NULL), *dpid = json_string(&r, "datapath_id", NULL);
    if (name && !name_valid(name)) {
        json_fail(&r, "name", "\"%s\" is not a name (1 to 32 of a-z, 0-9 and '-', not at either end)", name);
    }
    str_copy(c->name, sizeof c->name, name ? name : "");
    if (dpid && (strlen(dpid) != 16 || !str_to_hex(dpid, 16, &c->datapath_id) || !c->datapath_id)) {
        json_fail(&r, "datapath_id", "\"%s\" is not 16 hex digits that are not all zero", dpid);
    }
    c->run_dir = read_path(&r, "run_dir", xasprintf("/run/polder/%s", c->name));
    c->control_socket = read_path(&r, "control_socket", xasprintf("%s/vswitchd.sock", c->run_dir));
    c->vhost_dir = read_path(&r, "vhost_dir", xstrdup(c->run_dir));
    size_t room = sizeof ((struct sockaddr_un *) 0)->sun_path;
    if (strlen(c->control_socket) >= room) {
        json_fail(&r, "control_socket", "\"%s\" is longer than the %zu bytes that a unix socket's path may have", c->control_socket, room - 1);
    }
    const char *level = json_string(&r, "log_level", "info");
    if (level && !log_level_parse(level, &c->log_level)) {
        json_fail(&r, "log_level", "\"%s\" is not error, warn, info or debug", level);
    }
    read_dpdk(&r, c);
    struct json_reader cpus;
    if (json_member(&r, "cpus", false, &cpus)) {
        json_is_object(&cpus);
        read_cpus(&cpus, "poll", allowed, CONFIG_MAX_POLL, &c->poll);
        read_cpus(&cpus, "control", allowed, CONFIG_MAX_CPUS, &c->control);
        json_end(&cpus);
    }
    if (!c->poll.n && allowed->n) {
        c->poll.cpu[c->poll.n++] = allowed->cpu[allowed->n - 1];
    }
    c->idle_sleep = json_bool(&r, "idle_sleep", true);
    struct json_reader cache;
    c->cache_flows = 1000000;
    if (json_member(&r, "cache", false, &cache)) {
        json_is_object(&cache);
        c->cache_flows = (unsigned) json_u64(&cache, "flows", 0, 100000000, c->cache_flows);
        c->cache_check = json_bool(&cache, "check", false);
        json_end(&cache);
    }
    read_ports(&r, c);
    read_openflow(&r, c);
    if (!json_end(&r)) {
        config_fini(c);
        return false;
    }
    return true;
}

bool config_load(const char *path, struct config *c, struct err *err)
{
    struct config_cpus allowed;
    cJSON *json = json_load(path, CONFIG_MAX_SIZE, err);
    if (!json) {
        return false;
    }
    config_allowed_cpus(&allowed);
    bool ok = config_read(json, &allowed, c, err);
    cJSON_Delete(json);
    return ok;
}

void config_fini(struct config *c)
{
    free(c->run_dir);
    free(c->control_socket);
    free(c->vhost_dir);
    free(c->file_prefix);
    for (unsigned i = 0; i < c->n_eal_args; i++) {
        free(c->eal_args[i]);
    }
    free(c->eal_args);
    for (unsigned i = 0; i < c->n_ports; i++) {
        config_port_fini(&c->ports[i]);
    }
    free(c->ports);
    for (unsigned i = 0; i < c->n_controllers; i++) {
        free(c->controllers[i].target);
    }
    free(c->controllers);
    for (unsigned i = 0; i < c->n_listen; i++) {
        free(c->listen[i]);
    }
    free(c->listen);
    free(c->tls_private_key);
    free(c->tls_certificate);
    free(c->tls_ca);
    memset(c, 0, sizeof *c);
}
