#!/usr/bin/python3
"""Stands in for Slurm's daemons: a queue, an accounting, and a node that really runs the batch scripts.

    controller.py FOLDER SCENARIO

It listens on FOLDER/slurm.sock for standin.c and writes FOLDER/ledger, a line of JSON for each thing that
happens: what was queued, each state of each job, each call.  What it answers, and what becomes of the jobs,
the [slurm] section of the scenario says (see README).  One thread; all time is the group's (vclock.h).
"""
import heapq
import json
import os
import re
import select
import signal
import socket
import sys
import time

import scenario

ENDS = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED",
        "BOOT_FAIL", "DEADLINE"}
USER = __import__("pwd").getpwuid(os.getuid()).pw_name


class Job:
    """One record of Slurm's; each task of an array is one."""

    def __init__(self, number, array, task, folder, script, options):
        self.id, self.array, self.task = number, array, task
        self.folder, self.script, self.options = folder, script, options
        self.user, self.state, self.reason = USER, "PENDING", "Priority"
        self.submit, self.start, self.end = time.time(), 0, 0
        self.exit, self.restarts, self.pid, self.run = "0:0", 0, 0, 0
        self.shown = None        # a word that squeue shows in the place of the state
        self.hidden = 0          # visible from then on
        self.lag = []            # (time, what the accounting shows from then on)
        self.forgotten = self.held = False
        self.cancelled = self.failing = None
        self.entry = 0           # which of the accepted submissions made it

    def name(self):
        return f"{self.array}_{self.task}" if self.task is not None else str(self.id)


class Controller:
    def __init__(self, folder, path):
        self.folder, self.scenario = folder, scenario.read(path)
        self.options = self.scenario.options
        self.jobs, self.queued = [], 0
        self.timers, self.order = [], 0
        self.start = time.monotonic()
        self.counts, self.clients, self.children = {}, {}, {}
        self.next_id = int(self.options.get("next_id", 1000))
        self.ledger = open(os.path.join(folder, "ledger"), "a", buffering=1)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.path.join(folder, "slurm.sock"))
        self.socket.listen(64)
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)

    def note(self, what, **facts):
        facts.update(what=what, at=round(time.monotonic() - self.start, 3))
        self.ledger.write(json.dumps(facts) + "\n")

    # ---- time ----

    def later(self, seconds, call, *arguments):
        self.order += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.order, call, arguments))

    def loop(self):
        while True:
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                _, _, call, arguments = heapq.heappop(self.timers)
                call(*arguments)
            wait = self.timers[0][0] - now if self.timers else 3600
            for fd, _ in self.poll.poll(max(0, wait) * 1000 + 1):
                if fd == self.socket.fileno():
                    self.accept()
                elif fd in self.children:
                    self.reap(fd)
                elif fd in self.clients:
                    self.receive(fd)

    # ---- calls ----

    def accept(self):
        client, _ = self.socket.accept()
        self.clients[client.fileno()] = Call(self, client)
        self.poll.register(client, select.POLLIN)

    def receive(self, fd):
        call = self.clients[fd]
        chunk = call.client.recv(1 << 20)
        if chunk:
            call.request += chunk
            return
        self.poll.unregister(fd)
        del self.clients[fd]
        call.begin()

    def visible(self, accounted=False):
        now = time.monotonic()
        return [job for job in self.jobs if job.hidden <= now and not job.forgotten and
                (accounted or not job.end or now - job.end_mono < self.min_job_age())]

    def min_job_age(self):
        return float(self.options.get("min_job_age", 300))

    # ---- jobs ----

    def queue(self, folder, script):
        """What sbatch does; returns the id."""
        options = dict(re.findall(r"^#SBATCH --([a-z-]+)[= ](.*)$", script, re.M))
        options = {key: value.strip("\"'") for key, value in options.items()}
        folder = options.get("chdir", folder)
        self.queued += 1
        first = self.next_id
        tasks = self.tasks_of(options.get("array"))
        for task in tasks:
            job = Job(self.next_id, first, task, folder, script, options)
            # As MaxJobId is by default.
            self.next_id = self.next_id + 1 if self.next_id < 67043328 else 1
            self.jobs.append(job)
            self.note("queued", id=job.id, array=first, task=task, folder=folder,
                      entry=self.queued, user=job.user)
            job.entry = self.queued
            self.change(job, "PENDING", "Priority")
            if self.options.get("hold") != "yes":
                self.later(float(self.options.get("pending", 3)), self.launch, job, job.run)
        return first

    @staticmethod
    def tasks_of(array):
        if not array:
            return [None]
        tasks = []
        for part in array.split("%")[0].split(","):
            first, _, last = part.partition("-")
            tasks += range(int(first), int(last or first) + 1)
        return tasks

    def change(self, job, state, reason="None"):
        now = time.monotonic()
        job.state, job.reason, job.shown = state, reason, None
        if state in ENDS:
            job.end, job.end_mono = time.time(), now
        self.note("state", id=job.id, array=job.array, task=job.task, folder=job.folder,
                  state=state, run=job.restarts)
        lag = float(self.options.get("accounting_lag", 0))
        job.lag.append((now + lag, state, job.exit, job.start, job.end))
        for event in self.scenario.events:
            if event.job == job.entry and event.state == state and event.restart == job.restarts:
                self.later(event.after, self.happen, job, event)

    def happen(self, job, event):
        word, _, rest = event.action.partition(" ")
        if word == "requeue":
            self.requeue(job)
        elif word == "preempt":
            self.stop(job)
            self.change(job, "PREEMPTED")
            self.later(float(rest or 20), self.requeue, job)
        elif word == "state":
            job.shown = rest
        elif word == "end":
            self.stop(job)
            state, _, job.exit = rest.partition(" ")
            job.exit = job.exit or "0:15"
            self.change(job, state)
        elif word == "forget":
            job.forgotten = True
        elif word == "vanish":
            # With its node, and before anybody has written down that it ended.
            self.stop(job)
            job.forgotten = True
            self.note("state", id=job.id, array=job.array, task=job.task, folder=job.folder,
                      state="NODE_FAIL", run=job.restarts)
        elif word == "recycle":
            # Another user's job bears the id now.
            job.forgotten = True
            other = Job(job.id, job.id, None, "/home/other/run", "", {})
            other.user, other.state, other.start = "other", rest or "RUNNING", time.time()
            other.end_mono = time.monotonic()
            other.end = time.time() if other.state in ENDS else 0
            other.lag = [(0, other.state, "1:0", other.start, other.end)]
            self.jobs.append(other)
        elif word == "cancel":
            self.cancel(job)
        elif word == "hold":
            job.held = True
        elif word == "release":
            job.held = False
            self.launch(job, job.run)
        elif word == "purge":
            os.system(f"rm -rf '{job.folder}'")
        else:
            raise SystemExit(f"no event {event.action}")

    def launch(self, job, run):
        if job.state != "PENDING" or job.run != run or job.held:
            return
        job.run += 1
        job.start = time.time()
        self.change(job, "RUNNING")
        output = job.options.get("output", "slurm-%j.out" if job.task is None else "slurm-%A_%a.out")
        for letter, value in (("j", job.id), ("A", job.array), ("a", job.task)):
            output = output.replace("%" + letter, str(value))
        path = os.path.join(self.folder, f"script-{job.id}")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(job.script)
        pid = os.fork()
        if pid == 0:
            self.execute(job, path, output)
        job.pid = pid
        fd = os.pidfd_open(pid)
        self.children[fd] = job
        self.poll.register(fd, select.POLLIN)

    def execute(self, job, path, output):
        """In the child: the batch script, as a node would run it."""
        try:
            os.setsid()
            try:
                os.chdir(job.folder)
            except OSError:
                os.chdir("/tmp")
            out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(out, 2)
            keep = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LD_PRELOAD", "VCLOCK", "VCLOCK_SHIFT",
                    "ASAN_OPTIONS", "TMPDIR")
            env = {key: os.environ[key] for key in keep if key in os.environ}
            env.update(SLURM_JOB_ID=str(job.id), SLURM_JOBID=str(job.id), SLURM_SUBMIT_DIR=job.folder,
                       SLURM_JOB_NODELIST="node1", SLURM_NTASKS="1")
            if job.task is not None:
                env.update(SLURM_ARRAY_JOB_ID=str(job.array), SLURM_ARRAY_TASK_ID=str(job.task))
            if job.restarts:
                env["SLURM_RESTART_COUNT"] = str(job.restarts)
            for number in (signal.SIGPIPE, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.execve(path if os.access(path, os.X_OK) else "/bin/bash", ["/bin/bash", path], env)
        finally:
            os._exit(127)

    def reap(self, fd):
        job = self.children.pop(fd)
        self.poll.unregister(fd)
        os.close(fd)
        pid, status = os.waitpid(job.pid, 0)
        job.pid = 0
        if job.failing:
            job.failing = None
        elif job.state == "RUNNING" and job.cancelled:
            job.exit = "0:15"
            self.change(job, "CANCELLED")
        elif job.state == "RUNNING":
            code = os.waitstatus_to_exitcode(status)
            job.exit = f"{code}:0" if code >= 0 else f"0:{-code}"
            self.change(job, "COMPLETED" if code == 0 else "FAILED")

    def stop(self, job):
        """Its processes are gone, as when a node dies."""
        if job.pid:
            job.failing = True
            try:
                os.killpg(job.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def requeue(self, job):
        self.stop(job)
        job.restarts += 1
        job.end = job.start = 0
        job.cancelled = None
        self.change(job, "PENDING", "BeginTime")
        self.later(float(self.options.get("requeue_pending", 30)), self.relaunch, job, job.run)

    def relaunch(self, job, run):
        if job.pid:
            self.later(1, self.relaunch, job, run)
        else:
            self.launch(job, run)

    def cancel(self, job):
        if job.state == "PENDING":
            self.change(job, "CANCELLED")
        elif job.state == "RUNNING" and job.pid:
            job.cancelled = True
            os.killpg(job.pid, signal.SIGTERM)
            self.later(30, self.finish_cancel, job, job.pid)

    def finish_cancel(self, job, pid):
        if job.pid == pid:
            os.killpg(pid, signal.SIGKILL)


class Call:
    """One call of a command: the actions of the rule that fits it, one after the other."""

    def __init__(self, controller, client):
        self.c, self.client, self.request = controller, client, b""
        self.id = 0

    def begin(self):
        head, _, self.input = self.request.partition(b"\0\0")
        words = head.decode(errors="surrogateescape").split("\0")
        self.name, self.folder, self.arguments = words[0], words[1], words[2:]
        kind = self.name
        if "--test-only" in self.arguments:
            kind = "test-only"
        elif self.name == "line":
            kind = f"line-{self.arguments[0]}"
        self.kind = kind
        count = self.c.counts[kind] = self.c.counts.get(kind, 0) + 1
        if self.name not in ("scontrol", "sinfo", "sacctmgr", "line") or kind == "line-arrived":
            self.c.note("call", name=kind, count=count, arguments=self.arguments[:12])
        rule = self.c.scenario.rule(kind, count, time.monotonic() - self.c.start)
        if rule:
            self.c.note("rule", rule=self.c.scenario.rules.index(rule), call=kind)
        self.actions = list(rule[-1]) if rule else [{"sbatch": "queue; answer"}.get(kind, "answer")]
        if not rule and kind == "sbatch":
            self.actions = ["queue", "answer"]
        self.go_on()

    def send(self, kind, text=""):
        data = text.encode(errors="surrogateescape")
        try:
            self.client.sendall(f"{kind}{len(data)}\n".encode() + data)
        except OSError:
            pass  # it was killed; what it asked for is done all the same

    def go_on(self):
        while self.actions:
            word, _, rest = self.actions.pop(0).partition(" ")
            rest = rest.replace("{id}", str(self.id))
            if word == "wait":
                self.c.later(float(rest), self.go_on)
                return
            if word == "queue":
                self.id = self.c.queue(self.folder, self.script())
            elif word == "hide":
                for job in self.c.jobs:
                    if job.array == self.id:
                        job.hidden = time.monotonic() + float(rest)
            elif word in ("out", "err"):
                self.send(word[0], rest + "\n")
            elif word == "padding":
                self.send("o", "".join(f"{n} /elsewhere/{n}\n" for n in range(int(rest))))
            elif word == "fill":
                self.fill()
            elif word == "free":
                os.unlink(os.path.join(self.c.folder, "scratch", ".ballast"))
            elif word == "exit":
                self.send("x", rest)
            elif word == "kill":
                self.send("K" if rest == "session" else "k")
            elif word == "answer":
                getattr(self, "answer_" + self.name.replace("-", "_"))()
                self.send("x", "0")
            else:
                raise SystemExit(f"no action {word}")
        self.client.close()

    def fill(self):
        """The disk takes nothing more."""
        with open(os.path.join(self.c.folder, "scratch", ".ballast"), "wb", buffering=0) as file:
            for size in (65536, 4096):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def script(self):
        if self.input:
            return self.input.decode()
        path = os.path.join(self.folder, self.arguments[-1])
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()

    def option(self, *names):
        for i, word in enumerate(self.arguments):
            for name in names:
                if word == name and i + 1 < len(self.arguments):
                    return self.arguments[i + 1]
                if name.startswith("--") and word.startswith(name + "="):
                    return word[len(name) + 1:]
        return None

    def answer_sbatch(self):
        self.send("o", f"{self.id}\n")

    def answer_test_only(self):
        pass

    def answer_squeue(self):
        form = self.option("-o")
        lines = []
        for job in self.c.visible():
            if self.option("-u") and job.user != self.option("-u"):
                continue
            if self.option("-j") and str(job.id) != self.option("-j"):
                continue
            values = {"i": job.name(), "A": job.id, "F": job.array, "T": job.shown or job.state, "u": job.user,
                      "r": job.reason, "N": "node1" if job.start else "", "P": "debug", "a": "demo",
                      "q": "normal", "l": "5:00", "M": "0:10", "V": int(job.submit),
                      "S": int(job.start) or "N/A", "e": int(job.end) or "N/A", "C": 1, "D": 1,
                      "o": f"{job.folder}/.slurmount/script.sbatch", "Z": job.folder, "j": job.options.get("job-name", "job")}
            lines.append(re.sub("%([a-zA-Z])", lambda m: str(values[m[1]]), form) + "\n")
        self.send("o", "".join(lines))

    def answer_sacct(self):
        if self.c.options.get("accounting", "yes") != "yes":
            self.send("e", "Slurm accounting storage is disabled\n")
            self.send("x", "1")
            return
        ids = self.option("-j")
        since = time.mktime(time.strptime(self.option("-S"), "%Y-%m-%dT%H:%M:%S"))
        between = self.option("--delimiter") or "|"
        lines, now = [], time.monotonic()
        for job in self.c.visible(accounted=True):
            if ids and str(job.array) not in ids.split(",") and str(job.id) not in ids.split(","):
                continue
            if self.option("-u") and job.user != self.option("-u"):
                continue
            known = [entry for entry in job.lag if entry[0] <= now]
            if not known or (job.end and job.end < since):
                continue
            _, state, code, start, end = known[-1]
            if state == "CANCELLED":
                state = f"CANCELLED by {os.getuid()}"
            values = {"JobID": job.name(), "JobIDRaw": job.id, "State": state, "User": job.user,
                      "Reason": "None", "NodeList": "node1", "Partition": "debug", "Account": "demo",
                      "QOS": "normal", "Timelimit": "00:05:00", "Elapsed": "00:00:10",
                      "Submit": int(job.submit), "Start": int(start) or "Unknown",
                      "End": int(end) or "Unknown", "AllocCPUS": 1, "NNodes": 1, "WorkDir": job.folder,
                      "ExitCode": code, "DerivedExitCode": "0:0", "ReqMem": "10M", "MaxRSS": "",
                      "JobName": job.options.get("job-name", "job")}
            lines.append(between.join(str(values[f]) for f in self.option("-o").split(",")) + "\n")
        self.send("o", "".join(lines))

    def answer_scontrol(self):
        words = [word for word in self.arguments if not word.startswith("-")]
        if words[:2] == ["show", "job"]:
            self.show_jobs(words[2])
        elif words[:2] == ["show", "partition"]:
            self.send("o", "PartitionName=debug AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL Default=YES "
                      "MaxTime=UNLIMITED MaxNodes=UNLIMITED MinNodes=0 State=UP TotalCPUs=64 TotalNodes=1\n")
        elif words[0] == "show":
            self.send("o", "ClusterName = private\n")
        else:
            self.control(words[0], words[1])

    def found(self, number):
        return [job for job in self.c.visible() if str(job.id) == number or str(job.array) == number]

    def show_jobs(self, number):
        jobs = self.found(number)
        for job in jobs:
            array = f"ArrayJobId={job.array} ArrayTaskId={job.task} " if job.task is not None else ""
            self.send("o", f"JobId={job.id} {array}JobName=job UserId={job.user}({os.getuid()}) GroupId=g(0) "
                      f"JobState={job.shown or job.state} Reason={job.reason} ExitCode={job.exit} "
                      f"SubmitTime={int(job.submit)} StartTime={int(job.start) or 'Unknown'} "
                      f"EndTime={int(job.end) or 'Unknown'} Partition=debug NodeList=node1 "
                      f"WorkDir={job.folder} StdErr=x\n")
        if not jobs:
            self.send("e", "slurm_load_jobs error: Invalid job id specified\n")
            self.send("x", "1")

    def control(self, verb, number):
        jobs = [job for job in self.found(number) if job.user == USER]
        for job in jobs:
            if verb == "requeue":
                self.c.requeue(job)
            elif verb in ("uhold", "hold"):
                job.held, job.reason = True, "JobHeldUser"
            elif verb == "release":
                job.held = False
                self.c.later(3, self.c.launch, job, job.run)
        if not jobs:
            self.send("e", "Invalid job id specified\n")
            self.send("x", "1")

    def answer_scancel(self):
        jobs = self.found(self.arguments[-1])
        for job in jobs:
            if job.user != USER:
                self.send("e", "scancel: error: Kill job error on job id: Access/permission denied\n")
                self.send("x", "1")
            else:
                self.c.note("scancel", id=job.id, state=job.state)
                self.c.cancel(job)
        if not jobs:
            self.send("e", f"scancel: error: Kill job error on job id {self.arguments[-1]}: "
                      "Invalid job id specified\n")
            self.send("x", "1")

    def answer_sinfo(self):
        self.send("x", "1")

    answer_sacctmgr = answer_sinfo

    def answer_line(self):
        """What becomes of a command of slurmount's: by default it is run and answered."""
        self.send("o", "plain\n")


Controller(sys.argv[1], sys.argv[2]).loop()
