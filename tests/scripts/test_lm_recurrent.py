"""A recurrent model beside the transformer, and images beside text, through the same loop."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from common import files  # noqa: E402  # they need torch
from small_lm import beam_search, hf_format, optimizer, settings, tokenizers  # noqa: E402
from small_lm.command_line import main  # noqa: E402
from small_lm.generate import Choice, begun, generate  # noqa: E402
from small_lm.recurrent import Recurrent  # noqa: E402
from small_lm.shapes import shaped  # noqa: E402

TEXT = "".join(f"Say {n * n % 97} and {n % 7}, good Ben; the barrel knows it.\n" for n in range(80))
SMALL = (
    "model.kind=rnn",
    "model.preset=tiny",
    "model.context=64",
    "text.files=play.txt",
    "tokenizer.kind=char",
    "run.batch_tokens=128",
    "run.length=32",
    "run.threads=1",
    "judge.every=6",
    "judge.batches=2",
    "keep.every=6",
    "sample.every=6",
    "sample.max_length=5",
    "optimiser.schedule=flat",
    "optimiser.decay_from=1",
)
IMAGES = (
    "text.kind=digits",
    "model.preset=tiny",
    "run.length=66",
    "run.batch_tokens=528",
    "run.threads=1",
    "judge.every=50",
    "sample.every=0",
    "keep.every=50",
    "outputs=OUT",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with one small text."""
    for name in [name for name in os.environ if name.startswith(("DO_TASKS_", "SMALL_LM_"))]:
        monkeypatch.delenv(name)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "play.txt").write_text(TEXT)
    return tmp_path


def rows(folder="OUT"):
    found = files.read_jsonl(Path(folder) / "training_logs" / "metrics.jsonl")
    return [{name: value for name, value in row.items() if name != "tokens_per_s"} for row in found]


@pytest.fixture
def made():
    """A random recurrent model with opinions, and its tokenizer."""
    tokenizer = tokenizers.train("char", ["abcdefghijklmnopqrstuvwxyz "], 40)
    wanted = settings.Model(kind="rnn", preset="tiny", context=48)
    model = Recurrent(shaped(wanted, vocab_size=tokenizer.size))
    for weight in model.parameters():
        weight.data.mul_(4)
    return model.eval(), tokenizer


# A recurrent model


def test_it_learns_and_its_folder_is_read_again(capsys):
    assert main([*SMALL, "run.steps=40", "outputs=OUT"]) == 0, capsys.readouterr().err
    losses = [row["loss"] for row in rows() if "loss" in row]
    assert losses[-1] < losses[0] - 0.5
    model, _ = hf_format.load(Path("OUT/model"))
    assert isinstance(model, Recurrent)
    capsys.readouterr()
    assert main(["generate", "OUT", "Say ", "--temperature", "0", "--max-length", "12"]) == 0
    assert capsys.readouterr().out.startswith("Say ")


@pytest.mark.parametrize("extra", [(), ("model.dropout=0.2",), ("optimiser.name=adamw",)], ids=len)
def test_a_stopped_training_goes_on_bit_for_bit(extra, capsys):
    assert main([*SMALL, *extra, "run.steps=12", "outputs=whole"]) == 0
    assert main([*SMALL, *extra, "run.steps=6", "outputs=cut"]) == 0
    assert main([*SMALL, *extra, "run.steps=12", "outputs=cut", "resume=always"]) == 0
    assert "going on after step 6" in capsys.readouterr().out
    assert rows("cut") == rows("whole")
    assert Path("cut/model/model.safetensors").read_bytes() == Path("whole/model/model.safetensors").read_bytes()


def test_it_is_trained_on_from_its_folder(capsys):
    assert main([*SMALL, "run.steps=6", "outputs=OUT", "model.width=64", "model.layers=2"]) == 0
    own = [one for one in SMALL if not one.startswith(("model.", "tokenizer."))]
    assert main([*own, "model.from=OUT", "run.steps=6", "outputs=MORE"]) == 0, capsys.readouterr().err
    assert hf_format.load(Path("MORE/model"))[0].shape == hf_format.load(Path("OUT/model"))[0].shape


def test_a_cache_changes_nothing(made):
    model, _ = made
    tokens = torch.randint(4, 30, (1, 12))
    whole, memories = model(tokens)[0], model.remember(1, 12)
    kept = torch.ones(1, 12, dtype=torch.bool)
    first = model.next_logits(tokens[:, :7], memories, kept[:, :7])
    assert torch.allclose(first[0], whole[6], atol=1e-5)
    for at in range(7, 12):
        one = model.next_logits(tokens[:, at : at + 1], memories, kept[:, : at + 1])
        assert torch.allclose(one[0], whole[at], atol=1e-5)


def test_prompts_together_are_answered_as_each_alone(made):
    model, tokenizer = made
    how = Choice(max_length=10, temperature=0)
    prompts = ["", "abc", "a long one", "z"]
    assert generate(model, tokenizer, prompts, how) == [generate(model, tokenizer, [one], how)[0] for one in prompts]


def test_more_beams_are_likelier(made):
    model, tokenizer = made

    def likelihood(beams):
        answer = begun(tokenizer, "ab", 0)
        found = beam_search.search(model, tokenizer, answer, Choice(max_length=6, beams=beams))
        ids = tokenizer.start("ab") + found.ids
        scores = model(torch.tensor([ids])).log_softmax(-1)[0].detach()
        return sum(float(scores[at - 1, ids[at]]) for at in range(len(tokenizer.start("ab")), len(ids)))

    assert likelihood(8) >= likelihood(2) - 1e-4


@pytest.mark.parametrize("name", optimizer.MADE)
def test_every_weight_moves(made, name):
    model, _ = made
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    built = optimizer.build(model, settings.Optimiser(name=name))
    model(torch.randint(0, 30, (2, 9))).logsumexp(-1).square().sum().backward()
    built.step()
    after = model.state_dict()
    assert [key for key in before if torch.equal(before[key], after[key])] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("model.heads=2", "model.heads is for model.kind=transformer"),
        ("model.inner=64", "model.inner is for model.kind=transformer"),
        ("model.init=induction", "model.kind=rnn has not"),
    ],
)
def test_what_a_recurrent_model_has_not_is_one_line(given, words, capsys):
    assert main([*SMALL, "outputs=OUT", given]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not Path("OUT").exists()


def test_a_checkpoint_of_the_other_kind_is_refused(capsys):
    assert main([*SMALL, "run.steps=6", "outputs=OUT"]) == 0
    assert main([*SMALL, "run.steps=12", "outputs=OUT", "model.kind=transformer", "resume=always"]) == 2
    assert "it has model.kind=rnn, these settings have model.kind=transformer" in capsys.readouterr().err


# Images


@pytest.fixture
def digits():
    pytest.importorskip("sklearn")
    from small_lm import images

    return images


def test_an_image_is_its_pixels_and_its_digit_is_learned(digits):
    from sklearn.datasets import load_digits

    class Part:
        def documents(self):
            yield from ([row] for row in digits.Digits().rows())

    found, tokenizer = digits.examples(Part(), digits.tokenizer()), digits.tokenizer()
    pixels, names = load_digits(return_X_y=True)
    assert len(found) == len(names) == 1797
    for at in (0, 7, 1796):
        read = tokenizer.decode(found[at].inputs)
        assert [digits.SHADES.index(one) for one in read[:-1]] == [int(one) for one in pixels[at]]
        assert len(found[at].inputs) == 66
        assert found[at].targets[:-1] == [-100] * 65
        assert tokenizer.decode(found[at].targets[-1:]) == str(names[at])


@pytest.mark.parametrize("kind", ["transformer", "rnn"])
def test_images_go_through_the_same_loop(digits, kind, capsys):
    given = [*IMAGES, f"model.kind={kind}", "judge.every=4"]
    assert main([*given, "run.steps=8", "keep.every=4"]) == 0, capsys.readouterr().err
    whole = rows()
    assert main([*given, "run.steps=8", "keep.every=4", "outputs=again"]) == 0
    assert rows("again") == whole
    capsys.readouterr()
    prompts = digits.prompts(3)
    assert main(["generate", "OUT", *prompts, "--temperature", "0", "--max-length", "1", "--json"]) == 0
    assert [json.loads(line)["prompt"] for line in capsys.readouterr().out.splitlines()] == prompts


@pytest.mark.deep
def test_digits_are_named(digits):
    assert main([*IMAGES, "run.batch_tokens=1056", "run.steps=200", "judge.batches=20"]) == 0
    assert max(row["val_accuracy"] for row in rows() if "val_accuracy" in row) > 0.3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("run.length=65", "needs run.length=66 or more"),
        ("model.from=base", "leave out model.from"),
        ("text.hub=mnist", "leave out text.hub"),
        ("run.long_length=100", "leave out run.long_length"),
    ],
)
def test_what_images_cannot_be_learned_with_is_one_line(digits, given, words, capsys):
    Path("base").mkdir()
    Path("base/config.json").write_text("{}")
    assert main([*IMAGES, given]) == 2
    assert words in capsys.readouterr().err
    assert not Path("OUT").exists()


def test_a_small_test_takes_images_and_both_kinds(digits, capsys):
    for kind in ("transformer", "rnn"):
        given = ["--test", "text.kind=digits", f"model.kind={kind}", "run.threads=1", "outputs=OUT"]
        assert main(given) == 0, capsys.readouterr().err
