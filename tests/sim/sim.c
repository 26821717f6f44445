/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "doors/doors.h"
#include "latchd/daemon.h"
#include "world.h"

struct sim sim;

static jmp_buf end_of_life;
static char reason[512];

void sim_begin(uint64_t seed, bool verbose)
{
	sim = (struct sim){
		.seed = seed,
		.state = seed,
		.hash = 0xcbf29ce484222325,
		.now_ms = 1000,
		.verbose = verbose,
	};
	reason[0] = '\0';
}

/* splitmix64: any seed is good, and neighbouring seeds give unrelated numbers. */
uint32_t sim_draw(uint32_t below)
{
	uint64_t z = sim.state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

bool sim_chance(uint32_t one_in)
{
	return one_in && !sim_draw(one_in);
}

/* FNV-1a */
static void hash_text(const char *text)
{
	for (; *text; text++)
		sim.hash = (sim.hash ^ (uint8_t)*text) * 0x100000001b3;
}

void sim_trace(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	hash_text(line);
	if (sim.verbose)
		printf("%9.3f  %s\n", (double)sim.now_ms / 1000, line);
}

void sim_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	longjmp(end_of_life, SIM_VIOLATED);
}

const char *sim_reason(void)
{
	return reason;
}

void sim_kill_latchd(void)
{
	sim.crashes++;
	longjmp(end_of_life, SIM_KILLED);
}

/* ---- faults at the calls of the kernel */

static void act_as_other_processor(const char *call)
{
	sim.other = true;
	sim.interleavings++;
	sim_trace("another processor acts at %s", call);
	world_act();
	sim.other = false;
}

void sim_point(const char *call)
{
	if (sim.quiet || sim.other)
		return;
	if (sim_chance(sim.faults.interleaving))
		act_as_other_processor(call);
	if (sim.latchd_runs && sim_chance(sim.faults.crash)) {
		sim_trace("latchd is killed at %s", call);
		sim_kill_latchd();
	}
}

bool sim_call_fails(const char *call)
{
	if (sim.quiet || sim.other || !sim_chance(sim.faults.call))
		return false;
	sim.failed_calls++;
	sim_trace("%s fails", call);
	return true;
}

/* ---- a life of latchd */

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	world_note_line(text);
	sim_trace("latchd: %s%s%s", subsystem ? subsystem : "", subsystem ? ": " : "", text);
}

/* The lowest free one. */
static int next_descriptor(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void check_leaks(int first)
{
	if (memory_blocks())
		sim_fail("latchd has left %zu blocks of memory", memory_blocks());
	if (next_descriptor() != first)
		sim_fail("latchd has left descriptor %d open", first);
}

/* As the kernel does at the end of a process. */
static void release_all(int first)
{
	sim.latchd_runs = sim.other = false;
	memory_release();
	doors_release();
	close_range((unsigned int)first, ~0U, 0);
}

enum sim_end sim_run_latchd(void)
{
	static struct failure failure;
	static int err, first;
	int how;

	err = 0;
	first = next_descriptor();

	log_set_sink(on_log);
	how = setjmp(end_of_life);
	if (!how) {
		sim.latchd_runs = true;
		sim.latchd_started_ms = sim.now_ms;
		err = daemon_run(parts_config(), "latchd.conf", true, &failure);
		sim.latchd_runs = false;
		if (err)
			sim_trace("latchd ends: %s", failure.text);
		doors_release();
		check_leaks(first);
	}
	release_all(first);
	if (!how)
		how = err ? SIM_FAILED : SIM_STOPPED;
	return (enum sim_end)how;
}

bool sim_guard(void (*function)(void))
{
	int how = setjmp(end_of_life);

	if (!how)
		function();
	sim.other = false;
	return !how;
}
