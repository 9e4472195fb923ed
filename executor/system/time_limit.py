"""A function called in a thread with a time limit: a call that blocks in the kernel must not block a run."""

from __future__ import annotations

from threading import Thread

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def run_within(work: Callable[[], T], limit_s: float) -> T | None:
    """Return the result of a function, None when it takes longer; raise the exception that it raises."""
    done: list[T] = []
    failed: list[Exception] = []

    def attempt() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - it is raised again in the caller's thread
            failed.append(error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    return done[0] if done else None
