/* SPDX-License-Identifier: BSD-2-Clause */
/* What a monitor and the log are told. */
#include "report_fixture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/un.h>

#include "scratch.h"

#include "common/log.h"
#include "latchd/report/announce.h"

#define LIMIT_MS   20000
#define LINE_BYTES 4096

static struct loop *loop;
static struct control *control;
static struct announcer announcer;
static int monitor = -1;
static char line[LINE_BYTES];
static size_t line_length;
static char last_log[1024];
static enum log_level last_level;

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)subsystem;
	last_level = level;
	snprintf(last_log, sizeof(last_log), "%s", text);
}

static void set_up(void)
{
	const struct control_handlers none = {0};
	char path[128];
	struct failure failure;

	report_start();
	scratch_make();
	log_set_sink(on_log);
	log_set_level(LOG_LEVEL_DEBUG);
	loop = loop_new();
	snprintf(path, sizeof(path), "%s/latchd.sock", scratch_dir);
	cr_assert_eq(control_new(loop, path, "", &none, &control, &failure), 0, "%s", failure.text);
	announcer = (struct announcer){.control = control, .source = &source};
}

static void tear_down(void)
{
	close(monitor);
	control_free(control);
	loop_free(loop);
	scratch_remove();
	report_finish();
}

TestSuite(announce, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- a monitor on the same loop */

static struct loop_timer tick;
static uint64_t limit;

static bool has_line(void)
{
	ssize_t length =
		recv(monitor, line + line_length, sizeof(line) - 1 - line_length, MSG_DONTWAIT);

	if (length > 0)
		line_length += (size_t)length;
	return line_length && line[line_length - 1] == '\n';
}

static bool is_served(void)
{
	return control_has_monitors(control);
}

static void on_tick(void *context)
{
	bool (**done)(void) = context;

	if ((*done)() || loop_now_ms() >= limit)
		loop_stop(loop);
	else
		loop_timer_arm(&tick, 1);
}

static void wait_until(bool (*done)(void))
{
	limit = loop_now_ms() + LIMIT_MS;
	loop_timer_init(loop, &tick, on_tick, &done);
	loop_timer_arm(&tick, 0);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert(done());
}

static void read_event(void)
{
	line_length = 0;
	wait_until(has_line);
	line[line_length] = '\0';
	json_object_put(document);
	document = json_tokener_parse(line);
	cr_assert_not_null(document, "%s", line);
}

static void start_monitor(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/latchd.sock", scratch_dir);
	monitor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(monitor, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(send(monitor, "monitor\n", 8, MSG_NOSIGNAL), 8);
	wait_until(is_served);
	read_event();
	expect_json("event", "\"monitor-started\"");
}

static struct latch latch_of_c(void)
{
	return (struct latch){
		.id = 0xab,
		.direction = LATCH_DIRECTION_OUT,
		.word = {.params = params_c, .state = LATCH_STATE_ESTABLISHED},
	};
}

/* ---- latches */

#define LATCHED_TO_C                                                                               \
	"ab broken: 10.9.0.1 port 7000 with 10.9.0.2 port 51514 was latched to \"c.example\", "

/* The event is in document. */
static void expect_broken(uint8_t reason, uint16_t got, const char *log)
{
	struct latch latch = latch_of_c();
	struct latch_flow flow = w_to_c();

	start_monitor();
	announce_latch_broken(&announcer, &flow, &latch, reason, got);
	cr_expect_str_eq(last_log, log);
	cr_expect_eq(last_level, LOG_LEVEL_WARN);
	read_event();
	expect_json("event", "\"latch-broken\"");
	expect_json("want.id", "\"c.example\"");
}

Test(announce, a_broken_latch)
{
	expect_broken(LATCH_REASON_SA_CONFLICT, params_d,
		      LATCHED_TO_C "an SA of \"d.example\" came");
	expect_json("got.id", "\"d.example\"");
}

Test(announce, a_latch_whose_peer_is_dead)
{
	expect_broken(LATCH_REASON_PEER_DEAD, 0,
		      LATCHED_TO_C "which is dead (it answers no IKE request)");
	expect_json("reason", "\"peer-dead\"");
	expect_json("got", "null");
}

Test(announce, a_latch_whose_peer_has_rebooted)
{
	expect_broken(LATCH_REASON_PEER_REBOOTED, 0,
		      LATCHED_TO_C "which has rebooted (INITIAL_CONTACT)");
	expect_json("reason", "\"peer-rebooted\"");
}

Test(announce, a_healed_latch)
{
	struct latch latch = latch_of_c();
	struct latch_flow flow = w_to_c();

	start_monitor();
	announce_latch_healed(&announcer, &flow, &latch, LATCH_REASON_SA_CONFLICT);
	cr_expect_str_eq(last_log, "ab healed: 10.9.0.1 port 7000 with 10.9.0.2 port 51514");
	read_event();
	expect_json("event", "\"latch-healed\"");
}

Test(announce, a_reset_and_one_that_failed)
{
	struct latch latch = latch_of_c();
	struct latch_flow flow = w_to_c();

	start_monitor();
	announce_latch_reset(&announcer, &flow, &latch, 0);
	cr_expect_eq(last_level, LOG_LEVEL_INFO);
	read_event();
	expect_json("event", "\"latch-reset\"");
	expect_json("error", "null");
	announce_latch_reset(&announcer, &flow, &latch, -EOPNOTSUPP);
	cr_expect_eq(last_level, LOG_LEVEL_WARN);
	cr_expect_not_null(strstr(last_log, "its packets are dropped"));
	read_event();
	expect_json("error", "\"Operation not supported\"");
}

/* Each of a flood is an event, but not a line of the log. */
Test(announce, refusals_are_logged_once_a_second)
{
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.flow = w_to_c(),
		.drop = LATCH_DROP_REQUIRED,
	};

	announce_refused(&announcer, &event, 0);
	cr_expect_eq(last_level, LOG_LEVEL_WARN);
	cr_expect_str_eq(last_log, "refused: 10.9.0.1 port 7000 with 10.9.0.2 port 51514 may not "
				   "begin (required); its connect() was ended");
	last_log[0] = '\0';
	announcer.refused_due_ms = loop_now_ms() + LIMIT_MS;
	announce_refused(&announcer, &event, -ENOENT);
	announce_refused(&announcer, &event, -ENOENT);
	cr_expect_str_empty(last_log);
	announcer.refused_due_ms = loop_now_ms();
	announce_refused(&announcer, &event, -ENOENT);
	cr_expect_not_null(strstr(last_log, "its packets are dropped; 2 more before it"), "%s",
			   last_log);
}

Test(announce, the_same_peer_under_other_terms)
{
	struct latch latch = latch_of_c();
	struct latch_flow flow = w_to_c();

	announce_latch_broken(&announcer, &flow, &latch, LATCH_REASON_SA_CONFLICT, params_c);
	cr_expect_not_null(strstr(last_log, "an SA of \"c.example\" under other terms"));
}

/* Params that are gone, and a flow of no family: shown as such, not looked up elsewhere. */
Test(announce, what_is_not_known)
{
	struct latch latch = latch_of_c();
	struct latch_flow flow = w_to_c();

	flow.family = 0;
	latch.word.params = 999;
	announce_latch_broken(&announcer, &flow, &latch, LATCH_REASON_SA_CONFLICT, 0);
	cr_expect_str_eq(last_log, "ab broken: ? port 7000 with ? port 51514 was latched to "
				   "\"nobody known\", an SA of \"nobody known\" came");
}

Test(announce, a_bound_sa)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, 0);
	struct latch_sa_key key = sa_key();

	start_monitor();
	announce_sa_bound(&announcer, &key, &sa, params_d, "charon", "vici child-updown");
	cr_expect_eq(last_level, LOG_LEVEL_DEBUG);
	read_event();
	expect_json("event", "\"sa-bound\"");
	expect_json("feed", "\"charon\"");
	expect_json("evidence", "\"vici child-updown\"");
}

Test(announce, a_kernel_event)
{
	struct latch_event event = {
		.time = clock_boot_ns(),
		.type = LATCH_EVENT_LATCH_CLOSED,
		.flow = w_to_c(),
		.latch_id = 0xab,
	};

	announce_kernel_event(&announcer, &event);
	start_monitor();
	announce_kernel_event(&announcer, &event);
	read_event();
	expect_json("event", "\"latch-closed\"");
}

/* ---- lost events */

static void lose_events(uint64_t sum)
{
	__u32 key = LATCH_COUNTER_EVENTS_LOST;
	int cpus = libbpf_num_possible_cpus();
	__u64 values[1024] = {0};

	cr_assert(cpus > 0 && cpus <= 1024);
	values[cpus - 1] = sum;
	cr_assert_eq(bpf_map_update_elem(maps.counters, &key, values, BPF_ANY), 0);
}

Test(announce, lost_events_are_told_once)
{
	cr_expect_not(announce_lost_events(&announcer));
	start_monitor();
	lose_events(5);
	cr_expect(announce_lost_events(&announcer));
	read_event();
	expect_json("event", "\"lost\"");
	expect_json("count", "5");
	expect_json("where", "\"kernel events\"");
	cr_expect_not(announce_lost_events(&announcer));
	lose_events(7);
	cr_expect(announce_lost_events(&announcer));
	read_event();
	expect_json("count", "2");
}

/* Without a monitor the controller has to know all the same. */
Test(announce, lost_events_without_a_monitor)
{
	lose_events(1);
	cr_expect(announce_lost_events(&announcer));
	cr_expect_not(announce_lost_events(&announcer));
}

Test(announce, what_an_earlier_latchd_lost_is_not_ours)
{
	lose_events(5);
	announce_from_now(&announcer);
	cr_expect_not(announce_lost_events(&announcer));
	lose_events(6);
	cr_expect(announce_lost_events(&announcer));
}

Test(announce, counters_that_cannot_be_read_are_no_loss)
{
	struct kernel_maps none = maps;

	none.counters = -1;
	announcer.lost = 3;
	source.maps = &none;
	cr_expect_not(announce_lost_events(&announcer));
	cr_expect_eq(announcer.lost, 3);
	source.maps = &maps;
}

Test(announce, R_2_3_13_the_log_says_what_decides_now)
{
	const struct policy bypass = {.priority = 7};
	struct policy_verdict verdict = {.action = POLICY_BYPASS, .policy = &bypass};
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of_c();

	announce_spd_broken(&announcer, &flow, &latch, POLICY_OUT, &verdict);
	cr_expect_not_null(strstr(last_log, "c.example"), "%s", last_log);
	cr_expect_not_null(
		strstr(last_log, "the policy for packets out is bypass now (priority 7)"), "%s",
		last_log);
	verdict = (struct policy_verdict){.absent = true, .action = POLICY_BLOCK};
	announce_spd_broken(&announcer, &flow, &latch, POLICY_IN, &verdict);
	cr_expect_not_null(
		strstr(last_log, "no policy for packets in is left, the default is block"), "%s",
		last_log);
}
