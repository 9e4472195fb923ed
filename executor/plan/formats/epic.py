"""Epics of GitHub: sections for issues and tasks, a graph, and a checklist whose boxes are the tasks."""

from __future__ import annotations

import re

from executor.plan.formats import item_text
from executor.plan.formats.box_format import SIDE_FILE, BoxFormat
from executor.plan.formats.box_plan import BoxPlan
from executor.plan.formats.epic_details import details, drawn, reached, stated
from executor.plan.formats.gates import gate
from executor.plan.formats.markdown_items import BOX, HASHES, HEADING, REST, heading_text
from executor.plan.formats.model import DONE, FAILED, OPEN, MarkError
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from executor.plan.formats.epic_details import Detail
    from executor.plan.formats.model import PlanTask, TaskMark

_SIGNS = lazy_regex.pattern(
    rb"^\#{2,6}[ \t]+(?:Issue[ \t]+\#\d+|Task[ \t]+\#?\d+:[^\n]*\(Issue[ \t]+\#\d+\))"
    rb"|^[ \t]*[-*+][ \t]+\[[ xX]\][ \t]+(?:Task[ \t]+\#\d+|\#\d+\b|https?://\S+/issues/\d+"
    rb"|[^\n]*\((?:Issue[ \t]+)?\#\d+\)[ \t\r]*$)",
    re.MULTILINE,
)
_REFERENCE = lazy_regex.pattern(r"/issues/(\d+)\b|\((?:Issue\s+)?#(\d+)\)\s*$|^\s*#(\d+)\b|\bIssue\s+#(\d+)")
_TASK = lazy_regex.pattern(r"^\s*\**Task\s+#?(\d+)\**\s*[:.-]?\s*")
_AROUND = lazy_regex.pattern(r"^(?:#\d+\b|https?://\S+)\s*[-–—:]*\s*|\s*\((?:Issue\s+)?#\d+\)\s*$")
_CHECKLIST = lazy_regex.pattern(r"checklist|tasks?|issues?|progress|tracking", re.IGNORECASE)


class EpicPlan(BoxPlan):
    """An epic. A row is a box of the checklist, or the section of a task that has no box."""

    format = "epic"
    made = "e-"
    is_ordered = False
    boxes: Mapping[str, bytes] = {DONE: b"x", FAILED: b" "}

    def find_rows(self) -> Sequence[re.Match[bytes]]:
        """Return the boxes that name an issue or a task, and the sections of tasks that no box names."""
        self.sections = details(self.lines)
        self.by_number = {one.number: one.issue for one in self.sections if one.number}
        self.tasks: dict[str, Detail] = {one.issue: one for one in self.sections if one.number}
        self.issues: dict[str, Detail] = {one.issue: one for one in self.sections if not one.number}
        self.gate_rows: list[re.Match[bytes]] = []
        kept = [row for row in self.lines.items if self._is_row(row)]
        named = {self.issue_of(row) for row in kept}
        wanted = {
            one.start for one in self.sections if one.issue not in named and (one.number or one.issue not in self.tasks)
        }
        return sorted(
            [*kept, *(row for row in self.lines.headings if row.start() in wanted)], key=lambda row: row.start()
        )

    def issue_of(self, row: re.Match[bytes]) -> str:
        """Return the number of the issue that a box names, "" for none."""
        text = item_text.one_line(row[REST])
        found = _REFERENCE.search(text)
        if found:
            return next(one for one in found.groups() if one)
        task = _TASK.match(text)
        return self.by_number.get(task[1], f"task-{task[1]}") if task else ""

    def _is_row(self, row: re.Match[bytes]) -> bool:
        if self.issue_of(row):
            return True
        over = self.lines.headings_over(row.start())
        nearest = heading_text(over[-1]) if over else ""
        if self.lines.parent(row.start()) >= 0 or nearest.startswith(("Task ", "Issue #")):
            return False
        if _CHECKLIST.search(nearest):
            return True
        self.gate_rows.append(row)
        return False

    def find_ids(self) -> list[str]:
        by_start = {one.start: one.issue for one in self.sections}
        found = [by_start[row.start()] if row[HASHES] else self.issue_of(row) for row in self.rows]
        self.has_made_ids = "" in found
        return [one or self.made_id(place) for place, one in enumerate(found)]

    def find_doubts(self) -> None:
        super().find_doubts()
        known = {*self.ids, *self.tasks, *self.issues}
        edges, where = drawn(self.lines, known)
        self.drawn: dict[str, list[str]] = {}
        for before, after in edges:
            self.drawn.setdefault(after, []).append(before)
        self.stated = {one.issue: stated(one, self.by_number) for one in self.tasks.values()}
        self._compare_edges(where)
        self._compare_states()

    def _compare_edges(self, where: int) -> None:
        in_words = {one: edges for one, (edges, _) in self.stated.items()}
        in_graph = {one: self.drawn.get(one, []) for many in self.drawn.items() for one in (many[0], *many[1])}
        for one, edges in in_words.items():
            drawn_here = self.drawn.get(one, ())
            added = [other for other in edges if other in in_graph and other not in drawn_here]
            missed = [other for other in drawn_here if other not in edges]
            if one not in in_graph or not (added or missed):
                continue
            by_graph, by_words = reached(in_graph, one), reached(in_words, one)
            added = [other for other in added if other not in by_graph]
            missed = [other for other in missed if other not in by_words]
            if added or missed:
                words, graph = _names(edges), _names(self.drawn.get(one, ()))
                line = self.lines.line_of(where)
                message = f"#{one} depends on {words} here and on {graph} in the graph, line {line}: both must agree"
                self.find(self.tasks[one].start, "edges-differ", message)

    def _compare_states(self) -> None:
        for place, row in enumerate(self.rows):
            issue = self.issues.get(self.ids[place])
            stated = (issue.fields.get("state", ("",))[0:1] or ("",))[0].upper() if issue else ""
            state = self.state(place)
            if row[HASHES] or not issue or stated not in ("OPEN", "CLOSED") or (stated == "CLOSED") == (state == DONE):
                continue
            line = self.lines.line_of(issue.start)
            hint = f"gh issue close {self.ids[place]}" if state == DONE else "tick the box, or open the issue"
            message = f"#{self.ids[place]} is {state} by its box and {stated} in line {line}: both must agree ({hint})"
            self.find(row.start(), "states-differ", message)

    def check(self, place: int, row: re.Match[bytes]) -> None:
        if row[HASHES] is None:
            super().check(place, row)

    # The fields of a task.

    def title(self, place: int) -> str:
        row = self.rows[place]
        text = heading_text(row) if row[HASHES] else item_text.one_line(self.rest(place))
        text = _AROUND.sub("", _TASK.sub("", text, count=1)).strip()
        text = re.sub(r"^Issue\s+#\d+\s*[:-]?\s*", "", text)
        section = self.tasks.get(self.ids[place]) or self.issues.get(self.ids[place]) if hasattr(self, "ids") else None
        return _AROUND.sub("", text).strip() or (
            section.title if section else f"#{self.ids[place]}" if hasattr(self, "ids") else ""
        )

    def state(self, place: int) -> str:
        row = self.rows[place]
        if row[HASHES] is None:
            return super().state(place)
        issue = self.issues.get(self.ids[place])
        stated = issue.fields.get("state", ("",)) if issue else ("",)
        return DONE if stated and stated[0].upper() == "CLOSED" else OPEN

    def line_without_state(self, place: int) -> bytes:
        row = self.rows[place]
        return row[HEADING].strip() if row[HASHES] else super().line_without_state(place)

    def depends_on(self, place: int) -> tuple[str, ...]:
        """Return the union of the edges in words and in the graph."""
        one = self.ids[place]
        return tuple(dict.fromkeys((*self.stated.get(one, ([], []))[0], *self.drawn.get(one, ()))))

    def parent(self, place: int) -> str:
        return "" if self.rows[place][HASHES] else super().parent(place)

    def block(self, place: int) -> bytes:
        return b"" if self.rows[place][HASHES] else super().block(place)

    def text(self, place: int) -> str:
        section = self.tasks.get(self.ids[place])
        return " ".join((self.title(place), *(section.body.split() if section else ())))

    def tags(self, place: int) -> tuple[str, ...]:
        issue = self.issues.get(self.ids[place])
        named = issue.fields.get("labels", ()) if issue else ()
        return tuple(one.strip(" `") for many in named for one in many.split(",") if one.strip(" `"))

    def criteria(self, place: int) -> tuple[str, ...]:
        section = self.tasks.get(self.ids[place])
        named = [many for name, many in section.fields.items() if "accept" in name] if section else []
        return tuple(one for many in named for one in many) or super().criteria(place)

    def notes(self, place: int) -> tuple[str, ...]:
        section = self.tasks.get(self.ids[place])
        prose = self.stated.get(self.ids[place], ([], []))[1]
        pitfalls = section.fields.get("potential pitfalls", ()) if section else ()
        return (*(f"needs: {one}" for one in prose), *(f"risk: {one}" for one in pitfalls))

    def gates(self) -> tuple[PlanTask, ...]:
        return tuple(gate(self.path, self, row) for row in self.gate_rows if row[BOX] is not None)

    def marked(self, place: int, mark: TaskMark) -> bytes:
        if self.rows[place][HASHES]:
            raise MarkError(f"{self.path}:{self.line(place)}: #{self.ids[place]} has no box: add it to the checklist")
        return super().marked(place, mark)


def _names(ids: Sequence[str]) -> str:
    return ", ".join(f"#{one}" for one in sorted(ids)) or "nothing"


class Epic(BoxFormat):
    """A plan of an epic: the body of an issue, or a file beside it."""

    name = "epic"
    source = EpicPlan
    marks: Mapping[str, str] = {
        DONE: f"`[x]` in the box of the checklist; {SIDE_FILE}",
        FAILED: f"`[ ]` in the box of the checklist; {SIDE_FILE}",
    }

    def matches(self, path: str, data: bytes) -> bool:
        """Return True when sections or boxes name issues."""
        return bool(_SIGNS.search(data))
