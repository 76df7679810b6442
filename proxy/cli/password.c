#include "cli/password.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

#include "cli/cli.h"
#include "util/file.h"

/* A byte at a time, so that nothing behind the line is taken and no copy stays in a FILE. */
static bool read_line(int fd, struct buf *out)
{
	uint8_t *room = buf_reserve(out, CLI_PASSWORD_MAX + 2);

	for (size_t i = 0; room && i <= CLI_PASSWORD_MAX; i++) {
		ssize_t n = read(fd, room + i, 1);

		if (n < 0)
			return false;
		if (n == 0 || room[i] == '\n') {
			if (i && room[i - 1] == '\r')
				i--;
			room[i] = 0;
			buf_commit(out, i);
			return n != 0 || i != 0;
		}
	}
	return false;
}

static bool ask(int terminal, const char *prompt, struct buf *out)
{
	struct termios before, silent;
	bool came;

	if (tcgetattr(terminal, &before) < 0)
		return false;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	if (!file_write_all(terminal, bytes_str(prompt)) ||
		tcsetattr(terminal, TCSAFLUSH, &silent) < 0)
		return false;
	came = read_line(terminal, out);
	(void)tcsetattr(terminal, TCSAFLUSH, &before);
	/* The newline that was typed was not echoed either. */
	return file_write_all(terminal, bytes_str("\n")) && came;
}

static bool ask_twice(const char *command, int terminal, struct buf *out)
{
	struct buf again;
	bool same;

	buf_init(&again, CLI_PASSWORD_MAX + 2);
	same = ask(terminal, "The same again: ", &again) && again.len == out->len &&
	       sodium_memcmp(again.at, out->at, out->len) == 0;
	buf_wipe(&again);
	if (!same)
		cli_fail(CLI_BAD, command, "the two passwords differ");
	return same;
}

bool password_read(
	const char *command, const char *prompt, bool from_stdin, bool confirm, struct buf *out)
{
	int terminal;
	bool fine;

	if (from_stdin) {
		if (read_line(STDIN_FILENO, out) && out->len)
			return true;
		cli_fail(CLI_BAD, command, "no password of 1 to %u bytes came on standard input",
			CLI_PASSWORD_MAX);
		return false;
	}
	terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (terminal < 0) {
		cli_fail(CLI_BAD, command,
			"there is no terminal to ask for the password (use --password-stdin)");
		return false;
	}
	fine = ask(terminal, prompt, out) && out->len;
	if (!fine)
		cli_fail(CLI_BAD, command, "no password was given");
	else if (confirm)
		fine = ask_twice(command, terminal, out);
	close(terminal);
	return fine;
}
