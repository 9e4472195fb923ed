"""The transcript: what the journal wrote, as lines a person reads."""

from __future__ import annotations

import os

from executor.cli.output import criteria_lines
from executor.store.events import EVENTS
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import PROGRESS_PREFIX
from executor.system.text import WIDTH
from executor.system.text import clean_control as safe
from executor.system.text import joined_lines as one_line
from executor.system.text import one_line as brief

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
    """A follower of the journal that says each event as the founding document does."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._blank = True

    def __call__(self, line: Line) -> None:
        """Show one event; an unknown one is named."""
        shown = []
        for text in _said(line):
            if text or not self._blank:
                shown.append(one_line(text))
            self._blank = not text
        if shown:
            self._screen.say(*shown)


def _said(line: Line) -> list[str]:
    """Return what a line says; one of another hand or version may lack what ours have."""
    event = str(line.get("event", "a line without an event"))
    try:
        return SAYINGS[event](line) if event in SAYINGS else [] if event in EVENTS else [f"· {event}"]
    except (KeyError, TypeError, AttributeError, ValueError):
        return [f"· {event}, not as this version writes it"]


def _mark(line: Line) -> str:
    return MARKS.get(line["status"], "·")


def _seconds(line: Line) -> str:
    return f" ({line['duration_s']:.1f}s)" if line.get("duration_s") is not None else ""


def _tag(line: Line) -> str:
    return f"[{PHASES.get(line['phase'], line['phase'])}]"


def _task(line: Line) -> list[str]:
    verb = "Generated" if line["event"] == "TaskStarted" else "Resumed"
    why = f" ({line['why']})" if line["why"] not in ("", "not run before") else ""
    who = [f"[TASK ID] Runner: {line['runner']} ({line['runner_why']})"] if line.get("runner_why") else []
    return [f"[TASK ID] {verb}: {line['task_id']}{why}", *who, ""]


def _check(line: Line) -> list[str]:
    head = f"{_tag(line)} {_mark(line)} {line['name']}"
    if line["status"] == "passed":
        return [f"{head}{_seconds(line)} - logged"]
    if line["status"] in ("cancelled", "skipped"):
        return [f"{head}: {line['got']}"]
    return [f"{head}{_seconds(line)} - logged", *_expected(line)]


def _expected(line: Line) -> list[str]:
    fix = [f"       fix: {line['fix']}"] if line.get("fix") else []
    return [f"       expected {line['expected']}; got {line['got']}", *fix]


def _test(line: Line) -> list[str]:
    word = f"Test {line['status'].replace('_', ' ')}" + (f": {line['reason']}" if line["reason"] else "")
    return [f"[TEST] {_mark(line)} {word}{_seconds(line)}", *_quoted(line)]


def _test_skipped(line: Line) -> list[str]:
    return ["", f"[TEST] {_mark(line)} {line['reason']}"]


def _main_started(line: Line) -> list[str]:
    return [
        "",
        f"[MAIN] Executing: {brief(line['objective'] or line['command'])}{_chunk(line)}...",
        f"[MAIN] Runner: {line['runner']} ({brief(line['command'])}){_of_agent(line)}",
        *([f"[MAIN] Containment: {line['containment']}"] if line.get("containment") else []),
    ]


def _of_agent(line: Line) -> str:
    return f", model {line['model']}" if line.get("model") else ""


def _chunk(line: Line) -> str:
    return f", chunk {line['chunk']} of {line['chunks']}" if line.get("chunk") else ""


def _main(line: Line) -> list[str]:
    word = "exit 0" if line["status"] == "passed" else line["reason"]
    rows = f"{_chunk(line)}: {line['rows']:,} rows" if line.get("chunk") else ""
    return [
        f"[MAIN] {_mark(line)} {word}{rows}{_seconds(line)}",
        *([f"[MAIN] · {brief(line['outlook'])}"] if line.get("outlook") else []),
        *_quoted(line),
        f"[MAIN] All outputs logged with ID: {line['task_id']}",
        "",
    ]


def _quoted(line: Line) -> list[str]:
    if line["status"] == "passed":
        return []
    spoken = (text for text in safe(line["output"]).splitlines() if not text.startswith(PROGRESS_PREFIX))
    last = [text for text in spoken if text.strip()][-5:]
    folder = os.path.dirname(line["output_file"])
    return [f"       | {text[:WIDTH]}" for text in last] + [f"       whole output: {folder}/"]


def _job_started(line: Line) -> list[str]:
    pending = [f"       not met yet, and asked again at the end: {text}" for text in line["pending"]]
    return [f"[BACKGROUND] ⏳ {line['run']} is started (pid {line['pid']})", *pending]


def _alert(line: Line) -> list[str]:
    follows = "" if line["action"] in ("", "notify") else f"; {line['action']} follows"
    return [f"[BACKGROUND] ✗ alert {line['key']}: {brief(line['output'])}{follows}"]


def _blind(line: Line) -> list[str]:
    saw = "saw nothing to the end" if line["when"] == "end" else "sees nothing so far"
    return [f"[BACKGROUND] ! monitor {line['key']} {saw}: {brief(line['reason'])}"]


def _acted(line: Line) -> list[str]:
    action, status = line["action"], line["status"]
    done = BEGUN.get(action, action) if status == "started" else f"{action} {status.replace('_', ' ')}"
    told = f": {brief(line['reason'])}" if line["reason"] else ""
    return [f"[BACKGROUND] {_mark(line)} {line['key']}: {done}{told}"]


def _supervisor(line: Line) -> list[str]:
    does = STARTS if line["why"] == "the job was started" else f"takes over: {line['why']}"
    return [f"[BACKGROUND] · supervisor (pid {line['pid']}) {does}"]


def _skipped(line: Line) -> list[str]:
    waits = line["reason"].startswith("it waits ")
    return [f"Step {line['step']} {line['reason'][3:] if waits else 'was not run: ' + line['reason']}"]


def _notice(line: Line) -> list[str]:
    if line["status"] not in ("failed", "timed_out"):
        return []
    return [f"[BACKGROUND] {_mark(line)} {line['to']} was not told of {line['notice']}: {brief(line['reason'])}"]


def _brief_given(line: Line) -> list[str]:
    return [f"[MAIN] ✗ sent back: {brief(line['reason'])}"] if line["reason"] else [f"[MAIN] · brief: {line['brief']}"]


def _turn(line: Line) -> list[str]:
    said = [f"       | {brief(line['said'])}"] if line["said"] else []
    head = f"[MAIN] · turn {line['turn']}: {brief('; '.join(line['calls'])) or 'no call'}"
    return [head, *said, *(f"       ✗ {brief(text)}" for text in line["failed"])]


def _retried(line: Line) -> list[str]:
    if line["failure"] == "judged":
        return [f"[MAIN] ✗ sent back to the agent: {brief(line.get('reason') or '')}"]
    return [f"[MAIN] trying again in {line['wait_s']}s ({line['failure']}): {line['run']}"]


def _restored(line: Line) -> list[str]:
    lost = [f"       could not be restored: {text}" for text in line["lost"]]
    return [f"[MAIN] ✗ the agent changed what judges it; restored: {', '.join(line['paths'])}", *lost]


SAYINGS: dict[str, Callable[[Line], list[str]]] = {
    "TaskStarted": _task,
    "TaskResumed": _task,
    "CheckFinished": _check,
    "TestStarted": lambda _: ["", "[TEST] Running minimal test first..."],
    "TestFinished": _test,
    "TestSkipped": _test_skipped,
    "MainStarted": _main_started,
    "MainFinished": _main,
    "MainReused": lambda line: ["", f"[MAIN] – not repeated: it exited 0 as {line['main_task']}/{line['run']}", ""],
    "MainAdopted": lambda line: ["", f"[MAIN] {line['why']}: adopted {line['run']} (pid {line['pid']})"],
    "MainLost": lambda line: ["", f"[MAIN] ✗ {line['run']} is lost: {line['reason']}"],
    "MainRetried": _retried,
    "AgentTurned": _turn,
    "ProtectedRestored": _restored,
    "StraysStopped": lambda line: [f"       ended what {line['run'] or 'the task'} had left running: {line['pids']}"],
    **criteria_lines.SAYINGS,
    "JobStarted": _job_started,
    "BriefGiven": _brief_given,
    "SupervisorStarted": _supervisor,
    "MonitorBlind": _blind,
    "CheckpointSaved": lambda line: [f"[BACKGROUND] ✓ first checkpoint: {brief(line['path'])}"],
    "AlertRaised": _alert,
    "AlertCleared": lambda line: [f"[BACKGROUND] ✓ {line['key']} is over: {brief(line['reason'])}"],
    "AlertActed": _acted,
    "NoticeSent": _notice,
    "StepSkipped": _skipped,
    "JobRecorded": lambda line: [f"Note: {line['message']}"],
    "WarningRaised": lambda line: [f"{f'{_tag(line)} !' if line['phase'] == 'TEST' else 'Note:'} {line['message']}"],
    "LogRepaired": lambda line: [f"Note: a torn line of {line['size']} bytes in the log was closed."],
}
