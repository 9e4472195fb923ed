"""Tasks of spec-kit in all dialects: boxes with ids, headings with ids, and both for one task."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

from executor.plan.formats import gates, item_text, spec_kit_prose
from executor.plan.formats.box_plan import BoxPlan
from executor.plan.formats.markdown_items import BOX, HASHES, HEAD, REST, heading_text
from executor.plan.formats.model import DONE, FAILED, OPEN, MarkError
from executor.plan.formats.spec_kit_headings import DONE_SIGN, ID, fields, heading_tasks, state_of, without_sign
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from executor.plan.formats.model import PlanTask, TaskMark
    from executor.plan.formats.spec_kit_headings import HeadingTask

_ID = ID.encode()
_RANGE = rb"(?:[ \t]?(?:-|\xe2\x80\x93|\xe2\x80\x94|\.\.)[ \t]?" + _ID + rb")?"
_LABELS = lazy_regex.pattern(r"[*~`\]:\s]*((?:\[[^\]\[\n]{1,24}\]\s*)+)")
_PARALLEL = lazy_regex.pattern(rb"[*~`\]:\s]*(?:\[[^\]\[\n]{1,24}\]\s*)*?\[(?:[^\]\[\n]*\+)?P(?:\+[^\]\[\n]*)?\]")
_LABEL = lazy_regex.pattern(r"\[([^\]]+)\]")
_PHASE = lazy_regex.pattern(r"\bPhase\b", re.IGNORECASE)
_PLACEHOLDER = lazy_regex.pattern(rb"[\s*`\[]*TX{2,}")
_PRIORITY = lazy_regex.pattern(r"Priority:?\s*P(\d)", re.IGNORECASE)


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
        self.phases: dict[int, str] = {}  # by the offset of the heading
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
        if row[HEAD] is None and self.lines.parent(row.start()) >= 0:
            return False  # a criterion of the task that holds it
        over = self._heading_task(row.start())
        if row[HEAD] and row[BOX] is not None:
            if over and over.id == self._own(row):
                self.twin[row.start()] = over
            return True
        if row[HEAD]:
            return self._is_bare_task(row)
        if _PLACEHOLDER.match(row[REST]) or over:
            return False
        if gates.is_gate(self.lines, row):
            self.gate_rows.append(row)
            return False
        return True

    def _is_bare_task(self, row: re.Match[bytes]) -> bool:
        section = " / ".join(heading_text(one) for one in self.lines.headings_over(row.start()))
        known = self._own(row) in self.boxed or self._own(row) in {one.id for one in self.by_heading.values()}
        in_prose = spec_kit_prose.SECTION.search(section) or not _PHASE.search(section)
        return not (known or in_prose or spec_kit_prose.PROSE.match(row[REST]))

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

    def fields_of_all(self) -> dict[str, Sequence[Any]]:
        """Return the parts of the order of tasks; headings and items with a doubt are derived one by one."""
        found = super().fields_of_all()
        rows, data, states, label = self.rows, self.data, self.states, _PARALLEL.match
        odd = (
            {*self.doubts} | {place for place, row in enumerate(rows) if row[HASHES]}
            if self.by_heading
            else {*self.doubts}
        )
        if b"~~" in data:
            odd |= {place for place in range(len(rows)) if self.is_cancelled(place)}
        phases = self._all_phases()
        return found | {
            "phase": phases,
            "after_phase": [*map(bool, phases)],
            "state": [
                self.state(place) if place in odd else states.get(row[BOX]) or self.state(place)
                for place, row in enumerate(rows)
            ],
            "ambiguous": [self.ambiguous(place) if place in odd else "" for place in range(len(rows))],
            "parallel": [
                self.parallel(place) if place in odd else label(data, row.start(REST)) is not None
                for place, row in enumerate(rows)
            ],
            "parent": [self.parent(place) for place in range(len(rows))] if self.lines.contexts else [""] * len(rows),
            **({} if self.by_heading or b"est" in data.lower() else {"estimate_h": [0.0] * len(rows)}),
        }

    @cached_property
    def places_with_cue(self) -> set[int]:
        """Return the tasks that may have a dependency; the text of a heading may stand above the box of its task."""
        return {*range(len(self.rows))} if self.by_heading else super().places_with_cue

    def _all_phases(self) -> list[str]:
        """Return the phase of each task; between two headings it is the same."""
        if self.by_heading:
            return [self.phase(place) for place in range(len(self.rows))]
        starts = [row.start() for row in self.rows]
        bounds = [bisect_right(starts, heading.start()) for heading in self.lines.headings] + [len(starts)]
        found = [""] * bounds[0]
        for heading, first, last in zip(self.lines.headings, bounds, bounds[1:], strict=False):
            found += [self._phase_over(self.lines.headings_over(heading.start()))] * (last - first)
        return found

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
        return item_text.one_line(self.title(place).encode() + item_text.without_boxes(b"\n" + self.block(place)))

    def depends_on(self, place: int) -> tuple[str, ...]:
        """Return the edges of the task's own lines and those that a section about dependencies adds."""
        stated = self._stated_by_id.get(self.ids[place], ())
        return tuple(dict.fromkeys((*self.own_edges(place), *stated))) if stated else self.own_edges(place)

    def own_edges(self, place: int) -> tuple[str, ...]:
        """Return the edges of the task's own lines."""
        return tuple([self._holder.get(one, one) for one in super().depends_on(place)])

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
        return self._phase_over(self.lines.headings_over(self.rows[place].start() - 1))

    def _phase_over(self, over: tuple[re.Match[bytes], ...]) -> str:
        """Return the heading of the phase among those that hold a task, "" for none."""
        last = over[-1].start() if over else -1
        if last not in self.phases:
            self.phases[last] = next((text for text in map(heading_text, over) if _PHASE.search(text)), "")
        return self.phases[last]

    def section(self, place: int) -> str:
        over = [one for one in self.lines.headings_over(self.rows[place].start()) if one.start() not in self.by_heading]
        return heading_text(over[-1]) if over else ""

    def after_phase(self, place: int) -> bool:
        return bool(self.phase(place))

    def priority(self, place: int) -> int:
        found = _PRIORITY.search(self.phase(place))
        return int(found[1]) if found else 0

    def estimate_h(self, place: int) -> float:
        return spec_kit_prose.hours(self.text(place))

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
