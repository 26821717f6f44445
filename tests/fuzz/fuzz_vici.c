/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vici frames, packets and messages. The input is a byte that seeds the pieces, then a stream.
 * Properties:
 *   - a stream in pieces gives the frames, packets and errors of the whole stream;
 *   - a checked message can be read to its end, in place and through the builder;
 *   - a child that is accepted has identities, SPIs and selectors.
 */
#include "exact_copy.h"
#include "fuzz.h"
#include "latchd/feeds/vici/auth.h"
#include "latchd/feeds/vici/children.h"
#include "latchd/feeds/vici/packet.h"

/* ---- one message */

static size_t read_list(struct vici_span list)
{
	struct vici_text item;
	size_t count = 0;
	int more;

	while ((more = vici_item_next(&list, &item)) > 0)
		count++;
	CHECK(!more);
	return count;
}

/* The number of elements but the ends. */
static size_t read_section(struct vici_span section)
{
	struct vici_member member, found;
	char name[VICI_NAME_MAX + 1];
	struct vici_span all = section;
	size_t count = 0;
	int more;

	while ((more = vici_member_next(&section, &member)) > 0) {
		count++;
		if (!vici_text_copy(member.name, name, sizeof(name)))
			CHECK(vici_find(all, name, member.kind, &found));
		if (member.kind == VICI_MEMBER_SECTION)
			count += read_section(member.body);
		else if (member.kind == VICI_MEMBER_LIST)
			count += read_list(member.body);
	}
	CHECK(!more);
	return count;
}

static void read_number(struct vici_text text)
{
	char copy[32];
	uint32_t number;

	if (vici_text_copy(text, copy, sizeof(copy)))
		return;
	if (!vici_text_number(text, 10, &number))
		CHECK(number == strtoull(copy, NULL, 10));
	if (!vici_text_number(text, 16, &number))
		CHECK(number == strtoull(copy, NULL, 16));
}

/* False: the text has a NUL, which the builder cannot write. */
static bool build(struct vici_builder *builder, const struct vici_token *token)
{
	static char name[VICI_NAME_MAX + 1], value[UINT16_MAX + 1];

	if (vici_text_copy(token->name, name, sizeof(name)) ||
	    vici_text_copy(token->value, value, sizeof(value)))
		return false;
	switch (token->element) {
	case VICI_SECTION_START:
		vici_build_section(builder, name);
		break;
	case VICI_SECTION_END:
		vici_build_section_end(builder);
		break;
	case VICI_KEY_VALUE:
		vici_build_value(builder, name, value);
		break;
	case VICI_LIST_START:
		vici_build_list(builder, name);
		break;
	case VICI_LIST_ITEM:
		vici_build_item(builder, value);
		break;
	case VICI_LIST_END:
		vici_build_list_end(builder);
		break;
	}
	return true;
}

static void check_elements(struct vici_span message)
{
	struct vici_builder builder;
	struct vici_parser parser;
	struct vici_token token;
	uint8_t *memory = malloc(message.length + 1);
	size_t count = 0;
	bool built = true;

	vici_builder_init(&builder, memory, message.length);
	vici_parser_init(&parser, message);
	while (vici_parser_next(&parser, &token) > 0) {
		count += token.element != VICI_SECTION_END && token.element != VICI_LIST_END;
		read_number(token.value);
		built = built && build(&builder, &token);
	}
	CHECK(count == read_section(message));
	if (built) {
		CHECK(!builder.error && builder.length == message.length);
		CHECK(!message.length || !memcmp(memory, message.at, message.length));
	}
	free(memory);
}

static void check_child(const struct feed_child *child)
{
	CHECK(child->peer_id[0] && child->local_id[0]);
	CHECK(strnlen(child->peer_id, FEED_ID_MAX) < FEED_ID_MAX);
	CHECK(!strchr(child->peer_id, '?') && strcmp(child->peer_id, "%any"));
	CHECK(child->spi_in && child->spi_out && child->child_unique_id);
	CHECK(child->local_ts.covers_all || child->local_ts.count);
	CHECK(child->remote_ts.covers_all || child->remote_ts.count);
	CHECK(child->ipsec_protocol == 50 || child->ipsec_protocol == 51);
}

static void check_children(struct vici_span message, enum vici_children_form form)
{
	struct vici_span children, section;
	struct vici_ike_sa ike_sa;
	struct feed_child child;
	struct feed_peer peer;
	const char *reason;

	while (vici_ike_sa_next(&message, &ike_sa) > 0) {
		vici_ike_sa_down_cause(&ike_sa, VICI_NAMED_NOTHING);
		vici_ike_sa_is_established(&ike_sa);
		if (vici_peer_read(&ike_sa, &peer))
			CHECK(peer.id[0] && peer.ike_unique_id);
		children = ike_sa.children;
		while (vici_child_next(&children, form, &section) > 0) {
			reason = NULL;
			switch (vici_child_read(&ike_sa, section, &child, &reason)) {
			case VICI_CHILD_OK:
				check_child(&child);
				break;
			case VICI_CHILD_SKIPPED:
				break;
			case VICI_CHILD_REFUSED:
			case VICI_CHILD_UNNAMED:
				CHECK(reason);
				break;
			}
			feed_child_release(&child);
		}
	}
}

static void check_auth(struct vici_span message)
{
	struct vici_auth auth = {0};
	enum feed_auth class;

	vici_auth_listing_begin(&auth, 1);
	CHECK(!vici_auth_read_listed(&auth, message));
	CHECK(!vici_auth_listing_end(&auth, NULL));
	vici_auth_find(&auth, "x509", &class);
	vici_auth_free(&auth);
}

static void check_message(struct vici_span message)
{
	struct vici_ike_sa old, new;
	struct vici_span rekeyed = message;

	check_elements(message);
	check_children(message, VICI_CHILDREN_LISTED);
	check_children(message, VICI_CHILDREN_REKEYED);
	while (vici_ike_rekey_next(&rekeyed, &old, &new) > 0)
		;
	check_auth(message);
}

/* ---- the stream */

static int parse_exactly(struct vici_span payload, bool check)
{
	struct vici_span copy = exact_copy(payload.at, payload.length), message;
	struct vici_packet packet;
	int err = vici_packet_parse(copy, &packet);

	if (!err && check) {
		message = exact_copy(packet.message.at, packet.message.length);
		check_message(message);
		exact_free(message);
	}
	exact_free(copy);
	return err;
}

/* A hash of all frames and of the error that ended the stream. seed 0: the stream is not cut. */
static uint64_t read_stream(struct vici_span stream, uint64_t seed)
{
	struct vici_frames frames = {0};
	struct vici_span payload;
	uint64_t hash = HASH_FIRST, state = seed;
	size_t room, piece;
	uint8_t *at;
	int more = 0;

	while (stream.length && more >= 0) {
		CHECK(!vici_frames_room(&frames, &at, &room) && room);
		piece = seed ? 1 + draw(&state, 1u << draw(&state, 11)) : SIZE_MAX;
		piece = piece < room ? piece : room;
		piece = piece < stream.length ? piece : stream.length;
		memcpy(at, stream.at, piece);
		vici_frames_filled(&frames, piece);
		stream.at += piece;
		stream.length -= piece;
		while ((more = vici_frames_next(&frames, &payload)) > 0) {
			hash_number(&hash, payload.length);
			hash_bytes(&hash, payload.at, payload.length);
			hash_number(&hash, (uint64_t)parse_exactly(payload, !seed));
		}
	}
	hash_number(&hash, (uint64_t)more);
	vici_frames_free(&frames);
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	uint64_t seed = 1 + (uint64_t)take_byte(&input);
	const struct vici_span stream = {input.at, input.left};

	CHECK(read_stream(stream, 0) == read_stream(stream, seed));
	return 0;
}
