"""The programs of the tinker-api skill, run as they stand against the local service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
scene = pytest.importorskip("tests.scripts.tinker_scene", exc_type=ImportError)
small = pytest.importorskip("tests.scripts.small_llama", exc_type=ImportError)
PAGE = Path(__file__).resolve().parents[2] / ".claude" / "skills" / "tinker-api" / "examples.md"
PROGRAMS = dict(re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
LIMIT_S = 300


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service with one small model."""
    home = tmp_path_factory.mktemp("models")
    small.make(home / "small")
    with scene.Service(tmp_path_factory.mktemp("served"), home) as service:
        yield service, home / "small"


@pytest.fixture
def told(served, tmp_path):
    """Run a program of the page; return the lines that it prints."""
    service, folder = served

    def run(title):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TINKER_")}
        address = {"TINKER_BASE_URL": service.url, "TINKER_API_KEY": scene.TOKEN, "TINKER_TELEMETRY": "0"}
        model = {"TINKER_MODEL": scene.MODEL, "TINKER_TOKENIZER": str(folder), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAMS[title]],
            cwd=tmp_path,
            env={**kept, **address, **model},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_page_has_no_program_that_is_not_run_here():
    assert set(PROGRAMS) == {
        "Access",
        "Tokenizer",
        "Sampling with a prompt",
        "Datum",
        "Training",
        "Save and resume",
        "Checkpoints",
        "Importance sampling",
    }


def test_access(told):
    assert told("Access") == [f"1 models can be trained: {scene.MODEL}"]


def test_tokenizer(told):
    (line,) = told("Tokenizer")
    assert re.fullmatch(r"[1-9]\d* tokens: '.+'", line)


def test_sampling_leaves_the_prompt_out(told):
    lines = told("Sampling with a prompt")
    rows = [json.JSONDecoder().raw_decode(line) for line in lines]
    assert [row["messages"][0]["content"] for row, _ in rows] == ["What is honour?", "Who pays for the sack?"]
    assert all([turn["role"] for turn in row["messages"]] == ["user", "assistant"] for row, _ in rows)
    assert {line[end:].strip() for line, (_, end) in zip(lines, rows, strict=True)} <= {"whole", "cut off: drop it"}


def test_datum(told):
    assert told("Datum") == ["inputs  [11, 12, 13, 21]", "targets [12, 13, 21, 22]", "weights [0.0, 0.0, 0.5, 0.5]"]


def test_training_learns(told):
    rows = [json.loads(line) for line in told("Training")]
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_a_resumed_training_goes_on(told):
    first, second, said = told("Save and resume")
    assert float(second.split()[-1]) < float(first.split()[-1])
    assert (first.split()[1], second.split()[1]) == ("0,", "1")
    assert re.fullmatch(r"student says \[\d+(, \d+)*\] from tinker://.+/sampler_weights/final", said)


def test_checkpoints_are_listed(told):
    listed, parsed = told("Checkpoints")
    assert re.match(r"training tinker://.+/weights/listed [1-9]\d* ", listed)
    assert re.fullmatch(r"run \S+ checkpoint weights/listed", parsed)


def test_importance_sampling(told):
    (line,) = told("Importance sampling")
    assert "'loss:sum': " in line
