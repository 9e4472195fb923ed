"""Tasks of spec-runner: a heading with an id, below it a line with priority and state."""

from __future__ import annotations

import re
from collections import Counter

from executor.plan.formats.model import (
    BLOCKED,
    DONE,
    FAILED,
    OPEN,
    STARTED,
    Finding,
    MarkError,
    PlanDocument,
    PlanTask,
    text_digest,
)
from executor.plan.formats.task_files import boxes_of, lines_of
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.plan.formats.model import Files, TaskMark
    from executor.plan.formats.task_files import Box, Line

STATES = {"TODO": OPEN, "IN_PROGRESS": STARTED, "REVIEW": STARTED, "DONE": DONE, "BLOCKED": BLOCKED}
MARKS = {DONE: ("✅", "DONE"), STARTED: ("🔄", "IN_PROGRESS"), FAILED: ("⏸️", "BLOCKED")}
_TASK = lazy_regex.pattern(r"### ([A-Z][A-Z0-9]*-\d+): ([^\r\n]+?)[ \t]*\r?\n?\Z")
_SECTION = lazy_regex.pattern(r"#{1,2}[ \t]+([^\r\n]+?)[ \t]*\r?\n?\Z")
META = lazy_regex.pattern(
    r"(?:[🔴🟠🟡🟢]\ufe0f?)?[ \t]*P(?P<priority>\d)[ \t]*\|[ \t]*"
    r"(?:(?P<emoji>(?:⬜|🔄|🔍|✅|⏸)\ufe0f?)(?P<blank>[ \t]*))?(?P<word>[A-Z_]+)(?P<rest>[^\r\n]*)"
)
_SIGN = lazy_regex.pattern(
    r"(?m)^### [A-Z][A-Z0-9]*-\d+: [^\n]+\n(?:[ \t\r]*\n)?(?:[🔴🟠🟡🟢]\ufe0f?)?[ \t]*P\d[ \t]*\|"
)
_FIELD = lazy_regex.pattern(r"\*\*([A-Z][A-Za-z ]+):\*\*[ \t]*([^\r\n]*)")
_ID = lazy_regex.pattern(r"[A-Z][A-Z0-9]*-\d+")
_ESTIMATE = lazy_regex.pattern(r"(?i)\best(?:imate)?:?[ \t]*(?:\d+[ \t]*-[ \t]*)?(\d+(?:\.\d+)?)[ \t]*(h|d)")
HOURS = {"h": 1.0, "d": 8.0}


class Block(Record):
    """A task's lines; `meta` is its line of priority and state, None where there is none."""

    id: str
    title: str
    section: str
    lines: tuple[Line, ...]
    meta: tuple[Line, re.Match[str]] | None
    fields: Mapping[str, str]
    boxes: tuple[Box, ...]


class SpecRunner:
    """Plans of spec-runner."""

    name = "spec-runner"
    marks: Mapping[str, str] = {state: " ".join(mark) for state, mark in MARKS.items()}

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for Markdown with a heading such as `### TASK-1: Title` over a line `P0 | TODO`."""
        return (
            path.endswith(".md") and b"\n### " in b"\n" + data and bool(_SIGN.search(data.decode("utf-8", "replace")))
        )

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:  # noqa: ARG002 - the protocol has them
        """Return no patterns: the file stands alone."""
        return ()

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return the tasks; what stands in an unclosed fence is ambiguous."""
        try:
            blocks = blocks_of(files[path].decode("utf-8"))
        except ValueError as wrong:
            return PlanDocument(self.name, findings=(Finding(path, 1, "unreadable", f"not UTF-8: {wrong}"),))
        count = Counter(block.id for block in blocks)
        nth: Counter[str] = Counter()
        tasks = []
        for block in blocks:
            nth[block.id] += 1
            task = _task(path, block)
            if count[block.id] > 1:
                task = task.replace(nth=nth[block.id], ambiguous=f"the id stands {count[block.id]} times")
            tasks.append(task)
        return PlanDocument(self.name, tuple(tasks), tuple(_findings(path, blocks, tasks)))

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        """Return the file with the task's state changed, and the proven boxes ticked."""
        if mark.state not in MARKS:
            raise MarkError(f"{path}: spec-runner has no state for {mark.state}")
        text = files[path].decode("utf-8")
        found = [block for block in blocks_of(text) if block.id == task.id]
        if task.ambiguous or len(found) != 1 or found[0].meta is None:
            raise MarkError(f"{path}: task {task.id}: {task.ambiguous or 'it is no longer there, with its state'}")
        now = _task(path, found[0])
        if now.text != task.text:
            raise MarkError(f"{path}: task {task.id} has changed since it was read: {now.title}")
        emoji, word = MARKS[mark.state]
        line, meta = found[0].meta
        if STATES[meta["word"]] == STATES[word]:
            return {}
        start = meta.start("emoji") if meta["emoji"] else meta.start("word")
        new = f"{emoji}{meta['blank']}{word}" if meta["emoji"] else word
        for at in (found[0].boxes[one - 1].offset for one in mark.proven if 0 < one <= len(found[0].boxes)):
            text = f"{text[:at]}x{text[at + 1 :]}" if text[at] == " " else text
        changed = text[: line.start + start] + new + text[line.start + meta.end("word") :]
        return {path: changed.encode()}


def blocks_of(text: str) -> list[Block]:
    """Return the tasks in document order; a heading of the same or a higher level ends one."""
    found: list[Block] = []
    section = ""
    heading: re.Match[str] | None = None
    lines: list[Line] = []
    for line in [*lines_of(text), None]:
        shown = line is not None and (not line.hidden or line.unclosed)
        if line is None or (shown and re.match(r"#{1,3}[ \t]", line.text)):
            if heading:
                found.append(_block(heading, section, lines))
            heading = _TASK.match(line.text) if line else None
            higher = _SECTION.match(line.text) if line else None
            section, lines = higher[1] if higher else section, []
        if line is not None:
            lines.append(line)
    return found


def _block(heading: re.Match[str], section: str, lines: list[Line]) -> Block:
    shown = [line for line in lines if not line.hidden or line.unclosed]
    metas = [(line, meta) for line in shown[1:4] if (meta := META.match(line.text))]
    fields = {found[1].lower(): found[2].strip() for line in shown for found in _FIELD.finditer(line.text)}
    items = [line for line in lines if line.text[:1] == "-" and not line.hidden]
    boxes = [box for line in items for box in boxes_of([line]) if box.mark]
    return Block(heading[1], heading[2], section, tuple(lines), metas[0] if metas else None, fields, tuple(boxes))


def _task(path: str, block: Block) -> PlanTask:
    meta = block.meta[1] if block.meta else None
    state = STATES.get(meta["word"], "") if meta else ""
    estimate = _ESTIMATE.search(meta["rest"]) if meta else None
    notes = [f"{key}: {value}" for key, value in block.fields.items() if key in ("traces to", "verifies", "mode")]
    lines = [line.text for line in block.lines if block.meta is None or line is not block.meta[0]]
    text = re.sub(r"(?m)^(- \[)[^\]](?=\])", r"\1 ", "".join(lines)).replace("\r\n", "\n").strip()
    return PlanTask(
        block.id,
        block.title,
        state=state or OPEN,
        file=path,
        line=block.meta[0].number if block.meta else 0,
        digest=text_digest(f"{block.id}: {block.title}"),
        depends_on=tuple(dict.fromkeys(_ID.findall(block.fields.get("depends on", "")))),
        phase=block.section,
        section=block.section,
        priority=int(meta["priority"]) + 1 if meta else 0,
        estimate_h=float(estimate[1]) * HOURS[estimate[2].lower()] if estimate else 0.0,
        files=tuple(re.findall(r"[^\s,`]+", block.fields.get("touches", ""))),
        criteria=tuple(box.text for box in block.boxes),
        notes=tuple(notes),
        text=text,
        ambiguous=_ambiguity(block, state),
    )


def _ambiguity(block: Block, state: str) -> str:
    if block.lines[0].unclosed:
        return f"the fence of line {block.lines[0].unclosed} is not closed above it"
    if state:
        return ""
    return f"unknown state {block.meta[1]['word']}" if block.meta else ""


def _findings(path: str, blocks: list[Block], tasks: list[PlanTask]) -> Iterator[Finding]:
    depends = {task.id: set(task.depends_on) for task in tasks}
    for block, task in zip(blocks, tasks, strict=True):
        still_open = sum(not box.done for box in block.boxes)
        if task.state == DONE and still_open:
            message = (
                f"{task.id} is done, but {still_open} of its {len(block.boxes)} boxes are open: "
                "tick what was proven, or open the task"
            )
            yield Finding(path, task.line, "done-with-open-criteria", message)
        for other in _ID.findall(block.fields.get("blocks", "")):
            if other in depends and task.id not in depends[other]:
                message = f"{task.id} blocks {other}, but {other} does not depend on it: make them equal"
                yield Finding(path, block.lines[0].number, "graph-against-tasks", message)
