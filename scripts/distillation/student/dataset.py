"""Training examples of a student: answers to bare questions, with the teacher's distribution at each token."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from common import files, verified_folder
from common.errors import Trouble
from distillation import sampler_requests
from distillation.prompt import chat_template, dialogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from common.settings import Settings
    from distillation.models import ModelSetup

    Soft = tuple[NDArray[np.int32], NDArray[np.float32]]
    Progress = Callable[[int, int], None]

KINDS = ("soft", "sampled")
PART = 500  # answers whose distributions are kept together: what a killed training asks for again


@dataclass(frozen=True)
class Example:
    """An answer of T tokens after the prompt `asked`; `targets` and `weights` are (T, K): K targets a token."""

    asked: list[int]
    answer: list[int]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]

    def datum(self, scale: float) -> Any:
        """Return a datum for cross_entropy, its weights times `scale`; tokens before the answer have weight 0."""
        from tinker import types

        before = len(self.asked) - 1
        tokens = [*self.asked, *self.answer[:-1]]
        targets = np.zeros((len(tokens), self.targets.shape[1]), np.int64)
        weights = np.zeros(targets.shape, np.float32)
        targets[before:], weights[before:] = self.targets, self.weights * scale
        return types.Datum(
            model_input=types.ModelInput.from_ints(tokens),
            loss_fn_inputs={
                "target_tokens": types.TensorData.from_numpy(targets),
                "weights": types.TensorData.from_numpy(weights),
            },
        )


def build_examples(
    setup: ModelSetup, rows: Sequence[dict[str, Any]], settings: Settings, folder: Path, progress: Progress
) -> list[Example]:
    """Return the examples of some rows, in order; cache the teacher's distributions in `folder`."""
    pairs = [(question, answer_of(setup, row)) for row in rows for question, _ in [dialogue.split_dialogue(row)]]
    if settings.training.targets == "sampled":
        return [plain(setup, question, answer) for question, answer in pairs]
    if settings.training.targets != "soft":
        raise Trouble(f"training.targets is {settings.training.targets!r}: use {', '.join(KINDS)}")
    made = kept(setup, pairs, settings, folder, progress)
    return [
        Example(setup.voice.asked(question, prompted=False), answer, *soft)
        for (question, answer), soft in zip(pairs, made, strict=True)
    ]


def answer_of(setup: ModelSetup, row: dict[str, Any]) -> list[int]:
    """Return an answer's tokens as sampled, or encoded anew for a student with another tokenizer."""
    answer = dialogue.split_dialogue(row)[1]
    return setup.voice.drawn(answer, row["tokens"]) if setup.student == setup.teacher else setup.voice.answer(answer)


def plain(setup: ModelSetup, question: str, answer: list[int]) -> Example:
    """Return an example whose targets are the sampled tokens."""
    targets = np.array(answer, np.int32)[:, None]
    return Example(setup.voice.asked(question, prompted=False), answer, targets, np.ones(targets.shape, np.float32))


def kept(
    setup: ModelSetup, pairs: list[tuple[str, list[int]]], settings: Settings, folder: Path, progress: Progress
) -> list[Soft]:
    """Return the teacher's distributions of all answers; request and store them part by part."""
    found: list[Soft] = []
    for first in range(0, len(pairs), PART):
        found += kept_part(setup, pairs[first : first + PART], settings, folder)
        progress(len(found), len(pairs))
    return found


def kept_part(setup: ModelSetup, pairs: list[tuple[str, list[int]]], settings: Settings, folder: Path) -> list[Soft]:
    """Return the distributions of a few answers from two files; write the files if they are missing."""
    name = digest(setup, pairs, settings.training.top)
    paths = [folder / f"{name}.{part}.npy" for part in ("targets", "weights")]
    if not all(path.is_file() for path in paths):
        made = zip(*request_distributions(setup, pairs, settings), strict=True)
        for path, arrays in zip(paths, made, strict=True):
            files.write_array(path, np.concatenate(arrays))
    ends = np.cumsum([len(answer) for _, answer in pairs])[:-1]
    parts = [np.split(np.load(path, mmap_mode="r"), ends) for path in paths]
    return list(zip(*parts, strict=True))


def digest(setup: ModelSetup, pairs: list[tuple[str, list[int]]], top: int) -> str:
    """Return the digest of everything that determines the distributions, 16 hex digits."""
    parts = [setup.teacher, setup.voice.kind, setup.voice.prompt, top, pairs]
    parts += [made] if (made := made_as(setup.teacher)) else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def made_as(model: str) -> str:
    """Return the digest of a local model's files, which changes when it is made anew; empty for other models."""
    folder = chat_template.folder_of(model)
    sums = folder / verified_folder.SUMS if folder else None
    return files.sha256(sums) if sums and sums.is_file() else ""


def request_distributions(
    setup: ModelSetup, pairs: Sequence[tuple[str, list[int]]], settings: Settings
) -> Iterator[Soft]:
    """Yield (T, top + 1) targets and weights of each answer, `parallel` requests at a time."""
    wanted, top = settings.teacher, settings.training.top
    sampler = setup.sampler(wait_s=wanted.wait_s)
    return sampler_requests.in_order(
        pairs,
        lambda pair: sent(sampler, setup, pair, top),
        lambda pair, future: received(future, pair[1], settings),
        wanted.parallel,
    )


def sent(sampler: Any, setup: ModelSetup, pair: tuple[str, list[int]], top: int) -> Any:
    """Request the teacher's `top` most likely tokens at each place of an answer."""
    from tinker import types

    tokens = [*setup.voice.asked(pair[0], prompted=True), *pair[1]]
    return sampler.sample(
        types.ModelInput.from_ints(tokens),
        1,
        types.SamplingParams(max_tokens=1),
        include_prompt_logprobs=True,
        topk_prompt_logprobs=top,
        prompt_logprobs_last_n=len(pair[1]),
    )


def received(future: Any, answer: list[int], settings: Settings) -> Soft:
    """Wait for the teacher's most likely tokens; return targets and weights of the answer."""
    response = sampler_requests.wait(future, settings.teacher.wait_s, "distribution")
    return soft(answer, *likeliest(response, len(answer), settings.training.top))


def likeliest(response: Any, places: int, top: int) -> Soft:
    """Return ids and probabilities (T, top) of the most likely tokens at the last T places; 0 where none is."""
    found = response.topk_prompt_logprobs_np  # its lists would be thousands of pairs for each answer
    ids, chances = np.zeros((places, top), np.int32), np.zeros((places, top), np.float32)
    count = min(top, found.token_ids.shape[1])
    ids[:, :count] = found.token_ids[-places:, :count]
    chances[:, :count] = np.exp(found.logprobs[-places:, :count])  # of a mark for none, -99999, it is 0
    return ids, chances


def soft(answer: Sequence[int], ids: NDArray[np.int32], chances: NDArray[np.float32]) -> Soft:
    """Return an unbiased estimate of the teacher's distribution at each place: (T, K + 1) targets and weights.

    The K likeliest `ids` have their `chances` as they are. Where the token that the teacher drew is none of them it
    counts 1: over all draws this is what the others have together. Renormalised, the likeliest would teach a teacher
    who never says anything else.
    """
    drawn = np.array(answer, np.int32)[:, None]
    is_other = ~((ids == drawn) & (chances > 0)).any(1, keepdims=True)
    return np.concatenate([ids, drawn], 1), np.concatenate([chances, is_other.astype(np.float32)], 1)
