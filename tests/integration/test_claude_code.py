"""MAIN by Claude Code: the same role, skill and brief, heard turn by turn, judged by the same evidence.

The program is a stand-in (claude_cli); tests/integration/test_claude_real.py runs the real one where it is named.
"""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

from tests.integration import claude_cli
from tests.integration.agents import poem, project_in
from tests.integration.projects import alive, finish, until

CLAIM = (
    """printf '{"criteria": {"The poem rhymes": {"met": true, "evidence": "lines 1 and 3"}}}' >"$DO_TASKS_RESULT" """
)
WRITE = {"say": "I write it.", "bash": f"printf 'a\\nb\\na\\nb\\n' >poem.txt; {CLAIM}"}
SHORT = {"bash": f"echo one >poem.txt; {CLAIM}"}
KEY = "sk-ant-Xq7Lm2Rz9Wv4Kt8Bn3"


@pytest.fixture
def project(tmp_path):
    project = project_in(tmp_path / "p")
    project.environ["ANTHROPIC_API_KEY"] = KEY
    return poem(project, runner="claude-code")


def with_claude(project, *sessions):
    program = claude_cli.install(project.root.parent / "bin", *sessions)
    project.environ["PATH"] = program.path
    return program


def test_a_step_is_done_and_ticked(project):
    with_claude(project, [WRITE, {"say": "Done."}])
    ran = project.run("--step", "1")
    assert ran.code == 0, ran
    assert "(1 proven, 1 claimed" in project.spec
    assert [line["turn"] for line in project.events("AgentTurned")] == [1, 2]
    assert project.events("AgentTurned")[0]["said"] == "I write it."


def test_role_skill_and_brief_go_in_and_nothing_of_them_is_in_the_command_line(project):
    program = with_claude(project, [WRITE])
    project.run("--step", "1")
    (call,) = program.calls
    assert call["flags"]["--agent"] == "tinker-executor"
    assert ("SKILLMARK" in call["prompt"], "## Objective\nWrite four lines" in call["prompt"]) == (True, True)
    assert not [word for word in call["argv"] if "four lines" in word]
    assert call["flags"]["--max-turns"] == "50"


def test_what_post_finds_goes_back_to_the_same_session(project):
    program = with_claude(project, [SHORT], [WRITE])
    ran = project.run("--step", "1")
    assert ran.code == 0, ran
    _, second = program.calls
    assert second["flags"]["--resume"].startswith("00000000-0000-4000-8000")
    assert "lines: expected exit 0" in second["prompt"]
    assert "SKILLMARK" not in second["prompt"]


def test_a_lie_ticks_nothing(project):
    program = with_claude(project, [{"bash": CLAIM}, {"say": "All done!"}])
    assert project.run("--step", "1").code == 1
    assert len(program.calls) == 3
    assert "- [ ] **STEP 1**" in project.spec
    assert "✗ Failed" in project.spec


def test_what_it_changed_of_its_judges_is_put_back_and_fails_the_step(project):
    with_claude(project, [{"bash": "sed -i 's/\\[ \\]/[x]/' SPEC.md"}, WRITE])
    ran = project.run("--step", "1")
    assert ran.code == 1, ran
    assert project.event("ProtectedRestored")["paths"] == ["SPEC.md"]
    assert "- [ ] **STEP 1**" in project.spec


def test_calls_that_its_rules_refused_are_told(project):
    with_claude(project, [{"write": ["SPEC.md", "forged"]}, {"say": "I may not."}])
    poem(project, runner="claude-code", judge={"rounds": 1})
    ran = project.run("--step", "1")
    assert ran.code == 1, ran
    assert "not allowed: Write: " in project.event("MainFinished")["reason"]
    assert "forged" not in project.spec


def test_it_gets_its_own_key_and_its_shell_none(project):
    project.environ["HF_TOKEN"] = "hf_Xq7Lm2Rz9Wv4Kt8Bn3"
    program = with_claude(project, [{"bash": "env >env.txt"}, WRITE])
    assert project.run("--step", "1").code == 0
    (call,) = program.calls
    assert call["env"]["ANTHROPIC_API_KEY"] == KEY
    assert "HF_TOKEN" not in call["env"]
    assert KEY not in project.text("env.txt")


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ({"subtype": "error_max_turns", "errors": ["Reached maximum number of turns (50)"]}, "limits.turns"),
        ({"is_error": True, "result": "API Error: 401 invalid", "api_error_status": 401}, "401"),
        ({"subtype": "error_during_execution", "errors": ["it broke"]}, "it broke"),
    ],
)
def test_an_end_that_is_none_fails_with_its_reason(project, end, says):
    with_claude(project, [WRITE, {"end": end}])
    assert project.run("--step", "1").code == 1
    assert says in project.event("StepFailed")["reason"]


def test_tokens_and_seconds_stop_it_too(project):
    with_claude(project, [*({"bash": f"echo {at}", "sleep": 0.3} for at in range(40))])
    poem(project, runner="claude-code", limits={"tokens": 500})
    assert project.run("--step", "1").code == 1
    assert "500 tokens" in project.event("StepFailed")["reason"]
    assert len(project.events("AgentTurned")) < 20


def test_without_the_program_pre_flight_says_what_to_do(project):
    ran = project.run("--step", "1")
    assert ran.code == 1, ran
    assert "claude on the PATH" in ran.out
    assert project.event("StepFailed")["failed_in"] == "PRE-FLIGHT"


@pytest.mark.skipif(bool(shutil.which("socat") and shutil.which("bwrap")), reason="it can be had here")
def test_a_required_sandbox_is_not_pretended(project):
    with_claude(project, [WRITE])
    poem(project, runner="claude-code", sandbox={"mode": "required"})
    assert project.run("--step", "1").code == 1
    assert "sandbox: required" in project.event("StepFailed")["reason"]


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
@pytest.mark.parametrize(("mode", "held"), [("required", True), ("off", False)])
def test_its_own_sandbox_is_asked_for_where_it_can_be_had(project, mode, held):
    program = with_claude(project, [WRITE, {"say": "Done."}])
    (program.folder / "socat").write_text("#!/bin/sh\n")
    (program.folder / "socat").chmod(0o755)
    project.write(".env", "A=b\n")
    poem(project, runner="claude-code", sandbox={"mode": mode, "network": True})
    project.run("--step", "1")
    (call,) = program.calls[:1]
    asked = json.loads(call["flags"].get("--settings", "{}")).get("sandbox", {})
    wanted = {"enabled": True, "failIfUnavailable": True, "allowUnsandboxedCommands": False}
    assert {name: asked.get(name) for name in wanted} == (wanted if held else dict.fromkeys(wanted))
    assert (str(project.root / ".env") in asked.get("filesystem", {}).get("denyRead", [])) is held
    assert ("own sandbox" in project.event("MainStarted")["containment"]) is held


def test_the_time_limit_ends_it_with_its_children(project):
    with_claude(project, [{"bash": "echo $$ >shell.pid; sleep 60"}])
    poem(project, runner="claude-code", timeout=1)
    assert project.run("--step", "1").code == 1
    assert not alive(int(project.text("shell.pid")))


def test_it_outlives_its_executor_and_is_adopted(project):
    program = with_claude(project, [{"bash": "echo $$ >shell.pid; sleep 1.5"}, WRITE, {"say": "Done."}])
    executor = project.start("--step", "1")
    project.until_there("shell.pid")
    os.kill(executor.pid, signal.SIGKILL)
    finish(executor)
    again = project.run("--continue")
    assert again.code == 0, again
    assert len(program.calls) == 1
    assert [line["turn"] for line in project.events("AgentTurned")] == [1, 2, 3]


def test_killed_it_goes_on_with_its_session(project):
    program = with_claude(project, [{"bash": "echo $$ >shell.pid; sleep 60"}], [WRITE])
    executor = project.start("--step", "1")
    project.until_there("shell.pid")
    launcher = project.event("MainStarted")["pid"]
    os.kill(executor.pid, signal.SIGKILL)
    os.killpg(launcher, signal.SIGKILL)
    finish(executor)
    until(lambda: not alive(launcher), "the launcher lives")
    again = project.run("--continue")
    assert again.code == 0, again
    assert "--resume" in program.calls[1]["flags"]
    assert "Look at what is there" in program.calls[1]["prompt"]
    assert not alive(int(project.text("shell.pid")))


def test_it_is_chosen_when_there_is_neither_key_nor_script(project):
    del project.environ["ANTHROPIC_API_KEY"]
    with_claude(project, [WRITE])
    body = json.loads(project.text("step_definitions.yaml"))
    del body["step_1_one"]["main"]["runner"]
    project.write("step_definitions.yaml", json.dumps(body))
    ran = project.run("--step", "1")
    assert ran.code == 0, ran
    assert project.event("TaskStarted")["runner"] == "claude-code"
