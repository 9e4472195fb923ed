"""Offsets of values in JSON text: containers are walked here, single values are left to the json module."""

from __future__ import annotations

import gc
import json
import re

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from typing import Any

    Path = tuple[str | int, ...]
    Opens = Callable[[Path], bool]

_BLANK = re.compile(r"[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*([,\]}])[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Span(Record):
    """A value in JSON text: offsets of its key (of the value itself where it has none), its start and its end."""

    key: int
    start: int
    end: int


if TYPE_CHECKING:
    Found = tuple[Path, int, int, int, Any]  # path, offset of the key, of the value, behind the value, the value


def uncollected(build: Callable[[], Any]) -> Any:
    """Return the result of a function, called with the garbage collector off: it would scan each new object."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        return build()
    finally:
        if was_on:
            gc.enable()


def decoded(data: bytes) -> str:
    """Return the text of a file; encoded as UTF-8 it gives the same bytes. Raises ValueError when it is not UTF-8."""
    return data.decode("utf-8")


def spans(text: str, is_open: Opens) -> Generator[Found]:
    """Yield the values of a document in order: an object or array whose path `is_open` is replaced by its members.

    The elements of an opened array are never opened. Raises ValueError, with the line, for text that is not JSON.
    """
    end = yield from spans_at(text, start_of(text), is_open)
    if _skip(text, end) < len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def spans_at(text: str, at: int, is_open: Opens, path: Path = (), key: int = -1) -> Generator[Found, None, int]:
    """Yield the values within the one at an offset, as `spans`; return the offset behind it."""
    at = _skip(text, at)
    opener = text[at : at + 1] if is_open(path) else ""
    if opener == "{":
        return (yield from _members(text, at, is_open, path))
    if opener == "[":
        return (yield from _elements(text, at, path))
    value, end = _DECODER.raw_decode(text, at)
    yield path, (at if key < 0 else key), at, end, value
    return end


def _members(text: str, at: int, is_open: Opens, path: Path) -> Generator[Found, None, int]:
    at = _skip(text, at + 1)
    if text.startswith("}", at):
        return at + 1
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        name, end = _DECODER.raw_decode(text, at)
        end = yield from spans_at(text, _after_colon(text, end), is_open, (*path, name), at)
        at, ends = _after_value(text, end, "}")
        if ends:
            return ends


def _elements(text: str, at: int, path: Path) -> Generator[Found, None, int]:
    decode = _DECODER.raw_decode
    at = _skip(text, at + 1)
    if text.startswith("]", at):
        return at + 1
    index = 0
    while True:
        value, end = decode(text, at)
        yield (*path, index), at, at, end, value
        index += 1
        at, ends = _after_value(text, end, "]")
        if ends:
            return ends


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _after_colon(text: str, at: int) -> int:
    found = _COLON.match(text, at)
    if not found:
        raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
    return found.end()


def _after_value(text: str, at: int, closer: str) -> tuple[int, int]:
    """Return the offset of the next value, and the offset behind the closer or 0 where another value follows."""
    found = _NEXT.match(text, at)
    if found and found[1] == ",":
        return found.end(), 0
    if found and found[1] == closer:
        return found.end(), found.end(1)
    raise json.JSONDecodeError("Expecting ',' delimiter", text, at)


def start_of(text: str) -> int:
    """Return the offset of the document's value."""
    return _skip(text, 1 if text.startswith("\ufeff") else 0)


def members(text: str, at: int) -> dict[str, Span]:
    """Return the members of the object at an offset. Raises ValueError for a doubled key, which has no one value."""
    found: dict[str, Span] = {}
    for path, key, start, end, _ in spans_at(text, at, lambda path: not path):
        name = str(path[0]) if path else ""
        if not path or name in found:
            raise ValueError(f"the key {name} stands twice" if path else "not an object")
        found[name] = Span(key, start, end)
    return found


def elements(text: str, at: int) -> list[Span]:
    """Return the elements of the array at an offset."""
    return [Span(key, start, end) for path, key, start, end, _ in spans_at(text, at, lambda path: not path) if path]


def value_at(text: str, at: int) -> Any:
    """Return the value at an offset."""
    return _DECODER.raw_decode(text, _skip(text, at))[0]


def line_of(text: str, path: Path) -> int:
    """Return the line, from 1, of the value with this path of keys; 0 when it is not there."""
    found = (
        start
        for there, _, start, _, _ in spans(text, lambda one: one == path[: len(one)] and one != path)
        if there == path
    )
    start = next(found, -1)
    return text.count("\n", 0, start) + 1 if start >= 0 else 0


def placed(text: str, at: int, values: Mapping[str, str], *, after: str = "") -> list[tuple[int, int, str]]:
    """Return the edits that give members of the object at an offset these values, written as JSON.

    A member that is there is replaced. Others are added behind the member `after`, or behind the last one, with
    the blanks of that member.
    """
    there = members(text, at)
    edits = [(there[name].start, there[name].end, new) for name, new in values.items() if name in there]
    missing = [(name, new) for name, new in values.items() if name not in there]
    if missing and there:
        model = there.get(after) or [*there.values()][-1]
        colon = _COLON.search(text, _DECODER.raw_decode(text, model.key)[1])
        between = colon[0] if colon else ": "
        before = _blanks_before(text, model.key)
        more = "".join(f",{before}{json.dumps(name)}{between}{new}" for name, new in missing)
        edits.append((model.end, model.end, more))
    elif missing:
        inner = ", ".join(f"{json.dumps(name)}: {new}" for name, new in missing)
        start = _skip(text, at)
        edits.append((start + 1, start + 1, inner))
    return edits


def appended(text: str, at: int, value: object) -> list[tuple[int, int, str]]:
    """Return the edit that adds a value behind the last element of the array at an offset, with its blanks."""
    there = elements(text, at)
    if there:
        before = _blanks_before(text, there[-1].start)
        return [(there[-1].end, there[-1].end, f",{before}{_on_lines(value, before)}")]
    start = _skip(text, at)
    line = text[text.rfind("\n", 0, start) + 1 : start]
    outer = "\n" + line[: len(line) - len(line.lstrip(" \t"))] if "\n" in text else ""
    inner = f"{outer}  " if outer else ""
    return [(start + 1, start + 1, f"{inner}{_on_lines(value, inner)}{outer}")]


def _blanks_before(text: str, at: int) -> str:
    return text[len(text[:at].rstrip(" \t\r\n")) : at]


def _on_lines(value: object, before: str) -> str:
    """Return JSON on lines indented as the blanks before it, or on one line where those hold no line break."""
    if "\n" not in before:
        return json.dumps(value, ensure_ascii=False)
    indent = before.rpartition("\n")[2]
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", f"\n{indent}")


def edited(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """Return the text with pieces replaced, each given as start, end and new text; they do not overlap."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
