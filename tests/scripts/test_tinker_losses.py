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


def marked(length, seed=0, **changed):
    """Return a datum with a mask that leaves out the first two tokens, and one token without advantage."""
    one = small_llama.sampled(length, seed, **changed)
    one.inputs["sequence_ratio_mask"] = (np.arange(length) > 1).astype(np.float32)
    one.inputs["advantages"][-1] = 0
    return one


def with_samples(length, seed=0):
    """Return a datum whose first two tokens are a prompt's."""
    one = small_llama.sampled(length, seed)
    one.inputs["sampled"] = (np.arange(length) > 1).astype(np.float32)
    return one


MAKE = {"cross_entropy": small_llama.datum, "gspo": marked, "stable_reinforce": with_samples}


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


def reference(loss, logprobs, inputs, config):
    """Return the loss of one example in torch, by the formula of the documentation."""
    old, gains = inputs["logprobs"], inputs["advantages"]
    if loss == "dro":
        return -(logprobs * gains - 0.5 * config["beta"] * (logprobs - old) ** 2).sum()
    if loss == "stable_reinforce":
        weight = torch.exp(logprobs.detach() - old).clamp(max=1)
        each = -weight * logprobs * gains + 0.5 * config["kl_coeff"] * (logprobs - old) ** 2
        return each[inputs["sampled"] != 0].sum()
    log_ratio = (logprobs.detach() - old)[inputs["sequence_ratio_mask"] != 0].mean()
    ratio = torch.exp(log_ratio + logprobs - logprobs.detach())
    clipped = torch.clamp(ratio, config["clip_low_threshold"], config["clip_high_threshold"])
    return -torch.minimum(ratio * gains, clipped * gains).sum()


@pytest.mark.parametrize(
    ("loss", "config"),
    [
        ("dro", {}),
        ("dro", {"beta": 0.3}),
        ("gspo", {}),
        ("gspo", {"clip_low_threshold": 0.0, "clip_high_threshold": 9.0}),
        ("stable_reinforce", {}),
        ("stable_reinforce", {"kl_coeff": 0.5}),
    ],
    ids=str,
)
def test_loss_and_gradient_are_those_of_the_reference(engine, folder, loss, config):
    data = [MAKE.get(loss, small_llama.sampled)(length, seed) for seed, length in enumerate((6, 9, 4))]
    found = engine.forward_backward("a", data, loss, config, forward_only=False)
    ours, whole = engine.adapters["a"].pending.clone(), 0.0
    engine.adapters["a"].pending = None
    for one, output in zip(data, found.outputs, strict=True):
        inputs = {name: torch.from_numpy(np.asarray(value)) for name, value in one.inputs.items()}
        scores = torch.from_numpy(output["logprobs"].copy()).requires_grad_()
        value = reference(loss, scores, inputs, named(loss).config | config)
        value.backward()
        whole += value.item()
        pushed = small_llama.datum(
            len(one.tokens), target_tokens=one.inputs["target_tokens"], weights=-scores.grad.numpy()
        )
        replayed = type(one)(one.tokens, pushed.inputs)  # cross_entropy with these weights has the reference's gradient
        engine.forward_backward("a", [replayed], "cross_entropy", {}, forward_only=False)
    assert found.metrics["loss:sum"] == pytest.approx(whole, rel=1e-4)
    torch.testing.assert_close(ours, engine.adapters["a"].pending, rtol=1e-3, atol=1e-4)


def test_the_ratio_of_a_sequence_does_not_depend_on_its_batch(engine):
    data = [marked(length, seed) for seed, length in enumerate((6, 9, 4, 30))]
    alone = sum(forward(engine, [one], "gspo").metrics["loss:sum"] for one in data)
    assert forward(engine, data, "gspo").metrics["loss:sum"] == pytest.approx(alone, rel=1e-4)


def test_a_mask_that_marks_no_token_is_refused(engine):
    one = marked(5)
    one.inputs["sequence_ratio_mask"][:] = 0
    with pytest.raises(RefusedError, match=r"data\[1\].sequence_ratio_mask marks no token"):
        forward(engine, [marked(5), one], "gspo")


@pytest.mark.parametrize("loss", ["ppo", "cispo", "gspo"])
def test_a_token_can_have_thresholds_of_its_own(engine, loss):
    make = MAKE.get(loss, small_llama.sampled)
    wide, narrow = {"clip_low_threshold": 0.0, "clip_high_threshold": 50.0}, dict.fromkeys(NARROW, 1.0)
    own, plain = make(6), make(6)
    own.inputs.update({name: np.full(6, value, np.float32) for name, value in narrow.items()})
    both = forward(engine, [own, plain], loss, wide).metrics["loss:sum"]
    apart = forward(engine, [plain], loss, narrow), forward(engine, [plain], loss, wide)
    assert apart[0].metrics["loss:sum"] != pytest.approx(apart[1].metrics["loss:sum"])
    assert both == pytest.approx(sum(one.metrics["loss:sum"] for one in apart), rel=1e-4)


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
        ("mean", {}, "use cross_entropy, importance_sampling, ppo, cispo, dro, gspo, stable_reinforce"),
        ("dro", {"clip_low_threshold": 1.0}, "it takes beta"),
        ("cross_entropy", {"clip_low_threshold": 1.0}, "does not take: it takes none"),
        ("ppo", {"clip": 1.0}, "it takes clip_low_threshold, clip_high_threshold"),
        ("ppo", {"clip_low_threshold": float("nan")}, "a number of 0 or more"),
        ("ppo", {"clip_low_threshold": 1.5}, "exchange them"),
    ],
)
def test_what_a_loss_does_not_know_is_refused(engine, loss, config, words):
    make = MAKE.get(loss, small_llama.sampled)
    with pytest.raises(RefusedError, match=words):
        forward(engine, [make(4)], loss, config)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "cross_entropy"])
def test_losses_on_samples_take_one_target_a_position(engine, loss):
    two = {"target_tokens": np.full((4, 2), 5), "logprobs": np.zeros((4, 2), np.float32)}
    more = {
        name: np.ones((4, 2), np.float32) for name in LOSSES[loss].inputs if name not in {"target_tokens", "logprobs"}
    }
    wide = small_llama.sampled(4, **two, **more)
    with pytest.raises(RefusedError, match="has shape"):
        forward(engine, [wide], loss)


@pytest.mark.parametrize(
    "thresholds",
    [
        {"clip_low_threshold": [5, 5, 5, 5, 5, 5]},  # above the high one, which is 1.2 where it is not given
        {"clip_high_threshold": [-5, -5, -5, -5, -5, -5]},
        {"clip_low_threshold": [1, 1, 1, 1, 1, 2], "clip_high_threshold": [1, 1, 1, 1, 1, 1]},
    ],
)
def test_thresholds_of_tokens_that_contradict_are_refused(engine, thresholds):
    numbers = {name: np.array(values, np.float32) for name, values in thresholds.items()}
    one = small_llama.datum(6, logprobs=np.full(6, -1, np.float32), advantages=np.ones(6, np.float32), **numbers)
    one.inputs.pop("weights", None)
    with pytest.raises(RefusedError, match="must be 0 or more, and at most clip_high_threshold"):
        forward(engine, [one], "ppo")
