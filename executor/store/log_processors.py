"""Functions of a project that add fields to the events of the log: settings.log_processors."""

from __future__ import annotations

import sys
from copy import deepcopy
from importlib import import_module

from executor.errors import DefinitionError, Problem
from executor.store.events import VERSION
from executor.system.records import TYPE_CHECKING, Record
from executor.system.time_limit import run_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Function = Callable[[Any, str, dict[str, Any]], Mapping[str, Any]]

IMPORT_S = 60.0
CALL_S = 5.0
ENVELOPE = ("v", "timestamp", "task_id", "step", "phase", "event", "status")
SAMPLE = {
    "v": VERSION,
    "timestamp": "2026-01-01T00:00:00.000Z",
    "task_id": "",
    "step": None,
    "phase": "",
    "event": "WarningRaised",
    "status": "info",
    "message": "a sample: this line is not written",
}


class Processor(Record):
    """A function with structlog's signature, and its dotted path."""

    path: str
    function: Function

    def result(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Return its result for a copy of a line; ValueError for anything but a mapping within `CALL_S`."""
        result = run_within(lambda: self.function(None, "info", deepcopy({**line})), CALL_S)
        if isinstance(result, dict):
            return result
        raise ValueError(f"returned no event_dict within {CALL_S:g} s")

    def added(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that it adds to a line."""
        return {str(name): value for name, value in self.result(line).items() if name not in line}


def load(root: str, paths: tuple[str, ...], file: str) -> tuple[Processor, ...]:
    """Return the processors of a plan; DefinitionError naming the first that cannot be used."""
    found = []
    for place, path in enumerate(paths):
        try:
            found.append(_tried(root, path))
        except ValueError as error:
            raise DefinitionError(Problem(file, str(error), path=f"settings.log_processors[{place}]")) from error
    return tuple(found)


def trouble(root: str, paths: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield the processors that cannot be used: place and reason."""
    for place, path in enumerate(paths):
        try:
            _tried(root, path)
        except ValueError as error:
            yield place, str(error)


def _tried(root: str, path: str) -> Processor:
    """Return a processor that took a sample event; ValueError with path, reason and remedy for any failure."""
    module, _, name = path.rpartition(".")
    try:
        processor = Processor(path, getattr(_imported(root, module), name))
        result = processor.result(SAMPLE)
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}; mend it, or take it out") from error
    changed = [name for name in ENVELOPE if name not in result or result[name] != SAMPLE[name]]
    if changed:
        raise ValueError(f"{path} removes or changes {', '.join(changed)}; a log processor may only add fields")
    return processor


def _imported(root: str, module: str) -> Any:
    """Import a module by the path of this interpreter, then by the folder of the project."""
    if not module:
        raise ValueError("must be a dotted path, module.function")
    if sys.flags.no_site and "site" not in sys.modules:  # a supervisor starts without installed packages
        import site

        site.main()
    sys.path.append(root)  # last, and removed afterwards: no module of the project hides another
    try:
        found = run_within(lambda: import_module(module), IMPORT_S)
    finally:
        sys.path.remove(root)
    if found is None:
        raise ValueError(f"the import did not end within {IMPORT_S:g} s")
    return found
