"""A report that declares tasks by ranges: its phases, titles, edges, parallel groups and figures."""

from __future__ import annotations

import itertools
import re

from executor.plan.formats.report_ids import first_list, ids_in, last_list, ranges_in
from executor.plan.formats.report_parts import Declared, Group, Phase
from executor.plan.formats.task_files import lines_of
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.task_files import Line

ARROW = lazy_regex.pattern(r"[ \t]*(?:→|⇒|➜|➔|⟶|-->|->|=>)[ \t]*")
_PHASE = lazy_regex.pattern(
    r"[\s#>*|-]*(?:\d+[.)][ \t]+)?\**Phase[ \t]+(\w+)\**[ \t]*(?:[:.|(\u2013\u2014-]\**[ \t]*(.*))?$"
)
_SET = lazy_regex.pattern(
    r"[ \t]*(?:#+|[-*+|>]|\d+[.)])[ \t]*\**([^\W\d][^:(|\n]*?)\**[ \t]*[:(|\u2013\u2014-][ \t]*\**(.*)$"
)
_STORY_COUNT = lazy_regex.pattern(r"[\s>*-]*\**User Story[ \t]+(\d+)\**[^:\n]*:\**[ \t]*(\d+)[ \t]+tasks?\b")
_PRIORITY_COUNT = lazy_regex.pattern(r"[\s>*-]*\**P(\d)\b[^:\n]*:\**[ \t]*(\d+)[ \t]+tasks?\b")
_STORY = lazy_regex.pattern(r"User Story[ \t]+(\d+)|\bUS(\d+)\b")
_COUNT = lazy_regex.pattern(r"\b(\d+)[ \t]+tasks?\b|(?<=\|)[ \t]*(\d+)[ \t]*(?=\||$)")
_HOURS = lazy_regex.pattern(r"\b(\d+(?:\.\d+)?)(?:[ \t]*[-\u2013][ \t]*(\d+(?:\.\d+)?))?[ \t]*(?:hours?|hrs?|h)\b")
_TOTAL = lazy_regex.pattern(
    r"[\s>*-]*\**Total(?:[ \t]+Tasks)?\**[ \t]*:\**[ \t]*\**(\d+)\**(?:[ \t]+tasks?)?\**[ \t]*(?:\(.*\))?[ \t.]*$"
)
_TOTAL_HOURS = lazy_regex.pattern(
    r"[\s>*-]*\**Total\b[^:\n]*(?:time|hours|effort|estimate)[^:\n]*:\**[ \t]*(.*)$", re.IGNORECASE
)
_ITEM = lazy_regex.pattern(r"[\s>]*(?:[-*+]|\d+[.)])?[ \t]*\**([A-Z]{1,6}-?\d{2,5}[a-z]?)\**[ \t]*(.*)$")
_NAMED = lazy_regex.pattern(r"\(([^()]+)\)[ \t]*depends[ \t]+on\b", re.IGNORECASE)
_TITLED = lazy_regex.pattern(r"\**[ \t]*[:\u2013\u2014][ \t]*(\S.*)$")
_DEPENDS = lazy_regex.pattern(r"\b(?:depends?[ \t]+on|requires|blocked[ \t]+by)\b[ \t]*:?", re.IGNORECASE)
_AFTER = lazy_regex.pattern(r"\bafter\b", re.IGNORECASE)
_PARALLEL = lazy_regex.pattern(r"\b(?:in parallel|parallel(?:is|iz)able|concurrently)\b", re.IGNORECASE)
_SEQUENTIAL = lazy_regex.pattern(r"\b(\d+)[ \t]+(?:tasks?[ \t]+)?sequential", re.IGNORECASE)
_LABEL = lazy_regex.pattern(r"[ \t]*\[(?:P|US\d+|P\d)\]")
_DOWN = lazy_regex.pattern(r"[\s│|]*(?:↓|▼|⬇|[vV])[\s│|↓]*$")
_BRANCH = lazy_regex.pattern(r"[\s│|]*[├└]")
_PATH = lazy_regex.pattern(r"[\s>*-]*\**critical path\b[^:\n]*:", re.IGNORECASE)
_BOX = lazy_regex.pattern(r"[\s>]*(?:[-*+]|\d+[.)])[ \t]+\[[^\]]\]")
_NO_PLAN = lazy_regex.pattern(r"(?m)^(?:next steps?|.*checklist|validation|.*summary of changes)\b")


class Report:
    """A report as it is read, line by line."""

    def __init__(self, text: str, prefix: str) -> None:
        self.prefix = prefix
        self.phases: list[Phase] = []
        self.tasks: dict[str, Declared] = {}
        self.edges: dict[str, list[str]] = {}
        self.groups: list[Group] = []
        self.path: tuple[str, ...] = ()
        self.path_line = 0
        self.named: dict[str, int] = {}  # id -> the first line that names it
        self.titles: list[tuple[str, str, int]] = []
        self.totals: list[tuple[int, int]] = []  # count, line
        self.hours: tuple[float, float, int] = (-1.0, -1.0, 0)
        self.stories: list[tuple[str, int, int]] = []  # number, count, line
        self.priorities: list[tuple[int, int]] = []  # count, line
        self.sets: list[tuple[str, str, Line]] = []  # name, text behind it, line: what stands for a phase without one
        self.title = ""
        self._phase = ""
        self._since_heading: list[str] = []
        self._parallel_ids: list[str] = []
        self._above: list[str] = []  # the tasks above the last arrow that points down
        self._level: list[str] = []  # the tasks below it
        for line in lines_of(text):
            self._read(line)
        for name, rest, line in self.sets:
            if not set(ids_in(rest, prefix)) & self.tasks.keys():
                self._phase_line(line, name, rest, name)
        for one, title, _ in reversed(self.titles):
            if one in self.tasks:
                self.tasks[one] = self.tasks[one].replace(title=title)

    def _read(self, line: Line) -> None:
        text = line.text.rstrip("\r\n")
        if _BOX.match(text) or _NO_PLAN.search(line.section):
            return
        if not line.hidden and text.lstrip().startswith("#"):
            self._heading(text)
        for one in () if line.hidden else ids_in(text, self.prefix):
            self.named.setdefault(one, line.number)
        if self._is_path(line, text):
            self._critical(line, text)
        elif line.hidden:
            self._flows(text)
        elif not self._figures(line, text):
            self._flows(text)
            self._task_line(line, text)

    def _heading(self, text: str) -> None:
        self._since_heading, self._parallel_ids, self._above, self._level = [], [], [], []
        level = len(text.lstrip()) - len(text.lstrip().lstrip("#"))
        if not self.title and level == 1:
            self.title = text.lstrip("# \t").strip()
        if level <= 2 and not _PHASE.match(text):
            self._phase = ""

    # Figures

    def _figures(self, line: Line, text: str) -> bool:
        """Read a line of totals or of a phase; return True when it was one."""
        total, hours = _TOTAL.match(text), _TOTAL_HOURS.match(text)
        story, priority, phase = _STORY_COUNT.match(text), _PRIORITY_COUNT.match(text), _PHASE.match(text)
        if total:
            self.totals.append((int(total[1]), line.number))
        elif hours and (span := _hours(hours[1]))[0] >= 0:
            self.hours = (*span, line.number)
        elif story and not ids_in(text, self.prefix):
            self.stories.append((story[1], int(story[2]), line.number))
        elif priority:
            self.priorities.append((int(priority[2]), line.number))
        elif phase:
            self._phase_line(line, phase[1], phase[2] or "")
        return bool(total or story or priority or phase or (hours and _hours(hours[1])[0] >= 0))

    def _phase_line(self, line: Line, key: str, rest: str, called: str = "") -> None:
        ids = tuple(one for part in ranges_in(rest, self.prefix) for one in part) or ids_in(rest, self.prefix)
        count, story, priority = _COUNT.search(rest), _STORY.search(rest), re.search(r"[\[(]P(\d)[\])]", rest)
        name = _name(rest, self.prefix)
        known = next((one for one in self.phases if one.key == key), None)
        self._phase = called or (f"Phase {key}: {name}" if name else known.name if known else f"Phase {key}")
        if known and not (ids or count):
            return
        made = Phase(
            key,
            self._phase,
            line.number,
            ids,
            int(count[1] or count[2]) if count else -1,
            _hours(rest),
            (story[1] or story[2]) if story else "",
            int(priority[1]) if priority else 0,
        )
        self.phases.append(made)
        for one in ids:
            self._declare(one, line, self._phase)

    def _declare(self, one: str, line: Line, phase: str, section: str = "") -> None:
        known = self.tasks.get(one)
        if known is None:
            self.tasks[one] = Declared(one, line.number, phase, section)
        elif not known.phase and phase:
            self.tasks[one] = known.replace(phase=phase)
        if section and not self.tasks[one].section:
            self.tasks[one] = self.tasks[one].replace(section=section)

    # Tasks and edges

    def _task_line(self, line: Line, text: str) -> None:
        ids = ids_in(text, self.prefix)
        depends, chain = _DEPENDS.search(text), len(ARROW.split(text)) > 1
        parallel, after = _PARALLEL.search(text), _AFTER.search(text)
        if depends:
            before = first_list(text[depends.end() :], self.prefix)
            self._edges(last_list(text[: depends.start()], self.prefix), before)
        elif after and not chain:
            self._after(text[: after.start()], text[after.end() :], is_group=bool(parallel))
        if parallel:
            self._group(line, text, after.start() if after else len(text))
        elif ids and not chain:
            named = _SET.match(text)
            if named and ranges_in(named[2], self.prefix) and not ids_in(named[1], self.prefix):
                self.sets.append((named[1].strip(), named[2], line))
            self._item(line, text)
        if not parallel:
            self._since_heading += ids[:1] if depends else ids

    def _item(self, line: Line, text: str) -> None:
        """Read an item that begins with a task or a range: a title of the one, a section of the other."""
        found = _ITEM.match(text)
        if not found or not found[1].startswith(self.prefix):
            return
        spans = ranges_in(text, self.prefix)
        if spans and spans[0][0] == found[1]:
            label = re.search(r"\d\**[ \t]*[:(][ \t]*([^):]+)", found[2])
            for one in spans[0]:
                self._declare(one, line, self._phase, _without_marks(label[1]).strip(" *") if label else "")
            return
        named, titled = _NAMED.match(found[2]), _TITLED.match(found[2])
        if named or titled:
            title = named[1] if named else _without_marks(titled[1]) if titled else ""
            if titled and self._phase:
                self._declare(found[1], line, self._phase)
            self.titles.append((found[1], title.strip(" *"), line.number))
        if found[1] in self.tasks and "[P]" in text:
            self.tasks[found[1]] = self.tasks[found[1]].replace(parallel=True)
            self._parallel_ids.append(found[1])

    def _edges(self, after: tuple[str, ...] | list[str], before: tuple[str, ...] | list[str]) -> None:
        for one in after:
            known = self.edges.setdefault(one, [])
            known += [other for other in before if other != one and other not in known]

    def _after(self, head: str, tail: str, *, is_group: bool) -> None:
        """Read `A, B after C`, `After C: A, B`, and `N tasks can run in parallel after C` below its items."""
        before = first_list(tail, self.prefix)
        subject = ids_in(re.split(r"[.;][ \t]", head)[-1], self.prefix)
        if not subject:
            subject = first_list(tail.partition(":")[2], self.prefix) or (tuple(self._parallel_ids) if is_group else ())
        self._edges([one for one in subject if one not in before], before)

    def _group(self, line: Line, text: str, end: int) -> None:
        ids = ids_in(text[:end], self.prefix)
        count, sequential = _COUNT.search(text), _SEQUENTIAL.search(text)
        if count:
            group = ids or tuple(dict.fromkeys(self._parallel_ids))
            others = tuple(one for one in dict.fromkeys(self._since_heading) if one not in group)
            number = int(sequential[1]) if sequential else -1
            self.groups.append(Group(group, line.number, int(count[1]), number, others))
        elif ids:
            self.groups.append(Group(ids, line.number))
            self._parallel_ids += ids
            for one in ids:
                if one in self.tasks:
                    self.tasks[one] = self.tasks[one].replace(parallel=True)

    def _flows(self, text: str) -> None:
        """Read edges from chains, and from arrows that point down between lines of ids."""
        for before, after in itertools.pairwise(ARROW.split(text)):
            self._edges(first_list(after, self.prefix), last_list(before, self.prefix))
        ids = ids_in(text, self.prefix)
        if _DOWN.match(text):
            self._above, self._level = self._level or self._above, []
        elif not ids and text.strip("│| \t"):
            self._above, self._level = [], []
        elif ids and self._level and not _BRANCH.match(text):
            self._above, self._level = [], [*ids]
        elif ids:
            self._edges(ids, self._above)
            self._level += ids

    # The critical path

    def _is_path(self, line: Line, text: str) -> bool:
        return "critical path" in line.section or bool(_PATH.match(text))

    def _critical(self, line: Line, text: str) -> None:
        ids = ids_in(text, self.prefix)
        if not ids or text.lstrip().startswith("#"):
            return
        self.path = (*self.path, *(one for one in ids if one not in self.path))
        self.path_line = self.path_line or line.number
        found = _ITEM.match(text)
        titled = _TITLED.match(found[2]) if found else None
        if found and titled and len(ids) == 1:
            self.titles.append((found[1], _without_marks(titled[1]).strip(" *"), line.number))


def _name(text: str, prefix: str) -> str:
    """Return the name of a phase: what stands before its ids, counts and brackets."""
    dash = r"[-\u2013\u2014:]"
    end = rf"[ \t]*(?:[([|]|{dash}[ \t]*\d+[ \t]+tasks?|{dash}?[ \t]*\b{re.escape(prefix)}\d)"
    name = re.split(end, _without_marks(text))[0].strip(" *-:|")
    return "" if _COUNT.match(name) else name


def _without_marks(text: str) -> str:
    return _LABEL.sub("", text).replace("**", "")


def _hours(text: str) -> tuple[float, float]:
    found = _HOURS.search(text)
    return (float(found[1]), float(found[2] or found[1])) if found else (-1.0, -1.0)
