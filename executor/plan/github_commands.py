"""Commands of `gh` that make an issue of each open task; they are printed for a person and never run."""

from __future__ import annotations

from shlex import quote

from executor.plan.formats.model import CANCELLED, DONE
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from executor.plan.formats.model import PlanDocument, PlanTask

EPIC = "epic"  # its tasks are issues already
MOST_TITLE, MOST_LABEL, MOST_BODY = 256, 50, 60_000  # characters that GitHub takes


def commands(document: PlanDocument, chosen: Collection[str], plan: str) -> Iterator[str]:
    """Yield the commands for the chosen tasks in document order; each value is quoted for a shell."""
    tasks = [task for task in document.tasks if task.id in chosen]
    if document.format == EPIC:
        yield from (f"gh issue close {quote(task.id)}" for task in tasks if task.state == DONE and task.id.isdecimal())
        return
    waiting = [task for task in tasks if task.state not in (DONE, CANCELLED)]
    for label in dict.fromkeys(label for task in waiting for label in _labels(task)):
        yield f"gh label create -- {quote(label)} || true"
    titles = {task.id: _line(task.label) for task in document.tasks}
    for task in waiting:
        labels = "".join(f" --label={quote(_field(label))}" for label in _labels(task))
        title, body = quote(_line(task.label)[:MOST_TITLE]), quote(_body(task, titles, plan))
        yield f"gh issue create --title={title}{labels} --body={body}"


def _labels(task: PlanTask) -> list[str]:
    return [one for one in (_line(tag)[:MOST_LABEL].strip() for tag in task.tags) if one]


def _field(label: str) -> str:
    """Return a label as `gh` reads it back: it takes a list with commas."""
    escaped = label.replace('"', '""')
    return f'"{escaped}"' if escaped != label or "," in label else label


def _body(task: PlanTask, titles: dict[str, str], plan: str) -> str:
    """Return the text of an issue: notes, criteria as boxes, dependencies, and where the task stands."""
    parts = [
        "\n".join(f"- {_line(one)}" for one in task.notes),
        "\n".join(f"- [ ] {_line(one)}" for one in task.criteria),
        "\n".join(f"Depends on: {titles.get(one, _line(one))}" for one in task.depends_on),
        f"Task {_line(task.id)} of {_line(plan)}",
    ]
    return "\n\n".join(part for part in parts if part)[:MOST_BODY]


def _line(value: str) -> str:
    """Return a text on one line, without control characters."""
    return "".join(one if one.isprintable() else " " for one in " ".join(value.split()))
