"""The ends of answers: a token, or a text that spans tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinker_local.api_types import Sampling

MARGIN = 8  # tokens before the longest text, in case some are empty
UNFINISHED = "\ufffd"  # a decoder's output for an incomplete character


@dataclass
class Stops:
    """The stop tokens and stop texts of one request."""

    tokenizer: Any
    ids: frozenset[int] = frozenset()
    texts: tuple[str, ...] = ()
    endings: dict[int, bool] = field(default_factory=dict)

    def end(self, tokens: Sequence[int]) -> bool:
        """Return True if the newest token ends an answer."""
        if tokens[-1] in self.ids:
            return True
        return bool(self.texts) and self.may_end(tokens[-1]) and self.spell_end(tokens)

    def may_end(self, token: int) -> bool:
        """Return True if a token can be the last of a stop text, by this token alone."""
        if token not in self.endings:
            piece = self.decoded([token])
            odd = not piece.strip() or UNFINISHED in piece
            self.endings[token] = odd or any(text[-1] in piece for text in self.texts)
        return self.endings[token]

    def spell_end(self, tokens: Sequence[int]) -> bool:
        """Return True if the last tokens contain a stop text; a token has at least one byte."""
        longest = max(len(text.encode()) for text in self.texts)
        tail = self.decoded(tokens[-longest - MARGIN :])
        return any(text in tail for text in self.texts)

    def decoded(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, with special tokens."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


def of(params: Sampling, tokenizer: Any, ends: frozenset[int]) -> Stops:
    """Return the stops of a request; None stands for the model's end tokens."""
    if params.stop is None:
        return Stops(tokenizer, ends)
    texts = tuple(one for one in params.stop if isinstance(one, str))
    return Stops(tokenizer, frozenset(one for one in params.stop if isinstance(one, int)), texts)
