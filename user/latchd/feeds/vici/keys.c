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
};

void vici_keys_clear(struct vici_keys *keys)
{
	free(keys->listed);
	*keys = (struct vici_keys){0};
}

/* Room for one more: 0, -E2BIG or -ENOMEM. */
static int reserve(struct vici_keys *keys)
{
	size_t room = keys->room ? 2 * keys->room : 16;
	struct vici_listed_key *more;

	if (keys->count < keys->room)
		return 0;
	if (keys->count >= VICI_KEYS_MAX)
		return -E2BIG;
	more = reallocarray(keys->listed, room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	keys->listed = more;
	keys->room = room;
	return 0;
}

static bool read_certificate(struct vici_text bytes, struct vici_listed_key *ret)
{
	struct vici_text key;

	if (!vici_certificate_read(bytes, ret->subject, sizeof(ret->subject), &key))
		return false;
	SHA256((const unsigned char *)key.at, key.length, ret->sha256);
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
	ret->own = vici_find(message, "has_privkey", VICI_MEMBER_VALUE, &own) &&
		   vici_text_is(own.value, "yes");
	if (vici_text_is(type.value, "X509"))
		return read_certificate(data.value, ret);
	return vici_text_is(type.value, "PUBKEY") && read_raw_key(message, data.value, ret);
}

int vici_keys_read(struct vici_keys *keys, struct vici_span message)
{
	int err = reserve(keys);

	if (err == -E2BIG)
		keys->incomplete = true;
	else if (!err && read_listed(message, &keys->listed[keys->count]))
		keys->count++;
	return err == -E2BIG ? 0 : err;
}

static int compare(const void *one, const void *other)
{
	return strcmp(((const struct vici_listed_key *)one)->subject,
		      ((const struct vici_listed_key *)other)->subject);
}

void vici_keys_end(struct vici_keys *keys)
{
	if (keys->count)
		qsort(keys->listed, keys->count, sizeof(*keys->listed), compare);
}

/* The first one that is not before this subject. */
static size_t find_first(const struct vici_keys *keys, const char *subject)
{
	size_t low = 0, high = keys->count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (strcmp(keys->listed[middle].subject, subject) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_of_subject(const struct vici_keys *keys, size_t at, const char *subject)
{
	return at < keys->count && !strcmp(keys->listed[at].subject, subject);
}

/* Takes one more key of the subject. */
static void add_found(struct vici_found_key *found, const struct vici_listed_key *listed)
{
	if (found->key.known && memcmp(found->key.sha256, listed->sha256, FEED_KEY_SIZE))
		found->several = true;
	found->key.known = true;
	memcpy(found->key.sha256, listed->sha256, FEED_KEY_SIZE);
}

struct vici_found_key vici_keys_find(const struct vici_keys *keys, const char *subject, bool own)
{
	struct vici_found_key found = {.several = false};
	size_t i;

	if (keys->incomplete || !vici_subject_is_readable(subject, FEED_ID_MAX))
		return found;
	for (i = find_first(keys, subject); is_of_subject(keys, i, subject); i++)
		if (keys->listed[i].own || !own)
			add_found(&found, &keys->listed[i]);
	if (found.several)
		found.key = (struct feed_key){.known = false};
	return found;
}
