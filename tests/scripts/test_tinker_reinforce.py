"""The real SDK samples with recordings and trains on them; it follows a training by inflight weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.scripts.tinker_scene import MODEL, SDK, Service

torch = pytest.importorskip("torch")
tinker = pytest.importorskip("tinker")
pytest.importorskip("fastapi")
fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
small_llama = pytest.importorskip("tests.scripts.small_llama")
types = tinker.types

LIMIT_S = 300
PROMPT = [5, 9, 20, 7]
STEP = types.AdamParams(learning_rate=3e-2)
pytestmark = [pytest.mark.timeout(300), *SDK]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    small_llama.make(home / "small")
    with Service(tmp_path_factory.mktemp("service"), home) as service:
        yield service


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


@pytest.fixture
def training(client):
    return client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)


def sampled(sampler, number=4, **more):
    params = types.SamplingParams(max_tokens=8, seed=2, stop=[])
    return sampler.sample(types.ModelInput.from_ints(PROMPT), number, params, **more).result(LIMIT_S).sequences


def datum(sequence, advantage, **changed):
    """Return a datum of the prompt and one answer, as the cookbook makes it."""
    before, tokens = len(PROMPT) - 1, list(sequence.tokens)
    inputs = {
        "target_tokens": [0] * before + tokens,
        "logprobs": [0.0] * before + list(sequence.logprobs),
        "advantages": [0.0] * before + [advantage] * len(tokens),
        **changed,
    }
    return types.Datum(model_input=types.ModelInput.from_ints(PROMPT + tokens[:-1]), loss_fn_inputs=inputs)


def named(one, sequence):
    """Return the datum with the sequence behind each of its tokens."""
    name, count, before = sequence.sequence_id, len(sequence.tokens), len(PROMPT)
    return one.with_provenance(
        model_input=[
            types.PromptProvenanceSpan(sequence_id=name, length=before),
            types.SampledProvenanceSpan(sequence_id=name, length=count - 1),
        ],
        loss_fn_inputs=[
            types.PromptProvenanceSpan(sequence_id=name, offset=1, length=before - 1),
            types.SampledProvenanceSpan(sequence_id=name, length=count),
        ],
    )


def recorded(training):
    sampler = training.save_weights_and_get_sampling_client(record_stability_info=True).result(LIMIT_S)
    return sampled(sampler)


def learn(training, data, loss, config=None, step=STEP):
    found = training.forward_backward(data, loss, config)
    training.optim_step(step).result(LIMIT_S)
    return found.result(LIMIT_S)


# stable_reinforce


def test_what_was_sampled_with_a_recording_is_trained_on(training):
    sequences = recorded(training)
    data = [named(datum(one, gain), one) for one, gain in zip(sequences, (3.0, -1.0, -1.0, -1.0), strict=True)]
    before = training.forward(data, "stable_reinforce").result(LIMIT_S)
    for _ in range(3):
        learn(training, data, "stable_reinforce", {"kl_coeff": 0.0})
    after = training.forward(data, "stable_reinforce").result(LIMIT_S)
    was, now = (one.loss_fn_outputs[0]["logprobs"].to_numpy()[3:].sum() for one in (before, after))
    assert now > was  # the answer with a gain has become likelier


def test_on_new_samples_its_gradient_is_that_of_importance_sampling(client):
    norms = []
    for loss in ("stable_reinforce", "importance_sampling"):
        model = client.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
        data = [named(datum(one, 1.0 + place), one) for place, one in enumerate(recorded(model))]
        model.forward_backward(data, loss).result(LIMIT_S)
        norms.append(model.optim_step(STEP).result(LIMIT_S).metrics["grad_norm:mean"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_the_recording_counts_not_the_logprobs_that_are_sent(training):
    [one, *_] = recorded(training)
    found = [
        training.forward([named(datum(one, 1.0, **more), one)], "stable_reinforce").result(LIMIT_S).metrics["loss:sum"]
        for more in ({}, {"logprobs": [-9.0] * (len(PROMPT) - 1 + len(one.tokens))})
    ]
    assert found[0] == found[1]


def test_the_penalty_pulls_back_what_has_moved_away(training):
    sequences = recorded(training)
    data = [named(datum(one, 0.0), one) for one in sequences]
    pushed = [datum(one, -5.0) for one in sequences]
    careful = types.AdamParams(learning_rate=2e-3, beta1=0.0)
    learn(training, pushed, "importance_sampling")
    strong = {"kl_coeff": 1.0}
    before = training.forward(data, "stable_reinforce", strong).result(LIMIT_S).metrics["loss:sum"]
    for _ in range(5):
        learn(training, data, "stable_reinforce", strong, careful)
    after = training.forward(data, "stable_reinforce", strong).result(LIMIT_S).metrics["loss:sum"]
    assert 0 < after < before


def refused(training, data, loss="stable_reinforce"):
    with pytest.raises(tinker.TinkerError) as caught:
        training.forward_backward(data, loss).result(LIMIT_S)
    training.forward([types.Datum(model_input=types.ModelInput.from_ints([5]), loss_fn_inputs={
        "target_tokens": [6], "weights": [1.0]})], "cross_entropy").result(LIMIT_S)  # fmt: skip
    return str(caught.value)


def test_data_without_provenance_is_refused_in_words(training):
    [one, *_] = recorded(training)
    assert "record_stability_info=True" in refused(training, [datum(one, 1.0)])


def test_a_sequence_that_was_not_recorded_is_refused_in_words(training):
    [one, *_] = sampled(training.save_weights_and_get_sampling_client().result(LIMIT_S))
    assert "not recorded in this session" in refused(training, [named(datum(one, 1.0), one)])


def test_a_sequence_of_another_session_is_refused_in_words(service, training):
    with service.client() as other:
        model = other.create_lora_training_client(MODEL, rank=4, seed=1).result(LIMIT_S)
        [one, *_] = recorded(model)
        assert "not recorded in this session" in refused(training, [named(datum(one, 1.0), one)])


def test_other_tokens_than_those_of_the_sequence_are_refused_in_words(training):
    one, other, *_ = recorded(training)
    assert "has other targets than" in refused(training, [named(datum(other, 1.0), one)])


def test_an_advantage_on_the_prompt_is_refused_in_words(training):
    [one, *_] = recorded(training)
    everywhere = datum(one, 1.0, advantages=[1.0] * (len(PROMPT) - 1 + len(one.tokens)))
    assert "were not sampled: set them to 0" in refused(training, [named(everywhere, one)])


# The other losses


@pytest.mark.parametrize("loss", ["importance_sampling", "ppo", "cispo", "dro", "gspo"])
def test_every_loss_on_samples_makes_the_rewarded_answer_likelier(training, loss):
    sequences = sampled(training.save_weights_and_get_sampling_client().result(LIMIT_S))
    data = [datum(one, gain) for one, gain in zip(sequences, (3.0, -1.0, -1.0, -1.0), strict=True)]
    if loss == "gspo":
        masks = [[0.0] * (len(PROMPT) - 1) + [1.0] * len(one.tokens) for one in sequences]
        data = [datum(one, gain, sequence_ratio_mask=mask)
                for one, gain, mask in zip(sequences, (3.0, -1.0, -1.0, -1.0), masks, strict=True)]  # fmt: skip
    first = learn(training, data, loss).loss_fn_outputs[0]["logprobs"].to_numpy()[3:].sum()
    assert training.forward(data, loss).result(LIMIT_S).loss_fn_outputs[0]["logprobs"].to_numpy()[3:].sum() > first


def test_gspo_without_its_mask_is_refused_in_words(training):
    [one, *_] = sampled(training.save_weights_and_get_sampling_client().result(LIMIT_S))
    assert "lacks sequence_ratio_mask" in refused(training, [datum(one, 1.0)], "gspo")


# Sampling


def test_named_tokens_of_a_prompt_alternatives_and_likely_tokens_come_to_the_client(client):
    sampler = client.create_sampling_client(base_model=MODEL).result(LIMIT_S)
    wanted = torch.full((3, 2), -1)
    wanted[:, 0] = torch.tensor(PROMPT[1:])
    params = types.SamplingParams(max_tokens=2, seed=1, stop=[])
    found = sampler.sample(
        types.ModelInput.from_ints(PROMPT),
        1,
        params,
        include_prompt_logprobs=True,
        topk_sample_logprobs=3,
        target_prompt_logprobs=types.TensorData.from_torch(wanted),
        prompt_alt_tokens_k=5,
    ).result(LIMIT_S)
    scores = found.target_prompt_logprobs.to_torch()
    np.testing.assert_allclose(scores[:, 0], found.prompt_logprobs[1:], rtol=1e-4, atol=1e-5)
    assert scores[:, 1].tolist() == [0.0] * 3
    assert found.prompt_alt_tokens.tokens.to_torch().shape == (3, 5)
    assert [len(one) for one in found.sequences[0].topk_logprobs] == [3, 3]


# Inflight weights


def scores(sampler):
    return sampler.compute_logprobs(types.ModelInput.from_ints(PROMPT)).result(LIMIT_S)


def stepped(training, times=3):
    one = types.Datum(model_input=types.ModelInput.from_ints(PROMPT[:-1]),
                      loss_fn_inputs={"target_tokens": PROMPT[1:], "weights": [1.0] * 3})  # fmt: skip
    for _ in range(times):
        learn(training, [one], "cross_entropy")


def test_an_inflight_save_changes_the_clients_made_before(training):
    first = training.save_weights_and_get_sampling_client(kind="inflight").result(LIMIT_S)
    snapshot = training.save_weights_and_get_sampling_client().result(LIMIT_S)
    before = scores(first)
    stepped(training)
    assert scores(first) == before  # not published yet
    second = training.save_weights_and_get_sampling_client(kind="inflight").result(LIMIT_S)
    assert scores(second) != before
    assert scores(first) == scores(second)
    assert scores(snapshot) == before


def test_trainings_do_not_share_their_inflight_weights(client, training):
    other = client.create_lora_training_client(MODEL, rank=4, seed=9).result(LIMIT_S)
    ours, theirs = (
        one.save_weights_and_get_sampling_client(kind="inflight").result(LIMIT_S) for one in (training, other)
    )
    before = scores(theirs)
    stepped(training)
    training.save_weights_and_get_sampling_client(kind="inflight").result(LIMIT_S)
    assert scores(ours) != before
    assert scores(theirs) == before


# The optimizer


def test_an_optimizer_that_is_not_served_is_refused_when_the_model_is_made(client, training):
    dimuon = tinker.DimuonOptimizerConfig()
    with pytest.raises(tinker.TinkerError, match="the optimizer dimuon is not served here"):
        client.create_lora_training_client(MODEL, rank=4, optimizer=dimuon).result(LIMIT_S)
    path = training.save_state("a").result(LIMIT_S).path
    with pytest.raises(tinker.TinkerError, match="the optimizer dimuon is not served here"):
        client.create_training_client_from_state(path, optimizer=dimuon).result(LIMIT_S)
    plain = tinker.AdamOptimizerConfig()
    assert client.create_lora_training_client(MODEL, rank=4, optimizer=plain).result(LIMIT_S)
