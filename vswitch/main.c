/* vswitchd: command line, configuration, readiness. Everything else hangs off struct vswitch. */
#define LOG_MODULE "main"
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/log.h"
#include "vswitch/vswitch.h"

static const char usage_text[] =
    "usage: vswitchd --config FILE [--check] [--verbose]\n"
    "\n"
    "  -c, --config FILE   configuration (JSON; see vswitchd(8))\n"
    "      --check         check the configuration and exit: 0 when it is valid\n"
    "  -v, --verbose       log at level debug\n"
    "  -V, --version       print the version\n"
    "  -h, --help          print this\n";

/* systemd's protocol: one datagram to the socket that it names; '@' stands for the abstract namespace. */
static void notify_ready(void)
{
    static const char text[] = "READY=1";
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof addr.sun_path) {
        return;
    }
    memcpy(addr.sun_path, path, strlen(path));
    if (path[0] == '@') {
        addr.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd < 0 || sendto(fd, text, sizeof text - 1, 0, (struct sockaddr *) &addr, len) < 0) {
        LOG(LOG_WARN, "cannot tell %s that we are ready: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

static int fail(const struct err *err)
{
    char text[1024];
    fprintf(stderr, "vswitchd: %s\n", err_format(err, text, sizeof text));
    return err_exit_code(err->code);
}

static int run(struct vswitch *vs)
{
    struct err err = ERR_INIT;
    int rc = 0, no_files = raise_file_limit();   /* A vhost-user port takes about ten. */
    if (no_files) {
        LOG(LOG_WARN, "RLIMIT_NOFILE: %s", strerror(-no_files));
    }
    if (vswitch_init(vs, &err)) {
        LOG(LOG_INFO, "ready: %s, datapath %016llx, control socket %s", vs->config.name, (unsigned long long) vs->config.datapath_id,
            vs->config.control_socket);
        notify_ready();
        vswitch_run(vs);
    } else {
        rc = fail(&err);
    }
    vswitch_fini(vs);
    LOG(LOG_INFO, "stopped");
    return rc;
}

int main(int argc, char **argv)
{
    enum { OPT_CHECK = 256 };
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, OPT_CHECK }, { "verbose", no_argument, NULL, 'v' },
        { "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    const char *config = NULL;
    bool check = false, verbose = false;
    for (int opt; (opt = getopt_long(argc, argv, "c:vVh", options, NULL)) != -1;) {
        switch (opt) {
        case 'c': config = optarg; break;
        case OPT_CHECK: check = true; break;
        case 'v': verbose = true; break;
        case 'V': puts("vswitchd (Polder) " PACKAGE_VERSION); return 0;
        case 'h': fputs(usage_text, stdout); return 0;
        default: fputs(usage_text, stderr); return 2;
        }
    }
    if (!config || optind < argc) {
        fputs(usage_text, stderr);
        return 2;
    }
    struct err err = ERR_INIT;
    struct vswitch *vs = XNEW(struct vswitch);
    if (!config_load(config, &vs->config, &err)) {
        free(vs);
        return fail(&err);
    }
    log_set_level(verbose ? LOG_DEBUG : vs->config.log_level);
    int rc = 0;
    if (check) {
        config_fini(&vs->config);
        printf("%s: valid\n", config);
    } else {
        rc = run(vs);
    }
    free(vs);
    return rc;
}
