/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The result of send() for a dropped packet. A datagram under an SA that waits for its owner is
 * sent and lost (R-2-15). A refused one gets EPERM, and TCP counts neither as sent.
 *
 *	client (latched) --> nft: protocol = ESP --> gate_egress --> lo: nothing receives ESP
 *
 * What passes the gate is counted by the device.
 */
#include "pretended_esp.h"
#include "udp.h"

#include <linux/errqueue.h>
#include <netinet/udp.h>

#define PARAMS	 3 /* of gate_fixture's latches */
#define IMPOSTOR 4
#define BATCH	 8

static void set_up(void)
{
	gate_set_up();
	attach_gates();
}

TestSuite(gate_loss, .init = set_up, .fini = gate_tear_down, .timeout = 180);

/* Packets that the loopback device has had so far. */
static unsigned long looped(void)
{
	char path[64], line[256];
	unsigned long bytes, packets = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)ns.pid);
	file = fopen(path, "r");
	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " lo: %lu %lu", &bytes, &packets) == 2)
			break;
	fclose(file);
	return packets;
}

static uint64_t lost(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_DATAGRAMS_LOST];
}

/* A latched client with datagrams that seem to be ESP. */
static struct pair latched_pair(const char *address, struct latch_flow *ret_flow)
{
	struct pair pair = udp_pair(address, address);

	*ret_flow = udp_flow(pair.client);
	put_latch_of(ret_flow, pair.client);
	make_esp(strchr(address, ':') ? "ip6" : "ip", "udp", port_of(pair.server));
	return pair;
}

static void expect_lost(struct pair *pair, enum latch_drop why)
{
	unsigned long before = looped();

	cr_expect_eq(udp_send(pair->client), 0);
	cr_expect_eq(udp_send_to(pair->client, name_of(pair->server, getsockname)), 0);
	cr_expect_eq(drops_for(why).egress, 2);
	cr_expect_eq(looped(), before, "a datagram left");
}

Test(gate_loss, R_2_15_a_datagram_under_a_pending_sa_is_sent_and_lost)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);

	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	expect_lost(&pair, LATCH_DROP_SA_PENDING);
	udp_close(&pair);
}

Test(gate_loss, R_2_15_a_datagram_over_ipv6_under_a_pending_sa_is_sent_and_lost)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV6, &flow);

	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	expect_lost(&pair, LATCH_DROP_SA_PENDING);
	udp_close(&pair);
}

Test(gate_loss, R_2_15_a_datagram_under_an_sa_that_is_not_in_the_table_is_sent_and_lost)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);

	expect_lost(&pair, LATCH_DROP_SA_UNKNOWN);
	udp_close(&pair);
}

Test(gate_loss, R_2_15_the_first_datagram_of_a_flow_under_a_pending_sa_is_sent_and_lost)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	make_esp("ip", "udp", port_of(pair.server));
	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	expect_lost(&pair, LATCH_DROP_SA_PENDING);
	cr_expect_not(has_latch(&flow));
	udp_close(&pair);
}

Test(gate_loss, a_datagram_under_an_sa_of_the_latch_leaves)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);
	unsigned long before;

	put_sa_of(&flow, LATCH_SA_BOUND, PARAMS);
	before = looped();
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_gt(looped(), before);
	cr_expect_eq(drops_in_all().egress, 0);
	udp_close(&pair);
}

/* Its policy is gone, or leads under another peer's SA: the flow waits until latchd breaks it. */
Test(gate_loss, R_2_15_a_datagram_without_the_latchs_own_sa_is_sent_and_lost)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);

	put_sa_of(&flow, LATCH_SA_BOUND, IMPOSTOR);
	expect_lost(&pair, LATCH_DROP_IDENTITY);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	udp_close(&pair);
}

/* A broken latch: the application shall know. */
Test(gate_loss, a_datagram_that_is_refused_gets_eperm)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);
	unsigned long before = looped();

	cr_assert_eq(latch_break(&maps, &flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	cr_expect_eq(udp_send(pair.client), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_BROKEN).egress, 1);
	cr_expect_eq(looped(), before, "a datagram left");
	udp_close(&pair);
}

static void set_option(int fd, int level, int option, int value)
{
	cr_assert_eq(setsockopt(fd, level, option, &value, sizeof(value)), 0, "%s",
		     strerror(errno));
}

/* udp_send_skb() hides a loss only from sockets that have not asked for errors. */
Test(gate_loss, a_socket_with_ip_recverr_gets_enobufs_and_it_is_counted)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);

	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	set_option(pair.client, IPPROTO_IP, IP_RECVERR, 1);
	cr_expect_eq(udp_send(pair.client), -ENOBUFS);
	cr_expect_eq(lost(), 1);
	udp_close(&pair);
}

Test(gate_loss, R_2_15_a_corked_datagram_under_a_pending_sa_is_sent_and_lost)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);

	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	cr_expect_eq(send(pair.client, "x", 1, MSG_MORE), 1);
	cr_expect_eq(udp_send(pair.client), 0);
	set_option(pair.client, IPPROTO_UDP, UDP_CORK, 1);
	cr_expect_eq(udp_send(pair.client), 0);
	set_option(pair.client, IPPROTO_UDP, UDP_CORK, 0);
	cr_expect_eq(drops_for(LATCH_DROP_SA_PENDING).egress, 2);
	udp_close(&pair);
}

Test(gate_loss, R_2_15_sendmmsg_under_a_pending_sa_sends_and_loses_all)
{
	struct iovec byte = {.iov_base = "x", .iov_len = 1};
	struct mmsghdr messages[BATCH] = {0};
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);
	int i;

	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	for (i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &byte, .msg_iovlen = 1};
	cr_expect_eq(sendmmsg(pair.client, messages, BATCH, 0), BATCH);
	cr_expect_eq(drops_for(LATCH_DROP_SA_PENDING).egress, BATCH);
	udp_close(&pair);
}

Test(gate_loss, R_2_15_a_datagram_in_segments_under_a_pending_sa_is_sent_and_lost)
{
	static const char text[3000];
	struct latch_flow flow;
	struct pair pair = latched_pair(IPV4, &flow);
	unsigned long before = looped();

	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	set_option(pair.client, IPPROTO_UDP, UDP_SEGMENT, 1000);
	cr_expect_eq(send(pair.client, text, sizeof(text), 0), sizeof(text), "%s", strerror(errno));
	cr_expect_eq(drops_for(LATCH_DROP_SA_PENDING).egress, 1);
	cr_expect_eq(looped(), before, "a datagram left");
	udp_close(&pair);
}

static void expect_not_sent(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	send_byte(fd);
	cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	cr_expect_eq(info.tcpi_unacked, 0, "TCP took the segment for sent");
	cr_expect_eq(info.tcpi_ca_state, 0, "TCP has reduced its window: state %u",
		     info.tcpi_ca_state);
}

/* A congestion notice would make TCP reduce its window (CWR) at each rekey. */
Test(gate_loss, a_tcp_segment_under_a_pending_sa_is_not_sent_and_reduces_no_window)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);

	put_latch(&flow, LATCH_OWNER_SOCKET);
	make_esp("ip", "tcp", flow.remote_port);
	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	expect_not_sent(pair.client);
	cr_expect_geq(drops_for(LATCH_DROP_SA_PENDING).egress, 1);
	close_pair(&pair);
}
