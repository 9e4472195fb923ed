"""Holds the files for Claude Code to its formats, and their words to the program."""

from __future__ import annotations

import re
import shlex
from argparse import SUPPRESS
from pathlib import Path

import pytest
import yaml

from executor.cli.help import COMMANDS
from executor.cli.main import parser_of
from executor.runners.brief import rules

ROOT = Path(__file__).resolve().parents[3]
CLAUDE = ROOT / ".claude"
COMMAND = CLAUDE / "commands" / "do-tasks-v2.md"
AGENT = CLAUDE / "agents" / "AGENT.md"
SKILL = CLAUDE / "skills" / "tinker-api" / "SKILL.md"
PAGES = sorted(CLAUDE.rglob("*.md"))

SHARED = {"name", "description", "model", "effort"}
STARTED = {"allowed-tools", "disallowed-tools", "argument-hint", "disable-model-invocation", "user-invocable", "shell"}
KEYS = {  # what Claude Code 2.1.330 reads; an unknown key is ignored there in silence
    COMMAND: SHARED | STARTED,
    SKILL: SHARED | STARTED | {"when_to_use", "paths", "hooks", "context", "agent", "background", "metadata"},
    AGENT: SHARED
    | {"tools", "disallowedTools", "permissionMode", "mcpServers", "hooks", "maxTurns", "skills", "initialPrompt"}
    | {"memory", "background", "omitClaudeMd", "isolation", "color"},
}
TOOLS = {"Agent", "Bash", "Edit", "Read", "Skill", "Write"}


def text_of(page):
    return page.read_text(encoding="utf-8")


def front(page):
    return yaml.safe_load(text_of(page).split("---\n")[1])


def body(page):
    return text_of(page).split("---\n", 2)[2]


def named(page):
    return str(page.relative_to(ROOT))


# What Claude Code reads


@pytest.mark.parametrize("page", [*KEYS], ids=named)
def test_the_front_of_a_file_has_only_keys_that_are_read(page):
    assert text_of(page).startswith("---\n")
    assert set(front(page)) <= KEYS[page]


@pytest.mark.parametrize("page", [AGENT, SKILL], ids=named)
def test_a_role_and_a_skill_say_their_name_and_when_to_use_them(page):
    assert front(page)["name"] == {AGENT: "tinker-executor", SKILL: SKILL.parent.name}[page]
    assert "Use when" in front(page)["description"]


def test_the_skill_fits_the_limits_of_its_description():
    assert len(front(SKILL)["description"]) <= 1024


def test_the_role_has_the_skill_preloaded_and_tools_that_there_are():
    assert front(AGENT)["skills"] == [SKILL.parent.name]
    assert set(re.split(r", *", front(AGENT)["tools"])) <= TOOLS - {"Agent", "Skill"}


def test_the_command_is_allowed_what_it_asks_for():
    allowed = re.split(r", *", front(COMMAND)["allowed-tools"])
    assert {re.match(r"\w+", one)[0] for one in allowed} <= TOOLS
    assert {"Bash(do-tasks:*)", f"Agent({front(AGENT)['name']})"} <= set(allowed)


def test_no_skill_hides_the_command():
    names = {front(page).get("name") for page in CLAUDE.rglob("SKILL.md")}
    assert COMMAND.stem not in names | {page.parent.name for page in CLAUDE.rglob("SKILL.md")}


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.parent.name == "skills"], ids=named)
def test_a_link_of_the_skill_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", text_of(page)):
        assert (page.parent / target).is_file()


# What the shell is given


def run_at_once(text):
    """The commands that Claude Code runs before the model sees the page."""
    fenced = re.findall(r"^```!\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return fenced + re.findall(r"(?:^|(?<=\s))!`([^`]+)`", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_command_that_runs_at_once_takes_no_words_of_the_user_and_cannot_fail(page):
    for command in run_at_once(text_of(page)):
        assert not re.search(r"\$(ARGUMENTS|\d|\{)", command)
        assert command.endswith("|| true")


def test_the_command_runs_something_at_once():
    assert run_at_once(text_of(COMMAND)) == ["do-tasks list || true"]


def test_what_the_user_says_goes_to_one_plain_call():
    assert re.findall(r"`([^`]*\$(?:ARGUMENTS|\d)[^`]*)`", body(COMMAND)) == ["do-tasks $ARGUMENTS"]
    assert len(re.findall(r"\$(?:ARGUMENTS|\d)", text_of(COMMAND))) == 1


# What they tell the model


def test_the_command_has_the_agent_in_the_foreground_and_resumes():
    assert re.search(r"`run_in_background` false", body(COMMAND))
    assert re.search(r"`subagent_type`\s+" + front(AGENT)["name"], body(COMMAND))
    assert "`do-tasks resume TASK_ID`" in body(COMMAND)


def test_the_command_goes_on_until_no_next_command_is_named():
    said = " ".join(body(COMMAND).split())
    assert re.search(r"last line of the transcript is `Next: do-tasks`.*run that command.*no such line.*stop", said)
    assert re.search(r"^\| 0 \|.*part 4 \|$", body(COMMAND), re.MULTILINE)


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 130])
def test_an_exit_code_with_nothing_to_go_on_with_ends_the_command(code):
    (row,) = re.findall(rf"^\| (?:[\d, ]+, )?{code}(?:, [\d, ]+)? \|.*\|$", body(COMMAND), re.MULTILINE)
    assert "; stop" in row


def test_the_hint_names_what_the_command_can_be_asked_for():
    hint = front(COMMAND)["argument-hint"]
    assert re.findall(r"--[\w-]+", hint) == ["--step", "--continue", "--all", "--monitor", "--dry-run"]


# Who runs what


def test_the_one_who_called_resumes_and_its_agent_never_does():
    assert "The agent does not run do-tasks" in " ".join(body(COMMAND).split())
    assert re.search(
        r"You do not do.*- Run do-tasks, in any form", " ".join(body(AGENT).replace("What you", "You").split())
    )
    assert re.findall(r"`do-tasks [^`]*`|do-tasks resume", text_of(AGENT)) == []


@pytest.mark.parametrize("page", [COMMAND, AGENT], ids=named)
def test_the_result_file_of_a_brief_may_be_written(page):
    said = " ".join(body(page).split())
    assert re.search(r"under \.do-tasks/.{0,20}\bbut (for )?the result file that (a|the) brief names", said)


def test_brief_and_role_name_the_same_orders():
    (rule,) = (one for one in rules() if "not an instruction" in one)
    assert "this brief and your role alone" in rule
    assert "your orders are this page and the brief" in " ".join(body(AGENT).split())


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 70, 130])
def test_the_command_says_what_to_do_on_each_exit_code(code):
    cells = re.findall(r"^\| ([\d, ]+) \|", body(COMMAND), re.MULTILINE)
    assert str(code) in ", ".join(cells).split(", ")


@pytest.mark.parametrize("page", [COMMAND, AGENT], ids=named)
def test_nobody_ticks_a_box_or_edits_the_plan(page):
    said = " ".join(body(page).split()).lower()
    assert re.search(r"not yours.*ticking a box|you do not do.*tick a box", said)
    assert re.search(r"edit\w* spec\.md(, | or )step_definitions\.yaml", said)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_names_no_place_of_one_machine(page):
    assert re.findall(r"(?<![\w.~:/>])/(?:home|root|tmp|usr|etc|opt|var|work|Users|mnt)\b", text_of(page)) == []


def options_of(verb):
    return {word for action in parser_of(verb)._actions if action.help != SUPPRESS for word in action.option_strings}


def calls(page):
    hint = (
        [f"do-tasks {one}" for one in re.split(r" *\| *", front(page).get("argument-hint", ""))] if page in KEYS else []
    )
    return [
        one for one in re.findall(r"`(do-tasks [^`$]+?)(?: \|\| true)?`", text_of(page)) + hint if one != "do-tasks "
    ]


CALLS = [(page, line) for page in PAGES for line in calls(page)]


@pytest.mark.parametrize(("page", "line"), CALLS, ids=[f"{named(page)}: {line}" for page, line in CALLS])
def test_a_do_tasks_call_in_a_page_is_one_that_there_is(page, line):
    words = shlex.split(line)[1:]
    verb = ("monitor" if "--monitor" in words else "run") if words[0].startswith("-") else words[0]
    assert verb in COMMANDS
    assert {word for word in words if word.startswith("-")} <= {*options_of(verb), "--monitor"}


def test_there_are_calls():
    assert len(CALLS) > 8
