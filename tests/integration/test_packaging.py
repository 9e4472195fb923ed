"""Holds that what is built installs alone, with each extra, and runs the first plan."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PATIENCE_S = 300.0
LARGE = ("small-lm", "tinker-local")  # torch: gigabytes, so these are resolved and not installed
SMALL = [extra for extra in PROJECT["optional-dependencies"] if extra not in LARGE]
KEPT = ("HOME", "LANG", "PATH", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

pytestmark = pytest.mark.deep


def run(*argv, cwd):
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("PIP_")}
    done = subprocess.run(
        [*map(str, argv)], cwd=cwd, env=kept, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, by kind."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


@pytest.mark.parametrize("extra", ["", *SMALL])
def test_a_wheel_with_one_extra_runs_the_first_plan(built, tmp_path, extra):
    installed(tmp_path, f"{built['wheel']}[{extra}]" if extra else built["wheel"])
    runs_the_first_plan(tmp_path)


def test_a_source_distribution_runs_the_first_plan(built, tmp_path):
    installed(tmp_path, built["sdist"])
    runs_the_first_plan(tmp_path)


def test_a_wheel_holds_its_packages_and_files_of_init_alone(built):
    names = zipfile.ZipFile(built["wheel"]).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"executor", "small_lm", "tinker_local"}
    assert "executor/claude/commands/do-tasks-v2.md" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".log", ".tmp"))]


def test_without_its_extra_a_program_names_what_to_install(built, tmp_path):
    installed(tmp_path, built["wheel"])
    for program in LARGE:
        ended = subprocess.run(
            [tmp_path / "venv/bin" / program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.endswith(f" is not installed: pip install 'do-tasks[{program}]'\n")


def installed(folder, what):
    """Install into an environment of its own, with pinned versions."""
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    pip = (sys.executable, "-m", "pip", "--python", "venv/bin/python", "--disable-pip-version-check")
    run(*pip, "install", "-q", "-c", ROOT / "constraints.txt", what, cwd=folder)


def runs_the_first_plan(folder):
    (folder / "project").mkdir()
    for script in PROJECT["scripts"]:
        assert script in run(folder / "venv/bin" / script, "--help", cwd=folder)
    program = folder / "venv/bin/do-tasks"
    run(program, "init", cwd=folder / "project")
    run(program, "--continue", cwd=folder / "project")
    assert (folder / "project/SPEC.md").read_text().count("[x]") == 2
