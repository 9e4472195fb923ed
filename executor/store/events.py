"""The facts the log records: one frozen class a kind, named in the past tense."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from typing import Any

VERSION = 1


class Event(Record):
    """What every line has beside its envelope (v, timestamp, task_id, step, event)."""

    phase: str = ""
    status: str = "info"


class TaskStarted(Event):
    """A new attempt at a step began; `digest` is of what MAIN does, `why` says why it runs.

    `runner` does MAIN, for the reason in `runner_why`; `asked_runner` is whom the command line named, if anyone.
    """

    title: str = ""
    digest: str = ""
    why: str = ""
    runner: str = ""
    runner_why: str = ""
    asked_runner: str = ""


class TaskResumed(Event):
    """An interrupted or lost task goes on under its own id."""

    title: str = ""
    digest: str = ""
    why: str = ""
    runner: str = ""
    runner_why: str = ""
    asked_runner: str = ""


class CheckFinished(Event):
    """A PRE-FLIGHT or POST check ended; durations are seconds, `output` is the masked tail."""

    name: str = ""
    command: str = ""
    exit_code: int | None = None
    duration_s: float = 0.0
    output: str = ""
    output_file: str = ""
    expected: str = ""
    got: str = ""
    fix: str = ""


class TestStarted(Event):
    """The script was started on minimal data."""

    phase: str = "TEST"
    status: str = "started"
    run: str = ""
    command: str = ""


class TestFinished(Event):
    """The run on minimal data ended."""

    phase: str = "TEST"
    run: str = ""
    command: str = ""
    exit_code: int | None = None
    duration_s: float = 0.0
    output: str = ""
    output_file: str = ""
    reason: str = ""


class TestSkipped(Event):
    """No run on minimal data, for the reason given."""

    phase: str = "TEST"
    status: str = "skipped"
    reason: str = ""


class MainStarted(Event):
    """MAIN's process is about to be let go; `pid` is its launcher's.

    Of an agent: its role, its model, what its shell is contained by, and whether it is. Of a chunk: its number, counted
    from 1, the number of chunks, and `made_by`, the digest of what makes rows whatever the sizes are. Of a job:
    `record`, the digest of its job.json, in which its checks and criteria are.
    """

    phase: str = "MAIN"
    status: str = "started"
    run: str = ""
    command: str = ""
    runner: str = ""
    pid: int = 0
    objective: str = ""
    limit_s: float = 0.0
    agent: str = ""
    model: str = ""
    containment: str = ""
    contained: bool = False
    chunk: int = 0
    chunks: int = 0
    made_by: str = ""
    record: str = ""


class MainAdopted(Event):
    """A MAIN that outlived its executor was found, alive or ended."""

    phase: str = "MAIN"
    status: str = "started"
    run: str = ""
    pid: int = 0
    why: str = ""


class MainReused(Event):
    """MAIN had exited 0 under the same digest and is not repeated."""

    phase: str = "MAIN"
    status: str = "skipped"
    main_task: str = ""
    run: str = ""
    why: str = ""


class MainFinished(Event):
    """MAIN's process ended; `failure` is its retry class, empty when it passed.

    Of a chunk: its number and theirs, its rows as we counted them, the SHA-256 of its file, `made_by`, what it cost in
    US dollars as far as it said, what is done and to come.
    """

    phase: str = "MAIN"
    run: str = ""
    exit_code: int | None = None
    signal: int = 0
    duration_s: float = 0.0
    output: str = ""
    output_file: str = ""
    failure: str = ""
    reason: str = ""
    chunk: int = 0
    chunks: int = 0
    rows: int = 0
    sha256: str = ""
    made_by: str = ""
    usd: float = 0.0
    outlook: str = ""


class MainRetried(Event):
    """Another attempt follows after a wait, seconds; `failure` is judged when POST sent an agent's work back."""

    phase: str = "MAIN"
    run: str = ""
    failure: str = ""
    wait_s: float = 0.0
    reason: str = ""


class AgentTurned(Event):
    """An agent had a turn: what it said, called, and which calls failed; tokens and US dollars are of all turns."""

    phase: str = "MAIN"
    run: str = ""
    turn: int = 0
    said: str = ""
    calls: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    tokens: int = 0
    usd: float = 0.0


class ProtectedRestored(Event):
    """An agent changed what judges it; `paths` are as they were again, `lost` could not be put back."""

    phase: str = "MAIN"
    status: str = "failed"
    run: str = ""
    paths: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    kept: str = ""


class MainLost(Event):
    """MAIN is dead and left no exit code."""

    phase: str = "MAIN"
    status: str = "lost"
    run: str = ""
    reason: str = ""


class StraysStopped(Event):
    """Processes of a run that outlived it were ended."""

    run: str = ""
    pids: tuple[int, ...] = ()


class ResultRead(Event):
    """The result file of MAIN was read."""

    phase: str = "MAIN"
    run: str = ""
    metrics: Any = None
    note: str = ""


class CriterionJudged(Event):
    """A success criterion is proven, claimed or unproven."""

    phase: str = "POST"
    criterion: str = ""
    standing: str = ""
    evidence: str = ""
    expected: str = ""
    got: str = ""
    fix: str = ""


class StepPassed(Event):
    """All evidence is in; the box may be ticked.

    `digest` is of what MAIN did, `judged_by` of what judged it; `parts` and `files` are what both are made of.
    `proven` and `claimed` count criteria, `checks` the POST checks that ran; `accepted` is the person who accepted that
    its judges changed while its brief was out. `uncontained`: an agent did MAIN, and nothing held its shell.
    """

    phase: str = "SPEC"
    status: str = "passed"
    digest: str = ""
    judged_by: str = ""
    parts: Any = None
    files: Any = None
    proven: int = 0
    claimed: int = 0
    checks: int = 0
    duration_s: float = 0.0
    note: str = ""
    accepted: str = ""
    uncontained: bool = False


class StepFailed(Event):
    """The task ended without passing; status is failed, timed_out or cancelled, `failed_in` a phase.

    `alerts` (monitor/rule) stood at the end of a job that exited 0, and failed it.
    """

    phase: str = "SPEC"
    status: str = "failed"
    reason: str = ""
    failed_in: str = ""
    duration_s: float = 0.0
    alerts: tuple[str, ...] = ()


class StepInterrupted(Event):
    """A person or a signal stopped the task; it can be continued."""

    phase: str = "SPEC"
    status: str = "interrupted"
    reason: str = ""
    failed_in: str = ""


class StepSkipped(Event):
    """A step was asked for and not run."""

    status: str = "skipped"
    reason: str = ""


class SpecTicked(Event):
    """SPEC.md has the tick, on the given line; `text` is the step's title there.

    `before` and `after` are fingerprints of the step's line as it was and as it is.
    """

    phase: str = "SPEC"
    status: str = "passed"
    line: int = 0
    text: str = ""
    before: str = ""
    after: str = ""


class SpecMarked(Event):
    """SPEC.md has the failure mark; the box stays open; `text` is the reason in full.

    `before` and `after` are fingerprints of the step's line as it was and as it is.
    """

    phase: str = "SPEC"
    line: int = 0
    text: str = ""
    before: str = ""
    after: str = ""


class SpecLineMissing(Event):
    """A run found no line of a step that had passed; when the line is back it is ticked from the log."""

    phase: str = "SPEC"


class StepsRenumbered(Event):
    """Steps have other numbers than before, seen by the task ids of their lines; each of `moves` reads `3 was 2`."""

    phase: str = "SPEC"
    moves: tuple[str, ...] = ()


class StepRechecked(Event):
    """POST and criteria of a ticked step ran again, without MAIN.

    `full` is True when every criterion is bound to a check and was asked; `of` is the task id of the tick before.
    """

    phase: str = "POST"
    proven: int = 0
    claimed: int = 0
    checks: int = 0
    full: bool = False
    of: str = ""
    reason: str = ""


class SpecLineAppended(Event):
    """A defined step had no line in SPEC.md and was given one."""

    phase: str = "SPEC"
    text: str = ""


class HandTickSeen(Event):
    """A person ticked a box that no task of ours ticked."""

    phase: str = "SPEC"
    text: str = ""


class HandUntickSeen(Event):
    """A person opened a box that we had ticked."""

    phase: str = "SPEC"
    text: str = ""


class StepMarkedDone(Event):
    """`mark-done` ticked a box by hand; `terminal` when a person typed it, the process of no brief."""

    phase: str = "SPEC"
    by: str = ""
    reason: str = ""
    terminal: bool = False


class StepReopened(Event):
    """`reopen` opened a box by hand; `terminal` when a person typed it, the process of no brief."""

    phase: str = "SPEC"
    by: str = ""
    reason: str = ""
    terminal: bool = False


class JobRecorded(Event):
    """The record of a job was made again from the plan as it is now; `record` is its digest, `message` says why."""

    phase: str = "BACKGROUND"
    message: str = ""
    record: str = ""


class JobStarted(Event):
    """A background job is started: alive, the criteria of its start met or pending when its start-up time was over."""

    phase: str = "BACKGROUND"
    status: str = "started"
    run: str = ""
    pid: int = 0
    pending: tuple[str, ...] = ()


class SupervisorStarted(Event):
    """A process that watches a job began, or took over; the job itself is the same."""

    phase: str = "BACKGROUND"
    pid: int = 0
    run: str = ""
    why: str = ""


class CheckpointSaved(Event):
    """The first checkpoint of a job is there."""

    phase: str = "BACKGROUND"
    run: str = ""
    path: str = ""


class AlertRaised(Event):
    """A condition began to stand; `key` is monitor/rule, `output` what was matched or seen, `action` what follows."""

    phase: str = "BACKGROUND"
    status: str = "failed"
    key: str = ""
    output: str = ""
    samples: tuple[float, ...] = ()
    action: str = ""


class AlertCleared(Event):
    """A standing condition is over, for the reason given."""

    phase: str = "BACKGROUND"
    status: str = "passed"
    key: str = ""
    reason: str = ""


class AlertActed(Event):
    """What an alert asked for is begun, done, refused or failed; `at` is how far the training was."""

    phase: str = "BACKGROUND"
    key: str = ""
    action: str = ""
    reason: str = ""
    at: float | None = None


class MonitorBlind(Event):
    """A monitor, or the rule of one (`key`), has seen nothing of what it is for: `when` is grace, or end of the job."""

    phase: str = "BACKGROUND"
    key: str = ""
    reason: str = ""
    when: str = ""


class NoticeSent(Event):
    """Somebody was told of an alert, recovery or end; status started comes before, so that none is told twice."""

    phase: str = "BACKGROUND"
    notice: str = ""
    to: str = ""
    reason: str = ""


class BriefGiven(Event):
    """An agent outside was told what to do, or to mend what POST found; the task waits for `resume`.

    `asked` is the selection that is gone on with then, as words of the command line. `judges` names what was remembered
    of its judges, with the digest of that; `givers` are the processes that it was given to, as `pid start boot name`,
    and when, where, beside which orphans (pid 0); `before` is the digest of the record of what lay there before MAIN.
    """

    phase: str = "MAIN"
    status: str = "waiting"
    run: str = ""
    runner: str = ""
    brief: str = ""
    reason: str = ""
    asked: str = ""
    judges: str = ""
    givers: tuple[str, ...] = ()
    before: str = ""


class BriefRepeated(Event):
    """A brief that is out was given again, to another selection: `asked` is gone on with from now on.

    `givers` are the processes that it was given to this time.
    """

    phase: str = "MAIN"
    status: str = "waiting"
    asked: str = ""
    givers: tuple[str, ...] = ()


class JudgesChanged(Event):
    """What judges a step was found changed while its brief is out: nothing runs until a person accepts it."""

    phase: str = "SPEC"
    status: str = "waiting"
    changes: tuple[str, ...] = ()


class JudgesAccepted(Event):
    """A person accepted what changed of a step's judges; `judges` names what was remembered anew, with its digest.

    `digests` are those of the changed files as they are now.
    """

    phase: str = "SPEC"
    by: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()
    digests: Any = None
    judges: str = ""


class WarningRaised(Event):
    """Something a person should know that stops nothing."""

    message: str = ""


class LogRepaired(Event):
    """A torn line of `size` bytes was closed with a newline."""

    size: int = 0


class LogRotated(Event):
    """The older lines are in `file`."""

    file: str = ""


EVENTS = {kind.__name__: kind for kind in Event.__subclasses__()}
