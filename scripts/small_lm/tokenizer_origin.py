"""Where a tokenizer comes from: what was asked for, and which texts it learned from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

WISHED = ("kind", "vocab_size", "specials", "texts")
SAID = {"kind": "tokenizer.kind", "vocab_size": "tokenizer.vocab_size", "specials": "special tokens", "texts": "texts"}


@dataclass(frozen=True)
class Origin:
    """What decides a tokenizer: kind, vocabulary asked for, special tokens, SHA-256 of the texts in their order."""

    kind: str
    vocab_size: int
    specials: tuple[str, ...]
    texts: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as the tokenizer's folder keeps it."""
        return {"kind": self.kind, "vocab_size": self.vocab_size, "specials": list(self.specials), "texts": self.texts}

    def differs(self, other: Origin) -> list[str]:
        """Return what is not as in `other`, as a person reads it."""
        return [
            difference(name, getattr(other, name), getattr(self, name))
            for name in WISHED
            if is_other(name, self, other)
        ]


def is_other(name: str, one: Origin, other: Origin) -> bool:
    """Return True when one field of two origins differs."""
    return bool(getattr(one, name) != getattr(other, name))


def difference(name: str, was: Any, wanted: Any) -> str:
    """Return one difference in words; digests say nothing to a person."""
    return "other texts" if name == "texts" else f"{SAID[name]} {shown(was)}, not {shown(wanted)}"


def shown(value: Any) -> str:
    """Return a value on one line."""
    return " ".join(value) if isinstance(value, tuple) else str(value)


def origin(kind: str, texts: Sequence[str], vocab_size: int, specials: Sequence[str]) -> Origin:
    """Return the origin of a tokenizer that is, or would be, learned so."""
    return Origin(kind, vocab_size, tuple(specials), digest(texts))


def parsed(about: dict[str, Any]) -> Origin | None:
    """Return the origin that a description tells; None for one of an older version, which tells none."""
    if any(name not in about for name in WISHED):
        return None
    return Origin(about["kind"], about["vocab_size"], tuple(about["specials"]), about["texts"])


def digest(texts: Sequence[str]) -> str:
    """Return the SHA-256 of texts in their order; where one ends counts."""
    found = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        found.update(f"{len(content)}:".encode() + content)
    return found.hexdigest()
