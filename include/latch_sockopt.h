/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options by which an application reads the latch of its own socket (RFC 5660), and says which peer
 * it wishes: level SOL_LATCH of getsockopt(2) and setsockopt(2), in any language. The kernel
 * answers, by programs that latchd attached. The descriptor is the only privilege needed. latch(7)
 * is the manual, liblatch(3) the library.
 *
 * Numbers are of fixed width, in host order, with the same layout for each ABI of the machine.
 * Structures are owned by the caller and grow at their end only: size is the number of filled
 * bytes. Texts have no NUL and are never cut: if the buffer is too small, the answer is ERANGE.
 *
 *   EOPNOTSUPP, ENOPROTOOPT  not served: no latchd, the interface is off, or another kind of socket
 *   ENOSYS                   served, but this option is not known there, or cannot be set
 *   EINVAL                   the buffer of a number or a structure is too small; a wish: its size,
 *                            or its value
 *   EISCONN                  a wish, after connect() or listen(); a wish of a UDP socket that has
 *                            datagrams to read, which other wishes or none have admitted
 *   ENOMEM                   a wish, and the socket's memory for options is full
 *   EPERM                    LATCH_OPT_PROTECTION, without CAP_NET_ADMIN of the host
 *   ERANGE                   the buffer of a text is too small
 *   ENODATA                  nothing to tell: no latch, or its peer is not proven or not known
 *
 * A call without a buffer (NULL) and with a size of at least LATCH_TEXT_MAX returns the length of a
 * text. Before Linux 6.4 and 6.1.28 it is EFAULT.
 *
 * Served are TCP and UDP sockets over IPv4 and IPv6. SCTP, MPTCP, UDP-Lite and raw sockets are not,
 * nor are 32-bit system calls on a 64-bit kernel.
 */
#ifndef LATCH_SOCKOPT_H
#define LATCH_SOCKOPT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define SOL_LATCH	 0x4C41 /* "LA" */
#define LATCH_OPTION_ABI 1
#define LATCH_TEXT_MAX	 512 /* no text is longer than this less one */

enum latch_option {
	/* int: enum latch_app_state. INQUIRE_LATCH of section 2.3, in brief. */
	LATCH_OPT_STATE = 1,
	/* struct latch_info. INQUIRE_LATCH of section 2.3; R-2-8 and R-2-9 of section 2. */
	LATCH_OPT_INFO = 2,
	/*
	 * Text: the identity of the peer, as its key manager has authenticated it (section 2). The
	 * peer has chosen it: compare all of it, and escape it before a terminal or a log gets it.
	 * ENODATA unless the latch was enforced, and its peer proven, from its beginning. After
	 * the end of the connection it is the peer that the connection had.
	 */
	LATCH_OPT_PEER_ID = 3,
	/* Text: the identity of this host that the peer has authenticated (section 2). */
	LATCH_OPT_LOCAL_ID = 4,
	/* Text: the key manager's name of the connection, such as "connections.NAME" of
	 * swanctl.conf. */
	LATCH_OPT_CONNECTION = 5,
	/*
	 * struct latch_party: peer, or this host, with the class of its authentication and its key
	 * (R-2-7). ENODATA as LATCH_OPT_PEER_ID.
	 */
	LATCH_OPT_PEER = 6,
	LATCH_OPT_LOCAL = 7,
	/*
	 * struct latch_binding: octets of the connection for channel binding (RFC 5056), of the
	 * end-point type. They are equal at both ends, and equal for all connections of a pair of
	 * keys. They are no secret. ERANGE: the buffer is too small. ENODATA unless the state is
	 * LATCH_APP_ESTABLISHED, and both keys are known.
	 */
	LATCH_OPT_BINDING = 8,

	/*
	 * Wishes: set before connect() or listen(), and read at any time. Each one requires a
	 * latch: a connection sends and receives nothing without one, whatever the rules say, and
	 * in audit mode, too. Wishes and rules add up. Sockets that a listener accepts have its
	 * wishes (R-2.3-16, R-2.3-17). A UDP socket with a wish sends and receives nothing before
	 * connect(), unless it has LATCH_OPT_DATAGRAMS. Without LATCH_OPT_REQUIRE and the others a
	 * socket has no wish.
	 */
	/* int: 1, or 0 to take it back. Read: 1 if the socket has any wish. */
	LATCH_OPT_REQUIRE = 16,
	/* Texts, as LATCH_OPT_PEER_ID and so on tell them; of no byte to take one back. All of the
	 * text counts. Read: ENODATA if there is none. */
	LATCH_OPT_EXPECT_PEER = 17,
	LATCH_OPT_EXPECT_CONNECTION = 18,
	LATCH_OPT_EXPECT_LOCAL = 19,
	LATCH_OPT_EXPECT_CLASS = 20,   /* int: enum latch_app_class */
	LATCH_OPT_EXPECT_QUALITY = 21, /* struct latch_least; all 0 behind size to take it back */
	LATCH_OPT_DISPOSITION = 22,    /* int: enum latch_app_disposition */
	/* int: an SA for this connection only (R-2.1-1, R-2.1-2). Always ENOSYS: no key manager
	 * that latchd knows can be asked for one. */
	LATCH_OPT_NARROW = 23,
	/*
	 * int: enum latch_app_protection (section 3.1). Less than the rules say needs CAP_NET_ADMIN
	 * in the first user namespace. It counts for a connection that the socket opens, not for
	 * those that it accepts, and only while the socket has no wish above. IP_XFRM_POLICY of
	 * the socket is what makes the kernel send in clear where its policies protect.
	 */
	LATCH_OPT_PROTECTION = 24,
	/*
	 * Text: a set of peers, by the NAME of its section [peer NAME] in latchd.conf. A wish as
	 * those above. It counts when the connection begins: a reload of the sets breaks none. A
	 * name without a section has no peer, until a reload brings the section. EINVAL: no section
	 * can have this name. A name has letters, digits, ".", "_" and "-", and does not begin with
	 * "-".
	 */
	LATCH_OPT_EXPECT_TAG = 25,
	/*
	 * Text, read only: the tags of the peer, each with a line feed behind it; a line feed alone
	 * if it has none. ENODATA: as LATCH_OPT_PEER_ID, or the latch has ended. EAGAIN: the sets
	 * are being changed; ask again.
	 */
	LATCH_OPT_TAGS = 26,
	/*
	 * int, UDP only: 1, or 0 to take it back. A wish as those above, for a socket that is not
	 * connected (section 5.3): it sends and receives each datagram for itself, under an SA that
	 * fulfils all wishes of the socket at that time. Such a datagram has no latch. Set all
	 * wishes before bind(), this one last: what is received between two is of the first one.
	 */
	LATCH_OPT_DATAGRAMS = 27,
	/*
	 * struct latch_subscribe: news of this socket, on a connection to LATCH_NEWS_PATH. At any
	 * time; the next one replaces it. Accepted sockets have that of their listener, unless they
	 * came while latchd was away: set it for each socket that accept() returns and that reads
	 * 0. Read, an int: 1 while news of the socket are sent. ENOENT: no connection has this
	 * token any more; ENOSPC: this connection has LATCH_NEWS_SOCKETS sockets; ENODATA: the
	 * socket has no cookie yet, ask SO_COOKIE first.
	 */
	LATCH_OPT_NEWS = 28,
};

enum latch_app_protection {
	LATCH_PROTECTION_BY_RULE = 0,
	LATCH_PROTECTION_BYPASS = 1, /* the connection is not latched, and no rule requires it */
};

/* How the peer has to be authenticated. */
enum latch_app_class {
	LATCH_CLASS_ANY = 0,
	LATCH_CLASS_PSK = 1, /* by a shared key or a public key */
	LATCH_CLASS_PUBLIC_KEY = 2,
	LATCH_CLASS_EAP = 3, /* by EAP, and nothing else */
};

/* What happens to the socket when its latch breaks (section 5.5). */
enum latch_app_disposition {
	LATCH_DISPOSE_BY_RULE = 0, /* as a rule says; without one a reset */
	LATCH_DISPOSE_RESET = 1,   /* ECONNABORTED */
	LATCH_DISPOSE_TIMEOUT = 2, /* ETIMEDOUT */
	/* The socket waits; so does a connect() that is refused. */
	LATCH_DISPOSE_WAIT = 3,
	LATCH_DISPOSE_UNREACHABLE = 4, /* a handshake ends; a connection waits */
};

/* The least protection (R-2.1-3). Members of 0 ask for nothing. */
struct latch_least {
	__u32 size;	       /* of this structure */
	__u16 encryption_bits; /* of the key without its salt; 112 for 3DES. A number: confidential
				*/
	__u16 icv_bits;	       /* of the integrity check value */
	__u8 confidential;     /* 1: encrypted by an algorithm of which latchd knows the strength */
	__u8 replay_protection; /* 1 */
	__u8 esn;		/* 1: extended sequence numbers */
	__u8 pad;		/* 0 */
};

/*
 * Only LATCH_APP_ESTABLISHED proves the present peer of the connection. UDP data is the peer's
 * only if it is read after that answer: see LATCH_INFO_UNPROVEN.
 */
enum latch_app_state {
	LATCH_APP_NOT_LATCHED = 0, /* see why */
	LATCH_APP_LISTENER = 1,	   /* a TCP socket that listens; its connections have latches */
	LATCH_APP_LARVAL = 2,	   /* under IPsec, but its peer is not known yet */
	LATCH_APP_ESTABLISHED = 3, /* latched and enforced */
	LATCH_APP_BROKEN = 4,	   /* no packet is sent or received; also after such an end */
	LATCH_APP_CLOSED = 5,	   /* the latch has ended */
	LATCH_APP_AUDITED = 6,	   /* as ESTABLISHED, but not enforced: audit mode, now or once */
	/* As ESTABLISHED, but the socket may have data of another peer: see LATCH_INFO_UNPROVEN. */
	LATCH_APP_UNPROVEN = 7,
};

/* The reason why a socket is not latched, or no longer: one number. */
enum latch_why {
	LATCH_WHY_NONE = 0,
	/* NOT_LATCHED: */
	LATCH_WHY_NOT_CONNECTED = 1, /* the socket has no connection */
	LATCH_WHY_NOT_YET = 2,	     /* connect() is under way */
	LATCH_WHY_CLEAR = 3,	     /* no SA protected it when it began; UDP: none so far */
	LATCH_WHY_OLDER = 4,	     /* TCP: the connection is older than latchd's programs */
	LATCH_WHY_RULE_OFF = 5,	     /* a rule says action = off */
	/* a rule or a wish requires a latch: nothing is sent or received */
	LATCH_WHY_REQUIRED = 6,
	/* connect() was ended: its SA is contested (R-2.3-8), or an administrator has done it */
	LATCH_WHY_REFUSED = 7,
	LATCH_WHY_OTHER_SOCKET = 8, /* another socket has the latch of these addresses and ports */
	LATCH_WHY_NO_ROOM = 9,	    /* it listens, and its latch has no room in the table */
	/* The SA is of another kind than the socket's wish: nothing is sent or received. */
	LATCH_WHY_PEER = 10,  /* of another peer, or under another connection's name */
	LATCH_WHY_LOCAL = 11, /* it names this host by another identity */
	LATCH_WHY_CLASS = 12, /* the peer is authenticated in another way */
	LATCH_WHY_QUALITY = 13,
	LATCH_WHY_BYPASS = 14, /* the socket has LATCH_PROTECTION_BYPASS */
	LATCH_WHY_TAG = 15,    /* the peer is not of the wished set */
	/* LARVAL: */
	LATCH_WHY_UNATTRIBUTED = 16, /* no key manager has reported the peer of its SA yet */
	/* AUDITED: */
	LATCH_WHY_AUDIT = 17,
	/* UNPROVEN: */
	LATCH_WHY_EARLIER_DATA = 18, /* it began LARVAL, or the socket had datagrams already */
	/* BROKEN: the first reason of reasons. */
	LATCH_WHY_SA_CONFLICT = 32,
	LATCH_WHY_SPD_CHANGE = 33,
	LATCH_WHY_PEER_DEAD = 34,
	LATCH_WHY_PEER_REBOOTED = 35,
	LATCH_WHY_ADMIN = 36,	      /* latchctl break; after the end also latchctl close */
	LATCH_WHY_REFUSED_LATER = 37, /* began in audit mode, where enforcement refuses it */
	/* CLOSED: */
	LATCH_WHY_ENDED = 64, /* with its connection */
	LATCH_WHY_REMOVED =
		65, /* by latchd, while the socket is there: nothing is sent or received */
};

/* Bits of latch_info.reasons, as "reasons" of latchctl list. */
enum latch_app_reason {
	LATCH_APP_SA_CONFLICT = 1 << 0,
	LATCH_APP_SPD_CHANGE = 1 << 1,
	LATCH_APP_PEER_DEAD = 1 << 2,
	LATCH_APP_PEER_REBOOTED = 1 << 3,
	LATCH_APP_ADMIN = 1 << 4,
	LATCH_APP_REFUSED = 1 << 5,
};

/* Bits of latch_info.flags. */
enum latch_info_flag {
	LATCH_INFO_INDETERMINATE = 1 << 0, /* no quality of protection is latched yet (R-2.1-3) */
	LATCH_INFO_AUDIT = 1 << 1, /* was in audit mode at some time: see LATCH_APP_AUDITED */
	LATCH_INFO_ENCAPSULATED = 1 << 2, /* ESP in UDP: there is a NAT, or the peers act as if */
	LATCH_INFO_GATEWAY = 1 << 3,	  /* tunnel mode: the peer is where the tunnel ends */
	LATCH_INFO_ABORTED = 1 << 4,	  /* ended by a reset, a timeout or an abort */
	LATCH_INFO_CHANGED = 1 << 5,	  /* the latch has changed its state */
	/*
	 * The latch began LARVAL, or the UDP socket had datagrams to read, or the last datagram of
	 * its connection had come in clear. So data from before the latch has no proven peer. The
	 * flag stays for the whole connection. For UDP, some earlier data does not set the flag:
	 * some that was read before, or that another CPU had checked and not queued yet. So read
	 * after the answer only.
	 */
	LATCH_INFO_UNPROVEN = 1 << 6,
	LATCH_INFO_PEER_ENDED = 1 << 7, /* TCP: the peer's FIN, and all before it, is here */
};

struct latch_info {
	__u32 size; /* number of filled bytes */
	__u32 abi;  /* LATCH_OPTION_ABI */
	__u8 state; /* enum latch_app_state */
	__u8 why;   /* enum latch_why */
	__u8 reasons;
	__u8 direction; /* 1: this host opened the connection; 2: the peer did; 0: not known */
	/* Protection, 0 while LATCH_INFO_INDETERMINATE. */
	__u8 mode;     /* 0 transport, 1 tunnel, 4 BEET */
	__u8 protocol; /* 50 ESP, 51 AH */
	__u8 esn;
	__u8 replay_protection;
	__u32 flags;
	__u16 encryption_bits; /* length of the key; of an AEAD with its salt */
	__u16 integrity_bits;
	__u16 icv_bits;
	__u16 pad;
	/*
	 * Numbers of the two identities, or 0. An identity is its text with its key manager and
	 * connection: one peer under two connections has two numbers. If two latches are
	 * ESTABLISHED at one time, equal numbers are equal identities. Later another peer may
	 * get the number.
	 */
	__u32 peer_number;
	__u64 latch;	  /* latchctl's id, not used again until a reboot or a purge; 0: none */
	__u64 age_ns;	  /* since the latch began; suspended time included */
	__u64 changed_ns; /* since the last change of its state */
	__u64 dropped;	  /* packets that were dropped by the latch */
	/* The connection as the socket has it: inside of a tunnel (R-2-9). Addresses are bytes. */
	__u8 local_addr[16]; /* IPv4 in the first four bytes */
	__u8 remote_addr[16];
	/* The ends of the SA that the socket sends under: outer and public addresses (R-2-8,
	 * R-2-9). */
	__u8 outer_local_addr[16];
	__u8 outer_remote_addr[16];
	__u16 local_port, remote_port;
	__u16 outer_local_port, outer_remote_port; /* of ESP in UDP; else 0 */
	__u8 family;				   /* AF_INET or AF_INET6; 0: no connection */
	__u8 outer_family;			   /* 0: not known */
	__u8 pad2[2];
	__u32 local_number;
	char encryption[32]; /* the kernel's name, padded with NUL; "" = none */
	char integrity[32];  /* "" = none, or part of the AEAD */
};

enum latch_app_key {
	LATCH_APP_KEY_UNKNOWN = 0,
	LATCH_APP_KEY_SPKI = 1, /* SHA-256 of the SubjectPublicKeyInfo */
};

/*
 * The key of the peer is known only where the connection admits no other: one certificate or raw
 * key is configured for it, and the key manager has no other key under its subject. The key of this
 * host is known beside a known one of the peer only. A peer of such a connection is another one if
 * its key is another one.
 */
struct latch_party {
	__u32 size;	 /* number of filled bytes */
	__u32 number;	 /* as in struct latch_info; 0 after the end of the latch */
	__u8 auth_class; /* enum latch_app_class; 0: not known, as of this host */
	__u8 key_kind;	 /* enum latch_app_key */
	__u8 pad[6];
	__u8 key[32];
	char id[LATCH_TEXT_MAX]; /* padded with NUL; so is connection */
	char connection[64];	 /* of the peer only */
};

#define LATCH_BINDING_TYPE "latch-end-point:"

/* 80 octets, without padding; an application compares or hashes all of them. */
struct latch_binding {
	char type[16];	/* LATCH_BINDING_TYPE, without its NUL */
	__u8 lower[32]; /* the keys of both ends as in struct latch_party, compared as bytes */
	__u8 higher[32];
};

/*
 * News: what happens to latches of subscribed sockets, from latchd. A program connects to
 * LATCH_NEWS_PATH (AF_UNIX, SOCK_SEQPACKET) and receives one greeting, then one struct latch_news a
 * message. It sends nothing. Each item is a hint: the options above are the truth. The end of file
 * says that latchd is away: connect again, subscribe again, ask each socket.
 */
#define LATCH_NEWS_PATH	   "/run/latch/news"
#define LATCH_NEWS_SOCKETS 1024 /* sockets that a connection may have */
#define LATCH_NEWS_CLIENTS 16	/* connections that a uid may have */

struct latch_news_greeting {
	__u32 size;
	__s32 error; /* 0; EUSERS: too many connections, and this one is closed */
	/* Random, and of this connection only. A process that has it may send news there. */
	__u8 token[16];
};

struct latch_subscribe {
	__u32 size;	/* of this structure */
	__u32 pad;	/* 0 */
	__u8 token[16]; /* all 0 to take the subscription back */
	__u64 data;	/* the application's own: comes back in each item */
};

enum latch_news_event {
	LATCH_NEWS_BROKEN = 1, /* see why and reasons */
	LATCH_NEWS_HEALED = 2, /* it was BROKEN, and is not any more */
	/* The latch has ended: not by the last close() or another connect() of its socket. */
	LATCH_NEWS_CLOSED = 3,
	/* A listener has a new connection with a latch: socket is that of the connection. */
	LATCH_NEWS_SPAWNED = 4,
	/* News are missing, or the states of all sockets may have changed: ask each socket. No
	 * member below why is set. */
	LATCH_NEWS_LOST = 5,
};

struct latch_news {
	__u32 size;   /* number of filled bytes */
	__u8 event;   /* enum latch_news_event: pass over one that is not known */
	__u8 why;     /* of BROKEN: enum latch_why */
	__u8 reasons; /* of BROKEN: enum latch_app_reason */
	__u8 pad;
	__u64 socket;  /* SO_COOKIE of the socket */
	__u64 data;    /* of struct latch_subscribe; of an accepted socket its listener's */
	__u64 latch;   /* as in struct latch_info */
	__u64 time_ns; /* CLOCK_BOOTTIME when latchd sent it */
};

#ifdef __cplusplus
static_assert(sizeof(struct latch_party) == 624, "fits into the 1024 bytes of Python");
static_assert(sizeof(struct latch_binding) == 80, "no hidden padding");
static_assert(sizeof(struct latch_least) == 12, "no hidden padding");
static_assert(sizeof(struct latch_info) == 208, "fits into the 256 bytes of Perl and Ruby");
static_assert(sizeof(struct latch_news_greeting) == 24, "no hidden padding");
static_assert(sizeof(struct latch_subscribe) == 32, "no hidden padding");
static_assert(sizeof(struct latch_news) == 40, "no hidden padding");
#else
_Static_assert(sizeof(struct latch_party) == 624, "fits into the 1024 bytes of Python");
_Static_assert(sizeof(struct latch_binding) == 80, "no hidden padding");
_Static_assert(sizeof(struct latch_least) == 12, "no hidden padding");
_Static_assert(sizeof(struct latch_info) == 208, "fits into the 256 bytes of Perl and Ruby");
_Static_assert(sizeof(struct latch_news_greeting) == 24, "no hidden padding");
_Static_assert(sizeof(struct latch_subscribe) == 32, "no hidden padding");
_Static_assert(sizeof(struct latch_news) == 40, "no hidden padding");
#endif

#endif
