/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Single loads and stores of memory that other CPUs change, as READ_ONCE() of the kernel. */
#ifndef LATCH_BPF_DB_READ_ONCE_H
#define LATCH_BPF_DB_READ_ONCE_H

#define READ_ONCE(x)	     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

/*
 * Reads a union with a member raw of its whole size, such as latch_word, in one load. With a
 * load for each member the compiler may see two states.
 */
#define READ_WORD(word)                                                                            \
	({                                                                                         \
		_Static_assert(sizeof(word) == sizeof((word).raw), "raw covers the whole union");  \
		(__typeof__(word)){.raw = READ_ONCE((word).raw)};                                  \
	})

#endif
