/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "latchd/feeds/vici/certificate.h"

static int add_entry(struct vici_auth *auth, const char *config_name,
		     struct vici_auth_entry **ret_entry)
{
	struct vici_auth_entry *entry, **bucket = vici_auth_bucket(auth, config_name);

	if (auth->entry_count == VICI_AUTH_ENTRIES_MAX)
		return -E2BIG;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	text_copy(entry->config_name, sizeof(entry->config_name), config_name);
	entry->next = *bucket;
	*bucket = entry;
	auth->entry_count++;
	*ret_entry = entry;
	return 0;
}

static int find_or_add_entry(struct vici_auth *auth, const char *config_name,
			     struct vici_auth_entry **ret_entry)
{
	*ret_entry = vici_auth_entry(auth, config_name);
	return *ret_entry ? 0 : add_entry(auth, config_name, ret_entry);
}

static void free_remote(struct vici_remote *remote)
{
	free(remote->id);
	free(remote->cert);
	free(remote->local_cert);
}

void vici_auth_free(struct vici_auth *auth)
{
	struct vici_auth_entry *entry;
	size_t i;

	for (i = 0; i < VICI_AUTH_BUCKETS; i++) {
		while ((entry = auth->buckets[i])) {
			auth->buckets[i] = entry->next;
			free_remote(&entry->remote);
			free(entry->peer.name);
			free(entry->local.name);
			free(entry);
		}
	}
	vici_keys_clear(&auth->keys);
	*auth = (struct vici_auth){0};
}

void vici_auth_listing_begin(struct vici_auth *auth, uint64_t queried_at)
{
	auth->listing++;
	auth->listing_queried_at = queried_at;
	auth->listing_pins = false;
	vici_keys_clear(&auth->keys);
}

enum feed_auth vici_auth_class(struct vici_text text)
{
	if (vici_text_is(text, "public key"))
		return FEED_AUTH_PUBKEY;
	if (vici_text_is(text, "pre-shared key"))
		return FEED_AUTH_PSK;
	if (vici_text_is(text, "EAP"))
		return FEED_AUTH_EAP;
	if (vici_text_is(text, "XAuth"))
		return FEED_AUTH_XAUTH;
	return FEED_AUTH_UNKNOWN; /* "any" too: the peer chooses */
}

/* Class of several rounds: EAP or XAuth, since it supplies the identity; else the weakest. */
static unsigned int weight(enum feed_auth class)
{
	switch (class) {
	case FEED_AUTH_EAP:
		return 6;
	case FEED_AUTH_XAUTH:
		return 5;
	case FEED_AUTH_UNKNOWN:
		return 4;
	case FEED_AUTH_NULL:
		return 3;
	case FEED_AUTH_PSK:
		return 2;
	case FEED_AUTH_PUBKEY:
		return 1;
	}
	return 4;
}

static enum feed_auth combine(enum feed_auth one, enum feed_auth other)
{
	return weight(one) >= weight(other) ? one : other;
}

/* prefix: "remote-" or "local-" */
static bool is_section(const struct vici_member *member, const char *prefix)
{
	size_t length = strlen(prefix);

	return member->kind == VICI_MEMBER_SECTION && member->name.length > length &&
	       !memcmp(member->name.at, prefix, length);
}

struct round {
	enum feed_auth class;
	struct vici_text id; /* at NULL: none */
	size_t certs;
	struct vici_text cert; /* the first one */
};

static struct round read_round(struct vici_span section)
{
	struct round round = {.class = FEED_AUTH_UNKNOWN};
	struct vici_member member;
	struct vici_text cert;

	if (vici_find(section, "class", VICI_MEMBER_VALUE, &member))
		round.class = vici_auth_class(member.value);
	if (vici_find(section, "id", VICI_MEMBER_VALUE, &member))
		round.id = member.value;
	if (vici_find(section, "certs", VICI_MEMBER_LIST, &member))
		while (vici_item_next(&member.body, &cert) > 0)
			round.cert = round.certs++ ? round.cert : cert;
	return round;
}

static bool names_a_user(enum feed_auth class)
{
	return class == FEED_AUTH_EAP || class == FEED_AUTH_XAUTH;
}

/* The loosest round decides over the names. charon prints the identity of the last round, so its
 * one listed certificate sets pinned. */
static int add_round(struct vici_remote *remote, const struct round *round)
{
	char id[FEED_ID_MAX] = "";
	enum vici_names names;

	if (names_a_user(round->class))
		return 0;
	/* The peer may have any one of several listed keys. */
	remote->pinned = round->class == FEED_AUTH_PUBKEY && round->certs == 1;
	if (!round->id.at || vici_text_copy(round->id, id, sizeof(id)))
		id[0] = '\0';
	names = vici_names_of(id);
	if (names > remote->names)
		remote->names = names;
	free(remote->id);
	remote->id = strdup(id);
	return remote->id ? 0 : -ENOMEM;
}

/* Of another one no list of certificates could tell the key. */
static bool is_readable(struct vici_text cert)
{
	char subject[FEED_ID_MAX];

	return !vici_text_copy(cert, subject, sizeof(subject)) &&
	       vici_subject_is_readable(subject, sizeof(subject));
}

/* The subject of the only certificate of an end that authenticates once, by a key. NULL: there is
 * none, or no key can be known of it. 0 or -ENOMEM. */
static int read_only_cert(struct vici_span config, const char *prefix, char **ret)
{
	struct round only = {.certs = 0}, round;
	struct vici_member member;
	size_t rounds = 0;

	while (vici_member_next(&config, &member) > 0) {
		if (!is_section(&member, prefix))
			continue;
		round = read_round(member.body);
		only = rounds++ ? only : round;
	}
	if (rounds != 1 || only.class != FEED_AUTH_PUBKEY || only.certs != 1 ||
	    !is_readable(only.cert))
		return 0;
	*ret = strndup(only.cert.at, only.cert.length);
	return *ret ? 0 : -ENOMEM;
}

static int read_rounds(struct vici_span config, enum feed_auth *class, struct vici_remote *remote)
{
	struct vici_member member;
	struct round round;
	bool first = true;
	int err = 0;

	*class = FEED_AUTH_UNKNOWN;
	while (!err && vici_member_next(&config, &member) > 0) {
		if (!is_section(&member, "remote-"))
			continue;
		round = read_round(member.body);
		*class = first ? round.class : combine(*class, round.class);
		first = false;
		err = add_round(remote, &round);
	}
	return err;
}

static bool is_same_text(const char *one, const char *other)
{
	return one && other ? !strcmp(one, other) : one == other;
}

/* An event does not distinguish two configurations of one name: the weaker class counts, and
 * neither remote id is proof. */
static int note_config(struct vici_auth *auth, const char *config_name, enum feed_auth class,
		       struct vici_remote *remote)
{
	struct vici_auth_entry *entry;
	int err;

	err = find_or_add_entry(auth, config_name, &entry);
	if (err)
		return err;
	if (entry->listing == auth->listing) {
		class = combine(class, entry->class);
		remote->names = VICI_NAMES_ANY;
		remote->pinned = false;
		remote->traps = remote->traps || entry->remote.traps;
		free(remote->cert);
		remote->cert = NULL;
	}
	entry->class = class;
	entry->decided = entry->decided && is_same_text(remote->cert, entry->remote.cert) &&
			 is_same_text(remote->local_cert, entry->remote.local_cert);
	free_remote(&entry->remote);
	entry->remote = *remote;
	*remote = (struct vici_remote){0};
	auth->listing_pins = auth->listing_pins || entry->remote.cert;
	entry->listing = auth->listing;
	entry->known = true;
	entry->known_at = auth->listing_queried_at;
	return 0;
}

/* Up to strongSwan 5.9.5 "none" is "clear", and "start" is "restart". */
static bool is_trap(struct vici_text action)
{
	return !vici_text_is(action, "none") && !vici_text_is(action, "clear") &&
	       !vici_text_is(action, "start") && !vici_text_is(action, "restart");
}

static bool leaves_trap(struct vici_span child)
{
	static const char *const keys[] = {"dpd_action", "close_action"};
	struct vici_member action;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (vici_find(child, keys[i], VICI_MEMBER_VALUE, &action) && is_trap(action.value))
			return true;
	return false;
}

static bool has_traps(struct vici_span config)
{
	struct vici_member children, child;

	if (!vici_find(config, "children", VICI_MEMBER_SECTION, &children))
		return false;
	while (vici_member_next(&children.body, &child) > 0)
		if (child.kind == VICI_MEMBER_SECTION && leaves_trap(child.body))
			return true;
	return false;
}

static int read_config(struct vici_auth *auth, const char *config_name, struct vici_span config)
{
	struct vici_remote remote = {
		.listed = true, .was_listed = true, .traps = has_traps(config)};
	enum feed_auth class;
	int err;

	err = read_rounds(config, &class, &remote);
	if (!err)
		err = read_only_cert(config, "remote-", &remote.cert);
	if (!err)
		err = read_only_cert(config, "local-", &remote.local_cert);
	if (!err)
		err = note_config(auth, config_name, class, &remote);
	free_remote(&remote);
	return err;
}

int vici_auth_read_listed(struct vici_auth *auth, struct vici_span message)
{
	char config_name[FEED_NAME_MAX];
	struct vici_member member;
	int err = 0;

	while (!err && vici_member_next(&message, &member) > 0) {
		/* The children of a longer name are refused anyway. */
		if (member.kind != VICI_MEMBER_SECTION ||
		    vici_text_copy(member.name, config_name, sizeof(config_name)))
			continue;
		err = read_config(auth, config_name, member.body);
	}
	return err;
}

/* An unloaded configuration keeps the class that its IKE_SAs were set up with. Its remote id may be
 * that of a later configuration, which has been unloaded, too. */
int vici_auth_listing_end(struct vici_auth *auth, const char *config_name)
{
	struct vici_auth_entry *entry;
	int err;

	if (!config_name)
		return 0;
	err = find_or_add_entry(auth, config_name, &entry);
	if (err)
		return err;
	entry->remote.listed = entry->listing == auth->listing;
	entry->known = true;
	entry->known_at = auth->listing_queried_at;
	return 0;
}

int vici_auth_outdate(struct vici_auth *auth, const char *config_name, uint64_t at)
{
	struct vici_auth_entry *entry;
	int err;

	err = find_or_add_entry(auth, config_name, &entry);
	if (err)
		return err;
	entry->outdated_at = at;
	return 0;
}

bool vici_auth_find(const struct vici_auth *auth, const char *config_name, enum feed_auth *class)
{
	const struct vici_auth_entry *entry = vici_auth_entry(auth, config_name);

	if (!entry || !entry->known || entry->known_at < entry->outdated_at)
		return false;
	*class = entry->class;
	return true;
}

bool vici_auth_remote(const struct vici_auth *auth, const char *config_name, uint64_t since,
		      const struct vici_remote **ret_remote)
{
	const struct vici_auth_entry *entry = vici_auth_entry(auth, config_name);

	if (!entry || !entry->known || entry->known_at < since)
		return false;
	*ret_remote = &entry->remote;
	return true;
}

void vici_auth_each_trap(const struct vici_auth *auth, const char *config_name,
			 void (*each)(void *context, const char *config_name), void *context)
{
	const struct vici_auth_entry *entry =
		config_name ? vici_auth_entry(auth, config_name) : NULL;
	size_t i;

	if (entry && entry->remote.traps)
		each(context, entry->config_name);
	for (i = 0; !config_name && i < VICI_AUTH_BUCKETS; i++)
		for (entry = auth->buckets[i]; entry; entry = entry->next)
			if (entry->remote.traps)
				each(context, entry->config_name);
}
