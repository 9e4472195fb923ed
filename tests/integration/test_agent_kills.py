"""Whoever is killed, whenever: one conversation, one tick, never two agents at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time

import psutil
import pytest

from executor.testing import bash, done
from tests.integration.agents import CLAIMS, Play, poem, project_in
from tests.integration.projects import check, finish, until

pytest.importorskip("anthropic")
DEEP_ROUNDS = 25
MOST_KILLS = 4
MOST_RUNS = 8
LOOK = bash("echo look; sleep 0.2")
SLOW_COUNT = "if test -e hold; then sleep 60; fi; test 4 = $(wc -l <poem.txt)"
SHORT = bash("sleep 0.2; echo one >poem.txt; echo wrote $((10 + 1))")
WRITE = bash("sleep 0.2; printf 'a\\nb\\na\\nb\\n' >poem.txt; echo wrote $((10 + 4))")


class Model:
    """Looks, writes too little, hands in, is told so, writes all of it, hands in again: as often as it is asked.

    A command that was cut off has not said what it wrote, so it is given once more.
    """

    def __call__(self, request):
        said = request.raw
        if "Not accepted" not in said:
            return done(CLAIMS) if "wrote 11" in said else SHORT if "echo look" in said else LOOK
        return done(CLAIMS) if "wrote 14" in said else WRITE


class Lookout(threading.Thread):
    """Counts the processes of the loop that live at once in a project."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.most = 0
        self._root = str(root)
        self._over = threading.Event()

    def run(self):
        while not self._over.wait(0.02):
            self.most = max(self.most, len(loops(self._root)))

    def close(self):
        self._over.set()
        self.join()


def processes(root):
    """Every process that lives in the project's folder, with its command line."""
    every = psutil.process_iter(["cwd", "cmdline", "status", "ppid"])
    here = [one for one in every if one.info["cwd"] == str(root) and one.info["status"] != psutil.STATUS_ZOMBIE]
    return [one for one in here if one.pid != os.getpid()]


def loops(root):
    """The loops that live in the project; a child that is about to become a command still bears its parent's name."""
    words = [(one, one.info["cmdline"] or [""]) for one in processes(root)]
    found = [one for one, argv in words if argv[0] != "/bin/sh" and "executor.runners.agent.main" in " ".join(argv)]
    parents = {one.pid for one in found}
    return [one for one in found if one.info["ppid"] not in parents]


def launchers(root):
    return [one for one in processes(root) if "do-tasks-launcher" in (one.info["cmdline"] or [])]


def kill_somebody(chance, root, executor):
    time.sleep(chance.uniform(0.0, 2.5))
    whom = chance.choice(["executor", "agent", "launcher", "agent and executor", "all"])
    victims = []
    if whom in ("agent", "agent and executor", "all"):
        victims += [one.pid for one in loops(root)]
    if whom in ("launcher", "all"):
        victims += [one.pid for one in launchers(root)]
    if whom in ("executor", "agent and executor", "all"):
        executor.kill()
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def killed_round(root, seed):
    chance = random.Random(seed)
    project = project_in(root)
    lookout = Lookout(project.root)
    with Play(poem(project), Model()) as scene:
        lookout.start()
        executor = project.start("--step", "1")
        for _ in range(chance.randint(1, MOST_KILLS)):
            kill_somebody(chance, project.root, executor)
            if chance.random() < 0.3:
                executor.kill()
            finish(executor)
            executor = project.start(*chance.choice([("--continue",), ("--step", "1")]))
        finish(executor)
        for _ in range(MOST_RUNS):
            if scene.run("--continue").code == 0:
                break
        lookout.close()
        hold(project, scene, lookout)


def hold(project, scene, lookout):
    assert "- [x] **STEP 1**" in project.spec
    assert len(project.events("StepPassed")) == 1
    assert len(project.events("SpecTicked")) == 1
    assert lookout.most == 1
    assert len(project.events("TaskStarted")) == 1, project.text(".task_execution.log")
    assert not project.events("ProtectedRestored")
    until(lambda: not processes(project.root), "somebody was left running")
    again = set()
    for request in scene.requests:  # an answer may be asked for anew when its reader died; a call is answered once
        for message in request.body["messages"]:
            told = [one["tool_use_id"] for one in message["content"] if one["type"] == "tool_result"]
            assert len(told) == len(set(told))
        again |= {one.id for one in request.results}
    assert again


def test_a_lost_agent_is_closed_before_an_earlier_run_of_it_is_judged_again(tmp_path):
    project = project_in(tmp_path / "p")
    with Play(poem(project, step={"post_validation": [check("lines", SLOW_COUNT)]}), Model()) as scene:
        executor = project.start("--step", "1")
        until(lambda: len(project.events("MainStarted")) == 2 and loops(project.root), "the agent was never sent back")
        kill_all(project, executor)
        project.write("hold", "")
        executor = project.start("--continue")
        project.until_logged("MainReused")
        kill_all(project, executor)
        os.unlink(project.root / "hold")
        assert scene.run("--continue").code == 0
        assert [line["run"] for line in project.events("MainLost")] == ["main.2"]
        assert len(project.events("TaskStarted")) == 1
        assert not project.events("ProtectedRestored")


def kill_all(project, executor):
    """Kill the executor, the launchers and the agents."""
    executor.kill()
    for pid in [one.pid for one in (*launchers(project.root), *loops(project.root))]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    finish(executor)
    until(lambda: not processes(project.root), "somebody was left running")


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_one_agent_comes_to_its_end(tmp_path, seed):
    killed_round(tmp_path / "p", seed)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(2, 2 + DEEP_ROUNDS))
def test_killed_at_random_many_times_one_agent_comes_to_its_end(tmp_path, seed):
    killed_round(tmp_path / "p", seed)
