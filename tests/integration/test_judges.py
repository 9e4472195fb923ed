"""What judges an agent's step: files that a judging program starts with, or would load in another's stead."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from executor.guard import git_index
from executor.testing import bash, done
from tests.integration.agents import CLAIMS, Play, poem, project_in
from tests.integration.projects import check

pytest.importorskip("anthropic")
WRITE = "printf 'a\\nb\\na\\nb\\n' >poem.txt"
OFF = {"sandbox": {"mode": "off"}, "judge": {"rounds": 1}}
bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


@pytest.fixture
def project(tmp_path):
    return project_in(tmp_path / "p")


def judged(project, *commands, settings=None, **main):
    """One step of an agent with these checks beside the usual one."""
    poem(project, settings=settings, **{**OFF, **main})
    body = json.loads(project.text("step_definitions.yaml"))
    step = next(value for key, value in body.items() if key.startswith("step_"))
    step["post_validation"] += [check(f"check {at}", one) for at, one in enumerate(commands)]
    project.write("step_definitions.yaml", json.dumps(body))
    return project


def play(project, command):
    """Run the step with an agent that runs one command, does its work, and hands in."""
    with Play(project, [bash(command), bash(WRITE), done(CLAIMS)]) as scene:
        return scene.run()


def made(*paths):
    """A command that makes these files, each with its folder."""
    return "; ".join(f"mkdir -p $(dirname {path}); echo x >{path}" for path in paths)


PLANTED = (
    *("conftest.py", "unit/conftest.py", "pytest.ini", "unit/.pytest.ini", "sitecustomize.py", ".python-version"),
    *("GNUmakefile", "native/makefile", ".bashrc", ".git/hooks/pre-commit", ".gitattributes", "mypy.ini"),
    *("scripts/json.py", "scripts/yaml/__init__.py", "statistics.pyc", "unit/socket.py"),
    *("scripts/gate.cpython-311-x86_64-linux-gnu.so", "bin/grep"),
)
PLANTED_TOO = (
    *("csv.py", "lib/csv.py", "pkg/csv.py", "pkg/__init__.py", "unit/__init__.py", "envrc/../.envrc"),
    *(".venv/lib/python3.11/site-packages/evil.pth", ".venv/pyvenv.cfg", ".npmrc", "node_modules/.bin/grep", ".env"),
)


def test_what_steers_a_judge_is_put_aside_and_named(project):
    project.write("unit/test_it.py", "def test_it():\n    pass\n")
    project.write("scripts/gate.py", "import json\n")
    project.write("native/main.c", "int main(void) { return 0; }\n")
    project.write(".git/config", "[core]\n\tbare = false\n")
    project.environ["PATH"] = f"{project.root}/bin:{os.environ['PATH']}"
    commands = ("python -m pytest -q unit", "python scripts/gate.py && make -C native", "git status && mypy unit")
    judged(project, *commands, settings={"protect": ["scripts/gate.py"]})
    ran = play(project, made(*PLANTED))
    assert ran.code == 1, ran
    told = project.event("ProtectedRestored")["paths"]
    assert sorted({*PLANTED} - {*told}) == ["scripts/yaml/__init__.py"]
    assert "scripts/yaml" in told
    assert not [path for path in PLANTED if project.has(path)]
    assert all(project.has(f"{project.event('ProtectedRestored')['kept']}/{path}") for path in PLANTED)
    assert "outputs" in project.event("StepFailed")["reason"]


def test_a_judge_is_found_wherever_a_check_goes(project):
    """By cd, by PYTHONPATH, by a module's name, by npm, by what a script loads."""
    for path in ("unit/test_it.py", "pkg/deep.py", "pkg/gate.py", ".venv/lib/python3.11/site-packages/a.py", "lib/a"):
        project.write(path, "")
    project.write("run", "#!/bin/sh\n. ./.env\n")
    commands = ("cd pkg && python deep.py", "PYTHONPATH=$PWD:lib python pkg/deep.py", "python -m pkg.gate; npm test")
    more = ("python -m unittest discover unit", "sh ./run; grep -q x poem.txt")
    judged(project, *commands, *more, settings={"protect": ["pkg/gate.py"]})
    assert play(project, made(*PLANTED_TOO)).code == 1
    told = {*project.event("ProtectedRestored")["paths"]}
    assert {os.path.normpath(path) for path in PLANTED_TOO} <= told


SHARED = {
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--co'\n",
    "setup.cfg": "[tool:pytest]\naddopts = --co\n",
    "tox.ini": "[pytest]\naddopts = --co\n",
    "evil.egg-info/entry_points.txt": "[pytest11]\nevil = evil\n",
    "package.json": json.dumps({"scripts": {"test": "true"}}),
    ".git/config": "[core]\n\tfsmonitor = ./evil\n",
}
ORDINARY = {
    "pyproject.toml": "[project]\nname = 'x'\nversion = '1'\n[tool.black]\nline-length = 99\n",
    "setup.cfg": "[metadata]\nname = x\n",
    "tox.ini": "[flake8]\nmax-line-length = 99\n",
    "good.egg-info/entry_points.txt": "[console_scripts]\ngood = good:main\n",
    "package.json": json.dumps({"name": "x", "dependencies": {"left-pad": "1"}}),
    ".git/config": "[user]\n\tname = an agent\n[core]\n\tbare = false\n",
}


def with_files(files):
    """A command that writes these files."""
    texts = "; ".join(f"write({name!r}, {text!r})" for name, text in files.items())
    define = "def write(n, t): os.makedirs(os.path.dirname(n) or '.', exist_ok=True); open(n, 'w').write(t)"
    return f"{sys.executable} - <<'END'\nimport os\n{define}\n{texts}\nEND"


@pytest.mark.parametrize("begun", [{}, ORDINARY], ids=["new", "changed"])
def test_of_a_file_with_several_readers_the_part_of_the_judge_counts(project, begun):
    project.write("unit/test_it.py", "def test_it():\n    pass\n")
    for name, text in begun.items():
        project.write(name, text)
    judged(project, "python -m pytest -q unit; npm test")
    assert play(project, with_files(SHARED)).code == 1
    assert {*project.event("ProtectedRestored")["paths"]} == {*SHARED}
    assert {name: project.text(name) for name in begun} == begun


def test_ordinary_work_beside_a_judge_is_no_offence(project):
    """New tests and modules, dependencies, caches, data: nothing of it is what a judge starts with."""
    project.write("unit/test_it.py", "def test_it():\n    pass\n")
    project.write("scripts/gate.py", "import json\nimport helper\n")
    project.write("scripts/helper.py", "x = 1\n")
    project.write("scripts/csv.py", "x = 1\n")
    project.write("pyproject.toml", "[project]\nname = 'x'\n[tool.pytest.ini_options]\naddopts = '-q'\n")
    commands = ("python -m pytest -q unit; true", "PYTHONPATH= python scripts/gate.py; npm -v; git --version; true")
    judged(project, *commands, settings={"protect": ["scripts/gate.py"]})
    new = (
        *("unit/test_more.py", "unit/data/x.json", "scripts/clean.py", "scripts/helper.py", "scripts/csv.py"),
        *("src/pkg/types.py", "src/pkg/__init__.py", "code/notes.txt", "json/data.txt", "model.pth", "README.md"),
        *(
            "unit/__pycache__/test_it.cpython-311.pyc",
            ".pytest_cache/v/x",
            "scripts/__pycache__/helper.cpython-311.pyc",
        ),
    )
    keep = with_files({**ORDINARY, "pyproject.toml": project.text("pyproject.toml") + "[project.urls]\na = 'b'\n"})
    tests = with_files({"unit/test_it.py": "def test_it():\n    pass\n", "unit/test_more.py": ""})
    ran = play(project, f"{made(*new)}; {keep}; {tests}; echo >scripts/helper.py; git init -q . 2>/dev/null; true")
    assert not project.events("ProtectedRestored"), project.events("ProtectedRestored")
    assert ran.code == 0, ran


def test_a_step_makes_what_its_outputs_or_a_criterion_name(project):
    project.write("unit/test_it.py", "def test_it():\n    pass\n")
    criteria = ["The poem rhymes", {"criterion": "It is there", "file": "poem.txt"}]
    criteria.append({"criterion": "How to make it", "file": "Makefile"})
    judged(project, "python -m pytest -q unit; make -n", outputs=["unit/conftest.py"], success_criteria=criteria)
    command = "printf 'all:\\n' >Makefile; echo >unit/conftest.py"
    with Play(project, [bash(command), bash(WRITE), done({**CLAIMS, "How to make it": "Makefile"})]) as scene:
        assert scene.run().code == 0
    assert project.has("unit/conftest.py")


def test_a_compiled_form_of_a_protected_module_is_not_believed(project):
    """Python takes it for the module when size and time of the source stand in it."""
    project.write("lib/gate.py", "def right(text):\n    return text == 'right'\n")
    judged(
        project,
        "PYTHONPATH=lib python -c 'import gate; assert gate.right(open(\"out\").read())'",
        settings={"protect": ["lib/gate.py"]},
    )
    forge = """
import importlib._bootstrap_external as external, importlib.util, os
code = compile("def right(text): return True", "lib/gate.py", "exec")
look = os.stat("lib/gate.py")
path = importlib.util.cache_from_source("lib/gate.py")
os.makedirs(os.path.dirname(path), exist_ok=True)
open(path, "wb").write(external._code_to_timestamp_pyc(code, int(look.st_mtime), look.st_size))
"""
    ran = play(project, f"printf wrong >out; {sys.executable} - <<'END'\n{forge}\nEND")
    assert ran.code == 1, ran
    assert not project.has(f"lib/__pycache__/gate.{sys.implementation.cache_tag}.pyc") or not project.events(
        "StepPassed"
    )
    assert not project.events("StepPassed")


@bubblewrap
def test_contained_a_judge_that_is_there_cannot_be_changed(project):
    project.write("unit/test_it.py", "def test_it():\n    pass\n")
    project.write("conftest.py", "")
    project.write("pytest.ini", "[pytest]\n")
    judged(project, "python -m pytest -q unit", sandbox={"mode": "required"})
    change = "echo x >>conftest.py; echo x >>pytest.ini; echo x >unit/more.txt"
    with Play(project, [bash(change), bash(WRITE), done(CLAIMS)]) as scene:
        assert scene.run().code == 0
        assert scene.answers(2)[0].text.count("Read-only file system") == 2
    assert not project.events("ProtectedRestored")


@pytest.mark.parametrize("mode", ["off", pytest.param("required", marks=bubblewrap)])
def test_a_tick_says_that_nothing_held_the_agent(project, mode):
    judged(project, sandbox={"mode": mode})
    ran = play(project, "true")
    told, row = mode == "off", project.run("list", "--json").json["steps"][0]
    assert ran.code == 0, ran
    assert ("(1 proven, 1 claimed, uncontained)" in project.spec) is told
    assert ("Uncontained" in ran.out) is told
    assert row["uncontained"] is told
    assert ("(claimed, uncontained)" in project.run("list").out) is told
    assert project.event("StepPassed")["uncontained"] is told


def test_validate_names_what_the_agent_may_change_of_its_judges(project):
    project.write("scripts/check.py", "import json, helper\n")
    project.write("scripts/gate.py", "import limits\n")
    for name in ("scripts/helper.py", "scripts/limits.py", "pkg/core.py"):
        project.write(name, "x = 1\n")
    project.write("tests/test_core.py", "import pkg.core\n")
    project.write("unit/test_it.py", "")
    commands = (
        "python scripts/check.py",
        "python scripts/gate.py",
        "python -m pytest tests",
        "pytest unit",
        "pytest -q",
    )
    judged(project, *commands, settings={"protect": ["scripts/gate.py"]}, outputs=["conftest.py", "scripts/limits.py"])
    every = project.run("validate", "--json").json["problems"]
    told = {(one["severity"], one["message"].partition(", ")[0].partition(":")[0]) for one in every}
    assert {
        ("warning", "'check 0' runs scripts/check.py"),
        ("note", "'check 0' imports scripts/helper.py"),
        ("note", "'check 2' imports pkg/core.py"),
        ("note", "'check 3' takes tests from unit"),
        ("note", "'check 4' names no folder"),
        ("note", "conftest.py is read by judging programs at their start; as an output the agent may write it"),
    } <= told
    assert not [one for one in every if "check 1" in one["message"] or "limits" in one["message"]]


DIST = "mkdir -p {0}; printf 'Metadata-Version: 2.1\\nName: evil\\nVersion: 1\\n' >{0}/METADATA; "
HIDDEN_SO = {
    "a target of make": ("touch test", "make test", "test"),
    "a line that goes on": (
        "printf '[tool:pytest]\\nmarkers = slow: x\\n [x]\\naddopts = --co\\n' >setup.cfg",
        "python -m pytest -q unit",
        "setup.cfg",
    ),
    "a heading with a tail": (
        "printf '[mypy] z\\nignore_errors = true\\n' >tox.ini",
        "mypy --config-file tox.ini .",
        "tox.ini",
    ),
    "two brackets": (
        DIST.format("evil.dist-info") + "printf '[[pytest11]]\\nx = own\\n' >evil.dist-info/entry_points.txt",
        "python -m pytest -q unit",
        "evil.dist-info/entry_points.txt",
    ),
    "a link with a dot": (
        DIST.format("node_modules/x") + "echo >node_modules/x/entry_points.txt; ln -s node_modules/x evil.dist-info",
        "python -m pytest -q unit",
        "evil.dist-info",
    ),
    "deep behind a link": (
        "mkdir -p node_modules/x/y; echo >node_modules/x/y/conftest.py; ln -s node_modules/x zz",
        "python -m pytest -q",
        "zz",
    ),
    "a folder like an environment": (
        "mkdir -p pkg/bin; touch pkg/pyvenv.cfg pkg/bin/activate pkg/conftest.py",
        "python -m pytest -q pkg/unit",
        "pkg/conftest.py",
    ),
    "a script of any name": ("touch conftest.py", "bash ci/run.test", "conftest.py"),
    "a makefile that is included": ("touch conftest.py", "make unit", "conftest.py"),
    "how Python was built": (
        "touch $(python -c 'import sysconfig; print(sysconfig._get_sysconfigdata_name())').py",
        "python -c 'import zoneinfo'",
        "_sysconfigdata",
    ),
}


@pytest.mark.first_rows(3)
@pytest.mark.parametrize("way", HIDDEN_SO)
def test_no_way_of_hiding_it_lets_a_file_steer_a_judge(project, way):
    command, checked, path = HIDDEN_SO[way]
    project.write("unit/test_it.py", "def test_it():\n    pass\n")
    project.write("pkg/unit/test_it.py", "def test_it():\n    pass\n")
    project.write("setup.cfg", "[tool:pytest]\nmarkers = slow: x\n")
    project.write("Makefile", "test: unit\n\ttrue\ninclude ci/rules.mk\n")
    project.write("ci/rules.mk", ".PHONY: unit\nunit:\n\tpython -m pytest -q unit\n")
    project.write("ci/run.test", "python -m pytest -q unit\n")
    project.environ["PATH"] = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    judged(project, checked)
    ran = play(project, command)
    assert ran.code == 1, ran
    told = project.event("ProtectedRestored")["paths"]
    assert [one for one in told if one.startswith(path)], told


def test_folders_as_deep_as_they_can_be_are_put_aside(project):
    project.write("tests/test_it.py", "def test_it():\n    pass\n")
    dig = "import os; os.chdir('tests'); [(os.mkdir('d'), os.chdir('d')) for _ in range(3000)]"
    judged(project, "true")
    try:
        ran = play(project, f'python3 -c "{dig}"')
        assert ran.code == 1, ran
        assert project.event("ProtectedRestored")["paths"] == ["tests/d"]
        assert not project.has("tests/d")
    finally:  # what cleans up after tests does not go so deep
        subprocess.run(["rm", "-rf", project.root], check=True, timeout=60)


def git(project, *words):
    subprocess.run(
        ["git", "-c", "user.email=a@b", "-c", "user.name=a", *words], cwd=project.root, check=True, timeout=60
    )


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_is_told_not_to_look_at_blinds_no_judge(project, flag):
    project.write("kept/a.txt", "a\n")
    judged(project, "git diff --quiet HEAD -- kept")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "begin")
    ran = play(project, f"echo junk >kept/a.txt; git update-index {flag} kept/a.txt")
    assert ran.code == 1, ran
    assert project.event("ProtectedRestored")["paths"] == [".git/index"]


def test_what_an_agent_adds_to_gits_index_is_its_work(project):
    project.write("kept/a.txt", "a\n")
    judged(project, "git diff --quiet HEAD -- kept")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "begin")
    ran = play(
        project, "echo more >more.txt; git add more.txt; git mv kept/a.txt b.txt; git mv b.txt kept/a.txt; git status"
    )
    assert ran.code == 0, ran


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
def test_an_index_of_git_is_read_in_every_version(tmp_path, version, hashes):
    project = project_in(tmp_path)
    for name in ("a", "sub/b", "sub/deep/cé", "sub/deep/c"):
        project.write(name, name)
    git(project, "init", "-q", f"--object-format={hashes}")
    git(project, "add", "-A")
    git(project, "update-index", "--index-version", version)
    index = project.root / ".git/index"
    assert git_index.blind_spots(index.read_bytes()) == []
    git(project, "update-index", "--assume-unchanged", "sub/b")
    git(project, "update-index", "--skip-worktree", "sub/deep/cé")
    assert git_index.blind_spots(index.read_bytes()) == ["sub/b", "sub/deep/cé"]
    git(project, "update-index", "--split-index")
    assert "[link]" in git_index.blind_spots(index.read_bytes())
    for broken in (b"", index.read_bytes()[:-30], b"DIRC" + b"\xff" * 99):
        assert git_index.part_of(broken) == repr(broken)
