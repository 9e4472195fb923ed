"""Two words on how a run ended: its exit record, and the kernel's."""

from __future__ import annotations

from executor.system import launcher
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.system.process import ProcessResult
    from executor.system.run_records import Exit


def agree(written: Exit, ended: ProcessResult) -> bool:
    """Return True when the record says what the kernel says, or the kernel says nothing."""
    if ended.exit_code is None and not ended.signal:
        return True
    return ended.exit_code == (written.exit_code if written.ran else launcher.NOT_RELEASED)


def told(end: Exit) -> str:
    """Return how a run ended, in words."""
    if not end.ran:
        return "that nothing ran"
    return f"exit {end.exit_code}" if end.exit_code is not None else f"killed by signal {end.signal}"
