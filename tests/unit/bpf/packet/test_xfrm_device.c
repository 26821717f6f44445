/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which devices are tunnels, and where the SAs of an xfrm interface are. The test compiles the text
 * of bpf/packet/xfrm_device.h, with the members of the kernel's structures that it reads.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* ---- in place of bpf/db/maps.h and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define OWN_FRAME		 __attribute__((unused))
#define BPF_CORE_READ(x, member) ((x)->member)
#define bpf_core_type_size(type) sizeof(type)

struct net {
	int any;
};

struct rtnl_link_ops {
	const char *kind;
};

struct net_device {
	const struct rtnl_link_ops *rtnl_link_ops;
	char rest[40]; /* its private part begins behind it, aligned */
};

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

/* As the kernel's: cuts the text, and ends it. */
static long bpf_probe_read_kernel_str(void *to, __u32 size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	((char *)to)[length] = '\0';
	return (long)length + 1;
}

#include "packet/xfrm_device.h"

static bool takes_packets_in(const char *kind)
{
	struct rtnl_link_ops ops = {kind};
	struct net_device device = {.rtnl_link_ops = &ops};

	return is_tunnel(kind_of_device(&device));
}

Test(xfrm_device, a_device_that_puts_packets_into_others_is_a_tunnel)
{
	static const char *const kinds[] = {
		"vti",	     "vti6",	  "gre",       "gretap", "erspan", "ip6gre",
		"ip6gretap", "ip6erspan", "ipip",      "ip6tnl", "sit",	   "vxlan",
		"geneve",    "bareudp",	  "wireguard", "gtp",	 "ovpn",   "amt",
	};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		cr_expect(takes_packets_in(kinds[i]), "%s", kinds[i]);
}

Test(xfrm_device, any_other_device_is_none)
{
	static const char *const kinds[] = {"veth", "vlan",   "bridge", "bond",	   "dummy",
					    "xfrm", "ipvlan", "vrf",	"macvtap", "vt",
					    "gr",   "",	      "macsec", "gt"};
	struct net_device card = {};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		cr_expect_not(takes_packets_in(kinds[i]), "%s", kinds[i]);
	cr_expect_not(is_tunnel(kind_of_device(&card)), "a card has no kind");
	cr_expect_not(is_tunnel(kind_of_device(NULL)), "no device");
}

static struct net here, there;

/* The place of the SAs of a device with private data that name this device and this namespace. */
static enum sas_place place_by(const char *kind, bool names_itself, struct net *of)
{
	static struct {
		struct net_device device;
		char rest[2 * NETDEV_PRIVATE_ALIGN + sizeof(struct xfrm_if_start)];
	} made __attribute__((aligned(NETDEV_PRIVATE_ALIGN)));
	struct rtnl_link_ops ops = {kind};
	struct xfrm_if_start start = {.dev = names_itself ? &made.device : NULL, .net = of};
	size_t at = (sizeof(made.device) + NETDEV_PRIVATE_ALIGN - 1) & -NETDEV_PRIVATE_ALIGN;

	made.device.rtnl_link_ops = &ops;
	memcpy((char *)&made + at, &start, sizeof(start));
	return place_of_sas(&made.device, &here);
}

Test(xfrm_device, the_sas_of_an_xfrm_interface_are_in_this_namespace_only_if_the_interface_shows_it)
{
	cr_expect_eq(place_by("xfrm", true, &here), SAS_PLACE_HERE);
	cr_expect_eq(place_by("xfrm", true, &there), SAS_PLACE_HIDDEN);
	cr_expect_eq(place_by("xfrm", false, &here), SAS_PLACE_HIDDEN, "another layout");
}

Test(xfrm_device, the_sas_behind_vti_are_hidden_and_no_other_device_has_any)
{
	cr_expect_eq(place_by("vti", true, &here), SAS_PLACE_HIDDEN);
	cr_expect_eq(place_by("vti6", true, &here), SAS_PLACE_HIDDEN);
	cr_expect_eq(place_by("gre", true, &here), SAS_PLACE_NONE);
	cr_expect_eq(place_by("veth", true, &here), SAS_PLACE_NONE);
}
