/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helpers of the programs of bpf/, which are parts of the simulated kernel. They are compiled
 * for this machine, with the headers of include/bpf/.
 */
#include <errno.h>
#include <linux/types.h>
#include <string.h>

#include "kernel/helpers.h"
#include "kernel/table.h"
#include "sim.h"

void *helper_lookup(const void *map, const void *key);
long helper_update(const void *map, const void *key, const void *value, __u64 flags);
long helper_delete(const void *map, const void *key);
void *bpf_ringbuf_reserve(const void *ring, __u64 size, __u64 flags);
void bpf_ringbuf_submit(void *record, __u64 flags);
long bpf_get_func_ret(void *ctx, __u64 *value);
__u64 bpf_ktime_get_boot_ns(void);
__u64 bpf_ktime_get_ns(void);
long bpf_probe_read_kernel(void *to, __u32 size, const void *from);
long bpf_probe_read_kernel_str(void *to, __u32 size, const void *from);
long bpf_loop(__u32 times, void *function, void *context, __u64 flags);
void *bpf_sk_fullsock(void *sk);
void *bpf_sk_storage_get(void *map, void *sk, void *value, __u64 flags);

/* The maps of bpf/db/maps.bpf.c, of which only the addresses matter here. */
extern char latches[], associations[], sas[], params[], identities[], own_keys[], rules[],
	settings[], audits[], latch_clocks[], drops[], counters[], refusals[], spd_stamps[],
	pairs[], sa_shares[], mark_shares[], audit_shares[], reassemblies[], mixtures[],
	flow_epochs[], sa_epochs[], peer_sets[], peer_facts[], news_tokens[], news_sockets[];

static const char *const addresses[TABLES] = {
	[TABLE_LATCHES] = latches,
	[TABLE_ASSOCIATIONS] = associations,
	[TABLE_SAS] = sas,
	[TABLE_PARAMS] = params,
	[TABLE_IDENTITIES] = identities,
	[TABLE_OWN_KEYS] = own_keys,
	[TABLE_RULES] = rules,
	[TABLE_SETTINGS] = settings,
	[TABLE_AUDITS] = audits,
	[TABLE_CLOCK] = latch_clocks,
	[TABLE_DROPS] = drops,
	[TABLE_COUNTERS] = counters,
	[TABLE_REFUSALS] = refusals,
	[TABLE_SPD_STAMPS] = spd_stamps,
	[TABLE_PAIRS] = pairs,
	[TABLE_SA_SHARES] = sa_shares,
	[TABLE_MARK_SHARES] = mark_shares,
	[TABLE_AUDIT_SHARES] = audit_shares,
	[TABLE_REASSEMBLIES] = reassemblies,
	[TABLE_MIXTURES] = mixtures,
	[TABLE_FLOW_EPOCHS] = flow_epochs,
	[TABLE_SA_EPOCHS] = sa_epochs,
	[TABLE_PEER_SETS] = peer_sets,
	[TABLE_PEER_FACTS] = peer_facts,
	[TABLE_NEWS_TOKENS] = news_tokens,
	[TABLE_NEWS_SOCKETS] = news_sockets,
};

static enum table_id table_of(const void *map)
{
	int id;

	for (id = 0; id < TABLES; id++)
		if (addresses[id] == map)
			return (enum table_id)id;
	sim_fail("a program uses a map that is not simulated");
}

void (*helpers_preempted)(void);

static void preempt(void)
{
	if (helpers_preempted)
		helpers_preempted();
}

void *helper_lookup(const void *map, const void *key)
{
	void *value;

	preempt();
	tables_changes++; /* the program may write to the value */
	value = table_find(table_of(map), key);
	preempt();
	return value;
}

long helper_update(const void *map, const void *key, const void *value, __u64 flags)
{
	preempt();
	return table_set(table_of(map), key, value, flags);
}

long helper_delete(const void *map, const void *key)
{
	enum table_id id = table_of(map);

	preempt();
	/* As a map does while its processor is in the middle of another change of it. */
	if (id == TABLE_SAS && !sim.quiet && sim_chance(sim.faults.call)) {
		sim_trace("an entry of the SA table cannot be deleted");
		return -EBUSY;
	}
	return table_delete(id, key);
}

void *bpf_ringbuf_reserve(const void *ring, __u64 size, __u64 flags)
{
	(void)ring;
	(void)size;
	(void)flags;
	if (!sim.quiet && sim_chance(sim.faults.event)) {
		sim.lost_events++;
		sim_trace("the ring has no room for an event");
		return NULL;
	}
	return ring_reserve();
}

void bpf_ringbuf_submit(void *record, __u64 flags)
{
	(void)flags;
	ring_submit(record);
	helpers_wake();
}

long bpf_get_func_ret(void *ctx, __u64 *value)
{
	*value = *(__u64 *)ctx;
	return 0;
}

__u64 bpf_ktime_get_boot_ns(void)
{
	preempt();
	return sim.now_ms * 1000000;
}

__u64 bpf_ktime_get_ns(void)
{
	return sim.now_ms * 1000000;
}

long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

long bpf_probe_read_kernel_str(void *to, __u32 size, const void *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	((char *)to)[length] = '\0';
	return (long)length + 1;
}

long bpf_loop(__u32 times, void *function, void *context, __u64 flags)
{
	long (*call)(__u32 index, void *context) = (long (*)(__u32, void *))function;
	__u32 i;

	(void)flags;
	for (i = 0; i < times; i++)
		if (call(i, context))
			return (long)i + 1;
	return times;
}

/* traffic.c checks packets without a socket, so no program asks for the wishes of one. */
void *bpf_sk_fullsock(void *sk)
{
	sim_fail("a program asks for the socket %p", sk);
}

void *bpf_sk_storage_get(void *map, void *sk, void *value, __u64 flags)
{
	(void)map, (void)value, (void)flags;
	sim_fail("a program asks for the storage of the socket %p", sk);
}
