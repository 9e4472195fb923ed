"""What must hold of a plan before any of its steps is built."""

from __future__ import annotations

import re

from executor.plan.build import edge
from executor.plan.fields import Field
from executor.plan.issues import ValidationIssue, ValidationIssueError, not_defined
from executor.plan.patterns import STEP_KEY
from executor.plan.schema import unknown_key
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.plan.model import Edge

    Raw = Mapping[int, tuple[str, Mapping[str, Any]]]

SECTIONS: Mapping[str, type] = {
    "title": str,
    "depends_on": list,
    "pre_flight": list,
    "main": dict,
    "post_validation": list,
    "background": list,
}
_NOUNS: Mapping[type, str] = {str: "text", list: "a list", dict: "a mapping"}
_STEP_KEY = re.compile(STEP_KEY)
_KNOWN_ON_TOP = ["settings", "step_<number>_<name>", "x-<name>"]


class Structure(Record):
    """The steps as loaded, by ascending number, with everything wrong between them."""

    raw: Raw
    flaws: tuple[ValidationIssue, ...]


def structure_of(top: Mapping[str, Any]) -> Structure:
    """Return the steps of a loaded file; a step of the wrong type counts as an empty one."""
    raw: dict[int, tuple[str, Mapping[str, Any]]] = {}
    flaws: list[ValidationIssue] = []
    last = -1
    for key, body in top.items():
        found = _STEP_KEY.fullmatch(key)
        if not found:
            flaws += _odd_key(key)
            continue
        number, slug = int(found[1]), found[2]
        flaws += _misplaced(key, number, last, raw)
        flaws += _odd_sections(key, body)
        raw.setdefault(number, (slug, body if type(body) is dict else {}))
        last = max(last, number)
    ordered = dict(sorted(raw.items())) if flaws else raw
    return Structure(ordered, (*flaws, *_flaws_between(ordered)))


def key_of(number: int, slug: str) -> str:
    """Return the key under which a step stands."""
    return f"step_{number}_{slug}"


def _odd_key(key: str) -> Iterator[ValidationIssue]:
    if key == "settings" or key.startswith("x-"):
        return
    if key.lower().startswith("step"):
        said = "is no key of a step: write step_<number>_<name>, for example step_3_train (no zero in front)"
        yield ValidationIssue((key,), f"{quoted(key)} {said}")
    else:
        yield ValidationIssue((key,), unknown_key(key, _KNOWN_ON_TOP))


def _misplaced(key: str, number: int, last: int, raw: Raw) -> Iterator[ValidationIssue]:
    if number in raw:
        yield ValidationIssue(
            (key,), f"number {number} is used twice, first by {key_of(number, raw[number][0])}: number it anew"
        )
    elif number < last:
        yield ValidationIssue((key,), f"step {number} stands after step {last}: put the steps in ascending order")


def _odd_sections(key: str, body: object) -> Iterator[ValidationIssue]:
    if body is None:
        return
    if not isinstance(body, dict):
        yield ValidationIssue((key,), f"must be a mapping, got {quoted(body)}")
        return
    for name, section in body.items():
        kind = SECTIONS.get(name)
        if kind is None:
            yield ValidationIssue((key, name), unknown_key(name, list(SECTIONS)))
        elif section is not None and type(section) is not kind:
            yield ValidationIssue((key, name), f"must be {_NOUNS[kind]}, got {quoted(section)}")


def _flaws_between(raw: Raw) -> Iterator[ValidationIssue]:
    numbers = tuple(raw)
    graph: dict[int, tuple[int, ...]] = {}
    for number, (slug, body) in raw.items():
        yield from _agent_as_job(key_of(number, slug), body.get("main"))
        if type(body.get("depends_on")) is not list:
            continue
        edges: list[int] = []
        for item in Field(body, (key_of(number, slug),))["depends_on"].items():
            yield from _odd_edge(item, raw, numbers, edges)
        graph[number] = tuple(edges)
    yield from _circle(graph, raw)


def _agent_as_job(key: str, main: object) -> Iterator[ValidationIssue]:
    if not isinstance(main, dict) or main.get("mode") not in ("background", "chunked"):
        return
    done_by = main.get("agent") is not None or main.get("runner") is not None
    if done_by and main.get("script") is None and main.get("command") is None:
        said = f"mode: {main['mode']} runs a process, an agent never is the job: give it a script or a command"
        yield ValidationIssue((key, "main", "mode"), said)


def _odd_edge(item: Field, raw: Raw, numbers: tuple[int, ...], edges: list[int]) -> Iterator[ValidationIssue]:
    """Tell what is wrong with one entry of depends_on; a good one is added to `edges`."""
    try:
        wanted = edge(item)
    except ValidationIssueError as wrong:
        yield wrong.flaw
        return
    if wanted.step not in raw:
        yield ValidationIssue(item.path, not_defined(wanted.step, numbers))
        return
    edges.append(wanted.step)
    yield from _never_comes(item, wanted, raw[wanted.step][1])


def _never_comes(item: Field, wanted: Edge, body: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Tell an `until` that nothing of the other step can meet."""
    main = body.get("main")
    mode = main.get("mode") if isinstance(main, dict) else None
    if wanted.until == "finished":
        return
    if mode != "background":
        said = f"step {wanted.step} is no job, it can only be finished: give it mode: background, or leave until out"
        yield ValidationIssue((*item.path, "until"), said)
    elif wanted.until == "first_checkpoint" and not _names_checkpoints(body):
        said = f"step {wanted.step} names no checkpoint: give it a criterion with file:, or a monitor with checkpoints:"
        yield ValidationIssue((*item.path, "until"), said)


def _names_checkpoints(body: Mapping[str, Any]) -> bool:
    from executor.plan.build_monitors import names_checkpoints  # with all rules, which a read verb does not need

    return names_checkpoints(body)


def _circle(graph: Mapping[int, tuple[int, ...]], raw: Raw) -> Iterator[ValidationIssue]:
    """Tell the first circle of depends_on; a walk without recursion, for plans are long."""
    done: set[int] = set()
    for start in graph:
        way: dict[int, Iterator[int]] = {}
        at: int | None = start if start not in done else None
        while at is not None:
            way.setdefault(at, iter(graph.get(at, ())))
            after = next((step for step in way[at] if step not in done), None)
            if after in way:
                names = [str(step) for step in [*way][[*way].index(after) :]]
                yield ValidationIssue((key_of(at, raw[at][0]), "depends_on"), _round([*names, str(after)]))
                return
            if after is None:
                done.add(at)
                way.pop(at)
                after = next(reversed(way), None)
            at = after


def _round(names: list[str]) -> str:
    steps = " -> ".join(names if len(names) <= 8 else [*names[:4], "...", *names[-3:]])
    return f"depends_on goes in a circle, {steps}: take one of them out"
