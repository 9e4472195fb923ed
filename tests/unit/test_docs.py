"""Holds the documentation to the program: its words, keys, options, examples and links."""

from __future__ import annotations

import json
import re
import shlex
from argparse import SUPPRESS
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from executor.cli import help as command_help
from executor.cli.commands.schema import events_page, events_schema
from executor.cli.main import parser_of
from executor.plan.plan import validate
from executor.plan.schema import plan_schema
from executor.store.events import EVENTS
from executor.store.log_writer import LogWriter

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "AGENTS.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
CLI = ROOT / "docs" / "reference" / "cli.md"
DEFINITIONS = ROOT / "docs" / "reference" / "definitions.md"
MOST_EVENTS = 60


def text_of(page):
    return page.read_text(encoding="utf-8")


def named(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    """The fenced blocks of a page in these languages, as (language, text without its indentation)."""
    for found in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text_of(page), re.MULTILINE | re.DOTALL):
        if found[2] in languages:
            yield re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)


def options_of(verb):
    found = {word for action in parser_of(verb)._actions for word in action.option_strings if action.help != SUPPRESS}
    return {word for word in found if word.startswith("--")}


# The pages of reference


def test_the_page_of_events_is_what_the_program_prints():
    page = ROOT / "docs" / "reference" / "events.md"
    assert text_of(page) == events_page(), "run: do-tasks schema --events --markdown > docs/reference/events.md"


def test_there_are_not_too_many_events():
    assert len(EVENTS) <= MOST_EVENTS


@pytest.mark.parametrize("kind", EVENTS.values(), ids=[*EVENTS])
def test_what_the_journal_writes_fits_the_schema_of_events(tmp_path, kind):
    line = LogWriter(str(tmp_path / "log")).write(kind(), task_id="task_1_0000000a", step=1)
    assert [error.message for error in Draft202012Validator(events_schema()).iter_errors(line)] == []


@pytest.mark.parametrize("change", [{"event": "Nothing"}, {"v": 2}, {"step": 1.5}, {"exit_code": "0"}])
def test_the_schema_of_events_refuses_what_is_none(tmp_path, change):
    line = LogWriter(str(tmp_path / "log")).write(EVENTS["MainFinished"](exit_code=0))  # type: ignore[call-arg]
    assert not Draft202012Validator(events_schema()).is_valid(line | change)


@pytest.mark.parametrize("verb", [*command_help.COMMANDS])
def test_the_page_of_the_command_line_has_every_verb_and_option(verb):
    page = text_of(CLI)
    assert verb == "run" or f"`{verb}" in page
    assert {word for word in options_of(verb) - {"--help"} if not re.search(rf"{word}\b(?!-)", page)} == set()


def test_the_page_of_the_command_line_has_no_option_that_is_not_there():
    known = {"--version"}.union(*(options_of(verb) for verb in command_help.COMMANDS))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text_of(CLI))) <= known


def keys_of(name):
    if name == "settings":
        return set(plan_schema()["properties"]["settings"]["properties"])
    if name == "main":
        return set(plan_schema()["$defs"]["step"]["properties"]["main"]["properties"])
    if name == "criterion":
        return {key for one in plan_schema()["$defs"]["criterion"]["anyOf"] for key in one.get("properties", {})}
    return set(plan_schema()["$defs"][name]["properties"])


def part(name):
    """The text under a heading of the page of definitions, up to the next."""
    return text_of(DEFINITIONS).split(f"\n## {name}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", ["step", "check", "main", "criterion", "monitor", "settings"])
def test_the_page_of_definitions_has_every_key(name):
    assert {key for key in keys_of(name) if not re.search(rf"\b{key}\b", part(name))} == set()


@pytest.mark.parametrize("name", ["step", "check", "main", "criterion"])
def test_the_page_of_definitions_has_no_key_that_is_not_there(name):
    cells = [line.split("|")[1] for line in part(name).splitlines() if line.startswith("| `")]
    assert {key for cell in cells for key in re.findall(r"`(\w+)`", cell)} <= keys_of(name)


# Examples


def plans(block):
    """The plan of a YAML example; a part of one is put where it belongs."""
    if re.match(r"(step_|settings|x-)", block):
        yield block
    elif block.startswith("main:"):
        yield from (f"step_1_a:\n  {line}\n" for line in block.splitlines())
    else:
        indent = "    " if block.startswith("success_criteria") else "  "
        yield "step_1_a:\n  main:\n    script: a.py\n" + "".join(f"{indent}{line}\n" for line in block.splitlines())


EXAMPLES = [(page, plan) for page in PAGES for block in blocks(page, "yaml") for plan in plans(block)]


@pytest.mark.parametrize(
    ("page", "plan"), EXAMPLES, ids=[f"{named(page)}:{at}" for at, (page, _) in enumerate(EXAMPLES)]
)
def test_an_example_of_a_plan_is_valid(page, plan):
    problems = validate(plan.encode(), file=named(page), read_script=lambda _: "--test")
    assert [str(problem) for problem in problems] == []


def test_there_are_examples():
    assert len(EXAMPLES) > 5


def commands(page):
    """The do-tasks commands in a page's blocks and in its inline code, without comments and placeholders."""
    shells = "\n".join(blocks(page, "bash", ""))
    lines = re.findall(r"^(?:\$ )?(do-tasks .*)$", shells, re.MULTILINE)
    return lines + re.findall(
        r"(?<!`)`(do-tasks [^`]+)`(?!`)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    )


COMMANDS = [(page, line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{named(page)}: {line[:60]}" for page, line in COMMANDS])
def test_a_command_in_the_pages_is_one_that_there_is(page, line):
    words = shlex.split(line.split(";")[0], comments=True)[1:]
    if words[0] in ("VERB", "[VERB]", "--version", "--help"):
        return
    verb = "monitor" if "--monitor" in words else "run" if words[0].startswith("-") else words[0].rstrip(",")
    assert verb in command_help.COMMANDS
    given = {word.strip("[],") for word in words if word.strip("[").startswith("--")} - {"--monitor"}
    assert given <= options_of(verb)


def test_there_are_commands():
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_json_in_the_pages_parses(page):
    for block in blocks(page, "json"):
        assert json.loads(block.replace("\n ", " "))


# Links


def anchors(page):
    heads = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_inside_leads_somewhere(page):
    plain = re.sub(r"```.*?```|`[^`\n]*`", "", text_of(page), flags=re.DOTALL)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", plain):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{named(page)} links to {target}"
        assert not anchor or anchor in anchors(there), f"{named(page)} links to {target}"


def test_every_page_is_in_the_index():
    index = text_of(ROOT / "docs" / "index.md")
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "index.md"]
    assert [named(page) for page in pages if f"({page.relative_to(ROOT / 'docs')})" not in index] == []
