"""Comparison of a training with the checkpoint that it resumes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from small_lm import base_model, tokenizer_folder
from small_lm.config import every_key, get
from small_lm.errors import USAGE, Trouble
from small_lm.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from small_lm.data import Corpus
    from small_lm.device import Machine

FITTING = ("tokenizer.", "model.", "text.", "seed", "optimiser.name", "run.compile")  # beginnings of names
FROM, PRECISION, TOKENS, LEARNED = "model.from", "run.precision", "tokens", "learned vocabulary"
DIGESTS = (TOKENS, LEARNED)
BEFORE = ("optimiser.name", PRECISION, LEARNED)  # an older version did not write them


def fits(chosen: Settings, corpus: Corpus, here: Machine) -> dict[str, str]:
    """Return the values that a checkpoint must share with a run that resumes from it."""
    names = [name for name in every_key(chosen) if name.startswith(FITTING)]
    values = {name: json.dumps(get(chosen, name)) for name in names} | {PRECISION: json.dumps(here.precision)}
    values[FROM] = json.dumps(base_model.identity(chosen.model))
    return values | {TOKENS: corpus.digest, LEARNED: tokenizer_folder.content_digest(corpus.tokenizer)}


def refuse_other(found: Mapping[str, str], wanted: Mapping[str, str], step: int) -> None:
    """Raise Trouble if the checkpoint of a step belongs to another training."""
    had = complete(found)
    differing = [name for name in wanted if name in had and had[name] != wanted[name]]
    if not differing:
        return
    named = [name for name in differing if name not in DIGESTS]
    if named:
        was, now = (", ".join(f"{name}={text(source[name])}" for name in named) for source in (had, wanted))
        why, cure = f"it has {was}, these settings have {now}", "set them as they were"
    else:
        why, cure = f"the texts give other {' and another '.join(differing)}", "give it the texts that it had"
    raise Trouble(f"the checkpoint of step {step} cannot go on here: {why}: {cure}, or set outputs=ANOTHER", USAGE)


def complete(found: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a checkpoint; what its older version did not know has the default that it acted on."""
    defaults = Settings()
    names = [name for name in every_key(defaults) if name.startswith(FITTING) and name not in BEFORE]
    had = {name: json.dumps(get(defaults, name)) for name in names}
    for name, value in found.items():
        had |= flat(name, value)
    return had


def flat(name: str, value: str) -> dict[str, str]:
    """Return a value by its dotted name; a group, as older versions wrote it, in its parts."""
    try:
        parts = json.loads(value)
    except ValueError:  # a digest
        parts = None
    if not isinstance(parts, dict):
        return {name: value}
    return {f"{name}.{key}": json.dumps(part) for key, part in parts.items()}


def text(value: str) -> str:
    """Return a value of JSON as a person writes it on the command line."""
    parsed: Any = json.loads(value)
    return parsed if isinstance(parsed, str) else "".join(value.split())
