"""Every setting is judged before anything is written; what cannot go on is refused in one sentence."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from small_lm import config, optimizer, setting_rules, settings, tokenizers  # they need torch
from small_lm.command_line import main
from small_lm.errors import Trouble

SMALL = (
    "text.files=play.txt",
    "tokenizer.kind=char",
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
WRONG = {  # a setting, and values that no training can run with
    "seed": "-1",
    "resume": "maybe",
    "text.kind": "chatt chat digits",
    "text.files": "",
    "text.held_out": "nobody",
    "text.val_share": "0 1 .nan",
    "text.column": "''",
    "text.split": "''",
    "tokenizer.kind": "bpee",
    "tokenizer.vocab_size": "0 4",
    "model.from": "nowhere",
    "model.kind": "gru",
    "model.preset": "tinyy",
    "model.context": "0 15 1000000000",
    "model.init": "inducton",
    "model.layers": "-1",
    "model.width": "-64 33 100",
    "model.heads": "-1",
    "model.inner": "-1",
    "model.dropout": "-0.1 1 .nan",
    "optimiser.name": "adam",
    "optimiser.lr": "0 -1 .inf nan",
    "optimiser.adamw_lr": "0 .inf",
    "optimiser.weight_decay": "-1 .inf",
    "optimiser.schedule": "cosin",
    "optimiser.warmup": "-1",
    "optimiser.decay_from": "-0.1 1.1",
    "optimiser.min_share": "-0.1 1.1",
    "optimiser.clip": "-1",
    "optimiser.accumulate": "0",
    "copy.until_loss": "0",
    "copy.rate_share": "0",
    "copy.max_steps": "0",
    "copy.share": "-1 2",
    "copy.until_share": "2",
    "run.steps": "0 1.5 many true",
    "run.batch_tokens": "0 15",
    "run.length": "0 400",
    "run.long_length": "-1 500",
    "run.long_from": "1.5",
    "run.device": "gpu tpu",
    "run.precision": "fp8",
    "run.compile": "5 maybe",
    "run.threads": "-1 100000",
    "run.log_every": "-1",
    "judge.every": "-1",
    "judge.batches": "0",
    "judge.patience": "-1",
    "judge.min_gain": "-1 .nan",
    "sample.every": "-1",
    "sample.prompts": f"{'a' * 64} {{a: 1}} yes",
    "sample.max_length": "-1",
    "sample.temperature": "-1 .inf",
    "sample.top_k": "-1",
    "sample.top_p": "0 1.1",
    "sample.repetition_penalty": "0",
    "sample.stop": "no",
    "keep.every": "-1",
    "keep.last": "0",
    "keep.best": "-1",
    "keep.second_home": "nowhere://x",
}
FREE = {"data", "outputs", "text.hub", "text.subset"}  # judged by tests of their own
CASES = [
    f"{name}={value}"
    for name, values in WRONG.items()
    for value in (values.split() if "{" not in values else [values.split(" ", 1)[0]])
]
CASES += ["sample.prompts={a: 1}", "sample.prompts=yes", "text.files="]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one small text."""
    for name in [name for name in os.environ if name.startswith(("DO_TASKS_", "SMALL_LM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "play.txt").write_text("".join(f"Say {n * n % 97}, good Ben.\n" for n in range(60)))
    return tmp_path


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_setting_has_a_rule_and_a_wrong_value_here():
    names = set(config.every_key(settings.Settings()))
    assert names == set(setting_rules.RULES)
    assert names == {*WRONG, *FREE}


def test_the_names_of_the_rules_are_those_of_the_code():
    assert set(setting_rules.RULES["optimiser.name"].names) == set(optimizer.MADE)
    assert set(setting_rules.RULES["optimiser.schedule"].names) == set(optimizer.SCHEDULES)
    assert set(setting_rules.RULES["tokenizer.kind"].names) == set(tokenizers.KINDS)


@pytest.mark.parametrize("wrong", CASES)
def test_a_wrong_value_is_one_line_before_the_first_file(folder, capsys, wrong):
    before = files_in(folder)
    code = main([*SMALL, wrong])
    said = capsys.readouterr()
    assert code in {1, 2}
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert wrong.partition("=")[0].rpartition(".")[2] in said.err or "second home" in said.err or "nowhere" in said.err
    assert files_in(folder) == before
    assert not (folder / "OUT").exists()


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ("too short", "run.length=16"),
        ("word " * 40, "run.long_length=64 text.val_share=0.4"),  # enough for the first windows, not for the late ones
        ("word " * 40, "run.length=32"),  # enough to learn from, too little held out
        ("a b " * 60, "text.val_share=0.001"),
    ],
)
def test_too_little_text_is_told_before_the_first_file(folder, capsys, data, wrong):
    (folder / "data" / "play.txt").write_text(data)
    before = files_in(folder)
    assert main([*SMALL, *wrong.split()]) == 1
    said = capsys.readouterr().err
    assert "are too few for windows of" in said
    assert said.count("\n") == 1
    assert files_in(folder) == before


@pytest.mark.parametrize(
    "wrong", ["data=nowhere", "text.files=none.txt", "outputs=data/play.txt", "outputs=data/play.txt/x"]
)
def test_a_folder_that_cannot_be_is_told_before_the_first_file(folder, capsys, wrong):
    before = files_in(folder)
    assert main([*SMALL, wrong]) in {1, 2}
    assert capsys.readouterr().err.count("\n") == 1
    assert files_in(folder) == before


def test_a_refused_run_leaves_the_earlier_one_where_it_is(folder, capsys):
    assert main(SMALL) == 0
    before = files_in(folder)
    for wrong in ("optimiser.name=adam", "text.files=none.txt", "keep.last=0"):
        assert main([*SMALL, wrong]) != 0
        assert files_in(folder) == before


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("modl.preset=3m", "no setting 'modl'; did you mean model.preset?"),
        ("mdel=3m", "did you mean model?"),
        ("preset=3m", "did you mean model.preset?"),
        ("lr=1e-3", "did you mean optimiser.lr?"),
        ("every=5", "did you mean judge.every or sample.every or keep.every?"),
        ("tokeniser.kind=char", "did you mean tokenizer.kind?"),
        ("model.presets=3m", "did you mean model.preset?"),
        ("model=3m", "model is a group: write model.KEY=value"),
        ("__class__=3", "no setting '__class__'"),
        ("run.__doc__=3", "no setting 'run.__doc__'"),
        ("seed.x=3", "seed must be a whole number"),
        ("optimiser.name=adam", "must be muon or adamw, got 'adam'; did you mean adamw?"),
        ("tokenizer.kind=bpee", "did you mean bpe?"),
        ("resume=yes", "resume must be text, got True"),
    ],
)
def test_the_nearest_name_is_told(override, said):
    with pytest.raises(Trouble) as trouble:
        settings.load("", [override], {})
    assert said in str(trouble.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimiser.name=adamw", "it has optimiser.name=muon, these settings have optimiser.name=adamw"),
        ("model.layers=4", "it has model.layers=0, these settings have model.layers=4"),
        ("model.preset=1m", "it has model.preset=tiny, these settings have model.preset=1m"),
        ("model.context=128", "it has model.context=64, these settings have model.context=128"),
        ("run.precision=float32", "it has run.precision=bfloat16, these settings have run.precision=float32"),
        ("model.dropout=0.2", "it has model.dropout=0.0, these settings have model.dropout=0.2"),
        ("run.compile=true", "it has run.compile=false, these settings have run.compile=true"),
        ("seed=4", "it has seed=17, these settings have seed=4"),
    ],
)
def test_what_cannot_go_on_is_refused_in_one_sentence(folder, capsys, change, said):
    assert main([*SMALL, "run.precision=bfloat16"]) == 0
    before = files_in(folder)
    capsys.readouterr()
    assert main([*SMALL, "run.precision=bfloat16", "run.steps=8", "resume=always", change]) == 2
    found = capsys.readouterr().err
    assert said in found
    assert "set them as they were, or set outputs=ANOTHER" in found
    assert found.count("\n") == 1
    assert files_in(folder) == before
    assert main([*SMALL, "run.precision=bfloat16", "run.steps=8", "resume=always"]) == 0


def test_a_variable_wins_over_a_profile_and_loses_to_the_command_line(tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("run: {steps: 5, batch_tokens: 512}\n")
    environ = {"SMALL_LM_RUN_STEPS": "6", "SMALL_LM_RUN_BATCH_TOKENS": "1024", "SMALL_LM_TEXT_FILES": "[a,b]"}
    chosen = settings.load(str(profile), ["run.steps=7"], environ)
    assert (chosen.run.steps, chosen.run.batch_tokens, chosen.text.files) == (7, 1024, ("a", "b"))
    with pytest.raises(Trouble, match=r"SMALL_LM_RUN_STEP; did you mean SMALL_LM_RUN_STEPS\?"):
        settings.load("", [], {"SMALL_LM_RUN_STEP": "6"})
    with pytest.raises(Trouble, match=r"SMALL_LM_RUN_STEPS: run.steps must be a whole number"):
        settings.load("", [], {"SMALL_LM_RUN_STEPS": "many"})


def test_a_command_lists_every_setting_with_its_value_source_and_rule(folder, capsys, monkeypatch):
    monkeypatch.setenv("SMALL_LM_RUN_LENGTH", "64")
    assert main(["settings", "run.steps=5", "--profile", "gpu"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "the later wins: default, profile, environment, command line"
    assert [line.partition("=")[0] for line in told[1:]] == config.every_key(settings.Settings())
    assert "run.steps=5  (command line)  # 1 or more" in told
    assert "run.length=64  (environment)  # 1 or more" in told
    assert any(line.startswith("model.preset=30m  (profile)  # tiny, 1m") for line in told)
    assert main(["settings", "run.steps=0"]) == 2
    assert main(["setings"]) == 2
    assert "no command 'setings'; did you mean settings?" in capsys.readouterr().err


def test_a_shape_of_ones_own_is_trained(folder):
    assert main([*SMALL, "model.layers=2", "model.width=48", "model.heads=4", "model.inner=40"]) == 0
    about = config.read_yaml(folder / "OUT" / "model" / "config.json")
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "head_dim", "intermediate_size")
    assert [about[name] for name in names] == [2, 48, 4, 12, 40]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "-1"], "no option '--seed'; settings are key=value; did you mean seed?"),
        (["--steps=5"], "no option '--steps=5'; settings are key=value; did you mean run.steps?"),
        (["seed=-1"], "seed must be 0 or more, at most 1,099,511,627,776, got -1"),
        (["generate", "x", "--seed", "-1"], "--seed must be 0 or more, at most 1,099,511,627,776, got -1"),
    ],
)
def test_a_seed_that_means_nothing_is_one_line(folder, capsys, arguments, said):
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_an_empty_variable_is_one_line():
    with pytest.raises(
        Trouble, match=r"^SMALL_LM_RUN_STEPS is empty: unset it, or give it a whole number for run.steps$"
    ):
        settings.load("", (), {"SMALL_LM_RUN_STEPS": ""})
    assert settings.load("", (), {"SMALL_LM_TEXT_HUB": "", "SMALL_LM_TEXT_HELD_OUT": ""}).text.hub == ""
