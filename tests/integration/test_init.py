"""What `do-tasks init` installs for Claude Code, from a checkout as from a wheel."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import zipfile

import pytest

from executor.cli.commands.init import CLAUDE_FILES
from executor.plan.roles import read_role, read_skill
from tests.integration.projects import ROOT, Project

HATCHLING = pytest.mark.skipif(not importlib.util.find_spec("hatchling"), reason="hatchling is not installed")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "p")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the sdist of this project."""
    folder = tmp_path_factory.mktemp("built")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def installed(project):
    folder = project.root / ".claude"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ours():
    return {name: (ROOT / ".claude" / name).read_bytes() for name in CLAUDE_FILES}


def test_init_installs_the_files_for_claude_code(project):
    done = project.run("init")
    assert (done.code, installed(project)) == (0, ours())
    assert all(f"written:    .claude/{name}" in done.out for name in CLAUDE_FILES)


def test_what_is_installed_is_all_that_there_is():
    assert {str(path.relative_to(ROOT / ".claude")) for path in (ROOT / ".claude").rglob("*.md")} == set(CLAUDE_FILES)


def test_the_role_and_the_skill_are_read_where_they_were_installed(project):
    project.run("init")
    role = read_role(project.text(".claude/agents/AGENT.md"), ".claude/agents/AGENT.md")
    (name,) = role.skills
    skill = read_skill(project.text(f".claude/skills/{name}/SKILL.md"), f".claude/skills/{name}")
    assert (role.name, skill.name) == ("tinker-executor", "tinker-api")


def test_init_without_claude_leaves_them_out(project):
    done = project.run("init", "--no-claude")
    assert (done.code, ".claude" in done.out, project.has(".claude")) == (0, False, False)


def test_an_older_copy_stays_and_the_difference_can_be_seen(project):
    project.run("init")
    project.write(".claude/agents/AGENT.md", "mine\n")
    done = project.run("init")
    assert project.text(".claude/agents/AGENT.md") == "mine\n"
    (told,) = [line for line in done.out.splitlines() if "differs" in line]
    assert told.startswith("unchanged:  .claude/agents/AGENT.md")
    seen = subprocess.run(told.split("it differs: ")[1], shell=True, capture_output=True, text=True, check=False)
    assert (seen.returncode, "< mine" in seen.stdout, "> name: tinker-executor" in seen.stdout) == (1, True, True)


def test_a_link_that_leads_out_is_not_written_through(project):
    project.write(".claude/agents/x", "")
    (project.root / ".claude/agents/AGENT.md").symlink_to(project.root / "elsewhere")
    done = project.run("init")
    assert (done.code, project.has("elsewhere")) == (0, False)
    assert "unchanged:  .claude/agents/AGENT.md" in done.out


@pytest.mark.parametrize("name", [".claude", ".claude/commands"])
def test_a_file_in_the_place_of_a_folder_is_said(project, name):
    project.write(name, "")
    done = project.run("init")
    assert (done.code, "cannot make the folder" in done.err) == (6, True)


@HATCHLING
def test_init_from_a_wheel_writes_the_same(project, built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(project.root.parent / "site")
    project.environ["PYTHONPATH"] = str(project.root.parent / "site")
    done = project.run("init")
    assert (done.code, installed(project)) == (0, ours())
    assert project.run("--continue").code == 0


@HATCHLING
def test_the_sdist_has_what_the_wheel_is_built_from(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {f".claude/{name}" for name in CLAUDE_FILES} <= names
