/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/gates.h"

#include <errno.h>
#include <stdlib.h>

#include "latchd.skel.h"
#include "latchd/enforce/object.h"

struct gates {
	struct latchd_bpf *skeleton;
	struct bpf_program *program[GATES_PARTS];
	struct bpf_link *link[GATES_PARTS];
};

static void choose_programs(struct gates *gates)
{
	struct latchd_bpf *skeleton = gates->skeleton;
	struct bpf_program *program;
	int part;

	gates->program[GATES_EGRESS] = skeleton->progs.gate_egress;
	gates->program[GATES_INGRESS] = skeleton->progs.gate_ingress;
	gates->program[GATES_SOCKET] = skeleton->progs.watch_socket;
	gates->program[GATES_RELEASE] = skeleton->progs.socket_released;
	gates->program[GATES_CONNECT4] = skeleton->progs.datagram_connect4;
	gates->program[GATES_CONNECT6] = skeleton->progs.datagram_connect6;
	gates->program[GATES_SEND4] = skeleton->progs.datagram_send4;
	gates->program[GATES_SEND6] = skeleton->progs.datagram_send6;
	gates->program[GATES_OPTION] = skeleton->progs.option_get;
	gates->program[GATES_WISH] = skeleton->progs.option_set;
	gates->program[GATES_CONTROL] = skeleton->progs.latch_control;
	bpf_object__for_each_program (program, skeleton->obj)
		bpf_program__set_autoload(program, false);
	for (part = 0; part < GATES_PARTS; part++)
		bpf_program__set_autoload(gates->program[part], true);
	bpf_program__set_autoload(skeleton->progs.timeout_broken, true);
	bpf_program__set_autoload(skeleton->progs.find_wish, true);
}

int gates_load(struct gates **ret, struct kernel_maps *ret_maps)
{
	return gates_load_sized(0, ret, ret_maps);
}

int gates_load_sized(unsigned int latches, struct gates **ret, struct kernel_maps *ret_maps)
{
	struct gates *gates = calloc(1, sizeof(*gates));
	struct object object = {0};
	int err;

	if (!gates)
		return -ENOMEM;
	gates->skeleton = latchd_bpf__open();
	err = gates->skeleton ? 0 : -errno;
	if (!err)
		err = object_choose_programs(gates->skeleton);
	if (!err) {
		choose_programs(gates);
		if (latches)
			err = bpf_map__set_max_entries(gates->skeleton->maps.latches, latches);
	}
	if (!err)
		err = latchd_bpf__load(gates->skeleton);
	if (err) {
		gates_free(gates);
	} else {
		object.skeleton = gates->skeleton;
		object_maps(&object, ret_maps);
		*ret = gates;
	}
	return err;
}

void gates_free(struct gates *gates)
{
	int part;

	if (!gates)
		return;
	for (part = 0; part < GATES_PARTS; part++)
		bpf_link__destroy(gates->link[part]);
	latchd_bpf__destroy(gates->skeleton);
	free(gates);
}

int gates_attach(struct gates *gates, enum gates_part part, int cgroup)
{
	struct bpf_link *link = bpf_program__attach_cgroup(gates->program[part], cgroup);

	gates->link[part] = link;
	return link ? 0 : -errno;
}

int gates_program(const struct gates *gates, enum gates_part part)
{
	return bpf_program__fd(gates->program[part]);
}

const char *gates_program_name(const struct gates *gates, enum gates_part part)
{
	return bpf_program__name(gates->program[part]);
}

const struct bpf_object *gates_object(const struct gates *gates)
{
	return gates->skeleton->obj;
}

int gates_map(const struct gates *gates, const char *name)
{
	return bpf_object__find_map_fd_by_name(gates->skeleton->obj, name);
}
