"""What POSIX and Linux promise of a file system, asked of a draft: posix.py FOLDER

FOLDER is an empty directory in the draft.  Each check works in a folder of its own; all that fail are
named, and then the exit status is 1.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import signal
import socket
import sqlite3
import stat
import struct
import sys
import time
import traceback

libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
libc.lseek.restype = ctypes.c_long
libc.lseek.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int]
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
PUNCH_HOLE, KEEP_SIZE = 2, 1
checks = []


def check(function):
    checks.append(function)
    return function


def refused(number, function, *arguments, **named):
    """The call fails with that error."""
    try:
        function(*arguments, **named)
    except OSError as e:
        assert e.errno == number, f"{errno.errorcode[e.errno]}, not {errno.errorcode[number]}"
        return
    raise AssertionError(f"no {errno.errorcode[number]}")


def call(name, *arguments):
    """A function of the C library that Python lacks."""
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def renameat2(old, new, flags):
    call("renameat2", -100, os.fsencode(old), -100, os.fsencode(new), flags)


def fallocate(fd, mode, offset, length):
    call("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(length))


def write(path, data=b"", mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def children(count, function):
    """Runs function(n) in that many processes; their exit statuses."""
    pids = []
    for n in range(count):
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                status = function(n) or 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def as_nobody(function):
    """Runs it as a user without rights, where we may become one."""
    if os.getuid() != 0:
        return

    def run(_):
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        return function()

    assert children(1, run) == [0]


@check
def rename_over_an_open_file():
    write("old", b"old")
    write("new", b"new")
    fd = os.open("old", os.O_RDWR)
    os.rename("new", "old")
    assert os.fstat(fd).st_nlink == 0
    assert os.pread(fd, 10, 0) == b"old"
    assert os.pwrite(fd, b"OLDER", 0) == 5
    assert os.pread(fd, 10, 0) == b"OLDER" and os.fstat(fd).st_size == 5
    assert read("old") == b"new"
    os.close(fd)


@check
def unlink_while_open():
    write("file", b"text")
    fd = os.open("file", os.O_RDWR)
    os.unlink("file")
    refused(errno.ENOENT, os.stat, "file")
    st = os.fstat(fd)
    assert (st.st_nlink, st.st_size) == (0, 4), st
    os.pwrite(fd, b"more", 4)
    os.ftruncate(fd, 6)
    os.fchmod(fd, 0o600)
    assert os.pread(fd, 100, 0) == b"textmo"
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    write("file", b"another")
    assert os.pread(fd, 100, 0) == b"textmo"
    os.close(fd)
    assert read("file") == b"another"


@check
def appending_loses_nothing():
    write("log")

    def append(n):
        fd = os.open("log", os.O_WRONLY | os.O_APPEND)
        for i in range(300):
            os.write(fd, b"%d %d\n" % (n, i))
        os.close(fd)

    assert children(4, append) == [0] * 4
    lines = read("log").split(b"\n")
    assert len(lines) == 1201 and len(set(lines)) == 1201, len(set(lines))
    # An append goes to the end as another descriptor has made it.
    a, b = os.open("log", os.O_WRONLY | os.O_APPEND), os.open("log", os.O_RDWR)
    os.ftruncate(b, 3)
    os.write(a, b"end")
    assert os.pread(b, 100, 3) == b"end"
    os.close(a)
    os.close(b)


@check
def one_of_many_creates():
    def create(_):
        won = 0
        for i in range(40):
            try:
                os.close(os.open(f"lock.{i}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                won += 1
            except FileExistsError:
                pass
        return won

    assert sum(children(16, create)) == 40

    def make(_):
        won = 0
        for i in range(40):
            try:
                os.mkdir(f"folder.{i}")
                won += 1
            except FileExistsError:
                pass
        return won

    assert sum(children(16, make)) == 40

    def link(n):
        write(f"own.{n}")
        won = 0
        for i in range(10):
            try:
                os.link(f"own.{n}", f"linked.{i}")
                won += 1
            except FileExistsError:
                pass
        return won

    assert sum(children(16, link)) == 10


@check
def truncating_up_and_down():
    write("file", b"0123456789")
    os.truncate("file", 4)
    assert read("file") == b"0123"
    os.truncate("file", 8)
    assert read("file") == b"0123\0\0\0\0"
    fd = os.open("file", os.O_RDWR)
    os.ftruncate(fd, 2)
    os.ftruncate(fd, 5)
    assert os.pread(fd, 10, 0) == b"01\0\0\0" and os.fstat(fd).st_size == 5
    refused(errno.EINVAL, os.ftruncate, fd, -1)
    os.close(fd)
    os.close(os.open("file", os.O_WRONLY | os.O_TRUNC))
    assert os.stat("file").st_size == 0
    read_only = os.open("file", os.O_RDONLY)
    refused(errno.EINVAL, os.ftruncate, read_only, 0)
    refused(errno.EBADF, os.write, read_only, b"x")
    os.close(read_only)


@check
def holes():
    size = 64 << 20
    fd = os.open("sparse", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"a" * 4096, 0)
    os.pwrite(fd, b"z" * 4096, size - 4096)
    st = os.fstat(fd)
    assert st.st_size == size and st.st_blocks * 512 < 1 << 20, st
    assert os.lseek(fd, 0, os.SEEK_DATA) == 0
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 4096
    assert os.lseek(fd, 4096, os.SEEK_DATA) == size - 4096
    assert os.lseek(fd, size - 1, os.SEEK_HOLE) == size
    refused(errno.ENXIO, os.lseek, fd, size, os.SEEK_DATA)
    assert os.pread(fd, 4096, 1 << 20) == bytes(4096)
    fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 4096)
    assert os.pread(fd, 4096, 0) == bytes(4096) and os.fstat(fd).st_size == size
    assert os.lseek(fd, 0, os.SEEK_DATA) == size - 4096
    fallocate(fd, 0, size, 8192)
    assert os.fstat(fd).st_size == size + 8192
    fallocate(fd, KEEP_SIZE, size + 8192, 8192)
    assert os.fstat(fd).st_size == size + 8192
    os.close(fd)


@check
def long_names():
    name = "n" * 255
    write(name, b"x")
    os.mkdir("d")
    os.rename(name, "d/" + name)
    os.symlink("target", name)
    os.link("d/" + name, "d/" + "l" * 255)
    assert sorted(os.listdir("d")) == ["l" * 255, name]
    for function, arguments in [(write, (name + "n",)), (os.mkdir, (name + "n",)),
                                (os.symlink, ("x", name + "n")), (os.rename, ("d", name + "n")),
                                (os.link, ("d/" + name, name + "n")), (os.stat, (name + "n",))]:
        refused(errno.ENAMETOOLONG, function, *arguments)
    # Names are bytes.
    odd = b"new\nline \xff\\'\"*"
    write(odd, b"odd")
    assert odd in os.listdir(b".") and read(odd) == b"odd"
    refused(errno.ENOENT, os.stat, "")


@check
def times_to_the_nanosecond():
    write("file", b"x")
    os.symlink("file", "link")
    for name in ("file", "link", "."):
        os.utime(name, ns=(1234567890123456789, 987654321987654321), follow_symlinks=name != "link")
        st = os.lstat(name)
        assert (st.st_atime_ns, st.st_mtime_ns) == (1234567890123456789, 987654321987654321), name
    # struct timespec[2]: UTIME_OMIT and UTIME_NOW
    omit, now = (1 << 30) - 2, (1 << 30) - 1
    call("utimensat", -100, b"file", struct.pack("4q", 0, omit, 5, 7), 0)
    st = os.stat("file")
    assert (st.st_atime_ns, st.st_mtime_ns) == (1234567890123456789, 5000000007), st
    before = time.time_ns()
    call("utimensat", -100, b"file", struct.pack("4q", 0, now, 0, omit), 0)
    st = os.stat("file")
    assert st.st_atime_ns >= before - 10**9 and st.st_mtime_ns == 5000000007, st
    os.utime("file", ns=(-1500000000, -1))
    assert os.stat("file").st_mtime_ns == -1
    refused(errno.EINVAL, call, "utimensat", -100, b"file", struct.pack("4q", 0, 10**9, 0, 0), 0)


@check
def what_changes_which_time():
    write("file", b"x")
    os.mkdir("d")

    def times(name):
        st = os.lstat(name)
        return st.st_mtime_ns, st.st_ctime_ns

    def changes(name, function, mtime, ctime):
        before = times(name)
        # The disk counts in ticks of some milliseconds.
        time.sleep(0.02)
        result = function()
        after = times(name)
        assert (after[0] > before[0]) == mtime and (after[1] > before[1]) == ctime, \
            f"{function} on {name}: {before} {after}"
        return result

    fd = os.open("file", os.O_RDWR)
    changes("file", lambda: os.pwrite(fd, b"y", 0), True, True)
    changes("file", lambda: os.pread(fd, 1, 0), False, False)
    changes("file", lambda: os.ftruncate(fd, 3), True, True)
    os.close(fd)
    # The descriptor's release, which may come late, is not to be seen.
    time.sleep(0.1)
    changes("file", lambda: os.chmod("file", 0o640), False, True)
    changes("file", lambda: os.chown("file", os.getuid(), os.getgid()), False, True)
    changes("file", lambda: os.link("file", "d/linked"), False, True)
    changes("file", lambda: os.unlink("d/linked"), False, True)
    changes("d", lambda: write("d/new"), True, True)
    changes("d", lambda: write("d/new", b"more"), False, False)
    changes("d", lambda: os.rename("d/new", "d/newer"), True, True)
    changes("d", lambda: os.unlink("d/newer"), True, True)
    changes("d", lambda: os.mkdir("d/e"), True, True)
    changes("d", lambda: os.rmdir("d/e"), True, True)
    changes("d", lambda: os.symlink("x", "d/s"), True, True)
    changes("d", lambda: os.rename("d/s", "s"), True, True)
    changes("d", lambda: os.chmod("d", 0o700), False, True)
    fd = os.open("file", os.O_RDWR)
    mapped = mmap.mmap(fd, 3)
    changes("file", lambda: (mapped.__setitem__(0, 65), mapped.flush()), True, True)
    mapped.close()
    os.close(fd)


@check
def hard_links():
    write("a", b"one")
    os.link("a", "b")
    a, b = os.stat("a"), os.stat("b")
    assert a.st_ino == b.st_ino and a.st_nlink == b.st_nlink == 2
    with open("b", "ab") as file:
        file.write(b" two")
    assert read("a") == b"one two" and os.stat("a").st_size == 7
    os.chmod("b", 0o600)
    assert stat.S_IMODE(os.stat("a").st_mode) == 0o600
    # Two names of one file: rename does nothing.
    os.rename("a", "b")
    assert os.stat("a").st_nlink == 2
    os.unlink("a")
    assert os.stat("b").st_nlink == 1 and read("b") == b"one two"
    refused(errno.EEXIST, os.link, "b", "b")
    os.mkdir("d")
    refused(errno.EPERM, os.link, "d", "d2")
    os.symlink("b", "s")
    os.link("s", "s2", follow_symlinks=False)
    assert os.readlink("s2") == "b" and os.lstat("s").st_nlink == 2
    assert os.stat("d").st_nlink == 2 and os.stat(".").st_nlink == 3


@check
def renaming():
    os.makedirs("full/sub")
    os.makedirs("from")
    write("from/file", b"x")
    os.mkdir("empty")
    write("file", b"f")
    refused(errno.ENOTEMPTY, os.rename, "from", "full")
    os.rename("from", "empty")
    assert os.listdir("empty") == ["file"] and not os.path.exists("from")
    refused(errno.ENOTDIR, os.rename, "empty", "file")
    refused(errno.EISDIR, os.rename, "file", "empty")
    refused(errno.EINVAL, os.rename, "full", "full/sub/below")
    refused(errno.ENOTEMPTY, os.rename, "full/sub", "full")
    refused(errno.ENOENT, os.rename, "nothing", "something")
    refused(errno.EEXIST, renameat2, "file", "empty/file", RENAME_NOREPLACE)
    renameat2("file", "free", RENAME_NOREPLACE)
    assert read("free") == b"f"
    renameat2("free", "empty", RENAME_EXCHANGE)
    assert read("empty") == b"f" and read("free/file") == b"x"
    refused(errno.ENOENT, renameat2, "free", "nothing", RENAME_EXCHANGE)
    refused(errno.EINVAL, renameat2, "free", "empty", RENAME_EXCHANGE | RENAME_NOREPLACE)
    refused(errno.EINVAL, renameat2, "full", "full/sub", RENAME_EXCHANGE)
    # An open directory goes along, and one that was replaced is dead.
    fd = os.open("free", os.O_RDONLY | os.O_DIRECTORY)
    os.rename("free", "full/sub")
    assert os.listdir(fd) == ["file"]
    assert os.stat("..", dir_fd=fd).st_ino == os.stat("full").st_ino
    os.close(fd)


@check
def removed_directories():
    os.mkdir("d")
    fd = os.open("d", os.O_RDONLY | os.O_DIRECTORY)
    write("d/file")
    refused(errno.ENOTEMPTY, os.rmdir, "d")
    refused(errno.EISDIR, os.unlink, "d")
    refused(errno.ENOTDIR, os.rmdir, "d/file")
    refused(errno.EINVAL, os.rmdir, "d/.")
    os.unlink("d/file")
    os.rmdir("d")
    assert os.fstat(fd).st_nlink == 0
    assert os.listdir(fd) == []
    refused(errno.ENOENT, os.open, "new", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)


@check
def wrong_kinds():
    write("file")
    os.mkdir("d")
    os.symlink("loop", "loop")
    os.symlink("nowhere", "dangling")
    refused(errno.ENOTDIR, os.stat, "file/x")
    refused(errno.ENOTDIR, os.open, "file", os.O_RDONLY | os.O_DIRECTORY)
    refused(errno.EISDIR, os.open, "d", os.O_WRONLY)
    refused(errno.ELOOP, os.stat, "loop")
    refused(errno.ELOOP, os.open, "dangling", os.O_RDONLY | os.O_NOFOLLOW)
    refused(errno.ENOENT, os.stat, "dangling")
    refused(errno.EEXIST, os.open, "dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    refused(errno.EEXIST, os.mkdir, "file")
    refused(errno.EEXIST, os.symlink, "x", "d")
    refused(errno.EINVAL, os.readlink, "file")
    refused(errno.EPERM, os.link, "d", "e")
    write("dangling", b"made")
    assert read("nowhere") == b"made"


@check
def symbolic_links():
    for length in (1, 100, 4094, 4095):
        target = "t" * length
        os.symlink(target, f"s{length}")
        assert os.readlink(f"s{length}") == target and os.lstat(f"s{length}").st_size == length
    refused(errno.ENAMETOOLONG, os.symlink, "t" * 4096, "s")
    refused(errno.ENOENT, os.symlink, "", "s")


@check
def deep_paths():
    here = os.open(".", os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
    write("bottom", b"deep")
    assert read("bottom") == b"deep"
    os.fchdir(here)
    os.close(here)
    shutil.rmtree("d" * 100)


def listing(dirp):
    """The rest of a C directory stream: pairs of where an entry begins and its name."""
    found = []
    while True:
        at = libc.telldir(ctypes.c_void_p(dirp))
        entry = libc.readdir(ctypes.c_void_p(dirp))
        if not entry:
            return found
        # struct dirent: ino, off, reclen, type, name
        found.append((at, ctypes.string_at(entry + 19)))


@check
def listings_while_changing():
    count = 10000
    for i in range(count):
        os.mknod(f"{i:05}", 0o644)
    dirp = libc.opendir(b".")
    entries = listing(dirp)
    names = [name for _, name in entries]
    assert len(names) == len(set(names)) == count + 2, (len(names), len(set(names)))
    for i in (0, 1, 2, 500, 1777, count + 1):
        libc.seekdir(ctypes.c_void_p(dirp), ctypes.c_long(entries[i][0]))
        assert listing(dirp)[:3] == entries[i:i + 3], i
    # What stays is listed once, whatever else comes and goes.
    libc.rewinddir(ctypes.c_void_p(dirp))
    seen, made = [], set()
    while entry := libc.readdir(ctypes.c_void_p(dirp)):
        n = len(seen)
        seen.append(ctypes.string_at(entry + 19))
        if n % 10 == 0 and n < count:
            i = (n * 7) % count
            if i % 3 == 0 and os.path.exists(f"{i:05}"):
                os.unlink(f"{i:05}")
            write(f"new.{n}")
            made.add(f"new.{n}")
    libc.closedir(ctypes.c_void_p(dirp))
    stay = [b"%05d" % i for i in range(count) if i % 3]
    assert len(seen) == len(set(seen)) and set(stay) <= set(seen)
    assert set(os.listdir()) >= made
    # Emptied while it is read, as rm -r does.
    for name in os.scandir("."):
        os.unlink(name.path)
    assert os.listdir() == []


@check
def space():
    st = os.statvfs(".")
    assert st.f_blocks and st.f_bavail and st.f_namemax == 255, st
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    assert os.fstatvfs(fd).f_blocks == st.f_blocks
    os.close(fd)


@check
def rights():
    write("mine", b"x", 0o600)
    write("open", b"x", 0o666)
    os.chmod("open", 0o666)
    os.mkdir("closed", 0o700)
    write("closed/file")
    os.mkdir("box")
    os.chmod("box", 0o1777)
    write("box/mine")
    os.chmod("box/mine", 0o666)

    def nobody():
        assert not os.access("mine", os.R_OK) and os.access("open", os.R_OK | os.W_OK)
        refused(errno.EACCES, read, "mine")
        refused(errno.EACCES, os.stat, "closed/file")
        refused(errno.EACCES, os.listdir, "closed")
        refused(errno.EACCES, write, "new")
        refused(errno.EACCES, os.unlink, "mine")
        refused(errno.EPERM, os.chmod, "open", 0o600)
        refused(errno.EPERM, os.utime, "open", ns=(1, 1))
        refused(errno.EPERM, os.chown, "open", 65534, 65534)
        # The sticky bit keeps others' files.
        refused(errno.EPERM, os.unlink, "box/mine")
        refused(errno.EPERM, os.rename, "box/mine", "box/theirs")
        write("box/theirs", b"y")
        assert os.stat("box/theirs").st_uid == 65534
        os.unlink("box/theirs")

    as_nobody(nobody)


@check
def modes():
    before = os.umask(0o027)
    write("masked", b"", 0o666)
    os.mkdir("folder", 0o777)
    os.umask(before)
    assert stat.S_IMODE(os.stat("masked").st_mode) == 0o640
    assert stat.S_IMODE(os.stat("folder").st_mode) == 0o750
    for mode in (0o000, 0o111, 0o222, 0o444, 0o777, 0o4755, 0o2755, 0o1755, 0o7777):
        os.chmod("masked", mode)
        assert stat.S_IMODE(os.stat("masked").st_mode) == mode, oct(mode)
    # Writing takes the set-id bits away, unless root writes.
    os.chmod("masked", 0o6777)
    fd = os.open("masked", os.O_WRONLY)
    as_nobody(lambda: os.write(fd, b"x") - 1)
    os.close(fd)
    if os.getuid() == 0:
        assert stat.S_IMODE(os.stat("masked").st_mode) == 0o777
    # A directory hands its group and the bit down.
    if os.getuid() == 0:
        os.chown("folder", -1, 12345)
        os.chmod("folder", 0o2775)
        os.mkdir("folder/sub")
        write("folder/file")
        assert os.stat("folder/sub").st_gid == os.stat("folder/file").st_gid == 12345
        assert os.stat("folder/sub").st_mode & stat.S_ISGID
        assert not os.stat("folder/file").st_mode & stat.S_ISGID
        os.chown("folder/file", 54321, 54321)
        assert (os.stat("folder/file").st_uid, os.stat("folder/file").st_gid) == (54321, 54321)
        os.lchown("folder/file", 0, 0)


@check
def no_file_without_a_name():
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY)
    except OSError as e:
        assert e.errno == errno.EOPNOTSUPP, e
    else:
        call("linkat", -100, f"/proc/self/fd/{fd}".encode(), -100, b"named", 0x400)
        assert os.stat("named").st_nlink == 1
        os.close(fd)


@check
def shared_mappings():
    write("map", bytes(8192))
    fd = os.open("map", os.O_RDWR)

    def child(_):
        other = os.open("map", os.O_RDWR)
        with mmap.mmap(other, 8192) as m:
            m[5000:5005] = b"child"
        os.close(other)

    with mmap.mmap(fd, 8192) as m:
        m[0:5] = b"first"
        assert children(1, child) == [0]
        assert m[5000:5005] == b"child"
        m.flush()
    assert os.pread(fd, 5, 0) == b"first"
    os.close(fd)
    assert read("map")[5000:5005] == b"child" and len(read("map")) == 8192
    private = os.open("map", os.O_RDONLY)
    with mmap.mmap(private, 8192, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as m:
        m[0:5] = b"never"
    os.close(private)
    assert read("map")[:5] == b"first"


@check
def copying_ranges():
    data = os.urandom(300000)
    write("from", data)
    a, b = os.open("from", os.O_RDONLY), os.open("to", os.O_CREAT | os.O_RDWR)
    os.write(b, b"head")
    left = len(data)
    while left:
        n = os.copy_file_range(a, b, left)
        assert n > 0
        left -= n
    assert os.pread(b, 400000, 0) == b"head" + data and os.fstat(b).st_size == 300004
    assert os.copy_file_range(a, b, 10) == 0
    refused(errno.EBADF, os.copy_file_range, b, a, 10)
    with open("/dev/zero", "rb") as zero:
        refused(errno.EINVAL, os.copy_file_range, zero.fileno(), b, 10)
    os.lseek(a, 0, 0)
    os.lseek(b, 0, 0)
    left = len(data)
    while left:
        left -= os.sendfile(b, a, None, left)
    assert os.pread(b, 300000, 0) == data
    os.close(a)
    os.close(b)


@check
def locks():
    write("lock", b"0" * 100)
    fd = os.open("lock", os.O_RDWR)

    def tries(lock, *arguments):
        def run(_):
            other = os.open("lock", os.O_RDWR)
            try:
                lock(other, *arguments)
                return 1
            except BlockingIOError:
                return 2

        return children(1, run)[0]

    fcntl.flock(fd, fcntl.LOCK_EX)
    assert tries(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB) == 2
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert tries(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB) == 1
    assert tries(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB) == 2
    fcntl.flock(fd, fcntl.LOCK_UN)
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 20)
    assert tries(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 25) == 2
    assert tries(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 30) == 1
    # Another's lock, and the end of a process gives it back.
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        other = os.open("lock", os.O_RDWR)
        fcntl.lockf(other, fcntl.LOCK_EX, 5, 50)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    refused(errno.EAGAIN, fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 50)
    os.write(go[1], b"x")
    fcntl.lockf(fd, fcntl.LOCK_EX, 5, 50)
    os.waitpid(pid, 0)
    os.close(fd)

    # A counter under a lock loses no step.
    write("counter", b"0")

    def count(_):
        for _ in range(50):
            with open("counter", "r+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX)
                value = int(file.read())
                file.seek(0)
                file.write(str(value + 1))
                file.flush()
                fcntl.lockf(file, fcntl.LOCK_UN)

    assert children(4, count) == [0] * 4
    assert read("counter") == b"200", read("counter")


@check
def databases():
    db = sqlite3.connect("db", timeout=30)
    db.execute("create table t (n integer, who integer)")
    db.commit()
    db.close()

    def insert(who):
        with_lock = sqlite3.connect("db", timeout=30, isolation_level="IMMEDIATE")
        for n in range(10):
            with with_lock:
                with_lock.execute("insert into t select coalesce(max(n), 0) + 1, ? from t", (who,))
        with_lock.close()

    assert children(3, insert) == [0] * 3
    db = sqlite3.connect("db")
    assert db.execute("select count(*), max(n) from t").fetchone() == (30, 30)
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    assert db.execute("pragma journal_mode=wal").fetchone() == ("wal",)
    with db:
        db.execute("delete from t where n > 15")
    assert db.execute("select count(*) from t").fetchone() == (15,)
    db.close()
    os.unlink("db")


@check
def fifos_and_sockets():
    os.mkfifo("fifo", 0o640)
    assert stat.S_ISFIFO(os.stat("fifo").st_mode) and os.stat("fifo").st_mode & 0o777 == 0o640

    def child(_):
        with open("fifo", "wb") as file:
            file.write(b"through")

    reader = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert children(1, child) == [0]
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    for mode in (0, 0o222, 0o600):
        os.chmod("fifo", mode)
        assert stat.S_IMODE(os.stat("fifo").st_mode) == mode
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind("socket")
    assert stat.S_ISSOCK(os.stat("socket").st_mode)
    os.rename("fifo", "socket")
    os.unlink("socket")


@check
def large_offsets():
    fd = os.open("large", os.O_CREAT | os.O_RDWR)
    at = (1 << 40) + 12345
    os.pwrite(fd, b"far", at)
    assert os.fstat(fd).st_size == at + 3 and os.pread(fd, 10, at) == b"far"
    assert os.stat("large").st_blocks < 1000
    os.close(fd)
    os.unlink("large")


@check
def directories_are_themselves():
    os.makedirs("a/b")
    assert os.stat("a/.").st_ino == os.stat("a").st_ino == os.stat("a/b/..").st_ino
    assert os.stat("a/b/../..").st_ino == os.stat(".").st_ino
    inos = {entry.name: entry.inode() for entry in os.scandir("a")}
    assert inos == {"b": os.stat("a/b").st_ino}
    dirp = libc.opendir(b"a")
    names = [name for _, name in listing(dirp)]
    libc.closedir(ctypes.c_void_p(dirp))
    assert sorted(names) == [b".", b"..", b"b"]


def main():
    top = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    failed = 0
    signal.alarm(300)
    os.umask(0o022)
    for function in checks:
        if wanted and function.__name__ not in wanted:
            continue
        folder = os.path.join(top, function.__name__)
        os.mkdir(folder)
        os.chdir(folder)
        begin = time.monotonic()
        try:
            function()
        except BaseException:
            failed += 1
            print(f"{function.__name__}:", file=sys.stderr)
            traceback.print_exc()
        took = time.monotonic() - begin
        if took > 2:
            print(f"{function.__name__} took {took:.1f} s")
        os.chdir(top)
    print(f"{len(checks)} checks, {failed} failed")
    sys.exit(failed > 0)


main()
