"""What monitors see and what rules say of it, as values."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


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
