/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A peer that claims another outer EAP identity than the one that it proves inside the tunnel,
 * as any client can. Preloaded into charon: its answer to the first EAP-Identity request, outside
 * of TLS, is $EAP_OUTER_IDENTITY; the second answer, inside, is its configured eap_id.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define PLUGIN "/usr/lib/ipsec/plugins/libstrongswan-eap-identity.so"

typedef void *(*create_fn)(void *server, void *peer);

/* Of libstrongswan, which charon has loaded. */
void *identification_create_from_string(const char *text);

void *eap_identity_create_peer(void *server, void *peer);

void *eap_identity_create_peer(void *server, void *peer)
{
	static unsigned int answers;
	void *plugin = dlopen(PLUGIN, RTLD_LAZY | RTLD_NOLOAD);
	create_fn create = plugin ? (create_fn)dlsym(plugin, "eap_identity_create_peer") : NULL;
	const char *outer = getenv("EAP_OUTER_IDENTITY");

	if (!create || !outer) {
		fprintf(stderr, "outer_identity: no plugin or no EAP_OUTER_IDENTITY\n");
		abort();
	}
	if (answers++ % 2 == 0)
		peer = identification_create_from_string(outer);
	return create(server, peer);
}
