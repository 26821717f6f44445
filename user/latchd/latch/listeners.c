/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/listeners.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/netns.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"

#define LISTENERS_PERIOD_MS 60000
#define LISTENERS_AGAIN_MS  50 /* between turns of one sweep, for other work of the loop */
#define LISTENERS_TURN	    8  /* namespaces: each costs two walks over all listeners of the host */
#define LISTENERS_FOREIGN   64 /* namespaces of local users in one sweep, others in the next */
#define LISTENERS_AT_START  256 /* namespaces of the host that are counted before the start ends */
#define SOCKETS_MAX	    0xffff

struct row {
	struct latch_flow flow;
	union latch_word seen; /* as read before the sockets were counted; 0 = no latch */
	uint32_t sockets;
	bool dumped; /* the sockets of its namespace were counted */
};

/* The latches and listening sockets of the namespaces of one turn. */
struct rows {
	struct row *row;
	size_t count, capacity;
	size_t sorted; /* rows with a latch: the first ones */
	const uint64_t *namespaces;
	size_t namespace_count;
	size_t visited, visited_max; /* sockets */
};

static struct row *add_row(struct rows *rows, const struct latch_flow *flow)
{
	size_t capacity = rows->capacity ? rows->capacity * 2 : 64;
	struct row *grown;

	if (rows->count == rows->capacity) {
		grown = reallocarray(rows->row, capacity, sizeof(*grown));
		if (!grown)
			return NULL;
		rows->row = grown;
		rows->capacity = capacity;
	}
	rows->row[rows->count] = (struct row){.flow = *flow};
	return &rows->row[rows->count++];
}

static int by_flow(const void *one, const void *other)
{
	const struct row *a = one, *b = other;

	return memcmp(&a->flow, &b->flow, sizeof(a->flow));
}

/* ---- the latches and sockets that exist ---- */

static bool is_of_turn(const struct rows *rows, uint64_t netns)
{
	size_t i;

	for (i = 0; i < rows->namespace_count && rows->namespaces[i] != netns; i++)
		;
	return i < rows->namespace_count;
}

static int add_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct rows *rows = context;
	struct row *row;

	if (latch->word.state != LATCH_STATE_LISTENER || !is_of_turn(rows, flow->netns))
		return 0;
	row = add_row(rows, flow);
	if (!row)
		return -ENOMEM;
	row->seen = latch->word;
	return 0;
}

/* A walk may see an entry twice. */
static void sort(struct rows *rows)
{
	size_t i, kept = 0;

	if (rows->count)
		qsort(rows->row, rows->count, sizeof(*rows->row), by_flow);
	for (i = 0; i < rows->count; i++)
		if (!kept || by_flow(&rows->row[kept - 1], &rows->row[i]))
			rows->row[kept++] = rows->row[i];
	rows->count = rows->sorted = kept;
}

static int count_socket(void *context, const struct latch_flow *flow)
{
	struct rows *rows = context;
	const struct row key = {.flow = *flow};
	struct row *row = NULL;

	if (rows->visited++ >= rows->visited_max)
		return -ENOBUFS;
	if (rows->sorted)
		row = bsearch(&key, rows->row, rows->sorted, sizeof(*row), by_flow);
	/* The sockets of a reuseport group are mostly adjacent in a dump. */
	if (!row && rows->count > rows->sorted && !by_flow(&rows->row[rows->count - 1], &key))
		row = &rows->row[rows->count - 1];
	if (!row)
		row = add_row(rows, flow);
	if (!row)
		return -ENOMEM;
	row->sockets++;
	return 0;
}

/* Rows are sorted by flow. Its first bytes are the namespace. */
static size_t first_row(const struct rows *rows, uint64_t cookie)
{
	size_t low = 0, count = rows->sorted, middle;

	while (low < count) {
		middle = low + (count - low) / 2;
		if (memcmp(&rows->row[middle].flow.netns, &cookie, sizeof(cookie)) < 0)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

static int count_namespace(struct rows *rows, uint64_t cookie)
{
	size_t i;
	int err = socket_diag_listeners(cookie, count_socket, rows);

	if (err == -ENOMEM)
		return err;
	/*
	 * After an error (the namespace is gone, changed during the dump, or has more listening
	 * sockets than may have latches) its latches stay.
	 */
	for (i = first_row(rows, cookie);
	     !err && i < rows->sorted && rows->row[i].flow.netns == cookie; i++)
		rows->row[i].dumped = true;
	return 0;
}

/* ---- corrections ---- */

/* full: the table has no room for another LISTENER latch. */
static int correct(const struct listeners *listeners, const struct row *row, bool full)
{
	bool fewer = row->seen.raw && row->sockets < row->seen.params;
	uint16_t sockets = row->sockets > SOCKETS_MAX ? SOCKETS_MAX : (uint16_t)row->sockets;
	int result;

	if (row->seen.raw && (!row->dumped || sockets == row->seen.params))
		return 0;
	if ((!fewer && !listeners->adopt) || (full && !row->seen.raw))
		return 0;
	/* If a socket was added or closed meanwhile, the word has changed, and the next sweep
	 * corrects the number. */
	result = latch_listen(listeners->maps, &row->flow, row->seen, sockets);
	if (result == LATCH_CONTROL_FULL)
		return -E2BIG;
	return result < 0 ? result : 0;
}

/* Rows without a latch: a reuseport group may have several. */
static void join_groups(struct rows *rows)
{
	struct row *first = rows->row + rows->sorted;
	size_t count = rows->count - rows->sorted, kept = 0, i;

	if (count)
		qsort(first, count, sizeof(*first), by_flow);
	for (i = 0; i < count; i++) {
		if (kept && !by_flow(&first[kept - 1], &first[i]))
			first[kept - 1].sockets += first[i].sockets;
		else
			first[kept++] = first[i];
	}
	rows->count = rows->sorted + kept;
}

static int correct_all(const struct listeners *listeners, const struct rows *rows)
{
	int err = 0, result;
	size_t i;

	/* After -E2BIG a later row may still release a latch. */
	for (i = 0; i < rows->count && (!err || err == -E2BIG); i++) {
		result = correct(listeners, &rows->row[i], err == -E2BIG);
		err = result ? result : err;
	}
	return err;
}

/* ---- one turn ---- */

/* No more than all LISTENER latches of the host. */
static size_t latches_share(const struct listeners *listeners)
{
	return latches_capacity(listeners->maps) / 4;
}

static bool is_own(const struct listeners *listeners, size_t place)
{
	return place < listeners->own;
}

/* Ends early after many sockets. Returns the number of namespaces, or a negative errno. */
static int count_namespaces(const struct listeners *listeners, struct rows *rows)
{
	size_t share = latches_share(listeners), i;
	int err = 0;

	for (i = 0; !err && i < rows->namespace_count; i++) {
		if (i && rows->visited > share && !is_own(listeners, listeners->next + i))
			break;
		rows->visited = is_own(listeners, listeners->next + i) ? 0 : rows->visited;
		rows->visited_max =
			is_own(listeners, listeners->next + i) ? SIZE_MAX : rows->visited + share;
		err = count_namespace(rows, rows->namespaces[i]);
	}
	return err ? err : (int)i;
}

/* Counts the next namespaces of the sweep, at most max. */
static int take_turn(struct listeners *listeners, size_t max)
{
	size_t left = listeners->count - listeners->next;
	struct rows rows = {
		.namespaces = listeners->namespaces + listeners->next,
		.namespace_count = left < max ? left : max,
	};
	int err = latches_walk(listeners->maps, add_latch, &rows);

	if (!err) {
		sort(&rows);
		err = count_namespaces(listeners, &rows);
	}
	listeners->next += err > 0 ? (size_t)err : rows.namespace_count;
	if (err > 0) {
		join_groups(&rows);
		err = correct_all(listeners, &rows);
	}
	free(rows.row);
	return err;
}

/* ---- a sweep ---- */

struct found {
	uint64_t *cookies;
	size_t count, capacity;
};

struct all_found {
	struct found own, foreign;
};

static int note(struct found *found, uint64_t cookie)
{
	size_t capacity = found->capacity ? found->capacity * 2 : 64;
	uint64_t *cookies = found->cookies;

	if (found->count == found->capacity) {
		cookies = reallocarray(cookies, capacity, sizeof(*cookies));
		if (!cookies)
			return -ENOMEM;
		found->cookies = cookies;
		found->capacity = capacity;
	}
	cookies[found->count++] = cookie;
	return 0;
}

static int note_namespace(void *context, uint64_t cookie)
{
	struct all_found *all = context;
	int foreign = netns_is_foreign(cookie);

	return foreign < 0 ? 0 : note(foreign ? &all->foreign : &all->own, cookie);
}

/* Local users choose the number of these namespaces, so each sweep continues where the last one
 * ended. */
static int add_foreign(struct listeners *listeners, struct all_found *all)
{
	const struct found *foreign = &all->foreign;
	size_t first = 0, i;
	int err = 0;

	while (first < foreign->count && foreign->cookies[first] <= listeners->last_foreign)
		first++;
	for (i = 0; !err && i < foreign->count && i < LISTENERS_FOREIGN; i++) {
		listeners->last_foreign = foreign->cookies[(first + i) % foreign->count];
		err = note(&all->own, listeners->last_foreign);
	}
	return err;
}

/* An error other than -ENOMEM only means that some namespace was not found. */
static int begin_sweep(struct listeners *listeners)
{
	struct all_found all = {0};
	int unseen = netns_walk(note_namespace, &all), err = unseen == -ENOMEM ? unseen : 0;

	listeners->own = all.own.count;
	if (!err)
		err = add_foreign(listeners, &all);
	listeners->namespaces = all.own.cookies;
	listeners->count = all.own.count;
	listeners->next = 0;
	free(all.foreign.cookies);
	return err ? err : unseen;
}

static void log_sweep(int err)
{
	if (err == -E2BIG)
		log_warn("latch", "listening sockets not all latched (no room): raise "
				  "latches = in [enforce], then run latchctl purge and start "
				  "latchd");
	else if (err)
		log_warn("latch", "listening sockets not dumped (%s); next attempt in 60 s",
			 strerror(-err));
}

static void end_sweep(struct listeners *listeners)
{
	log_sweep(listeners->err);
	free(listeners->namespaces);
	listeners->namespaces = NULL;
	listeners->count = listeners->next = 0;
	listeners->err = 0;
}

static void advance(struct listeners *listeners, size_t max)
{
	int err;

	if (!listeners->namespaces)
		listeners->err = begin_sweep(listeners);
	err = listeners->next < listeners->count ? take_turn(listeners, max) : 0;
	listeners->err = err && listeners->err != -E2BIG ? err : listeners->err;
	if (listeners->next < listeners->count) {
		loop_timer_arm(&listeners->timer, LISTENERS_AGAIN_MS);
		return;
	}
	end_sweep(listeners);
	loop_timer_arm(&listeners->timer, LISTENERS_PERIOD_MS);
}

static void on_timer(void *context)
{
	advance(context, LISTENERS_TURN);
}

void listeners_start(struct listeners *listeners, struct loop *loop)
{
	loop_timer_init(loop, &listeners->timer, on_timer, listeners);
	listeners->err = begin_sweep(listeners);
	advance(listeners,
		listeners->own < LISTENERS_AT_START ? listeners->own : LISTENERS_AT_START);
}

void listeners_stop(struct listeners *listeners)
{
	loop_timer_cancel(&listeners->timer);
	free(listeners->namespaces);
	listeners->namespaces = NULL;
	listeners->count = listeners->next = 0;
}
