/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Subject and public key of an X.509 certificate (RFC 5280 section 4.1), without its verification:
 * charon has it. The bytes may be a peer's.
 */
#ifndef LATCHD_FEEDS_VICI_CERTIFICATE_H
#define LATCHD_FEEDS_VICI_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

#include "latchd/feeds/vici/message.h"

/*
 * The subject as charon prints it: "C=CH, O=d, CN=d.example". ret_key is the part of certificate
 * with its SubjectPublicKeyInfo. False: the certificate is malformed, its subject is empty, or has
 * a type of which charon's name is not known here, or does not fit.
 */
bool vici_certificate_read(struct vici_text certificate, char *subject, size_t size,
			   struct vici_text *ret_key);

/* The part of certificate with its subject, in DER. False: the certificate is malformed. */
bool vici_certificate_name(struct vici_text certificate, struct vici_text *ret_name);

/*
 * Is this subject, as charon prints it into size bytes, a subject of no certificate but of those
 * that vici_certificate_read() reads? charon prints names without escapes, so a value may look like
 * a type of which the word is not known here.
 */
bool vici_subject_is_readable(const char *subject, size_t size);

/* Is it one SubjectPublicKeyInfo, as charon lists a raw key? */
bool vici_is_public_key(struct vici_text bytes);

#endif
