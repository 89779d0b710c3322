"""Reads a scenario; README says what one may have."""
import re


class Event:
    def __init__(self, job, state, restart, after, action):
        self.job, self.state, self.restart, self.after, self.action = job, state, restart, after, action


class Scenario:
    def __init__(self):
        self.about = ""
        self.options, self.rules, self.events = {}, [], []
        self.jobs, self.steps, self.expect, self.profile = {}, [], [], []

    def rule(self, kind, count, now):
        for rule in self.rules:
            name, first, last, begin, end, _ = rule
            if name == kind and first <= count <= last and begin <= now < end:
                return rule
        return None


def read_rule(text, where):
    head, _, actions = text.partition(":")
    match = re.fullmatch(r"(\S+)( (\d+)(-(\d*))?)?( from (\d+))?( to (\d+))?", head.strip())
    if not match:
        raise SystemExit(f"{where}: not a rule: {text}")
    first = int(match[3] or 1)
    last = first if match[3] and not match[4] else int(match[5] or 10**9)
    return (match[1], first, last, float(match[7] or 0), float(match[9] or 1e18),
            [action.strip() for action in re.split(r";(?= |$)", actions) if action.strip()])


def read_event(text, where):
    match = re.fullmatch(r"(\d+) ([A-Z_]+)( run (\d+))?( \+(\d+))?: (.*)", text)
    if not match:
        raise SystemExit(f"{where}: not an event: {text}")
    return Event(int(match[1]), match[2], int(match[4] or 0), float(match[6] or 0), match[7])


def read(path):
    s, section = Scenario(), ""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line, where = line.strip(), f"{path}:{number}"
            if not line or line[0] in ";#":
                continue
            if line[0] == "[":
                section = line.strip("[]")
                if section.startswith("job "):
                    s.jobs[section[4:]] = []
                continue
            key, equals, value = (part.strip() for part in line.partition("="))
            if not equals:
                raise SystemExit(f"{where}: not understood")
            if section == "scenario" and key == "about":
                s.about = value
            elif section == "slurm" and key == "on":
                s.rules.append(read_rule(value, where))
            elif section == "slurm" and key == "at":
                s.events.append(read_event(value, where))
            elif section in ("slurm", "scenario"):
                s.options[key] = value
            elif section.startswith("job "):
                s.jobs[section[4:]].append((key, value))
            elif section == "profile":
                s.profile.append((key, value))
            elif section == "steps":
                s.steps.append((key, value))
            elif section == "expect":
                s.expect.append((key, value))
            else:
                raise SystemExit(f"{where}: no section for it")
    return s
