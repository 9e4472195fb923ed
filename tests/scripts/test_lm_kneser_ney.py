"""The yardstick: chances that sum to one, better with more context, as the formula says."""

from __future__ import annotations

import math
import random

import pytest

torch = pytest.importorskip("torch")

from small_lm.errors import Trouble  # noqa: E402
from small_lm.kneser_ney import KneserNey  # noqa: E402  # it needs torch

SIZE = 12


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def rows():
    chance = random.Random(3)
    rows = []
    for _ in range(30):
        row = [0]
        while len(row) < 60:
            row.append((row[-1] * 3 + 1) % SIZE if chance.random() < 0.8 else chance.randrange(SIZE - 1))
        rows.append(row)
    return rows


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("context", [[0, 1, 4, 1], [5, 5, 5, 5], [11, 11, 11, 11]], ids=str)
def test_chances_sum_to_one_after_any_context(rows, order, context):
    model = KneserNey(rows, SIZE, order=order)
    chances = model.chances(torch.tensor([context] * SIZE), torch.arange(SIZE))
    assert float(chances.sum()) == pytest.approx(1, abs=1e-12)
    assert float(chances.min()) > 0


def test_context_pays(rows):
    found = [KneserNey(rows[:25], SIZE, order=order).nats(rows[25:]) for order in (1, 2)]
    per_token = [nats / tokens for nats, tokens in found]
    assert per_token[1] < per_token[0] - 0.5


def test_every_token_but_the_first_of_a_row_is_counted_once(rows):
    assert KneserNey(rows, SIZE).nats(rows)[1] == sum(len(row) - 1 for row in rows)


def test_a_bigram_has_the_chance_of_the_formula():
    model = KneserNey([[0, 1, 0, 1, 0, 2]], 3, order=2, discount=0.5)
    seen_before = {0: 2, 1: 1, 2: 1}  # 0 begins the row and follows 1
    unigram = {token: (count - 0.5 + 0.5 * 3 / 3) / 4 for token, count in seen_before.items()}
    wanted = (2 - 0.5) / 3 + 0.5 * 2 / 3 * unigram[1]
    assert float(model.chances(torch.tensor([[0]]), torch.tensor([1]))) == pytest.approx(wanted)


def test_a_row_shorter_than_the_order_is_read(rows):
    nats, tokens = KneserNey(rows, SIZE).nats([[0], [0, 1], [0, 1, 4]])
    assert tokens == 3
    assert math.isfinite(nats)


def test_ngrams_that_do_not_fit_are_refused():
    with pytest.raises(Trouble, match="lower the order"):
        KneserNey([[0, 1]], 50_000, order=5)
