/* SPDX-License-Identifier: BSD-2-Clause */
#include "steps.h"

#include <netinet/in.h>
#include <string.h>

#include "charon_steps.h"
#include "doors/doors.h"
#include "kernel/table.h"
#include "kernel/traffic.h"
#include "sim.h"
#include "traffic_steps.h"

#define TASKS_MAX 64

/* ---- tasks: what follows an action later */

struct task {
	uint64_t due_ms;
	void (*run)(uint32_t argument);
	uint32_t argument;
};

static struct task tasks[TASKS_MAX];
static unsigned int task_count;

void steps_later(uint32_t after_ms, void (*run)(uint32_t argument), uint32_t argument)
{
	if (task_count == TASKS_MAX) {
		run(argument);
		return;
	}
	tasks[task_count++] = (struct task){sim.now_ms + after_ms, run, argument};
}

/* The first of those that are due at the same time. */
static unsigned int next_task(void)
{
	unsigned int i, next = 0;

	for (i = 1; i < task_count; i++)
		if (tasks[i].due_ms < tasks[next].due_ms)
			next = i;
	return next;
}

uint64_t steps_due(void)
{
	return task_count ? tasks[next_task()].due_ms : UINT64_MAX;
}

void steps_run_task(void)
{
	unsigned int at = next_task();
	struct task task = tasks[at];

	memmove(&tasks[at], &tasks[at + 1], (task_count - at - 1) * sizeof(task));
	task_count--;
	task.run(task.argument);
}

/* ---- the administrator, the SPD, latchd */

static void step_administrator(void)
{
	uint32_t at = sim_draw(WORLD_FLOWS);
	enum control_act act = (enum control_act)sim_draw(3);
	struct world_flow *flow = &world.flows[at];
	const struct latch *latch = table_find(TABLE_LATCHES, &flow->key);

	if (!latch || !sim.latchd_runs)
		return;
	sim_trace("administrator: request %d for latch %llu", act, (unsigned long long)latch->id);
	flow->admin = true;
	parts_request(act, latch->id);
}

static void put_policies(uint32_t unused)
{
	(void)unused;
	world.policies = true;
	sim_trace("SPD: policies are there");
	traffic_policy_added();
}

static void step_policies_flushed(void)
{
	world.policies = false;
	sim_trace("SPD: flushed");
	traffic_policies_flushed();
	steps_later(sim_draw(2) ? sim_draw(300) : sim_draw(20000), put_policies, 0);
}

static void step_latchd_killed(void)
{
	if (!sim.latchd_runs)
		return;
	sim_trace("latchd is killed");
	sim_kill_latchd();
}

static void step_latchd_stopped(void)
{
	sim_trace("latchd is stopped");
	clock_stop_latchd();
}

/* ---- choice */

static const struct step {
	void (*take)(void);
	unsigned int weight;
	bool any_time; /* also while latchd is within a call of the kernel */
} steps[] = {
	{charon_step_child, 14, true},		 {charon_step_rekey, 8, true},
	{charon_step_child_deleted, 4, true},	 {charon_step_reported_again, 2, true},
	{charon_step_ike_rekey, 2, true},	 {charon_step_ike_down, 3, true},
	{charon_step_expire, 4, true},		 {charon_step_ends, 1, true},
	{charon_step_connection_lost, 1, false}, {charon_step_slow, 1, false},
	{step_administrator, 2, false},		 {step_policies_flushed, 1, true},
	{step_latchd_killed, 1, false},		 {step_latchd_stopped, 1, false},
	{traffic_step_connect, 14, true},	 {traffic_step_accept, 6, true},
	{traffic_step_packets, 24, true},	 {traffic_step_close, 3, true},
	{charon_step_migrate, 2, true},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void take(bool any_time)
{
	unsigned int sum = 0, left;
	size_t i;

	for (i = 0; i < STEPS; i++)
		sum += !any_time || steps[i].any_time ? steps[i].weight : 0;
	left = sim_draw(sum);
	for (i = 0; i < STEPS; i++) {
		unsigned int weight = !any_time || steps[i].any_time ? steps[i].weight : 0;

		if (left < weight)
			break;
		left -= weight;
	}
	steps[i].take();
}

void steps_take(void)
{
	take(false);
}

void steps_act(void)
{
	take(true);
}

void steps_begin(void)
{
	task_count = 0;
	charon_steps_begin();
	traffic_steps_begin();
}

void steps_quiet(void)
{
	while (task_count)
		steps_run_task();
	charon_steps_quiet();
}
