"""The recipes of fingerprints: MAIN by number, and the judges of finished work."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from executor.plan.model import Check, Step
    from executor.plan.step_ids import StepId

NEWEST = 2
JUDGES = ("checks", "criteria", "quality_check", "monitors", "strict")
JUDGING_RULES = ("nan", "divergence")  # rules whose alert, when it stands at the end, fails a job


class Fingerprint(Record):
    """A digest with its parts by name and its files by kind (modules, inputs) and path, as digests."""

    digest: str
    parts: Mapping[str, str] = {}
    files: Mapping[str, Mapping[str, str]] = {}


def number_of(digest: str) -> int:
    """Return the number of the recipe that a digest carries; the first recipe wrote none."""
    head, colon, _ = digest.partition(":")
    return int(head) if colon and head.isdigit() else 1


def first(step: Step, *, script: bytes, env: Iterable[str], dependencies: Mapping[StepId, str]) -> dict[str, object]:
    """Return the parts of recipe 1; it must not change, since logs contain fingerprints by it."""
    main = step.main
    assert main is not None  # noqa: S101 - the caller has refused steps with nothing to run
    return {
        "script": [main.script, script.hex()],
        "command": main.command,
        "args": main.args,
        "env": sorted(env),
        "mode": main.mode,
        "chunks": main.chunks,
        "agent": main.agent,
        "objective": main.objective,
        "dependencies": {str(number): digest for number, digest in dependencies.items()},
    }


def second(
    step: Step,
    *,
    script: str,
    files: Mapping[str, Mapping[str, str]],
    env: Sequence[str] | None,
    dependencies: Mapping[StepId, str],
    params: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the parts of recipe 2 by name: all that changes the work of MAIN, without its judges.

    `script` is the digest of the script's bytes, `files` those of its modules and inputs by path, `params` the
    parameters that MAIN uses. A text with references counts as it is written, beside their values.
    """
    main = step.main
    assert main is not None  # noqa: S101 - as above
    written: dict[str, object] = {
        "script": [main.script, script] if main.script else None,
        "command": step.written.get("command", main.command),
        "args": step.written.get("args", list(main.args)),
        "mode": main.mode,
        "chunks": list(main.chunks),
        "agent": main.agent,
        "objective": step.written.get("objective", main.objective),
        "env_file": list(main.env_file),
        "text": step.text,
        "matrix": sorted(main.matrix.items()) if main.matrix else None,
        **{kind: sorted(found.items()) for kind, found in files.items()},
        **{f"dependency {number}": digest for number, digest in dependencies.items()},
    }
    parts = {name: value for name, value in written.items() if value}
    parts = {**parts, **step.values, **{f"params.{name}": value for name, value in (params or {}).items()}}
    return parts if env is None else {**parts, "env": sorted(env)}


def judges(step: Step, *, strict: bool) -> dict[str, object]:
    """Return the parts that judge finished work, by name; order, names and limits are not among them."""
    main = step.main
    failing = [one for one in step.background if one.at_end == "fail"]
    watching = [
        [one.name, one.kind, one.asks, rules]
        for one in failing
        if (rules := [[rule.kind, sorted(rule.args.items())] for rule in one.rules if rule.kind in JUDGING_RULES])
    ]
    written = {
        "checks": _asked(step.post_validation),
        "criteria": sorted(
            repr((one.text, one.kind, one.asks, one.any_age)) for one in (main.criteria if main else ())
        ),
        "quality_check": _asked(main.quality_check if main else ()),
        "monitors": sorted(map(repr, watching)),
    }
    parts: dict[str, object] = {name: value for name, value in written.items() if value}
    return {**parts, "strict": True} if strict else parts


def _asked(checks: Iterable[Check]) -> list[str]:
    return sorted(repr((one.kind, one.asks, one.when, sorted(one.env))) for one in checks)
