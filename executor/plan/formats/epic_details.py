"""Details of an epic's tasks: sections for issues and tasks, their dependencies in words, the graph."""

from __future__ import annotations

import re
from bisect import bisect_right

from executor.plan.formats import epic_graph
from executor.plan.formats.item_text import decoded
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.formats.markdown_items import Lines

_SECTION = lazy_regex.pattern(
    rb"^\#{2,6}[ \t]+(?:Issue[ \t]+\#(?P<issue>\d+)|Task[ \t]+\#?(?P<task>\d+)):?[ \t]*(?P<title>[^\r\n]*)",
    re.MULTILINE,
)
_ISSUE = lazy_regex.pattern(r"\(?(?:Issue\s+)?#(\d+)\)?\s*$")
_FIELD = lazy_regex.pattern(
    r"^[ \t]*(?:[-*+][ \t]+)?\*\*([A-Z][A-Za-z ]{1,30})(?::\*\*|\*\*:)[ \t]*([^\n]*)", re.MULTILINE
)
_BULLET = lazy_regex.pattern(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+(?:\[[^\]\n]{0,3}\][ \t]*)?([^\n]*)", re.MULTILINE)
_NUMBERS = lazy_regex.pattern(r"#?(\d+)")
_TASKS = lazy_regex.pattern(r"\bTasks?\s+((?:#?\d+(?:\s*(?:-|–)\s*#?\d+)?(?:\s*(?:,|and|&|/)\s*)*)+)", re.IGNORECASE)
_ISSUES = lazy_regex.pattern(r"(?:\bIssues?\s+|(?<![\w#]))((?:#\d+(?:\s*(?:,|and|&)\s*)*)+)", re.IGNORECASE)
_ALL = lazy_regex.pattern(r"\ball\s+(?:previous|prior|preceding|other|earlier)\b", re.IGNORECASE)
_NONE = lazy_regex.pattern(r"\W*(?:none|no dependencies|n/a|-|—)?\W*", re.IGNORECASE)


class Detail(Record):
    """A section of a task or an issue: `issue` is its key, `number` that of the task, "" for an issue's own."""

    issue: str
    number: str
    title: str
    start: int
    fields: Mapping[str, tuple[str, ...]]
    body: str


def details(lines: Lines) -> list[Detail]:
    """Return the sections of tasks and issues; what stands in a closed fence is an example."""
    found = [one for one in _SECTION.finditer(lines.data) if not _is_hidden(lines, one.start())]
    outer = [one.start() for one in lines.headings if len(one[5]) <= 3]
    starts = sorted({*(one.start() for one in found), *outer, len(lines.data)})
    made = []
    for one in found:
        end = starts[bisect_right(starts, one.start())]
        made.append(_detail(one, _visible(lines, one.end(), end)))
    return made


def _visible(lines: Lines, start: int, end: int) -> str:
    """Return the text of a span without closed fences and comments."""
    text = b""
    for region in lines.regions:
        if region.hidden and start <= region.start < end:
            text, start = text + lines.data[start : region.start], min(region.end, end)
    return decoded(text + lines.data[start:end])


def _is_hidden(lines: Lines, offset: int) -> bool:
    return any(one.hidden and one.start <= offset < one.end for one in lines.regions)


def _detail(match: re.Match[bytes], body: str) -> Detail:
    title = decoded(match["title"]).strip()
    issue = _ISSUE.search(title)
    key = decoded(match["issue"]) if match["issue"] else issue[1] if issue else ""
    number = decoded(match["task"]) if match["task"] else ""
    title = title[: issue.start()].strip() if issue and number else title
    return Detail(key or f"task-{number}", number, title, match.start(), _fields(body), body)


def _fields(body: str) -> dict[str, tuple[str, ...]]:
    marks = [*_FIELD.finditer(body)]
    found = {}
    for at, mark in enumerate(marks):
        until = marks[at + 1].start() if at + 1 < len(marks) else len(body)
        under = [] if mark[2].strip() else [one.strip() for one in _BULLET.findall(body[mark.end() : until])]
        found[mark[1].strip().lower()] = tuple(one for one in (mark[2].strip(), *under) if one)
    return found


def stated(detail: Detail, by_number: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the issues that a task's Dependencies name, and sentences there that name none."""
    edges: list[str] = []
    prose: list[str] = []
    for text in detail.fields.get("dependencies", ()) or detail.fields.get("depends on", ()):
        named = _named(text, detail, by_number)
        edges += named
        if not named and not _NONE.fullmatch(text) and not text.lower().startswith("none"):
            prose.append(text)
    return [one for one in dict.fromkeys(edges) if one != detail.issue], prose


def _named(text: str, detail: Detail, by_number: Mapping[str, str]) -> list[str]:
    if _ALL.search(text):
        return [issue for number, issue in by_number.items() if int(number) < int(detail.number or 0)]
    found: list[str] = []
    for many in _TASKS.findall(text):
        found += [by_number.get(one, f"task-{one}") for one in _unfolded(many)]
    rest = _TASKS.sub("", text)
    for many in _ISSUES.findall(rest):
        found += _NUMBERS.findall(many)
    return found


def _unfolded(text: str) -> list[str]:
    found: list[str] = []
    for first, last in re.findall(r"#?(\d+)(?:\s*(?:-|–)\s*#?(\d+))?", text):
        found += [str(number) for number in range(int(first), int(last or first) + 1)][:1000]
    return found


def drawn(lines: Lines, known: Iterable[str]) -> tuple[list[tuple[str, str]], int]:
    """Return the edges of the graphs in fences between known issues, and the offset of the first graph."""
    names = frozenset(known)
    found: list[tuple[str, str]] = []
    where = -1
    for region in lines.regions:
        if region.kind == "fence":
            text = decoded(lines.data[region.start : region.end]).partition("\n")[2]
            edges = [edge for edge in epic_graph.edges(text) if names & {*edge}]
            found += edges
            where = region.start if edges and where < 0 else where
    return list(dict.fromkeys(found)), where


def reached(edges: Mapping[str, Iterable[str]], one: str) -> set[str]:
    """Return all that an issue depends on, directly or over others."""
    found: set[str] = set()
    todo = [*edges[one]]
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo += edges.get(other, ())
    return found
