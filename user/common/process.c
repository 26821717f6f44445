/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

uint64_t process_started(pid_t pid)
{
	char path[32], line[1024];
	auto_fclose FILE *file = NULL;
	const char *field;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		return 0;
	/* The second field, in parentheses, may hold blanks; the start is the 22nd. */
	field = strrchr(line, ')');
	for (i = 2; field && i < 22; i++)
		field = strchr(field + 1, ' ');
	return field ? strtoull(field, NULL, 10) : 0;
}
