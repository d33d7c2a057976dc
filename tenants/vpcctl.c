#include "tenants/vpcctl.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define DEFAULT_SERVER "unix:/run/polder/ctl/api.sock"
#define BIT(OPTION) (1u << (OPTION))

static const struct { const char *name; char letter; bool flag; const char *help; } options[N_OPTIONS] = {
    [OPT_SERVER] = { "server", 's', false, "unix:PATH or https://HOST:PORT of controllerd (POLDER_SERVER; default " DEFAULT_SERVER ")" },
    [OPT_TOKEN] = { "token", 0, false, "token for https (POLDER_TOKEN)" },
    [OPT_TOKEN_FILE] = { "token-file", 0, false, "file that holds the token" },
    [OPT_CA] = { "ca", 0, false, "file of the certificate authority that signed controllerd's certificate" },
    [OPT_OUTPUT] = { "output", 'o', false, "table, wide, json or yaml" },
    [OPT_FILE] = { "file", 'f', false, "YAML or JSON file, directory of *.yaml, or - for standard input; may be repeated, all together are one transaction" },
    [OPT_WAIT] = { "wait", 0, false, "installed: return only when the switches confirm what was changed" },
    [OPT_TIMEOUT] = { "timeout", 0, false, "for --wait and for answers: 30s, 500ms, 2m (default 30s)" },
    [OPT_DRY_RUN] = { "dry-run", 0, true, "say what would change, change nothing" },
    [OPT_TENANT] = { "tenant", 0, false, "only objects of this tenant" },
    [OPT_SUBNET] = { "subnet", 0, false, "IPv4 prefix" },
    [OPT_SUBNET6] = { "subnet6", 0, false, "IPv6 prefix" },
    [OPT_MAC] = { "mac", 0, false, "MAC address (default: allocated)" },
    [OPT_IP] = { "ip", 0, false, "IP address (default: lowest free of each subnet); may be repeated" },
    [OPT_EDGE] = { "edge", 0, false, "edge to bind the port to" },
    [OPT_TO] = { "to", 0, false, "address that the packet is for: IP, from a switch-port also MAC" },
    [OPT_IF_REVISION] = { "if-revision", 0, false, "delete only if the object is still at this revision" },
    [OPT_TOPOLOGY] = { "topology", 0, false, "one-switch, mirror, or a YAML file with the slice's switches and links" },
    [OPT_EDGES] = { "edges", 0, false, "edges, with commas between: where the virtual switch, or those of the slice, may have ports" },
    [OPT_CONTROLLER] = { "controller", 0, false, "tcp:IP:PORT or tls:IP:PORT of the tenant's controller; may be repeated" },
    [OPT_LISTEN] = { "listen", 0, false, "ptcp:PORT:IP or ptls:PORT:IP where the virtual switch waits for controllers; may be repeated" },
    [OPT_NUMBER] = { "number", 0, false, "port number on the virtual switch (default: lowest free)" },
    [OPT_DATAPATH_ID] = { "datapath-id", 0, false, "16 hexadecimal digits (default: allocated)" },
    [OPT_ENDS] = { "ends", 0, false, "SWITCH/PORT,SWITCH/PORT that the virtual link joins; the ports are made" },
    [OPT_HELP] = { "help", 'h', true, "this text" },
};
#define COMMON (BIT(OPT_SERVER) | BIT(OPT_TOKEN) | BIT(OPT_TOKEN_FILE) | BIT(OPT_CA) | BIT(OPT_OUTPUT) | BIT(OPT_TIMEOUT) | BIT(OPT_HELP))
#define MANY (BIT(OPT_FILE) | BIT(OPT_IP) | BIT(OPT_CONTROLLER) | BIT(OPT_LISTEN))      /* May be repeated. */

struct command {
    const char *name;
    bool (*run)(struct vpcctl *, struct err *);
    unsigned options;           /* Besides COMMON. */
    unsigned min_words, max_words;
    const char *usage, *help;
};
static const struct command commands[] = {
    { "apply", command_apply, BIT(OPT_FILE) | BIT(OPT_WAIT) | BIT(OPT_DRY_RUN), 0, 0, "-f FILE|DIR|- [-f …] [--wait=installed] [--dry-run]",
      "create and change what the documents name, all or nothing" },
    { "diff", command_diff, BIT(OPT_FILE), 0, 0, "-f FILE|DIR|- [-f …]", "show what apply would change; exit code 1 if anything" },
    { "get", command_get, BIT(OPT_TENANT), 1, 2, "KIND [NAME] [-o table|wide|json|yaml] [--tenant T]",
      "list objects, or one; kinds: tenants vpcs networks ports slices switches switch-ports virtual-links edges fabric-switches links" },
    { "create", command_create, BIT(OPT_WAIT) | BIT(OPT_SUBNET) | BIT(OPT_SUBNET6) | BIT(OPT_MAC) | BIT(OPT_IP) | BIT(OPT_EDGE) | BIT(OPT_TOPOLOGY)
      | BIT(OPT_EDGES) | BIT(OPT_CONTROLLER) | BIT(OPT_LISTEN) | BIT(OPT_NUMBER) | BIT(OPT_DATAPATH_ID) | BIT(OPT_ENDS), 2, 2,
      "tenant NAME | vpc TENANT/NAME | network T/V/NAME --subnet P [--subnet6 P] | port T/V/N/NAME [--mac M] [--ip A]… [--edge E]\n"
      "    | slice TENANT/NAME [--topology one-switch|mirror|FILE] [--edges E,E…] [--controller C]…\n"
      "    | switch T/S/NAME --edges E,E… [--datapath-id D] [--listen L]… | switch-port T/S/SW/NAME [--number N] [--edge E] [--mac M] [--ip A]…\n"
      "    | virtual-link T/S/NAME --ends SW/PORT,SW/PORT", "create one object" },
    { "delete", command_delete, BIT(OPT_WAIT) | BIT(OPT_IF_REVISION), 2, 2, "KIND NAME [--if-revision N] [--wait=installed]",
      "delete one object that nothing depends on; a slice, switch or virtual-link goes with what is in it" },
    { "trace", command_trace, BIT(OPT_TO), 1, 1, "PORT --to IP|MAC",
      "follow a packet from a port through virtual network, edges and fabric; exit code 1 if it does not arrive" },
    { "whois", command_whois, 0, 1, 1, "ADDRESS", "say what a provider MAC or IP address stands for" },
    { "path", command_path, 0, 2, 2, "EDGE EDGE", "show which switches frames from the first to the second edge take, and which when that way fails" },
    { "restore", command_restore, 0, 1, 1, "LINK", "use a link that is back and held (fabric.restore of controllerd) from now on" },
    { "version", command_version, 0, 0, 0, "", "versions of vpcctl and of controllerd" },
    { "completion", command_completion, 0, 1, 1, "bash", "print the completion script: source <(vpcctl completion bash)" },
};

static void print_option(unsigned i)
{
    char name[40];
    snprintf(name, sizeof name, "%s%c%s--%s%s", options[i].letter ? "-" : "  ", options[i].letter ? options[i].letter : ' ', options[i].letter ? ", " : " ",
             options[i].name, options[i].flag ? "" : " VALUE");
    printf("  %-26s %s\n", name, options[i].help);
}

static void print_help(const struct command *c)
{
    printf("usage: vpcctl %s%s%s\n", c ? c->name : "[OPTIONS] COMMAND …", c ? " " : "", c ? c->usage : "");
    if (c) {
        printf("\n%s\n", c->help);
    } else {
        printf("\nThe command line of Polder's networks: tenants, VPCs and slices.\n\ncommands:\n");
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
            printf("  %-12s %s\n", commands[i].name, commands[i].help);
        }
    }
    printf("\noptions:\n");
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if ((c ? c->options | COMMON : COMMON) & BIT(i)) {
            print_option(i);
        }
    }
    printf("\nexit codes: 0 done, 1 failed or invalid, 2 usage, 3 not found, 4 conflict, 5 denied, 6 time-out, 7 unreachable\n");
}

/* --- Arguments --- */

static int find_option(const char *arg, const char **value)
{
    const char *equals = strchr(arg, '=');
    size_t n = equals ? (size_t) (equals - arg) : strlen(arg);
    *value = NULL;
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!strncmp(arg, "--", 2) && strlen(options[i].name) == n - 2 && !strncmp(arg + 2, options[i].name, n - 2)) {
            *value = equals ? equals + 1 : NULL;
            return i;
        }
        if (options[i].letter && arg[0] == '-' && arg[1] == options[i].letter) {
            *value = arg[2] ? arg + 2 + (arg[2] == '=') : NULL;
            return i;
        }
    }
    return -1;
}

static bool parse_args(int argc, char **argv, struct args *a, struct err *err)
{
    a->given = xcalloc((size_t) argc, sizeof *a->given);
    a->words = xcalloc((size_t) argc, sizeof *a->words);
    bool literal = false;
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (literal || argv[i][0] != '-' || !argv[i][1]) {
            a->words[a->n_words++] = argv[i];
            continue;
        }
        if (!strcmp(argv[i], "--")) {
            literal = true;
            continue;
        }
        if (!strcmp(argv[i], "--version")) {
            a->words[a->n_words++] = "version";
            continue;
        }
        int option = find_option(argv[i], &value);
        if (option < 0) {
            return err_set(err, ERR_USAGE, argv[i], "no such option");
        }
        if (options[option].flag && value) {
            return err_set(err, ERR_USAGE, argv[i], "takes no value");
        }
        if (!options[option].flag && !value && !(value = argv[++i])) {
            return err_set(err, ERR_USAGE, argv[i - 1], "needs a value");
        }
        if (a->values[option] && !(BIT(option) & (MANY | COMMON))) {
            char name[24];
            snprintf(name, sizeof name, "--%s", options[option].name);
            err_set(err, ERR_USAGE, name, "is given twice");
            return err_hint(err, option == OPT_EDGES ? "edges go in one list, with commas between" : "it has one value");
        }
        a->values[option] = value ? value : "";
        a->given[a->n_given++] = (struct given) { (enum option) option, a->values[option] };
    }
    return true;
}

static bool parse_duration(const char *text, unsigned *ms)
{
    static const struct { const char *unit; unsigned ms; } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "", 1000 } };
    size_t n = strspn(text, "0123456789");
    char number[12];
    uint64_t x;
    for (size_t i = 0; i < ARRAY_SIZE(units) && n && n < sizeof number; i++) {
        if (!strcmp(text + n, units[i].unit)) {
            return str_to_u64(str_copy(number, n + 1, text), 3600000 / units[i].ms, &x) && x && (*ms = (unsigned) x * units[i].ms);
        }
    }
    return false;
}

static bool parse_output(const char *text, enum output *out)
{
    static const char *const names[] = { [OUTPUT_TABLE] = "table", [OUTPUT_WIDE] = "wide", [OUTPUT_JSON] = "json", [OUTPUT_YAML] = "yaml" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(text, names[i])) {
            *out = (enum output) i;
            return true;
        }
    }
    return false;
}

static bool settle(struct vpcctl *v, struct err *err)
{
    const char *const *values = v->args->values;
    const char *env_server = getenv("POLDER_SERVER"), *env_token = getenv("POLDER_TOKEN");
    v->server = values[OPT_SERVER] ? values[OPT_SERVER] : env_server && *env_server ? env_server : DEFAULT_SERVER;
    v->ca = values[OPT_CA];
    v->tenant = values[OPT_TENANT];
    v->timeout_ms = 30000;
    if (values[OPT_TOKEN] && values[OPT_TOKEN_FILE]) {
        return err_set(err, ERR_USAGE, "--token", "give it or --token-file, not both");
    }
    if (values[OPT_TOKEN_FILE] && !read_token_file(values[OPT_TOKEN_FILE], &v->token, err)) {
        return false;
    }
    if (!v->token && (values[OPT_TOKEN] || (env_token && *env_token))) {
        v->token = xstrdup(values[OPT_TOKEN] ? values[OPT_TOKEN] : env_token);
    }
    if (v->token && v->token[strcspn(v->token, "\r\n")]) {
        return err_set(err, ERR_USAGE, "--token", "a token has no line breaks");
    }
    if (values[OPT_OUTPUT] && !parse_output(values[OPT_OUTPUT], &v->output)) {
        return err_set(err, ERR_USAGE, "--output", "%s is none of table, wide, json, yaml", values[OPT_OUTPUT]);
    }
    if (values[OPT_TIMEOUT] && !parse_duration(values[OPT_TIMEOUT], &v->timeout_ms)) {
        return err_set(err, ERR_USAGE, "--timeout", "%s is no duration up to an hour such as 30s, 500ms or 2m", values[OPT_TIMEOUT]);
    }
    if (values[OPT_WAIT] && strcmp(values[OPT_WAIT], "installed")) {
        return err_set(err, ERR_USAGE, "--wait", "%s is not known; there is --wait=installed", values[OPT_WAIT]);
    }
    v->wait = values[OPT_WAIT];
    return true;
}

static const struct command *find_command(struct args *a, struct err *err)
{
    for (size_t i = 0; a->n_words && i < ARRAY_SIZE(commands); i++) {
        if (!strcmp(a->words[0], commands[i].name)) {
            return &commands[i];
        }
    }
    err_set(err, ERR_USAGE, a->n_words ? a->words[0] : "COMMAND", a->n_words ? "no such command" : "is missing");
    err_hint(err, "vpcctl --help lists them");
    return NULL;
}

static bool check_usage(const struct command *c, struct args *a, struct err *err)
{
    char hint[sizeof err->hint];
    snprintf(hint, sizeof hint, strlen(c->usage) < 180 ? "usage: vpcctl %s %s" : "vpcctl %s --help tells the usage", c->name, c->usage);
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        char name[24];
        if (a->values[i] && !((c->options | COMMON) & BIT(i))) {
            snprintf(name, sizeof name, "--%s", options[i].name);
            err_set(err, ERR_USAGE, name, "is not for %s", c->name);
            return err_hint(err, "%s", hint);
        }
    }
    a->words++;
    a->n_words--;
    if (a->n_words < c->min_words) {
        err_set(err, ERR_USAGE, NULL, "%s needs %s", c->name, c->min_words == 1 ? "an argument" : "two arguments");
        return err_hint(err, "%s", hint);
    }
    if (a->n_words > c->max_words) {
        err_set(err, ERR_USAGE, a->words[c->max_words], "one argument too many");
        return err_hint(err, "%s", hint);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct args args = { .n_words = 0 };
    struct vpcctl v = { .args = &args };
    struct err err = ERR_INIT;
    char text[sizeof err];
    const char **words = NULL;
    bool ok = parse_args(argc, argv, &args, &err);
    words = args.words;
    if (ok && args.values[OPT_HELP] && !args.n_words) {
        print_help(NULL);
    } else if (ok) {
        const struct command *c = find_command(&args, &err);
        ok = c;
        if (c && args.values[OPT_HELP]) {
            print_help(c);
        } else if (c) {
            curl_global_init(CURL_GLOBAL_DEFAULT);
            ok = check_usage(c, &args, &err) && settle(&v, &err) && c->run(&v, &err);
            curl_global_cleanup();
        }
    }
    if (ok && fflush(stdout)) {
        ok = err_set(&err, ERR_FAILED, NULL, "cannot write to standard output");
    }
    if (!ok) {
        fprintf(stderr, "vpcctl: %s\n", err_format(&err, text, sizeof text));
    }
    free(v.token);
    free(args.given);
    free(words);
    return ok ? v.exit_code : err_exit_code(err.code);
}
