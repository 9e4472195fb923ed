"""Holds the folders of runs: what one says of a process that lives, ended, is lost, or is somebody else's."""

from __future__ import annotations

import json
import os

import pytest

from executor.store import runs
from executor.system import procfs
from executor.system.run_records import Exit, Identity, RunStatus

TASK = "task_1_0000000a"
US = procfs.identify(os.getpid())


def run(root, name="main.1", *, who=None, ended=None):
    folder = runs.new_run(root, TASK, name)
    if who is not None:
        runs.write_started(folder, who, command="sleep 60", digest="d1")
    if ended is not None:
        with open(os.path.join(folder, "exit.json"), "w", encoding="utf-8") as file:
            file.write(ended)
    return folder


@pytest.fixture
def root(tmp_path):
    return str(tmp_path)


@pytest.mark.parametrize(
    ("who", "ended", "status"),
    [
        (None, None, "never_ran"),
        (None, '{"exit_code": 0}\n', "never_ran"),
        (US, None, "alive"),
        (US, '{"exit_code": 0}\n', "exited"),
        (US, '{"ran": false}\n', "never_ran"),
        (US, '{"exit_co', "alive"),
        (US.replace(start=US.start + 1), None, "lost"),
        (US.replace(start=US.start + 1), '{"exit_co', "lost"),
        (US.replace(boot="another boot"), None, "lost"),
        (US.replace(boot="another boot"), '{"exit_code": 3}\n', "exited"),
        (US.replace(machine="another machine"), None, "elsewhere"),
        (US.replace(machine="another machine"), '{"exit_code": 0}\n', "exited"),
    ],
    ids=[
        *("no one let it go", "an exit without a start", "alive", "exited", "held and dropped", "exit half written"),
        *("pid of another", "dead, exit half written", "before a reboot", "exited before a reboot"),
        *("another host", "ended on another host"),
    ],
)
def test_a_run_folder_says_what_became_of_its_process(root, who, ended, status):
    run(root, who=who, ended=ended)
    assert runs.newest_status(root, TASK).status == status


def test_a_task_without_a_main_says_nothing(root):
    run(root, "test", who=US)
    assert runs.newest_status(root, TASK) == RunStatus()
    assert runs.newest_status(root, "task_9_0000000f") == RunStatus()


def test_the_newest_main_speaks_for_the_task(root):
    run(root, "main.9", who=US, ended='{"exit_code": 1}\n')
    run(root, "main.10", who=US)
    os.makedirs(os.path.join(root, runs.JOBS, TASK, "main.11.chunk"))
    seen = runs.newest_status(root, TASK)
    assert (seen.run, seen.status, seen.pid, seen.digest) == ("main.10", "alive", US.pid, "d1")


def test_the_next_main_has_the_next_number(root):
    assert runs.next_main(root, TASK) == "main.1"
    run(root, "main.1")
    run(root, "main.12")
    assert runs.next_main(root, TASK) == "main.13"


def test_a_new_run_begins_empty(root):
    folder = run(root, who=US, ended='{"exit_code": 0}\n')
    assert runs.new_run(root, TASK, "main.1") == folder
    assert os.listdir(folder) == []


def test_a_run_is_its_owners_alone(root):
    folder = run(root, who=US)
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.stat(os.path.join(folder, "started.json")).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ('{"exit_code": 0}', Exit(0)),
        ('{"exit_code": 3}', Exit(3)),
        ('{"exit_code": 137}', Exit(137, signal=9)),
        ('{"exit_code": 255}', Exit(255)),
        ('{"ran": false}', Exit(None, ran=False)),
        ('{"exit_code": null, "signal": 9, "by_us": true}', Exit(None, signal=9, by_us=True)),
    ],
)
def test_an_exit_is_read_with_its_signal(root, text, end):
    assert runs.exit_of(run(root, ended=text)).replace(ended_ns=0) == end


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null"])
def test_an_exit_that_is_not_whole_is_none(root, text):
    assert runs.exit_of(run(root, ended=text)) is None


def test_an_end_that_nobody_else_wrote_is_read_back(root):
    folder = run(root, who=US)
    runs.write_exit(folder, Exit(None, signal=15, by_us=True))
    assert runs.exit_of(folder).replace(ended_ns=0) == Exit(None, signal=15, by_us=True)


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"pid": "x", "start": 1, "boot": "", "machine": ""}'])
def test_a_start_that_is_not_whole_is_lost_for_it_may_have_run(root, body):
    folder = run(root)
    with open(os.path.join(folder, "started.json"), "w", encoding="utf-8") as file:
        file.write(body)
    assert runs.started(folder) is None
    assert runs.newest_status(root, TASK).status == "lost"


def test_a_start_is_read_back(root):
    assert runs.started(run(root, who=US)) == US


def test_a_run_began_when_it_was_put_on_record(root):
    folder = run(root)
    assert runs.began_ns(folder) == 0
    runs.write_started(folder, US, command="true", digest="d")
    assert runs.began_ns(folder) == os.stat(os.path.join(folder, "started.json")).st_mtime_ns


def test_only_tasks_that_live_here_are_living(root):
    run(root, who=US)
    folder = runs.new_run(root, "task_2_0000000b", "main.1")
    runs.write_started(folder, Identity(US.pid, US.start, US.boot, "another machine"), command="", digest="")
    assert runs.living_tasks(root) == [TASK]


def test_nobody_lives_where_nothing_ran(root):
    assert runs.living_tasks(root) == []


def test_a_stop_is_asked_of_one_task(root):
    runs.ask_stop(root, TASK)
    assert runs.stop_asked(root, TASK)
    assert not runs.stop_asked(root, "task_2_0000000b")


def test_what_a_task_does_is_written_for_people(root):
    runs.write_task(root, TASK, {"step": 1, "run": "main.1"})
    with open(os.path.join(root, runs.JOBS, TASK, "task.json"), encoding="utf-8") as file:
        assert json.load(file) == {"step": 1, "run": "main.1"}
