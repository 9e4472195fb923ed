"""The probe of GPUs, without a process of its own."""

from __future__ import annotations

import os
from functools import cache

from executor.monitoring.model import Sample
from executor.system import kernel
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import counted, size

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from executor.monitoring.model import Memory, ProbeContext

LIBRARY = "libnvidia-ml.so.1"


class Card(Record):
    """One GPU: use in percent, memory in bytes, temperature in degrees Celsius; None where unknown."""

    number: int
    busy: float | None = None
    used: int | None = None
    total: int | None = None
    warm: float | None = None


def gpu(
    asks: Any,
    memory: Memory,
    job: ProbeContext,
    *,
    proc: str = "/proc",
    sys: str = "/sys",
    library: Callable[[], Any] | None = None,
) -> Sample:
    """Measure GPUs; `asks` is True for all, or the number of one.

    values: gpus, utilization_percent (their mean), memory_used_bytes, memory_total_bytes, memory_percent (the fullest),
    temperature_c (the warmest), and with several gpu0_utilization_percent and so on.
    """
    seen = cards(proc=proc, sys=sys, library=library)
    chosen = [card for card in seen if asks is True or card.number == asks]
    if not chosen:
        text = f"no GPU {asks} here: there are {len(seen)}, counted from 0" if seen else "no GPU here"
        return Sample(at_s=job.now_s, there=False, text=text)
    values = _values(chosen)
    return Sample(at_s=job.now_s, values=values, text=_text(values))


def cards(*, proc: str = "/proc", sys: str = "/sys", library: Callable[[], Any] | None = None) -> list[Card]:
    """Return the GPUs of this machine."""
    return _nvidia(proc, library or _library) or _amd(f"{sys}/class/drm")


def _nvidia(proc: str, library: Callable[[], Any]) -> list[Card]:
    """Return the cards of NVIDIA by its library, without it only their numbers."""
    try:
        count = len(os.listdir(f"{proc}/driver/nvidia/gpus"))
    except OSError:
        return []
    loaded = library() if count else None
    return (_nvml_cards(loaded) if loaded is not None else []) or [Card(number) for number in range(count)]


@cache
def _library() -> Any:
    """Return NVIDIA's management library, loaded once; None without it."""
    import ctypes

    try:
        library = ctypes.CDLL(LIBRARY)
        return library if library.nvmlInit_v2() == 0 else None
    except (OSError, AttributeError):
        return None


def _nvml_cards(library: Any) -> list[Card]:
    from ctypes import byref, c_uint

    count = c_uint()
    if library.nvmlDeviceGetCount_v2(byref(count)):
        return []
    return [_card(library, number) for number in range(count.value)]


def _card(library: Any, number: int) -> Card:
    from ctypes import byref, c_uint, c_ulonglong, c_void_p

    handle, busy, room, warm = c_void_p(), (c_uint * 2)(), (c_ulonglong * 3)(), c_uint()
    if library.nvmlDeviceGetHandleByIndex_v2(number, byref(handle)):
        return Card(number)
    has_busy = not library.nvmlDeviceGetUtilizationRates(handle, byref(busy))
    has_room = not library.nvmlDeviceGetMemoryInfo(handle, byref(room))
    has_warm = not library.nvmlDeviceGetTemperature(handle, 0, byref(warm))
    return Card(
        number,
        busy=float(busy[0]) if has_busy else None,
        used=room[2] if has_room else None,
        total=room[0] if has_room else None,
        warm=float(warm.value) if has_warm else None,
    )


def _amd(folder: str) -> list[Card]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.startswith("card") and name[4:].isdigit())
    except OSError:
        return []
    devices = [f"{folder}/{name}/device" for name in names]
    known = [device for device in devices if os.path.exists(f"{device}/gpu_busy_percent")]
    return [_amd_card(number, device) for number, device in enumerate(known)]


def _amd_card(number: int, device: str) -> Card:
    busy = kernel.figure(f"{device}/gpu_busy_percent")
    return Card(
        number,
        busy=None if busy is None else float(busy),
        used=kernel.figure(f"{device}/mem_info_vram_used"),
        total=kernel.figure(f"{device}/mem_info_vram_total"),
    )


def _values(cards: list[Card]) -> dict[str, float]:
    busy = [card.busy for card in cards if card.busy is not None]
    warm = [card.warm for card in cards if card.warm is not None]
    rooms = [(card.used, card.total) for card in cards if card.used is not None and card.total]
    values = {"gpus": float(len(cards))}
    if busy:
        values["utilization_percent"] = sum(busy) / len(busy)
    if rooms:
        values["memory_used_bytes"] = float(sum(used for used, _ in rooms))
        values["memory_total_bytes"] = float(sum(total for _, total in rooms))
        values["memory_percent"] = max(100 * used / total for used, total in rooms)
    if warm:
        values["temperature_c"] = max(warm)
    if len(cards) > 1:
        values |= {f"gpu{card.number}_utilization_percent": card.busy for card in cards if card.busy is not None}
        values |= {f"gpu{card.number}_memory_used_bytes": float(card.used) for card in cards if card.used is not None}
    return values


def _text(values: dict[str, float]) -> str:
    parts = [counted(int(values["gpus"]), "GPU")]
    if "utilization_percent" in values:
        parts.append(f"{values['utilization_percent']:.0f} % busy")
    if "memory_used_bytes" in values:
        parts.append(f"{size(values['memory_used_bytes'])} of {size(values['memory_total_bytes'])}")
    if "temperature_c" in values:
        parts.append(f"{values['temperature_c']:.0f} °C")
    return ", ".join(parts)
