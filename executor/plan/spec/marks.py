"""The mark behind a step's line: how it is read in every spelling, and written in one."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from executor.system import lazy_regex
from executor.system.records import Record

NOTE_LENGTH = 120

# What a tool may put where a blank was: blanks, or the end of a line and how the next one begins.
WRAP = rb"(?:[ \t]|\r*\n[ \t]*(?:>[ \t]*)*)"
GLYPH = rb"\xe2(?:\x9c[\x93\x97]|\x8f\xb3)"
# ✓ ✗ ⏳ (an editor may add a selector), a word, an id, a time, a note; tools escape brackets and underscores.
_SUFFIX = lazy_regex.pattern(
    rb"(" + GLYPH + rb")(?:\xef\xb8\x8f)?[ \t]*(by hand|Failed|started|rechecked|)[ \t]*"
    rb"(?:\[task_id:[ \t]*([\w.:-]+)\][ \t]*)?\[(\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d[\d:.+Zz-]*)?)\]"
    rb"(?:[ \t]*\(([^()\[\]]*)\)|[ \t]*:([^\[\]]*)|)\Z"
)
_BREAK = lazy_regex.pattern(WRAP + rb"+")
_ESCAPED = lazy_regex.pattern(r"\\([!-/:-@\[-`{-~])")
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


class Mark(Record):
    """A mark at the end of a line; `kind` is passed, rechecked, failed, started or by_hand."""

    kind: str
    task_id: str = ""
    time: str = ""
    note: str = ""


def clean(note: str) -> str:
    """Return the note as one line of at most 120 characters that cannot be taken for a suffix."""
    text = plain(re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", note))
    text = text.translate(_LOOKALIKES).replace("[", "(").replace("]", ")")
    return text if len(text) <= NOTE_LENGTH else text[: NOTE_LENGTH - 1].rstrip() + "…"


def plain(text: str) -> str:
    """Return the text as one line of printable characters."""
    # Control, format and lone surrogate characters are what Python calls not printable.
    spaced = "".join(" " if char.isspace() else char for char in text if char.isprintable() or char.isspace())
    return " ".join(spaced.split())


def without_glyphs(text: str) -> str:
    """Return the text with look-alikes for the characters that begin a mark."""
    return text.translate(_LOOKALIKES)


def unescaped(text: str) -> str:
    """Return the text as a Markdown reader sees it: a backslash before punctuation goes, but not in code."""
    if "\\" not in text:
        return text
    parts = text.split("`")
    parts[::2] = [_ESCAPED.sub(r"\1", part) for part in parts[::2]]
    return "`".join(parts)


def unwrapped(raw: bytes) -> bytes:
    """Return the bytes with one blank for each end of a line."""
    return _BREAK.sub(b" ", raw) if b"\n" in raw else raw


@cache
def _escaped() -> re.Pattern[bytes]:
    """Return the pattern of a suffix in which a tool has escaped brackets or underscores."""
    return re.compile(
        rb"(" + GLYPH + rb")(?:\xef\xb8\x8f)?[ \t]*(by hand|Failed|started|rechecked|)[ \t]*"
        rb"(?:\\?\[task\\?_id:[ \t]*((?:[\w.:-]|\\_)+)\\?\][ \t]*)?"
        rb"\\?\[(\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d[\d:.+Zz-]*)?)\\?\]"
        rb"(?:[ \t]*\(([^()\[\]]*)\)|[ \t]*:([^\[\]]*)|)\Z"
    )


@lru_cache(maxsize=1 << 12)
def split(rest: bytes) -> tuple[bytes, bytes, Mark | None]:
    """Return the text before the suffix, the blanks behind it, and the mark; stacked suffixes count as one."""
    body, head, mark = rest.rstrip(b" \t"), rest, None
    pattern, parse = (_escaped(), read) if b"\\" in rest else (_SUFFIX, _read)
    while b"\xe2" in head and (match := pattern.search(head.rstrip(b" \t"))) and (found := parse(match)):
        at, mark = match.start(), mark or found
        # The one blank before a suffix goes with it; more are the writer's.
        head = head[: at - (head[at - 1 : at] in (b" ", b"\t"))]
    return head, rest[len(body) :] if mark else b"", mark


def _read(match: re.Match[bytes]) -> Mark | None:
    """Return the mark of a suffix that no tool has touched."""
    glyph, word, task_id, time, aside, reason = match.groups()
    kind = _kind(glyph, word, task_id, aside, reason)
    if kind is None:
        return None
    note = str(aside or reason or b"", "utf-8", "replace").strip()
    return Mark(kind, str(task_id or b"", "ascii"), str(time, "ascii"), note)


def _kind(glyph: bytes, word: bytes, task_id: bytes, aside: bytes | None, reason: bytes | None) -> str | None:
    kind = _KINDS.get((glyph, word))
    if kind == "by_hand" and task_id:
        kind = None if word else "passed"
    # Only ✓ with an id carries a note in parentheses; only a word carries one behind a colon.
    return None if (aside is not None and kind not in _IN_PARENTHESES) or (reason is not None and not word) else kind


def read(match: re.Match[bytes], reason: bytes | None = None) -> Mark | None:
    """Return the mark that a match of a suffix names; None when it is none of the four kinds."""
    glyph, word, task_id, time, aside, behind = match.groups()
    reason = behind if reason is None else reason
    kind = _kind(glyph, unwrapped(word), task_id, aside, reason)
    if kind is None:
        return None
    note = str(unwrapped(aside or reason or b""), "utf-8", "replace").strip()
    # A tool that escapes the brackets escapes the note too; as it is written here it has no escapes.
    note = unescaped(note) if b"\\[" in match[0] else note
    return Mark(kind, str(task_id or b"", "ascii").replace("\\", ""), str(unwrapped(time), "ascii"), note)


def settled(mark: Mark) -> Mark:
    """Return the mark as it will be read back."""
    note = mark.note.translate(str.maketrans("()[]", "    ")) if mark.kind in _IN_PARENTHESES else mark.note
    return mark.replace(note=clean(note))


def suffix(mark: Mark | None) -> bytes:
    """Return the mark as it is written."""
    if mark is None:
        return b""
    named = f" [task_id: {mark.task_id}]" if mark.task_id else ""
    note = (f" ({mark.note})" if mark.kind in _IN_PARENTHESES else f": {mark.note}") if mark.note else ""
    return f" {_GLYPHS[mark.kind]}{named} [{mark.time}]{note}".encode()
