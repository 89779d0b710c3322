#!/usr/bin/env python3
"""An SFTP server (version 3) that lies: as sshd's subsystem it takes the place of the real one.

All but what stands below a folder named `evil` is the real file system.  In `evil` there is what no file
system has: names that are no names, directories without end, sizes and links of our choosing.  The
environment variable EVIL_TARGET is where links lead.
"""
import errno
import os
import random
import stat
import struct
import sys

INIT, VERSION, OPEN, CLOSE, READ, LSTAT, FSTAT, OPENDIR, READDIR = 1, 2, 3, 4, 5, 7, 8, 11, 12
REMOVE, RMDIR, REALPATH, STAT, READLINK = 13, 15, 16, 17, 19
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, EOF, NO_SUCH_FILE, DENIED, FAILURE, UNSUPPORTED = 0, 1, 2, 3, 4, 8

TARGET = os.fsencode(os.environ.get("EVIL_TARGET", "/etc/passwd"))
NAMES = [b"../escape", b"/etc/passwd", b"a/b", b"..", b".", b"new\nline", b"cut\0/../../off", b"\0",
         b"\x1b]0;title\x07\x1b[2J", b"\xff\xfe", b"x" * 255, b"y" * 256, b"z" * 3000, b"-rf", b"$(touch x)",
         b"shrinks", b"grows", b"huge", b"negative", b"bad-type", b"device", b"setuid", b"longer", b"noise",
         b"absolute", b"upwards", b"chain", b"controls", b"hollow", b"endless", b"many", b"strange", b""]
REGULAR = stat.S_IFREG | 0o644
KINDS = {b"absolute": stat.S_IFLNK | 0o777, b"upwards": stat.S_IFLNK | 0o777, b"chain": stat.S_IFLNK | 0o777,
         b"controls": stat.S_IFLNK | 0o777, b"hollow": stat.S_IFLNK | 0o777, b"endless": stat.S_IFDIR | 0o755,
         b"many": stat.S_IFDIR | 0o755, b"strange": stat.S_IFDIR | 0o755, b"bad-type": 0o170000,
         b"device": stat.S_IFBLK | 0o666, b"setuid": REGULAR | 0o6000}
SIZES = {b"shrinks": 1 << 20, b"grows": 10, b"huge": 1 << 62, b"negative": (1 << 64) - 1, b"longer": 100,
         b"noise": 1 << 16}
LINKS = {b"absolute": TARGET, b"upwards": b"../" * 40 + TARGET.lstrip(b"/"), b"chain": b"hollow/" * 20 +
         b"../" * 60 + TARGET.lstrip(b"/"), b"controls": b"\x1b[2J\n" + TARGET, b"hollow": b"."}


def string(data):
    return struct.pack(">I", len(data)) + data


def attributes(mode, size, mtime=1700000000):
    return struct.pack(">IQIII", 1 | 4 | 8, size, mode & 0xffffffff, mtime, mtime) if mode is not None else \
        struct.pack(">I", 0)


def real_attributes(st):
    return attributes(st.st_mode, st.st_size, int(st.st_mtime) & 0xffffffff)


class Server:
    def __init__(self):
        self.handles = {}
        self.serial = 0

    def send(self, kind, body):
        data = bytes([kind]) + body
        sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
        sys.stdout.buffer.flush()

    def status(self, number, code, words=b"\x1b[31mwords"):
        self.send(STATUS, struct.pack(">II", number, code) + string(words) + string(b"en"))

    def handle(self, number, what):
        self.serial += 1
        name = b"%d" % self.serial
        self.handles[name] = what
        self.send(HANDLE, struct.pack(">I", number) + string(name))

    def names(self, number, entries):
        body = struct.pack(">II", number, len(entries))
        for name, mode, size in entries:
            body += string(name) + string(b"-rw-r--r-- " + name) + attributes(mode, size)
        self.send(NAME, body)

    # ---- what is not there ----

    def evil(self, path):
        """The last part of a path below `evil`; None for a real one."""
        parts = path.split(b"/")
        if b"evil" not in parts:
            return None
        below = parts[parts.index(b"evil") + 1:]
        return below[-1] if below else b""

    def evil_request(self, kind, number, path, name):
        if name == b"kill":
            os._exit(1)
        if name == b"random":
            sys.stdout.buffer.write(b"\x7f" + random.Random(1).randbytes(100000))
            sys.stdout.buffer.flush()
        elif name == b"giant":
            sys.stdout.buffer.write(b"\xff\xff\xff\xff" + bytes(1000))
            sys.stdout.buffer.flush()
        elif kind in (LSTAT, STAT):
            mode = stat.S_IFDIR | 0o755 if not name else KINDS.get(name, REGULAR)
            self.send(ATTRS, struct.pack(">I", number) + attributes(mode, SIZES.get(name, 7)))
        elif kind == READLINK:
            self.names(number, [(LINKS.get(name, TARGET), None, 0)])
        elif kind == REALPATH:
            self.names(number, [(os.path.normpath(path), None, 0)])
        elif kind == OPENDIR:
            self.handle(number, ["dir", name, 0])
        elif kind == OPEN:
            self.handle(number, ["file", name, 0])
        else:
            self.status(number, DENIED)

    def evil_readdir(self, number, handle):
        _, name, told = handle
        handle[2] += 1
        if name == b"endless":
            self.names(number, [(b"file-%d-%d" % (told, i), REGULAR, 1) for i in range(100)])
        elif name == b"many" and told < 300:
            self.names(number, [(b"file-%d-%d" % (told, i), REGULAR, 1) for i in range(100)])
        elif name == b"strange" and told == 0:
            # A count that is not true.
            self.send(NAME, struct.pack(">II", number, 0x7fffffff) + string(b"one") + string(b"") +
                      attributes(REGULAR, 1))
        elif name == b"" and told == 0:
            self.names(number, [(n, KINDS.get(n, REGULAR), SIZES.get(n, 7)) for n in NAMES])
        else:
            self.status(number, EOF)

    def evil_read(self, number, handle, offset, length):
        name = handle[1]
        if name == b"longer":
            self.send(DATA, struct.pack(">I", number) + string(b"L" * (length + 5000)))
        elif name == b"noise":
            self.send(DATA, struct.pack(">I", number) + string(random.randbytes(min(length, 32768))))
        elif name in (b"huge", b"grows"):
            self.send(DATA, struct.pack(">I", number) + string(b"h" * min(length, 32768)))
        elif offset >= 7:
            self.status(number, EOF)
        else:
            self.send(DATA, struct.pack(">I", number) + string(b"content"[offset:offset + length]))

    # ---- what is ----

    def real_request(self, kind, number, path):
        if kind in (LSTAT, STAT):
            st = os.lstat(path) if kind == LSTAT else os.stat(path)
            self.send(ATTRS, struct.pack(">I", number) + real_attributes(st))
        elif kind == READLINK:
            self.names(number, [(os.readlink(path), None, 0)])
        elif kind == REALPATH:
            self.names(number, [(os.path.realpath(path), None, 0)])
        elif kind == OPENDIR:
            self.handle(number, ["real", [b".", b".."] + os.listdir(path), path])
        elif kind == OPEN:
            self.handle(number, ["fd", os.open(path, os.O_RDONLY), 0])
        elif kind == REMOVE:
            os.unlink(path)
            self.status(number, OK)
        elif kind == RMDIR:
            os.rmdir(path)
            self.status(number, OK)
        else:
            self.status(number, UNSUPPORTED)

    def real_readdir(self, number, handle):
        names, handle[1] = handle[1][:100], handle[1][100:]
        entries = []
        for name in names:
            st = os.lstat(os.path.join(handle[2], name))
            entries.append((name, st.st_mode, st.st_size))
        if entries:
            self.names(number, entries)
        else:
            self.status(number, EOF)

    # ---- requests ----

    def on_handle(self, kind, number, body):
        size, = struct.unpack_from(">I", body)
        handle = self.handles.get(body[4:4 + size])
        if not handle:
            self.status(number, FAILURE)
        elif kind == CLOSE:
            if handle[0] == "fd":
                os.close(handle[1])
            del self.handles[body[4:4 + size]]
            self.status(number, OK)
        elif kind == READDIR:
            (self.real_readdir if handle[0] == "real" else self.evil_readdir)(number, handle)
        elif kind == FSTAT:
            if handle[0] == "fd":
                self.send(ATTRS, struct.pack(">I", number) + real_attributes(os.fstat(handle[1])))
            else:
                self.send(ATTRS, struct.pack(">I", number) + attributes(REGULAR, SIZES.get(handle[1], 7)))
        else:
            offset, length = struct.unpack_from(">QI", body, 4 + size)
            if handle[0] == "fd":
                data = os.pread(handle[1], min(length, 32768), offset)
                if data:
                    self.send(DATA, struct.pack(">I", number) + string(data))
                else:
                    self.status(number, EOF)
            else:
                self.evil_read(number, handle, offset, length)

    def on_path(self, kind, number, body):
        size, = struct.unpack_from(">I", body)
        path = body[4:4 + size]
        name = self.evil(path)
        if name is not None:
            self.evil_request(kind, number, path, name)
            return
        try:
            self.real_request(kind, number, path)
        except OSError as error:
            code = {errno.ENOENT: NO_SUCH_FILE, errno.EACCES: DENIED, errno.EPERM: DENIED}
            self.status(number, code.get(error.errno, FAILURE))

    def serve(self):
        source = sys.stdin.buffer
        while True:
            head = source.read(4)
            if len(head) < 4:
                return
            packet = source.read(struct.unpack(">I", head)[0])
            if packet[0] == INIT:
                self.send(VERSION, struct.pack(">I", 3))
                continue
            number, = struct.unpack_from(">I", packet, 1)
            (self.on_handle if packet[0] in (CLOSE, READ, FSTAT, READDIR) else self.on_path)(
                packet[0], number, packet[5:])


Server().serve()
