/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ask_fuzz SEED SECONDS THREADS FORKS LATCHED...: asks sockets for their peers and wishes for
 *peers, with hostile arguments, from many threads and processes, by each way into the kernel.
 *
 *	LATCHED: "FD|PEER|LOCAL|CONNECTION|NUMBER|NUMBER[|mortal]": a latched socket that the caller
 *	has opened, and what it must tell. Sockets of the program's own have no latch.
 *
 * What holds for each call: a socket tells its own peer, whole, or none. A call writes nothing but
 *its answer, and its error is one of latch(7). A wish is taken whole, or refused without a change;
 *one that was taken lets nothing pass in clear. Exit status 0, or 1 with the first fault on the
 *standard error.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "ask/latched.h"
#include "ask/wishes.h"

#define THREADS_MAX 16
#define OWN_COUNT   12
#define RACED_COUNT 4

static uint64_t seed;
static time_t ends_at;
static bool with_32_bit;

/* Of this process. */
static int raced[RACED_COUNT];	   /* numbers whose sockets change */
static int clear_listener, shared; /* shared: all threads set wishes of it */

struct worker {
	pthread_t thread;
	struct random random;
	struct places places;
	struct uring uring;
	struct own own[OWN_COUNT];
};

/* ---- a number whose socket changes meanwhile */

static bool is_answer_of_one(const struct question *q)
{
	struct latch_info info;
	unsigned int i;

	memcpy(&info, q->at, sizeof(info));
	for (i = 0; i < latched_count; i++) {
		const char *text =
			latched[i].text[is_text(q->option) ? q->option - LATCH_OPT_PEER_ID : 0];

		if (q->option == LATCH_OPT_INFO ? info.peer_number == latched[i].number[0] &&
							  info.local_number == latched[i].number[1]
						: (size_t)q->length == strlen(text) &&
							  !memcmp(q->at, text, (size_t)q->length))
			return true;
	}
	return q->option == LATCH_OPT_INFO && !info.peer_number && !info.local_number;
}

static void ask_raced(struct worker *w)
{
	struct question q = {.level = SOL_LATCH,
			     .option = LATCH_OPT_INFO + (int)draw(&w->random, 4),
			     .size = LATCH_TEXT_MAX};

	q.at = place_for(&w->places, PLACE_GOOD, q.size);
	put_question(&q, raced[draw(&w->random, RACED_COUNT)], &w->places);
	if (!q.error && !is_answer_of_one(&q))
		fault("option %d of a number that changes: no socket tells that", q.option);
	count(COUNTED_RACED);
}

/* The old socket of the number is closed: often its last descriptor. */
static void change_raced(struct worker *w)
{
	int to = raced[draw(&w->random, RACED_COUNT)], from;

	if (draw(&w->random, 2)) {
		dup3(latched[draw(&w->random, latched_count)].fd, to, O_CLOEXEC);
		return;
	}
	from = socket(AF_INET, draw(&w->random, 2) ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (from < 0)
		return;
	dup3(from, to, O_CLOEXEC);
	close(from);
}

/* ---- a socket that all threads set: its text is the one of one of them */

#define LETTERS		 20
#define LENGTH_OF(which) ((which)*25 + 1)

static void wish_shared(struct worker *w)
{
	char text[LATCH_TEXT_MAX];
	uint32_t which = draw(&w->random, LETTERS);
	socklen_t length = sizeof(text), i;

	memset(text, (int)('a' + which), sizeof(text));
	if (setsockopt(shared, SOL_LATCH, LATCH_OPT_EXPECT_PEER, text, LENGTH_OF(which)) ||
	    getsockopt(shared, SOL_LATCH, LATCH_OPT_EXPECT_PEER, text, &length)) {
		fault("a wish of a shared socket: %s", strerror(errno));
		return;
	}
	which = (uint32_t)(text[0] - 'a');
	if (length != LENGTH_OF(which))
		fault("a shared wish of %u bytes begins with '%c'", length, text[0]);
	for (i = 1; i < length; i++)
		if (text[i] != text[0])
			fault("a shared wish has '%c' and '%c'", text[0], text[i]);
}

/* ---- sockets of the worker's own */

static void ask_own(struct worker *w, struct own *own)
{
	struct question q = draw_question(&w->random, &w->places);

	put_question(&q, own->fd, &w->places);
	if (own->kind->served) {
		check_outcome(&q, NULL);
		return;
	}
	if (!q.error)
		fault("option %d: a socket of protocol %d answers", q.option, own->kind->protocol);
	count(COUNTED_NOT_SERVED);
}

static void wish_for_own(struct worker *w, struct own *own)
{
	enum way way = (enum way)draw(&w->random, 20);

	if (way == WAY_32_BIT ? !with_32_bit : way != WAY_URING || w->uring.fd < 0)
		way = WAY_PLAIN;
	wish_anything(own, way, &w->random, &w->places, &w->uring);
}

/* What the other options of the kernel answer stays as it is. */
static void ask_kernel(struct worker *w, struct own *own)
{
	int type = -1;
	socklen_t length = sizeof(type);

	if (getsockopt(own->fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != own->kind->type ||
	    length != sizeof(type))
		fault("SO_TYPE of protocol %d: %d", own->kind->protocol, type);
	memset(w->places.area, 0, PAGE);
	length = draw(&w->random, 2 * PAGE);
	getsockopt(own->fd, (int)draw(&w->random, 300), (int)draw(&w->random, 76),
		   place_for(&w->places, PLACE_GOOD, (int32_t)length), &length);
}

static void connect_own(struct worker *w, struct own *own)
{
	const struct own *to = &w->own[draw(&w->random, OWN_COUNT)];
	uint16_t port = 0;

	if (to->fd >= 0 && to->kind->family == own->kind->family && to->bound)
		port = port_of(to->fd);
	own_connect(own, port ? port : port_of(clear_listener));
}

static void send_own(struct worker *w, struct own *own)
{
	const struct own *to = &w->own[draw(&w->random, OWN_COUNT)];
	struct sockaddr_storage there;

	if (!is_datagram(own) || to->fd < 0 || !is_datagram(to) || !to->bound ||
	    to->kind->family != own->kind->family)
		return;
	there = loopback(to->kind->family, port_of(to->fd));
	sendto(own->fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&there,
	       sizeof(there));
	own->bound = true;
}

static void use_own(struct worker *w, struct own *own)
{
	if (own->fd < 0 || !draw(&w->random, 30)) {
		own_open(own, &w->random);
		return;
	}
	switch (draw(&w->random, 12)) {
	case 0:
		own_bind(own);
		break;
	case 1:
		own_listen(own);
		break;
	case 2:
		connect_own(w, own);
		break;
	case 3:
		own_disconnect(own);
		break;
	case 4:
		send_own(w, own);
		break;
	case 5:
		ask_kernel(w, own);
		break;
	case 6:
	case 7:
		check_held(own, &w->random);
		break;
	case 8:
		ask_own(w, own);
		break;
	case 9:
	case 10:
		wish_for_own(w, own);
		break;
	case 11:
		check_wishes(own);
		break;
	}
}

/* ---- workers */

static void accept_in_clear(void)
{
	int fd = accept4(clear_listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		close(fd);
}

static void act(struct worker *w)
{
	uint32_t what = draw(&w->random, 100);

	count(COUNTED_ACTIONS);
	if (what < 35)
		ask_latched(&w->random, &w->places);
	else if (what < 75)
		use_own(w, &w->own[draw(&w->random, OWN_COUNT)]);
	else if (what < 84)
		ask_raced(w);
	else if (what < 90)
		change_raced(w);
	else if (what < 93)
		wish_shared(w);
	else if (what < 95 && with_32_bit)
		ask_by_other_way(WAY_32_BIT, &w->random, &w->places, &w->uring);
	else if (what < 97 && w->uring.fd >= 0)
		ask_by_other_way(WAY_URING, &w->random, &w->places, &w->uring);
	else if (what < 98)
		accept_in_clear();
	else if (!draw(&w->random, 300))
		abort_one(&w->random);
}

static bool goes_on(void)
{
	return time(NULL) < ends_at && !__atomic_load_n(&results->stop, __ATOMIC_ACQUIRE);
}

static void *work(void *context)
{
	struct worker *w = context;
	int i;

	uring_create(&w->uring);
	while (goes_on())
		for (i = 0; i < 64; i++)
			act(w);
	for (i = 0; i < OWN_COUNT; i++)
		own_close(&w->own[i]);
	uring_free(&w->uring);
	return NULL;
}

static bool start_worker(struct worker *w, uint64_t number)
{
	int i;

	*w = (struct worker){.random = {seed * 1000 + number}};
	for (i = 0; i < OWN_COUNT; i++)
		w->own[i].fd = -1;
	return places_create(&w->places) && !pthread_create(&w->thread, NULL, work, w);
}

static bool open_process(void)
{
	struct sockaddr_storage at = loopback(AF_INET, 0);
	int i;

	clear_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	shared = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (i = 0; i < RACED_COUNT; i++)
		raced[i] = fcntl(shared, F_DUPFD_CLOEXEC, 0);
	return clear_listener >= 0 && shared >= 0 && raced[RACED_COUNT - 1] >= 0 &&
	       !bind(clear_listener, (struct sockaddr *)&at, sizeof(at)) &&
	       !listen(clear_listener, 64);
}

static void close_process(void)
{
	int i;

	for (i = 0; i < RACED_COUNT; i++)
		close(raced[i]);
	close(shared);
	close(clear_listener);
}

static int work_in_process(int threads, uint64_t number)
{
	static struct worker workers[THREADS_MAX];
	int i, started;

	if (!open_process())
		return 1;
	for (started = 0; started < threads; started++)
		if (!start_worker(&workers[started], number * THREADS_MAX + (uint64_t)started))
			break;
	for (i = 0; i < started; i++) {
		pthread_join(workers[i].thread, NULL);
		places_free(&workers[i].places);
	}
	close_process();
	return started == threads ? 0 : 1;
}

/* ---- all of it */

static int open_descriptors(void)
{
	int number, found = 0;

	for (number = 0; number < 1024; number++)
		found += fcntl(number, F_GETFD) >= 0;
	return found;
}

static int work_in_processes(int threads, int forks)
{
	int i, status, failed = 0;

	for (i = 0; i < forks; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(work_in_process(threads, (uint64_t)i + 1));
		failed += pid < 0;
	}
	failed += work_in_process(threads, 0);
	while (wait(&status) > 0)
		failed += status != 0;
	return failed;
}

static void print_counts(void)
{
	static const char *const names[COUNTED_KINDS] = {
		"actions", "named", "silent", "bad calls", "not served", "wished", "refused",
		"read",	   "held",  "passed", "raced",	   "ended",	 "32-bit", "io_uring",
	};
	int i;

	for (i = 0; i < COUNTED_KINDS; i++)
		printf("%s%s %llu", i ? ", " : "", names[i],
		       (unsigned long long)counted((enum counted)i));
	putchar('\n');
}

/* A run that did not reach what it checks shows nothing. */
static bool has_reached_all(void)
{
	int i;

	for (i = 0; i < COUNTED_KINDS; i++)
		if (!counted((enum counted)i) && i != COUNTED_32_BIT && i != COUNTED_URING &&
		    i != COUNTED_ENDED)
			return false;
	return true;
}

static int conclude(int failed, int descriptors)
{
	print_counts();
	if (results->faults) {
		fprintf(stderr, "ask_fuzz: seed %llu: %u faults; the first: %s\n",
			(unsigned long long)seed, results->faults, results->first);
		return 1;
	}
	if (failed)
		fprintf(stderr, "ask_fuzz: %d workers or processes failed\n", failed);
	else if (open_descriptors() != descriptors)
		fprintf(stderr, "ask_fuzz: %d descriptors became %d\n", descriptors,
			open_descriptors());
	else if (!has_reached_all())
		fprintf(stderr, "ask_fuzz: a kind of outcome never came; run it longer\n");
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	int threads, forks, descriptors, i;

	if (argc < 6)
		return 2;
	seed = strtoull(argv[1], NULL, 0);
	ends_at = time(NULL) + atoi(argv[2]);
	threads = atoi(argv[3]);
	forks = atoi(argv[4]);
	for (i = 5; i < argc; i++)
		if (!latched_add(argv[i]))
			return 2;
	if (threads < 1 || threads > THREADS_MAX || !results_create())
		return 2;
	with_32_bit = has_32_bit();
	descriptors = open_descriptors();
	return conclude(work_in_processes(threads, forks), descriptors);
}
