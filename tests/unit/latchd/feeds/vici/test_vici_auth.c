/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * list-conn messages of one or two configurations "x" and "y", each with one or
 * more remote-N sections, read into one table of authentication classes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "fake/vici_json.h"
#include "latchd/feeds/vici/auth.h"

static struct vici_auth auth;

static void finish(void)
{
	vici_auth_free(&auth);
}

TestSuite(vici_auth, .fini = finish);

static void list_one(const char *config_name, const char *rounds)
{
	char json[512];

	snprintf(json, sizeof(json), "{\"%s\":{%s}}", config_name, rounds);
	cr_assert_eq(vici_auth_read_listed(&auth, vici_from_json(json)), 0);
}

static enum feed_auth class_of(const char *rounds)
{
	enum feed_auth class = FEED_AUTH_NULL;

	vici_auth_listing_begin(&auth, 0);
	list_one("x", rounds);
	cr_assert_eq(vici_auth_listing_end(&auth, NULL), 0);
	cr_assert(vici_auth_find(&auth, "x", &class));
	return class;
}

#define ROUND(number, class) "\"remote-" number "\":{\"class\":\"" class "\"}"

Test(vici_auth, charons_class_names_are_mapped_to_authentication_classes)
{
	cr_expect_eq(class_of(ROUND("1", "public key")), FEED_AUTH_PUBKEY);
	cr_expect_eq(class_of(ROUND("1", "pre-shared key")), FEED_AUTH_PSK);
	cr_expect_eq(class_of(ROUND("1", "EAP")), FEED_AUTH_EAP);
	cr_expect_eq(class_of(ROUND("1", "XAuth")), FEED_AUTH_XAUTH);
	cr_expect_eq(class_of(ROUND("1", "any")), FEED_AUTH_UNKNOWN);
	cr_expect_eq(class_of(ROUND("1", "public keys")), FEED_AUTH_UNKNOWN);
	cr_expect_eq(class_of(""), FEED_AUTH_UNKNOWN);
	cr_expect_eq(class_of("\"remote-1\":{}"), FEED_AUTH_UNKNOWN);
}

Test(vici_auth, only_remote_authentication_rounds_count)
{
	cr_expect_eq(
		class_of("\"local-1\":{\"class\":\"public key\"}," ROUND("1", "pre-shared key")),
		FEED_AUTH_PSK);
	cr_expect_eq(class_of("\"remote-\":{\"class\":\"public key\"}"), FEED_AUTH_UNKNOWN);
	cr_expect_eq(class_of("\"remote-1\":\"public key\""), FEED_AUTH_UNKNOWN);
}

Test(vici_auth, eap_or_xauth_or_else_the_weakest_of_several_rounds_counts)
{
	cr_expect_eq(class_of(ROUND("1", "public key") "," ROUND("2", "EAP")), FEED_AUTH_EAP);
	cr_expect_eq(class_of(ROUND("1", "pre-shared key") "," ROUND("2", "XAuth")),
		     FEED_AUTH_XAUTH);
	cr_expect_eq(class_of(ROUND("1", "public key") "," ROUND("2", "pre-shared key")),
		     FEED_AUTH_PSK);
	cr_expect_eq(class_of(ROUND("1", "pre-shared key") "," ROUND("2", "public key")),
		     FEED_AUTH_PSK);
	cr_expect_eq(class_of(ROUND("1", "public key") "," ROUND("2", "any")), FEED_AUTH_UNKNOWN);
}

Test(vici_auth, the_weaker_of_two_configurations_of_one_name_counts)
{
	enum feed_auth class;

	vici_auth_listing_begin(&auth, 0);
	list_one("x", ROUND("1", "pre-shared key"));
	list_one("x", ROUND("1", "public key"));
	list_one("y", ROUND("1", "public key"));
	vici_auth_listing_end(&auth, NULL);
	cr_assert(vici_auth_find(&auth, "x", &class));
	cr_expect_eq(class, FEED_AUTH_PSK);
	cr_assert(vici_auth_find(&auth, "y", &class));
	cr_expect_eq(class, FEED_AUTH_PUBKEY);
	/* Only within one answer: the next answer replaces the class. */
	cr_expect_eq(class_of(ROUND("1", "public key")), FEED_AUTH_PUBKEY);
}

Test(vici_auth, an_answer_counts_only_for_ike_sas_set_up_before_the_query)
{
	enum feed_auth class;

	cr_expect_not(vici_auth_find(&auth, "x", &class));
	vici_auth_listing_begin(&auth, 10);
	list_one("x", ROUND("1", "public key"));
	cr_expect(vici_auth_find(&auth, "x", &class));
	cr_assert_eq(vici_auth_outdate(&auth, "x", 10), 0);
	cr_expect(vici_auth_find(&auth, "x", &class));
	cr_assert_eq(vici_auth_outdate(&auth, "x", 11), 0);
	cr_expect_not(vici_auth_find(&auth, "x", &class));
	vici_auth_listing_begin(&auth, 11);
	list_one("x", ROUND("1", "pre-shared key"));
	cr_assert(vici_auth_find(&auth, "x", &class));
	cr_expect_eq(class, FEED_AUTH_PSK);
}

Test(vici_auth, an_unlisted_configuration_keeps_its_class_or_has_none_and_needs_no_new_query)
{
	enum feed_auth class = FEED_AUTH_PUBKEY;

	vici_auth_listing_begin(&auth, 1);
	cr_assert_eq(vici_auth_listing_end(&auth, "gone"), 0);
	cr_assert(vici_auth_find(&auth, "gone", &class));
	cr_expect_eq(class, FEED_AUTH_UNKNOWN);
	/* A configuration that was unloaded while it has IKE_SAs keeps its class. */
	cr_assert_eq(class_of(ROUND("1", "pre-shared key")), FEED_AUTH_PSK);
	vici_auth_listing_begin(&auth, 2);
	cr_assert_eq(vici_auth_listing_end(&auth, "x"), 0);
	cr_assert(vici_auth_find(&auth, "x", &class));
	cr_expect_eq(class, FEED_AUTH_PSK);
}

Test(vici_auth, a_configuration_name_that_does_not_fit_is_skipped)
{
	char name[FEED_NAME_MAX + 1];
	enum feed_auth class;

	memset(name, 'n', FEED_NAME_MAX);
	name[FEED_NAME_MAX] = '\0';
	vici_auth_listing_begin(&auth, 0);
	list_one(name, ROUND("1", "public key"));
	cr_expect_eq(auth.entry_count, 0);
	name[FEED_NAME_MAX - 1] = '\0';
	cr_expect_not(vici_auth_find(&auth, name, &class), "a shortened name is another name");
}

Test(vici_auth, the_number_of_configurations_is_bounded)
{
	char name[32];
	unsigned int i;

	for (i = 0; i < VICI_AUTH_ENTRIES_MAX; i++) {
		snprintf(name, sizeof(name), "conn-%u", i);
		cr_assert_eq(vici_auth_outdate(&auth, name, 1), 0, "%s", name);
	}
	cr_expect_eq(vici_auth_outdate(&auth, "one-more", 1), -E2BIG);
	cr_expect_eq(vici_auth_listing_end(&auth, "one-more"), -E2BIG);
	cr_expect_eq(vici_auth_read_listed(&auth, vici_from_json("{\"one-more\":{}}")), -E2BIG);
	cr_expect_eq(vici_auth_outdate(&auth, "conn-7", 2), 0);
	vici_auth_free(&auth);
	cr_expect_eq(vici_auth_outdate(&auth, "one-more", 1), 0);
}

static bool traps_of(const char *action)
{
	const struct vici_remote *remote;
	char rounds[256];

	snprintf(rounds, sizeof(rounds),
		 ROUND("1", "public key") ",\"children\":{\"t\":{\"dpd_action\":\"%s\"}}", action);
	class_of(rounds);
	cr_assert(vici_auth_remote(&auth, "x", 0, &remote));
	return remote->traps;
}

Test(vici_auth, the_actions_of_old_and_new_charons_show_traps)
{
	cr_expect(traps_of("trap"));
	cr_expect(traps_of("hold"));
	cr_expect(traps_of("what comes next"));
	cr_expect_not(traps_of("none"));
	cr_expect_not(traps_of("clear"));
	cr_expect_not(traps_of("start"));
	cr_expect_not(traps_of("restart"));
}
