"""One run with all its trackers: JSON lines at once, the others by their queues."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Self

from tracking import run_facts, tracker
from tracking.queued import Queued
from tracking.tracker import Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

EVENTS = "tracking.jsonl"


class Tracking:
    """A context manager: `with Tracking(...) as run: run.metrics(1, {"loss": 2.0})`.

    `tracking.jsonl` in the folder always has everything, one line a call. `names` are further trackers. The end of the
    `with` block is `failed` if it raises.
    """

    def __init__(
        self, folder: Path, *, name: str, experiment: str, params: Mapping[str, Any], names: Sequence[str] = ()
    ) -> None:
        made = [Queued(one, tracker.make(one)) for one in tracker.names_of(names)]
        folder.mkdir(parents=True, exist_ok=True)
        self.run = Run(name, experiment, folder, run_facts.facts())
        self.params = dict(params)
        self.queued = made
        self._log = (folder / EVENTS).open("ab", buffering=0)
        self._is_torn = False
        self._began = False

    def __enter__(self) -> Self:
        self._write("begin", name=self.run.name, params=self.params, facts=dict(self.run.facts))
        self._call("begin", self.run, self.params)
        return self

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics of a step, with the load of the machine; what is no number is named in `left_out`."""
        numbers = {str(name): _number(value) for name, value in values.items()}
        measured = {**{name: one for name, one in numbers.items() if one is not None}, **run_facts.load()}
        odd = [name for name, one in numbers.items() if one is None]
        self._write("metrics", step=step, values=measured, **({"left_out": odd} if odd else {}))
        self._call("metrics", step, measured)

    def artifact(self, path: Path, name: str = "") -> None:
        """Record a file; its digest stands in the JSON lines."""
        self._write("artifact", name=name or path.name, path=str(path), sha256=run_facts.digest(path))
        self._call("artifact", path, name or path.name)

    def text(self, name: str, step: int, text: str) -> None:
        """Record a sample."""
        self._write("text", name=name, step=step, text=text)
        self._call("text", name, step, text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state = "failed" if error else "complete"
        for one in self.queued:
            one.close(state)
        dropped = {one.name: one.dropped for one in self.queued if one.dropped}
        self._write(
            "end", state=state, dropped=dropped, errors={one.name: one.error for one in self.queued if one.error}
        )
        with contextlib.suppress(OSError):
            os.fsync(self._log.fileno())
        self._log.close()

    def _call(self, method: str, *arguments: Any) -> None:
        for one in self.queued:
            one.call(method, *arguments)

    def _write(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, "time": run_facts.now(), **fields}, ensure_ascii=False, default=str)
        content = b"\n" * self._is_torn + line.encode("utf-8", "replace") + b"\n"
        try:
            self._is_torn = self._log.write(content) != len(content)
        except OSError as error:  # a full disk: the training goes on
            if not self._is_torn:
                print(f"tracking: {EVENTS} cannot be written: {error.strerror}", file=sys.stderr, flush=True)
            self._is_torn = True


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last one of a tensor with several elements
        return None
