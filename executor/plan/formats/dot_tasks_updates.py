"""Updates of a `.tasks` folder: the record of a change, written before it, and applied again after a crash."""

from __future__ import annotations

import json
import re

from executor.plan.formats.dot_tasks_manifest import state_of
from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, FAILED, OPEN, STARTED, text_digest
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.plan.formats.model import Files, PlanTask, TaskMark

FOLDER = "updates/"
AGENT = "do-tasks"
ACTIONS = {STARTED: "start", DONE: "complete", FAILED: "block"}
_RANK = {OPEN: 0, BLOCKED: 1, STARTED: 1, FAILED: 1, CANCELLED: 2, DONE: 2}


class Update(Record):
    """A change of a task's status.

    `was` is the digest of the manifest's entry before it, empty in an update of another tool. `run` is the id of the
    attempt, `proven` the places of the criteria that were proven.
    """

    task_id: str
    action: str
    new_status: str
    timestamp: str = ""
    agent_id: str = ""
    run: str = ""
    was: str = ""
    proven: tuple[int, ...] = ()
    hours: float = 0.0
    tokens: int = 0

    @property
    def state(self) -> str:
        return state_of(self.new_status)

    def written(self) -> bytes:
        """Return the update as its file holds it."""
        value = {name: one for name, one in self.asdict().items() if one}
        return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()

    def path(self) -> str:
        """Return the path of its file."""
        time = re.sub(r"[^0-9A-Za-z]", "", self.timestamp)
        parts = (self.agent_id, time, self.task_id, self.action, *self.run.split("_")[-1:])
        return f"{FOLDER}agent_{'_'.join(re.sub(r'[^0-9A-Za-z.-]', '-', one) for one in parts if one)}.json"


def update_for(task: PlanTask, mark: TaskMark, word: str, entry: Mapping[str, Any]) -> Update:
    """Return the update that a mark makes of a task."""
    return Update(
        task.id,
        ACTIONS[mark.state],
        word,
        timestamp=mark.time_utc or mark.time,
        agent_id=mark.by or AGENT,
        run=mark.task_id,
        was=entry_digest(entry),
        proven=mark.proven,
        hours=mark.hours,
        tokens=mark.tokens,
    )


def entry_digest(entry: Mapping[str, Any]) -> str:
    """Return the digest of an entry of the manifest, independent of the order and layout of its keys."""
    return text_digest(json.dumps(entry, sort_keys=True))


def updates(files: Files, folder: str = "") -> list[Update]:
    """Return the updates in the order of their times; files that hold none are left out."""
    paths = [path for path in files if path.startswith(f"{folder}{FOLDER}") and path.endswith(".json")]
    found = [update for path in paths for update in _updates_in(files[path])]
    return sorted(found, key=lambda one: (one.timestamp, _RANK.get(one.state, 0)))


def _updates_in(data: bytes) -> Iterator[Update]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and isinstance(one.get("task_id"), str | int):
            texts = {name: str(one.get(name, "")) for name in ("action", "new_status", "timestamp", "agent_id")}
            own = {name: str(one.get(name, "")) for name in ("run", "was")}
            yield Update(
                str(one["task_id"]),
                **texts,
                **own,
                proven=tuple(at for at in _list(one.get("proven")) if isinstance(at, int)),
                hours=one["hours"] if isinstance(one.get("hours"), int | float) else 0.0,
                tokens=one["tokens"] if isinstance(one.get("tokens"), int) else 0,
            )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def unapplied(found: list[Update], entries: Mapping[str, Mapping[str, Any]]) -> list[Update]:
    """Return the last update of each task that the manifest does not have yet.

    An update with the digest of its entry is unapplied while the entry is the same as before it. Of another tool's
    update the time decides, and it never takes a status back.
    """
    last = {update.task_id: update for update in found if update.state}
    return [one for name, one in last.items() if name in entries and _is_unapplied(one, entries[name])]


def _is_unapplied(update: Update, entry: Mapping[str, Any]) -> bool:
    state = state_of(entry.get("status"))
    if update.was:
        return update.was == entry_digest(entry) and update.state != state
    changed = max(str(entry.get(key) or "") for key in ("started_at", "completed_at", "updated_at"))
    return _RANK.get(state, 2) < _RANK.get(update.state, 0) and changed < update.timestamp


def reworked(found: list[Update]) -> int:
    """Return the number of tasks that were started more than once, or blocked."""
    starts: dict[str, int] = {}
    for update in found:
        weight = 2 if update.action == "block" else int(update.action in ("start", "claim"))
        starts[update.task_id] = starts.get(update.task_id, 0) + weight
    return sum(count > 1 for count in starts.values())
