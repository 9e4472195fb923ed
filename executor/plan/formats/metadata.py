"""Keys and values above a Markdown text: front matter, a fenced block under `Metadata`, or a file of YAML alone."""

from __future__ import annotations

import re

from executor.errors import DefinitionError
from executor.plan import frontmatter
from executor.plan.formats.model import MarkError
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FRONT = lazy_regex.pattern(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_FENCED = lazy_regex.pattern(
    r"^#{1,6}[ \t]+Metadata[ \t]*\r?\n(?:[ \t]*\r?\n)*```ya?ml[ \t]*\r?\n(.*?)^```[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_FIRST_KEY = lazy_regex.pattern(r"\A\ufeff?(?:[ \t]*(?:#[^\n]*)?\r?\n)*[A-Za-z_][\w-]*[ \t]*:(?:[ \t]|\r?\n)")
_QUOTED = r"(?P<quote>['\"])(?P<quoted>(?:(?!(?P=quote))[^\\\n])*)(?P=quote)"
_PLAIN = r"(?P<plain>[^\s'\"#|>\[{&*!][^\n#]*?)"


class Metadata(Record):
    """The keys of a file: `data` holds the values, `start` and `end` are the offsets of their YAML in the text.

    `problem` says why there are none. `body` is the offset of the text below them.
    """

    data: Mapping[str, Any]
    start: int = 0
    end: int = 0
    body: int = 0
    problem: str = ""

    def line(self, text: str, key: str) -> int:
        """Return the line of a key in the file, from 1; 0 when it is not there."""
        found = re.compile(rf"^{re.escape(key)}[ \t]*:", re.MULTILINE).search(text, self.start, self.end)
        return text.count("\n", 0, found.start()) + 1 if found else 0


def metadata_of(path: str, text: str) -> Metadata:
    """Return the keys of a text; of a file of YAML alone all of it is keys."""
    found = _FRONT.match(text) or _FENCED.search(text)
    if found:
        return _loaded(path, text, found.start(1), found.end(1), 0 if found.start() else found.end())
    if path.endswith((".yaml", ".yml")) and _FIRST_KEY.match(text):
        return _loaded(path, text, int(text.startswith("\ufeff")), len(text), len(text))
    return Metadata({}, problem="no front matter")


def _loaded(path: str, text: str, start: int, end: int, body: int) -> Metadata:
    source = text[start:end].replace("\r\n", "\n")
    try:
        data = frontmatter.read(f"---\n{source}---\n" if source.endswith("\n") else f"---\n{source}\n---\n", path).data
    except DefinitionError as wrong:
        return Metadata({}, start, end, body, problem=str(wrong))
    return Metadata(data, start, end, body)


def with_value(text: str, place: Metadata, key: str, value: str) -> str:
    """Return the text with the value of a key changed, its quotes and comment kept.

    Raises MarkError when the key is not there, stands twice, or its value is not one word or text on its line.
    """
    name = rf"^{re.escape(key)}[ \t]*:"
    line = rf"{name}[ \t]+(?:{_QUOTED}|{_PLAIN})[ \t]*(?:[ \t]#[^\n]*)?\r?$"
    found = [*re.finditer(line, text[place.start : place.end], re.MULTILINE)]
    keys = re.findall(name, text[place.start : place.end], re.MULTILINE)
    if len(found) != 1 or len(keys) != 1:
        reason = "stands twice" if len(keys) > 1 else "is not there" if not keys else "has a value of another form"
        raise MarkError(f"the key {key} {reason}")
    group = "plain" if found[0]["plain"] is not None else "quoted"
    start, end = (place.start + at for at in found[0].span(group))
    return text[:start] + value + text[end:]
