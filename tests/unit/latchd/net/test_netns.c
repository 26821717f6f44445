/* SPDX-License-Identifier: BSD-2-Clause */
/* Each namespace is the one of a child process that sleeps in it. */
#include "namespace.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "latchd/net/netns_index.h"

static uint64_t own_cookie(void)
{
	uint64_t cookie = 0;

	cr_assert_eq(netns_own(&cookie), 0);
	cr_assert_neq(cookie, 0);
	return cookie;
}

static uint64_t cookie_of_socket(int fd)
{
	socklen_t length = sizeof(uint64_t);
	uint64_t cookie = 0;

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length), 0);
	return cookie;
}

static bool same_namespace(int a, int b)
{
	struct stat first, second;

	cr_assert_eq(fstat(a, &first), 0);
	cr_assert_eq(fstat(b, &second), 0);
	return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static void expect_opens(const struct namespace *ns)
{
	int fd = netns_open(ns->cookie);

	cr_assert_geq(fd, 0, "netns_open: %s", strerror(-fd));
	cr_expect(same_namespace(fd, ns->fd));
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static size_t open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t count = 0;

	cr_assert_not_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

Test(netns, each_namespace_has_a_cookie_of_its_own, .init = namespace_need_root)
{
	struct namespace first, second;
	uint64_t cookie;

	namespace_start(&first);
	namespace_start(&second);
	cr_expect_neq(first.cookie, own_cookie());
	cr_expect_neq(first.cookie, second.cookie);
	cr_expect_eq(netns_of_process(getpid(), &cookie), 0);
	cr_expect_eq(cookie, own_cookie());
	namespace_end(&first);
	namespace_end(&second);
}

Test(netns, a_process_that_is_gone_has_no_cookie, .init = namespace_need_root)
{
	struct namespace ns;
	uint64_t cookie;

	namespace_start(&ns);
	namespace_end(&ns);
	cr_expect_eq(netns_of_process(ns.pid, &cookie), -ENOENT);
	cr_expect_eq(netns_of_process(0, &cookie), -ENOENT);
	cr_expect_eq(netns_of_process(-1, &cookie), -ENOENT);
}

Test(netns, the_namespace_of_this_process_is_opened, .init = namespace_need_root)
{
	struct namespace own = {.fd = namespace_of(getpid()), .cookie = own_cookie()};

	expect_opens(&own);
	close(own.fd);
}

Test(netns, a_namespace_is_found_by_a_scan_twice, .init = namespace_need_root)
{
	struct namespace ns;

	namespace_start(&ns);
	expect_opens(&ns);
	expect_opens(&ns);
	namespace_end(&ns);
}

Test(netns, each_of_a_hundred_namespaces_is_found, .init = namespace_need_root)
{
	struct namespace many[100];
	size_t i;

	for (i = 0; i < 100; i++)
		namespace_start(&many[i]);
	for (i = 100; i-- > 0;)
		expect_opens(&many[i]);
	for (i = 0; i < 100; i++)
		namespace_end(&many[i]);
}

struct thread {
	int ready[2], life[2];
	pid_t tid;
	int err;
};

static void *leave_process_namespace(void *context)
{
	struct thread *thread = context;
	char byte = 0;

	thread->err = unshare(CLONE_NEWNET) ? errno : 0;
	thread->tid = (pid_t)syscall(SYS_gettid);
	if (write(thread->ready[1], &byte, 1) == 1)
		thread->err |= read(thread->life[0], &byte, 1) < 0;
	return NULL;
}

/* A scan of the processes does not show threads, so that only the hint leads to this namespace. */
Test(netns, a_namespace_of_a_thread_is_found_by_its_hint, .init = namespace_need_root)
{
	struct thread thread = {0};
	struct namespace ns;
	pthread_t id;
	char byte;

	cr_assert_eq(pipe2(thread.ready, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(thread.life, O_CLOEXEC), 0);
	cr_assert_eq(pthread_create(&id, NULL, leave_process_namespace, &thread), 0);
	cr_assert_eq(read(thread.ready[0], &byte, 1), 1);
	cr_assert_eq(thread.err, 0);
	ns.fd = namespace_of(thread.tid);
	cr_assert_eq(netns_of_process(thread.tid, &ns.cookie), 0);
	netns_hint(ns.cookie, thread.tid);
	expect_opens(&ns);
	close(thread.life[1]);
	cr_assert_eq(pthread_join(id, NULL), 0);
	close(ns.fd);
}

Test(netns, a_wrong_hint_does_not_give_another_namespace, .init = namespace_need_root)
{
	struct namespace wanted, other;

	namespace_start(&wanted);
	namespace_start(&other);
	netns_hint(wanted.cookie, other.pid);
	expect_opens(&wanted);
	netns_hint(wanted.cookie, other.pid);
	namespace_leave(&wanted);
	cr_expect_eq(netns_open(wanted.cookie), namespace_gone_error());
	close(wanted.fd);
	namespace_end(&other);
}

Test(netns, a_namespace_is_found_after_its_hint_was_replaced, .init = namespace_need_root)
{
	struct namespace ns;
	uint64_t unused;

	namespace_start(&ns);
	netns_hint(ns.cookie, ns.pid);
	for (unused = 1; unused < 5000; unused++)
		netns_hint(UINT64_MAX - unused, 1);
	expect_opens(&ns);
	cr_expect_eq(netns_open(UINT64_MAX - 1), namespace_gone_error());
	cr_expect_eq(netns_open(UINT64_MAX - 4999), namespace_gone_error());
	namespace_end(&ns);
}

Test(netns, a_namespace_without_processes_is_not_found, .init = namespace_need_root)
{
	struct namespace ns;

	namespace_start(&ns);
	expect_opens(&ns);
	namespace_leave(&ns);
	cr_expect_eq(netns_open(ns.cookie), namespace_gone_error());
	close(ns.fd);
}

Test(netns, a_socket_is_of_that_namespace_and_the_thread_returns, .init = namespace_need_root)
{
	uint64_t before = own_cookie();
	struct namespace ns;
	int fd;

	namespace_start(&ns);
	fd = netns_socket(ns.fd, AF_INET, SOCK_STREAM, 0);
	cr_assert_geq(fd, 0);
	cr_expect_eq(cookie_of_socket(fd), ns.cookie);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect_eq(own_cookie(), before);
	close(fd);
	namespace_end(&ns);
}

Test(netns, a_refused_socket_leaves_the_thread_in_its_namespace, .init = namespace_need_root)
{
	uint64_t before = own_cookie();
	struct namespace ns;

	namespace_start(&ns);
	cr_expect_eq(netns_socket(ns.fd, AF_MAX, SOCK_STREAM, 0), -EAFNOSUPPORT);
	cr_expect_eq(own_cookie(), before);
	cr_expect_eq(netns_socket(-1, AF_INET, SOCK_STREAM, 0), -EBADF);
	cr_expect_eq(own_cookie(), before);
	namespace_end(&ns);
}

Test(netns, no_call_leaves_a_descriptor_open, .init = namespace_need_root)
{
	struct namespace ns;
	size_t before;

	namespace_start(&ns);
	before = open_descriptors();
	expect_opens(&ns);
	expect_opens(&ns);
	cr_expect_eq(netns_open(UINT64_MAX), namespace_gone_error());
	cr_expect_lt(netns_socket(ns.fd, AF_MAX, SOCK_STREAM, 0), 0);
	cr_expect_eq(open_descriptors(), before);
	namespace_end(&ns);
}

/* A process in namespaces of its own, until the test kills it. */
static pid_t start_elsewhere(int kinds)
{
	int ready[2];
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (!pid) {
		if (unshare(kinds) || write(ready[1], "x", 1) != 1)
			_exit(1);
		while (true)
			pause();
	}
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "cannot create such a namespace here");
	close(ready[0]);
	return pid;
}

static int is_foreign_after(int kinds)
{
	pid_t pid = start_elsewhere(kinds);
	uint64_t cookie = 0;
	int foreign;

	cr_assert_eq(netns_of_process(pid, &cookie), 0);
	foreign = netns_is_foreign(cookie);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return foreign;
}

Test(netns, only_a_namespace_of_another_user_namespace_is_foreign, .init = namespace_need_root)
{
	cr_expect_eq(netns_is_foreign(own_cookie()), 0);
	cr_expect_eq(is_foreign_after(CLONE_NEWNET), 0);
	cr_expect_eq(is_foreign_after(CLONE_NEWUSER | CLONE_NEWNET), 1);
	cr_expect_lt(netns_is_foreign(UINT64_MAX), 0);
}

/* ---- many namespaces of a local user */

#define CROWD 280 /* more than there are hints */

static struct namespace crowd[CROWD];

static void start_crowd(size_t count)
{
	size_t i;

	namespace_wait_for_crowds();
	for (i = 0; i < count; i++)
		namespace_start_foreign(&crowd[i]);
}

static void leave_crowd(size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		namespace_end(&crowd[i]);
}

Test(netns, one_pass_finds_all_namespaces_of_a_local_user, .init = namespace_need_root)
{
	uint64_t passes;
	size_t i, round;

	start_crowd(CROWD);
	passes = netns_passes();
	for (round = 0; round < 3; round++)
		for (i = 0; i < CROWD; i++)
			expect_opens(&crowd[i]);
	cr_expect_eq(netns_passes(), passes + 1);
	leave_crowd(CROWD);
}

static int count_visit(void *context, uint64_t cookie)
{
	size_t *count = context;
	int fd = netns_open(cookie);

	*count += fd >= 0;
	if (fd >= 0)
		close(fd);
	return 0;
}

Test(netns, a_walk_that_opens_each_namespace_is_one_pass, .init = namespace_need_root)
{
	uint64_t passes;
	size_t count = 0;

	start_crowd(CROWD);
	passes = netns_passes();
	netns_walk(count_visit, &count);
	cr_expect_geq(count, CROWD + 1);
	/* One more for each namespace of another process that ended meanwhile. */
	cr_expect_leq(netns_passes(), passes + CROWD / 4);
	leave_crowd(CROWD);
}

/* A latch or SA of a namespace that is gone is looked up again in every round. */
Test(netns, look_ups_of_unknown_namespaces_have_a_budget, .init = namespace_need_root)
{
	struct namespace ns;
	uint64_t i, passes;

	namespace_start(&ns);
	for (i = 0; i < 20000 && netns_open(UINT64_MAX - i) != -EAGAIN; i++)
		;
	cr_expect_leq(i, 1000, "500 ms of passes, and a tenth of the time meanwhile");
	netns_hint(ns.cookie, ns.pid);
	passes = netns_passes();
	expect_opens(&ns);
	cr_expect_eq(netns_passes(), passes, "the namespace of a key manager needs no pass");
	namespace_end(&ns);
}

Test(netns, one_pass_answers_all_earlier_questions, .init = namespace_need_root)
{
	int gone = namespace_gone_error();
	uint64_t i, passes;

	for (i = 0; i < 2000; i++)
		netns_open(UINT64_MAX - i);
	cr_assert_eq(netns_open(UINT64_MAX - i), -EAGAIN);
	sleep(4); /* the budget pays for some passes */
	passes = netns_passes();
	for (i = 0; i < 2000; i++)
		cr_assert_eq(netns_open(UINT64_MAX - i), gone);
	cr_expect_eq(netns_passes(), passes + 1);
}

Test(netns, a_namespace_of_the_host_that_ended_is_gone_although_local_users_have_too_many,
     .init = namespace_need_root)
{
	struct netns_index index = {0};
	struct namespace ended, stays;

	start_crowd(10);
	namespace_start(&ended);
	namespace_start(&stays);
	netns_index_build(&index, 4);
	namespace_end(&ended);
	netns_index_build(&index, 4);
	cr_expect_neq(index.unread, 0);
	index.unread = -EUSERS; /* a machine that hides processes from root has EACCES here */
	cr_expect_null(netns_index_find(&index, ended.cookie));
	cr_expect_eq(netns_index_absence(&index, ended.cookie), -ENOENT);
	index.unread = -EACCES;
	cr_expect_eq(netns_index_absence(&index, ended.cookie), -EACCES, "a process is hidden");
	cr_expect_not_null(netns_index_find(&index, stays.cookie));
	netns_index_release(&index);
	namespace_end(&stays);
	leave_crowd(10);
}

Test(netns, a_namespace_that_may_be_of_a_local_user_is_not_taken_for_gone,
     .init = namespace_need_root)
{
	struct netns_index index = {0};
	struct namespace foreign, unseen;

	namespace_start(&unseen);
	namespace_end(&unseen);
	namespace_start_foreign(&foreign);
	netns_index_build(&index, 1000);
	cr_assert_not_null(netns_index_find(&index, foreign.cookie));
	namespace_end(&foreign);
	start_crowd(10);
	netns_index_build(&index, 4);
	index.unread = -EUSERS;
	cr_expect_eq(netns_index_absence(&index, foreign.cookie), -EUSERS, "seen as foreign");
	cr_expect_eq(netns_index_absence(&index, unseen.cookie), -EUSERS, "never seen");
	netns_index_release(&index);
	leave_crowd(10);
}

Test(netns, namespaces_of_local_users_beyond_the_maximum_are_not_read, .init = namespace_need_root)
{
	struct netns_index index = {0};
	struct namespace own;
	size_t i, found = 0;

	start_crowd(10);
	namespace_start(&own);
	netns_index_build(&index, 4);
	for (i = 0; i < 10; i++)
		found += netns_index_find(&index, crowd[i].cookie) != NULL;
	cr_expect_leq(found, 4);
	cr_expect_not_null(netns_index_find(&index, own.cookie), "those of the host are all read");
	cr_expect_neq(index.unread, 0, "the others may exist");
	netns_index_build(&index, 1000);
	for (i = 0; i < 10; i++)
		cr_expect_not_null(netns_index_find(&index, crowd[i].cookie));
	netns_index_release(&index);
	namespace_end(&own);
	leave_crowd(10);
}
