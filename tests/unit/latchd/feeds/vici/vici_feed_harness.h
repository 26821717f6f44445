/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole feed against a scripted charon on one loop. Callbacks, log lines and
 * charon's requests go to one trace:
 *
 *   fake_charon <-- vici socket --> feed --> recording_sink
 *        \____________ trace ____________________/
 */
#ifndef LATCHD_TESTS_VICI_FEED_HARNESS_H
#define LATCHD_TESTS_VICI_FEED_HARNESS_H

#include "scratch.h"

#include "common/log.h"
#include "fake/fake_charon.h"
#include "fake/recording_sink.h"
#include "fake/trace.h"
#include "fake/vici_json.h"
#include "latchd/feeds/vici/vici_feed.h"

static struct loop *loop;
static struct fake_charon charon;
static struct recording_sink sink;
static struct feed *feed;
static struct feed_statements statements; /* for the next feed_start() */

static inline void trace_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	trace_add("log %s: %s", subsystem, text);
}

static inline void harness_begin(void)
{
	log_set_sink(trace_log);
	scratch_make();
	loop = loop_new();
	cr_assert_not_null(loop);
	fake_charon_init(&charon, loop, scratch_path("charon.vici"));
	recording_sink_init(&sink);
}

static inline void harness_end(void)
{
	if (feed)
		feed->destroy(feed);
	fake_charon_stop(&charon);
	loop_free(loop);
	trace_clear();
	scratch_remove();
}

static inline struct vici_feed *inside(void)
{
	return (struct vici_feed *)feed;
}

static inline struct vici_session *session(void)
{
	return &inside()->session;
}

static inline void fail_session(const char *detail)
{
	session()->owner->failed(session()->context, detail);
}

static inline void feed_start(void)
{
	feed = feed_vici_new(loop, "here", charon.path, &statements, &sink.sink);
	cr_assert_not_null(feed);
}

/* Runs the loop until count lines of the trace start with prefix. */
static inline void wait_for(const char *prefix, size_t count)
{
	cr_assert(loop_until_traced(loop, prefix, count), "no %zu times \"%s\"", count, prefix);
}

/* A charon with the configuration "x509", and a synced feed. */
static inline void start_both(void)
{
	fake_charon_add_conn(&charon, fake_conn("x509", "public key"));
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
}

/* Each line must come after the one before it. */
static inline void expect_request(const char *const *lines, size_t count)
{
	int at = -1, next;
	size_t i;

	for (i = 0; i < count; i++) {
		next = trace_find(lines[i], at + 1);
		if (next < 0)
			trace_print();
		cr_assert_geq(next, 0, "no \"%s\" after \"%s\"", lines[i],
			      i ? lines[i - 1] : "the beginning");
		at = next;
	}
}

#define EXPECT_ORDER(...)                                                                          \
	do {                                                                                       \
		static const char *const lines[] = {__VA_ARGS__};                                  \
		expect_request(lines, sizeof(lines) / sizeof(lines[0]));                           \
	} while (0)

#endif
