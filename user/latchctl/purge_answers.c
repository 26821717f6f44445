/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/purge_answers.h"

#include <bpf/bpf.h>
#include <glob.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "latch_abi.h"

#define PATTERN_MAX 4096

/* A pin that is removed detaches its program some time later. */
static void detach(const char *pin)
{
	auto_close int link = bpf_obj_get(pin);

	if (link >= 0)
		bpf_link_detach(link);
}

static void purge_program(const char *root, const char *program)
{
	char pattern[PATTERN_MAX];
	glob_t found;
	size_t i;

	if (snprintf(pattern, sizeof(pattern), "%s/v*/links/%s@*", root, program) >=
		    (int)sizeof(pattern) ||
	    glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++)
		detach(found.gl_pathv[i]);
	globfree(&found);
}

/* First no wish is accepted any more: the gates, which keep them, go next. */
void purge_answers(const char *root)
{
	purge_program(root, LATCH_WISH_PROGRAM);
	purge_program(root, LATCH_ANSWER_PROGRAM);
}
