"""The tasks.md of Flow: sections, items of many shapes, states by words, boxes and signs."""

from __future__ import annotations

import re
from functools import cached_property
from hashlib import sha1

from executor.plan.formats import flow_signs as signs
from executor.plan.formats.box_format import BoxFormat
from executor.plan.formats.box_plan import BoxPlan
from executor.plan.formats.flow_marks import marked
from executor.plan.formats.flow_nodes import COMPLETED, Outline
from executor.plan.formats.item_text import decoded
from executor.plan.formats.markdown_items import BOX, HASHES
from executor.plan.formats.markdown_lines import scan
from executor.plan.formats.model import CANCELLED, DONE, FAILED, OPEN, STARTED
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from executor.plan.formats.flow_nodes import Node
    from executor.plan.formats.markdown_items import Lines
    from executor.plan.formats.model import TaskMark

_SIGNS = lazy_regex.pattern(
    rb"^##[ \t]+[^\n]*\b(?:Active|Upcoming|Completed)[ \t]+Tasks\b|<\#[ \t]*(?:Done|Completed|resumed|task_)\b",
    re.MULTILINE,
)
_STEP = lazy_regex.pattern(rb"\*\*STEP[ \t]+\d", re.IGNORECASE)
_MARKERS = r"(?m)^([ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)+)"  # one item may begin within another, on one line
_STATUS_LINE = lazy_regex.pattern(_MARKERS + r"\*\*Status(?::\*\*|\*\*:).*$")
_BOX = lazy_regex.pattern(_MARKERS + r"\[[^\]\n]{0,8}\]")


class FlowPlan(BoxPlan):
    """A tasks.md of Flow. A row is an item or a heading that is a task."""

    format = "flow"
    is_ordered = False
    states: Mapping[bytes, str] = {
        b" ": OPEN,
        b"x": DONE,
        b"X": DONE,
        signs.TICK.encode(): DONE,
        signs.mangled(signs.TICK).encode(): DONE,
    }

    def scanned(self, data: bytes) -> Lines:
        """Return all list items, not those with boxes alone."""
        return scan(data, every=True)

    def find_rows(self) -> Sequence[re.Match[bytes]]:
        """Return headings and items that are tasks."""
        self.nodes: list[Node] = Outline(self.lines).nodes
        self.place_of_node = {node: place for place, node in enumerate(self.nodes)}
        return [node.row for node in self.nodes]

    def find_ids(self) -> list[str]:
        """Return ids made of the titles, so that they stay when a task moves to another section."""
        return [f"F-{sha1(node.path.encode(), usedforsecurity=False).hexdigest()[:6]}" for node in self.nodes]

    def find_doubts(self) -> None:
        super().find_doubts()
        for place, node in enumerate(self.nodes):
            if node.status is not None and signs.status(node.status_value) is None:
                shown = " ".join(node.status_value.split())
                self.doubts.setdefault(place, f"its status {shown!r} is none of those known")
                self.find(
                    node.status.start(), "unknown-mark", f"{node.title}: the status {shown!r} must be a known one"
                )
            if node.status is not None and self.lines.doubt(node.status.start()):
                self.doubts.setdefault(place, self.lines.doubt(node.status.start()))
            self._compare_states(node)
        self.edges = self._find_edges()
        for node, name in self._unknown:
            message = f"{node.title!r} depends on {name!r}, which is the title of no task here: correct one of the two"
            self.find(node.row.start(), "unknown-dependency", message)

    def check(self, place: int, row: re.Match[bytes]) -> None:
        if row[HASHES] is None and row[BOX] is not None:
            super().check(place, row)
        elif doubt := self.lines.doubt(row.start()):
            self.doubts[place] = doubt

    def sources(self, node: Node) -> dict[str, str]:
        """Return the states that a task's own lines show, the one that counts first."""
        found = {"Status": signs.status(node.status_value) if node.status is not None else None}
        found["box"] = self.state_of(node.row[BOX]) if node.row[HASHES] is None and node.row[BOX] is not None else None
        found["title"] = signs.title_state(node.raw)
        return {name: state for name, state in found.items() if state}

    def _compare_states(self, node: Node) -> None:
        shown = self.sources(node)
        if len({state == DONE for state in shown.values()}) > 1:
            stated = ", ".join(f"{name}: {state}" for name, state in shown.items())
            self.find(node.row.start(), "states-differ", f"{node.title!r} shows {stated}: all of them must agree")
        elif signs.has_glass(node.raw) and DONE in shown.values():
            message = f"{node.title!r} has the sign of work in progress and is done: take one of the two away"
            self.find(node.row.start(), "states-differ", message)

    # The fields of a task.

    def title(self, place: int) -> str:
        return self.nodes[place].title

    def state(self, place: int) -> str:
        """Return the state of the status, else of the box, else of signs on the title, else of the section."""
        node = self.nodes[place]
        if place in self.doubts:
            return OPEN
        found = next(iter(self.sources(node).values()), None)
        if found is None and node.parent is None and COMPLETED.search(node.section):
            return DONE
        return found or OPEN

    def is_cancelled(self, place: int) -> bool:
        node = self.nodes[place]
        return node.status is not None and signs.status(node.status_value) == CANCELLED

    def mark_row(self, place: int) -> re.Match[bytes]:
        """Return the item or heading whose line a mark changes: that of the status, else that of the title."""
        return self.nodes[place].status or self.rows[place]

    def line(self, place: int) -> int:
        return self.lines.line_of(self.mark_row(place).start())

    def line_without_state(self, place: int) -> bytes:
        text = decoded(self._raw_line(self.mark_row(place).start()))
        if self.nodes[place].status is not None:
            return text.partition(":")[0].encode()
        return signs.without_state(_BOX.sub(r"\1[]", text)).encode()

    def section(self, place: int) -> str:
        return self.nodes[place].section

    def parent(self, place: int) -> str:
        above = self.nodes[place].parent
        return self.ids[self.place_of_node[above]] if above else ""

    def priority(self, place: int) -> int:
        return self.nodes[place].priority

    def depends_on(self, place: int) -> tuple[str, ...]:
        return tuple(self.edges.get(place, ()))

    @cached_property
    def _by_key(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for place, node in enumerate(self.nodes):
            found.setdefault(signs.key(node.title), []).append(place)
        return found

    @cached_property
    def _unknown(self) -> list[tuple[Node, str]]:
        return []

    def _find_edges(self) -> dict[int, dict[str, None]]:
        found: dict[int, dict[str, None]] = {}
        for place, node in enumerate(self.nodes):
            for kind, names in node.edges:
                for other in self._named(node, names):
                    one, before = (other, place) if kind == "prerequisite for" else (place, other)
                    if one != before:
                        found.setdefault(one, {})[self.ids[before]] = None
        return found

    def _named(self, node: Node, names: str) -> list[int]:
        """Return the tasks that titles name, one or several."""
        text = signs.COMMENT.sub("", names).strip(" .*_`")
        if signs.key(text) in ("", "none", "nothing", "n a"):
            return []
        whole = self._by_title(text)
        parts = [text] if whole is not None else re.split(r"\s*[,;]\s*(?:and\s+)?|\s+and\s+", text)
        found = [self._by_title(part) for part in parts]
        self._unknown.extend((node, part) for part, one in zip(parts, found, strict=True) if one is None)
        return [one for one in found if one is not None]

    def _by_title(self, text: str) -> int | None:
        wanted = signs.key(signs.title(text))
        exact = self._by_key.get(wanted, [])
        near = [places[0] for key, places in self._by_key.items() if wanted and key.startswith(wanted)]
        return exact[0] if exact else near[0] if len(near) == 1 else None

    def criteria(self, place: int) -> tuple[str, ...]:
        known = self.nodes[place].attributes
        return (*known.get("acceptance criteria", ()), *known.get("success criteria", ()), *known.get("criteria", ()))

    def notes(self, place: int) -> tuple[str, ...]:
        return tuple(self.nodes[place].notes)

    def files(self, place: int) -> tuple[str, ...]:
        stated = self.nodes[place].attributes.get("files", ())
        return tuple(dict.fromkeys((*super().files(place), *(one.strip("`") for one in stated))))

    def block(self, place: int) -> bytes:
        if self.rows[place][HASHES] is None:
            return super().block(place)
        start = self.rows[place].start()
        after = [row.start() for row in self.rows[place + 1 : place + 2]]
        after += [one.start() for one in self.lines.headings if one.start() > start][:1]
        limit = min([*map(self.lines.line_start, after), len(self.data)])
        return self.data[start:limit]

    def text(self, place: int) -> str:
        """Return title and attributes without what a mark changes."""
        under = decoded(self.block(place))
        return signs.without_state(_BOX.sub(r"\1", _STATUS_LINE.sub("", under)))

    def marked(self, place: int, mark: TaskMark) -> bytes:
        return marked(self, place, mark)


class Flow(BoxFormat):
    """Plans of the Flow System."""

    name = "flow"
    source = FlowPlan
    marks: Mapping[str, str] = {
        DONE: "`[x]` and ` ✅ <# Done DATE ID #>`; or `**Status**: ✅ Done <# DATE ID #>`; or ` ✅ DATE <# ID #>`",
        FAILED: "`[ ]`, or `**Status**: 🟡 To Do`, or no sign at the end",
        STARTED: "`**Status**: In Progress`, or ` ⏳` at the end; a box has none: side file",
    }

    def matches(self, path: str, data: bytes) -> bool:
        """Return True when a file has the sections or the comments of Flow."""
        return bool(_SIGNS.search(data)) and not _STEP.search(data)


__all__ = ["Flow", "FlowPlan"]
