"""Selection of tasks by id, range, title, tag, section and place in the document."""

from __future__ import annotations

import re

from executor.errors import UsageError
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from executor.plan.formats.model import PlanDocument, PlanTask

_PARTS = re.compile(r"(.*?)(\d+)$")
_SOME = 6


class Selectors(Record):
    """The selection of the command line; an empty one selects every task.

    `only` and `exclude` are comma-separated ids, ranges (`T003-T007`, `T003..T007`) or parts of titles. `first` and
    `last` are the ends in document order. `tags` and `sections` are comma-separated; a section matches by a part of its
    heading or of its phase.
    """

    only: str = ""
    exclude: str = ""
    first: str = ""
    last: str = ""
    tags: str = ""
    sections: str = ""


def select(document: PlanDocument, selectors: Selectors) -> list[str]:
    """Return the selected ids in document order; UsageError for a name that fits no task, or nothing left."""
    ids = list(dict.fromkeys(task.id for task in document.tasks))
    first = ids.index(one_id(document, selectors.first)) if selectors.first else 0
    last = ids.index(one_id(document, selectors.last)) if selectors.last else len(ids) - 1
    if last < first and ids:
        raise UsageError(f"--from {quoted(selectors.first)} stands behind --to {quoted(selectors.last)}")
    chosen = set(ids[first : last + 1])
    if selectors.only:
        chosen &= named(document, selectors.only)
    if selectors.exclude:
        chosen -= named(document, selectors.exclude)
    if selectors.tags:
        chosen &= _tagged(document, _words(selectors.tags))
    if selectors.sections:
        chosen &= _in_sections(document, _words(selectors.sections))
    if not chosen and (ids or selectors != Selectors()):
        raise UsageError(f"no task is selected; the plan has {_some(ids)}")
    return [name for name in ids if name in chosen]


def named(document: PlanDocument, text: str) -> set[str]:
    """Return the ids that comma-separated ids, ranges and parts of titles name."""
    found: set[str] = set()
    for part in _words(text):
        found |= set(_range(document, part) or [one_id(document, part)])
    return found


def one_id(document: PlanDocument, text: str) -> str:
    """Return the id that an id or an unambiguous part of a title names; UsageError otherwise."""
    ids: dict[str, str] = {}
    for task in document.tasks:
        ids.setdefault(task.id.casefold(), task.id)
    if text.casefold() in ids:
        return ids[text.casefold()]
    word = _plain(text)
    fits = dict.fromkeys(task.id for task in document.tasks if word and word in _plain(task.title))
    if not fits:
        near = did_you_mean(text, list(ids.values()))
        raise UsageError(f"no task is called {quoted(text)}{near or f'; the plan has {_some(ids.values())}'}")
    if len(fits) > 1:
        raise UsageError(f"{quoted(text)} fits {len(fits)} tasks: {_some(fits)}")
    return next(iter(fits))


def _range(document: PlanDocument, text: str) -> list[str]:
    """Return the tasks of a range of ids, empty when the text is none."""
    ids = list(dict.fromkeys(task.id for task in document.tasks))
    for cut in re.finditer(r"\.\.|-|–", text):
        ends = text[: cut.start()].strip(), text[cut.end() :].strip()
        if text in ids or not all(ends):
            return []
        begin, end = _PARTS.fullmatch(ends[0]), _PARTS.fullmatch(ends[1])
        if begin and end and end[1].casefold() in (begin[1].casefold(), ""):
            found = [name for name in ids if _is_between(name, begin[1], int(begin[2]), int(end[2]))]
            if not found:
                raise UsageError(f"no task is in the range {quoted(text)}; the plan has {_some(ids)}")
            return found
    return []


def _is_between(name: str, prefix: str, low: int, high: int) -> bool:
    parts = _PARTS.fullmatch(name)
    return parts is not None and parts[1].casefold() == prefix.casefold() and low <= int(parts[2]) <= high


def _tagged(document: PlanDocument, wanted: list[str]) -> set[str]:
    """Return the ids of tasks with one of these tags; UsageError for a tag that no task has."""
    known = {tag.casefold() for task in document.tasks for tag in task.tags}
    for tag in wanted:
        if tag.casefold() not in known:
            raise UsageError(
                f"no task has the tag {quoted(tag)}{did_you_mean(tag, sorted(known))}; tags: {_some(sorted(known))}"
            )
    folded = {tag.casefold() for tag in wanted}
    return {task.id for task in document.tasks if folded & {tag.casefold() for tag in task.tags}}


def _in_sections(document: PlanDocument, wanted: list[str]) -> set[str]:
    """Return the ids of tasks below one of these headings; UsageError for a heading that is not there."""
    found: set[str] = set()
    for word in wanted:
        below = {task.id for task in document.tasks if any(_plain(word) in _plain(one) for one in _headings(task))}
        if not below:
            headings = dict.fromkeys(one for task in document.tasks for one in _headings(task) if one)
            raise UsageError(f"no section is called {quoted(word)}; sections: {_some(headings)}")
        found |= below
    return found


def _headings(task: PlanTask) -> tuple[str, str]:
    return task.section, task.phase


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _plain(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", text.casefold())).strip()


def _some(names: Iterable[str]) -> str:
    every = list(names)
    shown_ones = ", ".join(every[:_SOME])
    return (f"{shown_ones}, ... ({len(every)} in all)" if len(every) > _SOME else shown_ones) or "none"
