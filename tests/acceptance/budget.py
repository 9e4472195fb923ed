"""A study of many trials under one budget: its disk space is sampled, its best trial stays, its reports agree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 200_000_000
LIMIT_S = 3600.0
SAMPLE_S = 1.0


@dataclass(frozen=True)
class Sampled:
    """What was seen of a study: the most bytes in use, the samples, the outcomes of the reports, what is wrong."""

    most: int
    samples: int
    everything: int
    outcomes: dict
    faults: tuple


def study(trials):
    """A study whose weights come to several times its budget."""
    return {
        "study": "budget",
        "trainable": "classification.trainable:Trainable",
        "output": "experiments",
        "workers": 2,
        "metric": {"name": "macro_pr_auc", "goal": "maximize"},
        "fixed": {"data": "sample", "epochs": 2, "buckets": 16384},
        "space": {
            "learning_rate": {"float": [0.0005, 0.02], "log": True},
            "hidden": {"categorical": [64, 80, 96]},
            "dropout": {"float": [0.0, 0.5], "step": 0.1},
        },
        "stop": {"trials": trials},
        "keep": {"last": 1, "best": 1, "trials": 3, "budget_gb": BUDGET / 10**9},
    }


def used(folder):
    """The disk space of a folder as du counts it."""
    said = subprocess.run(["du", "-s", "-B1", str(folder)], capture_output=True, text=True, check=False, timeout=60)
    return int(said.stdout.split()[0]) if said.stdout else 0


def sampled(folder, trials):
    """Run a study in a folder, with a look at its disk space each second; return what was seen."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study(trials)))
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    most, samples, until = 0, 0, time.monotonic() + LIMIT_S
    with (folder / "said.txt").open("w") as said:
        argv = [sys.executable, ROOT / "scripts" / "tune.py", "study.yaml"]
        with subprocess.Popen(argv, cwd=folder, env=environ, stdout=said, stderr=said) as process:
            while process.poll() is None and time.monotonic() < until:
                most, samples = max(most, used(folder / "experiments")), samples + 1
                time.sleep(SAMPLE_S)
            process.kill()
    summary = folder / "experiments" / "study_summary.json"
    if process.returncode or not summary.is_file():
        return Sampled(most, samples, 0, {}, (f"the study: {(folder / 'said.txt').read_text()[-1000:]}",))
    return judged(folder, trials, most, samples, json.loads(summary.read_text()))


def judged(folder, trials, most, samples, summary):
    """Compare what was seen with what is promised."""
    argv = [sys.executable, ROOT / "scripts" / "evaluate_trial.py", "--verify"]
    run = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    outcomes = dict(line.split()[1:3] for line in run.stdout.splitlines() if line.startswith("trial "))
    outcomes = {name.rstrip(":"): word for name, word in outcomes.items()}
    counts = {word: list(outcomes.values()).count(word) for word in set(outcomes.values())}
    best = max((one for one in summary["trials"] if one["value"] is not None), key=lambda one: one["value"])
    everything = summary["disk"]["keep_all_bytes"]
    wrong = {
        f"{most:,} bytes were in use under a budget of {BUDGET:,}": most > BUDGET,
        f"only {everything:,} bytes were written: no test of the budget": everything < 2 * BUDGET,
        f"{len(outcomes)} reports for {trials} trials": len(outcomes) != trials,
        f"reports do not agree: {run.stdout[-600:]}{run.stderr[-600:]}": run.returncode != 0,
        f"the best trial {best['trial_id']} is {outcomes.get(best['trial_id'])}": outcomes.get(best["trial_id"])
        != "agrees",
        f"another trial is called the best: {summary['best']['trial_id']}": summary["best"]["value"] != best["value"],
    }
    return Sampled(most, samples, everything, counts, tuple(line for line, is_wrong in wrong.items() if is_wrong))


def main():
    trials, began = 60, time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="budget-"))
    try:
        seen = sampled(folder, trials)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if seen.faults:
        raise SystemExit("\n".join(seen.faults))
    outcomes = ", ".join(f"{count} {word}" for word, count in sorted(seen.outcomes.items()))
    return (
        f"{trials} trials in {time.monotonic() - began:.0f} s: at most {seen.most:,} bytes of {BUDGET:,} in"
        f" {seen.samples} samples, one each second; keeping every checkpoint takes {seen.everything:,}; reports:"
        f" {outcomes}, none that differs; the best trial is kept and agrees"
    )
