/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Watches the SAs of the kernel, their copies by XFRM_MSG_MIGRATE and updates of their ports. Every
 * SA is recorded as PENDING before the kernel can use it, and is deleted from the table when the
 * kernel deletes it. An IKE daemon reports the peer of an SA only after installing it, but RFC 5660
 * section 2.3 requires that conflicts are settled before.
 */
#include "db/sa_claim.h"
#include "packet/sec_path.h"

#define XFRM_STATE_ESN 128 /* a macro of linux/xfrm.h, so not in BTF */
#define EEXIST	       17
#define ENOSPC	       28

static __always_inline void sa_key_of(struct xfrm_state *x, struct latch_sa_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	state_sa(x, BPF_CORE_READ(x, xs_net.net, net_cookie), key);
}

static __always_inline void qop_of(struct xfrm_state *x, struct latch_qop *qop)
{
	struct xfrm_algo_aead *aead = BPF_CORE_READ(x, aead);
	struct xfrm_algo *cipher = BPF_CORE_READ(x, ealg);
	struct xfrm_algo_auth *mac = BPF_CORE_READ(x, aalg);
	struct xfrm_replay_state_esn *esn = BPF_CORE_READ(x, replay_esn);

	if (aead) {
		bpf_probe_read_kernel_str(qop->encryption, sizeof(qop->encryption), aead->alg_name);
		qop->encryption_bits = BPF_CORE_READ(aead, alg_key_len);
		qop->icv_bits = BPF_CORE_READ(aead, alg_icv_len);
	} else if (cipher) {
		bpf_probe_read_kernel_str(qop->encryption, sizeof(qop->encryption),
					  cipher->alg_name);
		qop->encryption_bits = BPF_CORE_READ(cipher, alg_key_len);
	}
	if (mac) {
		bpf_probe_read_kernel_str(qop->integrity, sizeof(qop->integrity), mac->alg_name);
		qop->integrity_bits = BPF_CORE_READ(mac, alg_key_len);
		qop->icv_bits = BPF_CORE_READ(mac, alg_trunc_len);
	}
	qop->esn = !!(BPF_CORE_READ(x, props.flags) & XFRM_STATE_ESN);
	qop->replay_protection = esn ? BPF_CORE_READ(esn, replay_window) > 0
				     : BPF_CORE_READ(x, props.replay_window) > 0;
}

static __always_inline __u16 encap_port_of(struct xfrm_state *x)
{
	struct xfrm_encap_tmpl *encap = BPF_CORE_READ(x, encap);

	return encap ? bpf_ntohs(BPF_CORE_READ(encap, encap_dport)) : 0;
}

static __always_inline void sa_describe(struct xfrm_state *x, const struct latch_sa_key *key,
					struct latch_sa *sa)
{
	sa->instance = (__u64)x;
	sa->installed = bpf_ktime_get_boot_ns();
	if (key->family == AF_INET)
		BPF_CORE_READ_INTO((__be32 *)sa->saddr, x, props.saddr.a4);
	else
		BPF_CORE_READ_INTO((__be32(*)[4])sa->saddr, x, props.saddr.a6);
	sa->reqid = BPF_CORE_READ(x, props.reqid);
	sa->mark = BPF_CORE_READ(x, mark.v);
	sa->mark_mask = BPF_CORE_READ(x, mark.m);
	sa->if_id = BPF_CORE_READ(x, if_id);
	sa->mode = BPF_CORE_READ(x, props.mode);
	sa->encap = BPF_CORE_READ(x, encap) != NULL;
	sa->encap_ports.port = encap_port_of(x);
	qop_of(x, &sa->qop);
}

static __always_inline void sa_event(enum latch_event_type type, const struct latch_sa_key *key,
				     union latch_sa_word word)
{
	struct latch_event *event = event_begin(type);

	if (!event)
		return;
	event->sa = *key;
	event->sa_word = word;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline int has_mark_of(const struct latch_sa *known, struct xfrm_state *x)
{
	return known->mark == BPF_CORE_READ(x, mark.v) &&
	       known->mark_mask == BPF_CORE_READ(x, mark.m);
}

/*
 * A second SA with the same key: from now on neither SA is congruent. False: the entry is no
 * longer the first SA's.
 */
static __always_inline int sa_collision(const struct latch_sa_key *key, struct latch_sa *known,
					union latch_sa_word was, struct xfrm_state *x)
{
	union latch_sa_word is;
	__u32 serial = was.serial;
	int i;

	if (has_mark_of(known, x))
		return 1;
	for (i = 0; i < SA_CLAIM_TRIES && was.serial == serial; i++) {
		if (was.flags & LATCH_SA_GONE)
			return 0;
		is = was;
		is.flags |= LATCH_SA_AMBIGUOUS;
		if (sa_swap(key, known, was, is))
			return 1;
		was = READ_WORD(known->word);
	}
	return 0;
}

/*
 * Any user can be root in a new user namespace, and install SAs in its network namespaces. The
 * SAs of all these users together get half of the table.
 */
static __always_inline int sa_has_room(struct xfrm_state *x, struct latch_clock *clock,
				       union latch_sa_word *word)
{
	if (!is_foreign(BPF_CORE_READ(x, xs_net.net)))
		return 1;
	word->flags = LATCH_SA_FOREIGN;
	return clock && count_foreign_sa(clock);
}

static __always_inline void sa_begin(struct latch_clock *clock, struct latch_sa *sa)
{
	sa->word.state = LATCH_SA_PENDING;
	if (clock)
		sa->word.serial = __sync_fetch_and_add(&clock->sa_serial, 1) + 1;
}

/*
 * flags: BPF_NOEXIST, BPF_EXIST. An entry that is added or deleted meanwhile is another
 * processor's, or one of a dump that latchd may have attributed since.
 */
static __always_inline long sa_record(struct xfrm_state *x, const struct latch_sa_key *key,
				      __u64 flags)
{
	struct latch_clock *clock = clock_get();
	struct latch_sa sa = {};
	__u32 slot;
	long err;

	sa_describe(x, key, &sa);
	slot = sa_share_slot(key, &sa);
	if (!sa_has_room(x, clock, &sa.word)) {
		sa_share_succeed(slot, 0);
		return -ENOSPC;
	}
	if (!sa_share_take(slot)) {
		sa_share_succeed(slot, 0);
		uncount_foreign_sa(sa.word.flags);
		return -ENOSPC;
	}
	sa_begin(clock, &sa);
	sa.previous = sa_share_succeed(slot, sa.word.serial);
	err = bpf_map_update_elem(&sas, key, &sa, flags);
	if (!err) {
		sa_changed(key);
		sa_event(LATCH_EVENT_SA_PENDING, key, sa.word);
		return 0;
	}
	if (err != -EEXIST)
		count(LATCH_COUNTER_SAS_FULL);
	uncount_foreign_sa(sa.word.flags);
	sa_share_give(slot);
	return err;
}

/* No program records the SA any more: latchd searches for it. */
static __always_inline void sa_missed(void)
{
	count(LATCH_COUNTER_SAS_FULL);
}

/*
 * A later SA under the key of another SA's entry. The key manager has to report the peer of the
 * new SA: an equal key proves nothing. An entry that is not replaced keeps its place, since root
 * of a user namespace may migrate SAs, too.
 */
static __always_inline void sa_replace(struct xfrm_state *x, const struct latch_sa_key *key,
				       struct latch_sa *known, __u32 serial)
{
	__u32 slot;
	__u8 flags;

	if (sa_claim(key, known, serial)) {
		/* Another processor has deleted the entry, or is about to. */
		if (sa_record(x, key, BPF_NOEXIST) == -EEXIST)
			sa_missed();
		return;
	}
	slot = sa_share_slot(key, known);
	flags = known->word.flags;
	if (sa_record(x, key, BPF_EXIST)) {
		sa_release(known);
		return;
	}
	sa_given_back(key, flags, slot);
}

static __always_inline void sa_installing(struct xfrm_state *x)
{
	struct latch_sa_key key;
	union latch_sa_word word = {};
	struct latch_sa *known;

	count(LATCH_COUNTER_XFRM_HOOKS);
	sa_key_of(x, &key);
	known = sa_read(&key, &word);
	if (!known) {
		if (sa_record(x, &key, BPF_NOEXIST) != -EEXIST)
			return;
		known = sa_read(&key, &word);
	}
	if (!known) {
		sa_missed();
		return;
	}
	/*
	 * Any other known entry is kept. The kernel refuses a true duplicate, and a peer must not
	 * be able to change another peer's SA by its choice of SPI.
	 */
	if (word.flags & LATCH_SA_GONE)
		sa_replace(x, &key, known, word.serial);
	else if (known->instance != (__u64)x && !sa_collision(&key, known, word, x))
		sa_missed();
}

/*
 * XFRM_MSG_MIGRATE inserts a copy of the SA before it deletes the original, under the same key if
 * the destination is the same. XFRM_MSG_MIGRATE_STATE (Linux 7.1) deletes first.
 */
static __always_inline void sa_migrated(struct xfrm_state *x)
{
	struct latch_sa_key key;
	union latch_sa_word word = {};
	struct latch_sa *known;

	sa_key_of(x, &key);
	known = sa_read(&key, &word);
	if (!known || known->instance == (__u64)x || !has_mark_of(known, x)) {
		sa_installing(x);
		return;
	}
	count(LATCH_COUNTER_XFRM_HOOKS);
	sa_replace(x, &key, known, word.serial);
}

/* -ENOENT: another processor deletes it, or replaces it by the SA that has the key next. */
static __always_inline void sa_forget(const struct latch_sa_key *key, struct latch_sa *known,
				      union latch_sa_word word)
{
	if (sa_delete(key, known, word.serial) != -ENOENT)
		sa_event(LATCH_EVENT_SA_GONE, key, word);
}

static __always_inline void sa_deleting(struct xfrm_state *x)
{
	struct latch_sa_key key;
	union latch_sa_word word = {};
	struct latch_sa *known;

	count(LATCH_COUNTER_XFRM_HOOKS);
	sa_key_of(x, &key);
	known = sa_read(&key, &word);
	/* A larval SA that is replaced has the key of its successor, but another instance. */
	if (known && (!known->instance || known->instance == (__u64)x))
		sa_forget(&key, known, word);
}

/* Deletes the entry of this SA only: an entry of a dump belongs to another SA. */
static __always_inline void sa_refused(struct xfrm_state *x)
{
	struct latch_sa_key key;
	union latch_sa_word word = {};
	struct latch_sa *known;

	count(LATCH_COUNTER_XFRM_HOOKS);
	sa_key_of(x, &key);
	known = sa_read(&key, &word);
	if (known && known->instance == (__u64)x)
		sa_forget(&key, known, word);
}

/*
 * The kernel has no two SAs with the same key and mark. So an entry of a dump with both belongs to
 * an SA that was deleted between the dump and the addition of the entry.
 */
static __always_inline void sa_added(struct xfrm_state *x)
{
	struct latch_sa_key key;
	union latch_sa_word word = {};
	struct latch_sa *known;

	sa_key_of(x, &key);
	known = sa_read(&key, &word);
	if (known && !known->instance && has_mark_of(known, x))
		sa_replace(x, &key, known, word.serial);
}

static __always_inline union latch_encap_ports ports_with(union latch_encap_ports ports, __u16 port,
							  int accepted)
{
	return accepted ? (union latch_encap_ports){.port = port, .other = ports.port}
			: (union latch_encap_ports){.port = ports.port, .other = port};
}

/* -EAGAIN: another processor is writing the entry. */
static __always_inline long sa_write_ports(const struct latch_sa_key *key, struct xfrm_state *x,
					   __u16 port, int accepted)
{
	union latch_encap_ports ports;
	union latch_sa_word word = {};
	struct latch_sa *known;
	int i;

	for (i = 0; i < SA_CLAIM_TRIES; i++) {
		known = sa_read(key, &word);
		if (!known || word.flags & LATCH_SA_GONE || !known->encap || !has_mark_of(known, x))
			return 0;
		ports = READ_WORD(known->encap_ports);
		if (ports.port == port)
			return 0;
		if (word.flags & LATCH_SA_CLAIMED || !sa_hold(key, known, word))
			continue;
		ports = ports_with(ports, port, accepted);
		WRITE_ONCE(known->encap_ports.raw, ports.raw);
		return sa_finish(key, known, word);
	}
	return -EAGAIN;
}

/*
 * The kernel copies the encapsulation of x to its SA. Packets may leave by the new ports at once (a
 * changed NAT mapping). The kernel may also refuse the update, so the present port stays until the
 * update is accepted. The epoch advances, since a gate may remember the SA's port.
 */
static __always_inline void sa_moving(struct xfrm_state *x)
{
	__u16 port = encap_port_of(x);
	struct latch_sa_key key;

	sa_key_of(x, &key);
	if (port)
		sa_write_ports(&key, x, port, 0);
}

/* An entry with a former port would stop the packets of its SA, so latchd makes a new entry. */
static __always_inline void sa_moved(struct xfrm_state *x)
{
	__u16 port = encap_port_of(x);
	union latch_sa_word word = {};
	struct latch_sa_key key;
	struct latch_sa *known;

	sa_key_of(x, &key);
	if (!port || sa_write_ports(&key, x, port, 1) != -EAGAIN)
		return;
	known = sa_read(&key, &word);
	if (!known)
		return;
	sa_forget(&key, known, word);
	sa_missed();
}

SEC("fentry/xfrm_state_add")
int BPF_PROG(watch_sa_add, struct xfrm_state *x)
{
	sa_installing(x);
	return 0;
}

SEC("fentry/xfrm_state_update")
int BPF_PROG(watch_sa_update, struct xfrm_state *x)
{
	sa_installing(x);
	sa_moving(x);
	return 0;
}

/*
 * The compiler may have put xfrm_state_insert into its callers of the same file (6.12 and 7.2 of
 * Debian), so that a program there never runs. The number of arguments differs by kernel.
 */
SEC("fexit/xfrm_state_migrate")
int watch_sa_migrate(unsigned long long *ctx)
{
	__u64 copy = 0;

	if (!bpf_get_func_ret(ctx, &copy) && copy)
		sa_migrated((struct xfrm_state *)copy);
	return 0;
}

/* XFRM_MSG_MIGRATE_STATE. */
SEC("fexit/xfrm_state_migrate_install")
int BPF_PROG(watch_sa_migrate_install, const struct xfrm_state *x, struct xfrm_state *copy,
	     const void *migrate, void *extack, int result)
{
	if (!result)
		sa_migrated(copy);
	return 0;
}

/* The kernel refused the SA because its SPI is in use: the recorded SA never existed. */
SEC("fexit/xfrm_state_add")
int BPF_PROG(watch_sa_added, struct xfrm_state *x, int result)
{
	if (result)
		sa_refused(x);
	else
		sa_added(x);
	return 0;
}

/* The recorded SA also never existed if the kernel updated an older SA: it then deletes the new one
 * without a call. */
SEC("fexit/xfrm_state_update")
int BPF_PROG(watch_sa_updated, struct xfrm_state *x, int result)
{
	int is_dead = BPF_CORE_READ(x, km.state) == XFRM_STATE_DEAD;

	if (!result && is_dead)
		sa_moved(x);
	if (result || is_dead)
		sa_refused(x);
	return 0;
}

SEC("fentry/__xfrm_state_delete")
int BPF_PROG(watch_sa_delete, struct xfrm_state *x)
{
	sa_deleting(x);
	return 0;
}
