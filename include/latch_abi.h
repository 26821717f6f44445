/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The structures, numbers and paths that the BPF programs and user space share, and the only
 * definition of them. Pinned maps hold these structures and outlive both sides. A change of
 * layout therefore needs a new LATCH_ABI, and with it a new pin path.
 * tests/unit/include/test_abi.c checks both.
 *
 * Addresses are in network order: IPv4 in the first four bytes, the rest zero. Ports, SPIs and
 * marks are in host order. Times are CLOCK_BOOTTIME in nanoseconds. Reserved bytes (pad) are zero
 * unless a comment says otherwise.
 */
#ifndef LATCH_ABI_H
#define LATCH_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define LATCH_ABI      1
#define LATCH_PIN_ROOT "/sys/fs/bpf/latchd"
#define LATCH_PIN_DIR  LATCH_PIN_ROOT "/v1"
/* The programs that answer applications and take their wishes (bpf/api): the pins of their links
 * begin with their names. */
#define LATCH_ANSWER_PROGRAM "option_get"
#define LATCH_WISH_PROGRAM   "option_set"
#define LATCH_ABORT_PROGRAM  "watch_datagram_abort"

/* Packed enums take one byte: they fit into atomic words, and bpftool prints their names. */

enum __attribute__((packed)) latch_state {
	LATCH_STATE_NONE = 0,
	LATCH_STATE_LISTENER = 1,
	LATCH_STATE_LARVAL = 2,
	LATCH_STATE_ESTABLISHED = 3,
	LATCH_STATE_BROKEN = 4,
	LATCH_STATE_CLOSED = 5,
};

/* A set. A latch is ESTABLISHED only while its set is empty (RFC 5660 section 2.2). */
enum latch_reason {
	LATCH_REASON_SA_CONFLICT = 1 << 0,
	LATCH_REASON_SPD_CHANGE = 1 << 1,
	LATCH_REASON_PEER_DEAD = 1 << 2,
	LATCH_REASON_PEER_REBOOTED = 1 << 3,
	LATCH_REASON_ADMIN = 1 << 4,
	LATCH_REASON_REFUSED = 1 << 5, /* began in audit mode, where enforcement refuses the flow */
};
#define LATCH_REASONS_ALL 0x3f
#define LATCH_REASONS_STICKY                                                                       \
	(LATCH_REASON_PEER_DEAD | LATCH_REASON_PEER_REBOOTED | LATCH_REASON_REFUSED)

enum __attribute__((packed)) latch_direction {
	LATCH_DIRECTION_NONE = 0,
	LATCH_DIRECTION_OUT = 1, /* this host sent the SYN */
	LATCH_DIRECTION_IN = 2,
};

/* The owner of a latch. The controller reaps the latches of all but LATCH_OWNER_SOCKET. */
enum __attribute__((packed)) latch_owner {
	LATCH_OWNER_HANDSHAKE = 0, /* a request socket; no program sees its end */
	LATCH_OWNER_SOCKET = 1,
	LATCH_OWNER_TIME_WAIT = 2,
};

/* RFC 5660 section 5.5: the effect on the owner while the latch is BROKEN. */
enum __attribute__((packed)) latch_disposition {
	LATCH_DISPOSITION_RESET = 0,
	LATCH_DISPOSITION_WAIT = 1,
	LATCH_DISPOSITION_UNREACHABLE = 2,
};

enum __attribute__((packed)) latch_action {
	LATCH_ACTION_AUTO = 0,	  /* latch a flow that starts protected */
	LATCH_ACTION_OFF = 1,	  /* never latch a flow */
	LATCH_ACTION_REQUIRE = 2, /* drop packets in clear and packets of flows without a latch */
};

/*
 * Options of a rule besides its action. A latch keeps the flags of the rule that it was created
 * under.
 */
enum latch_rule_flag {
	LATCH_RULE_REQUIRE = 1 << 0,	    /* set with LATCH_ACTION_REQUIRE */
	LATCH_RULE_KEEP_ON_DPD = 1 << 1,    /* a dead peer (DPD) does not break the latch */
	LATCH_RULE_KEEP_ON_REBOOT = 1 << 2, /* a rebooted peer does not break the latch */
	LATCH_RULE_PROTECT = 1 << 3,	    /* R-2.3-14: policy edits do not reach the flow */
	LATCH_RULE_TIMEOUT = 1 << 4,	    /* the application sees a timeout instead of a reset */
	LATCH_RULE_SOCKETLESS = 1 << 5,	    /* latchd watches every socket: the rule also holds for
					       packets without a socket */
	LATCH_RULE_WISHED = 1 << 6,  /* of a latch only: its socket has wishes, which audit mode
					does not suspend (latch_sockopt.h) */
	LATCH_RULE_CLOSING = 1 << 7, /* of a latch only: latchd ends its socket for an
					administrator, whose reason it is then */
};

/*
 * The directions in which the SPD was seen to protect the latch. Only there can a policy edit
 * remove protection.
 */
enum latch_spd {
	LATCH_SPD_OUT = 1 << 0,
	LATCH_SPD_IN = 1 << 1,
};

#define LATCH_RULES_MAX 64
#define LATCH_FEEDS_MAX 64
#define LATCH_RULE_NONE 0xffff /* no rule matched: auto, reset, no flags */

/* Key of a latch. A LISTENER has no remote end: remote address and port are 0. */
struct latch_flow {
	__u64 netns; /* SO_NETNS_COOKIE */
	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u16 local_port;
	__u16 remote_port;
	__u8 family;   /* AF_INET or AF_INET6 */
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	__u16 pad;
};

/*
 * A rule of the configuration. When a flow starts, the first rule that matches decides. Port
 * ranges include both ends. A prefix of 0 bits matches any address of the rule's family.
 */
struct latch_rule {
	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u16 local_port_first, local_port_last; /* 0 to 65535: any */
	__u16 remote_port_first, remote_port_last;
	__u8 local_bits;
	__u8 remote_bits;
	__u8 family;   /* AF_INET, AF_INET6, 0 = any; with 0 both prefixes have 0 bits */
	__u8 protocol; /* 0 = any */
	enum latch_direction direction; /* LATCH_DIRECTION_NONE = any */
	enum latch_action action;
	enum latch_disposition disposition;
	__u8 flags;	     /* set of enum latch_rule_flag */
	__u8 peer_set;	     /* of the peer: 1 + its place in struct latch_peer_sets; 0 = any */
	__u8 min_encryption; /* bytes of the key without its salt; 0 = any */
	__u8 reserved[6];    /* zero */
};

/*
 * The sets of peers of the configuration, by which rules and applications (tags) name them. Two
 * halves, as of rules: rule_stamp says which one is in force. An empty name: no set.
 */
#define LATCH_PEER_SETS_MAX 32
#define LATCH_TAG_MAX	    32 /* a name, the NUL included */

struct latch_peer_sets {
	__u64 digest; /* of the [peer] sections; 0 = there is none */
	char names[LATCH_PEER_SETS_MAX][LATCH_TAG_MAX];
};

/* Of the identity with this index, if it is a peer's. latchd writes it before params name it. */
struct latch_peer_facts {
	__u32 sets[2]; /* by half: bit = place in struct latch_peer_sets */
	__u8 host;     /* enum latch_peer_host */
	__u8 pad[7];
};

enum latch_peer_host {
	LATCH_PEER_UNKNOWN = 0,
	LATCH_PEER_HOST = 1, /* each report has proven that the identity is a host name */
	LATCH_PEER_NO_HOST = 2,
};

/*
 * All members that decide over a packet change in one store. Every transition has a new
 * generation, so a compare-and-swap on raw never changes another flow's latch in a reused map
 * element.
 */
union latch_word {
	__u64 raw;
	struct {
		__u32 generation;
		__u16 params; /* index of the interned latch_params; of a LISTENER: number of its
				 sockets */
		__u8 reasons; /* set of enum latch_reason */
		enum latch_state state;
	};
};

#define LATCH_DROP_EVENT_SHIFT 20

/* The socket of a latch may have received data that is not its peer's. That stays so in any later
 * state of the latch. */
enum latch_unproven {
	LATCH_UNPROVEN_EARLIER = 1 << 0, /* began LARVAL, or its UDP socket had datagrams before */
	LATCH_UNPROVEN_AUDITED = 1 << 1, /* began in audit mode */
};

struct latch {
	union latch_word word;
	__u64 id; /* 0: a program is about to delete it */
	__u64 created;
	__u64 changed;	     /* last transition */
	__u64 socket_cookie; /* of the owner; 0 while the owner is a request socket */
	__u64 owner_since;   /* last change of owner */
	__u64 drops;
	/* Time of its last drop event, for packets in [0] and out [1], in units of 2^20 ns. */
	__u32 drop_event[2];
	__u32 spi_out; /* last seen; shown only, never checked */
	__u32 spi_in;
	enum latch_direction direction;
	enum latch_owner owner;
	__u16 rule; /* index, shown only; disposition and rule_flags are copies from that rule */
	enum latch_disposition disposition;
	__u8 rule_flags;
	__u8 spd;	   /* set of enum latch_spd */
	__u8 rule_set;	   /* the rules at its creation: low bits of their rule_stamp */
	__u64 listener;	   /* id of the LISTENER that spawned it; 0 = none */
	__u64 spawned;	   /* of a LISTENER: latches created for its connections */
	__u64 refused;	   /* of a LISTENER: connections refused because they got no latch */
	__u64 association; /* SCTP: one number for all latches of an association; 0 = not known yet
			    */
	__u32 tag_seen;	   /* SCTP: verification tag that the peer last used, network order */
	__u32 foreign_larval; /* 1: counted in latch_clock.foreign_larvals */
	__u32 decided;	    /* latch_settings.mode when it became BROKEN or CLOSED (latch_mode.h) */
	__u16 audited;	    /* in audit mode: set of 1 << enum latch_drop that were counted */
	__u16 audited_mode; /* low bits of the mode that audited belongs to */
	/* Of a mark (LATCH_REASON_REFUSED): */
	__u32 mark_share;     /* its slot in mark_shares; 0 = not counted there */
	__u16 refused_params; /* of the SA that was refused; 0 = none, or not attributed */
	__u8 refusal;	      /* enum latch_drop */
	__u8 unproven;	      /* bits of enum latch_unproven: when it begins */
};

/* The keys of an SCTP association on a path that has no latch yet. */
enum latch_association_mark {
	LATCH_MARK_LOCAL_TAG = 1,  /* verification tag of received packets */
	LATCH_MARK_REMOTE_TAG = 2, /* verification tag of sent packets */
	LATCH_MARK_ADDRESS = 3,	   /* an address of the peer */
};

/*
 * The key is a latch_flow. pad is an enum latch_association_mark. remote_addr is the address, or
 * starts with the tag, and then family is 0. local_addr is zero.
 */
struct latch_association {
	__u64 id;
	__u64 changed;
	__u16 params; /* of the association's latches; 0 while they are LARVAL */
	__u8 foreign; /* counted in latch_clock.foreign_marks */
	__u8 pad;
	__u32 mode; /* latch_settings.mode when its first mark was recorded (latch_mode.h) */
};

enum __attribute__((packed)) latch_sa_state {
	LATCH_SA_NONE = 0,
	LATCH_SA_PENDING = 1, /* in the kernel, not attributed to a peer yet */
	LATCH_SA_BOUND = 2,
	LATCH_SA_ORPHAN =
		3, /* its key manager is gone; it keeps its identity and starts no latch */
	LATCH_SA_DYING =
		4, /* deleted by its key manager; it keeps its identity and starts no latch */
};

/*
 * A packet that has left XFRM no longer carries the SA's mark or interface id, so neither can be
 * part of this key. Two SAs that differ only in them make the entry ambiguous. An ambiguous entry
 * is congruent with nothing.
 */
struct latch_sa_key {
	__u64 netns;
	__u8 daddr[16];
	__u32 spi;
	__u8 protocol; /* IPPROTO_ESP, IPPROTO_AH */
	__u8 family;
	__u16 pad;
};

enum latch_sa_flag {
	LATCH_SA_AMBIGUOUS = 1 << 0, /* another SA has the same key: congruent with nothing */
	LATCH_SA_CONTESTED = 1 << 1, /* another SA with other params covers the same traffic */
	LATCH_SA_FOREIGN = 1 << 2,   /* of a user namespace other than the host's: counted */
	LATCH_SA_GONE = 1 << 3,	     /* the kernel has deleted the SA, but its entry could not be */
	LATCH_SA_CLAIMED = 1 << 4,   /* a program writes it; with GONE: deletes or replaces it */
	LATCH_SA_UNPROVEN = 1 << 5,  /* PENDING, and its peer is decided to be unproven */
};

union latch_sa_word {
	__u64 raw;
	struct {
		__u32 serial; /* drawn anew for every SA: a late answer cannot name its successor */
		__u16 params;
		__u8 flags; /* set of enum latch_sa_flag */
		enum latch_sa_state state;
	};
};

#define LATCH_ALG_NAME_MAX 32

/* Quality of protection as the kernel has it. Sizes are in bits. */
struct latch_qop {
	char encryption[LATCH_ALG_NAME_MAX]; /* cipher or AEAD; "" = none */
	char integrity[LATCH_ALG_NAME_MAX];  /* "" = none, or part of the AEAD */
	__u16 encryption_bits;		     /* key length; an AEAD's includes its salt */
	__u16 integrity_bits;
	__u16 icv_bits;
	__u8 esn;
	__u8 replay_protection; /* 0 for an outbound SA, and for a disabled window */
};

union latch_encap_ports {
	__u32 raw;
	struct {
		__u16 port;  /* destination port of the encapsulation; 0: none */
		__u16 other; /* the next one during an update, then the former one */
	};
};

struct latch_sa {
	union latch_sa_word word;
	__u64 instance; /* address of the xfrm_state; 0 = found by a dump, its installation was not
			   seen */
	__u64 installed;
	__u8 saddr[16];
	__u32 reqid;
	__u32 mark;
	__u32 mark_mask;
	__u32 if_id;
	struct latch_qop qop;
	__u8 mode;  /* XFRM_MODE_* */
	__u8 encap; /* 1: UDP encapsulation */
	__u8 pad[2];
	union latch_encap_ports encap_ports;
	__u32 previous; /* serial of the SA that was installed before it between its addresses; 0:
			   not known */
	__u32 pad_end;
};

/* The reason why a packet was dropped. Its flow has a latch, or was to get one. */
enum latch_drop {
	LATCH_DROP_PLAINTEXT,	 /* no SA protects it */
	LATCH_DROP_SA_PENDING,	 /* its SA is not attributed yet */
	LATCH_DROP_SA_UNKNOWN,	 /* its SA is not in the table */
	LATCH_DROP_IDENTITY,	 /* its SA belongs to another peer, or names this host by another
				    identity */
	LATCH_DROP_QOP,		 /* same identities, other mode, type or quality of protection */
	LATCH_DROP_AMBIGUOUS,	 /* its SA has the same key as another SA */
	LATCH_DROP_NESTED,	 /* more than one SA protects it */
	LATCH_DROP_BROKEN,	 /* the latch is BROKEN */
	LATCH_DROP_CLOSED,	 /* its socket was latched, and the latch is closed */
	LATCH_DROP_CONFLICT,	 /* no latch may be created: RFC 5660 section 2.3, R-2.3-8 */
	LATCH_DROP_LATCHES_FULL, /* a latch is needed, and the table is full */
	LATCH_DROP_MALFORMED,	 /* headers do not parse */
	LATCH_DROP_REQUIRED,	 /* a rule requires a latch, and this packet cannot create one */
	LATCH_DROP_MERGED,	 /* GRO or reassembly merged it, or may have merged it, with data in
				    clear or of another peer's SA */
	LATCH_DROP_OTHER_MODE,	 /* its SA has a mode that latchd does not know (IP-TFS) */
	LATCH_DROP_CONTESTED,	 /* its SA is contested, and latchd has not decided yet whether
				    another SA can carry the flow */
	LATCH_DROP_COUNT,
};

/*
 * The addresses of a flow, whatever its protocol and ports, and the params of the SA that it came
 * under. No padding: it is a key of a map.
 */
struct latch_pair {
	__u64 netns;
	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u16 params;
	__u8 family;
	__u8 pad[5];
};

/*
 * latchd's decision over a pair of addresses under a contested SA, a __u32. ALONE: the kernel can
 * use SAs of these params only, for any flow of the pair. CONTESTED: another SA can carry one, so
 * no latch is created.
 */
#define LATCH_PAIR_CONTESTED 0
#define LATCH_PAIR_ALONE     1
#define LATCH_PAIRS_MAX	     4096

struct latch_drop_count {
	__u64 egress;
	__u64 ingress;
};

enum latch_counter {
	LATCH_COUNTER_EVENTS_LOST,
	LATCH_COUNTER_LATCHES_FULL,
	LATCH_COUNTER_SAS_FULL,
	LATCH_COUNTER_UNLATCHED_PENDING, /* new flows passed unlatched: SA pending beyond the limit,
					    or of an unproven peer */
	LATCH_COUNTER_UNLATCHED_OTHER,	 /* new flows passed unlatched: SA orphan, dying, unknown or
					    ambiguous */
	LATCH_COUNTER_LATCHES_CREATED,
	LATCH_COUNTER_SLOW_PATH,      /* packets that the cgroup gate checked in full */
	LATCH_COUNTER_XFRM_HOOKS,     /* SA hooks that fired */
	LATCH_COUNTER_SAS_OVER_QUOTA, /* SAs refused because the share of other user namespaces, of
					 their addresses or of their peer was full */
	LATCH_COUNTER_SAS_ELSEWHERE,  /* packets sent in clear to a VTI interface, or to an xfrm
					 interface with SAs in another network namespace */
	LATCH_COUNTER_DATAGRAMS_LOST, /* datagrams that waited for the owner of their SA: send()
					 succeeded; with IP_RECVERR it got ENOBUFS */
	LATCH_COUNTER_UNLATCHED_UNSERVED, /* new flows passed unlatched: no feed can name the owner
					     of an SA in their namespace, which is of the host's
					     user namespace */
	LATCH_COUNTER_UNLATCHED_FOREIGN,  /* the same in other user namespaces */
	LATCH_COUNTER_AUDITED,		  /* packets passed in audit mode that enforcement drops */
	LATCH_COUNTER_AUDIT_UNMARKED,	  /* new flows that enforcement refuses, without room for
					     the mark that refuses them later */
	LATCH_COUNTER_ELSEWHERE_FOREIGN, /* packets as of SAS_ELSEWHERE, of other user namespaces */
	LATCH_COUNTER_UNLATCHED_TUNNEL, /* flows in clear to a tunnel device: what that one sends is
					   not theirs, and may be under an SA */
	LATCH_COUNTER_COUNT,
};

/*
 * rules[] has two halves. The first is in force while rule_stamp is even, the second while it is
 * odd. A search that began before a change may still read the other half. It reads rule_stamp
 * again at its end and discards its result if the stamp has changed (rules.bpf.c).
 */
struct latch_settings {
	__u64 pending_limit;	   /* ns: an SA pending for longer, or one with
				      LATCH_SA_UNPROVEN, may carry new flows, unlatched */
	__u64 drop_event_interval; /* ns between drop events of one latch */
	__u32 rule_count;	   /* rules of the half in force */
	__u32 rule_stamp;	   /* incremented at every change of the rules; stored together with
				      rule_count */
	/*
	 * Namespaces where a key manager can name the owner of an SA: each feed was last seen in
	 * one. 0: no feed. Until each feed was seen, any namespace of the host's user namespace
	 * may be one.
	 */
	__u64 served[LATCH_FEEDS_MAX];
	__u8 all_feeds_seen;
	__u8 answers; /* 1: sockets answer for their latch (latch_sockopt.h) */
	__u8 pad[2];
	__u32 mode; /* even: enforcement, odd: audit; drawn anew at every switch (latch_mode.h) */
	__u64 mode_since;  /* time of the last switch; 0 = enforcement since the first start */
	__u64 reserved[2]; /* zero */
};

/* Sources of unique numbers, and the fill of the quotas. */
struct latch_clock {
	__u64 latch_id;
	__u64 generation;
	__u64 sa_serial;
	__u64 listeners;       /* number of LISTENER latches */
	__u64 foreign_larvals; /* latches still LARVAL since creation, under an SA that has
				  LATCH_SA_FOREIGN or is unknown */
	__u64 foreign_sas;     /* SAs with LATCH_SA_FOREIGN */
	__u64 foreign_marks;   /* marks of SCTP associations in other user namespaces */
	__u64 audit_unmarked;  /* LATCH_COUNTER_AUDIT_UNMARKED since the last switch to audit */
	__u64 reserved[2];     /* zero */
};

/* Packets that passed in audit mode only, and breaks: one row per rule, peer and reason. */
struct latch_audit_key {
	__u16 rule; /* as in struct latch */
	__u8 rule_set;
	__u8 drop;    /* enum latch_drop */
	__u8 reasons; /* of LATCH_DROP_BROKEN: set of enum latch_reason */
	__u8 others;  /* 1: all flows without room for their own row */
	__u16 params; /* of the latch, else of the flow's SA; 0 = no known peer */
};

struct latch_audit {
	__u64 packets;
	__u64 flows; /* that are latched, or began; a flow may be in several rows */
	__u64 first;
	__u64 last;
	struct latch_flow flow; /* the first one */
	enum latch_direction direction;
	__u8 pad;
	__u16 got; /* params of the SA that last carried a packet of a latched flow */
	__u32 pad2;
};

#define LATCH_MARK_SHARES      4096
#define LATCH_AUDIT_ROWS       16384
#define LATCH_AUDIT_ROWS_SPARE 1024 /* for rows of others: one per rule and reason */
#define LATCH_AUDIT_ROWS_RULE  (LATCH_AUDIT_ROWS / 4)
/* Keys of the map audit_shares: rows of a rule, of no rule, and all rows. */
#define LATCH_AUDIT_SHARE_ALL (LATCH_RULES_MAX + 1)
#define LATCH_AUDIT_SHARES    (LATCH_RULES_MAX + 2)

/* ---- the params and identities tables: only the controller writes them ---- */

#define LATCH_PARAMS_MAX     65535 /* index 0 is never used */
#define LATCH_IDENTITIES_MAX 65535
#define LATCH_ID_TEXT_MAX    512
#define LATCH_NAME_MAX	     64

/* The parameters that RFC 5660 section 2 latches. Two params are congruent if their indices are
 * equal. */
struct latch_params {
	__u32 local_id; /* indices of latch_identity */
	__u32 peer_id;
	struct latch_qop qop;
	__u8 mode;
	__u8 protocol;
	__u8 pad[2];
	__u32 checksum; /* CRC-32 of all bytes before it */
};

/* How an end was authenticated. */
enum latch_auth {
	LATCH_AUTH_UNKNOWN,
	LATCH_AUTH_PUBKEY,
	LATCH_AUTH_PSK,
	LATCH_AUTH_EAP,
	LATCH_AUTH_XAUTH,
	LATCH_AUTH_NULL,
};

#define LATCH_KEY_SIZE 32

enum latch_key_kind {
	LATCH_KEY_UNKNOWN,
	LATCH_KEY_SPKI, /* SHA-256 of the SubjectPublicKeyInfo */
};

struct latch_identity {
	char authority[LATCH_NAME_MAX]; /* name of the feed */
	char config[LATCH_NAME_MAX];	/* the key manager's connection name */
	char id[LATCH_ID_TEXT_MAX];
	__u32 auth; /* enum latch_auth */
	/*
	 * The only key that the connection of this peer admits. Part of the equality of two
	 * identities: a peer with another key is another peer. Never of a local identity.
	 */
	__u8 key_kind; /* enum latch_key_kind */
	__u8 pad[3];
	__u8 key[LATCH_KEY_SIZE]; /* zero if it is not known */
	__u32 checksum;
};

/* This host's key in the SAs with these params: a fact, and no part of their equality. */
struct latch_own_key {
	__u8 key[LATCH_KEY_SIZE];
};

/* ---- news for applications: option LATCH_OPT_NEWS of latch_sockopt.h ---- */

#define LATCH_SUBSCRIBERS_MAX	 256  /* connections at latchd's socket for news */
#define LATCH_SUBSCRIBER_SOCKETS 1024 /* sockets a connection: none takes another one's room */
#define LATCH_SUBSCRIBED_MAX	 (LATCH_SUBSCRIBERS_MAX * LATCH_SUBSCRIBER_SOCKETS)

/* The secret of a connection: a socket that shows it sends its news there. All 0: none. */
struct latch_token {
	__u64 words[2];
};

struct latch_subscription {
	struct latch_token token;
	__u64 data; /* the application's own */
};

/* A socket with the subscription that it has. */
struct latch_subscriber {
	struct latch_subscription subscription;
	__u64 socket; /* its cookie */
};

/* ---- events: hints for the controller; no state depends on the arrival of one ---- */

enum latch_event_type {
	LATCH_EVENT_LATCH_ESTABLISHED = 1,
	LATCH_EVENT_LATCH_BROKEN = 2,
	LATCH_EVENT_LATCH_HEALED = 3,
	LATCH_EVENT_LATCH_CLOSED = 4,
	LATCH_EVENT_SA_PENDING = 5,
	LATCH_EVENT_SA_GONE = 6,
	LATCH_EVENT_DROP = 7,
	LATCH_EVENT_REFUSED =
		8, /* this flow gets no latch: drop is the reason (R-2.3-8, R-2.3-18) */
	LATCH_EVENT_POLICY_CHANGED = 9, /* of the SPD of flow.netns; no other member is set */
	LATCH_EVENT_SAS_ELSEWHERE =
		10, /* flow leaves by VTI, or by an xfrm interface with SAs in another namespace */
	/* For applications: subscriber, and except of NEWS_LOST flow, latch_id and word. */
	LATCH_EVENT_NEWS_SPAWNED = 11, /* a listener's connection with a latch is established */
	LATCH_EVENT_NEWS_CLOSED = 12,  /* the latch has ended, and the socket has a descriptor */
	LATCH_EVENT_NEWS_LOST = 13,    /* a socket got no place: its news are not sent */
};

struct latch_event {
	__u64 time;
	enum latch_event_type type;
	enum latch_drop drop;
	struct latch_flow flow;
	__u64 latch_id;
	union latch_word word;
	union {
		struct latch_sa_key sa;
		struct latch_subscriber subscriber;
	};
	union latch_sa_word sa_word;
	__u64 drops;		     /* of this latch so far */
	enum latch_direction packet; /* OUT = egress */
	enum latch_direction direction;
	__u16 rule;	/* of LATCH_EVENT_REFUSED and LATCH_EVENT_LATCH_CLOSED: index, or
			   LATCH_RULE_NONE */
	__u8 rule_set;	/* of LATCH_EVENT_LATCH_CLOSED: as in struct latch */
	__u8 audited;	/* 1: passed, in audit mode; enforcement drops it */
	__u8 wish;	/* of LATCH_EVENT_REFUSED: enum latch_why, if the application has a wish
			   that does not hold; 0 = it has none */
	__u8 waits;	/* 1: the application wishes that connect() waits (latch_sockopt.h) */
	__u64 listener; /* as in struct latch */
};

/* Record of the program timeout_broken for each socket that it makes time out. */
struct latch_timed_out {
	struct latch_flow flow;
	__u64 latch_id;
	__s32 error; /* 0, or the negative errno of the failure */
	__u32 pad;
};

#define LATCH_CGROUP_LEVELS 32
#define LATCH_WISH_COVERS   64

/*
 * What the program find_wish searches for: a socket with a wish that was made in this cgroup, or
 * below it and in none of the covered ones. The program writes one byte for each such socket. It
 * reads LATCH_CGROUP_LEVELS, from the root of the hierarchy on.
 */
struct latch_wish_search {
	__u64 cgroup;
	__u64 covered[LATCH_WISH_COVERS]; /* ids; 0: none */
	__u64 is_deep; /* the cgroup may be below these levels: a socket there counts */
};

/*
 * ---- how the controller writes latches and SAs: BPF_PROG_RUN of latch_control, nothing else
 * ----
 */

enum latch_control_op {
	LATCH_CONTROL_BREAK = 1, /* flow, latch_id, reasons */
	LATCH_CONTROL_HEAL = 2,	 /* flow, latch_id, reasons */
	LATCH_CONTROL_CLOSE = 3, /* flow, latch_id: moves it to CLOSED, then deletes it */
	LATCH_CONTROL_REAP =
		4, /* flow, latch_id, owner_since: deletes it unless the owner has changed */
	LATCH_CONTROL_SA_SET = 5, /* sa, serial, sa_state, params, contested */
	LATCH_CONTROL_SA_ADOPT =
		6, /* sa, sa_value: adds an SA that a dump found, unless it is there */
	LATCH_CONTROL_SA_FORGET = 7, /* sa, serial */
	LATCH_CONTROL_RESTAMP = 8,   /* the gates check the next packet of each socket in full */
	LATCH_CONTROL_SPD_SEEN = 9,  /* flow, latch_id, spd: added to the latch's spd */
	LATCH_CONTROL_LISTEN =
		10, /* flow, word (as read; 0 = none), params: number of listening sockets */
	LATCH_CONTROL_RULES = 11,   /* rule_count: puts the other half of rules[] in force */
	LATCH_CONTROL_RULE_OF = 12, /* flow, direction: finds the rule that decides */
	LATCH_CONTROL_ASSOCIATION_FORGET = 13, /* flow (the key), latch_id (association id),
						  owner_since (latch_association.changed) */
	LATCH_CONTROL_SA_REFUSE = 14,	/* sa, serial: deletes it and counts it in sas_over_quota */
	LATCH_CONTROL_MODE = 15,	/* audit: switches the mode; the audit table is empty */
	LATCH_CONTROL_FORGET_PEER = 16, /* flow, latch_id: breaks it for good; it has no params any
					   more */
	LATCH_CONTROL_SA_UNPROVEN = 17, /* sa, serial: its peer is decided to be unproven */
	/* flow, latch_id, reasons: LATCH_REASON_ADMIN sets LATCH_RULE_CLOSING, 0 clears it */
	LATCH_CONTROL_CLOSING = 18,
};

enum latch_control_result {
	LATCH_CONTROL_DONE = 0,
	LATCH_CONTROL_UNCHANGED = 1,
	LATCH_CONTROL_NOT_FOUND = 2, /* deleted, or its map element was reused */
	LATCH_CONTROL_REFUSED = 3,   /* the state machine has no such transition */
	LATCH_CONTROL_AGAIN = 4,     /* lost a race; try again */
	LATCH_CONTROL_FULL = 5,
	LATCH_CONTROL_OVER_SHARE = 6, /* the share of the SA's addresses is full */
};

struct latch_control {
	enum latch_control_op op;
	enum latch_control_result result;
	struct latch_flow flow;
	__u64 latch_id;
	__u64 owner_since;
	union latch_word word; /* out: the latch after the operation */
	struct latch_sa_key sa;
	__u32 serial;
	__u16 params;
	__u8 reasons;
	enum latch_sa_state sa_state;
	__u8 contested;
	__u8 spd;
	__u16 rule; /* out: index, or LATCH_RULE_NONE */
	__u16 rule_count;
	enum latch_direction direction;
	__u8 audit; /* 1: audit, 0: enforcement */
	struct latch_sa sa_value;
};

_Static_assert(sizeof(enum latch_state) == 1, "states pack into a byte");
_Static_assert(sizeof(struct latch_flow) == 48, "flow key");
_Static_assert(sizeof(union latch_word) == 8, "latch word is atomic");
_Static_assert(sizeof(struct latch_rule) == 56, "rule");
_Static_assert(sizeof(struct latch_peer_sets) == 1032, "peer sets");
_Static_assert(sizeof(struct latch_peer_facts) == 16, "peer facts");
_Static_assert(sizeof(struct latch) == 136, "latch");
_Static_assert(sizeof(struct latch_association) == 24, "association");
_Static_assert(sizeof(struct latch_sa_key) == 32, "SA key");
_Static_assert(sizeof(union latch_sa_word) == 8, "SA word is atomic");
_Static_assert(sizeof(struct latch_qop) == 72, "QoP");
_Static_assert(sizeof(struct latch_sa) == 144, "SA");
_Static_assert(sizeof(struct latch_audit_key) == 8, "audit key");
_Static_assert(sizeof(struct latch_audit) == 88, "audit row");
_Static_assert(sizeof(struct latch_params) == 88, "params");
_Static_assert(sizeof(struct latch_identity) == 684, "identity");
_Static_assert(sizeof(struct latch_subscription) == 24, "subscription");
_Static_assert(sizeof(struct latch_subscriber) == 32, "subscriber");
_Static_assert(sizeof(struct latch_event) == 144, "event");
_Static_assert(sizeof(struct latch_timed_out) == 64, "timed out");
_Static_assert(sizeof(struct latch_wish_search) == 528, "search for a wish");
_Static_assert(sizeof(struct latch_control) == 272, "control");

#endif
