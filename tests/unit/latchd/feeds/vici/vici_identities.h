/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The feed of vici_feed_harness.h and a charon with a connection "x509" and a remote id
 * of the test's choice. IKE_SA 7 with the CHILD_SA 70 + n comes up, is listed or rekeyed:
 * is it reported, or refused for its identity?
 */
#ifndef LATCHD_TESTS_VICI_IDENTITIES_H
#define LATCHD_TESTS_VICI_IDENTITIES_H

#include "vici_feed_harness.h"

#define DN	"O=Acme, CN=Alice, OU=IT"
#define EXACT	"\"id\":\"" DN "\""
#define ANY	"\"id\":\"%any\""
#define REFUSED "log vici: child_sa 70 refused ("
#define DECIDED "(decided)"

static inline char *text_of(const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	cr_assert_geq(vasprintf(&text, format, args), 0);
	va_end(args);
	return text;
}

/* charon has only this connection from now on. */
static inline void load(const char *class, const char *members)
{
	charon.conn_count = 0;
	fake_charon_add_conn(&charon, text_of("{\"x509\":{\"remote-1\":{\"class\":\"%s\",%s}}}",
					      class, members));
}

static inline void start_with(const char *class, const char *members)
{
	load(class, members);
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
}

static inline char *ike_sa_in(const char *state, int id, int child, const char *members)
{
	return text_of("\"x509\":{\"uniqueid\":\"%d\",\"version\":\"2\",\"state\":\"%s\","
		       "\"local-host\":\"10.9.0.1\",\"remote-host\":\"10.9.0.3\","
		       "\"local-id\":\"w\",%s,\"child-sas\":{\"t-%d\":{\"name\":\"t\","
		       "\"uniqueid\":\"%d\",\"state\":\"INSTALLED\",\"mode\":\"TRANSPORT\","
		       "\"protocol\":\"ESP\",\"spi-in\":\"%d\",\"spi-out\":\"%d\"}}}",
		       id, state, members, child, child, child, child);
}

static inline void child_up(int id, int child, const char *members)
{
	fake_charon_push(
		&charon, "child-updown",
		text_of("{\"up\":\"yes\",%s}", ike_sa_in("ESTABLISHED", id, child, members)));
}

static inline void up(int id, int child, const char *remote_id)
{
	char *members = text_of("\"remote-id\":\"%s\"", remote_id);

	fake_charon_push(
		&charon, "ike-updown",
		text_of("{\"up\":\"yes\",%s}", ike_sa_in("ESTABLISHED", id, child, members)));
	child_up(id, child, members);
}

static inline void expect_refusal(const char *reason)
{
	wait_for(REFUSED, 1);
	cr_expect_geq(trace_find(text_of(REFUSED "%s", reason), 0), 0, "not for: %s", reason);
	cr_expect_eq(trace_count("up "), 0);
	cr_expect_eq(trace_count("peer 7 up"), 0);
}

static inline void rekey(int old, int new)
{
	char *one = ike_sa_in("REKEYED", old, 1, "\"remote-id\":\"" DN "\"");
	char *two = ike_sa_in("ESTABLISHED", new, 1, "\"remote-id\":\"" DN "\"");

	fake_charon_push(
		&charon, "ike-rekey",
		text_of("{\"x509\":{\"old\":%s,\"new\":%s}}", strchr(one, '{'), strchr(two, '{')));
}

static inline void listed(const char *state, int id, int child, const char *members)
{
	fake_charon_add_sa(&charon, text_of("{%s}", ike_sa_in(state, id, child, members)));
}

static inline void down(int id)
{
	fake_charon_push(&charon, "ike-updown",
			 text_of("{\"x509\":{\"uniqueid\":\"%d\",\"version\":\"2\","
				 "\"remote-id\":\"" DN "\",\"state\":\"DELETING\","
				 "\"initiator\":\"yes\"}}",
				 id));
}

/* A latchd that keeps its decisions in this file. */
static inline void latchd_starts(const char *path)
{
	feed_start();
	feed_vici_keep_decisions(feed, path);
}

static inline void latchd_ends(void)
{
	feed->destroy(feed);
	feed = NULL;
}

/* A reload changes the feed. */
static inline void feed_is_changed(void)
{
	struct feed *former = feed;

	former->stop(former);
	feed_start();
	cr_assert(feed_vici_take_decisions(feed, former));
	cr_expect_not(feed_vici_take_decisions(feed, former), "there is nothing left");
	former->destroy(former);
}

#endif
