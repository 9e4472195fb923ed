"""List the settings: what a training would use, where each value comes from, and its rule."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from small_lm import config, settings
from small_lm.setting_rules import RULES, Anything

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Print every setting with its value, source and rule; return the exit code."""
    options = argparse.ArgumentParser(prog="small-lm settings", description=__doc__)
    options.add_argument("--profile", default="", help="local, gpu, or a path to a .yaml")
    options.add_argument("overrides", nargs="*", metavar="key=value")
    given = options.parse_intermixed_args(arguments)
    layers = {
        "default": settings.Settings(),
        "profile": settings.load(given.profile, (), {}),
        "environment": settings.load(given.profile, (), environ),
        "command line": settings.load(given.profile, given.overrides, environ),
    }
    print("the later wins: " + ", ".join(layers))
    for name in config.every_key(settings.Settings()):
        print(line(name, layers))
    return 0


def line(name: str, layers: Mapping[str, Any]) -> str:
    """Return the line of one setting."""
    values = {source: config.get(layer, name) for source, layer in layers.items()}
    source, value = "default", values["default"]
    for layer, one in values.items():
        source, value = (source, value) if one == value else (layer, one)
    rule = RULES[name]
    words = "" if isinstance(rule, Anything) else f"  # {rule}"
    return f"{name}={shown(value)}" + (f"  ({source})" if source != "default" else "") + words


def shown(value: Any) -> str:
    """Return a value as the command line takes it."""
    return f"[{','.join(value)}]" if isinstance(value, tuple) else str(value)
