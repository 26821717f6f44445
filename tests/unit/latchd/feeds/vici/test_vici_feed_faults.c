/* SPDX-License-Identifier: BSD-2-Clause */
/* The feed of vici_feed_harness.h with a charon that is absent, exits, or sends wrong messages. */
#include "vici_feed_harness.h"

#include <errno.h>

TestSuite(vici_feed_faults, .init = harness_begin, .fini = harness_end, .timeout = 60);

#define D_UP   (vici_fixture_event("attackD-tcp", "child-updown", 0))
#define D_LINE "up d.latch.test d3f0d477 "

Test(vici_feed_faults, the_feed_connects_when_charon_starts_later)
{
	feed_start();
	wait_for("state absent cannot connect to", 1);
	cr_expect_not_null(strstr(trace_line(trace_find("state absent", 0)),
				  "charon.vici: No such file or directory"));
	fake_charon_start(&charon);
	wait_for("state synced", 1);
	cr_expect_eq(trace_count("state lost"), 0);
	cr_expect_eq(inside()->retry_ms, VICI_RETRY_FIRST_MS);
}

Test(vici_feed_faults, the_feed_connects_when_the_sockets_directory_is_created_later)
{
	fake_charon_init(&charon, loop, scratch_path("later/charon.vici"));
	feed_start();
	wait_for("state absent", 1);
	scratch_mkdir("later");
	fake_charon_start(&charon);
	wait_for("state synced", 1);
}

Test(vici_feed_faults, a_socket_file_without_a_listener_is_retried)
{
	scratch_write("charon.vici", "", 0);
	feed_start();
	wait_for("state absent", 1);
	cr_expect_not_null(strstr(feed->detail, "Connection refused"));
	cr_assert_eq(unlink(charon.path), 0);
	fake_charon_start(&charon);
	wait_for("state synced", 1);
}

Test(vici_feed_faults, a_restart_of_charon_causes_a_full_snapshot)
{
	fake_charon_add_sa(&charon, D_UP);
	start_both();
	fake_charon_stop(&charon);
	wait_for("state lost charon closed the connection", 1);
	fake_charon_start(&charon);
	wait_for("state synced", 2);
	EXPECT_ORDER("attached", "state connected", "snapshot begin", D_LINE, "snapshot end",
		     "state synced", "state lost", "attached", "state connected",
		     "charon: register ike-updown", "snapshot begin", D_LINE, "snapshot end",
		     "state synced");
	cr_expect_eq(trace_count("charon: accept"), 4);
	cr_expect_eq(trace_count("attached"), 2);
}

/* Unique ids start again at 1: state of the old ones must not apply to the new ones. */
Test(vici_feed_faults, authentication_classes_are_queried_anew_after_a_restart_of_charon)
{
	const char *ike_down = vici_fixture_event("attackD-tcp", "ike-updown", 1);

	start_both();
	fake_charon_push(&charon, "ike-updown", ike_down);
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for(D_LINE "pubkey", 1);
	fake_charon_stop(&charon);
	wait_for("state lost", 1);
	/* Both are this process. */
	inside()->daemon_started = 1;
	charon.conn_count = 0;
	fake_charon_add_conn(&charon, fake_conn("x509", "pre-shared key"));
	fake_charon_start(&charon);
	wait_for("state synced", 2);
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("attackD-tcp", "child-updown", 1));
	wait_for("down c.latch.test 200ae9d6", 1);
	cr_expect_eq(recorded_down(&sink, 0x200ae9d6)->child.peer_auth, FEED_AUTH_PSK);
}

Test(vici_feed_faults, a_connection_lost_during_a_snapshot_causes_a_new_snapshot)
{
	charon.close_on = "list-sas";
	fake_charon_start(&charon);
	feed_start();
	wait_for("state lost charon closed the connection", 1);
	cr_expect_eq(trace_count("snapshot end"), 0);
	charon.close_on = NULL;
	wait_for("state synced", 1);
	EXPECT_ORDER("snapshot begin", "charon: closes on list-sas", "state lost", "snapshot begin",
		     "snapshot end", "state synced");
	/* The loss of one connection closes the other. */
	cr_expect_eq(trace_count("charon: closed by peer"), 1);
}

Test(vici_feed_faults, retries_back_off_until_the_feed_is_synced)
{
	charon.close_on = "version";
	fake_charon_start(&charon);
	feed_start();
	wait_for("state lost", 1);
	cr_expect_eq(inside()->retry_ms, 2 * VICI_RETRY_FIRST_MS);
	wait_for("charon: closes on version", 2);
	wait_for("state lost", 2);
	cr_expect_eq(inside()->retry_ms, 4 * VICI_RETRY_FIRST_MS);
	cr_expect_eq(trace_count("log "), 1, "one failure is logged twice");
	fail_session("test");
	fail_session("test");
	fail_session("test");
	fail_session("test");
	cr_expect_eq(inside()->retry_ms, VICI_RETRY_LAST_MS);
	charon.close_on = NULL;
	loop_timer_arm(&inside()->retry, 0);
	wait_for("state synced", 1);
	cr_expect_eq(inside()->retry_ms, VICI_RETRY_FIRST_MS);
}

static void expect_start_fails(const char *detail)
{
	char line[256];

	fake_charon_start(&charon);
	feed_start();
	snprintf(line, sizeof(line), "state lost %s", detail);
	wait_for(line, 1);
	cr_expect_eq(trace_count("state synced"), 0);
	cr_expect_eq(trace_count("snapshot end"), 0);
	charon.unknown_event = charon.failing_command = charon.unknown_command = NULL;
	wait_for("state synced", 1);
}

#define START_FAILS(name, fault, detail)                                                           \
	Test(vici_feed_faults, name)                                                               \
	{                                                                                          \
		fault;                                                                             \
		expect_start_fails(detail);                                                        \
	}

START_FAILS(a_charon_without_child_rekey_events_is_refused, charon.unknown_event = "child-rekey",
	    "charon does not know event child-rekey: too old")
START_FAILS(a_charon_without_list_conn_events_is_refused, charon.unknown_event = "list-conn",
	    "charon does not know event list-conn")
START_FAILS(a_charon_without_list_sa_events_is_refused, charon.unknown_event = "list-sa",
	    "charon does not know event list-sa")
START_FAILS(a_refused_list_conns_command_loses_the_feed, charon.failing_command = "list-conns",
	    "charon refused list-conns")
START_FAILS(a_refused_list_sas_command_loses_the_feed, charon.failing_command = "list-sas",
	    "charon refused list-sas")
START_FAILS(an_unknown_list_sas_command_loses_the_feed, charon.unknown_command = "list-sas",
	    "charon refused list-sas")

Test(vici_feed_faults, a_charon_without_ike_update_events_and_version_is_accepted)
{
	charon.unknown_event = "ike-update";
	charon.unknown_command = "version";
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced ? ?, process", 1);
	cr_expect_eq(trace_count("state lost"), 0);
}

/* Sends bytes on the events connection of a synced feed, which closes it and connects again. */
static void expect_lost_by(const void *bytes, size_t length, const char *detail)
{
	char line[256];

	start_both();
	fake_charon_push_raw(&charon, "child-updown", bytes, length);
	snprintf(line, sizeof(line), "state lost %s", detail);
	wait_for(line, 1);
	cr_expect_eq(sink.up_count, 0);
	wait_for("charon: closed by peer", 2);
	wait_for("state synced", 2);
}

#define LOST_BY(name, bytes, detail)                                                               \
	Test(vici_feed_faults, name)                                                               \
	{                                                                                          \
		expect_lost_by(bytes, sizeof(bytes) - 1, detail);                                  \
	}

LOST_BY(an_answer_without_a_request_loses_the_feed, "\0\0\0\1\1",
	"charon sent an answer without a request")
LOST_BY(a_confirmation_without_a_registration_loses_the_feed, "\0\0\0\1\5",
	"charon sent an answer without a request")
LOST_BY(a_request_from_charon_loses_the_feed, "\0\0\0\4\0\2up",
	"charon sent an answer without a request")
LOST_BY(an_empty_frame_loses_the_feed, "\0\0\0\0", "charon sent a malformed message")
LOST_BY(a_packet_of_unknown_type_loses_the_feed, "\0\0\0\1\11", "charon sent a malformed message")
LOST_BY(a_malformed_event_loses_the_feed, "\0\0\0\5\7\1e\3\1", "charon sent a malformed message")
LOST_BY(an_over_long_frame_loses_the_feed, "\0\x08\0\1",
	"charon sent a message of more than 512 KiB")

Test(vici_feed_faults, an_answer_of_the_wrong_type_disconnects_the_feed)
{
	start_both();
	charon.held_command = "list-sas";
	feed->resync(feed);
	wait_for("charon: list-sas", 2);
	fake_charon_push_raw(&charon, "list-sa", "\0\0\0\1\5", 5);
	wait_for("state lost charon sent an answer without a request", 1);
	cr_expect_eq(trace_count("snapshot end"), 1);
}

Test(vici_feed_faults, unknown_events_are_ignored)
{
	static const char alert[] = "\0\0\0\x07\7\5alert";

	start_both();
	fake_charon_push_raw(&charon, "child-updown", alert, sizeof(alert) - 1);
	fake_charon_push_raw(&charon, "list-sa", alert, sizeof(alert) - 1);
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for(D_LINE, 1);
	cr_expect_eq(trace_count("state lost"), 0);
}

/* A list-sa event counts only between list-sas and its answer, on the commands connection. */
Test(vici_feed_faults, a_list_sa_event_outside_of_a_list_is_ignored)
{
	start_both();
	fake_charon_push(&charon, "list-sa", D_UP);
	charon.held_command = "list-sas";
	feed->resync(feed);
	wait_for("charon: list-sas", 2);
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("attackD-tcp", "child-updown", 1));
	wait_for("down c.latch.test", 1);
	cr_expect_eq(sink.up_count, 0);
}

/* charon exits after it has sent length bytes of an event. */
static void expect_nothing_from_half(const uint8_t *frame, size_t length, size_t round)
{
	fake_charon_push_raw(&charon, "child-updown", frame, length);
	fake_charon_stop(&charon);
	wait_for("state lost charon closed the connection", round);
	cr_expect_eq(sink.up_count, 0, "after %zu bytes", length);
	fake_charon_start(&charon);
	wait_for("state synced", round + 1);
}

Test(vici_feed_faults, a_truncated_event_reports_no_child)
{
	struct vici_span message = vici_from_json(D_UP);
	size_t size = vici_packet_size("child-updown", message.length), round = 1, length;
	uint8_t *frame = malloc(size);

	vici_packet_write(frame, VICI_EVENT, "child-updown", message);
	start_both();
	for (length = 1; length < 8; length++)
		expect_nothing_from_half(frame, length, round++);
	expect_nothing_from_half(frame, size / 2, round++);
	expect_nothing_from_half(frame, size - 1, round++);
	fake_charon_push_raw(&charon, "child-updown", frame, size);
	wait_for(D_LINE, 1);
	free(frame);
}

Test(vici_feed_faults, an_event_received_byte_by_byte_is_reported)
{
	struct vici_span message = vici_from_json(D_UP);
	size_t size = vici_packet_size("child-updown", message.length), i;
	uint8_t *frame = malloc(size);

	vici_packet_write(frame, VICI_EVENT, "child-updown", message);
	start_both();
	for (i = 0; i < size; i++)
		fake_charon_push_raw(&charon, "child-updown", frame + i, 1);
	wait_for(D_LINE "pubkey vici child-updown", 1);
	free(frame);
}

static void expect_no_answer_to(const char *command, const char *detail)
{
	charon.held_command = command;
	fake_charon_start(&charon);
	feed_start();
	session()->answer_limit_ms = 5;
	wait_for(detail, 1);
	charon.held_command = NULL;
	session()->answer_limit_ms = VICI_ANSWER_LIMIT_MS;
	wait_for("state synced", 1);
}

Test(vici_feed_faults, an_unanswered_version_command_disconnects_the_feed)
{
	expect_no_answer_to("version", "state lost charon did not answer version within 5 ms");
}

Test(vici_feed_faults, an_unanswered_list_conns_command_disconnects_the_feed)
{
	expect_no_answer_to("list-conns",
			    "state lost charon did not answer list-conns within 5 ms");
}

Test(vici_feed_faults, an_unanswered_class_query_disconnects_the_feed)
{
	start_both();
	charon.held_command = "list-conns";
	session()->answer_limit_ms = 5;
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("rawkey-psk-keyid", "child-updown", 0));
	wait_for("state lost charon did not answer list-conns within 5 ms", 1);
	cr_expect_eq(sink.up_count, 0);
}

Test(vici_feed_faults, the_memory_of_waiting_messages_is_bounded)
{
	unsigned int i;

	start_both();
	session()->dispatch.held_bytes_max = 4096;
	charon.held_command = "list-conns";
	for (i = 0; i < 8; i++)
		fake_charon_push(&charon, "child-updown",
				 vici_fixture_event("rawkey-psk-keyid", "child-updown", 0));
	wait_for("state lost charon sent more messages than may wait", 1);
	cr_expect_eq(sink.up_count, 0);
	cr_expect_null(session()->dispatch.held);
	cr_expect_eq(session()->dispatch.held_bytes, 0);
}

Test(vici_feed_faults, a_daemon_that_the_sink_refuses_is_retried)
{
	sink.attached_answer = -EPERM;
	fake_charon_start(&charon);
	feed_start();
	wait_for("state absent cannot use charon, process", 1);
	wait_for("charon: closed by peer", 2);
	cr_expect_not_null(strstr(feed->detail, "Operation not permitted"));
	cr_expect_eq(trace_count("charon: register"), 0);
	cr_expect_eq(trace_count("state connected"), 0);
	sink.attached_answer = 0;
	wait_for("state synced", 1);
}

Test(vici_feed_faults, feed_names_and_socket_paths_that_do_not_fit_are_refused)
{
	char name[FEED_NAME_MAX + 1], path[109];

	memset(name, 'n', sizeof(name));
	name[FEED_NAME_MAX] = '\0';
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	errno = 0;
	cr_expect_null(feed_vici_new(loop, name, "/run/charon.vici", &statements, &sink.sink));
	cr_expect_eq(errno, ENAMETOOLONG);
	errno = 0;
	cr_expect_null(feed_vici_new(loop, "here", path, &statements, &sink.sink));
	cr_expect_eq(errno, ENAMETOOLONG);
}
