"""Train a small language model on the texts of the data folder.

small-lm generate FOLDER goes on from prompts with a model; small-lm settings lists the settings.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from small_lm import config, generate_command, settings, settings_command
from small_lm.errors import USAGE, Trouble
from small_lm.results import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from small_lm.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and train; return the exit code."""
    words = sys.argv[1:] if arguments is None else [*arguments]
    try:
        if words and words[0] in COMMANDS:
            return COMMANDS[words[0]](words[1:])
        refuse_options(words)
        given = parser().parse_intermixed_args(words)
        refuse_unknown_command(given.overrides)
        return train(chosen(given))
    except (Trouble, OSError) as error:
        return explain(error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def refuse_unknown_command(overrides: Sequence[str]) -> None:
    """Raise Trouble for a first word that is nearly a command."""
    near = config.did_you_mean(overrides[0], COMMANDS) if overrides and "=" not in overrides[0] else ""
    if near:
        raise Trouble(f"no command {overrides[0]!r}{near}", USAGE)


def refuse_options(words: Sequence[str]) -> None:
    """Raise Trouble for a setting that is written as an option."""
    for word in words:
        name = word.removeprefix("--").partition("=")[0].replace("-", "_")
        near = config.nearest(name, config.every_key(settings.Settings()))
        if word.startswith("--") and name not in OPTIONS and near:
            raise Trouble(f"no option {word!r}; settings are key=value{near}", USAGE)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options; it needs no torch."""
    options = argparse.ArgumentParser(
        prog="small-lm", description=__doc__, epilog="settings: key=value, as model.preset=3m"
    )
    options.add_argument("--test", action="store_true", help="a few steps of a tiny model, into outputs/lm/test/")
    options.add_argument("--profile", default="", help="local, gpu, or a path to a .yaml")
    options.add_argument("overrides", nargs="*", metavar="key=value")
    return options


def chosen(given: argparse.Namespace) -> Settings:
    """Return the settings; those of a small test empty their folder."""
    wanted = settings.load(given.profile, given.overrides)
    if given.test or os.environ.get("DO_TASKS_TEST") == "1":
        wanted = settings.tried(wanted)
        if os.environ.get("RANK", "0") == "0":  # the first of several processes writes there
            shutil.rmtree(wanted.outputs, ignore_errors=True)
    return wanted


def train(wanted: Settings) -> int:
    """Train by settings alone; return the exit code. Trouble when torch is not installed."""
    try:
        import torch  # noqa: F401 - asked for before the trainer, so that only its own absence is named
    except ModuleNotFoundError as error:
        raise Trouble(f"{error.name} is not installed: pip install 'do-tasks[small-lm]'", USAGE) from error
    from small_lm.train import run

    return run(wanted)


OPTIONS = ("test", "profile", "help", "")
COMMANDS = {"generate": generate_command.main, "settings": settings_command.main}
