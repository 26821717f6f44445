/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/maps/latch_control.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>

#include "latch_mode.h"
#include "latchd/maps/tables.h"

#define CONTROL_TRIES 64

/*
 * A program of type syscall gets its context from ctx_in, and the kernel writes it back there. The
 * kernel refuses a ctx_out and a repeat count for this type.
 */
static int run_once(const struct kernel_maps *maps, struct latch_control *control)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = control, .ctx_size_in = sizeof(*control));
	int err;

	control->result = LATCH_CONTROL_REFUSED;
	err = bpf_prog_test_run_opts(maps->control, &options);
	return err ? err : (int)control->result;
}

/* Each AGAIN means that another step was taken meanwhile, so that a retry succeeds soon. */
static int run(const struct kernel_maps *maps, struct latch_control *control)
{
	int result = LATCH_CONTROL_AGAIN, tries;

	for (tries = 0; result == LATCH_CONTROL_AGAIN && tries < CONTROL_TRIES; tries++)
		result = run_once(maps, control);
	return result == LATCH_CONTROL_AGAIN ? -EAGAIN : result;
}

static int run_on_latch(const struct kernel_maps *maps, struct latch_control *control,
			union latch_word *ret_word)
{
	int result = run(maps, control);

	if (result >= 0 && ret_word)
		*ret_word = control->word;
	return result;
}

int latch_break(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		__u8 reasons, union latch_word *ret_word)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_BREAK,
		.flow = *flow,
		.latch_id = id,
		.reasons = reasons,
	};

	return run_on_latch(maps, &control, ret_word);
}

int latch_forget_peer(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_FORGET_PEER,
		.flow = *flow,
		.latch_id = id,
	};

	return run(maps, &control);
}

int latch_heal(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
	       __u8 reasons, union latch_word *ret_word)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_HEAL,
		.flow = *flow,
		.latch_id = id,
		.reasons = reasons,
	};

	return run_on_latch(maps, &control, ret_word);
}

int latch_close(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_CLOSE,
		.flow = *flow,
		.latch_id = id,
	};

	return run(maps, &control);
}

int latch_closing(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		  bool closing)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_CLOSING,
		.flow = *flow,
		.latch_id = id,
		.reasons = closing ? LATCH_REASON_ADMIN : 0,
	};

	return run(maps, &control);
}

int latch_spd_seen(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		   __u8 spd)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_SPD_SEEN,
		.flow = *flow,
		.latch_id = id,
		.spd = spd,
	};

	return run(maps, &control);
}

int latch_reap(const struct kernel_maps *maps, const struct latch_flow *flow,
	       const struct latch *seen)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_REAP,
		.flow = *flow,
		.latch_id = seen->id,
		.owner_since = seen->owner_since,
	};

	return run(maps, &control);
}

int latch_listen(const struct kernel_maps *maps, const struct latch_flow *flow,
		 union latch_word seen, __u16 sockets)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_LISTEN,
		.flow = *flow,
		.word = seen,
		.params = sockets,
	};

	return run(maps, &control);
}

int sa_set(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial,
	   enum latch_sa_state state, __u16 params, int contested)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_SA_SET,
		.sa = *key,
		.serial = serial,
		.sa_state = state,
		.params = params,
		.contested = !!contested,
	};

	return run(maps, &control);
}

int sa_adopt(const struct kernel_maps *maps, const struct latch_sa_key *key,
	     const struct latch_sa *sa, bool foreign)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_SA_ADOPT,
		.sa = *key,
		.sa_value = *sa,
	};

	control.sa_value.word.flags = foreign ? LATCH_SA_FOREIGN : 0;
	return run(maps, &control);
}

int sa_forget(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_SA_FORGET,
		.sa = *key,
		.serial = serial,
	};

	return run(maps, &control);
}

int sa_refuse(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_SA_REFUSE,
		.sa = *key,
		.serial = serial,
	};

	return run(maps, &control);
}

int sa_set_unproven(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_SA_UNPROVEN,
		.sa = *key,
		.serial = serial,
	};

	return run(maps, &control);
}

int latch_rules_switch(const struct kernel_maps *maps, __u32 count)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_RULES,
		.rule_count = (__u16)count,
	};
	int result = run(maps, &control);

	if (result > 0)
		result = -EINVAL;
	return result;
}

int latch_mode_switch(const struct kernel_maps *maps, bool audit)
{
	struct latch_control control = {.op = LATCH_CONTROL_MODE, .audit = audit};
	struct latch_settings settings;
	int result = settings_read(maps, &settings);

	if (!result && audit && !latch_mode_is_audit(settings.mode))
		result = audits_clear(maps);
	if (!result)
		result = run(maps, &control);
	if (result == LATCH_CONTROL_DONE || result == LATCH_CONTROL_UNCHANGED)
		return result == LATCH_CONTROL_DONE;
	return result < 0 ? result : -EINVAL;
}

int latch_rule_of(const struct kernel_maps *maps, const struct latch_flow *flow,
		  enum latch_direction direction, __u16 *ret_rule)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_RULE_OF,
		.flow = *flow,
		.direction = direction,
	};
	int result = run(maps, &control);

	if (result == LATCH_CONTROL_DONE)
		*ret_rule = control.rule;
	return result;
}

int association_forget(const struct kernel_maps *maps, const struct latch_flow *key,
		       const struct latch_association *seen)
{
	struct latch_control control = {
		.op = LATCH_CONTROL_ASSOCIATION_FORGET,
		.flow = *key,
		.latch_id = seen->id,
		.owner_since = seen->changed,
	};

	return run(maps, &control);
}
