#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "sshtransport.h"

static const char sample[] = "user alice\nhostname login.example.org\nport 2222\nidentitiesonly yes\n"
	"identityfile ~/.ssh/id_ed25519\nidentityfile /keys/other\nidentityfile /keys/other\n"
	"globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n"
	"userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2\nproxyjump bob@gate:2200\n"
	"hostkeyalias cluster\nconnecttimeout none\nserveraliveinterval 30\n"
	"identityagent SSH_AUTH_SOCK\n";

static void takes_what_is_unset(void **state)
{
	struct ssh_settings s = {.host = xstrdup("hpc")};

	(void)state;
	setenv("HOME", "/home/alice", 1);
	ssh_settings_parse(&s, sample);
	ssh_settings_defaults(&s);
	assert_string_equal(s.user, "alice");
	assert_string_equal(s.address, "login.example.org");
	assert_int_equal(s.port, 2222);
	assert_true(s.identities_only);
	assert_int_equal(s.identities.count, 2);
	assert_string_equal(s.identities.items[0], "/home/alice/.ssh/id_ed25519");
	assert_int_equal(s.known_hosts_files.count, 4);
	assert_string_equal(s.known_hosts_files.items[0], "/home/alice/.ssh/known_hosts");
	assert_string_equal(s.known_hosts_files.items[3], "/etc/ssh/ssh_known_hosts2");
	assert_string_equal(s.jump, "bob@gate:2200");
	assert_string_equal(s.alias, "cluster");
	assert_null(s.agent);
	assert_int_equal(s.connect_timeout, 0);
	assert_int_equal(s.keepalive, 30);
	ssh_settings_finish(&s);
}

static void the_caller_wins(void **state)
{
	struct ssh_settings s = {.host = xstrdup("hpc"), .user = xstrdup("carol"), .port = 22,
		.known_hosts = xstrdup("/k"), .jump = xstrdup("none")};

	(void)state;
	ssh_settings_parse(&s, sample);
	ssh_settings_defaults(&s);
	assert_string_equal(s.user, "carol");
	assert_int_equal(s.port, 22);
	assert_null(s.jump);
	assert_int_equal(s.known_hosts_files.count, 1);
	assert_string_equal(s.known_hosts_files.items[0], "/k");
	ssh_settings_finish(&s);
}

static void defaults_alone(void **state)
{
	struct ssh_settings s = {.host = xstrdup("hpc")}, copy;

	(void)state;
	setenv("HOME", "/home/alice", 1);
	ssh_settings_parse(&s, "port nonsense\nuser\n\n");
	ssh_settings_defaults(&s);
	assert_string_equal(s.address, "hpc");
	assert_int_equal(s.port, 22);
	assert_non_null(s.user);
	assert_int_equal(s.keepalive, 15);
	ssh_settings_copy(&copy, &s);
	ssh_settings_finish(&s);
	assert_string_equal(copy.known_hosts_files.items[0], "/home/alice/.ssh/known_hosts");
	ssh_settings_finish(&copy);
}

static void expands_tokens_of_identities(void **state)
{
	struct ssh_settings s = {.host = xstrdup("hpc")};

	(void)state;
	setenv("HOME", "/home/alice", 1);
	setenv("KEYS", "/keys", 1);
	ssh_settings_parse(&s, "identityfile ~/.ssh/%r@%h\nidentityfile %d/a%%b\nidentityfile ${KEYS}/%n-%p\n"
		"identityfile /k/%z${\nuser alice\nhostname login.example.org\nport 2222\n");
	ssh_settings_defaults(&s);
	assert_int_equal(s.identities.count, 4);
	assert_string_equal(s.identities.items[0], "/home/alice/.ssh/alice@login.example.org");
	assert_string_equal(s.identities.items[1], "/home/alice/a%b");
	assert_string_equal(s.identities.items[2], "/keys/hpc-2222");
	assert_string_equal(s.identities.items[3], "/k/%z${");
	ssh_settings_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_unset),
		cmocka_unit_test(the_caller_wins),
		cmocka_unit_test(defaults_alone),
		cmocka_unit_test(expands_tokens_of_identities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
