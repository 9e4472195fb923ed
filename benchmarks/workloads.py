"""What is timed: each workload as rows that take turns."""

from __future__ import annotations

import functools
import json
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import BenchError, Row, Sample, Series, environment, interleave, nothing, peak
from benchmarks.projects import DoTasks, Floor, Load, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SLEEP_S = 0.2
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sizes:
    """How much is run; seconds cap a workload's rounds."""

    rounds: int = 15
    heavy_rounds: int = 5
    cap_s: float = 60.0
    heavy_cap_s: float = 150.0
    steps: int = 200
    history: int = 1000
    padding: int = 1 << 30
    lists: tuple[int, ...] = (10, 100, 1000, 10000)
    events: int = 20000


QUICK = Sizes(5, 3, 8.0, 15.0, 20, 100, 1 << 26, (10, 1000, 10000), 5000)


@dataclass(frozen=True)
class Result:
    """The series of one workload; `floor` names the row that ratios are taken to; `unit` is ms, µs or MiB."""

    key: str
    title: str
    floor: str
    series: Sequence[Series]
    notes: Sequence[str] = ()
    unit: str = "ms"


@dataclass(frozen=True)
class Ground:
    """The tools that take part, the interpreter of the floor, the sizes, an empty folder."""

    python: str
    floor: Floor
    do_tasks: DoTasks | None
    peers: Sequence[Tool]
    sizes: Sizes
    root: Path
    notes: list[str] = field(default_factory=list)

    @property
    def ours(self) -> list[DoTasks]:
        return [self.do_tasks] if self.do_tasks else []

    def project(self, workload: str, label: str, tool: Tool, load: Load) -> Path:
        folder = self.root / workload / label
        folder.parent.mkdir(exist_ok=True)
        tool.write(folder, load)
        return folder

    def bare(self, name: str, code: str) -> Row:
        return Row(name, [self.python, "-c", code], self.root)


def start(ground: Ground) -> list[Result]:
    rows = [ground.bare("python -c pass", "pass"), ground.bare("import yaml", "import yaml")]
    for tool in ground.ours:
        verbs = {"list": tool.listing(Load(1)), "dry-run": tool.dry_run()}
        for verb, argv in verbs.items():
            rows += _cold_and_cached(ground, "start", tool, Load(1), f"do-tasks {verb}", argv)
    rows += _listings(ground, "start", Load(1))
    series, notes = interleave(rows, ground.sizes.rounds, ground.sizes.cap_s)
    return [Result("start", "Start-up: list or dry-run a plan of one step", "import yaml", series, notes)]


def one(ground: Ground) -> list[Result]:
    rows = _runs(ground, "one", Load(1))
    for tool in ground.ours:
        folder = ground.project("one", "do-tasks-seen", tool, Load(1))
        forget = functools.partial(tool.forget_all_but_cache, folder)
        rows = [_renamed(row, "do-tasks, first run") if row.name == tool.name else row for row in rows]
        rows.append(Row(tool.name, tool.run(Load(1)), folder, forget))
    series, notes = interleave(rows, ground.sizes.rounds, ground.sizes.cap_s)
    return [Result("one", "One no-op step, recorded", "bash floor", series, notes)]


def steps(ground: Ground) -> list[Result]:
    load = Load(ground.sizes.steps, 3, 2)
    series, notes = interleave(_runs(ground, "steps", load), ground.sizes.heavy_rounds, ground.sizes.heavy_cap_s)
    title = f"{load.steps} steps of 3 checks, main, 2 checks: each step"
    return [Result("steps", title, "bash floor", series, notes)]


def jobs(ground: Ground) -> list[Result]:
    """Independent no-op steps, 8 at a time."""
    load, alone = Load(ground.sizes.steps, jobs=8), replace(ground, peers=())
    series, notes = interleave(_runs(alone, "jobs", load), ground.sizes.heavy_rounds, ground.sizes.heavy_cap_s)
    title = f"{load.steps} independent no-op steps, 8 at a time: each step"
    return [Result("jobs", title, "bash floor", series, notes)]


def cores(ground: Ground) -> list[Result]:
    """Two steps that use a core each, one after the other and side by side."""
    rows = [row for count in (1, 2) for row in _busy(ground, count)]
    series, notes = interleave(rows, ground.sizes.heavy_rounds, ground.sizes.heavy_cap_s)
    return [Result("cores", "Two steps that use a core each", "do-tasks --jobs 1", series, notes)]


def _busy(ground: Ground, count: int) -> list[Row]:
    work = f'[ "$1" ] || {ground.python} -c "for _ in range(30_000_000): pass"'
    load, name = Load(2, jobs=count, work=work), f"do-tasks --jobs {count}"
    rows = []
    for tool in ground.ours:
        folder = ground.project("cores", f"jobs-{count}", tool, load)
        rows.append(Row(name, tool.run(load), folder, functools.partial(tool.forget, folder)))
    return rows


def resume(ground: Ground) -> list[Result]:
    load = Load(ground.sizes.history)
    rows: list[Row] = []
    for tool in (ground.floor, *ground.ours, *ground.peers):
        folder = ground.project("resume", tool.name, tool, load)
        tool.remember(folder, load)
        rows.append(Row(tool.name, tool.resume(load), folder, functools.partial(tool.rewind, folder, load)))
        if isinstance(tool, DoTasks):
            padded = folder.with_name("large-log")
            tool.pad(folder, padded, ground.sizes.padding)
            rewind = functools.partial(tool.rewind, padded, load)
            rows.append(Row("do-tasks, large log", tool.resume(load), padded, rewind))
    series, notes = interleave(rows, ground.sizes.heavy_rounds * 2, ground.sizes.cap_s)
    title = f"Resume: {load.steps - 1:,} of {load.steps:,} main-only steps are done, run the last"
    notes = [*notes, f"the large log: {ground.sizes.padding >> 20:,} MiB of older attempts"]
    return [Result("resume", title, "bash floor", series, notes)]


def fanout(ground: Ground) -> list[Result]:
    load = Load(1, before=3, check=f"sleep {SLEEP_S}")
    rows = _runs(ground, "fanout", load, given_s=SLEEP_S, seen=True)
    series, notes = interleave(rows, ground.sizes.rounds, ground.sizes.cap_s)
    return [Result("fanout", f"A step with 3 checks of `sleep {SLEEP_S}`: over the sleep", "bash floor", series, notes)]


def lists(ground: Ground) -> list[Result]:
    return [_list_of(ground, count) for count in ground.sizes.lists]


def append(ground: Ground) -> list[Result]:
    series, notes = _inside(ground, "append", ground.sizes.heavy_rounds * 2, ground.sizes.events)
    return [Result("append", "Log: append one event", "os.write of a ready line", series, notes, "µs")]


def evidence(ground: Ground) -> list[Result]:
    series, notes = _inside(ground, "evidence", ground.sizes.heavy_rounds)
    title = "Evidence: remember what was there before MAIN, 1,000 files"
    return [Result("evidence", title, "stat and read of 1,000 x 16 KiB", series, notes)]


def _inside(ground: Ground, module: str, *numbers: int) -> tuple[list[Series], list[str]]:
    """Return what a module of ours measures in the interpreter that do-tasks runs on, and its notes."""
    program = f"import sys; sys.path.append(sys.argv.pop(1)); from benchmarks.{module} import main; main{numbers}"
    try:
        ran = subprocess.run(
            [ground.python, "-c", program, str(ROOT)],
            cwd=ground.root,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * ground.sizes.heavy_cap_s,
        )
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{module}: over {late.timeout:g} s") from late
    if ran.returncode:
        raise BenchError(f"{module}: exit {ran.returncode}: {ran.stderr[-300:]}")
    told = json.loads(ran.stdout)
    return [Series(name, tuple(Sample(*cost) for cost in costs)) for name, costs in told["costs"].items()], told[
        "notes"
    ]


def memory(ground: Ground) -> list[Result]:
    cases = {"one step": (Load(1), Tool.run), "list of 1,000": (Load(1000), Tool.listing)}
    series: list[Series] = []
    notes: list[str] = []
    for case, (load, verb) in cases.items():
        for tool in (*ground.ours, *ground.peers):
            folder = ground.project("memory", f"{tool.name}-{load.steps}", tool, load)
            argv = getattr(tool, verb.__name__)(load)
            try:
                samples = tuple(_peaks(tool, folder, argv))
            except BenchError as trouble:
                notes.append(f"{tool.name} is left out: {trouble}")
                continue
            series.append(Series(f"{tool.name}, {case}", samples))
    return [Result("memory", "Peak memory of the largest process, nothing cached", "", series, notes, "MiB")]


def _peaks(tool: Tool, folder: Path, argv: Sequence[str]) -> list[Sample]:
    samples = []
    for _ in range(3):
        tool.forget(folder)
        samples.append(peak(argv, folder))
    return samples


def _list_of(ground: Ground, count: int) -> Result:
    key, load = f"list-{count}", Load(count)
    rows = [ground.bare("import yaml", "import yaml")]
    for tool in ground.ours:
        rows += _cold_and_cached(ground, key, tool, load, "do-tasks", tool.listing(load))
    if count <= 1000:
        rows += _listings(ground, key, load)
    series, notes = interleave(rows, ground.sizes.heavy_rounds * 2, ground.sizes.cap_s / 3)
    return Result(key, f"List {count:,} main-only steps", "import yaml", series, notes)


def _cold_and_cached(ground: Ground, key: str, tool: DoTasks, load: Load, name: str, argv: Sequence[str]) -> list[Row]:
    label = name.replace(" ", "-")
    cold = ground.project(key, f"{label}-cold", tool, load)
    cached = ground.project(key, f"{label}-cached", tool, load)
    return [
        Row(f"{name}, cold", argv, cold, functools.partial(tool.chill, cold)),
        Row(f"{name}, cached", argv, cached, nothing),
    ]


def _listings(ground: Ground, key: str, load: Load) -> list[Row]:
    return [Row(peer.name, peer.listing(load), ground.project(key, peer.name, peer, load)) for peer in ground.peers]


def _runs(ground: Ground, key: str, load: Load, given_s: float = 0.0, *, seen: bool = False) -> list[Row]:
    """Return a row for every tool that runs this load from the start; `seen` keeps do-tasks' definitions cache."""
    rows: list[Row] = []
    for tool in (ground.floor, *ground.ours, *ground.peers):
        folder = ground.project(key, tool.name, tool, load)
        forget: Callable[[Path], None] = tool.forget
        if seen and isinstance(tool, DoTasks):
            forget = tool.forget_all_but_cache
        rows.append(Row(tool.name, tool.run(load), folder, functools.partial(forget, folder), load.steps, given_s))
    return rows


def _renamed(row: Row, name: str) -> Row:
    return Row(name, row.argv, row.folder, row.prepare, row.units, row.given_s)


WORKLOADS: dict[str, Callable[[Ground], list[Result]]] = {
    "start": start,
    "one": one,
    "steps": steps,
    "jobs": jobs,
    "cores": cores,
    "resume": resume,
    "fanout": fanout,
    "list": lists,
    "append": append,
    "evidence": evidence,
    "memory": memory,
}
