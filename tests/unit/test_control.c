/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients and the service in one process, on one loop: every step is waited for with a limit. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "latchd/control.h"

#define LIMIT_MS 20000

struct peer {
	int fd;
	char *text;
	size_t length, capacity;
	bool ended;
	size_t wanted; /* wait for this many bytes, or the end */
};

static struct loop *loop;
static struct control *control;
static char failure[512];
static char socket_path[128];
static int handler_calls;
static size_t list_size;

static void write_status(void *context, struct json_writer *w)
{
	cr_expect_eq(context, &list_size);
	handler_calls++;
	json_object_begin(w);
	json_member_string(w, "verb", "status");
	json_object_end(w);
}

static void write_list(void *context, struct json_writer *w)
{
	size_t i;

	(void)context;
	json_array_begin(w);
	for (i = 0; i < list_size; i++)
		json_string(w, "0123456789abcdef");
	json_array_end(w);
}

static void write_sa_badly(void *context, struct json_writer *w)
{
	(void)context;
	json_object_begin(w);
}

static struct control_order last_order;
static int orders;

static void take_order(void *context, const struct control_order *order, struct json_writer *w)
{
	cr_expect_eq(context, &list_size);
	orders++;
	last_order = *order;
	json_object_begin(w);
	json_object_end(w);
}

static const struct control_handlers handlers = {
	.context = &list_size,
	.status = write_status,
	.list = write_list,
	.sa = write_sa_badly,
	.order = take_order,
};

static void serve(void)
{
	scratch_make();
	snprintf(socket_path, sizeof(socket_path), "%s/run/latchd.sock", scratch_dir);
	loop = loop_new();
	control = control_new(loop, socket_path, "", &handlers, failure, sizeof(failure));
	cr_assert_not_null(control, "%s", failure);
}

static void finish(void)
{
	control_free(control);
	loop_free(loop);
	scratch_remove();
}

TestSuite(control, .init = serve, .fini = finish, .timeout = 60);
TestSuite(control_file, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static struct peer ask(const char *request)
{
	struct peer peer = {.fd = connect_to(socket_path)};

	cr_assert_geq(peer.fd, 0);
	cr_assert_eq(send(peer.fd, request, strlen(request), MSG_NOSIGNAL),
		     (ssize_t)strlen(request));
	return peer;
}

static void peer_read(struct peer *peer)
{
	ssize_t length;

	do {
		if (peer->capacity - peer->length < 65536) {
			peer->capacity = peer->capacity * 2 + 65537;
			peer->text = realloc(peer->text, peer->capacity);
		}
		length = recv(peer->fd, peer->text + peer->length, 65536, MSG_DONTWAIT);
		if (length > 0)
			peer->length += (size_t)length;
	} while (length > 0);
	peer->ended = !length || errno != EAGAIN;
	peer->text[peer->length] = '\0';
}

static struct loop_timer tick;
static uint64_t tick_limit;

static void on_tick(void *context)
{
	struct peer *peer = context;

	if (peer)
		peer_read(peer);
	if ((peer && (peer->ended || (peer->wanted && peer->length >= peer->wanted))) ||
	    loop_now_ms() >= tick_limit)
		loop_stop(loop);
	else
		loop_timer_arm(&tick, 1);
}

/* Runs the service until the peer has what it wants, or its stream ended. */
static void wait_for(struct peer *peer)
{
	loop_timer_init(loop, &tick, on_tick, peer);
	tick_limit = loop_now_ms() + LIMIT_MS;
	loop_timer_arm(&tick, 1);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert_lt(loop_now_ms(), tick_limit, "timed out with: %s", peer->text);
}

static void run_for(unsigned int ms)
{
	loop_timer_init(loop, &tick, on_tick, NULL);
	tick_limit = loop_now_ms() + ms;
	loop_timer_arm(&tick, 1);
	cr_assert_eq(loop_run(loop), 0);
}

static void peer_close(struct peer *peer)
{
	close(peer->fd);
	free(peer->text);
}

static void expect_answer(const char *request, const char *answer)
{
	struct peer peer = ask(request);

	wait_for(&peer);
	cr_expect(peer.ended);
	cr_expect_str_eq(peer.text, answer);
	peer_close(&peer);
}

Test(control, a_document_and_the_end)
{
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	cr_expect_eq(handler_calls, 1);
	expect_answer("list\n", "[]\n");
}

#define UNKNOWN                                                                                    \
	"{\"error\":\"unknown request; expected status, list, sa, monitor, break ID, heal ID or "   \
	"close ID\",\"code\":\"unknown-request\"}\n"

Test(control, unknown_requests_are_refused)
{
	static const char *const requests[] = {"\n",	     "Status\n",  "status \n", "purge\n",
					       "\x1b[2J\n", "break\n",   "close\n",	"Break 1\n",
					       "heal\t1\n", " heal 1\n", "list 1\n"};
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect_answer(requests[i], UNKNOWN);
}

static void need_root(void)
{
	if (geteuid())
		cr_skip_test("only root may give orders");
}

Test(control, orders_for_a_latch)
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
		cr_expect_eq(orders, i + 1);
		cr_expect_eq(last_order.act, rows[i].act);
		cr_expect_eq(last_order.latch_id, rows[i].id);
		cr_expect_eq(last_order.pid, getpid());
	}
}

Test(control, a_malformed_id_changes_nothing)
{
	static const char *const requests[] = {
		"break \n", "break  2\n", "heal 0x2\n",  "close 2 \n", "close -1\n",
		"heal 2g\n", "break 2,3\n", "close 10000000000000000\n",
	};
	size_t i;

	need_root();
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect_answer(requests[i],
			      "{\"error\":\"malformed id; expected 1 to 16 hexadecimal digits, as in "
			      "list\",\"code\":\"malformed-id\"}\n");
	cr_expect_eq(orders, 0);
}

Test(control, a_request_is_bounded)
{
	char longest[CONTROL_REQUEST_MAX + 1];

	memset(longest, 'a', sizeof(longest));
	longest[CONTROL_REQUEST_MAX] = '\0';
	expect_answer(longest,
		      "{\"error\":\"request is too long\",\"code\":\"unknown-request\"}\n");
	longest[CONTROL_REQUEST_MAX - 1] = '\n';
	expect_answer(longest, UNKNOWN);
}

Test(control, a_request_may_come_in_pieces)
{
	struct peer peer = ask("sta");

	run_for(20);
	cr_assert_eq(send(peer.fd, "tus", 3, 0), 3);
	run_for(20);
	cr_assert_eq(send(peer.fd, "\n", 1, 0), 1);
	wait_for(&peer);
	cr_expect_str_eq(peer.text, "{\"verb\":\"status\"}\n");
	peer_close(&peer);
}

Test(control, a_client_that_leaves_without_asking_harms_nobody)
{
	struct peer peer = ask("stat");

	peer_close(&peer);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	cr_expect_eq(handler_calls, 1);
}

Test(control, a_handler_that_fails_ends_the_stream)
{
	expect_answer("sa\n", "");
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
}

Test(control, a_long_document_arrives_whole_and_half_closed_clients_get_it)
{
	struct peer peer;

	list_size = 300000;
	peer = ask("list\n");
	shutdown(peer.fd, SHUT_WR);
	wait_for(&peer);
	cr_expect_eq(peer.length, list_size * 19 - 1 + 3);
	cr_expect(peer.text[0] == '[' && !strcmp(peer.text + peer.length - 3, "\"]\n"));
	peer_close(&peer);
}

Test(control, a_client_that_leaves_amid_a_document_harms_nobody)
{
	struct peer peer;

	list_size = 300000;
	peer = ask("list\n");
	run_for(20);
	peer_close(&peer);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
}

static const char started[] =
	"{\"time\":\"2026-11-23T06:58:01.113Z\",\"event\":\"monitor-started\"}\n";

static struct peer monitor(void)
{
	struct peer peer = ask("monitor\n");

	peer.wanted = strlen(started);
	wait_for(&peer);
	cr_assert_eq(peer.length, strlen(started), "%s", peer.text);
	cr_assert_str_eq(peer.text + strlen("{\"time\":\"2026-11-23T06:58:01.113Z\""),
			 ",\"event\":\"monitor-started\"}\n");
	peer.length = 0;
	return peer;
}

Test(control, monitors_get_every_event_until_they_leave)
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

/* Every event is either there, in order, or counted in a "lost" line at the place of the gap. */
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

Test(control, a_slow_monitor_loses_events_is_told_and_holds_up_nobody)
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
	cr_expect_eq(lost, 0, "the quick one misses nothing");

	do {
		slow.wanted = slow.length + 1;
		wait_for(&slow);
	} while (account(slow.text, &lost) < flood);
	cr_expect_gt(lost, 10000);
	cr_expect_lt(lost, 25000, "what fitted was kept");

	slow.wanted = slow.length + publish_numbers(flood, flood + 1);
	wait_for(&slow);
	cr_expect_eq(account(slow.text, &lost), flood + 1);
	peer_close(&slow);
	peer_close(&quick);
}

Test(control, an_event_too_long_for_any_queue_is_lost_not_fatal)
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

Test(control, clients_are_bounded_and_a_place_is_free_again)
{
	struct peer peers[CONTROL_CLIENTS_MAX];
	int i;

	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		peers[i] = monitor();
	expect_answer("status\n",
		      "{\"error\":\"latchd has too many clients\",\"code\":\"busy\"}\n");
	peer_close(&peers[0]);
	run_for(20);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	for (i = 1; i < CONTROL_CLIENTS_MAX; i++)
		peer_close(&peers[i]);
}

Test(control, out_of_descriptors_it_waits_and_recovers)
{
	struct rlimit limit;
	struct peer peer = ask("status\n");
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

static mode_t mode_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return st.st_mode & 07777;
}

Test(control, without_a_group_only_the_owner_has_access)
{
	umask(0);
	cr_expect_eq(mode_of(socket_path), 0600);
	cr_expect_eq(mode_of(scratch_path("run")), 0750);
}

/* ---- the file ---- */

static struct control *open_at(const char *path, const char *group)
{
	loop = loop ? loop : loop_new();
	return control_new(loop, path, group, &handlers, failure, sizeof(failure));
}

Test(control_file, it_goes_with_the_service)
{
	struct control *first = open_at(scratch_path("sock"), "");

	cr_assert_not_null(first, "%s", failure);
	cr_expect_eq(access(scratch_path("sock"), F_OK), 0);
	control_free(first);
	cr_expect_neq(access(scratch_path("sock"), F_OK), 0);
}

Test(control_file, a_stale_one_is_replaced)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, scratch_path("sock"));
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	cr_assert_not_null(open_at(scratch_path("sock"), ""), "%s", failure);
	cr_expect_geq(connect_to(scratch_path("sock")), 0);
}

Test(control_file, one_that_answers_is_left_alone)
{
	struct control *first = open_at(scratch_path("sock"), "");

	cr_assert_not_null(first);
	cr_expect_null(open_at(scratch_path("sock"), ""));
	cr_expect(strstr(failure, "another program answers"), "%s", failure);
	cr_expect_geq(connect_to(scratch_path("sock")), 0, "the first one still serves");
}

Test(control_file, a_successors_file_is_not_removed)
{
	struct control *first = open_at(scratch_path("sock"), "");

	cr_assert_eq(rename(scratch_path("sock"), scratch_path("moved")), 0);
	cr_assert_not_null(open_at(scratch_path("sock"), ""));
	control_free(first);
	cr_expect_eq(access(scratch_path("sock"), F_OK), 0);
}

Test(control_file, what_is_no_socket_is_left_alone)
{
	scratch_write("sock", "precious", 8);
	cr_expect_null(open_at(scratch_path("sock"), ""));
	cr_expect(strstr(failure, "is no socket"), "%s", failure);
	cr_expect_eq(access(scratch_path("sock"), F_OK), 0);
	unlink(scratch_path("sock"));
	cr_assert_eq(symlink("/nowhere", scratch_path("sock")), 0);
	cr_expect_null(open_at(scratch_path("sock"), ""));
}

Test(control_file, an_impossible_path_is_explained)
{
	cr_expect_null(open_at(scratch_path("no/such/dir/sock"), ""));
	cr_expect(strstr(failure, "No such file") && strstr(failure, "[control]"), "%s", failure);
}

Test(control_file, an_unknown_group_is_explained)
{
	cr_expect_null(open_at(scratch_path("sock"), "no-such-group"));
	cr_expect(strstr(failure, "groupadd --system no-such-group"), "%s", failure);
}

Test(control_file, a_group_gets_in_an_existing_directory_stays_as_it_is)
{
	struct group *group = getgrnam("daemon");
	struct stat st;

	if (geteuid())
		cr_skip_test("giving a file to a group needs root");
	cr_assert_not_null(group);
	scratch_mkdir("mine");
	cr_assert_not_null(open_at(scratch_path("mine/sock"), "daemon"), "%s", failure);
	cr_assert_eq(stat(scratch_path("mine/sock"), &st), 0);
	cr_expect(st.st_gid == group->gr_gid && (st.st_mode & 07777) == 0660);
	cr_expect_eq(mode_of(scratch_path("mine")), 0700);
	cr_assert_not_null(open_at(scratch_path("made/sock"), "daemon"), "%s", failure);
	cr_assert_eq(stat(scratch_path("made"), &st), 0);
	cr_expect(st.st_gid == group->gr_gid && (st.st_mode & 07777) == 0750);
}

/* Asks as another user, in a process of its own; the first line that it got. */
static void ask_as_for(uid_t uid, gid_t gid, gid_t extra, const char *request, char *answer,
		       size_t size)
{
	struct peer peer = {0};
	int fds[2];
	pid_t child;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	child = fork();
	if (!child) {
		char line[256];
		ssize_t length = -1;
		int fd = -1;

		if (!setgroups(1, &extra) && !setgid(gid) && !setuid(uid))
			fd = connect_to(scratch_path("sock"));
		/* Who is turned away may find the other end closed already, with the answer there.
		 */
		if (fd >= 0 && !fcntl(fd, F_SETFL, 0) &&
		    (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0 || errno == EPIPE))
			length = recv(fd, line, sizeof(line), 0);
		if (length > 0 && write(fds[1], line, (size_t)length) == length)
			_exit(0);
		_exit(1);
	}
	close(fds[1]);
	peer.fd = fds[0];
	wait_for(&peer);
	snprintf(answer, size, "%s", peer.text);
	peer_close(&peer);
	waitpid(child, NULL, 0);
}

static void ask_as(uid_t uid, gid_t gid, gid_t extra, char *answer, size_t size)
{
	ask_as_for(uid, gid, extra, "status\n", answer, size);
}

/* Whom the administrator lets look may not change anything; root may. */
Test(control_file, R_2_2_1_only_root_gives_orders)
{
	static const char *const requests[] = {"break 2\n", "heal 2\n", "close 2\n", "close x\n"};
	gid_t others = 65534, daemon_group;
	char answer[256];
	size_t i;

	if (geteuid())
		cr_skip_test("becoming another user needs root");
	daemon_group = getgrnam("daemon")->gr_gid;
	cr_assert_not_null(open_at(scratch_path("sock"), "daemon"), "%s", failure);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		ask_as_for(65534, others, daemon_group, requests[i], answer, sizeof(answer));
		cr_expect_str_eq(answer, "{\"error\":\"not permitted: only root may break, heal or "
					 "close a latch\",\"code\":\"not-permitted\"}\n");
	}
	cr_expect_eq(orders, 0);
	ask_as_for(0, others, daemon_group, "close 2\n", answer, sizeof(answer));
	cr_expect_str_eq(answer, "{}\n");
	cr_expect_eq(orders, 1);
}

Test(control_file, credentials_count_even_when_the_mode_was_loosened)
{
	static const char refused[] = "{\"error\":\"not permitted";
	static const char answered[] = "{\"verb\":\"status\"}\n";
	gid_t daemon_group, others = 65534;
	char answer[256];

	if (geteuid())
		cr_skip_test("becoming another user needs root");
	daemon_group = getgrnam("daemon")->gr_gid;
	cr_assert_not_null(open_at(scratch_path("sock"), "daemon"), "%s", failure);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);

	ask_as(65534, others, others, answer, sizeof(answer));
	cr_expect_str_eq(answer, "", "the file's mode keeps strangers out");
	ask_as(65534, others, daemon_group, answer, sizeof(answer));
	cr_expect_str_eq(answer, answered, "a member by supplementary group");
	ask_as(65534, daemon_group, others, answer, sizeof(answer));
	cr_expect_str_eq(answer, answered, "a member by primary group");

	cr_assert_eq(chmod(scratch_path("sock"), 0666), 0);
	ask_as(65534, others, others, answer, sizeof(answer));
	cr_expect_eq(strncmp(answer, refused, strlen(refused)), 0, "%s", answer);
}

/* All places there are, and none of them given back. */
static void flood(int told)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char answer[64], byte = 0;
	int i, fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	for (i = 0; i < 2 * CONTROL_CLIENTS_MAX; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
			_exit(1);
		/* Who is turned away has its answer, and perhaps no other end, by then. */
		if (send(fd, "monitor\n", 8, MSG_NOSIGNAL) < 0 && errno != EPIPE)
			_exit(1);
		if (recv(fd, answer, sizeof(answer), 0) <= 0)
			_exit(1);
	}
	if (write(told, &byte, 1) != 1)
		_exit(1);
	while (true)
		pause();
}

Test(control_file, R_2_2_1_who_may_only_look_cannot_keep_root_from_acting)
{
	struct peer flooder = {.wanted = 1};
	gid_t daemon_group;
	pid_t child;
	int fds[2];

	if (geteuid())
		cr_skip_test("becoming another user needs root");
	daemon_group = getgrnam("daemon")->gr_gid;
	snprintf(socket_path, sizeof(socket_path), "%s", scratch_path("sock"));
	cr_assert_not_null(open_at(socket_path, "daemon"), "%s", failure);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	child = fork();
	if (!child && !setgroups(1, &daemon_group) && !setgid(65534) && !setuid(65534))
		flood(fds[1]);
	close(fds[1]);
	flooder.fd = fds[0];
	wait_for(&flooder);
	cr_expect_not(flooder.ended);
	expect_answer("close 2\n", "{}\n");
	cr_expect_eq(orders, 1);
	peer_close(&flooder);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
