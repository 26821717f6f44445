/* SPDX-License-Identifier: BSD-2-Clause */
/* A walk over all latches and SAs: what has ended, what waits for an answer, what conflicts. */
#include <utlist.h>

#include "latchd/sa/attribution_parts.h"

static void forget_ended(struct attribution *a)
{
	struct child_sa *child, *next;

	a->recheck = false;
	refused_sas_forget_gone(&a->refused_sas, a->maps);
	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		attribution_forget_if_ended(a, child);
	}
}

void attribution_check_all(struct attribution *a)
{
	int orphaned = orphans_mark_again(&a->orphans), err;
	bool left;

	if (a->recheck)
		forget_ended(a);
	key_managers_retry_lists(&a->key_managers);
	err = binding_bind_waiting(&a->binding, &left);
	attribution_answer(a);
	attribution_drop_absent(a);
	if (err)
		attribution_warn_and_check_again(a, "all latches", err);
	else if (left || orphaned || a->recheck || loop_now_ms() < a->held_until_ms)
		attribution_settle_later(a);
}
