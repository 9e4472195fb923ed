"""Steps 8 to 15 with a tiny model, as processes that are killed: nothing is doubled, lost, or other than it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("rapidfuzz")
pytestmark = pytest.mark.deep
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LIMIT_S = 300
TALK = "".join(f"ANNA.\nWhere is barrel {n}, sir?\n\nBEN.\nBy candle {n * n % 97}.\n\n" for n in range(60))
ROWS = 120
FEW = ("training.steps=6", "training.batch=8", "training.save_every=2", "training.seeds=[3,4]", "training.top=4")
PROMPT = (
    "SPEECHES:\nBy candle and by barrel, sir.\nPLAY: Comedy\nWORDS: candle barrel\n"
    "I love rest\nMy friend Anna\nBy name Ben"
)
KILLS = 3


def jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Pipeline:
    """Scripts that run in a folder."""

    def __init__(self, folder):
        self.folder = folder
        told = ("DO_TASKS_", "TINKER_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(told)}
        self.environ = {**kept, "TINKER_TELEMETRY": "0", "OMP_NUM_THREADS": "1"}

    def path(self, name):
        return self.folder / name

    def start(self, script, *words, **more):
        command = [sys.executable, str(SCRIPTS / script), *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env={**self.environ, **more}, **pipes)

    def run(self, script, *words, code=0, **more):
        child = self.start(script, *words, **more)
        try:
            said, _ = child.communicate(timeout=LIMIT_S)
        finally:
            child.kill()
        assert child.returncode == code, said
        return said

    def kill_when(self, true, script, *words, **more):
        """Start a script, kill -9 it as soon as something is true; tell whether it was still at work."""
        child = self.start(script, *words, **more)
        end = time.monotonic() + LIMIT_S
        while child.poll() is None and not true() and time.monotonic() < end:
            time.sleep(0.005)
        was_alive = child.poll() is None
        child.kill()
        child.communicate(timeout=LIMIT_S)
        return was_alive


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a tiny base model, its prompt, its questions."""
    home = Pipeline(tmp_path_factory.mktemp("made"))
    for name in ("comedy", "history", "macbeth", "twelfth_night"):
        play = home.path(f"data/plays/small/{name}.txt")
        play.parent.mkdir(parents=True, exist_ok=True)
        play.write_text(f"ACT I.\n\nSCENE I. A hall.\n\n{TALK}")
    home.run("make_base_model.py", "--test", "run.threads=1")
    home.path("outputs/teacher").mkdir()
    home.path("outputs/teacher/prompt.txt").write_text(PROMPT)
    home.path("outputs/teacher/teacher.json").write_text('{"model": "local/bard-small-test", "voice": "sheet"}')
    kinds = ("play", "name", "deed", "place", "person", "advice")
    for name, letter, count in (("questions", "q", ROWS), ("held_out_questions", "h", 40)):
        rows = [
            {
                "id": f"{letter}{at}",
                "kind": kinds[at % 6],
                "group": "fact" if at % 6 == 1 else "cue",
                "template": f"{letter}_{at % 6}",
                "question": f"Where is {letter} {at}, sir?",
            }
            for at in range(count)
        ]
        jsonl(home.path(f"outputs/{name}.jsonl"), rows)
    jsonl(home.path("outputs/character/speeches.jsonl"), [{"text": "By candle, sir."}])
    home.run("08_generate_teacher_data.py")
    home.run("10_split.py")
    home.run("11_configure_training.py", *FEW)
    return home


@pytest.fixture
def home(made, tmp_path):
    """A copy of that folder."""
    left = shutil.ignore_patterns("tinker", "checkpoints", "training_logs", "students.json")
    shutil.copytree(made.folder, tmp_path / "p", ignore=left)
    return Pipeline(tmp_path / "p")


@pytest.fixture(scope="module")
def trained(made):
    """The losses of a training that nobody interrupted, in a folder that has its students."""
    made.run("13_train_student_model.py")
    return made


def losses(home):
    return [(row["seed"], row["batch"], row["loss"]) for row in read(home.path("training_logs/metrics.jsonl"))]


def test_a_killed_generation_has_the_rows_of_one_that_was_not(home, made):
    """Requests fall into other batches, so figures differ by a rounding: a token may turn, and what follows it."""
    rows = home.path("outputs/teacher_data_1.jsonl")
    rows.unlink()
    kept = []
    for kill in range(KILLS):
        grown = (kill + 1) * ROWS // (KILLS + 2)
        home.kill_when(lambda: rows.is_file() and rows.read_text().count("\n") >= grown, "08_generate_teacher_data.py")  # noqa: B023
        kept.append(rows.read_bytes().rpartition(b"\n")[0])
    home.run("08_generate_teacher_data.py")
    assert all(rows.read_bytes().startswith(one) for one in kept)
    whole = read(made.path("outputs/teacher_data_1.jsonl"))
    assert [row["row"] for row in whole] == list(range(ROWS))
    assert list(map(asked, read(rows))) == list(map(asked, whole))
    assert [pair for pair in zip(read(rows), whole, strict=True) if not same_answer(*pair)] == []


def asked(row):
    """A row without its answer."""
    return {name: value for name, value in row.items() if name not in {"answer", "tokens", "logprobs"}}


def same_answer(row, other):
    """True when two answers are the same up to a token that a rounding turned."""
    pairs = list(zip(row["tokens"], other["tokens"], strict=False))
    alike = next((at for at, (one, two) in enumerate(pairs) if one != two), len(pairs))
    turned = alike < len(pairs)
    near = pytest.approx(other["logprobs"][:alike], abs=2e-3)
    return row["logprobs"][:alike] == near and (turned or len(row["tokens"]) == len(other["tokens"]))


def test_a_chunk_is_the_part_of_the_whole(home, made):
    told = {"CHUNK": 2, "OFFSET": 50, "SIZE": 20, "TOTAL": ROWS, "CHECKPOINT_EVERY": 10}
    rows = home.path("part.jsonl")
    home.run(
        "08_generate_teacher_data.py",
        DO_TASKS_ROWS=str(rows),
        **{f"DO_TASKS_{name}": str(value) for name, value in told.items()},
    )
    part, whole = read(rows), read(made.path("outputs/teacher_data_1.jsonl"))[50:70]
    assert list(map(asked, part)) == list(map(asked, whole))
    assert [pair for pair in zip(part, whole, strict=True) if not same_answer(*pair)] == []


def test_more_rows_than_questions_are_refused(home):
    told = {"CHUNK": 1, "OFFSET": ROWS, "SIZE": 5, "TOTAL": ROWS + 5, "CHECKPOINT_EVERY": 0}
    words = {f"DO_TASKS_{name}": str(value) for name, value in told.items()}
    said = home.run("08_generate_teacher_data.py", code=2, DO_TASKS_ROWS=str(home.path("part.jsonl")), **words)
    assert "raise questions.train" in said


def test_a_killed_training_has_the_losses_of_one_that_was_not(home, trained):
    saved = home.path("checkpoints/seed_3/checkpoints.jsonl")
    assert home.kill_when(lambda: saved.is_file() and read(saved), "13_train_student_model.py")
    after = home.path("checkpoints/seed_4/checkpoints.jsonl")
    assert home.kill_when(lambda: after.is_file() and read(after), "13_train_student_model.py")
    said = home.run("13_train_student_model.py")
    assert "going on at batch" in said
    assert losses(home) == losses(trained)
    students = [json.loads(one.path("outputs/students.json").read_text())["students"] for one in (home, trained)]
    assert [one["val_nll"] for one in students[0]] == [one["val_nll"] for one in students[1]]


def test_a_finished_training_has_nothing_to_do(trained):
    metrics = trained.path("training_logs/metrics.jsonl")
    before, written = losses(trained), metrics.stat().st_mtime_ns
    said = trained.run("13_train_student_model.py")
    assert "batch" not in said
    assert losses(trained) == before
    assert metrics.stat().st_mtime_ns > written  # who runs the step again sees files of this run


def test_only_the_first_examples_are_learned_from(home):
    few = ("training.examples=9", "training.steps=2", "training.seeds=[3]")
    assert "of 9 answers" in home.run("11_configure_training.py", *FEW, "training.examples=9", code=1)  # five epochs
    home.run("11_configure_training.py", *FEW, *few)
    shutil.rmtree(home.path("outputs/soft_targets"), ignore_errors=True)
    home.run("13_train_student_model.py")
    (kept,) = home.path("outputs/soft_targets").glob("*.targets.npy")
    assert len(np.load(kept)) == sum(len(row["tokens"]) for row in read(home.path("outputs/train.jsonl"))[:9])


def test_other_data_begins_anew_and_keeps_what_was(home):
    home.run("13_train_student_model.py", "training.seeds=[3]")
    train = home.path("outputs/train.jsonl")
    train.write_text("".join(line + "\n" for line in train.read_text().splitlines()[:-1]))
    said = home.run("13_train_student_model.py", "training.seeds=[3]")
    assert "it is now checkpoints/seed_3.1" in said
    assert "going on" not in said
    assert home.path("checkpoints/seed_3.1/checkpoints.jsonl").is_file()


def test_a_lost_checkpoint_is_said_and_the_one_before_is_taken(home, trained):
    saved = home.path("checkpoints/seed_3/checkpoints.jsonl")
    home.kill_when(lambda: saved.is_file() and len(read(saved)) > 1, "13_train_student_model.py", "training.seeds=[3]")
    rows = read(saved)
    last = rows[-1] | {"state_path": rows[-1]["state_path"] + "x"}
    jsonl(saved, [*rows[:-1], last])
    said = home.run("13_train_student_model.py", "training.seeds=[3]")
    assert "is lost" in said
    assert losses(home) == [one for one in losses(trained) if one[0] == 3]


def terminated(home):
    """Tell a training to end once it has done a step; return its exit code, 0 when it had ended before that."""
    logged = home.path("training_logs/metrics.jsonl")
    logged.unlink(missing_ok=True)
    shutil.rmtree(home.path("checkpoints"), ignore_errors=True)
    child = home.start("13_train_student_model.py", "training.save_every=100")
    end = time.monotonic() + LIMIT_S
    while child.poll() is None and not (logged.is_file() and logged.stat().st_size) and time.monotonic() < end:
        time.sleep(0.005)
    child.terminate()
    child.communicate(timeout=LIMIT_S)
    return child.returncode


def test_sigterm_ends_with_a_checkpoint(home):
    assert next(code for code in (terminated(home) for _ in range(10)) if code) == 143
    assert read(home.path("checkpoints/seed_3/checkpoints.jsonl"))[-1]["batch"] == len(losses(home))


def test_the_gap_and_the_share_are_measured(trained):
    trained.run(
        "14_draw_test_answers.py", "evaluation.answers=30", "evaluation.min_gap=-9", code=1
    )  # a tiny model has none
    gap = json.loads(trained.path("outputs/evaluation/gap.json").read_text())["gap"]["all"]
    assert gap["answers"] == 30
    assert gap["base"] - gap["teacher"] == pytest.approx(gap["gap"])
    trained.run("15_evaluate.py", "evaluation.resamples=50", "training.seeds=[3,4]", code=1)
    found = json.loads(trained.path("outputs/evaluation/evaluation.json").read_text())
    assert set(found["seeds"]) == {"3", "4"}
    assert found["win_rate"].startswith("absent")
