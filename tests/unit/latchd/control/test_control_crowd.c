/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sixty thousand latches, and as many members of the group as may connect, each with `list`. root's
 * `status` needs less than a second, and no document is held in memory.
 *
 *	members that read -----------+
 *	members that never read -----+---> control socket ---> list, status ---> real maps
 *	root: status ----------------+
 *
 * Time is that of the processor which latchd uses until root has the whole answer: nothing else
 * that runs on the machine counts.
 */
#include "unit/latchd/report/report_fixture.h"

#include <bpf/libbpf.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "common/loop.h"
#include "latchd/control/control.h"
#include "latchd/maps/tables.h"
#include "scratch.h"

#define LATCHES	      60000u
#define ROOM	      65536u
#define BATCH	      1000u
#define READERS	      4
#define SLEEPERS      24
#define MEMBERS	      (READERS + SLEEPERS)
#define ASKED	      10
#define GROUP	      "nogroup"
#define UNPRIVILEGED  65534
#define ANSWER_CPU_MS 1000
/* One part of `list` for each client, twice. A whole document has some 50 MiB. */
#define ANSWERS_BYTES (MEMBERS * 512u * 1024u)
#define LIMIT_MS      120000

static struct loop *loop;
static struct control *control;
static char socket_path[128];

/* ---- in place of the real enforcement: the linker prefers these ---- */

size_t enforcement_programs(const struct enforcement *enforcement,
			    struct enforcement_program *programs, size_t max)
{
	(void)enforcement, (void)programs, (void)max;
	return 0;
}

bool enforcement_is_on(const struct enforcement *enforcement)
{
	return !enforcement;
}

bool enforcement_keeps_answers(const struct enforcement *enforcement)
{
	return !enforcement;
}

size_t enforcement_cgroups(const struct enforcement *enforcement, struct cgroup_entry *entries,
			   size_t max)
{
	(void)enforcement, (void)entries, (void)max;
	return 0;
}

bool netfilter_netns_is_offered(const struct netfilter_netns *netfilter_netns)
{
	return !netfilter_netns;
}

size_t netfilter_netns_list(const struct netfilter_netns *netfilter_netns,
			    struct netfilter_netns_entry *namespaces, size_t max)
{
	(void)netfilter_netns, (void)namespaces, (void)max;
	return 0;
}

bool netfilter_netns_share_is_short(const struct netfilter_netns *netfilter_netns)
{
	return netfilter_netns;
}

bool netfilter_netns_is_foreign(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	(void)cookie;
	return netfilter_netns;
}

/* ---- the table */

static struct latch_flow flow_number(uint32_t number)
{
	struct latch_flow flow = w_to_c();

	flow.remote_addr[1] = (uint8_t)(number >> 16);
	flow.remote_addr[2] = (uint8_t)(number >> 8);
	flow.remote_addr[3] = (uint8_t)number;
	return flow;
}

static void put_batch(uint32_t first)
{
	static struct latch_flow flows[BATCH];
	static struct latch latches[BATCH];
	uint32_t i, count = BATCH;

	for (i = 0; i < BATCH; i++) {
		flows[i] = flow_number(first + i);
		latches[i] = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
		latches[i].id = first + i + 1;
	}
	cr_assert_eq(bpf_map_update_batch(maps.latches, flows, latches, &count, NULL), 0);
	cr_assert_eq(count, BATCH);
}

/* The table of the other tests is too small. */
static void fill_table(void)
{
	uint32_t first;

	close(maps.latches);
	maps.latches = bpf_map_create(BPF_MAP_TYPE_HASH, "crowd", sizeof(struct latch_flow),
				      sizeof(struct latch), ROOM, NULL);
	cr_assert_geq(maps.latches, 0);
	for (first = 0; first < LATCHES; first += BATCH)
		put_batch(first);
}

/* ---- the service */

static void write_status(void *context, bool for_root, struct json_writer *writer)
{
	(void)context;
	source.fresh = for_root;
	report_status(writer, &source);
}

static bool write_list(void *context, struct map_cursor *cursor, struct json_writer *writer)
{
	(void)context;
	return report_list(writer, &source, cursor);
}

static const struct control_handlers handlers = {.status = write_status, .list = write_list};

static void serve_crowd(void)
{
	struct failure failure;

	report_start();
	fill_table();
	scratch_make();
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/latchd.sock", scratch_dir);
	loop = loop_new();
	cr_assert_eq(control_new(loop, socket_path, GROUP, &handlers, &control, &failure), 0, "%s",
		     failure.text);
}

static void finish_crowd(void)
{
	control_free(control);
	loop_free(loop);
	scratch_remove();
	report_finish();
}

TestSuite(control_crowd, .init = serve_crowd, .fini = finish_crowd, .timeout = 600);

/* ---- clients */

static int ask(const char *request, int flags)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	strcpy(address.sun_path, socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -1;
	return fd;
}

/* True: the answer is a whole list. */
static bool read_list(int fd)
{
	static char bytes[1 << 20];
	size_t latches = 0;
	ssize_t length;
	char *at;

	while ((length = recv(fd, bytes, sizeof(bytes) - 1, 0)) > 0) {
		bytes[length] = '\0';
		for (at = bytes; (at = strchr(at, '{')); at++)
			latches++;
	}
	return !length && latches > LATCHES;
}

/* The exit status of a reader is 0 after one whole list. */
static void run_member(bool reads)
{
	int fd;

	if (setgroups(0, NULL) || setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED) ||
	    setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED))
		_exit(2);
	/* New credentials clear the signal. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() == 1)
		_exit(2);
	fd = ask("list\n", 0);
	if (fd < 0)
		_exit(3);
	if (reads)
		_exit(read_list(fd) ? 0 : 4);
	while (true)
		pause();
}

static pid_t start_member(bool reads)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid)
		return pid;
	run_member(reads);
	_exit(5);
}

/* ---- the loop runs until a condition holds */

static struct loop_timer tick;
static uint64_t limit_ms;
static bool (*is_done)(void);

static void on_tick(void *context)
{
	(void)context;
	if (is_done() || loop_now_ms() > limit_ms)
		loop_stop(loop);
	else
		loop_timer_arm(&tick, 1);
}

static void run_until(bool (*done)(void), const char *what)
{
	is_done = done;
	limit_ms = loop_now_ms() + LIMIT_MS;
	loop_timer_init(loop, &tick, on_tick, NULL);
	loop_timer_arm(&tick, 1);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert(done(), "timed out: %s", what);
}

static bool all_are_connected(void)
{
	return control_load(control).members == MEMBERS;
}

static int root_fd;
static char answer[65536];
static size_t answer_length;
static bool answer_ended;

static bool root_has_answer(void)
{
	ssize_t length = recv(root_fd, answer + answer_length, sizeof(answer) - 1 - answer_length,
			      MSG_DONTWAIT);

	if (length > 0)
		answer_length += (size_t)length;
	answer_ended = answer_ended || !length;
	return answer_ended;
}

static pid_t readers[READERS];

static bool readers_have_ended(void)
{
	size_t i, ended = 0;
	int status;

	for (i = 0; i < READERS; i++) {
		if (readers[i] && waitpid(readers[i], &status, WNOHANG) == readers[i]) {
			cr_expect_eq(status, 0, "reader %zu: status 0x%x", i, (unsigned)status);
			readers[i] = 0;
		}
		ended += !readers[i];
	}
	return ended == READERS;
}

static unsigned int cpu_ms(void)
{
	struct timespec now;

	cr_assert_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (unsigned int)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static unsigned int ask_as_root(void)
{
	unsigned int before = cpu_ms();

	answer_length = 0;
	answer_ended = false;
	root_fd = ask("status\n", SOCK_NONBLOCK);
	cr_assert_geq(root_fd, 0);
	run_until(root_has_answer, "root's status");
	close(root_fd);
	answer[answer_length] = '\0';
	cr_expect(strstr(answer, "\"used\":60000"), "%s", answer);
	return cpu_ms() - before;
}

Test(control_crowd, root_has_its_status_within_a_second_beside_readers_of_sixty_thousand_latches)
{
	unsigned int i, took, longest = 0;
	pid_t sleepers[SLEEPERS];
	size_t bytes = 0, now;

	for (i = 0; i < SLEEPERS; i++)
		sleepers[i] = start_member(false);
	for (i = 0; i < READERS; i++)
		readers[i] = start_member(true);
	run_until(all_are_connected, "all members are connected");
	for (i = 0; i < ASKED; i++) {
		took = ask_as_root();
		cr_assert_lt(took, ANSWER_CPU_MS, "answer %u took %u ms of the processor", i, took);
		longest = took > longest ? took : longest;
		now = control_load(control).bytes;
		bytes = now > bytes ? now : bytes;
	}
	cr_expect_lt(bytes, ANSWERS_BYTES, "%zu bytes are held for %u clients", bytes, MEMBERS);
	run_until(readers_have_ended, "readers have whole lists");
	for (i = 0; i < SLEEPERS; i++) {
		kill(sleepers[i], SIGKILL);
		waitpid(sleepers[i], NULL, 0);
	}
	fprintf(stderr,
		"status beside %u readers of %u latches: %u ms of the processor at most, "
		"%zu bytes held\n",
		MEMBERS, LATCHES, longest, bytes);
}
