"""Go on from prompts with a trained model, or with any Hugging Face folder."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from small_lm import base_model, setting_rules
from small_lm.errors import USAGE, Trouble
from small_lm.setting_rules import COUNT, RULES, Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from small_lm.generate import Answer, Choice, Model
    from small_lm.tokenizers import Tokenizer

FOLDER = "outputs/lm/model"
OPTIONS: dict[str, tuple[Any, str]] = {  # default, help
    "max_length": (100, "tokens of an answer, at most"),
    "temperature": (0.8, "0 takes the likeliest token"),
    "top_k": (0, "draw from so many of the likeliest tokens; 0: all"),
    "top_p": (1.0, "draw from the likeliest tokens with this share of the probability"),
    "repetition_penalty": (1.0, "above 1: tokens that stand there become less likely"),
    "beams": (1, "2 or more: search for the likeliest text, nothing is drawn"),
    "length_penalty": (1.0, "of beams; above 1 favours longer texts"),
    "seed": (0, "another one gives other texts"),
    "batch": (8, "prompts that are answered at once"),
    "threads": (0, "0: one a core"),
}
OWN_RULES = {"beams": COUNT, "batch": COUNT, "length_penalty": Range(-100, 100), "seed": RULES["seed"]}
DRAWN = ("temperature", "top_k", "top_p")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options; it needs no torch."""
    options = argparse.ArgumentParser(prog="small-lm generate", description=__doc__)
    options.add_argument("folder", metavar="FOLDER", help=f"of the model, as {FOLDER}")
    options.add_argument("prompt", nargs="*", metavar="PROMPT", help="without one: an empty prompt")
    options.add_argument("--prompts", metavar="FILE", help="a prompt a line; - reads them from stdin")
    options.add_argument("--stop", action="append", default=[], metavar="TEXT", help="ends an answer; may be repeated")
    options.add_argument("--chat", action="store_true", help="prompts are messages, answered by the chat template")
    options.add_argument("--json", action="store_true", help="a row of JSON a prompt: prompt, text, tokens, ended")
    options.add_argument("--device", default="auto", choices=RULES["run.device"].names)  # type: ignore[union-attr]
    for name, (default, words) in OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        options.add_argument(flag, type=type(default), metavar="N", help=f"{words}; default: {default}")
    return options


def main(arguments: Sequence[str]) -> int:
    """Answer prompts; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = parser().parse_intermixed_args(arguments)
    values = judged(given)
    prompts = prompts_of(given)
    folder = base_model.folder_of(Path(given.folder))
    model, tokenizer = load(folder, given.device, values["threads"])
    if given.chat:
        if not tokenizer.chat_template:
            raise Trouble(f"{folder} has no chat template: leave out --chat, or train it with text.kind=chat", USAGE)
        tokenizer.begin_chat()
    how = choice(values, tuple(given.stop))
    for first in range(0, len(prompts), values["batch"]):
        part = prompts[first : first + values["batch"]]
        say(part, answers(model, tokenizer, part, how, first), given, is_first=first == 0)
    return 0


def judged(given: argparse.Namespace) -> dict[str, Any]:
    """Return the values of the options; raise Trouble for one that means nothing."""
    values = {name: getattr(given, name) for name in OPTIONS}
    for name, value in values.items():
        rule = OWN_RULES.get(name) or RULES.get(f"sample.{name}") or RULES[f"run.{name}"]
        if value is not None:
            setting_rules.refuse(f"--{name.replace('_', '-')}", value, rule)
    drawn = [name for name in DRAWN if values[name] is not None]
    if (values["beams"] or 1) > 1 and drawn:
        raise Trouble(f"--beams draws nothing: leave out --{drawn[0].replace('_', '-')}", USAGE)
    return {name: OPTIONS[name][0] if value is None else value for name, value in values.items()}


def choice(values: dict[str, Any], stop: tuple[str, ...]) -> Choice:
    """Return the sampling parameters of the options."""
    from small_lm.generate import Choice

    return Choice(stop=stop, **{name: value for name, value in values.items() if name not in ("batch", "threads")})


def prompts_of(given: argparse.Namespace) -> list[str]:
    """Return the prompts of the command line and of the file; without any an empty one."""
    listed: list[str] = []
    if given.prompts:
        try:
            content = sys.stdin.read() if given.prompts == "-" else Path(given.prompts).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise Trouble(f"--prompts {given.prompts} is not UTF-8 at byte {error.start}", USAGE) from error
        listed = content.removesuffix("\n").split("\n") if content else []
    return [*given.prompt, *listed] if given.prompts or given.prompt else [""]


def load(folder: Path, device: str, threads: int) -> tuple[Model, Tokenizer]:
    """Read the model with its tokenizer: one of small-lm, or any that transformers reads."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise Trouble(f"{error.name} is not installed: pip install 'do-tasks[small-lm]'", USAGE) from error
    from small_lm import device as machine
    from small_lm import foreign_model, hf_format
    from small_lm.settings import Run

    try:
        here = machine.choose(Run(device=device, threads=threads, precision="float32"))
    except Trouble as trouble:
        raise Trouble(str(trouble).replace("run.device=", "--device "), USAGE) from trouble
    torch.set_num_threads(here.threads)
    if base_model.is_own(folder):
        own, tokenizer = hf_format.read(folder)
        return own.eval().to(here.device), tokenizer
    foreign, its_tokenizer = foreign_model.load(folder)
    return foreign.eval().to(here.device), its_tokenizer


def answers(model: Model, tokenizer: Tokenizer, prompts: Sequence[str], how: Choice, first: int) -> list[Answer]:
    """Return the answers to some prompts; `first` is the number of the first one, for its seed."""
    import dataclasses

    from small_lm.generate import answered

    warn_unknown(tokenizer, prompts)
    return answered(model, tokenizer, prompts, dataclasses.replace(how, seed=how.seed + first))


def warn_unknown(tokenizer: Tokenizer, prompts: Iterable[str]) -> None:
    """Warn of characters that the model's vocabulary lacks."""
    for prompt in prompts:
        count = tokenizer.encode(prompt).count(tokenizer.unknown)
        if count:
            line = f"warning: {count} characters of {prompt[:30]!r} are not in the vocabulary: read as unknown"
            print(line, file=sys.stderr, flush=True)


def say(prompts: Sequence[str], answers: Sequence[Answer], given: argparse.Namespace, *, is_first: bool) -> None:
    """Print the answers: each after its prompt with an empty line between two, or as rows of JSON.

    A reply of a chat stands on a line of its own.
    """
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        if given.json:
            row = {"prompt": prompt, "text": answer.text, "tokens": len(answer.ids), "ended": answer.is_done}
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            between = "" if is_first and number == 0 else "\n"
            text = f"\n{answer.text.strip()}" if given.chat else answer.text
            print(f"{between}{prompt}{text}", flush=True)
