/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of bpf/db/mark_share.h and bpf/db/audit.h, for tests of latches without marks. */
#ifndef NO_MARKS_H
#define NO_MARKS_H

#define LATCH_BPF_DB_AUDIT_H
#define LATCH_BPF_DB_MARK_SHARE_H

struct marked_flow {
	__u16 params;
	__u8 opened_here;
	__u8 why;
};

static __u32 mark_share_slot(const struct marked_flow *flow)
{
	(void)flow;
	return 1;
}

static int mark_share_take(__u32 slot, int opened_here, __u32 quota)
{
	(void)slot, (void)opened_here, (void)quota;
	return 1;
}

static void mark_share_give(__u32 slot)
{
	(void)slot;
}

static __u32 mode_get(void)
{
	return 0;
}

#endif
