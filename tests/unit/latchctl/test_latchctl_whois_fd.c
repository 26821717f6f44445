/* SPDX-License-Identifier: BSD-2-Clause */
/* "latchctl whois --pid N --fd N": sockets of other processes, with latches to two peers. */
#include "unit/bpf/api/api_fixture.h"
#include "capture.h"

#include <json-c/json.h>

#include "latchctl/latchctl.h"
#include "latchctl/view.h"

TestSuite(latchctl_whois_fd, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

/* The number of the server's socket in the other process, and of the client's in this one. */
#define NUMBER	     200
#define UNPRIVILEGED 65534
#define AT_TEXT	     "200"

struct result {
	enum ctl_exit code;
	const char *out, *err;
};

static struct result whois_at(pid_t pid, const char *number, bool json)
{
	char text[16];
	struct ctl_options options = {
		.socket = "/nonexistent", .json = json, .pid = text, .fd = number};
	struct capture out = capture_begin(stdout), err = capture_begin(stderr);
	struct result result;

	snprintf(text, sizeof(text), "%d", pid);
	result.code = ctl_whois(&options);
	result.err = capture_end(&err);
	result.out = capture_end(&out);
	return result;
}

static bool has(const char *text, const char *part)
{
	return strstr(text, part);
}

/* A process that has fd as NUMBER. It ends with the test. */
static pid_t process_with(int fd, uid_t uid)
{
	int ready[2];
	pid_t pid;
	char byte;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (!pid) {
		if (dup2(fd, NUMBER) < 0 || (uid && setresuid(uid, uid, uid)) ||
		    prctl(PR_SET_DUMPABLE, 1) || prctl(PR_SET_PDEATHSIG, SIGKILL) ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		while (true)
			pause();
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* In a process of this uid: its exit code is that of whois. */
static struct result whois_as(uid_t uid, pid_t pid)
{
	struct capture out = capture_begin(stdout), err = capture_begin(stderr);
	struct result result;
	pid_t asker = fork();
	char text[16];
	int status;

	snprintf(text, sizeof(text), "%d", pid);
	if (!asker) {
		struct ctl_options options = {.pid = text, .fd = AT_TEXT};

		if (setresuid(uid, uid, uid))
			_exit(99);
		result.code = ctl_whois(&options);
		fflush(stdout);
		fflush(stderr);
		_exit((int)result.code);
	}
	cr_assert_eq(waitpid(asker, &status, 0), asker);
	result.code = WEXITSTATUS(status);
	result.err = capture_end(&err);
	result.out = capture_end(&out);
	return result;
}

static void put_auth(const struct peer *peer, enum latch_auth auth)
{
	struct latch_identity identity;

	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &peer->identity, &identity), 0);
	identity.auth = auth;
	identity.key_kind = LATCH_KEY_SPKI;
	identity.key[0] = 0xd1;
	cr_assert_eq(bpf_map_update_elem(maps.identities, &peer->identity, &identity, BPF_ANY), 0);
}

/* ---- the socket of the process answers */

Test(latchctl_whois_fd, the_socket_of_the_other_process_answers_and_not_the_callers_of_that_number)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	pid_t pid = process_with(pair.server, 0);
	struct result result;

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	cr_assert_eq(dup2(pair.client, NUMBER), NUMBER);
	result = whois_at(pid, AT_TEXT, false);
	cr_expect_eq(result.code, CTL_EXIT_OK, "%s", result.err);
	cr_expect(has(result.out, d.id) && has(result.out, d.connection), "%s", result.out);
	cr_expect_not(has(result.out, c.id), "%s", result.out);
	result = whois_at(getpid(), AT_TEXT, false);
	cr_expect_eq(result.code, CTL_EXIT_OK, "%s", result.err);
	cr_expect(has(result.out, c.id), "%s", result.out);
	cr_expect_not(has(result.out, d.id), "%s", result.out);
	close(NUMBER);
	end_process(pid);
	close_pair(&pair);
}

Test(latchctl_whois_fd, json_has_the_members_of_whois_by_ends)
{
	static const char *const members[] = {
		"id",	 "state",      "why",	"peer",	  "local_id", "connection", "proto",
		"netns", "netns_name", "local", "remote", "created",  "tags"};
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.server, &d);
	pid_t pid = process_with(pair.server, 0);
	struct result result = (put_auth(&d, LATCH_AUTH_PSK), whois_at(pid, AT_TEXT, true));
	struct json_object *document = json_tokener_parse(result.out), *row;
	char id[32];
	size_t i;

	cr_assert(document && !result.code, "%s %s", result.out, result.err);
	cr_expect_eq(view_number(document, "schema"), CTL_SCHEMA);
	cr_assert_eq(view_count(document, "connections"), 1);
	row = view_element(document, "connections", 0);
	cr_expect_eq(json_object_object_length(row), 13);
	for (i = 0; i < 13; i++)
		cr_expect(json_object_object_get_ex(row, members[i], NULL), "%s", members[i]);
	snprintf(id, sizeof(id), "%llx", (unsigned long long)latch_of(&flow).id);
	cr_expect_str_eq(view_text(row, "id"), id);
	cr_expect_str_eq(view_text(row, "state"), "established");
	cr_expect_str_eq(view_text(row, "peer.id"), d.id);
	cr_expect_str_eq(view_text(row, "peer.auth"), "psk");
	cr_expect_eq(strncmp(view_text_or(row, "peer.key", ""), "d100", 4), 0);
	cr_expect_str_eq(view_text(row, "local_id"), d.local_id);
	cr_expect_str_eq(view_text(row, "proto"), "tcp");
	cr_expect_eq(view_number(row, "netns"), (int64_t)ns.cookie);
	cr_expect_str_eq(view_text(row, "local.addr"), IPV4);
	cr_expect_eq(view_number(row, "local.port"), flow.local_port);
	cr_expect_eq(view_number(row, "remote.port"), flow.remote_port);
	json_object_put(document);
	end_process(pid);
	close_pair(&pair);
}

/* Sets of both halves: c is of the first, d of two. */
static void put_tags(const struct peer *peer, uint32_t sets)
{
	struct latch_peer_sets names = {.names = {"web", "db", "ops"}};
	struct latch_peer_facts facts = {.sets = {sets, sets}};
	uint32_t half;

	for (half = 0; half < 2; half++)
		cr_assert_eq(bpf_map_update_elem(maps.peer_sets, &half, &names, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.peer_facts, &peer->identity, &facts, BPF_ANY), 0);
}

static void expect_tags(pid_t pid, const char *row, const char *json)
{
	struct result result = whois_at(pid, AT_TEXT, false);

	cr_expect(has(result.out, row), "%s in %s", row, result.out);
	result = whois_at(pid, AT_TEXT, true);
	cr_expect(has(result.out, json), "%s in %s", json, result.out);
}

Test(latchctl_whois_fd, the_tags_of_the_peer_are_in_row_and_json)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.server, &d);
	pid_t pid = process_with(pair.server, 0);

	put_tags(&c, 1);
	expect_tags(pid, " - ", "\"tags\":[]");
	put_tags(&d, 6);
	expect_tags(pid, "db,ops", "\"tags\":[\"db\",\"ops\"]");
	put_tags(&d, 4);
	expect_tags(pid, " ops ", "\"tags\":[\"ops\"]");
	cr_assert_eq(latch_close(&maps, &flow, latch_of(&flow).id), LATCH_CONTROL_DONE);
	expect_tags(pid, " - ", "\"tags\":[]");
	end_process(pid);
	close_pair(&pair);
}

Test(latchctl_whois_fd, a_broken_latch_is_shown_with_its_reason_and_former_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.server, &d);
	pid_t pid = process_with(pair.server, 0);
	struct result result;

	latch_socket(pair.client, &c);
	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	result = whois_at(pid, AT_TEXT, false);
	cr_expect_eq(result.code, CTL_EXIT_OK, "%s", result.err);
	cr_expect(has(result.out, "broken") && has(result.out, "sa-conflict") &&
			  has(result.out, d.id),
		  "%s", result.out);
	end_process(pid);
	close_pair(&pair);
}

Test(latchctl_whois_fd, a_socket_without_a_latch_has_a_row_and_the_exit_status_of_a_failure)
{
	struct pair pair = connect_pair(IPV6, IPV6, NULL);
	pid_t pid = process_with(pair.server, 0);
	struct result result;

	latch_socket(pair.client, &c);
	result = whois_at(pid, AT_TEXT, false);
	cr_expect_eq(result.code, CTL_EXIT_FAILED);
	cr_expect(has(result.out, "not-latched") && has(result.out, "[::1]:"), "%s", result.out);
	cr_expect_not(has(result.out, c.id), "%s", result.out);
	cr_expect(has(result.err, "has no latch: the connection is not under IPsec"), "%s",
		  result.err);
	end_process(pid);
	close_pair(&pair);
}

Test(latchctl_whois_fd, a_peer_that_the_socket_does_not_tell_is_not_shown)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	pid_t pid = process_with(pair.server, 0);
	struct result result;

	latch_socket(pair.server, &d);
	change_settings(true, 1, 0);
	result = whois_at(pid, AT_TEXT, true);
	cr_expect_eq(result.code, CTL_EXIT_OK, "%s", result.err);
	cr_expect(has(result.out, "\"state\":\"audited\"") && has(result.out, "\"peer\":null"),
		  "%s", result.out);
	cr_expect_not(has(result.out, d.id), "%s", result.out);
	end_process(pid);
	close_pair(&pair);
}

/* ---- the rights of ptrace */

Test(latchctl_whois_fd, a_user_is_refused_the_sockets_of_others_and_gets_those_of_its_own_processes)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	pid_t of_root = process_with(pair.server, 0), own = process_with(pair.server, UNPRIVILEGED);
	struct result result;

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	result = whois_as(UNPRIVILEGED, of_root);
	cr_expect_eq(result.code, CTL_EXIT_NOT_PERMITTED, "%s", result.err);
	cr_expect(has(result.err, "Operation not permitted; run as root"), "%s", result.err);
	cr_expect_str_eq(result.out, "");
	result = whois_as(UNPRIVILEGED, own);
	/* Yama allows it for descendants only (ptrace_scope 1), and the asker is a sibling. */
	if (result.code == CTL_EXIT_NOT_PERMITTED)
		cr_expect_not(access("/proc/sys/kernel/yama/ptrace_scope", F_OK), "no Yama");
	else
		cr_expect(!result.code && has(result.out, d.id), "%s%s", result.out, result.err);
	result = whois_as(0, own);
	cr_expect(!result.code && has(result.out, d.id), "%s%s", result.out, result.err);
	end_process(own);
	end_process(of_root);
	close_pair(&pair);
}

/* ---- errors */

Test(latchctl_whois_fd, a_wrong_process_or_descriptor_is_one_clear_error)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	pid_t pid = process_with(pair.server, 0);
	struct result result;

	latch_socket(pair.server, &d);
	result = whois_at(pid, "201", false);
	cr_expect_eq(result.code, CTL_EXIT_FAILED);
	cr_expect(has(result.err, "cannot copy descriptor 201: Bad file descriptor; see ls -l"),
		  "%s", result.err);
	end_process(pid);
	result = whois_at(pid, AT_TEXT, false);
	cr_expect_eq(result.code, CTL_EXIT_FAILED);
	cr_expect(has(result.err, "cannot open: No such process; give"), "%s", result.err);
	cr_expect_str_eq(result.out, "");
	close_pair(&pair);
}

Test(latchctl_whois_fd, what_is_no_served_socket_says_so)
{
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid = process_with(file, 0);
	struct result result = whois_at(pid, AT_TEXT, false);

	cr_expect_eq(result.code, CTL_EXIT_FAILED);
	cr_expect(has(result.err, "Socket operation on non-socket; see ls -l"), "%s", result.err);
	end_process(pid);
	pid = process_with(unix_socket, 0);
	result = whois_at(pid, AT_TEXT, true);
	cr_expect_eq(result.code, CTL_EXIT_FAILED);
	cr_expect(has(result.err, "is not served"), "%s", result.err);
	cr_expect_str_eq(result.out, "");
	end_process(pid);
	close(unix_socket);
	close(file);
}
