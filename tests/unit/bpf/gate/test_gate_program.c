/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programs of the cgroup gate, run by BPF_PROG_RUN. The kernel gives such a packet a socket of
 * no protocol, so the gate has no flow to check. The test shows that the gate passes every such
 * packet, whatever its shape, and counts nothing. Packets with an SA need tests/vm.
 *
 *	test --- packet ---> BPF_PROG_RUN: gate_egress, gate_ingress ---> verdict
 */
#include "loaded_gates.h"

#include <bpf/bpf.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdint.h>

#include "latchd/maps/tables.h"

#define GATE_PASS	   1
#define INSTRUCTIONS_LIMIT 36000 /* that the verifier processes; its own limit is a million */

TestSuite(gate_program, .init = gates_set_up, .fini = gates_tear_down, .timeout = 60);

struct packet {
	uint8_t bytes[256];
	size_t length;
};

static void add(struct packet *packet, const void *bytes, size_t length)
{
	cr_assert_leq(packet->length + length, sizeof(packet->bytes));
	memcpy(packet->bytes + packet->length, bytes, length);
	packet->length += length;
}

static struct packet ethernet(uint16_t type)
{
	struct ether_header header = {.ether_type = htons(type)};
	struct packet packet = {.length = 0};

	add(&packet, &header, sizeof(header));
	return packet;
}

/* 192.0.2.1 to 192.0.2.2. words: the header length; 5 of them are written, the others are 0. */
static struct packet ipv4(uint8_t words, uint8_t protocol)
{
	struct packet packet = ethernet(ETHERTYPE_IP);
	const uint8_t header[60] = {0x40 | words, 0, 0, 100, 0,	  0, 0, 0, 64, protocol, 0, 0,
				    192,	  0, 2, 1,   192, 0, 2, 2};

	add(&packet, header, words * 4 < 20 ? 20 : words * 4);
	return packet;
}

/* With so many destination options headers before the protocol. */
static struct packet ipv6(unsigned int extensions, uint8_t protocol)
{
	struct packet packet = ethernet(ETHERTYPE_IPV6);
	uint8_t header[40] = {0x60, 0, 0, 0, 0, 60, extensions ? IPPROTO_DSTOPTS : protocol, 64};
	uint8_t extension[8] = {0, 0, 1, 4};

	add(&packet, header, sizeof(header));
	while (extensions--) {
		extension[0] = extensions ? IPPROTO_DSTOPTS : protocol;
		add(&packet, extension, sizeof(extension));
	}
	return packet;
}

static void expect_pass(const struct packet *packet, const char *name)
{
	enum gates_part part;

	for (part = GATES_EGRESS; part <= GATES_INGRESS; part++) {
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet->bytes,
			    .data_size_in = (__u32)packet->length, .repeat = 1);
		int err = bpf_prog_test_run_opts(gates_program(gates, part), &run);

		if (err == -EOPNOTSUPP || err == -ENOTSUP)
			cr_skip_test("this kernel has no BPF_PROG_RUN for cgroup programs");
		cr_assert_eq(err, 0, "%s: %s", name, strerror(-err));
		cr_expect_eq(run.retval & 1, GATE_PASS, "%s: %s", gates_program_name(gates, part),
			     name);
	}
}

static void expect_nothing_counted(void)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];
	uint64_t counters[LATCH_COUNTER_COUNT];
	int i;

	cr_assert_eq(drops_read(&maps, drops), 0);
	cr_assert_eq(counters_read(&maps, counters), 0);
	for (i = 0; i < LATCH_DROP_COUNT; i++)
		cr_expect(!drops[i].egress && !drops[i].ingress, "%d", i);
	for (i = 0; i < LATCH_COUNTER_COUNT; i++)
		cr_expect_eq(counters[i], 0, "%d", i);
}

Test(gate_program, a_packet_of_a_socket_without_protocol_passes_uncounted)
{
	static const uint8_t protocols[] = {IPPROTO_TCP,  IPPROTO_UDP,	IPPROTO_ESP, IPPROTO_AH,
					    IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_GRE, 255};
	static const uint8_t payload[32] = {0x10, 0x01};
	size_t i;

	for (i = 0; i < sizeof(protocols); i++) {
		struct packet v4 = ipv4(5, protocols[i]), v6 = ipv6(0, protocols[i]);

		add(&v4, payload, sizeof(payload));
		add(&v6, payload, sizeof(payload));
		expect_pass(&v4, "IPv4");
		expect_pass(&v6, "IPv6");
	}
	expect_nothing_counted();
}

Test(gate_program, a_malformed_packet_of_a_socket_without_protocol_passes_uncounted)
{
	struct packet cut = ipv4(5, IPPROTO_ESP), short_words = ipv4(1, IPPROTO_ESP);
	struct packet options = ipv4(15, IPPROTO_AH), six = ipv6(6, IPPROTO_ESP);
	struct packet seven = ipv6(7, IPPROTO_ESP), other = ethernet(ETHERTYPE_ARP);

	add(&other, six.bytes, 64);
	expect_pass(&cut, "nothing after the header");
	expect_pass(&short_words, "a header length of 4 bytes");
	expect_pass(&options, "60 bytes of header");
	expect_pass(&six, "six extension headers");
	expect_pass(&seven, "seven extension headers");
	expect_pass(&other, "no IP");
	expect_nothing_counted();
}

/* ---- the verifier */

Test(gate_program, each_program_needs_few_verifier_instructions)
{
	enum gates_part part;

	for (part = GATES_EGRESS; part < GATES_PARTS; part++) {
		struct bpf_prog_info info = {0};
		__u32 length = sizeof(info);

		cr_assert_eq(bpf_prog_get_info_by_fd(gates_program(gates, part), &info, &length),
			     0);
		if (!info.verified_insns)
			cr_skip_test("this kernel does not report verified instructions");
		cr_log_info("%s: %u instructions", gates_program_name(gates, part),
			    info.verified_insns);
		cr_expect_lt(info.verified_insns, INSTRUCTIONS_LIMIT, "%s",
			     gates_program_name(gates, part));
	}
}
