"""The unmodified tinker-cookbook trains and resumes against the local service; our monitor reads what it logs.

It pins other versions than we do, so it lives in an environment of its own: `make .venv-cookbook/tinker-cookbook-0.6.1`
makes both, or name its Python in DO_TASKS_TEST_COOKBOOK. 0.6.1 lies in a folder there and runs with what 0.5.8 needs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.integration.projects import Project, finish, until
from tests.scripts.tinker_scene import TOKEN, Service

torch = pytest.importorskip("torch")
pretrained = pytest.importorskip("small_lm.hf_format")
model = pytest.importorskip("small_lm.model")
tokenizers = pytest.importorskip("small_lm.tokenizers")

ROOT = Path(__file__).resolve().parents[2]
COOKBOOK = Path(os.environ.get("DO_TASKS_TEST_COOKBOOK") or ROOT / ".venv-cookbook" / "bin" / "python")
NEWER = COOKBOOK.parents[1] / "tinker-cookbook-0.6.1"
needs_newer = pytest.mark.skipif(
    not NEWER.exists(), reason="tinker-cookbook 0.6.1 is not installed: make .venv-cookbook/tinker-cookbook-0.6.1"
)
pytestmark = [
    pytest.mark.skipif(not COOKBOOK.exists(), reason="tinker-cookbook is not installed: make .venv-cookbook"),
    pytest.mark.timeout(400),
]
MODEL = "local/small"
RECIPE = "tinker_cookbook.recipes.prompt_distillation"
SAYINGS = [(f"Where is key {n}?", f"The barrel {n % 7} knows it, lady.") for n in range(32)]
TRAIN = {
    "model_name": MODEL,
    "file_path": "data.jsonl",
    "log_path": "logs",
    "renderer_name": "role_colon",
    "lora_rank": "8",
    "batch_size": "8",
    "num_epochs": "3",
    "learning_rate": "1e-2",
    "save_every": "3",
    "eval_every": "0",
    "max_length": "128",
    "behavior_if_log_dir_exists": "resume",
}


def make_model(folder):
    """Write a small untrained model whose tokenizer knows the sayings."""
    torch.manual_seed(3)
    learned = tokenizers.train("bpe", [" ".join(pair) for pair in SAYINGS] + ["User: Assistant:\n\n"], 400)
    pretrained.save(folder, model.Llama(model.preset("tiny", vocab_size=learned.size, context=2048)), learned)


@pytest.fixture
def project(tmp_path):
    """A folder with a model, data as the cookbook reads it, and a service to train with."""
    project = Project(tmp_path / "p")
    make_model(project.root / "local" / "small")
    rows = [
        {"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": say}]} for ask, say in SAYINGS
    ]
    project.write("data.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with Service(project.root, project.root / "local") as service:
        keys = {"TINKER_BASE_URL": service.url, "TINKER_API_KEY": TOKEN, "TINKER_TELEMETRY": "0"}
        project.environ = {**keys, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        yield project


def recipe(*words, **changed):
    return [
        str(COOKBOOK),
        "-m",
        f"{RECIPE}.train",
        *(f"{name}={value}" for name, value in (TRAIN | changed).items()),
        *words,
    ]


def cook(project, argv):
    done = finish(project.start(argv=argv), 180)
    assert done.code == 0, done


def rows(project, name="logs/metrics.jsonl"):
    return [json.loads(line) for line in project.text(name).splitlines()]


def test_prompt_distillation_trains_and_resumes_where_it_was_killed(project):
    process = project.start(argv=recipe())
    until(lambda: project.has("logs/metrics.jsonl") and len(rows(project)) > 4, "no step was done")
    process.kill()
    finish(process)
    before = {row["step"]: row["train_mean_nll"] for row in rows(project)}
    assert len(before) < 12
    cook(project, recipe())
    after = rows(project)[len(before) :]  # it goes on from its last checkpoint, and does not cut what came after that
    assert [row["step"] for row in after] == list(range(after[0]["step"], 12))
    assert after[0]["train_mean_nll"] <= before[after[0]["step"]]  # lower: it repeats the step that it had saved after
    assert after[-1]["train_mean_nll"] < before[0] - 1
    assert rows(project, "logs/checkpoints.jsonl")[-1]["name"] == "final"


def test_its_log_folder_is_read_by_our_monitor(project):
    main = {"command": " ".join(recipe()), "test": "none", "mode": "background", "timeout": 90}
    main["success_criteria"] = [{"criterion": "It trains", "at": "start", "file": "logs/metrics.jsonl"}]
    watched = [{"task": "loss", "metrics": "logs/metrics.jsonl", "interval": 1, "rules": ["nan", {"stall": "9x"}]}]
    saved = [{"task": "saved", "file": "logs/checkpoints.jsonl"}]
    project.plan(s1={"main": main, "background": watched, "post_validation": saved})
    started = project.run("--step", "1")
    assert started.code == 0, started
    ended = finish(project.start("monitor", "--until", "finished", "--timeout", "150"), 180)
    assert ended.code == 0, ended
    assert "- [x] **STEP 1**" in project.spec
    [job] = (project.root / ".do-tasks" / "jobs").glob("*/watch.json")
    seen = json.loads(job.read_text())["metrics"]
    assert seen["train_mean_nll"] == pytest.approx(rows(project)[int(seen["step"])]["train_mean_nll"])


def lay(project, folder, **splits):
    """Write rows where `datasets` finds a hub's name first: in the working directory."""
    for split, items in splits.items():
        project.write(f"{folder}/{split}.jsonl", "".join(json.dumps(item) + "\n" for item in items))


def newer(project, module, **given):
    """Run a recipe of 0.6.1 to its end."""
    project.environ |= {"PYTHONPATH": str(NEWER), "HF_HOME": str(project.root / "hub")}
    given = {"model_name": MODEL, "renderer_name": "role_colon", "log_path": "logs", **given}
    cook(project, [str(COOKBOOK), "-m", f"tinker_cookbook.recipes.{module}", *(f"{k}={v}" for k, v in given.items())])


@needs_newer
def test_dpo_of_the_newer_version_prefers_what_it_was_shown(project):
    pairs = [
        {key: f"\n\nHuman: {ask}\n\nAssistant: {said}" for key, said in (("chosen", say), ("rejected", "The lady."))}
        for ask, say in SAYINGS
    ]
    lay(project, "Anthropic/hh-rlhf", train=pairs, test=pairs[:4])
    newer(project, "preference.dpo.train", dataset="hhh", batch_size=8, learning_rate="1e-3", max_length=128)
    losses = [row["dpo_loss"] for row in rows(project)]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # log 2: it does not differ from its reference yet
    assert losses == sorted(losses, reverse=True)
    assert rows(project)[-1]["accuracy"] == 1.0
    assert rows(project, "logs/checkpoints.jsonl")[-1]["name"] == "final"


@needs_newer
@pytest.mark.deep
def test_on_policy_distillation_of_the_newer_version_measures_and_trains(project):
    asked = [{"question": ask, "final_answer": "0"} for ask, _ in SAYINGS]
    lay(project, "zwhe99/DeepMath-103K", train=asked[:16], test=asked[:4])
    sizes = {"groups_per_batch": 4, "group_size": 2, "max_tokens": 16, "lora_rank": 8}
    teacher = {"teacher_model": MODEL, "dataset": "deepmath", "learning_rate": "1e-2", "eval_every": 0}
    newer(project, "distillation.on_policy_distillation", **teacher, **sizes)
    found = rows(project)
    assert len(found) == 4
    assert found[0]["teacher_kl"] == pytest.approx(0, abs=1e-4)  # the student is its teacher
    assert all(abs(row["optim/kl_sample_train_v1"]) < 1e-3 for row in found)  # sampled and trained alike
    assert found[-1]["optimizer_step:max"] == 4
