"""Random kills over a plan whose jobs, chunks and steps overlap: nothing twice, no false tick, the same end."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from tests.integration.projects import Project, finish

KILLS = 200
MOST_ROUNDS = 40  # command lines in one plan, before it is said that it never ends
LIMIT_S = 90.0
SETTLE_S = 0.3
NUMBERS = range(1, 8)
FINE = (0, 1, 3, 4, 5)  # exit codes that a plan may have on its way; 2, 6 and 70 are none
WORDS = (
    ("--continue",),
    ("--continue",),
    ("--continue", "--no-wait"),
    ("--continue", "--jobs", "3"),
    ("--all", "--jobs", "4"),
    ("--all", "--keep-going", "--jobs", "2"),
    ("--all", "--keep-going"),
    ("--step", "1-7"),
    ("--monitor",),
    ("--step", "3"),
)
# Each MAIN holds a lock for its life: a second one beside it is told. It says when it began and when it ended.
WORK = """\
#!/bin/bash
exec 8>"lock_$1"
flock -n 8 || echo "$1 $DO_TASKS_RUN" >>twice.txt
echo "$1 $DO_TASKS_RUN $$ start" >>mains.txt
for tick in $(seq "$2"); do
  sleep 0.1
  if [ "$3" = saves ]; then mkdir -p "saved_$1"; echo "$tick" >"saved_$1/step_$tick"; fi
done
if [ "$3" = rows ]; then
  for row in $(seq "$DO_TASKS_SIZE"); do
    echo "{\\"row\\": $((DO_TASKS_OFFSET + row))}" >>"rows_$DO_TASKS_CHUNK.jsonl"
  done
fi
echo "$1 $DO_TASKS_RUN $$ end" >>mains.txt
"""


def work(number, ticks, kind="", **main):
    """MAIN of a step that takes `ticks` tenths of a second."""
    proof = {"criterion": "It ended", "command": f"grep -q '^{number} .* end$' mains.txt"}
    body = {"script": "work.sh", "args": [str(number), str(ticks), kind], "test": "none", "success_criteria": [proof]}
    return {"main": {**body, **main}}


def job(number, ticks):
    monitors = [{"task": "saved", "checkpoints": f"saved_{number}/step_*", "interval": 0.2}]
    return {**work(number, ticks, "saves", mode="background", timeout=5), "background": monitors}


def plan(root):
    """Two jobs, a step in chunks and four plain steps; some wait for a job, some for nothing."""
    project = Project(root)
    project.write("work.sh", WORK, mode=0o755)
    chunks = {"mode": "chunked", "chunks": [{"size": 2}, {"size": 3}, {"size": 4}], "rows": "rows_{chunk}.jsonl"}
    return project.plan(
        s1=work(1, 2),
        s2=job(2, 45),
        s3={**work(3, 3, "rows", **chunks), "depends_on": []},
        s4={**job(4, 25), "depends_on": [{"step": 2, "until": "first_checkpoint"}]},
        s5={**work(5, 3), "depends_on": []},
        s6={**work(6, 2), "depends_on": [2, 4]},
        s7={**work(7, 2), "depends_on": [3]},
    )


class Trial:
    """One plan from its beginning to its last tick, disturbed on the way."""

    def __init__(self, root, chance):
        self.project = plan(root)
        self.chance = chance
        self.kills = 0
        self.excused = dict.fromkeys(NUMBERS, 0)  # MAINs that were killed themselves: they may run again
        self.faults = []

    def disturbed(self, budget):
        """Run command lines and kill what they start, until the plan is done or the kills are used up."""
        for _ in range(MOST_ROUNDS):
            process = self.project.start(*self.chance.choice(WORDS))
            if self.kills < budget:
                time.sleep(self.chance.uniform(0.0, 1.5))
                self.kill(process)
            self.ended(process)
            self.look()
            if self.done() or self.kills >= budget:
                return self.end()
        return self.end()

    def end(self):
        """Go on without a kill to the last tick."""
        for _ in range(MOST_ROUNDS):
            if self.done():
                break
            self.ended(self.project.start("--continue"))
            time.sleep(SETTLE_S)
        self.look()
        if not self.done():
            self.faults.append(f"the plan never ended: {self.project.spec}")
        self.nothing_twice()
        return self

    def kill(self, process):
        """Kill the executor, the supervisors, a MAIN with its launcher, or all of them."""
        whom = self.chance.choice(("executor", "executor", "supervisors", "both", "main", "all"))
        if whom in ("executor", "both", "all"):
            process.kill()
            self.kills += 1
        if whom in ("supervisors", "both", "all"):
            for pid in self.supervisors():
                self.kills += shoot(pid)
        if whom in ("main", "all"):
            for number, pid in self.launchers()[: 1 if whom == "main" else None]:
                self.excused[number] += 1
                self.kills += shoot(pid, os.killpg)

    def ended(self, process):
        try:
            code = finish(process, LIMIT_S)
        except subprocess.TimeoutExpired:
            self.faults.append("a command line did not end within its limit")
            return
        if code.code not in (*FINE, -signal.SIGKILL):
            self.faults.append(f"exit {code.code}: {code.err[-400:]}{code.out[-400:]}")

    def supervisors(self):
        return [line["pid"] for line in self.project.events("SupervisorStarted") if lives(line["pid"], "executor")]

    def launchers(self):
        """The step and pid of each launcher that lives."""
        found = []
        for path in self.project.root.glob(".do-tasks/jobs/*/main*/started.json"):
            pid = json.loads(path.read_text() or "{}").get("pid", 0)
            number = int(re.search(r"task_(\d+)_", str(path))[1])
            if pid and not path.with_name("exit.json").exists() and lives(pid, "do-tasks-launcher"):
                found.append((number, pid))
        return found

    def mains(self, word):
        path = self.project.root / "mains.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split() for line in lines if line.endswith(f" {word}")]

    def ticked(self):
        return {int(number) for number in re.findall(r"^- \[x\] \*\*STEP (\d+)\*\*", self.project.spec, re.MULTILINE)}

    def done(self):
        return self.ticked() == set(NUMBERS)

    def look(self):
        """A tick without an end of its MAIN is false."""
        proven = {int(line[0]) for line in self.mains("end")}
        self.faults += [f"step {number} is ticked and its MAIN never ended" for number in self.ticked() - proven]

    def nothing_twice(self):
        twice = self.project.root / "twice.txt"
        if twice.exists():
            self.faults.append(f"two MAINs of one step lived: {twice.read_text()}")
        for number in NUMBERS:
            ends = len([line for line in self.mains("end") if int(line[0]) == number])
            most = (3 if number == 3 else 1) + self.excused[number]
            if ends > most:
                self.faults.append(f"MAIN of step {number} ended {ends} times, {most} may be")

    def kinds(self):
        rows = self.project.run("list", "--json").json["steps"]
        return [(row["step"], row["state"], row["tick"]) for row in rows]


def lives(pid, name):
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and any(name in word for word in process.cmdline())
    except psutil.Error:
        return False


def shoot(pid, send=os.kill):
    """Kill one process, or a group with os.killpg; return how many died of it."""
    try:
        send(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def trials(kills, seed):
    """Disturb plan after plan until so many kills have been done; return the trials, and the ticks of a quiet plan."""
    chance = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        quiet = Trial(folder / "quiet", chance).end()
        found = [quiet]
        while sum(trial.kills for trial in found) < kills:
            left = kills - sum(trial.kills for trial in found)
            trial = Trial(folder / f"p{len(found)}", chance).disturbed(min(left, 25))
            if trial.kinds() != quiet.kinds():
                trial.faults.append(f"other ticks in the end: {trial.kinds()}")
            found.append(trial)
            if trial.faults:
                break
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"KILL_SEED={seed} repeats these choices")
    began = time.monotonic()
    found = trials(KILLS, seed)
    faults = [fault for trial in found for fault in trial.faults]
    if faults:
        raise SystemExit("\n".join(faults))
    kills = sum(trial.kills for trial in found)
    return (
        f"{kills} kills over {len(found) - 1} plans in {time.monotonic() - began:.0f} s: no MAIN twice, no false tick,"
        " no exit 2, the same ticks in the end"
    )
