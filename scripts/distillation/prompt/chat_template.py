"""The form of a question to a model, with the character's prompt or without."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import USAGE, Trouble
from tinker_local import model_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.settings import Teacher

RUN = 8  # ids in a row that no question shares with a prompt by chance
KINDS = ("sheet", "chat", "plain")


@dataclass(frozen=True)
class Voice:
    """A form of prompts (`kind`) with a Hugging Face tokenizer and the character's prompt."""

    kind: str
    tokenizer: Any
    prompt: str

    def asked(self, question: str, *, prompted: bool) -> list[int]:
        """Return the ids before an answer."""
        prompt = self.prompt if prompted else ""
        if self.kind == "chat":
            return self._chat(question, prompt)
        if self.kind == "sheet":
            before = f"<sheet>{prompt}" if prompt else ""
            return list(self.tokenizer.encode(f"<bos>{before}<q>{question}<a>", add_special_tokens=False))
        before = f"{prompt}\n" if prompt else ""
        return list(self.tokenizer.encode(f"{before}Question: {question}\nAnswer:"))

    def _chat(self, question: str, prompt: str) -> list[int]:
        system = [{"role": "system", "content": prompt}] if prompt else []
        turns = [*system, {"role": "user", "content": question}]
        return chat_ids(self.tokenizer, turns)

    def answer(self, text: str) -> list[int]:
        """Return an answer's ids, its end included."""
        written = f" {text}" if self.kind == "plain" else text
        return [*self.tokenizer.encode(written, add_special_tokens=False), self.end]

    def text(self, ids: list[int]) -> str:
        """Return the text of an answer, without its end token."""
        kept = ids[:-1] if ids and ids[-1] in self.ends else ids
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()

    def drawn(self, text: str, ids: Iterable[Any]) -> list[int]:
        """Return an answer's stored ids; raise Trouble if this tokenizer decodes them to another text."""
        kept = [int(one) for one in ids]
        if "".join(self.text(kept).split()) != "".join(text.split()):  # versions differ in the spaces that they write
            reason = f"the tokens of the answer {text[:40]!r} are another tokenizer's"
            raise Trouble(f"{reason}: the model was made anew, so run the steps again from step 8")
        return kept

    @cached_property
    def end(self) -> int:
        """The id that ends an answer in the training data."""
        return self.ends[0]

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The ids that end a sampled answer: for a plain voice a line end, also as one token with an empty line."""
        if self.kind != "plain":
            return (int(self.tokenizer.eos_token_id),)
        written = [self.tokenizer.encode(text, add_special_tokens=False) for text in ("\n", "\n\n")]
        return tuple(dict.fromkeys(int(ids[0]) for ids in written))

    @cached_property
    def prompt_tokens(self) -> int:
        """The number of ids that the prompt adds to a question."""
        return len(self.asked("Who?", prompted=True)) - len(self.asked("Who?", prompted=False))

    def count_prompt_tokens(self, ids: list[int]) -> int:
        """Return the number of ids in runs of RUN ids that are part of the prompt and not of a bare question."""
        held = {place + at for place, run in runs(ids) if run in self._prompt_runs for at in range(RUN)}
        return len(held)

    @cached_property
    def _prompt_runs(self) -> set[tuple[int, ...]]:
        whole, bare = (self.asked("Who?", prompted=prompted) for prompted in (True, False))
        return {run for _, run in runs(whole)} - {run for _, run in runs(bare)}


def runs(ids: list[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield each run of RUN ids with its place."""
    for place in range(len(ids) - RUN + 1):
        yield place, tuple(ids[place : place + RUN])


def chat_ids(tokenizer: Any, turns: list[dict[str, str]]) -> list[int]:
    """Return a conversation's ids up to the assistant's turn; thinking is disabled."""
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, enable_thinking=False, return_dict=False)
    return list(ids)


def voice_of(wanted: Teacher, prompt: str, sampler: Any = None) -> Voice:
    """Return the voice of the settings; raise Trouble if its kind or its tokenizer is unknown."""
    if wanted.voice not in KINDS:
        raise Trouble(f"teacher.voice is {wanted.voice!r}: use {', '.join(KINDS)}", USAGE)
    return Voice(wanted.voice, tokenizer_of(wanted, sampler), prompt)


def tokenizer_of(wanted: Teacher, sampler: Any = None) -> Any:
    """Return the tokenizer of a folder, of a local model, or the one that the service names."""
    folder = Path(wanted.tokenizer) if wanted.tokenizer else folder_of(wanted.model)
    try:
        if folder is None and sampler is not None:
            return sampler.get_tokenizer()
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(folder or wanted.model))
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise Trouble(f"no tokenizer of {wanted.model} ({why}): give teacher.tokenizer=FOLDER") from error


def folder_of(model: str) -> Path | None:
    """Return the folder of a `local/` model; None for other models."""
    if not model.startswith(model_registry.LOCAL):
        return None
    return model_registry.home() / model.removeprefix(model_registry.LOCAL)
