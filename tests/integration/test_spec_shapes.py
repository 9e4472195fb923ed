"""SPEC.md as people and tools leave it, in whole runs: other spellings, near misses, formatters, names of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.projects import Project, command

FORMATTED = Path(__file__).resolve().parent.parent / "fixtures" / "formatted"
PASSES = command("true")
RAN = command("echo x >>ran")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


# Spellings


@pytest.mark.first_rows(3)
@pytest.mark.parametrize(
    "line",
    [
        "- [ ] **STEP 1: Build it**",
        "- [ ] **STEP 1** — Build it",
        "- [ ] __STEP 1__: Build it",
        "- [ ] STEP 1: Build it",
        "* [ ] **[STEP 1](#a)**: Build it",
        "> - [ ] **STEP 1**: Build it",
        "- [ ] 🎭 **STEP #1**: Build it",
        "-\xa0[\xa0]\xa0**STEP\xa01**: Build it",
    ],
)
def test_a_step_in_another_spelling_runs_and_is_ticked_in_place(project, line):
    project.plan(spec=f"# Plan\n\n{line}\n\nEnd\n", s1=RAN)
    assert "no line" not in project.run("list").out
    assert project.run("--step", "1", "--append").code == 0
    ticked = line.replace("[ ]", "[x]").replace("[\xa0]", "[x]")
    before, _, behind = project.spec.partition(" ✓ [task_id: task_1_")
    assert (before, behind.partition("\n")[2], project.text("ran")) == (f"# Plan\n\n{ticked}", "\nEnd\n", "x\n")
    assert project.run("--continue").out.splitlines()[-1].startswith("Nothing is open")


def test_two_spellings_of_one_step_are_refused(project):
    project.plan(spec="- [ ] **STEP 1: A**\n- [ ] **STEP 1**: A\n", s1=RAN)
    done = project.run("--step", "1")
    assert (done.code, "step 1 twice: lines 1 and 2; keep one" in done.err, project.has("ran")) == (2, True, False)


# Lines that nearly are one


NEAR = "# Plan\n\n- [ ] **STEP 1**: A\n- [] **STEP 2**: Second\n"
TOLD = "line 4 looks like step 2 but is not: write `- [ ] **STEP 2**: Second`"


def test_list_names_the_line_that_nearly_is_one(project):
    project.plan(spec=NEAR, s1=PASSES, s2=PASSES)
    assert TOLD in project.run("list").out.splitlines()
    hints = {row["step"]: row.get("hint") for row in project.run("list", "--json").json["steps"]}
    assert hints == {1: None, 2: TOLD}


def test_validate_warns_of_the_line_and_offers_no_second(project):
    project.plan(spec=NEAR, s1=PASSES, s2=PASSES)
    done = project.run("validate")
    assert (done.code, f"SPEC.md: warning: {TOLD}" in done.out, "--append" in done.out) == (0, True, False)


@pytest.mark.parametrize(
    "words", [["--step", "2"], ["--step", "2", "--append"], ["--continue", "--append"], ["why", "2"]]
)
def test_no_verb_takes_it_for_missing(project, words):
    project.plan(spec=NEAR, s1=RAN, s2=RAN)
    done = project.run(*words)
    assert (done.code, TOLD in done.err + done.out, "add the line" in done.err) == (2, True, False)
    assert (project.spec, project.has("ran")) == (NEAR, False)


def test_the_line_that_is_told_helps(project):
    project.plan(spec=NEAR.replace("- [] **STEP 2**: Second", TOLD.split("`")[1]), s1=PASSES, s2=PASSES)
    assert project.run("--all").code == 0


# Formatters


def test_a_formatted_plan_keeps_its_ticks_and_its_next_tick_leaves_no_old_mark(project):
    fails = {f"s{number}": command("exit 3") for number in (1, 2, 3)}
    project.plan(spec=None, **fails)
    assert project.run("--step", "2").code != 0
    wrapped = (
        project.spec.replace(" ✗ Failed [", "\n  ✗ Failed \\[").replace("] [", "\\]\n  \\[").replace("]: ", "\\]:\n  ")
    )
    assert wrapped.count("\n  ") == 3
    project.plan(spec=wrapped, s1=PASSES, s2=PASSES, s3=PASSES)
    assert (project.run("list").out.count("failed"), project.run("--step", "2").code) == (1, 0)
    line = next(line for line in project.spec.splitlines() if "task_2_" in line)
    assert ("✗" in project.spec, "exit 3" in project.spec, "✓ [task_id: task_2_" in line) == (False, False, True)


@pytest.mark.first_rows(5)
@pytest.mark.parametrize("name", sorted(path.name for path in FORMATTED.glob("*.md")))
def test_list_says_the_same_of_a_plan_that_a_formatter_wrote(project, name):
    steps = {f"s{number}": PASSES for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12)}
    project.plan(spec=(FORMATTED / "original.md").read_bytes(), **steps)
    before = project.run("list").out
    project.write("SPEC.md", (FORMATTED / name).read_bytes())
    assert project.run("list").out == before


# Names and encodings


@pytest.mark.parametrize(
    "name", ["spec.md", "Spec.md", "SPECS.md", "SPEC.MD", "SPEC.markdown", "spec.md.txt", ".claude/tasks/SPEC.md"]
)
def test_a_spec_whose_name_is_nearly_right_is_named(project, name):
    project.plan(s1=PASSES)
    (project.root / name).parent.mkdir(parents=True, exist_ok=True)
    (project.root / "SPEC.md").rename(project.root / name)
    done = project.run("list")
    assert (done.code, f"SPEC.md is missing; found {name}: rename it (mv {name} SPEC.md)" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("step_definitions.yml", "step_definitions.yaml"),
        ("step-definitions.yaml", "step_definitions.yaml"),
        ("Step_Definitions.YAML", "step_definitions.yaml"),
        ("steps.yaml", "step_definitions.yaml"),
        ("step_definitions.yaml.txt", "step_definitions.yaml"),
        (".claude/tasks/step_definitions.yml", ".claude/tasks/step_definitions.yaml"),
        (".claude/step_definitions.yaml", "step_definitions.yaml"),
    ],
)
def test_definitions_whose_name_is_nearly_right_are_named(project, name, right):
    project.plan(s1=PASSES)
    (project.root / name).parent.mkdir(parents=True, exist_ok=True)
    (project.root / "step_definitions.yaml").rename(project.root / name)
    done = project.run("list")
    assert (done.code, f"found {name}: rename it (mv {name} {right})" in done.err, "do-tasks init" in done.err) == (
        2,
        True,
        False,
    )


def test_a_plan_that_is_passed_by_for_one_above_is_told(project):
    project.plan(s1=PASSES)
    below = Project(project.root / "inner").plan(s1=PASSES)
    (below.root / "step_definitions.yaml").rename(below.root / "step_definitions.yml")
    done = below.run("validate")
    assert "warning: the plan in" in done.out
    assert "found step_definitions.yml" in done.out


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_spec_in_utf_16_is_refused_with_the_way_out(project, encoding):
    project.plan(spec="# Plan\n\n- [ ] **STEP 1**: Ä\n".encode(encoding), s1=RAN)
    done = project.run("--step", "1")
    assert (done.code, "SPEC.md is UTF-16, not UTF-8" in done.err, "iconv" in done.err) == (2, True, True)


def test_a_spec_with_cr_alone_is_refused_with_the_way_out(project):
    project.plan(spec="# Plan\r\r- [ ] **STEP 1**: A\r", s1=RAN)
    assert "ends its lines with CR alone" in project.run("--step", "1").err


def test_a_line_of_brackets_without_end_holds_no_run(tmp_path):
    project = Project(tmp_path / "p").plan(s1={"main": {"command": "true", "test": "none"}})
    project.write("SPEC.md", "[" * 100_000 + "\n")
    assert project.run("--continue").code == 2
