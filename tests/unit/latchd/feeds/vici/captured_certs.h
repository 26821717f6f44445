/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * list-conn and list-cert events of a real charon (tests/unit/fixtures/vici/certs.hex), with
 *
 *	pin     one certificate of c, of which charon has two with one key; this host's is w
 *	raw     c's raw key, which charon has beside another one of this subject
 *	x1, x2  one certificate each, with other types of names and with UTF-8
 *	x4      one whose subject has a type (UID) that latchd does not know
 *	pind    one of d, of which charon has two with different keys
 *	two, tworaw, ca    no certificate alone
 */
#ifndef LATCHD_TESTS_CAPTURED_CERTS_H
#define LATCHD_TESTS_CAPTURED_CERTS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latchd/feeds/vici/message.h"

#define CAPTURED_MAX 32

/* SHA-256 of the SubjectPublicKeyInfo, by pki and sha256sum. */
#define KEY_OF_C  "81dd7d76000a99f7fcb515b15c34a16cff09f9f2e79eee464fb90cf2de34b9f1"
#define KEY_OF_W  "75038ab2707c4fbbc6766e938b11ad45bbcf4b05f55ee5ac31a1172ade362df3"
#define KEY_OF_X1 "6a7dceb2e5208f98b84d23020cdda48f6318a9a402ac2d1bf04f3f722d91469e"
#define KEY_OF_X2 "5ff51617ead26fe81d1441aebe3ed4d8b34502d35215e66fe873dd4dde4835e0"
#define UNKNOWN	  "unknown"

struct captured {
	struct vici_span conns[CAPTURED_MAX], certs[CAPTURED_MAX];
	size_t conn_count, cert_count;
};

static inline struct vici_span bytes_of(const char *digits)
{
	size_t length = strcspn(digits, "\n") / 2, i;
	uint8_t *bytes = malloc(length + 1);

	cr_assert_not_null(bytes);
	for (i = 0; i < length; i++)
		cr_assert_eq(sscanf(digits + 2 * i, "%2hhx", &bytes[i]), 1);
	return (struct vici_span){.at = bytes, .length = length};
}

/* Never freed. */
static inline struct captured captured_certs(void)
{
	FILE *file = fopen("tests/unit/fixtures/vici/certs.hex", "re");
	struct captured captured = {.conn_count = 0};
	static char line[65536];

	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "list-conn ", 10))
			captured.conns[captured.conn_count++] = bytes_of(line + 10);
		else if (!strncmp(line, "list-cert ", 10))
			captured.certs[captured.cert_count++] = bytes_of(line + 10);
	}
	fclose(file);
	cr_assert_eq(captured.conn_count, 9);
	cr_assert_eq(captured.cert_count, 12);
	return captured;
}

/* Hexadecimal digits, or UNKNOWN. Valid until the fourth call from then. */
static inline const char *key_text(const struct feed_key *key)
{
	static char texts[4][2 * FEED_KEY_SIZE + 1];
	static unsigned int next;
	char *text = texts[next++ % 4];
	size_t i;

	for (i = 0; i < FEED_KEY_SIZE; i++)
		sprintf(text + 2 * i, "%02x", key->sha256[i]);
	return key->known ? text : UNKNOWN;
}

#endif
