/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor's events, through the real control socket. */
#include "report_fixture.h"

#include <sys/un.h>

#include "scratch.h"

#include "common/loop.h"
#include "latchd/report/monitor_news.h"

#define LIMIT_MS   20000
#define LINE_BYTES 4096

static struct loop *loop;
static struct control *control;
static struct news_bus bus;
static struct monitor_news monitor_news;
static int monitor = -1;
static char line[LINE_BYTES];
static size_t line_length;

static void set_up(void)
{
	const struct control_handlers none = {0};
	struct failure failure;
	char path[128];

	report_start();
	scratch_make();
	loop = loop_new();
	snprintf(path, sizeof(path), "%s/latchd.sock", scratch_dir);
	cr_assert_eq(control_new(loop, path, "", &none, &control, &failure), 0, "%s", failure.text);
	bus = (struct news_bus){0};
	monitor_news_start(&monitor_news, &bus, control, &source);
}

static void tear_down(void)
{
	close(monitor);
	control_free(control);
	loop_free(loop);
	scratch_remove();
	report_finish();
}

TestSuite(monitor_news, .init = set_up, .fini = tear_down, .timeout = 60);

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

/* ---- events */

static void publish(struct news news)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = {
		.id = 0xab,
		.direction = LATCH_DIRECTION_OUT,
		.word = {.params = params_c, .state = LATCH_STATE_ESTABLISHED},
	};

	news.flow = &flow;
	news.latch = &latch;
	news_publish(&bus, &news);
}

Test(monitor_news, a_broken_latch_is_an_event_with_both_peers)
{
	start_monitor();
	publish((struct news){.kind = NEWS_LATCH_BROKEN,
			      .cause = {.reason = LATCH_REASON_SA_CONFLICT, .got = params_d}});
	read_event();
	expect_json("event", "\"latch-broken\"");
	expect_json("expected.id", "\"c.example\"");
	expect_json("actual.id", "\"d.example\"");
}

Test(monitor_news, a_break_by_a_dead_peer_has_no_conflicting_sa)
{
	start_monitor();
	publish((struct news){.kind = NEWS_LATCH_BROKEN, .cause.reason = LATCH_REASON_PEER_DEAD});
	read_event();
	expect_json("event", "\"latch-broken\"");
	expect_json("reason", "\"peer-dead\"");
	expect_json("expected.id", "\"c.example\"");
	expect_json("actual", "null");
}

Test(monitor_news, a_break_by_a_rebooted_peer_has_its_reason)
{
	start_monitor();
	publish((struct news){.kind = NEWS_LATCH_BROKEN,
			      .cause.reason = LATCH_REASON_PEER_REBOOTED});
	read_event();
	expect_json("event", "\"latch-broken\"");
	expect_json("reason", "\"peer-rebooted\"");
	expect_json("expected.id", "\"c.example\"");
}

Test(monitor_news, a_healed_latch_is_an_event)
{
	start_monitor();
	publish((struct news){.kind = NEWS_LATCH_HEALED, .cause.reason = LATCH_REASON_SA_CONFLICT});
	read_event();
	expect_json("event", "\"latch-healed\"");
}

Test(monitor_news, a_reset_and_its_failure_are_events)
{
	start_monitor();
	publish((struct news){.kind = NEWS_LATCH_RESET});
	read_event();
	expect_json("event", "\"latch-reset\"");
	expect_json("error", "null");
	publish((struct news){.kind = NEWS_LATCH_RESET, .error = -EOPNOTSUPP});
	read_event();
	expect_json("error", "\"Operation not supported\"");
}

Test(monitor_news, a_bound_sa_is_an_event_with_its_evidence)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, 0);
	struct latch_sa_key key = sa_key();

	start_monitor();
	publish((struct news){
		.kind = NEWS_SA_BOUND,
		.sa = {&key, &sa, params_d, "charon", "vici child-updown"},
	});
	read_event();
	expect_json("event", "\"sa-bound\"");
	expect_json("feed", "\"charon\"");
	expect_json("evidence", "\"vici child-updown\"");
}

/* The first is published before the monitor is there. */
Test(monitor_news, a_kernel_event_reaches_monitors_only)
{
	struct latch_event event = {
		.time = clock_boot_ns(),
		.type = LATCH_EVENT_LATCH_CLOSED,
		.flow = w_to_c(),
		.latch_id = 0xab,
	};

	publish((struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	start_monitor();
	publish((struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	read_event();
	expect_json("event", "\"latch-closed\"");
}

Test(monitor_news, lost_events_are_an_event_with_their_number)
{
	start_monitor();
	publish((struct news){.kind = NEWS_EVENTS_LOST, .count = 5});
	read_event();
	expect_json("event", "\"lost\"");
	expect_json("count", "5");
	expect_json("where", "\"kernel events\"");
}
