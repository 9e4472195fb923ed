"""The work of the executor as log lines on standard error, for `do-tasks -v`."""

from __future__ import annotations

from _thread import _local
from typing import TYPE_CHECKING

import structlog

from executor.cli.output.screen import Screen
from executor.system.text import joined_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.system.masking import Masker

ENVELOPE = ("v", "timestamp", "task_id", "step", "phase", "event", "status", "run")
LONG = ("output", "digest", "judged_by", "parts")  # fields of events that the log holds in full
TROUBLE = ("failed", "timed_out", "lost", "interrupted")
BOUND = ("task_id", "step", "run")
UNKNOWN = "-"
MOST = 300  # characters of one value


class ScreenLogger:
    """The output of structlog: a screen that never slows a run."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def write(self, text: str) -> None:
        """Show one rendered line."""
        self._screen.print(joined_lines(text))

    debug = info = warning = write


class Verbose:
    """A follower of the log and of the executor; each line has the task id, the step and the run of its thread."""

    def __init__(self, masker: Masker, fd: int = 2) -> None:
        self._screen = Screen(fd, color=False)
        self._masker = masker
        self._unbound = structlog.wrap_logger(
            ScreenLogger(self._screen),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                self._mask,
                structlog.dev.ConsoleRenderer(colors=False, sort_keys=False, pad_event_to=20),
            ],
            wrapper_class=structlog.BoundLogger,
        ).bind(**dict.fromkeys(BOUND, UNKNOWN))
        self._of_thread = _local()

    @property
    def _log(self) -> Any:
        return getattr(self._of_thread, "log", self._unbound)

    def __call__(self, event: str, **fields: object) -> None:
        """Print one act of the executor; `task_id`, `step` and `run` among the fields also mark later lines."""
        self._bind(**{name: fields.pop(name) for name in BOUND if name in fields})
        self._log.debug(event, **_shown(fields))

    def follow(self, line: Mapping[str, Any]) -> None:
        """Print one line of the log."""
        self._bind(**{name: line[name] for name in BOUND if line.get(name)})
        fields = {name: value for name, value in line.items() if name not in ENVELOPE and name not in LONG}
        log = self._log.warning if line.get("status") in TROUBLE else self._log.info
        log(str(line.get("event")), phase=line.get("phase"), status=line.get("status"), **_shown(fields))

    def close(self) -> None:
        """Write pending lines."""
        self._screen.close()

    def _bind(self, **named: object) -> None:
        """Bind these fields to later lines; another task has no run yet."""
        before = structlog.get_context(self._log)
        if named.get("task_id", before["task_id"]) != before["task_id"]:
            named = {"run": "", **named}
        self._of_thread.log = self._log.bind(**{name: value or UNKNOWN for name, value in named.items()})

    def _mask(self, _: object, __: str, event_dict: Any) -> Any:
        """Mask secrets, then shorten: a shortened secret would not be found."""
        return {name: _short(self._masker.mask_all(value)) for name, value in event_dict.items()}


def _shown(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields with a value; a name that structlog uses itself gets a `_`."""
    empty: tuple[object, ...] = ("", None, (), [], {})
    filled = {name: value for name, value in fields.items() if value is not False and value not in empty}
    return {f"{name}_" if name in ("event", "level", "timestamp") else name: one for name, one in filled.items()}


def _short(value: object) -> object:
    text = value if isinstance(value, str) else str(value)
    return f"{text[:MOST]}..." if len(text) > MOST else value
