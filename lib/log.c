#include "lib/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"

static _Atomic int level = LOG_INFO;
static const char *const level_names[] = { "error", "warn", "info", "debug" };

void log_set_level(enum log_level l)
{
    atomic_store_explicit(&level, (int) l, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
    return (enum log_level) atomic_load_explicit(&level, memory_order_relaxed);
}

bool log_level_parse(const char *s, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (!strcmp(s, level_names[i])) {
            *out = (enum log_level) i;
            return true;
        }
    }
    return false;
}

void log_line(enum log_level l, const char *module, const char *format, ...)
{
    char line[2048];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t) snprintf(line + n, sizeof line - n, ".%03ldZ %-5s %.64s: ", now.tv_nsec / 1000000, level_names[l], module);

    va_list args;
    va_start(args, format);
    size_t room = sizeof line - n - 1;                  /* One byte is kept for the newline. */
    int want = vsnprintf(line + n, room, format, args);
    va_end(args);
    size_t end = n + (want < 0 ? 0 : MIN((size_t) want, room - 1));
    if (want >= 0 && (size_t) want >= room) {
        memcpy(line + end - 3, "...", 3);
    }
    /* Peers' strings are logged: no text of theirs may start a line or drive a terminal. */
    for (size_t i = n; i < end; i++) {
        if ((unsigned char) line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = ' ';
        }
    }
    line[end++] = '\n';
    /* One write per line keeps lines of several threads whole.  Nobody is left to be told when stderr itself fails. */
    ssize_t written UNUSED = write(STDERR_FILENO, line, end);
}

bool log_rate_ok(struct log_rate *r, uint32_t burst)
{
    struct clock c = clock_monotonic();
    uint64_t window = clock_now_ns(&c) / UINT64_C(60000000000) + 1;     /* 0 is the window of a static, unused log_rate. */
    uint64_t old = atomic_load_explicit(&r->window, memory_order_relaxed);
    if (old != window && atomic_compare_exchange_strong(&r->window, &old, window)) {
        /* A line of another thread that slips in here counts to the old window; being off by one does no harm. */
        uint32_t dropped = atomic_exchange(&r->dropped, 0);
        atomic_store(&r->used, 0);
        if (dropped) {
            log_line(LOG_WARN, "log", "%u lines like the next one were left out", dropped);
        }
    }
    if (atomic_fetch_add_explicit(&r->used, 1, memory_order_relaxed) < burst) {
        return true;
    }
    atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
    return false;
}
