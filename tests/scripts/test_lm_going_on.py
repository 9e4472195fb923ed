"""A training goes on from a model that is there: of small-lm, or of transformers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
transformers = pytest.importorskip("transformers")

from common import files  # noqa: E402  # they need torch
from small_lm import foreign_model, hf_format, settings, tokenizers  # noqa: E402
from small_lm.command_line import main  # noqa: E402
from small_lm.model import Llama, preset  # noqa: E402

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TEXT = "".join(f"Say {n * n % 97} and {n % 7}, good Ben; the barrel knows it.\n" for n in range(120))
VOCABULARY = 300
CONFIGS = {
    "llama": transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
    ),
    "gpt2": transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=2, eos_token_id=2
    ),
    "qwen2": transformers.Qwen2Config(
        vocab_size=VOCABULARY + 20,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=2,
    ),
}
SMALL = (
    "text.files=play.txt",
    "run.steps=12",
    "run.batch_tokens=128",
    "run.length=32",
    "run.threads=1",
    "run.log_every=1",
    "run.precision=float32",
    "optimiser.lr=1e-2",
    "optimiser.warmup=1",
    "judge.every=4",
    "judge.batches=2",
    "keep.every=4",
    "sample.every=6",
    "sample.max_length=5",
    "outputs=OUT",
)

LONG = "run.steps=40"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with one small text."""
    for name in [name for name in os.environ if name.startswith(("DO_TASKS_", "SMALL_LM_"))]:
        monkeypatch.delenv(name)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "play.txt").write_text(TEXT)
    return tmp_path


def foreign(where, config="llama", **how):
    """Write a model of transformers with a tokenizer that small-lm knows nothing of; return its folder."""
    transformers.utils.logging.disable_progress_bar()
    learned = tokenizers.train("bpe", [TEXT], VOCABULARY)
    specials = {"unk_token": "<unk>", "eos_token": "<end>"} | ({} if config == "qwen2" else {"bos_token": "<bos>"})
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=learned.learned, **specials)
    wrapped.save_pretrained(where)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[config])
    model.save_pretrained(where, **how)
    return Path(where)


def own(where, dropout=0.0):
    """Write a model of small-lm."""
    tokenizer = tokenizers.train("char", [TEXT], 60)
    hf_format.save(Path(where), Llama(preset("tiny", vocab_size=tokenizer.size, context=64)), tokenizer)
    return Path(where)


def losses(folder="OUT"):
    rows = files.read_jsonl(Path(folder) / "training_logs" / "metrics.jsonl")
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_model_of_another_maker_is_trained_on_and_read_by_its_own_library(config, capsys):
    base = foreign("base", config)
    assert main([*SMALL, f"model.from={base}"]) == 0, capsys.readouterr().err
    assert losses()[-1] < losses()[0] - 0.3
    told = files.read_jsonl(Path("OUT/training_logs/metrics.jsonl"))
    best = min((row for row in told if "val_loss" in row), key=lambda row: row["val_loss"])
    model, tokenizer = foreign_model.load(Path("OUT/model"), is_trained=True)
    before, _ = foreign_model.load(base)
    assert type(model.inner) is type(before.inner)
    ids = torch.tensor([tokenizer.encode(TEXT[-200:])])[:, :60]
    assert model(ids).shape == before(ids).shape
    assert loss(model, ids) < loss(before, ids) - 0.3
    assert best["val_loss"] == pytest.approx(loss(model, ids), abs=1.0)
    assert tokenizer.files() == foreign_model.load(base)[1].files()
    capsys.readouterr()
    assert main(["generate", "OUT", "Say ", "--max-length", "4"]) == 0
    assert capsys.readouterr().out.startswith("Say ")


def loss(model, ids):
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(model(ids)[0, :-1], ids[0, 1:]))


@pytest.mark.parametrize("extra", [(), ("model.dropout=0.1",)], ids=len)
def test_a_model_of_small_lm_is_trained_on(extra, capsys):
    base = own("base")
    assert main([*SMALL, f"model.from={base}", *extra]) == 0, capsys.readouterr().err
    assert losses()[-1] < losses()[0] - 0.3
    model, tokenizer = hf_format.load(Path("OUT/model"))
    assert model.shape == hf_format.load(base)[0].shape
    assert tokenizer.content() == hf_format.load(base)[1].content()


def test_the_folder_of_a_run_is_that_of_its_model(capsys):
    own("earlier/model")
    assert main([*SMALL, "model.from=earlier"]) == 0, capsys.readouterr().err


def test_the_weights_that_it_begins_with_are_those_of_the_folder(capsys):
    base = foreign("base")
    still = ("optimiser.lr=1e-30", "optimiser.adamw_lr=1e-30", "run.steps=1", "optimiser.weight_decay=0")
    assert main([*SMALL, f"model.from={base}", *still]) == 0, capsys.readouterr().err
    one, other = foreign_model.load(base)[0].state_dict(), foreign_model.load(Path("OUT/model"))[0].state_dict()
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


def process(base, **environ):
    command = [sys.executable, str(SCRIPTS / "train_lm.py"), *SMALL, "outputs=cut", f"model.from={base}", LONG]
    return subprocess.Popen(
        command, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def is_cut_short(base):
    """Kill a training behind its tenth step; return False if it had ended by itself before."""
    shutil.rmtree("cut", ignore_errors=True)
    log, started = Path("cut/training_logs/loss.txt"), process(base)
    while started.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > 10):
        time.sleep(0.01)
    started.kill()
    started.communicate(timeout=60)
    return started.returncode == -signal.SIGKILL


@pytest.mark.deep
def test_a_killed_training_goes_on_bit_for_bit(capsys):
    base = foreign("base", "gpt2")  # with dropout
    assert main([*SMALL, "outputs=whole", f"model.from={base}", LONG]) == 0, capsys.readouterr().err
    assert any(is_cut_short(base) for _ in range(10)), "it always ended before it could be killed"
    again = process(base, DO_TASKS_RESUME="1")
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0, said
    assert "going on after step" in said
    assert losses("cut") == losses("whole")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert Path("cut/model", name).read_bytes() == Path("whole/model", name).read_bytes()


# What cannot be


def pickled(base):
    weights = base / "model.safetensors"
    torch.save({}, base / "pytorch_model.bin")
    weights.unlink()


def without(name):
    return lambda base: (base / name).unlink()


def changed(name, **values):
    def change(base):
        path = base / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def tokenless(base):
    for path in base.glob("tokenizer*"):
        path.unlink()


def half(base):
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def gap(base):
    """Leave a layer out of the weights."""
    from safetensors import torch as safetensors

    weights = safetensors.load_file(base / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layers.1.mlp" not in name}
    safetensors.save_file(kept, base / "model.safetensors", metadata={"format": "pt"})


def larger_tokenizer(base):
    learned = tokenizers.train("bpe", [TEXT], VOCABULARY + 20)
    transformers.PreTrainedTokenizerFast(tokenizer_object=learned.learned).save_pretrained(base)


DAMAGE = {
    "pickles": (pickled, "save them as safetensors"),
    "no weights": (without("model.safetensors"), "holds no model.safetensors"),
    "no config": (without("config.json"), "holds no config.json"),
    "no tokenizer": (tokenless, "holds no tokenizer"),
    "no JSON": (lambda base: (base / "config.json").write_text("{"), "is not JSON"),
    "a list": (lambda base: (base / "config.json").write_text("[]"), "is no JSON object"),
    "half the weights": (half, "cannot be read by transformers"),
    "a layer less": (gap, "lacks weights"),
    "another width": (changed("config.json", hidden_size=64), "cannot be read by transformers"),
    "no kind": (changed("config.json", model_type="nonsense"), "cannot be read by transformers"),
    "another's tokenizer": (larger_tokenizer, "it is another model's"),
    "parts": (
        lambda base: (base / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}'),
        "holds no model-2.safetensors",
    ),
    "a damaged index": (lambda base: (base / "model.safetensors.index.json").write_text("[]"), "is damaged"),
}
BESIDE = {
    "model.preset=tiny": "leave out model.preset=tiny",
    "model.layers=3": "leave out model.layers=3",
    "model.context=32": "leave out model.context=32",
    "model.init=induction": "leave out model.init=induction",
    "model.dropout=0.1": "model.dropout is for models of small-lm",
    "tokenizer.kind=char": "leave out tokenizer.kind=char",
    "tokenizer.vocab_size=500": "leave out tokenizer.vocab_size=500",
    "run.length=128": "the 64 tokens that the model of model.from reads must be 128 or more, one window of run.length",
    "sample.prompts=" + "x1 " * 80: "more than the model's context of 64",
    "outputs=base": "set outputs=ANOTHER",
    "outputs=.": "set outputs=ANOTHER",
}


def refused(capsys, *arguments):
    """Run what must be refused; return the one line that is said."""
    capsys.readouterr()
    code = main([*SMALL, *arguments])
    said = capsys.readouterr().err
    assert code in {1, 2}
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    return said


@pytest.mark.parametrize("name", DAMAGE)
def test_a_folder_that_cannot_be_gone_on_from_is_one_line_before_the_first_file(name, capsys):
    injure, words = DAMAGE[name]
    base = foreign("base")
    injure(base)
    assert words in refused(capsys, f"model.from={base}", "resume=always")
    assert not Path("OUT").exists()


@pytest.mark.parametrize("given", BESIDE)
def test_what_does_not_fit_to_the_folder_is_one_line_before_the_first_file(given, capsys):
    before = sorted(foreign("base").iterdir())
    assert BESIDE[given] in refused(capsys, "model.from=base", given, "run.batch_tokens=256")
    assert not Path("OUT").exists()
    assert sorted(Path("base").iterdir()) == before


def test_a_folder_that_is_not_there_is_one_line(capsys):
    assert "holds no config.json" in refused(capsys, "model.from=nowhere")


def test_a_damaged_model_of_small_lm_is_one_line(capsys):
    half(own("base"))
    assert "is damaged" in refused(capsys, "model.from=base")
    assert not Path("OUT").exists()


def test_a_model_that_looks_ahead_is_refused(capsys):
    foreign("base")
    CONFIGS["bert"] = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    try:
        foreign("ahead", "bert")
    finally:
        del CONFIGS["bert"]
    assert "is no causal language model" in refused(capsys, "model.from=ahead")


def test_an_earlier_run_stays_where_it_is_when_the_folder_is_refused(capsys):
    base = foreign("base")
    assert main([*SMALL, f"model.from={base}", "run.steps=2"]) == 0
    half(base)
    refused(capsys, f"model.from={base}")
    assert Path("OUT/model/config.json").is_file()
    assert not Path("OUT.1").exists()


@pytest.mark.parametrize("other", ["another folder", "no folder", "another shape"])
def test_a_training_goes_on_from_its_own_model_alone(other, capsys):
    base = foreign("base")
    assert main([*SMALL, f"model.from={base}", "run.steps=2"]) == 0
    before = left()
    given = {"another folder": f"model.from={foreign('other')}", "no folder": "model.from="}.get(
        other, "model.from=base"
    )
    if other == "another shape":
        changed("config.json", rope_theta=77.0, rope_parameters={"rope_type": "default", "rope_theta": 77.0})(base)
    said = refused(capsys, given, "resume=always")
    assert "model.from" in said or "set outputs=ANOTHER" in said
    assert "Traceback" not in said
    assert left() == before


def left():
    """Return the files of a run, but for the tokens, which are made anew from the texts."""
    return sorted(path for path in Path("OUT").rglob("*") if "tokens" not in path.parts)


def test_a_small_test_goes_on_from_the_folder_too(capsys):
    base = foreign("base")
    assert main(["--test", "text.files=play.txt", "run.threads=1", "run.length=64", f"model.from={base}"]) == 0, (
        capsys.readouterr().err
    )
    assert json.loads(Path("outputs/lm/test/model/config.json").read_text())["model_type"] == "llama"


def test_a_setting_with_a_word_of_python_is_read_from_everywhere(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"model:\n  from: {own('base')}\nrun:\n  length: 64\n")
    assert settings.load(str(tmp_path / "mine.yaml"), (), {}).model.from_ == "base"
    assert settings.load("", (), {"SMALL_LM_MODEL_FROM": "base", "SMALL_LM_RUN_LENGTH": "64"}).model.from_ == "base"
