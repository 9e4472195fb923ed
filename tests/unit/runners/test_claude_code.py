"""Holds what Claude Code is started with, what of the environment it gets, what its end means."""

from __future__ import annotations

import subprocess

import pytest

from executor.plan.roles import Role
from executor.runners import agent_result, claude_code
from executor.runners.agent_events import Closed
from executor.store import claude_files
from executor.system.outcome import Verdict
from executor.system.run_records import Exit
from tests.integration import claude_cli

ROLE = Role("smith", "Forges.", tools=("Bash", "Read", "Edit", "Write"))
KEY = "k3y-of-the-service-0001"
DONE = Closed(ok=True, kind="done", text="all done")


def started(role=ROLE, prompt="p.md", **more) -> tuple[str, ...]:
    return claude_code.argv("/opt/claude", role=role, prompt_file=prompt, **more)


def flags(role=ROLE, **more) -> dict:
    """What the program makes of its words; it ends us when it does not know one."""
    argv = started(role, **more)
    return claude_cli.read_flags(list(argv[argv.index("/opt/claude") + 1 :]))


def test_the_usual_words_are_options_that_the_program_has() -> None:
    assert flags() == {
        "-p": True,
        "--output-format": "stream-json",
        "--verbose": True,
        "--agent": "smith",
        "--permission-mode": "acceptEdits",
        "--allowedTools": ["Bash"],
        "--disallowedTools": ["Edit(/.task_execution.log*)"],
    }


def test_each_limit_is_an_option_that_the_program_has() -> None:
    given = flags(model="m-1", turns=7, usd=0.0000125, resume="5e55-10")
    wanted = {"--model": "m-1", "--max-turns": "7", "--max-budget-usd": "0.000013", "--resume": "5e55-10"}
    assert {name: given.get(name) for name in wanted} == wanted


def test_a_guarded_path_is_a_rule_of_its_own_word_from_the_root() -> None:
    denied = flags(deny=("SPEC.md", "tests/**", "my dir/a, b.txt", "./x"))["--disallowedTools"]
    assert denied[:4] == ["Edit(/SPEC.md)", "Edit(/tests/**)", "Edit(/my dir/a, b.txt)", "Edit(/x)"]


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (ROLE.replace(tools=None), ["Bash", "Skill", "Agent"]),
        (ROLE.replace(tools=("Read", "Grep")), None),
        (ROLE.replace(tools=("Bash", "WebFetch", "mcp__db__ask")), ["Bash", "WebFetch", "mcp__db__ask"]),
        (ROLE.replace(tools=None, disallowed=("Bash",)), ["Skill", "Agent"]),
    ],
)
def test_the_tools_of_the_role_need_no_leave_but_those_with_a_path_stay_inside(role: Role, allowed: object) -> None:
    assert flags(role).get("--allowedTools") == allowed


def test_a_tool_that_the_role_disallows_is_denied() -> None:
    assert flags(ROLE.replace(disallowed=("WebSearch",)))["--disallowedTools"][0] == "WebSearch"


@pytest.mark.parametrize("name", ["prompt.md", "a b.md", "it's $HOME;`x`.md", "-n.md"])
def test_the_prompt_comes_by_standard_input_from_any_path(tmp_path, name: str) -> None:
    (tmp_path / name).write_text("do it")
    argv = list(started(prompt=str(tmp_path / name)))
    argv[argv.index("/opt/claude") :] = ["/bin/cat", "-", "/dev/null"]
    ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=True)
    assert ran.stdout == "do it"


def test_only_what_it_signs_in_with_is_left_of_the_secrets() -> None:
    environ = {"ANTHROPIC_API_KEY": KEY, "HF_TOKEN": "hf_abcdefgh12", "QUOTES": "x hf_abcdefgh12", "PATH": "/bin"}
    told = claude_code.environment(environ)
    assert {name: told.get(name) for name in environ} == {**environ, "HF_TOKEN": None, "QUOTES": None}


def test_a_secret_that_the_step_names_is_given() -> None:
    told = claude_code.environment({"HF_TOKEN": "hf_abcdefgh12", "WANDB_API_KEY": KEY}, allow=("HF_TOKEN",))
    assert (told.get("HF_TOKEN"), told.get("WANDB_API_KEY")) == ("hf_abcdefgh12", None)


@pytest.mark.parametrize("name", claude_code.SESSION)
def test_nothing_of_a_calling_session_is_passed_on(name: str) -> None:
    assert claude_code.environment({name: "of the caller, 1"}).get(name) != "of the caller, 1"


def test_what_the_user_says_wins_over_what_is_usual() -> None:
    assert claude_code.environment({"CLAUDE_CODE_MAX_RETRIES": "9"})["CLAUDE_CODE_MAX_RETRIES"] == "9"


@pytest.mark.parametrize(
    ("allow", "seen"),
    [((), "none none"), (("ANTHROPIC_API_KEY",), f"{KEY} none"), (("ANTHROPIC_AUTH_TOKEN",), f"none {KEY}")],
)
@pytest.mark.parametrize("options", ["", "set -u;"])
def test_the_shell_does_not_see_what_the_program_signs_in_with(allow, seen: str, options: str) -> None:
    environ = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": KEY}
    told = claude_code.environment(environ, allow=allow)
    text = f'{options} . "$CLAUDE_ENV_FILE"; echo "${{ANTHROPIC_API_KEY-none}} ${{ANTHROPIC_AUTH_TOKEN-none}}"'
    ran = subprocess.run(["/bin/sh", "-c", text], env=told, capture_output=True, text=True, timeout=300, check=True)
    assert ran.stdout.strip() == seen


def test_the_program_is_found_on_the_path(tmp_path) -> None:
    (tmp_path / "claude").write_text("not to be run")
    claude_cli.install(tmp_path / "bin", [])
    path = f":{tmp_path}:{tmp_path / 'bin'}"
    assert claude_files.program(path) == str(tmp_path / "bin" / "claude")


def test_a_path_without_the_program_gives_nothing(tmp_path) -> None:
    assert claude_files.program(str(tmp_path)) == ""


def judged(closed, code=0, *, number=0, verdict=None, reason="", stderr=""):
    end = Exit(code, signal=number)
    return agent_result.judge(closed, end, verdict=verdict, reason=reason, stderr=stderr)


def test_a_good_last_word_and_exit_0_pass() -> None:
    outcome, failure = judged(DONE)
    assert (outcome.verdict, outcome.reason, failure) == (Verdict.PASSED, "", "")


def test_what_was_not_allowed_is_told_when_all_went_well() -> None:
    calls = tuple(f"Edit: {at}" for at in range(7))
    outcome, _ = judged(DONE.replace(denials=(*calls, calls[0])))
    assert outcome.reason == "not allowed: Edit: 0, Edit: 1, Edit: 2, Edit: 3, Edit: 4 and 2 more"


def test_an_error_that_exits_0_fails() -> None:
    outcome, failure = judged(Closed(ok=False, kind="interrupted"))
    assert (outcome.verdict, outcome.reason, failure) == (Verdict.FAILED, "somebody interrupted it", "interrupted")


def test_a_good_last_word_does_not_hide_an_exit_code() -> None:
    outcome, failure = judged(DONE, 3, stderr="the disk is full")
    assert (outcome.verdict, outcome.reason, failure) == (Verdict.FAILED, "exit 3: the disk is full", "exit:3")


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        (
            Closed(ok=False, kind="turns", text="Reached maximum number of turns (2)"),
            "Reached maximum number of turns (2); raise limits.turns, or split the step",
        ),
        (
            Closed(ok=False, kind="turns", text="its limit of 4 turns is reached; raise limits.turns"),
            "its limit of 4 turns is reached; raise limits.turns",
        ),
        (Closed(ok=False, kind="circles"), "it ended with circles"),
        (Closed(ok=False, kind="error", text="a\n b", denials=("Edit: x",)), "a b; not allowed: Edit: x"),
        (Closed(ok=False, kind="denied", text="API Error: 401"), "API Error: 401; look at the credentials"),
    ],
)
def test_the_reason_tells_what_was_said_and_the_next_move(closed: Closed, reason: str) -> None:
    assert judged(closed, 1)[0].reason == reason


def test_a_service_without_room_may_be_tried_again() -> None:
    assert judged(Closed(ok=False, kind="rate_limit", text="529"), 1)[1] == "rate_limit"


@pytest.mark.parametrize(
    ("code", "number", "stderr", "reason", "failure"),
    [
        (1, 0, "a\n--agent 'x' not found\n", "exit 1: --agent 'x' not found", "exit:1"),
        (137, 9, "", "killed by signal 9 (SIGKILL)", "oom"),
        (0, 0, "", "it ended without a last word; see its stdout.log and stderr.log", "exit:0"),
        (0, 0, "hm", "it ended without a last word: hm; see its stdout.log and stderr.log", "exit:0"),
        (75, 0, "", "exit 75", "rate_limit"),
        (2, 0, "", "exit 2", "exit:2"),
    ],
)
def test_an_end_without_a_last_word_is_a_death(code: int, number: int, stderr: str, reason: str, failure: str) -> None:
    outcome, kind = judged(None, code, number=number, stderr=stderr)
    assert (outcome.verdict, outcome.reason, kind) == (Verdict.FAILED, reason, failure)


@pytest.mark.parametrize(
    ("verdict", "failure"), [(Verdict.TIMED_OUT, "timeout"), (Verdict.CANCELLED, "stopped"), (Verdict.LOST, "stopped")]
)
def test_what_we_did_to_it_decides_whatever_it_said(verdict: Verdict, failure: str) -> None:
    outcome, kind = judged(DONE, 143, number=15, verdict=verdict, reason="after 3 s")
    assert (outcome.verdict, outcome.reason, kind) == (verdict, "after 3 s", failure)
