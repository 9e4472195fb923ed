"""Notices through real processes: the apprise worker against a server of ours, a hook of the plan."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from executor.monitoring.model import Notifier
from executor.monitoring.notices.notify import WORKER, Notice, commands
from executor.monitoring.notices.notify_worker import NOT_INSTALLED, NOT_SENT, SENT
from executor.system import process as proc
from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.process_loop import ProcessLoop
from tests.integration.projects import Project, alive, finish, until

KEY = "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4"
PASSWORD = "s3cr3tpassword"
WEAK = "hunter2abc"
TASK_ID = f"task_13_{os.urandom(4).hex()}"  # what bears its name is swept: two that run at once must not share it
FINISHED = Notice("finished", "loss 1.25 after step 5000", TASK_ID, 13)


class Mailbox(BaseHTTPRequestHandler):
    """Keeps what is posted, and answers as it is told to."""

    def do_POST(self):
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        return


@pytest.fixture
def mailbox():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mailbox)
    server.posted, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def deaf():
    """A port where connections wait and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def run(notifier, *, limit_s=60.0, **environ):
    base = {"PATH": os.environ["PATH"], "TINKER_API_KEY": KEY, **environ}
    [command] = commands([notifier], FINISHED, environ=base, limit_s=limit_s)
    watch = ProcessLoop(Interrupts())
    watch.add(proc.start(command))
    ended = []
    while not ended:
        ended = watch.turn()
    return ended[0]


def url_of(port, words=""):
    return f"json://user:{PASSWORD}@127.0.0.1:{port}/{words}"


def test_a_notice_arrives_with_its_title_and_message(mailbox):
    pytest.importorskip("apprise")
    ended = run(Notifier("env", "HOOK_URL"), HOOK_URL=url_of(mailbox.server_port))
    assert (ended.exit_code, ended.output) == (SENT, b"sent\n")
    [posted] = mailbox.posted
    assert (posted["title"], posted["message"]) == ("do-tasks: finished", "loss 1.25 after step 5000")


def test_an_answer_that_is_no_yes_is_told_by_its_number(mailbox):
    pytest.importorskip("apprise")
    mailbox.status = 503
    ended = run(Notifier("url", url_of(mailbox.server_port)))
    assert (ended.exit_code, b"it answered 503" in ended.output) == (NOT_SENT, True)


def test_a_dead_port_is_told_without_the_url():
    pytest.importorskip("apprise")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ended = run(Notifier("url", url_of(port)))
    assert (ended.exit_code, ended.verdict) == (NOT_SENT, Verdict.FAILED)
    assert ended.output.decode().splitlines() == [
        "not sent: it did not answer, or is not reachable from here; check the URL, the service and the network"
    ]


def test_a_server_that_hangs_is_left_at_the_limit(deaf):
    pytest.importorskip("apprise")
    ended = run(Notifier("url", url_of(deaf, "?rto=100&cto=100")), limit_s=1.0)
    assert ended.verdict is Verdict.TIMED_OUT


@pytest.mark.parametrize("url", [f"nosuch://{PASSWORD}", f"json://:{PASSWORD}@", PASSWORD, f"slack://{PASSWORD}"])
def test_a_bad_url_is_told_without_it(url):
    pytest.importorskip("apprise")
    ended = run(Notifier("env", "HOOK_URL"), HOOK_URL=url)
    assert (ended.exit_code, PASSWORD.encode() in ended.output) == (NOT_SENT, False)
    assert ended.output.startswith(b"not sent: ")
    assert len(ended.output.splitlines()) == 1


def test_without_apprise_the_move_is_told():
    environ = {"DO_TASKS_NOTIFY_URL": url_of(1)}
    bare = [sys.executable, "-I", "-S", WORKER]
    done = subprocess.run(bare, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (NOT_INSTALLED, "")
    assert done.stdout == "apprise is not there; install it with: pip install 'do-tasks[notify]'\n"


def test_a_hook_is_given_the_notice_and_no_secret(tmp_path):
    kept = tmp_path / "kept"
    ended = run(Notifier("command", f"env -0 >{kept}"), LANG="C.UTF-8")
    given = dict(line.split("=", 1) for line in kept.read_text().split("\0") if line)
    assert ended.exit_code == 0
    assert {name: given.pop(name) for name in ("DO_TASKS_NOTICE", "DO_TASKS_MESSAGE", "DO_TASKS_RUN")} == {
        "DO_TASKS_NOTICE": "finished",
        "DO_TASKS_MESSAGE": "loss 1.25 after step 5000",
        "DO_TASKS_RUN": f"{TASK_ID}/notify.1",
    }
    of_bash = {"PWD", "SHLVL", "_"}
    assert given.keys() - of_bash == {"PATH", "LANG", "DO_TASKS_TASK_ID", "DO_TASKS_STEP", "DO_TASKS_KEY"}


def test_a_hook_that_hangs_dies_with_its_children(tmp_path):
    child = tmp_path / "pid"
    ended = run(Notifier("command", f"sleep 300 & echo $! >{child}; wait"), limit_s=0.5)
    assert ended.verdict is Verdict.TIMED_OUT
    assert not alive(int(child.read_text()))


# Through the command line


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.environ = {"DB_PASSWORD": WEAK, "TINKER_API_KEY": KEY}
    project.write("tell.sh", f'#!/bin/sh\necho "$DO_TASKS_NOTICE: $DO_TASKS_MESSAGE {WEAK}" | tee told\n', mode=0o755)
    return project


def plan(project, *notifiers, **main):
    return project.plan(settings={"notify": [*notifiers]}, s1={"main": {"command": "true", "test": "none", **main}})


def test_a_test_notice_goes_through_each_entry(project, mailbox):
    pytest.importorskip("apprise")
    project.environ["HOOK"] = url_of(mailbox.server_port)
    plan(project, "env:HOOK", {"command": "./tell.sh", "on": ["died"]}, f"json://127.0.0.1:{mailbox.server_port}")
    done = project.run("notify", "--test", "--json")
    told = done.json["notifiers"]
    assert (done.code, [one["ok"] for one in told]) == (0, [True, True, True])
    assert [one["to"] for one in told] == ["env:HOOK", "./tell.sh", "json"]
    assert [posted["title"] for posted in mailbox.posted] == ["do-tasks: test"] * 2
    assert project.text("told").startswith("test: project: a test notice")
    assert [word for word in (PASSWORD, WEAK, KEY) if word in done.out + done.err] == []


def test_a_test_says_of_each_entry_what_came_of_it(project, mailbox):
    pytest.importorskip("apprise")
    mailbox.status = 404
    project.environ["HOOK"] = url_of(mailbox.server_port)
    plan(project, "env:HOOK", "env:NOBODY", {"command": "exit 3"}, {"command": "./tell.sh"})
    done = project.run("notify", "--test")
    lines = done.out.splitlines()
    assert (done.code, [line[0] for line in lines]) == (1, ["✗", "✗", "✗", "✓"])
    wanted = ("it answered 404", "NOBODY is not set", "exit 3", "test: project")
    assert [words in line for words, line in zip(wanted, lines, strict=True)] == [True] * 4
    assert [word for word in (PASSWORD, WEAK) if word in done.out + done.err] == []


def test_a_test_that_hangs_ends_at_its_limit_and_shows_no_url_in_the_process_list(project, deaf):
    pytest.importorskip("apprise")
    project.environ["HOOK"] = url_of(deaf, "?rto=100&cto=100")
    plan(project, "env:HOOK", {"command": "touch up; sleep 300"})
    process = project.start("notify", "--test", "--timeout", "3")
    until(lambda: project.has("up"), "no notifier was started")
    words = [word for one in psutil.process_iter(["cmdline"]) for word in one.info["cmdline"] or ()]
    done = finish(process)
    assert (done.code, done.out.count("✗")) == (1, 2)
    assert [word for word in words if PASSWORD in word] == []


@pytest.mark.parametrize("words", [["notify"], ["notify", "--test"]])
def test_without_an_entry_the_move_is_told(project, words):
    plan(project)
    done = project.run(*words)
    assert (done.code, "settings.notify has no entry" in done.err) == (2, True)


BROKEN = ("env:SLACK_URL", "slak://x", {"command": "./nothere.sh"})


def test_validate_names_what_no_environment_mends(project):
    plan(project, *BROKEN)
    done = project.run("validate")
    assert (done.code, done.out.count("settings.notify")) == (0, 2)
    assert "slak:// is no scheme of apprise; did you mean slack" in done.out
    assert "./nothere.sh is not there" in done.out


def test_doctor_and_the_start_of_a_job_name_each_entry_that_tells_nobody(project):
    plan(project, *BROKEN, {"command": "./tell.sh"}, mode="background")
    rows = [row for row in project.run("doctor", "--json").json["checks"] if row["name"] == "notify"]
    assert [row["ok"] for row in rows] == [False, False, False, True]
    started = project.run("--step", "1")
    warned = [line["message"] for line in project.events("WarningRaised")]
    assert len(warned) == 3
    assert [words in line for words, line in zip(("SLACK_URL", "slak", "./nothere.sh"), warned, strict=True)] == [
        True
    ] * 3
    assert (started.code, started.out.count("cannot send notices")) == (0, 3)
    assert project.run("--monitor", "--until", "finished", "--timeout", "300").code == 0


def test_a_notifier_is_given_its_url_though_settings_env_names_others(project, mailbox):
    pytest.importorskip("apprise")
    project.environ["HOOK"] = url_of(mailbox.server_port)
    plan(project, "env:HOOK", mode="background")
    body = json.loads(project.text("step_definitions.yaml"))
    body["settings"]["env"] = ["LANG"]
    project.write("step_definitions.yaml", json.dumps(body))
    project.run("--step", "1")
    until(lambda: mailbox.posted, "nobody was told")
    assert mailbox.posted[0]["title"] == "do-tasks: finished"
