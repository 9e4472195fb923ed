"""Rules between the steps of a plan: their keys, their order, their dependencies."""

from __future__ import annotations

import re

from executor.plan.build import build_edge
from executor.plan.issues import ValidationIssue, not_defined
from executor.plan.step_ids import natural_order
from executor.plan.step_rules import names_checkpoints
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from executor.plan.issues import Path
    from executor.plan.model import Edge
    from executor.plan.step_ids import StepId

    Raw = Mapping[StepId, tuple[str, Mapping[str, Any]]]

STEP_KEY = r"^step_(0|[1-9][0-9]{0,5})_([A-Za-z0-9][A-Za-z0-9_-]*)$"  # schema.json has the same
_STEP_KEY = re.compile(STEP_KEY)


def key_of(number: StepId, slug: str) -> str:
    """Return the key of a step; that of a task with an id stands in the place of its name."""
    return slug if isinstance(number, str) else f"step_{number}_{slug}"


def read_steps(top: Mapping[str, Any]) -> tuple[Raw, list[ValidationIssue]]:
    """Return the steps of a loaded file by ascending number, and the issues of their numbers.

    The first step of a number counts. A step that is not a mapping counts as an empty one.
    """
    raw: dict[StepId, tuple[str, Mapping[str, Any]]] = {}
    issues: list[ValidationIssue] = []
    last = -1
    for key, body in top.items():
        found = _STEP_KEY.fullmatch(key)
        if key != "settings" and not key.startswith("x-") and type(body) is dict and isinstance(body.get("id"), str):
            if body["id"] in raw:
                first = key_of(body["id"], raw[body["id"]][0])
                issues.append(ValidationIssue((key, "id"), f"{first} has the id {body['id']} already"))
            raw.setdefault(body["id"], (key, body))
            continue
        if not found:
            continue
        number, slug = int(found[1]), found[2]
        issues += _misplaced(key, number, last, raw)
        raw.setdefault(number, (slug, body if type(body) is dict else {}))
        last = max(last, number)
    return (dict(sorted(raw.items(), key=lambda one: natural_order(one[0]))) if issues else raw), issues


def _misplaced(key: str, number: int, last: int, raw: Raw) -> Iterator[ValidationIssue]:
    if number in raw:
        first = key_of(number, raw[number][0])
        yield ValidationIssue((key,), f"number {number} is used twice, first by {first}: number it anew")
    elif number < last:
        yield ValidationIssue((key,), f"step {number} stands after step {last}: put the steps in ascending order")


def dependency_issues(raw: Raw, broken: Collection[Path]) -> Iterator[ValidationIssue]:
    """Yield the issues between steps; `broken` are the paths, of at most two parts, whose form is wrong."""
    numbers = tuple(raw)
    graph: dict[StepId, list[StepId]] = {}
    for number, (slug, body) in raw.items():
        path = (key_of(number, slug), "depends_on")
        if "depends_on" not in body or path in broken:
            continue
        edges = [build_edge(item) for item in body["depends_on"]]
        for place, edge in enumerate(edges):
            if edge.step in raw:
                yield from _unreachable((*path, place, "until"), edge, raw, broken)
            elif not any(isinstance(one, str) for one in raw):
                yield ValidationIssue((*path, place), not_defined(edge.step, numbers))
        graph[number] = [edge.step for edge in edges if edge.step in raw]
    yield from _circle(graph, raw)


def _unreachable(path: Path, edge: Edge, raw: Raw, broken: Collection[Path]) -> Iterator[ValidationIssue]:
    """Yield an issue for an `until` that the other step can never reach."""
    slug, body = raw[edge.step]
    key = key_of(edge.step, slug)
    if edge.until == "finished" or any(one in broken for one in ((key,), (key, "main"), (key, "background"))):
        return
    if body.get("main", {}).get("mode") != "background":
        way_out = "give it mode: background, or leave until out"
        yield ValidationIssue(path, f"step {edge.step} is no job, it can only be finished: {way_out}")
    elif edge.until == "first_checkpoint" and not names_checkpoints(body):
        way_out = "give it a criterion with file:, or a monitor with checkpoints:"
        yield ValidationIssue(path, f"step {edge.step} names no checkpoint: {way_out}")


def _circle(graph: Mapping[StepId, list[StepId]], raw: Raw) -> Iterator[ValidationIssue]:
    """Yield an issue for the first circle of depends_on; without recursion, for a plan may be long."""
    done: set[StepId] = set()
    for start in graph:
        way: dict[StepId, Iterator[StepId]] = {}
        at: StepId | None = start if start not in done else None
        while at is not None:
            way.setdefault(at, iter(graph.get(at, ())))
            after = next((step for step in way[at] if step not in done), None)
            if after in way:
                names = [str(step) for step in [*way][[*way].index(after) :]]
                yield ValidationIssue((key_of(at, raw[at][0]), "depends_on"), _circle_message([*names, str(after)]))
                return
            if after is None:
                done.add(at)
                way.pop(at)
                after = next(reversed(way), None)
            at = after


def _circle_message(names: list[str]) -> str:
    steps = " -> ".join(names if len(names) <= 8 else [*names[:4], "...", *names[-3:]])
    return f"depends_on goes in a circle, {steps}: take one of them out"
