"""SPEC.md, step_definitions.yaml and scripts/ speak of the same steps."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "SPEC.md").read_text()
STEPS = {
    int(key.split("_")[1]): step
    for key, step in yaml.safe_load((ROOT / "step_definitions.yaml").read_text()).items()
    if key.startswith("step_")
}
BOX = re.compile(r"^- \[[ x~]\] \*\*STEP (\d+)\*\*: (.+?)(?: [✓✗⏳].*)?$", re.MULTILINE)
SECTION = re.compile(r"^## STEP (\d+): (.+)\n((?:(?!^## ).*\n?)*)", re.MULTILINE)


def test_twenty_steps_have_a_box_and_a_section_of_one_title():
    boxes = dict(BOX.findall(SPEC))
    sections = {number: title for number, title, _ in SECTION.findall(SPEC)}
    assert [int(number) for number in boxes] == list(range(1, 21))
    assert boxes == sections


def test_every_section_says_what_where_and_when_done():
    for _, title, body in SECTION.findall(SPEC):
        for part in ("What to accomplish", "Files", "Success outcome"):
            assert f"**{part}**:" in body, title


def test_what_is_not_defined_says_so():
    undefined = {int(number) for number, _, body in SECTION.findall(SPEC) if "Not defined yet" in body}
    assert undefined == set(range(1, 21)) - set(STEPS)


def test_titles_agree():
    titles = {int(number): title for number, title in BOX.findall(SPEC)}
    assert {number: step["title"] for number, step in STEPS.items()} == {number: titles[number] for number in STEPS}


@pytest.mark.parametrize("number", sorted(STEPS))
def test_a_step_is_checked_tried_done_and_verified(number):
    step = STEPS[number]
    assert step["pre_flight"]
    assert step["post_validation"]
    assert step["main"]["test"]
    assert step["main"]["timeout"]
    bound = [one for one in step["main"]["success_criteria"] if isinstance(one, dict) and len(one) > 1]
    assert bound
    assert (ROOT / step["main"]["script"]).is_file()


def test_the_number_of_a_script_is_that_of_its_step():
    numbers = {number: Path(step["main"]["script"]).name[:2] for number, step in STEPS.items()}
    assert numbers == {number: f"{number:02}" for number in STEPS}


def test_an_older_name_runs_the_script_of_its_step():
    """Founding plans name 06_train_student_model.py."""
    planned = {Path(step["main"]["script"]).name for step in STEPS.values()}
    aliases = {path.name for path in (ROOT / "scripts").glob("[0-9][0-9]_*.py")} - planned
    assert aliases == {"06_train_student_model.py"}
    words = [sys.executable, str(ROOT / "scripts" / aliases.pop()), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "Step 13: " in done.stdout


def test_the_notice_names_who_is_owed_credit():
    notice = (ROOT / "NOTICE").read_text()
    for owed in ("Open Knowledge Foundation", "Project Gutenberg", "Attribution License, version 2.5", "MIT License"):
        assert owed in notice
