/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/finding.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "common/text.h"
#include "latchd/feeds/vici/proof.h"

/* ---- the memory */

void vici_finder_free(struct vici_finder *finder)
{
	vici_decisions_clear(&finder->memory.decisions);
	vici_unproven_clear(&finder->memory.unproven_connections);
}

int vici_finder_forget(struct vici_finder *finder)
{
	int err;

	vici_finder_free(finder);
	finder->memory.unnoted = finder->unnoted = 0;
	err = vici_decisions_reserve(&finder->memory.decisions);
	return err ? err : keyed_hash_new_key(&finder->memory.key);
}

void vici_finder_take(struct vici_finder *finder, struct vici_finder *former)
{
	vici_finder_free(finder);
	finder->memory = former->memory;
	memset(&former->memory, 0, sizeof(former->memory));
	/* A number from a first list that has not ended does not count yet. */
	finder->unnoted = former->unnoted;
	vici_decision_file_succeed(&finder->file, &former->file);
}

/* ---- notes */

/* The file stays closed until the end of a list, so each list has at most one such line. */
static void warn_of_file(const struct vici_finder *finder, int err)
{
	if (err)
		log_warn("vici", "decisions not kept for the next latchd (%s): %s; make room there",
			 strerror(-err), finder->file.path);
}

/*
 * An IKE_SA without room for its decision is never decided later: its connection may have been
 * reloaded. In the first list IKE_SAs with lower numbers may follow, so the number counts when the
 * list is complete. Until then no share gets room again, but memory may.
 */
static void note_unnoted(struct vici_finder *finder, uint32_t ike_unique_id, bool at_once)
{
	struct vici_memory *memory = &finder->memory;

	if (ike_unique_id > memory->unnoted) {
		memory->unnoted = ike_unique_id;
		warn_of_file(finder, vici_decision_file_add_unnoted(&finder->file, memory));
	}
	if (finder->synced || at_once)
		finder->unnoted = memory->unnoted;
}

static void leave_unnoted(struct vici_finder *finder, uint32_t ike_unique_id, int err)
{
	unsigned int left_out;

	note_unnoted(finder, ike_unique_id, err == -ENOMEM);
	if (log_limit_admits(&finder->unnoted_log, &left_out))
		log_warn("vici",
			 "ike_sa %u unproven (%s): its connection, its identity or all have too "
			 "many IKE_SAs; its SAs stay unattributed; %u more since the last line",
			 ike_unique_id, strerror(-err), left_out);
}

/* err: result of the write to the table. */
static int keep_noted(struct vici_finder *finder, uint32_t ike_unique_id, int err)
{
	struct vici_memory *memory = &finder->memory;
	struct vici_decision copy;

	if (err) {
		leave_unnoted(finder, ike_unique_id, err);
		return err;
	}
	copy = *vici_decisions_find(&memory->decisions, ike_unique_id);
	warn_of_file(finder, vici_decision_file_add(&finder->file, ike_unique_id, &copy, memory));
	return 0;
}

static int note_decision(struct vici_finder *finder, uint32_t ike_unique_id,
			 const struct vici_decision *decision)
{
	struct vici_decisions *decisions = &finder->memory.decisions;

	if (vici_decisions_find(decisions, ike_unique_id))
		return 0;
	return keep_noted(finder, ike_unique_id,
			  vici_decisions_set(decisions, ike_unique_id, decision));
}

/* old has a decision. */
static int note_inherited(struct vici_finder *finder, uint32_t ike_unique_id, uint32_t old)
{
	struct vici_decisions *decisions = &finder->memory.decisions;
	const struct vici_decision *known = vici_decisions_find(decisions, ike_unique_id);

	if (known && known->proof != VICI_UNPROVEN_UNNOTED)
		return 0;
	return keep_noted(finder, ike_unique_id,
			  vici_decisions_inherit(decisions, ike_unique_id, old));
}

static void note_unproven_connection(struct vici_finder *finder, uint64_t connection, bool traps)
{
	bool had_rest = finder->memory.unproven_connections.has_rest;

	if (vici_unproven_note(&finder->memory.unproven_connections, connection, traps))
		warn_of_file(finder, vici_decision_file_add_unproven(&finder->file, connection,
								     traps, &finder->memory));
	if (!had_rest && finder->memory.unproven_connections.has_rest)
		log_warn("vici",
			 "unproven connections not all kept (no room): an IKE_SA that this host "
			 "begins is unproven until two lists show none; remove connections");
}

bool vici_finder_sweep(struct vici_finder *finder)
{
	struct vici_memory *memory = &finder->memory;
	uint32_t unproven;
	bool waits, ended;

	finder->synced = true;
	finder->unnoted = memory->unnoted;
	unproven = vici_decisions_sweep(&memory->decisions);
	/* The IKE_SA may still exist: charon leaves an IKE_SA with very many CHILD_SAs out of its
	 * lists. */
	if (unproven)
		note_unnoted(finder, unproven, true);
	waits = vici_unproven_sweep(&memory->unproven_connections, &ended);
	if (ended)
		warn_of_file(finder, vici_decision_file_renew(&finder->file, memory));
	vici_decision_file_retry(&finder->file, memory);
	return waits;
}

/* ---- decisions */

static bool is_being_negotiated(const struct vici_ike_sa *ike_sa)
{
	return vici_text_is(ike_sa->state, "CREATED") || vici_text_is(ike_sa->state, "CONNECTING");
}

/*
 * True: the IKE_SA may continue one of an unproven connection. This host began the IKE_SA, or
 * latchd saw no event of its authentication. In the second case a rekey by the peer may hide that
 * this host began the first IKE_SA. The peer may have authenticated under an earlier configuration.
 */
static bool may_continue(const struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
			 uint64_t connection)
{
	bool unseen = !finder->synced && !finder->fresh;

	return (ike_sa->initiator.at || unseen) &&
	       vici_unproven_contain(&finder->memory.unproven_connections, connection);
}

/* An EAP or XAuth identity counts by a statement. It says nothing of configurations that are loaded
 * later. */
static bool is_unproven(const struct vici_ike_sa *ike_sa, const struct vici_decision *decision)
{
	return !vici_is_proof(decision->proof) || vici_identity_is_eap(ike_sa, decision->class);
}

/* A connection that was never listed may leave traps. */
static void note_unproven(struct vici_finder *finder, const struct vici_remote *remote,
			  const struct vici_decision *decision)
{
	note_unproven_connection(finder, decision->connection,
				 remote->traps || !remote->was_listed);
}

static void refuse_unproven_connection(struct vici_finder *finder, struct vici_decision *decision)
{
	decision->proof = VICI_UNPROVEN_FORMER;
	note_unproven_connection(finder, decision->connection, false);
}

/* Without room there is no query: peers can cause any number of such IKE_SAs. */
static bool has_room(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		     const struct feed_peer *peer, const struct vici_decision *decision)
{
	int err = vici_decisions_room(&finder->memory.decisions, decision->connection,
				      decision->peer);

	if (err && vici_ike_sa_is_set_up(ike_sa))
		leave_unnoted(finder, peer->ike_unique_id, err);
	return !err && (finder->fresh || peer->ike_unique_id > finder->unnoted);
}

static const struct vici_remote *listed_last(const struct vici_finder *finder,
					     const char *config_name)
{
	static const struct vici_remote unknown = {0};
	const struct vici_remote *remote = &unknown;

	vici_auth_remote(finder->auth, config_name, 0, &remote);
	return remote;
}

/* A connection that was proof when last listed does not become unproven: other peers can use up the
 * room. */
static void refuse_unnoted(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
			   const struct feed_peer *peer, struct vici_decision *decision)
{
	const struct vici_remote *remote = listed_last(finder, peer->config_name);

	decision->proof =
		vici_stated_proof(vici_remote_proof(remote, peer->id), &finder->statements);
	if (is_unproven(ike_sa, decision) && vici_ike_sa_is_set_up(ike_sa))
		note_unproven(finder, remote, decision);
	decision->proof = VICI_UNPROVEN_UNNOTED;
}

/*
 * Decides on an IKE_SA that was not seen before. An earlier answer may be older than the
 * configuration under which the peer authenticated. The first list is sent right after its query,
 * so the answer to that query counts.
 */
static int decide(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		  const struct feed_peer *peer, struct vici_decision *decision)
{
	uint64_t since = finder->listing && !finder->synced ? 0 : finder->handling;
	const struct vici_remote *remote;

	if (!has_room(finder, ike_sa, peer, decision)) {
		refuse_unnoted(finder, ike_sa, peer, decision);
		return 0;
	}
	if (!vici_auth_remote(finder->auth, peer->config_name, since, &remote))
		return finder->query(finder->context, peer->config_name);
	decision->proof =
		vici_stated_proof(vici_remote_proof(remote, peer->id), &finder->statements);
	decision->peer_key = remote->key;
	decision->local_key = remote->local_key;
	if (is_unproven(ike_sa, decision) && vici_ike_sa_is_set_up(ike_sa))
		note_unproven(finder, remote, decision);
	else if (may_continue(finder, ike_sa, decision->connection))
		refuse_unproven_connection(finder, decision);
	return 0;
}

/* Also finds the decision of the IKE_SA that this one continues. */
static const struct vici_decision *find_decision(struct vici_finder *finder, uint32_t ike_unique_id)
{
	struct vici_decisions *decisions = &finder->memory.decisions;
	const struct vici_decision *decision = vici_decisions_find(decisions, ike_unique_id);
	uint32_t old;

	if (decision)
		return decision;
	old = vici_decisions_followed(decisions, ike_unique_id);
	if (!old || note_inherited(finder, ike_unique_id, old))
		return NULL;
	return vici_decisions_find(decisions, ike_unique_id);
}

static const struct vici_decision *known_decision(struct vici_finder *finder,
						  const struct vici_ike_sa *ike_sa)
{
	uint32_t ike_unique_id;

	return vici_text_number(ike_sa->unique_id, 10, &ike_unique_id)
		       ? NULL
		       : find_decision(finder, ike_unique_id);
}

static enum vici_proof noted_proof(struct vici_finder *finder, uint32_t ike_unique_id,
				   const struct vici_decision *decision)
{
	return note_decision(finder, ike_unique_id, decision) ? VICI_UNPROVEN_UNNOTED
							      : decision->proof;
}

/* Without a kept decision a later report may find other keys. */
static void tell_keys(const struct vici_decision *decision, struct vici_finding *finding)
{
	if (!vici_is_proof(decision->proof))
		return;
	finding->peer_key = decision->peer_key;
	finding->local_key = decision->local_key;
}

static int find_new(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		    const struct feed_peer *peer, struct vici_finding *finding)
{
	struct vici_decision decision = {
		.class = peer->auth,
		.connection = vici_name_of_connection(&finder->memory, ike_sa->config_name),
		.peer = vici_name_of_peer(&finder->memory, peer),
	};
	int err = decide(finder, ike_sa, peer, &decision);

	if (err)
		return err;
	finding->authenticated = vici_ike_sa_is_set_up(ike_sa);
	if (finding->authenticated && decision.proof != VICI_UNPROVEN_UNNOTED)
		decision.proof = noted_proof(finder, peer->ike_unique_id, &decision);
	finding->decided = finding->authenticated && vici_proof_is_decided(decision.proof);
	tell_keys(&decision, finding);
	finding->unproven =
		vici_identity_unproven(ike_sa, peer, &finder->statements, decision.proof);
	finding->is_host = vici_identity_is_host(ike_sa, peer, decision.proof);
	return 0;
}

static int query_class(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		       enum feed_auth *class)
{
	char config_name[FEED_NAME_MAX];

	*class = FEED_AUTH_UNKNOWN;
	/* Children of a name that does not fit are refused: they need no class. */
	if (vici_text_copy(ike_sa->config_name, config_name, sizeof(config_name)) ||
	    vici_auth_find(finder->auth, config_name, class))
		return 0;
	return finder->query(finder->context, config_name);
}

int vici_find_class(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		    enum feed_auth *class)
{
	const struct vici_decision *decision = known_decision(finder, ike_sa);

	/* charon never gives a number to two IKE_SAs, and an IKE_SA keeps its connection. */
	if (!decision || decision->proof == VICI_UNPROVEN_UNNOTED ||
	    decision->connection != vici_name_of_connection(&finder->memory, ike_sa->config_name))
		return query_class(finder, ike_sa, class);
	*class = decision->class;
	return 0;
}

/*
 * An identity that cannot be represented has no decision. Its peer may have a readable identity
 * when this host authenticates it again. The class was queried after the peer had authenticated.
 */
static void note_unreadable(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
			    enum feed_auth class)
{
	struct vici_decision decision = {
		.class = class,
		.connection = vici_name_of_connection(&finder->memory, ike_sa->config_name),
	};
	const struct vici_remote *remote;
	char config_name[FEED_NAME_MAX];

	if (!vici_ike_sa_is_set_up(ike_sa) ||
	    vici_text_copy(ike_sa->config_name, config_name, sizeof(config_name)))
		return;
	remote = listed_last(finder, config_name);
	decision.proof = vici_stated_proof(vici_remote_proof(remote, remote->id ? remote->id : ""),
					   &finder->statements);
	if (is_unproven(ike_sa, &decision))
		note_unproven(finder, remote, &decision);
}

int vici_find_finding(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		      struct vici_finding *finding)
{
	const struct vici_decision *decision;
	struct feed_peer peer;
	int err;

	*finding = (struct vici_finding){0};
	err = vici_find_class(finder, ike_sa, &finding->class);
	if (err)
		return err;
	if (!vici_peer_read(ike_sa, &peer)) {
		note_unreadable(finder, ike_sa, finding->class);
		finding->decided = vici_ike_sa_is_set_up(ike_sa);
		return 0;
	}
	peer.auth = finding->class;
	decision = find_decision(finder, peer.ike_unique_id);
	if (!decision)
		return find_new(finder, ike_sa, &peer, finding);
	finding->authenticated = true;
	finding->decided = vici_proof_is_decided(decision->proof);
	tell_keys(decision, finding);
	finding->unproven =
		vici_identity_unproven(ike_sa, &peer, &finder->statements, decision->proof);
	finding->is_host = vici_identity_is_host(ike_sa, &peer, decision->proof);
	return 0;
}

int vici_find_peer(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		   struct feed_peer *peer)
{
	struct vici_finding finding;
	int err = vici_find_finding(finder, ike_sa, &finding);
	bool readable = vici_peer_read(ike_sa, peer);

	peer->auth = finding.class;
	peer->key = finding.peer_key;
	return !err && (finding.unproven || !readable) ? -ENOENT : err;
}

/* ---- IKE_SAs that continue others */

int vici_inherit_decision(struct vici_finder *finder, const struct vici_ike_sa *old,
			  const struct vici_ike_sa *new)
{
	struct vici_finding finding;
	struct feed_peer after;
	uint32_t before;
	int err;

	err = vici_find_finding(finder, old, &finding);
	if (err || !vici_peer_read(new, &after))
		return err;
	if (!vici_text_number(old->unique_id, 10, &before) && known_decision(finder, old))
		note_inherited(finder, after.ike_unique_id, before);
	else
		note_unnoted(finder, after.ike_unique_id, true);
	return 0;
}

/* The IKE_SA continues one without a decision yet, and the table has no room to record that. */
static void refuse_until_event(struct vici_finder *finder, const struct vici_ike_sa *ike_sa)
{
	struct vici_decision decision = {.proof = VICI_UNPROVEN_UNNOTED};
	struct feed_peer peer;

	if (!vici_peer_read(ike_sa, &peer))
		return;
	decision.connection = vici_name_of_connection(&finder->memory, ike_sa->config_name);
	decision.peer = vici_name_of_peer(&finder->memory, &peer);
	note_decision(finder, peer.ike_unique_id, &decision);
}

void vici_note_rekey(struct vici_finder *finder, const struct vici_ike_sa *old,
		     const struct vici_ike_sa *new)
{
	struct feed_peer peer;
	uint32_t after;

	/* A peer with an unreadable record never has a decision. */
	if (!vici_peer_read(old, &peer) || vici_text_number(new->unique_id, 10, &after))
		return;
	if (find_decision(finder, peer.ike_unique_id))
		note_inherited(finder, after, peer.ike_unique_id);
	else if (peer.ike_unique_id <= finder->unnoted)
		note_unnoted(finder, after, true);
	else if (vici_decisions_follow(&finder->memory.decisions, after, peer.ike_unique_id))
		refuse_until_event(finder, new);
}

void vici_note_listed(struct vici_finder *finder, const struct vici_ike_sa *ike_sa)
{
	const struct vici_decision *decision = known_decision(finder, ike_sa);
	/* Any host can begin a negotiation. As responder charon uses the loaded configuration. */
	bool continues = ike_sa->initiator.at || !is_being_negotiated(ike_sa);

	if (decision ? is_unproven(ike_sa, decision) : continues)
		vici_unproven_seen(&finder->memory.unproven_connections,
				   vici_name_of_connection(&finder->memory, ike_sa->config_name));
}

bool vici_note_ended(struct vici_finder *finder, const struct vici_ike_sa *ike_sa)
{
	/* A stated connection is not refused while unproven, so its end needs no list at once. */
	return !vici_is_stated(&finder->statements, ike_sa->config_name) &&
	       vici_unproven_await(&finder->memory.unproven_connections,
				   vici_name_of_connection(&finder->memory, ike_sa->config_name));
}

/* charon changes the children of a connection for its existing IKE_SAs, too. */
static void note_trap(void *context, const char *config_name)
{
	struct vici_finder *finder = context;
	uint64_t connection = keyed_hash(&finder->memory.key, config_name, strlen(config_name));

	if (vici_unproven_trap(&finder->memory.unproven_connections, connection))
		warn_of_file(finder, vici_decision_file_add_unproven(&finder->file, connection,
								     true, &finder->memory));
}

void vici_note_configs(struct vici_finder *finder, const char *config_name)
{
	vici_auth_each_trap(finder->auth, config_name, note_trap, finder);
}
