/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Part of every fuzz target. libFuzzer writes a failed or slow input to the current folder unless
 * -artifact_prefix names another place. Here that place is beside the program.
 */
#include "fuzz/fuzz.h"

#define OPTION "-artifact_prefix="

static bool names_place(int count, char **arguments)
{
	int i;

	for (i = 1; i < count; i++)
		if (!strncmp(arguments[i], OPTION, strlen(OPTION)))
			return true;
	return false;
}

/* libFuzzer reads its arguments after this call. */
int LLVMFuzzerInitialize(int *argument_count, char ***arguments)
{
	static char option[4096];
	int count = *argument_count;
	char **longer;

	if (names_place(count, *arguments))
		return 0;
	longer = calloc((size_t)count + 2, sizeof(*longer));
	CHECK(longer);
	memcpy(longer, *arguments, (size_t)count * sizeof(*longer));
	CHECK(snprintf(option, sizeof(option), OPTION "%s.", longer[0]) < (int)sizeof(option));
	longer[count] = option;
	*argument_count = count + 1;
	*arguments = longer;
	return 0;
}
