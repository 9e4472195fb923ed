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
    """The action of an alert: `kind` is notify (nothing more), stop, restart, command or block.

    `attempts` and `backoff_s` bound restarts (the wait doubles each time); `grace_s` is the time from TERM to KILL.
    """

    kind: str = "notify"
    command: str = ""
    attempts: int = 2
    backoff_s: float = 30.0
    grace_s: float = 10.0


class Rule(Record):
    """A condition on samples: `kind` is a row of `rules.RULES`, `args` are complete and in base units."""

    kind: str
    args: Mapping[str, Any]


class Monitor(Record):
    """A probe on a schedule, with rules for its samples.

    `kind` is command, check (alerts when it fails twice in a row), alert (alerts on exit 0 with output), or a row of
    `probes.PROBES` (metrics, checkpoints, progress, process, log, disk, memory, gpu); `asks` is its value in the plan.
    `grace_s` is the longest time without data before an alert, None for no limit. `at_end` is fail or note: the effect
    on the verdict of a nan or divergence alert that stands when the job has exited 0.
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
    """A receiver of notices: `target` is an apprise URL, a variable with one (`kind` env), or a shell command.

    `on` are the kinds of notices that it gets, `env` the secrets that a command needs.
    """

    kind: str
    target: str
    on: tuple[str, ...] = NOTICES
    env: tuple[str, ...] = ()


def options_of(asks: object, main: str) -> dict[str, Any]:
    """Return the options of a probe as a mapping; a text alone is the value of `main`."""
    return dict(asks) if isinstance(asks, dict) else {main: asks}


def path_of(asks: object) -> str:
    """Return the path or glob of a check or probe of files."""
    return str(asks.get("path") or "") if isinstance(asks, dict) else str(asks or "")


def checkpoint_glob(pattern: str) -> str:
    """Return the glob of checkpoints: a folder stands for its entries."""
    return f"{pattern}*" if pattern.endswith("/") else pattern


def speaks_of_checkpoints(text: str, asks: object) -> bool:
    """Return True when a criterion bound to a file is about checkpoints, by its text or path."""
    path = path_of(asks)
    words = f"{text} {path}".lower()
    return "checkpoint" in words or "ckpt" in words or path.endswith(WEIGHTS)


class ProbeContext(Record):
    """The job that a probe looks at: root of the project, folder, token and launcher of the run, start of the run.

    `now_s` and `began_s` are monotonic seconds; `began_ns` is the start on the clock of the file system, to compare
    with file times. `before` is the path of the record of files before the first run, empty without one. `ended` means
    that nothing is written any more: a last line is whole.
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
    """The result of one look of a probe.

    - `there`: False while the thing to look at does not exist yet
    - `progress`: grows while a training goes on (steps, checkpoints, bytes of a log), None where it is not known;
      `total` is its end, None when it is not known
    - `values`: numbers by name, the newest of each
    - `rows`: the rows that are new since the last look, number by column, with `step` when the file has one
    - `bytes`: bytes that the files gained since the last look; of a rewritten file its size
    - `text`: one line for a person; `newest`: the path of the newest checkpoint
    - `lines`: new lines of a log whose pattern is searched in the main thread

    Further facts of the job at that moment: `signs` grows with each sign of life elsewhere (a moving progress bar, a
    step of another monitor), `busy` is True while its processes use CPU or disk, None when it is not known, `frozen`
    is True while one of them is stopped by a signal.
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
    """The result of a rule: `stands` is True, False, or None for no opinion; `text` shows the samples or the match.

    With `notify_only` the alert notifies people and does nothing else, for any `on_alert`.
    """

    stands: bool | None = None
    text: str = ""
    samples: tuple[float, ...] = ()
    notify_only: bool = False


Memory = dict[str, "Any"]  # state of a probe or rule from look to look, storable as JSON
NO_OPINION = RuleResult()
WELL = RuleResult(stands=False)
