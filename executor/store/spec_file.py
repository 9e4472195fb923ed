"""Writes SPEC.md: lock, read again, patch one line, replace, verify."""

from __future__ import annotations

import os

from executor.errors import MachineError, SpecError, remedy
from executor.plan.spec import spec_md
from executor.store.near_names import misnamed_spec
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from executor.plan.spec.spec_md import Box, Mark
    from executor.plan.step_ids import StepId

TRIES = 5


def read(path: str) -> bytes:
    """Return SPEC.md's bytes; SpecError when it is missing."""
    try:
        data = safe_open.read_whole(path)
    except FileNotFoundError as error:
        advice = misnamed_spec(os.path.dirname(path)) or "make one with: do-tasks init"
        raise SpecError(f"{os.path.basename(path)} is missing; {advice}") from error
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror}; {remedy(error)}") from error
    _refuse_other_text(os.path.basename(path), data)
    return data


def _refuse_other_text(name: str, data: bytes) -> None:
    """Refuse a text in another encoding, or with CR alone at the ends of its lines."""
    head = data[:64]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head[1:8:2] == bytes(4) or head[:8:2] == bytes(4):
        raise SpecError(
            f"{name} is UTF-16, not UTF-8; save it as UTF-8, or run: "
            f"iconv -f UTF-16 -t UTF-8 {name} > {name}.new && mv {name}.new {name}"
        )
    if b"\n" not in data and data.count(b"\r") > 1:
        raise SpecError(f"{name} ends its lines with CR alone; save it with LF, or run: sed -i 's/\\r/\\n/g' {name}")


def refuse_read_only(path: str) -> None:
    """Refuse before any work a SPEC.md that is read-only, or in a read-only folder: it could not be ticked."""
    if os.path.exists(path) and not os.stat(path).st_mode & 0o222:
        raise MachineError(f"{path} is read-only, so no box could be ticked; run: chmod u+w {os.path.basename(path)}")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.access(folder, os.W_OK):
        raise MachineError(f"{folder} is read-only, so no box could be ticked; run: chmod u+w {folder}")


class Change(Record):
    """A step's line before and after a change of its box."""

    before: Box
    after: Box


def mark_line(path: str, lock: str, *, number: StepId, state: str, mark: Mark | None, task_id: str = "") -> Change:
    """Write state and suffix to one step's line: the line with `task_id`, else the line with its number."""
    found: list[Box] = []

    def patched(data: bytes) -> bytes:
        found.append(_line_of(data, number, task_id))
        return spec_md.patch(data, found[-1], state=state, mark=mark)

    after = change(path, lock, patched)
    return Change(found[0], spec_md.find(after, found[-1].number))


class WantedMark:
    """A mark that a thread waits for, and its change or error once it was tried."""

    def __init__(self, *, number: StepId, state: str, mark: Mark | None, task_id: str = "") -> None:
        self.number, self.state, self.mark, self.task_id = number, state, mark, task_id
        self.change: Change | None = None
        self.error: BaseException | None = None


def mark_all(path: str, lock: str, batch: Sequence[WantedMark]) -> None:
    """Write several marks in one write; a mark without a line gets an error, and the others are written."""
    found: dict[int, Box] = {}

    def patched(data: bytes) -> bytes:
        found.clear()
        for at, one in enumerate(batch):
            one.error = None
            try:
                found[at] = _line_of(data, one.number, one.task_id)
                data = spec_md.patch(data, found[at], state=one.state, mark=one.mark)
            except SpecError as error:
                one.error = error
        return data

    after = change(path, lock, patched)
    for at, one in enumerate(batch):
        if one.error is None:
            one.change = Change(found[at], spec_md.find(after, found[at].number))


def _line_of(data: bytes, number: StepId, task_id: str) -> Box:
    """Return the line of a step; of one that was renumbered while its task ran, the line with the task."""
    marked = []
    if task_id and task_id.encode() in data:
        marked = [box for box in spec_md.boxes(data) if box.mark is not None and box.mark.task_id == task_id]
    return marked[0] if len(marked) == 1 else spec_md.find(data, number)


def append(path: str, lock: str, *, number: StepId, title: str) -> Box:
    """Append a line for a step that has none, and return it."""
    return spec_md.find(change(path, lock, lambda data: spec_md.append_line(data, int(number), title)), number)


def change(path: str, lock: str, patched: Callable[[bytes], bytes]) -> bytes:
    """Replace SPEC.md by the result of `patched`; begin again when another program changed the file meanwhile.

    A save right after this write is read again too; `patched` then finds its mark, or writes it again.
    """
    refuse_read_only(path)
    real = os.path.realpath(path)
    from executor.system import locks  # only for writers

    with locks.ShortLock(lock):
        for _ in range(TRIES):
            data = read(real)
            after = patched(data)
            if after == data:
                return data
            if replace_unchanged(real, data, after) and read(real) == after:
                return after
    raise SpecError(f"{path} is being changed by somebody else; save it, then run: do-tasks --continue")


def replace_unchanged(path: str, before: bytes, data: bytes) -> bool:
    """Replace the file unless its content changed since it was read; its time would not show two quick saves."""
    if read(path) != before:
        return False
    now = os.stat(path)
    # A fixed name is enough under the lock: the next tick overwrites a file that a killed process left.
    beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.tmp")
    owner = (now.st_uid, now.st_gid)
    files.replace(path, data, mode=now.st_mode & 0o7777, owner=owner, durable=True, beside=beside)
    return True


class SpecFile:
    """The plan in SPEC.md."""

    name = "SPEC.md"
    plan = ""  # as the lines of the log name it

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self) -> bytes:
        """Return SPEC.md's bytes."""
        return read(self.path)

    def boxes(self, data: bytes) -> dict[StepId, Box]:
        """Return the boxes in SPEC.md's bytes by number."""
        return {box.number: box for box in spec_md.boxes(data)}

    def find(self, data: bytes, number: StepId) -> Box:
        """Return the one line of a step; SpecError when there is none, or more."""
        return spec_md.find(data, number)

    def near_misses(self, data: bytes) -> Mapping[StepId, str]:
        """Return hints by step: for a step without a line, a line that looks nearly like one."""
        return spec_md.near_misses(data)

    def text_digest(self, number: StepId) -> str:  # noqa: ARG002 - SPEC.md has a title alone
        """Return an empty digest: the definitions say what a step does."""
        return ""

    def formerly(self) -> tuple[str, ...]:
        """Return no names: SPEC.md is called so."""
        return ()

    def refuse_read_only(self) -> None:
        """Raise MachineError for a file that could not be marked."""
        refuse_read_only(self.path)

    def mark(self, lock: str, *, number: StepId, state: str, mark: Mark | None, task_id: str = "") -> Change:
        """Write state and suffix to one step's line."""
        return mark_line(self.path, lock, number=number, state=state, mark=mark, task_id=task_id)
