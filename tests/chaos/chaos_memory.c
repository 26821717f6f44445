/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The events of contradictions.h while memory is short. In each step of the sweep the n-th
 * allocation of latchd fails, and in every third step the 50 after it, too.
 *
 *	step 0 .. 35 ---> n, spread over a start and a run ---> malloc() = NULL ---> latchd
 *
 * latchd goes on and converges when memory is there again, and nothing has leaked. Or it ends with
 * a clear error, and a latchd with memory takes over the maps and converges. At no time a latch is
 * established beside a conflicting SA.
 *
 *	LATCHD_CHAOS_SEED (1)
 */
#include "expected.h"

#include <sanitizer/allocator_interface.h>
#include <setjmp.h>

#define STEPS	    36
#define STEPS_START 12 /* of them fail at the start of latchd */
#define EVENTS	    400
#define SUSTAINED   50

/* ---- the failing allocator: of latchd's own calls, see CHAOS_WRAP in the Makefile */

static struct {
	bool armed;
	unsigned long calls, first, last; /* calls first to last fail; 0 = none */
	unsigned long failed;
} memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);

static bool is_refused(void)
{
	if (!memory.armed)
		return false;
	memory.calls++;
	if (!memory.first || memory.calls < memory.first || memory.calls > memory.last)
		return false;
	memory.failed++;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_refused() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return is_refused() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
	return is_refused() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
	return is_refused() ? NULL : __real_strndup(text, length);
}

/* A latchd that ended is lost here only: step() counts the bytes instead. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return 1;
}

/* ---- what latchd says */

static unsigned int complaints; /* errors and warnings in the log */

static void count_complaint(enum log_level level, const char *subsystem, const char *text)
{
	(void)subsystem;
	if (level <= LOG_LEVEL_WARN && text[0])
		complaints++;
}

/* ---- latchd ends itself: exit() is replaced, too */

static jmp_buf ended;

__attribute__((noreturn)) void __wrap_exit(int status);

__attribute__((noreturn)) void __wrap_exit(int status)
{
	memory.armed = false;
	must(status == EXIT_FAILURE && complaints, "latchd exits with %d and %u complaints", status,
	     complaints);
	longjmp(ended, 1);
}

/* ---- one run */

static unsigned long calls_of_start;

/* As latchd starts: an error is one of these calls' results. True: it runs. */
static bool start_starved(void)
{
	bool started;

	memory.armed = true;
	started = !identities_load(&maps, &identities);
	loop = started ? loop_new() : NULL;
	attribution = loop ? attribution_new(loop, &maps, identities, &bus) : NULL;
	memory.armed = false;
	if (!memory.first)
		calls_of_start = memory.calls;
	if (attribution) {
		sink = attribution_sink(attribution);
		return true;
	}
	loop_free(loop);
	if (started)
		identities_free(identities);
	return false;
}

static void attach_starved(struct feed *feed)
{
	memory.armed = true;
	if (!sink->attached(sink->context, feed, ns.pid))
		sink->state(sink->context, feed, FEED_STATE_CONNECTED, "");
	memory.armed = false;
}

static void take_starved(void)
{
	enum chaos_event event = any_event();

	event_name = event_table[event].name;
	event_number++;
	/* The fixture's attach() asserts. */
	if (event == CHAOS_ATTACH) {
		attach_starved(any_feed());
		return;
	}
	memory.armed = true;
	take(event);
	settle();
	memory.armed = false;
}

/* Starts latchd and takes the events; memory is there again in the end. */
static void run_starved(void)
{
	size_t i;

	feed_init(&charon, "charon");
	feed_init(&pluto, "pluto");
	for (i = 0; i < FLOWS; i++)
		flows[i] = flow_at((uint16_t)(FIRST_PORT + i), ns.cookie);
	if (!start_starved())
		start_latchd();
	attach_starved(&charon);
	attach_starved(&pluto);
	while (event_number < EVENTS) {
		take_starved();
		check_invariant();
	}
	memory.first = 0;
	converge();
}

/* A latchd with memory takes over what is in the maps, and knows nothing else. */
static void take_over(void)
{
	memory.first = 0;
	check_invariant();
	start_latchd();
	forget_reports();
	converge();
}

/* True: latchd went on. */
static bool step(unsigned long first, unsigned long last)
{
	size_t before = __sanitizer_get_current_allocated_bytes();
	bool went_on;

	chance.state = chaos_seed;
	event_number = 0;
	complaints = 0;
	memory.calls = memory.failed = 0;
	memory.first = first;
	memory.last = last;
	went_on = !setjmp(ended);
	if (went_on)
		run_starved();
	else
		take_over();
	empty_world();
	stop_latchd();
	must(!first || !went_on || __sanitizer_get_current_allocated_bytes() <= before,
	     "allocation %lu: latchd leaves %zu bytes", first,
	     __sanitizer_get_current_allocated_bytes() - before);
	return went_on;
}

/* The first of the failed calls. */
static unsigned long call_of(unsigned int number, unsigned long start, unsigned long all)
{
	unsigned int later = number - STEPS_START;

	return number < STEPS_START ? 1 + number * start / STEPS_START
				    : start + 1 + later * (all - start) / (STEPS - STEPS_START);
}

/*
 * The step in which that one of all calls fails; true: latchd went on. Timers fire by real time: a
 * step on a busy machine may make fewer calls than the one before, and is repeated with that
 * number.
 */
static bool failing_step(unsigned int number, unsigned long *all)
{
	unsigned long first = 0;
	unsigned int tries;
	bool went_on;

	for (tries = 0; tries < 3; tries++) {
		first = call_of(number, calls_of_start, *all);
		went_on = step(first, number % 3 ? first : first + SUSTAINED);
		if (memory.failed)
			return went_on;
		*all = memory.calls;
	}
	must(false, "allocation %lu did not happen", first);
	return false;
}

static void prepare(void)
{
	control_set_up();
	namespace_start(&ns);
	log_set_sink(count_complaint);
	chaos_seed = env_number("LATCHD_CHAOS_SEED", 1);
	seen.reasons =
		LATCH_REASON_SA_CONFLICT | LATCH_REASON_PEER_DEAD | LATCH_REASON_PEER_REBOOTED;
}

static void finish(void)
{
	namespace_end(&ns);
	control_tear_down();
}

Test(memory, latchd_goes_on_or_ends_with_an_error_at_each_failed_allocation, .init = prepare,
     .fini = finish, .timeout = 3600)
{
	unsigned int number, went_on = 0;
	unsigned long all;

	/* Without a failure: warms up, and counts the calls. */
	step(0, 0);
	step(0, 0);
	all = memory.calls;
	cr_assert_gt(all, calls_of_start + STEPS);
	for (number = 0; number < STEPS; number++)
		went_on += failing_step(number, &all);
	fprintf(stderr,
		"CHAOS: seed %" PRIu64 ": %u steps of %lu allocations (%lu at the start): %u went "
		"on, %u ended with an error\n",
		chaos_seed, number, all, calls_of_start, went_on, number - went_on);
	cr_expect_gt(went_on, STEPS / 2);
}
