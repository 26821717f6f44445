/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads whole files: defaults, the sections [enforce], [control], [api] and [feed], and their
 * faults. */
#include "config_file.h"

#include <stdbool.h>

TestSuite(config, .init = scratch_make, .fini = scratch_remove);

Test(config, an_absent_file_gives_the_defaults)
{
	cr_assert_eq(config_load(scratch_path("absent"), 0, &config, &failure), 0);
	cr_expect_eq(config.cgroup_count, 0);
	cr_expect_eq(config.mode, CONFIG_MODE_KEPT);
	cr_expect_eq(config.pending_ms, 5000);
	cr_expect_eq(config.policy_grace_ms, 30000);
	cr_expect_eq(config.latch_capacity, 65536);
	cr_expect_str_eq(config.control_socket, "/run/latchd/latchd.sock");
	cr_expect_str_eq(config.news_socket, "/run/latch/news");
	cr_expect_str_eq(config.control_group, "");
	cr_expect_not(config.answers);
	cr_assert_eq(config.feed_count, 1);
	cr_expect_str_eq(config.feeds[0].name, "charon");
	cr_expect_eq(config.feeds[0].type, CONFIG_FEED_VICI);
	cr_expect_str_eq(config.feeds[0].socket, "/var/run/charon.vici");
}

Test(config, an_absent_file_that_the_user_named_is_an_error)
{
	const char *path = scratch_path("absent");

	cr_assert_eq(config_load(path, 1, &config, &failure), -ENOENT);
	cr_expect(strstr(failure.text, path) && strstr(failure.text, "No such file"), "%s",
		  failure.text);
}

Test(config, a_directory_is_an_error)
{
	cr_assert_eq(config_load(scratch_dir, 0, &config, &failure), -EISDIR);
	cr_expect(strstr(failure.text, scratch_dir), "%s", failure.text);
}

Test(config, every_key_is_read_into_its_field)
{
	cr_assert_eq(load("# a comment\n"
			  "; another\n"
			  "\n"
			  "[enforce]\n"
			  "cgroup = /sys/fs/cgroup/web ; why\n"
			  "pending-limit=250ms\n"
			  "policy-grace = 12s\n"
			  "  latches = 1024\n"
			  "[control] # trailing\n"
			  "\tsocket = /run/other/ctl\r\n"
			  "group = wheel\n"
			  "[api]\n"
			  "enabled = on\n"
			  "[feed blue]\n"
			  "type = vici\n"
			  "socket = /run/blue.vici\n"
			  "rdn-matching = relaxed\n"
			  "unambiguous-names = x509 roads\n"
			  "eap-identities = guests\n"
			  "alerts = off\n"
			  "[feed   red-1]\n"
			  "type = vici"),
		     0, "%s", failure.text);
	cr_assert_eq(config.cgroup_count, 1);
	cr_expect_str_eq(config.cgroups[0], "/sys/fs/cgroup/web");
	cr_expect_eq(config.pending_ms, 250);
	cr_expect_eq(config.policy_grace_ms, 12000);
	cr_expect_eq(config.latch_capacity, 1024);
	cr_expect_str_eq(config.control_socket, "/run/other/ctl");
	cr_expect_str_eq(config.control_group, "wheel");
	cr_expect(config.answers);
	cr_assert_eq(config.feed_count, 2);
	cr_expect_str_eq(config.feeds[0].name, "blue");
	cr_expect_str_eq(config.feeds[0].socket, "/run/blue.vici");
	cr_expect_eq(config.feeds[0].rdn_matching, CONFIG_RDN_RELAXED);
	cr_expect_str_eq(config.feeds[0].unambiguous_names, "x509 roads");
	cr_expect_str_eq(config.feeds[0].eap_identities, "guests");
	cr_expect(config.feeds[0].without_alerts);
	cr_expect_not(config.feeds[1].without_alerts);
	cr_expect_eq(config.feeds[1].rdn_matching, CONFIG_RDN_STRICT);
	cr_expect_str_eq(config.feeds[1].unambiguous_names, "");
	cr_expect_str_eq(config.feeds[1].name, "red-1");
	cr_expect_str_eq(config.feeds[1].socket, "/var/run/charon.vici");
}

Test(config, empty_sections_are_allowed)
{
	cr_assert_eq(load("[enforce]\n[control]\n"), 0, "%s", failure.text);
	cr_expect_eq(config.feed_count, 1);
}

Test(config, limits_are_inclusive)
{
	cr_expect_eq(load("[enforce]\npending-limit = 60s\nlatches = 4194304\n"), 0);
	cr_expect_eq(config.pending_ms, 60000);
	cr_expect_eq(config.latch_capacity, 4194304);
	cr_expect_eq(load("[api]\nenabled = off\n"), 0);
	cr_expect_not(config.answers);
	cr_expect_eq(load("[enforce]\npending-limit = 100ms\nlatches = 64\n"), 0);
	cr_expect_eq(config.pending_ms, 100);
	cr_expect_eq(config.latch_capacity, 64);
}

#define A50  A10 A10 A10 A10 A10
#define A100 A50 A50

static const struct refused refused[] = {
	{"[bogus]\n", 1,
	 "unknown section [bogus]; expected [enforce], [control], [api], [feed NAME], [peer "
	 "NAME] or [rule NAME]"},
	{"\n[feed]\n", 2, "unknown section [feed]"},
	{"[feed ]\n", 1, "bad name"},
	{"[feed a b]\n", 1, "bad name"},
	{"[feed -a]\n", 1, "bad name"},
	{"[feed " A10 A10 A10 "aa]\n", 1, "bad name"},
	{"[enforce\n", 1, "bad section heading"},
	{"[enforce] junk\n", 1, "bad section heading"},
	{"[" A100 A50 "]\n", 1, "bad section heading"},
	{"[" A100 "]\n", 1, "unknown section"},
	{"latches = 100\n", 1, "before the first section"},
	{"[enforce]\nlatch = 100\n", 2, "unknown key \"latch\""},
	{"[enforce]\nlatch = 100\n", 2,
	 "expected one of: cgroup, mode, pending-limit, policy-grace, latches"},
	{"[enforce]\nsocket = /x\n", 2, "unknown key \"socket\""},
	{"[control]\nlatches = 100\n", 2, "expected one of: socket, group"},
	{"[enforce]\n# c\nlatches\n", 3, "expected KEY = VALUE"},
	{"[enforce]\n= 5\n", 2, "unknown key \"\""},
	{"[enforce]\nlatches = 100\nlatches = 100\n", 3, "appears twice"},
	{"[enforce]\n[control]\n[enforce]\n", 3, "appears twice"},
	{"[feed a]\ntype=vici\n[feed a]\n", 3, "[feed a] appears twice"},
	{"[feed a]\n", 1, "expected a line type = vici"},
	{"[feed a]\ntype=vici\n[feed b]\nsocket=/x\n[control]\n", 3, "[feed b] has no type"},
	{"[feed a]\ntype=vici\n[feed b]\ntype=vici\n", 3, "socket of [feed a]"},
	{"[feed a]\ntype = pluto\n", 2, "bad value \"pluto\" for type; expected vici"},
	{"[feed a]\nrdn-matching = loose\n", 2, "expected strict, reordered or relaxed"},
	{"[feed a]\nunambiguous-names = *\n", 2, "expected names of connections"},
	{"[feed a]\neap-identities = a, b\n", 2, "expected names of connections"},
	{"[feed a]\nalerts = no\n", 2, "expected on or off"},
	{"[feed a]\ntype = vici\nsocket = unix:///x\n", 3, "absolute path of at most 107 bytes"},
	{"[control]\nsocket = /" A100 A10 "\n", 2, "absolute path of at most 107 bytes"},
	{"[control]\nsocket =\n", 2, "absolute path"},
	{"[api]\nenabled = yes\n", 2, "bad value \"yes\" for enabled; expected on or off"},
	{"[api]\nenabled = ON\n", 2, "expected on or off"},
	{"[api]\nenabled = on\nenabled = on\n", 3, "appears twice"},
	{"[api]\n[api]\n", 2, "appears twice"},
	{"[api]\nsocket = /x\n", 2, "expected one of: enabled"},
	{"[control]\ngroup = a b\n", 2, "a group's name"},
	{"[control]\ngroup = " A10 A10 A10 "aa\n", 2, "a group's name"},
	{"[enforce]\ncgroup = relative\n", 2, "absolute path of a cgroup v2 directory"},
	{"[enforce]\nlatches = 63\n", 2, "a number from 64 to 4194304"},
	{"[enforce]\nlatches = 4194305\n", 2, "a number from 64"},
	{"[enforce]\nlatches = -64\n", 2, "a number from 64"},
	{"[enforce]\nlatches = 64k\n", 2, "a number from 64"},
	{"[enforce]\nlatches = 99999999999999999999999\n", 2, "a number from 64"},
	{"[enforce]\npending-limit = 5\n", 2, "such as 5s"},
	{"[enforce]\npending-limit = 99ms\n", 2, "such as 5s"},
	{"[enforce]\npending-limit = 0s\n", 2, "such as 5s"},
	{"[enforce]\npending-limit = 61s\n", 2, "such as 5s"},
	{"[enforce]\npolicy-grace = 999ms\n", 2, "such as 30s"},
	{"[enforce]\npolicy-grace = 0s\n", 2, "such as 30s"},
	{"[enforce]\npolicy-grace = 601s\n", 2, "such as 30s"},
	{"[enforce]\npolicy-grace = never\n", 2, "such as 30s"},
	{"[enforce]\npending-limit = 5m\n", 2, "such as 5s"},
	{"[enforce]\npending-limit = 18446744073709551615s\n", 2, "such as 5s"},
	{"[enforce]\ncgroup = /" A100 A100 "\n", 2, "line is too long"},
	{"[enforce]\ncgroup = /\x1b[2J\n", 2, "control character 0x1b"},
	/* An indented line is a line like any other, not a value's continuation. */
	{"[enforce]\ncgroup = /x\n  and more\n", 3, "expected KEY = VALUE"},
	{"[enforce]\nbad line\nlatches = 1\n", 2, "expected KEY = VALUE"},
	{"[enforce]\nlatches = 1\nbad line\n", 2, "bad value"},
	{"\xef\xbb\xbf[enforce]\nlatches = 100\n", 2, "before the first section"},
};

Test(config, bad_lines_are_refused_with_file_and_line)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		expect_refused(&refused[i]);
}

Test(config, a_nul_byte_is_refused)
{
	static const char text[] = "[enforce]\nlatches = 100\0\n";

	cr_expect_eq(
		config_load(scratch_write("conf", text, sizeof(text) - 1), 1, &config, &failure),
		-EINVAL);
	cr_expect(strstr(failure.text, ":2: control character 0x00"), "%s", failure.text);
}

Test(config, hostile_text_is_escaped_in_the_error)
{
	cr_expect_eq(load("[enforce]\n\xc2\x9b"
			  "31m = 1\n"),
		     -EINVAL);
	cr_expect(strstr(failure.text, "\"\\xc2\\x9b31m\""), "%s", failure.text);
}

Test(config, a_file_has_at_most_64_feeds)
{
	char text[CONFIG_MAX_FEEDS * 64 + 64] = "";
	int i;

	for (i = 0; i <= CONFIG_MAX_FEEDS; i++) {
		if (i == CONFIG_MAX_FEEDS)
			cr_expect_eq(load(text), 0, "%s", failure.text);
		sprintf(text + strlen(text), "[feed f%d]\ntype = vici\nsocket = /run/%d\n", i, i);
	}
	cr_expect_eq(load(text), -EINVAL);
	cr_expect(strstr(failure.text, ":193: ") && strstr(failure.text, "at most 64"), "%s",
		  failure.text);
}

/* ---- several cgroups */

Test(config, several_cgroups_are_kept_in_their_order_without_needless_slashes)
{
	cr_assert_eq(load("[enforce]\n"
			  "cgroup = /sys/fs/cgroup/kubepods.slice\n"
			  "cgroup = //sys/fs//cgroup/system.slice/\n"
			  "cgroup = /sys/fs/cgroup/kubepods.slice2\n"),
		     0, "%s", failure.text);
	cr_assert_eq(config.cgroup_count, 3);
	cr_expect_str_eq(config.cgroups[0], "/sys/fs/cgroup/kubepods.slice");
	cr_expect_str_eq(config.cgroups[1], "/sys/fs/cgroup/system.slice");
	cr_expect_str_eq(config.cgroups[2], "/sys/fs/cgroup/kubepods.slice2");
}

static void expect_pair_refused(const char *first, const char *second, const char *cause)
{
	char text[1024];

	snprintf(text, sizeof(text), "[enforce]\ncgroup = %s\ncgroup = %s\n", first, second);
	cr_expect_eq(load(text), -EINVAL, "%s and %s are accepted", first, second);
	cr_expect(strstr(failure.text, ":3: ") && strstr(failure.text, cause), "%s", failure.text);
}

Test(config, a_cgroup_below_or_equal_to_another_is_refused)
{
	expect_pair_refused("/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b", "above or below");
	expect_pair_refused("/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "above or below");
	expect_pair_refused("/sys/fs/cgroup/a", "/sys/fs/cgroup//a/", "equal to");
	expect_pair_refused("/sys/fs/cgroup/a", "/sys/fs/cgroup/b/../a", "bad value");
	expect_pair_refused("/sys/fs/cgroup/a", "/sys/fs/cgroup/./b", "bad value");
	expect_pair_refused("/sys/fs/cgroup/a", "b", "bad value");
}

Test(config, more_than_64_cgroups_are_refused)
{
	char text[8192] = "[enforce]\n";
	int i, used = (int)strlen(text);

	for (i = 0; i < CONFIG_MAX_CGROUPS; i++)
		used += sprintf(text + used, "cgroup = /sys/fs/cgroup/pod-%d\n", i);
	cr_expect_eq(load(text), 0, "%s", failure.text);
	cr_expect_eq(config.cgroup_count, CONFIG_MAX_CGROUPS);
	sprintf(text + used, "cgroup = /sys/fs/cgroup/pod-x\n");
	cr_expect_eq(load(text), -EINVAL);
	cr_expect(strstr(failure.text, ":66: ") && strstr(failure.text, "at most 64"), "%s",
		  failure.text);
}

Test(config, the_mode_is_enforce_or_audit)
{
	const struct refused off = {"[enforce]\nmode = off\n", 2,
				    "bad value \"off\" for mode; expected enforce or audit"};

	cr_assert_eq(load("[enforce]\nmode = audit\n"), 0, "%s", failure.text);
	cr_expect_eq(config.mode, CONFIG_MODE_AUDIT);
	cr_assert_eq(load("[enforce]\nmode = enforce\n"), 0, "%s", failure.text);
	cr_expect_eq(config.mode, CONFIG_MODE_ENFORCE);
	expect_refused(&off);
}
