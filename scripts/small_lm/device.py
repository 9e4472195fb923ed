"""The machine of a training: device, threads, support of bfloat16."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from small_lm.settings import Run

NATIVE = ("avx512_bf16", "amx_bf16", "bf16")  # capabilities of processors
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Machine:
    """The device and the precision of matrix products; weights are always float32."""

    device: str
    precision: str
    threads: int

    def autocast(self) -> Any:
        """Return a context manager that multiplies matrices in the chosen precision."""
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")


def choose(wanted: Run) -> Machine:
    """Return the machine of these settings; `auto` takes the best that is available."""
    if wanted.precision not in PRECISIONS:
        raise Trouble(f"no run.precision {wanted.precision!r}: use {', '.join(PRECISIONS)}", USAGE)
    device = wanted.device if wanted.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if device not in {"cpu", "cuda"} or (device == "cuda" and not torch.cuda.is_available()):
        raise Trouble(f"run.device={device} is not here: use cpu", USAGE)
    detected = "bfloat16" if has_bfloat16(device) else "float32"
    precision = detected if wanted.precision == "auto" else wanted.precision
    return Machine(device, precision, wanted.threads or len(os.sched_getaffinity(0)))


def has_bfloat16(device: str) -> bool:
    """Return True if the device multiplies bfloat16 natively; emulation is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return is_native(torch.cpu.get_capabilities())


def is_native(capabilities: Mapping[str, object]) -> bool:
    """Return True if a processor's list of flags has bfloat16."""
    return any(capabilities.get(name) for name in NATIVE)
