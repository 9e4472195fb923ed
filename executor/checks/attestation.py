"""A statement about a passed step in the form of in-toto, and the comparison of its digests with files."""

from __future__ import annotations

import glob
import hashlib
import json
import os

from executor import __version__
from executor.checks.evidence import glob_of
from executor.store import runs
from executor.store.changes import KEPT
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from executor.plan.model import Step

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:do-tasks:step:1"


class Comparison(Record):
    """A file of a statement against the one here: same, differs or missing."""

    path: str
    role: str
    result: str


def statement(root: str, step: Step, title: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the statement for the task whose log lines are given; OSError when one of its files cannot be read.

    Subjects are the files that the step's `outputs` find, and the task's lines of the log. Digests are of the files as
    they are now; the caller makes sure that nothing has changed since the step passed.
    """
    passed = next(line for line in reversed(lines) if line["event"] == "StepPassed")
    outputs = _found(root, step.main.outputs if step.main else ())
    return {
        "_type": STATEMENT,
        "subject": [*_resources(root, outputs), {"name": f"log:{passed['task_id']}", "digest": _log_digest(lines)}],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": _definition(root, step, title, lines, passed, outputs),
            "runDetails": _details(lines, passed),
            "evidence": {
                "note": passed["note"],
                "uncontained": passed.get("uncontained", False),
                "checks": [_check(line) for line in lines if line["event"] == "CheckFinished"],
                "criteria": [_criterion(line) for line in lines if line["event"] == "CriterionJudged"],
            },
        },
    }


def _definition(
    root: str, step: Step, title: str, lines: list[dict[str, Any]], passed: Mapping[str, Any], outputs: list[str]
) -> dict[str, Any]:
    """Return the command that ran and the files that it was made of."""
    main: Mapping[str, Any] = next((line for line in reversed(lines) if line["event"] == "MainStarted"), {})
    sources = [name for name in _found(root, _sources(root, step, passed)) if name not in outputs]
    names = ("command", "runner", "model")
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {"step": passed["step"], "title": title, **{name: main.get(name, "") for name in names}},
        "internalParameters": {
            "digest": passed["digest"],
            "judged_by": passed["judged_by"],
            "params": _given(lines),
            **{name: main.get(name) for name in ("revision", "dirty", "environment", "distributions")},
        },
        "resolvedDependencies": _resources(root, sources),
    }


def _given(lines: list[dict[str, Any]]) -> object:
    """Return the values of parameters that the command line gave the task."""
    begun = [line for line in lines if line["event"] in ("TaskStarted", "TaskResumed")]
    return (begun[-1].get("params") if begun else None) or {}


def _details(lines: list[dict[str, Any]], passed: Mapping[str, Any]) -> dict[str, Any]:
    """Return by which program, for which task and when the step was run."""
    started = next((line for line in lines if line["event"] == "TaskStarted"), passed)
    return {
        "builder": {"id": "urn:do-tasks", "version": {"do-tasks": __version__}},
        "metadata": {
            "invocationId": passed["task_id"],
            "startedOn": started["timestamp"],
            "finishedOn": passed["timestamp"],
        },
    }


def _check(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line.get(name) for name in ("phase", "name", "status", "command", "expected", "got")}


def _criterion(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line.get(name) for name in ("criterion", "standing", "evidence", "expected", "got")}


def unrecorded(root: str, step: Step) -> list[str]:
    """Return the files that criteria read and `outputs` do not name: what they held at the pass is not known."""
    if step.main is None:
        return []
    outputs = _found(root, step.main.outputs)
    bound = _found(root, filter(None, map(glob_of, step.main.criteria)))
    return [name for name in bound if name not in outputs]


def _sources(root: str, step: Step, passed: Mapping[str, Any]) -> list[str]:
    """Return the script, and the modules and inputs that were recorded, as globs that find the one file."""
    kept = safe_open.read_record(os.path.join(root, runs.JOBS, passed["task_id"], KEPT))
    recorded = {**kept, **(passed.get("files") or {})}
    named = [glob.escape(name) for kind in ("modules", "inputs") for name in recorded.get(kind, ())]
    main = step.main
    return [*([glob.escape(main.script)] if main and main.script else ()), *named]


def _found(root: str, globs: Iterable[str]) -> list[str]:
    """Return the regular files below the root that globs find, relative to it, each once, sorted."""
    found: set[str] = set()
    for pattern in globs:
        for path in glob.iglob(os.path.join(glob.escape(root), pattern), recursive=True):
            found |= {os.path.relpath(one, root) for one in _files_below(path)}
    return sorted(name for name in found if not name.startswith(os.pardir))


def _files_below(path: str) -> Iterable[str]:
    if not os.path.isdir(path):
        return [path] if os.path.isfile(path) else []
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]


def _resources(root: str, names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name, "digest": {"sha256": file_digest(os.path.join(root, name))}} for name in names]


def file_digest(path: str) -> str:
    """Return the SHA-256 of a regular file, in hex; OSError when it cannot be read."""
    os.stat(path)  # a file that is missing has no blocks
    total = hashlib.sha256()
    for block in safe_open.read_blocks(path):
        total.update(block)
    return total.hexdigest()


def _log_digest(lines: list[dict[str, Any]]) -> dict[str, str]:
    """Return the SHA-256 of a task's log lines, each as JSON with sorted keys and an LF."""
    text = "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)
    return {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def compare(root: str, body: object) -> list[Comparison]:
    """Compare each file of a statement with the one below `root`; ValueError for another document."""
    if not isinstance(body, dict) or body.get("_type") != STATEMENT or body.get("predicateType") != PROVENANCE:
        raise ValueError(f"no statement of {STATEMENT} with a predicate of {PROVENANCE}")
    parts = {"subject": body.get("subject"), "dependency": _dependencies(body)}
    found: list[Comparison] = []
    for role, resources in parts.items():
        for one in resources if isinstance(resources, list) else ():
            name, digest = str(one.get("name", "")), (one.get("digest") or {}).get("sha256")
            if not name.startswith("log:"):
                found.append(Comparison(name, role, _compared(root, name, digest)))
    return found


def _dependencies(body: Mapping[str, Any]) -> object:
    predicate = body.get("predicate")
    definition = predicate.get("buildDefinition") if isinstance(predicate, dict) else None
    return definition.get("resolvedDependencies") if isinstance(definition, dict) else None


def _compared(root: str, name: str, digest: object) -> str:
    path = os.path.normpath(os.path.join(root, name))
    if os.path.isabs(name) or os.path.relpath(path, root).startswith(os.pardir):
        return "outside"
    try:
        return "same" if file_digest(path) == digest else "differs"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
