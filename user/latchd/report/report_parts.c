/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/report_parts.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/names.h"

void report_fail(struct json_writer *w, int err)
{
	if (err && !w->error)
		w->error = err;
}

void report_text(struct json_writer *w, const char *key, const char *text)
{
	json_member_string(w, key, text[0] ? text : NULL);
}

void report_time(struct json_writer *w, const char *key, uint64_t boot_ns)
{
	char text[CLOCK_TEXT_SIZE] = "";

	if (boot_ns)
		clock_format(text, clock_boot_to_real_ns(boot_ns));
	report_text(w, key, text);
}

void report_spi(struct json_writer *w, const char *key, uint32_t spi)
{
	char text[16] = "";

	if (spi)
		snprintf(text, sizeof(text), "0x%08" PRIx32, spi);
	report_text(w, key, text);
}

void report_address(struct json_writer *w, const char *key, uint8_t family,
		    const uint8_t address[16])
{
	char text[INET6_ADDRSTRLEN];

	json_member_string(w, key, inet_ntop(family, address, text, sizeof(text)));
}

void report_latch_id(struct json_writer *w, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIx64, id);
	json_member_string(w, "id", text);
}

void report_listener(struct json_writer *w, uint64_t id)
{
	char text[24] = "";

	if (id)
		snprintf(text, sizeof(text), "%" PRIx64, id);
	report_text(w, "listener", text);
}

void report_direction(struct json_writer *w, enum latch_direction direction)
{
	json_member_string(w, "direction",
			   direction == LATCH_DIRECTION_NONE ? NULL
							     : latch_direction_name(direction));
}

static void report_endpoint(struct json_writer *w, const char *key, uint8_t family,
			    const uint8_t address[16], uint16_t port)
{
	json_key(w, key);
	json_object_begin(w);
	report_address(w, "addr", family, address);
	json_member_uint(w, "port", port);
	json_object_end(w);
}

void report_flow(struct json_writer *w, const struct latch_flow *flow)
{
	json_member_uint(w, "netns", flow->netns);
	json_member_string(w, "proto", ulp_name(flow->protocol));
	report_endpoint(w, "local", flow->family, flow->local_addr, flow->local_port);
	if (flow->remote_port)
		report_endpoint(w, "remote", flow->family, flow->remote_addr, flow->remote_port);
	else
		json_member_string(w, "remote", NULL);
}

void report_netns_name(struct json_writer *w, const struct report_source *source, uint64_t netns)
{
	json_member_string(w, "netns_name",
			   source->netns_names ? netns_names_of(source->netns_names, netns) : NULL);
}

void report_reasons(struct json_writer *w, uint8_t reasons)
{
	unsigned int bit;

	json_key(w, "reasons");
	json_array_begin(w);
	for (bit = 1; bit <= LATCH_REASONS_ALL; bit <<= 1)
		if (reasons & bit)
			json_string(w, latch_reason_name((enum latch_reason)bit));
	json_array_end(w);
}

static const struct latch_identity *identity_of(const struct report_source *source, uint16_t params,
						bool local)
{
	const struct latch_params *entry = identities_get_params(source->identities, params);

	if (!entry)
		return NULL;
	return identities_get(source->identities, local ? entry->local_id : entry->peer_id);
}

void report_peer(struct json_writer *w, const struct report_source *source, uint16_t params)
{
	report_peer_as(w, source, "peer", params);
}

/* Only where it is known. */
static void write_key(struct json_writer *w, const struct latch_identity *peer)
{
	char digits[2 * LATCH_KEY_SIZE + 1];
	size_t i;

	if (peer->key_kind != LATCH_KEY_SPKI)
		return;
	for (i = 0; i < LATCH_KEY_SIZE; i++)
		snprintf(digits + 2 * i, 3, "%02x", peer->key[i]);
	json_member_string(w, "key", digits);
}

void report_peer_as(struct json_writer *w, const struct report_source *source, const char *key,
		    uint16_t params)
{
	const struct latch_identity *peer = identity_of(source, params, false);

	json_key(w, key);
	if (!peer) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	json_member_string(w, "id", peer->id);
	json_member_string(w, "auth", feed_auth_name((enum feed_auth)peer->auth));
	write_key(w, peer);
	json_object_end(w);
}

void report_tags(struct json_writer *w, const struct report_source *source, uint16_t params)
{
	const struct latch_params *found = identities_get_params(source->identities, params);
	uint32_t sets = found ? identities_sets_of(source->identities, found->peer_id) : 0;
	unsigned int i;

	json_key(w, "tags");
	json_array_begin(w);
	for (i = 0; i < LATCH_PEER_SETS_MAX; i++)
		if (sets >> i & 1)
			json_string(w, identities_set_name(source->identities, i));
	json_array_end(w);
}

void report_sets(struct json_writer *w, const struct report_source *source)
{
	const char *name;
	unsigned int i;

	json_key(w, "sets");
	json_array_begin(w);
	for (i = 0; (name = identities_set_name(source->identities, i)); i++)
		json_string(w, name);
	json_array_end(w);
}

void report_local_id(struct json_writer *w, const struct report_source *source, uint16_t params)
{
	const struct latch_identity *local = identity_of(source, params, true);

	json_member_string(w, "local_id", local ? local->id : NULL);
}

void report_connection(struct json_writer *w, const struct report_source *source, uint16_t params)
{
	const struct latch_identity *peer = identity_of(source, params, false);

	json_member_string(w, "connection", peer && peer->config[0] ? peer->config : NULL);
}

void report_qop(struct json_writer *w, const struct latch_qop *qop)
{
	report_text(w, "encr", qop->encryption);
	json_member_uint(w, "encr_bits", qop->encryption_bits);
	report_text(w, "integ", qop->integrity);
	json_member_uint(w, "integ_bits", qop->integrity_bits);
	json_member_uint(w, "icv_bits", qop->icv_bits);
	json_member_bool(w, "esn", qop->esn);
	json_member_bool(w, "replay_protection", qop->replay_protection);
}

void report_rule(struct json_writer *w, const struct report_source *source, uint16_t rule,
		 uint8_t set)
{
	bool known = set == source->rule_set && rule < source->rule_count;

	json_member_string(w, "rule", known ? source->rules[rule].name : NULL);
}
