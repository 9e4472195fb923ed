"""small-lm generate: a finished model, any Hugging Face folder, drawn or searched, and what is refused."""

from __future__ import annotations

import io
import itertools
import json
import math
import shutil
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from small_lm import beam_search, hf_format, tokenizers  # noqa: E402  # they need torch
from small_lm.command_line import main  # noqa: E402
from small_lm.generate import Choice, begun, generate  # noqa: E402
from small_lm.model import Llama, preset  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz "


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def sharp(tokenizer, factor=4):
    """Return a random model with opinions."""
    model = Llama(preset("tiny", vocab_size=tokenizer.size, context=48))
    for weight in model.parameters():
        weight.data.mul_(factor)
    return model


@pytest.fixture
def folder(tmp_path):
    """A run's folder with a model of characters."""
    tokenizer = tokenizers.train("char", [LETTERS], 40)
    hf_format.save(tmp_path / "OUT" / "model", sharp(tokenizer), tokenizer)
    return tmp_path / "OUT"


@pytest.fixture
def foreign(tmp_path):
    """A Hugging Face folder of another maker."""
    small_llama = pytest.importorskip("tests.scripts.small_llama")
    return small_llama.make(tmp_path / "foreign")


@pytest.fixture
def say(capsys):
    def said(*arguments):
        code = main(["generate", *map(str, arguments)])
        return code, *capsys.readouterr()

    return said


def rows(out):
    return [json.loads(line) for line in out.splitlines()]


def test_a_prompt_is_gone_on_from_and_a_seed_decides(folder, say):
    first, again, other = (say(folder, "to be", "--max-length", 12, "--seed", seed)[1] for seed in (1, 1, 2))
    assert first == again != other
    assert first.startswith("to be")
    assert len(first) == len("to be") + 12 + 1


def test_the_folder_of_a_run_and_that_of_its_model_are_the_same(folder, say):
    assert say(folder, "to", "--temperature", 0) == say(folder / "model", "to", "--temperature", 0)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_prompts_come_from_a_file_and_a_batch_changes_nothing(folder, say, batch, tmp_path):
    (tmp_path / "prompts.txt").write_text("to be\n\nor not\n")
    code, out, _ = say(
        folder, "first", "--prompts", tmp_path / "prompts.txt", "--batch", batch, "--json", "--max-length", 6
    )
    assert code == 0
    found = rows(out)
    assert [row["prompt"] for row in found] == ["first", "to be", "", "or not"]
    model, tokenizer = hf_format.load(folder / "model")
    how = Choice(6, temperature=0.8)
    assert [row["text"] for row in found] == generate(model, tokenizer, [row["prompt"] for row in found], how)


def test_prompts_come_from_stdin(folder, say, monkeypatch):
    monkeypatch.setitem(sys.__dict__, "stdin", io.StringIO("to\nbe\n"))
    code, out, _ = say(folder, "--prompts", "-", "--json", "--max-length", 2)
    assert (code, [row["prompt"] for row in rows(out)]) == (0, ["to", "be"])


def test_the_edges_are_answered(folder, say):
    assert say(folder, "--max-length", 0) == (0, "\n", "")
    assert say(folder, "to be", "--max-length", 0) == (0, "to be\n", "")
    assert len(say(folder, "", "--max-length", 5, "--temperature", 0)[1]) == 6
    code, out, err = say(folder, "t\u00f6 B", "--max-length", 1, "--json")
    assert (code, rows(out)[0]["prompt"]) == (0, "t\u00f6 B")
    assert err == "warning: 2 characters of 't\u00f6 B' are not in the vocabulary: read as unknown\n"


def test_a_stop_text_ends_an_answer(folder, say):
    whole = say(folder, "to", "--temperature", 0, "--max-length", 20)[1][2:-1]
    stop = whole[7:9]
    code, out, _ = say(folder, "to", "--temperature", 0, "--max-length", 20, "--stop", "@@", "--stop", stop, "--json")
    assert (code, rows(out)[0]["text"], rows(out)[0]["ended"]) == (0, whole[: whole.index(stop)], True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--temperature", "-1"], "--temperature must be 0, or 0.001 or more, got -1"),
        (["--temperature", "1e-40"], "--temperature must be 0, or 0.001 or more"),
        (["--top-p", "0"], "--top-p must be above 0, at most 1, got 0"),
        (["--top-k", "-1"], "--top-k must be"),
        (["--repetition-penalty", "nan"], "--repetition-penalty must be 0.001 or more, at most 1,000, got nan"),
        (["--max-length", "-1"], "--max-length must be"),
        (["--beams", "0"], "--beams must be 1 or more"),
        (["--batch", "0"], "--batch must be 1 or more"),
        (["--beams", "2", "--top-k", "3"], "--beams draws nothing: leave out --top-k"),
        (["--prompts", "none.txt"], "none.txt"),
        (["a" * 48], "a prompt of 49 tokens is more than the 48 of the model: cut it"),
        (["--device", "mps"], "--device mps is not here"),
    ],
)
def test_what_means_nothing_is_one_line(folder, say, arguments, said):
    code, out, err = say(folder, *arguments)
    assert (code != 0, out, err.count("\n")) == (True, "", 1)
    assert said in err


def test_a_folder_without_a_model_is_told(tmp_path, say):
    code, _, err = say(tmp_path)
    assert (code, "holds no config.json: name the folder of a model" in err) == (2, True)
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    code, _, err = say(tmp_path)
    assert (code, err.count("\n"), "cannot be read by transformers" in err) == (2, 1, True)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer_kind.json"])
@pytest.mark.parametrize("left", [b"", b"{}", b"[]", b"{"])
def test_a_damaged_folder_is_told_in_one_line(folder, tmp_path, say, name, left):
    shutil.copytree(folder, tmp_path / "m")
    place = next(one for one in (tmp_path / "m").rglob(name))
    place.write_bytes(left)
    code, out, err = say(tmp_path / "m")
    assert (code != 0, out, err.count("\n")) == (True, "", 1), err


# Any Hugging Face folder


def test_a_model_of_another_maker_says_what_transformers_says(foreign, say):
    small_llama = pytest.importorskip("tests.scripts.small_llama")
    transformers = pytest.importorskip("transformers")
    model, tokenizer = small_llama.read(foreign), transformers.AutoTokenizer.from_pretrained(foreign)
    prompts = [small_llama.word(5) + small_llama.word(9), small_llama.word(20)]
    code, out, err = say(foreign, *prompts, "--temperature", 0, "--max-length", 10, "--json")
    assert code == 0, err
    for prompt, row in zip(prompts, rows(out), strict=True):
        ids = torch.tensor([tokenizer.encode(prompt)])
        with torch.no_grad():
            theirs = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False)
        assert row["text"] == tokenizer.decode(theirs[0, ids.shape[1] :], skip_special_tokens=True)


def test_a_model_of_another_maker_has_beams_and_empty_prompts(foreign, say):
    code, out, err = say(foreign, "", "--beams", 3, "--max-length", 6, "--json")
    assert (code, len(rows(out))) == (0, 1), err


# Beams


def likelihood(model, prompt, ids):
    with torch.no_grad():
        chances = model(torch.tensor([prompt + ids]))[0].float().log_softmax(-1)
    return sum(float(chances[len(prompt) - 1 + at, token]) for at, token in enumerate(ids))


def test_enough_beams_find_the_likeliest_text():
    tokenizer = tokenizers.train("char", ["ab"], 9)
    model = sharp(tokenizer, 2)
    start, end, size = tokenizer.start("a"), tokenizer.end, tokenizer.size
    texts = [ids for length in (1, 2, 3) for ids in itertools.product(range(size), repeat=length)]
    whole = [list(ids) for ids in texts if end not in ids[:-1] and (len(ids) == 3 or ids[-1] == end)]
    best = max(whole, key=lambda ids: likelihood(model, start, ids) / len(ids))
    found = beam_search.search(model, tokenizer, begun(tokenizer, "a", 0), Choice(3, beams=size**3))
    assert found.ids + [end] * found.is_done == best


def test_one_beam_is_the_likeliest_token_and_more_are_likelier(folder):
    model, tokenizer = hf_format.load(folder / "model")
    greedy = generate(model, tokenizer, ["to"], Choice(8, temperature=0))[0]
    found = [beam_search.search(model, tokenizer, begun(tokenizer, "to", 0), Choice(8, beams=n)) for n in (1, 8)]
    assert found[0].text == greedy
    one, eight = (likelihood(model, tokenizer.start("to"), answer.ids) for answer in found)
    assert eight >= one - 1e-4


def test_beams_are_those_of_transformers(folder):
    transformers = pytest.importorskip("transformers")
    model, tokenizer = hf_format.load(folder / "model")
    theirs = transformers.LlamaForCausalLM.from_pretrained(folder / "model")
    ids = torch.tensor([tokenizer.start("to be")])
    mask = torch.ones_like(ids)
    said = theirs.generate(
        ids, attention_mask=mask, max_new_tokens=9, num_beams=4, do_sample=False, early_stopping="never"
    )
    ours = beam_search.search(model, tokenizer, begun(tokenizer, "to be", 0), Choice(9, beams=4))
    assert ours.ids == [token for token in said[0, ids.shape[1] :].tolist() if token != tokenizer.end]
    assert math.isfinite(likelihood(model, ids[0].tolist(), ours.ids))


def test_a_stop_text_ends_a_beam(folder):
    model, tokenizer = hf_format.load(folder / "model")
    whole = generate(model, tokenizer, ["to"], Choice(8, beams=3))[0]
    found = generate(model, tokenizer, ["to"], Choice(8, beams=3, stop=(whole[3:5],)))[0]
    assert whole[3:5] not in found


@pytest.mark.parametrize(("name", "factor"), [("hidden_size", 2), ("num_key_value_heads", 0.5)])
def test_a_config_that_contradicts_itself_is_one_line(folder, say, name, factor):
    path = folder / "model" / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {name: int(content[name] * factor)}))
    code, _, err = say(folder, "a")
    assert code == 2
    assert f"is damaged (ValueError: config.json: {name} is " in err
    assert err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is cuda")
def test_a_device_that_is_not_here_is_named_as_it_was_given(folder, say):
    assert say(folder, "a", "--device", "cuda")[2].startswith("error: --device cuda is not here: use ")
