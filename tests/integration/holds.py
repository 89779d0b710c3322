#!/usr/bin/env python3
"""holds.py PID TEXT: whether the writable memory of a process holds TEXT; 1 where it does."""
import sys

PIECE = 1 << 26
# So large is only a sanitizer's shadow of the memory, which has none of its bytes.
SHADOW = 1 << 36


def count(memory, start, end, text):
    """How often TEXT begins there; pieces overlap so that none is cut."""
    found = 0
    for at in range(start, end, PIECE):
        memory.seek(at)
        found += memory.read(min(PIECE + len(text) - 1, end - at)).count(text)
    return found


def main(pid, text):
    found = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            if not mode.startswith("rw") or "[vvar" in line or end - start >= SHADOW:
                continue
            try:
                found += count(memory, start, end, text)
            except OSError:
                pass
    return 1 if found else 0


sys.exit(main(sys.argv[1], sys.argv[2].encode()))
