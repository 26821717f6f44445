/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON of an IKE_SA with one child, in parts that a test leaves out or changes; and its reader. */
#ifndef LATCHD_TESTS_VICI_SAMPLES_H
#define LATCHD_TESTS_VICI_SAMPLES_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "fake/vici_json.h"
#include "latchd/feeds/vici/children.h"

#define IKE_BEGIN  "{\"x509\":{"
#define IKE_STATE  "\"state\":\"ESTABLISHED\","
#define IKE_HOSTS  "\"local-host\":\"10.9.0.1\",\"remote-host\":\"10.9.0.3\","
#define IKE_ID	   "\"uniqueid\":\"2\","
#define LOCAL_ID   "\"local-id\":\"a\","
#define REMOTE_ID  "\"remote-id\":\"b\","
#define KIDS_BEGIN "\"child-sas\":{\"t-5\":{"
#define KID_ID	   "\"name\":\"t\",\"uniqueid\":\"5\",\"reqid\":\"1\","
#define KID_STATE  "\"state\":\"INSTALLED\","
#define KID_MODE   "\"mode\":\"TRANSPORT\","
#define KID_PROTO  "\"protocol\":\"ESP\","
#define KID_SPIS   "\"spi-in\":\"0000000a\",\"spi-out\":\"0000000b\","
#define KID_TS	   "\"local-ts\":[\"10.9.0.1/32\"],\"remote-ts\":[\"10.9.0.3/32\"]"
#define KIDS_END   "}}}}"
#define IKE_REST   IKE_ID IKE_STATE IKE_HOSTS
#define KID_REST   KID_ID KID_STATE KID_MODE KID_PROTO KID_SPIS
#define KIDS	   KIDS_BEGIN KID_REST KID_TS KIDS_END
#define PLAIN	   IKE_BEGIN IKE_REST LOCAL_ID REMOTE_ID KIDS

static inline const char *with_child(const char *members)
{
	static char json[16384];

	snprintf(json, sizeof(json), IKE_BEGIN IKE_REST LOCAL_ID REMOTE_ID KIDS_BEGIN "%s" KIDS_END,
		 members);
	return json;
}

/* Reads the first child of a message; SKIPPED when the message has none. */
static inline enum vici_child_result read_first(const char *json, enum vici_children_form form,
						struct feed_child *child, const char **reason)
{
	struct vici_span message = vici_from_json(json), section;
	struct vici_ike_sa ike_sa;

	*reason = NULL;
	if (vici_ike_sa_next(&message, &ike_sa) != 1 ||
	    vici_child_next(&ike_sa.children, form, &section) != 1)
		return VICI_CHILD_SKIPPED;
	return vici_child_read(&ike_sa, section, child, reason);
}

static inline struct feed_child accepted(const char *json, enum vici_children_form form)
{
	struct feed_child child;
	const char *reason;

	cr_assert_eq(read_first(json, form, &child, &reason), VICI_CHILD_OK, "%s: %s",
		     reason ? reason : "skipped", json);
	cr_expect_null(reason);
	return child;
}

static inline void expect_result(const char *json, const char *expected,
				 enum vici_child_result result)
{
	struct feed_child child;
	const char *reason;

	cr_assert_eq(read_first(json, VICI_CHILDREN_LISTED, &child, &reason), result,
		     "not refused, or for another kind of reason: %s", json);
	cr_expect_str_eq(reason, expected);
	cr_expect_eq(child.child_unique_id, 5, "%s", json);
}

static inline void expect_refused(const char *json, const char *expected)
{
	expect_result(json, expected, VICI_CHILD_REFUSED);
}

/* A later report of the same IKE_SA is no better. */
static inline void expect_unnamed(const char *json, const char *expected)
{
	expect_result(json, expected, VICI_CHILD_UNNAMED);
}

static inline void expect_skipped(const char *json)
{
	struct feed_child child;
	const char *reason;

	cr_expect_eq(read_first(json, VICI_CHILDREN_LISTED, &child, &reason), VICI_CHILD_SKIPPED,
		     "not skipped: %s", json);
	cr_expect_null(reason);
}

#endif
