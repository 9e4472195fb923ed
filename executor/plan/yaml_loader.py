"""YAML text becomes plain data, every oddity refused.

Scalars follow the core schema of YAML 1.2, not 1.1 as PyYAML's constructors do: only `true`, `false`, `null` and
finite decimal numbers are more than text. So the key `on` of `retry: {on: [...]}` stays a key instead of becoming
true, and `yes`, `no`, `off`, `1:30` and `007` stay what was written. Data is built straight from libyaml's events, with
the collector off: nodes, constructors and collections together cost six times as much.
"""

from __future__ import annotations

import gc

from executor.errors import DefinitionError, Problem
from executor.plan.yaml_events import ODD, Builder, Placer, odd_character
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from typing import NoReturn

    from yaml import MarkedYAMLError

    from executor.plan.issues import Path

_HINTS = {
    "cannot start any token": "indent with spaces, quote text that begins with @ ` or %",
    "mapping values are not allowed": "quote text that holds a colon",
    "could not find expected ':'": "check the quotes, colons and indentation of the lines above",
    "expected <block end>": "check the indentation and quotes of this line",
}


def load(data: bytes, *, file: str) -> object:
    """Return dicts, lists, str, int, float, bool and None; an empty file is None.

    Raises DefinitionError, with line and column, for text that is no YAML and for tags, doubled keys, keys that are
    no text, several documents, control characters, nesting deeper than MAX_DEPTH, and aliases that would unfold to
    more than FREE_ALIASED values (ALIASED_RATIO times the values written out, where that is more).
    """
    text = _decoded(data, file)
    was_on = gc.isenabled()
    gc.disable()
    try:
        return _built(Builder(file), text)
    finally:
        if was_on:
            gc.enable()


def positions(data: bytes) -> dict[Path, tuple[int, int]]:
    """Return path -> (line, column), from 1, of each key and list item of a file that load() takes.

    This second, marked parse is for telling what is wrong; what aliases repeat has no place of its own.
    """
    return Placer().read(data.decode("utf-8-sig"))


def _built(builder: Builder, text: str) -> object:
    import yaml

    try:
        return builder.build(text)
    except yaml.MarkedYAMLError as wrong:
        builder.stop(_syntax(wrong), wrong.problem_mark or wrong.context_mark)
    except (yaml.YAMLError, ValueError, OverflowError) as wrong:  # PyYAML's own parser gives chr() any escape
        builder.stop(f"not YAML: {quoted(str(wrong))}", None)


def _syntax(wrong: MarkedYAMLError) -> str:
    what = wrong.problem or "unexpected text"
    hint = next((f"; {hint}" for known, hint in _HINTS.items() if known in what), "")
    return f"not YAML: {f'{wrong.context}, ' if wrong.context else ''}{what}{hint}"


def _decoded(data: bytes, file: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        message = f"byte 0x{data[wrong.start]:02x} is not UTF-8: save the file as UTF-8"
        _refuse(file, message, before=data[: wrong.start].decode("utf-8"))
    odd = ODD.search(text)
    if odd:
        _refuse(file, odd_character(odd.group()), before=text[: odd.start()])
    return text


def _refuse(file: str, message: str, *, before: str) -> NoReturn:
    line, col = before.count("\n") + 1, len(before) - before.rfind("\n")
    raise DefinitionError(Problem(file, message, line=line, col=col)) from None
