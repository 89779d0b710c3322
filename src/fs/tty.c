#include "tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "strbuf.h"

#define CTRL_C 3

/* Up to the end of the line, straight into the caller's buffer: no library keeps a copy. */
static int read_line(int tty, char *answer, size_t size)
{
	size_t len = 0;
	char c;

	for (;;) {
		ssize_t n = read(tty, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || c == CTRL_C)
			return -ECANCELED;
		if (c == '\n')
			break;
		if (len + 1 < size)
			answer[len++] = c;
	}
	answer[len] = '\0';
	c = '\0';
	return 0;
}

/* The server's own words must not steer the terminal; but menus have lines. */
static void add_prompt(struct strbuf *b, const char *prompt)
{
	strbuf_add_lines(b, prompt, strlen(prompt));
	if (b->len && !strchr(" \n", b->data[b->len - 1]))
		strbuf_addc(b, ' ');
}

int tty_ask(void *arg, const char *prompt, bool echo, char *answer, size_t size)
{
	int tty AUTO_CLOSE = open("/dev/tty", O_RDWR | O_CLOEXEC);
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct termios before, quiet;

	(void)arg;
	if (tty < 0 || tcgetattr(tty, &before))
		return -ENOTTY;
	add_prompt(&text, prompt);
	quiet = before;
	/* Control-C ends the line here, so that the terminal is never left without an echo. */
	quiet.c_lflag &= ~(tcflag_t)ISIG;
	quiet.c_cc[VEOL] = CTRL_C;
	if (!echo)
		quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSAFLUSH, &quiet);
	dprintf(tty, "%s", text.data);
	int r = read_line(tty, answer, size);
	tcsetattr(tty, TCSAFLUSH, &before);
	if (!echo || r < 0)
		dprintf(tty, "\n");
	return r;
}
