/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hostile clients of the control socket. root must be served all the time.
 *
 *	flood of connections (wrong uid) ---+
 *	half requests (member) -------------+
 *	readers that never read (member) ---+---> control socket ---> loop ---> documents
 *	monitors that never read (member) --+         ^                  |
 *	garbage (member) -------------------+         |                  +---> a timer that ticks
 *	                              root: status, over and over
 *
 * Each of them is a process of its own; the service runs in the test, with ASan and UBSan.
 *
 *	LATCHD_CHAOS_EVENTS (47000): connections of the flood
 */
#include <dirent.h>
#include <grp.h>
#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "unit/latchd/control/control_fixture.h"
#include "seed.h"

#include "common/log.h"

#define GROUP	      "nogroup"
#define UNPRIVILEGED  65534
#define DOCUMENT_SIZE 65536 /* texts in a document: more than a socket holds */
#define ANSWERS	      200
#define EVENTS_EACH   64
#define ROOT_LIMIT_S  120 /* for one answer, on a slow machine */

typedef void (*attack_fn)(void);

static unsigned long flood_size;

static int try_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, socket_path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void say(int fd, const char *text, size_t length)
{
	if (fd >= 0 && send(fd, text, length, MSG_NOSIGNAL) < 0)
		close(fd);
}

/* ---- what they do, forever */

static void flood(void)
{
	unsigned long count;
	int fd;

	for (count = 0; count < flood_size; count++) {
		fd = try_connect();
		if (fd >= 0)
			close(fd);
	}
	while (true)
		pause();
}

static void send_half_requests(void)
{
	while (true)
		say(try_connect(), "stat", 4);
}

static void never_read(void)
{
	while (true)
		say(try_connect(), "list\n", 5);
}

static void monitor_and_never_read(void)
{
	while (true)
		say(try_connect(), "monitor\n", 8);
}

static void send_garbage(void)
{
	struct random chance = {.state = env_number("LATCHD_CHAOS_SEED", 1)};
	char bytes[512];
	size_t i;
	int fd;

	while (true) {
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)draw(&chance, 256);
		fd = try_connect();
		say(fd, bytes, 1 + draw(&chance, sizeof(bytes)));
		close(fd);
	}
}

/* Its exit status is 0 when each request got its answer. */
static void ask_as_root(void)
{
	static const char request[] = "status\n";
	unsigned int answered;
	char answer[64] = "";
	int fd;

	for (answered = 0; answered < ANSWERS; answered++) {
		alarm(ROOT_LIMIT_S);
		fd = try_connect();
		if (fd < 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 ||
		    recv(fd, answer, sizeof(answer) - 1, 0) <= 0 || !strstr(answer, "verb"))
			_exit(1);
		close(fd);
	}
	_exit(0);
}

static pid_t start(attack_fn attack, uid_t uid, gid_t gid)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		_exit(2);
	attack();
	_exit(2);
}

/* ---- the service */

static unsigned int ticks, published;
static struct loop_timer ticking;
static pid_t root;
static int root_status;

static void publish_events(void)
{
	static const char line[] = "{\"event\":\"latch-broken\",\"text\":\"0123456789abcdef\"}\n";
	unsigned int i;

	for (i = 0; i < EVENTS_EACH; i++, published++)
		control_publish(control, line, strlen(line));
}

static void on_work(void *context)
{
	(void)context;
	ticks++;
	publish_events();
	if (waitpid(root, &root_status, WNOHANG) == root)
		loop_stop(loop);
	else
		loop_timer_arm(&ticking, 1);
}

static void ignore_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	(void)subsystem;
	(void)text;
}

static unsigned int descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	cr_assert_not_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static unsigned int wanted_descriptors;
static uint64_t descriptors_limit;

static void on_descriptors(void *context)
{
	(void)context;
	if (descriptors() == wanted_descriptors || loop_now_ms() > descriptors_limit)
		loop_stop(loop);
	else
		loop_timer_arm(&ticking, 10);
}

/* The service sees the ends of all connections. */
static void wait_for_descriptors(unsigned int count)
{
	wanted_descriptors = count;
	descriptors_limit = loop_now_ms() + ROOT_LIMIT_S * 1000;
	loop_timer_init(loop, &ticking, on_descriptors, NULL);
	loop_timer_arm(&ticking, 0);
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(descriptors(), count, "%u descriptors, %u before", descriptors(), count);
}

/* Any user may connect: the check of the credentials is all that is left. */
static void serve_group(void)
{
	if (geteuid())
		cr_skip_test("not root: no other users");
	log_set_sink(ignore_log);
	signal(SIGPIPE, SIG_IGN);
	list_size = DOCUMENT_SIZE;
	scratch_make();
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/latchd.sock", scratch_dir);
	loop = loop_new();
	cr_assert_eq(control_new(loop, socket_path, GROUP, &handlers, &control, &failure), 0, "%s",
		     failure.text);
	cr_assert_eq(chmod(socket_path, 0666), 0);
}

TestSuite(clients, .init = serve_group, .fini = finish, .timeout = 3600);

Test(clients, root_is_served_beside_floods_half_requests_and_slow_readers)
{
	static const struct {
		attack_fn attack;
		gid_t gid; /* the group of the socket may send requests */
	} attackers[] = {
		{flood, 1},
		{flood, 1},
		{send_half_requests, UNPRIVILEGED},
		{never_read, UNPRIVILEGED},
		{monitor_and_never_read, UNPRIVILEGED},
		{send_garbage, UNPRIVILEGED},
	};
	enum {
		ATTACKERS = sizeof(attackers) / sizeof(attackers[0])
	};
	unsigned int before = descriptors(), i;
	struct group *group = getgrnam(GROUP);
	pid_t pids[ATTACKERS];

	cr_assert(group && group->gr_gid == UNPRIVILEGED);
	flood_size = env_number("LATCHD_CHAOS_EVENTS", 47000);
	for (i = 0; i < ATTACKERS; i++)
		pids[i] = start(attackers[i].attack, UNPRIVILEGED, attackers[i].gid);
	root = start(ask_as_root, 0, 0);
	loop_timer_init(loop, &ticking, on_work, NULL);
	loop_timer_arm(&ticking, 1);
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(root_status, 0, "root got no answer: status 0x%x", (unsigned int)root_status);
	cr_expect_geq(handler_calls, ANSWERS);
	for (i = 0; i < ATTACKERS; i++) {
		cr_expect_eq(waitpid(pids[i], NULL, WNOHANG), 0, "attacker %u has ended", i);
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	fprintf(stderr, "CHAOS: root got %d answers; %u rounds of the loop, %u events published\n",
		handler_calls, ticks, published);
	wait_for_descriptors(before);
	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	cr_expect_eq(__lsan_do_recoverable_leak_check(), 0);
}
