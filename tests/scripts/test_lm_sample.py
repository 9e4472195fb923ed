"""What is generated, and when it ends."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from small_lm import hf_format, tokenizers  # noqa: E402  # they need torch
from small_lm.errors import Trouble  # noqa: E402
from small_lm.generate import Choice, begun, generate, note, nucleus, penalised, top  # noqa: E402
from small_lm.model import Llama, preset  # noqa: E402

PROMPTS = ["be", "", "question that be", "o"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def tokenizer():
    return tokenizers.train("char", ["abcdefghijklmnopqrstuvwxyz "], 40)


@pytest.fixture
def model(tokenizer):
    model = Llama(preset("tiny", vocab_size=tokenizer.size, context=48))
    for weight in model.parameters():  # sharp opinions, so that small errors do not decide
        weight.data.mul_(4)
    with torch.no_grad():
        model.model.embed_tokens.weight[:4] *= 0.01  # special tokens are never the likeliest
    return model


@pytest.mark.parametrize("how", [Choice(12), Choice(12, temperature=0), Choice(12, top_k=5, top_p=0.9, seed=3)])
def test_company_does_not_change_an_answer(model, tokenizer, how):
    together = generate(model, tokenizer, PROMPTS, how)
    alone = [
        generate(model, tokenizer, [prompt], Choice(**{**vars(how), "seed": how.seed + number}))[0]
        for number, prompt in enumerate(PROMPTS)
    ]
    assert together == alone


def test_a_seed_gives_the_same_text_again_and_another_seed_another(model, tokenizer):
    first, again, other = (generate(model, tokenizer, ["to"], Choice(20, seed=seed))[0] for seed in (1, 1, 2))
    assert first == again != other


def test_an_empty_prompt_is_answered(model, tokenizer):
    assert len(generate(model, tokenizer, [""], Choice(10, temperature=0))[0]) == 10


def test_no_prompts_have_no_answers(model, tokenizer):
    assert generate(model, tokenizer, [], Choice(10)) == []


def test_a_length_of_nothing_is_nothing(model, tokenizer):
    assert generate(model, tokenizer, ["to", ""], Choice(0)) == ["", ""]


def test_an_answer_ends_where_the_window_is_full(model, tokenizer):
    prompt = "a" * 40  # and <bos>: 41 of 48, and the last token need not be read
    assert len(generate(model, tokenizer, [prompt], Choice(100, temperature=0))[0]) == 8


def test_a_prompt_larger_than_the_window_is_refused(model, tokenizer):
    with pytest.raises(Trouble, match="a prompt of 49 tokens is more than the 48"):
        generate(model, tokenizer, ["a" * 48], Choice(1))


def test_a_stop_sequence_ends_an_answer_and_is_left_out(model, tokenizer):
    whole = generate(model, tokenizer, ["to"], Choice(20, temperature=0))[0]
    stop = whole[7:9]
    found = generate(model, tokenizer, ["to"], Choice(20, temperature=0, stop=("@@", stop)))[0]
    assert found == whole[: whole.index(stop)]


def test_the_end_token_ends_an_answer(tokenizer):
    answer = begun(tokenizer, "to", seed=0)
    for token in (*tokenizer.encode("be"), tokenizer.end, *tokenizer.encode("or")):
        note(answer, token, tokenizer, ())
    assert (answer.text, answer.is_done) == ("be", True)


@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_greedy_answers_are_those_of_transformers(model, tokenizer, tmp_path, penalty):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("safetensors")
    hf_format.save(tmp_path / "model", model, tokenizer)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "model")
    ids = torch.tensor([[tokenizer.bos, *tokenizer.encode("to be")]])
    said = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, repetition_penalty=penalty
    )
    ours = generate(model, tokenizer, ["to be"], Choice(20, temperature=0, repetition_penalty=penalty))[0]
    assert ours == tokenizer.decode(said[0, ids.shape[1] :].tolist())


def test_a_cut_leaves_the_tokens_that_transformers_leaves():
    process = pytest.importorskip("transformers.generation.logits_process")
    logits = torch.randn(200) * 3
    for count in (1, 7, 200):
        theirs = process.TopKLogitsWarper(count)(None, logits[None])[0]
        assert torch.equal(top(logits, count).isfinite(), theirs.isfinite())
    for share in (0.01, 0.5, 0.9, 0.999):
        theirs = process.TopPLogitsWarper(share)(None, logits[None])[0]
        assert torch.equal(nucleus(logits, share).isfinite(), theirs.isfinite())


def test_the_nucleus_is_never_empty():
    assert nucleus(torch.tensor([5.0, 1.0, 0.0]), 1e-9).isfinite().tolist() == [True, False, False]


def test_a_penalty_makes_seen_tokens_less_likely_whatever_their_sign():
    found = penalised(torch.tensor([2.0, -2.0, 1.0]), [0, 1, 0], 2.0)
    assert found.tolist() == [1.0, -4.0, 1.0]


@pytest.mark.parametrize(
    "how", [{"max_length": -1}, {"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"repetition_penalty": 0}]
)
def test_a_choice_that_means_nothing_is_refused(model, tokenizer, how):
    with pytest.raises(Trouble, match=f"sample.{next(iter(how))} must"):
        generate(model, tokenizer, ["to"], Choice(**how))
