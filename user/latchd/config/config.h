/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration, as config_load.h reads it from the file. */
#ifndef LATCHD_CONFIG_CONFIG_H
#define LATCHD_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "latch_abi.h"
#include "latch_sockopt.h"

#define CONFIG_DEFAULT_PATH "/etc/latchd/latchd.conf"
#define CONFIG_MAX_FEEDS    LATCH_FEEDS_MAX
#define CONFIG_MAX_CGROUPS  64
#define CONFIG_CGROUP_MAX   256
#define CONFIG_NAME_MAX	    32
#define CONFIG_LIST_MAX	    256
#define CONFIG_PATH_MAX	    108 /* the size of sun_path, see unix(7) */

enum config_feed_type {
	CONFIG_FEED_VICI,
};

enum config_mode {
	CONFIG_MODE_KEPT, /* no key: the mode stays; at the first start enforcement */
	CONFIG_MODE_ENFORCE,
	CONFIG_MODE_AUDIT,
};

enum config_rdn_matching {
	CONFIG_RDN_STRICT,
	CONFIG_RDN_REORDERED,
	CONFIG_RDN_RELAXED,
};

struct config_feed {
	char name[CONFIG_NAME_MAX];
	enum config_feed_type type;
	char socket[CONFIG_PATH_MAX];
	enum config_rdn_matching rdn_matching;
	/* Names of connections, separated by blanks. */
	char unambiguous_names[CONFIG_LIST_MAX];
	char eap_identities[CONFIG_LIST_MAX];
	bool without_alerts;
};

/* [peer NAME]: a set of peers. The n-th one is the n-th of struct latch_peer_sets. */
struct config_peer {
	char name[LATCH_TAG_MAX];
	char connection[LATCH_NAME_MAX]; /* the key manager's; "" = any */
	enum latch_app_class class;	 /* as of LATCH_OPT_EXPECT_CLASS */
	bool has_terms;			 /* ids or hosts */
};

#define CONFIG_PEER_TERMS_MAX 1024
#define CONFIG_PEER_TEXT_MAX  65536 /* of all terms, with their NULs */
#define CONFIG_HASH_LINES_MAX 16

/* A line id = or host = of a set. */
struct config_peer_term {
	unsigned char peer; /* its place in peers */
	bool is_host;	    /* a pattern of host names: a label of * is any one label */
	unsigned int text;  /* its place in peer_texts */
};

struct config_rule {
	char name[CONFIG_NAME_MAX];
	struct latch_rule rule;
};

struct config {
	/*
	 * [enforce] cgroup: cgroup v2 directories, none below another, without needless slashes.
	 * None: the root that preflight finds.
	 */
	size_t cgroup_count;
	char cgroups[CONFIG_MAX_CGROUPS][CONFIG_CGROUP_MAX];
	/* [enforce] mode: audit counts at the first start only (enforce/mode.h). */
	enum config_mode mode;
	/* [enforce] pending-limit: 100..60000 ms, default 5000. */
	unsigned int pending_ms;
	/* [enforce] policy-grace: 1000..600000 ms, default 30000. */
	unsigned int policy_grace_ms;
	/* [enforce] latches: 64..4194304 entries, default 65536. */
	unsigned int latch_capacity;
	/* [control] socket: default /run/latchd/latchd.sock. */
	char control_socket[CONFIG_PATH_MAX];
	/* [control] group: "" = root only. */
	char control_group[CONFIG_NAME_MAX];
	/* [api] enabled: sockets answer questions for their latch; default off. */
	bool answers;
	/* [api] news-socket: default LATCH_NEWS_PATH. */
	char news_socket[CONFIG_PATH_MAX];
	/* Without any [feed] there is one: "charon", vici, charon's default socket. */
	size_t feed_count;
	struct config_feed feeds[CONFIG_MAX_FEEDS];
	size_t peer_count;
	struct config_peer peers[LATCH_PEER_SETS_MAX];
	size_t peer_term_count;
	struct config_peer_term peer_terms[CONFIG_PEER_TERMS_MAX];
	size_t peer_text_size;
	char peer_texts[CONFIG_PEER_TEXT_MAX];
	/* The first rule that matches decides. */
	size_t rule_count;
	struct config_rule rules[LATCH_RULES_MAX];
	/* Lines with a "#" within their value, which may be meant as a comment: the first ones. */
	size_t hash_line_count;
	unsigned int hash_lines[CONFIG_HASH_LINES_MAX];
};

#endif
