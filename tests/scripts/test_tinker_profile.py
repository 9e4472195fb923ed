"""Profile tinker against a scripted stand-in of the service: the plan as it is, up to the first chunk of step 8."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tinker")
fake = pytest.importorskip("tests.scripts.tinker_engine_fake", exc_type=ImportError)
pytestmark = pytest.mark.deep
ROOT = Path(__file__).resolve().parents[2]
MODEL = "Qwen/Qwen3.5-9B"
ROWS, LIMIT_S = 100, 240
MARKS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
TEMPLATE = (
    "{% for one in messages %}{{ '<|im_start|>' + one.role + '\\n' + one.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if not (enable_thinking | default(true)) %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
NO_THOUGHT = "<|im_start|>assistant\n<think>\n\n</think>\n\n"


def tokenizer_in(hub):
    """Lay a tokenizer with a chat template where the hub's cache would have the model's."""
    import tokenizers
    import transformers
    from tokenizers import decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>")
    fast.add_special_tokens({"additional_special_tokens": list(MARKS)})
    fast.chat_template = TEMPLATE
    place = hub / "hub" / f"models--{MODEL.replace('/', '--')}"
    fast.save_pretrained(place / "snapshots" / "0")
    (place / "snapshots" / "0" / "config.json").write_text('{"model_type": "qwen3"}')
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0")
    return fast


class SpeakingEngine(fake.SumsEngine):  # type: ignore[name-defined]
    """Says one of some lines, whole, by the seed: never the same to two questions."""

    def __init__(self, tokenizer, lines):
        super().__init__()
        self.tokenizer, self.lines, self.asked, self.lock = tokenizer, lines, [], threading.Lock()

    def models(self):
        return [self.about(MODEL)]

    def about(self, base_model):
        if base_model != MODEL:
            raise fake.RefusedError(f"no model {base_model!r}: there is {MODEL}")
        return fake.ModelInfo(MODEL, 32_768, MODEL, "Qwen3ForCausalLM")

    def answered(self, one, shift):  # noqa: ARG002 - the engine's names
        with self.lock:
            self.asked.append(one)
        said = self.lines[one.params.seed % len(self.lines)]
        tokens = (*self.tokenizer.encode(said, add_special_tokens=False), self.tokenizer.eos_token_id)
        tokens = tokens[: one.params.max_tokens]
        is_whole = tokens[-1] in one.params.stop
        return fake.SamplingResult((fake.Answer(tokens, (-1.0,) * len(tokens), "stop" if is_whole else "length"),))


class Plan:
    """The repository's own plan in a folder, driven by do-tasks with the stand-in's address and key."""

    def __init__(self, folder, data, hub):
        self.folder = folder
        for name in ("SPEC.md", "step_definitions.yaml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)
        spec = folder / "SPEC.md"
        spec.write_text(re.sub(r"(?m)^- \[.\] (\*\*STEP \d+\*\*: .+?)(?: [✓✗⏳].*)?$", r"- [ ] \1", spec.read_text()))
        (folder / "scripts").symlink_to(ROOT / "scripts")
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL") if name in os.environ}
        self.environ = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "DO_TASKS_DATA": str(data),
            "DO_TASKS_PROFILE": "tinker",
            "HF_HOME": str(hub),
            "HF_HUB_OFFLINE": "1",
            "NO_PROXY": "127.0.0.1",
            "TINKER_TELEMETRY": "0",
            "TINKER_API_KEY": fake.TOKEN,
        }

    def start(self, *words):
        command = [sys.executable, "-m", "executor", *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environ, **pipes)

    def run(self, *words):
        child = self.start(*words)
        try:
            said, _ = child.communicate(timeout=LIMIT_S)
        finally:
            child.kill()
        assert child.returncode == 0, said
        return said

    def facts(self, event):
        path = self.folder / ".task_execution.log"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [one for one in map(json.loads, lines) if one["event"] == event]

    def accepted(self):
        return [one for one in self.facts("MainFinished") if one.get("chunk") == 1]

    def rows(self, number):
        path = self.folder / f"outputs/teacher_data_{number}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def plan(tmp_path_factory, real_data):
    """Steps 1 to 7 ticked, the first chunk of step 8 accepted, by a stand-in that says what Falstaff says."""
    home = tmp_path_factory.mktemp("profile")
    tokenizer = tokenizer_in(home / "hub")
    (home / "project").mkdir()
    made = Plan(home / "project", real_data, home / "hub")
    made.run("--step", "3-5")
    made.prompt, made.tokenizer = (made.folder / "outputs/character/prompt.md").read_text(), tokenizer
    speeches = map(json.loads, (made.folder / "outputs/character/speeches.jsonl").read_text().splitlines())
    texts = [str(speech["text"]) for speech in speeches]
    lines = list(dict.fromkeys(text for text in texts if text not in made.prompt and 40 < len(text) < 250))
    with fake.Hosted(home / "state", engine=SpeakingEngine(tokenizer, lines)) as hosted:
        made.environ["TINKER_BASE_URL"], made.engine = hosted.url, hosted.engine
        made.run("--step", "1,6,7")
        made.engine.asked.clear()
        made.said = first_chunk(made)
        yield made


def first_chunk(plan):
    """Run step 8 until its first chunk is accepted, then end it as Ctrl-C does."""
    child = plan.start("--step", "8")
    end = time.monotonic() + LIMIT_S
    while child.poll() is None and not plan.accepted() and time.monotonic() < end:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    try:
        said, _ = child.communicate(timeout=LIMIT_S)
    finally:
        child.kill()
    return said


def test_the_stand_in_is_taken_for_the_service(plan):
    access = json.loads((plan.folder / "outputs/access.json").read_text())
    assert (access["has_credentials"], access["models"]) == (True, [MODEL])


def test_the_first_chunk_is_accepted_by_the_plan_as_it_is(plan):
    assert [(one["status"], one["rows"], one["chunks"]) for one in plan.accepted()] == [("passed", ROWS, 3)], plan.said
    rows = plan.rows(1)
    assert [row["row"] for row in rows] == list(range(ROWS))
    assert {row["model"] for row in rows} == {MODEL}
    assert all(row["answer"] in plan.engine.lines for row in rows)


def test_the_teacher_was_told_its_prompt_and_did_not_think(plan):
    asked = [plan.tokenizer.decode(one.prompt) for one in plan.engine.asked]
    assert all(one.startswith(f"<|im_start|>system\n{plan.prompt}<|im_end|>") for one in asked)
    assert all(one.endswith(NO_THOUGHT) for one in asked)
    assert {one.params.max_tokens for one in plan.engine.asked} == {300}


def test_the_key_is_written_nowhere(plan):
    files = [path for path in plan.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 20
    assert [str(path) for path in files if fake.TOKEN.encode() in path.read_bytes()] == []
