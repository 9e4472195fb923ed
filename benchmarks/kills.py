"""Kills everything that `do-tasks --continue` has started in a project, again and again, then looks for what was lost.

    python benchmarks/kills.py FOLDER [--like OTHER] [--kills 10] [--seed 1] [--least 10] [--most 80]

FOLDER is a clone of this repository with its .venv set up, OTHER one whose plan has run to its end undisturbed.
Each round goes on with the plan, waits a random while, and ends every process in FOLDER by SIGKILL. After the last
one the plan runs to its end, and each claim is held against the files. Exit 1 when one does not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROWS = 5000
LIMIT_S, LOOK_S = 3600.0, 0.2
TICK = re.compile(r"^- \[x\] \*\*STEP (\d+)\*\*.*?(task_\d+_[0-9a-f]{8})", re.MULTILINE)
NEAR = 1e-4  # nats; distributions that are asked for twice differ in their last bits
MOST_OTHER = 0.01  # of the answers
Step = tuple[int, int]


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--like", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=10.0, help="seconds between two kills")
    parser.add_argument("--most", type=float, default=80.0)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Kill, finish, judge."""
    wanted = parsed(argv)
    folder = wanted.folder.resolve()
    drawn = random.Random(wanted.seed)  # noqa: S311 - moments, no secrets
    watch = Watch(folder)
    for number in range(1, wanted.kills + 1):
        wait_s = drawn.uniform(wanted.least, wanted.most)
        process = go_on(folder)
        watch.until(process, wait_s)
        found = kill(folder, process)
        watch.killed()
        last = sorted(ticks(folder))[-1:]
        print(
            f"kill {number}: after {wait_s:.1f} s, {len(found)} processes: {', '.join(found)}; ticked up to {last}",
            flush=True,
        )
    process = go_on(folder)
    watch.until(process, LIMIT_S)
    print(f"the last run ended with {process.poll()}", flush=True)
    watch.until_trained(LIMIT_S)
    problems = [*watch.problems, *judged(folder, wanted.like.resolve() if wanted.like else None), *retrained(folder)]
    print("\n".join(problems) or "every claim holds")
    return 1 if problems else 0


def go_on(folder: Path) -> subprocess.Popen[bytes]:
    """Start what a person would."""
    with (folder / "kills.out").open("ab") as out:
        command = [str(folder / ".venv/bin/do-tasks"), "--continue"]
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def kill(folder: Path, process: subprocess.Popen[bytes]) -> list[str]:
    """End every process that works in the folder; return what they were."""
    found: set[str] = set()
    while own := of(folder):
        for one in own:
            try:
                found.add(name_of(one))
                one.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(own, timeout=5)
    process.wait(5)
    return sorted(found)


def of(folder: Path) -> list[psutil.Process]:
    """Return the processes in a folder."""
    found = []
    for one in psutil.process_iter():
        try:
            if Path(one.cwd()).is_relative_to(folder) and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except (psutil.Error, OSError):
            continue
    return found


def name_of(one: psutil.Process) -> str:
    """Return a process's script, else its program."""
    words = one.cmdline()
    return next(
        (Path(word).name for word in words[1:] if word.endswith((".py", "do-tasks"))),
        Path(words[0]).name if words else "?",
    )


class Watch:
    """Looks while the plan runs whether a training has lost steps that a checkpoint holds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.problems = folder, list[str]()
        self.saved: dict[int, int] = {}

    def until(self, process: subprocess.Popen[bytes], limit_s: float) -> None:
        """Look until the process has ended, or time is up."""
        end = time.monotonic() + limit_s
        while process.poll() is None and time.monotonic() < end:
            self.look()
            time.sleep(LOOK_S)

    def until_trained(self, limit_s: float) -> None:
        """Go on with the plan while a training in the background keeps it from its end."""
        end = time.monotonic() + limit_s
        while len(ticks(self.folder)) < len(boxes(self.folder)) and time.monotonic() < end:
            process = go_on(self.folder)
            self.until(process, max(0.0, end - time.monotonic()))
            if process.poll():
                self.problems.append(f"do-tasks ended with {process.poll()}")
                return

    def killed(self) -> None:
        """Note what checkpoints there are: no training may fall behind them."""
        for path in self.folder.glob("checkpoints/seed_[0-9]*/checkpoints.jsonl"):
            rows = read(path)
            if rows:
                self.saved[int(rows[-1]["seed"])] = int(rows[-1]["batch"])

    def look(self) -> None:
        """Compare the rows of each seed with what its checkpoint holds."""
        rows = read(self.folder / "training_logs/metrics.jsonl")
        for seed, batch in self.saved.items():
            there = sum(row["seed"] == seed for row in rows)
            if rows and there < batch:
                self.problems.append(f"seed {seed}: {there} steps, its checkpoint had {batch}")
                self.saved[seed] = 0


def judged(folder: Path, like: Path | None) -> Iterable[str]:
    """Yield what is not as it must be."""
    ids = ticks(folder)
    if len(ids) != len(boxes(folder)):
        yield f"{len(ids)} of {len(boxes(folder))} boxes are ticked"
    log = (folder / ".task_execution.log").read_text(encoding="utf-8")
    yield from (f"step {step}: {task} is not in the log" for step, task in ids.items() if task not in log)
    rows = answers(folder)
    if [row["row"] for row in rows] != list(range(ROWS)):
        yield f"{len(rows)} rows, {len({row['row'] for row in rows})} of them different; {ROWS} in order were wanted"
    steps = [(row["seed"], row["batch"]) for row in read(folder / "training_logs/metrics.jsonl")]
    if len(steps) != len(set(steps)):
        yield f"{len(steps) - len(set(steps))} steps are there twice"
    if like:
        yield from differing(folder, like)


def differing(folder: Path, like: Path) -> Iterable[str]:
    """Yield how a plan that was killed ended otherwise than one that was not."""
    pairs = list(zip(answers(folder), answers(like), strict=False))
    other = sum(one["tokens"] != two["tokens"] for one, two in pairs)
    print(f"{other} of {len(pairs)} answers are other ones: sums round otherwise in another batch", flush=True)
    if other > MOST_OTHER * len(pairs):
        yield f"{other} of {len(pairs)} answers are other ones"


def retrained(folder: Path) -> Iterable[str]:
    """Train again, undisturbed, with the same answers; yield how the steps differ: one counted twice would show."""
    apart = {"checkpoints": "outputs/again/checkpoints", "logs": "outputs/again/logs", "students": "again.json"}
    words = [f"training.{name}={value}" for name, value in apart.items()]
    script = [str(folder / ".venv/bin/python"), "scripts/13_train_student_model.py", *words]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        yield f"training again ended with {done.returncode}: {done.stderr[-200:]}"
        return
    yield from otherwise(*(losses(folder / place) for place in ("training_logs", "outputs/again/logs")))


def otherwise(killed: dict[Step, float], whole: dict[Step, float]) -> Iterable[str]:
    """Yield how the losses of two trainings differ."""
    if killed.keys() != whole.keys():
        yield f"{len(killed)} steps, {len(whole)} undisturbed"
    far = max((abs(killed[key] - whole[key]) for key in killed.keys() & whole.keys()), default=0.0)
    print(f"largest difference of a step's loss to a training that nobody disturbed: {far:.2g} nats", flush=True)
    if far > NEAR:
        yield f"a loss differs by {far:.2g} nats"


def losses(logs: Path) -> dict[Step, float]:
    """Return the loss of each step by (seed, batch)."""
    return {(row["seed"], row["batch"]): row["loss"] for row in read(logs / "metrics.jsonl")}


def ticks(folder: Path) -> dict[int, str]:
    """Return the task of each ticked step."""
    text = (folder / "SPEC.md").read_text(encoding="utf-8")
    return {int(step): task for step, task in TICK.findall(text)}


def boxes(folder: Path) -> list[str]:
    """Return the numbers of all steps."""
    return re.findall(r"^- \[.\] \*\*STEP (\d+)\*\*", (folder / "SPEC.md").read_text(encoding="utf-8"), re.MULTILINE)


def answers(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all chunks."""
    return [row for number in (1, 2, 3) for row in read(folder / f"outputs/teacher_data_{number}.jsonl")]


def read(path: Path) -> list[dict[str, Any]]:
    """Return the whole rows of a file; none when it is not there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
