#!/usr/bin/env python3
"""Runs a command on a terminal of its own and answers what it asks there.

    answer.py [QUESTION ANSWER]... -- COMMAND [ARGUMENT]...

Each QUESTION is a text that must appear after the one before it; ANSWER is then typed, followed by
Return, or Control-C where it is ^C.  All that the terminal shows goes to standard output.  Ends with
the command's status, 125 where a question did not come, 124 where the command has not ended in time.
"""
import os
import pty
import select
import signal
import sys
import time

SECONDS = 90


def main():
    split = sys.argv.index("--")
    words = [word.encode() for word in sys.argv[1:split]]
    questions = list(zip(words[::2], words[1::2]))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[split + 1], sys.argv[split + 1:])
    seen, done, is_open, status = b"", 0, True, None
    end = time.monotonic() + SECONDS
    while status is None and time.monotonic() < end:
        if is_open and select.select([terminal], [], [], 0.05)[0]:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                # All of the other side's descriptors are closed.
                chunk, is_open = b"", False
            sys.stdout.buffer.write(chunk)
            seen += chunk
            while questions and questions[0][0] in seen[done:]:
                question, answer = questions.pop(0)
                done = seen.index(question, done) + len(question)
                os.write(terminal, b"\x03" if answer == b"^C" else answer + b"\n")
            continue
        if not is_open:
            time.sleep(0.02)
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.stdout.flush()
    if status is None:
        os.kill(pid, signal.SIGKILL)
        print("answer.py: the command has not ended", file=sys.stderr)
        return 124
    if questions:
        print(f"answer.py: not asked: {questions[0][0].decode()}", file=sys.stderr)
        return 125
    return status if status >= 0 else 128 - status


sys.exit(main())
