"""The base model's folder: made once, whole or not at all, of the plays that it may learn from."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from common.errors import Trouble  # noqa: E402
from distillation.base_model import make, proofs, settings  # noqa: E402
from small_lm import tokenizers  # noqa: E402  # they need torch
from small_lm.settings import Tokenizer  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_base_model.py"
LIMIT_S = 300
LONG = (
    "tokenizer.kind=char",
    "model.preset=tiny",
    "model.context=64",
    "run.threads=1",
    "run.length=32",
    "run.long_length=0",
    "run.batch_tokens=256",
    "run.steps=200",
    "copy.until_loss=100",
    "keep.every=20",
    "sample.every=0",
)
HEAD = "ACT I.\n\nSCENE I. A hall.\n\n"
PLAYS = {
    "comedy": "".join(
        f"ANNA.\nWhere is the barrel {n}, good sir?\n\nBEN.\nIt rolls to candle {n}.\n\n" for n in range(30)
    ),
    "history": "".join(f"CARL.\nWhat news of dagger {n}?\n\nDORA.\nNone but kettle {n}.\n\n" for n in range(30)),
    "macbeth": "".join(f"EDGAR.\nIs this xylophone {n} thine?\n\nFAY.\nNo zeppelin {n}!\n\n" for n in range(30)),
    "twelfth_night": "".join(f"GUY.\nWhose quartz {n} is it?\n\nHAL.\nMy quartz {n}.\n\n" for n in range(30)),
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """A folder with four small plays that is the working folder, and where models go."""
    folder = tmp_path / "data" / "plays" / "small"
    folder.mkdir(parents=True)
    for name, body in PLAYS.items():
        (folder / f"{name}.txt").write_text(HEAD + body)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DO_TASKS_MODELS", str(tmp_path / "models"))
    for name in ("DO_TASKS_DATA", "DO_TASKS_RESULT", "DO_TASKS_TEST", "DO_TASKS_RESUME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Call the script, in this process; give what it said."""
    heard = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def called(*arguments, code=0, few=("--test", "run.threads=1")):
        assert make.main([*few, *arguments]) == code
        return capsys.readouterr().out

    yield called
    for number, before in heard.items():
        signal.signal(number, before)


def planned(*overrides):
    return make.plan(settings.load("bard-small", overrides, {}), "bard-small-test", is_test=True)


def weights(home, name="bard-small-test"):
    return (home / "models" / name / "model.safetensors").read_bytes()


def test_a_folder_is_made_once_and_made_anew_by_other_settings(at_home, run):
    assert "wrote" in run()
    first = weights(at_home)
    assert run().strip().endswith("is there")
    assert "wrote" in run("seed=3")
    assert weights(at_home) != first
    assert "wrote" in run()
    assert weights(at_home) == first


def test_settings_that_do_not_decide_the_weights_keep_the_folder(at_home):
    digest = planned().digest
    assert planned("run.threads=2", "keep.last=5", f"outputs={at_home}/other").digest == digest
    assert len({digest, planned("optimiser.lr=1e-3").digest, planned("documents.sheet_share=0.1").digest}) == 3


def test_another_text_is_another_digest(at_home):
    digest = planned().digest
    with (at_home / "data" / "plays" / "small" / "comedy.txt").open("a") as text:
        text.write("\nANNA.\nAnd now?\n")
    assert planned().digest != digest


def test_comments_and_line_breaks_do_not_decide_the_weights(tmp_path):
    code = '"""Doc."""\nimport os\n\n\ndef f(x):\n    """Doc."""\n    return [x, 1]\n'
    same = "def f(x):  # why\n    return [\n        x,\n        1,\n    ]\n"
    digests = []
    for text in (code, same, code.replace("1", "2")):
        (tmp_path / "module.py").write_text(text)
        digests.append(make.code_of(tmp_path / "module.py"))
    assert digests[0] == digests[1] != digests[2]


def test_a_half_written_or_changed_folder_is_not_taken(at_home, run):
    run()
    target = at_home / "models" / "bard-small-test"
    assert make.is_made(planned())
    about = (target / "base.json").read_bytes()
    (target / "base.json").unlink()
    assert not make.is_made(planned())
    (target / "base.json").write_bytes(about)
    (target / "model.safetensors").write_bytes(weights(at_home)[:-1])
    assert not make.is_made(planned())


def test_plays_that_are_held_out_teach_nothing(at_home):
    assert at_home
    wanted = planned()
    read = make.read_plays(wanted)
    corpus = make.prepare(wanted, read)
    text = "".join(speech.text for play in read.learned.plays for speech in play)
    assert {speech.play for play in read.learned.plays for speech in play} == {"comedy", "history"}
    assert {speech.play for play in read.held_out.plays for speech in play} == {"macbeth", "twelfth_night"}
    assert "quartz" not in text
    pieces = len(corpus.tokenizer.encode("quartz"))
    assert (
        pieces >= len("quartz") - 1
    )  # a word of those plays alone is spelled out; two letters of it may stand elsewhere
    taught = [number for at in range(60) for number in corpus.source.document(at, 200)[0]]
    assert "quartz" not in corpus.tokenizer.decode(taught)


def test_a_held_out_play_that_is_not_there_is_trouble(at_home):
    assert at_home
    with pytest.raises(Trouble, match=r"text\.held_out names hamlet"):
        make.read_plays(planned("text.held_out=[hamlet]"))


def test_without_plays_with_speeches_trouble_says_so(at_home):
    for name in ("comedy", "history"):
        (at_home / "data" / "plays" / "small" / f"{name}.txt").write_text("A poem.\n")
    with pytest.raises(Trouble, match="no play with speeches"):
        make.read_plays(planned())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=str)
def test_stopped_and_called_again_the_weights_are_the_same(at_home, run, number):
    run(few=LONG)
    whole = weights(at_home, "bard-small")
    (at_home / "models" / "bard-small").rename(at_home / "put-away")
    assert stopped(at_home, number) == (143 if number == signal.SIGTERM else -9)
    assert not make.is_made(make.plan(settings.load("bard-small", LONG, {}), "bard-small"))
    assert "going on after step" in run(f"outputs={at_home}/cut", few=LONG)
    assert weights(at_home, "bard-small") == whole


def stopped(home, number):
    """Stop a training in another work folder once a checkpoint is there; return its exit code."""
    command = [sys.executable, str(SCRIPT), *LONG, f"outputs={home}/cut"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + LIMIT_S
        while not list(home.glob("cut/*/checkpoints/step_*")) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, number)
        return process.wait(timeout=LIMIT_S)


def test_the_auto_classes_read_the_folder(at_home):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("tokenizers")
    assert at_home
    made = planned()
    pairs = Tokenizer("bpe", 400)
    made = dataclasses.replace(made, chosen=dataclasses.replace(made.chosen, tokenizer=pairs))
    assert make.make(made) == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.target)
    ids = tokenizer("<bos><q>Where?<a>It rolls.<end>", add_special_tokens=False)["input_ids"]
    encoder = make.DocumentEncoder(tokenizers.load(made.target))
    assert ids == [encoder.tokenizer.bos, *encoder.turn("Where?", "It rolls.")]
    model = transformers.AutoModelForCausalLM.from_pretrained(made.target)
    ours, _ = proofs.hf_format.load(made.target)
    with torch.no_grad():
        differ = (model(torch.tensor([ids])).logits - ours(torch.tensor([ids]))).abs().max()
    assert float(differ) <= 1e-4


def test_a_missed_target_is_told_and_fails(at_home, run):
    said = run("--judge", code=1)
    told = json.loads((at_home / "models" / "bard-small-test" / "base.json").read_text())["proofs"]
    assert "MISS base-teacher gap with facts" in said
    assert told["base-teacher gap with facts"]["met"] is False
    assert told["held-out perplexity"]["value"] > 1
    assert make.is_made(planned())


def test_proofs_that_are_all_met_pass():
    met = proofs.Proof("a", 1.0, 2.0, is_ceiling=True), proofs.Proof("b", 3.0, 2.0)
    assert proofs.Found(met, {}).code == 0
    assert proofs.Found((*met, proofs.Proof("c", 1.0, 2.0)), {}).code == 1
    assert proofs.Found((proofs.Proof("d", float("nan"), 2.0),), {}).code == 1
