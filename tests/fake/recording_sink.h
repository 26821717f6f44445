/* SPDX-License-Identifier: BSD-2-Clause */
/* The sink of a feed. It stores the children and writes each call to the trace. */
#ifndef LATCHD_TESTS_RECORDING_SINK_H
#define LATCHD_TESTS_RECORDING_SINK_H

#include <stddef.h>

#include "latchd/feeds/feed.h"

#define RECORDED_MAX 256

struct recorded_child {
	struct feed_child child;
	char evidence[32]; /* of a child that came up */
};

/*
 * Trace lines: "attached PID", "state NAME DETAIL", "up PEER-ID SPI-IN AUTH EVIDENCE",
 * "down PEER-ID SPI-IN", "refused PEER-ID SPI-IN REASON by EVIDENCE[ (decided)]",
 * "peer IKE-ID up PEER-ID CONFIG AUTH[ now]",
 * "peer IKE-ID rekeyed to IKE-ID PEER-ID CONFIG AUTH",
 * "peer IKE-ID CAUSE PEER-ID CONFIG AUTH by SUCCESSOR", "snapshot begin", "snapshot end".
 */
struct recording_sink {
	struct feed_sink sink;
	struct recorded_child ups[RECORDED_MAX], downs[RECORDED_MAX];
	size_t up_count, down_count;
	int attached_answer; /* the result of attached(): 0 or a negative errno */
};

void recording_sink_init(struct recording_sink *recording);
const struct recorded_child *recorded_up(const struct recording_sink *recording, uint32_t spi_in);
const struct recorded_child *recorded_down(const struct recording_sink *recording, uint32_t spi_in);

#endif
