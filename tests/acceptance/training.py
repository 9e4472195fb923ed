"""Kills of everything over plans/training: no trial lost, doubled, or begun from 0 once it has a checkpoint."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
MOST_ROUNDS = 60  # command lines in one plan, before it is said that it never ends
LIMIT_S = 3600.0
STEPS = 5
FINE = (0, 1, 3, 4, 5, -signal.SIGKILL)
GIT = ("git", "-c", "user.name=acceptance", "-c", "user.email=acceptance@localhost")


@dataclass(frozen=True)
class Size:
    """The size of a run: kills, trials, rows, and the longest life of a command line before its kill.

    `is_search_alone`: the plan has no step beside the search, and no kill falls before a trial has a checkpoint.
    """

    kills: int = KILLS
    trials: int = 16
    data: str = "apt"
    longest_s: float = 25.0
    is_search_alone: bool = False
    fixed: dict = field(default_factory=dict)  # changes of the study's fixed settings


def copied(folder):
    """Copy the files of this repository, with what is not committed yet, into a work tree of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "a copy")):
        subprocess.run([*GIT, *words], cwd=folder, check=True, timeout=60)
    return folder


class Plan:
    """plans/training in a work tree of its own, and what its study has on disk."""

    def __init__(self, root, size):
        self.root, self.size = copied(root), size
        self.folder = root / "plans" / "training"
        self.output = self.folder / "experiments"
        self.faults = []
        self.seen = []  # at each kill: trial -> its newest full checkpoint, and the lines of its metrics
        self._resize()

    def _resize(self):
        """Give the study the size of this run."""
        path = self.folder / "study.yaml"
        study = yaml.safe_load(path.read_text())
        study["fixed"] |= {"data": self.size.data, **self.size.fixed}
        study["stop"]["trials"] = self.size.trials
        path.write_text(yaml.safe_dump(study))
        definitions = self.folder / "step_definitions.yaml"
        text = definitions.read_text().replace("data=apt", f"data={self.size.data}")
        steps = yaml.safe_load(text.replace("-ge 16", f"-ge {self.size.trials}"))
        if self.size.is_search_alone:
            search = {**steps["step_3_search"], "depends_on": []}
            reports = {**steps["step_4_reports"], "depends_on": [3]}
            steps = {"step_3_search": {**search, "main": {**search["main"], "test": "none"}}, "step_4_reports": reports}
            (self.folder / "SPEC.md").write_text(
                "# Plan\n\n- [ ] **STEP 3**: The search\n- [ ] **STEP 4**: The reports\n"
            )
        definitions.write_text(yaml.safe_dump(steps, sort_keys=False))

    def start(self, word):
        """Start a command line as a session of its own, as a user's shell does."""
        argv = [sys.executable, "-m", "executor", "--project", "plans/training", word]
        with (self.root / "said.txt").open("ab") as said:
            return subprocess.Popen(argv, cwd=self.root, stdout=said, stderr=said, start_new_session=True)

    def run(self, kills, chance):
        """Run the plan to its end; kill everything `kills` times on the way. Return the kills that were done."""
        done = 0
        for turn in range(MOST_ROUNDS):
            process = self.start("--continue" if turn else "--all")
            if done < kills and self.is_time_to_kill(process, chance):
                self.kill(process)
                done += 1
            elif not ended(process, LIMIT_S):
                self.kill(process)
                self.faults.append("a command line did not end within its limit")
                return done
            if process.returncode not in FINE:
                self.faults.append(f"exit {process.returncode}: {self.said()}")
                return done
            if self.ticked() == (2 if self.size.is_search_alone else STEPS):
                return done
        self.faults.append(f"the plan never ended: {self.said()}")
        return done

    def is_time_to_kill(self, process, chance):
        """Wait for the moment of a kill; return False if the command line ended before it."""
        while self.size.is_search_alone and not self.unended() and process.poll() is None:
            time.sleep(0.05)
        return not ended(process, chance.uniform(0.0, self.size.longest_s))

    def unended(self):
        """The trials under way that have a checkpoint."""
        return [path for path in self.trials() if self.newest(path) and not self.about(path).get("state")]

    def kill(self, process):
        """Kill every process of the plan at once: executor, supervisor, study, workers; note what trials have."""
        while found := living(self.root):
            for send in (psutil.Process.suspend, psutil.Process.kill):  # stopped, none acts on the death of another
                for one in found:
                    with contextlib.suppress(psutil.Error):
                        send(one)
            psutil.wait_procs(found, timeout=30)
        process.wait(60)
        self.seen.append({path.name: (self.newest(path), len(lines(path))) for path in self.trials()})

    def newest(self, path):
        """Return the step of the newest full checkpoint of a trial, 0 for none."""
        found = [0]
        for manifest in path.glob("checkpoints/*/manifest.json"):
            if (manifest.parent / "state.pt").is_file() and not manifest.parent.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                    found.append(int(json.loads(manifest.read_text())["step"]))
        return max(found)

    def trials(self):
        return sorted(path for path in self.output.glob("trial_*") if (path / "trial.json").is_file())

    def about(self, path):
        return json.loads((path / "trial.json").read_text())

    def ticked(self):
        return len(re.findall(r"^- \[x\]", (self.folder / "SPEC.md").read_text(), re.MULTILINE))

    def said(self):
        return (self.root / "said.txt").read_text(errors="replace")[-1500:]

    # The claims

    def look(self):
        """Add the faults of a plan that ended."""
        self._none_lost_or_doubled()
        for at, trials in enumerate(self.seen, 1):
            for name, (step, count) in trials.items():
                self._none_from_the_beginning(at, name, step, count)
        self._every_report_agrees()
        return self

    def _none_lost_or_doubled(self):
        abouts = [self.about(path) for path in self.trials()]
        unended = [about.get("number") for about in abouts if about.get("state") not in ("complete", "pruned")]
        if unended or len(abouts) != self.size.trials:
            self.faults.append(f"{len(abouts)} trials for {self.size.trials}; without an end: {unended}")
        originals = Counter(self.in_study())
        self.faults += [f"trial {number} ended {count} times" for number, count in originals.items() if count > 1]
        if len(originals) != self.size.trials:
            self.faults.append(f"the study has the ends of {len(originals)} trials, not of {self.size.trials}")

    def in_study(self):
        """The number of the original of each trial that the study has as ended."""
        if not (self.output / "study.db").is_file():
            return []
        with sqlite3.connect(self.output / "study.db") as study:
            rows = study.execute(
                "SELECT number, (SELECT value_json FROM trial_system_attributes a WHERE a.trial_id = t.trial_id AND"
                " key = 'retry_history') FROM trials t WHERE state IN ('COMPLETE', 'PRUNED')"
            ).fetchall()
        return [json.loads(history)[0] if history else number for number, history in rows]

    def _none_from_the_beginning(self, at, name, step, count):
        """After a kill the epochs that are written are those after the checkpoint."""
        later = [json.loads(line)["epoch"] for line in lines(self.output / name)[count:]]
        if later and later[0] != step + 1:
            self.faults.append(f"kill {at}: {name} had a checkpoint of epoch {step} and went on with epoch {later[0]}")
        if step and later and step not in self.about(self.output / name).get("resumed_from", ()):
            self.faults.append(f"kill {at}: {name} does not say that it went on from epoch {step}")

    def _every_report_agrees(self):
        argv = [sys.executable, ROOT / "scripts" / "evaluate_trial.py", "--verify", "--study", str(self.output)]
        run = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT_S, cwd=self.folder)
        if run.returncode or f"{self.size.trials} reports: {self.size.trials} agree" not in run.stdout:
            self.faults.append(f"reports: {run.stdout[-600:]}{run.stderr[-600:]}")


def living(root):
    """The processes that work inside a folder."""
    found = []
    for one in psutil.process_iter():
        try:
            where = one.cwd()
        except (psutil.Error, OSError):
            continue
        if Path(where).is_relative_to(root) and one.status() != psutil.STATUS_ZOMBIE:
            found.append(one)
    return found


def ended(process, limit):
    """Wait for a process; return whether it ended."""
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        return False
    return True


def lines(trial):
    """The whole lines of a trial's metrics."""
    path = trial / "metrics.jsonl"
    content = path.read_text() if path.is_file() else ""
    return content.splitlines() if content.endswith("\n") else content.splitlines()[:-1]


def plans(size, chance):
    """Run plan after plan until so many kills have been done; return the plans."""
    found, left = [], size.kills
    while left > 0 and not any(plan.faults for plan in found):
        folder = Path(tempfile.mkdtemp(prefix="training-"))
        try:
            plan = Plan(folder, size)
            left -= plan.run(left, chance)
            found.append(plan.look())
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return found


def main():
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"KILL_SEED={seed} repeats these choices")
    began, size = time.monotonic(), Size()
    found = plans(size, random.Random(seed))
    faults = [fault for plan in found for fault in plan.faults]
    if faults:
        raise SystemExit("\n".join(faults))
    taken_up = sum(1 for plan in found for trials in plan.seen for step, _ in trials.values() if step)
    return (
        f"{len(found)} plans of {size.trials} trials on {size.data}, {sum(len(plan.seen) for plan in found)} kills of"
        f" every process in {time.monotonic() - began:.0f} s ({taken_up} times a trial had a checkpoint at a kill): no"
        " trial lost, doubled or begun from 0 once it had a checkpoint; every report agrees"
    )
