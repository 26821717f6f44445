/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/keys.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "latchd/feeds/vici/certificate.h"

_Static_assert(SHA256_DIGEST_LENGTH == FEED_KEY_SIZE, "a key is known by its SHA-256");

struct vici_listed_key {
	char subject[FEED_ID_MAX];
	bool own; /* charon has the private key */
	uint8_t sha256[FEED_KEY_SIZE];
	char *name; /* the subject in DER, owned; NULL of a raw key */
	size_t name_length;
};

static void clear(struct vici_listed_keys *listed)
{
	size_t i;

	for (i = 0; i < listed->count; i++)
		free(listed->at[i].name);
	free(listed->at);
	*listed = (struct vici_listed_keys){0};
}

void vici_keys_clear(struct vici_keys *keys)
{
	clear(&keys->listed);
	clear(&keys->agreed);
	*keys = (struct vici_keys){0};
}

/* Room for one more: 0, -E2BIG or -ENOMEM. */
static int reserve(struct vici_listed_keys *listed)
{
	size_t room = listed->room ? 2 * listed->room : 16;
	struct vici_listed_key *more;

	if (listed->count < listed->room)
		return 0;
	if (listed->count >= VICI_KEYS_MAX)
		return -E2BIG;
	more = reallocarray(listed->at, room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	listed->at = more;
	listed->room = room;
	return 0;
}

/* Without memory for the name the certificate is found by its printed subject only. */
static void copy_name(struct vici_text bytes, struct vici_listed_key *ret)
{
	struct vici_text name;

	if (!vici_certificate_name(bytes, &name))
		return;
	ret->name = malloc(name.length);
	if (!ret->name)
		return;
	memcpy(ret->name, name.at, name.length);
	ret->name_length = name.length;
}

static bool read_certificate(struct vici_text bytes, struct vici_listed_key *ret)
{
	struct vici_text key;

	if (!vici_certificate_read(bytes, ret->subject, sizeof(ret->subject), &key))
		return false;
	SHA256((const unsigned char *)key.at, key.length, ret->sha256);
	copy_name(bytes, ret);
	return true;
}

static bool read_raw_key(struct vici_span message, struct vici_text bytes,
			 struct vici_listed_key *ret)
{
	struct vici_member subject;

	if (!vici_find(message, "subject", VICI_MEMBER_VALUE, &subject) ||
	    vici_text_copy(subject.value, ret->subject, sizeof(ret->subject)) ||
	    !vici_is_public_key(bytes))
		return false;
	SHA256((const unsigned char *)bytes.at, bytes.length, ret->sha256);
	return true;
}

static bool read_listed(struct vici_span message, struct vici_listed_key *ret)
{
	struct vici_member type, data, own;

	if (!vici_find(message, "type", VICI_MEMBER_VALUE, &type) ||
	    !vici_find(message, "data", VICI_MEMBER_VALUE, &data))
		return false;
	ret->name = NULL;
	ret->name_length = 0;
	ret->own = vici_find(message, "has_privkey", VICI_MEMBER_VALUE, &own) &&
		   vici_text_is(own.value, "yes");
	if (vici_text_is(type.value, "X509"))
		return read_certificate(data.value, ret);
	return vici_text_is(type.value, "PUBKEY") && read_raw_key(message, data.value, ret);
}

int vici_keys_read(struct vici_keys *keys, struct vici_span message)
{
	struct vici_listed_keys *listed = &keys->listed;
	int err = reserve(listed);

	if (err == -E2BIG)
		keys->incomplete = true;
	else if (!err && read_listed(message, &listed->at[listed->count]))
		listed->count++;
	return err == -E2BIG ? 0 : err;
}

bool vici_keys_lists(const struct vici_keys *keys, const char *subject, bool own)
{
	const struct vici_listed_keys *listed = &keys->listed;
	size_t i;

	for (i = 0; i < listed->count; i++)
		if ((listed->at[i].own || !own) && !strcmp(listed->at[i].subject, subject))
			return true;
	return false;
}

/* ---- rounds */

static int compare(const void *one, const void *other)
{
	const struct vici_listed_key *a = one, *b = other;
	int order = strcmp(a->subject, b->subject);

	if (!order)
		order = memcmp(a->sha256, b->sha256, sizeof(a->sha256));
	return order ? order : (int)a->own - (int)b->own;
}

static bool contains(const struct vici_listed_keys *listed, const struct vici_listed_key *key)
{
	return listed->count &&
	       bsearch(key, listed->at, listed->count, sizeof(*listed->at), compare);
}

/* Drops what this round has not listed; the order stays. */
static void intersect(struct vici_listed_keys *agreed, const struct vici_listed_keys *listed)
{
	size_t i, count = 0;

	for (i = 0; i < agreed->count; i++)
		if (contains(listed, &agreed->at[i]))
			agreed->at[count++] = agreed->at[i];
		else
			free(agreed->at[i].name);
	agreed->count = count;
}

void vici_keys_end(struct vici_keys *keys)
{
	struct vici_listed_keys *listed = &keys->listed;

	if (listed->count)
		qsort(listed->at, listed->count, sizeof(*listed->at), compare);
	if (keys->rounds++) {
		intersect(&keys->agreed, listed);
		clear(listed);
	} else {
		keys->agreed = *listed;
		*listed = (struct vici_listed_keys){0};
	}
}

/* ---- the key of a subject */

/* The first one that is not before this subject. */
static size_t find_first(const struct vici_listed_keys *agreed, const char *subject)
{
	size_t low = 0, high = agreed->count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (strcmp(agreed->at[middle].subject, subject) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_of_subject(const struct vici_listed_keys *agreed, size_t at, const char *subject)
{
	return at < agreed->count && !strcmp(agreed->at[at].subject, subject);
}

/* Takes one more key of the subject. */
static void add_found(struct vici_found_key *found, const struct vici_listed_key *listed)
{
	if (found->key.known && memcmp(found->key.sha256, listed->sha256, FEED_KEY_SIZE))
		found->several = true;
	found->key.known = true;
	found->name = (struct vici_text){.at = listed->name, .length = listed->name_length};
	memcpy(found->key.sha256, listed->sha256, FEED_KEY_SIZE);
}

struct vici_found_key vici_keys_find(const struct vici_keys *keys, const char *subject, bool own)
{
	const struct vici_listed_keys *agreed = &keys->agreed;
	struct vici_found_key found = {.several = false};
	size_t i;

	if (keys->incomplete)
		return found;
	for (i = find_first(agreed, subject); is_of_subject(agreed, i, subject); i++)
		if (agreed->at[i].own || !own)
			add_found(&found, &agreed->at[i]);
	if (found.several)
		found.key = (struct feed_key){.known = false};
	return found;
}
