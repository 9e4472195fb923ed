"""Measures do-tasks beside the machine's floor and its peers, then prints the table."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    sys.path[0] = str(ROOT)

from benchmarks.goals import GOALS  # noqa: E402
from benchmarks.measure import BenchError, adopt_orphans  # noqa: E402
from benchmarks.peers import found  # noqa: E402
from benchmarks.projects import DoTasks, Floor, Tool, has_yaml, interpreter_of  # noqa: E402
from benchmarks.report import document, this_machine  # noqa: E402
from benchmarks.verify import verified  # noqa: E402
from benchmarks.workloads import QUICK, WORKLOADS, Ground, Result, Sizes  # noqa: E402


def parsed(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, within two minutes")
    parser.add_argument("--only", default=",".join(WORKLOADS), help="a comma list of %(default)s")
    parser.add_argument("--do-tasks", default=_beside_us(), help="the executable under test")
    parser.add_argument("--peers-dir", type=Path, default=ROOT / "benchmarks" / ".peers")
    parser.add_argument("--write", type=Path, help="a file that gets the page too")
    chosen = parser.parse_args(argv)
    chosen.only = chosen.only.split(",")
    unknown = [name for name in chosen.only if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    return chosen


def main(argv: list[str]) -> int:
    """Return 1 when the tool under test is missing or does not do the work, else 0, whatever the figures."""
    chosen = parsed(argv)
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="do-tasks-bench-") as folder:
        page, well = measured(chosen, Path(folder))
    if chosen.write:
        chosen.write.parent.mkdir(parents=True, exist_ok=True)
        chosen.write.write_text(page)
    sys.stdout.write(page)
    return 0 if well else 1


def measured(chosen: argparse.Namespace, root: Path) -> tuple[str, bool]:
    """Run all chosen workloads; return the page, and whether do-tasks took part."""
    loads = [os.getloadavg()[0]]
    ground = _ground(chosen, root)
    results: list[Result] = []
    for name in chosen.only:
        results += _results(name, ground)
        loads.append(os.getloadavg()[0])
    machine = this_machine(_version(ground.python), loads)
    page = document(machine, GOALS, results, [ground.floor, *ground.ours, *ground.peers], ground.notes)
    return page, bool(ground.ours)


def _ground(chosen: argparse.Namespace, root: Path) -> Ground:
    path = shutil.which(chosen.do_tasks or "")
    python = interpreter_of(path) if path else sys.executable
    if not has_yaml(python):
        raise SystemExit(f"bench: {python} has no PyYAML; give --do-tasks of an installed environment")
    peers, notes = found(chosen.peers_dir)
    if not path:
        notes.append("do-tasks is left out: it was not found; give --do-tasks PATH")
    tools: list[Tool] = [Floor(python), *([DoTasks(path)] if path else []), *peers]
    living = [tool for tool in tools if _works(tool, root / "verify", notes)]
    ours = next((tool for tool in living if isinstance(tool, DoTasks)), None)
    others = [tool for tool in living if not isinstance(tool, (DoTasks, Floor))]
    return Ground(python, Floor(python), ours, others, QUICK if chosen.quick else Sizes(), root, notes)


def _works(tool: Tool, root: Path, notes: list[str]) -> bool:
    wrong = verified(tool, root)
    if wrong:
        notes.append(f"{tool.name} is left out: {wrong}")
        _say(notes[-1])
    return not wrong


def _results(name: str, ground: Ground) -> list[Result]:
    begun = time.monotonic()
    try:
        return WORKLOADS[name](ground)
    except BenchError as trouble:
        ground.notes.append(f"{name} is not measured: {trouble}")
        _say(ground.notes[-1])
        return []
    finally:
        _say(f"{name}: {time.monotonic() - begun:.0f} s")


def _beside_us() -> str | None:
    beside = Path(sys.executable).with_name("do-tasks")
    return str(beside) if beside.exists() else shutil.which("do-tasks")


def _version(python: str) -> str:
    told = subprocess.run([python, "-V"], capture_output=True, text=True, check=False).stdout.split()
    return told[-1] if told else "?"


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
