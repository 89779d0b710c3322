#!/usr/bin/env python3
"""holds.py PID TEXT: whether the writable memory of a process holds TEXT; 1 where it does."""
import sys

pid, text = sys.argv[1], sys.argv[2].encode()
found = 0
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        place, mode = line.split()[:2]
        if not mode.startswith("rw") or "[vvar" in line:
            continue
        start, end = (int(part, 16) for part in place.split("-"))
        memory.seek(start)
        try:
            found += memory.read(end - start).count(text)
        except OSError:
            pass
sys.exit(1 if found else 0)
