/* SPDX-License-Identifier: BSD-2-Clause */
#include "charon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "charon_messages.h"
#include "doors/doors.h"
#include "latchd/feeds/vici/packet.h"
#include "sim.h"

#define MESSAGES_MAX 128
#define REQUEST_MAX  512

/* latchd has two connections: one for events, one for lists. */
enum side {
	FIRST,
	SECOND,
	SIDES,
};

struct message {
	uint64_t due_ms;
	size_t length, sent;
	/* Where its arrival is noted, or NULL: of a dead, rebooted or authenticated peer, and of a
	 * list's end. */
	uint64_t *noted;
	uint8_t bytes[CHARON_MESSAGE_MAX];
};

struct peer {
	int fd; /* -1: closed */
	uint8_t request[REQUEST_MAX];
	size_t request_length;
	struct message out[MESSAGES_MAX];
	unsigned int first, count;
	uint64_t last_due_ms;
	uint64_t registered_ms; /* for the events of IKE and CHILD_SAs; 0: not yet */
	uint64_t delivered_ms;	/* the last message reached latchd */
};

static struct {
	struct peer peers[SIDES];
	bool up, listing;
	enum side lists;     /* the connection of the running list */
	unsigned int listed; /* IKE_SAs of the present list */
	uint64_t list_due_ms, held_until_ms;
	uint64_t listed_ms; /* the last complete list reached latchd */
	/* latchd waits for the list of connections, and has waited without a pause since. The last
	 * such list reached it. */
	bool proving;
	uint64_t proving_ms, proven_ms;
	uint32_t lateness;
	unsigned int process; /* number of starts: a restarted charon is another process */
} charon;

/* ---- messages */

static struct message *first_message(enum side side)
{
	struct peer *peer = &charon.peers[side];

	return peer->fd >= 0 && peer->count ? &peer->out[peer->first] : NULL;
}

static void queue(enum side side, enum vici_packet_type type, const char *name,
		  const struct vici_builder *builder, uint64_t *noted)
{
	struct peer *peer = &charon.peers[side];
	struct vici_span content = builder ? vici_builder_message(builder) : (struct vici_span){0};
	struct message *message;

	if (peer->fd < 0)
		return;
	if (peer->count == MESSAGES_MAX ||
	    vici_packet_size(name, content.length) > sizeof(message->bytes))
		sim_fail("the simulated charon has no room for a message");
	message = &peer->out[(peer->first + peer->count++) % MESSAGES_MAX];
	message->length = vici_packet_size(name, content.length);
	vici_packet_write(message->bytes, type, name, content);
	message->sent = 0;
	message->noted = noted;
	message->due_ms = sim.now_ms + (sim_chance(3) ? sim_draw(charon.lateness + 1) : 0);
	if (message->due_ms < peer->last_due_ms)
		message->due_ms = peer->last_due_ms;
	peer->last_due_ms = message->due_ms;
}

void charon_event(const char *name, const struct vici_builder *builder, uint64_t *noted)
{
	enum side side;

	for (side = FIRST; side < SIDES; side++)
		if (charon.peers[side].registered_ms)
			queue(side, VICI_EVENT, name, builder, noted);
}

/* ---- lists */

static void send_conns(enum side side)
{
	struct vici_builder builder = charon_listed_conn();

	if (!charon.proving && charon.proven_ms < sim.now_ms)
		charon.proving_ms = sim.now_ms;
	charon.proving = true;
	queue(side, VICI_EVENT, "list-conn", &builder, NULL);
	queue(side, VICI_CMD_RESPONSE, NULL, NULL, &charon.proven_ms);
}

/* One IKE_SA after another: the list is of no single moment. */
static void list_next(void)
{
	struct vici_builder builder;

	while (charon.listed < WORLD_IKE_SAS && !world.ike_sas[charon.listed].exists)
		charon.listed++;
	charon.list_due_ms = sim.now_ms + sim_draw(3);
	if (charon.listed < WORLD_IKE_SAS) {
		builder = charon_listed_ike_sa(&world.ike_sas[charon.listed++]);
		queue(charon.lists, VICI_EVENT, "list-sa", &builder, NULL);
		return;
	}
	charon.listing = false;
	queue(charon.lists, VICI_CMD_RESPONSE, NULL, NULL, &charon.listed_ms);
}

/* ---- requests */

static void answer_version(enum side side)
{
	struct vici_builder builder = charon_version();

	queue(side, VICI_CMD_RESPONSE, NULL, &builder, NULL);
}

static void answer_command(enum side side, struct vici_text name)
{
	if (vici_text_is(name, "version")) {
		answer_version(side);
	} else if (vici_text_is(name, "list-conns")) {
		send_conns(side);
	} else if (vici_text_is(name, "list-sas")) {
		charon.listing = true;
		charon.lists = side;
		charon.listed = 0;
		charon.list_due_ms = sim.now_ms;
	} else {
		queue(side, VICI_CMD_UNKNOWN, NULL, NULL, NULL);
	}
}

static void answer(enum side side, const struct vici_packet *packet)
{
	sim_trace("charon gets %.*s", (int)packet->name.length, packet->name.at);
	if (packet->type == VICI_CMD_REQUEST) {
		answer_command(side, packet->name);
		return;
	}
	if (packet->type != VICI_EVENT_REGISTER)
		sim_fail("latchd sends vici packet of type %d", packet->type);
	if (vici_text_is(packet->name, "child-updown"))
		charon.peers[side].registered_ms = sim.now_ms;
	/* strongSwan 5.9.8 has no alerts. */
	queue(side, vici_text_is(packet->name, "alert") ? VICI_EVENT_UNKNOWN : VICI_EVENT_CONFIRM,
	      NULL, NULL, NULL);
}

static bool take_request(enum side side)
{
	struct peer *peer = &charon.peers[side];
	size_t length =
		peer->request_length < 4 ? 0 : (size_t)peer->request[2] << 8 | peer->request[3];
	struct vici_packet packet;

	if (!length || peer->request_length < 4 + length)
		return false;
	if (vici_packet_parse((struct vici_span){peer->request + 4, length}, &packet))
		sim_fail("latchd sends a malformed vici packet");
	answer(side, &packet);
	peer->request_length -= 4 + length;
	memmove(peer->request, peer->request + 4 + length, peer->request_length);
	return true;
}

static void read_requests(enum side side)
{
	struct peer *peer = &charon.peers[side];
	ssize_t got;

	if (peer->fd < 0)
		return;
	got = recv(peer->fd, peer->request + peer->request_length,
		   sizeof(peer->request) - peer->request_length, MSG_DONTWAIT);
	if (got > 0)
		peer->request_length += (size_t)got;
	while (take_request(side))
		;
}

/* ---- connections */

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_inotify_init1(int flags);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length);

/* latchd holds reports back until its first list of the connection is complete. */
static bool has_unread_reports(const struct peer *peer)
{
	return charon.listed_ms < peer->registered_ms;
}

/*
 * Events wait behind one that needs the list of connections: the proof of a peer that has
 * authenticated. charon tells only once that a peer is dead, or is back after a reboot, so what
 * waits is lost with the connection. since_ms: latchd may not have handled messages since.
 */
static void lose_reports(const struct peer *peer, uint64_t since_ms)
{
	if (has_unread_reports(peer))
		since_ms = peer->registered_ms;
	else if (charon.proving)
		since_ms = charon.proving_ms;
	charon.proving = false;
	world_forget_reports(since_ms);
}

static void peer_close(struct peer *peer, uint64_t since_ms)
{
	if (peer->registered_ms)
		lose_reports(peer, since_ms);
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	peer->request_length = 0;
	peer->count = 0;
	peer->registered_ms = 0;
	peer->last_due_ms = 0;
}

void charon_disconnect(void)
{
	enum side side;

	for (side = FIRST; side < SIDES; side++)
		read_requests(side);
	for (side = FIRST; side < SIDES; side++)
		peer_close(&charon.peers[side], sim.now_ms);
	charon.listing = false;
}

/* latchd has closed its end. */
static bool is_closed(const struct peer *peer)
{
	struct pollfd poll_fd = {.fd = peer->fd, .events = POLLIN};

	return peer->fd < 0 || (poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & POLLHUP);
}

static struct peer *free_peer(void)
{
	enum side side;

	for (side = FIRST; side < SIDES; side++)
		if (is_closed(&charon.peers[side]))
			peer_close(&charon.peers[side], charon.peers[side].delivered_ms);
	for (side = FIRST; side < SIDES; side++)
		if (charon.peers[side].fd < 0)
			return &charon.peers[side];
	sim_fail("latchd has more than two connections to charon");
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int ends[2];

	(void)address;
	(void)length;
	if (!charon.up || sim_call_fails("connect")) {
		errno = ECONNREFUSED;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
		sim_fail("no socket pair: %s", strerror(errno));
	if (dup3(ends[0], fd, O_CLOEXEC) != fd)
		sim_fail("no descriptor: %s", strerror(errno));
	close(ends[0]);
	free_peer()->fd = ends[1];
	return 0;
}

/* latchd then tries again by its timer. */
int __wrap_inotify_init1(int flags)
{
	(void)flags;
	errno = EMFILE;
	return -1;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	(void)fd;
	if (level != SOL_SOCKET || name != SO_PEERCRED || *length != sizeof(struct ucred))
		sim_fail("latchd asks for socket option %d", name);
	*(struct ucred *)value = (struct ucred){.pid = SIM_CHARON_PID};
	return 0;
}

/* ---- time */

void charon_begin(void)
{
	memset(&charon, 0, sizeof(charon));
	charon.peers[FIRST].fd = charon.peers[SECOND].fd = -1;
	charon_set_up(true);
}

bool charon_is_up(void)
{
	return charon.up;
}

unsigned int charon_process(void)
{
	return charon.process;
}

void charon_set_up(bool up)
{
	charon.process += up && !charon.up;
	charon.up = up;
	charon.held_until_ms = 0;
	if (!up)
		charon_disconnect();
}

void charon_hold(uint64_t until_ms)
{
	charon.held_until_ms = until_ms;
}

void charon_set_lateness(uint32_t ms)
{
	charon.lateness = ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t charon_due(void)
{
	const struct message *one = first_message(FIRST), *other = first_message(SECOND);
	uint64_t due = UINT64_MAX;

	due = one ? earlier(due, one->due_ms) : due;
	due = other ? earlier(due, other->due_ms) : due;
	due = charon.listing ? earlier(due, charon.list_due_ms) : due;
	if (due != UINT64_MAX && due < charon.held_until_ms)
		due = charon.held_until_ms;
	return due;
}

/* Sometimes in two pieces. */
static void deliver(enum side side)
{
	struct message *message = first_message(side);
	struct peer *peer = &charon.peers[side];
	size_t size;
	ssize_t sent;

	if (!message || message->due_ms > sim.now_ms)
		return;
	size = message->length - message->sent;
	if (!sim.quiet && size > 1 && sim_chance(8))
		size = 1 + sim_draw((uint32_t)size - 1);
	sent = send(peer->fd, message->bytes + message->sent, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		peer_close(peer, peer->delivered_ms);
	if (sent <= 0)
		return;
	message->sent += (size_t)sent;
	if (message->sent < message->length)
		return;
	if (message->noted)
		*message->noted = sim.now_ms;
	if (message->noted == &charon.proven_ms)
		charon.proving = false;
	peer->delivered_ms = sim.now_ms;
	peer->first = (peer->first + 1) % MESSAGES_MAX;
	peer->count--;
}

void charon_act(void)
{
	if (sim.now_ms < charon.held_until_ms || !charon.up)
		return;
	read_requests(FIRST);
	read_requests(SECOND);
	if (charon.listing && charon.list_due_ms <= sim.now_ms)
		list_next();
	deliver(FIRST);
	deliver(SECOND);
}
