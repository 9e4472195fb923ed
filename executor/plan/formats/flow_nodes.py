"""The tasks of a Flow file: headings and items of many shapes, and what belongs to each."""

from __future__ import annotations

import re

from executor.plan.formats import flow_signs as signs
from executor.plan.formats.item_text import BLOCK, decoded, paragraph_end
from executor.plan.formats.markdown_items import BOX, HASHES, HEADING, MARKER, REST, heading_text
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.markdown_items import Lines

_ATTRIBUTE = lazy_regex.pattern(
    r"^(?:\*\*|__)([A-Z][\w /&()-]{1,40}?)\s*(?::\s*(?:\*\*|__)|(?:\*\*|__)\s*:)\s*(.*)", re.DOTALL
)
ATTRIBUTES = frozenset(
    [
        "goal",
        "goals",
        "context",
        "step",
        "steps",
        "sub-tasks",
        "sub-task",
        "subtasks",
        "tasks",
        "plan",
        "implementation",
        "implementation",
        "plan/sub-tasks",
        "testing",
        "priority",
        "status",
        "files",
        "updates",
        "update",
        "notes",
        "note",
        "description",
        "objective",
        "objectives",
        "requirements",
        "rationale",
        "owner",
        "effort",
        "estimate",
        "dependencies",
        "benefits",
        "approach",
        "blockers",
        "outcome",
        "outcomes",
        "result",
        "results",
        "references",
        "related",
        "background",
        "problem",
        "solution",
        "scope",
        "details",
        "example",
        "examples",
        "design",
        "risks",
        "risk",
        "deliverables",
        "criteria",
    ]
) | {
    *("implementation plan", "testing strategy", "depends on", "success criteria", "acceptance criteria", "next steps"),
    *("technical details", "affected files", "key files", "estimated effort", "current state", "sub tasks", "due date"),
    *("done so far", "remaining work", "open questions", "status indicators", "files to change", "blocked by"),
}
_PARTS = lazy_regex.pattern(r"sub-?\s?tasks?|^tasks$|plan|steps", re.IGNORECASE)
_SUBTASKS = lazy_regex.pattern(r"sub-?\s?tasks?|^tasks$", re.IGNORECASE)
_NO_TASKS = lazy_regex.pattern(
    r"guideline|template|legend|instruction|how to|convention|^rules|indicator|^notes?$|^format|emoji|glossary"
    r"|reference|changelog|overview|^about|^introduction|principles|meta",
    re.IGNORECASE,
)
TASK_SECTION = lazy_regex.pattern(
    r"\btasks?\b|active|upcoming|backlog|to ?do|in progress|planned|future|current|complete|done", re.IGNORECASE
)
COMPLETED = lazy_regex.pattern(r"\b(?:completed?|done|finished|archived?)\b", re.IGNORECASE)
_GROUP = lazy_regex.pattern(r"\bpriorit(?:y|ies)\b", re.IGNORECASE)
BLANKS = " \t\r\n"  # a no-break blank may be the last byte of a mangled sign
EDGE = lazy_regex.pattern(
    r"[*_]{1,2}(depends on|prerequisite for|blocked by|requires)\s*:\**\s*([^*_\n]+)", re.IGNORECASE
)


class Node:
    """A task of a Flow file: the line of its title, and the lines under it that are its attributes."""

    def __init__(self, row: re.Match[bytes], raw: str, section: str, parent: Node | None) -> None:
        self.row, self.raw, self.section, self.parent = row, raw, section, parent
        self.title = signs.title(raw)
        self.status: re.Match[bytes] | None = None
        self.status_value = ""
        self.attributes: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self.edges: list[tuple[str, str]] = []
        self.priority = signs.priority(raw) if row[HASHES] or parent is None else 0

    @property
    def path(self) -> str:
        """The titles of the task and those that hold it, as they are compared."""
        above = f"{self.parent.path} / " if self.parent else ""
        return above + signs.key(self.title)


class _Held:
    """An item or heading that is open: its task, or the attribute of a task under which items stand."""

    def __init__(self, start: int, node: Node | None, attribute: str) -> None:
        self.start, self.node, self.attribute = start, node, attribute


class Outline:
    """Headings and items in the order of the document become tasks, attributes and notes."""

    def __init__(self, lines: Lines) -> None:
        self.lines, self.nodes = lines, list[Node]()
        self.section, self.is_open, self.group = "", True, 0
        self.over: list[tuple[int, Node]] = []  # headings that are tasks, with their level
        self.held: dict[int, _Held] = {}
        self.has_sections = any(_is_section(one) and TASK_SECTION.search(heading_text(one)) for one in lines.headings)
        inside = {lines.line_start(one.start()) for one in lines.items}
        headings = [one for one in lines.headings if lines.line_start(one.start()) not in inside]
        for row in sorted([*headings, *lines.items], key=lambda one: one.start()):
            if row[HASHES]:
                self._heading(row)
            else:
                self._item(row)

    def _heading(self, row: re.Match[bytes]) -> None:
        text, level = heading_text(row), len(row[HASHES])
        self.over = [(depth, node) for depth, node in self.over if depth < level]
        if level <= 2:
            known = not self.has_sections or TASK_SECTION.search(text)
            self.section, self.group = text, 0
            self.is_open = bool(known) and not (_NO_TASKS.search(text) and level == 2)
        elif self.is_open and _GROUP.search(text):
            self.group = signs.priority(text)
        elif self.is_open:
            self._add(
                row,
                f"{'#' * level} {decoded(row[HEADING] or b'').strip(BLANKS)}",
                self.over[-1][1] if self.over else None,
            )
            self.over.append((level, self.nodes[-1]))

    def _add(self, row: re.Match[bytes], raw: str, parent: Node | None) -> Node:
        node = Node(row, raw, self.section, parent)
        node.priority = node.priority or (self.group if parent is None else 0)
        self.nodes.append(node)
        return node

    def _item(self, row: re.Match[bytes]) -> None:
        if not self.is_open:
            return
        above = self.held.get(self.lines.parent(row.start()))
        task = above.node if above else self.over[-1][1] if self.over else None
        attribute = above.attribute if above else ""
        raw = decoded(self.lines.data[row.start(REST) : paragraph_end(self.lines, row.start())[0]])
        if task:
            task.edges += [(found[1].lower(), found[2].strip()) for found in EDGE.finditer(raw)]
        named = _ATTRIBUTE.match(signs.plain(raw).lstrip("".join(signs.GLYPHS) + " "))
        name = named[1].strip().lower() if named else ""
        if row[BOX] is None and BLOCK.match(row[REST].strip()) and not raw.startswith("#"):
            self.held[row.start()] = _Held(row.start(), task, attribute)  # it holds a block and no text of its own
        elif named and name in ATTRIBUTES and row[BOX] is None:
            self._attribute(row, task, name, named[2])
        elif self._is_task(row, raw, task, attribute):
            node = self._add(row, raw, task)
            self.held[row.start()] = _Held(row.start(), node, "")
        else:
            self._note(row, task, attribute, raw)

    def _attribute(self, row: re.Match[bytes], task: Node | None, name: str, value: str) -> None:
        self.held[row.start()] = _Held(row.start(), task, name)
        if task is None:
            return
        if name == "status" and task.status is None:
            task.status, task.status_value = row, value
        elif name == "priority":
            task.priority = signs.priority(value) or task.priority
        elif name in ("depends on", "dependencies", "blocked by"):
            task.edges.append(("depends on", value))
        task.attributes.setdefault(name, []).extend([value.strip()] if value.strip() else [])

    def _note(self, row: re.Match[bytes], task: Node | None, attribute: str, raw: str) -> None:
        self.held[row.start()] = _Held(row.start(), task, attribute)
        if task is None or EDGE.search(raw):
            return
        text = " ".join(signs.COMMENT.sub("", raw).split())
        (task.attributes.setdefault(attribute, []) if attribute else task.notes).append(text)

    def _is_task(self, row: re.Match[bytes], raw: str, task: Node | None, attribute: str) -> bool:
        """Return True for an item that is a task: by a box, a sign, its place, or a bold title."""
        text = raw.strip()
        if not text and row[BOX] is None:
            return False
        if row[BOX] is not None or text.startswith("#"):
            return True
        if signs.is_note(text) or EDGE.match(text):
            return False
        if signs.leading_state_sign(text) or signs.title_state(text) is not None:
            return True
        is_bold = text.startswith("**")
        if _SUBTASKS.search(attribute) or (task is None and not attribute):
            return True
        is_phase = row[MARKER][:1].isdigit() and is_bold
        return is_phase and bool(_PARTS.search(attribute))


def _is_section(heading: re.Match[bytes]) -> bool:
    return len(heading[HASHES]) <= 2
