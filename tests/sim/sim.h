/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run of the simulation: its seed, its choices, its trace and its faults. All choices come from
 * the seed, and the trace has no addresses, no process ids and no real time. One seed is therefore
 * one interleaving, in every process.
 */
#ifndef LATCHD_SIM_SIM_H
#define LATCHD_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

/* How often each fault comes: one in so many, 0 = never. Drawn from the seed. */
struct sim_faults {
	uint32_t allocation;   /* malloc() returns NULL */
	uint32_t call;	       /* a call of the kernel fails with ENOMEM */
	uint32_t event;	       /* the ring has no room for an event */
	uint32_t interleaving; /* another processor acts at a call of the kernel */
	uint32_t crash;	       /* latchd is killed at a call of the kernel */
};

struct sim {
	uint64_t seed;
	uint64_t state; /* of the random numbers */
	uint64_t hash;	/* of the trace */
	uint64_t now_ms;
	bool verbose;
	bool latchd_runs;
	uint64_t latchd_started_ms;
	bool quiet; /* no fault and no step from now on: all must settle */
	bool other; /* another processor acts */
	struct sim_faults faults;
	unsigned int crashes, failed_allocations, failed_calls, lost_events, interleavings, packets;
};

extern struct sim sim;

void sim_begin(uint64_t seed, bool verbose);
/* A number from 0 to below - 1. */
uint32_t sim_draw(uint32_t below);
/* One in so many times true; 0 = never. */
bool sim_chance(uint32_t one_in);

/* One line of the trace, which is a part of the hash. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The property does not hold: ends the run with this text. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Latchd calls the kernel: another processor may act, or latchd may be killed here. */
void sim_point(const char *call);
/* The call fails, as if the kernel had no memory. */
bool sim_call_fails(const char *call);

/* Runs one life of latchd. */
enum sim_end {
	SIM_STOPPED, /* by the world */
	SIM_FAILED,  /* it did not start, or gave up */
	SIM_KILLED,
	SIM_VIOLATED, /* sim_fail() was called; sim_reason() has the text */
};
enum sim_end sim_run_latchd(void);
/* Calls the function outside of latchd. False: sim_fail() was called. */
bool sim_guard(void (*function)(void));
const char *sim_reason(void);
void sim_kill_latchd(void) __attribute__((noreturn));

#endif
