/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another processor acts at one helper call of a program: the caller goes through all of them, one
 * a turn, until a turn has no such call. To be included behind the fixture of the programs.
 */
#ifndef TESTS_UNIT_BPF_WATCH_OTHER_CPU_H
#define TESTS_UNIT_BPF_WATCH_OTHER_CPU_H

static struct {
	unsigned int points, at;
	bool acted;
	void (*act)(void);
} other_cpu;

static void preemption_point(void)
{
	if (other_cpu.acted || ++other_cpu.points != other_cpu.at)
		return;
	other_cpu.acted = true;
	other_cpu.act();
}

/* at: the helper call, from 1 */
static void begin_turn(void (*act)(void), unsigned int at)
{
	other_cpu.points = 0;
	other_cpu.at = at;
	other_cpu.acted = false;
	other_cpu.act = act;
	helpers_preempted = preemption_point;
}

/* Has it acted? */
static bool end_turn(void)
{
	helpers_preempted = NULL;
	return other_cpu.acted;
}

#endif
