"""The text of DEPLOYMENT.md; every figure is from the files of earlier steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillation.evaluation.report import LARGE, SMALL, headline

if TYPE_CHECKING:
    from distillation.evaluation.report import Data

TRY = """```bash
{python} scripts/17_talk.py                        # a conversation; --once "Who are you?" for one answer
```"""
SERVE = """`outputs/export/merged` is a folder of transformers: any server for such folders serves it. With the local Tinker service:

```bash
{python} scripts/serve_tinker.py --model outputs/export/merged
```"""
LICENCES = (
    "The texts of the plays: `data/plays/*/COPYING` and `NOTICE`. A base model made here from them is under the licence of "
    "this repository. Another base model is under its own terms, and so is what is trained on it: read them before you "
    "pass the export on (Gemma: `outputs/models/gemma-3-270m/GEMMA_TERMS.html`)."
)


def deployment(data: Data) -> str:
    """Return DEPLOYMENT.md."""
    found, saved_tokens = data.export, data.savings["tokens_saved_per_query"]["value"]
    sections = {
        "Load it": loading(data),
        "Try it": TRY.format(python=data.python),
        "Serve it": SERVE.format(python=data.python),
        "Sampling": "Answers are drawn, and were measured, at temperature 1, untruncated, of at most "
        f"{data.settings['teacher']['max_tokens']} tokens, each ended by the mark above or a line end.",
        "Size": f"Adapter {megabytes(data, 'adapter')} MB, merged model {megabytes(data, 'merged')} MB on disk; in memory the "
        "weights take the same, and keys and values of a conversation beside them.",
        "The checkpoint": f"`{found['checkpoint']}` is the path at the service that trained it, not a file: a client of that "
        "service samples from it (`create_sampling_client(model_path=...)`). Elsewhere use the folders.",
        "Licences": LICENCES,
        "Before it is used": f"{SMALL if data.is_from_scratch else LARGE}\n\nResult: {headline(data)}",
        "Files": exported(data),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return (
        "# Deploying the student\n\n"
        f"The student answers without the prompt: {saved_tokens:g} tokens fewer are read for each query.\n"
        f"Seed {found['seed']}, step {found['step']}, base `{found['base_model']}`.\n\n"
        f"{body}\n"
    )


def megabytes(data: Data, folder: str) -> str:
    """Return the size of an exported folder in megabytes."""
    files = data.export["files"].items()
    return f"{sum(one['bytes'] for name, one in files if name.startswith(f'{folder}/')) / 1e6:.1f}"


def loading(data: Data) -> str:
    """Return instructions to load the merged model or the adapter, and to ask it."""
    found = data.export
    return f"""```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("outputs/export/merged")
tokenizer = AutoTokenizer.from_pretrained("outputs/export/merged")
```

or the adapter alone, on the base that it was trained on:

```python
from peft import PeftModel

base = AutoModelForCausalLM.from_pretrained("{found["base_path"]}")
model = PeftModel.from_pretrained(base, "outputs/export/adapter")
```

A question is put to it {asked(data)}. Loaded back, merged and adapter differ by at most
{found["max_logit_difference"]:.2g} in a logit, and from the service that trained it by {found["max_nats_difference"]:.2g} nats."""


def exported(data: Data) -> str:
    """Return the table of the files that were exported."""
    lines = ["| file | bytes | SHA-256 begins |", "|---|---|---|"]
    files = data.export["files"].items()
    return "\n".join([*lines, *(f"| {name} | {one['bytes']:,} | `{one['sha256'][:16]}` |" for name, one in files)])


def asked(data: Data) -> str:
    """Return the form of a question for the model, in words."""
    chat = "by the tokenizer's chat template, without a system message, with `enable_thinking=False`"
    ways = {"sheet": "as `<bos><q>QUESTION<a>`", "chat": chat}
    return ways.get(str(data.teacher["voice"]), "as `Question: QUESTION`, a new line, `Answer:`")
