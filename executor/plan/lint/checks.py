"""Rules that find checks which cannot fail."""

from __future__ import annotations

import posixpath
import re

from executor.monitoring.model import CHECK_LIMIT_S
from executor.plan.build import seconds
from executor.plan.build_monitors import PROBED
from executor.plan.issues import ValidationIssue
from executor.plan.lint.main_command import lint_main
from executor.plan.lint.monitors import lint_monitors
from executor.plan.test_support import knows_test
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from executor.plan.issues import Path
    from executor.plan.model import Main, Settings, Step

    Body = Mapping[str, Any]
    ReadScript = Callable[[str], str | None]

CHECK, MONITOR, ANY = "check", "monitor", "any"
_CHECK_LISTS: tuple[Path, ...] = (
    ("pre_flight",),
    ("post_validation",),
    ("main", "quality_check"),
    ("main", "success_criteria"),
)
_BARE = ("nan", "inf")
_TALK = ("error", "errors", "fail", "failed", "failure", "warning", "exception")
SOONEST_S = 1.0
_NO_CLIENT = "the SDK has no tinker.Client: use tinker.ServiceClient()"
_PASSWORD = lazy_regex.pattern(
    r"://[^/@\s]*:[^/@\s]+@"  # user:password@
    r"|[:/@?&=](?=[\w-]*[0-9])(?=[\w-]*[a-z])[\w-]{16,}(?![\w.-])"  # a part that no person would choose
    r"|[?&](?:pass|password|token|key|secret|auth)=",
    re.IGNORECASE,
)
_CLIENT = lazy_regex.pattern(r"\btinker\.Client\s*\(")


class Rule(Record):
    """A pattern in a command, and the message for it; {0} is its first group."""

    where: str
    pattern: re.Pattern[str]
    message: str


def _rule(where: str, pattern: str, message: str) -> Rule:
    return Rule(where, re.compile(pattern), message)


COMMAND_RULES = (
    _rule(
        ANY,
        r"""^\s*echo\s+(?:-\S+\s+)?["']?\$\{?(\w+)\}?["']?\s*(?:\|\s*(?:head|tail|cut|wc|cat|tr|sed)\b|$)""",
        "passes when {0} is unset, and prints part of it when set: use env_set: {0}",
    ),
    _rule(
        CHECK,
        r"^\s*cat\s+(?:-\S+\s+)?([^\s|;&]+)\s*\|\s*(?:head|tail|less|more)\b",
        "asks nothing of what it prints: it fails on a missing file only because pipefail is on here; use file: {0}",
    ),
    _rule(
        CHECK,
        r"^\s*ls\b[^|;&]*\|\s*(?:head|tail)\b",
        "an empty folder passes, a missing one fails only because pipefail is on here: use file: with min_count",
    ),
    _rule(
        MONITOR,
        r"^\s*ls\b[^|;&]*\|\s*(?:head|tail)\b",
        "says nothing of new checkpoints: use checkpoints: with a glob",
    ),
    _rule(
        ANY,
        r"^\s*ps\b[^|]*\|\s*grep\s+(?!.*\[)(?:-\S+\s+)*([^\s|]+)",
        "finds its own shell, so it never sees {0} die: the job itself is watched, do-tasks --monitor shows it",
    ),
    _rule(
        ANY,
        r"^\s*df\b[^|]*\|\s*grep\b",
        "passes on a full disk, fails on an overlay or network root: use disk_free: {{path: ., min_gb: 10}}",
    ),
    _rule(
        MONITOR,
        r"^\s*tail\s+(?:-\S+\s+)*(?:\d+\s+)?([^\s|;&]+)",
        "fails until {0} exists, which is no alarm: use metrics: {0} or log: {0}, which wait for the file",
    ),
    _rule(CHECK, r"^\s*(?:true|:|exit(?:\s+0)?)\s*$", "always passes: give it something to ask, or remove it"),
    _rule(
        CHECK,
        r"^\s*(?:echo|printf)\b[^|;&`$]*$",
        "always passes, for it records and asks nothing: the log has it already; remove it, or use file:",
    ),
    _rule(
        CHECK,
        r"(?:\|\||;)\s*(?:true|:|exit\s+0)\s*$",
        "always passes, whatever stands before: take the end off",
    ),
    _rule(CHECK, r"^\s*find\b[^|;&]*$", "passes when nothing is found: use file: with min_count"),
    _rule(
        CHECK,
        r"^\s*curl\b(?!.*\s(?:-[a-zA-Z]*f|--fail))[^|;&]*$",
        "passes when the server answers with an error: use url:, or curl --fail",
    ),
    _rule(ANY, _CLIENT.pattern, _NO_CLIENT),
)


def lint(step: Step, body: Body, *, read_script: ReadScript) -> tuple[ValidationIssue, ...]:
    """Return warnings, by path inside the step, for a step that can be built.

    `body` is the step as loaded; `read_script` gives the text of a script, None when it is missing.
    """
    found = [flaw for rule in STEP_RULES for flaw in rule(step, body)]
    found += lint_main(step)
    found += _script_flaws(step.main, read_script) if step.main and step.main.script else ()
    script = step.main.script if step.main and step.background else ""
    found += lint_monitors(step, (read_script(script) or "") if script else "")
    return tuple(found)


def lint_settings(settings: Settings, written: object) -> tuple[ValidationIssue, ...]:
    """Return warnings, by path inside the settings, for settings that could be built; `written` are they as loaded."""
    return (*_passwords(settings, written), *_nothing_there(settings))


def _nothing_there(settings: Settings) -> Iterator[ValidationIssue]:
    """Yield a warning for each glob outside the project, where no file is protected."""
    for place, glob in enumerate(settings.protect):
        if glob.startswith(("/", "~")) or posixpath.normpath(glob).split("/")[0] == "..":
            message = f"{glob} leads out of the project, where nothing is protected: write it from the project's root"
            yield _warn(("protect", place), message)


def _passwords(settings: Settings, written: object) -> tuple[ValidationIssue, ...]:
    listed = isinstance(written, dict) and isinstance(written.get("notify"), list)
    message = "seems to hold a password or token, which all who read this file see: export it, and write env:NAME"
    return tuple(
        _warn(("notify", place) if listed else ("notify",), message)
        for place, one in enumerate(settings.notify)
        if one.kind == "url" and _PASSWORD.search(one.target)
    )


def _warn(path: Path, message: str) -> ValidationIssue:
    return ValidationIssue(path, message, severity="warning")


def _items(body: Body, path: Path) -> Iterator[tuple[Path, Body]]:
    at: Any = body
    for key in path:
        at = at.get(key) or {}
    yield from (((*path, place), item) for place, item in enumerate(at or ()) if isinstance(item, dict))


def _commands(body: Body) -> Iterator[tuple[str, Path, str]]:
    """Yield kind of place, path and text of each command except that of MAIN."""
    for path in _CHECK_LISTS:
        yield from _under(("command",), CHECK, _items(body, path))
    yield from _under(("command", "monitor", "check", "alert"), MONITOR, _items(body, ("background",)))


def _under(keys: tuple[str, ...], where: str, items: Iterator[tuple[Path, Body]]) -> Iterator[tuple[str, Path, str]]:
    for at, item in items:
        yield from ((where, (*at, key), item[key]) for key in keys if isinstance(item.get(key), str))


def _checks_that_cannot_fail(_: Step, body: Body) -> Iterator[ValidationIssue]:
    for where, path, command in _commands(body):
        for rule in COMMAND_RULES:
            hit = rule.pattern.search(command) if rule.where in (where, ANY) else None
            if hit:
                yield _warn(path, rule.message.format(*hit.groups()))


def _cut_limits(step: Step, body: Body) -> Iterator[ValidationIssue]:
    probed = {("background", place) for place, monitor in enumerate(step.background) if monitor.kind in PROBED}
    for path in (*_CHECK_LISTS, ("background",)):
        for at, item in _items(body, path):
            if at not in probed and seconds(item.get("timeout", 0)) > CHECK_LIMIT_S:
                message = f"{item['timeout']} is cut to {CHECK_LIMIT_S:g} s: what takes longer belongs in main"
                yield _warn((*at, "timeout"), message)


def _prose(step: Step, _: Body) -> Iterator[ValidationIssue]:
    for section in ("pre_flight", "post_validation"):
        for place, check in enumerate(getattr(step, section)):
            if check.kind == "prose":
                message = "not runnable, so it is skipped: add a command: or a built-in such as file: beside it"
                yield _warn((section, place), message)


def _bare_words(_: Step, body: Body) -> Iterator[ValidationIssue]:
    for at, item in _items(body, ("background",)):
        bare = [word for word in str(item.get("alert_on") or "").split("|") if word.strip(" ()").lower() in _BARE]
        if bare:
            word = bare[0].strip(" ()")
            message = f"{word} is read as a whole word in any case, for it stands in 'finance' or 'info' too"
            yield _warn((*at, "alert_on"), f"{message}; surer: metrics: FILE with rules: [nan]")


def _monitors_that_never_run(step: Step, body: Body) -> Iterator[ValidationIssue]:
    if step.background and (body.get("main") or {}).get("mode") != "background":
        yield _warn(("background",), "monitors run with mode: background only: give main that mode, or remove them")


def _too_often(step: Step, _: Body) -> Iterator[ValidationIssue]:
    for place, monitor in enumerate(step.background):
        if monitor.interval_s < SOONEST_S:
            message = (
                f"a look every {monitor.interval_s:g} s costs the training: {SOONEST_S:g} s or more is soon enough"
            )
            yield _warn(("background", place, "interval"), message)


def _stopped_by_a_word(step: Step, _: Body) -> Iterator[ValidationIssue]:
    for place, monitor in enumerate(step.background):
        words = monitor.alert_on.split("|") if monitor.kind == "command" else []
        bare = next((word for word in words if word.strip(" ()").lower() in _TALK), "")
        if bare and monitor.action.kind in ("stop", "restart"):
            message = f"any line with {bare.strip(' ()')!r} in it ends the training: match more than a word, or notify"
            yield _warn(("background", place, "on_alert"), message)


def _nothing_to_run(step: Step, body: Body) -> Iterator[ValidationIssue]:
    if step.main is None:
        message = "nothing to run: give main a script, a command or an agent"
        yield _warn(("main",) if "main" in body else (), message)


def _no_test_form(step: Step, _: Body) -> Iterator[ValidationIssue]:
    main = step.main
    if main and main.command and main.sample.form == "default":
        yield _warn(("main", "command"), "has no test form: add test: {command: ...}, or say test: none")


def _met_late(step: Step, _: Body) -> Iterator[ValidationIssue]:
    for place, one in enumerate(step.main.criteria if step.main else ()):
        if one.at == "start" and one.kind in ("metric", "result"):
            limit_s = step.main.limit_s if step.main else 0
            message = f"holds the start of the job until it is met, {limit_s:g} s at most: ask it at the end? (at: end)"
            yield _warn(("main", "success_criteria", place, "at"), message)


def _waits_for_what_follows(step: Step, _: Body) -> Iterator[ValidationIssue]:
    for place, edge in enumerate(step.depends_on):
        if isinstance(edge.step, int) and isinstance(step.number, int) and edge.step > step.number:
            message = f"step {edge.step} comes after step {step.number}: --continue stops here; number them in order"
            yield _warn(("depends_on", place), message)


def _script_flaws(main: Main, read_script: ReadScript) -> Iterator[ValidationIssue]:
    text = read_script(main.script)
    path = ("main", "script")
    if text is None:
        yield _warn(path, f"script {main.script} not found; looked at the root and in scripts/")
        return
    if main.sample.form == "default" and not knows_test(text):
        message = f"{main.script} names neither --test nor DO_TASKS_TEST: add --test to it, or main.test, or test: none"
        yield _warn(path, message)
    if text.partition("\n")[0].endswith("\r") and not main.script.endswith(".py"):
        yield _warn(path, f"{main.script}: its first line ends in CR, so it cannot start: save it with LF line ends")
    if _CLIENT.search(text):
        yield _warn(path, f"{main.script}: {_NO_CLIENT}")


STEP_RULES: tuple[Callable[[Step, Body], Iterator[ValidationIssue]], ...] = (
    _checks_that_cannot_fail,
    _cut_limits,
    _prose,
    _bare_words,
    _monitors_that_never_run,
    _too_often,
    _stopped_by_a_word,
    _nothing_to_run,
    _no_test_form,
    _waits_for_what_follows,
    _met_late,
)
