"""The transcript: the events of the log as lines for a person."""

from __future__ import annotations

import os

from executor.store.events import EVENTS
from executor.store.ticks import SIGNS
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import PROGRESS_PREFIX
from executor.system.text import WIDTH, clean_control, joined_lines, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.cli.output.screen import Screen

    Line = Mapping[str, Any]

MARKS = {
    "passed": "✓",
    "failed": "✗",
    "timed_out": "✗",
    "cancelled": "–",
    "skipped": "–",
    "interrupted": "✗",
    "lost": "✗",
}
PHASES = {"PRE-FLIGHT": "PRE"}
STARTS = "watches it; it counts as started when the criteria of its start hold, or main.timeout is over"
BEGUN = {"stop": "ending the job", "restart": "ending the job, to restart it", "command": "its command runs"}


class Transcript:
    """A follower of the log that prints each event."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._blank = True

    def __call__(self, line: Line) -> None:
        """Print one event; of an unknown one its name."""
        shown = []
        for text in lines_of(line):
            if text or not self._blank:
                shown.append(joined_lines(text))
            self._blank = not text
        if shown:
            self._screen.print(*shown)


def lines_of(line: Line) -> list[str]:
    """Return the lines of an event; an event of another version may lack fields."""
    event = str(line.get("event", "a line without an event"))
    try:
        return FORMATS[event](line) if event in FORMATS else [] if event in EVENTS else [f"· {event}"]
    except (KeyError, TypeError, AttributeError, ValueError):
        return [f"· {event}: fields are missing or wrong"]


def _mark(line: Line) -> str:
    return MARKS.get(line["status"], "·")


def _seconds(line: Line) -> str:
    return f" ({line['duration_s']:.1f}s)" if line.get("duration_s") is not None else ""


def _task(line: Line) -> list[str]:
    verb = "Generated" if line["event"] == "TaskStarted" else "Resumed"
    why = f" ({line['why']})" if line["why"] not in ("", "not run before") else ""
    runner = [f"[TASK ID] Runner: {line['runner']} ({line['runner_why']})"] if line.get("runner_why") else []
    return [f"[TASK ID] {verb}: {line['task_id']}{why}", *runner, ""]


def _check(line: Line) -> list[str]:
    head = f"[{PHASES.get(line['phase'], line['phase'])}] {_mark(line)} {line['name']}"
    if line["status"] in ("cancelled", "skipped"):
        return [f"{head}: {line['got']}"]
    ended = f"{head}{_seconds(line)} - logged"
    if line["status"] == "passed":
        return [ended]
    fix = [f"       fix: {line['fix']}"] if line.get("fix") else []
    return [ended, f"       expected {line['expected']}; got {line['got']}", *fix]


def _test(line: Line) -> list[str]:
    word = f"Test {line['status'].replace('_', ' ')}" + (f": {line['reason']}" if line["reason"] else "")
    return [f"[TEST] {_mark(line)} {word}{_seconds(line)}", *_quoted(line)]


def _main_started(line: Line) -> list[str]:
    model = f", model {line['model']}" if line.get("model") else ""
    return [
        "",
        f"[MAIN] Executing: {one_line(line['objective'] or line['command'])}{_chunk(line)}...",
        f"[MAIN] Runner: {line['runner']} ({one_line(line['command'])}){model}",
        *([f"[MAIN] Containment: {line['containment']}"] if line.get("containment") else []),
    ]


def _chunk(line: Line) -> str:
    if line.get("cell"):
        return f", {line['step']}[{line['cell']}]"
    return f", chunk {line['chunk']} of {line['chunks']}" if line.get("chunk") else ""


def _main(line: Line) -> list[str]:
    word = "exit 0" if line["status"] == "passed" else line["reason"]
    rows = f"{_chunk(line)}: {line['rows']:,} rows" if line.get("chunk") else ""
    return [
        f"[MAIN] {_mark(line)} {word}{rows}{_seconds(line)}",
        *([f"[MAIN] · {one_line(line['outlook'])}"] if line.get("outlook") else []),
        *_quoted(line),
        f"[MAIN] All outputs logged with ID: {line['task_id']}",
        "",
    ]


def _because(line: Line) -> str:
    return f": {one_line(line['reason'])}" if line["reason"] else ""


def _quoted(line: Line) -> list[str]:
    if line["status"] == "passed":
        return []
    output = (text for text in clean_control(line["output"]).splitlines() if not text.startswith(PROGRESS_PREFIX))
    last = [text for text in output if text.strip()][-5:]
    folder = os.path.dirname(line["output_file"])
    return [f"       | {text[:WIDTH]}" for text in last] + [f"       whole output: {folder}/"]


def _job_started(line: Line) -> list[str]:
    pending = [f"       not met yet, and asked again at the end: {text}" for text in line["pending"]]
    return [f"[BACKGROUND] ⏳ {line['run']} is started (pid {line['pid']})", *pending]


def _alert(line: Line) -> list[str]:
    follows = "" if line["action"] in ("", "notify") else f"; {line['action']} follows"
    return [f"[BACKGROUND] ✗ alert {line['key']}: {one_line(line['output'])}{follows}"]


def _blind(line: Line) -> list[str]:
    saw = "saw nothing to the end" if line["when"] == "end" else "sees nothing so far"
    return [f"[BACKGROUND] ! monitor {line['key']} {saw}: {one_line(line['reason'])}"]


def _acted(line: Line) -> list[str]:
    action, status = line["action"], line["status"]
    done = BEGUN.get(action, action) if status == "started" else f"{action} {status.replace('_', ' ')}"
    reason = f": {one_line(line['reason'])}" if line["reason"] else ""
    return [f"[BACKGROUND] {_mark(line)} {line['key']}: {done}{reason}"]


def _supervisor(line: Line) -> list[str]:
    does = STARTS if line["why"] == "the job was started" else f"takes over: {line['why']}"
    return [f"[BACKGROUND] · supervisor (pid {line['pid']}) {does}"]


def _skipped(line: Line) -> list[str]:
    waits = line["reason"].startswith("it waits ")
    return [f"Step {line['step']} {line['reason'][3:] if waits else 'was not run: ' + line['reason']}"]


def _notice(line: Line) -> list[str]:
    if line["status"] not in ("failed", "timed_out"):
        return []
    return [f"[BACKGROUND] {_mark(line)} {line['to']} was not told of {line['notice']}: {one_line(line['reason'])}"]


def _brief_given(line: Line) -> list[str]:
    return (
        [f"[MAIN] ✗ sent back: {one_line(line['reason'])}"] if line["reason"] else [f"[MAIN] · brief: {line['brief']}"]
    )


def _turn(line: Line) -> list[str]:
    text = [f"       | {one_line(line['said'])}"] if line["said"] else []
    head = f"[MAIN] · turn {line['turn']}: {one_line('; '.join(line['calls'])) or 'no call'}"
    return [head, *text, *(f"       ✗ {one_line(text)}" for text in line["failed"])]


def _retried(line: Line) -> list[str]:
    if line["failure"] == "judged":
        return [f"[MAIN] ✗ sent back to the agent: {one_line(line.get('reason') or '')}"]
    return [f"[MAIN] trying again in {line['wait_s']}s ({line['failure']}): {line['run']}"]


def _restored(line: Line) -> list[str]:
    lost = [f"       could not be restored: {text}" for text in line["lost"]]
    return [f"[MAIN] ✗ the agent changed what judges it; restored: {', '.join(line['paths'])}", *lost]


def _criterion(line: Line) -> list[str]:
    sign = SIGNS.get(line["standing"], SIGNS["failed"])
    evidence = f" ({one_line(line['evidence'])})" if line["evidence"] else ""
    fix = [f"       fix: {line['fix']}"] if line["fix"] else []
    return [f"[POST] {sign} {line['criterion']}: {line['standing']}{evidence}", *fix]


def _passed(line: Line) -> list[str]:
    if not line.get("uncontained"):
        return []
    return ["", "[SPEC] Uncontained: the agent could do what you can, also to what proves its work"]


def _file(line: Line) -> str:
    """Return the name of the file that holds the step: a plan of another tool has texts for ids."""
    return "the plan" if isinstance(line["step"], str) else "SPEC.md"


def _ticked(line: Line) -> list[str]:
    return [
        "",
        f"[SPEC] ✓ Updated {_file(line)} - Step {line['step']} marked complete",
        f"       Added task_id: {line['task_id']} for log searching",
    ]


def _marked(line: Line) -> list[str]:
    if line["status"] == "started":
        return [f"[SPEC] ⏳ Step {line['step']} marked started in {_file(line)}; the box is ticked at its end"]
    if line["status"] == "passed":
        return ["", f"[SPEC] {SIGNS['rechecked']} Step {line['step']} marked rechecked in {_file(line)}"]
    return ["", f"[SPEC] ✗ Step {line['step']} stays open in {_file(line)}: {line['text']}"]


def _rechecked(line: Line) -> list[str]:
    if line["status"] == "passed":
        return []
    return [f"[POST] ✗ Step {line['step']} does not hold here: {one_line(line['reason'])}; its tick stays as it was"]


FORMATS: dict[str, Callable[[Line], list[str]]] = {
    "TaskStarted": _task,
    "TaskResumed": _task,
    "CheckFinished": _check,
    "TestStarted": lambda _: ["", "[TEST] Running minimal test first..."],
    "TestFinished": _test,
    "TestSkipped": lambda line: ["", f"[TEST] {_mark(line)} {line['reason']}"],
    "MainStarted": _main_started,
    "MainFinished": _main,
    "MainReused": lambda line: ["", f"[MAIN] – not repeated: it exited 0 as {line['main_task']}/{line['run']}", ""],
    "MainAdopted": lambda line: ["", f"[MAIN] {line['why']}: adopted {line['run']} (pid {line['pid']})"],
    "MainLost": lambda line: ["", f"[MAIN] ✗ {line['run']} is lost: {line['reason']}"],
    "MainRetried": _retried,
    "CellFinished": lambda line: [f"[POST] {_mark(line)} {line['step']}[{line['cell']}]{_because(line)}"],
    "AgentTurned": _turn,
    "ProtectedRestored": _restored,
    "StraysStopped": lambda line: [f"       ended what {line['run'] or 'the task'} had left running: {line['pids']}"],
    "CriterionJudged": _criterion,
    "SpecLineAppended": lambda line: [f"[SPEC] ✓ Added the line of step {line['step']} to SPEC.md"],
    "SpecLineMissing": lambda line: [
        f"Note: SPEC.md has no line of step {line['step']}, which passed; when it is back it is ticked from the log."
    ],
    "StepPassed": _passed,
    "SpecTicked": _ticked,
    "SpecMarked": _marked,
    "StepRechecked": _rechecked,
    "StepsRenumbered": lambda line: [f"Step numbers have changed: {', '.join(line['moves'])}; ticks go with them."],
    "JudgesChanged": lambda line: [f"What judges step {line['step']} changed since its brief: nothing runs."],
    "JudgesAccepted": lambda line: [f"[SPEC] ◆ What judges step {line['step']} is accepted by {line['by']}."],
    "HandTickSeen": lambda line: [f"Step {line['step']} was ticked by hand; noted."],
    "HandUntickSeen": lambda line: [f"Step {line['step']} was opened by hand; it runs again."],
    "JobStarted": _job_started,
    "BriefGiven": _brief_given,
    "SupervisorStarted": _supervisor,
    "MonitorBlind": _blind,
    "CheckpointSaved": lambda line: [f"[BACKGROUND] ✓ first checkpoint: {one_line(line['path'])}"],
    "AlertRaised": _alert,
    "AlertCleared": lambda line: [f"[BACKGROUND] ✓ {line['key']} is over: {one_line(line['reason'])}"],
    "AlertActed": _acted,
    "NoticeSent": _notice,
    "StepSkipped": _skipped,
    "JobRecorded": lambda line: [f"Note: {line['message']}"],
    "WarningRaised": lambda line: [f"{'[TEST] !' if line['phase'] == 'TEST' else 'Note:'} {line['message']}"],
    "LogRepaired": lambda line: [f"Note: a torn line of {line['size']} bytes in the log was closed."],
}
