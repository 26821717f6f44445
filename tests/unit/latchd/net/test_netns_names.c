/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of network namespaces and back. */
#include <criterion/criterion.h>
#include <errno.h>

#include "latchd/net/netns_names.h"

static struct netns_name sorted[] = {{3, "blue"}, {7, "green"}, {7, "grey"}, {9, "12"}};
static const struct netns_names names = {.names = sorted, .count = 4};

TestSuite(netns_names);

Test(netns_names, a_namespace_has_its_first_name)
{
	static const struct netns_names none;

	cr_expect_str_eq(netns_names_of(&names, 3), "blue");
	cr_expect_str_eq(netns_names_of(&names, 7), "green");
	cr_expect_null(netns_names_of(&names, 4));
	cr_expect_null(netns_names_of(&names, 10));
	cr_expect_null(netns_names_of(&none, 3));
}

static uint64_t cookie_of(const char *word)
{
	uint64_t cookie = 0;
	int err = netns_names_find(&names, word, &cookie);

	cr_expect(err == 0 || err == -ENOENT);
	return err ? 0 : cookie;
}

Test(netns_names, a_word_is_a_cookie_or_else_a_name)
{
	cr_expect_eq(cookie_of("grey"), 7);
	cr_expect_eq(cookie_of("4026531840"), 4026531840);
	cr_expect_eq(cookie_of("12"), 12, "no name stands for a cookie");
	cr_expect_eq(cookie_of("gre"), 0);
	cr_expect_eq(cookie_of("7x"), 0);
	cr_expect_eq(cookie_of(""), 0);
	cr_expect_eq(cookie_of("99999999999999999999"), 0);
}

Test(netns_names, only_mounts_of_ip_netns_are_names)
{
	cr_expect_str_eq(netns_names_of_path("/proc/1/root/run/netns/blue"), "blue");
	cr_expect_str_eq(netns_names_of_path("/proc/1/root/var/run/netns/blue"), "blue");
	cr_expect_null(netns_names_of_path("/proc/1/root/home/eve/run/netns/blue"));
	cr_expect_null(netns_names_of_path("/proc/1/root/run/netns"));
}

Test(netns_names, a_look_that_just_ended_is_not_repeated)
{
	struct netns_names looked = {0};

	netns_names_refresh(&looked);
	cr_expect_gt(looked.due_ms, 0);
	looked.count = 0;
	netns_names_refresh(&looked);
	cr_expect_eq(looked.count, 0);
	netns_names_release(&looked);
}
