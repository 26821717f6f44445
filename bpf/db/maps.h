/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every map, declared once. maps.bpf.c defines them, and the linker joins both. */
#ifndef LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_MAPS_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "latch_abi.h"
#include "latch_mode.h"
#include "db/packet_protection.h"
#include "db/protocols.h"
#include "db/quota.h"
#include "db/read_once.h"
#include "db/socket_wish.h"

/*
 * Gives a function of a header its own frame, so that it does not widen its caller's. The frames
 * of a call chain share 512 bytes, and Linux 6.1 rounds each frame up to 32.
 */
#define OWN_FRAME __noinline __attribute__((unused))

#define AF_INET	 2
#define AF_INET6 10

#define LATCHES_DEFAULT	 65536
#define SAS_DEFAULT	 65536
#define ASSOCIATIONS_MAX 65536 /* three marks per association, and one per address */

/*
 * Latches and SAs are security state: preallocated, never LRU. If the map is full, the flow or SA
 * is refused.
 */
struct latches_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LATCHES_DEFAULT);
	__type(key, struct latch_flow);
	__type(value, struct latch);
};

/*
 * Marks of SCTP associations, allocated on demand since most hosts have none. If the map is full,
 * the packet is dropped. See db/association.h.
 */
struct associations_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ASSOCIATIONS_MAX);
	__type(key, struct latch_flow);
	__type(value, struct latch_association);
};

struct sas_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SAS_DEFAULT);
	__type(key, struct latch_sa_key);
	__type(value, struct latch_sa);
};

struct params_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LATCH_PARAMS_MAX);
	__type(key, __u32);
	__type(value, struct latch_params);
};

struct identities_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LATCH_IDENTITIES_MAX);
	__type(key, __u32);
	__type(value, struct latch_identity);
};

/* Written before an SA gets the params. */
struct own_keys_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LATCH_PARAMS_MAX);
	__type(key, __u32);
	__type(value, struct latch_own_key);
};

/* Two halves, one of them in force: see struct latch_settings. */
struct rules_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * LATCH_RULES_MAX);
	__type(key, __u32);
	__type(value, struct latch_rule);
};

/* By half, as the rules. */
struct peer_sets_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct latch_peer_sets);
};

/* By index of the identity. */
struct peer_facts_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LATCH_IDENTITIES_MAX + 1);
	__type(key, __u32);
	__type(value, struct latch_peer_facts);
};

/* latchd writes it before it runs find_wish. */
struct wish_search_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct latch_wish_search);
};

struct settings_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct latch_settings);
};

/* A report, not security state: flows without room for their own row share one row. */
struct audits_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LATCH_AUDIT_ROWS);
	__type(key, struct latch_audit_key);
	__type(value, struct latch_audit);
};

struct clock_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct latch_clock);
};

struct drops_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LATCH_DROP_COUNT);
	__type(key, __u32);
	__type(value, struct latch_drop_count);
};

struct counters_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LATCH_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
};

struct events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};

#define EPOCHS 4000

/*
 * See epochs.h. A table is one map entry, so that one lookup finds all epochs. Map and entry have
 * less than 32 KiB, which the kernel allocates in the direct mapping. A page of vmalloc would
 * cost each packet a TLB miss.
 */
struct epochs {
	__u64 all; /* advances for all flows; begins with the time since boot, in ns */
	__u64 pad[7];
	__u64 of[EPOCHS]; /* by the hash of a flow or of an SA; the first is unused */
};

struct epochs_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct epochs);
};

/* State of a socket, kept until it is freed. */
struct socket_verdict {
	__u8 was_latched; /* the socket never again sends or receives unlatched */
	__u8 listens;	  /* counted in its LISTENER */
	__u8 exempt;	  /* no rule of exempt_stamp requires a latch of its connection */
	enum latch_direction opened;
	__u32 exempt_stamp;
	__u32 tunnelled; /* time of its last packet in clear to a tunnel device, in seconds; 0:
			    never */
	__u32 mode;	 /* of latch_settings when was_latched was set; see is_blocked() */
	__u32 audited;	 /* the mode in which its unlatched connection was counted */
	__u32 began;	 /* the mode in which its connection was established */
};

struct verdicts_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_verdict);
};

/*
 * State of a UDP socket. Created for the first packet that is protected, refused by
 * check_packet(), or sent to another address than the connected peer. Other UDP sockets have
 * none.
 */
struct datagram_socket {
	struct socket_verdict verdict;
	__u8 sends_elsewhere;	/* has sent to an address other than its connected peer */
	__u8 passes_forgotten;	/* 1: no earlier pass is remembered any more */
	__u8 was_released;	/* has been connected under a latch that was released since */
	__u8 wished;		/* enum wished */
	__u32 released_mode;	/* the earliest verdict.mode of these connections */
	struct latch_flow flow; /* of its last packet; the key of its latch, if it has one */
};

struct datagram_sockets_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct datagram_socket);
};

/*
 * The last packet of one direction of a socket that passed after a check in full: see
 * gate/remembered.h. Only the stamp changes in place. Another pass replaces the whole structure.
 */
struct remembered_pass {
	__u64 stamp; /* epochs_sum() of the two places, read before the check */
	__u16 flow_place;
	__u16 sa_place; /* in clear: NO_SA */
	__u16 local_port;
	__u16 remote_port; /* network order */
	__u8 socket_family;
	__u8 protocol;	     /* of the flow */
	__u8 outer_protocol; /* of a packet that left under sa: UDP for ESP in UDP */
	__u8 made;	     /* the jiffy of the pass, modulo 256 */
	union {
		__u32 device;	   /* of a packet that left in clear */
		__u32 outer_ports; /* of ESP in UDP that left: both, as in the header */
	};
	__u32 local[4]; /* the addresses as the socket has them; IPv4 in the first word */
	__u32 remote[4];
	struct latch_sa_key sa; /* all 0: the packet was in clear */
};

struct remembered_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct remembered_pass);
};

/* An address that a task has named for its datagram, as the remote end of a flow. */
struct named_end {
	struct latch_flow flow;
	__u64 task; /* 0: its datagram has left */
};

#define NAMED_ENDS 4

/*
 * The last addresses other than its connected peer that a UDP socket has sent to. Several
 * threads may send at once. If a name is overwritten, its datagram counts as the connection's
 * own.
 */
struct named_ends {
	struct named_end ends[NAMED_ENDS];
	__u32 named; /* number of names so far: the last one is in place named % NAMED_ENDS */
	__u32 pad;
};

struct named_ends_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct named_ends);
};

/*
 * The copy of a former latch that a socket with a descriptor keeps, for answers (bpf/api). The
 * latch and the texts of its peer may be deleted by then, and their numbers reused.
 */
struct socket_past {
	struct latch_flow flow;
	__u64 id; /* of the latch; 0: a connect() that was refused */
	__u64 created;
	__u64 ended;
	__u64 drops;
	struct latch_qop qop;
	__u8 reasons;
	__u8 params_known; /* mode, protocol, qop and the texts */
	__u8 audited;	   /* the latch was in audit mode at some time */
	__u8 unproven;	   /* as in struct latch */
	__u8 aborted;	   /* TCP: ended by a reset, a timeout or an abort */
	__u8 peer_ended;   /* TCP: the peer's FIN was received */
	enum latch_direction direction;
	__u8 why; /* enum latch_why of a connect() that was refused */
	__u8 mode;
	__u8 protocol;
	__u8 auth;	   /* enum latch_auth, of the peer */
	__u8 key_kind;	   /* enum latch_key_kind, of the peer */
	__u8 own_key_kind; /* of this host */
	__u8 key[LATCH_KEY_SIZE];
	__u8 own_key[LATCH_KEY_SIZE];
	/* The first text: the verifier takes each text for one of LATCH_ID_TEXT_MAX bytes. */
	char connection[LATCH_NAME_MAX];
	char peer[LATCH_ID_TEXT_MAX];
	char local[LATCH_ID_TEXT_MAX];
};

struct pasts_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_past);
};

struct wishes_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_wish);
};

/* The live connections for news, written by latchd -> number of their sockets. */
struct news_tokens_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LATCH_SUBSCRIBERS_MAX);
	__type(key, struct latch_token);
	__type(value, __u64);
};

/* By the cookie of the socket: latchd finds the connection of a latch's owner. See db/news.h. */
struct news_sockets_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LATCH_SUBSCRIBED_MAX);
	__type(key, __u64);
	__type(value, struct latch_subscription);
};

/* What a socket keeps, for those that it accepts and for its next connect(). */
struct subscriptions_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct latch_subscription);
};

#define REFUSAL_KINDS 5	 /* kinds of flows: see refusal.bpf.c */
#define REFUSAL_SLOTS 64 /* slots per kind */
#define REFUSALS      (REFUSAL_KINDS * REFUSAL_SLOTS)

/* Behind them the slots of flows that ask latchd, by params and direction: as many per kind. */
#define QUESTION_PEERS 128
#define QUESTIONS      (QUESTION_PEERS * 2 * REFUSAL_SLOTS)

struct refusals_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REFUSALS + QUESTIONS);
	__type(key, __u32);
	__type(value, __u64);
};

#define OBJECT_MARKS 16384

/*
 * Queues of fragments from different peers, and packets made of several: see mixture.h. The second
 * half is for other user namespaces than the host's.
 */
struct object_marks_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * OBJECT_MARKS);
	__type(key, __u32);
	__type(value, __u64);
};

#define SA_SHARE_SLOTS 16384
#define SA_SHARE       (SAS_DEFAULT / 4)

struct sa_share {
	__u64 taken;
	__u64 newest; /* serial of the last SA; 0: it has none */
};

/* SAs per hash of the two addresses between which they are: see sa_share.h. Slot 0 is the seed. */
struct sa_shares_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SA_SHARE_SLOTS);
	__type(key, __u32);
	__type(value, struct sa_share);
};

/* Marks of refused flows: see mark_share.h. */
struct mark_shares_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LATCH_MARK_SHARES);
	__type(key, __u32);
	__type(value, __u64);
};

/* Rows of the audit table, by rule: see audit.bpf.c. */
struct audit_shares_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LATCH_AUDIT_SHARES);
	__type(key, __u32);
	__type(value, __u64);
};

/* The time of each namespace's last event of its SPD. A lost entry causes one more event. */
struct spd_stamps_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* namespace cookie */
	__type(value, __u64);
};

/* latchd writes it: user/latchd/sa/conflict/pair_decisions.h. */
struct pairs_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LATCH_PAIRS_MAX);
	__type(key, struct latch_pair);
	__type(value, __u32); /* LATCH_PAIR_CONTESTED, LATCH_PAIR_ALONE */
};

extern struct latches_map latches SEC(".maps");
extern struct associations_map associations SEC(".maps");
extern struct sas_map sas SEC(".maps");
extern struct params_map params SEC(".maps");
extern struct identities_map identities SEC(".maps");
extern struct rules_map rules SEC(".maps");
extern struct settings_map settings SEC(".maps");
extern struct peer_sets_map peer_sets SEC(".maps");
extern struct peer_facts_map peer_facts SEC(".maps");
extern struct audits_map audits SEC(".maps");
extern struct clock_map latch_clocks SEC(".maps");
extern struct drops_map drops SEC(".maps");
extern struct counters_map counters SEC(".maps");
extern struct events_map events SEC(".maps");
extern struct epochs_map flow_epochs SEC(".maps");
extern struct epochs_map sa_epochs SEC(".maps");
extern struct remembered_map passed_out SEC(".maps");
extern struct remembered_map passed_in SEC(".maps");
extern struct verdicts_map verdicts SEC(".maps");
extern struct datagram_sockets_map datagram_sockets SEC(".maps");
extern struct refusals_map refusals SEC(".maps");
extern struct spd_stamps_map spd_stamps SEC(".maps");
extern struct pairs_map pairs SEC(".maps");
extern struct sa_shares_map sa_shares SEC(".maps");
extern struct mark_shares_map mark_shares SEC(".maps");
extern struct audit_shares_map audit_shares SEC(".maps");
extern struct named_ends_map named_ends SEC(".maps");
extern struct own_keys_map own_keys SEC(".maps");
extern struct pasts_map pasts SEC(".maps");
extern struct wishes_map wishes SEC(".maps");
extern struct wish_search_map wish_search SEC(".maps");
extern struct news_tokens_map news_tokens SEC(".maps");
extern struct news_sockets_map news_sockets SEC(".maps");
extern struct subscriptions_map subscriptions SEC(".maps");
extern struct object_marks_map reassemblies SEC(".maps");
extern struct object_marks_map mixtures SEC(".maps");

static __always_inline void count(enum latch_counter which)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		*value += 1;
}

/*
 * Returns a zeroed event for the caller to fill and submit. Returns NULL and counts a lost
 * event when the ring is full.
 */
static __always_inline struct latch_event *event_begin(enum latch_event_type type)
{
	struct latch_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(LATCH_COUNTER_EVENTS_LOST);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_boot_ns();
	event->type = type;
	return event;
}

static __always_inline struct latch_clock *clock_get(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&latch_clocks, &key);
}

/*
 * The namespace belongs to a user namespace other than the host's, where any local user may be
 * root.
 */
static __always_inline int is_foreign(struct net *net)
{
	return BPF_CORE_READ(net, user_ns, level) != 0;
}

/* Takes a place for an SA of such a namespace. Returns 0 if their half of the table is full. */
static __always_inline int count_foreign_sa(struct latch_clock *clock)
{
	const struct bpf_map *map = (const struct bpf_map *)&sas;

	if (quota_take(&clock->foreign_sas, map->max_entries / 2))
		return 1;
	count(LATCH_COUNTER_SAS_OVER_QUOTA);
	return 0;
}

/* Gives the place back, after the SA was deleted from the map. */
static __always_inline void uncount_foreign_sa(__u8 flags)
{
	struct latch_clock *clock = flags & LATCH_SA_FOREIGN ? clock_get() : NULL;

	if (clock)
		__sync_fetch_and_sub(&clock->foreign_sas, 1);
}

static __always_inline struct latch_settings *settings_get(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&settings, &key);
}

/* See latch_mode.h. */
static __always_inline __u32 mode_get(void)
{
	struct latch_settings *s = settings_get();

	return s ? READ_ONCE(s->mode) : 0;
}

#endif
