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
#define SOCKETS_MAX	    0xffff

struct row {
	struct latch_flow flow;
	union latch_word seen; /* as read before the sockets were counted; 0 = no latch */
	uint32_t sockets;
	bool dumped; /* the sockets of its namespace were counted */
};

struct rows {
	struct row *row;
	size_t count, capacity;
	size_t sorted; /* rows with a latch: the first ones */
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

static int add_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct row *row;

	if (latch->word.state != LATCH_STATE_LISTENER)
		return 0;
	row = add_row(context, flow);
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

static int count_namespace(void *context, uint64_t cookie)
{
	struct rows *rows = context;
	size_t i;
	int err;

	err = socket_diag_listeners(cookie, count_socket, rows);
	if (err == -ENOMEM)
		return err;
	/* After an error (the namespace is gone, or changed during the dump) its latches stay. */
	for (i = first_row(rows, cookie);
	     !err && i < rows->sorted && rows->row[i].flow.netns == cookie; i++)
		rows->row[i].dumped = true;
	return 0;
}

/* ---- corrections ---- */

static int correct(const struct listeners *listeners, const struct row *row)
{
	bool fewer = row->seen.raw && row->sockets < row->seen.params;
	uint16_t sockets = row->sockets > SOCKETS_MAX ? SOCKETS_MAX : (uint16_t)row->sockets;
	int result;

	if (row->seen.raw && (!row->dumped || sockets == row->seen.params))
		return 0;
	if (!fewer && !listeners->adopt)
		return 0;
	/* A socket that came or went meanwhile changed the word: the next round corrects it. */
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

static int scan(const struct listeners *listeners)
{
	struct rows rows = {0};
	int err, result, unseen = 0;
	size_t i;

	err = latches_walk(listeners->maps, add_latch, &rows);
	if (!err) {
		sort(&rows);
		unseen = netns_walk(count_namespace, &rows);
		err = unseen == -ENOMEM ? unseen : 0;
	}
	if (!err)
		join_groups(&rows);
	/* After -E2BIG a later row may still release a latch. */
	for (i = 0; i < rows.count && (!err || err == -E2BIG); i++) {
		result = correct(listeners, &rows.row[i]);
		err = result ? result : err;
	}
	free(rows.row);
	return err ? err : unseen;
}

static void on_timer(void *context)
{
	struct listeners *listeners = context;
	int err = scan(listeners);

	if (err == -E2BIG)
		log_warn("latch",
			 "listening sockets: no room for all of their latches; raise latches = in "
			 "[enforce], then run latchctl purge and start latchd");
	else if (err)
		log_warn("latch", "listening sockets: cannot dump them: %s; next attempt in 60 s",
			 strerror(-err));
	loop_timer_arm(&listeners->timer, LISTENERS_PERIOD_MS);
}

void listeners_start(struct listeners *listeners, struct loop *loop)
{
	loop_timer_init(loop, &listeners->timer, on_timer, listeners);
	on_timer(listeners);
}

void listeners_stop(struct listeners *listeners)
{
	loop_timer_cancel(&listeners->timer);
}
