"""Times the append of one event to the log, in the interpreter that do-tasks runs on."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT: dict[str, Any] = {
    "v": 1,
    "timestamp": "2026-01-01T00:00:00.000Z",
    "task_id": "task_1_a1b2c3d4",
    "step": 1,
    "phase": "PRE-FLIGHT",
    "event": "CheckFinished",
    "status": "passed",
    "name": "check_data",
    "command": "ls -lh train.jsonl val.jsonl",
    "exit_code": 0,
    "duration_s": 0.012,
    "output": "-rw-r--r-- 1 u u 1.2M train.jsonl\n-rw-r--r-- 1 u u 130K val.jsonl\n",
}
LINE = json.dumps(EVENT, ensure_ascii=False).encode() + b"\n"
APPEND = os.O_CREAT | os.O_APPEND | os.O_WRONLY


def ready_line(path: Path) -> Callable[[], object]:
    fd = os.open(path, APPEND)
    return lambda: os.write(fd, LINE)


def opened_each_time(path: Path) -> Callable[[], object]:
    def append() -> None:
        with path.open("ab") as file:
            file.write(json.dumps(EVENT, ensure_ascii=False).encode() + b"\n")

    return append


def structlog_json(path: Path) -> Callable[[], object]:
    structlog = importlib.import_module("structlog")
    fields = {name: value for name, value in EVENT.items() if name not in ("timestamp", "event")}
    log = structlog.wrap_logger(
        structlog.WriteLogger(path.open("a", buffering=1)),
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.BoundLogger,
    )
    return lambda: log.info(EVENT["event"], **fields)


def do_tasks(path: Path) -> Callable[[], object]:
    return through_journal(path, {})


def do_tasks_with_a_secret(path: Path) -> Callable[[], object]:
    return through_journal(path, {"API_KEY": "k9-" + "a1b2c3d4" * 4})


def through_journal(path: Path, environ: dict[str, str]) -> Callable[[], object]:
    """Return an append of one CheckFinished as in a run: stamped, rid of this environment's secrets, rendered."""
    secrets = importlib.import_module("executor.system.secret_values").secrets_of(environ)
    masker = importlib.import_module("executor.system.masking").Masker(secrets)
    journal = importlib.import_module("executor.store.log_writer").LogWriter(str(path), mask=masker.mask)
    finished = importlib.import_module("executor.store.events").CheckFinished
    envelope = {"v", "timestamp", "task_id", "step", "event"}
    fields = {name: value for name, value in EVENT.items() if name not in envelope}
    return lambda: journal.write(finished(**fields), task_id=EVENT["task_id"], step=EVENT["step"])


WRITERS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "os.write of a ready line": ready_line,
    "do-tasks": do_tasks,
    "do-tasks, a secret to mask": do_tasks_with_a_secret,
    "structlog JSONRenderer": structlog_json,
    "open, append, close": opened_each_time,
}


def spent(append: Callable[[], object], events: int) -> tuple[float, float]:
    """Return the seconds of wall and CPU that one event costs."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(events):
        append()
    return (time.perf_counter() - wall) / events, (time.process_time() - cpu) / events


def main(rounds: int, events: int) -> None:
    """Print JSON: for each writer its rounds as [wall_s, cpu_s] per event, and notes of writers left out."""
    costs: dict[str, list[tuple[float, float]]] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        living: dict[str, Callable[[], object]] = {}
        for name, writer in WRITERS.items():
            try:
                living[name] = writer(Path(folder) / f"{len(living)}.log")
                living[name]()
            except (ImportError, AttributeError, TypeError) as missing:
                living.pop(name, None)
                notes.append(f"{name} is left out: {missing}")
        for turn in range(rounds + 1):
            for name, append in living.items():
                cost = spent(append, events)
                costs.setdefault(name, []).extend([cost] if turn else [])
    sys.stdout.write(json.dumps({"costs": costs, "notes": notes}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
