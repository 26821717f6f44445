/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an application wishes for its socket. */
#ifndef LATCH_BPF_DB_SOCKET_WISH_H
#define LATCH_BPF_DB_SOCKET_WISH_H

#include "latch_abi.h"
#include "latch_sockopt.h"

enum wish_term {
	WISH_REQUIRE = 1 << 0,
	WISH_PEER = 1 << 1,
	WISH_CONNECTION = 1 << 2,
	WISH_LOCAL = 1 << 3,
	WISH_CLASS = 1 << 4,
	WISH_QUALITY = 1 << 5,
	WISH_DISPOSITION = 1 << 6,
	WISH_BYPASS = 1 << 7, /* of the privileged: less than the rules say */
	WISH_TAG = 1 << 8,
	WISH_DATAGRAMS = 1 << 9,
};

/* The terms that require a latch: also those of a later latchd. */
#define WISH_MORE (0xffff & ~WISH_BYPASS)

/* The terms that this gate can compare. Another one, of a later latchd, is not fulfilled. */
#define WISH_KNOWN 0x3ff

/* What a wish does to a UDP socket that is not connected. */
enum wished {
	WISHED_NOTHING,
	WISHED_SILENCE,
	WISHED_DATAGRAMS, /* each datagram is compared with the wishes */
};

/*
 * The wishes of an application for its socket (latch_sockopt.h). Texts are padded with zeros, as
 * those of struct latch_identity. A socket that a listener accepts gets a copy. Sockets outlive
 * latchd, so an upgrade finds this layout and these numbers: test_abi.c.
 */
struct socket_wish {
	__u32 changes;	  /* odd while it is being written: then nothing is admitted */
	__u16 terms;	  /* set of enum wish_term */
	__u8 class;	  /* enum latch_app_class */
	__u8 disposition; /* enum latch_app_disposition */
	struct latch_least least;
	__u8 failed; /* enum latch_why: what the last packet's SA lacked */
	__u8 pad[3];
	__u32 reserved[4]; /* zero */
	/* The first texts: the verifier takes each one for LATCH_ID_TEXT_MAX bytes. */
	char tag[LATCH_TAG_MAX];
	char connection[LATCH_NAME_MAX];
	char peer[LATCH_ID_TEXT_MAX];
	char local[LATCH_ID_TEXT_MAX];
};

#endif
