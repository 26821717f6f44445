/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/purge_wishes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "count_wishes.skel.h"

#define PATTERN_MAX 4096
#define RECORDS_MAX 32768 /* as many as the kernel has room for */

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int open_iterator(int program, int map)
{
	union bpf_iter_link_info info = {.map.map_fd = (__u32)map};
	LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = &info,
		    .iter_info_len = sizeof(info));
	auto_close int link = bpf_link_create(program, 0, BPF_TRACE_ITER, &options);

	return link < 0 ? link : bpf_iter_create(link);
}

static int count_records(int fd)
{
	char records[RECORDS_MAX];
	ssize_t length;
	int count = 0;

	while ((length = read(fd, records, sizeof(records))) != 0) {
		if (length < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		count += length > 0 ? (int)length : 0;
	}
	return count;
}

static int count_in(int program, const char *pin)
{
	auto_close int map = bpf_obj_get(pin), fd = -1;

	if (map < 0)
		return map;
	fd = open_iterator(program, map);
	return fd < 0 ? fd : count_records(fd);
}

static int count_in_all(const glob_t *pins)
{
	struct count_wishes_bpf *skeleton;
	int sum = 0, count = 0;
	size_t i;

	libbpf_set_print(silent);
	skeleton = count_wishes_bpf__open_and_load();
	if (!skeleton)
		return -errno;
	for (i = 0; count >= 0 && i < pins->gl_pathc; i++) {
		count = count_in(bpf_program__fd(skeleton->progs.count_wish), pins->gl_pathv[i]);
		sum += count;
	}
	count_wishes_bpf__destroy(skeleton);
	return count < 0 ? count : sum;
}

/* Of nothing that was found: 0 or a negative errno. */
static int none(const char *root, int result)
{
	if (result == GLOB_NOSPACE)
		return -ENOMEM;
	if (access(root, R_OK | X_OK) && errno != ENOENT)
		return -errno;
	return result == GLOB_NOMATCH ? 0 : -EIO;
}

int purge_count_wishes(const char *root)
{
	char pattern[PATTERN_MAX];
	glob_t pins;
	int count, result;

	if (snprintf(pattern, sizeof(pattern), "%s/v*/maps/wishes", root) >= (int)sizeof(pattern))
		return -ENAMETOOLONG;
	result = glob(pattern, 0, NULL, &pins);
	if (result)
		return none(root, result);
	count = count_in_all(&pins);
	globfree(&pins);
	return count;
}
