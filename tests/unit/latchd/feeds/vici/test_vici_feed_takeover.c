/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second process takes over the listening socket between two connections:
 *
 *   feed --connect--> socket <--listen-- this process, later "other"
 */
#include "vici_feed_harness.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

TestSuite(vici_feed_takeover, .init = harness_begin, .fini = harness_end, .timeout = 60);

/* A process that shares the listening socket and calls listen() on request. */
struct other {
	pid_t pid;
	int requests, answers;
};

static struct other other;
static unsigned int connects, takeover_at;

static void serve_requests(int listen_fd, int requests, int answers)
{
	char request;

	while (read(requests, &request, 1) == 1)
		if (listen(listen_fd, 8) || write(answers, &request, 1) != 1)
			break;
	_exit(0);
}

static void other_start(int listen_fd)
{
	int requests[2], answers[2];

	cr_assert(!pipe(requests) && !pipe(answers));
	other.pid = fork();
	cr_assert_geq(other.pid, 0);
	if (!other.pid) {
		close(requests[1]);
		close(answers[0]);
		serve_requests(listen_fd, requests[0], answers[1]);
	}
	close(requests[0]);
	close(answers[1]);
	other.requests = requests[1];
	other.answers = answers[0];
}

static void other_listens(void)
{
	char request = 'l';

	if (write(other.requests, &request, 1) != 1 || read(other.answers, &request, 1) != 1)
		abort();
}

static void other_stop(void)
{
	close(other.requests);
	close(other.answers);
	waitpid(other.pid, NULL, 0);
}

/* Replaces the library's connect(): other takes over just before the connect number takeover_at. */
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;

	if (un->sun_family == AF_UNIX && !strcmp(un->sun_path, charon.path) &&
	    ++connects == takeover_at)
		other_listens();
	return (int)syscall(SYS_connect, fd, address, length);
}

Test(vici_feed_takeover, two_connections_to_different_processes_are_refused)
{
	fake_charon_start(&charon);
	other_start(charon.listen_fd);
	takeover_at = 2;
	feed_start();
	wait_for("state absent cannot connect to", 1);
	cr_expect_not_null(strstr(feed->detail, "Connection reset by peer"));
	cr_expect_eq(trace_count("attached"), 0);
	cr_expect_eq(trace_count("charon: register"), 0);
	/* From now on both connections reach the other process. */
	wait_for("state synced", 1);
	other_stop();
}

Test(vici_feed_takeover, each_reconnect_reports_the_process_that_listens_at_that_time)
{
	char attached[64];

	fake_charon_start(&charon);
	other_start(charon.listen_fd);
	takeover_at = 3;
	feed_start();
	wait_for("state synced", 1);
	fail_session("test");
	wait_for("state synced", 2);
	snprintf(attached, sizeof(attached), "attached %d", (int)getpid());
	cr_expect_eq(trace_find(attached, 0), trace_find("attached", 0));
	snprintf(attached, sizeof(attached), "attached %d", (int)other.pid);
	cr_expect_gt(trace_find(attached, 0), trace_find("state lost test", 0));
	cr_expect_eq(session()->events.peer, other.pid);
	other_stop();
}
