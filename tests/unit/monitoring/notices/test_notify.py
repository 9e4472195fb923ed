"""Who is told what: the processes that carry a notice, and what they are given."""

from __future__ import annotations

import sys

import pytest

from executor.monitoring.model import NOTICES, Notifier
from executor.monitoring.notices.notify import LIMIT_S, WORKER, Notice, commands, label
from executor.monitoring.notices.notify_worker import NOT_SENT
from executor.monitoring.notices.notify_worker import main as notify_worker

KEY = "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4"
URL = "slack://TokenA/TokenB/TokenC"
ENVIRON = {"PATH": "/bin", "TINKER_API_KEY": KEY, "QUOTES": f"--key={KEY}", "SLACK_URL": URL}
ALERT = Notice("alert", "loss is nan", "task_13_0000000a", 13, "loss/nan")


def told(*notifiers, notice=ALERT, **more):
    return commands(notifiers, notice, environ=ENVIRON, **more)


@pytest.mark.parametrize("kind", NOTICES)
def test_a_notifier_is_told_what_it_wants_alone(kind):
    wants = Notifier("command", "a", on=(kind,))
    assert [bool(told(wants, notice=ALERT.replace(kind=one))) for one in NOTICES] == [one == kind for one in NOTICES]


def test_a_command_is_a_shell_with_the_notice_in_its_environment():
    [one] = told(Notifier("command", "./tell.sh | cat"))
    assert one.argv == ("/bin/bash", "-o", "pipefail", "-c", "./tell.sh | cat")
    assert {name: text for name, text in one.env.items() if name.startswith("DO_TASKS_")} == {
        "DO_TASKS_NOTICE": "alert",
        "DO_TASKS_MESSAGE": "loss is nan",
        "DO_TASKS_TASK_ID": "task_13_0000000a",
        "DO_TASKS_STEP": "13",
        "DO_TASKS_KEY": "loss/nan",
    }


def test_a_command_gets_neither_secrets_nor_the_urls_of_others():
    [one, _] = told(Notifier("command", "a"), Notifier("env", "SLACK_URL"))
    assert {name for name in one.env if not name.startswith("DO_TASKS_")} == {"PATH"}


def test_a_command_gets_the_secret_that_it_names():
    [one] = told(Notifier("command", "a", env=("TINKER_API_KEY",)))
    assert one.env["TINKER_API_KEY"] == KEY


@pytest.mark.parametrize("notifier", [Notifier("url", URL), Notifier("env", "SLACK_URL")])
def test_a_url_travels_by_the_environment_alone(notifier):
    [one] = told(notifier)
    assert one.argv == (sys.executable, "-I", WORKER)
    assert one.env["DO_TASKS_NOTIFY_URL"] == URL
    assert "Token" not in one.name


def test_the_apprise_worker_gets_no_secret():
    [one] = told(Notifier("env", "SLACK_URL"))
    assert not [name for name, value in one.env.items() if KEY in value]


def test_no_two_notices_share_a_token():
    asked = [Notifier("command", "a"), Notifier("command", "a")]
    tokens = [one.token for one in told(*asked)]
    assert tokens == [f"task_13_0000000a/notify.{number}" for number in (1, 2)]


def test_a_notice_has_a_limit():
    assert [one.limit_s for one in told(Notifier("command", "a"))] == [LIMIT_S]


def test_a_message_that_no_process_can_be_given_is_cleaned_and_cut():
    [one] = told(Notifier("command", "a"), notice=ALERT.replace(message="\0a\x1b[31mb\ud800" + "x" * 200_000))
    assert one.env["DO_TASKS_MESSAGE"].startswith("\\x00ab\\ud800xx")
    assert len(one.env["DO_TASKS_MESSAGE"].encode()) < 10_000


@pytest.mark.parametrize(
    ("notifier", "name"),
    [
        (Notifier("url", URL), "slack"),
        (Notifier("env", "SLACK_URL"), "env:SLACK_URL"),
        (Notifier("command", "./tell.sh\n  now"), "./tell.sh now"),
    ],
)
def test_a_notifier_is_named_without_what_is_secret(notifier, name):
    assert label(notifier) == name


def test_a_variable_that_is_not_set_is_named():
    [one] = told(Notifier("env", "MISSING_URL"))
    assert notify_worker(one.env) == (NOT_SENT, "MISSING_URL is not set: export it before do-tasks starts")
