/* SPDX-License-Identifier: BSD-2-Clause */
/* What clients of the control socket receive, including slow and misbehaving ones. */
#include "control_fixture.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

TestSuite(control, .init = serve, .fini = finish, .timeout = 60);

Test(control, an_answer_is_one_document_and_the_end_of_the_stream)
{
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	cr_expect_eq(handler_calls, 1);
	expect_answer("list\n", "[]\n");
}

#define UNKNOWN                                                                                    \
	"{\"error\":\"unknown request; expected status, list, sa, audit, monitor, explain FLOW, "  \
	"explain ID, break ID, heal ID, close ID, mode audit or mode "                             \
	"enforce\",\"code\":\"unknown-request\"}\n"

Test(control, unknown_requests_are_rejected)
{
	static const char *const requests[] = {"\n",	    "Status\n",	 "status \n", "purge\n",
					       "\x1b[2J\n", "break\n",	 "close\n",   "Break 1\n",
					       "heal\t1\n", " heal 1\n", "list 1\n"};
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect_answer(requests[i], UNKNOWN);
}

static void need_root(void)
{
	if (geteuid())
		cr_skip_test("only root may change a latch");
}

Test(control, requests_for_a_latch_carry_action_id_and_pid)
{
	static const struct {
		const char *request;
		enum control_act act;
		uint64_t id;
	} rows[] = {
		{"break 2\n", CONTROL_ACT_BREAK, 2},
		{"heal ff\n", CONTROL_ACT_HEAL, 255},
		{"close FFFFFFFFFFFFFFFF\n", CONTROL_ACT_CLOSE, UINT64_MAX},
	};
	size_t i;

	need_root();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		expect_answer(rows[i].request, "{}\n");
		cr_expect_eq(received_requests, i + 1);
		cr_expect_eq(last_request.act, rows[i].act);
		cr_expect_eq(last_request.latch_id, rows[i].id);
		cr_expect_eq(last_request.pid, getpid());
	}
}

Test(control, root_switches_the_mode)
{
	need_root();
	expect_answer("mode audit\n", "{}\n");
	cr_expect_eq(last_mode.audit, true);
	cr_expect_eq(last_mode.pid, getpid());
	expect_answer("mode enforce\n", "{}\n");
	cr_expect_eq(last_mode.audit, false);
	cr_expect_eq(received_modes, 2);
	expect_answer("audit\n", "[]\n");
}

Test(control, an_unknown_mode_changes_nothing)
{
	static const char *const requests[] = {"mode \n", "mode off\n", "mode Audit\n",
					       "mode audit \n", "mode  enforce\n"};
	size_t i;

	need_root();
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect_answer(requests[i], "{\"error\":\"unknown mode; expected audit or enforce\","
					   "\"code\":\"unknown-mode\"}\n");
	cr_expect_eq(received_modes, 0);
}

Test(control, a_malformed_id_is_rejected)
{
	static const char *const requests[] = {
		"break \n",   "break  2\n", "heal 0x2\n",  "close 2 \n",
		"close -1\n", "heal 2g\n",  "break 2,3\n", "close 10000000000000000\n",
	};
	size_t i;

	need_root();
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect_answer(
			requests[i],
			"{\"error\":\"malformed id; expected 1 to 16 hexadecimal digits, as in "
			"list\",\"code\":\"malformed-id\"}\n");
	cr_expect_eq(received_requests, 0);
}

Test(control, an_explanation_is_asked_for_by_id_or_by_flow)
{
	expect_answer("explain 1F\n", "{\"verb\":\"explain\"}\n");
	cr_expect(last_explain.by_id);
	cr_expect_eq(last_explain.latch_id, 0x1f);
	cr_expect_eq(explain_parts, 3, "parts without text are no answer");
	expect_answer("explain tcp 10.0.0.1:7 10.0.0.2:53 netns blue\n",
		      "{\"verb\":\"explain\"}\n");
	cr_expect_not(last_explain.by_id);
	cr_expect_eq(last_explain.query.flow.remote_port, 53);
	cr_expect_str_eq(last_explain.query.netns, "blue");
	cr_expect_eq(last_explain.for_root, !geteuid());
}

Test(control, a_malformed_flow_is_rejected)
{
	expect_answer(
		"explain tcp 10.0.0.1 10.0.0.2\n",
		"{\"error\":\"malformed flow: \\\"10.0.0.2\\\": not a remote end; use ADDRESS:PORT or "
		"[ADDRESS]:PORT\",\"code\":\"malformed-flow\"}\n");
	expect_answer("explain \n",
		      "{\"error\":\"malformed flow: \\\"flow\\\": none given\",\"code\":"
		      "\"malformed-flow\"}\n");
	cr_expect_eq(explain_parts, 0);
}

Test(control, a_request_longer_than_the_limit_is_rejected)
{
	char longest[CONTROL_REQUEST_MAX + 1];

	memset(longest, 'a', sizeof(longest));
	longest[CONTROL_REQUEST_MAX] = '\0';
	expect_answer(longest,
		      "{\"error\":\"request is too long\",\"code\":\"unknown-request\"}\n");
	longest[CONTROL_REQUEST_MAX - 1] = '\n';
	expect_answer(longest, UNKNOWN);
}

Test(control, a_request_may_arrive_in_pieces)
{
	struct peer peer = send_request("sta");

	run_for(20);
	cr_assert_eq(send(peer.fd, "tus", 3, 0), 3);
	run_for(20);
	cr_assert_eq(send(peer.fd, "\n", 1, 0), 1);
	wait_for(&peer);
	cr_expect_str_eq(peer.text, "{\"verb\":\"status\"}\n");
	peer_close(&peer);
}

Test(control, a_client_that_closes_before_its_request_disturbs_no_other_client)
{
	struct peer peer = send_request("stat");

	peer_close(&peer);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	cr_expect_eq(handler_calls, 1);
}

Test(control, a_failed_document_ends_the_stream)
{
	expect_answer("sa\n", "");
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
}

Test(control, a_half_closed_client_receives_a_long_document_completely)
{
	struct peer peer;

	list_size = 300000;
	peer = send_request("list\n");
	shutdown(peer.fd, SHUT_WR);
	wait_for(&peer);
	cr_expect_eq(peer.length, list_size * 19 - 1 + 3);
	cr_expect(peer.text[0] == '[' && !strcmp(peer.text + peer.length - 3, "\"]\n"));
	peer_close(&peer);
}

Test(control, a_client_that_closes_during_a_document_disturbs_no_other_client)
{
	struct peer peer;

	list_size = 300000;
	peer = send_request("list\n");
	run_for(20);
	peer_close(&peer);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
}

/* Reads nothing of its answer. */
Test(control, the_rest_of_a_document_is_written_when_the_reader_has_taken_its_part)
{
	struct peer readers[20];
	size_t i;
	int parts;

	list_size = 300000; /* 5.7 MB each */
	for (i = 0; i < 20; i++)
		readers[i] = send_request("list\n");
	/* Until each socket is full. */
	do {
		parts = list_parts;
		run_for(300);
	} while (list_parts != parts);
	cr_expect_lt(parts, 20 * 100, "of 300 parts each");
	cr_expect_lt(control_load(control).bytes, 20 * 200000);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	expect_answer("close 2\n", "{}\n");
	cr_expect_eq(list_parts, parts, "root did not wait for these answers");
	wait_for(&readers[0]);
	cr_expect_eq(readers[0].length, list_size * 19 - 1 + 3);
	for (i = 0; i < 20; i++)
		peer_close(&readers[i]);
}

static const char started[] =
	"{\"time\":\"2026-11-23T06:58:01.113Z\",\"event\":\"monitor-started\"}\n";

static struct peer monitor(void)
{
	struct peer peer = send_request("monitor\n");

	peer.wanted = strlen(started);
	wait_for(&peer);
	cr_assert_eq(peer.length, strlen(started), "%s", peer.text);
	cr_assert_str_eq(peer.text + strlen("{\"time\":\"2026-11-23T06:58:01.113Z\""),
			 ",\"event\":\"monitor-started\"}\n");
	peer.length = 0;
	return peer;
}

Test(control, monitors_receive_every_event_until_they_close)
{
	struct peer a, b;

	cr_expect_not(control_has_monitors(control));
	control_publish(control, "{}", 2);
	a = monitor();
	b = monitor();
	cr_expect(control_has_monitors(control));
	control_publish(control, "{\"n\":1}\n", 8);
	control_publish(control, "{\"n\":2}", 7);
	a.wanted = b.wanted = 16;
	wait_for(&a);
	wait_for(&b);
	cr_expect_str_eq(a.text, "{\"n\":1}\n{\"n\":2}\n");
	cr_expect_str_eq(b.text, a.text);
	peer_close(&a);
	run_for(20);
	cr_expect(control_has_monitors(control));
	shutdown(b.fd, SHUT_WR);
	wait_for(&b);
	cr_expect(b.ended);
	peer_close(&b);
	cr_expect_not(control_has_monitors(control));
}

/* Every event is there, in order, or counted in a "lost" line at the place of the gap. */
static unsigned long account(const char *text, unsigned long *ret_lost)
{
	static const char lost_end[] = ",\"where\":\"monitor\"}";
	const char *line, *end, *count;
	unsigned long next = 0, lost;

	*ret_lost = 0;
	for (line = text; (end = strchr(line, '\n')); line = end + 1) {
		if (!strncmp(line, "{\"n\":", 5)) {
			cr_assert_eq(strtoul(line + 5, NULL, 10), next, "at %.60s", line);
			next++;
			continue;
		}
		count = strstr(line, "\"event\":\"lost\",\"count\":");
		cr_assert(count && count < end &&
				  !strncmp(end - strlen(lost_end), lost_end, strlen(lost_end)),
			  "%.80s", line);
		lost = strtoul(count + 23, NULL, 10);
		*ret_lost += lost;
		next += lost;
	}
	return next;
}

/* Publishes events of the numbers [from, to); their length in bytes. */
static size_t publish_numbers(unsigned int from, unsigned int to)
{
	size_t length, sum = 0;
	char line[128];
	unsigned int i;

	for (i = from; i < to; i++) {
		length = (size_t)snprintf(line, sizeof(line), "{\"n\":%u,\"pad\":\"%090d\"}", i, 0);
		control_publish(control, line, length);
		sum += length + 1;
	}
	return sum;
}

Test(control, a_slow_monitor_receives_the_number_of_lost_events_and_delays_no_other)
{
	struct peer slow = monitor(), quick = monitor();
	const unsigned int flood = 30000; /* about 3 MB */
	unsigned long lost;
	unsigned int i;

	quick.wanted = 0;
	for (i = 0; i < flood; i += 1000) {
		quick.wanted += publish_numbers(i, i + 1000);
		wait_for(&quick);
	}
	cr_expect_eq(account(quick.text, &lost), flood);
	cr_expect_eq(lost, 0, "the quick monitor misses no event");

	do {
		slow.wanted = slow.length + 1;
		wait_for(&slow);
	} while (account(slow.text, &lost) < flood);
	cr_expect_gt(lost, 10000);
	cr_expect_lt(lost, 25000, "events that fitted were kept");

	slow.wanted = slow.length + publish_numbers(flood, flood + 1);
	wait_for(&slow);
	cr_expect_eq(account(slow.text, &lost), flood + 1);
	peer_close(&slow);
	peer_close(&quick);
}

Test(control, an_event_longer_than_a_queue_is_counted_as_lost)
{
	static char giant[CONTROL_MONITOR_QUEUE_MAX + 1];
	struct peer peer = monitor();

	memset(giant, 'x', sizeof(giant));
	control_publish(control, giant, sizeof(giant));
	publish_numbers(1, 2);
	peer.wanted = 150;
	wait_for(&peer);
	cr_expect(strstr(peer.text, "\"event\":\"lost\",\"count\":1,") &&
			  strstr(peer.text, "{\"n\":1,"),
		  "%s", peer.text);
	peer_close(&peer);
}

Test(control, clients_beyond_the_limit_are_rejected_until_one_closes)
{
	struct peer peers[CONTROL_CLIENTS_ROOT];
	int i;

	for (i = 0; i < CONTROL_CLIENTS_ROOT; i++)
		peers[i] = monitor();
	expect_answer("status\n",
		      "{\"error\":\"latchd has too many clients\",\"code\":\"busy\"}\n");
	peer_close(&peers[0]);
	run_for(20);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	for (i = 1; i < CONTROL_CLIENTS_ROOT; i++)
		peer_close(&peers[i]);
}

/* A user that may not send requests. */
static int connect_as_other_user(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), status;
	pid_t child;

	strcpy(address.sun_path, socket_path);
	child = fork();
	if (!child)
		_exit(setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ||
		      connect(fd, (struct sockaddr *)&address, sizeof(address)));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	return fd;
}

static int rounds;

/* Of a descriptor that is always ready. */
static void count_round(void *context, uint32_t events)
{
	(void)context;
	(void)events;
	rounds++;
	if (handler_calls)
		loop_stop(loop);
}

Test(control, connections_that_are_refused_do_not_keep_roots_waiting_for_rounds_of_the_loop)
{
	int refused[50], ready;
	struct peer peer;
	size_t i;

	if (geteuid())
		cr_skip_test("needs root");
	chmod(scratch_dir, 0755);
	chmod(scratch_path("run"), 0755);
	chmod(socket_path, 0666);
	for (i = 0; i < 50; i++)
		refused[i] = connect_as_other_user();
	peer = send_request("status\n");
	ready = eventfd(1, EFD_CLOEXEC);
	cr_assert_eq(loop_fd_add(loop, ready, EPOLLIN, count_round, NULL), 0);
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_lt(rounds, 10, "%d rounds", rounds);
	loop_fd_remove(loop, ready);
	close(ready);
	for (i = 0; i < 50; i++)
		close(refused[i]);
	peer_close(&peer);
}

Test(control, without_free_descriptors_clients_wait_until_one_is_free)
{
	struct rlimit limit;
	struct peer peer = send_request("status\n");
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	getrlimit(RLIMIT_NOFILE, &limit);
	close(fd);
	limit.rlim_cur = (rlim_t)fd;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	run_for(50);
	cr_expect_eq(handler_calls, 0);
	limit.rlim_cur = 1024 < limit.rlim_max ? 1024 : limit.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	wait_for(&peer);
	cr_expect_str_eq(peer.text, "{\"verb\":\"status\"}\n");
	peer_close(&peer);
}

Test(control, without_a_group_only_the_owner_has_access)
{
	umask(0);
	cr_expect_eq(mode_of(socket_path), 0600);
	cr_expect_eq(mode_of(scratch_path("run")), 0750);
}
