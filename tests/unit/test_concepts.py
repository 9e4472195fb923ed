"""Hold the pages of architecture and words to the program."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from benchmarks import trace_step
from executor.monitoring.probes.registry import PROBES
from executor.plan.runner_choice import RUNNERS
from executor.plan.schema import plan_schema
from executor.store.ticks import TICKS
from executor.system.outcome import FINAL
from tests.test_architecture import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "docs/concepts/architecture.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs/concepts/glossary.md").read_text(encoding="utf-8")


def block(language: str) -> list[str]:
    found = re.search(rf"^```{language}\n(.*?)^```$", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    assert found, f"no block {language}"
    return found[1].splitlines()


def meaning(term: str) -> str:
    found = re.search(rf"^\| [^|]*\*\*{re.escape(term)}\*\*[^|]*\| (.*) \|$", GLOSSARY, re.MULTILINE)
    return found[1] if found else ""


def test_the_picture_shows_the_packages_in_the_order_that_the_imports_keep() -> None:
    assert [line.split()[0] for line in block("packages")] == list(PACKAGES)


def test_contributing_names_the_same_packages_in_the_same_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [row for row in rows if row in PACKAGES] == list(PACKAGES)


def test_a_step_takes_the_way_of_the_picture(tmp_path: Path) -> None:
    with redirect_stdout(io.StringIO()):
        entered = list(trace_step.traced(tmp_path).calls)
    way = [(line.split()[0], line.split()[1]) for line in block("way")]
    assert [name for name in way if name not in entered] == []
    assert way == sorted(way, key=entered.index)


@pytest.mark.parametrize(("path", "name"), re.findall(r"\| `([\w/]+\.py)`(?:, `(\w+)`)? \|", ARCHITECTURE))
def test_the_answer_to_a_question_is_where_the_page_says(path: str, name: str) -> None:
    source = (ROOT / "executor" / path).read_text(encoding="utf-8")
    assert re.search(rf"^(def|class) {name}\b|^{name}\b.*=", source, re.MULTILINE)


def test_the_terms_stand_in_alphabetical_order_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\*", GLOSSARY, re.MULTILINE)
    assert terms == sorted(set(terms), key=str.casefold)


@pytest.mark.parametrize("phase", ["PRE-FLIGHT", "TEST", "MAIN", "POST", "SPEC"])
def test_each_phase_is_a_term(phase: str) -> None:
    assert f'"{phase}"' in "".join(path.read_text("utf-8") for path in (ROOT / "executor").rglob("*.py"))
    assert meaning(phase)
    assert phase in meaning("phase")


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("tick", [tick.replace("_", " ") for tick in TICKS]),
        ("verdict", [verdict.replace("_", " ") for verdict in FINAL]),
        ("runner", list(RUNNERS)),
        ("probe", list(PROBES)),
        ("action", plan_schema()["$defs"]["monitor"]["properties"]["on_alert"]["anyOf"][0]["enum"]),
    ],
)
def test_a_term_names_each_kind_that_the_program_has(term: str, words: list[str]) -> None:
    assert [word for word in words if word not in meaning(term)] == []
