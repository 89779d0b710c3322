#!/usr/bin/env python3
"""names.py make FOLDER: files and folders with names that are code to somebody.
names.py compare FOLDER OTHER: fails where one of FOLDER's files is not in OTHER, byte for byte."""
import hashlib
import os
import sys

NAMES = [
    b"$(touch canary)", b"`touch canary`", b"'; touch canary; '", b'"; touch canary; "', b"a;touch canary", b"a&&touch canary",
    b"a|touch canary", b"> canary", b"-rf", b"--checkpoint-action=exec=touch canary", b"--checkpoint=1", b"-C", b"*", b"?", b"[a]",
    b"~root", b"new\nline", b"new\ntouch canary\n", b"tab\tname", b"back\\slash", b"back\\nslash", b"\\", b"quote'd", b'quote"d',
    b"\x1b[2J\x1b]0;x\x07", b"\xff\xfe\x80", "ümläut".encode(), b" ", b"  lead", b"trail ", b"#SBATCH --wrap=touch canary",
    b"{{name}}", b"%j%A", b"[exec touch canary]", b"!!", b"a=b", b"=", b"cr\rname", b"...", b".hidden", b"x" * 255, b"@LongLink",
    b"././@PaxHeader-", b"10 path=canary", b"$HOME", b"${IFS}", b"a b c", b"e\xcc\x81", b"\xe2\x80\xae", b"con", b"%00", b"\x01\x02",
]


def make(top):
    top = os.fsencode(top)
    os.makedirs(top)
    for name in NAMES:
        with open(os.path.join(top, name), "wb") as f:
            f.write(b"content of " + name)
    os.mkdir(os.path.join(top, b"folders"))
    for name in NAMES[:20]:
        folder = os.path.join(top, b"folders", name)
        os.mkdir(folder)
        with open(os.path.join(folder, name), "wb") as f:
            f.write(b"below " + name)


def compare(top, other):
    top, other = os.fsencode(top), os.fsencode(other)
    count = 0
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            copy = os.path.join(other, os.path.relpath(path, top))
            with open(path, "rb") as a, open(copy, "rb") as b:
                if hashlib.sha256(a.read()).digest() != hashlib.sha256(b.read()).digest():
                    sys.exit(f"{copy!r} is not {path!r}")
            count += 1
    if not count:
        sys.exit("nothing to compare")
    print(f"{count} files arrived under their names")


(make if sys.argv[1] == "make" else compare)(*sys.argv[2:])
