/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole vici feed in virtual time. The input scripts a charon:
 *
 *	feed (events, commands, certificates) --- socket pairs --- charon: operations of the input
 *
 * charon answers every request as it should, unless the script holds or replaces the answer.
 * Properties:
 *   - one request at a time, well-formed;
 *   - the sink's calls keep the order of feed.h, and each child is complete;
 *   - the feed closes what it opened;
 *   - after the script charon answers as it should: the feed is in sync, and a resync is answered;
 *   - messages in pieces give the sink the same calls, unless the script sends malformed bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "fuzz.h"
#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/packet.h"
#include "virtual_loop.h"

#define SAS_MAX	   4
#define WAITS_MAX  16 /* timers that may expire without an operation of the script */
#define MEMORY_MAX 65536

enum side {
	EVENTS,
	COMMANDS,
	CERTIFICATES, /* in a session with a pinned key */
	SIDES,
};

/* charon's end of a connection */
struct peer {
	int fd; /* -1: closed */
	struct vici_frames frames;
	bool requested; /* and not answered yet */
	enum vici_packet_type type;
	char name[VICI_NAME_MAX + 1];
	uint8_t out[MEMORY_MAX];
	size_t out_length, out_sent;
};

enum operation {
	SEND_IKE_UPDOWN,
	SEND_CHILD_UPDOWN,
	SEND_CHILD_REKEY,
	SEND_IKE_REKEY,
	SEND_IKE_UPDATE,
	SEND_LIST_CONN,
	SEND_LIST_SA,
	SET_LISTED_SA,
	SET_LISTED_CONN,
	HOLD_ANSWERS,
	REPLACE_ANSWER,
	SEND_BYTES,
	CLOSE_CONNECTION,
	PASS_TIME,
	RESYNC,
	REFUSE,
	SEND_ALERT,
	OPERATIONS,
};

static const char *const event_names[] = {
	"ike-updown", "child-updown", "child-rekey", "ike-rekey",
	"ike-update", "list-conn",    "list-sa",
};

static struct run {
	struct loop *loop;
	struct feed *feed;
	struct input script;
	struct peer peers[SIDES];
	enum side next; /* that the feed connects */
	uint64_t pieces;
	struct input sas[SAS_MAX], conn;
	size_t sa_count;
	bool hold, replace;
	enum vici_packet_type replace_type;
	struct input replacement;
	unsigned int refused_connects, refused_attachments, waits, snapshots;
	bool malformed, ended, resynced;

	bool attached, in_snapshot;
	uint64_t hash;
} run;

/* ---- the sockets that the feed opens */

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_inotify_init1(int flags);

static void peer_close(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	vici_frames_free(&peer->frames);
	peer->fd = -1;
	peer->requested = false;
	peer->out_length = peer->out_sent = 0;
}

static enum side side_to_connect(void)
{
	bool in_session = run.feed && (run.feed->state == FEED_STATE_CONNECTED ||
				       run.feed->state == FEED_STATE_SYNCED);

	return in_session ? CERTIFICATES : run.next;
}

static void begin_session(void)
{
	enum side side;

	for (side = EVENTS; side < SIDES; side++)
		peer_close(&run.peers[side]);
	run.attached = false;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	enum side side = side_to_connect();
	int ends[2];

	(void)address;
	(void)length;
	if (side == EVENTS)
		begin_session();
	if (run.refused_connects) {
		run.refused_connects--;
		run.next = EVENTS;
		errno = ECONNREFUSED;
		return -1;
	}
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
	CHECK(dup3(ends[0], fd, O_CLOEXEC) == fd);
	close(ends[0]);
	peer_close(&run.peers[side]);
	run.peers[side].fd = ends[1];
	run.next = side == EVENTS ? COMMANDS : EVENTS;
	return 0;
}

/* The feed then retries by its timer. The release of an inotify instance is slow. */
int __wrap_inotify_init1(int flags)
{
	(void)flags;
	errno = EMFILE;
	return -1;
}

/* ---- the sink */

static void note(const char *call, const void *record, size_t size)
{
	hash_bytes(&run.hash, call, strlen(call));
	hash_bytes(&run.hash, record, size);
}

static void note_peer(const char *call, const struct feed_peer *peer)
{
	CHECK(run.attached && peer->id[0] && peer->ike_unique_id);
	CHECK(run.feed->state == FEED_STATE_CONNECTED || run.feed->state == FEED_STATE_SYNCED);
	note(call, peer->id, strlen(peer->id));
	hash_number(&run.hash, peer->ike_unique_id);
	hash_number(&run.hash, peer->auth);
}

static void note_child(const char *call, const struct feed_child *child)
{
	CHECK(run.attached && child->peer_id[0] && child->local_id[0]);
	CHECK(run.feed->state == FEED_STATE_CONNECTED || run.feed->state == FEED_STATE_SYNCED);
	CHECK(child->spi_in && child->spi_out && child->child_unique_id);
	CHECK(child->local_ts.covers_all || child->local_ts.count);
	CHECK(child->remote_ts.covers_all || child->remote_ts.count);
	note(call, child->peer_id, strlen(child->peer_id));
	hash_number(&run.hash, child->spi_in);
	hash_number(&run.hash, child->peer_auth);
}

static int on_attached(void *context, struct feed *feed, pid_t daemon)
{
	(void)context;
	(void)feed;
	CHECK(daemon == getpid() && !run.attached);
	note("attached", NULL, 0);
	if (run.refused_attachments) {
		run.refused_attachments--;
		return -EBUSY;
	}
	run.attached = true;
	return 0;
}

static void on_state(void *context, struct feed *feed, enum feed_state state, const char *detail)
{
	(void)context;
	(void)detail;
	CHECK(feed->state == state);
	CHECK(state != FEED_STATE_SYNCED || run.attached);
	if (state == FEED_STATE_LOST || state == FEED_STATE_ABSENT)
		run.in_snapshot = false;
	note("state", feed_state_name(state), strlen(feed_state_name(state)));
}

static void on_child_up(void *context, struct feed *feed, const struct feed_child *child,
			const char *evidence)
{
	(void)context;
	(void)feed;
	note_child(evidence, child);
}

static void on_child_down(void *context, struct feed *feed, const struct feed_child *child)
{
	(void)context;
	(void)feed;
	note_child("down", child);
}

static void on_child_refused(void *context, struct feed *feed, const struct feed_child *child,
			     const struct feed_refusal *refusal)
{
	(void)context;
	(void)feed;
	CHECK(refusal->reason && child->spi_in && child->spi_out && child->ipsec_protocol);
	hash_number(&run.hash, child->spi_in);
}

static void on_peer_up(void *context, struct feed *feed, const struct feed_peer *peer)
{
	(void)context;
	(void)feed;
	note_peer("peer up", peer);
}

static void on_peer_rekeyed(void *context, struct feed *feed, uint32_t old,
			    const struct feed_peer *peer)
{
	(void)context;
	(void)feed;
	note_peer("peer rekeyed", peer);
	hash_number(&run.hash, old);
}

static void on_peer_down(void *context, struct feed *feed, const struct feed_peer *peer,
			 enum feed_down_cause cause)
{
	(void)context;
	(void)feed;
	note_peer("peer down", peer);
	hash_number(&run.hash, cause);
}

static void on_snapshot_begin(void *context, struct feed *feed)
{
	(void)context;
	(void)feed;
	CHECK(run.attached && !run.in_snapshot);
	run.in_snapshot = true;
	note("snapshot begin", NULL, 0);
}

static void on_snapshot_end(void *context, struct feed *feed)
{
	(void)context;
	(void)feed;
	CHECK(run.in_snapshot);
	run.in_snapshot = false;
	run.snapshots++;
	note("snapshot end", NULL, 0);
}

static const struct feed_sink sink = {
	.attached = on_attached,
	.state = on_state,
	.child_up = on_child_up,
	.child_refused = on_child_refused,
	.child_down = on_child_down,
	.peer_up = on_peer_up,
	.peer_rekeyed = on_peer_rekeyed,
	.peer_down = on_peer_down,
	.snapshot_begin = on_snapshot_begin,
	.snapshot_end = on_snapshot_end,
};

/* ---- charon */

static void queue(struct peer *peer, const void *bytes, size_t length)
{
	if (peer->fd < 0 || length > sizeof(peer->out) - peer->out_length)
		return;
	if (length)
		memcpy(peer->out + peer->out_length, bytes, length);
	peer->out_length += length;
}

static void queue_packet(struct peer *peer, enum vici_packet_type type, const char *name,
			 struct input message)
{
	static uint8_t frame[MEMORY_MAX];
	const struct vici_span span = {message.at, message.left};
	size_t size = vici_packet_size(name, span.length);

	if (size > sizeof(frame))
		return;
	if (vici_message_check(span))
		run.malformed = true;
	vici_packet_write(frame, type, name, span);
	queue(peer, frame, size);
}

static struct input no_message(void)
{
	return (struct input){NULL, 0};
}

static void default_conn(void)
{
	static uint8_t memory[128];
	struct vici_builder builder;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_section(&builder, "x509");
	vici_build_section(&builder, "remote-1");
	vici_build_value(&builder, "class", "public key");
	vici_build_value(&builder, "id", "*");
	vici_build_section_end(&builder);
	vici_build_section_end(&builder);
	run.conn = (struct input){memory, builder.length};
}

static void answer_version(struct peer *peer)
{
	static uint8_t memory[64];
	struct vici_builder builder;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "daemon", "charon");
	vici_build_value(&builder, "version", "5.9.8");
	queue_packet(peer, VICI_CMD_RESPONSE, NULL, (struct input){memory, builder.length});
}

static void answer_list_sas(struct peer *peer)
{
	size_t i;

	for (i = 0; i < run.sa_count; i++)
		queue_packet(peer, VICI_EVENT, "list-sa", run.sas[i]);
	queue_packet(peer, VICI_CMD_RESPONSE, NULL, no_message());
}

static void answer(struct peer *peer)
{
	peer->requested = false;
	if (run.replace) {
		run.replace = false;
		queue_packet(peer, run.replace_type, NULL, run.replacement);
	} else if (peer->type == VICI_EVENT_REGISTER) {
		queue_packet(peer, VICI_EVENT_CONFIRM, NULL, no_message());
	} else if (!strcmp(peer->name, "version")) {
		answer_version(peer);
	} else if (!strcmp(peer->name, "list-sas")) {
		answer_list_sas(peer);
	} else if (!strcmp(peer->name, "list-certs") || !strcmp(peer->name, "flush-certs")) {
		queue_packet(peer, VICI_CMD_RESPONSE, NULL, no_message());
	} else {
		CHECK(!strcmp(peer->name, "list-conns"));
		queue_packet(peer, VICI_EVENT, "list-conn", run.conn);
		queue_packet(peer, VICI_CMD_RESPONSE, NULL, no_message());
	}
}

static void take_request(struct peer *peer, struct vici_span payload)
{
	struct vici_packet packet;

	CHECK(!vici_packet_parse(payload, &packet) && !peer->requested);
	CHECK(packet.type == VICI_CMD_REQUEST || packet.type == VICI_EVENT_REGISTER);
	CHECK(!vici_text_copy(packet.name, peer->name, sizeof(peer->name)));
	peer->type = packet.type;
	peer->requested = true;
}

static void read_requests(struct peer *peer)
{
	struct vici_span payload;
	ssize_t length = 1;
	uint8_t *at;
	size_t room;

	while (peer->fd >= 0 && length > 0) {
		CHECK(!vici_frames_room(&peer->frames, &at, &room));
		length = recv(peer->fd, at, room, MSG_DONTWAIT);
		if (length > 0)
			vici_frames_filled(&peer->frames, (size_t)length);
		while (vici_frames_next(&peer->frames, &payload) > 0)
			take_request(peer, payload);
	}
	if (peer->fd >= 0 && (!length || errno != EAGAIN))
		peer_close(peer);
}

/* True: bytes were sent. */
static bool send_piece(struct peer *peer)
{
	size_t left = peer->out_length - peer->out_sent, piece = left;

	if (peer->fd < 0 || !left)
		return false;
	if (run.pieces)
		piece = 1 + draw(&run.pieces, 1u << draw(&run.pieces, 10));
	piece = piece < left ? piece : left;
	if (send(peer->fd, peer->out + peer->out_sent, piece, MSG_NOSIGNAL) != (ssize_t)piece) {
		peer_close(peer);
		return true;
	}
	peer->out_sent += piece;
	if (peer->out_sent == peer->out_length)
		peer->out_sent = peer->out_length = 0;
	return true;
}

static enum virtual_idle operate(void)
{
	struct peer *events = &run.peers[EVENTS], *commands = &run.peers[COMMANDS];
	enum operation operation = take_byte(&run.script) % OPERATIONS;
	struct input record;

	switch (operation) {
	case SEND_IKE_UPDOWN:
	case SEND_CHILD_UPDOWN:
	case SEND_CHILD_REKEY:
	case SEND_IKE_REKEY:
	case SEND_IKE_UPDATE:
	case SEND_LIST_CONN:
	case SEND_LIST_SA:
		record = take_record(&run.script);
		queue_packet(operation == SEND_LIST_SA ? commands : events, VICI_EVENT,
			     event_names[operation], record);
		break;
	case SEND_ALERT:
		queue_packet(events, VICI_EVENT, "alert", take_record(&run.script));
		break;
	case SET_LISTED_SA:
		run.sas[run.sa_count % SAS_MAX] = take_record(&run.script);
		run.sa_count = run.sa_count < SAS_MAX ? run.sa_count + 1 : SAS_MAX;
		break;
	case SET_LISTED_CONN:
		run.conn = take_record(&run.script);
		break;
	case HOLD_ANSWERS:
		run.hold = !run.hold;
		break;
	case REPLACE_ANSWER:
		run.replace = true;
		run.replace_type = take_byte(&run.script) % 8;
		run.replacement = take_record(&run.script);
		break;
	case SEND_BYTES:
		run.malformed = true;
		events = take_byte(&run.script) & 1 ? commands : events;
		record = take_record(&run.script);
		queue(events, record.at, record.left);
		break;
	case CLOSE_CONNECTION:
		peer_close(take_byte(&run.script) & 1 ? commands : events);
		break;
	case PASS_TIME:
		return VIRTUAL_PASS;
	case RESYNC:
		run.feed->resync(run.feed);
		break;
	case REFUSE:
		run.refused_attachments = take_byte(&run.script) & 1;
		run.refused_connects = !run.refused_attachments;
		break;
	case OPERATIONS:
		break;
	}
	return VIRTUAL_CONTINUE;
}

/* From here charon answers as it should, so that the feed must get in sync. */
static void end_script(void)
{
	run.ended = true;
	run.hold = run.replace = false;
	run.refused_attachments = run.refused_connects = 0;
	run.sa_count = 0;
	default_conn();
	run.waits = 0;
}

static enum virtual_idle after_script(void)
{
	if (!run.ended)
		end_script();
	if (run.waits++ < WAITS_MAX)
		return VIRTUAL_PASS;
	if (!run.resynced) {
		run.resynced = true;
		run.waits = 0;
		run.snapshots = 0;
		run.feed->resync(run.feed);
		return VIRTUAL_CONTINUE;
	}
	loop_stop(run.loop);
	return VIRTUAL_STOP;
}

/* charon has sent and received everything; then the time passes, or the script continues. */
static enum virtual_idle after_answers(void)
{
	bool closed = run.peers[EVENTS].fd < 0 && run.peers[COMMANDS].fd < 0;

	if (!closed && run.script.left && !run.ended)
		return operate();
	/* A list that no feed accepts ends every connection, so that the script cannot continue. */
	if (closed && run.script.left && run.waits++ < WAITS_MAX)
		return VIRTUAL_PASS;
	return after_script();
}

enum virtual_idle virtual_idle(void)
{
	enum side side;

	for (side = EVENTS; side < SIDES; side++)
		read_requests(&run.peers[side]);
	for (side = EVENTS; side < SIDES; side++)
		if (send_piece(&run.peers[side]))
			return VIRTUAL_CONTINUE;
	for (side = EVENTS; side < SIDES; side++) {
		if (run.peers[side].requested && !run.hold) {
			answer(&run.peers[side]);
			return VIRTUAL_CONTINUE;
		}
	}
	return after_answers();
}

/* ---- one run */

static void log_nothing(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	(void)subsystem;
	(void)text;
}

static uint64_t run_script(struct input script, uint64_t pieces)
{
	static const struct feed_statements statements;
	enum side side;
	char end;

	memset(&run, 0, sizeof(run));
	run.script = script;
	run.pieces = pieces;
	run.hash = HASH_FIRST;
	for (side = EVENTS; side < SIDES; side++)
		run.peers[side].fd = -1;
	default_conn();
	virtual_ms = 1000;
	run.loop = loop_new();
	run.feed = feed_vici_new(run.loop, "here", "/run/charon.vici", &statements, &sink);
	CHECK(run.loop && run.feed);
	CHECK(!loop_run(run.loop));
	if (!run.malformed)
		CHECK(run.feed->state == FEED_STATE_SYNCED && run.snapshots);
	run.feed->destroy(run.feed);
	for (side = EVENTS; side < SIDES; side++) {
		read_requests(&run.peers[side]);
		CHECK(run.peers[side].fd < 0 || recv(run.peers[side].fd, &end, 1, 0) <= 0);
		peer_close(&run.peers[side]);
	}
	loop_free(run.loop);
	return run.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input script = {bytes, size};
	uint64_t pieces = 1 + (uint64_t)take_byte(&script), whole;

	log_set_sink(log_nothing);
	whole = run_script(script, 0);
	if (!run.malformed)
		CHECK(run_script(script, pieces) == whole);
	return 0;
}
