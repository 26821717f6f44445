/* SPDX-License-Identifier: BSD-2-Clause */
/* list-cert messages with certificates of any subject and key, which no CA has signed. */
#ifndef LATCHD_TESTS_MADE_CERT_H
#define LATCHD_TESTS_MADE_CERT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "latchd/feeds/vici/message.h"

#define MADE_MAX 100 /* a length has one byte */

struct made {
	uint8_t bytes[2 + MADE_MAX];
	size_t length;
};

static inline struct made made_item(uint8_t tag, const void *content, size_t length)
{
	struct made item = {.bytes = {tag, (uint8_t)length}, .length = 2 + length};

	cr_assert_leq(length, MADE_MAX);
	memcpy(item.bytes + 2, content, length);
	return item;
}

static inline struct made made_both(struct made one, struct made other)
{
	cr_assert_leq(one.length + other.length, sizeof(one.bytes));
	memcpy(one.bytes + one.length, other.bytes, other.length);
	one.length += other.length;
	return one;
}

/* An item around these items. */
static inline struct made made_around(uint8_t tag, struct made items)
{
	return made_item(tag, items.bytes, items.length);
}

/* One type of a subject with its value. */
static inline struct made made_rdn(const void *oid, size_t length, const char *value)
{
	struct made pair =
		made_both(made_item(0x06, oid, length), made_item(0x0c, value, strlen(value)));

	return made_around(0x31, made_around(0x30, pair));
}

#define OID_CN		"\x55\x04\x03"
#define OID_C		"\x55\x04\x06"
#define OID_O		"\x55\x04\x0a"
#define RDN(oid, value) made_rdn(oid, sizeof(oid) - 1, value)

/* The key is no key of any algorithm; latchd knows the digest of its bytes. */
static inline struct made made_cert(struct made rdns, const char *key)
{
	struct made empty = made_item(0x30, "", 0);
	struct made tbs = made_both(made_item(0x02, "\x01", 1), empty);

	tbs = made_both(made_both(tbs, empty), empty);
	tbs = made_both(tbs, made_around(0x30, rdns));
	tbs = made_both(tbs, made_item(0x30, key, strlen(key)));
	return made_around(0x30, made_around(0x30, tbs));
}

static inline uint8_t *made_pair(uint8_t *at, const char *name, const void *value, size_t length)
{
	*at++ = VICI_KEY_VALUE;
	*at++ = (uint8_t)strlen(name);
	memcpy(at, name, strlen(name));
	at += strlen(name);
	*at++ = (uint8_t)(length >> 8);
	*at++ = (uint8_t)length;
	memcpy(at, value, length);
	return at + length;
}

/* Never freed. */
static inline struct vici_span made_message(struct made cert)
{
	uint8_t *bytes = malloc(cert.length + 64), *at;

	cr_assert_not_null(bytes);
	at = made_pair(bytes, "type", "X509", 4);
	at = made_pair(at, "data", cert.bytes, cert.length);
	return (struct vici_span){.at = bytes, .length = (size_t)(at - bytes)};
}

#endif
