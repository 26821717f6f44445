/* SPDX-License-Identifier: BSD-2-Clause */
/* vici packets and their frames in a stream: a 32-bit big-endian length, then that many bytes. */
#ifndef LATCHD_FEEDS_VICI_PACKET_H
#define LATCHD_FEEDS_VICI_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/vici/message.h"

#define VICI_FRAME_MAX	  (512 * 1024) /* bytes; the maximum that charon accepts and sends */
#define VICI_FRAME_HEADER 4

/* As on the wire. */
enum vici_packet_type {
	VICI_CMD_REQUEST,
	VICI_CMD_RESPONSE,
	VICI_CMD_UNKNOWN,
	VICI_EVENT_REGISTER,
	VICI_EVENT_UNREGISTER,
	VICI_EVENT_CONFIRM,
	VICI_EVENT_UNKNOWN,
	VICI_EVENT,
};

struct vici_packet {
	enum vici_packet_type type;
	struct vici_text name;	  /* of a request, (un)registration or event */
	struct vici_span message; /* of a request, response or event; checked to be well-formed */
};

/* payload is a frame without its length. packet points into it. 0 or -EBADMSG. */
int vici_packet_parse(struct vici_span payload, struct vici_packet *packet);

/* Bytes of the frame that vici_packet_write() writes. */
size_t vici_packet_size(const char *name, size_t message_length);
/* frame has space for vici_packet_size() bytes. name is NULL for a type without a name. */
void vici_packet_write(uint8_t *frame, enum vici_packet_type type, const char *name,
		       struct vici_span message);

/* Received bytes; zeroed before first use. Owns its memory. */
struct vici_frames {
	uint8_t *memory;
	size_t size, start, end;
};

/*
 * Returns the place of the next received bytes, at least one byte. The memory
 * grows up to one frame. 0, -ENOMEM, or -ENOBUFS when the caller has not taken
 * whole frames out.
 */
int vici_frames_room(struct vici_frames *frames, uint8_t **at, size_t *room);
void vici_frames_filled(struct vici_frames *frames, size_t length);

/*
 * 1 with the next whole frame's payload, which stays valid until
 * vici_frames_room() is called. 0 when more bytes are needed; -EMSGSIZE for an
 * over-long frame, -EBADMSG for an empty one.
 */
int vici_frames_next(struct vici_frames *frames, struct vici_span *payload);
void vici_frames_free(struct vici_frames *frames);

/* Of an answer to a command: "success = no" is an error; a list that succeeds ends with an empty
 * message. */
bool vici_is_refusal(enum vici_packet_type type, struct vici_span message);

#endif
