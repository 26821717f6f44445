/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/pending_sas.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/net/netns.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/sa_adoption.h"

#define PENDING_FIRST_MS 50
#define PENDING_LAST_MS	 5000
#define PENDING_ALARM_NS 5000000000ull

void pending_sas_check_soon(struct pending_sas *q)
{
	if (loop_timer_armed(&q->timer))
		return;
	q->wait_ms = PENDING_FIRST_MS;
	loop_timer_arm(&q->timer, q->wait_ms);
}

/* A new one does not wait as long as those that nobody may ever speak of. */
static void look_at_new_soon(struct pending_sas *q)
{
	if (loop_timer_armed(&q->timer) && q->timer.deadline_ms > loop_now_ms() + PENDING_FIRST_MS)
		loop_timer_cancel(&q->timer);
	pending_sas_check_soon(q);
}

struct pending_sas_walk {
	struct pending_sas *pending_sas;
	bool left;
	uint32_t newest_alarm;
};

static void alarm_if_old(struct pending_sas_walk *walk, const struct latch_sa_key *key,
			 const struct latch_sa *sa, int err)
{
	if (clock_boot_ns() - sa->installed < PENDING_ALARM_NS ||
	    sa->word.serial <= walk->pending_sas->alarmed_serial)
		return;
	if (sa->word.serial > walk->newest_alarm)
		walk->newest_alarm = sa->word.serial;
	log_warn("sa",
		 "SA 0x%08x of network namespace %" PRIu64
		 ": %s; no latched flow may use it; see: latchctl sa",
		 key->spi, (uint64_t)key->netns,
		 err == -ENOSPC ? "the table of identities is full" : "no key manager knows it");
}

/* -ENOENT: nobody has said yet whose the SA is that has the key now. */
static int try_to_bind(const struct pending_sas *q, const struct latch_sa_key *key)
{
	struct child_end *end = child_sas_find(q->binding->children, key);
	int err;

	if (!end || !key_managers_are_synced(q->key_managers, key->netns))
		return -ENOENT;
	err = binding_bind(q->binding, end->child);
	return err || binding_owns(q->binding, end) ? err : -ENOENT;
}

static int visit_pending(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct pending_sas_walk *walk = context;
	struct pending_sas *q = walk->pending_sas;
	int err;

	if (sa->word.state != LATCH_SA_PENDING || !key_managers_serve(q->key_managers, key->netns))
		return 0;
	err = try_to_bind(q, key);
	if (!err)
		return 0;
	walk->left = true;
	alarm_if_old(walk, key, sa, err);
	key_managers_resync(q->key_managers, key->netns);
	return 0;
}

/* Where any local user can make others run out of room, those alone are looked through. */
static int adopt_all(const struct pending_sas *q, bool only_foreign)
{
	const struct key_manager *key_manager;
	int err = 0;

	for (key_manager = q->key_managers->first; key_manager && !err;
	     key_manager = key_manager->next)
		if (!only_foreign || netns_is_foreign(key_manager->netns) > 0)
			err = sa_adoption_run(q->binding->view.maps, key_manager->netns);
	return err;
}

/*
 * No event tells of an SA for which the table had no room, and it is closed to latched
 * flows: it must not stay so when there is room again. True: later once more.
 */
static bool take_in_refused(struct pending_sas *q)
{
	uint64_t counters[LATCH_COUNTER_COUNT];
	bool full;

	if (counters_read(q->binding->view.maps, counters))
		return false;
	full = counters[LATCH_COUNTER_SAS_FULL] != q->refused;
	if (!full && counters[LATCH_COUNTER_SAS_OVER_QUOTA] == q->over_quota)
		return false;
	if (adopt_all(q, !full))
		return true;
	q->refused = counters[LATCH_COUNTER_SAS_FULL];
	q->over_quota = counters[LATCH_COUNTER_SAS_OVER_QUOTA];
	return false;
}

static void on_timer(void *context)
{
	struct pending_sas *q = context;
	struct pending_sas_walk walk = {.pending_sas = q, .newest_alarm = q->alarmed_serial};
	int err;

	walk.left = take_in_refused(q);
	identities_look_again(q->binding->identities);
	err = sas_walk(q->binding->view.maps, visit_pending, &walk);
	if (err)
		log_warn("sa", "cannot look for unattributed SAs: %s; trying again",
			 strerror(-err));
	q->alarmed_serial = walk.newest_alarm;
	if (!err && !walk.left)
		return;
	q->wait_ms = q->wait_ms * 2 < PENDING_LAST_MS ? q->wait_ms * 2 : PENDING_LAST_MS;
	loop_timer_arm(&q->timer, q->wait_ms);
}

void pending_sas_new(struct pending_sas *q, const struct latch_sa_key *key)
{
	if (try_to_bind(q, key))
		look_at_new_soon(q);
}

void pending_sas_init(struct pending_sas *q, struct loop *loop, const struct binding *binding,
		      const struct key_managers *key_managers)
{
	*q = (struct pending_sas){.binding = binding, .key_managers = key_managers};
	loop_timer_init(loop, &q->timer, on_timer, q);
}

void pending_sas_stop(struct pending_sas *q)
{
	loop_timer_cancel(&q->timer);
}
