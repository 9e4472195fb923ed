"""Success criteria: proven by a check, claimed by the result file or an exit code, or unproven."""

from __future__ import annotations

import json
import os

from executor.plan.model import Check
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.plan.model import Criterion

MOST_DEPTH = 50
LOGGED_METRICS = 16 * 1024  # bytes
RESULT_LIMIT = 4 * 1024**2  # bytes of a result file that are read


class Result(Record):
    """The result file: claims by criterion text, metrics, a note; `trouble` is the reason when it cannot be read."""

    criteria: Mapping[str, Any]
    metrics: Mapping[str, Any]
    note: str = ""
    trouble: str = ""
    written: bool = False


class CriterionResult(Record):
    """The result of a criterion: `kind` is proven, claimed or unproven."""

    kind: str
    evidence: str = ""


def read_result(path: str) -> Result:
    """Return the claims of the script; none for a missing file, `trouble` for a broken one."""
    if not os.path.lexists(path):
        return Result({}, {})
    try:
        body = json.loads(_start_of(path))
    except (OSError, ValueError, RecursionError) as error:
        return Result({}, {}, trouble=_unread(error), written=True)
    if not isinstance(body, dict):
        return Result({}, {}, trouble="the result file is not a JSON object", written=True)
    if _too_deep(body):
        return Result({}, {}, trouble=f"the result file is nested more than {MOST_DEPTH} deep", written=True)
    criteria, metrics = body.get("criteria") or {}, body.get("metrics") or {}
    if not isinstance(criteria, dict) or not isinstance(metrics, dict):
        return Result({}, {}, trouble="criteria and metrics in the result file must be objects", written=True)
    return Result(criteria, metrics, note=str(body.get("note") or ""), written=True)


def _unread(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"the result file cannot be read: {error.strerror}"
    return f"the result file is not JSON: {error}"


def in_a_line(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics as the log carries them: those that a line has room for."""
    size = len(json.dumps(metrics, default=str))
    return dict(metrics) if size <= LOGGED_METRICS else {"too_long_for_the_log_bytes": size}


def _start_of(path: str) -> bytes:
    return safe_open.read_start(path, RESULT_LIMIT)


def _too_deep(body: object) -> bool:
    level = [body]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
    return bool(level)


def wants_fresh(criterion: Criterion) -> bool:
    """Return True for a criterion that only evidence newer than the start of MAIN proves."""
    return criterion.kind not in ("prose", "command") and not criterion.any_age


def as_check(criterion: Criterion, *, result_path: str, began_ns: int, before: str = "") -> Check:
    """Return the check that proves a bound criterion, on evidence made since MAIN began unless any age will do.

    `before` is the record of what was there then; by time is judged what is not in it. The result file of a run was
    not there before the run.
    """
    asks, kind = criterion.asks, criterion.kind
    since = {"newer_than_ns": began_ns, **({"before": before} if before else {})}
    is_result = kind in ("metric", "result") and not (isinstance(asks, dict) and "file" in asks)
    fresh = since if wants_fresh(criterion) and not is_result else {}
    if kind == "file":
        asks = {**({"path": asks} if isinstance(asks, str) else asks), **fresh}
    elif kind == "matches":
        asks = {**asks, **fresh}
    elif kind == "metric":
        asks = {"file": result_path, **asks, **fresh}
    elif kind == "result":
        asks = {"file": result_path, "name": criterion.text if asks is True else asks, **fresh}
    return Check(name=criterion.text, kind=kind, asks=asks, env=criterion.env, network=criterion.network)


def judge_prose(criterion: Criterion, result: Result, *, exited_0: bool) -> CriterionResult:
    """Return the result of a criterion without a bound check."""
    if result.trouble:
        return CriterionResult("unproven", result.trouble)
    if criterion.text in result.criteria:
        claim = result.criteria[criterion.text]
        return _claimed(claim if isinstance(claim, dict) else {"met": claim}, exited_0=exited_0)
    if exited_0:
        return CriterionResult("claimed", "the command exited 0; nothing more was checked")
    return CriterionResult("unproven", "nobody vouches for it")


def _claimed(claim: Mapping[str, Any], *, exited_0: bool) -> CriterionResult:
    quoted = str(claim.get("evidence") or "").strip()
    if claim.get("met") is not True:
        return CriterionResult("unproven", f"the result file says it is not met: {quoted or 'no reason given'}")
    if quoted:
        return CriterionResult("claimed", quoted)
    return (
        CriterionResult("claimed", "the command exited 0")
        if exited_0
        else CriterionResult("unproven", "claimed without evidence")
    )
