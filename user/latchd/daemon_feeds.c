/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon_feeds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/text.h"
#include "latchd/enforce/served.h"

_Static_assert(CONFIG_MAX_FEEDS <= ATTRIBUTION_FEEDS_MAX, "attribution knows all feeds");

void daemon_feeds_init(struct daemon_feeds *feeds, const char *control_socket)
{
	char *slash;

	text_copy(feeds->folder, sizeof(feeds->folder), control_socket);
	slash = strrchr(feeds->folder, '/');
	if (slash)
		*slash = '\0';
}

static struct feed *find_running(const struct daemon_feeds *feeds, const struct config_feed *config)
{
	size_t i;

	/* config_load() zeroes all of it first, so that equal keys are equal bytes. */
	for (i = 0; i < feeds->count; i++)
		if (!memcmp(&feeds->config[i], config, sizeof(*config)))
			return feeds->feed[i];
	return NULL;
}

static bool is_among(struct feed *const *feeds, size_t count, const struct feed *feed)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (feeds[i] == feed)
			return true;
	return false;
}

static enum feed_rdn_matching rdn_matching_of(enum config_rdn_matching matching)
{
	switch (matching) {
	case CONFIG_RDN_STRICT:
		return FEED_RDN_STRICT;
	case CONFIG_RDN_REORDERED:
		return FEED_RDN_REORDERED;
	case CONFIG_RDN_RELAXED:
		return FEED_RDN_RELAXED;
	}
	return FEED_RDN_RELAXED;
}

static struct feed_statements statements_of(const struct config_feed *config)
{
	struct feed_statements statements = {
		.rdn_matching = rdn_matching_of(config->rdn_matching),
		.without_alerts = config->without_alerts,
	};

	text_copy(statements.unambiguous_names, sizeof(statements.unambiguous_names),
		  config->unambiguous_names);
	text_copy(statements.eap_identities, sizeof(statements.eap_identities),
		  config->eap_identities);
	return statements;
}

/* Makes a file name from the path of a socket: "-" replaces "/". */
bool daemon_feeds_decisions_path(const char *folder, const char *socket, char *out, size_t size)
{
	char name[FEED_PATH_MAX];
	size_t length = 0;

	for (socket += strspn(socket, "/"); *socket && length + 4 <= sizeof(name); socket++) {
		if (*socket == '-' || *socket == '%')
			length += (size_t)sprintf(name + length, "%%%02x", (unsigned int)*socket);
		else
			name[length++] = *socket == '/' ? '-' : *socket;
	}
	name[length] = '\0';
	return !*socket && snprintf(out, size, "%s/%s.decisions", folder, name) < (int)size;
}

/* Call it before the feed connects. The file has the name of the key manager's socket: a feed may
 * be renamed. */
static void keep_decisions(const struct daemon_feeds *feeds, struct feed *feed, const char *socket)
{
	char path[FEED_PATH_MAX];

	if (daemon_feeds_decisions_path(feeds->folder, socket, path, sizeof(path)))
		feed_vici_keep_decisions(feed, path);
	else
		log_warn(NULL,
			 "decisions of feed %s not kept (its path is too long): socket %s; use a "
			 "shorter path",
			 feed->name, socket);
}

static struct feed *make(const struct daemon_feeds *feeds, struct loop *loop,
			 const struct feed_sink *sink, const struct config_feed *config)
{
	struct feed_statements statements = statements_of(config);
	struct feed *feed = NULL;

	switch (config->type) {
	case CONFIG_FEED_VICI:
		feed = feed_vici_new(loop, config->name, config->socket, &statements, sink);
		if (feed)
			keep_decisions(feeds, feed, config->socket);
		break;
	}
	return feed;
}

static int reserve_ended(struct daemon_feeds *feeds)
{
	size_t room = feeds->ended_count + feeds->count;
	struct daemon_feed_ended *ended;

	if (room <= feeds->ended_room)
		return 0;
	ended = reallocarray(feeds->ended, room, sizeof(*ended));
	if (!ended)
		return -ENOMEM;
	feeds->ended = ended;
	feeds->ended_room = room;
	return 0;
}

int daemon_feeds_prepare(struct daemon_feeds *feeds, struct loop *loop,
			 const struct feed_sink *sink, const struct config *config,
			 struct feed *ret[CONFIG_MAX_FEEDS], struct failure *failure)
{
	int err = reserve_ended(feeds);
	size_t i;

	if (err)
		return failure_set(failure, err, "feeds: out of memory; free some");
	for (i = 0; i < config->feed_count; i++) {
		ret[i] = find_running(feeds, &config->feeds[i]);
		if (!ret[i])
			ret[i] = make(feeds, loop, sink, &config->feeds[i]);
		if (!ret[i]) {
			err = failure_set(failure, -errno,
					  "feed %s: cannot start: %m; check its socket =",
					  config->feeds[i].name);
			daemon_feeds_discard(feeds, ret, i);
			return err;
		}
	}
	return 0;
}

void daemon_feeds_discard(const struct daemon_feeds *feeds, struct feed *const *prepared,
			  size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!is_among(feeds->feed, feeds->count, prepared[i]))
			prepared[i]->destroy(prepared[i]);
}

static void end(struct daemon_feeds *feeds, struct attribution *attribution, size_t at)
{
	struct daemon_feed_ended *ended = &feeds->ended[feeds->ended_count++];

	ended->feed = feeds->feed[at];
	text_copy(ended->socket, sizeof(ended->socket), feeds->config[at].socket);
	ended->feed->stop(ended->feed);
	attribution_feed_removed(attribution, ended->feed);
}

static bool is_successor(const struct config_feed *config, const struct daemon_feed_ended *ended,
			 bool by_socket)
{
	return by_socket ? !strcmp(config->socket, ended->socket)
			 : !strcmp(config->name, ended->feed->name);
}

static void take_decisions(const struct daemon_feeds *feeds, const struct config_feed *config,
			   struct feed *feed, bool by_socket)
{
	bool taken = false;
	size_t i;

	/* The feed that ended last has the newest decisions. */
	for (i = feeds->ended_count; !taken && i-- > 0;)
		taken = is_successor(config, &feeds->ended[i], by_socket) &&
			feed_vici_take_decisions(feed, feeds->ended[i].feed);
}

/* The socket identifies the key manager better than the name: a feed may be renamed. */
static void hand_decisions_over(const struct daemon_feeds *feeds, const struct config *config,
				struct feed *const *prepared)
{
	size_t i;

	for (i = 0; i < config->feed_count; i++)
		if (!is_among(feeds->feed, feeds->count, prepared[i]))
			take_decisions(feeds, &config->feeds[i], prepared[i], true);
	for (i = 0; i < config->feed_count; i++)
		if (!is_among(feeds->feed, feeds->count, prepared[i]))
			take_decisions(feeds, &config->feeds[i], prepared[i], false);
}

static struct report_feed report_of(const struct config_feed *config, const struct feed *feed)
{
	struct report_feed report = {
		.feed = feed,
		.name = config->name,
		.socket = config->socket,
	};

	switch (config->type) {
	case CONFIG_FEED_VICI:
		report.type = "vici";
	}
	return report;
}

size_t daemon_feeds_use(struct daemon_feeds *feeds, struct attribution *attribution,
			const struct config *config, struct feed *const *prepared)
{
	size_t i, before = feeds->ended_count;

	for (i = 0; i < feeds->count; i++)
		if (!is_among(prepared, config->feed_count, feeds->feed[i]))
			end(feeds, attribution, i);
	hand_decisions_over(feeds, config, prepared);
	feeds->count = config->feed_count;
	for (i = 0; i < feeds->count; i++) {
		feeds->config[i] = config->feeds[i];
		feeds->feed[i] = prepared[i];
		feeds->report[i] = report_of(&feeds->config[i], prepared[i]);
	}
	attribution_feeds_configured(attribution, feeds->feed, feeds->count);
	return feeds->ended_count - before;
}

int daemon_feeds_write_served(const struct daemon_feeds *feeds,
			      const struct attribution *attribution, const struct kernel_maps *maps)
{
	uint64_t netns[CONFIG_MAX_FEEDS];
	size_t i;

	for (i = 0; i < feeds->count; i++)
		netns[i] = attribution_netns_of(attribution, feeds->feed[i]);
	return served_write(maps, netns, feeds->count);
}

void daemon_feeds_stop(struct daemon_feeds *feeds)
{
	size_t i;

	for (i = 0; i < feeds->count; i++)
		feeds->feed[i]->stop(feeds->feed[i]);
}

void daemon_feeds_free(struct daemon_feeds *feeds)
{
	size_t i;

	for (i = 0; i < feeds->count; i++)
		feeds->feed[i]->destroy(feeds->feed[i]);
	for (i = 0; i < feeds->ended_count; i++)
		feeds->ended[i].feed->destroy(feeds->ended[i].feed);
	free(feeds->ended);
	*feeds = (struct daemon_feeds){0};
}
