"""The model beside the one of transformers, with and without memory, padding and a hand-set circuit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from small_lm import hf_format, induction_init, tokenizers  # noqa: E402  # they need torch
from small_lm.errors import Trouble  # noqa: E402
from small_lm.model import PRESETS, Llama, frequencies, loss_of, preset  # noqa: E402

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def model():
    return Llama(preset("tiny", vocab_size=50, context=32))


@pytest.fixture
def tokens():
    return torch.randint(4, 50, (3, 20))


def logits(model, *given):
    with torch.no_grad():
        return model(*given)


@pytest.mark.parametrize(("name", "millions"), [("1m", 1.07), ("3m", 3.06), ("5m", 5.27), ("10m", 10.6), ("30m", 29.5)])
def test_a_preset_has_the_size_of_its_name(name, millions):
    with torch.device("meta"):
        size = Llama(PRESETS[name]).size
    assert size / 1e6 == pytest.approx(millions, rel=0.01)


def test_an_unknown_preset_is_told_the_nearest():
    with pytest.raises(Trouble, match=r"did you mean 10m\?"):
        preset("10mm", vocab_size=50, context=32)


def test_a_token_does_not_see_those_after_it(model, tokens):
    changed = tokens.clone()
    changed[:, 10:] = 5
    assert torch.equal(logits(model, tokens)[:, :10], logits(model, changed)[:, :10])
    assert not torch.equal(logits(model, tokens)[:, 10:], logits(model, changed)[:, 10:])


@pytest.mark.parametrize("pieces", [(20,), (1,) * 20, (12, 8), (7, 1, 12)])
def test_reading_in_pieces_gives_the_same_logits(model, tokens, pieces):
    memories = model.remember(3, 20)
    parts = [logits(model, part, memories) for part in tokens.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), logits(model, tokens), **CLOSE)


@pytest.mark.parametrize("pieces", [(20,), (12, 8), (1,) * 20])
def test_padding_on_the_left_changes_nothing(model, tokens, pieces):
    kept = torch.ones(3, 20, dtype=torch.bool)
    kept[1, :7] = False
    memories, parts, end = model.remember(3, 20), [], 0
    for part in tokens.split(pieces, dim=1):
        end += part.shape[1]
        parts.append(logits(model, part, memories, kept[:, :end]))
    found = torch.cat(parts, dim=1)
    torch.testing.assert_close(found[1, 7:], logits(model, tokens[1:2, 7:])[0], **CLOSE)
    torch.testing.assert_close(found[0], logits(model, tokens[0:1])[0], **CLOSE)
    assert found.isfinite().all()


def test_a_target_of_minus_100_does_not_count(model, tokens):
    targets = tokens.roll(-1, dims=1)
    targets[1:] = -100
    torch.testing.assert_close(loss_of(model, tokens, targets), loss_of(model, tokens[:1], targets[:1]))


@pytest.fixture(params=["normal", "induction"])
def saved(request, tmp_path):
    pytest.importorskip("safetensors")
    tokenizer = tokenizers.train("char", ["abcdefghijklmnopqrstuvwxyz"], 50)
    model = Llama(preset("1m", vocab_size=tokenizer.size, context=256))
    if request.param == "induction":
        induction_init.plant(model)
    for name, weight in model.named_parameters():  # biases and norms that differ show a mix-up
        if weight.ndim == 1 and "self_attn" not in name:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
        elif weight.ndim == 1 and request.param == "normal":
            torch.nn.init.normal_(weight, std=0.1)
    hf_format.save(tmp_path / "model", model, tokenizer)
    return model, tmp_path / "model"


def test_transformers_agrees_logit_by_logit(saved):
    transformers = pytest.importorskip("transformers")
    model, folder = saved
    theirs, about = transformers.LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
    ids = torch.randint(4, model.shape.vocab_size, (2, 200))
    torch.testing.assert_close(logits(theirs, ids).logits, logits(model, ids), rtol=1e-4, atol=2e-5)
    assert not any(about[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert theirs.num_parameters() == model.size


def test_auto_classes_find_the_model(saved):
    transformers = pytest.importorskip("transformers")
    model, folder = saved
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(theirs).__name__ == "LlamaForCausalLM"
    assert theirs.config.rope_parameters["rope_theta"] == model.shape.rope_theta


def test_a_saved_model_is_the_same_when_loaded(saved):
    model, folder = saved
    loaded, tokenizer = hf_format.load(folder)
    assert loaded.shape == model.shape
    assert tokenizer.encode("ab") == [4, 5]
    assert all(torch.equal(loaded.state_dict()[name], weight) for name, weight in model.state_dict().items())


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(Trouble, match="name the folder of a trained model"):
        hf_format.load(tmp_path)


# The circuit


def test_the_first_head_looks_at_the_token_before():
    model = Llama(preset("1m", vocab_size=100, context=256))
    induction_init.plant(model)
    layer, body = model.model.layers[0], model.model
    x = layer.input_layernorm(body.embed_tokens(torch.randint(100, (1, 200))))
    turn, looker = body.turn(0, 200, None), layer.self_attn
    queries, keys = (turn(looker.split(part(x)))[0, 0] for part in (looker.q_proj, looker.k_proj))
    scores = (queries @ keys.T / 8).masked_fill(torch.ones(200, 200).triu(1) > 0, -torch.inf)
    assert scores[1:].argmax(-1).tolist() == [*range(199)]
    assert scores.softmax(-1).diagonal(-1).min() > 0.5


def test_a_copy_batch_repeats_and_counts_what_can_be_known():
    chosen = pytest.importorskip("small_lm.settings").Copy()
    inputs, targets = induction_init.Copying(chosen, vocab_size=1000, first=4, seed=1).next(8, 128)
    assert (inputs.shape, targets.shape, int(inputs.min()) >= 4) == ((8, 128), (8, 128), True)
    for row, wanted in zip(inputs, targets, strict=True):
        period = int((wanted == -100).sum()) + 1
        assert 6 <= period < 65
        assert torch.equal(wanted[period - 1 :], row[: 128 - period + 1][torch.arange(129 - period) % period])


def test_a_model_too_small_for_the_circuit_is_refused():
    shape = PRESETS["tiny"]
    with pytest.raises(Trouble, match="needs 3 layers and 2 heads"):
        induction_init.plant(Llama(type(shape)(layers=2, heads=2, head_dim=16, inner=64)))


def test_pairs_turn_from_fast_to_slow():
    turns = frequencies(PRESETS["1m"])
    assert turns[0] == 1
    assert (turns.diff() < 0).all()


@pytest.mark.parametrize(
    ("told", "spins"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_waiting_threads_leave_the_processor_to_others_unless_a_person_says_how(told, spins):
    scripts = Path(__file__).resolve().parents[2] / "scripts"
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", "import os, small_lm; print(os.environ.get('GOMP_SPINCOUNT'))"],
        env={**kept, "PYTHONPATH": str(scripts), **told},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.strip() == spins
