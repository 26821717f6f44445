/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/message.h"

#include <errno.h>
#include <string.h>

void vici_builder_init(struct vici_builder *builder, void *memory, size_t size)
{
	*builder = (struct vici_builder){.at = memory, .size = size};
}

static void put(struct vici_builder *builder, const void *bytes, size_t length)
{
	if (builder->error || length > builder->size - builder->length) {
		builder->error = -EMSGSIZE;
		return;
	}
	memcpy(builder->at + builder->length, bytes, length);
	builder->length += length;
}

static void put_byte(struct vici_builder *builder, uint8_t byte)
{
	put(builder, &byte, 1);
}

static void put_name(struct vici_builder *builder, const char *name)
{
	size_t length = strlen(name);

	if (length > VICI_NAME_MAX)
		builder->error = -EMSGSIZE;
	put_byte(builder, (uint8_t)length);
	put(builder, name, length);
}

static void put_value(struct vici_builder *builder, const char *value)
{
	size_t length = strlen(value);

	if (length > UINT16_MAX)
		builder->error = -EMSGSIZE;
	put_byte(builder, (uint8_t)(length >> 8));
	put_byte(builder, (uint8_t)length);
	put(builder, value, length);
}

void vici_build_section(struct vici_builder *builder, const char *name)
{
	put_byte(builder, VICI_SECTION_START);
	put_name(builder, name);
}

void vici_build_section_end(struct vici_builder *builder)
{
	put_byte(builder, VICI_SECTION_END);
}

void vici_build_value(struct vici_builder *builder, const char *name, const char *value)
{
	put_byte(builder, VICI_KEY_VALUE);
	put_name(builder, name);
	put_value(builder, value);
}

void vici_build_list(struct vici_builder *builder, const char *name)
{
	put_byte(builder, VICI_LIST_START);
	put_name(builder, name);
}

void vici_build_item(struct vici_builder *builder, const char *value)
{
	put_byte(builder, VICI_LIST_ITEM);
	put_value(builder, value);
}

void vici_build_list_end(struct vici_builder *builder)
{
	put_byte(builder, VICI_LIST_END);
}

struct vici_span vici_builder_message(const struct vici_builder *builder)
{
	return (struct vici_span){.at = builder->at, .length = builder->length};
}
