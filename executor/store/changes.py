"""Changes of a step since it passed: of its MAIN, its judges, its outputs."""

from __future__ import annotations

import json
import os

from executor.plan.runner_choice import AGENTS
from executor.store import fingerprint_recipes, input_files, log_reader, runs
from executor.store.fingerprint import PART, fingerprint_main, fingerprint_parts, main_digest
from executor.store.fingerprint_recipes import JUDGES, NEWEST, Fingerprint, number_of
from executor.store.imports import named_in_words
from executor.store.step_values import given_to
from executor.system import files
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.plan.model import Step
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.fingerprint import KnownFingerprints
    from executor.store.project_view import ProjectView
    from executor.store.step_state import StepState

    Found = Mapping[str, Mapping[str, str]]

MOST_NAMED = 24  # files of a kind that a line of the log names; files.json beside the runs names all
MOST_LISTED = 20  # files of a kind that `why` and `validate` list
SHOWN = 3
KEPT = "files.json"
ONE = {"modules": "module", "inputs": "inputs"}
NOT_RECORDED = "not recorded"


def describe_changes(changed: tuple[str, ...]) -> str:
    """Return `changed since it passed: WHAT` with the first changes, empty when there are none."""
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return f"changed since it passed: {', '.join(changed[:SHOWN])}{more}" if changed else ""


def judged_by(state: StepState, box: Box | None) -> str:
    """Return the fingerprint of the judges of a ticked step; `not recorded` when its pass recorded none."""
    return (state.passed_judged_by or NOT_RECORDED) if _is_its_tick(state, box) else ""


def outputs_digest(left: Mapping[str, str]) -> str:
    """Return the digest of the files that the globs of `outputs` find."""
    return files.digest(repr(sorted(left.items())).encode())[:PART]


def since_passed(
    view: ProjectView, number: StepId, box: Box | None, known: KnownFingerprints | None = None
) -> tuple[str, ...]:
    """Return the changes of a ticked step since it passed, each in a word or two.

    Empty for a tick from another log, and for one whose pass did not record its judges.
    """
    state = view.state(number)
    if not (state.passed_judged_by and _is_its_tick(state, box) and view.plan.defines(number)):
        return ()
    key = _key(view, number, state)
    if view.sources.is_settled(key):
        return ()
    step, passed = view.step(number), _Passed(view.root, state)
    changes = (*_of_main(view, step, passed, known), *_of_judges(view, step, passed), *_of_outputs(view, step, passed))
    if not (changes or _needs_files(step)):
        view.sources.settle(key)
    return changes


def _key(view: ProjectView, number: StepId, state: StepState) -> str:
    """Return a key for the definition, settings and last pass of a step; the step is not built."""
    settings = view.plan.settings
    passed = (state.passed_digest, state.passed_judged_by, state.passed_outputs)
    given = (settings.params, given_to(view, number)) if settings.params else ()
    return files.digest(repr((view.plan.raw[number], settings.env, settings.strict, passed, *given)).encode())[:16]


def _needs_files(step: Step) -> bool:
    main = step.main
    if main is None or step.values:
        return step.values != {}
    written = main.script or main.agent or main.inputs or main.outputs or step.depends_on
    return bool(written or named_in_words(" ".join((main.command, *main.args))))


def only_judges(changed: tuple[str, ...]) -> bool:
    """Return True when only the judges of the work have changed."""
    return all(one in JUDGES for one in changed)


def _is_its_tick(state: StepState, box: Box | None) -> bool:
    mark = box.mark if box and box.state == "x" else None
    return bool(mark and mark.kind == "passed" and mark.task_id and mark.task_id == state.passed_task)


class _Passed:
    """A pass in the log; its line is read when something has changed."""

    def __init__(self, root: str, state: StepState) -> None:
        self.state = state
        self._root = root
        self._line: dict[str, Any] | None = None

    @property
    def parts(self) -> dict[str, str]:
        return _texts(self._read().get("parts"))

    def files(self, kind: str) -> dict[str, str] | None:
        """Return the files of a kind with their records, None when the records are gone."""
        named = self._read().get("files")
        if isinstance(named, dict) and kind in named:
            return _texts(named[kind])
        kept = self._kept().get(kind)
        return None if kept is None else _texts(kept)

    def _read(self) -> dict[str, Any]:
        if self._line is None:
            lines = log_reader.task_lines(self._root, self.state.passed_task)
            self._line = next((one for one in reversed(lines) if one.get("event") == "StepPassed"), {})
        return self._line

    def _kept(self) -> dict[str, Any]:
        path = os.path.join(self._root, runs.JOBS, self.state.passed_task, KEPT)
        try:
            body = json.loads(files.read(path) or b"{}")
        except (ValueError, OSError):
            return {}
        return body if isinstance(body, dict) else {}


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(one) for key, one in value.items()} if isinstance(value, dict) else {}


def _of_main(view: ProjectView, step: Step, passed: _Passed, known: KnownFingerprints | None) -> Iterator[str]:
    digest = passed.state.passed_digest
    if number_of(digest) != NEWEST:
        yield from _of_older(view, step, digest)
        return
    now = fingerprint_main(view, step, runner="command", known=known)
    if now.digest == digest:
        return
    if "runner" in passed.parts:  # an agent did it, perhaps under another runner
        now = next(_by_agents(view, step, passed.parts["runner"], known), now)
    if now.digest != digest:
        yield from [*_parts(now, passed)] or ["what MAIN does"]


def _of_older(view: ProjectView, step: Step, digest: str) -> Iterator[str]:
    if all(main_digest(view, step, like=digest, runner=runner) != digest for runner in ("command", *AGENTS)):
        yield "what MAIN does"


def _by_agents(view: ProjectView, step: Step, runner: str, known: KnownFingerprints | None) -> Iterator[Fingerprint]:
    each = (fingerprint_main(view, step, runner=name, known=known) for name in AGENTS)
    return (one for one in each if one.parts.get("runner") == runner)


def _parts(now: Fingerprint, passed: _Passed) -> Iterator[str]:
    """Yield the changed parts of MAIN; changed files by name, where the pass recorded the names."""
    before = {name: part for name, part in passed.parts.items() if name not in (*JUDGES, "outputs")}
    for name in dict.fromkeys((*before, *now.parts)):
        if before.get(name) == now.parts.get(name) or _renumbered(name, before, now.parts):
            continue
        if name in ONE:
            yield from _files(ONE[name], passed.files(name) if name in before else {}, now.files.get(name, {})) or [
                name
            ]
        else:
            yield "env names" if name == "env" else name


def _renumbered(name: str, before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return True for a dependency with an equal fingerprint under another number."""
    found = before.get(name) or now.get(name)
    return name.startswith("dependency ") and found in (now if name in before else before).values()


def _files(kind: str, before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    """Return the differences between two records of files, empty when the earlier one is not known."""
    if before is None:
        return []
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    listed = [f"{kind} {name}{_how(kind, before.get(name), now.get(name))}" for name in names[:MOST_LISTED]]
    return [*listed, f"{kind}: {len(names) - MOST_LISTED} more"] if len(names) > MOST_LISTED else listed


def _how(kind: str, before: str | None, now: str | None) -> str:
    if now in (None, input_files.MISSING):
        return " not imported any more" if kind == "module" else " gone"
    if before in (None, input_files.MISSING):
        return " new"
    large = str(before).split(" time ")[0] == str(now).split(" time ")[0]
    return " (its time)" if large else ""


def _of_judges(view: ProjectView, step: Step, passed: _Passed) -> Iterator[str]:
    digest, now = (
        passed.state.passed_judged_by,
        fingerprint_parts(fingerprint_recipes.judges(step, strict=view.plan.settings.strict)),
    )
    if digest in (now.digest, fingerprint_parts(fingerprint_recipes.judges(step, strict=True)).digest):
        return
    before = passed.parts
    names = [name for name in JUDGES if before.get(name) != now.parts.get(name)]
    weaker = "strict" in before and "strict" in names  # it passed under strict, which is no longer asked
    yield from [name for name in names if not (name == "strict" and weaker)] or ["what judges it"]


def _of_outputs(view: ProjectView, step: Step, passed: _Passed) -> Iterator[str]:
    globs = step.main.outputs if step.main else ()
    if not (globs and passed.state.passed_outputs):
        return
    if outputs_digest(input_files.recorded(view.root, globs, view.sources)) == passed.state.passed_outputs:
        return
    before = passed.files("outputs")
    if before is None:
        yield "outputs"
        return
    there = {name: record for name, record in before.items() if record != input_files.MISSING}
    now = {name: input_files.alike(view.root, name, record, view.sources) for name, record in there.items()}
    yield from (
        one if one.endswith(("gone", "more", ")")) else f"{one} changed" for one in _files("outputs", there, now)
    )
