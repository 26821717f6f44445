/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs that get no peer, of an unproven peer or without a report (pending_sas.c decides), and the
 * reason for latchctl sa. Peers choose their number, and no peer's share counts them, so an SA
 * beyond their common share is deleted from the table. Ends a binding that an earlier configuration
 * allowed, if the report is of that peer.
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
 * Gives the SA a reason, which is a fixed text, and a place in the share. replace: the new
 * reason replaces an earlier one. False: the share is full, or memory is short. Then call
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
 * SPI. The outbound SA may be installed later. out NULL: there is none.
 */
void refused_sas_note_pair(struct refused_sas *refused, const struct latch_sa_key *in,
			   const struct latch_sa_key *out);
/* The key of the inbound SA with this serial, if the outbound SA belongs to its pair; else NULL. */
const struct latch_sa_key *refused_sas_inbound_of(const struct refused_sas *refused,
						  uint32_t in_serial,
						  const struct latch_sa_key *out);
/* Deletes the SA from the table, and counts the deletion there. 0 or a negative errno. */
int refused_sas_evict(struct refused_sas *refused, const struct kernel_maps *maps,
		      const struct latch_sa_key *key, uint32_t serial);
/* Free places of the share. */
size_t refused_sas_room(const struct refused_sas *refused);
/* Events were lost: frees the places of SAs that are no longer in the table. */
void refused_sas_forget_gone(struct refused_sas *refused, const struct kernel_maps *maps);
void refused_sas_forget(struct refused_sas *refused, const struct latch_sa_key *key);
/* NULL: not known. */
const char *refused_sas_reason(const struct refused_sas *refused, const struct latch_sa_key *key);
void refused_sas_clear(struct refused_sas *refused);

struct refused_child {
	const struct feed *feed;
	const struct feed *former; /* the feed that reported the CHILD_SA before, or NULL */
	const struct feed_child *reported;
	const struct latch_sa_key *in, *out; /* out NULL: the outbound SA is another CHILD_SA's */
	uint64_t listed_ns; /* begin of the list with the report; 0: the report is an event */
};

/*
 * Both SAs become PENDING if they are bound to the peer of the report, by this feed or by one that
 * is no longer configured. Their latched flows stop. 1: at least one SA was bound so; 0; or a
 * negative errno, which is logged.
 */
int refused_sas_unbind(const struct binding *binding, const struct orphans *orphans,
		       const struct refused_child *child);

#endif
