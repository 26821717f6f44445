/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes with any argument, by any user, from many threads and by other ways into the kernel. */
#include "wish_fixture.h"
#include "seed.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

TestSuite(api_wish_hostile, .init = api_set_up, .fini = gate_tear_down, .timeout = 120);

#define ROOM		8192
#define RANDOM_WISHES	100000
#define UNPRIVILEGED	65534
#define THREADS		4
#define WISHES_A_THREAD 5000

/* ---- any argument */

/* The last text that was taken. */
struct wished {
	char text[3][LATCH_TEXT_MAX];
	int number[3];
};

static int place_of(const int options[3], int option)
{
	int i;

	for (i = 0; i < 3; i++)
		if (options[i] == option)
			return i;
	return -1;
}

static void note(struct wished *wished, int option, const uint8_t *value, socklen_t size)
{
	int text = place_of(text_wishes, option), number = place_of(int_wishes, option);

	if (text >= 0) {
		cr_assert_lt(size, LATCH_TEXT_MAX);
		cr_assert_null(memchr(value, 0, size));
		memcpy(wished->text[text], value, size);
		wished->text[text][size] = '\0';
	} else if (number >= 0) {
		cr_assert_eq(size, sizeof(int));
		memcpy(&wished->number[number], value, sizeof(int));
	} else if (option == LATCH_OPT_EXPECT_TAG) {
		cr_assert_lt(size, 32);
		cr_assert_null(memchr(value, 0, size));
	} else if (option == LATCH_OPT_PROTECTION || option == LATCH_OPT_DATAGRAMS) { /* of root */
		cr_assert_eq(size, sizeof(int));
	} else {
		cr_assert_eq(option, LATCH_OPT_EXPECT_QUALITY, "%d was taken", option);
		cr_assert_geq(size, sizeof(struct latch_least));
		cr_assert_leq(size, 64);
	}
}

static bool is_known_error(int err)
{
	return err == EINVAL || err == ENOSYS || err == EFAULT || err == ENOPROTOOPT;
}

static void wish_anything(int fd, struct random *random, uint8_t value[ROOM], struct wished *wished)
{
	int option = (int)draw(random, 14) + 14, small = (int)draw(random, 6) - 1;
	socklen_t size = draw(random, 3) ? draw(random, 600) : draw(random, ROOM);
	void *from = draw(random, 50) ? value : (void *)(uintptr_t)draw(random, 4096);
	socklen_t i;

	if (!draw(random, 100))
		option = (int)draw(random, 0xffffffff);
	for (i = 0; i < size && i < 600; i++)
		value[i] = (uint8_t)(draw(random, 200) ? 'a' + draw(random, 26) : 0);
	if (!draw(random, 3)) {
		size = sizeof(small);
		memcpy(value, &small, sizeof(small));
	}
	if (setsockopt(fd, SOL_LATCH, option, from, size)) {
		cr_assert(is_known_error(errno), "option %d size %u: %s", option, size,
			  strerror(errno));
		return;
	}
	cr_assert(from == value || !size, "option %d from nowhere", option);
	note(wished, option, value, size);
}

static void expect_wished(int fd, const struct wished *wished)
{
	char text[TEXT_SIZE];
	int i;

	for (i = 0; i < 3; i++) {
		int err = ask_text(fd, text_wishes[i], text);

		cr_assert_eq(err, wished->text[i][0] ? 0 : -ENODATA);
		cr_assert_str_eq(text, wished->text[i]);
	}
	cr_assert_eq(get_int(fd, LATCH_OPT_EXPECT_CLASS), wished->number[1]);
	cr_assert_eq(get_int(fd, LATCH_OPT_DISPOSITION), wished->number[2]);
}

Test(api_wish_hostile, any_argument_is_taken_whole_or_changes_nothing)
{
	static uint8_t value[ROOM];
	struct random random = {env_number("SEED", 1)};
	int fds[] = {tcp_socket(IPV4), tcp_socket(IPV6), udp_bound(IPV4)};
	struct wished wished[3] = {0};
	unsigned int i, which;

	for (i = 0; i < RANDOM_WISHES; i++) {
		which = draw(&random, 3);
		wish_anything(fds[which], &random, value, &wished[which]);
		if (i % 64 == 0)
			expect_wished(fds[which], &wished[which]);
	}
	for (i = 0; i < 3; i++) {
		expect_wished(fds[i], &wished[i]);
		close(fds[i]);
	}
}

/* ---- any user */

Test(api_wish_hostile, R_2_11_a_wish_needs_no_privilege)
{
	int fd = tcp_socket(IPV4);
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (setgid(UNPRIVILEGED) || setuid(UNPRIVILEGED))
			_exit(1);
		_exit(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id) ? 2 : 0);
	}
	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "%x", status);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, c.id); /* of the descriptor, not of the process */
	close(fd);
}

/* ---- many threads */

/* Sockopt programs can be preempted: no thread gets the wish of another one. */
static void *wish_often(void *context)
{
	const struct peer *peer = context;
	int fd = tcp_socket(IPV4), i;
	char text[TEXT_SIZE];

	for (i = 0; i < WISHES_A_THREAD; i++) {
		const char *wished = i % 2 ? peer->id : peer->local_id;

		if (set_text(fd, LATCH_OPT_EXPECT_PEER, wished) ||
		    ask_text(fd, LATCH_OPT_EXPECT_PEER, text) || strcmp(text, wished))
			return "a wish of another socket";
	}
	close(fd);
	return NULL;
}

Test(api_wish_hostile, threads_that_wish_at_once_have_the_wishes_of_their_own_sockets)
{
	pthread_t threads[THREADS];
	void *fault;
	int i;

	for (i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, wish_often,
					    (void *)(uintptr_t)(i % 2 ? &c : &d)),
			     0);
	for (i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_join(threads[i], &fault), 0);
		cr_expect_null(fault, "%s", (const char *)fault);
	}
}

/*
 * A thread changes the wish of a UDP socket while another one sends to it. The socket has some wish
 * all the time. What a comparison sees of a text that is being written is in test_wish.c.
 */
static void *change_often(void *context)
{
	int fd = *(const int *)context, i;

	for (i = 0; i < WISHES_A_THREAD; i++)
		if (set_text(fd, LATCH_OPT_EXPECT_PEER, i % 2 ? c.id : d.id))
			return "a wish was refused";
	return NULL;
}

Test(api_wish_hostile, a_socket_that_is_not_connected_receives_nothing_while_its_wish_is_replaced)
{
	int fd = udp_bound(IPV4), from = udp_bound(IPV4);
	struct address there = name_of(fd, getsockname);
	pthread_t thread;
	void *fault;
	int i;

	attach_gates();
	cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_assert_eq(pthread_create(&thread, NULL, change_often, &fd), 0);
	for (i = 0; i < WISHES_A_THREAD; i++)
		cr_assert_eq(udp_send_to(from, there), 0);
	cr_assert_eq(pthread_join(thread, &fault), 0);
	cr_expect_null(fault, "%s", (const char *)fault);
	cr_expect_not(is_readable(fd));
	cr_expect_eq(drops_for(LATCH_DROP_REQUIRED).ingress, WISHES_A_THREAD);
	close(fd);
	close(from);
}

/* ---- 32-bit system calls, which pass by the programs */

#ifdef __x86_64__
static long setsockopt_32(int fd, int option, void *value, unsigned int size)
{
	long result = 366; /* setsockopt() of i386 */

	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"((long)fd), "c"((long)SOL_LATCH), "d"((long)option),
			   "S"((long)(uintptr_t)value), "D"((long)size)
			 : "memory", "r8", "r9", "r10", "r11", "cc");
	return result;
}

Test(api_wish_hostile, a_32_bit_system_call_takes_no_wish)
{
	int fd = tcp_socket(IPV4), status;
	int *value = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	pid_t pid;

	cr_assert_neq(value, MAP_FAILED);
	*value = 1;
	pid = fork();
	if (!pid)
		_exit(setsockopt_32(fd, LATCH_OPT_REQUIRE, value, sizeof(*value)) == -ENOPROTOOPT
			      ? 0
			      : 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		cr_skip_test("this kernel has no 32-bit system calls");
	cr_expect_eq(status, 0, "%x", status);
	expect_no_wish(fd);
	close(fd);
	munmap(value, 4096);
}
#endif
