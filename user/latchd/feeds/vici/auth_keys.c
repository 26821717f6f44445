/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/auth_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"

bool vici_auth_needs_keys(const struct vici_auth *auth)
{
	return auth->listing_pins;
}

static bool is_pinned(const struct vici_auth *auth, const struct vici_auth_entry *entry)
{
	return entry && entry->listing == auth->listing && entry->remote.cert;
}

bool vici_auth_is_decided(const struct vici_auth *auth, const char *config_name)
{
	const struct vici_auth_entry *entry = vici_auth_entry(auth, config_name);

	return is_pinned(auth, entry) && entry->decided;
}

/* ---- what a connection may cost */

static unsigned int asks_left_over(const struct vici_auth_entry *entry)
{
	uint64_t past = (loop_now_ms() - entry->asked_ms) / VICI_KEYS_ASK_MS;

	return past < entry->asks ? entry->asks - (unsigned int)past : 0;
}

bool vici_auth_may_ask(struct vici_auth *auth, const char *config_name)
{
	struct vici_auth_entry *entry = vici_auth_entry(auth, config_name);
	unsigned int asks = entry ? asks_left_over(entry) : VICI_KEYS_ASKS;

	if (asks >= VICI_KEYS_ASKS)
		return false;
	entry->asks = asks + 1;
	entry->asked_ms = loop_now_ms();
	return true;
}

/* ---- the subjects of one connection */

void vici_auth_keys_begin(struct vici_auth *auth)
{
	vici_keys_clear(&auth->keys);
}

/* charon reads it as the encoding of a DN (identification.c). */
static bool write_name(const struct vici_decided_key *end, char subject[VICI_SUBJECT_MAX])
{
	size_t i, length = (size_t)sprintf(subject, "asn1dn:#");

	for (i = 0; i < end->name_length; i++)
		length += (size_t)sprintf(subject + length, "%02x", (uint8_t)end->name[i]);
	return end->name;
}

static bool write_text(const char *cert, char subject[VICI_SUBJECT_MAX])
{
	if (cert)
		snprintf(subject, VICI_SUBJECT_MAX, "%s", cert);
	return cert;
}

/* By its text, then by its encoding if that did not find it. */
static bool write_subject(const struct vici_auth *auth, const struct vici_auth_entry *entry,
			  unsigned int step, char subject[VICI_SUBJECT_MAX])
{
	const struct vici_remote *remote = &entry->remote;

	switch (step) {
	case 0:
		return write_text(remote->cert, subject);
	case 1:
		return !vici_keys_lists(&auth->keys, remote->cert, false) &&
		       write_name(&entry->peer, subject);
	case 2:
		return entry->peer.key.known && write_text(remote->local_cert, subject);
	case 3:
		return entry->peer.key.known && remote->local_cert &&
		       !vici_keys_lists(&auth->keys, remote->local_cert, true) &&
		       write_name(&entry->local, subject);
	}
	return false;
}

bool vici_auth_next_subject(const struct vici_auth *auth, const char *config_name,
			    unsigned int *step, char subject[VICI_SUBJECT_MAX])
{
	const struct vici_auth_entry *entry = vici_auth_entry(auth, config_name);

	while (entry && *step < 4)
		if (write_subject(auth, entry, (*step)++, subject))
			return true;
	return false;
}

int vici_auth_read_cert(struct vici_auth *auth, struct vici_span message)
{
	return vici_keys_read(&auth->keys, message);
}

/* ---- a round of answers */

/* retries: may several keys, of which none was known before, be fewer by now? */
static enum vici_keys_result compare_with(const struct vici_found_key *found,
					  const struct feed_key *before, bool retries)
{
	if (found->several)
		return before->known || retries ? VICI_KEYS_SEVERAL : VICI_KEYS_SAME;
	if (!found->key.known)
		return before->known ? VICI_KEYS_ABSENT : VICI_KEYS_SAME;
	return before->known && !memcmp(found->key.sha256, before->sha256, sizeof(before->sha256))
		       ? VICI_KEYS_SAME
		       : VICI_KEYS_OTHER;
}

/* ret_key: the decided key if it is confirmed, else not known. */
static enum vici_keys_result check_end(const struct vici_keys *keys, const char *cert, bool own,
				       const struct feed_key *before, bool retries,
				       struct feed_key *ret_key)
{
	struct vici_found_key found = vici_keys_find(keys, cert, own);
	enum vici_keys_result result = compare_with(&found, before, retries);

	*ret_key = result == VICI_KEYS_SAME ? *before : (struct feed_key){.known = false};
	return result;
}

/* This host's key is of use only beside the peer's. */
static enum vici_keys_result check(const struct vici_keys *keys, struct vici_auth_entry *entry,
				   bool retries)
{
	struct vici_remote *remote = &entry->remote;
	enum vici_keys_result peer, local = VICI_KEYS_SAME;

	remote->key = remote->local_key = (struct feed_key){.known = false};
	if (!entry->decided)
		return VICI_KEYS_OTHER;
	peer = check_end(keys, remote->cert, false, &entry->peer.key, retries, &remote->key);
	if (remote->key.known && remote->local_cert)
		local = check_end(keys, remote->local_cert, true, &entry->local.key, retries,
				  &remote->local_key);
	return peer > local ? peer : local;
}

static enum vici_keys_result check_all(struct vici_auth *auth)
{
	enum vici_keys_result result = VICI_KEYS_SAME, one;
	struct vici_auth_entry *entry;
	size_t i;

	for (i = 0; i < VICI_AUTH_BUCKETS; i++)
		for (entry = auth->buckets[i]; entry; entry = entry->next) {
			if (!is_pinned(auth, entry))
				continue;
			one = check(&auth->keys, entry, false);
			result = one > result ? one : result;
		}
	return result;
}

/* One name in the answer: not all connections are visited. */
enum vici_keys_result vici_auth_keys_end(struct vici_auth *auth, const char *config_name)
{
	struct vici_auth_entry *entry;

	vici_keys_end(&auth->keys);
	if (!config_name)
		return check_all(auth);
	entry = vici_auth_entry(auth, config_name);
	return is_pinned(auth, entry) ? check(&auth->keys, entry, !asks_left_over(entry))
				      : VICI_KEYS_SAME;
}

/* ---- decisions */

/* A name that is not kept is asked for by its text only. */
static void keep_name(struct vici_decided_key *end, struct vici_text name)
{
	free(end->name);
	end->name = name.at && name.length <= VICI_NAME_DER_MAX ? malloc(name.length) : NULL;
	end->name_length = end->name ? name.length : 0;
	if (end->name)
		memcpy(end->name, name.at, name.length);
}

static void decide_end(const struct vici_keys *keys, const char *cert, bool own,
		       struct vici_decided_key *end)
{
	struct vici_found_key found = {.several = false};

	if (cert)
		found = vici_keys_find(keys, cert, own);
	end->key = found.key;
	keep_name(end, found.name);
}

static void decide(const struct vici_keys *keys, struct vici_auth_entry *entry)
{
	struct vici_remote *remote = &entry->remote;

	decide_end(keys, remote->cert, false, &entry->peer);
	decide_end(keys, entry->peer.key.known ? remote->local_cert : NULL, true, &entry->local);
	remote->key = entry->peer.key;
	remote->local_key = entry->local.key;
	entry->decided = true;
}

void vici_auth_keys_decide(struct vici_auth *auth)
{
	struct vici_auth_entry *entry;
	size_t i;

	for (i = 0; i < VICI_AUTH_BUCKETS; i++)
		for (entry = auth->buckets[i]; entry; entry = entry->next)
			if (is_pinned(auth, entry))
				decide(&auth->keys, entry);
	vici_keys_clear(&auth->keys);
}

/* Without their keys the peers of decided connections would be other ones. */
void vici_auth_keys_give_up(struct vici_auth *auth)
{
	struct vici_auth_entry *entry;
	size_t i;

	vici_keys_clear(&auth->keys);
	for (i = 0; i < VICI_AUTH_BUCKETS; i++)
		for (entry = auth->buckets[i]; entry; entry = entry->next)
			if (is_pinned(auth, entry) && entry->decided)
				entry->known_at = 0;
}
