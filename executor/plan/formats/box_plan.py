"""Plans whose tasks are list items with boxes: the fields of their tasks, what is ambiguous, one box changed."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from hashlib import sha1

from executor.plan.formats import item_text, prose_edges
from executor.plan.formats.doubled_ids import nths, places_of_doubled
from executor.plan.formats.lazy_task import LazyDocument, lazy_tasks
from executor.plan.formats.markdown_items import BOX, HASHES, HEAD, REST, heading_text, patterns
from executor.plan.formats.markdown_lines import scan
from executor.plan.formats.model import (
    CANCELLED,
    DONE,
    FAILED,
    OPEN,
    Finding,
    MarkError,
    text_digest,
)
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence
    from typing import Any

    from executor.plan.formats.markdown_items import Lines
    from executor.plan.formats.model import PlanDocument, PlanTask, TaskMark

DECORATION = b"*~[]`:"
_PATH = lazy_regex.pattern(r"(?<![\w/.:-])(?:[\w.-]+/)+[\w.-]*\w/?|(?<![\w/.-])[\w-]+\.(?:[a-z]{1,4}\d?)(?![\w/])")


class BoxPlan:
    """A source of tasks: one method a field, given the place of the task. Formats override what they do otherwise."""

    head = b""  # pattern of the ids that tasks begin with
    bare = b""  # pattern of those ids that make a task of an item without a box
    id_pattern = ""  # the same, as it stands in sentences
    states: Mapping[bytes, str] = {b" ": OPEN, b"x": DONE, b"X": DONE}
    boxes: Mapping[str, bytes] = {DONE: b"x", FAILED: b" "}
    format = ""
    made = "task-"  # what a made id begins with
    is_ordered = True

    def __init__(self, path: str, data: bytes) -> None:
        self.path, self.data = path, data
        self.has_made_ids = False
        self.lines = self.scanned(data)
        self.rows: Sequence[re.Match[bytes]] = self.find_rows()
        self.ids: list[str] = self.find_ids()
        self.findings: list[Finding] = []
        self.doubts: dict[int, str] = {}
        self.find_doubts()

    # What a document is made of.

    def scanned(self, data: bytes) -> Lines:
        """Return the items and headings of the file."""
        return scan(data, self.head, self.bare)

    def find_rows(self) -> Sequence[re.Match[bytes]]:
        """Return the items that are tasks, in the order of the document."""
        return self.lines.items

    def find_ids(self) -> list[str]:
        """Return the id of each task: its own, or one made of its title."""
        if not self.rows:
            return []
        heads = b"\n".join([row[HEAD] or b"" for row in self.rows])
        ids = heads.translate(None, DECORATION).decode("utf-8", "replace").split("\n")
        self.has_made_ids = "" in ids
        return [one.strip() or self.made_id(place) for place, one in enumerate(ids)] if self.has_made_ids else ids

    def made_id(self, place: int) -> str:
        """Return an id for a task that has none: it stays while the title stays."""
        return self.made + sha1(self.title(place).casefold().encode(), usedforsecurity=False).hexdigest()[:6]

    def find_doubts(self) -> None:
        """Find the tasks that are never marked, and why."""
        lines = self.lines
        if lines.file_doubt:
            self.doubts = dict.fromkeys(range(len(self.rows)), lines.file_doubt)
        elif lines.contexts:
            for place, row in enumerate(self.rows):
                context = lines.contexts.get(row.start())
                if context and (context.doubt or row[BOX] not in self.states):
                    self.check(place, row)
        if self.has_made_ids:
            for place, row in enumerate(self.rows):
                if not row[HEAD] and row[REST] is not None and not row[REST].strip():
                    self.doubts.setdefault(place, "it has no text")
        self._check_twice()
        for region in lines.regions:
            if region.is_unclosed:
                self.find(region.start, "unclosed-fence", f"the {region.kind} that begins here must end somewhere")

    def check(self, place: int, row: re.Match[bytes]) -> None:
        """Check one task that is no plain item."""
        doubt = self.lines.doubt(row.start())
        box = row[BOX]
        if box is None:
            self.doubts[place] = "it has no box"
            self.find(row.start(), "no-box", f"{self.ids[place]} has no box: write `- [ ] ` before it")
        elif self.state_of(box) is None:
            shown = item_text.decoded(box)
            self.doubts[place] = f"the mark [{shown}] is none of the format's"
            known = ", ".join(f"[{item_text.decoded(mark)}]" for mark in self.states)
            self.find(
                row.start(), "unknown-mark", f"{self.ids[place]} has the mark [{shown}]: it must be one of {known}"
            )
        elif doubt:
            self.doubts[place] = doubt

    def _check_twice(self) -> None:
        self.has_twice = len(set(self.ids)) < len(self.ids)
        self._nths = nths(self.ids) if self.has_twice else []
        if not self.has_twice:
            return
        at = places_of_doubled(self.ids, counts=lambda place: not self.is_cancelled(place))
        for one, places in at.items():
            numbers = ", ".join(str(self.line(place)) for place in places)
            for place in places:
                if not self.is_cancelled(place):
                    self.doubts.setdefault(place, f"its id stands on lines {numbers}")
            message = f"{one} stands on lines {numbers}, so none of them is ticked: each task must have its own id"
            self.findings.append(Finding(self.path, self.line(places[-1]), "doubled-id", message))

    def find(self, offset: int, kind: str, message: str) -> None:
        """Keep a finding at the line of an offset."""
        self.findings.append(Finding(self.path, self.lines.line_of(offset), kind, message))

    def document(self) -> PlanDocument:
        """Return the plan."""
        return LazyDocument(
            lambda: lazy_tasks(self, self.fields_of_all()),
            format=self.format,
            findings=tuple(self.findings),
            title=self.document_title(),
            ordered=self.is_ordered,
            gates=self.gates(),
        )

    def fields_of_all(self) -> dict[str, Sequence[Any]]:
        """Return the fields that are cheaper to derive for all tasks at once, by name."""
        places = range(len(self.rows))
        found: dict[str, Sequence[Any]] = {"id": self.ids, "order": places}
        if self.id_pattern:
            found["depends_on"] = [*map(self.depends_on, places)]
        if not self.lines.contexts and not self.has_twice:
            found["nth"] = [1] * len(self.rows)
        return found

    @cached_property
    def places_with_cue(self) -> set[int]:
        """Return the tasks in whose block a word stands that may begin a dependency."""
        starts = [row.start() for row in self.rows]
        return {bisect_right(starts, offset) - 1 for offset in prose_edges.cues(self.data)}

    def gates(self) -> tuple[PlanTask, ...]:
        """Return the boxes that are conditions and no tasks."""
        return ()

    def document_title(self) -> str:
        """Return the first heading of level 1."""
        return next((heading_text(one) for one in self.lines.headings[:20] if one[HASHES] == b"#"), "")

    def state_of(self, box: bytes) -> str | None:
        """Return the state of a box, blanks beside its mark ignored; None for a mark that the format has not."""
        return self.states.get(box) or (self.states.get(box.strip()) if len(box) > 1 else None)

    # The fields of a task. Of a field without a method the default holds.

    def id(self, place: int) -> str:
        return self.ids[place]

    def title(self, place: int) -> str:
        return item_text.one_line(self.rest(place))

    def rest(self, place: int) -> bytes:
        """Return the text of a task behind its id, over all its lines."""
        row = self.rows[place]
        return self.data[row.start(REST) : item_text.paragraph_end(self.lines, row.start())[0]]

    def is_cancelled(self, place: int) -> bool:
        """Return True for a task that is struck out."""
        return False

    def state(self, place: int) -> str:
        if self.is_cancelled(place):
            return CANCELLED
        if place in self.doubts:
            return OPEN
        return self.state_of(self.rows[place][BOX]) or OPEN

    def file(self, place: int) -> str:
        return self.path

    def line(self, place: int) -> int:
        return self.lines.line_of(self.rows[place].start())

    def digest(self, place: int) -> str:
        return text_digest(item_text.decoded(self.line_without_state(place)))

    def line_without_state(self, place: int) -> bytes:
        """Return the line of a task without what a mark changes."""
        return item_text.ITEM_BOX.sub(rb"\1", self._raw_line(self.rows[place].start())).strip()

    def _raw_line(self, start: int) -> bytes:
        end = self.data.find(b"\n", start)
        return self.data[start : len(self.data) if end < 0 else end]

    def nth(self, place: int) -> int:
        return self._nths[place] if self.has_twice else 1

    def order(self, place: int) -> int:
        return place

    def depends_on(self, place: int) -> tuple[str, ...]:
        if not self.id_pattern or place not in self.places_with_cue:
            return ()
        found, own = prose_edges.dependencies(self.text(place), self.id_pattern, self.ids), self.ids[place]
        return tuple(one for one in found if one != own)

    def parent(self, place: int) -> str:
        offset = self.lines.parent(self.rows[place].start())
        found = self._places.get(offset, -1)
        return self.ids[found] if found >= 0 else ""

    @cached_property
    def _places(self) -> dict[int, int]:
        return {row.start(): place for place, row in enumerate(self.rows)}

    def section(self, place: int) -> str:
        over = self.lines.headings_over(self.rows[place].start())
        return heading_text(over[-1]) if over else ""

    def files(self, place: int) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_PATH.findall(self.title(place))))

    def block(self, place: int) -> bytes:
        """Return all bytes of a task: its line, and what stands under it up to the next task."""
        row = self.rows[place]
        after = self.rows[place + 1 : place + 2]
        limit = self.lines.line_start(after[0].start()) if after else len(self.data)
        if limit == row.end() + 1:  # the next task is on the next line
            return row[0].rstrip(b" \t\r")
        return self.data[row.start() : item_text.block_end(self.lines, row.start(), max(limit, row.end()))]

    def criteria(self, place: int) -> tuple[str, ...]:
        return tuple(item_text.one_line(one) for one in item_text.CHILD_BOX.findall(self.block(place)))

    def notes(self, place: int) -> tuple[str, ...]:
        boxes = {one.strip() for one in item_text.CHILD_BOX.findall(self.block(place))}
        found = (one.strip() for one in item_text.CHILD.findall(self.block(place)))
        return tuple(item_text.one_line(one) for one in found if one and one not in boxes)

    def text(self, place: int) -> str:
        """Return all that a task asks for: its text and what stands under it, without boxes."""
        raw = self.block(place)[self.rows[place].start(REST) - self.rows[place].start() :]
        return item_text.one_line(item_text.without_boxes(raw))

    def ambiguous(self, place: int) -> str:
        return self.doubts.get(place, "it is cancelled" if self.is_cancelled(place) else "")

    # Marks.

    def place_of(self, task: PlanTask) -> int:
        """Return the place of a task that was read before; MarkError when it is gone, changed or ambiguous."""
        place = -1
        try:
            for _ in range(task.nth):
                place = self.ids.index(task.id, place + 1)
        except ValueError:
            raise MarkError(f"{self.path}: task {task.id} is no longer there: read the plan again") from None
        if doubt := self.ambiguous(place):
            raise MarkError(f"{self.path}:{self.line(place)}: {task.id} is not marked: {doubt}")
        if self.digest(place) != task.digest:
            raise MarkError(f"{self.path}:{self.line(place)}: the line of {task.id} has changed: read the plan again")
        return place

    def marked(self, place: int, mark: TaskMark) -> bytes:
        """Return the changed bytes of the file, the same ones when the mark stands already."""
        wanted = self.boxes.get(mark.state)
        if wanted is None:
            raise MarkError(f"{self.path}: {self.format} has no mark for {mark.state}: it stays in the side file")
        state = self.state(place)
        if state == (OPEN if mark.state == FAILED else mark.state):
            return self.data
        row = self.rows[place]
        changed = self.data[: row.start(BOX)] + wanted + self.data[row.end(BOX) :]
        again = patterns(self.head, self.bare).item.match(changed, row.start())
        if again is None or again[BOX] != wanted or again.group(HEAD, REST) != row.group(HEAD, REST):
            raise MarkError(f"{self.path}:{self.line(place)}: the mark of {self.ids[place]} does not read back")
        return changed
