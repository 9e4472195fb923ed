"""Export a trained student as folders that other programs load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import Trouble
from distillation import tinker_client
from distillation.prompt import chat_template

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from distillation.models import Student

ADAPTER, MERGED, CARD = "adapter", "merged", "README.md"
WANTED = ("adapter_model.safetensors", "adapter_config.json")
FETCH_LIMIT_S = 1800
LOCAL_HOME = "outputs/models"  # where scripts/make_base_model.py writes local/NAME


def source(student: Student, folder: Path, access: str = "") -> Path:
    """Return a folder with the student's adapter; download it into `folder` from the real service."""
    if tinker_client.is_real(access):
        return fetched(student.state_path, folder)
    from tinker_local import server, storage

    where = storage.place(student.sampler_path)
    found = server.STATE / "runs" / where.run / where.kind / where.name
    if not (found / WANTED[0]).is_file():
        raise Trouble(
            f"{student.sampler_path} is not in {server.STATE}: run `python scripts/13_train_student_model.py`"
        )
    return found


def fetched(path: str, folder: Path) -> Path:
    """Download a training checkpoint by the SDK's own command; a sampler's cannot be downloaded."""
    command = [sys.executable, "-m", "tinker.cli", "checkpoint", "download", path, "--output", str(folder), "--force"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"{path} did not arrive in {FETCH_LIMIT_S} s: run the same command again") from error
    found = sorted(folder.rglob(WANTED[0]))
    if done.returncode or not found:
        raise Trouble(f"{path} cannot be downloaded ({done.stderr.strip()[-200:]}): is it there still?")
    return found[0].parent


def base_name(model: str) -> str:
    """Return the name to load a base model by; for a local one its folder relative to the project root."""
    return f"{LOCAL_HOME}/{model.removeprefix('local/')}" if model.startswith("local/") else model


def write_adapter(found: Path, target: Path, model: str) -> None:
    """Copy an adapter in the form that peft reads, naming its base model."""
    target.mkdir(parents=True)
    shutil.copyfile(found / WANTED[0], target / WANTED[0])
    files.write_json(
        target / WANTED[1], files.read_json(found / WANTED[1]) | {"base_model_name_or_path": base_name(model)}
    )


def load_base(model: str) -> Any:
    """Load a base model in float32; raise Trouble if it cannot be loaded."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    where = str(chat_template.folder_of(model) or model)
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32).eval()
    except (OSError, ValueError) as error:
        raise Trouble(f"{model} cannot be loaded here: an export needs the base model's weights") from error


def adapted(model: str, adapter: Path) -> Any:
    """Load an adapter on its base model, whose head is untied from the embedding if the adapter changes the head."""
    import peft

    base = load_base(model)
    if changes_head(files.read_json(adapter / WANTED[1])["target_modules"]):
        untie(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns of a tied head, which is untied here
        return peft.PeftModel.from_pretrained(base, str(adapter)).eval()


def changes_head(targets: Sequence[str]) -> bool:
    """Return True if an adapter has a layer of the output head, by its names."""
    return any(name.rpartition(".")[2] in {"lm_head", "embed_out"} for name in targets)


def untie(model: Any) -> None:
    """Untie the head from the embedding: merged into shared weights, an update would change the embedding too."""
    import torch

    head = model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        model.config.tie_word_embeddings = False
        model.all_tied_weights_keys = {}


def write_merged(model: str, adapter: Path, target: Path) -> None:
    """Write one model with the adapter merged into its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = adapted(model, adapter).merge_and_unload()
    merged.config._name_or_path = ""  # noqa: SLF001 - else the folder on this machine is written down
    merged.save_pretrained(str(target))


def logits(model: Any, rows: Sequence[list[int]]) -> list[Any]:
    """Return each row's logits, (tokens, vocabulary)."""
    import torch

    with torch.no_grad():
        return [model(input_ids=torch.tensor([row])).logits[0].float() for row in rows]


def logprobs(found: Sequence[Any], rows: Sequence[list[int]], sizes: Sequence[int]) -> list[list[float]]:
    """Return the nats of the last tokens of each row, `sizes` of them, as negative log-likelihoods."""
    import torch

    result = []
    for one, row, size in zip(found, rows, sizes, strict=True):
        nats = torch.log_softmax(one[:-1].double(), -1).gather(1, torch.tensor(row[1:])[:, None])[:, 0]
        result.append([-float(value) for value in nats[-size:]])
    return result


def furthest(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> float:
    """Return the largest difference between two lists of lists of equal shape."""
    pairs = zip(left, right, strict=True)
    return max((abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)), default=float("inf"))


def digests(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size in bytes and sha256 of each file below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
        for path in found
    }


def machine_paths(folder: Path, prefixes: Sequence[str]) -> list[str]:
    """Return the names of the text files that contain a path of this machine."""
    texts = [path for path in folder.rglob("*") if path.suffix in {".json", ".md", ".txt", ".jinja"}]
    return sorted(path.name for path in texts if any(one in path.read_text(encoding="utf-8") for one in prefixes))


def card(about: dict[str, Any], evaluation: dict[str, Any] | None) -> str:
    """Return the model card, with the figures of the evaluation if there is one."""
    figures = "None yet: step 15 (`python scripts/15_evaluate.py`) has not been run before this export."
    if evaluation is not None:
        figures = f"As step 15 measured them:\n\n```json\n{json.dumps(plain_figures(evaluation), indent=2)}\n```"
    return f"""---
base_model: {about["base_model"]}
library_name: peft
tags: [lora, prompt-distillation]
---

# A student of {about["base_model"]}, seed {about["seed"]}, step {about["step"]}

It answers without a prompt as its teacher answers with one. Nothing here shows that its answers make sense.

- `adapter/`: a LoRA that peft reads, with the tokenizer. Its `base_model_name_or_path` is
  `{about["base_path"]}`: the name on the hub, or (for a `local/` model) the folder that
  it was made in, as seen from the project's root; give another folder if yours is elsewhere.
- `merged/`: base and adapter in one model of safetensors, with the tokenizer; it needs neither of them.
- The validation loss of this checkpoint is {about["val_nll"]} nats a token.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = (one.from_pretrained("merged") for one in (AutoModelForCausalLM, AutoTokenizer))
```

## Figures

{figures}

## Rights

Terms of the base model and of the texts that it learned from go with it: see the project's NOTICE.
"""


def plain_figures(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the evaluation without its long lists."""
    return {
        name: plain_figures(value) if isinstance(value, dict) else value
        for name, value in evaluation.items()
        if not isinstance(value, list) or len(value) <= 3  # an interval is short
    }
