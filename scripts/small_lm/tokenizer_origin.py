"""The origin of a tokenizer: the requested kind and size, and the digest of its training texts."""

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
    """The inputs that determine a tokenizer: kind, requested size, special tokens, SHA-256 of the texts in order."""

    kind: str
    vocab_size: int
    specials: tuple[str, ...]
    texts: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"kind": self.kind, "vocab_size": self.vocab_size, "specials": list(self.specials), "texts": self.texts}

    def differs(self, other: Origin) -> list[str]:
        """Return the differences from `other` in words."""
        return [
            difference(name, getattr(other, name), getattr(self, name))
            for name in WISHED
            if is_other(name, self, other)
        ]


def is_other(name: str, one: Origin, other: Origin) -> bool:
    """Return True if a field of two origins differs."""
    return bool(getattr(one, name) != getattr(other, name))


def difference(name: str, was: Any, wanted: Any) -> str:
    """Return one difference in words; digests are not shown."""
    return "other texts" if name == "texts" else f"{SAID[name]} {shown(was)}, not {shown(wanted)}"


def shown(value: Any) -> str:
    """Return a value on one line."""
    return " ".join(value) if isinstance(value, tuple) else str(value)


def origin(kind: str, texts: Sequence[str], vocab_size: int, specials: Sequence[str]) -> Origin:
    """Return the origin of a tokenizer with these inputs."""
    return Origin(kind, vocab_size, tuple(specials), digest(texts))


def parsed(about: dict[str, Any]) -> Origin | None:
    """Return the origin in a description; None for one of an older version, which has none."""
    if any(name not in about for name in WISHED):
        return None
    return Origin(about["kind"], about["vocab_size"], tuple(about["specials"]), about["texts"])


def digest(texts: Sequence[str]) -> str:
    """Return the SHA-256 of texts in their order, including their boundaries."""
    found = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        found.update(f"{len(content)}:".encode() + content)
    return found.hexdigest()
