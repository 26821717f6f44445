/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates of peers, as charon lists them. What is read lies within the certificate, and a
 * subject is text that charon would print.
 */
#include "fuzz.h"

#include <string.h>

#include "exact_copy.h"
#include "latchd/feeds/vici/certificate.h"

static void check_subject(const char *subject, size_t size)
{
	size_t length = strnlen(subject, size), i;

	CHECK(length && length < size);
	for (i = 0; i < length; i++)
		CHECK(subject[i] >= ' ' && subject[i] <= '~');
	CHECK(memchr(subject, '=', length));
}

static void read_with_room(struct vici_text bytes, size_t size)
{
	char subject[512];
	struct vici_text key;

	if (!vici_certificate_read(bytes, subject, size, &key))
		return;
	check_subject(subject, size);
	if (vici_subject_is_readable(subject, size))
		CHECK(strlen(subject) + 1 < size);
	CHECK(key.length && key.at >= bytes.at && key.at + key.length <= bytes.at + bytes.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vici_span copy = exact_copy(data, size);
	struct vici_text bytes = {.at = (const char *)copy.at, .length = copy.length};

	read_with_room(bytes, 512);
	read_with_room(bytes, 16);
	vici_is_public_key(bytes);
	exact_free(copy);
	return 0;
}
