"""The records of a run in memory: a MAIN may delete the folder that holds them (`git clean -fdx`)."""

from __future__ import annotations

import json
import os

from executor.store import runs
from executor.store.events import JobRecorded
from executor.system import files, locks, project_identity, safe_open
from executor.system.files import STATE_FOLDER
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.store.context import RunContext
    from executor.store.task import Task

STARTED = "started.json"
MOST_BYTES = 1 << 24  # of one record
MESSAGE = f"{STATE_FOLDER}/ was deleted while {{run}} ran; its records were written again, its output is gone"


class KeptRecords(Record):
    """The JSON files of a task and the start of one of its runs, by path."""

    run: str
    contents: Mapping[str, bytes]


def keep(context: RunContext, task: Task, run: str) -> KeptRecords:
    """Read the records that a later executor needs to know a run; of what MAIN has deleted already there is nothing."""
    folder = os.path.join(context.root, runs.JOBS, task.task_id)
    paths = [os.path.join(folder, name) for name in names_in(folder) if name.endswith(".json")]
    found = {path: _bytes(path) for path in (*paths, os.path.join(folder, run, STARTED))}
    return KeptRecords(run, {path: content for path, content in found.items() if content})


def restore(context: RunContext, task: Task, kept: KeptRecords) -> None:
    """Write the records of an ended run again when their folder is gone, and take the lock of the executor anew.

    BusyError when another executor has begun meanwhile.
    """
    folder = runs.run_folder(context.root, task.task_id, kept.run)
    if kept.contents and not os.path.isdir(folder):
        _write(context, task, kept, folder)
    locks.take_again()


def _write(context: RunContext, task: Task, kept: KeptRecords, folder: str) -> None:
    files.private_folder(folder)
    for path, content in kept.contents.items():
        files.replace(path, _of_this_folder(context.root, content) if os.path.basename(path) == STARTED else content)
    context.log(JobRecorded(phase="MAIN", message=MESSAGE.format(run=kept.run)), task)


def _bytes(path: str) -> bytes:
    try:
        return safe_open.read_whole(path, MOST_BYTES)
    except OSError:
        return b""


def _of_this_folder(root: str, started: bytes) -> bytes:
    """Return the record of a start with the identity of the new `.do-tasks/`."""
    return json.dumps({**json.loads(started), "home": project_identity.folder_id(root)}).encode()
