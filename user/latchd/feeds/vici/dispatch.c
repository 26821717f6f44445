/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "latchd/feeds/vici/children.h"

struct vici_held {
	struct vici_held *next;
	enum vici_message_kind kind;
	uint64_t number; /* dispatch->received at its arrival */
	size_t length;
	uint8_t bytes[];
};

struct arrival {
	enum vici_message_kind kind;
	uint64_t number;
	struct vici_span message;
};

static void drop_first_held(struct vici_dispatch *dispatch)
{
	struct vici_held *held = dispatch->held;

	dispatch->held = held->next;
	if (!dispatch->held)
		dispatch->held_tail = &dispatch->held;
	dispatch->held_bytes -= sizeof(*held) + held->length;
	free(held);
}

void vici_dispatch_reset(struct vici_dispatch *dispatch)
{
	while (dispatch->held)
		drop_first_held(dispatch);
	vici_auth_free(&dispatch->auth);
	dispatch->querying = true;
	dispatch->queried_name[0] = '\0';
	dispatch->received = dispatch->finder.handling = 0;
	dispatch->finder.synced = false;
	vici_ended_reset(&dispatch->ended);
	vici_alerts_reset(&dispatch->alerts);
	dispatch->refusals.count = 0;
}

static int hold(struct vici_dispatch *dispatch, const struct arrival *arrival)
{
	size_t size = sizeof(struct vici_held) + arrival->message.length;
	struct vici_held *held;

	if (size > dispatch->held_bytes_max - dispatch->held_bytes)
		return -ENOBUFS;
	held = malloc(size);
	if (!held)
		return -ENOMEM;
	held->next = NULL;
	held->kind = arrival->kind;
	held->number = arrival->number;
	held->length = arrival->message.length;
	if (held->length)
		memcpy(held->bytes, arrival->message.at, held->length);
	*dispatch->held_tail = held;
	dispatch->held_tail = &held->next;
	dispatch->held_bytes += size;
	return 0;
}

static bool is_up(struct vici_span message)
{
	struct vici_member up;

	return vici_find(message, "up", VICI_MEMBER_VALUE, &up) && vici_text_is(up.value, "yes");
}

struct children_walk {
	enum vici_children_form form;
	const char *evidence; /* NULL: the children went down */
};

static void report_child(struct vici_dispatch *dispatch, const struct feed_child *child,
			 const char *evidence)
{
	const struct feed_sink *sink = dispatch->feed->sink;

	if (evidence)
		sink->child_up(sink->context, dispatch->feed, child, evidence);
	else
		sink->child_down(sink->context, dispatch->feed, child);
}

/* A record without both SPIs names no SA. */
static void refuse(struct vici_dispatch *dispatch, const struct vici_ike_sa *ike_sa,
		   const struct feed_child *child, const struct feed_refusal *refusal)
{
	const struct feed_sink *sink = dispatch->feed->sink;

	vici_log_refusal(&dispatch->refusals, dispatch->feed->name, ike_sa->config_name,
			 child->child_unique_id, refusal->reason);
	if (child->ipsec_protocol && child->spi_in && child->spi_out)
		sink->child_refused(sink->context, dispatch->feed, child, refusal);
}

/* Without evidence the child went down, and needs no proof of the peer. */
static void handle_child(struct vici_dispatch *dispatch, const struct vici_ike_sa *ike_sa,
			 struct vici_span section, const struct children_walk *walk,
			 const struct vici_finding *finding)
{
	struct feed_refusal refusal = {.evidence = walk->evidence, .decided = finding->decided};
	struct feed_child child;

	switch (vici_child_read(ike_sa, section, &child, &refusal.reason)) {
	case VICI_CHILD_OK:
		child.peer_auth = finding->class;
		child.peer_is_host = finding->is_host;
		child.peer_key = finding->peer_key;
		child.local_key = finding->local_key;
		refusal.reason = finding->unproven;
		if (walk->evidence && finding->unproven)
			refuse(dispatch, ike_sa, &child, &refusal);
		else if (!walk->evidence || finding->authenticated)
			report_child(dispatch, &child, walk->evidence);
		break;
	case VICI_CHILD_SKIPPED:
		break;
	case VICI_CHILD_REFUSED:
		refusal.decided = false;
		refuse(dispatch, ike_sa, &child, &refusal);
		break;
	case VICI_CHILD_UNNAMED:
		refuse(dispatch, ike_sa, &child, &refusal);
		break;
	}
	feed_child_release(&child);
}

static int handle_children_of(struct vici_dispatch *dispatch, const struct vici_ike_sa *ike_sa,
			      const struct children_walk *walk, const struct vici_finding *finding)
{
	struct vici_span children = ike_sa->children, section;
	int more;

	while ((more = vici_child_next(&children, walk->form, &section)) > 0)
		handle_child(dispatch, ike_sa, section, walk, finding);
	return more;
}

void vici_dispatch_query_begin(struct vici_dispatch *dispatch)
{
	dispatch->querying = true;
	vici_auth_listing_begin(&dispatch->auth, dispatch->received);
}

static int query_config(void *context, const char *config_name)
{
	struct vici_dispatch *dispatch = context;
	int err;

	text_copy(dispatch->queried_name, sizeof(dispatch->queried_name), config_name);
	vici_dispatch_query_begin(dispatch);
	err = dispatch->owner->query_config(dispatch->context, config_name);
	return err ? err : -EAGAIN;
}

void vici_dispatch_init(struct vici_dispatch *dispatch, struct feed *feed,
			const struct vici_dispatch_owner *owner, void *context)
{
	*dispatch = (struct vici_dispatch){
		.feed = feed,
		.owner = owner,
		.context = context,
		.held_bytes_max = VICI_HELD_BYTES_MAX,
	};
	dispatch->finder.auth = &dispatch->auth;
	dispatch->finder.query = query_config;
	dispatch->finder.context = dispatch;
	dispatch->held_tail = &dispatch->held;
	dispatch->querying = true;
	vici_ended_init(&dispatch->ended);
}

static void report_peer_down(void *context, const struct feed_peer *peer,
			     enum feed_down_cause cause)
{
	struct vici_dispatch *dispatch = context;
	const struct feed_sink *sink = dispatch->feed->sink;

	sink->peer_down(sink->context, dispatch->feed, peer, cause);
}

static int report_down(struct vici_dispatch *dispatch, const struct vici_ike_sa *ike_sa,
		       uint64_t number)
{
	enum vici_named_cause named;
	enum feed_down_cause cause;
	struct feed_peer peer;
	int err;

	err = vici_find_peer(&dispatch->finder, ike_sa, &peer);
	if (err && err != -ENOENT)
		return err;
	named = vici_alerts_take(&dispatch->alerts, ike_sa, number);
	if (err)
		return 0;
	cause = vici_ike_sa_down_cause(ike_sa, named);
	vici_ended_add(&dispatch->ended, &peer, cause == FEED_DOWN_PEER_REBOOTED);
	report_peer_down(dispatch, &peer,
			 cause == FEED_DOWN_PEER_REBOOTED ? FEED_DOWN_ORDERLY : cause);
	return 0;
}

static int handle_peer_down(struct vici_dispatch *dispatch, const struct vici_ike_sa *ike_sa,
			    uint64_t number)
{
	/* The IKE_SA may have been the last one without proof. Only one that this host began causes
	 * a list, because a gateway's peers choose how often theirs end. */
	if (ike_sa->initiator.at && vici_note_ended(&dispatch->finder, ike_sa))
		dispatch->owner->resync_soon(dispatch->context);
	return report_down(dispatch, ike_sa, number);
}

static int handle_peer_up(struct vici_dispatch *dispatch, const struct vici_ike_sa *ike_sa,
			  uint64_t number)
{
	const struct feed_sink *sink = dispatch->feed->sink;
	char config_name[FEED_NAME_MAX];
	struct feed_peer peer;
	int err = 0;

	if (!vici_text_copy(ike_sa->config_name, config_name, sizeof(config_name)))
		err = vici_auth_outdate(&dispatch->auth, config_name, number);
	/* An IKEv1 SA may adopt the children of another without an event. */
	if (vici_text_is(ike_sa->version, "1"))
		dispatch->owner->resync_soon(dispatch->context);
	dispatch->finder.fresh = true;
	if (!err)
		err = vici_find_peer(&dispatch->finder, ike_sa, &peer);
	if (err)
		return err == -ENOENT ? 0 : err;
	/* charon evaluates INITIAL_CONTACT only as responder. */
	if (!ike_sa->initiator.at)
		vici_ended_report_rebooted(&dispatch->ended, &peer, report_peer_down, dispatch);
	peer.just_authenticated = true;
	sink->peer_up(sink->context, dispatch->feed, &peer);
	return 0;
}

static int handle_ike_updown(struct vici_dispatch *dispatch, const struct arrival *arrival)
{
	struct vici_span message = arrival->message;
	struct vici_ike_sa ike_sa;
	int err = 0, more = 0;

	while (!err && (more = vici_ike_sa_next(&message, &ike_sa)) > 0)
		err = is_up(arrival->message)
			      ? handle_peer_up(dispatch, &ike_sa, arrival->number)
			      : handle_peer_down(dispatch, &ike_sa, arrival->number);
	return err ? err : more;
}

/* charon sends no event for the end of the old IKE_SA. An older list must not report it as up. */
static int handle_peer_rekeyed(struct vici_dispatch *dispatch, const struct vici_ike_sa *old,
			       const struct vici_ike_sa *new)
{
	const struct feed_sink *sink = dispatch->feed->sink;
	struct feed_peer before, peer;
	int err;

	if (!vici_peer_read(old, &before))
		return 0;
	err = vici_inherit_decision(&dispatch->finder, old, new);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = vici_find_peer(&dispatch->finder, new, &peer);
	if (err)
		return err == -ENOENT ? 0 : err;
	vici_ended_add(&dispatch->ended, &before, false);
	sink->peer_rekeyed(sink->context, dispatch->feed, before.ike_unique_id, &peer);
	return 0;
}

/* The children move to the new IKE_SA without an event of their own. */
static int handle_ike_rekey(struct vici_dispatch *dispatch, struct vici_span message)
{
	struct vici_ike_sa old, new;
	int err = 0, more = 0;

	while (!err && (more = vici_ike_rekey_next(&message, &old, &new)) > 0)
		err = handle_peer_rekeyed(dispatch, &old, &new);
	if (!err)
		dispatch->owner->resync_soon(dispatch->context);
	return err ? err : more;
}

/* Children that go down need no proof of their peer. */
static int find_for(struct vici_dispatch *dispatch, const struct vici_ike_sa *ike_sa,
		    const struct children_walk *walk, struct vici_finding *finding)
{
	*finding = (struct vici_finding){0};
	return walk->evidence ? vici_find_finding(&dispatch->finder, ike_sa, finding)
			      : vici_find_class(&dispatch->finder, ike_sa, &finding->class);
}

/* charon sends one IKE_SA per message. Of several, no IKE_SA is reported before all are decided. */
static int find_all(struct vici_dispatch *dispatch, struct vici_span message,
		    const struct children_walk *walk)
{
	struct vici_ike_sa ike_sa;
	struct vici_finding finding;
	int more = 0, err = 0;

	while (!err && (more = vici_ike_sa_next(&message, &ike_sa)) > 0)
		if (ike_sa.children.length)
			err = find_for(dispatch, &ike_sa, walk, &finding);
	return err ? err : more;
}

static int handle_children(struct vici_dispatch *dispatch, struct vici_span message,
			   const struct children_walk *walk)
{
	struct vici_ike_sa ike_sa;
	struct vici_finding finding;
	int more = 0, err;

	err = find_all(dispatch, message, walk);
	while (!err && (more = vici_ike_sa_next(&message, &ike_sa)) > 0) {
		if (!ike_sa.children.length)
			continue;
		err = find_for(dispatch, &ike_sa, walk, &finding);
		if (!err)
			err = handle_children_of(dispatch, &ike_sa, walk, &finding);
	}
	return err ? err : more;
}

static int handle_child_updown(struct vici_dispatch *dispatch, struct vici_span message)
{
	struct children_walk walk = {VICI_CHILDREN_LISTED, NULL};

	if (is_up(message))
		walk.evidence = "vici child-updown";
	return handle_children(dispatch, message, &walk);
}

static int handle_child_rekey(struct vici_dispatch *dispatch, struct vici_span message)
{
	static const struct children_walk walk = {VICI_CHILDREN_REKEYED, "vici child-rekey"};

	return handle_children(dispatch, message, &walk);
}

/* A list may be older than an event that arrived before the list. An IKE_SA that went down stays
 * down. */
static int handle_listed_peers(struct vici_dispatch *dispatch, struct vici_span message)
{
	const struct feed_sink *sink = dispatch->feed->sink;
	struct vici_ike_sa ike_sa;
	struct feed_peer peer;
	int err = 0, more = 0;

	while (!err && (more = vici_ike_sa_next(&message, &ike_sa)) > 0) {
		if (!vici_ike_sa_is_established(&ike_sa))
			continue;
		err = vici_find_peer(&dispatch->finder, &ike_sa, &peer);
		if (!err && !vici_ended_contain(&dispatch->ended, peer.ike_unique_id))
			sink->peer_up(sink->context, dispatch->feed, &peer);
		err = err == -ENOENT ? 0 : err;
	}
	return err ? err : more;
}

static int note_listed(struct vici_dispatch *dispatch, struct vici_span message)
{
	struct vici_ike_sa ike_sa;
	int more;

	while ((more = vici_ike_sa_next(&message, &ike_sa)) > 0)
		vici_note_listed(&dispatch->finder, &ike_sa);
	return more;
}

static int handle_list_sa(struct vici_dispatch *dispatch, struct vici_span message)
{
	static const struct children_walk walk = {VICI_CHILDREN_LISTED, FEED_EVIDENCE_LIST};
	int err;

	err = handle_listed_peers(dispatch, message);
	if (!err)
		err = handle_children(dispatch, message, &walk);
	return err ? err : note_listed(dispatch, message);
}

/*
 * Addresses change (MOBIKE, NAT). charon sends this event also before authentication. Any host
 * can begin such an IKE_SA, but it has no children.
 */
static int handle_ike_update(struct vici_dispatch *dispatch, struct vici_span message)
{
	struct vici_ike_sa ike_sa;
	bool established = false;
	int more;

	while ((more = vici_ike_sa_next(&message, &ike_sa)) > 0)
		established = established || vici_ike_sa_is_established(&ike_sa);
	if (established)
		dispatch->owner->resync_soon(dispatch->context);
	return more;
}

/* -EAGAIN: the message has to wait; nothing was reported. */
static int handle(struct vici_dispatch *dispatch, const struct arrival *arrival)
{
	dispatch->finder.handling = arrival->number;
	dispatch->finder.listing = arrival->kind == VICI_MESSAGE_LIST_SA;
	dispatch->finder.fresh = false;
	switch (arrival->kind) {
	case VICI_MESSAGE_IKE_UPDOWN:
		return handle_ike_updown(dispatch, arrival);
	case VICI_MESSAGE_CHILD_UPDOWN:
		return handle_child_updown(dispatch, arrival->message);
	case VICI_MESSAGE_CHILD_REKEY:
		return handle_child_rekey(dispatch, arrival->message);
	case VICI_MESSAGE_LIST_SA:
		return handle_list_sa(dispatch, arrival->message);
	case VICI_MESSAGE_IKE_REKEY:
		return handle_ike_rekey(dispatch, arrival->message);
	case VICI_MESSAGE_IKE_UPDATE:
		return handle_ike_update(dispatch, arrival->message);
	case VICI_MESSAGE_ALERT:
		return 0;
	case VICI_MESSAGE_SNAPSHOT_END:
		if (vici_finder_sweep(&dispatch->finder))
			dispatch->owner->resync_soon(dispatch->context);
		dispatch->owner->snapshot_end(dispatch->context);
		return 0;
	}
	return 0;
}

/* A list that is handled before this event may show the new IKE_SA. */
static void note_rekeys(struct vici_dispatch *dispatch, struct vici_span message)
{
	struct vici_ike_sa old, new;

	while (vici_ike_rekey_next(&message, &old, &new) > 0)
		vici_note_rekey(&dispatch->finder, &old, &new);
}

void vici_dispatch_alerts_complete(struct vici_dispatch *dispatch)
{
	vici_alerts_complete(&dispatch->alerts, dispatch->received);
}

int vici_dispatch_message(struct vici_dispatch *dispatch, enum vici_message_kind kind,
			  struct vici_span message)
{
	struct arrival arrival = {kind, ++dispatch->received, message};
	int err = -EAGAIN;

	/* Never waits: any host can cause alerts, as many as it likes. */
	if (kind == VICI_MESSAGE_ALERT) {
		vici_alerts_note(&dispatch->alerts, message);
		return 0;
	}
	if (kind == VICI_MESSAGE_IKE_REKEY)
		note_rekeys(dispatch, message);
	if (kind == VICI_MESSAGE_IKE_UPDOWN && !is_up(message))
		vici_alerts_note_down(&dispatch->alerts, message);
	if (!dispatch->querying)
		err = handle(dispatch, &arrival);
	return err == -EAGAIN ? hold(dispatch, &arrival) : err;
}

int vici_dispatch_query_end(struct vici_dispatch *dispatch)
{
	const char *queried_name = dispatch->queried_name[0] ? dispatch->queried_name : NULL;
	int err;

	err = vici_auth_listing_end(&dispatch->auth, queried_name);
	if (!err)
		vici_note_configs(&dispatch->finder, queried_name);
	dispatch->querying = false;
	while (!err && dispatch->held) {
		struct vici_held *held = dispatch->held;
		struct arrival arrival = {
			.kind = held->kind,
			.number = held->number,
			.message = {held->bytes, held->length},
		};

		err = handle(dispatch, &arrival);
		if (!err)
			drop_first_held(dispatch);
	}
	return err == -EAGAIN ? 0 : err;
}
