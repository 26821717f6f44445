/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Namespaces of the test, a private bpffs, and maps with only the netfilter gate's programs. The
 * event loop runs while a test waits.
 */
#include "netfilter_fixture.h"

#include "latchd/enforce/netfilter/netfilter_netns.h"
#include "latchd/net/netns.h"
#include "common/loop.h"

#define LIMIT_MS 60000

static struct netfilter b;
static struct loop *loop;
static struct netfilter_netns *netfilter_netns;
static struct loop_timer watch;
static unsigned int waited_ms;

static void start(void)
{
	netfilter_private_pins();
	netfilter_load(&b);
	loop = loop_new();
	cr_assert_not_null(loop);
}

static void finish(void)
{
	netfilter_netns_free(netfilter_netns);
	loop_free(loop);
	object_release(&b.object);
}

TestSuite(netfilter_netns, .init = start, .fini = finish, .timeout = 180);

static void begin(void)
{
	netfilter_netns = netfilter_netns_new(loop, &b.maps, &b.gate);
	cr_assert_not_null(netfilter_netns);
	netfilter_netns_start(netfilter_netns);
}

static bool is_attached_to(const struct namespace *ns)
{
	struct netfilter_netns_entry known[128];
	size_t count = netfilter_netns_list(netfilter_netns, known, 128), i;

	for (i = 0; i < count; i++)
		if (known[i].cookie == ns->cookie)
			return known[i].attached;
	return false;
}

static size_t known(void)
{
	return netfilter_netns_list(netfilter_netns, NULL, 0);
}

/* ---- waiting, while the loop runs */

static bool (*awaited)(void);

static void check_awaited(void *context)
{
	(void)context;
	waited_ms += 20;
	if (awaited() || waited_ms > LIMIT_MS)
		loop_stop(loop);
	else
		loop_timer_arm(&watch, 20);
}

static void await(bool (*condition)(void))
{
	awaited = condition;
	waited_ms = 0;
	loop_timer_init(loop, &watch, check_awaited, NULL);
	loop_timer_arm(&watch, 1);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert(condition(), "not within %d ms", LIMIT_MS);
}

static bool none_is_known(void)
{
	return !known();
}

static bool all_are_attached(void)
{
	return known() == 1 && netfilter_pins() == 4;
}

static int rounds;

static bool some_rounds_are_over(void)
{
	return ++rounds > 400;
}

/* ---- tables */

static struct latch_flow latch(const struct namespace *ns, enum latch_owner owner)
{
	struct latch_flow flow = {.netns = ns->cookie, .local_port = 80, .family = AF_INET};
	struct latch entry = {.owner = owner};

	cr_assert_eq(bpf_map_update_elem(b.maps.latches, &flow, &entry, BPF_ANY), 0);
	return flow;
}

static void add_sa_with(const struct namespace *ns, uint8_t flags)
{
	struct latch_sa_key key = {.netns = ns->cookie, .spi = 0x100, .family = AF_INET};
	struct latch_sa sa = {.word = {.flags = flags}};

	cr_assert_eq(bpf_map_update_elem(b.maps.sas, &key, &sa, BPF_ANY), 0);
}

static void add_sa(const struct namespace *ns)
{
	add_sa_with(ns, 0);
}

/* ---- tests */

Test(netfilter_netns, the_start_attaches_to_namespaces_of_latches_sas_and_an_earlier_latchd)
{
	struct namespace latched, with_sa, earlier, unknown;

	namespace_start(&latched);
	namespace_start(&with_sa);
	namespace_start(&earlier);
	namespace_start(&unknown);
	latch(&latched, LATCH_OWNER_SOCKET);
	add_sa(&with_sa);
	netfilter_attach(&b, &earlier);
	begin();
	cr_expect(is_attached_to(&latched));
	cr_expect(is_attached_to(&with_sa));
	cr_expect(is_attached_to(&earlier));
	cr_expect_eq(known(), 3);
	cr_expect_eq(netfilter_pins(), 12);
	namespace_end(&latched);
	namespace_end(&with_sa);
	namespace_end(&earlier);
	namespace_end(&unknown);
}

Test(netfilter_netns, adding_a_namespace_twice_lists_it_once)
{
	struct namespace ns;

	namespace_start(&ns);
	begin();
	netfilter_netns_add(netfilter_netns, ns.cookie, NETFILTER_NETNS_OWN);
	netfilter_netns_add(netfilter_netns, ns.cookie, NETFILTER_NETNS_OWN);
	netfilter_netns_add(netfilter_netns, 0, NETFILTER_NETNS_OWN);
	cr_expect(is_attached_to(&ns));
	cr_expect_eq(known(), 1);
	namespace_end(&ns);
}

Test(netfilter_netns, the_gate_is_detached_from_a_namespace_without_processes)
{
	struct namespace ns;

	namespace_start(&ns);
	begin();
	netfilter_netns_add(netfilter_netns, ns.cookie, NETFILTER_NETNS_OWN);
	add_sa(&ns);
	latch(&ns, LATCH_OWNER_TIME_WAIT);
	cr_assert(is_attached_to(&ns));
	namespace_end(&ns);
	if (namespace_gone_error() != -ENOENT)
		cr_skip_test("this machine hides processes even from root");
	await(none_is_known);
	cr_expect_eq(netfilter_pins(), 0);
}

Test(netfilter_netns, the_gate_stays_while_a_latched_socket_is_in_the_namespace)
{
	struct latch_flow flow;
	struct namespace ns;

	namespace_start(&ns);
	begin();
	netfilter_netns_add(netfilter_netns, ns.cookie, NETFILTER_NETNS_OWN);
	flow = latch(&ns, LATCH_OWNER_SOCKET);
	namespace_end(&ns);
	if (namespace_gone_error() != -ENOENT)
		cr_skip_test("this machine hides processes even from root");
	await(some_rounds_are_over);
	cr_expect_eq(known(), 1);
	cr_expect_eq(netfilter_pins(), 4);
	cr_assert_eq(bpf_map_delete_elem(b.maps.latches, &flow), 0);
	await(none_is_known);
	cr_expect_eq(netfilter_pins(), 0);
}

static void mount_at(const struct namespace *ns, const char *path)
{
	char source[64];

	close(open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0600));
	snprintf(source, sizeof(source), "/proc/%d/ns/net", (int)ns->pid);
	cr_assert_eq(mount(source, path, NULL, MS_BIND, NULL), 0, "%s", strerror(errno));
}

Test(netfilter_netns, the_gate_stays_while_the_namespace_is_mounted)
{
	char path[] = "/tmp/latchd a namespace XXXXXX";
	struct namespace ns;

	close(mkstemp(path));
	namespace_start(&ns);
	mount_at(&ns, path);
	namespace_end(&ns);
	begin();
	netfilter_netns_add(netfilter_netns, ns.cookie, NETFILTER_NETNS_OWN);
	cr_expect(is_attached_to(&ns), "a namespace without any process");
	rounds = 0;
	await(some_rounds_are_over);
	cr_expect(is_attached_to(&ns));
	cr_assert_eq(umount(path), 0);
	unlink(path);
	if (namespace_gone_error() != -ENOENT)
		cr_skip_test("this machine hides processes even from root");
	await(none_is_known);
	cr_expect_eq(netfilter_pins(), 0);
}

Test(netfilter_netns, a_detached_gate_is_attached_again)
{
	struct namespace ns;

	namespace_start(&ns);
	begin();
	netfilter_netns_add(netfilter_netns, ns.cookie, NETFILTER_NETNS_OWN);
	netfilter_gate_detach(ns.cookie);
	cr_assert_not(is_attached_to(&ns));
	await(all_are_attached);
	cr_expect(is_attached_to(&ns));
	namespace_end(&ns);
}

Test(netfilter_netns, a_kernel_without_netfilter_programs_lists_no_namespace)
{
	struct namespace ns;

	namespace_start(&ns);
	latch(&ns, LATCH_OWNER_SOCKET);
	b.gate = (struct netfilter_gate){.egress = -1, .ingress = -1};
	begin();
	netfilter_netns_add(netfilter_netns, ns.cookie, NETFILTER_NETNS_OWN);
	cr_expect_not(netfilter_netns_is_offered(netfilter_netns));
	cr_expect_eq(known(), 0);
	cr_expect_eq(netfilter_pins(), 0);
	namespace_end(&ns);
}

/* ---- namespaces of local users */

#define CROWD (NETFILTER_NETNS_FOREIGN_MAX + 6)

static struct namespace crowd[CROWD];

static void start_crowd(void)
{
	size_t i;

	for (i = 0; i < CROWD; i++)
		namespace_start_foreign(&crowd[i]);
}

static void end_crowd(void)
{
	size_t i;

	for (i = 0; i < CROWD; i++)
		namespace_end(&crowd[i]);
}

Test(netfilter_netns, namespaces_of_local_users_have_a_share_and_one_pass_finds_them)
{
	struct namespace own;
	uint64_t passes;
	size_t i;

	start_crowd();
	namespace_start(&own);
	begin();
	passes = netns_passes();
	for (i = 0; i < CROWD; i++)
		netfilter_netns_add(netfilter_netns, crowd[i].cookie,
				    i % 2 ? NETFILTER_NETNS_UNKNOWN : NETFILTER_NETNS_FOREIGN);
	cr_expect_eq(known(), NETFILTER_NETNS_FOREIGN_MAX);
	netfilter_netns_add(netfilter_netns, own.cookie, NETFILTER_NETNS_UNKNOWN);
	cr_expect(is_attached_to(&own), "a namespace of the host needs no place in the share");
	cr_expect_leq(netns_passes(), passes + 1);
	await(some_rounds_are_over);
	cr_expect_leq(netns_passes(), passes + 1, "a round needs no pass");
	namespace_end(&own);
	end_crowd();
}

static bool a_refused_one_is_attached(void)
{
	size_t i, attached = 0;

	for (i = NETFILTER_NETNS_FOREIGN_MAX; i < CROWD; i++)
		attached += is_attached_to(&crowd[i]);
	return attached;
}

/* Each refused namespace has an SA: the tables are where it is found again. */
Test(netfilter_netns, a_namespace_without_a_place_gets_the_next_that_becomes_free)
{
	size_t i;

	start_crowd();
	begin();
	for (i = 0; i < CROWD; i++)
		netfilter_netns_add(netfilter_netns, crowd[i].cookie, NETFILTER_NETNS_FOREIGN);
	for (i = NETFILTER_NETNS_FOREIGN_MAX; i < CROWD; i++)
		add_sa_with(&crowd[i], LATCH_SA_FOREIGN);
	cr_expect_eq(known(), NETFILTER_NETNS_FOREIGN_MAX);
	cr_expect(netfilter_netns_share_is_short(netfilter_netns));
	cr_expect_not(a_refused_one_is_attached());
	/* A key manager serves it now, which frees its place. */
	netfilter_netns_add(netfilter_netns, crowd[0].cookie, NETFILTER_NETNS_OWN);
	await(a_refused_one_is_attached);
	cr_expect_eq(known(), NETFILTER_NETNS_FOREIGN_MAX + 1);
	cr_expect(netfilter_netns_share_is_short(netfilter_netns), "the others have none still");
	end_crowd();
}

Test(netfilter_netns, namespaces_with_and_without_a_place_are_foreign_and_served_ones_are_not)
{
	struct namespace own;
	size_t i;

	start_crowd();
	namespace_start(&own);
	begin();
	netfilter_netns_add(netfilter_netns, crowd[0].cookie, NETFILTER_NETNS_FOREIGN);
	cr_expect(netfilter_netns_is_foreign(netfilter_netns, crowd[0].cookie));
	cr_expect_not(netfilter_netns_is_foreign(netfilter_netns, own.cookie), "not known");
	for (i = 1; i < CROWD; i++)
		netfilter_netns_add(netfilter_netns, crowd[i].cookie, NETFILTER_NETNS_FOREIGN);
	netfilter_netns_add(netfilter_netns, own.cookie, NETFILTER_NETNS_UNKNOWN);
	cr_expect_not(netfilter_netns_is_foreign(netfilter_netns, own.cookie));
	cr_expect(netfilter_netns_is_foreign(netfilter_netns, crowd[CROWD - 1].cookie), "no place");
	namespace_end(&own);
	end_crowd();
}

Test(netfilter_netns, a_key_manager_is_served_whatever_the_share_of_local_users)
{
	size_t i;

	start_crowd();
	begin();
	for (i = 1; i < CROWD; i++)
		netfilter_netns_add(netfilter_netns, crowd[i].cookie, NETFILTER_NETNS_FOREIGN);
	netfilter_netns_add(netfilter_netns, crowd[0].cookie, NETFILTER_NETNS_OWN);
	cr_expect(is_attached_to(&crowd[0]));
	cr_expect_eq(known(), NETFILTER_NETNS_FOREIGN_MAX + 1);
	/* A served namespace frees its place. */
	netfilter_netns_add(netfilter_netns, crowd[1].cookie, NETFILTER_NETNS_OWN);
	netfilter_netns_add(netfilter_netns, crowd[CROWD - 1].cookie, NETFILTER_NETNS_FOREIGN);
	cr_expect(is_attached_to(&crowd[CROWD - 1]));
	end_crowd();
}

Test(netfilter_netns, sas_of_local_users_at_the_start_have_the_same_share)
{
	struct namespace own;
	size_t i;

	start_crowd();
	namespace_start(&own);
	for (i = 0; i < CROWD; i++)
		add_sa_with(&crowd[i], LATCH_SA_FOREIGN);
	add_sa(&own);
	begin();
	cr_expect_eq(known(), NETFILTER_NETNS_FOREIGN_MAX + 1);
	cr_expect(is_attached_to(&own));
	namespace_end(&own);
	end_crowd();
}
