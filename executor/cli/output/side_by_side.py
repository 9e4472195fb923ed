"""Output of steps that run side by side: each line names its step, so that the lines of two may alternate."""

from __future__ import annotations

from executor.cli.output.summary import print_report
from executor.cli.output.transcript import lines_of
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control, joined_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from executor.cli.output.screen import Screen
    from executor.engine.step import RunReport
    from executor.store.context import RunContext


class MarkedTranscript:
    """A follower of the log that prints each event behind the number of its step; blank lines are left out."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Print one event."""
        step = line.get("step")
        head = "" if step is None else f"{step} | "
        shown = [f"{head}{joined_lines(text)}" for text in lines_of(line) if text]
        if shown:
            self._screen.print(*shown)


def print_result(context: RunContext, report: RunReport, screen: Screen) -> None:
    """Print the result of a step in one line; a brief and a step without a task are printed as elsewhere."""
    verdict, why = report.outcome.verdict, clean_control(report.outcome.reason)
    if report.done or not report.task_id or verdict == Verdict.WAITING:
        print_report(context, report, screen)
        return
    if verdict == Verdict.STARTED:
        text = f"started; to end it: do-tasks stop {report.task_id}"
    elif verdict == Verdict.PASSED:
        text = f"complete in {report.duration_s:.1f}s"
    else:
        again = "" if verdict == Verdict.INTERRUPTED else f"; to try again: do-tasks --step {report.number}"
        text = f"{verdict.replace('_', ' ')} after {report.duration_s:.1f}s: {why}{again}"
    screen.print(f"{report.number} | Step {report.number} {text}; log: grep {report.task_id} .task_execution.log")
