/* SPDX-License-Identifier: BSD-2-Clause */
/* Begins and ends the reading of SPDs and devices, by the calls of choice.h. */
#include "latchd/choice/choice.h"

#include <stdlib.h>

#include "latchd/choice/choice_parts.h"

struct choice *choice_new(struct loop *loop, const struct choice_source *source,
			  choice_changed_fn changed, void *context)
{
	struct choice *choice = calloc(1, sizeof(*choice));

	if (!choice)
		return NULL;
	if (keyed_hash_new_key(&choice->key)) {
		free(choice);
		return NULL;
	}
	choice->loop = loop;
	choice->source = *source;
	choice->changed = changed;
	choice->context = context;
	choice_spd_reads_start(choice);
	choice_links_start(choice);
	return choice;
}

void choice_free(struct choice *choice)
{
	struct choice_space *space, *next;

	if (!choice)
		return;
	HASH_ITER(hh, choice->spaces, space, next)
	{
		choice_space_remove(choice, space);
	}
	choice_spd_reads_end(choice);
	choice_links_end(choice);
	free(choice);
}
