/*
 * Counters of another thread: CPU time, and cycles and instructions where the machine has counters for them (virtual machines often have none).
 *
 * The generator reads them itself, because it alone knows when the measurement begins and ends.  A counter that cannot be had reads 0, which means "unknown".
 */
#ifndef BENCH_GEN_PERF_H
#define BENCH_GEN_PERF_H 1

#include <stdint.h>

enum { GEN_PERF_CPU_NS, GEN_PERF_CYCLES, GEN_PERF_INSTRUCTIONS, GEN_PERF_N };

struct gen_perf { int fd[GEN_PERF_N]; uint64_t value[GEN_PERF_N]; };

void gen_perf_open(struct gen_perf *, unsigned tid);    /* tid 0: nothing is counted. */
void gen_perf_start(struct gen_perf *);
void gen_perf_stop(struct gen_perf *);                  /* Reads the values and closes. */

#endif
