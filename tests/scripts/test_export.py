"""An export: whole or absent, without this machine's paths, the same model as before."""

from __future__ import annotations

import json

import pytest

from common import verified_folder
from distillation.student import export


def folder(path, text):
    path.mkdir()
    (path / "a.json").write_text(text)
    return path


def test_an_older_export_is_replaced_whole(tmp_path):
    target, beside = folder(tmp_path / "export", "old"), folder(tmp_path / "new", "new")
    (target / "stale.txt").write_text("left over")
    verified_folder.replace(beside, target)
    assert {one.name: one.read_text() for one in target.iterdir()} == {"a.json": "new"}
    assert [one.name for one in tmp_path.iterdir()] == ["export"]


def test_the_older_export_comes_back_when_the_new_one_cannot_be_moved(tmp_path):
    target = folder(tmp_path / "export", "old")
    with pytest.raises(OSError, match="absent"):
        verified_folder.replace(tmp_path / "absent", target)
    assert (target / "a.json").read_text() == "old"


def test_a_path_of_this_machine_is_found(tmp_path):
    folder(tmp_path / "export", '{"base": "/somewhere/here/model"}')
    assert export.machine_paths(tmp_path / "export", ["/somewhere/here"]) == ["a.json"]
    assert export.machine_paths(tmp_path / "export", ["/elsewhere"]) == []


def test_a_local_base_is_named_as_seen_from_the_project():
    assert export.base_name("local/small") == "outputs/models/small"
    assert export.base_name("Qwen/Qwen3-8B") == "Qwen/Qwen3-8B"


ABOUT = {"base_model": "local/small", "base_path": "outputs/models/small", "seed": 17, "step": 3, "val_nll": 3.5}


def test_a_card_has_the_evaluations_figures_or_says_that_there_are_none():
    assert "None yet" in export.card(ABOUT, None)
    told = export.card(ABOUT, {"share": 0.7123, "interval": [0.6, 0.8], "rows": list(range(50))})
    assert "0.7123" in told
    assert "rows" not in told


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A small model with tied weights and an adapter that changes the head too."""
    pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    import torch

    from tests.scripts import small_llama

    monkeypatch.setenv("DO_TASKS_MODELS", str(tmp_path / "models"))
    small_llama.make(tmp_path / "models/small")
    config = peft.LoraConfig(r=2, lora_alpha=32, target_modules=["q_proj", "lm_head"], task_type="CAUSAL_LM")
    base = export.load_base("local/small")
    export.untie(base)
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_" in name:
                weights.normal_(0, 0.1)
    model.save_pretrained(str(tmp_path / "trained"))
    return tmp_path


@pytest.mark.filterwarnings("ignore")
def test_the_merged_model_is_base_and_adapter_though_its_head_was_tied(small):
    transformers = pytest.importorskip("transformers")
    rows = [[3, 9, 40, 7], [100, 4]]
    export.write_adapter(small / "trained", small / "adapter", "local/small")
    export.write_merged("local/small", small / "adapter", small / "merged")
    merged = transformers.AutoModelForCausalLM.from_pretrained(str(small / "merged")).eval()
    ours = export.logits(merged, rows)
    theirs = export.logits(export.adapted("local/small", small / "adapter"), rows)
    bare = export.logits(export.load_base("local/small"), rows)
    assert max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True)) < 1e-4
    assert max(float((one - other).abs().max()) for one, other in zip(ours, bare, strict=True)) > 1e-2
    config = json.loads((small / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "outputs/models/small"
    assert export.machine_paths(small / "merged", [str(small)]) == []
