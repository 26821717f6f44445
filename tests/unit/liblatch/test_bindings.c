/* SPDX-License-Identifier: BSD-2-Clause */
/* The Go package and the Rust crate tell of a socket what liblatch tells of it, of two peers. */
#include "unit/bpf/api/api_fixture.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "liblatch/latch.h"

TestSuite(bindings, .init = api_set_up, .fini = gate_tear_down, .timeout = 300);

struct binding {
	const char *compiler, *without, *program;
};

static const struct binding rust = {"rustc", "this machine has no Rust compiler",
				    "tests/vm/ask_rust"};
static const struct binding go = {"go", "this machine has no Go compiler", "tests/vm/ask_go"};

static const char *build_folder(void)
{
	const char *folder = getenv("BUILD");

	return folder && *folder ? folder : "build";
}

static bool has_compiler(const struct binding *binding)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "%s --version >/dev/null 2>&1 || %s version >/dev/null 2>&1", binding->compiler,
		 binding->compiler);
	return system(command) == 0;
}

/* The cases of this file run side by side. */
static bool builds(const struct binding *binding)
{
	const char *build = build_folder();
	char command[512];

	snprintf(command, sizeof(command),
		 "flock %s env -u MAKEFLAGS make --no-print-directory BUILD=%s %s/%s >/dev/null",
		 build, build, build, binding->program);
	return system(command) == 0;
}

static void need_binding(const struct binding *binding)
{
	if (!has_compiler(binding))
		cr_skip_test("%s", binding->without);
	cr_assert(builds(binding), "%s", binding->program);
}

/* The descriptors of the fixture close at exec. The caller frees it. */
static struct json_object *answer_of(const struct binding *binding, int fd)
{
	char command[256], output[2048];
	struct json_object *answer;
	int copy = dup(fd);
	size_t length;
	FILE *pipe;

	snprintf(command, sizeof(command), "%s/%s tell %d", build_folder(), binding->program, copy);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	cr_assert_eq(pclose(pipe), 0, "%s: %s", command, output);
	close(copy);
	answer = json_tokener_parse(output);
	cr_assert_not_null(answer, "%s", output);
	return answer;
}

/* error: an errno, or 0. */
static void expect_member(struct json_object *answer, const char *name, const char *text, int error)
{
	char error_name[32];
	struct json_object *member = NULL;

	cr_assert(json_object_object_get_ex(answer, name, &member), "%s", name);
	cr_expect_str_eq(json_object_get_string(member), text, "%s", name);
	snprintf(error_name, sizeof(error_name), "%s_error", name);
	cr_assert(json_object_object_get_ex(answer, error_name, &member), "%s", error_name);
	cr_expect_eq(json_object_get_int(member), error, "%s", error_name);
}

static void expect_answer(const struct binding *binding, int fd, const char *state,
			  const char *peer, int peer_error, const char *end)
{
	struct json_object *answer = answer_of(binding, fd);

	expect_member(answer, "state", state, 0);
	expect_member(answer, "peer", peer, peer_error);
	expect_member(answer, "end", end, 0);
	json_object_put(answer);
}

static void check_answers(const struct binding *binding)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), clear = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow;

	need_binding(binding);
	flow = latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	expect_answer(binding, pair.client, "Established", c.id, 0, "Open");
	expect_answer(binding, pair.server, "Established", d.id, 0, "Open");
	expect_answer(binding, clear.client, "NotLatched", "", ENODATA, "Unproven");
	break_latch(&flow, LATCH_REASON_ADMIN);
	expect_answer(binding, pair.client, "Broken", c.id, 0, "Broken");
	/* The orderly end of the peer: its FIN is in the socket. */
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	wait_for(latch_end(pair.server) == 0);
	expect_answer(binding, pair.server, "Established", d.id, 0, "Orderly");
	close_pair(&clear);
	close_pair(&pair);
}

/* Both ends have sent their FIN, and TCP has ended. */
static void end_in_order(const struct pair *pair)
{
	char byte;

	cr_assert_eq(shutdown(pair->server, SHUT_WR), 0);
	cr_assert_eq(recv(pair->client, &byte, 1, 0), 0);
	cr_assert_eq(shutdown(pair->client, SHUT_WR), 0);
	cr_assert_eq(recv(pair->server, &byte, 1, 0), 0);
	wait_for(tcp_state_of(pair->client) == TCP_CLOSE);
}

static void check_ends(const struct binding *binding)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), other = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow;
	struct latch latch;

	need_binding(binding);
	flow = latch_socket(pair.client, &c);
	if (socket_diag_destroy_owner(&flow, cookie_of(pair.client)))
		cr_skip_test("this kernel has no SOCK_DESTROY");
	expect_answer(binding, pair.client, "Closed", c.id, 0, "Reset");
	flow = latch_socket(other.client, &d);
	latch = latch_of(&flow);
	latch.unproven = 1;
	store_latch(&flow, &latch);
	expect_answer(binding, other.client, "Unproven", "", ENODATA, "Unproven");
	end_in_order(&other);
	expect_answer(binding, other.client, "Closed", "", ENODATA, "Unproven");
	close_pair(&other);
	other = connect_pair(IPV4, IPV4, NULL);
	latch_socket(other.client, &d);
	end_in_order(&other);
	expect_answer(binding, other.client, "Closed", d.id, 0, "Orderly");
	close_pair(&other);
	close_pair(&pair);
}

static void check_unavailable(const struct binding *binding)
{
	const int families[] = {AF_INET, AF_INET6};
	size_t i;

	need_binding(binding);
	change_settings(false, 0, 0);
	for (i = 0; i < 2; i++) {
		int fd = namespace_socket(&ns, families[i], SOCK_STREAM);
		struct json_object *answer = answer_of(binding, fd);

		expect_member(answer, "state", "", LATCH_UNAVAILABLE);
		expect_member(answer, "peer", "", LATCH_UNAVAILABLE);
		expect_member(answer, "end", "", LATCH_UNAVAILABLE);
		json_object_put(answer);
		close(fd);
	}
}

/* Connects with a wish, over the loopback and so in clear. Returns the first line of its output. */
static const char *connects(const struct binding *binding, int listener, const char *peer,
			    bool *ret_failed)
{
	static char line[256];
	char command[512];
	FILE *pipe;

	snprintf(command, sizeof(command),
		 "timeout 3 nsenter --net=/proc/%d/ns/net %s/%s connect 127.0.0.1 %u %s",
		 (int)ns.pid, build_folder(), binding->program, port_of(listener), peer);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	if (!fgets(line, sizeof(line), pipe))
		line[0] = '\0';
	*ret_failed = pclose(pipe) != 0;
	return line;
}

static void check_wish(const struct binding *binding)
{
	int listener = start_listener(IPV4, NULL);
	bool failed;

	need_binding(binding);
	attach_gates();
	cr_expect(strstr(connects(binding, listener, "", &failed), "NotLatched"));
	cr_expect_str_eq(connects(binding, listener, c.id, &failed), "", "no connection in clear");
	cr_expect(failed);
	cr_expect(strstr(connects(binding, listener, "''", &failed), "22"), "an empty peer");
	cr_expect(failed);
	change_settings(false, 0, 0);
	cr_expect(strstr(connects(binding, listener, c.id, &failed), "95"), "no wish is taken");
	cr_expect(failed);
	close(listener);
}

Test(bindings, rust_answers_for_each_socket_of_its_own)
{
	check_answers(&rust);
}

Test(bindings, rust_tells_an_orderly_end_from_a_reset_and_from_one_without_proof)
{
	check_ends(&rust);
}

Test(bindings, rust_says_where_nothing_serves)
{
	check_unavailable(&rust);
}

Test(bindings, rust_connects_to_the_expected_peer_or_not_at_all)
{
	check_wish(&rust);
}

Test(bindings, go_answers_for_each_socket_of_its_own)
{
	check_answers(&go);
}

Test(bindings, go_tells_an_orderly_end_from_a_reset_and_from_one_without_proof)
{
	check_ends(&go);
}

Test(bindings, go_says_where_nothing_serves)
{
	check_unavailable(&go);
}

Test(bindings, go_connects_to_the_expected_peer_or_not_at_all)
{
	check_wish(&go);
}
