/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/netns.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "latchd/net/netns_index.h"
#include "latchd/net/netns_mounts.h"

#define NETNS_HINTS_MAX 256

/* ---- hints ---- */

struct hint {
	uint64_t cookie;
	pid_t pid; /* 0 = free */
};

static struct hint hints[NETNS_HINTS_MAX];
static size_t oldest_hint;

static struct hint *find_hint(uint64_t cookie)
{
	size_t i;

	for (i = 0; i < NETNS_HINTS_MAX; i++)
		if (hints[i].pid && hints[i].cookie == cookie)
			return &hints[i];
	return NULL;
}

void netns_hint(uint64_t cookie, pid_t pid)
{
	struct hint *hint = find_hint(cookie);

	if (!hint) {
		hint = &hints[oldest_hint];
		oldest_hint = (oldest_hint + 1) % NETNS_HINTS_MAX;
	}
	*hint = (struct hint){cookie, pid};
}

/* The kernel reuses pids, so that only the cookie identifies the namespace. */
static int open_hinted(uint64_t cookie)
{
	struct hint *hint = find_hint(cookie);
	auto_close int fd = -1;
	uint64_t found;

	if (!hint)
		return -ENOENT;
	fd = netns_open_process(hint->pid);
	if (fd >= 0 && !netns_of_descriptor(fd, &found) && found == cookie)
		return take_fd(&fd);
	hint->pid = 0;
	return -ENOENT;
}

/* ---- one pass finds all namespaces: see netns_index.h ---- */

#define FOREIGN_MAX    1024 /* namespaces of local users in a pass */
#define AGREED_MS      3000 /* time in which a pass that did not find a namespace is not repeated */
#define BUDGET_MAX_MS  500  /* of passes in a row */
#define BUDGET_SHARE   10   /* passes get at most this fraction of the time */
#define QUESTIONS_MAX  4096 /* a power of two */
#define QUESTION_SLOTS (2 * QUESTIONS_MAX)

static struct netns_index known;
static int64_t spent;	 /* time of passes that is not yet covered by the budget, in milliseconds */
static uint64_t paid_ms; /* loop_now_ms() at the last update of the budget */
static uint64_t passes;

/* Look-ups that failed. A later pass answers all of them at once. */
static struct question {
	uint64_t cookie; /* 0 = free */
	uint64_t asked_ms;
} questions[QUESTION_SLOTS];
static size_t question_count;

static void make_pass(void)
{
	netns_index_build(&known, FOREIGN_MAX);
	spent += (int64_t)(loop_now_ms() - known.begun_ms) + 1;
	passes++;
}

/* Local users choose how many unknown cookies there are: without a budget each costs a pass. */
static bool may_pass(uint64_t now_ms)
{
	int64_t pays = (int64_t)(now_ms - paid_ms) / BUDGET_SHARE;

	spent = spent > pays ? spent - pays : 0;
	paid_ms += (uint64_t)pays * BUDGET_SHARE;
	return spent < BUDGET_MAX_MS;
}

static struct question *question_of(uint64_t cookie)
{
	size_t at = (size_t)(cookie * 0x9e3779b97f4a7c15ull >> 32) & (QUESTION_SLOTS - 1);

	while (questions[at].cookie && questions[at].cookie != cookie)
		at = (at + 1) & (QUESTION_SLOTS - 1);
	return &questions[at];
}

static void ask(uint64_t cookie, uint64_t now_ms)
{
	struct question *question = question_of(cookie);

	if (!question->cookie && question_count == QUESTIONS_MAX) {
		memset(questions, 0, sizeof(questions));
		question_count = 0;
		question = question_of(cookie);
	}
	question_count += !question->cookie;
	*question = (struct question){cookie, now_ms};
}

/* A pass that began after the first look-up, and lately, would have found the namespace. */
static bool is_answered(uint64_t cookie, uint64_t now_ms)
{
	const struct question *question = question_of(cookie);

	return question->cookie && known.begun_ms > question->asked_ms &&
	       now_ms - known.begun_ms < AGREED_MS;
}

static int open_holder(const struct netns_holder *holder)
{
	return holder->pid ? netns_open_process(holder->pid) : netns_mounts_open(holder->path);
}

/* The kernel reuses pids, and another file system may be mounted over the path. */
static int open_indexed(uint64_t cookie)
{
	struct netns_holder *holder = netns_index_find(&known, cookie);
	auto_close int fd = holder ? open_holder(holder) : -ENOENT;
	uint64_t found;

	if (fd >= 0 && !netns_of_descriptor(fd, &found) && found == cookie)
		return take_fd(&fd);
	if (holder) {
		netns_index_remove(&known, holder);
		ask(cookie, loop_now_ms());
	}
	return -ENOENT;
}

static int open_after_pass(uint64_t cookie)
{
	uint64_t now_ms = loop_now_ms();
	int fd;

	if (is_answered(cookie, now_ms))
		return netns_index_absence(&known, cookie);
	if (!question_of(cookie)->cookie)
		ask(cookie, now_ms);
	if (!may_pass(now_ms))
		return -EAGAIN;
	make_pass();
	fd = open_indexed(cookie);
	return fd == -ENOENT ? netns_index_absence(&known, cookie) : fd;
}

int netns_open(uint64_t cookie)
{
	uint64_t own;
	int fd = netns_own(&own);

	if (fd)
		return fd;
	if (own == cookie)
		return netns_open_own();
	fd = open_hinted(cookie);
	if (fd == -ENOENT)
		fd = open_indexed(cookie);
	return fd == -ENOENT ? open_after_pass(cookie) : fd;
}

uint64_t netns_passes(void)
{
	return passes;
}

int netns_is_foreign(uint64_t cookie)
{
	auto_close int netns = netns_open(cookie);

	return netns < 0 ? netns : netns_descriptor_is_foreign(netns);
}

/* ---- all of them ---- */

/* The visitor's look-ups may make a new pass: it visits a copy. */
static int copy_cookies(uint64_t **ret_cookies)
{
	size_t i;

	*ret_cookies = calloc(known.count + 1, sizeof(**ret_cookies));
	if (!*ret_cookies)
		return -ENOMEM;
	for (i = 0; i < known.count; i++)
		(*ret_cookies)[i] = known.holders[i].cookie;
	return 0;
}

int netns_walk(netns_visit_fn visit, void *context)
{
	auto_free uint64_t *cookies = NULL;
	size_t count, i;
	int result, unread;

	make_pass();
	unread = known.unread;
	count = known.count;
	result = copy_cookies(&cookies);
	for (i = 0; !result && i < count; i++)
		result = visit(context, cookies[i]);
	return result ? result : unread;
}
