"""An adapter as a folder that peft reads, and the exact state of its optimizer."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tinker_local import files
from tinker_local import lora as lora_layers
from tinker_local.api_types import Lora, RefusedError
from tinker_local.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tinker_local.lora import Adapter, LoraLinear

WEIGHTS, OPTIMIZER = "adapter_model.safetensors", "optimizer.safetensors"
CONFIG, TRAINING = "adapter_config.json", "training.json"
BEFORE = "base_model.model."  # the prefix of peft before a layer's name
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save(adapter: Adapter, parts: Mapping[str, LoraLinear], folder: Path, *, optimizer: bool) -> None:
    """Write and sync all files; pending gradients are not saved."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / WEIGHTS, named(adapter))
    if optimizer:
        write(folder / OPTIMIZER, moments(adapter))
    files.write_json(folder / CONFIG, peft_config(adapter, parts))
    lora = dataclasses.asdict(adapter.lora)
    files.write_json(folder / TRAINING, {"base_model": adapter.base_model, "lora": lora, "steps": adapter.steps})


def named(adapter: Adapter) -> dict[str, Tensor]:
    """Return the matrices by their peft names."""
    found = {}
    for name, (down, up) in adapter.pairs.items():
        found[f"{BEFORE}{name}.lora_A.weight"] = down
        found[f"{BEFORE}{name}.lora_B.weight"] = up
    return found


def moments(adapter: Adapter) -> dict[str, Tensor]:
    """Return the state of AdamW; empty before its first step."""
    state = adapter.optimizer.state.get(adapter.flat, {}) if adapter.optimizer else {}
    return {name: state[name] for name in MOMENTS if name in state}


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one file of tensors, whole or not at all."""
    from safetensors import torch as safetensors

    content = safetensors.save({name: one.detach().cpu().clone() for name, one in tensors.items()}, {"format": "pt"})
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
    files.sync_folder(path.parent)


def peft_config(adapter: Adapter, parts: Mapping[str, LoraLinear]) -> dict[str, Any]:
    """Return adapter_config.json, a `peft.LoraConfig`."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base_model,
        "inference_mode": True,
        "r": adapter.lora.rank,
        "lora_alpha": lora_layers.ALPHA,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets(adapter, parts),
    }


def targets(adapter: Adapter, parts: Mapping[str, LoraLinear]) -> list[str]:
    """Return the last parts of the trained layers' names if they are unique, else the full names."""
    last = {name.rpartition(".")[2] for name in adapter.pairs}
    others = {name.rpartition(".")[2] for name in parts if name not in adapter.pairs}
    return sorted(adapter.pairs if last & others else last)


def load(folder: Path, parts: Mapping[str, LoraLinear], *, optimizer: bool) -> Adapter:
    """Return the adapter of a folder; raise RefusedError if it is broken or of another base model."""
    about = training(folder)
    adapter = lora_layers.empty(about["base_model"], about["lora"], parts)
    found, wanted = read(folder / WEIGHTS), named(adapter)
    if shapes(found) != shapes(wanted):
        raise RefusedError(f"{folder} does not fit {adapter.base_model} any more: train it again on this base model")
    with torch.no_grad():
        for name, matrix in wanted.items():
            matrix.copy_(found[name])
    if optimizer:
        remember(adapter, folder)
        adapter.steps = about["steps"]
    return adapter


def training(folder: Path) -> dict[str, Any]:
    """Return base_model, lora and steps of a folder; raise RefusedError if it is no adapter."""
    try:
        about = files.read_json(folder / TRAINING)
        return {"base_model": str(about["base_model"]), "lora": Lora(**about["lora"]), "steps": int(about["steps"])}
    except (OSError, Trouble, KeyError, TypeError, ValueError) as error:
        raise RefusedError(f"{folder} holds no whole adapter ({error}): name another checkpoint") from error


def remember(adapter: Adapter, folder: Path) -> None:
    """Restore the adapter's optimizer from the folder."""
    if not (folder / OPTIMIZER).is_file():
        raise RefusedError(f"{folder} was saved without its optimizer: load its weights alone")
    state = {name: one.to(adapter.flat.device) for name, one in read(folder / OPTIMIZER).items()}
    if not state:
        return
    if set(state) != set(MOMENTS) or any(state[name].shape != adapter.flat.shape for name in MOMENTS[:2]):
        raise RefusedError(f"{folder / OPTIMIZER} does not fit its adapter: load the weights alone")
    adapter.optimizer = torch.optim.AdamW([adapter.flat])
    adapter.optimizer.state[adapter.flat] = state | {"step": state["step"].cpu()}


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; raise RefusedError if it is broken."""
    from safetensors import SafetensorError
    from safetensors import torch as safetensors

    try:
        found: dict[str, Tensor] = safetensors.load(path.read_bytes())
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise RefusedError(f"{path} cannot be read ({error}): name another checkpoint") from error
    return found


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(one.shape) for name, one in tensors.items()}
