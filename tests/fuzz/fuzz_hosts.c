/* known_hosts (first byte even) and what `ssh -G` prints. */
#include <string.h>

#include "cleanup.h"
#include "fuzz.h"
#include "knownhosts.h"
#include "sshtransport.h"
#include "strbuf.h"

static void known_hosts(const char *text)
{
	static const char blob[] = "\0\0\0\013ssh-ed25519\0\0\0\040abcdefghijklmnopqrstuvwxyz012345";
	const struct knownhost_key *which = NULL;
	struct strbuf methods AUTO_STRBUF = STRBUF_INIT;
	struct knownhosts known;

	knownhosts_init(&known, "h.example.org", 2222);
	knownhosts_add_text(&known, "file", text);
	enum knownhost result = knownhosts_check(&known, blob, sizeof(blob) - 1, &which);
	if (result == KNOWNHOST_CHANGED || result == KNOWNHOST_REVOKED)
		MUST(which && which->line > 0);
	knownhosts_methods(&known, &methods);
	must_be_readable(methods.data, methods.len);
	knownhosts_finish(&known);
	knownhosts_name_matches(text, "h.example.org");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	AUTO_FREE char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] % 2 == 0) {
		known_hosts(text);
		return 0;
	}
	struct ssh_settings s = {.host = strdup("h")};
	ssh_settings_parse(&s, text);
	ssh_settings_defaults(&s);
	MUST(s.address && s.user && s.port > 0 && s.port < 65536 && s.keepalive > 0);
	MUST(s.identities.count <= SSH_LIST_MAX && s.known_hosts_files.count > 0);
	ssh_settings_finish(&s);
	return 0;
}
