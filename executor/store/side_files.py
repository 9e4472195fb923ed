"""Side files on disk: that of a plan, found again after the plan was renamed or moved."""

from __future__ import annotations

import glob
import os

from executor.errors import SpecError
from executor.plan.formats import side_file
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.plan.formats.model import PlanDocument
    from executor.plan.formats.side_file import SideFile

MOST_FILES = 1000
HEAD = 1 << 14  # bytes of a side file in which its former names stand


class StoredSide(Record):
    """A side file as it is stored: its path and bytes, none for a plan without one."""

    path: str
    data: bytes = b""


def find(root: str, plan: str, document: PlanDocument) -> StoredSide:
    """Return the side file of a plan, else that of a plan that is gone and whose tasks were the same: it was moved."""
    plan = plan.replace(os.sep, "/")
    own = StoredSide(os.path.join(root, side_file.side_path(plan)))
    if data := files.read(own.path):
        return own.replace(data=data)
    found = _of_gone_plans(root)
    content = side_file.content_of(document) if found else ""
    same = [one for one, body in found if body.get("content") == content]
    return same[0] if len(same) == 1 else own


def formerly(root: str, plan: str) -> tuple[str, ...] | None:
    """Return the names that a plan had before, None when its tasks are needed to know them."""
    plan = plan.replace(os.sep, "/")
    data = files.read(os.path.join(root, side_file.side_path(plan)))
    if data:
        return side_file.decoded(data, plan).formerly if b'"formerly"' in data[:HEAD] else ()
    return None if _of_gone_plans(root) else ()


def _of_gone_plans(root: str) -> list[tuple[StoredSide, dict[str, object]]]:
    """Return the side files of plans that are no longer where they were."""
    paths = sorted(glob.glob(os.path.join(glob.escape(root), side_file.FOLDER, "*.json")))[:MOST_FILES]
    bodies = [(path, safe_open.read_record(path)) for path in paths]
    return [
        (StoredSide(path, files.read(path)), body)
        for path, body in bodies
        if body.get("plan") and not os.path.lexists(os.path.join(root, str(body["plan"])))
    ]


def read(stored: StoredSide, plan: str) -> SideFile:
    """Return the content of a side file for the path that its plan has now."""
    plan = plan.replace(os.sep, "/")
    return side_file.moved_to(side_file.decoded(stored.data, plan), plan)


def move(root: str, old: str, new: str) -> None:
    """Move the side file of a plan that was moved, where there is one; both paths are relative to the root."""
    old, new = (one.replace(os.sep, "/") for one in (old, new))
    before, after = (os.path.join(root, side_file.side_path(one)) for one in (old, new))
    data = files.read(before)
    if not data or os.path.lexists(after):
        return
    try:
        side = side_file.moved_to(side_file.decoded(data, old), new)
    except SpecError:  # it stays, for a person
        return
    files.replace(after, side_file.encoded(side))
    os.unlink(before)
