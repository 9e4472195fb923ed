"""YAML events fold into plain data, refusing what a plan must not hold."""

from __future__ import annotations

import re

from executor.errors import DefinitionError, Problem
from executor.plan.issues import spelled
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, NoReturn

    from yaml import Event

    from executor.plan.issues import Path

MAX_DEPTH = 64
MAX_SHOWN = 8  # keys of a path that a message names
MAX_DIGITS = 18  # every whole number fits 64 bits, so JSON and its readers keep it
FREE_ALIASED = 100_000  # nodes that aliases may repeat in any file ...
ALIASED_RATIO = 20  # ... and in a large one: this many times the nodes that are written out
ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")

_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAY_BE_MORE_THAN_TEXT = frozenset("-.0123456789tTfFnN~")
_INT = re.compile(r"0|-?[1-9][0-9]*")
_FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_MERGE = ("<<",)  # stands for a plain << while its value is read: no key that a file could hold


def events(text: str) -> Iterator[Event]:
    """Parse by libyaml, or by PyYAML's own parser where libyaml is missing."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return iter(loader(text).get_event, None)  # as yaml.parse, without a look ahead of each of a hundred thousand


def actions(reader: Any) -> dict[type, Callable[[Any], None]]:
    """Return the method of a reader for each event that carries data."""
    import yaml

    return {
        yaml.ScalarEvent: reader.scalar,
        yaml.MappingStartEvent: reader.mapping,
        yaml.SequenceStartEvent: reader.sequence,
        yaml.MappingEndEvent: reader.leave,
        yaml.SequenceEndEvent: reader.leave,
        yaml.AliasEvent: reader.alias,
        yaml.DocumentStartEvent: reader.document,
        yaml.DocumentEndEvent: _ignore,
        yaml.StreamStartEvent: _ignore,
        yaml.StreamEndEvent: _ignore,
    }


def _ignore(_: object) -> None:
    return


def odd_character(character: str) -> str:
    """Return the message for a character that ODD found."""
    return f"control character U+{ord(character):04X} is not allowed: remove it"


def resolved(text: str) -> str | float | bool | None:
    """Return the value of a plain scalar; ValueError for a number that not every reader would keep."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] > "9":  # most keys and texts: no number begins so
        return text
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits: at most {MAX_DIGITS}, or quote it if it is text")
        return int(text)
    if not _FLOAT.fullmatch(text):
        return text
    if abs(float(text)) == float("inf"):
        raise ValueError(f"number {quoted(text)} is too large: quote it if it is text")
    return float(text)


class _Frame:
    """One mapping or list that is still open; `key` is None while a mapping waits for one."""

    __slots__ = ("anchor", "before", "height", "key", "merges", "node")

    def __init__(self, node: Any, anchor: str | None, before: int) -> None:
        self.node, self.anchor, self.before = node, anchor, before
        self.key: Any = None
        self.merges: list[dict[str, Any]] = []
        self.height = 0


class Builder:
    """The data so far; tags, doubled keys and keys that are no text are collected, other oddities end it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.frame = _Frame([], None, 0)
        self.frames = [self.frame]
        self.anchors: dict[str, tuple[Any, int, int] | None] = {}  # node, size, height; None while it is open
        self.size = self.aliased = 0

    def build(self, text: str) -> object:
        """Return the one document of this text, None when there is none."""
        act = actions(self)
        for event in events(text):
            act[type(event)](event)
        if self.problems:
            raise DefinitionError(*self.problems)
        return self.frame.node[0] if self.frame.node else None

    def document(self, event: Event) -> None:
        if self.frame.node:
            self.stop("second document: a file holds one plan, remove the line ---", event.start_mark)

    def scalar(self, event: Any) -> None:
        self.size += 1
        value = event.value
        if event.tag is not None:
            self._refuse_tag(event)
        if event.style == '"' and (odd := ODD.search(value)):
            self._note(odd_character(odd.group()), event)
        if self.frame.key is None and type(self.frame.node) is dict:
            self._take_key(event)
            return
        if event.implicit[0] and (not value or value[0] in _MAY_BE_MORE_THAN_TEXT):
            value = self._meaning(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1, 0)
        self._put(value, event)

    def mapping(self, event: Event) -> None:
        self._enter({}, event)

    def sequence(self, event: Event) -> None:
        self._enter([], event)

    def leave(self, event: Event) -> None:
        done = self.frames.pop()
        self.frame = self.frames[-1]
        for merge in done.merges:
            for key, value in merge.items():
                done.node.setdefault(key, value)
        if done.anchor is not None:
            self.anchors[done.anchor] = (done.node, self.size - done.before, done.height)
        self._grow(done.height + 1)
        self._put(done.node, event)

    def alias(self, event: Any) -> None:
        found = self.anchors.get(event.anchor)
        if found is None:
            why = "stands inside its own anchor" if event.anchor in self.anchors else "has no anchor before it"
            self.stop(f"alias *{event.anchor} {why}", event.start_mark)
        if self.frame.key is None and type(self.frame.node) is dict:
            self.stop("an alias cannot be a key: write the key out", event.start_mark)
        node, size, height = found
        self._unfold(size, event)
        self._check_depth(len(self.frames) + height, event)
        self._grow(height + 1)
        self._put(node, event)

    def stop(self, message: str, mark: Any) -> NoReturn:
        """Raise DefinitionError with this problem, after those collected before it."""
        raise DefinitionError(*self.problems, self._problem(message, mark))

    def _enter(self, node: Any, event: Any) -> None:
        if event.tag is not None:
            self._refuse_tag(event)
        if self.frame.key is None and type(self.frame.node) is dict:
            self.stop("a key must be text: quote a value that begins with { or [", event.start_mark)
        self._check_depth(len(self.frames), event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.frame = _Frame(node, event.anchor, self.size)
        self.frames.append(self.frame)
        self.size += 1

    def _take_key(self, event: Any) -> None:
        key, frame = event.value, self.frame
        is_merge = event.implicit[0] and key == "<<"
        is_plain = event.implicit[0] and (not key or key[0] in _MAY_BE_MORE_THAN_TEXT)
        if is_plain and not isinstance(self._meaning(event), str):
            self._note(f"key {quoted(key)} is not text: quote it", event)
        if key in frame.node or (is_merge and frame.merges):
            self._note(f"key {quoted(key)} stands twice in one mapping: remove one", event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (key, 1, 0)
        frame.key = _MERGE if is_merge else key

    def _put(self, value: Any, event: Event) -> None:
        frame = self.frame
        if type(frame.node) is list:
            frame.node.append(value)
            return
        if frame.key is _MERGE:
            self._merge(value, event)
        else:
            frame.node[frame.key] = value
        frame.key = None

    def _merge(self, value: Any, event: Event) -> None:
        merges = value if type(value) is list else [value]
        if all(type(merge) is dict for merge in merges):
            self.frame.merges += merges
        else:
            self._note("<< takes an alias of a mapping, or a list of them", event)

    def _meaning(self, event: Any) -> Any:
        try:
            return resolved(event.value)
        except ValueError as wrong:
            self._note(str(wrong), event)
            return event.value

    def _unfold(self, size: int, event: Event) -> None:
        self.size += size
        self.aliased += size
        if self.aliased > max(FREE_ALIASED, ALIASED_RATIO * (self.size - self.aliased)):
            self.stop(f"aliases repeat more than {FREE_ALIASED} values: write the plan out", event.start_mark)

    def _grow(self, height: int) -> None:
        self.frame.height = max(self.frame.height, height)

    def _check_depth(self, depth: int, event: Event) -> None:
        if depth > MAX_DEPTH:
            self.stop(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)

    def _refuse_tag(self, event: Any) -> None:
        self._note(f"tag {quoted(event.tag)} is refused: a plan is plain data, remove the tag", event)

    def _note(self, message: str, event: Event) -> None:
        self.problems.append(self._problem(message, event.start_mark))

    def _problem(self, message: str, mark: Any) -> Problem:
        line, col = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        return Problem(self.file, message, path=spelled(self._path()[:MAX_SHOWN]), line=line, col=col)

    def _path(self) -> Path:
        keys = [len(frame.node) if type(frame.node) is list else frame.key for frame in self.frames[1:]]
        return tuple(key for key in keys if isinstance(key, str | int))


class Placer:
    """Positions of each key and each list item of a document: path -> (line, column), from 1."""

    def __init__(self) -> None:
        self.places: dict[Path, tuple[int, int]] = {}
        self.frames: list[Any] = []  # [path, next key or index, is a mapping]

    def read(self, text: str) -> dict[Path, tuple[int, int]]:
        act = actions(self)
        for event in events(text):
            act[type(event)](event)
        return self.places

    def document(self, _: Event) -> None:
        self.frames = [[(), None, False]]

    def scalar(self, event: Any) -> None:
        frame = self.frames[-1]
        if frame[2] and frame[1] is None:
            frame[1] = event.value
            self._place((*frame[0], event.value), event)
        else:
            self._next(event)

    def alias(self, event: Event) -> None:
        self._next(event)

    def mapping(self, event: Event) -> None:
        self.frames.append([self._next(event), None, True])

    def sequence(self, event: Event) -> None:
        self.frames.append([self._next(event), 0, False])

    def leave(self, _: Event) -> None:
        self.frames.pop()

    def _next(self, event: Event) -> Path:
        path: Path
        path, key, is_mapping = self.frames[-1]
        if key is None:  # the document itself, or a key that load() refuses
            return path
        self.frames[-1][1] = None if is_mapping else key + 1
        self._place((*path, key), event)
        return (*path, key)

    def _place(self, path: Path, event: Any) -> None:
        self.places.setdefault(path, (event.start_mark.line + 1, event.start_mark.column + 1))
