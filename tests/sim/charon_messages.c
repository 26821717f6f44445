/* SPDX-License-Identifier: BSD-2-Clause */
/* What the scripted charon says: vici messages of IKE_SAs and CHILD_SAs. */
#include "charon_messages.h"

#include <stdio.h>
#include <string.h>

#include "charon.h"
#include "sim.h"

static uint8_t memory[CHARON_MESSAGE_MAX];

static struct vici_builder builder_begin(void)
{
	struct vici_builder builder;

	vici_builder_init(&builder, memory, sizeof(memory));
	return builder;
}

static void build_number(struct vici_builder *builder, const char *name, uint32_t number,
			 const char *format)
{
	char text[16];

	snprintf(text, sizeof(text), strcmp(format, "x") ? "%u" : "%08x", number);
	vici_build_value(builder, name, text);
}

static void build_ike_sa(struct vici_builder *builder, const struct world_ike_sa *ike_sa,
			 const char *state)
{
	char host[16];

	snprintf(host, sizeof(host), "10.9.0.%u", ike_sa->host);
	build_number(builder, "uniqueid", ike_sa->id, "u");
	vici_build_value(builder, "version", "2");
	vici_build_value(builder, "state", state);
	vici_build_value(builder, "local-host", "10.9.0.1");
	vici_build_value(builder, "remote-host", host);
	vici_build_value(builder, "local-id", world_locals[ike_sa->local]);
	vici_build_value(builder, "remote-id", world_peers[ike_sa->peer]);
}

static void build_list(struct vici_builder *builder, const char *name, const char *item)
{
	vici_build_list(builder, name);
	vici_build_item(builder, item);
	vici_build_list_end(builder);
}

static const char *state_of(const struct world_child *child)
{
	if (child->deleted)
		return "DELETED";
	return child->old ? "REKEYED" : "INSTALLED";
}

static void build_child(struct vici_builder *builder, const struct world_child *child)
{
	build_number(builder, "uniqueid", child->id, "u");
	vici_build_value(builder, "name", "all");
	vici_build_value(builder, "reqid", "1");
	vici_build_value(builder, "state", state_of(child));
	vici_build_value(builder, "mode", "TRANSPORT");
	vici_build_value(builder, "protocol", "ESP");
	build_number(builder, "spi-in", child->spi_in, "x");
	build_number(builder, "spi-out", child->spi_out, "x");
	build_list(builder, "local-ts", world_local_selector(child));
	build_list(builder, "remote-ts", world_remote_selector(child));
}

/* The IKE_SA of a child, which may have ended. */
static struct world_ike_sa ike_sa_of(const struct world_child *child)
{
	return (struct world_ike_sa){
		.id = child->ike_id,
		.peer = child->params.peer,
		.local = child->params.local,
		.host = child->host,
	};
}

static void build_child_section(struct vici_builder *builder, const struct world_child *child)
{
	char name[24];

	snprintf(name, sizeof(name), "all-%u", child->id);
	vici_build_section(builder, name);
	build_child(builder, child);
	vici_build_section_end(builder);
}

/* ---- events */

void charon_ike_up(const struct world_ike_sa *ike_sa, bool initiator)
{
	struct vici_builder builder = builder_begin();

	vici_build_value(&builder, "up", "yes");
	vici_build_section(&builder, "x509");
	build_ike_sa(&builder, ike_sa, "ESTABLISHED");
	if (initiator)
		vici_build_value(&builder, "initiator", "yes");
	vici_build_section_end(&builder);
	charon_event("ike-updown", &builder, &world.up_ms[ike_sa->peer]);
}

void charon_ike_down(const struct world_ike_sa *ike_sa, enum charon_down cause)
{
	struct vici_builder builder = builder_begin();
	uint64_t *noted = NULL;

	if (cause == CHARON_DEAD)
		noted = &world.dead_ms[ike_sa->peer];
	if (cause == CHARON_REBOOTED)
		noted = &world.rebooted_ms[ike_sa->peer];
	vici_build_section(&builder, "x509");
	build_ike_sa(&builder, ike_sa, cause == CHARON_ORDERLY ? "DELETING" : "ESTABLISHED");
	if (cause == CHARON_DEAD)
		build_list(&builder, "tasks-active", "IKE_DPD");
	vici_build_section_end(&builder);
	charon_event("ike-updown", &builder, noted);
}

void charon_ike_rekeyed(const struct world_ike_sa *old, const struct world_ike_sa *ike_sa)
{
	struct vici_builder builder = builder_begin();

	vici_build_section(&builder, "x509");
	vici_build_section(&builder, "old");
	build_ike_sa(&builder, old, "REKEYED");
	vici_build_section_end(&builder);
	vici_build_section(&builder, "new");
	build_ike_sa(&builder, ike_sa, "ESTABLISHED");
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	charon_event("ike-rekey", &builder, NULL);
}

void charon_child(const struct world_child *child, bool up)
{
	struct vici_builder builder = builder_begin();
	struct world_ike_sa ike_sa = ike_sa_of(child);

	if (up)
		vici_build_value(&builder, "up", "yes");
	vici_build_section(&builder, "x509");
	build_ike_sa(&builder, &ike_sa, "ESTABLISHED");
	vici_build_section(&builder, "child-sas");
	build_child_section(&builder, child);
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	charon_event("child-updown", &builder, NULL);
}

void charon_child_rekeyed(const struct world_child *old, const struct world_child *child)
{
	struct vici_builder builder = builder_begin();
	struct world_ike_sa ike_sa = ike_sa_of(child);
	char name[24];

	snprintf(name, sizeof(name), "all-%u", old->id);
	vici_build_section(&builder, "x509");
	build_ike_sa(&builder, &ike_sa, "ESTABLISHED");
	vici_build_section(&builder, "child-sas");
	vici_build_section(&builder, name);
	vici_build_section(&builder, "old");
	build_child(&builder, old);
	vici_build_section_end(&builder);
	vici_build_section(&builder, "new");
	build_child(&builder, child);
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	charon_event("child-rekey", &builder, NULL);
}

/* ---- lists */

struct vici_builder charon_version(void)
{
	struct vici_builder builder = builder_begin();

	vici_build_value(&builder, "daemon", "charon");
	vici_build_value(&builder, "version", "5.9.8");
	return builder;
}

struct vici_builder charon_listed_conn(void)
{
	struct vici_builder builder = builder_begin();

	vici_build_section(&builder, "x509");
	vici_build_section(&builder, "remote-1");
	vici_build_value(&builder, "class", "public key");
	vici_build_value(&builder, "id", "*");
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	return builder;
}

struct vici_builder charon_listed_ike_sa(const struct world_ike_sa *ike_sa)
{
	struct vici_builder builder = builder_begin();
	size_t i;

	vici_build_section(&builder, "x509");
	build_ike_sa(&builder, ike_sa, "ESTABLISHED");
	vici_build_section(&builder, "child-sas");
	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].listed && world.children[i].ike_id == ike_sa->id)
			build_child_section(&builder, &world.children[i]);
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	return builder;
}
