/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/certificate.h"

#include <string.h>

#include "common/text.h"

#define DER_SEQUENCE   0x30
#define DER_SET	       0x31
#define DER_INTEGER    0x02
#define DER_BIT_STRING 0x03
#define DER_OID	       0x06
#define DER_VERSION    0xa0 /* [0], of tbsCertificate */

/* Behind what charon can print of a malformed or too long name. */
#define MALFORMED_NAME "(invalid ID_DER_ASN1_DN"

struct der {
	const uint8_t *at;
	size_t length;
};

struct der_item {
	uint8_t tag;
	struct der whole, content;
};

/* ---- DER: X.690. A length may have leading zeros, as charon admits them (asn1.c). */

static bool read_length(struct der *from, size_t *ret)
{
	size_t count, length;

	if (!from->length)
		return false;
	length = *from->at++;
	from->length--;
	if (length >= 0x80) {
		count = length & 0x7f;
		if (!count || count > sizeof(length) || count > from->length)
			return false;
		for (length = 0; count; count--, from->length--)
			length = length << 8 | *from->at++;
	}
	*ret = length;
	return length <= from->length;
}

/* Takes the next item off the front. */
static bool take(struct der *from, struct der_item *ret)
{
	struct der rest = *from;
	size_t length;

	if (!rest.length)
		return false;
	ret->tag = *rest.at++;
	rest.length--;
	if (!read_length(&rest, &length))
		return false;
	ret->content = (struct der){rest.at, length};
	ret->whole = (struct der){from->at, (size_t)(rest.at - from->at) + length};
	*from = (struct der){rest.at + length, rest.length - length};
	return true;
}

static bool take_tag(struct der *from, uint8_t tag, struct der_item *ret)
{
	return take(from, ret) && ret->tag == tag;
}

/* ---- the subject */

/* The types of names that charon prints by these words, with their OIDs. */
static const struct {
	const char *word;
	uint8_t length, oid[10];
} types[] = {
	{"CN", 3, {0x55, 4, 3}},
	{"SN", 3, {0x55, 4, 4}}, /* surname */
	{"C", 3, {0x55, 4, 6}},
	{"L", 3, {0x55, 4, 7}},
	{"ST", 3, {0x55, 4, 8}},
	{"O", 3, {0x55, 4, 10}},
	{"OU", 3, {0x55, 4, 11}},
	{"E", 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1}},
	{"DC", 10, {9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25}},
};

/* Like charon, without what follows a known OID. */
static const char *word_of(struct der oid)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].length <= oid.length && !memcmp(types[i].oid, oid.at, types[i].length))
			return types[i].word;
	return NULL;
}

static bool is_word(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i].word) == length && !memcmp(types[i].word, text, length))
			return true;
	return false;
}

/* A part of a subject is a type with its value, or the rest of a value with a comma. */
static bool is_readable_part(const char *part, size_t length)
{
	const char *equals = memchr(part, '=', length);

	return !equals || is_word(part, (size_t)(equals - part));
}

bool vici_subject_is_readable(const char *subject, size_t size)
{
	const char *comma;

	if (strlen(subject) + 1 >= size || strstr(subject, MALFORMED_NAME))
		return false;
	for (; (comma = strstr(subject, ", ")); subject = comma + 2)
		if (!is_readable_part(subject, (size_t)(comma - subject)))
			return false;
	return is_readable_part(subject, strlen(subject));
}

struct subject {
	char *text;
	size_t length, size; /* one byte stays for the NUL */
};

static bool append(struct subject *subject, const void *bytes, size_t length)
{
	if (length >= subject->size - subject->length)
		return false;
	memcpy(subject->text + subject->length, bytes, length);
	subject->length += length;
	subject->text[subject->length] = '\0';
	return true;
}

/* charon prints '?' for what is not printable ASCII. */
static bool append_value(struct subject *subject, struct der value)
{
	size_t i;
	char byte;

	for (i = 0; i < value.length; i++) {
		byte = value.at[i] >= ' ' && value.at[i] <= '~' ? (char)value.at[i] : '?';
		if (!append(subject, &byte, 1))
			return false;
	}
	return true;
}

static bool append_pair(struct subject *subject, struct der *set)
{
	struct der_item pair, oid, value;
	const char *word;

	if (!take_tag(set, DER_SEQUENCE, &pair) || !take_tag(&pair.content, DER_OID, &oid) ||
	    !take(&pair.content, &value))
		return false;
	word = word_of(oid.content);
	return word && (!subject->length || append(subject, ", ", 2)) &&
	       append(subject, word, strlen(word)) && append(subject, "=", 1) &&
	       append_value(subject, value.content);
}

static bool print_name(struct der name, struct subject *subject)
{
	struct der_item set;

	while (name.length) {
		if (!take_tag(&name, DER_SET, &set))
			return false;
		while (set.content.length)
			if (!append_pair(subject, &set.content))
				return false;
	}
	return subject->length;
}

/* ---- the certificate */

/* tbsCertificate up to its subject: version, serial number, algorithm, issuer, validity. */
static bool skip_to_subject(struct der *tbs)
{
	static const uint8_t tags[] = {DER_INTEGER, DER_SEQUENCE, DER_SEQUENCE, DER_SEQUENCE};
	struct der_item item;
	size_t i;

	if (tbs->length && *tbs->at == DER_VERSION && !take(tbs, &item))
		return false;
	for (i = 0; i < sizeof(tags); i++)
		if (!take_tag(tbs, tags[i], &item))
			return false;
	return true;
}

static struct der der_of(struct vici_text text)
{
	return (struct der){(const uint8_t *)text.at, text.length};
}

/* The subject, and what follows it in tbsCertificate. */
static bool find_subject(struct vici_text certificate, struct der_item *ret_name,
			 struct der *ret_rest)
{
	struct der from = der_of(certificate);
	struct der_item whole, tbs;

	if (!take_tag(&from, DER_SEQUENCE, &whole) || from.length ||
	    !take_tag(&whole.content, DER_SEQUENCE, &tbs) || !skip_to_subject(&tbs.content) ||
	    !take_tag(&tbs.content, DER_SEQUENCE, ret_name))
		return false;
	*ret_rest = tbs.content;
	return true;
}

static struct vici_text text_of(struct der bytes)
{
	return (struct vici_text){.at = (const void *)bytes.at, .length = bytes.length};
}

bool vici_certificate_read(struct vici_text certificate, char *subject, size_t size,
			   struct vici_text *ret_key)
{
	struct subject out = {.text = subject, .size = size};
	struct der_item name, key;
	struct der rest;

	if (!find_subject(certificate, &name, &rest) || !take_tag(&rest, DER_SEQUENCE, &key) ||
	    !print_name(name.content, &out))
		return false;
	*ret_key = text_of(key.whole);
	return true;
}

bool vici_certificate_name(struct vici_text certificate, struct vici_text *ret_name)
{
	struct der_item name;
	struct der rest;

	if (!find_subject(certificate, &name, &rest))
		return false;
	*ret_name = text_of(name.whole);
	return true;
}

/* SEQUENCE of algorithm and key. */
bool vici_is_public_key(struct vici_text bytes)
{
	struct der from = der_of(bytes);
	struct der_item whole, algorithm, key;

	return take_tag(&from, DER_SEQUENCE, &whole) && !from.length &&
	       take_tag(&whole.content, DER_SEQUENCE, &algorithm) &&
	       take_tag(&whole.content, DER_BIT_STRING, &key) && !whole.content.length;
}
