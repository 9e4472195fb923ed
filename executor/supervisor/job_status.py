"""The status of a background job: one record for watch.json, `--monitor --json` and the table of `--monitor`."""

from __future__ import annotations

from executor.monitoring.eta import Progress
from executor.system.quantities import parse_number
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.plan.step_ids import StepId

TIMES = ("changed_s", "looked_s")
OF_READER = ("tick", "where", "launcher", "is_alive", "is_supervised", "is_open", "now_s")


class CheckpointStatus(Record):
    """The checkpoints that are there: how many, the newest one and when it was saved, bytes of all."""

    count: int = 0
    newest: str = ""
    changed_s: float | None = None
    bytes: float | None = None
    changed: str = ""


class AlertStatus(Record):
    """An alert that stands: its key (monitor/rule), the text that matched, since when, the action of its monitor."""

    key: str = ""
    output: str = ""
    since: str = ""
    action: str = ""


class MonitorStatus(Record):
    """A monitor: its last sample in one line, `troubled` is its error, `blind` names the things it has never seen."""

    name: str = ""
    kind: str = ""
    interval_s: float | None = None
    looked_s: float | None = None
    there: bool = False
    text: str = ""
    troubled: str = ""
    blind: str = ""


class JobStatus(Record):
    """The status of one job.

    The fields up to `start` are those of watch.json, written by the supervisor, whose process id is `pid`. Times are
    monotonic seconds of the boot `boot`; those without `_s` are UTC texts for people. `start` holds the criteria that
    the start waits for.

    A reader adds the fields of OF_READER: the kind of the tick, the host of a job that runs elsewhere, the process id
    of the run's launcher, whether that lives, whether a supervisor lives, whether the job has no verdict yet, and the
    monotonic time of the look: None where times of the status mean nothing, as after a reboot.
    """

    task_id: str = ""
    step: StepId = 0
    title: str = ""
    run: str = ""
    state: str = ""
    reason: str = ""
    pid: int = 0
    boot: str = ""
    written_s: float | None = None
    written: str = ""
    began_s: float | None = None
    began: str = ""
    progress: Progress | None = None
    metrics: Mapping[str, float | str] = {}
    checkpoints: CheckpointStatus | None = None
    alerts: tuple[AlertStatus, ...] = ()
    monitors: tuple[MonitorStatus, ...] = ()
    restarts: int = 0
    start: Mapping[str, Any] | None = None
    tick: str | None = None
    where: str = ""
    launcher: int | None = None
    is_alive: bool = False
    is_supervised: bool = False
    is_open: bool = False
    now_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of watch.json."""
        return {"v": 1, **{name: _plain(value) for name, value in self.asdict().items() if name not in OF_READER}}

    @staticmethod
    def from_json(body: object) -> JobStatus:
        """Return the status that watch.json holds; a value of a wrong type is read as missing."""
        status: JobStatus = _record(JobStatus, body)
        return status

    def age_s(self, at_s: float | None) -> float | None:
        """Return the seconds since a monotonic time, None when it is unknown or of another boot."""
        return None if at_s is None or self.now_s is None else round(max(0.0, self.now_s - at_s), 1)

    @property
    def heartbeat_s(self) -> float | None:
        """Return the seconds since the living supervisor last wrote."""
        return self.age_s(self.written_s) if self.is_supervised else None

    @property
    def lasted_s(self) -> float | None:
        """Return for how many seconds the job runs or ran; None when that is unknown."""
        if self.is_open:
            return self.age_s(self.began_s)
        if self.began_s is None or self.written_s is None:
            return None
        return round(max(0.0, self.written_s - self.began_s), 1)

    @property
    def stop_command(self) -> str:
        """Return the command that stops the job, empty when it has its verdict."""
        return f"do-tasks stop {self.task_id}" if self.is_open else ""

    @property
    def log_command(self) -> str:
        """Return the command that shows the log of the job."""
        return f"do-tasks log {self.task_id}{' --follow' if self.is_open else ''}"

    def report(self) -> dict[str, Any]:
        """Return the job as `--monitor --json` shows it, with ages in the place of monotonic times."""
        progress, saved = self.progress, self.checkpoints
        return {
            **{name: getattr(self, name) for name in ("task_id", "step", "title", "state", "where", "reason", "run")},
            "pid": self.launcher,
            "alive": self.is_alive,
            "supervised": self.is_supervised,
            "heartbeat_s": self.heartbeat_s,
            "age_s": self.lasted_s,
            "began": self.began,
            "progress": progress and self._aged(progress, ("done", "total", "changed_s", "changed", "source")),
            "metrics": dict(self.metrics),
            "eta_s": progress and progress.eta_s,
            "eta_basis": progress.basis if progress else "",
            "checkpoints": saved and self._aged(saved, ("count", "newest", "changed_s", "changed", "bytes")),
            "alerts": [one.asdict() for one in self.alerts],
            "monitors": [self._aged(one, MonitorStatus._fields) for one in self.monitors],
            "restarts": self.restarts,
            "stop": self.stop_command,
            "log": self.log_command,
            "tick": self.tick,
        }

    def _aged(self, one: Record, names: tuple[str, ...]) -> dict[str, Any]:
        """Return these fields of a part, the time of its last change or look as `age_s`."""
        values = one.asdict()
        pairs = (("age_s", self.age_s(values[name])) if name in TIMES else (name, values[name]) for name in names)
        return dict(pairs)


def _plain(value: Any) -> Any:
    """Return records as mappings, and tuples of them as lists."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.asdict() if isinstance(value, Record) else value


def _record(kind: Any, body: object) -> Any:
    """Return a record from a mapping, each value read by the declared type of its field."""
    given = body if isinstance(body, dict) else {}
    declared = {name: READERS[kind.__annotations__[name]] for name in kind._fields if name not in OF_READER}
    return kind(**{name: read(given.get(name)) for name, read in declared.items()})


def _optional(kind: Any) -> Callable[[object], Any]:
    return lambda value: _record(kind, value) if value and isinstance(value, dict) else None


def _each(kind: Any) -> Callable[[object], Any]:
    return lambda values: tuple(
        _record(kind, one) for one in (values if isinstance(values, list) else ()) if isinstance(one, dict)
    )


def _metrics(value: object) -> Mapping[str, float | str]:
    """Return metrics for JSON: nan and inf as texts."""
    found = value if isinstance(value, dict) else {}
    return {str(name): one if (one := parse_number(raw)) is not None else str(raw) for name, raw in found.items()}


READERS: Mapping[str, Callable[[Any], Any]] = {
    "str": lambda value: str(value or ""),
    "int": lambda value: int(parse_number(value) or 0),
    "bool": bool,
    "StepId": lambda value: value if isinstance(value, str) and value else int(parse_number(value) or 0),
    "float | None": parse_number,
    "Mapping[str, float | str]": _metrics,
    "Mapping[str, Any] | None": lambda value: value if isinstance(value, dict) else None,
    "Progress | None": _optional(Progress),
    "CheckpointStatus | None": _optional(CheckpointStatus),
    "tuple[AlertStatus, ...]": _each(AlertStatus),
    "tuple[MonitorStatus, ...]": _each(MonitorStatus),
}
