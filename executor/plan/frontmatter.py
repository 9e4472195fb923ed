"""Frontmatter is read as Claude Code reads it: YAML where it is YAML, mended where people write prose."""

from __future__ import annotations

import re

from executor.errors import DefinitionError, Problem
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import clean_control, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

LIMIT_BYTES = 256 * 1024

_HEAD = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_OPENED = re.compile(r"---[ \t]*(?:\n|\Z)")
_ENTRY = re.compile(r"^([A-Za-z_][\w-]*)([ \t]*:[ \t]+)(\S.*)$", re.MULTILINE)
_NO_PLAIN_TEXT = re.compile(r":(?:\s|\Z)|\A[\[\]{}&*!%@`|>'\"?,#-]")
_TABS = re.compile(r"^[ ]*\t[ \t]*", re.MULTILINE)


class Frontmatter(Record):
    """The keys of a file, and what stands below them; `source` is their YAML, its lines those of the file."""

    file: str
    data: Mapping[str, Any]
    body: str
    source: str = ""
    absent: bool = False

    def places(self) -> dict[tuple[str | int, ...], tuple[int, int]]:
        """Return path -> (line, column) of every key and list item."""
        from executor.plan.yaml_loader import positions

        return positions(self.source.encode())


def read(text: str, file: str) -> Frontmatter:
    """Return the frontmatter and body of a file, control characters spelled out, every line end a plain newline.

    Raises DefinitionError for more than LIMIT_BYTES, for frontmatter that is not closed, and for what is neither
    YAML of keys and values nor becomes so by quoting values and turning the tabs that indent into spaces.
    """
    clean = _clean(text, file)
    found = _HEAD.match(clean)
    if found:
        source = f"\n{found[1]}"
        return _loaded(source, file).replace(body=clean[found.end() :].strip("\n"))
    if _OPENED.match(clean):
        raise DefinitionError(at(file, 1, "the frontmatter is not closed: end it with a line ---"))
    return Frontmatter(file, {}, clean.strip("\n"), absent=True)


def at(file: str, line: int, message: str) -> Problem:
    """Return a problem at the beginning of a line."""
    return Problem(file, message, line=line, col=1)


def _clean(text: str, file: str) -> str:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LIMIT_BYTES:
        message = f"{size} bytes: at most {LIMIT_BYTES} are read; move the long parts to files beside it"
        raise DefinitionError(Problem(file, message))
    return clean_control(text.removeprefix("\ufeff"))


def _loaded(source: str, file: str) -> Frontmatter:
    try:
        return _as_yaml(source, file)
    except DefinitionError as wrong:
        first = wrong
    try:
        return _as_yaml(_mended(source), file)
    except DefinitionError:
        raise first from None


def _as_yaml(source: str, file: str) -> Frontmatter:
    from executor.plan.yaml_loader import load

    data = load(source.encode(), file=file)
    if data is not None and not isinstance(data, dict):
        raise DefinitionError(at(file, 2, f"the frontmatter must be keys and values, got {quoted(data)}"))
    return Frontmatter(file, data or {}, "", source)


def _mended(source: str) -> str:
    """Return the source with spaces for the tabs that indent it, quotes around values that are no YAML."""
    spaced = _TABS.sub(lambda found: found[0].expandtabs(2), source)
    return _ENTRY.sub(_quoted, spaced)


def _quoted(entry: re.Match[str]) -> str:
    if _NO_PLAIN_TEXT.search(entry[3]) and not _is_yaml(entry[0]):
        value = entry[3].rstrip(" \t").replace("'", "''")
        return f"{entry[1]}{entry[2]}'{value}'"
    return entry[0]


def _is_yaml(line: str) -> bool:
    from executor.plan.yaml_loader import load

    try:
        load(line.encode(), file="")
    except DefinitionError:
        return False
    return True
