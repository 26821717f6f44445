/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of the rooms enforce/ and control/ and of the service manager. The programs are always
 * attached, since they are a part of the simulated kernel. The rules go into the tables as they do
 * in latchd.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/keyed_hash.h"
#include "common/notify.h"
#include "common/process.h"
#include "charon.h"
#include "doors/doors.h"
#include "kernel/table.h"
#include "latchd/control/control.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/enforce/netfilter/netfilter_netns.h"
#include "latchd/enforce/preflight.h"
#include "latchd/enforce/rules.h"
#include "sim.h"

#define PENDING_LIMIT_NS 5000000000ull
#define DROP_EVENT_NS	 1000000000ull

static struct config config;
/*
 * Of this process: another one may run the same seed. latchd keeps verdicts there. It is the
 * working directory, so that no trace has its name.
 */
static char folder[] = "/tmp/latchd-sim.XXXXXX";

const struct config *parts_config(void)
{
	return &config;
}

int parts_make_folder(void)
{
	return mkdtemp(folder) && !chdir(folder) ? 0 : -errno;
}

void parts_empty_folder(void)
{
	DIR *dir = opendir(".");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

void parts_remove_folder(void)
{
	parts_empty_folder();
	if (!chdir("/"))
		rmdir(folder);
}

void parts_choose_config(bool wait)
{
	config = (struct config){
		.control_socket = "./latchd.sock",
		.pending_ms = 5000,
		.policy_grace_ms = 5000,
		.feed_count = 1,
		.feeds = {{.name = "charon", .type = CONFIG_FEED_VICI, .socket = "charon.vici"}},
		.rule_count = wait,
	};
	config.rules[0] = (struct config_rule){
		.name = "wait",
		.rule = {.local_port_last = UINT16_MAX,
			 .remote_port_last = UINT16_MAX,
			 .disposition = LATCH_DISPOSITION_WAIT},
	};
}

/* ---- processes, random numbers */

uint64_t process_started(pid_t pid)
{
	return pid == SIM_CHARON_PID ? charon_process() : 0;
}

int __wrap_keyed_hash_new_key(struct keyed_hash_key *ret);

int __wrap_keyed_hash_new_key(struct keyed_hash_key *ret)
{
	*ret = (struct keyed_hash_key){{sim.seed, 1}};
	return 0;
}

/* ---- enforcement */

struct enforcement {
	int unused;
};

static struct enforcement enforcement;
static const struct netfilter_gate no_gate = {-1, -1, 0};

int preflight_run(const struct config *wanted, struct preflight_result *result,
		  struct failure *failure)
{
	(void)wanted;
	(void)failure;
	*result = (struct preflight_result){.cgroup = "simulated"};
	return 0;
}

int preflight_cgroup(const struct config *wanted, struct preflight_result *result,
		     struct failure *failure)
{
	return preflight_run(wanted, result, failure);
}

int preflight_functions(const char *const *names, size_t count, struct failure *failure)
{
	(void)names;
	(void)count;
	(void)failure;
	return 0;
}

int preflight_lock(const char *path, struct failure *failure)
{
	(void)path;
	(void)failure;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int enforcement_functions(struct enforcement_functions *ret)
{
	ret->count = 0;
	return 0;
}

static void put_settings(void)
{
	const __u32 key = 0;
	struct latch_settings *settings = table_find(TABLE_SETTINGS, &key);

	settings->pending_limit = PENDING_LIMIT_NS;
	settings->drop_event_interval = DROP_EVENT_NS;
}

int enforcement_load(const struct config *wanted, struct enforcement **ret, struct failure *failure)
{
	(void)wanted;
	(void)failure;
	*ret = &enforcement;
	return 0;
}

static struct rules_change rules_of_start;

int enforcement_attach(struct enforcement *loaded, const struct config *wanted, const char *cgroup,
		       struct failure *failure)
{
	int err;

	(void)loaded;
	(void)cgroup;
	put_settings();
	err = rules_load(&sim_maps, wanted, true, &rules_of_start);
	if (err)
		return failure_set(failure, err, "rules: cannot load them: %s", strerror(-err));
	return 0;
}

/* All starts have the same settings here. */
void enforcement_undo(struct enforcement *loaded)
{
	(void)loaded;
	rules_undo(&sim_maps, &rules_of_start);
}

int enforcement_change(struct enforcement *started, const struct config *wanted,
		       struct failure *failure)
{
	(void)started;
	(void)wanted;
	return failure_set(failure, -ENOTSUP, "not simulated; send no SIGHUP");
}

unsigned int enforcement_keep_pins(const struct enforcement *started)
{
	(void)started;
	return 0;
}

void enforcement_free(struct enforcement *started)
{
	(void)started;
}

const struct kernel_maps *enforcement_maps(const struct enforcement *started)
{
	(void)started;
	return &sim_maps;
}

const struct netfilter_gate *enforcement_netfilter_gate(const struct enforcement *started)
{
	(void)started;
	return &no_gate;
}

bool enforcement_adopted(const struct enforcement *started)
{
	(void)started;
	return true;
}

bool enforcement_mode_was(const struct enforcement *started, bool *ret_audit)
{
	(void)started;
	*ret_audit = false;
	return true;
}

size_t enforcement_programs(const struct enforcement *started, struct enforcement_program *programs,
			    size_t max)
{
	(void)started;
	(void)programs;
	(void)max;
	return 0;
}

bool enforcement_is_on(const struct enforcement *started)
{
	(void)started;
	return true;
}

bool enforcement_keeps_answers(const struct enforcement *started)
{
	(void)started;
	return true;
}

void enforcement_watch(struct enforcement *started, struct loop *loop)
{
	(void)started;
	(void)loop;
}

void enforcement_check(struct enforcement *started)
{
	(void)started;
}

size_t enforcement_cgroups(const struct enforcement *started, struct cgroup_entry *entries,
			   size_t max)
{
	(void)started;
	(void)entries;
	(void)max;
	return 0;
}

bool enforcement_has_cgroup(const struct enforcement *started)
{
	(void)started;
	return true;
}

bool enforcement_sees_all(const struct enforcement *started)
{
	(void)started;
	return false;
}

bool enforcement_pins_are_fixed(void)
{
	return false;
}

/* ---- the netfilter gate is not simulated */

struct netfilter_netns {
	int unused;
};

static struct netfilter_netns no_netns;

struct netfilter_netns *netfilter_netns_new(struct loop *loop, const struct kernel_maps *maps,
					    const struct netfilter_gate *gate)
{
	(void)loop;
	(void)maps;
	(void)gate;
	return &no_netns;
}

void netfilter_netns_start(struct netfilter_netns *known)
{
	(void)known;
}

void netfilter_netns_free(struct netfilter_netns *known)
{
	(void)known;
}

enum netfilter_netns_origin netfilter_netns_of_latch(union latch_word word)
{
	(void)word;
	return NETFILTER_NETNS_UNKNOWN;
}

enum netfilter_netns_origin netfilter_netns_of_sa(union latch_sa_word word)
{
	(void)word;
	return NETFILTER_NETNS_UNKNOWN;
}

void netfilter_netns_add(struct netfilter_netns *known, uint64_t cookie,
			 enum netfilter_netns_origin origin)
{
	(void)known;
	(void)cookie;
	(void)origin;
}

bool netfilter_netns_is_offered(const struct netfilter_netns *known)
{
	(void)known;
	return false;
}

bool netfilter_netns_share_is_short(const struct netfilter_netns *known)
{
	(void)known;
	return false;
}

bool netfilter_netns_is_foreign(const struct netfilter_netns *known, uint64_t cookie)
{
	(void)known;
	(void)cookie;
	return false;
}

size_t netfilter_netns_list(const struct netfilter_netns *known, struct netfilter_netns_entry *list,
			    size_t max)
{
	(void)known;
	(void)list;
	(void)max;
	return 0;
}

/* ---- the control socket: the administrator calls the handler */

struct control {
	struct control_handlers handlers;
};

static struct control control;

int control_new(struct loop *loop, const char *socket_path, const char *group,
		const struct control_handlers *handlers, struct control **ret,
		struct failure *failure)
{
	(void)loop;
	(void)socket_path;
	(void)group;
	(void)failure;
	control.handlers = *handlers;
	*ret = &control;
	return 0;
}

void control_free(struct control *started)
{
	if (started)
		*started = (struct control){0};
}

/* The monitors' events are made, though there is no monitor: the code runs. */
void control_publish(struct control *started, const char *line, size_t length)
{
	(void)started;
	(void)line;
	(void)length;
}

bool control_has_monitors(const struct control *started)
{
	(void)started;
	return true;
}

void parts_request(enum control_act act, uint64_t latch_id)
{
	const struct control_request request = {act, latch_id, 1};
	struct json_writer writer;

	if (!control.handlers.request)
		return;
	json_init(&writer);
	control.handlers.request(control.handlers.context, &request, &writer);
	json_finish(&writer);
	json_release(&writer);
}

void parts_release(void)
{
	control = (struct control){0};
}

/* ---- the service manager */

int notify_send(const char *format, ...)
{
	(void)format;
	return 0;
}

unsigned int notify_watchdog_ms(void)
{
	return 0;
}

void notify_watchdog_feed(struct notify_watchdog *watchdog, uint64_t now_ms)
{
	(void)watchdog;
	(void)now_ms;
}
