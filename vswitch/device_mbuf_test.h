/* Buffers for the tests that run between device_mbuf_test_suite, which starts the EAL, and device_mbuf_end_test_suite, which ends it and counts what leaked. */
#ifndef VSWITCH_DEVICE_MBUF_TEST_H
#define VSWITCH_DEVICE_MBUF_TEST_H 1

#include "vswitch/device_mbuf.h"

struct rte_mbuf *mbuf_test_make(uint32_t size);

#endif
