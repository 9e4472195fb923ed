"""The engine trains adapters as plain torch with peft does, and keeps them apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from tests.scripts import small_llama  # noqa: E402
from tinker_local import batching, losses, model_registry  # noqa: E402
from tinker_local.api_types import Adam, Lora, RefusedError, Sampling, SamplingRequest  # noqa: E402
from tinker_local.engine import TorchEngine  # noqa: E402

pytestmark = [  # what peft and transformers tell each other
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
LORA = Lora(rank=4, seed=11)
ADAM = Adam(learning_rate=1e-2, eps=1e-8)
DATA = [small_llama.datum(length) for length in (5, 9, 3, 9, 14)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_llama.make(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture
def engine(folder):
    made = TorchEngine()
    made.create("a", folder, LORA)
    return made


def train(engine, adapter, data=DATA, adam=ADAM):
    found = engine.forward_backward(adapter, data, "cross_entropy", {}, forward_only=False)
    engine.optim_step(adapter, adam)
    return found.metrics["loss:sum"]


def numbers(engine, adapter):
    return engine.adapters[adapter].flat.detach().clone()


def beside(engine, folder, tmp_path):
    """Return the adapter "a" as peft loads it, ready for training."""
    engine.save("a", tmp_path / "start", optimizer=False)
    return peft.PeftModel.from_pretrained(small_llama.read(folder), tmp_path / "start", is_trainable=True)


def plain_loss(model, data=DATA):
    total = 0
    for one in data:
        logprobs = model(torch.tensor([one.tokens])).logits[0].log_softmax(-1)
        targets, weights = (torch.from_numpy(one.inputs[name]) for name in ("target_tokens", "weights"))
        total = total - (logprobs.gather(-1, targets[:, None])[:, 0] * weights).sum()
    return total


def plain_step(model, optimizer):
    loss = plain_loss(model)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def test_three_steps_are_those_of_plain_torch_with_peft(engine, folder, tmp_path):
    model = beside(engine, folder, tmp_path)
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)
    ours = [train(engine, "a") for _ in range(3)]
    assert ours == pytest.approx([plain_step(model, optimizer) for _ in range(3)], rel=1e-4)
    theirs = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    pairs = engine.adapters["a"].pairs
    assert len(theirs) == 2 * len(pairs) == 30
    for name, (down, up) in pairs.items():
        torch.testing.assert_close(
            theirs[f"base_model.model.{name}.lora_A.weight"], down.detach(), rtol=1e-3, atol=1e-4
        )
        torch.testing.assert_close(theirs[f"base_model.model.{name}.lora_B.weight"], up.detach(), rtol=1e-3, atol=1e-4)


def test_a_gradient_is_that_of_plain_torch_with_peft(engine, folder, tmp_path):
    train(engine, "a")
    model = beside(engine, folder, tmp_path)
    plain_loss(model).backward()
    engine.forward_backward("a", DATA, "cross_entropy", {}, forward_only=False)
    parts = [one.grad.flatten() for one in model.parameters() if one.requires_grad]
    ours = engine.adapters["a"].pending
    torch.testing.assert_close(ours.norm(), torch.cat(parts).norm(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.sort().values, torch.cat(parts).sort().values, rtol=1e-3, atol=1e-3)


def test_gradients_add_up_until_the_step(engine, folder):
    engine.create("b", folder, LORA)
    train(engine, "a")
    for one in DATA:
        engine.forward_backward("b", [one], "cross_entropy", {}, forward_only=False)
    engine.optim_step("b", ADAM)
    torch.testing.assert_close(numbers(engine, "a"), numbers(engine, "b"), rtol=1e-3, atol=1e-5)


def test_a_long_batch_is_cut_without_a_difference(engine, folder):
    engine.create("b", folder, LORA)
    many = [small_llama.datum(200, seed) for seed in range(30)]
    train(engine, "a", many)
    for start in (0, 15):
        engine.forward_backward("b", many[start : start + 15], "cross_entropy", {}, forward_only=False)
    engine.optim_step("b", ADAM)
    torch.testing.assert_close(numbers(engine, "a"), numbers(engine, "b"), rtol=1e-3, atol=1e-5)


def test_forward_only_gives_the_same_and_trains_nothing(engine):
    seen = engine.forward_backward("a", DATA, "cross_entropy", {}, forward_only=True)
    assert engine.adapters["a"].pending is None
    trained = engine.forward_backward("a", DATA, "cross_entropy", {}, forward_only=False)
    assert seen.metrics["loss:sum"] == pytest.approx(trained.metrics["loss:sum"], rel=1e-5)
    for one, other in zip(seen.outputs, trained.outputs, strict=True):
        np.testing.assert_allclose(one["logprobs"], other["logprobs"], rtol=1e-4, atol=1e-5)


def test_logprobs_come_back_in_order_also_where_nothing_is_learned(engine, folder):
    model = small_llama.read(folder)
    outputs = engine.forward_backward("a", DATA, "cross_entropy", {}, forward_only=False).outputs
    for one, output in zip(DATA, outputs, strict=True):
        logprobs = model(torch.tensor([one.tokens])).logits[0].log_softmax(-1)
        wanted = logprobs.gather(-1, torch.from_numpy(one.inputs["target_tokens"])[:, None])[:, 0].detach()
        assert output["logprobs"].dtype == np.float32
        np.testing.assert_allclose(output["logprobs"], wanted, rtol=1e-4, atol=1e-4)


def test_clipping_is_torchs(engine, folder):
    engine.create("b", folder, LORA)
    engine.forward_backward("a", DATA, "cross_entropy", {}, forward_only=False)
    gradient = engine.adapters["a"].pending.clone()
    engine.optim_step("a", Adam(learning_rate=0.1, eps=1.0, grad_clip_norm=0.5))
    flat = torch.nn.Parameter(numbers(engine, "b"))
    flat.grad = gradient
    norm = torch.nn.utils.clip_grad_norm_([flat], 0.5)
    torch.optim.AdamW([flat], lr=0.1, betas=(0.9, 0.95), eps=1.0, weight_decay=0).step()
    assert norm > 0.5
    assert torch.equal(flat.detach(), numbers(engine, "a"))


def test_a_step_without_gradients_is_a_step_with_zero(engine):
    before = numbers(engine, "a")
    assert engine.optim_step("a", ADAM)["grad_norm:mean"] == 0
    assert torch.equal(before, numbers(engine, "a"))


def test_a_gradient_that_is_not_finite_is_refused_and_dropped(engine):
    train(engine, "a")
    before = numbers(engine, "a")
    far = small_llama.sampled(6, logprobs=np.full(6, -500, np.float32))
    found = engine.forward_backward("a", [far], "importance_sampling", {}, forward_only=False)
    assert not np.isfinite(found.metrics["loss:sum"])
    with pytest.raises(RefusedError, match="not finite"):
        engine.optim_step("a", ADAM)
    assert torch.equal(before, numbers(engine, "a"))
    train(engine, "a")
    assert numbers(engine, "a").isfinite().all()


def test_the_base_stays_bit_equal(engine, folder):
    for _ in range(3):
        train(engine, "a")
    state = engine.bases[folder].model.state_dict()
    for name, weights in small_llama.read(folder).state_dict().items():
        assert torch.equal(state[name], weights), name


def test_the_output_layer_is_trained_and_the_tied_embedding_is_not(engine, folder):
    base = engine.bases[folder]
    engine.create("b", folder, Lora(rank=4, seed=1, train_attn=False, train_mlp=False))
    assert list(engine.adapters["b"].pairs) == ["lm_head"]
    assert base.model.lm_head.weight is base.model.model.embed_tokens.weight
    for _ in range(20):
        last = train(engine, "b")
    assert last < train(engine, "a")


@pytest.mark.parametrize(
    ("lora", "trained"),
    [
        (Lora(2, train_mlp=False, train_unembed=False), {"q_proj", "k_proj", "v_proj", "o_proj"}),
        (Lora(2, train_attn=False, train_unembed=False), {"gate_proj", "up_proj", "down_proj"}),
    ],
)
def test_the_switches_choose_the_parts(engine, folder, lora, trained):
    engine.create("b", folder, lora)
    assert {name.rpartition(".")[2] for name in engine.adapters["b"].pairs} == trained


def test_equal_seeds_are_equal_weights_whatever_was_before(engine, folder):
    torch.manual_seed(5)
    engine.create("x", folder, Lora(rank=2, seed=3))
    state = torch.get_rng_state()
    engine.create("b", folder, LORA)
    assert torch.equal(numbers(engine, "a"), numbers(engine, "b"))
    assert torch.equal(state, torch.get_rng_state())
    engine.create("c", folder, Lora(rank=4))
    assert not torch.equal(numbers(engine, "a"), numbers(engine, "c"))


def test_a_fresh_adapter_is_drawn_as_peft_draws_it(engine):
    for name, (down, up) in engine.adapters["a"].pairs.items():
        bound = down.shape[1] ** -0.5
        assert 0.9 * bound < down.abs().max() <= bound, name
        assert not up.any()


def test_no_forward_is_larger_than_its_bound(engine, folder):
    base = engine.bases[folder]
    data = [small_llama.datum(length) for length in (5, 90, 3, 40, 41, 7)]
    checked = batching.checked(data, losses.named("cross_entropy"), base, {})
    shapes = [tuple(one.ids.shape) for one in batching.batched(checked, 100, base.device)]
    assert shapes == [(1, 90), (2, 41), (3, 7)]


def test_a_fresh_adapter_changes_nothing(engine, folder):
    asked = [SamplingRequest((5, 6, 7), params=Sampling(max_tokens=9, temperature=0, stop=()))]
    assert engine.sample(folder, "a", asked) == engine.sample(folder, "", asked)


def test_eight_adapters_in_turns_do_not_touch_each_other(engine, folder):
    names = [f"adapter{n}" for n in range(8)]
    data = {name: [small_llama.datum(6, seed)] for seed, name in enumerate(names)}
    for seed, name in enumerate(names):
        engine.create(name, folder, Lora(rank=1 + seed % 3, seed=seed))
    for _ in range(3):
        for name in names:
            train(engine, name, data[name])
            engine.sample(folder, "a", [SamplingRequest((5, 6), params=Sampling(max_tokens=2))])
    for seed, name in enumerate(names):
        alone = TorchEngine()
        alone.create(name, folder, Lora(rank=1 + seed % 3, seed=seed))
        for _ in range(3):
            train(alone, name, data[name])
        assert torch.equal(numbers(alone, name), numbers(engine, name)), name


def bad_data():
    good = small_llama.datum(4)
    wide = small_llama.datum(300)
    outside = type(good)((3, 4, 5, 128), good.inputs)
    negative = type(good)((3, -4, 5, 6), good.inputs)
    none = type(good)((), good.inputs)
    nan = np.array([1, np.nan, 1, 1], np.float32)
    return {
        "give one datum": [],
        "0 to 127": [good, outside],
        "-4": [negative],
        "1 to 256": [wide],
        "has 0 tokens": [none],
        "lacks weights": [small_llama.datum(4, weights=None)],
        "has advantages": [small_llama.datum(4, advantages=nan)],
        "not finite": [small_llama.datum(4, weights=nan)],
        "give float32": [small_llama.datum(4, weights=nan[:3])],
        "its input has 4": [small_llama.datum(4, target_tokens=np.array([3, 4, 5]))],
        "integers": [small_llama.datum(4, target_tokens=nan)],
        "from 3 to 999": [good, small_llama.datum(4, target_tokens=np.array([3, 4, 5, 999]))],
    }


@pytest.mark.parametrize("words", bad_data())
def test_bad_data_is_refused_and_nothing_changes(engine, words):
    train(engine, "a")
    engine.forward_backward("a", DATA, "cross_entropy", {}, forward_only=False)
    before, waiting = numbers(engine, "a"), engine.adapters["a"].pending.clone()
    with pytest.raises(RefusedError, match=words):
        engine.forward_backward("a", bad_data()[words], "cross_entropy", {}, forward_only=False)
    assert torch.equal(before, numbers(engine, "a"))
    assert torch.equal(waiting, engine.adapters["a"].pending)


@pytest.mark.parametrize("field", ["learning_rate", "beta1", "beta2", "eps", "weight_decay", "grad_clip_norm"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_step_with_odd_values_is_refused(engine, field, value):
    engine.forward_backward("a", DATA, "cross_entropy", {}, forward_only=False)
    before = numbers(engine, "a")
    with pytest.raises(RefusedError, match=field):
        engine.optim_step("a", Adam(**{field: value}))
    assert torch.equal(before, numbers(engine, "a"))
    assert engine.adapters["a"].pending is not None


def test_names_that_are_not_there_are_refused(engine, folder, tmp_path):
    with pytest.raises(RefusedError, match="no adapter 'b'"):
        engine.optim_step("b", ADAM)
    with pytest.raises(RefusedError, match="already"):
        engine.create("a", folder, LORA)
    with pytest.raises(RefusedError, match="rank 0"):
        engine.create("b", folder, Lora(rank=0))
    with pytest.raises(RefusedError, match="nothing to train"):
        engine.create("b", folder, Lora(train_attn=False, train_mlp=False, train_unembed=False))
    with pytest.raises(RefusedError, match="no whole adapter"):
        engine.load("b", tmp_path, optimizer=False)
    engine.drop("b")
    assert set(engine.adapters) == {"a"}


def test_bfloat16_trains_and_samples(folder):
    made = TorchEngine(precision="bfloat16")
    made.create("a", folder, LORA)
    losses = [train(made, "a") for _ in range(6)]
    assert losses[-1] < losses[0]
    assert numbers(made, "a").dtype == torch.float32
    (found,) = made.sample(folder, "a", [SamplingRequest((5, 6), params=Sampling(max_tokens=4, stop=()))])
    assert len(found.answers[0].tokens) == 4


def test_a_dropped_adapter_is_free(engine):
    engine.drop("a")
    with pytest.raises(RefusedError):
        engine.described("a")


@pytest.mark.parametrize("optimizer", [True, False])
def test_a_saved_adapter_goes_on_bit_equal(engine, folder, tmp_path, optimizer):
    for _ in range(3):
        train(engine, "a")
    engine.save("a", tmp_path / "saved", optimizer=optimizer)
    other = TorchEngine()
    other.load("b", tmp_path / "saved", optimizer=optimizer)
    assert torch.equal(numbers(engine, "a"), numbers(other, "b"))
    assert other.described("b")["steps"] == (3 if optimizer else 0)
    assert [train(engine, "a") for _ in range(1)] == [train(other, "b") for _ in range(1)]
    assert torch.equal(numbers(engine, "a"), numbers(other, "b")) == optimizer
    train(engine, "a")
    train(other, "b")
    assert torch.equal(numbers(engine, "a"), numbers(other, "b")) == optimizer


def test_a_saved_adapter_is_a_peft_folder(engine, folder, tmp_path):
    for _ in range(3):
        train(engine, "a")
    model = beside(engine, folder, tmp_path)
    ids = torch.tensor([DATA[1].tokens])
    logprobs = (
        model(ids).logits[0].log_softmax(-1).gather(-1, torch.from_numpy(DATA[1].inputs["target_tokens"])[:, None])
    )
    ours = engine.forward_backward("a", [DATA[1]], "cross_entropy", {}, forward_only=True).outputs[0]["logprobs"]
    np.testing.assert_allclose(ours, logprobs[:, 0].detach(), rtol=1e-4, atol=1e-4)
    assert not (tmp_path / "start" / "optimizer.safetensors").exists()


def test_a_checkpoint_of_weights_alone_cannot_give_the_optimizer(engine, tmp_path):
    engine.save("a", tmp_path / "saved", optimizer=False)
    before = numbers(engine, "a")
    with pytest.raises(RefusedError, match="without its optimizer"):
        engine.load("a", tmp_path / "saved", optimizer=True)
    assert torch.equal(before, numbers(engine, "a"))


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "training.json"])
def test_a_broken_checkpoint_is_refused(engine, tmp_path, name):
    engine.save("a", tmp_path / "saved", optimizer=True)
    whole = (tmp_path / "saved" / name).read_bytes()
    (tmp_path / "saved" / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RefusedError):
        engine.load("a", tmp_path / "saved", optimizer=True)
    train(engine, "a")


def test_a_checkpoint_of_another_shape_is_refused(engine, tmp_path):
    engine.save("a", tmp_path / "saved", optimizer=True)
    told = json.loads((tmp_path / "saved" / "training.json").read_text())
    told["lora"]["rank"] = 5
    (tmp_path / "saved" / "training.json").write_text(json.dumps(told))
    with pytest.raises(RefusedError, match="does not fit"):
        engine.load("a", tmp_path / "saved", optimizer=False)


def test_models_at_home_are_listed_and_described(tmp_path, monkeypatch):
    monkeypatch.setenv(model_registry.HOME, str(tmp_path))
    small_llama.make(tmp_path / "tiny")
    for name, content in (("no_model", ""), ("broken", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ("config.json" if content else "notes")).write_text(content)
    engine = TorchEngine()
    (about,) = engine.models()
    assert (about.name, about.max_context, about.architecture) == ("local/tiny", 256, "LlamaForCausalLM")
    assert engine.about("local/tiny") == about
    assert engine.about(str(tmp_path / "tiny")).tokenizer == str(tmp_path / "tiny")
    assert not engine.bases


@pytest.mark.parametrize("name", ["local/none", "local/../tiny", "local/", "", "../..", "a b/c", "\0"])
def test_models_that_are_not_there_are_refused_with_a_choice(tmp_path, monkeypatch, name):
    monkeypatch.setenv(model_registry.HOME, str(tmp_path / "home"))
    with pytest.raises(RefusedError, match=r"there is none in|or a folder with a config\.json"):
        TorchEngine().create("a", name, LORA)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(RefusedError, match="cannot be loaded"):
        TorchEngine().create("a", str(tmp_path), LORA)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RefusedError, match="cannot be read"):
        TorchEngine().about(str(tmp_path))
