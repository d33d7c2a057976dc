/* controllerd: command line, signals, readiness.  Everything else hangs off struct controller. */
#define LOG_MODULE "main"
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "controller/config.h"
#include "controller/controller.h"
#include "controller/rest.h"
#include "lib/log.h"
#include "lib/loop.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unreleased"
#endif

#define STOP_LIMIT_S 5          /* A commit in flight may take that long. */

static const char usage[] =
    "usage: controllerd --config FILE [--check] [--verbose]\n"
    "\n"
    "The network hypervisor: networks of tenants in, switch rules out.\n"
    "\n"
    "  -c, --config FILE   configuration (JSON); controllerd(8) describes it\n"
    "      --check         check the configuration and what it names, then exit\n"
    "  -v, --verbose       log level debug, whatever the configuration says\n"
    "      --version       print the version\n"
    "  -h, --help          print this\n";

struct options { const char *config; bool check, verbose; };

/* False: exit with *status. */
static bool parse_options(int argc, char **argv, struct options *o, int *status)
{
    enum { OPTION_CHECK = 256, OPTION_VERSION };
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, OPTION_CHECK }, { "verbose", no_argument, NULL, 'v' },
        { "version", no_argument, NULL, OPTION_VERSION }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    *status = 0;
    for (int c; (c = getopt_long(argc, argv, "c:vh", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case OPTION_CHECK:
            o->check = true;
            break;
        case 'v':
            o->verbose = true;
            break;
        case OPTION_VERSION:
            puts("controllerd " PACKAGE_VERSION);
            return false;
        case 'h':
            fputs(usage, stdout);
            return false;
        default:
            fputs("controllerd --help shows the options\n", stderr);
            *status = 2;
            return false;
        }
    }
    if (optind < argc || !o->config) {
        fprintf(stderr, optind < argc ? "controllerd: unexpected argument: %s\n" : "controllerd: --config FILE is missing%s\n", optind < argc ? argv[optind] : "");
        *status = 2;
        return false;
    }
    return true;
}

static int report(const struct err *err)
{
    char text[900];
    fprintf(stderr, "controllerd: %s\n", err_format(err, text, sizeof text));
    return err_exit_code(err->code);
}

/* sd_notify(3): one datagram to the socket that systemd names; '@' stands for the abstract namespace. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = path ? strlen(path) : 0;
    if (size < 2 || size >= sizeof address.sun_path) {
        return;
    }
    memcpy(address.sun_path, path, size);
    if (*path == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *) &address,
                         (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size)) < 0) {
        LOG(LOG_WARN, "NOTIFY_SOCKET %s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

struct daemon { struct controller controller; struct event_base *base; bool stopping; };

static void on_idle(void *base)
{
    static const struct timeval flush = { .tv_usec = 50000 };  /* For answers that are on their way out. */
    event_base_loopexit(base, &flush);
}

static void on_stop_signal(evutil_socket_t signal_number, short what UNUSED, void *d_)
{
    struct daemon *d = d_;
    static const struct timeval limit = { .tv_sec = STOP_LIMIT_S };
    if (d->stopping) {
        event_base_loopbreak(d->base);
        return;
    }
    d->stopping = true;
    LOG(LOG_INFO, "%s: stopping", strsignal((int) signal_number));
    notify("STOPPING=1");
    event_base_loopexit(d->base, &limit);
    controller_when_idle(&d->controller, on_idle, d->base);
}

static void on_hangup(evutil_socket_t signal_number UNUSED, short what UNUSED, void *d_)
{
    struct daemon *d = d_;
    struct err err = ERR_INIT;
    if (rest_reload(d->controller.rest, &err)) {
        LOG(LOG_INFO, "tokens were read again");
    } else {
        char text[900];
        LOG(LOG_ERROR, "the old tokens stay: %s", err_format(&err, text, sizeof text));
    }
}

/* Each switch takes a descriptor. */
static void need_many_files(void)
{
    int error = raise_file_limit();
    if (error) {
        LOG(LOG_WARN, "RLIMIT_NOFILE: %s", strerror(-error));
    }
}

static int run(struct daemon *d)
{
    struct err err = ERR_INIT;
    static const struct { int number; event_callback_fn fn; } signals[] = {
        { SIGTERM, on_stop_signal }, { SIGINT, on_stop_signal }, { SIGHUP, on_hangup },
    };
    struct event *events[ARRAY_SIZE(signals)] = { NULL };
    int status = 0;
    d->base = controller_base_new();
    if (!d->base) {
        err_set(&err, ERR_FAILED, NULL, "no event loop can be had");
        return report(&err);
    }
    d->controller.base = d->base;
    d->controller.clock = clock_monotonic();
    rng_seed_random(&d->controller.rng);
    if (!controller_start(&d->controller, &err)) {
        status = report(&err);
        goto out;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
        events[i] = evsignal_new(d->base, signals[i].number, signals[i].fn, d);
        if (!events[i] || event_add(events[i], NULL)) {
            err_set(&err, ERR_FAILED, NULL, "signal %d cannot be watched", signals[i].number);
            status = report(&err);
            goto out;
        }
    }
    LOG(LOG_INFO, "ready");
    notify("READY=1");
    if (!loop_run(d->base, d->controller.config.busy_poll_us)) {
        err_set(&err, ERR_FAILED, NULL, "the event loop failed");
        status = report(&err);
    }
out:
    controller_stop(&d->controller);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
        if (events[i]) {
            event_free(events[i]);
        }
    }
    event_base_free(d->base);
    if (!status) {
        LOG(LOG_INFO, "stopped");
    }
    return status;
}

int main(int argc, char **argv)
{
    struct daemon d = { .stopping = false };
    struct options options = { NULL, false, false };
    struct err err = ERR_INIT;
    enum log_level level = LOG_INFO;
    int status;
    if (!parse_options(argc, argv, &options, &status)) {
        return status;
    }
    if (!config_load(options.config, &d.controller.config, &level, &err)) {
        return report(&err);
    }
    log_set_level(options.verbose ? LOG_DEBUG : level);
    signal(SIGPIPE, SIG_IGN);
    umask(0027);
    if (!config_check(&d.controller.config, &err)) {
        status = report(&err);
    } else if (options.check) {
        printf("%s: ok\n", options.config);
    } else {
        need_many_files();
        status = run(&d);
    }
    config_fini(&d.controller.config);
    return status;
}
