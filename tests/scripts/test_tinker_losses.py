"""Each loss is its formula, token by token."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.scripts import small_llama  # noqa: E402
from tinker_local.api_types import Adam, Lora, RefusedError  # noqa: E402
from tinker_local.engine import TorchEngine  # noqa: E402
from tinker_local.losses import LOSSES, configured, named  # noqa: E402

NARROW = {"clip_low_threshold": 0.95, "clip_high_threshold": 1.05}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_llama.make(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture
def engine(folder):
    made = TorchEngine()
    made.create("a", folder, Lora(rank=4, seed=11))
    return made


def forward(engine, data, loss, config=None):
    return engine.forward_backward("a", data, loss, config or {}, forward_only=True)


def by_hand(loss, logprobs, inputs, low=0.0, high=9e9):
    if loss == "cross_entropy":
        return -logprobs * inputs["weights"]
    ratio, gains = np.exp(logprobs - inputs["logprobs"]), inputs["advantages"]
    clipped = np.clip(ratio, low, high)
    return {
        "importance_sampling": -ratio * gains,
        "ppo": -np.minimum(ratio * gains, clipped * gains),
        "cispo": -clipped * logprobs * gains,
    }[loss]


@pytest.mark.parametrize(
    ("loss", "config", "bounds"),
    [
        ("cross_entropy", {}, ()),
        ("importance_sampling", {}, ()),
        ("ppo", {}, (0.8, 1.2)),
        ("ppo", NARROW, (0.95, 1.05)),
        ("cispo", {}, (0.0, 4.0)),
        ("cispo", {"clip_high_threshold": 1.5}, (0.0, 1.5)),
    ],
)
def test_the_loss_is_the_sum_of_its_formula(engine, loss, config, bounds):
    make = small_llama.datum if loss == "cross_entropy" else small_llama.sampled
    data = [make(5), make(8), make(2)]
    found = forward(engine, data, loss, config)
    pairs = zip(data, found.outputs, strict=True)
    wanted = sum(by_hand(loss, output["logprobs"], one.inputs, *bounds).sum() for one, output in pairs)
    assert found.metrics["loss:sum"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("loss", ["importance_sampling", "ppo", "cispo"])
def test_a_gradient_is_that_of_the_formula(loss):
    logprobs = torch.tensor([-1.0, -2.0, -0.5, -3.0], dtype=torch.float64, requires_grad=True)
    inputs = {
        "logprobs": torch.tensor([-1.5, -1.0, -0.5, -3.1], dtype=torch.float64),
        "advantages": torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64),
    }
    chosen = named(loss)
    config = configured(chosen, {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2} if chosen.config else {})
    chosen.each(logprobs, inputs, config).sum().backward()
    ratio = torch.exp(logprobs.detach() - inputs["logprobs"])
    whole = -ratio * inputs["advantages"]
    open_ = {"importance_sampling": [1, 1, 1, 1], "ppo": [0, 0, 1, 1], "cispo": [0, 0, 0, 0]}[loss]
    held = -ratio.clamp(0.8, 1.2) * inputs["advantages"] if loss == "cispo" else torch.zeros(4)
    torch.testing.assert_close(logprobs.grad, torch.where(torch.tensor(open_) > 0, whole, held.double()))


def test_several_targets_a_position_are_a_soft_cross_entropy(engine):
    drawn = np.random.default_rng(3)
    targets = drawn.integers(3, 128, (6, 5))
    weights = drawn.dirichlet(np.ones(5), 6).astype(np.float32)
    weights[2] = 0
    one = small_llama.datum(6, target_tokens=targets, weights=weights)
    found = forward(engine, [one], "cross_entropy")
    logprobs = found.outputs[0]["logprobs"]
    assert logprobs.shape == (6, 5)
    assert found.metrics["loss:sum"] == pytest.approx(-(logprobs * weights).sum(), rel=1e-4)
    alone = small_llama.datum(6, target_tokens=targets[:, 3], weights=weights[:, 3])
    np.testing.assert_allclose(forward(engine, [alone], "cross_entropy").outputs[0]["logprobs"], logprobs[:, 3], 1e-4)


def test_soft_and_plain_targets_can_be_sent_together(engine):
    soft = small_llama.datum(6, target_tokens=np.full((6, 2), 9), weights=np.full((6, 2), 0.5, np.float32))
    plain = small_llama.datum(6)
    both = forward(engine, [soft, plain, soft], "cross_entropy")
    alone = forward(engine, [plain], "cross_entropy")
    assert [one["logprobs"].shape for one in both.outputs] == [(6, 2), (6,), (6, 2)]
    np.testing.assert_allclose(both.outputs[1]["logprobs"], alone.outputs[0]["logprobs"], rtol=1e-4, atol=1e-5)


def test_a_datum_without_any_weight_trains_nothing(engine):
    silent = small_llama.datum(5, weights=np.zeros(5, np.float32))
    before = engine.adapters["a"].flat.detach().clone()
    found = engine.forward_backward("a", [silent], "cross_entropy", {}, forward_only=False)
    engine.optim_step("a", Adam())
    assert found.metrics["loss:sum"] == 0
    assert (found.outputs[0]["logprobs"] < 0).all()
    assert torch.equal(before, engine.adapters["a"].flat.detach())


def test_negative_weights_push_away(engine):
    away = small_llama.datum(5, weights=-np.ones(5, np.float32))
    first = forward(engine, [away], "cross_entropy").metrics["loss:sum"]
    engine.forward_backward("a", [away], "cross_entropy", {}, forward_only=False)
    engine.optim_step("a", Adam(learning_rate=1e-2))
    assert forward(engine, [away], "cross_entropy").metrics["loss:sum"] < first < 0


@pytest.mark.parametrize(
    ("loss", "config", "words"),
    [
        ("dro", {}, "use cross_entropy, importance_sampling, ppo, cispo"),
        ("cross_entropy", {"clip_low_threshold": 1.0}, "does not take: it takes none"),
        ("ppo", {"clip": 1.0}, "it takes clip_low_threshold, clip_high_threshold"),
        ("ppo", {"clip_low_threshold": float("nan")}, "a number of 0 or more"),
        ("ppo", {"clip_low_threshold": 1.5}, "exchange them"),
    ],
)
def test_what_a_loss_does_not_know_is_refused(engine, loss, config, words):
    make = small_llama.datum if loss == "cross_entropy" else small_llama.sampled
    with pytest.raises(RefusedError, match=words):
        forward(engine, [make(4)], loss, config)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "cross_entropy"])
def test_losses_on_samples_take_one_target_a_position(engine, loss):
    two = {"target_tokens": np.full((4, 2), 5), "logprobs": np.zeros((4, 2), np.float32)}
    wide = small_llama.sampled(4, **two, advantages=np.ones((4, 2), np.float32))
    with pytest.raises(RefusedError, match="has shape"):
        forward(engine, [wide], loss)
