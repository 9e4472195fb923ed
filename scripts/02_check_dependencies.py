"""Step 2: compare this machine and its packages with what the pipeline needs.

    python scripts/02_check_dependencies.py [--test] [key=value ...]

Writes outputs/environment.json. A package that is pinned but not installed is reported; it fails the step only when
`environment.required` names it. No torch means no GPU is looked for, and is no failure.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import pins

OLDEST = (3, 11)
GB = 1e9
NOTE = "{pinned} packages at their pin, {differing} differ, {absent} not installed"


def check_dependencies(stage: Stage) -> Report:
    """Measure, judge, write."""
    settings = stage.settings
    wanted = pins.read(Path(settings.constraints))
    found = {"python": platform.python_version(), "interpreter": sys.executable, "platform": platform.platform()}
    packages = compare(wanted)
    machine = measure()
    criteria = [python_is_new(), *judge_packages(packages, settings), *judge_machine(machine, settings)]
    path = stage.output("environment.json")
    files.write_json(path, {**found, "packages": packages, "machine": machine, "gpu": look_for_gpu(stage)})
    metrics = {
        "pinned": len(packages["at_pin"]),
        "differing": len(packages["differing"]),
        "absent": len(packages["absent"]),
        "free_gb": machine["free_gb"],
        "memory_gb": machine["memory_gb"],
    }
    note = (
        f"{metrics['pinned']} packages at their pin, {metrics['differing']} differ, {metrics['absent']} not installed"
    )
    return Report(criteria, metrics, note, [Path(settings.constraints)], [path])


def python_is_new() -> Criterion:
    """Judge the interpreter."""
    return Criterion("Python is 3.11 or newer", sys.version_info >= OLDEST, f"{platform.python_version()}")


def compare(wanted: dict[str, str]) -> dict[str, Any]:
    """Sort the pinned packages into at_pin, differing (with both versions), absent."""
    installed = {pins.canonical(dist.metadata["Name"] or ""): dist.version for dist in metadata.distributions()}
    here = {name: installed[name] for name in wanted if name in installed}
    return {
        "at_pin": {name: version for name, version in here.items() if same(version, wanted[name])},
        "differing": {
            name: {"installed": version, "pin": wanted[name]}
            for name, version in here.items()
            if not same(version, wanted[name])
        },
        "absent": sorted(set(wanted) - set(here)),
    }


def same(installed: str, pin: str) -> bool:
    """Compare versions; a build label such as +cpu does not count unless the pin has one."""
    return installed == pin or ("+" not in pin and installed.split("+", maxsplit=1)[0] == pin)


def judge_packages(packages: dict[str, Any], settings: Any) -> list[Criterion]:
    """Judge the required packages, then all that are installed."""
    lacking = [name for name in settings.environment.required if pins.canonical(name) not in packages["at_pin"]]
    differing, most = sorted(packages["differing"]), settings.environment.max_differing
    cure = f"pip install -c {settings.constraints}"
    required = f"not so: {cure} {' '.join(lacking)}" if lacking else ", ".join(settings.environment.required)
    others = f"{len(differing)} differ: {cure} {' '.join(differing)}" if differing else "none differs"
    return [
        Criterion("Required packages are at their pin", not lacking, required),
        Criterion("Installed packages are at their pin", len(differing) <= most, others),
    ]


def measure() -> dict[str, Any]:
    """Count cores, memory and free disk."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB, 1),
        "free_gb": round(shutil.disk_usage(".").free / GB, 1),
    }


def judge_machine(machine: dict[str, Any], settings: Any) -> list[Criterion]:
    """Judge disk and memory."""
    least, free, memory = settings.environment, machine["free_gb"], machine["memory_gb"]
    return [
        Criterion("Disk has room", free >= least.min_free_gb, f"{free} GB free, at least {least.min_free_gb:g}"),
        Criterion("Memory is enough", memory >= least.min_memory_gb, f"{memory} GB, at least {least.min_memory_gb:g}"),
    ]


def look_for_gpu(stage: Stage) -> dict[str, Any]:
    """Ask torch for GPUs, when torch is here; a test does not load it."""
    if importlib.util.find_spec("torch") is None:
        return {"torch": "not installed", "devices": []}
    if stage.is_test:
        return {"torch": "not loaded in a test", "devices": []}
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {"torch": torch.__version__, "devices": [torch.cuda.get_device_name(at) for at in range(count)]}


if __name__ == "__main__":
    run("02_check_dependencies", check_dependencies, __doc__)
