"""Images as a second modality: pixels are tokens, and the token after them, the label, is learned.

The images are the 1,797 handwritten digits of 8 x 8 pixels that scikit-learn brings (`load_digits`): 17 shades, a
character each, in rows from the top; after `=` stands the digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from small_lm import tokenizers
from small_lm.errors import USAGE, Trouble
from small_lm.examples import Example, example
from small_lm.tokenizer_origin import origin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from small_lm.texts import Part
    from small_lm.tokenizers import Tokenizer

SHADES = "0123456789abcdefg"
LABELLED = "="


class Digits:
    """The images as rows: pixels, `=`, digit."""

    path: Path | None = None
    is_rows = True

    def length(self) -> int:
        """Return the number of images."""
        return sum(1 for _ in self.rows())

    def pieces(self) -> Iterator[str]:
        """Yield all rows."""
        yield from self.rows()

    def rows(self) -> Iterator[str]:
        """Yield the images, in the order of the package."""
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise Trouble("text.kind=digits needs scikit-learn: pip install scikit-learn", USAGE) from error
        for pixels, digit in zip(*load_digits(return_X_y=True), strict=True):
            yield "".join(SHADES[int(shade)] for shade in pixels) + LABELLED + str(digit)


def prompts(count: int) -> list[str]:
    """Return the last images, which a training holds out, without their digits: prompts of small-lm generate."""
    return [row.partition(LABELLED)[0] + LABELLED for row in Digits().rows()][-count:]


def tokenizer() -> Tokenizer:
    """Return the tokenizer of all images."""
    characters = SHADES + LABELLED
    wanted = origin("char", [characters], len(tokenizers.SPECIALS) + len(characters), tokenizers.SPECIALS)
    return tokenizers.learned(wanted, [characters])


def examples(part: Part, read_by: Tokenizer) -> list[Example]:
    """Return the images of some rows; the digit alone is learned."""
    rows = [read_by.start("".join(document)) for document in part.documents()]
    return [example(ids, [False] * (len(ids) - 1) + [True]) for ids in rows]
