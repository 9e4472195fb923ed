"""The facts the log records: one frozen class a kind, named in the past tense."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from typing import Any

VERSION = 1


class Event(Record):
    """The fields of every line beside its envelope (v, timestamp, task_id, step, event)."""

    phase: str = ""
    status: str = "info"


class TaskStarted(Event):
    """A new attempt at a step began; `digest` is the fingerprint of MAIN, `why` the reason why it runs.

    `runner` does MAIN, for the reason in `runner_why`; `asked_runner` is the runner that the command line named.
    `params` are the values that the command line gave.
    """

    title: str = ""
    digest: str = ""
    why: str = ""
    runner: str = ""
    runner_why: str = ""
    asked_runner: str = ""
    params: Any = None


class TaskResumed(Event):
    """An interrupted or lost task goes on under its own id."""

    title: str = ""
    digest: str = ""
    why: str = ""
    runner: str = ""
    runner_why: str = ""
    asked_runner: str = ""
    params: Any = None


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
    """MAIN's process is about to start; `pid` is its launcher's.

    For an agent: its role, its model, the containment of its shell, and whether it is contained. For a chunk: its
    number, counted from 1, the number of chunks, and `made_by`, the fingerprint of its rows without the sizes. For a
    cell of a matrix: its name.
    For a job: `record`, the digest of its job.json with its checks and criteria. `devices` are the GPUs that it may use
    when the plan gives it some. `revision` is the commit of the project, `dirty` whether tracked files differ from it
    beside those that do-tasks writes (null: not known); `environment` is the digest of the names and versions of the
    interpreter's `distributions`.
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
    devices: tuple[str, ...] = ()
    cell: str = ""
    revision: str = ""
    dirty: bool | None = None
    environment: str = ""
    distributions: int = 0


class MainAdopted(Event):
    """A MAIN that outlived its executor was found, alive or ended."""

    phase: str = "MAIN"
    status: str = "started"
    run: str = ""
    pid: int = 0
    why: str = ""


class MainReused(Event):
    """MAIN had exited 0 under the same fingerprint and is not repeated."""

    phase: str = "MAIN"
    status: str = "skipped"
    main_task: str = ""
    run: str = ""
    why: str = ""


class MainFinished(Event):
    """MAIN's process ended; `failure` is its retry class, empty when it passed.

    For a chunk: its number, the number of chunks, its counted rows, the SHA-256 of its file, `made_by`, its cost in USD
    where it reported one, and the outlook on the remaining chunks. For a cell of a matrix: its name.
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
    cell: str = ""


class CellFinished(Event):
    """A cell of a matrix was judged: `made_by` is the fingerprint of its MAIN, `judged_by` that of its judges.

    `main_task` and `run` name its run; `proven` and `claimed` count its criteria.
    """

    phase: str = "POST"
    cell: str = ""
    main_task: str = ""
    run: str = ""
    made_by: str = ""
    judged_by: str = ""
    reason: str = ""
    proven: int = 0
    claimed: int = 0


class MainRetried(Event):
    """Another attempt follows after a wait, seconds; `failure` is judged when POST sent an agent's work back."""

    phase: str = "MAIN"
    run: str = ""
    failure: str = ""
    wait_s: float = 0.0
    reason: str = ""


class AgentTurned(Event):
    """An agent had a turn: its text, its calls, its failed calls; tokens and USD are of all turns."""

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
    """The step has all its evidence; the box may be ticked.

    `digest` is the fingerprint of MAIN, `judged_by` that of its judges; `parts` and `files` are the parts of both.
    `proven` and `claimed` count criteria, `checks` the POST checks that ran; `accepted` is the person who accepted that
    its judges changed while its brief was out. `uncontained`: an agent did MAIN, and its shell was not contained.
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
    """A person ticked a box that no task ticked."""

    phase: str = "SPEC"
    text: str = ""


class HandUntickSeen(Event):
    """A person opened a box that a task had ticked."""

    phase: str = "SPEC"
    text: str = ""


class StepMarkedDone(Event):
    """`mark-done` ticked a box by hand; `terminal` when a person typed it, in a process without a brief."""

    phase: str = "SPEC"
    by: str = ""
    reason: str = ""
    terminal: bool = False


class StepReopened(Event):
    """`reopen` opened a box by hand; `terminal` when a person typed it, in a process without a brief."""

    phase: str = "SPEC"
    by: str = ""
    reason: str = ""
    terminal: bool = False


class JobRecorded(Event):
    """Records of a job or run were written again: from the plan (`record` is their digest), or from memory."""

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
    """An alert was raised; `key` is monitor/rule, `output` the matched text, `action` the action that follows."""

    phase: str = "BACKGROUND"
    status: str = "failed"
    key: str = ""
    output: str = ""
    samples: tuple[float, ...] = ()
    action: str = ""


class AlertCleared(Event):
    """A standing alert was cleared, for the reason given."""

    phase: str = "BACKGROUND"
    status: str = "passed"
    key: str = ""
    reason: str = ""


class AlertActed(Event):
    """The action of an alert is started, done, refused or failed; `at` is the progress of the training."""

    phase: str = "BACKGROUND"
    key: str = ""
    action: str = ""
    reason: str = ""
    at: float | None = None


class MonitorBlind(Event):
    """A monitor or a rule (`key`) received no data; `when` is the end of its grace period, or the end of the job."""

    phase: str = "BACKGROUND"
    key: str = ""
    reason: str = ""
    when: str = ""


class NoticeSent(Event):
    """A notice of an alert, recovery or end is sent: logged as started before it, so that none is sent twice."""

    phase: str = "BACKGROUND"
    notice: str = ""
    to: str = ""
    reason: str = ""


class BriefGiven(Event):
    """A host agent received its brief, or the failure of POST to correct; the task waits for `resume`.

    `asked` is the selection that continues after it, as words of the command line. `judges` names the snapshot of its
    judges, with its digest. `givers` are the processes that received the brief, as `pid start boot name`; entries with
    pid 0 describe the moment: time, place, orphans. `before` is the digest of the record of the files before MAIN.
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
    """An open brief was given again for another selection, `asked`, which continues after `resume`.

    `givers` are the processes that received it this time.
    """

    phase: str = "MAIN"
    status: str = "waiting"
    asked: str = ""
    givers: tuple[str, ...] = ()


class JudgesChanged(Event):
    """The judges of a step changed while its brief is out: no step runs until the change is undone or accepted."""

    phase: str = "SPEC"
    status: str = "waiting"
    changes: tuple[str, ...] = ()


class JudgesAccepted(Event):
    """A person accepted the changes of a step's judges; `judges` names the new snapshot, with its digest.

    `digests` are those of the changed files as they are now.
    """

    phase: str = "SPEC"
    by: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()
    digests: Any = None
    judges: str = ""


class WarningRaised(Event):
    """A message for a person; the run goes on."""

    message: str = ""


class LogRepaired(Event):
    """A torn line of `size` bytes was closed with a newline."""

    size: int = 0


class LogRotated(Event):
    """The older lines are in `file`."""

    file: str = ""


EVENTS = {kind.__name__: kind for kind in Event.__subclasses__()}
