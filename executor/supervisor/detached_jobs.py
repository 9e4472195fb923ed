"""Jobs that end and leave a process running: one that ends at once detached its training, which is refused."""

from __future__ import annotations

import time

from executor.store import runs
from executor.store.events import WarningRaised
from executor.system import procfs
from executor.system.process_loop import ObserverLoop
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.runners.process_run import Run
    from executor.store.context import RunContext, Task
    from executor.system.process import Running

SOON_S = 2.0  # a job is started when it is alive so long after its start
LINGER_S = 0.5  # what ends by itself within this was no more than a helper of the job
LOOK_S = 0.02
MOST_CHARS = 80


class Leavers(ObserverLoop):
    """A poll loop that looks at what a run left, before that is ended."""

    left: tuple[str, ...] = ()
    _ended_s = 0.0

    def settled(self, one: Running) -> bool:
        """Give what MAIN left a moment to end by itself, then remember what did not."""
        if not one.command.name.startswith("main.") or one.stopping or not one.survived():
            return super().settled(one)
        self._ended_s = self._ended_s or time.monotonic()
        if time.monotonic() < self._ended_s + LINGER_S:
            return False
        self.left = _shown(procfs.bearing(one.command.token))
        return super().settled(one)


def left_by(token: str) -> tuple[str, ...]:
    """Return the command lines of what a run left that ended before anybody watched it."""
    until = time.monotonic() + LINGER_S
    while (found := procfs.bearing(token)) and time.monotonic() < until:
        time.sleep(LOOK_S)
    return _shown(found)


def told(context: RunContext, task: Task, run: str, done: Run, left: tuple[str, ...]) -> Run:
    """Return a run that ended well with what it left: ended so soon, that is the job itself; later, it is told."""
    began_ns = runs.began_ns(context.folder(task, run))
    lasted_s = (done.end.ended_ns - began_ns) / 1e9
    if not left or done.verdict is not None or done.end.exit_code != 0:
        return done
    if lasted_s > SOON_S:
        said = f"{run} exited 0 and left running what was ended then: {', '.join(left)}"
        context.log(
            WarningRaised(message=f"{said}; a training that detaches itself ends here: drop its & or nohup"), task
        )
        return done.replace(trailing=left)
    return done.replace(left=left, duration_s=round(max(0.0, lasted_s), 3))


def _shown(found: list[int]) -> tuple[str, ...]:
    return tuple(text for text in map(_words, found) if text)


def _words(pid: int) -> str:
    text = " ".join(procfs.words(pid))
    return text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS - 1]}…"
