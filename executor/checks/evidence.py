"""Remembers what there was before MAIN where evidence is looked for: only what is new or changed since proves."""

from __future__ import annotations

import json
import os
import stat
import time
from zlib import crc32

from executor.checks.criteria import wants_fresh
from executor.monitoring.model import checkpoint_glob, path_of
from executor.plan.step_ids import is_task_of
from executor.store import runs as jobs
from executor.system import earlier_files, files, text_files
from executor.system.earlier_files import EarlierFiles
from executor.system.folders import find_matching, names_in
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from typing import Any

    from executor.plan.model import Criterion, Step
    from executor.plan.step_ids import StepId

    Entry = list[int]

MOST_NAMES = 10_000
WHOLE_IN_ALL = 2 << 20  # bytes of longer files that are compared whole; beyond that they are by samples
PIECED = 1 << 20  # bytes of a file whose lines are remembered
MOST_PIECES = 100_000  # lines of all files of a glob
RECENT_NS = 2_500_000_000  # a file system may store times in steps of 2 s: a younger file is compared by content
FILE_CLOCK = 5  # CLOCK_REALTIME_COARSE, by which files are dated


def record(root: str, task_id: str, digest: str) -> str:
    """Return the path of the record of files from before MAIN, for one fingerprint."""
    return os.path.join(root, jobs.JOBS, task_id, f"before.{crc32(digest.encode()):08x}.json")


def globs(step: Step) -> tuple[str, ...]:
    """Return the globs of a step's evidence: those of its criteria and of its checkpoints.

    A result file is not among them: its folder is the run's own, and empty when the run begins.
    """
    criteria = step.main.criteria if step.main else ()
    found = [glob_of(one) for one in criteria if wants_fresh(one)]
    watched = [checkpoint_glob(path_of(one.asks)) for one in step.background if one.kind == "checkpoints"]
    return tuple(dict.fromkeys(filter(None, (*found, *watched, checkpoint_glob(step.checkpoints)))))


def row_globs(step: Step) -> frozenset[str]:
    """Return the globs whose files are judged by their rows or lines: those of all criteria but `file`."""
    criteria = step.main.criteria if step.main else ()
    return frozenset(glob_of(one) for one in criteria if wants_fresh(one) and one.kind != "file")


def glob_of(criterion: Criterion) -> str:
    """Return the glob of a criterion, empty for a result file."""
    asks = criterion.asks
    if criterion.kind == "file":
        return path_of(asks)
    return str(asks.get("file") or "") if isinstance(asks, dict) else ""


def begun_before(root: str, task_id: str, digest: str) -> bool:
    """Return True when a run of a task's MAIN under this digest was started, or its brief was given."""
    folder = os.path.join(root, jobs.JOBS, task_id)
    runs = [os.path.join(folder, name) for name in names_in(folder) if name.startswith("main.")]
    briefs = any(os.path.exists(os.path.join(run, "brief.json")) for run in runs)
    return briefs or digest in [jobs.digest_of(run) for run in runs]


def newest_record(root: str, number: StepId, but: str, plan: str = "") -> str:
    """Return the newest record that a task of a step of this plan left, `but` left out; empty when there is none.

    `plan` is empty for SPEC.md. Ids of two tasks may give the same name in a task id: the task's own record decides.
    """
    folder = os.path.join(root, jobs.JOBS)
    named = [name for name in names_in(folder) if is_task_of(name, number)]
    tasks = [os.path.join(folder, name) for name in named if _is_of(_maker(root, name), number, plan)]
    records = [os.path.join(task, name) for task in tasks for name in names_in(task) if _is_record(name)]
    dated = {path: _mtime_ns(path) for path in records if path != but}
    return max(dated, key=lambda path: dated[path], default="")


def _maker(root: str, task_id: str) -> dict[str, Any]:
    """Return the step of a task and its plan, by its own record or by that of its job."""
    body = jobs.read_task(root, task_id)
    if body:
        return body
    job = jobs.read_job(root, task_id)
    settings = (job.get("plan") or {}).get("settings") or {}
    return {"step": job.get("step"), "plan": settings.get("plan", "")}


def _is_of(body: Mapping[str, Any], number: StepId, plan: str) -> bool:
    """Return True for the record of a task of this step; a step of SPEC.md may have one without its number."""
    of_plan = str(body.get("plan") or "")
    return of_plan == plan and (not plan or body.get("step") == number)


def _is_record(name: str) -> bool:
    return name.startswith("before.") and name.endswith(".json")


def _mtime_ns(path: str) -> int:
    """Return when a file was written, 0 when it is gone."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def remember(
    path: str,
    patterns: Iterable[str],
    *,
    row_patterns: AbstractSet[str],
    adds: bool,
    made_before: Mapping[str, Any],
    tested_ns: int,
) -> list[str]:
    """Write a record of the files that the globs find now; return the globs that found too many.

    Of the files of `row_patterns` the rows are remembered too.
    `adds`: another run of the same MAIN began before, so what is remembered stays and only new globs are added.
    `made_before` is the record of the task before: what was new by it, MAIN of this step made. `tested_ns` is when
    TEST of this task began, by the clock of files: a script that knows no test form makes there what MAIN makes again.
    """
    known = read(path) if adds else {}
    missing = [pattern for pattern in patterns if pattern not in known]
    if not missing:
        return []
    room = [WHOLE_IN_ALL]
    taken = {
        pattern: _taken(pattern, room, made_before.get(pattern), tested_ns, with_rows=pattern in row_patterns)
        for pattern in missing
    }
    body = {"v": 1, "began_ns": time.clock_gettime_ns(FILE_CLOCK), "globs": {**known, **taken}}
    files.private_folder(os.path.dirname(path))
    files.replace(path, json.dumps(body).encode("utf-8", "surrogateescape"))
    return [pattern for pattern in missing if taken[pattern]["cut"]]


def look(patterns: Iterable[str]) -> dict[str, Any]:
    """Return a record of the files that the globs find now."""
    room = [WHOLE_IN_ALL]
    return {pattern: _taken(pattern, room, None, 0, with_rows=False) for pattern in patterns}


def taken_over(path: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> bytes:
    """Write into a record what is there `now` and `was` not: somebody else than MAIN made it. Return the record.

    A file that was there and has grown stays MAIN's.
    """
    known = read(path)
    for pattern in known.keys() & was.keys() & now.keys():
        before = EarlierFiles({name: [*entry] for name, entry in was[pattern]["names"].items()}, 0, is_cut=False)
        for name, entry in now[pattern]["names"].items():
            if not _is_held(before, name):
                known[pattern]["names"][name] = [*entry[:6], 0]
    body = {"v": 1, "began_ns": (earlier_files.read_record(path) or {}).get("began_ns", 0), "globs": known}
    data = json.dumps(body).encode("utf-8", "surrogateescape")
    files.replace(path, data)
    return data


def _is_held(before: EarlierFiles, name: str) -> bool:
    """Return True for a file with the content it had, or with more behind that."""
    try:
        return before.holds(name, os.stat(name)) or before.grown_from(name) > 0
    except OSError:
        return True


def read(path: str) -> dict[str, Any]:
    """Return the content of a record by glob, empty without a record."""
    body = earlier_files.read_record(path)
    return dict(body["globs"]) if body else {}


def _taken(pattern: str, room: list[int], before: Any, tested_ns: int, *, with_rows: bool) -> dict[str, Any]:
    """Return the record of one glob; of more than MOST_NAMES files, the newest."""
    found = find_matching(pattern)
    is_cut = len(found) > MOST_NAMES
    if is_cut:
        found = sorted(found, key=lambda one: one[1].st_mtime_ns, reverse=True)[:MOST_NAMES]
    found.sort(key=lambda one: one[1].st_size)
    since_ns = time.clock_gettime_ns(FILE_CLOCK) - RECENT_NS
    earlier = _as_before(before)
    own = _Own(earlier, tested_ns)
    names: dict[str, Entry] = {}
    pieces: dict[str, list[int]] = {}
    left = [MOST_PIECES]
    for path, status in found:
        data, name = earlier_files.read_whole(path, status), os.path.normpath(path)
        names[name] = _entry(path, status, data, room, since_ns, own)
        if with_rows:
            pieces[name] = _pieces(name, names[name], data, left)
    return {"cut": is_cut, "names": names, "pieces": pieces, "rows": with_rows}


def _pieces(name: str, entry: Entry, data: bytes | None, left: list[int]) -> list[int]:
    """Return checksums of the lines of a file, or of its rows: where they stand later does not make them new."""
    if left[0] <= 0 or entry[5] or entry[6] or not 0 < entry[1] <= PIECED:
        return []
    if data is None and not os.path.isfile(name):
        return []
    try:
        rows = text_files.read_rows(name) if data is None else text_files.rows_of(data)
        found = [text_files.row_checksum(row) for row in rows]
    except OSError:
        return []
    left[0] -= len(found)
    return found if left[0] >= 0 else []


class _Own(Record):
    """Recognises content that this step made itself: by the record of its task before, by the start of its TEST."""

    earlier: EarlierFiles | None
    tested_ns: int

    def made(self, name: str, status: os.stat_result, changed_ns: int) -> bool:
        """Return True when MAIN of an earlier task, or TEST of this one, made what a file holds."""
        by_earlier = self.earlier is not None and not self.earlier.holds(name, status)
        return by_earlier or bool(self.tested_ns and changed_ns >= self.tested_ns)


def _entry(name: str, status: os.stat_result, data: bytes | None, room: list[int], since_ns: int, own: _Own) -> Entry:
    stamp = earlier_files.stamp(name, status)
    is_long = stat.S_ISREG(status.st_mode) and status.st_size > earlier_files.WHOLE
    is_sampled = is_long and status.st_size > room[0]
    if is_long and not is_sampled:
        room[0] -= status.st_size
    checksum = crc32(data) if data is not None else earlier_files.content(name, status, stamp[1], samples=is_sampled)
    is_own = own.made(name, status, stamp[3])
    if stamp[2] > since_ns or stamp[3] > since_ns:
        stamp[3] = 0  # no later look finds it so: its content decides
    return [*stamp, checksum, int(is_sampled), int(is_own)]


def _as_before(found: Any) -> EarlierFiles | None:
    """Return the record of an earlier task's glob, None when it has none or not every name."""
    if found is None or found["cut"]:
        return None
    names = {name: [*entry[:6], 0] for name, entry in found["names"].items() if not entry[6]}
    return EarlierFiles(names, 0, is_cut=False)
