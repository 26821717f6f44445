/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Defines the maps that maps.h declares. */
#include "db/maps.h"

struct latches_map latches SEC(".maps");
struct associations_map associations SEC(".maps");
struct sas_map sas SEC(".maps");
struct params_map params SEC(".maps");
struct identities_map identities SEC(".maps");
struct own_keys_map own_keys SEC(".maps");
struct rules_map rules SEC(".maps");
struct settings_map settings SEC(".maps");
struct peer_sets_map peer_sets SEC(".maps");
struct peer_facts_map peer_facts SEC(".maps");
struct audits_map audits SEC(".maps");
struct clock_map latch_clocks SEC(".maps");
struct drops_map drops SEC(".maps");
struct counters_map counters SEC(".maps");
struct events_map events SEC(".maps");
struct epochs_map flow_epochs SEC(".maps");
struct epochs_map sa_epochs SEC(".maps");
struct remembered_map passed_out SEC(".maps");
struct remembered_map passed_in SEC(".maps");
struct verdicts_map verdicts SEC(".maps");
struct datagram_sockets_map datagram_sockets SEC(".maps");
struct refusals_map refusals SEC(".maps");
struct spd_stamps_map spd_stamps SEC(".maps");
struct pairs_map pairs SEC(".maps");
struct sa_shares_map sa_shares SEC(".maps");
struct mark_shares_map mark_shares SEC(".maps");
struct audit_shares_map audit_shares SEC(".maps");
struct object_marks_map reassemblies SEC(".maps");
struct object_marks_map mixtures SEC(".maps");
struct named_ends_map named_ends SEC(".maps");
struct pasts_map pasts SEC(".maps");
struct wishes_map wishes SEC(".maps");
struct wish_search_map wish_search SEC(".maps");
struct news_tokens_map news_tokens SEC(".maps");
struct news_sockets_map news_sockets SEC(".maps");
struct subscriptions_map subscriptions SEC(".maps");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
