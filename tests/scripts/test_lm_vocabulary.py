"""A tokenizer says where it comes from: another's is learned anew, or refused where checkpoints stand on it."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from common import files, verified_folder  # those below need torch
from small_lm import hf_format, settings, tokenizer_folder, tokenizers
from small_lm.command_line import main
from small_lm.errors import Trouble

ROOM = 300  # of 256 bytes and 4 special tokens a BPE keeps 40 pairs
SMALL = (
    "text.files=../plays/comedy.txt",
    f"tokenizer.vocab_size={ROOM}",
    "model.preset=tiny",
    "model.context=64",
    "run.steps=4",
    "run.batch_tokens=64",
    "run.length=16",
    "run.threads=1",
    "judge.batches=1",
    "sample.every=0",
    "outputs=OUT",
)
BPE, CHAR = "tokenizer.kind=bpe", "tokenizer.kind=char"
OTHERS = {
    "kind": (CHAR,),
    "size": (BPE, "tokenizer.vocab_size=280"),
    "texts": (BPE, "text.files=../plays/tragedy.txt", "run.length=8"),
    "share": (BPE, "text.val_share=0.4"),
}


@dataclass(frozen=True)
class Ended:
    """How a training ended, with what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def lm(made_up, capsys, monkeypatch):
    """Train as the command line does, in a folder with two small plays."""
    pytest.importorskip("tokenizers")
    (made_up.folder / "data").mkdir()
    monkeypatch.chdir(made_up.folder)
    for name in ("DO_TASKS_RESUME", "DO_TASKS_RESULT", "DO_TASKS_TEST", "DO_TASKS_DATA"):
        monkeypatch.delenv(name, raising=False)
    heard = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lambda *overrides: Ended(main([*SMALL, *overrides]), *capsys.readouterr())
    for number, before in heard.items():
        signal.signal(number, before)


@pytest.fixture
def aborted(lm, made_up):
    """A run that learned a BPE tokenizer and failed before its first step."""
    assert lm(BPE, "outputs=BEFORE").code == 0
    shutil.copytree(made_up.folder / "BEFORE" / "tokenizer", made_up.folder / "OUT" / "tokenizer")
    assert made_up.json("OUT/tokenizer/tokenizer_kind.json")["kind"] == "bpe"


@pytest.fixture
def trained(lm):
    """A run that trained on a BPE tokenizer."""
    assert lm(BPE).code == 0


def folder_of(made_up, place="OUT/tokenizer"):
    return {path.name: path.read_bytes() for path in (made_up.folder / place).iterdir()}


# Nothing stands on it: learned anew


@pytest.mark.parametrize("other", OTHERS)
def test_a_tokenizer_that_an_aborted_attempt_left_is_not_used_for_another(lm, made_up, aborted, other):
    left = folder_of(made_up)
    done = lm(*OTHERS[other])
    assert done.code == 0, done.err
    assert folder_of(made_up) != left
    assert "OUT/tokenizer holds another tokenizer or a part: learned anew" in done.out
    fresh = lm(*OTHERS[other], "outputs=FRESH")
    assert fresh.code == 0, fresh.err
    assert folder_of(made_up) == folder_of(made_up, "FRESH/tokenizer")
    assert folder_of(made_up, "OUT/model") == folder_of(made_up, "FRESH/model")


def test_the_manifest_states_the_tokenizer_that_trained(lm, made_up, aborted):
    assert lm(CHAR).code == 0
    told = made_up.json("OUT/manifest.json")["tokenizer"]
    kept = made_up.json("OUT/tokenizer/tokenizer_kind.json")
    assert told.pop("sha256") == tokenizer_folder.content_digest(tokenizers.load(made_up.folder / "OUT" / "model"))
    assert told == kept
    assert (told["kind"], told["vocab_size"]) == ("char", ROOM)
    assert told["size"] == made_up.json("OUT/model/config.json")["vocab_size"] < ROOM


def test_a_size_that_the_kind_refuses_is_refused_whatever_lies_there(lm, aborted):
    done = lm(BPE, "tokenizer.vocab_size=100")
    assert done.code == 2
    assert "bpe needs tokenizer.vocab_size=260 or more" in done.err


def test_the_same_tokenizer_is_used_again(lm, made_up, aborted):
    path = made_up.folder / "OUT" / "tokenizer" / "tokenizer.json"
    before = path.stat().st_mtime_ns
    assert lm(BPE).code == 0
    assert path.stat().st_mtime_ns == before


def test_texts_that_changed_under_the_same_name_are_other_texts(lm, made_up, aborted):
    path = made_up.folder / "plays" / "comedy.txt"
    path.write_text(path.read_text().replace("barrel", "cupboard"))
    done = lm(BPE)
    assert done.code == 0, done.err
    assert "learned anew" in done.out
    assert (
        made_up.json("OUT/tokenizer/tokenizer_kind.json")["texts"]
        == made_up.json("OUT/manifest.json")["tokenizer"]["texts"]
    )


@pytest.mark.parametrize("lost", ["tokenizer.json", "tokenizer_kind.json", "SHA256.json"])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "gone"])
def test_a_part_of_a_tokenizer_is_learned_anew(lm, made_up, aborted, lost, cut):
    whole = folder_of(made_up)
    path = made_up.folder / "OUT" / "tokenizer" / lost
    path.write_bytes(path.read_bytes()[:9]) if cut else path.unlink()
    done = lm(BPE)
    assert done.code == 0, done.err
    assert folder_of(made_up) == whole


# Checkpoints stand on it: refused


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("kind", "tokenizer.kind bpe, not char"),
        ("size", "tokenizer.vocab_size 300, not 280"),
        ("texts", "other texts"),
        ("share", "other texts"),
    ],
)
def test_a_run_that_goes_on_with_another_tokenizer_is_refused_and_nothing_is_touched(lm, made_up, trained, other, why):
    before = folder_of(made_up), folder_of(made_up, "OUT/model"), made_up.json("OUT/manifest.json")
    done = lm(*OTHERS[other], "resume=always", "run.steps=8")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert f"OUT/tokenizer was learned otherwise ({why}), and OUT/checkpoints stands on it: " in done.err
    assert "set outputs=ANOTHER for a new training" in done.err
    assert before == (folder_of(made_up), folder_of(made_up, "OUT/model"), made_up.json("OUT/manifest.json"))
    assert lm(BPE, "resume=always", "run.steps=8").code == 0


def test_a_tokenizer_copied_from_another_run_is_refused_where_checkpoints_stand(lm, made_up, trained):
    assert lm(BPE, "tokenizer.vocab_size=280", "outputs=OTHER").code == 0
    shutil.rmtree(made_up.folder / "OUT" / "tokenizer")
    shutil.copytree(made_up.folder / "OTHER" / "tokenizer", made_up.folder / "OUT" / "tokenizer")
    done = lm(BPE, "resume=always", "run.steps=8")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "tokenizer.vocab_size 280, not 300" in done.err


def test_a_vocabulary_that_was_swapped_below_its_description_is_refused(lm, made_up, trained):
    folder = made_up.folder / "OUT" / "tokenizer"
    other = tokenizers.train("bpe", ["other words of other people " * 9], 300)
    other.origin = tokenizers.load(folder).origin
    tokenizers.save(other, folder)
    done = lm(BPE, "resume=always", "run.steps=8")
    assert done.code == 2
    assert "cannot go on here: the texts give other tokens and another learned vocabulary: give it the" in done.err


def older(folder):
    """Make of a tokenizer's folder one of a version that kept no description."""
    about = files.read_json(folder / "tokenizer_kind.json")
    content = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != verified_folder.SUMS}
    short = {name: about[name] for name in ("kind", "specials")}
    verified_folder.keep(folder, content | {"tokenizer_kind.json": json.dumps(short).encode()})


def test_a_run_of_an_older_version_goes_on_where_its_tokenizer_comes_out_the_same(lm, made_up, trained):
    older(made_up.folder / "OUT" / "tokenizer")
    done = lm(BPE, "resume=always", "run.steps=8")
    assert done.code == 0, done.err
    assert "going on after step 4" in done.out
    assert made_up.json("OUT/tokenizer/tokenizer_kind.json")["vocab_size"] == ROOM


def test_one_of_an_older_version_that_comes_out_otherwise_is_refused_where_checkpoints_stand(lm, made_up, trained):
    older(made_up.folder / "OUT" / "tokenizer")
    before = folder_of(made_up)
    done = lm(CHAR, "resume=always", "run.steps=8")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "it does not say from what" in done.err
    assert folder_of(made_up) == before


def test_checkpoints_of_a_second_home_refuse_another_tokenizer_and_then_go_on_with_theirs(lm, made_up):
    home = f"keep.second_home=file://{made_up.folder}/home"
    assert lm(BPE, home).code == 0
    shutil.rmtree(made_up.folder / "OUT")
    done = lm(CHAR, home, "resume=always", "run.steps=8")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "it has tokenizer.kind=bpe, these settings have tokenizer.kind=char: set them as they were" in done.err
    assert not (made_up.folder / "OUT" / "tokenizer").exists()
    done = lm(BPE, home, "resume=always", "run.steps=8")
    assert done.code == 0, done.err
    assert "going on after step 4" in done.out


def test_a_run_whose_logs_are_gone_is_put_aside_all_the_same(lm, made_up, trained):
    shutil.rmtree(made_up.folder / "OUT" / "training_logs")
    assert lm(CHAR).code == 0
    assert made_up.json("OUT.1/tokenizer/tokenizer_kind.json")["kind"] == "bpe"


# Every kind


@pytest.mark.parametrize(("kind", "needs"), [("sentencepiece", "sentencepiece"), ("unigram", "sentencepiece")])
def test_sentencepiece_s_two_kinds_are_not_taken_for_each_other(tmp_path, kind, needs):
    pytest.importorskip(needs)
    texts = ["To be, or not to be: that is the question.\n" * 20, "Whether 'tis nobler in the mind to suffer\n" * 20]
    for asked in ({"sentencepiece": "unigram", "unigram": "sentencepiece"}[kind], kind):
        found = tokenizer_folder.settle(tmp_path / "tokenizer", settings.Tokenizer(asked, 290), texts)
        assert (found.kind, found.origin.kind) == (asked, asked)
    assert tokenizers.load(tmp_path / "tokenizer").about() == found.about()


def test_other_special_tokens_make_another_tokenizer(tmp_path):
    chosen, texts = settings.Tokenizer("char", 99), ["to be"]
    tokenizer_folder.settle(tmp_path / "tokenizer", chosen, texts)
    found = tokenizer_folder.settle(tmp_path / "tokenizer", chosen, texts, ("<sheet>",))
    assert "<sheet>" in found.special


def test_texts_cut_elsewhere_are_other_texts(tmp_path):
    chosen = settings.Tokenizer("char", 99)
    origins = {tokenizer_folder.settle(tmp_path / "one", chosen, texts).origin for texts in (["ab", "c"], ["a", "bc"])}
    assert len(origins) == 2


def test_a_model_beside_another_s_tokenizer_is_refused(lm, made_up, trained):
    model = made_up.folder / "OUT" / "model"
    other = tokenizers.train("char", ["to be"], 99)
    for name, content in other.files().items():
        (model / name).write_bytes(content)
    with pytest.raises(Trouble, match="the tokenizer beside it 9: it is another's"):
        hf_format.load(model)
