/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/recovery.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/log.h"
#include "latch_mode.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"

struct recovery_walk {
	const struct kernel_maps *maps;
	uint32_t mode;
	unsigned int count; /* latches that lost their peer */
};

static int unbind_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct recovery_walk *walk = context;
	int result = sa_set(walk->maps, key, sa->word.serial, LATCH_SA_PENDING, 0, false);

	return result < 0 ? result : 0;
}

static bool passes(const struct recovery_walk *walk, const struct latch *latch)
{
	return latch_mode_is_audit(walk->mode) &&
	       (latch->word.state == LATCH_STATE_ESTABLISHED ||
		latch->word.state == LATCH_STATE_LARVAL || latch->decided == walk->mode);
}

/* Broken first: the gates must drop the RST of the socket. */
static int close_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct recovery_walk *walk = context;
	int result;

	/* A LISTENER latch has no peer: its socket must not end with the connections. */
	if (latch->word.state == LATCH_STATE_LISTENER)
		return 0;
	walk->count++;
	/* Audit mode ends no connection: this connection is refused when enforcement begins. */
	if (passes(walk, latch) && latch->word.state != LATCH_STATE_CLOSED) {
		result = latch_forget_peer(walk->maps, flow, latch->id);
		return result < 0 ? result : 0;
	}
	result = latch_break(walk->maps, flow, latch->id, LATCH_REASON_ADMIN, NULL);
	if (result < 0)
		return result;
	socket_diag_destroy_owner(flow, latch->socket_cookie);
	result = latch_close(walk->maps, flow, latch->id);
	return result < 0 ? result : 0;
}

/* SAs first: else a new latch would get params that are about to be deleted. */
static int close_all(struct recovery_walk *walk)
{
	int err = sas_walk(walk->maps, unbind_sa, walk);

	return err ? err : latches_walk(walk->maps, close_latch, walk);
}

static void log_damage(const struct recovery_walk *walk)
{
	log_error("latch", "identity table damaged: %u latches %s, all SAs unbound", walk->count,
		  latch_mode_is_audit(walk->mode) ? "broken for the time when enforcement begins"
						  : "closed");
}

int recovery_load_identities(const struct kernel_maps *maps, struct identities **ret,
			     bool *ret_damaged)
{
	int err = identities_load(maps, ret);

	*ret_damaged = err == -EBADMSG;
	return *ret_damaged ? identities_open(maps, ret) : err;
}

int recovery_repair_identities(const struct kernel_maps *maps, struct identities *identities)
{
	struct recovery_walk walk = {.maps = maps, .mode = mode_read(maps)};
	int err = close_all(&walk);

	/* The rows of the audit table would name other peers. */
	if (!err)
		err = audits_clear(maps);
	if (!err)
		err = identities_reset(identities);
	if (!err)
		log_damage(&walk);
	return err;
}

int recovery_check_identities(const struct kernel_maps *maps, struct identities *identities,
			      bool *unfinished)
{
	int err = *unfinished ? -EBADMSG : identities_check(identities);

	if (err != -EBADMSG)
		return err;
	err = recovery_repair_identities(maps, identities);
	*unfinished = err != 0;
	return err ? err : RECOVERY_DAMAGED;
}
