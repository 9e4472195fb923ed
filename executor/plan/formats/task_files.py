"""Files of one task: metadata in one of its dialects, then Markdown with criteria and scenarios."""

from __future__ import annotations

import re

from executor.plan.formats.metadata import Metadata, metadata_of, with_value
from executor.plan.formats.model import MarkError
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_FENCE = lazy_regex.pattern(r"[ \t]*(`{3,}|~{3,})")
_COMMENT = lazy_regex.pattern(r" {0,3}<!--")
_OPENERS = ("`", "~", "<", "#")  # a fence, a comment, a heading begins with one
_HEADING = lazy_regex.pattern(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*\r?\n?\Z")
_ITEM = lazy_regex.pattern(r"([ \t]*)(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[([^\]\n])\](?=[ \t\r\n]))?[ \t]*([^\r\n]*)")
_BOX = lazy_regex.pattern(r"^([ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[)[^\]\n](?=\])", re.MULTILINE)
_STATE_SECTION = lazy_regex.pattern(  # these ask for nothing
    r"(?m)^(?:metadata|progress|completion|updates|implementation notes|final summary|comments)\b"
)


class Box(Record):
    """A criterion: its text, and the offset of the mark between its brackets, -1 without brackets."""

    text: str
    mark: str = ""
    offset: int = -1

    @property
    def done(self) -> bool:
        return self.mark in ("x", "X")


class TaskFile(Record):
    """A task file: `demand` is all that it asks for, with every box open."""

    path: str
    text: str
    metadata: Metadata
    criteria: tuple[Box, ...] = ()
    scenarios: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    demand: str = ""


class Line(Record):
    """A line of Markdown: `section` holds the headings above it, one a line, but the title.

    All lines of a fence or comment are `hidden`; `unclosed` is the line of a fence that never ends, 0 outside one.
    """

    number: int
    section: str
    start: int
    text: str
    hidden: bool = False
    unclosed: int = 0


def task_file(path: str, data: bytes) -> TaskFile:
    """Return the content of a task file. Raises ValueError when it is not UTF-8."""
    text = data.decode("utf-8")
    metadata = metadata_of(path, text)
    if metadata.body >= len(text) and metadata.data:
        return _of_yaml(path, text, metadata)
    lines = lines_of(text, metadata)
    demand = "".join(one.text for one in lines if not _STATE_SECTION.search(one.section))
    return TaskFile(
        path,
        text,
        metadata,
        criteria=tuple(boxes_of([one for one in lines if "acceptance criteria" in one.section])),
        scenarios=_scenarios("".join(one.text for one in lines if "scenario" in one.section)),
        risks=tuple(box.text for box in boxes_of([one for one in lines if "risk" in one.section])),
        demand=_BOX.sub(r"\1 ", demand).replace("\r\n", "\n").strip(),
    )


def _of_yaml(path: str, text: str, metadata: Metadata) -> TaskFile:
    def listed(key: str) -> tuple[str, ...]:
        found = metadata.data.get(key)
        return tuple(_plain(one) for one in found) if isinstance(found, list) else ()

    texts = [metadata.data.get(key) for key in ("description", "details", "notes")]
    return TaskFile(
        path,
        text,
        metadata,
        criteria=tuple(Box(one) for one in listed("acceptance_criteria")),
        scenarios=tuple(f"scenario: {one}" for one in listed("test_scenarios")),
        risks=listed("risks"),
        demand="\n".join(str(one).strip() for one in texts if one),
    )


def _plain(value: object) -> str:
    """Return an item of a list as text; with a colon in it, YAML has made a mapping of it."""
    return ", ".join(f"{key}: {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)


def lines_of(text: str, metadata: Metadata | None = None) -> list[Line]:
    """Return the lines below the metadata; a fence or comment hides headings and items until its own end."""
    skipped = metadata or Metadata({})
    headings: list[tuple[int, str]] = []
    found: list[Line] = []
    at, fence, opened, is_comment, section = 0, "", 0, False, ""
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        start, at = at, at + len(line)
        if start < skipped.body or skipped.start <= start < skipped.end:
            continue
        if not (fence or is_comment or line.lstrip(" \t")[:1] in _OPENERS):
            found.append(Line(number, section, start, line, hidden=False, unclosed=0))
            continue
        mark = None if is_comment else _FENCE.match(line)
        in_comment = is_comment or (not fence and bool(_COMMENT.match(line)))
        is_comment = in_comment and "-->" not in line
        hidden = bool(mark or fence or in_comment)
        found.append(Line(number, section, start, line, hidden, 0))
        if mark and not fence:
            fence, opened = mark[1], number
        elif fence:
            fence = "" if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]) else fence
        elif not hidden and (heading := _HEADING.match(line)):
            headings = [one for one in headings if one[0] < len(heading[1])]
            headings.append((len(heading[1]), heading[2].strip(" *").lower()))
            section = "\n".join(name for level, name in headings if level > 1)
    return [one.replace(unclosed=opened) if fence and one.number >= opened else one for one in found]


def boxes_of(lines: Iterable[Line]) -> Iterator[Box]:
    """Yield the items that stand no deeper than the first; what is indented deeper belongs to them."""
    box: Box | None = None
    depth = -1
    for line in lines:
        item = None if line.hidden else _ITEM.match(line.text)
        if item and (depth < 0 or len(item[1].expandtabs()) <= depth):
            if box:
                yield box
            depth = len(item[1].expandtabs()) if depth < 0 else depth
            box = Box(item[3].strip(), item[2] or "", line.start + item.start(2) if item[2] else -1)
        elif box and not line.hidden and line.text.strip() and line.text[:1] in " \t":
            box = box.replace(text=f"{box.text} {line.text.strip()}")
    if box:
        yield box


def _scenarios(text: str) -> tuple[str, ...]:
    """Return the scenarios: each begins with `Scenario`, or with `Given` where none has a name."""
    plain = re.sub(r"(?m)^[ \t]*(?:`{3,}|~{3,}).*\n?|^#.*\n?", "", text.replace("\r\n", "\n"))
    named = re.search(r"(?im)^[ \t>*#-]*scenario\b", text) is not None
    word = "scenario" if named else "given"
    parts = re.split(rf"(?im)^(?=[ \t>*-]*{word}\b)", plain)
    return tuple(f"scenario: {' '.join(one.split())}" for one in parts if re.search(r"(?i)\b(given|scenario)\b", one))


# Writing


def marked(file: TaskFile, values: Mapping[str, str], proven: Collection[int]) -> str:
    """Return the text with values of its metadata changed and the proven criteria ticked, by place from 1.

    The status must be there; other keys are changed where they are. Raises MarkError for what has no place.
    """
    if file.metadata.problem:
        raise MarkError(f"{file.path}: {file.metadata.problem}")
    text = file.text
    offsets = [file.criteria[at - 1].offset for at in proven if 0 < at <= len(file.criteria)]
    for offset in offsets:
        if offset >= 0 and text[offset] == " ":
            text = f"{text[:offset]}x{text[offset + 1 :]}"
    for key, value in values.items():
        if key == "status" or key in file.metadata.data:
            try:
                text = with_value(text, metadata_of(file.path, text), key, value)
            except MarkError as wrong:
                if key == "status":
                    raise MarkError(f"{file.path}: {wrong}") from None
    now = task_file(file.path, text.encode())
    if now.metadata.data.get("status") != values["status"] or now.demand != file.demand:
        raise MarkError(f"{file.path}: the change could not be read again; no file is changed")
    return text
