/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_FIRST_SIZE (16 * 1024)

static bool has_name(enum vici_packet_type type)
{
	switch (type) {
	case VICI_CMD_REQUEST:
	case VICI_EVENT_REGISTER:
	case VICI_EVENT_UNREGISTER:
	case VICI_EVENT:
		return true;
	case VICI_CMD_RESPONSE:
	case VICI_CMD_UNKNOWN:
	case VICI_EVENT_CONFIRM:
	case VICI_EVENT_UNKNOWN:
		return false;
	}
	return false;
}

static bool has_message(enum vici_packet_type type)
{
	return type == VICI_CMD_REQUEST || type == VICI_CMD_RESPONSE || type == VICI_EVENT;
}

static int take_packet_name(struct vici_span *payload, struct vici_text *name)
{
	size_t length;

	if (!payload->length)
		return -EBADMSG;
	length = payload->at[0];
	if (!length || length > payload->length - 1)
		return -EBADMSG;
	*name = (struct vici_text){.at = (const char *)payload->at + 1, .length = length};
	payload->at += 1 + length;
	payload->length -= 1 + length;
	return 0;
}

int vici_packet_parse(struct vici_span payload, struct vici_packet *packet)
{
	memset(packet, 0, sizeof(*packet));
	if (!payload.length || payload.at[0] > VICI_EVENT)
		return -EBADMSG;
	packet->type = (enum vici_packet_type)payload.at[0];
	payload.at++;
	payload.length--;
	if (has_name(packet->type) && take_packet_name(&payload, &packet->name))
		return -EBADMSG;
	if (!has_message(packet->type))
		return payload.length ? -EBADMSG : 0;
	packet->message = payload;
	return vici_message_check(payload);
}

static size_t name_size(const char *name)
{
	return name ? 1 + strlen(name) : 0;
}

size_t vici_packet_size(const char *name, size_t message_length)
{
	return VICI_FRAME_HEADER + 1 + name_size(name) + message_length;
}

void vici_packet_write(uint8_t *frame, enum vici_packet_type type, const char *name,
		       struct vici_span message)
{
	size_t length = vici_packet_size(name, message.length) - VICI_FRAME_HEADER;

	*frame++ = (uint8_t)(length >> 24);
	*frame++ = (uint8_t)(length >> 16);
	*frame++ = (uint8_t)(length >> 8);
	*frame++ = (uint8_t)length;
	*frame++ = (uint8_t)type;
	if (name) {
		*frame++ = (uint8_t)strlen(name);
		memcpy(frame, name, strlen(name));
		frame += strlen(name);
	}
	if (message.length)
		memcpy(frame, message.at, message.length);
}

static size_t buffered(const struct vici_frames *frames)
{
	return frames->end - frames->start;
}

static size_t frame_length(const struct vici_frames *frames)
{
	const uint8_t *at = frames->memory + frames->start;

	return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

/* Doubles when the received bytes fill the memory: a length field alone allocates nothing. */
static int grow(struct vici_frames *frames)
{
	size_t size = frames->size ? frames->size * 2 : FRAMES_FIRST_SIZE;
	uint8_t *memory;

	if (frames->size == VICI_FRAME_HEADER + VICI_FRAME_MAX)
		return -ENOBUFS; /* whole frames were not taken out */
	if (size > VICI_FRAME_HEADER + VICI_FRAME_MAX)
		size = VICI_FRAME_HEADER + VICI_FRAME_MAX;
	memory = realloc(frames->memory, size);
	if (!memory)
		return -ENOMEM;
	frames->memory = memory;
	frames->size = size;
	return 0;
}

int vici_frames_room(struct vici_frames *frames, uint8_t **at, size_t *room)
{
	int err = 0;

	if (frames->start) {
		memmove(frames->memory, frames->memory + frames->start, buffered(frames));
		frames->end -= frames->start;
		frames->start = 0;
	}
	if (frames->end == frames->size)
		err = grow(frames);
	*at = frames->memory + frames->end;
	*room = frames->size - frames->end;
	return err;
}

void vici_frames_filled(struct vici_frames *frames, size_t length)
{
	frames->end += length;
}

int vici_frames_next(struct vici_frames *frames, struct vici_span *payload)
{
	size_t length;

	if (buffered(frames) < VICI_FRAME_HEADER)
		return 0;
	length = frame_length(frames);
	if (length > VICI_FRAME_MAX)
		return -EMSGSIZE;
	if (!length)
		return -EBADMSG;
	if (buffered(frames) < VICI_FRAME_HEADER + length)
		return 0;
	payload->at = frames->memory + frames->start + VICI_FRAME_HEADER;
	payload->length = length;
	frames->start += VICI_FRAME_HEADER + length;
	return 1;
}

void vici_frames_free(struct vici_frames *frames)
{
	free(frames->memory);
	*frames = (struct vici_frames){0};
}

bool vici_is_refusal(enum vici_packet_type type, struct vici_span message)
{
	struct vici_member success;

	return type != VICI_CMD_RESPONSE ||
	       (vici_find(message, "success", VICI_MEMBER_VALUE, &success) &&
		!vici_text_is(success.value, "yes"));
}
