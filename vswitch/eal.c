#define LOG_MODULE "eal"
#include "vswitch/eal.h"

#include <dirent.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/util.h"

#define HUGEPAGES_DIR "/sys/kernel/mm/hugepages"

static bool hugetlbfs_mounted(void)
{
    char line[1024], type[64];
    bool found = false;
    FILE *f = fopen("/proc/mounts", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        found = sscanf(line, "%*s %*s %63s", type) == 1 && !strcmp(type, "hugetlbfs");
    }
    if (f) {
        fclose(f);
    }
    return found;
}

unsigned eal_free_hugepages_mb(void)
{
    unsigned long kb = 0;
    DIR *dir = hugetlbfs_mounted() ? opendir(HUGEPAGES_DIR) : NULL;
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        unsigned long size, n;
        char path[sizeof HUGEPAGES_DIR + sizeof e->d_name + 32];
        if (sscanf(e->d_name, "hugepages-%lukB", &size) != 1) {
            continue;
        }
        snprintf(path, sizeof path, HUGEPAGES_DIR "/%s/free_hugepages", e->d_name);
        FILE *f = fopen(path, "re");
        if (f && fscanf(f, "%lu", &n) == 1) {
            kb += n * size;
        }
        if (f) {
            fclose(f);
        }
    }
    if (dir) {
        closedir(dir);
    }
    return (unsigned) (kb >> 10);
}

/* DPDK's log lines become ours. */
static ssize_t log_write(void *aux, const char *data, size_t size)
{
    (void) aux;
    size_t n = size;
    while (n && (data[n - 1] == '\n' || data[n - 1] == '\0')) {
        n--;
    }
    uint32_t level = (uint32_t) rte_log_cur_msg_loglevel();
    if (n) {
        LOG(level <= RTE_LOG_ERR ? LOG_ERROR : level <= RTE_LOG_WARNING ? LOG_WARN : LOG_DEBUG, "%.*s", (int) n, data);
    }
    return (ssize_t) size;
}

static void redirect_log(void)
{
    FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t) { .write = log_write });
    if (f) {
        setvbuf(f, NULL, _IOLBF, BUFSIZ);
        rte_openlog_stream(f);
    }
}

static void add_arg(char **argv, int *argc, char *arg)
{
    argv[(*argc)++] = arg;
}

/* "0@(0,1),1@(1)": the control thread's CPUs, then one per poll-mode thread. */
static char *lcores_arg(const struct config *c)
{
    struct config_cpus allowed;
    struct buf b = BUF_INIT;
    const struct config_cpus *control = &c->control;
    if (!control->n) {
        config_allowed_cpus(&allowed);
        control = &allowed;
    }
    buf_puts(&b, "--lcores=0@(");
    for (size_t i = 0; i < control->n; i++) {
        buf_printf(&b, "%s%u", i ? "," : "", control->cpu[i]);
    }
    buf_puts(&b, ")");
    for (size_t i = 0; i < c->poll.n; i++) {
        buf_printf(&b, ",%zu@(%u)", i + 1, c->poll.cpu[i]);
    }
    return buf_steal_cstr(&b);
}

static int build_args(const struct config *c, bool hugepages, char **argv)
{
    int argc = 0;
    add_arg(argv, &argc, xstrdup("vswitchd"));
    add_arg(argv, &argc, lcores_arg(c));
    add_arg(argv, &argc, xstrdup("--main-lcore=0"));
    add_arg(argv, &argc, xstrdup("-m"));
    add_arg(argv, &argc, xasprintf("%u", c->memory_mb));
    add_arg(argv, &argc, xstrdup("--iova-mode=va"));
    add_arg(argv, &argc, xstrdup("--no-telemetry"));
    add_arg(argv, &argc, xasprintf("--file-prefix=%s", c->file_prefix));
    /* An allow-list with no device in it: a PCI device is probed when a port names it, and no other is ever touched. */
    add_arg(argv, &argc, xstrdup("--allow=0000:00:00.0"));
    /* --in-memory leaves no file behind but is refused without hugepages; --no-shconf is what remains then. */
    if (hugepages) {
        add_arg(argv, &argc, xstrdup("--in-memory"));
    } else {
        add_arg(argv, &argc, xstrdup("--no-huge"));
        add_arg(argv, &argc, xstrdup("--no-shconf"));
    }
    for (unsigned i = 0; i < c->n_eal_args; i++) {
        add_arg(argv, &argc, xstrdup(c->eal_args[i]));
    }
    return argc;
}

bool eal_start(struct eal *eal, const struct config *c, struct err *err)
{
    unsigned free_mb = c->hugepages == HUGEPAGES_OFF ? 0 : eal_free_hugepages_mb();
    if (c->hugepages == HUGEPAGES_ON && free_mb < c->memory_mb) {
        err_set(err, ERR_FAILED, "dpdk.hugepages", "%u MB are free in hugepages, memory_mb is %u", free_mb, c->memory_mb);
        return err_hint(err, "write a count to /proc/sys/vm/nr_hugepages and mount hugetlbfs on /dev/hugepages, or use \"auto\"");
    }
    eal->hugepages = c->hugepages != HUGEPAGES_OFF && free_mb >= c->memory_mb;
    redirect_log();
    rte_log_set_global_level(log_get_level() == LOG_DEBUG ? RTE_LOG_INFO : RTE_LOG_WARNING);
    if (log_get_level() < LOG_DEBUG) {
        rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_ERR);          /* It warns of every VM that is not started yet. */
    }

    char **argv = xcalloc(32 + c->n_eal_args, sizeof *argv);
    char **kept = xcalloc(32 + c->n_eal_args, sizeof *kept);    /* rte_eal_init() reorders argv. */
    int argc = build_args(c, eal->hugepages, argv);
    memcpy(kept, argv, (size_t) argc * sizeof *kept);
    int rc = rte_eal_init(argc, argv);
    int why = rte_errno;
    for (int i = 0; i < argc; i++) {
        free(kept[i]);
    }
    free(kept);
    free(argv);
    if (rc < 0) {
        err_set(err, ERR_FAILED, "dpdk", "DPDK does not start: %s", why ? rte_strerror(why) : "see the lines above");
        return err_hint(err, "look at dpdk.memory_mb, dpdk.eal_args and the CPU lists");
    }
    eal->started = true;
    for (unsigned i = 0; i < c->poll.n; i++) {
        eal->lcores[i] = i + 1;
    }
    LOG(LOG_INFO, "DPDK started with %u MB %s hugepages", c->memory_mb, eal->hugepages ? "in" : "without");
    return true;
}

void eal_stop(struct eal *eal)
{
    if (eal->started) {
        char *dir = xstrdup(rte_eal_get_runtime_dir());
        rte_eal_cleanup();
        if (rmdir(dir) && errno != ENOENT) {
            LOG(LOG_DEBUG, "%s stays: %s", dir, strerror(errno));
        }
        free(dir);
        eal->started = false;
    }
}
