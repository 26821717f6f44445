/* SPDX-License-Identifier: BSD-2-Clause */
/* The netfilter gate's programs alone: kernels that refuse the fentry programs load these. */
#ifndef LATCHD_TESTS_NETFILTER_FIXTURE_H
#define LATCHD_TESTS_NETFILTER_FIXTURE_H

#include "namespace.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <sys/mount.h>

#include "latchd.skel.h"
#include "latchd/enforce/libbpf_log.h"
#include "latchd/enforce/netfilter/netfilter_gate.h"
#include "latchd/enforce/object.h"
#include "latchd/enforce/pins/pin_paths.h"

struct netfilter {
	struct object object;
	struct kernel_maps maps;
	struct netfilter_gate gate;
};

/* Pins go to a bpffs in a mount namespace of the test's own; the machine's bpffs is unchanged. */
static inline void netfilter_private_pins(void)
{
	struct failure failure;

	namespace_need_root();
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		cr_skip_test("a private BPF file system needs root");
	cr_assert_eq(pin_paths_create_directories(&failure), 0, "%s", failure.text);
	libbpf_log_begin();
}

static inline void netfilter_load(struct netfilter *b)
{
	struct bpf_program *program;
	struct latchd_bpf *skeleton = latchd_bpf__open();

	cr_assert_not_null(skeleton);
	cr_assert_eq(object_choose_programs(skeleton), 0);
	if (!bpf_program__autoload(skeleton->progs.nf_gate_egress))
		cr_skip_test("this kernel has no BPF netfilter programs");
	bpf_object__for_each_program (program, skeleton->obj)
		bpf_program__set_autoload(program,
					  program == skeleton->progs.nf_gate_egress ||
						  program == skeleton->progs.nf_gate_ingress);
	bpf_map__set_max_entries(skeleton->maps.latches, 64);
	cr_assert_eq(latchd_bpf__load(skeleton), 0, "%s", libbpf_log_warning());
	b->object = (struct object){.skeleton = skeleton};
	object_maps(&b->object, &b->maps);
	object_netfilter_gate(&b->object, &b->gate);
	cr_assert(netfilter_gate_is_offered(&b->gate));
}

static inline void netfilter_attach(const struct netfilter *b, const struct namespace *ns)
{
	int err = netfilter_gate_attach(&b->gate, ns->cookie, ns->fd);

	cr_assert_eq(err, 0, "attach: %s", strerror(-err));
}

static inline unsigned int netfilter_pins(void)
{
	DIR *directory = opendir(PINS_NETNS);
	unsigned int count = 0;
	struct dirent *entry;

	cr_assert_not_null(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

#endif
