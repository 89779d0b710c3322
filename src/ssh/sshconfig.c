/* What ssh's own configuration says of a host, as `ssh -G` prints it. */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "childproc.h"
#include "clock.h"
#include "err.h"
#include "log.h"
#include "sshtransport.h"

#define QUERY_MS 10000
#define KEEPALIVE_S 15

static void list_add(struct ssh_list *list, char *item)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!strcmp(list->items[i], item)) {
			free(item);
			return;
		}
	}
	if (list->count < SSH_LIST_MAX)
		list->items[list->count++] = item;
	else
		free(item);
}

char *ssh_expand_home(const char *path)
{
	const char *home = getenv("HOME");
	struct passwd *pw;

	if (strncmp(path, "~/", 2) && strncmp(path, "%d/", 3))
		return xstrdup(path);
	if (!home || !*home) {
		pw = getpwuid(getuid());
		home = pw ? pw->pw_dir : "";
	}
	return xasprintf("%s%s", home, strchr(path, '/'));
}

static void set_unset(char **field, const char *value)
{
	if (!*field)
		*field = xstrdup(value);
}

/* Each of several paths that blanks separate. */
static void add_paths(struct ssh_list *list, const char *value)
{
	while (*value) {
		size_t n = strcspn(value, " \t");

		if (n) {
			AUTO_FREE char *path = xstrndup(value, n);

			if (strcmp(path, "none") && strcmp(path, "/dev/null"))
				list_add(list, ssh_expand_home(path));
		}
		value += n;
		value += strspn(value, " \t");
	}
}

static int number(const char *value, int most)
{
	char *end;
	long n = strtol(value, &end, 10);

	return end == value || *end || n < 0 || n > most ? 0 : (int)n;
}

static void take(struct ssh_settings *s, const char *key, const char *value)
{
	if (!strcmp(key, "hostname"))
		set_unset(&s->address, value);
	else if (!strcmp(key, "user"))
		set_unset(&s->user, value);
	else if (!strcmp(key, "port") && !s->port)
		s->port = number(value, 65535);
	else if (!strcmp(key, "identityfile"))
		list_add(&s->identities, ssh_expand_home(value));
	else if (!strcmp(key, "userknownhostsfile") && !s->known_hosts)
		add_paths(&s->known_hosts_files, value);
	else if (!strcmp(key, "globalknownhostsfile") && !s->known_hosts)
		add_paths(&s->known_hosts_files, value);
	else if (!strcmp(key, "proxyjump"))
		set_unset(&s->jump, value);
	else if (!strcmp(key, "hostkeyalias") && strcmp(value, "none"))
		set_unset(&s->alias, value);
	else if (!strcmp(key, "identityagent") && strcmp(value, "SSH_AUTH_SOCK"))
		set_unset(&s->agent, value);
	else if (!strcmp(key, "identitiesonly"))
		s->identities_only = !strcmp(value, "yes");
	else if (!strcmp(key, "connecttimeout") && !s->connect_timeout)
		s->connect_timeout = number(value, 3600);
	else if (!strcmp(key, "serveraliveinterval") && !s->keepalive)
		s->keepalive = number(value, 3600);
	else if (!strcmp(key, "proxycommand") && strcmp(value, "none"))
		log_warning("ssh: ProxyCommand of %s is not used; a jump host is (ProxyJump)", s->host);
}

/* Known hosts of the user come before those of the machine: the first is where a fix is written. */
static void own_files_first(struct ssh_list *list)
{
	for (size_t i = 1; i < list->count; i++) {
		for (size_t j = i; j && !strncmp(list->items[j - 1], "/etc/", 5) &&
			strncmp(list->items[j], "/etc/", 5); j--) {
			char *swap = list->items[j];

			list->items[j] = list->items[j - 1];
			list->items[j - 1] = swap;
		}
	}
}

void ssh_settings_parse(struct ssh_settings *s, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		AUTO_FREE char *line = xstrndup(text, n);
		char *value = line + strcspn(line, " \t");

		if (*value) {
			*value++ = '\0';
			for (char *c = line; *c; c++)
				*c = (char)tolower((unsigned char)*c);
			take(s, line, value + strspn(value, " \t"));
		}
		text += n;
		text += *text == '\n';
	}
	own_files_first(&s->known_hosts_files);
}

static void add_local_user(struct strbuf *b)
{
	struct passwd *pw = getpwuid(getuid());

	strbuf_adds(b, pw ? pw->pw_name : "");
}

/* `ssh -G` prints the files of keys as they are configured: their tokens, which ssh_config(5) has, are ours to
 * expand.  One that it does not name stays as it is. */
static char *expand_tokens(const struct ssh_settings *s, const char *path)
{
	AUTO_STRBUF struct strbuf b = STRBUF_INIT;

	for (const char *c = path; *c; c++) {
		const char *end = c[0] == '$' && c[1] == '{' ? strchr(c, '}') : NULL;

		if (end) {
			AUTO_FREE char *name = xstrndup(c + 2, (size_t)(end - c) - 2);
			const char *value = getenv(name);

			strbuf_adds(&b, value ? value : "");
			c = end;
		} else if (*c != '%' || !c[1] || !strchr("%dhnpru", c[1])) {
			strbuf_addc(&b, *c);
		} else {
			AUTO_FREE char *home = ssh_expand_home("~/");

			switch (*++c) {
			case '%': strbuf_addc(&b, '%'); break;
			case 'd': strbuf_add(&b, home, strlen(home) - 1); break;
			case 'h': strbuf_adds(&b, s->address); break;
			case 'n': strbuf_adds(&b, s->host); break;
			case 'p': strbuf_addf(&b, "%d", s->port); break;
			case 'r': strbuf_adds(&b, s->user); break;
			case 'u': add_local_user(&b); break;
			}
		}
	}
	return xstrdup(b.data);
}

static void expand_identities(struct ssh_settings *s)
{
	for (size_t i = 0; i < s->identities.count; i++) {
		char *path = expand_tokens(s, s->identities.items[i]);

		free(s->identities.items[i]);
		s->identities.items[i] = path;
	}
}

void ssh_settings_defaults(struct ssh_settings *s)
{
	static const char *const names[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"};
	struct passwd *pw;

	if (!s->address)
		s->address = xstrdup(s->host);
	if (!s->user) {
		pw = getpwuid(getuid());
		s->user = xstrdup(pw ? pw->pw_name : "root");
	}
	if (!s->port)
		s->port = 22;
	if (!s->identities.count)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			list_add(&s->identities, ssh_expand_home(names[i]));
	expand_identities(s);
	if (s->known_hosts && !s->known_hosts_files.count)
		list_add(&s->known_hosts_files, ssh_expand_home(s->known_hosts));
	if (!s->known_hosts_files.count) {
		list_add(&s->known_hosts_files, ssh_expand_home("~/.ssh/known_hosts"));
		list_add(&s->known_hosts_files, xstrdup("/etc/ssh/ssh_known_hosts"));
	}
	if (s->jump && (!*s->jump || !strcmp(s->jump, "none"))) {
		free(s->jump);
		s->jump = NULL;
	}
	if (!s->keepalive)
		s->keepalive = KEEPALIVE_S;
}

int ssh_settings_resolve(struct ssh_settings *s, struct strbuf *why)
{
	AUTO_STRBUF struct strbuf text = STRBUF_INIT;
	const char *argv[10] = {"ssh", "-G"};
	char port[16];
	int n = 2, status;

	if (!s->host || !*s->host || *s->host == '-') {
		strbuf_adds(why, "no host is named");
		return -EINVAL;
	}
	if (s->port) {
		snprintf(port, sizeof(port), "%d", s->port);
		argv[n++] = "-p";
		argv[n++] = port;
	}
	if (s->user) {
		argv[n++] = "-l";
		argv[n++] = s->user;
	}
	argv[n++] = "--";
	argv[n] = s->host;
	status = child_run(argv, clock_in(&clock_system, QUERY_MS), &text);
	if (status > 0 && status < 126) {
		strbuf_addf(why, "`ssh -G %s` exits with %d: its configuration is in error", s->host,
			status);
		return -EINVAL;
	}
	if (status)
		log_warning("ssh -G %s could not be run; ssh's own defaults are taken", s->host);
	else
		ssh_settings_parse(s, text.data);
	ssh_settings_defaults(s);
	return 0;
}

static void list_copy(struct ssh_list *to, const struct ssh_list *from)
{
	for (size_t i = 0; i < from->count; i++)
		to->items[i] = xstrdup(from->items[i]);
}

void ssh_settings_copy(struct ssh_settings *to, const struct ssh_settings *from)
{
	*to = *from;
	to->host = xstrdup(from->host);
	to->user = xstrdup(from->user);
	to->identity = xstrdup(from->identity);
	to->known_hosts = xstrdup(from->known_hosts);
	to->jump = xstrdup(from->jump);
	to->address = xstrdup(from->address);
	to->alias = xstrdup(from->alias);
	to->agent = xstrdup(from->agent);
	list_copy(&to->identities, &from->identities);
	list_copy(&to->known_hosts_files, &from->known_hosts_files);
}

static void list_finish(struct ssh_list *list)
{
	while (list->count)
		free(list->items[--list->count]);
}

void ssh_settings_finish(struct ssh_settings *s)
{
	free(s->host);
	free(s->user);
	free(s->identity);
	free(s->known_hosts);
	free(s->jump);
	free(s->address);
	free(s->alias);
	free(s->agent);
	list_finish(&s->identities);
	list_finish(&s->known_hosts_files);
	memset(s, 0, sizeof(*s));
}
