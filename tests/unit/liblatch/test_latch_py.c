/* SPDX-License-Identifier: BSD-2-Clause */
/* latch.py tells of a socket what liblatch tells of it: of two peers, and where nothing serves. */
#include "unit/bpf/api/api_fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "liblatch/latch.h"

TestSuite(latch_py, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

static char output[4096];

/* The output of tell.py, whole. */
static void tell(const char *arguments)
{
	char command[256];
	FILE *pipe;
	size_t length;

	snprintf(command, sizeof(command), "/usr/bin/python3 -B tests/unit/liblatch/tell.py %s",
		 arguments);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	cr_assert_eq(pclose(pipe), 0, "%s: %s", command, output);
}

/* The sockets of the fixture close at exec. */
static void tell_of(int fd)
{
	char text[16];
	int copy = dup(fd);

	snprintf(text, sizeof(text), "%d", copy);
	tell(text);
	close(copy);
}

static bool tells_line(const char *name, const char *value)
{
	char line[LATCH_TEXT_MAX + 64];
	const char *at;

	snprintf(line, sizeof(line), "%s=%s\n", name, value);
	at = strstr(output, line);
	return at && (at == output || at[-1] == '\n');
}

static void expect_line(const char *name, const char *value)
{
	cr_expect(tells_line(name, value), "%s=%s is not in: %s", name, value, output);
}

static void expect_number(const char *name, unsigned long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", value);
	expect_line(name, text);
}

static const char *text_of_errno(int error)
{
	static char text[32];

	snprintf(text, sizeof(text), "errno %d", error);
	return text;
}

static void expect_address(const char *name, const __u8 *address)
{
	char text[INET6_ADDRSTRLEN];

	expect_line(name, inet_ntop(AF_INET, address, text, sizeof(text)));
}

static void expect_info(const struct latch_info *info)
{
	expect_number("info.size", info->size);
	expect_number("info.state", info->state);
	expect_number("info.why", info->why);
	expect_number("info.direction", info->direction);
	expect_number("info.mode", info->mode);
	expect_number("info.protocol", info->protocol);
	expect_number("info.flags", info->flags);
	expect_number("info.encryption_bits", info->encryption_bits);
	expect_number("info.icv_bits", info->icv_bits);
	expect_number("info.peer_number", info->peer_number);
	expect_number("info.local_number", info->local_number);
	expect_number("info.latch", info->latch);
	expect_number("info.dropped", info->dropped);
	expect_address("info.local_addr", info->local_addr);
	expect_address("info.remote_addr", info->remote_addr);
	expect_number("info.local_port", info->local_port);
	expect_number("info.remote_port", info->remote_port);
	expect_line("info.encryption", info->encryption);
	expect_line("info.integrity", info->integrity);
}

static void expect_same_answers(int fd, const struct peer *peer)
{
	struct latch_info info;

	cr_assert_eq(latch_info(fd, &info, sizeof(info)), 0);
	tell_of(fd);
	expect_number("state", LATCH_APP_ESTABLISHED);
	expect_line("peer", peer->id);
	expect_line("local", peer->local_id);
	expect_line("connection", peer->connection);
	expect_info(&info);
}

Test(latch_py, each_question_is_answered_for_its_own_socket)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	expect_same_answers(pair.client, &c);
	expect_same_answers(pair.server, &d);
	close_pair(&pair);
}

#define DIGITS_14 "00000000000000"
#define DIGITS_62 DIGITS_14 DIGITS_14 DIGITS_14 DIGITS_14 "000000"

Test(latch_py, R_2_7_the_parties_and_the_binding_have_the_keys)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_own_key own = {{0x11}};
	struct latch_identity identity;
	uint32_t params = c.params;

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &c.identity, &identity), 0);
	identity.auth = LATCH_AUTH_PUBKEY;
	identity.key_kind = LATCH_KEY_SPKI;
	identity.key[0] = 0xc1;
	cr_assert_eq(bpf_map_update_elem(maps.identities, &c.identity, &identity, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.own_keys, &params, &own, BPF_ANY), 0);
	tell_of(pair.client);
	expect_line("peer_party", "c.example to-c 11 2 c1" DIGITS_62);
	expect_line("local_party", "w.example  12 0 11" DIGITS_62);
	expect_line("binding", "6c617463682d656e642d706f696e743a"
			       "11" DIGITS_62 "c1" DIGITS_62);
	tell_of(pair.server);
	expect_line("peer_party", "C=CH, O=d, CN=d.example to-d 13 0 None");
	expect_line("binding", text_of_errno(ENODATA));
	close_pair(&pair);
}

Test(latch_py, a_connection_in_clear_has_no_peer_and_says_why)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	char no_data[32];

	snprintf(no_data, sizeof(no_data), "errno %d", ENODATA);
	tell_of(pair.client);
	expect_number("state", LATCH_APP_NOT_LATCHED);
	expect_line("peer", no_data);
	expect_line("local", no_data);
	expect_line("connection", no_data);
	expect_number("info.why", LATCH_WHY_CLEAR);
	close_pair(&pair);
}

Test(latch_py, where_nothing_serves_each_question_says_so)
{
	const int families[] = {AF_INET, AF_INET6};
	size_t i;

	change_settings(false, 0, 0);
	for (i = 0; i < 2; i++) {
		int fd = namespace_socket(&ns, families[i], SOCK_STREAM);

		tell_of(fd);
		expect_line("state", "unavailable");
		expect_line("peer", "unavailable");
		expect_line("local", "unavailable");
		expect_line("connection", "unavailable");
		close(fd);
	}
}

TestSuite(latch_py_names);

Test(latch_py_names, the_module_has_each_enumerator_of_the_header_with_its_value)
{
	tell("--missing include/latch_sockopt.h");
	cr_expect_str_eq(output, "");
}
