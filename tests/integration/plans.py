"""Small real projects whose executor the edge tests start, kill and start again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 180
LOG = ".task_execution.log"
SUFFIX = re.compile(rb" \xe2\x9c\x93 \[task_id: (task_\d+_[0-9a-f]{8})\] \[[-0-9: ]+\] \([^()]*\)")

# Each phase holds while its file is there, half a minute at most; MAIN says when it began, when it ended.
HOLD = 'hold() { for _ in $(seq 1500); do [ -e "hold_$1" ] || break; sleep 0.02; done; }'
SCRIPT = f"""#!/bin/bash
{HOLD}
if [ "${{DO_TASKS_TEST:-}}" = 1 ]; then echo "$$" >>tests.txt; hold test; exit 0; fi
echo "$1 $DO_TASKS_RUN start" >>mains.txt
hold main
sleep "$2"
echo "$1 $DO_TASKS_RUN end" >>mains.txt
"""
STEP = """
step_{number}_work:
  title: Work {number}
  pre_flight:
    - {{task: ready, command: "bash check.sh pre"}}
    - {{task: folder, command: "test -w ."}}
  main:
    script: work_{number}.sh
    args: ["{number}", "{sleep_s}"]
    on_lost: {on_lost}
    success_criteria:
      - The work is done
      - {{criterion: It left its line, command: "grep -q '^{number} .* end$' mains.txt"}}
  post_validation:
    - {{task: good, command: "bash check.sh post"}}
    - {{task: still_a_folder, command: "test -d ."}}
"""
CHECK = f"""{HOLD}
hold "$1"
test ! -e "fail_$1"
"""
PROSE = "# A plan\r\n\r\nSTEP 1 is *not* a box: \xe2\x80\xa6 \t\n"


class Project:
    """A folder with a plan of some steps; `sleeps_s` is how long each MAIN takes."""

    def __init__(self, root, *, sleeps_s=(0.0,), on_lost="rerun"):
        self.root = root
        self.started = []
        self.numbers = range(1, len(sleeps_s) + 1)
        lines = [f"- [ ] **STEP {number}**: Work {number}\n  a note\n" for number in self.numbers]
        self.path("SPEC.md").write_text(PROSE + "".join(lines) + "the end, without a newline", newline="")
        self.before = self.spec()
        self.define(sleeps_s=sleeps_s, on_lost=on_lost)
        self.path("check.sh").write_text(CHECK)
        for number in self.numbers:
            self.path(f"work_{number}.sh").write_text(SCRIPT)

    def define(self, *, sleeps_s=(0.0,), on_lost="rerun"):
        steps = [
            STEP.format(number=number, sleep_s=sleep_s, on_lost=on_lost) for number, sleep_s in enumerate(sleeps_s, 1)
        ]
        self.path("step_definitions.yaml").write_text("".join(steps))

    def path(self, *names):
        return self.root.joinpath(*names)

    # What the test does to it

    def hold(self, phase):
        self.path(f"hold_{phase}").touch()

    def release(self, phase):
        self.path(f"hold_{phase}").unlink(missing_ok=True)

    def run(self, *words):
        """A whole run, with its end."""
        return subprocess.run(
            argv(*words),
            cwd=self.root,
            env=environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def start(self, *words, before=()):
        """A run that the test ends; `before` is what the command line begins with."""
        process = subprocess.Popen(
            [*before, *argv(*words)],
            cwd=self.root,
            env=environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(process)
        return process

    def killed_when(self, seen, *words):
        """Start a run, kill the executor alone once `seen` is in the log or, for MAIN, in its file."""
        process = self.start(*(words or ("--continue",)))
        wait_for(lambda: seen(self), "the moment to kill")
        kill(process)

    def close(self):
        for phase in ("pre", "test", "main", "post"):
            self.release(phase)
        for process in self.started:
            kill(process)

    # What the test sees of it

    def spec(self):
        return self.path("SPEC.md").read_bytes()

    def log(self):
        """The lines of the log that parse; a torn last one is not a line yet."""
        if not self.path(LOG).exists():
            return []
        found = [parsed(line) for line in self.path(LOG).read_bytes().split(b"\n")[:-1]]
        return [line for line in found if line and "event" in line]

    def events(self, name):
        return [line for line in self.log() if line["event"] == name]

    def mains(self, number=1):
        """What the MAINs of a step wrote: (run, start or end) in order."""
        if not self.path("mains.txt").exists():
            return []
        rows = [line.split() for line in self.path("mains.txt").read_text().splitlines()]
        return [(run, what) for step, run, what in rows if step == str(number)]

    def task_ids(self):
        return {line["task_id"] for line in self.log() if line["task_id"]}

    def ticked(self):
        """The ids in SPEC.md, in order."""
        return [found.decode() for found in SUFFIX.findall(self.spec())]

    def living(self):
        """Pids of this project's tasks that live, whoever started them."""
        return [pid for pid in _pids() if self._owns(pid)]

    def _owns(self, pid):
        try:
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            bears = any(word.startswith(b"DO_TASKS_RUN=") for word in words)
            return bears and Path(f"/proc/{pid}/cwd").resolve() == self.root.resolve()
        except OSError:
            return False

    def started_record(self, run="main.1"):
        [found] = self.root.glob(f".do-tasks/jobs/*/{run}/started.json")
        return found


def argv(*words):
    return [sys.executable, "-m", "executor", *words]


def environ():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DO_TASKS_", "CLAUDE"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}


def kill(process):
    """Kill the executor and nobody else."""
    process.kill()
    process.wait(LIMIT_S)


def wait_for(true, what):
    until = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < until, f"waited {LIMIT_S} s for {what}"
        time.sleep(0.01)


def logged(name):
    """A moment: this event is in the log."""
    return lambda project: project.events(name)


def main_began(project):
    """A moment: MAIN has written its first line."""
    return project.mains()


def parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def lives(pid):
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def cut_log(project, event):
    """Leave the log as a crash right after the first such event leaves it."""
    path = project.path(LOG)
    lines = path.read_bytes().splitlines(keepends=True)
    last = next(at for at, line in enumerate(lines) if json.loads(line)["event"] == event)
    with path.open("r+b") as file:
        file.truncate(sum(map(len, lines[: last + 1])))


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


# The promise


def hold_promise(project):
    """Every box is ticked for a MAIN that ran once, on a log and a SPEC.md that are whole."""
    for number in project.numbers:
        mains = project.mains(number)
        assert [what for _, what in mains] == ["start", "end"], mains
        assert mains[0][0] == mains[1][0], mains
        passed = {
            f"{line['task_id']}/{line['run']}"
            for line in project.events("MainFinished")
            if line["step"] == number and line["status"] == "passed"
        }
        assert passed == {mains[0][0]}
    hold_log(project)
    hold_spec(project)
    wait_for(lambda: not project.living(), f"the end of {project.living()}")
    assert not [path for path in project.root.rglob("*.tmp") if ".do-tasks" not in path.parts]


def hold_log(project):
    """Every line parses; a fragment is followed by its LogRepaired."""
    data = project.path(LOG).read_bytes()
    assert data.endswith(b"\n")
    lines = [parsed(line) for line in data.split(b"\n")[:-1]]
    for line, behind in zip(lines, [*lines[1:], None], strict=True):
        assert line or (behind and behind["event"] == "LogRepaired"), lines


def hold_spec(project):
    """Five ticks, or as many as there are steps; every other byte as it was; the log says why."""
    plain = SUFFIX.sub(b"", project.spec()).replace(b"- [x]", b"- [ ]")
    assert plain == project.before
    assert project.spec().count(b"- [x]") == len(project.ticked()) == len(project.numbers)
    named = [(line["event"], line["task_id"]) for line in project.log()]
    for task_id in project.ticked():
        assert named.index(("StepPassed", task_id)) < named.index(("SpecTicked", task_id))
