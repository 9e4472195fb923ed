"""Work in a thread that is waited for so long and no longer: what blocks in the kernel must not block a run."""

from __future__ import annotations

from threading import Thread

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def run_within(work: Callable[[], T], limit_s: float) -> T | None:
    """Return what the work brings, None when it does not end in time; what it raises is raised here."""
    done: list[T] = []
    failed: list[Exception] = []

    def attempt() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - it is raised again where somebody waits for it
            failed.append(error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    return done[0] if done else None
