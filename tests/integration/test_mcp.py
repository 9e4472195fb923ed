"""An agent drives the plan through the real client of the MCP SDK, over stdio, against the real server."""

from __future__ import annotations

import json
import re
import signal
import sys
from contextlib import asynccontextmanager
from subprocess import PIPE

import psutil
import pytest

from tests.integration.projects import PATIENCE_S, ROOT, Project, alive, check, command, finish, until

pytest.importorskip("mcp", reason="the extra mcp is not installed")
anyio = pytest.importorskip("anyio")
from mcp import Client, StdioServerParameters, stdio_client  # noqa: E402 - after the skip

TOOLS = {"run", "status", "why", "log", "monitor", "brief", "resume", "stop", "validate"}
WAITS = "echo $$ >pid; for _ in $(seq 900); do test -e go && exit; sleep 0.1; done; exit 9"
POEM = "a\nb\nc\nd\n"
HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "0"},
}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "p")


@asynccontextmanager
async def connected(project):
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "executor", "mcp"], env=project.env(), cwd=project.root
    )
    with anyio.fail_after(2 * PATIENCE_S):
        async with Client(stdio_client(server)) as client:
            yield client


def talk(project, work):
    """Do `work(client)` in one conversation, and return what it returns."""

    async def whole():
        async with connected(project) as client:
            return await work(client)

    return anyio.run(whole)


def ask(project, *calls):
    """Call tools one after the other, each a name with its arguments; return the answers."""

    async def work(client):
        return [(await client.call_tool(name, words)).structured_content for name, words in calls]

    return talk(project, work)


def answer(project, name, /, **words):
    (only,) = ask(project, (name, words))
    return only


def waiting_main(project):
    """A plan whose MAIN tells its pid, then waits for a file called go."""
    return project.plan(s1=command(WAITS), s2=command("echo two >two.txt"))


def hosted(project):
    main = {"objective": "Write four lines", "success_criteria": [{"criterion": "It is there", "file": "poem.txt"}]}
    step = {
        "main": {"command": "true", "test": "none"} | main,
        "post_validation": [check("lines", "test 4 = $(wc -l <poem.txt)")],
    }
    return project.plan(s1=step)


async def until_true(true):
    with anyio.fail_after(PATIENCE_S):
        while not true():
            await anyio.sleep(0.05)


# What there is


def test_the_tools_are_told_with_their_arguments(project):
    listed = talk(project.plan(s1=command("true")), lambda client: client.list_tools()).tools
    assert {tool.name for tool in listed} == TOOLS
    assert all(tool.description and tool.output_schema["required"] for tool in listed)
    told = {tool.name: tool.input_schema for tool in listed}
    options = "step mode rerun force strict runner wait_s values agent_from_text timeout_s"
    assert {*options.split()} == {*told["run"]["properties"]}
    assert all(one.get("description") for one in told["run"]["properties"].values())
    assert not any(schema["additionalProperties"] for schema in told.values())


def test_the_page_about_the_tools_has_each_with_its_arguments(project):
    listed = talk(project.plan(s1=command("true")), lambda client: client.list_tools()).tools
    page = (ROOT / "docs" / "howto" / "drive-from-any-agent.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \|(.*)\|$", page.split("## The tools")[1].split("\n\n")[1], re.MULTILINE)
    assert {name: {*re.findall(r"`(\w+)`", words)} for name, words in rows} == {
        tool.name: {*tool.input_schema["properties"]} for tool in listed
    }


def test_nothing_ticks_a_box_and_the_agent_is_told_so(project):
    async def work(client):
        return client.instructions

    assert "No tool ticks a box" in talk(project.plan(s1=command("true")), work)


def test_without_the_sdk_there_is_one_clear_error(project):
    project.plan(s1=command("true")).write("hidden/mcp/__init__.py", "raise ImportError('no mcp here')")
    project.environ["PYTHONPATH"] = f"{project.root / 'hidden'}:{project.env()['PYTHONPATH']}"
    done = project.run("mcp")
    assert (done.code, done.out) == (2, "")
    assert "pip install 'mcp>=2'" in done.err
    assert done.err.count("\n") == 1


# What a call does


def test_a_step_is_run_and_ticked(project):
    told = answer(project.plan(s1=command("echo one >one.txt")), "run", step="1")
    assert (told["exit_code"], project.text("one.txt")) == (0, "one\n")
    assert "Step 1 complete" in told["transcript"]
    assert "- [x] **STEP 1**" in project.spec


def test_without_a_step_the_open_ones_run(project):
    told = answer(project.plan(s1=command("true"), s2=command("true")), "run")
    assert (told["exit_code"], project.spec.count("[x]")) == (0, 2)


def test_a_number_is_a_step_too(project):
    assert answer(project.plan(s1=command("true"), s2=command("true")), "run", step=2)["exit_code"] == 0
    assert project.spec.count("[x]") == 1


def test_a_failing_step_says_so_and_why(project):
    told = answer(project.plan(s1=command("echo broken >&2; exit 4")), "run", step="1")
    assert (told["exit_code"], told["meaning"]) == (1, "a step failed")
    assert "exit 4" in told["transcript"]
    assert "Fix the cause" in told["next"]


@pytest.mark.first_rows(2)
@pytest.mark.parametrize("step", ["99", "nonsense", "1-x", "--help", "--monitor"])
def test_a_step_that_there_is_not_is_one_clear_answer(project, step):
    told = answer(project.plan(s1=command("true")), "run", step=step)
    assert told["exit_code"] == 2
    assert told["transcript"].startswith("do-tasks: ")
    assert project.lines() == []


@pytest.mark.parametrize(("name", "words"), [("why", {"step": "--json"}), ("resume", {"task_id": "--strict"})])
def test_a_word_that_looks_like_an_option_is_none(project, name, words):
    told = answer(project.plan(s1=command("true")), name, **words)
    assert (told["exit_code"], next(iter(words.values())) in told["transcript"]) == (2, True)


def test_an_argument_that_there_is_not_runs_nothing(project):
    async def work(client):
        return await client.call_tool("run", {"steps": "1"})

    told = talk(project.plan(s1=command("true")), work)
    assert (told.is_error, "steps" in told.content[0].text) == (True, True)
    assert project.lines() == []


def test_a_folder_without_a_plan_says_how_to_get_one(project):
    told = answer(project, "status")
    assert (told["exit_code"], "do-tasks init" in told["transcript"]) == (2, True)


def test_what_only_looks_answers_with_json(project):
    project.plan(s1=command("true"))
    names = ("status", {}), ("why", {"step": "1"}), ("validate", {}), ("monitor", {}), ("log", {"events": True})
    answers = ask(project, ("run", {}), *names)[1:]
    steps, why, valid, jobs, events = (told["json"] for told in answers)
    assert steps["steps"][0]["state"] == "done"
    assert why["steps"][0]["action"] == "done"
    assert (valid["valid"], jobs["jobs"]) == (True, [])
    assert [line["event"] for line in events][-1] == "SpecTicked"


def test_the_log_shows_a_task_and_stop_knows_it(project):
    project.plan(s1=command("true")).run("--step", "1")
    log, stopped = ask(project, ("log", {"task_id": project.task_id()}), ("stop", {"task_id": project.task_id()}))
    assert (log["exit_code"], "[MAIN]" in log["transcript"]) == (0, True)
    assert (stopped["exit_code"], "nothing of it was running" in stopped["transcript"]) == (0, True)


def test_a_long_transcript_is_cut_in_its_middle(project):
    steps = {f"s{number}": command("true", objective="word " * 100) for number in range(1, 60)}
    text = answer(project.plan(**steps), "run")["transcript"]
    assert "characters left out" in text
    assert len(text) < 30_000
    assert "Step 59 complete" in text


# A brief


def test_a_brief_comes_with_the_answer_and_what_was_done_is_judged(project):
    (given,) = ask(hosted(project), ("run", {"step": "1", "runner": "host"}))
    assert given["exit_code"] == 3
    assert given["brief"].startswith("# Step 1")
    assert "## Objective" not in given["transcript"]
    project.write("poem.txt", POEM)
    told = answer(project, "resume", task_id=given["task_id"])
    assert (told["exit_code"], "- [x] **STEP 1**" in project.spec) == (0, True)


def test_a_lie_is_not_ticked(project):
    given = answer(hosted(project), "run", step="1", runner="host")
    told = answer(project, "resume", task_id=given["task_id"])
    assert (told["exit_code"], told["task_id"]) == (3, given["task_id"])
    assert "lines: expected exit 0" in told["transcript"]
    assert "lines: expected exit 0" in told["brief"]
    assert "- [ ] **STEP 1**" in project.spec


def test_a_judge_that_was_changed_is_refused_with_a_persons_move(project):
    given = answer(hosted(project), "run", step="1", runner="host")
    project.write("step_definitions.yaml", project.text("step_definitions.yaml").replace("test 4 =", "test 9 !="))
    before = project.spec
    for tool, words in (("resume", {"task_id": given["task_id"]}), ("run", {"step": "1"}), ("run", {})):
        told = answer(project, tool, **words)
        assert (told["exit_code"], "brief" in told) == (3, False)
        assert "step_definitions.yaml: step 1, post_validation" in told["transcript"]
        assert "`do-tasks accept 1` in a terminal of their own" in told["next"]
    assert (project.spec, project.events("StepPassed")) == (before, [])


def several(project, *numbers, **more):
    """Steps that whoever called does: each writes one file."""
    steps = {
        f"s{number}": command("true", success_criteria=[{"criterion": "It is there", "file": f"{number}.txt"}])
        for number in numbers
    }
    return project.plan(**steps, **more)


def call_in(told):
    """The call of `run` that an answer names next, None when it names none."""
    found = re.search(r"`run` (\{.*?\})", told["next"])
    return json.loads(found[1]) if found else None


def test_a_selection_goes_to_its_end_by_what_next_names(project):
    async def follow(client, words):
        calls = []
        while words and len(calls) < 6:
            calls.append(words)
            told = (await client.call_tool("run", words)).structured_content
            assert told["exit_code"] == 3
            assert f"`resume` {told['task_id']}" in told["next"]
            project.write(f"{told['task_id'].split('_')[1]}.txt", "x\n")
            told = (await client.call_tool("resume", {"task_id": told["task_id"]})).structured_content
            words = call_in(told)
        return calls, told["next"]

    words = {"step": "1-3", "runner": "host"}
    calls, last = talk(several(project, 1, 2, 3, 4), lambda client: follow(client, words))
    assert (calls, project.spec.count("[x]")) == ([words] * 3, 3)
    assert last.startswith("Nothing is left of the request")


def test_a_task_that_has_passed_is_resumed_without_harm(project):
    given = answer(several(project, 1, 2), "run", runner="host", mode="all", strict=True)
    project.write("1.txt", "x\n")
    first, second = ask(project, *[("resume", {"task_id": given["task_id"]})] * 2)
    assert (first["exit_code"], second["exit_code"]) == (0, 0)
    assert call_in(first) == call_in(second) == {"mode": "all", "runner": "host", "strict": True}


def test_a_step_that_failed_is_mended_before_the_selection_goes_on(project):
    told = answer(project.plan(s1=command("false"), s2=command("true")), "run", step="1-2")
    assert (told["exit_code"], call_in(told)) == (1, {"step": "1-2"})
    assert told["next"].index("Fix the cause") < told["next"].index("`run`")


def test_a_run_that_did_all_says_that_nothing_is_left(project):
    told = answer(project.plan(s1=command("true"), s2=command("true")), "run", step="1")
    assert (told["exit_code"], call_in(told), "Nothing is left" in told["next"]) == (0, None, True)


@pytest.mark.first_rows(1)
@pytest.mark.parametrize("which", ["", "1", "task"])
def test_a_brief_that_waits_can_be_read_again(project, which):
    given = answer(hosted(project), "run", runner="host")
    told = answer(project, "brief", which=given["task_id"] if which == "task" else which)
    assert (told["exit_code"], told["brief"], told["task_id"]) == (3, given["brief"], given["task_id"])
    assert told["json"]["objective"] == "Write four lines"


def test_where_no_brief_waits_the_answer_says_so(project):
    told = answer(project.plan(s1=command("true")), "brief", which="../..")
    assert (told["exit_code"], "'../..' has no brief" in told["transcript"]) == (2, True)


def test_a_task_cannot_run_steps_through_the_server(project):
    project.environ["DO_TASKS_TASK_ID"] = "task_1_0000000a"
    run, status = ask(project.plan(s1=command("true")), ("run", {"step": "1"}), ("status", {}))
    assert (run["exit_code"], "inside task_1_0000000a" in run["transcript"]) == (2, True)
    assert (status["exit_code"], project.lines()) == (0, [])


def test_a_secret_is_not_in_an_answer(project):
    project.environ["API_TOKEN"] = "s3cret-that-nobody-may-see"
    told = answer(project.plan(s1=command("true")), "why", step="s3cret-that-nobody-may-see")
    assert (told["exit_code"], "s3cret" in json.dumps(told)) == (2, False)


# Ends


def test_of_two_runs_at_once_the_second_says_that_there_is_another(project):
    async def work(client):
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "run", {"step": "1"})
            await until_true(lambda: project.has("pid"))
            second = await client.call_tool("run", {"step": "2"})
            project.write("go", "")
        return second.structured_content

    told = talk(waiting_main(project), work)
    assert (told["exit_code"], told["meaning"]) == (5, "another executor is at work here")
    assert ("[x] **STEP 1**" in project.spec, project.has("two.txt")) == (True, False)


def test_a_run_that_is_too_long_is_interrupted_and_goes_on_later(project):
    told = answer(waiting_main(project), "run", step="1", timeout_s=3)
    assert (told["exit_code"], "timeout_s" in told["next"]) == (130, True)
    assert "[ ] **STEP 1**" in project.spec
    project.write("go", "")
    assert answer(project, "run", step="1")["exit_code"] == 0


def test_a_call_that_is_taken_back_ends_what_it_began(project):
    async def work(client):
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "run", {"step": "1"})
            await until_true(lambda: project.has("pid"))
            group.cancel_scope.cancel()
        await until_true(lambda: project.events("StepInterrupted"))
        return (await client.call_tool("run", {"step": "2"})).structured_content

    told = talk(waiting_main(project), work)
    assert not alive(int(project.text("pid")))
    assert told["exit_code"] == 0


def test_whoever_waits_is_told_the_newest_line(project):
    seen = []

    async def heard(progress, total, message):
        seen.append(message)
        project.write("go", "")

    async def work(client):
        return await client.call_tool("run", {"step": "1"}, progress_callback=heard)

    assert talk(waiting_main(project), work).structured_content["exit_code"] == 0
    assert any("[MAIN]" in line for line in seen)


def test_a_background_job_outlives_the_server(project):
    job = {"main": {"command": WAITS, "mode": "background"}}
    told = answer(project.plan(s1=job), "run", step="1")
    assert told["exit_code"] == 0
    assert alive(int(project.text("pid")))
    project.write("go", "")
    until(lambda: "[x] **STEP 1**" in project.spec, "the job was never ticked")


# The bare protocol


def server_at_work(project):
    """Start a server by hand and have it run step 1; return it."""
    server = project.start("mcp", stdin=PIPE)
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "run", "arguments": {"step": "1"}}}
    for message in (hello, ready, call):
        server.stdin.write(json.dumps(message).encode() + b"\n")
    server.stdin.flush()
    return server


def test_nothing_but_the_protocol_is_said_on_stdout(project):
    server = server_at_work(project.plan(s1=command("echo loud; echo louder >&2")))
    lines = [json.loads(server.stdout.readline()) for _ in range(2)]
    done = finish(server)
    assert [(line["jsonrpc"], line["id"]) for line in lines] == [("2.0", 1), ("2.0", 2)]
    assert lines[1]["result"]["structuredContent"]["exit_code"] == 0
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_client_that_stopped_reading_ends_it_without_a_bug_report(project):
    server = project.plan(s1=command("true")).start("mcp", stdin=PIPE)
    server.stdout.close()
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
    server.stdin.write(json.dumps(hello).encode() + b"\n")
    server.stdin.close()
    with server.stderr as said:
        assert (server.wait(PATIENCE_S), said.read()) == (0, b"")


@pytest.mark.first_rows(1)
@pytest.mark.parametrize("end", ["stdin closed", "SIGKILL", "SIGTERM"])
def test_what_it_runs_ends_with_the_server_and_goes_on_later(project, end):
    server = server_at_work(waiting_main(project))
    project.until_there("pid")
    below = psutil.Process(server.pid).children(recursive=True)
    if end != "stdin closed":
        server.send_signal(getattr(signal, end))
    finish(server)
    until(lambda: not any(alive(one.pid) for one in below), "it outlived the server")
    assert len(below) > 1
    assert len(project.events("StepInterrupted")) == 1
    project.write("go", "")
    assert project.run("--continue").code == 0
    assert len(project.events("TaskStarted", step=1)) == 1


def test_a_plan_with_ids_is_driven_by_tools_and_values(project, tmp_path):
    project.write("specs/tasks.md", "# Tasks\n\n- [ ] T001 Write the rate\n- [ ] T002 Say it\n")
    one = {"id": "T001", "main": {"command": "echo ${params.lr} >rate.txt", "test": "none"}}
    two = {"id": "T002", "main": {"agent": "tinker-executor", "objective": "Say it", "success_criteria": ["Said"]}}
    settings = {"plan": "specs/tasks.md", "params": {"lr": {"type": "float", "default": 0.5}}}
    project.write("step_definitions.yaml", json.dumps({"settings": settings, "one": one, "two": two}))
    ran, briefed = ask(
        project,
        ("run", {"step": "T001", "values": ["lr=0.25"]}),
        ("run", {"step": "T002", "runner": "host", "values": ["lr=0.25"]}),
    )
    assert (ran["exit_code"], project.text("rate.txt")) == (0, "0.25\n")
    assert (briefed["exit_code"], briefed["task_id"][:9]) == (3, "task_T002")
    assert "## Objective" in briefed["brief"]
    (found,) = ask(project, ("brief", {"which": "T002"}))
    assert found["task_id"] == briefed["task_id"]


def test_a_server_serves_the_plan_that_its_command_line_names(project):
    project.write("a/tasks.md", "# Tasks\n\n- [ ] T001 Write a\n")
    project.write("a/step_definitions.yaml", json.dumps({"one": {"id": "T001", "main": {"command": "echo >a.txt"}}}))

    async def whole():
        words = ["-m", "executor", "mcp", "--plan", "a/tasks.md"]
        server = StdioServerParameters(command=sys.executable, args=words, env=project.env(), cwd=project.root)
        with anyio.fail_after(2 * PATIENCE_S):
            async with Client(stdio_client(server)) as client:
                return (await client.call_tool("run", {"step": "T001"})).structured_content

    assert anyio.run(whole)["exit_code"] == 0
    assert "[X] T001" in project.text("a/tasks.md")
