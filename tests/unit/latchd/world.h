/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference model of test_model: SAs, key managers and latches as RFC 5660 describes them.
 * The model stores facts only: the SAs in the kernel, their children, the reports of the key
 * managers, the latches and the operations on them. It shares no code with latchd. Flows and
 * selectors are small numbers here, and params are the tuple itself.
 */
#ifndef LATCHD_TESTS_WORLD_H
#define LATCHD_TESTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

#define WORLD_CHILDREN	   10
#define WORLD_LATCHES	   6
#define WORLD_KEY_MANAGERS 2

/* RFC 5660 section 2 latches these parameters. latchd adds the key manager to both identities. */
struct world_params {
	uint8_t key_manager, peer, local, cipher;
};

/* Inclusive ranges of addresses (last byte) and ports, and the protocol (0 = any). */
struct world_selector {
	uint8_t local_first, local_last, remote_first, remote_last;
	uint16_t port_first, port_last; /* local */
	uint8_t protocol;
};

struct world_child {
	bool defined;
	struct world_params params;
	struct world_selector selector;
	bool in, out;	 /* in the kernel */
	bool listed;	 /* its key manager still has the child */
	bool reported;	 /* this latchd has the report of the child */
	bool attributed; /* this latchd has attributed the SAs to the child */
	bool deleted, orphan;
	bool refused;			/* its key manager had no proof of its peer, at first */
	bool ever_reported, bound_once; /* to this latchd or an earlier one */
	bool bound_before;		/* the inbound SA was bound when the step began */
	bool waited;			/* the inbound SA was pending after the last step */
};

enum world_kind {
	WORLD_LISTENER,
	WORLD_LARVAL,
	WORLD_LATCHED
};

struct world_latch {
	bool exists;
	enum world_kind kind;
	uint16_t port;
	uint8_t remote;
	struct world_params params;
	bool conflict; /* latchd must have found one */
	bool spd, dead, rebooted, admin;
};

struct world {
	struct world_child children[WORLD_CHILDREN];
	struct world_latch latches[WORLD_LATCHES];
	bool present[WORLD_KEY_MANAGERS], synced[WORLD_KEY_MANAGERS];
	bool hints_lost; /* SAs were deleted and latchd got no event */
};

static inline bool world_same(struct world_params a, struct world_params b)
{
	return a.key_manager == b.key_manager && a.peer == b.peer && a.local == b.local &&
	       a.cipher == b.cipher;
}

static inline bool world_covers(const struct world_selector *s, const struct world_latch *l)
{
	return s->local_first <= 1 && s->local_last >= 1 && s->remote_first <= l->remote &&
	       s->remote_last >= l->remote && s->port_first <= l->port && s->port_last >= l->port &&
	       (!s->protocol || s->protocol == 6);
}

static inline bool world_in_kernel(const struct world_child *c)
{
	return c->defined && (c->in || c->out);
}

/* RFC 5660 section 2.3: the child covers the flow, and its params differ. */
static inline bool world_conflicts(const struct world_child *c, const struct world_latch *l)
{
	return world_in_kernel(c) && world_covers(&c->selector, l) &&
	       !world_same(c->params, l->params);
}

static inline bool world_has_conflict(const struct world *w, const struct world_latch *l)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (w->children[i].attributed && world_conflicts(&w->children[i], l))
			return true;
	return false;
}

static inline bool world_overlap(const struct world_selector *a, const struct world_selector *b)
{
	return a->local_first <= b->local_last && b->local_first <= a->local_last &&
	       a->remote_first <= b->remote_last && b->remote_first <= a->remote_last &&
	       a->port_first <= b->port_last && b->port_first <= a->port_last &&
	       (!a->protocol || !b->protocol || a->protocol == b->protocol);
}

/* R-2.3-8: some flow is covered by two children with different params. */
static inline bool world_is_contested(const struct world *w, const struct world_child *c)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		const struct world_child *other = &w->children[i];

		if (other->attributed && world_in_kernel(other) &&
		    !world_same(other->params, c->params) &&
		    world_overlap(&other->selector, &c->selector))
			return true;
	}
	return false;
}

/* Every connected key manager has sent its snapshot. */
static inline bool world_is_synced(const struct world *w)
{
	bool any = false;
	size_t i;

	for (i = 0; i < WORLD_KEY_MANAGERS; i++) {
		if (w->present[i] && !w->synced[i])
			return false;
		any = any || w->present[i];
	}
	return any;
}

static inline uint8_t world_reasons(const struct world_latch *l)
{
	return (l->conflict ? LATCH_REASON_SA_CONFLICT : 0) |
	       (l->spd ? LATCH_REASON_SPD_CHANGE : 0) | (l->dead ? LATCH_REASON_PEER_DEAD : 0) |
	       (l->rebooted ? LATCH_REASON_PEER_REBOOTED : 0) | (l->admin ? LATCH_REASON_ADMIN : 0);
}

static inline enum latch_state world_state(const struct world_latch *l)
{
	if (!l->exists)
		return LATCH_STATE_NONE;
	if (l->kind == WORLD_LISTENER)
		return LATCH_STATE_LISTENER;
	if (l->kind == WORLD_LARVAL)
		return LATCH_STATE_LARVAL;
	return world_reasons(l) ? LATCH_STATE_BROKEN : LATCH_STATE_ESTABLISHED;
}

static inline void world_forget(struct world_child *c)
{
	c->reported = c->attributed = c->deleted = c->orphan = false;
}

/* An SA of the child was deleted, and latchd got the event. */
static inline void world_sa_gone(struct world_child *c)
{
	if (c->reported && (c->attributed || c->deleted) && !world_in_kernel(c))
		world_forget(c);
}

/* An inbound SA has all params. An outbound SA is enough if an earlier latchd has bound it. */
static inline void world_attribute(struct world_child *c)
{
	if (c->reported && (c->in || (c->out && c->bound_once)))
		c->attributed = true;
}

static inline void world_delete_child(struct world_child *c)
{
	if (!c->reported)
		return;
	c->deleted = true;
	if (!world_in_kernel(c))
		world_forget(c);
}

static inline void world_report_child(const struct world *w, struct world_child *c)
{
	c->reported = c->ever_reported = true;
	c->deleted = c->orphan = false;
	if (w->synced[c->params.key_manager])
		world_attribute(c);
}

static inline void world_snapshot(struct world *w, uint8_t key_manager)
{
	size_t i;

	w->synced[key_manager] = true;
	for (i = 0; i < WORLD_CHILDREN; i++) {
		struct world_child *c = &w->children[i];

		if (!c->defined || c->params.key_manager != key_manager)
			continue;
		if (c->listed)
			world_report_child(w, c);
		else if (c->reported && !c->orphan)
			world_delete_child(c);
		else if (c->reported && !world_in_kernel(c))
			world_forget(c);
	}
}

static inline void world_lost(struct world *w, uint8_t key_manager)
{
	size_t i;

	w->synced[key_manager] = false;
	for (i = 0; i < WORLD_CHILDREN; i++)
		if (w->children[i].reported && w->children[i].params.key_manager == key_manager)
			w->children[i].orphan = true;
}

/* latchd has lost its memory; the maps are unchanged. */
static inline void world_restarted(struct world *w)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		world_forget(&w->children[i]);
	for (i = 0; i < WORLD_KEY_MANAGERS; i++)
		w->present[i] = w->synced[i] = false;
	w->hints_lost = false;
}

/* A latch is broken while a conflict is known, and heals only when all key managers are synced. */
static inline void world_settle(struct world *w)
{
	size_t i;

	for (i = 0; i < WORLD_LATCHES; i++) {
		struct world_latch *l = &w->latches[i];

		if (!l->exists || l->kind != WORLD_LATCHED)
			continue;
		if (world_has_conflict(w, l))
			l->conflict = true;
		else if (world_is_synced(w) && !w->hints_lost)
			l->conflict = false;
	}
}

#endif
