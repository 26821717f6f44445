/* SPDX-License-Identifier: BSD-2-Clause */
#include "charon_steps.h"

#include "charon.h"
#include "kernel/traffic.h"
#include "sim.h"
#include "steps.h"

/*
 * The peer chooses the outbound SPI, and may choose another peer's. There are few, so that they are
 * used again, also while a report of the former CHILD_SA is under way. The kernel chooses the
 * inbound SPI at random, and never the same twice.
 */
#define SPIS	       12
#define SPI_IN_FIRST   0xc0000000
#define SPI_OUT_FIRST  0x80000000
#define OLD_INBOUND_MS 6000 /* charon keeps it for 5 s */

static uint32_t last_id;    /* of IKE and CHILD_SAs; begins anew when charon starts */
static uint32_t last_token; /* of CHILD_SAs, for tasks */
static uint32_t last_spi;   /* inbound */

static uint32_t soon(void)
{
	switch (sim_draw(6)) {
	case 0:
		return sim_draw(2000);
	case 1:
	case 2:
		return sim_draw(40);
	default:
		return sim_draw(2);
	}
}

/* ---- SAs of the kernel */

static void install(struct world_child *child, bool inbound)
{
	struct traffic_sa sa = {
		.key = world_key(child, inbound),
		.source = {10, 9, 0, inbound ? child->host : 1},
		.cipher = world_ciphers[child->params.cipher],
		.inbound = inbound,
		.reqid = 1,
	};
	int *place = inbound ? &child->in : &child->out;

	*place = traffic_install(&sa);
	sim_trace("kernel: %s SA %#x of %s: %s", inbound ? "in" : "out", sa.key.spi,
		  world_peers[child->params.peer], *place < 0 ? "refused" : "installed");
}

static void forget_if_gone(struct world_child *child)
{
	child->exists = child->in >= 0 || child->out >= 0 || child->listed;
}

static void delete_sa(struct world_child *child, bool inbound)
{
	int *place = inbound ? &child->in : &child->out;

	if (!child->exists || *place < 0)
		return;
	sim_trace("kernel: %s SA %#x is deleted", inbound ? "in" : "out",
		  inbound ? child->spi_in : child->spi_out);
	traffic_delete(*place);
	*place = -1;
	forget_if_gone(child);
}

static void delete_sas(struct world_child *child)
{
	delete_sa(child, true);
	delete_sa(child, false);
}

/* ---- random objects */

static struct world_child *free_child(void)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (!world.children[i].exists)
			return &world.children[i];
	return NULL;
}

static struct world_child *any_child(bool listed)
{
	size_t start = sim_draw(WORLD_CHILDREN), i;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		struct world_child *child = &world.children[(start + i) % WORLD_CHILDREN];

		if (child->exists && (child->listed || !listed))
			return child;
	}
	return NULL;
}

static struct world_ike_sa *any_ike_sa(bool exists)
{
	size_t start = sim_draw(WORLD_IKE_SAS), i;

	for (i = 0; i < WORLD_IKE_SAS; i++) {
		struct world_ike_sa *ike_sa = &world.ike_sas[(start + i) % WORLD_IKE_SAS];

		if (ike_sa->exists == exists)
			return ike_sa;
	}
	return NULL;
}

static struct world_child *child_of(uint32_t token)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].exists && world.children[i].token == token)
			return &world.children[i];
	return NULL;
}

/* ---- charon: IKE_SAs */

static struct world_ike_sa *establish(uint8_t peer, uint8_t local, uint8_t host, bool initiator)
{
	struct world_ike_sa *ike_sa = any_ike_sa(false);

	if (!ike_sa)
		return NULL;
	*ike_sa = (struct world_ike_sa){
		.exists = true,
		.id = ++last_id,
		.peer = peer,
		.local = local,
		.host = host,
	};
	world.last_dead_ms[peer] = world.last_reboot_ms[peer] = 0;
	sim_trace("charon: IKE_SA %u with %s at .%u", ike_sa->id, world_peers[peer], host);
	charon_ike_up(ike_sa, initiator);
	return ike_sa;
}

static void child_gone(struct world_child *child, bool report)
{
	child->listed = false;
	if (report)
		charon_child(child, false);
	delete_sas(child);
	forget_if_gone(child);
}

static bool is_authenticated(uint8_t peer)
{
	size_t i;

	for (i = 0; i < WORLD_IKE_SAS; i++)
		if (world.ike_sas[i].exists && world.ike_sas[i].peer == peer)
			return true;
	return false;
}

static void end_ike_sa(struct world_ike_sa *ike_sa, enum charon_down cause)
{
	struct world_ike_sa ended = *ike_sa;
	bool was_last;
	size_t i;

	sim_trace("charon: IKE_SA %u with %s ends (%d)", ended.id, world_peers[ended.peer], cause);
	ike_sa->exists = false;
	was_last = !is_authenticated(ended.peer);
	if (was_last && cause == CHARON_DEAD)
		world.last_dead_ms[ended.peer] = sim.now_ms;
	charon_ike_down(&ended, cause);
	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].listed && world.children[i].ike_id == ended.id)
			child_gone(&world.children[i], true);
	if (cause == CHARON_REBOOTED && establish(ended.peer, ended.local, ended.host, false) &&
	    was_last)
		world.last_reboot_ms[ended.peer] = sim.now_ms;
}

/* ---- charon: CHILD_SAs */

static void on_child_reported(uint32_t token)
{
	struct world_child *child = child_of(token);

	if (!child || !child->listed)
		return;
	sim_trace("charon: CHILD_SA %u is up", child->id);
	charon_child(child, true);
}

static bool has_ike_sa(const struct world_child *child)
{
	size_t i;

	for (i = 0; i < WORLD_IKE_SAS; i++)
		if (world.ike_sas[i].exists && world.ike_sas[i].id == child->ike_id)
			return true;
	return false;
}

static void on_out_installed(uint32_t token)
{
	struct world_child *child = child_of(token);

	if (!child)
		return;
	if (has_ike_sa(child))
		install(child, false);
	if (child->in < 0 || child->out < 0) { /* charon ends what it cannot install */
		delete_sas(child);
		forget_if_gone(child);
		return;
	}
	child->listed = true;
	if (sim_draw(10) || sim.quiet)
		steps_later(soon(), on_child_reported, token);
}

static uint32_t draw_spi_out(void)
{
	return SPI_OUT_FIRST + sim_draw(SPIS);
}

static struct world_child *begin_child(const struct world_ike_sa *ike_sa, uint8_t cipher,
				       uint8_t selector)
{
	struct world_child *child = free_child();

	if (!child)
		return NULL;
	*child = (struct world_child){
		.exists = true,
		.params = {ike_sa->peer, ike_sa->local, cipher},
		.host = ike_sa->host,
		.selector = selector,
		.token = ++last_token,
		.id = ++last_id,
		.ike_id = ike_sa->id,
		.spi_in = SPI_IN_FIRST + ++last_spi,
		.spi_out = draw_spi_out(),
		.in = -1,
		.out = -1,
	};
	install(child, true);
	return child;
}

static uint8_t draw_selector(uint8_t host)
{
	uint8_t selector = (uint8_t)sim_draw(WORLD_SELECTORS + 4);

	return selector < WORLD_SELECTORS ? selector : host - 2;
}

/* Mostly the peer with the address now, and sometimes another. */
void charon_step_child(void)
{
	struct world_ike_sa *ike_sa = sim_draw(3) ? any_ike_sa(true) : NULL;
	uint8_t host = (uint8_t)(2 + sim_draw(2));
	struct world_child *child;

	if (!charon_is_up())
		return;
	if (!ike_sa)
		ike_sa = establish((uint8_t)(sim_draw(3) ? host - 2 : (uint8_t)sim_draw(3)),
				   !sim_draw(6), host, sim_draw(2));
	if (!ike_sa)
		return;
	child = begin_child(ike_sa, !sim_draw(5), draw_selector(ike_sa->host));
	if (child)
		steps_later(soon(), on_out_installed, child->token);
}

static void on_old_deleted(uint32_t token)
{
	struct world_child *child = child_of(token);

	if (child && child->listed)
		child_gone(child, sim_draw(2));
}

/* Packets that are on their way arrive on the inbound SA. */
static void on_outbound_deleted(uint32_t token)
{
	struct world_child *child = child_of(token);

	if (!child || !child->listed)
		return;
	child->deleted = true;
	sim_trace("charon: CHILD_SA %u is DELETED", child->id);
	delete_sa(child, false);
	steps_later(sim_draw(OLD_INBOUND_MS), on_old_deleted, token);
}

void charon_step_rekey(void)
{
	struct world_child *old = any_child(true), *child;
	struct world_ike_sa ike_sa;

	if (!old || old->old)
		return;
	ike_sa = (struct world_ike_sa){
		.id = old->ike_id,
		.peer = old->params.peer,
		.local = old->params.local,
		.host = old->host,
	};
	child = begin_child(&ike_sa, old->params.cipher, old->selector);
	if (!child)
		return;
	install(child, false);
	child->listed = child->in >= 0 && child->out >= 0;
	if (!child->listed) {
		delete_sas(child);
		forget_if_gone(child);
		return;
	}
	sim_trace("charon: CHILD_SA %u is rekeyed as %u", old->id, child->id);
	charon_child_rekeyed(old, child);
	old->old = true;
	steps_later(soon(), sim_draw(3) ? on_outbound_deleted : on_old_deleted, old->token);
}

void charon_step_child_deleted(void)
{
	struct world_child *child = any_child(true);

	if (!child)
		return;
	sim_trace("charon: CHILD_SA %u is deleted", child->id);
	child_gone(child, sim_draw(6));
}

void charon_step_reported_again(void)
{
	struct world_child *child = any_child(true);

	if (child && !child->deleted)
		charon_child(child, true);
}

void charon_step_ike_rekey(void)
{
	struct world_ike_sa *ike_sa = any_ike_sa(true), old;
	size_t i;

	if (!ike_sa)
		return;
	old = *ike_sa;
	ike_sa->id = ++last_id;
	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].exists && world.children[i].ike_id == old.id)
			world.children[i].ike_id = ike_sa->id;
	sim_trace("charon: IKE_SA %u is rekeyed as %u", old.id, ike_sa->id);
	charon_ike_rekeyed(&old, ike_sa);
}

void charon_step_ike_down(void)
{
	struct world_ike_sa *ike_sa = any_ike_sa(true);

	if (ike_sa)
		end_ike_sa(ike_sa, (enum charon_down)sim_draw(3));
}

/* The kernel deletes an SA at its hard limit; charon notices later, or never. */
void charon_step_expire(void)
{
	struct world_child *child = any_child(false);
	bool both = sim_draw(3);

	if (!child)
		return;
	delete_sa(child, true);
	if (both)
		delete_sa(child, false);
	if (child->listed)
		steps_later(soon(), on_old_deleted, child->token);
}

/* ---- charon itself */

static void start_charon(uint32_t unused)
{
	(void)unused;
	sim_trace("charon starts");
	charon_set_up(true);
}

/*
 * Killed: its SAs stay in the kernel. Stopped: it deletes them. What it negotiates ends with it:
 * the next charon may number an IKE_SA alike.
 */
void charon_step_ends(void)
{
	bool killed = sim_draw(2);
	size_t i;

	if (!charon_is_up())
		return;
	sim_trace("charon %s", killed ? "is killed" : "stops");
	for (i = 0; i < WORLD_CHILDREN; i++) {
		if (!world.children[i].exists)
			continue;
		world.children[i].listed = false;
		world.children[i].ike_id = 0;
		if (!killed)
			delete_sas(&world.children[i]);
		forget_if_gone(&world.children[i]);
	}
	for (i = 0; i < WORLD_IKE_SAS; i++)
		world.ike_sas[i].exists = false;
	charon_set_up(false);
	last_id = sim_draw(2) ? 0 : last_id;
	steps_later(sim_draw(6000), start_charon, 0);
}

void charon_step_connection_lost(void)
{
	sim_trace("the connection to charon is lost");
	charon_disconnect();
}

static void migrate(struct world_child *child, bool inbound)
{
	int *place = inbound ? &child->in : &child->out;

	if (*place < 0)
		return;
	sim_trace("kernel: %s SA %#x is migrated", inbound ? "in" : "out",
		  inbound ? child->spi_in : child->spi_out);
	*place = traffic_migrate(*place);
}

static void on_out_migrated(uint32_t token)
{
	struct world_child *child = child_of(token);

	if (child)
		migrate(child, false);
}

/*
 * The addresses stay: a NAT has another port, for example. A request of the key manager's migrates
 * one SA. The second one may come later, or fail.
 */
void charon_step_migrate(void)
{
	struct world_child *child = any_child(false);

	if (!child || child->in < 0 || child->out < 0)
		return;
	if (sim_draw(3))
		migrate(child, true);
	if (sim_draw(3))
		steps_later(soon(), on_out_migrated, child->token);
}

void charon_step_slow(void)
{
	uint32_t ms = sim_draw(15000);

	sim_trace("charon does nothing for %u ms", ms);
	charon_hold(sim.now_ms + ms);
}

/* ---- begin and end */

void charon_steps_begin(void)
{
	last_id = last_token = last_spi = 0;
}

void charon_steps_quiet(void)
{
	size_t i;

	if (!charon_is_up())
		charon_set_up(true);
	charon_hold(0);
	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].exists && !world.children[i].listed)
			delete_sas(&world.children[i]);
}
