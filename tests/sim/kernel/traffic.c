/* SPDX-License-Identifier: BSD-2-Clause */
/* Compiled as the programs of bpf/ are, since it makes the kernel structures that they read. */
#include "db/accepted.h"
#include "db/listener.h"
#include "gate/stamped_check.h"

#include "kernel/traffic.h"

#define SIM_NETNS      1
#define MODE_TRANSPORT 0
#define REPLAY_WINDOW  32
#define KEY_BITS       288
#define ICV_BITS       128
#define KERNEL_EEXIST  (-17)
#define KERNEL_EINVAL  (-22)

int latch_control(struct latch_control *control);
int watch_sa_add(struct xfrm_state *x);
int watch_sa_added(struct xfrm_state *x, int result);
int watch_sa_delete(struct xfrm_state *x);
int watch_sa_migrate(unsigned long long *ctx);
int watch_sa_update(struct xfrm_state *x);
int watch_sa_updated(struct xfrm_state *x, int result);
int watch_spd_flush(struct net *net);
int watch_spd_notify(struct xfrm_policy *policy, int dir, const struct km_event *event);

static struct net net;
/* What xfrm_user leaves in a km_event that names a policy. */
static struct net on_the_stack = {.net_cookie = SIM_NETNS + 1};
static struct user_namespace host_namespace;
static struct xfrm_state states[TRAFFIC_SAS];
static struct traffic_sa described[TRAFFIC_SAS];
static bool present[TRAFFIC_SAS];
static struct xfrm_encap_tmpl encapsulations[TRAFFIC_SAS];
static struct socket_verdict socket_states[TRAFFIC_SOCKETS];
/* What the socket remembers of a direction; stamp 0: nothing. */
static struct {
	struct remembered_pass pass;
	struct latch_flow flow;
} passes[TRAFFIC_SOCKETS][2];
static int sending; /* the socket of the packet that is checked */
static int changes; /* a program that changes what is remembered is running */
unsigned int traffic_stale;
static union {
	struct xfrm_algo_aead aead;
	char room[sizeof(struct xfrm_algo_aead) + 8];
} algorithms[TRAFFIC_SAS];

void traffic_reset(void)
{
	__builtin_memset(present, 0, sizeof(present));
	__builtin_memset(socket_states, 0, sizeof(socket_states));
	__builtin_memset(passes, 0, sizeof(passes));
	traffic_stale = 0;
	changes = 0;
	net.net_cookie = SIM_NETNS;
	net.user_ns = &host_namespace;
	((struct bpf_map *)&latches)->max_entries = 16;
	((struct bpf_map *)&sas)->max_entries = 64;
}

static bool same_key(const struct latch_sa_key *a, const struct latch_sa_key *b)
{
	return !__builtin_memcmp(a, b, sizeof(*a));
}

static void describe(int at, const struct traffic_sa *sa)
{
	struct xfrm_algo_aead *aead = &algorithms[at].aead;
	struct xfrm_state *x = &states[at];

	__builtin_memset(x, 0, sizeof(*x));
	__builtin_memset(aead, 0, sizeof(*aead));
	__builtin_strcpy(aead->alg_name, sa->cipher);
	aead->alg_key_len = KEY_BITS;
	aead->alg_icv_len = ICV_BITS;
	x->xs_net.net = &net;
	x->aead = aead;
	__builtin_memcpy(&x->id.daddr.a4, sa->key.daddr, 4);
	__builtin_memcpy(&x->props.saddr.a4, sa->source, 4);
	x->id.spi = bpf_htonl(sa->key.spi);
	x->id.proto = sa->key.protocol;
	x->props.family = sa->key.family;
	x->props.mode = MODE_TRANSPORT;
	x->props.reqid = sa->reqid;
	x->props.replay_window = sa->inbound ? REPLAY_WINDOW : 0;
	x->mark.v = x->mark.m = sa->mark;
	encapsulations[at].encap_dport = bpf_htons(sa->encap_port);
	x->encap = sa->encap_port ? &encapsulations[at] : NULL;
	described[at] = *sa;
}

static int free_state(void)
{
	int at;

	for (at = 0; at < TRAFFIC_SAS; at++)
		if (!present[at])
			return at;
	return -1;
}

static bool is_in_use(const struct traffic_sa *sa)
{
	int at;

	for (at = 0; at < TRAFFIC_SAS; at++)
		if (present[at] && same_key(&described[at].key, &sa->key) &&
		    described[at].mark == sa->mark)
			return true;
	return false;
}

int traffic_install(const struct traffic_sa *sa)
{
	bool in_use = is_in_use(sa);
	int at = free_state();

	if (at < 0)
		return at;
	describe(at, sa);
	changes++;
	watch_sa_add(&states[at]);
	present[at] = !in_use;
	watch_sa_added(&states[at], in_use ? KERNEL_EEXIST : 0);
	changes--;
	return in_use ? -1 : at;
}

void traffic_delete(int sa)
{
	changes++;
	watch_sa_delete(&states[sa]);
	changes--;
	present[sa] = false;
}

/* The kernel inserts the copy first. */
int traffic_migrate(int sa)
{
	int at = free_state();
	unsigned long long copy;

	if (at < 0)
		return sa;
	describe(at, &described[sa]);
	changes++;
	copy = (unsigned long)&states[at];
	watch_sa_migrate(&copy);
	changes--;
	present[at] = true;
	traffic_delete(sa);
	return at;
}

/* The kernel copies it to the SA that it has, and ends the state of the request. */
void traffic_update(int sa, __u16 encap_port, bool accepted)
{
	struct traffic_sa changed = described[sa];
	int at = free_state();

	if (at < 0)
		return;
	changed.encap_port = encap_port;
	describe(at, &changed);
	changes++;
	watch_sa_update(&states[at]);
	if (accepted) {
		described[sa].encap_port = encap_port;
		states[at].km.state = XFRM_STATE_DEAD;
	}
	watch_sa_updated(&states[at], accepted ? 0 : KERNEL_EINVAL);
	changes--;
}

void traffic_migrate_refused(int sa)
{
	int at = free_state();

	describe(at, &described[sa]);
	traffic_delete(sa);
	changes++;
	watch_sa_add(&states[at]);
	watch_sa_added(&states[at], KERNEL_EEXIST);
	changes--;
}

const struct traffic_sa *traffic_sa(int sa)
{
	return sa >= 0 && present[sa] ? &described[sa] : NULL;
}

__u64 traffic_instance(int sa)
{
	return (__u64)&states[sa];
}

/* As bpf/gate/remember_pass.h, without the packet's headers. */
int remember_pass(struct __sk_buff *skb, struct passage *p, __u64 stamp)
{
	struct remembered_pass *pass = &passes[sending][p->egress].pass;

	if (p->tcp_state != BPF_TCP_ESTABLISHED)
		return 0;
	passes[sending][p->egress].flow = p->flow;
	pass->flow_place = place_of_flow(&p->flow);
	pass->sa_place = sa_place_of(p);
	__builtin_memset(&pass->sa, 0, sizeof(pass->sa));
	if (p->protection == PACKET_PROTECTED)
		pass->sa = p->sa;
	pass->stamp = stamp;
	return 0;
}

static bool is_remembered(const struct traffic_packet *packet)
{
	const struct remembered_pass *pass = &passes[packet->socket][packet->egress].pass;
	const struct latch_sa_key none = {};

	return pass->stamp && is_unchanged(pass) &&
	       same_key(packet->sa ? packet->sa : &none, &pass->sa);
}

static bool passes_as_before(const struct traffic_packet *packet)
{
	return !packet->connecting && !packet->syn &&
	       !__builtin_memcmp(&passes[packet->socket][packet->egress].flow, &packet->flow,
				 sizeof(packet->flow)) &&
	       is_remembered(packet);
}

/* Another processor may be in the middle of a change, or make one during the check. */
static void compare_with_check(const struct traffic_packet *packet, struct passage *p)
{
	int before = changes;

	if (check_packet(p, &socket_states[packet->socket]) == GATE_PASS || before)
		return;
	if (is_remembered(packet))
		traffic_stale++;
}

#define LISTENERS_COOKIE (~0ull)

bool traffic_packet(const struct traffic_packet *packet)
{
	struct passage p = {
		.flow = packet->flow,
		.socket_cookie = packet->socket < 0 ? LISTENERS_COOKIE : packet->cookie,
		.protection = packet->sa ? PACKET_PROTECTED : PACKET_PLAIN,
		.egress = packet->egress,
		.is_syn = packet->syn,
		.may_start = packet->syn || packet->socket < 0,
		.listener = packet->socket < 0,
		.tcp_state = packet->socket < 0	  ? BPF_TCP_LISTEN
			     : packet->connecting ? BPF_TCP_SYN_SENT
						  : BPF_TCP_ESTABLISHED,
	};
	struct socket_verdict none = {};

	if (packet->sa)
		p.sa = *packet->sa;
	if (packet->socket < 0)
		return check_packet(&p, &none) == GATE_PASS;
	sending = packet->socket;
	if (passes_as_before(packet)) {
		compare_with_check(packet, &p);
		return true;
	}
	return check_and_remember(NULL, &p, &socket_states[packet->socket]) == GATE_PASS;
}

void traffic_connect(int socket)
{
	socket_states[socket] = (struct socket_verdict){.opened = LATCH_DIRECTION_OUT};
	__builtin_memset(passes[socket], 0, sizeof(passes[socket]));
}

static void set_owner(struct latch *latch, enum latch_owner owner, __u64 cookie)
{
	latch->owner = owner;
	latch->owner_since = bpf_ktime_get_boot_ns();
	latch->socket_cookie = cookie;
}

void traffic_established(int socket, const struct latch_flow *flow, __u64 cookie)
{
	struct latch *latch = bpf_map_lookup_elem(&latches, flow);

	if (!latch)
		return;
	set_owner(latch, LATCH_OWNER_SOCKET, cookie);
	socket_states[socket].was_latched = 1;
}

void traffic_accepted(int socket, const struct latch_flow *flow, __u64 cookie,
		      const struct latch_sa_key *sa)
{
	static const struct latch_sa_key none;

	socket_states[socket] = (struct socket_verdict){.opened = LATCH_DIRECTION_IN};
	traffic_established(socket, flow, cookie);
	if (!bpf_map_lookup_elem(&latches, flow))
		socket_states[socket].was_latched = has_lost_its_latch(
			flow, sa ? PACKET_PROTECTED : PACKET_PLAIN, sa ? sa : &none);
}

void traffic_closed(const struct latch_flow *flow, __u64 cookie, bool time_wait)
{
	struct latch *latch = bpf_map_lookup_elem(&latches, flow);

	if (!latch || latch->socket_cookie != cookie)
		return;
	changes++;
	if (time_wait)
		set_owner(latch, LATCH_OWNER_TIME_WAIT, cookie);
	else
		latch_release(flow, latch, latch->id);
	changes--;
}

void traffic_policies_flushed(void)
{
	const struct km_event event = {.net = &net};

	watch_spd_flush(&net);
	watch_spd_notify(NULL, 0, &event);
}

void traffic_policy_added(void)
{
	struct xfrm_policy policy = {.xp_net.net = &net};
	const struct km_event event = {.net = &on_the_stack};

	watch_spd_notify(&policy, 0, &event);
}

void traffic_control(struct latch_control *control)
{
	changes++;
	latch_control(control);
	changes--;
}
