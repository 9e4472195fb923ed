"""Edits of a text: numbered lines, line ends, replacement of the one place that matches."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, TypeGuard

SHOWN = 16_000  # characters of a view
LONGEST_LINE = 2_000
MOST_PLACES = 100


class RefusedError(Exception):
    """A refused edit; the message says what would be accepted."""


def text_in(given: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a text."""
    value = given.get(name)
    if not isinstance(value, str):
        raise RefusedError(f"{name} must be a text")
    return value


def decoded(data: bytes, name: str) -> str:
    """Return the bytes of a file as a text that encodes to the same bytes."""
    if b"\0" in data:
        raise RefusedError(f"{name} is binary: look at it with bash, with file or xxd")
    return data.decode("utf-8", "surrogateescape")


def eol_of(text: str) -> str:
    """Return the line end of a text: CRLF when all lines have it, else LF."""
    crlf = text.count("\r\n")
    return "\r\n" if crlf and crlf == text.count("\n") else "\n"


def with_eol(text: str, eol: str) -> str:
    """Return the text with these line ends; with LF the text stays as it is."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n") if eol == "\r\n" else text


def replaced(text: str, old: str, new: str) -> tuple[str, int]:
    """Return the text with its single `old` replaced by `new`, and the line of the change."""
    if not old or old == new:
        raise RefusedError("old_str must be a text that is there now, new_str a different one")
    places = list(_places(text, old))
    if len(places) != 1:
        raise RefusedError(_not_once(text, old, [_line_of(text, place) for place in places]))
    at = places[0]
    return f"{text[:at]}{new}{text[at + len(old) :]}", _line_of(text, at)


def inserted(text: str, added: str, after: object) -> tuple[str, int]:
    """Return the text with lines added after a line, 0 = before the first, and the line where they begin."""
    lines = text.split("\n")
    count = len(lines) - (lines[-1] == "")
    if not _is_number(after) or not 0 <= after <= count:
        raise RefusedError(f"insert_line must be a number from 0 to {count}: the line after which the text goes")
    at = sum(len(line) + 1 for line in lines[:after])
    eol = eol_of(text)
    joint = eol if at > len(text) else ""  # the last line has no line end
    ended = added if added.endswith("\n") else f"{added}\n"
    return f"{text[:at]}{joint}{with_eol(ended, eol)}{text[at:]}", after + 1


def lines_of(text: str) -> list[str]:
    """Return the lines; a line end after the last line begins no further line."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def span(view_range: object, count: int) -> tuple[int, int]:
    """Return the first and last line of a view of `count` lines; None means all."""
    if view_range is None:
        return 1, count
    pair = view_range if isinstance(view_range, list) and len(view_range) == 2 else [None, None]
    first, last = pair
    if not _is_number(first) or not _is_number(last):
        raise RefusedError("view_range must be two numbers: the first line and the last, -1 for the end")
    last = count if last == -1 else min(last, count)
    if not 1 <= first <= count or last < first:
        raise RefusedError(f"view_range must lie in the {count} lines of the file: [1, {count}] is all of them")
    return first, last


def numbered(lines: Sequence[str], first: int, last: int) -> str:
    """Return these lines with their numbers, up to the limit of a view, and the range of the rest."""
    shown: list[str] = []
    size = 0
    for number in range(first, last + 1):
        line = f"{number:6}\t{_short(lines[number - 1])}"
        size += len(line) + 1
        if size > SHOWN:
            rest = f"[line {number - 1} of {len(lines)}: view_range [{number}, {last}] shows what follows]"
            return "\n".join((*shown, rest))
        shown.append(line)
    return "\n".join(shown)


def _short(line: str) -> str:
    left = len(line) - LONGEST_LINE
    return f"{line[:LONGEST_LINE]} [... {left:,} more characters]" if left > 0 else line


def _places(text: str, old: str) -> Iterator[int]:
    """Yield the places of `old`, overlaps too, at most MOST_PLACES."""
    at = text.find(old)
    for _ in range(MOST_PLACES):
        if at < 0:
            return
        yield at
        at = text.find(old, at + 1)


def _not_once(text: str, old: str, lines: list[int]) -> str:
    if lines:
        most = "at least " if len(lines) == MOST_PLACES else ""
        where = ", ".join(map(str, dict.fromkeys(lines)))
        return f"old_str is there {most}{len(lines)} times, on the lines {where}: add lines around it until it is one"
    wanted = next((line.strip() for line in old.split("\n") if line.strip()), "")
    like = [number for number, line in enumerate(text.split("\n"), 1) if wanted and wanted in line]
    hint = f"; its first line stands on {', '.join(map(str, like[:5]))}: is the white space the same?" if like else ""
    return f"old_str is not in the file{hint or ': view it, and copy what is there exactly'}"


def _line_of(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
