"""The tasks.md of spec-kit in its dialects: boxes with ids, headings with ids, and both for one task."""

from __future__ import annotations

import re
from functools import cached_property

from executor.plan.formats import gates, item_text, spec_kit_prose
from executor.plan.formats.box_format import SIDE_FILE, BoxFormat
from executor.plan.formats.box_plan import BoxPlan, without_boxes
from executor.plan.formats.markdown_items import BOX, HASHES, HEAD, REST, heading_text
from executor.plan.formats.model import DONE, FAILED, OPEN, MarkError
from executor.plan.formats.spec_kit_headings import DONE_SIGN, ID, fields, heading_tasks, state_of, without_sign
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from executor.plan.formats.model import Files, PlanDocument, PlanTask, TaskMark
    from executor.plan.formats.spec_kit_headings import HeadingTask

_ID = ID.encode()
_RANGE = rb"(?:[ \t]?(?:-|\xe2\x80\x93|\xe2\x80\x94|\.\.)[ \t]?" + _ID + rb")?"
_SIGNS = lazy_regex.pattern(
    rb"^[ \t>]*(?:[-*+]|\d+[.)])[ \t\xc2\xa0]*\[[^\]\n]{0,3}\][ \t\xc2\xa0]*[*~`\[]*" + _ID
    + rb"|^\*\*ID\*\*:[ \t]*T-?\d"
    rb"|^\#{2,6}[ \t]+(?:\xe2\x9c\x85[ \t]*)?(?:Task[ \t]+)?(?:\d+\.\d+(?=[:. ])|" + _ID + rb")",
    re.MULTILINE,
)  # fmt: skip
_LABELS = lazy_regex.pattern(r"[*~`\]:\s]*((?:\[[^\]\[\n]{1,24}\]\s*)+)")
_LABEL = lazy_regex.pattern(r"\[([^\]]+)\]")
_PHASE = lazy_regex.pattern(r"\bPhase\b", re.IGNORECASE)
_GATE = lazy_regex.pattern(
    r"checkpoint|exit criteria|acceptance|definition of done|checklist|\bgates?\b|validation|success criteria",
    re.IGNORECASE,
)
_BOLD_LABEL = lazy_regex.pattern(rb"^[ \t]*\*\*([^*\n]+)\*\*:?[ \t\r]*$", re.MULTILINE)
_PLACEHOLDER = lazy_regex.pattern(rb"[\s*`\[]*TX{2,}")
# What follows the id of a line that speaks of tasks and is none.
_PROSE = lazy_regex.pattern(
    rb"[\s*`\])]*(?:[,;&+/(]|->|\xe2\x86\x92|(?:and|or|depends?|can|must|may|should|will|before|after|blocks?|is|are"
    rb"|needs?|requires?|through|to|in parallel|then|first|has|have)\b)",
    re.IGNORECASE,
)
_ESTIMATE = lazy_regex.pattern(r"\best(?:imate)?:\s*~?(\d+(?:\.\d+)?)\s*(m|min|h|hours?|d|days?)\b", re.IGNORECASE)
_PRIORITY = lazy_regex.pattern(r"Priority:?\s*P(\d)", re.IGNORECASE)
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 8.0}


class SpecKitPlan(BoxPlan):
    """A tasks.md of spec-kit. A row is an item, or a heading that is a task."""

    format = "spec-kit"
    head = rb"(?:\*\*|~~|\[|`)*" + _ID + _RANGE
    bare = rb"(?:\*\*|`)*" + _ID
    id_pattern = ID
    boxes: Mapping[str, bytes] = {DONE: b"X", FAILED: b" "}

    def find_rows(self) -> Sequence[re.Match[bytes]]:
        """Return items with ids and headings that are tasks; boxes without an id are criteria, gates or tasks."""
        self.by_heading = heading_tasks(self.lines)
        self.gate_rows: list[re.Match[bytes]] = []
        self.twin: dict[int, HeadingTask] = {}  # of an item: the heading of the same task
        items = self.lines.items
        if not self.lines.contexts and not self.by_heading and None not in [row[HEAD] for row in items]:
            return items
        self.boxed = {self._own(row) for row in items if row[HEAD] and row[BOX] is not None}
        kept = [row for row in items if self._is_row(row)]
        twins = {one.start for one in self.twin.values()}
        headings = [row for row in self.lines.headings if row.start() in self.by_heading and row.start() not in twins]
        return sorted([*kept, *headings], key=lambda row: row.start())

    @staticmethod
    def _own(row: re.Match[bytes]) -> str:
        return (row[HEAD] or b"").translate(None, b"*~[]`:").decode().strip()

    def _is_row(self, row: re.Match[bytes]) -> bool:
        over = self._heading_task(row.start())
        if row[HEAD] and row[BOX] is not None:
            if over and over.id == self._own(row):
                self.twin[row.start()] = over
            return True
        if row[HEAD]:
            return self._is_bare_task(row)
        if _PLACEHOLDER.match(row[REST]) or self.lines.parent(row.start()) >= 0 or over:
            return False
        if self._is_gate(row):
            self.gate_rows.append(row)
            return False
        return True

    def _is_bare_task(self, row: re.Match[bytes]) -> bool:
        section = " / ".join(heading_text(one) for one in self.lines.headings_over(row.start()))
        known = self._own(row) in self.boxed or self._own(row) in {one.id for one in self.by_heading.values()}
        in_prose = spec_kit_prose.SECTION.search(section) or not _PHASE.search(section)
        return not (known or in_prose or _PROSE.match(row[REST]))

    def _is_gate(self, row: re.Match[bytes]) -> bool:
        over = self.lines.headings_over(row.start())
        since = over[-1].end() if over else 0
        labels = _BOLD_LABEL.findall(self.data, since, row.start())
        return bool(_GATE.search(item_text.decoded(labels[-1]) if labels else heading_text(over[-1]) if over else ""))

    def _heading_task(self, offset: int) -> HeadingTask | None:
        over = self.lines.headings_over(offset) if self.by_heading else ()
        return next((found for one in reversed(over) if (found := self.by_heading.get(one.start()))), None)

    def task_heading(self, place: int) -> HeadingTask | None:
        """Return the heading that is this task, None for a box alone."""
        row = self.rows[place]
        return self.by_heading.get(row.start()) if row[HASHES] else self.twin.get(row.start())

    def find_ids(self) -> list[str]:
        if not self.by_heading:
            return super().find_ids()
        found = (self.by_heading[row.start()].id if row[HASHES] else self._own(row) for row in self.rows)
        return [one or self.made_id(place) for place, one in enumerate(found)]

    def check(self, place: int, row: re.Match[bytes]) -> None:
        super().check(place, row)
        if self.is_cancelled(place):
            self.doubts.pop(place, None)

    def find_doubts(self) -> None:
        super().find_doubts()
        for place, row in enumerate(self.rows if self.twin else ()):
            heading = self.twin.get(row.start())
            if heading and heading.state == DONE and self.state(place) == OPEN:
                line = self.lines.line_of(heading.start)
                message = (
                    f"{self.ids[place]} is done by its heading in line {line} and open by its box: both must agree"
                )
                self.find(row.start(), "states-differ", message)
        for one, stated, offset in self._stated:
            own = set(self.own_edges(self._place_of_id[one]))
            if own and not own >= set(stated):
                by_own, here = spec_kit_prose.names(own), spec_kit_prose.names(stated)
                message = f"{one} depends on {by_own} by its own line and on {here} here: both must agree"
                self.find(offset, "edges-differ", message)

    # The fields of a task.

    def title(self, place: int) -> str:
        heading = self.task_heading(place)
        if heading and self.rows[place][HASHES]:
            return heading.title
        text = item_text.one_line(self.rest(place))
        labels = _LABELS.match(text)
        text = (text[labels.end() :] if labels else text).lstrip("*~`]:–—- ")
        return text.replace("**", "").replace("~~", "").strip()

    def labels(self, place: int) -> tuple[str, ...]:
        """Return the labels of a task: `P`, stories, others."""
        heading = self.task_heading(place)
        found = _LABELS.match(item_text.decoded(self.rows[place][REST] or b""))
        named = [part for one in _LABEL.findall(found[1]) for part in one.split("+")] if found else []
        return tuple(dict.fromkeys((*named, *(heading.labels if heading else ()))))

    def tags(self, place: int) -> tuple[str, ...]:
        return tuple(one for one in self.labels(place) if one != "P")

    def parallel(self, place: int) -> bool:
        return "P" in self.labels(place)

    def is_cancelled(self, place: int) -> bool:
        return (self.rows[place][HEAD] or b"").startswith(b"~~") or (self.rows[place][REST] or b"").startswith(b"~~")

    def state(self, place: int) -> str:
        row = self.rows[place]
        if row[HASHES] is None:
            return super().state(place)
        return OPEN if place in self.doubts else self.by_heading[row.start()].state

    def line_without_state(self, place: int) -> bytes:
        return without_sign(self.rows[place][0]) if self.rows[place][HASHES] else super().line_without_state(place)

    def block(self, place: int) -> bytes:
        heading = self.task_heading(place)
        return self.data[heading.body_start : heading.end] if heading else super().block(place)

    def text(self, place: int) -> str:
        if self.task_heading(place) is None:
            return super().text(place)
        return item_text.one_line(self.title(place).encode() + without_boxes(b"\n" + self.block(place)))

    def depends_on(self, place: int) -> tuple[str, ...]:
        """Return the edges of the task's own lines and those that a section about dependencies adds."""
        return tuple(dict.fromkeys((*self.own_edges(place), *self._stated_by_id.get(self.ids[place], ()))))

    def own_edges(self, place: int) -> tuple[str, ...]:
        """Return the edges of the task's own lines."""
        found = super().depends_on(place)
        return tuple(self._holder.get(one, one) for one in found)

    @cached_property
    def _holder(self) -> dict[str, str]:
        """Return the line's id of each id that stands in a line for several tasks, such as T066a-T066c."""
        many = [one for one in self.ids if re.search(rf"{ID}.+{ID}", one)]
        return {part: one for one in many for part in spec_kit_prose.parts(one)}

    @cached_property
    def _stated(self) -> list[tuple[str, tuple[str, ...], int]]:
        return [*spec_kit_prose.edges(self.lines, self.ids)]

    @cached_property
    def _stated_by_id(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for one, before, _ in self._stated:
            found[one] = (*found.get(one, ()), *(other for other in before if other != one))
        return found

    @cached_property
    def _place_of_id(self) -> dict[str, int]:
        return {one: place for place, one in enumerate(self.ids)}

    def phase(self, place: int) -> str:
        over = (heading_text(one) for one in self.lines.headings_over(self.rows[place].start() - 1))
        return next((text for text in over if _PHASE.search(text)), "")

    def section(self, place: int) -> str:
        over = [one for one in self.lines.headings_over(self.rows[place].start()) if one.start() not in self.by_heading]
        return heading_text(over[-1]) if over else ""

    def after_phase(self, place: int) -> bool:
        return bool(self.phase(place))

    def priority(self, place: int) -> int:
        found = _PRIORITY.search(self.phase(place))
        return int(found[1]) if found else 0

    def estimate_h(self, place: int) -> float:
        found = _ESTIMATE.search(self.text(place))
        return round(float(found[1]) * _HOURS[found[2][0].lower()], 2) if found else 0.0

    def criteria(self, place: int) -> tuple[str, ...]:
        heading = self.task_heading(place)
        if heading is None:
            return super().criteria(place)
        return tuple(one for name, many in fields(heading.body).items() if "accept" in name for one in many)

    def files(self, place: int) -> tuple[str, ...]:
        heading = self.task_heading(place)
        stated = fields(heading.body) if heading else {}
        named = [one for name in ("files", "file", "component") for one in stated.get(name, ())]
        return tuple(dict.fromkeys((*super().files(place), *(one.strip("`") for one in named))))

    def notes(self, place: int) -> tuple[str, ...]:
        heading = self.task_heading(place)
        stated = fields(heading.body) if heading else {}
        return tuple(stated.get("description", ())) if heading else super().notes(place)

    def gates(self) -> tuple[PlanTask, ...]:
        """Return the boxes of checkpoints."""
        return tuple(gates.gate(self.path, self, row) for row in self.gate_rows)

    def marked(self, place: int, mark: TaskMark) -> bytes:
        row = self.rows[place]
        if row[HASHES] is None:
            return super().marked(place, mark)
        if mark.state not in self.boxes:
            raise MarkError(f"{self.path}: {self.format} has no mark for {mark.state}: it stays in the side file")
        if self.state(place) == (OPEN if mark.state == FAILED else mark.state):
            return self.data
        line = without_sign(row[0])
        if line.endswith(b"#"):
            raise MarkError(f"{self.path}:{self.line(place)}: a heading that ends with # has no place for a mark")
        changed = line + (DONE_SIGN if mark.state == DONE else b"") + (b"\r" if row[0].endswith(b"\r") else b"")
        if (state_of(changed) == DONE) != (mark.state == DONE):
            raise MarkError(f"{self.path}:{self.line(place)}: the mark of {self.ids[place]} does not read back")
        return self.data[: row.start()] + changed + self.data[row.end() :]


class SpecKit(BoxFormat):
    """Features of spec-kit: `specs/NNN-NAME/tasks.md`."""

    name = "spec-kit"
    source = SpecKitPlan
    marks: Mapping[str, str] = {
        DONE: f"`[X]` in the box, or ` ✅ COMPLETE` behind a heading; {SIDE_FILE}",
        FAILED: f"`[ ]` in the box, no sign behind a heading; {SIDE_FILE}",
    }

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for a box or a heading that begins with the id of a task."""
        return bool(_SIGNS.search(data))

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:
        """Return the checklists of the feature and the constitution of the project: both are read only."""
        return ("checklists/*.md", "../../.specify/memory/constitution.md")

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return the tasks, and as gates the boxes of checkpoints and checklists and the constitution's principles."""
        document = super().read(path, files)
        found = [one for name in files if name != path for one in gates.gates_of(name, files[name])]
        return document.replace(gates=(*document.gates, *found)) if found else document

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        if task.file not in ("", path):
            raise MarkError(f"{task.file}: checklists are read and never marked")
        return super().write(path, files, task, mark)
