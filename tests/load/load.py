"""Many processes that use one mount at once: load.py MOUNT FOLDER SECONDS WORKERS JOBS

Each drops jobs, reads, lists, renames and removes at random, as its number seeds it, and knows of each
operation which errors it may end with.  Everything else is a failure: another error, content that is not what
was written, a name twice in a listing or missing from it, an operation that takes too long.  A
process drops JOBS jobs at most.  What was done is written to FOLDER, for load.test to compare with what ran.
"""
import errno
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback

MOUNT, FOLDER, SECONDS, WORKERS, MOST_JOBS = sys.argv[1], sys.argv[2], float(sys.argv[3]), *map(int, sys.argv[4:6])
JOBS, NEW = MOUNT + "/jobs", MOUNT + "/jobs/new"
SHARED = NEW + "/shared"
# Nothing outside work/ waits for the network; the rest is for a machine that is busy with all of this.
TOO_LONG = float(os.environ.get("TOO_LONG", 30))
STATES = {"WAITING", "STAGING", "SUBMITTING", "REJECTED", "PENDING", "CONFIGURING", "RUNNING", "SUSPENDED",
          "COMPLETING", "COMPLETED", "FAILED", "CANCELLED", "REQUEUED", "UNKNOWN"}
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}


class Failure(Exception):
    pass


def sha(data):
    return hashlib.sha256(data).hexdigest()


def may(allowed, function, *arguments):
    """The call's result, or None where it fails as it may."""
    try:
        return function(*arguments)
    except OSError as e:
        if e.errno in allowed:
            return None
        name = errno.errorcode.get(e.errno, e.errno)
        raise Failure(f"{function.__name__}{arguments}: {name}") from e


def must(function, *arguments):
    return may((), function, *arguments)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        while data:
            data = data[os.write(fd, data):]
    finally:
        os.close(fd)


def append(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def listing(path):
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries]
    if len(names) != len(set(names)):
        raise Failure(f"{path} lists a name twice")
    return set(names)


class Worker:
    def __init__(self, number):
        self.number = number
        self.random = random.Random(number)
        self.jobs = {}      # name -> the hash of its input; those that are there
        self.dropped = []   # all names
        self.cancelled = []
        self.removed = []
        self.appended = self.counted = self.done = 0
        self.slowest = (0, "")
        self.made = self.wasted = 0

    # ---- what it does; any of these may be another's neighbour ----

    def drop(self):
        if self.made == MOST_JOBS:
            return
        name = f"load-{self.number}-{self.made}"
        draft = f"{NEW}/{name}"
        self.made += 1
        data = self.random.randbytes(self.random.choice((10, 5000, 300000)))
        config = (f"[job]\nsubmit = manual\ncommand = sha256sum < in/input > sum; echo $SLURM_JOB_ID >> "
                  f"{FOLDER}/ledger/{name}; sleep {self.random.choice((0, 0, 1, 3))}\n"
                  "[slurm]\ntime = 00:05:00\nmem = 10M\n").encode()
        must(os.mkdir, draft)
        must(os.mkdir, draft + "/in")
        # As rsync does: under another name first.
        must(write, draft + "/in/.input.AbCdEf", data)
        must(os.rename, draft + "/in/.input.AbCdEf", draft + "/in/input")
        must(write, draft + "/config.ini", config)
        must(os.link, draft + "/in/input", draft + "/second")
        must(os.unlink, draft + "/second")
        if must(read, draft + "/in/input") != data:
            raise Failure(f"{draft}/in/input is not what was written")
        until = time.monotonic() + TOO_LONG
        # A release comes in the background.
        while may((errno.EBUSY,), os.rename, draft, f"{JOBS}/{name}") is None and not os.path.isdir(f"{JOBS}/{name}"):
            if time.monotonic() > until:
                raise Failure(f"{name} stays busy: {read(f'{MOUNT}/drafts/{name}/problems')}")
            time.sleep(0.05)
        self.jobs[name] = sha(data)
        self.dropped.append(name)
        if must(read, f"{JOBS}/{name}/config.ini") != config:
            raise Failure(f"{name}/config.ini is not what was dropped")

    def look(self):
        if not self.jobs:
            return
        name = self.random.choice(list(self.jobs))
        state = must(read, f"{JOBS}/{name}/status").decode().strip()
        if state not in STATES:
            raise Failure(f"{name} is {state}")
        number = must(read, f"{JOBS}/{name}/slurm_id").strip()
        if number and not number.isdigit():
            raise Failure(f"{name} has the id {number}")
        for file in ("info", "log", "error", "script.sbatch", "ctl"):
            text = must(read, f"{JOBS}/{name}/{file}")
            if file == "info" and f"state = {state}".split()[0].encode() not in text:
                raise Failure(f"{name}/info: {text}")
            # There is none before it is submitted.
            if file == "script.sbatch" and not text.startswith(b"#!") and (text or number):
                raise Failure(f"{name}/script.sbatch: {text[:100]}")
        if must(os.stat, f"{JOBS}/{name}/status").st_size != len(must(read, f"{JOBS}/{name}/status")):
            again = must(os.stat, f"{JOBS}/{name}/status").st_size, len(must(read, f"{JOBS}/{name}/status"))
            if again[0] != again[1] and must(read, f"{JOBS}/{name}/status").decode().strip() == state:
                raise Failure(f"{name}/status has a wrong size: {again}")

    def results(self):
        """Through the line, which may be cut now: late or not at all, but never something else."""
        if not self.jobs:
            return
        name = self.random.choice(list(self.jobs))
        if must(read, f"{JOBS}/{name}/status").strip() != b"COMPLETED":
            return
        data = may((errno.EIO, errno.ETIMEDOUT), read, f"{JOBS}/{name}/work/sum")
        if data is not None and data.split()[0].decode() != self.jobs[name]:
            raise Failure(f"{name}/work/sum is {data}")

    def list_all(self):
        here = must(listing, JOBS)
        missing = set(self.jobs) - here
        if missing:
            raise Failure(f"jobs/ does not list {missing}")
        gone = set(self.removed) & here
        if gone:
            raise Failure(f"jobs/ still lists {gone}")
        must(listing, NEW)
        must(listing, MOUNT + "/drafts")
        must(read, MOUNT + "/cluster/connection")
        for state in must(listing, MOUNT + "/by-state"):
            for name in must(listing, f"{MOUNT}/by-state/{state}"):
                may((errno.ENOENT,), os.readlink, f"{MOUNT}/by-state/{state}/{name}")
        # Somebody else's job may be removed at any time.
        name = self.random.choice(sorted(here))
        may((errno.ENOENT, errno.ESTALE), listing, f"{JOBS}/{name}")
        may((errno.ENOENT, errno.ESTALE, errno.EISDIR), read, f"{JOBS}/{name}/status")

    def remove(self):
        ended = [n for n in self.jobs if must(read, f"{JOBS}/{n}/status").decode().strip() in ENDED]
        if len(ended) < 3:
            return
        name = self.random.choice(ended)
        # Busy: it has been requeued, or its end is not in the database yet.
        if may((errno.EBUSY,), self.rmdir, f"{JOBS}/{name}"):
            del self.jobs[name]
            self.removed.append(name)
            if os.path.exists(f"{JOBS}/{name}"):
                raise Failure(f"{name} is there after its rmdir")

    @staticmethod
    def rmdir(path):
        os.rmdir(path)
        return True

    def cancel(self):
        # Most are to run.
        if not self.jobs or self.random.random() < 0.9:
            return
        name = self.random.choice(list(self.jobs))
        self.cancelled.append(name)
        # EPERM: it has ended.
        may((errno.EPERM, errno.EBUSY), write, f"{JOBS}/{name}/ctl", b"cancel\n")

    def share(self):
        """In a draft that all of them change at once."""
        must(append, SHARED + "/log", b"%d %d\n" % (self.number, self.appended))
        self.appended += 1
        with open(SHARED + "/counter", "r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            value = int(file.read() or 0)
            file.seek(0)
            file.write(str(value + 1))
            file.flush()
            fcntl.lockf(file, fcntl.LOCK_UN)
        self.counted += 1
        a, b = (f"{SHARED}/names/{self.random.randrange(20)}" for _ in range(2))
        kind = self.random.randrange(6)
        if kind == 0:
            may((errno.EISDIR,), write, a, a.encode())
        elif kind == 1:
            may((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY), os.rename, a, b)
        elif kind == 2:
            may((errno.ENOENT, errno.EISDIR), os.unlink, a)
        elif kind == 3:
            may((errno.EEXIST,), os.mkdir, a)
            may((errno.ENOENT, errno.ENOTDIR, errno.EISDIR), write, a + "/file", b"in it")
        elif kind == 4:
            may((errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY), os.rmdir, a)
        else:
            names = must(listing, SHARED + "/names")
            for name in names:
                data = may((errno.ENOENT, errno.EISDIR), read, f"{SHARED}/names/{name}")
                if data and not (data.startswith(SHARED.encode()) or data == b"in it"):
                    raise Failure(f"names/{name} has {data}")

    def discard(self):
        """A draft that is never submitted."""
        # A name that is removed and made again may be listed twice.
        self.wasted += 1
        draft = f"{NEW}/waste-{self.number}-{self.wasted}"
        must(os.makedirs, draft + "/a/b")
        for i in range(5):
            must(write, f"{draft}/a/b/{i}", b"x" * 1000)
        must(os.rename, draft + "/a/b", draft + "/c")
        must(shutil.rmtree, draft)

    def run(self, until):
        acts = [self.drop] * 3 + [self.look] * 4 + [self.results] * 3 + [self.list_all] * 2 + \
            [self.remove] * 2 + [self.cancel] + [self.share] * 5 + [self.discard]
        while time.monotonic() < until:
            act = self.random.choice(acts)
            begin = time.monotonic()
            act()
            took = time.monotonic() - begin
            # Only work/ waits for the line.
            if act != self.results and took > self.slowest[0]:
                self.slowest = (took, act.__name__)
            self.done += 1


def run_worker(number, until):
    worker = Worker(number)
    status = 0

    def stuck(*_):
        raise Failure("an operation does not end")

    signal.signal(signal.SIGALRM, stuck)
    signal.alarm(int(SECONDS + 4 * TOO_LONG))
    try:
        worker.run(until)
        if worker.slowest[0] > TOO_LONG:
            raise Failure(f"{worker.slowest[1]} took {worker.slowest[0]:.1f} s")
    except BaseException:
        traceback.print_exc()
        status = 1
    with open(f"{FOLDER}/worker.{number}", "w") as file:
        json.dump({key: getattr(worker, key) for key in ("jobs", "dropped", "cancelled", "removed", "appended",
                                                         "counted", "done", "slowest")}, file)
    os._exit(status)


def main():
    os.makedirs(FOLDER + "/ledger")
    os.makedirs(SHARED + "/names")
    write(SHARED + "/config.ini", b"[job]\nsubmit = manual\ncommand = true\n[slurm]\nmem = 10M\n")
    write(SHARED + "/counter", b"0")
    until = time.monotonic() + SECONDS
    pids = {}
    for number in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            run_worker(number, until)
        pids[pid] = number
    failed = []
    # A process in the kernel cannot be told to end: then this one says so.
    last = time.monotonic() + SECONDS + 6 * TOO_LONG
    while pids and time.monotonic() < last:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            time.sleep(0.1)
            continue
        if status:
            failed.append(pids[pid])
        del pids[pid]
    for pid, number in pids.items():
        with open(f"/proc/{pid}/stack" if os.getuid() == 0 else f"/proc/{pid}/wchan") as file:
            print(f"worker {number} is stuck: {file.read()}", file=sys.stderr)
        os.kill(pid, signal.SIGKILL)
    all_of = []
    for number in range(WORKERS):
        try:
            with open(f"{FOLDER}/worker.{number}") as file:
                all_of.append(json.load(file))
        except FileNotFoundError:
            failed.append(number)
    appended = sum(w["appended"] for w in all_of)
    counted = sum(w["counted"] for w in all_of)
    log = read(SHARED + "/log").splitlines()
    if len(log) != appended or len(set(log)) != appended:
        print(f"{appended} lines were appended, {len(log)} are there", file=sys.stderr)
        failed.append("log")
    if int(read(SHARED + "/counter")) != counted:
        print(f"{counted} were counted, {read(SHARED + '/counter')} is there", file=sys.stderr)
        failed.append("counter")
    with open(FOLDER + "/jobs", "w") as file:
        for w in all_of:
            for name in w["dropped"]:
                print(name, w["jobs"].get(name, "removed"), "cancelled" if name in w["cancelled"] else "left", file=file)
    slowest = max(tuple(w["slowest"]) for w in all_of)
    print(f"{WORKERS} processes, {SECONDS:.0f} s: {sum(w['done'] for w in all_of)} rounds, "
          f"{sum(len(w['dropped']) for w in all_of)} jobs dropped, {sum(len(w['removed']) for w in all_of)} removed, "
          f"{sum(len(w['cancelled']) for w in all_of)} cancels, {appended} appends; "
          f"slowest outside work/: {slowest[0]:.2f} s ({slowest[1]})")
    sys.exit(bool(failed or pids))


main()
