/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pinned links in PINS_LINKS. The link of a program that is attached to functions has the
 * program's name. The link of a cgroup has "NAME@ID", with the cgroup's id in hexadecimal
 * digits.
 */
#ifndef LATCHD_ENFORCE_PINS_LINK_PINS_H
#define LATCHD_ENFORCE_PINS_LINK_PINS_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_PIN_MAX 96

/* "NAME@ID". 0 or -ENAMETOOLONG. */
int link_pin_name(char pin[LINK_PIN_MAX], const char *program, uint64_t cgroup_id);
/* True: the pin is "NAME@ID", without a suffix. *ret_length: length of NAME. */
bool link_pin_cgroup(const char *pin, size_t *ret_length, uint64_t *ret_cgroup_id);

int link_pin_open(const char *pin, const char *suffix);
int link_pin_rename(const char *pin, const char *from, const char *to);
/* 0, also if it is absent, or a negative errno. */
int link_pin_remove(const char *pin, const char *suffix);
/* 0 or a negative errno. A link without target has cgroup_id or target_btf_id 0. */
int link_pin_info(int fd, struct bpf_link_info *ret);

/* Visits every pin. Removals by the visitor are allowed. 0, or the visitor's first other result. */
typedef int (*link_pin_fn)(void *context, const char *pin);
int link_pins_walk(link_pin_fn visit, void *context);

#endif
