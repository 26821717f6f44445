/* SPDX-License-Identifier: BSD-2-Clause */
/* liblatch on sockets with latches to two peers, and where nothing serves. */
#include "unit/bpf/api/api_fixture.h"
#include "udp.h"

#include <dlfcn.h>

#include "liblatch/latch.h"

TestSuite(liblatch, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

static struct pair latched_pair(const struct peer *client, const struct peer *server)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	latch_socket(pair.client, client);
	latch_socket(pair.server, server);
	return pair;
}

/* ---- questions */

Test(liblatch, each_question_is_answered_for_its_own_socket)
{
	struct pair pair = latched_pair(&c, &d);
	char text[LATCH_TEXT_MAX];

	cr_expect_eq(latch_state(pair.client), LATCH_APP_ESTABLISHED);
	cr_expect_eq(latch_peer(pair.client, text, sizeof(text)), (int)strlen(c.id));
	cr_expect_str_eq(text, c.id);
	cr_expect_eq(latch_local(pair.client, text, sizeof(text)), (int)strlen(c.local_id));
	cr_expect_str_eq(text, c.local_id);
	cr_expect_eq(latch_connection(pair.client, text, sizeof(text)), (int)strlen(c.connection));
	cr_expect_str_eq(text, c.connection);
	cr_expect_eq(latch_peer(pair.server, text, sizeof(text)), (int)strlen(d.id));
	cr_expect_str_eq(text, d.id);
	close_pair(&pair);
}

Test(liblatch, a_text_needs_room_for_its_end_and_is_never_a_part)
{
	struct pair pair = latched_pair(&c, &d);
	char text[64];
	size_t size;

	for (size = 0; size <= strlen(c.id); size++) {
		memset(text, 'x', sizeof(text));
		cr_expect_eq(latch_peer(pair.client, text, size), -ERANGE, "size %zu", size);
		cr_expect_eq(text[0], size ? '\0' : 'x');
		cr_expect_eq(text[size ? size : 1], 'x', "nothing behind size %zu", size);
	}
	cr_expect_eq(latch_peer(pair.client, text, strlen(c.id) + 1), (int)strlen(c.id));
	cr_expect_str_eq(text, c.id);
	close_pair(&pair);
}

Test(liblatch, a_structure_of_a_later_version_is_filled_up_with_zeros)
{
	struct pair pair = latched_pair(&c, &d);
	struct {
		struct latch_info info;
		uint8_t later[40];
	} large;
	size_t i;

	memset(&large, 0xee, sizeof(large));
	cr_expect_eq(latch_info(pair.client, &large.info, sizeof(large)), 0);
	cr_expect_eq(large.info.size, sizeof(struct latch_info));
	cr_expect_eq(large.info.peer_number, c.identity);
	for (i = 0; i < sizeof(large.later); i++)
		cr_expect_eq(large.later[i], 0);
	cr_expect_eq(latch_info(pair.client, &large.info, sizeof(large.info) - 1), -EINVAL);
	close_pair(&pair);
}

Test(liblatch, a_question_without_a_buffer_is_an_error)
{
	struct pair pair = latched_pair(&c, &d);
	int fd = pair.client;

	cr_expect_eq(latch_info(fd, NULL, sizeof(struct latch_info)), -EFAULT);
	cr_expect_eq(latch_peer_party(fd, NULL, sizeof(struct latch_party)), -EFAULT);
	cr_expect_eq(latch_local_party(fd, NULL, sizeof(struct latch_party)), -EFAULT);
	cr_expect_eq(latch_binding(fd, NULL), -EFAULT);
	cr_expect_eq(latch_peer(fd, NULL, LATCH_TEXT_MAX), -EFAULT);
	cr_expect_eq(latch_local(fd, NULL, LATCH_TEXT_MAX), -EFAULT);
	cr_expect_eq(latch_connection(fd, NULL, LATCH_TEXT_MAX), -EFAULT);
	cr_expect_eq(latch_tags(fd, NULL, LATCH_TAGS_MAX), -EFAULT);
	cr_expect_eq(latch_peer(fd, NULL, 0), -ERANGE);
	close_pair(&pair);
}

Test(liblatch, errno_stays_as_it_is)
{
	struct pair pair = latched_pair(&c, &d);

	errno = EXDEV;
	cr_expect_eq(latch_state(-1), -EBADF);
	cr_expect_eq(errno, EXDEV);
	cr_expect_eq(latch_state(pair.client), LATCH_APP_ESTABLISHED);
	cr_expect_eq(errno, EXDEV);
	close_pair(&pair);
}

Test(liblatch, where_nothing_serves_each_call_says_so)
{
	const int families[] = {AF_INET, AF_INET6};
	struct latch_info info;
	struct latch_party party;
	struct latch_binding binding;
	char text[64] = "x";
	size_t i;

	change_settings(false, 0, 0);
	for (i = 0; i < 2; i++) {
		int fd = namespace_socket(&ns, families[i], SOCK_STREAM);

		cr_expect_eq(latch_state(fd), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_info(fd, &info, sizeof(info)), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_peer(fd, text, sizeof(text)), -LATCH_UNAVAILABLE);
		cr_expect_str_eq(text, "");
		cr_expect_eq(latch_local(fd, text, sizeof(text)), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_connection(fd, text, sizeof(text)), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_peer_party(fd, &party, sizeof(party)), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_local_party(fd, &party, sizeof(party)), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_binding(fd, &binding), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_end(fd), -LATCH_UNAVAILABLE);
		cr_expect_eq(latch_same_peer(fd, fd), -LATCH_UNAVAILABLE);
		close(fd);
	}
}

/* ---- keys */

static void put_keys(const struct peer *peer, uint8_t of_peer, uint8_t own)
{
	struct latch_own_key key = {{own}};
	struct latch_identity identity;
	uint32_t params = peer->params;

	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &peer->identity, &identity), 0);
	identity.auth = LATCH_AUTH_PUBKEY;
	identity.key_kind = LATCH_KEY_SPKI;
	identity.key[0] = of_peer;
	cr_assert_eq(bpf_map_update_elem(maps.identities, &peer->identity, &identity, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.own_keys, &params, &key, BPF_ANY), 0);
}

Test(liblatch, R_2_7_the_parties_of_a_connection_have_their_keys)
{
	struct pair pair = latched_pair(&c, &d);
	struct {
		struct latch_party party;
		uint8_t later[8];
	} large;
	struct latch_party party;

	put_keys(&c, 0xc1, 0x11);
	memset(&large, 0xee, sizeof(large));
	cr_assert_eq(latch_peer_party(pair.client, &large.party, sizeof(large)), 0);
	cr_expect_str_eq(large.party.id, c.id);
	cr_expect_eq(large.party.key[0], 0xc1);
	cr_expect_eq(large.later[0], 0);
	cr_assert_eq(latch_local_party(pair.client, &party, sizeof(party)), 0);
	cr_expect_str_eq(party.id, c.local_id);
	cr_expect_eq(party.key[0], 0x11);
	cr_expect_eq(latch_peer_party(pair.client, &party, sizeof(party) - 1), -EINVAL);
	cr_assert_eq(latch_peer_party(pair.server, &party, sizeof(party)), 0);
	cr_expect_str_eq(party.id, d.id);
	cr_expect_eq(party.key_kind, LATCH_APP_KEY_UNKNOWN);
	close_pair(&pair);
}

Test(liblatch, the_binding_is_that_of_the_keys_or_none)
{
	struct pair pair = latched_pair(&c, &d);
	struct latch_binding binding;

	cr_expect_eq(latch_binding(pair.client, &binding), -ENODATA);
	put_keys(&c, 0xc1, 0x11);
	cr_assert_eq(latch_binding(pair.client, &binding), 0);
	cr_expect_eq(memcmp(binding.type, LATCH_BINDING_TYPE, sizeof(binding.type)), 0);
	cr_expect_eq(binding.lower[0], 0x11);
	cr_expect_eq(binding.higher[0], 0xc1);
	cr_expect_eq(latch_binding(pair.server, &binding), -ENODATA);
	close_pair(&pair);
}

/* ---- latch_same_peer() */

Test(liblatch, L_6_3_1_two_connections_have_the_same_peer_or_not)
{
	struct pair one = latched_pair(&c, &d), other = latched_pair(&c, &d);

	cr_expect_eq(latch_same_peer(one.client, one.client), 1);
	cr_expect_eq(latch_same_peer(one.client, other.client), 1);
	cr_expect_eq(latch_same_peer(one.client, other.server), 0);
	cr_expect_eq(latch_same_peer(one.server, other.server), 1);
	close_pair(&one);
	close_pair(&other);
}

/* Equal texts of two feeds are two peers. */
Test(liblatch, peers_of_equal_text_with_other_entries_are_not_the_same)
{
	struct pair pair = latched_pair(&c, &d);

	put_identity(d.identity, c.id, "to-c");
	cr_expect_eq(latch_same_peer(pair.client, pair.server), 0);
	close_pair(&pair);
}

Test(liblatch, the_same_peer_to_another_local_identity_is_not_the_same)
{
	struct pair pair = latched_pair(&c, &d);
	struct latch_params params = {.peer_id = c.identity, .local_id = d.local};
	uint32_t index = d.params;

	cr_assert_eq(bpf_map_update_elem(maps.params, &index, &params, BPF_ANY), 0);
	cr_expect_eq(latch_same_peer(pair.client, pair.server), 0);
	close_pair(&pair);
}

Test(liblatch, only_established_connections_are_compared)
{
	struct pair pair = latched_pair(&c, &c), clear = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.server);

	cr_expect_eq(latch_same_peer(clear.client, clear.server), -ENOKEY);
	cr_expect_eq(latch_same_peer(pair.client, clear.client), -ENOKEY);
	cr_expect_eq(latch_same_peer(clear.client, pair.client), -ENOKEY);
	cr_expect_eq(latch_same_peer(pair.client, pair.server), 1);
	break_latch(&flow, LATCH_REASON_ADMIN);
	cr_expect_eq(latch_same_peer(pair.client, pair.server), -ENOKEY);
	change_settings(true, 1, 0);
	cr_expect_eq(latch_same_peer(pair.client, pair.client), -ENOKEY);
	close_pair(&pair);
	close_pair(&clear);
}

/* ---- latch_end() */

static void destroy(int fd)
{
	struct latch_flow flow = flow_of(fd);

	if (socket_diag_destroy_owner(&flow, cookie_of(fd)))
		cr_skip_test("this kernel has no SOCK_DESTROY");
}

Test(liblatch, an_end_of_file_of_the_peer_is_in_order)
{
	struct pair pair = latched_pair(&c, &d);

	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0);
	cr_expect_eq(latch_end(pair.client), 0);
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	cr_assert_eq(recv(pair.server, &(char){0}, 1, 0), 0);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	cr_expect_eq(latch_end(pair.client), 0, "also when TCP has ended");
	close_pair(&pair);
}

Test(liblatch, an_end_of_file_after_a_break_differs_from_an_orderly_end)
{
	struct pair pair = latched_pair(&c, &d);
	struct latch_flow flow = flow_of(pair.client);

	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	cr_expect_eq(latch_end(pair.client), -EKEYREVOKED, "while it waits");
	destroy(pair.client);
	cr_assert_eq(pending_error(pair.client), ECONNABORTED);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0, "a plain end of file");
	cr_expect_eq(latch_end(pair.client), -EKEYREVOKED);
	close_pair(&pair);
}

Test(liblatch, an_abort_without_a_break_is_no_orderly_end)
{
	struct pair pair = latched_pair(&c, &d);

	destroy(pair.client);
	cr_assert_eq(pending_error(pair.client), ECONNABORTED);
	cr_expect_eq(latch_end(pair.client), -ECONNRESET);
	close_pair(&pair);
}

/* latchd marks the latch, and ends the socket. */
Test(liblatch, the_end_by_an_administrator_differs_from_a_reset)
{
	struct pair pair = latched_pair(&c, &d);
	struct latch_flow flow = flow_of(pair.client);
	struct latch_info info;

	cr_assert_eq(latch_closing(&maps, &flow, latch_of(&flow).id, true), LATCH_CONTROL_DONE);
	cr_expect_eq(latch_end(pair.client), -EAGAIN);
	destroy(pair.client);
	cr_assert_eq(pending_error(pair.client), ECONNABORTED);
	cr_expect_eq(latch_end(pair.client), -EKEYREVOKED);
	cr_assert_eq(latch_info(pair.client, &info, sizeof(info)), 0);
	cr_expect_str_eq(latch_why_text(info.why), "an administrator broke or closed the latch");
	wait_for(tcp_state_of(pair.server) == TCP_CLOSE);
	cr_expect_eq(latch_end(pair.server), -ECONNRESET);
	close_pair(&pair);
}

Test(liblatch, an_end_in_clear_or_in_audit_mode_proves_nothing)
{
	struct pair clear = connect_pair(IPV4, IPV4, NULL), pair = latched_pair(&c, &d);

	cr_assert_eq(shutdown(clear.server, SHUT_WR), 0);
	cr_assert_eq(recv(clear.client, &(char){0}, 1, 0), 0);
	cr_expect_eq(latch_end(clear.client), -ENOKEY);
	change_settings(true, 1, 0);
	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0);
	cr_expect_eq(latch_end(pair.client), -ENOKEY);
	close_pair(&pair);
	close_pair(&clear);
}

Test(liblatch, without_the_fin_of_the_peer_there_is_no_end)
{
	struct pair pair = latched_pair(&c, &d), udp = udp_pair(IPV4, IPV4);

	latch_socket_as(udp.client, &c, udp_flow(udp.client));
	cr_expect_eq(latch_end(pair.client), -EAGAIN);
	cr_expect_eq(latch_end(udp.client), -EAGAIN);
	cr_assert_eq(shutdown(pair.client, SHUT_RD), 0);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0, "a plain end of file");
	cr_expect_eq(latch_end(pair.client), -EAGAIN);
	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE_WAIT);
	cr_expect_eq(latch_end(pair.client), 0);
	close_pair(&pair);
	udp_close(&udp);
}

Test(liblatch, the_end_of_a_latch_that_began_larval_proves_nothing)
{
	struct pair pair = latched_pair(&c, &d);
	struct latch_flow flow = flow_of(pair.client);
	struct latch latch = latch_of(&flow);

	latch.unproven = 1;
	store_latch(&flow, &latch);
	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0);
	cr_expect_eq(latch_end(pair.client), -ENOKEY);
	cr_expect_eq(latch_same_peer(pair.client, pair.client), -ENOKEY);
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	cr_assert_eq(recv(pair.server, &(char){0}, 1, 0), 0);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	cr_expect_eq(latch_end(pair.client), -ENOKEY, "also when TCP has ended");
	close_pair(&pair);
}

Test(liblatch, the_end_of_a_latch_that_never_had_a_peer_proves_nothing)
{
	struct pair pair = latched_pair(&c, &d);
	struct latch_flow flow = flow_of(pair.client);
	struct latch latch = latch_of(&flow);
	char byte;

	latch.word.state = LATCH_STATE_LARVAL;
	store_latch(&flow, &latch);
	cr_expect_eq(latch_end(pair.client), -ENOKEY);
	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	cr_assert_eq(recv(pair.client, &byte, 1, 0), 0);
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	cr_assert_eq(recv(pair.server, &byte, 1, 0), 0);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	cr_expect_eq(latch_end(pair.client), -ENOKEY);
	close_pair(&pair);
}

/* ---- the shared object */

static void *open_library(void)
{
	char path[512];
	const char *build = getenv("BUILD");
	void *library;

	snprintf(path, sizeof(path), "%s/liblatch.so.1", build && *build ? build : "build");
	library = dlopen(path, RTLD_NOW);
	cr_assert_not_null(library, "%s", dlerror());
	return library;
}

TestSuite(liblatch_abi);

/* Of a line of the header that declares a function: its name. */
static bool declares(const char *line, char name[64])
{
	return sscanf(line, "int %63[a-z_](", name) == 1 ||
	       sscanf(line, "const char *%63[a-z_](", name) == 1;
}

Test(liblatch_abi, each_function_of_the_header_has_its_version_and_nothing_else_is_seen)
{
	void *library = open_library();
	FILE *header = fopen("user/liblatch/latch.h", "re");
	char line[256], name[64];
	size_t first = 0, later = 0;

	cr_assert_not_null(header);
	while (fgets(line, sizeof(line), header)) {
		if (!declares(line, name))
			continue;
		if (dlvsym(library, name, "LATCH_1.0"))
			first++;
		else if (dlvsym(library, name, "LATCH_1.1"))
			later++;
		else
			cr_expect(false, "%s has no version", name);
	}
	cr_expect_eq(first, 7, "no function of a version that was released changes it");
	cr_expect_eq(later, 20);
	cr_expect_null(dlsym(library, "ask_text"));
	fclose(header);
	dlclose(library);
}
