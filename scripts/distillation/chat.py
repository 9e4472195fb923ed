"""A conversation with a model, sampled in small pieces so that a person can watch the text appear."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distillation import sampler_requests
from distillation.prompt.chat_template import chat_ids
from distillation.sampler_requests import SampleRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.settings import Settings
    from distillation.prompt.chat_template import Voice

MARK = re.compile(r"<(\w+)>")
UNFINISHED = "\N{REPLACEMENT CHARACTER}"
SPACES = "\t\r\f\v\N{NO-BREAK SPACE}"


@dataclass
class Talk:
    """A conversation: its turns so far as (question, answer); `limits` are the settings of the pipeline."""

    voice: Voice
    limits: Settings
    turns: list[tuple[str, str]] = field(default_factory=list)

    def prompt(self, question: str, *, prompted: bool) -> list[int]:
        """Return the ids before an answer: the newest turns that fit, then the question."""
        room = self.limits.talk.context - self.limits.teacher.max_tokens
        for first in range(len(self.turns) + 1):
            ids = written(self.voice, self.turns[first:], question, prompted=prompted)
            if len(ids) <= room:
                break
        return ids

    def pieces(self, sampler: Any, question: str, seed: int, *, prompted: bool = False) -> Iterator[str]:
        """Yield an answer's text piece by piece."""
        ids, drawn, shown = self.prompt(question, prompted=prompted), list[int](), ""
        wanted, ends = self.limits.teacher, self.voice.ends
        while len(drawn) < wanted.max_tokens:
            most = min(self.limits.talk.piece, wanted.max_tokens - len(drawn))
            asked = SampleRequest([*ids, *drawn], seed + len(drawn), most)
            answer = next(sampler_requests.sample_all(sampler, [asked], wanted, ends))
            drawn += answer.tokens
            text = self.voice.text(drawn).rstrip(UNFINISHED)
            yield text.removeprefix(shown)
            shown = text
            if answer.is_whole or not answer.tokens:
                return


def written(voice: Voice, turns: list[tuple[str, str]], question: str, *, prompted: bool) -> list[int]:
    """Return the ids of a conversation in the form of the voice, up to where the answer begins."""
    if not turns:
        return voice.asked(harmless(question), prompted=prompted)
    prompt = voice.prompt if prompted else ""
    if voice.kind == "chat":
        return chat(voice, turns, question, prompt)
    if voice.kind == "sheet":
        before = f"<sheet>{prompt}" if prompt else ""
        earlier = "".join(f"<q>{harmless(asked)}<a>{harmless(answer)}<end>" for asked, answer in turns)
        text = f"<bos>{before}{earlier}<q>{harmless(question)}<a>"
        return list(voice.tokenizer.encode(text, add_special_tokens=False))
    before = f"{prompt}\n" if prompt else ""
    earlier = "".join(f"Question: {asked}\nAnswer: {answer}\n" for asked, answer in turns)
    return list(voice.tokenizer.encode(f"{before}{earlier}Question: {question}\nAnswer:"))


def chat(voice: Voice, turns: list[tuple[str, str]], question: str, prompt: str) -> list[int]:
    """Return the ids of a conversation by the tokenizer's own template."""
    messages = [{"role": "system", "content": prompt}] if prompt else []
    for asked, answer in turns:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    messages.append({"role": "user", "content": question})
    return chat_ids(voice.tokenizer, messages)


def harmless(text: str) -> str:
    """Return a person's text without special tokens: `<end>` becomes `end`."""
    return MARK.sub(r"\1", text)


def shown(text: str) -> str:
    """Return text that is safe to print: unprintable characters become a replacement character."""
    spaced = "".join(" " if one in SPACES else one for one in text)
    return "".join(one if one.isprintable() or one == "\n" else UNFINISHED for one in spaced)
