"""Rules between the keys of one step, or of the settings, that a JSON Schema cannot state.

Their input has the form of the schema.
"""

from __future__ import annotations

from executor.monitoring.model import speaks_of_checkpoints
from executor.plan.build import CHECK_KINDS, CRITERION_KINDS, DONE_BY, PROSE_KEYS
from executor.plan.issues import ValidationIssue
from executor.system.records import TYPE_CHECKING
from executor.system.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from executor.plan.issues import Path

    Body = Mapping[str, Any]

CHUNK = "{chunk}"


def step_issues(body: Body) -> Iterator[ValidationIssue]:
    """Yield the contradictions in a step, by path inside the step."""
    for section in ("pre_flight", "post_validation"):
        if section in body:
            yield from _check_issues((section,), body[section])
    main = body.get("main", {})
    if any(key in main for key in DONE_BY):
        yield from _main_issues(main)
    if "background" in body:
        from executor.plan.monitor_rules import monitor_issues  # with all rules of monitors

        yield from monitor_issues(body)


def names_checkpoints(body: Body) -> bool:
    """Return True for a step whose checkpoints are found: by a monitor, or by a criterion bound to their file."""
    criteria = [one for one in body.get("main", {}).get("success_criteria", ()) if isinstance(one, dict)]
    bound = any(speaks_of_checkpoints(one["criterion"], one["file"]) for one in criteria if "file" in one)
    return bound or any("checkpoints" in monitor for monitor in body.get("background", ()))


def one_of(path: Path, written: Body, keys: Sequence[str]) -> Iterator[ValidationIssue]:
    """Yield an issue unless exactly one of the keys is written."""
    found = [key for key in keys if key in written]
    if not found:
        yield ValidationIssue(path, f"needs one of {', '.join(keys)}")
    elif len(found) > 1:
        yield ValidationIssue(path, f"has {' and '.join(found)}: keep one of them")


def _check_issues(path: Path, checks: Sequence[Body]) -> Iterator[ValidationIssue]:
    for place, check in enumerate(checks):
        kinds = [kind for kind in CHECK_KINDS if kind in check]
        if len(kinds) > 1:
            message = f"asks {len(kinds)} questions: {', '.join(kinds)}; make each a check of its own"
            yield ValidationIssue((*path, place), message)
        elif not kinds and not any(key in check for key in PROSE_KEYS):
            yield ValidationIssue((*path, place), f"asks nothing: give it one of {', '.join(CHECK_KINDS)}")


def _main_issues(main: Body) -> Iterator[ValidationIssue]:
    if "script" in main and "command" in main:
        yield ValidationIssue(("main", "command"), "stands beside script: keep one of the two")
    test = main.get("test")
    if isinstance(test, dict) and "args" in test and "command" in test:
        yield ValidationIssue(("main", "test"), "has args and a command: keep one of the two")
    if "mode" in main or "chunks" in main or "rows" in main:
        yield from _mode_issues(main)
    if "quality_check" in main:
        yield from _check_issues(("main", "quality_check"), main["quality_check"])
    for place, criterion in enumerate(main.get("success_criteria", ())):
        if isinstance(criterion, dict):
            yield from _criterion_issues(("main", "success_criteria", place), criterion, main.get("mode"))


def _mode_issues(main: Body) -> Iterator[ValidationIssue]:
    mode, rows = main.get("mode"), main.get("rows", "")
    if mode in ("background", "chunked") and "script" not in main and "command" not in main:
        message = f"mode: {mode} runs a process, an agent never is the job: give it a script or a command"
        yield ValidationIssue(("main", "mode"), message)
    elif mode != "chunked":
        yield from (ValidationIssue(("main", key), "needs mode: chunked") for key in ("chunks", "rows") if key in main)
    elif "chunks" not in main:
        yield ValidationIssue(("main", "mode"), "needs chunks: a list such as [{size: 100}, {size: 900}]")
    elif CHUNK not in rows:
        message = f"needs rows: the JSON Lines file of a chunk, as data/part_{CHUNK}.jsonl"
        yield ValidationIssue(("main", "rows" if rows else "mode"), message)


def _criterion_issues(path: Path, criterion: Body, mode: str | None) -> Iterator[ValidationIssue]:
    kinds = [kind for kind in CRITERION_KINDS if kind in criterion]
    if len(kinds) > 1:
        message = f"is bound to {len(kinds)} checks: {', '.join(kinds)}; make each a criterion of its own"
        yield ValidationIssue(path, message)
    if criterion.get("at") != "start":
        return
    if mode != "background":
        message = "start is for mode: background: elsewhere criteria are judged when MAIN has ended; remove it"
        yield ValidationIssue((*path, "at"), message)
    elif not kinds:
        message = f"start needs something to ask: bind it with {', '.join(CRITERION_KINDS)}, or remove at"
        yield ValidationIssue((*path, "at"), message)


def settings_issues(settings: Body) -> Iterator[ValidationIssue]:
    """Yield the issues of the parameters and the notifiers, by path inside the settings.

    No message quotes a URL, for it may hold a secret.
    """
    if "params" in settings:
        from executor.plan.params import issues

        yield from issues(settings["params"])
    notify = settings.get("notify", ())
    if not isinstance(notify, list):
        yield from _notifier_issues(("notify",), notify) if notify else ()
        return
    for place, entry in enumerate(notify):
        yield from _notifier_issues(("notify", place), entry)


def _notifier_issues(path: Path, entry: str | Body) -> Iterator[ValidationIssue]:
    if isinstance(entry, str):
        name = entry.removeprefix("env:")
        yield from _url_issues(path, entry) if name == entry else _variable_issues(path, name)
        return
    is_command, env = "command" in entry, entry.get("env")
    yield from one_of(path, entry, ("command", "url") if is_command else ("url", "env", "command"))
    if "url" in entry:
        yield from _url_issues((*path, "url"), entry["url"])
    if is_command and isinstance(env, str):
        yield ValidationIssue((*path, "env"), f"must be a list, got {quoted(env)}")
    elif not is_command and isinstance(env, list):
        yield ValidationIssue((*path, "env"), "must be text, got a list")
    elif isinstance(env, str):
        yield from _variable_issues((*path, "env"), env)


def _url_issues(path: Path, url: str) -> Iterator[ValidationIssue]:
    scheme, _, rest = url.partition("://")
    if not (scheme[:1].isalpha() and rest.strip()):
        message = "is no URL (scheme://...): write one that apprise knows, or env:NAME, or {command: ...}"
        yield ValidationIssue(path, message)


def _variable_issues(path: Path, name: str) -> Iterator[ValidationIssue]:
    if not (name.isascii() and name.isidentifier()):
        yield ValidationIssue(path, "must be the name of an environment variable, such as SLACK_URL")
