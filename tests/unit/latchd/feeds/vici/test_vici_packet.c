/* SPDX-License-Identifier: BSD-2-Clause */
/* Single packets and streams of frames in memory; no charon. */
#include <criterion/criterion.h>
#include <errno.h>

#include "exact_copy.h"
#include "fake/vici_json.h"
#include "latchd/feeds/vici/packet.h"

#define SPAN(text) ((struct vici_span){(const uint8_t *)(text), sizeof(text) - 1})
#define NO_MESSAGE ((struct vici_span){0})

static void expect_round_trip(enum vici_packet_type type, const char *name,
			      struct vici_span message)
{
	size_t size = vici_packet_size(name, message.length);
	uint8_t *frame = malloc(size);
	struct vici_packet packet;
	struct vici_span payload = {frame + VICI_FRAME_HEADER, size - VICI_FRAME_HEADER};

	vici_packet_write(frame, type, name, message);
	cr_assert_eq(vici_packet_parse(payload, &packet), 0, "type %d", (int)type);
	cr_expect_eq(packet.type, type);
	cr_expect(vici_text_is(packet.name, name ? name : ""));
	cr_assert_eq(packet.message.length, message.length);
	if (message.length)
		cr_expect_arr_eq(packet.message.at, message.at, message.length);
	free(frame);
}

Test(vici_packet, every_packet_type_is_read_as_it_was_written)
{
	struct vici_span message =
		vici_from_json(vici_fixture_event("attackD-tcp", "child-updown", 0));
	char longest[VICI_NAME_MAX + 1];

	memset(longest, 'n', VICI_NAME_MAX);
	longest[VICI_NAME_MAX] = '\0';
	expect_round_trip(VICI_CMD_REQUEST, "list-sas", NO_MESSAGE);
	expect_round_trip(VICI_CMD_REQUEST, longest, message);
	expect_round_trip(VICI_CMD_RESPONSE, NULL, message);
	expect_round_trip(VICI_CMD_UNKNOWN, NULL, NO_MESSAGE);
	expect_round_trip(VICI_EVENT_REGISTER, "child-updown", NO_MESSAGE);
	expect_round_trip(VICI_EVENT_UNREGISTER, "child-updown", NO_MESSAGE);
	expect_round_trip(VICI_EVENT_CONFIRM, NULL, NO_MESSAGE);
	expect_round_trip(VICI_EVENT_UNKNOWN, NULL, NO_MESSAGE);
	expect_round_trip(VICI_EVENT, "child-updown", message);
}

Test(vici_packet, a_written_request_has_charons_wire_format)
{
	static const char expected[] = "\x00\x00\x00\x0a\x00\x08list-sas";
	uint8_t frame[64];

	cr_assert_eq(vici_packet_size("list-sas", 0), sizeof(expected) - 1);
	vici_packet_write(frame, VICI_CMD_REQUEST, "list-sas", NO_MESSAGE);
	cr_expect_arr_eq(frame, expected, sizeof(expected) - 1);
}

static const struct vici_span malformed[] = {
	SPAN(""),
	SPAN("\x08"), /* unknown type */
	SPAN("\xff\x01n"),
	SPAN("\x00"),	   /* request without a name */
	SPAN("\x00\x00"),  /* with an empty name */
	SPAN("\x00\x02n"), /* with a truncated name */
	SPAN("\x07"),	   /* event without a name */
	SPAN("\x07\x00\x03\x01k\x00\x00"),
	SPAN("\x07\xff"
	     "child-updown"), /* name past the end */
	SPAN("\x07\x01"
	     "e\x03"), /* event with a truncated message */
	SPAN("\x07\x01"
	     "e\x01\x01s"),	       /* with an open section */
	SPAN("\x01\x02"),	       /* response with a stray end */
	SPAN("\x02\x03\x01k\x00\x00"), /* message in a packet type without one */
	SPAN("\x05\x00"),
	SPAN("\x06\x00"),
	SPAN("\x03\x01"
	     "e\x03\x01k\x00\x00"),
};

Test(vici_packet, malformed_packets_are_refused)
{
	struct vici_packet packet;
	size_t i;

	for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct vici_span copy = exact_copy(malformed[i].at, malformed[i].length);

		cr_expect_eq(vici_packet_parse(copy, &packet), -EBADMSG, "row %zu", i);
		exact_free(copy);
	}
}

static void put(struct vici_frames *frames, const void *bytes, size_t length)
{
	uint8_t *at;
	size_t room;

	while (length) {
		cr_assert_eq(vici_frames_room(frames, &at, &room), 0);
		cr_assert_gt(room, 0);
		if (room > length)
			room = length;
		memcpy(at, bytes, room);
		vici_frames_filled(frames, room);
		bytes = (const uint8_t *)bytes + room;
		length -= room;
	}
}

Test(vici_frames, frames_are_the_same_for_every_read_size)
{
	static const char stream[] = "\x00\x00\x00\x03one\x00\x00\x00\x01"
				     "2\x00\x00\x00\x05three";
	static const char *const expected[] = {"one", "2", "three"};
	size_t piece, at, length, found;

	for (piece = 1; piece < sizeof(stream); piece++) {
		struct vici_frames frames = {0};
		struct vici_span payload;

		found = 0;
		for (at = 0; at < sizeof(stream) - 1; at += length) {
			length = sizeof(stream) - 1 - at < piece ? sizeof(stream) - 1 - at : piece;
			put(&frames, stream + at, length);
			while (vici_frames_next(&frames, &payload) == 1) {
				cr_assert_lt(found, 3);
				cr_assert_eq(payload.length, strlen(expected[found]));
				cr_expect_arr_eq(payload.at, expected[found], payload.length);
				found++;
			}
		}
		cr_expect_eq(found, 3, "in pieces of %zu", piece);
		vici_frames_free(&frames);
	}
}

Test(vici_frames, an_incomplete_frame_yields_no_payload)
{
	static const char frame[] = "\x00\x00\x00\x02"
				    "ab";
	struct vici_span payload;
	size_t length;

	for (length = 0; length < sizeof(frame) - 1; length++) {
		struct vici_frames frames = {0};

		put(&frames, frame, length);
		cr_expect_eq(vici_frames_next(&frames, &payload), 0, "after %zu bytes", length);
		vici_frames_free(&frames);
	}
}

static int next_after_header(uint32_t length)
{
	const uint8_t header[] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16),
				  (uint8_t)(length >> 8), (uint8_t)length};
	struct vici_frames frames = {0};
	struct vici_span payload;
	int result;

	put(&frames, header, sizeof(header));
	result = vici_frames_next(&frames, &payload);
	cr_expect_leq(frames.size, 65536, "a length alone took %zu bytes", frames.size);
	vici_frames_free(&frames);
	return result;
}

Test(vici_frames, empty_and_over_long_frames_are_refused)
{
	cr_expect_eq(next_after_header(0), -EBADMSG);
	cr_expect_eq(next_after_header(VICI_FRAME_MAX), 0);
	cr_expect_eq(next_after_header(VICI_FRAME_MAX + 1), -EMSGSIZE);
	cr_expect_eq(next_after_header(UINT32_MAX), -EMSGSIZE);
}

Test(vici_frames, the_longest_frame_fills_the_buffer_exactly)
{
	static uint8_t frame[VICI_FRAME_HEADER + VICI_FRAME_MAX] = {0, VICI_FRAME_MAX >> 16};
	struct vici_frames frames = {0};
	struct vici_span payload;
	size_t room;
	uint8_t *at;

	put(&frames, frame, sizeof(frame));
	cr_expect_eq(vici_frames_room(&frames, &at, &room), -ENOBUFS);
	cr_assert_eq(vici_frames_next(&frames, &payload), 1);
	cr_expect_eq(payload.length, VICI_FRAME_MAX);
	cr_expect_eq(vici_frames_next(&frames, &payload), 0);
	cr_expect_eq(vici_frames_room(&frames, &at, &room), 0);
	cr_expect_eq(room, sizeof(frame));
	vici_frames_free(&frames);
	cr_expect_null(frames.memory);
}
