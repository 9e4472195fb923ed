"""Texts of many files in bounded pieces, their tokens in a mapped file, and the same stream as of a text at once."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from hypothesis import HealthCheck, given  # noqa: E402
from hypothesis import settings as examples  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from small_lm import data, hub, settings, text_files, texts, token_file, tokenizers  # noqa: E402  # they need torch
from small_lm.errors import Trouble  # noqa: E402

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
NEEDS = {"char": "json", "bpe": "tokenizers", "sentencepiece": "sentencepiece", "unigram": "sentencepiece"}
PLAY = "".join(f"Say {n * n % 97},  good Ben;\n\n\tthe barrel knows it, {n}th time.\n" for n in range(400))
ROWS = ["The first row.", "A second one,\nof two lines", "third \u00e9", "", "the last"]


def chosen(folder, *overrides):
    return settings.load("", [f"data={folder}", f"outputs={folder}/OUT", "tokenizer.kind=char", *overrides], {})


def bodies(part):
    return ["".join(document) for document in part.documents()]


# Pieces


@examples(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.text("ab \n.\t1'", max_size=9)))
def test_pieces_are_the_text_and_begin_before_spaces_after_a_word(pieces):
    found = list(texts.cut(pieces))
    assert "".join(found) == "".join(pieces)
    assert all(after[0] == " " and not before[-1].isspace() for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("kind", sorted(NEEDS))
def test_a_text_in_pieces_has_the_tokens_of_the_whole(kind, tmp_path):
    pytest.importorskip(NEEDS[kind])
    tokenizer = tokenizers.train(kind, [PLAY], 300)
    path = tmp_path / "play.txt"
    path.write_text(PLAY)
    whole = [tokenizer.bos, *tokenizer.encode(PLAY), tokenizer.end]
    part = texts.Part(((text_files.Plain(path), 0, None),))
    for size in (1, 7, 100):
        text_files.PIECE, before = size, text_files.PIECE
        try:
            ids = [number for piece in token_file.stream(part, tokenizer) for number in piece]
        finally:
            text_files.PIECE = before
        assert ids == whole


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_a_tokenizer_of_pieces_is_that_of_the_whole(kind, tmp_path):
    pytest.importorskip(NEEDS[kind])
    pieces = list(texts.cut([PLAY[at : at + 50] for at in range(0, len(PLAY), 50)]))
    assert len(pieces) > 50
    assert tokenizers.train(kind, pieces, 300).content() == tokenizers.train(kind, [PLAY], 300).content()


# Token files


@pytest.fixture
def corpus(tmp_path):
    """Prepare a corpus of one text; give it and what lies in its folder of tokens."""
    (tmp_path / "play.txt").write_text(PLAY)

    def prepared(*overrides):
        found = data.prepare(chosen(tmp_path, *overrides), tmp_path / "OUT" / "tokenizer")
        return found, {path.name: path.stat().st_mtime_ns for path in (tmp_path / "OUT" / "tokens").iterdir()}

    return prepared


def test_tokens_are_those_of_the_text_and_their_digest_too(corpus):
    found, there = corpus()
    tokenizer, tokens = found.tokenizer, found.source.tokens
    cut = int(len(PLAY) * 0.9)
    wanted = torch.tensor([tokenizer.bos, *tokenizer.encode(PLAY[:cut]), tokenizer.end])
    assert torch.equal(tokens[0 : len(tokens)], wanted)
    assert found.digest == data.digest(wanted)
    assert tokenizer.decode(found.held_out[0 : len(found.held_out)].tolist()) == PLAY[cut:]
    assert set(there) == {"train.bin", "train.json", "held_out.bin", "held_out.json"}


def test_token_files_are_used_again_and_made_anew_for_other_texts_or_tokenizers(corpus, tmp_path):
    _, first = corpus()
    assert corpus()[1] == first
    assert corpus("tokenizer.vocab_size=9")[1] != first
    _, second = corpus()
    (tmp_path / "play.txt").write_text(PLAY.replace("barrel", "cupbrd"))
    found, third = corpus()
    assert third["train.bin"] != second["train.bin"]
    assert "cupbrd" in found.tokenizer.decode(found.source.tokens[0:200].tolist())


@pytest.mark.parametrize("name", ["train.bin", "train.json", "held_out.bin"])
@pytest.mark.parametrize("how", ["cut", "gone", "changed"])
def test_a_damaged_token_file_is_made_anew(corpus, tmp_path, name, how):
    whole, _ = corpus()
    wanted = whole.source.tokens[0:99].clone()
    path = tmp_path / "OUT" / "tokens" / name
    content = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(content[:9] if how == "cut" else content[:-3] + b"\x07\x07\x07")
    found, _ = corpus()
    assert found.digest == whole.digest
    assert torch.equal(found.source.tokens[0:99], wanted)
    assert path.read_bytes() == content


MEMORY = """
import os, resource, sys
from small_lm import settings, train
limit, folder = int(sys.argv[1]), sys.argv[2]
code = train.run(settings.load("", [f"data={folder}", f"outputs={folder}/OUT", *sys.argv[3:]], {}))
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print("peak", used, "MB, threads of the tokenizer:", os.environ["RAYON_NUM_THREADS"])
sys.exit(code or (used > limit))
"""


@pytest.mark.deep
def test_thirty_megabytes_of_text_need_less_than_700(tmp_path):
    pytest.importorskip("tokenizers")
    line = "It was the {} of times, the age of {}; \u201cwe had {} before us\u201d.\n"
    body = "".join(line.format(n * n % 9973, n % 101, n) for n in range(470_000))
    (tmp_path / "book.txt").write_text(body)
    assert (tmp_path / "book.txt").stat().st_size > 30_000_000
    small = ("run.steps=2", "judge.batches=2", "sample.every=0", "model.context=256", "run.threads=1")
    command = [sys.executable, "-c", MEMORY, "700", str(tmp_path), *small]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


# Files and rows


def write_rows(folder, name):
    path = folder / name
    if name.endswith((".csv", ".tsv")):
        import csv

        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="\t" if name.endswith("tsv") else ",").writerows(
                [("n", "text"), *enumerate(ROWS)]
            )
    elif name.endswith("parquet"):
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"text": ROWS}), path)
    else:
        path.write_text("".join(json.dumps({"n": 1, "text": row}) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.parquet"])
def test_each_row_of_a_table_is_a_document_and_the_last_ones_judge(tmp_path, name):
    write_rows(tmp_path, name)
    found = texts.find(chosen(tmp_path, f"text.files={name}", "text.val_share=0.3"))
    assert bodies(found.learned) == ROWS[:2]
    assert bodies(found.held_out) == [ROWS[2], ROWS[4]]


def test_a_line_of_json_may_be_a_text_and_half_a_surrogate_pair_is_replaced(tmp_path):
    (tmp_path / "a.jsonl").write_text('"one"\n\n{"text": "tw\\ud800o"}\n{"text": null}\n')
    assert bodies(texts.find(chosen(tmp_path, "text.files=a.jsonl")).learned) == ["one"]
    assert list(text_files.opened(tmp_path / "a.jsonl", settings.Text()).rows()) == ["one", "tw\ufffdo"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"n,txt\n1,a\n", "a.csv: no column 'text'; did you mean txt?; there are: n, txt; set text.column"),
        ("a.csv", b"", "no column 'text'; there are: nothing"),
        ("a.csv", b"text\n", "no row has a text in column 'text'"),
        ("a.csv", b"text\n\xff\n", "a.csv is not UTF-8 at byte 5"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl, line 2: no JSON"),
        ("a.jsonl", b'{"txt": "a"}\n', "a.jsonl, line 1: no column 'text'; did you mean txt?"),
        ("a.jsonl", b'{"text": 5}\n', "a.jsonl, row 1: it is no text: 5: set text.column"),
        ("a.jsonl", b"[1]\n", "a.jsonl, line 1: neither an object nor a text"),
        ("a.txt", b"\xef\xbb\xbf" + b"a" * 70_000 + b"\xff", "a.txt is not UTF-8 at byte 70003"),
        ("a.txt", "\u20ac".encode() * 70_000 + b"\xe2\x82", "a.txt is not UTF-8 at byte 210000"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_place(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Trouble) as trouble:
        texts.find(chosen(tmp_path, f"text.files={name}"))
    assert said in str(trouble.value)


def test_a_parquet_file_that_is_none_is_told(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(Trouble, match=r"a\.parquet (is no Parquet|needs pyarrow: pip install pyarrow)"):
        texts.find(chosen(tmp_path, "text.files=a.parquet"))


def test_whole_files_can_be_held_out(tmp_path):
    for name in ("lear", "macbeth"):
        (tmp_path / f"{name}.txt").write_text(name)
    found = texts.find(chosen(tmp_path, "text.held_out=macbeth"))
    assert (bodies(found.learned), bodies(found.held_out)) == (["lear"], ["macbeth"])


@pytest.mark.parametrize(
    ("held_out", "said"), [("hamlt", r"names hamlt, .* did you mean hamlet\?"), ("[hamlet,lear]", "names every file")]
)
def test_files_that_cannot_be_held_out_are_told(tmp_path, held_out, said):
    for name in ("lear", "hamlet"):
        (tmp_path / f"{name}.txt").write_text(name)
    with pytest.raises(Trouble, match=said):
        texts.find(chosen(tmp_path, f"text.held_out={held_out}"))


def test_what_a_run_wrote_is_no_text_to_learn_from(tmp_path):
    (tmp_path / "book.txt").write_text(PLAY)
    for name in ("OUT/training_logs", "OUT.1/training_logs", "OUTER"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "loss.txt").write_text("step 1 loss 5\n")
    assert [path.parent.name for path in texts.find(chosen(tmp_path)).paths] == ["OUTER", tmp_path.name]


# The hub


def test_a_data_set_of_the_hub_that_cannot_be_had_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        Trouble, match=r"text\.hub(=nobody/nothing cannot be loaded| needs datasets: pip install datasets)"
    ):
        texts.find(chosen(tmp_path, "text.hub=nobody/nothing"))


def test_files_of_a_hub_name_cannot_be_held_out(tmp_path):
    with pytest.raises(Trouble, match=r"the last text\.val_share of its rows is held out"):
        texts.find(chosen(tmp_path, "text.hub=a/b", "text.held_out=x"))


def test_the_rows_of_a_hub_s_split_are_documents():
    table = [{"text": row} for row in ROWS]
    found = texts.split([hub.HubRows("text.hub=a/b", "text", table)], settings.Text(hub="a/b", val_share=0.3))
    assert (bodies(found.learned), bodies(found.held_out)) == (ROWS[:2], [ROWS[2], ROWS[4]])


def test_a_folder_of_files_is_loaded_as_the_hub_s_are(tmp_path):
    pytest.importorskip("datasets")
    write_rows(tmp_path / "", "train.jsonl")
    found = texts.find(chosen(tmp_path, f"text.hub={tmp_path}", "text.val_share=0.3"))
    assert bodies(found.learned) == ROWS[:2]
    with pytest.raises(Trouble, match=r"text\.hub=.* set text\.subset or text\.split"):
        texts.find(chosen(tmp_path, f"text.hub={tmp_path}", "text.split=nope"))
