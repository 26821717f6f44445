/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports edits of a namespace's SPD. The event only makes the controller check the SPD soon.
 * With or without the event the gates drop packets that an edit lets through.
 *
 * xfrm_policy_bysel_ctx, xfrm_policy_byid and xfrm_migrate have more arguments than a trampoline
 * of Linux 6.1 can pass. All callers that delete through the first two call km_policy_notify
 * afterwards. A migration changes the addresses of tunnels, but no protection. It makes SAs, and
 * their events have latchd look at the policies.
 */
#include "db/maps.h"

/* Shorter than the controller's delay before its check, so that a check follows every edit. */
#define SPD_EVENT_INTERVAL_NS 100000000ULL

static __always_inline bool event_sent_recently(__u64 netns)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u64 *last = bpf_map_lookup_elem(&spd_stamps, &netns);

	if (last && now - *last < SPD_EVENT_INTERVAL_NS)
		return true;
	bpf_map_update_elem(&spd_stamps, &netns, &now, BPF_ANY);
	return false;
}

static __always_inline void spd_changed(struct net *net)
{
	__u64 netns = BPF_CORE_READ(net, net_cookie);
	struct latch_event *event;

	if (event_sent_recently(netns))
		return;
	event = event_begin(LATCH_EVENT_POLICY_CHANGED);
	if (!event)
		return;
	event->flow.netns = netns;
	bpf_ringbuf_submit(event, 0);
}

SEC("fexit/xfrm_policy_insert")
int BPF_PROG(watch_spd_insert, int dir, struct xfrm_policy *policy)
{
	spd_changed(BPF_CORE_READ(policy, xp_net.net));
	return 0;
}

/* A policy that expired, or one of a socket. */
SEC("fexit/xfrm_policy_delete")
int BPF_PROG(watch_spd_delete, struct xfrm_policy *policy)
{
	spd_changed(BPF_CORE_READ(policy, xp_net.net));
	return 0;
}

SEC("fexit/xfrm_policy_flush")
int BPF_PROG(watch_spd_flush, struct net *net)
{
	spd_changed(net);
	return 0;
}

/*
 * After an edit by netlink or PF_KEY. xfrm_user sets event->net only where there is no policy (a
 * flush); else it holds what was on the stack.
 */
SEC("fentry/km_policy_notify")
int BPF_PROG(watch_spd_notify, struct xfrm_policy *policy, int dir, const struct km_event *event)
{
	spd_changed(policy ? BPF_CORE_READ(policy, xp_net.net) : BPF_CORE_READ(event, net));
	return 0;
}

/*
 * XFRM_MSG_SETDEFAULT ends in this function. It is handled in a module with no other function to
 * attach to. Other callers use this function, too.
 */
SEC("fentry/fib6_flush_trees")
int BPF_PROG(watch_spd_default, struct net *net)
{
	spd_changed(net);
	return 0;
}
