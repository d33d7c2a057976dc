#include "controller/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "controller/auth.h"
#include "lib/json.h"

#define CONFIG_MAX_SIZE (1 << 20)
#define MAX_LISTENERS 16
#define DEFAULT_KEEPALIVE_MS 500
#define DEFAULT_BUSY_POLL_US 50
#define DEFAULT_HOLD_MS 5000

static char *dup_opt(const char *s) { return s ? xstrdup(s) : NULL; }

/* {"private_key","certificate","ca_certificate"}: all files; the first two are needed. require_id: of switches, else NULL. */
static void read_tls(struct json_reader *parent, bool ca_required, char **key, char **cert, char **ca, bool *require_id)
{
    struct json_reader r;
    if (!json_member(parent, "tls", false, &r) || !json_is_object(&r)) {
        return;
    }
    *key = dup_opt(json_string(&r, "private_key", NULL));
    *cert = dup_opt(json_string(&r, "certificate", NULL));
    *ca = ca_required ? dup_opt(json_string(&r, "ca_certificate", NULL)) : dup_opt(json_string_opt(&r, "ca_certificate"));
    if (require_id) {
        *require_id = json_bool(&r, "require_datapath_id", false);
    }
    json_end(&r);
}

static void read_openflow(struct json_reader *root, struct controller_config *c)
{
    struct json_reader r, list;
    if (!json_member(root, "openflow", true, &r) || !json_is_object(&r)) {
        return;
    }
    if (json_array(&r, "listen", true, &list)) {
        size_t n = json_array_size(&list);
        if (!n || n > MAX_LISTENERS) {
            json_fail(&list, NULL, "give 1 to %d listeners, such as \"ptcp:6653:127.0.0.1\"", MAX_LISTENERS);
        }
        c->openflow_listen = xcalloc(n + 1, sizeof *c->openflow_listen);
        for (size_t i = 0; i < n && i < MAX_LISTENERS; i++) {
            struct json_reader e;
            struct err why = ERR_INIT;
            json_element(&list, i, &e);
            const char *target = json_value_string(&e);
            if (target && r.err->code == ERR_NONE && !stream_target_valid(target, true, &why)) {
                json_fail(&e, NULL, "%s", why.message);
            }
            c->openflow_listen[c->n_openflow_listen++] = xstrdup(target ? target : "");
        }
    }
    read_tls(&r, true, &c->of_key, &c->of_cert, &c->of_ca, &c->of_require_id);
    for (unsigned i = 0; i < c->n_openflow_listen; i++) {
        const char *t = c->openflow_listen[i];
        if (!c->of_key && (!strncmp(t, "ptls:", 5) || !strncmp(t, "pssl:", 5))) {
            json_fail(&r, "tls", "needed, because openflow.listen[%u] is %s", i, t);
        }
    }
    json_end(&r);
}

static void read_slices(struct json_reader *root, struct controller_config *c)
{
    struct json_reader r;
    c->slice_hold_s = 60;
    if (json_member(root, "slices", false, &r) && json_is_object(&r)) {
        read_tls(&r, true, &c->slice_key, &c->slice_cert, &c->slice_ca, NULL);
        c->slice_hold_s = (unsigned) json_u64(&r, "hold_s", 0, 3600, 60);
        json_end(&r);
    }
}

static void read_rest(struct json_reader *root, struct controller_config *c)
{
    struct json_reader r;
    const char *listen = NULL, *unix_path = NULL;
    if (json_member(root, "rest", false, &r) && json_is_object(&r)) {
        unix_path = json_string_opt(&r, "unix");
        listen = json_string_opt(&r, "listen");
        read_tls(&r, false, &c->rest_key, &c->rest_cert, &c->rest_ca, NULL);
        c->tokens_file = dup_opt(json_string_opt(&r, "tokens"));
        if (listen && !c->rest_key) {
            json_fail(&r, "tls", "needed, because rest.listen opens the API to the network");
        }
        if (listen && !c->tokens_file) {
            json_fail(&r, "tokens", "needed, because rest.listen opens the API to the network");
        }
        if (listen && !strrchr(listen, ':')) {
            json_fail(&r, "listen", "%s is not ADDRESS:PORT", listen);
        }
        json_end(&r);
    }
    c->rest_listen = dup_opt(listen);
    c->rest_unix = unix_path ? xstrdup(unix_path) : xasprintf("%s/api.sock", c->run_dir);
    if (strlen(c->rest_unix) >= sizeof ((struct sockaddr_un *) NULL)->sun_path) {
        json_fail(root, "rest.unix", "%s is longer than a socket's path may be (%zu bytes)", c->rest_unix,
                  sizeof ((struct sockaddr_un *) NULL)->sun_path - 1);
    }
}

static void read_lldp(struct json_reader *root, struct controller_config *c)
{
    struct json_reader r;
    c->lldp_interval_ms = 1000;
    c->lldp_keepalive_ms = DEFAULT_KEEPALIVE_MS;
    if (json_member(root, "lldp", false, &r) && json_is_object(&r)) {
        c->lldp_interval_ms = (unsigned) json_u64(&r, "interval_ms", 50, 60000, 1000);
        c->lldp_keepalive_ms = (unsigned) json_u64(&r, "keepalive_ms", 50, 60000, MIN(c->lldp_interval_ms, DEFAULT_KEEPALIVE_MS));
        if (c->lldp_keepalive_ms > c->lldp_interval_ms) {
            json_fail(&r, "keepalive_ms", "%u is longer than interval_ms, %u", c->lldp_keepalive_ms, c->lldp_interval_ms);
        }
        c->lldp_key_file = dup_opt(json_string_opt(&r, "key_file"));
        json_end(&r);
    }
}

static void read_fabric(struct json_reader *root, struct controller_config *c)
{
    struct json_reader r;
    c->restore_hold_ms = DEFAULT_HOLD_MS;
    if (json_member(root, "fabric", false, &r) && json_is_object(&r)) {
        const char *restore = json_string(&r, "restore", "auto");
        if (restore && strcmp(restore, "auto") && strcmp(restore, "manual")) {
            json_fail(&r, "restore", "%s is neither auto nor manual", restore);
        }
        c->restore_manual = restore && !strcmp(restore, "manual");
        c->restore_hold_ms = (unsigned) json_u64(&r, "restore_hold_ms", 0, 3600000, DEFAULT_HOLD_MS);
        json_end(&r);
    }
}

/* The pools leave room for what model.h puts behind them: an edge index and a slot. */
static void read_pool(struct json_reader *r, const char *key, const char *dflt, bool v4, unsigned max_len, struct prefix *out)
{
    const char *text = r ? json_string(r, key, dflt) : dflt;
    if (!text || !prefix_parse(text, out) || out->is_v4 != v4) {
        json_fail(r, key, "%s is not an %s prefix", text ? text : "", v4 ? "IPv4" : "IPv6");
    } else if (out->len > max_len) {
        json_fail(r, key, "%s is too small: at most /%u leaves room for edges and ports", text, max_len);
    }
}

static void read_provider(struct json_reader *root, struct controller_config *c)
{
    struct json_reader r;
    bool given = json_member(root, "provider", false, &r) && json_is_object(&r);
    read_pool(given ? &r : NULL, "ipv4_pool", "100.64.0.0/10", true, 20, &c->provider.v4);
    read_pool(given ? &r : NULL, "ipv6_pool", "fd64:706f:6c64::/48", false, 48, &c->provider.v6);
    if (given) {
        json_end(&r);
    }
}

static void read_intern(struct json_reader *root, struct controller_config *c)
{
    struct json_reader r;
    c->intern_pairs_per_network = 4096;
    c->intern_idle_s = 300;
    if (json_member(root, "intern", false, &r) && json_is_object(&r)) {
        c->intern_pairs_per_network = (unsigned) json_u64(&r, "pairs_per_network", 0, 1000000, 4096);
        c->intern_idle_s = (unsigned) json_u64(&r, "idle_s", 1, 86400, 300);
        json_end(&r);
    }
}

bool config_load(const char *path, struct controller_config *c, enum log_level *level, struct err *err)
{
    memset(c, 0, sizeof *c);
    cJSON *tree = json_load(path, CONFIG_MAX_SIZE, err);
    if (!tree) {
        return false;
    }
    struct json_reader r;
    json_root(&r, tree, err);
    if (json_is_object(&r)) {
        const char *name = json_string(&r, "name", NULL), *run_dir = json_string(&r, "run_dir", NULL);
        if (name && *name && !name_valid(name)) {
            json_fail(&r, "name", "%s: use 1 to 32 of a-z, 0-9 and -", name);
        }
        if (run_dir && *run_dir && *run_dir != '/') {
            json_fail(&r, "run_dir", "%s: give an absolute path", run_dir);
        }
        c->name = xstrdup(name ? name : "");
        c->run_dir = xstrdup(run_dir ? run_dir : "");
        const char *store = json_string_opt(&r, "store");
        c->store_path = store ? xstrdup(store) : xasprintf("%s/polder.db", c->run_dir);
        const char *log_level = json_string(&r, "log_level", "info");
        if (log_level && !log_level_parse(log_level, level)) {
            json_fail(&r, "log_level", "%s is not one of error, warn, info, debug", log_level);
        }
        c->busy_poll_us = (unsigned) json_u64(&r, "busy_poll_us", 0, 1000000, DEFAULT_BUSY_POLL_US);
        read_openflow(&r, c);
        read_slices(&r, c);
        read_rest(&r, c);
        read_lldp(&r, c);
        read_fabric(&r, c);
        read_provider(&r, c);
        read_intern(&r, c);
        json_end(&r);
    }
    cJSON_Delete(tree);
    if (err->code != ERR_NONE) {
        config_fini(c);
        return false;
    }
    return true;
}

bool config_lldp_key(const char *path, struct lldp_key *key, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        return err_set(err, ERR_INVALID, "lldp.key_file", "%s: %s", path, strerror(errno));
    }
    uint8_t bytes[LLDP_KEY_MAX + 2];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    bool failed = ferror(f);
    fclose(f);
    if (failed) {
        return err_set(err, ERR_INVALID, "lldp.key_file", "%s: cannot be read", path);
    }
    if (n && bytes[n - 1] == '\n') {
        n--;
    }
    if (n < LLDP_KEY_MIN || n > LLDP_KEY_MAX) {
        err_set(err, ERR_INVALID, "lldp.key_file", "%s: a key has %d to %d bytes", path, LLDP_KEY_MIN, LLDP_KEY_MAX);
        return err_hint(err, "openssl rand -hex 32 makes one");
    }
    memcpy(key->b, bytes, n);
    key->size = n;
    return true;
}

static bool make_tls(const char *field, const char *key, const char *cert, const char *ca, struct tls_config **out, struct err *err)
{
    *out = NULL;
    if (key && !(*out = tls_config_new(key, cert, ca, err))) {
        return err_prefix(err, field);
    }
    return true;
}

bool config_openflow_tls(const struct controller_config *c, struct tls_config **out, struct err *err)
{
    return make_tls("openflow.tls", c->of_key, c->of_cert, c->of_ca, out, err);
}

bool config_slice_tls(const struct controller_config *c, struct tls_config **out, struct err *err)
{
    return c->slice_key ? make_tls("slices.tls", c->slice_key, c->slice_cert, c->slice_ca, out, err) : config_openflow_tls(c, out, err);
}

bool config_rest_tls(const struct controller_config *c, struct tls_config **out, struct err *err)
{
    return make_tls("rest.tls", c->rest_key, c->rest_cert, c->rest_ca, out, err);
}

bool config_check(const struct controller_config *c, struct err *err)
{
    struct tls_config *tls;
    if (!config_openflow_tls(c, &tls, err)) {
        return false;
    }
    tls_config_unref(tls);
    if (!config_slice_tls(c, &tls, err)) {
        return false;
    }
    tls_config_unref(tls);
    if (!config_rest_tls(c, &tls, err)) {
        return false;
    }
    tls_config_unref(tls);
    if (c->tokens_file) {
        struct tokens *tokens = tokens_load(c->tokens_file, err);
        if (!tokens) {
            return err_prefix(err, "rest.tokens");
        }
        tokens_free(tokens);
    }
    struct lldp_key key;
    return !c->lldp_key_file || config_lldp_key(c->lldp_key_file, &key, err);
}

void config_fini(struct controller_config *c)
{
    char *strings[] = {
        c->name, c->run_dir, c->store_path, c->of_key, c->of_cert, c->of_ca, c->slice_key, c->slice_cert, c->slice_ca, c->rest_unix, c->rest_listen,
        c->rest_key, c->rest_cert, c->rest_ca, c->tokens_file, c->lldp_key_file,
    };
    for (unsigned i = 0; i < ARRAY_SIZE(strings); i++) {
        free(strings[i]);
    }
    for (unsigned i = 0; i < c->n_openflow_listen; i++) {
        free(c->openflow_listen[i]);
    }
    free(c->openflow_listen);
    memset(c, 0, sizeof *c);
}
