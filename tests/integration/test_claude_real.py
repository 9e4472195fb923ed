"""Holds what we take for granted of the real Claude Code: DO_TASKS_TEST_CLAUDE=PATH pytest -m live says where it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from executor.plan.roles import read_role
from executor.runners import claude_code
from executor.runners.agent_events import Stream
from executor.system.masking import Masker
from executor.testing import KEY, ScriptedServer, refused, say, together, use
from tests.integration import agents
from tests.integration.projects import until

PROGRAM = os.environ.get("DO_TASKS_TEST_CLAUDE", "")
pytestmark = [pytest.mark.live, pytest.mark.skipif(not PROGRAM, reason="DO_TASKS_TEST_CLAUDE names no program")]
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1"}
PROMPT = "PROMPTMARK: do it"


class Desk:
    """A project, a home of its own, and the real program in front of a scripted server."""

    def __init__(self, folder):
        self.project = agents.project_in(folder / "plan")
        self.home = folder / "home"
        self.home.mkdir()
        self.requests = ()

    def start(self, server, prompt=PROMPT, environ=None, **more):
        path = self.project.write("prompt.md", prompt)
        role = read_role(self.project.text(".claude/agents/AGENT.md"), "AGENT.md")
        told = {**self.project.env(), **server.environ, **QUIET, "HOME": str(self.home), **(environ or {})}
        argv = claude_code.argv(PROGRAM, role=role, prompt_file=str(path), **more)
        return subprocess.Popen(
            argv,
            cwd=self.project.root,
            env=claude_code.environment(told),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *script, **more):
        """Play the script; return the exit code, the turns, and the last word (None when there is none)."""
        with ScriptedServer(script) as server:
            started = self.start(server, **more)
            out, _ = started.communicate(timeout=300)
            self.requests = server.requests
        stream = Stream()
        *turns, last = [*stream.feed(out), *stream.close()]
        return started.returncode, turns, last


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def results(request):
    """All tool results of a request."""
    return json.dumps([block for message in request.body["messages"] for block in message["content"]])


def test_the_prompt_and_the_role_arrive(desk):
    assert desk.run(say("all done"))[0] == 0
    system = json.dumps(desk.requests[0].body["system"])
    assert ("ROLEMARK" in system, "PROMPTMARK" in desk.requests[0].raw) == (True, True)


def test_skills_of_a_main_agent_are_not_loaded_so_the_prompt_must_bring_them(desk):
    desk.run(say("all done"))
    assert "SKILLMARK" not in desk.requests[0].raw


def test_only_the_tools_of_the_role_are_offered(desk):
    desk.run(say("all done"))
    assert set(desk.requests[0].tools) - {"DeferredToolPlaceholder"} == {"Bash", "Read", "Edit", "Write"}


def test_a_session_is_read_as_turns(desk):
    code, turns, last = desk.run(
        together(say("let me see"), use("Bash", command="echo hi | cat; exit 3")),
        use("Write", file_path=str(desk.project.root / "a.txt"), content="x\n"),
        say("all done"),
    )
    assert [one.calls for one in turns] == [("Bash: echo hi | cat; exit 3",), ("Write: a.txt",), ()]
    assert [one.failed for one in turns] == [("Exit code 3",), (), ()]
    assert (code, last.ok, last.kind, last.text, last.tokens) == (0, True, "done", "all done", 330)


def test_what_is_guarded_is_not_written_by_tools_or_redirections(desk):
    desk.project.write("SPEC.md", "as it was\n")
    path = str(desk.project.root / "SPEC.md")
    _, _, last = desk.run(
        use("Write", file_path=path, content="x"),
        use("Bash", command="echo x >SPEC.md"),
        use("Write", file_path=str(desk.project.root / "sub" / "SPEC.md"), content="mine"),
        say("all done"),
        deny=("SPEC.md",),
    )
    assert (desk.project.text("SPEC.md"), desk.project.text("sub/SPEC.md")) == ("as it was\n", "mine")
    assert last.denials == ("Write: SPEC.md", "Bash: echo x >SPEC.md")


@pytest.mark.skipif(not (shutil.which("bwrap") and shutil.which("socat")), reason="bubblewrap or socat is missing")
def test_its_own_sandbox_holds_its_shell(desk):
    (desk.home / ".netrc").write_text("machine sesame")
    (desk.home / "tools").mkdir()
    (desk.home / "tools" / "a").write_text("shown")
    desk.project.write(".env", "A=sesame")
    settings = claude_code.sandboxed(
        network=False,
        hidden=(str(desk.home), str(desk.project.root / ".env")),
        shown=(str(desk.home / "tools"), str(desk.project.root)),
    )
    look = "touch /etc/do-tasks-test; cat ~/.netrc ~/tools/a .env; echo mine >a.txt; exec 3<>/dev/tcp/1.1.1.1/80"
    desk.run(use("Bash", command=look), say("all done"), settings=settings)
    told = results(desk.requests[-1])
    assert ("shown" in told, "sesame" in told, "Read-only file system" in told) == (True, False, True)
    assert (desk.project.text("a.txt"), os.path.exists("/etc/do-tasks-test")) == ("mine\n", False)


def test_files_outside_the_project_are_not_written_by_tools(desk, tmp_path):
    _, _, last = desk.run(use("Write", file_path=str(tmp_path / "out.txt"), content="x"), say("all done"))
    assert (last.denials, (tmp_path / "out.txt").exists()) == ((f"Write: {tmp_path}/out.txt",), False)


def test_the_result_file_can_be_written(desk):
    path = desk.project.root / ".do-tasks" / "jobs" / "t" / "main.1" / "result.json"
    desk.run(use("Write", file_path=str(path), content="{}"), say("all done"))
    assert path.read_text() == "{}"


def test_the_shell_sees_no_key(desk):
    command = "env | grep -c . ; env | grep -E 'ANTHROPIC_API_KEY|HF_TOKEN'; echo end"
    desk.run(use("Bash", command=command), say("all done"), environ={"HF_TOKEN": "hf_abcdefgh12"})
    raw = desk.requests[-1].raw
    assert "\\nend" in raw
    assert Masker((KEY, "hf_abcdefgh12")).mask(raw) == raw


def test_a_session_goes_on(desk):
    _, _, last = desk.run(use("Bash", command="echo FIRSTMARK"), say("all done"))
    _, _, again = desk.run(say("mended"), prompt="FEEDBACKMARK", resume=last.session)
    told = desk.requests[0].raw
    assert (again.session, "FIRSTMARK" in told, "FEEDBACKMARK" in told, "ROLEMARK" in told) == (
        last.session,
        True,
        True,
        True,
    )


def test_the_limit_of_turns_ends_it(desk):
    code, turns, last = desk.run(*[use("Bash", command="echo hi")] * 3, turns=2)
    assert (code, len(turns), last.kind) == (1, 2, "turns")


def test_a_wrong_key_ends_it(desk):
    code, _, last = desk.run(*[refused(401)] * 3, environ={"CLAUDE_CODE_MAX_RETRIES": "1"})
    assert (code, last.kind) == (1, "denied")


def test_a_request_that_is_refused_is_no_success(desk):
    code, turns, last = desk.run(*[refused(400, "no such thing")] * 12)
    assert (code, turns, last.kind, last.text) == (1, [], "error", "API Error: 400 no such thing")


def test_there_is_no_background(desk):
    desk.run(use("Bash", command="echo hi", run_in_background=True), say("all done"))
    assert "run_in_background" in results(desk.requests[-1])
    assert "run_in_background" not in json.dumps(desk.requests[0].body["tools"])


def test_another_session_around_it_is_no_hindrance(desk):
    assert desk.run(say("all done"), environ={"CLAUDECODE": "1", "CLAUDE_CODE_ENTRYPOINT": "cli"})[0] == 0


def test_it_ends_when_it_is_told_to(desk):
    wait = "touch began; python3 -c 'import time; time.sleep(60)'"
    with ScriptedServer([use("Bash", command=wait)]) as server:
        started = desk.start(server)
        until(lambda: desk.project.has("began"), "the command never began")
        time.sleep(0.2)
        started.send_signal(signal.SIGTERM)
        out, _ = started.communicate(timeout=300)
    stream = Stream()
    assert [one.calls for one in [*stream.feed(out), *stream.close()]] == [(f"Bash: {wait}",)]
    assert started.returncode == 143
