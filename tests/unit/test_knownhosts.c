#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "knownhosts.h"

#define HASHED "|1|7E1IPrAclgE/SV0nab+K95EWoUE=|gUMuD2lu5EaY2/oeqPrWBzAH1uk="
/* Blobs that have a type and little else. */
static const char ed[] = "\0\0\0\013ssh-ed25519AAAA", ed_other[] = "\0\0\0\013ssh-ed25519BBBB",
		  ecdsa[] = "\0\0\0\023ecdsa-sha2-nistp256CCC";

static void add(struct knownhosts *k, const char *names, const char *type, const char *blob,
	size_t size)
{
	AUTO_STRBUF struct strbuf line = STRBUF_INIT;

	strbuf_addf(&line, "# comment\n\n%s %s ", names, type);
	base64_add(&line, blob, size - 1);
	strbuf_adds(&line, " somebody\nrubbish\n");
	knownhosts_add_text(k, "file", line.data);
}

static void names(void **state)
{
	(void)state;
	assert_true(knownhosts_name_matches("a,b.example,c", "b.example"));
	assert_false(knownhosts_name_matches("a,b.example,c", "b.exampl"));
	assert_true(knownhosts_name_matches("*.example,!bad.example", "good.example"));
	assert_false(knownhosts_name_matches("*.example,!bad.example", "bad.example"));
	assert_true(knownhosts_name_matches("[login?]:2222", "[login1]:2222"));
	assert_false(knownhosts_name_matches("login1", "[login1]:2222"));
	assert_true(knownhosts_name_matches(HASHED, "[login.example.org]:2222"));
	assert_false(knownhosts_name_matches(HASHED, "login.example.org"));
	assert_false(knownhosts_name_matches("|1|bad", "login.example.org"));
	assert_false(knownhosts_name_matches("", "x"));
}

static void judgement(void **state)
{
	const struct knownhost_key *which = NULL;
	AUTO_STRBUF struct strbuf methods = STRBUF_INIT;
	struct knownhosts k;

	(void)state;
	knownhosts_init(&k, "Host", 22);
	assert_string_equal(k.name, "host");
	assert_int_equal(knownhosts_check(&k, ed, sizeof(ed) - 1, &which), KNOWNHOST_UNKNOWN);
	add(&k, "@cert-authority host", "ssh-ed25519", ed, sizeof(ed));
	add(&k, "elsewhere", "ssh-ed25519", ed, sizeof(ed));
	assert_int_equal(k.count, 0);
	add(&k, "host", "ecdsa-sha2-nistp256", ecdsa, sizeof(ecdsa));
	assert_int_equal(knownhosts_check(&k, ed, sizeof(ed) - 1, &which), KNOWNHOST_UNKNOWN);
	knownhosts_methods(&k, &methods);
	assert_int_equal(strncmp(methods.data, "ecdsa-sha2-nistp256,ssh-ed25519,", 32), 0);
	add(&k, "host", "ssh-ed25519", ed_other, sizeof(ed_other));
	assert_int_equal(knownhosts_check(&k, ed, sizeof(ed) - 1, &which), KNOWNHOST_CHANGED);
	assert_int_equal(which->line, 3);
	add(&k, "host", "ssh-ed25519", ed, sizeof(ed));
	assert_int_equal(knownhosts_check(&k, ed, sizeof(ed) - 1, &which), KNOWNHOST_MATCH);
	add(&k, "@revoked host", "ssh-ed25519", ed, sizeof(ed));
	assert_int_equal(knownhosts_check(&k, ed, sizeof(ed) - 1, &which), KNOWNHOST_REVOKED);
	assert_int_equal(knownhosts_check(&k, ed, 2, &which), KNOWNHOST_UNKNOWN);
	knownhosts_finish(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(judgement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
