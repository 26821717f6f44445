/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/control_program.h"

#include <errno.h>

#include "latchd.skel.h"
#include "latchd/enforce/object.h"

static void choose_program(struct latchd_bpf *skeleton)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, skeleton->obj)
		bpf_program__set_autoload(program,
					  program == skeleton->progs.latch_control ||
						  program == skeleton->progs.timeout_broken);
}

int control_program_load(unsigned int latches, struct control_program **ret,
			 struct kernel_maps *ret_maps)
{
	struct latchd_bpf *skeleton = latchd_bpf__open();
	struct object object = {0};
	int err;

	if (!skeleton)
		return -errno;
	choose_program(skeleton);
	bpf_map__set_max_entries(skeleton->maps.latches, latches);
	err = latchd_bpf__load(skeleton);
	if (err) {
		latchd_bpf__destroy(skeleton);
		return err;
	}
	object.skeleton = skeleton;
	object_maps(&object, ret_maps);
	*ret = (struct control_program *)skeleton;
	return 0;
}

void control_program_free(struct control_program *program)
{
	latchd_bpf__destroy((struct latchd_bpf *)program);
}
