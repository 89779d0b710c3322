#!/usr/bin/python3
"""Runs one scenario (README) with a real mount, and checks what must hold in all of them.

    bench.py BUILD SCENARIO [N[,M]]     BUILD: the build folder; ends with 0, 1 where something is wrong, 77 where
        it cannot be run here.  With N the daemon is killed at the Nth point of core/base/fault.h that it passes, the
        next one at the Mth, and started again; what was under way is then done again as a user would.  With 0
        for N nothing is killed, and the number of points is printed.  $KEEP keeps its folder.
"""
import ctypes
import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import scenario

HERE = os.path.dirname(os.path.abspath(__file__))
ENDS = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED",
        "BOOT_FAIL", "DEADLINE", "UNKNOWN"}
TOOLS = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sinfo", "sacctmgr", "line")
# How long, on the group's clock, all is given to come to its end, and is watched after it.
PATIENCE, LINGER = 6 * 3600, 300

# Rules for `line` are asked here, before a command of slurmount's: it may arrive late, or its answer be lost.
# One that goes to a shell that was started ahead is what that shell evaluates; to another one its input comes
# by descriptor 8 (core/base/shell.c).
SETUP = r"""
fault_line() {
    local kind word time input
    case $1 in
    *'tar -xmpf'*) kind=stage ;;
    *slurmount_submit*) kind=submit ;;
    *'find_folder'*) kind=look ;;
    */revoked*) kind=revoke ;;
    *scancel*--*) kind=scancel ;;
    *'queue %d %d'*) kind=queue ;;
    *) kind=other ;;
    esac
    read -r word time <<< "$(line $kind)"
    case $word in
    unanswered | late)
        # What belongs to it comes with it; files do not come before they are asked for.
        input=$(mktemp @/input.XXXXXX)
        [ $kind = stage ] || cat <&$2 > "$input"
        (setsid bash -c "sleep ${time:-0}; line arrived; line() { :; }; export -f line; exec bash -c \"\$0\"" "$1" < "$input" 8< "$input" > /dev/null 2>&1 9>&1 &)
        kill -9 $$ ;;
    lost) kill -9 $$ ;;
    esac
}
case $BASH_EXECUTION_STRING in
*'read -r slurmount_n'*) eval() { unset -f eval; fault_line "$1" 0; eval "$1"; } ;;
*) fault_line "$BASH_EXECUTION_STRING" 8 ;;
esac
"""


class Wrong(Exception):
    pass


def uncounted(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Clock:
    def __init__(self, build, page):
        self.process = subprocess.Popen([f"{build}/tests/faults/vclock", page], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.now = int(self.process.stdout.readline())
        self.controller = None

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise Wrong("the clock has ended")
        self.now = int(answer)

    def run(self, ms):
        if self.controller and self.controller.poll() is not None:
            raise Wrong("the controller has ended")
        self.ask(f"run {ms}")

    def settle(self):
        self.ask("settle")


class Bench:
    def __init__(self, build, path, kills=None):
        self.kills, self.killed, self.counts = kills or [], 0, kills == [0]
        self.undisturbed = kills is None
        self.build, self.path = os.path.abspath(build), os.path.abspath(path)
        self.scenario = scenario.read(path)
        self.dir = tempfile.mkdtemp(prefix="slurmount-fault.")
        self.mounts = {}                        # number -> process
        self.started = {}                       # job -> what its output must be
        self.seen = {}                          # job -> the last status
        self.tmpfs = False
        self.lay_out()
        self.clock = Clock(self.build, f"{self.dir}/clock")
        self.controller = self.start([f"{HERE}/controller.py", self.dir, self.path], "controller.log")
        self.clock.controller = self.controller
        while not os.path.exists(f"{self.dir}/slurm.sock"):
            time.sleep(0.01)
            if self.controller.poll() is not None:
                raise Wrong(uncounted(f"{self.dir}/controller.log"))

    # ---- the ground ----

    def lay_out(self):
        for name in ("bin", "home", "state", "scratch", "mnt1", "mnt2", "runs", "project"):
            os.mkdir(f"{self.dir}/{name}")
        for tool in TOOLS:
            os.symlink(f"{self.build}/tests/faults/standin", f"{self.dir}/bin/{tool}")
        size = self.scenario.options.get("scratch")
        if size:
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", f"{self.dir}/scratch"]
            if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
                shutil.rmtree(self.dir)
                print("a file system of its own cannot be mounted here")
                sys.exit(77)
            self.tmpfs = True
        setup = f"export PATH={self.dir}/bin:$PATH"
        if "clock" in self.scenario.options:
            setup += f" VCLOCK_SHIFT={self.scenario.options['clock']}"
        if "setup" in self.scenario.options:
            setup += "; " + re.sub(r"(?<!\$)@", self.dir, self.scenario.options["setup"])
        if any(rule[0] == "line" or rule[0].startswith("line-") for rule in self.scenario.rules):
            with open(f"{self.dir}/setup.sh", "w", encoding="utf-8") as file:
                file.write(SETUP.replace("@", self.dir))
            setup += f"; . {self.dir}/setup.sh"
        with open(f"{self.dir}/profile.ini", "w", encoding="utf-8") as file:
            file.write(f"[cluster]\nscratch = {self.dir}/scratch\nsetup = {setup}\n")
            for key, value in self.scenario.profile:
                file.write(f"{key} = {value.replace('@', self.dir)}\n")
        login = self.scenario.options.get("login")
        if login:
            with open(f"{self.dir}/home/.bash_profile", "w", encoding="utf-8") as file:
                file.write(login.replace("\\n", "\n") + "\n")

    def start(self, command, log, **more):
        env = dict(os.environ, LD_PRELOAD=f"{self.build}/tests/faults/libvclock.so",
                   VCLOCK=f"{self.dir}/clock", FAULT_SLURM=f"{self.dir}/slurm.sock",
                   HOME=f"{self.dir}/home", XDG_STATE_HOME=f"{self.dir}/state",
                   XDG_CONFIG_HOME=f"{self.dir}/home",
                   SLURMOUNT_TEMPLATES=os.path.join(HERE, "../../templates"))
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        if "clock" in self.scenario.options and log == "controller.log":
            env["VCLOCK_SHIFT"] = self.scenario.options["clock"]
        env.update(more)
        with open(f"{self.dir}/{log}", "ab") as file:
            return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def mnt(self, number="1"):
        return f"{self.dir}/mnt{number}"

    # ---- steps ----

    def do_mount(self, number="1", state="state"):
        program = f"{self.build}/src/fs/slurmount"
        more = {"XDG_STATE_HOME": f"{self.dir}/{state}"}
        if self.kills or self.killed:
            program = f"{self.build}/tests/faults/slurmount-faults"
        if self.counts:
            more["FAULT_LOG"] = f"{self.dir}/points"
        elif self.kills:
            more["FAULT_AT"] = str(self.kills.pop(0))
        command = [program, "-f", "-c", f"{self.dir}/profile.ini", "local", self.mnt(number)]
        self.mounts[number] = self.start(command, f"daemon{number}.log", **more)
        end, until = time.monotonic() + 60, self.clock.now + 60000
        while time.monotonic() < end or self.clock.now < until:
            self.clock.run(100)
            try:
                # Of a dead mount the kernel still has attributes, but it opens nothing.
                if uncounted(f"{self.mnt(number)}/cluster/connection"):
                    return
            except OSError:
                pass
            if self.mounts[number].poll() is not None:
                if self.revive():
                    return
                break
            time.sleep(0.01)
        raise Wrong(f"no mount: {uncounted(f'{self.dir}/daemon{number}.log')[-2000:]}")

    def revive(self):
        """Starts the daemon again where it was killed as planned; false where it was not."""
        daemon = self.mounts.get("1")
        try:
            if not daemon or daemon.wait(2 if self.killed or self.kills is not None else 0) != -signal.SIGKILL:
                return False
        except subprocess.TimeoutExpired:
            return False
        del self.mounts["1"]
        self.killed += 1
        self.seen.clear()
        self.do_mount()
        return True

    def persist(self, call, *arguments):
        """Does it again where the daemon is killed in the middle."""
        while True:
            try:
                return call(*arguments)
            except OSError:
                if not self.revive():
                    raise

    def do_copy(self, to):
        """The state as a backup or another machine would have it."""
        shutil.copytree(f"{self.dir}/state", f"{self.dir}/{to}", symlinks=True,
                        ignore=shutil.ignore_patterns("control"))

    def do_kill(self, number="1"):
        daemon = self.mounts.pop(number)
        daemon.kill()
        daemon.wait()
        self.seen.clear()

    def do_unmount(self, number="1"):
        daemon = self.mounts.pop(number)
        for _ in range(50):
            if subprocess.run(["fusermount3", "-u", self.mnt(number)], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                break
            self.clock.run(200)
        # On the group's clock as well, since a busy machine may need long for a moment of it.
        end, until = time.monotonic() + 60, self.clock.now + 60000
        while daemon.poll() is None and (time.monotonic() < end or self.clock.now < until):
            self.clock.run(100)
            time.sleep(0.005)
        if daemon.poll() == -signal.SIGKILL and self.killed + len(self.kills):
            return
        if daemon.poll() != 0:
            raise Wrong(f"the daemon ended with {daemon.poll()}: "
                        f"{uncounted(f'{self.dir}/daemon{number}.log')[-2000:]}")
        self.seen.clear()

    def do_drop(self, name, how="now"):
        self.persist(self.drop, name, how)

    def drop(self, name, how):
        """Again, where a first time was cut short: what became a job is one, all else is dropped anew."""
        if os.path.exists(f"{self.mnt()}/jobs/{name}"):
            return
        shutil.rmtree(f"{self.mnt()}/jobs/new/{name}", ignore_errors=True)
        self.clock.settle()
        lines = dict(self.scenario.jobs[name])
        draft = f"{self.mnt()}/jobs/new" + ("" if how == "loose" else f"/{name}")
        if how != "loose":
            os.mkdir(draft)
        content = random.randbytes(int(lines.pop("size", "70000")))
        for path, data in (("input", content), ("with blank", b"x" * 5000), ("empty", b"")):
            with open(f"{draft}/{path}", "wb") as file:
                file.write(data)
        want = hashlib.sha256(content).hexdigest()
        seconds, code = lines.pop("seconds", "20"), lines.pop("exit", "0")
        body = (f"echo \\\"${{SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}} ${{SLURM_ARRAY_TASK_ID:-}} "
                f"${{SLURM_RESTART_COUNT:-0}}\\\" >> {self.dir}/runs/{name}; ").replace("\\", "")
        body += lines.pop("command", f"sha256sum < input > out${{SLURM_ARRAY_TASK_ID:-}} && sleep {seconds}"
                          f" && [ -e empty ] && wc -c < 'with blank' && exit {code}")
        self.started[name] = want
        config = {"job": {"command": body, "submit": "manual"}, "slurm": {"time": "00:05:00", "mem": "10M"}}
        if how == "loose":
            config["job"].update(submit="auto", name=name)
        for key, value in lines.items():
            section, _, key = key.rpartition(".")
            config.setdefault(section or "slurm", {})[key] = value
        with open(f"{draft}/config.ini", "w", encoding="utf-8") as file:
            for section, pairs in config.items():
                file.write(f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in pairs.items()))
        if how == "now":
            self.submit(name)
        elif how == "loose":
            self.until(f"{name} is submitted", 120, lambda: os.path.exists(f"{self.mnt()}/jobs/{name}"))

    def submit(self, name):
        for attempt in range(100):
            # The rename is answered by the engine, which may wait for a moment on the group's clock.
            process = subprocess.Popen(["mv", f"{self.mnt()}/jobs/new/{name}", f"{self.mnt()}/jobs/{name}"],
                                       stderr=subprocess.PIPE, text=True)
            while process.poll() is None:
                self.clock.run(20)
                time.sleep(0.002)
            if process.returncode == 0 or os.path.exists(f"{self.mnt()}/jobs/{name}"):
                return
            # (The kernel keeps attributes of a dead mount, so that only the process tells.)
            if self.mounts["1"].poll() is not None:
                raise OSError(errno.ENOTCONN, "the daemon is dead")
            if attempt > 20:
                raise Wrong(f"{name} was not submitted: {process.stderr.read()}")
            self.clock.run(500)

    def do_wait(self, seconds):
        end = self.clock.now + int(float(seconds) * 1000)
        while self.clock.now < end:
            self.clock.run(min(60000, end - self.clock.now))
            self.look()

    def until(self, what, seconds, true):
        end = self.clock.now + int(seconds) * 1000
        step, before = 2000, 0
        while not true():
            if self.clock.now >= end:
                raise Wrong(f"not within {seconds} s: {what}")
            self.clock.run(step)
            self.look()
            # While nothing happens on the cluster, long steps will do.
            size = os.stat(f"{self.dir}/ledger").st_size
            step = min(2 * step, 32000) if size == before else 2000
            before = size

    def do_until(self, name, words, seconds="7200"):
        self.until(f"{name} {words}", seconds, lambda: self.status(name) in words.split(","))

    def do_says(self, path, seconds, *words):
        text = " ".join(words)
        self.until(f"{path}: {text}", seconds, lambda: text in self.read(path))

    def do_ctl(self, name, verb):
        try:
            self.write_slowly(f"{self.mnt()}/jobs/{name}/ctl", verb)
        except Wrong:
            if not self.revive():
                raise
            # It may have been heard.
            if verb in self.read(f"{name}/ctl").split():
                self.do_ctl(name, verb)

    def write_slowly(self, path, text):
        """By a process of its own, since the engine answers, which needs its time."""
        process = subprocess.Popen(["sh", "-c", 'echo "$1" > "$2"', "-", text, path], stderr=subprocess.PIPE)
        while process.poll() is None:
            self.clock.run(20)
            time.sleep(0.002)
        if process.returncode:
            raise Wrong(f"{text} > {path}: {process.stderr.read().decode()}")

    def do_remove(self, name):
        process = subprocess.Popen(["rmdir", f"{self.mnt()}/jobs/{name}"], stderr=subprocess.PIPE)
        while process.poll() is None:
            self.clock.run(20)
            time.sleep(0.002)
        if process.returncode and self.revive():
            if os.path.exists(f"{self.mnt()}/jobs/{name}"):
                self.do_remove(name)
        elif process.returncode:
            raise Wrong(f"rmdir {name}: {process.stderr.read().decode()}")
        self.started.pop(name, None)
        self.seen.pop(name, None)

    def workdir(self, name):
        found = [entry for entry in os.listdir(f"{self.dir}/scratch")
                 if entry.rsplit("-", 1)[0] in (name, f"{name}-2", f"{name}-3")]
        if not found:
            raise Wrong(f"no directory of {name}")
        return f"{self.dir}/scratch/{sorted(found)[-1]}"

    def do_gone(self, name):
        """Its directory on scratch goes, in the end."""
        def gone():
            return not [e for e in os.listdir(f"{self.dir}/scratch") if e.rsplit("-", 1)[0] == name]
        self.until(f"the directory of {name} is gone", 3600, gone)

    def do_purge(self, name):
        shutil.rmtree(self.workdir(name))

    def do_shell(self, *words):
        """On the cluster; $w is the work directory of the job named first."""
        env = dict(os.environ, w=self.workdir(words[0]), d=self.dir)
        subprocess.run(["bash", "-c", " ".join(words[1:])], env=env, check=True)

    # ---- what is seen ----

    def read(self, path):
        for _ in range(5):
            try:
                return self.persist(uncounted, f"{self.mnt()}/jobs/{path}")
            except FileNotFoundError:
                return ""
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
                self.clock.settle()
        raise Wrong(f"{path} stays stale")

    def status(self, name):
        return self.read(f"{name}/status").strip()

    def ledger(self):
        with open(f"{self.dir}/ledger", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def entries(self, name):
        """What Slurm took for the job: one for each sbatch that it accepted."""
        taken = [e for e in self.ledger() if e["what"] == "queued" and
                 os.path.basename(e["folder"]).rsplit("-", 1)[0] in (name, f"{name}-2", f"{name}-3")]
        return {e["entry"]: e for e in taken}

    def look(self):
        """No end that the ledger does not show, at any time."""
        if "1" not in self.mounts:
            return
        if self.mounts["1"].poll() is not None and not self.revive():
            raise Wrong(f"the daemon ended with {self.mounts['1'].poll()}")
        for name in list(self.started):
            word = self.status(name)
            if not word or word == self.seen.get(name):
                continue
            self.seen[name] = word
            if word in ENDS:
                self.judge_end(name, word)

    def judge_end(self, name, word):
        if (name + ".false-end", word) in self.scenario.expect:
            return
        mine = {e["array"] for e in self.entries(name).values()}
        told = [e for e in self.ledger() if e["what"] == "state" and e["array"] in mine]
        last = {}
        for e in told:
            last[e["id"]] = e["state"]
        if word == "UNKNOWN":
            return  # says nothing of an end; whether it may be said, [expect] has
        if word == "CANCELLED" and not mine:
            return
        if word not in {e["state"] for e in told}:
            raise Wrong(f"FALSE END: {name} reads {word}; Slurm has {last}")
        if not mine or not set(last.values()) & ENDS:
            raise Wrong(f"FALSE END: {name} reads {word}, and nothing of it has ended: {last}")

    def runs(self, name):
        try:
            return [line.split() for line in uncounted(f"{self.dir}/runs/{name}").splitlines()]
        except FileNotFoundError:
            return []

    # ---- the end ----

    def settled(self):
        for key, value in self.scenario.expect:
            if "." not in key and self.status(key) not in value.split(","):
                return False
        return True

    def check_rules(self):
        """A fault that never came about was not tried."""
        used = {e["rule"] for e in self.ledger() if e["what"] == "rule"}
        for number, rule in enumerate(self.scenario.rules):
            if number not in used:
                raise Wrong(f"no call came to this rule: {rule}")

    def check(self):
        expect = self.scenario.expect
        try:
            self.until("the expected ends", PATIENCE, self.settled)
        except Wrong as error:
            raise Wrong(f"{error}: {self.tell()}") from error
        self.do_wait(self.scenario.options.get("linger", LINGER))
        if not self.settled():
            raise Wrong(f"it went on: {self.tell()}")
        if self.undisturbed:
            self.check_rules()
        given = dict(expect)
        for name in self.started:
            self.check_job(name, given)
        for key, value in expect:
            name, _, what = key.partition(".")
            if what in ("error", "log", "info") and value not in self.read(f"{name}/{what}"):
                raise Wrong(f"no \"{value}\" in {what} of {name}: {self.tell()}")
            if what in ("no-error", "no-log") and value in self.read(f"{name}/{what[3:]}"):
                raise Wrong(f"\"{value}\" in {what[3:]} of {name}: {self.tell()}")
            if name == "calls":
                calls = len([e for e in self.ledger() if e["what"] == "call" and e["name"] == what])
                low, _, high = value.partition("-")
                if not int(low) <= calls <= int(high or low):
                    raise Wrong(f"{calls} calls of {what}, not {value}")

    def check_log(self, name):
        """What it read between two looks, its log has as well."""
        for line in self.read(f"{name}/log").splitlines():
            word = line.partition(" ")[2].partition(":")[0]
            if word in ENDS:
                self.judge_end(name, word)

    def check_job(self, name, given):
        self.check_log(name)
        status, runs, entries = self.status(name), self.runs(name), self.entries(name)
        want = given.get(f"{name}.entries", "0" if status == "REJECTED" else "1")
        if str(len(entries)) != want:
            kind = "DOUBLE" if len(entries) > int(want) else "LOST"
            raise Wrong(f"{kind}: {len(entries)} entries of {name} in the ledger, not {want}: {self.tell()}")
        ids = {run[0] for run in runs}
        if len(ids) > 1:
            raise Wrong(f"DOUBLE: {name} ran as {ids}: {self.tell()}")
        if status == "COMPLETED" and not runs:
            raise Wrong(f"FALSE END: {name} is COMPLETED and never ran")
        if f"{name}.runs" in given and str(len(runs)) != given[f"{name}.runs"]:
            raise Wrong(f"{name} ran {len(runs)} times, not {given[f'{name}.runs']}: {self.tell()}")
        # A second one that was queued all the same has ended, and by itself or by scancel.
        last = {e["id"]: e["state"] for e in self.ledger() if e["what"] == "state"}
        for entry in entries.values():
            if last[entry["id"]] not in ENDS and status in ENDS and status != "UNKNOWN":
                raise Wrong(f"{name} is {status}, and its job {entry['id']} still {last[entry['id']]}")
        if status == "COMPLETED" and f"{name}.output" not in given:
            out = "out" + (runs[0][1] if len(runs[0]) == 3 else "")
            got = self.read(f"{name}/work/{out}").split()
            if not got or got[0] != self.started[name]:
                raise Wrong(f"LOST: the input of {name} is another on the cluster: {got}")

    def tell(self):
        text = ["", f"--- {self.path} in {self.dir}"]
        for name in self.started:
            text += [f"{name}: {self.status(name)}, runs {self.runs(name)}", self.read(f"{name}/error"),
                     self.read(f"{name}/log")]
        calls = [json.dumps(e) for e in self.ledger() if e["what"] != "call" or e["name"] != "line"]
        return "\n".join(text + calls[-40:])

    def run(self):
        self.do_mount()
        for key, value in self.scenario.steps:
            words = value.split()
            if os.environ.get("TRACE"):
                print(f"{self.clock.now / 1000:9.1f} {key} {value}", flush=True)
            getattr(self, f"do_{key}")(*words)
            self.look()
        self.check()
        for number in list(self.mounts):
            self.do_unmount(number)

    def clean_up(self):
        for process in list(self.mounts.values()) + [self.controller, self.clock.process]:
            if process.poll() is None:
                process.kill()
                process.wait()
        for number in "12":
            subprocess.run(["fusermount3", "-uz", self.mnt(number)], check=False, stderr=subprocess.DEVNULL)
        # Whatever of the group still runs: its processes have its clock open.
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if f"{self.dir}/clock" in uncounted(f"/proc/{pid}/maps"):
                    os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        if self.tmpfs:
            subprocess.run(["umount", "-l", f"{self.dir}/scratch"], check=False)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


def main():
    # Orphans of the group are this one's to reap.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    began = time.monotonic()
    kills = [int(n) for n in sys.argv[3].split(",")] if len(sys.argv) > 3 else None
    bench = Bench(sys.argv[1], sys.argv[2], kills)
    name = os.path.basename(bench.path)[:-4]
    try:
        bench.run()
        if bench.counts:
            print(len(uncounted(f"{bench.dir}/points").splitlines()))
            return 0
        print(f"ok {name}: {bench.clock.now / 1000:.0f} s in {time.monotonic() - began:.1f} s")
        return 0
    except Wrong as error:
        print(f"FAILED {name}: {error}")
        print(uncounted(f"{bench.dir}/controller.log")[-1500:])
        return 1
    finally:
        bench.clean_up()


if __name__ == "__main__":
    sys.exit(main())
