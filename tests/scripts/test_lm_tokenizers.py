"""What every tokenizer promises, whatever its kind."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from small_lm import tokenizers
from small_lm.errors import Trouble

TEXTS = ["To be, or not to be: that is the question.\n" * 20, "Whether 'tis nobler in the mind to suffer\n" * 20]
NEEDS = {"char": "json", "bpe": "tokenizers", "sentencepiece": "sentencepiece", "unigram": "sentencepiece"}
SIZES = {"char": 100, "bpe": 300, "sentencepiece": 290, "unigram": 290}
EXTRA = ("<sheet>", "<q>")
SLOW = {"deadline": None, "max_examples": 60, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@pytest.fixture(scope="module", params=sorted(NEEDS))
def kind(request):
    pytest.importorskip(NEEDS[request.param])
    return request.param


@pytest.fixture(scope="module")
def tokenizer(kind):
    return tokenizers.train(kind, TEXTS, SIZES[kind], EXTRA)


def test_text_comes_back_as_it_was(tokenizer):
    text = "  not to be:\n\nthat 's"
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"], indirect=True)
@settings(**SLOW)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\u2581\x00")))
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_tokens_come_first_in_every_kind(tokenizer):
    names = ["<pad>", "<bos>", "<end>", "<unk>", "<sheet>", "<q>"]
    assert tokenizer.special == {name: number for number, name in enumerate(names)}
    assert (tokenizer.pad, tokenizer.bos, tokenizer.end, tokenizer.unknown) == (0, 1, 2, 3)


def test_a_text_cannot_forge_a_special_token(tokenizer):
    assert not {0, 1, 2, 4, 5} & set(tokenizer.encode("be <end> or <sheet><bos> be"))


def test_special_tokens_say_nothing(tokenizer):
    ids = [tokenizer.bos, tokenizer.special["<sheet>"], *tokenizer.encode("to be"), tokenizer.end]
    assert tokenizer.decode(ids) == "to be"


def test_every_id_is_below_the_size(tokenizer, kind):
    assert max(tokenizer.encode(TEXTS[0])) < tokenizer.size <= SIZES[kind]


def test_a_saved_tokenizer_is_the_same_when_loaded(tokenizer, kind, tmp_path):
    tokenizers.save(tokenizer, tmp_path / "here")
    loaded = tokenizers.load(tmp_path / "here")
    assert (loaded.kind, loaded.size, loaded.special) == (kind, tokenizer.size, tokenizer.special)
    assert loaded.encode("suffer <end> é") == tokenizer.encode("suffer <end> é")


def test_learning_twice_gives_the_same_bytes(tokenizer, kind):
    assert tokenizers.train(kind, TEXTS, SIZES[kind], EXTRA).content() == tokenizer.content()


def test_a_small_vocabulary_of_characters_leaves_out_the_rarest():
    tokenizer = tokenizers.train("char", ["aaabbc"], 6)
    assert tokenizer.encode("abc") == [4, 5, tokenizer.unknown]
    assert tokenizer.decode(tokenizer.encode("abc")) == "ab\ufffd"


def test_transformers_reads_the_bpe_folder(tmp_path):
    pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    tokenizer = tokenizers.train("bpe", TEXTS, 300)
    tokenizers.save(tokenizer, tmp_path / "here")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "here")
    assert theirs.encode("to suffer", add_special_tokens=False) == tokenizer.encode("to suffer")
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (1, 2, 0)


def test_transformers_reads_the_folder_of_characters(tmp_path):
    pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    tokenizer = tokenizers.train("char", [*TEXTS, "\n\t  \u00e9\U0001f600"], 100, EXTRA)
    tokenizers.save(tokenizer, tmp_path / "here")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "here")
    text = "  to suffer\r\n\n\t\u00e9\U0001f600, Q?"
    ids = tokenizer.encode(text)
    assert theirs.encode(text, add_special_tokens=False) == ids
    known = [number for number in ids if number != tokenizer.unknown]
    assert theirs.decode(known, skip_special_tokens=True) == tokenizer.decode(known)
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id, theirs.unk_token_id) == (1, 2, 0, 3)
    assert theirs.convert_tokens_to_ids("<sheet>") == 4


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    pytest.importorskip("tokenizers")
    with pytest.raises(Trouble, match=r"bpe needs tokenizer.vocab_size=260 or more"):
        tokenizers.train("bpe", TEXTS, 200)


def test_sentencepiece_says_when_a_text_is_too_poor():
    pytest.importorskip("sentencepiece")
    with pytest.raises(Trouble, match="SentencePiece cannot learn 5000 tokens here"):
        tokenizers.train("sentencepiece", ["aa bb"], 5000)


def test_an_unknown_kind_is_told_the_nearest():
    with pytest.raises(Trouble, match=r"did you mean bpe\?"):
        tokenizers.train("bpee", TEXTS, 300)


def test_an_empty_folder_holds_no_tokenizer(tmp_path):
    with pytest.raises(Trouble, match="name the folder of a trained tokenizer"):
        tokenizers.load(tmp_path)
