"""SPEC.md and the log as they stood at one moment: a supervisor changes both while they are read."""

from __future__ import annotations

from executor.store import log_reader, spec_file
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.store.log_reader import LogState

TRIES = 20


def read(root: str, spec: str, known: LogState) -> tuple[bytes, LogState]:
    """Return SPEC.md's bytes and the fold of the log that belongs to them; `known` is an earlier fold.

    A verdict is logged, then shown in SPEC.md, then that is logged. Read once each, either may be the newer one: a tick
    whose verdict is not known, or an open box whose tick is. Bytes between two equal folds are of that fold.
    """
    before = log_reader.catch_up(root, known)
    data = b""
    for _ in range(TRIES):
        data = spec_file.read(spec)
        after = log_reader.catch_up(root, before)
        if after.states == before.states:
            return data, after
        before = after
    return data, before
