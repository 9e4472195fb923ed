"""Marks of Flow: a status in words, a box, or a sign behind a title, in the file's own spelling of emoji."""

from __future__ import annotations

import re

from executor.plan.formats import flow_signs as signs
from executor.plan.formats.item_text import paragraph_end
from executor.plan.formats.markdown_items import BOX, HASHES, REST
from executor.plan.formats.model import DONE, FAILED, OPEN, STARTED, MarkError
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.flow import FlowPlan
    from executor.plan.formats.model import TaskMark

_TICKS = tuple(one.encode() for one in (signs.TICK, signs.mangled(signs.TICK)))
_GLASSES = tuple(one.encode() for one in (signs.GLASS, signs.mangled(signs.GLASS)))
_SELECTOR = rb"(?:\xef\xb8\x8f)?"
_TICK = rb"(?:" + rb"|".join(_TICKS) + rb")" + _SELECTOR
_GLASS = rb"(?:" + rb"|".join(_GLASSES) + rb")" + _SELECTOR
_COMMENT = rb"<\#(?:(?!\#>).)*\#>"
# The end of a title that says done: a tick, a date, comments.
_DONE_END = lazy_regex.pattern(
    rb"[ \t]*" + _TICK + rb"(?:[ \t]*\d{4}-\d\d-\d\d)?(?:\s*" + _COMMENT + rb")*[ \t]*\Z", re.DOTALL
)
_GLASS_END = lazy_regex.pattern(rb"[ \t]*" + _GLASS + rb"[ \t]*\Z")
_OWN = lazy_regex.pattern(rb"[ \t]*<\#(?:(?!\#>).)*?\btask_\w+[ \t]*\#>", re.DOTALL)
_STATUS = lazy_regex.pattern(rb"(\**Status(?::\*\*|\*\*:|__:|:__))([ \t]*)(.*)\Z", re.DOTALL | re.IGNORECASE)
_WORDS = {DONE: "✅ Done", FAILED: "🟡 To Do", STARTED: "In Progress"}


def marked(plan: FlowPlan, place: int, mark: TaskMark) -> bytes:
    """Return the changed bytes; MarkError for a box and the mark of a start."""
    if mark.state not in _WORDS:
        raise MarkError(f"{plan.path}: flow has no mark for {mark.state}: it stays in the side file")
    if plan.state(place) == (OPEN if mark.state == FAILED else mark.state):
        return plan.data
    row = plan.mark_row(place)
    if plan.nodes[place].status is not None:
        changed = _status(plan, row, mark)
    elif row[HASHES] is None and row[BOX] is not None:
        changed = _box(plan, row, mark)
    else:
        changed = _title(plan, row, mark)
    again = type(plan)(plan.path, changed)
    if again.ids != plan.ids or again.state(place) != (OPEN if mark.state == FAILED else mark.state):
        raise MarkError(f"{plan.path}:{plan.line(place)}: the mark of {plan.ids[place]} does not read back")
    return changed


def _spelled(plan: FlowPlan, text: str) -> bytes:
    """Return text with emoji as the file spells them."""
    glyphs = [one for one in signs.GLYPHS if one in text]
    is_mangled = any(signs.mangled(one).encode() in plan.data for one in signs.GLYPHS)
    for one in glyphs if is_mangled else ():
        text = text.replace(one, signs.mangled(one))
    return text.encode()


def _comment(mark: TaskMark, word: str = "") -> str:
    stated = " ".join(one for one in (word, mark.time[:10], mark.task_id) if one)
    return f"<# {stated} #>" if stated else ""


def _text_span(plan: FlowPlan, row: re.Match[bytes]) -> tuple[int, int]:
    if row[HASHES]:
        return row.start(), row.start() + len(row[0].rstrip())
    end, is_certain = paragraph_end(plan.lines, row.start())
    if not is_certain:
        line = plan.lines.line_of(row.start())
        raise MarkError(f"{plan.path}:{line}: it is not certain where the text of this item ends")
    return row.start(REST), end


def _status(plan: FlowPlan, row: re.Match[bytes], mark: TaskMark) -> bytes:
    start, end = _text_span(plan, row)
    found = _STATUS.search(plan.data[start:end])
    if found is None:
        raise MarkError(f"{plan.path}:{plan.lines.line_of(start)}: the status cannot be told from its name")
    kept = b"".join(b" " + one for one in re.findall(rb"(?s)" + _COMMENT, _OWN.sub(b"", found[3])))
    comment = f" {_comment(mark)}" if mark.state == DONE else ""
    value = _spelled(plan, f"{_WORDS[mark.state]}{comment}".rstrip())
    at = start + found.start(3)
    return plan.data[:at] + (b"" if found[2] else b" ") + value + kept + plan.data[end:]


def _box(plan: FlowPlan, row: re.Match[bytes], mark: TaskMark) -> bytes:
    if mark.state == STARTED:
        raise MarkError(f"{plan.path}: a box of flow has no mark for started: it stays in the side file")
    start, end = _text_span(plan, row)
    text = _DONE_END.sub(b"", plan.data[start:end])
    if mark.state == DONE:
        text = _GLASS_END.sub(b"", text)
        text += _spelled(plan, f" ✅ {_comment(mark, 'Done')}".rstrip())
    box = b"x" if mark.state == DONE else b" "
    return plan.data[: row.start(BOX)] + box + plan.data[row.end(BOX) : start] + text + plan.data[end:]


def _title(plan: FlowPlan, row: re.Match[bytes], mark: TaskMark) -> bytes:
    start, end = _text_span(plan, row)
    text = plan.data[start:end]
    if row[HASHES] and text.endswith(b"#"):
        raise MarkError(f"{plan.path}:{plan.lines.line_of(start)}: a heading that ends with # has no place for a mark")
    text = _DONE_END.sub(b"", _GLASS_END.sub(b"", text))
    if mark.state == DONE:
        text = _done_title(plan, text, mark)
    else:
        text = re.sub(_TICK + rb"[ \t]*", b"", text)
        text += _spelled(plan, " ⏳") if mark.state == STARTED else b""
    return plan.data[:start] + text + plan.data[end:]


def _done_title(plan: FlowPlan, text: bytes, mark: TaskMark) -> bytes:
    glass = re.search(_GLASS, text)
    if glass is None:
        return text + _spelled(plan, f" ✅ {mark.time[:10]} {_comment(mark.replace(time=''))}".rstrip())
    ticked = text[: glass.start()] + _spelled(plan, signs.TICK) + text[glass.end() :]
    return ticked + f" {_comment(mark, 'Done')}".encode()
