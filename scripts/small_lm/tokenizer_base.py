"""The base class of all kinds of tokenizers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from small_lm import chat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from small_lm.tokenizer_origin import Origin

SPECIALS = ("<pad>", "<bos>", "<end>", "<unk>")
KIND = "tokenizer_kind.json"


class Tokenizer:
    """The base of all kinds; each adds `train`, `encode`, `decode`, `content` and `read`."""

    pad, bos, end, unknown = range(4)
    kind: ClassVar[str]
    file: ClassVar[str]
    size: int
    origin: Origin | None = None  # None: of an older version, which kept none
    is_fresh = False  # learned by this very process
    chat_template = ""  # of transformers: how a conversation becomes a text
    is_chat = False  # prompts are messages of a user
    most_bytes: ClassVar[int] = 16_000_000  # of texts to learn from; an even part of more

    def __init__(self, specials: Sequence[str]) -> None:
        self.specials = tuple(specials)
        self.opening: tuple[int, ...] = (self.bos,)  # before a document
        self.special = {name: number for number, name in enumerate(self.specials)}

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, specials: Sequence[str]) -> Tokenizer:
        """Learn from texts; the vocabulary has `vocab_size` tokens, special ones among them."""
        raise NotImplementedError

    @classmethod
    def read(cls, data: bytes, specials: Sequence[str]) -> Tokenizer:
        """Return the tokenizer that `content` wrote."""
        raise NotImplementedError

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; special tokens are left out."""
        raise NotImplementedError

    def start(self, prompt: str) -> list[int]:
        """Return the ids of a prompt, from which a model goes on."""
        return [self.bos, *self.encode(chat.question(prompt) if self.is_chat else prompt)]

    def begin_chat(self) -> None:
        """Read prompts as messages of a user from now on; without a template of its own it gets the default."""
        self.chat_template, self.is_chat = self.chat_template or chat.TEMPLATE, True

    def conversation(self, messages: chat.Messages) -> chat.Marked:
        """Return the ids of a conversation, and which of them are said by the assistant."""
        ids, marks = [self.bos], [False]
        for text, is_reply in chat.pieces(messages):
            part = [*self.encode(text), *self.closing] if is_reply else self.encode(text)
            ids += part
            marks += [is_reply] * len(part)
        return ids, marks

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a text."""
        return (self.end,)

    @property
    def closing(self) -> tuple[int, ...]:
        """The token after a document."""
        return (self.end,)

    def files(self) -> dict[str, bytes]:
        """Return its files; transformers reads those of a `bpe` and a `char` one."""
        return {self.file: self.content(), KIND: as_json(self.about())}

    def content(self) -> bytes:
        """Return the content of the tokenizer's file."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Return its description: kind, special tokens, size; vocabulary asked for and digest of texts where known."""
        about = {"kind": self.kind, "specials": list(self.specials), "size": self.size}
        about |= {"chat_template": self.chat_template} if self.chat_template else {}
        return about | (self.origin.as_dict() if self.origin else {})


def as_json(value: Any) -> bytes:
    """Return a JSON document as the bytes of a file."""
    return (json.dumps(value, indent=2) + "\n").encode()
