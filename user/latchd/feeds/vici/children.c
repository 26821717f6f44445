/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/children.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define VICI_CROSSING_S	  5 /* IKE_AUTH of a busy peer, or one that was sent twice */

/* The offset of a key's value in the structure; of the body for a list or section. */
struct field {
	const char *name;
	enum vici_kind kind;
	size_t offset;
};

#define IKE_VALUE(name, member)                                                                    \
	{                                                                                          \
		name, VICI_MEMBER_VALUE, offsetof(struct vici_ike_sa, member)                      \
	}
#define IKE_LIST(name, member)                                                                     \
	{                                                                                          \
		name, VICI_MEMBER_LIST, offsetof(struct vici_ike_sa, member)                       \
	}

static const struct field ike_fields[] = {
	IKE_VALUE("uniqueid", unique_id),
	IKE_VALUE("version", version),
	IKE_VALUE("state", state),
	IKE_VALUE("initiator", initiator),
	IKE_VALUE("established", established),
	IKE_VALUE("local-host", local_host),
	IKE_VALUE("remote-host", remote_host),
	IKE_VALUE("local-id", local_id),
	IKE_VALUE("remote-id", remote_id),
	IKE_VALUE("remote-eap-id", remote_eap_id),
	IKE_VALUE("remote-xauth-id", remote_xauth_id),
	IKE_LIST("tasks-queued", tasks_queued),
	IKE_LIST("tasks-active", tasks_active),
	IKE_LIST("tasks-passive", tasks_passive),
	{"child-sas", VICI_MEMBER_SECTION, offsetof(struct vici_ike_sa, children)},
};

struct child_section {
	struct vici_text name, unique_id, reqid, state, mode, protocol, encap;
	struct vici_text spi_in, spi_out, if_id_in, if_id_out;
	struct vici_span local_ts, remote_ts;
};

#define CHILD_VALUE(name, member)                                                                  \
	{                                                                                          \
		name, VICI_MEMBER_VALUE, offsetof(struct child_section, member)                    \
	}
#define CHILD_LIST(name, member)                                                                   \
	{                                                                                          \
		name, VICI_MEMBER_LIST, offsetof(struct child_section, member)                     \
	}

static const struct field child_fields[] = {
	CHILD_VALUE("name", name),	     CHILD_VALUE("uniqueid", unique_id),
	CHILD_VALUE("reqid", reqid),	     CHILD_VALUE("state", state),
	CHILD_VALUE("mode", mode),	     CHILD_VALUE("protocol", protocol),
	CHILD_VALUE("encap", encap),	     CHILD_VALUE("spi-in", spi_in),
	CHILD_VALUE("spi-out", spi_out),     CHILD_VALUE("if-id-in", if_id_in),
	CHILD_VALUE("if-id-out", if_id_out), CHILD_LIST("local-ts", local_ts),
	CHILD_LIST("remote-ts", remote_ts),
};

/* False when the field is set already: charon may mean either of the two values. */
static bool store_field(const struct field *field, const struct vici_member *member, void *out)
{
	void *place = (char *)out + field->offset;

	if (field->kind == VICI_MEMBER_VALUE) {
		struct vici_text *text = place;

		if (text->at)
			return false;
		*text = member->value;
	} else {
		struct vici_span *span = place;

		if (span->at)
			return false;
		*span = member->body;
	}
	return true;
}

/* Fills out by the table; keys that are not in it, or of another kind, are ignored. */
static int read_fields(struct vici_span section, const struct field *fields, size_t count,
		       void *out, bool *ambiguous)
{
	struct vici_member member;
	size_t i;
	int more;

	while ((more = vici_member_next(&section, &member)) > 0) {
		for (i = 0; i < count; i++)
			if (member.kind == fields[i].kind &&
			    vici_text_is(member.name, fields[i].name))
				break;
		if (i < count && !store_field(&fields[i], &member, out))
			*ambiguous = true;
	}
	return more;
}

/* The next section that names a configuration. */
static int config_next(struct vici_span *message, struct vici_member *config)
{
	int more;

	do {
		more = vici_member_next(message, config);
	} while (more > 0 &&
		 (config->kind != VICI_MEMBER_SECTION || vici_text_is(config->name, "(unnamed)")));
	return more;
}

static int read_ike_sa(struct vici_text config_name, struct vici_span section,
		       struct vici_ike_sa *ike_sa)
{
	memset(ike_sa, 0, sizeof(*ike_sa));
	ike_sa->config_name = config_name;
	return read_fields(section, ike_fields, ARRAY_SIZE(ike_fields), ike_sa, &ike_sa->ambiguous);
}

int vici_ike_sa_next(struct vici_span *message, struct vici_ike_sa *ike_sa)
{
	struct vici_member config;
	int more = config_next(message, &config);

	if (more <= 0)
		return more;
	more = read_ike_sa(config.name, config.body, ike_sa);
	return more < 0 ? more : 1;
}

int vici_ike_rekey_next(struct vici_span *message, struct vici_ike_sa *old, struct vici_ike_sa *new)
{
	struct vici_member config, before, after;
	int more = config_next(message, &config);

	if (more <= 0)
		return more;
	if (!vici_find(config.body, "old", VICI_MEMBER_SECTION, &before) ||
	    !vici_find(config.body, "new", VICI_MEMBER_SECTION, &after))
		return 0;
	more = read_ike_sa(config.name, before.body, old);
	if (!more)
		more = read_ike_sa(config.name, after.body, new);
	return more < 0 ? more : 1;
}

bool vici_ike_sa_is_established(const struct vici_ike_sa *ike_sa)
{
	return vici_text_is(ike_sa->state, "ESTABLISHED") ||
	       vici_text_is(ike_sa->state, "REKEYING");
}

/* An IKE_SA that was never established may be DELETING or DESTROYING without authentication. */
bool vici_ike_sa_is_set_up(const struct vici_ike_sa *ike_sa)
{
	return vici_ike_sa_is_established(ike_sa) || vici_text_is(ike_sa->state, "REKEYED");
}

/* item: NULL: any. */
static size_t count_of(struct vici_span list, const char *item)
{
	struct vici_text text;
	size_t count = 0;

	while (vici_item_next(&list, &text) > 0)
		count += !item || vici_text_is(text, item);
	return count;
}

/*
 * Both ends may begin an IKE_SA at once (RFC 7296, 2.4). The peer may then write INITIAL_CONTACT
 * before it has the IKE_SA of this host. Such a message proves no loss of state.
 */
static bool may_have_crossed(const struct vici_ike_sa *ike_sa)
{
	uint32_t age_s;

	return ike_sa->initiator.at && !vici_text_number(ike_sa->established, 10, &age_s) &&
	       age_s <= VICI_CROSSING_S;
}

/*
 * A passive task is a request of the peer, which is therefore up. Otherwise an IKE_SA with an
 * active task ended because the peer did not answer, unless alerts exclude that. Any other ended
 * because the same peer sent INITIAL_CONTACT, or a message that charon could not parse. An IKEv1 SA
 * ends without tasks for too many causes.
 */
static enum feed_down_cause cause_from_tasks(const struct vici_ike_sa *ike_sa, bool may_be_dead)
{
	if (vici_text_is(ike_sa->version, "1") || ike_sa->tasks_passive.length ||
	    may_have_crossed(ike_sa))
		return FEED_DOWN_ORDERLY;
	if (ike_sa->tasks_active.length)
		return may_be_dead ? FEED_DOWN_PEER_DEAD : FEED_DOWN_PEER_REBOOTED;
	return ike_sa->tasks_queued.length ? FEED_DOWN_ORDERLY : FEED_DOWN_PEER_REBOOTED;
}

/* An IKEv1 exchange that a live peer does not complete ends its IKE_SA, too (task_manager_v1.c).
 * The timeout of DPD is no exchange. */
static enum feed_down_cause cause_from_timeout(const struct vici_ike_sa *ike_sa)
{
	size_t active = count_of(ike_sa->tasks_active, NULL);
	bool exchanges = ike_sa->tasks_passive.length ||
			 count_of(ike_sa->tasks_active, "ISAKMP_DPD") < active;

	return vici_text_is(ike_sa->version, "1") && exchanges ? FEED_DOWN_ORDERLY
							       : FEED_DOWN_PEER_DEAD;
}

/*
 * An IKE_SA that is deleted in good order is DELETING, even if the peer does not answer. After a
 * forced delete (as when charon exits) it has IKE_DELETE queued behind an exchange.
 */
enum feed_down_cause vici_ike_sa_down_cause(const struct vici_ike_sa *ike_sa,
					    enum vici_named_cause named)
{
	if (!vici_ike_sa_is_established(ike_sa) || count_of(ike_sa->tasks_queued, "IKE_DELETE"))
		return FEED_DOWN_ORDERLY;
	switch (named) {
	case VICI_NAMED_TIMEOUT:
		return cause_from_timeout(ike_sa);
	case VICI_NAMED_REPLACED:
		return FEED_DOWN_ORDERLY;
	case VICI_NAMED_NO_TIMEOUT:
		return cause_from_tasks(ike_sa, false);
	case VICI_NAMED_NOTHING:
		break;
	}
	return cause_from_tasks(ike_sa, true);
}

int vici_child_next(struct vici_span *children, enum vici_children_form form,
		    struct vici_span *child_sa)
{
	struct vici_member member, rekeyed;
	int more;

	while ((more = vici_member_next(children, &member)) > 0) {
		if (member.kind != VICI_MEMBER_SECTION)
			continue;
		*child_sa = member.body;
		if (form == VICI_CHILDREN_LISTED)
			return 1;
		if (vici_find(member.body, "new", VICI_MEMBER_SECTION, &rekeyed)) {
			*child_sa = rekeyed.body;
			return 1;
		}
	}
	return more;
}

static bool one_of(struct vici_text text, const char *const *names, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (vici_text_is(text, names[i]))
			return true;
	return false;
}

/* In earlier states the remote-id is only a claim of the peer. */
static bool is_authenticated(const struct vici_ike_sa *ike_sa)
{
	static const char *const states[] = {"ESTABLISHED", "PASSIVE",	"REKEYING",
					     "REKEYED",	    "DELETING", "DESTROYING"};

	return one_of(ike_sa->state, states, ARRAY_SIZE(states));
}

/* In other states charon reports no SPIs. */
static bool has_kernel_sas(const struct child_section *sa)
{
	static const char *const states[] = {"INSTALLED", "REKEYING", "REKEYED", "DELETING",
					     "DELETED"};

	return one_of(sa->state, states, ARRAY_SIZE(states));
}

static const char *read_identity(struct vici_text text, char out[FEED_ID_MAX])
{
	/* charon prints these instead of an identity that it cannot print, such as a DN that is
	 * too long. "C=XX, CN=(invalid ID_DER_ASN1_DN)" may be any of several peers. */
	static const char *const marks[] = {"(invalid ID_", "(unknown ID type", "(null)",
					    "(ASN.1 general name)"};
	size_t i;

	if (!text.length)
		return "an identity is missing or empty";
	/* charon truncates silently at this length: a text of this length may be truncated. */
	if (text.length >= FEED_ID_MAX - 1)
		return "an identity is too long";
	if (vici_text_copy(text, out, FEED_ID_MAX))
		return "an identity contains a NUL byte";
	if (!strcmp(out, "%any"))
		return "an identity is %any";
	for (i = 0; i < ARRAY_SIZE(marks); i++)
		if (strstr(out, marks[i]))
			return "charon could not print an identity";
	return NULL;
}

/* charon prints ? for each unprintable byte, as in every UTF-8 name: "M??ller" may be any of
 * several peers. A ? in the local identity is harmless: no peer chooses that identity. */
static const char *read_peer_identity(struct vici_text text, char out[FEED_ID_MAX])
{
	const char *reason = read_identity(text, out);

	if (!reason && strchr(out, '?'))
		reason = "the peer's identity contains a ?, which charon also prints for bytes it "
			 "cannot show";
	return reason;
}

/* The identity of the last and most specific authentication. */
static struct vici_text peer_identity(const struct vici_ike_sa *ike_sa)
{
	if (ike_sa->remote_eap_id.at)
		return ike_sa->remote_eap_id;
	if (ike_sa->remote_xauth_id.at)
		return ike_sa->remote_xauth_id;
	return ike_sa->remote_id;
}

bool vici_peer_read(const struct vici_ike_sa *ike_sa, struct feed_peer *peer)
{
	memset(peer, 0, sizeof(*peer));
	return !ike_sa->ambiguous && is_authenticated(ike_sa) &&
	       !vici_text_number(ike_sa->unique_id, 10, &peer->ike_unique_id) &&
	       peer->ike_unique_id &&
	       !vici_text_copy(ike_sa->config_name, peer->config_name, sizeof(peer->config_name)) &&
	       !read_peer_identity(peer_identity(ike_sa), peer->id);
}

static const char *read_names(const struct vici_ike_sa *ike_sa, const struct child_section *sa,
			      struct feed_child *child)
{
	size_t shown = sa->name.length;

	if (vici_text_copy(ike_sa->config_name, child->config_name, sizeof(child->config_name)))
		return "the connection's name is longer than 63 bytes";
	/* The child's name is only displayed and may be truncated. */
	if (shown >= sizeof(child->child_name))
		shown = sizeof(child->child_name) - 1;
	if (shown)
		memcpy(child->child_name, sa->name.at, shown);
	return NULL;
}

static int read_host(struct vici_text text, uint8_t *family, uint8_t address[16])
{
	char copy[INET6_ADDRSTRLEN];

	if (vici_text_copy(text, copy, sizeof(copy)))
		return -EINVAL;
	*family = strchr(copy, ':') ? AF_INET6 : AF_INET;
	return inet_pton(*family, copy, address) == 1 ? 0 : -EINVAL;
}

static const char *read_hosts(const struct vici_ike_sa *ike_sa, struct feed_child *child)
{
	uint8_t remote_family;

	if (read_host(ike_sa->local_host, &child->family, child->local_host) ||
	    read_host(ike_sa->remote_host, &remote_family, child->remote_host) ||
	    remote_family != child->family)
		return "its addresses are unreadable";
	return NULL;
}

static const char *read_protocol(const struct child_section *sa, struct feed_child *child)
{
	if (vici_text_is(sa->protocol, "ESP"))
		child->ipsec_protocol = IPPROTO_ESP;
	else if (vici_text_is(sa->protocol, "AH"))
		child->ipsec_protocol = IPPROTO_AH;
	else
		return "its protocol is neither ESP nor AH";
	child->encap = vici_text_is(sa->encap, "yes");
	return NULL;
}

static enum feed_mode read_mode(struct vici_text mode)
{
	if (vici_text_is(mode, "TRANSPORT"))
		return FEED_MODE_TRANSPORT;
	if (vici_text_is(mode, "TUNNEL"))
		return FEED_MODE_TUNNEL;
	if (vici_text_is(mode, "BEET"))
		return FEED_MODE_BEET;
	return FEED_MODE_OTHER;
}

static bool read_optional(struct vici_text text, unsigned int base, uint32_t *number)
{
	return !text.at || !vici_text_number(text, base, number);
}

static const char *read_numbers(const struct vici_ike_sa *ike_sa, const struct child_section *sa,
				struct feed_child *child)
{
	if (vici_text_number(ike_sa->unique_id, 10, &child->ike_unique_id) ||
	    !child->child_unique_id)
		return "its unique id is unreadable";
	if (vici_text_number(sa->spi_in, 16, &child->spi_in) || !child->spi_in ||
	    vici_text_number(sa->spi_out, 16, &child->spi_out) || !child->spi_out)
		return "its SPIs are unreadable";
	if (!read_optional(sa->reqid, 10, &child->reqid) ||
	    !read_optional(sa->if_id_in, 16, &child->if_id_in) ||
	    !read_optional(sa->if_id_out, 16, &child->if_id_out))
		return "its reqid or interface id is unreadable";
	return NULL;
}

static const char *read_selectors(struct vici_span list, struct traffic_selector_set *set)
{
	struct vici_text item;
	int more;

	while ((more = vici_item_next(&list, &item)) > 0)
		traffic_selector_set_add(set, item.at, item.length);
	/* Every SA has selectors; these are unknown. */
	if (!set->count)
		set->covers_all = true;
	traffic_selector_set_seal(set);
	return more ? "its traffic selectors are unreadable" : NULL;
}

/* Reads SPIs, addresses and protocol, which identify the SAs, and the mode. */
static const char *read_sas(const struct vici_ike_sa *ike_sa, const struct child_section *sa,
			    struct feed_child *child)
{
	const char *reason = read_numbers(ike_sa, sa, child);

	if (!reason)
		reason = read_hosts(ike_sa, child);
	if (!reason)
		reason = read_protocol(sa, child);
	child->mode = read_mode(sa->mode);
	/* charon deletes the outbound SA at once, the inbound one after delete_rekeyed_delay. */
	child->outbound_gone = vici_text_is(sa->state, "DELETED");
	return reason;
}

/* Reads names and identities. They are constant from the authentication of an IKE_SA to its end. */
static const char *read_ends(const struct vici_ike_sa *ike_sa, const struct child_section *sa,
			     struct feed_child *child)
{
	const char *reason = read_names(ike_sa, sa, child);

	if (!reason)
		reason = read_identity(ike_sa->local_id, child->local_id);
	if (!reason)
		reason = read_peer_identity(peer_identity(ike_sa), child->peer_id);
	return reason;
}

static const char *read_traffic(const struct child_section *sa, struct feed_child *child)
{
	const char *reason = read_selectors(sa->local_ts, &child->local_ts);

	return reason ? reason : read_selectors(sa->remote_ts, &child->remote_ts);
}

enum vici_child_result vici_child_read(const struct vici_ike_sa *ike_sa, struct vici_span child_sa,
				       struct feed_child *child, const char **reason)
{
	bool ambiguous = ike_sa->ambiguous;
	struct child_section sa = {0};

	memset(child, 0, sizeof(*child));
	*reason = NULL;
	if (read_fields(child_sa, child_fields, ARRAY_SIZE(child_fields), &sa, &ambiguous)) {
		*reason = "its section is malformed";
		return VICI_CHILD_REFUSED;
	}
	if (!has_kernel_sas(&sa) || !is_authenticated(ike_sa))
		return VICI_CHILD_SKIPPED;
	/* Before any refusal: log_refusal() identifies refused children by this number. */
	vici_text_number(sa.unique_id, 10, &child->child_unique_id);
	*reason = ambiguous ? "a key occurs twice" : read_sas(ike_sa, &sa, child);
	if (*reason)
		return VICI_CHILD_REFUSED;
	*reason = read_ends(ike_sa, &sa, child);
	if (*reason)
		return VICI_CHILD_UNNAMED;
	*reason = read_traffic(&sa, child);
	return *reason ? VICI_CHILD_REFUSED : VICI_CHILD_OK;
}
