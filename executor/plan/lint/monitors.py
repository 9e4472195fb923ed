"""Rules that find monitors which look past what MAIN writes, and patterns that take too long."""

from __future__ import annotations

import difflib
import re

from executor.monitoring.model import options_of
from executor.plan.issues import ValidationIssue
from executor.system.records import TYPE_CHECKING
from executor.system.regex_safety import nested_repeat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.monitoring.model import Monitor
    from executor.plan.issues import Path
    from executor.plan.model import Step

MAIN_KEY = {"metrics": "file", "log": "file", "checkpoints": "path", "disk": "path"}
OWN = ("stdout", "stderr")
LIKE, LIKE_A_COLUMN = 0.8, 0.7
LEAST_CHARS = 3
MOST_CHARS = 200_000
MOST_WORDS = 5_000
_WORD = re.compile(r"[A-Za-z_][\w-]*(?:\.\w+)*")
_COLUMN = re.compile(r"""["']([A-Za-z_][\w/. -]*)\\?["']|([A-Za-z_]\w*)=""")
_MAGIC = re.compile(r"[*?\[\]]")
SLOW = "can take for ever on a long line ({0} repeats what repeats already): it is given half a second, then left out"


def lint_monitors(step: Step, script: str) -> Iterator[ValidationIssue]:
    """Yield warnings about monitors; `script` is the text of MAIN's script, as far as it is known."""
    text = _text_of(step, script)
    words, columns = _words(_WORD, text), _words(_COLUMN, text)
    for place, monitor in enumerate(step.background):
        at: Path = ("background", place)
        yield from _slow(monitor, at)
        yield from _unnamed(monitor, at, words)
        yield from _unnamed_columns(monitor, at, columns)
    yield from _slow_criteria(step)


def _slow(monitor: Monitor, at: Path) -> Iterator[ValidationIssue]:
    match = options_of(monitor.asks, "file").get("match") if monitor.kind == "log" else None
    for key, pattern in (("alert_on", monitor.alert_on), (monitor.kind, match)):
        part = nested_repeat(str(pattern)) if pattern else ""
        if part:
            yield ValidationIssue(
                (*at, key), f"{key if key == 'alert_on' else 'match'} {SLOW.format(part)}", severity="warning"
            )


def _slow_criteria(step: Step) -> Iterator[ValidationIssue]:
    for place, one in enumerate(step.main.criteria if step.main else ()):
        asks = one.asks if one.kind == "matches" and isinstance(one.asks, dict) else {}
        part = nested_repeat(str(asks.get("pattern") or ""))
        if part:
            message = f"can take for ever on a long line ({part} repeats what repeats already), and fails then"
            yield ValidationIssue(("main", "success_criteria", place), f"matches {message}", severity="warning")


def _unnamed(monitor: Monitor, at: Path, words: frozenset[str]) -> Iterator[ValidationIssue]:
    """Yield a warning for a file that MAIN does not name, where it names a similar one."""
    key = MAIN_KEY.get(monitor.kind, "")
    pattern = str(options_of(monitor.asks, key).get(key) or "") if key else ""
    parts = [part for part in pattern.split("/") if part not in ("", ".", "..", "~") and not _MAGIC.search(part)]
    for part in parts if pattern not in OWN else ():
        if near := _near(part, words):
            yield ValidationIssue((*at, monitor.kind), f"MAIN names no {part}; did you mean {near}", severity="warning")


def _unnamed_columns(monitor: Monitor, at: Path, words: frozenset[str]) -> Iterator[ValidationIssue]:
    for number, rule in enumerate(monitor.rules):
        for name in (str(rule.args[arg]) for arg in ("metric", "train") if rule.args.get(arg)):
            if near := _near(name, words, LIKE_A_COLUMN):
                message = f"{rule.kind}: MAIN names no {name}; did you mean {near}"
                yield ValidationIssue((*at, "rules", number), message, severity="warning")


def _near(name: str, words: frozenset[str], like: float = LIKE) -> str:
    if name in words or len(name) < LEAST_CHARS:
        return ""
    return next(iter(difflib.get_close_matches(name, sorted(words), n=1, cutoff=like)), "")


def _text_of(step: Step, script: str) -> str:
    main = step.main
    return " ".join((script[:MOST_CHARS], main.command, *main.args)) if main else ""


def _words(pattern: re.Pattern[str], text: str) -> frozenset[str]:
    """Return the names in a text: of files and folders, or of columns, which stand in quotes or before a sign."""
    found = (hit.group(hit.lastindex or 0) for hit in pattern.finditer(text))
    return frozenset([*dict.fromkeys(word for word in found if len(word) >= LEAST_CHARS)][:MOST_WORDS])
