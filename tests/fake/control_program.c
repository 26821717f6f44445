/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/control_program.h"

#include <errno.h>

#include "latchd.skel.h"

static void choose_program(struct latchd_bpf *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, object->obj)
		bpf_program__set_autoload(program, program == object->progs.latch_control ||
							   program == object->progs.timeout_broken);
}

static void tell_maps(const struct latchd_bpf *object, struct kernel_maps *maps)
{
	*maps = (struct kernel_maps){
		.latches = bpf_map__fd(object->maps.latches),
		.associations = bpf_map__fd(object->maps.associations),
		.sas = bpf_map__fd(object->maps.sas),
		.params = bpf_map__fd(object->maps.params),
		.identities = bpf_map__fd(object->maps.identities),
		.rules = bpf_map__fd(object->maps.rules),
		.settings = bpf_map__fd(object->maps.settings),
		.clock = bpf_map__fd(object->maps.latch_clocks),
		.drops = bpf_map__fd(object->maps.drops),
		.counters = bpf_map__fd(object->maps.counters),
		.events = bpf_map__fd(object->maps.events),
		.control = bpf_program__fd(object->progs.latch_control),
		.timeout = bpf_program__fd(object->progs.timeout_broken),
	};
}

int control_program_load(unsigned int latches, struct control_program **ret,
			 struct kernel_maps *ret_maps)
{
	struct latchd_bpf *object = latchd_bpf__open();
	int err;

	if (!object)
		return -errno;
	choose_program(object);
	bpf_map__set_max_entries(object->maps.latches, latches);
	err = latchd_bpf__load(object);
	if (err) {
		latchd_bpf__destroy(object);
		return err;
	}
	tell_maps(object, ret_maps);
	*ret = (struct control_program *)object;
	return 0;
}

void control_program_free(struct control_program *program)
{
	latchd_bpf__destroy((struct latchd_bpf *)program);
}
