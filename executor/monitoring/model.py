"""Monitors, their samples and the results of their rules, as frozen values."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CHECK_LIMIT_S = 30.0
NOTICES = ("alert", "recovered", "blind", "finished", "died")
WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".npz")


class Action(Record):
    """What an alert does beside being told: `kind` is notify (nothing more), stop, restart, command or block.

    `attempts` and `backoff_s` bound restarts (the wait doubles each time); `grace_s` lies between TERM and KILL.
    """

    kind: str = "notify"
    command: str = ""
    attempts: int = 2
    backoff_s: float = 30.0
    grace_s: float = 10.0


class Rule(Record):
    """A condition over what a monitor sees: `kind` is a row of `rules.RULES`, `args` are complete and in base units."""

    kind: str
    args: Mapping[str, Any]


class Monitor(Record):
    """A probe on a schedule, with rules over what it sees.

    `kind` is command, check (alerts when it fails twice in a row), alert (alerts on exit 0 with output), or a row of
    `probes.PROBES` (metrics, checkpoints, progress, process, log, disk, memory, gpu); `asks` is what stands under it.
    `grace_s` is how long it may see nothing before that is an alert; None: for ever. `at_end` is fail or note: what a
    nan or divergence alert that stands when the job has exited 0 does to the verdict.
    """

    name: str
    kind: str
    asks: Any
    interval_s: float = 60.0
    limit_s: float = CHECK_LIMIT_S
    alert_on: str = ""
    rules: tuple[Rule, ...] = ()
    action: Action = Action()
    grace_s: float | None = None
    at_end: str = "fail"
    env: tuple[str, ...] = ()


class Notifier(Record):
    """Who is told: `target` is an apprise URL, the variable that holds one (`kind` env), or a shell command.

    `on` are the notices it wants, `env` the secrets that a command needs.
    """

    kind: str
    target: str
    on: tuple[str, ...] = NOTICES
    env: tuple[str, ...] = ()


def path_of(asks: object) -> str:
    """Return the path or glob of a question about files."""
    return str(asks.get("path") or "") if isinstance(asks, dict) else str(asks or "")


def checkpoint_glob(pattern: str) -> str:
    """Return the glob by which checkpoints are found: a folder stands for what is in it."""
    return f"{pattern}*" if pattern.endswith("/") else pattern


def speaks_of_checkpoints(text: str, asks: object) -> bool:
    """Tell whether a criterion bound to a file is about checkpoints: a log that must be there is none."""
    path = path_of(asks)
    told = f"{text} {path}".lower()
    return "checkpoint" in told or "ckpt" in told or path.endswith(WEIGHTS)


class ProbeContext(Record):
    """Where a probe looks: the job's root, its run's folder and token, its launcher, and when the run began.

    `now_s` is the monotonic time of the look, seconds, by a clock that nobody sets; `began_ns` is the run's start on
    the clock of the file system, only to be compared with file times. `before` is the record of what was there before
    the first run of its task, empty when there is none. `ended`: nothing writes any more, so a last line is whole.
    """

    root: str
    folder: str
    token: str
    pid: int
    now_s: float
    began_s: float
    began_ns: int
    before: str = ""
    ended: bool = False


class Sample(Record):
    """What a probe saw at one look.

    `there` is False while what it looks at does not exist yet. `progress` only grows while a training gets on (steps,
    checkpoints, bytes of a log), None where the probe knows of none; `total` is where it ends, None when unknown.
    `values` are numbers by name (the newest of each); `rows` are all rows new since the last look, each a mapping
    of column to number, `step` among them when the file has one. `bytes` is how many bytes the files looked at gained
    since the last look, of one that was written anew its size, whether or not they hold rows. `text` is one line for a
    person.

    `lines` are the new lines of a log whose pattern is searched elsewhere.

    What else is known of the job at that moment: `signs` grows with each sign of life elsewhere (a progress bar that
    moves, another monitor's step); `busy` tells whether its processes work (CPU, disk), None where nobody knows;
    `frozen` whether one of them is stopped by a signal.
    """

    at_s: float
    there: bool = True
    progress: float | None = None
    total: float | None = None
    values: Mapping[str, float] = {}
    rows: tuple[Mapping[str, float], ...] = ()
    bytes: int = 0
    text: str = ""
    newest: str = ""
    lines: tuple[str, ...] = ()
    signs: int = 0
    busy: bool | None = None
    frozen: bool = False


class RuleResult(Record):
    """What a rule says: `stands` True, False, or None for no opinion; `text` shows the samples or the match.

    `only_told`: the alert tells people and does nothing else, whatever its monitor's `on_alert` says.
    """

    stands: bool | None = None
    text: str = ""
    samples: tuple[float, ...] = ()
    only_told: bool = False


Memory = dict[str, "Any"]  # what a probe or a rule keeps from look to look; JSON can hold it
NO_OPINION = RuleResult()
WELL = RuleResult(stands=False)
