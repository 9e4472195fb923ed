"""Answers are those of transformers, whoever else is asked for at the same time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.scripts import small_llama  # noqa: E402
from tinker_local import kv_cache, rng, sampler, stop_sequences  # noqa: E402
from tinker_local.api_types import Adam, Lora, RefusedError, Sampling, SamplingRequest  # noqa: E402
from tinker_local.engine import TorchEngine  # noqa: E402

PROMPT = tuple(range(3, 43))
GREEDY = Sampling(max_tokens=12, temperature=0, stop=())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_llama.make(tmp_path_factory.mktemp("models") / "small", tie_word_embeddings=False)


@pytest.fixture(scope="module")
def loaded(folder):
    made = TorchEngine()
    made.base(folder)
    return made


@pytest.fixture
def engine(loaded, folder):
    """An engine with a trained adapter "a" and nothing remembered."""
    loaded.drop("a")
    loaded.create("a", folder, Lora(rank=4, seed=1))
    train(loaded)
    loaded.prefixes[folder].kept.clear()
    return loaded


def train(engine):
    engine.forward_backward("a", [small_llama.datum(20)], "cross_entropy", {}, forward_only=False)
    engine.optim_step("a", Adam(learning_rate=3e-2))


def ask(engine, folder, *asked, adapter=""):
    return engine.sample(folder, adapter, list(asked))


def generate(folder, prompt, **more):
    ids = torch.tensor([prompt])
    settings = {"do_sample": False, "max_new_tokens": 12, "eos_token_id": None, "pad_token_id": 2} | more
    made = small_llama.read(folder).generate(ids, attention_mask=torch.ones_like(ids), **settings)
    return tuple(made[0, len(prompt) :].tolist())


def logprobs_of(folder, tokens):
    return small_llama.read(folder)(torch.tensor([tokens])).logits[0].log_softmax(-1).detach()


PROMPTS = [PROMPT[:5], PROMPT, (99, 98), PROMPT[:30], (*PROMPT[:30], 7, 8, 9, 7)]


def test_greedy_answers_are_those_of_transformers(engine, folder):
    found = ask(engine, folder, *(SamplingRequest(one, params=GREEDY) for one in PROMPTS))
    assert [one.answers[0].tokens for one in found] == [generate(folder, one) for one in PROMPTS]


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (transformers.MistralConfig, {"sliding_window": 8}),
        (transformers.Qwen3Config, {"head_dim": 8}),
        (transformers.GPTNeoXConfig, {}),
        (
            transformers.Gemma3TextConfig,
            {"head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
        ),
        (transformers.Gemma2Config, {"head_dim": 8, "sliding_window": 8}),
    ],
)
def test_other_architectures_answer_as_transformers_does(tmp_path, config, shape):
    folder = small_llama.make(tmp_path / "other", config, **shape)
    made = TorchEngine()
    made.create("a", folder, Lora(rank=2))
    for asked in (PROMPTS, PROMPTS[1:2], PROMPTS[1:2] + PROMPTS[4:]):
        found = ask(
            made, folder, *(SamplingRequest(one, params=GREEDY, prompt_logprobs=True) for one in asked), adapter="a"
        )
        assert [one.answers[0].tokens for one in found] == [generate(folder, one) for one in asked]
        wanted = logprobs_of(folder, asked[-1])[:-1].gather(-1, torch.tensor(asked[-1][1:])[:, None])[:, 0]
        np.testing.assert_allclose(found[-1].prompt_logprobs[1:], wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_answers_as_peft_does(engine, folder, tmp_path):
    peft = pytest.importorskip("peft")
    engine.create("b", folder, Lora(rank=4, seed=1, train_unembed=False))
    engine.forward_backward("b", [small_llama.datum(20)], "cross_entropy", {}, forward_only=False)
    engine.optim_step("b", Adam(learning_rate=3e-2))
    engine.save("b", tmp_path / "b", optimizer=False)
    model = peft.PeftModel.from_pretrained(small_llama.read(folder), tmp_path / "b")
    ids = torch.tensor([PROMPT])
    made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12,
                          eos_token_id=None, pad_token_id=2)  # fmt: skip
    (found,) = ask(engine, folder, SamplingRequest(PROMPT, params=GREEDY), adapter="b")
    engine.drop("b")
    assert found.answers[0].tokens == tuple(made[0, len(PROMPT) :].tolist())
    assert found.answers[0].tokens != generate(folder, PROMPT)


def test_logprobs_are_the_models_own_at_any_temperature(engine, folder):
    params = Sampling(max_tokens=6, seed=4, temperature=0.3, top_k=5, top_p=0.9, stop=())
    (found,) = ask(engine, folder, SamplingRequest(PROMPT, params=params))
    answer = found.answers[0]
    table = logprobs_of(folder, PROMPT + answer.tokens)[len(PROMPT) - 1 : -1]
    np.testing.assert_allclose(answer.logprobs, table.gather(-1, torch.tensor(answer.tokens)[:, None])[:, 0], rtol=1e-3)


def test_prompt_logprobs_are_those_of_a_forward(engine, folder):
    asked = [
        SamplingRequest(one, params=Sampling(max_tokens=1), prompt_logprobs=True, topk_prompt_logprobs=3)
        for one in PROMPTS
    ]
    for one, found in zip(asked, ask(engine, folder, *asked), strict=True):
        table = logprobs_of(folder, one.prompt)[:-1]
        wanted = table.gather(-1, torch.tensor(one.prompt[1:])[:, None])[:, 0]
        assert found.prompt_logprobs[0] is None
        np.testing.assert_allclose(found.prompt_logprobs[1:], wanted, rtol=1e-3, atol=1e-4)
        values, ids = table.topk(3)
        assert found.topk_prompt_logprobs.first == 1
        assert found.topk_prompt_logprobs.ids.tolist() == ids.tolist()
        np.testing.assert_allclose(found.topk_prompt_logprobs.logprobs, values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("last", [1, 4, len(PROMPT) - 1, len(PROMPT), len(PROMPT) + 9])
def test_the_last_tokens_alone_have_the_scores_that_they_have_among_all(engine, folder, last):
    params = Sampling(max_tokens=1)
    prompts = [(*PROMPT, token) for token in (9, 10, 11)]
    asked = [
        SamplingRequest(one, params=params, prompt_logprobs=True, topk_prompt_logprobs=4, last=last) for one in prompts
    ]
    asked.append(SamplingRequest((*PROMPT, 12), params=params, prompt_logprobs=True, topk_prompt_logprobs=2))
    some = ask(engine, folder, *asked)
    for one, found in zip(asked, some, strict=True):
        whole = ask(engine, folder, dataclasses.replace(one, last=None))[0]
        first = 1 if one.last is None else max(1, len(one.prompt) - one.last)
        assert found.prompt_logprobs[:first] == (None,) * first
        np.testing.assert_allclose(found.prompt_logprobs[first:], whole.prompt_logprobs[first:], rtol=1e-3, atol=1e-4)
        assert found.topk_prompt_logprobs.first == first
        assert found.topk_prompt_logprobs.ids.shape == (len(one.prompt) - first, one.topk_prompt_logprobs)
        np.testing.assert_allclose(
            found.topk_prompt_logprobs.logprobs, whole.topk_prompt_logprobs.logprobs[first - 1 :], rtol=1e-3, atol=1e-4
        )


def test_scores_come_only_when_asked_for(engine, folder):
    plain, top = ask(
        engine,
        folder,
        SamplingRequest(PROMPT, params=Sampling(max_tokens=1)),
        SamplingRequest((5,), params=Sampling(max_tokens=1), topk_prompt_logprobs=1, prompt_logprobs=True),
    )
    assert (plain.prompt_logprobs, plain.topk_prompt_logprobs) == (None, None)
    assert (top.prompt_logprobs, top.topk_prompt_logprobs.ids.shape) == ((None,), (0, 1))


def test_one_prompt_asked_for_twice_is_scored_as_each_asked(engine, folder):
    one, two, none = ask(
        engine,
        folder,
        SamplingRequest(PROMPT, params=Sampling(max_tokens=1), topk_prompt_logprobs=1),
        SamplingRequest(PROMPT, params=Sampling(max_tokens=1), topk_prompt_logprobs=3, prompt_logprobs=True),
        SamplingRequest(PROMPT, params=Sampling(max_tokens=1)),
    )
    assert one.topk_prompt_logprobs.ids.tolist() == two.topk_prompt_logprobs.ids[:, :1].tolist()
    assert one.prompt_logprobs is None
    assert len(two.prompt_logprobs) == len(PROMPT)
    assert none.topk_prompt_logprobs is None


def test_nothing_asked_is_nothing_answered(engine, folder):
    assert ask(engine, folder) == []


def mixed():
    return [
        SamplingRequest(PROMPT, 3, Sampling(max_tokens=9, seed=5)),
        SamplingRequest(PROMPT[:20], 1, Sampling(max_tokens=15, seed=6, temperature=0.7, top_p=0.8)),
        SamplingRequest((8, 9), 2, Sampling(max_tokens=4, seed=7, top_k=4)),
        SamplingRequest(PROMPT, 1, GREEDY),
    ]


def test_answers_do_not_depend_on_the_company(engine, folder):
    together = ask(engine, folder, *mixed(), adapter="a")
    backwards = ask(engine, folder, *reversed(mixed()), adapter="a")[::-1]
    alone = [ask(engine, folder, one, adapter="a")[0] for one in mixed()]
    for one, other, third in zip(together, backwards, alone, strict=True):
        assert [answer.tokens for answer in one.answers] == [answer.tokens for answer in other.answers]
        assert [answer.tokens for answer in one.answers] == [answer.tokens for answer in third.answers]
        assert one.answers[0].logprobs == pytest.approx(third.answers[0].logprobs, rel=1e-3)


def test_samples_of_one_request_differ_and_come_again_with_their_seed(engine, folder):
    asked = SamplingRequest(PROMPT, 4, Sampling(max_tokens=10, seed=5))
    first, again = (ask(engine, folder, asked)[0] for _ in range(2))
    assert first == again
    assert len({one.tokens for one in first.answers}) == 4
    free = SamplingRequest(PROMPT, 1, Sampling(max_tokens=10))
    assert len({ask(engine, folder, free)[0].answers[0].tokens for _ in range(3)}) == 3


def test_many_answers_are_drawn_in_several_batches_alike(engine, folder):
    (many,) = ask(
        engine, folder, SamplingRequest((5, 6), sampler.MOST_ROWS + 5, Sampling(max_tokens=2, seed=1, stop=()))
    )
    (few,) = ask(engine, folder, SamplingRequest((5, 6), 3, Sampling(max_tokens=2, seed=1, stop=())))
    assert [one.tokens for one in many.answers[:3]] == [one.tokens for one in few.answers]
    assert len(many.answers) == sampler.MOST_ROWS + 5


def drawn(params, count=20_000):
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5, -torch.inf]).expand(count, -1).clone()
    tokens, _ = rng.begin([(params, place) for place in range(count)], 6, logits.device).tokens(logits)
    return np.bincount(tokens, minlength=6) / count


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        (Sampling(seed=1), [0, 1, 2, 3, 4]),
        (Sampling(seed=1, temperature=0.5), [0, 1, 2, 3, 4]),
        (Sampling(seed=1, top_k=2), [0, 4]),
        (Sampling(seed=1, top_p=0.75), [0, 1, 4]),
        (Sampling(seed=1, top_p=0.01), [0]),
        (Sampling(seed=1, top_k=3, top_p=0.55), [0, 4]),
        (Sampling(temperature=0), [0]),
        (Sampling(seed=1, temperature=1e-9), [0]),
    ],
)
def test_tokens_come_as_often_as_they_are_likely(params, kept):
    logits = np.array([2.0, 1.0, 0.0, -1.0, 1.5, -np.inf])[kept] / max(params.temperature, 1e-9)
    wanted = np.zeros(6)
    wanted[kept] = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(drawn(params), wanted, atol=0.015)


def test_what_is_cut_for_one_row_is_not_cut_for_another():
    rows = [(Sampling(seed=1, top_k=1), 0), (Sampling(seed=2), 0), (Sampling(temperature=0), 0)]
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    together, _ = rng.begin(rows, 50, logits.device).tokens(logits)
    alone = [
        int(rng.begin([row], 50, logits.device).tokens(one[None])[0]) for row, one in zip(rows, logits, strict=True)
    ]
    assert together.tolist() == alone


def test_what_cannot_come_never_comes():
    draws = rng.begin([(Sampling(), 0), (Sampling(), 0)], 4, torch.device("cpu"))
    draws.numbers, draws.used = torch.tensor([[0.0], [1 - 1e-16]], dtype=torch.float64), 0
    tokens, _ = draws.tokens(torch.tensor([-torch.inf, 0.0, 0.0, -torch.inf]).expand(2, -1))
    assert tokens.tolist() == [1, 2]


def answer(engine, folder, **params):
    return ask(engine, folder, SamplingRequest(PROMPT, params=Sampling(temperature=0, **params)))[0].answers[0]


def test_an_answer_ends_with_its_stop_token(engine, folder):
    whole = generate(folder, PROMPT)
    place = next(place for place in range(2, 12) if whole[place] not in whole[:place])
    found = answer(engine, folder, max_tokens=12, stop=(whole[place],))
    assert (found.tokens, found.stop_reason, len(found.logprobs)) == (whole[: place + 1], "stop", place + 1)


def test_a_stop_text_may_span_tokens(engine, folder):
    whole = generate(folder, PROMPT)
    text = (small_llama.word(whole[3]) + small_llama.word(whole[4]))[1:-1]
    found = answer(engine, folder, max_tokens=12, stop=("not this", text))
    assert (found.tokens, found.stop_reason) == (whole[:5], "stop")


def test_a_stop_text_in_the_prompt_stops_nothing(engine, folder):
    text = "".join(small_llama.word(token) for token in PROMPT[-2:])
    assert answer(engine, folder, max_tokens=12, stop=(text,)).stop_reason == "length"


class Fixed:
    """A tokenizer of single bytes."""

    def decode(self, tokens, **_):
        return bytes(tokens).decode(errors="replace")


def test_a_stop_text_of_half_characters_is_found():
    kept = stop_sequences.of(Sampling(stop=("bé",)), Fixed(), frozenset())
    spelled = list("abé".encode())
    assert [kept.end(spelled[: n + 1]) for n in range(len(spelled))] == [False, False, False, True]


def test_the_end_token_stops_unless_stops_are_given(engine, folder):
    base = engine.bases[folder]
    assert base.ends == {small_llama.END}
    kinds = [(None, True), ((), False), (("zz",), False), ((5,), False)]
    for stop, ends in kinds:
        assert stop_sequences.of(Sampling(stop=stop), base.tokenizer, base.ends).end([7, small_llama.END]) == ends


def test_without_max_tokens_an_answer_fills_the_context(engine, folder):
    found = answer(engine, folder, stop=())
    assert (len(found.tokens), found.stop_reason) == (256 - len(PROMPT), "length")
    assert found.tokens[:12] == generate(folder, PROMPT)


def test_rows_that_stop_do_not_change_the_others(engine, folder):
    lengths = [1, 2, 30, 3, 4, 60, 5]
    asked = [SamplingRequest(PROMPT[: 20 + n], params=Sampling(max_tokens=n, seed=n, stop=())) for n in lengths]
    counted, hook = forwards(engine, folder)
    together = ask(engine, folder, *asked)
    hook.remove()
    assert counted[-1] == 1
    assert [len(one.answers[0].tokens) for one in together] == lengths
    assert [one.answers[0].tokens for one in together] == [
        ask(engine, folder, one)[0].answers[0].tokens for one in asked
    ]


def test_a_room_that_grows_forgets_nothing(engine, folder):
    prefix = kv_cache.Prefix((), [(torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4))], torch.zeros(0))
    cache, more = prefix.cache(2, 4), torch.randn(2, 2, 1, 4)
    keys = [cache.update(more, more, 0)[0] for _ in range(6)][-1]
    torch.testing.assert_close(keys, torch.cat([prefix.pairs[0][0].expand(2, -1, -1, -1), *[more] * 6], 2))
    much = cache.update(more.expand(-1, -1, 30, -1), more.expand(-1, -1, 30, -1), 0)[0]
    torch.testing.assert_close(much[:, :, :9], keys)
    chosen = cache.select(torch.tensor([1, 1, 0])).update(more[[0, 0, 0]], more[[0, 0, 0]], 0)[0]
    torch.testing.assert_close(chosen[:, :, :9], keys[[1, 1, 0]])


def forwards(engine, folder):
    """Count the tokens that go through the model."""
    counted = []

    def count(_model, _given, named):
        counted.append(named["input_ids"].numel())

    return counted, engine.bases[folder].model.base_model.register_forward_pre_hook(count, with_kwargs=True)


def test_a_shared_prompt_is_read_once_and_remembered(engine, folder):
    asked = [SamplingRequest((*PROMPT, n, n), params=Sampling(max_tokens=1, temperature=0)) for n in range(5, 13)]
    fresh = ask(engine, folder, *asked, adapter="a")
    engine.prefixes[folder].kept.clear()
    counted, hook = forwards(engine, folder)
    first = ask(engine, folder, *asked, adapter="a")
    assert sum(counted) == len(PROMPT) + 2 * 8
    counted.clear()
    again = ask(engine, folder, *asked, adapter="a")
    other = ask(
        engine, folder, SamplingRequest((*PROMPT[:30], 99), params=Sampling(max_tokens=1, temperature=0)), adapter="a"
    )
    hook.remove()
    assert sum(counted) == 2 * 8 + 1
    assert first == fresh == again
    engine.prefixes[folder].kept.clear()
    whole = ask(
        engine, folder, SamplingRequest((*PROMPT[:30], 99), params=Sampling(max_tokens=1, temperature=0)), adapter="a"
    )
    assert other[0].answers[0].logprobs == pytest.approx(whole[0].answers[0].logprobs, rel=1e-4)


def test_a_step_makes_what_was_remembered_stale(engine, folder):
    asked = SamplingRequest(PROMPT, params=GREEDY, prompt_logprobs=True)
    before = ask(engine, folder, asked, adapter="a")
    train(engine)
    assert not engine.prefixes[folder].kept
    after = ask(engine, folder, asked, adapter="a")
    engine.prefixes[folder].kept.clear()
    assert after == ask(engine, folder, asked, adapter="a")
    assert after[0].prompt_logprobs[1:] != before[0].prompt_logprobs[1:]


def test_base_and_adapter_remember_apart(engine, folder):
    asked = SamplingRequest(PROMPT, params=GREEDY)
    base = ask(engine, folder, asked)
    adapted = ask(engine, folder, asked, adapter="a")
    assert base != adapted
    assert (base, adapted) == (ask(engine, folder, asked), ask(engine, folder, asked, adapter="a"))


def test_memory_is_bounded_and_the_newest_stay():
    def prefix(start):
        return kv_cache.Prefix(tuple(range(start, start + 20)), [(torch.zeros(1, 1, 20, 4),) * 2], torch.zeros(20, 2))

    kept = kv_cache.Prefixes(2 * prefix(0).size)
    for start in (0, 100, 200):
        kept.keep(("m", 0), prefix(start))
    found = [kept.best(("m", 0), prefix(start).tokens) is not None for start in (0, 100, 200)]
    assert found == [False, True, True]
    assert kept.best(("m", 1), prefix(100).tokens) is None


FAULTS = {
    "prompt is empty": SamplingRequest(()),
    "outside of 0 to 127": SamplingRequest((5, 128)),
    "num_samples": SamplingRequest((5,), 0),
    "max_tokens must": SamplingRequest((5,), params=Sampling(max_tokens=0)),
    "the context holds 256": SamplingRequest((5,) * 250, params=Sampling(max_tokens=7)),
    "are 257 tokens": SamplingRequest((5,) * 256),
    "temperature": SamplingRequest((5,), params=Sampling(temperature=-0.1)),
    "finite": SamplingRequest((5,), params=Sampling(temperature=float("nan"))),
    "top_p": SamplingRequest((5,), params=Sampling(top_p=0)),
    "top_k": SamplingRequest((5,), params=Sampling(top_k=-2)),
    "stop text": SamplingRequest((5,), params=Sampling(stop=("",))),
    "topk_prompt_logprobs": SamplingRequest((5,), topk_prompt_logprobs=129),
}


@pytest.mark.parametrize("words", FAULTS)
def test_what_cannot_be_sampled_is_refused(engine, folder, words):
    with pytest.raises(RefusedError, match=f"request 1: .*{words}"):
        ask(engine, folder, SamplingRequest((5,), params=Sampling(max_tokens=1)), FAULTS[words])


def test_an_adapter_of_another_base_is_refused(engine, folder, tmp_path):
    other = small_llama.make(tmp_path / "other")
    with pytest.raises(RefusedError, match="not of"):
        ask(engine, other, SamplingRequest((5,)), adapter="a")
    with pytest.raises(RefusedError, match="no adapter"):
        ask(engine, folder, SamplingRequest((5,)), adapter="none")
