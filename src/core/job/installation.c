#include "installation.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

#define HEX "0123456789abcdef"

static int make_id(char id[INSTALLATION_ID_SIZE])
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* Whole or not at all: a cut id would be another one. */
static int write_id(const char *state, const char *path, const char *id)
{
	AUTO_FREE char *part = xasprintf("%s.part", path);
	int fd AUTO_CLOSE = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int folder AUTO_CLOSE = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || folder < 0 || dprintf(fd, "%s\n", id) < 0 || fsync(fd) ||
		rename(part, path) || fsync(folder))
		return -errno;
	return 0;
}

static int read_id(const char *path, char id[INSTALLATION_ID_SIZE])
{
	char text[64];
	int fd AUTO_CLOSE = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof(text));
	if (n < 0)
		return -errno;
	if (n != INSTALLATION_ID_SIZE || text[n - 1] != '\n')
		return -EINVAL;
	text[n - 1] = '\0';
	if (strspn(text, HEX) != INSTALLATION_ID_SIZE - 1)
		return -EINVAL;
	memcpy(id, text, INSTALLATION_ID_SIZE);
	return 0;
}

/* What is no safe character in a record becomes an underscore. */
static void name_owner(char owner[INSTALLATION_OWNER_SIZE])
{
	char host[64] = "localhost";
	const struct passwd *user = getpwuid(getuid());

	gethostname(host, sizeof(host) - 1);
	if (user)
		snprintf(owner, INSTALLATION_OWNER_SIZE, "%.60s@%.63s", user->pw_name, host);
	else
		snprintf(owner, INSTALLATION_OWNER_SIZE, "%u@%.63s", (unsigned)getuid(), host);
	for (char *c = owner; *c; c++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-@", *c))
			*c = '_';
}

int installation_load(const char *state, struct installation *ret, struct strbuf *why)
{
	AUTO_FREE char *path = xasprintf("%s/installation", state);

	name_owner(ret->owner);
	int r = read_id(path, ret->id);
	if (r == -ENOENT) {
		r = make_id(ret->id);
		if (r == 0)
			r = write_id(state, path, ret->id);
	}
	if (r == -EINVAL)
		strbuf_addf(why, "%s should hold this installation's id, 32 hexadecimal digits, and does "
			"not; remove it to begin as a new installation, which does not own the jobs "
			"submitted so far where jobs.db is lost, too", path);
	else if (r < 0)
		strbuf_addf(why, "%s: %s", path, strerror(-r));
	return r;
}
