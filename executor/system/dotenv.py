"""The text of an env file: names and values, or the errors of its lines."""

from __future__ import annotations

import re

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

RESERVED_PREFIX = "DO_TASKS_"
_NAME = lazy_regex.pattern(r"[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*(=?)[ \t]*", re.ASCII)
_PLAIN = lazy_regex.pattern(r"(?:(?!\s#)[^\n])*")
_SINGLE = lazy_regex.pattern(r"'([^']*)'")
_DOUBLE = lazy_regex.pattern(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_REST = lazy_regex.pattern(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_EXPANDED = lazy_regex.pattern(r"\\(.)|\$\{([A-Za-z_]\w*)(?::?-([^}]*))?\}", re.DOTALL | re.ASCII)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$", "\n": ""}


class LineError(Record):
    """A line that cannot be read, with the reason; never with its value."""

    line: int
    why: str


class EnvFile(Record):
    """The variables of an env file, and its lines that cannot be read."""

    values: Mapping[str, str]
    wrong: tuple[LineError, ...] = ()


def parse(text: str, environ: Mapping[str, str]) -> EnvFile:
    """Return the variables of an env file; the last line of a name counts.

    A value is plain (up to ` #`), in single quotes (taken literally) or in double quotes (with escapes); quoted
    ones may have several lines. `${NAME}` and `${NAME:-default}` outside of single quotes are replaced by the value
    from the lines above, else from the environment, else by the default or nothing. A `$` without braces stays.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    values: dict[str, str] = {}
    wrong: list[LineError] = []
    at = 0
    while at < len(text):
        blank = _REST.match(text, at)
        if blank:
            at = blank.end()
            continue
        found = _entry(text, at, {**environ, **values})
        if isinstance(found, str):
            wrong.append(LineError(text.count("\n", 0, at) + 1, found))
            at = (text.find("\n", at) + 1) or len(text)
        else:
            name, values[name], at = found
    return EnvFile(values, tuple(wrong))


def _entry(text: str, at: int, known: Mapping[str, str]) -> tuple[str, str, int] | str:
    """Return name, value and end offset of the entry at this offset, or the error in it."""
    head = _NAME.match(text, at)
    if not head:
        return "no NAME=value: a name has letters, digits and _"
    if not head[2]:
        return f"no = behind {head[1]}"
    if head[1].startswith(RESERVED_PREFIX):
        return f"{head[1]} is a name of do-tasks: take another one"
    value, end = _value(text, head.end(), known)
    if end < 0:
        return f"the quote that begins behind {head[1]}= does not end"
    behind = _REST.match(text, end)
    if not behind:
        return f"text behind the closing quote of {head[1]}: quote the whole value"
    return (head[1], value, behind.end()) if "\0" not in value else f"the value of {head[1]} has a NUL"


def _value(text: str, at: int, known: Mapping[str, str]) -> tuple[str, int]:
    """Return a value with its end offset; -1 for a quote that does not end."""
    quote = text[at : at + 1]
    if quote == "'":
        found = _SINGLE.match(text, at)
        return (found[1], found.end()) if found else ("", -1)
    if quote == '"':
        found = _DOUBLE.match(text, at)
        return (_expanded(found[1], known, escapes=_ESCAPES), found.end()) if found else ("", -1)
    found = _PLAIN.match(text, at)
    plain = found[0] if found and not text.startswith("#", at) else ""
    return _expanded(plain.strip(), known, escapes={}), at + len(plain)


def _expanded(value: str, known: Mapping[str, str], *, escapes: Mapping[str, str]) -> str:
    """Return a value with its escapes and `${NAME}` replaced."""

    def one(found: re.Match[str]) -> str:
        if found[2] is None:
            return escapes.get(found[1], found[0])
        return known.get(found[2]) or found[3] or ""

    return _EXPANDED.sub(one, value)
