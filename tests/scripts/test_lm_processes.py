"""A training in several processes: the same losses as in one, one set of files, an end and a restart in any number."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
SETTINGS = (
    "data=data", "run.steps=12", "run.batch_tokens=448", "run.length=64", "run.precision=float32", "run.device=cpu",
    "run.threads=1", "judge.every=4", "judge.batches=2", "keep.every=5", "sample.every=6",     "optimiser.accumulate=2",
)  # fmt: skip
FRESH = ("model.preset=tiny", "model.context=64", "tokenizer.kind=char")
WORDS = ("the", "a", "king", "queen", "rides", "walks", "to", "from", "castle", "river", "slowly", "home")
ALONE = dict.fromkeys(("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), "")


@pytest.fixture
def texts(tmp_path):
    chance = random.Random(1)
    lines = (" ".join(chance.choice(WORDS) for _ in range(12)) + ".\n" for _ in range(800))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("".join(lines))
    return tmp_path


def launch(folder, count, *settings):
    """Start a training with torchrun, or alone."""
    shape = () if any(one.startswith("model.from") for one in settings) else FRESH
    script = [str(SCRIPTS / "train_lm.py"), *SETTINGS, *shape, *settings]
    runner = ["-m", "torch.distributed.run", f"--nproc-per-node={count}", "--master-port=0"] if count > 1 else []
    runner += ["--standalone"] if runner else []
    return subprocess.Popen(
        [sys.executable, *runner, *script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def train(folder, count, *settings):
    started = launch(folder, count, *settings)
    out, err = started.communicate(timeout=300)
    assert started.returncode == 0, out + err
    return out


def rows(folder, outputs):
    lines = (folder / outputs / "training_logs" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def figures(folder, outputs, name):
    return [row[name] for row in rows(folder, outputs) if name in row]


@pytest.mark.deep
def test_three_processes_have_the_losses_of_one_and_write_one_set_of_files(texts):
    train(texts, 1, "outputs=one")
    said = train(texts, 3, "outputs=three")  # batches of 7 rows: parts of 3, 2 and 2
    for name in ("loss", "val_loss", "grad_norm"):
        wanted = figures(texts, "one", name)
        assert len(wanted) >= 3
        assert figures(texts, "three", name) == pytest.approx(wanted, rel=2e-3), name
    assert [row["step"] for row in rows(texts, "three") if "loss" in row] == list(range(1, 13))
    assert said.count("step 12/12") == 1
    assert json.loads((texts / "three" / "manifest.json").read_text())["processes"] == 3
    assert not (texts / "three.1").exists()


@pytest.mark.deep
def test_replies_of_unequal_length_weigh_the_same_in_two_processes(texts):
    chat = [
        {
            "messages": [
                {"role": "user", "content": "a" * (1 + n % 5)},
                {"role": "assistant", "content": "b" * (1 + n % 17)},
            ]
        }
        for n in range(60)
    ]
    (texts / "data" / "chat.jsonl").write_text("".join(json.dumps(one) + "\n" for one in chat))
    train(texts, 1, "outputs=base", "run.steps=2")
    more = ("text.kind=chat", "text.files=[chat.jsonl]", "model.from=base/model", "run.steps=6")
    train(texts, 1, "outputs=one", *more)
    train(texts, 2, "outputs=two", *more)
    wanted = figures(texts, "one", "loss")
    assert len(wanted) == 6
    assert figures(texts, "two", "loss") == pytest.approx(wanted, rel=2e-3)


@pytest.mark.deep
def test_a_stopped_training_of_two_processes_goes_on_in_one(texts):
    train(texts, 1, "outputs=whole", "run.steps=60")
    started = launch(texts, 2, "outputs=cut", "run.steps=60", "run.log_every=1")
    for line in started.stdout:
        if line.startswith("step 7/"):
            break
    started.send_signal(signal.SIGTERM)
    _, err = started.communicate(timeout=120)
    assert started.returncode != 0, err
    reached = len(figures(texts, "cut", "loss"))
    assert 7 <= reached < 60
    assert (texts / "cut" / "checkpoints" / f"step_{reached:08d}").is_dir(), os.listdir(texts / "cut" / "checkpoints")
    train(texts, 1, "outputs=cut", "run.steps=60", "resume=always")
    assert figures(texts, "cut", "loss") == pytest.approx(figures(texts, "whole", "loss"), rel=2e-2)
    assert len(figures(texts, "cut", "loss")) == 60


@pytest.mark.deep
def test_a_killed_process_ends_the_others(texts):
    started = launch(texts, 2, "outputs=out", "run.steps=100000", "run.log_every=1")
    for line in started.stdout:
        if line.startswith("step 3/"):
            break
    workers = children(started.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    started.communicate(timeout=120)
    assert started.returncode != 0
    ended = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < ended:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WORLD_SIZE": "2"}, "RANK, MASTER_ADDR, MASTER_PORT not: start it by torchrun, or unset WORLD_SIZE"),
        ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "h", "MASTER_PORT": "1"}, "are no place among processes"),
        ({"WORLD_SIZE": "two", "RANK": "0", "MASTER_ADDR": "h", "MASTER_PORT": "1"}, "are no place among processes"),
        ({"WORLD_SIZE": "9", "RANK": "0", "MASTER_ADDR": "h", "MASTER_PORT": "1"}, "set run.batch_tokens=576 or more"),
    ],
)
def test_a_half_launch_or_too_small_batches_are_refused_before_a_file_is_written(texts, environment, said):
    script = [sys.executable, str(SCRIPTS / "train_lm.py"), *SETTINGS, *FRESH, "outputs=out"]
    done = subprocess.run(
        script,
        cwd=texts,
        env=os.environ | ALONE | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (texts / "out").exists()


@pytest.mark.deep
def test_a_small_test_of_two_processes_ends_with_a_model(texts):
    said = train(texts, 2, "outputs=out", "--test")
    assert "wrote out/test/model" in said
