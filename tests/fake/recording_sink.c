/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/recording_sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/trace.h"

static const char *cause_name(enum feed_down_cause cause)
{
	switch (cause) {
	case FEED_DOWN_ORDERLY:
		return "orderly";
	case FEED_DOWN_PEER_DEAD:
		return "peer-dead";
	case FEED_DOWN_PEER_REBOOTED:
		return "peer-rebooted";
	}
	return "?";
}

static int on_attached(void *context, struct feed *feed, pid_t daemon)
{
	struct recording_sink *recording = context;

	(void)feed;
	trace_add("attached %d", (int)daemon);
	return recording->attached_answer;
}

static void on_state(void *context, struct feed *feed, enum feed_state state, const char *detail)
{
	(void)context;
	(void)feed;
	trace_add("state %s %s", feed_state_name(state), detail);
}

static void record(struct recorded_child *list, size_t *count, const struct recorded_child *child)
{
	if (*count == RECORDED_MAX)
		abort();
	list[(*count)++] = *child;
}

static void on_child_up(void *context, struct feed *feed, const struct feed_child *child,
			const char *evidence)
{
	struct recording_sink *recording = context;
	struct recorded_child up = {.child = *child};

	(void)feed;
	snprintf(up.evidence, sizeof(up.evidence), "%s", evidence);
	record(recording->ups, &recording->up_count, &up);
	trace_add("up %s %08x %s %s", child->peer_id, child->spi_in,
		  feed_auth_name(child->peer_auth), evidence);
}

static void on_child_down(void *context, struct feed *feed, const struct feed_child *child)
{
	struct recording_sink *recording = context;
	struct recorded_child down = {.child = *child};

	(void)feed;
	record(recording->downs, &recording->down_count, &down);
	trace_add("down %s %08x", child->peer_id, child->spi_in);
}

static void on_child_refused(void *context, struct feed *feed, const struct feed_child *child,
			     const struct feed_refusal *refusal)
{
	(void)context;
	(void)feed;
	trace_add("refused %s %08x %s by %s%s", child->peer_id, child->spi_in, refusal->reason,
		  refusal->evidence ? refusal->evidence : "its end",
		  refusal->decided ? " (decided)" : "");
}

static void on_peer_up(void *context, struct feed *feed, const struct feed_peer *peer)
{
	(void)context;
	(void)feed;
	trace_add("peer %u up %s %s %s%s", peer->ike_unique_id, peer->id, peer->config_name,
		  feed_auth_name(peer->auth), peer->just_authenticated ? " now" : "");
}

static void on_peer_rekeyed(void *context, struct feed *feed, uint32_t old,
			    const struct feed_peer *peer)
{
	(void)context;
	(void)feed;
	trace_add("peer %u rekeyed to %u %s %s %s", old, peer->ike_unique_id, peer->id,
		  peer->config_name, feed_auth_name(peer->auth));
}

static void on_peer_down(void *context, struct feed *feed, const struct feed_peer *peer,
			 enum feed_down_cause cause)
{
	(void)context;
	(void)feed;
	trace_add("peer %u %s %s %s %s by %u", peer->ike_unique_id, cause_name(cause), peer->id,
		  peer->config_name, feed_auth_name(peer->auth), peer->successor);
}

static void on_snapshot_begin(void *context, struct feed *feed)
{
	(void)context;
	(void)feed;
	trace_add("snapshot begin");
}

static void on_snapshot_end(void *context, struct feed *feed)
{
	(void)context;
	(void)feed;
	trace_add("snapshot end");
}

void recording_sink_init(struct recording_sink *recording)
{
	memset(recording, 0, sizeof(*recording));
	recording->sink = (struct feed_sink){
		.context = recording,
		.attached = on_attached,
		.state = on_state,
		.child_up = on_child_up,
		.child_refused = on_child_refused,
		.child_down = on_child_down,
		.peer_up = on_peer_up,
		.peer_rekeyed = on_peer_rekeyed,
		.peer_down = on_peer_down,
		.snapshot_begin = on_snapshot_begin,
		.snapshot_end = on_snapshot_end,
	};
}

static const struct recorded_child *find(const struct recorded_child *list, size_t count,
					 uint32_t spi_in)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (list[i].child.spi_in == spi_in)
			return &list[i];
	return NULL;
}

const struct recorded_child *recorded_up(const struct recording_sink *recording, uint32_t spi_in)
{
	return find(recording->ups, recording->up_count, spi_in);
}

const struct recorded_child *recorded_down(const struct recording_sink *recording, uint32_t spi_in)
{
	return find(recording->downs, recording->down_count, spi_in);
}
