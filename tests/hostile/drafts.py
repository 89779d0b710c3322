#!/usr/bin/env python3
"""drafts.py RENDER OPTIONS.c WORK: every key of config.ini with every payload, rendered and run.

Each value either is refused in words, or becomes a batch script that a shell reads as data: its
directives are those asked for, and executed it makes no canary.  Prints what was tried.
"""
import os
import re
import subprocess
import sys

render, options_c, work = sys.argv[1:4]

PAYLOADS = [
    "$(>canary)", "`>canary`", "${x:=$(>canary)}", "'; >canary; '", '"; >canary; "', "x; >canary", "x && >canary",
    "x | tee canary", "x > canary", "<(>canary)", "$((a[$(>canary)]))", "a[$(>canary)]", "\\'; >canary #", "$'\\n>canary'",
    "!!", "~/canary", "*", "{a,b}", "--wrap=>canary", "x --wrap=>canary", "#SBATCH --wrap=>canary",
    "x\" --wrap=\">canary", "x\\\" --wrap=>canary", "x' --wrap='>canary", "x\t--wrap=>canary", "-x", "--", "[exec >canary]",
    "$env(HOME)", "x ; exec >canary", "{{name}}", "{{#if x}}", "%j$(>canary)%A", "../../canary", "/etc/passwd", "~root/x",
    "\u2028>canary", "\u0085>canary", "x\\", "x\\\\", "\"", "'", "`", "$", "${", "$(", "%", "=", ";", "#", "x #y", "",
    "A" * 5000, "\xff\xfe",
]
JOB_KEYS = ["name", "script", "files", "submit", "after", "template", "command"]
FIXED = "[job]\ncommand = true\n"


def ini(section, key, value):
    if section == "job":
        if key in ("command", "script", "template"):
            return f"[job]\n{key} = {value}\n"
        return f"[job]\ncommand = true\n{key} = {value}\n"
    return f"{FIXED}[{section}]\n{key} = {value}\n"


def keys():
    yield from (("job", key) for key in JOB_KEYS)
    text = open(options_c).read()
    for key in sorted(set(re.findall(r'^\s*(?:TAKES|FLAG|IN_GROUP|CHOICE|[A-Z_]+)\("([a-z_]+)"', text, re.M))):
        yield "slurm", key
    yield from (("modules", key) for key in ("load", "use", "purge"))
    for key in ("A", "PATH", "BASH_ENV", "ENV", "PS4", "PROMPT_COMMAND", "LD_PRELOAD"):
        yield "environment", key
    yield "inputs", "in.dat"


def call(text):
    return subprocess.run([render, work, "victim"], input=text.encode("utf-8", "surrogateescape"),
                          capture_output=True, check=False)


def unquote(argument):
    """As sbatch reads a directive."""
    out, quote, i = "", "", 0
    while i < len(argument):
        c = argument[i]
        if c == "\\" and i + 1 < len(argument):
            i += 1
            out += argument[i]
        elif quote and c == quote:
            quote = ""
        elif not quote and c in "\"'":
            quote = c
        else:
            assert quote or c not in " \t#", f"two words: {argument!r}"
            out += c
        i += 1
    assert not quote, f"an open quote: {argument!r}"
    return out


def check(section, key, value, script):
    """Each directive is of an option that was asked for or that every job has, and nothing else is one."""
    allowed = {"job-name", "chdir", "output", "open-mode"}
    if section == "slurm":
        allowed.add(key.replace("_", "-"))
    for line in script.decode("utf-8", "surrogateescape").split("\n"):
        if re.match(r"\s*#\s*(SBATCH|PBS|BSUB)", line):
            assert line.startswith("#SBATCH --"), line
            option = unquote(line[len("#SBATCH --"):]).split("=", 1)
            assert option[0] in allowed, f"[{section}] {key} = {value!r} gives {line!r}"


def run(name, text):
    """Executes a script as Slurm would; what it makes of the canary is seen at the end."""
    folder = os.path.join(work, name)
    os.makedirs(folder + "/.slurmount", exist_ok=True)
    result = subprocess.run([render, folder, "victim"], input=text.encode("utf-8", "surrogateescape"),
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    path = os.path.join(folder, ".slurmount", "script")
    with open(path, "wb") as f:
        f.write(result.stdout)
    environment = dict(os.environ, SLURM_JOB_ID="7", HOME=folder)
    subprocess.run(["bash", path], cwd=folder, env=environment, capture_output=True, timeout=60, check=False)


def main():
    tried = taken = 0
    by_payload = {}
    for number, (section, key) in enumerate(keys()):
        # Options of one type are checked alike: of a third of the payloads each, all meet each type.
        for payload in PAYLOADS[number % 3::3] if section == "slurm" else PAYLOADS:
            for value in ("x" + payload,) if section == "slurm" else (payload, "x" + payload):
                tried += 1
                text = ini(section, key, value)
                result = call(text)
                assert result.returncode in (0, 1), f"[{section}] {key} = {value!r}: {result.returncode}"
                if result.returncode:
                    assert result.stderr, f"[{section}] {key} = {value!r} is refused without a word"
                    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", result.stderr), result.stderr
                    continue
                taken += 1
                check(section, key, value, result.stdout)
                # A command and a script are the user's own code.
                if (section, key) != ("job", "command") and key not in ("after",):
                    by_payload.setdefault(payload, {}).setdefault(section, {})[key] = value
    # Keys and section names.
    for payload in PAYLOADS:
        for text in (f"{FIXED}[{payload}]\nx = y\n", f"{FIXED}[slurm]\n{payload} = y\n",
                     f"{FIXED}[environment]\n{payload} = y\n", f"{FIXED}[inputs]\n{payload} = /x\n"):
            tried += 1
            result = call(text)
            assert result.returncode in (0, 1), text
            if not result.returncode:
                check("", "", "", result.stdout)
    ran = 0
    for number, (payload, sections) in enumerate(by_payload.items()):
        text = "[job]\ncommand = : \"$A\" $A\n"
        text += "".join(f"{key} = {value}\n" for key, value in sections.get("job", {}).items()
                        if key in ("name", "files"))
        for section in ("environment", "modules"):
            pairs = sections.get(section, {})
            text += f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in pairs.items()
                                               if key not in ("PATH", "LD_PRELOAD"))
        if call(text).returncode == 0:
            run(f"run-{number}", text)
            ran += 1
    for folder, _, names in os.walk(work):
        for name in names:
            assert not name.startswith("canary"), f"{folder}/{name} was made"
    assert taken > 300 and ran > 20, (tried, taken, ran)
    print(f"{tried} values tried, {taken} taken and rendered, {ran} scripts run")


main()
