#!/usr/bin/env python3
"""readable.py FILE-OR-FOLDER...: fails where a text for people holds a byte that steers a terminal.

In a mount all files are looked at but work/, jobs/new/, templates/, and wait/, which blocks; and what is
the user's own byte for byte: config.ini, script.sbatch, refused.ini and rendered files.
"""
import os
import sys

OWN = {"config.ini", "script.sbatch", "refused.ini"}


def steers(char):
    return (ord(char) < 0x20 and char not in "\n\t") or 0x7f <= ord(char) < 0xa0


def files(top):
    if not os.path.isdir(top):
        yield top
        return
    for folder, folders, names in os.walk(top):
        folders[:] = [f for f in folders if f not in ("work", "new", "templates", "wait", "rendered")]
        for name in names:
            if name not in OWN and not os.path.islink(os.path.join(folder, name)):
                yield os.path.join(folder, name)


bad = 0
count = 0
for top in sys.argv[1:]:
    for path in files(top):
        with open(path, "rb") as f:
            data = f.read()
        count += 1
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = "\x1b"
        if any(steers(char) for char in text):
            bad += 1
            print(f"{path} is not for people: {data[:2000]!r}")
if not count:
    print("nothing was looked at")
sys.exit(bad or not count)
