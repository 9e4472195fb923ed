"""Holds the screen of the jobs: every job told, nothing wider than the terminal, nothing that drives it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.cli.output import job_table
from executor.monitoring.eta import Progress
from executor.supervisor.job_status import AlertStatus, CheckpointStatus, JobStatus, MonitorStatus

TASK = "task_13_a1b2c3d4"
NOW_S = 100_000.0
PROGRESS = Progress(412.0, 5000.0, NOW_S - 12, 360.0, "median of the last 20 intervals", "stdout", "then")
SAVED = CheckpointStatus(3, "checkpoints/step_200.pt", NOW_S - 240, 2048)
STEERING = "\t\x1b]0;title\x07\x1b[31m\x1b[2J\x07\r\x08\u202e"


def row(**more):
    usual = {
        "task_id": TASK,
        "step": 13,
        "title": "Train the student",
        "state": "running",
        "run": "main.1",
        "launcher": 4711,
        "is_alive": True,
        "is_supervised": True,
        "is_open": True,
        "now_s": NOW_S,
        "written_s": NOW_S - 2,
        "began_s": NOW_S - 7500,
        "began": "2026-11-22T08:25:00.000Z",
        "progress": PROGRESS,
        "metrics": {"step": 412, "loss": "nan", "lr": 0.0003},
        "checkpoints": SAVED,
        "monitors": (monitor(),),
    }
    return JobStatus(**{**usual, **more})


def monitor(**more):
    usual = {"name": "loss", "kind": "metrics", "interval_s": 60, "looked_s": NOW_S - 3, "there": True}
    return MonitorStatus(**{**usual, "text": "loss 1.2", **more})


def alert(**more):
    usual = {"key": "loss/nan", "output": "loss is nan at step 412", "action": "stop"}
    return AlertStatus(**{**usual, **more})


def told(width=120, **more):
    return "\n".join(job_table.lines([row(**more)], width))


@pytest.mark.parametrize(
    "text",
    [
        *("1 job: 1 running", "step 13  Train the student", "running for 2 h 05 min", f"{TASK}/main.1, pid 4711"),
        *("412/5000 (8 %), last moved 12 s ago", "6 min 00 s left (median of the last 20 intervals)"),
        *("step 412, loss nan, lr 0.0003", "3, newest checkpoints/step_200.pt 4 min 00 s ago, 2.0 KiB"),
        *("loss: loss 1.2, 3 s ago", "alive, heartbeat 2 s ago", f"do-tasks stop {TASK}"),
        f"do-tasks log {TASK} --follow",
    ],
)
def test_a_running_job_says(text):
    assert text in told()


def test_an_alert_says_what_matched_and_what_it_does():
    assert "loss/nan: loss is nan at step 412 [stop]" in told(alerts=(alert(),))


def test_an_alert_is_counted_and_signed():
    said = told(alerts=(alert(),))
    assert ("1 alert standing" in said, "\n! step 13" in said) == (True, True)


def test_no_job_says_how_to_get_one():
    assert "mode: background" in "\n".join(job_table.lines([], 80))


@pytest.mark.parametrize(
    ("state", "sign"),
    [
        *[(state, "~") for state in job_table.RUNS],
        ("failed", "✗"),
        ("lost", "✗"),
        ("cancelled", "■"),
        ("unfinished", "‖"),
    ],
)
def test_a_state_has_its_sign(state, sign):
    assert f"\n{sign} step 13" in told(state=state)


@pytest.mark.parametrize(("tick", "sign"), [("proven", "✓"), ("claimed", "?")])
def test_a_job_that_passed_has_the_sign_of_its_tick(tick, sign):
    assert f"\n{sign} step 13" in told(state="passed", tick=tick)


def test_a_job_with_its_verdict_says_neither_stop_nor_supervisor():
    said = told(state="failed", reason="died: exit 137 after step 412", is_open=False, is_alive=False)
    assert ("died: exit 137" in said, "stop" in said, "supervisor" in said, "monitor" in said) == (True, *[False] * 3)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"is_supervised": False}, "none could be started"),
        ({"written_s": NOW_S - 16}, "SILENT"),
        ({"state": "elsewhere", "now_s": None}, "on another host"),
        ({"state": "unfinished"}, "do-tasks --continue"),
        ({"restarts": 2}, "2 restarts"),
        ({"progress": None}, "none seen yet"),
        ({"monitors": (monitor(there=False, text=""),)}, "loss: nothing there yet"),
        ({"monitors": (monitor(there=False, text="", looked_s=None),)}, "loss: not looked yet"),
        ({"state": "failed"}, "do-tasks --step 13"),
        ({"monitors": (monitor(text="", troubled="no nvidia-smi"),)}, "loss: (trouble: no nvidia-smi)"),
    ],
)
def test_what_is_out_of_the_ordinary_is_said(more, text):
    assert text in told(**more)


def test_an_age_of_another_boot_is_no_age():
    progress = PROGRESS.replace(changed="2026-11-22T08:25:00.000Z")
    assert "last moved 2026-11-22T08:25:00.000Z before the last reboot" in told(progress=progress, now_s=None)


texts = st.text(st.characters(codec="utf-8") | st.sampled_from("界e\u0301 \t\n\x1b\r"), max_size=200)


@given(width=st.integers(8, 140), text=texts)
def test_no_line_is_wider_than_the_terminal(width, text):
    rows = [
        row(title=text, reason=text, alerts=(alert(output=text),), monitors=(monitor(text=text),), metrics={text: 1})
    ]
    assert max(map(job_table.width_of, job_table.lines(rows, width))) <= width


@given(texts)
def test_the_matched_text_of_an_alert_is_never_cut(text):
    said = "".join("".join(job_table.lines([row(alerts=(alert(output=text),))], 80)).split())
    assert "".join(job_table.plain(text).split()) in said


@pytest.mark.parametrize("field", ["title", "reason"])
def test_nothing_in_a_job_drives_the_terminal(field):
    assert all(line.isprintable() for line in job_table.lines([row(**{field: f"a{STEERING}b"})], 100))


def test_nothing_that_was_seen_drives_the_terminal():
    odd = f"a{STEERING}b"
    seen = {"alerts": (alert(output=odd),), "monitors": (monitor(text=odd),), "metrics": {odd: 1.0}}
    rows = [row(**seen)]
    assert all(line.isprintable() for line in [*job_table.lines(rows, 100), job_table.brief_line(rows[0])])


@pytest.mark.parametrize(
    ("line", "painted"),
    [
        ("✗ step 1", "\x1b[31m✗\x1b[0m step 1"),
        ("  alert  a", "  \x1b[31malert\x1b[0m  a"),
        ("  stop  ✗", "  stop  ✗"),
        ("", ""),
    ],
)
def test_only_the_first_sign_of_a_line_is_painted(line, painted):
    assert job_table.painted(line) == painted


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (7500, "2 h 05 min"), (90000, "1 d 01 h")],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds, text):
    assert job_table.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (3 << 30, "3.0 GiB"), (1 << 50, "1024.0 TiB")]
)
def test_a_size_is_shown_in_its_unit(number, text):
    assert job_table.byte_size(number) == text


def test_one_line_says_what_counts():
    assert job_table.brief_line(row(alerts=(alert(),), is_supervised=False)) == (
        f"step 13 {TASK} running for 2 h 05 min, 412/5000 (8 %), step 412, loss nan, lr 0.0003, 3 checkpoints, "
        "alert loss/nan: loss is nan at step 412, no supervisor"
    )


@pytest.mark.parametrize(
    ("more", "news"),
    [
        ({"now_s": NOW_S + 2, "metrics": {"loss": 1}, "progress": None, "written_s": NOW_S}, False),
        ({"state": "ending"}, True),
        ({"alerts": (alert(),)}, True),
        ({"checkpoints": SAVED.replace(count=4)}, True),
        ({"is_supervised": False}, True),
    ],
)
def test_numbers_that_always_change_are_no_news(more, news):
    assert (job_table.mark_of(row(**more)) != job_table.mark_of(row())) is news
