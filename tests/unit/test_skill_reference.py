"""Holds the tables of the tinker-api skill to the SDK that is installed: signatures, answers, errors, losses."""

from __future__ import annotations

import builtins
import inspect
import os
import re
import typing
from pathlib import Path

import pytest

SKILL = Path(__file__).resolve().parents[2] / ".claude" / "skills" / "tinker-api"
REFERENCE = (SKILL / "quick-reference.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def tinker():
    """The SDK, imported once: it takes seconds."""
    os.environ["TINKER_TELEMETRY"] = "0"
    return pytest.importorskip("tinker", reason="tinker is not installed: pip install -r requirements/run.txt")


def rows(heading):
    """The rows of the tables under a heading (all of them for ''), as lists of cells."""
    text = REFERENCE.split(f"\n## {heading}\n")[1].split("\n## ")[0] if heading else REFERENCE
    lines = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


CALLS = [row for row in rows("") if re.match(r"`(\w+\.)*\w+\(.*\)`$", row[0])]


def reached(tinker, path):
    for name in path.split("."):
        tinker = getattr(tinker, name)
    return tinker


def spelled(function):
    """A signature as the tables write it: no self, no types, a factory as {}."""
    kept = [
        one.replace(annotation=inspect.Parameter.empty)
        for one in inspect.signature(function).parameters.values()
        if one.name != "self" and not one.name.startswith("_") and one.kind is not one.VAR_KEYWORD
    ]
    return str(inspect.Signature(kept)).replace("<factory>", "{}")


def answered(function):
    if inspect.isclass(function):
        return ""
    said = str(inspect.signature(function).return_annotation).replace("typing.", "").replace("|", "\\|")
    future = re.sub(r"Backcompat(.+)Future", r"APIFuture[\1]", said)
    return f"`{future.replace('AwaitableConcurrentFuture', 'APIFuture')}`"


@pytest.mark.parametrize("row", CALLS, ids=[row[0].partition("(")[0][1:] for row in CALLS])
def test_a_call_of_the_reference_has_the_signature_of_the_sdk(tinker, row):
    path = row[0].partition("(")[0][1:]
    function = reached(tinker, path)
    assert row[:2] == [f"`{path}{spelled(function)}`", answered(function)]
    assert not hasattr(function, "__deprecated__")


def test_the_reference_has_calls():
    assert len(CALLS) > 40


@pytest.mark.parametrize("row", rows("Answers"), ids=[row[0] for row in rows("Answers")])
def test_an_answer_of_the_reference_has_its_attributes(tinker, row):
    cls = reached(tinker.types, row[0].strip("`"))
    there = {name for one in cls.__mro__ for name in (*vars(one), *inspect.get_annotations(one))}
    assert set(re.findall(r"`(\w+)`", row[1])) <= there


def test_what_the_reference_calls_deprecated_is(tinker):
    named = re.findall(r"`(\w+Client\.\w+)`", "".join(row[0] for row in rows("Deprecated, with what to write instead")))
    assert [one for one in named if not hasattr(reached(tinker, one), "__deprecated__")] == []
    assert len(named) > 4


def test_the_losses_of_the_reference_are_those_of_the_sdk(tinker):
    listed = REFERENCE.split("`loss_fn` is one of ")[1].split(";")[0]
    assert tuple(re.findall(r"`(\w+)`", listed)) == typing.get_args(tinker.types.LossFnType)


def test_every_error_that_the_skill_names_exists(tinker):
    named = set(re.findall(r"`(\w+Error)\b", (SKILL / "SKILL.md").read_text(encoding="utf-8")))
    assert {one for one in named if not hasattr(tinker, one) and not hasattr(builtins, one)} == set()
    assert len(named) > 10


@pytest.mark.parametrize("page", sorted(SKILL.glob("*.md")), ids=lambda page: page.name)
def test_a_page_of_the_skill_is_of_the_pinned_version(page):
    pins = (SKILL.parents[2] / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^tinker==(\S+)", pins, re.MULTILINE)[1]
    assert re.findall(r"tinker(?:==| )(\d+\.\d+\.\d+)", page.read_text(encoding="utf-8"))[:1] == [pinned]
