/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration file. The input is the file. Properties: a configuration that is accepted is
 * within its limits and is read again the same; an error is one printable line with the path.
 */
#include <ctype.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "latchd/config/config_load.h"

static bool is_name(const char name[CONFIG_NAME_MAX])
{
	size_t length = strnlen(name, CONFIG_NAME_MAX), i;

	for (i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return length && length < CONFIG_NAME_MAX;
}

static bool is_path(const char *path, size_t size)
{
	return path[0] == '/' && strnlen(path, size) < size;
}

/* No bit is set beyond the prefix, and a prefix has a family. */
static bool is_network(const struct latch_rule *rule, const uint8_t address[16], unsigned int bits)
{
	unsigned int i;

	if (bits > (rule->family == AF_INET ? 32 : 128) || (bits && !rule->family))
		return false;
	for (i = bits; i < 128; i++)
		if (address[i / 8] & 0x80 >> i % 8)
			return false;
	return true;
}

static void check_rule(const struct config_rule *named)
{
	const struct latch_rule *rule = &named->rule;

	CHECK(is_name(named->name));
	CHECK(rule->local_port_first <= rule->local_port_last);
	CHECK(rule->remote_port_first <= rule->remote_port_last);
	CHECK(is_network(rule, rule->local_addr, rule->local_bits));
	CHECK(is_network(rule, rule->remote_addr, rule->remote_bits));
}

static void check_config(const struct config *config)
{
	size_t i;

	CHECK(config->cgroup_count <= CONFIG_MAX_CGROUPS);
	for (i = 0; i < config->cgroup_count; i++)
		CHECK(is_path(config->cgroups[i], sizeof(config->cgroups[i])));
	CHECK(config->pending_ms >= 100 && config->pending_ms <= 60000);
	CHECK(config->latch_capacity >= 64 && config->latch_capacity <= 4194304);
	CHECK(is_path(config->control_socket, sizeof(config->control_socket)));
	CHECK(is_path(config->news_socket, sizeof(config->news_socket)));
	CHECK(!config->control_group[0] || is_name(config->control_group));
	CHECK(config->feed_count && config->feed_count <= CONFIG_MAX_FEEDS);
	for (i = 0; i < config->feed_count; i++) {
		CHECK(is_name(config->feeds[i].name));
		CHECK(is_path(config->feeds[i].socket, sizeof(config->feeds[i].socket)));
	}
	CHECK(config->rule_count <= LATCH_RULES_MAX);
	for (i = 0; i < config->rule_count; i++)
		check_rule(&config->rules[i]);
}

/* Unprintable bytes are escaped, but UTF-8 stays. */
static void check_failure(const struct failure *failure, const char *path)
{
	size_t length = strnlen(failure->text, sizeof(failure->text)), i;

	CHECK(length && length < sizeof(failure->text));
	CHECK(!strncmp(failure->text, path, strlen(path)));
	for (i = 0; i < length; i++)
		CHECK((uint8_t)failure->text[i] >= ' ' && failure->text[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct config config, again;
	struct failure failure = {{0}};
	char path[64];
	int fd = memfd_create("latchd.conf", MFD_CLOEXEC), err;

	CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = config_load(path, true, &config, &failure);
	CHECK(err <= 0);
	if (err) {
		check_failure(&failure, path);
	} else {
		check_config(&config);
		CHECK(!config_load(path, true, &again, &failure));
		CHECK(!memcmp(&config, &again, sizeof(config)));
	}
	close(fd);
	return 0;
}
