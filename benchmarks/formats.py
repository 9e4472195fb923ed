"""Plans of other tools with 10,000 tasks: parse, tick and `next`, beside a scan of the lines or `json.loads`.

python benchmarks/formats.py            # prints a table of medians in milliseconds
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from executor.plan import task_graph
from executor.plan.formats.model import DONE, TaskMark
from executor.plan.spec.marks import Mark
from executor.store import plan_files, plan_writer
from executor.store.foreign_plan import ForeignPlan

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 10_000
ROUNDS = 7
ITEM = re.compile(rb"[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[([^\]\n])\][ \t]+(.*)|(#{1,6})[ \t]+(.*)")


def spec_kit(count: int) -> str:
    """Return a tasks.md of spec-kit: phases of 50 tasks, every second one parallel."""
    lines = ["# Tasks: big", ""]
    for at in range(count):
        if at % 50 == 0:
            lines += ["", f"## Phase {at // 50 + 1}: Part {at // 50 + 1}", ""]
        parallel = "[P] " if at % 2 else ""
        lines.append(f"- [ ] T{at + 1:05d} {parallel}[US1] Write the module number {at} in src/part_{at}.py")
    return "\n".join(lines) + "\n"


def openspec(count: int) -> str:
    """Return a tasks.md of OpenSpec."""
    lines = []
    for at in range(count):
        if at % 50 == 0:
            lines.append(f"\n## {at // 50 + 1}. Part")
        lines.append(f"- [ ] {at // 50 + 1}.{at % 50 + 1} Write the module number {at} in src/part_{at}.py")
    return "\n".join(lines) + "\n"


def task_master(count: int) -> str:
    """Return a tasks.json of task-master, each task behind an earlier one."""
    tasks = [
        {
            "id": at,
            "title": f"Write the module number {at}",
            "description": "A module of the program",
            "status": "pending",
            "priority": "medium",
            "dependencies": [at // 2] if at > 1 else [],
            "subtasks": [],
        }
        for at in range(1, count + 1)
    ]
    return json.dumps({"master": {"tasks": tasks}}, indent=2)


PLANS: dict[str, tuple[str, Callable[[int], str]]] = {
    "spec-kit": ("tasks.md", spec_kit),
    "OpenSpec": ("openspec/changes/big/tasks.md", openspec),
    "task-master": (".taskmaster/tasks/tasks.json", task_master),
}


def scan(data: bytes) -> list[bytes]:
    """Return the items and headings of Markdown: a regular expression for each line, the least a reader must do."""
    return [found[0] for line in data.split(b"\n") if (found := ITEM.match(line))]


def median_ms(act: Callable[[], object], rounds: int) -> float:
    """Return the median time of an act in milliseconds."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        act()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def syncs(folder: Path, sizes: list[int]) -> None:
    """Write files of these sizes as a tick does: beside, synced, renamed, the folder synced."""
    for size in sizes:
        path = folder / "floor"
        with open(f"{path}.new", "wb") as file:
            file.write(b"x" * size)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
        fd = os.open(folder, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def row(name: str, count: int, rounds: int) -> dict[str, float]:
    """Return the times of a format."""
    place, make = PLANS[name]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(count), encoding="utf-8")
        data = path.read_bytes()
        plan = plan_files.load(str(path))
        tasks = plan.document.tasks
        floor = median_ms(lambda: json.loads(data) if place.endswith("json") else scan(data), rounds)
        parse = median_ms(lambda: list(plan.format.read(plan.name, plan.files).tasks), rounds)
        document = plan.format.read(plan.name, plan.files)
        list(document.tasks)
        following = median_ms(lambda: task_graph.next_ids(task_graph.graph_of(document)), rounds)
        lock = str(root / "spec.lock")
        ids = iter([task.id for task in tasks])
        mark = TaskMark(DONE, "task_T1_0a1b2c3d", "2026-11-22 10:30")
        tick = median_ms(lambda: plan_writer.write_mark(str(path), lock, next(ids), mark), rounds)
        source = ForeignPlan(str(root), place)
        passed = Mark("passed", "task_T1_0a1b2c3d", "2026-11-22 10:30", "1 proven")
        (root / ".do-tasks").mkdir()
        whole = median_ms(lambda: source.mark(lock, number=next(ids), state="x", mark=passed), rounds)
        floor_of_syncs = median_ms(lambda: syncs(root, [len(data)] * 2), rounds)
    return {
        "floor": floor,
        "parse": parse,
        "next": following,
        "write_mark": tick,
        "tick": whole,
        "syncs": floor_of_syncs,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    print("| format | scan or json.loads | parse | parse ÷ floor | next after parsing | a mark | a tick | two syncs |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in PLANS:
        one = row(name, args.count, args.rounds)
        ratio = one["parse"] / one["floor"]
        figures = [one["floor"], one["parse"], ratio, one["next"], one["write_mark"], one["tick"], one["syncs"]]
        print(f"| {name} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
