/*
 * Leveled log lines on stderr: "2026-11-21T03:00:00.123Z info module: message". Any thread, except poll-mode threads
 * while frames flow. The level is process-wide (an atomic; the one global of the tree) because it belongs to the
 * process's stderr. LOG_RATE logs at most `burst` lines a minute per call site and says how many were left out.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H 1

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level);
enum log_level log_get_level(void);
bool log_level_parse(const char *, enum log_level *);
void log_line(enum log_level, const char *module, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct log_rate { _Atomic uint64_t window; _Atomic uint32_t used, dropped; };
bool log_rate_ok(struct log_rate *, uint32_t burst);

#define LOG(LEVEL, ...) do { if ((LEVEL) <= log_get_level()) { log_line(LEVEL, LOG_MODULE, __VA_ARGS__); } } while (0)
#define LOG_RATE(LEVEL, BURST, ...) do { static struct log_rate r_; \
    if ((LEVEL) <= log_get_level() && log_rate_ok(&r_, BURST)) { log_line(LEVEL, LOG_MODULE, __VA_ARGS__); } } while (0)
/* Each .c file that logs has `#define LOG_MODULE "name"` above its includes. */

#endif
