/* SPDX-License-Identifier: BSD-2-Clause */
/* Interface ids of devices, which tell SAs apart: reports of links, and a read each ten seconds. */
#include "latchd/choice/choice_parts.h"

#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICES_MS   50 /* after a report of links */
#define PERIOD_MS    1000
#define PERIODS_ALL  10	  /* namespaces without reports are checked in each period */
#define REPORTS_MAX  64	  /* of links, in one turn */
#define REPORT_BYTES 4096 /* the rest of a report is not read */

static bool has_devices(const struct choice_space *space, const struct choice_table *now)
{
	const struct choice_table *known = &space->table;

	return known->device_count == now->device_count &&
	       (!known->device_count || !memcmp(known->devices, now->devices,
						known->device_count * sizeof(*known->devices)));
}

static void check_devices(struct choice *choice, struct choice_space *space)
{
	struct choice_table now = {0};
	int err = choice->source.load_devices(space->netns, &now);

	choice_table_sort_devices(&now);
	if (err || !has_devices(space, &now))
		choice_refresh(choice, space->netns);
	choice_table_release(&now);
}

static void on_devices(void *context)
{
	struct choice *choice = context;
	struct choice_space *space, *next;

	HASH_ITER(hh, choice->spaces, space, next)
	{
		if (!space->devices_stale)
			continue;
		space->devices_stale = false;
		check_devices(choice, space);
	}
}

/* The report is a hint: the devices are read from the kernel. */
static void on_links(void *context, uint32_t epoll_events)
{
	struct choice_space *space = context;
	char report[REPORT_BYTES];
	ssize_t length = 0;
	int i;

	(void)epoll_events;
	for (i = 0; i < REPORTS_MAX && length >= 0; i++)
		length = recv(space->links, report, sizeof(report), MSG_DONTWAIT);
	space->devices_stale = true;
	if (!loop_timer_armed(&space->choice->devices))
		loop_timer_arm(&space->choice->devices, DEVICES_MS);
}

/* Opens a socket only if devices matter, since the socket keeps the namespace alive. Without a
 * socket the periodic check finds changes. */
static void watch_links(struct choice *choice, struct choice_space *space)
{
	if (!space->table.has_ids)
		choice_space_stop_links(space);
	if (!space->table.has_ids || space->links >= 0 || !choice->source.open_links)
		return;
	space->links = choice->source.open_links(space->netns);
	if (space->links < 0 || !loop_fd_add(choice->loop, space->links, EPOLLIN, on_links, space))
		return;
	close(space->links);
	space->links = -1;
}

/* A report may be lost. The socket of a namespace without interface ids is closed, so that the
 * namespace can end. */
static void on_period(void *context)
{
	struct choice *choice = context;
	bool all = !(choice->periods++ % PERIODS_ALL);
	struct choice_space *space, *next;

	HASH_ITER(hh, choice->spaces, space, next)
	{
		watch_links(choice, space);
		space->devices_stale |= space->table.has_ids && (all || space->links < 0);
	}
	on_devices(choice);
	loop_timer_arm(&choice->period, PERIOD_MS);
}

void choice_links_start(struct choice *choice)
{
	loop_timer_init(choice->loop, &choice->devices, on_devices, choice);
	loop_timer_init(choice->loop, &choice->period, on_period, choice);
	loop_timer_arm(&choice->period, PERIOD_MS);
}

void choice_links_end(struct choice *choice)
{
	loop_timer_cancel(&choice->devices);
	loop_timer_cancel(&choice->period);
}
