/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors of the pinned maps, and of the programs that latchd runs. Only latch_control changes
 * latches and SAs. The other folders get these descriptors and open no maps themselves, so that
 * tests can give maps of their own. The opener owns the descriptors (enforce/enforcement.h).
 */
#ifndef LATCHD_MAPS_KERNEL_MAPS_H
#define LATCHD_MAPS_KERNEL_MAPS_H

struct kernel_maps {
	int latches;	  /* struct latch_flow -> struct latch */
	int associations; /* struct latch_flow as a key of marks -> struct latch_association */
	int sas;	  /* struct latch_sa_key -> struct latch_sa */
	int params;	  /* __u32 -> struct latch_params */
	int identities;	  /* __u32 -> struct latch_identity */
	int own_keys;	  /* __u32, of params -> struct latch_own_key */
	int rules;	  /* __u32 -> struct latch_rule; settings.rule_count are in force */
	int peer_sets;	  /* half -> struct latch_peer_sets */
	int peer_facts;	  /* __u32 of identities -> struct latch_peer_facts */
	int settings;	  /* one struct latch_settings */
	int spd_stamps;	  /* namespace cookie -> time of its last event of the SPD */
	int pairs;	  /* struct latch_pair -> __u32, decisions over contested SAs */
	int audits;	  /* struct latch_audit_key -> struct latch_audit */
	int mark_shares;  /* slot -> __u64, marks of refused flows (bpf/db/mark_share.h) */
	int audit_shares; /* LATCH_AUDIT_SHARE_ALL and rules -> __u64, rows of audits */
	int clock;	  /* one struct latch_clock */
	int drops;	  /* enum latch_drop -> struct latch_drop_count, per CPU */
	int counters;	  /* enum latch_counter -> __u64, per CPU */
	int events;	  /* ring of struct latch_event */
	int control;	  /* the program latch_control */
	int timeout;	  /* the program timeout_broken */
	int wishes;	  /* socket -> struct socket_wish (bpf/db/maps.h) */
	int wish_search;  /* one struct latch_wish_search */
	int find_wish;	  /* the program find_wish */
	int news_tokens;  /* struct latch_token -> __u64, its sockets */
	int news_sockets; /* cookie of a socket -> struct latch_subscription */
};

#endif
