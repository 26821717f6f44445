/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captured messages with random damage, from a fixed seed. No damage may cause a
 * crash (run it with sanitizers) or a child without an identity.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "exact_copy.h"
#include "fake/vici_json.h"
#include "latchd/feeds/vici/auth.h"
#include "latchd/feeds/vici/children.h"
#include "latchd/feeds/vici/packet.h"

#define ROUNDS_PER_MESSAGE 400

static uint64_t state = 0x5660;

/* xorshift64*, so that the sequence is the same everywhere. */
static uint32_t draw(uint32_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1d) >> 32) % below;
}

static void damage(uint8_t *bytes, size_t *length)
{
	size_t at = draw((uint32_t)*length), other = draw((uint32_t)*length), run;

	switch (draw(6)) {
	case 0:
		bytes[at] ^= (uint8_t)(1u << draw(8));
		break;
	case 1:
		bytes[at] = (uint8_t)draw(256);
		break;
	case 2:
		bytes[at] = (uint8_t)draw(8);
		break;
	case 3:
		*length = at + 1;
		break;
	case 4: /* remove a part */
		run = draw((uint32_t)(*length - at)) % 32;
		memmove(bytes + at, bytes + at + run, *length - at - run);
		*length -= run;
		break;
	case 5: /* copy a part to another place */
		run = draw((uint32_t)(*length - (at > other ? at : other)));
		memmove(bytes + at, bytes + other, run);
		break;
	}
}

static struct vici_span damaged(struct vici_span message)
{
	struct vici_span copy = exact_copy(message.at, message.length), exact;
	size_t length = copy.length;
	unsigned int times = 1 + draw(4);

	while (times--)
		damage((uint8_t *)copy.at, &length);
	exact = exact_copy(copy.at, length);
	exact_free(copy);
	return exact;
}

static void expect_valid(const struct feed_child *child)
{
	cr_expect(child->peer_id[0] && child->local_id[0]);
	cr_expect_lt(strlen(child->peer_id), FEED_ID_MAX - 1);
	cr_expect_null(strchr(child->peer_id, '?'));
	cr_expect_str_neq(child->peer_id, "%any");
	cr_expect(child->spi_in && child->spi_out && child->child_unique_id);
	cr_expect(child->local_ts.covers_all || child->local_ts.count);
	cr_expect(child->ipsec_protocol == 50 || child->ipsec_protocol == 51);
}

static unsigned int accepted, refused;

static void read_children(struct vici_span message, enum vici_children_form form)
{
	struct vici_span children, section;
	struct vici_ike_sa ike_sa;
	struct feed_child child;
	const char *reason;

	while (vici_ike_sa_next(&message, &ike_sa) > 0) {
		vici_ike_sa_down_cause(&ike_sa, VICI_NAMED_NOTHING);
		children = ike_sa.children;
		while (vici_child_next(&children, form, &section) > 0) {
			switch (vici_child_read(&ike_sa, section, &child, &reason)) {
			case VICI_CHILD_OK:
				accepted++;
				expect_valid(&child);
				break;
			case VICI_CHILD_SKIPPED:
				break;
			case VICI_CHILD_REFUSED:
			case VICI_CHILD_UNNAMED:
				refused++;
				cr_expect_not_null(reason);
				break;
			}
		}
	}
}

static void try_message(struct vici_span message)
{
	struct vici_auth auth = {0};

	if (vici_message_check(message))
		return;
	read_children(message, VICI_CHILDREN_LISTED);
	read_children(message, VICI_CHILDREN_REKEYED);
	vici_auth_listing_begin(&auth, 1);
	cr_expect_eq(vici_auth_read_listed(&auth, message), 0);
	vici_auth_free(&auth);
}

static void try_damaged(struct vici_span message)
{
	unsigned int i;

	for (i = 0; i < ROUNDS_PER_MESSAGE; i++) {
		struct vici_span one = damaged(message);

		try_message(one);
		exact_free(one);
	}
}

static void each_captured(void (*act)(struct vici_span message))
{
	static const char *const files[] = {"attackD-tcp",
					    "establish-rekey-collision-attackD-dpd",
					    "initialcontact-ikerekey-reauth-delete",
					    "rawkey-psk-keyid",
					    "strongswan-5.9.8",
					    "strongswan-6.0.1",
					    "strongswan-6.1.0"};
	struct vici_fixture fixture;
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		vici_fixture_open(&fixture, files[i]);
		while (vici_fixture_next(&fixture))
			act(vici_from_json(fixture.json));
		vici_fixture_close(&fixture);
	}
}

Test(vici_mutation, damaged_messages_cause_no_crash_and_no_incomplete_child)
{
	each_captured(try_damaged);
	cr_expect_gt(accepted, 1000, "only %u accepted: too much damage", accepted);
	cr_expect_gt(refused, 100, "only %u refused: too little damage", refused);
}

static struct vici_span framed(struct vici_span message)
{
	size_t size = vici_packet_size("child-updown", message.length);
	uint8_t *frame = malloc(size);

	if (!frame)
		abort();
	vici_packet_write(frame, VICI_EVENT, "child-updown", message);
	return (struct vici_span){frame, size};
}

static unsigned int parsed;

static void try_stream(struct vici_span stream)
{
	struct vici_frames frames = {0};
	struct vici_packet packet;
	struct vici_span payload;
	uint8_t *at;
	size_t room, piece;

	while (stream.length && !vici_frames_room(&frames, &at, &room)) {
		piece = 1 + draw(200);
		room = room < piece ? room : piece;
		room = room < stream.length ? room : stream.length;
		memcpy(at, stream.at, room);
		vici_frames_filled(&frames, room);
		stream.at += room;
		stream.length -= room;
		while (vici_frames_next(&frames, &payload) > 0)
			parsed += !vici_packet_parse(payload, &packet);
	}
	vici_frames_free(&frames);
}

static void try_damaged_frames(struct vici_span message)
{
	struct vici_span frame = framed(message);
	unsigned int i;

	for (i = 0; i < ROUNDS_PER_MESSAGE; i++) {
		struct vici_span one = damaged(frame);

		try_stream(one);
		exact_free(one);
	}
	exact_free(frame);
}

Test(vici_mutation, damaged_frames_cause_no_crash)
{
	each_captured(try_damaged_frames);
	cr_expect_gt(parsed, 1000, "only %u parsed", parsed);
}
