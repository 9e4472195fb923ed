"""Monitors that are commands: their start, and the result of their end."""

from __future__ import annotations

import os

from executor.errors import MachineError
from executor.system import files, safe_open
from executor.system.output_tail import MARGIN
from executor.system.process import Command
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.monitoring.model import Monitor
    from executor.system.masking import Masker
    from executor.system.process import ProcessResult

KEPT_ERRORS, SHOWN_ERRORS = 4096, 300  # of the stderr of a command: bytes that are kept, characters that are shown
MOST_OUTPUT = 1 << 20


def index_of(ended: ProcessResult) -> int:
    """Return the index of the monitor whose command has ended."""
    return int(ended.name.partition(".")[2])


class MonitorCommands:
    """The commands of the monitors of one job."""

    def __init__(
        self,
        task_id: str,
        folder: str,
        masker: Masker,
        *,
        argv: Callable[[Monitor], tuple[str, ...]],
        environment: Callable[[tuple[str, ...]], dict[str, str]],
    ) -> None:
        """`folder` keeps the stderr of each; `environment` returns the variables, of secrets only the named ones."""
        self._task_id = task_id
        self._folder = files.claim_folder(folder)
        self._masker = masker
        self._argv = argv
        self._environment = environment
        self._plain = environment(())

    def command(self, at: int, monitor: Monitor) -> Command:
        """Return the command of the monitor at this index."""
        name = f"monitor.{at}"
        return Command(
            name=name,
            argv=self._argv(monitor),
            env=self._environment(monitor.env) if monitor.env else self._plain,
            token=f"{self._task_id}/{name}",
            limit_s=monitor.limit_s,
            errors=self._path(at),
            max_output=MOST_OUTPUT,
        )

    def outcome(self, at: int, ended: ProcessResult) -> tuple[int | None, str, str]:
        """Return exit code (negative for a signal, None at a time limit), output and error of a command, masked."""
        errors = self.errors(at)[-SHOWN_ERRORS:]
        code = None if ended.reason else -ended.signal if ended.signal else ended.exit_code
        output = self._masker.mask(ended.output.decode("utf-8", "replace"))
        return code, output, self._masker.mask(ended.reason or (errors if ended.exit_code else ""))

    def errors(self, at: int) -> str:
        """Return the end of a command's stderr, masked, and cut the file to it."""
        path = self._path(at)
        data = _end_of(path, KEPT_ERRORS + MARGIN)
        whole = self._masker.mask_bytes_equal_length(data) if len(data) > KEPT_ERRORS else data
        masked = self._masker.mask(whole[-KEPT_ERRORS:].decode("utf-8", "replace"))
        if masked != data.decode("utf-8", "replace"):
            try:
                files.replace(path, masked.encode("utf-8", "replace"))
            except MachineError:  # a full disk: the text is still returned
                return masked
        return masked

    def _path(self, at: int) -> str:
        return os.path.join(self._folder, f"{at}.err")


def _end_of(path: str, size: int) -> bytes:
    try:
        return safe_open.read_end(path, size)
    except OSError:
        return b""
