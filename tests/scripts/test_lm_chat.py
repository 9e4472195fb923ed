"""Conversations: only replies are learned, by a template that the model keeps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from common import files  # noqa: E402  # they need torch
from small_lm import base_model, chat, foreign_model, hf_format, tokenizers  # noqa: E402
from small_lm.command_line import main  # noqa: E402
from small_lm.examples import IGNORED, conversations, example  # noqa: E402
from small_lm.model import Llama, preset  # noqa: E402

ANSWERS = {"red": "rose", "blue": "sky", "green": "leaf"}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is red?"},
    {"role": "assistant", "content": "A rose."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "It is so."},
]
VOCABULARY = 300
SMALL = (
    "text.kind=chat",
    "model.from=base",
    "run.steps=60",
    "run.batch_tokens=256",
    "run.length=64",
    "run.threads=1",
    "run.precision=float32",
    "optimiser.lr=1e-2",
    "optimiser.warmup=1",
    "judge.every=20",
    "keep.every=20",
    "sample.every=30",
    "sample.max_length=5",
    "sample.prompts=What is red?",
    "outputs=OUT",
)
TEMPLATES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "that forgets": "{% for m in messages %}{{ m.role }}: {{ m.content if loop.last else '' }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}",
    "that refuses": "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}x",
}


def pairs():
    return [
        {"messages": [{"role": "user", "content": f"What is {one}?"}, {"role": "assistant", "content": f"A {other}."}]}
        for one, other in ANSWERS.items()
    ]


def write(rows, name="data/talk.jsonl"):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with conversations."""
    for name in [name for name in os.environ if name.startswith(("DO_TASKS_", "SMALL_LM_"))]:
        monkeypatch.delenv(name)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write(pairs() * 10)
    return tmp_path


def spoken():
    return "".join(f"{role}: \n" for role in ("System", "User", "Assistant")) + json.dumps([pairs(), MESSAGES])


def own(kind="char"):
    tokenizer = tokenizers.train(kind, [spoken()] * 20, VOCABULARY)
    hf_format.save(Path("base"), Llama(preset("tiny", vocab_size=tokenizer.size, context=128)), tokenizer)
    return tokenizer


def foreign(template=""):
    """Write a model of transformers with a tokenizer of its own, and a chat template if one is given."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    learned = tokenizers.train("bpe", [spoken()] * 20, VOCABULARY).learned
    end = "<|im_end|>" if "im_end" in template else "<end>"
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=learned, eos_token=end, unk_token="<unk>")
    wrapped.chat_template = template or None
    wrapped.save_pretrained("base")
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"eos_token_id": wrapped.eos_token_id, "bos_token_id": None, "max_position_embeddings": 128}
    made = transformers.LlamaConfig(vocab_size=len(wrapped), **shape, **ends)
    transformers.AutoModelForCausalLM.from_config(made).save_pretrained("base")


def read():
    folder = base_model.folder_of(Path("OUT"))
    return hf_format.load(folder) if base_model.is_own(folder) else foreign_model.load(folder)


def learned_text(tokenizer, ids, marks):
    return tokenizer.decode([number for number, is_learned in zip(ids, marks, strict=True) if is_learned])


# What is learned


@pytest.mark.parametrize("kind", ["char", "bpe", "sentencepiece"])
def test_only_replies_are_learned_each_with_its_end(kind):
    tokenizer = tokenizers.train(kind, [spoken()] * 20, VOCABULARY)
    ids, marks = tokenizer.conversation(MESSAGES)
    assert learned_text(tokenizer, ids, marks) == " A rose. It is so."
    assert [number for number, is_learned in zip(ids, marks, strict=True) if is_learned].count(tokenizer.end) == 2
    said = tokenizer.decode(ids)
    assert said == "System: Be brief.\nUser: What is red?\nAssistant: A rose.\nUser: Why?\nAssistant: It is so.\n"
    made = example(ids, marks)
    assert [one for one in made.targets if one != IGNORED] == [
        number for number, is_learned in zip(ids, marks, strict=True) if is_learned
    ]
    assert made.inputs == ids[:-1]


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_transformers_makes_the_same_ids_of_the_template_that_is_kept(kind):
    transformers = pytest.importorskip("transformers")
    tokenizer = own(kind)
    assert main([*SMALL, "run.steps=1"]) == 0
    theirs = transformers.AutoTokenizer.from_pretrained("OUT/model")
    assert theirs.chat_template == chat.TEMPLATE
    assert theirs.apply_chat_template(MESSAGES, return_dict=False) == tokenizer.conversation(MESSAGES)[0]
    tokenizer.begin_chat()
    asked = theirs.apply_chat_template(MESSAGES[1:2], add_generation_prompt=True, return_dict=False)
    assert asked == tokenizer.start("What is red?")


@pytest.mark.parametrize("template", ["", TEMPLATES["chatml"]], ids=["without", "chatml"])
def test_replies_of_another_makers_template_are_learned(template):
    foreign(template)
    _, tokenizer = foreign_model.load(Path("base"))
    tokenizer.begin_chat()
    ids, marks = tokenizer.conversation(MESSAGES)
    assert tokenizer.inner.apply_chat_template(MESSAGES, return_dict=False) == ids
    assert learned_text(tokenizer, ids, marks).split() == ["A", "rose.", "It", "is", "so."]
    assert sum(marks[at] and ids[at] == tokenizer.closing[0] for at in range(len(ids))) == 2
    before = ids[: marks.index(True)]
    asked = tokenizer.rendered(MESSAGES[:2], is_asked=True)
    assert tokenizer.inner.encode(asked, add_special_tokens=False) == before


def test_a_long_conversation_is_cut_and_that_is_said(capsys):
    class Part:
        def documents(self):
            yield [json.dumps(MESSAGES)]
            yield [json.dumps([{"role": "user", "content": "x" * 90}, MESSAGES[2]])]
            yield [json.dumps(pairs()[0]["messages"])]

    found = conversations(Part(), own(), 50)
    assert [len(one.inputs) for one in found] == [50, len(own().conversation(pairs()[0]["messages"])[0]) - 1]
    said = capsys.readouterr().out
    assert "2 of 3 conversations are longer than run.length=50 tokens: cut; 1 of them left out" in said


# Training


def deep(make, name):
    return pytest.param(make, id=name, marks=pytest.mark.deep)


@pytest.mark.parametrize("make", [own, deep(foreign, "foreign"), deep(lambda: foreign(TEMPLATES["chatml"]), "chatml")])
def test_a_model_learns_to_answer(make, capsys):
    make()
    assert main([*SMALL, "run.steps=200"]) == 0, capsys.readouterr().err
    _, tokenizer = read()
    assert tokenizer.chat_template or tokenizer.inner.chat_template
    sampled = files.read_jsonl(Path("OUT/training_logs/samples.jsonl"))
    assert sampled[-1]["prompt"] == "What is red?"
    questions = [f"What is {one}?" for one in ANSWERS]
    capsys.readouterr()
    assert main(["generate", "OUT", "--chat", "--temperature", "0", "--max-length", "20", "--json", *questions]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"].strip() for row in rows] == [f"A {other}." for other in ANSWERS.values()]
    assert all(row["ended"] for row in rows)
    assert main(["generate", "OUT", "--chat", "--temperature", "0", questions[0]]) == 0
    assert capsys.readouterr().out == "What is red?\nA rose.\n"


def test_a_stopped_training_goes_on_bit_for_bit(capsys):
    own()
    given = ("run.steps=24", "keep.every=8")
    assert main([*SMALL, *given, "outputs=whole"]) == 0
    assert main([*SMALL, "keep.every=8", "run.steps=12", "outputs=cut", "optimiser.schedule=flat"]) == 0
    assert main([*SMALL, *given, "outputs=other", "optimiser.schedule=flat"]) == 0
    assert main([*SMALL, *given, "outputs=cut", "optimiser.schedule=flat", "resume=always"]) == 0
    assert "going on after step 12" in capsys.readouterr().out
    one, other = (files.read_jsonl(Path(name, "training_logs/metrics.jsonl")) for name in ("cut", "other"))
    assert [row.get("loss") for row in one if "loss" in row][:6] == [row["loss"] for row in other if "loss" in row][:6]


def test_a_chat_goes_on_from_a_chat(capsys):
    own()
    assert main([*SMALL, "run.steps=2"]) == 0
    assert main([*SMALL, "run.steps=2", "model.from=OUT", "outputs=MORE"]) == 0, capsys.readouterr().err
    assert hf_format.load(Path("MORE/model"))[1].chat_template == chat.TEMPLATE


def test_held_out_conversations_are_judged_by_their_replies():
    own()
    write(pairs() * 10, "data/judge.jsonl")
    assert main([*SMALL, "text.held_out=judge", "run.steps=80"]) == 0
    told = [row for row in files.read_jsonl(Path("OUT/training_logs/metrics.jsonl")) if "val_accuracy" in row]
    assert told[-1]["val_accuracy"] > 0.95


# What is refused


def turn(role, content):
    return {"role": role, "content": content}


GOOD = pairs()[0]["messages"]
BAD = {  # a row, and what is said of it
    "no JSON": ("{", "line 2: no JSON"),
    "a list": ("[]", "line 2: neither an object nor a text"),
    "a text": ('"hello"', "line 2: messages must be a list"),
    "another name": ({"conversations": GOOD}, "line 2: no column 'messages'"),
    "no list": ({"messages": "hello"}, "line 2: messages must be a list"),
    "null": ({"messages": None}, "line 2: messages must be a list"),
    "empty": ({"messages": []}, "line 2: messages must be a list"),
    "no object": ({"messages": ["hello"]}, "line 2, message 1: a message has role and content"),
    "no role": ({"messages": [{"content": "a"}]}, "line 2, message 1: a message has role and content"),
    "another role": ({"messages": [GOOD[0], turn("tool", "a")]}, "line 2, message 2: role must be system, user or"),
    "a role in capitals": ({"messages": [turn("User", "a"), GOOD[1]]}, "line 2, message 1: role must be"),
    "a role that is no text": ({"messages": [turn(["user"], "a"), GOOD[1]]}, "line 2, message 1: role must be"),
    "no content": ({"messages": [GOOD[0], turn("assistant", None)]}, "line 2, message 2: content must be a text"),
    "nothing said": ({"messages": [GOOD[0], turn("assistant", " ")]}, "line 2, message 2: content must be a text"),
    "an image": ({"messages": [turn("user", [{"type": "image", "url": "x"}]), GOOD[1]]}, "message 1: content must be"),
    "no reply": ({"messages": [GOOD[0]]}, "line 2: no message of the assistant"),
}


def refused(capsys, *arguments):
    capsys.readouterr()
    code = main([*SMALL, *arguments])
    said = capsys.readouterr().err
    assert code in {1, 2}
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    assert not Path("OUT").exists()
    return said


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_by_its_line(name, capsys):
    own()
    row, words = BAD[name]
    bad = row if isinstance(row, str) else json.dumps(row)
    good = json.dumps(pairs()[0])
    Path("data/talk.jsonl").write_text(f"{good}\n{bad}\n{good}\n")
    said = refused(capsys)
    assert f"data/talk.jsonl, {words}" in said or words in said
    assert "talk.jsonl, line 2" in said


def test_contents_in_parts_of_text_are_one_text():
    parts = [{"type": "text", "text": "A "}, {"type": "text", "text": "rose."}]
    row = chat.row(Path("a.jsonl"), 1, [GOOD[0], turn("assistant", parts) | {"name": "x"}])
    assert json.loads(row)[1] == turn("assistant", "A rose.")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["model.from="], "set model.from=FOLDER"),
        (["text.hub=some/talk"], "leave out text.hub"),
        (["run.long_length=96", "run.batch_tokens=512"], "leave out run.long_length"),
        (["text.files=talk.txt"], "reads .jsonl and .parquet"),
        (["text.files=nothing*"], "no file matches"),
        (["text.files=one.jsonl"], "0 rows to learn from and 1 held out"),
        (["run.length=12"], "0 rows to learn from and 0 held out"),
        (["sample.prompts=" + "x1 " * 80], "more than the model's context of 128"),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
def test_what_no_conversation_can_be_learned_with_is_one_line(given, words, capsys):
    own()
    Path("data/talk.txt").write_text("hello")
    write(pairs()[:1], "data/one.jsonl")
    assert words in refused(capsys, *given)


@pytest.mark.parametrize(
    ("template", "words"), [("that forgets", "changes a reply when more follows"), ("that refuses", "no system here")]
)
def test_a_template_that_cannot_be_learned_with_is_one_line(template, words, capsys):
    foreign(TEMPLATES[template])
    write([{"messages": MESSAGES}] * 20)
    said = refused(capsys)
    assert words in said
    assert "the conversation that begins with 'Be brief.'" in said


def test_a_special_token_in_a_message_is_refused(capsys):
    foreign()
    write([{"messages": [turn("user", "What <end> is red?"), GOOD[1]]}] * 20)
    assert "a message holds the special token <end>" in refused(capsys)


def test_a_model_without_a_template_has_no_chat(capsys):
    own()
    assert main(["generate", "base", "--chat", "hello"]) == 2
    assert "has no chat template" in capsys.readouterr().err
