/* What the switch's polling thread spends, by the kernel's counters, exactly over the measurement. */
#include "utilities/bench/gen_perf.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_event(unsigned tid, uint32_t type, uint64_t config)
{
    struct perf_event_attr attr = { .type = type, .size = sizeof attr, .config = config, .exclude_hv = 1, .disabled = 1 };
    return (int) syscall(SYS_perf_event_open, &attr, (pid_t) tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

void gen_perf_open(struct gen_perf *p, unsigned tid)
{
    static const struct { uint32_t type; uint64_t config; } events[GEN_PERF_N] = {
        [GEN_PERF_CPU_NS] = { PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK },
        [GEN_PERF_CYCLES] = { PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES },
        [GEN_PERF_INSTRUCTIONS] = { PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS },
    };
    for (unsigned i = 0; i < GEN_PERF_N; i++) {
        p->fd[i] = tid ? open_event(tid, events[i].type, events[i].config) : -1;
        p->value[i] = 0;
    }
}

void gen_perf_start(struct gen_perf *p)
{
    for (unsigned i = 0; i < GEN_PERF_N; i++) {
        if (p->fd[i] >= 0) {
            ioctl(p->fd[i], PERF_EVENT_IOC_RESET, 0);
            ioctl(p->fd[i], PERF_EVENT_IOC_ENABLE, 0);
        }
    }
}

void gen_perf_stop(struct gen_perf *p)
{
    for (unsigned i = 0; i < GEN_PERF_N; i++) {
        if (p->fd[i] >= 0) {
            ioctl(p->fd[i], PERF_EVENT_IOC_DISABLE, 0);
            if (read(p->fd[i], &p->value[i], sizeof p->value[i]) != sizeof p->value[i]) {
                p->value[i] = 0;
            }
            close(p->fd[i]);
            p->fd[i] = -1;
        }
    }
}
