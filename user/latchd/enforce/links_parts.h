/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of links.h share. */
#ifndef LATCHD_ENFORCE_LINKS_PARTS_H
#define LATCHD_ENFORCE_LINKS_PARTS_H

#include <bpf/libbpf.h>
#include <stdbool.h>

#include "latchd/enforce/links.h"

/* False: latchd itself runs it, or netfilter_gate.c attaches it to each namespace. */
bool links_have_program(const struct bpf_program *program, enum links_target *ret_target);

bool links_has_target(const struct links *links, const struct link *link,
		      const struct bpf_link_info *info);

#endif
