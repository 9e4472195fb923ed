"""Holds who does MAIN: every combination of who asks, what the step has, which credentials there are."""

from __future__ import annotations

from itertools import product

import pytest

from executor.errors import UsageError
from executor.plan.model import Main, Settings
from executor.plan.runner_choice import RUNNERS, Choice, runner
from executor.plan.schema import plan_schema

SAID = ("", *RUNNERS)
TASKS = {
    "script": Main(script="a.py"),
    "command": Main(command="make"),
    "agent": Main(agent="smith", objective="x"),
    "agent with script": Main(agent="smith", script="a.py"),
    "agent with command": Main(agent="smith", command="make"),
    "nothing": Main(objective="x"),
}


def chosen(main, *, asked="", step="", settings="", environ="", credentials=False, claude=False) -> Choice:
    return runner(
        main.replace(runner=step),
        Settings(runner=settings),
        asked=asked,
        environ_runner=environ,
        has_credentials=credentials,
        has_claude=claude,
    )


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize("claude", [True, False])
def test_the_first_that_says_so_decides(name: str, credentials: bool, claude: bool) -> None:
    main = TASKS[name]
    for said in product(SAID, repeat=4):
        first = next((one for one in said if one), "")
        if not first:
            continue
        asked, step, settings, environ = said
        yields = first == "agent" and not credentials and not asked and bool(main.script or main.command)
        given = {"asked": asked, "step": step, "settings": settings, "environ": environ}
        assert chosen(main, **given, credentials=credentials, claude=claude).runner == (
            "command" if yields else first
        ), given


@pytest.mark.parametrize(
    ("name", "credentials", "claude", "expected"),
    [
        *((name, *has, "command") for name in ("script", "command") for has in product((True, False), repeat=2)),
        *((name, True, has, "agent") for name in ("agent", "nothing") for has in (True, False)),
        *((name, False, True, "claude-code") for name in ("agent", "nothing")),
        *((name, False, False, "host") for name in ("agent", "nothing")),
        *((f"agent with {what}", True, has, "agent") for what in ("script", "command") for has in (True, False)),
        *((f"agent with {what}", False, has, "command") for what in ("script", "command") for has in (True, False)),
    ],
)
def test_when_nobody_says_so_the_step_decides(name: str, credentials: bool, claude: bool, expected: str) -> None:
    assert chosen(TASKS[name], credentials=credentials, claude=claude).runner == expected


@pytest.mark.parametrize("mode", ["background", "chunked"])
@pytest.mark.parametrize("asked", SAID)
@pytest.mark.parametrize("name", TASKS)
def test_a_job_is_always_a_process(mode: str, asked: str, name: str) -> None:
    choice = chosen(TASKS[name].replace(mode=mode), asked=asked, step="agent", credentials=True, claude=True)
    assert choice.runner == "command"
    assert f"mode: {mode}" in choice.why


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"asked": "host"}, "the command line asks for it"),
        ({"step": "host"}, "the step says so"),
        ({"settings": "host"}, "the settings say so"),
        ({"environ": "host"}, "DO_TASKS_RUNNER says so"),
    ],
)
def test_the_reason_names_who_said_so(given: dict[str, str], why: str) -> None:
    assert chosen(TASKS["script"], **given) == Choice("host", why)


@pytest.mark.parametrize(
    ("name", "has", "why"),
    [
        ("script", {}, "the step has a script and names no agent"),
        ("command", {}, "the step has a command and names no agent"),
        ("agent with script", {}, "agent smith has no credentials, so its script runs instead"),
        ("agent with command", {}, "agent smith has no credentials, so its command runs instead"),
        ("agent", {"credentials": True}, "the step is for agent smith"),
        ("nothing", {"credentials": True}, "the step is for the agent"),
        (
            "agent",
            {"claude": True},
            "agent smith has no credentials and the step has neither script nor command; claude is installed",
        ),
        (
            "agent",
            {},
            "agent smith has no credentials and the step has neither script nor command; whoever called does it",
        ),
    ],
)
def test_the_reason_says_what_decided(name: str, has: dict[str, bool], why: str) -> None:
    assert chosen(TASKS[name], **has).why == why


def test_the_command_line_may_insist_on_an_agent_without_credentials() -> None:
    assert chosen(TASKS["agent with script"], asked="agent").runner == "agent"


@pytest.mark.parametrize("who", ["asked", "step", "settings", "environ"])
def test_a_word_that_is_no_runner_names_the_nearest(who: str) -> None:
    with pytest.raises(UsageError, match=r"'agnet' is no runner .*; did you mean agent"):
        chosen(TASKS["script"], **{who: "agnet"})


def test_a_word_that_nobody_reads_harms_nothing() -> None:
    assert chosen(TASKS["script"], asked="host", environ="agnet").runner == "host"


def test_a_choice_is_a_runner_that_the_schema_knows() -> None:
    assert {*RUNNERS} == {*plan_schema()["$defs"]["runner"]["enum"]}


@pytest.mark.parametrize(
    ("name", "goes_on"), [("agent", "the step has neither"), ("agent with script", "so its script")]
)
def test_what_an_agent_lacks_is_named(name: str, goes_on: str) -> None:
    choice = runner(
        TASKS[name], Settings(), asked="", environ_runner="", has_credentials=False, has_claude=False, lacks="package"
    )
    assert "agent smith has no package" in choice.why
    assert goes_on in choice.why
