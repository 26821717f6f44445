/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs that get no peer: those of CHILD_SAs of a peer that is not proven, and those that stay
 * without a report. The reason for latchctl sa, and the end of a binding that an earlier
 * configuration allowed. Peers choose their number, and they count in the share of no peer. So all
 * of them have one share of the SA table, and an SA beyond it gives its place there back.
 */
#ifndef LATCHD_SA_UNBOUND_REFUSED_SAS_H
#define LATCHD_SA_UNBOUND_REFUSED_SAS_H

#include <stdbool.h>
#include <stddef.h>

#include "latchd/feeds/feed.h"
#include "common/log_limit.h"
#include "latchd/sa/binding/binding_parts.h"
#include "latchd/sa/unbound/orphans.h"

#define REFUSED_SAS_MAX 8192 /* an eighth of the SA table */

struct refused_sa;

struct refused_sas { /* zeroed before first use */
	struct refused_sa *by_key, *by_serial;
	struct log_limit log, unproven_log;
};

/*
 * The SA has the reason, a fixed text, and a place in the share; an earlier reason stays unless
 * the new one replaces it. False: the share is full, or memory is short. Then call
 * refused_sas_evict().
 */
bool refused_sas_note(struct refused_sas *refused, const struct latch_sa_key *key,
		      const char *reason, bool replace);
/* A key manager has reported the SA that has this serial, with the other SA of its pair. */
void refused_sas_note_report(struct refused_sas *refused, const struct latch_sa_key *key,
			     uint32_t serial);
bool refused_sas_is_reported(const struct refused_sas *refused, const struct latch_sa_key *key,
			     uint32_t serial);
bool refused_sas_any_reported(const struct refused_sas *refused);
/*
 * The inbound SA is decided to have no proven peer, and its key manager pairs it with this outbound
 * SPI. The kernel may have that SA later. out NULL: with none.
 */
void refused_sas_note_pair(struct refused_sas *refused, const struct latch_sa_key *in,
			   const struct latch_sa_key *out);
/* The key of the inbound SA that has the serial, if this outbound SA is of its pair; else NULL. */
const struct latch_sa_key *refused_sas_inbound_of(const struct refused_sas *refused,
						  uint32_t in_serial,
						  const struct latch_sa_key *out);
/* Deletes the SA from the table, and counts it there. 0 or a negative errno. */
int refused_sas_evict(struct refused_sas *refused, const struct kernel_maps *maps,
		      const struct latch_sa_key *key, uint32_t serial);
/* How many more the share admits. */
size_t refused_sas_room(const struct refused_sas *refused);
/* Events were lost: those that are not in the table any more give their places back. */
void refused_sas_forget_gone(struct refused_sas *refused, const struct kernel_maps *maps);
void refused_sas_forget(struct refused_sas *refused, const struct latch_sa_key *key);
/* NULL: not known. */
const char *refused_sas_reason(const struct refused_sas *refused, const struct latch_sa_key *key);
void refused_sas_clear(struct refused_sas *refused);

struct refused_child {
	const struct feed *feed;
	const struct feed *former; /* reported it before, and has ended; or NULL */
	const struct feed_child *reported;
	const struct latch_sa_key *in, *out; /* out NULL: it is another CHILD_SA's */
	uint64_t listed_ns; /* when the list began that has the report; 0: an event has it */
};

/*
 * Both SAs become PENDING if they are bound to the peer of the report. The report is of this feed
 * or of one that is no longer configured. Latched flows stop. 1: at least one was; 0; or a negative
 * errno, which is logged.
 */
int refused_sas_unbind(const struct binding *binding, const struct orphans *orphans,
		       const struct refused_child *child);

#endif
