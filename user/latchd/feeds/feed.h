/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A feed reports the peer of each SA, from one key manager. Every feed makes the
 * same records and hands them to one sink. Only the sink touches the kernel.
 */
#ifndef LATCHD_FEEDS_FEED_H
#define LATCHD_FEEDS_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "latchd/feeds/traffic_selector_set.h"

#define FEED_ID_MAX   512 /* the maximum that charon prints of an identity, NUL included */
#define FEED_NAME_MAX 64
#define FEED_LIST_MAX 256
#define FEED_PATH_MAX 256
#define FEED_KEY_SIZE 32

enum feed_auth {
	FEED_AUTH_UNKNOWN,
	FEED_AUTH_PUBKEY,
	FEED_AUTH_PSK,
	FEED_AUTH_EAP,
	FEED_AUTH_XAUTH,
	FEED_AUTH_NULL,
};

enum feed_mode {
	FEED_MODE_TRANSPORT,
	FEED_MODE_TUNNEL,
	FEED_MODE_BEET,
	FEED_MODE_OTHER,
};

/* A public key that a connection admits alone: the SHA-256 of its SubjectPublicKeyInfo. */
struct feed_key {
	bool known;
	uint8_t sha256[FEED_KEY_SIZE]; /* zero if it is not known */
};

/* One CHILD_SA, both directions, as the key manager reports it. */
struct feed_child {
	char config_name[FEED_NAME_MAX]; /* IKE_SA configuration, e.g. "x509" */
	char child_name[FEED_NAME_MAX];
	uint32_t ike_unique_id;
	uint32_t child_unique_id;
	char local_id[FEED_ID_MAX];
	char peer_id[FEED_ID_MAX]; /* remote-eap-id when there is one, else remote-id */
	enum feed_auth peer_auth;
	bool peer_is_host; /* peer_id is proven to be a host name, of no other type of identity */
	struct feed_key peer_key, local_key;
	enum feed_mode mode;
	uint8_t family;		/* AF_INET, AF_INET6: of the outer addresses */
	uint8_t ipsec_protocol; /* IPPROTO_ESP or IPPROTO_AH */
	bool encap;
	uint8_t local_host[16], remote_host[16]; /* outer addresses, network order */
	uint32_t spi_in, spi_out;		 /* host order */
	uint32_t reqid, if_id_in, if_id_out;
	bool outbound_gone; /* deleted by the key manager, which keeps the inbound SA for a while */
	struct traffic_selector_set local_ts, remote_ts;
};

/* The producer of a record releases its selectors. */
void feed_child_release(struct feed_child *child);

/* The peer of an IKE_SA, as the key manager has authenticated it. */
struct feed_peer {
	char config_name[FEED_NAME_MAX];
	char id[FEED_ID_MAX]; /* as feed_child.peer_id */
	enum feed_auth auth;
	struct feed_key key; /* as feed_child.peer_key */
	uint32_t ike_unique_id;
	uint32_t successor;	 /* after a reboot: the IKE_SA with the INITIAL_CONTACT; else 0 */
	bool just_authenticated; /* auth is the class of this authentication; else of the
				    configuration */
};

enum feed_state {
	FEED_STATE_ABSENT,    /* never connected since latchd started */
	FEED_STATE_CONNECTED, /* connected; the snapshot has not finished */
	FEED_STATE_SYNCED,    /* snapshot complete, events flowing */
	FEED_STATE_LOST,      /* was connected before: its SAs are orphans */
};

enum feed_down_cause {
	FEED_DOWN_ORDERLY,	 /* deleted by either side, or replaced; or of unknown cause */
	FEED_DOWN_PEER_DEAD,	 /* the peer did not answer a request of an established IKE_SA */
	FEED_DOWN_PEER_REBOOTED, /* authenticated INITIAL_CONTACT of the same identity */
};

struct feed; /* owned by its producer, see feeds/ */

/* A CHILD_SA of a list existed when the list began, or was created during the list. */
#define FEED_EVIDENCE_LIST "vici list-sas"

/* The reason why the SAs of a CHILD_SA have no identity. */
struct feed_refusal {
	const char *reason;   /* a fixed text */
	const char *evidence; /* as of child_up; NULL: the child went down */
	/* The identity of the authenticated IKE_SA is decided: no later report of it differs. */
	bool decided;
};

struct feed_sink {
	void *context;
	/* The key manager's process, from the socket's peer credentials; called before any SA of
	 * this connection. 0, or a negative errno to refuse it. */
	int (*attached)(void *context, struct feed *feed, pid_t daemon);
	void (*state)(void *context, struct feed *feed, enum feed_state state, const char *detail);
	/* The child exists; evidence names the event ("vici child-updown", ...) or is
	 * FEED_EVIDENCE_LIST. May be repeated
	 * for a known child. The sink copies the record. */
	void (*child_up)(void *context, struct feed *feed, const struct feed_child *child,
			 const char *evidence);
	/* The child exists, and its peer is not proven: its SAs have no identity. May be repeated.
	 */
	void (*child_refused)(void *context, struct feed *feed, const struct feed_child *child,
			      const struct feed_refusal *refusal);
	/* The key manager has deleted the child; the kernel may keep its SAs for a while. */
	void (*child_down)(void *context, struct feed *feed, const struct feed_child *child);
	/* The IKE_SA is established, with or without children. May be repeated. */
	void (*peer_up)(void *context, struct feed *feed, const struct feed_peer *peer);
	/* peer's IKE_SA replaces the IKE_SA with the unique id old and has its children. */
	void (*peer_rekeyed)(void *context, struct feed *feed, uint32_t old,
			     const struct feed_peer *peer);
	/* The IKE_SA has ended. Repeated when the feed finds a graver cause. */
	void (*peer_down)(void *context, struct feed *feed, const struct feed_peer *peer,
			  enum feed_down_cause cause);
	/* Between begin and end the feed reports every child once by child_up, and every
	 * established IKE_SA by peer_up. */
	void (*snapshot_begin)(void *context, struct feed *feed);
	void (*snapshot_end)(void *context, struct feed *feed);
};

struct feed {
	char name[FEED_NAME_MAX]; /* from [feed NAME]: the authority of its identities */
	const struct feed_sink *sink;
	enum feed_state state;
	char detail[160]; /* text of the last state, for status */
	char daemon_version[32];
	uint32_t resyncs;
	void (*resync)(struct feed *feed); /* requests a snapshot soon; requests coalesce */
	/* Ends the connection for good. The feed stays valid, for its SAs, until destroy(). */
	void (*stop)(struct feed *feed);
	void (*destroy)(struct feed *feed);
	void *sink_data; /* owned by the sink */
};

enum feed_rdn_matching {
	FEED_RDN_STRICT,
	FEED_RDN_REORDERED,
	FEED_RDN_RELAXED,
};

/* Facts that the administrator states, because the key manager does not report them. */
struct feed_statements {
	enum feed_rdn_matching rdn_matching; /* charon.rdn_matching */
	/* Names of connections, separated by blanks. Names of peers under the first ones never
	 * print alike. EAP or XAuth identities under the second ones are authenticated. */
	char unambiguous_names[FEED_LIST_MAX];
	char eap_identities[FEED_LIST_MAX];
	/* Do not ask for alerts: any host can cause them, and charon keeps those that latchd does
	 * not read. */
	bool without_alerts;
};

struct loop;
/* Connects from the loop and retries with a back-off from 250 ms to 5 s. Copies texts and
 * statements, keeps the sink; free it with destroy(). NULL and errno on failure. */
struct feed *feed_vici_new(struct loop *loop, const char *name, const char *socket_path,
			   const struct feed_statements *statements, const struct feed_sink *sink);
/* The file that keeps the feed's decisions on peers for the next latchd. Call it before the loop
 * runs. */
void feed_vici_keep_decisions(struct feed *feed, const char *path);
/* Moves the decisions on peers from former, a stopped feed, to the new feed in its place. Call it
 * before the loop runs. False: former has no decisions left, or feed already has some. */
bool feed_vici_take_decisions(struct feed *feed, struct feed *former);

bool feed_key_equal(const struct feed_key *key, const struct feed_key *other);

/* The same identity, configuration, authentication class and key? */
bool feed_peer_equal(const struct feed_peer *peer, const struct feed_peer *other);

const char *feed_auth_name(enum feed_auth auth);
const char *feed_mode_name(enum feed_mode mode);
const char *feed_state_name(enum feed_state state);

#endif
