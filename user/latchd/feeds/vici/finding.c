/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/finding.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/feeds/vici/proof.h"

/*
 * The doubt of an IKE_SA that was not seen before. An answer from before it was seen may be older
 * than the configuration under which the peer authenticated. The first snapshot follows its query
 * at once.
 */
static int decide(struct vici_finder *finder, const struct feed_peer *peer, const char **doubt)
{
	uint64_t since = finder->synced ? finder->handling : 0;
	const struct vici_remote *remote;

	if (!vici_auth_remote(finder->auth, peer->config_name, since, &remote))
		return finder->query(finder->context, peer->config_name);
	*doubt = vici_remote_doubt(remote, peer->id, &finder->statements);
	return 0;
}

/* An IKE_SA that was never established may be DELETING or DESTROYING without authentication. */
static bool is_set_up(const struct vici_ike_sa *ike_sa)
{
	return vici_ike_sa_is_established(ike_sa) || vici_text_is(ike_sa->state, "REKEYED");
}

static int note_verdict(struct vici_finder *finder, uint32_t ike_unique_id, const char *doubt)
{
	int err, lost = 0;

	err = vici_verdicts_set(&finder->verdicts, ike_unique_id, doubt);
	if (!err && doubt)
		lost = vici_doubts_add(&finder->doubts, ike_unique_id, &finder->verdicts);
	/* The file stays closed: this is logged once. */
	if (lost)
		log_warn("vici", "doubts not kept for the next latchd (%s): %s; make room there",
			 strerror(-lost), finder->doubts.path);
	return err;
}

static int find_verdict(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
			const struct feed_peer *peer, struct vici_finding *finding)
{
	const char *doubt = NULL;
	int err;

	finding->authenticated = vici_verdicts_find(&finder->verdicts, peer->ike_unique_id, &doubt);
	if (!finding->authenticated) {
		err = decide(finder, peer, &doubt);
		if (err)
			return err;
		finding->authenticated = is_set_up(ike_sa);
		if (finding->authenticated && note_verdict(finder, peer->ike_unique_id, doubt))
			doubt = "latchd has no room to note its peer";
	}
	finding->doubt = vici_identity_doubt(ike_sa, peer, &finder->statements, doubt);
	return 0;
}

int vici_find_class(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
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

int vici_find_finding(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		      struct vici_finding *finding)
{
	struct feed_peer peer;
	int err;

	*finding = (struct vici_finding){0};
	err = vici_find_class(finder, ike_sa, &finding->class);
	if (err || !vici_peer_read(ike_sa, &peer))
		return err;
	peer.auth = finding->class;
	return find_verdict(finder, ike_sa, &peer, finding);
}

int vici_find_peer(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		   struct feed_peer *peer)
{
	struct vici_finding finding;
	int err;

	if (!vici_peer_read(ike_sa, peer))
		return -ENOENT;
	err = vici_find_finding(finder, ike_sa, &finding);
	peer->auth = finding.class;
	return !err && finding.doubt ? -ENOENT : err;
}

int vici_inherit_verdict(struct vici_finder *finder, const struct vici_ike_sa *old,
			 const struct vici_ike_sa *new)
{
	struct vici_finding finding;
	struct feed_peer before, after;
	const char *doubt;
	int err;

	err = vici_find_finding(finder, old, &finding);
	if (err || !vici_peer_read(old, &before) || !vici_peer_read(new, &after) ||
	    !vici_verdicts_find(&finder->verdicts, before.ike_unique_id, &doubt))
		return err;
	/* Without memory for it the new IKE_SA is decided anew, and refused if there is none. */
	note_verdict(finder, after.ike_unique_id, doubt);
	return 0;
}
