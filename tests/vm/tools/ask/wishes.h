/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes with any argument: taken whole, or refused without a change. */
#ifndef ASK_WISHES_H
#define ASK_WISHES_H

#include "latched.h"
#include "other_ways.h"
#include "own.h"
#include "places.h"

/* A value for setsockopt(), at the end of the memory that may be read. */
struct value {
	int option;
	const uint8_t *at;
	int32_t size;
	enum place place;
};

static inline void draw_bytes(uint8_t *to, int32_t size, struct random *random)
{
	int32_t i, small = (int32_t)draw(random, 6) - 1;
	struct latch_least least = {.size = sizeof(least),
				    .encryption_bits = (uint16_t)draw(random, 300),
				    .confidential = (uint8_t)draw(random, 3),
				    .esn = (uint8_t)draw(random, 2),
				    .pad = !draw(random, 9)};

	for (i = 0; i < size; i++)
		to[i] = (uint8_t)(draw(random, 300) ? 'a' + draw(random, 26) : draw(random, 256));
	if (size == sizeof(small))
		memcpy(to, &small, sizeof(small));
	if (size == sizeof(least) && draw(random, 4))
		memcpy(to, &least, sizeof(least));
}

static inline struct value draw_value(struct random *random, const struct places *places)
{
	struct value value = {.option = (int)draw(random, 14) + 14};
	struct question q;

	draw_place(&q, random, places);
	if (!draw(random, 40))
		value.option = (int)draw(random, UINT32_MAX);
	if (draw(random, 2)) {
		q.size = value.option == LATCH_OPT_EXPECT_QUALITY
				 ? (int32_t)sizeof(struct latch_least)
			 : value.option == LATCH_OPT_NEWS ? (int32_t)sizeof(struct latch_subscribe)
			 : is_wish_text(value.option)	  ? (int32_t)draw(random, 24)
							  : (int32_t)sizeof(int);
		q.at = place_for(places, q.place, q.size);
	}
	value.place = q.place;
	value.at = q.at;
	value.size = q.size;
	if (q.place == PLACE_GOOD)
		draw_bytes(q.at,
			   q.size < 0		 ? 0
			   : q.size > PLACE_SIZE ? PLACE_SIZE
						 : q.size,
			   random);
	return value;
}

/* ---- the model */

static inline int *number_of(struct wished *wished, int option)
{
	switch (option) {
	case LATCH_OPT_REQUIRE:
		return &wished->require;
	case LATCH_OPT_EXPECT_CLASS:
		return &wished->class;
	case LATCH_OPT_DISPOSITION:
		return &wished->disposition;
	case LATCH_OPT_PROTECTION:
		return &wished->protection;
	case LATCH_OPT_DATAGRAMS:
		return &wished->datagrams;
	}
	return NULL;
}

#define TAG_ROOM 32

static inline void take_text(struct wished *wished, const struct value *value)
{
	int32_t room = value->option == LATCH_OPT_EXPECT_TAG ? TAG_ROOM : LATCH_TEXT_MAX;
	int i;

	if (value->size < 0 || value->size >= room ||
	    (value->size && memchr(value->at, 0, (size_t)value->size))) {
		fault("option %d: a text of %d bytes was taken", value->option, value->size);
		return;
	}
	for (i = 0; i < TEXT_COUNT; i++)
		if (text_options[i] == value->option) {
			memset(wished->text[i], 0, LATCH_TEXT_MAX);
			memcpy(wished->text[i], value->at, (size_t)value->size);
		}
}

/* The values that latch(7) has, and no others. */
static inline void take_number(int *number, const struct value *value)
{
	static const int last[] = {[LATCH_OPT_REQUIRE] = 1,
				   [LATCH_OPT_EXPECT_CLASS] = LATCH_CLASS_EAP,
				   [LATCH_OPT_DISPOSITION] = LATCH_DISPOSE_UNREACHABLE,
				   [LATCH_OPT_PROTECTION] = LATCH_PROTECTION_BYPASS,
				   [LATCH_OPT_DATAGRAMS] = 1};

	if (value->size == sizeof(*number))
		memcpy(number, value->at, sizeof(*number));
	if (value->size != sizeof(*number) || *number < 0 || *number > last[value->option])
		fault("option %d: a number of %d bytes was taken, %d", value->option, value->size,
		      *number);
}

static inline void take(struct wished *wished, const struct value *value)
{
	int *number = number_of(wished, value->option);

	if (value->place != PLACE_GOOD && value->place != PLACE_READ_ONLY && value->size)
		fault("option %d: %d bytes from nowhere were taken", value->option, value->size);
	else if (number)
		take_number(number, value);
	else if (is_wish_text(value->option))
		take_text(wished, value);
	else if (value->option == LATCH_OPT_EXPECT_QUALITY && value->size == sizeof(wished->least))
		memcpy(&wished->least, value->at, sizeof(wished->least));
	else
		fault("option %d: %d bytes were taken", value->option, value->size);
}

/* ---- reading back */

static inline void check_text(int fd, int option, const char *expected)
{
	char text[LATCH_TEXT_MAX] = "";
	socklen_t length = sizeof(text) - 1;
	int err = getsockopt(fd, SOL_LATCH, option, text, &length) ? errno : 0;

	if (err != (*expected ? 0 : ENODATA) || strcmp(text, expected))
		fault("option %d: \"%.32s\" was taken, and \"%.32s\" is read (errno %d)", option,
		      expected, text, err);
}

static inline void check_number(int fd, int option, int expected)
{
	int number = -1;
	socklen_t length = sizeof(number);
	int err = getsockopt(fd, SOL_LATCH, option, &number, &length) ? errno : 0;

	if (err || number != expected)
		fault("option %d: %d is expected, and %d is read (errno %d)", option, expected,
		      number, err);
}

static inline void check_wishes(const struct own *own)
{
	const struct wished *wished = &own->wished;
	struct latch_least least = {0};
	socklen_t length = sizeof(least);
	int i;

	if (!own->kind->served)
		return;
	for (i = 0; i < TEXT_COUNT; i++)
		check_text(own->fd, text_options[i], wished->text[i]);
	check_number(own->fd, LATCH_OPT_REQUIRE, is_wished(wished));
	check_number(own->fd, LATCH_OPT_EXPECT_CLASS, wished->class);
	check_number(own->fd, LATCH_OPT_DISPOSITION, wished->disposition);
	check_number(own->fd, LATCH_OPT_PROTECTION, wished->protection);
	check_number(own->fd, LATCH_OPT_DATAGRAMS, wished->datagrams);
	if (getsockopt(own->fd, SOL_LATCH, LATCH_OPT_EXPECT_QUALITY, &least, &length) ||
	    memcmp(&least, &wished->least, sizeof(least)))
		fault("another quality is read than was taken");
	count(COUNTED_READ_BACK);
}

/* ---- setting */

static inline bool is_error_of_wish(const struct own *own, int err)
{
	switch (err) {
	case EFAULT:
	case EINVAL:
	case ENOPROTOOPT:
		return true;
	case ENOSYS:
	case EISCONN:
	case ENOMEM:
	case EPERM:
		return own->kind->served;
	case EOPNOTSUPP:
	case ENOTCONN:
		return !own->kind->served;
	}
	return false;
}

/* The states in which no wish can be kept. */
static inline bool is_too_late(const struct own *own)
{
	return own->listens || own->connected;
}

static inline int set_by(enum way way, const struct own *own, const struct value *value,
			 struct uring *uring)
{
	if (way == WAY_32_BIT)
		return set_32_bit(own->fd, value->option, value->at, value->size);
	if (way == WAY_URING)
		return uring_option(uring, URING_SET, own->fd, value->option, (void *)value->at,
				    value->size);
	return setsockopt(own->fd, SOL_LATCH, value->option, value->at, (socklen_t)value->size)
		       ? errno
		       : 0;
}

/* No connection for news has a token that is drawn here: nothing is subscribed. */
static inline void check_news(const struct own *own, const struct value *value, int err)
{
	if (err == ENOENT || err == ENODATA)
		count(COUNTED_UNWISHED);
	else if (err && !is_error_of_wish(own, err))
		fault("news: size %d of kind %d: %s", value->size, own->kind->protocol,
		      strerror(err));
	if (own->kind->served)
		check_number(own->fd, LATCH_OPT_NEWS, 0);
}

static inline void wish_anything(struct own *own, enum way way, struct random *random,
				 const struct places *places, struct uring *uring)
{
	struct value value = draw_value(random, places);
	bool wished = is_wished(&own->wished);
	int err = set_by(way, own, &value, uring);

	if (value.option == LATCH_OPT_NEWS) {
		check_news(own, &value, way == WAY_URING ? 0 : err);
		return;
	}
	count(err ? COUNTED_UNWISHED : COUNTED_WISHED);
	if (err && way != WAY_URING && !is_error_of_wish(own, err))
		fault("option %d size %d of kind %d: %s", value.option, value.size,
		      own->kind->protocol, strerror(err));
	if (!err && (!own->kind->served || way == WAY_32_BIT || is_too_late(own)))
		fault("option %d was taken: protocol %d, way %d, listens %d, connected %d",
		      value.option, own->kind->protocol, way, own->listens, own->connected);
	else if (!err)
		take(&own->wished, &value);
	/* What has passed the gate before the wish may come later. */
	if (own->bound && (!wished || !is_wished(&own->wished)))
		own->unsure = true;
	if (!draw(random, 4))
		check_wishes(own);
}

#endif
