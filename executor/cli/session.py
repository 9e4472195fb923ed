"""One executor on a project: its lock, its screen, its view of the plan, its run context."""

from __future__ import annotations

import os
from contextlib import contextmanager

from executor.cli.output.screen import Screen
from executor.cli.output.transcript import Transcript
from executor.cli.preconditions import refuse_while_agent_works
from executor.guard import brief_gate
from executor.store import log_reader, project
from executor.store.context import RunContext
from executor.store.events import VERSION
from executor.store.known_secrets import masker_of
from executor.store.log_writer import LogWriter
from executor.store.project_view import ProjectView
from executor.system import locks, process_privacy, procfs
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.cli.output.verbose import Verbose
    from executor.store.context import Invocation
    from executor.store.log_processors import Processor
    from executor.store.log_writer import Follower
    from executor.store.project import Project
    from executor.system.masking import Masker

NEWER_LOG = "Note: a newer do-tasks wrote this log; events that this version does not know are ignored"


@contextmanager
def locked(here: Project, command: str = "", *, as_json: bool = False) -> Iterator[Screen]:
    """Hold the lock of the executor in the project's folder; yield its screen.

    The screen is standard error when standard output is for JSON. Raises BusyError when another executor holds the
    lock, and for a `command` that has to wait while an agent works.
    """
    os.chdir(here.root)
    lock = locks.acquire(here.state("run.lock"))
    project.distrust_caches(here.root)
    brief_gate.distrust_caches(here.root)
    screen = Screen(2 if as_json else 1)
    try:
        if command:
            refuse_while_agent_works(here.root, command)
        yield screen
    finally:
        screen.close()
        lock.release()


def view(here: Project, *, for_run: bool = True, strict: bool = False, asked_runner: str = "") -> ProjectView:
    """Return the plan and the log of a project; the plan is validated `for_run`."""
    plan, _ = project.load(here, for_run=for_run)
    return ProjectView(here, plan, log_reader.recall(here.root), strict=strict, asked_runner=asked_runner)


@contextmanager
def opened(
    seen: ProjectView,
    screen: Screen,
    *,
    verbose: bool = False,
    invocation: Invocation | None = None,
    transcript: Callable[[Screen], Follower] = Transcript,
) -> Iterator[RunContext]:
    """Open the log for writing; at the end save its fold and remove snapshots that no brief needs.

    `verbose` also shows each act of the executor on standard error. `transcript` makes the follower for a person.
    """
    context = _context(seen, screen, invocation, transcript(screen), verbose=verbose)
    try:
        yield context
    finally:
        brief_gate.forget_settled(context)
        log_reader.save(context.root, log_reader.catch_up(context.root, context.recalled))
        context.journal.close()


def _context(
    seen: ProjectView, screen: Screen, invocation: Invocation | None, transcript: Follower, *, verbose: bool
) -> RunContext:
    here, paths = seen.project, seen.plan.settings.log_processors
    processors: tuple[Processor, ...] = ()
    if paths:
        from executor.store import log_processors

        processors = log_processors.load(here.root, paths, here.definitions)
    process_privacy.overwrite_secrets()
    process_privacy.forbid_inspection()
    masker = masker_of(seen.plan, here.root, os.environ)
    python = project.interpreter(here, seen.plan.settings.python, dict(os.environ))
    trace = _trace(masker) if verbose else None
    if trace:
        trace("hold lock", file=os.path.relpath(here.state("run.lock"), here.root), pid=os.getpid())
        trace("read plan", file=seen.plan.file, steps=len(seen.plan.numbers), python=python)
    followers = (transcript, trace.follow) if trace else (transcript,)
    procfs.adopt_orphans()
    journal = LogWriter(
        here.path(LOG_NAME), mask=masker.mask, followers=followers, processors=processors, plan=seen.plan.settings.plan
    )
    context = RunContext(
        seen, journal=journal, masker=masker, python=python, invocation=invocation, screen=screen, trace=trace
    )
    if log_reader.last_version(here.root) > VERSION:
        screen.print(NEWER_LOG)
    if here.warning:
        screen.print(f"Note: {here.warning}")
    return context


def _trace(masker: Masker) -> Verbose:
    """Return the log on standard error of each act of the executor and each line of the log."""
    import atexit

    from executor.cli.output.verbose import Verbose

    verbose = Verbose(masker)
    atexit.register(verbose.close)
    return verbose
