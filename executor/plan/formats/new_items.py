"""Tasks that are added to Markdown: an item, a heading or a step behind another one, in its form."""

from __future__ import annotations

import re

from executor.errors import SpecError
from executor.plan.formats import item_text
from executor.plan.formats.addition import next_id
from executor.plan.formats.flow import FlowPlan
from executor.plan.formats.flow_nodes import COMPLETED
from executor.plan.formats.kiro import KiroPlan
from executor.plan.formats.markdown_items import HASHES, HEAD, MARKER, REST, heading_text
from executor.plan.formats.model import MarkError
from executor.plan.formats.openspec import OpenSpecPlan
from executor.plan.formats.spec_kit_plan import SpecKitPlan
from executor.plan.spec import spec_md
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.addition import NewTask
    from executor.plan.formats.box_plan import BoxPlan
    from executor.plan.formats.model import Files, PlanDocument

SOURCES: dict[str, type[BoxPlan]] = {
    "spec-kit": SpecKitPlan, "openspec": OpenSpecPlan, "kiro": KiroPlan, "flow": FlowPlan,
}  # fmt: skip
_BEHIND_ID = re.compile(rb"[*~`\]]*[:.)]?(?=[ \t\r]|\Z)")
_PLAIN_ID = re.compile(r"[A-Za-z-]*(?:\d+\.)*\d+[A-Za-z]?")
_NUMBERED = re.compile(r"(\d+)\.")


def step(path: str, files: Files, document: PlanDocument, new: NewTask) -> Files:
    """Return SPEC.md with a line for the next number."""
    if new.section or new.after:
        raise MarkError(f"{path}: steps stand in the order of their numbers: leave out --after and --section")
    number = max(int(one) for one in (*(task.id for task in document.tasks), *new.taken) if one.isdecimal()) + 1
    try:
        return {path: spec_md.append_line(files[path], number, new.title)}
    except SpecError as error:
        raise MarkError(f"{path}: {error}") from None


def item(path: str, files: Files, document: PlanDocument, new: NewTask) -> Files:
    """Return the file with an item, or a heading where tasks are headings, behind its model."""
    plan = SOURCES[document.format](path, files[path])
    place, heading_at = _model(plan, new)
    row = plan.rows[place]
    name = "" if plan.ids[place].startswith(plan.made) or isinstance(plan, FlowPlan) else plan.ids[place]
    if name and heading_at >= 0 and "." in name and (found := _NUMBERED.match(_heading_at(plan, heading_at))):
        name = f"{found[1]}.1"
    elif name:
        name = next_id([*plan.ids, *new.taken], name)
    is_heading = row[HASHES] is not None
    line = _heading_line(plan, place, name, new) if is_heading else _item_line(plan, place, name, new)
    at = _end_of_section(plan, heading_at) if heading_at >= 0 else _end_of_task(plan, place)
    return {path: with_lines(plan.data, at, line, apart=is_heading or heading_at >= 0)}


def _heading_at(plan: BoxPlan, offset: int) -> str:
    return next(heading_text(one) for one in plan.lines.headings if one.start() == offset)


def _model(plan: BoxPlan, new: NewTask) -> tuple[int, int]:
    """Return the place of the task that the new one is like, and the offset of a heading without tasks, else -1."""
    if new.after:
        return plan.ids.index(new.after.id), -1
    usable = [place for place in range(len(plan.rows)) if place not in plan.doubts and not plan.parent(place)]
    usable = [place for place in usable if _PLAIN_ID.fullmatch(plan.ids[place])] or usable
    if not usable:
        raise MarkError(f"{plan.path} has no task to take as a model")
    if not new.section:
        wanted = [at for at in usable if not (isinstance(plan, FlowPlan) and COMPLETED.search(plan.section(at)))]
        return (wanted or usable)[-1], -1
    headings = [one for one in plan.lines.headings if new.section.casefold() in heading_text(one).casefold()]
    exact = [one for one in headings if heading_text(one).casefold() == new.section.casefold()]
    if len(exact or headings) != 1:
        names = ", ".join(heading_text(one) for one in headings) or "none"
        raise MarkError(f"{plan.path}: --section {new.section}: must name one heading; found: {names}")
    heading = (exact or headings)[0]
    end = _next_heading(plan, heading)
    inside = [at for at in usable if heading.start() <= plan.rows[at].start() < end]
    return (inside[-1], -1) if inside else (usable[-1], heading.start())


def _next_heading(plan: BoxPlan, heading: re.Match[bytes]) -> int:
    level = len(heading[HASHES])
    later = (one for one in plan.lines.headings if one.start() > heading.start() and len(one[HASHES]) <= level)
    return next((one.start() for one in later), len(plan.data))


def _item_line(plan: BoxPlan, place: int, name: str, new: NewTask) -> bytes:
    """Return the line of an item like the one at a place: its indent, marker and the form of its id."""
    row, data = plan.rows[place], plan.data
    indent = data[plan.lines.line_start(row.start()) : row.start()].removeprefix(b"\xef\xbb\xbf")
    marker = row[MARKER]
    if indent.strip(b" \t>"):
        raise MarkError(f"{plan.path}:{plan.line(place)}: {plan.ids[place]} stands behind another marker; name another")
    if marker[:1].isdigit():
        marker = str(int(marker[:-1]) + 1).encode() + marker[-1:]
    line = indent + marker + b" [ ] "
    if name:
        head = row[HEAD] or b""
        own = re.search(re.escape(plan.ids[place]).encode() + rb"(\.?)", head)
        behind = _BEHIND_ID.match(row[REST] or b"")
        opening, point = (head[: own.start()].replace(b"~~", b""), own[1]) if own else (b"", b"")
        closing = (behind[0] if behind else b"").replace(b"~~", b"")
        if opening and closing[:1] not in (b"*", b"`", b"]"):
            opening = b""  # it encloses the title, too
        line += opening + name.encode() + point + closing + b" "
    return line + new.title.encode()


def _heading_line(plan: BoxPlan, place: int, name: str, new: NewTask) -> bytes:
    """Return a heading like the one at a place: its level, and the words around its id."""
    row, title = plan.rows[place], new.title.encode()
    text = heading_text(row)
    if not name:
        return row[HASHES] + b" " + title
    before, found, behind = text.partition(plan.ids[place])
    if not found:
        raise MarkError(f"{plan.path}:{plan.line(place)}: the heading of {plan.ids[place]} does not hold its id")
    sign = re.match(r"\**\s*[:.\-–—]?", behind)
    before = before.replace("✅", "").lstrip()
    return row[HASHES] + f" {before}{name}{sign[0].rstrip() if sign else ''} ".encode() + title


def _end_of_task(plan: BoxPlan, place: int) -> int:
    """Return the offset behind all that belongs to a task."""
    row = plan.rows[place]
    if row[HASHES] is None:
        return item_text.block_end(plan.lines, row.start(), len(plan.data))
    return _behind_text(plan.data, _next_heading(plan, row))


def _end_of_section(plan: BoxPlan, offset: int) -> int:
    heading = next(one for one in plan.lines.headings if one.start() == offset)
    return _behind_text(plan.data, _next_heading(plan, heading))


def _behind_text(data: bytes, end: int) -> int:
    return len(data[:end].rstrip(b" \t\r\n"))


def with_lines(data: bytes, at: int, text: bytes, *, apart: bool) -> bytes:
    """Return the text with lines behind the line that ends at an offset, apart with a blank line before them."""
    end = data.find(b"\n", at)
    end = len(data) if end < 0 else end - (data[end - 1 : end] == b"\r")
    eol = b"\r\n" if b"\r\n" in data else b"\n"
    has_next = apart and data[end:].lstrip(b"\r")[:1] == b"\n" and data[end + len(eol) :].strip() != b""
    below = eol if has_next and not data[end + len(eol) :].startswith((b"\n", b"\r\n")) else b""
    return data[:end] + eol * (2 if apart else 1) + text.replace(b"\n", eol) + below + data[end:]


def block(path: str, files: Files, document: PlanDocument, new: NewTask) -> Files:
    """Return the file of spec-runner with a heading and its line of priority and state."""
    from executor.plan.formats.spec_runner import META, blocks_of

    data = files[path]
    text = data.decode("utf-8")
    found = blocks_of(text)
    usable = [one for one in found if one.meta and not one.lines[0].unclosed]
    wanted = [one for one in usable if new.section.casefold() in one.section.casefold()]
    model = next((one for one in found if new.after and one.id == new.after.id), wanted[-1] if wanted else None)
    if model is None or model.meta is None:
        raise MarkError(f"{path}: --section {new.section}: no task stands there to take as a model")
    line, meta = model.meta
    opening = META.match(line.text)
    sign = f"⬜{meta['blank'] or ' '}" if meta["emoji"] else ""
    lead = line.text[: opening.start("emoji") if meta["emoji"] else opening.start("word")] if opening else ""
    name = next_id([*(task.id for task in document.tasks), *new.taken], model.id)
    last = model.lines[-1]
    at = _behind_text(data, len(text[: last.start + len(last.text)].encode()))
    added = f"### {name}: {new.title}\n{lead}{sign}TODO"
    return {path: with_lines(data, at, added.encode(), apart=True)}
