"""Holds the transcript: each event in its words, nothing that drives a terminal, a view that never slows a run."""

from __future__ import annotations

import itertools
import os
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.cli.output.screen import Screen, progress_bar
from executor.cli.output.transcript import FORMATS, Transcript
from executor.store.events import EVENTS
from executor.system.text import WIDTH
from executor.system.text import clean_control as safe
from executor.system.text import one_line as brief

TASK = "task_1_0000000a"
SILENT = {"ResultRead", "StepPassed", "StepFailed", "StepInterrupted"}  # the line after each of them says it
STEERING = "\x1b]0;title\x07\x1b[31m\x1b[2J\x07\r\x08\u202e"


class Paper:
    """A screen that keeps what it is told."""

    def __init__(self):
        self.lines = []

    def print(self, *texts):
        self.lines.extend(texts)


def line(event, **more):
    """The line that the journal writes for an event."""
    return {"v": 1, "task_id": TASK, "step": 1, "event": event, **EVENTS[event]().asdict(), **more}


def said(*lines):
    paper = Paper()
    transcript = Transcript(paper)
    for one in lines:
        transcript(one)
    return paper.lines


def check(status, **more):
    return line("CheckFinished", phase="PRE-FLIGHT", status=status, name="data", duration_s=0.04, **more)


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_every_event_has_its_words_or_is_silent_on_purpose():
    assert set(EVENTS) - set(FORMATS) - SILENT == UNSPOKEN


UNSPOKEN = {"StepMarkedDone", "StepReopened", "LogRotated", "BriefRepeated"}  # their verbs say it themselves


@pytest.mark.parametrize("event", [*FORMATS])
def test_every_event_can_be_said_whatever_it_holds(event):
    assert all(isinstance(text, str) for text in said(line(event)))


@pytest.mark.parametrize("event", [*FORMATS])
def test_nothing_in_an_event_drives_the_terminal(event):
    words = {name: f"a{STEERING}b" for name, value in line(event).items() if value == "" and name != "phase"}
    for text in said(line(event, **words), line(event, **{**words, "status": "failed"})):
        assert text.isprintable(), repr(text)


def test_an_event_of_the_future_is_named():
    assert said({"event": "OfTheFuture", "v": 1}) == ["· OfTheFuture"]


@pytest.mark.parametrize("odd", [{}, {"event": "CheckFinished"}, {"event": 3}])
def test_a_line_of_another_hand_is_said_without_a_traceback(odd):
    assert "".join(said(odd)).startswith("· ")


def test_two_blank_lines_never_follow_each_other():
    lines = said(line("TaskStarted"), line("TestStarted"), line("MainStarted"), line("MainFinished", status="passed"))
    assert ("", "") not in itertools.pairwise(lines)


@pytest.mark.parametrize(
    ("status", "first"),
    [
        ("passed", "[PRE] ✓ data (0.0s) - logged"),
        ("failed", "[PRE] ✗ data (0.0s) - logged"),
        ("timed_out", "[PRE] ✗ data (0.0s) - logged"),
        ("cancelled", "[PRE] – data: because"),
        ("skipped", "[PRE] – data: because"),
    ],
)
def test_a_check_is_one_line_with_its_mark(status, first):
    assert said(check(status, got="because"))[0] == first


def test_a_failed_check_says_expected_got_and_fix():
    assert said(check("failed", expected="exit 0", got="exit 3", fix="run it"))[1:] == [
        "       expected exit 0; got exit 3",
        "       fix: run it",
    ]


def test_a_failed_main_quotes_its_last_five_lines():
    output = "\n".join(f"line {number}\n" for number in range(9))
    lines = said(line("MainFinished", status="failed", reason="exit 4", output=output, output_file="jobs/x/stdout.log"))
    assert lines[0] == "[MAIN] ✗ exit 4 (0.0s)"
    assert lines[1:6] == [f"       | line {number}" for number in range(4, 9)]
    assert lines[6] == "       whole output: jobs/x/"


def test_a_main_that_passed_quotes_nothing():
    assert said(line("MainFinished", status="passed", output="secret")) == [
        "[MAIN] ✓ exit 0 (0.0s)",
        f"[MAIN] All outputs logged with ID: {TASK}",
        "",
    ]


def test_a_command_of_many_lines_is_one_line():
    lines = said(line("MainStarted", command="a\nb\n" * 200, runner="command"))
    assert lines[1].startswith("[MAIN] Runner: command (a b a b")
    assert len(lines[1]) < WIDTH + 40


def test_a_reused_main_says_whose_it_is():
    assert said(line("MainReused", main_task=TASK, run="main.2"))[0].endswith(f"it exited 0 as {TASK}/main.2")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("it waits for the end of step 13, which is running", "Step 1 waits for the end of step 13, which is running"),
        (
            "it depends on step 2, which is not done yet",
            "Step 1 was not run: it depends on step 2, which is not done yet",
        ),
    ],
)
def test_a_step_that_waits_is_not_said_to_be_given_up(reason, words):
    assert said(line("StepSkipped", reason=reason)) == [words]


@pytest.mark.parametrize(
    ("acted", "words"),
    [
        ({"action": "stop", "status": "started", "reason": "loss is nan"}, "loss/nan: ending the job: loss is nan"),
        ({"action": "command", "status": "started", "reason": "./page"}, "loss/nan: its command runs: ./page"),
        ({"action": "command", "status": "failed", "reason": ""}, "loss/nan: command failed"),
    ],
)
def test_what_an_alert_does_is_said_in_words_of_its_own(acted, words):
    assert said(line("AlertActed", key="loss/nan", **acted))[0].endswith(words)


def test_a_supervisor_of_a_new_job_says_what_started_means():
    new = line("SupervisorStarted", pid=7, why="the job was started")
    later = line("SupervisorStarted", pid=7, why="its supervisor was gone")
    assert ("counts as started when" in said(new)[0], "takes over: its" in said(later)[0]) == (True, True)


def test_a_task_that_is_new_has_no_reason():
    assert said(line("TaskStarted", why="not run before"))[0] == f"[TASK ID] Generated: {TASK}"
    assert said(line("TaskResumed", why="MAIN was lost"))[0] == f"[TASK ID] Resumed: {TASK} (MAIN was lost)"


@given(st.text())
def test_a_brief_text_is_one_short_line(text):
    shown = brief(text)
    assert len(shown) <= WIDTH
    assert len(shown.splitlines()) <= 1


@given(st.text())
def test_safe_text_steers_nothing(text):
    assert not set(safe(text)) & {"\x1b", "\x07", "\r", "\x08", "\x9b", "\u202e"}


def taken(fd, size=1 << 20):
    return os.read(fd, size).decode()


def test_a_pipe_gets_plain_lines(pipe):
    screen = Screen(pipe[1])
    screen.bar(1, 2)
    screen.print("[PRE] ✓ data")
    assert taken(pipe[0]) == "[PRE] ✓ data\n"


def test_a_terminal_gets_colors(terminal):
    Screen(terminal[1]).print("[PRE] ✓ data")
    assert taken(terminal[0]) == "[PRE] \x1b[32m✓\x1b[0m data\n"


@pytest.mark.parametrize("name", ["NO_COLOR", "CI"])
def test_who_wants_no_colors_gets_none(terminal, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    Screen(terminal[1]).print("[PRE] ✗ data")
    assert taken(terminal[0]) == "[PRE] ✗ data\n"


def test_a_bar_gives_way_to_the_next_line(terminal):
    screen = Screen(terminal[1])
    screen.bar(1, 2)
    assert taken(terminal[0]) == f"\r\x1b[K       [{'#' * 12}{'.' * 12}] 1/2"
    screen.print("next")
    assert taken(terminal[0]) == "\r\x1b[Knext\n"


@pytest.mark.parametrize(("done", "total"), [(0, 0), (5, 0), (1, -1)])
def test_a_bar_without_a_total_is_not_drawn(terminal, done, total):
    screen = Screen(terminal[1])
    screen.bar(done, total)
    screen.print("next")
    assert taken(terminal[0]) == "next\n"


@pytest.mark.parametrize("columns", [4, 12, 20, 40, 80])
def test_a_bar_stays_on_its_line(columns):
    assert len(progress_bar(120, 5000, columns)) < columns


def test_a_narrow_bar_keeps_its_count():
    assert progress_bar(25, 50, 24) == "       [####....] 25/50"


def test_the_last_words_of_a_failure_leave_progress_out():
    output = 'no room\n{"progress": {"done": 1, "total": 2}}\n'
    told = said(line("MainFinished", status="failed", output=output, output_file="a/b", reason="exit 1"))
    assert [text for text in told if "|" in text] == ["       | no room"]


def test_a_bar_never_overflows(terminal):
    Screen(terminal[1]).bar(9, 2)
    assert f"[{'#' * 24}] 9/2" in taken(terminal[0])


def test_a_reader_that_sleeps_loses_nothing_and_holds_nobody_up(pipe):
    screen = Screen(pipe[1])
    os.set_blocking(pipe[1], True)
    for number in range(3000):
        screen.print(f"{number:04} " + "x" * 60)
    shown = ""
    while len(shown) < 3000 * 66:
        shown += taken(pipe[0])
        screen.print()
    lines = [one for one in shown.splitlines() if one]
    assert [one[:4] for one in lines] == [f"{number:04}" for number in range(3000)][: len(lines)]


def test_a_reader_that_is_gone_is_no_trouble():
    reading, writing = os.pipe()
    os.close(reading)
    screen = Screen(writing)
    screen.print("to nobody")
    screen.close()
    os.close(writing)


def test_what_is_no_text_is_shown_all_the_same(pipe):
    Screen(pipe[1]).print("a\udcffb")
    assert taken(pipe[0]) == "a?b\n"
