from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.places import Looks

LIMIT_S = 300


def until(true):
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.02)


@pytest.fixture
def launched(tmp_path):
    """Start a launcher as a job has one, in a session of its own, around a Python script."""
    started = []

    def start(script):
        argv = ["/bin/sh", "-c", f"'{sys.executable}' -S -c \"$1\"; :", "launcher", script]
        launcher = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE)
        started.append(launcher)
        assert launcher.stdout.readline() == b"ready\n"
        return launcher, Looks("process", True, tmp_path, pid=launcher.pid)

    yield start
    for launcher in started:
        try:
            os.killpg(launcher.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        launcher.wait(LIMIT_S)
        launcher.stdout.close()


SLEEPS = "import time; print('ready', flush=True); time.sleep(100)"
FORKS = (
    "import os, time; pids = [os.fork() for _ in range(2)]\n"
    "if 0 not in pids: print('ready', flush=True)\n"
    "time.sleep(100)"
)
BURNS = "print('ready', flush=True)\nwhile True: pass"
LEAVES = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setpgid(0, 0)\n"
    "    if os.fork(): os._exit(0)\n"
    "    print('ready', flush=True)\n"
    "time.sleep(100)"
)
ZOMBIE = "import os, time\nif os.fork() == 0: os._exit(0)\ntime.sleep(0.2); print('ready', flush=True); time.sleep(100)"


def test_the_launcher_is_not_one_of_the_jobs_processes(launched):
    _, looks = launched(SLEEPS)
    reading = looks.look()
    assert (reading.there, reading.values["processes"], reading.values["children"]) == (True, 1, 0)
    assert reading.values["rss_bytes"] > 1 << 20


def test_children_of_children_are_counted(launched):
    _, looks = launched(FORKS)
    until(lambda: looks.look().values["processes"] == 4)
    values = looks.look().values
    assert (values["children"], values["threads"]) == (3, 4)


def test_children_are_found_without_a_sweep(launched):
    _, looks = launched(SLEEPS)
    looks.memory["sweep_s"] = 1e12
    assert looks.look().values["processes"] == 1


def test_who_left_its_parent_is_found_by_its_session(launched):
    _, looks = launched(LEAVES)
    until(lambda: looks.look(after_s=100).values["processes"] == 2)


def test_who_left_its_parent_stays_known_between_sweeps(launched):
    _, looks = launched(LEAVES)
    until(lambda: looks.look(after_s=100).values["processes"] == 2)
    assert looks.look(after_s=1).values["processes"] == 2


def test_work_is_told_in_percent_of_a_core(launched):
    _, looks = launched(BURNS)
    assert "cpu_percent" not in looks.look().values
    until(lambda: looks.look(after_s=0.1).values["cpu_percent"] > 5)


def test_sleep_is_no_work(launched):
    _, looks = launched(SLEEPS)
    looks.look()
    assert looks.look(after_s=10).values["cpu_percent"] < 5


def test_a_stopped_job_is_told(launched):
    launcher, looks = launched(SLEEPS)
    looks.look()
    [pid] = looks.memory["pids"]
    os.kill(int(pid), signal.SIGSTOP)
    until(lambda: looks.look().values["stopped"] == 1)
    assert "stopped by a signal" in looks.look().text
    assert launcher.poll() is None


def test_a_job_is_not_stopped_while_one_of_it_goes_on(launched):
    _, looks = launched(FORKS)
    until(lambda: looks.look().values["processes"] == 4)
    os.kill(max(map(int, looks.memory["pids"])), signal.SIGSTOP)
    until(lambda: "T" in states(looks))
    assert looks.look().values["stopped"] == 0


def states(looks):
    looks.look()
    stats = (Path(f"/proc/{pid}/stat").read_text(encoding="ascii") for pid in looks.memory["pids"])
    return [stat.rpartition(")")[2].split()[0] for stat in stats]


def test_a_zombie_is_not_alive(launched):
    _, looks = launched(ZOMBIE)
    reading = looks.look()
    assert (reading.values["processes"], reading.values["zombies"]) == (1, 1)
    assert "1 zombie" in reading.text


def test_a_dead_job_is_not_there(launched):
    launcher, looks = launched(SLEEPS)
    looks.look()
    os.killpg(launcher.pid, signal.SIGKILL)
    until(lambda: not looks.look().there)
    assert looks.look().text == "the job has ended"


def test_the_next_owner_of_a_pid_is_not_the_job(launched):
    _, looks = launched(SLEEPS)
    looks.look()
    looks.memory["start"] -= 1
    assert not looks.look().there


def test_the_launcher_of_the_next_run_is_taken_for_the_job(launched):
    first, looks = launched(SLEEPS)
    looks.look()
    second, _ = launched(FORKS)
    looks.where["pid"] = second.pid
    until(lambda: looks.look().values["processes"] == 4)
    assert first.pid != second.pid


def write_stat(proc, pid, *, parent, session, state="S", start=5, ticks=0):
    folder = proc / str(pid) / "task" / str(pid)
    folder.mkdir(parents=True)
    fields = [state, parent, session, session, *[0] * 7, ticks, 0, 0, 0, 0, 0, 1, 0, start, 0, 10]
    name = "a) b (c"
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))} 0 0\n")


def test_a_name_with_brackets_misleads_nobody(tmp_path):
    write_stat(tmp_path, 7, parent=1, session=7)
    write_stat(tmp_path, 8, parent=7, session=7)
    write_stat(tmp_path, 9, parent=1, session=1)
    reading = Looks("process", True, tmp_path, pid=7).look(proc=str(tmp_path))
    assert (reading.values["processes"], reading.values["threads"]) == (1, 1)


def test_without_the_kernels_list_of_children_every_look_is_a_sweep(tmp_path):
    write_stat(tmp_path, 7, parent=1, session=7)
    looks = Looks("process", True, tmp_path, pid=7)
    looks.look(proc=str(tmp_path))
    write_stat(tmp_path, 8, parent=7, session=8)
    assert looks.look(proc=str(tmp_path)).values["processes"] == 1


@pytest.mark.parametrize("text", ["", "7", "7 (sh", "7 (sh) S 1"])
def test_a_stat_that_is_not_whole_is_of_nobody(tmp_path, text):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(text)
    assert not Looks("process", True, tmp_path, pid=7).look(proc=str(tmp_path)).there
