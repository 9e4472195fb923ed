"""Reading of SPEC.md, so that one line of it can be patched."""

from __future__ import annotations

import re
from functools import lru_cache

from executor.errors import SpecError
from executor.plan.spec.lines import BOXES, STARTERS, STATE, STATES, USUAL, line_at, title
from executor.plan.spec.markdown_blocks import BOM, columns, visible
from executor.plan.spec.marks import NOTE_LENGTH, Mark, clean, plain, settled, split, suffix, without_glyphs
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.spec.wrapped_lines import Ending
    from executor.plan.step_ids import StepId

__all__ = ["NOTE_LENGTH", "STATES", "Box", "Mark", "append_line", "boxes", "clean", "find", "line_text", "patch"]

BEFORE_DIGITS = b" \t0pP#_-;" + bytes(range(0x80, 0xC0))
_MARK_OF = {"x": ("passed", "rechecked"), "~": ("started",)}


class Box(Record):
    """One step line; `start` and `end` are byte offsets without the EOL, `line` counts from 1."""

    number: StepId
    state: str
    title: str
    mark: Mark | None
    start: int
    end: int
    line: int

    # Half the time of Record's own, felt over 10,000 lines.
    def __init__(
        self, number: StepId, state: str, title: str, mark: Mark | None, start: int, end: int, line: int
    ) -> None:
        given = self.__dict__
        given["number"], given["state"], given["title"], given["mark"] = number, state, title, mark
        given["start"], given["end"], given["line"] = start, end, line


@lru_cache(maxsize=2)
def boxes(data: bytes) -> tuple[Box, ...]:
    """Return the step lines in file order; fenced code and HTML comments hide theirs."""
    found, line, at, doubtful = [], 1, 0, False
    for match in _matches(data):
        start = match.start()
        line += data.count(b"\n", at, start)
        at = start
        doubtful = doubtful or (match.re is not BOXES and _is_doubtful(match))
        found.append(_box(match, line))
    return tuple(_without_doubtful(data, found)) if doubtful else tuple(found)


def _matches(data: bytes) -> Iterator[re.Match[bytes]]:
    for first, last in visible(data):
        for match in BOXES.finditer(data, first, last):
            if match.lastindex:
                yield match
            elif odd := line_at(data, match.start(), last):
                yield odd


def _matches_near(data: bytes, digits: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the step lines that these digits may name: a run looks its own up often, in a file of thousands."""
    for first, last in visible(data):
        at = data.find(digits, first, last)
        while at >= 0:
            behind = at + len(digits)
            near = not data[behind : behind + 1].isdigit() and data[at - 1 : at] in BEFORE_DIGITS
            if near and b"step" in data[max(first, at - 16) : at].lower():
                start = max(first, data.rfind(b"\n", first, at) + 1)
                match = line_at(data, start, last)
                if match and match.start(4) <= at < match.end(4):
                    yield match
            at = data.find(digits, behind, last)


def _is_doubtful(match: re.Match[bytes]) -> bool:
    """Return True for a line that another may outdo: a quoted one, one without any emphasis."""
    return match[3] is None or b">" in match[1]


def _without_doubtful(data: bytes, found: list[Box]) -> Iterator[Box]:
    """Yield the lines that count: one in a quotation only when the step has no other, no plain one below a step."""
    matches = [*_matches(data)]
    plain_ones = {box.start for box, match in zip(found, matches, strict=True) if b">" not in match[1]}
    unquoted = {box.number for box in found if box.start in plain_ones}
    below, last = None, 0
    for box, match in zip(found, matches, strict=True):
        column = columns(match[1])
        below = None if below is not None and _ends_item(data[last : box.start], below) else below
        last = box.end
        if box.start not in plain_ones and box.number in unquoted:
            continue
        if below is not None and column > below:
            if match[3] is None:
                continue
        else:
            below = column
        yield box


def find(data: bytes, number: StepId) -> Box:
    """Return the one line of this step; SpecError when there is none, or more."""
    matches = [match for match in _matches_near(data, str(number).encode()) if int(match[4]) == number]
    if len(matches) > 1 or any(map(_is_doubtful, matches)):
        same = [box for box in boxes(data) if box.number == number]
    else:
        same = [_box(match, data.count(b"\n", 0, match.start()) + 1) for match in matches]
    if not same:
        raise SpecError(_missing(data, number))
    *others, last = same
    if others:
        times = "twice" if len(others) == 1 else f"{len(same)} times"
        lines = ", ".join(str(box.line) for box in others)
        raise SpecError(f"SPEC.md has step {number} {times}: lines {lines} and {last.line}; keep one")
    return last


def line_text(data: bytes, box: Box) -> bytes:
    """Return the bytes of a step's line without its EOL, with the lines on which a wrapped suffix of it goes on."""
    return data[box.start : box.end]


def tick(data: bytes, number: StepId, mark: Mark) -> bytes:
    """Return the text with this step ticked."""
    return patch(data, find(data, number), state="x", mark=mark)


def fail(data: bytes, number: StepId, mark: Mark) -> bytes:
    """Return the text with this step open, the reason behind it."""
    return patch(data, find(data, number), state=" ", mark=mark)


def patch(data: bytes, box: Box, *, state: str, mark: Mark | None) -> bytes:
    """Return the text with this box's state and suffix replaced; no mark removes the suffix.

    SpecError when the line is not the one that was read, or when the mark does not fit the suffix grammar.
    """
    match = _same_line(data, box)
    wanted = settled(mark) if mark else None
    if (box.state, box.mark) == (state, wanted):
        return data
    patched = _with_suffix(data, box, match, state, wanted)
    if wanted is None and (left := line_at(patched, box.start)) and (another := _box(left, box.line)).mark:
        return patch(patched, another, state=state, mark=None)
    if not _reads_back(patched, box, state, wanted):
        # What stands under the line would be read as more of the reason: then the reason stays in the log alone.
        wanted = wanted and wanted.replace(note="")
        patched = _with_suffix(data, box, match, state, wanted)
    if not _reads_back(patched, box, state, wanted):
        raise SpecError(
            f"step {box.number}, line {box.line}: [{state}] {mark} cannot be written so that it reads back; "
            "give a state of ' x~-!', a task id without blanks, a time such as 2026-11-22 10:30"
        )
    return patched


def _with_suffix(data: bytes, box: Box, match: re.Match[bytes], state: str, mark: Mark | None) -> bytes:
    from executor.plan.spec.wrapped_lines import without_break

    head, tail, _, _ = _ending(match)
    before = data[: box.start] + _opening(match, box, state) + (head if mark else without_break(head))
    return before + suffix(mark) + tail + data[box.end :]


def _opening(match: re.Match[bytes], box: Box, state: str) -> bytes:
    """Return the line up to its title, with this state; brackets that a tool has escaped make no box, so they open."""
    before, written, at = match[1], match[2], match.end(2)
    if box.state != state:
        before, written = before.removesuffix(b"\\[").removesuffix(b"[") + b"[", state.encode()
    return before + written + match.string[at : match.start(6)]


def append_line(data: bytes, number: int, title: str) -> bytes:
    """Return the text with an open box for this step behind the next lower one, else at the end of the list."""
    every = boxes(data)
    if same := [box for box in every if box.number == number]:
        raise SpecError(f"step {number} is already there, line {same[0].line}: keep that one")
    if near := near_misses(data).get(number):
        raise SpecError(f"step {number} gets no second line; {near}")
    lower = {int(box.number): box for box in every[::-1] if int(box.number) < number}
    model = lower[max(lower)] if lower else every[-1] if every else None
    opening, at, eol = _place(data, model)
    line = f" ] **STEP {number}**: {without_glyphs(plain(title))}".rstrip().encode()
    joined = data[:at] in (b"", BOM) or data[:at].endswith(b"\n")
    # A file without a final newline keeps none.
    added = opening + line + eol if joined else eol + opening + line + (eol if at < len(data) else b"")
    if number not in [box.number for box in boxes(data[:at] + added)]:
        raise SpecError("SPEC.md ends inside a fence or a comment: close it, then add the step")
    return data[:at] + added + data[at:]


def _box(match: re.Match[bytes], line: int) -> Box:
    state, number, rest = match.group(2, 4, 6)
    if match.lastindex != USUAL or b"\\" in rest:
        head, _, mark, end = _ending(match)
        return Box(int(number), STATE[state], title(match[3], match[5], head), mark, match.start(), end, line)
    # What most lines are, without a call too many: it is felt over 10,000 of them.
    rest = head = rest.rstrip(b"\r")
    end, mark = match.start(6) + len(rest), None
    if b"\xe2" in rest:
        head, _, mark = split(rest)
        if mark is None and b"_id:" in rest:
            head, _, mark, end = _ending(match)
    return Box(int(number), STATE[state], str(head, "utf-8", "replace").strip(), mark, match.start(), end, line)


def _ending(match: re.Match[bytes]) -> Ending:
    """Return the end of a step's item: that of its line, unless a tool has wrapped it or joined it with more."""
    from executor.plan.spec.wrapped_lines import ending, goes_on, whole_title

    rest, data, start, at = match[6].rstrip(b"\r"), match.string, match.start(), match.start(6)
    head, tail, mark = split(rest) if b"\xe2" in rest else (rest, b"", None)
    more = data[match.end() + 1 : match.end() + 2] not in STARTERS and goes_on(data, match.end())
    if (more and _may_go_on(mark, rest)) or (not mark and b"_id:" in rest):
        found = ending(data, start, at, (f"task_{int(match[4])}_", _MARK_OF.get(STATE[match[2]], ())))
        if found:
            return found
    if more and not mark:
        head = rest = whole_title(data, start, at, match.end())
    return head, tail, mark, at + len(rest)


def _may_go_on(mark: Mark | None, rest: bytes) -> bool:
    """Return True when the next line may hold the mark, or more of it."""
    if mark is None or (mark.kind in ("passed", "rechecked") and not mark.note):
        return True
    return mark.kind in ("failed", "by_hand") and bool(mark.note or rest.rstrip().endswith(b":"))


def _ends_item(between: bytes, column: int) -> bool:
    """Return True when a line between two steps stands no deeper than the first of them."""
    lines = between.split(b"\n")[1:-1]
    return any(line.strip() and columns(line) <= column for line in lines)


def _same_line(data: bytes, box: Box) -> re.Match[bytes]:
    match = line_at(data, box.start)
    if match and _box(match, box.line) == box:
        return match
    raise SpecError(f"line {box.line} is no longer step {box.number} as it was read: read SPEC.md again")


def _reads_back(patched: bytes, box: Box, state: str, mark: Mark | None) -> bool:
    match = line_at(patched, box.start)
    now = _box(match, box.line) if match else None
    # How far a title goes on may be seen from other lines, or from its mark: it may end sooner or later now.
    its_title = now.title if now and (box.title.startswith(now.title) or now.title.startswith(box.title)) else box.title
    return now is not None and now == box.replace(state=state, mark=mark, title=its_title, end=now.end)


def near_misses(data: bytes) -> dict[StepId, str]:
    """Return, for steps without a line, the message for the first line that nearly is theirs."""
    from executor.plan.spec.near_misses import near

    known = frozenset(int(box.number) for box in boxes(data))
    return {one.number: str(one) for one in reversed(near(data, known))}


def _missing(data: bytes, number: StepId) -> str:
    near, known = near_misses(data).get(number), [int(box.number) for box in boxes(data)]
    if near:
        return f"step {number} is not in SPEC.md; {near}"
    offer = f"add the line `- [ ] **STEP {number}**: ...`"
    if not known:
        return f"step {number} is not in SPEC.md, which has no step lines; {offer}"
    nearest = min(known, key=lambda other: (abs(other - int(number)), other))
    return f"step {number} is not in SPEC.md; nearest: {nearest}; {offer}"


def _place(data: bytes, model: Box | None) -> tuple[bytes, int, bytes]:
    """Return the beginning of a line like the model, the offset behind its item, and its end of line."""
    usual = b"\r\n" if b"\r\n" in data else b"\n"
    if model is None:
        return b"- [", len(data), usual
    opening = data[model.start : data.index(b"[", model.start)].removeprefix(BOM).rstrip(b"\\") + b"["
    eol_at = data.find(b"\n", model.end)
    eol = data[model.end : eol_at + 1] if eol_at >= 0 else usual
    end = _behind(data, eol_at)
    for line in re.compile(rb"[^\n]*\n|[^\n]+").finditer(data, end):
        if line.start() < end:
            continue
        if line[0].strip() and columns(line[0]) <= columns(opening):
            break
        end = _behind(data, data.find(b"\n", line.start())) if line[0].strip() else end
    return opening, end, eol


def _behind(data: bytes, eol_at: int) -> int:
    """Return the offset behind the text whose first line ends there, with the lines on which it goes on."""
    from executor.plan.spec.wrapped_lines import paragraph_end

    end = data.find(b"\n", paragraph_end(data, eol_at)) + 1 if eol_at >= 0 else 0
    return end or len(data)
