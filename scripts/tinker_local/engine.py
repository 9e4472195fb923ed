"""The computations of the local service with torch, which is imported at the first use of a model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinker_local import model_registry
from tinker_local.api_types import ModelInfo, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinker_local.api_types import Adam, Datum, Lora, LossOutput, SamplingRequest, SamplingResult
    from tinker_local.base_models import Base
    from tinker_local.kv_cache import Key, Prefixes
    from tinker_local.lora import Adapter

PRECISIONS = ("float32", "bfloat16")


class TorchEngine:
    """Base models, each loaded once and frozen, and the adapters that use them in turn. For one thread only."""

    def __init__(
        self,
        *,
        models: Sequence[str] = (),
        aliases: Mapping[str, str] | None = None,
        device: str = "auto",
        threads: int = 1,
        precision: str = "float32",
    ) -> None:
        """`models` are served beside those of the home folder, each folder of `aliases` under its name there.

        `threads` 0 leaves the choice to torch.
        """
        if precision not in PRECISIONS:
            raise RefusedError(f"no precision {precision!r}: use {' or '.join(PRECISIONS)}")
        self.extra, self.device, self.threads, self.precision = tuple(models), device, threads, precision
        self.aliases = dict(aliases or {})
        self.states = {name: model_registry.state(Path(folder)) for name, folder in self.aliases.items()}
        self.bases: dict[str, Base] = {}
        self.adapters: dict[str, Adapter] = {}
        self.prefixes: dict[str, Prefixes] = {}

    def models(self) -> Sequence[ModelInfo]:
        """Return the served base models without loading them."""
        return [*model_registry.listed(self.extra), *map(self.about, self.aliases)]

    def about(self, base_model: str) -> ModelInfo:
        """Return one base model; it may be a folder or a hub name that `models` does not list."""
        if base_model in self.bases:
            return self.bases[base_model].about
        found = model_registry.about(self.aliases.get(base_model, base_model))
        return dataclasses.replace(found, name=base_model)

    def unchanged(self, base_model: str) -> ModelInfo:
        """Return one base model; raise RefusedError if its folder is not what it was.

        A client would read the tokenizer of its files now, for the weights of before.
        """
        found = self.about(base_model)
        was = self.states.get(base_model)
        if was is not None and was != model_registry.state(Path(found.folder)):
            raise RefusedError(
                f"{base_model}: the files in {found.folder} changed while it was served: "
                "start the service again to serve them; trainings that run go on with the old ones"
            )
        return found

    def create(self, adapter: str, base_model: str, lora: Lora) -> None:
        """Create an adapter: equal seeds give equal weights; before training it does not change the model."""
        from tinker_local import lora as lora_layers

        if adapter in self.adapters:
            raise RefusedError(f"there is an adapter {adapter!r} already: drop it, or choose another name")
        self.adapters[adapter] = lora_layers.fresh(base_model, lora, self.base(base_model).parts)

    def forward_backward(
        self, adapter: str, data: Sequence[Datum], loss: str, config: Mapping[str, float], *, forward_only: bool
    ) -> LossOutput:
        """Compute a summed loss and add its gradient to the pending ones, but not with `forward_only`."""
        from tinker_local import train_step

        found = self.found(adapter)
        base = self.base(found.base_model)
        return train_step.forward_backward(base, found, data, loss, config, forward_only=forward_only)

    def optim_step(self, adapter: str, adam: Adam) -> dict[str, float]:
        """Apply the pending gradients; without any, do a step with zero gradient."""
        from tinker_local import train_step

        found = self.found(adapter)
        before = key(found)
        metrics = train_step.optim_step(found, adam)
        self.forget(before)
        return metrics

    def save(self, adapter: str, folder: Path, *, optimizer: bool) -> None:
        """Write and sync an adapter into an empty folder for peft; with `optimizer` also `optimizer.safetensors`."""
        from tinker_local import adapter_checkpoint

        found = self.found(adapter)
        adapter_checkpoint.save(found, self.base(found.base_model).parts, folder, optimizer=optimizer)

    def load(self, adapter: str, folder: Path, *, optimizer: bool) -> None:
        """Load an adapter from `folder`; it may replace one on the same base model."""
        from tinker_local import adapter_checkpoint

        base_model, old = adapter_checkpoint.training(folder)["base_model"], self.adapters.get(adapter)
        if old and old.base_model != base_model:
            raise RefusedError(f"{folder} is of {base_model}, the adapter of {old.base_model}: make one of that model")
        new = adapter_checkpoint.load(folder, self.base(base_model).parts, optimizer=optimizer)
        self.drop(adapter)
        self.adapters[adapter] = new

    def drop(self, adapter: str) -> None:
        """Delete an adapter from memory; an unknown one is no error."""
        if adapter in self.adapters:
            found = self.adapters.pop(adapter)
            self.forget(key(found))
            for part in found.parts.values():
                part.attached = None

    def sample(self, base_model: str, adapter: str, asked: Sequence[SamplingRequest]) -> list[SamplingResult]:
        """Answer requests in one batch; `adapter` "" is the base model alone.

        With a seed answers are repeatable, independent of the other requests.
        """
        from tinker_local import lora as lora_layers
        from tinker_local import sampler

        attached = self.found(adapter) if adapter else None
        if attached and attached.base_model != base_model:
            raise RefusedError(f"adapter {adapter!r} is of {attached.base_model}, not of {base_model}")
        base = self.base(base_model)
        lora_layers.attach(base.parts, attached)
        answered: list[SamplingResult] = sampler.sample(
            base, key(attached) if attached else (base_model, 0), asked, self.prefixes[base_model]
        )
        return answered

    def described(self, adapter: str) -> dict[str, Any]:
        """Return base_model, rank and the other values of a listing."""
        found = self.found(adapter)
        trained = {"numbers": found.flat.numel(), "steps": found.steps}
        return {"base_model": found.base_model, "rank": found.lora.rank, **vars(found.lora), **trained}

    def found(self, adapter: str) -> Adapter:
        """Return an adapter; raise RefusedError if there is none of this name."""
        if adapter not in self.adapters:
            raise RefusedError(f"no adapter {adapter!r}: create or load it first")
        return self.adapters[adapter]

    def base(self, name: str) -> Base:
        """Return a base model; load it at its first use."""
        if name not in self.bases:
            about = self.unchanged(name)
            from tinker_local import base_models, kv_cache

            self.states.setdefault(name, model_registry.state(Path(about.folder)))  # before: they may change meanwhile
            device = ready(self.device, self.threads)
            base = base_models.load(about, self.aliases.get(name, name), device, self.precision)
            self.bases[name], self.prefixes[name] = base, kv_cache.prefixes_for(base.device)
        return self.bases[name]

    def forget(self, old: Key) -> None:
        """Delete the cached prefixes of old weights."""
        self.prefixes[old[0]].forget(old)


def key(adapter: Adapter) -> Key:
    """Return the key that identifies these weights."""
    return adapter.base_model, adapter.version


def ready(device: str, threads: int) -> str:
    """Set the threads and return the device; raise RefusedError if it is not available."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in {"cpu", "cuda"} or (device == "cuda" and not torch.cuda.is_available()):
        raise RefusedError(f"no device {device!r} here: use cpu")
    return device
