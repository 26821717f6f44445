/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A feed says who stands behind an SA. Every feed, whatever its daemon, makes
 * the same record and hands it to one sink; only the sink touches the kernel.
 */
#ifndef LATCHD_FEEDS_FEED_H
#define LATCHD_FEEDS_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "latchd/feeds/traffic_selector.h"

#define FEED_ID_MAX   512 /* charon prints at most this many bytes of an identity, NUL included */
#define FEED_NAME_MAX 64

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

/* One CHILD_SA, both directions, as the key manager describes it. */
struct feed_child {
	char config_name[FEED_NAME_MAX]; /* IKE_SA configuration, e.g. "x509" */
	char child_name[FEED_NAME_MAX];
	uint32_t ike_unique_id;
	uint32_t child_unique_id;
	char local_id[FEED_ID_MAX];
	char peer_id[FEED_ID_MAX]; /* remote-eap-id when there is one, else remote-id */
	enum feed_auth peer_auth;
	enum feed_mode mode;
	uint8_t family;		/* AF_INET, AF_INET6: of the outer addresses */
	uint8_t ipsec_protocol; /* IPPROTO_ESP or IPPROTO_AH */
	bool encap;
	uint8_t local_host[16], remote_host[16]; /* outer addresses, network order */
	uint32_t spi_in, spi_out;		 /* host order */
	uint32_t reqid, if_id_in, if_id_out;
	struct traffic_selector_set local_ts, remote_ts;
};

/* The other end of an IKE_SA, as the key manager has authenticated it. */
struct feed_peer {
	char config_name[FEED_NAME_MAX];
	char id[FEED_ID_MAX]; /* as feed_child.peer_id */
	enum feed_auth auth;
	uint32_t ike_unique_id;
	uint32_t successor; /* of one that has rebooted: the IKE_SA that told so; else 0 */
	bool set_up_now;    /* the peer was authenticated just now, and auth is how */
};

enum feed_state {
	FEED_STATE_ABSENT,    /* never reached since latchd started */
	FEED_STATE_CONNECTED, /* connected; the snapshot has not finished */
	FEED_STATE_SYNCED,    /* snapshot complete, events flowing */
	FEED_STATE_LOST,      /* was connected, is gone: its SAs are orphans */
};

enum feed_down_cause {
	FEED_DOWN_ORDERLY,	 /* deleted by either side, or replaced; or nobody can tell */
	FEED_DOWN_PEER_DEAD,	 /* a request within an established IKE_SA went unanswered */
	FEED_DOWN_PEER_REBOOTED, /* authenticated INITIAL_CONTACT of the same identity */
};

struct feed; /* owned by its producer, see feeds/ */

struct feed_sink {
	void *context;
	/* The daemon's process, from the socket's peer credentials; called before any SA of this
	 * connection. */
	int (*attached)(void *context, struct feed *feed, pid_t daemon);
	void (*state)(void *context, struct feed *feed, enum feed_state state, const char *detail);
	/* The child exists now, as evidence says ("vici child-updown", ...). May be repeated for a
	 * known child. */
	void (*child_up)(void *context, struct feed *feed, const struct feed_child *child,
			 const char *evidence);
	/* The daemon gives the child up; the kernel's SA may live on for a while. */
	void (*child_down)(void *context, struct feed *feed, const struct feed_child *child);
	/* The IKE_SA is established, whether it has children or not. May be repeated. */
	void (*peer_up)(void *context, struct feed *feed, const struct feed_peer *peer);
	/* It takes the place of the IKE_SA called old, whose children it has. */
	void (*peer_rekeyed)(void *context, struct feed *feed, uint32_t old,
			     const struct feed_peer *peer);
	/* The IKE_SA has ended. Comes again when it turns out to have ended for a graver cause. */
	void (*peer_down)(void *context, struct feed *feed, const struct feed_peer *peer,
			  enum feed_down_cause cause);
	/* Between begin and end every child of the daemon is reported once through child_up, every
	 * established IKE_SA through peer_up. */
	void (*snapshot_begin)(void *context, struct feed *feed);
	void (*snapshot_end)(void *context, struct feed *feed);
};

struct feed {
	char name[FEED_NAME_MAX]; /* the [feed NAME]: the authority in an identity */
	const struct feed_sink *sink;
	enum feed_state state;
	char detail[160]; /* last state's text, for status */
	char daemon_version[32];
	uint32_t resyncs;
	void (*resync)(struct feed *feed); /* ask for a snapshot soon; coalesces */
	void (*destroy)(struct feed *feed);
	void *sink_data; /* the sink's own */
};

struct loop;
/* Starts at once and keeps trying with back-off (250 ms doubling to 5 s). NULL and errno on
 * failure. */
struct feed *feed_vici_new(struct loop *loop, const char *name, const char *socket_path,
			   const struct feed_sink *sink);

/* The same authenticated identity, by the same configuration and class of authentication? */
bool feed_peer_is(const struct feed_peer *peer, const struct feed_peer *other);

const char *feed_auth_name(enum feed_auth auth);
const char *feed_mode_name(enum feed_mode mode);
const char *feed_state_name(enum feed_state state);

#endif
