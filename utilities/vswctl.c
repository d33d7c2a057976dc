#include "utilities/vswctl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"

static const char usage_text[] =
    "usage: vswctl [-s SOCKET | -n NAME] [-o table|json] COMMAND\n"
    "\n"
    "  show                          the switch, its threads and controllers\n"
    "  ports [NAME]                  ports and their counters\n"
    "  flows [table=N] [MATCH]       flow entries with counters\n"
    "  groups                        groups and buckets\n"
    "  drops [PORT] [--all]          dropped frames by port and reason\n"
    "  trace in_port=P,FLOW          what the tables would do to a packet\n"
    "  trace in_port=P --packet HEX  the same for a frame given in hex\n"
    "  capture PORT -w FILE [-c COUNT] [-d rx|tx|both] [--snaplen N] [FILTER…]\n"
    "  port-add NAME type=vhost-user [path=PATH] [role=client|server] [queues=N] [ofport=N] [mtu=N]\n"
    "  port-add NAME type=dpdk devargs=DEVARGS [ofport=N] [mtu=N]\n"
    "  port-del NAME\n"
    "  queues [PORT]                 queues of ports, and their counters\n"
    "  port-queues NAME [rate_mbps=N] [queue=ID[,min_rate=N][,max_rate=N]]…\n"
    "  perf [SECONDS | [--total | --reset] [--json]]\n"
    "                                load of the poll-mode threads and cycles per stage, during one second if not said\n"
    "  metrics                       everything counted, as Prometheus text\n"
    "  log-level error|warn|info|debug\n"
    "  stop                          end vswitchd in good order\n"
    "\n"
    "  -s, --socket SOCKET   control socket; -n, --name NAME: /run/polder/NAME/vswitchd.sock\n"
    "                        (default: the only one under /run/polder)\n"
    "  -o, --output FORMAT   table (default) or json\n"
    "exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 6 time-out, 7 unreachable; see vswctl(8)\n";

typedef bool command_fn(struct vswctl *, int argc, char **argv, struct err *);

static bool wrong(struct err *err, const char *command, const char *what)
{
    err_set(err, ERR_USAGE, NULL, "%s: %s", command, what);
    return err_hint(err, "vswctl --help");
}

/* Calls, and prints the result raw or by `print` (NULL: nothing to show). */
static bool call_and_print(struct vswctl *c, const char *method, cJSON *params, void (*print)(const cJSON *), struct err *err)
{
    cJSON *result = vswctl_call(c, method, params, err);
    if (!result) {
        return false;
    }
    if (c->json) {
        char *text = json_text(result, true);
        puts(text);
        free(text);
    } else if (print) {
        print(result);
    }
    cJSON_Delete(result);
    return true;
}

static bool cmd_show(struct vswctl *c, int argc, char **argv, struct err *err)
{
    return argc == 1 ? call_and_print(c, "show", NULL, print_show, err) : wrong(err, argv[0], "takes no arguments");
}

static bool cmd_ports(struct vswctl *c, int argc, char **argv, struct err *err)
{
    cJSON *params = cJSON_CreateObject();
    if (argc > 2) {
        cJSON_Delete(params);
        return wrong(err, argv[0], "takes one port at most");
    }
    if (argc == 2) {
        json_add_string(params, "name", argv[1]);
    }
    return call_and_print(c, "ports", params, argc == 2 ? print_port : print_ports, err);
}

/* "table=N" items go out of the match, as ovs-ofctl has it; several arguments are joined by commas. */
static bool cmd_flows(struct vswctl *c, int argc, char **argv, struct err *err)
{
    cJSON *params = cJSON_CreateObject();
    char match[2048] = "";
    for (int i = 1; i < argc; i++) {
        char *save = NULL;
        for (char *item = strtok_r(argv[i], ",", &save); item; item = strtok_r(NULL, ",", &save)) {
            uint64_t table;
            size_t used = strlen(match);
            if (strncmp(item, "table=", 6)) {
                snprintf(match + used, sizeof match - used, "%s%s", used ? "," : "", item);
            } else if (!str_to_u64(item + 6, 253, &table) || cJSON_GetObjectItemCaseSensitive(params, "table")) {
                cJSON_Delete(params);
                return wrong(err, argv[0], "table= takes one number from 0 to 253");
            } else {
                json_add_u64(params, "table", table);
            }
        }
    }
    if (*match) {
        json_add_string(params, "match", match);
    }
    return call_and_print(c, "flows", params, print_flows, err);
}

static bool cmd_groups(struct vswctl *c, int argc, char **argv, struct err *err)
{
    return argc == 1 ? call_and_print(c, "groups", NULL, print_groups, err) : wrong(err, argv[0], "takes no arguments");
}

static bool cmd_drops(struct vswctl *c, int argc, char **argv, struct err *err)
{
    cJSON *params = cJSON_CreateObject();
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--all") || !strcmp(argv[i], "-a")) {
            cJSON_DeleteItemFromObjectCaseSensitive(params, "all");
            json_add_bool(params, "all", true);
        } else if (argv[i][0] == '-' || cJSON_GetObjectItemCaseSensitive(params, "port")) {
            cJSON_Delete(params);
            return wrong(err, argv[0], "takes one port and --all");
        } else {
            json_add_string(params, "port", argv[i]);
        }
    }
    return call_and_print(c, "drops", params, print_drops, err);
}

static bool trace_params(int argc, char **argv, cJSON *params, struct err *err)
{
    char flow[2048] = "";
    const char *packet = NULL;
    for (int i = 1; i < argc; i++) {
        size_t used = strlen(flow);
        if (!strcmp(argv[i], "--packet")) {
            if (++i == argc) {
                return wrong(err, argv[0], "--packet needs the frame in hex");
            }
            packet = argv[i];
        } else {
            snprintf(flow + used, sizeof flow - used, "%s%s", used ? "," : "", argv[i]);
        }
    }
    if (packet) {
        if (strncmp(flow, "in_port=", 8) || strchr(flow, ',')) {
            return wrong(err, argv[0], "--packet goes with in_port=PORT and nothing else");
        }
        json_add_string(params, "in_port", flow + 8);
        json_add_string(params, "packet", packet);
    } else {
        json_add_string(params, "flow", flow);
    }
    return true;
}

static bool cmd_trace(struct vswctl *c, int argc, char **argv, struct err *err)
{
    cJSON *params = cJSON_CreateObject();
    if (!trace_params(argc, argv, params, err)) {
        cJSON_Delete(params);
        return false;
    }
    if (c->json) {
        return call_and_print(c, "trace", params, NULL, err);
    }
    cJSON *trace = vswctl_call(c, "trace", params, err), *ports = trace ? vswctl_call(c, "ports", NULL, err) : NULL;
    if (ports) {
        print_trace(trace, ports);
    }
    cJSON_Delete(trace);
    cJSON_Delete(ports);
    return err->code == ERR_NONE;
}

static bool cmd_port_add(struct vswctl *c, int argc, char **argv, struct err *err)
{
    static const char *const numbers[] = { "ofport", "mtu", "queues" };
    if (argc < 3) {
        return wrong(err, argv[0], "needs a name and type=vhost-user or type=dpdk");
    }
    cJSON *params = cJSON_CreateObject();
    json_add_string(params, "name", argv[1]);
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value || value == argv[i]) {
            cJSON_Delete(params);
            return wrong(err, argv[0], "takes KEY=VALUE arguments after the name");
        }
        *value++ = '\0';
        uint64_t number;
        bool is_number = false;
        for (unsigned k = 0; k < ARRAY_SIZE(numbers); k++) {
            is_number |= !strcmp(argv[i], numbers[k]) && str_to_u64(value, UINT32_MAX, &number);
        }
        if (is_number) {
            json_add_u64(params, argv[i], number);
        } else {
            json_add_string(params, argv[i], value);
        }
    }
    cJSON *result = vswctl_call(c, "port-add", params, err);
    if (result && c->json) {
        char *text = json_text(result, true);
        puts(text);
        free(text);
    } else if (result) {
        printf("%s is port %s\n", text_of(result, "name"), text_of(result, "ofport"));
    }
    cJSON_Delete(result);
    return result;
}

static bool cmd_port_del(struct vswctl *c, int argc, char **argv, struct err *err)
{
    if (argc != 2) {
        return wrong(err, argv[0], "needs the port's name");
    }
    cJSON *params = cJSON_CreateObject();
    json_add_string(params, "name", argv[1]);
    return call_and_print(c, "port-del", params, NULL, err);
}

static bool cmd_queues(struct vswctl *c, int argc, char **argv, struct err *err)
{
    if (argc > 2) {
        return wrong(err, argv[0], "takes at most a port's name");
    }
    cJSON *params = cJSON_CreateObject();
    if (argc == 2) {
        json_add_string(params, "name", argv[1]);
    }
    return call_and_print(c, "ports", params, print_queues, err);
}

/* "ID[,KEY=NUMBER]…" as one element of "queues". */
static bool add_queue(cJSON *queues, char *text)
{
    uint64_t number;
    char *save = NULL, *id = strtok_r(text, ",", &save);
    cJSON *o = json_append_object(queues);
    if (!id || !str_to_u64(id, UINT32_MAX, &number)) {
        return false;
    }
    json_add_u64(o, "id", number);
    for (char *word; (word = strtok_r(NULL, ",", &save)); ) {
        char *value = strchr(word, '=');
        if (!value || !str_to_u64(value + 1, UINT32_MAX, &number)) {
            return false;
        }
        *value = '\0';
        json_add_u64(o, word, number);
    }
    return true;
}

static bool cmd_port_queues(struct vswctl *c, int argc, char **argv, struct err *err)
{
    cJSON *params = cJSON_CreateObject(), *queues = json_add_array(params, "queues");
    bool ok = argc > 1;
    if (ok) {
        json_add_string(params, "name", argv[1]);
    }
    for (int i = 2; ok && i < argc; i++) {
        uint64_t rate;
        if (!strncmp(argv[i], "queue=", 6)) {
            ok = add_queue(queues, argv[i] + 6);
        } else if ((ok = !strncmp(argv[i], "rate_mbps=", 10) && str_to_u64(argv[i] + 10, UINT32_MAX, &rate))) {
            json_add_u64(params, "rate_mbps", rate);
        }
    }
    if (!ok) {
        cJSON_Delete(params);
        return wrong(err, argv[0], "needs a port's name, then rate_mbps=N and queue=ID[,min_rate=N][,max_rate=N]");
    }
    return call_and_print(c, "port-queues", params, NULL, err);
}

static bool perf_usage(struct err *err)
{
    err_set(err, ERR_USAGE, NULL, "perf: takes a number of seconds, or --total, or --reset; --json gives totals");
    return err_hint(err, "vswctl --help");
}

/* Seconds, or nothing for totals: what was counted in between, or since the start or the latest reset. */
static bool cmd_perf(struct vswctl *c, int argc, char **argv, struct err *err)
{
    uint64_t seconds = 0;
    bool total = false, reset = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            c->json = true;
        } else if (!strcmp(argv[i], "--total")) {
            total = true;
        } else if (!strcmp(argv[i], "--reset")) {
            reset = true;
        } else if (seconds || !str_to_u64(argv[i], 3600, &seconds) || !seconds) {
            return perf_usage(err);
        }
    }
    if (total + reset + (seconds != 0) > 1 || (seconds && c->json)) {
        return perf_usage(err);
    }
    cJSON *params = cJSON_CreateObject();
    if (reset) {
        json_add_bool(params, "reset", true);
    }
    if (reset || (c->json && !seconds)) {
        return call_and_print(c, "perf", params, NULL, err);
    }
    cJSON *before = vswctl_call(c, "perf", params, err), *after = total && before ? before : NULL;
    if (before && !total) {
        sleep(seconds ? (unsigned) seconds : 1);
        after = vswctl_call(c, "perf", NULL, err);
    }
    if (after) {
        print_perf(total ? NULL : before, after);
    }
    bool ok = after;
    cJSON_Delete(before);
    cJSON_Delete(after == before ? NULL : after);
    return ok;
}

static void print_metrics(const cJSON *result)
{
    fputs(text_of(result, "text"), stdout);
}

static bool cmd_metrics(struct vswctl *c, int argc, char **argv, struct err *err)
{
    return argc == 1 ? call_and_print(c, "metrics", NULL, print_metrics, err) : wrong(err, argv[0], "takes no arguments");
}

static bool cmd_log_level(struct vswctl *c, int argc, char **argv, struct err *err)
{
    if (argc != 2) {
        return wrong(err, argv[0], "needs error, warn, info or debug");
    }
    cJSON *params = cJSON_CreateObject();
    json_add_string(params, "level", argv[1]);
    return call_and_print(c, "log-level", params, NULL, err);
}

static bool cmd_stop(struct vswctl *c, int argc, char **argv, struct err *err)
{
    return argc == 1 ? call_and_print(c, "stop", NULL, NULL, err) : wrong(err, argv[0], "takes no arguments");
}

static const struct { const char *name; command_fn *fn; } commands[] = {
    { "show", cmd_show }, { "ports", cmd_ports }, { "flows", cmd_flows }, { "groups", cmd_groups }, { "drops", cmd_drops }, { "trace", cmd_trace },
    { "capture", capture_command }, { "port-add", cmd_port_add }, { "port-del", cmd_port_del },
    { "queues", cmd_queues }, { "port-queues", cmd_port_queues }, { "perf", cmd_perf }, { "metrics", cmd_metrics },
    { "log-level", cmd_log_level }, { "stop", cmd_stop },
};

static int run(struct vswctl *c, const char *socket, const char *name, int argc, char **argv)
{
    struct err err = ERR_INIT;
    char text[1024];
    command_fn *fn = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!strcmp(commands[i].name, argv[0])) {
            fn = commands[i].fn;
        }
    }
    if (!fn) {
        wrong(&err, argv[0], "there is no such command");
    } else if (vswctl_connect(c, socket, name, &err) && fn(c, argc, argv, &err)) {
        return fflush(stdout) ? 1 : 0;
    }
    fprintf(stderr, "vswctl: %s\n", err_format(&err, text, sizeof text));
    return err_exit_code(err.code);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "socket", required_argument, NULL, 's' }, { "name", required_argument, NULL, 'n' }, { "output", required_argument, NULL, 'o' },
        { "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    struct vswctl c = { .fd = -1 };
    const char *socket = NULL, *name = NULL;
    for (int opt; (opt = getopt_long(argc, argv, "+s:n:o:Vh", options, NULL)) != -1;) {
        switch (opt) {
        case 's': socket = optarg; break;
        case 'n': name = optarg; break;
        case 'o':
            c.json = !strcmp(optarg, "json");
            if (!c.json && strcmp(optarg, "table")) {
                fprintf(stderr, "vswctl: -o takes table or json, not \"%s\"\n", optarg);
                return 2;
            }
            break;
        case 'V': puts("vswctl (Polder) " PACKAGE_VERSION); return 0;
        case 'h': fputs(usage_text, stdout); return 0;
        default: fputs(usage_text, stderr); return 2;
        }
    }
    if (optind == argc || (socket && name)) {
        fputs(usage_text, stderr);
        return 2;
    }
    int rc = run(&c, socket, name, argc - optind, argv + optind);
    vswctl_close(&c);
    return rc;
}
