"""What a query costs: prices out of a table, break-even, spreads."""

from __future__ import annotations

import pytest

from common import config
from common.errors import Trouble
from distillation.evaluation import billing, cost
from distillation.evaluation.cost import Making, Price, Query, Table

ONE = Price(prompt=1e-6, sample=2e-6, train=3e-6)
FREE = Price(0.0, 0.0, 0.0)


def table(**models):
    return Table("2025-11-01", "made up", "nobody", models)


def test_a_cost_comes_back_after_as_many_queries_as_it_takes():
    assert cost.break_even(10.0, 3.0) == 4


@pytest.mark.parametrize("saved", [0.0, -1.0])
def test_a_cost_never_comes_back_where_nothing_is_saved(saved):
    assert cost.break_even(10.0, saved) is None


def test_making_counts_what_is_read_written_and_trained():
    assert Making(1_000_000, 1_000_000, 1_000_000).dollars(ONE, ONE) == pytest.approx(6.0)


def test_the_median_and_the_ninth_of_ten_are_in_milliseconds():
    found = cost.spread([0.001 * n for n in range(1, 11)])
    assert found["median"] == {"value": 5.5, "unit": "milliseconds"}
    assert found["p90"]["value"] == 9.0


def test_a_zero_price_is_said_plainly():
    found = cost.money(table(a=FREE), ("a", "a"), Making(1, 1, 1), (Query(500, 20), Query(10, 20)))
    assert "price is zero" in found["said"]
    assert found["break_even"]["value"] is None


def test_an_unknown_price_is_not_guessed():
    found = cost.money(table(a=ONE), ("a", "b"), Making(1, 1, 1), (Query(500, 20), Query(10, 20)))
    assert "no price is known of b" in found["said"]
    assert "saved_per_query" not in found


def test_what_is_saved_is_the_prompt():
    found = cost.money(table(a=ONE), ("a", "a"), Making(0, 0, 1000), (Query(510, 20), Query(10, 20)))
    assert found["saved_per_query"]["value"] == pytest.approx(500e-6)
    assert found["break_even"]["value"] == 6


def test_the_table_is_dated_and_says_that_a_person_must_check_it():
    path = config.CONFIGS / "savings/prices.yaml"
    found = cost.read_table(path)
    assert found.as_of
    assert found.source
    assert "a person must check" in path.read_text()
    assert found.of("local/anything") == FREE


@pytest.mark.parametrize("text", ["", "models: {a: {prompt: 1}}", "as_of: x\nsource: y\nchecked_by: z\nper_tokens: 0"])
def test_a_broken_table_is_named(tmp_path, text):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(Trouble, match=r"prices\.yaml"):
        cost.read_table(path)


def test_a_negative_price_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        cost.price_of({"prompt": -1, "sample": 1, "train": 1}, 1.0)


def test_what_will_be_billed_is_said_in_tokens_and_by_the_table():
    tokens = {"prompt": 2_000_000, "sample": 1_000_000}
    said = billing.notice("m", tokens, cost.Price(1e-6, 2e-6, 0.0))
    assert said == "billed for m: at most 2,000,000 to read, 1,000,000 to write tokens, $4.00 by the table"
    assert "its price is not in the table" in billing.notice("m", tokens, None)
