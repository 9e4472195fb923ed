"""How SPEC.md is read so that one line of it can be patched."""

from __future__ import annotations

import re

from executor.errors import SpecError
from executor.formats.blocks import BOM, MARKER, columns, visible
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE_LENGTH = 120
STATES = " x~-!"

_STATE = {char.encode(): char.lower() for char in "X" + STATES}
_BOX = re.compile(
    rb"^((?:\A\xef\xbb\xbf)?[ \t]*" + MARKER + rb"[ \t]+\[)([ xX~!-])\][ \t]+\*\*"
    rb"[sS][tT][eE][pP][ \t]+(\d{1,9})[ \t]*(?::[ \t]*\*\*|\*\*[ \t]*:)([^\n]*)",
    re.MULTILINE,
)
# ✓ ✗ ⏳ (an editor may add a selector), a word, an id, a time, a note.
_SUFFIX = re.compile(
    rb"(\xe2(?:\x9c[\x93\x97]|\x8f\xb3))(?:\xef\xb8\x8f)?[ \t]*(by hand|Failed|started|rechecked|)[ \t]*"
    rb"(?:\[task_id:[ \t]*([\w.:-]+)\][ \t]*)?\[(\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d[\d:.+Zz-]*)?)\]"
    rb"(?:[ \t]*\(([^()\[\]]*)\)|[ \t]*:([^\[\]]*)|)\Z"
)
_BEFORE_DIGITS = (b" ", b"\t", b"0")
_BEHIND_DIGITS = (b":", b"*", b" ", b"\t")
_GLYPHS = {
    "passed": "✓",
    "rechecked": "✓ rechecked",
    "by_hand": "✓ by hand",
    "failed": "✗ Failed",
    "started": "⏳ started",
}
_IN_PARENTHESES = ("passed", "rechecked")  # kinds whose note stands in parentheses
# A bare ✓ is "passed" when it names a task; without one the evidence is elsewhere.
_KINDS = {
    (b"\xe2\x9c\x93", b""): "by_hand",
    (b"\xe2\x9c\x93", b"by hand"): "by_hand",
    (b"\xe2\x9c\x93", b"rechecked"): "rechecked",
    (b"\xe2\x9c\x97", b"Failed"): "failed",
    (b"\xe2\x9c\x97", b""): "failed",
    (b"\xe2\x8f\xb3", b"started"): "started",
}
_LOOKALIKES = str.maketrans("✓✗⏳", "√×⌛")


class Mark(Value):
    """What we wrote at the end of a line; `kind` is passed, rechecked, failed, started or by_hand."""

    kind: str
    task_id: str = ""
    time: str = ""
    note: str = ""


class Box(Value):
    """One step line; `start` and `end` are byte offsets without the EOL, `line` counts from 1."""

    number: int
    state: str
    title: str
    mark: Mark | None
    start: int
    end: int
    line: int

    # Half the time of Value's own, felt over 10,000 lines.
    def __init__(self, number: int, state: str, title: str, mark: Mark | None, start: int, end: int, line: int) -> None:
        given = self.__dict__
        given["number"], given["state"], given["title"], given["mark"] = number, state, title, mark
        given["start"], given["end"], given["line"] = start, end, line


def boxes(data: bytes) -> tuple[Box, ...]:
    """Return the step lines in file order; fenced code and HTML comments hide theirs."""
    found, line, at = [], 1, 0
    for match in _matches(data):
        start = match.start()
        line += data.count(b"\n", at, start)
        at = start
        found.append(_box(match, line))
    return tuple(found)


def _matches(data: bytes) -> Iterator[re.Match[bytes]]:
    for first, last in visible(data):
        yield from _BOX.finditer(data, first, last)


def _matches_near(data: bytes, digits: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the step lines that these digits may name: a run looks its own up often, in a file of thousands."""
    for first, last in visible(data):
        at = data.find(digits, first, last)
        while at >= 0:
            behind = at + len(digits)
            if data[at - 1 : at] in _BEFORE_DIGITS and data[behind : behind + 1] in _BEHIND_DIGITS:
                start = max(first, data.rfind(b"\n", first, at) + 1)
                match = _BOX.match(data, start, last)
                if match and match.start(3) <= at < match.end(3):
                    yield match
            at = data.find(digits, behind, last)


def find(data: bytes, number: int) -> Box:
    """Return the one line of this step; SpecError when there is none, or more."""
    same = [match for match in _matches_near(data, str(number).encode()) if int(match[3]) == number]
    if not same:
        raise SpecError(_missing(number, [int(match[3]) for match in _matches(data)]))
    *others, last = [_box(match, data.count(b"\n", 0, match.start()) + 1) for match in same]
    if others:
        times = "twice" if len(others) == 1 else f"{len(same)} times"
        lines = ", ".join(str(box.line) for box in others)
        raise SpecError(f"SPEC.md has step {number} {times}: lines {lines} and {last.line}; keep one")
    return last


def line_text(data: bytes, box: Box) -> bytes:
    """Return the bytes of a step's line without its EOL, with the lines on which a wrapped suffix of it goes on."""
    return data[box.start : box.end]


def tick(data: bytes, number: int, mark: Mark) -> bytes:
    """Return the text with this step ticked."""
    return patch(data, find(data, number), state="x", mark=mark)


def fail(data: bytes, number: int, mark: Mark) -> bytes:
    """Return the text with this step open, the reason behind it."""
    return patch(data, find(data, number), state=" ", mark=mark)


def patch(data: bytes, box: Box, *, state: str, mark: Mark | None) -> bytes:
    """Return the text with this box's state and suffix replaced; no mark removes the suffix.

    SpecError when the line is not the one that was read, or when the mark does not fit the suffix grammar.
    """
    match = _same_line(data, box)
    wanted = _settled(mark) if mark else None
    if (box.state, box.mark) == (state, wanted):
        return data
    written = match[2] if box.state == state else state.encode()
    head, tail, _ = _split(match[4].rstrip(b"\r"))
    line = match[1] + written + data[match.end(2) : match.start(4)] + head + _suffix(wanted) + tail
    patched = data[: box.start] + line + data[box.end :]
    _verify(patched, box, state, wanted)
    return patched


def append_line(data: bytes, number: int, title: str) -> bytes:
    """Return the text with an open box for this step behind the next lower one, else at the end of the list."""
    every = boxes(data)
    if same := [box for box in every if box.number == number]:
        raise SpecError(f"step {number} is already there, line {same[0].line}: keep that one")
    lower = [box for box in every if box.number < number]
    model = max(lower, key=lambda box: box.number) if lower else every[-1] if every else None
    opening, at, eol = _place(data, model)
    line = f" ] **STEP {number}**: {_plain(title).translate(_LOOKALIKES)}".rstrip().encode()
    joined = data[:at] in (b"", BOM) or data[:at].endswith(b"\n")
    # A file without a final newline keeps none.
    added = opening + line + eol if joined else eol + opening + line + (eol if at < len(data) else b"")
    if number not in [box.number for box in boxes(data[:at] + added)]:
        raise SpecError("SPEC.md ends inside a fence or a comment: close it, then add the step")
    return data[:at] + added + data[at:]


def clean(note: str) -> str:
    """Return the note as one line of at most 120 characters that cannot be taken for a suffix."""
    text = _plain(re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", note))
    text = text.translate(_LOOKALIKES).replace("[", "(").replace("]", ")")
    return text if len(text) <= NOTE_LENGTH else text[: NOTE_LENGTH - 1].rstrip() + "…"


def _plain(text: str) -> str:
    # Control, format and lone surrogate characters are what Python calls not printable.
    spaced = "".join(" " if char.isspace() else char for char in text if char.isprintable() or char.isspace())
    return " ".join(spaced.split())


def _box(match: re.Match[bytes], line: int) -> Box:
    _, state, number, rest = match.groups()
    rest, start = rest.rstrip(b"\r"), match.start()
    end = match.start(4) + len(rest)
    head, _, mark = _split(rest) if b"\xe2" in rest else (rest, b"", None)
    return Box(int(number), _STATE[state], str(head, "utf-8", "replace").strip(), mark, start, end, line)


def _split(rest: bytes) -> tuple[bytes, bytes, Mark | None]:
    """Return what stands before our suffix, the blanks behind it, and the mark; stacked suffixes count as one."""
    body, head, mark = rest.rstrip(b" \t"), rest, None
    while b"\xe2" in head and (match := _SUFFIX.search(head.rstrip(b" \t"))) and (found := _mark(match)):
        at, mark = match.start(), mark or found
        # The one blank before a suffix is ours; more are the writer's.
        head = head[: at - (head[at - 1 : at] in (b" ", b"\t"))]
    return head, rest[len(body) :] if mark else b"", mark


def _mark(match: re.Match[bytes]) -> Mark | None:
    glyph, word, task_id, time, aside, reason = match.groups()
    kind = _KINDS.get((glyph, word))
    if kind == "by_hand" and task_id:
        kind = None if word else "passed"
    # Only ✓ with an id carries a note in parentheses; only a word carries one behind a colon.
    if kind is None or (aside is not None and kind not in _IN_PARENTHESES) or (reason is not None and not word):
        return None
    note = str(aside or reason or b"", "utf-8", "replace").strip()
    return Mark(kind, str(task_id or b"", "ascii"), str(time, "ascii"), note)


def _settled(mark: Mark) -> Mark:
    """Return the mark as it will be read back."""
    note = mark.note.translate(str.maketrans("()[]", "    ")) if mark.kind in _IN_PARENTHESES else mark.note
    return mark.replace(note=clean(note))


def _suffix(mark: Mark | None) -> bytes:
    if mark is None:
        return b""
    named = f" [task_id: {mark.task_id}]" if mark.task_id else ""
    note = (f" ({mark.note})" if mark.kind in _IN_PARENTHESES else f": {mark.note}") if mark.note else ""
    return f" {_GLYPHS[mark.kind]}{named} [{mark.time}]{note}".encode()


def _same_line(data: bytes, box: Box) -> re.Match[bytes]:
    match = _BOX.match(data, box.start)
    if match and _box(match, box.line) == box:
        return match
    raise SpecError(f"line {box.line} is no longer step {box.number} as it was read: read SPEC.md again")


def _verify(patched: bytes, box: Box, state: str, mark: Mark | None) -> None:
    match = _BOX.match(patched, box.start)
    now = _box(match, box.line) if match else None
    if now is None or now != box.replace(state=state, mark=mark, end=now.end):
        raise SpecError(
            f"step {box.number}, line {box.line}: [{state}] {mark} cannot be written so that it reads back; "
            "give a state of ' x~-!', a task id without blanks, a time such as 2026-11-22 10:30"
        )


def _missing(number: int, known: list[int]) -> str:
    offer = f"add the line `- [ ] **STEP {number}**: ...`"
    if not known:
        return f"step {number} is not in SPEC.md, which has no step lines; {offer}"
    nearest = min(known, key=lambda other: (abs(other - number), other))
    return f"step {number} is not in SPEC.md; nearest: {nearest}; {offer}"


def _place(data: bytes, model: Box | None) -> tuple[bytes, int, bytes]:
    """Return how a line like the model begins, the offset behind the model and all indented under it, its EOL."""
    usual = b"\r\n" if b"\r\n" in data else b"\n"
    if model is None:
        return b"- [", len(data), usual
    opening = data[model.start : data.index(b"[", model.start) + 1].removeprefix(BOM)
    end = data.find(b"\n", model.end) + 1 or len(data)
    eol = data[model.end : end] if end > model.end and data[end - 1 : end] == b"\n" else usual
    for line in re.compile(rb"[^\n]*\n|[^\n]+").finditer(data, end):
        if line[0].strip() and columns(line[0]) <= columns(opening):
            break
        end = line.end() if line[0].strip() else end
    return opening, end, eol
