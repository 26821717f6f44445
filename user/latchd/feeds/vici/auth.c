/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

struct vici_auth_entry {
	struct vici_auth_entry *next;
	char config_name[FEED_NAME_MAX];
	enum feed_auth class;
	uint32_t listing; /* number of the last query that listed it; 0 = none */
	bool known;
	uint64_t known_at;    /* time of the query */
	uint64_t outdated_at; /* answers to earlier queries do not count */
};

static struct vici_auth_entry **bucket_of(struct vici_auth *auth, const char *config_name)
{
	uint32_t hash = 2166136261u;

	for (; *config_name; config_name++)
		hash = (hash ^ (uint8_t)*config_name) * 16777619u;
	return &auth->buckets[hash % VICI_AUTH_BUCKETS];
}

static struct vici_auth_entry *find_entry(const struct vici_auth *auth, const char *config_name)
{
	struct vici_auth_entry *entry;

	entry = *bucket_of((struct vici_auth *)auth, config_name);
	while (entry && strcmp(entry->config_name, config_name))
		entry = entry->next;
	return entry;
}

static int add_entry(struct vici_auth *auth, const char *config_name,
		     struct vici_auth_entry **ret_entry)
{
	struct vici_auth_entry *entry, **bucket = bucket_of(auth, config_name);

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
	*ret_entry = find_entry(auth, config_name);
	return *ret_entry ? 0 : add_entry(auth, config_name, ret_entry);
}

void vici_auth_free(struct vici_auth *auth)
{
	struct vici_auth_entry *entry;
	size_t i;

	for (i = 0; i < VICI_AUTH_BUCKETS; i++) {
		while ((entry = auth->buckets[i])) {
			auth->buckets[i] = entry->next;
			free(entry);
		}
	}
	*auth = (struct vici_auth){0};
}

void vici_auth_listing_begin(struct vici_auth *auth, uint64_t queried_at)
{
	auth->listing++;
	auth->listing_queried_at = queried_at;
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

/* Of several rounds, EAP or XAuth supplies the identity and counts; else the weakest round counts.
 */
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

static bool is_remote_section(const struct vici_member *member)
{
	static const char prefix[] = "remote-";

	return member->kind == VICI_MEMBER_SECTION && member->name.length >= sizeof(prefix) &&
	       !memcmp(member->name.at, prefix, sizeof(prefix) - 1);
}

static enum feed_auth class_of_rounds(struct vici_span config)
{
	enum feed_auth class = FEED_AUTH_UNKNOWN, round;
	struct vici_member member, value;
	bool first = true;

	while (vici_member_next(&config, &member) > 0) {
		if (!is_remote_section(&member))
			continue;
		round = vici_find(member.body, "class", VICI_MEMBER_VALUE, &value)
				? vici_auth_class(value.value)
				: FEED_AUTH_UNKNOWN;
		class = first ? round : combine(class, round);
		first = false;
	}
	return class;
}

/* An event does not distinguish two configurations of one name: the weaker class counts. */
static int note_class(struct vici_auth *auth, const char *config_name, enum feed_auth class)
{
	struct vici_auth_entry *entry;
	int err;

	err = find_or_add_entry(auth, config_name, &entry);
	if (err)
		return err;
	if (entry->listing == auth->listing)
		class = combine(class, entry->class);
	entry->class = class;
	entry->listing = auth->listing;
	entry->known = true;
	entry->known_at = auth->listing_queried_at;
	return 0;
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
		err = note_class(auth, config_name, class_of_rounds(member.body));
	}
	return err;
}

/* An unloaded configuration keeps the class that its IKE_SAs were set up with. */
int vici_auth_listing_end(struct vici_auth *auth, const char *config_name)
{
	struct vici_auth_entry *entry;
	int err;

	if (!config_name)
		return 0;
	err = find_or_add_entry(auth, config_name, &entry);
	if (err)
		return err;
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
	const struct vici_auth_entry *entry = find_entry(auth, config_name);

	if (!entry || !entry->known || entry->known_at < entry->outdated_at)
		return false;
	*class = entry->class;
	return true;
}
