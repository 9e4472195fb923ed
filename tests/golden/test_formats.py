"""Hold plan files of other tools to what is read from them and to their bytes behind each mark.

A case is a folder `formats/NAME` with `before/` (the files), `case.json` (the plan's file, the marks in their order),
`read.txt` (tasks and findings) and `after/` (the files that the marks have changed, and `refused.txt`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from executor.plan.formats.model import MarkError, TaskMark
from executor.plan.formats.registry import format_of

HERE = Path(__file__).resolve().parent
CASES = sorted(path.parent for path in HERE.glob("formats/*/case.json"))
TIMES = {"time": "2026-11-22 10:30", "time_utc": "2026-11-22T09:30:00.000Z"}
FIELDS = ("phase", "section", "parent", "depends_on", "tags", "priority", "parallel", "after_phase", "estimate_h")
MORE = ("files", "criteria", "notes")


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(plan, files):
    return format_of(plan, files[plan]).read(plan, files)


def listing(document):
    lines = [f"{document.format}: {document.title}"]
    for task in document.tasks:
        nth = f" (nth {task.nth})" if task.nth > 1 else ""
        lines.append(f"{task.id}{nth} [{task.state}] {task.file}:{task.line} {task.title}")
        given = ((name, getattr(task, name)) for name in (*FIELDS, *MORE, "ambiguous"))
        lines += [f"    {name}: {value}" for name, value in given if value]
    lines += [f"{one.file}:{one.line}: {one.kind}: {one.message}" for one in document.findings]
    return "\n".join(lines) + "\n"


def marked(plan, before, marks):
    """Return the changed files, and each refusal, with all marks written one by one."""
    files, refused = dict(before), ""
    for mark in marks:
        document = read(plan, files)
        nth = mark.get("nth", 1)
        task = next(one for one in document.tasks if one.id == mark["id"] and one.nth == nth)
        made = TaskMark(**TIMES, **{key: value for key, value in mark.items() if key not in ("id", "nth")})
        made = made.replace(proven=tuple(made.proven))
        try:
            changed = format_of(plan, files[plan]).write(plan, files, task, made)
        except MarkError as wrong:
            refused += f"{wrong}\n"
            continue
        files |= changed
        again = next(one for one in read(plan, files).tasks if one.id == task.id and one.nth == nth)
        assert format_of(plan, files[plan]).write(plan, files, again, made) == {}, "a second mark changes nothing"
    changed = {name: data for name, data in files.items() if before.get(name) != data}
    return changed | {"refused.txt": refused.encode()}


def written(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_plan_is_read_and_marked_to_the_byte(case, request):
    told = json.loads((case / "case.json").read_text(encoding="utf-8"))
    before = files_of(case / "before")
    document = read(told["plan"], before)
    after = marked(told["plan"], before, told["marks"])
    if request.config.getoption("--update-golden"):
        (case / "read.txt").write_text(listing(document), encoding="utf-8")
        written(case / "after", after)
    assert len(document.tasks) >= 40
    assert listing(document) == (case / "read.txt").read_text(encoding="utf-8")
    assert after == files_of(case / "after")
