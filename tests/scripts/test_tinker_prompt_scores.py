"""Scores that few requests want: named tokens of a prompt, tokens drawn at its places, likely tokens of an answer."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
types = pytest.importorskip("tinker.types")
response_conv = pytest.importorskip("tinker.proto.response_conv")

from tests.scripts import small_llama  # noqa: E402
from tinker_local import codec, prompt_scores  # noqa: E402
from tinker_local.api_types import Lora, RefusedError, Sampling, SamplingRequest, SamplingResult, Targets  # noqa: E402
from tinker_local.engine import TorchEngine  # noqa: E402

PROMPT = (5, 9, 20, 7, 33, 41)
ONE = Sampling(max_tokens=1, seed=3, stop=())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_llama.make(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def engine(folder):
    made = TorchEngine()
    made.create("a", folder, Lora(rank=4, seed=1))
    return made


def logprobs_of(folder, tokens):
    return small_llama.read(folder)(torch.tensor([tokens])).logits[0].log_softmax(-1).detach().numpy()


def targets_of(matrix):
    """Return the targets of a dense matrix (T - 1, K)."""
    return Targets(matrix.shape, np.repeat(np.arange(len(matrix)), matrix.shape[1]), matrix.ravel())


def ask(engine, folder, *asked):
    return engine.sample(folder, "", list(asked))


def test_a_named_token_has_the_logprob_of_a_forward(engine, folder):
    wanted = np.random.default_rng(1).integers(0, small_llama.VOCABULARY, (5, 3))
    [found] = ask(engine, folder, SamplingRequest(PROMPT, params=ONE, targets=targets_of(wanted)))
    known = logprobs_of(folder, PROMPT)
    expected = [known[row, token] for row, tokens in enumerate(wanted) for token in tokens]
    np.testing.assert_allclose(found.target_logprobs, expected, rtol=1e-4, atol=1e-5)


def test_a_prompts_own_tokens_have_its_prompt_logprobs(engine, folder):
    own = np.array(PROMPT[1:])[:, None]
    [found] = ask(engine, folder, SamplingRequest(PROMPT, params=ONE, targets=targets_of(own), prompt_logprobs=True))
    np.testing.assert_allclose(found.target_logprobs, found.prompt_logprobs[1:], rtol=1e-4, atol=1e-5)


def test_minus_one_asks_for_nothing(engine, folder):
    wanted = np.array([[4, -1], [-1, -1], [4, 4], [-1, 4], [4, -1]])
    [found] = ask(engine, folder, SamplingRequest(PROMPT, params=ONE, targets=targets_of(wanted)))
    assert [value == 0 for value in found.target_logprobs] == (wanted.ravel() < 0).tolist()


def test_scores_are_the_same_a_few_places_at_a_time(engine, folder):
    wanted = targets_of(np.arange(15).reshape(5, 3))
    asked = SamplingRequest(PROMPT, params=ONE, targets=wanted, alternatives=4)
    [whole] = ask(engine, folder, asked)
    empty = SamplingResult(())
    parts = prompt_scores.add(engine.bases[folder], asked, empty, 2 * small_llama.VOCABULARY)
    np.testing.assert_allclose(parts.target_logprobs, whole.target_logprobs, rtol=1e-4, atol=1e-5)
    assert (parts.alternative_ids == whole.alternative_ids).all()


def test_requests_of_one_prompt_get_their_own_scores(engine, folder):
    one, other = (np.full((5, 1), token) for token in (4, 90))
    asked = [SamplingRequest(PROMPT, params=ONE, targets=targets_of(each)) for each in (one, other)]
    found = ask(engine, folder, *asked, SamplingRequest(PROMPT, params=ONE))
    known = logprobs_of(folder, PROMPT)
    np.testing.assert_allclose(found[0].target_logprobs, known[:5, 4], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1].target_logprobs, known[:5, 90], rtol=1e-4, atol=1e-5)
    assert found[2].target_logprobs is None


def test_alternatives_come_as_often_as_they_are_likely(engine, folder):
    params = Sampling(max_tokens=1, seed=9, stop=(), temperature=2.0)
    [found] = ask(engine, folder, SamplingRequest(PROMPT, params=params, alternatives=20_000))
    known = torch.from_numpy(logprobs_of(folder, PROMPT)[:5])
    for row, drawn in enumerate(found.alternative_ids):
        counted = np.bincount(drawn, minlength=small_llama.VOCABULARY) / len(drawn)
        np.testing.assert_allclose(counted, (known[row] / 2).softmax(-1).numpy(), atol=0.02)
    np.testing.assert_allclose(
        found.alternative_logprobs, known.gather(-1, torch.from_numpy(found.alternative_ids).long()), 1e-3, 1e-4
    )


def test_alternatives_come_again_with_their_seed_and_are_the_likeliest_when_cold(engine, folder):
    first, second = (ask(engine, folder, SamplingRequest(PROMPT, params=ONE, alternatives=6))[0] for _ in range(2))
    assert (first.alternative_ids == second.alternative_ids).all()
    cold = Sampling(max_tokens=1, temperature=0, stop=())
    [found] = ask(engine, folder, SamplingRequest(PROMPT, params=cold, alternatives=2))
    assert found.alternative_ids.tolist() == [[token] * 2 for token in logprobs_of(folder, PROMPT)[:5].argmax(-1)]


def test_a_prompt_of_one_token_has_no_places(engine, folder):
    asked = SamplingRequest(PROMPT[:1], params=ONE, targets=targets_of(np.zeros((0, 2), int)), alternatives=3)
    [found] = ask(engine, folder, asked)
    assert (found.target_logprobs.size, found.alternative_ids.shape) == (0, (0, 3))


def test_the_likeliest_tokens_of_an_answer_are_those_of_a_forward(engine, folder):
    hot = [Sampling(max_tokens=4 + number, seed=number, stop=()) for number in range(3)]
    asked = [SamplingRequest(PROMPT, params=one, topk_sample_logprobs=number) for number, one in enumerate(hot)]
    for number, found in enumerate(ask(engine, folder, *asked)):
        [answer] = found.answers
        if not number:
            assert answer.top is None
            continue
        known = torch.from_numpy(logprobs_of(folder, (*PROMPT, *answer.tokens))[len(PROMPT) - 1 : -1])
        values, ids = known.topk(number)
        assert answer.top.ids.tolist() == ids.tolist()
        np.testing.assert_allclose(answer.top.logprobs, values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"targets": targets_of(np.full((5, 1), small_llama.VOCABULARY))}, "target_prompt_logprobs has token ids of"),
        ({"topk_sample_logprobs": 999}, "topk_sample_logprobs must be 0 to"),
    ],
)
def test_what_the_model_does_not_have_is_refused(engine, folder, more, words):
    with pytest.raises(RefusedError, match=words):
        ask(engine, folder, SamplingRequest(PROMPT, params=ONE, **more))


# On the wire


def request(targets):
    given = None
    if targets is not None:
        from tinker.lib.public_interfaces import sampling_client

        given = sampling_client._tensor_data_to_model(targets)  # as the SDK's client sends it
    return types.SampleRequest(
        prompt=types.ModelInput.from_ints(list(PROMPT)),
        sampling_params=types.SamplingParams(max_tokens=1, seed=3),
        sampling_session_id="s",
        seq_id=0,
        target_prompt_logprobs=given,
    )


def through_the_wire(engine, folder, targets):
    asked = codec.asked(request(targets))
    [found] = ask(engine, folder, asked)
    body = codec.answered(found, len(PROMPT), asked.targets)
    return response_conv.deserialize_sample_response(body).target_prompt_logprobs


def test_a_sparse_tensor_is_answered_in_its_own_layout(engine, folder):
    dense = torch.full((5, 4), -1)
    dense[1, 2], dense[4, 0], dense[4, 3] = 17, 3, 90
    found = through_the_wire(engine, folder, types.TensorData.from_torch_sparse(dense, pad_value=-1)).to_torch()
    known = logprobs_of(folder, PROMPT)
    assert found.shape == (5, 4)
    assert found[1, 2].item() == pytest.approx(known[1, 17], rel=1e-4)
    assert [found[4, 0].item(), found[4, 3].item()] == pytest.approx([known[4, 3], known[4, 90]], rel=1e-4)
    assert (found != 0).sum() == 3


def test_a_dense_tensor_is_answered_in_its_own_shape(engine, folder):
    found = through_the_wire(engine, folder, types.TensorData.from_torch(torch.full((5, 2), 8))).to_torch()
    np.testing.assert_allclose(found[:, 1], logprobs_of(folder, PROMPT)[:5, 8], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "odd",
    [
        types.TensorData(data=[1, 2], dtype="int64", shape=[2, 1]),
        types.TensorData(data=[1] * 5, dtype="int64", shape=[5]),
        types.TensorData(data=[1.0] * 5, dtype="float32", shape=[5, 1]),
        types.TensorData(data=[-2] * 5, dtype="int64", shape=[5, 1]),
        types.TensorData(
            data=[1], dtype="int64", shape=[5, 1], sparse_crow_indices=[0, 1, 1, 1, 1, 1], sparse_col_indices=[4]
        ),
        types.TensorData(data=[1], dtype="int64", shape=[5, 1], sparse_crow_indices=[0, 1], sparse_col_indices=[0]),
    ],
    ids=["rows", "flat", "floats", "negative", "column", "starts"],
)
def test_a_tensor_whose_parts_do_not_fit_is_refused(odd):
    with pytest.raises(RefusedError, match="target_prompt_logprobs"):
        codec.asked(request(odd))
