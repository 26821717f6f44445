/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fields of a CHILD_SA's record besides identities: one valid message of
 * vici_samples.h, with one member changed or left out.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "vici_samples.h"

Test(vici_child_fields, every_mode_name_is_mapped_to_a_mode)
{
	static const struct {
		const char *text;
		enum feed_mode mode;
	} modes[] = {
		{"TRANSPORT", FEED_MODE_TRANSPORT},
		{"TUNNEL", FEED_MODE_TUNNEL},
		{"BEET", FEED_MODE_BEET},
		{"TRANSPORT_PROXY", FEED_MODE_OTHER},
		{"IPTFS", FEED_MODE_OTHER},
		{"transport", FEED_MODE_OTHER},
		{"", FEED_MODE_OTHER},
	};
	char members[1024];
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		snprintf(members, sizeof(members),
			 KID_ID KID_STATE KID_PROTO KID_SPIS "\"mode\":\"%s\"," KID_TS,
			 modes[i].text);
		cr_expect_eq(accepted(with_child(members), VICI_CHILDREN_LISTED).mode,
			     modes[i].mode, "%s", modes[i].text);
	}
	cr_expect_eq(accepted(with_child(KID_ID KID_STATE KID_PROTO KID_SPIS KID_TS),
			      VICI_CHILDREN_LISTED)
			     .mode,
		     FEED_MODE_OTHER);
}

Test(vici_child_fields, esp_and_ah_are_read_with_encapsulation_and_other_protocols_refused)
{
	static const char reason[] = "its protocol is neither ESP nor AH";
	struct feed_child child;

	child = accepted(with_child(KID_ID KID_STATE KID_MODE KID_SPIS
				    "\"protocol\":\"AH\",\"encap\":\"yes\"," KID_TS),
			 VICI_CHILDREN_LISTED);
	cr_expect_eq(child.ipsec_protocol, IPPROTO_AH);
	cr_expect(child.encap);
	child = accepted(with_child(KID_REST "\"encap\":\"no\"," KID_TS), VICI_CHILDREN_LISTED);
	cr_expect_eq(child.ipsec_protocol, IPPROTO_ESP);
	cr_expect_not(child.encap);
	expect_refused(with_child(KID_ID KID_STATE KID_MODE KID_SPIS KID_TS), reason);
	expect_refused(
		with_child(KID_ID KID_STATE KID_MODE KID_SPIS "\"protocol\":\"IPCOMP\"," KID_TS),
		reason);
}

static void expect_bad_spis(const char *in, const char *out)
{
	char members[1024];

	snprintf(members, sizeof(members),
		 KID_ID KID_STATE KID_MODE KID_PROTO "\"spi-in\":\"%s\",\"spi-out\":\"%s\"," KID_TS,
		 in, out);
	expect_refused(with_child(members), "its SPIs are unreadable");
}

Test(vici_child_fields, a_missing_malformed_or_zero_spi_is_refused)
{
	struct feed_child child =
		accepted(with_child(KID_ID KID_STATE KID_MODE KID_PROTO
				    "\"spi-in\":\"ffffffff\",\"spi-out\":\"00000100\"," KID_TS),
			 VICI_CHILDREN_LISTED);

	cr_expect_eq(child.spi_in, UINT32_MAX);
	cr_expect_eq(child.spi_out, 256);
	expect_bad_spis("0", "a");
	expect_bad_spis("a", "0");
	expect_bad_spis("00000000", "a");
	expect_bad_spis("", "a");
	expect_bad_spis("1ffffffff", "a");
	expect_bad_spis("a", "-a");
	expect_bad_spis("0xa", "a");
	expect_refused(with_child(KID_ID KID_STATE KID_MODE KID_PROTO "\"spi-in\":\"a\"," KID_TS),
		       "its SPIs are unreadable");
}

Test(vici_child_fields, optional_numbers_are_read_and_malformed_ones_refused)
{
	static const char reason[] = "its reqid or interface id is unreadable";
	static const char kid_id[] = "\"name\":\"t\",\"uniqueid\":\"5\",";
	char members[1024];
	struct feed_child child;

	child = accepted(with_child(KID_REST "\"if-id-in\":\"2a\",\"if-id-out\":\"2b\"," KID_TS),
			 VICI_CHILDREN_LISTED);
	cr_expect_eq(child.if_id_in, 0x2a);
	cr_expect_eq(child.if_id_out, 0x2b);
	cr_expect_eq(child.reqid, 1);
	expect_refused(with_child(KID_REST "\"if-id-in\":\"\"," KID_TS), reason);
	expect_refused(with_child(KID_REST "\"if-id-out\":\"x\"," KID_TS), reason);
	snprintf(members, sizeof(members),
		 "%s\"reqid\":\"one\"," KID_STATE KID_MODE KID_PROTO KID_SPIS KID_TS, kid_id);
	expect_refused(with_child(members), reason);
	snprintf(members, sizeof(members), "%s" KID_STATE KID_MODE KID_PROTO KID_SPIS KID_TS,
		 kid_id);
	cr_expect_eq(accepted(with_child(members), VICI_CHILDREN_LISTED).reqid, 0);
}

Test(vici_child_fields, a_child_without_valid_unique_ids_is_refused)
{
	static const char reason[] = "its unique id is unreadable";
	struct feed_child child;
	const char *given;

	expect_refused(IKE_BEGIN IKE_STATE IKE_HOSTS LOCAL_ID REMOTE_ID KIDS, reason);
	expect_refused(IKE_BEGIN
		       "\"uniqueid\":\"4294967296\"," IKE_STATE IKE_HOSTS LOCAL_ID REMOTE_ID KIDS,
		       reason);
	cr_assert_eq(
		read_first(
			with_child("\"name\":\"t\"," KID_STATE KID_MODE KID_PROTO KID_SPIS KID_TS),
			VICI_CHILDREN_LISTED, &child, &given),
		VICI_CHILD_REFUSED);
	cr_expect_str_eq(given, reason);
	cr_expect_eq(child.child_unique_id, 0);
}

static const char *with_hosts(const char *local, const char *remote)
{
	static char json[4096];

	snprintf(json, sizeof(json),
		 IKE_BEGIN IKE_ID IKE_STATE
		 "\"local-host\":\"%s\",\"remote-host\":\"%s\"," LOCAL_ID REMOTE_ID KIDS,
		 local, remote);
	return json;
}

Test(vici_child_fields, unreadable_or_mixed_family_addresses_are_refused)
{
	static const char reason[] = "its addresses are unreadable";
	struct feed_child child = accepted(with_hosts("fd00::1", "fd00::2"), VICI_CHILDREN_LISTED);
	uint8_t expected[16];

	cr_assert_eq(inet_pton(AF_INET6, "fd00::2", expected), 1);
	cr_expect_eq(child.family, AF_INET6);
	cr_expect_arr_eq(child.remote_host, expected, 16);
	expect_refused(with_hosts("10.9.0.1", "fd00::2"), reason);
	expect_refused(with_hosts("fd00::1", "10.9.0.3"), reason);
	expect_refused(with_hosts("%any", "10.9.0.3"), reason);
	expect_refused(with_hosts("10.9.0.1", ""), reason);
	expect_refused(with_hosts("10.9.0.1", "10.9.0.3%eth0"), reason);
	expect_refused(with_hosts("10.9.0.1", "010.9.0.3 "), reason);
	expect_refused(with_hosts("10.9.0.1", "a host name that is far too long to be any address"),
		       reason);
	expect_refused(IKE_BEGIN IKE_ID IKE_STATE LOCAL_ID REMOTE_ID KIDS, reason);
}

static struct traffic_selector_set remote_ts_of(const char *list)
{
	char members[9000];

	snprintf(members, sizeof(members), KID_REST "\"local-ts\":[\"10.9.0.1/32\"]%s", list);
	return accepted(with_child(members), VICI_CHILDREN_LISTED).remote_ts;
}

/* An SA with unknown selectors may carry any flow and conflicts with every latch. */
Test(vici_child_fields, missing_or_unreadable_selectors_cover_everything)
{
	struct traffic_selector_set set;

	set = remote_ts_of(",\"remote-ts\":[\"10.9.0.3/32[tcp/443]\",\"fd00::/64\"]");
	cr_expect_not(set.covers_all);
	cr_expect_eq(set.count, 2);
	cr_expect(remote_ts_of("").covers_all);
	cr_expect(remote_ts_of(",\"remote-ts\":[]").covers_all);
	cr_expect(remote_ts_of(",\"remote-ts\":[\"\"]").covers_all);
	cr_expect(remote_ts_of(",\"remote-ts\":[\"dynamic\"]").covers_all);
	cr_expect(remote_ts_of(",\"remote-ts\":[\"10.9.0.3/32\",\"nonsense\"]").covers_all);
	cr_expect(remote_ts_of(",\"remote-ts\":\"10.9.0.3/32\"").covers_all);
}

Test(vici_child_fields, a_long_list_of_selectors_covers_these_and_nothing_between)
{
	static const uint8_t within[16] = {10, 0, 0, 141}, between[16] = {10, 0, 0, 140};
	struct traffic_selector_set set;
	char list[8000] = ",\"remote-ts\":[\"10.0.0.1/32\"";
	unsigned int i;

	for (i = 3; i < 200; i += 2)
		sprintf(list + strlen(list), ",\"10.0.0.%u/32\"", i);
	strcat(list, "]");
	set = remote_ts_of(list);
	cr_expect_not(set.covers_all);
	cr_expect_eq(set.count, 100);
	cr_expect(traffic_selector_set_covers(&set, AF_INET, IPPROTO_TCP, within, 80));
	cr_expect_not(traffic_selector_set_covers(&set, AF_INET, IPPROTO_TCP, between, 80));
	traffic_selector_set_release(&set);
}

Test(vici_child_fields, a_long_connection_name_is_refused_and_a_long_child_name_truncated)
{
	char name[FEED_NAME_MAX + 1], json[4096];
	struct feed_child child;

	memset(name, 'n', sizeof(name));
	name[FEED_NAME_MAX - 1] = '\0';
	snprintf(json, sizeof(json), "{\"%s\":{" IKE_REST LOCAL_ID REMOTE_ID KIDS, name);
	child = accepted(json, VICI_CHILDREN_LISTED);
	cr_expect_str_eq(child.config_name, name);
	name[FEED_NAME_MAX - 1] = 'n';
	name[FEED_NAME_MAX] = '\0';
	snprintf(json, sizeof(json), "{\"%s\":{" IKE_REST LOCAL_ID REMOTE_ID KIDS, name);
	expect_unnamed(json, "the connection's name is longer than 63 bytes");

	snprintf(json, sizeof(json),
		 "\"name\":\"%s\",\"uniqueid\":\"5\"," KID_STATE KID_MODE KID_PROTO KID_SPIS KID_TS,
		 name);
	child = accepted(with_child(json), VICI_CHILDREN_LISTED);
	cr_expect_eq(strlen(child.child_name), FEED_NAME_MAX - 1);
}

static enum feed_down_cause cause_named(enum vici_named_cause named, const char *members)
{
	struct vici_span message;
	struct vici_ike_sa ike_sa;
	char json[512];

	snprintf(json, sizeof(json), "{\"x509\":{%s}}", members);
	message = vici_from_json(json);
	cr_assert_eq(vici_ike_sa_next(&message, &ike_sa), 1);
	return vici_ike_sa_down_cause(&ike_sa, named);
}

static enum feed_down_cause cause_of(const char *members)
{
	return cause_named(VICI_NAMED_NOTHING, members);
}

Test(vici_child_fields, state_and_tasks_of_an_ike_sa_determine_its_down_cause)
{
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"]"),
		     FEED_DOWN_PEER_DEAD);
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\",\"tasks-active\":[\"CHILD_REKEY\"],"
			      "\"tasks-passive\":[\"CHILD_REKEY\"]"),
		     FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"state\":\"REKEYING\",\"tasks-active\":[\"IKE_REKEY\"]"),
		     FEED_DOWN_PEER_DEAD);
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"],"
			      "\"tasks-queued\":[\"CHILD_REKEY\"]"),
		     FEED_DOWN_PEER_DEAD);
	/* A forced delete, as when charon exits while it waits for an answer. */
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"],"
			      "\"tasks-queued\":[\"CHILD_REKEY\",\"IKE_DELETE\"]"),
		     FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"version\":\"1\",\"state\":\"ESTABLISHED\""), FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"version\":\"1\",\"state\":\"ESTABLISHED\","
			      "\"tasks-active\":[\"ISAKMP_DPD\"]"),
		     FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\""), FEED_DOWN_PEER_REBOOTED);
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\",\"tasks-active\":[]"),
		     FEED_DOWN_PEER_REBOOTED);
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\",\"tasks-passive\":[\"IKE_REKEY\"]"),
		     FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"state\":\"ESTABLISHED\",\"tasks-queued\":[\"IKE_DELETE\"]"),
		     FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"state\":\"DELETING\",\"tasks-active\":[\"IKE_DELETE\"]"),
		     FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"state\":\"DELETING\""), FEED_DOWN_ORDERLY);
	cr_expect_eq(cause_of("\"uniqueid\":\"1\""), FEED_DOWN_ORDERLY);
}

static const char *const ends_in_good_order[] = {
	"\"state\":\"DELETING\"",
	"\"state\":\"DELETING\",\"tasks-active\":[\"IKE_DELETE\"]",
	"\"state\":\"REKEYED\",\"tasks-active\":[\"IKE_DELETE\"]",
	"\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"],\"tasks-queued\":[\"IKE_DELETE\"]",
	"\"state\":\"CONNECTING\"",
	"\"uniqueid\":\"1\"",
};

static const char *const other_ends[] = {
	"\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"]",
	"\"state\":\"REKEYING\",\"tasks-active\":[\"IKE_REKEY\"],\"tasks-queued\":[\"IKE_DPD\"]",
	"\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"],\"tasks-passive\":[\"CHILD_CREATE\"]",
	"\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"],\"initiator\":\"yes\",\"established\":\"3\"",
	"\"state\":\"ESTABLISHED\",\"version\":\"1\"",
	"\"state\":\"ESTABLISHED\"",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(vici_child_fields, an_alert_turns_no_end_in_good_order_into_a_dead_peer)
{
	size_t i;

	for (i = 0; i < COUNT(ends_in_good_order); i++) {
		cr_expect_eq(cause_named(VICI_NAMED_TIMEOUT, ends_in_good_order[i]),
			     FEED_DOWN_ORDERLY, "%s", ends_in_good_order[i]);
		cr_expect_eq(cause_named(VICI_NAMED_NO_TIMEOUT, ends_in_good_order[i]),
			     FEED_DOWN_ORDERLY, "%s", ends_in_good_order[i]);
	}
}

Test(vici_child_fields, R_2_19_an_alert_names_a_dead_peer_whatever_the_tasks_are)
{
	size_t i;

	for (i = 0; i < COUNT(other_ends); i++)
		cr_expect_eq(cause_named(VICI_NAMED_TIMEOUT, other_ends[i]), FEED_DOWN_PEER_DEAD,
			     "%s", other_ends[i]);
}

Test(vici_child_fields, a_peer_that_has_authenticated_again_is_neither_dead_nor_rebooted)
{
	size_t i;

	for (i = 0; i < COUNT(other_ends); i++)
		cr_expect_eq(cause_named(VICI_NAMED_REPLACED, other_ends[i]), FEED_DOWN_ORDERLY,
			     "%s", other_ends[i]);
}

Test(vici_child_fields, without_the_alert_of_a_charon_that_has_alerts_no_peer_is_dead)
{
	static const enum feed_down_cause causes[COUNT(other_ends)] = {
		FEED_DOWN_PEER_REBOOTED, FEED_DOWN_PEER_REBOOTED, FEED_DOWN_ORDERLY,
		FEED_DOWN_ORDERLY,	 FEED_DOWN_ORDERLY,	  FEED_DOWN_PEER_REBOOTED,
	};
	size_t i;

	for (i = 0; i < COUNT(other_ends); i++)
		cr_expect_eq(cause_named(VICI_NAMED_NO_TIMEOUT, other_ends[i]), causes[i], "%s",
			     other_ends[i]);
}

/* After a rekey charon lists the old CHILD_SA for some seconds. */
Test(vici_child_fields, only_a_deleted_child_has_no_outbound_sa)
{
	static const char *const states[] = {"INSTALLED", "REKEYING", "REKEYED", "DELETING",
					     "DELETED"};
	char members[1024];
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		snprintf(members, sizeof(members),
			 KID_ID KID_MODE KID_PROTO KID_SPIS "\"state\":\"%s\"," KID_TS, states[i]);
		cr_expect_eq(accepted(with_child(members), VICI_CHILDREN_LISTED).outbound_gone,
			     !strcmp(states[i], "DELETED"), "%s", states[i]);
	}
}
