/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small BPF program writes events into a ring of the test. The loop has a second descriptor,
 * always readable, which counts the rounds.
 */
#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "fake/kernel_maps.h"
#include "latchd/maps/event_ring.h"

#define EVENT_WORDS (sizeof(struct latch_event) / 8)

static struct kernel_maps maps;
static struct loop *loop;
static struct event_ring *ring;
static unsigned int events, round_events, largest_round, warnings, wanted;
static struct latch_event last;
static int other_fd; /* always readable: its handler ends a round */

static void on_event(void *context, const struct latch_event *event)
{
	cr_assert_eq(context, &maps);
	last = *event;
	round_events++;
	if (++events == wanted)
		loop_stop(loop);
}

static void on_turn(void *context, uint32_t epoll_events)
{
	(void)context;
	(void)epoll_events;
	if (round_events > largest_round)
		largest_round = round_events;
	round_events = 0;
}

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)text;
	warnings += level == LOG_LEVEL_WARN && !strcmp(subsystem, "events");
}

static void make_ring(void)
{
	int err = fake_kernel_maps_make(&maps);

	if (err == -EPERM)
		cr_skip_test("BPF maps need root");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	log_set_sink(on_log);
	loop = loop_new();
	other_fd = eventfd(1, EFD_CLOEXEC);
	cr_assert_eq(loop_fd_add(loop, other_fd, EPOLLIN, on_turn, NULL), 0);
	cr_assert_eq(event_ring_new(loop, maps.events, on_event, &maps, &ring), 0);
}

static void free_ring(void)
{
	event_ring_free(ring);
	loop_free(loop);
	close(other_fd);
	fake_kernel_maps_close(&maps);
}

TestSuite(event_ring, .init = make_ring, .fini = free_ring, .timeout = 60);

#define INSN(...) ((struct bpf_insn){__VA_ARGS__})

/* Loads a program that writes one event of so many words: time, type, then zeroes. */
static int producer(size_t words, __s32 time, __s32 type)
{
	struct bpf_insn code[64];
	__s16 at, size = (__s16)(words * 8);
	size_t n = 0;

	for (at = 0; at < size; at += 8)
		code[n++] = INSN(.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10,
				 .off = (__s16)(at - size), .imm = at == 8 ? type : 0);
	code[0].imm = time;
	code[n++] = INSN(.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1,
			 .src_reg = BPF_PSEUDO_MAP_FD, .imm = maps.events);
	code[n++] = INSN(0);
	code[n++] = INSN(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2,
			 .src_reg = BPF_REG_10);
	code[n++] = INSN(.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -size);
	code[n++] = INSN(.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = size);
	code[n++] = INSN(.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 0);
	code[n++] = INSN(.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ringbuf_output);
	code[n++] = INSN(.code = BPF_JMP | BPF_EXIT);
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "producer", "Dual BSD/GPL", code, n,
			     NULL);
}

/* Runs the program so often. Its packet does not matter. */
static void produce(int program, unsigned int times)
{
	char packet[64] = {0};
	unsigned int i;

	for (i = 0; i < times; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet,
			    .data_size_in = sizeof(packet));
		cr_assert_eq(bpf_prog_test_run_opts(program, &options), 0);
		cr_assert_eq(options.retval, 0, "the ring is full");
	}
}

Test(event_ring, an_event_reaches_the_handler)
{
	int program = producer(EVENT_WORDS, 1234, LATCH_EVENT_SA_GONE);

	cr_assert_geq(program, 0, "%s", strerror(-program));
	produce(program, 1);
	wanted = 1;
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(last.time, 1234);
	cr_expect_eq(last.type, LATCH_EVENT_SA_GONE);
	close(program);
}

Test(event_ring, a_flood_is_handled_in_rounds_of_the_loop)
{
	int program = producer(EVENT_WORDS, 1, LATCH_EVENT_DROP);

	cr_assert_geq(program, 0, "%s", strerror(-program));
	wanted = 2 * FAKE_EVENTS_SIZE / 3 / sizeof(struct latch_event);
	cr_assert_gt(wanted, EVENT_RING_ROUND);
	produce(program, wanted);
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(events, wanted);
	cr_expect_eq(largest_round, EVENT_RING_ROUND);
	/* The ring has room again and wakes the loop again. */
	wanted += 300;
	produce(program, 300);
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(events, wanted);
	close(program);
}

Test(event_ring, an_event_of_another_size_is_skipped_and_logged_once)
{
	int strange = producer(EVENT_WORDS - 1, 1, LATCH_EVENT_DROP);
	int program = producer(EVENT_WORDS, 2, LATCH_EVENT_DROP);

	cr_assert(strange >= 0 && program >= 0);
	produce(strange, 2);
	produce(program, 1);
	wanted = 1;
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(last.time, 2);
	cr_expect_eq(warnings, 1, "it is logged once");
	close(strange);
	close(program);
}

Test(event_ring, a_map_of_another_type_is_refused)
{
	struct event_ring *none = NULL;

	cr_expect_eq(event_ring_new(loop, maps.latches, on_event, &maps, &none), -EINVAL);
	cr_expect_null(none);
}
