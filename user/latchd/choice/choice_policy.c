/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/choice_policy.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* ---- from the dump */

static void set_range(uint8_t low[16], uint8_t high[16], const uint8_t prefix[16],
		      unsigned int bits, uint8_t family)
{
	unsigned int size = family == AF_INET ? 4 : 16, i;

	memcpy(low, prefix, size);
	memcpy(high, prefix, size);
	for (i = bits; i < 8 * size; i++) {
		low[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
		high[i / 8] |= (uint8_t)(0x80 >> i % 8);
	}
}

static void set_selector(struct choice_policy *to, const struct policy *from)
{
	if (from->direction == POLICY_OUT) {
		set_range(to->local_low, to->local_high, from->source, from->source_bits,
			  from->family);
		set_range(to->remote_low, to->remote_high, from->destination,
			  from->destination_bits, from->family);
		to->local_port = from->source_port;
		to->local_port_mask = from->source_port_mask;
		to->remote_port = from->destination_port;
		to->remote_port_mask = from->destination_port_mask;
		return;
	}
	set_range(to->local_low, to->local_high, from->destination, from->destination_bits,
		  from->family);
	set_range(to->remote_low, to->remote_high, from->source, from->source_bits, from->family);
	to->local_port = from->destination_port;
	to->local_port_mask = from->destination_port_mask;
	to->remote_port = from->source_port;
	to->remote_port_mask = from->source_port_mask;
}

static void set_template(struct choice_policy *to, const struct xfrm_user_tmpl *template)
{
	size_t size = template->family == AF_INET ? 4 : 16;
	const void *source = &template->saddr, *destination = &template->id.daddr;
	bool out = to->direction == POLICY_OUT;

	to->template_protocol = template->id.proto;
	to->template_mode = template->mode;
	to->template_family = (uint8_t) template->family;
	memcpy(to->template_local, out ? source : destination, size);
	memcpy(to->template_remote, out ? destination : source, size);
}

void choice_policy_of(const struct policy *policy, const struct xfrm_user_tmpl *template,
		      struct choice_policy *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->priority = policy->priority;
	ret->if_id = policy->if_id;
	ret->direction = policy->direction;
	ret->family = policy->family;
	ret->protocol = policy->protocol;
	ret->certain = !policy->limited && !policy->entry;
	ret->accepts = policy->action == POLICY_BYPASS;
	ret->protects = policy->action == POLICY_PROTECT;
	set_selector(ret, policy);
	if (!ret->protects)
		return;
	ret->any = policy->template_count != 1 || template->optional;
	set_template(ret, template);
}

/* ---- the selector */

/* The protocols of latches. A policy for another protocol decides over none of their packets. */
static bool is_latched(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static uint8_t protocol_of(const struct choice_box *box)
{
	return box->local.protocol ? box->local.protocol : box->remote.protocol;
}

static bool touches_protocol(uint8_t policy, uint8_t box)
{
	return !policy || policy == box || (!box && is_latched(policy));
}

static bool touches_port(const struct traffic_selector *end, uint16_t port, uint16_t mask)
{
	return mask != 0xffff || (port >= end->port_low && port <= end->port_high);
}

static bool covers_port(const struct traffic_selector *end, uint16_t port, uint16_t mask)
{
	return !mask || (end->port_low == end->port_high && !((end->port_low ^ port) & mask));
}

static bool touches_range(const struct traffic_selector *end, const uint8_t low[16],
			  const uint8_t high[16])
{
	size_t size = end->family == AF_INET ? 4 : 16;

	return memcmp(end->low, high, size) <= 0 && memcmp(low, end->high, size) <= 0;
}

static bool covers_range(const struct traffic_selector *end, const uint8_t low[16],
			 const uint8_t high[16])
{
	size_t size = end->family == AF_INET ? 4 : 16;

	return memcmp(low, end->low, size) <= 0 && memcmp(end->high, high, size) <= 0;
}

bool choice_policy_touches(const struct choice_policy *p, const struct choice_box *box)
{
	return p->family == box->local.family && touches_protocol(p->protocol, protocol_of(box)) &&
	       touches_range(&box->local, p->local_low, p->local_high) &&
	       touches_range(&box->remote, p->remote_low, p->remote_high) &&
	       touches_port(&box->local, p->local_port, p->local_port_mask) &&
	       touches_port(&box->remote, p->remote_port, p->remote_port_mask);
}

bool choice_policy_covers(const struct choice_policy *p, const struct choice_box *box)
{
	return p->family == box->local.family &&
	       (!p->protocol || p->protocol == protocol_of(box)) &&
	       covers_range(&box->local, p->local_low, p->local_high) &&
	       covers_range(&box->remote, p->remote_low, p->remote_high) &&
	       covers_port(&box->local, p->local_port, p->local_port_mask) &&
	       covers_port(&box->remote, p->remote_port, p->remote_port_mask);
}

/* ---- the template */

static bool is_any(const uint8_t address[16])
{
	static const uint8_t zero[16];

	return !memcmp(address, zero, sizeof(zero));
}

static bool may_be(const uint8_t template[16], const uint8_t address[16])
{
	return is_any(template) || !memcmp(template, address, 16);
}

/* In these modes the kernel takes the SA's addresses from the template (xfrm_tmpl_resolve_one()).
 */
static bool has_addresses(const struct choice_policy *policy)
{
	return policy->template_mode == XFRM_MODE_TUNNEL || policy->template_mode == XFRM_MODE_BEET;
}

/*
 * Packets out: xfrm_state_find() compares both addresses. Packets in: xfrm_state_ok() compares the
 * remote address only, as an address of the inner packet's family.
 */
static bool may_have_addresses(const struct choice_policy *policy, const struct sa_way *way)
{
	if (!has_addresses(policy))
		return true;
	if (policy->direction == POLICY_OUT)
		return policy->template_family == way->family &&
		       may_be(policy->template_local, way->local) &&
		       may_be(policy->template_remote, way->remote);
	return policy->template_family != way->family || policy->family != way->family ||
	       may_be(policy->template_remote, way->remote);
}

bool choice_policy_may_use(const struct choice_policy *policy, const struct sa_way *way)
{
	/* __xfrm_policy_check(): without a template for it, an SA must be in transport mode. */
	if (policy->accepts)
		return policy->direction == POLICY_IN && way->mode == XFRM_MODE_TRANSPORT;
	if (!policy->protects)
		return false;
	return policy->any ||
	       (policy->template_protocol == way->protocol && policy->template_mode == way->mode &&
		may_have_addresses(policy, way));
}
