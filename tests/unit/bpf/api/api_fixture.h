/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets that are asked for their latch, and latches to two peers, put there by the test.
 *
 *	      test's cgroup: option_get, option_set, watch_socket, socket_released
 *	+----------------------------------------------------------+
 *	| socket ---- getsockopt(SOL_LATCH) ----> option_get       |
 *	|        ---- setsockopt(SOL_LATCH) ----> option_set       |
 *	+----------------------------------------------------------+
 *	      maps: latches, params, identities, verdicts, pasts, wishes
 */
#ifndef LATCHD_TESTS_API_FIXTURE_H
#define LATCHD_TESTS_API_FIXTURE_H

#include "unit/bpf/gate/gate_rules.h"

#include "latch_sockopt.h"

#include "common/clock.h"
#include "latchd/net/socket_diag.h"

/* params: index of the peer's. The two differ in each text and number. */
struct peer {
	uint16_t params;
	uint32_t identity, local;
	const char *id, *local_id, *connection, *encryption;
	uint16_t bits;
	uint8_t mode;
};

static const struct peer c = {5,   11, 12, "c.example", "w.example", "to-c", "rfc4106(gcm(aes))",
			      288, 0};
static const struct peer d = {
	6, 13, 14, "C=CH, O=d, CN=d.example", "gate.w.example", "to-d", "cbc(aes)", 128, 1};

static inline void put_identity(uint32_t index, const char *id, const char *connection)
{
	struct latch_identity identity = {.authority = "charon"};

	cr_assert_lt(strlen(id), sizeof(identity.id));
	strcpy(identity.id, id);
	strcpy(identity.config, connection);
	cr_assert_eq(bpf_map_update_elem(maps.identities, &index, &identity, BPF_ANY), 0);
}

static inline void put_peer(const struct peer *peer)
{
	struct latch_params params = {
		.local_id = peer->local,
		.peer_id = peer->identity,
		.mode = peer->mode,
		.protocol = IPPROTO_ESP,
		.qop = {.encryption_bits = peer->bits, .icv_bits = 96, .replay_protection = 1},
	};
	uint32_t index = peer->params;

	strcpy(params.qop.encryption, peer->encryption);
	put_identity(peer->identity, peer->id, peer->connection);
	put_identity(peer->local, peer->local_id, "unused");
	cr_assert_eq(bpf_map_update_elem(maps.params, &index, &params, BPF_ANY), 0);
}

static inline void change_settings(bool answers, uint32_t mode, uint64_t mode_since)
{
	struct latch_settings settings;
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	settings.answers = answers;
	settings.mode = mode;
	settings.mode_since = mode_since;
	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
}

static inline void api_set_up(void)
{
	gate_set_up();
	change_settings(true, 0, 0);
	attach(GATES_SOCKET);
	attach(GATES_RELEASE);
	attach(GATES_CONNECT4);
	attach(GATES_CONNECT6);
	attach(GATES_OPTION);
	attach(GATES_WISH);
	put_peer(&c);
	put_peer(&d);
}

/* ---- latches */

static uint64_t last_latch_id = 100;

static inline struct latch latch_to(const struct peer *peer, uint64_t cookie)
{
	return (struct latch){
		.id = ++last_latch_id,
		.created = clock_boot_ns(),
		.owner = LATCH_OWNER_SOCKET,
		.owner_since = 1000,
		.direction = LATCH_DIRECTION_OUT,
		.socket_cookie = cookie,
		.word = {.generation = 9, .params = peer->params, .state = LATCH_STATE_ESTABLISHED},
	};
}

static inline void store_latch(const struct latch_flow *flow, const struct latch *latch)
{
	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, latch, BPF_ANY), 0);
}

static inline struct latch_flow latch_socket_as(int fd, const struct peer *peer,
						struct latch_flow flow)
{
	struct latch latch = latch_to(peer, cookie_of(fd));

	latch.changed = latch.created;
	store_latch(&flow, &latch);
	return flow;
}

static inline struct latch_flow latch_socket(int fd, const struct peer *peer)
{
	return latch_socket_as(fd, peer, flow_of(fd));
}

static inline void break_latch(const struct latch_flow *flow, uint8_t reasons)
{
	cr_assert_eq(latch_break(&maps, flow, latch_of(flow).id, reasons, NULL),
		     LATCH_CONTROL_DONE);
}

/* ---- questions */

#define TEXT_SIZE 1024

/* 0 or a negative errno. */
static inline int get(int fd, int option, void *to, socklen_t *length)
{
	return getsockopt(fd, SOL_LATCH, option, to, length) ? -errno : 0;
}

/* A negative errno if it fails. */
static inline int ask_state(int fd)
{
	int state = -1;
	socklen_t length = sizeof(state);
	int err = get(fd, LATCH_OPT_STATE, &state, &length);

	if (!err)
		cr_assert_eq(length, sizeof(state));
	return err ? err : state;
}

static inline int try_info(int fd, struct latch_info *ret)
{
	socklen_t length = sizeof(*ret);
	int err;

	memset(ret, 0xa5, sizeof(*ret));
	err = get(fd, LATCH_OPT_INFO, ret, &length);
	if (!err)
		cr_assert_eq(length, sizeof(*ret));
	return err;
}

static inline struct latch_info ask_info(int fd)
{
	struct latch_info info;
	int err = try_info(fd, &info);

	cr_assert_eq(err, 0, "%s", strerror(-err));
	cr_assert_eq(info.size, sizeof(info));
	cr_assert_eq(info.abi, LATCH_OPTION_ABI);
	cr_expect_eq(info.state, ask_state(fd));
	return info;
}

static inline int ask_text(int fd, int option, char text[TEXT_SIZE])
{
	socklen_t length = TEXT_SIZE - 1;
	int err;

	memset(text, 0, TEXT_SIZE);
	err = get(fd, option, text, &length);
	if (!err)
		cr_expect_eq(length, strlen(text));
	return err;
}

#define expect_text(fd, option, expected)                                                          \
	do {                                                                                       \
		char text_[TEXT_SIZE];                                                             \
		int err_ = ask_text(fd, option, text_);                                            \
                                                                                                   \
		cr_expect_eq(err_, 0, "%s", strerror(-err_));                                      \
		cr_expect_str_eq(text_, expected);                                                 \
	} while (0)

#define expect_peer(fd, peer)                                                                      \
	do {                                                                                       \
		expect_text(fd, LATCH_OPT_PEER_ID, (peer)->id);                                    \
		expect_text(fd, LATCH_OPT_LOCAL_ID, (peer)->local_id);                             \
		expect_text(fd, LATCH_OPT_CONNECTION, (peer)->connection);                         \
	} while (0)

#define expect_no_text(fd, error)                                                                  \
	do {                                                                                       \
		char text_[TEXT_SIZE];                                                             \
                                                                                                   \
		cr_expect_eq(ask_text(fd, LATCH_OPT_PEER_ID, text_), error);                       \
		cr_expect_eq(ask_text(fd, LATCH_OPT_LOCAL_ID, text_), error);                      \
		cr_expect_eq(ask_text(fd, LATCH_OPT_CONNECTION, text_), error);                    \
	} while (0)

#define expect_state(fd, wanted, reason)                                                           \
	do {                                                                                       \
		struct latch_info info_ = ask_info(fd);                                            \
                                                                                                   \
		cr_expect_eq(info_.state, wanted, "state %d", info_.state);                        \
		cr_expect_eq(info_.why, reason, "why %d", info_.why);                              \
	} while (0)

/* Not served: the kernel's own error. */
static inline bool is_unavailable(int fd)
{
	int state = ask_state(fd);

	return state == -EOPNOTSUPP || state == -ENOPROTOOPT;
}

#endif
