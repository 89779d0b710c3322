/*
 * Stands in for sbatch, squeue, sacct, scontrol, scancel, sinfo and sacctmgr, by whichever name it is
 * called: hands its arguments to the controller (controller.py) and does what that answers.
 *
 *   $FAULT_SLURM   the controller's socket
 *
 * Sent: "NAME\0FOLDER\0ARGUMENT\0...", then, behind an empty one, standard input where NAME is sbatch and no
 * script is named.  Answered by frames of a letter, a length in decimal, a newline and the bytes: o and e
 * go to standard output and error, x ends with that status, k kills the sbatch, K all of its session.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *call_controller(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = getenv("FAULT_SLURM");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path ? path : "");
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return NULL;
	return fdopen(fd, "r+");
}

static void send_request(FILE *line, const char *name, int argc, char **argv)
{
	char folder[4096], buffer[65536];
	int script = 0;
	size_t n;

	if (!getcwd(folder, sizeof(folder)))
		*folder = '\0';
	fprintf(line, "%s%c%s%c", name, 0, folder, 0);
	for (int i = 1; i < argc; i++) {
		fprintf(line, "%s%c", argv[i], 0);
		script |= *argv[i] != '-';
	}
	fputc(0, line);
	if (!strcmp(name, "sbatch") && !script)
		while ((n = fread(buffer, 1, sizeof(buffer), stdin)) > 0)
			fwrite(buffer, 1, n, line);
	fflush(line);
	shutdown(fileno(line), SHUT_WR);
}

/* Returns the status to end with. */
static int obey(FILE *line)
{
	char kind, *bytes;
	size_t len;

	while (fscanf(line, "%c%zu", &kind, &len) == 2 && fgetc(line) == '\n') {
		bytes = calloc(1, len + 1);
		if (!bytes || fread(bytes, 1, len, line) != len)
			return 1;
		if (kind == 'x')
			return atoi(bytes);
		if (kind == 'k')
			raise(SIGKILL);
		if (kind == 'K')
			kill(-getsid(0), SIGKILL), raise(SIGKILL);
		fwrite(bytes, 1, len, kind == 'e' ? stderr : stdout);
		fflush(NULL);
		free(bytes);
	}
	/* The controller is gone. */
	return 1;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	FILE *line = call_controller();

	if (!line) {
		fprintf(stderr, "%s: error: Unable to contact slurm controller (connect failure)\n", name);
		return 1;
	}
	send_request(line, name, argc, argv);
	return obey(line);
}
