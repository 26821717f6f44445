// SPDX-License-Identifier: BSD-2-Clause
/*
 * Types that the scenarios need and that clang leaves out of latchd.bpf.o, because no map
 * and no function of the programs names them. Compiled for its BTF only; see abi.py.
 */
#include "db/maps.h"
#include "latch_sockopt.h"
#include "packet/object_mark.h"

enum latch_reason latch_reason_type;
enum latch_drop latch_drop_type;
enum latch_counter latch_counter_type;
enum latch_sa_flag latch_sa_flag_type;
enum latch_spd latch_spd_type;
enum latch_app_state latch_app_state_type;
enum latch_why latch_why_type;
enum latch_app_reason latch_app_reason_type;
union object_mark object_mark_type;

/* BTF has no macros: an enumerator carries the value. */
enum abi_macro {
	ABI_VERSION = LATCH_ABI,
} abi_macro_type;
