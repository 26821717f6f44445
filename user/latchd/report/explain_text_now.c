/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of "latchctl explain" for the forecast of a new connection. */
#include <inttypes.h>
#include <string.h>

#include "common/names.h"
#include "latchd/maps/tables.h"
#include "latchd/report/explain_text.h"
#include "latchd/report/explain_words.h"

#define REQUIRES_SIZE (CONFIG_NAME_MAX + 64)

/* Each owner once, in the order of the SAs. */
static void add_owners(const struct report_source *source, const struct explanation *e,
		       struct explain_texts *ret)
{
	const char *separator = "";
	char peer[NAME_SIZE];
	size_t i, j;

	for (i = 0; i < e->sa_count && i < EXPLAIN_SAS_MAX; i++) {
		const struct explain_sa *sa = &e->sas[i];

		for (j = 0; j < i; j++)
			if (e->sas[j].out == e->now_sa->out &&
			    e->sas[j].sa.word.params == sa->sa.word.params)
				break;
		if (j < i || sa->out != e->now_sa->out || !sa->sa.word.params)
			continue;
		CAUSE("%s%s (0x%08x)", separator, name_of_params(peer, source, sa->sa.word.params),
		      sa->key.spi);
		separator = ", ";
	}
}

static const char *suffix_of(const struct explain_sa *sa)
{
	if (sa->sa.word.flags & LATCH_SA_AMBIGUOUS)
		return " and ambiguous";
	return sa_is_unproven(sa->sa.word) ? ", its report refused" : "";
}

/* The wish comes first: a rule may require a latch, too, and a change of it would not help. */
static const char *what_requires(char out[REQUIRES_SIZE], const struct report_source *source,
				 const struct explanation *e)
{
	if (e->wish)
		snprintf(out, REQUIRES_SIZE, "its application requires a latch by setsockopt()");
	else
		snprintf(out, REQUIRES_SIZE, "rule \"%s\" requires a latch",
			 rule_name(source, e->rule));
	return out;
}

static void now_latched(const struct report_source *source, const struct explanation *e,
			struct explain_texts *ret)
{
	const struct explain_sa *sa = e->now_sa;
	char peer[NAME_SIZE];

	ret->code = "latched";
	CAUSE("latched to %s, under SA 0x%08x", name_of_params(peer, source, sa->sa.word.params),
	      sa->key.spi);
	if (e->wish && e->wish != LATCH_WHY_REQUIRED)
		CAUSE(", if that fulfils what its application expects by setsockopt()");
}

static void now_by_sa(const struct report_source *source, const struct explanation *e,
		      struct explain_texts *ret)
{
	const struct explain_sa *sa = e->now_sa;
	char peer[NAME_SIZE], requires[REQUIRES_SIZE];

	switch (e->now) {
	case EXPLAIN_NOW_LATCHED:
		now_latched(source, e, ret);
		return;
	case EXPLAIN_NOW_BY_ROUTE:
		ret->code = "by-route";
		CAUSE("latched to the owner of one of these SAs, the route decides: ");
		add_owners(source, e, ret);
		NEXT("ip route get shows the route");
		return;
	case EXPLAIN_NOW_CONTESTED:
		ret->code = "contested";
		CAUSE("refused (conflict) if the kernel could use SAs with different parameters "
		      "between its addresses, as latchd decides at its first packet; "
		      "0x%08x is of %s",
		      sa->key.spi, name_of_params(peer, source, sa->sa.word.params));
		NEXT("%s", NEXT_CONTESTED);
		return;
	case EXPLAIN_NOW_SA_PENDING:
		ret->code = "sa-pending";
		CAUSE("waits for the owner of SA 0x%08x, for pending-limit at most", sa->key.spi);
		NEXT("%s", NEXT_UNATTRIBUTED);
		return;
	case EXPLAIN_NOW_LARVAL:
		ret->code = "larval";
		CAUSE("passes, latched to no peer (larval): SA 0x%08x is %s%s", sa->key.spi,
		      latch_sa_state_name(sa->sa.word.state), suffix_of(sa));
		NEXT("%s", NEXT_UNATTRIBUTED);
		return;
	case EXPLAIN_NOW_UNATTRIBUTED:
		ret->code = "sa-unattributed";
		CAUSE("refused (required): %s, and SA 0x%08x is %s%s",
		      what_requires(requires, source, e), sa->key.spi,
		      latch_sa_state_name(sa->sa.word.state), suffix_of(sa));
		NEXT("%s", NEXT_UNATTRIBUTED);
		return;
	case EXPLAIN_NOW_TERMS:
		ret->code = "not-admitted";
		CAUSE("refused: rule \"%s\" requires another peer or stronger encryption; SA 0x%08x "
		      "is of %s",
		      rule_name(source, e->rule), sa->key.spi,
		      name_of_params(peer, source, sa->sa.word.params));
		NEXT("%s", NEXT_PEER);
		return;
	case EXPLAIN_NOW_WISH:
		ret->code = "not-wished";
		CAUSE("refused: SA 0x%08x is of %s, and does not fulfil what the application of the "
		      "refused connection expects by setsockopt(): %s",
		      sa->key.spi, name_of_params(peer, source, sa->sa.word.params),
		      latch_why_name((enum latch_why)e->wish));
		NEXT("%s", NEXT_WISH);
		return;
	case EXPLAIN_NOW_UNKNOWN:
	case EXPLAIN_NOW_OFF:
	case EXPLAIN_NOW_BLOCKED:
	case EXPLAIN_NOW_CLEAR:
	case EXPLAIN_NOW_REQUIRED:
	case EXPLAIN_NOW_NEGOTIATES:
	case EXPLAIN_NOW_UNREPORTED:
		return;
	}
}

static void now_by_policy(const struct report_source *source, const struct explanation *e,
			  struct explain_texts *ret)
{
	char requires[REQUIRES_SIZE];

	switch (e->now) {
	case EXPLAIN_NOW_UNKNOWN:
		ret->code = "unknown";
		CAUSE("the IPsec policies cannot be read: %s", strerror(-e->spd_error));
		return;
	case EXPLAIN_NOW_OFF:
		ret->code = "off";
		CAUSE("passes without a latch: rule \"%s\" has action off",
		      rule_name(source, e->rule));
		NEXT("%s", NEXT_RULE);
		return;
	case EXPLAIN_NOW_BLOCKED:
		ret->code = "blocked";
		CAUSE("an IPsec policy blocks it: the kernel sends nothing");
		NEXT("ip xfrm policy shows the policies");
		return;
	case EXPLAIN_NOW_CLEAR:
		ret->code = "clear";
		CAUSE("passes in clear, without a latch: no IPsec policy protects it");
		NEXT("%s", NEXT_PROTECT);
		return;
	case EXPLAIN_NOW_REQUIRED:
		ret->code = "required";
		CAUSE("refused (required): %s, and no IPsec policy protects it",
		      what_requires(requires, source, e));
		NEXT("%s", NEXT_PROTECT);
		return;
	case EXPLAIN_NOW_NEGOTIATES:
		ret->code = "negotiates";
		CAUSE("waits for the key manager to negotiate an SA: there is none yet");
		return;
	case EXPLAIN_NOW_UNREPORTED:
		ret->code = "unreported";
		CAUSE("not known: no key manager has reported what %" PRIu64
		      " SAs of the policy's mode "
		      "carry; without one of them it waits for the key manager to negotiate an SA",
		      e->unreported);
		NEXT("%s", NEXT_UNATTRIBUTED);
		return;
	case EXPLAIN_NOW_LATCHED:
	case EXPLAIN_NOW_BY_ROUTE:
	case EXPLAIN_NOW_CONTESTED:
	case EXPLAIN_NOW_SA_PENDING:
	case EXPLAIN_NOW_LARVAL:
	case EXPLAIN_NOW_TERMS:
	case EXPLAIN_NOW_WISH:
	case EXPLAIN_NOW_UNATTRIBUTED:
		return;
	}
}

void explain_text_now(const struct report_source *source, const struct explanation *e,
		      struct explain_texts *ret)
{
	*ret = (struct explain_texts){0};
	if (e->now_sa)
		now_by_sa(source, e, ret);
	else
		now_by_policy(source, e, ret);
}
